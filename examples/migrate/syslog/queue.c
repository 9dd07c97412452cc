#include "spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static int run_job(const char *dir, int number) {
    char path[512];
    snprintf(path, sizeof path, "%s/job.%d", dir, number);
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        int error = errno;
        log_at(LOG_ERR, "queue", "cannot open %s: %m", path);
        errno = error;
        return -1;
    }
    close(fd);
    syslog(LOG_INFO, "job %d of %s: %5.1f%% done, state \"%-8s\" %#06x", number, dir, number / 3.0, "printing", (unsigned)number);
    return 0;
}

int queue_run(const char *dir, int jobs) {
    int failed = 0;
    for (int i = 0; i < jobs; i++) {
        log_at(LOG_DEBUG, "queue", "job %d", i);
        failed += run_job(dir, i) != 0;
    }
    if (failed) log_at(LOG_WARNING, "queue", "%d of %d jobs failed", failed, jobs);
    syslog(LOG_LOCAL5 | LOG_CRIT, "%.*s|%c|%s|%ld|%zu\n", 5, "printers", 'x', "a line\nand \ttabs", -1L, sizeof(int));
    syslog(LOG_INFO, "%s", strerror(errno));
    return failed;
}
