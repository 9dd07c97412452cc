/* The logger's only file. With metalog its functions keep the caller's place and hand the list on. */
#include "log.h"

#include <stdio.h>

#ifdef USE_METALOG
void own_vlog(int level, const char *file, int line, const char *func, const char *format, va_list args) {
    static const int levels[] = {MLOG_DEBUG, MLOG_INFO, MLOG_ERROR};
    mlog_vprintf((mlog_where){file, func, line}, NULL, levels[level], format, args);
}
#else
void own_vlog(int level, const char *file, int line, const char *func, const char *format, va_list args) {
    static const char *const name[] = {"DEBUG", "INFO", "ERROR"};
    fprintf(stderr, "%s %s:%d %s: ", name[level], file, line, func);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}
#endif

void own_log(int level, const char *file, int line, const char *func, const char *format, ...) {
    va_list args;
    va_start(args, format);
    own_vlog(level, file, line, func, format, args);
    va_end(args);
}
