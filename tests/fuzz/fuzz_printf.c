/* libFuzzer target: the input becomes a format and arguments of every kind; ASan and UBSan judge, plus what must hold of
   the table. `make fuzz` builds and runs it. */
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NVALS 18

/* Fills an argument from 10 bytes of input; text goes to a block of its own, so that reading past it is noticed. */
static void fill(mlog__val *v, const uint8_t *d, char **block)
{
    static const uint8_t kinds[] = { MLOG_K_NULL, MLOG_K_INT, MLOG_K_UINT, MLOG_K_BOOL, MLOG_K_CHAR, MLOG_K_FLOAT,
                                     MLOG_K_DOUBLE, MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_BYTES, MLOG_K_HEX, MLOG_K_POINTER,
                                     MLOG__K_LDOUBLE, MLOG_K_INT, MLOG_K_DOUBLE, 200 };
    uint32_t len = d[1] % 24;

    memset(v, 0, sizeof *v);
    v->kind = kinds[d[0] % sizeof kinds];
    memcpy(&v->as.u, d + 2, 8);
    if (v->kind != MLOG_K_TEXT && v->kind != MLOG__K_LDOUBLE)
        return;
    if (v->kind == MLOG__K_LDOUBLE)
        len = d[1] & 1 ? (uint32_t)sizeof(long double) : d[1] % 12;
    *block = malloc(len + 1);
    if (!*block)
        abort();
    for (uint32_t i = 0; i < len; i++)
        (*block)[i] = (char)d[2 + (i * 5 + i / 8) % 8];
    (*block)[len] = '\0';
    v->as.p = *block;
    v->len = len;
    v->full = d[1] == 255 ? UINT32_MAX : len + (d[1] & 1);
    if (v->kind == MLOG_K_TEXT && v->full == UINT32_MAX) {
        v->as.p = NULL;
        v->len = 0;
    }
}

/* What a caller relies on: entries in order within the format, arguments within the counts. */
static void check_table(const mlog__printf *f, size_t len)
{
    size_t at = 0;

    if (f->nconv > MLOG__PRINTF_CONVS || f->nargs > MLOG__PRINTF_ARGS || f->len != len)
        abort();
    for (int i = 0; i < f->nconv; i++) {
        const mlog__conv *c = &f->conv[i];

        if (c->off < at || c->len < 2 || c->off + c->len > len || c->arg >= (int)f->nargs)
            abort();
        if (c->width < MLOG__PREC_ARG(MLOG__PRINTF_ARGS - 1) || c->prec < MLOG__PREC_ARG(MLOG__PRINTF_ARGS - 1) || c->conv == 'n')
            abort();
        at = c->off + c->len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mlog__val vals[NVALS];
    char *blocks[NVALS] = { NULL }, *fmt, *out, *e;
    size_t room, len;
    mlog__printf f;
    int n = 0;

    if (size < 3)
        return 0;
    room = data[0] == 255 ? 70000 : data[0];
    len = data[1] < size - 2 ? data[1] : size - 2;
    fmt = malloc(len + !len);
    out = malloc(room + !room);
    if (!fmt || !out)
        abort();
    memcpy(fmt, data + 2, len);
    for (size_t at = 2 + len; n < NVALS && at + 10 <= size; at += 10, n++)
        fill(&vals[n], data + at, &blocks[n]);
    mlog__printf_scan(fmt, len, &f);
    check_table(&f, len);
    e = mlog__printf_render(out, out + room, &f, fmt, vals, n);
    if (e < out || e > out + room)
        abort();
    for (int i = 0; i < NVALS; i++)
        free(blocks[i]);
    free(fmt);
    free(out);
    return 0;
}
