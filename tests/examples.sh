#!/bin/sh
# Builds the small examples with all warnings, runs them as their heads say, and checks what they print.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=build/examples
rm -rf $out
mkdir -p $out
passed=0 failed=0
check() { # name, command
    label=$1; shift
    if "$@" >$out/log 2>&1; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $label: $*"
        tail -n 12 $out/log
    fi
}
build() { # name: examples/NAME.c with both compilers; GCC's stays
    for c in "$CLANG" "$GCC"; do
        # shellcheck disable=SC2086
        check "$1: $c" "$c" $STRICT -O1 -I. "examples/$1.c" -o "$out/$1" -pthread
    done
}
run() { # name, number of JSON lines on standard error
    check "$1: runs" sh -c "timeout 20 $out/$1 >$out/$1.out 2>$out/$1.json"
    check "$1: JSON" python3 tests/check_json.py --count "$2" $out/"$1".json
}
says() { # name, jq condition, how many records meet it
    n=$(jq -c "select($2)" $out/"$1".json | wc -l)
    check "$1: $2: $n, expected $3" [ "$n" = "$3" ]
}

for name in hello fields threads event_loop custom_sink rotate wrapper unit_test; do build $name; done

run hello 2
says hello '.msg == "hello, world" and .answer == 42' 1
check "hello: debug" sh -c "METALOG=debug $out/hello 2>&1 | grep -q '\"pi\":3.14159'"

run fields 11
says fields '.["float"] == 0.1 and .unsigned == 18446744073709551615 and .count == 3' 1
says fields '.order == {"symbol": "ACME", "quantity": 300, "price": 12.5}' 1
says fields '.tags == ["fast", "new"] and .levels[1] == 1.25' 1
says fields '.password == "[redacted]" and .card == "[secret, 19 bytes]"' 1
says fields '.mac == "0242ac" or .reply.ok == true or .hex == "0xbeef"' 3

run threads 20
says threads '.msg == "begins" and .client == (if .job % 2 == 1 then "ann" else "bob" end) and (.thread | startswith("worker-"))' 6
says threads '.msg == "done" and .result == .job * .job' 6
says threads '.msg == "all done" and .job == null' 1

run event_loop 23
says event_loop '.msg == "turn" and .task == 0' 4
says event_loop '.msg == "read" and .bytes == 300 and .task <= 1 and .peer == (if .task == 1 then "10.0.0.2" else "10.0.0.1" end)' 2
says event_loop '.phase == "headers"' 3
says event_loop '(.msg | startswith("loop")) and .task == null' 2

check "custom_sink: runs" sh -c "timeout 20 $out/custom_sink >$out/custom_sink.out 2>&1"
check "custom_sink: its rows" grep -qx '3 rows, total 12.75, refused 2 times' $out/custom_sink.out

mkdir -p $out/rotated
for round in 1 2 3; do check "rotate: runs" sh -c "cd $out/rotated && timeout 60 ../rotate 2>../rotate.err && ! test -s ../rotate.err"; done
check "rotate: keeps three" [ "$(ls $out/rotated | grep -c '^app\.log\.[0-9]\{9\}$')" = 3 ]
check "rotate: none is larger" [ -z "$(find $out/rotated -name 'app.log*' -size +66000c)" ]
for log in $out/rotated/*.log*; do check "rotate: JSON" python3 tests/check_json.py "$log"; done
cat $out/rotated/app.log.* $out/rotated/app.log | jq -r 'select(.msg == "tick").i' >$out/rotate.ticks
check "rotate: no gap" awk 'NR > 1 && $1 != (last + 1) % 1000 { exit 1 } { last = $1 } END { exit NR < 1000 || last != 999 }' $out/rotate.ticks
check "rotate: journal" [ "$(jq -r 'select(.order != null).msg' $out/rotated/journal.log | wc -l) $(wc -l <$out/rotated/journal.log)" = "30 30" ]

check "unit_test: runs, and logs nothing" sh -c "timeout 20 $out/unit_test >$out/unit_test.out 2>$out/unit_test.err && ! test -s $out/unit_test.err"
check "unit_test: says so" grep -qx 'all as expected' $out/unit_test.out
sed 's/quantity <= 0/quantity < -9/' examples/unit_test.c >$out/unit_test_wrong.c # the control: a fault in what is tested
check "unit_test: control" "$GCC" -I. $out/unit_test_wrong.c -o $out/unit_test_wrong -pthread
check "unit_test: finds a fault" sh -c "timeout 20 $out/unit_test_wrong | grep -q 'expected 1 of .level>=error'"

run wrapper 5
says wrapper '.msg == "cannot open /nowhere: No such file or directory"' 1
line=$(grep -n 'OLD_LOG(OLD_ALARM' examples/wrapper.c | cut -d: -f1)
says wrapper ".at == \"wrapper.c:$line\" and .level == \"alert\"" 1
says wrapper '.source == "audit" and .user == "ann" and .limit == 500' 1

printf '#define METALOG_IMPLEMENTATION\n#include "metalog.h"\n' >$out/metalog.c
check "cxx: implementation" "$GCC" -I. -c $out/metalog.c -o $out/metalog.o
for c in "$CLANGXX" "$GXX"; do
    check "cxx: $c" "$c" -std=c++17 -Wall -Wextra -Wpedantic -Wshadow -Werror -I. examples/cxx.cpp $out/metalog.o -o $out/cxx -pthread
done
run cxx 7
says cxx '.source == "book" and .name == "main" and .order.symbol == "ACME" and .quantity == 300' 1
says cxx '.msg == "rejected" and .reason == "quantity" and .quantity == null' 1
echo "$passed passed, $failed failed"
[ $failed = 0 ]
