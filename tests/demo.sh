#!/bin/sh
# The indexer of `make demo` on a tree made to be odd, and on a real one; its logs are counted against the trees, not against itself.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=build/demo-test tree=build/demo-test/tree
rm -rf $out
mkdir -p $out/odd $out/real $tree/sub/deep
passed=0 failed=0
check() { # name, command
    label=$1; shift
    if "$@" >$out/log 2>&1; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $label"
        tail -n 12 $out/log
    fi
}
equal() { [ "$1" = "$2" ] || { echo "$1, expected $2"; return 1; }; }
records() { jq -c "select($2) | .path" "$1" | wc -l; }
adds_up() { # what the indexer said: its own sum and one for each of three sinks
    ! grep MISMATCH "$1" && [ "$(grep -c ' OK$' "$1")" = 4 ]
}

# shellcheck disable=SC2086
check "it builds" "$GCC" -O2 $STRICT -I. examples/indexer.c -o $out/indexer -pthread

printf 'one\ntwo\n' >$tree/plain.h
printf 'last line without end' >$tree/sub/torn.h
: >$tree/empty.h
printf 'a\0b' >$tree/sub/binary
awk 'BEGIN { while (i++ < 700) printf "x"; print "" }' >$tree/sub/deep/long.h
ln -s nowhere $tree/dangling
ln -s plain.h $tree/symlink
mkfifo $tree/fifo
printf 'x\n' >"$tree/$(printf 'new\nline \033[31m "quoted" \\ \377 caf\303\251')"
check "odd tree" sh -c "timeout 60 $out/indexer -j 3 -o $out/odd $tree >$out/odd/said 2>&1"
check "odd tree: its accounting" adds_up $out/odd/said
check "odd tree: JSON" python3 tests/check_json.py --keys source,at,thread,worker,path $out/odd/app.log $out/odd/errors.log
check "odd tree: files" equal "$(records $out/odd/app.log '.msg == "file indexed"')" 6
check "odd tree: empty" equal "$(records $out/odd/app.log '.msg == "empty file" and .level == "warn"')" 1
check "odd tree: binary" equal "$(records $out/odd/app.log '.msg == "binary content" and .bytes == 3')" 1
check "odd tree: long line" equal "$(records $out/odd/app.log '.msg == "very long line" and .longest == 700')" 1
check "odd tree: fifo" equal "$(records $out/odd/app.log '.msg == "no regular file"')" 1
check "odd tree: errors" equal "$(records $out/odd/errors.log '.msg == "dangling symlink" and .level == "error"')" 1
check "odd tree: only errors" equal "$(wc -l <$out/odd/errors.log)" 1
check "odd tree: the terminal sees warnings and up" sh -c "grep -q 'very long line' $out/odd/said && ! grep -q 'file indexed' $out/odd/said"
check "odd tree: no escape sequence of a name reaches the terminal" sh -c "! grep -q \"\$(printf '\033\\[31m \"')\" $out/odd/said"

real=${DIR:-/usr/include}
files=$(find "$real" -type f -printf x | wc -c)
check "real tree" sh -c "timeout 100 $out/indexer -o $out/real $real >$out/real/said 2>&1"
check "real tree: its accounting" adds_up $out/real/said
check "real tree: JSON" python3 tests/check_json.py --keys worker,path $out/real/app.log
check "real tree: a record per file" equal "$(records $out/real/app.log '.msg == "file indexed"')" "$files"
check "real tree: bytes" equal "$(jq -s 'map(select(.msg == "file indexed").bytes) | add' $out/real/app.log)" \
    "$(find "$real" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')"

check "bad option" sh -c "$out/indexer -j 0; [ \$? = 2 ]"
check "no such directory for the logs" sh -c "! $out/indexer -o $out/none $tree"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
