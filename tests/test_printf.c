/* Section printf: against glibc's own snprintf on generated formats, and exact tests of the rules glibc does not have.
   usage: test_printf [count [seed]]   or   test_printf --bench */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <wchar.h>

#ifdef MLOG__SANITIZED /* slow */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define ROOM 65536
#define COUNT(a) (sizeof(a) / sizeof *(a))

static unsigned long passed, failed;
static uint64_t rng_state;
static char want_buf[ROOM], got_buf[ROOM + 8];

static uint64_t rnd(void)
{
    uint64_t z = (rng_state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
    return (unsigned)(rnd() % n);
}

static mlog__val v_int(int64_t i)
{
    mlog__val v = { MLOG_K_INT, 0, 0, 0, { .i = i } };
    return v;
}
static mlog__val v_kind(uint8_t kind, uint64_t u)
{
    mlog__val v = { kind, 0, 0, 0, { .u = u } };
    return v;
}
static mlog__val v_dbl(double f)
{
    mlog__val v = { MLOG_K_DOUBLE, 0, 0, 0, { .f = f } };
    return v;
}
static mlog__val v_text(const char *s)
{
    mlog__val v = { MLOG_K_TEXT, 0, 0, UINT32_MAX, { .p = s } };
    if (s)
        v.len = v.full = (uint32_t)strlen(s);
    return v;
}
static mlog__val v_ld(const long double *p)
{
    mlog__val v = { MLOG__K_LDOUBLE, 0, sizeof *p, sizeof *p, { .p = (const char *)p } };
    return v;
}

static void report(const char *fmt, size_t flen, const char *want, size_t wlen, const char *got, size_t glen)
{
    if (failed++ > 20)
        return;
    printf("FAIL format <%.*s>\n  want %zu <%.*s>\n  got  %zu <%.*s>\n", (int)flen, fmt, wlen, (int)wlen, want, glen,
           (int)glen, got);
}

/* Renders with all the room, then with little room and guard bytes; both must agree with want. */
static void compare(const char *fmt, const mlog__val *args, int nargs, const char *want, size_t wlen)
{
    mlog__printf f;
    size_t flen = strlen(fmt), room = below((unsigned)(wlen < 400 ? wlen + 3 : 400)), n;
    char *e, small[400 + 8];

    mlog__printf_scan(fmt, flen, &f);
    e = mlog__printf_render(got_buf, got_buf + ROOM, &f, fmt, args, nargs);
    n = (size_t)(e - got_buf);
    if (f.bad || n != wlen || memcmp(got_buf, want, n)) {
        report(fmt, flen, want, wlen, got_buf, n);
        return;
    }
    if (room > 400)
        room = 400;
    memset(small, 0x5A, sizeof small);
    e = mlog__printf_render(small, small + room, &f, fmt, args, nargs);
    n = wlen < room ? wlen : room;
    if (e != small + n || memcmp(small, want, n) || small[room] != 0x5A || small[room + 1] != 0x5A)
        report(fmt, flen, want, n, small, (size_t)(e - small));
    else
        passed++;
}

/* GENERATOR: one conversion, its arguments, and what glibc prints for them */

typedef struct {
    char fmt[64];
    int nstars, star[2], nargs;
    mlog__val args[3];
    long double ld;
    char text[600];
} piece;

static const int64_t edge_ints[] = { 0, 1, -1, 7, -8, 9, 10, 99, 100, -100, 127, 128, -128, 255, 256, 32767, -32768, 65535,
                                     INT_MAX, INT_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, 999999999, 1000000000, 100000000 };
static const double edge_dbls[] = { 0.0, -0.0, 0.5, 1.5, 2.5, 3.5, 0.125, 0.375, 0.0625, 1e22, 1e23, 1e308, 5e-324, 1.0 / 3,
                                    2.2250738585072014e-308, 0.1, 0.3, 9.5, 99.5, 0.9999995, 0.99999949999, 999999.5, 1e15, 1e16,
                                    9999995.0, 123456789.125, 9007199254740991.0, 9007199254740992.0, 9223372036854775808.0,
                                    18446744073709551616.0, 1e-5, 1e-4, 0.00390625, 1e-9, 5e-10, 4.99999e-10, 5.000001e-10,
                                    4.656612873077393e-10, 1.7976931348623157e308 };

static int64_t gen_int(void)
{
    switch (below(4)) {
    case 0: return edge_ints[below(COUNT(edge_ints))];
    case 1: return (int64_t)rnd();
    case 2: return (int64_t)rnd() >> below(64);
    default: return (int64_t)below(2000) - 1000;
    }
}

static double gen_dbl(void)
{
    double d;
    uint64_t bits = rnd();

    switch (below(7)) {
    case 0: d = edge_dbls[below(COUNT(edge_dbls))]; break;
    case 1: memcpy(&d, &bits, sizeof d); break;
    case 2: d = (double)(int64_t)(bits % 2000001 - 1000000) / (double)(1u << below(12)); break; /* many ties */
    case 3: d = (double)(int64_t)bits / 1e6; break;
    case 4: d = (double)(bits % 100000000) / 1e4; break;
    case 5: d = ldexp((double)(bits >> 11), -(int)below(130)); break;
    default: d = below(3) ? (double)below(100000) / 100 : below(2) ? INFINITY : NAN;
    }
    return below(4) ? d : -d;
}

static long double gen_ld(void)
{
    /* the extremes are few: thousands of digits each, they would take nearly all the time */
    switch (below(90)) {
    case 0: return LDBL_MAX / (long double)(1 + below(3));
    case 1: return LDBL_MIN * (long double)below(5);
    default: return below(3) ? (long double)gen_dbl() : (long double)(int64_t)rnd() / 3.0L;
    }
}

/* Appends random flags, width and precision; `star` values go to the piece. */
static void gen_spec(piece *s, char *p)
{
    static const char flags[] = "-+ #0'";
    unsigned i, w = below(10), r = below(10);

    *p++ = '%';
    for (i = below(2) ? below(4) : 0; i; i--)
        *p++ = flags[below(6)];
    if (w < 4)
        p += sprintf(p, "%u", w == 0 ? 1 + below(400) : 1 + below(24));
    else if (w == 4) {
        *p++ = '*';
        s->star[s->nstars++] = (int)below(80) - 40;
    }
    if (r < 4)
        p += sprintf(p, below(8) ? ".%u" : ".", r == 0 ? below(below(40) ? 200 : 3000) : below(20));
    else if (r == 4) {
        p += sprintf(p, ".*");
        s->star[s->nstars++] = (int)below(40) - 10;
    }
    *p = '\0';
}

#define CALL(v) (s->nstars == 0 ? snprintf(buf, size, s->fmt, v) : s->nstars == 1 ? snprintf(buf, size, s->fmt, s->star[0], v) \
                                : snprintf(buf, size, s->fmt, s->star[0], s->star[1], v))

static int call_int(const piece *s, const char *mod, int64_t v, char *buf, size_t size)
{
    if (mod[0] == 'h')
        return mod[1] ? CALL((signed char)v) : CALL((short)v);
    if (mod[0] == 'l')
        return mod[1] ? CALL((long long)v) : CALL((long)v);
    switch (mod[0]) {
    case 'j': return CALL((intmax_t)v);
    case 'z': return CALL((size_t)v);
    case 't': return CALL((ptrdiff_t)v);
    case 'q': case 'L': return CALL((long long)v);
    default: return CALL((int)v);
    }
}

static int gen_integer(piece *s, char *p, mlog__val *a, char *buf, size_t size)
{
    static const char *const mods[] = { "", "", "", "hh", "h", "l", "ll", "q", "L", "j", "z", "t" };
    const char *mod = mods[below(COUNT(mods))];
    int64_t v = gen_int();

    sprintf(p, "%s%c", mod, "diuoxX"[below(6)]);
    *a = below(2) ? v_int(v) : v_kind(MLOG_K_UINT, (uint64_t)v);
    return call_int(s, mod, v, buf, size);
}

static int gen_float(piece *s, char *p, mlog__val *a, char *buf, size_t size)
{
    char conv = "fFeEgGaAffff"[below(12)];

    if (below(5) == 0) {
        s->ld = gen_ld();
        sprintf(p, "L%c", conv);
        *a = v_ld(&s->ld);
        return CALL(s->ld);
    }
    *a = v_dbl(gen_dbl());
    if (below(8) == 0) {
        a->kind = MLOG_K_FLOAT;
        a->as.f = (double)(float)a->as.f;
    }
    sprintf(p, "%s%c", below(4) ? "" : "l", conv);
    return CALL(a->as.f);
}

static int gen_string(piece *s, char *p, mlog__val *a, char *buf, size_t size)
{
    unsigned i, n = below(4) ? below(12) : below(590);
    wchar_t wide[600];
    int ls = below(4) == 0;

    for (i = 0; i < n; i++)
        s->text[i] = (char)(ls ? 1 + below(127) : 1 + below(255));
    s->text[n] = '\0';
    for (i = 0; ls && i <= n; i++)
        wide[i] = (wchar_t)s->text[i];
    strcpy(p, ls ? (below(2) ? "ls" : "S") : "s");
    *a = v_text(below(10) ? s->text : NULL);
    if (ls)
        return CALL(a->as.p ? wide : NULL);
    return CALL(a->as.p);
}

static int gen_other(piece *s, char *p, mlog__val *a, char *buf, size_t size)
{
    void *ptr = (void *)(uintptr_t)(below(4) ? rnd() >> below(64) : 0);
    int c = (int)below(256);

    switch (below(3)) {
    case 0:
        strcpy(p, "c");
        *a = below(2) ? v_int(c) : v_kind(MLOG_K_CHAR, (uint64_t)c);
        return CALL(c);
    case 1:
        c &= 127;
        strcpy(p, below(2) ? "lc" : "C");
        s->text[0] = (char)c;
        *a = v_text(s->text);
        a->len = a->full = 1;
        return CALL((wint_t)c);
    default:
        strcpy(p, "p");
        *a = v_kind(MLOG_K_POINTER, (uintptr_t)ptr);
        return CALL(ptr);
    }
}

/* Makes a conversion with its arguments; glibc's output goes to buf. Returns its length, -1 where glibc itself refuses. */
static int gen_piece(piece *s, char *buf, size_t size)
{
    mlog__val a;
    unsigned k = below(10);
    char *p;
    int n, i;

    s->nstars = 0;
    gen_spec(s, s->fmt);
    p = s->fmt + strlen(s->fmt);
    n = k < 4 ? gen_integer(s, p, &a, buf, size) : k < 7 ? gen_float(s, p, &a, buf, size)
        : k < 9 ? gen_string(s, p, &a, buf, size) : gen_other(s, p, &a, buf, size);
    for (i = 0; i < s->nstars; i++)
        s->args[i] = v_int(s->star[i]);
    s->args[s->nstars] = a;
    s->nargs = s->nstars + 1;
    return n;
}

/* One format of several conversions and literals; what is wanted is glibc's output of each, joined. */
static void test_generated(void)
{
    static piece s[5];
    char fmt[600] = "";
    mlog__val args[15];
    int i, n = 1 + (int)below(5), nargs = 0, r;
    size_t len = 0;

    for (i = 0; i < n; i++) {
        static const char *const lits[] = { "", " ", "%%", "key=", ", ", "%5%", "\xC3\xA9" };
        const char *lit = lits[below(COUNT(lits))];

        strcat(fmt, lit);
        len += (size_t)sprintf(want_buf + len, "%s", lit[0] == '%' ? "%" : lit);
        r = gen_piece(&s[i], want_buf + len, 12000);
        if (r < 0 || r >= 12000) {
            printf("generator: %s gives %d\n", s[i].fmt, r);
            failed++;
            return;
        }
        len += (size_t)r;
        strcat(fmt, s[i].fmt);
        memcpy(args + nargs, s[i].args, sizeof *args * (size_t)s[i].nargs);
        nargs += s[i].nargs;
    }
    compare(fmt, args, nargs, want_buf, len);
}

/* Positional formats over a fixed set of arguments, which one real call gets: all five are always used, so no gaps. */
static void test_positional(void)
{
    static const char *const convs[5][5] = { { "d", "+d", "05d", "-4d", ".3d" }, { "s", "20s", "-9s", ".2s", ".*1$s" },
                                             { "f", ".3f", "e", "*1$g", "-*1$.1f" }, { "lld", "20lld", "+lld", ".*1$lld", "lld" },
                                             { "p", "20p", "-20p", "p", "*1$p" } };
    char fmt[300] = "", text[40];
    int i, a = (int)below(60) - 20;
    double d = gen_dbl();
    long long ll = gen_int();
    void *p = (void *)(uintptr_t)(rnd() >> 20);
    mlog__val args[5];
    size_t at = 0;
    unsigned turn = below(5);

    sprintf(text, "t%u\xC3\xA9", below(100000));
    args[0] = v_int(a);
    args[1] = v_text(text);
    args[2] = v_dbl(d);
    args[3] = v_int(ll);
    args[4] = v_kind(MLOG_K_POINTER, (uintptr_t)p);
    for (i = 0; i < 5; i++) {
        unsigned k = (turn + (unsigned)i * 2) % 5;
        const char *c = convs[k][below(5)];

        /* one string with a literal and a run-time bound is refused by the scan, hence one use each */
        at += (size_t)sprintf(fmt + at, "%s%%%u$%s", below(2) ? "|" : "%%", k + 1, c);
    }
    compare(fmt, args, 5, want_buf, (size_t)snprintf(want_buf, ROOM, fmt, a, text, d, ll, p));
}

/* %ls and %lc of many-byte characters, against a UTF-8 locale; the precision must not split one. */
static void test_wide(locale_t utf8, locale_t c)
{
    static const wchar_t pool[] = { L'a', 0xE9, 0x20AC, 0x1F600, L' ', 0x7FF, 0x800, 0xFFFD };
    wchar_t w[20];
    char text[600], fmt[40];
    unsigned i, n = below(19);
    int len;
    mlog__val a;

    for (i = 0; i < n; i++)
        w[i] = pool[below(COUNT(pool))];
    w[n] = 0;
    uselocale(utf8);
    snprintf(text, sizeof text, "%ls", w);
    if (n && below(3) == 0) {
        snprintf(text, sizeof text, "%lc", (wint_t)w[0]);
        sprintf(fmt, below(2) ? "<%%%s%ulc>" : "<%%%s%uC>", below(2) ? "-" : "", 1 + below(12));
        len = snprintf(want_buf, ROOM, fmt, (wint_t)w[0]);
    } else {
        sprintf(fmt, below(2) ? "<%%%s%u.%uls>" : "<%%%s%u.%uS>", below(2) ? "-" : "", 1 + below(30), below(40));
        len = snprintf(want_buf, ROOM, fmt, w);
    }
    uselocale(c);
    a = v_text(text);
    compare(fmt, &a, 1, want_buf, (size_t)len);
}

/* EXACT RULES */

static void expect(const char *want, const char *fmt, const char *bad, const mlog__val *args, int nargs)
{
    mlog__printf f;
    size_t flen = strlen(fmt);
    char *e;

    mlog__printf_scan(fmt, flen, &f);
    e = mlog__printf_render(got_buf, got_buf + ROOM, &f, fmt, args, nargs);
    if (strlen(want) != (size_t)(e - got_buf) || memcmp(want, got_buf, strlen(want)) || !bad != !f.bad ||
        (bad && !strstr(f.bad, bad))) {
        printf("reason <%s>, wanted <%s>\n", f.bad ? f.bad : "none", bad ? bad : "none");
        report(fmt, flen, want, strlen(want), got_buf, (size_t)(e - got_buf));
    } else
        passed++;
}

static void check(int ok, const char *what)
{
    if (ok) {
        passed++;
    } else {
        failed++;
        printf("FAIL %s\n", what);
    }
}

#define E1(want, fmt, a) do { mlog__val a_ = (a); expect(want, fmt, NULL, &a_, 1); } while (0)
#define CHECK(x) check((x), #x)

static void test_mismatches(void)
{
    long double ld = 2.5L;
    mlog__val odd = v_kind(MLOG_K_BYTES, 0);

    E1("42", "%s", v_int(42));
    E1("-42", "%s", v_int(-42));
    E1("   42", "%5s", v_int(42));
    E1("42", "%.1s", v_int(42));
    E1("18446744073709551615", "%s", v_kind(MLOG_K_UINT, UINT64_MAX));
    E1("-9223372036854775808", "%f", v_int(INT64_MIN));
    E1("1", "%s", v_kind(MLOG_K_BOOL, 1));
    E1("x", "%s", v_kind(MLOG_K_CHAR, 'x'));
    E1("hello", "%d", v_text("hello"));
    E1("   hi", "%05d", v_text("hi"));
    E1("hello", "%p", v_text("hello"));
    E1("hello", "%c", v_text("hello"));
    E1("hello", "%.2f", v_text("hello"));
    E1("2.5", "%d", v_dbl(2.5));
    E1("1e+22", "%d", v_dbl(1e22));
    E1("0.333333", "%s", v_dbl(1.0 / 3));
    E1("2.5", "%x", v_ld(&ld));
    E1("2.50", "%.2f", v_ld(&ld));
    E1("2.50", "%.2Lf", v_dbl(2.5));
    E1("0x10", "%s", v_kind(MLOG_K_POINTER, 16));
    E1("(nil)", "%s", v_kind(MLOG_K_POINTER, 0));
    E1("16", "%d", v_kind(MLOG_K_POINTER, 16));
    E1("0x10", "%p", v_int(16));
    E1("233", "%lc", v_int(233));
    E1("A", "%lc", v_int('A'));
    E1("(?)", "%d", odd);
    E1("(null)", "%d", v_text(NULL));
    E1("(nil)", "%p", v_text(NULL));
    E1("(null)", "%s", v_kind(MLOG_K_NULL, 0));
    E1("(nil)", "%p", v_kind(MLOG_K_NULL, 0));
    E1(CHAR_MIN ? "-1" : "255", "%d", v_kind(MLOG_K_CHAR, 255));
}

static void test_null_missing(void)
{
    mlog__val two[] = { v_int(7), v_text(NULL) };

    E1("(null)", "%s", v_text(NULL));
    E1("(null)", "%.6s", v_text(NULL));
    E1("", "%.5s", v_text(NULL));
    E1("   ", "%3.0s", v_text(NULL));
    E1("(null)  |", "%-8s|", v_text(NULL));
    E1("(null)", "%ls", v_text(NULL));
    E1("-1", "%d", v_int(UINT32_MAX));
    E1("-1", "%hhd", v_int(255));
    E1("255", "%hhu", v_int(-1));
    expect("a (missing) b", "a %d b", NULL, NULL, 0);
    expect("(missing)", "%*.*f", NULL, two, 1);
    expect("7 (missing)", "%d %5s", NULL, two, 1);
    expect("(null)", "%*s", NULL, (mlog__val[]){ v_text("x"), v_text(NULL) }, 2);
    expect("(missing)", "%m", NULL, NULL, 0);
    expect("x: No such file or directory", "%s: %m", NULL, (mlog__val[]){ v_text("x"), v_int(ENOENT) }, 2);
    expect("    No such|", "%11.7m|", NULL, (mlog__val[]){ v_int(ENOENT) }, 1);
    expect("Unknown error 99999", "%m", NULL, (mlog__val[]){ v_int(99999) }, 1);
}

static void test_bad(void)
{
    mlog__val a[34];
    int i;

    for (i = 0; i < 34; i++)
        a[i] = v_int(i + 1);
    expect("1 %n 3", "%d %n %d", "%n", a, 3);
    expect("%5hhn 2", "%5hhn %d", "%n", a, 3);
    expect("1 %y 2", "%d %y %d", "unknown", a, 2);
    expect("100%", "100%", "ends", a, 1);
    expect("1%-5", "%d%-5", "ends", a, 1);
    expect("1 %2$d 2", "%d %2$d %d", "mixed", a, 3);
    expect("1 %d 2", "%1$d %d %2$d", "mixed", a, 3);
    expect("%1$*d", "%1$*d", "mixed", a, 3);
    expect("%99999999999d 2", "%99999999999d %d", "INT_MAX", a, 2);
    expect("%.2147483648d", "%.2147483648d", "INT_MAX", a, 2);
    expect("3 1", "%3$d %1$d", "gap", a, 3);
    expect("1 %1$s", "%1$d %1$s", "two types", a, 1);
    expect("1 %1$ld 1", "%1$d %1$ld %1$d", "two types", a, 1);
    expect("%0$d", "%0$d", "number 0", a, 1);
    expect("%33$d", "%33$d", "more than 32", a, 34);
    expect("%hs 2", "%hs %d", "length", a, 2);
    expect("%b", "%b", "unknown", a, 2);
    expect("%.-5d", "%.-5d", "unknown", a, 2);
    expect("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 %d %s",
           "%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d "
           "%d %d %d %d %d %d %d %d %d %d %d %s", "more than 32", a, 34);
    expect("%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
           "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
           "more than 48", a, 1);
    expect("% %", "%% %%", NULL, a, 0);
}

static void test_scan(void)
{
    mlog__printf f;
    static const char fmt[] = "%d%hhu%ls%s%.5s%.*s%lf%Lg%p%c%lc%*ld";
    static const uint8_t cls[] = { MLOG__WANT_INT, MLOG__WANT_INT, MLOG__WANT_WTEXT, MLOG__WANT_TEXT, MLOG__WANT_TEXT,
                                   MLOG__WANT_INT, MLOG__WANT_TEXT, MLOG__WANT_DOUBLE, MLOG__WANT_LDOUBLE, MLOG__WANT_POINTER,
                                   MLOG__WANT_CHAR, MLOG__WANT_WCHAR, MLOG__WANT_INT, MLOG__WANT_INT };
    unsigned i;

    CHECK(mlog__printf_scan(fmt, strlen(fmt), &f) == 0);
    CHECK(f.nargs == COUNT(cls));
    for (i = 0; i < COUNT(cls); i++)
        CHECK(f.want[i].cls == cls[i]);
    CHECK(f.want[1].mod == MLOG__MOD_HH && f.want[13].mod == MLOG__MOD_L && f.want[0].mod == MLOG__MOD_NONE);
    CHECK(f.want[2].prec == -1 && f.want[3].prec == -1 && f.want[4].prec == 5 && f.want[6].prec == MLOG__PREC_ARG(5));
    CHECK(!f.uses_errno && !f.positional);
    CHECK(mlog__printf_scan("%2$.*1$s %3$m", 13, &f) == -1 && f.bad_off == 9 && f.positional);
    CHECK(f.nargs == 2 && f.want[1].prec == MLOG__PREC_ARG(0) && !f.uses_errno);
    CHECK(mlog__printf_scan("%d %m", 5, &f) == 0 && f.uses_errno && f.nargs == 1);
    CHECK(mlog__printf_scan("%1$.3s %1$.7s", 13, &f) == 0 && f.want[0].prec == 7);
    CHECK(mlog__printf_scan("%1$.3s %1$s", 11, &f) == 0 && f.want[0].prec == -1);
    CHECK(mlog__printf_scan("%n", 2, &f) == -1 && f.nargs == 1 && f.want[0].cls == MLOG__WANT_POINTER && f.nconv == 0);
    CHECK(mlog__printf_scan("%hs", 3, &f) == -1 && f.nargs == 1 && f.want[0].cls == MLOG__WANT_NONE);
    CHECK(mlog__printf_scan("%\0d", 3, &f) == -1 && f.nconv == 0);
    CHECK(mlog__printf_scan("", 0, &f) == 0 && f.nargs == 0);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Huge widths and precisions: exact where it can be said, quick, and never beyond the room. */
static void test_huge(void)
{
    static const char *const convs[] = { "d", "o", "X", "#x", "f", "e", "g", "#g", "a", "Lf", "La", "#Le", "s", "p", "c" };
    long double ld = LDBL_MAX;
    double t = seconds();
    unsigned i, k;
    char fmt[40], *e, buf[5000];
    mlog__printf f;
    mlog__val a[3];

    for (i = 0; i < COUNT(convs) * 6; i++) {
        const char *c = convs[i % COUNT(convs)];

        k = i / (unsigned)COUNT(convs);
        a[0] = v_int(k % 3 == 0 ? 1 << 30 : k % 3 == 1 ? INT_MIN : 3);
        a[1] = v_int(k % 3 == 0 ? INT_MAX : 1 << 30);
        a[2] = *c == 's' ? v_text("x") : strpbrk(c, "L") ? v_ld(&ld) : strpbrk(c, "fega") ? v_dbl(-1e300) : v_int(77);
        sprintf(fmt, k < 3 ? "%%%s*.*%s" : "%%0%s*.*%s", *c == '#' ? "#" : "", c + (*c == '#'));
        mlog__printf_scan(fmt, strlen(fmt), &f);
        memset(buf, 0x5A, sizeof buf);
        e = mlog__printf_render(buf, buf + 4000, &f, fmt, a, 3);
        check((e == buf + 4000 || (k % 3 == 2 && strpbrk(c, "sgcp"))) && buf[4000] == 0x5A, fmt);
    }
    a[0] = v_dbl(0.1);
    for (i = 0; i < 4; i++) {
        sprintf(fmt, "%%.20000%c|", "feag"[i]);
        compare(fmt, a, 1, want_buf, (size_t)snprintf(want_buf, ROOM, fmt, 0.1));
        sprintf(fmt, "%%#025000.20000%c|", "feag"[i]);
        compare(fmt, a, 1, want_buf, (size_t)snprintf(want_buf, ROOM, fmt, 0.1));
        sprintf(fmt, "%%25000.20000L%c|", "feag"[i]);
        ld = i & 1 ? LDBL_MAX : LDBL_MIN;
        a[1] = v_ld(&ld);
        compare(fmt, a + 1, 1, want_buf, (size_t)snprintf(want_buf, ROOM, fmt, ld));
    }
    check(seconds() - t < 1.0, "huge widths are quick");
}

/* Random bytes as a format: nothing may be read or written out of bounds, and the table stays in order. */
static void test_hostile(void)
{
    static const char alphabet[] = "%%%%%**$$..0123456789-+ #'hlqLjztdiuoxXcspfFeEgGaAmnCSbZ";
    unsigned n = below(60), i;
    char *fmt = malloc(n + 1), *out = malloc(64), *e;
    long double ld = 1;
    mlog__val a[6] = { v_int(gen_int()), v_text("text"), v_dbl(gen_dbl()), v_text(NULL), v_ld(&ld), v_int(below(100)) };
    mlog__printf f;
    size_t at = 0;
    int ok = 1;

    if (!fmt || !out)
        abort();
    for (i = 0; i < n; i++)
        fmt[i] = below(20) ? alphabet[below(sizeof alphabet - 1)] : (char)below(256);
    mlog__printf_scan(fmt, n, &f);
    for (i = 0; i < f.nconv; i++) {
        ok &= f.conv[i].off >= at && f.conv[i].arg < (int)f.nargs;
        at = f.conv[i].off + f.conv[i].len;
    }
    e = mlog__printf_render(out, out + 64, &f, fmt, a, (int)below(7));
    check(ok && at <= n && e >= out && e <= out + 64, "hostile format");
    free(fmt);
    free(out);
}

static double bench_one(const char *fmt, const mlog__val *a, int n, bool real)
{
    char buf[200];
    mlog__printf f;
    double t = seconds();
    unsigned i, sum = 0, loops = 3000000;

    mlog__printf_scan(fmt, strlen(fmt), &f);
    for (i = 0; i < loops; i++) {
        if (real)
            sum += (unsigned)snprintf(buf, sizeof buf, "user=%s id=%d took %.2f ms", a[0].as.p, (int)a[1].as.i, a[2].as.f);
        else
            sum += (unsigned)(mlog__printf_render(buf, buf + sizeof buf, &f, fmt, a, n) - buf);
        __asm__ volatile("" : : "r"(buf), "r"(sum) : "memory");
    }
    return (seconds() - t) / loops * 1e9;
}

static int bench(void)
{
    static const char fmt[] = "user=%s id=%d took %.2f ms";
    mlog__val a[3] = { v_text("alice.smith"), v_int(184467), v_dbl(12.3456) };
    mlog__printf f;
    double t = seconds();
    unsigned i;

    printf("render %-28s %6.1f ns\n", fmt, bench_one(fmt, a, 3, false));
    printf("snprintf of the same              %6.1f ns\n", bench_one(fmt, a, 3, true));
    printf("render %-28s %6.1f ns\n", "%d", bench_one("%d", a + 1, 1, false));
    printf("render %-28s %6.1f ns\n", "%08x (stb)", bench_one("%08x", a + 1, 1, false));
    printf("render %-28s %6.1f ns\n", "%5d (stb)", bench_one("%5d", a + 1, 1, false));
    printf("render %-28s %6.1f ns\n", "%-8o (own)", bench_one("%-8o", a + 1, 1, false));
    printf("render %-28s %6.1f ns\n", "%.2f (own)", bench_one("%.2f", a + 2, 1, false));
    printf("render %-28s %6.1f ns\n", "%8.3f (own)", bench_one("%8.3f", a + 2, 1, false));
    printf("render %-28s %6.1f ns\n", "%g (libc)", bench_one("%g", a + 2, 1, false));
    t = seconds();
    for (i = 0; i < 1000000; i++) {
        mlog__printf_scan(fmt, sizeof fmt - 1, &f);
        __asm__ volatile("" : : "r"(&f) : "memory");
    }
    printf("scan                                %6.1f ns\n", (seconds() - t) * 1e3);
    return 0;
}

int main(int argc, char **argv)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), utf8 = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    unsigned long i, count = argc > 1 ? strtoul(argv[1], NULL, 0) : SANITIZED ? 100000 : 300000;

    rng_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 20240607;
    uselocale(c);
    if (argc > 1 && !strcmp(argv[1], "--bench"))
        return bench();
    test_scan();
    test_mismatches();
    test_null_missing();
    test_bad();
    test_huge();
    for (i = 0; i < count; i++)
        test_generated();
    for (i = 0; i < count / 6; i++) {
        test_positional();
        test_hostile();
        if (utf8)
            test_wide(utf8, c);
    }
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(c);
    if (utf8)
        freelocale(utf8);
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed != 0;
}
