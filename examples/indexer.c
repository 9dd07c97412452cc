/* indexer: walks a directory tree with several threads and logs one record per file.
 *
 * Shows: three sinks with different formats and levels, contexts that follow a worker, typed values, a progress line that shares the
 * terminal with the log, and the library's accounting checked against the program's own count.
 *
 *     cc -O2 -I. examples/indexer.c -o indexer -pthread && ./indexer -j 4 -o /tmp /usr/include
 *
 * Writes app.log (everything) and errors.log (ERROR and above) as JSON lines into the directory of -o; warnings go to stderr. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 64, LONG_LINE = 280 };

/* ---- what is left to do: a stack of directories. The walk is over when it is empty and nobody works on one. ---- */

struct dir { struct dir *next; char path[]; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct dir *todo;
static int busy, running;
static unsigned long files_seen; /* for the progress line */

static void push(const char *path) {
    size_t size = strlen(path) + 1;
    struct dir *d = malloc(sizeof *d + size);
    if (!d) mlog_fatal("out of memory", "path", path), exit(1);
    memcpy(d->path, path, size);
    pthread_mutex_lock(&lock);
    d->next = todo;
    todo = d;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* The next directory, or NULL when the walk is over. The caller says how many files it found in the last one. */
static struct dir *pop(bool first, unsigned long files) {
    pthread_mutex_lock(&lock);
    files_seen += files;
    if (!first) busy--;
    while (!todo && busy) pthread_cond_wait(&changed, &lock);
    struct dir *d = todo;
    if (d) todo = d->next, busy++;
    else running--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return d;
}

/* ---- the workers ---- */

struct worker { pthread_t thread; int number; uint64_t calls; int64_t spent; };

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A logging call, counted and timed: the proof at the end does not rest on the library's own counters. A program that is not about
 * counting just calls mlog_info. */
#define COUNTED(worker, level, call)                   \
    do {                                               \
        if (mlog_enabled(level)) {                     \
            int64_t before_call = now_ns();            \
            call;                                      \
            (worker)->spent += now_ns() - before_call; \
            (worker)->calls++;                         \
        }                                              \
    } while (0)

static void index_file(struct worker *w, int at, const char *name, const char *path) {
    int64_t start = now_ns();
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        COUNTED(w, MLOG_ERROR, mlog_error("cannot open", "path", path, "error", mlog_errno(errno)));
        return;
    }
    static _Thread_local char buffer[1 << 16];
    uint64_t bytes = 0, lines = 0, longest = 0, line = 0;
    bool binary = false;
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        bytes += (uint64_t)got;
        binary = binary || memchr(buffer, 0, (size_t)got);
        for (const char *p = buffer, *end = buffer + got; p < end;) {
            const char *newline = memchr(p, '\n', (size_t)(end - p));
            line += (uint64_t)((newline ? newline : end) - p);
            if (line > longest) longest = line;
            if (newline) lines++, line = 0;
            p = newline ? newline + 1 : end;
        }
    }
    if (got < 0) COUNTED(w, MLOG_ERROR, mlog_error("cannot read", "path", path, "at", bytes, "error", mlog_errno(errno)));
    close(fd);

    if (bytes == 0) COUNTED(w, MLOG_WARN, mlog_warn("empty file", "path", path));
    if (binary) COUNTED(w, MLOG_WARN, mlog_warn("binary content", "path", path, "bytes", bytes));
    else if (longest > LONG_LINE) COUNTED(w, MLOG_WARN, mlog_warn("very long line", "path", path, "longest", longest));
    COUNTED(w, MLOG_INFO, mlog_info("file indexed", "path", path, "bytes", bytes, "lines", lines, "longest", longest,
                                    "took", mlog_dur(now_ns() - start)));
}

static bool index_entry(struct worker *w, int at, const char *name, const char *path) {
    struct stat s;
    if (fstatat(at, name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
        COUNTED(w, MLOG_ERROR, mlog_error("cannot stat", "path", path, "error", mlog_errno(errno)));
    } else if (S_ISDIR(s.st_mode)) {
        push(path);
    } else if (S_ISREG(s.st_mode)) {
        index_file(w, at, name, path);
        return true;
    } else if (S_ISLNK(s.st_mode)) {
        if (fstatat(at, name, &s, 0) != 0) COUNTED(w, MLOG_ERROR, mlog_error("dangling symlink", "path", path, "error", mlog_errno(errno)));
        else COUNTED(w, MLOG_DEBUG, mlog_debug("symlink not followed", "path", path));
    } else {
        COUNTED(w, MLOG_WARN, mlog_warn("no regular file", "path", path, "mode", s.st_mode));
    }
    return false;
}

static unsigned long index_dir(struct worker *w, const char *path) {
    unsigned long files = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        COUNTED(w, MLOG_ERROR, mlog_error("cannot list", "path", path, "error", mlog_errno(errno)));
        return 0;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        char full[PATH_MAX];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        int n = snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof full) COUNTED(w, MLOG_ERROR, mlog_error("path too long", "name", e->d_name));
        else files += index_entry(w, dirfd(dir), e->d_name, full);
    }
    closedir(dir);
    return files;
}

static void *work(void *argument) {
    struct worker *w = argument;
    char name[16];
    snprintf(name, sizeof name, "worker-%d", w->number);
    mlog_thread(&(mlog_thread_config){.name = name}); /* and makes its ring now, not in the first call */
    mlog_with("worker", w->number); /* on every record of this thread, until the function ends */
    unsigned long files = 0;
    bool first = true;
    for (struct dir *d; (d = pop(first, files)); first = false) {
        files = index_dir(w, d->path);
        free(d);
    }
    return NULL;
}

/* Shown while the workers run. The cursor stays at the line's start, and the text is shorter than the time and level that begin
 * every log line: a log line writes over it, and neither garbles the other. */
static void show_progress(void) {
    char text[32];
    bool terminal = isatty(STDERR_FILENO);
    pthread_mutex_lock(&lock);
    while (running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        while (running && pthread_cond_timedwait(&changed, &lock, &until) != ETIMEDOUT) {}
        if (!terminal) continue;
        int n = snprintf(text, sizeof text, running ? "%8lu files\r" : "\033[K", files_seen);
        if (write(STDERR_FILENO, text, (size_t)n) != n) terminal = false;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the accounting: the program's own count against the library's counters ---- */

static const char *verdict(uint64_t left, uint64_t right) { return left == right ? "OK" : "MISMATCH"; }

static bool account(uint64_t calls) {
    static const char *const names[] = {"terminal", "app", "errors"};
    mlog_stats all;
    mlog_stats_read(&all);
    bool ok = calls == all.accepted + all.dropped;
    printf("calls = accepted + dropped: %" PRIu64 " = %" PRIu64 " + %" PRIu64 "  %s\n", calls, all.accepted, all.dropped,
           verdict(calls, all.accepted + all.dropped));
    printf("accepted = written + filtered + folded + lost + pending, for each sink:\n");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        mlog_sink_stats s;
        if (mlog_sink_stats_read(names[i], &s) != 0) {
            printf("  %-8s  %s\n", names[i], mlog_why());
            ok = false;
            continue;
        }
        uint64_t sum = s.written + s.filtered + s.folded + s.lost + s.pending;
        printf("  %-8s  %" PRIu64 " = %" PRIu64 " + %" PRIu64 " + %" PRIu64 " + %" PRIu64 " + %" PRIu64 "  %s\n", names[i], all.accepted,
               s.written, s.filtered, s.folded, s.lost, s.pending, verdict(all.accepted, sum));
        ok = ok && sum == all.accepted;
    }
    return ok;
}

/* What two readings of the clock cost: they surround each call and are taken off. */
static int64_t clock_cost(void) {
    int64_t start = now_ns();
    for (int i = 0; i < 10000; i++) (void)now_ns();
    return (now_ns() - start) / 10000;
}

int main(int argc, char **argv) {
    static struct worker workers[MAX_WORKERS];
    const char *out = ".";
    int threads = 4, option;
    char app[PATH_MAX], errors[PATH_MAX];
    while ((option = getopt(argc, argv, "j:o:")) != -1) {
        if (option == 'j') threads = atoi(optarg);
        else if (option == 'o') out = optarg;
        else threads = 0;
    }
    if (threads < 1 || threads > MAX_WORKERS || argc - optind > 1) {
        fprintf(stderr, "usage: %s [-j 1..%d] [-o directory of the logs] [directory to index]\n", argv[0], MAX_WORKERS);
        return 2;
    }
    snprintf(app, sizeof app, "%s/app.log", out);
    snprintf(errors, sizeof errors, "%s/errors.log", out);
    unlink(app), unlink(errors); /* log files are appended to; this run's log shall stand alone */

    if (mlog_init(&(mlog_config){.name = "indexer",
                                 .sinks = {{.name = "terminal", .type = MLOG_CONSOLE, .format = MLOG_PRETTY, .level = MLOG_WARN},
                                           {.name = "app", .type = MLOG_FILE, .path = app},
                                           {.name = "errors", .type = MLOG_FILE, .path = errors, .level = MLOG_ERROR}}}) != 0) {
        fprintf(stderr, "indexer: %s\n", mlog_why());
        return 1;
    }

    int64_t start = now_ns();
    push(optind < argc ? argv[optind] : "/usr/include");
    running = threads;
    for (int i = 0; i < threads; i++) {
        workers[i].number = i + 1;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            fprintf(stderr, "indexer: cannot start a thread\n");
            return 1;
        }
    }
    show_progress();
    uint64_t calls = 0;
    int64_t spent = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        calls += workers[i].calls;
        spent += workers[i].spent;
    }
    if (mlog_flush(-1) != 0) fprintf(stderr, "indexer: %s\n", mlog_why());
    double seconds = (double)(now_ns() - start) / 1e9;

    printf("%lu files indexed by %d threads in %.2f s; logs: %s, %s\n", files_seen, threads, seconds, app, errors);
    bool ok = account(calls);
    if (calls) printf("%" PRId64 " ns per logging call\n", spent / (int64_t)calls - clock_cost());
    return ok ? 0 : 1;
}
