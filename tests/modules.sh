#!/bin/sh
# Several modules in one process: plugins that share the program's metalog and are unloaded while others log, units that do without one
# (METALOG_OPTIONAL), two instances and two versions, static linking with glibc and musl. Looks at the log files and exit statuses.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
src=tests/modules out=build/modules
rm -rf $out
mkdir -p $out/v2 $out/broken $out/loose
HOST_LOG=$out/host.log PLUGIN_LOG=$out/plugin.log
export HOST_LOG PLUGIN_LOG
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }
check() { # name, command
    label=$1; shift
    if "$@" >$out/log 2>&1; then ok
    else
        bad "$label: $*"
        head -n 12 $out/log
    fi
}
# shellcheck disable=SC2086
cc() { check "compile" "$@" $warnings -pthread; }
# shellcheck disable=SC2086
so() { o=$1; shift; check "compile $o" "$@" $warnings -shared -fPIC -pthread -o $out/$o; }
run() { # what it must say (lines, sorted, with commas), program, operations
    want=$1; shift
    rm -f $HOST_LOG $PLUGIN_LOG
    timeout 60 "$@" >$out/said 2>$out/errors </dev/null
    status=$?
    said=$(sort <$out/said | paste -sd,)
    if [ $status = 0 ] && [ "$said" = "$want" ]; then ok
    else
        bad "$*: status $status, says '$said', expected '$want'"
        head -n 5 $out/errors
    fi
}
count() { # number of lines, pattern, file
    n=$(grep -c -- "$2" "$3" 2>/dev/null)
    if [ "$n" = "$1" ]; then ok; else bad "$3: $n lines with $2, expected $1"; fi
}
json() { check "JSON" python3 tests/check_json.py "$1"; }

# another version: all its symbols have another number
sed 's/mlog1_/mlog2_/g; s/"0\.1\.0"/"2.0.0"/' metalog.h >$out/v2/metalog.h
# negative control: a destructor that leaves the sites in the lists
sed 's/if (gone) gone(&mlog1_module);/(void)gone;/' metalog.h >$out/broken/metalog.h
# and one whose implementation does not pin its module
sed 's/RTLD_NOLOAD | RTLD_NODELETE/RTLD_NOLOAD/; s/(void)mlog__platform_dlopen(/if (0) (void)mlog__platform_dlopen(/' metalog.h >$out/loose/metalog.h
for f in v2 broken loose; do check "$f is another" sh -c "! cmp -s metalog.h $out/$f/metalog.h"; done

# ---- one instance for the program and its plugins, which come and go ----
share() { # host, a, b: 8 records of each call and 1 at the end of each load, by a site that is first used then
    run "a logs,a logs,b logs,b logs" "$1" log "local:$2" "local:$3" call:0 call:1 close:0 levels:debug log call:1 \
        "levels:plugin=debug" "local:$2" call:2 close:2 close:1 levels:info log levels:debug log
    json $HOST_LOG
    count 35 '"source":"plugin' $HOST_LOG
    count 16 '"plugin":"a","object"' $HOST_LOG
    count 2 '"msg":"plugin ends".*"plugin":"a"' $HOST_LOG
    count 4 '"msg":"host"' $HOST_LOG
}
for c in "$GCC -g -fsanitize=address:-O0:-O0" "$CLANG:-O0:-O2" "$GCC:-O2:-O2"; do # compiler, program, second plugin
    b=${c##*:} c=${c%:*}
    o=${c##*:} c=${c%:*}
    # shellcheck disable=SC2086
    {
        cc $c $o -std=c11 -rdynamic -I. $src/host.c -o $out/host
        so a.so $c -O0 -std=c11 -fvisibility=hidden -DNAME='"a"' -I. $src/plugin.c
        so b.so $c $b -std=c11 -DNAME='"b"' -I. $src/plugin.c
    }
    ASAN_OPTIONS=detect_leaks=0 share $out/host $out/a.so $out/b.so
    rm -f $HOST_LOG
    ASAN_OPTIONS=detect_leaks=0 timeout 60 $out/host churn:$out/a.so >$out/said 2>$out/errors
    if [ $? = 0 ]; then ok; else bad "$c $o: churn"; head -n 20 $out/errors; fi
    json $HOST_LOG
    count "$(sed -n 's/^beside //p' $out/said)" '"msg":"beside"' $HOST_LOG
done
so b.so "$GXX" -O2 -x c++ -std=c++17 -DNAME='"b"' -I. $src/plugin.c
run "a logs,b logs" $out/host local:$out/a.so local:$out/b.so call:1 close:1 levels:debug log call:0
count 1 '"msg":"static object ends"' $HOST_LOG
so c.so "$GXX" -O0 -x c++ -std=c++17 -DNAME='"c"' -I. $src/plugin.c
run "b logs,b logs,c logs" $out/host global:$out/b.so global:$out/c.so call:1 close:1 levels:debug call:0 levels:info call:0
count 1 '"msg":"inline site"' $HOST_LOG
run "a logs" $out/host local:$out/a.so call:0 flush fork:0 log
count 1 '"msg":"from the child"' $HOST_LOG
so broken.so "$GCC" -O2 -std=c11 -DNAME='"a"' -I$out/broken $src/plugin.c
timeout 60 $out/host local:$out/broken.so call:0 close:0 levels:debug log >/dev/null 2>&1
if [ $? -gt 128 ]; then ok; else bad "control: sites of an unloaded module are read without harm"; fi

# ---- the implementation in a plugin: it stays, its thread goes on, also for threads that were there before ----
cc "$GCC" -O1 -std=c11 -DNONE -I. $src/host.c -o $out/none
for c in "$GCC -O0" "$CLANG -O2"; do
    # shellcheck disable=SC2086
    so impl.so $c -std=c11 -DIMPL -DNAME='"impl"' -I. $src/plugin.c
    run "impl logs,impl logs,impl logs" $out/none early local:$out/impl.so call:0 close:0 local:$out/impl.so close:1
    count 25 '"source":"plugin' $PLUGIN_LOG # 3 * 8, and one at exit: it was never unloaded
done
so loose.so "$GCC" -O0 -std=c11 -DIMPL -DNAME='"loose"' -I$out/loose $src/plugin.c
timeout 60 $out/none local:$out/loose.so call:0 close:0 nap >/dev/null 2>&1
if [ $? -gt 128 ]; then ok; else bad "control: the code of the flusher goes without harm"; fi
run "impl logs" $out/none local:$out/impl.so call:0 close:0 nap
# each takes static TLS, of which the C library keeps a little for dlopen: what does not fit is refused by name, and hurts nobody
set -- call:0
for i in 1 2 3 4 5 6 7 8; do
    cp $out/impl.so $out/impl$i.so
    set -- "$@" local:$out/impl$i.so
done
(unset PLUGIN_LOG; timeout 60 $out/none local:$out/impl.so "$@" >$out/said 2>$out/errors)
if [ $? = 3 ]; then ok; else bad "8 implementations fit into static TLS"; fi
count 1 'cannot allocate memory in static TLS block' $out/said
count 1 'impl logs' $out/said
count 8 '"plugin":"impl","object"' $out/errors
# in a program that exports its own, a plugin's copy stays unused
run "impl logs" $out/host local:$out/impl.so call:0 close:0 levels:debug log
count 8 '"plugin":"impl","object"' $PLUGIN_LOG

# ---- two instances: one warning in the second, and each file has one owner ----
cc "$GCC" -O0 -std=c11 -I. $src/host.c -o $out/closed
run "impl logs" $out/closed log local:$out/impl.so call:0 log
count 2 '"msg":"host"' $HOST_LOG
count 8 '"plugin":"impl","object"' $PLUGIN_LOG
count 1 'another metalog (0.1.0) runs in this process' $PLUGIN_LOG
count 0 'another metalog' $HOST_LOG
refused='impl refused: log file "'$HOST_LOG'": another metalog (0.1.0) in this process writes to it; expected a file of its own'
PLUGIN_LOG=$HOST_LOG
run "$refused" $out/closed log local:$out/impl.so log
count 2 '"msg":"host"' $HOST_LOG
run "" $out/none local:$out/impl.so close:0 # the control: alone, it gets the file
PLUGIN_LOG=$out/plugin.log
for c in "$GCC -O0" "$CLANG -O0"; do
    # shellcheck disable=SC2086
    so v2.so $c -std=c11 -DIMPL -DNAME='"v2"' -I$out/v2 $src/plugin.c
    # shellcheck disable=SC2086
    so v2only.so $c -std=c11 -DNAME='"v2only"' -I$out/v2 $src/plugin.c
    run "a logs,v2 logs,v2 logs" $out/host local:$out/a.so local:$out/v2.so call:0 call:1 log close:1 call:1
    count 1 'another metalog (0.1.0) runs in this process' $PLUGIN_LOG
    count 16 '"plugin":"v2","object"' $PLUGIN_LOG
    count 0 '"plugin":"v2"' $HOST_LOG
    count 8 '"plugin":"a","object"' $HOST_LOG
    timeout 60 $out/host local:$out/v2only.so >$out/said
    check "the other version is missing: dlopen says so" grep -q 'undefined symbol: mlog2_' $out/said
done
nm -g --defined-only $out/impl.so >$out/symbols
check "every symbol has its version" sh -c "[ \$(grep -c ' mlog1_' $out/symbols) -gt 20 ] && ! grep -v ' mlog1_\| plugin_log' $out/symbols"

# ---- METALOG_OPTIONAL ----
for c in "$GCC -O0 -std=c11" "$GCC -O2 -std=c11" "$CLANG -O0 -std=c11" "$CLANG -O2 -std=c11" "$GXX -O0 -x c++ -std=c++17" \
    "$GXX -O2 -x c++ -std=c++20" "$CLANGXX -O0 -x c++ -std=c++17" "$CLANGXX -O2 -x c++ -std=c++20"; do
    # shellcheck disable=SC2086
    so opt.so $c -Wl,-z,defs -DMETALOG_OPTIONAL -DNAME='"opt"' -I. $src/plugin.c
    run "opt is silent" $out/none local:$out/opt.so call:0 close:0
    run "opt logs" $out/host local:$out/opt.so call:0 close:0 levels:debug log
    count 8 '"plugin":"opt","object"' $HOST_LOG
    run "opt is silent" $out/closed local:$out/opt.so call:0 close:0
done
run "impl logs,opt logs" $out/none global:$out/impl.so local:$out/opt.so call:1 close:0 call:0
count 8 '"plugin":"opt","object"' $PLUGIN_LOG
run "impl logs,opt is silent" $out/none local:$out/opt.so global:$out/impl.so call:0 call:1
run "impl logs,opt is silent" $out/none local:$out/impl.so local:$out/opt.so call:1 call:0
# a shared object that has it is enough; an archive must be asked for
cc "$GCC" -O2 -std=c11 -DNONE -I. $src/host.c -o $out/linked -Wl,--no-as-needed $out/impl.so
run "opt logs" $out/linked local:$out/opt.so call:0
check "compile" "$GCC" -O0 -std=c11 -c -I. tests/compile/implementation_only.c -o $out/implementation.o
check "archive" ar rcs $out/libmetalog.a $out/implementation.o
for u in mlog1_init mlog1_nothing; do
    cc "$GCC" -O2 -std=c11 -DNONE -rdynamic -Wl,-u,$u -I. $src/host.c $out/libmetalog.a -o $out/archive
    [ $u = mlog1_init ] && want="opt logs" || want="opt is silent"
    run "$want" $out/archive local:$out/opt.so call:0
done
cat >$out/one.c <<'EOF'
#define METALOG_OPTIONAL
#include "metalog.h"
int main(void) {
    for (int i = 0; i < 3; i++) mlog_info("statically", "i", i);
    return mlog_flush(-1);
}
EOF
for c in "$GCC" "$GCC -static" "musl-gcc -static"; do
    # shellcheck disable=SC2086
    case $c in
    musl*) check "compile" $c -O0 -std=c11 -c -I. -DMETALOG_STB_SPRINTF="\"$(find /usr/include /usr/local/include -name stb_sprintf.h | head -n 1)\"" \
        tests/compile/implementation_only.c -o $out/implementation.o ;;
    *) cc $c -O0 -std=c11 -c -I. tests/compile/implementation_only.c -o $out/implementation.o ;;
    esac
    cc $c -O2 -std=c11 -I. $out/one.c -o $out/one
    run "" $out/one
    count 0 . $out/errors
    cc $c -O2 -std=c11 -I. $out/one.c $out/implementation.o -o $out/one
    run "" $out/one
    count 3 '"msg":"statically"' $out/errors
done

# ---- the example, as its comments say it is built ----
for f in host plugin; do
    check "example" sh -c "cd examples/plugin && $(sed -n '1s/.*: \(cc .*\) \*\/$/\1/p' examples/plugin/$f.c | sed "s|-o |-o $PWD/$out/example-|")"
done
run "" $out/example-host $out/example-plugin.so
count 1 '"msg":"host starts"' $out/errors
count 2 '"source":"plugin"' $out/errors
count 1 '"source":"library"' $out/errors

echo "$passed passed, $failed failed"
[ $failed = 0 ]
