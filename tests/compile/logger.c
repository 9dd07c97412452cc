/* METALOG_LOGGER: an expression that each call evaluates. */
#define METALOG_LOGGER (self->log)
#include "metalog.h"

struct server { mlog_logger *log; };
void serve(struct server *self, int n);
void serve(struct server *self, int n) {
    mlog_info("served", "n", n);
    mlog_warnf("%d left", n);
    mlog(MLOG_INFO, "dynamic");
    mlogf(MLOG_INFO, "dynamic %d", n);
    if (mlog_enabled(MLOG_DEBUG)) mlog_debug("costly");
}
