/* SIGKILL at every system call of the flusher and of recovery. A program logs a few batches and dies at its k-th system call on files,
 * before it, behind it, or in the middle of a write; the next start, or `metalog recover`, recovers and dies at its j-th; a third one
 * finishes. After each such
 * history every record whose call had returned stands in the file once, no line is torn, no file of the rings is left.
 *
 *   calls short|long [part] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the parent and its victims share. */
static struct {
    uint64_t returned;
    uint32_t steps, die_at, how; /* how: 0 before the call, 1 behind it, 2 a write of half */
    uint32_t armed;              /* counting has begun */
} *common;

static void step_at(uint32_t how) {
    if (!common->armed) return;
    if (how == 0) __atomic_fetch_add(&common->steps, 1, __ATOMIC_SEQ_CST);
    if (common->steps == common->die_at && common->how == how) kill(getpid(), SIGKILL), pause();
}

static ssize_t step_write(int fd, const void *p, size_t n) {
    step_at(0);
    if (common->armed && common->steps == common->die_at && common->how == 2) {
        if (n > 1 && write(fd, p, n / 2) < 0) _exit(9);
        kill(getpid(), SIGKILL), pause();
    }
    ssize_t r = write(fd, p, n);
    step_at(1);
    return r;
}
static int step_fdatasync(int fd) { step_at(0); int r = fdatasync(fd); step_at(1); return r; }
static int step_open(const char *p, int how, ...) {
    va_list list;
    va_start(list, how);
    mode_t mode = how & O_CREAT ? (mode_t)va_arg(list, int) : 0;
    va_end(list);
    step_at(0);
    int r = open(p, how, mode);
    step_at(1);
    return r;
}
static int step_ftruncate(int fd, off_t n) { step_at(0); int r = ftruncate(fd, n); step_at(1); return r; }
static int step_unlink(const char *p) { step_at(0); int r = unlink(p); step_at(1); return r; }
static int step_flock(int fd, int how) { step_at(0); int r = flock(fd, how); step_at(1); return r; }
static int step_fstat(int fd, struct stat *st) { step_at(0); int r = fstat(fd, st); step_at(1); return r; }
static ssize_t step_pwrite(int fd, const void *p, size_t n, off_t at) { step_at(0); ssize_t r = pwrite(fd, p, n, at); step_at(1); return r; }
static int step_fallocate(int fd, int mode, off_t at, off_t n) { step_at(0); int r = fallocate(fd, mode, at, n); step_at(1); return r; }
#define open(...) step_open(__VA_ARGS__)
#define fdatasync(...) step_fdatasync(__VA_ARGS__)
#define write step_write
#define ftruncate(...) step_ftruncate(__VA_ARGS__)
#define unlink(...) step_unlink(__VA_ARGS__)
#define flock(...) step_flock(__VA_ARGS__)
#define fstat(...) step_fstat(__VA_ARGS__)
#define pwrite(...) step_pwrite(__VA_ARGS__)
#define fallocate(...) step_fallocate(__VA_ARGS__)
#define METALOG_IMPLEMENTATION
#define METALOG_TOOL 2 /* without its main */
#include "../../metalog.h"
#undef open
#undef fdatasync
#undef write
#undef ftruncate
#undef unlink
#undef flock
#undef fstat
#undef pwrite
#undef fallocate

#include "../check.h"

enum { RECORDS = 60 };
static bool rotates, durable, by_tool; /* by_tool: `metalog recover` does it instead of the next start */
static char path[512], rings[512], note[600]; /* note: beside the log, names the place of its rings */

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

static uint64_t lost, doubled, torn, left, histories;

/* A child that logs (or only recovers) and dies at a step; true: it got to its end. */
static bool child(bool logs, uint32_t die_at, uint32_t how) {
    int status;
    common->steps = 0;
    common->die_at = die_at;
    common->how = how;
    pid_t pid = fork();
    if (pid == 0) {
        common->armed = 1;
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
    waitpid(pid, &status, 0);
    common->armed = 0;
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
    for (uint32_t i = 1; rotates; i++) {
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
}

static void histories_of(const char *name, uint32_t every, bool rotate, bool sync, bool tool) {
    uint32_t deaths = 0;
    lost = doubled = torn = left = histories = 0;
    rotates = rotate;
    durable = sync;
    by_tool = tool;
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
    static const struct { const char *name; uint32_t every, all_every; bool rotates, durable, tool, in_short; } list[] = {
        {"one file", 9, 1, false, false, false, true}, {"metalog recover", 21, 1, false, false, true, true},
        {"durable", 60, 3, false, true, false, true},
        {"rotated", 900, 5, true, false, false, false}, {"rotated, durable", 0, 5, true, true, false, false}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof path, "%s", temp_path("calls.log"));
    snprintf(note, sizeof note, "%s", temp_path(".calls.log.metalog"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-calls-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("calls-rings"));
    common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if ((all || list[i].in_short) && (only == NULL || strcmp(only, list[i].name) == 0))
            histories_of(list[i].name, all ? list[i].all_every : list[i].every, list[i].rotates, list[i].durable, list[i].tool);
    if (shm) (void)rmdir(rings);
    return done();
}
