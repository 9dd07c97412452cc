/* For tests/tool.sh: the same records through sinks of several formats.
 *   tool_writer DIRECTORY NAME COUNT [FIRST [RINGS MORE die|live [recorder]]]
 * FIRST: number of the first. RINGS: where the rings are files. MORE records are logged and not written: then it dies, or waits for the
 * end of its input and writes them. recorder: records below info are kept only. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static mlog_logger *net;

static void log_from(long first, long count) {
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
}

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
    if (argc > 7) c.ring_dir = argv[5];
    if (argc > 8) c.levels = "info", c.recorder_level = MLOG_TRACE;
    if (mlog_init(&c) != 0) return fprintf(stderr, "%s\n", mlog_why()), 1;
    net = mlog_named("net.http");
    log_from(first, count);
    if (argc > 7) {
        char byte;
        if (mlog_flush(20000) != 0) return 1;
        mlog__platform_lock(&mlog__flush_all.role); /* nobody writes from here on */
        log_from(first + count, atol(argv[6]));
        if (strcmp(argv[7], "die") == 0) (void)kill(getpid(), SIGKILL);
        puts("ready"), fflush(stdout);
        (void)!read(0, &byte, 1);
        mlog__platform_unlock(&mlog__flush_all.role);
    }
    return mlog_shutdown(20000) == 0 ? 0 : 1;
}
