/* Rotation by size, and durable files, seen from outside: the bytes of all files of a log together. System calls that rotation makes
 * can be made to fail, or to be the last one of the process. Each test logs in a process of its own. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- faults -- */

enum { F_NONE, F_OPEN, F_RENAME, F_SYNC, F_LIST, F_HOLD };
static int fault_at, fault_errno, fault_times; /* which call fails, with what; how often, -1: always */
static int kill_step, kill_now;                /* the process dies before its kill_step'th call; 0: never */
static int no_renameat2;                       /* a file system without it */
static int syncs, sync_of_new;                 /* fdatasync that was made; the first of each file */

static int fails(int which) {
    if (kill_step != 0 && ++kill_now == kill_step) (void)raise(SIGKILL);
    if (__atomic_load_n(&fault_at, __ATOMIC_ACQUIRE) != which || fault_times == 0) return 0;
    if (fault_times > 0) fault_times--;
    errno = fault_errno;
    return 1;
}
static int fault_open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    return (flags & O_CREAT) != 0 && fails(F_OPEN) ? -1 : open(path, flags, mode);
}
static int fault_fdatasync(int fd) {
    struct stat st;
    static ino_t last;
    __atomic_fetch_add(&syncs, 1, __ATOMIC_SEQ_CST);
    if (fstat(fd, &st) == 0 && st.st_ino != last) last = st.st_ino, sync_of_new++;
    return fails(F_SYNC) ? -1 : fdatasync(fd);
}
static int fault_fcntl(int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    void *p = va_arg(args, void *);
    va_end(args);
    if (command == F_SETLK && fails(F_HOLD)) return -1;
    return fcntl(fd, command, p);
}
static int fault_rename(const char *from, const char *to) { return fails(F_RENAME) ? -1 : rename(from, to); }
static long fault_renameat2(void) { return fails(F_NONE) || no_renameat2 || fault_at == F_RENAME ? -1 : __NR_renameat2; }
static int fault_unlinkat(int d, const char *name, int flags) { return fails(F_NONE) ? -1 : unlinkat(d, name, flags); }
static int fault_lstat(const char *path, struct stat *st) { return fails(F_NONE) ? -1 : lstat(path, st); }
static DIR *fault_opendir(const char *path) { return fails(F_LIST) ? NULL : opendir(path); }

#undef SYS_renameat2
#define SYS_renameat2 fault_renameat2()
#define open(...) fault_open(__VA_ARGS__)
#define fdatasync(fd) fault_fdatasync(fd)
#define fcntl(...) fault_fcntl(__VA_ARGS__)
#define rename(from, to) fault_rename(from, to)
#define unlinkat(d, name, flags) fault_unlinkat(d, name, flags)
#define lstat(path, st) fault_lstat(path, st)
#define opendir(path) fault_opendir(path)
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#undef open
#undef fdatasync
#undef fcntl
#undef rename
#undef unlinkat
#undef lstat
#undef opendir
#include "check.h"
#ifndef __has_feature
#define __has_feature(x) 0
#endif

static void begin_fault(int at, int error, int times) {
    fault_errno = error;
    fault_times = times;
    __atomic_store_n(&fault_at, at, __ATOMIC_RELEASE);
}

/* -- the log -- */

enum { FILES = 4000 };
static char dir[400], path[500]; /* of the present test */

static const char *in_dir(const char *name) {
    static char text[8][800];
    static unsigned next;
    char *p = text[next++ % 8];
    (void)snprintf(p, sizeof text[0], "%s/%s", dir, name);
    return p;
}

static void fresh(const char *name) {
    char command[900];
    (void)snprintf(dir, sizeof dir, "%s", temp_path(name));
    (void)snprintf(path, sizeof path, "%s/app.log", dir);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK(system(command) == 0 && mkdir(dir, 0777) == 0);
}

/* In a child, whose failed checks are ours; status: of its death by a signal, or 0. */
static int in_child(void (*run)(void)) {
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        check_failed = 0;
        run();
        fflush(stdout);
        _exit(check_failed != 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status)) CHECK_EQ(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) ? status : 0;
}

static void start(mlog_sink_config sink) {
    sink.type = MLOG_FILE;
    sink.name = "app";
    if (sink.path == NULL) sink.path = path;
    mlog_config c = {.env = "-", .full = MLOG_BLOCK, .sinks = {sink}};
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

static mlog_sink_stats stats(void) {
    mlog_sink_stats s = {0};
    CHECK(mlog_sink_stats_read("app", &s) == 0);
    return s;
}

static void say(int who, int from, int to, int flush_each) {
    for (int n = from; n < to; n++) {
        mlog_info("line", "who", who, "n", n);
        if (flush_each != 0 && n % flush_each == 0) CHECK(mlog_flush(60000) == 0);
    }
}

/* The numbered files in order, then the file itself. sizes: of the numbered ones, ended by -1. */
static char *all_text(long sizes[FILES], uint32_t numbers[FILES]) {
    struct dirent **list;
    char *text = calloc(1, 1);
    size_t len = 0;
    int n = scandir(dir, &list, NULL, alphasort), k = 0;
    for (int i = 0; i <= n; i++) {
        size_t more = 0;
        bool numbered = i < n && mlog__sink_number(list[i]->d_name, "app.log") != 0;
        char *part = i == n ? slurp(path, &more) : numbered ? slurp(in_dir(list[i]->d_name), &more) : NULL;
        struct stat st;
        if (numbered && stat(in_dir(list[i]->d_name), &st) == 0 && S_ISREG(st.st_mode) && k < FILES - 1) {
            if (numbers != NULL) numbers[k] = mlog__sink_number(list[i]->d_name, "app.log");
            if (sizes != NULL) sizes[k++] = (long)more;
        }
        if (part != NULL && (text = realloc(text, len + more + 1)) != NULL) memcpy(text + len, part, more), len += more;
        free(part);
        if (i < n) free(list[i]);
    }
    free(list);
    text[len] = 0;
    if (sizes != NULL) sizes[k] = -1;
    return text;
}

/* Each of a writer's records from 0 to count - 1 once and in order, whatever stands between them; how many are not so. */
static long wrong(const char *text, int who, int count) {
    char mark[40];
    long next = 0, bad = 0;
    int len = snprintf(mark, sizeof mark, "\"who\":%d,\"n\":", who);
    for (const char *p = text; (p = strstr(p, mark)) != NULL;) {
        char *end;
        long n = strtol(p += len, &end, 10);
        if (*end != '}') continue; /* torn: its record comes again */
        bad += n != next;
        next = n + 1;
    }
    return bad + labs(next - count);
}

static void expect_all(int writers, int count) {
    char *text = all_text(NULL, NULL);
    for (int w = 0; w < writers; w++) CHECK_EQ(wrong(text, w, count), 0);
    CHECK_EQ(lines(text, "\"who\":"), (long long)writers * count);
    free(text);
}

static int files(void) {
    long sizes[FILES];
    int n = 0;
    free(all_text(sizes, NULL));
    while (sizes[n] >= 0) n++;
    return n;
}

/* -- sizes, numbers, how many are kept -- */

static void log_sizes(void) {
    start((mlog_sink_config){.rotate_bytes = 10000, .rotate_keep = 900});
    say(0, 0, 3000, 7);
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(stats().written, 3000);
    CHECK_EQ(stats().errors, 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_tiny(void) { /* a record a file */
    start((mlog_sink_config){.rotate_bytes = 1, .rotate_keep = 900});
    say(0, 0, 50, 0);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_sizes(void) {
    long sizes[FILES];
    uint32_t numbers[FILES];
    fresh("sizes");
    (void)umask(022);
    CHECK_EQ(in_child(log_sizes), 0);
    expect_all(1, 3000);
    free(all_text(sizes, numbers));
    int n = 0;
    for (; sizes[n] >= 0; n++) {
        CHECK_EQ(numbers[n], n + 1);
        CHECK(sizes[n] <= 10000 && sizes[n] > 10000 - 7 * 200);
    }
    CHECK(n > 20);
    fresh("tiny");
    CHECK_EQ(in_child(log_tiny), 0);
    expect_all(1, 50);
    CHECK_EQ(files(), 49);
}

static int keep;
static void log_keep(void) {
    start((mlog_sink_config){.rotate_bytes = 4000, .rotate_keep = keep});
    say(0, 0, 1000, 5);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_keep(void) {
    for (keep = -1; keep <= 7; keep += 2) {
        fresh("keep");
        CHECK_EQ(in_child(log_keep), 0);
        CHECK_EQ(files(), keep < 0 ? 0 : keep);
        char *text = all_text(NULL, NULL); /* the end of the log without a gap */
        const char *first = strstr(text, "\"n\":");
        long from = first == NULL ? -1 : atol(first + 4), n = (long)lines(text, NULL);
        CHECK_EQ(from + n, 1000);
        free(text);
    }
    keep = 0;
    fresh("keep");
    CHECK_EQ(in_child(log_keep), 0);
    CHECK_EQ(files(), 5);
    uint32_t numbers[FILES];
    long sizes[FILES];
    free(all_text(sizes, numbers));
    uint32_t last = numbers[4];
    CHECK_EQ(in_child(log_keep), 0); /* a restart goes on */
    free(all_text(sizes, numbers));
    CHECK(numbers[0] > last && numbers[4] == numbers[0] + 4);
}

static void *talk(void *who) {
    say((int)(intptr_t)who, 0, 5000, 0);
    return NULL;
}
static void talk_in_threads(int first, int count) {
    pthread_t t[8];
    for (int i = 0; i < count; i++) CHECK(pthread_create(&t[i], NULL, talk, (void *)(intptr_t)(first + i)) == 0);
    for (int i = 0; i < count; i++) CHECK(pthread_join(t[i], NULL) == 0);
}
static void log_threads(void) { /* batches that are larger than a file */
    start((mlog_sink_config){.rotate_bytes = 16000, .rotate_keep = 990});
    talk_in_threads(0, 4);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_threads(void) {
    long sizes[FILES];
    fresh("threads");
    CHECK_EQ(in_child(log_threads), 0);
    expect_all(4, 5000);
    free(all_text(sizes, NULL));
    for (int i = 0; sizes[i] >= 0; i++) CHECK(sizes[i] <= 16000 && sizes[i] >= 13000);
}

/* -- what else is in the directory -- */

static void make(const char *name, const char *text) {
    FILE *f = fopen(in_dir(name), "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}
static bool holds(const char *name, const char *text) {
    char *got = slurp(in_dir(name), NULL);
    bool same = strcmp(got, text) == 0;
    free(got);
    return same;
}

static void test_neighbours(void) {
    static const char *const other[] = {"app.log.1", "app.log.20261120", "app.log.1763650000", "app.log.000000000", "app.log.00000001x",
                                        "app.logs.000000001", "xapp.log.000000001", "app.log.gz", "app.log."};
    fresh("neighbours");
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) make(other[i], other[i]);
    CHECK(mkdir(in_dir("app.log.000000004"), 0755) == 0 && symlink("app.log.1", in_dir("app.log.000000006")) == 0);
    CHECK(link(in_dir("app.log.1"), in_dir("app.log.000000005")) == 0);
    keep = 3;
    CHECK_EQ(in_child(log_keep), 0);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) CHECK(holds(other[i], other[i]));
    struct stat st;
    CHECK(stat(in_dir("app.log.000000004"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(access(in_dir("app.log.000000003"), F_OK) != 0); /* numbers go on behind the highest */
    CHECK_EQ(files(), 3);
}

/* -- errors -- */

static void settle(int ms) { /* longer than the pause behind an error */
    int64_t end = now_ms() + ms;
    while (now_ms() < end) sleep_ms(10);
}

static int error_at, error_number;
static void log_error(void) {
    start((mlog_sink_config){.rotate_bytes = 4000, .rotate_keep = 900});
    begin_fault(error_at, error_number, -1);
    say(0, 0, 300, 1);
    mlog_sink_stats s = stats();
    CHECK(s.errors >= 1 && s.errors < 20);
    CHECK_EQ(s.written, 300);
    begin_fault(F_NONE, 0, 0);
    settle(1000);
    say(0, 300, 600, 1);
    CHECK(stats().errors <= s.errors + 1);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_errors(void) {
    static const struct { int at, error; const char *says; } t[] = {
        {F_RENAME, EROFS, "is full and cannot be renamed: Read-only file system"}, {F_RENAME, EACCES, "cannot be renamed: Permission denied"},
        {F_OPEN, EMFILE, "Too many open files"}, {F_OPEN, ENOSPC, "No space left on device"}, {F_LIST, EACCES, "Permission denied"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        error_at = t[i].at, error_number = t[i].error;
        fresh("errors");
        CHECK_EQ(in_child(log_error), 0);
        expect_all(1, 600);
        CHECK(files() >= 5);
        char *text = all_text(NULL, NULL);
        CHECK_EQ(lines(text, "\"msg\":\"log file not rotated\""), 1);
        CHECK(strstr(text, t[i].says) != NULL);
        free(text);
    }
}

static void log_without_renameat2(void) {
    no_renameat2 = 1;
    log_sizes();
}
static void test_old_file_system(void) {
    fresh("old");
    CHECK_EQ(in_child(log_without_renameat2), 0);
    expect_all(1, 3000);
    CHECK(files() > 20);
    CHECK(mlog__sink_rename(in_dir("app.log.000000001"), in_dir("app.log.000000002")) == false && errno == EEXIST);
    no_renameat2 = 1;
    CHECK(mlog__sink_rename(in_dir("app.log.000000001"), in_dir("app.log.000000002")) == false && errno == EEXIST);
    no_renameat2 = 0;
    expect_all(1, 3000);
}

static void log_exhausted(void) { /* the last number is taken */
    start((mlog_sink_config){.rotate_bytes = 4000});
    CHECK(mkdir(in_dir("app.log.999999999"), 0755) == 0);
    say(0, 0, 100, 1);
    CHECK_EQ(files(), 0);
    CHECK(stats().errors >= 1);
    CHECK(rmdir(in_dir("app.log.999999999")) == 0);
    settle(1000);
    say(0, 100, 200, 1);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_unprivileged(void) { /* a directory that may not be written to */
    CHECK(chmod(dir, 0755) == 0);
    start((mlog_sink_config){.rotate_bytes = 4000});
    CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    say(0, 0, 200, 1);
    CHECK_EQ(stats().written, 200);
    CHECK(stats().errors >= 1);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_no_space(void) {
    if (mount("none", dir, "tmpfs", 0, "size=64k") != 0) return; /* not allowed here */
    start((mlog_sink_config){.rotate_bytes = 16000, .rotate_keep = 900});
    say(0, 0, 1000, 0);
    CHECK(mlog_flush(300) == -1);
    mlog_sink_stats s = stats();
    CHECK(s.errors >= 1 && s.errors < 10 && s.pending > 0 && s.written + s.pending == 1000);
    CHECK(mount("none", dir, "tmpfs", MS_REMOUNT, "size=4m") == 0);
    CHECK(mlog_flush(20000) == 0);
    CHECK(stats().written - 1000 <= 1); /* a warning, where rings lie beside the log: there is no room for them */
    expect_all(1, 1000);
    CHECK(files() >= 6);
    CHECK(mlog_shutdown(-1) == 0 && umount(dir) == 0);
}

static void test_real_errors(void) {
    fresh("space");
    CHECK_EQ(in_child(log_no_space), 0);
    fresh("exhausted");
    CHECK_EQ(in_child(log_exhausted), 0);
    expect_all(1, 200);
    CHECK(files() > 0);
    if (getuid() != 0) return;
    fresh("unprivileged");
    CHECK_EQ(in_child(log_unprivileged), 0);
    expect_all(1, 200);
    CHECK_EQ(files(), 0);
}

/* -- others rename, remove, take the name -- */

static void log_others(void) {
    struct stat st;
    start((mlog_sink_config){.rotate_bytes = 100000});
    say(0, 0, 10, 1);
    CHECK(rename(path, in_dir("app.log.000000001")) == 0); /* logrotate, mv: the next batch goes to a new file */
    say(0, 10, 20, 1);
    CHECK_EQ(file_lines(path, "who"), 10);
    CHECK(rename(path, in_dir("app.log.000000002")) == 0);
    mlog_reopen();
    say(0, 20, 30, 1);
    CHECK_EQ(file_lines(path, "who"), 10);
    CHECK(rename(path, in_dir("app.log.000000003")) == 0 && mkdir(path, 0755) == 0); /* the name is a directory: into the present one */
    say(0, 30, 40, 1);
    CHECK_EQ(file_lines(in_dir("app.log.000000003"), "who"), 20);
    uint64_t errors = stats().errors;
    CHECK(errors >= 1);
    CHECK(rmdir(path) == 0 && symlink("elsewhere", path) == 0);
    settle(300);
    say(0, 40, 50, 1);
    CHECK(access(in_dir("elsewhere"), F_OK) != 0 && stats().errors > errors);
    CHECK(unlink(path) == 0);
    make("other", "");
    CHECK(link(in_dir("other"), path) == 0); /* a file with two names */
    settle(600);
    say(0, 50, 60, 1);
    CHECK(holds("other", ""));
    CHECK(unlink(path) == 0);
    settle(1500);
    say(0, 60, 70, 1);
    CHECK_EQ(file_lines(path, "who"), 10);
    CHECK(stat(path, &st) == 0 && mlog__flush_all.sink[0].ino == st.st_ino && mlog1_instance.file[0][1] + mlog1_instance.file[1][1] == st.st_ino);
    CHECK_EQ(stats().written, 70 + 0);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_removed(void) {
    start((mlog_sink_config){.rotate_bytes = 100000});
    say(0, 0, 10, 1);
    CHECK(unlink(path) == 0);
    say(0, 10, 20, 1);
    CHECK_EQ(file_lines(path, "who"), 10);
    start((mlog_sink_config){0}); /* the control: who does not rotate does not look */
    CHECK(unlink(path) == 0);
    say(0, 20, 30, 1);
    CHECK(access(path, F_OK) != 0);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_relative(void) {
    CHECK(chdir(dir) == 0);
    start((mlog_sink_config){.path = "app.log", .rotate_bytes = 4000, .rotate_keep = 900});
    CHECK(chdir("/") == 0);
    say(0, 0, 200, 1);
    CHECK(access("/app.log", F_OK) != 0);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_others(void) {
    fresh("others");
    CHECK_EQ(in_child(log_others), 0);
    expect_all(1, 70);
    fresh("removed");
    CHECK_EQ(in_child(log_removed), 0);
    fresh("relative");
    CHECK_EQ(in_child(log_relative), 0);
    expect_all(1, 200);
    CHECK(files() > 3);
}

/* -- several processes -- */

static int first_who;
static void log_many(void) {
    start((mlog_sink_config){.rotate_bytes = 30000, .rotate_keep = 900});
    talk_in_threads(first_who, 2);
    CHECK(mlog_shutdown(-1) == 0);
}
static void log_without_locks(void) { /* a file system without them: still nothing is lost */
    begin_fault(F_HOLD, ENOLCK, -1);
    log_many();
}

static void log_child(void) { /* with the parent's sink */
    talk_in_threads(first_who, 2);
    CHECK(mlog_flush(60000) == 0);
}
static void log_family(void) {
    start((mlog_sink_config){.rotate_bytes = 30000, .rotate_keep = 900});
    pid_t pid = fork();
    first_who = pid == 0 ? 2 : 0;
    if (pid == 0) check_failed = 0;
    log_child();
    if (pid == 0) _exit(check_failed != 0);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK_EQ(status, 0);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_processes(void) {
#if __has_feature(thread_sanitizer) /* which refuses threads in the child of a process that has some */
    enum { FAMILIES = 1 };
#else
    enum { FAMILIES = 2 };
#endif
    for (int family = 0; family < FAMILIES; family++) {
        long sizes[FILES];
        int status = -1;
        fresh("processes");
        fflush(stdout);
        pid_t pid = family ? 0 : fork();
        if (!family && pid == 0) {
            first_who = 2, check_failed = 0;
            log_many();
            _exit(check_failed != 0);
        }
        first_who = 0;
        CHECK_EQ(in_child(family ? log_family : log_many), 0);
        while (!family && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        CHECK(family || status == 0);
        expect_all(4, 5000);
        free(all_text(sizes, NULL));
        int n = 0;
        for (; sizes[n] >= 0; n++) /* none was set aside before it was full */
            CHECK(sizes[n] > 10000);
        CHECK(n > 20);
        printf("two processes%s, 2 threads each: %d files, 20000 lines: 0 lost, 0 doubled\n", family ? " (parent and child)" : "", n);
    }
}

static void test_without_locks(void) {
    int status = -1;
    fresh("locks");
    fflush(stdout);
    pid_t pid = fork();
    first_who = pid == 0 ? 2 : 0;
    if (pid == 0) {
        check_failed = 0;
        log_without_locks();
        _exit(check_failed != 0);
    }
    CHECK_EQ(in_child(log_without_locks), 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK_EQ(status, 0);
    expect_all(4, 5000);
}

/* -- killed -- */

static struct { int covered, said; } *shared; /* lines that a returned mlog_flush covered; lines that were logged */

static void log_on(void) {
    start((mlog_sink_config){ .rotate_bytes = 3000, .rotate_keep = FILES});
    for (int i = 0; i < 60 || kill_step == 0; i++) { /* two rotations and more, or until it is killed */
        int n = shared->said;
        shared->said = n + 1; /* before: it may be written although the call did not return */
        mlog_info("line", "who", 0, "n", n);
        if (n % 3 == 0 && mlog_flush(60000) == 0) __atomic_store_n(&shared->covered, n + 1, __ATOMIC_SEQ_CST);
    }
}

/* No line that was covered is missing, none stands there twice, all are in order. */
static void check_killed(bool *have, int limit) {
    char *text = all_text(NULL, NULL);
    long last = -1;
    for (const char *p = text; (p = strstr(p, "\"who\":0,\"n\":")) != NULL;) {
        char *end;
        long n = strtol(p += 12, &end, 10);
        if (*end != '}' || n >= limit) continue;
        if (!CHECK(n > last && !have[n])) {
            const char *line = p;
            while (line > text && line[-1] != '\n') line--;
            printf("    %ld behind %ld%s: %.*s\n", n, last, have[n] ? ", doubled" : "", (int)strcspn(line, "\n"), line);
        }
        have[n] = true;
        last = n;
    }
    free(text);
}

static bool covered_at[200000];
static bool killed_once(int after_us) {
    fflush(stdout);
    int from = shared->said;
    shared->covered = from;
    pid_t pid = fork();
    if (pid == 0) {
        log_on();
        _exit(0);
    }
    if (after_us > 0) {
        struct timespec t = {0, (long)after_us * 1000};
        (void)nanosleep(&t, NULL);
        (void)kill(pid, SIGKILL);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    for (int n = from; n < shared->covered; n++) covered_at[n] = true;
    return WIFSIGNALED(status);
}

static void check_covered(const char *what, int kills) {
    static bool have[200000];
    memset(have, 0, sizeof have);
    check_killed(have, shared->said);
    int missing = 0, covered = 0;
    for (int n = 0; n < shared->said; n++) covered += covered_at[n], missing += covered_at[n] && !have[n];
    CHECK_EQ(missing, 0);
    CHECK(covered > 0);
    int n = files();
    printf("%s: %d kills, %d files, %d lines covered by a flush, %d of them missing, none doubled\n", what, kills, n, covered, missing);
}

static void test_killed(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(shared != MAP_FAILED)) return;
    int kills = 0;
    for (no_renameat2 = 0; no_renameat2 < 2; no_renameat2++) {
        fresh("killed");
        memset(shared, 0, sizeof *shared);
        memset(covered_at, 0, sizeof covered_at);
        for (kill_step = 1, kills = 0; killed_once(0); kill_step++) kills++; /* before each system call of rotation */
        CHECK(kills > 30);
        kill_step = 0;
        check_covered(no_renameat2 ? "killed before each system call, without renameat2" : "killed before each system call", kills);
    }
    no_renameat2 = 0;
    fresh("storm");
    memset(shared, 0, sizeof *shared);
    memset(covered_at, 0, sizeof covered_at);
    unsigned seed = 12345;
    for (kills = 0; kills < 60 && shared->said < 40000; kills++) CHECK(killed_once(2000 + rand_r(&seed) % 28000));
    check_covered("killed at random moments", kills);
}

/* -- durable -- */

static void log_durable(void) {
    start((mlog_sink_config){.durable = MLOG_YES});
    for (int n = 0; n < 20; n++) {
        int before = __atomic_load_n(&syncs, __ATOMIC_SEQ_CST);
        say(0, n, n + 1, 1);
        CHECK(__atomic_load_n(&syncs, __ATOMIC_SEQ_CST) > before);
    }
    begin_fault(F_SYNC, EIO, -1); /* what is not safe is not written */
    mlog_info("line", "who", 0, "n", 20);
    CHECK(mlog_flush(150) == -1);
    CHECK_EQ(stats().written, 20);
    CHECK(stats().errors >= 1 && stats().pending == 1);
    begin_fault(F_NONE, 0, 0);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(stats().written, 21);
    CHECK_EQ(files(), 1); /* one file was set aside, however often it failed */
    CHECK(file_lines(path, "\"n\":20}") >= 1);
    CHECK_EQ(file_lines(in_dir("app.log.000000001"), "who"), 21); /* the same lines, which may not be on the disk */
    int before = syncs;
    say(0, 21, 30, 1);
    CHECK(syncs >= before + 9);
    start((mlog_sink_config){0}); /* the control */
    before = syncs;
    begin_fault(F_SYNC, EIO, -1);
    say(0, 30, 40, 1);
    CHECK_EQ(syncs, before);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_durable_alone(void) { /* no new file can be had: the batch comes once more in the present one */
    start((mlog_sink_config){.durable = MLOG_YES});
    say(0, 0, 5, 1);
    CHECK(mkdir(in_dir("app.log.999999999"), 0755) == 0);
    begin_fault(F_SYNC, EIO, 1);
    say(0, 5, 6, 1);
    CHECK_EQ(file_lines(path, "\"n\":5}"), 2);
    say(0, 6, 10, 1);
    CHECK_EQ(file_lines(path, NULL), 11);
    CHECK_EQ(stats().written, 10);
    CHECK(mlog_shutdown(-1) == 0);
}

static void log_durable_rotating(void) {
    start((mlog_sink_config){.durable = MLOG_YES, .rotate_bytes = 4000, .rotate_keep = 900});
    say(0, 0, 200, 1);
    CHECK(sync_of_new > 5 && !mlog__flush_all.sink[0].unlisted);
    CHECK(mlog_shutdown(-1) == 0);
}

static void test_durable(void) {
    fresh("durable");
    CHECK_EQ(in_child(log_durable), 0);
    fresh("alone");
    CHECK_EQ(in_child(log_durable_alone), 0);
    fresh("rotating");
    CHECK_EQ(in_child(log_durable_rotating), 0);
    expect_all(1, 200);
}

/* -- what is refused -- */

static void refused(mlog_sink_config sink, const char *what) {
    mlog_config c = {.env = "-", .sinks = {sink}};
    CHECK(mlog_init(&c) == -1);
    if (!CHECK(strcmp(mlog_why(), what) == 0)) printf("    got  %s\n    want %s\n", mlog_why(), what);
}

static void log_refused(void) {
    refused((mlog_sink_config){.type = MLOG_CONSOLE, .rotate_bytes = 1}, "sink field rotate_bytes: given; expected a file sink with a path of its own");
    refused((mlog_sink_config){.type = MLOG_FILE, .path = "/dev/stderr", .rotate_bytes = 1},
            "sink field rotate_bytes: given; expected a file sink with a path of its own");
    refused((mlog_sink_config){.type = MLOG_NULL, .durable = MLOG_YES}, "sink field durable: given; expected a file sink");
    refused((mlog_sink_config){.type = MLOG_FILE, .path = path, .rotate_keep = 3},
            "sink field rotate_keep: given; expected rotate_bytes, which it is about");
    refused((mlog_sink_config){.type = MLOG_FILE, .path = path, .rotate_bytes = 1, .rotate_keep = -2},
            "sink field rotate_keep -2: expected -1 (none), 0 (5), or more");
    refused((mlog_sink_config){.type = MLOG_FILE, .path = path, .rotate_hours = 1}, "sink field rotate_hours: not part of this version; expected 0");
    CHECK(access(path, F_OK) != 0);
}

int main(void) {
    test_sizes();
    test_keep();
    test_threads();
    test_neighbours();
    test_errors();
    test_old_file_system();
    test_real_errors();
    test_others();
    test_processes();
    test_without_locks();
    test_killed();
    test_durable();
    fresh("refused");
    CHECK_EQ(in_child(log_refused), 0);
    return done();
}
