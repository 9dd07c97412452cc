/* ending MODE COUNT: logs that many messages through syslog(3) and ends as MODE says. */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

static void leave(void) { _exit(9); }

static void log_some(const char *who, int count) {
    for (int i = 0; i < count; i++) syslog(LOG_INFO, "%s message %d", who, i);
}

/* Twice forked, and everything closed in between, as daemons do it. */
static void daemonise(int count, int wake) {
    log_some("starter", count);
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 3; fd++) close(fd);
    log_some("session", count);
    setsid();
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 1024; fd++)
        if (fd != wake) close(fd);
    if (chdir("/") != 0) _exit(1);
    (void)open("/dev/null", O_RDWR);
    (void)dup(0);
    (void)dup(0);
    log_some("daemon", count);
    closelog();
    openlog("again", LOG_PID, LOG_DAEMON);
    log_some("reopened", count);
    for (int fd = 0; fd < 1024; fd++)
        if (fd != wake) close(fd);
    log_some("closed", count);
    exit(0);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 1, status = 0, ends[2];
    openlog("ending", LOG_PID, LOG_DAEMON);
    if (strcmp(mode, "daemon") == 0) {
        if (pipe(ends) != 0) return 1;
        pid_t pid = fork();
        if (pid == 0) daemonise(count, ends[1]);
        close(ends[1]);
        char c;
        while (read(ends[0], &c, 1) > 0) {} /* ends when the last of them has ended */
        return waitpid(pid, &status, 0) != pid || status != 0;
    }
    if (strcmp(mode, "err") == 0 && atexit(leave) != 0) return 1; /* nothing behind it runs */
    log_some(mode, count - (strcmp(mode, "err") == 0));
    if (strcmp(mode, "err") == 0) errx(9, "err message %d", count - 1);
    if (strcmp(mode, "_exit") == 0) _exit(0);
    if (strcmp(mode, "abort") == 0) abort();
    if (strcmp(mode, "kill") == 0) raise(SIGKILL);
    if (strcmp(mode, "return") == 0) return 0;
    exit(0);
}
