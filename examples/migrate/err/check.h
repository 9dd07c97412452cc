#ifndef CHECK_H
#define CHECK_H
int check_file(const char *path);
void verify(int bad) __attribute__((noreturn));
#endif
