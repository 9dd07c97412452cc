/* A plugin. -DIMPL: with a metalog of its own, which writes to $PLUGIN_LOG; -DMETALOG_OPTIONAL: with one where there is one. C and C++. */
#ifdef IMPL
#define METALOG_IMPLEMENTATION
#endif
#define METALOG_SOURCE "plugin"
#include "metalog.h"
#include <stdio.h>
#include <stdlib.h>
#ifndef NAME
#define NAME "plugin"
#endif

#ifdef __cplusplus
extern "C" {
#endif
__attribute__((visibility("default"))) void plugin_log(int n);
#ifdef __cplusplus
}
struct at_end { ~at_end() { mlog_info("static object ends", "plugin", NAME); } };
static at_end ends;
/* the compiler gives all modules one copy of this site, in the module that was loaded first */
__attribute__((visibility("default"))) inline void shared() { mlog_debug("inline site"); }
#else
static void shared(void) {}
#endif

static int puts_;
static void put(mlog_writer *w, const void *p) { mlog_put(w, "x", *(const int *)p); puts_++; }

__attribute__((format(printf, 1, 2))) static void wrapped(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog_vprintf(MLOG_HERE, NULL, MLOG_INFO, format, args);
    va_end(args);
}

/* a site that is first used while the module goes */
__attribute__((destructor)) static void bye(void) { mlog_info("plugin ends", "plugin", NAME); }

/* everything that an optional unit may call; 8 records */
void plugin_log(int n) {
    int evaluated = 0;
    shared();
    char text[32];
    mlog_stats stats;
    mlog_value value = mlog_val(n);
    mlog_logger *logger = mlog_named("plugin.logger"), *bound = mlog_bind(logger, "bound", 1);
    mlog_with("plugin", NAME, "object", mlog_object(put, &n));
    mlog_info("pairs", "n", n, "text", "abc", "half", 0.5, "value", mlog_hex(255), "evaluated", ++evaluated);
    mlog_infof("%d %s %.1f %Lf", n, "abc", 0.5, (long double)1);
    mlog_to(bound, MLOG_INFO, "to", "n", n);
    mlog_tof(logger, MLOG_INFO, "tof %p", (void *)&n);
    wrapped("wrapped %d", n);
    mlog_context *context = mlog_context_new("task", n), *left;
    {
        mlog_with_context(context);
        mlog_info("in context");
    }
    left = mlog_context_swap(mlog_context_ref(context));
    mlog_context_unref(mlog_context_swap(left));
    mlog_context_unref(context);
    mlog_field field = {"key", value};
    mlog_event event = {MLOG_HERE, NULL, MLOG_INFO, 0, "emitted", 0, &field, 1};
    mlog_emit(&event);
    if (mlog_enabled(MLOG_INFO)) mlog_info("object", "object", mlog_object(put, &n));
    mlog_unbind(bound);
    mlog_stats_read(&stats);
    bool there = mlog_value_json(&value, text, sizeof text) > 0 && *mlog_level_name(MLOG_INFO) && mlog_level_parse("info") == 9;
    if (there != (evaluated == 1) || there != (puts_ > 0) || there != (stats.rings > 0) || there != (logger != NULL) ||
        there != mlog_enabled_to(logger, MLOG_INFO))
        printf("%s: half a metalog: %d %d %d %d\n", NAME, there, evaluated, puts_, logger != NULL);
    if (!there && (mlog_init(NULL) != -1 || mlog_levels("info") != -1 || mlog_thread(NULL) != -1 || mlog_why()[0] == 0 ||
                   mlog_shutdown(-1) != 0 || mlog_context_current() != NULL || mlog_sink_add(NULL) != NULL))
        printf("%s: not silent\n", NAME);
    mlog_reopen();
    if (mlog_flush(-1) != 0) printf("%s: %s\n", NAME, mlog_why());
    printf("%s %s\n", NAME, there ? "logs" : "is silent");
}

#ifdef IMPL
__attribute__((constructor)) static void start(void) {
    const char *path = getenv("PLUGIN_LOG");
    mlog_config config = {.sinks = {{.type = MLOG_FILE, .path = path}}};
    if (path != NULL && mlog_init(&config) != 0) printf("%s refused: %s\n", NAME, mlog_why());
}
#endif
