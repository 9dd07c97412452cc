/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"

void f(long double x);
void f(long double x) {
#ifdef CONTROL
    mlog_with("x", (double)x);
#else
    mlog_with("x", x);
#endif
}
