/* A unit with functions of its own that are called as those of err.h. */
#include <stdio.h>

static void err(const char *text) { fprintf(stdout, "own err: %s\n", text); }
static void warn(const char *text) { fprintf(stdout, "own warn: %s\n", text); }
void common(void);
void common(void) {
    err("a");
    warn("b");
}
