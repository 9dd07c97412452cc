/* Section shim, syslog: its calls as records. Whether the original says the same is compared in tests/shim.sh. */
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_SYSLOG
#include "../metalog.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include "output.h"

#pragma GCC diagnostic ignored "-Wformat" /* bad formats are what this is about */
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#pragma GCC diagnostic ignored "-Wformat-security"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wformat-overflow" /* NULL as format */
#endif

/* The one new record: its message, level, source, and what stands behind the thread. */
static void is(const char *msg, const char *level, const char *source, const char *fields, int line) {
    out_look();
    check(lines(out_json, NULL) == 1, "one record", __FILE__, line);
    int same = out_same(out_get("msg"), strlen(out_get("msg")), msg, "message", __FILE__, line);
    same &= out_same(out_get("level"), strlen(out_get("level")), level, "level", __FILE__, line);
    same &= out_same(out_get("source"), strlen(out_get("source")), source, "source", __FILE__, line);
    same &= out_fields(fields, __FILE__, line);
    if (!same) printf("    %s", out_json);
}
#define IS(msg, level, source, fields) is(msg, level, source, fields, __LINE__)

static const char *me(const char *format) {
    static char text[4][200];
    static int next;
    char *to = text[next++ % 4];
    (void)snprintf(to, sizeof text[0], format, (int)getpid());
    return to;
}

static void test_priorities(void) {
    static const char *const level[] = {"fatal", "alert", "crit", "error", "warn", "notice", "info", "debug"};
    for (int i = 0; i < 8; i++) {
        syslog(i, "severity %d", i);
        char msg[40];
        (void)snprintf(msg, sizeof msg, "severity %d", i);
        IS(msg, level[i], "tests", ",\"facility\":\"user\"");
    }
    openlog("daemond", 0, LOG_LOCAL3);
    syslog(LOG_INFO, "default");
    IS("default", "info", "daemond", ",\"facility\":\"local3\"");
    syslog(LOG_AUTHPRIV | LOG_WARNING, "own");
    IS("own", "warn", "daemond", ",\"facility\":\"authpriv\"");
    syslog((12 << 3) | LOG_ERR, "unnamed in glibc");
    IS("unnamed in glibc", "error", "daemond", ",\"facility\":\"ntp\"");
    syslog((100 << 3) | LOG_ERR, "unnamed");
    IS("unnamed", "error", "daemond", ",\"facility\":100");
    openlog(NULL, 0, LOG_DAEMON); /* keeps the ident */
    syslog(LOG_NOTICE, "kept");
    IS("kept", "notice", "daemond", ",\"facility\":\"daemon\"");
    syslog(0x10000 | LOG_INFO, "too many bits");
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2);
    CHECK(strstr(out_json, "\"msg\":\"syslog: unknown facility/priority: 10006\"") != NULL);
    CHECK(strstr(out_json, "\"msg\":\"too many bits\"") != NULL);
    closelog();
    syslog(LOG_INFO, "closed");
    IS("closed", "info", "tests", ",\"facility\":\"daemon\"");
}

static void test_mask(void) {
    CHECK_EQ(setlogmask(LOG_UPTO(LOG_WARNING)), 0xFF);
    CHECK_EQ(setlogmask(0), LOG_UPTO(LOG_WARNING));
    syslog(LOG_INFO, "masked");
    errno = EBADF;
    syslog(LOG_LOCAL0 | LOG_NOTICE, "masked %m");
    CHECK_EQ(errno, EBADF);
    syslog(LOG_ERR, "passes");
    IS("passes", "error", "tests", ",\"facility\":\"daemon\"");
    CHECK_EQ(setlogmask(0xFF), LOG_UPTO(LOG_WARNING));
}

static void test_ident(void) {
    char ident[200] = "one";
    openlog(ident, LOG_PID, LOG_USER);
    syslog(LOG_INFO, "a");
    IS("a", "info", "one", me(",\"pid\":%d,\"facility\":\"user\""));
    strcpy(ident, "two"); /* the original reads it at each call */
    syslog(LOG_INFO, "b");
    IS("b", "info", "two", me(",\"pid\":%d,\"facility\":\"user\""));
    memset(ident, 'x', sizeof ident - 1);
    syslog(LOG_INFO, "c");
    ident[63] = 0; /* what is kept of it */
    IS("c", "info", ident, me(",\"pid\":%d,\"facility\":\"user\""));
    strcpy(ident, "child");
    (void)mlog_flush(-1);
#ifndef TSAN /* has no threads in children */
    pid_t pid = fork();
    if (pid == 0) {
        syslog(LOG_INFO, "d");
        _exit(mlog_flush(5000) != 0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    char fields[80];
    (void)snprintf(fields, sizeof fields, ",\"pid\":%d,\"facility\":\"user\"", (int)pid);
    IS("d", "info", "child", fields);
#endif
    mlog_with("request", 7);
    syslog(LOG_INFO, "in a context");
    IS("in a context", "info", "child", me(",\"request\":7,\"pid\":%d,\"facility\":\"user\""));
    openlog("tests", 0, LOG_USER);
}

static void test_text(void) {
#define FIELDS ",\"facility\":\"user\""
    for (int i = 0; i < 3; i++) { /* as new, as it gets its place, and from there */
        errno = ENOENT;
        syslog(LOG_ERR, "cannot open %s: %m\n", "x");
        CHECK_EQ(errno, ENOENT);
        IS("cannot open x: No such file or directory", "error", "tests", FIELDS);
        syslog(LOG_INFO, "%s", "newline in the argument\n");
        IS("newline in the argument", "info", "tests", FIELDS);
        syslog(LOG_INFO, "%2$s before %1$d", 7, "text");
        IS("text before 7", "info", "tests", FIELDS);
        char bytes[4] = {'a', 'b', 'c', 'd'}; /* no NUL */
        syslog(LOG_INFO, "%.4s %.*s|%5d|%-5s|%05.1f|%Lg|%ls|%c|%p|%hhd|%zu|%%", bytes, 2, bytes, 42, "ab", 3.14, (long double)0.5, L"wide",
               'c', (void *)0, 300, sizeof bytes);
        IS("abcd ab|   42|ab   |003.1|0.5|wide|c|(nil)|44|4|%", "info", "tests", FIELDS);
        syslog(LOG_INFO, "a string that is %s", (char *)NULL);
        IS("a string that is (null)", "info", "tests", FIELDS);
        syslog(LOG_INFO, "17 %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
        IS("17 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "info", "tests", FIELDS);
        errno = EACCES;
        syslog(LOG_INFO, "16 %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %m", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        IS("16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 Permission denied", "info", "tests", FIELDS);
    }
    size_t n = 100000;
    char *big = malloc(n + 1);
    memset(big, 'y', n);
    big[n] = 0;
    syslog(LOG_INFO, "%s", big);
    out_look();
    CHECK_EQ(strlen(out_json) > n, 1);
    CHECK(strstr(out_json, "yyyy\",\"source\"") != NULL);
    syslog(LOG_INFO, big); /* a long format */
    out_look();
    CHECK_EQ(strlen(out_json) > n, 1);
    free(big);
}

/* What no program should do, and some do. */
static void test_bad_formats(void) {
    int written = 5;
    for (int i = 0; i < 3; i++) {
        syslog(LOG_INFO, NULL);
        IS("(null format)", "info", "tests", FIELDS);
        syslog(LOG_INFO, "%d%n %s", 1, &written, "in step");
        IS("1%n in step", "info", "tests", FIELDS ",\"format_error\":\"%n is refused at byte 2\"");
        CHECK_EQ(written, 5);
        syslog(LOG_INFO, "%d %y %s", 1, 2, 3); /* whose is 3? nobody knows: it is not read */
        IS("1 %y (missing)", "info", "tests", FIELDS ",\"format_error\":\"unknown conversion at byte 3\"");
        syslog(LOG_INFO, "100 %");
        IS("100 %", "info", "tests", FIELDS ",\"format_error\":\"format ends inside a conversion at byte 4\"");
    }
}

/* A buffer as format, over and over: the text decides, not the address. */
static void test_reused_buffer(void) {
    static char format[64];
    (void)mlog_flush(-1);
    out_skip();
    for (int i = 0; i < 2000; i++) {
        if (i % 7 < 3) (void)snprintf(format, sizeof format, "who=%%d n=%%d text%%s");
        else if (i % 7 < 5) (void)snprintf(format, sizeof format, "who=%%d n=%%d %%s text");
        else (void)snprintf(format, sizeof format, "who=%%d n=%%d %d %%s", i);
        syslog(LOG_INFO, format, 1, i, "!");
    }
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2000);
    int wrong = 0, i = 0;
    for (const char *p = out_json; *p; p = strchr(p, '\n') + 1, i++) {
        char want[80];
        if (i % 7 < 3) (void)snprintf(want, sizeof want, "\"msg\":\"who=1 n=%d text!\"", i);
        else if (i % 7 < 5) (void)snprintf(want, sizeof want, "\"msg\":\"who=1 n=%d ! text\"", i);
        else (void)snprintf(want, sizeof want, "\"msg\":\"who=1 n=%d %d !\"", i, i);
        wrong += memmem(p, (size_t)(strchrnul(p, '\n') - p), want, strlen(want)) == NULL;
    }
    CHECK_EQ(wrong, 0);
    /* more formats than there are places */
    char(*many)[32] = malloc(2000 * sizeof *many);
    for (int round = 0; round < 3; round++)
        for (int k = 0; k < 2000; k++) {
            if (round == 0) (void)snprintf(many[k], sizeof many[k], "format %d of %%d", k);
            syslog(LOG_INFO, many[k], k);
        }
    out_look();
    CHECK_EQ(lines(out_json, NULL), 6000);
    i = wrong = 0;
    for (const char *p = out_json; *p; p = strchr(p, '\n') + 1, i++) {
        char want[80];
        (void)snprintf(want, sizeof want, "\"msg\":\"format %d of %d\"", i % 2000, i % 2000);
        wrong += memmem(p, (size_t)(strchrnul(p, '\n') - p), want, strlen(want)) == NULL;
    }
    CHECK_EQ(wrong, 0);
    free(many);
}

/* What LOG_PERROR leaves on descriptor 2. */
static char *said(int options, int priority, const char *format, const char *arg) {
    const char *path = temp_path("stderr.txt");
    (void)unlink(path);
    int keep = dup(2), fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 2);
    openlog("tests", options, LOG_USER);
    errno = EPERM;
    syslog(priority, format, arg);
    (void)dup2(keep, 2);
    (void)close(keep);
    (void)close(fd);
    return slurp(path, NULL);
}

static void test_perror(void) {
    char *text = said(LOG_PERROR, LOG_INFO, "to %s: %m\n", "both");
    CHECK(SAME(text, "tests: to both: Operation not permitted\n"));
    free(text);
    text = said(LOG_PERROR | LOG_PID, LOG_INFO, "with %s", "pid");
    CHECK(SAME(text, me("tests[%d]: with pid\n")));
    free(text);
    text = said(0, LOG_INFO, "without %s", "it");
    CHECK(SAME(text, ""));
    free(text);
    (void)setlogmask(LOG_MASK(LOG_ERR));
    text = said(LOG_PERROR, LOG_INFO, "masked %s", "out");
    CHECK(SAME(text, ""));
    free(text);
    (void)setlogmask(0xFF);
    text = said(LOG_PERROR, LOG_INFO, "%n was said", NULL);
    CHECK(SAME(text, "tests: %n was said\n"));
    free(text);
    out_look();
    CHECK_EQ(lines(out_json, NULL), 4);
    openlog("tests", 0, LOG_USER);
}

static volatile sig_atomic_t handled;
static void on_alarm(int number) {
    (void)number;
    syslog(LOG_WARNING, "who=%d n=%d in a %s", 2, (int)handled, "handler");
    handled = handled + 1;
}

/* The original may not be called there. */
static void test_handler(void) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    out_skip();
    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &often, NULL);
    int n = 0;
    for (int64_t end = now_ms() + 300; now_ms() < end && n < 3000; n++) {
        syslog(LOG_INFO, "who=%d n=%d %s", 1, n, "outside");
        if (n % 16 == 0) sleep_ms(1);
    }
    (void)setitimer(ITIMER_REAL, &never, NULL);
    (void)signal(SIGALRM, SIG_DFL);
    out_look();
    CHECK_EQ(lines(out_json, "who=1"), n);
    CHECK_EQ(lines(out_json, "who=2"), handled);
    CHECK(handled > 10);
    CHECK_EQ(lines(out_json, "in a handler\""), handled);
}

static void *talk(void *arg) {
    int who = (int)(intptr_t)arg;
    for (int i = 0; i < 500; i++) {
        syslog(LOG_INFO, "thread %d says %d", who, i);
        syslog(LOG_INFO, "thread %d has %s", who, "text");
        if (i % 50 == 0) openlog(who % 2 ? "odd" : "even", who % 2 ? LOG_PID : 0, LOG_USER);
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t thread[4];
    out_skip();
    for (int i = 0; i < 4; i++) (void)pthread_create(&thread[i], NULL, talk, (void *)(intptr_t)i);
    for (int i = 0; i < 4; i++) (void)pthread_join(thread[i], NULL);
    out_look();
    CHECK_EQ(lines(out_json, " says "), 2000);
    CHECK_EQ(lines(out_json, " has text\""), 2000);
}

/* Formats that have places, in a child, and behind a restart of the library. */
static void test_again(void) {
    openlog("tests", 0, LOG_USER);
    for (int i = 0; i < 4; i++) {
        if (i == 2) CHECK(mlog_shutdown(5000) == 0);
        if (i == 2) CHECK(out_begin((mlog_config){.levels = "trace"}) == 0);
        syslog(LOG_INFO, "again %d %s", i, "and again");
        char msg[40];
        (void)snprintf(msg, sizeof msg, "again %d and again", i);
        IS(msg, "info", "tests", FIELDS);
    }
    (void)mlog_flush(-1);
#ifndef TSAN
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 3; i++) syslog(LOG_INFO, "child %d %s", i, "says");
        exit(0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    out_look();
    CHECK_EQ(lines(out_json, "says\""), 3);
#endif
}

/* The old line, for scripts that read it. */
static void test_layout(void) {
    const char *path = temp_path("messages");
    (void)unlink(path);
    mlog_config c = {.levels = "trace", .env = "-", .sinks = {{.type = MLOG_FILE, .path = path, .format = MLOG_PATTERN,
                     .pattern = "%d(%b %e) %(syslogtag)s %(facility)s.%v: %m"}}};
    CHECK(mlog_init(&c) == 0);
    openlog("tests", LOG_PID, LOG_MAIL);
    syslog(LOG_ERR, "queue %s is full\n", "a");
    CHECK(mlog_flush(5000) == 0);
    char *text = slurp(path, NULL), want[100];
    (void)snprintf(want, sizeof want, " tests[%d]: mail.error: queue a is full\n", (int)getpid());
    CHECK(strlen(text) > 7 && SAME(text + 6, want));
    free(text);
    CHECK(mlog_levels("error,tests=crit") == 0); /* the ident is the source of rules */
    syslog(LOG_ERR, "not now");
    syslog(LOG_CRIT, "but now");
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(file_lines(path, "not now"), 0);
    CHECK_EQ(file_lines(path, "but now"), 1);
}

/* Calls below their rule are kept by the flight recorder, as those of any site are; without one they are not made. */
static void test_recorder(int level) {
    const char *path = temp_path("recorded");
    (void)unlink(path);
    mlog_config c = {.env = "-", .recorder_level = level, .sinks = {{.type = MLOG_FILE, .path = path}}};
    CHECK(mlog_init(&c) == 0 && mlog_levels("trace,quiet=info,silent=off") == 0);
    openlog("silent", 0, LOG_USER);
    syslog(LOG_ERR, "off");
    openlog("quiet", 0, LOG_USER);
    for (int i = 0; i < 4; i++) syslog(LOG_DEBUG, "detail %d", i); /* the first two carry their format */
    syslog(LOG_INFO, "plain");
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(file_lines(path, NULL), 1);
    syslog(LOG_ERR, "boom");
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(file_lines(path, NULL), level == 0 ? 2 : 6);
    CHECK_EQ(file_lines(path, "\"recorder\":true"), level == 0 ? 0 : 4);
    char *text = slurp(path, NULL);
    const char *at = strstr(text, "\"msg\":\"detail 3\"");
    CHECK(level == 0 ? at == NULL : at != NULL && strstr(at, "\"msg\":\"boom\"") != NULL);
    CHECK(strstr(text, "\"off\"") == NULL);
    free(text);
}

int main(void) {
    program_invocation_short_name = (char *)(uintptr_t)"tests";
    if (!CHECK(out_begin((mlog_config){.levels = "trace"}) == 0)) return done();
    test_priorities();
    test_mask();
    test_ident();
    test_text();
    test_bad_formats();
    test_reused_buffer();
    test_perror();
    test_handler();
    test_threads();
    test_again();
    STRICT(out_json_path);
    test_layout();
    test_recorder(0);
    test_recorder(MLOG_DEBUG);
    return done();
}
