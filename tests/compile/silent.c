/* Includes the header and logs nothing: links without the implementation. */
#include "metalog.h"
int main(void) { return mlog_hex(1).kind == MLOG_K_HEX ? 0 : 1; }
