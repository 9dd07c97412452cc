/* expect: mlog: a format must be a string literal; mlog_vprintf takes others */
/* also: c++ */
#include "metalog.h"

void f(const char *text);
void f(const char *text) {
#ifdef CONTROL
    mlog_infof("%s", text);
#else
    mlog_infof(text, 1);
#endif
}
