/* A unit of C that only logs; it also logs from an inline function with external linkage. */
#include "uses.h"

inline int in_inline(int n);
extern int in_inline(int n);
inline int in_inline(int n) {
    mlog_info("inline", "n", n);
    return 1;
}
int uses_c(void);
int uses_c(void) { return uses() + in_inline(1); }
