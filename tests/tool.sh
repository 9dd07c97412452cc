#!/bin/sh
# The command `metalog` from outside: built from the header alone, its output compared with what the sinks of the same program wrote.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${CLANG:=clang}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
dir=build/tmp/tool
rm -rf $dir && mkdir -p $dir
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }
check() { # what, then a command that succeeds
    what=$1; shift
    if "$@" >$dir/said 2>&1; then ok; else bad "$what"; head -n 5 $dir/said; fi
}
status() { # expected status, then a command; its output is in $dir/out and $dir/err
    want=$1; shift
    "$@" >$dir/out 2>$dir/err </dev/null
    got=$?
    if [ $got = "$want" ]; then ok; else bad "status $got, not $want: $*"; head -n 3 $dir/err; fi
}
same() { # what, file, file
    if cmp -s "$2" "$3"; then ok; else bad "$1: $2 and $3 differ"; diff "$2" "$3" | head -n 4 | cut -c1-200; fi
}
says() { if grep -q -e "$1" "$2"; then ok; else bad "$2 does not say \"$1\""; head -n 3 "$2"; fi; }

# shellcheck disable=SC2086
{
    check "gcc builds it" $GCC $STRICT -O2 -x c -DMETALOG_TOOL metalog.h -o $dir/metalog
    check "clang builds it" $CLANG $STRICT -O1 -x c -DMETALOG_TOOL metalog.h -o $dir/metalog.clang
    check "the writer" $GCC $STRICT -O1 -I. tests/tool_writer.c -o $dir/writer -pthread
}
m=$dir/metalog
check "a log" $dir/writer $dir a 20000

# the same lines as the sinks'
status 0 $m cat $dir/a.bin; same "JSON" $dir/out $dir/a.json
status 0 $dir/metalog.clang cat $dir/a.bin; same "JSON, by clang" $dir/out $dir/a.json
status 0 $m cat --format logfmt $dir/a.bin; same "LOGFMT" $dir/out $dir/a.logfmt
status 0 $m cat --format=console --utc --color never $dir/a.bin; same "PRETTY" $dir/out $dir/a.pretty
status 0 $m cat $dir/a.json; same "JSON as it came" $dir/out $dir/a.json
status 0 sh -c "$m cat - <$dir/a.bin"; same "standard input" $dir/out $dir/a.json
status 0 sh -c "cat $dir/a.bin | $m cat"; same "a pipe" $dir/out $dir/a.json
status 0 $m cat --format console --color always $dir/a.bin; says "$(printf '\033')\[31mERROR" $dir/out
# read back from JSON lines, values print the same
for format in logfmt csv console; do
    status 0 $m cat --utc --format $format $dir/a.bin; mv $dir/out $dir/from.bin
    status 0 $m cat --utc --format $format $dir/a.json; same "$format of JSON lines" $dir/out $dir/from.bin
done

# files of x86-64 and of s390x, whose byte order is the other one (and whose long double is shown as null)
for order in le be; do
    status 0 $m cat tests/golden/binary.$order.bin; same "byte order $order" $dir/out tests/golden/binary.$order.json
    status 0 $m check tests/golden/binary.$order.bin
done

# what is picked
status 0 $m cat --where 'level>=warn and task=3' $dir/a.bin; mv $dir/out $dir/picked
check "a filter" sh -c "jq -c 'select((.level == \"warn\" or .level == \"error\") and .task == 3) | .ts' $dir/a.json >$dir/want"
check "picks" sh -c "jq -c .ts $dir/picked | cmp - $dir/want && [ -s $dir/want ]"
status 0 $m cat --where 'level>=warn and task=3' $dir/a.json; same "the same of JSON lines" $dir/out $dir/picked
status 0 $m cat --fields ts,n,symbol,msg $dir/a.bin
check "fields" sh -c "jq -c '{ts,n,symbol,msg} | with_entries(select(.value != null))' $dir/a.json | cmp - $dir/out"
status 0 $m cat --fields n,symbol,price --where 'has price' --format csv $dir/a.bin
says '^n,symbol,price$' $dir/out; says '^5,"ACME, Inc.",99.25$' $dir/out
from=$(sed -n 1000p $dir/a.json | jq -r .ts) to=$(sed -n 2000p $dir/a.json | jq -r .ts)
check "times" sh -c "jq -c --arg a $from --arg b $to 'select(.ts >= \$a and .ts <= \$b)' $dir/a.json | jq -c .ts >$dir/want"
status 0 $m cat --since "$from" --until "$to" $dir/a.bin
check "between two times" sh -c "jq -c .ts $dir/out | cmp - $dir/want"
status 0 $m cat --since 1h $dir/a.bin; same "the last hour" $dir/out $dir/a.json
status 0 $m cat --until 1h $dir/a.bin; check "nothing older" test ! -s $dir/out

if command -v script >/dev/null 2>&1; then # a terminal: colour, times of day, a pager
    PAGER='sed s/^/paged:/' script -qec "$m cat --color always $dir/a.bin" /dev/null </dev/null >$dir/out 2>/dev/null
    says "^paged:.*$(printf '\033')\[31mERROR" $dir/out
fi

# several files
check "a second log" $dir/writer $dir b 5000 100000
status 0 $m cat $dir/b.bin $dir/a.json
check "merged by time" sh -c "cat $dir/a.json $dir/b.json | cmp - $dir/out"
status 0 $m tail -n 3 $dir/a.bin
check "the last three" sh -c "tail -n 3 $dir/a.json | cmp - $dir/out"
check "a third run appends" $dir/writer $dir a 100 200000
status 0 $m cat $dir/a.bin; same "two runs in one file" $dir/out $dir/a.json

# stats
status 0 $m stats $dir/a.bin
check "levels" sh -c "jq -e '.levels.warn == 4020 and .records == 20100 and .sources.\"net.http\" == 4020 and (.threads | add) == 20100' $dir/out"
mv $dir/out $dir/stats
status 0 $m stats $dir/a.json
check "the same of JSON lines" sh -c "jq -c '[.levels, .sources, .records, .first, .last]' $dir/stats >$dir/want;
    jq -c '[.levels, .sources, .records, .first, .last]' $dir/out | cmp - $dir/want"
status 0 $m stats --format console $dir/a.bin; says 'order accepted' $dir/out

# the same records once more, as a recovered process may write them: shown once
cat $dir/b.bin $dir/b.bin >$dir/twice.bin
status 0 $m cat $dir/twice.bin; same "doubles" $dir/out $dir/b.json
status 0 $m stats $dir/twice.bin; says '"records":5000,.*"doubles":5000' $dir/out

# damage
status 0 $m check $dir/a.bin $dir/a.json
size=$(wc -c <$dir/a.bin)
head -c $((size - 5)) $dir/a.bin >$dir/torn.bin
status 1 $m check $dir/torn.bin; says 'torn.bin: byte [0-9]*: the file ends within a block' $dir/err
status 1 $m cat $dir/torn.bin
check "what is whole is shown" sh -c "head -n \$(wc -l <$dir/out) $dir/a.json | cmp - $dir/out"
cp $dir/a.bin $dir/flipped.bin
printf 'X' | dd of=$dir/flipped.bin bs=1 seek=300000 conv=notrunc 2>/dev/null
status 1 $m check $dir/flipped.bin; says 'checksum' $dir/err
status 1 $m cat $dir/flipped.bin
check "no wrong line" sh -c "! diff $dir/a.json $dir/out | grep -q '^>'"
echo 'not one of ours' >>$dir/a.json
status 1 $m check $dir/a.json; says "byte $(($(wc -c <$dir/a.json) - 16)): a line that is no record" $dir/err

# wrong use
status 2 $m; status 2 $m dog; says 'expected cat, tail, stats or check' $dir/err
status 2 $m cat --where 'level>=' $dir/a.bin; says 'where: line 1, column 8' $dir/err
status 2 $m cat --since yesterday $dir/a.bin; status 2 $m cat --format xml; status 2 $m cat -f $dir/a.bin; status 2 $m cat --nonsense
status 3 $m cat $dir/no_such_file; says 'no_such_file: No such file' $dir/err
status 3 sh -c "$m cat $dir/b.bin >/dev/full"
status 0 $m --help; says '--where' $dir/out; status 0 $m --version
status 0 $m --man; says '^.TH METALOG 1' $dir/out
check "a reader that leaves early" sh -c "$m cat $dir/a.bin | head -n 1"

# follows, over rotation and truncation
line() { # waits until the followed output has that many lines
    for _ in $(seq 100); do
        [ "$(wc -l <$dir/followed)" -ge "$1" ] && return 0
        sleep 0.1
    done
    return 1
}
for kind in bin json; do
    rm -f $dir/f.*
    $dir/writer $dir f 20
    $m tail -f -n 5 $dir/f.$kind >$dir/followed 2>$dir/err &
    follower=$!
    check "tail -f $kind: the last five" line 5
    $dir/writer $dir f 10 100
    check "tail -f $kind: goes on" line 15
    mv $dir/f.$kind $dir/f.$kind.1
    $dir/writer $dir f 10 200
    check "tail -f $kind: over a rotation" line 25
    : >$dir/f.$kind
    sleep 0.3
    $dir/writer $dir f 10 300
    check "tail -f $kind: over a truncation" line 35
    kill $follower
    wait $follower 2>/dev/null
    check "tail -f $kind: all of them, once" sh -c "jq -r 'select(.msg != \"\") | .msg' $dir/followed | wc -l | grep -qx 35"
done

# the negative control: with no checksum compared, flipped bits must be missed
# shellcheck disable=SC2086
check "the reader without checksums" $GCC -std=c11 -O1 -DMETALOG_TEST_NO_CRC -I. tests/test_binary.c -o $dir/no_crc -pthread
if TMPDIR=$dir $dir/no_crc flips >$dir/out 2>&1; then bad "bit flips are found without checksums: the test proves nothing"; else ok; fi
says 'not noticed' $dir/out

echo "$passed passed, $failed failed"
[ $failed = 0 ]
