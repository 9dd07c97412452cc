/* For tests/tool.sh: the same records through sinks of several formats.  tool_writer DIRECTORY NAME COUNT [first number] */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    static const struct { const char *ending; mlog_format format; } kinds[] = {
        {"json", MLOG_JSON}, {"bin", MLOG_BINARY}, {"logfmt", MLOG_LOGFMT}, {"pretty", MLOG_PRETTY}};
    static char path[4][512];
    if (argc < 4) return 2;
    long count = atol(argv[3]), first = argc > 4 ? atol(argv[4]) : 0;
    mlog_config c = {.env = "-", .levels = "trace", .full = MLOG_BLOCK};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/%s.%s", argv[1], argv[2], kinds[i].ending);
        c.sinks[i] = (mlog_sink_config){.name = kinds[i].ending, .type = MLOG_FILE, .format = kinds[i].format, .path = path[i]};
    }
    if (mlog_init(&c) != 0) return fprintf(stderr, "%s\n", mlog_why()), 1;
    mlog_logger *net = mlog_named("net.http");
    for (long n = first; n < first + count; n++) {
        mlog_with("task", n % 7, "user", "ann");
        switch (n % 5) {
        case 0: mlog_info("order accepted", "n", n, "symbol", "ACME, Inc.", "price", 99.25); break;
        case 1: mlog_warnf("retry %ld of \"%s\"", n, "caf\xC3\xA9"); break;
        case 2: mlog_to(net, MLOG_DEBUG, "sent", "n", n, "bytes", 1500u, "ok", true); break;
        case 3: mlog_error("failed", "n", n, "why", "a=b \"c\"\n", "none", (const char *)NULL); break;
        default: mlog_trace("step", "n", n, "f", 0.1f); break;
        }
    }
    return mlog_shutdown(20000) == 0 ? 0 : 1;
}
