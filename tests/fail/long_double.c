/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"

void f(long double x);
void f(long double x) {
#ifdef CONTROL
    mlog_info("got", "x", (double)x);
#else
    mlog_info("got", "x", x);
#endif
}
