/* Section shim, stdio: what is written to descriptors 1 and 2 as records. not under: tsan (it starts children) */
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_STDIO
#include "../metalog.h"
#include <pthread.h>
#include <sys/wait.h>
#include "output.h"

static int real_out; /* of the test itself, whose results go there */

/* Text that nobody may see but through records: descriptors 1 and 2 lead to a file meanwhile. */
static void hide(void) {
    int fd = open(temp_path("seen.txt"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)fflush(stdout);
    real_out = dup(1);
    (void)dup2(fd, 1);
    (void)dup2(fd, 2);
    (void)close(fd);
}

static void show(void) {
    (void)fflush(stdout);
    (void)dup2(real_out, 1);
    (void)dup2(real_out, 2);
    (void)close(real_out);
}

/* Ends the captures, so that all is logged, and shows results again. */
static void seen(void) {
    (void)mlog_stdio(1, 0);
    (void)mlog_stdio(2, 0);
    show();
    out_look();
}

static void test_lines(void) {
    hide();
    int first = mlog_stdio(1, MLOG_INFO), second = mlog_stdio(2, MLOG_ERROR), again = mlog_stdio(1, MLOG_NOTICE);
    printf("printed %d\n", 1);
    (void)fprintf(stderr, "said %s\n", "so");
    (void)!write(1, "par", 3);
    (void)!write(2, "other line\r\n\n", 13);
    (void)!write(1, "tial\n100% \"quoted\" \x1b[1m\nend", 27);
    int result = system("echo from a child; echo its error >&2");
    mlog_info("own record");
    seen();
    CHECK(first == 0 && second == 0 && again == 0 && result == 0);
    CHECK_EQ(lines(out_json, NULL), 8);
    CHECK_EQ(lines(out_json, "\"level\":\"notice\",\"msg\":\"printed 1\",\"source\":\"stdout\""), 1);
    CHECK_EQ(lines(out_json, "\"level\":\"error\",\"msg\":\"said so\",\"source\":\"stderr\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"partial\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"other line\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"100% \\\"quoted\\\" \\u001b[1m\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"endfrom a child\""), 1); /* as it would stand on a terminal */
    CHECK_EQ(lines(out_json, "\"msg\":\"its error\",\"source\":\"stderr\""), 1);
    CHECK_EQ(lines(out_json, "own record"), 1);
    CHECK_EQ(file_lines(temp_path("seen.txt"), NULL), 0);
    hide();
    printf("behind it\n");
    show();
    CHECK_EQ(file_lines(temp_path("seen.txt"), "behind it"), 1); /* it leads again to where it did */
    out_look();
    CHECK_EQ(lines(out_json, NULL), 0);
}

static void test_long_line(void) {
    static char text[30001];
    memset(text, 'x', 30000);
    hide();
    (void)mlog_stdio(1, MLOG_INFO);
    puts(text);
    puts("short");
    (void)!write(1, "no end", 6);
    seen();
    CHECK_EQ(lines(out_json, "xxx"), 4);
    CHECK_EQ(lines(out_json, "\"msg\":\"short\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"no end\""), 1);
    size_t n = 0;
    for (const char *p = out_json; *p; p++) n += *p == 'x' && (p[1] == 'x' || p[-1] == 'x');
    CHECK_EQ(n, 30000);
}

static void *print_many(void *arg) {
    char line[64];
    for (int i = 0; i < 500; i++) {
        int n = snprintf(line, sizeof line, "thread %d line %d end\n", (int)(intptr_t)arg, i);
        (void)!write(1 + i % 2, line, (size_t)n);
    }
    return NULL;
}

/* Lines that are written in one piece stay whole, however many write. */
static void test_interleaving(void) {
    pthread_t thread[4];
    hide();
    (void)mlog_stdio(1, MLOG_INFO);
    (void)mlog_stdio(2, MLOG_INFO);
    for (int i = 0; i < 4; i++) (void)pthread_create(&thread[i], NULL, print_many, (void *)(intptr_t)i);
    for (int i = 0; i < 4; i++) (void)pthread_join(thread[i], NULL);
    seen();
    CHECK_EQ(lines(out_json, NULL), 2000);
    CHECK_EQ(lines(out_json, " end\",\"source\":\"std"), 2000);
}

/* A console of ours does not come round again, whether it was there before the capture or comes during it. */
static void test_console(void) {
    hide();
    mlog_config c = {.levels = "trace", .env = "-", .sinks = {{.type = MLOG_CONSOLE, .format = MLOG_PATTERN, .pattern = "console: %m"}}};
    int first = mlog_init(&c), capture = mlog_stdio(2, MLOG_INFO);
    (void)fprintf(stderr, "before\n");
    (void)mlog_stdio(2, MLOG_INFO);
    sleep_ms(100);
    int second = mlog_init(&c); /* opened while descriptor 2 is ours */
    (void)fprintf(stderr, "during\n");
    sleep_ms(100);
    (void)mlog_stdio(2, 0);
    int flushed = mlog_flush(5000);
    show();
    CHECK(first == 0 && capture == 0 && second == 0 && flushed == 0);
    CHECK_EQ(file_lines(temp_path("seen.txt"), NULL), 2);
    CHECK_EQ(file_lines(temp_path("seen.txt"), "console: before"), 1);
    CHECK_EQ(file_lines(temp_path("seen.txt"), "console: during"), 1);
    CHECK(out_begin((mlog_config){.levels = "trace"}) == 0);
}

static int stuck_write(void *user, const mlog_record *r) {
    (void)r;
    return __atomic_load_n((int *)user, __ATOMIC_ACQUIRE) ? -1 : 0; /* takes nothing, for a while */
}

/* A sink that is stuck, a ring that is full: who prints goes on. */
static void test_full(void) {
    static int stuck = 1;
    hide();
    mlog_config c = {.levels = "trace", .env = "-", .ring_bytes = 64 << 10, .full_ms = 20,
                     .sinks = {{.type = MLOG_CALLBACK, .write = stuck_write, .user = &stuck}}};
    int first = mlog_init(&c), capture = mlog_stdio(1, MLOG_INFO);
    int64_t begin = now_ms();
    for (int i = 0; i < 20000; i++) (void)!write(1, "a line of forty bytes, again and again\n", 39);
    int64_t took = now_ms() - begin;
    __atomic_store_n(&stuck, 0, __ATOMIC_RELEASE);
    (void)mlog_stdio(1, 0);
    show();
    CHECK(first == 0 && capture == 0);
    if (!CHECK(took < 20000)) printf("    %lld ms\n", (long long)took);
    CHECK(out_begin((mlog_config){.levels = "trace"}) == 0);
}

/* A child that logs has a pipe of its own; one that does not speaks through its parent's. */
static void test_fork(void) {
    hide();
    (void)mlog_stdio(1, MLOG_INFO);
    pid_t pid = fork();
    if (pid == 0) {
        printf("child before\n");
        mlog_info("child logs");
        printf("child behind\n");
        exit(0);
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    printf("parent behind\n");
    seen();
    CHECK_EQ(status, 0);
    CHECK_EQ(lines(out_json, "\"msg\":\"child before\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"child logs\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"child behind\""), 1);
    CHECK_EQ(lines(out_json, "\"msg\":\"parent behind\""), 1);
    CHECK_EQ(lines(out_json, NULL), 4);
}

/* A host that closes everything, and uses the numbers for files of its own, keeps those. */
static void test_closed(void) {
    const char *path = temp_path("own.txt");
    (void)mlog_flush(-1);
    pid_t pid = fork();
    if (pid == 0) {
        (void)mlog_stdio(1, MLOG_INFO);
        (void)mlog_stdio(2, MLOG_INFO);
        printf("to be logged\n");
        sleep_ms(50);
        for (int fd = 0; fd < 100; fd++) (void)close(fd);
        int last = 0;
        while (last < 40) last = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
        (void)!write(1, "own text\n", 9);
        mlog_info("still logs");
        (void)mlog_stdio(1, 0);
        (void)mlog_stdio(2, 0);
        (void)!write(2, "own text\n", 9);
        _exit(mlog_flush(5000) != 0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    out_look();
    CHECK_EQ(lines(out_json, "to be logged"), 1);
    CHECK_EQ(lines(out_json, "still logs"), 1);
    CHECK_EQ(file_lines(path, "own text"), 2);
    CHECK_EQ(file_lines(path, NULL), 2);
}

/* At exit all of it is logged, and what comes behind goes to where it would have gone. */
static void late(void) { (void)!write(1, "in atexit\n", 10); }
static void test_exit(void) {
    (void)mlog_flush(-1);
    pid_t pid = fork();
    if (pid == 0) {
        (void)atexit(late);
        hide();
        (void)mlog_stdio(1, MLOG_INFO);
        for (int i = 0; i < 3000; i++) printf("line %d\n", i);
        printf("the last one, without an end");
        exit(3);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
    out_look();
    CHECK_EQ(lines(out_json, "\"msg\":\"line "), 3000);
    CHECK_EQ(lines(out_json, "\"msg\":\"the last one, without an end\""), 1);
    CHECK_EQ(file_lines(temp_path("seen.txt"), "in atexit") + lines(out_json, "in atexit"), 1);
}

static void test_refused(void) {
    CHECK_EQ(mlog_stdio(0, MLOG_INFO), -1);
    CHECK(SAME(mlog_why(), "mlog_stdio: descriptor 0: expected 1 or 2"));
    CHECK_EQ(mlog_stdio(1, 0), 0);
}

int main(void) {
    if (!CHECK(out_begin((mlog_config){.levels = "trace"}) == 0)) return done();
    test_lines();
    test_long_line();
    test_interleaving();
    test_console();
    test_full();
    test_fork();
    test_closed();
    test_exit();
    test_refused();
    return done();
}
