/* printf_pairs: arguments of printf-style calls as fields, beside the message. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"
#include <signal.h>
#include <sys/wait.h>

static const mlog_config with = {.printf_pairs = MLOG_YES, .now = out_clock};

static void by_list(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}

/* What stands behind the thread's number in the only new line, and the line's message. */
static void shows(const char *msg, const char *fields, int line) {
    char want[512];
    const char *at;
    out_look();
    (void)snprintf(want, sizeof want, "\"msg\":\"%s\"", msg);
    int ok = lines(out_json, NULL) == 1 && strstr(out_json, want) != NULL && (at = strstr(out_json, "\"thread\":")) != NULL;
    if (ok) {
        at += strcspn(at, ",}");
        (void)snprintf(want, sizeof want, "%s}\n", fields);
        ok = strcmp(at, want) == 0;
    }
    check(ok, fields, __FILE__, line);
    if (!ok) printf("    %s", out_json);
}
#define SHOWS(msg, fields) shows(msg, fields, __LINE__)

static void test_names(void) {
    mlog_infof("user=%s took %d ms", "ann", 12);
    SHOWS("user=ann took 12 ms", ",\"user\":\"ann\",\"arg2\":12");
    mlog_infof("nothing");
    SHOWS("nothing", "");
    mlog_infof("100%% of a=%d", 1);
    SHOWS("100% of a=1", ",\"a\":1");
    mlog_infof("a=%d,b.c=%u;d-e_2=[%ld] (f=%i)", 1, 2u, 3L, -4);
    SHOWS("a=1,b.c=2;d-e_2=[3] (f=-4)", ",\"a\":1,\"b.c\":2,\"d-e_2\":3,\"f\":-4");
    mlog_infof("name='%s' addr=0x%x id=#%d =%d %d=%d", "x y", 255, 7, 1, 2, 3);
    SHOWS("name='x y' addr=0xff id=#7 =1 2=3", ",\"name\":\"x y\",\"addr\":255,\"id\":7,\"arg4\":1,\"arg5\":2,\"arg6\":3");
    mlog_infof("7=%d 7a=%d _=%d", 1, 2, 3); /* a name begins with a letter or _ */
    SHOWS("7=1 7a=2 _=3", ",\"arg1\":1,\"a\":2,\"_\":3");
    mlog_infof("n=%d n=%d msg=%s", 1, 2, "m");
    SHOWS("n=1 n=2 msg=m", ",\"n\":1,\"n_2\":2,\"msg_2\":\"m\"");
}

static void test_values(void) {
    errno = ENOENT;
    mlog_infof("c=%c h=%hhd u=%u f=%.1f L=%.2Lf w=%*d p=%.*s e=%m", 'x', (signed char)44, 0xFFFFFFFFu, 2.25, 1.5L, 5, 42, 2, "abc");
    SHOWS("c=x h=44 u=4294967295 f=2.2 L=1.50 w=   42 p=ab e=No such file or directory",
          ",\"c\":\"x\",\"h\":44,\"u\":4294967295,\"f\":2.25,\"L\":1.5,\"w\":42,\"p\":\"ab\"");
    mlog_infof("s=%s p=%p q=%p", (char *)NULL, (void *)0x10, (void *)0);
    SHOWS("s=(null) p=0x10 q=(nil)", ",\"s\":null,\"p\":\"0x10\",\"q\":null");
    mlog_infof("b=%2$d a=%1$d b=%2$d", 1, 2);
    SHOWS("b=2 a=1 b=2", ",\"a\":1,\"b\":2");
    mlog_infof("password=%s pin=%d", "hunter2", 1234);
    SHOWS("password=[redacted] pin=1234", ",\"password\":\"[redacted]\",\"pin\":1234");
}

static void test_list(void) {
    by_list("user=%s took %d ms", "bob", 3);
    SHOWS("user=bob took 3 ms", ",\"user\":\"bob\",\"arg2\":3");
    by_list("c=%c h=%hhd u=%u L=%.1Lf w=%*d", 'y', 300, -1, 0.5L, 3, 7);
    SHOWS("c=y h=44 u=4294967295 L=0.5 w=  7", ",\"c\":\"y\",\"h\":44,\"u\":4294967295,\"L\":0.5,\"w\":7");
    by_list("token=%d", 5); /* what a run-time format shows is its own business; the pair is redacted */
    SHOWS("token=5", ",\"token\":\"[redacted]\"");
    by_list("nothing at all");
    SHOWS("nothing at all", "");
    mlog_with("user", "outer");
    by_list("user=%s", "inner");
    SHOWS("user=inner", ",\"user\":\"outer\",\"user_2\":\"inner\"");
}

static void test_formats(void) {
    mlog_infof("qty=%d of %s", 3, "apples");
    out_look();
    CHECK(strstr(out_pretty, "qty=3 of apples  qty=3 arg2=apples  (") != NULL);
    mlog_logger *lg = mlog_bind(mlog_named("shop"), "till", 4);
    mlog_tof(lg, MLOG_WARN, "qty=%d", 9);
    SHOWS("qty=9", ",\"till\":4,\"qty\":9");
    mlog_unbind(lg);
    mlog_capture *c = mlog_capture_begin(NULL);
    for (int i = 0; i < 10; i++) mlog_infof("qty=%d", i);
    CHECK_EQ(mlog_capture_count(c, "qty>6"), 3);
    CHECK_EQ(mlog_capture_count(c, "has qty and msg='qty=1'"), 1);
    mlog_capture_end(c);
}

static void again(int n) { mlog_infof("again=%d", n); } /* one site, before and behind a change */

static void test_filter(void) { /* decided from the ring, before anything is formatted */
    static char path[512];
    (void)snprintf(path, sizeof path, "%s", temp_path("some.log"));
    (void)unlink(path);
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "some", .type = MLOG_FILE, .format = MLOG_LOGFMT, .path = path, .where = "again>=2"});
    if (!CHECK(s != NULL)) return;
    for (int i = 0; i < 4; i++) again(i);
    mlog_sink_remove(s);
    out_skip();
    char *text = slurp(path, NULL);
    CHECK_EQ(lines(text, NULL), 2);
    CHECK(strstr(text, "msg=\"again=2\"") != NULL && strstr(text, " again=3\n") != NULL);
    free(text);
}

static void test_choice(void) {
    CHECK(out_begin((mlog_config){.now = out_clock}) == 0);
    again(1);
    SHOWS("again=1", "");
    by_list("again=%d", 2);
    SHOWS("again=2", "");
    CHECK(out_begin(with) == 0);
    again(3);
    SHOWS("again=3", ",\"again\":3");
    CHECK(mlog_levels("info,test_pairs=debug") == 0); /* a change of rules keeps the choice */
    mlog_debugf("level=%d", 4);
    SHOWS("level=4", ",\"level_2\":4");
    CHECK(mlog_init(&(mlog_config){.printf_pairs = (mlog_choice)7}) == -1 && strstr(mlog_why(), "printf_pairs 7: expected") != NULL);
}

/* The session is a file that others may write to: what was found out about a format does not lead out of it. */
static void test_damaged(void) {
    for (int i = 0; i < 3; i++) {
        by_list("damaged=%d", i);
        char msg[32], fields[32];
        (void)snprintf(msg, sizeof msg, "damaged=%d", i);
        (void)snprintf(fields, sizeof fields, ",\"damaged\":%d", i);
        SHOWS(msg, fields);
    }
    int known = 0;
    for (int i = 0; i < MLOG__SEEN; i++) {
        if (mlog__thread_seen[i].state != 2 || strcmp(mlog__thread_seen[i].format, "damaged=%d") != 0) continue;
        mlog__entry *e = (mlog__entry *)(uintptr_t)mlog__dict_entry(mlog__thread_seen[i].entry);
        e->msg_len = e->keys_len = UINT32_MAX;
        e->file_len = e->func_len = e->source_len = UINT16_MAX;
        e->count = e->flags = 255;
        known++;
    }
    CHECK_EQ(known, 1);
    by_list("damaged=%d", 3);
    SHOWS("damaged=3", ",\"damaged\":3");
}

/* Names come from the dead process's dictionary and records, whatever the one that recovers has chosen. */
MAYBE_UNUSED static void test_recovered(void) {
    static char rings[512], path[512];
    (void)snprintf(rings, sizeof rings, "%s", temp_path("rings"));
    (void)snprintf(path, sizeof path, "%s", temp_path("dead.log"));
    (void)unlink(path);
    mlog_config c = {.env = "-", .ring_dir = rings, .printf_pairs = MLOG_YES, .flusher = MLOG_POLL, .sinks = {{.type = MLOG_FILE, .path = path}}};
    pid_t pid = fork();
    if (pid == 0) {
        if (mlog_init(&c) != 0) _exit(1);
        mlog_infof("site=%s n=%d", "one", 1);
        for (int i = 0; i < 3; i++) by_list("list=%d token=%s", i, "text"); /* the last one by number */
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK_EQ(file_lines(path, NULL), 0);
    c.printf_pairs = MLOG_NO;
    CHECK(mlog_init(&c) == 0 && mlog_flush(20000) == 0);
    char *text = slurp(path, NULL);
    CHECK_EQ(lines(text, "\"recovered\":true"), 4);
    CHECK_EQ(lines(text, ",\"site\":\"one\",\"n\":1}"), 1);
    CHECK_EQ(lines(text, ",\"token\":\"[redacted]\"}"), 3);
    CHECK(strstr(text, "\"msg\":\"list=2 token=text\"") != NULL && strstr(text, ",\"list\":2,\"token\"") != NULL);
    free(text);
}

int main(void) {
    if (out_begin(with) != 0) return 1;
    test_names();
    test_values();
    test_list();
    test_formats();
    test_filter();
    test_choice();
    test_damaged();
#ifndef TSAN
    test_recovered();
#endif
    return done();
}
