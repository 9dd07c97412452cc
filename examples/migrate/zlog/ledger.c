/* A part with a category below the bank's. */
#include "bank.h"

static void note(zlog_category_t *category, const char *format, ...) { /* a wrapper with a list of arguments */
    va_list args;
    va_start(args, format);
    vzlog(category, "notes", 5, "note", 4, 1, ZLOG_LEVEL_INFO, format, args);
    va_end(args);
}

int ledger_book(const char *user, int amount) {
    static int sum;
    zlog_category_t *category = zlog_get_category("bank_ledger");
    zlog_put_mdc("user", user);
    bank_trace(category, "books %d", amount);
    if (zlog_level_enabled(category, ZLOG_LEVEL_DEBUG)) zlog_debug(category, "user=%s amount=%d", user, amount);
    if (sum + amount < 0) zlog_warn(category, "%s: not enough, %d missing", user, -(sum + amount));
    else sum += amount;
    note(category, "sum is %.2f", sum / 100.0);
    zlog_remove_mdc("user");
    return sum;
}
