/* expect: RING-6 has two lines */
/* ==== ring ====
 *   RING-6  a counter: relaxed
 *   RING-6  another
 */
static void f(void) {
    __atomic_store_n(&a, 1, __ATOMIC_RELAXED); /* RING-6 */
}
