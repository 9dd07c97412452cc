/* The implementation as a unit of its own, for programs of C and C++. */
#define METALOG_IMPLEMENTATION
#include "metalog.h"
