/* The unit of C that holds the implementation; it logs, too. Prints how many records the program made; they go to stderr. */
#define METALOG_IMPLEMENTATION
#include "uses.h"
#include <stdio.h>

int uses_c(void);
int uses_cxx(void);
#ifndef WITH_CXX
#define uses_cxx() 0
#endif
#ifndef WITH_C
#define uses_c() 0
#endif
int main(void) {
    printf("%d\n", uses() + uses_c() + uses_cxx());
    return 0;
}
