/* Rings: every value comes out as it went in, whatever the place in the ring; a full queue does what its policy says; what is
 * lost is counted, by level, and told in the stream where it happened. Values and lines are counted here, never by the library.
 */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

static const char *log_path;

static void start(const char *file, uint32_t ring_bytes, mlog_full full, int full_ms) {
    mlog_config c = {.levels = "trace",
                     .env = "-",
                     .ring_bytes = ring_bytes,
                     .full = full,
                     .full_ms = full_ms,
                     .sinks = {{.type = MLOG_FILE, .path = log_path = temp_path(file)}}};
    (void)unlink(log_path);
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

static char *logged(void) {
    CHECK(mlog_flush(5000) == 0);
    return slurp(log_path, NULL);
}

/* A file sink stalls while a pass cannot begin. */
static void stall(void) { pthread_mutex_lock(&mlog__flush_all.role); }
static void go_on(void) { pthread_mutex_unlock(&mlog__flush_all.role); }

/* The body of a test runs in a thread of its own, which gets a ring of the size that the test configured. */
static void in_thread(void *(*run)(void *), void *arg) {
    pthread_t t;
    if (!CHECK(pthread_create(&t, NULL, run, arg) == 0)) return;
    (void)pthread_join(t, NULL);
}

/* ---- pair counts and kinds ---- */

#define V(i) "k" #i, 1000 * round + (i)
static void each_count(int round) {
    mlog_info("n0", "k", round);
    mlog_info("pairs0");
    mlog_info("pairs1", V(1));
    mlog_info("pairs2", V(1), V(2));
    mlog_info("pairs3", V(1), V(2), V(3));
    mlog_info("pairs4", V(1), V(2), V(3), V(4));
    mlog_info("pairs5", V(1), V(2), V(3), V(4), V(5));
    mlog_info("pairs6", V(1), V(2), V(3), V(4), V(5), V(6));
    mlog_info("pairs7", V(1), V(2), V(3), V(4), V(5), V(6), V(7));
    mlog_info("pairs8", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8));
    mlog_info("pairs9", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9));
    mlog_info("pairs10", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10));
    mlog_info("pairs11", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11));
    mlog_info("pairs12", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12));
    mlog_info("pairs13", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13));
    mlog_info("pairs14", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14));
    mlog_info("pairs15", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15));
    mlog_info("pairs16", V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15), V(16));
}

static void *counts_run(void *unused) {
    for (int round = 0; round < 200; round++) each_count(round);
    return unused;
}

/* Lines with "pairsN" hold keys k1 to kN with 1000 * round + i, round 0, 1, 2 … in order; any other line fails. */
static int counts_wrong(const char *text) {
    int round[17] = {0}, wrong = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        const char *at = strstr(p, "\"pairs");
        int n = at && at < strchr(p, '\n') ? atoi(at + 6) : -1;
        char key[24];
        if (n < 0) continue;
        for (int i = 1; i <= n; i++) {
            (void)snprintf(key, sizeof key, "k%d", i);
            wrong += line_number(p, key) != 1000 * round[n] + i;
        }
        (void)snprintf(key, sizeof key, "k%d", n + 1);
        wrong += line_number(p, key) != -1;
        round[n]++;
    }
    for (int n = 0; n <= 16; n++) wrong += round[n] != 200;
    return wrong;
}

static void test_counts(void) {
    start("counts.log", 0, MLOG_BLOCK, 0);
    in_thread(counts_run, NULL);
    char *text = logged(), *second = strchr(strchr(text, '\n') + 1, '\n') + 1;
    CHECK_EQ(lines(text, NULL), 200 * 18);
    CHECK_EQ(counts_wrong(text), 0);
    CHECK(counts_wrong(strchr(second, '\n') + 1) != 0); /* the checker sees a missing line */
    free(text);
}

typedef struct {
    int a;
    const char *b;
} thing;
static void put_thing(mlog_writer *w, const void *p) {
    const thing *t = p;
    mlog_put(w, "a", t->a);
    mlog_put(w, "b", t->b);
}

static void every_kind(int i) {
    static const int numbers[] = {-1, 0, 7};
    static const char *const words[] = {"x", NULL, "z\"z"};
    thing t = {i, "bee"};
    int64_t big = INT64_MIN + i;
    mlog_info("kinds one", "i8", (signed char)-5, "u8", (unsigned char)250, "i16", (short)-300, "u16", (unsigned short)65000,
              "i32", -i, "u32", 4000000000u, "i64", big, "u64", UINT64_MAX - (uint64_t)i, "b", (bool)true, "f", 0.1f, "d", 0.1,
              "s", "short", "null", (char *)NULL, "p", (void *)0x1234, "np", (void *)NULL, "ch", 'x');
    mlog_info("kinds two", "str", mlog_str("abcdef", 3), "bytes", mlog_bytes("\x01\xff", 2), "hex", mlog_hex(0xbeef), "bool",
              mlog_bool(0), "char", mlog_char('c'), "err", mlog_errno(ENOENT), "time", mlog_time(1), "dur", mlog_dur(1500000000),
              "json", mlog_json("{\"a\":1}", 7), "hush", mlog_secret("hush-hush"), "arr", mlog_array(numbers, 3), "words",
              mlog_array(words, 3), "obj", mlog_object(put_thing, &t), "password", "visible", "n", i);
}

static void *kinds_run(void *unused) {
    for (int i = 0; i < 300; i++) every_kind(i);
    return unused;
}

static void test_kinds(uint32_t ring_bytes) {
    static const char *const same[] = {"\"i8\":-5,",          "\"u8\":250,",    "\"i16\":-300,", "\"u16\":65000,",
                                       "\"u32\":4000000000,", "\"b\":true,",    "\"f\":0.1,",    "\"d\":0.1,",
                                       "\"s\":\"short\",",    "\"null\":null,", "\"np\":null,",  "\"ch\":120",
                                       "\"p\":\"0x1234\","};
    static const char *const same2[] = {
        "\"str\":\"abc\",", "\"bytes\":\"01ff\",",        "\"hex\":\"0xbeef\",", "\"bool\":false,",
        "\"char\":\"c\",",  "\"json\":{\"a\":1},",        "\"arr\":[-1,0,7],",   "\"words\":[\"x\",null,\"z\\\"z\"],",
        "\"b\":\"bee\"}",   "\"password\":\"[redacted]\""};
    char want[128];
    start("kinds.log", ring_bytes, MLOG_BLOCK, 0);
    in_thread(kinds_run, NULL);
    char *text = logged();
    CHECK_EQ(lines(text, NULL), 600);
    for (size_t k = 0; k < sizeof same / sizeof *same; k++)
        if (!CHECK_EQ(lines(text, same[k]), 300)) printf("    %s in %.900s\n", same[k], text);
    for (size_t k = 0; k < sizeof same2 / sizeof *same2; k++)
        if (!CHECK_EQ(lines(text, same2[k]), 300)) printf("    %s in %.900s\n", same2[k], strchr(text, '\n') + 1);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(want, sizeof want, "\"i32\":%d,\"u32\":4000000000,\"i64\":%lld,\"u64\":%llu,", -i,
                       (long long)INT64_MIN + i, (unsigned long long)(UINT64_MAX - (uint64_t)i));
        if (!CHECK_EQ(lines(text, want), 1)) break;
        (void)snprintf(want, sizeof want, "\"obj\":{\"a\":%d,", i);
        if (!CHECK_EQ(lines(text, want), 1)) break;
    }
    CHECK_EQ(lines(text, "visible"), 0);
    CHECK_EQ(lines(text, "hush-hush"), 0);
    free(text);
}

/* ---- wrapping ---- */

enum { WRAPS = 12000 };
static char pattern[1024];

static void *wrap_run(void *first) { /* odd sizes, so that every offset before the end of the ring comes up */
    for (int i = *(int *)first; i < WRAPS; i++) {
        int n = i * 37 % 331;
        if (i % 3 == 0) mlog_info("w", "seq", i, "n", n, "text", mlog_str(pattern + i % 64, (size_t)n));
        else if (i % 3 == 1) mlog_infof("w %d %.*s|", i, n % 300, pattern + i % 64);
        else mlog_info("w", "seq", i, "n", n, "text", pattern + 1023 - n);
    }
    return NULL;
}

static int wrap_wrong(const char *text, int first, bool show) { /* how many records are lost, doubled, torn or out of order */
    int wrong = 0, want = first;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1, want++) {
        char expected[700];
        int i = want, n = i * 37 % 331;
        if (i % 3 == 0)
            (void)snprintf(expected, sizeof expected, "\"seq\":%d,\"n\":%d,\"text\":\"%.*s\"}", i, n, n, pattern + i % 64);
        else if (i % 3 == 1) (void)snprintf(expected, sizeof expected, "\"w %d %.*s|\"", i, n % 300, pattern + i % 64);
        else (void)snprintf(expected, sizeof expected, "\"seq\":%d,\"n\":%d,\"text\":\"%s\"}", i, n, pattern + 1023 - n);
        const char *end = strchr(p, '\n');
        if (memmem(p, (size_t)(end - p), expected, strlen(expected)) == NULL) {
            if (wrong++ == 0 && show) printf("    wanted %s, got %.*s\n", expected, (int)(end - p), p);
        }
    }
    return wrong + abs(WRAPS - want);
}

static void test_wraps(void) {
    for (size_t i = 0; i < sizeof pattern - 1; i++) pattern[i] = (char)('a' + i % 26);
    for (int first = 0; first < 3; first++) {
        start("wraps.log", 4096, MLOG_BLOCK, 0);
        in_thread(wrap_run, &first);
        char *text = logged();
        CHECK_EQ(wrap_wrong(text, first, true), 0);
        if (first == 0) { /* the checker sees a doubled line */
            size_t one = (size_t)(strchr(text, '\n') + 1 - text), all = strlen(text);
            char *doubled = malloc(one + all + 1);
            memcpy(doubled, text, one);
            memcpy(doubled + one, text, all + 1);
            CHECK(wrap_wrong(doubled, first, false) != 0);
            free(doubled);
        }
        free(text);
    }
}

/* Moves this thread's empty ring to a position, as if it had come there by itself. */
static void place_at(uint64_t at) {
    mlog__thread *t = mlog__thread_self;
    uint32_t number = t->ring->number;
    stall();
    mlog__flush_all.head[number] = at;
    __atomic_store_n(&mlog__flush_all.counted_at[number], at, __ATOMIC_RELAXED);
    mlog__flush_all.tallied[number] = at;
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (s->used) s->next[number] = s->done[number] = at;
    }
    __atomic_store_n(&t->ring->tail, at, __ATOMIC_RELEASE);
    __atomic_store_n(&t->ring->head, at, __ATOMIC_RELEASE);
    t->limit = 0;
    go_on();
}

/* A ring whose position lies just below a wrap, on its first lap: as if it had run for a lap already. */
static void *near_wrap_run(void *before) {
    uint64_t at = 4096 - *(uint64_t *)before;
    CHECK(mlog_thread(NULL) == 0);
    place_at(at);
    for (int i = 0; i < 3; i++) mlog_info("near", "i", i, "text", mlog_str(pattern, 60), "more", "of this");
    return NULL;
}

static void test_near_wrap(void) {
    start("near.log", 4096, MLOG_BLOCK, 0);
    for (uint64_t before = 8; before <= 512; before += 8) in_thread(near_wrap_run, &before);
    char want[128], *text = logged();
    CHECK_EQ(lines(text, NULL), 3 * 64);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(want, sizeof want, "\"i\":%d,\"text\":\"%.60s\",\"more\":\"of this\"}", i, pattern);
        CHECK_EQ(lines(text, want), 64);
    }
    free(text);
}

/* Positions have 64 bits: far beyond 2^32, and records there are as good as any. */
static void *far_run(void *unused) {
    CHECK(mlog_thread(NULL) == 0);
    uint64_t at = (UINT64_C(1) << 45) - 64;
    place_at(at);
    for (int i = 0; i < 1000; i++) mlog_info("far", "i", i);
    return unused;
}

static void test_far(void) {
    start("far.log", 4096, MLOG_BLOCK, 0);
    in_thread(far_run, NULL);
    char *text = logged();
    CHECK_EQ(lines(text, "\"far\""), 1000);
    free(text);
}

/* ---- long texts ---- */

static void *long_run(void *bytes) {
    size_t n = *(size_t *)bytes;
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++) text[i] = "\xe2\x82\xac"[i % 3]; /* euro signs */
    text[n - n % 3] = 0;
    mlog_info("long", "n", n / 3, "text", text, "after", "it");
    mlog_infof("longf %zu %s", n / 3, text);
    mlog_info("long bytes", "bytes", mlog_bytes(text, n - n % 3), "after", "it");
    mlog_info("long two", "a", text, "b", text, "c", text, "d", text, "after", "it");
    free(text);
    return NULL;
}

/* Cut or not: whole characters, and a cut one says how long it was. */
static void test_long(uint32_t ring_bytes) {
    start("long.log", ring_bytes, MLOG_BLOCK, 0);
    static const size_t size[] = {90, 300, 600, 1200, 3000, 30000, 300000, 3000000};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        size_t n = size[i];
        (void)unlink(log_path);
        mlog_reopen();
        (void)mlog_flush(5000);
        in_thread(long_run, &n);
        char *text = logged(), full[32], *p = strstr(text, "\"text\":\"");
        CHECK_EQ(lines(text, NULL), 4);
        CHECK_EQ(lines(text, "\"after\":\"it\""), 3);
        if (!CHECK(p != NULL)) continue;
        size_t whole = 0, limit = ring_bytes / 4;
        for (p += 8; memcmp(p, "\xe2\x82\xac", 3) == 0; p += 3) whole += 3;
        bool cut = whole < n - n % 3;
        if (n < limit / 3) CHECK(!cut);
        CHECK(whole <= limit);
        if (cut) CHECK(whole >= limit / 3 - 160);
        (void)snprintf(full, sizeof full, "%zu", n - n % 3);
        char *line_end = strchr(p, '\n'), *said = strstr(p, full);
        if (cut && !CHECK(said != NULL && said < line_end)) printf("    cut text goes on: %.60s\n", p);
        if (!cut) CHECK(strncmp(p, "\",\"after\"", 9) == 0);
        if (i == 0) CHECK(!strstr(text, "\\u") && !strstr(text, "\xef\xbf\xbd"));
        CHECK(strstr(text, "\xef\xbf\xbd") == NULL); /* no half character became U+FFFD */
        free(text);
    }
}

/* ---- a full queue ---- */

enum { STALLED = 3000 };
typedef struct {
    int64_t ms;
    uint64_t dropped;
} took;

static void *full_run(void *result) {
    int64_t from = now_ms();
    for (int i = 0; i < STALLED; i++) {
        if (i % 10 == 0) mlog_error("full", "seq", i);
        else mlog_info("full", "seq", i);
    }
    ((took *)result)->ms = now_ms() - from;
    return NULL;
}

static void *full_then_go(void *result) {
    stall();
    full_run(result);
    go_on();
    (void)mlog_flush(5000);
    mlog_info("full", "seq", STALLED);
    return NULL;
}

typedef struct {
    long long got, info, error, lines;
    bool order, place;
} told;

/* Sequence numbers in the file: in order, once each, and where they have gaps, loss lines that add up, before the next number. */
static told told_of(const char *text) {
    told t = {0, 0, 0, 0, true, true};
    long long last = -1, since_error = 0, since_info = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        const char *end = strchr(p, '\n');
        if (memmem(p, (size_t)(end - p), "queue full", 10)) {
            long long info = line_number(p, "info"), error = line_number(p, "error"), all = line_number(p, "dropped");
            since_info += info > 0 ? info : 0;
            since_error += error > 0 ? error : 0;
            if (all != (info > 0 ? info : 0) + (error > 0 ? error : 0)) t.place = false;
            t.lines++;
            continue;
        }
        long long seq = line_number(p, "seq");
        if (seq < 0) continue;
        long long missing_error = 0, missing = 0;
        for (long long i = last + 1; i < seq; i++) missing++, missing_error += i % 10 == 0;
        if (seq <= last) t.order = false;
        if (missing_error != since_error || missing - missing_error != since_info) t.place = false;
        t.got++;
        t.info += since_info;
        t.error += since_error;
        since_info = since_error = 0;
        last = seq;
    }
    t.info += since_info; /* after the last: nobody came back to see them end */
    t.error += since_error;
    return t;
}

static void test_wait(void) {
    took r = {0, 0};
    mlog_stats before, after;
    start("wait.log", 4096, MLOG_WAIT, 80);
    mlog_stats_read(&before);
    in_thread(full_then_go, &r);
    char *text = logged();
    told t = told_of(text);
    mlog_stats_read(&after);
    CHECK(r.ms >= 75 && r.ms < 400); /* one deadline, not one a call */
    CHECK(t.order);
    CHECK(t.place);
    CHECK(t.got > 30 && t.got < 200);
    CHECK_EQ(t.got + t.info + t.error, STALLED + 1);
    CHECK_EQ(after.accepted - before.accepted, t.got);
    CHECK_EQ(after.dropped - before.dropped, t.info + t.error);
    CHECK_EQ(after.dropped_by_level[MLOG_INFO] - before.dropped_by_level[MLOG_INFO], t.info);
    CHECK_EQ(after.dropped_by_level[MLOG_ERROR] - before.dropped_by_level[MLOG_ERROR], t.error);
    char *hole = strchr(text, '\n') + 1, *behind = strchr(hole, '\n') + 1; /* the checker sees a line that is gone */
    memmove(hole, behind, strlen(behind) + 1);
    CHECK(!told_of(text).place);
    free(text);
}

static void test_drop(void) {
    took r = {0, 0};
    start("drop.log", 4096, MLOG_DROP, 0);
    in_thread(full_then_go, &r);
    char *text = logged();
    told t = told_of(text);
    CHECK(r.ms < 60);
    CHECK(t.order);
    CHECK(t.place);
    CHECK(t.lines >= 1);
    CHECK_EQ(t.got + t.info + t.error, STALLED + 1);
    free(text);
}

/* A callback sink is told, too, of what a thread lost that ended before it could tell. */
static struct { uint64_t records, skipped, told; } heard;
static int hear(void *user, const mlog_record *r) {
    (void)user;
    uint64_t *of = strstr(r->msg, "records dropped") ? &heard.told : strstr(r->msg, "records skipped") ? &heard.skipped : NULL;
    if (of == NULL) {
        heard.records++;
        return 0;
    }
    for (size_t i = 0; i < r->nfields; i++)
        if (strcmp(r->fields[i].key, "dropped") == 0) *of += r->fields[i].value.as.u;
    return 0;
}

static void *full_and_gone(void *result) {
    stall();
    full_run(result);
    go_on();
    return NULL; /* it logs nothing more: its report is left to the flusher */
}

static void test_drop_heard(void) {
    took r = {0, 0};
    mlog_stats before, after;
    mlog_config c = {.levels = "info", .env = "-", .ring_bytes = 4096, .full = MLOG_DROP, .sinks = {{.type = MLOG_CALLBACK, .write = hear}}};
    memset(&heard, 0, sizeof heard);
    CHECK(mlog_init(&c) == 0);
    mlog_stats_read(&before);
    in_thread(full_and_gone, &r);
    CHECK(mlog_flush(5000) == 0);
    CHECK(mlog_shutdown(5000) == 0);
    mlog_stats_read(&after);
    CHECK(heard.told > 0);
    CHECK_EQ(heard.records + heard.skipped + heard.told, STALLED); /* skipped: a callback holds no ring */
    CHECK_EQ(after.dropped - before.dropped, heard.told);
}

static void test_block(void) {
    took r = {0, 0};
    pthread_t run;
    start("block.log", 4096, MLOG_BLOCK, 20); /* full_ms has no say here */
    stall();
    pthread_create(&run, NULL, full_run, &r);
    sleep_ms(250);
    go_on();
    pthread_join(run, NULL);
    char *text = logged();
    told said = told_of(text);
    CHECK(r.ms >= 240);
    CHECK_EQ(said.got, STALLED);
    CHECK_EQ(said.lines, 0);
    CHECK(said.order);
    free(text);
}

/* The breaker: after one expiry every call drops at once, until a quarter of the ring is free; then calls wait again. */
static void *breaker_run(void *unused) {
    stall();
    int64_t from = now_ms();
    for (int i = 0; i < 200; i++) mlog_info("fill", "i", i);
    CHECK(now_ms() - from >= 95);
    CHECK(mlog__thread_self->broken);
    from = now_ms();
    for (int i = 0; i < 2000; i++) mlog_info("at once", "i", i);
    CHECK(now_ms() - from < 90);
    go_on();
    CHECK(mlog_flush(5000) == 0);
    mlog_info("room again");
    CHECK(!mlog__thread_self->broken);
    stall();
    from = now_ms();
    for (int i = 0; i < 200; i++) mlog_info("fill", "i", i);
    CHECK(now_ms() - from >= 95);
    go_on();
    return unused;
}

static void test_breaker(void) {
    start("breaker.log", 4096, MLOG_WAIT, 100);
    in_thread(breaker_run, NULL);
    char *text = logged();
    CHECK_EQ(lines(text, "room again"), 1);
    CHECK_EQ(lines(text, "\"at once\""), 0);
    free(text);
}

/* A report and texts in a ring that is nearly full: whatever is dropped in the middle of a record leaves only its count. */
static void *grow_run(void *unused) {
    stall();
    for (int i = 0; i < 400; i++) mlog_info("grow", "seq", i, "text", mlog_str(pattern, (size_t)(i * 13 % 200)), "s", "x");
    go_on();
    (void)mlog_flush(5000);
    mlog_info("grow", "seq", 400, "text", "", "s", "x");
    return unused;
}

static void test_grow(void) {
    start("grow.log", 4096, MLOG_DROP, 0);
    in_thread(grow_run, NULL);
    char *text = logged();
    long long dropped = 0, got = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        long long n = line_number(p, "dropped"), seq = line_number(p, "seq");
        if (n > 0) dropped += n;
        if (seq < 0) continue;
        char want[300];
        int size = seq == 400 ? 0 : (int)seq * 13 % 200;
        got++;
        (void)snprintf(want, sizeof want, "\"text\":\"%.*s\",\"s\":\"x\"}\n", size, pattern);
        CHECK(strncmp(strstr(p, "\"text\""), want, strlen(want)) == 0);
    }
    CHECK_EQ(got + dropped, 401);
    CHECK(dropped > 300);
    free(text);
}

/* ---- many threads under saturation ---- */

enum { MANY = 4, EACH = 20000 };
static void *many_run(void *number) {
    int me = *(int *)number;
    for (int i = 0; i < EACH; i++) mlog_info("many", "who", me, "seq", i, "text", mlog_str(pattern, (size_t)(i % 40)));
    (void)mlog_flush(5000);
    mlog_info("many", "who", me, "seq", EACH, "text", "");
    return NULL;
}

static int stalled_write(void *user, const mlog_record *r) { /* a callback that is slow, then refuses, then takes everything */
    int *calls = user;
    int n = __atomic_add_fetch(calls, 1, __ATOMIC_RELAXED);
    (void)r;
    if (n % 1000 == 0) sleep_ms(3);
    return n == 500 || n == 700 ? -1 : 0;
}

static void test_saturation(mlog_full full) {
    static int calls;
    int number[MANY];
    pthread_t t[MANY];
    mlog_stats before, after;
    mlog_sink_stats file, call, null;
    const char *path = temp_path("many.log");
    mlog_config c = {.env = "-",
                     .ring_bytes = 8192,
                     .full = full,
                     .full_ms = 1,
                     .sinks = {{.type = MLOG_FILE, .path = path},
                               {.type = MLOG_CALLBACK, .write = stalled_write, .user = &calls},
                               {.type = MLOG_NULL, .level = MLOG_ERROR}}};
    (void)unlink(path);
    CHECK(mlog_init(&c) == 0);
    mlog_stats_read(&before);
    for (int i = 0; i < MANY; i++) number[i] = i, pthread_create(&t[i], NULL, many_run, &number[i]);
    for (int i = 0; i < MANY; i++) (void)pthread_join(t[i], NULL);
    CHECK(mlog_flush(10000) == 0);
    mlog_stats_read(&after);
    CHECK(mlog_sink_stats_read("file", &file) == 0 && mlog_sink_stats_read("callback", &call) == 0 &&
          mlog_sink_stats_read("null", &null) == 0);
    char *text = slurp(path, NULL);
    long long last[MANY] = {-1, -1, -1, -1}, got = 0, missing = 0, told_dropped = 0, disorder = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        long long who = line_number(p, "who"), seq = line_number(p, "seq"), n = line_number(p, "dropped");
        if (n > 0) told_dropped += n;
        if (who < 0 || who >= MANY) continue;
        if (seq <= last[who]) disorder++;
        else missing += seq - last[who] - 1;
        last[who] = seq;
        got++;
    }
    uint64_t accepted = after.accepted - before.accepted, dropped = after.dropped - before.dropped;
    CHECK_EQ(disorder, 0);
    CHECK_EQ(accepted + dropped, (long long)MANY * (EACH + 1));
    CHECK_EQ(got, accepted);
    CHECK_EQ(missing, dropped);
    CHECK_EQ(told_dropped, dropped);
    if (full == MLOG_BLOCK) CHECK_EQ(dropped, 0);
    CHECK_EQ(file.written + file.filtered + file.folded + file.lost + file.pending, accepted);
    CHECK_EQ(file.written, accepted);
    CHECK_EQ(call.written + call.filtered + call.folded + call.lost + call.pending, accepted);
    CHECK_EQ(null.written + null.filtered + null.folded + null.lost + null.pending, accepted);
    CHECK_EQ(null.filtered, accepted);
    CHECK(calls >= (int)call.written);
    free(text);
}

/* The sums hold in the middle of a stall, too: nothing is between the columns. */
static void test_sums_while_stalled(void) {
    int fd[2];
    char text[64];
    mlog_stats s0, s;
    mlog_sink_stats k;
    if (!CHECK(pipe(fd) == 0)) return;
    int old = dup(2);
    (void)dup2(fd[1], 2);
    mlog_config c = {.env = "-", .ring_bytes = 65536, .full = MLOG_DROP, .sinks = {{.type = MLOG_CONSOLE}}};
    CHECK(mlog_init(&c) == 0);
    mlog_stats_read(&s0);
    for (int i = 0; i < 5000; i++) mlog_info("into a pipe that nobody reads", "i", i);
    CHECK(mlog_flush(50) == -1);
    mlog_stats_read(&s);
    CHECK(mlog_sink_stats_read("console", &k) == 0);
    CHECK_EQ(s.accepted - s0.accepted + s.dropped - s0.dropped, 5000);
    CHECK_EQ(k.written + k.filtered + k.folded + k.lost + k.pending, s.accepted - s0.accepted);
    CHECK(k.pending > 0);
    CHECK(mlog_sink_stats_read("no such", &k) == -1);
    (void)close(fd[1]);
    (void)dup2(old, 2);
    (void)close(old);
    size_t got = 0;
    while (mlog_flush(0), (mlog_sink_stats_read("console", &k), k.pending > 0) && got < 10000000) {
        ssize_t n = read(fd[0], text, sizeof text);
        if (n > 0) got += (size_t)n;
    }
    CHECK_EQ(k.written, s.accepted - s0.accepted);
    (void)close(fd[0]);
}

/* ---- a sink that is stuck ---- */

/* A file that cannot grow: writes fail with EFBIG, as on a full disk. Nothing else may write to a file meanwhile. */
static struct rlimit file_size;
static void no_space(void) {
    (void)getrlimit(RLIMIT_FSIZE, &file_size);
    (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){1, file_size.rlim_max});
}
static void space_again(void) { (void)setrlimit(RLIMIT_FSIZE, &file_size); }

static int64_t cpu_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *waits_run(void *unused) {
    for (int i = 0; i < 400; i++) mlog_info("waits", "i", i);
    return unused;
}

/* Who waits for room behind a stuck sink sleeps, and so does the flusher: they do not wake each other for nothing. */
static void test_quiet_wait(mlog_flusher flusher) {
    pthread_t run;
    start("quiet.log", 4096, MLOG_BLOCK, 0);
    mlog_config c = {.env = "-", .ring_bytes = 4096, .full = MLOG_BLOCK, .flusher = flusher};
    c.sinks[0] = (mlog_sink_config){.type = MLOG_FILE, .path = log_path};
    CHECK(mlog_init(&c) == 0);
    no_space();
    if (!CHECK(pthread_create(&run, NULL, waits_run, NULL) == 0)) return;
    sleep_ms(300);
    int64_t before = cpu_ms(), used;
    sleep_ms(1000);
    used = cpu_ms() - before;
    space_again();
    (void)pthread_join(run, NULL);
    if (!CHECK(used < 200)) printf("    %lld ms of CPU in a second of waiting\n", (long long)used);
    char *text = logged();
    CHECK_EQ(lines(text, "\"waits\""), 400);
    free(text);
}

static uint32_t little_calls;
static void *little_run(void *unused) {
    for (uint32_t i = 0; i < 60000; i++) mlog_info("little", "i", i), __atomic_store_n(&little_calls, i + 1, __ATOMIC_RELAXED);
    return unused;
}

static uint32_t little_now(void) { return __atomic_load_n(&little_calls, __ATOMIC_RELAXED); }

static int drain_fd;
static void *drain_run(void *unused) {
    char text[65536];
    while (read(drain_fd, text, sizeof text) > 0) {}
    return unused;
}

/* A pipe takes a batch and is stuck again: that is less than a quarter of the ring, but who waits is told when the pass is over. */
static void test_little_room(void) {
    int fd[2], old = dup(2);
    static char text[300000];
    pthread_t run, drain;
    if (!CHECK(pipe(fd) == 0)) return;
    (void)dup2(fd[1], 2);
    (void)close(fd[1]);
    mlog_config c = {.env = "-", .ring_bytes = 1 << 20, .full = MLOG_WAIT, .full_ms = 6000, .sinks = {{.type = MLOG_CONSOLE}}};
    CHECK(mlog_init(&c) == 0);
    CHECK(pthread_create(&run, NULL, little_run, NULL) == 0);
    for (uint32_t before = 0; little_now() == 0 || little_now() != before; sleep_ms(300)) before = little_now();
    uint32_t stuck = little_now();
    CHECK(stuck > 1000 && stuck < 60000);
    for (size_t got = 0; got < sizeof text;) got += (size_t)MLOG__MAX(read(fd[0], text, sizeof text - got), (ssize_t)0);
    int64_t from = now_ms();
    while (little_now() == stuck && now_ms() - from < 6000) sleep_ms(1);
    CHECK(now_ms() - from < 3000);
    drain_fd = fd[0];
    CHECK(pthread_create(&drain, NULL, drain_run, NULL) == 0);
    (void)pthread_join(run, NULL);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(little_now(), 60000);
    (void)dup2(old, 2);
    (void)close(old);
    start("little.log", 4096, MLOG_BLOCK, 0); /* the console goes, and with it the pipe's last writer */
    (void)pthread_join(drain, NULL);
    (void)close(fd[0]);
}

static uint64_t accepted_since(const mlog_stats *before) {
    mlog_stats now;
    mlog_stats_read(&now);
    return now.accepted - before->accepted;
}

static void say(int n) {
    for (int i = 0; i < n; i++) mlog_info("counted", "i", i);
}

/* A sink that comes later, and begins at the heads, reads on beyond records that nobody has read yet: they count all the same. */
static void *behind_run(void *unused) {
    mlog_stats before;
    mlog_sink_stats k;
    mlog_stats_read(&before);
    no_space();
    say(10);
    (void)mlog_flush(200); /* a batch that is stuck */
    say(100);
    (void)mlog_flush(50); /* nobody reads these */
    mlog_sink *later = mlog_sink_add(&(mlog_sink_config){.name = "later", .type = MLOG_NULL});
    say(10);
    (void)mlog_flush(50);
    uint64_t stuck = accepted_since(&before);
    int found = mlog_sink_stats_read("file", &k);
    space_again();
    CHECK_EQ(stuck, 120);
    CHECK(found == 0);
    CHECK_EQ(k.written + k.filtered + k.folded + k.lost + k.pending, stuck);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(accepted_since(&before), 120);
    mlog_sink_remove(later);
    char *text = logged();
    CHECK_EQ(lines(text, NULL), 120);
    free(text);
    return unused;
}

static void test_accepted_behind(void) { /* in a thread of its own, whose ring has the room */
    start("behind.log", 1 << 20, MLOG_DROP, 0);
    in_thread(behind_run, NULL);
}

static sem_t let_go;
static int waits_for(void *user, const mlog_record *r) {
    (void)user, (void)r;
    while (sem_wait(&let_go) != 0) {}
    (void)sem_post(&let_go);
    return 0;
}

/* The same where callbacks were alone, which lane 0 does not read for. */
static void *beside_run(void *unused) {
    mlog_stats before;
    mlog_stats_read(&before);
    say(10);
    sleep_ms(100); /* it waits in the first */
    say(1000);
    (void)mlog_flush(100);
    mlog_sink *later = mlog_sink_add(&(mlog_sink_config){.name = "later", .type = MLOG_NULL});
    say(10);
    (void)mlog_flush(100);
    CHECK_EQ(accepted_since(&before), 1020);
    (void)sem_post(&let_go);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(accepted_since(&before), 1020);
    mlog_sink_remove(later);
    return unused;
}

static void test_accepted_beside_callbacks(void) {
    mlog_config c = {.env = "-", .full = MLOG_DROP, .sinks = {{.type = MLOG_CALLBACK, .write = waits_for}}};
    (void)sem_init(&let_go, 0, 0);
    CHECK(mlog_init(&c) == 0);
    in_thread(beside_run, NULL);
}

/* Sinks come and go under load: what calls returned from is accepted, once each. */
enum { CHANGED = 60000 };
static uint32_t changers;
static void *change_run(void *unused) {
    for (int i = 0; i < CHANGED; i++) mlog_info("changing", "i", i);
    __atomic_fetch_sub(&changers, 1, __ATOMIC_RELAXED);
    return unused;
}

static int takes_it(void *user, const mlog_record *r) { return (void)user, (void)r, 0; }

static void test_accepted_under_change(void) {
    pthread_t t[2];
    mlog_stats before;
    mlog_config c = {.env = "-", .ring_bytes = 16384, .full = MLOG_BLOCK, .sinks = {{.type = MLOG_CALLBACK, .write = takes_it}}};
    CHECK(mlog_init(&c) == 0);
    mlog_stats_read(&before);
    changers = 2;
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&t[i], NULL, change_run, NULL) == 0);
    for (int k = 0; __atomic_load_n(&changers, __ATOMIC_RELAXED) != 0; k++) {
        mlog_format format = k % 2 == 0 ? MLOG_JSON : MLOG_LOGFMT;
        mlog_sink *null = mlog_sink_add(&(mlog_sink_config){.name = "null", .type = MLOG_NULL, .format = format});
        mlog_sink *call = mlog_sink_add(&(mlog_sink_config){.name = "call", .type = MLOG_CALLBACK, .write = takes_it});
        mlog_capture *capture = k % 3 == 0 ? mlog_capture_begin(NULL) : NULL;
        sleep_ms(1);
        mlog_capture_end(capture);
        mlog_sink_remove(k % 2 == 0 ? null : call);
        mlog_sink_remove(k % 2 == 0 ? call : null);
    }
    for (int i = 0; i < 2; i++) (void)pthread_join(t[i], NULL);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(accepted_since(&before), 2 * CHANGED);
}

int main(void) {
    test_wraps();
    test_counts();
    test_kinds(0);
    test_kinds(4096);
    test_near_wrap();
    test_far();
    test_long(4096);
    test_long(65536);
    test_wait();
    test_drop();
    test_drop_heard();
    test_block();
    test_breaker();
    test_grow();
    test_saturation(MLOG_WAIT);
    test_saturation(MLOG_DROP);
    test_saturation(MLOG_BLOCK);
    test_sums_while_stalled();
    test_quiet_wait(MLOG_THREAD);
    test_quiet_wait(MLOG_POLL);
    test_little_room();
    test_accepted_behind();
    test_accepted_beside_callbacks();
    test_accepted_under_change();
    return done();
}
