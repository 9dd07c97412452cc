/* Where no flusher thread can be started, the caller does its work: nothing is lost, and nothing hangs. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

static int refused;

/* Takes the place of the C library's: this process has no threads to give. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    (void)thread, (void)attr, (void)run, (void)arg;
    refused++;
    return EAGAIN;
}

int main(void) {
    const char *path = temp_path("alone.log");
    mlog_config config = {.sinks = {{.type = MLOG_FILE, .path = path}}};
    unlink(path);
    CHECK(mlog_init(&config) == 0);
    for (int i = 0; i < 50000; i++) mlog_info("alone", "i", i);
    CHECK(mlog_flush(2000) == 0);
    CHECK(refused > 0);
    mlog_stats stats;
    mlog_stats_read(&stats);
    size_t size;
    char *text = slurp(path, &size);
    CHECK(stats.accepted == 50000 && stats.dropped == 0);
    CHECK(lines(text, NULL) == 50000);
    CHECK(strstr(text, "\"i\":49999}") != NULL);
    free(text);
    return done();
}
