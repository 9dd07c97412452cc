/* The benchmark of metalog.h: `make bench` builds and runs it; README, "Benchmark", says how to read it.
 *
 *   bench_core RESULT DIRECTORY [quick|smoke]      everything but compile times and code sizes, which bench/run.sh adds
 *   bench_core memory N                            a process of its own: peak memory after N messages
 *   bench_core rings yes|no                        a process of its own: calls into rings that survive it, or into others
 *
 * The floor of a call reads the CPU counter, stores 32 bytes and release-stores an index: no logger with such records can do
 * less. */
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_LOGC
#define METALOG_SHIM_SYSLOG
#define MLOG__SHIM_TAKE(name, function) /* the other loggers' own calls reach libc */
#define METALOG_TOOL 2 /* the reader of binary files, without the tool's main */
#include "../metalog.h"
#include "bench.h"
#include "measure.h"

volatile int64_t bench_a = 12345;
volatile double bench_b = 1.25;
volatile int bench_c = 7;
const char *volatile bench_text[BENCH_TEXTS];
static char texts[BENCH_TEXTS][40];
static const char *directory, *self;

enum { CALLS = 1000 };

/* ---- floors: not inlined, and their memory is reached through volatile pointers, so that every store is made ---- */

static struct {
    char *volatile area;
    uint64_t head __attribute__((aligned(128)));
    char fill[120];
} ground;

__attribute__((noinline)) void floor_both(int n);
__attribute__((noinline)) void floor_store(int n);
__attribute__((noinline)) void floor_counter(int n);

static inline void store_32(char *area, uint64_t time, int64_t a, uint64_t b) {
    uint64_t head = ground.head, *p = (uint64_t *)(void *)(area + (head & 0xFFFFF));
    p[0] = 1;
    p[1] = time;
    p[2] = (uint64_t)a;
    p[3] = b;
    __atomic_store_n(&ground.head, head + 32, __ATOMIC_RELEASE);
}

void floor_both(int n) {
    char *area = ground.area;
    for (int i = 0; i < n; i++) store_32(area, mlog__clock_counter(), bench_a, (uint64_t)bench_c);
    __asm__ volatile("" : : "r"(area) : "memory");
}

void floor_store(int n) {
    char *area = ground.area;
    for (int i = 0; i < n; i++) store_32(area, 1, bench_a, (uint64_t)bench_c);
    __asm__ volatile("" : : "r"(area) : "memory");
}

void floor_counter(int n) {
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += mlog__clock_counter();
        __asm__ volatile("" : "+r"(sum));
    }
}

static void loop_empty(int n) {
    for (int i = 0; i < n; i++) __asm__ volatile("" : : : "memory");
}

/* As many instructions as A executes, that wait for nothing: what this machine's core issues at best, beside whoever shares it. */
static void sixty_additions(int n) {
#if defined(__x86_64__)
#define TEN "inc %%rax; inc %%rcx; inc %%rdx; inc %%rsi; inc %%r8; inc %%r9; inc %%r10; inc %%r11; inc %%r12; inc %%r13;"
    for (int i = 0; i < n; i++)
        __asm__ volatile(TEN TEN TEN TEN TEN TEN : : : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "cc");
#else
    for (int i = 0; i < n; i++) __asm__ volatile("" : : : "memory");
#endif
}

/* ---- the calls ---- */

static void call_a(int n) {
    for (int i = 0; i < n; i++) mlog_info("A", "a", bench_a, "b", bench_b, "c", bench_c);
}
static void call_b(int n) {
    for (int i = 0; i < n; i++) mlog_info("B", "s", bench_text[i % BENCH_TEXTS], "c", bench_c, "b", bench_b);
}
static void call_c(int n) {
    for (int i = 0; i < n; i++) mlog_infof("C %d %d %s", bench_c, bench_c, bench_text[i % BENCH_TEXTS]);
}
static void call_d(int n) {
    for (int i = 0; i < n; i++)
        mlog_info("D", "a", bench_a, "b", bench_b, "c", bench_c, "d", bench_a, "e", bench_b, "f", bench_c, "g", bench_a, "h",
                  bench_b);
}
static void call_e(int n) {
    mlog_with("task", 42, "tenant", "acme");
    call_a(n);
}
static void call_named(int n) {
    static mlog_logger *lg;
    if (lg == NULL) lg = mlog_named("bench.named");
    for (int i = 0; i < n; i++) mlog_to(lg, MLOG_INFO, "A", "a", bench_a, "b", bench_b, "c", bench_c);
}
static void call_hex(int n) {
    for (int i = 0; i < n; i++) mlog_info("A", "a", bench_a, "b", bench_b, "c", mlog_hex((uint64_t)bench_a));
}
static void call_off(int n) {
    for (int i = 0; i < n; i++) mlog_debug("F", "a", bench_a, "b", bench_b, "c", bench_c);
}

static void call_shim(int n) {
    for (int i = 0; i < n; i++) log_info("G %d %d %s", bench_c, bench_c, bench_text[i % BENCH_TEXTS]);
}

typedef struct {
    const char *label;
    void (*calls)(int n);
    int to;
} kind; /* to: index of the floor that its ratio is to */

static double burst(void (*calls)(int n)) {
    uint64_t start = tick();
    calls(CALLS);
    return since(start) / CALLS;
}

static bool start(const mlog_config *config) {
    if (mlog_init(config) != 0) return false;
    mlog_info("started", "n", 1); /* the flusher runs, this thread has its ring */
    mlog_flush(10000);
    pin(0, 0);
    for (int i = 0; i < 1000 && pin_others(NULL) == 0; i++) usleep(1000);
    return true;
}

enum { KINDS = 14, ROUNDS_MAX = 101, TO_EMPTY = 3, TO_PRINTF = 6 };
static const kind call_kinds[KINDS] = {{"floor: counter, 32 bytes, index", floor_both, 0},
                                       {"floor: 32 bytes, index", floor_store, 0},
                                       {"floor: counter alone", floor_counter, 0},
                                       {"empty loop", loop_empty, 0},
                                       {"A  int64, double, int", call_a, 0},
                                       {"B  16-32 byte string, int, double", call_b, 0},
                                       {"C  printf: 2 ints, string", call_c, 0},
                                       {"D  8 pairs", call_d, 0},
                                       {"E  A inside a context", call_e, 0},
                                       {"F  disabled", call_off, TO_EMPTY},
                                       {"60 additions that wait for nothing", sixty_additions, 0},
                                       {"A on a named logger", call_named, 0},
                                       {"A with a mlog_value (hex)", call_hex, 0},
                                       {"G  C through the shim of log.c", call_shim, TO_PRINTF}};
static mlog_clock clock_now;

/* A run: ROUNDS times a burst of each kind, in turns, with empty rings before each. */
static void calls_once(void) {
    static double took[KINDS][ROUNDS_MAX], times[KINDS][ROUNDS_MAX];
    int rounds = bench.smoke ? 5 : bench.quick ? 21 : ROUNDS_MAX;
    mlog_config config = {.clock = clock_now, .full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL}}};
    if (!start(&config)) return;
    for (int k = 0; k < KINDS; k++) call_kinds[k].calls(CALLS); /* registration, first touch */
    mlog_flush(10000);
    int floor = clock_now == MLOG_ARRIVAL ? 1 : 0;
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < KINDS; k++) {
            took[k][i] = burst(call_kinds[k].calls);
            mlog_flush(10000);
        }
        for (int k = 0; k < KINDS; k++) times[k][i] = took[k][i] / took[call_kinds[k].to == 0 ? floor : call_kinds[k].to][i];
    }
    const char *name = clock_now == MLOG_ARRIVAL ? "floor without counter" : "floor with counter";
    for (int k = 0; k < KINDS; k++)
        put(quantile(took[k], rounds, 0.5), "ns", quantile(times[k], rounds, 0.5), call_kinds[k].to == TO_EMPTY ? "empty loop" : call_kinds[k].to == TO_PRINTF ? "C" : name,
            "%s", call_kinds[k].label);
}

/* Rings become files once, and stay so: each kind has processes of its own. */
static int rings(bool safe) {
    static double took[2][ROUNDS_MAX];
    mlog_config config = {.crash_safe = safe ? MLOG_YES : MLOG_NO, .full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL}}};
    if (!start(&config) || (mlog__store.on != 0) != safe) return fprintf(stderr, "%s\n", mlog_why()), 1;
    call_a(CALLS), call_b(CALLS);
    mlog_flush(10000);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        took[0][i] = burst(call_a);
        mlog_flush(10000);
        took[1][i] = burst(call_b);
        mlog_flush(10000);
    }
    return printf("%.4f %.4f\n", quantile(took[0], ROUNDS_MAX, 0.5), quantile(took[1], ROUNDS_MAX, 0.5)) < 0;
}

static bool rings_in_process(const char *which, double ns[2]) {
    char command[512];
    snprintf(command, sizeof command, "%s rings %s", self, which);
    FILE *f = popen(command, "r");
    bool read = f != NULL && fscanf(f, "%lf %lf", &ns[0], &ns[1]) == 2;
    return (f == NULL || pclose(f) == 0) && read;
}

/* In turns, several of each: the difference is smaller than that between two processes of the same kind. */
static void rings_once(void) {
    enum { RINGS_TURNS = 7 };
    double a[2][RINGS_TURNS], b[2][RINGS_TURNS], ns[2];
    int turns = bench.smoke ? 1 : bench.quick ? 3 : RINGS_TURNS;
    for (int i = 0; i < turns; i++)
        for (int safe = 0; safe < 2; safe++) {
            if (!rings_in_process(safe ? "yes" : "no", ns)) return;
            a[safe][i] = ns[0], b[safe][i] = ns[1];
        }
    double plain_a = quantile(a[0], turns, 0.5), plain_b = quantile(b[0], turns, 0.5), safe_a = quantile(a[1], turns, 0.5),
           safe_b = quantile(b[1], turns, 0.5);
    put(plain_a, "ns", 1, "itself", "A, rings that die with the process");
    put(safe_a, "ns", safe_a / plain_a, "the same without", "A, crash-safe rings");
    put(plain_b, "ns", 1, "itself", "B, rings that die with the process");
    put(safe_b, "ns", safe_b / plain_b, "the same without", "B, crash-safe rings");
}

static void measure_calls(void) {
    clock_now = MLOG_COUNTER;
    measure("calls, counter", calls_once);
    measure("crash-safe rings", rings_once);
    clock_now = MLOG_ARRIVAL;
    measure("calls, arrival", calls_once);
}

/* ---- single calls, beside single floors ---- */

static struct {
    double gap_ns;
    int samples, kinds;
    bool sleeps;
    const char *name;
} single;

/* Floor, A and, at short pauses, B in turns; before each the same pause. Short pauses spin on the counter; a second sleeps, as a
 * program would. */
static void single_once(void) {
    enum { THREE = 3, MOST = 8192 };
    static double took[THREE][MOST];
    static const char *const name[THREE] = {"floor", "A", "B"};
    static void (*const call[THREE])(int) = {floor_both, call_a, call_b};
    static void (*const store[THREE])(int) = {floor_store, call_a, call_b};
    static const struct {
        double q;
        const char *name;
    } at[] = {{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}, {1, "max"}};
    mlog_config config = {.clock = clock_now, .full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL}}};
    if (!start(&config)) return;
    for (int k = 0; k < THREE; k++) (clock_now == MLOG_ARRIVAL ? store : call)[k](BENCH_TEXTS);
    mlog_flush(10000);
    uint64_t gap = (uint64_t)(single.gap_ns / bench.ns_per_tick), next = tick();
    for (int i = 0; i < single.samples; i++)
        for (int k = 0; k < single.kinds; k++) {
            if (single.sleeps) usleep((useconds_t)(single.gap_ns / 1000));
            else {
                next = tick() > next + gap ? tick() + gap : next + gap;
                wait_until(next);
            }
            void (*one)(int) = (clock_now == MLOG_ARRIVAL ? store : call)[k];
            uint64_t begin = tick();
            one(1);
            took[k][i] = fmax(0, since(begin));
        }
    for (size_t q = 0; q < sizeof at / sizeof *at; q++) {
        if (at[q].q < 1 && single.samples * (1 - at[q].q) < 0.99) continue; /* fewer samples than the quantile needs */
        double floor = fmax(bench.timer_step, quantile(took[0], single.samples, at[q].q)); /* it cannot be told from less */
        for (int k = 0; k < single.kinds; k++) {
            double ns = quantile(took[k], single.samples, at[q].q);
            put(ns, "ns", ns / floor, "the floor's own", "%s  %s  %s", single.name, name[k], at[q].name);
        }
    }
}

static void measure_singles(void) {
    static const struct {
        double gap;
        int full, quick;
        bool sleeps;
        const char *name;
    } list[] = {
        {50e3, 4000, 1000, false, "every 50 us"}, {2e6, 1000, 40, false, "every 2 ms"}, {1e9, 2, 0, true, "after 1 s idle"}};
    for (int c = 0; c < 2; c++)
        for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
            single.gap_ns = bench.smoke && list[i].gap > 1e8 ? 1.2e8 : list[i].gap;
            single.samples = bench.smoke ? 20 : bench.quick ? list[i].quick : list[i].full;
            if (bench.smoke && list[i].sleeps) single.samples = 1;
            if (c == 1 && list[i].full < 1000) continue; /* the wake-up is the same */
            if (bench.quick && list[i].sleeps) single.samples = 1;
            single.sleeps = list[i].sleeps;
            single.name = list[i].name;
            single.kinds = list[i].gap < 1e6 ? 3 : 2;
            clock_now = c == 0 ? MLOG_COUNTER : MLOG_ARRIVAL;
            measure(c == 0 ? "single calls, counter" : "single calls, arrival", single_once);
        }
}

/* ---- lines a second ---- */

static struct {
    const char *name;
    mlog_format format;
    const char *pattern;
} const formats[] = {{"JSON", MLOG_JSON, NULL},
                     {"LOGFMT", MLOG_LOGFMT, NULL},
                     {"PRETTY", MLOG_PRETTY, NULL},
                     {"PATTERN", MLOG_PATTERN, "%d.%ms %-6V (%c:%F:%L) %m%P%n"},
                     {"BINARY", MLOG_BINARY, NULL}};
enum { FORMATS = sizeof formats / sizeof *formats };
static struct {
    int format, threads;
    bool null, as_peers; /* as_peers: the message that the other loggers get */
    long lines;
} flow;
static double json_rate; /* million lines/s of the newest run to a file from one thread, for ratios to the floors */
static long json_bytes;

static void *producer(void *arg) {
    long n = *(long *)arg;
    if (flow.as_peers) call_a((int)n);
    else for (long i = 0; i < n; i++) mlog_info("filled", "sym", "ACME", "qty", (int)i, "px", 99.25);
    return NULL;
}

/* Lines in a file; also sees that the bytes are there. */
static long lines_in(const char *path) {
    static char block[1 << 20];
    long n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got; fd >= 0 && (got = read(fd, block, sizeof block)) > 0;)
        for (const char *p = block; (p = memchr(p, '\n', (size_t)(block + got - p))) != NULL; p++) n++;
    if (fd >= 0) close(fd);
    return n;
}

static void flow_path(char *path, size_t size) {
    if (flow.null) snprintf(path, size, "/dev/null");
    else snprintf(path, size, "%s/flow.log", directory);
}

/* Million lines a second until the bytes are with the kernel; NAN when refused. */
static double flow_run(long *bytes) {
    char path[256];
    pthread_t thread[8];
    flow_path(path, sizeof path);
    if (!flow.null) unlink(path);
    mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.name = "flow", .type = MLOG_FILE, .path = path}}};
    config.sinks[0].format = formats[flow.format].format;
    config.sinks[0].pattern = formats[flow.format].pattern;
    if (!start(&config)) return NAN;
    long each = flow.lines / flow.threads, all = each * flow.threads;
    if (flow.threads > 1) pin(0, -1); /* they inherit it */
    uint64_t begin = tick();
    for (int i = 1; i < flow.threads; i++)
        if (pthread_create(&thread[i], NULL, producer, &each) != 0) return NAN;
    producer(&each);
    for (int i = 1; i < flow.threads; i++) pthread_join(thread[i], NULL);
    mlog_flush(120000);
    double rate = (double)all / since(begin) * 1e3;
    mlog_sink_stats stats;
    mlog_sink_stats_read("flow", &stats);
    *bytes = (long)(stats.bytes / stats.written);
    bool whole = flow.null || formats[flow.format].format == MLOG_BINARY || lines_in(path) == all + 1; /* and "started" */
    if (!flow.null) unlink(path);
    return whole && stats.written >= (uint64_t)all ? rate : NAN;
}

/* The same bytes by write(2) alone, to a new file. */
static double write_rate(size_t block, long bytes) {
    static char data[512 << 10];
    char path[256];
    memset(data, 'x', sizeof data);
    flow_path(path, sizeof path);
    if (!flow.null) unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    uint64_t begin = tick();
    for (long done = 0; done < bytes * flow.lines; done += (long)block)
        if (write(fd, data, block) != (ssize_t)block) return close(fd), NAN;
    double rate = (double)flow.lines / since(begin) * 1e3;
    close(fd);
    if (!flow.null) unlink(path);
    return rate;
}

static double memcpy_rate(long bytes) {
    static char from[256 << 10];
    size_t room = 64 << 20;
    char *to = malloc(room);
    if (to == NULL) return NAN;
    memset(to, 1, room);
    uint64_t begin = tick();
    for (long done = 0; done < bytes * flow.lines; done += (long)sizeof from) {
        memcpy(to + (size_t)done % room, from, sizeof from);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    double rate = (double)flow.lines / since(begin) * 1e3;
    free(to);
    return rate;
}

static void flow_once(void) {
    static const int threads[] = {1, 2, 4};
    flow.lines = bench.smoke ? 20000 : bench.quick ? 200000 : 4000000;
    for (int null = 0; null < 2; null++) {
        flow.null = null;
        const char *where = null ? "/dev/null" : "file";
        for (flow.format = 0; flow.format < FORMATS; flow.format++) {
            double alone = NAN;
            for (size_t t = 0; t < 3; t++) {
                long bytes = 0;
                flow.threads = threads[t];
                double rate = flow_run(&bytes), floor = isnan(rate) ? NAN
                                                        : null      ? memcpy_rate(bytes)
                                                                    : write_rate(256 << 10, bytes);
                if (isnan(rate)) break;
                if (t == 0) alone = rate;
                if (t == 0 && flow.format == 0 && !null) json_rate = rate, json_bytes = bytes;
                const char *name = formats[flow.format].name;
                row *r =
                    t == 0
                        ? put(rate, "M lines/s", rate / floor, null ? "memcpy of the same bytes" : "write(2) of the same bytes",
                              "%s to %s, 1 thread", name, where)
                        : put(rate, "M lines/s", rate / alone, "1 thread", "%s to %s, %d threads", name, where, threads[t]);
                snprintf(r->note, sizeof r->note, "%ld bytes a line%s", bytes, t == 0 ? "" : "; threads not pinned");
            }
        }
    }
    flow.null = false;
    for (size_t kib = 64; kib <= 512; kib *= 2) {
        if (kib == 128) continue;
        double rate = write_rate(kib << 10, json_bytes);
        put(rate, "M lines/s", rate / json_rate, "JSON to file", "floor: write(2) in %d KiB blocks", (int)kib);
    }
    double rate = memcpy_rate(json_bytes);
    put(rate, "M lines/s", rate / json_rate, "JSON to file", "floor: memcpy of the JSON bytes");
}

/* ---- reading a binary log: as `metalog stats` and `metalog cat` do, without their output ---- */

/* Seconds for all records of the file, counted or made JSON lines of, which are thrown away; NAN when there are not so many. */
static double read_seconds(const char *path, long records, bool text) {
    mlog__tool_input *in = calloc(1, sizeof *in);
    long n = 0;
    in->path = path;
    uint64_t begin = tick();
    mlog__tool_open(in);
    for (; mlog__tool_advance(in); n++) {
        if (!text) mlog__tool_tally(in);
        else mlog__tool_emit(in, &mlog__tool.out);
        if (mlog__tool.out.len >= MLOG__BATCH) mlog__tool.out.len = 0;
    }
    double seconds = since(begin) / 1e9;
    bool whole = n >= records && in->reader != NULL && in->reader->why == NULL;
    mlog__tool.out.len = 0;
    mlog__reader_close(in->reader);
    close(in->fd);
    free(in);
    return whole ? seconds : NAN;
}

static void read_once(void) {
    static char block[1 << 20];
    char path[256];
    struct stat st = {0};
    long records = bench.smoke ? 20000 : bench.quick ? 1000000 : 20000000;
    snprintf(path, sizeof path, "%s/read.bin", directory);
    unlink(path);
    mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .format = MLOG_BINARY, .path = path}}};
    if (!start(&config)) return;
    producer(&records);
    mlog_shutdown(120000);
    stat(path, &st);
    uint64_t begin = tick();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (read(fd, block, sizeof block) > 0) {}
    close(fd);
    double floor = since(begin) / 1e9, counted = read_seconds(path, records, false), lines = read_seconds(path, records, true);
    double gigabytes = (double)st.st_size / 1e9;
    put(gigabytes / counted, "GB/s", floor / counted, "read(2) of the same bytes", "metalog stats");
    put((double)records / lines / 1e6, "M records/s", floor / lines, "read(2) of the same bytes", "metalog cat: to JSON");
    unlink(path);
}

/* ---- what a line costs the flusher: CPU time of its thread, formatted, nothing written ---- */

/* The kernel's name for the CPU time of one thread (include/linux/posix-timers.h); libc has it for its own pthread_t only. */
static clockid_t cpu_clock(pid_t thread) { return (clockid_t)(~(unsigned)thread << 3 | 6u); }

static double flusher_cpu(const mlog_config *config, void (*calls)(int n), int n) {
    pid_t flusher = 0;
    if (!start(config) || pin_others(&flusher) == 0) return NAN;
    clockid_t clock = cpu_clock(flusher);
    double begin = clock_ns(clock);
    calls(n);
    mlog_flush(60000);
    return (clock_ns(clock) - begin) / n;
}

static void order(int n) { producer(&(long){n}); }

static void formats_once(void) {
    int lines = bench.smoke ? 5000 : bench.quick ? 50000 : 300000;
    double json = NAN;
    for (int i = 0; i < FORMATS; i++) {
        mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = formats[i].format}}};
        config.sinks[0].pattern = formats[i].pattern;
        double ns = flusher_cpu(&config, order, lines);
        if (isnan(ns)) continue;
        if (i == 0) json = ns;
        put(ns, "ns", ns / json, "JSON", "%s, a line", formats[i].name);
    }
}

/* ---- growth ---- */

static void grow_sinks_once(void) {
    static const int list[] = {1, 2, 4, 8};
    int lines = bench.smoke ? 2000 : bench.quick ? 20000 : 100000;
    double call = NAN, line_one = NAN;
    for (size_t i = 0; i < 4; i++) {
        mlog_config config = {.full = MLOG_BLOCK};
        char name[8][8];
        for (int s = 0; s < list[i]; s++) {
            snprintf(name[s], sizeof name[s], "s%d", s);
            config.sinks[s] = (mlog_sink_config){.name = name[s], .type = MLOG_NULL, .format = MLOG_JSON};
        }
        double ns = flusher_cpu(&config, call_a, lines), took[21];
        for (int b = 0; b < 21; b++) mlog_flush(10000), took[b] = burst(call_a);
        double a = quantile(took, 21, 0.5);
        if (i == 0) call = a, line_one = ns;
        put(a, "ns", a / call, "1 sink", "a call, %d sink%s", list[i], i ? "s" : "");
        put(ns, "ns", ns / line_one, "1 sink", "flusher's CPU a line, %d sink%s", list[i], i ? "s" : "");
    }
}

static void call_in(int fields) {
    if (fields == 0) {
        call_a(CALLS);
        return;
    }
    mlog_with("k1", fields, "k2", 2, "k3", "three", "k4", 4.5, "k5", true); /* an inner one of the same names would replace it */
    if (fields == 5) {
        call_a(CALLS);
        return;
    }
    mlog_with("l1", fields, "l2", 2, "l3", "three", "l4", 4.5, "l5", true);
    if (fields == 10) {
        call_a(CALLS);
        return;
    }
    mlog_with("m1", fields, "m2", 2, "m3", "three", "m4", 4.5, "m5", true, "n1", 1, "n2", 2, "n3", "three", "n4", 4.5, "n5",
              true);
    call_a(CALLS);
}
static int fields_now;
static void call_in_many(int n) {
    for (int i = 0; i < n; i += CALLS) call_in(fields_now);
}

static void grow_context_once(void) {
    static const int list[] = {0, 5, 10, 20};
    double call = NAN, line_none = NAN;
    for (size_t i = 0; i < 4; i++) {
        mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = MLOG_JSON}}};
        fields_now = list[i];
        double ns = flusher_cpu(&config, call_in_many, bench.smoke ? 2000 : bench.quick ? 20000 : 100000), took[21];
        for (int b = 0; b < 21; b++) {
            mlog_flush(10000);
            uint64_t begin = tick();
            call_in(list[i]);
            took[b] = since(begin) / CALLS;
        }
        double a = quantile(took, 21, 0.5);
        if (i == 0) call = a, line_none = ns;
        put(a, "ns", a / call, "no context", "a call, %d context fields (entered once in 1,000 calls)", list[i]);
        put(ns, "ns", ns / line_none, "no context", "flusher's CPU a line, %d context fields", list[i]);
    }
}

/* N threads are alive, each with its ring; one at a time makes a burst, on the producers' core. */
typedef struct {
    sem_t go, done;
    double ns;
    int bursts;
} turn;

static void *turner(void *arg) {
    turn *t = arg;
    call_a(CALLS);
    sem_post(&t->done);
    for (int i = 0; i < t->bursts; i++) {
        while (sem_wait(&t->go) != 0) continue;
        t->ns = burst(call_a);
        sem_post(&t->done);
    }
    return NULL;
}

static void grow_threads_once(void) {
    static const int list[] = {1, 4, 16, 64};
    static turn turns[64];
    static double took[256];
    double call = NAN;
    for (size_t i = 0; i < 4; i++) {
        int n = list[i], bursts = bench.smoke ? 1 : 64 / n < 2 ? 2 : bench.quick ? 16 / n + 1 : 64 / n, got = 0;
        pthread_t thread[64];
        mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = MLOG_JSON}}};
        if (!start(&config)) return;
        for (int k = 0; k < n; k++) {
            turns[k].bursts = bursts;
            sem_init(&turns[k].go, 0, 0);
            sem_init(&turns[k].done, 0, 0);
            if (pthread_create(&thread[k], NULL, turner, &turns[k]) != 0) fprintf(stderr, "no thread\n"), exit(1);
            while (sem_wait(&turns[k].done) != 0) continue;
        }
        for (int b = 0; b < bursts; b++)
            for (int k = 0; k < n; k++) {
                mlog_flush(10000);
                sem_post(&turns[k].go);
                while (sem_wait(&turns[k].done) != 0) continue;
                if (got < 256) took[got++] = turns[k].ns;
            }
        for (int k = 0; k < n; k++) pthread_join(thread[k], NULL);
        double a = quantile(took, got, 0.5);
        if (i == 0) call = a;
        put(a, "ns", a / call, "1 thread", "a call, %d thread%s with a ring each", n, i ? "s" : "");
    }
}

/* Sites of a generated file: 10,000 functions with a call each (1,000 in a quick run). */
#ifdef BENCH_SITES
extern void (*const bench_sites[])(int64_t a, double b, int c);
extern void (*const bench_no_sites[])(int64_t a, double b, int c); /* as many functions that do nothing */

static void grow_sites_once(void) {
    mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = MLOG_JSON}}};
    if (!start(&config)) return;
    for (int s = 0; s < BENCH_SITES; s++) bench_sites[s](1, 2, 3);
    mlog_flush(10000);
    double one = NAN;
    for (int sites = 1; sites <= BENCH_SITES; sites *= 10) {
        double with[21], without[21];
        for (int b = 0; b < 21; b++) {
            int from = sites <= CALLS ? 0 : b * CALLS % sites;
            uint64_t begin = tick();
            for (int i = 0; i < CALLS; i++) bench_sites[from + i % sites](bench_a, bench_b, bench_c);
            with[b] = since(begin) / CALLS;
            mlog_flush(10000);
            begin = tick();
            for (int i = 0; i < CALLS; i++) bench_no_sites[from + i % sites](bench_a, bench_b, bench_c);
            without[b] = since(begin) / CALLS;
        }
        double a = quantile(with, 21, 0.5) - quantile(without, 21, 0.5);
        if (sites == 1) one = a;
        put(a, "ns", a / one, "1 site", "a call, %d site%s in turn, less as many empty functions", sites, sites > 1 ? "s" : "");
    }
}
#endif

/* ---- idle, memory ---- */

static long switches_of(pid_t tid, const char *what) {
    char path[64], text[256];
    long n = -1;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tid);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(text, sizeof text, f) != NULL)
        if (strncmp(text, what, strlen(what)) == 0) n = atol(text + strlen(what));
    if (f != NULL) fclose(f);
    return n;
}

static void idle_once(void) {
    pid_t flusher = 0;
    mlog_config config = {.sinks = {{.type = MLOG_NULL}}};
    if (!start(&config)) return;
    call_a(CALLS);
    mlog_flush(10000);
    usleep(300000); /* the linger is 100 ms */
    if (pin_others(&flusher) == 0) return;
    clockid_t clock = cpu_clock(flusher);
    /* 5 runs of 2 s each are the 10 s */
    int seconds = bench.smoke || bench.quick ? 1 : 2;
    double cpu = clock_ns(clock);
    long before = switches_of(flusher, "voluntary_ctxt_switches:");
    sleep((unsigned)seconds);
    put((double)(switches_of(flusher, "voluntary_ctxt_switches:") - before), "wake-ups", NAN, NULL,
        "flusher in %d s without a call", seconds);
    put((clock_ns(clock) - cpu) / 1e3, "us", NAN, NULL, "flusher's CPU time in %d s without a call", seconds);
}

static long status_kib(const char *what) { return switches_of(getpid(), what); }

/* Prints what the process needs beyond what it had before the first call. */
static int memory(long n) {
    long before = status_kib("VmRSS:");
    mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = "/dev/null", .format = MLOG_JSON}}};
    if (mlog_init(&config) != 0) return 1;
    producer(&n);
    mlog_flush(120000);
    mlog_stats stats;
    mlog_stats_read(&stats);
    printf("%ld %ld\n", status_kib("VmHWM:") - before, (long)(stats.ring_bytes >> 10));
    return 0;
}

static void memory_once(void) {
    char command[512];
    long kib = 0, rings = 0;
    snprintf(command, sizeof command, "%s memory %d", self, bench.smoke ? 20000 : bench.quick ? 400000 : 4000000);
    FILE *f = popen(command, "r");
    if (f == NULL || fscanf(f, "%ld %ld", &kib, &rings) != 2) kib = 0;
    if (f != NULL) pclose(f);
    if (kib > 0)
        put((double)kib / 1024, "MiB", (double)kib / (double)rings, "its ring", "peak memory, %s",
            bench.smoke || bench.quick ? "fewer messages" : "4 million messages");
}

/* ---- peers ---- */

typedef struct {
    bench_peer *peer;
    double ns;
} peer_time;
static bool peer_gone[32];

static double peer_burst(void (*one)(int), void (*drain)(void)) {
    double took[ROUNDS_MAX];
    int rounds = bench.smoke ? 3 : bench.quick ? 11 : 31;
    one(CALLS);
    drain();
    for (int i = 0; i < rounds; i++) {
        took[i] = burst(one);
        drain();
    }
    return quantile(took, rounds, 0.5);
}

static void flush_all(void) { mlog_flush(60000); }
static void nothing(void) {}

static void shim_a(int n) {
    for (int i = 0; i < n; i++) mlog1_syslog(6, "A a=%ld b=%g c=%d", (long)bench_a, bench_b, bench_c);
}
static void shim_b(int n) {
    for (int i = 0; i < n; i++) mlog1_syslog(6, "B s=%s c=%d b=%g", bench_text[i % BENCH_TEXTS], bench_c, bench_b);
}
static bool is_syslog(const bench_peer *p) { return strcmp(p->name, "syslog(3)") == 0; }

static void peers_once(void) {
    mlog_config config = {.full = MLOG_BLOCK, .sinks = {{.type = MLOG_NULL, .format = MLOG_JSON}}};
    if (!start(&config)) return;
    double floor = peer_burst(floor_both, nothing), a = peer_burst(call_a, flush_all), b = peer_burst(call_b, flush_all);
    put(a, "ns", a / floor, "floor with counter", "metalog  A");
    put(b, "ns", b / floor, "floor with counter", "metalog  B");
    for (int i = 0; i < bench_peers_count; i++) {
        bench_peer *p = &bench_peers[i];
        if (peer_gone[i]) continue;
        if (!p->start(NULL)) {
            peer_gone[i] = true;
            continue;
        }
        pin(0, 0);
        pin_others(NULL);
        double pa = peer_burst(p->a, p->drain), pb = peer_burst(p->b, p->drain);
        p->stop();
        row *r = put(pa, "ns", pa / a, "metalog", "%s  A", p->name);
        snprintf(r->note, sizeof r->note, "%s", p->null_does);
        put(pb, "ns", pb / b, "metalog", "%s  B", p->name);
        if (!is_syslog(p)) continue;
        double sa = peer_burst(shim_a, flush_all), sb = peer_burst(shim_b, flush_all);
        snprintf(put(sa, "ns", sa / pa, "syslog(3)", "metalog, syslog shim  A")->note, 96, "the same call, interposed");
        put(sb, "ns", sb / pb, "syslog(3)", "metalog, syslog shim  B");
    }
}

static void files_once(void) {
    char path[256];
    long bytes = 0;
    int lines = bench.smoke ? 2000 : bench.quick ? 50000 : 400000;
    snprintf(path, sizeof path, "%s/peer.log", directory);
    flow.null = false, flow.threads = 1, flow.format = 0, flow.lines = lines, flow.as_peers = true;
    double own = flow_run(&bytes);
    flow.as_peers = false;
    if (isnan(own)) return;
    snprintf(put(own, "M lines/s", 1, "itself", "metalog, JSON")->note, 96, "%ld bytes a line, %.0f MB/s", bytes, own * (double)bytes);
    for (int i = 0; i < bench_peers_count; i++) {
        bench_peer *p = &bench_peers[i];
        unlink(path);
        if (peer_gone[i] || !p->start(path)) continue;
        pin(0, 0);
        pin_others(NULL);
        uint64_t begin = tick();
        p->a(lines);
        p->drain();
        double rate = lines / since(begin) * 1e3;
        p->stop();
        struct stat st;
        row *r = put(rate, "M lines/s", rate / own, "metalog", "%s", p->name);
        long found = p->text ? lines_in(path) : lines;
        if (found < lines) snprintf(r->note, sizeof r->note, "only %ld of %d lines are in the file", found, lines);
        else if (p->text && stat(path, &st) == 0)
            snprintf(r->note, sizeof r->note, "%ld bytes a line, %.0f MB/s", (long)st.st_size / lines, rate * (double)st.st_size / lines);
        unlink(path);
    }
}

static void measure_peers(void) {
    for (int i = 0; i < bench_peers_count; i++)
        if (bench_peers[i].start == NULL) peer_gone[i] = true;
    measure("peers, a call", peers_once);
    measure("peers, to a file", files_once);
    for (int i = 0; i < bench_peers_count; i++)
        if (peer_gone[i]) absent("peers, a call", bench_peers[i].name, bench_peers[i].missing);
    for (int i = 0; i < bench_peers_count; i++)
        if (peer_gone[i] && is_syslog(&bench_peers[i])) absent("peers, a call", "metalog, syslog shim", bench_peers[i].missing);
}

/* ---- */

static void header(void) {
    char text[256] = "", source[64] = "";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && fgets(text, sizeof text, f) != NULL)
        if (strncmp(text, "model name", 10) == 0) break;
    if (f != NULL) fclose(f);
    struct utsname u;
    uname(&u);
    f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    if (f == NULL || fscanf(f, "%63s", source) != 1) snprintf(source, sizeof source, "unknown");
    if (f != NULL) fclose(f);
    const char *model = strchr(text, ':') != NULL ? strchr(text, ':') + 2 : u.machine;
    time_t now = time(NULL);
    char day[32];
    strftime(day, sizeof day, "%Y-%m-%d %H:%M UTC", gmtime(&now));
    fprintf(bench.out,
            "# taken: %s%s\n# cpu: %.*s, %ld online\n# kernel: %s %s %s\n# compiler: %s, -O2\n# kernel's clock source: %s; "
            "records: %s\n",
            day,
            bench.smoke   ? " (smoke run: no figure means anything)"
            : bench.quick ? " (quick run)"
                          : "",
            (int)strcspn(model, "\n"), model, sysconf(_SC_NPROCESSORS_ONLN), u.sysname, u.release, u.machine, __VERSION__, source,
            mlog__clock_invariant_known() ? "the CPU's counter" : "CLOCK_MONOTONIC");
    char siblings[64] = "unknown", commit[64] = "unknown";
    f = fopen("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "r");
    if (f != NULL && fgets(siblings, sizeof siblings, f) == NULL) snprintf(siblings, sizeof siblings, "unknown");
    if (f != NULL) fclose(f);
    f = popen("git describe --always --dirty 2>/dev/null", "r");
    if (f != NULL && fgets(commit, sizeof commit, f) == NULL) snprintf(commit, sizeof commit, "unknown");
    if (f != NULL) pclose(f);
    fprintf(bench.out, "# metalog: commit %.*s; hardware threads of the producer's core, as this system sees them: %.*s\n",
            (int)strcspn(commit, "\n"), commit, (int)strcspn(siblings, "\n"), siblings);
    if (bench.pinned) fprintf(bench.out, "# cores: producer on %d, flusher on %d\n", bench.cpu[0], bench.cpu[1]);
    else fprintf(bench.out, "# cores: one only; nothing is pinned, and there is no hand-over\n");
    fprintf(bench.out, "# timer: %.1f ns a reading, subtracted; it moves in steps of %.1f ns\n", bench.timer_ns,
            bench.timer_step);
    fprintf(bench.out,
            "# runs: %d; disturbed when others take over %.0f %% of a CPU, or the hypervisor %.0f %%; slow phase over %.0f ns "
            "hand-over\n",
            bench.runs, MOST_LOAD * 100, MOST_STEAL * 100, SLOW_PHASE);
}

static void prepare(void) {
    ground.area = aligned_alloc(4096, (1 << 20) + 4096);
    if (ground.area == NULL) exit(1);
    memset(ground.area, 1, 1 << 20);
    for (int i = 0; i < BENCH_TEXTS; i++) {
        snprintf(texts[i], sizeof texts[i], "%.*s", 16 + i * 7 % 17, "a symbol of 16 to 32 characters..");
        bench_text[i] = texts[i];
    }
    choose_cpus();
    pin(0, 0);
    calibrate();
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "memory") == 0) return memory(atol(argv[2]));
    if (argc == 3 && strcmp(argv[1], "rings") == 0) return prepare(), rings(strcmp(argv[2], "yes") == 0);
    if (argc < 3) return fprintf(stderr, "usage: %s RESULT DIRECTORY [quick|smoke]\n", argv[0]), 2;
    self = argv[0];
    directory = argv[2];
    bench.smoke = argc > 3 && strcmp(argv[3], "smoke") == 0;
    bench.quick = argc > 3 && strcmp(argv[3], "quick") == 0;
    bench.runs = bench.smoke ? 1 : 5;
    bench.started = now_ns();
    bench.out = fopen(argv[1], "w");
    if (bench.out == NULL) return perror(argv[1]), 1;
    prepare();
    header();
    measure_calls();
    measure_singles();
    measure("lines", flow_once);
    measure("reading a binary log", read_once);
    measure("flusher's CPU", formats_once);
    measure("growth: sinks", grow_sinks_once);
    measure("growth: context", grow_context_once);
    measure("growth: threads", grow_threads_once);
#ifdef BENCH_SITES
    measure("growth: sites", grow_sites_once);
#endif
    measure_peers();
    measure("idle", idle_once);
    measure("memory", memory_once);
    rows_write();
    return fclose(bench.out) == 0 ? 0 : 1;
}
