/* A model of the protocol of DESIGN 5.1 as sections store, sink and recover of metalog.h carry it out: not their code. Each store to a
 * session and each system call is a step; behind every step, and within every write, the process may be killed; who recovers is such
 * a process, too. All histories of a small world (rings, sinks, records, deaths, other writers, a rotation, a rename by somebody else) are
 * walked through; states that were met before are not walked again, but their histories are counted.
 *
 *   model short|long
 *
 * A line is three bytes: one that all lines begin with, one that is its own, a newline. So a torn line may look like the beginning of
 * another one. At the end of a history every record that was in a ring stands in the files of each sink once, and so does every line
 * of another program; nothing else stands there. Below each world: the same without one rule, which must lose, double or tear. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"

enum { SINKS = 2, RINGS = 2, SESSIONS = 2, FILES = 6, BYTES = 36, PROCS = 4 };
enum { BEGIN = 250, END = 251, BLANK = 252, FOREIGN_LINE = 200 };

/* ---- the world ---- */

typedef struct { uint8_t from[RINGS], to[RINGS]; } batch; /* of each ring, which records: says its bytes, and stands for their sum */
typedef struct { uint8_t used, sink, name, size, text[BYTES]; } file; /* name: 0 the path, 1.. numbers of a rotation, 100.. of others */
typedef struct {
    uint8_t key, shared, armed, done, seq, ino, off, moves, move[RINGS][2];
    batch what;
    uint32_t check;
} promise;
typedef struct {
    uint8_t there, rings, lock; /* lock: of which process, + 1 */
    uint8_t head[RINGS], cur[SINKS][RINGS];
    promise p[SINKS];
} session;

typedef enum { NOBODY, FLUSHER, RECOVERER, FOREIGN } role;
typedef struct {
    uint8_t role, pc, s, k, r, round;    /* s: the session that it works on */
    uint8_t fd[SINKS], lock[SINKS];      /* inode + 1; 1: LOCK_SH, 2: LOCK_EX */
    uint8_t turn;                        /* inode + 1 of a file in which it looks for a torn line, with nobody else at it */
    uint8_t other;                       /* inode + 1 of a file of a promise that is none of its sinks', locked LOCK_EX */
    uint8_t next[SINKS][RINGS], done[SINKS][RINGS], sent, off, owes, x, n, ours, old;
} proc;

typedef struct {
    file f[FILES];
    session s[SESSIONS];
    proc p[PROCS];
    uint8_t deaths, renames, foreign, shorts, started, numbers;
} world;

/* How large the world is. */
typedef struct {
    const char *name;
    uint8_t sessions, sinks, records[SESSIONS][RINGS];
    uint8_t most;       /* records of a batch; 0: all there are */
    uint8_t full;       /* bytes of a file that is set aside; 0: no rotation */
    uint8_t deaths, renames, foreign, shorts, at_once; /* at_once: recoverers */
} size;

/* What may be taken away. */
typedef enum {
    NOTHING,
    COMMIT_LATE,     /* done and cur only when the next batch is armed */
    COMMIT_EARLY,    /* done before the bytes */
    BY_PATH,         /* the file of a promise is what stands at the path */
    CUT_ALWAYS,      /* whoever else writes */
    CUT_UNSEEN,      /* whatever stands behind the offset */
    CUT_BEFORE_LOCK, /* what stands there is looked at before the lock, and cut behind it */
    LOCK_AT_ONCE,    /* who opens a file and does not get the lock goes on without */
    MOVES_UNCHECKED, /* moves of the last batch count although the next one is being written over them */
    FORM_ANEW,       /* in a file of several: the torn line is ended, and the batch is formed anew */
    SEARCH_BEGINNING,/* whatever has the beginning of the batch is its torn part */
    ONE_PIECE,       /* behind the first part of a batch, the others are not looked for */
    GO_ON_IN_LINE,   /* a write that did not take all is gone on with in the middle of a line when nobody has written meanwhile */
    OLD_OFFSET,      /* a batch of which nothing stands is written by its old promise: the file may be shorter by now */
    LOCK_LOST,       /* who does not get LOCK_EX has no LOCK_SH any more either, and leaves it so */
    NO_BLANKS,       /* a torn line stays */
    BLANKS_UNSEEN,   /* a torn line is not known as such before blanks */
    LINES_ONLY,      /* a part of a batch is looked for at the beginnings of lines, not in what began as another's */
    ALL_SEARCH,      /* two at once that recover may find the same torn line. The code has no rule for it: the kernel ends a write that a
                      * kill cuts short with a page, so that of two torn lines side by side one fills pages, and they are not alike */
    ONE_LOOK,        /* settled in the first round, so not looked at in the second */
} rule;

static size size_now;
static rule without;

/* ---- files ---- */

static uint8_t line_of(int s, int r, int i) { return (uint8_t)(1 + 32 * s + 16 * r + i); }

static uint8_t batch_text(const world *w, int s, const batch *b, uint8_t *to) {
    uint8_t n = 0;
    (void)w;
    for (int r = 0; r < RINGS; r++)
        for (uint8_t i = b->from[r]; i < b->to[r]; i++) to[n++] = BEGIN, to[n++] = line_of(s, r, i), to[n++] = END;
    return n;
}

static int file_at(const world *w, int sink, int name) {
    for (int i = 0; i < FILES; i++)
        if (w->f[i].used && w->f[i].sink == sink && w->f[i].name == name) return i;
    return -1;
}

static int file_open(world *w, int sink) {
    int i = file_at(w, sink, 0);
    for (int k = 0; i < 0 && k < FILES; k++)
        if (!w->f[k].used) w->f[k] = (file){.used = 1, .sink = (uint8_t)sink}, i = k;
    if (i < 0) printf("%s: more files than the model has\n", size_now.name), exit(1);
    return i;
}

static void file_append(world *w, int ino, const uint8_t *p, int n) {
    file *f = &w->f[ino];
    if (f->size + n > BYTES) printf("%s: a file longer than the model has\n", size_now.name), exit(1);
    memcpy(f->text + f->size, p, (size_t)n);
    f->size = (uint8_t)(f->size + n);
}

/* Does somebody but this one hold a lock on it? exclusive: or only LOCK_EX? */
static bool file_held(const world *w, int ino, int but, bool exclusive) {
    for (int i = 0; i < PROCS; i++) {
        const proc *p = &w->p[i];
        if (i == but || p->role == NOBODY) continue;
        if (p->other == ino + 1) return true;
        for (int k = 0; k < SINKS; k++)
            if (p->fd[k] == ino + 1 && p->lock[k] > (exclusive ? 1 : 0)) return true;
    }
    return false;
}

/* ---- promises ---- */

static uint32_t promise_check(const promise *p) {
    uint32_t h = 7;
    const uint8_t *const what = (const uint8_t *)&p->what;
    const uint8_t list[] = {p->seq, p->ino, p->off, p->moves};
    for (size_t i = 0; i < sizeof list; i++) h = (h ^ list[i]) * 16777619u;
    for (size_t i = 0; i < sizeof p->what; i++) h = (h ^ what[i]) * 16777619u;
    for (int i = 0; i < p->moves; i++) h = ((h ^ p->move[i][0]) * 16777619u ^ p->move[i][1]) * 16777619u;
    return h;
}

/* How much of the batch, from `start` on, stands at x. */
static int match(const file *f, int x, const uint8_t *text, int n) {
    int l = 0;
    while (l < n && x + l < f->size && f->text[x + l] == text[l]) l++;
    return l;
}

/* Nothing but a part of the batch stands behind the offset. */
static bool only_part(const file *f, const promise *p, const uint8_t *text, int n) {
    return f->size <= p->off || (p->off + match(f, p->off, text, n) == f->size);
}

/* Where the longest part of these bytes of the batch stands: -1, or the place; its length. Behind a line that is torn comes the beginning of another's, or
 * nothing; what only begins as the batch goes on is another's line: then the part ends before it. */
static int search(const file *f, const promise *p, const uint8_t *text, int n, int *length) {
    int best = -1;
    *length = 0;
    for (int x = p->off; x < f->size; x++) {
        int l = match(f, x, text, n);
        bool cut_off = x + l == f->size || f->text[x + l] == BEGIN || (f->text[x + l] == BLANK && without != BLANKS_UNSEEN);
        if (without == LINES_ONLY && x > 0 && f->text[x - 1] != END) continue;
        if (!cut_off && without != SEARCH_BEGINNING) l -= l % 3;
        if (l > *length) best = x, *length = l;
    }
    return best;
}

/* ---- processes: what each does next ---- */

enum {
    W_IDLE, W_FORM, W_RENAME, W_OPEN, W_LOCK, W_STAT, W_MOVE, W_SEQ, W_INO, W_OFF, W_SUM, W_MOVES, W_CHECK, W_ARM, W_LATE_DONE, W_LATE_CUR, W_EARLY, W_WRITE,
    W_REST, W_BLANK, W_SHARED, W_DONE, W_CUR, W_END,
    V_OPEN, V_LOCK, V_TAKE, V_SETTLE, V_EX, V_LOOK, V_CUT, V_SH, V_SEQ, V_ARMED, V_COMMIT, V_MOVE, V_ENDLINE, V_SEARCH, V_BLANK, V_REST, V_APPEND,
    V_TAKE2, V_KEY, V_RINGS, V_FORGET,
    P_OPEN, P_LOCK, P_WRITE, P_CLOSE
};
static const char *const pc_name[] = {
    "idle", "form", "rename", "open", "lock", "fstat", "store move", "store seq", "store inode", "store offset", "store sum and bytes", "store moves",
    "store check", "armed", "late done", "late cur", "early done", "write", "look", "blank", "store shared", "done", "store cur", "end",
    "open", "lock", "take session", "settle", "lock ex", "look", "truncate", "lock sh", "seq = 0", "armed = done", "done = armed", "move cur", "end line",
    "search", "blank", "found", "append rest", "take again", "key = 0", "unlink rings", "unlink session", "foreign open", "foreign lock",
    "foreign write", "foreign close"};

typedef struct { void (*each)(void *, world *, const char *, int); void *to; } emit;

static void release(world *w, int me) {
    for (int s = 0; s < SESSIONS; s++)
        if (w->s[s].lock == me + 1) w->s[s].lock = 0;
    memset(&w->p[me], 0, sizeof w->p[me]);
}

static void tell(const emit *e, const world *w, const char *what, int me) {
    world next = *w;
    e->each(e->to, &next, what, me);
}

static void die(const emit *e, const world *w, const char *what, int me) {
    world next = *w;
    next.deaths++;
    release(&next, me);
    e->each(e->to, &next, what, me);
}

static bool may_die(const world *w) { return w->deaths < size_now.deaths; }

/* A write: whole; or part of it, and dead; or part of it, and the rest later. rest: the step behind a part. */
static void write_step(const emit *e, const world *w, int me, int ino, const uint8_t *text, int n, int whole, int rest) {
    for (int i = 1; i <= n; i++) {
        world next = *w;
        file_append(&next, ino, text, i);
        if (i < n && may_die(w)) die(e, &next, "torn write", me);
        if (i < n && (w->shorts >= size_now.shorts || rest < 0)) continue;
        proc *p = &next.p[me];
        p->sent = (uint8_t)(p->sent + i);
        p->pc = (uint8_t)(i == n ? whole : rest);
        if (i < n) next.shorts++, p->x = next.f[ino].size;
        tell(e, &next, i == n ? "write" : "short write", me);
    }
}

/* Which records the next batch of sink k has. */
static bool form(world *w, proc *p, int k) {
    const session *s = &w->s[p->s];
    int n = 0;
    for (int r = 0; r < RINGS; r++)
        for (p->next[k][r] = p->done[k][r]; p->next[k][r] < s->head[r] && (size_now.most == 0 || n < size_now.most); n++) p->next[k][r]++;
    return n > 0;
}

static batch batch_of(const proc *p, int k) {
    batch b;
    memcpy(b.from, p->done[k], RINGS);
    memcpy(b.to, p->next[k], RINGS);
    return b;
}

static void sink_ends(proc *p);
static void begin_session(world *w, proc *p) {
    p->k = 0;
    for (int k = 0; k < SINKS; k++) memcpy(p->done[k], w->s[p->s].cur[k], RINGS);
    p->pc = W_FORM;
    if (w->s[p->s].p[0].key == 0) sink_ends(p);
}

/* Sink k has all: the next sink. */
static void sink_ends(proc *p) {
    if (p->role == RECOVERER) {
        p->pc = V_KEY;
        return;
    }
    p->k++;
    p->pc = p->k < size_now.sinks ? W_FORM : W_END;
}

static void flusher_form(world *w, int me) {
    proc *p = &w->p[me];
    if (!form(w, p, p->k)) {
        sink_ends(p);
        return;
    }
    uint8_t text[BYTES];
    batch b = batch_of(p, p->k);
    int n = batch_text(w, p->s, &b, text), here = file_at(w, p->k, 0);
    const file *f = &w->f[p->fd[p->k] - 1];
    p->sent = 0;
    p->pc = W_STAT;
    if (size_now.full == 0) return;
    if (here != p->fd[p->k] - 1) p->pc = W_OPEN;
    else if (f->size != 0 && f->size + n > size_now.full) p->pc = W_RENAME;
}

/* The steps from the choice of a batch to its commit, by its own flusher or by who recovers. */
static void flusher_step(const emit *e, const world *now, int me) {
    world w = *now;
    proc *p = &w.p[me];
    session *s = &w.s[p->s];
    promise *q = &s->p[p->k];
    int k = p->k;
    file *f = &w.f[p->fd[k] - 1];
    uint8_t text[BYTES];
    batch b = batch_of(p, k);
    int n = batch_text(&w, p->s, &b, text);
    switch (p->pc) {
    case W_FORM: flusher_form(&w, me); break;
    case W_RENAME: /* under a lock that all writers take, and never onto a name that is there */
        if (file_at(&w, k, 0) == p->fd[k] - 1) w.f[p->fd[k] - 1].name = ++w.numbers;
        p->pc = W_OPEN;
        break;
    case W_OPEN: p->fd[k] = (uint8_t)(file_open(&w, k) + 1), p->lock[k] = 0, p->pc = W_LOCK; break;
    case W_LOCK:
        if (file_held(&w, p->fd[k] - 1, me, true)) {
            if (without != LOCK_AT_ONCE) return; /* waits */
        } else p->lock[k] = 1;
        p->pc = W_STAT;
        break;
    case W_STAT: p->off = w.f[p->fd[k] - 1].size, p->r = 0, p->n = 0, p->pc = W_MOVE; break;
    case W_MOVE:
        while (p->r < RINGS && p->next[k][p->r] == p->done[k][p->r]) p->r++;
        if (p->r < RINGS) q->move[p->n][0] = p->r, q->move[p->n][1] = p->next[k][p->r], p->n++, p->r++;
        else p->pc = W_SEQ;
        break;
    case W_SEQ: q->seq = (uint8_t)(q->done + 1 + p->owes), p->pc = W_INO; break;
    case W_INO: q->ino = p->fd[k], p->pc = W_OFF; break;
    case W_OFF: q->off = p->off, p->pc = W_SUM; break;
    case W_SUM: q->what = b, p->pc = W_MOVES; break;
    case W_MOVES: q->moves = p->n, p->pc = W_CHECK; break;
    case W_CHECK: q->check = promise_check(q), p->pc = W_ARM; break;
    case W_ARM: q->armed = q->seq, p->pc = p->owes ? W_LATE_DONE : without == COMMIT_EARLY ? W_EARLY : W_WRITE; break;
    case W_LATE_DONE: q->done = (uint8_t)(q->armed - 1), p->r = 0, p->owes = 0, p->pc = W_LATE_CUR; break;
    case W_LATE_CUR: s->cur[k][p->r] = p->done[k][p->r], p->pc = ++p->r < RINGS ? W_LATE_CUR : W_WRITE; break;
    case W_EARLY: q->done = q->armed, p->pc = W_WRITE; break;
    case W_WRITE: write_step(e, &w, me, p->fd[k] - 1, text + p->sent, n - p->sent, W_SHARED, W_REST); return;
    case W_REST: /* the rest of a batch that the file did not take at once */
        p->pc = W_WRITE;
        if (size_now.foreign == 0 || p->sent % 3 == 0) break;
        if (without == GO_ON_IN_LINE && f->size == p->x) break;
        p->pc = W_BLANK;
        break;
    case W_BLANK:
        memset(f->text + p->x - p->sent % 3, BLANK, p->sent % 3);
        p->sent = (uint8_t)(p->sent - p->sent % 3);
        p->pc = W_WRITE;
        break;
    case W_SHARED:
        if (w.f[p->fd[k] - 1].size != q->off + n) q->shared = 1;
        p->r = 0;
        p->pc = W_DONE;
        if (without == COMMIT_LATE && p->role == FLUSHER) p->owes = 1, memcpy(p->done[k], p->next[k], RINGS), p->pc = W_FORM;
        break;
    case W_DONE: q->done = q->armed, p->pc = W_CUR; break;
    case W_CUR:
        s->cur[k][p->r] = p->done[k][p->r] = p->next[k][p->r];
        if (++p->r == RINGS) p->pc = W_FORM;
        break;
    case W_END: /* all that there was is written */
        p->k = 0;
        p->pc = W_IDLE;
        break;
    default: abort();
    }
    tell(e, &w, pc_name[now->p[me].pc], me);
}

/* A program at rest: goes on when there is something, leaves when there will be nothing more. */
static void idle_step(const emit *e, const world *now, int me) {
    world w = *now;
    proc *p = &w.p[me];
    session *s = &w.s[p->s];
    bool more = false, all = true;
    for (int r = 0; r < RINGS; r++) {
        all = all && s->head[r] == size_now.records[p->s][r];
        for (int k = 0; k < size_now.sinks; k++) more = more || p->done[k][r] != s->head[r];
    }
    if (!more && !all) return;
    if (more) p->pc = W_FORM, tell(e, &w, "idle", me);
    else if (p->owes == 0) s->there = 0, release(&w, me), tell(e, &w, "exit", me);
}

/* ---- recovery ---- */

static void next_session(world *w, proc *p) {
    int me = (int)(p - w->p);
    if (w->s[p->s].lock == me + 1) w->s[p->s].lock = 0;
    p->k = 0;
    if (++p->s < size_now.sessions) {
        p->pc = p->round == 0 ? V_TAKE : V_TAKE2;
        return;
    }
    p->s = 0;
    p->pc = V_TAKE2;
    if (p->round++ != 0) release(w, me);
}

static void next_settled(world *w, proc *p) {
    p->pc = V_SETTLE;
    if (++p->k < size_now.sinks) return;
    p->ours |= (uint8_t)(1 << p->s);
    if (p->round == 0) next_session(w, p);
    else begin_session(w, p);
}

static int promise_file(const world *w, const promise *q, int k) {
    if (without == BY_PATH) return file_at(w, k, 0);
    return q->ino != 0 && w->f[q->ino - 1].used ? q->ino - 1 : -1;
}

/* The last batch: does it stand, in part, or not at all? */
static void settle(world *w, proc *p) {
    const promise *q = &w->s[p->s].p[p->k];
    uint8_t text[BYTES];
    int n = batch_text(w, p->s, &q->what, text), ino = promise_file(w, q, p->k);
    p->r = 0;
    if (q->armed == q->done) p->pc = V_MOVE;
    else if (q->seq != q->armed || q->check != promise_check(q) || ino < 0) p->pc = V_SEQ;
    else if (match(&w->f[ino], q->off, text, n) == n) p->pc = V_COMMIT;
    else {
        const file *f = &w->f[ino];
        bool cut = true;
        if (without == CUT_UNSEEN) cut = f->size < q->off + n;
        else if (without != CUT_ALWAYS) cut = only_part(f, q, text, n);
        p->x = (uint8_t)ino;
        p->pc = cut ? V_EX : V_SEARCH;
        p->sent = p->old = 0;
    }
    if (without == FORM_ANEW && p->pc == V_SEARCH) p->pc = V_ENDLINE;
}

static void recover_lock(world *w, int me) {
    proc *p = &w->p[me];
    bool held = file_held(w, p->x, me, false);
    p->pc = V_LOOK;
    if (without == CUT_BEFORE_LOCK || without == CUT_UNSEEN) p->pc = V_CUT;
    if (without == CUT_ALWAYS) p->pc = V_CUT;
    else if (held) { /* flock(2): the conversion has cost us the lock that we had */
        p->old = 1;
        p->pc = V_SH;
        if (p->fd[p->k] == p->x + 1) p->lock[p->k] = without == LOCK_LOST ? 3 : 0;
    } else if (p->fd[p->k] == p->x + 1) p->lock[p->k] = 2;
    else p->other = (uint8_t)(p->x + 1);
}

/* Under the lock: still nothing but a part of it? */
static void recover_look(world *w, proc *p) {
    const promise *q = &w->s[p->s].p[p->k];
    uint8_t text[BYTES];
    int n = batch_text(w, p->s, &q->what, text);
    p->old = !only_part(&w->f[p->x], q, text, n);
    p->pc = p->old ? V_SH : V_CUT;
}

/* Piece by piece: what was found, and who recovered before us has written, is looked for no more. p->sent: how much stands. */
static void recover_search(world *w, proc *p) {
    const promise *q = &w->s[p->s].p[p->k];
    uint8_t text[BYTES];
    int length, n = batch_text(w, p->s, &q->what, text) - p->sent, x = search(&w->f[p->x], q, text + p->sent, n, &length);
    p->off = (uint8_t)x;
    p->n = (uint8_t)length;
    p->sent = (uint8_t)(p->sent + length / 3 * 3); /* whole lines; what is left of the last one is blanked and written again */
    bool more = length >= 3 && length < n && without != ONE_PIECE;
    if (without == NO_BLANKS) p->sent = (uint8_t)(p->sent + length % 3), p->n = 0;
    p->old = more;
    p->pc = p->n % 3 != 0 ? V_BLANK : more ? V_SEARCH : V_REST;
}

static void settle_step(const emit *e, const world *now, int me) {
    world w = *now;
    proc *p = &w.p[me];
    session *s = &w.s[p->s];
    promise *q = &s->p[p->k];
    file *f = &w.f[p->x];
    uint8_t text[BYTES];
    int n = batch_text(&w, p->s, &q->what, text), k = p->k;
    switch (p->pc) {
    case V_SETTLE:
        if (q->key == 0) next_settled(&w, p);
        else settle(&w, p);
        break;
    case V_EX: recover_lock(&w, me); break;
    case V_LOOK: recover_look(&w, p); break;
    case V_CUT:
        if (f->size > q->off) memset(f->text + q->off, 0, (size_t)(f->size - q->off)), f->size = q->off;
        p->pc = V_SH;
        break;
    case V_SH:
        if (p->fd[k] == p->x + 1 && p->lock[k] != 3) {
            if (file_held(&w, p->x, me, true)) return; /* waits */
            p->lock[k] = 1;
        } else if (p->lock[k] == 3) p->lock[k] = 0;
        p->other = p->sent = 0;
        p->pc = p->old ? (without == FORM_ANEW ? V_ENDLINE : V_SEARCH) : V_SEQ;
        p->old = 0;
        break;
    case V_SEQ: q->seq = 0, p->pc = V_ARMED; break;
    case V_ARMED: q->armed = q->done, p->pc = V_MOVE; break;
    case V_COMMIT: q->done = q->armed, p->pc = V_MOVE; break;
    case V_MOVE:
        if (q->seq == 0 || q->seq != q->done || p->r >= q->moves || (without != MOVES_UNCHECKED && q->check != promise_check(q))) next_settled(&w, p);
        else if (s->cur[k][q->move[p->r][0]] < q->move[p->r][1]) s->cur[k][q->move[p->r][0]] = q->move[p->r][1], p->r++;
        else p->r++;
        break;
    case V_ENDLINE:
        q->shared = 1;
        if (f->size != 0 && f->text[f->size - 1] != END) file_append(&w, p->x, (const uint8_t[]){END}, 1);
        p->pc = V_SEQ;
        break;
    case V_SEARCH:
        for (int i = 0; i < PROCS; i++)
            if (i != me && w.p[i].turn == p->x + 1) return; /* waits */
        if (without != ALL_SEARCH) p->turn = (uint8_t)(p->x + 1);
        recover_search(&w, p);
        break;
    case V_BLANK: memset(f->text + p->off + p->n / 3 * 3, BLANK, p->n % 3), p->pc = p->old ? V_SEARCH : V_REST; break;
    case V_REST: /* nothing of it: it is formed anew, by a promise that knows where the file ends now */
        p->turn = p->old = 0;
        p->pc = p->sent == 0 && without != OLD_OFFSET ? V_SEQ : p->sent < n ? V_APPEND : V_COMMIT;
        break;
    case V_APPEND: write_step(e, &w, me, p->x, text + p->sent, n - p->sent, V_COMMIT, -1); return;
    default: abort();
    }
    tell(e, &w, pc_name[now->p[me].pc], me);
}

static bool all_written(const session *s) {
    for (int k = 0; k < size_now.sinks; k++)
        if (s->p[k].key != 0) return false;
    return true;
}

static void recover_step(const emit *e, const world *now, int me) {
    world w = *now;
    proc *p = &w.p[me];
    session *s = &w.s[p->s];
    bool free = s->there && s->lock == 0;
    switch (p->pc) {
    case V_OPEN: p->fd[p->k] = (uint8_t)(file_open(&w, p->k) + 1), p->pc = V_LOCK; break;
    case V_LOCK:
        if (file_held(&w, p->fd[p->k] - 1, me, true)) {
            if (without != LOCK_AT_ONCE) return;
        } else p->lock[p->k] = 1;
        p->pc = V_OPEN;
        if (++p->k >= size_now.sinks) p->k = 0, p->pc = V_TAKE;
        break;
    case V_TAKE:
        if (!free) next_session(&w, p);
        else if (s->lock = (uint8_t)(me + 1), all_written(s)) p->pc = V_RINGS;
        else p->pc = V_SETTLE;
        break;
    case V_TAKE2: /* between the rounds somebody else may have had it, and died of it: then it waits for the next start */
        free = free && (p->ours >> p->s & 1) != 0 && !all_written(s);
        for (int k = 0; k < size_now.sinks; k++) free = free && (without == ONE_LOOK || s->p[k].armed == s->p[k].done);
        if (!free) next_session(&w, p);
        else if (s->lock = (uint8_t)(me + 1), p->k = 0, without == ONE_LOOK) begin_session(&w, p);
        else p->pc = V_SETTLE; /* no more than moves */
        break;
    case V_KEY:
        s->p[p->k].key = 0;
        p->pc = V_RINGS;
        if (++p->k < size_now.sinks) p->pc = W_FORM;
        if (p->k < size_now.sinks && s->p[p->k].key == 0) sink_ends(p);
        break;
    case V_RINGS: s->rings = 0, p->pc = V_FORGET; break;
    case V_FORGET: s->there = 0, next_session(&w, p); break;
    default: abort();
    }
    tell(e, &w, pc_name[now->p[me].pc], me);
}

/* Another program that writes to the first sink's file: a line in one write. */
static void foreign_step(const emit *e, const world *now, int me) {
    world w = *now;
    proc *p = &w.p[me];
    switch (p->pc) {
    case P_OPEN: p->fd[0] = (uint8_t)(file_open(&w, 0) + 1), p->pc = P_LOCK; break;
    case P_LOCK:
        if (file_held(&w, p->fd[0] - 1, me, true)) {
            if (without != LOCK_AT_ONCE) return;
        } else p->lock[0] = 1;
        p->pc = P_WRITE;
        break;
    case P_WRITE: file_append(&w, p->fd[0] - 1, (const uint8_t[]){BEGIN, p->x, END}, 3), p->pc = P_CLOSE; break;
    default: release(&w, me); break;
    }
    tell(e, &w, pc_name[now->p[me].pc], me);
}

/* ---- what may happen next ---- */

static int place(const world *w) {
    for (int i = 0; i < PROCS; i++)
        if (w->p[i].role == NOBODY) return i;
    return -1;
}

static bool living(const world *w, role who) {
    for (int i = 0; i < PROCS; i++)
        if (w->p[i].role == who) return true;
    return false;
}

static void run_step(const emit *e, const world *w, int i) {
    const proc *p = &w->p[i];
    if (p->role == FOREIGN) foreign_step(e, w, i);
    else if (p->pc == W_IDLE) idle_step(e, w, i);
    else if (p->pc < V_OPEN) flusher_step(e, w, i);
    else if (p->pc >= V_SETTLE && p->pc <= V_APPEND) settle_step(e, w, i);
    else recover_step(e, w, i);
}

static void start_recoverer(const emit *e, const world *now) {
    world w = *now;
    int i = place(now), many = 0;
    bool dead = false, last = now->deaths == size_now.deaths;
    for (int k = 0; k < PROCS; k++) many += now->p[k].role == RECOVERER;
    for (int s = 0; s < size_now.sessions; s++) dead = dead || (w.s[s].there && w.s[s].lock == 0);
    if (i < 0 || !dead || many >= (last ? 1 : size_now.at_once) || (many != 0 && w.started++ != 0)) return;
    w.p[i] = (proc){.role = RECOVERER, .pc = V_OPEN};
    tell(e, &w, "starts", i);
}

/* What other programs do. */
static void outside(const emit *e, const world *now) {
    int i = place(now);
    for (int k = 0; k < size_now.sinks && now->renames < size_now.renames; k++) {
        world w = *now;
        int ino = file_at(now, k, 0);
        if (ino < 0) continue;
        w.f[ino].name = (uint8_t)(100 + w.renames++);
        tell(e, &w, "somebody renames", -1);
    }
    if (now->foreign < size_now.foreign && i >= 0 && !living(now, FOREIGN)) {
        world w = *now;
        w.p[i] = (proc){.role = FOREIGN, .pc = P_OPEN, .x = (uint8_t)(FOREIGN_LINE + w.foreign++)};
        tell(e, &w, "somebody starts", i);
    }
}

/* A store to a session whose lock it has: nobody sees whether it comes before or behind a step of others, so only one order is walked. */
static bool unseen(int pc) {
    return (pc >= W_MOVE && pc <= W_EARLY) || pc == W_DONE || pc == W_CUR || (pc >= V_SEQ && pc <= V_MOVE) || pc == V_KEY || pc == V_RINGS;
}

static void each_next(const emit *e, const world *w) {
    for (int i = 0; i < PROCS; i++) {
        if ((w->p[i].role != FLUSHER && w->p[i].role != RECOVERER) || !unseen(w->p[i].pc)) continue;
        run_step(e, w, i);
        if (may_die(w)) die(e, w, "dies", i);
        return;
    }
    for (int i = 0; i < PROCS; i++) {
        const proc *p = &w->p[i];
        if (p->role == NOBODY) continue;
        run_step(e, w, i);
        if (p->role != FOREIGN && may_die(w)) die(e, w, "dies", i);
        for (int r = 0; r < RINGS && p->role == FLUSHER; r++)
            if (w->s[p->s].head[r] < size_now.records[p->s][r]) {
                world next = *w;
                next.s[p->s].head[r]++;
                tell(e, &next, "logs", i);
            }
    }
    start_recoverer(e, w);
    outside(e, w);
}

/* ---- the end of a history ---- */

static struct { uint64_t states, ends, bad, attempted, written, lost, doubled, torn; double histories; bool shown; } total;

static void judge_file(const file *f, uint8_t *seen) {
    for (int i = 0; i < f->size;) {
        if (f->text[i] == BLANK) i++;
        else if (i + 2 < f->size && f->text[i] == BEGIN && f->text[i + 1] < BEGIN && f->text[i + 2] == END) seen[f->text[i + 1]]++, i += 3;
        else {
            total.torn++;
            while (i < f->size && f->text[i++] != END) {}
        }
    }
}

static void count(int n) {
    total.attempted++;
    total.written += n > 0;
    total.lost += n == 0;
    total.doubled += n > 1;
}

/* True: everything is where it belongs. */
static bool judge(const world *w) {
    uint64_t before = total.lost + total.doubled + total.torn;
    total.ends++;
    for (int k = 0; k < size_now.sinks; k++) {
        uint8_t seen[256] = {0};
        for (int i = 0; i < FILES; i++)
            if (w->f[i].used && w->f[i].sink == k) judge_file(&w->f[i], seen);
        for (int s = 0; s < size_now.sessions; s++)
            for (int r = 0; r < RINGS; r++)
                for (int i = 0; i < w->s[s].head[r]; i++) count(seen[line_of(s, r, i)]);
        for (int i = 0; k == 0 && i < w->foreign; i++) count(seen[FOREIGN_LINE + i]);
    }
    return total.lost + total.doubled + total.torn == before;
}

/* ---- the walk ---- */

typedef struct { uint64_t key[2]; double histories; } met;
static met *table;
static size_t table_size, table_used;
static struct { const char *what; int who; } path[2000];
static int depth;

static void hash(const world *w, uint64_t h[2]) {
    const uint8_t *p = (const uint8_t *)w;
    h[0] = 14695981039346656037u, h[1] = 88172645463325252u;
    for (size_t i = 0; i < sizeof *w; i += 4) {
        uint32_t v = 0;
        memcpy(&v, p + i, sizeof *w - i < 4 ? sizeof *w - i : 4);
        h[0] = (h[0] ^ v) * 1099511628211u;
        h[0] ^= h[0] >> 29;
        h[1] = (h[1] + v) * 0x9e3779b97f4a7c15u;
        h[1] ^= h[1] >> 31;
    }
    if (h[0] == 0) h[0] = 1;
}

static met *find(const uint64_t h[2]) {
    size_t i = (size_t)h[0] & (table_size - 1);
    while (table[i].key[0] != 0 && (table[i].key[0] != h[0] || table[i].key[1] != h[1])) i = (i + 1) & (table_size - 1);
    return &table[i];
}

static void grow(void) {
    met *old = table;
    size_t n = table_size;
    table_size = n == 0 ? 1 << 16 : n * 2;
    table = calloc(table_size, sizeof *table);
    if (table == NULL) printf("no memory\n"), exit(1);
    for (size_t i = 0; i < n; i++)
        if (old[i].key[0] != 0) *find(old[i].key) = old[i];
    free(old);
}

static void show(const world *w) {
    total.shown = true;
    printf("      a history that fails:");
    for (int i = 0; i < depth; i++) printf(" %s%s%c;", path[i].what, path[i].who < 0 ? "" : " ", path[i].who < 0 ? ' ' : 'A' + path[i].who);
    for (int i = 0; i < FILES; i++) {
        if (!w->f[i].used) continue;
        printf("\n      file %d of sink %d, name %d: ", i, w->f[i].sink, w->f[i].name);
        for (int k = 0; k < w->f[i].size; k++) {
            uint8_t c = w->f[i].text[k];
            printf(c == BEGIN ? "{" : c == END ? "} " : c == BLANK ? "_" : "%d", c);
        }
    }
    printf("\n");
}

static double walk(const world *w);

typedef struct { double histories; int many; } sum;
static void walk_on(void *to, world *next, const char *what, int who) {
    sum *s = to;
    path[depth].what = what;
    path[depth++].who = who;
    s->histories += walk(next);
    s->many++;
    depth--;
}

/* Returns the number of histories that begin here. */
static double walk(const world *w) {
    uint64_t h[2];
    sum s = {0, 0};
    const emit e = {walk_on, &s};
    hash(w, h);
    met *m = find(h);
    if (m->key[0] != 0 || (without != NOTHING && total.bad > 20)) return m->histories; /* that a rule is needed is shown soon */
    total.states++;
    bool over = true;
    for (int i = 0; i < size_now.sessions; i++) over = over && !w->s[i].there;
    for (int i = 0; i < PROCS; i++) over = over && w->p[i].role == NOBODY;
    if (depth == (int)(sizeof path / sizeof *path) - 1) printf("%s: a history without an end\n", size_now.name), exit(1);
    each_next(&e, w);
    if (over) { /* nobody must come any more */
        bool good = judge(w);
        total.bad += !good;
        if (!good && !total.shown && without == NOTHING) show(w);
        s.histories++;
    } else if (s.many == 0) printf("%s: all wait\n", size_now.name), show(w), exit(1);
    if (++table_used * 2 > table_size) grow();
    m = find(h);
    m->key[0] = h[0], m->key[1] = h[1];
    m->histories = s.histories;
    return s.histories;
}

/* All histories of a world; true: nothing was lost, doubled or torn. */
static bool run(const size *is, rule taken, const char *name) {
    world w;
    memset(&w, 0, sizeof w);
    memset(&total, 0, sizeof total);
    free(table);
    table = NULL;
    table_size = table_used = 0;
    grow();
    size_now = *is;
    without = taken;
    for (int s = 0; s < is->sessions; s++) {
        w.s[s].there = w.s[s].rings = 1;
        w.s[s].lock = (uint8_t)(s + 1);
        for (int k = 0; k < is->sinks; k++) w.s[s].p[k].key = 1;
        proc *p = &w.p[s];
        p->role = FLUSHER;
        p->s = (uint8_t)s;
        p->pc = W_IDLE;
        for (int k = 0; k < is->sinks; k++) p->fd[k] = (uint8_t)(file_open(&w, k) + 1), p->lock[k] = 1;
    }
    total.histories = walk(&w);
    printf("    %-34s %9llu states, %.3g histories: attempted %llu, written %llu, lost %llu, doubled %llu, torn %llu\n", name,
           (unsigned long long)total.states, total.histories, (unsigned long long)total.attempted, (unsigned long long)total.written,
           (unsigned long long)total.lost, (unsigned long long)total.doubled, (unsigned long long)total.torn);
    fflush(stdout);
    return total.lost + total.doubled + total.torn == 0;
}

int main(int argc, char **argv) {
    bool all = argc > 1 && strcmp(argv[1], "long") == 0;
    const uint8_t more = all;
    const size one = {"one writer", 1, 2, {{2, (uint8_t)(1 + more)}}, 2, 0, 3, 0, 0, 1, 1};
    const size turned = {"one writer, rotation, a rename", 1, 1, {{2, 1}}, 1, 5, 3, 1, 0, 0, 1};
    const size shared = {"another program writes, too", 1, 1, {{2, 0}}, 2, 0, (uint8_t)(2 + more), 0, 1, 1, 1};
    const size twice = {"two that write, two that recover", 2, 1, {{1, 0}, {1, 0}}, 0, 0, (uint8_t)(2 + more), 0, 0, 0, 2};
    const struct { const size *of; rule taken; const char *name; } list[] = {
        {&one, NOTHING, NULL}, {&one, COMMIT_LATE, "  commit late"}, {&one, COMMIT_EARLY, "  commit early"},
        {&one, MOVES_UNCHECKED, "  moves without their sum"},
        {&turned, NOTHING, NULL}, {&turned, BY_PATH, "  file found by its path"},
        {&shared, NOTHING, NULL}, {&shared, CUT_ALWAYS, "  cut whoever writes"}, {&shared, CUT_UNSEEN, "  cut whatever stands there"},
        {&shared, CUT_BEFORE_LOCK, "  look, then lock"}, {&shared, LOCK_AT_ONCE, "  no lock: go on without"}, {&shared, FORM_ANEW, "  formed anew"},
        {&shared, SEARCH_BEGINNING, "  any beginning is ours"}, {&shared, ONE_PIECE, "  one part is looked for"}, {&shared, GO_ON_IN_LINE, "  look, then go on in the line"},
        {&shared, NO_BLANKS, "  torn lines stay"},
        {&twice, NOTHING, NULL}, {&twice, BLANKS_UNSEEN, "  torn before blanks: not seen"}, {&twice, LINES_ONLY, "  looked for where lines begin"},
        {&twice, OLD_OFFSET, "  nothing stands, its promise does"}, {&twice, LOCK_LOST, "  a lock that is lost stays lost"}, {&twice, ALL_SEARCH, "  all search at once"}, {&twice, ONE_LOOK, "  one look for two rounds"}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!all && (list[i].taken == BLANKS_UNSEEN || list[i].taken == LOCK_LOST || list[i].taken == OLD_OFFSET || list[i].taken == ALL_SEARCH)) continue; /* rare: slow */
        bool good = run(list[i].of, list[i].taken, list[i].taken == NOTHING ? list[i].of->name : list[i].name);
        CHECK(good == (list[i].taken == NOTHING));
    }
    return done();
}
