/* expect: no lock-free 64-bit atomics */
/* alone */
/* A target without them (32-bit x86 before the 586, ARMv5) is told so, in one line. */
#ifndef CONTROL
#undef __GCC_ATOMIC_LLONG_LOCK_FREE
#define __GCC_ATOMIC_LLONG_LOCK_FREE 1
#undef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_8
#endif
#define METALOG_IMPLEMENTATION
#include "metalog.h"
