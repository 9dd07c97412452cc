/* Storms of children: while some threads of a program log, others fork, clone without any handler of pthread_atfork, vfork, spawn, call
 * system() and make daemons that close everything; all children log to the same file, some are killed, some go on as another
 * program. Then the whole family is killed, or ends, and the next one starts, which recovers what is left.
 *
 *   family short|long [part]       prints what calls had returned, in memory that outlives everybody, and what the file has of it
 *
 * Of the parent's records none is written by a child, since none stands there twice; no program that was started finds a descriptor of
 * ours; a file of the host's that got the number of a descriptor that was closed gets none of our bytes. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include "../check.h"
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { SLOTS = 1 << 18, SPAWNERS = 2, KINDS = 6, ENDS = 5 };
typedef enum { FORK, CLONE, VFORK, SPAWN, SYSTEM, DAEMON } kind;
typedef enum { EXITS, FLUSHES, LEAVES, KILLED, EXECS } ending;
static const char *const ending_name[ENDS] = {"exit", "flush", "_exit", "killed", "exec"}, *const kind_name[KINDS] = {"fork", "clone", "vfork", "posix_spawn", "system", "daemon"};

typedef struct { uint64_t started, returned; } tally; /* of one thread of one process */
static struct {
    uint32_t slots, stop, leaks, hung, strange, made[KINDS], ended[ENDS];
    tally of[SLOTS];
} *common;

static char path[512], rings[512], host[512], self[512];
static int run_now, threads;
static unsigned kinds; /* a bit for each that this storm has */

static uint32_t random_next(uint32_t *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

static int new_slot(void) {
    uint32_t n = __atomic_fetch_add(&common->slots, 1, __ATOMIC_RELAXED);
    return n < SLOTS ? (int)n : -1;
}

static void talk(int who, uint32_t n) {
    tally *t = &common->of[who];
    for (uint32_t i = 0; i < n; i++) {
        uint64_t number = t->returned;
        __atomic_store_n(&t->started, number + 1, __ATOMIC_RELAXED);
        mlog_info("family", "who", who, "i", number, "text", "a text of some length: ......................................." + number % 40);
        __atomic_store_n(&t->returned, number + 1, __ATOMIC_RELAXED);
    }
}

static mlog_config config(void) {
    return (mlog_config){.env = "-", .ring_dir = rings, .full = MLOG_BLOCK, .full_ms = 20000, .exit_ms = 20000, .ring_bytes = 64 << 10,
                         .sinks = {{.type = MLOG_FILE, .path = path}}};
}

/* ---- the program that is started: what descriptors does it have? ---- */

static int look_at_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    int found = 0;
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char name[600], to[600];
        int fd = atoi(e->d_name);
        if (e->d_name[0] == '.' || fd <= 2 || fd == dirfd(dir)) continue;
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, to, sizeof to - 1);
        to[n < 0 ? 0 : n] = 0;
        found++;
        fprintf(stderr, "    a descriptor came through exec: %d, %s\n", fd, to);
    }
    if (dir != NULL) closedir(dir);
    return found == 0 ? 0 : 3;
}

/* ---- children ---- */

static void *chatter(void *slot) {
    int who = (int)(intptr_t)slot;
    while (!__atomic_load_n(&common->stop, __ATOMIC_RELAXED)) talk(who, 5), usleep(500);
    return NULL;
}

/* Logs, and ends in one of the ways. alone: only this thread was copied, and no lock of the C library was asked. */
static _Noreturn void live(ending end, uint32_t seed, bool alone) {
    int who = new_slot();
    pthread_t t;
    if (who < 0) _exit(0);
    if (end == KILLED && !alone && seed % 2 == 0) {
        int other = new_slot();
        if (other >= 0 && pthread_create(&t, NULL, chatter, (void *)(intptr_t)other) != 0) _exit(4);
    }
    talk(who, 1 + seed % 60);
    if (end == KILLED) usleep(seed % 3000), kill(getpid(), SIGKILL), pause();
    if (end == EXECS) execl(self, self, "descriptors", (char *)NULL), _exit(5);
    if (end == FLUSHES) _exit(mlog_flush(15000) == 0 ? 0 : 6);
    if (end == EXITS) exit(0);
    _exit(0);
}

/* As daemon(3), with a host that closes what it does not know and then opens files of its own. */
static _Noreturn void become_daemon(uint32_t seed) {
    char mine[600];
    int who = new_slot();
    if (who < 0) _exit(0);
    talk(who, seed % 20);
    pid_t pid = fork();
    if (pid != 0) _exit(pid < 0);
    (void)setsid();
    for (int fd = 0; fd < 1024; fd++) close(fd);
    snprintf(mine, sizeof mine, "%s/%d", host, who);
    for (int i = 0; i < 40; i++) {
        int fd = open(mine, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (write(fd, "host\n", 5) != 5) _exit(7);
    }
    live(seed % 3 == 0 ? EXITS : seed % 3 == 1 ? FLUSHES : KILLED, seed / 3, false);
}

/* Waits at most 20 s. The status, or -2: it hung. */
static int wait_for(pid_t pid) {
    int status = -1;
    for (int64_t until = now_ms() + 20000; now_ms() < until; usleep(300))
        if (waitpid(pid, &status, WNOHANG) == pid) return status;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -2;
}

static void expect(kind k, ending end, int status) {
    bool good = end == KILLED ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (good) return;
    bool leak = WIFEXITED(status) && WEXITSTATUS(status) == 3;
    __atomic_fetch_add(status == -2 ? &common->hung : leak ? &common->leaks : &common->strange, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "    %s, %s: status %x\n", kind_name[k], ending_name[end], (unsigned)status);
}

/* A vfork child: only what such a child may do, and it may log. Its records are its parent's. */
static pid_t borrow(int who, bool execs, uint32_t n) {
    pid_t pid = vfork();
    if (pid != 0) return pid;
    talk(who, n);
    if (execs) execl(self, self, "descriptors", (char *)NULL), _exit(5);
    _exit(0);
}

static pid_t spawn(void) {
    char name[] = "descriptors";
    char *const argv[] = {self, name, NULL}, *const env[] = {NULL};
    pid_t pid = -1;
    return posix_spawn(&pid, self, NULL, NULL, argv, env) == 0 ? pid : -1;
}

/* fork() of glibc holds the locks of malloc for its child. A raw clone beside it gets them locked, and the first thread of that child waits
 * for ever in pthread_create; that is the host's business, and not what is looked at here. */
static pthread_rwlock_t malloc_whole = PTHREAD_RWLOCK_INITIALIZER;

static pid_t raw_clone(void) {
    pthread_rwlock_wrlock(&malloc_whole);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid != 0) pthread_rwlock_unlock(&malloc_whole);
    return pid;
}

static pid_t plain_fork(void) {
    pthread_rwlock_rdlock(&malloc_whole);
    pid_t pid = fork();
    if (pid != 0) pthread_rwlock_unlock(&malloc_whole);
    return pid;
}

static void *spawner(void *slot) {
    int who = (int)(intptr_t)slot;
    uint32_t seed = (uint32_t)(run_now * 77 + who * 13 + 1);
    char command[600];
    snprintf(command, sizeof command, "exec '%s' descriptors", self);
    while (!__atomic_load_n(&common->stop, __ATOMIC_RELAXED)) {
        kind k = random_next(&seed) % KINDS;
        ending end = random_next(&seed) % ENDS;
        uint32_t more = random_next(&seed);
        pid_t pid = -1;
        if ((kinds >> k & 1) == 0) continue;
        talk(who, 1 + more % 8);
        if (k == FORK && (pid = plain_fork()) == 0) live(end, more, false);
        if (k == CLONE && (pid = raw_clone()) == 0) live(end == EXITS ? FLUSHES : end, more, true);
        if (k == VFORK) pid = borrow(who, end == EXECS, 1 + more % 3);
        if (k == SPAWN) pid = spawn();
        if (k == DAEMON && (pid = plain_fork()) == 0) become_daemon(more);
        if (k == SYSTEM) expect(k, EXECS, system(command));
        else if (pid < 0) break;
        else expect(k, k > CLONE ? EXITS : end, wait_for(pid));
        __atomic_fetch_add(&common->made[k], 1, __ATOMIC_RELAXED);
        if (k <= CLONE) __atomic_fetch_add(&common->ended[end], 1, __ATOMIC_RELAXED);
        talk(who, 1);
    }
    return NULL;
}

/* The first of a family. */
static void head(void) {
    mlog_config c = config();
    pthread_t t[16];
    int n = 0;
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    for (; n < threads; n++)
        if (pthread_create(&t[n], NULL, n < SPAWNERS ? spawner : chatter, (void *)(intptr_t)new_slot()) != 0) _exit(4);
    for (int i = 0; i < n; i++) pthread_join(t[i], NULL);
    exit(0);
}

/* ---- storms ---- */

/* All descendants end: those who left us came back to this process. */
static bool wait_for_all(void) {
    int64_t until = now_ms() + 40000;
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) >= 0;) {
        if (pid == 0) usleep(500);
        if (now_ms() > until) return false;
    }
    return true;
}

static void one_family(uint32_t *seed) {
    int status = 0;
    bool ends = run_now % 3 == 2;
    common->stop = 0;
    uint32_t first = common->slots;
    pid_t pid = fork();
    if (pid == 0) (void)setpgid(0, 0), head();
    (void)setpgid(pid, pid);
    for (int i = 0; run_now % 4 != 0 && i < 5000 && __atomic_load_n(&common->of[first].returned, __ATOMIC_RELAXED) < 20; i++) usleep(200);
    usleep(random_next(seed) % 60000 + (ends ? 50000 : 0));
    common->stop = ends;
    if (!ends) kill(-pid, SIGKILL);
    if (ends) status = wait_for(pid);
    else waitpid(pid, &status, 0);
    if (!CHECK(ends ? status == 0 : WIFSIGNALED(status))) printf("    run %d: status %x\n", run_now, (unsigned)status);
    common->stop = 1;
    CHECK(wait_for_all());
}

static void last_recovery(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        mlog_config c = config();
        exit(mlog_init(&c) != 0 || mlog_shutdown(20000) != 0);
    }
    CHECK_EQ(wait_for(pid), 0);
}

static struct { uint64_t attempted, returned, written, recovered, lost, doubled, dropped, torn, strange, host; } all;

/* The numbers of a line. False: it is torn. */
static bool parse(const char *line, size_t n, unsigned *who, unsigned long long *i) {
    const char *at = strstr(line, "\"who\":");
    if (n < 2 || line[0] != '{' || line[n - 2] != '}' || at == NULL) return false;
    return sscanf(at, "\"who\":%u,\"i\":%llu,\"text\":\"", who, i) == 2;
}

static void count_lines(uint8_t **seen) {
    char *line = NULL;
    size_t cap = 0;
    unsigned who;
    unsigned long long i;
    FILE *f = fopen(path, "r");
    for (ssize_t n; f != NULL && (n = getline(&line, &cap, f)) > 0;) {
        if (strstr(line, "records dropped") != NULL) all.dropped++, printf("    %s", line);
        if (strspn(line, " \n") == (size_t)n || strstr(line, "records dropped") != NULL) continue;
        const char *whole = line, *next; /* behind a torn line without an end */
        while ((next = strstr(whole + 1, "{\"ts\":\"")) != NULL) whole = next;
        if (whole != line && strspn(line, " ") != (size_t)(whole - line) && all.torn++ < 2) printf("    torn: %s", line);
        n -= whole - line;
        if (!parse(whole, (size_t)n, &who, &i)) {
            if (all.torn++ < 2) printf("    torn: %s", line);
        } else if (who >= common->slots || i >= common->of[who].started) all.strange++, printf("    strange: %s", line);
        else {
            all.recovered += strstr(line, "\"recovered\":true") != NULL;
            if (seen[who] == NULL) seen[who] = calloc(common->of[who].started, 1);
            if (seen[who][i]++ == 0) all.written++;
            else if (all.doubled++ < 2) printf("    doubled: %s", line);
        }
    }
    if (f != NULL) fclose(f);
    free(line);
}

static void count_all(void) {
    uint8_t **seen = calloc(SLOTS, sizeof *seen);
    memset(&all, 0, sizeof all);
    count_lines(seen);
    for (uint32_t who = 0; who < common->slots && who < SLOTS; who++) {
        const tally *t = &common->of[who];
        all.attempted += t->started;
        all.returned += t->returned;
        for (uint64_t i = 0; i < t->returned; i++)
            if ((seen[who] == NULL || seen[who][i] == 0) && all.lost++ < 3)
                printf("    lost: slot %u, record %llu of %llu\n", who, (unsigned long long)i, (unsigned long long)t->returned);
        free(seen[who]);
    }
    free(seen);
}

/* Files of the hosts that closed our descriptors: nothing in them is ours. */
static void count_hosts(void) {
    DIR *dir = opendir(host);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char name[800];
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", host, e->d_name);
        size_t n, right = 0;
        char *text = slurp(name, &n);
        while (strncmp(text + right, "host\n", 5) == 0) right += 5;
        if (right != n && all.host++ < 2) printf("    in the host's file: %.200s\n", text + right);
        free(text);
    }
    if (dir != NULL) closedir(dir);
}

static void clean(void) {
    char command[2200];
    snprintf(command, sizeof command, "rm -rf '%s' '%s' '%s'; mkdir '%s'", path, rings, host, host);
    CHECK_EQ(system(command), 0);
}

static void storm(const char *name, int runs, unsigned of, int many) {
    uint32_t seed = 12345 + of;
    kinds = of;
    threads = many;
    clean();
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (run_now = 0; run_now < runs; run_now++) one_family(&seed);
    last_recovery();
    count_all();
    count_hosts();
    uint32_t children = 0;
    for (int k = 0; k < KINDS; k++) children += common->made[k];
    printf("    %-22s %4d families, %5u children (%u killed, %u exec): attempted %llu, returned %llu, written %llu, recovered %llu, lost %llu, doubled %llu, dropped %llu, torn %llu\n",
           name, runs, children, common->ended[KILLED], common->ended[EXECS], (unsigned long long)all.attempted, (unsigned long long)all.returned,
           (unsigned long long)all.written, (unsigned long long)all.recovered, (unsigned long long)all.lost, (unsigned long long)all.doubled,
           (unsigned long long)all.dropped, (unsigned long long)all.torn);
    CHECK_EQ(all.lost + all.doubled + all.dropped + all.torn + all.strange, 0);
    CHECK_EQ(all.host, 0);
    CHECK_EQ(common->leaks + common->hung + common->strange, 0);
    CHECK_EQ(files_in(rings), 0);
    CHECK(common->slots < SLOTS && children > 0 && all.written > 0);
    (void)munmap(common, sizeof *common);
    clean();
}

int main(int argc, char **argv) {
    bool whole = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    if (argc > 1 && strcmp(argv[1], "descriptors") == 0) return look_at_descriptors();
    for (int fd = 3; fd < 256; fd++) close(fd); /* what whoever started us has left open */
    static const struct { const char *name; int runs, long_runs; unsigned kinds; int threads; } list[] = {
        {"fork", 3, 100, 1u << FORK, 4},     {"clone", 3, 100, 1u << CLONE, 4},
        {"vfork", 3, 60, 1u << VFORK, 4},    {"spawn, system", 3, 60, 1u << SPAWN | 1u << SYSTEM, 4},
        {"daemon", 3, 100, 1u << DAEMON, 4}, {"all of them", 9, 400, (1u << KINDS) - 1, 8}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    snprintf(path, sizeof path, "%s", temp_path("family.log"));
    snprintf(host, sizeof host, "%s", temp_path("family-host"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-family-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("family-rings"));
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (only == NULL || strcmp(only, list[i].name) == 0)
            storm(list[i].name, whole ? list[i].long_runs : list[i].runs, list[i].kinds, list[i].threads);
    if (shm) (void)rmdir(rings);
    return done();
}
