/* Section context: fields that follow a task, over blocks, jumps, threads and coroutines; many, deep and big ones; bound loggers.
 */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"

static void test_blocks(void) {
    mlog_info("before");
    JSON("");
    {
        mlog_with("a", 1);
        mlog_info("in");
        JSON(",\"a\":1");
        {
            mlog_with("b", "two", "c", 3.5);
            mlog_info("in");
            JSON(",\"a\":1,\"b\":\"two\",\"c\":3.5");
            mlog_with("d", (bool)1); /* a second one in the same block */
            mlog_info("in");
            JSON(",\"a\":1,\"b\":\"two\",\"c\":3.5,\"d\":true");
        }
        mlog_info("in");
        JSON(",\"a\":1");
    }
    CHECK(mlog_context_current() == NULL);
    mlog_info("after");
    JSON("");
}

static int returns_early(int n) {
    mlog_with("n", n);
    if (n == 1) return n;
    for (int i = 0; i < 5; i++) {
        mlog_with("i", i);
        if (i == 1) continue;
        if (i == 3) break;
        mlog_info("loop");
    }
    mlog_info("behind the loop");
    return n;
}

static void test_jumps(void) {
    returns_early(1);
    CHECK(mlog_context_current() == NULL);
    returns_early(2);
    CHECK(mlog_context_current() == NULL);
    out_look();
    CHECK_EQ(lines(out_json, NULL), 3);
    CHECK(strstr(out_json, "\"n\":2,\"i\":0}") && strstr(out_json, "\"n\":2,\"i\":2}") && strstr(out_json, "\"n\":2}"));
    int again = 0;
back : {
    mlog_with("again", again);
    mlog_info("goto");
    if (again++ < 2) goto back;
}
    out_look();
    CHECK(strstr(out_json, "\"again\":0}") && strstr(out_json, "\"again\":1}") && strstr(out_json, "\"again\":2}"));
    CHECK(mlog_context_current() == NULL);
}

/* -- threads -- */

static void *worker(void *context) {
    mlog_info("worker alone");
    {
        mlog_with_context(context);
        mlog_with("step", 1);
        mlog_info("worker inside");
    }
    mlog_info("worker alone");
    mlog_context_unref(context);
    return NULL;
}

static void test_hand_over(void) {
    pthread_t t;
    mlog_with("request", 42);
    mlog_context *c = mlog_context_new("job", "j");
    CHECK(pthread_create(&t, NULL, worker, c) == 0);
    pthread_join(t, NULL);
    out_look();
    CHECK_EQ(lines(out_json, NULL), 3);
    CHECK_EQ(lines(out_json, "worker alone"), 2);
    CHECK_EQ(lines(out_json, "\"request\""), 1);
    CHECK(strstr(out_json, "\"request\":42,\"job\":\"j\",\"step\":1}") != NULL);
    mlog_info("still in the request, not in the job");
    JSON(",\"request\":42");
    c = mlog_context_ref(mlog_context_current());
    CHECK(pthread_create(&t, NULL, worker, c) == 0);
    pthread_join(t, NULL);
    out_look();
    CHECK(strstr(out_json, "\"request\":42,\"step\":1}") != NULL);
}

static void *refs(void *context) {
    for (int i = 0; i < 20000; i++) {
        mlog_context *c = mlog_context_ref(context);
        if (i % 1000 == 0) {
            mlog_with_context(c);
            mlog_debug("counted");
        }
        mlog_context_unref(c);
    }
    mlog_context_unref(context);
    return NULL;
}

static void test_references(void) {
    pthread_t t[4];
    mlog_context *c = mlog_context_new("shared", "by all");
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], NULL, refs, mlog_context_ref(c)) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK_EQ(__atomic_load_n(&c->refs, __ATOMIC_RELAXED), 1);
    {
        mlog_with_context(c);
        mlog_info("whole");
    }
    out_look();
    CHECK_EQ(lines(out_json, "\"shared\":\"by all\"}"), 81);
    mlog_context_unref(c);
    mlog_context_unref(NULL);
    CHECK(mlog_context_ref(NULL) == NULL);
    mlog_with_context(NULL);
    mlog_info("none");
    JSON("");
}

static void test_coroutines(void) { /* two tasks on one thread, in turn */
    mlog_context *task[2] = {mlog_context_new("task", 0), mlog_context_new("task", 1)};
    mlog_with("main", 1);
    for (int i = 0; i < 6; i++) {
        mlog_context *mine = mlog_context_swap(task[i % 2]); /* takes our reference, hands back the thread's */
        mlog_info("step", "i", i);
        task[i % 2] = mlog_context_swap(mine);
    }
    mlog_info("main again");
    out_look();
    CHECK_EQ(lines(out_json, "\"task\":0,\"i\":"), 3);
    CHECK_EQ(lines(out_json, "\"task\":1,\"i\":"), 3);
    CHECK(strstr(out_json, "\"task\":1,\"i\":5}") != NULL);
    CHECK(strstr(out_json, "main again") != NULL && lines(out_json, "\"main\":1}") == 1);
    mlog_context_unref(task[0]);
    mlog_context_unref(task[1]);
}

/* -- many -- */

static long resident_kb(void) {
    char *text = slurp("/proc/self/status", NULL), *at = strstr(text, "VmRSS:");
    long kb = at == NULL ? -1 : strtol(at + 6, NULL, 10);
    free(text);
    return kb;
}

static void test_recycling(void) {
    CHECK(mlog_flush(-1) == 0);
    uint32_t fresh = __atomic_load_n(&mlog__context_pool.fresh, __ATOMIC_RELAXED);
    long before = 0;
    for (int i = 0; i < 100000; i++) {
        mlog_with("number", i, "twice", 2 * i);
        mlog_info("one of many", "n", i);
        if (i % 2000 == 0) CHECK(mlog_flush(-1) == 0);
        if (i == 20000) before = resident_kb();
    }
    out_skip();
    uint32_t used = __atomic_load_n(&mlog__context_pool.fresh, __ATOMIC_RELAXED);
    printf("100,000 contexts: %u slots used, %ld KiB more\n", used - fresh, resident_kb() - before);
    CHECK(used <= MLOG__CONTEXTS);
#ifndef MLOG__SANITIZED
    CHECK(resident_kb() - before < 4096);
#endif
    char *text = slurp(out_json_path, NULL);
    long n = 0, wrong = 0;
    for (const char *at = text; (at = out_line(at, "\"one of many\"")) != NULL; at = strchrnul(at, '\n'), n++) {
        long long k = line_number(at, "number");
        wrong += k != n || line_number(at, "twice") != 2 * n || line_number(at, "n") != n;
    }
    CHECK_EQ(n, 100000);
    CHECK_EQ(wrong, 0);
    free(text);
}

static void test_full(void) { /* more alive than there are slots: the rest travels inside the records */
    enum { ALL = MLOG__CONTEXTS + 2000 };
    static mlog_context *c[ALL];
    for (int i = 0; i < ALL; i++) c[i] = mlog_context_new("number", i, "text", "t");
    long heavy = 0;
    for (int i = 0; i < ALL; i++) heavy += c[i]->id == MLOG__HEAVY;
    CHECK(heavy >= 2000);
    for (int i = 0; i < ALL; i++) {
        mlog_with_context(c[i]);
        mlog_info("full", "n", i);
        mlog_with("child", i);
        if (i % 100 == 0) mlog_info("full", "n", i, "child_of", i);
    }
    for (int i = 0; i < ALL; i++) mlog_context_unref(c[i]); /* with records pending */
    CHECK(mlog_flush(-1) == 0);
    char *text = slurp(out_json_path, NULL);
    long n = 0, wrong = 0;
    for (const char *at = text; (at = out_line(at, "\"msg\":\"full\"")) != NULL; at = strchrnul(at, '\n'), n++) {
        wrong += line_number(at, "number") != line_number(at, "n") || line_number(at, "n") < 0;
        if (line_number(at, "child_of") >= 0) wrong += line_number(at, "child") != line_number(at, "n");
    }
    CHECK_EQ(n, ALL + (ALL + 99) / 100);
    CHECK_EQ(wrong, 0);
    free(text);
    out_skip();
    for (int i = 0; i < 8; i++) { /* parents go a pass after their children */
        mlog_info("lets slots go");
        CHECK(mlog_flush(-1) == 0);
    }
    mlog_context *again = mlog_context_new("k", 1);
    CHECK(again->id != MLOG__HEAVY);
    mlog_context_unref(again);
    out_look();
}

static void deep(int left, int n) {
    mlog_with("depth", n, "outermost", "kept");
    if (n == 1) {
        mlog_with("request", "r7");
        deep(left, 2);
        return;
    }
    if (n < left) deep(left, n + 1);
    else mlog_info("deep");
}

static void test_deep(void) {
    deep(32, 1);
    JSON(",\"depth\":32,\"outermost\":\"kept\",\"request\":\"r7\"");
    deep(300, 1); /* recursion with a context in each call: what the outermost set stays */
    JSON(",\"depth\":300,\"outermost\":\"kept\",\"request\":\"r7\"");
}

static void test_big(void) {
    char big[4001];
    memset(big, 'B', 4000);
    big[4000] = 0;
    {
        mlog_with("small", 1);
        mlog_with("big", (const char *)big);
        mlog_with("inner", 2);
        mlog_infof("printf %d %s", 7, "x");
        out_look();
        SAME(out_get("msg"), "printf 7 x");
        SAME(out_get("small"), "1");
        SAME(out_get("big"), big);
        SAME(out_get("inner"), "2");
        mlog_to(mlog_named("big"), MLOG_WARN, "m", "pair", 3);
        out_look();
        SAME(out_get("pair"), "3");
        SAME(out_get("source"), "big");
        SAME(out_get("big"), big);
    }
    mlog_field f[70];
    char key[70][16];
    for (int i = 0; i < 70; i++)
        (void)snprintf(key[i], sizeof key[i], "f%d", i), f[i] = (mlog_field){key[i], mlog_val("some longer text for each")};
    mlog_context *a = mlog1_context_new(f, 64), *left = mlog_context_swap(a), *b = mlog1_context_new(f + 60, 10);
    {
        mlog_with_context(b); /* 70 fields, inside the record: cut at 64, the record's own stay */
        mlog_emit(&(mlog_event){
            .at = MLOG_HERE, .level = MLOG_INFO, .msg = "own", .fields = (mlog_field[]){{"mine", mlog_val(1)}}, .nfields = 1});
        mlog_infof("%d of %s", 3, "it");
        mlog_info("pairs", "p", 1);
        out_look();
        CHECK_EQ(lines(out_json, NULL), 3);
        CHECK_EQ(lines(out_json, "\"mine\":1}"), 1);
        CHECK_EQ(lines(out_json, "\"msg\":\"3 of it\""), 1);
        CHECK_EQ(lines(out_json, "\"f0\":"), 3);
    }
    mlog_context_unref(b);
    mlog_context_unref(mlog_context_swap(left));
}

/* -- pending records -- */

static struct { long calls, wrong, slow_us; } got;
static int slow(void *user, const mlog_record *r) {
    (void)user;
    if (got.slow_us) usleep((useconds_t)got.slow_us);
    int64_t number = -1, n = -2;
    for (size_t i = 0; i < r->nfields; i++) {
        if (strcmp(r->fields[i].key, "number") == 0) number = r->fields[i].value.as.i;
        if (strcmp(r->fields[i].key, "n") == 0) n = r->fields[i].value.as.i;
    }
    got.calls++;
    got.wrong += number != n;
    return 0;
}

static void test_pending(void) { /* contexts come and go while a slow callback still has to see records that name them */
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK, .write = slow});
    got.slow_us = 20;
    for (int i = 0; i < 3000; i++) {
        mlog_with("number", i);
        mlog_info("p", "n", i);
        if (i % 50 == 0) usleep(1200);
    }
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(got.calls, 3000);
    CHECK_EQ(got.wrong, 0);
    mlog_sink_remove(s);
    out_skip();
    /* the same with bound loggers, unbound at once */
    for (int i = 0; i < 2000; i++) {
        mlog_logger *lg = mlog_bind(mlog_named("bound"), "number", i);
        mlog_logger *child = mlog_bind(lg, "second", i);
        mlog_to(lg, MLOG_INFO, "b", "n", i);
        mlog_to(child, MLOG_INFO, "b", "n", i);
        mlog_unbind(lg);
        mlog_to(child, MLOG_INFO, "b", "n", i);
        mlog_unbind(child);
    }
    out_look();
    long wrong = 0, n = 0;
    for (const char *at = out_json; (at = out_line(at, "\"msg\":\"b\"")) != NULL; at = strchrnul(at, '\n'), n++)
        wrong += line_number(at, "number") != line_number(at, "n");
    CHECK_EQ(n, 6000);
    CHECK_EQ(wrong, 0);
}

static void test_signal_keeps_context(void) {
    mlog_with("around", 1);
    mlog_info("main");
    out_look();
    SAME(out_get("around"), "1");
    mlog_with("secret", "x", "", 2);
    mlog_info("m");
    JSON(",\"around\":1,\"secret\":\"[redacted]\",\"\":2");
}

enum { FRESH = 240 };
static pthread_barrier_t fresh_end;

static void *fresh_thread(void *number) {
    CHECK(mlog_thread(&(mlog_thread_config){.name = "fresh", .ring_bytes = 65536}) == 0);
    {
        mlog_with("worker", (intptr_t)number);
        for (int i = 0; i < 8; i++) mlog_info("fresh", "n", i);
    }
    pthread_barrier_wait(&fresh_end); /* stays: the next one gets a ring of its own */
    return NULL;
}

/* A thread's first records, in a context that ends at once, while the flusher is in the middle of a pass that began without it. */
static void test_fresh_threads(void) {
    pthread_t thread[FRESH];
    pthread_barrier_init(&fresh_end, NULL, FRESH + 1);
    out_look();
    for (int i = 0; i < FRESH; i++) CHECK(pthread_create(&thread[i], NULL, fresh_thread, (void *)(intptr_t)i) == 0);
    pthread_barrier_wait(&fresh_end);
    for (int i = 0; i < FRESH; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&fresh_end);
    out_look();
    CHECK_EQ(lines(out_json, "\"fresh\""), 8 * FRESH);
    CHECK_EQ(lines(out_json, "\"worker\""), 8 * FRESH);
}

int main(void) {
    CHECK(out_begin((mlog_config){.levels = "debug"}) == 0);
    test_blocks();
    test_jumps();
    test_hand_over();
    test_references();
    test_coroutines();
    test_recycling();
    test_full();
    test_deep();
    test_big();
    test_pending();
    test_signal_keeps_context();
    test_fresh_threads();
    STRICT(out_json_path);
    return done();
}
