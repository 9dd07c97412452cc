/* Every form of call that the macro shims take, in C and in C++, without a warning. */
#define ZF_LOG_TAG "calls"
#define ZF_LOG_LEVEL ZF_LOG_VERBOSE
#define LOG_TAG "calls"
#include "log.h"
#include "zf_log.h"
#include "elog.h"
#include "zlog.h"

#include <stdint.h>
#include <string.h>

enum color { RED, GREEN };
struct bits { unsigned low : 3; int high : 5; };
static const char *const fixed = "fixed %d";
static const char array[] = "array, 100%";

static int told;
static void count(log_Event *ev) { told += ev->level == LOG_WARN && ev->udata == &told && ev->line > 0; }

int main(int argc, char **argv) {
    char buffer[] = "a buffer";
    const char *format = argc > 100 ? "%d" : "run-time %d";
    const unsigned char bytes[] = {1, 2, 3};
    struct bits b = {5, -3};
    enum color c = GREEN;
    long double ld = 2.5L;
    int n = 0;
    (void)argv;
#define EACH(X)                                                                                                               \
    X("plain");                                                                                                               \
    X("int %d, long %ld, size %zu, char %c, %5.1f%%, %s", 1, 2L, sizeof n, 'x', 2.5, "text");                                 \
    X("%p %x %hhd %lld %Lf %.*s", (void *)0, 255u, (signed char)-1, -1LL, ld, 3, "abcdef");                                   \
    X("%d %d %d %f", (int)b.low, b.high, (int)c, 1.5f);                                                                      \
    X(format, n++);                                                                                                           \
    X(fixed, n++);                                                                                                            \
    X(array);                                                                                                                 \
    X(buffer);                                                                                                                \
    X("");                                                                                                                    \
    X("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %s", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, "18"); \
    X("%d", n++)
#define TAGGED(...) elog_i("tag", __VA_ARGS__)
#define RUN_TIME_TAG(...) elog_w(buffer, __VA_ARGS__)
    if (log_add_callback(NULL, NULL, 0) != -1) return 1;
    EACH(log_info);
    if (n != 3) return 2;
    EACH(log_trace);
    EACH(log_fatal);
    if (n == 9) log_error("if");
    else log_error("else");
    elog_init(), elog_start();
    EACH(log_i);
    EACH(TAGGED);
    EACH(RUN_TIME_TAG);
    if (n != 18) return 3;
    zlog_category_t *cat = zlog_init_from_string("[rules]\n*.* >stderr\n") == 0 ? zlog_get_category("calls") : NULL;
    EACH(ZF_LOGI);
#define CATEGORY(...) zlog_info(cat, __VA_ARGS__)
    EACH(CATEGORY);
    if (n != 24) return 4;
    dzlog_set_category("calls");
    EACH(dzlog_error);
    ZF_LOGD_MEM(bytes, sizeof bytes, "memory %d", 1);
    hzlog_info(cat, bytes, sizeof bytes);
    elog_hexdump("bytes", 16, bytes, sizeof bytes);
    log_log(LOG_WARN, "f.c", 3, "%s", buffer);
    n > 0 ? log_info("one") : log_warn("other");
    if (n != 27) return 5;
    for (int i = 0; i < 32; i++)
        if (log_add_callback(count, &told, LOG_WARN) != 0) return 6;
    if (log_add_callback(count, &told, LOG_WARN) != -1) return 7;
    log_info("nobody is called"), log_warn("32 are called, %d", n++), log_error("32 are called");
    return told == 32 && n == 28 ? 0 : 8;
}
