/* The flight recorder from outside: what stands in the files before an error, after mlog_dump, when a ring has gone round, and after a
 * SIGKILL; that no record comes twice, that nobody else loses by it, and that the sums hold. Processes that die are children. */
#define METALOG_IMPLEMENTATION
#define METALOG_TOOL 2 /* the reader, without its main */
#include "../metalog.h"
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static char rings[300], log_path[300];

static mlog_config config(int level) {
    return (mlog_config){.env = "-", .ring_dir = rings, .recorder_level = level, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
}

static mlog_stats began; /* when the present sink was added */

static void start(mlog_config c) {
    (void)unlink(log_path);
    if (!CHECK(mlog_init(&c) == 0)) exit(printf("%s\n", mlog_why()));
    mlog_stats_read(&began);
}

/* All that stands in the log now; for one look at a time. */
static char *look(void) {
    static char *text;
    CHECK(mlog_flush(20000) == 0);
    free(text);
    return text = slurp(log_path, NULL);
}

/* Has the line with `what` the mark? 0: recovered, 1: recorder. */
static bool marked(const char *text, const char *what, int which) {
    static const char *const name[] = {"recovered", "recorder"};
    char mark[32];
    const char *line = memmem(text, strlen(text), what, strlen(what));
    if (line == NULL) return false;
    while (line > text && line[-1] != '\n') line--;
    (void)snprintf(mark, sizeof mark, "\"%s\":true", name[which]);
    return memmem(line, strcspn(line, "\n"), mark, strlen(mark)) != NULL;
}

/* Does `a` stand before `b`, both of them there? */
static bool before(const char *text, const char *a, const char *b) {
    const char *at = strstr(text, a), *bt = strstr(text, b);
    return at != NULL && bt != NULL && at < bt;
}

/* The five numbers of the file sink belong together, and calls are accepted or dropped. */
static void sums(uint64_t calls) {
    mlog_stats all;
    mlog_sink_stats s;
    mlog_stats_read(&all);
    CHECK(mlog_sink_stats_read("file", &s) == 0);
    CHECK_EQ(all.accepted + all.dropped - began.accepted - began.dropped, calls);
    CHECK_EQ(all.accepted - began.accepted, s.written + s.filtered + s.folded + s.lost + s.pending);
}

/* -- a thread -- */

/* Without a recorder the same calls write nothing: not before the error, not by mlog_dump. Runs first: its counts begin at 0. */
static void test_off(void) {
    start(config(0));
    for (int i = 0; i < 5; i++) mlog_debug("detail", "i", i);
    CHECK(!mlog_enabled(MLOG_DEBUG));
    mlog_error("boom");
    mlog_dump();
    char *text = look();
    CHECK_EQ(lines(text, NULL), 1);
    CHECK(strstr(text, "\"recorder\"") == NULL);
    sums(1);
}

static void test_thread(void) {
    mlog_logger *named = mlog_named("net.http"), *bound = mlog_bind(NULL, "shard", 3);
    start(config(MLOG_DEBUG));
    mlog_info("start");
    for (int i = 0; i < 3; i++) mlog_debug("detail", "i", i, "text", "some \"words\"");
    mlog_debugf("printf %d %s", 5, "words");
    mlog(MLOG_DEBUG, "dynamic", "x", 1);
    mlog(MLOG_INFO, "dynamic info", "x", 1);
    mlog_to(named, MLOG_DEBUG, "named");
    mlog_to(bound, 7, "bound");
    const mlog_field field = {"key", mlog_val(99)};
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_DEBUG, .msg = "emitted", .fields = &field, .nfields = 1});
    mlog_trace("never");
    CHECK(mlog_enabled(MLOG_DEBUG) && !mlog_enabled(MLOG_TRACE) && mlog_enabled_to(named, MLOG_DEBUG));
    char *text = look();
    CHECK_EQ(lines(text, NULL), 2); /* start, dynamic info */
    mlog_error("boom", "code", 7);
    text = look();
    CHECK_EQ(lines(text, NULL), 11);
    CHECK_EQ(lines(text, "\"recorder\":true"), 8);
    static const char *const order[] = {"\"dynamic info\"", "\"i\":0,\"text\":\"some \\\"words\\\"\"", "\"i\":1", "\"i\":2", "\"printf 5 words\"",
                                        "\"dynamic\"", "\"named\"", "\"shard\":3", "\"key\":99", "\"boom\""};
    for (size_t i = 0; i + 1 < sizeof order / sizeof *order; i++)
        if (!CHECK(before(text, order[i], order[i + 1]))) printf("    %s, %s\n", order[i], order[i + 1]);
    CHECK(marked(text, "\"i\":2", 1) && marked(text, "\"named\"", 1) && !marked(text, "\"dynamic info\"", 1) && !marked(text, "\"boom\"", 1));
    CHECK(strstr(text, "\"level\":\"debug\",\"msg\":\"named\",\"source\":\"net.http\"") != NULL);
    mlog_error("boom again"); /* all is out */
    mlog_debug("later");
    mlog_fatal("the end");
    text = look();
    CHECK_EQ(lines(text, NULL), 14);
    CHECK(before(text, "\"boom again\"", "\"later\"") && before(text, "\"later\"", "\"the end\""));
    mlog_unbind(bound);
    sums(14);
}

/* Its ts is the call's: before that of the line above it. */
static void test_time(void) {
    start(config(MLOG_DEBUG));
    mlog_debug("old", "n", 1);
    sleep_ms(20);
    mlog_info("new");
    mlog_error("boom");
    char *text = look(), *second = strchr(text, '\n');
    if (!CHECK(second != NULL)) return;
    CHECK(strstr(text, "\"new\"") < second && memcmp(text, second + 1, 30) > 0 && strstr(text, "ts_call") == NULL);
}

/* -- every format -- */

static char called[4096];
static int on_record(void *user, const mlog_record *r) {
    (void)user;
    size_t n = strlen(called);
    for (size_t i = 0; i < r->nfields; i++)
        if (strcmp(r->fields[i].key, "recorder") == 0 && r->fields[i].value.kind == MLOG_K_BOOL && r->fields[i].value.as.u == 1)
            n += (size_t)snprintf(called + n, sizeof called - n, "*");
    (void)snprintf(called + n, sizeof called - n, "%s ", r->msg);
    return 0;
}

static char *decode(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    mlog__reader *r = mlog__reader_open(fd);
    mlog__reader_record o;
    mlog__buffer b = {0};
    mlog__item it;
    while (mlog__reader_next(r, &o) == MLOG__READER_BLOCK) {
        mlog__reader_item(&o, &it);
        if (!CHECK(mlog__reader_decode(&o, &it) && mlog__format_json(&b, &o.life->desk, &it))) break;
    }
    CHECK(r->damaged == 0 && r->lost == 0 && r->folded == 0);
    mlog__reader_close(r);
    (void)close(fd);
    char *text = strndup(b.p == NULL ? "" : b.p, b.len);
    free(b.p);
    return text;
}

static void test_formats(mlog_clock clock) {
    static const mlog_format format[] = {MLOG_LOGFMT, MLOG_PRETTY, MLOG_PLAIN, MLOG_PATTERN, MLOG_BINARY};
    mlog_config c = config(MLOG_DEBUG);
    char path[5][320];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s.%d", log_path, i);
        (void)unlink(path[i]);
        c.sinks[i + 1] = (mlog_sink_config){.type = MLOG_FILE, .format = format[i], .path = path[i]};
    }
    c.sinks[4].pattern = "%m|%P";
    c.clock = clock;
    c.sinks[6] = (mlog_sink_config){.type = MLOG_CALLBACK, .write = on_record};
    called[0] = 0;
    start(c);
    {
        mlog_with("task", 5, "recorder", "mine");
        mlog_debug("one", "recorder", 2);
        mlog_info("two");
    }
    for (int i = 0; i < 3; i++) mlog_error("three", "i", i), mlog_debug("four", "i", i), mlog_warn("five");
    mlog_error("six");
    char *text = look(), *binary = decode(path[4]);
    CHECK_EQ(lines(text, "\"recorder\":true"), 4);
    if (!CHECK(strstr(text, "\"recorder\":true,\"task\":5,\"recorder_2\":\"mine\",\"recorder_2_2\":2}") != NULL)) (void)puts(text);
    CHECK(strcmp(text, binary) == 0);
    CHECK_EQ(file_lines(path[0], " recorder=true"), 4);
    CHECK_EQ(file_lines(path[1], " recorder=true"), 4);
    CHECK_EQ(file_lines(path[2], " recorder=true"), 4);
    CHECK_EQ(file_lines(path[3], "|recorder=true") + file_lines(path[3], "| recorder=true"), 4);
    CHECK(strcmp(called, "two *one three five *four three five *four three five *four six ") == 0);
    free(binary);
}

/* -- other threads -- */

static pthread_barrier_t step;
static mlog_context *shared, *inner, *sibling;

static void log_in(mlog_context *c, const char *which) {
    mlog_with_context(c);
    mlog_debug("in context", "which", which);
}

static void *helper(void *which) {
    long n = (long)which;
    mlog_debug("own", "helper", n);
    if (n == 0) log_in(shared, "same");
    if (n == 1) log_in(sibling, "sibling");
    if (n == 2) log_in(inner, "inside");
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    if (n == 3) mlog_error("third");
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    return NULL;
}

/* An error in `shared` brings out the threads that logged in it, and inside of it; not its sibling's, nor who never was in it. */
static void test_context(void) {
    pthread_t t[4];
    start(config(MLOG_DEBUG));
    pthread_barrier_init(&step, NULL, 5);
    mlog_context *root = mlog_context_new("service", "shop"), *main_context = mlog_context_swap(root);
    shared = mlog_context_new("task", 1);
    sibling = mlog_context_new("task", 2);
    mlog_context *left = mlog_context_swap(mlog_context_ref(shared));
    inner = mlog_context_new("part", 3);
    mlog_context_unref(mlog_context_swap(left));
    for (long i = 0; i < 4; i++) CHECK(pthread_create(&t[i], NULL, helper, (void *)i) == 0);
    pthread_barrier_wait(&step);
    {
        mlog_with_context(shared);
        mlog_error("first");
    }
    char *text = look();
    CHECK(before(text, "\"which\":\"same\"", "\"first\"") && before(text, "\"which\":\"inside\"", "\"first\""));
    CHECK(before(text, "\"helper\":0", "\"first\"") && before(text, "\"helper\":2", "\"first\""));
    CHECK_EQ(lines(text, NULL), 5);
    {
        mlog_with_context(sibling);
        mlog_error("second");
    }
    text = look();
    CHECK(before(text, "\"first\"", "\"which\":\"sibling\"") && before(text, "\"which\":\"sibling\"", "\"second\""));
    CHECK_EQ(lines(text, NULL), 8);
    pthread_barrier_wait(&step); /* the third, without a context: its own only */
    pthread_barrier_wait(&step);
    text = look();
    CHECK(before(text, "\"helper\":3", "\"third\""));
    CHECK_EQ(lines(text, NULL), 10);
    mlog_debug("around"); /* in `service`, which is around what comes */
    mlog_context_unref(mlog_context_swap(mlog_context_ref(inner)));
    mlog_error("fourth");
    text = look();
    CHECK(before(text, "\"around\"", "\"fourth\""));
    CHECK_EQ(lines(text, "\"recorder\":true"), 8);
    pthread_barrier_wait(&step);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(t[i], NULL) == 0);
    mlog_context_unref(mlog_context_swap(main_context));
    mlog_context_unref(shared), mlog_context_unref(inner), mlog_context_unref(sibling);
}

static void *from_other(void *unused) {
    mlog_debug("of a thread that ends");
    return unused;
}

static void *successor(void *unused) {
    mlog_error("of another one");
    return unused;
}

/* What a thread kept goes with it: who gets its ring next does not tell it as his own. */
static void test_end(void) {
    pthread_t t;
    start(config(MLOG_DEBUG));
    CHECK(pthread_create(&t, NULL, from_other, NULL) == 0 && pthread_join(t, NULL) == 0);
    (void)look();
    CHECK(pthread_create(&t, NULL, successor, NULL) == 0 && pthread_join(t, NULL) == 0);
    mlog_dump();
    CHECK_EQ(lines(look(), NULL), 1);
}

/* -- mlog_dump -- */

static void on_signal(int number) { (void)number, mlog_debug("in the handler"), mlog_dump(); }

static void *waits(void *unused) {
    mlog_debug("of another thread");
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    return unused;
}

static void test_dump(void) {
    pthread_t t;
    start(config(MLOG_DEBUG));
    pthread_barrier_destroy(&step);
    pthread_barrier_init(&step, NULL, 2);
    CHECK(pthread_create(&t, NULL, waits, NULL) == 0);
    pthread_barrier_wait(&step);
    for (int i = 0; i < 3; i++) mlog_debug("mine", "i", i);
    mlog_dump();
    char *text = look();
    CHECK_EQ(lines(text, "\"recorder\":true"), 4);
    mlog_dump(); /* it is out */
    CHECK_EQ(lines(look(), NULL), 4);
    (void)signal(SIGUSR1, on_signal);
    mlog_debug("before the signal");
    errno = 77;
    (void)raise(SIGUSR1);
    CHECK_EQ(errno, 77);
    text = look();
    CHECK_EQ(lines(text, NULL), 6);
    CHECK(before(text, "before the signal", "in the handler"));
    mlog_dump(); /* without a flush: soon, also where the flusher sleeps */
    mlog_debug("after the dump");
    sleep_ms(300);
    mlog_dump();
    for (int i = 0; i < 1000 && file_lines(log_path, NULL) < 7; i++) sleep_ms(10);
    CHECK_EQ(file_lines(log_path, NULL), 7);
    pthread_barrier_wait(&step);
    CHECK(pthread_join(t, NULL) == 0);
}

/* -- a ring that goes round -- */

/* Numbers of the records with this message and mark, which must come without a gap; returns how many. */
static long long run_of(const char *text, const char *what, long long *first, long long *last) {
    long long n = 0, wrong = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++) {
        long long i = line_number(p, "i");
        if (n == 0) *first = i;
        wrong += i != *first + n;
        *last = i;
        n++;
    }
    CHECK_EQ(wrong, 0);
    return n;
}

/* 60 laps. Paced, so that the flusher can step over; what comes out are the last ones, at most half a ring of them. */
static void test_wrap(void) {
    enum { CALLS = 60 * 64 * 1024 / 32 };
    mlog_config c = config(MLOG_DEBUG);
    long long first = 0, last = 0, infos = 0;
    mlog_stats was, is;
    c.ring_bytes = 64 << 10;
    c.full = MLOG_BLOCK;
    start(c);
    mlog_stats_read(&was);
    for (int i = 0; i < CALLS; i++) {
        mlog_debug("history", "i", i);
        if (i % 500 == 0) (void)mlog_flush(10000);
        if (i % 1000 == 0) mlog_info("news", "i", i / 1000), infos++;
    }
    mlog_error("boom");
    char *text = look();
    long long n = run_of(text, "\"history\"", &first, &last);
    mlog_stats_read(&is);
    CHECK_EQ(last, CALLS - 1);
    uint64_t ring = mlog__thread_self->ring->bytes; /* a test before this one may have made it */
    CHECK(n >= 400 && (uint64_t)n * 24 <= ring);
    CHECK_EQ(is.dropped - was.dropped, 0);
    CHECK_EQ(is.accepted - was.accepted, (uint64_t)(CALLS + infos + 1));
    CHECK_EQ(run_of(text, "\"news\"", &first, &last), infos);
    mlog_sink_stats s;
    CHECK(mlog_sink_stats_read("file", &s) == 0);
    CHECK_EQ(s.written, (uint64_t)(n + infos + 1));
    CHECK_EQ(s.filtered, (uint64_t)(CALLS - n));
    CHECK_EQ(s.pending + s.lost, 0);
}

/* At full speed, in threads with small rings: nobody waits for ever, nobody else loses, the sums hold at every moment. */
static void *hammer(void *which) {
    const mlog_thread_config small = {.ring_bytes = 64 << 10, .full = MLOG_BLOCK};
    CHECK(mlog_thread(&small) == 0);
    for (int i = 0; i < 30000; i++) {
        mlog_debug("hammer", "who", (long)which, "i", i);
        if (i % 100 == 0) mlog_info("hit", "who", (long)which, "n", i / 100);
        if (i % 10000 == 9999) mlog_error("miss", "who", (long)which, "i", i);
    }
    return NULL;
}

static void test_hammer(void) {
    pthread_t t[3];
    mlog_stats was, is;
    mlog_sink_stats s;
    start(config(MLOG_DEBUG));
    was = began;
    for (long i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, hammer, (void *)i) == 0);
    for (int i = 0; i < 20; i++) {
        mlog_dump();
        mlog_stats_read(&is);
        CHECK(mlog_sink_stats_read("file", &s) == 0);
        CHECK(s.filtered < UINT64_C(1) << 40 && s.written + s.filtered + s.pending >= is.accepted - was.accepted);
        sleep_ms(2);
    }
    for (int i = 0; i < 3; i++) CHECK(pthread_join(t[i], NULL) == 0);
    char *text = look();
    mlog_stats_read(&is);
    CHECK(mlog_sink_stats_read("file", &s) == 0);
    CHECK_EQ(is.accepted - was.accepted + is.dropped - was.dropped, 3 * (30000 + 300 + 3));
    CHECK_EQ(is.accepted - was.accepted, s.written + s.filtered + s.lost + s.pending);
    CHECK_EQ(is.dropped_by_level[MLOG_INFO] - was.dropped_by_level[MLOG_INFO], 0);
    CHECK_EQ(s.written, lines(text, NULL));
    CHECK_EQ(lines(text, "records dropped"), 0);
    for (long long w = 0; w < 3; w++) {
        long long wrong = 0, next = 0, seen = 0, at = -1;
        for (const char *p = text; *p != 0; p = strchr(p, '\n') + 1) {
            if (line_number(p, "who") != w) continue;
            const char *end = strchr(p, '\n');
            if (memmem(p, (size_t)(end - p), "\"hit\"", 5) != NULL) wrong += line_number(p, "n") != next, next++;
            if (memmem(p, (size_t)(end - p), "\"hammer\"", 8) != NULL) wrong += line_number(p, "i") <= at, at = line_number(p, "i"), seen++;
        }
        CHECK_EQ(wrong, 0); /* each once, in order */
        CHECK_EQ(next, 300);
        CHECK(seen >= 50);
    }
}

/* History that every sink has passed over, more than the ring holds. */
static void fill(void) {
    for (int i = 0; i < 20000; i++) {
        mlog_debug("history", "i", i);
        if (i % 500 == 0) (void)mlog_flush(10000);
    }
    (void)mlog_flush(10000);
}

/* While no sink can write: history that has been seen gives its room, and what is new leaves half to others. As many records find room as
 * without a recorder. */
static uint64_t fits(int recorder) {
    mlog_config c = config(recorder);
    mlog_stats was, is;
    c.full = MLOG_DROP;
    start(c);
    fill();
    mlog_stats_read(&was);
    mlog__platform_lock(&mlog__flush_all.role); /* the flusher stands still */
    int64_t then = now_ms();
    for (int i = 0; i < 100000; i++) mlog_info("news", "i", i), mlog_debug("history", "i", i);
    CHECK(now_ms() - then < 10000);
    mlog__platform_unlock(&mlog__flush_all.role);
    (void)look();
    mlog_stats_read(&is);
    return 100000 - (is.dropped_by_level[MLOG_INFO] - was.dropped_by_level[MLOG_INFO]);
}

static void *gives_way(void *unused) {
    const mlog_thread_config small = {.ring_bytes = 128 << 10, .full = MLOG_DROP};
    CHECK(mlog_thread(&small) == 0);
    uint64_t without = fits(0), with = fits(MLOG_DEBUG);
    CHECK(without > 1000 && without < 100000);
    /* half of the new history, at most, stands between them: 3 / 4 would be all of what it may take */
    if (!CHECK(with >= without / 4)) printf("    %llu, without a recorder %llu\n", (unsigned long long)with, (unsigned long long)without);
    mlog_config c = config(MLOG_DEBUG);
    c.full = MLOG_DROP;
    start(c);
    fill();
    mlog__platform_lock(&mlog__flush_all.role);
    const mlog__ring *r = mlog__thread_self->ring;
    uint64_t dropped = r->dropped[MLOG_INFO], n = 0;
    while (r->dropped[MLOG_INFO] == dropped && n < 100000) mlog_info("news", "i", n), n++;
    mlog__platform_unlock(&mlog__flush_all.role);
    if (!CHECK(n + 2 >= without)) printf("    %llu of %llu\n", (unsigned long long)n, (unsigned long long)without);
    (void)look();
    return unused;
}

static void test_gives_way(void) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, gives_way, NULL) == 0 && pthread_join(t, NULL) == 0);
}

/* -- rules and sinks -- */

static void test_levels(void) {
    mlog_config c = config(MLOG_DEBUG);
    c.levels = "info,test_recorder=warn,quiet=off";
    start(c);
    mlog_logger *quiet = mlog_named("quiet"), *loud = mlog_named("loud");
    for (int round = 0; round < 3; round++) {
        if (round == 1) CHECK(mlog_levels("debug,loud=info") == 0);
        if (round == 2) CHECK(mlog_levels("error,loud=debug,test_recorder=off") == 0);
        mlog_info("info", "round", round);
        mlog_debug("debug", "round", round);
        mlog_to(quiet, MLOG_INFO, "quiet", "round", round);
        mlog_to(loud, MLOG_DEBUG, "loud", "round", round);
        mlog_to(loud, MLOG_ERROR, "boom", "round", round);
    }
    char *text = look();
    CHECK(marked(text, "\"info\",\"source\":\"test_recorder\",\"at\"", 1)); /* round 0: below warn */
    CHECK(marked(text, "\"msg\":\"debug\"", 1) && marked(text, "\"msg\":\"loud\"", 1));
    CHECK_EQ(lines(text, "\"round\":0"), 4); /* all but the source that is off */
    const char *one = strstr(text, "\"boom\""), *two = one == NULL ? NULL : strstr(one + 1, "\"boom\"");
    if (!CHECK(two != NULL)) return;
    CHECK_EQ(lines(text, "\"round\":1"), 5);
    CHECK_EQ(lines(one, "\"recorder\":true"), 2); /* round 1: loud only; round 2: quiet, by the rule for all */
    CHECK_EQ(lines(text, "\"round\":2"), 3);
    CHECK(!marked(two, "\"msg\":\"loud\"", 1));
}

static void test_sinks(void) {
    mlog_config c = config(MLOG_DEBUG);
    char warn[320], where[320], later[320], without[320];
    (void)snprintf(warn, sizeof warn, "%s.warn", log_path), (void)unlink(warn);
    (void)snprintf(where, sizeof where, "%s.where", log_path), (void)unlink(where);
    (void)snprintf(later, sizeof later, "%s.later", log_path), (void)unlink(later);
    (void)snprintf(without, sizeof without, "%s.without", log_path), (void)unlink(without);
    c.sinks[3] = (mlog_sink_config){.name = "without", .type = MLOG_FILE, .path = without, .where = "not has recorder"};
    c.sinks[1] = (mlog_sink_config){.name = "warn", .type = MLOG_FILE, .path = warn, .level = MLOG_WARN};
    c.sinks[2] = (mlog_sink_config){.name = "where", .type = MLOG_FILE, .path = where, .where = "i>=3 or level>=error"};
    start(c);
    for (int i = 0; i < 5; i++) mlog_debug("detail", "i", i);
    mlog_sink *added = mlog_sink_add(&(mlog_sink_config){.name = "later", .type = MLOG_FILE, .path = later});
    mlog_debug("detail", "i", 5);
    mlog_error("boom");
    CHECK_EQ(lines(look(), "\"recorder\":true"), 6);
    CHECK_EQ(file_lines(warn, NULL), 1);
    CHECK_EQ(file_lines(where, "\"recorder\":true"), 3);
    CHECK_EQ(file_lines(where, NULL), 4);
    CHECK_EQ(file_lines(without, NULL), 1);
    CHECK_EQ(file_lines(later, NULL), 2); /* what was logged behind mlog_sink_add */
    mlog_sink_stats s;
    CHECK(mlog_sink_stats_read("warn", &s) == 0 && s.written == 1 && s.filtered == 6);
    CHECK(mlog_sink_stats_read("where", &s) == 0 && s.written == 4 && s.filtered == 3);
    /* the sink that stays gets a recorder with the next configuration, and loses it */
    start(config(0));
    mlog_debug("none");
    mlog_error("none");
    start(config(MLOG_DEBUG));
    mlog_debug("again");
    mlog_error("boom");
    CHECK_EQ(lines(look(), NULL), 2);
    CHECK_EQ(file_lines(later, NULL), 5);
    mlog_sink_remove(added);
    /* a test that captures gets it, too */
    mlog_debug("before", "n", 0);
    (void)look();
    mlog_capture *capture = mlog_capture_begin(NULL);
    mlog_debug("captured", "n", 1);
    mlog_error("boom");
    mlog_dump();
    CHECK_EQ(mlog_capture_count(capture, "recorder=true and n=1"), 1);
    CHECK_EQ(mlog_capture_count(capture, NULL), 2);
    mlog_capture_end(capture);
    CHECK_EQ(lines(look(), "recorder\":true,\"n\":"), 2); /* mlog_dump is answered, and what the capture had is kept, too */
}

/* More than a batch takes, to a file, a binary file and a callback; and with mlog_poll, a few at a time. */
static size_t counted;
static int count(void *user, const mlog_record *r) {
    (void)user;
    counted += r->level == MLOG_DEBUG;
    return 0;
}

static void test_large(void) {
    mlog_config c = config(MLOG_DEBUG);
    char binary[320], long_text[500];
    memset(long_text, 'x', sizeof long_text);
    (void)snprintf(binary, sizeof binary, "%s.large", log_path), (void)unlink(binary);
    c.sinks[1] = (mlog_sink_config){.type = MLOG_FILE, .format = MLOG_BINARY, .path = binary};
    c.sinks[2] = (mlog_sink_config){.type = MLOG_CALLBACK, .write = count};
    c.flusher = MLOG_POLL;
    counted = 0;
    start(c);
    for (int i = 0; i < 600; i++) mlog_debug("large", "i", i, "text", mlog_str(long_text, sizeof long_text));
    (void)mlog_poll(0);
    mlog_error("boom");
    for (int left = 1, rounds = 0; left > 0 && CHECK(rounds < 1000); rounds++) left = mlog_poll(100);
    char *text = slurp(log_path, NULL), *decoded = decode(binary);
    long long first = 0, last = 0, n = run_of(text, "\"large\"", &first, &last);
    CHECK(n >= 200 && last == 599 && before(text, "\"i\":599", "\"boom\""));
    CHECK_EQ(counted, (size_t)n);
    CHECK(strcmp(text, decoded) == 0);
    free(text), free(decoded);
    c.flusher = MLOG_THREAD; /* and by the flusher */
    (void)unlink(binary);
    counted = 0;
    start(c);
    for (int i = 0; i < 600; i++) mlog_debug("large", "i", i, "text", mlog_str(long_text, sizeof long_text));
    mlog_dump();
    text = look();
    CHECK(run_of(text, "\"large\"", &first, &last) >= 200 && last == 599);
    decoded = decode(binary);
    CHECK(strcmp(text, decoded) == 0);
    CHECK_EQ(counted, lines(text, NULL));
    free(decoded);
}

/* Names of contexts that are gone stay with what is kept in them, as long as there are enough others. */
static void test_retired(void) {
    start(config(MLOG_DEBUG));
    for (int i = 0; i < 40; i++) {
        mlog_with("request", i);
        mlog_debug("work");
    }
    for (int i = 0; i < 5; i++) (void)look(), sleep_ms(2);
    for (int i = 0; i < 500 && __atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED) != 1; i++) sleep_ms(10);
    CHECK_EQ(__atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED), 1); /* that they wait keeps nobody awake */
    mlog_error("boom");
    char *text = look();
    CHECK_EQ(lines(text, "\"recorder\":true,\"request\":"), 40);
    for (int i = 0; i < 40000; i++) { /* this thread's history stands still meanwhile, what others kept names its contexts */
        mlog_context *c = mlog_context_new("request", i);
        if (i < 20) mlog_context_unref(mlog_context_swap(mlog_context_ref(c))), mlog_debug("work"), mlog_context_unref(mlog_context_swap(NULL));
        mlog_context_unref(c);
        if (i % 1000 == 0) (void)mlog_flush(10000);
    }
    mlog_context *c = mlog_context_new("request", 1);
    CHECK(c->id != MLOG__HEAVY);
    mlog_context_unref(c);
}

/* -- fork, and death -- */

static int in_child(void (*body)(void)) {
    int status;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) body(), exit(0);
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
static void die(void) { (void)kill(getpid(), SIGKILL), (void)pause(); }

static void clean(void) {
    char command[700];
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", rings, log_path);
    CHECK(system(command) == 0);
}

MAYBE_UNUSED static void fork_body(void) {
    mlog_debug("of the child");
    mlog_error("boom");
    (void)mlog_flush(10000);
    _exit(0);
}

MAYBE_UNUSED static void test_fork(void) {
    start(config(MLOG_DEBUG));
    mlog_debug("of the parent");
    (void)look();
    CHECK_EQ(in_child(fork_body), 0);
    char *text = look();
    CHECK_EQ(lines(text, NULL), 2);
    CHECK(before(text, "of the child", "boom"));
    mlog_error("too");
    CHECK(before(look(), "of the parent", "too"));
}

static mlog_format death_format;

static mlog_config death_config(void) {
    mlog_config c = config(MLOG_DEBUG);
    c.sinks[0].format = death_format;
    return c;
}

static void die_with_history(void) {
    mlog_config c = death_config();
    if (mlog_init(&c) != 0) _exit(9);
    mlog_debug("shown", "i", 1);
    mlog_error("boom");
    for (int i = 0; i < 5; i++) {
        mlog_with("task", 4);
        mlog_debug("kept", "i", i);
    }
    (void)mlog_flush(10000); /* all of that is stepped over */
    mlog__platform_lock(&mlog__flush_all.role);
    mlog_info("not written");
    mlog_debug("kept", "i", 5);
    die();
}

static void recover(void) {
    mlog_config c = death_config();
    c.recorder_level = 0; /* who recovers need not have one */
    if (mlog_init(&c) != 0) _exit(9);
}

static void end_well(void) {
    mlog_config c = death_config();
    if (mlog_init(&c) != 0) _exit(9);
    mlog_debug("kept", "i", 6);
    mlog_info("end");
}

static void test_death(void) {
    for (int i = 0; i < 2; i++) {
        clean();
        death_format = i == 0 ? MLOG_JSON : MLOG_BINARY;
        CHECK(killed(in_child(die_with_history)));
        for (int k = 0; k < 2; k++) CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(files_in(rings), 0);
        char *text = i == 0 ? slurp(log_path, NULL) : decode(log_path);
        long long first = 0, last = 0;
        CHECK_EQ(lines(text, NULL), 9);
        CHECK_EQ(run_of(text, "\"kept\"", &first, &last), 6);
        CHECK(first == 0 && last == 5);
        CHECK_EQ(lines(text, "\"recovered\":true,\"recorder\":true,\"task\":4,\"i\":"), 5);
        CHECK(marked(text, "\"not written\"", 0) && !marked(text, "\"not written\"", 1));
        CHECK(marked(text, "\"shown\"", 1) && !marked(text, "\"shown\"", 0));
        free(text);
    }
    clean();
    death_format = MLOG_JSON;
    CHECK_EQ(in_child(end_well), 0); /* an end that is none of these leaves nothing behind */
    CHECK_EQ(files_in(rings), 0);
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(file_lines(log_path, NULL), 1);
}

/* Killed behind the commit of a batch, before the positions in the rings follow it: the batch says how far they are. */
static void die_behind_commit(void) {
    mlog_config c = death_config();
    if (mlog_init(&c) != 0) _exit(9);
    for (int i = 0; i < 5; i++) mlog_debug("kept", "i", i);
    (void)mlog_flush(10000);
    mlog__ring *r = mlog__thread_self->ring;
    uint64_t cur = r->cur[0], shown = r->shown[0];
    mlog_error("boom");
    (void)mlog_flush(10000);
    if (r->cur[0] == cur || r->shown[0] == shown) _exit(8);
    r->cur[0] = cur;
    r->shown[0] = shown;
    die();
}

static void test_commit(void) {
    clean();
    death_format = MLOG_JSON;
    CHECK(killed(in_child(die_behind_commit)));
    CHECK_EQ(in_child(recover), 0);
    CHECK_EQ(file_lines(log_path, NULL), 6);
    CHECK_EQ(file_lines(log_path, "recovered"), 0);
    CHECK_EQ(files_in(rings), 0);
}

/* A fatal signal is an error, too. */
MAYBE_UNUSED static void die_of_signal(void) {
    mlog_config c = death_config();
    c.catch_fatal = MLOG_YES;
    if (mlog_init(&c) != 0) _exit(9);
    mlog_debug("detail");
    abort();
}

MAYBE_UNUSED static void test_signal(void) {
    clean();
    int status = in_child(die_of_signal);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK_EQ(in_child(recover), 0); /* where the flusher had no time */
    char *text = slurp(log_path, NULL);
    CHECK_EQ(lines(text, NULL), 2);
    CHECK(before(text, "\"detail\"", "\"fatal signal\"") && marked(text, "\"detail\"", 1));
    free(text);
}

/* Who writes in the calls themselves. */
static void test_direct(void) {
    mlog_config c = config(MLOG_DEBUG);
    c.flusher = MLOG_DIRECT;
    start(c);
    mlog_debug("one");
    mlog_error("two");
    mlog_debug("three");
    CHECK_EQ(file_lines(log_path, NULL), 2);
    mlog_dump();
    CHECK_EQ(file_lines(log_path, NULL), 3);
    CHECK(before(look(), "\"one\"", "\"two\""));
}

/* A process that logs until it is killed; those that recover are killed, too, but the last. */
static void *storm_thread(void *which) {
    const mlog_thread_config small = {.ring_bytes = 64 << 10, .full = MLOG_BLOCK};
    (void)mlog_thread(&small);
    for (long i = 0;; i++) {
        mlog_debug("detail", "who", (long)which, "i", i);
        if (i % 10 == 0) mlog_info("hit", "who", (long)which, "n", i / 10);
        if (i % 997 == 0) mlog_error("boom", "who", (long)which, "i", i);
        if (i % 50 == 49 && (i / 50) % 4 == (long)which % 4) sleep_ms(1);
    }
    return NULL;
}

static void storm_body(void) {
    mlog_config c = config(MLOG_DEBUG);
    pthread_t t[2];
    if (mlog_init(&c) != 0) _exit(9);
    for (long i = 0; i < 2; i++) (void)pthread_create(&t[i], NULL, storm_thread, (void *)i);
    (void)pause();
}

static int kill_after(void (*body)(void), int us) {
    int status = 0;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) body(), exit(0);
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};
    (void)nanosleep(&t, NULL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return status;
}

static int gapped; /* threads whose last details do not follow each other */

static void storm_check(const char *text) {
    for (long long w = 0; w < 2; w++) {
        long long most = -1, seen = 0, next = 0, wrong = 0, doubles = 0;
        static unsigned char there[1 << 20];
        memset(there, 0, sizeof there);
        for (const char *p = text, *end; *p != 0; p = end + 1) {
            if ((end = strchr(p, '\n')) == NULL) { wrong++; break; }
            if (line_number(p, "who") != w) continue;
            if (memmem(p, (size_t)(end - p), "\"hit\"", 5) != NULL) wrong += line_number(p, "n") != next, next++;
            if (memmem(p, (size_t)(end - p), "\"detail\"", 8) == NULL) continue;
            long long i = line_number(p, "i");
            if (i < 0 || i >= (long long)sizeof there) { wrong++; continue; }
            doubles += there[i]++;
            most = MLOG__MAX(most, i);
            seen++;
        }
        CHECK_EQ(wrong, 0);
        CHECK_EQ(doubles, 0);
        CHECK(next == 0 || most >= 10 * (next - 1)); /* the last details are there: nothing younger came after them but in the ring */
        long long gap = 0;
        for (long long i = MLOG__MAX(most - 300, 0); i <= most; i++) gap += there[i] == 0;
        gapped += gap != 0;
    }
}

#ifdef MLOG__SANITIZED
enum { ROUNDS = 6 };
#else
enum { ROUNDS = 20 };
#endif

static void test_storm(void) {
    unsigned seed = 12345;
    death_format = MLOG_JSON;
    for (int round = 0; round < ROUNDS; round++) {
        clean();
        seed = seed * 1103515245 + 12345;
        (void)kill_after(storm_body, 3000 + (int)(seed >> 8) % 60000);
        for (int i = 0; i < 3; i++) {
            seed = seed * 1103515245 + 12345;
            (void)kill_after(recover, (int)(seed >> 8) % 4000);
        }
        CHECK_EQ(in_child(recover), 0);
        CHECK_EQ(files_in(rings), 0);
        char *text = slurp(log_path, NULL);
        storm_check(text);
        free(text);
    }
    CHECK(gapped <= ROUNDS / 2); /* of 2 * ROUNDS: a flusher that got no time for milliseconds leaves no room for details */
}

static void test_refused(void) {
    mlog_config c = config(25);
    CHECK(mlog_init(&c) == -1 && strstr(mlog_why(), "recorder_level 25: expected") != NULL);
    c.recorder_level = -1;
    CHECK(mlog_init(&c) == -1 && strstr(mlog_why(), "recorder_level -1: expected") != NULL);
}

int main(void) {
    (void)snprintf(rings, sizeof rings, "%s", temp_path("rings"));
    (void)snprintf(log_path, sizeof log_path, "%s", temp_path("recorder.log"));
    pthread_barrier_init(&step, NULL, 2);
    /* the children that die come first: their parent has no thread of the library's yet */
    test_death();
    test_commit();
#ifndef MLOG__SANITIZED /* which have a word to say about signals */
    test_signal();
#endif
    test_storm();
    clean();
    test_off();
    test_thread();
    test_time();
    test_formats(MLOG_COUNTER);
    test_formats(MLOG_ARRIVAL);
    test_refused();
    pthread_barrier_destroy(&step);
    test_context();
    test_end();
    test_dump();
    test_levels();
    CHECK(mlog_shutdown(10000) == 0); /* takes back what mlog_levels said */
    test_sinks();
    test_large();
    test_wrap();
    test_hammer();
    test_gives_way();
    test_retired();
    test_direct();
#ifndef TSAN /* which does not let a child start threads */
    test_fork();
#endif
    CHECK(mlog_shutdown(10000) == 0);
    clean();
    return done();
}
