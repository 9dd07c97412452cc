#!/bin/sh
# Takes the memory orders and the safeguards of metalog.h away, one at a time, and demands that a test notices. Prints a table: label or
# name, mutation, caught by what, in how many seconds. Survivors fail. In build/mutants; about five minutes on two cores.
#
#   orders   each line with an order stronger than relaxed, made relaxed: under ThreadSanitizer, tests/mutants/pairs.c (each pair by
#            itself), else tests/mutants/race.c (all together, up to three times). One program holds all of them: orders.awk.
#            Those that it cannot see are listed, with the reason, in mutants/excused.txt.
#   fences   x86 needs an instruction for a full fence only: its place in the assembly is looked at. Signal fences and acquire or
#            release fences make no instruction on x86: what they keep apart is looked at in the order of the stores.
#   guards   mutants/guards.txt: a section test must fail, or not end within 45 s.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${CLANG:=clang}" "${JOBS:=2}"
dir=$PWD/build/mutants
passed=0 failed=0
now() { date +%s%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", (b - a) / 1e9 }'; }
row() { printf '%-12s %-52s %-40s %6s s\n' "$@"; }
fixed() { if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi; }

# replace FROM TO: stdin to stdout; FROM is plain text that must occur once; "\n" in both is a line's end
replace() {
    python3 -c 'import sys
text, a, b = sys.stdin.read(), sys.argv[1].replace("\\n", "\n"), sys.argv[2].replace("\\n", "\n")
if text.count(a) != 1: sys.exit("%d times in metalog.h: %s" % (text.count(a), a))
sys.stdout.write(text.replace(a, b))' "$@"
}

# ---- one mutant of an order: worker, prints a row; status 1: survived ----
one_order() { # line label function
    start=$(now)
    TMPDIR=$dir/$1
    export TMPDIR
    mkdir -p "$TMPDIR"
    by=
    if ! fixed timeout 30 "$dir/pairs" "$1" >"$TMPDIR/out" 2>&1; then by="pairs.c"; fi
    for round in 1 2 3; do
        [ -n "$by" ] && break
        rm -f "$TMPDIR"/race*.log
        fixed timeout 30 "$dir/race" "$1" >"$TMPDIR/out" 2>&1 || by="race.c, round $round"
    done
    rm -rf "$TMPDIR"
    reason=$(sed -n "s/^$2 $3 //p" tests/mutants/excused.txt)
    where="$3, line $1: relaxed"
    [ "$by" = pairs.c ] || echo "$2 $3" >>"$dir/excused"
    if [ -n "$by" ]; then row "$2" "$where" "$by" "$(since "$start")"
    elif [ -n "$reason" ]; then row "$2" "$where" "none: $reason" "$(since "$start")"
    else row "$2" "$where" "SURVIVED" "$(since "$start")"; return 1
    fi
}

# ---- one safeguard ----
control="nothing taken away"
field() { printf '%s\n' "$line" | awk -v n="$1" -F ' [|] ' '{ print $n }'; }
one_guard() { # number
    line=$(grep -v '^#' tests/mutants/guards.txt | sed -n "$1p")
    name=$(field 1) tests=$(field 2) from=$(field 3) to=$(field 4)
    start=$(now)
    here=$dir/guard$1
    mkdir -p "$here/tests" "$here/tmp"
    if ! replace "$from" "$to" <metalog.h >"$here/metalog.h"; then row guard "$name" "DOES NOT APPLY" 0; return 1; fi
    cp -r tests/*.h tests/*.py tests/golden "$here/tests"
    TMPDIR=$here/tmp
    export TMPDIR
    for t in $tests; do
        cp "tests/test_$t.c" "$here/tests"
        if ! (cd "$here" && "$GCC" -O1 -std=c11 -w "tests/test_$t.c" -o "$t" -pthread -lm) >"$here/$t.build" 2>&1; then
            row guard "$name" "DOES NOT COMPILE, see $here/$t.build" 0
            return 1
        fi
        rm -rf "$TMPDIR" && mkdir "$TMPDIR"
        if ! (cd "$here" && timeout -k 1 45 "./$t") >"$here/$t.out" 2>&1 </dev/null; then
            if [ "$name" = "$control" ]; then row guard "$name" "DOES NOT PASS: test_$t.c, see $here/$t.out" 0; return 1; fi
            row guard "$name" "test_$t.c: $(grep -m1 -o 'failed: .*' "$here/$t.out" | cut -c1-60)" "$(since "$start")"
            rm -rf "$here"
            return 0
        fi
    done
    if [ "$name" = "$control" ]; then row guard "$name: $tests" "nothing, as it must be" "$(since "$start")"; return 0; fi
    row guard "$name" SURVIVED "$(since "$start")"
    return 1
}

case ${1:-} in
order) shift; one_order "$@"; exit ;;
guard) shift; one_guard "$@"; exit ;;
esac

rm -rf "$dir"
mkdir -p "$dir"
awk -f tests/mutants/orders.awk metalog.h >"$dir/metalog.h"
awk -v list=1 -f tests/mutants/orders.awk metalog.h >"$dir/orders"
for f in pairs race; do
    $CLANG -O1 -g -fsanitize=thread -std=c11 -w "-I$dir" -I. "tests/mutants/$f.c" -o "$dir/$f" -pthread -lm || exit 1
done

# the control: without a mutation nothing is found
for k in 1 2 3 4 5; do
    for f in pairs race; do
        if (TMPDIR=$dir; export TMPDIR; fixed timeout 60 "$dir/$f" 0) >"$dir/$f.out" 2>&1; then passed=$((passed + 1))
        else failed=$((failed + 1)); echo "FAIL $f.c finds something without a mutation (round $k)"; tail -n 20 "$dir/$f.out"; fi
        rm -f "$dir"/race*.log
    done
done

wanted() { case " ${PARTS:-orders guards fences} " in *" $1 "*) ;; *) false ;; esac; }
: >"$dir/table"
: >"$dir/excused"
wanted orders && xargs -P "$JOBS" -L 1 sh tests/mutants.sh order <"$dir/orders" >>"$dir/table" 2>&1
n=$(grep -vc '^#' tests/mutants/guards.txt)
wanted guards && seq "$n" | xargs -P "$JOBS" -n 1 sh tests/mutants.sh guard >>"$dir/table" 2>&1

# reasons that nobody needs: all mutants that they are for are gone, or caught by pairs.c (race.c may be lucky)
sort -u "$dir/excused" -o "$dir/excused"
wanted orders && grep -v '^#' tests/mutants/excused.txt | while read -r label function rest; do
    grep -qx "$label $function" "$dir/excused" || row "$label" "$function" "EXCUSED IN VAIN: $rest" 0
done >>"$dir/table"

# ---- fences, in the assembly ----
mkdir -p "$dir/asm"
cat >"$dir/asm/unit.c" <<'UNIT'
#define METALOG_IMPLEMENTATION
#include "metalog.h"
UNIT
# body FUNCTION: its assembly, from a build without inlining of what is called once
body() { awk -v f="$2:" '$1 == f { on = 1; next } on && /^\t\.size|\.cfi_endproc/ { exit } on && !/^\t\./' "$1"; }
assembly() { # header: to stdout
    cp "$1" "$dir/asm/metalog.h"
    "$GCC" -O2 -std=c11 -w -fno-inline-functions-called-once -fno-inline-small-functions -fno-inline-functions -fno-ipa-sra -I. -S "$dir/asm/unit.c" -o -
}
full='lock or[lq]|mfence|xchg'
fence() { # label function what pattern header-without: the pattern is in the function, and not where the fence is taken away
    case $(uname -m) in x86_64) ;; *) row "$1" "$2: $3" "none: looked at on x86-64 only" 0; return ;; esac
    start=$(now)
    with=$(body "$dir/unit.s" "$2" | grep -Ec "$4")
    replace "$5" "$6" <metalog.h >"$dir/fence.h" && assembly "$dir/fence.h" >"$dir/fence.s"
    without=$(body "$dir/fence.s" "$2" | grep -Ec "$4")
    if [ "$with" -gt "$without" ]; then row "$1" "$2: $3" "assembly: $with, $without" "$(since "$start")"
    else row "$1" "$2: $3" "SURVIVED: $with, $without" "$(since "$start")"; fi
}
wanted fences && assembly metalog.h >"$dir/unit.s"
wanted fences && {
    fence RING-4 mlog__ring_sleep "fence removed" "$full" '__atomic_thread_fence(__ATOMIC_SEQ_CST); /* RING-4 with mlog__ring_release */' ''
    fence RING-4 mlog__ring_release "fence removed" "$full" '__atomic_thread_fence(__ATOMIC_SEQ_CST);            /* RING-4 with mlog__ring_sleep */' ''
    fence LIFE-2 mlog__thread_make "fence removed" "$full" '__atomic_thread_fence(__ATOMIC_SEQ_CST); /* LIFE-2 with mlog__life_resolve' '/* '
    fence LIFE-2 mlog__life_resolve "fence removed" "$full" '__atomic_thread_fence(__ATOMIC_SEQ_CST);                                   /* LIFE-2 with mlog__thread_make */' ''
    fence FLUSH-1 mlog__flush_deep_sleep "membarrier removed" "mlog__platform_membarrier" 'bool sure = mlog__platform_membarrier() &&' 'bool sure ='
} >>"$dir/table"
# before FUNCTION FIRST SECOND in an assembly: FIRST stands before SECOND
before() { body "$1" "$2" | awk -v a="$3" -v b="$4" '$0 ~ a && !x { x = NR } $0 ~ b && !y { y = NR } END { exit !(x && y && x < y) }'; }
stores() { # function what first second from to: the order of two instructions, and that it is not so in the mutant
    [ "$(uname -m)" = x86_64 ] || return
    start=$(now)
    replace "$5" "$6" <metalog.h >"$dir/fence.h" && assembly "$dir/fence.h" >"$dir/fence.s"
    if before "$dir/unit.s" "$1" "$3" "$4" && ! before "$dir/fence.s" "$1" "$3" "$4"; then
        row THREAD-9 "$1: $2" "assembly: the order of the stores" "$(since "$start")"
    else row THREAD-9 "$1: $2" SURVIVED "$(since "$start")"; fi
}
wanted fences && {
    stores mlog1_end "READY before head" 'movq.*%r[a-z0-9]*, \\(%r' 'mov[lq].*[$]1, \\(%r' \
        '    __atomic_store_n(t->head, head, __ATOMIC_RELEASE);' \
        '    __atomic_store_n(&t->state, MLOG__T_READY, __ATOMIC_RELAXED);__atomic_signal_fence(__ATOMIC_SEQ_CST);__atomic_store_n(t->head, head, __ATOMIC_RELEASE);'
    stores mlog1_begin "BUSY behind the clock" 'movq.*%rsp, \\(%r' 'rdtsc' \
        'MLOG__BUSY_HERE(t); /* RING-3; and a handler' '/* and a handler'
} >>"$dir/table"
for l in RULE-5 LIFE-5; do
    wanted fences && row "$l" "fences" "none: no instruction on x86; a compiler's freedom only" 0
done >>"$dir/table"

cat "$dir/table"
bad=$(grep -cE 'SURVIVED|DOES NOT|IN VAIN' "$dir/table")
failed=$((failed + bad))
passed=$((passed + $(wc -l <"$dir/table") - bad))
[ "$failed" = 0 ] || grep -E 'SURVIVED|DOES NOT|IN VAIN' "$dir/table" | sed 's/^/FAIL /'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
