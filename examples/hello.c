/* hello: the smallest program. No set-up: the first call starts the log, on stderr.
 *
 *     cc -I. examples/hello.c -o hello -pthread && ./hello
 *
 * Try also `./hello 2>&1 | cat` (JSON lines) and `METALOG=debug ./hello`. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

int main(void) {
    mlog_info("hello, world", "answer", 42);
    mlog_warnf("printf style works too: %d%% of %s", 100, "it");
    mlog_debug("seen with METALOG=debug only", "pi", 3.14159);
    return 0;
}
