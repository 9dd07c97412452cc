/* expect: mlog: this type has no kind: use mlog_str, mlog_bytes */
/* also: c++ */
#include "metalog.h"

void f(const unsigned char *p);
void f(const unsigned char *p) {
#ifdef CONTROL
    mlog_info("got", "bytes", mlog_bytes(p, 4));
#else
    mlog_info("got", "bytes", p);
#endif
}
