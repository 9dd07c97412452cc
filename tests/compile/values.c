#include "values.h"
int main(void) { values(); return mlog_shutdown(-1); }
