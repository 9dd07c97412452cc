/* Fixture: what tests/layers.awk accepts. */

/* ==== seams ====
 * owns: nothing */
static void mlog__flush_wake(void);

/* ==== clock ====
 * owns: the time
 * may call: nothing */
static int mlog__clock_now(void) { return '{'; }

/* ==== ring ====
 * owns: the rings
 * may call:
 *   clock
 */
struct __attribute__((aligned(64))) mlog__ring_head { int at; };
static const char *const mlog__ring_names[] = {"}", "{"};
static int mlog__ring_put(int n) {
    mlog__flush_wake(); /* a seam; and mlog__flush_other() in a comment is no call */
#ifdef A
    if (n) {
#else
    if (!n) {
#endif
        return mlog__clock_now();
    }
    return mlog__ring_names[0][0];
}

/* ==== flush ====
 * owns: the flusher
 * may call: ring clock */
static void mlog__flush_wake(void) { mlog__ring_put(mlog__clock_now()); }
void mlog_flush(int ms) { mlog__flush_wake(); }
