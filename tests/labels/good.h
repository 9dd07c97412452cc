/* ==== ring ====
 *   RING-1  owner: store-release of head          flusher: load-acquire of head
 *   RING-6  a counter: relaxed
 */
static void mlog__ring_owner(void) {
    uint64_t head = __atomic_load_n(t->head, __ATOMIC_RELAXED);
    __atomic_store_n(t->head, head, __ATOMIC_RELEASE); /* RING-1: the record is whole */
    /* RING-6 */
    __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&free, &head, next, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {} /* RING-1 */
}
