/* Build: cc -O2 -I../.. -shared -fPIC plugin.c library.c -o plugin.so */
/* A plugin of a program that has metalog: include and log. Without one in the program, dlopen would name the missing symbol. */
#include "metalog.h"

int library_sum(int n);
void plugin_run(int n);

void plugin_run(int n) {
    mlog_info("plugin runs", "n", n);
    mlog_notice("plugin is done", "sum", library_sum(n));
}
