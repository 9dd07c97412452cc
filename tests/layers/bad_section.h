/* expect: bad_section.h:5: no section is called clocks */

/* ==== ring ====
 * owns: the rings
 * may call: clocks */
static int mlog__ring_now(void) { return 0; }
