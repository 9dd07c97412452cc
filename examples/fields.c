/* fields: every kind of value that a record can carry.
 *
 *     cc -I. examples/fields.c -o fields -pthread && ./fields 2>&1 | cat
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <errno.h>

struct order { const char *symbol; int quantity; double price; };

/* A struct of yours as an object; runs inside the call, before the record begins, and only when the call is enabled. */
static void put_order(mlog_writer *w, const void *p) {
    const struct order *o = p;
    mlog_put(w, "symbol", o->symbol);
    mlog_put(w, "quantity", o->quantity);
    mlog_put(w, "price", o->price);
}

int main(void) {
    int count = 3;
    double levels[] = {0.5, 1.25, 1e300};
    const char *tags[] = {"fast", "new"};
    const unsigned char mac[] = {0x02, 0x42, 0xac};
    struct order order = {"ACME", 300, 12.5};

    mlog_info("numbers", "int", count, "unsigned", 18446744073709551615u, "double", 0.1, "float", 0.1f, "char", 'x', mlog_var(count));
    mlog_info("text", "string", "caf\u00e9", "part", mlog_str("not all of it", 3), "none", (char *)0);
    mlog_info("told apart", "bool", mlog_bool(count == 3), "char", mlog_char('x'), "hex", mlog_hex(0xbeef), "pointer", (void *)0);
    mlog_info("bytes", "mac", mlog_bytes(mac, sizeof mac));
    mlog_info("lists", "levels", mlog_array(levels, 3), "tags", mlog_array(tags, 2));
    mlog_info("a struct", "order", mlog_object(put_order, &order));
    mlog_info("json as it is", "reply", mlog_json("{\"ok\":true}", 11));
    mlog_info("times", "due", mlog_time(INT64_C(1709251198000000000)), "took", mlog_dur(1500000));
    mlog_error("cannot open", "error", mlog_errno(ENOENT));
    mlog_info("secrets", "card", mlog_secret("4111 1111 1111 1111"), "password", "by its name");
    mlog_infof("%-8s|%5.2f|%08x|%s", "printf", 2.5, 48879u, "all of it");
    return 0;
}
