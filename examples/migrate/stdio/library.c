#include <stdio.h>

void library_work(int step);
void library_work(int step) {
    if (step == 1) fprintf(stderr, "library: warning: step %d is \"odd\"\n", step);
}
