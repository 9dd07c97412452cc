/* expect: RING-8 is used nowhere */
/* ==== ring ====
 *   RING-8  nobody
 */
