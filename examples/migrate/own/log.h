/* A project's own logger, as thousands have one: levels, macros with file and line, a function behind them. */
#ifndef OWN_LOG_H
#define OWN_LOG_H
#include <stdarg.h>

enum { L_DBG, L_INF, L_ERR };
void own_log(int level, const char *file, int line, const char *func, const char *format, ...) __attribute__((format(printf, 5, 6)));
void own_vlog(int level, const char *file, int line, const char *func, const char *format, va_list args);

#ifdef USE_METALOG /* all that the move takes */
#include "metalog.h"
#define LOG_DBG(...) mlogf(MLOG_DEBUG, __VA_ARGS__)
#define LOG_INF(...) mlogf(MLOG_INFO, __VA_ARGS__)
#define LOG_ERR(...) mlogf(MLOG_ERROR, __VA_ARGS__)
#else
#define LOG_DBG(...) own_log(L_DBG, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define LOG_INF(...) own_log(L_INF, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define LOG_ERR(...) own_log(L_ERR, __FILE__, __LINE__, __func__, __VA_ARGS__)
#endif
#endif
