/* expect: an atomic access without a label */
/* ==== ring ====
 *   RING-6  a counter: relaxed
 */
static void f(void) {
    __atomic_store_n(&a, 1, __ATOMIC_RELAXED); /* RING-6 */
    __atomic_store_n(&a, 1, __ATOMIC_RELAXED); /* UTF-8 is no label */
}
