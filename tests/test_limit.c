/* Statements that run now and then (mlog_once, mlog_every, mlog_limit), and the end of a program by mlog_die.
 * not under: tsan (it starts no threads in a child of a program with threads) */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"

#include <pthread.h>
#include <sys/wait.h>

static int evaluated(int *count) { return ++*count; }

static void test_once(void) {
    int asked = 0;
    for (int i = 0; i < 5; i++) mlog_once(mlog_info("once", "i", i, "asked", evaluated(&asked)));
    JSON(",\"i\":0,\"asked\":1");
    CHECK_EQ(asked, 1);
    for (int i = 0; i < 2; i++) {
        mlog_once(mlog_infof("%d, %s", i, "with commas")); /* each site has its own state */
        mlog_once(mlog_info("an expression"), asked = 7);
    }
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2);
    CHECK_EQ(asked, 7);
    asked > 0 ? mlog_once(mlog_info("a")) : mlog_once(mlog_info("b"));
    JSON("");
}

static void test_every(void) {
    mlog_stats before, after;
    mlog_stats_read(&before);
    for (int i = 0; i < 10; i++) mlog_every(4, mlog_info("every", "i", i));
    out_look();
    CHECK_EQ(lines(out_json, NULL), 3);
    const char *at = out_line(out_json, "\"i\":0");
    CHECK(at != NULL && line_number(at, "suppressed") == -1);
    at = out_line(out_json, "\"i\":4");
    CHECK(at != NULL && line_number(at, "suppressed") == 3);
    at = out_line(out_json, "\"i\":8");
    CHECK(at != NULL && line_number(at, "suppressed") == 3);
    mlog_stats_read(&after);
    CHECK_EQ(after.suppressed - before.suppressed, 7); /* one of them not yet told */
    CHECK_EQ(after.accepted - before.accepted, 3);
    CHECK(mlog_context_current() == NULL);
    for (int n = 0; n < 3; n++) {
        mlog_with("around", n);
        mlog_every(2, { mlog_info("first", "n", n); mlog_info("second"); });
    }
    out_look();
    CHECK_EQ(lines(out_json, NULL), 4);
    CHECK_EQ(lines(out_json, "\"around\":2,\"suppressed\":1"), 2);
    for (int i = 0; i < 3; i++) mlog_every(0, mlog_info("never again"));
    JSON("");
    for (int i = 0; i < 2; i++) {
        mlog_every(1, mlog_info("always"));
        JSON("");
    }
}

static int leaves_early(int i) {
    mlog_every(2, return i);
    return -1;
}

static void test_jumps(void) { /* the context goes whatever way the statement is left */
    CHECK_EQ(leaves_early(5), 5);
    CHECK_EQ(leaves_early(6), -1);
    CHECK_EQ(leaves_early(7), 7);
    CHECK(mlog_context_current() == NULL);
}

static void test_limit(void) {
    long long suppressed = 0, told = 0, written = 0;
    for (int second = 0; second < 20; second++) /* the test's clock: 100 calls a second */
        for (int i = 0; i < 100; i++) {
            (void)__atomic_add_fetch(&out_clock_now, 10000000, __ATOMIC_RELAXED);
            mlog_limit(10, mlog_info("limited", "i", i));
        }
    out_look();
    for (const char *p = out_json; (p = out_line(p, "\"limited\"")) != NULL; p = strchr(p, '\n') + 1) {
        written++;
        if (line_number(p, "suppressed") > 0) told += line_number(p, "suppressed");
    }
    suppressed = 2000 - written;
    CHECK(written >= 200 && written <= 211); /* 10 a second, and 10 at once in the beginning */
    CHECK(told <= suppressed && told >= suppressed - 10);
    for (int i = 0; i < 10; i++) mlog_limit(0, mlog_info("none"));
    out_look();
    CHECK_EQ(lines(out_json, NULL), 0);
    for (int i = 0; i < 2; i++) { /* a clock that is set back does not close it for ever */
        for (int k = 0; k < 3; k++) mlog_limit(1, mlog_info("set back", "i", i));
        (void)__atomic_sub_fetch(&out_clock_now, INT64_C(3600000000000), __ATOMIC_RELAXED);
    }
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2);
    (void)__atomic_add_fetch(&out_clock_now, INT64_C(7200000000000), __ATOMIC_RELAXED);
}

enum { THREADS = 4, TURNS = 20000 };
static void *many(void *unused) {
    for (int i = 0; i < TURNS; i++) {
        mlog_every(100, mlog_info("together"));
        mlog_once(mlog_info("one of all"));
    }
    return unused;
}

static void test_threads(void) {
    pthread_t t[THREADS];
    mlog_stats before, after;
    long long told = 0;
    mlog_stats_read(&before);
    for (int i = 0; i < THREADS; i++) (void)pthread_create(&t[i], NULL, many, NULL);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
    mlog_stats_read(&after);
    out_look();
    CHECK_EQ(lines(out_json, "\"together\""), THREADS * TURNS / 100);
    CHECK_EQ(lines(out_json, "\"one of all\""), 1);
    CHECK_EQ(after.suppressed - before.suppressed, THREADS * TURNS * 99 / 100);
    for (const char *p = out_json; (p = out_line(p, "\"suppressed\"")) != NULL; p = strchr(p, '\n') + 1)
        told += line_number(p, "suppressed");
    CHECK(told <= THREADS * TURNS * 99 / 100 && told >= THREADS * TURNS * 99 / 100 - 4 * 100);
}

static char *die_log;

static void ends(void (*how)(void), int status, const char *what) {
    int got = 0;
    die_log = (char *)(uintptr_t)temp_path("die.log");
    (void)unlink(die_log);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = die_log}}};
        if (mlog_init(&c) != 0) _exit(99);
        for (int i = 0; i < 1000; i++) mlog_info("before", "i", i);
        how();
        _exit(98);
    }
    (void)waitpid(pid, &got, 0);
    CHECK(WIFEXITED(got));
    CHECK_EQ(WEXITSTATUS(got), status);
    CHECK_EQ(file_lines(die_log, "\"before\""), 1000);
    CHECK_EQ(file_lines(die_log, what), 1);
    CHECK_EQ(file_lines(die_log, "\"level\":\"fatal\""), 1);
}

static void by_pairs(void) { mlog_die(3, "out of memory", "bytes", 42); }
static void by_format(void) { mlog_dief(4, "no %s of %d", "file", 7); }
static int needs_no_return(int x) {
    if (x > 0) return x;
    mlog_die(5, "no value");
}
static void by_function(void) { (void)needs_no_return(0); }

int main(void) {
    CHECK(out_begin((mlog_config){.levels = "debug", .now = out_clock}) == 0);
    test_once();
    test_every();
    test_jumps();
    test_limit();
    test_threads();
    ends(by_pairs, 3, "\"msg\":\"out of memory\"");
    ends(by_format, 4, "\"msg\":\"no file of 7\"");
    ends(by_function, 5, "\"msg\":\"no value\"");
    STRICT(out_json_path);
    return done();
}
