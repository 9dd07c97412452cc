/* expect: mlog: a format is missing */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_infof("started %d", n);
#else
    (void)n, mlog_infof();
#endif
}
