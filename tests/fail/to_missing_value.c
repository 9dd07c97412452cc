/* expect: mlog: a key has no value */
/* also: c++ */
#include "metalog.h"

void f(mlog_logger *lg);
void f(mlog_logger *lg) {
#ifdef CONTROL
    mlog_to(lg, MLOG_INFO, "started", "n", 1);
#else
    mlog_to(lg, MLOG_INFO, "started", "n");
#endif
}
