#!/bin/sh
# Runs one part of the tests: `part.sh ring.asan` builds and runs tests/test_ring.c in that variant, `part.sh fail` runs tests/fail.sh.
# Prints one line, and the whole output if the part failed; leaves "passed failed" in build/results/PART. A part passes when it ends in
# time, with status 0, and its last line is "N passed, 0 failed".
#
# The head comment of a section test may exclude variants:   /* not under: tsan asan */
# A test runs in the top directory, with an empty directory of its own in TMPDIR.
set -u
part=${1:?part}
limit=${LIMIT:-480}
results=build/results
log=$results/$part.log
mkdir -p "$results" build/bin build/tmp
: "${GCC:=gcc}" "${CLANG:=clang}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"

line() { printf '%-4s %-22s %s\n' "$1" "$part" "$2"; }
now() { date +%s%N; }

# Memory layout without randomness: ThreadSanitizer of older compilers finds no room on kernels with more of it. Not allowed everywhere.
fixed() { if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi; }

build() { # source, program
    case $variant in
    gcc) set -- "$@" "$GCC" -O2 ;;
    plain) set -- "$@" "$GCC" -O0 -g ;;
    clang) set -- "$@" "$CLANG" -O2 ;;
    asan) set -- "$@" "$GCC" -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all ;;
    tsan) set -- "$@" "$CLANG" -O1 -g -fsanitize=thread ;;
    *) echo "no such variant: $variant"; return 1 ;;
    esac
    source=$1 program=$2; shift 2
    # a program that is younger than all it was made from is taken as it is
    if [ -x "$program" ] && [ -z "$(find metalog.h tests -maxdepth 1 \( -name '*.h' -o -path "$source" \) -newer "$program")" ]; then
        return 0
    fi
    rm -f "$program"
    # shellcheck disable=SC2086
    timeout -k 5 "$limit" "$@" $STRICT -I. "$source" -o "$program" -pthread -lm
}

run() {
    case $part in
    *.*)
        variant=${part##*.} section=${part%.*}
        build "tests/test_$section.c" "build/bin/test_$section.$variant" || return 1
        rm -rf "build/tmp/$part".*
        TMPDIR=$PWD/build/tmp/$part.$$ # a name that no dead program of an earlier run has logged to: its records would be recovered
        mkdir -p "$TMPDIR"
        export TMPDIR
        set -- timeout -k 5 "$limit" "build/bin/test_$section.$variant"
        if [ "$variant" = tsan ]; then fixed "$@"; else "$@"; fi </dev/null
        ;;
    *)
        timeout -k 5 "$limit" sh "tests/$part.sh" </dev/null
        ;;
    esac
}

# the tester's own settings must not decide what the tests see
unset METALOG NO_COLOR CLICOLOR CLICOLOR_FORCE FORCE_COLOR JOURNAL_STREAM

case $part in
*.*)
    if sed -n '1,30s/.*not under: *\([a-z ,]*\).*/ \1 /p' "tests/test_${part%.*}.c" | tr , ' ' | grep -q " ${part##*.} "; then
        echo "0 0" >"$results/$part"
        line skip "not under ${part##*.}, says the test"
        exit 0
    fi
    ;;
esac

start=$(now)
run >"$log" 2>&1
status=$?
took=$(awk -v a="$start" -v b="$(now)" 'BEGIN { printf "%.1f s", (b - a) / 1e9 }')
last=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed$')
passed=${last%% *}
failed=$(echo "$last" | sed 's/.*, \([0-9]*\) failed/\1/')
reason=
if [ $status = 124 ] || [ $status = 137 ]; then
    reason="no end after $limit s"
elif [ -z "$last" ]; then
    reason="no closing line, status $status"
elif [ $status != 0 ] && [ "$failed" = 0 ]; then
    reason="status $status"
fi
if [ -n "$reason" ]; then failed=$((${failed:-0} + 1)); fi
echo "${passed:-0} $failed" >"$results/$part"
if [ "$failed" = 0 ]; then
    line ok "$passed passed, $took"
    exit 0
fi
{
    line FAIL "${passed:-0} passed, $failed failed, $took${reason:+: $reason}"
    sed 's/^/     | /' "$log"
} >"$log.shown"
cat "$log.shown"
exit 1
