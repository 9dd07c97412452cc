/* Programs that are started while other threads log: by fork, vfork, a raw clone with and without the parent's memory, posix_spawn,
 * system and daemon. Nothing is lost, nothing doubled, and the new program has no descriptor of ours. This program is the one that is
 * started: "test_children fds N" ends with 0 when N descriptors beside 0, 1, 2 came along.
 * not under: tsan */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static char log_path[512], self[512], inherited[16];
static char *const command[] = {self, (char[]){"fds"}, inherited, NULL};
enum { THREADS = 3, ROUNDS = 12 };

static void say(int who, int from, int to) {
    for (int i = from; i < to; i++) mlog_info("said", "who", who, "n", i);
}

/* Descriptors above 2 that exec hands on (all: every one that is open). */
static int descriptors(int all) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        int fd = atoi(e->d_name);
        if (fd > 2 && fd != dirfd(d) && (all || (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)) n++;
    }
    if (d) (void)closedir(d);
    return n;
}

static int stop, count[THREADS];
static void *storm(void *number) {
    int me = *(int *)number;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        say(me, count[me], count[me] + 10);
        count[me] += 10;
        if (count[me] % 100 == 0) sleep_ms(1);
    }
    return NULL;
}

static void start(const char *name) {
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path(name));
    (void)unlink(log_path);
    mlog_config c = {.env = "-", .full = MLOG_BLOCK, .ring_bytes = 65536,
                     .sinks = {{.type = MLOG_FILE, .path = log_path}, {.name = "console", .type = MLOG_CONSOLE, .level = MLOG_FATAL}}};
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

/* ---- the ways; each says `lines` lines as 1000 + round, then starts the program; the status of its end ---- */

static int round_now;
static int waited(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

static int by_fork(void) {
    pid_t pid = fork();
    if (pid == 0) {
        say(1000 + round_now, 0, 20);
        if (mlog_flush(5000) != 0) _exit(9);
        (void)execv(self, command);
        _exit(8);
    }
    return waited(pid);
}
static int by_fork_only(void) { /* as shells do it: not one call in between */
    pid_t pid = fork();
    if (pid == 0) (void)execv(self, command), _exit(8);
    return waited(pid);
}
static int by_vfork(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        mlog_info("said", "who", 1000 + round_now, "n", 0); /* into the ring of its parent */
        (void)execv(self, command);
        _exit(8);
    }
    return waited(pid);
}
static int by_clone(void) {
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        say(1000 + round_now, 0, 20);
        if (mlog_flush(5000) != 0) _exit(9);
        (void)execv(self, command);
        _exit(8);
    }
    return waited(pid);
}
static int borrower(void *unused) {
    (void)unused;
    mlog_info("said", "who", 1000 + round_now, "n", 0);
    (void)execv(self, command);
    return 8;
}
static int by_clone_vm(void) { /* what posix_spawn is made of */
    static char stack[256 << 10] __attribute__((aligned(64)));
    return waited(clone(borrower, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
}
static int by_spawn(void) {
    pid_t pid = -1;
    return posix_spawn(&pid, self, NULL, NULL, command, environ) == 0 ? waited(pid) : -1;
}
static int by_system(void) {
    char line[600];
    (void)snprintf(line, sizeof line, "'%s' fds %s", self, inherited);
    return system(line);
}

static const struct {
    const char *name;
    int (*run)(void);
    int lines;
} ways[] = {{"fork", by_fork, 20}, {"fork, exec at once", by_fork_only, 0}, {"vfork", by_vfork, 1}, {"clone", by_clone, 20},
            {"clone with CLONE_VM", by_clone_vm, 1}, {"posix_spawn", by_spawn, 0}, {"system", by_system, 0}};

static void test_ways(size_t way) {
    int number[THREADS];
    long long all = 0;
    pthread_t t[THREADS];
    start("children.log");
    stop = 0;
    for (int i = 0; i < THREADS; i++) {
        number[i] = i, count[i] = 0;
        (void)pthread_create(&t[i], NULL, storm, &number[i]);
    }
#ifdef MLOG__SANITIZED /* its allocator has no fork handler: a child of a thread's first allocations waits for their lock for ever */
    sleep_ms(200);
#endif
    for (round_now = 0; round_now < ROUNDS; round_now++)
        if (!CHECK_EQ(ways[way].run(), 0)) printf("    %s, round %d\n", ways[way].name, round_now);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
    CHECK(mlog_flush(10000) == 0);
    char *text = slurp(log_path, NULL);
    for (int i = 0; i < THREADS; i++) {
        all += count[i];
        if (!CHECK_EQ(wrong_of(text, i, count[i]), 0)) printf("    %s\n", ways[way].name);
    }
    for (int i = 0; i < ROUNDS; i++)
        if (!CHECK_EQ(wrong_of(text, 1000 + i, ways[way].lines), 0)) printf("    %s, round %d\n", ways[way].name, i);
    CHECK_EQ(lines(text, NULL), all + ROUNDS * ways[way].lines);
    free(text);
}

/* A leak would be seen: a descriptor without close-on-exec makes the program fail. */
static void test_control(void) {
    int fd = open("/dev/null", O_RDONLY);
    CHECK(by_spawn() != 0);
    (void)close(fd);
    CHECK_EQ(by_spawn(), 0);
}

/* daemon(3) while others log, then every descriptor is closed and its number used by the host. */
static void test_daemon(void) {
    char done_path[512], own[64];
    (void)snprintf(done_path, sizeof done_path, "%s", temp_path("daemon.done"));
    (void)unlink(done_path);
    start("daemon-storm.log");
    CHECK(mlog_shutdown(5000) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static int number[THREADS] = {0, 1, 2};
        int opened[32], n = 0, bad = 0;
        pthread_t t;
        stop = 0;
        for (int i = 0; i < THREADS; i++) count[i] = 0, (void)pthread_create(&t, NULL, storm, &number[i]);
        say(500, 0, 2000);
        if (daemon(1, 1) != 0) _exit(7);
        for (int fd = 0; fd < 200; fd++) (void)close(fd);
        for (int i = 0; i < 32; i++) {
            (void)snprintf(own, sizeof own, "daemon.own.%d", i);
            opened[n++] = open(temp_path(own), O_RDWR | O_CREAT | O_TRUNC, 0600);
        }
        say(501, 0, 1000);
        if (mlog_flush(5000) != 0) bad = 1;
        struct stat st;
        for (int i = 0; i < n; i++)
            if (fstat(opened[i], &st) != 0 || st.st_size != 0) bad = 2;
        int fd = open(done_path, O_WRONLY | O_CREAT, 0600);
        _exit(write(fd, bad ? "bad" : "good", 4) == 4 ? 0 : 1);
    }
    CHECK_EQ(waited(pid), 0);
    for (int i = 0; i < 10000 && file_lines(done_path, NULL) == 0; i++) sleep_ms(1);
    CHECK_EQ(file_lines(done_path, "good"), 1);
    char *text = slurp(log_path, NULL);
    CHECK_EQ(wrong_of(text, 500, 2000), 0); /* said before daemon: its parent's handler brought it out */
    CHECK_EQ(wrong_of(text, 501, 1000), 0);
    for (int i = 0; i < THREADS; i++) { /* what they said while the parent left by _exit may be missing: at the end, and nowhere else */
        char who[32];
        (void)snprintf(who, sizeof who, "\"who\":%d,", i);
        CHECK_EQ(wrong_of(text, i, (long long)lines(text, who)), 0);
    }
    free(text);
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "fds") == 0) return descriptors(1) == atoi(argv[2]) ? 0 : 1;
    if (realpath("/proc/self/exe", self) == NULL) return 2;
    (void)snprintf(inherited, sizeof inherited, "%d", descriptors(0));
    test_control();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) test_ways(i);
    test_daemon();
    return done();
}
