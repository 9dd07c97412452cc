/* The two messages as tracepoints of LTTng-UST; the layout of this file is what its macros ask for. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER metalog_bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_tp.h"
#if !defined(LTTNG_TP_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_TP_H
#include <lttng/tracepoint.h>
LTTNG_UST_TRACEPOINT_EVENT(metalog_bench, a, LTTNG_UST_TP_ARGS(long, a, double, b, int, c),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(long, a, a) lttng_ust_field_float(double, b, b) lttng_ust_field_integer(int, c, c)))
LTTNG_UST_TRACEPOINT_EVENT(metalog_bench, b, LTTNG_UST_TP_ARGS(const char *, s, int, c, double, b),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_string(s, s) lttng_ust_field_integer(int, c, c) lttng_ust_field_float(double, b, b)))
#endif
#include <lttng/tracepoint-event.h>
