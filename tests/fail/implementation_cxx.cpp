/* expect: METALOG_IMPLEMENTATION */
/* alone */
/* The implementation is C. */
#ifndef CONTROL
#define METALOG_IMPLEMENTATION
#endif
#include "metalog.h"
