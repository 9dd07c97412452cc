/* libFuzzer target: the input is a dead process's session and its rings, as a start finds and recovers them; ASan and UBSan judge, and each
 * line that comes out must be whole. A session is 34 MiB, so the input holds of each file the ranges that matter:
 *
 *     file: 0 session, 1 ring 2, 2 ring 3 | 8 bytes: offset | 4 bytes: length | so many bytes      and again, to the end
 *
 * Sums are not compared, so that the input gets behind them (tests/faults/flips.c holds them to account). The corpus in tests/fuzz/rings
 * was written by this program itself: compiled with -DMAKE_CORPUS it logs, dies, and puts its own files into the one that it is given. */
#define METALOG_TEST_NO_CRC
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include <sys/wait.h>

static char dir[300], rings[340], log_path[340];

static void prepare(void) {
    (void)snprintf(dir, sizeof dir, "/dev/shm/metalog-fuzz-%d", getpid());
    (void)snprintf(rings, sizeof rings, "%s/rings", dir);
    (void)snprintf(log_path, sizeof log_path, "%s/app.log", dir);
    if (mkdir(dir, 0700) != 0) abort();
}

static void forget(void) {
    char command[400];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    (void)!system(command);
}

#ifdef MAKE_CORPUS
static void put(mlog_writer *w, const void *p) { mlog_put(w, "x", *(const int *)p); }

static void log_everything(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .flusher = MLOG_POLL, .ring_bytes = 4096, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    static const double list[] = {1.5, 2.25};
    int x = 3;
    if (mlog_init(&c) != 0) abort();
    mlog_info("written", "i", 1);
    (void)mlog_flush(1000);
    mlog_info("plain", "i", -5, "u", 7u, "d", 0.1, "s", "text with \"quotes\"", "null", (char *)NULL);
    mlog_warnf("printf %d %s %5.2f", 42, "words", 3.14159);
    mlog_error("values", "list", mlog_array(list, 2), "object", mlog_object(put, &x), "json", mlog_json("{\"a\":1}", 7));
    {
        mlog_with("task", 12, "source", "component");
        mlog_info("inside");
        mlog_to(mlog_bind(mlog_named("db"), "shard", 3), MLOG_NOTICE, "bound");
    }
    const mlog_field field = {"at run time", mlog_val(99)};
    mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "emitted", .fields = &field, .nfields = 1});
    (void)kill(getpid(), SIGKILL);
}

static void keep(FILE *to, int fd, unsigned char number, uint64_t at, uint64_t n) {
    static char bytes[1 << 16];
    uint32_t length = (uint32_t)(n < sizeof bytes ? n : sizeof bytes);
    if (pread(fd, bytes, length, (off_t)at) != (ssize_t)length) abort();
    while (length > 8 && bytes[length - 1] == 0) length--;
    (void)!(fwrite(&number, 1, 1, to) + fwrite(&at, 8, 1, to) + fwrite(&length, 4, 1, to) + fwrite(bytes, 1, length, to));
}

int main(int argc, char **argv) {
    FILE *to = argc > 1 ? fopen(argv[1], "wb") : NULL;
    prepare();
    pid_t pid = fork();
    if (pid == 0) log_everything();
    (void)waitpid(pid, NULL, 0);
    DIR *d = opendir(rings);
    for (const struct dirent *e; to != NULL && d != NULL && (e = readdir(d)) != NULL;) {
        static mlog__session head;
        const size_t first = offsetof(mlog__session, context);
        int fd = openat(dirfd(d), e->d_name, O_RDONLY);
        if (strstr(e->d_name, ".2.ring") != NULL) keep(to, fd, 1, 0, sizeof(mlog__ring) + 4096);
        if (strstr(e->d_name, ".session") == NULL || pread(fd, &head, first, 0) != (ssize_t)first) continue;
        keep(to, fd, 0, 0, offsetof(mlog__session, promise) + 2 * sizeof(mlog__promise));
        keep(to, fd, 0, first, head.contexts * MLOG__CONTEXT_BYTES);
        keep(to, fd, 0, offsetof(mlog__session, dict), head.dict_end);
        keep(to, fd, 0, offsetof(mlog__session, move), 64);
    }
    if (to != NULL) fclose(to);
    forget();
    return to == NULL;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 0x5eed };

static void lay_out(const uint8_t *data, size_t size) {
    const off_t most[3] = {sizeof(mlog__session), sizeof(mlog__ring) + 4096, sizeof(mlog__ring) + 16384};
    uint64_t id = ID, at;
    uint32_t length;
    for (int i = 0; i < 3; i++) {
        char path[MLOG__STORE_PATH];
        mlog__store_path(path, mlog__store.dir, ID, i > 0, (uint32_t)i + 1);
        bool any = i == 0;
        for (size_t k = 0; k + 13 <= size && !any; k += 13 + (size_t)length) memcpy(&length, data + k + 9, 4), any = data[k] % 3 == i;
        if (!any) continue;
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, most[i]) != 0) abort();
        for (size_t k = 0; k + 13 <= size; k += 13 + (size_t)length) {
            memcpy(&at, data + k + 1, 8);
            memcpy(&length, data + k + 9, 4);
            size_t n = MLOG__MIN((size_t)length, size - k - 13);
            if (data[k] % 3 == i && at < (uint64_t)most[i] && n <= (uint64_t)most[i] - at) (void)!pwrite(fd, data + k + 13, n, (off_t)at);
            if (n < length) break;
        }
        /* whose they are is not for the input to guess */
        (void)!pwrite(fd, &id, 8, i == 0 ? (off_t)offsetof(mlog__session, id) : (off_t)offsetof(mlog__ring, session));
        if (i == 0) (void)!pwrite(fd, &mlog__flush_all.sink[0].key, 8, (off_t)offsetof(mlog__session, promise));
        close(fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    static char text[1 << 20];
    if (fd < 0) {
        mlog_config c = {.env = "-", .ring_dir = rings, .flusher = MLOG_POLL, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
        prepare();
        (void)atexit(forget);
        if (mlog_init(&c) != 0) abort();
        fd = open(log_path, O_RDWR | O_CLOEXEC);
    }
    lay_out(data, size);
    mlog__flush_all.sink[0].last_time = 0;
    const char *place = mlog__store.dir;
    (void)mlog__recover_all(&place, 1, &mlog__flush_all.sink[0], 1);
    ssize_t n = pread(fd, text, sizeof text, 0);
    if (ftruncate(fd, 0) != 0) abort();
    for (ssize_t at = 0; at < n && n < (ssize_t)sizeof text;) {
        const char *end = memchr(text + at, '\n', (size_t)(n - at));
        if (end == NULL || text[at] != '{' || end[-1] != '}') abort();
        at = end + 1 - text;
    }
    char path[MLOG__STORE_PATH]; /* a session of another version stays */
    for (uint32_t i = 0; i < 3; i++) mlog__store_path(path, mlog__store.dir, ID, i > 0, i + 1), (void)unlink(path);
    return 0;
}
#endif
