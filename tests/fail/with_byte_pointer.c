/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"

void f(const unsigned char *x);
void f(const unsigned char *x) {
#ifdef CONTROL
    mlog_with("x", (const void *)x);
#else
    mlog_with("x", x);
#endif
}
