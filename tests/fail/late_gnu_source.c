/* expect: _GNU_SOURCE */
/* alone */
/* <stdio.h> came first and without _GNU_SOURCE: too late for the implementation, which must say what to do, and nothing else. */
#ifdef CONTROL
#define _GNU_SOURCE
#endif
#include <stdio.h>
#define METALOG_IMPLEMENTATION
#include "metalog.h"
