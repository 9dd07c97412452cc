/* A small print spooler that logs through syslog(3). Nothing in this directory knows of metalog; README, "Migration", shows what is
 * added to the build so that its messages become records.
 *
 *     cc examples/migrate/syslog/[mlq]*.c -o spoold && ./spoold /tmp 3 */
#include "spool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: %s directory jobs [debug]\n", argv[0]), 2;
    syslog(LOG_INFO, "not open yet");
    log_open("spoold", argc > 3);
    log_at(LOG_NOTICE, "main", "starting in %s", argv[1]);
    log_audit("root", "start");
    int failed = queue_run(argv[1], atoi(argv[2]));

    pid_t pid = fork(); /* a helper with a name and a mask of its own */
    if (pid == 0) {
        openlog("spoold-helper", LOG_PID, LOG_MAIL);
        setlogmask(LOG_UPTO(LOG_DEBUG));
        syslog(LOG_DEBUG, "helper of %s", argv[1]);
        closelog();
        exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    errno = ENOSPC;
    syslog(LOG_ALERT, "helper ended with %d: %m", status);
    syslog(0x40000000 | LOG_ERR, "wrong bits");
    closelog();
    openlog(NULL, 0, LOG_LOCAL7);
    syslog(LOG_INFO, "stopping, %d failed", failed);
    return failed != 0;
}
