/* store and recover: what a killed process has logged, and where it lay. The processes here are children that log and kill themselves;
 * who recovers is a child, too, and this program looks at the files only. */
#define _GNU_SOURCE
#include <dirent.h>
static DIR *on_opendir(const char *path); /* where one of the tests here gets in between */
#define opendir on_opendir
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#undef opendir
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

static char rings[256];
static const char *log_path;

static mlog_config config(mlog_format format) {
    return (mlog_config){.env = "-", .ring_dir = rings, .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = log_path, .format = format}}};
}

/* A child that runs `body` and is killed, or exits. Returns its status. */
static int in_child(void (*body)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) body(), exit(0);
    if (waitpid(pid, &status, 0) != pid) return -1;
    return status;
}

static bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

static void die(void) { kill(getpid(), SIGKILL), pause(); }

static size_t files_left(void) { return files_in(rings); }

static const char *note_path(void) {
    static char path[600];
    const char *slash = strrchr(log_path, '/');
    snprintf(path, sizeof path, "%.*s.%s.metalog", (int)(slash + 1 - log_path), log_path, slash + 1);
    return path;
}

static char elsewhere[300]; /* where another configuration has its rings */

static void clean(void) {
    char command[1600];
    snprintf(command, sizeof command, "rm -rf '%s' '%s' '%s' '%s'", rings, log_path, elsewhere, note_path());
    CHECK(system(command) == 0);
}

static char *contents(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    static char text[1 << 20];
    *n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (f != NULL) fclose(f);
    text[*n] = 0;
    return text;
}

static size_t times(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) n++;
    return n;
}

static mlog_format format_now;

static void recover(void) {
    mlog_config c = config(format_now);
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(9);
    mlog_stats s;
    mlog_stats_read(&s);
    mlog_info("after", "count", s.recovered);
}

/* -- what comes back -- */

static void put_point(mlog_writer *w, const void *p) {
    const int *xy = p;
    mlog_put(w, "x", xy[0]);
    mlog_put(w, "y", xy[1]);
}

/* Every way of logging; the flusher never gets at it: this thread holds the role. */
static void log_everything(void) {
    mlog_config c = config(format_now);
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(9);
    (void)mlog_thread(&(mlog_thread_config){.name = "worker \"7\""});
    mlog_logger *named = mlog_named("net.http"), *bound = mlog_bind(mlog_named("db"), "shard", 3);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    static const int xy[2] = {3, -4};
    static const double list[] = {1.5, 2.25};
    mlog_info("plain", "i", -5, "u", 7u, "d", 0.1, "s", "text with \"quotes\" and \n a line", "null", (char *)NULL);
    mlog_warnf("printf %d %s %5.2f", 42, "words", 3.14159);
    mlog_error("values", "list", mlog_array(list, 2), "object", mlog_object(put_point, xy), "hex", mlog_hex(255), "json", mlog_json("{\"a\":1}", 7));
    {
        mlog_with("task", 12, "tenant", "acme");
        mlog_info("inside", "n", 1);
        {
            mlog_with("step", "two", "source", "component");
            mlog_info("deeper");
        }
    }
    mlog_to(named, MLOG_NOTICE, "named", "code", 404);
    mlog_to(bound, MLOG_INFO, "bound");
    const mlog_field field = {"key at run time", mlog_val(99)};
    const mlog_event e = {.at = MLOG_HERE, .level = MLOG_INFO, .msg = "emitted", .fields = &field, .nfields = 1};
    mlog_emit(&e);
    die();
}

static void test_everything(void) {
    static const char *const json[] = {"\"msg\":\"plain\"", "\"i\":-5", "\"u\":7", "\"d\":0.1", "\"s\":\"text with \\\"quotes\\\" and \\n a line\"",
                                       "\"null\":null", "\"msg\":\"printf 42 words  3.14\"", "\"list\":[1.5,2.25]", "\"object\":{\"x\":3,\"y\":-4}",
                                       "\"hex\":\"0xff\"", "\"json\":{\"a\":1}", "\"task\":12,\"tenant\":\"acme\",\"n\":1",
                                       "\"source\":\"component\"", "\"step\":\"two\"", "\"source\":\"net.http\"", "\"code\":404",
                                       "\"source\":\"db\"", "\"shard\":3", "\"msg\":\"emitted\"", "\"key at run time\":99",
                                       "\"thread\":\"worker \\\"7\\\"\"", "\"level\":\"notice\"", "\"level\":\"error\""};
    size_t n;
    clean();
    format_now = MLOG_JSON;
    CHECK(killed(in_child(log_everything)));
    CHECK(files_left() == 3); /* the session, a ring, its side ring */
    contents(log_path, &n);
    CHECK_EQ(n, 0);
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(files_left(), 0);
    char *text = contents(log_path, &n);
    for (size_t i = 0; i < sizeof json / sizeof *json; i++)
        if (!CHECK(strstr(text, json[i]) != NULL)) printf("missing: %s\n", json[i]);
    CHECK_EQ(times(text, "\"recovered\":true"), 8);
    CHECK_EQ(times(text, "\n"), 9);
    CHECK(strstr(text, "\"msg\":\"after\"") != NULL && strstr(text, "\"count\":8}") != NULL);
    CHECK(strstr(text, "\"msg\":\"plain\"") < strstr(text, "\"msg\":\"emitted\"") && strstr(text, "\"msg\":\"emitted\"") < strstr(text, "\"msg\":\"after\""));
    CHECK_EQ(in_child(recover), 0); /* once is enough */
    text = contents(log_path, &n);
    CHECK_EQ(times(text, "\n"), 10);
    static const struct { mlog_format format; const char *mark; } other[] = {{MLOG_LOGFMT, " recovered=true"}, {MLOG_PRETTY, "recovered=true"}, {MLOG_PLAIN, "recovered=true"}};
    for (size_t i = 0; i < 3; i++) {
        clean();
        format_now = other[i].format;
        CHECK(killed(in_child(log_everything)));
        CHECK_EQ(in_child(recover), 0);
        text = contents(log_path, &n);
        if (!CHECK_EQ(times(text, other[i].mark), 8)) fputs(text, stdout);
        CHECK_EQ(times(text, "\n"), 9);
    }
    format_now = MLOG_JSON;
}

/* A binary file: what the tool makes of it is what a JSON sink would have got, mark and all. */
static void test_binary(void) {
    char command[900];
    size_t n;
    clean();
    format_now = MLOG_BINARY;
    CHECK(killed(in_child(log_everything)));
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(files_left(), 0);
    CHECK_EQ(in_child(recover), 0);
    format_now = MLOG_JSON;
    snprintf(command, sizeof command, "%s.json", log_path);
    char *json = strdup(command);
    snprintf(command, sizeof command, "set -e; ${GCC:-gcc} -O1 -DMETALOG_TOOL -xc metalog.h -o '%s.tool' -pthread; '%s.tool' check '%s'; '%s.tool' cat --format json '%s' >'%s'",
             log_path, log_path, log_path, log_path, log_path, json);
    CHECK_EQ(system(command), 0);
    char *text = contents(json, &n);
    if (!CHECK_EQ(times(text, "\"recovered\":true"), 8)) fputs(text, stdout);
    CHECK_EQ(times(text, "\n"), 10);
    CHECK(strstr(text, "\"list\":[1.5,2.25]") != NULL && strstr(text, "\"task\":12,\"tenant\":\"acme\",\"n\":1") != NULL);
    CHECK(strstr(text, "\"source\":\"component\"") != NULL && strstr(text, "\"thread\":\"worker \\\"7\\\"\"") != NULL);
    CHECK(strstr(text, "\"count\":8}") != NULL);
    (void)unlink(json);
    free(json);
}

/* Records that came without a time of their own get one of the process's last moments, in a binary file, too. */
static void log_by_arrival(void) {
    mlog_config c = config(MLOG_BINARY);
    c.clock = MLOG_ARRIVAL;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("written");
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    for (int i = 0; i < 5; i++) mlog_info("left", "i", i);
    die();
}

static void test_arrival(void) {
    size_t n;
    uint32_t records = 0;
    int64_t before = mlog__platform_clock(CLOCK_REALTIME) - 1000000;
    clean();
    CHECK(killed(in_child(log_by_arrival)));
    format_now = MLOG_BINARY;
    CHECK_EQ(in_child(recover), 0);
    format_now = MLOG_JSON;
    const char *text = contents(log_path, &n);
    mlog__block b;
    for (size_t at = 0; at + sizeof b <= n; at += b.bytes) {
        memcpy(&b, text + at, sizeof b);
        if (!CHECK(b.magic == MLOG__BLOCK_MAGIC && b.bytes >= sizeof b)) break;
        if (b.type != MLOG__BLOCK_RECOVERED) continue;
        records += b.records;
        CHECK(b.first >= before && b.last >= b.first && b.last <= mlog__platform_clock(CLOCK_REALTIME) + 1000000);
    }
    CHECK_EQ(records, 5);
}

/* -- where it lies -- */

static void stay(void) {
    struct stat st;
    char path[600];
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("here");
    if (stat(rings, &st) != 0 || (st.st_mode & 07777) != 0700) _exit(2);
    DIR *dir = opendir(rings);
    int seen = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", rings, e->d_name);
        seen++;
        if (stat(path, &st) != 0 || (st.st_mode & 07777) != 0600 || !S_ISREG(st.st_mode)) _exit(3);
    }
    closedir(dir);
    if (seen != 3) _exit(4);
    if (system("ls -l /proc/$PPID/fd | grep -q ring") == 0) _exit(5); /* no descriptor stays open */
}

static void without(void) {
    mlog_config c = config(MLOG_JSON);
    c.crash_safe = MLOG_NO;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("here");
    die();
}

static void console_only(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .sinks = {{.type = MLOG_NULL}}};
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("here");
    if (files_left() != 0) _exit(2);
    c.crash_safe = MLOG_YES;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("here");
    if (files_left() == 0) _exit(3);
}

static void test_place(void) {
    size_t n;
    clean();
    CHECK_EQ(in_child(stay), 0);
    CHECK_EQ(files_left(), 0);
    clean();
    CHECK(killed(in_child(without)));
    CHECK_EQ(files_left(), 0);
    clean();
    CHECK_EQ(in_child(console_only), 0);
    CHECK_EQ(files_left(), 0);
    /* a directory that others may enter, a file in its place, a symbolic link: refused, told, and logged all the same */
    char ours[300];
    snprintf(ours, sizeof ours, "%s.ours", rings);
    (void)mkdir(ours, 0700);
    for (int i = 0; i < 5; i++) {
        if (i == 4 && geteuid() != 0) break;
        clean();
        if (i == 3) CHECK(symlink(ours, rings) == 0);
        if (i == 4) CHECK(mkdir(rings, 0700) == 0 && chown(rings, 12345, (gid_t)-1) == 0);
        if (i == 0) CHECK(mkdir(rings, 0755) == 0 && chmod(rings, 0755) == 0);
        if (i == 1) CHECK(close(open(rings, O_CREAT | O_WRONLY, 0600)) == 0);
        if (i == 2) CHECK(symlink("/tmp", rings) == 0);
        CHECK_EQ(in_child(recover), 0);
        char *text = contents(log_path, &n);
        CHECK(strstr(text, "crash_safe: ring directory") != NULL && strstr(text, "\"msg\":\"after\"") != NULL);
    }
    clean();
    CHECK(rmdir(ours) == 0);
}

/* -- several lives -- */

static int life;

static void log_a_few(void) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    for (int i = 0; i < 5; i++) mlog_info("life", "life", life, "i", i);
    die();
}

/* Two that died, without anybody in between; and one that lives meanwhile, whose rings nobody may touch. */
static void test_several(void) {
    size_t n;
    clean();
    char other[300];
    const char *own = log_path;
    snprintf(other, sizeof other, "%s.other", own);
    (void)unlink(other);
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t alive = fork();
    if (alive == 0) { /* the same directory, another log */
        log_path = other;
        mlog_config c = config(MLOG_JSON);
        char byte;
        if (mlog_init(&c) != 0) _exit(9);
        mlog_info("alive", "i", 1);
        close(fds[1]);
        (void)!read(fds[0], &byte, 1);
        mlog_info("alive", "i", 2);
        exit(0);
    }
    close(fds[0]);
    usleep(200000);
    CHECK_EQ(files_left(), 3);
    for (life = 1; life <= 2; life++) CHECK(killed(in_child(log_a_few))); /* the second recovers the first one's */
    CHECK_EQ(files_left(), 6);
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(files_left(), 3);
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "\"life\":1"), 5);
    CHECK_EQ(times(text, "\"life\":2"), 5);
    CHECK_EQ(times(text, "\n"), 11);
    close(fds[1]);
    int status;
    CHECK(waitpid(alive, &status, 0) == alive && status == 0);
    text = contents(other, &n);
    CHECK_EQ(times(text, "\"msg\":\"alive\""), 2);
    CHECK_EQ(times(text, "recovered"), 0);
    CHECK_EQ(files_left(), 0);
    (void)unlink(other);
}

/* -- in the middle of a promise -- */

/* One batch is out. Of the next one's promise the moves lie there, and nothing else: they are no moves of the last one. */
static void arm_half(void) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("life", "life", 1, "i", 0);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    for (int i = 1; i < 5; i++) mlog_info("life", "life", 1, "i", i);
    mlog__move *m = &mlog__dict_session->move[0][0];
    m->pos = mlog__flush_ring((uint32_t)m->ring)->head;
    die();
}

/* One batch, out; its ring looks as it did before. */
static mlog__promise *one_batch(int records) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    for (int i = 0; i < records; i++) mlog_info("life", "life", 1, "i", i);
    mlog__ring *r = mlog__thread_self->ring;
    uint64_t before = r->cur[0];
    mlog__platform_unlock(&mlog__flush_all.role);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    __atomic_store_n(&r->cur[0], before, __ATOMIC_RELAXED);
    return &mlog__dict_session->promise[0];
}

/* It is committed; its moves are not done. */
static void commit_only(void) {
    mlog__promise *p = one_batch(5);
    if (p->done != p->armed || p->seq != 1) _exit(8);
    die();
}

static void test_promise(void) {
    size_t n;
    for (int i = 0; i < 2; i++) {
        clean();
        CHECK(killed(in_child(i == 0 ? arm_half : commit_only)));
        CHECK_EQ(in_child(recover), 0);
        char *text = contents(log_path, &n);
        if (!CHECK(times(text, "\"life\":1") == 5 && times(text, "\n") == 6)) fputs(text, stdout);
    }
}

/* Configured anew: no sink has the rings for a moment, and that is when it is killed. */
static int between;
static DIR *on_opendir(const char *path) {
    if (between != 0) {
        for (int i = 0; i < between; i++) mlog_info("between", "i", i);
        die();
    }
    return opendir(path);
}

static void again_between(void) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("before");
    mlog_flush(1000);
    between = 7;
    c.levels = "trace";
    (void)mlog_init(&c);
    _exit(8);
}

static void test_between(void) {
    size_t n;
    clean();
    CHECK(killed(in_child(again_between)));
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    if (!CHECK(times(text, "\"msg\":\"between\"") == 7 && times(text, "\"msg\":\"before\"") == 1)) fputs(text, stdout);
    CHECK_EQ(files_left(), 0);
    clean();
}

/* Who opens a file while somebody recovers waits for the lock, and who did not get the lock for all of it still has its share. */
static int told = -1;
static void open_shared(void) {
    mlog_config c = config(MLOG_JSON);
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (told < 0 && flock(fd, LOCK_SH) != 0) _exit(6); /* another one who writes: nothing is cut */
    if (told >= 0 && write(told, "x", 1) != 1) _exit(7);
    if (mlog_init(&c) != 0) _exit(9);
    if (told >= 0) usleep(200000); /* the parent lets go of it meanwhile */
    _exit(flock(fd, LOCK_EX | LOCK_NB) == 0 ? 1 : 0);
}

/* As if it had been killed in the middle of that write. */
static void torn(void) {
    struct stat st;
    mlog__promise *p = one_batch(1);
    if (stat(log_path, &st) != 0 || truncate(log_path, st.st_size - 5) != 0) _exit(8);
    p->done--;
    die();
}

/* As if others had written behind the torn line: one whose own torn line was blanked since, and a whole one. */
static void torn_before_blanks(void) {
    struct stat st;
    mlog__promise *p = one_batch(1);
    int fd = open(log_path, O_WRONLY | O_APPEND);
    static const char others[] = "          {\"ts\":\"2024-01-01T00:00:00.000000000Z\",\"msg\":\"foreign\"}\n";
    if (stat(log_path, &st) != 0 || truncate(log_path, st.st_size - 5) != 0 || write(fd, others, sizeof others - 1) < 0) _exit(8);
    p->done--;
    die();
}

static void test_blanks(void) {
    size_t n;
    clean();
    CHECK(killed(in_child(torn_before_blanks)));
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    bool good = times(text, "\"life\":1,\"i\":0}\n") == 1 && times(text, "\n") == 3 && times(text, "\n{") == 2 && strspn(text, " ") > 100;
    if (!CHECK(good && strncmp(text + strspn(text, " "), "{\"ts\":\"2024-", 12) == 0)) fputs(text, stdout);
    clean();
}

static void test_locks(void) {
    size_t n;
    clean();
    int fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(flock(fd, LOCK_EX) == 0);
    int fds[2];
    char byte;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) told = fds[1], open_shared();
    CHECK(read(fds[0], &byte, 1) == 1);
    usleep(50000); /* of the 100 ms that it waits */
    close(fds[0]), close(fds[1]);
    CHECK(flock(fd, LOCK_UN) == 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(fd);
    clean();
    CHECK(killed(in_child(torn)));
    told = -1;
    CHECK_EQ(in_child(open_shared), 0);
    char *text = contents(log_path, &n);
    if (!CHECK_EQ(times(text, "\"life\":1,\"i\":0}\n"), 1)) fputs(text, stdout);
    clean();
}

/* A thread that logged before the files were: its records from then on survive. */
static void early(void) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_NULL}}};
    if (mlog_init(&c) != 0) _exit(9);
    mlog_with("kept", "yes");
    (void)mlog_thread(&(mlog_thread_config){.name = "early bird"});
    mlog_info("before");
    c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("behind", "n", 1);
    die();
}

static void test_early(void) {
    size_t n;
    clean();
    CHECK(killed(in_child(early)));
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    CHECK(strstr(text, "\"msg\":\"behind\"") != NULL && strstr(text, "\"kept\":\"yes\"") != NULL && strstr(text, "\"thread\":\"early bird\"") != NULL);
}

/* A forked child that logs and dies with its parent: both come back, whoever wrote first. */
static void family(void) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    mlog_info("parent", "i", 0);
    mlog_flush(1000);
    pid_t pid = fork();
    if (pid == 0) {
        mlog_info("child", "i", 0);
        mlog_flush(1000);
        mlog__platform_lock(&mlog__flush_all.role);
        mlog_info("child", "i", 1);
        die();
    }
    int status;
    waitpid(pid, &status, 0);
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("parent", "i", 1);
    die();
}

__attribute__((unused)) static void test_family(void) {
    size_t n;
    clean();
    CHECK(killed(in_child(family)));
    CHECK_EQ(files_left(), 6);
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "\"msg\":\"parent\""), 2);
    CHECK_EQ(times(text, "\"msg\":\"child\""), 2);
    CHECK_EQ(times(text, "recovered\":true"), 2);
    CHECK_EQ(files_left(), 0);
}

/* A fatal signal while nobody can write: its record is in the ring, and comes back with what was logged before. */
static void crash(void) {
    mlog_config c = config(MLOG_JSON);
    c.catch_fatal = MLOG_YES;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("before the crash");
    (void)raise(SIGSEGV);
}

static void test_crash(void) {
    size_t n;
    clean();
    int status = in_child(crash);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "before the crash"), 1);
    CHECK_EQ(times(text, "\"level\":\"fatal\""), 1);
    CHECK(strstr(text, "SIGSEGV") != NULL && times(text, "\n") == 3);
}

/* -- the note beside the log -- */

static void recover_elsewhere(void) {
    mlog_config c = config(MLOG_JSON);
    c.ring_dir = elsewhere;
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(9);
    mlog_info("after");
}

/* A process that dies leaves it; who is configured otherwise finds the rings by it, and takes it along. */
static void test_note(void) {
    struct stat st;
    size_t n;
    char want[400];
    clean();
    CHECK_EQ(in_child(recover), 0);
    CHECK(lstat(note_path(), &st) != 0);
    CHECK(killed(in_child(log_everything)));
    CHECK(lstat(note_path(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600);
    snprintf(want, sizeof want, "metalog-rings 1 %s\n", rings);
    if (!CHECK(strcmp(contents(note_path(), &n), want) == 0)) fputs(contents(note_path(), &n), stdout);
    CHECK_EQ(in_child(recover_elsewhere), 0);
    CHECK_EQ(times(contents(log_path, &n), "recovered\":true"), 8);
    CHECK_EQ(files_left(), 0);
    CHECK(lstat(note_path(), &st) != 0);
}

/* Two that die in two places: both are named, until nothing is left in them. */
static void test_two_places(void) {
    struct stat st;
    size_t n;
    char first[256], *text;
    clean();
    snprintf(first, sizeof first, "%s", rings);
    life = 1;
    CHECK(killed(in_child(log_a_few)));
    CHECK(rename(rings, elsewhere) == 0); /* so that the second one does not find it */
    snprintf(rings, sizeof rings, "%.200s.2", first);
    life = 2;
    CHECK(killed(in_child(log_a_few)));
    CHECK(rename(elsewhere, first) == 0);
    int fd = open(note_path(), O_WRONLY | O_APPEND); /* as it was while the first place was there */
    CHECK(dprintf(fd, "metalog-rings 1 %s\nmetalog-rings 1 relative\nsomething else\n", first) > 0 && close(fd) == 0);
    CHECK_EQ(in_child(recover_elsewhere), 0);
    text = contents(log_path, &n);
    CHECK_EQ(times(text, "\"life\":1"), 5);
    CHECK_EQ(times(text, "\"life\":2"), 5);
    CHECK_EQ(files_in(first) + files_in(rings), 0);
    CHECK(lstat(note_path(), &st) != 0);
    CHECK(rmdir(rings) == 0);
    snprintf(rings, sizeof rings, "%.255s", first);
}

/* While somebody else writes to the log, it stays. */
static void test_note_stays(void) {
    struct stat st;
    int fds[2], status;
    clean();
    CHECK(pipe(fds) == 0);
    pid_t alive = fork();
    if (alive == 0) {
        char byte;
        mlog_config c = config(MLOG_JSON);
        if (mlog_init(&c) != 0) _exit(9);
        mlog_info("alive");
        mlog_flush(1000);
        close(fds[1]);
        (void)!read(fds[0], &byte, 1);
        exit(0);
    }
    close(fds[0]);
    while (files_left() < 3) usleep(1000);
    CHECK_EQ(in_child(recover), 0);
    CHECK(lstat(note_path(), &st) == 0);
    close(fds[1]);
    CHECK(waitpid(alive, &status, 0) == alive && status == 0);
    CHECK(lstat(note_path(), &st) != 0);
}

/* A sink that comes later has one, as long as it is there. */
static void add_and_remove(void) {
    char other[400];
    snprintf(other, sizeof other, "%s.added", log_path);
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    const char *first = log_path;
    log_path = other; /* of which note_path tells now */
    if (access(note_path(), F_OK) == 0) _exit(2);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_FILE, .path = other});
    if (s == NULL || access(note_path(), F_OK) != 0) _exit(3);
    mlog_info("to both");
    mlog_sink_remove(s);
    if (access(note_path(), F_OK) == 0) _exit(4);
    (void)unlink(other);
    log_path = first;
    if (access(note_path(), F_OK) != 0) _exit(5);
    if (mlog_shutdown(1000) != 0 || access(note_path(), F_OK) == 0) _exit(6);
}

/* A child that logs only after its parent has ended in order, and has taken the note along. */
static int orphan_gate[2], orphan_end[2];
static void leave_an_orphan(void) {
    mlog_config c = config(MLOG_JSON);
    char byte;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("parent");
    if (mlog_flush(1000) != 0) _exit(8);
    if (fork() != 0) return;
    close(orphan_gate[1]);
    (void)!read(orphan_gate[0], &byte, 1); /* until nobody else has it open */
    mlog_info("orphan", "i", 0);
    mlog_flush(1000);
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("orphan", "i", 1);
    die();
}

__attribute__((unused)) static void test_orphan(void) {
    struct stat st;
    size_t n;
    char byte;
    clean();
    CHECK(pipe(orphan_gate) == 0 && pipe(orphan_end) == 0);
    CHECK_EQ(in_child(leave_an_orphan), 0);
    CHECK(lstat(note_path(), &st) != 0);
    close(orphan_gate[0]), close(orphan_gate[1]), close(orphan_end[1]);
    CHECK_EQ(read(orphan_end[0], &byte, 1), 0); /* it is dead */
    close(orphan_end[0]);
    CHECK(lstat(note_path(), &st) == 0);
    CHECK_EQ(in_child(recover_elsewhere), 0);
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "\"msg\":\"orphan\""), 2);
    CHECK_EQ(times(text, "recovered\":true"), 1);
    CHECK(lstat(note_path(), &st) != 0);
}

/* Notes of strangers, and those that lead where we have no business: they are left alone, and so is what they name. */
static void test_bad_notes(void) {
    struct stat st;
    size_t n;
    char other[700];
    snprintf(other, sizeof other, "%s.other", note_path());
    for (int i = 0; i < 7; i++) {
        clean();
        (void)unlink(other);
        CHECK(killed(in_child(log_everything)));
        const char *path = note_path();
        if (i == 0) CHECK(chmod(rings, 0755) == 0);                                 /* others may enter the place */
        if (i == 1) CHECK(rename(path, other) == 0 && symlink(other, path) == 0);
        if (i == 2) CHECK(link(path, other) == 0);
        if (i == 3) CHECK(chmod(path, 0644) == 0);
        if (i == 4) CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
        if (i == 5) CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
        if (i == 6) CHECK(rename(rings, elsewhere) == 0 && symlink(elsewhere, rings) == 0);
        char *keep = elsewhere[0] != 0 && i == 6 ? strdup(elsewhere) : NULL;
        if (keep != NULL) snprintf(elsewhere, sizeof elsewhere, "%.250s.3", keep);
        CHECK_EQ(in_child(recover_elsewhere), 0);
        char *text = contents(log_path, &n);
        if (!CHECK_EQ(times(text, "recovered\":true"), 0)) printf("case %d\n", i);
        CHECK_EQ(times(text, "\"msg\":\"after\""), 1);
        CHECK_EQ(times(text, "crash_safe: a log's note names"), i == 0 || i == 6);
        if (keep != NULL) {
            CHECK(unlink(rings) == 0 && rmdir(elsewhere) == 0 && rename(keep, rings) == 0);
            snprintf(elsewhere, sizeof elsewhere, "%s", keep);
            free(keep);
        }
        CHECK_EQ(files_left(), 3);
        CHECK(chmod(rings, 0700) == 0);
        CHECK(i == 0 || i == 6 || lstat(path, &st) == 0);
        if (i == 5) CHECK(rmdir(path) == 0);
        else (void)unlink(path);
    }
    (void)unlink(other);
}

/* -- hostile files -- */

static void find_file(char path[600], const char *end) {
    DIR *dir = opendir(rings);
    *path = 0;
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > strlen(end) && strcmp(e->d_name + n - strlen(end), end) == 0) snprintf(path, 600, "%s/%s", rings, e->d_name);
    }
    if (dir != NULL) closedir(dir);
}

static uint32_t random_now = 12345;
static uint32_t any(uint32_t n) { return (random_now = random_now * 1664525u + 1013904223u, (random_now >> 8) % n); }

/* Every kind of damage: who recovers neither dies nor hangs, nor writes a line that is none. */
static void test_hostile(void) {
    static const char *const which[] = {".2.ring", ".session", ".3.ring"};
    uint32_t rounds = 60, lines = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        char path[600];
        size_t n;
        clean();
        CHECK(killed(in_child(log_everything)));
        find_file(path, which[round % 3]);
        if (!CHECK(*path != 0)) return;
        int fd = open(path, O_RDWR);
        struct stat st;
        CHECK(fstat(fd, &st) == 0);
        if (round % 10 == 9) {
            CHECK(ftruncate(fd, (off_t)any((uint32_t)st.st_size)) == 0);
        } else {
            uint32_t flips = 1 + any(8);
            for (uint32_t i = 0; i < flips; i++) {
                off_t at = (off_t)any(round % 2 ? 2048 : 5120);
                if (round % 3 == 1 && round % 2 == 0) at += (off_t)(offsetof(mlog__session, dict));
                uint8_t byte;
                CHECK(pread(fd, &byte, 1, at) == 1);
                byte = (uint8_t)(round % 4 == 0 ? any(256) : byte ^ 1u << any(8));
                CHECK(pwrite(fd, &byte, 1, at) == 1);
            }
        }
        close(fd);
        if (!CHECK_EQ(in_child(recover), 0)) printf("round %u: %s\n", round, path);
        char *text = contents(log_path, &n);
        CHECK(n > 0 && text[n - 1] == '\n' && strstr(text, "\"msg\":\"after\"") != NULL);
        for (char *p = text, *end; (end = strchr(p, '\n')) != NULL; p = end + 1, lines++) CHECK(p[0] == '{' && end[-1] == '}');
    }
    printf("hostile: %u files, %u lines\n", rounds, lines);
}

/* A report of losses that has no room for what every record has, and nothing but zeros behind it. */
static void test_short_loss(void) {
    static const mlog_format formats[] = {MLOG_JSON, MLOG_BINARY, MLOG_LOGFMT};
    for (size_t i = 0; i < 3; i++) {
        char path[600];
        struct stat st;
        clean();
        format_now = formats[i];
        CHECK(killed(in_child(log_everything)));
        find_file(path, ".2.ring");
        int fd = open(path, O_RDWR);
        CHECK(fd >= 0 && fstat(fd, &st) == 0);
        mlog__ring *r = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(r != MAP_FAILED);
        uint64_t at = r->cur[0] & (r->bytes - 1), header = mlog__record_header(MLOG__S_LOSS, 1, 0);
        memset(r->data + at, 0, (size_t)(r->bytes - at));
        memcpy(r->data + at, &header, 8);
        munmap(r, (size_t)st.st_size);
        close(fd);
        CHECK_EQ(in_child(recover), 0);
    }
    format_now = MLOG_JSON;
}

/* Links and strangers' files are left alone. */
static void test_strangers(void) {
    char path[600], to[640];
    size_t n;
    clean();
    CHECK(killed(in_child(log_everything)));
    find_file(path, ".session");
    snprintf(to, sizeof to, "%s/second-name", rings);
    CHECK(link(path, to) == 0);
    CHECK_EQ(in_child(recover), 0);
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "recovered\":true"), 0);
    CHECK(unlink(to) == 0);
    CHECK_EQ(in_child(recover), 0);
    text = contents(log_path, &n);
    CHECK_EQ(times(text, "recovered\":true"), 8);
}

/* A ring that is not as a ring of ours must be is left out, and the log says so; what else there is comes back. */
static void test_refused(void) {
    static const char *const what[] = {"two links", "a symbolic link", "open to others", "another user's", "another size", "another number",
                                       "a definition changed", "cut off"};
    char path[600], to[640];
    size_t n;
    for (int i = 0; i < 8; i++) {
        if (i == 3 && geteuid() != 0) continue;
        clean();
        CHECK(killed(in_child(log_everything)));
        find_file(path, i == 6 ? ".session" : ".2.ring");
        snprintf(to, sizeof to, "%s.other", log_path);
        (void)unlink(to);
        int fd = open(path, O_RDWR);
        uint64_t other = 4096;
        uint32_t number = 9;
        char letter = 'P';
        if (i == 0) CHECK(link(path, to) == 0);
        if (i == 1) CHECK(rename(path, to) == 0 && symlink(to, path) == 0);
        if (i == 2) CHECK(fchmod(fd, 0644) == 0);
        if (i == 3) CHECK(fchown(fd, 12345, (gid_t)-1) == 0);
        if (i == 4) CHECK(pwrite(fd, &other, 8, offsetof(mlog__ring, bytes)) == 8);
        if (i == 5) CHECK(pwrite(fd, &number, 4, offsetof(mlog__ring, number)) == 4);
        if (i == 6) { /* the message "plain" becomes "Plain" */
            static char dict[65536];
            CHECK(pread(fd, dict, sizeof dict, offsetof(mlog__session, dict)) == (ssize_t)sizeof dict);
            const char *at = memmem(dict, sizeof dict, "plain", 6);
            CHECK(at != NULL && pwrite(fd, &letter, 1, (off_t)offsetof(mlog__session, dict) + (at - dict)) == 1);
        }
        if (i == 7) CHECK(ftruncate(fd, 5000) == 0);
        close(fd);
        CHECK_EQ(in_child(recover), 0);
        char *text = contents(log_path, &n);
        if (!CHECK_EQ(times(text, "\"msg\":\"ring damaged: records are missing\""), 1)) printf("%s: %s", what[i], text);
        CHECK_EQ(times(text, "\"msg\":\"plain\"") + times(text, "\"msg\":\"Plain\""), 0);
        CHECK_EQ(times(text, "\"msg\":\"emitted\""), i == 6);
        CHECK_EQ(times(text, "\"msg\":\"after\""), 1);
        (void)unlink(to);
    }
}

/* -- moments and places -- */

/* Killed while the moves of the second batch are written over those of the first. */
static void half_armed(void) {
    mlog_config c = config(MLOG_JSON);
    c.flusher = MLOG_POLL;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("first");
    (void)mlog_poll(0);
    mlog_info("second");
    mlog__move *move = &mlog__dict_session->move[0][0]; /* what mlog__store_arm stores first */
    move->pos = mlog__ring_list[move->ring]->head;
    die();
}

/* A batch that is held back is made anew after a death: it needs its contexts still, whoever used their slots since. */
static void held_back(void) {
    mlog_config c = config(MLOG_JSON);
    c.sinks[0].flush_ms = 60000;
    c.sinks[0].flush_level = MLOG_FATAL;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    for (int k = 0; k < 41; k++) {
        for (int i = 0; i < (k == 0 ? 1 : 100); i++) {
            mlog_with("within", i);
            mlog_info("x");
        }
        usleep(k == 0 ? 300000 : 5000);
    }
    die();
}

static void late_call(int signal) {
    (void)signal;
    mlog_info("late");
}

/* mlog_shutdown, and then a call that starts nothing: its record waits in its ring. */
static void after_shutdown(void) {
    mlog_config c = config(MLOG_JSON);
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("early");
    if (mlog_shutdown(5000) != 0) _exit(8);
    (void)signal(SIGUSR1, late_call);
    (void)raise(SIGUSR1);
    die();
}

static void test_moments(void) {
    static void (*const victim[])(void) = {half_armed, held_back, after_shutdown};
    static const struct { const char *what; size_t times; } want[] = {{"\"msg\":\"second\"", 1}, {"\"within\":", 4001}, {"\"msg\":\"late\"", 1}};
    size_t n;
    for (int i = 0; i < 3; i++) {
        clean();
        CHECK(killed(in_child(victim[i])));
        CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(times(contents(log_path, &n), want[i].what), want[i].times);
    }
    CHECK_EQ(times(contents(log_path, &n), "\"msg\":\"early\""), 1);
}

static uint64_t needs; /* rings_total: of which /dev/shm must have twice as much free */

static void default_place(void) {
    mlog_config c = config(MLOG_JSON);
    c.ring_dir = NULL;
    c.rings_total = needs;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_flush(1000);
    if (needs == 0) return;
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("beside the log");
    die();
}

/* /dev/shm was full at the first start, and is not at the second. */
static void test_other_place(void) {
    size_t n;
    char beside[300];
    clean();
    needs = UINT64_C(1) << 50;
    CHECK(killed(in_child(default_place)));
    needs = 0;
    CHECK_EQ(in_child(default_place), 0);
    CHECK_EQ(times(contents(log_path, &n), "beside the log"), 1);
    snprintf(beside, sizeof beside, "%.*s/.metalog-rings", (int)(strrchr(log_path, '/') - log_path), log_path);
    CHECK_EQ(files_in(beside), 0);
    (void)rmdir(beside);
}

/* Many start in one moment: none takes another's file in the making for a dead one's. The directory is relative, and left. */
static void start_safe(void) {
    mlog_config c = config(MLOG_JSON);
    char dir[300];
    snprintf(dir, sizeof dir, "%s", rings);
    c.ring_dir = strrchr(dir, '/') + 1;
    *strrchr(dir, '/') = 0;
    if (chdir(dir) != 0 || mlog_init(&c) != 0 || chdir("/") != 0) _exit(9);
    mlog_info("up");
    if (mlog_flush(2000) != 0) _exit(8);
}

static void test_starts(void) {
    size_t n;
    clean();
    CHECK_EQ(in_child(recover), 0);
    for (int round = 0; round < 10; round++) {
        int status;
        fflush(stdout);
        for (int i = 0; i < 12; i++)
            if (fork() == 0) start_safe(), exit(0);
        while (wait(&status) > 0) CHECK_EQ(status, 0);
    }
    char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "\"msg\":\"up\""), 120);
    CHECK_EQ(times(text, "crash_safe"), 0);
    CHECK_EQ(files_left(), 0);
}

static rlim_t descriptors;

/* Its own log or another: what it cannot read stays for the next start. */
static void with_few(void) {
    const struct rlimit few = {descriptors / 2, descriptors / 2};
    mlog_config c = config(MLOG_JSON);
    char other[300];
    snprintf(other, sizeof other, "%s.few", log_path);
    if (descriptors % 2 != 0) c.sinks[0].path = other;
    if (setrlimit(RLIMIT_NOFILE, &few) == 0) (void)mlog_init(&c);
    (void)unlink(other);
    _exit(0);
}

/* Killed behind the write of a batch, before its commit. */
static void uncommitted(void) {
    mlog_config c = config(MLOG_JSON);
    c.flusher = MLOG_POLL;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("stands");
    (void)mlog_poll(0);
    mlog__promise *p = &mlog__dict_session->promise[0];
    p->done--;
    mlog__ring_list[mlog__dict_session->move[0][0].ring]->cur[0] = 0;
    die();
}

static void test_few_descriptors(void) {
    size_t n;
    for (descriptors = 2 * 4; descriptors < 2 * 12; descriptors += 2) {
        clean();
        CHECK(killed(in_child(uncommitted)));
        CHECK_EQ(in_child(with_few), 0);
        CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(times(contents(log_path, &n), "\"msg\":\"stands\""), 1);
        CHECK_EQ(times(contents(log_path, &n), "recovered"), 0);
    }
    for (descriptors = 2 * 4; descriptors < 2 * 8; descriptors++) {
        clean();
        CHECK(killed(in_child(log_everything)));
        CHECK_EQ(in_child(with_few), 0);
        CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(times(contents(log_path, &n), "recovered\":true"), 8);
    }
}

/* -- a disk that is full for a while: RLIMIT_FSIZE, which only this process has -- */

static int ends; /* how it goes on: 0 another process writes behind the piece of a line, 1 the file is cut off, 2 mlog_shutdown, 3 mlog_init */

static void set_limit(rlim_t bytes) {
    struct rlimit limit;
    (void)getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
}

static void fill(void) {
    mlog_config c = config(MLOG_JSON);
    c.exit_ms = 300;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("first");
    mlog_flush(1000);
    set_limit(10000);
    for (int i = 0; i < 300; i++) mlog_info("full", "i", i);
    if (mlog_flush(200) == 0) _exit(8);
    int fd = open(log_path, O_WRONLY | O_APPEND);
    if (ends == 1 && truncate(log_path, 0) != 0) _exit(7);
    if (ends == 2 && mlog_shutdown(100) == 0) _exit(6);
    set_limit(RLIM_INFINITY);
    if (ends == 0 && write(fd, "{\"msg\":\"another's\"}\n", 20) != 20) _exit(5);
    if (ends == 3 && mlog_init(&c) != 0) _exit(4);
    close(fd);
    if (ends != 2 && mlog_flush(5000) != 0) _exit(3);
}

/* A batch that has no room in the session is cut short, and another process writes behind it. */
static void fill_large(void) {
    static char text[1 << 20];
    mlog_config c = config(MLOG_JSON);
    c.ring_bytes = 8 << 20;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_info("first");
    mlog_flush(1000);
    set_limit(512 << 10);
    memset(text, 'x', sizeof text);
    mlog_info("large", "text", mlog_str(text, sizeof text));
    (void)mlog_flush(200);
    int fd = open(log_path, O_WRONLY | O_APPEND);
    set_limit(RLIM_INFINITY);
    if (write(fd, "{\"msg\":\"another's\"}\n", 20) != 20) _exit(5);
    die();
}

static void test_full_large(void) {
    size_t n;
    clean();
    CHECK(killed(in_child(fill_large)));
    CHECK_EQ(in_child(recover), 0);
    const char *text = contents(log_path, &n);
    CHECK_EQ(times(text, "another's"), 1);
    (void)unlink(log_path);
}

/* Of another version: it stays for its own program, but such ones do not pile up. Of a process that cannot be seen: it is not waited for. */
static void test_many(void) {
    char path[600];
    struct timespec begin, end;
    int fds[20];
    clean();
    CHECK_EQ(mkdir(rings, 0700), 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "%s/abcdef00000%05x.session", rings, i + 1);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(fd >= 0 && write(fd, "metalog", 8) == 8);
        close(fd);
    }
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(files_left(), 64);
    clean();
    CHECK_EQ(mkdir(rings, 0700), 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t owner = INT_MAX;
        snprintf(path, sizeof path, "%s/abcdef00000%05x.session", rings, i + 1);
        fds[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(pwrite(fds[i], &owner, 8, offsetof(mlog__session, owner)) == 8 && flock(fds[i], LOCK_EX) == 0);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    CHECK_EQ(in_child(recover), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - begin.tv_sec < 2);
    for (unsigned i = 0; i < 20; i++) close(fds[i]);
}

static void test_full(void) {
    for (ends = 0; ends < 4; ends++) {
        int seen[300] = {0}, others = 0;
        clean();
        CHECK_EQ(in_child(fill), 0);
        CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(files_left(), 0);
        size_t n;
        for (char *p = contents(log_path, &n), *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
            *end = 0;
            const char *line = p + strspn(p, " "), *i = strstr(line, "\"i\":");
            if (!CHECK(line[0] == '{' && end[-1] == '}' && strstr(line + 1, "{\"ts\"") == NULL)) printf("%d: %s\n", ends, line);
            if (i != NULL) seen[atoi(i + 4) % 300]++;
            others += strstr(line, "another's") != NULL;
        }
        CHECK_EQ(others, ends == 0);
        size_t once = 0, twice = 0;
        for (int i = 0; i < 300; i++) once += seen[i] == 1, twice += seen[i] > 1;
        CHECK_EQ(twice, 0);
        if (ends != 1) CHECK_EQ(once, 300);
        else CHECK(once > 200 && seen[299] == 1); /* what was cut off is gone; nothing else */
    }
}

int main(void) {
    snprintf(rings, sizeof rings, "%s", temp_path("rings"));
    log_path = temp_path("recover.log");
    snprintf(elsewhere, sizeof elsewhere, "%s.elsewhere", rings);
    test_everything();
    if (!SANITIZED) test_binary(); /* it compiles the tool: once is enough */
    test_arrival();
    test_place();
    test_several();
    test_promise();
    test_blanks();
    test_between();
    test_locks();
    test_note();
    test_two_places();
    test_note_stays();
    test_bad_notes();
    CHECK_EQ(in_child(add_and_remove), 0);
    test_early();
#ifndef TSAN /* which refuses threads in the child of a process that has some */
    test_orphan();
    test_family();
#endif
    test_strangers();
    test_refused();
    if (!SANITIZED) test_crash(); /* ASan and TSan own SIGSEGV */
    test_moments();
    test_other_place();
    test_starts();
    if (!SANITIZED) test_few_descriptors();
    test_full();
    test_full_large();
    test_many();
    test_hostile();
    test_short_loss();
    clean();
    return done();
}
