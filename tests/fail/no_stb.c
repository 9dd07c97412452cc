/* expect: libstb-dev */
/* alone */
/* Without stb_sprintf.h one line says how to get it. */
#ifndef CONTROL
#define METALOG_STB_SPRINTF "no/such/stb_sprintf.h"
#endif
#define METALOG_IMPLEMENTATION
#include "metalog.h"
