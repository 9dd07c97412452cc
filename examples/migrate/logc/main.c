/* A program that logs with log.c (https://github.com/rxi/log.c), written as its users write: a level from the command line, a file, a
 * callback that looks at each error, a lock for its threads. tests/migrate.sh builds it with a stand-in of log.c, and with metalog.
 *
 *     main LEVEL FILE [quiet]
 */
#include "store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(bool on, void *udata) {
    if (on) pthread_mutex_lock(udata);
    else pthread_mutex_unlock(udata);
}

static void notify(log_Event *ev) {
    char text[256];
    vsnprintf(text, sizeof text, ev->fmt, ev->ap);
    printf("%s: %s at %s:%d: %s\n", (const char *)ev->udata, log_level_string(ev->level), ev->file, ev->line, text);
}

static void *work(void *arg) {
    for (int i = 0; i < 3; i++) log_info("worker %s step %d of %d", (const char *)arg, i + 1, 3);
    return NULL;
}

int main(int argc, char **argv) {
    FILE *fp = argc > 2 ? fopen(argv[2], "w") : NULL;
    int value, evaluated = 0;
    if (fp == NULL) return log_fatal("usage: main LEVEL FILE"), 2;
    log_set_level(atoi(argv[1]));
    log_set_lock(lock, &mutex);
    log_set_quiet(argc > 3 && strcmp(argv[3], "quiet") == 0);
    if (log_add_fp(fp, LOG_DEBUG) != 0 || log_add_callback(notify, "mail to ops", LOG_ERROR) != 0) return 1;

    log_info("started, %d arguments, level %s", argc, log_level_string(atoi(argv[1])));
    for (int i = 0; i < 5; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        CHECKED(store_put(key, i * i));
    }
    if (store_get("k3", &value) == 0) log_debug("k3=%d hex=0x%04x ptr=%p size=%zu", value, (unsigned)value, (void *)0, sizeof value);
    else log_error("k3 is gone");
    store_get("k9", &value) == 0 ? log_info("found") : log_warn("not found, evaluated %d", ++evaluated);
    store_report("%-6s|%6s|%+d|%c|%lld", "left", "right", 42, 'x', -1234567890123LL);

    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, i == 0 ? "ann" : "bob");
        pthread_join(thread, NULL);
    }
    log_error("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %s", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, "18");
    log_fatal("done, evaluated %d", evaluated);
    fclose(fp);
    return 0;
}
