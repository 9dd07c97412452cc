/* What a call and the flusher cost, as ratios to floors that are measured in the same run.   make bench
 *
 * floor        read the CPU counter, store 32 bytes, release-store an index: what no logger with such records can go below
 * write floor  write(2) of the same bytes to the same kind of file, in blocks of 256 KiB
 * Bursts of 1,000 calls, the rings drained between them; medians of many interleaved bursts. Producer on core 0. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <sched.h>

enum { CALLS = 1000, BURSTS = 301, KINDS = 10 };
static const char *const kind_name[KINDS] = {"floor (counter, 32 bytes)", "A  long, double, int", "B  25-byte string, int, double", "C  printf, 2 ints, string",
    "D  8 pairs", "E  A inside a context", "   A on a named logger", "   A with a mlog_value (hex)", "F  disabled", "   empty loop"};

static uint64_t area[1 << 17], floor_head __attribute__((aligned(64)));
static double ns_per_tick;

static double now_ns(void) { return (double)mlog__clock_counter() * ns_per_tick; }

static void calibrate(void) {
    uint64_t ticks = mlog__clock_counter();
    int64_t ns = mlog__platform_clock(CLOCK_MONOTONIC);
    usleep(200000);
    ns = mlog__platform_clock(CLOCK_MONOTONIC) - ns;
    ns_per_tick = (double)ns / (double)(mlog__clock_counter() - ticks);
}

static void floor_store(int64_t a, int c) {
    uint64_t head = floor_head, *p = (uint64_t *)(void *)((char *)area + (head & 0xFFFFF));
    p[0] = 1;
    p[1] = mlog__clock_counter();
    p[2] = (uint64_t)a;
    p[3] = (uint64_t)c;
    __atomic_store_n(&floor_head, head + 32, __ATOMIC_RELEASE);
}

/* One burst; ns per call. The arguments are volatile, so that nothing is computed in advance. */
static double burst(int kind, mlog_logger *lg) {
    static volatile int64_t a = 12345;
    static volatile double b = 1.25;
    static volatile int c = 7;
    static char text[] = "a symbol of 25 characters";
    static char *volatile s = text;
    mlog_context *context = kind == 5 ? mlog_context_new("task", 42, "tenant", "acme") : NULL;
    mlog_context *left = mlog_context_swap(context);
    double start = now_ns();
    switch (kind) {
    case 0: for (int i = 0; i < CALLS; i++) floor_store(a, c); break;
    case 1: for (int i = 0; i < CALLS; i++) mlog_info("A", "a", a, "b", b, "c", c); break;
    case 2: for (int i = 0; i < CALLS; i++) mlog_info("B", "s", s, "c", c, "b", b); break;
    case 3: for (int i = 0; i < CALLS; i++) mlog_infof("C %d %d %s", c, c, s); break;
    case 4: for (int i = 0; i < CALLS; i++) mlog_info("D", "a", a, "b", b, "c", c, "d", a, "e", b, "f", c, "g", a, "h", b); break;
    case 5: for (int i = 0; i < CALLS; i++) mlog_info("E", "a", a, "b", b, "c", c); break;
    case 6: for (int i = 0; i < CALLS; i++) mlog_to(lg, MLOG_INFO, "A", "a", a, "b", b, "c", c); break;
    case 7: for (int i = 0; i < CALLS; i++) mlog_info("A", "a", a, "b", b, "c", mlog_hex((uint64_t)a)); break;
    case 8: for (int i = 0; i < CALLS; i++) mlog_debug("F", "a", a, "b", b, "c", c); break;
    default: for (int i = 0; i < CALLS; i++) __asm__ volatile("" : : : "memory"); break;
    }
    double ns = (now_ns() - start) / CALLS;
    mlog_context_unref(mlog_context_swap(left));
    return ns;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double middle(double *list, int n) {
    qsort(list, (size_t)n, sizeof *list, by_value);
    return list[n / 2];
}

static void calls(const char *clock_name) {
    static double took[KINDS][BURSTS], ratio[KINDS][BURSTS];
    mlog_logger *lg = mlog_named("bench.named");
    for (int kind = 0; kind < KINDS; kind++) burst(kind, lg); /* registration, first touch */
    mlog_flush(10000);
    for (int i = 0; i < BURSTS; i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            took[kind][i] = burst(kind, lg);
            ratio[kind][i] = took[kind][i] / took[0][i];
            mlog_flush(10000);
        }
    }
    printf("calls, clock %s\n  %-32s %8s %8s   %s\n", clock_name, "", "ns", "x floor", "ns at 10 % .. 90 % of the bursts");
    for (int kind = 0; kind < KINDS; kind++) {
        double ns = middle(took[kind], BURSTS), times = middle(ratio[kind], BURSTS);
        printf("  %-32s %8.2f %8.3f   %.2f .. %.2f\n", kind_name[kind], ns, times, took[kind][BURSTS / 10], took[kind][BURSTS * 9 / 10]);
    }
}

/* Lines per second until the bytes are with the kernel, and the same bytes by write(2) alone, to a fresh file each. */
static void throughput(const char *path, bool is_file) {
    enum { LINES = 1000000, RUNS = 5 };
    double rate[RUNS], floor_rate[RUNS], share[RUNS];
    static char block[256 << 10];
    memset(block, 'x', sizeof block);
    uint64_t bytes = 0;
    for (int run = 0; run < RUNS; run++) {
        if (is_file) unlink(path);
        mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = path}}};
        if (mlog_init(&config) != 0) printf("%s\n", mlog_why());
        double start = now_ns();
        for (int i = 0; i < LINES; i++) mlog_info("order accepted", "symbol", "ACME", "qty", i, "price", 99.25);
        mlog_flush(60000);
        rate[run] = LINES / (now_ns() - start) * 1e3;
        mlog_sink_stats stats;
        mlog_sink_stats_read("file", &stats);
        bytes = stats.bytes / LINES;
        if (is_file) unlink(path);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        start = now_ns();
        for (uint64_t done = 0; done < bytes * LINES; done += sizeof block)
            if (write(fd, block, sizeof block) < 0) break;
        floor_rate[run] = LINES / (now_ns() - start) * 1e3;
        close(fd);
        share[run] = rate[run] / floor_rate[run];
    }
    double lines = middle(rate, RUNS), alone = middle(floor_rate, RUNS), times = middle(share, RUNS); /* sorted from here on */
    printf("  %-24s %6.2f million lines/s (%.2f .. %.2f), %d bytes a line; write(2) alone %.1f; ratio %.3f\n", path, lines, rate[0],
           rate[RUNS - 1], (int)bytes, alone, times);
    if (is_file) unlink(path);
}

/* What a line costs the flusher, CPU time of its thread, in each format; nothing is written. */
static void formats(void) {
    enum { LINES = 200000, RUNS = 9, FORMATS = 6 };
    static const struct { const char *name; mlog_format format; const char *pattern; } list[FORMATS] = {
        {"JSON", MLOG_JSON, NULL}, {"LOGFMT", MLOG_LOGFMT, NULL}, {"PRETTY", MLOG_PRETTY, NULL}, {"PLAIN", MLOG_PLAIN, NULL},
        {"PATTERN, as zlog", MLOG_PATTERN, "%d.%ms %-6V (%c:%F:%L) %m%P%n"},
        {"PATTERN, as Python", MLOG_PATTERN, "[%(asctime)s] %(levelname)s: %(name)s: %(message)s"}};
    double took[FORMATS][RUNS], json[FORMATS][RUNS], pretty[FORMATS][RUNS];
    for (int run = 0; run < RUNS; run++)
        for (int i = 0; i < FORMATS; i++) {
            mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = list[i].format}}};
            config.sinks[0].pattern = list[i].pattern;
            clockid_t clock;
            if (mlog_init(&config) != 0 || pthread_getcpuclockid(mlog__flush_all.thread0, &clock) != 0) return;
            int64_t start = mlog__platform_clock(clock);
            for (int k = 0; k < LINES; k++) mlog_info("order accepted", "symbol", "ACME", "qty", k, "price", 99.25);
            mlog_flush(60000);
            took[i][run] = (double)(mlog__platform_clock(clock) - start) / LINES;
            json[i][run] = took[i][run] / took[0][run];
        }
    for (int run = 0; run < RUNS; run++)
        for (int i = 0; i < FORMATS; i++) pretty[i][run] = took[i][run] / took[2][run];
    printf("formats, CPU time of the flusher\n  %-32s %8s %8s %8s\n", "", "ns/line", "x JSON", "x PRETTY");
    for (int i = 0; i < FORMATS; i++)
        printf("  %-32s %8.1f %8.3f %8.3f\n", list[i].name, middle(took[i], RUNS), middle(json[i], RUNS),
               middle(pretty[i], RUNS));
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "build/bench.log";
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    calibrate();
    for (int i = 0; i < 2; i++) {
        mlog_config config = {.clock = i == 0 ? MLOG_COUNTER : MLOG_ARRIVAL, .sinks = {{.type = MLOG_NULL}}};
        if (mlog_init(&config) != 0) return puts(mlog_why()), 1;
        sched_setaffinity(0, sizeof first, &first); /* behind mlog_init: the flusher stays free to use the other core */
        calls(i == 0 ? "counter" : "arrival");
    }
    formats();
    printf("JSON, one thread, one flusher\n");
    throughput("/dev/null", false);
    throughput(path, true);
    return 0;
}
