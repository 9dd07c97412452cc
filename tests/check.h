/* What the section tests share: a check that counts, files to write to and to read back. A test includes metalog.h with its
 * implementation first (this needs the libc headers that it brings). Everything here is static and may stay unused. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAYBE_UNUSED __attribute__((unused))

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif

#ifdef MLOG__SANITIZED
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static int check_passed, check_failed; /* also counted from other threads */

static void check(int ok, const char *text, const char *file, int line) {
    __atomic_fetch_add(ok ? &check_passed : &check_failed, 1, __ATOMIC_RELAXED);
    if (ok) return;
    printf("%s:%d: failed: %s\n", file, line, text);
    fflush(stdout); /* the next step may crash */
}

/* An expression: CHECK(x) is whether x held, `if (!CHECK(p != NULL)) return;` */
#define CHECK(cond)                                  \
    (__extension__({                                 \
        int check_ok_ = !!(cond);                    \
        check(check_ok_, #cond, __FILE__, __LINE__); \
        check_ok_;                                   \
    }))
/* Two numbers, shown when they differ. */
#define CHECK_EQ(a, b)                                                  \
    (__extension__({                                                    \
        long long check_a_ = (long long)(a), check_b_ = (long long)(b); \
        int check_same_ = check_a_ == check_b_;                         \
        check(check_same_, #a " == " #b, __FILE__, __LINE__);           \
        if (!check_same_) {                                             \
            printf("    %lld != %lld\n", check_a_, check_b_);           \
            fflush(stdout);                                             \
        }                                                               \
        check_same_;                                                    \
    }))

/* How many files there are in a directory, without those whose name begins with a dot; 0: it is not there. */
MAYBE_UNUSED static size_t files_in(const char *path) {
    size_t n = 0;
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) n += e->d_name[0] != '.';
    if (dir != NULL) closedir(dir);
    return n;
}

/* The closing line that tests/part.sh wants; main's result. */
MAYBE_UNUSED static int done(void) {
    printf("%d passed, %d failed\n", check_passed, check_failed);
    fflush(stdout);
    return check_failed != 0;
}

/* $TMPDIR/name (else build/tmp/name); up to 64 names live at once. */
MAYBE_UNUSED static const char *temp_path(const char *name) {
    static char paths[64][512];
    static unsigned next;
    char *path = paths[__atomic_fetch_add(&next, 1u, __ATOMIC_RELAXED) % 64];
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir) {
        dir = "build/tmp";
        (void)mkdir("build", 0755);
        (void)mkdir(dir, 0755);
    }
    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

/* The whole file, with a NUL behind it; for the caller to free; an unreadable file is "" (length 0). */
MAYBE_UNUSED static char *slurp(const char *path, size_t *length) {
    size_t size = 65536, got = 0;
    char *text = malloc(size);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!text) abort();
    while (fd >= 0) {
        ssize_t n;
        if (size - got < 2) {
            text = realloc(text, size *= 2);
            if (!text) abort();
        }
        n = read(fd, text + got, size - got - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    if (fd >= 0) (void)close(fd);
    text[got] = 0;
    if (length) *length = got;
    return text;
}

/* Lines of text, ended or not, that contain what; NULL: all of them. */
MAYBE_UNUSED static size_t lines(const char *text, const char *what) {
    size_t n = 0;
    while (*text) {
        const char *end = strchr(text, '\n');
        size_t len = end ? (size_t)(end - text) : strlen(text);
        n += !what || memmem(text, len, what, strlen(what)) != NULL;
        text += len + (end != NULL);
    }
    return n;
}

/* Lines of a file that contain what; NULL: all. */
MAYBE_UNUSED static size_t file_lines(const char *path, const char *what) {
    char *text = slurp(path, NULL);
    size_t n = lines(text, what);
    free(text);
    return n;
}

/* The integer behind "key": in this line, which ends at a newline; -1 if there is none. */
MAYBE_UNUSED static long long line_number(const char *line, const char *key) {
    char quoted[80];
    const char *end = strchr(line, '\n'), *at;
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = memmem(line, end ? (size_t)(end - line) : strlen(line), quoted, strlen(quoted));
    return at ? strtoll(at + strlen(quoted), NULL, 10) : -1;
}

/* Lines whose "who" is w hold "n" from 0 to count - 1, once each, in order; the number of wrong ones. */
MAYBE_UNUSED static long long wrong_of(const char *text, long long w, long long count) {
    long long next = 0, wrong = 0;
    for (const char *p = text; *p;) {
        const char *end = strchr(p, '\n');
        if (!end) return wrong + 1;
        if (line_number(p, "who") == w) wrong += line_number(p, "n") != next, next++;
        p = end + 1;
    }
    return wrong + llabs(count - next);
}

MAYBE_UNUSED static int64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

MAYBE_UNUSED static void sleep_ms(int ms) {
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

#endif
