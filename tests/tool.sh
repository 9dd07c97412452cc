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
status 2 $m; status 2 $m dog; says 'expected cat, tail, stats, check or recover' $dir/err
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

# the rings of a process that was killed: what it had not written lies in them
rings=$dir/rings
killed() { # name, number of the first: ten records written, seven not
    "$dir/writer" $dir "$1" 10 "$2" $rings 7 die >$dir/said 2>&1
    if [ $? = 137 ] && [ -n "$(ls $rings)" ]; then ok; else bad "the writer was not killed"; fi
}
sums() { (cd "$1" && cksum ./* | sort); }
killed k 0
cp -a $rings $dir/rings.copy
cp $dir/k.json $dir/k.before.json; cp $dir/k.bin $dir/k.before.bin
sums $rings >$dir/sums
status 0 $m cat $rings; mv $dir/out $dir/unwritten
check "the seven" sh -c "jq -r 'select(.recovered == null) | .task' $dir/unwritten | tr '\n' ' ' | grep -qx '3 4 5 6 0 1 2 '"
status 0 $m cat $rings/*.session; same "by its session" $dir/out $dir/unwritten
status 0 $m cat $rings/*.2.ring; same "by its ring" $dir/out $dir/unwritten
status 0 $m cat $rings/*; same "by all files of it" $dir/out $dir/unwritten
status 0 $m cat --where 'level=error' $dir/rings.copy; check "a copy, filtered" sh -c "jq -r .level $dir/out | grep -qx error"
mkdir -p $dir/apart; cp $rings/*.2.ring $dir/apart/ring; cp $rings/*.session $dir/apart/session
status 0 $m cat $dir/apart/ring $dir/apart/session; same "files of other names" $dir/out $dir/unwritten
rm $dir/apart/session
status 3 $m cat $dir/apart/ring; says 'its session, [0-9a-f]*.session, is neither named nor beside it' $dir/err
status 0 $m cat $dir/k.bin $rings
check "with the log, in order" sh -c "cat $dir/k.json $dir/unwritten | cmp - $dir/out"
status 0 $m stats $rings; says '"records":7,.*"warn":2' $dir/out
status 0 $m check $rings; says 'ok, 7 records' $dir/out
status 2 $m tail -f $rings
status 0 $m recover --dir $rings
check "the list" sh -c "jq -e '.state == \"dead\" and .program == \"writer\" and .rings == 2 and ([.sinks[] | select(.unwritten == 7) | .format] |
    sort) == [\"binary\",\"json\",\"logfmt\",\"pretty\"]' $dir/out"
status 0 $m recover --dir $rings --stdout $dir/k.json
check "on standard output, marked" sh -c "sed 's/,\"recovered\":true//' $dir/out | cmp - $dir/unwritten && grep -c recovered $dir/out | grep -qx 7"
sums $rings >$dir/out; same "nothing was touched" $dir/out $dir/sums
same "neither was the log" $dir/k.json $dir/k.before.json

# a directory that is not ours alone: to standard output, and nothing goes
stranger() { # metalog
    chmod 0755 $rings
    [ "$(id -u)" != 0 ] || chown -R 54321 $rings
    status 0 "$1" recover --dir $rings $dir/k.json
    check "to standard output" sh -c "sed 's/,\"recovered\":true//' $dir/out | cmp - $dir/unwritten"
    says 'no directory of ours with mode 0700' $dir/err
    same "the log stays as it was" $dir/k.json $dir/k.before.json
    sums $rings >$dir/out; same "so do the rings" $dir/out $dir/sums
    [ "$(id -u)" != 0 ] || chown -R 0 $rings
    chmod 0700 $rings
}
stranger $m
# and a note that leads to one: nothing is read there
chmod 0755 $rings
status 3 $m recover $dir/k.json; says 'its note names .*left alone' $dir/err; says '^.*k.json: 0 records recovered$' $dir/out
chmod 0700 $rings

# into the logs, by the notes beside them
check "the note" grep -qx "metalog-rings 1 $(realpath $rings)" $dir/.k.json.metalog
for kind in json bin logfmt pretty; do
    status 0 $m recover $dir/k.$kind; says 'k.[a-z]*: 7 records recovered$' $dir/out
    check "its note goes" test ! -e $dir/.k.$kind.metalog
    status 0 $m recover --dir $rings $dir/k.$kind; says ': 0 records recovered$' $dir/out
done
check "nothing is left" test -z "$(ls $rings)"
sed 's/$/\n/; s/"thread":[0-9]*/&,"recovered":true/' $dir/unwritten | grep . >$dir/marked
check "each once" sh -c "cat $dir/k.before.json $dir/marked | cmp - $dir/k.json"
status 0 $m cat $dir/k.bin; same "the binary file has the same" $dir/out $dir/k.json
status 0 $m cat --format logfmt $dir/k.bin; same "LOGFMT" $dir/out $dir/k.logfmt
status 0 $m cat --format console --utc --color never $dir/k.bin; same "PRETTY" $dir/out $dir/k.pretty
status 3 $m recover $dir/never.json; says 'never.json: No such file' $dir/err
killed l 0
rm $dir/l.json
status 0 $m recover --format logfmt $dir/l.json; says '7 records recovered' $dir/out # a log that is gone, in another format
check "made anew" sh -c "grep -c '^ts=.*recovered=true' $dir/l.json | grep -qx 7"
rm -rf $rings

# what the flight recorder kept is seen, and comes out once
$dir/writer $dir h 10 0 $rings 5 die recorder >$dir/said 2>&1
status 0 $m cat $rings; check "kept, marked" sh -c "jq -c '[.level, .recorder]' $dir/out | tr '\n' ' ' | grep -qx '.\"trace\",true. .\"info\",null. .\"warn\",null. .\"debug\",true. .\"error\",null. .\"trace\",true. '"
status 0 $m recover --dir $rings --stdout $dir/h.json; check "the same, recovered" sh -c "jq -e .recovered $dir/out | grep -cx true | grep -qx 6 && grep -c recorder $dir/out | grep -qx 3"
status 0 $m recover $dir/h.json; says '6 records recovered' $dir/out; check "all of them" sh -c "wc -l <$dir/h.json | grep -qx 15"
rm -rf $rings

# a process that lives: its records are seen, and stay its own
mkfifo $dir/gate
sh -c "exec 3<>$dir/gate; $dir/writer $dir v 10 0 $rings 7 live <&3 >$dir/said 2>&1" &
writer=$!
for _ in $(seq 100); do [ -s $dir/said ] && break; sleep 0.1; done
status 0 $m cat $rings; check "seen" sh -c "wc -l <$dir/out | grep -qx 7"
status 0 $m recover $dir/v.json $dir/v.bin; says 'v.json: 0 records recovered' $dir/out
status 0 $m recover --stdout $dir/v.json; check "not dead" test ! -s $dir/out
status 0 $m recover --dir $rings; says '"state":"live"' $dir/out
check "its note stays" test -e $dir/.v.json.metalog
echo go >$dir/gate; wait $writer
check "all written, none marked" sh -c "wc -l <$dir/v.json | grep -qx 17 && ! grep -q recovered $dir/v.json && [ ! -e $dir/.v.json.metalog ] && [ -z \"\$(ls $rings)\" ]"

status 2 $m cat --dir $rings; status 2 $m stats --stdout; status 2 $m recover --format csv2; status 2 $m cat --format binary
status 3 $m recover --dir $dir/nowhere $dir/k.json; says 'nowhere: No such file' $dir/err
status 3 $m recover --dir $dir/k.json; says 'k.json: Not a directory' $dir/err

# damage in sessions and rings: told with its place, what is sound is shown
session=$(basename $dir/rings.copy/*.session) ring=$(basename $dir/rings.copy/*.2.ring)
spoil() { # file, offset, bytes
    rm -rf $dir/spoiled && cp -a $dir/rings.copy $dir/spoiled
    printf "$3" | dd of=$dir/spoiled/"$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
spoil $session 0 X; status 1 $m cat $dir/spoiled; says "$session: byte 0: no session begins here" $dir/err
spoil $session 8 X; status 1 $m cat $dir/spoiled/$session; says 'byte 8: a session of another version' $dir/err
spoil $ring 0 X; status 1 $m check $dir/spoiled; says "$ring: byte 0: no ring begins here" $dir/err; says 'damaged, 0 records' $dir/out
spoil $ring 24 X; status 1 $m cat $dir/spoiled; says 'byte 24: a ring of another session' $dir/err
at=$(grep -abo 'a=b "c"' $dir/rings.copy/$ring | tail -n 1 | cut -d: -f1) # a text of the fourth one
first=$(python3 -c '
import struct, sys
data = open(sys.argv[1], "rb").read()
tail = struct.unpack_from("<Q" if sys.byteorder == "little" else ">Q", data, 576)[0]
print(1024 + tail % (len(data) - 1024))' $dir/rings.copy/$ring)
spoil $ring "$first" '\0\0\0\0\0\0\0\0'; status 1 $m cat $dir/spoiled; says "$ring: byte $first: a record without a definition, or not sound" $dir/err
check "the first one ends it" test ! -s $dir/out
spoil $ring $((at - 64)) '\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377'; $m cat $dir/spoiled >$dir/out 2>$dir/err
check "no wrong line" sh -c "! diff $dir/unwritten $dir/out | grep -q '^> .*order'"
head -c 4000 $dir/rings.copy/$ring >$dir/spoiled/$ring; status 1 $m cat $dir/spoiled; says 'the file ends within the ring' $dir/err
rm $dir/spoiled/$session; status 1 $m cat $dir/spoiled; says "$ring: its session is missing" $dir/err
rm $dir/spoiled/*; status 0 $m cat $dir/spoiled; says 'no rings in it' $dir/err
rm -rf $dir/spoiled && cp -a $dir/rings.copy $dir/spoiled; : >$dir/spoiled/$session
status 1 $m cat $dir/spoiled; says 'byte 0: the file ends within a session' $dir/err
check "with sanitizers" $CLANG -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -x c -DMETALOG_TOOL metalog.h -o $dir/metalog.asan
check "random damage" python3 tests/tool_spoil.py $dir/metalog.asan $dir/rings.copy $dir/spoiled 50

# the blanks that stand in the place of a torn line, which was written again
sed '3s/^/     /; 5s/$/\n    /' $dir/k.json >$dir/blank.json
status 0 $m cat $dir/blank.json; same "blanks before a line" $dir/out $dir/k.json
status 0 $m check $dir/blank.json

# doubles over files, by their ids; lines, when they are equal apart from the mark
status 0 $m cat $dir/k.bin $dir/k.before.bin; same "ids" $dir/out $dir/k.json
status 0 $m cat $dir/k.bin $dir/rings.copy; check "ids in rings" sh -c "wc -l <$dir/out | grep -qx 17"
status 0 $m cat $dir/k.json $dir/k.before.json; check "lines of two files" sh -c "sort $dir/k.json >$dir/want; sort $dir/out | cmp - $dir/want"
status 0 $m stats $dir/k.json $dir/k.before.json; says '"records":17,.*"doubles":10' $dir/out
status 0 $m stats $dir/k.bin $dir/k.before.bin; says '"records":17,.*"doubles":10' $dir/out
status 0 $m cat --doubles $dir/k.json $dir/k.before.json; check "--doubles shows them" sh -c "wc -l <$dir/out | grep -qx 27"
status 0 $m cat --doubles $dir/k.bin $dir/k.before.bin; check "those of ids, too" sh -c "wc -l <$dir/out | grep -qx 27"
status 0 $m cat --doubles $dir/twice.bin; check "and of one file" sh -c "wc -l <$dir/out | grep -qx 10000"
cat $dir/unwritten $dir/marked $dir/marked >$dir/both.json
status 0 $m cat $dir/both.json; same "one that has the mark, in one file" $dir/out $dir/unwritten
cat $dir/unwritten $dir/unwritten >$dir/equal.json
status 0 $m cat $dir/equal.json; same "without the mark, lines of one file are records of their own" $dir/out $dir/equal.json
status 0 $m cat $dir/equal.json $dir/unwritten $dir/marked; check "as many as in the file with the most" sh -c "wc -l <$dir/out | grep -qx 14"
status 0 $m cat $dir/marked $dir/unwritten; check "whichever comes first" sh -c "wc -l <$dir/out | grep -qx 7"

# the negative control: with no checksum compared, flipped bits must be missed
# shellcheck disable=SC2086
check "the reader without checksums" $GCC -std=c11 -O1 -DMETALOG_TEST_NO_CRC -I. tests/test_binary.c -o $dir/no_crc -pthread
if TMPDIR=$dir $dir/no_crc flips >$dir/out 2>&1; then bad "bit flips are found without checksums: the test proves nothing"; else ok; fi
says 'not noticed' $dir/out

# and: a tool without a safeguard must be found out
without() { # what is missing, text that stands once in metalog.h, what takes its place, a function that must fail
    python3 -c 'import sys
text = sys.stdin.read()
if text.count(sys.argv[1]) != 1: sys.exit("%d times in metalog.h: %s" % (text.count(sys.argv[1]), sys.argv[1]))
sys.stdout.write(text.replace(sys.argv[1], sys.argv[2]))' "$2" "$3" <metalog.h >$dir/without.h || { bad "without $1: does not apply"; return; }
    $GCC -std=c11 -w -O0 -x c -DMETALOG_TOOL $dir/without.h -o $dir/metalog.without || { bad "without $1: does not compile"; return; }
    before=$passed,$failed
    "$4" $dir/metalog.without >/dev/null
    if [ $failed = "${before#*,}" ]; then found=no; else found=yes; fi
    passed=${before%,*} failed=${before#*,}
    if [ $found = yes ]; then ok; else bad "without $1 nothing fails: the test proves nothing"; fi
}
ids_fold() { status 0 "$1" cat $dir/k.bin $dir/k.before.bin; same "ids" $dir/out $dir/k.json; }
lines_fold() { status 0 "$1" cat $dir/both.json; same "lines" $dir/out $dir/unwritten; }
lines_stay() { status 0 "$1" cat $dir/equal.json; same "equal lines" $dir/out $dir/equal.json; }
damage_ends() { status 1 "$1" cat $dir/spoiled; says "byte $first: a record" $dir/err; }
spoil $ring "$first" '\0\0\0\0\0\0\0\0'
without "the folding of ids" 'bool again = (*bits & bit) != 0;' 'bool again = false;' ids_fold
without "the folding of lines" 'if (has == had || mlog__tool.inputs == 1) return has == had;' 'return false;' lines_fold
without "the count of equal lines" 'm->n = MLOG__MAX(MLOG__MAX(m->n, m->plain), 1u);' 'm->n = 1;' lines_stay
without "the walk through a ring" 'mlog__tool_walk(in, d, paths[i], r, next[i]);' '' damage_ends
rm -rf $rings; killed k2 0
mv $dir/k2.json $dir/k.json; cp $dir/k.json $dir/k.before.json; mv $dir/.k2.json.metalog $dir/.k.json.metalog
status 0 $m cat $rings; mv $dir/out $dir/unwritten
sums $rings >$dir/sums
without "the look at whose directory it is" 'bool foreign = dir != NULL && !mlog__store_is_ours(dir);' 'bool foreign = false;' stranger

echo "$passed passed, $failed failed"
[ $failed = 0 ]
