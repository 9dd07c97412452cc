/* Section sink: files and what is refused as one, consoles, callbacks, errors, sinks that come and go, accounting. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"
#include <pty.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

static mlog_sink_stats stats(const char *name) {
    mlog_sink_stats s = {0};
    CHECK(mlog_sink_stats_read(name, &s) == 0);
    return s;
}

static mlog_config file_config(const char *path) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = path}}};
    return c;
}

/* Runs a function of the table at the end in a program of its own, with stderr in `err`, and returns its status. */
static int in_program(const char *name, int err) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (err >= 0) (void)dup2(err, 2);
        (void)setenv("TSAN_OPTIONS", "atexit_sleep_ms=0", 1); /* a second for each program */
        execl("/proc/self/exe", "test_sink", name, (char *)NULL);
        _exit(99);
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

/* -- files -- */

static void test_file(void) {
    const char *path = temp_path("mode.log");
    struct stat st;
    mode_t old = umask(0);
    (void)unlink(path);
    mlog_config c = file_config(path);
    CHECK(mlog_init(&c) == 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    int fd = mlog__flush_all.sink[0].fd;
    CHECK((fcntl(fd, F_GETFL) & O_APPEND) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    umask(077);
    (void)unlink(path);
    CHECK(mlog_init(&c) == 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    umask(0);
    (void)unlink(path);
    c.sinks[0].mode = 0604;
    CHECK(mlog_init(&c) == 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0604);
    umask(old);
    CHECK(truncate(path, 0) == 0);
    mlog_info("one");
    CHECK(mlog_flush(-1) == 0);
    CHECK(mlog_init(&c) == 0); /* appended, not cut */
    mlog_info("two");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(file_lines(path, NULL), 2);
    if (getuid() == 0) {
        c.sinks[0].owner = "65534:65534";
        CHECK(mlog_init(&c) == 0);
        CHECK(stat(path, &st) == 0 && st.st_uid == 65534 && st.st_gid == 65534);
        c.sinks[0].owner = "root";
        CHECK(mlog_init(&c) == 0);
        CHECK(stat(path, &st) == 0 && st.st_uid == 0);
    }
    c.sinks[0].owner = "nobody_of_that_name:root";
    CHECK(mlog_init(&c) == -1);
    CHECK(strstr(mlog_why(), "nobody_of_that_name") != NULL && strstr(mlog_why(), "no such user") != NULL);
}

static void refused(mlog_config c, const char *what, const char *expected) {
    mlog_sink_stats before = stats("json");
    mlog_info("before");
    if (!CHECK(mlog_init(&c) == -1)) printf("    %s\n", what);
    if (!CHECK(strstr(mlog_why(), what) != NULL)) printf("    no \"%s\" in: %s\n", what, mlog_why());
    if (!CHECK(strstr(mlog_why(), expected) != NULL)) printf("    no \"%s\" in: %s\n", expected, mlog_why());
    mlog_info("after");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(stats("json").written, before.written + 2); /* nothing changed */
}

static void refused_path(const char *path, const char *what, const char *expected) {
    mlog_config c = file_config(path);
    refused(c, what, expected);
    CHECK(mlog_sink_add(&c.sinks[0]) == NULL);
    CHECK(strstr(mlog_why(), what) != NULL);
}

static void test_refused(void) {
    CHECK(out_begin((mlog_config){0}) == 0);
    char path[600];
    const char *regular = temp_path("regular.log"), *link_ = temp_path("symlink.log"), *fifo = temp_path("fifo.log"),
               *hard = temp_path("hard.log");
    char socket_[40]; /* a name that is short enough for any directory of this test */
    (void)snprintf(socket_, sizeof socket_, "/tmp/mlog-test-%d", (int)getpid());
    const char *expect = "expected a regular file with one link, or a new one";
    (void)unlink(link_), (void)unlink(fifo), (void)unlink(hard), (void)unlink(socket_), (void)unlink(regular);
    int fd = open(regular, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(symlink("regular.log", link_) == 0);
    CHECK(mkfifo(fifo, 0600) == 0);
    refused_path(getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp", "is a directory", expect);
    refused_path(link_, "symlink.log\": is a symbolic link", expect);
    refused_path(fifo, "is a FIFO", expect);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    refused_path(fifo, "is a FIFO", expect); /* also when somebody reads it */
    close(reader);
    CHECK(link(regular, hard) == 0);
    refused_path(hard, "has more than one link", expect);
    refused_path(regular, "has more than one link", expect);
    CHECK(unlink(hard) == 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, socket_);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(s, (struct sockaddr *)&a, sizeof a) == 0 && listen(s, 1) == 0);
    refused_path(socket_, "is a socket", expect);
    close(s);
    (void)unlink(socket_);
    (void)snprintf(path, sizeof path, "%s/none/x.log", getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp");
    refused_path(path, "No such file or directory", expect);
    refused_path("", "sink path: missing", "needs one");
    refused_path(NULL, "sink path: missing", "needs one");
    refused_path("/dev/full", "/dev/full", expect);
    char too_long[5000];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    refused_path(too_long, "log file", "");
    mlog_config c = file_config(temp_path("fine.log"));
    c.sinks[1] = (mlog_sink_config){.type = MLOG_FILE, .path = link_}; /* the second is bad: the first does not come either */
    refused(c, "is a symbolic link", expect);
    c = file_config(regular);
    c.ring_bytes = 100;
    refused(c, "ring_bytes 100", "4096 to 33554432");
    c.ring_bytes = 1u << 30;
    refused(c, "ring_bytes", "4096 to 33554432");
    c = file_config(regular), c.rings_total = 5, refused(c, "rings_total 5", "at least");
    c = file_config(regular), c.full_ms = -1, refused(c, "full_ms -1", "milliseconds");
    c = file_config(regular), c.full = 9, refused(c, "full 9", "MLOG_WAIT");
    c = file_config(regular), c.clock = 9, refused(c, "clock 9", "MLOG_ARRIVAL");
    c = file_config(regular), c.flusher = (mlog_flusher)4, refused(c, "flusher 4", "expected MLOG_THREAD");
    c = file_config(regular), c.file = "x.conf", refused(c, "file", "not part of this version");
    c = file_config(regular), c.crash_safe = (mlog_choice)7, refused(c, "crash_safe 7", "MLOG_YES");
    c = file_config(regular), c.sinks[0].rotate_hours = 5, refused(c, "rotate_hours", "not part of this version");
    c = file_config(regular), c.sinks[0].pattern = "%m", refused(c, "pattern", "expected MLOG_PATTERN");
    c = file_config(NULL), c.sinks[0].type = MLOG_CONSOLE, c.sinks[0].format = MLOG_BINARY, refused(c, "BINARY", "MLOG_FILE or MLOG_NULL");
    c = file_config(regular), c.sinks[0].format = 77, refused(c, "format 77", "MLOG_PRETTY, _PLAIN, _JSON, _LOGFMT, _PATTERN or _BINARY");
    c = file_config(regular), c.sinks[0].level = 26, refused(c, "level 26", "0 to 25");
    c = file_config(regular), c.sinks[0].mode = 010000, refused(c, "mode", "permission bits");
    c = file_config(regular), c.sinks[0].type = MLOG_SYSLOG, refused(c, "sink type", "not part of this version");
    c = file_config(regular), c.sinks[0].type = 99, refused(c, "sink type 99", "MLOG_CONSOLE");
    c = file_config(regular), c.sinks[2] = c.sinks[0], refused(c, "sinks[2]", "without a gap");
    c = file_config(regular), c.levels = "loud", refused(c, "levels: column 1: \"loud\"", "a level");
    c = file_config(regular), c.env = "", refused(c, "env", "1 to 40 bytes");
    c = (mlog_config){.env = "-", .sinks = {{.type = MLOG_CALLBACK}}};
    refused(c, "sink write: missing", "needs one");
    CHECK(mlog_sink_add(NULL) == NULL && strstr(mlog_why(), "NULL") != NULL);
    CHECK_EQ(file_lines(regular, NULL), 0);
}

static void refused_first(void) { /* nothing ran before: the program still logs to stderr */
    mlog_config c = file_config("/");
    CHECK(mlog_init(&c) == -1);
    mlog_error("still heard");
}
static void test_refused_first(void) {
    int p[2];
    char text[4096];
    CHECK(pipe(p) == 0);
    CHECK(in_program("refused_first", p[1]) == 0);
    close(p[1]);
    ssize_t n = read(p[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    CHECK(strstr(text, "\"msg\":\"still heard\"") != NULL);
    close(p[0]);
}

static void test_devices(void) {
    mlog_config c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < 1000; i++) mlog_info("nowhere");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(stats("file").written, 1000);
    int p[2], old;
    char text[4096];
    for (int fd = 1; fd <= 2; fd++) {
        fflush(stdout);
        CHECK(pipe(p) == 0);
        old = dup(fd);
        CHECK(dup2(p[1], fd) == fd);
        close(p[1]);
        c = file_config(fd == 1 ? "/dev/stdout" : "/dev/stderr");
        CHECK(mlog_init(&c) == 0);
        mlog_info("through a device");
        CHECK(mlog_flush(-1) == 0);
        ssize_t n = read(p[0], text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        CHECK(dup2(old, fd) == fd);
        CHECK(strncmp(text, "{\"ts\":", 6) == 0 && strstr(text, "through a device") != NULL);
        CHECK(!mlog__flush_all.sink[0].holds);
        c = file_config("/dev/null");
        CHECK(mlog_init(&c) == 0);
        close(old);
        close(p[0]);
    }
}

/* Two processes append to one file: no line is torn, none is missing. */
enum { APPENDED = 20000 };
static void append(void) {
    char filler[200];
    memset(filler, 'f', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    mlog_config c = file_config(temp_path("shared.log"));
    c.full = MLOG_BLOCK; /* nothing is dropped, however busy the machine is */
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < APPENDED; i++) mlog_info("appended", "pid", getpid(), "i", i, "filler", (const char *)filler + i % 200);
}
static void *append_elsewhere(void *unused) {
    CHECK(in_program("append", -1) == 0);
    return unused;
}
static void test_appending(void) {
    const char *shared_path = temp_path("shared.log");
    pthread_t t;
    (void)unlink(shared_path);
    CHECK(pthread_create(&t, NULL, append_elsewhere, NULL) == 0);
    CHECK(in_program("append", -1) == 0);
    pthread_join(t, NULL);
    char *text = slurp(shared_path, NULL);
    size_t n = 0, torn = 0;
    for (char *at = text, *end; *at; at = end + (*end != 0), n++) {
        end = strchrnul(at, '\n');
        torn += strncmp(at, "{\"ts\":", 6) != 0 || end[-1] != '}' || *end != '\n' ||
                memmem(at + 1, (size_t)(end - at - 1), "{\"ts\"", 5) != NULL;
    }
    CHECK_EQ(n, 2 * APPENDED);
    CHECK_EQ(torn, 0);
    free(text);
}

static void test_reopen(void) {
    const char *path = temp_path("rotated.log"), *old = temp_path("rotated.log.1");
    (void)unlink(path), (void)unlink(old);
    mlog_config c = file_config(path);
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < 100; i++) mlog_info("before", "i", i);
    CHECK(mlog_flush(-1) == 0);
    CHECK(rename(path, old) == 0);
    for (int i = 0; i < 10; i++) mlog_info("between", "i", i);
    CHECK(mlog_flush(-1) == 0);
    mlog_reopen();
    for (int i = 0; i < 100; i++) mlog_info("after", "i", i);
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(file_lines(old, NULL), 110);
    CHECK_EQ(file_lines(path, "after"), 100);
    CHECK(rename(path, old) == 0 && mkdir(path, 0700) == 0); /* no file can be made: it goes on with the old one */
    mlog_reopen();
    mlog_info("kept");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(file_lines(old, "kept"), 1);
    CHECK(stats("file").errors > 0);
    CHECK(rmdir(path) == 0);
    mlog_reopen();
    mlog_info("back");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(file_lines(path, "back"), 1);
    /* somebody closes all descriptors and opens other files: they are not written to */
    int ours = mlog__flush_all.sink[0].fd;
    const char *other = temp_path("other.txt");
    (void)unlink(other);
    int fd = open(other, O_RDWR | O_CREAT, 0600);
    CHECK(dup2(fd, ours) == ours);
    mlog_info("to the log");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(file_lines(path, "to the log"), 1);
    CHECK_EQ(file_lines(other, NULL), 0);
    CHECK(fcntl(ours, F_GETFD) >= 0); /* nor closed */
    close(fd);
    close(ours);
}

/* -- errors -- */

static void test_no_space(void) { /* a tiny file system, else a limit on the size of files */
    char dir[600], path[700];
    bool mounted;
    struct rlimit old, small;
    (void)snprintf(dir, sizeof dir, "%s", temp_path("full"));
    (void)mkdir(dir, 0700);
    mounted = mount("none", dir, "tmpfs", 0, "size=64k") == 0;
    (void)snprintf(path, sizeof path, "%s/x.log", dir);
    (void)unlink(path);
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 65536;
    mlog_config c = file_config(path);
    CHECK(mlog_init(&c) == 0);
    if (!mounted) CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (int i = 0; i < 1000; i++) mlog_info("more than there is room for", "i", i);
    CHECK(mlog_flush(300) == -1);
    CHECK(strstr(mlog_why(), "time over") != NULL);
    mlog_sink_stats s = stats("file");
    CHECK(s.errors >= 1 && s.errors < 10); /* counted, backed off: not once a microsecond */
    CHECK_EQ(s.written + s.pending, 1000);
    CHECK(s.pending > 0);
    mlog_stats all;
    mlog_stats_read(&all);
    CHECK(all.sink_errors >= s.errors);
    CHECK_EQ(all.dropped, 0);
    if (mounted) CHECK(mount("none", dir, "tmpfs", MS_REMOUNT, "size=4m") == 0);
    else CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    CHECK(mlog_flush(10000) == 0); /* room again: nothing is lost, nothing twice */
    s = stats("file");
    CHECK_EQ(s.written, 1000);
    CHECK_EQ(s.pending, 0);
    CHECK_EQ(file_lines(path, NULL), 1000);
    char *text = slurp(path, NULL);
    long n = 0, wrong = 0;
    for (const char *at = text; *at; at = strchrnul(at, '\n') + 1, n++) wrong += line_number(at, "i") != n;
    CHECK_EQ(n, 1000);
    CHECK_EQ(wrong, 0);
    free(text);
    c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    if (mounted) CHECK(umount(dir) == 0);
}

static volatile sig_atomic_t signals;
static void on_signal(int s) { (void)s, signals++; }

static void size_limit(void) { /* SIGXFSZ must not end or reach the host */
    struct rlimit small = {30000, RLIM_INFINITY};
    mlog_config c = file_config(temp_path("limited.log"));
    (void)unlink(temp_path("limited.log"));
    signal(SIGXFSZ, on_signal);
    CHECK(mlog_init(&c) == 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (int i = 0; i < 500; i++) mlog_info("limited", "i", i);
    CHECK(mlog_flush(200) == -1);
    CHECK(stats("file").errors > 0);
    small.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(file_lines(temp_path("limited.log"), "limited"), 500);
    CHECK_EQ(signals, 0);
    struct sigaction a;
    CHECK(sigaction(SIGXFSZ, NULL, &a) == 0 && a.sa_handler == on_signal);
}

static void broken_pipe(void) { /* stderr is a pipe whose reader has gone away */
    const char *path = temp_path("beside.log");
    (void)unlink(path);
    signal(SIGPIPE, on_signal);
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_CONSOLE}, {.type = MLOG_FILE, .path = path}}};
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < 1000; i++) mlog_info("heard by the file only", "i", i);
    CHECK(mlog_flush(2000) == 0);
    mlog_sink_stats s = stats("console");
    CHECK(s.errors > 0);
    CHECK_EQ(s.lost + s.written + s.pending, 1000);
    CHECK_EQ(s.written, 0);
    CHECK_EQ(stats("file").written, 1000);
    CHECK_EQ(file_lines(path, NULL), 1000);
    CHECK_EQ(signals, 0);
}

static void test_signals(void) {
    int p[2];
    CHECK(in_program("size_limit", -1) == 0);
    CHECK(pipe(p) == 0);
    close(p[0]);
    CHECK(in_program("broken_pipe", p[1]) == 0);
    close(p[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    close(p[0]);
    CHECK(in_program("broken_pipe", p[1]) == 0);
    close(p[1]);
}

/* -- a console that nobody reads -- */

static void fill_pipe(int fd) {
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, "................................................................", 64) > 0) {}
    while (write(fd, ".", 1) > 0) {}
    (void)fcntl(fd, F_SETFL, flags);
}

static int64_t now_us(void) { return mlog__platform_clock(CLOCK_MONOTONIC) / 1000; }

static void blocked_console(bool unprivileged) { /* the other end of stderr is descriptor 3 */
    int blocked_reader = 3;
    const char *path = temp_path("not_delayed.log");
    (void)unlink(path);
    if (unprivileged) { /* the descriptor cannot be opened again: writes must not block all the same */
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        if (fd >= 0) (void)fchown(fd, 65534, 65534), (void)close(fd);
        CHECK(chmod(getenv("TMPDIR") ? getenv("TMPDIR") : "build/tmp", 0777) == 0);
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    }
    int flags = fcntl(2, F_GETFL);
    mlog_config c = {
        .env = "-", .ring_bytes = 65536, .exit_ms = 100, .sinks = {{.type = MLOG_CONSOLE}, {.type = MLOG_FILE, .path = path}}};
    if (!CHECK(mlog_init(&c) == 0)) {
        printf("    %s\n", mlog_why());
        return;
    }
    fill_pipe(2);
    int64_t longest = 0, slowest = 0;
    enum { N = 10000 };
    for (int i = 0; i < N; i++) {
        int64_t start = now_us();
        mlog_info("many", "i", i);
        int64_t took = now_us() - start;
        if (took > longest) longest = took;
        if (i % 500 == 499) { /* each piece is in the file soon */
            int64_t from = now_us();
            while (stats("file").written < (uint64_t)i + 1 && now_us() - from < 1000000) usleep(200);
            if (now_us() - from > slowest) slowest = now_us() - from;
        }
    }
    printf("blocked console%s: longest call %lld us, file behind by at most %lld us\n",
           unprivileged ? ", not to be opened again" : "", (long long)longest, (long long)slowest);
    CHECK(longest < 90000); /* not even once the deadline of a full queue */
    CHECK(slowest < 500000);
    mlog_sink_stats s = stats("console"), f = stats("file");
    CHECK_EQ(f.written, N);
    CHECK_EQ(s.written + s.lost + s.pending + s.filtered, N);
    CHECK(s.lost > 0);
    CHECK_EQ(fcntl(2, F_GETFL), flags); /* the host's own descriptor is as it was */
    /* the reader comes back: the gap is reported in the stream, and then it goes on */
    static char text[1 << 20];
    size_t got = 0;
    (void)fcntl(blocked_reader, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 300 && strstr(text, "last one") == NULL; i++) {
        ssize_t n = read(blocked_reader, text + got, sizeof text - 1 - got);
        if (n > 0) got += (size_t)n;
        text[got] = 0;
        if (i == 60) mlog_info("last one");
        usleep(n > 0 ? 100 : 5000);
    }
    const char *gap = strstr(text, "records skipped: this sink was too slow");
    CHECK(gap != NULL && strstr(text, "last one") != NULL);
    if (gap == NULL) return;
    s = stats("console");
    CHECK_EQ(line_number(gap, "dropped"), (long long)s.lost);
    CHECK_EQ(line_number(gap, "info"), (long long)s.lost);
    CHECK_EQ(lines(text, "\"msg\":\"many\""), s.written - 1);
}

static void privileged(void) { blocked_console(false); }
static void unprivileged(void) { blocked_console(true); }

static void test_blocked_console(void) {
    for (int i = 0; i < 3; i++) {
        int p[2], three = fcntl(3, F_DUPFD, 10);
        if (i == 1 && getuid() != 0) continue;
        if (i < 2) CHECK(pipe(p) == 0);
        else CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
        int reader = fcntl(p[0], F_DUPFD, 20), writer = fcntl(p[1], F_DUPFD, 20);
        close(p[0]), close(p[1]);
        CHECK(dup2(reader, 3) == 3);
        CHECK(in_program(i == 1 ? "unprivileged" : "privileged", writer) == 0);
        close(reader), close(writer), close(3);
        if (three >= 0) (void)dup2(three, 3), close(three);
    }
}

/* -- callbacks -- */

static struct {
    int calls, flushes, closes, fail_write, fail_flush, nap_ms;
    long next, wrong;
} cb;
static int cb_write(void *user, const mlog_record *r) {
    (void)user;
    int nap = __atomic_load_n(&cb.nap_ms, __ATOMIC_RELAXED);
    if (nap) sleep_ms(nap);
    cb.calls++;
    if (__atomic_load_n(&cb.fail_write, __ATOMIC_RELAXED) > 0 && cb.calls % 7 == 0) {
        __atomic_sub_fetch(&cb.fail_write, 1, __ATOMIC_RELAXED);
        return -1;
    }
    long i = r->nfields ? (long)r->fields[0].value.as.i : -1;
    if (i != cb.next) cb.wrong++;
    cb.next = i + 1;
    return 0;
}
static int cb_flush(void *user) {
    (void)user;
    cb.flushes++;
    if (__atomic_load_n(&cb.fail_flush, __ATOMIC_RELAXED) > 0) {
        __atomic_sub_fetch(&cb.fail_flush, 1, __ATOMIC_RELAXED);
        cb.next = 0; /* the whole batch comes again */
        return -1;
    }
    return 0;
}
static void cb_close(void *user) {
    mlog_stats all;
    CHECK(user == &cb);
    cb.closes++;
    mlog_stats_read(&all); /* may use the library */
    mlog_info("closed");
    CHECK(mlog_named("from.close") != NULL);
}

static void test_callbacks(void) {
    mlog_config c = file_config("/dev/null");
    mlog_sink_config cfg = {
        .name = "cb", .type = MLOG_CALLBACK, .write = cb_write, .flush = cb_flush, .close = cb_close, .user = &cb};
    CHECK(mlog_init(&c) == 0);
    memset(&cb, 0, sizeof cb);
    cb.fail_write = 3;
    mlog_sink *s = mlog_sink_add(&cfg);
    for (int i = 0; i < 100; i++) mlog_info("m", "i", i);
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(cb.next, 100); /* refused ones came again, in order */
    CHECK_EQ(cb.wrong, 0);
    CHECK_EQ(cb.calls, 103);
    CHECK_EQ(stats("cb").written, 100);
    CHECK(stats("cb").errors >= 3);
    CHECK(cb.flushes >= 1);
    mlog_sink_remove(s);
    CHECK_EQ(cb.closes, 1);
    mlog_info("not for it");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(cb.calls, 103);
    memset(&cb, 0, sizeof cb);
    cb.fail_flush = 2;
    s = mlog_sink_add(&cfg);
    for (int i = 0; i < 50; i++) mlog_info("m", "i", i);
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(cb.next, 50);
    CHECK_EQ(cb.wrong, 0);
    CHECK(cb.flushes >= 3);
    CHECK_EQ(stats("cb").written, 50);
    mlog_sink_remove(s);
    CHECK_EQ(cb.closes, 1);
    memset(&cb, 0, sizeof cb);
    s = mlog_sink_add(&cfg);
    CHECK(mlog_shutdown(-1) == 0); /* also closes, once */
    CHECK_EQ(cb.closes, 1);
    CHECK(mlog_init(&c) == 0);
    c.sinks[1] = cfg;
    memset(&cb, 0, sizeof cb);
    CHECK(mlog_init(&c) == 0);
    CHECK(mlog_init(&c) == 0); /* replaced: the first one is closed */
    CHECK_EQ(cb.closes, 1);
    c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    CHECK_EQ(cb.closes, 2);
}

static int from_inside(void *user, const mlog_record *r) {
    if (strcmp(r->msg, "outer") != 0) return 0;
    mlog_stats all;
    mlog_stats_read(&all);
    CHECK(mlog_flush(100) == -1);
    CHECK(strstr(mlog_why(), "callback") != NULL);
    CHECK(mlog_shutdown(100) == -1);
    CHECK(mlog_init(NULL) == -1);
    mlog_sink_remove(*(mlog_sink **)user); /* refused, not a hang */
    mlog_info("inner");
    return 0;
}
static void test_callback_calls_back(void) {
    mlog_config c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    mlog_sink *s = NULL;
    s = mlog_sink_add(&(mlog_sink_config){.name = "in", .type = MLOG_CALLBACK, .write = from_inside, .user = &s});
    mlog_info("outer");
    CHECK(mlog_flush(5000) == 0);
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(stats("in").written, 2);
    mlog_sink_remove(s);
}

/* Runs in a thread of its own, which gets a ring of the configured size. */
static void in_thread(void (*run)(void)) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, (void *(*)(void *))run, NULL) == 0);
    pthread_join(t, NULL);
}

static void slow_callback(void) {
    mlog_config c = file_config(temp_path("beside_slow.log"));
    (void)unlink(c.sinks[0].path);
    c.ring_bytes = 65536;
    CHECK(mlog_init(&c) == 0);
    memset(&cb, 0, sizeof cb);
    __atomic_store_n(&cb.nap_ms, 100, __ATOMIC_RELAXED);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "slow", .type = MLOG_CALLBACK, .write = cb_write});
    int64_t longest = 0, slowest = 0;
    enum { N = 5000 };
    for (int i = 0; i < N; i++) {
        int64_t start = now_us();
        mlog_info("m", "i", i);
        int64_t took = now_us() - start;
        if (took > longest) longest = took;
        if (i % 500 == 499) {
            int64_t from = now_us();
            while (stats("file").written < (uint64_t)i + 1 && now_us() - from < 1000000) usleep(200);
            if (now_us() - from > slowest) slowest = now_us() - from;
        }
    }
    printf("slow callback: longest call %lld us, file behind by at most %lld us\n", (long long)longest, (long long)slowest);
    CHECK(longest < 90000);
    CHECK(slowest < 500000);
    CHECK_EQ(stats("file").written, N);
    mlog_sink_stats r = stats("slow");
    CHECK_EQ(r.written + r.lost + r.pending, N);
    CHECK(r.lost > 0);
    /* while the slow one is being removed (it takes until its callback returns), nobody else waits */
    __atomic_store_n(&cb.nap_ms, 300, __ATOMIC_RELAXED);
    sleep_ms(120);
    int64_t start = now_us();
    pthread_t t;
    CHECK(pthread_create(&t, NULL, (void *(*)(void *))(void (*)(void))mlog_sink_remove, s) == 0);
    sleep_ms(20);
    __atomic_store_n(&cb.nap_ms, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 10; i++) {
        int64_t from = now_us();
        mlog_info("meanwhile");
        while (stats("file").written < (uint64_t)N + (uint64_t)i + 1 && now_us() - from < 1000000) usleep(200);
        if (!CHECK(now_us() - from < 100000)) printf("    %lld us\n", (long long)(now_us() - from));
    }
    pthread_join(t, NULL);
    printf("removed after %lld us\n", (long long)(now_us() - start));
}

/* A callback that was too slow is told what it missed. */
static struct { long seen, skipped, reports; } gap_cb;
static int gap_write(void *user, const mlog_record *r) {
    (void)user;
    if (strstr(r->msg, "records skipped") != NULL) {
        gap_cb.reports++;
        gap_cb.skipped += (long)r->fields[0].value.as.u;
        return 0;
    }
    gap_cb.seen++;
    if (gap_cb.seen == 1) sleep_ms(200);
    return 0;
}
static void callback_gap(void) {
    mlog_config c = file_config("/dev/null");
    c.ring_bytes = 16384;
    CHECK(mlog_init(&c) == 0);
    CHECK(mlog_thread(&(mlog_thread_config){.name = "gap"}) == 0);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "gap", .type = MLOG_CALLBACK, .write = gap_write});
    for (int i = 0; i < 50000; i++) mlog_info("m", "i", i);
    mlog_sink_stats r = stats("gap");
    CHECK(mlog_flush(5000) == 0);
    mlog_info("last");
    CHECK(mlog_flush(5000) == 0);
    r = stats("gap");
    CHECK_EQ(r.written, gap_cb.seen);
    CHECK_EQ(r.lost, gap_cb.skipped);
    CHECK_EQ(r.written + r.lost, 50001);
    CHECK(gap_cb.reports > 0);
    mlog_sink_remove(s);
}

/* Thread and number of a record are those of its caller, also when the callback is late and the ring belongs to another by then.
 */
static struct { long calls, wrong; } who;
static int who_write(void *user, const mlog_record *r) {
    (void)user;
    who.calls++;
    if (r->nfields != 2 || strncmp(r->thread, r->fields[0].value.as.p, 31) != 0 || (int64_t)r->tid != r->fields[1].value.as.i)
        who.wrong++;
    sleep_ms(2);
    return 0;
}
static void *named_thread(void *n) {
    char name[16];
    (void)snprintf(name, sizeof name, "t%d", *(int *)n);
    CHECK(mlog_thread(&(mlog_thread_config){.name = name}) == 0);
    for (int i = 0; i < 10; i++) mlog_info("mine", "name", (const char *)name, "tid", (int)mlog__platform_tid());
    return NULL;
}
static void test_owner(void) {
    mlog_config c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "who", .type = MLOG_CALLBACK, .write = who_write});
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        CHECK(pthread_create(&t, NULL, named_thread, &i) == 0);
        pthread_join(t, NULL);
        sleep_ms(3);
    }
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(who.calls, 200);
    CHECK_EQ(who.wrong, 0);
    mlog_sink_remove(s);
}

/* -- sinks that come and go while four threads log -- */

#ifdef MLOG__SANITIZED
enum { SLOW = 20 };
#else
enum { SLOW = 1 };
#endif
enum { THREADS = 4 };
static uint64_t begun[THREADS], ended[THREADS], stop; /* calls begun and ended, by thread */
static void *busy(void *at) {
    uint64_t t = (uint64_t)(uintptr_t)at;
    for (uint64_t i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        __atomic_store_n(&begun[t], i + 1, __ATOMIC_SEQ_CST);
        mlog_info("busy", "t", t, "i", i);
        __atomic_store_n(&ended[t], i + 1, __ATOMIC_SEQ_CST);
        if (i % 16 == 0) usleep(SLOW * 100);
    }
    return NULL;
}
typedef struct {
    uint64_t first[THREADS], next[THREADS], missing, skipped, doubled, calls;
} witness;
static int witness_write(void *user, const mlog_record *r) {
    witness *w = user;
    if (strstr(r->msg, "records skipped") != NULL)
        __atomic_add_fetch(&w->skipped, r->fields[0].value.as.u, __ATOMIC_RELAXED); /* on a machine that is busy enough */
    if (strcmp(r->msg, "busy") != 0) return 0;
    uint64_t t = r->fields[0].value.as.u, i = r->fields[1].value.as.u;
    if (w->next[t] == 0) w->first[t] = i;
    else if (w->next[t] > i) w->doubled++;
    else w->missing += i - w->next[t];
    w->next[t] = i + 1;
    w->calls++;
    return 0;
}
static void test_come_and_go(void) {
    pthread_t t[THREADS];
    mlog_config c = file_config("/dev/null");
    c.full = MLOG_BLOCK; /* on a busy machine the flusher may not run for longer than a ring lasts */
    CHECK(mlog_init(&c) == 0);
    for (uint64_t i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, busy, (void *)(uintptr_t)i) == 0);
    sleep_ms(5);
    for (int round = 0; round < 25 / (SLOW > 1 ? 2 : 1); round++) {
        witness w = {0};
        uint64_t before[THREADS], after[THREADS], latest[THREADS];
        const char *path = temp_path("come.log");
        (void)unlink(path);
        mlog_sink *f = mlog_sink_add(&(mlog_sink_config){.name = "come", .type = MLOG_FILE, .path = path});
        mlog_sink *s =
            mlog_sink_add(&(mlog_sink_config){.name = "witness", .type = MLOG_CALLBACK, .write = witness_write, .user = &w});
        if (!CHECK(s != NULL && f != NULL)) break;
        for (int i = 0; i < THREADS; i++) before[i] = __atomic_load_n(&begun[i], __ATOMIC_SEQ_CST);
        for (int i = 0; i < 10; i++) {
            sleep_ms(1);
            uint64_t skipped = __atomic_load_n(&w.skipped, __ATOMIC_RELAXED);
            mlog_sink_stats a = stats("witness"), b = stats("come");
            CHECK(b.lost == 0 && a.lost >= skipped);
        }
        for (int i = 0; i < THREADS; i++) after[i] = __atomic_load_n(&ended[i], __ATOMIC_SEQ_CST);
        mlog_sink_remove(s);
        mlog_sink_remove(f);
        for (int i = 0; i < THREADS; i++) latest[i] = __atomic_load_n(&begun[i], __ATOMIC_SEQ_CST);
        uint64_t calls = w.calls;
        for (int i = 0; i < THREADS; i++) {
            if (after[i] <= before[i] || w.skipped != 0) continue;
            CHECK(w.first[i] <= before[i]);                         /* the first call that began after the add at the latest */
            CHECK(w.next[i] >= after[i] && w.next[i] <= latest[i]); /* and the last that ended before the remove */
        }
        CHECK_EQ(w.doubled, 0); /* exactly once, in order, or reported */
        CHECK(w.missing <= w.skipped);
        char *text = slurp(path, NULL);
        uint64_t at[THREADS] = {0}, wrong = 0;
        for (const char *p = text; *p; p = strchrnul(p, '\n') + 1) {
            long long k = line_number(p, "t"), i = line_number(p, "i");
            if (k < 0) continue;
            wrong += at[k] != 0 && at[k] != (uint64_t)i;
            at[k] = (uint64_t)i + 1;
        }
        CHECK_EQ(wrong, 0);
        free(text);
        sleep_ms(2);
        CHECK_EQ(w.calls, calls); /* its callbacks do not run again */
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
}

/* accepted = written + filtered + folded + lost + pending, for each sink, whenever one looks. */
static void accounting(void) {
    const char *path = temp_path("accounted.log"), *const names[] = {"file", "errors", "null", "slow", "refuses"};
    (void)unlink(path);
    mlog_config c = {.env = "-",
                     .levels = "debug",
                     .ring_bytes = 32768,
                     .full = MLOG_BLOCK,
                     .sinks = {{.type = MLOG_FILE, .path = path},
                               {.name = "errors", .type = MLOG_FILE, .path = temp_path("errors.log"), .level = MLOG_ERROR},
                               {.type = MLOG_NULL, .level = MLOG_WARN},
                               {.name = "slow", .type = MLOG_CALLBACK, .write = cb_write, .level = MLOG_INFO},
                               {.name = "refuses", .type = MLOG_CALLBACK, .write = cb_write, .flush = cb_flush}}};
    memset(&cb, 0, sizeof cb);
    cb.fail_write = cb.fail_flush = 1000;
    CHECK(mlog_init(&c) == 0);
    uint64_t calls = 0;
    for (int i = 0; i < 3000; i++) {
        int level = i % 10 == 0 ? MLOG_ERROR : i % 3 == 0 ? MLOG_WARN : i % 2 ? MLOG_INFO : MLOG_DEBUG;
        mlog(level, "m", "i", i);
        calls++;
        if (i % 16 != 0) continue;
        mlog_stats all;
        mlog_stats_read(&all);
        for (int k = 0; k < 5; k++) {
            mlog_sink_stats s = stats(names[k]);
            if (CHECK_EQ(s.written + s.filtered + s.folded + s.lost + s.pending, calls)) continue;
            printf("    %s\n", names[k]);
            return;
        }
    }
    __atomic_store_n(&cb.fail_write, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&cb.fail_flush, 0, __ATOMIC_RELAXED);
    c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    CHECK_EQ(file_lines(path, NULL), calls);
}

static void test_many(void) {
    mlog_config c = file_config("/dev/null");
    CHECK(mlog_init(&c) == 0);
    mlog_sink *s[16];
    for (int i = 0; i < 15; i++) CHECK((s[i] = mlog_sink_add(&(mlog_sink_config){.name = "same", .type = MLOG_NULL})) != NULL);
    CHECK(mlog_sink_add(&(mlog_sink_config){.name = "17th", .type = MLOG_NULL}) == NULL);
    CHECK(strstr(mlog_why(), "at most 16 sinks") != NULL);
    mlog_info("for all of them");
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(stats("same").written, 1); /* of one name: the first */
    for (int i = 0; i < 15; i++) mlog_sink_remove(s[i]);
    mlog_sink_stats r;
    CHECK(mlog_sink_stats_read("same", &r) == -1);
    CHECK(strstr(mlog_why(), "no such sink") != NULL);
    CHECK(mlog_sink_stats_read(NULL, &r) == -1);
    mlog_sink_remove(NULL);
}

/* -- no configuration -- */

static void plain(void) {
    mlog_warn("plain \xe2\x82\xac", "k", "v w");
    mlog_flush(-1);
}

static bool on_terminal(const char *const *env) {
    int master, slave;
    char text[2000] = "";
    static const char *const names[] = {"NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "TERM", NULL};
    for (int i = 0; names[i]; i++) (void)unsetenv(names[i]);
    for (; *env; env += 2) (void)setenv(env[0], env[1], 1);
    CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
    CHECK(in_program("plain", slave) == 0);
    ssize_t n = read(master, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(slave);
    close(master);
    CHECK(strstr(text, "plain \xe2\x82\xac") != NULL && strstr(text, "WARN") != NULL && text[0] != '{');
    return strchr(text, '\x1b') != NULL;
}
#define TERMINAL(...) on_terminal((const char *const[]){__VA_ARGS__})

static void test_no_configuration(void) {
    CHECK(TERMINAL("TERM", "xterm", NULL));
    CHECK(TERMINAL(NULL, NULL));
    CHECK(!TERMINAL("NO_COLOR", "1", NULL));
    CHECK(!TERMINAL("NO_COLOR", "1", "FORCE_COLOR", "1", NULL));
    CHECK(TERMINAL("NO_COLOR", "", NULL));
    CHECK(!TERMINAL("CLICOLOR", "0", NULL));
    CHECK(TERMINAL("CLICOLOR", "0", "CLICOLOR_FORCE", "1", NULL));
    CHECK(!TERMINAL("TERM", "dumb", NULL));
    CHECK(TERMINAL("TERM", "dumb", "FORCE_COLOR", "1", NULL));
    CHECK(!TERMINAL("TERM", "xterm", "FORCE_COLOR", "0", NULL));
    int p[2];
    char text[2000];
    (void)setenv("TERM", "xterm", 1);
    (void)unsetenv("FORCE_COLOR");
    CHECK(pipe(p) == 0);
    CHECK(in_program("plain", p[1]) == 0);
    close(p[1]);
    ssize_t n = read(p[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(p[0]);
    CHECK(strncmp(text, "{\"ts\":", 6) == 0 && strstr(text, "\"k\":\"v w\"}\n") != NULL && strchr(text, '\x1b') == NULL);
}

static void host_and_us(void) {
    for (int i = 0; i < 50; i++) {
        dprintf(2, "host %d\n", i);
        mlog_info("ours", "i", i);
        CHECK(mlog_flush(-1) == 0);
    }
}
static void closed_stderr(void) {
    close(2);
    mlog_info("nobody hears this");
    CHECK(mlog_flush(1000) == 0);
}
static void test_shared_stderr(void) { /* stderr is a file, opened without O_APPEND: host and library share its offset */
    const char *path = temp_path("stderr.txt");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(in_program("host_and_us", fd) == 0);
    close(fd);
    CHECK_EQ(file_lines(path, NULL), 100);
    CHECK_EQ(file_lines(path, "host "), 50);
    CHECK_EQ(file_lines(path, "\"msg\":\"ours\""), 50);
    CHECK(in_program("closed_stderr", -1) == 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} programs[] = {{"append", append},
                {"refused_first", refused_first},
                {"size_limit", size_limit},
                {"broken_pipe", broken_pipe},
                {"privileged", privileged},
                {"unprivileged", unprivileged},
                {"plain", plain},
                {"host_and_us", host_and_us},
                {"closed_stderr", closed_stderr}};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof programs / sizeof *programs; i++) {
        if (strcmp(argv[1], programs[i].name) != 0) continue;
        programs[i].run();
        fflush(stdout);
        return check_failed != 0;
    }
    test_file();
    test_refused();
    test_refused_first();
    test_devices();
    test_appending();
    test_reopen();
    test_no_space();
    test_signals();
    test_blocked_console();
    test_callbacks();
    test_callback_calls_back();
    in_thread(slow_callback);
    in_thread(callback_gap);
    in_thread(accounting);
    test_owner();
    test_come_and_go();
    test_many();
    test_no_configuration();
    test_shared_stderr();
    return done();
}
