/* Section recover: several processes write to one file, one of them is cut off in the middle of a write, at every byte, and killed; another
 * one has written in front of it, behind it, or not at all. The next start leaves each record once and no torn line, also when it is cut off
 * itself. Writes are cut by RLIMIT_FSIZE, so nothing here hangs on chance.
 * not under: tsan */
#define METALOG_IMPLEMENTATION
#define METALOG_TOOL 2 /* the reader, without its main */
#include "../metalog.h"
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

enum { RECORDS = 5 };
static char path[512], rings[512], foreign[4096];
static size_t foreign_len;
static mlog_format format;

static mlog_config config(void) {
    return (mlog_config){.ring_dir = rings, .flusher = MLOG_POLL, .ring_bytes = 64 << 10, .name = "writers",
                         .sinks = {{.type = MLOG_FILE, .path = path, .format = format}}};
}

/* No file of this process may become longer; 0: no limit. */
static void limit(size_t bytes) {
    struct rlimit l = {bytes == 0 ? RLIM_INFINITY : bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &l) != 0) abort();
}

static size_t size_of(const char *name) {
    struct stat st;
    return stat(name, &st) == 0 ? (size_t)st.st_size : 0;
}

static void append(const char *p, size_t n) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n) abort();
    close(fd);
}

static void log_them(void) {
    for (int i = 0; i < RECORDS; i++) mlog_info("of ours", "i", i, "text", "a text of some length");
}

/* Waits for a child that has to die by a signal (0: end with status 0). */
static void reap(pid_t pid, int signal) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(signal == 0 ? status : (WIFSIGNALED(status) ? WTERMSIG(status) : -1), signal);
}

/* Logs, writes `first` bytes in front of which somebody else may write, and is killed. Returns the bytes of its whole batch. */
static size_t victim(size_t first, bool in_front) {
    static size_t *whole;
    if (whole == NULL) whole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *whole = 0;
    pid_t pid = fork();
    if (pid == 0) {
        mlog_config c = config();
        if (mlog_init(&c) != 0) printf("%s\n", mlog_why()), _exit(3);
        log_them();
        if (in_front) { /* the batch is promised for one place and gets another one */
            limit(size_of(path) == 0 ? 1 : size_of(path));
            if (size_of(path) == 0) append("\n", 1); /* a limit of 0 is none */
            (void)mlog_poll(0);
            limit(0);
            append(foreign, foreign_len);
            for (int i = 0; i < 16; i++) mlog__flush_all.sink[i].retry_at = 0;
        }
        limit(size_of(path) + first);
        (void)mlog_poll(0);
        *whole = mlog__flush_all.sink[0].out.len;
        kill(getpid(), SIGKILL);
    }
    reap(pid, SIGKILL);
    return *whole;
}

/* The next start; `most`: bytes that it may append before it is cut off, and killed; 0: it ends in order. */
static void recover(size_t most) {
    pid_t pid = fork();
    if (pid == 0) {
        mlog_config c = config();
        if (most != 0) limit(size_of(path) + most);
        if (mlog_init(&c) != 0) printf("%s\n", mlog_why()), _exit(3);
        if (most != 0) kill(getpid(), SIGKILL);
        exit(mlog_shutdown(5000) != 0);
    }
    reap(pid, most != 0 ? SIGKILL : 0);
    if (most == 0) CHECK_EQ(files_in(rings), 0);
}

static int count[RECORDS], others;

static void tell(uint64_t i, const char *line) {
    if (i < RECORDS) count[i]++;
    else CHECK(false), printf("    %s\n", line);
}

/* Each text line must be whole; of binary files, nothing may be damaged. */
static void look(void) {
    size_t n;
    memset(count, 0, sizeof count);
    others = 0;
    if (format == MLOG_BINARY) {
        mlog__reader *r = mlog__reader_open(open(path, O_RDONLY | O_CLOEXEC));
        mlog__reader_record o;
        mlog__item it;
        mlog__buffer b = {0};
        while (mlog__reader_next(r, &o) == MLOG__READER_BLOCK) {
            mlog__reader_item(&o, &it);
            b.len = 0;
            if (!CHECK(mlog__reader_decode(&o, &it) && mlog__format_json(&b, &o.life->desk, &it))) continue;
            b.p[b.len] = 0;
            const char *at = strstr(b.p, "\"i\":");
            if (strstr(b.p, "foreign") != NULL) others++;
            else tell(at == NULL ? UINT64_MAX : strtoul(at + 4, NULL, 10), b.p);
        }
        free(b.p);
        CHECK_EQ(r->damaged, 0);
        mlog__reader_close(r);
        return;
    }
    char *text = slurp(path, &n);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        const char *at;
        *end = 0;
        line += strspn(line, " ");
        bool whole = format == MLOG_JSON ? line[0] == '{' && strrchr(line, '}') == end - 1 && strstr(line + 1, "{\"ts\"") == NULL
                     : format == MLOG_LOGFMT ? strncmp(line, "ts=", 3) == 0 && strstr(line + 1, "ts=20") == NULL : true;
        if (*line == 0) continue;
        if (!whole) CHECK(false), printf("    torn: %s\n", line);
        else if (strstr(line, "foreign") != NULL) others++;
        else if ((at = strstr(line, format == MLOG_JSON ? "\"i\":" : " i=")) != NULL) tell(strtoul(at + (format == MLOG_JSON ? 4 : 3), NULL, 10), line);
        else if (format != MLOG_PRETTY) CHECK(false), printf("    %s\n", line); /* there a torn line stays, ended */
    }
    CHECK(n == 0 || text[n - 1] == '\n' || strrchr(text, '\n') == NULL || strspn(strrchr(text, '\n') + 1, " ") == strlen(strrchr(text, '\n') + 1));
    free(text);
}

/* What another process writes: a line, or blocks, as one of that format does. */
static void make_foreign(void) {
    char keep[512];
    snprintf(keep, sizeof keep, "%s", path);
    snprintf(path, sizeof path, "%s", temp_path("foreign.log"));
    (void)unlink(path);
    pid_t pid = fork();
    if (pid == 0) {
        mlog_config c = config();
        c.crash_safe = MLOG_NO;
        int bad = mlog_init(&c);
        mlog_info("foreign", "n", 1);
        exit(bad != 0 || mlog_shutdown(5000) != 0);
    }
    reap(pid, 0);
    char *text = slurp(path, &foreign_len);
    if (foreign_len > sizeof foreign) abort();
    memcpy(foreign, text, foreign_len);
    free(text);
    snprintf(path, sizeof path, "%s", keep);
}

static uint64_t histories, doubled;

static void one(size_t first, bool in_front, bool behind, size_t cut) {
    (void)unlink(path);
    if (format == MLOG_BINARY && in_front) append(foreign, foreign_len); /* no newline goes into those */
    (void)victim(first, in_front);
    if (behind) append(foreign, foreign_len);
    if (cut != 0) recover(cut);
    if (cut != 0 && behind) append(foreign, foreign_len);
    recover(0);
    look();
    histories++;
    int bad = check_failed;
    int foreigners = in_front + behind + (cut != 0 && behind);
    CHECK_EQ(others, format == MLOG_BINARY ? foreigners != 0 : foreigners); /* one record by its id, wherever it stands: readers fold it */
    for (int i = 0; i < RECORDS; i++) {
        if (format == MLOG_PRETTY) CHECK(count[i] >= 1), doubled += count[i] > 1;
        else CHECK_EQ(count[i], 1);
    }
    if (bad == check_failed) return;
    size_t n;
    char *text = slurp(path, &n);
    printf("  format %d, %zu bytes, in front %d, behind %d, recovery cut at %zu\n%.3000s\n", format, first, in_front, behind, cut, format == MLOG_BINARY ? "" : text);
    free(text);
}

static void all_of(mlog_format f, const char *name, size_t step) {
    format = f;
    make_foreign();
    (void)unlink(path);
    size_t whole = victim(1, false);
    uint64_t before = histories;
    recover(0);
    CHECK(whole > 200);
    doubled = 0;
    for (int where = 0; where < 4; where++)
        for (size_t first = 1; first <= whole && check_failed < 20; first += first < 70 ? 1 + step / 8 : step) {
            one(first, where & 1, where & 2, 0);
            if (where >= 2) one(first, where & 1, true, 1 + first * 7 % 300);
        }
    printf("%s: %llu histories of a batch of %zu bytes, doubled %llu\n", name, (unsigned long long)(histories - before), whole, (unsigned long long)doubled);
}

/* A write that stays short while its process lives on: another one writes behind it. */
static void live(mlog_format f) {
    format = f;
    make_foreign();
    for (size_t first = 1; first < 400 && check_failed < 20; first += 13) {
        (void)unlink(path);
        pid_t pid = fork();
        if (pid == 0) {
            mlog_config c = config();
            if (mlog_init(&c) != 0) _exit(3);
            log_them();
            limit(first);
            (void)mlog_poll(0);
            limit(0);
            append(foreign, foreign_len);
            for (int i = 0; i < 16; i++) mlog__flush_all.sink[i].retry_at = 0;
            (void)mlog_poll(0);
            exit(mlog_shutdown(5000) != 0);
        }
        reap(pid, 0);
        look();
        CHECK_EQ(others, 1);
        for (int i = 0; i < RECORDS; i++) CHECK_EQ(count[i], 1);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("METALOG");
    (void)signal(SIGXFSZ, SIG_IGN);
    snprintf(path, sizeof path, "%s", temp_path("writers.log"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-writers-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("writers-rings"));
    all_of(MLOG_JSON, "JSON", 17);
    all_of(MLOG_LOGFMT, "LOGFMT", 37);
    all_of(MLOG_BINARY, "BINARY", 23);
    all_of(MLOG_PRETTY, "PRETTY", 61);
    live(MLOG_JSON);
    live(MLOG_BINARY);
    if (shm) (void)rmdir(rings);
    return done();
}
