/* expect: bad_name.h:6: mlog__clock_now stands in the section ring */

/* ==== ring ====
 * owns: the rings
 * may call: nothing */
static int
mlog__clock_now(void)
{
    return 0;
}
