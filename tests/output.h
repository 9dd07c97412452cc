/* For tests that look at what comes out: a JSON file and a PRETTY file side by side, and what each record added to them. */
#ifndef OUTPUT_H
#define OUTPUT_H
#include "check.h"

static char out_json[1 << 20], out_pretty[1 << 20]; /* what came since the last look */
static long out_json_at, out_pretty_at;
static char out_json_path[512], out_pretty_path[512];

/* A second that grows by one microsecond a call: 2024-02-29T23:59:58.000001000Z and so on. */
static int64_t out_clock_now = INT64_C(1709251198000000000);
MAYBE_UNUSED static int64_t out_clock(void) { return __atomic_add_fetch(&out_clock_now, 1000, __ATOMIC_RELAXED); }

/* Starts anew with two empty files; `c` gives the rest of the configuration. */
MAYBE_UNUSED static int out_begin(mlog_config c) {
    static int n;
    char name[64];
    (void)snprintf(name, sizeof name, "out%d.json", ++n);
    (void)snprintf(out_json_path, sizeof out_json_path, "%s", temp_path(name));
    (void)snprintf(name, sizeof name, "out%d.txt", n);
    (void)snprintf(out_pretty_path, sizeof out_pretty_path, "%s", temp_path(name));
    (void)unlink(out_json_path);
    (void)unlink(out_pretty_path);
    out_json_at = out_pretty_at = 0;
    c.sinks[0] = (mlog_sink_config){.name = "json", .type = MLOG_FILE, .path = out_json_path};
    c.sinks[1] = (mlog_sink_config){.name = "pretty", .type = MLOG_FILE, .format = MLOG_PRETTY, .path = out_pretty_path};
    if (c.env == NULL) c.env = "-";
    int result = mlog_init(&c);
    if (result != 0) printf("mlog_init: %s\n", mlog_why());
    return result;
}

static long out_tail(const char *path, long at, char *to, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : pread(fd, to, size - 1, at);
    if (fd >= 0) (void)close(fd);
    if (n < 0) n = 0;
    to[n] = 0;
    return at + (long)n;
}

/* Flushes and takes what is new in both files. */
MAYBE_UNUSED static void out_look(void) {
    CHECK(mlog_flush(10000) == 0);
    out_json_at = out_tail(out_json_path, out_json_at, out_json, sizeof out_json);
    out_pretty_at = out_tail(out_pretty_path, out_pretty_at, out_pretty, sizeof out_pretty);
}

/* Flushes and passes over what is new, however much. */
MAYBE_UNUSED static void out_skip(void) {
    struct stat st;
    CHECK(mlog_flush(10000) == 0);
    if (stat(out_json_path, &st) == 0) out_json_at = (long)st.st_size;
    if (stat(out_pretty_path, &st) == 0) out_pretty_at = (long)st.st_size;
}

/* The next line from `at` on that contains what, NULL: none. (strstr under a sanitizer measures the whole rest each time.) */
MAYBE_UNUSED static const char *out_line(const char *at, const char *what) {
    while (*at) {
        const char *end = strchrnul(at, '\n');
        if (memmem(at, (size_t)(end - at), what, strlen(what)) != NULL) return at;
        at = end + (*end != 0);
    }
    return NULL;
}

/* The value of a key of the JSON in out_json as text, without quotes at the ends, up to `"` or `,`. Good for simple values only.
 */
MAYBE_UNUSED static const char *out_get(const char *key) {
    static char text[8][4096];
    static int next;
    char quoted[300], *to = text[next++ % 8];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(out_json, quoted);
    *to = 0;
    if (at == NULL) return "(none)";
    at += strlen(quoted);
    bool string = *at == '"';
    size_t n = strcspn(at + string, string ? "\"" : ",}\n");
    (void)snprintf(to, sizeof text[0], "%.*s", (int)n, at + string);
    return to;
}

static int out_same(const char *got, size_t n, const char *want, const char *what, const char *file, int line) {
    int same = n == strlen(want) && memcmp(got, want, n) == 0;
    check(same, what, file, line);
    if (!same) printf("    got  %.*s\n    want %.300s\n", (int)(n < 300 ? n : 300), got, want), fflush(stdout);
    return same;
}

/* What stands behind the thread in the one new JSON line: `,"k":1`. */
MAYBE_UNUSED static int out_fields(const char *want, const char *file, int line) {
    const char *at = strstr(out_json, "\"thread\":");
    const char *end = out_json + strlen(out_json);
    if (at == NULL) return out_same("", 0, want, "a JSON line", file, line);
    at += 9;
    at += *at == '"' ? 2 + strcspn(at + 1, "\"") : strcspn(at, ",}");
    return out_same(at, (size_t)(end - at) - (size_t)(end[-1] == '\n') - 1, want, "JSON fields", file, line);
}

/* Message and fields of the one new PRETTY line. */
MAYBE_UNUSED static int out_people(const char *want, const char *file, int line) {
    const char *at = out_pretty + (strlen(out_pretty) > 20 ? 20 : 0), *end = at, *next; /* 23:59:58.000 INFO   */
    while ((next = strstr(end + 1, "  (")) != NULL) end = next;
    return out_same(at, (size_t)(end - at), want, "PRETTY text", file, line);
}
#define JSON(want) (out_look(), out_fields(want, __FILE__, __LINE__))
#define BOTH(json, pretty) (out_look(), out_fields(json, __FILE__, __LINE__) & out_people(pretty, __FILE__, __LINE__))
#define SAME(got, want) out_same(got, strlen(got), want, #got, __FILE__, __LINE__)

/* Every line of a file under the rules of tests/check_json.py. */
MAYBE_UNUSED static int out_strict(const char *path, const char *more) {
    char command[1300];
    (void)snprintf(command, sizeof command, "python3 tests/check_json.py %s '%s'", more, path);
    return system(command);
}
#define STRICT(path) CHECK(out_strict(path, "") == 0)
#endif
