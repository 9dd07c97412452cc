#define _GNU_SOURCE
#include "elog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void (*elog_assert_hook)(const char *expr, const char *func, size_t line);
static bool enabled;
static int lowest, tag_level = ELOG_LVL_VERBOSE;
static char tag_filter[31], word[17], tag_name[31];

ElogErrCode elog_init(void) { return lowest = ELOG_LVL_VERBOSE, ELOG_NO_ERR; }
void elog_start(void) { enabled = true; }
void elog_stop(void) { enabled = false; }
void elog_set_fmt(uint8_t level, size_t set) { (void)level, (void)set; }
void elog_set_text_color_enabled(bool on) { (void)on; }
void elog_set_filter_lvl(uint8_t level) { lowest = level; }
void elog_set_filter_tag(const char *tag) { snprintf(tag_filter, sizeof tag_filter, "%s", tag); }
void elog_set_filter_kw(const char *keyword) { snprintf(word, sizeof word, "%s", keyword); }
void elog_set_filter_tag_lvl(const char *tag, uint8_t level) { snprintf(tag_name, sizeof tag_name, "%s", tag), tag_level = level; }
void elog_assert_set_hook(void (*hook)(const char *expr, const char *func, size_t line)) { elog_assert_hook = hook; }

void elog_raw(const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (enabled) vfprintf(stderr, format, args);
    va_end(args);
}

void elog_output(uint8_t level, const char *tag, const char *file, const char *func, long line, const char *format, ...) {
    char text[1024], at[32];
    struct timespec now;
    va_list args;
    if (!enabled || level > lowest || !strstr(tag, tag_filter) || (strcmp(tag, tag_name) == 0 && level > tag_level)) return;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(at, sizeof at, "%m-%d %H:%M:%S", localtime(&now.tv_sec));
    int n = snprintf(text, sizeof text, "%c/%-15s [%s.%03ld pid:%d tid:%d] (%s:%ld %s)", "AEWIDV"[level], tag, at, now.tv_nsec / 1000000,
                     (int)getpid(), (int)gettid(), file, line, func);
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    if (strstr(text, word)) fprintf(stderr, "%s\n", text);
}

void elog_hexdump(const char *name, uint8_t width, const void *buf, uint16_t size) {
    const unsigned char *d = buf;
    for (unsigned at = 0; enabled && at < size; at += width) {
        fprintf(stderr, "D/HEX %s: %04X-%04X: ", name, at, at + width - 1);
        for (unsigned i = at; i < at + width; i++)
            if (i < size) fprintf(stderr, "%02X ", d[i]);
            else fprintf(stderr, "   ");
        fprintf(stderr, "  ");
        for (unsigned i = at; i < at + width && i < size; i++) fputc(d[i] >= ' ' && d[i] < 127 ? d[i] : '.', stderr);
        fputc('\n', stderr);
    }
}
