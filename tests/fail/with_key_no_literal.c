/* expect: error */
/* also: c++ */
#include "metalog.h"

void f(const char *key);
void f(const char *key) {
#ifdef CONTROL
    mlog_with("key", key);
#else
    mlog_with(key, 1);
#endif
}
