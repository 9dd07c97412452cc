/* LOG_CONS: what finds no room in the ring goes to /dev/console. Prints how many calls were dropped. */
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_SYSLOG
#include "metalog.h"
#include <syslog.h>

static int stuck(void *user, const mlog_record *r) { return (void)user, (void)r, -1; }

int main(void) {
    mlog_config c = {.env = "-", .full = MLOG_DROP, .ring_bytes = 4096, .exit_ms = 1, .sinks = {{.type = MLOG_CALLBACK, .write = stuck}}};
    mlog_stats stats;
    if (mlog_init(&c) != 0) return 1;
    openlog("console", LOG_PID, LOG_USER);
    for (int i = 0; i < 2000; i++) syslog(LOG_INFO, "without: message %d", i);
    mlog_stats_read(&stats);
    uint64_t before = stats.dropped;
    openlog("console", LOG_CONS, LOG_USER);
    for (int i = 0; i < 2000; i++) syslog(LOG_INFO, "with: message %d", i);
    mlog_stats_read(&stats);
    printf("%llu %llu\n", (unsigned long long)before, (unsigned long long)(stats.dropped - before));
    return 0;
}
