/* expect: mlog: a key has no value */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_with("request", n); mlog_info("started");
#else
    mlog_with("request", n, "peer"); mlog_info("started");
#endif
}
