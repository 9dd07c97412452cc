/* One set of values, printed by a C and by a C++ program, which must print the same. What may differ by the rules of the languages
 * is left out: a == b and, before C23, true are int in C, NULL is 0 in C++. */
#include "metalog.h"
#include <float.h>
#include <limits.h>

enum letter { ALPHA = -1, BETA = 4 };

static void values_put(mlog_writer *w, const void *p) {
    mlog_put(w, "n", *(const int *)p);
    mlog_put(w, "text", "in\n\"side\"");
    mlog_put(w, "half", 0.5);
}

static void values(void) {
    const char *null_text = 0, *null_void = 0, *words[] = {"a", "b\t", 0};
    char text[] = "caf\xc3\xa9 \x01 \xff end";
    int one = 1, ints[] = {INT_MIN, 0, INT_MAX};
    unsigned char bytes[] = {0, 127, 255};
    float floats[] = {0.1f, FLT_MAX, -1.5f};
    double doubles[] = {0.1, DBL_MAX, -0.0};
    bool bools[] = {true, false};
    struct { unsigned a : 3; int b : 4; } bits = {7, -8};
    mlog_info("limits", "schar", (signed char)SCHAR_MIN, "uchar", (unsigned char)UCHAR_MAX, "short", (short)SHRT_MIN, "ushort", (unsigned short)USHRT_MAX,
              "int", INT_MIN, "uint", UINT_MAX, "long", LONG_MIN, "ulong", ULONG_MAX, "llong", LLONG_MIN, "ullong", ULLONG_MAX,
              "char", (char)'x', "bool", (bool)true);
    mlog_info("floats", "f", 0.1f, "max", FLT_MAX, "min", FLT_MIN, "d", 0.1, "dmax", DBL_MAX, "dmin", DBL_MIN, "whole", 3.0, "neg", -0.0,
              "third", 1.0 / 3, "big", 1e21, "inf", __builtin_inf(), "nan", __builtin_nan(""), "finf", -__builtin_inff());
    mlog_info("mutable", "text", (char *)text, "void", (void *)(uintptr_t)0xabcdu, "array", text);
    mlog_infof("%s %p %c", (char *)text, (void *)(uintptr_t)0xabcdu, text[0]);
    mlog_info("texts", "text", text, "null", null_text, "void", (const void *)null_void, "pointer", (void *)(uintptr_t)0xabcdu, "empty", "");
    mlog_info("odd", "letter", BETA, "other", ALPHA, "a", bits.a, "b", bits.b);
    mlog_info("makers", "str", mlog_str(text, 4), "bytes", mlog_bytes(text, 5), "hex", mlog_hex(0xfeedu), "yes", mlog_bool(one == 1),
              "char", mlog_char('x'), "errno", mlog_errno(2), "time", mlog_time(1), "dur", mlog_dur(-1500), "json", mlog_json("{\"a\":[1]}", 9),
              "bad", mlog_json("{", 1), "hidden", mlog_secret("abc"), "password", "redacted by its key");
    mlog_info("arrays", "ints", mlog_array(ints, 3), "bytes", mlog_array(bytes, 3), "floats", mlog_array(floats, 3), "doubles", mlog_array(doubles, 3),
              "bools", mlog_array(bools, 2), "words", mlog_array(words, 3), "chars", mlog_array(text, 2));
    mlog_info("object", "o", mlog_object(values_put, &one));
    mlog_infof("%d %u %ld %llu %5.2f|%-6s|%c %x %%", -1, 2u, -3L, 4ull, 3.14159, "ab", 'z', 255u);
    mlog_infof("%s %.3s %10.4e %g", "text", text, 12345.678, (double)0.1f);
    {
        mlog_with("i", 1, "f", 0.1f, "b", (bool)true, "u", 3000000000u, "t", text, "mutable", (char *)text,
                  "void", (void *)(uintptr_t)0xabcdu);
        mlog_info("context", "t", "clashes");
    }
}
