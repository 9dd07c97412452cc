/* expect: mlog: a key has no value */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_info("started", "n", n, "port", 80);
#else
    mlog_info("started", "n", n, "port");
#endif
}
