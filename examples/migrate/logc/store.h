#ifndef STORE_H
#define STORE_H
#include "log.h"

/* The project's own name for it, as projects have. */
#define STORE_LOG(level, ...) log_log(level, __FILE__, __LINE__, __VA_ARGS__)
#define CHECKED(call) do { if ((call) != 0) log_error("%s failed", #call); } while (0)

int store_put(const char *key, int value);
int store_get(const char *key, int *value);
void store_report(const char *format, ...);
#endif
