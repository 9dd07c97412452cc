#include "spool.h"
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void log_open(const char *name, int debug) {
    openlog(name, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    setlogmask(LOG_UPTO(debug ? LOG_DEBUG : LOG_INFO));
}

/* The module's name in front of the text: the format is made anew for each call, in a buffer. */
void log_at(int priority, const char *module, const char *format, ...) {
    char whole[256];
    va_list args;
    snprintf(whole, sizeof whole, "%s: %s\n", module, format);
    va_start(args, format);
    vsyslog(priority, whole, args);
    va_end(args);
}

void log_audit(const char *user, const char *what) { syslog(LOG_AUTHPRIV | LOG_NOTICE, "user=%s did=%s", user, what); }
