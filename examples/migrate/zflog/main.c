/* A program that logs with zf_log (https://github.com/wonder-mice/zf_log): a tag and a level for each unit, dumps, secrets, an output
 * level from the command line, and an output of its own. tests/migrate.sh builds it with a stand-in of zf_log, and with metalog.
 *
 *     main OUTPUT_LEVEL [callback]
 */
#define ZF_LOG_TAG "MAIN"
#include "zf_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void parse(const char *text);

static void to_stdout(const zf_log_message *m, void *arg) {
    *m->p = 0;
    printf("%s level=%d tag=%s full=%.*s msg=%s\n", (const char *)arg, m->lvl, m->tag ? m->tag : "-", (int)(m->tag_e - m->tag_b), m->tag_b, m->msg_b);
}

int main(int argc, char **argv) {
    const char *words[] = {"alpha", "beta=2", "", "gamma=three"};
    zf_log_set_output_level(argc > 1 ? atoi(argv[1]) : 0);
    ZF_LOGI("started with %d words", 4);
    for (int i = 0; i < 4; i++) parse(words[i]);
    ZF_LOGD("debug in main: %s", ZF_LOG_ENABLED_DEBUG ? "yes" : "no");
    ZF_LOG_IF(argc > 1, ZF_LOGW("output level is %s", argv[1]));
    ZF_LOG_SECRET(ZF_LOGI("the password is %s", "sesame"));
    ZF_LOG_WRITE(ZF_LOG_ERROR, "NET", "peer %s: %d bytes left", "10.0.0.1", 12);
    zf_log_set_tag_prefix("demo");
    ZF_LOGI_STR("with a prefix, 100% as it is");
    zf_log_set_tag_prefix(0);
    if (argc > 2) {
        zf_log_set_output_v(ZF_LOG_PUT_TAG | ZF_LOG_PUT_MSG, (void *)(size_t)"out:", to_stdout);
        ZF_LOGI("to my own output: %.2f", 0.25);
        parse("delta=4");
        zf_log_set_output_v(ZF_LOG_OUT_STDERR);
    }
    ZF_LOGE("ends");
    return 0;
}
