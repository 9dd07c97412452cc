/* A small command-line tool that complains through err(3), error(3) and perror(3), as its users see it on the standard error. Nothing
 * in this directory knows of metalog; README, "Migration", shows what is added to the build so that its complaints become records.
 *
 *     cc examples/migrate/err/[cm]*.c -o checksum && ./checksum /etc/passwd /nowhere */
#include "check.h"
#include <err.h>
#include <error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    int bad = 0;
    if (argc < 2) errx(64, "usage: %s file...", "checksum");
    if (strcmp(argv[1], "-m") == 0) { /* a manifest: complaints have a file and a line */
        error_one_per_line = 1;
        for (unsigned line = 1; line < 4; line++) {
            error_at_line(0, 0, argv[2], line, "no checksum in \"%s\"", "x  y");
            error_at_line(0, ENOENT, argv[2], line, "not said: one complaint a line");
        }
        error_at_line(0, EINVAL, argv[2], 9, "the last line");
        return error_message_count == 4 ? 3 : 4;
    }
    for (int i = 1; i < argc; i++) bad += check_file(argv[i]) != 0;
    if (bad == 0) return 0;
    errno = 0;
    warn("errno is 0, and %s", "told");
    errno = EIO;
    warn(NULL);
    errno = EACCES;
    perror("perror");
    perror("");
    error(0, 0, "%d of %d files are bad", bad, argc - 1);
    error(0, ENOMEM, "error(3) tells an errno");
    if (bad == 1) error(7, EPIPE, "one is enough");
    errno = ENOSPC;
    if (bad == 2) err(3, "two are %s", "too much");
    if (bad == 3) errx(0, "three, and status 0");
    verify(bad);
    return 99;
}
