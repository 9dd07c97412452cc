/* siglongjmp out of handlers that interrupted a logging call: what was released is whole, the level heals when the old frame is proved
 * gone, and nothing else (a handler that still runs, on another stack, or in a coroutine) is taken for that. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#if defined(__x86_64__) && !defined(__ILP32__)
enum { HEALS = 1 };
#else
enum { HEALS = 0 };
#endif

static const char *log_path;
static sigjmp_buf env;

static void start(const char *file) {
    mlog_config c = {.levels = "trace", .env = "-", .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = log_path = temp_path(file)}}};
    (void)unlink(log_path);
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
    mlog_info("begun");
}

static void on_signal(int number, void (*handler)(int), int flags) {
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    (void)sigaction(number, &a, NULL);
}

static size_t logged(const char *what) {
    CHECK(mlog_flush(10000) == 0);
    return file_lines(log_path, what);
}

static uint64_t side_head(void) { return mlog__ring_list[2 * mlog__thread_slot(mlog__thread_self) + 1]->head; }
static bool whole(void) { return mlog__thread_self->depth == 0 && mlog__thread_self->state == MLOG__T_READY && !mlog__thread_self->staged; }

/* A call that is hit between its begin and its end; care: staged. As the macros make it. */
static __attribute__((noinline)) void hit(int number, bool staged) {
    static mlog__site plain = {MLOG__UNSEEN, 0, "hit", "k\0", __FILE__, "hit", "METALOG_SOURCE", 0, 1, MLOG_INFO, 1, MLOG__PAIRS, 0};
    static mlog__site care = {MLOG__UNSEEN, 0, "hit %.3s", "", __FILE__, "hit", "METALOG_SOURCE", 0, 2, MLOG_INFO, 1, MLOG__PRINTF, 0};
    mlog__site *site = staged ? &care : &plain;
    uint64_t *p = mlog1_begin(site, mlog__gate(site), staged ? MLOG__C_TEXT : MLOG__C_INT);
    (void)raise(number);
    if (staged) (void)mlog1_textf(p, 0, "abcdef");
    else (void)mlog__put_i(p, 0, 7);
    mlog1_end();
}

static void jumps(int number) {
    (void)number;
    siglongjmp(env, 1);
}
static void says_and_jumps(int number) {
    mlog_info("said before the jump", "number", number);
    siglongjmp(env, 1);
}

/* What is called from the same place as the one that was hit: it stands where that began. */
static __attribute__((noinline)) void again(int i) { mlog_info("again", "i", i); }

static void left(const char *file, void (*handler)(int), bool staged, int flags) {
    start(file);
    on_signal(SIGUSR1, handler, flags);
    for (int round = 0; round < (HEALS ? 100 : 1); round++) {
        if (sigsetjmp(env, 1) == 0) hit(SIGUSR1, staged);
        CHECK(mlog__thread_self->state != MLOG__T_READY || staged);
        again(2 * round);
        CHECK_EQ(whole(), HEALS);
        uint64_t before = side_head();
        again(2 * round + 1);
        if (HEALS) CHECK_EQ(side_head(), before); /* in the thread's own ring */
    }
    CHECK_EQ(logged("\"hit"), 0); /* they never returned */
    CHECK_EQ(logged("\"again\""), HEALS ? 200 : 2);
    if (!HEALS) return;
    CHECK_EQ(logged("said before"), handler == says_and_jumps ? 100 : 0);
    CHECK_EQ(file_lines(log_path, NULL), (size_t)(handler == says_and_jumps ? 301 : 201));
}

/* ---- what must not heal ---- */

static void says(int number) {
    for (int i = 0; i < 10; i++) again(i); /* what fits the side ring, whenever it is read */
    (void)number;
}

/* The handler runs above the call that it interrupted: on a stack that is an array of a frame of this thread. */
static void alternate(void) {
    char stack[65536];
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    stack_t before;
    start("alternate.log");
    on_signal(SIGUSR1, says, SA_ONSTACK);
    CHECK(sigaltstack(&ours, &before) == 0);
    for (int i = 0; i < 20; i++) {
        hit(SIGUSR1, i % 2);
        CHECK(whole());
    }
    CHECK(sigaltstack(&before, NULL) == 0);
    CHECK_EQ(logged("\"hit"), 20);
    CHECK_EQ(logged("\"again\""), 200);
}

#ifndef MLOG__SANITIZED /* they do not follow it onto other stacks */
/* A handler that leaves for a coroutine, which logs, and comes back: a scheduler that preempts. */
static ucontext_t in_handler, in_coroutine;

static void coroutine(void) {
    for (;;) {
        for (int i = 0; i < 10; i++) again(i); /* what fits the side ring, whenever it is read */
        (void)swapcontext(&in_coroutine, &in_handler);
    }
}

static void leaves(int number) {
    (void)number;
    (void)swapcontext(&in_handler, &in_coroutine);
}

static void coroutines(const char *file, char *stack, size_t size) {
    start(file);
    on_signal(SIGUSR1, leaves, 0);
    (void)getcontext(&in_coroutine);
    in_coroutine.uc_stack.ss_sp = stack;
    in_coroutine.uc_stack.ss_size = size;
    makecontext(&in_coroutine, coroutine, 0);
    for (int i = 0; i < 20; i++) {
        hit(SIGUSR1, i % 2);
        CHECK(whole());
    }
    CHECK_EQ(logged("\"hit"), 20);
    CHECK_EQ(logged("\"again\""), 200);
}

static void test_coroutines(void) {
    char here[65536], *far = malloc(65536);
    coroutines("coroutine1.log", far, 65536);
    coroutines("coroutine2.log", here, sizeof here); /* above the call that was hit, on its thread's stack */
    free(far);
}
#endif

/* ---- whenever it comes ---- */

#ifndef TSAN /* it holds signals back until the thread blocks */

static volatile sig_atomic_t storm_on;
static void storm_jumps(int number) {
    static int n;
    (void)number;
    if (!storm_on) return;
    if (++n % 3 == 0) mlog_info("from the handler", "n", n / 3 - 1);
    siglongjmp(env, 1);
}

/* A timer's handler jumps out of whatever runs: each call that returned is there once, each line is whole, and no call waits for ever. */
static void test_storm(void) {
    struct itimerval timer = {{0, 211}, {0, 211}}, off = {{0, 0}, {0, 0}};
    static volatile int returned, jumped;
    static char seen[1 << 22];
    mlog_stats before, s;
    start("storm.log");
    mlog_stats_read(&before);
    on_signal(SIGALRM, storm_jumps, 0);
    storm_on = 1;
    int64_t until = now_ms() + 1500;
    (void)setitimer(ITIMER_REAL, &timer, NULL);
    if (sigsetjmp(env, 1) != 0) jumped++;
    while (now_ms() < until && returned < (int)sizeof seen - 2) {
        mlog_info("storm", "n", returned, "text", "abcdefghijklmnopqrstuvwxyz");
        returned++;
        mlog_infof("storm of %.*s, \"n\":%d", 3, "abcdef", returned);
        returned++;
    }
    storm_on = 0;
    (void)setitimer(ITIMER_REAL, &off, NULL);
    char *text = (CHECK(mlog_flush(10000) == 0), slurp(log_path, NULL));
    long long wrong = 0, torn = 0;
    for (char *p = text; *p; p = strchr(p, '\n') + 1) {
        char *end = strchr(p, '\n'), *at = end == NULL ? NULL : memmem(p, (size_t)(end - p), "\"n\":", 4);
        torn += end == NULL || end[-1] != '}';
        if (end == NULL) break;
        char *escaped = memmem(p, (size_t)(end - p), "\\\"n\\\":", 6);
        long long n = escaped != NULL ? strtoll(escaped + 6, NULL, 10) : at != NULL ? strtoll(at + 4, NULL, 10) : -1;
        if (memmem(p, (size_t)(end - p), "\"storm", 6) == NULL || n < 0) continue;
        if (n < (long long)sizeof seen) seen[n]++;
    }
    /* a call that was left at its very end may be there, and was made again */
    for (int i = 0; i < returned; i++) wrong += seen[i] == 0;
    CHECK_EQ(torn, 0);
    if (!CHECK_EQ(wrong, 0)) printf("    of %d\n", returned);
    long long twice = 0;
    for (int i = 0; i <= returned; i++) twice += seen[i] > 1;
    CHECK(twice <= jumped);
    printf("    %d calls, %d jumps\n", returned, jumped);
    CHECK(jumped > 10);
    again(1);
    again(2);
    mlog_stats_read(&s);
    CHECK_EQ(s.dropped, before.dropped);
    free(text);
}
#endif

int main(void) {
    left("plain.log", jumps, false, 0);
    if (!HEALS) return done(); /* the side ring goes on */
    left("staged.log", jumps, true, 0);
    left("said.log", says_and_jumps, false, 0);
    char *stack = malloc(65536);
    const stack_t ours = {.ss_sp = stack, .ss_size = 65536};
    stack_t before;
    (void)sigaltstack(&ours, &before);
    left("onstack.log", says_and_jumps, true, SA_ONSTACK);
    (void)sigaltstack(&before, NULL);
    free(stack);
    alternate();
#ifndef MLOG__SANITIZED
    test_coroutines();
#endif
#ifndef TSAN
    test_storm();
#endif
    return done();
}
