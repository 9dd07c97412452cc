/* The harness: rows, runs, how quiet the machine was, and in which phase a cache line moves between the two cores.
 *
 * A group is a set of rows that are measured together, interleaved, and repeated: a run of the group gives one value to each row,
 * and one ratio, taken within that run. A row shows the median over the runs and its range. Before and after each run the harness
 * measures the one-way hand-over of a cache line; during it, what other processes took from the CPUs. A run in which others took
 * more than MOST_LOAD of a CPU, or the hypervisor more than MOST_STEAL, is repeated, up to REPEATS times in a group
 * and while REPEATS_UNTIL has not passed; after that it is kept and counted as disturbed. */
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/utsname.h>

enum { RUNS_MAX = 9, ROWS_MAX = 400, REPEATS = 3 };
static const double REPEATS_UNTIL =
    240e9; /* ns after the start: a machine that is busy all the time shall not be measured for ever */
static const double MOST_LOAD = 0.10, MOST_STEAL = 0.01; /* of one CPU */
/* One-way hand-over in ns. On the machines seen so far it is 20 to 60 ns in fast phases and 100 to 300 in slow ones. */
static const double SLOW_PHASE = 90;

typedef struct {
    char group[32], label[80], unit[16], to[48], note[96];
    int n;
    double value[RUNS_MAX + 1], ratio[RUNS_MAX + 1]; /* the last one is of the run under way */
    double handover, load, steal;                    /* medians over the runs of the group */
    int disturbed, repeated;
} row;

static row rows[ROWS_MAX];
static int rows_count;
static struct {
    int runs;
    bool smoke, quick;
    int cpu[2];
    bool pinned;
    char group[32];
    double ns_per_tick, timer_ns, timer_step, started;
    FILE *out;
} bench;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The q-quantile of a list, which is sorted by it. */
static double quantile(double *list, int n, double q) {
    qsort(list, (size_t)n, sizeof *list, by_value);
    int at = (int)(q * n);
    return list[at < n ? at : n - 1];
}

static double median(const double *list, int n) {
    double copy[RUNS_MAX + 1];
    memcpy(copy, list, (size_t)n * sizeof *list);
    return n > 0 ? quantile(copy, n, 0.5) : NAN;
}

/* ---- time ---- */

/* The counter between fences: nothing that is measured moves out of the bracket. Its own cost is subtracted. */
static inline uint64_t tick(void) {
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(t) : : "memory");
    return t;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static double clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static double since(uint64_t start) { return (double)(tick() - start) * bench.ns_per_tick - bench.timer_ns; }

static void calibrate(void) {
    double ns = now_ns();
    uint64_t ticks = tick();
    usleep(bench.smoke ? 20000 : 200000);
    ns = now_ns() - ns;
    bench.ns_per_tick = ns / (double)(tick() - ticks);
    static double empty[10001];
    for (int i = 0; i < 10001; i++) {
        uint64_t start = tick();
        empty[i] = (double)(tick() - start) * bench.ns_per_tick;
    }
    bench.timer_ns = quantile(empty, 10001, 0.5);
    bench.timer_step = bench.timer_ns; /* some counters move in steps of many ticks */
    for (int i = 1; i < 10001; i++)
        if (empty[i] - empty[i - 1] > bench.ns_per_tick / 2) bench.timer_step = fmin(bench.timer_step, empty[i] - empty[i - 1]);
}

static void wait_until(uint64_t ticks) {
    while ((int64_t)(tick() - ticks) < 0) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

/* ---- cores ---- */

static void pin(pid_t tid, int which) { /* 0: the producers' core, 1: the other, -1: both */
    cpu_set_t set;
    CPU_ZERO(&set);
    if (which != 1) CPU_SET((size_t)bench.cpu[0], &set);
    if (which != 0) CPU_SET((size_t)bench.cpu[1], &set);
    if (bench.pinned) sched_setaffinity(tid, sizeof set, &set);
}

/* The flusher is the thread that calls itself "metalog"; a peer's threads have other names. All but the caller go to the other
 * core. Returns how many of them bear the name, so that a run without a flusher on its core is noticed. */
static int pin_others(pid_t *flusher) {
    int found = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        pid_t tid = (pid_t)atoi(e->d_name);
        if (tid <= 0 || tid == gettid()) continue;
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)tid);
        FILE *f = fopen(path, "r");
        if (f != NULL && fgets(name, sizeof name, f) != NULL && strcmp(name, "metalog\n") == 0) {
            found++;
            if (flusher != NULL) *flusher = tid;
        }
        if (f != NULL) fclose(f);
        pin(tid, 1);
    }
    if (d != NULL) closedir(d);
    return found;
}

/* Two CPUs that this process may use. With one alone nothing is pinned, and the head of the results says so. */
static void choose_cpus(void) {
    cpu_set_t set;
    int n = 0;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET((size_t)i, &set)) bench.cpu[n++] = i;
    bench.pinned = n == 2;
}

/* ---- the hand-over of a cache line ---- */

static struct {
    uint64_t at __attribute__((aligned(128)));
    char fill[120];
} line;
enum { TURNS = 2000, BATCHES = 15 };

static void *answer(void *arg) {
    (void)arg;
    for (uint64_t i = 1; i <= (uint64_t)TURNS * BATCHES; i++) {
        for (int spin = 0; __atomic_load_n(&line.at, __ATOMIC_ACQUIRE) != 2 * i - 1; spin++)
            if (spin > 20000) sched_yield(); /* somebody else has the other core */
        __atomic_store_n(&line.at, 2 * i, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* Half of a round trip between the two cores, in ns: the lower quartile of batches, since a batch in which somebody
 * else had one of the cores says nothing about the line. */
static double handover(void) {
    pthread_t other;
    double took[BATCHES];
    if (!bench.pinned) return NAN;
    line.at = 0;
    pin(0, 1);
    if (pthread_create(&other, NULL, answer, NULL) != 0) return NAN;
    pin(0, 0);
    for (int b = 0; b < BATCHES; b++) {
        uint64_t start = tick();
        for (uint64_t i = (uint64_t)b * TURNS + 1; i <= (uint64_t)(b + 1) * TURNS; i++) {
            __atomic_store_n(&line.at, 2 * i - 1, __ATOMIC_RELEASE);
            for (int spin = 0; __atomic_load_n(&line.at, __ATOMIC_ACQUIRE) != 2 * i; spin++)
                if (spin > 20000) sched_yield();
        }
        took[b] = since(start) / (2.0 * TURNS);
    }
    pthread_join(other, NULL);
    return quantile(took, BATCHES, 0.25);
}

/* ---- the machine's other load ---- */

typedef struct {
    double wall, busy, own, steal;
} usage; /* ns, over all CPUs */

static usage usage_now(void) {
    usage u = {.wall = now_ns()};
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "r");
    if (f != NULL &&
        fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) == 8) {
        double jiffy = 1e9 / (double)sysconf(_SC_CLK_TCK);
        u.busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) * jiffy;
        u.steal = (double)v[7] * jiffy;
    }
    if (f != NULL) fclose(f);
    for (int who = 0; who < 2; who++) {
        struct rusage r;
        getrusage(who == 0 ? RUSAGE_SELF : RUSAGE_CHILDREN, &r);
        u.own += (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e9 + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e3;
    }
    return u;
}

/* ---- rows ---- */

static row *row_of(const char *label) {
    for (int i = 0; i < rows_count; i++)
        if (strcmp(rows[i].group, bench.group) == 0 && strcmp(rows[i].label, label) == 0) return &rows[i];
    if (rows_count == ROWS_MAX) fprintf(stderr, "too many rows\n"), exit(1);
    row *r = &rows[rows_count++];
    snprintf(r->group, sizeof r->group, "%s", bench.group);
    snprintf(r->label, sizeof r->label, "%s", label);
    r->value[RUNS_MAX] = NAN;
    return r;
}

/* One value of the run under way. to: what the ratio is to; NULL: none. Returns the row, for a note. */
__attribute__((format(printf, 5, 6))) static row *put(double value, const char *unit, double ratio, const char *to,
                                                      const char *label, ...) {
    char text[80];
    va_list args;
    va_start(args, label);
    vsnprintf(text, sizeof text, label, args);
    va_end(args);
    row *r = row_of(text);
    snprintf(r->unit, sizeof r->unit, "%s", unit);
    snprintf(r->to, sizeof r->to, "%s", to != NULL ? to : "");
    r->value[RUNS_MAX] = value;
    r->ratio[RUNS_MAX] = to != NULL ? ratio : NAN;
    return r;
}

/* A row without a figure: "not built", "not installed". */
static void absent(const char *group, const char *label, const char *why) {
    snprintf(bench.group, sizeof bench.group, "%s", group);
    row *r = row_of(label);
    snprintf(r->note, sizeof r->note, "%s", why);
}

static void runs_end(bool keep, double at, double load, double steal, bool disturbed) {
    static double handovers[ROWS_MAX][RUNS_MAX], loads[ROWS_MAX][RUNS_MAX], steals[ROWS_MAX][RUNS_MAX];
    for (int i = 0; i < rows_count; i++) {
        row *r = &rows[i];
        if (strcmp(r->group, bench.group) != 0 || isnan(r->value[RUNS_MAX])) continue;
        if (keep && r->n < RUNS_MAX) {
            r->value[r->n] = r->value[RUNS_MAX];
            r->ratio[r->n] = r->ratio[RUNS_MAX];
            handovers[i][r->n] = at;
            loads[i][r->n] = load;
            steals[i][r->n] = steal;
            r->n++;
            r->disturbed += disturbed;
            r->handover = median(handovers[i], r->n);
            r->load = median(loads[i], r->n);
            r->steal = median(steals[i], r->n);
        } else r->repeated++;
        r->value[RUNS_MAX] = NAN;
    }
}

/* Runs `once` until the group has its runs. A value is the median of what `once` put in each. */
static void measure(const char *group, void (*once)(void)) {
    int repeats = bench.smoke ? 0 : bench.quick ? 1 : REPEATS;
    const char *only = getenv("ONLY"); /* for who works on one thing */
    if (only != NULL && strstr(group, only) == NULL) return;
    snprintf(bench.group, sizeof bench.group, "%s", group);
    fprintf(stderr, "  %s ", group);
    for (int run = 0; run < bench.runs;) {
        double first = handover();
        usage before = usage_now();
        once();
        usage after = usage_now();
        double second = handover(), wall = after.wall - before.wall;
        double load = fmax(0, (after.busy - before.busy - (after.own - before.own)) / wall),
               steal = (after.steal - before.steal) / wall;
        /* the kernel counts in ticks of 10 ms: two of them say nothing */
        bool disturbed = (load > MOST_LOAD && load * wall > 2.5e7) || (steal > MOST_STEAL && steal * wall > 2.5e7);
        bool again = disturbed && repeats > 0 && now_ns() - bench.started < REPEATS_UNTIL;
        if (again) repeats--;
        else run++;
        runs_end(!again, (first + second) / 2, load, steal, disturbed);
        fputc(again ? 'r' : disturbed ? 'd' : '.', stderr);
    }
    fputc('\n', stderr);
}

static void rows_write(void) {
    fprintf(
        bench.out,
        "group\trow\tunit\tmedian\tmin\tmax\tratio\tratio_min\tratio_max\tratio_to\truns\thandover_ns\tphase\tother_load\tsteal\t"
        "disturbed\trepeated\tnote\n");
    for (int i = 0; i < rows_count; i++) {
        row *r = &rows[i];
        if (r->n == 0) {
            fprintf(bench.out, "%s\t%s\t%s\t\t\t\t\t\t\t\t0\t\t\t\t\t0\t0\t%s\n", r->group, r->label, r->unit, r->note);
            continue;
        }
        double *v = r->value, *q = r->ratio, mid = quantile(v, r->n, 0.5);
        fprintf(bench.out, "%s\t%s\t%s\t%.4g\t%.4g\t%.4g\t", r->group, r->label, r->unit, mid, v[0], v[r->n - 1]);
        if (r->to[0] != 0) {
            double times = quantile(q, r->n, 0.5);
            fprintf(bench.out, "%.4g\t%.4g\t%.4g\t%s\t", times, q[0], q[r->n - 1], r->to);
        } else fprintf(bench.out, "\t\t\t\t");
        fprintf(bench.out, "%d\t%.1f\t%s\t%.2f\t%.3f\t%d\t%d\t%s\n", r->n, r->handover,
                isnan(r->handover)         ? ""
                : r->handover > SLOW_PHASE ? "slow"
                                           : "fast",
                r->load, r->steal, r->disturbed, r->repeated, r->note);
    }
}
