/* METALOG_NO_THREADS and METALOG_NO_FILES, one or both: what is left works, what is gone is refused. JSON lines on standard error,
 * their number on standard output. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include <dirent.h>
#include <sys/wait.h>

static int failed, expected, heard;
#define WANT(x) ((x) ? (void)0 : (void)(failed++, fprintf(stdout, "line %d: %s; %s\n", __LINE__, #x, mlog_why())))

static int hear(void *user, const mlog_record *r) {
    (void)user;
    heard++;
    if (strcmp(r->msg, "echo") != 0) mlog_info("echo"), expected++;
    return 0;
}

static int tasks(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    if (d != NULL) closedir(d);
    return n;
}

#ifdef METALOG_NO_THREADS
static int on_stderr(void) { /* bytes that the file behind standard error has */
    struct stat st;
    return fstat(2, &st) == 0 ? (int)st.st_size : -1;
}

static void drained_by_caller(void) {
    mlog_config thread = {.env = "-", .flusher = MLOG_THREAD}, poll = {.env = "-", .flusher = MLOG_POLL}, none = {.env = "-"};
    int before = on_stderr();
    WANT(mlog_init(&thread) == -1 && strstr(mlog_why(), "METALOG_NO_THREADS") != NULL);
    mlog_info("direct", "n", 1), expected++;
    WANT(on_stderr() > before);
    WANT(mlog_poll(0) == -1);
    WANT(mlog_init(&poll) == 0);
    before = on_stderr();
    mlog_info("polled", "n", 2), expected++;
    WANT(on_stderr() == before);
    WANT(mlog_poll(0) == 0 && on_stderr() > before);
    WANT(mlog_init(&none) == 0);
}
#endif

#ifdef METALOG_NO_FILES
static void no_files(void) {
    mlog_config file = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = "build/compile/none.log"}}};
    mlog_config output = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = "/dev/stderr"}}};
    WANT(mlog_init(&file) == -1 && strstr(mlog_why(), "METALOG_NO_FILES") != NULL);
    WANT(mlog_init(&output) == -1);
    WANT(mlog_sink_add(&file.sinks[0]) == NULL && strstr(mlog_why(), "METALOG_NO_FILES") != NULL);
    WANT(access("build/compile/none.log", F_OK) != 0);
}
#else
static void no_files(void) {
    mlog_config file = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = "build/compile/some.log"}}}, none = {.env = "-"};
    struct stat st;
    WANT(mlog_init(&file) == 0);
    mlog_info("into the file");
    WANT(mlog_flush(5000) == 0 && stat("build/compile/some.log", &st) == 0 && st.st_size > 0);
    WANT(mlog_init(&none) == 0);
}
#endif

int main(void) {
    mlog_sink_config callback = {.type = MLOG_CALLBACK, .write = hear}, null = {.type = MLOG_NULL};
#ifdef METALOG_NO_THREADS
    drained_by_caller();
#endif
    no_files();
    for (int i = 0; i < 5000; i++) mlog_info("counted", "n", i, "text", "some text"), expected++;
    mlog_warnf("%d and %s", 1, "two"), expected++;
    WANT(mlog_sink_add(&null) != NULL);
    mlog_sink *sink = mlog_sink_add(&callback);
    WANT(sink != NULL);
    mlog_info("heard"), expected++;
    WANT(mlog_flush(5000) == 0);
    WANT(mlog_flush(5000) == 0);
    WANT(heard == 2);
    mlog_sink_remove(sink);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        mlog_info("in the child");
        exit(0);
    }
    int status = -1;
    WANT(waitpid(pid, &status, 0) == pid && status == 0), expected++;
#ifdef METALOG_NO_THREADS
    WANT(tasks() == 1);
#else
    WANT(tasks() > 1);
#endif
    mlog_info("the last"), expected++; /* exit sees it out */
    printf("%d\n", expected);
    return failed != 0;
}
