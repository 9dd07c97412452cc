/* What the parts of the benchmark share: the arguments of the messages, and how a peer is driven. C11 and C++17. */
#ifndef BENCH_H
#define BENCH_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_TEXTS = 64 };

/* Volatile, so that no compiler computes a message in advance. text: 16 to 32 bytes, of varying length. */
extern volatile int64_t bench_a;
extern volatile double bench_b;
extern volatile int bench_c;
extern const char *volatile bench_text[BENCH_TEXTS];

/* Another logger. start: path NULL means its own null output, else a new file; false when it does not work here, and `missing`
 * then says why. a, b: n calls of the messages A and B. drain: returns when every line is where it belongs. */
typedef struct {
    const char *name, *missing, *null_does;
    bool (*start)(const char *path);
    void (*a)(int n), (*b)(int n), (*drain)(void), (*stop)(void);
    bool text; /* writes one line a record, so that the lines can be counted */
} bench_peer;

extern bench_peer bench_peers[];
extern const int bench_peers_count;

void bench_lttng_a(int n);
void bench_lttng_b(int n);
#ifdef __cplusplus
}
#endif
#endif
