/* libFuzzer target: the input becomes a filter and the values of a record; ASan and UBSan judge, plus what must hold of every compiled
   filter and what a double negation may not change. `make fuzz` builds and runs it. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 6, HEAD = FIELDS * 10 };

/* A value from 10 bytes of input; text goes to a block of its own, so that reading past it is noticed. */
static mlog_value fill(const uint8_t *d, char **block) {
    mlog_value v = {.kind = d[0] % 24, .size = d[1] % 9};
    memcpy(&v.as.u, d + 2, 8);
    if (v.kind != MLOG_K_TEXT && v.kind != MLOG_K_JSON && v.kind != MLOG_K_BYTES) return v;
    *block = malloc(v.size + !v.size);
    if (!*block) abort();
    memcpy(*block, d + 2, MLOG__MIN(v.size, 8u));
    v.as.p = d[1] == 255 ? NULL : *block;
    if (v.as.p == NULL) v.size = 0;
    return v;
}

/* What evaluation relies on: exits lead forward, to a comparison or out; texts lie inside the allocation. */
static void check_program(const mlog_filter *f, size_t len) {
    const char *room = (const char *)(f->term + MLOG__MIN(len / 4 + 1, (size_t)MLOG__FILTER_TERMS));
    if (f->count == 0 || f->count > MLOG__FILTER_TERMS) abort();
    for (uint32_t i = 0; i < f->count; i++) {
        const mlog__filter_term *t = &f->term[i];
        for (int k = 0; k < 2; k++)
            if (t->exit[k] <= i || t->exit[k] > f->count + 1) abort();
        if (t->key < room || t->key_len == 0 || t->key + t->key_len > room + len) abort();
        if (t->text != NULL && (t->text < room || t->text + t->text_len > room + len)) abort();
        if ((t->type == MLOG__Q_REGEX) != (t->regex != NULL) || (t->regex != NULL && t->text[t->text_len] != 0)) abort();
    }
}

/* The same filter inside `not not ( … )`, when that fits. */
static void check_negation(const mlog_filter *f, const char *text, size_t len, const mlog_record *r) {
    char *longer = malloc(len + 16);
    if (!longer) abort();
    memcpy(longer, "not (not(", 9);
    memcpy(longer + 9, text, len);
    memcpy(longer + 9 + len, "))", 2);
    mlog_filter *same = mlog_filter_new(longer, len + 11);
    if (same != NULL && mlog_filter_match(same, r) != mlog_filter_match(f, r)) abort();
    mlog_filter_free(same);
    longer[4] = ' '; /* not  not( … )): one parenthesis too many */
    if (mlog_filter_new(longer, len + 11) != NULL) abort();
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const key[FIELDS] = {"a", "b", "qty", "task", "symbol", "odd key"};
    char *blocks[FIELDS] = {NULL};
    mlog_field field[FIELDS];
    if (size < HEAD + 2) return 0;
    for (size_t i = 0; i < FIELDS; i++) field[i] = (mlog_field){key[i], fill(data + i * 10, &blocks[i])};
    mlog_record r = {.level = data[HEAD] % 26, .source = "net.http", .thread = "1", .msg = "ping pong", .msg_len = data[HEAD + 1] % 10,
                     .fields = field, .nfields = FIELDS};
    size_t len = size - HEAD - 2;
    char *text = malloc(len + !len);
    if (!text) abort();
    memcpy(text, data + HEAD + 2, len);
    mlog_filter *f = mlog_filter_new(text, len);
    if (f == NULL && *mlog_why() == 0) abort();
    if (f != NULL) {
        check_program(f, len);
        check_negation(f, text, len, &r);
    }
    mlog_filter_free(f);
    for (int i = 0; i < FIELDS; i++) free(blocks[i]);
    free(text);
    return 0;
}
