/* When a sink writes: at once, or held back until a level, a time, a number of records, or somebody who waits. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

static const char *path;

static void start(mlog_sink_config sink, uint32_t ring_bytes) {
    mlog_config c = {.env = "-", .ring_bytes = ring_bytes, .full = MLOG_BLOCK, .sinks = {sink}};
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

static void start_file(const char *name, mlog_sink_config sink) {
    path = temp_path(name);
    (void)unlink(path);
    sink.type = MLOG_FILE;
    sink.path = path;
    start(sink, 0);
}

static size_t written(void) { return file_lines(path, NULL); }

/* How long until the file has n lines, in ms; -1: not within `most`. */
static int64_t until(size_t n, int64_t most) {
    int64_t begin = now_ms();
    while (written() < n)
        if (now_ms() - begin > most) return -1;
        else sleep_ms(2);
    return now_ms() - begin;
}

static void test_at_once(void) { /* the control: without any of the three nothing is held back */
    start_file("once.log", (mlog_sink_config){0});
    mlog_info("one");
    CHECK(until(1, 2000) >= 0);
}

static void test_time(void) {
    mlog_stats all;
    mlog_sink_stats one;
    start_file("time.log", (mlog_sink_config){.flush_ms = 1200});
    mlog_stats_read(&all);
    uint64_t before = all.accepted;
    int64_t begin = now_ms();
    mlog_info("one");
    sleep_ms(200);
    for (int i = 0; i < 3; i++) mlog_info("more", "i", i);
    mlog_debug("filtered");
    sleep_ms(200);
    size_t early = written();
    if (now_ms() - begin < 1000) CHECK_EQ(early, 0);
    mlog_stats_read(&all);
    CHECK(mlog_sink_stats_read("file", &one) == 0);
    CHECK_EQ(all.accepted - before, one.written + one.filtered + one.lost + one.pending);
    if (now_ms() - begin < 1000) CHECK_EQ(one.pending, 4);
    CHECK(until(4, 10000) >= 0);
    int64_t took = now_ms() - begin;
    CHECK(took >= 1150);
    if (took > 3000) printf("    held for %lld ms instead of 1200\n", (long long)took);
    mlog_info("five"); /* the time begins anew */
    sleep_ms(100);
    CHECK_EQ(written(), 4);
    CHECK(mlog_flush(-1) == 0); /* who waits gets it at once */
    CHECK_EQ(written(), 5);
    CHECK(mlog_flush(0) == 0);
    mlog_info("six");
    (void)mlog_flush(0); /* waits for nothing, but nothing is held back any more */
    CHECK(until(6, 1000) >= 0);
}

static void test_level(void) {
    start_file("level.log", (mlog_sink_config){.flush_level = MLOG_WARN, .flush_ms = 60000});
    mlog_info("one");
    mlog_notice("two");
    sleep_ms(150);
    CHECK_EQ(written(), 0);
    mlog_warn("three");
    CHECK(until(3, 5000) >= 0);
    mlog_info("four");
    sleep_ms(150);
    CHECK_EQ(written(), 3);
    mlog_error("five");
    CHECK(until(5, 5000) >= 0);
    start_file("level2.log", (mlog_sink_config){.flush_ms = 60000}); /* ERROR by default */
    mlog_warn("one");
    sleep_ms(150);
    CHECK_EQ(written(), 0);
    mlog_error("two");
    CHECK(until(2, 5000) >= 0);
}

static void test_records(void) {
    start_file("records.log", (mlog_sink_config){.flush_records = 10, .flush_ms = 60000});
    for (int i = 0; i < 9; i++) mlog_info("n", "i", i);
    sleep_ms(150);
    CHECK_EQ(written(), 0);
    mlog_info("n", "i", 9);
    CHECK(until(10, 5000) >= 0);
    char *text = slurp(path, NULL);
    for (int i = 0, at = 0; i < 10; i++) {
        CHECK_EQ(line_number(text + at, "i"), i);
        at = (int)(strchr(text + at, '\n') - text) + 1;
    }
    free(text);
}

static void *fill(void *unused) {
    for (int i = 0; i < 20000; i++) mlog_info("full", "who", 1, "n", i);
    return unused;
}

static void test_full(void) { /* a queue that fills up ends the holding back: nobody waits for the time */
    path = temp_path("full.log");
    (void)unlink(path);
    start((mlog_sink_config){.type = MLOG_FILE, .path = path, .flush_ms = 600000}, 16384);
    int64_t begin = now_ms();
    pthread_t t;
    (void)pthread_create(&t, NULL, fill, NULL); /* with a ring of this size */
    (void)pthread_join(t, NULL);
    CHECK(now_ms() - begin < 60000);
    CHECK(written() > 15000);
    CHECK(mlog_flush(-1) == 0);
    char *text = slurp(path, NULL);
    CHECK_EQ(wrong_of(text, 1, 20000), 0);
    free(text);
}

static void child_exits(void) { mlog_info("before exit"), exit(0); }
static void child_dies(void) { mlog_fatal("before _exit"), _exit(0); }
static void child_is_daemon(void) { /* the parent leaves by _exit */
    mlog_info("before daemon");
    sleep_ms(400); /* its flusher sleeps, with the record held back */
    if (fork() == 0) _exit(0);
    _exit(0);
}
static void child_forgets(void) { /* the control: what is held back is lost by _exit */
    mlog_info("before _exit");
    sleep_ms(300);
    _exit(0);
}

static size_t ends(void (*how)(void)) {
    int status;
    path = temp_path("end.log");
    (void)unlink(path);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        start((mlog_sink_config){.type = MLOG_FILE, .path = path, .flush_ms = 600000}, 0);
        how();
        _exit(9);
    }
    (void)waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    return written();
}

/* ---- callbacks: flush() decides how much is safe ---- */

static struct { int written, safe, flushes, refuse; char last[64]; } db;
static pthread_mutex_t db_lock = PTHREAD_MUTEX_INITIALIZER;
static int look(const int *what) {
    pthread_mutex_lock(&db_lock);
    int n = *what;
    pthread_mutex_unlock(&db_lock);
    return n;
}

static int db_write(void *user, const mlog_record *r) {
    (void)user;
    pthread_mutex_lock(&db_lock);
    db.written++;
    (void)snprintf(db.last, sizeof db.last, "%.*s", (int)r->msg_len, r->msg);
    pthread_mutex_unlock(&db_lock);
    return 0;
}

static int db_flush(void *user) {
    (void)user;
    pthread_mutex_lock(&db_lock);
    bool refused = db.refuse > 0;
    if (refused) db.refuse--, db.written = db.safe; /* rolled back: all of it comes again */
    else db.safe = db.written, db.flushes++;
    pthread_mutex_unlock(&db_lock);
    return refused ? -1 : 0;
}

static void start_db(mlog_sink_config sink) {
    sink.type = MLOG_CALLBACK;
    sink.write = db_write;
    sink.flush = db_flush;
    memset(&db, 0, sizeof db);
    start(sink, 0);
}

static void test_callback(void) {
    start_db((mlog_sink_config){.flush_records = 100, .flush_ms = 60000});
    for (int i = 0; i < 99; i++) {
        mlog_info("row", "i", i);
        if (i % 33 == 0) sleep_ms(30); /* in several passes */
    }
    sleep_ms(200);
    CHECK_EQ(look(&db.flushes), 0); /* written to the user meanwhile, or not yet: safe is nothing */
    mlog_info("row", "i", 99);
    for (int i = 0; i < 1000 && look(&db.flushes) == 0; i++) sleep_ms(5);
    CHECK_EQ(look(&db.safe), 100);
    CHECK_EQ(look(&db.flushes), 1);
    pthread_mutex_lock(&db_lock);
    db.refuse = 2;
    pthread_mutex_unlock(&db_lock);
    for (int i = 0; i < 50; i++) mlog_info("again", "i", i);
    mlog_error("urgent");
    CHECK(mlog_flush(20000) == 0);
    CHECK_EQ(look(&db.refuse), 0);
    CHECK_EQ(look(&db.safe), 151);
    pthread_mutex_lock(&db_lock);
    CHECK(strcmp(db.last, "urgent") == 0);
    pthread_mutex_unlock(&db_lock);
    for (int i = 0; i < 1000; i++) mlog_info("bulk", "i", i, "text", "so that the batch becomes full before its time");
    CHECK(mlog_flush(20000) == 0);
    CHECK_EQ(look(&db.safe), 1151);
    mlog_info("last");
    CHECK(mlog_shutdown(20000) == 0);
    CHECK_EQ(look(&db.safe), 1152);
}

static void test_refused(void) {
    mlog_sink_config bad[] = {{.type = MLOG_FILE, .path = temp_path("bad.log"), .flush_ms = -1},
                              {.type = MLOG_FILE, .path = temp_path("bad.log"), .flush_level = 26},
                              {.type = MLOG_FILE, .path = temp_path("bad.log"), .flush_records = -5},
                              {.type = MLOG_CALLBACK, .write = db_write, .flush_ms = 10}};
    for (int i = 0; i < 4; i++) {
        mlog_config c = {.env = "-", .sinks = {bad[i]}};
        CHECK(mlog_init(&c) == -1);
        CHECK(strstr(mlog_why(), "flush_") != NULL && strstr(mlog_why(), "expected") != NULL);
    }
}

static void test_replaced(void) { /* a sink that is taken away while it holds text back writes it */
    char *quick = strdup(temp_path("quick.log")), *slow = strdup(temp_path("slow.log"));
    path = quick;
    mlog_config c = {.env = "-", .sinks = {{.type = MLOG_FILE, .path = quick},
                                           {.type = MLOG_FILE, .path = slow, .flush_ms = 3600000, .flush_level = MLOG_OFF}}};
    CHECK(mlog_init(&c) == 0);
    for (size_t i = 0; i < 50; i++) {
        mlog_info("held", "i", i);
        CHECK(until(i + 1, 5000) >= 0);
        if (i == 0) CHECK_EQ(file_lines(slow, NULL), 0); /* the control: it does hold it back */
        (void)mlog_shutdown(0);
    }
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(file_lines(slow, NULL), 50);
    CHECK(mlog_shutdown(5000) == 0);
    free(quick), free(slow);
}

int main(void) {
    CHECK_EQ(ends(child_exits), 1);
    CHECK_EQ(ends(child_dies), 1);
    CHECK_EQ(ends(child_is_daemon), 1);
    CHECK_EQ(ends(child_forgets), 0);
    test_at_once();
    test_time();
    test_level();
    test_records();
    test_full();
    test_callback();
    test_replaced();
    test_refused();
    return done();
}
