/* threads: a pool of workers. Each job brings its context along: what the one who submitted it knew stands on every record that any
 * worker makes for it.
 *
 *     cc -I. examples/threads.c -o threads -pthread && ./threads 2>&1 | cat
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <pthread.h>

enum { WORKERS = 3, JOBS = 6 };

struct job { int number; mlog_context *context; };

static struct job queue[JOBS];
static int queued, taken;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The context travels with the job; the reference that mlog_context_new gave is handed over, too. */
static void submit(int number) {
    mlog_with("client", number % 2 ? "ann" : "bob");
    queue[queued++] = (struct job){number, mlog_context_new("job", number)};
    mlog_info("submitted", "queue", queued);
}

static void run(struct job *job) {
    mlog_with_context(job->context); /* until the end of this function: client and job */
    mlog_context_unref(job->context);
    mlog_info("begins");
    if (job->number == 4) mlog_warn("takes long", "waited", mlog_dur(250000000));
    mlog_info("done", "result", job->number * job->number);
}

static void *work(void *name) {
    mlog_thread(&(mlog_thread_config){.name = name}); /* makes its ring now, not in the first call */
    for (;;) {
        pthread_mutex_lock(&lock);
        struct job *job = taken < queued ? &queue[taken++] : NULL;
        pthread_mutex_unlock(&lock);
        if (!job) return NULL;
        run(job);
    }
}

int main(void) {
    static char name[WORKERS][16] = {"worker-a", "worker-b", "worker-c"};
    pthread_t thread[WORKERS];
    for (int i = 0; i < JOBS; i++) submit(i);
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&thread[i], NULL, work, name[i]) != 0) mlog_die(1, "cannot start a thread", "number", i);
    for (int i = 0; i < WORKERS; i++) pthread_join(thread[i], NULL);
    mlog_info("all done");
    return 0;
}
