/* Compiled with METALOG_LEVEL=MLOG_OFF nothing of a call remains: no message text, no reference; arguments are still checked. */
#include "metalog.h"

int costly(void);
void f(int n);
void f(int n) {
    mlog_info("needle in pairs", "n", n, "costly", costly());
    mlog_warnf("needle in a format %d %d", n, costly());
    mlog_fatal("needle at the top");
    n > 0 ? mlog_info("needle") : mlog_error("needle");
#ifdef DYNAMIC
    mlog(MLOG_ERROR, "needle at a dynamic level", "n", n);
    mlogf(MLOG_ERROR, "needle %d", n);
    if (mlog_enabled(MLOG_ERROR)) mlog_error("needle");
#endif
}
