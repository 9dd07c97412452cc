/* What tests/mutants.sh runs under ThreadSanitizer: the pairs of metalog.h one by one. The releasing side runs in one thread, then the
 * acquiring side in another, and between the two there is nothing but a relaxed flag: if the pair itself does not order them, it is a
 * data race. The library's own threads never start here; what they do is called directly. */
static int mutant_line; /* see orders.awk */
#define MUTANT(line, order) (mutant_line == (line) ? __ATOMIC_RELAXED : (order))
#define METALOG_IMPLEMENTATION
#define pthread_create no_create /* as seen by the library */
#include "metalog.h"
#undef pthread_create
#include "../check.h"

#include <pthread.h>
#include <sched.h>

const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "halt_on_error=1:atexit_sleep_ms=0"; }

int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int created;
int no_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    (void)attr, (void)run, (void)arg;
    *thread = pthread_self();
    return created ? 0 : EAGAIN;
}

/* ---- two threads, one after the other, unordered ---- */

static int flag;
static void (*first_step)(void), (*second_step)(void), (*third_step)(void);
static void wait_flag(int value) {
    while (__atomic_load_n(&flag, __ATOMIC_RELAXED) < value) sched_yield();
}
static void *run_first(void *unused) {
    first_step();
    __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    wait_flag(3); /* its end would order it */
    return unused;
}
static void *run_second(void *unused) {
    wait_flag(1);
    second_step();
    __atomic_store_n(&flag, third_step ? 2 : 3, __ATOMIC_RELAXED);
    wait_flag(3);
    return unused;
}
static void *run_third(void *unused) {
    wait_flag(2);
    third_step();
    __atomic_store_n(&flag, 3, __ATOMIC_RELAXED);
    return unused;
}

static void in_order(void (*a)(void), void (*b)(void), void (*c)(void)) {
    pthread_t t[3];
    first_step = a, second_step = b, third_step = c;
    __atomic_store_n(&flag, 0, __ATOMIC_RELAXED);
    (void)pthread_create(&t[0], NULL, run_first, NULL);
    (void)pthread_create(&t[1], NULL, run_second, NULL);
    if (c) (void)pthread_create(&t[2], NULL, run_third, NULL);
    for (int i = 0; i < (c ? 3 : 2); i++) (void)pthread_join(t[i], NULL);
}
static void pair(void (*a)(void), void (*b)(void)) { in_order(a, b, NULL); }

static volatile uint64_t sink_of_reads;
static void look(uint64_t v) { sink_of_reads = v; }

/* ---- dictionary, formats ---- */

static void open_session(void) { CHECK(mlog__dict_open() != NULL); }
static void see_session(void) { look(mlog__dict_open()->version); }

static uint32_t number;
static void add_entry(void) {
    mlog__entry e = {.type = MLOG__D_SITE, .level = MLOG_INFO, .msg_len = 3};
    __atomic_store_n(&number, mlog__dict_add(&e, "msg", "", "", "", ""), __ATOMIC_RELAXED);
}
static void see_entry(void) { look(mlog__dict_entry(__atomic_load_n(&number, __ATOMIC_RELAXED))->msg_len); }
static void learn(void) { (void)mlog__format_info(&mlog__flush_all.desk[0], number); }
static void see_learnt(void) { look(mlog__format_info(&mlog__flush_all.desk[0], number)->head_len); }
static void flatten(void) { CHECK(mlog__format_flatten(mlog__format_info(&mlog__flush_all.desk[0], number)) != NULL); }
static void see_flat(void) { /* straight, as it is read */
    static mlog__buffer out;
    mlog__desk *desk = &mlog__flush_all.desk[0];
    uint64_t record[2] = {mlog__record_header(number, 2, 0), 1};
    mlog__item it = {.header = record[0], .time = 1, .tid = 1};
    CHECK_EQ(mlog__format_straight(&out, desk, mlog__format_info(desk, number), &it, (const unsigned char *)record, true), 1);
}

/* ---- sites, modules, loggers ---- */

static mlog__module module[4];
static mlog__site site[6];
static void fill_site(int i) {
    site[i] = (mlog__site){.msg = "m", .file = "f.c", .func = "f", .source = "", .keys = "", .level = MLOG_INFO, .line = i};
    __atomic_store_n(&site[i].word, MLOG__UNSEEN, __ATOMIC_RELAXED);
}
static void add_site(void) {
    fill_site(0);
    (void)mlog1_site(&site[0], &module[0]);
}
static void add_to_list(void) {
    fill_site(1);
    (void)mlog1_site(&site[1], &module[0]);
}
static void add_module(void) {
    fill_site(2);
    (void)mlog1_site(&site[2], &module[1]);
}
static void add_module_again(void) {
    fill_site(3);
    (void)mlog1_site(&site[3], &module[2]);
}
static void redact_rules(void) {
    char list[256] = "x";
    mlog__rule_keys(list, false);
}
static void add_module_last(void) {
    fill_site(4);
    (void)mlog1_site(&site[4], &module[3]);
}
static void module_gone(void) { mlog__life_module_gone(&module[0]); } /* it is not the first of the list */
static void apply_rules(void) { mlog__rule_apply_all(); }
static mlog_logger *bound_logger;
static void name_logger(void) { (void)mlog_named("pairs"); }
static void bind_logger(void) { __atomic_store_n(&bound_logger, mlog_bind(NULL, "a", 1), __ATOMIC_RELAXED); }

/* ---- contexts ---- */

static mlog_context *context;
static void take_give(void) {
    mlog_context *c = mlog__context_take();
    c->count = 5;
    mlog__context_give((uint32_t)(c - mlog__context_pool.block));
}
static void take_again(void) { mlog__context_take()->count = 6; }
static void take_two_give(void) { /* two on the list: the exchange that fails once hands over as well */
    mlog_context *a = mlog__context_take(), *b = mlog__context_take();
    a->count = b->count = 7;
    mlog__context_give((uint32_t)(a - mlog__context_pool.block));
    mlog__context_give((uint32_t)(b - mlog__context_pool.block));
}
static void read_unref(void) {
    look(context->count);
    mlog_context_unref(context);
}
static void unref(void) { mlog_context_unref(context); }
static void make_retire(void) {
    mlog_context *c = mlog_context_new("a", 1);
    c->parent = NULL;
    mlog_context_unref(c);
}
static void collect(void) {
    CHECK(mlog__context_collect());
    mlog__context_release();
}

/* ---- rings ---- */

static void warm(void) { mlog_info("warm"); } /* this thread has a ring */
static void log_fast(void) {
    for (int i = 0; i < 2; i++) mlog_info("fast", "i", i); /* the second one takes no lock */
}
static void log_whole(void) {
    mlog_event e = {.level = MLOG_INFO, .msg = "whole"};
    mlog_emit(&e);
    mlog__thread *t = mlog__thread_self;
    mlog__draft d = {.level = MLOG_INFO, .header = 40};
    mlog_value v = mlog_str("whole", 5);
    d.slot = &v, d.slots = 1;
    CHECK(mlog__thread_write(t, &d));
}
static void pass(void) { (void)mlog__flush_pass(); }
static mlog__ring *shared_ring;
static void only_pad(void) {
    warm();
    mlog__thread *t = mlog__thread_self;
    __atomic_store_n(&shared_ring, t->ring, __ATOMIC_RELAXED);
    CHECK(mlog__ring_pad(t, t->ring->bytes - 8));
}
static void tell_loss(void) {
    warm();
    mlog__thread *t = mlog__thread_self;
    mlog__ring_drop(t->ring, MLOG_INFO, true);
    mlog__thread_tell_loss(t);
}
static void read_ring(void) { /* as a lane, directly */
    uint32_t n = mlog__flush_rings();
    CHECK(mlog__flush_snapshot(n));
}
static void see_stats(void) {
    mlog_stats s;
    mlog_stats_read(&s);
}
static mlog__thread *pad_thread;
static void read_release(void) { /* reads the place of the padding, then gives it back */
    mlog__ring *r = pad_thread->ring;
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED), word;
    memcpy(&word, r->data + (head & (r->bytes - 1)), 8);
    look(word);
    uint64_t told = 0;
    mlog__ring_release(r, r->bytes - 8, head, &told, true);
}
static void pad_there(void) { CHECK(mlog__ring_pad(pad_thread, pad_thread->ring->bytes)); }
static void look_write(void) {
    mlog__ring *r = pad_thread->ring;
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED), word = 0;
    mlog__ring_look(pad_thread, head);
    memcpy(r->data + (head & (r->bytes - 1)), &word, 8);
}

/* What the recorder keeps: read under a pin, and given back by that, or by moving where it begins; then the owner has the room. */
static void keep(void) {
    mlog__ring *r = pad_thread->ring;
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
    __atomic_store_n(&r->tail, head, __ATOMIC_RELAXED);
    __atomic_store_n(&r->kept, (head - 64) | MLOG__KEPT, __ATOMIC_RELAXED);
}
static void read_kept(uint64_t from) {
    mlog__ring *r = pad_thread->ring;
    uint64_t word;
    CHECK(mlog__ring_pin(r, 1) != UINT64_MAX);
    memcpy(&word, r->data + ((__atomic_load_n(&r->head, __ATOMIC_RELAXED) - 64) & (r->bytes - 1)), 8);
    look(word);
    (void)mlog__ring_unpin(r, 1, from);
}
static void write_kept(void) {
    mlog__ring *r = pad_thread->ring;
    memset(r->data + ((__atomic_load_n(&r->head, __ATOMIC_RELAXED) - 64) & (r->bytes - 1)), 0, 8);
}
static void read_unpin(void) { read_kept(0); }
static void read_trim(void) { read_kept(__atomic_load_n(&pad_thread->ring->head, __ATOMIC_RELAXED)); }
static void reclaim(void) { CHECK(mlog__ring_reclaim(pad_thread->ring)), write_kept(); }
static void see_end(void) { look(mlog__ring_end(pad_thread->ring, pad_thread->ring->bytes)), write_kept(); }

/* ---- threads ---- */

static uint32_t slot_taken;
static void take_recycle(void) {
    uint32_t slot = mlog__thread_take_slot(4096);
    mlog__thread_page(slot)->level[0].depth = 1;
    __atomic_store_n(&slot_taken, slot, __ATOMIC_RELAXED);
    mlog__thread_recycle(slot);
}
static void take_slot(void) {
    uint32_t slot = mlog__thread_take_slot(4096);
    CHECK_EQ(slot, __atomic_load_n(&slot_taken, __ATOMIC_RELAXED));
    mlog__thread_page(slot)->level[0].depth = 2;
    mlog__thread_recycle(slot);
}
static void take_give_back(void) {
    uint32_t slot = mlog__thread_take_slot(4096);
    mlog__thread *t = &mlog__thread_page(slot)->level[0];
    t->slot = slot;
    t->depth = 1;
    __atomic_store_n(&slot_taken, slot, __ATOMIC_RELAXED);
    mlog__thread_give_back(t);
}
static void exit_without_ring(void) {
    uint32_t slot = mlog__thread_take_slot(4096);
    mlog__page *page = mlog__thread_page(slot);
    page->level[0].depth = 3;
    page->level[0].slot = slot;
    page->level[0].state = MLOG__T_READY;
    mlog__thread_self = &page->level[0];
    __atomic_store_n(&slot_taken, slot, __ATOMIC_RELAXED);
    mlog__thread_exit((void *)PTHREAD_DESTRUCTOR_ITERATIONS);
}
static void log_then_end(void) {
    warm();
    mlog__thread *t = mlog__thread_self;
    __atomic_store_n(&slot_taken, t->slot, __ATOMIC_RELAXED);
    log_fast();
    t->context = 0; /* after its last record */
    mlog__thread_exit((void *)PTHREAD_DESTRUCTOR_ITERATIONS);
}
static void take_ended(void) {
    uint32_t slot = __atomic_load_n(&slot_taken, __ATOMIC_RELAXED);
    uint32_t got = 1; /* others have ended, too */
    while (got != 0 && got != slot) got = mlog__thread_take_slot(mlog__ring_all.bytes_each);
    CHECK_EQ(got, slot);
    mlog__thread_page(slot)->level[0].context = 0;
}
static uint32_t ring_number;
static void make_ring(void) { (void)mlog__thread_ring(__atomic_load_n(&ring_number, __ATOMIC_RELAXED), 4096, false); }
static void see_ring(void) { look(mlog__flush_ring(__atomic_load_n(&ring_number, __ATOMIC_RELAXED))->bytes); }
static void see_made_ring(void) { look(mlog__thread_ring(__atomic_load_n(&ring_number, __ATOMIC_RELAXED), 4096, false)->bytes); }
static void take_by_ring(void) { (void)mlog__thread_take_slot(123); }
static void spare(void) {
    mlog_value v = mlog_str("spare", 5);
    mlog__draft d = {.level = MLOG_INFO, .header = 40, .slot = &v, .slots = 1};
    CHECK(mlog__thread_write_spare(&d, 1, false));
}
static void hook(void) { mlog__life_hook(); }
static void make_thread(void) { CHECK(mlog__thread_make(4096) != NULL); }

/* ---- lanes and life ---- */

static uint32_t ticket_done;
static uint64_t written;
static void finish(void) {
    written = 7;
    mlog__flush_finish_ticket(&ticket_done, 3);
}
static void wait_finished(void) {
    CHECK(mlog__flush_wait_for(&ticket_done, 3, INT64_MAX));
    look(written);
}
static void pass_complete(void) {
    written = 8;
    (void)mlog__flush_pass();
}
static void see_complete(void) {
    CHECK(mlog__flush_wait(0));
    look(written);
}
static uint32_t *last_done;
static void finish_last(void) {
    written = 9;
    mlog__flush_finish_ticket(last_done, 1000);
}
static void drain_finished(void) {
    CHECK(mlog__flush_drain(1000, INT64_MAX));
    look(written);
}
static void run_lanes(void) { (void)mlog__life_run_lanes(); }
static void pass_here(void) { CHECK(mlog__flush_here(0)); }
static mlog_sink *installed;
static void install(void) {
    mlog_sink opened;
    mlog_sink_config c = {.name = "late", .type = MLOG_NULL};
    if (CHECK(mlog__sink_open(&opened, &c) == 0)) __atomic_store_n(&installed, mlog__life_install(&opened, false), __ATOMIC_RELAXED);
}
static int takes(void *user, const mlog_record *r) { return (void)user, (void)r, 0; }
static void hurry(void) { mlog__life_hurry(false, true); }
static char path[512];
static void init(void) {
    mlog_config c = {.env = "-", .ring_bytes = 4096, .sinks = {{.type = MLOG_FILE, .path = path}}};
    if (!CHECK(mlog_init(&c) == 0)) printf("%s\n", mlog_why());
}
static void see_config(void) {
    CHECK(mlog__life_running());
    look((uint64_t)mlog__life.config.exit_ms);
}
static void is_child(void) { CHECK(!mlog__life_is_child()); }
static void adopt(void) { CHECK(mlog__life_adopt()); }
static void see_adopted(void) {
    CHECK(!mlog__life_is_child());
    look(mlog__context_pool.session);
}
static void last(void) { mlog__life_last(); }
static void see_closed(void) { look(mlog__flush_may_drain()); }

int main(int argc, char **argv) {
    if (argc > 1) mutant_line = atoi(argv[1]);
    (void)snprintf(path, sizeof path, "%s", temp_path("pairs.log"));
    (void)unlink(path);
    pair(open_session, see_session);
    CHECK(mlog__thread_pages_open());
    pair(add_entry, see_entry);
    mlog__flush_all.desk[0].session = mlog__dict_session; /* as the start of the lanes would do it, which has not been */
    mlog__flush_all.desk[0].infos = mlog__format_infos;
    pair(learn, see_learnt);
    pair(flatten, see_flat);
    in_order(hook, is_child, make_thread);
    mlog__life.state = MLOG__L_NOT;
    created = 1; /* "threads" from here on: nobody makes passes but we */
    pair(init, see_config);
    mlog__flush_all.running0 = mlog__flush_all.running1 = 0;
    mlog__flush_all.mode = MLOG_POLL;
    mlog__flush_all.merge[1] = NULL;
    pair(run_lanes, pass_here);
    mlog__flush_all.mode = MLOG_THREAD;
    mlog__flush_all.ready = mlog__ring_all.alone = 0;
    created = 0; /* no thread can be made */
    mlog__flush_all.merge[1] = NULL;
    pair(run_lanes, pass_here);
    created = 1;
    mlog__ring_all.alone = 0;
    mlog__flush_all.running0 = 1;
    mlog__ring_all.asleep = 0;

    pair(add_site, apply_rules);
    pair(add_to_list, apply_rules);
    pair(add_module, apply_rules);
    pair(add_module_again, redact_rules);
    pair(add_module_last, module_gone);
    pair(name_logger, apply_rules);
    pair(bind_logger, apply_rules);

    pair(take_give, take_again);
    pair(take_two_give, take_again);
    static char big[1500]; /* more than a slot takes */
    memset(big, 'x', sizeof big - 1);
    context = mlog_context_new("big", (const char *)big);
    CHECK_EQ(context->id, MLOG__HEAVY);
    (void)mlog_context_ref(context);
    pair(read_unref, unref);
    pair(make_retire, collect);

    mlog__ring_all.full = MLOG_DROP;
    pair(log_fast, pass);
    pair(log_whole, pass);
    pair(only_pad, read_ring);
    pair(tell_loss, pass);
    pair(log_fast, see_stats);
    warm();
    pad_thread = mlog__thread_self;
    pair(read_release, pad_there);
    warm();
    pair(read_release, look_write);
    keep();
    pair(read_unpin, reclaim);
    keep();
    pair(read_trim, see_end);
    pad_thread->ring->kept = 0;

    pair(take_recycle, take_slot);
    pair(take_give_back, take_slot);
    pair(exit_without_ring, take_slot);
    in_order(log_then_end, pass, take_ended);
    ring_number = 2 * 1000;
    pair(make_ring, see_ring);
    ring_number = 2 * 1001;
    pair(make_ring, see_made_ring);
    ring_number = 2 * 1002;
    pair(make_ring, take_by_ring);
    pair(spare, spare);

    pair(finish, wait_finished);
    mlog__flush_all.done0 = 1000, mlog__flush_all.done1 = 0, last_done = &mlog__flush_all.done1;
    pair(finish_last, drain_finished);
    mlog__flush_all.done1 = 1000, mlog__flush_all.done0 = 0, last_done = &mlog__flush_all.done0;
    pair(finish_last, drain_finished);
    mlog__flush_all.wanted = 1000;
    pass();
    pair(pass_complete, see_complete);
    pair(install, hurry);
    if (mlog__life.witness != NULL) {
        mlog__life.witness[0] = 0; /* as in a child */
        pair(adopt, see_adopted);
    }
    mlog_sink_config callback = {.name = "callback", .type = MLOG_CALLBACK, .write = takes};
    mlog__flush_all.running0 = 1;
    CHECK(mlog_sink_add(&callback) != NULL);
    mlog__flush_all.running0 = mlog__flush_all.running1 = 0;
    pair(last, see_closed);
    return done();
}
