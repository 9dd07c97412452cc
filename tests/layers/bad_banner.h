/* expect: bad_banner.h:3: no "may call:" in the banner of ring */

/* ==== ring ====
 * owns: the rings */
static int mlog__ring_now(void) { return 0; }
