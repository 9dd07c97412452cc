#!/bin/sh
# The header in every language and compiler it promises, with all warnings as errors: implementation off and on, one unit and
# several, linked dynamically and statically, and what the compiler must leave out of the object.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
src=tests/compile out=build/compile
rm -rf $out
mkdir -p $out
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }
check() { # name, then a command whose output is of interest only when it fails
    label=$1; shift
    if "$@" >$out/log 2>&1; then ok
    else
        bad "$label: $*"
        head -n 8 $out/log
    fi
}
refuse() { label=$1; shift; if "$@" >/dev/null 2>&1; then bad "$label: must fail: $*"; else ok; fi; }
# shellcheck disable=SC2086
cc() { check "compile" "$@" $warnings -I.; }

# ---- units that only log: every standard, compiler and level of optimisation ----
for o in -O0 -Os -O2; do
    for c in "$GCC" "$CLANG"; do
        for std in c11 c17 c2x; do
            for f in uses logger level silent values; do
                cc "$c" -std=$std $o -c $src/$f.c -o $out/$f.o
            done
        done
        cc "$c" -std=gnu11 -D_GNU_SOURCE $o -c $src/uses.c -o $out/uses.o
    done
    for c in "$GXX" "$CLANGXX"; do
        for std in c++17 c++20; do
            for f in uses values; do cc "$c" -std=$std $o -c $src/$f.cpp -o $out/$f.o; done
            for f in logger level; do cc "$c" -x c++ -std=$std $o -c $src/$f.c -o $out/$f.o; done
        done
    done
done

# ---- the implementation: every standard of C; the slow combinations once ----
for c in "$GCC" "$CLANG"; do
    for std in c11 c17 c2x gnu17; do cc "$c" -std=$std -O0 -c $src/implementation_only.c -o $out/implementation.o; done
    cc "$c" -std=c11 -O3 -c $src/implementation_only.c -o $out/implementation.o # -O2 and -Os are among the programs
done

# ---- programs: JSON lines on standard error, their number on standard output ----
runs() { # name, program
    name=$1
    timeout 30 "$2" >$out/count 2>$out/json </dev/null
    status=$?
    if [ $status != 0 ]; then bad "$name: $2 ends with status $status"; head -n 5 $out/json; return; fi
    check "$name" python3 tests/check_json.py --count "$(cat $out/count)" $out/json
}

program() { # name, C compiler, C++ compiler or "-", flags: units of C and C++ around one implementation
    p=$out/$1 c=$2 cxx=$3
    shift 3
    if [ "$cxx" = - ]; then
        cc "$c" -std=c11 "$@" -DWITH_C -c $src/implementation.c -o "$p.1.o"
        cc "$c" -std=c11 "$@" -c $src/uses.c -o "$p.2.o"
        check "link" "$c" "$@" "$p.1.o" "$p.2.o" -o "$p" -pthread
    else
        cc "$c" -std=c11 "$@" -DWITH_C -DWITH_CXX -c $src/implementation.c -o "$p.1.o"
        cc "$c" -std=c11 "$@" -c $src/uses.c -o "$p.2.o"
        cc "$cxx" -std=c++17 "$@" -c $src/uses.cpp -o "$p.3.o"
        check "link" "$cxx" "$@" "$p.1.o" "$p.2.o" "$p.3.o" -o "$p" -pthread
    fi
    runs "${p##*/}" "$p"
}
program two_units_gcc "$GCC" - -O2
program two_units_clang "$CLANG" - -Os
program debug_gcc "$GCC" - -O0 -g
program static_gcc "$GCC" - -O2 -static
program pie_clang "$CLANG" - -O1 -fPIE
program lto_gcc "$GCC" - -O2 -flto
program cxx_gcc "$GCC" "$GXX" -O2
program cxx_clang "$CLANG" "$CLANGXX" -O0
program mixed "$CLANG" "$GXX" -O2

# ---- small targets: without threads, without files, both; what that saves, and that nothing of it is left ----
"$GCC" -std=c11 -Os -I. -c $src/implementation_only.c -o $out/full.o
full=$(size $out/full.o | awk 'NR == 2 { print $1 + $2 }')
saving() { # flags: bytes of code and data that they save
    "$GCC" -std=c11 -Os -I. "$@" -c $src/implementation_only.c -o $out/small.o
    small=$(size $out/small.o | awk 'NR == 2 { print $1 + $2 }')
    echo "$GCC -Os $*: $((full - small)) of $full bytes saved"
    check "smaller" test "$small" -lt "$full"
}
for flags in -DMETALOG_NO_THREADS -DMETALOG_NO_FILES "-DMETALOG_NO_THREADS -DMETALOG_NO_FILES"; do
    # shellcheck disable=SC2086
    saving $flags
    for c in "$GCC" "$CLANG"; do
        [ "$c" = "$GCC" ] && o=-O2 || o=-O0
        # shellcheck disable=SC2086
        cc "$c" -std=c11 $o $flags $src/small.c -o $out/small
        runs "small $flags" $out/small
        case $flags in
        *THREADS*) refuse "$c $flags: threads are left" sh -c "nm $out/small | grep -E ' U (pthread_|sem_|thrd_)'" ;;
        *) check "$c $flags: control: threads" sh -c "nm $out/small | grep ' U pthread_create'" ;;
        esac
    done
done

# ---- the header alone costs nothing: it links without an implementation when nothing logs ----
for c in "$GCC" "$CLANG"; do
    cc "$c" -std=c11 $src/silent.c -o $out/silent
    check "silent" $out/silent
done

# ---- C and C++ print the same values ----
cc "$GCC" -std=c11 -O2 -c $src/implementation_only.c -o $out/implementation.o
for pair in "$GCC $GXX" "$CLANG $CLANGXX" "$GCC $CLANGXX"; do
    c=${pair% *} cxx=${pair#* }
    cc "$c" -std=c11 $src/values.c $out/implementation.o -o $out/values_c -pthread
    cc "$cxx" -std=c++17 -c $src/values.cpp -o $out/values.o
    check "link" "$cxx" $out/values.o $out/implementation.o -o $out/values_cxx -pthread
    $out/values_c 2>$out/values_c.json
    $out/values_cxx 2>$out/values_cxx.json
    check "values" python3 tests/check_json.py $out/values_c.json
    check "values" python3 tests/check_json.py --same $out/values_c.json $out/values_cxx.json --without ts,at,thread
done

# ---- below METALOG_LEVEL nothing of a call is left ----
for c in "$GCC -std=c11" "$CLANG -std=c11" "$GXX -x c++ -std=c++17" "$CLANGXX -x c++ -std=c++17"; do
    for o in -O0 -O2; do
        # what is decided at run time goes away only when the compiler optimises
        [ $o = -O2 ] && dynamic=-DDYNAMIC || dynamic=-DNOT_DYNAMIC
        # shellcheck disable=SC2086
        cc $c $o $dynamic -DMETALOG_LEVEL=MLOG_OFF -c $src/level.c -o $out/level_off.o
        # shellcheck disable=SC2086
        cc $c $o $dynamic -c $src/level.c -o $out/level_on.o
        # without optimisation GCC keeps the data of a dead block
        [ $o = -O0 ] || refuse "$c $o: a call is left: message" grep -q needle $out/level_off.o
        refuse "$c $o: a call is left: reference" sh -c "nm $out/level_off.o | grep -E 'mlog1_(begin|site|end|text|log)|costly'"
        check "$c $o: control: message" grep -q needle $out/level_on.o
        check "$c $o: control: reference" sh -c "nm $out/level_on.o | grep -E 'mlog1_(begin|log)' && nm $out/level_on.o | grep costly"
    done
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
