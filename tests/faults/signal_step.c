/* A logging signal at every instruction. A parent single-steps a child through a call (ptrace) and delivers SIGUSR1, whose handler logs,
 * at each instruction in turn; then the log must hold the records of the call and of each handler, once each. With `jump` the handler
 * leaves by siglongjmp instead: what was logged before is there, the call that was left is there at most once, and the calls behind it are.
 *
 *     signal_step [long [SCENARIO]]       without: every so many instructions only, about 15 s
 *
 * Each run is a child of its own that steps through its scenario once; signals come `spacing` instructions apart, or once, and the runs
 * shift the first one until every instruction had one, or as many as there is time for. Prints them: attempted (signals), instructions
 * and which of them had one, single steps, records that were lost, doubled or torn. Ends with "N passed, N failed", as the tests do.
 * x86-64 and aarch64 Linux. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include "../check.h"

#include <elf.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#if defined(__x86_64__)
#define PC(r) ((r).rip)
#define SP(r) ((r).rsp)
#define TRAP __asm__ volatile("int3")
#elif defined(__aarch64__)
#define PC(r) ((r).pc)
#define SP(r) ((r).sp)
#define TRAP __asm__ volatile("brk #0")
#endif

static char log_path[512], long_text[5000];
static volatile int handled;
static sigjmp_buf env;

static void says(int number) {
    int n = handled++;
    mlog_info("handler", "h", n, "text", "of the handler", "signal", number);
    TRAP; /* the tracer goes on stepping */
}

static void jumps(int number) {
    (void)number;
    siglongjmp(env, 1);
}

/* ---- the scenarios: `calls` records with c = 0 … calls - 1 ---- */

static mlog_logger *named;
static volatile double half = 0.5;
static __attribute__((noinline)) void say(int c) { mlog_info("call", "c", c); }

static void fast(void) { say(0); }
static void text(void) { mlog_info("call", "c", 0, "a", "short", "b", long_text + 4970, "d", half); }
static void grown(void) { mlog_info("call", "c", 0, "long", long_text, "bytes", mlog_bytes(long_text, 40)); }
static void printed(void) { mlog_infof("printed %d %s %.*s", 42, "text", 3, long_text); }
static void slow(void) {
    mlog__thread_self->limit = 0; /* as at the end of a lap */
    say(0);
}
static void site(void) { /* its first call registers it */ mlog_warn("call", "c", 0, "once", "more"); }
static void context(void) {
    mlog_with("inside", 1, "text", "of the context");
    say(0);
}
static void context_new(void) {
    mlog_context *c = mlog_context_new("made", 1), *outer = mlog_context_swap(c);
    say(0);
    mlog_context_unref(mlog_context_swap(outer));
}
static void to(void) { mlog_to(named, MLOG_WARN, "call", "c", 0); }
static void emitted(void) {
    const mlog_field field[2] = {{"c", mlog_val(0)}, {"text", mlog_val("emitted")}};
    const mlog_event e = {.level = MLOG_INFO, .msg = "call", .fields = field, .nfields = 2};
    mlog_emit(&e);
}
static void put(mlog_writer *w, const void *p) { mlog_put(w, "inner", *(const int *)p); }
static void object(void) {
    int inner = 7;
    mlog_info("call", "c", 0, "object", mlog_object(put, &inner));
}
static void flushed(void) {
    say(0);
    (void)mlog_flush(0);
    say(1);
}
static void fatal(void) { mlog_fatal("call", "c", 0); }
static void first(void) { say(0); }

enum { ONCE = 1 << 30 };
/* spacing: instructions between two signals of a run. made: an earlier thread has left its ring */
static const struct scenario {
    const char *name;
    void (*run)(void);
    int calls, spacing;
    bool fresh, made, unstarted, jump;
} list[] = {{"fast", fast, 1, 97, 0, 0, 0, 0},
            {"text", text, 1, 97, 0, 0, 0, 0},
            {"grown", grown, 1, 97, 0, 0, 0, 0},
            {"printf", printed, 1, 97, 0, 0, 0, 0},
            {"slow", slow, 1, 97, 0, 0, 0, 0},
            {"site", site, 1, 97, 0, 0, 0, 0},
            {"context", context, 1, 97, 0, 0, 0, 0},
            {"context_new", context_new, 1, 97, 0, 0, 0, 0},
            {"to", to, 1, 97, 0, 0, 0, 0},
            {"emit", emitted, 1, 97, 0, 0, 0, 0},
            {"object", object, 1, 97, 0, 0, 0, 0},
            {"flush", flushed, 2, 97, 0, 0, 0, 0},
            {"fatal", fatal, 1, 97, 0, 0, 0, 0},
            {"fast, one signal", fast, 1, ONCE, 0, 0, 0, 0},
            {"text, one signal", text, 1, ONCE, 0, 0, 0, 0},
            {"first of a thread", first, 1, ONCE, 1, 1, 0, 0},
            {"first, no ring left", first, 1, ONCE, 1, 0, 0, 0},
            {"first of a process", first, 1, 997, 1, 0, 1, 0},
            {"jump out of fast", fast, 1, ONCE, 0, 0, 0, 1},
            {"jump out of text", text, 1, ONCE, 0, 0, 0, 1},
            {"jump out of printf", printed, 1, ONCE, 0, 0, 0, 1},
            {"jump out of slow", slow, 1, ONCE, 0, 0, 0, 1},
            {"jump out of emit", emitted, 1, ONCE, 0, 0, 0, 1},
            {"jump out of the first", first, 1, ONCE, 1, 1, 0, 1}};

static void *leaves_a_ring(void *unused) {
    say(-1);
    return unused;
}

static __attribute__((noinline)) void finish(void) { __asm__ volatile("" ::: "memory"); } /* the tracer looks for its address */

static void child(const struct scenario *s) {
    mlog_config c = {.env = "-", .levels = "trace", .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    struct sigaction a = {.sa_handler = s->jump ? jumps : says};
    if (s->unstarted) { /* the first call opens stderr, a file */
        int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 2) < 0) _exit(2);
    } else if (mlog_init(&c) != 0) _exit(2);
    if (!s->unstarted) named = mlog_named("named");
    pthread_t t;
    if (s->made && (pthread_create(&t, NULL, leaves_a_ring, NULL) != 0 || pthread_join(t, NULL) != 0)) _exit(2);
    for (int i = 0; s->made && mlog__thread_all.state[1] != MLOG__S_UNUSED && i < 1000; i++) (void)mlog_flush(100), sleep_ms(1);
    if (!s->fresh) {
        say(-1);
        mlog_info("handler", "h", -1);
        if (s->run != site) s->run();
        (void)mlog_flush(10000);
    }
    (void)sigaction(SIGUSR1, &a, NULL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
    if (sigsetjmp(env, 1) == 0) {
        (void)raise(SIGSTOP);
        s->run();
    }
    finish();
    say(1000);
    say(1001);
    _exit(mlog_flush(10000) == 0 ? 0 : 3);
}

/* ---- the tracer ---- */

typedef struct { long long stops, signals, wrong[3], bad; long instructions; } sums; /* bad: runs */

static int wait_for(pid_t pid) {
    int status = 0;
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static struct user_regs_struct registers(pid_t pid) {
    struct user_regs_struct r;
    struct iovec v = {&r, sizeof r};
    memset(&r, 0, sizeof r);
    (void)ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v);
    return r;
}

static bool step(pid_t pid, int number, int *status) {
    (void)ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)number);
    *status = wait_for(pid);
    return WIFSTOPPED(*status);
}

/* To the trap at the handler's end, and back to where it came in. False: the child is gone, or stopped for another reason. */
static bool over_handler(pid_t pid, uint64_t sp, int *status) {
    struct user_regs_struct now;
    (void)ptrace(PTRACE_CONT, pid, NULL, NULL);
    *status = wait_for(pid);
    if (!WIFSTOPPED(*status) || WSTOPSIG(*status) != SIGTRAP) return false;
#if defined(__aarch64__)
    now = registers(pid);
    PC(now) += 4;
    struct iovec v = {&now, sizeof now};
    (void)ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v);
#endif
    do {
        if (!step(pid, 0, status)) return false;
        now = registers(pid);
    } while (SP(now) < sp);
    return true;
}

/* One run: a signal before instructions `phase`, phase + spacing, and so on; while signals are blocked, behind. The status of the
 * child; signals that it had. */
static int trace(const struct scenario *s, pid_t pid, long phase, sums *sum, int *signals) {
    int status = wait_for(pid);
    bool waits = false;
    *signals = 0;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP) return status;
    for (long at = 0;; at++) {
        struct user_regs_struct r = registers(pid), now;
        if ((uintptr_t)PC(r) == (uintptr_t)finish) {
            sum->instructions = at;
            break;
        }
        sum->stops++;
        bool comes = WSTOPSIG(status) == SIGUSR1, hit = !waits && phase >= 0 && at % s->spacing == phase;
        if (!step(pid, comes || hit ? SIGUSR1 : 0, &status)) return status;
        if (comes) waits = false;
        if (hit) ++*signals;
        if (!comes && !hit) continue;
        now = registers(pid);
        if ((uintptr_t)PC(now) != (uintptr_t)(s->jump ? jumps : says)) waits = true;
        else if (s->jump) break; /* the rest runs freely */
        else if (!over_handler(pid, SP(r), &status)) return status;
    }
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return wait_for(pid);
}

/* How many lines have this text and, with a key, this number. */
static int count(const char *log, const char *msg, const char *key, int n) {
    char what[64];
    int found = 0;
    (void)snprintf(what, sizeof what, "\"%s\":%d", key, n);
    for (const char *p = log; *p; p = strchrnul(p, '\n'), p += *p != 0) {
        size_t len = (size_t)(strchrnul(p, '\n') - p);
        const char *at = memmem(p, len, msg, strlen(msg)) == NULL ? NULL : memmem(p, len, what, strlen(what));
        if (at != NULL && (at[strlen(what)] < '0' || at[strlen(what)] > '9')) found++;
    }
    return found;
}

/* Lost, doubled and torn records, in this order. */
static void judge(const struct scenario *s, const char *log, int signals, long long wrong[3]) {
    int warm = s->fresh || s->run == site ? 0 : 1; /* the call was made once before */
    int n[4 + 1000], many = 0;
    for (int c = 0; c < s->calls; c++) {
        n[many] = s->run == printed ? (int)lines(log, "\"printed 42 text xxx\"") : count(log, "\"call\"", "c", c);
        n[many] -= warm;
        if (s->jump && signals > 0 && n[many] == 0) n[many] = 1; /* it was left before its end */
        many++;
    }
    for (int h = 0; h < signals && !s->jump && h < 1000; h++) n[many++] = count(log, "\"handler\"", "h", h);
    n[many++] = count(log, "\"call\"", "c", 1000);
    n[many++] = count(log, "\"call\"", "c", 1001);
    for (int i = 0; i < many; i++) wrong[0] += n[i] < 1, wrong[1] += n[i] > 1;
    for (const char *p = log, *end; *p; p = end + (*end != 0)) {
        end = strchrnul(p, '\n');
        bool known = memmem(p, (size_t)(end - p), "\"call\"", 6) != NULL || memmem(p, (size_t)(end - p), "\"handler\"", 9) != NULL ||
                     memmem(p, (size_t)(end - p), "\"printed 42 text xxx\"", 21) != NULL;
        wrong[2] += !known || end[-1] != '}';
    }
}

static bool run_once(const struct scenario *s, long phase, sums *sum) {
    int signals = 0, status;
    (void)unlink(log_path);
    pid_t pid = fork();
    if (pid == 0) child(s);
    status = trace(s, pid, phase, sum, &signals);
    sum->signals += signals;
    char *log = slurp(log_path, NULL);
    long long wrong[3] = {0, 0, 0};
    judge(s, log, signals, wrong);
    for (int i = 0; i < 3; i++) sum->wrong[i] += wrong[i];
    bool bad = status != 0 || wrong[0] + wrong[1] + wrong[2] != 0;
    if (bad && sum->bad++ == 0) printf("    %s: first signal before instruction %ld: status %x, log:\n%.2000s", s->name, phase, status, log);
    if (WIFSTOPPED(status)) (void)kill(pid, SIGKILL), (void)wait_for(pid);
    free(log);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 77) return true;
    printf("skip: ptrace is not permitted here\n");
    return false;
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* the two take turns: no need to wake another processor */
    memset(long_text, 'x', sizeof long_text - 1);
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path("signal_step.log"));
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("    %-22s %12s %6s %9s %10s %5s %7s %5s\n", "", "instructions", "every", "signals", "stops", "lost", "doubled", "torn");
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct scenario *s = &list[i];
        sums sum = {0, 0, {0, 0, 0}, 0, 0};
        int64_t began = now_ms();
        if (only != NULL && strcmp(only, s->name) != 0) continue;
        if (!run_once(s, -1, &sum)) break; /* no signal: the control, and its length */
        long length = sum.instructions, most = s->spacing < length ? s->spacing : length;
        long long all_stops = s->spacing == ONCE ? (long long)length * length / 2 : (long long)most * length;
        long every = (long)(all_stops / (all ? 4000000 : 15000)) | 1; /* odd: signals shall not keep to even places */
        for (long phase = 0; phase < most; phase += every)
            if (!run_once(s, phase, &sum)) return 1;
        CHECK_EQ(sum.bad, 0);
        CHECK_EQ(sum.wrong[0] + sum.wrong[1] + sum.wrong[2], 0);
        CHECK(sum.signals >= (most + every - 1) / every);
        printf("    %-22s %12ld %6ld %9lld %10lld %5lld %7lld %5lld  %5.1f s\n", s->name, length, every, sum.signals, sum.stops,
               sum.wrong[0], sum.wrong[1], sum.wrong[2], (double)(now_ms() - began) / 1000);
    }
    return done();
}
