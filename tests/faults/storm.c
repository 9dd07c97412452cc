/* A storm of SIGKILL: a program with several threads logs and is killed at a random moment, again and again; each next start recovers.
 * What a call has returned is counted in memory that outlives the program, by the program itself; lines are counted in the file, by this
 * program. Nothing may be lost, doubled or torn.
 *
 *   storm short|long [part]        prints what calls had returned, and what of it was lost, doubled or torn
 *
 * family: each victim has a child that logs to the same file; where a line was torn and another process wrote behind it, its piece is
 * blanked and the line written again. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include "../check.h"
#include <sys/prctl.h>
#include <sys/wait.h>

enum { THREADS = 16 };
typedef struct { uint64_t started[THREADS], returned[THREADS]; uint64_t dropped; } tally; /* of one run */
static tally *runs;
static char path[512], rings[512];

static int run_now, threads, paced, family;

static void *chatter(void *arg) {
    int t = (int)(intptr_t)arg;
    char text[64];
    for (uint64_t i = 0;; i++) {
        snprintf(text, sizeof text, "%.*s", (int)(i % 60), "a text of a length that changes from one call to the next one.");
        __atomic_store_n(&runs[run_now].started[t], i + 1, __ATOMIC_RELAXED);
        mlog_info("storm", "run", run_now, "t", t, "i", i, "text", text);
        __atomic_store_n(&runs[run_now].returned[t], i + 1, __ATOMIC_RELAXED);
        if (paced) usleep(200);
    }
    return NULL;
}

static mlog_config config(void) {
    return (mlog_config){.ring_dir = rings, .full = MLOG_BLOCK, .ring_bytes = 64 << 10, .sinks = {{.type = MLOG_FILE, .path = path}}};
}

static void victim(void) {
    mlog_config c = config();
    pthread_t id;
    if (mlog_init(&c) != 0) fprintf(stderr, "%s\n", mlog_why()), _exit(3);
    intptr_t first = family && fork() == 0 ? threads : 0; /* the child's threads have the numbers behind its parent's */
    for (intptr_t t = 1; t < threads; t++) pthread_create(&id, NULL, chatter, (void *)(first + t));
    chatter((void *)first);
}

/* Reads the numbers of a line. False: it is torn. */
static bool parse(const char *line, size_t n, int *run, int *t, uint64_t *i) {
    const char *at = strstr(line, "\"run\":");
    unsigned long long number;
    if (n < 2 || line[0] != '{' || line[n - 2] != '}' || at == NULL) return false;
    if (sscanf(at, "\"run\":%d,\"t\":%d,\"i\":%llu,\"text\":\"", run, t, &number) != 3) return false;
    *i = number;
    return strstr(line + 1, "{\"ts\"") == NULL; /* two lines in one */
}

/* Children of a victim became ours. */
static void end_group(pid_t group) {
    while (group != 0 && family && waitpid(-group, NULL, 0) > 0) {}
}

/* One storm; counts into the closing line. */
static void storm(const char *name, int kills, int many, bool with_pauses, int with_child) {
    bool outlives = with_child == 2;
    pid_t before = 0;
    threads = many;
    paced = with_pauses;
    family = with_child != 0;
    snprintf(path, sizeof path, "%s", temp_path("storm.log"));
    bool shm = mlog__life_roomy("/dev/shm") && access("/dev/shm", W_OK) == 0; /* a disk makes each start ten times as long */
    if (shm) snprintf(rings, sizeof rings, "/dev/shm/metalog-storm-%d", getpid());
    else snprintf(rings, sizeof rings, "%s", temp_path("storm-rings"));
    runs = mmap(NULL, (size_t)(kills + 1) * sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t seed = (uint32_t)(kills * 31 + threads * 7 + paced) | 1;
    (void)unlink(path);
    for (run_now = 0; run_now < kills; run_now++) {
        pid_t pid = fork();
        if (pid == 0) (void)setpgid(0, 0), victim(), _exit(0);
        (void)setpgid(pid, pid);
        seed = seed * 1664525u + 1013904223u;
        for (int i = 0; run_now % 4 != 0 && i < 2000 && __atomic_load_n(&runs[run_now].returned[0], __ATOMIC_RELAXED) == 0; i++) usleep(100);
        usleep((seed >> 16) % (run_now % 10 == 0 ? 30000 : 6000)); /* now and then it comes far, one in four may die in its start */
        kill(outlives ? pid : -pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        if (outlives && before != 0) kill(-before, SIGKILL); /* of the run before: two runs recover beside it */
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            printf("run %d: status %x\n", run_now, (unsigned)status);
            CHECK(false);
            return;
        }
        if (outlives) end_group(before), before = pid;
        else end_group(pid);
    }
    if (before != 0) kill(-before, SIGKILL), end_group(before);
    pid_t pid = fork(); /* the last recovery */
    if (pid == 0) {
        mlog_config c = config();
        int bad = mlog_init(&c) != 0 || mlog_shutdown(10000) != 0;
        exit(bad);
    }
    int status;
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);

    uint64_t returned = 0, lines = 0, torn = 0, doubled = 0, lost = 0, recovered = 0, strange = 0;
    uint8_t **seen = calloc((size_t)kills * THREADS, sizeof *seen);
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while (f != NULL && (n = getline(&line, &cap, f)) > 0) {
        int run, t;
        uint64_t i;
        size_t blank = strspn(line, " "); /* the place of a torn line that was written again */
        lines++;
        if (!parse(line + blank, (size_t)n - blank, &run, &t, &i)) {
            if (torn++ < 3) printf("torn: %s", line);
            continue;
        }
        if (run < 0 || run >= kills || t < 0 || t >= threads * (1 + family) || i >= runs[run].started[t]) {
            strange++;
            continue;
        }
        recovered += strstr(line, "\"recovered\":true") != NULL;
        uint8_t **s = &seen[run * THREADS + t];
        if (*s == NULL) *s = calloc(runs[run].started[t] + 1, 1);
        if ((*s)[i]++ != 0 && doubled++ < 3) printf("doubled: %s", line);
    }
    for (int run = 0; run < kills; run++)
        for (int t = 0; t < threads * (1 + family); t++) {
            returned += runs[run].returned[t];
            for (uint64_t i = 0; i < runs[run].returned[t]; i++)
                if (seen[run * THREADS + t] == NULL || seen[run * THREADS + t][i] == 0)
                    if (lost++ < 3) printf("lost: run %d thread %d record %llu of %llu\n", run, t, (unsigned long long)i, (unsigned long long)runs[run].returned[t]);
        }
    uint64_t left = files_in(rings);
    if (f != NULL) fclose(f);
    free(line);
    for (int i = 0; i < kills * THREADS; i++) free(seen[i]);
    free(seen);
    printf("    %-28s %5d kills, %2d threads: %9llu returned, %8llu recovered, lost %llu, doubled %llu, torn %llu\n", name, kills, threads * (1 + family),
           (unsigned long long)returned, (unsigned long long)recovered, (unsigned long long)lost, (unsigned long long)doubled, (unsigned long long)torn);
    CHECK_EQ(lost, 0);
    CHECK_EQ(doubled + torn, 0);
    CHECK_EQ(strange, 0);
    CHECK_EQ(left, 0);
    CHECK(returned >= (uint64_t)kills && recovered > 0 && lines > 0);
    if (shm) (void)rmdir(rings);
    munmap(runs, (size_t)(kills + 1) * sizeof *runs);
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    static const struct { const char *name; int kills, all_kills, threads; bool paced; int family; } list[] = {
        {"saturated", 40, 1000, 4, false, 0}, {"one thread", 40, 500, 1, false, 0}, {"many threads", 25, 300, 16, false, 0},
        {"paced", 40, 500, 8, true, 0}, {"with a child, paced", 20, 200, 2, true, 1}, {"with a child, saturated", 60, 1000, 4, false, 1}, {"its child lives on", 40, 500, 4, false, 2}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("METALOG");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (only == NULL || strcmp(only, list[i].name) == 0)
            storm(list[i].name, all ? list[i].all_kills : list[i].kills, list[i].threads, list[i].paced, list[i].family);
    return done();
}
