/* expect: mlog: more than 16 arguments; use mlog_vprintf */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_infof("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d ", n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
#else
    mlog_infof("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d", n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
#endif
}
