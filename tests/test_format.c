/* Section format: every kind of value in JSON and PRETTY, hostile text, clashes of names, redaction, printf style, callbacks. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "output.h"
#include <math.h>

struct point {
    int x, y;
    const char *name;
};
static void put_point(mlog_writer *w, const void *p) {
    const struct point *q = p;
    mlog_put(w, "x", q->x);
    mlog_put(w, "y", q->y);
    mlog_put(w, "name", q->name);
}
static void put_line(mlog_writer *w, const void *p) {
    const struct point *q = p;
    static const int three[] = {1, 2, 3};
    mlog_put(w, "from", mlog_object(put_point, &q[0]));
    mlog_put(w, "to", mlog_object(put_point, &q[1]));
    mlog_put(w, "list", mlog_array(three, 3));
    mlog_put(w, "level", "inside an object every name is free");
    mlog_put(w, "x", 1);
    mlog_put(w, "x", 2);
}
static void put_nothing(mlog_writer *w, const void *p) { (void)w, (void)p; }

static void test_scalars(void) {
    signed char sc = -128;
    unsigned char uc = 255;
    short sh = -32768;
    unsigned short us = 65535;
    long l = -1;
    unsigned long ul = 1;
    mlog_info("m");
    BOTH("", "m");
    mlog_info("m", "a", 'x', "b", (char)'y', "c", sc, "d", uc, "e", sh, "f", us, "g", -2147483647 - 1, "h", 4294967295u, "i", l,
              "j", ul);
    BOTH(",\"a\":120,\"b\":121,\"c\":-128,\"d\":255,\"e\":-32768,\"f\":65535,\"g\":-2147483648,\"h\":4294967295,\"i\":-1,\"j\":1",
         "m  a=120 b=121 c=-128 d=255 e=-32768 f=65535 g=-2147483648 h=4294967295 i=-1 j=1");
    mlog_info("m", "a", INT64_MIN, "b", UINT64_MAX, "c", true, "d", (bool)0, "e", 1.5, "f", 0.1, "g", 0.1f, "h", -0.0, "i", 1e300,
              "j", 5e-324);
    BOTH(",\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":1,\"d\":false,\"e\":1.5,\"f\":0.1,\"g\":0.1,\"h\":-0.0,"
         "\"i\":1e300,"
         "\"j\":5e-324",
         "m  a=-9223372036854775808 b=18446744073709551615 c=1 d=false e=1.5 f=0.1 g=0.1 h=-0.0 i=1e300 j=5e-324");
    mlog_info("m", "a", (double)NAN, "b", (double)INFINITY, "c", -(double)INFINITY, "d", (float)INFINITY, "e", (float)-NAN);
    BOTH(",\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\",\"d\":\"Infinity\",\"e\":\"NaN\"",
         "m  a=NaN b=Infinity c=-Infinity d=Infinity e=NaN");
    mlog_info("m", "p", (void *)(uintptr_t)0x1234, "q", (const void *)0, "s", (char *)0, "t", "", "u", "two words", "v", "bare");
    BOTH(",\"p\":\"0x1234\",\"q\":null,\"s\":null,\"t\":\"\",\"u\":\"two words\",\"v\":\"bare\"",
         "m  p=0x1234 q=null s=null t=\"\" u=\"two words\" v=bare");
}

static void test_makers(void) {
    static const unsigned char bytes[] = {0, 1, 0xfe, 0xff};
    mlog_info("m", "a", mlog_str("abcdef", 3), "b", mlog_bytes(bytes, 4), "c", mlog_hex(UINT64_MAX), "d", mlog_bool(1 == 1), "e",
              mlog_char('"'), "f", mlog_errno(2), "g", mlog_time(INT64_C(1709251199000000001)), "h", mlog_dur(1500000));
    BOTH(",\"a\":\"abc\",\"b\":\"0001feff\",\"c\":\"0xffffffffffffffff\",\"d\":true,\"e\":\"\\\"\",\"f\":\"No such file or "
         "directory (2)\","
         "\"g\":\"2024-02-29T23:59:59.000000001Z\",\"h\":1500000",
         "m  a=abc b=0001feff c=0xffffffffffffffff d=true e=\"\\\"\" f=\"No such file or directory (2)\" "
         "g=2024-02-29T23:59:59.000000001Z h=1.5ms");
    mlog_info("m", "a", mlog_str(NULL, 5), "b", mlog_bytes(NULL, 5), "c", mlog_json(NULL, 5), "d", mlog_secret(NULL), "e",
              mlog_object(put_point, NULL), "f", mlog_object(NULL, "x"), "g", mlog_array((int *)NULL, 4), "h", mlog_bytes("", 0),
              "i", mlog_object(put_nothing, ""));
    BOTH(",\"a\":null,\"b\":null,\"c\":null,\"d\":\"[secret, 0 bytes]\",\"e\":null,\"f\":null,\"g\":null,\"h\":\"\",\"i\":{}",
         "m  a=null b=null c=null d=[secret, 0 bytes] e=null f=null g=null h= i={}");
    mlog_info("m", "a", mlog_errno(0), "b", mlog_errno(-1), "c", mlog_errno(99999), "d", mlog_dur(-1), "e", mlog_dur(INT64_MAX),
              "f", mlog_dur(INT64_MIN), "g", mlog_time(INT64_MIN), "h", mlog_time(INT64_MAX));
    out_look();
    SAME(out_get("a"), "Success (0)");
    SAME(out_get("c"), "Unknown error 99999 (99999)");
    mlog_info("m", "d0", mlog_dur(0), "d1", mlog_dur(999), "d2", mlog_dur(1000), "d3", mlog_dur(-1234567), "d4",
              mlog_dur(INT64_C(3600000000000)));
    out_look();
    out_people("m  d0=0ns d1=999ns d2=1us d3=-1.23ms d4=3600s", __FILE__, __LINE__);
    mlog_info("m", "v", mlog_val(7), "w", mlog_val("t"), "x", mlog_val(1.5f));
    JSON(",\"v\":7,\"w\":\"t\",\"x\":1.5");
    mlog_value broken = {.kind = 99, .size = 5, .as = {.u = 1}};
    mlog_info("m", "v", broken);
    JSON(",\"v\":null");
}

static void test_arrays(void) {
    static const signed char i8[] = {-1, 1};
    static const unsigned char u8[] = {255};
    static const char c8[] = {'a'};
    static const short i16[] = {-1};
    static const unsigned short u16[] = {65535};
    static const int i32[] = {1, -2};
    static const unsigned u32[] = {4294967295u};
    static const long i64[] = {-1};
    static const uint64_t u64[] = {~UINT64_C(0)};
    static const long long ll[] = {-1};
    static const unsigned long long ull[] = {~0ull};
    static const bool b[] = {true, false};
    static const float f[] = {0.1f, (float)NAN};
    static const double d[] = {0.1, -(double)INFINITY};
    const char *t[] = {"a", NULL, "", "q\"\n", NULL};
    char *m[] = {NULL};
    mlog_info("m", "a", mlog_array(i8, 2), "b", mlog_array(u8, 1), "c", mlog_array(c8, 1), "d", mlog_array(i16, 1), "e",
              mlog_array(u16, 1), "f", mlog_array(i32, 2), "g", mlog_array(u32, 1), "h", mlog_array(i64, 1), "i",
              mlog_array(u64, 1), "j", mlog_array(ll, 1), "k", mlog_array(ull, 1), "l", mlog_array(b, 2), "m", mlog_array(f, 2),
              "n", mlog_array(d, 2), "o", mlog_array(t, 5), "p", mlog_array(m, 1));
    JSON(",\"a\":[-1,1],\"b\":[255],\"c\":[97],\"d\":[-1],\"e\":[65535],\"f\":[1,-2],\"g\":[4294967295],\"h\":[-1],\"i\":["
         "18446744073709551615],"
         "\"j\":[-1],\"k\":[18446744073709551615],\"l\":[true,false],\"m\":[0.1,\"NaN\"],\"n\":[0.1,\"-Infinity\"],"
         "\"o\":[\"a\",null,\"\",\"q\\\"\\n\",null],\"p\":[null]");
    mlog_info("m", "a", mlog_array(i32, 0), "b", mlog_array(t, 0));
    BOTH(",\"a\":[],\"b\":[]", "m  a=[] b=[]");
}

static void test_objects(void) {
    struct point line[2] = {{1, 2, "a"}, {3, 4, NULL}};
    mlog_info("m", "line", mlog_object(put_line, line), "p", mlog_object(put_point, line));
    JSON(",\"line\":{\"from\":{\"x\":1,\"y\":2,\"name\":\"a\"},\"to\":{\"x\":3,\"y\":4,\"name\":null},\"list\":[1,2,3],"
         "\"level\":\"inside an object every name is free\",\"x\":1,\"x_2\":2},\"p\":{\"x\":1,\"y\":2,\"name\":\"a\"}");
#define TWO(k) k "a", mlog_object(put_line, line), k "b", mlog_object(put_line, line)
    mlog_info("m", TWO("1"), TWO("2"), TWO("3"), TWO("4"), TWO("5"), TWO("6"), TWO("7"),
              TWO("8")); /* 16 objects of 3 each, alive together */
    out_look();
    CHECK_EQ(lines(out_json, "\"1a\":{\"from\":{\"x\":1,\"y\":2,\"name\":\"a\"},\"to\":"), 1);
    CHECK_EQ(lines(out_json, "\"8b\":{\"from\":{\"x\":1,\"y\":2,\"name\":\"a\"},\"to\":"), 1);
}

/* A list that is 500 deep: what is too much is cut, nothing breaks. */
struct node {
    int v;
    const struct node *next;
};
static void put_node(mlog_writer *w, const void *p) {
    const struct node *n = p;
    mlog_put(w, "v", n->v);
    if (n->next) mlog_put(w, "next", mlog_object(put_node, n->next));
}
static void put_wide(mlog_writer *w, const void *p) {
    (void)p;
    for (int i = 0; i < 5000; i++) mlog_put(w, "k", i);
}
static void put_logging(mlog_writer *w, const void *p) {
    mlog_debug("from inside", "o", mlog_object(put_point, p));
    mlog_put(w, "after", 1);
}
static void test_deep_objects(void) {
    static struct node list[500];
    for (int i = 0; i < 500; i++) list[i] = (struct node){i, i < 499 ? &list[i + 1] : NULL};
    mlog_info("m", "list", mlog_object(put_node, &list[496]));
    JSON(",\"list\":{\"v\":496,\"next\":{\"v\":497,\"next\":{\"v\":498,\"next\":{\"v\":499}}}}");
    mlog_info("m", "list", mlog_object(put_node, list), "behind", 1);
    out_look();
    CHECK(strstr(out_json, "\"list\":{\"v\":0,\"next\":{\"v\":1,\"next\":{\"v\":2,") != NULL);
    SAME(out_get("behind"), "1");
    mlog_info("m", "wide", mlog_object(put_wide, ""), "behind", 1);
    out_look();
    CHECK(strstr(out_json, "\"wide\":{\"k\":0,\"k_2\":1,") != NULL);
    CHECK(strstr(out_json, "\"cut\":true}") != NULL);
    SAME(out_get("behind"), "1");
    mlog_info("m", "o", mlog_object(put_logging, &(struct point){1, 2, "z"}));
    out_look();
    CHECK_EQ(lines(out_json, NULL), 2);
    CHECK(strstr(out_json, "\"o\":{\"after\":1}") != NULL);
    CHECK(strstr(out_json, "\"o\":{\"x\":1,\"y\":2,\"name\":\"z\"}") != NULL);
}

static void test_json(void) {
    static const char good[] = " { \"a\" : [ 1 , 2.50 ,\n null ] , \"b\":\"x\\u2028\xe2\x80\xa8y\" } ";
    mlog_info("m", "j", mlog_json(good, strlen(good)), "k", mlog_json("12", 2), "l", mlog_json("\"s\"", 3), "n",
              mlog_json("[]", 2));
    JSON(",\"j\":{\"a\":[1,2.50,null],\"b\":\"x\\u2028\\u2028y\"},\"k\":12,\"l\":\"s\",\"n\":[]");
    mlog_info("m", "a", mlog_json("{", 1), "b", mlog_json("NaN", 3), "c", mlog_json("1 2", 3), "d", mlog_json("{\"a\":1,}", 8),
              "e", mlog_json("\"\\ud800\"", 8), "f", mlog_json("'x'", 3), "g", mlog_json("", 0), "h", mlog_json("01", 2));
    JSON(",\"a\":\"{\",\"b\":\"NaN\",\"c\":\"1 "
         "2\",\"d\":\"{\\\"a\\\":1,}\",\"e\":\"\\\"\\\\ud800\\\"\",\"f\":\"'x'\",\"g\":\"\",\"h\":\"01\"");
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    mlog_info("m", "deep", mlog_json(deep, 400));
    out_look();
    CHECK(strstr(out_json, "\"deep\":\"[[") != NULL);
}

/* What an attacker would send: nothing of it may reach a terminal or forge a line. */
static const char *const hostile[] = {"\x1b[31mred\x1b[0m",
                                      "a\nb\rc",
                                      "{\"forged\":1}\n{\"ts\":\"x\"}",
                                      "\x01\x02\x1f\x7f",
                                      "\xc2\x80\xc2\x9b"
                                      "31m\xc2\x9f",
                                      "\xe2\x80\xa8\xe2\x80\xa9",
                                      "\xe2\x80\xae"
                                      "evil\xe2\x81\xa6\xe2\x80\x8f",
                                      "\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98\x80 ok",
                                      "\"quotes\\ and \\\"",
                                      "%s%n%d",
                                      "\x1b]0;title\x07",
                                      "tab\there",
                                      "key=value other=\"x\"",
                                      "\xef\xbb\xbf"
                                      "bom"};
enum { HOSTILE = sizeof hostile / sizeof *hostile };

static int forbidden(const char *text, bool console) { /* a raw control character anywhere but the newline at the end of a line */
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p < 32 && *p != '\n') || *p == 127) return 1;
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) return 1;
        if (*p == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) return 1;
        if (console && *p == 0xe2 &&
            ((p[1] == 0x80 && ((p[2] >= 0xaa && p[2] <= 0xae) || p[2] == 0x8e || p[2] == 0x8f)) ||
             (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))
            return 1;
    }
    return 0;
}

static void *hostile_thread(void *name) {
    mlog_thread(&(mlog_thread_config){.name = name});
    mlog_info("named by an enemy");
    return NULL;
}

static void put_hostile(mlog_writer *w, const void *p) { mlog_put(w, p, (const char *)p); }

static void test_hostile(void) {
    for (int i = 0; i < HOSTILE; i++) {
        const char *h = hostile[i];
        mlog_field f[] = {{h, mlog_val(h)},
                          {"j", mlog_object(put_hostile, h)},
                          {"t", mlog_array(&h, 1)},
                          {h, mlog_char(h[0])},
                          {"e", mlog_json(h, strlen(h))}};
        mlog_emit(&(mlog_event){.at = {h, h, i}, .level = MLOG_INFO, .msg = h, .fields = f, .nfields = 5});
        mlog_emit(&(mlog_event){.at = {h, h, i}, .logger = mlog_named("x"), .level = MLOG_INFO, .msg = h});
        mlog_infof("%s", h);
        mlog_info("static", "v", h);
        mlog_context *c = mlog1_context_new(f, 5);
        mlog_context *s = mlog1_context_new((mlog_field[]){{"source", mlog_val(h)}}, 1);
        {
            mlog_with_context(c);
            mlog_info("static", "v", h);
            mlog_infof("%s", h);
        }
        {
            mlog_with_context(s);
            mlog_info("relabelled");
        }
        mlog_context_unref(c);
        mlog_context_unref(s);
        pthread_t t;
        CHECK(pthread_create(&t, NULL, hostile_thread, (void *)(uintptr_t)h) == 0);
        pthread_join(t, NULL);
        out_look();
        CHECK_EQ(lines(out_json, NULL), 8);
        CHECK_EQ(lines(out_pretty, NULL), 8);
        if (!CHECK(!forbidden(out_json, false))) printf("    %d\n", i);
        if (!CHECK(!forbidden(out_pretty, true))) printf("    %d: %s\n", i, out_pretty);
    }
    mlog_info("\x1b[31m\xe2\x80\xae\n", "\x1b\n\xff", 1, "\x1b\n\xff", "twice");
    out_look();
    CHECK(!forbidden(out_json, false));
    CHECK(!forbidden(out_pretty, true));
    CHECK_EQ(lines(out_pretty, NULL), 1);
    CHECK(strstr(out_json, "\"\\u001b\\n\xef\xbf\xbd\":1,\"\\u001b\\n\xef\xbf\xbd_2\":\"twice\"") != NULL);
    mlog_infof("%s", "\xff\xfe\xc0\xaf");
    out_look();
    SAME(out_get("msg"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_clashes(void) {
    mlog_info("m", "k", 1, "k", 2, "k", 3, "k_2", 4);
    JSON(",\"k\":1,\"k_2\":2,\"k_3\":3,\"k_2_2\":4");
    mlog_info("m", "ts", 1, "level", 2, "msg", 3, "source", 4, "at", 5, "thread", 6, "ts_call", 7, "recovered", 8, "ts_2", 9,
              "recorder", 10);
    JSON(",\"ts_2\":1,\"level_2\":2,\"msg_2\":3,\"source_2\":4,\"at_2\":5,\"thread_2\":6,\"ts_call_2\":7,\"recovered_2\":8,\"ts_"
         "2_2\":9,\"recorder_2\":10");
    {
        mlog_with("k", 1, "only", 2);
        mlog_info("m", "k", 10);
        JSON(",\"k\":1,\"only\":2,\"k_2\":10");
        {
            mlog_with("k", 100);
            mlog_info("m");
            JSON(",\"k\":100,\"only\":2");
            mlog_info("m", "x", 1);
            JSON(",\"k\":100,\"only\":2,\"x\":1");
            mlog_infof("%d", 1);
            JSON(",\"k\":100,\"only\":2");
        }
        mlog_with("source", "component", "ts", 1);
        mlog_info("m", "source", "pair");
        BOTH(",\"k\":1,\"only\":2,\"ts_2\":1,\"source_2\":\"pair\"", "m  k=1 only=2 ts_2=1 source_2=pair");
        SAME(out_get("source"), "component");
        CHECK(strstr(out_pretty, "(component test_format.c:") != NULL);
        mlog_with("source", 5);
        mlog_info("m");
        out_look();
        SAME(out_get("source_2"), "5");
    }
    mlog_logger *lg = mlog_named("net.http"), *bound = mlog_bind(lg, "peer", "p", "k", 1, "msg", 2);
    mlog_logger *child = mlog_bind(bound, "k", 2, "more", (bool)1);
    mlog_with("peer", "from context");
    mlog_to(bound, MLOG_INFO, "m", "k", 5);
    JSON(",\"peer\":\"from context\",\"peer_2\":\"p\",\"k\":1,\"msg_2\":2,\"k_2\":5");
    SAME(out_get("source"), "net.http");
    mlog_to(child, MLOG_INFO, "m");
    JSON(",\"peer\":\"from context\",\"peer_2\":\"p\",\"k\":2,\"msg_2\":2,\"more\":true");
    mlog_tof(child, MLOG_INFO, "f %d", 1);
    JSON(",\"peer\":\"from context\",\"peer_2\":\"p\",\"k\":2,\"msg_2\":2,\"more\":true");
    mlog_logger *label = mlog_bind(lg, "source", "relabelled");
    mlog_to(label, MLOG_INFO, "m");
    out_look();
    SAME(out_get("source"), "relabelled");
    mlog_unbind(label);
    mlog_unbind(child);
    mlog_unbind(bound);
}

/* The same clashes when the fields travel inside the records, since the context is too big for a slot. */
static void test_clashes_inline(void) {
    char big[600];
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = 0;
    mlog_with("k", 1, "big", (const char *)big);
    mlog_with("k", 2, "source", "inline");
    mlog_info("m", "k", 3, "level", 4);
    out_look();
    SAME(out_get("k"), "2");
    SAME(out_get("k_2"), "3");
    SAME(out_get("level_2"), "4");
    SAME(out_get("big"), big);
    SAME(out_get("source"), "inline");
    mlog_logger *bound = mlog_bind(mlog_named("b"), "k", 7, "big", (const char *)big);
    mlog_to(bound, MLOG_INFO, "m", "k", 8);
    out_look();
    SAME(out_get("k"), "2");
    SAME(out_get("k_2"), "7");
    SAME(out_get("k_3"), "8");
    SAME(out_get("big_2"), big);
    mlog_unbind(bound);
}

static void test_emit(void) {
    mlog_field f[80];
    char keys[80][16], long_key[301];
    for (int i = 0; i < 80; i++) (void)snprintf(keys[i], sizeof keys[i], "f%d", i), f[i] = (mlog_field){keys[i], mlog_val(i)};
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "sixty-four", .fields = f, .nfields = 80});
    out_look();
    SAME(out_get("f63"), "63");
    SAME(out_get("f64"), "(none)");
    for (int i = 0; i < 64; i++) f[i].key = "same";
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "the same key", .fields = f, .nfields = 64});
    out_look();
    SAME(out_get("same_64"), "63");
    memset(long_key, 'K', 300);
    long_key[300] = 0;
    for (int i = 0; i < 64; i++) f[i].key = long_key;
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "long keys", .fields = f, .nfields = 64});
    out_look();
    CHECK(strstr(out_json, "K\":0,") != NULL); /* cut at 255 bytes, not lost */
    CHECK(strstr(out_json, "K_64\":63}") != NULL);
    memcpy(long_key + 254, "\xe2\x82\xac", 3); /* cut before a character that does not fit */
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "cut", .fields = f, .nfields = 1});
    out_look();
    CHECK(strstr(out_json, "KKK\":0}") != NULL);
    f[0] = (mlog_field){"", mlog_val(1)};
    f[1] = (mlog_field){NULL, mlog_val(2)};
    f[2] = (mlog_field){"x", {.kind = 77}};
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "odd", .fields = f, .nfields = 3});
    JSON(",\"\":1,\"_2\":2,\"x\":null");
    mlog_emit(&(mlog_event){.level = MLOG_INFO});
    out_look();
    SAME(out_get("msg"), "");
    mlog_emit(NULL);
    mlog_emit(&(mlog_event){.at = {"/a/b/c.py", "f", 7}, .level = 15, .msg = "abcdef", .msg_len = 3});
    out_look();
    SAME(out_get("msg"), "abc");
    SAME(out_get("at"), "c.py:7");
    SAME(out_get("source"), "c");
    SAME(out_get("level"), "warn");
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .time = INT64_C(86400000000001), .msg = "given time"});
    out_look();
    SAME(out_get("ts"), "1970-01-02T00:00:00.000000001Z");
    SAME(out_get("ts_call"), "(none)");
}

static void test_levels(void) {
    static const struct {
        int level;
        const char *name;
    } table[] = {{1, "trace"}, {2, "trace"}, {5, "debug"},  {8, "debug"}, {9, "info"},   {10, "notice"}, {12, "notice"},
                 {13, "warn"}, {16, "warn"}, {17, "error"}, {18, "crit"}, {19, "alert"}, {20, "alert"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mlog(table[i].level, "m");
        out_look();
        SAME(out_get("level"), table[i].name);
    }
    CHECK_EQ(mlog_level_parse("WARNING"), MLOG_WARN);
    CHECK_EQ(mlog_level_parse("Err"), MLOG_ERROR);
    CHECK_EQ(mlog_level_parse("critical"), MLOG_CRIT);
    CHECK_EQ(mlog_level_parse("panic"), MLOG_FATAL);
    CHECK_EQ(mlog_level_parse("24"), 24);
    CHECK_EQ(mlog_level_parse("25"), -1);
    CHECK_EQ(mlog_level_parse("0"), -1);
    CHECK_EQ(mlog_level_parse(""), -1);
    CHECK_EQ(mlog_level_parse(NULL), -1);
    CHECK_EQ(mlog_level_parse("off"), -1);
    CHECK_EQ(mlog_level_parse("info "), -1);
    SAME(mlog_level_name(-5), "trace");
    SAME(mlog_level_name(99), "fatal");
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}
#define MSG(want) (out_look(), out_same(out_get("msg"), strlen(out_get("msg")), want, "message", __FILE__, __LINE__))

static void test_printf(void) {
    char open3[3] = {'a', 'b', 'c'}; /* no NUL */
    int one = 1;
    mlog_infof("plain\n");
    MSG("plain");
    mlog_infof("%s|%.*s|%.2s|%5d|%-5d|%05.1f|%x|%c|%%", "s", 3, open3, open3, 42, 42, 3.14159, 255u, 'c');
    MSG("s|abc|ab|   42|42   |003.1|ff|c|%");
    errno = EACCES;
    mlog_infof("open: %m");
    CHECK_EQ(errno, EACCES);
    MSG("open: Permission denied");
    mlog_infof("%s %.3s", (char *)NULL, (const char *)NULL);
    out_look();
    CHECK(strncmp(out_get("msg"), "(null) ", 7) == 0);
    mlog_infof("%ls|%lc|%.2ls", L"wide \u20ac", (wint_t)L'\u00e9', L"abc");
    MSG("wide \xe2\x82\xac|\xc3\xa9|ab");
    mlog_infof("%Lf %Lg", 1.5L, 2.25L);
    MSG("1.500000 2.25");
    out_look();
    mlog_infof("%p %p", (void *)(uintptr_t)0x10, (void *)0);
    MSG("0x10 (nil)");
    mlog_infof("%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    MSG("12345678910111213141516");
    mlog_infof("%hhd %hd %ld %lld %zu %jd %td", (signed char)-1, (short)-2, -3L, -4LL, (size_t)5, (intmax_t)-6, (ptrdiff_t)7);
    MSG("-1 -2 -3 -4 5 -6 7");
    mlog_infof("%2$s %1$s", "a", "b");
    MSG("b a");
    say("%s %d %.2f %.*s\n\n", "v", -1, 2.0, 2, open3);
    MSG("v -1 2.00 ab");
    say("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %s %.1f", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
        "eighteen", 19.0);
    MSG("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 eighteen 19.0");
    (void)one;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    errno = ENOENT;
    say("%m");
    MSG("No such file or directory");
    mlog_infof("%hhd %hu", 300, 65537);
    MSG("44 1");
    const char *text = "text";
    mlog_infof("%p", text);
    out_look();
    CHECK(strncmp(out_get("msg"), "0x", 2) == 0);
    int before = one;
    mlog_infof("a%nb", &one);
    out_look();
    CHECK_EQ(one, before);
    CHECK(strncmp(out_get("msg"), "a", 1) == 0);
    char format[32]; /* one buffer, formats in turn: the text at the call counts */
    for (int i = 0; i < 20; i++) {
        (void)snprintf(format, sizeof format, i % 2 ? "number %%d %d" : "text %%s %d", i);
        if (i % 2) say(format, i);
        else say(format, "s");
    }
    memset(format, 'X', sizeof format - 1);
#pragma GCC diagnostic pop
    out_look();
    CHECK_EQ(lines(out_json, "\"text s "), 10);
    CHECK_EQ(lines(out_json, "\"number "), 10);
    CHECK(strstr(out_json, "\"number 19 19\"") != NULL);
    say("%s", "");
    MSG("");
    static char huge[100000];
    memset(huge, 'h', sizeof huge - 1);
    mlog_infof("%s|%d", (const char *)huge, 7);
    out_look();
    CHECK(strstr(out_json, "hhh|7\"") != NULL);
    mlog_infof("%60000d|", 1);
    out_look();
    CHECK_EQ(lines(out_json, NULL), 1);
}

/* A copy whose last byte is the last one that may be read. */
static void *at_edge(const void *from, size_t n) {
    static char *pages[8];
    static int next;
    char **p = &pages[next++ % 8];
    if (*p == NULL) {
        *p = mmap(NULL, 2 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*p == MAP_FAILED || mprotect(*p + 65536, 65536, PROT_NONE) != 0) abort();
    }
    return memcpy(*p + 65536 - n, from, n);
}

/* Texts without a NUL: nothing is read behind what the precision allows, which for wide ones counts bytes of whole characters. */
static void test_precision(void) {
    const char *open3 = at_edge("abc", 3);
    const wchar_t *wide3 = at_edge(L"xyz", 3 * sizeof(wchar_t)), *euro2 = at_edge(L"\u20ac\u20ac", 2 * sizeof(wchar_t));
    mlog_infof("%.3s|%.*s|%.3ls|%.*ls", open3, 3, open3, wide3, 3, wide3);
    MSG("abc|abc|xyz|xyz");
    say("%.3s|%.*s|%.3ls|%.*ls", open3, 3, open3, wide3, 3, wide3);
    MSG("abc|abc|xyz|xyz");
    mlog_infof("%.6ls|%.4ls|%.2ls|%.0ls|%.10ls", euro2, L"\u20ac\u20ac", euro2, wide3, L"abcdefghijklmnop");
    MSG("\xe2\x82\xac\xe2\x82\xac|\xe2\x82\xac|||abcdefghij");
    say("%.6ls|%.4ls|%.2ls|%.0ls|%.10ls", euro2, L"\u20ac\u20ac", euro2, wide3, L"abcdefghijklmnop");
    MSG("\xe2\x82\xac\xe2\x82\xac|\xe2\x82\xac|||abcdefghij");
    mlog_infof("%.*ls|%8.3ls|%-5.3ls|", -1, L"negative", L"\u00e9\u00e9", wide3);
    MSG("negative|      \xc3\xa9|xyz  |");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
    mlog_infof("%1$.*2$s|%3$.*2$ls", open3, 3, wide3);
    MSG("abc|xyz");
    say("%1$.*2$s|%3$.*2$ls", open3, 3, wide3); /* the precision comes behind its text */
    MSG("abc|xyz");
#pragma GCC diagnostic pop
    static char big[50000];
    memset(big, 'x', sizeof big - 1);
    mlog_infof("%.40000s", (const char *)big);
    out_look();
    CHECK_EQ(strspn(strstr(out_json, "xxx"), "x"), 40000);
}

/* As in printf, %s takes any pointer to bytes; %p takes the address of a text. */
static void test_byte_pointers(void) {
    unsigned char u[] = "unsigned";
    const signed char *s = (const signed char *)"signed";
    const unsigned char *open3 = at_edge("abc", 3);
    char want[64];
    for (int i = 0; i < 2; i++) { /* the first call of a site, and the next ones */
        mlog_infof("%s %s %.3s %.*s %s", u, s, open3, 2, open3, (unsigned char *)(i ? NULL : u));
        MSG(i ? "unsigned signed abc ab (null)" : "unsigned signed abc ab unsigned");
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
    (void)snprintf(want, sizeof want, "%p", (void *)u);
    mlog_infof("%p", u);
    MSG(want);
#pragma GCC diagnostic pop
}

/* No room in the dictionary: a record carries its definition, and its arguments are read as they would be with one. */
static void test_full_dictionary(void) {
    const char *open3 = at_edge("abc", 3);
    char want[64];
    uint64_t end = __atomic_exchange_n(&mlog__dict_session->dict_end, MLOG__DICT_BYTES, __ATOMIC_RELAXED);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
    (void)snprintf(want, sizeof want, "%p", (const void *)open3);
    mlog_infof("%p", open3);
    MSG(want);
#pragma GCC diagnostic pop
    mlog_infof("%.3s|%.*s|%ls|%lc|%s", open3, 2, open3, L"wide", (wint_t)L'w', (const unsigned char *)"bytes");
    MSG("abc|ab|wide|w|bytes");
    errno = EACCES;
    mlog_infof("%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d %m", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6);
    MSG("1234567890123456 Permission denied");
    mlog_info("pair", "a", 1, "password", "hunter2");
    JSON(",\"a\":1,\"password\":\"[redacted]\"");
    CHECK(strstr(out_json, "\"at\":\"test_format.c:") != NULL);
    __atomic_store_n(&mlog__dict_session->dict_end, end, __ATOMIC_RELAXED);
}

/* Values that no maker makes: each costs itself, not the record, and not a byte of anybody else's memory. */
static void test_wrong_values(void) {
    static char big[1 << 20];
    memset(big, 'a', sizeof big);
    mlog_value huge = mlog_str(big, 1), bits = mlog_bytes("abcdefg", 7), none = {.kind = MLOG_K_TEXT, .size = 7};
    huge.size = UINT32_MAX;
    mlog_field fields[3] = {{"huge", huge}, {"bits", bits}, {"behind", mlog_str("behind", 6)}};
    mlog_event e = {.level = MLOG_INFO, .msg = "wrong", .fields = fields, .nfields = 3};
    mlog_emit(&e);
    out_look();
    CHECK(strstr(out_json, "\xe2\x80\xa6[cut from 4294967294 bytes]\",") != NULL);
    SAME(out_get("behind"), "behind");
    const uint32_t kinds[] = {MLOG_K_ARRAY | 0x11 << 8, MLOG_K_ARRAY | 0x1B << 8, MLOG_K_ARRAY | 13 << 8, MLOG_K_ARRAY, 24, 25, 200};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fields[1].value.kind = kinds[i];
        e.fields = fields + 1, e.nfields = 2;
        mlog_emit(&e);
        JSON(",\"bits\":null,\"behind\":\"behind\"");
        mlog_info("wrong", "bits", fields[1].value, "behind", "behind");
        JSON(",\"bits\":null,\"behind\":\"behind\"");
    }
    fields[1].value = mlog_array(((const int8_t[]){1, 2}), 2); /* bits above 15 mean nothing */
    fields[1].value.kind |= 0x10000;
    mlog_emit(&e);
    JSON(",\"bits\":[1,2],\"behind\":\"behind\"");
    mlog_info("wrong", "none", none);
    JSON(",\"none\":null");
    /* a length without a pointer */
    mlog_emit(&(mlog_event){.level = MLOG_INFO, .msg_len = 50, .nfields = 3});
    JSON("");
    SAME(out_get("msg"), "");
    mlog_context *c = mlog1_context_new(NULL, 3);
    mlog_logger *lg = mlog1_bind(NULL, NULL, 3);
    CHECK(c != NULL && lg != NULL);
    mlog_context *outer = mlog_context_swap(c);
    mlog_to(lg, MLOG_INFO, "nothing");
    JSON("");
    mlog_context_unref(mlog_context_swap(outer));
    mlog_unbind(lg);
    char json[8] = "";
    CHECK_EQ(mlog_value_json(NULL, json, sizeof json), 4);
    SAME(json, "null");
    mlog_stats_read(NULL);
    CHECK(mlog_sink_stats_read("json", NULL) == -1 && strstr(mlog_why(), "expected a place") != NULL);
}

/* Only the bytes that carry a long double reach a record; of x87's 16 six are whatever the stack held. */
static void test_long_double(void) {
#if __LDBL_MANT_DIG__ == 64
    union { long double ld; unsigned char byte[sizeof(long double)]; } dirty;
    memset(&dirty, 0xC7, sizeof dirty);
    dirty.ld = 1.5L;
    memset(dirty.byte + 10, 0xC7, sizeof dirty - 10);
    unsigned char out[32], *end = out;
    mlog_value v = mlog__val_p(MLOG__K_LDOUBLE, &dirty, sizeof dirty);
    (void)mlog__record_put(&v, &end, sizeof dirty);
    CHECK(memchr(out, 0xC7, (size_t)(end - out)) == NULL);
    mlog_infof("%Lg", dirty.ld);
    MSG("1.5");
#endif
}

/* ---- memory that another thread changes during the call ---- */

#ifndef TSAN /* these races are what is tested */
static volatile char flipped[16384], flipped_json[8] = "[1,2,3]";
static volatile int flip_stop;

static void *flip(void *unused) { /* a text that is 10 or 16,383 bytes long, and JSON that is good or not */
    for (unsigned i = 0; !flip_stop; i++) {
        flipped[10] = i % 2 ? 'x' : 0;
        flipped_json[2] = i % 2 ? ',' : '\n';
        for (volatile int k = 0; k < 200; k++) {}
    }
    return unused;
}

static void put_flipped(mlog_writer *w, const void *list) {
    mlog1_put(w, (const char *)(uintptr_t)flipped, mlog_array((const char *const *)list, 3));
}

/* No record is longer than the room that was reserved for it, and each is good JSON: whatever was there at the time. */
static void test_changing(void) {
    const char *const text = (const char *)(uintptr_t)flipped, *list[3] = {text, "b", "c"};
    const mlog_value array = mlog_array(list, 3), json = mlog_json((const char *)(uintptr_t)flipped_json, 7);
    mlog_field field[2] = {{text, array}, {"json", json}};
    pthread_t t;
    memset((char *)(uintptr_t)flipped, 'x', sizeof flipped - 1);
    CHECK(mlog_thread(&(mlog_thread_config){.full = MLOG_BLOCK}) == 0); /* until the next configuration: each line is counted */
    CHECK(pthread_create(&t, NULL, flip, NULL) == 0);
    int64_t end = now_ms() + 500;
    long long calls = 0;
    for (; now_ms() < end; calls += 6) {
        mlog_info("changing", "list", array, "behind", 1);
        mlog_info("changing", "json", json, "behind", 1);
        mlog_infof("changing %s %s", text, (const unsigned char *)text);
        mlog_emit(&(mlog_event){.level = MLOG_INFO, .msg = "changing", .fields = field, .nfields = 2});
        mlog_context *c = mlog1_context_new(field, 2), *outer = mlog_context_swap(c);
        mlog_info("changing");
        mlog_context_unref(mlog_context_swap(outer));
        mlog_info("changing", "object", mlog_object(put_flipped, list));
    }
    flip_stop = 1;
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(mlog_flush(10000) == 0);
    CHECK_EQ(file_lines(out_json_path, "changing"), calls);
    CHECK_EQ(file_lines(out_json_path, "\"behind\":1}"), calls / 3);
}
#else
static void test_changing(void) {}
#endif

/* Measured, then changed, then copied: the copy has the bytes that were measured, in an array as many texts as there are. */
static void test_measured(void) {
    char text[64] = "short", key[64] = "key";
    const char *list[3] = {text, NULL, "last"};
    mlog_value array = mlog_array((const char *const *)list, 3);
    mlog__sized size;
    size_t n = (size_t)mlog__record_measure(&size, key, &array, 1000);
    unsigned char *room = at_edge(memset((char[256]){0}, 0xAA, n), n);
    memset(text, 'x', sizeof text - 1);
    memset(key, 'k', sizeof key - 1);
    CHECK(mlog__record_put_field(room, key, &array, &size) == room + n);
    memset(text + 1, 0, 1);
    CHECK(mlog__record_put_field(room, key, &array, &size) == room + n);
    CHECK(memchr(room, 0xAA, n) == NULL);
    mlog__val got;
    const unsigned char *at = room;
    const char *name;
    uint32_t len;
    char out[256] = "";
    CHECK(mlog__record_get_field(&at, room + n, &name, &len, &got) && at == room + n && len == 3);
    *mlog__format_json_value(out, &got) = 0;
    SAME(out, "[\"x\",null,\"last\"]");
}

/* A text longer than the record limit is cut before a character that does not fit, and says so. */
static void test_cut(void) {
    enum { N = 900001 };
    char *huge = malloc(N + 1);
    if (huge == NULL) abort();
    for (int i = 0; i < N / 3; i++) memcpy(huge + 3 * i, "\xe2\x82\xac", 3);
    huge[N / 3 * 3] = 0;
    mlog_info("m", "t", (const char *)huge, "behind", 1);
    out_look();
    CHECK(strstr(out_json, "\xe2\x82\xac\xe2\x80\xa6[cut from 900000 bytes]\",\"behind\":1}") != NULL);
    CHECK(strlen(out_json) > 60000);
    mlog_info("m", "j", mlog_json(huge, 3), "b", mlog_bytes(huge, N), "behind", 1);
    out_look();
    CHECK(strstr(out_json, "\xe2\x80\xa6[cut from 900001 bytes]\",\"behind\":1}") != NULL);
    for (int i = 0; i < N; i++) huge[i] = i % 2 ? '1' : ',';
    huge[0] = '[', huge[N - 1] = ']', huge[N - 2] = '1';
    for (int i = N - 3; i > 0 && huge[i] == huge[i + 1]; i--) huge[i] = '1';
    mlog_info("m", "j", mlog_json(huge, N), "behind", 1);
    out_look();
    SAME(out_get("behind"), "1");
    static double many[200000];
    mlog_info("m", "a", mlog_array(many, 200000), "behind", 1);
    out_look();
    SAME(out_get("behind"), "1");
    free(huge);
}

static const char secret[] = "hunter2-hunter2-hunter2";

static bool in_rings(const char *what) { /* any trace of it in the memory that a crash leaves behind? */
    for (uint32_t i = 0; i < MLOG__RINGS; i++) {
        const mlog__ring *r = mlog__ring_list[i];
        if (r != NULL && memmem(r->data, (size_t)r->bytes, what, strlen(what)) != NULL) return true;
    }
    return memmem(mlog__dict_session, sizeof *mlog__dict_session, what, strlen(what)) != NULL;
}

static void put_secret(mlog_writer *w, const void *p) {
    mlog_put(w, "Passwd", (const char *)p);
    mlog_put(w, "fine", 1);
}

static void test_redaction(void) {
    uint64_t number = UINT64_C(0x1122334455667788);
    for (int round = 0; round < 3; round++) { /* the first call of a site takes another way than the next */
        mlog_info("m", "password", secret, "DB_Password", secret, "x-api_key", secret, "token", number, "secret",
                  mlog_val(secret), "authorization", mlog_bytes(secret, sizeof secret), "Secret", 1.25, "passwords", "not one",
                  "fine", 1);
        JSON(",\"password\":\"[redacted]\",\"DB_Password\":\"[redacted]\",\"x-api_key\":\"[redacted]\",\"token\":\"[redacted]\","
             "\"secret\":\"[redacted]\",\"authorization\":\"[redacted]\",\"Secret\":\"[redacted]\",\"passwords\":\"not "
             "one\",\"fine\":1");
        mlog_to(mlog_named("r"), MLOG_INFO, "m", "token", secret);
        JSON(",\"token\":\"[redacted]\"");
        mlog_with("token", secret, "fine", 1);
        mlog_info("m", "o", mlog_object(put_secret, secret), "s", mlog_secret(secret));
        JSON(",\"token\":\"[redacted]\",\"fine\":1,\"o\":{\"Passwd\":\"[redacted]\",\"fine\":1},\"s\":\"[secret, 23 bytes]\"");
        mlog_logger *b = mlog_bind(NULL, "api_key", secret);
        mlog_to(b, MLOG_INFO, "m");
        out_look();
        SAME(out_get("api_key"), "[redacted]");
        mlog_unbind(b);
        mlog_field f[] = {{"passwd", mlog_val(secret)}, {"a.token", mlog_val(number)}};
        mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "m", .fields = f, .nfields = 2});
        out_look();
        SAME(out_get("passwd"), "[redacted]");
        SAME(out_get("a.token"), "[redacted]");
    }
    CHECK(!in_rings(secret));
    CHECK(!in_rings("hunter2"));
    CHECK(!in_rings((const char *)&(uint64_t[]){number, 0}));
    /* another list, while sites are registered: they obey it, too */
    for (int round = 0; round < 2; round++) {
        CHECK(out_begin((mlog_config){.redact = round == 0 ? "pin*, KEY" : "-"}) == 0);
        for (int i = 0; i < 2; i++)
            mlog_info("m", "password", "p", "pin_code", "1234", "key", "k", "the_key", "k", "monkey", "m");
        out_look();
        SAME(out_get("password"), "p");
        SAME(out_get("pin_code"), round == 0 ? "[redacted]" : "1234");
        SAME(out_get("key"), round == 0 ? "[redacted]" : "k");
        SAME(out_get("the_key"), round == 0 ? "[redacted]" : "k");
        SAME(out_get("monkey"), "m");
    }
}

static void test_site_redaction_changes(void) { /* one site, before and after mlog_init with another list */
    for (int round = 0; round < 3; round++) {
        CHECK(out_begin((mlog_config){.redact = round == 1 ? "pin" : "-"}) == 0);
        for (int i = 0; i < 3; i++) {
            mlog_info("m", "pin", 1234);
            out_look();
            SAME(out_get("pin"), round == 1 ? "[redacted]" : "1234");
        }
    }
}

/* -- callbacks -- */

static struct {
    int calls, bad;
    uint64_t id[4096];
    char text[1 << 16], fields[1 << 16];
} seen;

static int on_record(void *user, const mlog_record *r) {
    size_t n = strlen(seen.fields);
    (void)user;
    if (r->msg[r->msg_len] != 0 || r->text[r->text_len] != 0 || strlen(r->source) == 0 || strlen(r->thread) == 0 ||
        r->at.file == NULL || r->at.func == NULL)
        seen.bad++;
    for (size_t i = 0; i < r->nfields; i++) {
        char json[4096];
        size_t need = mlog_value_json(&r->fields[i].value, json, sizeof json);
        if (need > sizeof json) need = 0;
        n += (size_t)snprintf(seen.fields + n, sizeof seen.fields - n, "%s=%.*s;", r->fields[i].key, (int)need, json);
        const mlog_value *v = &r->fields[i].value;
        if ((v->kind == MLOG_K_TEXT || v->kind == MLOG_K_JSON) && ((const char *)v->as.p)[v->size] != 0) seen.bad++;
    }
    (void)snprintf(seen.text, sizeof seen.text, "%s", r->text);
    for (int i = 0; i < seen.calls && i < 4096; i++) seen.bad += seen.id[i] == r->id[1];
    if (seen.calls < 4096) seen.id[seen.calls] = r->id[1];
    seen.calls++;
    return 0;
}

static void test_callback(void) {
    static const int three[] = {1, 2, 3};
    struct point p = {1, 2, "n"};
    mlog_sink *s = mlog_sink_add(&(mlog_sink_config){.name = "cb", .type = MLOG_CALLBACK, .write = on_record});
    if (!CHECK(s != NULL)) return;
    {
        mlog_with("ctx", "c", "k", 1);
        mlog_info("called", "k", 2, "t", "text", "n", (char *)NULL, "a", mlog_array(three, 3), "o", mlog_object(put_point, &p),
                  "j", mlog_json("{ }", 3), "b", mlog_bytes("\x01", 1), "d", 0.5, "e", mlog_errno(2), "s", mlog_secret("xy"), "x",
                  mlog_hex(255), "u", UINT64_MAX, "f", 0.1f, "y", true, "z", mlog_bool(true), "D", mlog_dur(5));
    }
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(seen.bad, 0);
    SAME(seen.fields,
         "ctx=\"c\";k=1;k_2=2;t=\"text\";n=null;a=[1,2,3];o={\"x\":1,\"y\":2,\"name\":\"n\"};j={};b=\"01\";d=0.5;"
         "e=\"No such file or directory (2)\";s=\"[secret, 2 bytes]\";x=\"0xff\";u=18446744073709551615;f=0.1;y=1;z=true;D=5;");
    out_look();
    out_json[strlen(out_json) - 1] = 0;
    SAME(seen.text, out_json);
    for (int i = 0; i < 1000; i++) mlog_infof("%d", i);
    CHECK(mlog_flush(-1) == 0);
    CHECK_EQ(seen.calls, 1001);
    CHECK_EQ(seen.bad, 0);
    mlog_sink_remove(s);
}

static void value_json(mlog_value v, const char *want) {
    char text[512];
    memset(text, '#', sizeof text);
    size_t n = strlen(want), need = mlog_value_json(&v, text, sizeof text);
    out_same(text, need < sizeof text ? need : 0, want, "mlog_value_json", __FILE__, __LINE__);
    CHECK(text[need] == '#');
    CHECK_EQ(mlog_value_json(&v, NULL, 0), n);
    text[0] = '#';
    if (n > 0) CHECK_EQ(mlog_value_json(&v, text, n - 1), n);
    CHECK(text[0] == '#');
    CHECK_EQ(mlog_value_json(&v, text, n), n);
}

static void test_value_json(void) {
    value_json(mlog_val(-5), "-5");
    value_json(mlog_val(UINT64_MAX), "18446744073709551615");
    value_json(mlog_val(0.1), "0.1");
    value_json(mlog_val(0.1f), "0.1");
    value_json(mlog_val((double)NAN), "\"NaN\"");
    value_json(mlog_bool(true), "true");
    value_json(mlog_char('\n'), "\"\\n\"");
    value_json(mlog_val("q\"\n\xff"), "\"q\\\"\\n\xef\xbf\xbd\"");
    value_json(mlog_val((char *)NULL), "null");
    value_json(mlog_val((void *)NULL), "null");
    value_json(mlog_val((void *)(uintptr_t)16), "\"0x10\"");
    value_json(mlog_hex(16), "\"0x10\"");
    value_json(mlog_bytes("\x01\xff", 2), "\"01ff\"");
    value_json(mlog_errno(2), "\"No such file or directory (2)\"");
    value_json(mlog_time(0), "\"1970-01-01T00:00:00.000000000Z\"");
    value_json(mlog_dur(7), "7");
    value_json(mlog_secret("abc"), "\"[secret, 3 bytes]\"");
    value_json(mlog_json(" [1 ,2] ", 8), "[1,2]");
    value_json(mlog_json("[1", 2), "\"[1\"");
    value_json((mlog_value){.kind = MLOG_K_NULL}, "null");
    static const short three[] = {1, -2, 3};
    value_json(mlog_array(three, 3), "[1,-2,3]");
    const char *t[] = {"a", NULL};
    value_json(mlog_array(t, 2), "[\"a\",null]");
    char *big = malloc(100001);
    if (big == NULL) abort();
    memset(big, 1, 100000);
    big[100000] = 0;
    mlog_value v = mlog_val(big);
    CHECK_EQ(mlog_value_json(&v, NULL, 0), 600002);
    free(big);
}

/* -- the straight way and the long way write the same bytes --
 * Four files with the same records: two that take plain records straight, and two whose filter takes everything, which decodes
 * each record first. Sites, values and contexts are random, the seed is fixed. */

#if defined(EMULATED) || defined(MLOG__SANITIZED)
enum { MADE = 200, SAME_CALLS = 3000 };
#else
enum { MADE = 400, SAME_CALLS = 10000 };
#endif
typedef struct {
    mlog__site site;
    uint64_t classes;
    char msg[400], keys[16 * 24];
} made_site;
static made_site made[MADE];

static uint64_t same_seed = 88172645463325252u;
static uint64_t same_random(uint64_t below) {
    same_seed ^= same_seed << 13;
    same_seed ^= same_seed >> 7;
    same_seed ^= same_seed << 17;
    return (same_seed >> 11) % below;
}

/* Mostly forwards; now and then back, so that a record is late, and far back, as when somebody sets the clock. */
static int64_t same_now = INT64_C(1709251198000000000), same_back;
static int64_t same_clock(void) {
    return __atomic_add_fetch(&same_now, 977, __ATOMIC_RELAXED) - __atomic_load_n(&same_back, __ATOMIC_RELAXED);
}

static const char *const same_piece[] = {
    "", "a", "null", " ", "=", "\"", "\\", "'", "word", "\n", "\t", "\x01", "\x7f", "\x1b[0m", "~", "{}[]", "0123456789abcdef",
    "\xc3\xa9", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xae", "\xf0\x9f\x98\x80"};
enum { SAME_PIECES = sizeof same_piece / sizeof *same_piece };

/* A text of pieces, below `most` bytes. */
static char *same_text(char *to, size_t most) {
    size_t n = 0;
    for (uint64_t k = same_random(5) == 0 ? same_random(40) : same_random(4); k > 0; k--) {
        const char *piece = same_piece[same_random(SAME_PIECES)];
        if (n + strlen(piece) >= most) break;
        memcpy(to + n, piece, strlen(piece));
        n += strlen(piece);
    }
    to[n] = 0;
    return to;
}

/* One kind of damage through and through, at lengths around the steps of 16 and 32, and longer than a record may be. */
static char *same_run(char *to, size_t room) {
    static const size_t around[] = {1, 7, 8, 15, 16, 17, 30, 31, 32, 33, 63, 64, 65, 200, 1000, 5000};
    const char *piece = same_piece[1 + same_random(SAME_PIECES - 1)];
    size_t want = around[same_random(sizeof around / sizeof *around)], n = 0;
    for (; n + strlen(piece) <= want && n + strlen(piece) < room; n += strlen(piece)) memcpy(to + n, piece, strlen(piece));
    to[n] = 0;
    return to;
}

static const char *same_key(char *to) {
    static const char *const key[] = {"a",  "b",      "k",  "k_2", "k_3",         "ts",  "level", "msg",
                                      "at", "source", "qty", "a b", "\xc3\xa9", "x=y", "\"",    "\xff"};
    if (same_random(3) != 0) (void)snprintf(to, 24, "key%d", (int)same_random(60));
    else (void)snprintf(to, 24, "%s", key[same_random(sizeof key / sizeof *key)]);
    return to;
}

static void make_site(made_site *m, int i) {
    char *at = m->keys;
    static const char *const file[] = {"made.c", "dir/a \"b\".c", "m\xc3\xa9.c"};
    same_text(m->msg, i % 7 == 0 ? sizeof m->msg : 60);
    m->site = (mlog__site){.word = MLOG__UNSEEN, .msg = m->msg, .keys = m->keys, .file = file[same_random(3)], .func = "made",
                           .source = i % 5 == 0 ? "made.source" : "", .line = i, .style = MLOG__PAIRS};
    m->site.level = (uint8_t)(1 + same_random(24));
    m->site.count = (uint8_t)(same_random(4) == 0 ? same_random(17) : same_random(5));
    for (unsigned k = 0; k < m->site.count; k++) {
        uint64_t class = same_random(12) == 0 ? MLOG__C_VALUE : 1 + same_random(MLOG__C_POINTER);
        m->classes |= class << 4 * k;
        at += strlen(same_key(at)) + 1;
    }
}

static uint64_t same_number(void) {
    uint64_t edge = UINT64_C(1) << same_random(64);
    return same_random(3) == 0 ? same_random(100) : same_random(2) == 0 ? edge - same_random(2) : 0 - edge;
}

static double same_double(void) {
    static const double list[] = {0.0,   -0.0,    1,      -1,                     0.1,           99.25,
                                  1e300, -1e-300, 5e-324, 1.7976931348623157e308, 123456789.123, 1e22};
    uint64_t bits = same_random(UINT64_MAX);
    double any;
    memcpy(&any, &bits, 8);
    switch (same_random(8)) {
    case 0: return (double)NAN;
    case 1: return (double)INFINITY;
    case 2: return -(double)INFINITY;
    case 3: return any;
    default: return list[same_random(sizeof list / sizeof *list)];
    }
}

static mlog_value same_value(void) {
    static const int list[] = {1, -2, 3};
    switch (same_random(9)) {
    case 0: return mlog_errno((int)same_random(140));
    case 1: return mlog_time((int64_t)same_number());
    case 2: return mlog_bytes("\x00\xff\x10", (size_t)same_random(4));
    case 3: return mlog_secret("hunter2");
    case 4: return mlog_bool(same_random(2) == 0);
    case 5: return mlog_array(list, 3);
    case 6: return mlog_json("{\"a\":[1, 2]}", 12);
    case 7: return mlog_char((char)same_random(256));
    default: return mlog_hex(same_number());
    }
}

/* The call that a macro would make. */
static void same_call(made_site *m) {
    static char text[1 << 13];
    uint64_t word = mlog__gate(&m->site);
    if (word == 0) return;
    char *before = NULL;
    uint64_t *p = same_random(10) == 0 ? mlog1_begin_to(&m->site, word, m->classes, NULL, m->site.level)
                                       : mlog1_begin(&m->site, word, m->classes);
    for (unsigned i = 0; i < m->site.count; i++)
        switch (m->classes >> 4 * i & 15) {
        case MLOG__C_BOOL: p = mlog__put_u(p, i, same_random(2)); break;
        case MLOG__C_FLOAT: p = mlog__put_f(p, i, (float)same_double()); break;
        case MLOG__C_DOUBLE: p = mlog__put_d(p, i, same_double()); break;
        case MLOG__C_POINTER: p = mlog__put_u(p, i, same_random(2) == 0 ? 0 : (uintptr_t)same_number()); break;
        case MLOG__C_VALUE: p = mlog1_value(p, i, same_value()); break;
        case MLOG__C_TEXT:
            before = same_random(12) == 0 ? NULL : same_random(8) == 0 ? same_run(text, sizeof text) : same_text(text, 200);
            p = mlog1_text(p, i, before);
            break;
        default: p = mlog__put_u(p, i, same_number());
        }
    mlog1_end();
}

/* A context of 0 to 20 fields, of which some clash with pairs, some name a source, and some are too long for a slot. */
static mlog_context *same_context(void) {
    static char keys[20][24], texts[20][40], big[700];
    mlog_field field[20];
    uint32_t n = (uint32_t)same_random(21);
    memset(big, 'b', sizeof big - 1);
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "c%d", (int)same_random(30));
        field[i].key = same_random(9) == 0 ? same_key(keys[i]) : keys[i];
        switch (same_random(6)) {
        case 0: field[i].value = mlog_val(same_double()); break;
        case 1: field[i].value = mlog_val((const char *)same_text(texts[i], sizeof texts[i])); break;
        case 2: field[i].value = same_value(); break;
        case 3: field[i].value = same_random(20) == 0 ? mlog_val((const char *)big) : mlog_val((const char *)NULL); break;
        default: field[i].value = mlog_val((int64_t)same_number());
        }
    }
    return mlog1_context_new(field, n);
}

static void same_emit(void) {
    char text[100], key[24];
    mlog_field f[] = {{same_key(key), mlog_val(7)}};
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = same_text(text, sizeof text), .fields = f,
                            .nfields = (size_t)same_random(2), .time = same_random(2) == 0 ? 0 : (int64_t)same_random(UINT64_C(3) << 60)});
}

static void *same_thread(void *name) {
    CHECK(mlog_thread(&(mlog_thread_config){.name = name}) == 0);
    mlog_context *old[8];
    int depth = 0;
    for (int i = 0; i < SAME_CALLS; i++) {
        if (depth < 8 && same_random(50) == 0) old[depth++] = mlog_context_swap(same_context());
        if (depth > 0 && same_random(40) == 0) mlog_context_unref(mlog_context_swap(old[--depth]));
        if (same_random(200) == 0) same_emit();
        if (same_random(300) == 0) mlog_infof("printf %d %s", i, "text");
        if (same_random(200) == 0)
            __atomic_store_n(&same_back, same_random(2) == 0 ? 0 : (int64_t)same_random(3000000000), __ATOMIC_RELAXED);
        same_call(&made[same_random(MADE)]);
        if (i % 100 == 0) CHECK(mlog_flush(10000) == 0);
    }
    while (depth > 0) mlog_context_unref(mlog_context_swap(old[--depth]));
    CHECK(mlog_flush(10000) == 0);
    return NULL;
}

static char same_path[4][512];
static int same_begin(int64_t (*clock)(void)) {
    mlog_config c = {.levels = "trace", .env = "-", .now = clock, .full = MLOG_BLOCK, .ring_bytes = 16384, .redact = "-"};
    static const char *const name[4] = {"same_json", "same_json_long", "same_flat", "same_flat_long"};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(same_path[i], sizeof same_path[i], "%s", temp_path(name[i]));
        (void)unlink(same_path[i]);
        c.sinks[i] = (mlog_sink_config){.name = name[i], .type = MLOG_FILE, .path = same_path[i],
                                        .format = i < 2 ? MLOG_JSON : MLOG_LOGFMT, .where = i % 2 == 1 ? "level>=trace" : NULL};
    }
    return mlog_init(&c);
}

/* The first line that is not the same is shown. */
static void same_files(const char *straight, const char *lng) {
    size_t n, m, line = 1, at = 0, start = 0;
    char *a = slurp(straight, &n), *b = slurp(lng, &m);
    while (at < n && at < m && a[at] == b[at])
        if (a[at++] == '\n') line++, start = at;
    if (!CHECK(n == m && at == n))
        printf("    %s: line %zu\n    straight %.*s\n    long     %.*s\n", straight, line, (int)strcspn(a + start, "\n"), a + start,
               (int)strcspn(b + start, "\n"), b + start);
    CHECK(lines(a, NULL) > SAME_CALLS);
    free(a);
    free(b);
}

static void test_same_bytes(void) {
    static char *const name[] = {"plain",
                                 ("\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
                                 "\x1a\x1b\x1c\x1d\x1e\x1f"),
                                 "null", "two words \xff \xe2\x80\xa8 \"q\" =="};
    for (int i = 0; i < MADE; i++) make_site(&made[i], i);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        same_back = 0;
        if (!CHECK(same_begin(i % 2 == 0 ? same_clock : NULL) == 0)) return;
        pthread_t t;
        if (!CHECK(pthread_create(&t, NULL, same_thread, name[i]) == 0)) return;
        (void)pthread_join(t, NULL);
        mlog__platform_lock(&mlog__flush_all.role);
        CHECK_EQ(mlog__flush_all.sink[0].straight, 1); /* or this would compare one way with itself */
        CHECK_EQ(mlog__flush_all.sink[1].straight, 0);
        CHECK_EQ(mlog__flush_all.sink[2].straight, 2);
        CHECK_EQ(mlog__flush_all.sink[3].straight, 0);
        mlog__platform_unlock(&mlog__flush_all.role);
        same_files(same_path[0], same_path[1]);
        same_files(same_path[2], same_path[3]);
    }
}

int main(void) {
    CHECK(out_begin((mlog_config){.levels = "trace", .now = out_clock}) == 0);
    CHECK(mlog_thread(&(mlog_thread_config){.name = "main"}) == 0);
    test_scalars();
    test_makers();
    test_arrays();
    test_objects();
    test_deep_objects();
    test_json();
    test_clashes();
    test_clashes_inline();
    test_levels();
    test_printf();
    test_precision();
    test_byte_pointers();
    test_full_dictionary();
    test_cut();
    test_callback();
    test_value_json();
    STRICT(out_json_path);
    CHECK(out_begin((mlog_config){.now = out_clock}) == 0);
    test_hostile();
    STRICT(out_json_path);
    CHECK(out_begin((mlog_config){.now = out_clock}) == 0);
    test_emit();
    CHECK(out_begin((mlog_config){.now = out_clock}) == 0);
    test_wrong_values();
    test_long_double();
    test_measured();
    test_changing();
    STRICT(out_json_path);
    CHECK(out_begin((mlog_config){.now = out_clock}) == 0);
    test_redaction();
    test_site_redaction_changes();
    STRICT(out_json_path);
    test_same_bytes();
    return done();
}
