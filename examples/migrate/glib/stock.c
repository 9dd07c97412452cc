/* A part with a domain of its own. */
#define G_LOG_DOMAIN "shop-stock"
#define G_LOG_USE_STRUCTURED
#include <glib.h>

void stock_count(int rounds);
void stock_count(int rounds) {
    for (int i = 1; i <= rounds; i++) {
        g_debug("round %d", i);
        g_info("counted %d of %d", i * 10, rounds * 10);
        g_message("shelf %d done", i);
    }
    g_critical("a shelf is gone");
}
