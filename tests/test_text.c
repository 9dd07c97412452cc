/* Section text. Usage: test_text [scale] (default 1; 10 runs ten times the random cases) or --bench. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long passed, failed;
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void) { /* splitmix64 */
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void note(bool ok, const char *what, const char *got, size_t n) {
    if (ok) {
        passed++;
    } else if (failed++ < 30) {
        printf("FAIL %s: got \"%.*s\"\n", what, (int)n, got);
    }
}

static void expect(const char *what, const char *got, const char *end, const char *want) {
    size_t n = (size_t)(end - got);
    note(n == strlen(want) && memcmp(got, want, n) == 0, what, got, n);
    if (failed && failed < 30 && (n != strlen(want) || memcmp(got, want, n) != 0)) {
        printf("     wanted \"%s\"\n", want);
    }
}

static void expect_bool(const char *what, bool got, bool want) {
    note(got == want, what, got ? "true" : "false", got ? 4 : 5);
}

/* ---- integers ---- */

static void check_u64(uint64_t v) {
    char got[24], want[32];
    snprintf(want, sizeof want, "%llu", (unsigned long long)v);
    expect("u64", got, mlog__text_u64(got, v), want);
    snprintf(want, sizeof want, "%lld", (long long)v);
    expect("i64", got, mlog__text_i64(got, (int64_t)v), want);
    snprintf(want, sizeof want, "%llx", (unsigned long long)v);
    expect("hex", got, mlog__text_hex(got, v), want);
}

static void test_integers(unsigned long scale) {
    for (uint64_t v = 0; v < 20000; v++) {
        check_u64(v);
        check_u64(0 - v);
    }
    uint64_t power = 1;
    for (int i = 0; i < 20; i++, power *= 10) {
        for (uint64_t d = 0; d < 5; d++) {
            check_u64(power + d - 2);
            check_u64(power * 5 + d - 2);
        }
    }
    for (int i = 0; i < 64; i++) {
        check_u64((uint64_t)1 << i);
        check_u64(((uint64_t)1 << i) - 1);
    }
    check_u64((uint64_t)INT64_MAX);
    check_u64((uint64_t)INT64_MIN);
    for (unsigned long i = 0; i < 100000 * scale; i++) {
        check_u64(next_random() >> (next_random() & 63));
    }
}

/* ---- the table of powers, against schoolbook arithmetic on 32-bit limbs ---- */

enum { LIMBS = 80 };
static uint32_t big[LIMBS]; /* little end first */

static uint32_t big_bit(int i) {
    return i < 0 ? 0 : big[i / 32] >> (i % 32) & 1;
}

/* The top 128 bits of big, one added if anything else is set or if forced. */
static mlog__text_wide big_top(bool sticky) {
    int top = LIMBS * 32 - 1;
    while (!big_bit(top)) {
        top--;
    }
    mlog__text_wide w = {0, 0};
    for (int i = 0; i < 128; i++) {
        w.high = w.high << 1 | w.low >> 63;
        w.low = w.low << 1 | big_bit(top - i);
    }
    for (int i = top - 128; i >= 0 && !sticky; i--) {
        sticky = big_bit(i);
    }
    w.low += sticky;
    w.high += sticky && w.low == 0;
    return w;
}

static void check_power(int e, mlog__text_wide want) {
    mlog__text_wide got = mlog__text_power(e);
    note(got.high == want.high && got.low == want.low, "power of ten", "?", 1);
}

static void test_powers(void) {
    memset(big, 0, sizeof big);
    big[0] = 1;
    for (int e = 0; e <= 324; e++) {
        check_power(e, big_top(false));
        uint64_t carry = 0;
        for (int i = 0; i < LIMBS; i++) {
            carry += (uint64_t)big[i] * 10;
            big[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    memset(big, 0, sizeof big);
    big[LIMBS - 1] = 0x80000000u;
    for (int e = -1; e >= -292; e--) {
        uint64_t rest = 0;
        for (int i = LIMBS; i-- > 0;) {
            rest = rest << 32 | big[i];
            big[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        check_power(e, big_top(true)); /* floor of floor is floor, and never exact */
    }
}

/* ---- floating point ---- */

/* Digits without leading and trailing zeros, and the power of ten of the first digit. */
typedef struct {
    char digits[40];
    int n, exponent;
} parsed;

static parsed parse(const char *text) {
    parsed r = {{0}, 0, 0};
    int point = 0, seen = 0, dot = 0;
    const char *s = text + (*text == '-');
    for (; *s && *s != 'e'; s++) {
        if (*s == '.') {
            dot = 1;
            continue;
        }
        if (*s != '0' || seen) {
            seen = 1;
            if (r.n < 39) {
                r.digits[r.n++] = *s;
            }
            point += !dot;
        } else {
            point -= dot;
        }
    }
    while (r.n && r.digits[r.n - 1] == '0') {
        r.digits[--r.n] = 0;
    }
    r.exponent = point - 1 + (*s == 'e' ? atoi(s + 1) : 0);
    return r;
}

static bool same_number(const parsed *a, const parsed *b) {
    return a->n == b->n && a->exponent == b->exponent && memcmp(a->digits, b->digits, (size_t)a->n) == 0;
}

static bool reads_as(const char *text, double v, bool single) {
    if (single) {
        float f = strtof(text, NULL), g = (float)v;
        return memcmp(&f, &g, sizeof f) == 0;
    }
    double d = strtod(text, NULL);
    return memcmp(&d, &v, sizeof d) == 0;
}

/* Whether v with n significant digits lies exactly between two decimals. */
static bool is_tie(double v, int n) {
    static char exact[1200];
    snprintf(exact, sizeof exact, "%.1100e", fabs(v)); /* d.ddd: digit i >= 1 is at i + 1 */
    const char *rest = exact + n + 1;
    return *rest == '5' && strspn(rest + 1, "0") == strcspn(rest + 1, "e");
}

/* No decimal of n digits near v may read back, and the neighbour matters where the interval is lopsided. */
static bool shorter_exists(double v, int n, bool single) {
    char text[64];
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    if (reads_as(text, v, single)) {
        return true;
    }
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1);
    uint64_t digits = 0;
    for (const char *s = text; s < e; s++) {
        digits = *s >= '0' && *s <= '9' ? digits * 10 + (uint64_t)(*s - '0') : digits;
    }
    for (int d = -1; d <= 1; d += 2) {
        char near[64];
        snprintf(near, sizeof near, "%s%llue%d", v < 0 ? "-" : "", (unsigned long long)digits + (unsigned long long)d,
                 exponent - n + 1);
        if (reads_as(near, v, single)) {
            return true;
        }
    }
    return false;
}

/* Shortest, and the closest among the shortest. */
static bool is_best(const char *text, double v, bool single) {
    parsed got = parse(text);
    if (v == 0) {
        return got.n == 0;
    }
    if (got.n > 1 && shorter_exists(v, got.n - 1, single)) {
        return false;
    }
    char closest[64];
    snprintf(closest, sizeof closest, "%.*e", got.n - 1, v);
    parsed best = parse(closest);
    return same_number(&got, &best) || !reads_as(closest, v, single) || is_tie(v, got.n);
}

/* The layout rules, restated: plain from 1e-5 up to 1e16, valid JSON, nothing superfluous. */
static bool is_laid_out(const char *text, double v, bool single) {
    static const float low = 1e-5F, high = 1e16F; /* without the excess precision of x87 */
    double a = fabs(v);
    const char *e = strchr(text, 'e'), *dot = strchr(text, '.');
    bool plain = a == 0 || (a >= (single ? (double)low : 1e-5) && a < (single ? (double)high : 1e16));
    if (!mlog__text_json_valid(text, strlen(text)) || strlen(text) > 25 || plain == (e != NULL)) {
        return false;
    }
    size_t last = (e ? (size_t)(e - text) : strlen(text)) - 1;
    bool point_zero = dot && dot[1] == '0' && text + last == dot + 1;
    bool trailing = dot && text[last] == '0' && !point_zero;
    return !trailing && (plain ? dot != NULL : !point_zero && e[1] != '+' && e[1] != '0');
}

static void check_number(double v, bool single, bool thorough) {
    char text[33];
    memset(text, '#', sizeof text);
    char *end = single ? mlog__text_float(text, (float)v) : mlog__text_double(text, v);
    bool fits = text[32] == '#' && end <= text + 32;
    *end = 0;
    bool ok =
        fits && reads_as(text, v, single) && (!thorough || (is_best(text, v, single) && is_laid_out(text, v, single)));
    note(ok, single ? "float" : "double", text, (size_t)(end - text));
    if (!ok && failed < 30) {
        printf("     %.17g\n", v);
    }
}

static void check_around(double v) {
    for (int sign = 0; sign < 2; sign++, v = -v) {
        check_number(v, false, true);
        check_number(nextafter(v, INFINITY), false, true);
        check_number(nextafter(v, -INFINITY), false, true);
        float f = (float)v;
        if (isfinite(f)) {
            check_number((double)f, true, true);
            float up = nextafterf(f, INFINITY), down = nextafterf(f, -INFINITY);
            if (isfinite(up) && isfinite(down)) {
                check_number((double)up, true, true);
                check_number((double)down, true, true);
            }
        }
    }
}

static void test_double_text(void) {
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {0.1, "0.1"},
        {3.0, "3.0"},
        {-3.5, "-3.5"},
        {123456.789, "123456.789"},
        {1e21, "1e21"},
        {1.5e-7, "1.5e-7"},
        {1.5e300, "1.5e300"},
        {5e-324, "5e-324"},
        {1e-5, "0.00001"},
        {9.999999999999999e-6, "9.999999999999999e-6"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e16"},
        {9999999999999998.0, "9999999999999998.0"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e23, "1e23"},
        {9.5367431640625e-07, "9.5367431640625e-7"},
        {0.3, "0.3"},
        {2128560656839984.25, "2128560656839984.2"},
        {173928627200417.875, "173928627200417.88"},
        {0.30000000000000004, "0.30000000000000004"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {2.225073858507201e-308, "2.225073858507201e-308"},
        {1e-323, "1e-323"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {1234567.0, "1234567.0"},
        {0.000123, "0.000123"},
        {100.25, "100.25"},
        {999999999.999999, "999999999.999999"},
        {4503599627370495.5, "4503599627370495.5"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {1e22, "1e22"},
        {1e-7, "1e-7"},
        {12e-7, "1.2e-6"},
        {9007199254740991.0, "9007199254740991.0"},
        {123456789012345680.0, "1.2345678901234568e17"},
        {0.00001234567890123456, "0.00001234567890123456"},
        {-1.2345678901234567e-300, "-1.2345678901234568e-300"},
    };
    char got[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect("double text", got, mlog__text_double(got, cases[i].v), cases[i].text);
    }
    static const struct {
        float v;
        const char *text;
    } singles[] = {
        {0.1F, "0.1"},
        {3.14F, "3.14"},
        {16777216.0F, "16777216.0"},
        {1e-45F, "1e-45"},
        {3.4028235e38F, "3.4028235e38"},
        {-0.0F, "-0.0"},
        {1.1754944e-38F, "1.1754944e-38"},
        {0.001F, "0.001"},
        {999.999F, "999.999"},
        {1e10F, "10000000000.0"},
        {NAN, "NaN"},
        {-INFINITY, "-Infinity"},
        {0.33333334F, "0.33333334"},
        {2.5F, "2.5"},
        {1e16F, "1e16"},
        {33554432.0F, "33554432.0"},
        {9.8e-5F, "0.000098"},
        {1.5e-7F, "1.5e-7"},
    };
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        expect("float text", got, mlog__text_float(got, singles[i].v), singles[i].text);
    }
}

static void test_double_edges(void) {
    for (int e = -1074; e < 1024; e++) {
        check_around(ldexp(1.0, e));
    }
    for (int e = -324; e <= 308; e++) {
        for (int d = 1; d < 10; d++) {
            char text[32];
            snprintf(text, sizeof text, "%de%d", d, e);
            double v = strtod(text, NULL);
            if (isfinite(v)) {
                check_around(v);
            }
        }
    }
    for (int i = 0; i < 5000; i++) {
        check_around(i);
        check_around(i + 0.5);
        check_around(i / 100.0);
        check_around(i / 1000000.0);
        check_around(9007199254740992.0 - i);
        check_around(9007199254740992.0 + i * 2.0);
        check_around(1e9 - i / 1000000.0);
        check_around(i * DBL_TRUE_MIN);
    }
    check_around(DBL_MIN);
    check_number(DBL_MAX, false, true);
    check_number(nextafter(DBL_MAX, 0), false, true);
    check_number((double)FLT_MAX, true, true);
    check_number((double)FLT_MIN, true, true);
}

/* Doubles with an end of their rounding interval exactly on a short decimal, where being odd decides. */
static void test_double_ends(void) {
    for (int q = 0; q < 76; q++) {
        uint64_t five = 1;
        for (int k = 0; k < 23; k++, five *= 5) {
            for (int i = 0; k <= q && i < 40; i++) {
                uint64_t range = ((uint64_t)1 << 53) / five;
                uint64_t middle = five * (range + next_random() % (range + 1));
                middle -= middle & 1 ? 0 : five; /* an odd multiple: half way between two doubles */
                check_number(ldexp((double)(middle / 2), q), false, true);
                check_number(ldexp((double)(middle / 2 + 1), q), false, true);
            }
        }
    }
}

static double random_double(void) {
    double v;
    do {
        uint64_t bits = next_random();
        memcpy(&v, &bits, sizeof v);
    } while (!isfinite(v));
    return v;
}

static float random_float(void) {
    float v;
    do {
        uint32_t bits = (uint32_t)next_random();
        memcpy(&v, &bits, sizeof v);
    } while (!isfinite(v));
    return v;
}

/* Decimals as people write them: few digits, moderate size. */
static double random_decimal(void) {
    static const double tens[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    uint64_t r = next_random();
    return (double)(int64_t)(next_random() >> (11 + r % 53)) / tens[(r >> 32) % 10];
}

/* One per cent of 2,000,000 doubles and 1,000,000 floats each, every tenth one checked for shortness. */
static void test_double_random(unsigned long percent) {
    unsigned long doubles = 20000 * percent, floats = 10000 * percent;
    for (unsigned long i = 0; i < doubles; i++) {
        check_number(random_double(), false, i % 10 == 0);
    }
    for (unsigned long i = 0; i < doubles / 4; i++) {
        check_number(random_decimal(), false, i % 10 == 0);
    }
    for (unsigned long i = 0; i < floats; i++) {
        check_number((double)random_float(), true, i % 10 == 0);
    }
    for (unsigned long i = 0; i < floats / 4; i++) {
        check_number((double)(float)random_decimal(), true, i % 10 == 0);
    }
}

/* ---- strings ---- */

/* A decoder written differently: tries all lengths and checks numerically. Returns 0 if ill-formed. */
static size_t plain_decode(const unsigned char *s, size_t n, uint32_t *cp) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    size_t want = (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (!want || n < want) {
        return 0;
    }
    uint32_t v = s[0] & (0xffu >> (want + 1));
    for (size_t i = 1; i < want; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        v = v << 6 | (s[i] & 0x3fu);
    }
    *cp = v;
    return v < least[want] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : want;
}

/* The maximal subpart by its definition: the longest prefix that some continuation makes well-formed. */
static size_t plain_subpart(const unsigned char *s, size_t n) {
    size_t best = 1;
    for (size_t k = 2; k <= 3 && k <= n; k++) {
        unsigned char t[4] = {0};
        memcpy(t, s, k);
        bool possible = false;
        for (unsigned fill = 0; fill < 2 && !possible; fill++) {
            for (size_t total = k + 1; total <= 4 && !possible; total++) {
                memset(t + k, fill ? 0xbf : 0x80, 4 - k);
                uint32_t cp;
                possible = plain_decode(t, total, &cp) == total;
            }
        }
        if (!possible) {
            break;
        }
        best = k;
    }
    return best;
}

static size_t plain_escape(char *out, const unsigned char *s, size_t n, int mode) { /* j c q */
    size_t o = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t length = plain_decode(s + i, n - i, &cp);
        if (!length) {
            i += plain_subpart(s + i, n - i);
            o += (size_t)sprintf(out + o, "%s", "\xef\xbf\xbd");
            continue;
        }
        const char *letters = mode == 'j'   ? "\bb\ff\nn\rr\tt\"\"\\\\"
                              : mode == 'c' ? "\nn\rr\tt\\\\"
                                            : "\nn\rr\tt\\\\\"\"";
        const char *found = NULL;
        for (const char *l = letters; *l; l += 2) {
            found = cp == (uint32_t)*l ? l : found;
        }
        bool bidi = cp == 0x61c || cp == 0x200e || cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) ||
                    (cp >= 0x2066 && cp <= 0x2069);
        if (found) {
            o += (size_t)sprintf(out + o, "\\%c", found[1]);
        } else if (cp < 0x20 || cp == 0x7f) {
            o += (size_t)sprintf(out + o, mode == 'j' ? "\\u%04x" : "\\x%02x", (unsigned)cp);
        } else if ((cp > 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || (bidi && mode != 'j')) {
            o += (size_t)sprintf(out + o, "\\u%04x", (unsigned)cp);
        } else {
            memcpy(out + o, s + i, length);
            o += length;
        }
        i += length;
    }
    return o;
}

/* Runs all string functions on an exactly sized heap copy, so that a sanitizer sees any stray access. */
static void check_string(const void *bytes, size_t n) {
    static char want[8192];
    char *s = malloc(n ? n : 1);
    char *room = malloc(6 * n + 32);
    if (n) {
        memcpy(s, bytes, n);
    }
    unsigned char *u = (unsigned char *)s;
    size_t w = plain_escape(want, u, n, 'j');
    size_t got = (size_t)(mlog__text_json(room, s, n) - room);
    note(got == w && memcmp(room, want, w) == 0, "json", room, got);
    w = plain_escape(want, u, n, 'c');
    got = (size_t)(mlog__text_console(room, s, n) - room);
    bool same = w == n && (n == 0 || memcmp(want, s, n) == 0);
    note(got == w && memcmp(room, want, w) == 0, "console", room, got);
    bool bare = same && n && !memchr(s, ' ', n) && !memchr(s, '"', n) && !memchr(s, '=', n);
    if (!bare) {
        want[0] = '"';
        w = 1 + plain_escape(want + 1, u, n, 'q');
        want[w++] = '"';
    }
    got = (size_t)(mlog__text_quoted(room, s, n) - room);
    note(got == w && memcmp(room, want, w) == 0, "quoted", room, got);
    size_t cut = n;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint32_t cp;
        if (u[n - back] >= 0xc2 && u[n - back] <= 0xf4) {
            size_t need = u[n - back] >= 0xf0 ? 4 : u[n - back] >= 0xe0 ? 3 : 2;
            if (need > back && !plain_decode(u + n - back, back, &cp) && plain_subpart(u + n - back, back) == back) {
                cut = n - back;
            }
            break;
        }
        if (u[n - back] < 0x80 || u[n - back] > 0xbf) {
            break;
        }
    }
    note(mlog__text_utf8_cut(s, n) == cut, "utf8_cut", s, n);
    free(room);
    free(s);
}

static void test_string_exact(void) {
    static const struct {
        const char *in, *json, *console, *quoted;
    } cases[] = {
        {"", "", "", "\"\""},
        {"abc", "abc", "abc", "abc"},
        {"a b", "a b", "a b", "\"a b\""},
        {"a=b", "a=b", "a=b", "\"a=b\""},
        {"say \"hi\"", "say \\\"hi\\\"", "say \"hi\"", "\"say \\\"hi\\\"\""},
        {"C:\\x", "C:\\\\x", "C:\\\\x", "\"C:\\\\x\""},
        {"\b\f\n\r\t\x01\x1b\x7f", "\\b\\f\\n\\r\\t\\u0001\\u001b\\u007f", "\\x08\\x0c\\n\\r\\t\\x01\\x1b\\x7f",
         "\"\\x08\\x0c\\n\\r\\t\\x01\\x1b\\x7f\""},
        {"\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0", "\\u0080\\u0085\\u009f\xc2\xa0", "\\u0080\\u0085\\u009f\xc2\xa0",
         "\"\\u0080\\u0085\\u009f\xc2\xa0\""},
        {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\\u2028\\u2029\xe2\x80\xaa", "\\u2028\\u2029\\u202a",
         "\"\\u2028\\u2029\\u202a\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98", "\xf0\x9f\x98\x80\xef\xbf\xbd", "\xf0\x9f\x98\x80\xef\xbf\xbd",
         "\"\xf0\x9f\x98\x80\xef\xbf\xbd\""},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xd8\x9c\xe2\x81\xa6", "\xd8\x9c\xe2\x81\xa6", "\\u061c\\u2066", "\"\\u061c\\u2066\""},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    char got[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].in);
        expect("json text", got, mlog__text_json(got, cases[i].in, n), cases[i].json);
        expect("console text", got, mlog__text_console(got, cases[i].in, n), cases[i].console);
        expect("quoted text", got, mlog__text_quoted(got, cases[i].in, n), cases[i].quoted);
        check_string(cases[i].in, n);
    }
}

static void test_string_pairs(void) {
    unsigned char s[40];
    for (unsigned a = 0; a < 256; a++) {
        s[0] = (unsigned char)a;
        check_string(s, 1);
        for (unsigned b = 0; b < 256; b++) {
            s[1] = (unsigned char)b;
            check_string(s, 2);
        }
        for (size_t n = 1; n <= 36; n++) { /* every byte at every place of clean text */
            for (size_t at = 0; at < n; at++) {
                memset(s, 'a', n);
                s[at] = (unsigned char)a;
                check_string(s, n);
            }
        }
    }
}

static void test_string_random(unsigned long scale) {
    static const unsigned char leads[] = {0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xe2, 0xed,
                                          0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, 'a'};
    static const unsigned char nexts[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe2, 0xf0, 'a'};
    unsigned char s[100];
    for (size_t i = 0; i < sizeof leads; i++) {
        for (size_t j = 0; j < 13 * 13 * 13; j++) {
            s[0] = leads[i];
            s[1] = nexts[j % 13];
            s[2] = nexts[j / 13 % 13];
            s[3] = nexts[j / 169];
            for (size_t n = 2; n <= 4; n++) {
                check_string(s, n);
            }
        }
    }
    for (unsigned long i = 0; i < 30000 * scale; i++) {
        size_t n = (size_t)(next_random() % 90);
        unsigned kind = (unsigned)(next_random() % 4);
        for (size_t j = 0; j < n; j++) {
            uint64_t r = next_random();
            s[j] = (unsigned char)(kind == 0 || (kind == 1 && r % 20 == 0) ? r >> 32
                                   : kind == 2                             ? 0x80 | r >> 32
                                                                           : 'a' + (r >> 32) % 26);
            if (kind == 3 && r % 8 == 0) {
                s[j] = (unsigned char)" \"\\=\n\x7f\x1f!"[(r >> 8) % 8];
            }
        }
        check_string(s, n);
    }
}

/* Every code point through encoder, decoder and escapes. */
static void test_code_points(void) {
    char s[4];
    for (uint32_t cp = 0; cp < 0x110400; cp += cp < 0x3000 ? 1 : 7) {
        size_t n = mlog__text_utf8_encode(s, cp);
        uint32_t back = 0, want = (cp >= 0xd800 && cp < 0xe000) || cp > 0x10ffff ? 0xfffd : cp;
        note(plain_decode((unsigned char *)s, n, &back) == n && back == want, "utf8_encode", s, n);
        note(mlog__text_decode(s, n, &back) == n && back == want, "utf8 decode", s, n);
        check_string(s, n);
        check_string(s, n - 1);
    }
    expect("encode", s, s + mlog__text_utf8_encode(s, UINT32_MAX), "\xef\xbf\xbd");
    expect("encode", s, s + mlog__text_utf8_encode(s, 0xdfff), "\xef\xbf\xbd");
    expect("encode", s, s + mlog__text_utf8_encode(s, 0x20ac), "\xe2\x82\xac");
}

/* ---- clock ---- */

static void check_utc(int64_t ns, mlog__text_clock *cache) {
    char got[64], want[64];
    int64_t rest = ns % 1000000000, second = ns / 1000000000;
    if (rest < 0) {
        rest += 1000000000;
        second--;
    }
    time_t t = (time_t)second;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(want + n, sizeof want - n, ".%09lldZ", (long long)rest);
    expect("utc", got, mlog__text_utc(got, ns, cache), want);
    localtime_r(&t, &tm);
    n = strftime(want, sizeof want, "%H:%M:%S", &tm);
    snprintf(want + n, sizeof want - n, ".%03lld", (long long)rest / 1000000);
    expect("local", got, mlog__text_local(got, ns, cache), want);
}

static void test_clock_zone(unsigned long scale) {
    mlog__text_clock cache = {0};
    static const int64_t seconds[] = {0,           1,           -1,         951782399,   951782400,  951868799,
                                      951868800,   1709164800,  1709251199, 1709251200,  4107542399, 4107542400,
                                      -2203891200, -2203891201, 1795169201, 1711846799,  1711846800, 1729990799,
                                      1729990800,  1729994400,  9223372035, -9223372035, 85169,      85170,
                                      86399,       86400,       -86400,     -86401};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        for (int64_t d = -2; d <= 2; d++) {
            check_utc(seconds[i] * 1000000000 + d, &cache);
            check_utc(seconds[i] * 1000000000 + d * 500000000 + 123456789, &cache);
        }
    }
    for (int i = 0; i < 3; i++) { /* both ends in turn: the cache must not wrap round */
        for (int64_t d = 0; d < 2000000000; d += 99999999) {
            check_utc(INT64_MIN + d, &cache);
            check_utc(INT64_MAX - d, &cache);
            check_utc(INT64_MAX, &cache);
        }
    }
    for (int64_t day = -106751; day <= 106751; day += 13) {
        check_utc(day * 86400 * 1000000000, &cache);
        check_utc(day * 86400 * 1000000000 - 1, &cache);
    }
    int64_t ns = -3000000000;
    for (unsigned long i = 0; i < 20000 * scale; i++) {
        check_utc(ns, &cache);
        ns += (int64_t)(next_random() % 300000000);
        if (i % 4 == 0) {
            check_utc((int64_t)next_random(), &cache);
        }
    }
}

static void test_clock(unsigned long scale) {
    mlog__text_clock cache = {0};
    char got[64];
    static const char *const zones[] = {
        "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "NST3:30NDT,M3.2.0,M11.1.0", "XXX-5:45", "YYY12", "ZZZ-0:20:30"};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        test_clock_zone(scale);
    }
    expect("utc", got, mlog__text_utc(got, 1795169201123456789, &cache), "2026-11-20T10:06:41.123456789Z");
    expect("utc", got, mlog__text_utc(got, 0, &cache), "1970-01-01T00:00:00.000000000Z");
    expect("utc", got, mlog__text_utc(got, -1, &cache), "1969-12-31T23:59:59.999999999Z");
    expect("utc", got, mlog__text_utc(got, INT64_MAX, &cache), "2262-04-11T23:47:16.854775807Z");
    expect("utc", got, mlog__text_utc(got, INT64_MIN, &cache), "1677-09-21T00:12:43.145224192Z");
    setenv("TZ", "CET-1", 1);
    tzset();
    mlog__text_clock fresh = {0};
    expect("local", got, mlog__text_local(got, 1795169201123456789, &fresh), "11:06:41.123");
    expect("local", got, mlog__text_local(got, -1, &fresh), "00:59:59.999");
    expect("date", got, mlog__text_date(got, 2932896), "9999-12-31");
    expect("date", got, mlog__text_date(got, 11016), "2000-02-29");
    expect("date", got, mlog__text_date(got, 47540), "2100-02-28");
    expect("date", got, mlog__text_date(got, 47541), "2100-03-01");
}

/* ---- glob ---- */

static bool plain_glob(const char *pat, const char *s) {
    if (*pat == '*') {
        return plain_glob(pat + 1, s) || (*s && plain_glob(pat, s + 1));
    }
    return *pat == *s && (!*s || plain_glob(pat + 1, s + 1));
}

static void test_glob(void) {
    char pat[8], s[8];
    for (unsigned i = 0; i < 4 * 4 * 4 * 4 * 4; i++) { /* 0: end, a, b, * */
        for (unsigned k = 0; k < 5; k++) {
            pat[k] = "\0ab*"[i >> (2 * k) & 3];
        }
        pat[5] = 0;
        for (unsigned j = 0; j < 243; j++) {
            for (unsigned k = 0, v = j; k < 5; k++, v /= 3) {
                s[k] = "\0ab"[v % 3];
            }
            s[5] = 0;
            expect_bool("glob", mlog__text_glob(pat, strlen(pat), s, strlen(s)), plain_glob(pat, s));
        }
    }
    char many[4001], text[4001];
    for (size_t i = 0; i < 4000; i++) {
        many[i] = i % 2 ? '*' : 'a';
        text[i] = 'a';
    }
    many[3998] = 'b';
    expect_bool("glob slow", mlog__text_glob(many, 4000, text, 4000), false);
    expect_bool("glob", mlog__text_glob("net.*.tls", 9, "net.http.tls", 12), true);
    expect_bool("glob ?", mlog__text_glob("a?c", 3, "abc", 3), false);
    expect_bool("glob empty", mlog__text_glob("", 0, "", 0), true);
}

/* ---- JSON ---- */

static void check_valid(const char *text, bool want) {
    size_t n = strlen(text);
    char *s = malloc(n ? n : 1);
    if (n) {
        memcpy(s, text, n);
    }
    note(mlog__text_json_valid(s, n) == want, want ? "json_valid yes" : "json_valid no", text, n);
    char *room = malloc(6 * n + 1);
    size_t got = (size_t)(mlog__text_json_compact(room, s, n) - room); /* must be harmless for anything */
    if (want) {
        bool clean = mlog__text_json_valid(room, got);
        for (size_t i = 0; i < got; i++) {
            clean = clean && (unsigned char)room[i] >= 0x20 && room[i] != 0x7f;
        }
        note(clean, "json_compact", room, got);
    }
    free(room);
    free(s);
}

static void test_json_lists(void) {
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "0.0e0",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\"",
        " [ ] ",
        "[1]",
        "[1,2]",
        "{}",
        "{\"a\":1}",
        "{ \"a\" : 1 , \"a\" : 2 }",
        "[[],{},[{}]]",
        "\t\r\n 1 \n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\ude00\"",
        "\"\xf0\x9f\x98\x80\x7f\xc2\x85\xe2\x80\xa8\"",
        "[1,[2,[3,{\"x\":[4]}]],5]",
        "\"\\ud7ff\\ue000\"",
        "{\"\":\"\"}",
    };
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1 2",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\ue000\"",
        "\"\t\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\x80\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{,}",
        "[]]",
        "{}{}",
        "'a'",
        "// x\n1",
        "\xef\xbb\xbf"
        "1",
        "1\f",
        "\xc2\xa0"
        "1",
        "{\"a\":1 \"b\":2}",
        "\"\\U0041\"",
        "\"\\u 041\"",
        "tru",
        "\"a\"b",
        "--1",
        "1.e5",
        "1e5.5",
        "00",
        "-01",
        "[\"a\",]",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        check_valid(good[i], true);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_valid(bad[i], false);
    }
    expect_bool("json NUL", mlog__text_json_valid("1\0", 2), false);
    expect_bool("json NUL", mlog__text_json_valid("\"\0\"", 3), false);
    expect_bool("json NUL escape", mlog__text_json_valid("\"\\\0\"", 4), false);
}

static void test_json_depth(void) {
    char deep[700] = {0};
    for (size_t depth = 1; depth <= 70; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        deep[2 * depth] = 0;
        check_valid(deep, depth <= 64);
        size_t at = 0;
        for (size_t i = 0; i < depth; i++) {
            at += (size_t)sprintf(deep + at, i % 2 ? "[" : "{\"k\":");
        }
        at += (size_t)sprintf(deep + at, "7");
        for (size_t i = depth; i-- > 0;) {
            at += (size_t)sprintf(deep + at, i % 2 ? "]" : "}");
        }
        check_valid(deep, depth <= 64);
        deep[at - 1] = deep[at - 1] == '}' ? ']' : '}';
        check_valid(deep, false);
    }
}

static void test_json_compact(void) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {" { \"a b\" : [ 1 ,\n\t2 ] , \"c\" : \" \\\" x \" } ", "{\"a b\":[1,2],\"c\":\" \\\" x \"}"},
        {"\"\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xf0\x9f\x98\x80\"",
         "\"\\u007f\\u0085\\u2028\\u2029\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\"\\\\\" ", "\"\\\\\""},
        {"[\"\\\\\", \" \\\\\\\" \"]", "[\"\\\\\",\" \\\\\\\" \"]"},
        {" 1.5e300\r\n", "1.5e300"},
        {"\"0123456789abcdef  0123456789abcdef\"", "\"0123456789abcdef  0123456789abcdef\""},
        {"\"\x7f\x7f\x7f\x7f\"", "\"\\u007f\\u007f\\u007f\\u007f\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].in);
        char *got = malloc(6 * n);
        expect("compact", got, mlog__text_json_compact(got, cases[i].in, n), cases[i].out);
        check_valid(cases[i].in, true);
        free(got);
    }
    static const char soup[] = "{}[]\",:\\ \n1a\x7f\xc2\x85\xe2\x80\xa8u";
    for (int i = 0; i < 50000; i++) {
        char text[24];
        size_t n = (size_t)(next_random() % 23);
        for (size_t j = 0; j < n; j++) {
            text[j] = soup[next_random() % (sizeof soup - 1)];
        }
        text[n] = 0;
        check_valid(text, mlog__text_json_valid(text, n)); /* for the sanitizers: hostile input in exact room */
    }
}

/* ---- benchmark ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum { ROUNDS = 4000, SET = 1024 };
static char bench_out[4096];

/* Best of three; `call` writes to p and returns the end. */
#define BENCH(name, call)                                                                                              \
    do {                                                                                                               \
        double best = 1e18;                                                                                            \
        size_t total = 0;                                                                                              \
        for (int take = 0; take < 3; take++) {                                                                         \
            double start = now();                                                                                      \
            for (int round = 0; round < ROUNDS; round++) {                                                             \
                for (size_t i = 0; i < SET; i++) {                                                                     \
                    char *p = bench_out;                                                                               \
                    total += (size_t)((call)-p);                                                                       \
                    __asm__ volatile("" ::: "memory");                                                                 \
                }                                                                                                      \
            }                                                                                                          \
            double took = now() - start;                                                                               \
            best = took < best ? took : best;                                                                          \
        }                                                                                                              \
        printf("%-34s %6.2f ns   (%zu)\n", name, best / ROUNDS / SET, total / ROUNDS / SET / 3);                       \
    } while (0)

static void bench_numbers(void) {
    static uint64_t small[SET], large[SET];
    static double doubles[SET], decimals[SET], prices[SET], whole[SET];
    static float floats[SET], singles[SET];
    for (size_t i = 0; i < SET; i++) {
        small[i] = next_random() % 10000 >> (next_random() % 12);
        large[i] = next_random() >> (next_random() % 64);
        doubles[i] = random_double();
        decimals[i] = (double)(next_random() >> 11) / 9007199254740992.0;
        prices[i] = (double)(next_random() % 1000000) / 100;
        whole[i] = (double)(next_random() % 100000);
        floats[i] = random_float();
        singles[i] = (float)(next_random() % 100000) / 100.0F;
    }
    BENCH("u64 small (mixed length)", mlog__text_u64(p, small[i]));
    BENCH("u64 constant 200", mlog__text_u64(p, small[i] * 0 + 200));
    BENCH("u64 any length", mlog__text_u64(p, large[i]));
    BENCH("i64 small", mlog__text_i64(p, (int64_t)small[i] - 50));
    BENCH("hex any length", mlog__text_hex(p, large[i]));
    BENCH("double two decimals", mlog__text_double(p, prices[i]));
    BENCH("double whole", mlog__text_double(p, whole[i]));
    BENCH("double 0..1 full precision", mlog__text_double(p, decimals[i]));
    BENCH("double any bits", mlog__text_double(p, doubles[i]));
    BENCH("float two decimals", mlog__text_float(p, singles[i]));
    BENCH("float any bits", mlog__text_float(p, floats[i]));
    BENCH("snprintf %.17g any bits", p + snprintf(p, 64, "%.17g", doubles[i]));
}

static void bench_strings(void) {
    static char text[SET][64];
    static size_t length[SET];
    static const char *const cyrillic = "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xd0\xbc\xd0\xb8\xd1\x80";
    static const char *const message = "GET /api/users/42?id=17&x=GET /api/users/42?id=17&x=GET /api/users/42?id=17&x=";
    for (size_t i = 0; i < SET; i++) {
        length[i] = 5 + (size_t)(next_random() % 36);
        memset(text[i], 'a' + (int)(i % 26), 64);
    }
    BENCH("json clean 7", mlog__text_json(p, message, 7));
    BENCH("json clean 25", mlog__text_json(p, message, 25));
    BENCH("json clean 75", mlog__text_json(p, message, 75));
    BENCH("json clean 5-40 mixed", mlog__text_json(p, text[i], length[i]));
    BENCH("json 30 with two quotes", mlog__text_json(p, "he said \"hello\" and went away", 29));
    BENCH("json cyrillic 19 bytes", mlog__text_json(p, cyrillic, 19));
    BENCH("console clean 25", mlog__text_console(p, message, 25));
    BENCH("quoted bare 25", mlog__text_quoted(p, text[0], 25));
    BENCH("quoted with spaces 25", mlog__text_quoted(p, message, 25));
    BENCH("utf8_cut", p + mlog__text_utf8_cut(cyrillic, 5 + (i & 7)));
}

static void bench_rest(void) {
    mlog__text_clock cache = {0};
    static const char *const object =
        "{\"user\": {\"id\": 42, \"name\": \"Ada\"}, \"tags\": [\"a\", \"b\"], \"ok\": true}";
    size_t n = strlen(object);
    int64_t base = 1795169201000000000;
    BENCH("utc cached", mlog__text_utc(p, base + (int64_t)i * 1001, &cache));
    BENCH("utc new second each time", mlog__text_utc(p, base + (int64_t)i * 1000000000, &cache));
    BENCH("local cached", mlog__text_local(p, base + (int64_t)i * 1001, &cache));
    BENCH("glob", p + mlog__text_glob("net.*.tls", 9, "net.http.tls", 12));
    BENCH("json_valid 72", p + mlog__text_json_valid(object, n));
    BENCH("json_compact 72", mlog__text_json_compact(p, object, n));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench_numbers();
        bench_strings();
        bench_rest();
        return 0;
    }
    unsigned long scale = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    scale = scale ? scale : 1;
    test_integers(scale);
    test_powers();
    test_double_text();
    test_double_edges();
    test_double_ends();
    test_double_random(scale * 40);
    test_string_exact();
    test_string_pairs();
    test_string_random(scale);
    test_code_points();
    test_clock(scale);
    test_glob();
    test_json_lists();
    test_json_depth();
    test_json_compact();
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed != 0;
}
