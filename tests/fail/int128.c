/* expect: mlog: this type has no kind */
/* also: c++ */
#include "metalog.h"
__extension__ typedef __int128 wide;

void f(wide n);
void f(wide n) {
#ifdef CONTROL
    mlog_info("got", "n", (long)n);
#else
    mlog_info("got", "n", n);
#endif
}
