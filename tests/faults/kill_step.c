/* SIGKILL at every instruction. A parent single-steps a child (ptrace) that logs with rings in files. At every stop it copies these files
 * as they lie there, and recovers the copy, by the code that a start runs: as if the child had died at that instruction. Each call that
 * had returned must be in the log once, the one in progress once or not at all, whole and in order; then the log is put back as it was and
 * the child goes on. In `calls` the flusher is quiet and the records are in the rings only; in `flusher` it is the calling thread's, so
 * that it is killed at each of its instructions and system calls, too; in `start` the files are just being made.
 *
 *     kill_step short|long [PART]
 *
 * Where a step has changed no byte of the files, they are not recovered again; but in the long form of `calls` and `start` always. Prints per part: calls begun (attempted), those that had
 * returned at the last stop (written), stops, recoveries, laps of the ring, records that recoveries brought back, and what was lost,
 * doubled, torn, or left in the directory. x86-64 and aarch64 Linux. */
#define _GNU_SOURCE
#include <sys/file.h>

static int in_victim;
/* The victim has no lock on its log: to the recovery it is dead. */
static int step_flock(int fd, int how) { return in_victim && (how & LOCK_SH) != 0 ? 0 : flock(fd, how); }
#define flock(...) step_flock(__VA_ARGS__)
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#undef flock
#include "../check.h"
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#if defined(__x86_64__)
#define TRAP __asm__ volatile("int3")
#else
#define TRAP __asm__ volatile("brk #0")
#endif

/* What both see. rests: the victim does something that is not stepped through. */
static struct { volatile uint64_t begun, returned; volatile uint32_t rests, enough, finished; } *common;
static char log_path[512], victim_rings[512], copy_rings[512], filler[601];

/* ---- the victim: call number i, of kind i % KINDS, has "i" in its line ---- */

enum { KINDS = 12, BURST = 12 };
static mlog_logger *named;

#define SITE(n) case n: mlog_info("new site", "i", i, "k", 5); break;
#define SITES(n) SITE(n) SITE(n + 1) SITE(n + 2) SITE(n + 3) SITE(n + 4) SITE(n + 5) SITE(n + 6) SITE(n + 7)
static __attribute__((noinline)) void new_site(int i) {
    switch (i / KINDS % 64) { SITES(0) SITES(8) SITES(16) SITES(24) SITES(32) SITES(40) SITES(48) SITES(56) }
}

static void put(mlog_writer *w, const void *p) { mlog_put(w, "i", *(const int *)p); }

static __attribute__((noinline, format(printf, 1, 2))) void formatted(const char *format, ...) {
    va_list list;
    va_start(list, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, list);
    va_end(list);
}

static __attribute__((noinline)) void call(int i) {
    const mlog_field field[2] = {{"i", mlog_val(i)}, {"k", mlog_val("emitted")}};
    const mlog_event e = {.at = MLOG_HERE, .level = MLOG_INFO, .msg = "emitted", .fields = field, .nfields = 2};
    switch (i % KINDS) {
    case 0: mlog_info("plain", "i", i, "k", i * 3, "d", 0.5); break;
    case 1: mlog_info("text", "i", i, "k", "short", "t", "another text"); break;
    case 2: mlog_infof("\"i\":%d k %s", i, "words"); break;
    case 3: mlog_info("long", "i", i, "k", filler + 250 + i % 200); break;
    case 4: {
        mlog_with("i", i, "k", "context");
        mlog_info("inside");
        break;
    }
    case 5: new_site(i); break;
    case 6: mlog_to(named, MLOG_WARN, "bound", "i", i, "k", 1); break;
    case 7: mlog_emit(&e); break;
    case 8: mlog_info("object", "o", mlog_object(put, &i), "k", 2); break;
    case 9: formatted("\"i\":%d k %.3s", i, "formatted"); break;
    case 10: mlog_info("long", "i", i, "k", filler + 270 + i % 300, "d", 1.25f); break;
    default: mlog_info("long", "i", i, "k", filler + 250 + i % 50); break;
    }
}

/* What the line of call i holds, whichever thread and time. */
static bool is_line_of(const char *line, size_t n, int i) {
    static const char *const rest[KINDS] = {"\"msg\":\"plain\"", "\"k\":\"short\",\"t\":\"another text\"", "k words\"", "", "\"k\":\"context\"",
                                            "\"msg\":\"new site\"", "\"source\":\"net\"", "\"k\":\"emitted\"", "\"o\":{\"i\":", "k for\"", "\"d\":1.25", ""};
    char number[40];
    (void)snprintf(number, sizeof number, i % KINDS == 2 || i % KINDS == 9 ? "\\\"i\\\":%d k" : i % KINDS == 8 ? "\"i\":%d}" : "\"i\":%d", i);
    const char *at = memmem(line, n, number, strlen(number));
    if (at == NULL || (at[strlen(number)] >= '0' && at[strlen(number)] <= '9') || memmem(line, n, rest[i % KINDS], strlen(rest[i % KINDS])) == NULL) return false;
    if (i % KINDS != 3 && i % KINDS < 10) return true;
    const char *text = i % KINDS == 3 ? filler + 250 + i % 200 : i % KINDS == 10 ? filler + 270 + i % 300 : filler + 250 + i % 50;
    return memmem(line, n, text, strlen(text)) != NULL;
}

struct part {
    const char *name;
    bool flushes, start;
    mlog_flusher flusher;
    long stops[2], laps[2]; /* at least; short, long */
};
static const struct part parts[] = {{"calls", false, false, MLOG_POLL, {130000, 500000}, {3, 10}},
                                    {"flusher", true, false, MLOG_POLL, {130000, 500000}, {0, 10}},
                                    {"direct", false, false, MLOG_DIRECT, {100000, 400000}, {0, 2}},
                                    {"start", false, true, MLOG_POLL, {1, 1}, {0, 0}}};

static void trap(void) {
    common->rests = 0;
    TRAP;
}

static void victim(const struct part *part) {
    mlog_config c = {.env = "-", .ring_dir = victim_rings, .flusher = part->flusher, .full = MLOG_BLOCK, .ring_bytes = 4096,
                     .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    in_victim = 1;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
    common->rests = !part->start;
    raise(SIGSTOP);
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    named = mlog_bind(mlog_named("net"), "b", 1);
    if (!part->start) mlog_info("plain", "i", 0, "d", 0.5), common->begun = common->returned = 1, mlog_flush(1000), trap();
    for (int i = (int)common->begun; !common->enough; i++) {
        common->begun = (uint64_t)i + 1;
        call(i);
        common->returned = (uint64_t)i + 1;
        if (i % BURST != 0) continue;
        if (part->flushes) mlog_poll(0);
        common->rests = 1;
        (void)mlog_flush(1000);
        trap();
        if (part->start) break;
    }
    common->finished = 1;
    for (;;) pause();
}

/* ---- the files at one moment: for each its name, its size, and the ranges that may hold data ---- */

static struct { char *p; size_t len; } now;
enum { BLOB = 1 << 20, FILES = 16 };
static struct { char name[64]; int fd; off_t size; char *map; } file[FILES];
static int files;
static struct timespec files_at;

static void forget_files(void) {
    for (int i = 0; i < files; i++) {
        if (file[i].map != NULL) munmap(file[i].map, (size_t)file[i].size);
        close(file[i].fd);
    }
    files = 0;
}

/* The directory is looked at again when it has changed. */
static void look_for_files(void) {
    struct stat st;
    if (stat(victim_rings, &st) != 0) return;
    if (memcmp(&st.st_mtim, &files_at, sizeof files_at) != 0) {
        forget_files();
        DIR *dir = opendir(victim_rings);
        for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
            if (e->d_name[0] == '.' || files == FILES) continue;
            (void)snprintf(file[files].name, sizeof file[files].name, "%.63s", e->d_name);
            file[files].size = 0;
            file[files].map = NULL;
            if ((file[files].fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC)) >= 0) files++;
        }
        if (dir != NULL) closedir(dir);
        files_at = st.st_mtim;
    }
    for (int i = 0; i < files; i++) {
        if (fstat(file[i].fd, &st) != 0 || st.st_size == file[i].size) continue;
        if (file[i].map != NULL) munmap(file[i].map, (size_t)file[i].size);
        file[i].size = st.st_size;
        file[i].map = st.st_size == 0 ? NULL : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, file[i].fd, 0);
        if (file[i].map == MAP_FAILED) abort();
    }
}

/* Of a ring all bytes. Of a session what is used of its tables, and what comes behind that: the rest is untouched. */
static int ranges(int i, off_t range[4][2]) {
    const mlog__session *s = (const mlog__session *)(const void *)file[i].map;
    const off_t context = offsetof(mlog__session, context), dict = offsetof(mlog__session, dict);
    range[0][0] = 0;
    range[0][1] = file[i].size;
    if (file[i].map == NULL) return 0;
    if (file[i].size != (off_t)sizeof *s) return 1;
    range[0][1] = context;
    range[1][0] = context;
    range[1][1] = (off_t)MLOG__MIN(s->contexts + 1, UINT64_C(16)) * MLOG__CONTEXT_BYTES;
    range[2][0] = dict;
    range[2][1] = (off_t)MLOG__MIN(s->dict_end + 1024, UINT64_C(65536));
    range[3][0] = offsetof(mlog__session, move);
    range[3][1] = 1024;
    return 4;
}

static bool blob_room(size_t *at, const void *p, size_t n, bool copy) {
    bool same = *at + n <= now.len && memcmp(now.p + *at, p, n) == 0;
    if (copy && *at + n > BLOB) abort();
    if (copy) memcpy(now.p + *at, p, n);
    *at += n;
    return same || copy;
}

/* Compares the files with the copy, or copies them. */
static bool walk_files(bool copy) {
    size_t at = 0;
    bool same = true;
    for (int i = 0; i < files && same; i++) {
        off_t range[4][2];
        int n = ranges(i, range);
        same = blob_room(&at, file[i].name, sizeof file[i].name, copy) && blob_room(&at, &file[i].size, sizeof file[i].size, copy) &&
               blob_room(&at, &n, sizeof n, copy);
        for (int k = 0; k < n && same; k++)
            same = blob_room(&at, range[k], sizeof range[k], copy) && blob_room(&at, file[i].map + range[k][0], (size_t)range[k][1], copy);
    }
    if (copy) now.len = at;
    return same && at == now.len;
}

static const char *take(const char **p, size_t n) { return *p += n, *p - n; }

/* The same files in the other directory. */
static void lay_out(void) {
    for (const char *p = now.p; p < now.p + now.len;) {
        char path[600];
        off_t size, range[2];
        int n;
        (void)snprintf(path, sizeof path, "%s/%s", copy_rings, take(&p, sizeof file->name));
        memcpy(&size, take(&p, sizeof size), sizeof size);
        memcpy(&n, take(&p, sizeof n), sizeof n);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, size) != 0) abort();
        for (; n > 0; n--) {
            memcpy(range, take(&p, sizeof range), sizeof range);
            if (pwrite(fd, take(&p, (size_t)range[1]), (size_t)range[1], range[0]) != (ssize_t)range[1]) abort();
        }
        close(fd);
    }
}

/* ---- the judge ---- */

static struct { long stops, recoveries, laps; uint64_t lost, doubled, torn, left, recovered, calls; } sum;
static int log_fd;
static off_t verified;     /* up to here the log has been looked at, for good: */
static uint64_t verified_i; /* the calls before this one */
static char *text;
enum { TEXT = 4 << 20 };

/* What stands behind the verified part. Returns the number of the call that must come next. */
static uint64_t read_log(off_t *size) {
    ssize_t n = pread(log_fd, text, TEXT - 1, verified);
    uint64_t next = verified_i, wrong = sum.lost + sum.doubled + sum.torn;
    if (n < 0 || n == TEXT - 1) abort();
    text[n] = 0;
    *size = verified + n;
    for (const char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        size_t len = end == NULL ? 0 : (size_t)(end - line);
        bool whole = len > 2 && line[0] == '{' && end[-1] == '}' && memmem(line + 1, len - 1, "{\"ts\"", 5) == NULL;
        uint64_t i = next;
        while (whole && i < common->begun && !is_line_of(line, len, (int)i)) i++;
        if (whole && i < common->begun) {
            sum.lost += i - next;
            next = i + 1;
        } else {
            bool old = false;
            for (i = next; whole && i > 0 && i + 100 > next && !old; i--) old = is_line_of(line, len, (int)i - 1);
            if (old) sum.doubled++;
            else sum.torn++;
        }
        if (sum.lost + sum.doubled + sum.torn != wrong && wrong < 3)
            printf("    next %llu: %.*s\n", (unsigned long long)next, len == 0 ? 200 : (int)len, line), wrong += 3;
        if (end == NULL) break;
    }
    return next;
}

static void judge_stop(bool every) {
    off_t size, after;
    struct stat st;
    sum.stops++;
    look_for_files();
    if (fstat(log_fd, &st) != 0) abort();
    static uint64_t returned;
    static off_t last_size;
    bool same = !every && returned == common->returned && last_size == st.st_size && walk_files(false);
    if (same) return;
    (void)walk_files(true);
    returned = common->returned;
    last_size = size = st.st_size;
    if (files == 0) return;
    sum.recoveries++;
    lay_out();
    static char *kept;
    if (kept == NULL) kept = malloc(TEXT);
    if (size > verified && pread(log_fd, kept, (size_t)(size - verified), verified) != size - verified) abort();
    uint64_t count = mlog__recover_count, wrong = sum.lost + sum.doubled + sum.torn;
    mlog_sink *s = &mlog__flush_all.sink[0];
    s->last_time = 0;
    const char *place = mlog__store.dir;
    (void)mlog__recover_all(&place, 1, s, 1);
    sum.recovered += mlog__recover_count - count;
    uint64_t next = read_log(&after);
    if (next < returned) sum.lost += returned - next;
    if (sum.lost + sum.doubled + sum.torn != wrong && wrong < 5)
        printf("    stop %ld: %llu begun, %llu returned, %llu found\n", sum.stops, (unsigned long long)common->begun, (unsigned long long)returned,
               (unsigned long long)next);
    size_t left = files_in(copy_rings);
    if (left > 1) { /* the judge's own session is one */
        char command[700];
        if (sum.left == 0) printf("    stop %ld: %zu files left\n", sum.stops, left - 1);
        sum.left += left - 1;
        (void)snprintf(command, sizeof command, "find '%s' -type f ! -name '%llx.*' -delete", copy_rings, (unsigned long long)mlog__dict_session->id);
        if (system(command) != 0) abort();
    }
    if (size > verified && pwrite(log_fd, kept, (size_t)(size - verified), verified) != size - verified) abort();
    if (ftruncate(log_fd, size) != 0) abort();
}

/* The victim has flushed: what its log holds now stays. */
static void verify(void) {
    off_t size;
    verified_i = read_log(&size);
    if (verified_i < common->returned) sum.lost += common->returned - verified_i;
    verified = size;
}

static void look_at_laps(void) {
    mlog__ring head;
    for (int i = 0; i < files; i++)
        if (strstr(file[i].name, ".2.ring") != NULL && pread(file[i].fd, &head, sizeof head, 0) == (ssize_t)sizeof head)
            sum.laps = (long)(head.head / head.bytes);
}

static int resume(pid_t pid, int request) {
    int status = 0;
    if (ptrace((enum __ptrace_request)request, pid, NULL, NULL) != 0 || waitpid(pid, &status, __WALL) != pid) return -1;
    return status;
}

/* 77: not permitted. */
static int trace(const struct part *part, pid_t pid, bool all) {
    int status;
    if (waitpid(pid, &status, __WALL) != pid) return 1;
    if (!WIFSTOPPED(status)) return WEXITSTATUS(status);
    while (!common->finished) {
        bool rests = common->rests != 0;
        status = resume(pid, rests ? PTRACE_CONT : PTRACE_SINGLESTEP);
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
            printf("    status %x\n", (unsigned)status);
            return 1;
        }
#if defined(__aarch64__) /* over the trap */
        if (rests) {
            struct user_regs_struct r;
            struct iovec v = {&r, sizeof r};
            (void)ptrace(PTRACE_GETREGSET, pid, (void *)1, &v);
            r.pc += 4;
            (void)ptrace(PTRACE_SETREGSET, pid, (void *)1, &v);
        }
#endif
        if (rests) {
            look_for_files();
            look_at_laps();
            verify();
            if (sum.stops >= part->stops[all] && sum.laps >= part->laps[all]) common->enough = 1;
            continue;
        }
        if (!common->rests) judge_stop(all && !part->flushes && part->flusher == MLOG_POLL);
    }
    return 0;
}

static int run_part(const struct part *part, bool all) {
    memset(common, 0, sizeof *common);
    pid_t pid = fork();
    if (pid == 0) victim(part);
    mlog_config c = {.env = "-", .ring_dir = copy_rings, .flusher = MLOG_POLL, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    if (mlog_init(&c) != 0) printf("    %s\n", mlog_why());
    log_fd = open(log_path, O_RDWR | O_CLOEXEC);
    now.p = malloc(BLOB);
    text = malloc(TEXT);
    int64_t began = now_ms();
    int status = trace(part, pid, all);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    if (status == 77) return 77;
    CHECK_EQ(status, 0);
    CHECK_EQ(sum.lost + sum.doubled + sum.torn + sum.left, 0);
    CHECK(sum.stops >= part->stops[all] && sum.recoveries > 50 && sum.recovered > 0);
    CHECK(sum.laps >= part->laps[all]);
    printf("    %-8s %7llu attempted, %7llu written, %8ld stops, %7ld recoveries, %3ld laps: %9llu recovered, lost %llu, doubled %llu, torn %llu, files left %llu  %5.1f s\n",
           part->name, (unsigned long long)common->begun, (unsigned long long)common->returned, sum.stops, sum.recoveries, sum.laps, (unsigned long long)sum.recovered,
           (unsigned long long)sum.lost, (unsigned long long)sum.doubled, (unsigned long long)sum.torn, (unsigned long long)sum.left,
           (double)(now_ms() - began) / 1000);
    return 0;
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    char place[300], command[700];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* the two take turns: no need to wake another processor */
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("METALOG");
    for (size_t i = 0; i < sizeof filler - 1; i++) filler[i] = (char)('a' + i * 7 % 26);
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0;
    if (shm) (void)snprintf(place, sizeof place, "/dev/shm/metalog-kill_step-%d", getpid());
    else (void)snprintf(place, sizeof place, "%s", temp_path("kill_step"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (only != NULL && strcmp(only, parts[i].name) != 0) continue;
        (void)snprintf(command, sizeof command, "rm -rf '%s' && mkdir -m 700 '%s'", place, place);
        CHECK_EQ(system(command), 0);
        (void)snprintf(log_path, sizeof log_path, "%s/app.log", place);
        (void)snprintf(victim_rings, sizeof victim_rings, "%s/rings", place);
        (void)snprintf(copy_rings, sizeof copy_rings, "%s/copy", place);
        pid_t pid = fork(); /* a process of its own per part: what logs is no child of one that has logged */
        int status;
        if (pid == 0) {
            check_passed = check_failed = 0;
            int result = run_part(&parts[i], all);
            if (result == 77) _exit(77);
            fflush(stdout);
            _exit(check_failed != 0);
        }
        if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 77)) {
            printf("skip: ptrace is not permitted here\n");
            break;
        }
        CHECK_EQ(status, 0);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", place);
    CHECK_EQ(system(command), 0);
    return done();
}
