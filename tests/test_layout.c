/* Section pattern, and PLAIN and LOGFMT of section format: every conversion, errors with their column, hostile text and layouts,
 * local time, callbacks, reports of losses, children. LOGFMT is read back by tests/check_logfmt.py and compared with JSON. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"
#include <math.h>
#include <sys/wait.h>

static int64_t now_ns = INT64_C(1709251198012345678); /* 2024-02-29T23:59:58.012345678Z */
static int64_t test_clock(void) { return __atomic_load_n(&now_ns, __ATOMIC_RELAXED); }

static char text[16 << 20]; /* what a step wrote */

static const char *fresh(const char *name) {
    const char *path = temp_path(name);
    (void)unlink(path);
    return path;
}

/* The library with one file in a format. */
static int begin(mlog_format format, const char *pattern, const char *path, mlog_config c) {
    c.env = "-";
    if (c.now == NULL) c.now = test_clock;
    if (c.levels == NULL) c.levels = "trace";
    c.sinks[0] = (mlog_sink_config){.name = "out",
                                    .type = MLOG_FILE,
                                    .path = path,
                                    .format = format,
                                    .pattern = pattern,
                                    .color = c.sinks[0].color,
                                    .utc = c.sinks[0].utc};
    return mlog_init(&c);
}

static const char *take(const char *path) {
    CHECK(mlog_flush(10000) == 0);
    char *all = slurp(path, NULL);
    (void)snprintf(text, sizeof text, "%s", all);
    free(all);
    return text;
}

static void same(const char *got, const char *want, const char *what, int line) {
    check(strcmp(got, want) == 0, what, __FILE__, line);
    if (strcmp(got, want) != 0) printf("    got  %.400s    want %.400s", got, want), fflush(stdout);
}

/* One record by the layout in a file of its own. */
#define LINE(pattern, call, want)                                                                               \
    do {                                                                                                        \
        const char *path_ = fresh("one");                                                                       \
        if (!CHECK(begin(MLOG_PATTERN, pattern, path_, (mlog_config){0}) == 0)) printf("    %s\n", mlog_why()); \
        call;                                                                                                   \
        same(take(path_), want "\n", pattern, __LINE__);                                                        \
    } while (0)

static void one_function(void) { mlog_warn("msg", "k", 1); }

static void given(int64_t time) { mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .time = time, .msg = "given"}); }

static void times(void) {
    LINE("%d", one_function(), "2024-02-29 23:59:58");
    LINE("%D|%g|%G", one_function(), "2024-02-29 23:59:58|2024-02-29 23:59:58|2024-02-29 23:59:58");
    LINE("%d(%F %T).%ms", one_function(), "2024-02-29 23:59:58.012");
    LINE("%us %ns", one_function(), "012345 012345678");
    LINE("%d(%3N %6N %9N %N %1N %f%%)", one_function(), "012 012345 012345678 012345678 0 012345%");
    LINE("%d(%H:%M:%S.%3N %z)|%d(%a %A %b %B %j %y)", one_function(), "23:59:58.012 +0000|Thu Thursday Feb February 060 24");
    LINE("%d()", one_function(), "2024-02-29 23:59:58");
    LINE("%g(%Y)%d(x)", one_function(), "2024x");
    LINE("%25d|%-25d|%.10d|%12.10d", one_function(),
         "      2024-02-29 23:59:58|2024-02-29 23:59:58      |2024-02-29|  2024-02-29");
    LINE("%26d(%T.%3N)", one_function(), "              23:59:58.012");
    LINE("%(asctime)s", one_function(), "2024-02-29 23:59:58,012");
    LINE("%(asctime)25s|%(asctime).4s", one_function(), "  2024-02-29 23:59:58,012|2024");
    LINE("%(created)f %(created)d %(created).3f %(created).9f %(created).0f", one_function(),
         "1709251198.012345 1709251198 1709251198.012 1709251198.012345678 1709251198");
    LINE("%(msecs)d %(msecs)03d %(msecs)03.0f %(msecs).3f %(msecs)s", one_function(), "12 012 012 12.345 12");
    LINE("%(ts)s", one_function(), "2024-02-29T23:59:58.012345678Z");
    int64_t kept = now_ns;
    LINE("%d(%F %T.%9N) %(created).3f %us %(msecs)d", given(-1), "1969-12-31 23:59:59.999999999 -0.000 999999 999");
    LINE("%(created).3f", given(-1500000000), "-1.500");
    LINE("%d(%F %T.%9N) %(created).9f", given(INT64_MIN), "1677-09-21 00:12:43.145224192 -9223372036.854775808");
    now_ns = INT64_MAX;
    LINE("%d(%F %T.%9N)", one_function(), "2262-04-11 23:47:16.854775807");
    now_ns = kept;
}

/* The text of a second is kept; it must follow the clock, also backwards by given times, and across changes of the offset. */
static void local_times(void) {
    const char *path = fresh("local");
    (void)setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
    tzset();
    int64_t kept = now_ns;
    CHECK(begin(MLOG_PATTERN, "%d(%F %T %z)|%g(%T)|%(asctime)s", path, (mlog_config){.sinks[0].utc = MLOG_NO}) == 0);
    now_ns = INT64_C(1710053999999000000); /* the last second of winter time */
    mlog_info("a");
    CHECK(mlog_flush(10000) == 0);
    now_ns += 1000000;
    mlog_info("b");
    same(take(path),
         "2024-03-10 01:59:59 -0500|06:59:59|2024-03-10 01:59:59,999\n2024-03-10 03:00:00 -0400|07:00:00|2024-03-10 "
         "03:00:00,000\n",
         "the hour that is not there", __LINE__);
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .time = 1, .msg = "given"});
    CHECK(strstr(take(path), "\n1969-12-31 19:00:00 -0500|00:00:00|1969-12-31 19:00:00,000\n") != NULL);
    (void)setenv("TZ", "UTC", 1);
    tzset();
    now_ns = kept;
}

static void conversions(void) {
    char want[512], host[256] = "";
    const char *path = fresh("ids");
    LINE("%m", one_function(), "msg");
    LINE("%c %V %v %f %F %U", one_function(), "test_layout WARN warn test_layout.c test_layout.c one_function");
    LINE("%% 100%% %5%|", one_function(), "% 100%     %|");
    LINE("%m%n", one_function(), "msg");
    LINE("%m%r%n", one_function(), "msg\r");
    LINE("%m\\r\\n", one_function(), "msg\r");
    LINE("%m\r\n", one_function(), "msg\r");
    LINE("%m\n", one_function(), "msg");
    LINE("a\\tb\tc\\\\d \\e[1m\xc3\xa9", one_function(), "a\tb\tc\\d \033[1m\xc3\xa9");
    LINE("no conversion", one_function(), "no conversion");
    LINE("[%(levelname)s] %(name)s: %(message)s", one_function(), "[WARNING] test_layout: msg");
    LINE("%(filename)s %(pathname)s %(module)s %(funcName)s", one_function(),
         "test_layout.c test_layout.c test_layout one_function");
    LINE("%(level)s %(msg)s %(source)s", one_function(), "warn msg test_layout");
    LINE("%(threadName)s|%N", (mlog_thread(&(mlog_thread_config){.name = "main"}), one_function()), "main|main");
    (void)setenv("LAYOUT_TEST", "a\nb\033", 1);
    LINE("%E(LAYOUT_TEST)%E(LAYOUT_NONE)|%5E(LAYOUT_NONE)|%.1E(LAYOUT_TEST)", one_function(), "a\\nb\\x1b|     |a");
    (void)gethostname(host, sizeof host - 1);
    unsigned tid = (unsigned)gettid();
    int pid = (int)getpid(), line = __LINE__ + 2;
    CHECK(begin(MLOG_PATTERN, "%H %p %T %k %t %(thread)d %(process)d %L", path, (mlog_config){0}) == 0);
    mlog_info("ids");
    (void)snprintf(want, sizeof want, "%s %d %u %u %x %u %d %d\n", host, pid, tid, tid, tid, tid, pid, line);
    same(take(path), want, "numbers", __LINE__);
    (void)setenv("LAYOUT_TEST", "new", 1); /* read when compiled */
    path = fresh("env");
    CHECK(begin(MLOG_PATTERN, "%E(LAYOUT_TEST)", path, (mlog_config){0}) == 0);
    (void)setenv("LAYOUT_TEST", "newer", 1);
    mlog_info("m");
    same(take(path), "new\n", "environment", __LINE__);
}

static void levels(void) {
    const char *path = fresh("levels");
    CHECK(begin(MLOG_PATTERN, "%V %v %(levelname)s %(levelno)d", path, (mlog_config){0}) == 0);
    mlog_trace("m"), mlog_debug("m"), mlog_info("m"), mlog_notice("m"), mlog_warn("m"), mlog_error("m"), mlog_crit("m"),
        mlog_alert("m"), mlog_fatal("m");
    mlog(MLOG_INFO + 3, "m");
    same(take(path),
         "TRACE trace TRACE 5\nDEBUG debug DEBUG 10\nINFO info INFO 20\nNOTICE notice NOTICE 25\nWARN warn WARNING 30\nERROR "
         "error ERROR 40\n"
         "CRIT crit CRITICAL 50\nALERT alert ALERT 50\nFATAL fatal FATAL 50\nNOTICE notice NOTICE 25\n",
         "levels", __LINE__);
}

static void put_pair(mlog_writer *w, const void *p) {
    (void)p;
    mlog_put(w, "x", 1);
    mlog_put(w, "s", "q\"");
}

static void fits(void) {
    LINE("%-6V|%6V|%06V|%2V|%.2V|%6.2V|%-6.2V|", one_function(), "WARN  |  WARN|00WARN|WARN|WA|    WA|WA    |");
    LINE("%(levelname)-9s|%(levelname)9s|%(levelname).4s|%(levelno)05d", one_function(), "WARNING  |  WARNING|WARN|00030");
    LINE("%5.20c|%20.5c|", one_function(), "test_layout|               test_|");
    LINE("%6m|%-6m|%.2m|%5.2m|", mlog_info("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), /* characters, not bytes */
         "   \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80|\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80   |\xc3\xa4\xe2\x82\xac|   "
         "\xc3\xa4\xe2\x82\xac|");
    LINE("%.1m|%.2m|%.3m|%.4m|%.5m|%.6m|", mlog_info("a\nb\033"), "a|a|a\\n|a\\nb|a\\nb|a\\nb|"); /* no escape in half */
    LINE("%.6m|%.7m|%.8m|", mlog_info("x\xe2\x80\xaey"), "x|x\\u202e|x\\u202ey|");
    char widest[1024 + 3];
    (void)snprintf(widest, sizeof widest, "%1024s|\n", "m");
    const char *path = fresh("widest");
    CHECK(begin(MLOG_PATTERN, "%1024m|", path, (mlog_config){0}) == 0);
    mlog_info("m");
    same(take(path), widest, "as wide as can be", __LINE__);
}

static void in_contexts(void) {
    mlog_with("user", "u", "k", 1);
    mlog_with("user", "inner");
    mlog_info("m", "k", 2);
}

static void on_logger(void) {
    mlog_logger *b = mlog_bind(mlog_named("net.http"), "port", 80);
    mlog_to(b, MLOG_INFO, "m");
    mlog_unbind(b);
}

static void relabelled(void) {
    mlog_with("source", "billing");
    mlog_info("m");
}

static void emitted(const char *func) {
    mlog_emit(&(mlog_event){.at = {"/a/b/c.d.py", func, 7}, .level = MLOG_INFO, .msg = "e"});
}

static void fields(void) {
    const int three[] = {1, 2, 3};
    LINE("%M(k)|%(k)s|%(k)d|%M(none)|%(none)5s|", one_function(), "1|1|1||     |");
    LINE("%m%P", mlog_info("m"), "m");
    LINE("%m%P", mlog_info("m", "a", 1, "b", "x y", "c", "", "d", 0.5), "m a=1 b=\"x y\" c=\"\" d=0.5");
    LINE("%(b)s:%m%R", mlog_info("m", "a", 1, "b", "x y", "c", "z"), "x y:m a=1 c=z");
    LINE("%M(a)%M(b)%R|%P", mlog_info("m", "a", 1, "b", 2), "12| a=1 b=2");
    LINE("%4M(a)|%-4M(a)|%.2M(b)", mlog_info("m", "a", 1, "b", "xyz"), "   1|1   |xy");
    LINE("%M(t)|%M(n)|%M(c)|%M(e)|%M(x)|%M(o)|%M(l)|%M(d)|%M(s)|%M(z)",
         mlog_info("m", "t", "a b\n", "n", (char *)NULL, "c", mlog_char('"'), "e", mlog_errno(2), "x", mlog_hex(255), "o",
                   mlog_object(put_pair, &three), "l", mlog_array(three, 3), "d", mlog_dur(1500000), "s", mlog_secret("abc"), "z",
                   (bool)true),
         "a b\\n|null|\"|No such file or directory (2)|0xff|{\"x\":1,\"s\":\"q\\\"\"}|[1,2,3]|1.5ms|[secret, 3 bytes]|true");
    LINE("%M(my key)|%(my key)s|%M(\xc3\xa4)", mlog_info("m", "my key", 1, "\xc3\xa4", 2), "1|1|2");
    LINE("%(message)s %M(message) %M(name)%R", mlog_info("m", "message", "mine", "name", "yours"), "m mine yours");
    LINE("%M(k)|%M(k_2)|%P", mlog_info("m", "k", 1, "k", 2, "level", 3), "1|2| k=1 k_2=2 level_2=3");
    LINE("%M(user)|%m%R", in_contexts(), "inner|m k=1 k_2=2");
    LINE("%c %M(port)%R", on_logger(), "net.http 80");
    LINE("%c %m", relabelled(), "billing m");
    LINE("%m|%f:%U", emitted("f\n"), "e|c.d.py:f\\n");
    LINE("%(module)s|%(at)s", emitted("f"), "c.d|c.d.py:7");
    LINE("%m", mlog_infof("%d of %s\n", 3, "x\ny"), "3 of x\\ny");
}

static void errors(void) {
    static const struct {
        const char *pattern, *column, *why;
    } table[] = {
        {"", "", "empty"},
        {"%", "column 1,", "expected a conversion"},
        {"abc %", "column 5,", "expected a conversion"},
        {"%-05.3", "column 1,", "expected a conversion"},
        {"%q", "column 1,", "expected one of %d"},
        {"\xc3\xa9\xc3\xa9%5q", "column 3,", "expected one of %d"},
        {"%m %(x", "column 5,", "expected a )"},
        {"%(x)", "column 5, at its end", "expected s, d or f"},
        {"%(x)-5q", "column 7,", "expected s, d or f"},
        {"%()s", "column 3,", "expected the key"},
        {"%1025m", "column 2,", "at most 1024"},
        {"%99999999999999999999m", "column 2,", "at most 1024"},
        {"%5.1025m", "column 4,", "at most 1024"},
        {"%.0m", "column 3,", "precision of 1"},
        {"%.m", "column 3,", "precision of 1"},
        {"%(x).0s", "column 6,", "precision of 1"},
        {"%(x)2000s", "column 5,", "at most 1024"},
        {"%(created).10f", "column 12,", "at most 9 digits"},
        {"%(msecs).7f", "column 10,", "at most 6 digits"},
        {"a\nb", "column 2,", "one record is one line"},
        {"%n%m", "column 1,", "one record is one line"},
        {"ab%r%m", "column 3,", "one record is one line"},
        {"ab\\nc", "column 3,", "one record is one line"},
        {"ab\rc", "column 3,", "one record is one line"},
        {"a\\q", "column 2,", "expected \\\\t"},
        {"a\\", "column 2,", "expected \\\\t"},
        {"ab\x01", "column 3,", "without control"},
        {"ab\x7f", "column 3,", "without control"},
        {"ab\xff", "column 3,", "UTF-8"},
        {"ab\xc2\x85", "column 3,", "without control"},
        {"ab\xe2\x80\xa8", "column 3,", "without control"},
        {"%d(", "column 3,", "expected a )"},
        {"%d(%Y", "column 3,", "expected a )"},
        {"%d(%Y-%Q)", "column 7,", "expected a conversion of strftime"},
        {"%d(%n)", "column 4,", "expected a conversion of strftime"},
        {"%d(%s)", "column 4,", "expected a conversion of strftime"},
        {"%d(%100Y)", "column 4,", "expected a conversion of strftime"},
        {"%d(%)", "column 4,", "expected a conversion of strftime"},
        {"%d(a\nb)", "column 5,", "without control"},
        {"%d(%A%A%A%A%A%A%A%A%A%A)", "column 4,", "at most 80 bytes"},
        {"%d(%N%A%A%A%A%A%A%A%A%A%A)", "column 6,", "at most 80 bytes"},
        {"%E", "column 3, at its end", "environment variable"},
        {"%E(", "column 3,", "expected a )"},
        {"%E()", "column 4,", "letters, digits"},
        {"%E(a b)", "column 5,", "letters, digits"},
        {"%M", "column 3, at its end", "key of a field"},
        {"%M()", "column 4,", "key of a field"},
        {"%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", "", "at most 16"},
    };
    const char *path = fresh("errors");
    CHECK(begin(MLOG_PATTERN, "%m", path, (mlog_config){0}) == 0);
    mlog_info("before");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool ok = begin(MLOG_PATTERN, table[i].pattern, fresh("never"), (mlog_config){0}) == -1 &&
                  strstr(mlog_why(), table[i].column) && strstr(mlog_why(), table[i].why);
        if (!CHECK(ok)) printf("    %s: %s\n", table[i].pattern, mlog_why());
        CHECK(access(temp_path("never"), F_OK) != 0);
        CHECK(mlog_sink_add(&(mlog_sink_config){.type = MLOG_NULL, .format = MLOG_PATTERN, .pattern = table[i].pattern}) == NULL);
    }
    char *huge = malloc(1 << 20);
    if (huge == NULL) abort();
    memset(huge, 'x', 1 << 20);
    huge[(1 << 20) - 1] = 0;
    CHECK(begin(MLOG_PATTERN, huge, path, (mlog_config){0}) == -1 && strstr(mlog_why(), "at most 1024 bytes") != NULL);
    huge[1024] = 0;
    CHECK(begin(MLOG_PATTERN, huge, fresh("long"), (mlog_config){0}) == 0);
    memset(huge, 'x', 1024);
    for (int i = 0; i < 1022; i += 2) memcpy(huge + i, "%m", 2);
    CHECK(begin(MLOG_PATTERN, huge, path, (mlog_config){0}) == -1 && strstr(mlog_why(), "at most 192 parts") != NULL);
    huge[2 * 192] = 0;
    CHECK(begin(MLOG_PATTERN, huge, fresh("many"), (mlog_config){0}) == 0);
    free(huge);
    CHECK(begin(MLOG_PATTERN, NULL, path, (mlog_config){0}) == -1 && strstr(mlog_why(), "missing") != NULL);
    CHECK(begin(MLOG_JSON, "%m", path, (mlog_config){0}) == -1 && strstr(mlog_why(), "expected MLOG_PATTERN") != NULL);
    CHECK(begin(MLOG_BINARY, "%m", path, (mlog_config){0}) == -1 && strstr(mlog_why(), "expected MLOG_PATTERN") != NULL);
    path = temp_path("errors"); /* a refused configuration changes nothing */
    CHECK(begin(MLOG_PATTERN, "%m", path, (mlog_config){0}) == 0);
    CHECK(begin(MLOG_PATTERN, "%q", path, (mlog_config){0}) == -1);
    mlog_info("behind");
    same(take(path), "before\nbehind\n", "refused", __LINE__);
}

/* Random layouts: refused or not, never a crash; a line is a line. */
static void random_layouts(void) {
    static const char *const part[] = {
        "%",   "(",      ")",    "-",          "0",     "9",        ".",   "m",           "d",  "V",        "P",  "R", "s", "f",
        "%d(", "%F",     "%3N",  "%M(k)",      "%(k)s", "%E(HOME)", "\\",  "t",           "%H", "\xc3\xa9", "%%", " ", "[", "%n",
        "%r",  "%-20.3", "\xff", "%(asctime)", "u",     "ns",       "%10", "%(created).", "%T", "N",        "\n", "%U"};
    enum { PARTS = sizeof part / sizeof *part, ROUNDS = 20000 };
    uint32_t seed = 1;
    int taken = 0, logged = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char layout[256] = "";
        size_t n = 0;
        for (uint32_t k = 0, many = 1 + (uint32_t)i % 9; k < many; k++) {
            seed = seed * 1664525 + 1013904223;
            n += (size_t)snprintf(layout + n, sizeof layout - n, "%s", part[(seed >> 8) % PARTS]);
        }
        mlog__pattern *p = mlog__pattern_compile(layout);
        taken += p != NULL;
        CHECK(p != NULL || strncmp(mlog_why(), "sink pattern", 12) == 0);
        bool whole = p != NULL && i % 16 == 0;
        free(p);
        if (!whole) continue;
        const char *path = fresh("random");
        CHECK(begin(MLOG_PATTERN, layout, path, (mlog_config){0}) == 0);
        mlog_info("m\n\x1b\xff", "k", "v\n", "l", 1);
        take(path);
        logged++;
        if (!CHECK(lines(text, NULL) == 1 && text[strlen(text) - 1] == '\n')) printf("    %s\n", layout);
    }
    CHECK(taken > ROUNDS / 50 && taken < ROUNDS * 9 / 10);
    CHECK(logged > 20);
}

/* -- the same records in every format -- */

static void hostile(void) {
    static const unsigned char all[] = {0x20, '"',  '=',  '\'', '\\', '\n', '\r', '\t', 0x1b, 0x7f, 0xc2,
                                        0x85, 0xe2, 0x80, 0xa8, 0xe2, 0x80, 0xae, 0xd8, 0x9c, 0xff, 0xed,
                                        0xa0, 0x80, 'a',  'k',  'v',  '%',  0xc3, 0xa4, 1,    '{'};
    uint32_t seed = 7;
    for (int i = 0; i < 400; i++) {
        char bytes[5][48];
        size_t n[5];
        for (int k = 0; k < 5; k++) {
            seed = seed * 1664525 + 1013904223;
            n[k] = (seed >> 8) % 40;
            for (size_t j = 0; j < n[k]; j++)
                seed = seed * 1664525 + 1013904223, bytes[k][j] = (char)all[(seed >> 8) % sizeof all];
            bytes[k][n[k]] = 0;
        }
        mlog_field f[] = {{bytes[0], mlog_str(bytes[1], n[1])},
                          {bytes[2], mlog_str(bytes[3], n[3])},
                          {"a b", mlog_val(1)},
                          {"a=b", mlog_val(2)},
                          {"a_b", mlog_val(3)},
                          {"", mlog_val(4)},
                          {"_", mlog_val(5)}};
        mlog_emit(&(mlog_event){.at = {i % 2 ? "my file's \"name\".c" : "f.c", bytes[0], 7},
                                .level = MLOG_INFO,
                                .msg = bytes[4],
                                .msg_len = n[4],
                                .fields = f,
                                .nfields = 7});
        mlog_infof("%s", (const char *)bytes[4]);
        mlog_with("it's", bytes[1], "t", bytes[3]);
        const char *two[] = {bytes[1], bytes[2]};
        mlog_info("in a context", "v", (const char *)bytes[1], "j", mlog_array(two, 2), "c", mlog_char(bytes[3][0]), "b",
                  mlog_bytes(bytes[0], n[0]));
    }
}

static void values(void) {
    const int three[] = {1, -2, 3};
    mlog_logger *net = mlog_named("net.http");
    for (int round = 0; round < 2; round++) { /* a site's first record takes another way than the next */
        mlog_info("m");
        mlog_info("two words", "i", -1, "u", UINT64_MAX, "d", 0.1, "f", 0.1f, "e", 1e300, "nan", (double)NAN, "inf",
                  -(double)INFINITY, "t", (bool)true, "b", mlog_bool(false));
        mlog_info("null", "n", (char *)NULL, "p", (void *)NULL, "null", "null", "empty", "", "q", "a\"b", "eq", "a=b", "ap",
                  "it's", "bs", "a\\b", "word", "word");
        mlog_info("makers", "x", mlog_hex(255), "by", mlog_bytes("\x01\xfe", 2), "nb", mlog_bytes("", 0), "er", mlog_errno(2),
                  "ti", mlog_time(1), "du", mlog_dur(1500), "js", mlog_json("{ \"k\": [1, \"a\\n\"] }", 18), "s",
                  mlog_secret("abc"), "o", mlog_object(put_pair, &three), "l", mlog_array(three, 3), "c", mlog_char('='));
        mlog_info("clashes", "a", 1, "a", 2, "msg", 3, "ts", 4, "a b", 5, "a=b", 6, "a_b", 7, "at", 8);
        mlog_to(net, MLOG_WARN, "logger", "port", 80);
        mlog_logger *bound = mlog_bind(net, "peer", "10.0.0.1", "port", 1);
        mlog_to(bound, MLOG_ERROR, "bound", "port", 80);
        mlog_unbind(bound);
        mlog_infof("printf %d %s", round, "text");
        mlog_with("tenant", "acme inc", "request", 7);
        mlog_info("context");
        mlog_info("context", "qty", 1);
        mlog_info("context", "request", 8);
        mlog_infof("context %d", round);
        mlog_with("source", "billing", "request", 9);
        mlog_info("inner", "qty", 2);
    }
}

static void all_formats(void) {
    const char *json = fresh("all.json"), *flat = fresh("all.logfmt"), *plain = fresh("all.plain"), *layout = fresh("all.layout");
    char command[1600];
    mlog_config c = {.env = "-",
                     .levels = "trace",
                     .now = test_clock,
                     .sinks = {{.name = "json", .type = MLOG_FILE, .path = json},
                               {.name = "flat", .type = MLOG_FILE, .path = flat, .format = MLOG_LOGFMT},
                               {.name = "plain", .type = MLOG_FILE, .path = plain, .format = MLOG_PLAIN},
                               {.name = "layout",
                                .type = MLOG_FILE,
                                .path = layout,
                                .format = MLOG_PATTERN,
                                .pattern = "%d %-6V %c %f:%L %U %N %m%P|%R"}}};
    if (!CHECK(mlog_init(&c) == 0)) return;
    values();
    CHECK(mlog_flush(10000) == 0);
    hostile();
    CHECK(mlog_flush(10000) == 0); /* a name counts when a sink formats */
    mlog_thread(&(mlog_thread_config){.name = "it's a \"name\""});
    values();
    CHECK(mlog_flush(10000) == 0);
    size_t n = file_lines(json, NULL);
    CHECK(n > 1200);
    CHECK_EQ(file_lines(flat, NULL), n);
    CHECK_EQ(file_lines(plain, NULL), n);
    CHECK_EQ(file_lines(layout, NULL), n);
    CHECK(system("python3 tests/check_logfmt.py --self-test") == 0);
    (void)snprintf(command, sizeof command, "python3 tests/check_logfmt.py --count %zu '%s'", n, flat);
    CHECK(system(command) == 0);
    (void)snprintf(command, sizeof command, "python3 tests/check_logfmt.py --same '%s' '%s'", json, flat);
    CHECK(system(command) == 0);
    (void)snprintf(
        command, sizeof command,
        "cat '%s' '%s' | python3 -c \"import sys,re; t=sys.stdin.buffer.read().decode('utf-8','strict'); "
        "sys.exit(re.search('[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u061c\\u202a-\\u202e]', t) is not None)\"",
        plain, layout);
    CHECK(system(command) == 0);
    (void)snprintf(command, sizeof command, "sed 's/ level=/ level==/' '%s' | python3 tests/check_logfmt.py >/dev/null",
                   flat); /* it can fail */
    CHECK(system(command) != 0);
    mlog_thread(&(mlog_thread_config){.name = "main"});
}

static void logfmt_lines(void) {
    const char *path = fresh("logfmt");
    CHECK(begin(MLOG_LOGFMT, NULL, path, (mlog_config){0}) == 0);
    mlog_to(mlog_named("net"), MLOG_INFO, "m");
    CHECK(strncmp(take(path), "ts=2024-02-29T23:59:58.012345678Z level=info msg=\"m\" source=net at=test_layout.c:", 80) == 0);
    CHECK(strstr(text, " thread=main\n") != NULL);
    mlog_info("m", "a b", 1, "a_b", 2, "", 3, "\xff", 4, "k\n", 5);
    CHECK(strstr(take(path), " thread=main a_b=1 a_b_2=2 _=3 __2=4 k_=5\n") != NULL);
    mlog_info("m", "n", (char *)NULL, "s", "null", "e", "", "t", (bool)true, "q", "\"", "a", "it's", "b", "\x1b", "l",
              mlog_str("[1, 2]", 6), "j", mlog_json("[1, \"x\"]", 8));
    CHECK(strstr(take(path),
                 " n=null s=\"null\" e=\"\" t=true q=\"\\\"\" a=\"it's\" b=\"\\u001b\" l=\"[1, 2]\" j=\"[1,\\\"x\\\"]\"\n") !=
          NULL);
    static char big[400000];
    memset(big, 'x', sizeof big - 1);
    mlog_info("m", "big", (const char *)big);
    CHECK(strstr(take(path), "\xe2\x80\xa6[cut from 399999 bytes]\"\n") != NULL);
}

static void plain_lines(void) {
    const char *path = fresh("plain");
    CHECK(begin(MLOG_PLAIN, NULL, path, (mlog_config){.name = "my\ntool"}) == 0);
    mlog_error("cannot open", "path", "a b", "error", mlog_errno(2));
    mlog_warnf("%d files\nleft\n", 3);
    same(take(path),
         "my\\ntool: error: cannot open path=\"a b\" error=\"No such file or directory (2)\"\nmy\\ntool: warn: 3 files\\nleft\n",
         "PLAIN", __LINE__);
    path = fresh("argv");
    CHECK(begin(MLOG_PLAIN, NULL, path, (mlog_config){.sinks[0].color = MLOG_YES}) == 0);
    mlog_error("m", "k", 1);
    mlog_debug("m");
    CHECK(strstr(take(path), ": \033[31merror:\033[0m m k=1\n") != NULL);
    CHECK(strstr(text, ": \033[34mdebug:\033[0m m\n") != NULL);
    CHECK(strncmp(text, program_invocation_short_name, strlen(program_invocation_short_name)) == 0);
    path = fresh("none");
    CHECK(begin(MLOG_PLAIN, NULL, path, (mlog_config){.name = ""}) == 0);
    mlog_info("m");
    same(take(path), "info: m\n", "no name", __LINE__);
}

/* On a console bidi controls are escaped in LOGFMT, too. */
static void console(void) {
    const char *path = fresh("console");
    int old = dup(2), fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 2);
    mlog_config c = {.env = "-", .now = test_clock, .sinks = {{.type = MLOG_CONSOLE, .format = MLOG_LOGFMT}}};
    CHECK(mlog_init(&c) == 0);
    mlog_info("\xe2\x80\xae msg", "k", "a\xe2\x80\xae", "a", mlog_json("[\"\xe2\x81\xa6\"]", 7));
    take(path);
    (void)dup2(old, 2);
    (void)close(old), (void)close(fd);
    CHECK(strstr(text, "msg=\"\\u202e msg\"") != NULL && strstr(text, " k=\"a\\u202e\" a=\"[\\\"\\u2066\\\"]\"\n") != NULL);
}

static char called[5][4096];
static int on_record(void *user, const mlog_record *r) {
    if (r->text[r->text_len] != 0 || strlen(r->text) != r->text_len) return 0;
    (void)snprintf(user, 4096, "%s", r->text);
    return 0;
}

static void callbacks(void) {
    static const mlog_format format[] = {MLOG_PLAIN, MLOG_LOGFMT, MLOG_PATTERN, MLOG_JSON};
    mlog_sink *s[4];
    CHECK(begin(MLOG_JSON, NULL, fresh("callbacks"), (mlog_config){.name = "tool"}) == 0);
    for (int i = 0; i < 4; i++)
        s[i] = mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK,
                                                 .format = format[i],
                                                 .write = on_record,
                                                 .user = called[i],
                                                 .utc = MLOG_YES,
                                                 .pattern = format[i] == MLOG_PATTERN ? "%d|%m%P" : NULL});
    mlog_with("c", "x y");
    mlog_warn("msg", "k", 1);
    CHECK(mlog_flush(10000) == 0);
    for (int i = 0; i < 4; i++)
        if (CHECK(s[i] != NULL)) mlog_sink_remove(s[i]);
    same(called[0], "tool: warn: msg c=\"x y\" k=1", "PLAIN", __LINE__);
    CHECK(strstr(called[1], " msg=\"msg\" source=test_layout at=test_layout.c:") != NULL &&
          strstr(called[1], " c=\"x y\" k=1") != NULL);
    same(called[2], "2024-02-29 23:59:58|msg c=\"x y\" k=1", "PATTERN", __LINE__);
    CHECK(called[3][0] == '{');
}

static void *burst(void *unused) {
    mlog_stats stats = {0};
    for (int round = 0; round < 100 && stats.dropped == 0; round++) {
        for (int i = 0; i < 500; i++) mlog_info("burst", "i", i, "text", "some text to fill the ring with");
        mlog_stats_read(&stats);
    }
    CHECK(stats.dropped > 0);
    CHECK(mlog_flush(10000) == 0);
    mlog_info("after");
    return unused;
}

/* Reports of losses are records like others. */
static void losses(void) {
    const char *flat = fresh("loss.logfmt"), *plain = fresh("loss.plain"), *layout = fresh("loss.layout");
    mlog_config c = {
        .env = "-",
        .name = "tool",
        .ring_bytes = 4096,
        .full = MLOG_DROP,
        .sinks = {
            {.name = "f", .type = MLOG_FILE, .path = flat, .format = MLOG_LOGFMT},
            {.name = "p", .type = MLOG_FILE, .path = plain, .format = MLOG_PLAIN},
            {.name = "l", .type = MLOG_FILE, .path = layout, .format = MLOG_PATTERN, .pattern = "%V %c %m %M(dropped)%P %U"}}};
    CHECK(mlog_init(&c) == 0);
    pthread_t thread; /* a ring of 4 KiB of its own */
    CHECK(pthread_create(&thread, NULL, burst, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(mlog_flush(10000) == 0);
    mlog_info("after");
    take(flat);
    CHECK(lines(text, " level=warn msg=\"records dropped: queue full\" source=metalog at=metalog.h:") >= 1);
    CHECK(strstr(text, " dropped=") != NULL && strstr(text, " info=") != NULL);
    char command[700];
    (void)snprintf(command, sizeof command, "python3 tests/check_logfmt.py '%s'", flat);
    CHECK(system(command) == 0);
    CHECK(lines(take(plain), "tool: warn: records dropped: queue full dropped=") >= 1);
    CHECK(lines(take(layout), "WARN metalog records dropped: queue full ") >= 1);
}

/* A child has its own number, and its layouts go on. */
static void children(void) {
    const char *path = fresh("fork");
    char want[128];
    CHECK(begin(MLOG_PATTERN, "%p %d(%T) %m", path, (mlog_config){0}) == 0);
    mlog_info("parent");
    CHECK(mlog_flush(10000) == 0);
#ifdef EMULATED /* qemu-user 7.2 may abort when a forked child starts a thread */
    return;
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) /* it does not let a child make threads */
    return;
#endif
#endif
    pid_t child = fork();
    if (child == 0) {
        mlog_info("child");
        (void)mlog_flush(10000);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    mlog_info("again");
    (void)snprintf(want, sizeof want, "%d 23:59:58 parent\n%d 23:59:58 child\n%d 23:59:58 again\n", (int)getpid(), (int)child,
                   (int)getpid());
    same(take(path), want, "fork", __LINE__);
    CHECK(mlog_shutdown(10000) == 0); /* and a start with what was remembered */
    mlog_info("restart");
    CHECK(strstr(take(path), " restart\n") != NULL && lines(text, NULL) == 4);
}

int main(void) {
    (void)setenv("TZ", "UTC", 1);
    times();
    local_times();
    conversions();
    levels();
    fits();
    fields();
    errors();
    random_layouts();
    all_formats();
    logfmt_lines();
    plain_lines();
    console();
    callbacks();
    losses();
    children();
    return done();
}
