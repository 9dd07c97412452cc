/* What tests/mutants.sh runs under ThreadSanitizer: every pair of metalog.h meets here, in about a second, with no other
 * synchronization between the threads than the library's own. Not a test of results: only of what is ordered before what. */
static int mutant_line; /* see orders.awk */
#define MUTANT(line, order) (mutant_line == (line) ? __ATOMIC_RELAXED : (order))
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include "../check.h"

#include <pthread.h>
#include <sched.h>

const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "halt_on_error=1:atexit_sleep_ms=0"; }

enum { THREADS = 4 };
static int here, stop;
static char letters[200];

/* A meeting that orders nothing: ThreadSanitizer must not take it for synchronization. */
static void meet(int n) {
    __atomic_fetch_add(&here, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&here, __ATOMIC_RELAXED) < n) sched_yield();
}

static mlog_context *volatile_context; /* handed over relaxed: its contents come by the library's own order, or not at all */

static void say(int who, int count) {
    for (int i = 0; i < count; i++) mlog_info("said", "who", who, "n", i, "text", letters + i % 190);
}

static int takes(void *user, const mlog_record *r) {
    *(size_t *)user += r->nfields + r->text_len;
    return 0;
}

static size_t taken;
static char path[512], second[512];

static void start(void) {
    mlog_config c = {.env = "-", .full = MLOG_BLOCK, .ring_bytes = 8192, .sinks = {{.type = MLOG_FILE, .path = path},
                     {.name = "callback", .type = MLOG_CALLBACK, .format = MLOG_LOGFMT, .write = takes, .user = &taken},
                     {.name = "flat", .type = MLOG_NULL, .format = MLOG_LOGFMT}}}; /* LOGFMT in both lanes */
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

/* The very first calls of the program, all at once. */
static void *first(void *number) {
    int me = *(int *)number;
    meet(THREADS);
    if (me == 0) {
        mlog_context *c = mlog_context_new("me", me);
        mlog_context_unref(c);
    } else if (me == 1) {
        mlog_info("first");
    } else if (me == 2) {
        (void)mlog_thread(NULL);
    } else {
        mlog_tof(mlog_named("first"), MLOG_INFO, "first %d", me);
    }
    say(me, 20);
    return NULL;
}

/* Threads that come and go, one site each, contexts, full rings. */
static void *brief(void *number) {
    int me = *(int *)number;
    {
        mlog_with("me", me);
        say(me, 60);
        mlog_warn("brief", "me", me);
    }
    return NULL;
}

static void *births(void *number) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_t t;
        if (pthread_create(&t, NULL, brief, number) == 0) (void)pthread_detach(t);
        sleep_ms(3);
    }
    return NULL;
}

static void *talks(void *number) {
    int me = *(int *)number;
    meet(THREADS);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        mlog_context *c = mlog_context_new("round", me), *d, *old;
        say(me, 40);
        old = mlog_context_swap(c);
        mlog_info("in a context", "me", me);
        (void)mlog_context_swap(old);
        c = __atomic_exchange_n(&volatile_context, c, __ATOMIC_RELAXED); /* the last reference goes elsewhere */
        mlog_context_unref(c);
        d = mlog_context_new("second", me);
        mlog_context_unref(d);
    }
    return NULL;
}

static void *turns(void *number) {
    static const char *const rules[2] = {"trace", "info,race=debug,none=warn"};
    for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        mlog_logger *lg = mlog_bind(mlog_named(i % 2 ? "even" : "odd"), "i", i);
        mlog_to(lg, MLOG_INFO, "bound", "i", i);
        mlog_unbind(lg);
        (void)mlog_levels(rules[i % 2]);
        mlog_debug("turns", "i", i);
        sleep_ms(1);
    }
    return number;
}

static void *flushes(void *number) {
    mlog_stats s;
    mlog_sink_stats k;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        CHECK(mlog_flush(5000) == 0);
        mlog_stats_read(&s);
        (void)mlog_sink_stats_read("callback", &k);
        mlog_reopen();
    }
    return number;
}

static size_t more_taken;
static void *adds(void *number) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        mlog_sink_config c = {.name = "more", .type = MLOG_CALLBACK, .write = takes, .user = &more_taken};
        mlog_sink *s = mlog_sink_add(&c);
        say(9, 5);
        if (s != NULL) mlog_sink_remove(s);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        more_taken++; /* its callbacks do not run again: this is no race */
    }
    return number;
}

static void run(void *(*const what[])(void *), int n, int ms) {
    static int number[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    pthread_t t[8];
    __atomic_store_n(&here, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < n; i++) (void)pthread_create(&t[i], NULL, what[i], &number[i]);
    sleep_ms(ms);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < n; i++) (void)pthread_join(t[i], NULL);
}

int main(int argc, char **argv) {
    if (argc > 1) mutant_line = atoi(argv[1]);
    for (size_t i = 0; i < sizeof letters - 1; i++) letters[i] = (char)('a' + i % 26);
    (void)snprintf(path, sizeof path, "%s", temp_path("race.log"));
    (void)snprintf(second, sizeof second, "%s", temp_path("race-first.log"));
    int fd = open(second, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)dup2(fd, 2);
    run((void *(*const[])(void *)){first, first, first, first}, 4, 0);
    start();
    run((void *(*const[])(void *)){talks, talks, talks, talks, births, turns}, 6, 150);
    run((void *(*const[])(void *)){talks, talks, talks, talks, births, turns, flushes, adds}, 8, 250);
    start();
    run((void *(*const[])(void *)){talks, talks, talks, talks, births, flushes}, 6, 100);
    CHECK(mlog_shutdown(5000) == 0);
    say(0, 10);
    return done();
}
