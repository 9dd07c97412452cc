/* The messages as tracepoints; a unit of its own, since the tracepoint headers are C. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_tp.h"
#include "bench.h"

void bench_lttng_a(int n) {
    for (int i = 0; i < n; i++) lttng_ust_tracepoint(metalog_bench, a, bench_a, bench_b, bench_c);
}

void bench_lttng_b(int n) {
    for (int i = 0; i < n; i++) lttng_ust_tracepoint(metalog_bench, b, bench_text[i % BENCH_TEXTS], bench_c, bench_b);
}
