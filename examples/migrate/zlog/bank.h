#ifndef BANK_H
#define BANK_H
#include <zlog.h>

/* Levels of one's own, as zlog's documentation shows it. */
enum { LEVEL_TRACE = 10, LEVEL_AUDIT = 130 };
#define bank_trace(cat, ...) zlog(cat, __FILE__, sizeof(__FILE__) - 1, __func__, sizeof(__func__) - 1, __LINE__, LEVEL_TRACE, __VA_ARGS__)
#define bank_audit(cat, ...) zlog(cat, __FILE__, sizeof(__FILE__) - 1, __func__, sizeof(__func__) - 1, __LINE__, LEVEL_AUDIT, __VA_ARGS__)

int ledger_book(const char *user, int amount);
#endif
