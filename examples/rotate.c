/* rotate: a log that never takes more than so much of the disk, and a journal that is on the disk when mlog_flush returns.
 *
 *     cc -I. examples/rotate.c -o rotate -pthread && ./rotate && ls -l app.log* journal.log && cat app.log.* app.log | wc -l
 *
 * Run it several times, also at once: the processes share the files, one of them rotates, the others follow. The filter takes the
 * orders for the journal by a pattern in their message. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include <stdio.h>

int main(void) {
    mlog_config config = {.sinks = {
        {.name = "app", .type = MLOG_FILE, .path = "app.log", .rotate_bytes = 64 << 10, .rotate_keep = 3}, /* 4 files of 64 KiB */
        {.name = "journal", .type = MLOG_FILE, .path = "journal.log", .where = "msg~'^order (accepted|cancelled)$'", .durable = MLOG_YES},
    }};
    if (mlog_init(&config) != 0) return fprintf(stderr, "log: %s\n", mlog_why()), 1;
    for (int i = 0; i < 1000; i++) {
        mlog_info("tick", "i", i);
        if (i % 100 != 0) continue;
        if (i % 300 == 0) mlog_info("order cancelled", "order", i);
        else mlog_info("order accepted", "order", i);
        if (mlog_flush(5000) != 0) return fprintf(stderr, "order %d is not on the disk yet: %s\n", i, mlog_why()), 1;
    }
    return 0;
}
