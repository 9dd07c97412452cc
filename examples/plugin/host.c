/* Build: cc -O2 -I../.. -rdynamic host.c -o host -pthread */
/* A program with plugins. -rdynamic lets them find its metalog: one instance, one file, one set of level rules. Run: ./host ./plugin.so */
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
    mlog_info("host starts", "plugins", argc - 1);
    for (int i = 1; i < argc; i++) {
        void *plugin = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        if (plugin == NULL) {
            mlog_error("cannot load", "plugin", argv[i], "error", dlerror());
            continue;
        }
        void (*run)(int);
        *(void **)&run = dlsym(plugin, "plugin_run");
        mlog_with("plugin", argv[i]); /* also on what the plugin logs */
        if (run != NULL) run(3);
        dlclose(plugin); /* its call sites leave the lists; what it logged is copied */
    }
    return 0;
}
