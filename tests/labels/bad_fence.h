/* expect: an atomic access without a label */
/* ==== ring ==== */
static void f(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
