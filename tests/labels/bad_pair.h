/* expect: RING-1 is released, and acquired nowhere */
/* ==== ring ====
 *   RING-1  owner: store-release of head
 */
static void f(void) {
    __atomic_store_n(&a, 1, __ATOMIC_RELEASE); /* RING-1 */
}
