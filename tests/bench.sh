#!/bin/sh
# The benchmark builds without a warning, runs, and fills every row: a run of seconds, whose figures mean nothing.
set -u
cd "$(dirname "$0")/.." || exit 2
passed=0 failed=0
check() { # name, command
    label=$1; shift
    if "$@" >build/bench-smoke.check 2>&1; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $label"
        tail -n 20 build/bench-smoke.check
    fi
}
mkdir -p build
result=build/bench-smoke.tsv
rm -f $result build/bench-smoke.svg
check "it builds and runs" sh bench/run.sh smoke
check "every row has a figure, or says why not" python3 bench/report.py complete $result
check "a result agrees with itself" python3 bench/report.py check $result $result
check "the picture is XML" python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' build/bench-smoke.svg
check "the recorded picture is below 100 KB" sh -c '[ "$(wc -c <bench/bench.svg)" -lt 100000 ]'

# negative controls: a row without a figure, and a call that became ten times as slow, are noticed
awk -F'\t' -v OFS='\t' '$2 ~ /^A  int64/ { $4 = "" } 1' $result >$result.hole
check "a missing figure is noticed" sh -c "! python3 bench/report.py complete $result.hole"
awk -F'\t' -v OFS='\t' '$1 == "calls, counter" && $2 ~ /^A  int64/ { $7 *= 10; $8 *= 10; $9 *= 10 } 1' $result >$result.slow
check "a slow call is noticed" sh -c "! python3 bench/report.py check $result.slow $result"

# the compiler has left the floor alone: it reads the counter and makes four stores and the release of the index
if [ "$(uname -m)" = x86_64 ]; then
    objdump -d --no-show-raw-insn --disassemble=floor_both build/bench-smoke/bench_core >build/bench-smoke.floor 2>&1
    check "the floor reads the counter" grep -q rdtsc build/bench-smoke.floor
    stores=$(grep -cE 'mov[a-z]* +[^,]*,.*\(' build/bench-smoke.floor)
    check "the floor makes its five stores ($stores)" [ "$stores" -ge 5 ]
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
