#include "log.h"

static struct { log_LogFn fn; void *udata; int level; } out[32];
static int count, lowest;
static bool quiet;
static log_LockFn lock;
static void *lock_data;

const char *log_level_string(int level) {
    static const char *const name[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    return name[level];
}

void log_set_lock(log_LockFn fn, void *udata) { lock = fn, lock_data = udata; }
void log_set_level(int level) { lowest = level; }
void log_set_quiet(bool enable) { quiet = enable; }

int log_add_callback(log_LogFn fn, void *udata, int level) {
    if (count == 32) return -1;
    out[count].fn = fn;
    out[count].udata = udata;
    out[count++].level = level;
    return 0;
}

static void print(log_Event *ev, const char *time_format) {
    char at[64];
    at[strftime(at, sizeof at, time_format, ev->time)] = 0;
    fprintf(ev->udata, "%s %-5s %s:%d: ", at, log_level_string(ev->level), ev->file, ev->line);
    vfprintf(ev->udata, ev->fmt, ev->ap);
    fputc('\n', ev->udata);
    fflush(ev->udata);
}

static void to_file(log_Event *ev) { print(ev, "%Y-%m-%d %H:%M:%S"); }
static void to_stderr(log_Event *ev) { print(ev, "%H:%M:%S"); }

int log_add_fp(FILE *fp, int level) { return log_add_callback(to_file, fp, level); }

void log_log(int level, const char *file, int line, const char *fmt, ...) {
    time_t now = time(NULL);
    log_Event ev = {.fmt = fmt, .file = file, .line = line, .level = level, .time = localtime(&now)};
    if (lock) lock(true, lock_data);
    for (int i = -1; i < count; i++) {
        if (i < 0 ? quiet || level < lowest : level < out[i].level) continue;
        ev.udata = i < 0 ? (void *)stderr : out[i].udata;
        va_start(ev.ap, fmt);
        (i < 0 ? to_stderr : out[i].fn)(&ev);
        va_end(ev.ap);
    }
    if (lock) lock(false, lock_data);
}
