/* Ring files written over, truncated, or without room on the disk, while a program logs into them. A victim logs with some threads; the
 * parent, as another process of the same user, damages its files. The victim must live, its calls must return, its lines must be whole;
 * what is missing must be told in the log, and where nobody disturbs any more, records must arrive again.
 *
 *     hostile short|long [PART]
 *
 * filled: garbage, random bits and zeros anywhere in the rings. session: the same in the session file. truncated: with catch_fatal, each
 * file is cut to nothing or to a part; without it the victim dies by SIGBUS, as the manual says. full: a small file system (needs root) is
 * filled behind the start, then threads, sites and contexts are new: no SIGBUS, and after a SIGKILL all comes back. Prints calls attempted,
 * records written, reports of damage, torn lines. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include "../check.h"
#include <sys/mount.h>
#include <sys/wait.h>

enum { THREADS = 3 };
static struct { volatile uint64_t calls[THREADS], quiet, stop, ended; } *common;
static char log_path[512], rings[512], place[300];
static mlog_choice catches;

static void put(mlog_writer *w, const void *p) { mlog_put(w, "x", *(const int *)p); }

static void log_one(int i) {
    static const double list[] = {1.5, 2.5};
    mlog_info("plain", "i", i, "d", 0.25);
    mlog_warnf("printf %d %s", i, "words");
    mlog_info("values", "list", mlog_array(list, 2), "o", mlog_object(put, &i), "s", "text \"quoted\"");
    mlog_with("context", i, "text", "of it");
    mlog_to(mlog_named("net"), MLOG_NOTICE, "inside", "t", "some text of some length that fills the ring");
}

static void *chatter(void *arg) {
    uintptr_t t = (uintptr_t)arg;
    for (int i = 0; !common->stop; i++) {
        log_one(i);
        common->calls[t]++;
        if (i % 16 == 0) usleep(100);
    }
    return NULL;
}

static void victim(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .ring_bytes = 8192, .catch_fatal = catches, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    pthread_t id[THREADS];
    mlog_stats stats;
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    for (uintptr_t t = 0; t < THREADS; t++) pthread_create(&id[t], NULL, chatter, (void *)t);
    for (int t = 0; t < THREADS; t++) pthread_join(id[t], NULL);
    (void)mlog_flush(2000);
    mlog_stats_read(&stats);
    for (int i = 0; i < 20; i++) mlog_info("at the end", "n", i, "errors", stats.sink_errors);
    (void)mlog_flush(2000);
    common->ended = 1;
    _exit(0);
}

/* ---- what the parent does to its files ---- */

static uint32_t random_now = 4711;
static uint32_t any(uint32_t n) { return random_now = random_now * 1664525u + 1013904223u, (uint32_t)((uint64_t)random_now * n >> 32); }

static void damage(int fd, off_t size) {
    static unsigned char bytes[4096];
    uint32_t what = any(8), n = what < 3 ? 8 : 1 + any(sizeof bytes - 1);
    off_t at = what % 2 ? (off_t)any(1024) : (off_t)any((uint32_t)size);
    bool session = size == (off_t)sizeof(mlog__session);
    if (session && what % 3 == 0) at = (off_t)offsetof(mlog__session, dict) + (off_t)any(16384);
    if (session && what % 3 == 1) at = (off_t)offsetof(mlog__session, context) + (off_t)any(65536);
    if (at + (off_t)n > size) n = (uint32_t)(size - at);
    for (uint32_t i = 0; i < n; i++) bytes[i] = what == 4 ? 0 : what == 5 ? 255 : (unsigned char)any(256);
    if (what == 6 && !session) n = 8, at = any(2) ? (off_t)offsetof(mlog__ring, head) : (off_t)offsetof(mlog__ring, tail);
    if (what == 7 && pread(fd, bytes, 1, at) == 1) bytes[0] ^= (unsigned char)(1u << any(8)), n = 1;
    (void)!pwrite(fd, bytes, n, at);
}

/* Each file of the directory once. */
static void each_file(bool session, bool cut) {
    DIR *dir = opendir(rings);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct stat st;
        bool is = strstr(e->d_name, ".session") != NULL;
        if (e->d_name[0] == '.' || is != session) continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && cut) (void)!ftruncate(fd, any(2) ? 0 : (off_t)any(9000));
        else if (fd >= 0 && st.st_size > 0) damage(fd, st.st_size);
        if (fd >= 0) close(fd);
    }
    if (dir != NULL) closedir(dir);
}

static uint64_t calls(void) {
    uint64_t n = 0;
    for (int t = 0; t < THREADS; t++) n += common->calls[t];
    return n;
}

/* Garbage may be in any text, and colour no terminal here; but a line is a JSON object to its end, and nothing is in two lines. */
static void look_at_log(uint64_t *written, uint64_t *told, uint64_t *torn, uint64_t *last) {
    size_t n;
    char *text = slurp(log_path, &n);
    for (const char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (end == NULL) {
            ++*torn;
            break;
        }
        size_t len = (size_t)(end - line);
        *torn += len < 3 || line[0] != '{' || end[-1] != '}' || memmem(line + 1, len - 1, "{\"ts\"", 5) != NULL;
        *told += memmem(line, len, "ring damaged: ", 14) != NULL || memmem(line, len, "was truncated", 13) != NULL;
        *last += memmem(line, len, "\"msg\":\"at the end\"", 18) != NULL;
        ++*written;
    }
    free(text);
}

static pid_t start(void) {
    char command[1100];
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", log_path, rings);
    CHECK_EQ(system(command), 0);
    memset(common, 0, sizeof *common);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) victim();
    for (int i = 0; i < 5000 && calls() < 100; i++) usleep(1000);
    return pid;
}

/* The status of a victim; -1: it did not end. */
static int end_of(pid_t pid, int ms) {
    int status = -1;
    for (int64_t until = now_ms() + ms; now_ms() < until; usleep(1000))
        if (waitpid(pid, &status, WNOHANG) == pid) return status;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

static void damaged(const char *name, bool session, bool cut, int rounds, int ms) {
    uint64_t attempted = 0, written = 0, told = 0, torn = 0, arrived = 0, hits = 0;
    for (int round = 0; round < rounds; round++) {
        uint64_t last = 0, before;
        pid_t pid = start();
        int status;
        before = calls();
        for (int64_t until = now_ms() + ms; now_ms() < until; hits++) {
            each_file(session, cut);
            if (cut && hits % 3 == 0) each_file(!session, cut);
            usleep(any(cut ? 20000 : 300));
        }
        CHECK(calls() > before);
        common->stop = 1;
        status = end_of(pid, SANITIZED ? 30000 : 10000);
        if (!CHECK_EQ(status, 0)) printf("    %s, round %d: status %x, %llu calls\n", name, round, (unsigned)status, (unsigned long long)calls());
        attempted += calls() * 4;
        look_at_log(&written, &told, &torn, &last);
        arrived += last >= 10;
    }
    CHECK_EQ(torn, 0);
    CHECK(written > 100);
    if (!session) CHECK(told > 0);
    if (!session && !cut) CHECK(arrived == (uint64_t)rounds);
    printf("    %-10s %7llu attempted, %7llu written, %5llu times damaged, %4llu reports, torn %llu; %llu of %d at work behind it\n", name,
           (unsigned long long)attempted, (unsigned long long)written, (unsigned long long)hits, (unsigned long long)told, (unsigned long long)torn,
           (unsigned long long)arrived, rounds);
}

static void not_caught(void) {
    catches = MLOG_NO;
    pid_t pid = start();
    each_file(false, true);
    int status = end_of(pid, 10000);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    printf("    uncaught   truncated without catch_fatal: signal %d\n", status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* ---- a file system that is full ---- */

#define SITE(n) case n: mlog_info("site with a long message, so that the dictionary grows " #n, "n", n, "t", common->calls[0]); break;
#define SITES(n) SITE(n) SITE(n + 1) SITE(n + 2) SITE(n + 3) SITE(n + 4) SITE(n + 5) SITE(n + 6) SITE(n + 7)
static void new_site(int n) { switch (n) { SITES(0) SITES(8) SITES(16) SITES(24) SITES(32) SITES(40) SITES(48) SITES(56) } }

static void *newcomer(void *arg) {
    mlog_info("newcomer", "t", (int)(intptr_t)arg);
    return NULL;
}

static void full_victim(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .ring_bytes = 1 << 20, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    static mlog_context *kept[3000];
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    mlog_info("begin");
    (void)mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role); /* nobody writes: all must be in the rings */
    common->calls[1] = 1;
    while (!common->quiet) usleep(1000);
    for (int i = 0; i < 64; i++) new_site(i);
    for (int i = 0; i < 3000; i++) {
        kept[i] = mlog_context_new("kept", i, "text", "a context that stays, so that its slot is a new one each time");
        mlog_context_unref(mlog_context_swap(kept[i]));
        if (i % 100 == 0) mlog_info("kept");
    }
    for (int t = 0; t < 4; t++) {
        pthread_t id;
        pthread_create(&id, NULL, newcomer, (void *)(intptr_t)t);
        pthread_join(id, NULL);
    }
    for (int i = 0; i < 2000; i++) log_one(i), common->calls[0]++;
    (void)kill(getpid(), SIGKILL);
}

static void full_start(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    exit(mlog_init(&c) != 0 || mlog_shutdown(10000) != 0);
}

static void full(void) {
    char mounted[400], filler[450], command[1100];
    int status = 0;
    (void)snprintf(mounted, sizeof mounted, "%s/small", place);
    (void)mkdir(mounted, 0700);
    if (mount("none", mounted, "tmpfs", MS_NOSUID | MS_NODEV, "size=6m") != 0) {
        printf("    full       skipped: no file system can be mounted here: %s\n", strerror(errno));
        return;
    }
    (void)snprintf(command, sizeof command, "rm -f '%s'", log_path);
    CHECK_EQ(system(command), 0);
    (void)snprintf(rings, sizeof rings, "%s/rings", mounted);
    memset(common, 0, sizeof *common);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) full_victim();
    for (int i = 0; i < 5000 && !common->calls[1]; i++) usleep(1000);
    (void)snprintf(filler, sizeof filler, "%s/filler", mounted);
    int fd = open(filler, O_WRONLY | O_CREAT, 0600);
    static char zeros[4096];
    while (write(fd, zeros, sizeof zeros) > 0) {}
    CHECK_EQ(errno, ENOSPC);
    common->quiet = 1;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) printf("    signal %d\n", WTERMSIG(status));
    close(fd);
    (void)unlink(filler);
    pid = fork();
    if (pid == 0) full_start();
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    char *text = slurp(log_path, NULL);
    uint64_t written = 0, told = 0, torn = 0, last = 0, sites = lines(text, "\"site with"), plain = lines(text, "\"plain\""), inside = lines(text, "\"inside\"");
    look_at_log(&written, &told, &torn, &last);
    size_t room = lines(text, "\"printf ");
    CHECK(plain >= room && room >= inside && plain <= inside + 1 && inside > 1000); /* the ring is full behind that */
    CHECK_EQ(sites, 64);
    CHECK_EQ(lines(text, "\"msg\":\"kept\"") , 30);
    CHECK_EQ(torn, 0);
    printf("    full       %7llu attempted, %7llu recovered, %llu sites of 64, torn %llu\n", (unsigned long long)common->calls[0] * 4 + 64 + 30,
           (unsigned long long)written, (unsigned long long)sites, (unsigned long long)torn);
    free(text);
    CHECK_EQ(umount2(mounted, MNT_DETACH), 0);
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    char command[1100];
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("METALOG");
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0;
    if (shm) (void)snprintf(place, sizeof place, "/dev/shm/metalog-hostile-%d", getpid());
    else (void)snprintf(place, sizeof place, "%s", temp_path("hostile"));
    (void)snprintf(command, sizeof command, "rm -rf '%s' && mkdir -m 700 '%s'", place, place);
    CHECK_EQ(system(command), 0);
    (void)snprintf(log_path, sizeof log_path, "%s/app.log", place);
    (void)snprintf(rings, sizeof rings, "%s/rings", place);
    if (only == NULL || strcmp(only, "filled") == 0) damaged("filled", false, false, all ? 100 : 2, all ? 1000 : 500);
    if (only == NULL || strcmp(only, "session") == 0) damaged("session", true, false, all ? 100 : 2, all ? 1000 : 500);
    catches = MLOG_YES;
    if (!SANITIZED && (only == NULL || strcmp(only, "truncated") == 0)) damaged("truncated", false, true, all ? 100 : 4, 250);
    if (!SANITIZED && (only == NULL || strcmp(only, "uncaught") == 0)) not_caught();
    catches = MLOG_NO;
    if (only == NULL || strcmp(only, "full") == 0) full();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", place);
    CHECK_EQ(system(command), 0);
    return done();
}
