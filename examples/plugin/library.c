/* A library that logs where the process has a metalog and is silent elsewhere: it links and runs without one, too. */
#define METALOG_OPTIONAL
#include "metalog.h"

int library_sum(int n);

int library_sum(int n) {
    int sum = 0;
    for (int i = 1; i <= n; i++) sum += i;
    mlog_info("summed", "up_to", n, "sum", sum);
    return sum;
}
