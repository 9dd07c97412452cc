/* custom_sink: a sink of your own. It gets each record decoded and formatted, on a thread of the library, in batches: write() for each
 * record, then flush(), which says whether the batch is safe. A negative answer means "later": the batch is offered again, so that a
 * database that is away for a while loses nothing. Meanwhile no other sink and no caller waits.
 *
 *     cc -I. examples/custom_sink.c -o custom_sink -pthread && ./custom_sink
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A table in memory stands for the database. */
struct table {
    int pending, rows, commits, refusals;
    double total;
};

static int insert(void *user, const mlog_record *r) {
    struct table *t = user;
    if (t->refusals < 2 && r->level >= MLOG_ERROR) {
        t->refusals++;
        return -1; /* "database is locked": the library tries again in a moment */
    }
    for (size_t i = 0; i < r->nfields; i++) /* typed: a number is a number */
        if (strcmp(r->fields[i].key, "price") == 0 && r->fields[i].value.kind == MLOG_K_DOUBLE) t->total += r->fields[i].value.as.f;
    printf("insert %-5s %-8s %s\n", mlog_level_name(r->level), r->source, r->text);
    t->pending++;
    return 0;
}

static int commit(void *user) {
    struct table *t = user;
    t->rows += t->pending;
    t->pending = 0;
    t->commits++;
    return 0;
}

static void closed(void *user) {
    const struct table *t = user;
    printf("%d rows, total %.2f, refused %d times\n", t->rows, t->total, t->refusals);
}

int main(void) {
    static struct table table;
    const mlog_sink_config sink = {.name = "table", .type = MLOG_CALLBACK, .format = MLOG_JSON, .level = MLOG_INFO,
                                   .write = insert, .flush = commit, .close = closed, .user = &table};
    const mlog_config config = {.sinks = {sink}};
    if (mlog_init(&config) != 0) {
        fprintf(stderr, "log: %s\n", mlog_why());
        return 1;
    }
    mlog_info("bought", "symbol", "ACME", "price", 12.5);
    mlog_info("bought", "symbol", "EMCA", "price", 0.25);
    mlog_error("rejected", "symbol", "ACME", "reason", "no funds");
    mlog_debug("below the sink's level");
    if (mlog_flush(5000) != 0) return 1; /* all of it is with the sink now */
    return mlog_shutdown(1000) == 0 ? 0 : 1;
}
