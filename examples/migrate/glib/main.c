/* A program that logs with GLib, written as its users write: a domain for each part, structured fields, debug messages that
 * G_MESSAGES_DEBUG turns on, a handler of its own for one domain, a fatal message at the end. tests/migrate.sh builds it as it is, and
 * with metalog's bridge linked to it.
 *
 *     main [fatal | error | critical]
 */
#define G_LOG_DOMAIN "shop"
#include <glib.h>

#include <stdio.h>
#include <string.h>

void stock_count(int rounds);

static void quiet(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer user_data) {
    (void)level;
    printf("%s: %s: %s\n", (const char *)user_data, domain, message);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    g_log_set_handler("noisy", G_LOG_LEVEL_MASK, quiet, (gpointer) "handled");
    g_message("opened at %d o'clock", 9);
    stock_count(2);
    g_info("info of shop");
    g_debug("debug of shop, %s", "in detail");
    g_warning("%d%% of the shelves are empty", 40);
    g_log("noisy", G_LOG_LEVEL_WARNING, "not for everybody");
    g_log(NULL, G_LOG_LEVEL_MESSAGE, "of no domain");
    g_log_structured("shop.till", G_LOG_LEVEL_WARNING, "CUSTOMER", "ann", "TILL", "4", "MESSAGE", "paid %.2f, change %d", 10.5, 3);
    if (strcmp(how, "critical") == 0) g_return_val_if_fail(argc > 5, 3);
    if (strcmp(how, "fatal") == 0) {
        g_log_set_always_fatal(G_LOG_LEVEL_WARNING);
        g_log_structured("shop.till", G_LOG_LEVEL_WARNING, "MESSAGE", "a structured warning ends it");
    }
    if (strcmp(how, "error") == 0) g_error("no way on: %s", "fire");
    return 0;
}
