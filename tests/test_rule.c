/* Section rule: which records are written: rules, their texts and precedence, sources, loggers, levels of sinks. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"

static const int levels[] = {MLOG_TRACE, MLOG_DEBUG, MLOG_INFO,  MLOG_NOTICE, MLOG_WARN,
                             MLOG_ERROR, MLOG_CRIT,  MLOG_ALERT, MLOG_FATAL};

/* The lowest level at which a source is on, asked and tried. */
static int low(const char *source) {
    mlog_logger *lg = mlog_named(source);
    int found = MLOG_OFF, tried = MLOG_OFF;
    for (int i = 8; i >= 0; i--) {
        if (mlog_enabled_to(lg, levels[i])) found = levels[i];
        if (levels[i] == MLOG_FATAL) continue; /* would wait */
        mlog_to(lg, levels[i], "tried", "number", levels[i]);
    }
    out_look();
    for (int i = 7; i >= 0; i--) {
        char text[40];
        (void)snprintf(text, sizeof text, "\"number\":%d}", levels[i]);
        if (strstr(out_json, text) != NULL) tried = levels[i];
    }
    if (found != MLOG_FATAL) CHECK_EQ(found, tried);
    return found;
}

static void test_matches(void) {
    CHECK_EQ(low("net"), MLOG_INFO);
    CHECK(mlog_levels("warn") == 0);
    CHECK_EQ(low("net"), MLOG_WARN);
    CHECK(mlog_levels("warn,net=debug") == 0);
    CHECK_EQ(low("net"), MLOG_DEBUG);
    CHECK_EQ(low("net.http"), MLOG_DEBUG);
    CHECK_EQ(low("net.http.client"), MLOG_DEBUG);
    CHECK_EQ(low("network"), MLOG_WARN);
    CHECK_EQ(low("ne"), MLOG_WARN);
    CHECK_EQ(low("a.net"), MLOG_WARN);
    CHECK(mlog_levels("warn,net.*=debug") == 0);
    CHECK_EQ(low("net"), MLOG_WARN);
    CHECK_EQ(low("net.http"), MLOG_DEBUG);
    CHECK(mlog_levels("net.http=error, net=debug , info") == 0); /* the longest wins, wherever it stands */
    CHECK_EQ(low("net.http"), MLOG_ERROR);
    CHECK_EQ(low("net.http.x"), MLOG_ERROR);
    CHECK_EQ(low("net.ftp"), MLOG_DEBUG);
    CHECK_EQ(low("other"), MLOG_INFO);
    CHECK(mlog_levels("net=error,net=trace") == 0); /* then the later */
    CHECK_EQ(low("net"), MLOG_TRACE);
    CHECK_EQ(low("other"), MLOG_INFO);
    CHECK(mlog_levels("error,debug") == 0);
    CHECK_EQ(low("other"), MLOG_DEBUG);
    CHECK(mlog_levels("*=crit,net=off") == 0);
    CHECK_EQ(low("other"), MLOG_CRIT);
    CHECK_EQ(low("net.x"), MLOG_OFF);
    CHECK(mlog_levels("off,net=WARNING") == 0);
    CHECK_EQ(low("other"), MLOG_OFF);
    CHECK_EQ(low("net"), MLOG_WARN);
    CHECK(mlog_levels("9,net=14") == 0);
    CHECK_EQ(low("other"), MLOG_INFO);
    CHECK_EQ(low("net"), MLOG_ERROR);
    CHECK(mlog_enabled_to(mlog_named("net"), 14) && !mlog_enabled_to(mlog_named("net"), 13));
    CHECK(mlog_levels("") == 0);
    CHECK_EQ(low("net"), MLOG_INFO);
}

static void refused(const char *text, int column, const char *word, const char *expected) {
    char begin[200];
    CHECK(mlog_levels("notice,here=debug") == 0);
    if (!CHECK_EQ(mlog_levels(text), -1)) printf("    \"%s\"\n", text);
    (void)snprintf(begin, sizeof begin, "mlog_levels: column %d: \"%s\": expected %s", column, word, expected);
    if (!CHECK(strncmp(mlog_why(), begin, strlen(begin)) == 0)) printf("    got  %s\n    want %s\n", mlog_why(), begin);
    CHECK(mlog_enabled_to(mlog_named("here"), MLOG_DEBUG) &&
          !mlog_enabled_to(mlog_named("else"), MLOG_INFO)); /* nothing changed */
}

static void test_bad(void) {
    refused("verbose", 1, "verbose", "a level: trace, debug");
    refused("info,net=loud", 6, "net=loud", "a level");
    refused("info, net=debug,=warn", 17, "=warn", "a source name");
    refused("net=", 1, "net=", "a level");
    refused("info,,warn", 6, "", "a rule");
    refused("info,", 6, "", "a rule");
    refused(",", 1, "", "a rule");
    refused(" ", 2, "", "a rule");
    refused("info net=debug", 1, "info net=debug", "a source name");
    refused("ne t=debug", 1, "ne t=debug", "a source name");
    refused("net*=debug", 1, "net*=debug", "a source name");
    refused("*.net=debug", 1, "*.net=debug", "a source name");
    refused("a=b=debug", 1, "a=b=debug", "a level");
    refused("0", 1, "0", "a level");
    refused("25", 1, "25", "a level");
    refused("-1", 1, "-1", "a level");
    refused("99999999999999999999", 1, "99999999999999999999", "a level");
    refused("info\n", 1, "info\\n", "a level");
    refused(".*=debug", 1, ".*=debug", "a source name");
    char many[1024] = "a=info", name[80];
    for (int i = 0; i < 64; i++) strcat(many, ",x=info");
    refused(many, (int)strlen("a=info") + 63 * 7 + 2, "x=info", "at most 64 rules");
    memset(name, 'n', 64);
    strcpy(name + 64, "=info");
    char shown[64];
    (void)snprintf(shown, sizeof shown, "%.60s", name);
    refused(name, 1, shown, "a source name of 1 to 63 bytes");
    CHECK_EQ(mlog_levels(NULL), -1);
    CHECK(strstr(mlog_why(), "NULL") != NULL);
    refused("info,x=\x1b[31m", 6, "x=\\x1b[31m", "a level"); /* what mlog_why says is harmless on a terminal */
}

static void test_precedence(void) {
    CHECK(mlog_shutdown(-1) == 0); /* what mlog_levels said holds until here */
    CHECK(setenv("METALOG", "net=debug,warn", 1) == 0);
    CHECK(setenv("OTHER", "error", 1) == 0);
    CHECK(out_begin((mlog_config){.levels = "crit,net=alert", .env = "METALOG"}) == 0);
    CHECK_EQ(low("net"), MLOG_DEBUG); /* the environment over the struct */
    CHECK_EQ(low("else"), MLOG_WARN);
    CHECK(out_begin((mlog_config){.levels = "crit,net=alert", .env = "-"}) == 0);
    CHECK_EQ(low("net"), MLOG_ALERT);
    CHECK_EQ(low("else"), MLOG_CRIT);
    CHECK(out_begin((mlog_config){.levels = "crit", .env = "OTHER"}) == 0);
    CHECK_EQ(low("else"), MLOG_ERROR);
    CHECK(out_begin((mlog_config){.levels = "crit", .env = "NOT_THERE"}) == 0);
    CHECK_EQ(low("else"), MLOG_CRIT);
    CHECK(setenv("METALOG", "net=debug,oops", 1) == 0); /* bad text there: refused whole, with a record; the program goes on */
    CHECK(out_begin((mlog_config){.levels = "notice", .env = "METALOG"}) == 0);
    out_look();
    CHECK(strstr(out_json, "METALOG: column 11: \\\"oops\\\": expected a level") != NULL);
    SAME(out_get("level"), "warn");
    CHECK_EQ(low("net"), MLOG_NOTICE);
    CHECK(setenv("METALOG", "error", 1) == 0);
    CHECK(out_begin((mlog_config){.levels = "crit", .env = "METALOG"}) == 0);
    CHECK(mlog_levels("debug") == 0); /* a call over everything, also over a later mlog_init */
    CHECK_EQ(low("net"), MLOG_DEBUG);
    CHECK(out_begin((mlog_config){.levels = "crit", .env = "METALOG"}) == 0);
    CHECK_EQ(low("net"), MLOG_DEBUG);
    CHECK(mlog_init(&(mlog_config){.levels = "info,x=loud"}) == -1);
    CHECK(strcmp(mlog_why(), "levels: column 6: \"x=loud\": expected a level: trace, debug, info, notice, warn, error, crit, "
                             "alert, fatal, off, or "
                             "1 to 24") == 0);
    CHECK_EQ(low("net"), MLOG_DEBUG);
    CHECK(mlog_shutdown(-1) == 0);
    CHECK(unsetenv("METALOG") == 0);
    CHECK(out_begin((mlog_config){0}) == 0);
}

/* -- sites: each is a source by its unit -- */

static int evaluated;
static int argument(int x) { return evaluated++, x; }

static void first(void) { mlog_debug("first", "a", argument(1)); }
#undef METALOG_SOURCE
#define METALOG_SOURCE "unit.two"
static void second(void) { mlog_debug("second", "a", argument(2)); }
#undef METALOG_SOURCE
#define METALOG_SOURCE \
    "unit."            \
    "three"
static void third(void) { mlog_debugf("third %d", argument(3)); }
#undef METALOG_SOURCE
#define METALOG_SOURCE UNIT_NAME
#define UNIT_NAME "unit.four"
static void fourth(void) { mlog(MLOG_DEBUG, "fourth", "a", argument(4)); }
#undef METALOG_SOURCE

static void all_sites(void) {
    first();
    second();
    third();
    fourth();
}

static void test_sites(void) {
    all_sites();
    CHECK_EQ(evaluated, 0); /* also not on the very first call */
    CHECK(mlog_levels("debug") == 0);
    all_sites();
    out_look();
    CHECK_EQ(evaluated, 4);
    CHECK_EQ(lines(out_json, "\"msg\":\"first\",\"source\":\"test_rule\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"second\",\"source\":\"unit.two\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"third 3\",\"source\":\"unit.three\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"fourth\",\"source\":\"unit.four\""), 1);
    CHECK(mlog_levels("off,unit.two=debug") == 0);
    all_sites();
    out_look();
    CHECK_EQ(evaluated, 5);
    CHECK_EQ(lines(out_json, NULL), 1);
    CHECK(mlog_levels("off,unit=debug,unit.two=info") == 0);
    all_sites();
    out_look();
    CHECK_EQ(evaluated, 7);
    CHECK_EQ(lines(out_json, NULL), 2);
    CHECK(mlog_levels("off,unit.*=trace,test_rule=trace") == 0);
    all_sites();
    CHECK_EQ(evaluated, 11);
    CHECK(mlog_levels("off") == 0);
    all_sites();
    CHECK_EQ(evaluated, 11);
    CHECK(mlog_levels("info") == 0);
    out_look();
}

static void test_enabled(void) {
    for (int i = 0; i < 3; i++) {
        CHECK(mlog_enabled(MLOG_INFO) && !mlog_enabled(MLOG_DEBUG) && mlog_enabled(MLOG_ERROR));
        CHECK(mlog_levels("debug") == 0);
        CHECK(mlog_enabled(MLOG_DEBUG) && !mlog_enabled(MLOG_TRACE));
        CHECK(mlog_levels("info") == 0);
    }
    for (int level = MLOG_INFO; level < MLOG_FATAL; level++) {
        mlog_to(NULL, level, "runtime");
        mlogf(level, "runtime %d", level);
    }
    out_look();
    CHECK_EQ(lines(out_json, "runtime"), 2 * (MLOG_FATAL - MLOG_INFO));
    int64_t start = now_ms(), on = 0;
    for (int i = 0; i < 10000000; i++) on += mlog_enabled(MLOG_DEBUG);
    printf("a disabled question: %.2f ns\n", (double)(now_ms() - start) / 10);
    CHECK_EQ(on, 0);
}

static void beyond(int level, mlog_logger *lg) {
    mlog(level, "beyond", "form", 0);
    mlogf(level, "beyond %d", 1);
    mlog_to(lg, level, "beyond", "form", 2);
    mlog_emit(&(mlog_event){.level = level, .msg = "beyond 3"});
    mlog_emit(&(mlog_event){.level = level, .msg = "beyond 4", .logger = lg});
}

/* Levels that are none count as the nearest one: no rule "off" lets them through, and they come out with a name. */
static void test_beyond(void) {
    static const int low[] = {0, -1, INT_MIN}, high[] = {25, 30, 127, 128, INT_MAX};
    mlog_logger *lg = mlog_named("beyond.logger");
    CHECK(mlog_levels("off") == 0);
    for (int i = 0; i < 5; i++) beyond(high[i], lg);
    for (int i = 0; i < 5; i++) CHECK(!mlog_enabled(high[i]) && !mlog_enabled_to(lg, high[i]));
    CHECK(mlog_levels("debug") == 0);
    for (int i = 0; i < 3; i++) beyond(low[i], lg);
    out_look();
    CHECK_EQ(lines(out_json, "beyond"), 0);
    CHECK(mlog_levels("trace") == 0);
    for (int i = 0; i < 5; i++) beyond(high[i], lg);
    out_look();
    CHECK_EQ(lines(out_json, "\"fatal\""), 25);
    for (int i = 0; i < 3; i++) beyond(low[i], lg);
    out_look();
    CHECK_EQ(lines(out_json, "\"trace\""), 15);
    CHECK(mlog_levels("info") == 0);
}

static void test_loggers(void) {
    char long_name[70];
    memset(long_name, 'l', 64);
    long_name[64] = 0;
    CHECK(mlog_named("net") == mlog_named("net"));
    CHECK(mlog_named("net") != mlog_named("net.http"));
    CHECK(mlog_named(NULL) == NULL);
    CHECK(mlog_named("") == NULL);
    CHECK(mlog_named("a b") == NULL);
    CHECK(mlog_named("a=b") == NULL);
    CHECK(mlog_named("a,b") == NULL);
    CHECK(mlog_named("a\nb") == NULL);
    CHECK(mlog_named("a\x7f") == NULL);
    CHECK(mlog_named(long_name) == NULL);
    long_name[63] = 0;
    CHECK(mlog_named(long_name) != NULL);
    mlog_logger *bound = mlog_bind(mlog_named("net"), "k", 1);
    CHECK(mlog_levels("info,net=warn") == 0);
    CHECK(!mlog_enabled_to(bound, MLOG_INFO) && mlog_enabled_to(bound, MLOG_WARN));
    mlog_logger *later = mlog_bind(bound, "m", 1);
    CHECK(!mlog_enabled_to(later, MLOG_INFO) && mlog_enabled_to(later, MLOG_WARN));
    CHECK(mlog_levels("info,net=trace") == 0);
    CHECK(mlog_enabled_to(bound, MLOG_TRACE) && mlog_enabled_to(later, MLOG_TRACE));
    mlog_unbind(later);
    mlog_unbind(bound);
    mlog_unbind(NULL);
    mlog_unbind(mlog_named("net")); /* of mlog_bind only: nothing happens */
    CHECK(mlog_enabled_to(mlog_named("net"), MLOG_TRACE));
    mlog_logger *root = mlog_bind(NULL, "k", 1); /* a child of the root: the level is that of the unit */
    CHECK(mlog_levels("error") == 0);
    mlog_to(root, MLOG_WARN, "not this");
    mlog_to(root, MLOG_ERROR, "but this");
    out_look();
    CHECK_EQ(lines(out_json, NULL), 1);
    SAME(out_get("source"), "test_rule");
    CHECK(mlog_levels("error,test_rule=debug") == 0);
    mlog_to(root, MLOG_DEBUG, "this, too");
    out_look();
    CHECK_EQ(lines(out_json, "this, too"), 1);
    mlog_unbind(root);
    CHECK(mlog_levels("info") == 0);
    /* run-time places follow the rules of their file */
    CHECK(mlog_levels("info,script=debug") == 0);
    mlog_emit(&(mlog_event){.at = {"/x/script.py", "f", 1}, .level = MLOG_DEBUG, .msg = "on"});
    mlog_emit(&(mlog_event){.at = {"/x/other.py", "f", 1}, .level = MLOG_DEBUG, .msg = "off"});
    out_look();
    CHECK_EQ(lines(out_json, NULL), 1);
    CHECK(mlog_levels("info") == 0);
}

/* -- other threads see a change at once -- */

static uint32_t stop, rounds;
static void *caller(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        mlog_debug("from a thread");
        __atomic_add_fetch(&rounds, 1, __ATOMIC_ACQ_REL);
    }
    return unused;
}
static void two_rounds(void) {
    uint32_t now = __atomic_load_n(&rounds, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&rounds, __ATOMIC_ACQUIRE) - now < 2) sched_yield();
}
static void test_at_once(void) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, caller, NULL) == 0);
    mlog_sink_stats s;
    for (int i = 0; i < 20; i++) {
        CHECK(mlog_levels("info") == 0);
        two_rounds();
        CHECK(mlog_flush(-1) == 0);
        CHECK(mlog_sink_stats_read("json", &s) == 0);
        uint64_t before = s.written;
        for (int k = 0; k < 20; k++) two_rounds();
        CHECK(mlog_sink_stats_read("json", &s) == 0);
        CHECK_EQ(s.written + s.pending, before);
        CHECK(mlog_levels("debug") == 0);
        two_rounds();
        CHECK(mlog_levels("info") == 0);
        CHECK(mlog_flush(-1) == 0);
        CHECK(mlog_sink_stats_read("json", &s) == 0);
        CHECK(s.written > before);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(t, NULL);
    out_skip();
}

static int nothing(void *user, const mlog_record *r) { return (void)r, ++*(int *)user, 0; }

static void test_floor(void) { /* what no sink takes is not even logged */
    int calls = 0;
    mlog_config c = {.env = "-",
                     .levels = "trace",
                     .sinks = {{.type = MLOG_FILE, .level = MLOG_ERROR, .path = temp_path("errors.log")},
                               {.type = MLOG_NULL, .level = MLOG_WARN}}};
    (void)unlink(temp_path("errors.log"));
    evaluated = 0;
    CHECK(mlog_shutdown(-1) == 0);
    CHECK(mlog_init(&c) == 0);
    mlog_info("no", "a", argument(1));
    CHECK_EQ(evaluated, 0);
    CHECK(!mlog_enabled(MLOG_NOTICE) && mlog_enabled(MLOG_WARN));
    mlog_sink *s =
        mlog_sink_add(&(mlog_sink_config){.type = MLOG_CALLBACK, .level = MLOG_DEBUG, .write = nothing, .user = &calls});
    CHECK(mlog_enabled(MLOG_DEBUG) && !mlog_enabled(MLOG_TRACE));
    mlog_debug("for the callback", "a", argument(1));
    mlog_warn("for two", "a", argument(1));
    mlog_error("for all", "a", argument(1));
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(evaluated, 3);
    CHECK_EQ(calls, 3);
    mlog_sink_remove(s);
    CHECK(!mlog_enabled(MLOG_NOTICE));
    CHECK_EQ(file_lines(temp_path("errors.log"), NULL), 1);
    mlog_sink_stats r;
    CHECK(mlog_sink_stats_read("file", &r) == 0);
    CHECK_EQ(r.written, 1);
    CHECK_EQ(r.filtered, 2);
    CHECK(mlog_sink_stats_read("null", &r) == 0);
    CHECK_EQ(r.written, 2);
    CHECK_EQ(r.filtered, 1);
}

/* ---- sites that register while something changes ---- */

enum { FRESH = 20000, FRESH_TAIL = 50 };
static mlog__site fresh[FRESH];
static int fresh_stop;
static uint32_t fresh_at;

static void fresh_site(mlog__site *s, const char *key) {
    *s = (mlog__site){.word = MLOG__UNSEEN, .msg = "fresh", .keys = key, .file = "fresh.c", .func = "f", .source = "METALOG_SOURCE",
                      .line = 1, .level = MLOG_INFO, .count = 1, .style = MLOG__PAIRS};
}

/* As a call of a macro does it: the gate, then the record. */
static void fresh_call(mlog__site *s) {
    uint64_t word = mlog__gate(s);
    if (word == 0) return;
    uint64_t *p = mlog1_begin(s, word, MLOG__C_INT);
    p = mlog__put_i(p, 0, 4711);
    (void)p;
    mlog1_end();
}

static void *fresh_run(void *unused) { /* until told to stop, and then some: the last ones meet the last change */
    uint32_t i = 0;
    for (int tail = FRESH_TAIL; i < FRESH && tail > 0; i++) {
        fresh_call(&fresh[i]);
        if (__atomic_load_n(&fresh_stop, __ATOMIC_ACQUIRE)) tail--;
    }
    __atomic_store_n(&fresh_at, i, __ATOMIC_RELEASE);
    return unused;
}

static void with_fresh(const char *key, void (*change)(int round)) {
    pthread_t t;
    for (int i = 0; i < FRESH; i++) fresh_site(&fresh[i], key);
    fresh_stop = 0;
    CHECK(pthread_create(&t, NULL, fresh_run, NULL) == 0);
    for (int round = 0; round < 20; round++) change(round);
    __atomic_store_n(&fresh_stop, 1, __ATOMIC_RELEASE);
    CHECK(pthread_join(t, NULL) == 0);
}

/* The last call lets sinks of level WARN only. */
static void change_floor(int round) {
    static mlog_sink *s;
    if (round % 2 == 0) s = mlog_sink_add(&(mlog_sink_config){.type = MLOG_NULL, .name = "low", .level = MLOG_TRACE});
    else mlog_sink_remove(s);
}

/* The last list has the key "pin". */
static void change_redact(int round) {
    mlog_config c = {.env = "-", .redact = round % 2 == 0 ? "-" : "pin", .sinks = {{.type = MLOG_NULL}}};
    CHECK(mlog_init(&c) == 0);
}

/* Whatever a site met while it registered, in the end its gate and its entry are as the last change says. */
static void test_registering(void) {
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_NULL, .level = MLOG_WARN}}};
    uint32_t before = mlog__rule_now.version, wrong = 0, found = 0;
    CHECK(mlog_shutdown(-1) == 0);
    CHECK(mlog_init(&c) == 0);
    before = mlog__rule_now.version;
    mlog_sink_remove(mlog_sink_add(&(mlog_sink_config){.type = MLOG_NULL, .name = "low", .level = MLOG_TRACE}));
    CHECK_EQ(mlog__rule_now.version, before + 4); /* a registration that began before looks again */
    with_fresh("k\0", change_floor);
    for (uint32_t i = 0; i < fresh_at; i++) wrong += __atomic_load_n(&fresh[i].word, __ATOMIC_RELAXED) != 0;
    CHECK_EQ(wrong, 0);
    for (mlog__site *s = mlog1_module.sites; s != NULL && s != &mlog__rule_last; s = s->next) found += s >= fresh && s < fresh + FRESH;
    CHECK_EQ(found, fresh_at);
#if !defined(__clang__) || !defined(MLOG__SANITIZED) /* ThreadSanitizer knows no sequence locks */
    mlog1_module.sites = NULL; /* for the same sites once more */
    wrong = 0;
    with_fresh("pin\0", change_redact);
    for (uint32_t i = 0; i < fresh_at; i++) {
        const mlog__entry *e = mlog__dict_entry(mlog__record_site(__atomic_load_n(&fresh[i].word, __ATOMIC_RELAXED)));
        wrong += e != NULL && e->how[0] != MLOG__H_SECRET; /* NULL: registers at its next call */
    }
    CHECK_EQ(wrong, 0);
#endif
}

static char *locked_page;
static int init_wanted, init_done;

static void *init_run(void *unused) {
    while (!__atomic_load_n(&init_wanted, __ATOMIC_ACQUIRE)) sleep_ms(1);
    change_redact(1);
    __atomic_store_n(&init_done, 1, __ATOMIC_RELEASE);
    return unused;
}

/* The registration has read the keys and stumbles over the function's name: meanwhile the list changes. */
static void on_page(int number) {
    (void)number;
    __atomic_store_n(&init_wanted, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&init_done, __ATOMIC_ACQUIRE)) {}
    (void)mprotect(locked_page, 4096, PROT_READ | PROT_WRITE);
}

static void test_redact_meanwhile(void) {
    pthread_t t;
    static mlog__site site;
    struct sigaction a = {.sa_handler = on_page}, old;
    fresh_site(&site, "pin\0");
    locked_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    site.func = locked_page;
    change_redact(0);
    CHECK(pthread_create(&t, NULL, init_run, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &a, &old) == 0);
    fresh_call(&site);
    CHECK(sigaction(SIGSEGV, &old, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK_EQ(init_done, 1);
    fresh_call(&site);
    const mlog__entry *e = mlog__dict_entry(mlog__record_site(site.word));
    CHECK(e != NULL && e->how[0] == MLOG__H_SECRET);
}

int main(void) {
    CHECK(out_begin((mlog_config){0}) == 0);
    test_matches();
    test_bad();
    test_precedence();
    test_sites();
    test_enabled();
    test_beyond();
    test_loggers();
    test_at_once();
    test_floor();
    test_registering();
    test_redact_meanwhile();
    return done();
}
