#!/bin/sh
# What a call costs in code and in compile time, and what the smallest program needs in memory: prints the figures beside their
# limits. Sizes fail above the limit; times, which a busy machine blurs, fail above twice the limit (the implementation: four times). Times are medians, taken in
# turns with what they are compared to. Twenty calls stand in a function.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${CLANG:=clang}"
out=build/report
rm -rf $out
mkdir -p $out
passed=0 failed=0
judge() { # text, figure, limit shown, limit that fails, unit
    if awk -v x="$2" -v limit="$4" 'BEGIN { exit !(x > 0 && x <= limit) }'; then passed=$((passed + 1)) mark=
    else failed=$((failed + 1)) mark='   TOO MUCH'; fi
    if [ -z "$mark" ] && awk -v x="$2" -v limit="$3" 'BEGIN { exit !(x > limit) }'; then mark="   ABOVE, fails from $4 on"; fi
    printf '%-62s %8s %-5s (limit %s)%s\n' "$1" "$2" "$5" "$3" "$mark"
}

generate() { # how many calls, of which kind
    awk -v n="$1" -v kind="$2" 'BEGIN {
        print kind == "printf" ? "#include <stdio.h>" : "#include \"metalog.h\""
        for (i = 0; i < n; i++) {
            if (i % 20 == 0) printf "void f%d(long a, double b, int c);\nvoid f%d(long a, double b, int c) {\n", i, i
            if (kind == "printf") printf "printf(\"message %d a=%%ld b=%%f c=%%d\\n\", a, b, c);", i
            else printf "mlog_info(\"message %d\", \"a\", a, \"b\", b, \"c\", c);", i
            print i % 20 == 19 ? "\n}" : ""
        }
    }'
}
generate 1000 mlog >$out/calls.c
generate 0 mlog >$out/none.c
generate 1000 printf >$out/printf.c
echo 'int nothing;' >$out/empty.c
printf '#include "metalog.h"\nvoid f(int n);\nvoid f(int n) { mlog_info("one", "n", n); mlog_warnf("%%d left", n); }\n' >$out/unit.c

seconds() { # command: appends its time to the file named first
    to=$1; shift
    start=$(date +%s%N)
    "$@" || echo "$*: failed" >&2
    echo $(($(date +%s%N) - start)) >>"$to"
}
median() { sort -n "$1" | awk '{ a[NR] = $1 } END { printf "%.4f", a[int((NR + 1) / 2)] / 1e9 }'; }
ratio() { awk -v a="$(median "$1")" -v b="$(median "$2")" 'BEGIN { printf "%.1f", a / b }'; }
minus() { awk -v a="$(median "$1")" -v b="$(median "$2")" 'BEGIN { d = a - b; if (d < 0.001) d = 0.001; printf "%.3f", d }'; }

section_bytes() { size -A "$1" | awk -v like="$2" '$1 ~ like { n += $2 } END { print n + 0 }'; }
for c in "$GCC" "$CLANG"; do
    for f in calls none; do "$c" -std=c11 -O2 -I. -c $out/$f.c -o $out/$f.o; done
    text=$((($(section_bytes $out/calls.o '^\.text') - $(section_bytes $out/none.o '^\.text')) / 1000))
    data=$((($(section_bytes $out/calls.o '^\.(data|rodata|bss)') - $(section_bytes $out/none.o '^\.(data|rodata|bss)')) / 1000))
    judge "$c -O2: code of a call with three arguments ($data bytes of data)" $text 200 200 bytes
done

for c in "$GCC" "$CLANG"; do
    for o in -O0 -O2; do
        case $c$o in *-O0) limit=6 ;; *clang*) limit=9 ;; *) limit=12 ;; esac
        rm -f $out/a $out/b
        for _ in 1 2 3; do
            seconds $out/a "$c" -std=c11 $o -I. -c $out/calls.c -o $out/a.o
            seconds $out/b "$c" -std=c11 $o -I. -c $out/printf.c -o $out/b.o
        done
        judge "$c $o: 1,000 calls compile in $(median $out/a) s, to 1,000 printf" "$(ratio $out/a $out/b)" $limit $((2 * limit)) times
    done
done

for c in "$GCC" "$CLANG"; do
    rm -f $out/a $out/b $out/c
    for _ in 1 2 3 4 5; do
        seconds $out/a "$c" -std=c11 -I. -c $out/unit.c -o $out/a.o
        seconds $out/b "$c" -std=c11 -I. -c $out/empty.c -o $out/b.o
        seconds $out/c "$c" -std=c11 -I. -c tests/compile/implementation_only.c -o $out/c.o
    done
    judge "$c -O0: a unit that only logs, over an empty one" "$(minus $out/a $out/b)" 0.03 0.06 s
    judge "$c -O0: the implementation" "$(median $out/c)" 0.3 1.2 s
done

# the high-water mark of the program itself: rusage would count the shell that it was forked from
cat >$out/hello.c <<'END'
#define METALOG_IMPLEMENTATION
#include "metalog.h"
#include <stdio.h>
int main(void) {
    mlog_info("hello, world", "answer", 42);
    if (mlog_flush(-1) != 0) return 1;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (line[0] == 'V' && line[2] == 'H') fputs(line, stdout);
    return 0;
}
END
if "$GCC" -std=c11 -O2 -I. $out/hello.c -o $out/hello -pthread && $out/hello >$out/rss 2>$out/hello.json; then
    judge "hello, world: memory at its peak" "$(awk '{ printf "%.1f", $2 / 1024 }' $out/rss)" 4 4 MiB
    judge "hello, world: lines of JSON" "$(wc -l <$out/hello.json)" 1 1 line
else
    failed=$((failed + 1))
    echo "hello, world does not run"
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
