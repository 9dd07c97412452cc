/* A program with a logger of its own. Its calls stay as they are; log.h and log.c change by a few lines (USE_METALOG).
 * tests/migrate.sh builds it both ways and compares what comes out. */
#include "log.h"

#include <stdbool.h>

static void trace_to(const char *where, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void trace_to(const char *where, const char *format, ...) { /* a wrapper around the wrapper */
    va_list args;
    va_start(args, format);
    own_vlog(L_INF, where, 7, "trace_to", format, args);
    va_end(args);
}

static bool open_device(int number) {
    LOG_DBG("opening device %d", number);
    if (number < 3) return true;
    LOG_ERR("device %d: %s", number, "not there");
    return false;
}

int main(void) {
    int open = 0;
    for (int i = 0; i < 5; i++) open += open_device(i);
    LOG_INF("%d devices open, %u%% of %s", open, 60u, "all");
    trace_to("bus.c", "%s=%#x", "mask", 0xF0u);
    own_log(L_ERR, "old.c", 99, "old", "by the function: %.3f", 2.5);
    return 0;
}
