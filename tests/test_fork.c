/* Fork in all its forms: a child logs as if it were a process of its own; nothing of the parent's is written twice, nothing is
 * lost, nobody hangs, and no descriptor that is not ours is written to. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* SANITIZED: their own locks are not made for children without pthread_atfork */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0:atexit_sleep_ms=0"; } /* children start threads here */
static int leaks_allowed; /* in a child of a busy parent: it leaves buffers alone that its parent may have been changing */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return leaks_allowed; }

static char log_path[512];
static char letters[300];

static void start(const char *file) {
    mlog_config c = {.levels = "trace", .env = "-", .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path(file));
    (void)unlink(log_path);
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

static char *logged(void) {
    CHECK(mlog_flush(10000) == 0);
    return slurp(log_path, NULL);
}

/* Waits for a child at most 20 s: one that hangs is killed and fails the test. */
static int ended(pid_t pid) {
    int status = -1;
    for (int64_t until = now_ms() + 20000; now_ms() < until; sleep_ms(1)) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) return status;
        if (got < 0 && errno != EINTR) return -1;
    }
    printf("    a child hangs\n");
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -2;
}

static void say(int who, int from, int to) {
    for (int i = from; i < to; i++) mlog_info("said", "who", who, "n", i, "text", letters + i % 290);
}

/* ---- the plain cases ---- */

static void test_before_first_use(void) { /* the parent has not logged anything, ever */
    const char *path = temp_path("first.err");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600), old = dup(2);
    (void)dup2(fd, 2);
    pid_t pid = fork();
    if (pid == 0) {
        say(1, 0, 100);
        exit(0);
    }
    CHECK_EQ(ended(pid), 0);
    CHECK_EQ(file_lines(path, NULL), 100);
    (void)dup2(old, 2);
    (void)close(old);
    (void)close(fd);
}

/* The very first call is a vfork child's: no thread may begin there, nothing is lost. */
static void test_vfork_first(bool again) {
    const char *path = temp_path("vfork-first.err");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fd, 2);
        pid_t borrower = vfork();
        if (borrower == 0) {
            mlog_info("said", "who", 1, "n", 0);
            _exit(0);
        }
        (void)waitpid(borrower, NULL, 0);
        if (again) {
            mlog_info("said", "who", 0, "n", 0);
            if (mlog_flush(3000) != 0) _exit(1);
        }
        exit(0);
    }
    CHECK_EQ(ended(pid), 0);
    char *text = slurp(path, NULL);
    CHECK_EQ(wrong_of(text, 1, 1), 0);
    CHECK_EQ(wrong_of(text, 0, again), 0);
    free(text);
    (void)close(fd);
}

static void test_pending(void) { /* what the parent has in its rings when it forks is the parent's alone */
    start("pending.log");
    say(0, 0, 1000);
    mlog_stats before, s;
    for (int k = 1; k <= 10; k++) {
        say(0, 1000 * k, 1000 * k + 500);
        pid_t pid = fork();
        if (pid == 0) {
            mlog_stats_read(&before);
            say(k, 0, 300);
            mlog_stats_read(&s);
            bool good = before.accepted == 0 && s.accepted + s.dropped == 300 && mlog_flush(5000) == 0;
            exit(good ? 0 : 7);
        }
        say(0, 1000 * k + 500, 1000 * k + 1000);
        CHECK_EQ(ended(pid), 0);
    }
    char *text = logged();
    CHECK_EQ(wrong_of(text, 0, 11000), 0);
    for (int k = 1; k <= 10; k++) CHECK_EQ(wrong_of(text, k, 300), 0);
    CHECK_EQ(lines(text, NULL), 11000 + 3000);
    char *second = strchr(text, '\n') + 1; /* the checker sees a line that is gone, and one that came twice */
    CHECK(wrong_of(second, 0, 11000) != 0);
    size_t one = (size_t)(second - text), all = strlen(text);
    char *doubled = malloc(one + all + 1);
    memcpy(doubled, text, one);
    memcpy(doubled + one, text, all + 1);
    CHECK(wrong_of(doubled, 0, 11000) != 0);
    free(doubled);
    free(text);
}

static int holding;
static void *hold(void *unused) {
    pthread_mutex_lock(&mlog__flush_all.role);
    __atomic_store_n(&holding, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&holding, __ATOMIC_ACQUIRE)) sleep_ms(1);
    pthread_mutex_unlock(&mlog__flush_all.role);
    return unused;
}

/* A sink that a stall keeps from writing: the records are in the rings at the fork for certain. */
static void test_stalled_fork(void) {
    pthread_t t;
    start("stalled.log");
    say(0, 0, 100);
    CHECK(mlog_flush(5000) == 0);
    (void)pthread_create(&t, NULL, hold, NULL);
    while (!__atomic_load_n(&holding, __ATOMIC_ACQUIRE)) sleep_ms(1);
    say(0, 100, 500);
    pid_t pid = fork();
    if (pid == 0) {
        leaks_allowed = 1;
        say(1, 0, 100);
        exit(0);
    }
    CHECK_EQ(ended(pid), 0);
    __atomic_store_n(&holding, 0, __ATOMIC_RELEASE);
    (void)pthread_join(t, NULL);
    char *text = logged();
    CHECK_EQ(wrong_of(text, 0, 500), 0);
    CHECK_EQ(wrong_of(text, 1, 100), 0);
    CHECK_EQ(lines(text, NULL), 600);
    free(text);
}

static uint64_t ids[2][2]; /* of the parent, of the child, which sends its own home */
static int id_write(void *user, const mlog_record *r) {
    (void)r;
    ((uint64_t *)user)[0] = r->id[0];
    return 0;
}

static void test_ids(void) {
    int fd[2];
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_CALLBACK, .write = id_write, .user = ids[0]}}};
    CHECK(mlog_init(&c) == 0);
    CHECK(pipe(fd) == 0);
    mlog_info("here");
    CHECK(mlog_flush(5000) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        ids[0][0] = 0;
        mlog_info("there");
        (void)mlog_flush(5000);
        _exit(write(fd[1], ids[0], sizeof ids[0]) == (ssize_t)sizeof ids[0] ? 0 : 1);
    }
    CHECK(read(fd[0], ids[1], sizeof ids[1]) == (ssize_t)sizeof ids[1]);
    CHECK_EQ(ended(pid), 0);
    CHECK(ids[0][0] != 0 && ids[1][0] != 0 && ids[0][0] != ids[1][0]);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void test_no_rings(void) { /* the parent's rings are not there in the child */
    start("rings.log");
    say(0, 0, 10);
    const void *ring = mlog__thread_self->ring;
    int fd[2];
    CHECK(pipe(fd) == 0);
    pid_t pid = fork();
    if (pid == 0) _exit(write(fd[1], ring, 1) == -1 && errno == EFAULT ? 0 : 1);
    CHECK_EQ(ended(pid), 0);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void test_context(void) {
    start("context.log");
    mlog_logger *bound = mlog_bind(mlog_named("job"), "bound", 3);
    {
        mlog_with("request", 42, "user", "ann");
        mlog_info("in the parent");
        pid_t pid = fork();
        if (pid == 0) {
            mlog_info("in the child");
            mlog_to(bound, MLOG_INFO, "bound in the child");
            {
                mlog_with("inner", true);
                mlog_info("inner in the child");
            }
            exit(0);
        }
        CHECK_EQ(ended(pid), 0);
    }
    char *text = logged();
    CHECK_EQ(lines(text, "\"request\":42,\"user\":\"ann\""), 4);
    CHECK_EQ(lines(text, "\"bound\":3"), 1);
    CHECK_EQ(lines(text, "\"inner\":"), 1);
    CHECK_EQ(lines(text, "in the child"), 3);
    free(text);
    mlog_unbind(bound);
}

static int entries(const char *path) {
    int n = 0;
    DIR *d = opendir(path);
    while (d && readdir(d)) n++;
    if (d) (void)closedir(d);
    return n;
}

static void test_generations(void) { /* children of children, and a child that forks before it logs */
    start("generations.log");
    say(0, 0, 50);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t first = fork();
        if (first == 0) {
            say(2, 0, 50);
            pid_t deep = fork();
            if (deep == 0) {
                say(3, 0, 50);
                exit(0);
            }
            exit(ended(deep) == 0 ? 0 : 1);
        }
        bool alone = SANITIZED || entries("/proc/self/task") == 3; /* to fork is no reason to start a thread: this one, "." and ".." */
        say(1, 0, 50);
        exit(ended(first) == 0 && alone ? 0 : 1);
    }
    CHECK_EQ(ended(pid), 0);
    char *text = logged();
    for (int k = 0; k < 4; k++) CHECK_EQ(wrong_of(text, k, 50), 0);
    free(text);
}

static void raise_handler(int number) { mlog_info("said", "who", number, "n", 0); }

static void test_first_in_handler(void) { /* the child's first call is made inside a handler, and there is no other */
    start("handler.log");
    say(0, 0, 50);
    (void)signal(SIGUSR1, raise_handler);
    pid_t pid = fork();
    if (pid == 0) {
        (void)raise(SIGUSR1);
        exit(0);
    }
    CHECK_EQ(ended(pid), 0);
    char *text = logged();
    CHECK_EQ(wrong_of(text, SIGUSR1, 1), 0);
    free(text);
}

/* ---- clone, vfork, daemon ---- */

static void test_clone(void) { /* no pthread_atfork handler runs */
    start("clone.log");
    for (int k = 1; k <= 20; k++) {
        say(0, 100 * (k - 1), 100 * k);
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
            say(k, 0, 100);
            _exit(mlog_flush(5000) == 0 ? 0 : 1);
        }
        CHECK_EQ(ended(pid), 0);
    }
    char *text = logged();
    CHECK_EQ(wrong_of(text, 0, 2000), 0);
    for (int k = 1; k <= 20; k++) CHECK_EQ(wrong_of(text, k, 100), 0);
    free(text);
}

static void test_vfork(void) { /* the child writes into the ring of its suspended parent */
    start("vfork.log");
    say(0, 0, 100);
    mlog_stats before, after;
    mlog_stats_read(&before);
    static volatile int k;
    for (k = 0; k < 50; k++) {
        pid_t pid = vfork();
        if (pid == 0) {
            mlog_info("said", "who", 1, "n", k, "text", letters);
            _exit(0);
        }
        (void)waitpid(pid, NULL, 0);
        if (k % 10 == 0) sleep_ms(150); /* also while the flusher sleeps */
    }
    mlog_stats_read(&after);
    CHECK_EQ(after.rings, before.rings);
    char *text = logged();
    CHECK_EQ(wrong_of(text, 0, 100), 0);
    CHECK_EQ(wrong_of(text, 1, 50), 0);
    free(text);
}

static void test_daemon(void) { /* the parent leaves by _exit right behind the fork, with records that nobody has written yet */
    for (int round = 0; round < 40; round++) {
        const char *path = temp_path("daemon.log");
        (void)unlink(path);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = path}}};
            if (mlog_init(&c) != 0) _exit(9);
            say(0, 0, 200);
            if (round % 4 == 1) sleep_ms(1);
            if (round % 4 == 2) say(0, 200, 3000);
            if (round % 4 == 3)
                for (int i = 0; i < 20000 + round * 500; i++) __asm__ volatile("");
            pid_t second = fork();
            if (second != 0) _exit(0);
            (void)setsid();
            say(1, 0, 100);
            exit(0);
        }
        CHECK_EQ(ended(pid), 0);
        for (int i = 0; i < 5000 && file_lines(path, "\"who\":1,\"n\":99") != 1; i++) sleep_ms(1);
        char *text = slurp(path, NULL);
        CHECK_EQ(wrong_of(text, 0, round % 4 == 2 ? 3000 : 200), 0);
        CHECK_EQ(wrong_of(text, 1, 100), 0);
        free(text);
    }
}

/* ---- storms ---- */

static int storm_on;
static long long storm_said[4];
static void *storm_run(void *number) {
    int me = *(int *)number, n = 0;
    while (__atomic_load_n(&storm_on, __ATOMIC_RELAXED)) {
        say(me, n, n + 20);
        n += 20;
        sleep_ms(1);
    }
    storm_said[me] = n;
    return NULL;
}

MAYBE_UNUSED static void test_storm(int ms, bool raw) {
    int number[3] = {0, 1, 2}, children = 0;
    pthread_t t[3];
    start("storm.log");
    storm_on = 1;
    for (int i = 0; i < 3; i++) (void)pthread_create(&t[i], NULL, storm_run, &number[i]);
    for (int64_t until = now_ms() + ms; now_ms() < until; children++) {
        pid_t pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
        if (pid == 0) {
            leaks_allowed = 1;
            say(1000 + children, 0, 20);
            if (children % 3 == 0 && !raw) exit(0);
            _exit(mlog_flush(5000) == 0 ? 0 : 1);
        }
        if (!CHECK_EQ(ended(pid), 0)) break;
    }
    __atomic_store_n(&storm_on, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
    char *text = logged();
    long long wrong = 0;
    for (int i = 0; i < 3; i++) CHECK_EQ(wrong_of(text, i, storm_said[i]), 0);
    for (int i = 0; i<children; i += children> 200 ? children / 100 : 1) wrong += wrong_of(text, 1000 + i, 20);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(lines(text, "\"said\""), storm_said[0] + storm_said[1] + storm_said[2] + 20 * children);
    CHECK(children > 0);
    free(text);
}

/* Forks from a callback, and from a thread while a callback is slow. */
static int forks_in_callback, callback_lines;
static int forking_write(void *user, const mlog_record *r) {
    (void)user, (void)r;
    callback_lines++;
    if (callback_lines % 10 == 1) {
        pid_t pid = fork();
        if (pid == 0) _exit(0);
        forks_in_callback += ended(pid) == 0;
    }
    return 0;
}

static void test_fork_in_callback(void) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_CALLBACK, .write = forking_write}}};
    CHECK(mlog_init(&c) == 0);
    int64_t from = now_ms();
    say(0, 0, 50);
    CHECK(mlog_flush(10000) == 0);
    CHECK(now_ms() - from < 5000);
    CHECK_EQ(forks_in_callback, 5);
    CHECK_EQ(callback_lines, 50);
}

static int callback_waits, callback_got;
static int waiting_write(void *user, const mlog_record *r) {
    (void)user, (void)r;
    __atomic_add_fetch(&callback_got, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&callback_waits, __ATOMIC_RELAXED)) sleep_ms(1);
    return 0;
}

static void *removes(void *sink) {
    mlog_sink_remove(sink);
    return NULL;
}

static void test_fork_beside_removal(void) { /* the parent waits for the end of a callback; the child's sink is not about to go */
    mlog_config c = {.env = "-", .exit_ms = 100, .sinks = {{.type = MLOG_NULL}}};
    pthread_t t;
    CHECK(mlog_init(&c) == 0);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK, .write = waiting_write});
    callback_waits = 1;
    say(0, 0, 3);
    while (__atomic_load_n(&callback_got, __ATOMIC_RELAXED) == 0) sleep_ms(1);
    (void)pthread_create(&t, NULL, removes, s);
    sleep_ms(300);
    leaks_allowed = 1;
    pid_t pid = fork();
    if (pid == 0) {
        callback_waits = callback_got = 0;
        say(1, 0, 5);
        int flushed = mlog_flush(3000);
        _exit(flushed == 0 && __atomic_load_n(&callback_got, __ATOMIC_RELAXED) == 5 ? 0 : 1);
    }
    leaks_allowed = 0;
    CHECK_EQ(ended(pid), 0);
    __atomic_store_n(&callback_waits, 0, __ATOMIC_RELAXED);
    (void)pthread_join(t, NULL);
}

/* ---- descriptors that the host closes ---- */

static void close_all(int from) {
    for (int fd = from; fd < 200; fd++) (void)close(fd);
}

/* Files of the host's own that take over the numbers; afterwards they must be as empty as they were. */
static int taken_over(const char *name, int opened[64]) {
    int n = 0;
    for (int i = 0; i < 64; i++) {
        char one[64];
        (void)snprintf(one, sizeof one, "%s.%d", name, i);
        int fd = open(temp_path(one), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) opened[n++] = fd;
    }
    return n;
}

static long long bytes_in(const int *opened, int n) {
    long long bytes = 0;
    struct stat st;
    for (int i = 0; i < n; i++)
        if (fstat(opened[i], &st) == 0) bytes += st.st_size;
        else bytes += 1000000; /* closed by somebody else */
    return bytes;
}

static void closing(const char *file, bool in_child) {
    int opened[64];
    start(file);
    say(0, 0, 100);
    CHECK(mlog_flush(5000) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (in_child) {
            close_all(3);
            int n = taken_over(file, opened);
            say(1, 0, 100);
            bool good = mlog_flush(5000) == 0 && bytes_in(opened, n) == 0 && n > 50;
            good = good && mlog_shutdown(5000) == 0 && bytes_in(opened, n) == 0;
            say(1, 100, 200);
            good = good && mlog_flush(5000) == 0 && bytes_in(opened, n) == 0;
            exit(good ? 0 : 1);
        }
        pid_t deeper = fork(); /* "parent" is this one: the test's own descriptors stay */
        if (deeper == 0) {
            say(1, 0, 100);
            exit(0);
        }
        close_all(3);
        int n = taken_over(file, opened);
        say(2, 0, 100);
        bool good = mlog_flush(5000) == 0 && bytes_in(opened, n) == 0;
        mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = log_path}}};
        good = good && mlog_init(&c) == 0 && bytes_in(opened, n) == 0; /* the old sink's number is not ours to close */
        say(2, 100, 200);
        good = good && mlog_flush(5000) == 0 && bytes_in(opened, n) == 0 && ended(deeper) == 0;
        exit(good ? 0 : 1);
    }
    CHECK_EQ(ended(pid), 0);
    char *text = logged();
    CHECK_EQ(wrong_of(text, 0, 100), 0);
    CHECK_EQ(wrong_of(text, 1, in_child ? 200 : 100), 0);
    if (!in_child) CHECK_EQ(wrong_of(text, 2, 200), 0);
    free(text);
}

static void test_closing_storm(void) { /* close and reopen while records flow: whatever is written goes into the log */
    int opened[64], n = 0;
    static int zero;
    pthread_t t;
    start("closing-storm.log");
    pid_t pid = fork();
    if (pid == 0) {
        storm_on = 1;
        (void)pthread_create(&t, NULL, storm_run, &zero);
        long long bytes = 0;
        for (int i = 0; i < 30; i++) {
            close_all(3);
            n = taken_over("closing-storm", opened);
            sleep_ms(3);
            bytes += bytes_in(opened, n);
        }
        __atomic_store_n(&storm_on, 0, __ATOMIC_RELAXED);
        (void)pthread_join(t, NULL);
        say(1, 0, 10);
        exit(mlog_flush(5000) == 0 && bytes == 0 ? 0 : 1);
    }
    CHECK_EQ(ended(pid), 0);
    char *text = logged();
    CHECK_EQ(wrong_of(text, 1, 10), 0);
    CHECK_EQ(wrong_of(text, 0, (long long)lines(text, "\"who\":0")), 0);
    free(text);
}

static int fds(void) { return entries("/proc/self/fd"); }

static void test_no_leak(void) { /* descriptors of ours go away with their sinks */
    start("leak.log");
    say(0, 0, 10);
    CHECK(mlog_shutdown(5000) == 0);
    int before = fds();
    for (int i = 0; i < 20; i++) {
        start("leak.log");
        say(0, 0, 10);
        CHECK(mlog_shutdown(5000) == 0);
    }
    CHECK_EQ(fds(), before);
}

int main(void) {
    for (size_t i = 0; i < sizeof letters - 1; i++) letters[i] = (char)('a' + i % 26);
    test_before_first_use();
    if (!SANITIZED) test_vfork_first(true), test_vfork_first(false);
    test_pending();
    test_stalled_fork();
    test_ids();
    test_context();
    test_generations();
    test_first_in_handler();
    test_daemon();
#ifndef __SANITIZE_ADDRESS__ /* older ones leave a child an allocator that another thread had locked */
    test_storm(SANITIZED ? 700 : 1500, false);
#endif
    closing("closing-child.log", true);
    closing("closing-parent.log", false);
    test_closing_storm();
    if (!SANITIZED) {
        test_clone();
        test_storm(700, true);
        test_vfork();
    }
    test_no_rings();
    test_fork_in_callback();
    test_fork_beside_removal();
    test_no_leak();
    return done();
}
