/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"

void f(const wchar_t *p);
void f(const wchar_t *p) {
#ifdef CONTROL
    mlog_info("got", "at", (const void *)p);
#else
    mlog_info("got", "text", p);
#endif
}
