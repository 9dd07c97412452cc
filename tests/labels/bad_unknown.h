/* expect: RING-7 has no line in a table */
static void f(void) {
    __atomic_store_n(&a, 1, __ATOMIC_RELAXED); /* RING-7 */
}
