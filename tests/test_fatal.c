/* Fatal signals (catch_fatal): one record, and then the end that the process would have had without it. Each case is a child that dies,
 * once with metalog and once without; status, siginfo and core are compared, and the record is looked for in the file.
 * not under: tsan asan (they own these signals) */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* In front of libc's: what the handler walks the stack with, so that it can crash or hang in there. */
static volatile int walk_mode;
static volatile int *volatile nowhere = (volatile int *)16;
int backtrace(void **list, int n);
int backtrace(void **list, int n) {
    int (*real)(void **, int);
    void *found = dlsym(RTLD_NEXT, "backtrace");
    memcpy(&real, &found, sizeof real);
    if (walk_mode == 1 && mlog__platform_dying) *nowhere = 1;
    while (walk_mode == 2 && mlog__platform_dying) {}
    if (walk_mode == 3 && mlog__platform_dying) abort();
    return real == NULL ? 0 : real(list, n);
}

/* In front of libc's, too: the flusher crashes in the middle of a batch. */
static volatile int write_mode;
ssize_t write(int fd, const void *p, size_t n) {
    if (write_mode && mlog__flush_lane == 1) *nowhere = 1;
    return (ssize_t)syscall(SYS_write, fd, p, n);
}

static char log_path[512];
static bool with;                  /* metalog catches */
static bool safe;                  /* what is not written in time is there for the next start */
static mlog_config config;         /* what a case adds to it */
static int64_t took;
static _Atomic int *shared;        /* what children tell */

static void start(void) {
    mlog_config c = config;
    c.crash_safe = safe ? MLOG_AUTO : MLOG_NO; /* what one case leaves is not for the next to recover */
    c.ring_dir = safe ? temp_path("fatal-rings") : NULL;
    c.env = "-";
    c.catch_fatal = with ? MLOG_YES : MLOG_AUTO;
    c.sinks[0] = (mlog_sink_config){.type = MLOG_FILE, .path = log_path};
    if (mlog_init(&c) != 0) {
        printf("    %s\n", mlog_why());
        _exit(9);
    }
    mlog_info("begun");
}

/* Runs a case in a child to its end; its status, -2: it hung. */
static int child(void (*run)(void), bool catches) {
    int status = -1;
    static int number;
    fflush(stdout);
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path("fatal.log"));
    (void)unlink(log_path);
    with = catches;
    number++;
    took = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
        start();
        run();
        _exit(mlog_flush(5000) == 0 ? 0 : 8);
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

/* On a machine that has more to do: the quickest of some runs counts. */
static bool within(void (*run)(void), int ms) {
    for (int i = 0; took >= ms && i < 5; i++) (void)child(run, true);
    return took < ms;
}

static size_t records(void) { return file_lines(log_path, "\"level\":\"fatal\",\"msg\":\"fatal signal\""); }

/* The same end with and without; with: `count` records that have these words. */
static void same_end(const char *name, void (*run)(void), int number, size_t count, const char *words) {
    int without = child(run, false), status;
    CHECK_EQ(records(), 0);
    status = child(run, true);
    bool good = status == without && WIFSIGNALED(status) && WTERMSIG(status) == number && records() == count;
    if (words != NULL && file_lines(log_path, words) != count) good = false;
    if (!CHECK(good)) {
        char *text = slurp(log_path, NULL);
        printf("    %s: status %x, without %x, %d ms, log:\n%s", name, (unsigned)status, (unsigned)without, (int)took, text);
        free(text);
    }
    CHECK(took < 1500);
}

/* ---- the signals ---- */

static void segv(void) {
    mlog_with("task", 7);
    *nowhere = 1;
}
static void bus(void) {
    int fd = open(temp_path("short"), O_RDWR | O_CREAT, 0600);
    volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    (void)*p;
}
static void ill(void) {
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("ud2");
#else
    (void)raise(SIGILL);
#endif
}
static void fpe(void) {
#if defined(__x86_64__) || defined(__i386__)
    volatile int zero = 0;
    zero = 100 / zero;
#else
    (void)raise(SIGFPE);
#endif
}
static void trap(void) {
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("int3");
#else
    (void)raise(SIGTRAP);
#endif
}
static void sys(void) { (void)raise(SIGSYS); }
static void aborts(void) { abort(); }
static void raised(void) { (void)raise(SIGSEGV); }
static void killed(void) {
    (void)kill(getpid(), SIGSEGV);
    sleep_ms(5000);
}
static void called(void) { /* a jump to nowhere */
    void (*volatile f)(void) = (void (*)(void))(uintptr_t)nowhere;
    f();
}
static volatile int deep_until = -1;
static __attribute__((noinline)) int deep(volatile char *p) {
    volatile char here[4096];
    here[0] = *p;
    if (*p == (char)deep_until) return 0;
    return deep(here) + here[1];
}
static void overflow(void) { (void)deep((volatile char *)""); }

static void test_signals(void) {
    same_end("segv", segv, SIGSEGV, 1, "\"task\":7,\"signal\":\"SIGSEGV\",\"number\":11,\"code\":1,\"reason\":\"not mapped\",\"address\":\"0x10\",\"backtrace\":[\"test_fatal");
    same_end("bus", bus, SIGBUS, 1, "\"signal\":\"SIGBUS\",\"number\":7,\"code\":2,");
    same_end("ill", ill, SIGILL, 1, "\"signal\":\"SIGILL\",\"number\":4,");
    same_end("fpe", fpe, SIGFPE, 1, "\"signal\":\"SIGFPE\",\"number\":8,");
    same_end("trap", trap, SIGTRAP, 1, "\"signal\":\"SIGTRAP\",\"number\":5,");
    same_end("sys", sys, SIGSYS, 1, "\"signal\":\"SIGSYS\",\"number\":31,");
    same_end("abort", aborts, SIGABRT, 1, "\"signal\":\"SIGABRT\",\"number\":6,\"code\":-6,\"reason\":\"abort\",\"sender\":");
    same_end("raise", raised, SIGSEGV, 1, "\"code\":-6,\"reason\":\"sent by a thread\",\"sender\":");
    same_end("kill", killed, SIGSEGV, 1, "\"code\":0,\"reason\":\"sent by a process\",\"sender\":");
    same_end("call", called, SIGSEGV, 1, "\"backtrace\":[\"0x10\",\"test_fatal");
    same_end("overflow", overflow, SIGSEGV, 1, "\"signal\":\"SIGSEGV\"");
}

/* ---- every position of a thread ---- */

static void *thread_run(void *how) {
    void (*run)(void);
    memcpy(&run, &how, sizeof run);
    mlog_info("thread's first");
    run();
    return NULL;
}
static void in_thread(void (*run)(void)) {
    pthread_t t;
    void *how;
    memcpy(&how, &run, sizeof how);
    if (pthread_create(&t, NULL, thread_run, how) != 0) abort();
    (void)pthread_join(t, NULL);
}
static void thread_segv(void) { in_thread(segv); }
static void thread_abort(void) { in_thread(aborts); }
static void thread_overflow(void) { in_thread(overflow); }

static void *silent_run(void *unused) { return *nowhere = 1, unused; } /* a thread that never logged */
static void silent(void) {
    pthread_t t;
    if (pthread_create(&t, NULL, silent_run, NULL) != 0) abort();
    (void)pthread_join(t, NULL);
}

static void in_call(void) { mlog_info("torn", "n", 1, "text", (const char *)(uintptr_t)nowhere); }
static void in_printf(void) { mlog_infof("torn %.3s", (const char *)(uintptr_t)nowhere); }
static void in_emit(void) {
    const mlog_field f = {"bad", mlog_str((const char *)(uintptr_t)nowhere, 5)};
    mlog_emit(&(mlog_event){.level = MLOG_INFO, .msg = "torn", .fields = &f, .nfields = 1});
}
static void crashing_handler(int number) {
    mlog_info("in a handler", "signal", number);
    *nowhere = 1;
}
static void in_handler(void) {
    (void)signal(SIGUSR1, crashing_handler);
    (void)raise(SIGUSR1);
}
static int crashing_write(void *user, const mlog_record *r) {
    (void)user;
    if (strcmp(r->msg, "crash") == 0) *nowhere = 1;
    return 0;
}
static void in_callback(void) {
    const mlog_sink_config c = {.type = MLOG_CALLBACK, .write = crashing_write};
    if (mlog_sink_add(&c) == NULL) _exit(7);
    mlog_info("crash");
    sleep_ms(5000);
}
static void in_flusher(void) { /* its lane 0, by name */
    char path[400], name[32];
    (void)mlog_flush(1000);
    sleep_ms(20);
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", d->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
        if (n == 8 && memcmp(name, "metalog\n", 8) == 0) (void)syscall(SYS_tgkill, getpid(), atoi(d->d_name), SIGSEGV);
    }
    sleep_ms(5000);
}
static void flusher_writes(void) { /* it holds the role of the flusher, and is in the middle of a batch */
    (void)mlog_flush(1000);
    write_mode = 1;
    mlog_info("written?");
    sleep_ms(5000);
}
static void under_lock(void) { /* what mlog_stats_read holds */
    mlog__ring_never_wait++;
    mlog__platform_lock(&mlog__flush_all.role);
    *nowhere = 1;
}
static void *holder_run(void *unused) {
    mlog__platform_lock(&mlog__flush_all.role);
    atomic_store(&shared[0], 1);
    sleep_ms(20000);
    return unused;
}
static void stuck_flusher(void) {
    pthread_t t;
    atomic_store(&shared[0], 0);
    if (pthread_create(&t, NULL, holder_run, NULL) != 0) abort();
    while (!atomic_load(&shared[0])) sleep_ms(1);
    *nowhere = 1;
}
static void full_ring(void) { /* and nobody who empties it */
    pthread_t t;
    atomic_store(&shared[0], 0);
    if (pthread_create(&t, NULL, holder_run, NULL) != 0) abort();
    while (!atomic_load(&shared[0])) sleep_ms(1);
    while (mlog__ring_room(mlog__thread_self, 64)) mlog_info("full", "n", 1);
    *nowhere = 1;
}
static _Atomic int together;
static void *together_run(void *how) {
    mlog_info("together");
    atomic_fetch_add(&together, 1);
    while (atomic_load(&together) < 4) {}
    if ((uintptr_t)how % 2) abort();
    *nowhere = 1;
    return how;
}
static void all_at_once(void) {
    pthread_t t[4];
    for (uintptr_t i = 0; i < 4; i++) (void)pthread_create(&t[i], NULL, together_run, (void *)i);
    for (int i = 0; i < 4; i++) (void)pthread_join(t[i], NULL);
}
static void forked(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        mlog_info("child");
        *nowhere = 1;
    }
    (void)waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) _exit(6);
    (void)signal(WTERMSIG(status), SIG_DFL);
    (void)raise(WTERMSIG(status)); /* without a record of its own */
}
static void in_vfork(void) {
    int status = 0;
    pid_t pid = vfork();
    if (pid == 0) *nowhere = 1;
    (void)waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) _exit(6);
    aborts();
}

static void test_positions(void) {
    same_end("thread", thread_segv, SIGSEGV, 1, "\"task\":7,\"signal\":\"SIGSEGV\"");
    same_end("thread abort", thread_abort, SIGABRT, 1, "SIGABRT");
    same_end("thread overflow", thread_overflow, SIGSEGV, 1, "SIGSEGV");
    same_end("thread that never logged", silent, SIGSEGV, 1, "SIGSEGV");
    same_end("in a call", in_call, SIGSEGV, 1, "SIGSEGV");
    CHECK_EQ(file_lines(log_path, "torn"), 0);
    same_end("in a printf call", in_printf, SIGSEGV, 1, "SIGSEGV");
    same_end("in mlog_emit", in_emit, SIGSEGV, 1, "SIGSEGV");
    same_end("in a handler", in_handler, SIGSEGV, 1, "SIGSEGV");
    CHECK_EQ(file_lines(log_path, "in a handler"), 1);
    same_end("in a callback", in_callback, SIGSEGV, 1, "SIGSEGV");
    same_end("full ring", full_ring, SIGSEGV, 0, NULL); /* committed to the side ring, for who recovers it: nobody can write */
    CHECK(took < 1000);
    same_end("in a child", forked, SIGSEGV, 1, "SIGSEGV");
    same_end("in a vfork child", in_vfork, SIGABRT, 2, "\"level\":\"fatal\"");
    int status = child(in_flusher, true);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(within(in_flusher, 150)); /* it does not wait for itself */
    same_end("under a lock", under_lock, SIGSEGV, 0, NULL);
    CHECK(within(under_lock, 150)); /* it does not wait for a flusher that waits for it */
    same_end("stuck flusher", stuck_flusher, SIGSEGV, 0, NULL);
    CHECK(took >= 190 && within(stuck_flusher, 1000));
    status = child(all_at_once, true);
    CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGABRT));
    if (!CHECK(records() >= 1 && records() <= 4)) printf("    %zu, status %x, %d ms\n", records(), (unsigned)status, (int)took);
    char *text = slurp(log_path, NULL), *first = strstr(text, "fatal signal");
    if (CHECK(first != NULL)) CHECK(strstr(text, WTERMSIG(status) == SIGABRT ? "SIGABRT" : "SIGSEGV") != NULL);
    free(text);
    CHECK(within(all_at_once, 450)); /* the first goes when its record is out */
    status = child(flusher_writes, true);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK_EQ(records(), 0); /* who would write it is dead */
    CHECK(within(flusher_writes, 150));
}

/* What nobody could write: the next start does. */
static void test_next_start(void) {
    static const struct { const char *name; void (*run)(void); } list[] = {
        {"flusher", in_flusher}, {"flusher writes", flusher_writes}, {"under a lock", under_lock}, {"full ring", full_ring}, {"segv", segv}};
    safe = true;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int status = child(list[i].run, true);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) start(), exit(0);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        if (!CHECK(records() == 1 && file_lines(log_path, "\"msg\":\"begun\"") == 2)) {
            char *text = slurp(log_path, NULL);
            printf("    %s, then the next start:\n%.3000s", list[i].name, text);
            free(text);
        }
    }
    safe = false;
}

/* ---- a fault at any instruction of a call ---- */

#if defined(__x86_64__) || defined(__aarch64__)
static void one_call(int n) { mlog_info("stepped", "n", n, "text", "some"); }
static void traced(void) {
    one_call(0);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(5);
    (void)raise(SIGSTOP);
    one_call(1);
    (void)raise(SIGSTOP);
    _exit(0);
}

/* Lets the child go `steps` instructions, then SIGSEGV comes. Its status; 0: the call was over before, -1: it cannot be traced. */
static int inject(int steps) {
    int status;
    fflush(stdout);
    (void)unlink(log_path);
    pid_t pid = fork();
    if (pid == 0) start(), traced();
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return -1;
    for (int i = 0; i < steps; i++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0 || waitpid(pid, &status, 0) != pid) return -1;
        if (WSTOPSIG(status) != SIGSTOP) continue;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return 0;
    }
    for (int number = SIGSEGV; ptrace(PTRACE_CONT, pid, 0, number) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);)
        number = WSTOPSIG(status);
    return status;
}

static void test_instructions(void) {
    int n = 0, status = 0;
    with = true;
    for (int steps = 1;; steps += 11, n++) {
        status = inject(steps);
        if (status <= 0) break;
        bool good = WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && records() == 1;
        if (CHECK(good && file_lines(log_path, NULL) == file_lines(log_path, "}") && file_lines(log_path, "\"stepped\"") <= 2)) continue;
        char *text = slurp(log_path, NULL);
        printf("    behind %d instructions: status %x, log:\n%s", steps, (unsigned)status, text);
        free(text);
    }
    printf("    a fault at %d instructions of a call%s\n", n, status < 0 ? ": no ptrace here" : "");
    CHECK(status < 0 || n > 10);
}
#else
static void test_instructions(void) {}
#endif

/* ---- our handler itself ---- */

static void walk_crashes(void) { walk_mode = 1, segv(); }
static void walk_crashes_in_abort(void) { walk_mode = 1, aborts(); }
static void walk_hangs(void) { walk_mode = 2, aborts(); }
static void walk_aborts(void) { walk_mode = 3, segv(); }
static void ring_is_gone(void) { /* the commit crashes, too */
    (void)munmap(mlog__thread_self->ring, 4096);
    walk_crashes_in_abort();
}

static void test_damage(void) {
    same_end("walk crashes", walk_crashes, SIGSEGV, 1, "\"address\":\"0x10\",\"backtrace\":[\"test_fatal");
    same_end("walk crashes in abort", walk_crashes_in_abort, SIGABRT, 1, "\"signal\":\"SIGABRT\"");
    same_end("walk hangs", walk_hangs, SIGABRT, 1, "\"signal\":\"SIGABRT\"");
    same_end("walk aborts", walk_aborts, SIGSEGV, 1, "\"signal\":\"SIGSEGV\"");
    int status = child(ring_is_gone, true);
    CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGSEGV)); /* the flusher reads that ring, too */
}

/* ---- the host's handlers ---- */

static void told(int number, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    bool inside = false;
#if defined(__x86_64__)
    inside = (uintptr_t)u->uc_mcontext.gregs[REG_RIP] == (uintptr_t)shared[4] + ((uintptr_t)shared[5] << 32);
#endif
    (void)u;
    atomic_store(&shared[1], number == SIGSEGV && info->si_addr == (void *)(uintptr_t)nowhere ? info->si_code : -99);
    atomic_store(&shared[2], inside);
    _exit(42);
}
static struct sigaction chained;
static void chains(int number, siginfo_t *info, void *context) {
    atomic_fetch_add(&shared[3], 1);
    chained.sa_sigaction(number, info, context);
}
static void chains_badly(int number) { /* as code from before SA_SIGINFO does */
    atomic_fetch_add(&shared[3], 1);
    void (*old)(int) = chained.sa_handler;
    old(number);
}
static void leaves_it(int number) {
    (void)number;
    _exit(43);
}
static void act(void (*handler)(int, siginfo_t *, void *), struct sigaction *old) {
    struct sigaction a = {.sa_flags = SA_SIGINFO};
    a.sa_sigaction = handler;
    (void)sigaction(SIGSEGV, &a, old);
}
static void before(void) {
    act(told, NULL);
    start(); /* again: over the host's */
    segv();
}
static void after_chains(void) {
    act(chains, &chained);
    if (!with) (void)signal(SIGSEGV, SIG_DFL);
    segv();
}
static void after_chains_badly(void) {
    (void)sigaction(SIGSEGV, NULL, &chained);
    (void)signal(SIGSEGV, with ? chains_badly : SIG_DFL);
    segv();
}
static void after_leaves(void) {
    (void)signal(SIGSEGV, leaves_it);
    segv();
}
static void over_chains(void) { /* ours, the host's over it, ours again over that: they lead to each other */
    act(chains, &chained);
    if (!with) (void)signal(SIGSEGV, SIG_DFL);
    mlog_config c = config;
    c.catch_fatal = MLOG_NO;
    c.env = "-";
    c.sinks[0] = (mlog_sink_config){.type = MLOG_FILE, .path = log_path};
    if (mlog_init(&c) != 0) _exit(9);
    start();
    segv();
}
/* In every position: the host's handler from before, which ends the process, and one from later, which goes on to ours. */
static void (*position)(void);
static void ends_it(int number) {
    (void)number;
    atomic_fetch_add(&shared[3], 1);
    _exit(42);
}
static void before_any(void) {
    (void)signal(SIGSEGV, ends_it);
    start();
    position();
}
static void after_any(void) {
    act(chains, &chained);
    if (!with) (void)signal(SIGSEGV, SIG_DFL);
    position();
}
static void test_hosts_everywhere(void) {
    /* library: in a thread of the library, which without catch_fatal blocks all signals, so that no handler is called */
    static const struct { const char *name; void (*run)(void); size_t records; bool library; } list[] = {
        {"thread", thread_segv, 1, false}, {"thread that never logged", silent, 1, false}, {"in a call", in_call, 1, false}, {"in a printf call", in_printf, 1, false},
        {"in mlog_emit", in_emit, 1, false}, {"in a handler", in_handler, 1, false}, {"in a callback", in_callback, 1, true}, {"in the flusher", in_flusher, 0, true},
        {"in the flusher's write", flusher_writes, 0, true}, {"raised", raised, 1, false}, {"by kill", killed, 1, false}, {"under a lock", under_lock, 0, false}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        position = list[i].run;
        for (int host = 0; host < 2; host++) {
            atomic_store(&shared[3], 0);
            int without = list[i].library ? 0 : child(host == 0 ? before_any : after_any, false), status;
            if (host == 0 && !list[i].library) CHECK_EQ(atomic_load(&shared[3]), 1);
            atomic_store(&shared[3], 0);
            status = child(host == 0 ? before_any : after_any, true);
            bool right = host == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 42 : WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
            size_t found = records();
            bool written = list[i].records == 1 ? found == 1 : found <= 1;
            if (!CHECK(right && (list[i].library || status == without) && written && atomic_load(&shared[3]) == 1))
                printf("    %s, the host's %s: status %x, without %x, %zu records, %d calls of it\n", list[i].name, host == 0 ? "before" : "after",
                       (unsigned)status, (unsigned)without, found, atomic_load(&shared[3]));
        }
    }
}

static sigjmp_buf env;
static void recovers(int number) {
    (void)number;
    siglongjmp(env, 1);
}
static void recovered(void) {
    (void)signal(SIGSEGV, recovers);
    start();
    for (volatile int i = 0; i < 5; i++)
        if (sigsetjmp(env, 1) == 0) segv();
    for (int i = 0; i < 10; i++) mlog_info("goes on", "i", i);
    aborts();
}
static bool stands(int number) {
    struct sigaction a;
    (void)sigaction(number, NULL, &a);
    return (a.sa_flags & SA_SIGINFO) != 0 && a.sa_sigaction == mlog__fatal_handler;
}
static void on_and_off(void) {
    stack_t s;
    int bad = !stands(SIGSEGV) || !stands(SIGABRT) || stands(SIGTERM) || stands(SIGINT);
    if (mlog_shutdown(1000) != 0 || stands(SIGSEGV) || stands(SIGABRT)) bad |= 2;
    mlog_info("starts again");
    if (!stands(SIGSEGV)) bad |= 4;
    (void)signal(SIGFPE, SIG_IGN);
    (void)mlog_shutdown(1000);
    start();
    if (stands(SIGFPE) || !stands(SIGBUS)) bad |= 8;
    with = false;
    start();
    if (stands(SIGSEGV)) bad |= 16;
    if (sigaltstack(NULL, &s) != 0 || (s.ss_flags & SS_DISABLE) != 0) bad |= 32;
    _exit(bad);
}
static void *own_stack_run(void *unused) {
    static char own[65536];
    const stack_t mine = {.ss_sp = own, .ss_size = sizeof own};
    stack_t s;
    (void)sigaltstack(&mine, NULL);
    mlog_info("has its own");
    (void)sigaltstack(NULL, &s);
    atomic_store(&shared[0], s.ss_sp == own);
    return unused;
}
static void *stack_run(void *unused) {
    stack_t s;
    mlog_info("gets one");
    (void)sigaltstack(NULL, &s);
    if ((s.ss_flags & SS_DISABLE) == 0 && s.ss_size == MLOG__STACK_BYTES) atomic_fetch_add(&shared[1], 1);
    return unused;
}
static long mapped_kib(void) {
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmSize:", 7) == 0) kib = atol(line + 7);
    if (f != NULL) (void)fclose(f);
    return kib;
}
static void stacks(void) {
    pthread_t t;
    (void)pthread_create(&t, NULL, own_stack_run, NULL);
    (void)pthread_join(t, NULL);
    atomic_store(&shared[1], 0);
    long before_all = 0;
    for (int i = 0; i < 210; i++) {
        if (i == 10) before_all = mapped_kib();
        (void)pthread_create(&t, NULL, stack_run, NULL);
        (void)pthread_join(t, NULL);
        if (i % 10 == 0) (void)mlog_flush(1000);
    }
    atomic_store(&shared[2], (int)(mapped_kib() - before_all));
    _exit(atomic_load(&shared[0]) == 1 && atomic_load(&shared[1]) == 210 ? 0 : 1);
}

static void test_hosts(void) {
    for (int catches = 0; catches < 2; catches++) {
        atomic_store(&shared[1], 0);
        int status = child(before, catches);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
        CHECK_EQ(atomic_load(&shared[1]), SEGV_MAPERR); /* it gets what came: address and code */
        CHECK_EQ(records(), catches);
        status = child(after_leaves, catches);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 43);
        CHECK_EQ(records(), 0);
    }
    atomic_store(&shared[3], 0);
    same_end("chains", after_chains, SIGSEGV, 1, "SIGSEGV");
    CHECK_EQ(atomic_load(&shared[3]), 1);
    same_end("chains badly", after_chains_badly, SIGSEGV, 1, "SIGSEGV");
    CHECK(atomic_load(&shared[3]) >= 2); /* it gives no siginfo: what a look at it meets comes by it once more */
    same_end("over one that chains", over_chains, SIGSEGV, 1, "SIGSEGV");
    same_end("recovers", recovered, SIGABRT, 2, "\"level\":\"fatal\"");
    CHECK_EQ(file_lines(log_path, "goes on"), 10);
    CHECK_EQ(child(on_and_off, true), 0);
    CHECK_EQ(child(stacks, true), 0);
    int kib = atomic_load(&shared[2]);
    CHECK_EQ(WEXITSTATUS(child(stacks, false)), 1);
    if (!CHECK(kib - atomic_load(&shared[2]) < 8192)) printf("    %d KiB, without %d\n", kib, atomic_load(&shared[2]));
}

/* ---- without a flusher; and the core file ---- */

static void test_modes(void) {
    config.flusher = MLOG_POLL;
    same_end("poll", segv, SIGSEGV, 0, NULL);
    CHECK(within(segv, 150));
    config.flusher = MLOG_DIRECT;
    same_end("direct", segv, SIGSEGV, 0, NULL); /* nothing is written in the handler; what was logged before is there */
    CHECK_EQ(file_lines(log_path, "begun"), 1);
    config.flusher = 0;
}

static void test_core(void) {
    struct rlimit limit, was;
    char here[512];
    if (getrlimit(RLIMIT_CORE, &was) != 0 || getcwd(here, sizeof here) == NULL) return;
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] != '/' || chdir(dir) != 0) return;
    limit = was;
    limit.rlim_cur = limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20;
    (void)setrlimit(RLIMIT_CORE, &limit);
    int without = child(segv, false), status = child(segv, true);
    CHECK_EQ(status, without);
    printf("    core: %s\n", WCOREDUMP(status) ? "written, with and without" : "none, with and without");
    (void)setrlimit(RLIMIT_CORE, &was);
    if (chdir(here) != 0) abort();
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct rlimit none = {0, 0};
    test_core();
    (void)setrlimit(RLIMIT_CORE, &none);
    test_signals();
    test_positions();
    test_damage();
    test_hosts();
    test_hosts_everywhere();
    test_next_start();
    test_instructions();
    test_modes();
    return done();
}
