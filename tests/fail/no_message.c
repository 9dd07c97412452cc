/* expect: mlog: a message is missing */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_info("started", "n", n);
#else
    (void)n, mlog_info();
#endif
}
