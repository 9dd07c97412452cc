/* SIGKILL at every system call of the flusher, of rotation and of recovery. A program logs a few batches and dies at its k-th system call,
 * before it, behind it, or in the middle of a write; the next start recovers and dies at its j-th; a third one finishes. After each such
 * history every record whose call had returned stands in the files once, no line is torn, no file of the rings is left.
 *
 *   calls short|long [part]
 *
 * The parent sees each call of each thread by ptrace: those that the C library makes are among them. Waiting, the clock and masks of signals
 * are no steps: they change nothing that stays. At the end: which calls were steps. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include "../check.h"
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* What the parent and its victims share. */
static struct {
    uint64_t returned;
    uint32_t steps, die_at, how; /* how: 0 before the call, 1 behind it, 2 a write of half */
} *common;

enum { RECORDS = 60 };
static bool rotates, durable;
static char path[512], rings[512];

static int start(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .full = MLOG_BLOCK, .ring_bytes = 4096, .sinks = {{.type = MLOG_FILE, .path = path}}};
    if (rotates) c.sinks[0].rotate_bytes = 3000, c.sinks[0].rotate_keep = 1000;
    if (durable) c.sinks[0].durable = MLOG_YES;
    int bad = mlog_init(&c);
    if (bad != 0) fprintf(stderr, "%s\n", mlog_why());
    return bad;
}

static void log_some(void) {
    static const char text[] = "some text that makes the record longer, so that several laps and batches come together";
    for (int i = 0; i < RECORDS; i++) {
        mlog_info("step", "i", i, "text", text);
        common->returned = (uint64_t)i + 1;
    }
}

/* -- a child under ptrace -- */

static uint64_t met[512]; /* how often a call was a step */

static bool is_step(long number) {
    static const int none[] = {SYS_futex, SYS_clock_nanosleep, SYS_nanosleep, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigtimedwait,
                               SYS_gettid, SYS_getpid, SYS_geteuid, SYS_exit, SYS_exit_group, SYS_set_robust_list, SYS_rseq, SYS_membarrier, SYS_sched_yield};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (number == none[i]) return false;
    return number >= 0 && number < 512;
}

/* Halves a write that begins. False: it is none, or cannot be changed here. */
static bool halve(pid_t tid, const struct ptrace_syscall_info *info) {
    bool writes = info->entry.nr == SYS_write || info->entry.nr == SYS_pwrite64;
    if (!writes || info->entry.args[2] < 2) return false;
#if defined(__x86_64__)
    struct user_regs_struct r;
    struct iovec io = {&r, sizeof r};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0) return false;
    r.rdx /= 2;
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &io) == 0;
#else
    (void)tid;
    return false;
#endif
}

/* A thread stands before or behind a call. True: the child shall die now. */
static bool at_call(pid_t tid, pid_t *dying) {
    struct ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return false;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) return tid == *dying;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_step((long)info.entry.nr)) return false;
    met[info.entry.nr]++;
    if (++common->steps != common->die_at) return false;
    if (common->how == 0) return true;
    if (common->how == 1 || halve(tid, &info)) *dying = tid;
    return false;
}

/* Lets it run, and all its threads, to its end, or to where it dies. Its status. */
static int trace(pid_t pid) {
    pid_t dying = 0, tid;
    int status;
    while ((tid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (tid == pid) return status;
            continue;
        }
        int number = WSTOPSIG(status);
        if (number == (SIGTRAP | 0x80) && at_call(tid, &dying)) kill(pid, SIGKILL), dying = 0;
        bool ours = number == (SIGTRAP | 0x80) || status >> 16 != 0 || number == SIGSTOP || number == SIGTRAP;
        (void)ptrace(PTRACE_SYSCALL, tid, 0, ours ? 0 : number);
    }
    return -1;
}

/* A child that logs (or only recovers) and dies at a step; true: it got to its end. */
static bool child(bool logs, uint32_t die_at, uint32_t how) {
    int status;
    common->steps = 0;
    common->die_at = die_at;
    common->how = how;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(5);
        (void)raise(SIGSTOP);
        if (start() != 0) _exit(3);
        if (logs) log_some();
        if (mlog_flush(10000) != 0) _exit(4);
        exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) != 0 || ptrace(PTRACE_SYSCALL, pid, 0, 0) != 0) {
        fprintf(stderr, "no ptrace: %s\n", strerror(errno));
        exit(1);
    }
    status = trace(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return false;
    fprintf(stderr, "step %u how %u: status 0x%x\n", die_at, how, (unsigned)status);
    exit(1);
}

static uint64_t lost, doubled, torn, left, histories;

static void check_file(const char *name, uint32_t seen[RECORDS]) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    FILE *f = fopen(name, "r");
    while (f != NULL && (n = getline(&line, &cap, f)) > 0) {
        const char *at = strstr(line, "\"i\":");
        int i = at == NULL ? -1 : atoi(at + 4);
        bool whole = n > 2 && line[n - 1] == '\n' && line[n - 2] == '}' && line[0] == '{' && strstr(line + 1, "{\"ts\"") == NULL;
        if (!whole || i < 0 || i >= RECORDS) torn++;
        else if (seen[i]++ != 0) doubled++;
    }
    if (f != NULL) fclose(f);
    free(line);
}

static void check_all(const char *what, uint32_t k, uint32_t how, uint32_t j) {
    uint32_t seen[RECORDS] = {0};
    uint64_t before = lost + doubled + torn + left;
    check_file(path, seen);
    for (uint32_t i = 1; rotates; i++) {
        char name[600];
        snprintf(name, sizeof name, "%s.%09u", path, i);
        if (access(name, F_OK) != 0) break;
        check_file(name, seen);
    }
    for (uint64_t i = 0; i < common->returned; i++) lost += seen[i] == 0;
    left += files_in(rings);
    histories++;
    if (lost + doubled + torn + left != before && before < 5)
        fprintf(stderr, "%s: dead at step %u (%s), then at %u: lost %llu doubled %llu torn %llu left %llu\n", what, k,
                how == 0 ? "before" : how == 1 ? "behind" : "half a write", j, (unsigned long long)lost, (unsigned long long)doubled,
                (unsigned long long)torn, (unsigned long long)left);
}

static void clean(void) {
    char command[1200];
    common->returned = 0;
    snprintf(command, sizeof command, "rm -rf '%s'* '%s'", path, rings);
    if (system(command) != 0) exit(1);
}

static void histories_of(const char *name, uint32_t every, bool rotate, bool sync) {
    uint32_t deaths = 0;
    lost = doubled = torn = left = histories = 0;
    rotates = rotate;
    durable = sync;
    for (uint32_t how = 0; how < 3; how++)
        for (uint32_t k = 1;; k++) {
            clean();
            bool ended = child(true, k, how);
            if (!ended) CHECK(child(false, 0, 0));
            check_all("once", k, how, 0);
            if (ended && common->steps < k) break; /* there are no more steps */
            deaths++;
            for (uint32_t j = 1 + k % every; !ended; j += every) {
                clean();
                if (child(true, k, how)) break;
                bool whole = child(false, j, (how + j) % 3);
                if (!whole) CHECK(child(false, 0, 0));
                check_all("twice", k, how, j);
                if (whole && common->steps < j) break;
            }
        }
    printf("    %-20s %5u first deaths, %6llu histories: lost %llu, doubled %llu, torn %llu, files left %llu\n", name, deaths, (unsigned long long)histories,
           (unsigned long long)lost, (unsigned long long)doubled, (unsigned long long)torn, (unsigned long long)left);
    CHECK_EQ(lost + doubled + torn + left, 0);
    CHECK(histories > 50);
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    static const struct { const char *name; uint32_t every, all_every; bool rotates, durable, in_short; } list[] = {
        {"one file", 9, 1, false, false, true}, {"durable", 60, 3, false, true, true}, {"rotated", 900, 5, true, false, false}, {"rotated, durable", 0, 5, true, true, false}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof path, "%s", temp_path("calls.log"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-calls-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("calls-rings"));
    common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if ((all || list[i].in_short) && (only == NULL || strcmp(only, list[i].name) == 0))
            histories_of(list[i].name, all ? list[i].all_every : list[i].every, list[i].rotates, list[i].durable);
    if (shm) (void)rmdir(rings);
    return done();
}
