/* The system's clock is set while the program logs: by an hour back, by a day ahead, while it is idle and while it is busy; it is slewed;
 * the machine sleeps for ten minutes. Nothing is lost, ts never runs backwards in a file, and what a record says about its time (ts, or
 * ts_call where ts has to wait for the clock) is right again within WINDOW. The record carries the clock's own answer in "real". */
#define METALOG_IMPLEMENTATION
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#define _TIME_BITS 64
#include <time.h> /* before the name is changed: where time_t is made 64-bit, the function has another symbol */
int set_clock_gettime(clockid_t, struct timespec *);
#define clock_gettime set_clock_gettime /* as seen by the library: CLOCK_REALTIME can be set */
#include "../metalog.h"
#undef clock_gettime
#include "check.h"

static int64_t offset, slew_from, slew_ppm; /* CLOCK_REALTIME = the kernel's + offset + slew since slew_from */
int set_clock_gettime(clockid_t id, struct timespec *t) {
    int result = clock_gettime(id, t);
    if (id != CLOCK_REALTIME || result != 0) return result;
    int64_t now = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec, from = __atomic_load_n(&slew_from, __ATOMIC_RELAXED);
    if (from != 0) now += (now - from) / 1000000 * __atomic_load_n(&slew_ppm, __ATOMIC_RELAXED);
    now += __atomic_load_n(&offset, __ATOMIC_RELAXED);
    t->tv_sec = (time_t)(now / 1000000000);
    t->tv_nsec = (long)(now % 1000000000);
    return 0;
}

static int64_t real_now(void) {
    struct timespec t;
    (void)set_clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum { MS = 1000000, WINDOW = 400 * MS /* a loaded machine; idle it is 20 ms */, RIGHT = 2 * MS };
static char path[512];
static int said;
static int64_t worst, settled, since_step; /* ns; of the mono clock in the record */

static void say(int n, int ms) {
    for (int i = 0; i < n; i++) {
        int64_t before = real_now(), mono = mlog__platform_clock(CLOCK_MONOTONIC);
        mlog_info("tick", "n", said++, "real", before, "mono", mono);
        if (ms != 0) sleep_ms(ms);
    }
}

static int64_t stamp(const char *line, const char *key) { /* "2026-11-20T13:36:19.069718079Z" in ns, 0: no such key */
    char quoted[32];
    struct tm tm = {0};
    int ns = 0;
    const char *end = strchrnul(line, '\n');
    (void)snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = memmem(line, (size_t)(end - line), quoted, strlen(quoted));
    if (at == NULL) return 0;
    at = strptime(at + strlen(quoted), "%Y-%m-%dT%H:%M:%S", &tm);
    if (at == NULL || sscanf(at, ".%9dZ", &ns) != 1) return -1;
    return (int64_t)timegm(&tm) * 1000000000 + ns;
}

/* Every line of the file: whole, in order, ts never less than before; wrong times only within WINDOW of the step at `step` (mono). */
static void judge(const char *what, int64_t step) {
    CHECK(mlog_flush(10000) == 0);
    char *text = slurp(path, NULL);
    int64_t last = 0;
    int n = 0, backwards = 0, wrong = 0, astray = 0;
    worst = settled = 0;
    for (const char *at = text; *at; at = strchrnul(at, '\n') + 1, n++) {
        int64_t ts = stamp(at, "ts"), called = stamp(at, "ts_call"), real = line_number(at, "real"), mono = line_number(at, "mono");
        int64_t error = (called != 0 ? called : ts) - real;
        if (line_number(at, "n") != n) astray++;
        if (ts < last) backwards++;
        last = ts;
        if (llabs(error) < RIGHT) continue;
        int64_t distance = llabs(mono - step);
        settled = MLOG__MAX(settled, distance);
        if (distance > WINDOW) wrong++, worst = MLOG__MAX(worst, llabs(error));
    }
    printf("%s: %d records, time right again %.1f ms from the step\n", what, n, (double)settled / MS);
    CHECK_EQ(n, said);
    CHECK_EQ(astray, 0);
    CHECK_EQ(backwards, 0);
    if (!CHECK_EQ(wrong, 0)) printf("    wrong by %.3f ms at most\n", (double)worst / MS);
    free(text);
}

static void start(const char *name) {
    (void)snprintf(path, sizeof path, "%s", temp_path(name));
    (void)unlink(path);
    (void)mlog_shutdown(5000);
    mlog_config c = {.env = "-", .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = path}}};
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
    said = 0;
}

static void set_by(int64_t ns) {
    since_step = mlog__platform_clock(CLOCK_MONOTONIC);
    (void)__atomic_add_fetch(&offset, ns, __ATOMIC_RELAXED);
}

static const int64_t hour = INT64_C(3600) * 1000000000, day = 24 * hour;

static void test_step(const char *what, int64_t by, int busy) {
    start("clock.log");
    say(300, 1);
    if (!busy) CHECK(mlog_flush(5000) == 0), sleep_ms(250); /* the flusher is in deep sleep */
    set_by(by);
    if (!busy) sleep_ms(50);
    if (busy) say(20000, 0);
    say(600, 1);
    judge(what, since_step);
}

static void test_slew(void) { /* as adjtime does, at most 500 ppm; here ten times that */
    start("slew.log");
    say(100, 1);
    int64_t now = real_now() - offset;
    __atomic_store_n(&slew_ppm, 5000, __ATOMIC_RELAXED);
    __atomic_store_n(&slew_from, now, __ATOMIC_RELAXED);
    int64_t from = mlog__platform_clock(CLOCK_MONOTONIC);
    say(1000, 1);
    judge("slewed by 5000 ppm", from);
    __atomic_store_n(&slew_from, 0, __ATOMIC_RELAXED);
}

static void test_many_steps(void) { /* a broken time service: there and back again */
    start("many.log");
    int64_t from = mlog__platform_clock(CLOCK_MONOTONIC);
    for (int i = 0; i < 20; i++) {
        set_by(i % 2 ? -hour : hour);
        say(10, 1);
    }
    sleep_ms(50);
    say(500, 1);
    judge("20 steps there and back", (from + since_step) / 2);
}

int main(void) {
    test_step("an hour back, busy", -hour, 1);
    test_step("an hour back, idle", -hour, 0);
    test_step("a day ahead, busy", day, 1);
    test_step("a day ahead, idle", day, 0);
    test_step("asleep for ten minutes", 600 * INT64_C(1000000000), 0);
    test_slew();
    test_many_steps();
    return done();
}
