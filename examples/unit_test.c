/* unit_test: a program's tests look at what it logs. While a capture is under way, the records of all threads are kept for the test
 * instead of going to the sinks.
 *
 *     cc -I. examples/unit_test.c -o unit_test -pthread && ./unit_test
 */
#define METALOG_IMPLEMENTATION
#include "metalog.h"

#include <stdio.h>

/* What is tested. */
static int buy(const char *symbol, int quantity) {
    mlog_with("symbol", symbol);
    if (quantity <= 0) {
        mlog_error("rejected", "quantity", quantity);
        return -1;
    }
    if (quantity > 1000) mlog_warn("large order", "quantity", quantity);
    mlog_info("accepted", "quantity", quantity);
    return 0;
}

static int failures;
static void expect(mlog_capture *capture, size_t count, const char *filter) {
    size_t got = mlog_capture_count(capture, filter); /* waits for everything that was logged before */
    if (got == count) return;
    failures++;
    printf("expected %zu of \"%s\", got %zu, in:\n%s", count, filter, got, mlog_capture_text(capture));
}

int main(void) {
    mlog_capture *capture = mlog_capture_begin("debug");
    buy("ACME", 300);
    buy("ACME", -5);
    buy("EMCA", 5000);
    expect(capture, 2, "msg=accepted");
    expect(capture, 1, "level>=error and symbol=ACME and quantity<0");
    expect(capture, 1, "msg='large*' and quantity>1000 and not symbol=ACME");
    expect(capture, 0, "level>error");
    mlog_capture_end(capture);
    printf("%s\n", failures ? "FAILED" : "all as expected");
    return failures != 0;
}
