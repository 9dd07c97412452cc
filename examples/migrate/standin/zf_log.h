/* A plain stand-in for zf_log (https://github.com/wonder-mice/zf_log): as much of its interface as the example uses, and its layout. */
#ifndef _ZF_LOG_H_
#define _ZF_LOG_H_

#define ZF_LOG_VERBOSE 1
#define ZF_LOG_DEBUG 2
#define ZF_LOG_INFO 3
#define ZF_LOG_WARN 4
#define ZF_LOG_ERROR 5
#define ZF_LOG_FATAL 6
#define ZF_LOG_NONE 0xFFFF

#if defined(ZF_LOG_LEVEL)
#define ZF_UNIT_LEVEL ZF_LOG_LEVEL
#elif defined(ZF_LOG_DEF_LEVEL)
#define ZF_UNIT_LEVEL ZF_LOG_DEF_LEVEL
#elif defined(NDEBUG)
#define ZF_UNIT_LEVEL ZF_LOG_INFO
#else
#define ZF_UNIT_LEVEL ZF_LOG_DEBUG
#endif
#if defined(ZF_LOG_TAG)
#define ZF_UNIT_TAG ZF_LOG_TAG
#elif defined(ZF_LOG_DEF_TAG)
#define ZF_UNIT_TAG ZF_LOG_DEF_TAG
#else
#define ZF_UNIT_TAG 0
#endif
#ifdef NDEBUG
#define ZF_LOG_SECRETS 0
#else
#define ZF_LOG_SECRETS 1
#endif

enum { ZF_LOG_PUT_CTX = 1, ZF_LOG_PUT_TAG = 2, ZF_LOG_PUT_SRC = 4, ZF_LOG_PUT_MSG = 8, ZF_LOG_PUT_STD = 0xffff };
typedef struct zf_log_message {
    int lvl;
    const char *tag;
    char *buf, *e, *p, *tag_b, *tag_e, *msg_b;
} zf_log_message;
typedef void (*zf_log_output_cb)(const zf_log_message *msg, void *arg);
void zf_log_set_tag_prefix(const char *prefix);
void zf_log_set_mem_width(unsigned w);
void zf_log_set_output_level(int lvl);
void zf_log_set_output_v(unsigned mask, void *arg, zf_log_output_cb callback);
void zf_log_out_stderr_callback(const zf_log_message *msg, void *arg);
#define ZF_LOG_OUT_STDERR ZF_LOG_PUT_STD, 0, zf_log_out_stderr_callback

extern int _zf_log_global_output_lvl;
void _zf_log_write_mem_d(const char *func, const char *file, int line, int lvl, const char *tag, const void *d, unsigned n, const char *fmt, ...)
    __attribute__((format(printf, 8, 9)));

#define ZF_LOG_ENABLED(lvl) ((lvl) >= ZF_UNIT_LEVEL)
#define ZF_LOG_ENABLED_DEBUG ZF_LOG_ENABLED(ZF_LOG_DEBUG)
#define ZF_LOG_ENABLED_VERBOSE ZF_LOG_ENABLED(ZF_LOG_VERBOSE)
#define ZF_LOG_ON(lvl) (ZF_LOG_ENABLED(lvl) && (lvl) >= _zf_log_global_output_lvl)
#define ZF_LOG_ON_DEBUG ZF_LOG_ON(ZF_LOG_DEBUG)
#define ZF_LOG_IF(cond, f) do { if ((cond)) { f; } } while (0)
#define ZF_LOG_SECRET(f) ZF_LOG_IF(ZF_LOG_SECRETS, f)
#define ZF_LOG_WRITE_MEM(lvl, tag, d, n, ...) \
    do { if (ZF_LOG_ON(lvl)) _zf_log_write_mem_d(__func__, __FILE__, __LINE__, lvl, tag, d, n, __VA_ARGS__); } while (0)
#define ZF_LOG_WRITE(lvl, tag, ...) ZF_LOG_WRITE_MEM(lvl, tag, 0, 0, __VA_ARGS__)
#define ZF_LOGV(...) ZF_LOG_WRITE(ZF_LOG_VERBOSE, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGD(...) ZF_LOG_WRITE(ZF_LOG_DEBUG, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGI(...) ZF_LOG_WRITE(ZF_LOG_INFO, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGW(...) ZF_LOG_WRITE(ZF_LOG_WARN, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGE(...) ZF_LOG_WRITE(ZF_LOG_ERROR, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGF(...) ZF_LOG_WRITE(ZF_LOG_FATAL, ZF_UNIT_TAG, __VA_ARGS__)
#define ZF_LOGD_MEM(d, n, ...) ZF_LOG_WRITE_MEM(ZF_LOG_DEBUG, ZF_UNIT_TAG, d, n, __VA_ARGS__)
#define ZF_LOGI_MEM(d, n, ...) ZF_LOG_WRITE_MEM(ZF_LOG_INFO, ZF_UNIT_TAG, d, n, __VA_ARGS__)
#define ZF_LOGI_STR(s) ZF_LOGI("%s", (s))

#endif
