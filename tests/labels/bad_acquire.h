/* expect: an atomic access without a label */
/* ==== ring ==== */
static void f(void) {
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
}
