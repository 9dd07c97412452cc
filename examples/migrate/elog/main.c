/* A program that logs with EasyLogger (https://github.com/armink/EasyLogger), as firmware does: a tag and a level for each unit, tags of
 * single calls, filters that are set at run time, raw text, dumps, asserts. tests/migrate.sh builds it with a stand-in of EasyLogger,
 * and with metalog. */
#define LOG_TAG "main"
#include <elog.h>

#include <stdio.h>
#include <string.h>

void radio_run(int packets);

static void asserted(const char *expr, const char *func, size_t line) { printf("assert: %s in %s, line %s\n", expr, func, line ? "known" : "0"); }

static void filters(const char *what) {
    log_i("filters: %s", what);
    radio_run(2);
}

int main(void) {
    log_e("before the start nothing is logged");
    elog_init();
    elog_set_text_color_enabled(false);
    for (uint8_t level = ELOG_LVL_ASSERT; level <= ELOG_LVL_VERBOSE; level++) elog_set_fmt(level, ELOG_FMT_ALL);
    elog_assert_set_hook(asserted);
    elog_start();
    log_i("started, %d tags", 3);
    log_v("all levels are on: %c", 'v');
    filters("none");
    elog_set_filter_lvl(ELOG_LVL_INFO);
    filters("level info");
    elog_set_filter_lvl(ELOG_LVL_VERBOSE);
    elog_set_filter_tag("radio");
    filters("tag radio");
    elog_set_filter_tag("");
    elog_set_filter_kw("packet 2");
    filters("a word, packet 2");
    elog_set_filter_kw("");
    elog_set_filter_tag_lvl("radio.rx", ELOG_LVL_WARN);
    filters("a level of one tag");
    elog_set_filter_tag_lvl("radio.rx", ELOG_FILTER_LVL_ALL);
    elog_raw("raw text, %d%%\n", 50);
    elog_hexdump("frame", 16, "\x01\x02 a frame of 21 bytes", 21);
    ELOG_ASSERT(strlen("three") == 3);
    log_a("assert level");
    elog_stop();
    log_e("behind the end nothing is logged");
    return 0;
}
