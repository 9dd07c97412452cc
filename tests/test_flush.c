/* Section flush: order over threads, sleep and waking, time, flush on demand.
 * usage: test_flush [long | control]    long: a million races, ten idle seconds; control: races without the barrier, which some
 * lose */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#ifdef MLOG__SANITIZED
enum { SLOW = 10 };
#else
enum { SLOW = 1 };
#endif
static bool long_form;

/* -- order -- */

enum { THREADS = 4 };
static uint32_t turn, tokens; /* whose turn it is = turn % THREADS */
static void *passes_token(void *at) {
    uint32_t me = (uint32_t)(uintptr_t)at, noise = UINT32_MAX;
    for (;;) {
        uint32_t now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
        if (now >= tokens) return NULL;
        if (now % THREADS != me) {
            if (noise != now) mlog_info("noise", "of", me);
            else sched_yield();
            noise = now;
            continue;
        }
        mlog_info("token", "number", now);
        __atomic_store_n(&turn, now + 1, __ATOMIC_RELEASE); /* everything that the next one logs comes later */
    }
}

/* A processor may read its counter while the load that hands the token over is still under way: two calls that follow each other
 * within nanoseconds on two cores may swap (a fence would cost every call more than the rest of it). By more than the clock's
 * error, never. */
enum { SWAP_NS = 100 };
typedef struct {
    int64_t next, wrong, time, token_time, backwards, swapped;
} order_of_tokens;
static void take_token(order_of_tokens *o, int64_t number, int64_t time) {
    if (number != o->next) {
        if (time - o->token_time > SWAP_NS && number < o->next) o->wrong++;
        else o->swapped++;
    }
    o->next = number + 1;
    o->token_time = time;
}

static order_of_tokens heard;
static int hears_token(void *user, const mlog_record *r) {
    (void)user;
    heard.backwards += r->time < heard.time;
    heard.time = r->time;
    if (strcmp(r->msg, "token") == 0) take_token(&heard, r->fields[0].value.as.i, r->time);
    return 0;
}

static int64_t parse_ts(const char *line) { /* {"ts":"2024-02-29T23:59:59.123456789Z" */
    struct tm t = {0};
    const char *p = line + 7;
    t.tm_year = atoi(p) - 1900, t.tm_mon = atoi(p + 5) - 1, t.tm_mday = atoi(p + 8);
    t.tm_hour = atoi(p + 11), t.tm_min = atoi(p + 14), t.tm_sec = atoi(p + 17);
    return (int64_t)timegm(&t) * 1000000000 + strtol(p + 20, NULL, 10);
}

static void order(mlog_config c) {
    pthread_t t[THREADS];
    CHECK(out_begin(c) == 0);
    memset(&heard, 0, sizeof heard);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "hears", .type = MLOG_CALLBACK, .write = hears_token});
    turn = 0;
    tokens = 20000 / SLOW;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, passes_token, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    CHECK(mlog_flush(10000) == 0);
    char *text = slurp(out_json_path, NULL);
    int64_t n = 0;
    order_of_tokens read = {0};
    for (const char *at = text; (at = out_line(at, "\"token\"")) != NULL; at = strchrnul(at, '\n'), n++)
        take_token(&read, line_number(at, "number"), parse_ts(at));
    CHECK_EQ(n, tokens);
    if (c.clock != MLOG_ARRIVAL) CHECK_EQ(read.wrong, 0); /* there order is promised within a thread only */
    mlog_sink_stats r;
    CHECK(mlog_sink_stats_read("hears", &r) == 0);
    if (r.lost == 0 && c.clock != MLOG_ARRIVAL) CHECK_EQ(heard.wrong, 0);
    CHECK_EQ(heard.backwards, 0);
    free(text);
    mlog_sink_remove(s);
    STRICT(out_json_path); /* also: ts never runs backwards */
    mlog_stats all;
    mlog_stats_read(&all);
    CHECK_EQ(all.dropped, 0);
    printf("order: %d tokens, %lld swapped, %llu late\n", (int)tokens, (long long)read.swapped, (unsigned long long)all.late);
}

/* -- flush -- */

static uint32_t stop;
static void *busy(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        for (int i = 0; i < 20; i++) mlog_info("busy");
        usleep(50 * SLOW * SLOW);
    }
    return unused;
}

static int counts(void *user, const mlog_record *r) {
    if (strcmp(r->msg, "mine") == 0) __atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
    return 0;
}

static void *flushes(void *unused) {
    for (int i = 0; i < 200 / SLOW; i++) CHECK(mlog_flush(5000) == 0);
    return unused;
}

static void test_flush(void) { /* what was logged before is with the sinks, also while others go on logging */
    pthread_t t[THREADS + 2];
    int mine = 0;
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = temp_path("flushed.log")}}};
    (void)unlink(c.sinks[0].path);
    CHECK(mlog_init(&c) == 0);
    CHECK(mlog_flush(-1) == 0);
    int64_t first = now_ms();
    while (mlog_flush(0) != 0 && now_ms() - first < 1000) sleep_ms(1);
    CHECK(now_ms() - first < 1000); /* without a wait: nothing was left to do */
    mlog_info("mine");
    (void)mlog_flush(0); /* the flusher knows */
    for (int i = 0; i < 500 && file_lines(c.sinks[0].path, "mine") == 0; i++) sleep_ms(1);
    CHECK_EQ(file_lines(c.sinks[0].path, "mine"), 1);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "counts", .type = MLOG_CALLBACK, .write = counts, .user = &mine});
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, busy, NULL) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&t[THREADS + i], NULL, flushes, NULL) == 0);
    int64_t longest = 0;
    for (int i = 0; i < 100; i++) {
        mlog_info("mine");
        int64_t start = now_ms();
        CHECK(mlog_flush(5000) == 0);
        if (now_ms() - start > longest) longest = now_ms() - start;
        CHECK_EQ(__atomic_load_n(&mine, __ATOMIC_RELAXED), i + 1);
    }
    CHECK_EQ(file_lines(c.sinks[0].path, "\"mine\""), 101);
    for (int i = 0; i < 2; i++) pthread_join(t[THREADS + i], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    mlog_sink_remove(s);
    printf("flush while four threads log: at most %lld ms\n", (long long)longest);
#ifdef EMULATED /* one core may run all threads there */
    CHECK(longest < 20000);
#else
    CHECK(longest < 1000);
#endif
}

/* -- sleep -- */

/* Voluntary context switches of the library's threads so far: each one is a sleep, thus a wake-up before it. */
static long switches(int *threads) {
    long sum = 0;
    DIR *d = opendir("/proc/self/task");
    *threads = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[300];
        (void)snprintf(path, sizeof path, "/proc/self/task/%.16s/status", e->d_name);
        char *text = slurp(path, NULL), *at = strstr(text, "voluntary_ctxt_switches:");
        if (strncmp(text, "Name:\tmetalog", 13) == 0 && at != NULL) sum += strtol(at + 24, NULL, 10), ++*threads;
        free(text);
    }
    if (d != NULL) closedir(d);
    return sum;
}

/* After its linger (100 naps of a millisecond) a library with nothing to do does not wake up. */
static void idle(void) {
    int threads, seconds = long_form ? 10 : 3;
    sleep_ms(600);
    long woke = switches(&threads);
    sleep_ms(1000 * seconds);
    woke = switches(&threads) - woke;
    printf("idle: %ld wake-ups of %d threads in %d s\n", woke, threads, seconds);
    CHECK_EQ(threads, 2);
    CHECK_EQ(woke, 0);
}

static uint64_t arrived(void) {
#ifdef MLOG__SANITIZED
    mlog_sink_stats s;
    CHECK(mlog_sink_stats_read("null", &s) == 0);
    return s.written;
#else
    int i = 0;
    while (!mlog__flush_all.sink[i].used) i++;
    return __atomic_load_n(&mlog__flush_all.sink[i].written, __ATOMIC_RELAXED);
#endif
}

/* Logs a record at every distance from the moment at which the flusher falls asleep; one that does not arrive is a lost wake-up.
 */
static long races(int n) {
    long lost = 0;
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_NULL}}};
    uint64_t random = 88172645463325252u, slept = 0;
    CHECK(mlog_init(&c) == 0);
    mlog_info("first");
    CHECK(mlog_flush(-1) == 0);
    __atomic_store_n(&mlog__flush_linger, 0, __ATOMIC_RELAXED);
    int64_t start = now_ms();
    uint64_t base = arrived();
    for (int i = 0; i < n; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        for (volatile uint64_t k = random % (i % 2 ? 64 : 4096); k > 0; k--) {}
        slept += __atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED) == 1;
        mlog_info("race", "i", i);
        int64_t from = 0;
        for (uint32_t spins = 1; arrived() != base + (uint64_t)i + 1; spins++) {
            if (spins % 1024 != 0) continue;
            sched_yield();
            if (from == 0) from = now_ms();
            if (now_ms() - from < 1000) continue;
            lost++;
            CHECK(mlog_flush(5000) == 0); /* kicks it */
            break;
        }
    }
    __atomic_store_n(&mlog__flush_linger, 100, __ATOMIC_RELAXED);
    printf("races: %d, %llu of them with the flusher asleep, %ld lost, %lld ms\n", n, (unsigned long long)slept, lost,
           (long long)(now_ms() - start));
    return lost;
}

static int control(void) { /* membarrier answers "done" and does nothing */
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {4, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    printf("%s\n",
           races(1000000) > 0 ? "without the barrier some are lost" : "none was lost by chance: that happens, run it again");
    return done();
}

/* -- time -- */

enum { STAMPS = 6000 };
static int64_t before[STAMPS], after[STAMPS], called_back[STAMPS];
static int stamped, calls;
static int takes_time(void *user, const mlog_record *r) {
    (void)user;
    if (calls < STAMPS && strcmp(r->msg, "stamp") == 0) called_back[calls++] = r->time;
    return 0;
}
static void stamp(int n) {
    for (int i = 0; i < n && stamped < STAMPS; i++, stamped++) {
        before[stamped] = mlog__platform_clock(CLOCK_REALTIME);
        mlog_info("stamp", "i", stamped);
        after[stamped] = mlog__platform_clock(CLOCK_REALTIME);
    }
}
/* The average distance from the middle of the bracket, in ns; wide brackets (a cold cache, an interrupt) say too little and do
 * not count. */
static double error_of(const int64_t *ts, int from, int to, int64_t *worst) {
    double sum = 0;
    int n = 0;
    *worst = 0;
    for (int i = from; i < to; i++) {
        int64_t middle = before[i] + (after[i] - before[i]) / 2, off = ts[i] > middle ? ts[i] - middle : middle - ts[i];
        if (after[i] - before[i] > 250 * SLOW) continue;
        sum += (double)off;
        n++;
        if (off > *worst) *worst = off;
    }
    return n ? sum / n : 0;
}

static void test_time(void) {
    static int64_t ts[STAMPS];
    int64_t worst;
    CHECK(out_begin((mlog_config){0}) == 0);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "time", .type = MLOG_CALLBACK, .write = takes_time});
    stamp(500); /* at once: the rate of the counter is hardly known */
    int early = stamped;
    for (int i = 0; i < 50; i++) stamp(80), sleep_ms(10);
    int steady = stamped;
    {
        mlog_with("a", 1);
        mlog_info("in a context, which goes back to its pool");
    }
    CHECK(mlog_flush(-1) == 0);
    idle(); /* the flusher is in deep sleep, and has no pairs for that time */
    stamp(300);
    int slept = stamped;
    for (int i = 0; i < 300; i++) stamp(1), sleep_ms(1);
    CHECK(mlog_flush(10000) == 0);
    char *text = slurp(out_json_path, NULL);
    int n = 0;
    for (const char *at = text; *at; at = strchrnul(at, '\n') + 1)
        if (line_number(at, "i") == n) ts[n++] = parse_ts(at);
    CHECK_EQ(n, stamped);
    CHECK_EQ(calls, stamped);
    free(text);
    const struct {
        const char *name;
        int from, to;
    } part[] = {{"at once", 0, early},
                {"steady", early, steady},
                {"after deep sleep", steady, slept},
                {"one a millisecond", slept, stamped}};
    for (int i = 0; i < 4; i++) {
        double file = error_of(ts, part[i].from, part[i].to, &worst);
        printf("time, %s: error %.0f ns on average, %lld ns at most", part[i].name, file, (long long)worst);
        double back = error_of(called_back, part[i].from, part[i].to, &worst);
        printf("; in callbacks %.0f, %lld\n", back, (long long)worst);
        CHECK(file < (i == 0 ? 1000 : 100) * SLOW);
        CHECK(back < (i == 0 ? 1000 : 100) * SLOW);
    }
    mlog_sink_remove(s);
}

static void test_arrival(void) {
    CHECK(out_begin((mlog_config){.clock = MLOG_ARRIVAL}) == 0);
    int64_t start = mlog__platform_clock(CLOCK_REALTIME);
    for (int i = 0; i < 1000; i++) mlog_info("a", "i", i);
    CHECK(mlog_flush(-1) == 0);
    int64_t end = mlog__platform_clock(CLOCK_REALTIME);
    char *text = slurp(out_json_path, NULL);
    long n = 0, wrong = 0;
    for (const char *at = text; *at; at = strchrnul(at, '\n') + 1, n++)
        wrong += line_number(at, "i") != n || parse_ts(at) < start - 1000000 || parse_ts(at) > end + 1000000;
    CHECK_EQ(n, 1000);
    CHECK_EQ(wrong, 0);
    free(text);
    STRICT(out_json_path);
}

static int64_t given;
static int64_t given_clock(void) { return given; }

static void test_given_clock(void) {
    CHECK(out_begin((mlog_config){.now = given_clock}) == 0);
    mlog_info("at zero");
    out_look();
    SAME(out_get("ts"), "1970-01-01T00:00:00.000000000Z");
    SAME(out_get("ts_call"), "(none)");
    given = 5000;
    mlog_info("later");
    given = 3000;
    mlog_info("a late one"); /* goes out at once with the last time, and its own beside it */
    given = 5001;
    mlog_info("in time");
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "given", .time = 10});
    given = 4000;
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "given, late", .time = 11});
    out_look();
    CHECK_EQ(lines(out_json, "00.000005000Z\",\"level\":\"info\",\"msg\":\"later\""), 1);
    CHECK_EQ(lines(out_json, "00.000005000Z\",\"level\":\"info\",\"msg\":\"a late one\""), 1);
    CHECK_EQ(lines(out_json, "\"ts_call\":\"1970-01-01T00:00:00.000003000Z\""), 1);
    CHECK_EQ(lines(out_json, "00.000005001Z\",\"level\":\"info\",\"msg\":\"in time\""), 1);
    CHECK_EQ(lines(out_json, "00.000000010Z\",\"level\":\"info\",\"msg\":\"given\""), 1);
    CHECK_EQ(lines(out_json, "00.000000011Z\",\"level\":\"info\",\"msg\":\"given, late\""), 1);
    CHECK_EQ(lines(out_json, "ts_call"), 1);
    mlog_stats all;
    mlog_stats_read(&all);
    CHECK(all.late >= 1);
    /* another clock: what was written before does not make everything late */
    int seen = 0;
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "stays", .type = MLOG_CALLBACK, .write = counts, .user = &seen});
    given = INT64_C(4000000000000000000);
    mlog_info("mine");
    CHECK(mlog_flush(-1) == 0);
    CHECK(out_begin((mlog_config){0}) == 0);
    mlog_info("mine");
    out_look();
    SAME(out_get("ts_call"), "(none)");
    CHECK_EQ(__atomic_load_n(&seen, __ATOMIC_RELAXED), 2);
    mlog_stats_read(&all);
    CHECK_EQ(all.late, 0);
    mlog_sink_remove(s);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "control") == 0) return control();
    long_form = argc > 1;
    test_time();
    test_arrival();
    test_given_clock();
    order((mlog_config){0});
    order((mlog_config){.clock = MLOG_ARRIVAL});
    test_flush();
    CHECK_EQ(races(long_form ? 1000000 : 200000 / SLOW / SLOW), 0);
    return done();
}
