/* A plain stand-in for zlog (https://github.com/HardySimpson/zlog): as much of its interface, of its configuration and of its
 * conversions as the example uses. */
#ifndef __zlog_h
#define __zlog_h
#include <stdarg.h>
#include <stdio.h>

typedef struct zlog_category_s zlog_category_t;
typedef struct zlog_msg_s { char *buf; size_t len; char *path; } zlog_msg_t;
typedef int (*zlog_record_fn)(zlog_msg_t *msg);
enum { ZLOG_LEVEL_DEBUG = 20, ZLOG_LEVEL_INFO = 40, ZLOG_LEVEL_NOTICE = 60, ZLOG_LEVEL_WARN = 80, ZLOG_LEVEL_ERROR = 100, ZLOG_LEVEL_FATAL = 120 };

int zlog_init(const char *confpath);
int zlog_reload(const char *confpath);
void zlog_fini(void);
zlog_category_t *zlog_get_category(const char *cname);
int zlog_level_enabled(zlog_category_t *category, const int level);
int zlog_put_mdc(const char *key, const char *value);
char *zlog_get_mdc(const char *key);
void zlog_remove_mdc(const char *key);
void zlog_clean_mdc(void);
int zlog_set_record(const char *rname, zlog_record_fn record);
int dzlog_init(const char *confpath, const char *cname);
int dzlog_set_category(const char *cname);
void zlog(zlog_category_t *category, const char *file, size_t filelen, const char *func, size_t funclen, long line, int level,
          const char *format, ...) __attribute__((format(printf, 8, 9)));
void vzlog(zlog_category_t *category, const char *file, size_t filelen, const char *func, size_t funclen, long line, int level,
           const char *format, va_list args);
void dzlog(const char *file, size_t filelen, const char *func, size_t funclen, long line, int level, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

#define ZLOG_AT __FILE__, sizeof(__FILE__) - 1, __func__, sizeof(__func__) - 1, __LINE__
#define zlog_fatal(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_FATAL, __VA_ARGS__)
#define zlog_error(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_ERROR, __VA_ARGS__)
#define zlog_warn(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_WARN, __VA_ARGS__)
#define zlog_notice(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_NOTICE, __VA_ARGS__)
#define zlog_info(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_INFO, __VA_ARGS__)
#define zlog_debug(cat, ...) zlog(cat, ZLOG_AT, ZLOG_LEVEL_DEBUG, __VA_ARGS__)
#define dzlog_error(...) dzlog(ZLOG_AT, ZLOG_LEVEL_ERROR, __VA_ARGS__)
#define dzlog_notice(...) dzlog(ZLOG_AT, ZLOG_LEVEL_NOTICE, __VA_ARGS__)
#define dzlog_info(...) dzlog(ZLOG_AT, ZLOG_LEVEL_INFO, __VA_ARGS__)
#define vzlog_info(cat, format, args) vzlog(cat, ZLOG_AT, ZLOG_LEVEL_INFO, format, args)
#endif
