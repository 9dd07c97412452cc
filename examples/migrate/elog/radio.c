/* A unit that is quieter, and has a second tag. */
#define LOG_TAG "radio"
#define LOG_LVL ELOG_LVL_DEBUG
#include <elog.h>

#define RX "radio.rx"
static const char *const names[] = {"radio.tx", RX};

void radio_run(int packets);
void radio_run(int packets) {
    log_v("compiled out in this unit");
    for (int i = 1; i <= packets; i++) {
        log_d("packet %d of %d", i, packets);
        elog_w(RX, "packet %d: rssi=%d", i, -40 - i);
        elog_i(names[i % 2], "packet %d done", i); /* the tag is known at run time only */
    }
    elog_e(RX, "lost %u", 1u);
}
