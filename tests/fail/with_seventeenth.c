/* expect: mlog: more than 16 pairs */
/* also: c++ */
#include "metalog.h"

void f(int n);
void f(int n) {
#ifdef CONTROL
    mlog_with("k1", n, "k2", n, "k3", n, "k4", n, "k5", n, "k6", n, "k7", n, "k8", n, "k9", n, "k10", n, "k11", n, "k12", n, "k13", n, "k14", n, "k15", n, "k16", n);
#else
    mlog_with("k1", n, "k2", n, "k3", n, "k4", n, "k5", n, "k6", n, "k7", n, "k8", n, "k9", n, "k10", n, "k11", n, "k12", n, "k13", n, "k14", n, "k15", n, "k16", n, "k17", n);
#endif
}
