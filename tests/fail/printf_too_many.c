/* expect: format */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_infof("%d, %d", n, n);
#else
    mlog_infof("%d", n, n);
#endif
}
