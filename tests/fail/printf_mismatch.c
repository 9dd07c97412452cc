/* expect: format */
/* also: c++ */
#include "metalog.h"

void f(const char *text);
void f(const char *text) {
#ifdef CONTROL
    mlog_infof("%s retries", text);
#else
    mlog_infof("%d retries", text);
#endif
}
