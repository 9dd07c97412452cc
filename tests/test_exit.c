/* The end: of a process in all its ways, of threads, of the library while the program goes on. Every case is a child of its own,
 * which logs to a file (or to a pipe that nobody reads); the parent counts the lines and the time. */
#define METALOG_IMPLEMENTATION
#define pthread_create limited_create /* as seen by the library: threads may not be had */
#include "../metalog.h"
#undef pthread_create
#include "check.h"

#include <sys/wait.h>

#ifdef EMULATED
enum { FOREIGN_THREADS = 1 };
#else
enum { FOREIGN_THREADS = SANITIZED };
#endif
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0:atexit_sleep_ms=0"; }

static int no_threads;
int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int limited_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    return no_threads ? EAGAIN : pthread_create(thread, attr, run, arg);
}

static char log_path[512];
static char letters[300];
static int in_case; /* which child this process is; 0 in the parent */

static void say(int who, int from, int to) {
    for (int i = from; i < to; i++) mlog_info("said", "who", who, "n", i, "text", letters + i % 290);
}

static void start(mlog_full full, int exit_ms) {
    mlog_config c = {
        .levels = "trace", .env = "-", .full = full, .exit_ms = exit_ms, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) {
        printf("    %s\n", mlog_why());
        fflush(stdout);
        _exit(9);
    }
}

static int64_t took;
/* Runs a case in a child to its end; its status (-2: it hung) and, in `took`, how long it ran. */
static int child(void (*run)(void)) {
    static int number;
    int status = -1;
    fflush(stdout);
    number++;
    (void)snprintf(log_path, sizeof log_path, "%s/exit%d.log", getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp", number);
    (void)unlink(log_path);
    took = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
        in_case = number;
        run();
        exit(0);
    }
    for (int64_t until = now_ms() + 15000; now_ms() < until; sleep_ms(1)) {
        if (waitpid(pid, &status, WNOHANG) != pid) continue;
        took = now_ms() - took;
        return status;
    }
    printf("    case %d hangs\n", number);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -2;
}

static void expect(long long who, long long count) {
    char *text = slurp(log_path, NULL);
    if (!CHECK_EQ(wrong_of(text, who, count), 0)) printf("    of %lld: %zu lines in %s\n", who, lines(text, NULL), log_path);
    free(text);
}

/* ---- exit from main, with records of several threads that nobody has written yet ---- */

static void *say_some(void *number) {
    say(*(int *)number, 0, 2000);
    return NULL;
}

static void *say_and_stay(void *number) {
    say(*(int *)number, 0, 2000);
    __atomic_store_n((int *)number, -1, __ATOMIC_RELEASE);
    for (;;) sleep_ms(1000);
    return NULL;
}

static void pending_run(void) {
    static int number[4] = {1, 2, 3, 4};
    pthread_t t;
    start(MLOG_BLOCK, 0);
    for (int i = 0; i < 4; i++) (void)pthread_create(&t, NULL, say_and_stay, &number[i]);
    say(0, 0, 2000);
    for (int i = 0; i < 4; i++)
        while (__atomic_load_n(&number[i], __ATOMIC_ACQUIRE) != -1) sleep_ms(1);
    say(0, 2000, 2500);
}

static void stalled_pass_run(void) { /* certain to be pending: no pass can begin until exit has begun */
    start(MLOG_BLOCK, 0);
    say(0, 0, 10);
    (void)mlog_flush(5000);
    sleep_ms(150); /* the flusher sleeps: exit must wake it */
    say(0, 10, 2000);
}

static void immediate_run(void) {
    start(MLOG_BLOCK, 0);
    mlog_info("said", "who", 0, "n", 0);
}

static void unconfigured_run(void) {
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 2);
    say(0, 0, 100);
}

static void quick_run(void) { /* the thread ends right before the process does */
    static int number = 1;
    pthread_t t;
    start(MLOG_BLOCK, 0);
    say(0, 0, 10);
    (void)pthread_create(&t, NULL, say_some, &number);
    (void)pthread_join(t, NULL);
}

static void *exits(void *unused) {
    say(1, 0, 1000);
    exit(0);
    return unused;
}

static void secondary_run(void) { /* exit is called by a thread that is not the first */
    pthread_t t;
    start(MLOG_BLOCK, 0);
    say(0, 0, 1000);
    (void)pthread_create(&t, NULL, exits, NULL);
    for (;;) sleep_ms(1000);
}

static void *last_thread(void *unused) {
    sleep_ms(30);
    say(1, 0, 100);
    return unused; /* the last thread of the process: its end is exit(0) */
}

static void main_leaves_run(void) {
    pthread_t t;
    start(MLOG_BLOCK, 0);
    say(0, 0, 100);
    (void)pthread_create(&t, NULL, last_thread, NULL);
    pthread_exit(NULL);
}

/* ---- atexit handlers and destructors ---- */

static void before_handler(void) { say(1, 0, 50); } /* registered before the library's own: runs behind it */
static void after_handler(void) { say(2, 0, 50); }

static void handlers_run(void) {
    (void)atexit(before_handler);
    start(MLOG_BLOCK, 0);
    (void)atexit(after_handler);
    say(0, 0, 50);
}

static void new_site(void) { mlog_info("said", "who", 3, "n", 0); } /* a call site that registers behind the library's end */
static void *late_thread(void *unused) {
    say(4, 0, 20);
    return unused;
}
static void late_handler(void) {
    pthread_t t;
    new_site();
    (void)pthread_create(&t, NULL, late_thread, NULL); /* its first call, and its end, behind the library's end */
    (void)pthread_join(t, NULL);
}

static void late_run(void) {
    (void)atexit(late_handler);
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
}

static int destructor_case;
__attribute__((destructor)) static void at_the_very_end(void) {
    if (in_case != 0 && in_case == destructor_case) say(5, 0, 30);
}

static void destructor_run(void) {
    destructor_case = in_case;
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
}

static void shutdown_in_handler(void) {
    say(1, 0, 20);
    (void)mlog_shutdown(-1);
    say(1, 20, 40);
}

static void shutdown_late_run(void) {
    (void)atexit(shutdown_in_handler);
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
}

static void busy_handler(void) { sleep_ms(50); }
static void *say_for_ever(void *unused) {
    for (int i = 0;; i++) mlog_info("said", "who", 1, "n", i, "text", letters);
    return unused;
}

static void busy_run(void) { /* others go on logging while the process ends */
    pthread_t t;
    (void)atexit(busy_handler);
    start(MLOG_WAIT, 500);
    for (int i = 0; i < 2; i++) (void)pthread_create(&t, NULL, say_for_ever, NULL);
    sleep_ms(30);
    say(0, 0, 50);
}

static void in_exit_handler(int number) {
    (void)number;
    say(1, 0, 20);
}
static void signal_handler_at_exit(void) { (void)raise(SIGUSR1); }
static void signal_run(void) { /* a handler that logs behind the library's end */
    (void)atexit(signal_handler_at_exit);
    (void)signal(SIGUSR1, in_exit_handler);
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
}

/* A child that is born behind the library's end. */
static void fork_at_exit(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        say(1, 0, 20);
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
}
static void fork_late_run(void) {
    (void)atexit(fork_at_exit);
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
}

/* ---- what cannot be written ---- */

static int blocked_pipe(void) { /* stderr is a pipe that is full and that nobody reads */
    int fd[2];
    char some[4096];
    if (pipe(fd) != 0) _exit(8);
    memset(some, 'x', sizeof some);
    (void)fcntl(fd[1], F_SETFL, O_NONBLOCK);
    while (write(fd[1], some, sizeof some) > 0) {}
    (void)fcntl(fd[1], F_SETFL, 0);
    (void)dup2(fd[1], 2);
    return fd[0];
}

static void blocked_run(void) {
    (void)blocked_pipe();
    mlog_config c = {.env = "-", .exit_ms = 400, .sinks = {{.type = MLOG_CONSOLE}, {.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 100);
}

static void blocked_late_run(void) { /* and calls behind the drain share what is left of exit_ms */
    (void)atexit(before_handler);
    (void)blocked_pipe();
    mlog_config c = {.env = "-", .exit_ms = 400, .sinks = {{.type = MLOG_CONSOLE}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 100);
}

static void gone_run(void) { /* the reader is gone: EPIPE, no SIGPIPE */
    int fd = blocked_pipe();
    (void)close(fd);
    mlog_config c = {.env = "-", .exit_ms = 2000, .sinks = {{.type = MLOG_CONSOLE}, {.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 100);
}

static int hangs(void *user, const mlog_record *r) {
    (void)user, (void)r;
    for (;;) sleep_ms(1000);
    return 0;
}

static void hanging_callback_run(void) {
    mlog_config c = {
        .env = "-", .exit_ms = 300, .sinks = {{.type = MLOG_CALLBACK, .write = hangs}, {.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 3000);
}

/* ---- callbacks that log, flush, exit ---- */

static int callback_calls, seen_calls;
static int logging_write(void *user, const mlog_record *r) {
    (void)user;
    callback_calls++;
    if (strcmp(r->msg, "said") == 0) mlog_info("seen", "who", 7, "n", seen_calls++);
    if (callback_calls == 3 && mlog_flush(-1) != -1) _exit(5); /* refused at once */
    return 0;
}

static void logging_callback_run(void) {
    mlog_config c = {.env = "-",
                     .full = MLOG_BLOCK,
                     .ring_bytes = 8192,
                     .sinks = {{.type = MLOG_CALLBACK, .write = logging_write}, {.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 5000);
    int64_t from = now_ms();
    if (mlog_flush(10000) != 0 || now_ms() - from > 5000) _exit(6);
    mlog_info("count", "seen", seen_calls); /* such a sink may have been moved on: it holds nobody back */
}

static int all_said;
static int exiting_write(void *user, const mlog_record *r) {
    (void)user, (void)r;
    if (++callback_calls >= 20 && __atomic_load_n(&all_said, __ATOMIC_ACQUIRE)) exit(0);
    return 0;
}

static void exiting_callback_run(void) {
    mlog_config c = {.env = "-",
                     .exit_ms = 1000,
                     .sinks = {{.type = MLOG_FILE, .path = log_path}, {.type = MLOG_CALLBACK, .write = exiting_write}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(0, 0, 100);
    __atomic_store_n(&all_said, 1, __ATOMIC_RELEASE);
    for (;; sleep_ms(1)) mlog_info("more");
}

static int closed;
static void count_close(void *user) {
    (void)user;
    closed++;
}
static int takes(void *user, const mlog_record *r) {
    (void)r;
    ++*(int *)user;
    return 0;
}

/* ---- flush, shutdown, fatal ---- */

static void *say_then_tell(void *number) {
    int *n = number;
    say(n[0], 0, n[1]);
    __atomic_store_n(&n[1], 0, __ATOMIC_RELEASE);
    while (__atomic_load_n(&n[1], __ATOMIC_ACQUIRE) == 0) sleep_ms(1);
    return NULL;
}

static void flush_run(void) { /* everything that any thread logged before it is in the file when it returns; seen by _exit */
    int n[3][2] = {{1, 900}, {2, 800}, {3, 700}};
    pthread_t t;
    start(MLOG_BLOCK, 0);
    for (int i = 0; i < 3; i++) (void)pthread_create(&t, NULL, say_then_tell, n[i]);
    say(0, 0, 1000);
    for (int i = 0; i < 3; i++)
        while (__atomic_load_n(&n[i][1], __ATOMIC_ACQUIRE) != 0) {}
    if (mlog_flush(5000) != 0) _exit(4);
    _exit(0);
}

static void many_flushes_run(void) { /* at random moments, against a flusher that naps, works and sleeps */
    start(MLOG_BLOCK, 0);
    for (int i = 0; i < 300; i++) {
        say(0, i, i + 1);
        if (i % 100 == 99) sleep_ms(130);
        if (i % 7 == 0)
            for (int k = 0; k < i * 300; k++) __asm__ volatile("");
        if (mlog_flush(5000) != 0) _exit(4);
        char want[32], *text = slurp(log_path, NULL);
        (void)snprintf(want, sizeof want, "\"n\":%d,", i);
        if (lines(text, want) != 1) _exit(3);
        free(text);
    }
}

static void fatal_run(void) {
    start(MLOG_BLOCK, 0);
    say(0, 0, 500);
    mlog_fatal("said", "who", 0, "n", 500, "text", "the end");
    _exit(0);
}

static void abort_run(void) { /* the negative control: nothing drains */
    start(MLOG_BLOCK, 0);
    say(0, 0, 10);
    pthread_mutex_lock(&mlog__flush_all.role);
    say(0, 10, 500);
    _exit(0);
}

static void shutdown_run(void) {
    static int taken;
    char path[512];
    mlog_config c = {.env = "-",
                     .full = MLOG_BLOCK,
                     .sinks = {{.type = MLOG_FILE, .path = path},
                               {.type = MLOG_CALLBACK, .write = takes, .close = count_close, .user = &taken}}};
    memcpy(path, log_path, sizeof path);
    if (mlog_init(&c) != 0) _exit(9);
    memset(path, 'x', sizeof path - 1); /* the library has its own copy */
    for (int i = 0; i < 20; i++) {
        say(0, 50 * i, 50 * i + 50);
        if (mlog_shutdown(5000) != 0 || closed != i + 1) _exit(4);
        if (mlog_shutdown(5000) != 0 || closed != i + 1) _exit(5); /* again: nothing to do */
        if (taken != 50 * i + 50) _exit(6);
    }
    say(0, 1000, 1100);
}

static void shutdown_exit_run(void) {
    start(MLOG_BLOCK, 0);
    say(0, 0, 50);
    if (mlog_shutdown(-1) != 0) _exit(4);
}

static void no_threads_run(void) { /* no flusher: the callers do its work */
    no_threads = 1;
    start(MLOG_BLOCK, 0);
    say(0, 0, 20000);
    if (mlog_flush(5000) != 0) _exit(4);
    say(0, 20000, 21000);
}

static void no_threads_first_run(void) { /* later there is one */
    no_threads = 1;
    start(MLOG_BLOCK, 0);
    say(0, 0, 1000);
    no_threads = 0;
    say(0, 1000, 2000);
}

static void no_signals_run(void) { /* library threads take no signal of the host's */
    sigset_t all;
    start(MLOG_BLOCK, 0);
    say(0, 0, 10);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)kill(getpid(), SIGTERM); /* stays pending: no other thread may take it */
    sleep_ms(30);
    sigset_t pending;
    (void)sigpending(&pending);
    _exit(sigismember(&pending, SIGTERM) == 1 ? 0 : 1);
}

int main(void) {
    for (size_t i = 0; i < sizeof letters - 1; i++) letters[i] = (char)('a' + i % 26);

    CHECK_EQ(child(pending_run), 0);
    expect(0, 2500);
    for (int i = 1; i <= 4; i++) expect(i, 2000);
    char *text = slurp(log_path, NULL); /* the checker sees a line that is gone */
    char *first = strchr(text, '\n') + 1;
    long long who = line_number(text, "who");
    CHECK(wrong_of(first, who, who == 0 ? 2500 : 2000) != 0);
    free(text);
    CHECK_EQ(child(stalled_pass_run), 0);
    expect(0, 2000);
    CHECK(took < 2000);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(child(immediate_run), 0);
        expect(0, 1);
    }
    CHECK_EQ(child(unconfigured_run), 0);
    expect(0, 100);
    CHECK_EQ(child(quick_run), 0);
    expect(0, 10);
    expect(1, 2000);
    CHECK_EQ(child(secondary_run), 0);
    expect(0, 1000);
    expect(1, 1000);
    if (!FOREIGN_THREADS) { /* ThreadSanitizer, and an emulator, keep threads of their own in every process */
        CHECK_EQ(child(main_leaves_run), 0);
        expect(0, 100);
        expect(1, 100);
    }

    CHECK_EQ(child(handlers_run), 0);
    expect(0, 50);
    expect(1, 50);
    expect(2, 50);
    CHECK_EQ(child(late_run), 0);
    expect(3, 1);
    expect(4, 20);
    CHECK_EQ(child(destructor_run), 0);
    expect(0, 50);
    expect(5, 30);
    CHECK_EQ(child(shutdown_late_run), 0);
    expect(1, 40);
    CHECK_EQ(child(busy_run), 0);
    expect(0, 50);
    CHECK(took < 3000);
    CHECK_EQ(child(signal_run), 0);
    expect(0, 50);
    expect(1, 20);
    CHECK_EQ(child(fork_late_run), 0);
    expect(0, 50);
    expect(1, 20);

    CHECK_EQ(child(blocked_run), 0);
    expect(0, 100);
    CHECK(took >= 390 && took < 1500);
    CHECK_EQ(child(blocked_late_run), 0);
    CHECK(took >= 390 && took < 1500);
    CHECK_EQ(child(gone_run), 0);
    expect(0, 100);
    CHECK(took < 1500);
    CHECK_EQ(child(hanging_callback_run), 0);
    expect(0, 3000);
    CHECK(took >= 290 && took < 1500);

    CHECK_EQ(child(logging_callback_run), 0);
    expect(0, 5000);
    text = slurp(log_path, NULL);
    char *count = strstr(text, "\"count\"");
    if (CHECK(count != NULL)) CHECK_EQ(wrong_of(text, 7, line_number(count, "seen")), 0);
    free(text);
    CHECK_EQ(child(exiting_callback_run), 0);
    expect(0, 100);

    CHECK_EQ(child(flush_run), 0);
    expect(0, 1000);
    for (int i = 1; i <= 3; i++) expect(i, 1000 - 100 * i);
    CHECK_EQ(child(many_flushes_run), 0);
    expect(0, 300);
    CHECK_EQ(child(fatal_run), 0);
    expect(0, 501);
    CHECK_EQ(child(abort_run), 0);
    text = slurp(log_path, NULL);
    CHECK(wrong_of(text, 0, 500) != 0);
    free(text);
    CHECK_EQ(child(shutdown_run), 0);
    expect(0, 1100);
    CHECK_EQ(child(shutdown_exit_run), 0);
    expect(0, 50);
    CHECK_EQ(child(no_threads_run), 0);
    expect(0, 21000);
    CHECK_EQ(child(no_threads_first_run), 0);
    expect(0, 2000);
    CHECK_EQ(child(no_signals_run), 0);
    return done();
}
