/* A plain stand-in for EasyLogger (https://github.com/armink/EasyLogger): as much of its interface as the example uses. */
#ifndef __ELOG_H__
#define __ELOG_H__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELOG_LVL_ASSERT 0
#define ELOG_LVL_ERROR 1
#define ELOG_LVL_WARN 2
#define ELOG_LVL_INFO 3
#define ELOG_LVL_DEBUG 4
#define ELOG_LVL_VERBOSE 5
#define ELOG_FILTER_LVL_ALL ELOG_LVL_VERBOSE
#define ELOG_FMT_ALL 0xFF
#define ELOG_FMT_LVL 1
#define ELOG_FMT_TAG 2

typedef enum { ELOG_NO_ERR } ElogErrCode;
ElogErrCode elog_init(void);
void elog_start(void);
void elog_stop(void);
void elog_set_fmt(uint8_t level, size_t set);
void elog_set_text_color_enabled(bool enabled);
void elog_set_filter_lvl(uint8_t level);
void elog_set_filter_tag(const char *tag);
void elog_set_filter_kw(const char *keyword);
void elog_set_filter_tag_lvl(const char *tag, uint8_t level);
void elog_raw(const char *format, ...);
void elog_output(uint8_t level, const char *tag, const char *file, const char *func, long line, const char *format, ...);
void elog_hexdump(const char *name, uint8_t width, const void *buf, uint16_t size);
extern void (*elog_assert_hook)(const char *expr, const char *func, size_t line);
void elog_assert_set_hook(void (*hook)(const char *expr, const char *func, size_t line));

#define ELOG_ASSERT(EXPR) do { if (!(EXPR) && elog_assert_hook) elog_assert_hook(#EXPR, __func__, __LINE__); } while (0)
#define elog_a(tag, ...) elog_output(ELOG_LVL_ASSERT, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)
#define elog_e(tag, ...) elog_output(ELOG_LVL_ERROR, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)
#define elog_w(tag, ...) elog_output(ELOG_LVL_WARN, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)
#define elog_i(tag, ...) elog_output(ELOG_LVL_INFO, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)
#define elog_d(tag, ...) elog_output(ELOG_LVL_DEBUG, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)
#define elog_v(tag, ...) elog_output(ELOG_LVL_VERBOSE, tag, __FILE__, __func__, __LINE__, __VA_ARGS__)

#ifndef LOG_TAG
#define LOG_TAG "NO_TAG"
#endif
#ifndef LOG_LVL
#define LOG_LVL ELOG_LVL_VERBOSE
#endif
#define ELOG_UNIT(level, letter, ...) do { if (LOG_LVL >= level) elog_##letter(LOG_TAG, __VA_ARGS__); } while (0)
#define log_a(...) ELOG_UNIT(ELOG_LVL_ASSERT, a, __VA_ARGS__)
#define log_e(...) ELOG_UNIT(ELOG_LVL_ERROR, e, __VA_ARGS__)
#define log_w(...) ELOG_UNIT(ELOG_LVL_WARN, w, __VA_ARGS__)
#define log_i(...) ELOG_UNIT(ELOG_LVL_INFO, i, __VA_ARGS__)
#define log_d(...) ELOG_UNIT(ELOG_LVL_DEBUG, d, __VA_ARGS__)
#define log_v(...) ELOG_UNIT(ELOG_LVL_VERBOSE, v, __VA_ARGS__)
#endif
