/* Capture: what a program's own tests see of its log, and what the other sinks see meanwhile. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"

#include <pthread.h>
#include <sys/wait.h>

static void test_counts(void) {
    mlog_capture *c = mlog_capture_begin(NULL);
    CHECK(c != NULL);
    CHECK_EQ(mlog_capture_count(c, NULL), 0);
    mlog_info("order rejected", "qty", 300, "symbol", "ACME", "price", 12.5);
    mlog_warnf("%d left", 3);
    {
        mlog_with("request", 7);
        mlog_error("failed", "error", mlog_errno(ENOENT), "ok", mlog_bool(false), "none", (char *)NULL);
    }
    mlog_debug("below the rules");
    CHECK_EQ(mlog_capture_count(c, NULL), 3);
    CHECK_EQ(mlog_capture_count(c, "msg='order rejected' and qty=300"), 1);
    CHECK_EQ(mlog_capture_count(c, "qty>300"), 0);
    CHECK_EQ(mlog_capture_count(c, "symbol=ACME and price=12.5"), 1);
    CHECK_EQ(mlog_capture_count(c, "level>=warn"), 2);
    CHECK_EQ(mlog_capture_count(c, "msg='3 left'"), 1);
    CHECK_EQ(mlog_capture_count(c, "request=7 and ok=false and has none and not has qty"), 1);
    CHECK_EQ(mlog_capture_count(c, "source=test_capture"), 3);
    CHECK_EQ(mlog_capture_count(c, "level>="), (size_t)-1);
    CHECK(strstr(mlog_why(), "mlog_capture_count") != NULL && strstr(mlog_why(), "expected") != NULL);
    const char *text = mlog_capture_text(c);
    CHECK_EQ(lines(text, NULL), 3);
    CHECK_EQ(lines(text, "order rejected"), 1);
    CHECK_EQ(lines(text, "symbol=ACME"), 1);
    CHECK_EQ(lines(text, "request=7"), 1);
    mlog_info("one more");
    CHECK_EQ(lines(mlog_capture_text(c), "one more"), 1);
    mlog_capture_end(c);
}

static void test_others(void) { /* the other sinks get what comes before and after, nothing else, and their sums are right */
    mlog_stats all[2];
    mlog_sink_stats one[2];
    out_look();
    mlog_stats_read(&all[0]);
    CHECK(mlog_sink_stats_read("json", &one[0]) == 0);
    mlog_info("before");
    mlog_capture *c = mlog_capture_begin(NULL);
    for (int i = 0; i < 100; i++) mlog_info("inside", "i", i);
    CHECK_EQ(mlog_capture_count(c, "msg=inside and i<50"), 50);
    CHECK_EQ(mlog_capture_count(c, NULL), 100);
    mlog_info("inside", "i", 100);
    mlog_capture_end(c);
    mlog_info("after");
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2);
    CHECK_EQ(lines(out_json, "\"before\""), 1);
    CHECK_EQ(lines(out_json, "\"after\""), 1);
    mlog_stats_read(&all[1]);
    CHECK(mlog_sink_stats_read("json", &one[1]) == 0);
    CHECK_EQ(all[1].accepted - all[0].accepted, 103);
    CHECK_EQ(one[1].written - one[0].written, 2);
    CHECK_EQ(one[1].filtered - one[0].filtered, 101);
    CHECK_EQ(one[1].pending + one[1].lost, 0);
    CHECK(mlog_sink_stats_read("capture", &one[0]) == -1);
}

static void test_levels(void) {
    mlog_capture *c = mlog_capture_begin("warn,noisy=trace");
    mlog_logger *noisy = mlog_named("noisy");
    mlog_info("not now");
    mlog_warn("now");
    mlog_to(noisy, MLOG_TRACE, "all of it");
    CHECK_EQ(mlog_capture_count(c, NULL), 2);
    CHECK_EQ(mlog_capture_count(c, "source=noisy and level=trace"), 1);
    mlog_capture_end(c);
    CHECK(mlog_enabled(MLOG_INFO) && !mlog_enabled(MLOG_DEBUG)); /* as before */
    CHECK(mlog_capture_begin("nonsense rules = =") == NULL);
    CHECK(strstr(mlog_why(), "mlog_capture_begin") != NULL);
    c = mlog_capture_begin(NULL);
    CHECK(mlog_capture_begin(NULL) == NULL); /* one at a time */
    CHECK(strstr(mlog_why(), "under way") != NULL);
    mlog_capture_end(c);
    mlog_capture_end(NULL);
    CHECK_EQ(mlog_capture_count(NULL, NULL), (size_t)-1);
    CHECK(strcmp(mlog_capture_text(NULL), "") == 0);
    c = mlog_capture_begin("off");
    mlog_fatal("nothing");
    CHECK_EQ(mlog_capture_count(c, NULL), 0);
    mlog_capture_end(c);
}

enum { THREADS = 4, EACH = 5000 };
static void *many(void *number) {
    for (int i = 0; i < EACH; i++) mlog_info("many", "thread_number", (int)(intptr_t)number, "i", i);
    return NULL;
}

static void test_threads(void) { /* nothing is lost, however fast it comes: the capture holds the rings */
    pthread_t t[THREADS];
    mlog_capture *c = mlog_capture_begin(NULL);
    for (intptr_t i = 0; i < THREADS; i++) (void)pthread_create(&t[i], NULL, many, (void *)i);
    for (int i = 0; i < 20; i++) (void)mlog_capture_count(c, "i=3"); /* while it grows */
    for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
    CHECK_EQ(mlog_capture_count(c, "msg=many"), THREADS * EACH);
    CHECK_EQ(mlog_capture_count(c, "thread_number=2 and i>=2500"), EACH / 2);
    mlog_capture_end(c);
    for (int i = 0; i < 200; i++) { /* one after another, with a thread that logs all the time */
        c = mlog_capture_begin(NULL);
        mlog_info("mine", "i", i);
        CHECK_EQ(mlog_capture_count(c, "msg=mine"), 1);
        mlog_capture_end(c);
    }
}

static int refused;
static int captures(void *user, const mlog_record *r) {
    (void)user, (void)r;
    mlog_capture *c = mlog_capture_begin(NULL);
    if (c == NULL && strstr(mlog_why(), "callback") != NULL) __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
    mlog_capture_end(c);
    return 0;
}

static void test_callback(void) { /* a lane cannot rest while it waits for itself: refused, not waited for */
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK, .write = captures});
    mlog_info("seen by the callback");
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(__atomic_load_n(&refused, __ATOMIC_RELAXED), 1);
    mlog_sink_remove(s);
}

static int stop_calls;
static void *calls(void *count) {
    long *n = count;
    for (; !__atomic_load_n(&stop_calls, __ATOMIC_RELAXED); ++*n) {
        mlog_info("all the time", "n", *n);
        if (*n % 4 == 0) (void)usleep(20);
    }
    return NULL;
}

static void test_begin(void) { /* a call beside _begin is in the file or in the capture: never in both, never in none */
    long called[3] = {0}, captured = 0, before = (long)file_lines(out_json_path, "all the time");
    for (int round = 0; round < 20; round++) {
        pthread_t t[3];
        __atomic_store_n(&stop_calls, 0, __ATOMIC_RELAXED);
        for (int i = 0; i < 3; i++) (void)pthread_create(&t[i], NULL, calls, &called[i]);
        sleep_ms(5);
        mlog_capture *c = mlog_capture_begin(NULL);
        __atomic_store_n(&stop_calls, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
        captured += (long)mlog_capture_count(c, "msg='all the time'");
        mlog_capture_end(c);
    }
    out_skip();
    mlog_stats all;
    mlog_stats_read(&all);
    long written = (long)file_lines(out_json_path, "all the time") - before;
    CHECK_EQ(written + captured + (long)all.dropped, called[0] + called[1] + called[2]);
}

static int got;
static int gets(void *user, const mlog_record *r) {
    (void)user, (void)r;
    __atomic_add_fetch(&got, 1, __ATOMIC_RELAXED);
    return 0;
}

static void test_meanwhile(void) { /* sinks and rules that come while a capture is under way are for the time behind it */
    mlog_capture *c = mlog_capture_begin("debug");
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK, .write = gets});
    mlog_debug("one");
    CHECK(out_begin((mlog_config){.levels = "warn"}) == 0);
    mlog_debug("two");
    CHECK_EQ(mlog_capture_count(c, NULL), 2);
    CHECK_EQ(__atomic_load_n(&got, __ATOMIC_RELAXED), 0);
    CHECK_EQ(file_lines(out_json_path, NULL), 0);
    mlog_capture_end(c);
    mlog_info("not any more");
    mlog_warn("three");
    out_look();
    CHECK_EQ(lines(out_json, NULL), 1);
    CHECK_EQ(__atomic_load_n(&got, __ATOMIC_RELAXED), 1);
    c = mlog_capture_begin("off");
    CHECK(mlog_levels("debug") == 0); /* wins over everything, also over what was before the capture */
    mlog_debug("four");
    CHECK_EQ(mlog_capture_count(c, NULL), 1);
    mlog_capture_end(c);
    CHECK(mlog_enabled(MLOG_DEBUG));
    c = mlog_capture_begin(NULL);
    CHECK(mlog_shutdown(5000) == 0);
    mlog_warn("to the files again");
    out_look();
    CHECK_EQ(lines(out_json, NULL), 1);
    mlog_capture_end(c);
    mlog_sink_remove(NULL);
    (void)s; /* mlog_shutdown took it */
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0:atexit_sleep_ms=0"; } /* children start threads here */

static int stop_looking;
static void *looks(void *capture) {
    while (!__atomic_load_n(&stop_looking, __ATOMIC_RELAXED)) (void)mlog__capture_count(capture, NULL);
    return NULL;
}

static void test_child(void) { /* forked while another thread looks at the capture: it is not in the child, its lock is */
#ifdef EMULATED /* qemu-user 7.2 may abort when a forked child starts a thread */
    return;
#endif
    pthread_t t;
    mlog_capture *c = mlog_capture_begin(NULL);
    for (int i = 0; i < 20000; i++) mlog_info("parent's");
    CHECK_EQ(mlog_capture_count(c, NULL), 20000);
    (void)pthread_create(&t, NULL, looks, c);
    sleep_ms(5);
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            (void)alarm(20);
            mlog_info("child's");
            _exit(mlog_capture_count(c, "msg=\"child's\"") == 1 ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    __atomic_store_n(&stop_looking, 1, __ATOMIC_RELAXED);
    (void)pthread_join(t, NULL);
    mlog_capture_end(c);
}

int main(void) {
    CHECK(out_begin((mlog_config){.levels = "info"}) == 0);
    test_counts();
    test_others();
    test_levels();
    test_threads();
    test_callback();
    test_begin();
    test_child();
    STRICT(out_json_path);
    test_meanwhile();
    return done();
}
