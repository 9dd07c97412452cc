/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"
struct point { int x, y; };

void f(struct point p);
void f(struct point p) {
#ifdef CONTROL
    mlog_with("x", p.x);
#else
    mlog_with("at", p);
#endif
}
