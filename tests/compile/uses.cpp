/* A unit of C++ that only logs: what C has, and lambdas, templates, inline functions, strings, scoped enums, references. */
#include "uses.h"
#include <string>
#include <string_view>

enum class Scoped : short { one = 1 };
static inline int uses_inline(int n) {
    mlog_info("inline", "n", n);
    return 1;
}
template <class T> static int uses_template(const T &value) {
    mlog_info("template", "value", value);
    mlog_with("of", value);
    mlog_infof("in a template");
    return 2;
}
struct Class {
    int member = 3;
    int log() const {
        mlog_info("member", "member", member, "this", static_cast<const void *>(this));
        return 1;
    }
};
namespace {
int uses_cxx_only() {
    std::string s("string\0x", 8);
    std::string_view v("view");
    const std::string &ref = s;
    auto lambda = [&](int n) { mlog_info("lambda", "n", n, "s", s); return 1; };
    mlog_info("strings", "s", s, "v", v, "ref", ref, "temporary", std::string("made here") + "!", "null", nullptr);
    mlog_info("scoped", "e", Scoped::one, "b", s.size() == 8);
    mlog_infof("%s", s.c_str());
    try {
        mlog_info("throws", "n", (s.empty() ? 0 : throw 1, 2));
    } catch (int) {
        mlog_info("thrown before the record began");
    }
    mlog_config config{};
    (void)sizeof(mlog_init(config));
    return lambda(1) + 4 + uses_template(1) + uses_template("text") + uses_template(s) + uses_inline(2) + Class().log();
}
}
extern "C" int uses_cxx(void);
extern "C" int uses_cxx(void) { return uses() + uses_cxx_only(); }
