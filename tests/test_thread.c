/* Threads, signal handlers, jumps: each call is written once or counted as dropped once, whatever it interrupts or is interrupted
 * by. Calls and lines are counted here; the library's counters are compared with them. */
#define METALOG_IMPLEMENTATION
#include "../metalog.h"
#include <stdatomic.h>
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifdef TSAN
enum { SCALE = 5, ROUNDS = 2 }; /* it lets go of a thread in the last rounds of destructors itself */
#else
enum { SCALE = 1, ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS };
#endif

static const char *log_path;

static void start_total(const char *file, uint32_t ring_bytes, mlog_full full, uint64_t total) {
    mlog_config c = {.levels = "trace",
                     .env = "-",
                     .ring_bytes = ring_bytes,
                     .rings_total = total,
                     .full = full,
                     .full_ms = 50,
                     .sinks = {{.type = MLOG_FILE, .path = log_path = temp_path(file)}}};
    (void)unlink(log_path);
    if (!CHECK(mlog_init(&c) == 0)) printf("    %s\n", mlog_why());
}

static void start(const char *file, uint32_t ring_bytes, mlog_full full) { start_total(file, ring_bytes, full, 0); }

static char *logged(void) {
    CHECK(mlog_flush(10000) == 0);
    return slurp(log_path, NULL);
}

/* Runs in a child with a library that was never used; its checks count here. */
static void in_child(void (*run)(void)) {
    int both[2] = {0, 0}, fd[2], status = 0;
    fflush(stdout);
    if (!CHECK(pipe(fd) == 0)) return;
    pid_t pid = fork();
    if (pid == 0) {
        check_passed = check_failed = 0;
        run();
        both[0] = check_passed, both[1] = check_failed;
        fflush(stdout);
        if (write(fd[1], both, sizeof both) != (ssize_t)sizeof both) _exit(3);
        _exit(0);
    }
    (void)close(fd[1]);
    CHECK(read(fd[0], both, sizeof both) == (ssize_t)sizeof both);
    (void)close(fd[0]);
    (void)waitpid(pid, &status, 0);
    if (!CHECK_EQ(status, 0)) printf("    a child ended by status %x\n", status);
    check_passed += both[0];
    check_failed += both[1];
}

/* Which numbers 0 … n-1 stand in "key" of the lines that contain `what`: once each? The numbers of wrong ones. */
static long long not_once(const char *text, const char *what, const char *key, long long n) {
    unsigned char *seen = calloc((size_t)n, 1);
    long long wrong = 0;
    for (const char *p = text; *p;) {
        const char *end = strchr(p, '\n');
        if (!end) {
            wrong++;
            break;
        } /* a torn line */
        if (memmem(p, (size_t)(end - p), what, strlen(what))) {
            long long i = line_number(p, key);
            if (i < 0 || i >= n || seen[i]++) wrong++;
        }
        p = end + 1;
    }
    for (long long i = 0; i < n; i++) wrong += seen[i] == 0;
    free(seen);
    return wrong;
}

static uint64_t dropped(void) {
    mlog_stats s;
    mlog_stats_read(&s);
    return s.dropped;
}

static uint64_t accepted(void) {
    mlog_stats s;
    mlog_stats_read(&s);
    return s.accepted;
}

static void on_signal(int number, void (*handler)(int), int flags) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = handler;
    a.sa_flags = flags;
    (void)sigemptyset(&a.sa_mask);
    (void)sigaction(number, &a, NULL);
}

/* ---- short-lived threads ---- */

enum { SHORT = 2400 };
static pthread_key_t early, late; /* made before and behind the library's own key */

static void in_destructor(void *value) {
    uintptr_t n = (uintptr_t)value & 0xffffff, round = (uintptr_t)value >> 24;
    pthread_key_t key = n & 1 ? early : late;
    if (round < ROUNDS - 1) {
        mlog_info("destructor", "n", (long long)n * 4 + (long long)round);
        (void)pthread_setspecific(key, (void *)(n + ((round + 1) << 24))); /* once more in the next round */
    } else {
        mlog_info("destructor", "n", (long long)n * 4 + (long long)round, "text", "the last round");
    }
}

static void *short_run(void *number) {
    long long n = *(int *)number;
    mlog_info("short", "n", n);
    (void)pthread_setspecific(early, (void *)(uintptr_t)(2 * n + 1));
    (void)pthread_setspecific(late, (void *)(uintptr_t)(2 * n + 2));
    return NULL;
}

static void test_short_lived(void) {
    static int number[8];
    pthread_t t[8];
    mlog_stats s;
    uint32_t rings = 0;
    uint64_t before = dropped();
    (void)pthread_key_create(&early, in_destructor);
    start("short.log", 0, MLOG_BLOCK);
    (void)pthread_key_create(&late, in_destructor);
    int n = SHORT / SCALE;
    for (int i = 0; i < n; i += 8) {
        for (int k = 0; k < 8; k++) number[k] = i + k, (void)pthread_create(&t[k], NULL, short_run, &number[k]);
        for (int k = 0; k < 8; k++) (void)pthread_join(t[k], NULL);
        mlog_stats_read(&s);
        if (i == n / 2) rings = s.rings;
    }
    char *text = logged();
    mlog_stats_read(&s);
    CHECK_EQ(not_once(text, "\"short\"", "n", n), 0);
    CHECK_EQ(lines(text, "\"destructor\""), (long long)n * 2 * ROUNDS);
    CHECK_EQ(lines(text, "the last round"), (long long)n * 2);
    CHECK_EQ(dropped(), before);
    CHECK(s.rings <= rings + 40);
    CHECK(s.rings < 400); /* recycled, not two a thread; how many depends on how busy the machine is */
    uint32_t taken = 0;
    for (int i = 0; i < MLOG__SLOTS; i++) taken += mlog__thread_all.state[i] != MLOG__S_UNUSED;
    CHECK(taken < 200);
    char *hole = strchr(text, '\n') + 1; /* the checker sees a line that is gone, and one that came twice */
    CHECK(not_once(strchr(hole, '\n') + 1, "\"short\"", "n", n) != 0 || strstr(text, "\"short\"") > hole);
    free(text);
    (void)pthread_key_delete(early);
    (void)pthread_key_delete(late);
}

/* ---- 100,000 threads, and more at once than there are slots ---- */

static long resident_kib(void) {
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (f != NULL) (void)fclose(f);
    return kib;
}

static atomic_int scale_next, scale_in_destructor;
static pthread_key_t scale_key;

static void scale_destructor(void *value) {
    mlog_info("ends", "n", (int)(intptr_t)value - 1);
    atomic_fetch_add(&scale_in_destructor, 1);
}

static void *scale_run(void *unused) {
    int n = atomic_fetch_add(&scale_next, 1);
    mlog_with("thread_number", n);
    mlog_info("comes", "n", n);
    (void)pthread_setspecific(scale_key, (void *)(intptr_t)(n + 1));
    return unused;
}

static void test_scale(void) {
    enum { ALL = SANITIZED ? 5000 : 100000, WAVE = 50 };
    pthread_t t[WAVE];
    mlog_stats s;
    uint64_t before = dropped(), rings = 0;
    long kib = 0, most = 0;
    (void)pthread_key_create(&scale_key, scale_destructor);
    start("scale.log", 16384, MLOG_BLOCK);
    for (int i = 0; i < ALL; i += WAVE) {
        for (int k = 0; k < WAVE; k++) if (pthread_create(&t[k], NULL, scale_run, NULL) != 0) abort();
        for (int k = 0; k < WAVE; k++) (void)pthread_join(t[k], NULL);
        if (i == ALL / 5 / WAVE * WAVE) {
            kib = most = resident_kib();
            mlog_stats_read(&s);
            rings = s.rings;
        }
        if (i % 1000 == 0) most = resident_kib() > most ? resident_kib() : most;
    }
    char *text = logged();
    mlog_stats_read(&s);
    CHECK_EQ(not_once(text, "\"comes\"", "n", ALL), 0);
    CHECK_EQ(lines(text, "\"thread_number\""), ALL); /* the context ends with the function, before the destructor */
    CHECK_EQ(not_once(text, "\"ends\"", "n", ALL), 0);
    CHECK_EQ(atomic_load(&scale_in_destructor), ALL);
    CHECK_EQ(dropped(), before);
    if (!SANITIZED) CHECK(most - kib < 16384); /* flat while 80,000 come and go; how many rings it takes depends on how busy the machine is */
    CHECK(s.rings < 1000 && rings > 0);
    printf("    %d threads: %ld KiB more from the fifth on, %u rings\n", ALL, most - kib, s.rings);
    free(text);
    (void)pthread_key_delete(scale_key);
}

/* ---- what a thread's last destructors leave behind ---- */

static pthread_key_t objects_key;

static void put_letter(mlog_writer *w, const void *p) { mlog_put(w, "letter", (const char *)p); }

static void objects_destructor(void *value) {
    uintptr_t round = (uintptr_t)value;
    mlog_info("object", "o", mlog_object(put_letter, "a"), "round", (long long)round);
    if (round < ROUNDS) (void)pthread_setspecific(objects_key, (void *)(round + 1));
}

static void *objects_run(void *unused) {
    mlog_info("object", "o", mlog_object(put_letter, "a"), "round", 0);
    (void)pthread_setspecific(objects_key, (void *)(uintptr_t)1);
    return unused;
}

static long mapped_kib(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL && fscanf(f, "%ld", &pages) != 1) pages = 0;
    if (f != NULL) (void)fclose(f);
    return pages * 4;
}

/* The memory of its objects: of threads that end one after another only the first few leave any. */
static void test_last_objects(void) {
    enum { ENDS = 200 };
    pthread_t t;
    long before = 0;
    start("objects.log", 65536, MLOG_BLOCK);
    (void)pthread_key_create(&objects_key, objects_destructor); /* behind the library's own */
    for (int i = 0; i < ENDS + 20; i++) {
        if (i == 20) before = mapped_kib();
        if (pthread_create(&t, NULL, objects_run, NULL) != 0) abort();
        (void)pthread_join(t, NULL);
    }
    char *text = logged();
    CHECK_EQ(lines(text, "{\"letter\":\"a\"}"), (ENDS + 20) * (ROUNDS + 1));
    if (!SANITIZED) CHECK(mapped_kib() - before < ENDS * 512 / 4);
    free(text);
    (void)pthread_key_delete(objects_key);
}

/* A handler's first call, between a thread's look at its state and the making of it, makes it: there is no second slot. */
static void test_made_between(void) {
    start("between.log", 0, MLOG_BLOCK);
    mlog_info("from the handler");
    mlog__thread *t = mlog__thread_self;
    uint32_t live = mlog__ring_all.live;
    CHECK(mlog__thread_make(mlog__ring_all.bytes_each) == t);
    CHECK(mlog__thread_self == t);
    CHECK_EQ(mlog__ring_all.live, live);
}

/* ---- UTC of records that waited ---- */

/* Pairs 10 ms apart, UTC is set forward by an hour between the second and the third: records show it from the third pair on, also
 * when they are read late, one after another, with all pairs in the table. */
static void test_late_clock(void) {
    const int64_t MS = 1000000, hour = 3600000 * MS;
    mlog__clock_table table = {.count = 6};
    for (int i = 0; i < 6; i++)
        table.pair[i] = (mlog__pair){(uint64_t)((1000 + 10 * i) * MS), (5000 + 10 * i) * MS + (i >= 2 ? hour : 0), (1000 + 10 * i) * MS};
    mlog__clock_view view = {0};
    for (int ms = 1000; ms <= 1080; ms++) {
        int64_t utc = mlog__clock_utc(&view, &table, (uint64_t)(ms * MS)), want = (ms + 4000) * MS;
        if (ms >= 1020) want += hour;
        /* between the two pairs around the step either may be right */
        CHECK(llabs(utc - want) < 100 || (ms > 1010 && ms < 1020 && llabs(utc - want - hour) < 100));
    }
    CHECK(llabs(mlog__clock_utc(&view, &table, (uint64_t)(1005 * MS)) - 5005 * MS) < 100); /* and back */
}

static atomic_int crowded_go, crowded_here;

static void *crowded_run(void *number) {
    mlog_info("crowded", "n", (int)(intptr_t)number);
    atomic_fetch_add(&crowded_here, 1);
    while (!atomic_load(&crowded_go)) usleep(20000);
    mlog_infof("crowded too %d of %s", (int)(intptr_t)number, "all");
    mlog_with("in", 1);
    mlog_info("crowded in", "n", (int)(intptr_t)number);
    return NULL;
}

/* The total of all rings is reached first, then the slots: the rest shares the overflow ring, and loses nothing by it. */
static void beyond(int count, uint64_t total) {
    pthread_t *t = calloc((size_t)count, sizeof *t);
    pthread_attr_t small;
    mlog_stats s;
    uint64_t before = dropped();
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, SANITIZED ? 262144 : 65536);
    start_total("beyond.log", 65536, MLOG_BLOCK, total);
    atomic_store(&crowded_go, 0), atomic_store(&crowded_here, 0);
    int made = 0;
    while (made < count && pthread_create(&t[made], &small, crowded_run, (void *)(intptr_t)made) == 0) made++;
    if (made < count) printf("    this system allows %d threads only\n", count = made);
    for (int i = 0; i < 30000 && atomic_load(&crowded_here) < count; i++) usleep(1000);
    CHECK_EQ(atomic_load(&crowded_here), count); /* all alive at once, each has logged */
    atomic_store(&crowded_go, 1);
    for (int k = 0; k < count; k++) (void)pthread_join(t[k], NULL);
    char *text = logged();
    mlog_stats_read(&s);
    CHECK_EQ(not_once(text, "\"crowded\"", "n", count), 0);
    CHECK_EQ(not_once(text, "\"crowded in\"", "n", count), 0);
    CHECK_EQ(lines(text, "crowded too"), count);
    CHECK_EQ(lines(text, "\"in\":1"), count);
    CHECK_EQ(dropped(), before);
    CHECK(s.ring_peak <= total + MLOG__SPARE_BYTES * 2);
    printf("    %d threads at once: %u rings, %llu KiB at most\n", count, s.rings, (unsigned long long)s.ring_peak / 1024);
    free(text);
    free(t);
    (void)pthread_attr_destroy(&small);
}

static void beyond_total(void) { beyond(300, 8 << 20); }
static void beyond_slots(void) { beyond(MLOG__SLOTS + 200, 400u << 20); }

/* ---- many threads at once ---- */

enum { CROWD = 64, CROWD_EACH = 1000 };
static void *crowd_run(void *number) {
    int me = *(int *)number;
    for (int i = 0; i < CROWD_EACH / SCALE; i++) mlog_info("crowd", "n", me * (CROWD_EACH / SCALE) + i);
    return NULL;
}

static void test_crowd(void) {
    static int number[CROWD];
    pthread_t t[CROWD];
    start("crowd.log", 16384, MLOG_BLOCK);
    for (int k = 0; k < CROWD; k++) number[k] = k, (void)pthread_create(&t[k], NULL, crowd_run, &number[k]);
    for (int k = 0; k < CROWD; k++) (void)pthread_join(t[k], NULL);
    char *text = logged(), *first = strchr(text, '\n') + 1;
    CHECK_EQ(not_once(text, "\"crowd\"", "n", CROWD * (CROWD_EACH / SCALE)), 0);
    CHECK(not_once(first, "\"crowd\"", "n", CROWD * (CROWD_EACH / SCALE)) == 1); /* the checker sees a line that is gone */
    free(text);
}

/* Rings beyond the total: small ones, then the shared overflow ring; no call is lost, nor grows the memory. */
static void total_in_child(void) {
    mlog_stats s;
    static int number[CROWD];
    pthread_t t[CROWD];
    (void)unlink(temp_path("total.log"));
    mlog_config c = {.env = "-",
                     .ring_bytes = 65536,
                     .rings_total = 512 << 10,
                     .full = MLOG_BLOCK,
                     .sinks = {{.type = MLOG_FILE, .path = temp_path("total.log")}}};
    CHECK(mlog_init(&c) == 0);
    for (int k = 0; k < CROWD; k++) number[k] = k, (void)pthread_create(&t[k], NULL, crowd_run, &number[k]);
    for (int k = 0; k < CROWD; k++) (void)pthread_join(t[k], NULL);
    CHECK(mlog_flush(10000) == 0);
    mlog_stats_read(&s);
    CHECK(s.ring_bytes <= (512 << 10) + 128 * 1024);
    CHECK(s.ring_peak <= (512 << 10) + 128 * 1024);
    char *text = slurp(c.sinks[0].path, NULL);
    CHECK_EQ(not_once(text, "\"crowd\"", "n", CROWD * (CROWD_EACH / SCALE)), 0);
    free(text);
}

/* ---- first calls inside a handler ---- */

static void first_handler(int number) { mlog_info("first, in a handler", "signal", number); }

static void *first_of_thread(void *unused) {
    (void)raise(SIGUSR1);
    mlog_info("then outside");
    return unused;
}

static void *only_in_handler(void *unused) {
    (void)raise(SIGUSR1);
    return unused;
}

static void test_first_of_thread(void) {
    pthread_t t;
    start("first.log", 0, MLOG_BLOCK);
    on_signal(SIGUSR1, first_handler, 0);
    for (int i = 0; i < 50; i++) {
        (void)pthread_create(&t, NULL, i % 2 ? first_of_thread : only_in_handler, NULL);
        (void)pthread_join(t, NULL);
    }
    char *text = logged();
    CHECK_EQ(lines(text, "first, in a handler"), 50);
    CHECK_EQ(lines(text, "then outside"), 25);
    free(text);
}

static const char *stderr_path;
static void stderr_to(const char *name) {
    int fd = open(stderr_path = temp_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)dup2(fd, 2);
    (void)close(fd);
}

static void first_of_process(void) {
    stderr_to("first.err");
    on_signal(SIGUSR1, first_handler, 0);
    for (int i = 0; i < 3; i++) (void)raise(SIGUSR1);
    first_handler(0); /* the same call site, outside: what waits in the ring goes out with it */
    CHECK(mlog_flush(5000) == 0);
    CHECK_EQ(file_lines(stderr_path, "first, in a handler"), 4);
    CHECK_EQ(file_lines(stderr_path, "\"signal\":0}"), 1);
}

static void first_of_process_only(void) { /* nobody ever calls outside a handler: the end of the process writes it */
    int status = 0;
    stderr_to("first2.err");
    pid_t pid = fork();
    if (pid == 0) {
        on_signal(SIGUSR1, first_handler, 0);
        for (int i = 0; i < 3; i++) (void)raise(SIGUSR1);
        exit(0);
    }
    (void)waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(file_lines(stderr_path, "first, in a handler"), 3);
}

/* ---- storms ---- */

static int storm_on;
static int storm_calls[4]; /* by level: how many calls returned */
static int storm_depth_seen[8];
static __thread int storm_depth;
static char letters[300];

static void count_call(int k) { __atomic_add_fetch(&storm_calls[k], 1, __ATOMIC_RELAXED); }

static void storm_log(int who, int n) { /* calls of every shape: short, with texts, staged, printf, with objects */
    switch (n % 5) {
    case 0:
        mlog_info("storm", "who", who, "n", n);
        break;
    case 1:
        mlog_warn("storm", "who", who, "n", n, "text", letters + n % 290);
        break;
    case 2:
        mlog_infof("storm who=%d n=%d %.*s", who, n, n % 50, letters);
        break;
    case 3:
        mlog(MLOG_ERROR, "storm", "who", who, "n", n, "value", mlog_str(letters, (size_t)(n % 200)), "d", 1.5);
        break;
    default: {
        mlog_field f[2] = {{"who", mlog_val(who)}, {"n", mlog_val(n)}};
        mlog_event e = {.level = MLOG_NOTICE, .msg = "storm", .fields = f, .nfields = 2};
        mlog_emit(&e);
    }
    }
    count_call(who);
}

static void storm_handler(int number) {
    static int n[4];
    int who = number == SIGALRM ? 1 : number == SIGUSR1 ? 2 : 3, saved = errno;
    if (!__atomic_load_n(&storm_on, __ATOMIC_RELAXED)) return;
    storm_depth++;
    if (storm_depth < 8) __atomic_store_n(&storm_depth_seen[storm_depth], 1, __ATOMIC_RELAXED);
    int mine = __atomic_fetch_add(&n[who], 1, __ATOMIC_RELAXED);
    if (mine % 5 == 0 && storm_depth < 3) (void)raise(number == SIGUSR1 ? SIGUSR2 : SIGUSR1);
    storm_log(who, mine);
    if (errno != saved) CHECK(errno == saved);
    storm_depth--;
}

static void *storm_main(void *unused) {
    int64_t until = now_ms() + (SCALE > 1 ? 600 : 1500);
    int n = 0;
    while (now_ms() < until)
        for (int i = 0; i < 100; i++) storm_log(0, n++);
    __atomic_store_n(&storm_on, 0, __ATOMIC_RELAXED);
    return unused;
}

/* Sums of a storm: lines by who, all of them calls that returned; what is missing was dropped and told. */
static void storm_check(const char *text, uint64_t were_dropped, uint64_t were_accepted) {
    long long calls = 0, got = 0, told = 0, whole = 0;
    for (int k = 0; k < 4; k++) calls += storm_calls[k];
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        const char *end = strchr(p, '\n');
        long long n = line_number(p, "dropped");
        if (n > 0) told += n;
        else if (memmem(p, (size_t)(end - p), "\"msg\":\"storm", 12)) got++, whole += end[-1] == '}';
    }
    CHECK_EQ(whole, got);
    CHECK_EQ(got, were_accepted);
    CHECK_EQ(told, were_dropped);
    CHECK_EQ(got + told, calls);
    CHECK(got > 0);
}

static void test_storm(mlog_full full, uint32_t ring_bytes) {
    pthread_t t;
    struct itimerval timer = {{0, 137}, {0, 137}}, off = {{0, 0}, {0, 0}};
    unsigned seed = 1;
    memset(storm_calls, 0, sizeof storm_calls);
    memset(storm_depth_seen, 0, sizeof storm_depth_seen);
    for (size_t i = 0; i < sizeof letters - 1; i++) letters[i] = (char)('a' + i % 26);
    start("storm.log", ring_bytes, full);
    uint64_t d0 = dropped(), a0 = accepted();
    on_signal(SIGALRM, storm_handler, SA_RESTART);
    on_signal(SIGUSR1, storm_handler, SA_RESTART);
    on_signal(SIGUSR2, storm_handler, SA_RESTART);
    __atomic_store_n(&storm_on, 1, __ATOMIC_RELAXED);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_create(&t, NULL, storm_main, NULL);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* the timer hits the thread that logs */
    (void)setitimer(ITIMER_REAL, &timer, NULL);
    while (__atomic_load_n(&storm_on, __ATOMIC_RELAXED)) {
        seed = seed * 1103515245u + 12345u;
        (void)pthread_kill(t, SIGUSR1);
        for (unsigned spin = seed >> 18; spin > 0; spin--) __asm__ volatile("");
        (void)pthread_kill(t, SIGUSR2);
    }
    (void)setitimer(ITIMER_REAL, &off, NULL);
    (void)pthread_join(t, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    char *text = logged();
    storm_check(text, dropped() - d0, accepted() - a0);
    CHECK(storm_depth_seen[1]);
#ifndef TSAN /* it holds signals back until the thread blocks */
    CHECK(storm_depth_seen[2]);
    CHECK(storm_calls[0] > 1000);
#endif
    free(text);
}

/* Signals hit the very first call of many threads: whatever has nowhere to write yet is counted. */
static int born;
static void *born_run(void *unused) {
    __atomic_store_n(&born, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 5; i++) storm_log(0, i);
    __atomic_store_n(&born, 2, __ATOMIC_RELEASE);
    return unused;
}

static void test_birth(void) {
    pthread_t t;
    memset(storm_calls, 0, sizeof storm_calls);
    start("birth.log", 8192, MLOG_BLOCK);
    uint64_t d0 = dropped(), a0 = accepted();
    on_signal(SIGUSR1, storm_handler, SA_RESTART);
    on_signal(SIGUSR2, storm_handler, SA_RESTART);
    __atomic_store_n(&storm_on, 1, __ATOMIC_RELAXED);
    for (int64_t until = now_ms() + (SCALE > 1 ? 300 : 600); now_ms() < until;) {
        __atomic_store_n(&born, 0, __ATOMIC_RELAXED);
        (void)pthread_create(&t, NULL, born_run, NULL);
        while (__atomic_load_n(&born, __ATOMIC_ACQUIRE) < 2) {
            (void)pthread_kill(t, SIGUSR1);
            (void)pthread_kill(t, SIGUSR2);
        }
        (void)pthread_join(t, NULL);
    }
    char *text = logged();
    storm_check(text, dropped() - d0, accepted() - a0);
    free(text);
}

/* A handler that fills its ring while the call that it interrupted holds what the flusher needs: it must not wait for ever. */
static void filling_handler(int number) {
    for (int i = 0; i < 500; i++) mlog_info("filling", "signal", number, "i", i);
}

static void *interrupted_run(void *until) {
    mlog_stats s;
    mlog_sink_stats k;
    while (now_ms() < *(int64_t *)until) {
        mlog_stats_read(&s);
        (void)mlog_sink_stats_read("file", &k);
    }
    return NULL;
}

static void test_interrupted_holder(void) {
    pthread_t t;
    start("holder.log", 8192, MLOG_BLOCK);
    on_signal(SIGUSR1, filling_handler, SA_RESTART);
    int64_t until = now_ms() + 400;
    (void)pthread_create(&t, NULL, interrupted_run, &until);
    for (int i = 0; now_ms() < until - 50; i++) {
        (void)pthread_kill(t, SIGUSR1);
        if (i % 3) sleep_ms(1);
    }
    (void)pthread_join(t, NULL); /* the proof is that it ends */
    char *text = logged();
    if (SCALE == 1) CHECK(lines(text, "filling") > 0); /* ThreadSanitizer may hold all signals back */
    free(text);
}

/* Handlers on handlers, to a depth where no level is left: counted, and everything works again afterwards. */
static int deep_signals[5] = {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF};
static int deep_calls;

static void deep_handler(int number);
static int deep_argument(int k) { /* raises the next signal while no record is begun */
    if (k < 5) (void)raise(deep_signals[k]);
    return k;
}
static void deep_handler(int number) {
    int k = 0;
    while (deep_signals[k] != number) k++;
    mlog_info("deep", "k", deep_argument(k + 1));
    __atomic_add_fetch(&deep_calls, 1, __ATOMIC_RELAXED);
}

/* The same inside a record: the call is interrupted between its begin and its end, as the macros would do it. */
static void inside(int k) {
    static mlog__site site[6] = {
#define SITE(n) {MLOG__UNSEEN, 0, "inside " #n, "k\0", __FILE__, "inside", "METALOG_SOURCE", 0, n, MLOG_INFO, 1, MLOG__PAIRS, 0}
        SITE(0), SITE(1), SITE(2), SITE(3), SITE(4), SITE(5)};
    uint64_t word = mlog__gate(&site[k]);
    uint64_t *p = mlog1_begin(&site[k], word, MLOG__C_INT);
    if (k < 5) (void)raise(deep_signals[k]);
    p = mlog__put_i(p, 0, k);
    (void)p;
    mlog1_end();
    __atomic_add_fetch(&deep_calls, 1, __ATOMIC_RELAXED);
}
static void inside_handler(int number) {
    int k = 0;
    while (deep_signals[k] != number) k++;
    inside(k + 1);
}

static void test_deep(void) {
    start("deep.log", 0, MLOG_BLOCK);
    for (int k = 0; k < 5; k++) on_signal(deep_signals[k], deep_handler, 0);
    uint64_t d0 = dropped();
    for (int i = 0; i < 100; i++) mlog_info("deep", "k", deep_argument(0));
    char *text = logged();
    CHECK_EQ(lines(text, "\"deep\""), 600); /* arguments come before the record: no nesting at all */
    CHECK_EQ(dropped(), d0);
    free(text);

    for (int k = 0; k < 5; k++) on_signal(deep_signals[k], inside_handler, 0);
    deep_calls = 0;
    mlog_stats s;
    mlog_stats_read(&s);
    uint32_t rings = s.rings;
    for (int i = 0; i < 100; i++) inside(0);
    text = logged();
    CHECK_EQ(deep_calls, 600);
    CHECK_EQ(lines(text, "inside 0"), 100);
    CHECK_EQ(lines(text, "inside 1"), 100);
    CHECK_EQ(lines(text, "inside 2"), 100);
    CHECK_EQ(lines(text, "\"inside ") + (dropped() - d0), 600);
    mlog_stats_read(&s);
    CHECK(s.rings <= rings + 40);
    mlog_info("and after");
    text = (free(text), logged());
    CHECK_EQ(lines(text, "and after"), 1);
    CHECK(mlog__thread_self->depth == 0 && mlog__thread_self->state == MLOG__T_READY);
    free(text);
}

/* ---- records that are longer than a quarter of their ring ---- */

static void many_vprintf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}

/* They are cut, and say so; none is dropped while the policy is to wait. */
static void test_too_long(void) {
    enum { ROUNDS_HERE = 50 };
    static char keys[64][300], text[3000];
    mlog_field field[64];
    memset(text, 't', sizeof text - 1);
    for (int i = 0; i < 64; i++) {
        memset(keys[i], 'a' + i % 26, sizeof keys[i] - 1);
        keys[i][sizeof keys[i] - 1] = 0;
        field[i] = (mlog_field){keys[i], i % 2 ? mlog_str(text, sizeof text - 1) : mlog__val_i(i)};
    }
    start("long.log", 4096, MLOG_BLOCK);
    uint64_t d0 = dropped();
    for (int i = 0; i < ROUNDS_HERE; i++) {
        mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "emitted", .fields = field, .nfields = 64});
        many_vprintf("many %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s %d %s", 1, text, 2,
                     text, 3, text, 4, text, 5, text, 6, text, 7, text, 8, text, 9, text, 10, text, 11, text, 12, text, 13, text, 14,
                     text, 15, text, 16, text);
        mlog_context *c = mlog1_context_new(field, 64), *outer = mlog_context_swap(c);
        const long double ld = 1.5L;
        mlog_infof("sixteen %Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%Lg%m", ld, ld, ld, ld, ld, ld, ld, ld, ld, ld, ld, ld, ld,
                   ld, ld, ld);
        mlog_emit(&(mlog_event){.at = MLOG_HERE, .level = MLOG_INFO, .msg = "both", .fields = field, .nfields = 64});
        mlog_context_unref(mlog_context_swap(outer));
    }
    char *long_text = logged();
    CHECK_EQ(dropped(), d0);
    CHECK_EQ(lines(long_text, "\"msg\":\"emitted\""), ROUNDS_HERE);
    CHECK_EQ(lines(long_text, "\"msg\":\"many 1 "), ROUNDS_HERE);
    CHECK_EQ(lines(long_text, "\"msg\":\"sixteen 1.51.51.51.51.51.51.51.51.51.51.51.51.51.51.51.5"), ROUNDS_HERE);
    CHECK_EQ(lines(long_text, "\"msg\":\"both\""), ROUNDS_HERE);
    CHECK_EQ(lines(long_text, "\"fields_cut\":64,") + lines(long_text, "\"fields_cut\":64}"), ROUNDS_HERE); /* all of the context */
    CHECK_EQ(lines(long_text, "\"fields_cut\":"), 4 * ROUNDS_HERE);
    CHECK_EQ(lines(long_text, "\"at\":\"test_thread.c:"), 4 * ROUNDS_HERE);
    CHECK_EQ(lines(long_text, NULL), 4 * ROUNDS_HERE);
    free(long_text);
}

/* ---- arguments that log, jump, or change what they should not ---- */

static int logs_itself(int n) {
    mlog_info("from an argument", "n", n);
    return n;
}

static void put_logs(mlog_writer *w, const void *p) {
    mlog_info("from an object", "n", *(const int *)p);
    mlog_put(w, "n", *(const int *)p);
}

static void put_in_put(mlog_writer *w, const void *p) {
    mlog_info("an object's record", "inner", mlog_object(put_logs, p));
    mlog_put(w, "inner", mlog_object(put_logs, p));
}

static jmp_buf out;
static int jumps(int n) {
    longjmp(out, n + 1);
    return n;
}

static void test_arguments(void) {
    start("arguments.log", 4096, MLOG_BLOCK);
    volatile int i;
    for (i = 0; i < 300; i++) {
        int n = i;
        mlog_info("outer", "n", logs_itself(n), "m", logs_itself(n), "obj", mlog_object(put_in_put, &n));
        mlog_infof("outerf %d %d", logs_itself(n), logs_itself(n));
        if (setjmp(out) == 0) mlog_info("never written", "n", jumps(n), "m", logs_itself(n));
        if (setjmp(out) == 0) mlog_infof("never written %d", jumps(n));
        mlog_info("after", "n", n);
    }
    char *text = logged();
    CHECK_EQ(lines(text, "never written"), 0);
    CHECK_EQ(not_once(text, "\"after\"", "n", 300), 0);
    CHECK_EQ(not_once(text, "\"outer\"", "m", 300), 0);
    CHECK_EQ(lines(text, "\"outerf "), 300);
    CHECK_EQ(lines(text, "from an argument"), 4 * 300);
    CHECK_EQ(lines(text, "an object's record"), 300);
    CHECK_EQ(lines(text, "from an object"), 600);
    CHECK_EQ(lines(text, "\"obj\":{\"inner\":{\"n\":"), 300);
    free(text);
}

/* Objects of one call live until it returns, also when handlers and other calls make many more. */
static void put_number(mlog_writer *w, const void *p) { mlog_put(w, "n", *(const int *)p); }
static int many_objects(int n) {
    for (int i = 0; i < 5; i++) mlog_info("other", "o", mlog_object(put_number, &n));
    return n;
}

static void test_objects(void) {
    int n[16];
    start("objects.log", 0, MLOG_BLOCK);
    for (int i = 0; i < 16; i++) n[i] = 100 + i;
    mlog_value first = mlog_object(put_number, &n[0]);
    (void)many_objects(7);
    mlog_info("kept", "a", first, "m", many_objects(8), "b", mlog_object(put_number, &n[1]));
    char *text = logged();
    CHECK_EQ(lines(text, "\"a\":{\"n\":100},\"m\":8,\"b\":{\"n\":101}"), 1);
    free(text);
}

/* ---- errno, cancellation ---- */

static void test_errno(void) {
    mlog_stats s;
    mlog_sink_stats k;
    mlog_sink_config bad = {.type = MLOG_FILE, .path = "/nonexistent/x.log"}, null = {.name = "spare", .type = MLOG_NULL};
    static const char *const words[] = {"a", "b"};
    int wrong = 0, n = 5;
    start("errno.log", 4096, MLOG_DROP);
#define KEEPS(call)                                                                \
    do {                                                                           \
        errno = 4242;                                                              \
        call;                                                                      \
        if (errno != 4242) wrong++, printf("    errno is changed by %s\n", #call); \
    } while (0)
    for (int i = 0; i < 100; i++) {
        KEEPS(mlog_info("errno", "i", i, "text", letters, "null", (char *)NULL));
        KEEPS(mlog_infof("%d %s %m", i, "x"));
        KEEPS(mlog_fatal("errno fatal", "w", mlog_array(words, 2)));
        KEEPS(mlog_to(mlog_named("a.b"), MLOG_INFO, "to", "o", mlog_object(put_number, &n)));
    }
    KEEPS((void)CHECK(mlog_flush(5000) == 0));
    KEEPS(mlog_stats_read(&s));
    KEEPS((void)mlog_sink_stats_read("file", &k));
    KEEPS((void)mlog_sink_stats_read("none", &k));
    KEEPS((void)CHECK(mlog_sink_add(&bad) == NULL));
    mlog_sink *sink = NULL;
    KEEPS(sink = mlog_sink_add(&null));
    CHECK(sink != NULL);
    KEEPS(mlog_sink_remove(sink));
    KEEPS(mlog_reopen());
    KEEPS((void)mlog_levels("net=nonsense"));
    KEEPS((void)mlog_levels("trace"));
    KEEPS((void)mlog_thread(&(mlog_thread_config){.name = "errno"}));
    KEEPS((void)mlog_enabled(MLOG_INFO));
    mlog_context *c = NULL;
    KEEPS(c = mlog_context_new("a", 1, "long", letters));
    KEEPS((void)mlog_context_swap(mlog_context_ref(c)));
    KEEPS(mlog_context_unref(mlog_context_swap(NULL)));
    KEEPS(mlog_context_unref(c));
    mlog_logger *lg = NULL;
    KEEPS(lg = mlog_bind(mlog_named("b"), "f", 1));
    KEEPS(mlog_to(lg, MLOG_INFO, "bound"));
    KEEPS(mlog_unbind(lg));
    KEEPS((void)mlog_shutdown(5000));
    KEEPS(mlog_info("starts it again"));
    KEEPS((void)mlog_init(NULL));
    CHECK_EQ(wrong, 0);
}

static int cancel_steps;
static void *cancelled_run(void *unused) { /* no library call is a cancellation point: it ends at the first of ours */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    (void)pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    mlog_info("cancelled", "step", cancel_steps++);
    CHECK(mlog_flush(5000) == 0);
    for (int i = 0; i < 200; i++) mlog_info("cancelled", "text", letters, "step", cancel_steps++);
    mlog_stats s;
    mlog_stats_read(&s);
    CHECK(mlog_flush(5000) == 0);
    cancel_steps = 1000;
    pthread_testcancel();
    cancel_steps = 2000;
    return unused;
}

static void cancel_in_child(void) {
    pthread_t t;
    stderr_to("cancel.err");
    (void)pthread_create(&t, NULL, cancelled_run, NULL); /* its first call is the process's first */
    (void)pthread_join(t, NULL);
    CHECK_EQ(cancel_steps, 1000);
    CHECK_EQ(file_lines(stderr_path, "\"cancelled\""), 201);
}

/* ---- configuration while others log ---- */

static int keep_logging;
static void *log_on(void *count) {
    int n = 0;
    while (__atomic_load_n(&keep_logging, __ATOMIC_RELAXED)) {
        mlog_info("on and on", "text", letters + 280, "n", __atomic_fetch_add((int *)count, 1, __ATOMIC_RELAXED));
        if (n++ % 20 == 0) sleep_ms(1);
    }
    return NULL;
}

static int callback_write(void *user, const mlog_record *r) {
    (void)r;
    __atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
    return 0;
}

static void test_changes(void) {
    static int count, called;
    pthread_t t[3];
    mlog_stats s;
    letters[0] = 'a';
    start("changes.log", 65536, MLOG_BLOCK);
    keep_logging = 1;
    for (int i = 0; i < 3; i++) (void)pthread_create(&t[i], NULL, log_on, &count);
    const char *path = log_path;
    for (int i = 0; i < 30 / SCALE; i++) {
        mlog_sink_config c = {.name = "extra", .type = MLOG_CALLBACK, .write = callback_write, .user = &called};
        mlog_config again = {.levels = "trace", .env = "-", .full = MLOG_BLOCK, .sinks = {{.type = MLOG_FILE, .path = path}}};
        mlog_sink *sink = mlog_sink_add(&c);
        CHECK(sink != NULL);
        sleep_ms(2);
        mlog_stats_read(&s);
        if (i % 3 == 0) CHECK(mlog_init(&again) == 0);
        if (i % 3 == 1) CHECK(mlog_levels(i % 2 ? "trace,a=info" : "trace,b=error") == 0);
        mlog_sink_remove(sink);
        int before = __atomic_load_n(&called, __ATOMIC_RELAXED);
        sleep_ms(1);
        CHECK_EQ(__atomic_load_n(&called, __ATOMIC_RELAXED), before); /* after its removal a callback does not run again */
        if (i % 5 == 4) CHECK(mlog_shutdown(5000) == 0);              /* the next call starts it again, with the same file */
    }
    __atomic_store_n(&keep_logging, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
    log_path = path;
    char *text = logged();
    CHECK_EQ(not_once(text, "on and on", "n", count), 0);
    CHECK(called > 0);
    free(text);
}

static void *log_hard(void *count) { /* its ring is full most of the time */
    while (__atomic_load_n(&keep_logging, __ATOMIC_RELAXED)) {
        mlog_context *c = mlog_context_new("inside", 1);
        mlog_info("hard", "text", letters, "n", __atomic_fetch_add((int *)count, 1, __ATOMIC_RELAXED));
        mlog_context_unref(c);
    }
    return NULL;
}

static void test_changes_of_waiters(void) { /* who makes the passes, while calls wait for room */
    static const mlog_flusher who[] = {MLOG_DIRECT, MLOG_POLL, MLOG_THREAD};
    static int count;
    pthread_t t[3];
    start("waiters.log", 4096, MLOG_BLOCK);
    const char *path = log_path;
    keep_logging = 1;
    for (int i = 0; i < 3; i++) (void)pthread_create(&t[i], NULL, log_hard, &count);
    for (int i = 0; i < 9; i++) {
        sleep_ms(3);
        mlog_config c = {.levels = "trace", .env = "-", .full = MLOG_BLOCK, .ring_bytes = 4096, .flusher = who[i % 3],
                         .sinks = {{.type = MLOG_FILE, .path = path}}};
        CHECK(mlog_init(&c) == 0);
    }
    __atomic_store_n(&keep_logging, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
    log_path = path;
    char *text = logged();
    CHECK_EQ(not_once(text, "hard", "n", count), 0);
    free(text);
}

static void test_handing_on(void) { /* a callback that is quicker than the file does not decide where the next file begins */
    static int count, called;
    pthread_t t[3];
    start("handing-on.log", 65536, MLOG_BLOCK);
    const char *path = log_path;
    keep_logging = 1;
    for (int i = 0; i < 3; i++) (void)pthread_create(&t[i], NULL, log_hard, &count);
    for (int i = 0; i < 40; i++) {
        sleep_ms(1);
        mlog_config c = {.levels = "trace", .env = "-", .full = MLOG_BLOCK, .ring_bytes = 65536,
                         .sinks = {{.type = MLOG_FILE, .path = path},
                                   {.type = MLOG_CALLBACK, .write = callback_write, .user = &called}}};
        CHECK(mlog_init(&c) == 0);
    }
    __atomic_store_n(&keep_logging, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) (void)pthread_join(t[i], NULL);
    log_path = path;
    char *text = logged();
    CHECK_EQ(not_once(text, "hard", "n", count), 0);
    CHECK(__atomic_load_n(&called, __ATOMIC_RELAXED) > 0);
    free(text);
}

static void *own_full(void *unused) {
    CHECK(mlog_thread(&(mlog_thread_config){.full = MLOG_DROP}) == 0);
    start("own-full.log", 65536, MLOG_BLOCK);
    CHECK_EQ(mlog__thread_self->policy, MLOG_DROP);
    return unused;
}

static void *programs_full(void *unused) {
    mlog_info("the next thread of this ring");
    CHECK_EQ(mlog__thread_self->policy, MLOG_BLOCK);
    return unused;
}

static void test_own_full(void) { /* what a thread said about a full queue stays when the configuration changes, and ends with it */
    pthread_t t;
    (void)pthread_create(&t, NULL, own_full, NULL);
    (void)pthread_join(t, NULL);
    for (int i = 0; i < 20; i++) {
        (void)pthread_create(&t, NULL, programs_full, NULL);
        (void)pthread_join(t, NULL);
        CHECK(mlog_flush(5000) == 0);
    }
}

static volatile int handler_seen = -1;
static void look_from_handler(int signal) {
    char locals[20000]; /* a frame larger than a page */
    memset(locals, signal, sizeof locals);
    handler_seen = mlog__platform_in_handler(true) && locals[signal] == signal;
}

/* A handler is told from a thread that merely blocks signals in a program that has handlers. */
static void test_in_handler(void) {
    sigset_t usr1, old;
    on_signal(SIGUSR2, look_from_handler, 0);
    CHECK(!mlog__platform_in_handler(true));
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &usr1, &old);
    CHECK(!mlog__platform_in_handler(true));
    (void)raise(SIGUSR2);
    CHECK_EQ(handler_seen, 1);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    const int real_time[3] = {SIGRTMIN, SIGRTMIN + 1, SIGRTMAX};
    for (int i = 0; i < 3; i++) {
        handler_seen = 0;
        on_signal(real_time[i], look_from_handler, 0);
        (void)raise(real_time[i]);
        CHECK_EQ(handler_seen, 1);
        on_signal(real_time[i], SIG_DFL, 0);
    }
#if defined(__x86_64__) && defined(__linux__)
    handler_seen = 0;
    on_signal(SIGUSR1, look_from_handler, SA_NODEFER); /* the mask is empty in it: the stack tells */
    (void)raise(SIGUSR1);
    CHECK_EQ(handler_seen, 1);
    CHECK(!mlog__platform_in_handler(true));
    on_signal(SIGUSR1, SIG_DFL, 0);
#endif
    on_signal(SIGUSR2, SIG_DFL, 0);
}

int main(void) {
    test_in_handler();
    in_child(first_of_process);
    in_child(first_of_process_only);
    in_child(cancel_in_child);
    in_child(total_in_child);
    in_child(test_scale);
    test_late_clock();
    in_child(test_made_between);
    in_child(test_last_objects);
    in_child(test_too_long); /* with a ring of its own size */
    in_child(beyond_total);
    if (!SANITIZED) in_child(beyond_slots);
    test_short_lived();
    test_crowd();
    test_first_of_thread();
    test_storm(MLOG_BLOCK, 1 << 20);
    test_storm(MLOG_DROP, 8192);
    test_birth();
    test_interrupted_holder();
    test_deep();
    test_arguments();
    test_objects();
    test_errno();
    test_changes();
    test_changes_of_waiters();
    test_handing_on();
    test_own_full();
    return done();
}
