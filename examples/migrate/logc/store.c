/* The store: its calls are the plain macros, and a function with a list of arguments of its own. */
#include "store.h"

#include <stdarg.h>
#include <string.h>

static struct { char key[16]; int value; } slot[4];
static int used;

int store_put(const char *key, int value) {
    log_trace("put %s=%d", key, value);
    if (used == 4) {
        log_warn("store is full: key=%s lost", key);
        return -1;
    }
    strncpy(slot[used].key, key, sizeof slot[used].key - 1);
    slot[used++].value = value;
    log_debug("%d of %d slots used, %.1f%%", used, 4, used * 25.0);
    return 0;
}

int store_get(const char *key, int *value) {
    for (int i = 0; i < used; i++)
        if (strcmp(slot[i].key, key) == 0) return *value = slot[i].value, 0;
    const char *missing = "no such key: %s";
    log_info(missing, key); /* the format is no literal */
    return -1;
}

void store_report(const char *format, ...) {
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_info(text);
    STORE_LOG(LOG_WARN, "%s", text);
}
