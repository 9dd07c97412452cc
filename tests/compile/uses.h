/* Every form of use that must be clean under all warnings, in C11 to C23 and C++17 to C++20. Returns how many records it made. */
#include "metalog.h"

enum colour { RED, GREEN = 7 };
struct parts { unsigned a : 3; int b : 5; bool flag; };

static int uses_values(void) {
    struct parts s = {5, -3, true};
    enum colour colour = GREEN;
    volatile int vol = 4;
    const volatile unsigned long cvol = 9;
    char text[] = "array", *p = text;
    const char *none = 0;
    short sh = -1;
    unsigned short ush = 1;
    signed char sc = -2;
    unsigned char uc = 200;
    float f = 0.1f;
    int n[] = {1, 2, 3};
    const char *words[] = {"a", "b"};
    mlog_info("integers", "i", 1, "u", 2u, "l", -3L, "ul", 4ul, "ll", -5LL, "ull", 6ULL, "sh", sh, "ush", ush, "sc", sc, "uc", uc);
    mlog_info("others", "f", f, "d", 0.2, "b", s.flag, "c", 'x', "colour", colour, "const", RED, "vol", vol, "cvol", cvol);
    mlog_info("bit-fields", "a", s.a, "b", s.b);
    mlog_info("texts", "array", text, "pointer", p, "none", none, "literal", "l", "void", (void *)p, "const void", (const void *)text);
    mlog_info("makers", "str", mlog_str(p, 2), "bytes", mlog_bytes(p, 3), "hex", mlog_hex(255), "bool", mlog_bool(vol == 4),
              "char", mlog_char('x'), "errno", mlog_errno(2), "time", mlog_time(0), "dur", mlog_dur(1500), "json", mlog_json("[1]", 3),
              "secret", mlog_secret("abc"));
    mlog_info("arrays", "n", mlog_array(n, 3), "words", mlog_array(words, 2), mlog_var(vol), mlog_var(s.b + 1));
    return 6;
}

static int uses_counts(int n) {
    mlog_info("0");
    mlog_info("1", "a", n);
    mlog_info("8", "a", n, "b", n, "c", n, "d", n, "e", n, "f", n, "g", n, "h", n);
    mlog_info("15", "a", n, "b", n, "c", n, "d", n, "e", n, "f", n, "g", n, "h", n, "i", n, "j", n, "k", n, "l", n, "m", n, "n", n, "o", n);
    mlog_info("16", "a", n, "b", n, "c", n, "d", n, "e", n, "f", n, "g", n, "h", n, "i", n, "j", n, "k", n, "l", n, "m", n, "n", n, "o", n,
              "p", n);
    return 5;
}

static int uses_levels(const char *who) {
    mlog_trace("no");
    mlog_debug("no", "n", 1);
    mlog_tracef("no");
    mlog_debugf("no %d", 1);
    mlog_info("yes");
    mlog_notice("yes");
    mlog_warn("yes");
    mlog_error("yes");
    mlog_crit("yes");
    mlog_alert("yes");
    mlog_infof("yes");
    mlog_noticef("yes %s", who);
    mlog_warnf("%s: %d of %ld, %5.2f %c %p %zu %%", who, 1, 2L, 3.0, 'x', (const void *)who, sizeof who);
    mlog_errorf("%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    mlog_critf("%.*s", 1, who);
    mlog_alertf("%lld %llx %hhd %f", 1LL, 2ULL, (signed char)3, (double)1.5f);
    return 12;
}

static int uses_places(bool yes) {
    int made = 0;
    yes ? mlog_info("then") : mlog_error("else");
    (void)made, mlog_info("comma"), made = 2;
    if (yes)
        mlog_info("if");
    else
        mlog_info("else");
    for (int i = 0; i < 2; i++) mlog_info("for", "i", i);
    switch (made) {
    case 2: mlog_info("case"); break;
    default: mlog_info("default");
    }
    do mlog_infof("do %d", made);
    while (made == 0);
    if (mlog_enabled(MLOG_INFO)) mlog_info("enabled");
    for (int turn = 0; turn < 3; turn++) {
        mlog_once(mlog_info("once", "turn", turn));
        mlog_every(2, mlog_infof("every %d, %s", turn, "then"));
        mlog_limit(1000, mlog_info("limit", "turn", turn, "f", 0.5f));
        turn == 1 ? mlog_once(mlog_info("an expression")) : mlog_every(1, mlog_info("another"));
    }
    if (mlog_level_parse("info") < 0) mlog_die(2, "no level", "at", "all");
    if (mlog_level_parse("info") < 0) mlog_dief(2, "no level %s", "at all");
    if (mlog_enabled(MLOG_DEBUG)) mlog_error("not enabled");
    /* two calls on one line, and one call's names inside another's arguments */
    mlog_info("one", "n", 1); mlog_info("two", "n", 1);
    mlog_info("outer", "n", (mlog_info("inner", "n", 2), 3));
    return made + 19;
}

static int uses_loggers(int level) {
    mlog_logger *net = mlog_named("net.http"), *bound = mlog_bind(net, "peer", "a", "port", 80);
    mlog(level, "dynamic", "level", level);
    mlogf(level, "dynamic %d", level);
    mlog_to(net, level, "named");
    mlog_tof(bound, level, "bound %d", level);
    if (mlog_enabled_to(net, level)) mlog_to(net, MLOG_INFO, "enabled");
    mlog_unbind(bound);
    return 5;
}

static void uses_put(mlog_writer *w, const void *object) {
    const struct parts *s = (const struct parts *)object;
    mlog_put(w, "a", s->a);
    mlog_put(w, "flag", s->flag);
    mlog_put(w, "name", "parts");
}

static int uses_contexts(int n) {
    struct parts s = {1, 2, false};
    mlog_context *made = mlog_context_new("task", n, "object", mlog_object(uses_put, &s));
    mlog_with("outer", n);
    mlog_with("second", "in the same block", "f", 0.5f);
    mlog_info("in two");
    for (int i = 0; i < 2; i++) {
        mlog_with("i", i);
        mlog_info("in three");
    }
    {
        mlog_with_context(made);
        mlog_info("object", "o", mlog_object(uses_put, &s));
    }
    mlog_context_unref(made);
    made = mlog_context_swap(mlog_context_ref(mlog_context_current()));
    mlog_context_unref(mlog_context_swap(made));
    return 4;
}

__attribute__((format(printf, 2, 3))) static void uses_wrapper(int level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, 0, level, format, args);
    va_end(args);
}

static int uses_run_time(int n) {
    mlog_field fields[] = {{"n", mlog_val(n)}, {"text", mlog_val("t")}, {"d", mlog_val(0.5)}};
    mlog_event event = {MLOG_HERE, 0, MLOG_INFO, 0, "made at run time", 0, fields, 3};
    mlog_emit(&event);
    uses_wrapper(MLOG_INFO, "%s %d", "wrapped", n);
    return 2;
}

#undef METALOG_SOURCE
#define METALOG_SOURCE "second.half"
static int uses_source(void) {
    mlog_info("another source");
    return 1;
}
#undef METALOG_SOURCE

static int uses(void) {
    return uses_values() + uses_counts(3) + uses_levels("me") + uses_places(true) + uses_loggers(MLOG_WARN) + uses_contexts(1) +
           uses_run_time(2) + uses_source();
}
