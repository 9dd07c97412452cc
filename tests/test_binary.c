/* Section binary and its reader: what MLOG_BINARY writes is, read back, what a JSON sink beside it wrote; damage of any kind is found and
 * makes nothing wrong. With METALOG_TEST_NO_CRC the reader compares no checksums: then the bit flips must fail (see tests/tool.sh). */
#define METALOG_IMPLEMENTATION
#define METALOG_TOOL 2 /* the reader, without its main */
#include "../metalog.h"
#include "check.h"
#include <sys/wait.h>

typedef struct { char *p; size_t n; } text;

static text load(const char *path) {
    text t = {NULL, 0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || (t.p = malloc((size_t)st.st_size + 1)) == NULL) exit(printf("cannot read %s\n", path));
    while (t.n < (size_t)st.st_size) {
        ssize_t n = read(fd, t.p + t.n, (size_t)st.st_size - t.n);
        if (n <= 0) break;
        t.n += (size_t)n;
    }
    (void)close(fd);
    t.p[t.n] = 0;
    return t;
}

static struct { uint64_t damaged, lost, records, blocks, first_bad, ids, last_id, session; bool blamed; } seen;

/* The file as JSON lines, by the reader; what it found is in `seen`. */
static text decode(int fd) {
    text t = {NULL, 0};
    mlog__reader *r = mlog__reader_open(fd);
    mlog__reader_record o;
    mlog__buffer b = {0};
    mlog__item it;
    memset(&seen, 0, sizeof seen);
    while (mlog__reader_next(r, &o) == MLOG__READER_BLOCK) {
        mlog__reader_item(&o, &it);
        if (!mlog__reader_decode(&o, &it)) seen.lost++;
        else if (!mlog__format_json(&b, &o.life->desk, &it)) abort();
        seen.ids += o.id;
        seen.last_id = o.id;
        seen.session = o.life->id;
    }
    seen.damaged = r->damaged;
    seen.lost += r->lost;
    seen.records = r->records;
    seen.blocks = r->blocks;
    seen.first_bad = r->first_bad;
    seen.blamed = r->why != NULL;
    mlog__reader_close(r);
    t.p = b.p == NULL ? strdup("") : realloc(b.p, b.len + 1);
    t.n = b.len;
    t.p[t.n] = 0;
    return t;
}

static text decode_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    text t = decode(fd);
    (void)close(fd);
    return t;
}

static text decode_bytes(const char *p, size_t n) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("damaged", MFD_CLOEXEC);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, p, n, 0) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0) exit(printf("memfd\n"));
    return decode(fd);
}

static const char *bin, *json;
static mlog_config pair(const char *name) {
    char a[64], b[64];
    (void)snprintf(a, sizeof a, "%s.bin", name);
    (void)snprintf(b, sizeof b, "%s.json", name);
    bin = temp_path(a), json = temp_path(b);
    (void)unlink(bin);
    (void)unlink(json);
    mlog_config c = {.env = "-", .levels = "trace", .full = MLOG_BLOCK,
                     .sinks = {{.name = "json", .type = MLOG_FILE, .path = json},
                               {.name = "bin", .type = MLOG_FILE, .format = MLOG_BINARY, .path = bin}}};
    return c;
}

static void same_lines(const char *what) {
    text want = load(json), got = decode_file(bin);
    bool same = want.n == got.n && memcmp(want.p, got.p, want.n) == 0;
    check(same && !seen.blamed, what, __FILE__, __LINE__);
    size_t i = 0, line = 0;
    while (!same && i < want.n && i < got.n && want.p[i] == got.p[i]) line = want.p[i++] == '\n' ? i : line;
    if (!same) printf("    %zu and %zu bytes, differ at %zu\n    want %.300s\n    got  %.300s\n", want.n, got.n, i, want.p + line, got.p + line);
    if (seen.blamed) printf("    blamed: byte %llu\n", (unsigned long long)seen.first_bad);
    free(want.p);
    free(got.p);
}

/* -- everything that can be logged -- */

static void put(mlog_writer *w, const void *p) {
    const int *a = p;
    mlog_put(w, "x", a[0]);
    mlog_put(w, "msg", "inner");
    mlog_put(w, "list", mlog_array(a, 3));
}

static void variadic(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_WARN, format, args);
    va_end(args);
}

static void log_everything(void) {
    static const char *const texts[] = {"one", NULL, "three"};
    int list[] = {1, -2, 3};
    double reals[] = {0.5, 1e300};
    char big[3000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    mlog_info("plain");
    mlog_trace("numbers", "i", -7, "u", 7u, "b", true, "f", 0.1f, "d", 1e-300, "c", mlog_char('x'), "n", (const char *)NULL);
    mlog_debug("texts", "t", "caf\xC3\xA9 \n \x01", "bytes", mlog_bytes("\0\1\2", 3), "hex", mlog_hex(255), "p", (void *)list);
    mlog_notice("makers", "e", mlog_errno(2), "time", mlog_time(INT64_C(1700000000000000000)), "dur", mlog_dur(1500), "json",
                mlog_json("{\"a\": [1, 2]}", 13), "s", mlog_secret("hush"), "password", "hush");
    mlog_warn("arrays", "ints", mlog_array(list, 3), "texts", mlog_array(texts, 3), "reals", mlog_array(reals, 2), "obj", mlog_object(put, list));
    mlog_error("clash", "msg", 1, "level", 2, "key", 3, "key", 4);
    mlog_crit("large", "big", big);
    mlog_errorf("printf %d %s %.3f %Lf %c %%", 42, "text", 2.5, (long double)1.25L, 'z');
    errno = ENOENT;
    mlog_warnf("why: %m");
    variadic("run time %s %d\n", "text", 7);
    mlog_field fields[] = {{"k", mlog_val(1)}, {"ts", mlog_val("clash")}};
    mlog_event e = {.at = MLOG_HERE, .level = 12, .time = INT64_C(1700000000123456789), .msg = "given", .fields = fields, .nfields = 2};
    mlog_emit(&e);
    mlog_logger *net = mlog_named("net.http"), *bound = NULL;
    mlog_to(net, MLOG_INFO, "of a logger", "k", 1);
    bound = mlog_bind(net, "conn", 17, "peer", "10.0.0.1");
    mlog_to(bound, MLOG_WARN, "of a bound one", "k", 1, "conn", 2);
    mlog_tof(bound, MLOG_WARN, "printf of a bound one %d", 1);
    mlog_unbind(bound);
    for (int i = 0; i < 3; i++) {
        mlog_with("task", i, "user", "ann");
        mlog_info("in a context", "k", 1);
        {
            mlog_with("task", 99, "source", "other");
            mlog_info("in an inner one", "user", "clash");
        }
        mlog_with("large", big); /* does not fit a slot: its fields travel with the record */
        mlog_info("in a heavy one");
    }
    mlog(3, "a level without a name");
    mlog_alert("the end");
}

static void *other_thread(void *name) {
    mlog_thread(&(mlog_thread_config){.name = name});
    for (int i = 0; i < 500; i++) mlog_info("from a thread", "i", i);
    return NULL;
}

static void test_same(void) {
    pthread_t t[3];
    static char names[3][8] = {"one", "zwei \"", "three"};
    mlog_config c = pair("same");
    CHECK(mlog_init(&c) == 0);
    log_everything();
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, other_thread, names[i]) == 0);
    for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
    CHECK(mlog_flush(10000) == 0);
    log_everything();
    for (int i = 0; i < 100000; i++) mlog_info("many", "i", i, "s", "text", "d", 0.25);
    CHECK(mlog_flush(10000) == 0);
    same_lines("a binary file is what a JSON file is");
    mlog_stats all;
    mlog_sink_stats a, b;
    mlog_stats_read(&all);
    CHECK(mlog_sink_stats_read("json", &a) == 0 && mlog_sink_stats_read("bin", &b) == 0);
    CHECK(a.written == b.written && b.lost == 0 && b.errors == 0 && b.pending == 0 && a.filtered == b.filtered);
    CHECK_EQ(seen.records, a.written);
    CHECK(mlog_init(&c) == 0); /* the same process goes on with both files: a second header, definitions again */
    log_everything();
    CHECK(mlog_shutdown(10000) == 0);
    same_lines("also behind a second start");
}

/* -- filters, levels, clocks, losses -- */

static int64_t now_of_test = INT64_C(1709251198000000000);
static int64_t test_clock(void) { return __atomic_add_fetch(&now_of_test, 1000, __ATOMIC_RELAXED); }
static int64_t no_clock(void) { return 0; }

/* Records that come late: ts waits, ts_call is true; also across the batches of a file. */
static int64_t set_by_hand;
static int64_t clock_by_hand(void) { return set_by_hand; }
static void test_late(void) {
    static const int times[] = {5000, 1000, 7000, 6999, 3000, 7001};
    mlog_config c = pair("late");
    c.now = clock_by_hand;
    CHECK(mlog_init(&c) == 0);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        set_by_hand = INT64_C(1709251198000000000) + times[i] * INT64_C(1000000);
        mlog_info("at", "ms", times[i]);
        if (i % 3 != 2) CHECK(mlog_flush(10000) == 0);
    }
    CHECK(mlog_shutdown(10000) == 0);
    text t = load(json);
    CHECK(strstr(t.p, "ts_call") != NULL);
    free(t.p);
    same_lines("late records");
}

static void test_chosen(void) {
    static const char *const where[] = {"qty>2 and qty<900", "source=net", "msg=*text*", "not has task"};
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "where%zu", i);
        mlog_config c = pair(name);
        c.sinks[0].where = c.sinks[1].where = where[i];
        CHECK(mlog_init(&c) == 0);
        log_everything();
        for (int k = 0; k < 1000; k++) mlog_info("qty", "qty", k % 1000);
        CHECK(mlog_shutdown(10000) == 0);
        same_lines(where[i]);
        CHECK(seen.records > 1);
    }
    mlog_config c = pair("level");
    c.sinks[0].level = c.sinks[1].level = MLOG_WARN;
    c.sinks[2] = (mlog_sink_config){.type = MLOG_NULL};
    CHECK(mlog_init(&c) == 0);
    log_everything();
    for (int k = 0; k < 1000; k++) k % 3 ? mlog_info("a") : mlog_warn("b", "k", k);
    CHECK(mlog_shutdown(10000) == 0);
    same_lines("a level");
    int64_t (*const clocks[])(void) = {test_clock, no_clock, NULL};
    for (int i = 0; i < 3; i++) {
        c = pair(i == 0 ? "clock" : i == 1 ? "zero" : "arrival");
        c.now = clocks[i];
        c.clock = i == 2 ? MLOG_ARRIVAL : MLOG_COUNTER;
        c.sinks[1].flush_ms = i == 0 ? 1000 : 0;
        CHECK(mlog_init(&c) == 0);
        log_everything();
        for (int k = 0; k < 20000; k++) mlog_info("text", "k", k);
        CHECK(mlog_shutdown(10000) == 0);
        same_lines(i == 0 ? "a clock of the program" : i == 1 ? "a clock that stands at 0" : "stamped on arrival");
    }
}

static void *log_too_much(void *unused) {
    CHECK(mlog_thread(&(mlog_thread_config){.name = "small", .ring_bytes = 4096, .full = MLOG_DROP}) == 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20000; i++) i % 2 ? mlog_info("much", "i", i) : mlog_warn("more", "i", i);
        CHECK(mlog_flush(10000) == 0);
    }
    return unused;
}

static void test_losses(void) {
    pthread_t t;
    mlog_config c = pair("loss");
    c.full = MLOG_DROP;
    CHECK(mlog_init(&c) == 0);
    CHECK(pthread_create(&t, NULL, log_too_much, NULL) == 0 && pthread_join(t, NULL) == 0);
    CHECK(mlog_shutdown(10000) == 0);
    text lines = load(json);
    CHECK(strstr(lines.p, "records dropped: queue full") != NULL);
    free(lines.p);
    same_lines("reports of losses");
}

/* A record that is larger than a batch. */
static void test_large(void) {
    mlog_config c = pair("huge");
    c.ring_bytes = 8 << 20;
    char *huge = malloc(1 << 20);
    memset(huge, 'y', 1 << 20);
    CHECK(mlog_init(&c) == 0);
    CHECK(mlog_thread(&(mlog_thread_config){.name = "large", .ring_bytes = 8 << 20}) == 0);
    for (int i = 0; i < 6; i++) mlog_info("huge", "text", mlog_str(huge, 900000u + 40000u * (unsigned)i), "i", i);
    CHECK(mlog_shutdown(10000) == 0);
    same_lines("records larger than a batch");
    free(huge);
}

/* -- files -- */

static void test_files(void) {
    mlog_config c = pair("reopen");
    CHECK(mlog_init(&c) == 0);
    const char *first = temp_path("reopen.bin.1");
    log_everything();
    CHECK(mlog_flush(10000) == 0);
    CHECK(rename(bin, first) == 0 && unlink(json) == 0);
    mlog_reopen();
    log_everything();
    CHECK(mlog_flush(10000) == 0);
    same_lines("a file after mlog_reopen needs no other");
    fflush(stdout);
#if !defined(__SANITIZE_THREAD__) && !defined(EMULATED) /* neither has threads in a child of several */
#define CHILDREN 1
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef CHILDREN
#endif
#endif
#ifdef CHILDREN
    pid_t pid = fork();
    if (pid == 0) {
        log_everything();
        _exit(mlog_flush(10000) != 0 || mlog_shutdown(10000) != 0);
    }
    int status = -1;
    log_everything();
    CHECK(mlog_flush(10000) == 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
    CHECK(mlog_shutdown(10000) == 0);
    text got = decode_file(bin), want = load(json);
    CHECK(!seen.blamed && seen.lost == 0 && got.n == want.n); /* two writers: in an order of their own */
    free(got.p);
    free(want.p);
    c = pair("refused");
    c.sinks[1].path = NULL, c.sinks[1].type = MLOG_CONSOLE;
    CHECK(mlog_init(&c) == -1 && strstr(mlog_why(), "MLOG_BINARY") != NULL);
}

static mlog_sink *binary_sink(void) {
    int i = 0;
    while (!mlog__flush_all.sink[i].used || mlog__flush_all.sink[i].binary == NULL) i++;
    return &mlog__flush_all.sink[i];
}

static bool holds_back(void) {
    mlog__platform_lock(&mlog__flush_all.role);
    bool holds = binary_sink()->out.len != 0;
    mlog__platform_unlock(&mlog__flush_all.role);
    return holds;
}

/* A batch that is held back when its file is renamed goes to the new one, with all that the old one was told. */
static void test_moved(void) {
    mlog_config c = pair("moved");
    c.sinks[1].flush_ms = 3600000;
    c.sinks[1].flush_level = MLOG_OFF;
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < 2; i++) {
        log_everything();
        CHECK(mlog_flush(10000) == 0);
    }
    for (int by_host = 0; by_host < 2; by_host++) {
        mlog_with("task", by_host);
        mlog_info("held back");
        log_everything();
        int64_t deadline = now_ms() + 10000;
        while (!holds_back() && now_ms() < deadline) sleep_ms(1);
        sleep_ms(20);
        CHECK(rename(bin, temp_path("moved.old")) == 0 && truncate(json, 0) == 0);
        mlog__platform_lock(&mlog__flush_all.role);
        if (by_host) (void)close(binary_sink()->fd);
        mlog__platform_unlock(&mlog__flush_all.role);
        if (!by_host) mlog_reopen(), log_everything();
        CHECK(mlog_flush(10000) == 0);
        text got = decode_file(bin), old;
        CHECK(!seen.blamed && seen.lost == 0 && strstr(got.p, "held back") != NULL && strstr(got.p, "\"task\":2,\"user\":\"ann\"") != NULL);
        old = decode_file(temp_path("moved.old"));
        CHECK(!seen.blamed && seen.lost == 0 && strstr(old.p, by_host ? "\"task\":1}" : "held back") == NULL);
        free(got.p);
        free(old.p);
    }
    CHECK(mlog_shutdown(10000) == 0);
}

static uint64_t last_call, sum_call;
static int take_id(void *user, const mlog_record *r) {
    (void)user;
    last_call = r->id[1];
    sum_call += r->id[1];
    return r->id[0] != 0 ? 0 : -1;
}

static void test_ids(void) {
    mlog_config c = pair("ids");
    sum_call = 0;
    c.sinks[0] = (mlog_sink_config){.type = MLOG_CALLBACK, .write = take_id};
    CHECK(mlog_init(&c) == 0);
    for (int i = 0; i < 50000; i++) {
        mlog_info("counted", "i", i);
        if (i % 1000 == 0) CHECK(mlog_flush(20000) == 0); /* or the callback, which does not hold, would skip some */
    }
    CHECK(mlog_shutdown(20000) == 0);
    text got = decode_file(bin);
    free(got.p);
    CHECK(seen.records >= 50000 && seen.ids == sum_call && seen.last_id == last_call);
    CHECK(seen.session == mlog__dict_session->id);
}

/* -- damage -- */

/* Is every line of `got` a line of `want`, in the same order? */
static bool part_of(const text *got, const text *want) {
    const char *w = want->p;
    for (const char *g = got->p; *g != 0;) {
        size_t n = (size_t)(strchrnul(g, '\n') - g) + 1;
        const char *at = w;
        while (*at != 0 && strncmp(at, g, n) != 0) at = strchrnul(at, '\n') + 1;
        if (*at == 0) return false;
        w = at + n;
        g += n;
    }
    return true;
}

/* Two batches, with a context and a definition in each. */
static text small_file(void) {
    mlog_config c = pair("small");
    CHECK(mlog_init(&c) == 0);
    {
        mlog_with("task", 7);
        for (int i = 0; i < 2; i++) mlog_info("first", "i", i, "t", "text");
    }
    CHECK(mlog_flush(10000) == 0);
    mlog_with("task", 8);
    for (int i = 0; i < 2; i++) mlog_warn("second", "i", i);
    CHECK(mlog_shutdown(10000) == 0);
    return load(bin);
}

static void test_flips(void) {
    text file = small_file(), want = load(json);
    long missed = 0, wrong = 0, unlike = 0;
    for (size_t i = 0; i < file.n * 8; i++) {
        file.p[i / 8] = (char)(file.p[i / 8] ^ 1 << i % 8);
        text got = decode_bytes(file.p, file.n);
        file.p[i / 8] = (char)(file.p[i / 8] ^ 1 << i % 8);
        missed += !seen.blamed || seen.damaged + seen.lost == 0;
        unlike += seen.blamed && seen.first_bad > i / 8;
        wrong += !part_of(&got, &want);
        free(got.p);
    }
    printf("bit flips: %zu attempted, %ld not noticed, %ld wrong records, %ld blamed behind the place\n", file.n * 8, missed, wrong, unlike);
    CHECK_EQ(missed, 0);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(unlike, 0);
    text got = decode_bytes(file.p, file.n);
    CHECK(!seen.blamed && got.n == want.n);
    free(got.p);
    free(file.p);
    free(want.p);
}

static void test_cuts(void) {
    text file = small_file(), want = load(json);
    long wrong = 0, silent = 0;
    char *twice = malloc(2 * file.n);
    for (size_t n = 0; n < file.n; n++) {
        text got = decode_bytes(file.p, n);
        bool part = part_of(&got, &want), whole = !seen.blamed;
        wrong += !part;
        free(got.p);
        /* another run appends behind the torn block: all of its own records are there */
        memcpy(twice, file.p, n);
        memcpy(twice + n, file.p, file.n);
        got = decode_bytes(twice, n + file.n);
        wrong += got.n != want.n || memcmp(got.p, want.p, want.n) != 0; /* and none of them twice */
        silent += whole == seen.blamed;
        free(got.p);
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(silent, 0); /* noticed, unless the cut is between two blocks */
    free(twice);
    free(file.p);
    free(want.p);
}

/* -- checksums -- */

static void test_crc(void) {
    static unsigned char bytes[60000];
    CHECK(mlog__crc_of(0, "123456789", 9) == 0xE3069283u); /* the check value of CRC-32C */
    CHECK(mlog__crc_of(0, bytes, 32) == 0x8A9136AAu);      /* RFC 3720, B.4: 32 zeros */
    uint64_t x = 1;
    for (size_t i = 0; i < sizeof bytes; i++) x = x * 6364136223846793005u + 1442695040888963407u, bytes[i] = (unsigned char)(x >> 56);
    for (size_t n = 0; n < sizeof bytes; n += n < 70 ? 1 : 997) {
        uint32_t whole = mlog__crc_of(0, bytes, n);
        CHECK(whole == ~mlog__crc_software(~0u, bytes, n));
        CHECK(whole == mlog__crc_of(mlog__crc_of(0, bytes, n / 3), bytes + n / 3, n - n / 3));
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "flips") == 0) return test_flips(), done();
    test_crc();
    test_same();
    test_chosen();
    test_late();
    test_losses();
    test_large();
    test_files();
    test_moved();
    test_ids();
    test_flips();
    test_cuts();
    return done();
}
