#!/bin/sh
# The shims of libc's functions from outside: every way to build with them, against the original, and ends of all kinds.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=$PWD/build/shim src=tests/shim warn="-Wall -Wextra -Werror"
rm -rf "$out"
mkdir -p "$out"
. tests/shim/check.sh
refuse() { label=$1; shift; if "$@" >/dev/null 2>&1; then failed=$((failed + 1)); echo "FAIL $label: must fail: $*"; else passed=$((passed + 1)); fi; }
count() { # name, file, pattern, number
    n=$(grep -c "$3" "$2" 2>/dev/null)
    check "$1: '$3' $n times, expected $4" [ "$n" = "$4" ]
}
plain() { sed 's/\[[0-9]*\]/[PID]/; s/ syslog\.[a-z.]*-O[0-9]:/ spoold:/' "$1" >"$1.plain"; }
unset METALOG METALOG_FILE METALOG_PATTERN

# ---- the implementation as an object, and the shared object, of the header alone; all warnings ----
for c in "$CLANG" "$GCC"; do
    # shellcheck disable=SC2086
    check "implementation: $c" "$c" $STRICT -O2 -DMETALOG_IMPLEMENTATION -DMETALOG_SHIM_SYSLOG -DMETALOG_SHIM_ERR -x c -c metalog.h -o "$out/metalog.o"
    check "preload: $c" "$c" -Wall -Wextra -Werror -O2 -shared -fPIC -DMETALOG_PRELOAD -x c metalog.h -o "$out/libmetalog.so" -pthread -lm
done
cat >"$out/configured.c" <<'END'
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_SYSLOG
#define METALOG_SHIM_ERR
#include "metalog.h"
#include <stdlib.h>
/* a program's configuration: the file that METALOG_FILE names, in the layout of the comparison */
__attribute__((constructor)) static void configure(void) {
    mlog_config c = {.levels = "trace", .sinks = {{.type = MLOG_FILE, .path = getenv("METALOG_FILE"), .format = MLOG_PATTERN,
                     .pattern = getenv("METALOG_PATTERN") ? getenv("METALOG_PATTERN") : "%(facility)s.%v %(syslogtag)s %m"}}};
    if (mlog_init(&c) != 0) abort();
}
END
# shellcheck disable=SC2086
check "with a configuration" "$GCC" $STRICT -O2 -I. -c "$out/configured.c" -o "$out/configured.o"

# ---- syslog: the example as it is, with the original and in every way with the shim; the same sources ----
mkdir -p "$out/overlay" "$out/jobs"
echo '#include "metalog.h"' >"$out/overlay/syslog.h"
touch "$out/jobs/job.0" "$out/jobs/job.2"
build() { # program, name, flags and objects of each unit
    program=$1 name=$2; shift 2
    for c in "$GCC" "$CLANG"; do
        for o in "-O0" "-O2 -D_FORTIFY_SOURCE=2"; do
            # shellcheck disable=SC2086
            check "$name: $c $o" "$c" $warn $o "$@" "examples/migrate/$program"/*.c -o "$out/$program.$name.$(basename "$c")${o%% *}" -pthread -lm
        done
    done
}
build syslog original
build syslog front -include metalog.h -I. -DMETALOG_SHIM_SYSLOG "$out/configured.o"
build syslog overlay -I"$out/overlay" -I. -DMETALOG_SHIM_SYSLOG "$out/configured.o"
build syslog linked "$out/configured.o"
for way in front overlay; do # redirected, not interposed
    refuse "$way: calls are left" sh -c "nm -u '$out/syslog.$way.$(basename "$GCC")-O0' | grep -E ' v?syslog(@|$)'"
done
check "control: the original calls libc" sh -c "nm -u '$out/syslog.original.$(basename "$GCC")-O0' | grep -E ' U syslog'"

namespace=
for try in "unshare -m" "unshare -rm"; do
    if [ -z "$namespace" ] && $try true 2>/dev/null; then namespace=$try; fi
done
if [ -n "$namespace" ]; then
    for jobs in "4 debug" "2"; do
        set -- $jobs
        # shellcheck disable=SC2086
        $namespace python3 $src/devlog.py "$out/original" "$out/syslog.original.$(basename "$GCC")-O2" "$out/jobs" $jobs >"$out/log" 2>&1
        plain "$out/original"
        check "original: messages arrive" [ "$(wc -l <"$out/original")" -ge 12 ]
        for program in "$out"/syslog.*.*; do
            rm -f "$out/shim"
            case $program in
            *original*)
                METALOG_FILE=$out/shim METALOG_PATTERN='%(facility)s.%v %(syslogtag)s %m' LD_PRELOAD=$out/libmetalog.so \
                    "$program" "$out/jobs" $jobs >"$out/log" 2>&1 ;;
            *) METALOG_FILE=$out/shim "$program" "$out/jobs" $jobs >"$out/log" 2>&1 ;;
            esac
            plain "$out/shim"
            same "${program##*/} $jobs" "$out/original.plain" "$out/shim.plain"
        done
    done
    # shellcheck disable=SC2086
    check "console" "$GCC" $STRICT -O1 -I. $src/console.c -o "$out/console" -pthread -lm
    cat >"$out/console.sh" <<END
'$out/console' >'$out/console.dropped'
cat /dev/console >'$out/console.text'
END
    $namespace python3 $src/devlog.py "$out/unused" sh "$out/console.sh" >"$out/log" 2>&1
    read -r without with <"$out/console.dropped"
    check "console: calls are dropped ($without, $with)" [ "${without:-0}" -gt 10 ] && [ "${with:-0}" -gt 10 ]
    count "console" "$out/console.text" "^console: with: message [0-9]*.$" "$with"
    count "console: not without LOG_CONS" "$out/console.text" "without" 0
else
    echo "not compared with the original: no namespace for a /dev/log (unshare -rm)"
fi

# ---- err: what is on the standard error stays, byte for byte; the same is in the records; exit status and count of messages ----
echo '#include "metalog.h"' >"$out/overlay/err.h"
echo '#include "metalog.h"' >"$out/overlay/error.h"
build err original
build err front -include metalog.h -I. -DMETALOG_SHIM_ERR "$out/configured.o"
build err overlay -I"$out/overlay" -I. -DMETALOG_SHIM_ERR "$out/configured.o"
build err linked "$out/configured.o"
for way in front overlay; do
    for c in "$GCC" "$CLANG"; do
        for o in -O0 -O2; do
            refuse "$way: calls are left" sh -c "nm -u '$out/err.$way.$(basename "$c")$o' | grep -E ' (err|errx|verrx|warn|warnx|vwarnx|error|error_at_line)(@|$)'"
        done
    done
done
# one name for all: messages begin with it
for arguments in "" "/etc/passwd" "/nowhere" "/dev/null /nowhere /nowhere/either" "/a /b /c" "/a /b /c /d" "-m 100%s"; do
    # shellcheck disable=SC2086
    original=$out/err.original.$(basename "$GCC")-O2
    for program in "$original" "$out"/err.*.*; do
        cp "$program" "$out/checksum.new" && mv "$out/checksum.new" "$out/checksum"
        rm -f "$out/shim"
        preload=
        case $program in *original*) [ -e "$out/err.first" ] && preload=$out/libmetalog.so ;; esac
        # shellcheck disable=SC2086
        METALOG_FILE=$out/shim METALOG_PATTERN="%v %m" LD_PRELOAD=$preload "$out/checksum" $arguments >"$out/err.out" 2>"$out/err.err"
        echo "status $?" >>"$out/err.out"
        if [ ! -e "$out/err.first" ]; then
            touch "$out/err.first"
            cp "$out/err.out" "$out/original.out"
            cp "$out/err.err" "$out/original.err"
            sed "s,^$out/checksum: *,," "$out/err.err" | sed "s,^$out/checksum:,,; s,^checksum: ,," >"$out/original.text"
            continue
        fi
        same "${program##*/} $arguments: standard output and status" "$out/original.out" "$out/err.out"
        same "${program##*/} $arguments: standard error" "$out/original.err" "$out/err.err"
        sed 's/^[a-z]* //' "$out/shim" >"$out/shim.text" 2>/dev/null
        same "${program##*/} $arguments: records" "$out/original.text" "$out/shim.text"
    done
    rm -f "$out/err.first"
done
# without a configuration: readable where it was, and a record of level and errno
check "err: plain: link" "$GCC" -w examples/migrate/err/*.c "$out/metalog.o" -o "$out/checksum" -pthread -lm
"$out/checksum" /nowhere >"$out/log" 2>"$out/err.plain"
count "err: plain" "$out/err.plain" "^checksum: warn: /nowhere: No such file or directory errno=2$" 1
count "err: plain" "$out/err.plain" "^checksum: error: one is enough: Broken pipe errno=32 exit_status=7$" 1
METALOG=error "$out/checksum" /nowhere >"$out/log" 2>"$out/err.plain"
count "err: rules" "$out/err.plain" "warn" 0

# ---- stdio: lines of the two descriptors, by the preload object and by a unit that asks for it ----
cat >"$out/captures.c" <<'END'
#define METALOG_IMPLEMENTATION
#define METALOG_SHIM_STDIO
#include "metalog.h"
__attribute__((constructor)) static void configure(void) {
    mlog_config c = {.sinks = {{.type = MLOG_FILE, .path = getenv("METALOG_FILE"), .format = MLOG_PATTERN, .pattern = "%v %c: %m"}}};
    if (mlog_init(&c) != 0 || mlog_stdio(1, MLOG_INFO) != 0 || mlog_stdio(2, MLOG_WARN) != 0) abort();
}
END
# shellcheck disable=SC2086
check "stdio: unit" "$GCC" $STRICT -O2 -I. -c "$out/captures.c" -o "$out/captures.o"
check "stdio: original" "$GCC" $warn examples/migrate/stdio/*.c -o "$out/stdio.original"
check "stdio: linked" "$GCC" $warn examples/migrate/stdio/*.c "$out/captures.o" -o "$out/stdio.linked" -pthread -lm
"$out/stdio.original" >"$out/stdio.1" 2>"$out/stdio.2"
for way in linked preload; do
    rm -f "$out/shim"
    if [ $way = linked ]; then METALOG_FILE=$out/shim "$out/stdio.linked" >"$out/left" 2>&1
    else METALOG_STDIO=12 METALOG_FILE=$out/shim METALOG_PATTERN="%v %c: %m" LD_PRELOAD=$out/libmetalog.so "$out/stdio.original" >"$out/left" 2>&1; fi
    sed -n 's/^info stdout: //p' "$out/shim" >"$out/shim.1"
    sed -n 's/^warn stderr: //p' "$out/shim" >"$out/shim.2"
    same "stdio: $way: standard output" "$out/stdio.1" "$out/shim.1"
    check "stdio: $way: standard error" sh -c "awk 1 '$out/stdio.2' | diff - '$out/shim.2'"
    check "stdio: $way: nothing is left on the descriptors" [ ! -s "$out/left" ]
done

# a unit with names of its own is left alone, and a pointer to the function is redirected as well
cat >"$out/names.c" <<'END'
enum { LOG_DEBUG = 7, LOG_INFO };
static int syslog(int a) { return a + LOG_INFO; }
int main(void) { return syslog(-8); }
END
cat >"$out/pointer.c" <<'END'
#include <syslog.h>
#include <syslog.h>
void (*log_it)(int, const char *, ...) = syslog;
int main(void) { openlog("pointer", 0, LOG_LOCAL1); log_it(LOG_ERR, "by %s", "pointer"); return 0; }
END
for c in "$GCC" "$CLANG" "$GXX -std=c++17 -x c++" "$CLANGXX -std=c++17 -x c++"; do
    # shellcheck disable=SC2086
    check "names: $c" $c $warn -O1 -include metalog.h -I. -DMETALOG_SHIM_SYSLOG -c "$out/names.c" -o "$out/names.o"
    for way in "-include metalog.h" "-I$out/overlay"; do
        # shellcheck disable=SC2086
        check "pointer: $c $way" $c $warn $way -I. -DMETALOG_SHIM_SYSLOG -c "$out/pointer.c" -o "$out/pointer.o"
        rm -f "$out/pointer.log"
        check "pointer: link" "$GCC" "$out/pointer.o" "$out/configured.o" -o "$out/pointer" -pthread -lm
        check "pointer: run" env METALOG_FILE="$out/pointer.log" "$out/pointer"
        count "pointer: $c $way" "$out/pointer.log" "^local1.error pointer: by pointer$" 1
    done
done

# a library's calls, which nobody compiled anew
echo '#include <syslog.h>
void library(void); void library(void) { syslog(LOG_NOTICE, "from a library"); }' >"$out/library.c"
echo 'void library(void); int main(void) { library(); return 0; }' >"$out/uses.c"
check "library" "$GCC" -shared -fPIC "$out/library.c" -o "$out/liblibrary.so"
check "library: program" "$GCC" "$out/uses.c" "$out/configured.o" -L"$out" -llibrary -Wl,-rpath,"$out" -o "$out/uses" -pthread -lm
check "library: run" env METALOG_FILE="$out/library.log" "$out/uses"
count library "$out/library.log" "^user.notice uses: from a library$" 1

# a program whose own function has the name of one that is interposed
cat >"$out/own.c" <<'END'
#include <stdio.h>
void warn(int a); void warn(int a) { printf("own %d\n", a); }
void syslog(int a); void syslog(int a) { printf("own %d\n", a); }
int main(void) { warn(1); syslog(2); return 0; }
END
check "own functions" "$GCC" -w "$out/own.c" "$out/metalog.o" -o "$out/own" -pthread -lm
check "own functions: run" [ "$("$out/own" | tr '\n' ' ')" = "own 1 own 2 " ]

# ---- nothing is lost: ends of all kinds, interposed and preloaded ----
for c in linked preloaded; do
    if [ $c = linked ]; then set -- "$out/configured.o" -pthread -lm; else set --; fi # with err, too
    check "ending: $c" "$GCC" $warn -O1 $src/ending.c "$@" -o "$out/ending.$c"
done
ending() { # way, mode, count
    if [ "$1" = linked ]; then METALOG_FILE=$log "$out/ending.linked" "$2" "$3"
    else METALOG_FILE=$log METALOG_PATTERN='%(facility)s.%v %(syslogtag)s %m' LD_PRELOAD=$out/libmetalog.so "$out/ending.preloaded" "$2" "$3"; fi
}
for way in linked preloaded; do
    for mode in return exit err _exit abort kill; do
        log=$out/$way.$mode
        (ending $way $mode 1000) >"$out/log" 2>&1
        case $mode in _exit | abort | kill) ending $way next 1 ;; esac # the next start writes what the rings hold
        count "$way $mode" "$log" ": $mode message" 1000
        check "$way $mode: each once, in order" sh -c "sed -n 's/.*$mode message //p' '$log' | awk '\$1 != NR - 1 { exit 1 }'"
    done
    log=$out/$way.daemon
    check "$way daemon" ending $way daemon 300
    (ending $way next 1) >"$out/log" 2>&1 # what a parent could not wait for before it left, on a machine that is busy
    for who in starter session daemon reopened closed; do # a file with several writers: each at least once
        check "$way daemon $who: all, in order" sh -c "sed -n 's/.*$who message //p' '$log' | awk '!seen[\$1]++ && \$1 != n++ { bad = 1 } END { exit bad || n != 300 }'"
    done
done
rm -f "$out/control"
METALOG_FILE=$out/control "$out/ending.preloaded" exit 10 >/dev/null 2>&1
check "control: without the preload object nothing comes" [ ! -e "$out/control" ]
echo "$passed passed, $failed failed"
[ $failed = 0 ]
