#!/bin/sh
# The section tests on other machines: 32-bit x86, which runs here, and s390x, which is big-endian and runs in qemu-user. Without an
# argument a few of them, in about a minute, with what is installed (a part of `make test`); `targets.sh all`: all of them, after
# deps.sh has installed what is missing (`make targets`).
#
# Under qemu, tests are compiled with EMULATED: longer bounds of time, and no case that counts the process's threads from inside, since
# the emulator has some. Left out there: fork and exit, since qemu-user 7.2 aborts now and then when a forked child starts a thread
# (qemu_plugin_vcpu_init_hook: assertion failed); children without threads are tested by drain. And sink, children and limit, which execute
# themselves, and fatal, whose faults the emulator would have to deliver. Left out on i686: quiet, whose malloc a static program would have twice.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=build/targets limit=${LIMIT:-300}
mkdir -p $out
passed=0 failed=0
has() { command -v "$1" >/dev/null 2>&1; }
count() { # target, section, last line of its output, status
    p=${3%% *} f=$(echo "$3" | sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p')
    if [ -z "$f" ]; then p=0 f=1; elif [ "$4" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    [ "$f" != 0 ] || { echo "ok   $2.$1 $p passed"; return; }
    echo "FAIL $2.$1: $3, status $4"
    tail -n 20 "$out/$2.$1.log"
}

section() { # target, section; $compiler and $run say how
    bin=$out/test_$2.$1 dir=$PWD/$out/tmp/$2.$1
    rm -rf "$dir" && mkdir -p "$dir"
    # shellcheck disable=SC2086
    if ! $compiler -O2 $STRICT -I. "tests/test_$2.c" -o "$bin" -pthread -lm >"$out/$2.$1.log" 2>&1; then
        count "$1" "$2" "does not compile" 1
        return
    fi
    # shellcheck disable=SC2086
    TMPDIR=$dir timeout -k 5 "$limit" $run "$bin" >"$out/$2.$1.log" 2>&1 </dev/null
    status=$?
    count "$1" "$2" "$(tail -n 1 "$out/$2.$1.log")" $status
}

target() { # name, sections
    name=$1; shift
    for s; do section "$name" "$s"; done
}

unset METALOG NO_COLOR CLICOLOR CLICOLOR_FORCE FORCE_COLOR JOURNAL_STREAM
all=$(ls tests/test_*.c | sed 's|tests/test_\(.*\)\.c|\1|')
without() { # names to leave out
    for s in $all; do case " $* " in *" $s "*) ;; *) echo "$s" ;; esac; done
}

# static: needs no 32-bit libraries at run time
if has i686-linux-gnu-gcc; then compiler="i686-linux-gnu-gcc -static" run=
    # shellcheck disable=SC2046
    if [ "${1:-}" = all ]; then target i686 $(without quiet); else target i686 binary format ring rule golden; fi
else echo "skip i686: no i686-linux-gnu-gcc; make targets installs it"; fi

if has s390x-linux-gnu-gcc && has qemu-s390x; then compiler="s390x-linux-gnu-gcc -DEMULATED" run="qemu-s390x -L /usr/s390x-linux-gnu"
    # shellcheck disable=SC2046
    if [ "${1:-}" = all ]; then target s390x $(without fork exit sink children limit fatal); else target s390x binary format rule golden; fi
else echo "skip s390x: no s390x-linux-gnu-gcc or no qemu-s390x; make targets installs them"; fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
