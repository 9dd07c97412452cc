/* expect: bad_pointer.h:6: ring may not call flush: mlog__flush_all */

/* ==== ring ====
 * owns: the rings
 * may call: nothing */
static void (*mlog__ring_hook)(void) = mlog__flush_all;

/* ==== flush ====
 * owns: the flusher
 * may call: ring */
static void mlog__flush_all(void) {}
