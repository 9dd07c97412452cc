/* A program that logs by printing, as do its library and its child. Nothing in this directory knows of metalog; README, "Migration",
 * shows how its lines become records.
 *
 *     cc examples/migrate/stdio/[ml]*.c -o chatty && ./chatty */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void library_work(int step);

int main(void) {
    printf("starting, %d steps\n", 3);
    for (int i = 0; i < 3; i++) {
        printf("step %d ...", i); /* a part of a line */
        library_work(i);
        printf(" done\n");
    }
    fflush(stdout);
    if (system("echo 'a child: 100% its own'; echo 'a child complains' >&2") != 0) return 1;
    if (write(2, "without stdio\nno newline at the end", 35) != 35) return 1;
    puts("stopped");
    return 0;
}
