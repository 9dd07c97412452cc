#ifndef SPOOL_H
#define SPOOL_H
/* log.c: the daemon's own wrapper, as many have one */
void log_open(const char *name, int debug);
void log_at(int priority, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_audit(const char *user, const char *what);
/* queue.c */
int queue_run(const char *dir, int jobs);
#endif
