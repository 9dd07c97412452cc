#define _GNU_SOURCE
#include "zf_log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int _zf_log_global_output_lvl;
static const char *prefix = "";
static unsigned width = 32, mask = ZF_LOG_PUT_STD;
static void *output_arg;
static zf_log_output_cb output = zf_log_out_stderr_callback;

void zf_log_set_tag_prefix(const char *p) { prefix = p ? p : ""; }
void zf_log_set_mem_width(unsigned w) { width = w; }
void zf_log_set_output_level(int lvl) { _zf_log_global_output_lvl = lvl; }
void zf_log_set_output_v(unsigned m, void *arg, zf_log_output_cb callback) { mask = m, output_arg = arg, output = callback; }

void zf_log_out_stderr_callback(const zf_log_message *m, void *arg) {
    (void)arg;
    *m->p = '\n';
    if (write(2, m->buf, (size_t)(m->p - m->buf + 1)) < 0) return;
}

static void dump(zf_log_message *m, const unsigned char *d, unsigned n) {
    for (unsigned at = 0; at < n; at += width) {
        m->p = m->msg_b;
        for (unsigned i = at; i < at + width; i++) m->p += i < n ? sprintf(m->p, "%02x", d[i]) : sprintf(m->p, "  ");
        m->p += sprintf(m->p, "  ");
        for (unsigned i = at; i < n && i < at + width; i++) *m->p++ = isprint(d[i]) ? (char)d[i] : '?';
        output(m, output_arg);
    }
}

void _zf_log_write_mem_d(const char *func, const char *file, int line, int lvl, const char *tag, const void *d, unsigned n, const char *fmt, ...) {
    char buf[512], time_text[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(time_text, sizeof time_text, "%m-%d %H:%M:%S", localtime(&now.tv_sec));
    zf_log_message m = {.lvl = lvl, .tag = tag, .buf = buf, .p = buf, .e = buf + 510};
    if (mask & ZF_LOG_PUT_CTX)
        m.p += sprintf(m.p, "%s.%03ld %5d %5d %c ", time_text, now.tv_nsec / 1000000, (int)getpid(), (int)gettid(), "?VDIWEF"[lvl]);
    m.tag_b = m.tag_e = m.p;
    if (mask & ZF_LOG_PUT_TAG && (tag || *prefix)) {
        m.p += sprintf(m.p, "%s%s%s", prefix, *prefix && tag ? "." : "", tag ? tag : "");
        m.tag_e = m.p;
        *m.p++ = ' ';
    }
    if (mask & ZF_LOG_PUT_SRC) m.p += sprintf(m.p, "%s@%s:%d ", func, strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line);
    m.msg_b = m.p;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(m.p, (size_t)(m.e - m.p + 1), fmt, args);
    va_end(args);
    m.p = len < 0 || len > m.e - m.p ? m.e : m.p + len;
    output(&m, output_arg);
    dump(&m, d, d ? n : 0);
}
