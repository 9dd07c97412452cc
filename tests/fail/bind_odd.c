/* expect: mlog: a key has no value */
/* also: c++ */
#include "metalog.h"

void f(mlog_logger *lg);
void f(mlog_logger *lg) {
#ifdef CONTROL
    mlog_unbind(mlog_bind(lg, "request", 1));
#else
    mlog_unbind(mlog_bind(lg, "request"));
#endif
}
