/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"
struct point { int x, y; };

void f(struct point p);
void f(struct point p) {
#ifdef CONTROL
    mlog(MLOG_INFO, "moved", "x", p.x, "y", p.y);
#else
    mlog(MLOG_INFO, "moved", "to", p);
#endif
}
