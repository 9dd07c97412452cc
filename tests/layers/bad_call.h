/* expect: bad_call.h:14: ring may not call flush: mlog__flush_all */

/* ==== seams ====
 * owns: nothing */
static void mlog__flush_wake(void);

/* ==== ring ====
 * owns: the rings
 * may call: nothing */
static void mlog__ring_put(void) {
    mlog__flush_wake();
    /* mlog__flush_all() would be wrong */
    const char *s = "mlog__flush_all()";
    mlog__flush_all();
}

/* ==== flush ====
 * owns: the flusher
 * may call: ring */
static void mlog__flush_wake(void) {}
static void mlog__flush_all(void) {}
