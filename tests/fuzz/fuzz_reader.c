/* libFuzzer target: the input is a binary file, or JSON lines, which are read and shown in every format; ASan and UBSan judge. Checksums are not compared,
   so that the input gets behind them (tests/test_binary.c holds them to account). The corpus: `make fuzz-reader` begins with the files in
   tests/fuzz/reader, small ones that a program wrote. */
#define METALOG_TEST_NO_CRC
#define METALOG_TOOL 2
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every record in every format, as `metalog cat` shows it. r: NULL for JSON lines, which are in `lines`. */
static void show(mlog__reader *r, mlog__buffer lines) {
    static mlog__tool_input in;
    mlog__buffer b = {0};
    free(in.desk.names.p);
    free(in.text.p);
    in = (mlog__tool_input){.path = "fuzz", .binary = r != NULL, .known = true, .reader = r, .bytes = lines, .ended = true};
    mlog__tool.wanted[0] = "msg", mlog__tool.wanted[1] = "qty", mlog__tool.wanted[2] = "thread";
    while (mlog__tool_advance(&in)) {
        for (int format = 0; format < 8; format++) {
            mlog__tool.format = format % 4;
            mlog__tool.wanted_count = format < 4 ? 0 : 3;
            b.len = mlog__tool.out.len = 0;
            if (format == 0 && r != NULL && mlog__tool_straight(&in)) continue;
            if (mlog__tool_take(&in) != 1) continue;
            if (mlog__tool_line(&b, mlog__tool_desk(&in), &in.item) && (b.len == 0 || memchr(b.p, '\n', b.len) != b.p + b.len - 1)) abort();
        }
    }
    free(b.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (mlog__tool.filter == NULL) mlog__tool.filter = mlog_filter_new("level>=trace or qty>1 or msg=a* or has task", 43);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0) abort();
    mlog__buffer lines = {malloc(size + 1), size, size + 1};
    if (lines.p == NULL) abort();
    memcpy(lines.p, data, size);
    mlog__reader *r = size != 0 && *data == '{' ? NULL : mlog__reader_open(fd);
    show(r, lines);
    mlog__reader_close(r);
    free(lines.p);
    return 0;
}
