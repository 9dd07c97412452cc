/* SIGKILL at every system call of the flusher, of rotation and of recovery. A program logs a few batches and dies at its k-th system call,
 * before it, behind it, or in the middle of a write; the next start, or `metalog recover`, recovers and dies at its j-th; a third one finishes. After each such
 * history every record whose call had returned stands in the files once, no line is torn, no file of the rings is left.
 *
 *   calls short|long [part]
 *
 * The parent sees each call of each thread by ptrace: those that the C library makes are among them. Waiting, the clock and masks of signals
 * are no steps: they change nothing that stays. At the end: which calls were steps. */
#define METALOG_IMPLEMENTATION
#define METALOG_TOOL 2 /* without its main */
#include "../../metalog.h"
#include "../check.h"
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* What the parent and its victims share. */
static struct {
    uint64_t returned;
    uint32_t steps, die_at, died_at, how; /* how: 0 before the call, 1 behind it, 2 a write of half */
} *common;

enum { RECORDS = 60, OLD = 5 }; /* OLD: files of former rotations that stand there, for ours to be deleted last */
static bool rotates, durable, by_tool; /* by_tool: `metalog recover` does it instead of the next start */
static char path[512], rings[512], note[600]; /* note: beside the log, names the place of its rings */
static uint64_t lost, doubled, torn, left, histories;

static int start(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .full = MLOG_BLOCK, .ring_bytes = 4096, .sinks = {{.type = MLOG_FILE, .path = path}}};
    if (rotates) c.sinks[0].rotate_bytes = 3000, c.sinks[0].rotate_keep = 8;
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
static bool halve(pid_t tid, const struct __ptrace_syscall_info *info) {
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
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return false;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) return tid == *dying;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_step((long)info.entry.nr)) return false;
    met[info.entry.nr]++;
    if (++common->steps < common->die_at || common->died_at != 0 || (common->how == 2 && !halve(tid, &info))) return false; /* the next write */
    common->died_at = common->steps;
    if (common->how != 0) *dying = tid;
    return common->how == 0;
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
    common->steps = common->died_at = 0;
    common->die_at = die_at == 0 ? UINT32_MAX : die_at;
    common->how = how;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(5);
        (void)raise(SIGSTOP);
        if (!logs && by_tool) { /* its output says how many */
            char *words[] = {(char[]){"metalog"}, (char[]){"recover"}, path, NULL};
            if (access(path, F_OK) != 0) exit(0); /* it did not come to log anything */
            if (freopen("/dev/null", "w", stdout) == NULL) _exit(5);
            exit(mlog__tool_run(3, words));
        }
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
    if (by_tool && !logs && WIFEXITED(status) && WEXITSTATUS(status) == 3) return left++, true; /* it says that records stay */
    fprintf(stderr, "step %u how %u: status 0x%x\n", die_at, how, (unsigned)status);
    exit(1);
}

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
    for (uint32_t i = OLD + 1; rotates; i++) {
        char name[600];
        snprintf(name, sizeof name, "%s.%09u", path, i);
        if (access(name, F_OK) != 0) break;
        check_file(name, seen);
    }
    for (uint64_t i = 0; i < common->returned; i++) lost += seen[i] == 0;
    if (!by_tool) left += files_in(rings) + (access(note, F_OK) == 0); /* what nobody promised anything in, a start removes */
    histories++;
    if (lost + doubled + torn + left != before && before < 5)
        fprintf(stderr, "%s: dead at step %u (%s), then at %u: lost %llu doubled %llu torn %llu left %llu\n", what, k,
                how == 0 ? "before" : how == 1 ? "behind" : "half a write", j, (unsigned long long)lost, (unsigned long long)doubled,
                (unsigned long long)torn, (unsigned long long)left);
}

static void clean(void) {
    char command[1800];
    common->returned = 0;
    snprintf(command, sizeof command, "rm -rf '%s'* '%s' '%s'", path, rings, note);
    if (system(command) != 0) exit(1);
    for (int i = 1; rotates && i <= OLD; i++) {
        snprintf(command, sizeof command, "%s.%09d", path, i);
        int fd = open(command, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || close(fd) != 0) exit(1);
    }
}

static void tell_calls(void) {
    static const struct { int number; const char *name; } names[] = {
        {SYS_write, "write"}, {SYS_pwrite64, "pwrite"}, {SYS_openat, "open"}, {SYS_close, "close"}, {SYS_ftruncate, "ftruncate"}, {SYS_fallocate, "fallocate"},
        {SYS_flock, "flock"}, {SYS_fcntl, "fcntl"}, {SYS_renameat2, "renameat2"}, {SYS_unlinkat, "unlinkat"}, {SYS_fdatasync, "fdatasync"}, {SYS_fsync, "fsync"},
        {SYS_pread64, "pread"}, {SYS_getdents64, "getdents"}, {SYS_mmap, "mmap"}, {SYS_munmap, "munmap"}, {SYS_madvise, "madvise"}, {SYS_fchmod, "fchmod"},
#ifdef SYS_unlink
        {SYS_unlink, "unlink"}, {SYS_mkdir, "mkdir"}, {SYS_rename, "rename"},
#endif
#ifdef SYS_newfstatat
        {SYS_newfstatat, "fstat"},
#endif
        {SYS_clone3, "clone"}};
    uint64_t others = 0;
    for (size_t i = 0; i < sizeof met / sizeof *met; i++) others += met[i];
    printf("      steps:");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (met[names[i].number] != 0) printf(" %s %llu", names[i].name, (unsigned long long)met[names[i].number]), others -= met[names[i].number];
    printf(" others %llu\n", (unsigned long long)others);
}

/* each: every so-and-so-many steps are died at; again: and in recovery, 0: in none. */
static void histories_of(const char *name, uint32_t each, uint32_t again, bool rotate, bool sync, bool tool) {
    uint32_t deaths = 0;
    lost = doubled = torn = left = histories = 0;
    memset(met, 0, sizeof met);
    rotates = rotate;
    durable = sync;
    by_tool = tool;
    for (uint32_t how = 0; how < 3; how++)
        for (uint32_t k = 1 + how % each; ; k += each) {
            clean();
            bool ended = child(true, k, how);
            k = ended ? k : common->died_at;
            if (!ended) CHECK(child(false, 0, 0));
            check_all("once", k, how, 0);
            if (ended) break; /* there are no more steps */
            deaths++;
            for (uint32_t j = 1 + k % (again + 1); again != 0; j += again) {
                clean();
                if (child(true, k, how)) break;
                bool whole = child(false, j, (how + j) % 3);
                if (!whole) CHECK(child(false, 0, 0));
                check_all("twice", k, how, j);
                if (whole) break;
            }
        }
    printf("    %-20s %5u first deaths, %6llu histories: lost %llu, doubled %llu, torn %llu, files left %llu\n", name, deaths, (unsigned long long)histories,
           (unsigned long long)lost, (unsigned long long)doubled, (unsigned long long)torn, (unsigned long long)left);
    tell_calls();
    CHECK(histories > 10);
    CHECK(met[SYS_write] != 0 && met[SYS_flock] != 0 && (!rotate || (met[SYS_renameat2] != 0 && met[SYS_unlinkat] != 0 && met[SYS_fcntl] != 0)));
    CHECK_EQ(lost + doubled + torn + left, 0);
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    static const struct { const char *name; uint32_t each, again, long_again; bool rotates, durable, tool; } list[] = {
        {"one file", 6, 130, 6, false, false, false}, {"metalog recover", 21, 130, 6, false, false, true}, {"durable", 15, 0, 30, false, true, false},
        {"rotated", 12, 0, 30, true, false, false}, {"rotated, durable", 90, 0, 60, true, true, false}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof path, "%s", temp_path("calls.log"));
    snprintf(note, sizeof note, "%s", temp_path(".calls.log.metalog"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-calls-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("calls-rings"));
    common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (only == NULL || strcmp(only, list[i].name) == 0)
            histories_of(list[i].name, all ? 1 : list[i].each, all ? list[i].long_again : list[i].again, list[i].rotates, list[i].durable, list[i].tool);
    if (shm) (void)rmdir(rings);
    return done();
}
