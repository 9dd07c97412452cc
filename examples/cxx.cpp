/* cxx: the same header and macros in C++. The implementation stays in a C file of one line.
 *
 *     printf '#define METALOG_IMPLEMENTATION\n#include "metalog.h"\n' >metalog.c && cc -I. -c metalog.c
 *     c++ -std=c++17 -I. examples/cxx.cpp metalog.o -o cxx -pthread && ./cxx 2>&1 | cat
 */
#include "metalog.h"

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

enum class side { buy = 1, sell = 2 };

struct order {
    std::string symbol;
    int quantity;
    side direction;
};

void put_order(mlog_writer *w, const void *p) {
    const auto *o = static_cast<const order *>(p);
    mlog_put(w, "symbol", o->symbol);
    mlog_put(w, "urgent", o->quantity > 100);
}

class book {
public:
    explicit book(const std::string &name) : log_(mlog_bind(mlog_named("book"), "name", name)) {}
    ~book() { mlog_unbind(log_); }
    book(const book &) = delete;
    book &operator=(const book &) = delete;
    void add(const order &o) {
        mlog_with("quantity", o.quantity); // goes with the scope, also when it is left by an exception
        if (o.quantity <= 0) throw std::invalid_argument("quantity");
        mlog_to(log_, MLOG_INFO, "added", "order", mlog_object(put_order, &o), "side", o.direction);
    }

private:
    mlog_logger *log_; // its name and its field stand on every record
};

template <class T> T logged(T value) {
    mlog_info("value", "of", value);
    return value;
}

} // namespace

int main() {
    const std::string_view view = "a view";
    const std::vector<int> list = {1, 2, 3};
    mlog_info("strings", "std", std::string("owned"), "view", view, "literal", "text", "null", nullptr);
    mlog_info("list", "list", mlog_array(list.data(), list.size()));
    book orders("main");
    for (int quantity : {300, 0}) {
        try {
            orders.add({"ACME", quantity, side::buy});
        } catch (const std::exception &e) {
            mlog_error("rejected", "reason", e.what());
        }
    }
    auto twice = [](int n) {
        mlog_debug("in a lambda", "n", n);
        return 2 * n;
    };
    mlog_infof("%s: %d", "printf style", twice(logged(21)));
    logged(2.5);
}
