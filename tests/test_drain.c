/* Who drains: MLOG_POLL and MLOG_DIRECT. No thread of the library's exists; what is out is looked up in the file itself, never in
 * the library's counters. Cases that end a process, or fork, run in children. */
#define METALOG_IMPLEMENTATION
#define madvise old_madvise /* as seen by the library: an old kernel's, when asked for */
#include "../metalog.h"
#undef madvise
#include "check.h"

#include <sys/time.h>
#include <sys/wait.h>

static int old_kernel; /* 1: refuses MADV_WIPEONFORK; 2: says yes and does nothing, as qemu-user does, with MADV_DONTFORK, too */
int madvise(void *, size_t, int);
int old_madvise(void *p, size_t size, int advice) {
    if (old_kernel == 1 && advice == MADV_WIPEONFORK) return errno = EINVAL, -1;
    if (old_kernel == 2 && (advice == MADV_WIPEONFORK || advice == MADV_DONTFORK)) return 0;
    return madvise(p, size, advice);
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0:atexit_sleep_ms=0"; }

static char log_path[512];
static char letters[301];

static void fresh(void) {
    static int number;
    char name[32];
    (void)snprintf(name, sizeof name, "drain%d.%d.log", (int)getpid(), ++number);
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path(name));
    (void)unlink(log_path);
}

static int start(mlog_config c) {
    fresh();
    c.env = "-";
    if (c.sinks[0].type == 0) c.sinks[0] = (mlog_sink_config){.type = MLOG_FILE, .path = log_path};
    int result = mlog_init(&c);
    if (result != 0) printf("    %s\n", mlog_why());
    return result;
}

static void say(int who, int from, int to) {
    for (int i = from; i < to; i++) mlog_info("said", "who", who, "n", i, "text", letters + i % 290);
}

/* Right for this many records of this thread number, in order, and nothing else of it. */
static int whole(int who, int count) {
    char *text = slurp(log_path, NULL);
    long long wrong = wrong_of(text, who, count);
    free(text);
    if (wrong != 0) printf("    who %d: %lld wrong of %d\n", who, wrong, count);
    return wrong == 0;
}

/* Is this task one of the library's, by its name? */
static int ours(const char *task) {
    char path[300], name[32] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", task);
    FILE *f = fopen(path, "r");
    int found = f != NULL && fgets(name, sizeof name, f) != NULL && strncmp(name, "metalog", 7) == 0;
    if (f != NULL) (void)fclose(f);
    return found;
}

/* Threads of this process, as the kernel counts them; under a sanitizer, which has some of its own, the library's. */
static int tasks(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) n += e->d_name[0] != '.' && (!SANITIZED || ours(e->d_name));
    if (d != NULL) closedir(d);
    return n;
}
static int tasks_before; /* of main alone */

static int alone(void) { /* a thread that ends needs a moment */
    for (int i = 0; i < 200 && tasks() > tasks_before; i++) sleep_ms(10);
    return tasks() == tasks_before;
}

/* Runs a case in a child; its exit status, -1: killed, -2: it hung. */
static int child(void (*run)(void)) {
    int status = 0;
    fflush(stdout);
    fresh();
    pid_t pid = fork();
    if (pid == 0) {
        check_failed = 0; /* of its own */
        run();
        exit(check_failed != 0);
    }
    for (int64_t until = now_ms() + 20000; now_ms() < until; sleep_ms(1))
        if (waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -2;
}

/* ---- MLOG_POLL ---- */

static void test_poll(void) {
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL}) == 0)) return;
    say(0, 0, 100);
    sleep_ms(50);
    CHECK_EQ(file_lines(log_path, NULL), 0); /* nobody polled */
    CHECK(alone());
    CHECK_EQ(mlog_poll(10), 90);
    CHECK_EQ(file_lines(log_path, NULL), 10);
    CHECK_EQ(mlog_poll(1), 89);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(whole(0, 100));
    CHECK_EQ(mlog_poll(5), 0);
    say(0, 100, 150);
    CHECK(mlog_flush(5000) == 0); /* a flush is a pass by the caller */
    CHECK(whole(0, 150));
    say(0, 150, 160);
    CHECK(mlog_shutdown(5000) == 0);
    CHECK(whole(0, 160));
    say(0, 160, 170); /* starts again as it was configured */
    CHECK_EQ(file_lines(log_path, NULL), 160);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(whole(0, 170));
    CHECK(alone());
}

/* A full ring, much more than fits: the thread that polls helps itself and loses nothing, also with the policy to drop. */
static void test_poll_full(void) {
    mlog_full policy[] = {MLOG_WAIT, MLOG_BLOCK, MLOG_DROP};
    for (int i = 0; i < 3; i++) {
        if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .full = policy[i], .full_ms = 5000, .ring_bytes = 4096}) == 0)) return;
        int64_t from = now_ms();
        say(i, 0, 3000); /* about 900 KB through 4 KiB */
        if (i == 1) CHECK(mlog_poll(0) == 0);
        CHECK(now_ms() - from < 4000);
        CHECK(mlog_flush(5000) == 0);
        CHECK(whole(i, 3000));
    }
    CHECK(alone());
}

static int other_done;
static void *talk(void *who) {
    say((int)(intptr_t)who, 0, 2000);
    __atomic_add_fetch(&other_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void test_poll_threads(void) {
    pthread_t thread[3];
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .full = MLOG_BLOCK}) == 0)) return;
    CHECK_EQ(mlog_poll(0), 0); /* from now on this thread is the one that drains */
    other_done = 0;
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&thread[i], NULL, talk, (void *)(intptr_t)i) == 0);
    for (int64_t until = now_ms() + 30000; now_ms() < until && __atomic_load_n(&other_done, __ATOMIC_ACQUIRE) < 3;)
        (void)mlog_poll(100);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(thread[i], NULL) == 0);
    int left = mlog_poll(100);
    while (left > 0) {
        int now = mlog_poll(100);
        if (!CHECK(now < left)) break;
        left = now;
    }
    for (int i = 0; i < 3; i++) CHECK(whole(i, 2000));
    CHECK(alone());
}

/* A thread that does not poll waits for room as the policy says, and no longer. */
static void *overflow(void *count) {
    (void)mlog_thread(&(mlog_thread_config){.ring_bytes = 4096}); /* whose ring nobody had before, or one of that size */
    int64_t from = now_ms();
    say(9, 0, 1000);
    *(int64_t *)count = now_ms() - from;
    return NULL;
}
static void test_poll_elsewhere(void) {
    pthread_t thread;
    int64_t took = 0;
    mlog_stats stats;
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .full_ms = 200, .ring_bytes = 4096}) == 0)) return;
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(pthread_create(&thread, NULL, overflow, &took) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(took >= 190 && took < 5000);
    CHECK_EQ(file_lines(log_path, NULL), 0);
    CHECK_EQ(mlog_poll(0), 0);
    mlog_stats_read(&stats);
    long long lines = (long long)file_lines(log_path, "\"n\":");
    CHECK(lines > 0 && lines < 1000);
    CHECK_EQ(stats.dropped, 1000 - lines);
}

static void test_refusals(void) {
    CHECK(start((mlog_config){.flusher = (mlog_flusher)4}) == -1 && strstr(mlog_why(), "flusher 4") != NULL);
    CHECK(start((mlog_config){.flusher = MLOG_DIRECT}) == 0);
    CHECK(mlog_poll(0) == -1 && strstr(mlog_why(), "MLOG_POLL") != NULL);
}

/* ---- MLOG_DIRECT ---- */

static void test_direct(void) {
    if (!CHECK(start((mlog_config){.flusher = MLOG_DIRECT}) == 0)) return;
    for (int i = 0; i < 200; i++) {
        say(0, i, i + 1);
        if (file_lines(log_path, NULL) != (size_t)i + 1) break;
    }
    CHECK(whole(0, 200));
    mlog_emit(&(mlog_event){.level = MLOG_WARN, .msg = "emitted"});
    CHECK_EQ(file_lines(log_path, "emitted"), 1);
    mlog_warnf("%s is %d", "printf", 1);
    CHECK_EQ(file_lines(log_path, "printf is 1"), 1);
    mlog_fatal("fatal");
    CHECK_EQ(file_lines(log_path, "\"msg\":\"fatal\""), 1);
    CHECK(alone());
    errno = 77;
    mlog_info("errno");
    CHECK_EQ(errno, 77);
}

static void *talk_direct(void *who) {
    char key[64];
    for (int i = 0; i < 300; i++) {
        say((int)(intptr_t)who, i, i + 1);
        (void)snprintf(key, sizeof key, "\"who\":%d,\"n\":%d,", (int)(intptr_t)who, i);
        if (i % 50 == 0) CHECK_EQ(file_lines(log_path, key), 1); /* out when the call returns, whoever made the pass */
    }
    return NULL;
}
static void test_direct_threads(void) {
    pthread_t thread[4];
    if (!CHECK(start((mlog_config){.flusher = MLOG_DIRECT, .full_ms = 10000}) == 0)) return;
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&thread[i], NULL, talk_direct, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(thread[i], NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(whole(i, 300));
    CHECK(alone());
}

static volatile sig_atomic_t handled;
static void on_signal(int number) {
    (void)number;
    mlog_info("said", "who", 5, "n", (int)handled, "text", "in a handler");
    handled++;
}
/* A handler only commits; the next call, or a flush, takes its record along. */
static void test_direct_handler(void) {
    struct sigaction act = {0}, old;
    act.sa_handler = on_signal;
    if (!CHECK(start((mlog_config){.flusher = MLOG_DIRECT}) == 0)) return;
    say(6, 0, 1);
    CHECK(sigaction(SIGUSR1, &act, &old) == 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(handled, 1);
    CHECK_EQ(file_lines(log_path, "in a handler"), 0);
    say(6, 1, 2);
    CHECK(whole(6, 2) && whole(5, 1));
    CHECK(raise(SIGUSR1) == 0);
    CHECK(mlog_flush(5000) == 0);
    CHECK(whole(5, 2));
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

/* A thread that blocks signals, as event loops with a signalfd do, is no handler: it polls, and its calls are seen out. */
static void test_blocked_signals(void) {
    sigset_t usual, old;
    sigemptyset(&usual);
    sigaddset(&usual, SIGINT), sigaddset(&usual, SIGTERM), sigaddset(&usual, SIGCHLD);
    CHECK(pthread_sigmask(SIG_BLOCK, &usual, &old) == 0);
    if (CHECK(start((mlog_config){.flusher = MLOG_POLL}) == 0)) say(8, 0, 10);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(whole(8, 10));
    if (CHECK(start((mlog_config){.flusher = MLOG_DIRECT}) == 0)) say(8, 0, 10);
    CHECK(whole(8, 10));
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

/* Signals all the time, on top of passes and of calls: nothing is lost, nothing hangs. */
static void test_direct_storm(void) {
    struct sigaction act = {0}, old;
    struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;
    handled = 0;
    if (!CHECK(start((mlog_config){.flusher = MLOG_DIRECT}) == 0)) return;
    CHECK(sigaction(SIGALRM, &act, &old) == 0);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    say(7, 0, 3000);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(mlog_flush(10000) == 0);
    CHECK(whole(7, 3000) && whole(5, (int)handled));
    CHECK(sigaction(SIGALRM, &old, NULL) == 0);
}

/* ---- callbacks: on the thread that makes the pass, and they may log ---- */

static struct { int calls, echoed, nested; pthread_t on; char last[64]; } heard;
static int hear(void *user, const mlog_record *r) {
    (void)user;
    heard.calls++;
    heard.on = pthread_self();
    (void)snprintf(heard.last, sizeof heard.last, "%s", r->msg);
    if (strcmp(r->msg, "said") == 0) {
        mlog_stats stats;
        mlog_info("echo", "of", heard.echoed++);
        mlog_stats_read(&stats); /* no lock of ours is in its way */
        if (mlog_flush(1000) == -1 && mlog_poll(0) == -1 && mlog_shutdown(0) == -1) heard.nested++;
    }
    return 0;
}

static void test_callback(mlog_flusher flusher) {
    fresh();
    memset(&heard, 0, sizeof heard);
    mlog_config c = {.flusher = flusher, .sinks = {{.type = MLOG_FILE, .path = log_path}, {.type = MLOG_CALLBACK, .write = hear}}};
    c.env = "-";
    if (!CHECK(mlog_init(&c) == 0)) return;
    int64_t from = now_ms();
    say(0, 0, 20);
    if (flusher == MLOG_POLL) {
        CHECK_EQ(heard.calls, 0);
        CHECK(mlog_poll(7) > 0);
        CHECK_EQ(heard.calls, 7);
        while (mlog_poll(7) > 0) {}
    }
    CHECK(mlog_flush(5000) == 0);
    CHECK(now_ms() - from < 3000);
    CHECK_EQ(heard.calls, 40);
    CHECK_EQ(heard.nested, 20);
    CHECK(pthread_equal(heard.on, pthread_self()));
    CHECK(whole(0, 20));
    CHECK_EQ(file_lines(log_path, "\"echo\""), 20);
    CHECK(alone());
}

/* Records older than the first pass of a callback's lane carry the right time. */
static int64_t heard_time;
static int hear_time(void *user, const mlog_record *r) {
    (void)user;
    heard_time = r->time;
    return 0;
}
static void test_callback_time(void) {
    mlog_config c = {.env = "-", .flusher = MLOG_POLL, .sinks = {{.type = MLOG_CALLBACK, .write = hear_time}}};
    if (!CHECK(mlog_init(&c) == 0)) return;
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    int64_t at = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    mlog_info("when");
    sleep_ms(300);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(llabs((long long)(heard_time - at)) < 50000000);
}

/* ---- sinks that are stuck: one deadline, not one a call ---- */

static int pipe_ends[2], real_stderr;
static void take_stderr(void) {
    CHECK(pipe(pipe_ends) == 0);
    real_stderr = dup(2);
    CHECK(dup2(pipe_ends[1], 2) == 2);
}
static void give_stderr(void) {
    CHECK(dup2(real_stderr, 2) == 2);
    (void)close(real_stderr);
    (void)close(pipe_ends[1]);
}

static void stuck(mlog_flusher flusher) {
    take_stderr(); /* a pipe that nobody reads: 64 KiB */
    mlog_config c = {.env = "-", .flusher = flusher, .full_ms = 150, .exit_ms = 300, .ring_bytes = 16384,
                     .sinks = {{.type = MLOG_CONSOLE}, {.type = MLOG_FILE, .path = log_path}}};
    int64_t from = now_ms();
    CHECK(mlog_init(&c) == 0);
    say(1, 0, 2000);
    CHECK(now_ms() - from < (SANITIZED ? 10000 : 3000));
    CHECK(mlog_flush(100) == -1);
    CHECK(whole(1, 2000)); /* the file does not mind */
    give_stderr();
    from = now_ms();
    CHECK(mlog_shutdown(200) == -1);
    CHECK(now_ms() - from < 2000);
}
static void case_stuck_direct(void) { stuck(MLOG_DIRECT); }
static void case_stuck_poll(void) { stuck(MLOG_POLL); }

/* ---- the end, and children ---- */

static void case_exit_poll(void) {
    if (start((mlog_config){.flusher = MLOG_POLL}) != 0) _exit(9);
    say(1, 0, 50);
}
static void case_exit_direct(void) {
    if (start((mlog_config){.flusher = MLOG_DIRECT}) != 0) _exit(9);
    say(1, 0, 50);
    if (raise(SIGUSR1) != 0) _exit(9); /* its record waits for the end */
}
static void last_words(void) { say(1, 50, 60); }
static void case_exit_late(void) {
    if (atexit(last_words) != 0) _exit(9); /* runs behind the library's own */
    case_exit_poll();
}
static int leave(void *user, const mlog_record *r) {
    (void)user, (void)r;
    exit(0);
}
static void case_exit_in_callback(void) {
    mlog_config c = {.env = "-", .flusher = MLOG_DIRECT,
                     .sinks = {{.type = MLOG_FILE, .path = log_path}, {.type = MLOG_CALLBACK, .write = leave}}};
    if (mlog_init(&c) != 0) _exit(9);
    say(1, 0, 1);
    _exit(8);
}
static void fork_with(mlog_flusher flusher) {
    int status = -1;
    if (start((mlog_config){.flusher = flusher}) != 0) _exit(9);
    say(1, 0, 20);
    pid_t pid = fork();
    if (pid == 0) {
        say(2, 0, 30);
        if (flusher == MLOG_POLL && mlog_poll(0) != 0) _exit(7);
        say(3, 0, 10);
        if (flusher != MLOG_THREAD && tasks() != tasks_before) _exit(6);
        exit(0);
    }
    say(1, 20, 40);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(mlog_flush(5000) == 0);
    CHECK(whole(1, 40) && whole(2, 30) && whole(3, 10));
}
static void case_fork_poll(void) { fork_with(MLOG_POLL); }
static void case_fork_direct(void) { fork_with(MLOG_DIRECT); }
static void case_fork_refused(void) { old_kernel = 1, fork_with(MLOG_DIRECT); }
static void case_fork_ignored(void) { old_kernel = 2, fork_with(MLOG_DIRECT); }
#ifndef EMULATED
static void case_fork_thread(void) { fork_with(MLOG_THREAD); }
static void case_fork_thread_refused(void) { old_kernel = 1, fork_with(MLOG_THREAD); }
static void case_fork_thread_ignored(void) { old_kernel = 2, fork_with(MLOG_THREAD); }
#endif
static void case_switch(void) { /* the first call has started a thread: it ends */
    mlog_info("before");
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(tasks(), tasks_before + 1); /* control: there is one to see */
    if (start((mlog_config){.flusher = MLOG_DIRECT}) != 0) _exit(9);
    CHECK(alone());
    say(1, 0, 10);
    CHECK(whole(1, 10));
    if (start((mlog_config){.flusher = MLOG_THREAD}) != 0) _exit(9);
    say(2, 0, 10);
    for (int i = 0; i < 500 && file_lines(log_path, NULL) < 10; i++) sleep_ms(10); /* by itself */
    CHECK_EQ(tasks(), tasks_before + 1);
    CHECK(whole(2, 10));
    if (start((mlog_config){.flusher = MLOG_POLL}) != 0) _exit(9);
    CHECK(alone());
    say(3, 0, 10);
    CHECK_EQ(file_lines(log_path, NULL), 0);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(whole(3, 10));
}

/* The file of a child's case has the child's number in its name. */
static int lines_of_child(const char *what) {
    char command[700];
    int n = 0;
    (void)snprintf(command, sizeof command, "cat '%s'/drain*.log | grep -c '%s'",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp", what);
    FILE *f = popen(command, "r");
    if (f == NULL || fscanf(f, "%d", &n) != 1) n = -1;
    if (f != NULL) (void)pclose(f);
    return n;
}
static void clean(void) {
    char command[700];
    (void)snprintf(command, sizeof command, "rm -f '%s'/drain*.log", getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp");
    CHECK(system(command) == 0);
}

static void test_ends(void) {
    clean();
    CHECK_EQ(child(case_exit_poll), 0);
    CHECK_EQ(lines_of_child("\"who\":1"), 50);
    clean();
    (void)signal(SIGUSR1, on_signal);
    CHECK_EQ(child(case_exit_direct), 0);
    CHECK_EQ(lines_of_child("\"who\":1"), 50);
    CHECK_EQ(lines_of_child("\"who\":5"), 1);
    clean();
    CHECK_EQ(child(case_exit_late), 0);
    CHECK_EQ(lines_of_child("\"who\":1"), 60);
    clean();
    CHECK_EQ(child(case_exit_in_callback), 0);
    CHECK_EQ(lines_of_child("\"who\":1"), 1);
    CHECK_EQ(child(case_fork_poll), 0);
    CHECK_EQ(child(case_fork_direct), 0);
    CHECK_EQ(child(case_fork_refused), 0);
    CHECK_EQ(child(case_fork_ignored), 0);
#ifndef EMULATED /* qemu-user 7.2 may abort when a forked child starts a thread */
    CHECK_EQ(child(case_fork_thread), 0);
    CHECK_EQ(child(case_fork_thread_refused), 0);
    CHECK_EQ(child(case_fork_thread_ignored), 0);
#endif
    CHECK_EQ(child(case_stuck_direct), 0);
    CHECK_EQ(child(case_stuck_poll), 0);
    CHECK_EQ(child(case_switch), 0);
}

/* ---- sinks that hold back ---- */

static int wrote, flushed;
static int held_write(void *user, const mlog_record *r) { return (void)user, (void)r, wrote++, 0; }
static int held_flush(void *user) { return (void)user, flushed++, 0; }

static void test_held_poll(void) {
    mlog_sink_config file = {.type = MLOG_FILE, .path = log_path, .flush_ms = 60000, .flush_records = 5};
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .sinks = {file}}) == 0)) return;
    say(0, 0, 4);
    CHECK_EQ(mlog_poll(0), 4); /* read, and held back */
    CHECK_EQ(file_lines(log_path, NULL), 0);
    say(0, 4, 5);
    CHECK_EQ(mlog_poll(0), 0);
    CHECK(whole(0, 5));
    say(0, 5, 7);
    CHECK_EQ(mlog_poll(1), 2);
    CHECK(mlog_flush(5000) == 0); /* who waits gets it at once */
    CHECK(whole(0, 7));
    file.flush_ms = 300;
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .ring_bytes = 65536, .sinks = {file}}) == 0)) return;
    int64_t from = now_ms();
    say(1, 0, 1);
    int left = mlog_poll(0);
    if (now_ms() - from < 250) CHECK(left == 1 && file_lines(log_path, NULL) == 0);
    for (; now_ms() - from < 10000 && mlog_poll(0) != 0;) sleep_ms(5); /* the time passes without another record */
    CHECK(now_ms() - from >= 290 && now_ms() - from < 10000);
    CHECK(whole(1, 1));
}

/* A caller that waits for its own record is not held up for the sink's time. */
static void test_held_direct(void) {
    mlog_sink_config file = {.type = MLOG_FILE, .path = log_path, .flush_ms = 60000};
    mlog_sink_config callback = {.type = MLOG_CALLBACK, .write = held_write, .flush = held_flush, .flush_ms = 60000};
    if (!CHECK(start((mlog_config){.flusher = MLOG_DIRECT, .full_ms = 5000, .sinks = {file, callback}}) == 0)) return;
    int64_t from = now_ms();
    wrote = flushed = 0;
    for (int i = 0; i < 20; i++) {
        say(0, i, i + 1);
        if (!CHECK(file_lines(log_path, NULL) == (size_t)i + 1 && wrote == i + 1 && flushed == i + 1)) break;
    }
    CHECK(now_ms() - from < 5000);
    CHECK(whole(0, 20));
    if (!CHECK(start((mlog_config){.flusher = MLOG_POLL, .sinks = {callback}}) == 0)) return; /* control: it does hold back */
    wrote = flushed = 0;
    say(0, 0, 3);
    CHECK_EQ(mlog_poll(0), 3);
    CHECK(wrote == 3 && flushed == 0);
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(flushed, 1);
}

int main(void) {
    memset(letters, 'x', sizeof letters - 1);
    tasks_before = tasks();
    test_ends(); /* first: the children shall find nothing started */
    tasks_before = tasks();
    test_poll();
    test_poll_full();
    test_poll_threads();
    test_poll_elsewhere();
    test_refusals();
    test_direct();
    test_direct_threads();
    test_direct_handler();
    test_direct_storm();
    test_blocked_signals();
    test_callback(MLOG_POLL);
    test_callback(MLOG_DIRECT);
    test_callback_time();
    test_held_poll();
    test_held_direct();
    return done();
}
