/* A program that logs with zlog (https://github.com/HardySimpson/zlog): a configuration file with rules for its categories, levels of its
 * own, fields of a thread, a function that gets records, a second configuration while it runs. tests/migrate.sh builds it with a stand-in
 * of zlog, and with metalog.
 *
 *     main CONFIGURATION LATER
 */
#include "bank.h"

static int audit(zlog_msg_t *msg) {
    printf("%s: %.*s", msg->path, (int)msg->len, msg->buf);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3 || dzlog_init(argv[1], "bank") != 0) return 1;
    zlog_set_record("audit", audit);
    zlog_category_t *other = zlog_get_category("printer"), *bank = zlog_get_category("bank");
    dzlog_info("opened, %d arguments", argc);
    zlog_debug(bank, "below the rule's level");
    const char *users[] = {"ann", "bob", "ann"};
    const int amounts[] = {1250, -2000, -250};
    for (int i = 0; i < 3; i++) dzlog_notice("%s: sum %d", users[i], ledger_book(users[i], amounts[i]));
    bank_audit(bank, "looked at %s", "everything");
    zlog_warn(other, "no rule is mine: %c%c", 'a', 'b');
    zlog_notice(other, "but this level is left out");
    if (zlog_reload(argv[2]) != 0) return 1;
    zlog_info(bank, "too low now");
    zlog_error(bank, "later %s", "error");
    zlog_fatal(other, "later fatal");
    zlog_fini();
    dzlog_error("behind the end");
    return 0;
}
