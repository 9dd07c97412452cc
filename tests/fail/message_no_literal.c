/* expect: mlog: the message and each key must be a string literal */
/* also: c++ */
#include "metalog.h"

void f(const char *text);
void f(const char *text) {
#ifdef CONTROL
    mlog_info("text", "text", text);
#else
    mlog_info(text, "n", 1);
#endif
}
