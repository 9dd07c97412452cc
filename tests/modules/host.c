/* A program that loads, calls and unloads plugins in the order of its arguments; with -DNONE it has no metalog of its own.
 *   local:PATH global:PATH  dlopen; plugins are numbered from 0          call:N close:N   its plugin_log, dlclose
 *   levels:RULES log flush  of the program's own metalog                 churn:PATH       loads and unloads it 100 times beside
 *   fork:N                  the child unloads plugin N, then logs        early            threads that exist before a plugin is loaded
 *                                                                                         call its plugin_log afterwards
 *   nap                     50 ms, in which other threads run */
#ifndef NONE
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#else
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void plugin_log(int n);
static struct { void *handle; plugin_log *log; } plugin[32];
static int plugins, calls;

static plugin_log *symbol(void *handle) {
    plugin_log *log;
    *(void **)(void *)&log = dlsym(handle, "plugin_log");
    return log;
}

static void load(const char *path, int flags) {
    void *handle = dlopen(path, RTLD_NOW | flags);
    if (handle == NULL) {
        printf("%s\n", dlerror());
        exit(3);
    }
    plugin[plugins].handle = handle;
    plugin[plugins++].log = symbol(handle);
}

static pthread_barrier_t early;
static void *early_run(void *arg) {
    pthread_barrier_wait(&early);
    pthread_barrier_wait(&early);
    for (int i = 0; i < plugins; i++) plugin[i].log(1000);
    return arg;
}

#ifndef NONE
static int stop, logged;
static void *churn_log(void *arg) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        mlog_error("beside", "n", logged++);
        if (logged % 64 == 0) usleep(100);
    }
    return arg;
}
static void *churn_levels(void *arg) {
    for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) mlog_levels(i % 2 ? "error,plugin=trace" : "warn");
    return arg;
}
static void churn(const char *path) {
    pthread_t a, b;
    pthread_create(&a, NULL, churn_log, NULL);
    pthread_create(&b, NULL, churn_levels, NULL);
    for (int i = 0; i < 100; i++) {
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) exit(3);
        symbol(handle)(i);
        dlclose(handle);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    mlog_levels("info");
    printf("beside %d\n", logged);
}
static void unload_in_child(int n) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dlclose(plugin[n].handle);
        mlog_levels("debug");
        mlog_debug("from the child");
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) exit(4);
}
static int own(const char *op, const char *arg) {
    if (strcmp(op, "levels") == 0) return mlog_levels(arg);
    if (strcmp(op, "log") == 0) return (void)mlog_info("host", "n", calls++), 0;
    if (strcmp(op, "flush") == 0) return mlog_flush(-1);
    if (strcmp(op, "churn") == 0) return churn(arg), 0;
    if (strcmp(op, "fork") == 0) return unload_in_child(atoi(arg)), 0;
    return -1;
}
static void start(void) {
    const char *path = getenv("HOST_LOG");
    mlog_config config = {.sinks = {{.type = MLOG_FILE, .path = path}}};
    if (path != NULL && mlog_init(&config) != 0) printf("host: %s\n", mlog_why());
}
#else
static int own(const char *op, const char *arg) { return (void)op, (void)arg, -1; }
static void start(void) {}
#endif

int main(int argc, char **argv) {
    pthread_t thread;
    bool waiting = false;
    start();
    for (int i = 1; i < argc; i++) {
        char *arg = strchr(argv[i], ':');
        if (arg != NULL) *arg++ = 0;
        int n = arg == NULL ? 0 : atoi(arg);
        if (strcmp(argv[i], "local") == 0) load(arg, RTLD_LOCAL);
        else if (strcmp(argv[i], "global") == 0) load(arg, RTLD_GLOBAL);
        else if (strcmp(argv[i], "call") == 0) plugin[n].log(calls++);
        else if (strcmp(argv[i], "close") == 0) dlclose(plugin[n].handle);
        else if (strcmp(argv[i], "nap") == 0) usleep(50000);
        else if (strcmp(argv[i], "early") == 0) {
            waiting = true;
            pthread_barrier_init(&early, NULL, 2);
            pthread_create(&thread, NULL, early_run, NULL);
            pthread_barrier_wait(&early);
        } else if (own(argv[i], arg) != 0) return printf("bad operation %s\n", argv[i]), 2;
    }
    if (waiting) pthread_barrier_wait(&early), pthread_join(thread, NULL);
    return 0;
}
