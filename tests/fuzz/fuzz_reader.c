/* libFuzzer target: the input is a binary file, which is read and shown in every format; ASan and UBSan judge. Checksums are not compared,
   so that the input gets behind them (tests/test_binary.c holds them to account). The corpus: `make fuzz-reader` begins with the files in
   tests/fuzz/reader, small ones that a program wrote. */
#define METALOG_TEST_NO_CRC
#define METALOG_TOOL 2
#define METALOG_IMPLEMENTATION
#include "../../metalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every record in every format, as `metalog cat` shows it. */
static void show(mlog__reader *r) {
    static mlog__tool_input in;
    mlog__buffer b = {0};
    in = (mlog__tool_input){.path = "fuzz", .binary = true, .known = true, .reader = r};
    mlog__tool.wanted[0] = "msg", mlog__tool.wanted[1] = "qty", mlog__tool.wanted[2] = "thread";
    while (mlog__tool_advance(&in)) {
        for (int format = 0; format < 8; format++) {
            mlog__tool.format = format % 4;
            mlog__tool.wanted_count = format < 4 ? 0 : 3;
            b.len = mlog__tool.out.len = 0;
            if (format == 0 && mlog__tool_straight(&in)) continue;
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
    mlog__reader *r = mlog__reader_open(fd);
    show(r);
    mlog__reader_close(r);
    return 0;
}
