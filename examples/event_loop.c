/* event_loop: one thread, many tasks in turn. mlog_context_swap enters a task's context when its turn comes and hands back what was
 * there before, so that records of interleaved tasks keep apart without a lock and without an argument passed around.
 *
 *     cc -I. examples/event_loop.c -o event_loop -pthread && ./event_loop 2>&1 | cat
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

enum { TASKS = 3, STEPS = 4 };

struct task { int step, steps; mlog_context *context; };

/* Somewhere deep in the program: knows nothing of tasks. */
static void read_some(int bytes) { mlog_info("read", "bytes", bytes); }

/* False when the task is over. */
static bool turn(struct task *t) {
    mlog_info("turn", "step", t->step);
    read_some(100 * ++t->step);
    if (t->step == 2) {
        mlog_with("phase", "headers"); /* fields inside the task's turn, on top of its own */
        mlog_info("parsed");
    }
    return t->step < t->steps;
}

int main(void) {
    struct task task[TASKS];
    int left = TASKS;
    for (int i = 0; i < TASKS; i++)
        task[i] = (struct task){0, STEPS - i, mlog_context_new("task", i, "peer", i == 1 ? "10.0.0.2" : "10.0.0.1")};
    mlog_info("loop begins", "tasks", left);
    while (left > 0)
        for (int i = 0; i < TASKS; i++) {
            struct task *t = &task[i];
            if (!t->context) continue;
            mlog_context *outside = mlog_context_swap(t->context); /* the task's reference goes to the thread … */
            bool more = turn(t);
            t->context = mlog_context_swap(outside); /* … and comes back */
            if (more) continue;
            mlog_context_unref(t->context);
            t->context = NULL;
            left--;
        }
    mlog_info("loop ends");
    return 0;
}
