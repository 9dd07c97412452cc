#!/bin/sh
# Every file of tests/fail must not compile, with GCC and with Clang, and an error must carry the text of its first line,
# /* expect: … */. Compiled with -DCONTROL, which takes the mistake out, the same file must pass.
#   /* also: c++ */   the file is compiled as C++17, too
#   /* alone */       there must be no other error
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }

check() { # file, expected text, compiler and flags
    file=$1 want=$2; shift 2
    # shellcheck disable=SC2086
    if out=$(LC_ALL=C "$@" $warnings -I. -fsyntax-only "$file" 2>&1); then
        bad "$* accepts $file"
        return
    fi
    errors=$(printf '%s\n' "$out" | grep 'error: ')
    if ! printf '%s\n' "$errors" | grep -qF "$want"; then
        bad "$* on $file: no error says '$want'; it says:"
        printf '%s\n' "$errors" | head -n 5
    elif grep -q '^/\* alone \*/' "$file" && [ "$(printf '%s\n' "$errors" | wc -l)" != 1 ]; then
        bad "$* on $file: more than one error:"
        printf '%s\n' "$errors" | head -n 5
    else
        ok
    fi
    # shellcheck disable=SC2086
    if out=$(LC_ALL=C "$@" $warnings -I. -DCONTROL -fsyntax-only "$file" 2>&1); then ok
    else
        bad "$* refuses the control of $file:"
        printf '%s\n' "$out" | grep 'error: ' | head -n 5
    fi
}

for file in tests/fail/*.c tests/fail/*.cpp; do
    want=$(sed -n '1s/.*expect: \(.*\) \*\/$/\1/p' "$file")
    [ -n "$want" ] || { bad "$file: its first line names no expected text"; continue; }
    case $file in
    *.c)
        check "$file" "$want" "$GCC" -std=c11
        check "$file" "$want" "$CLANG" -std=c11
        ;;
    esac
    if [ "${file##*.}" = cpp ] || grep -q '^/\* also: c++ \*/' "$file"; then
        check "$file" "$want" "$GXX" -x c++ -std=c++17
        check "$file" "$want" "$CLANGXX" -x c++ -std=c++17
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
