/* The bytes that users get, written down: one program with the test clock, its output in every text format compared byte for byte with
 * tests/golden/. UPDATE_GOLDEN=1 writes the files anew; look at the difference before you commit it. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"
#include <math.h>

static int64_t ticks;
static int64_t test_clock(void) { return INT64_C(1700000000123456789) + 1000001 * ticks++; }

struct point { double x, y; };
static void put_point(mlog_writer *w, const void *p) {
    const struct point *at = p;
    mlog_put(w, "x", at->x);
    mlog_put(w, "y", at->y);
}

static void log_values(void) {
    const int numbers[] = {1, -2, 3};
    const char *words[] = {"a", NULL, "c\"d"};
    const struct point here = {1.5, -0.25};
    mlog_trace("not shown");
    mlog_info("numbers", "int", -42, "unsigned", 42u, "max", UINT64_MAX, "min", INT64_MIN, "float", 0.1f, "double", 0.1, "whole", 3.0,
              "tiny", 5e-324, "nan", (double)NAN, "infinity", -(double)INFINITY, "yes", (bool)true, "char", mlog_char('x'));
    mlog_info("makers", "hex", mlog_hex(255), "bytes", mlog_bytes("\x01\xfe", 2), "error", mlog_errno(2),
              "time", mlog_time(INT64_C(1700000000000000001)), "took", mlog_dur(1234567), "json", mlog_json("{ \"k\": [1, 2] }", 15),
              "bad json", mlog_json("{", 1), "hidden", mlog_secret("12345"), "point", mlog_object(put_point, &here),
              "numbers", mlog_array(numbers, 3), "words", mlog_array(words, 3));
    mlog_notice("nothing", "text", (char *)NULL, "pointer", (void *)NULL, "empty", "", "blank", "a b", "equals", "a=b");
}

static void log_names(mlog_logger *net) {
    mlog_with("tenant", "acme", "request", 7);
    mlog_warn("clashes", "tenant", "other", "msg", "mine", "a", 1, "a", 2, "password", "hunter2", "db_password", 123);
    {
        mlog_with("request", 8, "source", "billing");
        mlog_error("inner context", "ok", mlog_bool(false));
    }
    mlog_to(net, MLOG_CRIT, "a named logger", "port", 80);
    mlog_logger *bound = mlog_bind(net, "peer", "10.0.0.1");
    mlog_tof(bound, MLOG_INFO + 1, "bound, %s %d", "printf", 1);
    mlog_unbind(bound);
}

static void log_texts(void) {
    mlog_alert("hostile \033[31m\r\n\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xff\xed\xa0\x80 text", "k\n", "v\t\"\\");
    mlog_infof("%s|%5d|%-5s|%05.1f|%%|%x|%p|%.2s|%c\n", "text", 42, "l", 3.14159, 255u, (void *)NULL, "cut", 'c');
    mlog_field fields[] = {{"run time", mlog_val(1)}, {"level", mlog_val("mine")}, {"", mlog_val(2.5)}};
    mlog_event event = {.at = {"dir/other.c", "f", 7}, .level = MLOG_INFO, .time = INT64_C(86400000000000), .msg = "emitted", .fields = fields, .nfields = 3};
    mlog_emit(&event);
}

/* Of a call over several lines, GCC gives the first and Clang the last. */
static void blank_lines(char *text) {
    static const char file[] = "test_golden.c:";
    for (char *p = strstr(text, file); p != NULL; p = strstr(p, file))
        for (p += sizeof file - 1; *p >= '0' && *p <= '9'; p++) *p = '#';
}

static void compare(const char *name, const char *path) {
    char golden[128];
    size_t got_size, want_size;
    snprintf(golden, sizeof golden, "tests/golden/%s", name);
    char *got = slurp(path, &got_size);
    blank_lines(got);
    if (getenv("UPDATE_GOLDEN") != NULL) {
        FILE *f = fopen(golden, "w");
        if (f == NULL || fwrite(got, 1, got_size, f) != got_size || fclose(f) != 0) perror(golden);
    }
    char *want = slurp(golden, &want_size);
    CHECK(want_size > 500);
    CHECK_EQ(got_size, want_size);
    CHECK(memcmp(got, want, got_size < want_size ? got_size : want_size) == 0);
    if (strcmp(got, want) != 0) printf("%s: got\n%swanted\n%s", name, got, want);
    got[got_size / 2] ^= 1; /* the comparison sees one bit */
    CHECK(memcmp(got, want, want_size < got_size ? want_size : got_size) != 0);
    free(got);
    free(want);
}

int main(void) {
    const char *json = temp_path("golden.json"), *plain = temp_path("golden.txt"), *color = temp_path("golden.color");
    const char *tool = temp_path("golden.tool"), *logfmt = temp_path("golden.logfmt"), *zlog = temp_path("golden.zlog"), *python = temp_path("golden.python");
    mlog_config config = {.env = "-", .name = "golden", .now = test_clock, .sinks = {
        {.name = "tool", .type = MLOG_FILE, .path = tool, .format = MLOG_PLAIN},
        {.name = "logfmt", .type = MLOG_FILE, .path = logfmt, .format = MLOG_LOGFMT},
        {.name = "zlog", .type = MLOG_FILE, .path = zlog, .format = MLOG_PATTERN, .pattern = "%d(%F %T).%ms %-6V (%12.12c:%f:%L) %M(tenant)|%m%R%n"},
        {.name = "python", .type = MLOG_FILE, .path = python, .format = MLOG_PATTERN, .pattern = "[%(asctime)s] %(levelname)s: %(name)s: %(message)s"},
        {.name = "json", .type = MLOG_FILE, .path = json},
        {.name = "plain", .type = MLOG_FILE, .path = plain, .format = MLOG_PRETTY, .color = MLOG_NO, .utc = MLOG_YES},
        {.name = "color", .type = MLOG_FILE, .path = color, .format = MLOG_PRETTY, .color = MLOG_YES, .utc = MLOG_YES, .level = MLOG_WARN}}};
    unlink(json), unlink(plain), unlink(color), unlink(tool), unlink(logfmt), unlink(zlog), unlink(python);
    if (!CHECK(mlog_init(&config) == 0)) return printf("%s\n", mlog_why()), done();
    mlog_thread(&(mlog_thread_config){.name = "main"});
    log_values();
    log_names(mlog_named("net.http"));
    log_texts();
    CHECK(mlog_flush(-1) == 0);
    compare("lines.json", json);
    compare("lines.txt", plain);
    compare("lines.color", color);
    compare("lines.plain", tool);
    compare("lines.logfmt", logfmt);
    compare("lines.zlog", zlog);
    compare("lines.python", python);
    return done();
}
