/* wrapper: a project's own logging macros on top of metalog, with the caller's file and line kept. Its thousand call sites stay as
 * they are; only the definition changes.
 *
 *     cc -I. examples/wrapper.c -o wrapper -pthread && ./wrapper 2>&1 | cat
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <errno.h>

/* 1. Macros with a format: each call is a call site of its own, formatted by the flusher, checked by the compiler. */
#define LOG_INFO(...) mlogf(MLOG_INFO, __VA_ARGS__)
#define LOG_ERROR(...) mlogf(MLOG_ERROR, __VA_ARGS__)

/* 2. A function behind a macro, as older code has it: file and line come as arguments. */
enum old_level { OLD_DEBUG, OLD_INFO, OLD_ALARM };
static void old_log(enum old_level level, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void old_log(enum old_level level, const char *file, int line, const char *format, ...) {
    static const int levels[] = {MLOG_DEBUG, MLOG_INFO, MLOG_ALERT};
    va_list args;
    va_start(args, format);
    mlog_vprintf((mlog_where){file, "", line}, NULL, levels[level], format, args);
    va_end(args);
}
#define OLD_LOG(level, ...) old_log(level, __FILE__, __LINE__, __VA_ARGS__)

/* 3. Keys known at run time only: what a script binding or a generic helper needs. */
static void audit(mlog_where at, const char *user, const char *key, int value) {
    const mlog_field fields[] = {{"user", mlog_val(user)}, {key, mlog_val(value)}};
    const mlog_event event = {.at = at, .logger = mlog_named("audit"), .level = MLOG_NOTICE, .msg = "changed", .fields = fields, .nfields = 2};
    mlog_emit(&event);
}
#define AUDIT(user, key, value) audit(MLOG_HERE, user, key, value)

int main(void) {
    LOG_INFO("%d files, %s", 3, "all new");
    errno = ENOENT;
    LOG_ERROR("cannot open %s: %m", "/nowhere");
    OLD_LOG(OLD_INFO, "old call, %.1f%%", 99.5);
    OLD_LOG(OLD_DEBUG, "not seen at level info");
    OLD_LOG(OLD_ALARM, "door %c open", 'B');
    AUDIT("ann", "limit", 500);
    return 0;
}
