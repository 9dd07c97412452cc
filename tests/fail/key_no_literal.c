/* expect: mlog: the message and each key must be a string literal */
/* also: c++ */
#include "metalog.h"

void f(const char *key);
void f(const char *key) {
#ifdef CONTROL
    mlog_info("started", "key", key);
#else
    mlog_info("started", key, 1);
#endif
}
