/* A unit with more to say than the others. */
#define ZF_LOG_LEVEL ZF_LOG_VERBOSE
#define ZF_LOG_TAG "PARSE"
#include "zf_log.h"

#include <string.h>

#if ZF_LOG_ENABLED_VERBOSE
static const char *const state[] = {"empty", "word", "pair"};
#endif

void parse(const char *text);
void parse(const char *text) {
    const char *eq = strchr(text, '=');
    int kind = *text == 0 ? 0 : eq == NULL ? 1 : 2;
    ZF_LOGV("state %s", state[kind]);
    if (kind == 0) ZF_LOGW("nothing to parse");
    else ZF_LOGD_MEM(text, (unsigned)strlen(text), "%s, %u bytes:", state[kind], (unsigned)strlen(text));
    if (kind == 2) ZF_LOGI("key=%.*s value=%s", (int)(eq - text), text, eq + 1);
}
