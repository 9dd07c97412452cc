#!/bin/sh
# Builds the benchmark with the peers that are installed, and runs it: bench/run.sh [full|quick|smoke]. Leaves build/bench.tsv.
set -u
cd "$(dirname "$0")/.." || exit 2
mode=${1:-full}
: "${GCC:=gcc}" "${GXX:=g++}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=build/bench
[ "$mode" = smoke ] && out=build/bench-smoke
result=$out.tsv
[ -z "${ONLY:-}" ] || result=$out-part.tsv # never taken for a whole one
case $mode in full) sites=10000 ;; quick) sites=1000 ;; *) sites=100 ;; esac
mkdir -p $out
unset METALOG
# with TZ unset the C library looks at /etc/localtime for each local time: 6 us a message for glog
TZ=UTC
export TZ

try() { "$@" || { echo "failed: $*" >&2; exit 1; }; }

generate() { # that many functions with a call each, and as many with none
    awk -v n="$1" 'BEGIN {
        print "#include \"metalog.h\""
        for (i = 0; i < n; i++) {
            printf "static void s%d(int64_t a, double b, int c) { mlog_info(\"site %d\", \"a\", a, \"b\", b, \"c\", c); }\n", i, i
            printf "static void n%d(int64_t a, double b, int c) { __asm__ volatile(\"\" : : \"r\"(a), \"x\"(b), \"r\"(c)); }\n", i
        }
        for (k = 0; k < 2; k++) {
            printf "void (*const bench_%ssites[%d])(int64_t a, double b, int c) = {\n", k ? "no_" : "", n
            for (i = 0; i < n; i++) printf "%s%d,\n", k ? "n" : "s", i
            print "};"
        }
    }'
}
# the generated file compiles for a quarter of a minute: -O1, and only when the header has changed
if [ ! -e $out/sites$sites.o ] || [ metalog.h -nt $out/sites$sites.o ] || [ bench/run.sh -nt $out/sites$sites.o ]; then
    generate "$sites" >$out/sites.c
    try "$GCC" -std=c11 -O1 -I. -c $out/sites.c -o $out/sites$sites.o
fi

flags='' libs='' lttng=
has() { pkg-config --exists "$1" 2>/dev/null; }
peer() { # pkg-config name, macro
    has "$1" || return 0
    flags="$flags -D$2 $(pkg-config --cflags "$1" | sed 's/-I/-isystem /g')"
    libs="$libs $(pkg-config --libs "$1")"
}
peer spdlog HAVE_SPDLOG
peer libglog HAVE_GLOG
peer glib-2.0 HAVE_GLIB
peer log4cplus HAVE_LOG4CPLUS
peer lttng-ust HAVE_LTTNG
# shellcheck disable=SC2086
{
    try "$GCC" -O2 $STRICT -I. -DBENCH_SITES=$sites -c bench/core.c -o $out/core.o -pthread
    try "$GXX" -std=c++17 -O2 -Wall -Wextra -Wshadow -Werror $flags -c bench/peers.cpp -o $out/peers.o -pthread
    if has lttng-ust; then
        lttng=$out/lttng.o
        try "$GCC" -std=gnu11 -O2 -Wall -Wextra -Werror -Ibench -c bench/lttng.c -o $lttng
    fi
    try "$GXX" $out/core.o $out/peers.o $lttng $out/sites$sites.o -o $out/bench_core -pthread $libs -ldl
}

# a session daemon of our own for the enabled tracepoint: root's would be shared, so where one runs already this row is left out
daemon=
BENCH_LTTNG=off
if [ -n "$lttng" ] && [ "$mode" != smoke ] && command -v lttng-sessiond >/dev/null 2>&1 &&
    ! pgrep lttng-sessiond >/dev/null 2>&1; then
    LTTNG_HOME=$(mktemp -d)
    LTTNG_UST_ALLOW_BLOCKING=1
    export LTTNG_HOME LTTNG_UST_ALLOW_BLOCKING
    lttng-sessiond --no-kernel --background --pidfile="$LTTNG_HOME/pid" >/dev/null 2>&1 && [ -s "$LTTNG_HOME/pid" ] &&
        BENCH_LTTNG=on daemon=$(cat "$LTTNG_HOME/pid")
fi
export BENCH_LTTNG
cleanup() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    daemon=
    [ -z "${LTTNG_HOME:-}" ] || rm -rf "$LTTNG_HOME"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "measuring; a dot is a run, r a disturbed one that is repeated, d a disturbed one that is kept" >&2
try $out/bench_core $result.new $out "$mode"
[ -n "${ONLY:-}" ] || try python3 bench/report.py compile $result.new "$mode"
mv $result.new $result
try python3 bench/report.py table $result
try python3 bench/report.py svg $result $out.svg
echo "results: $result; picture: $out.svg"
