/* What every public call promises, over one table of them, in success and in failure: errno stays as it was; no call is a cancellation
 * point; the bytes do not depend on the locale. Each with the library running, as the first call of all, and without a thread of its
 * own, where the caller does the flusher's work. */
#define METALOG_IMPLEMENTATION
#define pthread_create limited_create /* as seen by the library: threads may not be had */
#include "../metalog.h"
#undef pthread_create
#include "check.h"

#include <locale.h>
#include <signal.h>
#include <wchar.h>

#pragma GCC diagnostic ignored "-Wformat" /* %m and the grouping flag are no ISO C */

static int no_threads;
int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int limited_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    return no_threads ? EAGAIN : pthread_create(thread, attr, run, arg);
}

/* ---- the calls ---- */

static char log_path[512];
static int answer; /* of the last call that has one */
static void put(mlog_writer *w, const void *p) { mlog_put(w, "x", *(const int *)p); }
static int takes(void *user, const mlog_record *r) { return (void)r, ++*(int *)user, 0; }
static int taken;

static void c_info(void) { mlog_info("m", "i", 1, "text", "abc", "d", 0.5); }
static void c_infof(void) { mlog_infof("m %d %s %m", 1, "x"); }
static void c_off(void) { mlog_trace("off", "i", 1), (void)mlog_enabled(MLOG_TRACE); }
static void c_dynamic(void) { mlog(MLOG_WARN, "m", "i", 1), mlogf(MLOG_WARN, "m %d", 1); }
static void c_to(void) { mlog_to(mlog_named("a.b"), MLOG_INFO, "m", "o", mlog_object(put, &taken)), mlog_tof(mlog_named("c"), MLOG_INFO, "m"); }
static void c_fatal(void) { mlog_fatal("m", "i", 1), mlog_fatalf("m %d", 1); }
static void c_wide(void) { mlog_infof("%ls %lc", L"wide", (wint_t)0x20AC); }
static void c_with(void) {
    mlog_with("k", 1, "text", "abc");
    mlog_info("m");
}
static void c_with_heavy(void) {
    static char big[900];
    memset(big, 'x', sizeof big - 1);
    mlog_with("big", (const char *)big);
    mlog_info("m");
}
static void c_context(void) {
    mlog_context *c = mlog_context_new("k", 1), *old = mlog_context_swap(c);
    mlog_context_unref(mlog_context_ref(mlog_context_current()));
    (void)mlog_context_swap(old);
    {
        mlog_with_context(c);
        mlog_info("m");
    }
    mlog_context_unref(c);
    mlog_context_unref(NULL);
}
static void c_bind(void) {
    mlog_logger *lg = mlog_bind(mlog_named("bound"), "k", 1);
    mlog_to(lg, MLOG_INFO, "m");
    mlog_unbind(lg);
    mlog_unbind(NULL);
}
static void c_named_bad(void) { answer = mlog_named("a b") == NULL && mlog_named(NULL) == NULL ? -1 : 0; }
static void c_emit(void) {
    mlog_field f[] = {{"i", mlog_val(1)}, {"text", mlog_val("abc")}};
    mlog_event e = {.at = MLOG_HERE, .level = MLOG_INFO, .msg = "m", .fields = f, .nfields = 2};
    mlog_emit(&e);
}
static void by_list(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void by_list(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}
static void c_vprintf(void) { by_list("m %d %s %m", 1, "x"); }
static void c_level(void) { answer = (mlog_level_parse("nonsense"), mlog_level_parse("99999999999999999999")), (void)mlog_level_name(9); }
static mlog_config config(void) {
    return (mlog_config){.levels = "info", .env = "-", .exit_ms = 3000, .sinks = {{.name = "file", .type = MLOG_FILE, .path = log_path}}};
}
static void c_init(void) {
    mlog_config c = config();
    answer = mlog_init(&c);
}
static void c_init_path(void) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = "/nonexistent/x.log"}}};
    answer = mlog_init(&c);
}
static void c_init_levels(void) {
    mlog_config c = {.env = "-", .levels = "nonsense"};
    answer = mlog_init(&c);
}
static void c_init_owner(void) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = log_path, .owner = "no-such-user:no-such-group"}}};
    answer = mlog_init(&c);
}
static void c_levels(void) { answer = mlog_levels("info,net=debug"); }
static void c_levels_bad(void) { answer = mlog_levels("net=nonsense"); }
static void c_levels_null(void) { answer = mlog_levels(NULL); }
static void c_flush(void) { c_info(), answer = mlog_flush(5000); }
static void c_flush_default(void) { answer = mlog_flush(-1); }
/* This holds a lock of the library over calls, as none of its threads does: an order of locks of the test's own making. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "detect_deadlocks=0"; }

static void c_flush_late(void) {
    c_info();
    pthread_mutex_lock(&mlog__flush_all.role); /* nothing can be written meanwhile */
    c_info();
    answer = mlog_flush(30);
    pthread_mutex_unlock(&mlog__flush_all.role);
}
static void c_shutdown(void) { c_info(), answer = mlog_shutdown(5000); }
static void c_reopen(void) { mlog_reopen(); }
static void c_thread(void) {
    mlog_thread_config c = {.name = "me", .full = MLOG_BLOCK};
    answer = mlog_thread(&c);
}
static void c_thread_bad(void) {
    mlog_thread_config c = {.ring_bytes = 7};
    answer = mlog_thread(&c);
}
static void c_why(void) { (void)mlog_why(); }
static void c_stats(void) {
    mlog_stats s;
    mlog_stats_read(&s);
}
static void c_sink_stats(void) {
    mlog_sink_stats s;
    (void)mlog_sink_stats_read("file", &s);
}
static void c_sink_stats_bad(void) {
    mlog_sink_stats s;
    answer = mlog_sink_stats_read("none", &s);
}
static void c_sink(void) {
    mlog_sink_config c = {.name = "more", .type = MLOG_NULL};
    mlog_sink *s = mlog_sink_add(&c);
    c_info();
    mlog_sink_remove(s);
    mlog_sink_remove(NULL);
}
static void c_sink_callback(void) {
    mlog_sink_config c = {.name = "callback", .type = MLOG_CALLBACK, .write = takes, .user = &taken};
    mlog_sink *s = mlog_sink_add(&c);
    c_info();
    mlog_sink_remove(s);
}
static void c_sink_bad(void) {
    mlog_sink_config c = {.type = MLOG_FILE, .path = "/nonexistent/x.log"}, none = {.type = (mlog_sink_type)99};
    answer = mlog_sink_add(&c) == NULL && mlog_sink_add(&none) == NULL && mlog_sink_add(NULL) == NULL ? -1 : 0;
}
static void c_json(void) {
    char text[4];
    mlog_value v = mlog_str("a longer text", 13), d = mlog_val(0.1);
    (void)mlog_value_json(&v, text, sizeof text);
    (void)mlog_value_json(&d, text, sizeof text);
}

static const struct {
    const char *name;
    void (*call)(void);
    int answer; /* 0, or -1 of one that must fail; 1: has none */
} calls[] = {
    {"mlog_info", c_info, 1}, {"mlog_infof", c_infof, 1}, {"a level that is off", c_off, 1}, {"mlog", c_dynamic, 1},
    {"mlog_to, mlog_object", c_to, 1}, {"mlog_fatal", c_fatal, 1}, {"%ls", c_wide, 1}, {"mlog_with", c_with, 1},
    {"mlog_with, too large", c_with_heavy, 1}, {"mlog_context_*", c_context, 1}, {"mlog_bind", c_bind, 1},
    {"mlog_named, bad", c_named_bad, -1}, {"mlog_emit", c_emit, 1}, {"mlog_vprintf", c_vprintf, 1}, {"mlog_level_parse", c_level, -1},
    {"mlog_init", c_init, 0}, {"mlog_init, bad path", c_init_path, -1}, {"mlog_init, bad levels", c_init_levels, -1},
    {"mlog_init, bad owner", c_init_owner, -1}, {"mlog_levels", c_levels, 0}, {"mlog_levels, bad", c_levels_bad, -1},
    {"mlog_levels, NULL", c_levels_null, -1}, {"mlog_flush", c_flush, 0}, {"mlog_flush, default", c_flush_default, 0},
    {"mlog_flush, late", c_flush_late, -1}, {"mlog_shutdown", c_shutdown, 0}, {"mlog_reopen", c_reopen, 1}, {"mlog_thread", c_thread, 0},
    {"mlog_thread, bad", c_thread_bad, -1}, {"mlog_why", c_why, 1}, {"mlog_stats_read", c_stats, 1},
    {"mlog_sink_stats_read", c_sink_stats, 1}, {"mlog_sink_stats_read, bad", c_sink_stats_bad, -1}, {"mlog_sink_add", c_sink, 1},
    {"mlog_sink_add, callback", c_sink_callback, 1}, {"mlog_sink_add, bad", c_sink_bad, -1}, {"mlog_value_json", c_json, 1},
};
enum { CALLS = sizeof calls / sizeof *calls };

/* ---- the states in which each call is made ---- */

enum { ALONE, RUNNING, STOPPED, STATES }; /* in this order: a thread that runs stays */
static const char *const state_name[STATES] = {"without threads", "running", "first call"};
static const char *now_running = "";

static void prepare(int state) {
    mlog_config c = config();
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
    if (state != STOPPED) return;
    CHECK(mlog_shutdown(5000) == 0);
}

static void hangs(int number) { /* a call that was cancelled holds a lock for ever */
    (void)number;
    static const char text[] = "hangs: ";
    (void)!write(1, text, sizeof text - 1);
    (void)!write(1, now_running, strlen(now_running));
    _exit(1);
}

static int keeps_errno(int i) {
    answer = 1;
    errno = 4242;
    calls[i].call();
    return errno == 4242;
}

static int reached;
static void *with_cancel_pending(void *call) {
    (void)pthread_cancel(pthread_self());
    (*(void (*const *)(void))call)();
    reached = 1;
    pthread_testcancel();
    reached = 2;
    return NULL;
}
/* Did the call return, and was the thread cancelled at the first point behind it? */
static int no_cancellation_point(void (*const *call)(void)) {
    pthread_t t;
    void *result = NULL;
    reached = 0;
    (void)pthread_create(&t, NULL, with_cancel_pending, (void *)(uintptr_t)call);
    (void)pthread_join(t, &result);
    return reached == 1 && result == PTHREAD_CANCELED;
}

static void a_point(void) { (void)usleep(1); } /* the control: a call that is one */
static void changes_errno(void) { (void)close(-1); }

static void test_table(int state) {
    for (int i = 0; i < CALLS; i++) {
        now_running = calls[i].name;
        (void)alarm(20);
        prepare(state);
        int kept = keeps_errno(i);
        if (calls[i].answer != 1 && state == RUNNING && !CHECK_EQ(answer, calls[i].answer)) printf("    %s\n", calls[i].name);
        if (!CHECK(kept)) printf("    errno: %s, %s\n", calls[i].name, state_name[state]);
        prepare(state);
        if (!CHECK(no_cancellation_point(&calls[i].call))) printf("    cancellation: %s, %s\n", calls[i].name, state_name[state]);
        CHECK(mlog_shutdown(5000) == 0);
        (void)alarm(0);
    }
}

/* ---- locales ---- */

static int64_t clock_now;
static int64_t fixed_clock(void) { return clock_now += 1000; }

static void say_numbers(void) {
    mlog_info("numbers", "d", 1234567.5, "f", 0.1f, "i", 1234567, "list", mlog_array(((double[2]){0.5, -1e300}), 2));
    mlog_info("others", "dur", mlog_dur(1500000), "time", mlog_time(1500000000), "errno", mlog_errno(2), "json", mlog_json("{\"a\":1.5}", 9));
    mlog_infof("%f %.3g %e %a %5.1f %d %'d %.2Lf", 1234567.5, 0.125, 1.5, 1.5, 2.25, 1234567, 1234567, 1234567.5L);
    by_list("%'.2f %g %s", 1234567.5, 0.5, "text");
    mlog_infof("%ls %m", L"wide");
}

/* What a locale makes of say_numbers(): JSON, then PRETTY, then a value by itself. */
static char *written(const char *name) {
    char json[512], pretty[520], value[64] = "";
    clock_now = 0;
    (void)snprintf(json, sizeof json, "%s", temp_path(name));
    (void)snprintf(pretty, sizeof pretty, "%s.txt", json);
    (void)unlink(json), (void)unlink(pretty);
    mlog_config c = {.env = "-", .now = fixed_clock, .sinks = {{.type = MLOG_FILE, .path = json},
                     {.name = "pretty", .type = MLOG_FILE, .format = MLOG_PRETTY, .path = pretty, .utc = MLOG_YES}}};
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
    errno = ENOENT;
    say_numbers();
    CHECK(mlog_flush(5000) == 0);
    CHECK(mlog_shutdown(5000) == 0);
    mlog_value v = mlog_val(1234567.5);
    (void)mlog_value_json(&v, value, sizeof value);
    char *a = slurp(json, NULL), *b = slurp(pretty, NULL), *all = malloc(strlen(a) + strlen(b) + sizeof value);
    (void)sprintf(all, "%s%s%s", a, b, value);
    free(a), free(b);
    return all;
}

static void test_locale(void) {
    char command[700], shown[32];
    const char *dir = getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp";
    (void)snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 --no-archive '%s/de_DE.UTF-8' >/dev/null 2>&1", dir);
    int status = system(command);
    (void)setenv("LOCPATH", dir, 1);
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL) {
        printf("no locale with a decimal comma here (localedef: %d)\n", status);
        return;
    }
    (void)snprintf(shown, sizeof shown, "%'.1f", 1234567.5);
    CHECK(strcmp(shown, "1.234.567,5") == 0); /* the locale is in force, and does what we fear */
    for (int own = 0; own < 2; own++) { /* by the caller, by the flusher */
        no_threads = !own;
        (void)setlocale(LC_ALL, "C");
        char *plain = written("plain");
        (void)setlocale(LC_ALL, "de_DE.UTF-8");
        char *german = written("german");
        CHECK(strlen(plain) > 1000 && strstr(plain, "1234567.5") != NULL);
        if (!CHECK(strcmp(plain, german) == 0)) printf("%s\n-----\n%s\n", plain, german);
        free(plain), free(german);
    }
    (void)setlocale(LC_ALL, "C");
}

int main(void) {
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path("promises.log"));
    (void)unlink(log_path);
    (void)signal(SIGALRM, hangs);
    void (*const point)(void) = a_point;
    CHECK(!no_cancellation_point(&point));
    errno = 4242;
    changes_errno();
    CHECK(errno != 4242);
    no_threads = 1;
    test_table(ALONE);
    CHECK(!mlog__flush_all.running0);
    test_locale();
    for (int state = RUNNING; state < STATES; state++) test_table(state);
    return done();
}
