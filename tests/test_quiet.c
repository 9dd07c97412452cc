/* Invariant 1: after the first calls, a call makes no system call, takes no lock that could sleep, and allocates nothing. A million calls
 * of every kind run in a thread under a seccomp filter that kills at any system call, over an allocator that traps. Each case is a child:
 * how it ends says what happened. Controls: the same thread with one system call, one allocation, a full ring, a sleeping flusher.
 * not under: asan tsan */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- the allocator: glibc's, with a trap in front (SIGILL, so that it is told from a system call's SIGSYS) ---- */

static _Thread_local int quiet;
#if defined(__GLIBC__)
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);
static void heard(void) {
    if (quiet) __builtin_trap();
}
void *malloc(size_t n) { return heard(), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return heard(), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return heard(), __libc_realloc(p, n); }
void free(void *p) { heard(), __libc_free(p); }
enum { ALLOCATOR = 1 };
#else
enum { ALLOCATOR = 0 };
#endif

/* Any system call of this thread from here on is the end of the process, by SIGSYS. */
static int silence(void) {
    static struct sock_filter kill_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    static struct sock_fprog program = {1, kill_all};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* ---- the calls ---- */

enum { CALLS = 1000000, KINDS = 20 };
static char log_path[512];
static mlog_logger *named, *bound;
static long said; /* calls that are to be lines */

static void put(mlog_writer *w, const void *p) { mlog_put(w, "x", *(const int *)p); }

static void by_list(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void by_list(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}

static void log_one(int kind, int i) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    static const double some[3] = {1, 0.5, -2e300};
    const char *text = letters + i % 70;
    said++;
    switch (kind) {
    case 0: mlog_info("call"); break;
    case 1: mlog_info("call", "i", i); break;
    case 2: mlog_warn("call", "i", i, "text", text); break;
    case 3: mlog_error("call", "d", i / 7.0, "f", (float)i, "b", i % 2 == 0, "u", (unsigned long long)i, "p", (void *)&said); break;
    case 4: mlog_info("call", "null", (const char *)NULL, "str", mlog_str(text, 3), "bytes", mlog_bytes(text, 5)); break;
    case 5: mlog_info("call", "hex", mlog_hex((uint64_t)i), "errno", mlog_errno(2), "time", mlog_time(i), "dur", mlog_dur(i)); break;
    case 6: mlog_info("call", "list", mlog_array(some, 3), "json", mlog_json("{\"a\":1}", 7)); break;
    case 7: mlog_info("call", "password", text, "secret", mlog_secret(text)); break;
    case 8: mlog_info("call", "object", mlog_object(put, &i)); break;
    case 9: mlog_infof("call %d %s %5.2f", i, text, i / 3.0); break;
    case 10: mlog_infof("call %.*s %p %%", 4, text, (void *)&said); break;
    case 11: mlog_errorf("call %m %ls", L"wide"); break;
    case 12: mlog_to(named, MLOG_INFO, "call", "i", i); break;
    case 13: mlog_to(bound, MLOG_WARN, "call", "i", i); break;
    case 14: mlog_tof(bound, MLOG_INFO, "call %d", i); break;
    case 15: mlog(i % 2 ? MLOG_INFO : MLOG_WARN, "call", "i", i); break;
    case 16: by_list("call %d %s", i, text); break;
    case 17: {
        mlog_field f[2] = {{"i", mlog_val(i)}, {"text", mlog_val(text)}};
        mlog_event e = {.at = MLOG_HERE, .level = MLOG_INFO, .msg = "call", .fields = f, .nfields = 2};
        mlog_emit(&e);
        break;
    }
    case 18: {
        mlog_with("i", i, "text", text);
        mlog_info("call");
        break;
    }
    default:
        said--;
        mlog_debug("off", "i", i);
        if (mlog_enabled(MLOG_TRACE) || mlog_enabled_to(named, MLOG_DEBUG)) __builtin_trap();
    }
}

static void pause_while_full(void) { /* the flusher is behind: waits without a system call */
    const mlog__ring *r = mlog__thread_self->ring;
    while (__atomic_load_n(&r->head, __ATOMIC_RELAXED) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) > r->bytes / 2) {
        __asm__ volatile("" ::: "memory");
    }
}

/* ---- the thread, and what it does behind the filter ---- */

enum { MILLION, A_SYSTEM_CALL, AN_ALLOCATION, FULL_RING, SLEEPING_FLUSHER, FIRST_CALL };
static int finished;

static void *behind(void *what) {
    int mode = *(int *)what;
    if (mode != FIRST_CALL)
        for (int kind = 0; kind < KINDS; kind++) log_one(kind, kind);
    if (mode == SLEEPING_FLUSHER) (void)mlog_flush(5000), sleep_ms(100);
    if (silence() != 0) {
        __atomic_store_n(&finished, -1, __ATOMIC_RELEASE);
        return NULL;
    }
    quiet = 1;
    if (mode == A_SYSTEM_CALL) (void)syscall(SYS_getppid);
    if (mode == AN_ALLOCATION) {
        void *volatile p = malloc(10);
        (void)p;
    }
    if (mode == FIRST_CALL || mode == SLEEPING_FLUSHER) mlog_info("call");
    for (int i = 0; i < CALLS; i++) {
        if (mode != FULL_RING && i % 16 == 0) pause_while_full();
        log_one(i % KINDS, i);
    }
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    for (;;) __asm__ volatile("" ::: "memory"); /* also its end would be a system call */
    return NULL;
}

/* In a child: 0 when all went well and every call is a line. */
static int run(int mode) {
    pthread_t t;
    mlog_config c = {.levels = "info", .env = "-", .full = MLOG_DROP, .ring_bytes = mode == FULL_RING ? 65536 : 1u << 20,
                     .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    mlog__flush_linger = mode == SLEEPING_FLUSHER ? 0 : INT_MAX;
    if (mlog_init(&c) != 0) return 2;
    named = mlog_named("name");
    bound = mlog_bind(named, "bound", 1);
    if (mode == FULL_RING) pthread_mutex_lock(&mlog__flush_all.role); /* nobody makes room */
    (void)pthread_create(&t, NULL, behind, &mode);
    int end;
    while ((end = __atomic_load_n(&finished, __ATOMIC_ACQUIRE)) == 0) sleep_ms(1);
    if (end < 0) return 3;
    if (mlog_flush(10000) != 0) return 4;
    return file_lines(log_path, "call") == (size_t)said && file_lines(log_path, NULL) == (size_t)said ? 0 : 5;
}

static int child(int mode) {
    int status = -1;
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path("quiet.log"));
    (void)unlink(log_path);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) _exit(run(mode));
    (void)waitpid(pid, &status, 0);
    return status;
}

static int ended_by(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int main(void) {
    if (!mlog__clock_invariant_known()) {
        printf("no invariant counter: the clock is a system call, or nearly one; nothing to test\n");
        CHECK(1);
        return done();
    }
    int status = child(MILLION);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
        printf("this system allows no seccomp filter; nothing to test\n");
        CHECK(1);
        return done();
    }
    if (!CHECK_EQ(status, 0)) printf("    signal %d (%d: a system call, %d: an allocation)\n", ended_by(status), SIGSYS, SIGILL);
    CHECK_EQ(ended_by(child(A_SYSTEM_CALL)), SIGSYS);
    if (ALLOCATOR) CHECK_EQ(ended_by(child(AN_ALLOCATION)), SIGILL);
    CHECK_EQ(ended_by(child(FULL_RING)), SIGSYS);        /* it wakes the flusher: an exception that invariant 1 names */
    CHECK_EQ(ended_by(child(SLEEPING_FLUSHER)), SIGSYS); /* likewise */
    CHECK(ended_by(child(FIRST_CALL)) != 0);             /* likewise: it maps a ring */
    return done();
}
