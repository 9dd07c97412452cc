#include "zlog.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct zlog_category_s { char name[64]; };
static struct zlog_category_s category[32], *usual;
static struct { char name[32], format[256]; } format[16];
static struct { char name[32]; int value; } level[24] = {{"DEBUG", 20}, {"INFO", 40}, {"NOTICE", 60}, {"WARN", 80}, {"ERROR", 100}, {"FATAL", 120}};
static struct { char category[64], op, path[256], record[32]; int level; const char *format; } rule[16];
static struct { char name[32]; zlog_record_fn fn; } record[8];
static struct { char key[32], value[64]; } mdc[8];
static int categories, formats, levels, rules, records, mdcs, running;

static int level_value(const char *name) {
    for (int i = 0; i < levels; i++)
        if (strcasecmp(level[i].name, name) == 0) return level[i].value;
    return -1;
}

static int read_conf(const char *path) {
    char line[512], section[32] = "", a[256], b[256], *p;
    FILE *f = path ? fopen(path, "r") : NULL;
    formats = rules = 0, levels = 6;
    if (!f) return -1;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!*line || *line == '#') continue;
        if (sscanf(line, "[%31[a-z]]", section) == 1) continue;
        if (strcmp(section, "levels") == 0 && sscanf(line, "%31s = %d", level[levels].name, &level[levels].value) == 2) levels++;
        if (strcmp(section, "formats") == 0 && sscanf(line, "%31s = \"%255[^\"]", format[formats].name, format[formats].format) == 2) formats++;
        if (strcmp(section, "rules") != 0 || sscanf(line, "%255s", a) != 1 || !(p = strchr(a, '.'))) continue;
        *p++ = 0;
        memset(&rule[rules], 0, sizeof rule[rules]);
        snprintf(rule[rules].category, 64, "%s", a);
        rule[rules].op = *p == '=' || *p == '!' || *p == '*' ? *p++ : '.';
        rule[rules].level = level_value(p);
        p = strchr(line, ' ');
        if (sscanf(p, " >%255[a-z]", b) == 1) snprintf(rule[rules].path, 256, "/dev/%s", b);
        else if (sscanf(p, " $%31[a-z], \"%255[^\"]", rule[rules].record, rule[rules].path) < 1) sscanf(p, " \"%255[^\"]", rule[rules].path);
        p = strchr(line, ';');
        for (int i = 0; p && i < formats; i++)
            if (sscanf(p, "; %255s", b) == 1 && strcmp(format[i].name, b) == 0) rule[rules].format = format[i].format;
        rules++;
    }
    fclose(f);
    return 0;
}

int zlog_init(const char *path) { return running = read_conf(path) == 0, running - 1; }
int zlog_reload(const char *path) { return read_conf(path); }
void zlog_fini(void) { running = 0; }

zlog_category_t *zlog_get_category(const char *name) {
    for (int i = 0; i < categories; i++)
        if (strcmp(category[i].name, name) == 0) return &category[i];
    snprintf(category[categories].name, 64, "%s", name);
    return running ? &category[categories++] : NULL;
}

int dzlog_set_category(const char *name) { return (usual = zlog_get_category(name)) ? 0 : -1; }
int dzlog_init(const char *path, const char *name) { return zlog_init(path) == 0 ? dzlog_set_category(name) : -1; }

static int find_mdc(const char *key) {
    int i = 0;
    while (i < mdcs && strcmp(mdc[i].key, key) != 0) i++;
    return i;
}
int zlog_put_mdc(const char *key, const char *value) {
    int i = find_mdc(key);
    snprintf(mdc[i].key, 32, "%s", key);
    snprintf(mdc[i].value, 64, "%s", value);
    return mdcs += i == mdcs, 0;
}
char *zlog_get_mdc(const char *key) { return find_mdc(key) < mdcs ? mdc[find_mdc(key)].value : NULL; }
void zlog_remove_mdc(const char *key) {
    int i = find_mdc(key);
    if (i < mdcs) mdc[i] = mdc[--mdcs];
}
void zlog_clean_mdc(void) { mdcs = 0; }
int zlog_set_record(const char *name, zlog_record_fn fn) { return snprintf(record[records].name, 32, "%s", name), record[records++].fn = fn, 0; }

static int fits(int i, const char *name) {
    const char *own = rule[i].category;
    size_t n = strlen(own);
    if (strcmp(own, "*") == 0) return 1;
    if (own[n - 1] == '_') return strncmp(own, name, n) == 0 || (strlen(name) == n - 1 && strncmp(own, name, n - 1) == 0);
    return strcmp(own, name) == 0;
}

static int takes(int i, const char *name, int lvl) {
    int any = 0;
    for (int k = 0; k < rules; k++) any |= fits(k, name);
    if (!fits(i, name) && (strcmp(rule[i].category, "!") != 0 || any)) return 0;
    return rule[i].op == '*' || (rule[i].op == '.' && lvl >= rule[i].level) || (rule[i].op == '=' && lvl == rule[i].level) ||
           (rule[i].op == '!' && lvl != rule[i].level);
}

int zlog_level_enabled(zlog_category_t *c, const int lvl) {
    int on = 0;
    for (int i = 0; running && c && i < rules; i++) on |= takes(i, c->name, lvl);
    return on;
}

static void put(char *to, const char *fmt, const char *name, const char *file, const char *func, long line, int lvl, const char *text) {
    char key[32], at[64];
    time_t now = time(NULL);
    *to = 0;
    for (const char *p = fmt; *p; p++, to += strlen(to)) {
        int width = 0, used = 0;
        if (*p != '%') { *to = *p, to[1] = 0; continue; }
        if (sscanf(p + 1, "%d%n", &width, &used) == 1) p += used;
        switch (*++p) {
        case 'd': strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S", localtime(&now)), strcpy(to, at); break;
        case 'm': strcpy(to, text); break;
        case 'c': sprintf(to, "%*s", width, name); break;
        case 'F': case 'f': strcpy(to, file); break;
        case 'L': sprintf(to, "%ld", line); break;
        case 'U': strcpy(to, func); break;
        case 'n': strcpy(to, "\n"); break;
        case 'M':
            sscanf(p, "M(%31[^)])", key), p = strchr(p, ')');
            strcpy(to, zlog_get_mdc(key) ? zlog_get_mdc(key) : "");
            break;
        case 'V': case 'v':
            for (int i = 0; i < levels; i++)
                if (level[i].value == lvl) sprintf(to, "%*s", width, level[i].name);
            for (char *q = to; *p == 'v' && *q; q++) *q += *q >= 'A' && *q <= 'Z' ? 32 : 0;
        }
    }
}

void vzlog(zlog_category_t *c, const char *file, size_t filelen, const char *func, size_t funclen, long line, int lvl, const char *fmt, va_list args) {
    char text[512], whole[1024];
    (void)filelen, (void)funclen;
    vsnprintf(text, sizeof text, fmt, args);
    for (int i = 0; running && c && i < rules; i++) {
        if (!takes(i, c->name, lvl)) continue;
        put(whole, rule[i].format ? rule[i].format : "%d %V [%c:%F:%L] %m%n", c->name, file, func, line, lvl, text);
        for (int k = 0; k < records; k++)
            if (strcmp(record[k].name, rule[i].record) == 0) record[k].fn(&(zlog_msg_t){whole, strlen(whole), rule[i].path});
        if (rule[i].record[0]) continue;
        if (strcmp(rule[i].path, "/dev/stdout") == 0) { fputs(whole, stdout); fflush(stdout); continue; }
        FILE *f = fopen(rule[i].path, "a");
        if (f) fputs(whole, f), fclose(f);
    }
}

void zlog(zlog_category_t *c, const char *file, size_t filelen, const char *func, size_t funclen, long line, int lvl, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vzlog(c, file, filelen, func, funclen, line, lvl, fmt, args);
    va_end(args);
}

void dzlog(const char *file, size_t filelen, const char *func, size_t funclen, long line, int lvl, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vzlog(usual, file, filelen, func, funclen, line, lvl, fmt, args);
    va_end(args);
}
