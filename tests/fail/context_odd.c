/* expect: mlog: a key has no value */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_context_unref(mlog_context_new("request", n));
#else
    (void)n, mlog_context_unref(mlog_context_new("request"));
#endif
}
