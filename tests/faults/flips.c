/* Every single bit of a dead program's ring files and of its session, turned around one at a time: recovery neither crashes nor hangs, writes
 * whole lines only, and shows no definition that was not logged; what is missing is told. Ring records have no checksum, since a call would
 * have to compute it: a bit of a value that turns is another value, and this program says how often.
 *
 *     flips short|long [PART]
 *
 * short: one bit in five of heads, promises and definitions, of the rest one in so many; long: all bits of the rings, and all of the
 * session that lie within its head and what is used of its tables. Per part: bits, and of them those
 *   same       all records came back as they were: the bit did not matter, or it did and was seen and put right
 *   told       records were missing, and the log says so
 *   value      all came back, but a number, a text, a time, a thread or a context has changed
 *   silent     some are missing, and nothing was said: a bit of `head` or `cur`, which no second place could confirm
 *   doubled    some came twice: a bit of `cur`, where a promise did not say better
 *   kept       the session looks like one of another version or machine: it stays where it is, unread; where it is none, a start says so
 *   wrong      a message, a key, a place or a level that nobody had logged; torn: a line that is none; crash, hang. These must be 0. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include "../check.h"
#include <sys/wait.h>

static char log_path[512], rings[512], place[300];
enum { RECORDS = 11, RESULTS = 9 };
enum { SAME, TOLD, VALUE, SILENT, DOUBLED, KEPT, WRONG, TORN, CRASH };
static const char *const result_name[RESULTS] = {"same", "told", "value", "silent", "doubled", "kept", "wrong", "torn", "crash"};
static struct { volatile uint64_t bit, result[RESULTS]; volatile uint32_t done; } *common;

/* What is in the rings: part of it written already, so that positions and promises are not zero. */
static void victim(void) {
    mlog_config c = {.env = "-", .ring_dir = rings, .flusher = MLOG_POLL, .ring_bytes = 4096, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    static const double list[] = {1.5, 2.5};
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    for (int i = 0; i < 3; i++) mlog_info("written", "i", i);
    (void)mlog_flush(1000);
    for (int i = 0; i < 4; i++) mlog_info("plain", "number", i, "half", 0.5);
    for (int i = 0; i < 3; i++) mlog_warnf("format %d of %s", i, "words");
    mlog_with("outer", 7);
    mlog_error("lists", "list", mlog_array(list, 2), "text", "some \"text\"", "null", (char *)NULL);
    mlog_to(mlog_named("net"), MLOG_NOTICE, "named", "code", 404);
    const mlog_field field = {"at run time", mlog_val(99)};
    const mlog_event e = {.at = MLOG_HERE, .level = MLOG_INFO, .msg = "emitted", .fields = &field, .nfields = 1};
    mlog_emit(&e);
    mlog_info("last", "end", 1);
    kill(getpid(), SIGKILL);
}

/* ---- the files: their bytes, and where data is ---- */

static struct { char path[600]; off_t size; char *bytes; bool session; off_t range[4][2]; int ranges; } file[8];
static int files;
static char *log_bytes;
static size_t log_len, log_written;

/* Of a session: what is used. */
static int find_ranges(int i, off_t range[4][2]) {
    const mlog__session *s = (const mlog__session *)(const void *)file[i].bytes;
    range[0][0] = 0;
    range[0][1] = file[i].session ? (off_t)offsetof(mlog__session, context) : file[i].size;
    if (!file[i].session) return 1;
    range[1][0] = offsetof(mlog__session, context);
    range[1][1] = range[1][0] + (off_t)s->contexts * MLOG__CONTEXT_BYTES;
    range[2][0] = offsetof(mlog__session, dict);
    range[2][1] = range[2][0] + (off_t)s->dict_end;
    range[3][0] = offsetof(mlog__session, move);
    range[3][1] = range[3][0] + 256;
    return 4;
}

static void keep_files(void) {
    DIR *dir = opendir(rings);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.' || files == 8) continue;
        (void)snprintf(file[files].path, sizeof file[files].path, "%s/%.64s", rings, e->d_name);
        int fd = open(file[files].path, O_RDONLY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0) abort();
        file[files].size = st.st_size;
        file[files].session = strstr(e->d_name, "session") != NULL;
        file[files].bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
            end = lseek(fd, at, SEEK_HOLE);
            if (pread(fd, file[files].bytes + at, (size_t)(end - at), at) != end - at) abort();
        }
        close(fd);
        file[files].ranges = find_ranges(files, file[files].range);
        files++;
    }
    if (dir != NULL) closedir(dir);
}

static void lay_out(void) {
    for (int i = 0; i < files; i++) {
        off_t(*range)[2] = file[i].range;
        (void)unlink(file[i].path);
        int fd = open(file[i].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), n = file[i].ranges;
        if (fd < 0 || ftruncate(fd, file[i].size) != 0) abort();
        for (int k = 0; k < n; k++)
            if (pwrite(fd, file[i].bytes + range[k][0], (size_t)(range[k][1] - range[k][0]), range[k][0]) < 0) abort();
        close(fd);
    }
}

/* ---- what came out ---- */

static char *good; /* the recovered lines without a flip */
static int good_lines;

static const char *line_at(const char *text, int i) {
    while (i-- > 0) text = strchr(text, '\n') + 1;
    return text;
}

/* A line without what rings hold: message, level, source, place and the keys are the definition's. */
static void bones(char *to, size_t size, const char *line, size_t n) {
    static const char *const part[] = {"\"level\":\"", "\"msg\":\"", "\"source\":\"", "\"at\":\""};
    size_t used = 0;
    for (int i = 0; i < 4; i++) {
        const char *at = memmem(line, n, part[i], strlen(part[i]));
        size_t len = at == NULL ? 0 : strcspn(at + strlen(part[i]), "\"\n");
        if (used + len + 2 < size && at != NULL) memcpy(to + used, at + strlen(part[i]), len), used += len, to[used++] = '|';
    }
    to[used] = 0;
}

/* Messages of records that carry their definition, and of formats with their values, are values themselves, and lie in the ring. */
static bool carries_message(const char *line, size_t n) {
    return memmem(line, n, "\"emitted\"", 9) != NULL || memmem(line, n, "\"format ", 8) != NULL;
}

static int judge(const char *text, size_t n, bool session) {
    int found = 0, same = 0, doubled = 0, wrong = 0, matched[64] = {0};
    bool told = memmem(text, n, "ring damaged: ", 14) != NULL || memmem(text, n, "\"source\":\"?\"", 12) != NULL; /* or that the name is lost */
    char want[400], have[400];
    for (const char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        size_t len = end == NULL ? 0 : (size_t)(end - line);
        if (len < 3 || line[0] != '{' || end[-1] != '}' || memmem(line + 1, len - 1, "{\"ts\"", 5) != NULL) return TORN;
        if (memmem(line, len, "ring damaged: ", 14) != NULL || memmem(line, len, "\"records dropped: ", 18) != NULL) continue;
        found++;
        bool known = false, exact = false;
        bones(have, sizeof have, line, len);
        known = memmem(line, len, "\"source\":\"?\"", 12) != NULL;
        for (int i = 0; i < good_lines && !exact; i++) {
            const char *g = line_at(good, i);
            size_t g_len = (size_t)(strchr(g, '\n') - g);
            exact = g_len == len && memcmp(g, line, len) == 0;
            if (exact && matched[i]++ != 0) doubled++;
            bones(want, sizeof want, g, g_len);
            known = known || strcmp(want, have) == 0 || (!session && carries_message(g, g_len));
        }
        same += exact;
        wrong += !known;
    }
    if (memmem(text, n, "\"written\"", 9) != NULL) doubled++; /* it was in the log already */
    if (wrong != 0) return WRONG;
    if (doubled != 0 || found > good_lines) return DOUBLED;
    if (found < good_lines) return told ? TOLD : SILENT;
    return same == good_lines ? SAME : told ? TOLD : VALUE;
}

/* Recovers what lies there into the log, as a start does. Returns the new text, and puts the log back. */
static char *recover(size_t *n) {
    static char text[1 << 18];
    static int fd = -1;
    if (fd < 0) fd = open(log_path, O_RDWR | O_CLOEXEC);
    mlog_sink *s = &mlog__flush_all.sink[0];
    s->last_time = 0;
    s->last_ticks = 0;
    const char *folder = mlog__store.dir;
    (void)mlog__recover_all(&folder, 1, s, 1);
    ssize_t got = pread(fd, text, sizeof text - 1, (off_t)log_written);
    *n = got < 0 ? 0 : (size_t)got;
    text[*n] = 0;
    struct stat st;
    bool cut = fstat(fd, &st) != 0 || (size_t)st.st_size < log_written;
    if (ftruncate(fd, (off_t)log_written) != 0 || (cut && pwrite(fd, log_bytes, log_written, 0) < 0)) abort();
    if (cut) *n = 1, text[0] = '!'; /* what was written before must stay */
    return text;
}

static void clear_rings(void) {
    for (int i = 0; i < files; i++) (void)unlink(file[i].path);
}

static bool in_head(int i, off_t at) {
    if (!file[i].session) return at < (off_t)sizeof(mlog__ring);
    return at < (off_t)offsetof(mlog__session, clock) || (at >= (off_t)offsetof(mlog__session, promise) && at < (off_t)offsetof(mlog__session, promise) + (off_t)sizeof(mlog__promise)) ||
           at >= (off_t)offsetof(mlog__session, dict);
}

/* Bit number n of file i, and the steps to the next that is tried. */
static uint64_t step_of(int i, off_t at, bool all) {
    bool zero = true;
    for (off_t k = at & ~63; k < (at & ~63) + 64 && k < file[i].size; k++) zero = zero && file[i].bytes[k] == 0;
    if (all) return 1;
    if (zero && !in_head(i, at)) return 20011;
    return in_head(i, at) && !zero ? 5 : in_head(i, at) ? 97 : 23;
}

/* One flip after another from `from` on. */
static void worker(int i, uint64_t from, bool all) {
    mlog_config c = {.env = "-", .ring_dir = rings, .flusher = MLOG_POLL, .sinks = {{.type = MLOG_FILE, .path = log_path}}};
    size_t n;
    off_t(*range)[2] = file[i].range;
    clear_rings();
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    if (good == NULL) {
        lay_out();
        good = strdup(recover(&n));
        for (const char *p = good; (p = strchr(p, '\n')) != NULL; p++) good_lines++;
        if (good_lines != RECORDS || lines(good, "recovered") != RECORDS) fprintf(stderr, "%d lines:\n%s", good_lines, good), _exit(4);
    }
    for (int k = 0; k < file[i].ranges; k++)
        for (uint64_t bit = (uint64_t)range[k][0] * 8; bit < (uint64_t)range[k][1] * 8; bit += step_of(i, (off_t)(bit / 8), all)) {
            if (bit < from) continue;
            common->bit = bit;
            (void)alarm(20);
            file[i].bytes[bit / 8] ^= (char)(1 << bit % 8);
            lay_out();
            const char *text = recover(&n);
            int result = judge(text, n, file[i].session);
            bool stays = result == SILENT && n == 0 && access(file[i].path, F_OK) == 0;
            if (stays) result = KEPT;
            common->result[result]++;
            if (result >= WRONG && common->result[WRONG] + common->result[TORN] < 4)
                printf("    %s, byte %llu bit %llu, %s: %.*s\n", file[i].session ? "session" : "ring", (unsigned long long)bit / 8, (unsigned long long)bit % 8,
                       result_name[result], n < 3000 ? (int)n : 3000, text);
            if (getenv("FLIPS_SHOW") != NULL && (result == SILENT || result == DOUBLED || result == KEPT)) printf("    byte %llu bit %llu: %s\n", (unsigned long long)bit / 8, (unsigned long long)bit % 8, result_name[result]);
            file[i].bytes[bit / 8] ^= (char)(1 << bit % 8);
            clear_rings();
        }
    common->done = 1;
    fflush(stdout);
    _exit(0);
}

static void flip_all(int i, bool all) {
    const char *base = strchr(strrchr(file[i].path, '/'), '.') + 1;
    int64_t began = now_ms();
    uint64_t sum = 0, from = 0, crashes = 0;
    memset(common, 0, sizeof *common);
    while (!common->done && crashes < 20) {
        int status;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) worker(i, from, all);
        waitpid(pid, &status, 0);
        if (common->done) break;
        printf("    %s, byte %llu bit %llu: status %x\n", base, (unsigned long long)common->bit / 8, (unsigned long long)common->bit % 8, (unsigned)status);
        crashes++;
        common->result[CRASH]++;
        from = common->bit + 1;
    }
    printf("    %-8s", base);
    for (int k = 0; k < RESULTS; k++) sum += common->result[k];
    printf(" %7llu bits:", (unsigned long long)sum);
    for (int k = 0; k < RESULTS; k++) printf(" %s %llu%s", result_name[k], (unsigned long long)common->result[k], k + 1 < RESULTS ? "," : "");
    printf("  %5.1f s\n", (double)(now_ms() - began) / 1000);
    CHECK_EQ(common->result[WRONG] + common->result[TORN] + common->result[CRASH], 0);
    CHECK(common->result[SAME] > 0 && sum > 100);
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    char command[1100];
    int status;
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("METALOG");
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0;
    if (shm) (void)snprintf(place, sizeof place, "/dev/shm/metalog-flips-%d", getpid());
    else (void)snprintf(place, sizeof place, "%s", temp_path("flips"));
    (void)snprintf(command, sizeof command, "rm -rf '%s' && mkdir -m 700 '%s'", place, place);
    CHECK_EQ(system(command), 0);
    (void)snprintf(log_path, sizeof log_path, "%s/app.log", place);
    (void)snprintf(rings, sizeof rings, "%s/rings", place);
    pid_t pid = fork();
    if (pid == 0) victim();
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    log_bytes = slurp(log_path, &log_len);
    log_written = log_len;
    keep_files();
    CHECK_EQ(files, 3);
    for (int i = 0; i < files; i++) {
        if (only == NULL || strstr(file[i].path, only) != NULL) flip_all(i, all);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", place);
    CHECK_EQ(system(command), 0);
    return done();
}
