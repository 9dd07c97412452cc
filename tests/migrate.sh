#!/bin/sh
# The examples of examples/migrate whose loggers are macros: each is built from the same sources with a plain stand-in of its logger and,
# in every way, with the shim; what comes out is compared, message for message. (syslog: tests/shim.sh.)
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${GXX:=g++}" "${CLANG:=clang}" "${CLANGXX:=clang++}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
top=$PWD out=$PWD/build/migrate warn="-std=gnu11 -Wall -Wextra -Werror"
rm -rf "$out"
mkdir -p "$out/overlay"
. tests/shim/check.sh
unset METALOG
TZ=UTC
export TZ

for h in log zf_log elog zlog; do echo '#include "metalog.h"' >"$out/overlay/$h.h"; done

# The implementation alone; and with a program's configuration: the old layout, into the file that OLD_LAYOUT names.
implementation() { # name, macro, layout
    cat >"$out/$1.setup.c" <<END
#include "metalog.h"
#include <stdlib.h>
__attribute__((constructor)) static void configure(void) {
    const char *path = getenv("OLD_LAYOUT");
    mlog_config c = {.sinks = {{.type = MLOG_FILE, .path = path, .format = MLOG_PATTERN, .pattern = $3, .utc = MLOG_NO}}};
    if (path != NULL && mlog_init(&c) != 0) abort();
}
END
    for c in "$CLANG" "$GCC"; do
        # shellcheck disable=SC2086
        check "$1: implementation: $c" "$c" $STRICT -O0 -D"$2" -DMETALOG_IMPLEMENTATION -x c -c metalog.h -o "$out/$1.metalog.o"
    done
    # shellcheck disable=SC2086
    check "$1: setup" "$GCC" $STRICT -O1 -D"$2" -I. -c "$out/$1.setup.c" -o "$out/$1.setup.o"
}

# In a directory of its own, so that __FILE__ has none. Each way without optimization and with, by either compiler.
build() { # example, way, what the units are compiled with, what is linked
    for c in "$GCC -O0" "$CLANG -O2"; do
        name=$1.$2${c##* }
        # shellcheck disable=SC2086
        check "$name" sh -c "mkdir -p '$out/$name.d' && cd '$out/$name.d' && cp $top/examples/migrate/$1/* . &&
            for f in *.c; do $c $warn -D_GNU_SOURCE $3 -c \$f -o \${f%.c}.o || exit 1; done && $GCC *.o $4 -o '$out/$name' -pthread"
    done
}
programs() { echo "$out/$1.original-O0 $out/$1.original-O2"; ls "$out/$1".*-O[02] | grep -v original; }
ways() { # example, macro, stand-in
    build "$1" original "-I$top/examples/migrate/standin" "$top/examples/migrate/standin/$3.c -I$top/examples/migrate/standin"
    build "$1" front "-include $top/metalog.h -D$2 -I$top/examples/migrate/standin" "$out/$1.metalog.o $out/$1.setup.o"
    build "$1" overlay "-I$out/overlay -I$top -D$2" "$out/$1.metalog.o $out/$1.setup.o"
}

# Default console: JSON lines, whose level, place, source and message are the old ones.
messages() { grep '^{' "$2" | jq -r "$1"; }

# ---- every form of call: C and C++, no warning; a format that does not fit its arguments is told ----
all="-DMETALOG_SHIM_LOGC -DMETALOG_SHIM_ZFLOG -DMETALOG_SHIM_ELOG -DMETALOG_SHIM_ZLOG"
# shellcheck disable=SC2086
check "all: implementation" "$GCC" $STRICT -O1 $all -DMETALOG_IMPLEMENTATION -x c -c metalog.h -o "$out/all.o"
mkdir -p "$out/null"
for c in "$GCC -std=c11 -O0" "$GCC -std=c17 -O2" "$CLANG -std=c11 -O2" "$CLANG -std=c17 -O0" "$GXX -x c++ -std=c++17 -O2" "$CLANGXX -x c++ -std=c++17 -O0"; do
    for way in "-I$out/overlay" "-include metalog.h -Iexamples/migrate/standin"; do
        # shellcheck disable=SC2086
        check "calls: $c $way" $c -Wall -Wextra -Werror $all $way -I. -c tests/migrate/calls.c -o "$out/calls.o"
        check "calls: link" "$GCC" "$out/calls.o" "$out/all.o" -o "$out/calls" -pthread
        check "calls: run" sh -c "'$out/calls' 2>'$out/stderr' && grep -q 'array, 100' '$out/stderr'"
    done
done
for call in 'log_info("%s", 5)' 'ZF_LOGI("%s", 5)' 'log_i("%d", "x")' 'elog_e("tag", "%d", 1.5)' 'zlog_info(0, "%d")' 'log_error("%d %d", 1)'; do
    printf '#include "log.h"\n#include "zf_log.h"\n#include "elog.h"\n#include "zlog.h"\nvoid f(void); void f(void) { %s; }\n' "$call" >"$out/wrong.c"
    for c in "$GCC" "$CLANG"; do
        # shellcheck disable=SC2086
        check "wrong: $c: $call" sh -c "! '$c' -Wall -Werror $all -I'$out/overlay' -I. -c '$out/wrong.c' -o '$out/wrong.o' 2>'$out/said' && grep -q 'format' '$out/said'"
    done
done

# ---- log.c ----
implementation logc METALOG_SHIM_LOGC MLOG_LAYOUT_LOGC
ways logc METALOG_SHIM_LOGC log
build logc linked "-I$top/examples/migrate/standin" "$out/logc.metalog.o $out/logc.setup.o" # compiled for log.c, linked with metalog
timeless() { sed -E 's/^([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2}:[0-9]{2}/TIME/' "$1"; }
for args in 0 2 4 "1 quiet" "5 quiet"; do
    level=${args%% *} quiet=${args#"$level"}
    for program in $(programs logc); do
        name=${program##*/logc.}
        rm -f "$out/file"
        # shellcheck disable=SC2086
        "$program" "$level" "$out/file" $quiet >"$out/stdout" 2>"$out/stderr"
        case $name in
        original-O0)
            timeless "$out/stderr" >"$out/want.stderr"; timeless "$out/file" >"$out/want.file"; cp "$out/stdout" "$out/want.stdout"
            check "logc $args: something comes" [ "$(wc -l <"$out/want.file")" -ge 12 ]
            continue ;;
        original-*) timeless "$out/stderr" >"$out/got.stderr" ;;
        *) messages '"TIME " + (.level | ascii_upcase + "     ")[:5] + " " + .at + ": " + .msg' "$out/stderr" >"$out/got.stderr" ;;
        esac
        timeless "$out/file" >"$out/got.file"
        same "logc $args: $name: stderr" "$out/want.stderr" "$out/got.stderr"
        same "logc $args: $name: file" "$out/want.file" "$out/got.file"
        same "logc $args: $name: callback" "$out/want.stdout" "$out/stdout"
        [ "$args" = 0 ] || continue
        case $name in original-*) continue ;; esac
        rm -f "$out/old"
        OLD_LAYOUT=$out/old "$program" 0 "$out/file" >"$out/stdout" 2>"$out/stderr"
        timeless "$out/old" >"$out/got.old"
        same "logc: $name: the old layout" "$out/want.stderr" "$out/got.old"
    done
done
# level rules, once somebody has chosen some; and without any, all that the old level lets through
levels() { METALOG=$1 "$out/logc.front-O2" 0 "$out/file" 2>&1 >/dev/null | grep '^{' | jq -r .level | sort | uniq | tr '\n' ' '; }
check "logc: level rules" [ "$(levels warn)" = "error fatal warn " ]
check "logc: rules of one source" [ "$(levels error,store=debug)" = "debug error fatal info warn " ]
check "logc: a rule for somebody else" [ "$(levels other=error)" = "debug error fatal info trace warn " ]

# ---- zf_log ----
implementation zflog METALOG_SHIM_ZFLOG MLOG_LAYOUT_ZFLOG
ways zflog METALOG_SHIM_ZFLOG zf_log
build zflog linked "-I$top/examples/migrate/standin" "$out/zflog.metalog.o $out/zflog.setup.o"
timeless() { sed -E 's/^[0-9]{2}-[0-9]{2} [0-9:.]{12} +[0-9]+ +[0-9]+/TIME/' "$1"; }
for args in 0 3 5 "0 callback"; do
    for program in $(programs zflog); do
        name=${program##*/zflog.}
        # shellcheck disable=SC2086
        "$program" $args >"$out/stdout" 2>"$out/stderr"
        case $name in
        original-O0)
            timeless "$out/stderr" >"$out/want.stderr"; cp "$out/stdout" "$out/want.stdout"
            check "zflog $args: something comes" [ "$(wc -l <"$out/want.stderr")" -ge 2 ]
            sed -E 's/ [a-z]+@/ /; s/^TIME (.) ([^ ]+) ([a-z.]+:[0-9]+) /\1 \2 \3 /' "$out/want.stderr" >"$out/want.json" ;;
        original-*) timeless "$out/stderr" | diff "$out/want.stderr" - >/dev/null || check "zflog $args: $name" false ;;
        *)
            messages '({trace: "V", fatal: "F"}[.level] // (.level[:1] | ascii_upcase)) + " " + .source + " " + .at + " " + .msg' "$out/stderr" >"$out/got.json"
            same "zflog $args: $name: stderr" "$out/want.json" "$out/got.json"
            same "zflog $args: $name: callback" "$out/want.stdout" "$out/stdout"
            rm -f "$out/old"
            case $args in *callback) continue ;; esac # its lines are records here, too
            OLD_LAYOUT=$out/old "$program" $args >"$out/stdout" 2>"$out/stderr"
            timeless "$out/old" >"$out/got.old"
            same "zflog $args: $name: the old layout" "$out/want.stderr" "$out/got.old" ;;
        esac
    done
done

# ---- EasyLogger ----
implementation elog METALOG_SHIM_ELOG MLOG_LAYOUT_ELOG
ways elog METALOG_SHIM_ELOG elog
build elog linked "-I$top/examples/migrate/standin" "$out/elog.metalog.o $out/elog.setup.o"
timeless() { sed -E 's/\[[0-9]{2}-[0-9]{2} [0-9:.]{12} pid:[0-9]+ tid:[0-9]+\]/[TIME]/' "$1"; }
for program in $(programs elog); do
    name=${program##*/elog.}
    "$program" >"$out/stdout" 2>"$out/stderr"
    case $name in
    original-O0)
        timeless "$out/stderr" >"$out/want"; cp "$out/stdout" "$out/want.stdout"
        check "elog: something comes" [ "$(wc -l <"$out/want")" -ge 20 ]
        # raw text and dumps have neither tag nor place in the original
        sed -E 's/^raw/I\/elog raw/; s/^D\/HEX ([a-z]+)/D\/\1 HEX \1/; s/^(.\/[^ ]+) +\[TIME\] \(([a-z]+\.c:[0-9]+) [a-z_]+\)/\1 \2 /' "$out/want" >"$out/want.json" ;;
    original-*) timeless "$out/stderr" | diff "$out/want" - >/dev/null || check "elog: $name" false ;;
    *)
        messages '({trace: "V"}[.level] // (.level[:1] | ascii_upcase)) + "/" + .source + " " + (if .at == "elog:0" then "" else .at + " " end) + .msg' "$out/stderr" >"$out/got.json"
        same "elog: $name: stderr" "$out/want.json" "$out/got.json"
        same "elog: $name: hook" "$out/want.stdout" "$out/stdout"
        rm -f "$out/old"
        OLD_LAYOUT=$out/old "$program" >"$out/stdout" 2>"$out/stderr"
        timeless "$out/old" | grep '\.c:' >"$out/got.old"
        grep '\.c:' "$out/want" >"$out/want.old"
        same "elog: $name: the old layout" "$out/want.old" "$out/got.old" ;;
    esac
done

# ---- zlog: the same configuration file ----
implementation zlog METALOG_SHIM_ZLOG '"%m"'
ways zlog METALOG_SHIM_ZLOG zlog
build zlog linked "-I$top/examples/migrate/standin" "$out/zlog.metalog.o"
for program in $(programs zlog); do
    name=${program##*/zlog.}
    rm -rf "$out/run"
    mkdir "$out/run"
    check "zlog: $name runs" sh -c "cd '$out/run' && '$program' $top/examples/migrate/zlog/bank.conf $top/examples/migrate/zlog/later.conf >stdout"
    sort "$out/run/stdout" >"$out/run/sorted" # the program's function and the console are two outputs
    for file in bank.log parts.log debug.log others.log later.log sorted; do
        sed -E 's/^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}/TIME/' "$out/run/$file" >"$out/got"
        case $name in
        original-O0) cp "$out/got" "$out/want.$file"; check "zlog: $file: something comes" [ -s "$out/got" ] ;;
        *) same "zlog: $name: $file" "$out/want.$file" "$out/got" ;;
        esac
    done
done
refused() { # configuration, what mlog_why() must say
    printf '%b' "$1" >"$out/bad.conf"
    check "zlog: refused: $2" sh -c "'$out/zlog.refused' '$out/bad.conf' | grep -qF '$2'"
}
cat >"$out/refused.c" <<'END'
#include "metalog.h"
#include <stdio.h>
int main(int argc, char **argv) { return argc > 1 && zlog_init(argv[1]) != 0 ? puts(mlog_why()) < 0 : 2; }
END
check "zlog: refused" "$GCC" -DMETALOG_SHIM_ZLOG -I. "$out/refused.c" "$out/zlog.metalog.o" -o "$out/zlog.refused" -pthread
refused '[rules]\nx.NONE >stdout\n' 'line 2, "NONE": expected a level'
refused '[rules]\n*.* >nowhere\n' 'line 2, "nowhere": expected stdout or stderr'
refused '[formats]\nf = "%Q"\n[rules]\n*.* >stdout; g\n' 'line 4, "g": expected a name of [formats]'
refused '[formats]\nf = "%Q"\n[rules]\n*.* >stdout; f\n' 'sink pattern, column'
refused '[rules]\n*.* "%d.log"\n' 'expected a path in quotes'
refused '[what]\n' 'line 1, "[what]": expected [global]'
refused 'x\n' 'line 1, "x": expected [global]'
refused '' 'at least one rule'
check "zlog: no such file" sh -c "'$out/zlog.refused' /nowhere | grep -qF 'expected a configuration file'"

# ---- GLib: the library itself is the original; its writer becomes metalog ----
if pkg-config --exists glib-2.0; then
    cflags=$(pkg-config --cflags glib-2.0 | sed 's/-I/-isystem /g') libs=$(pkg-config --libs glib-2.0)
    for c in "$CLANG" "$GCC"; do
        # shellcheck disable=SC2086
        check "glib: implementation: $c" "$c" $STRICT -O0 -DMETALOG_SHIM_GLIB -DMETALOG_IMPLEMENTATION -x c -c metalog.h -o "$out/glib.plain.o"
        # shellcheck disable=SC2086
        check "glib: implementation with glib.h: $c" "$c" $STRICT -O0 $cflags -DMETALOG_SHIM_GLIB -DMETALOG_IMPLEMENTATION -x c -c metalog.h -o "$out/glib.metalog.o"
    done
    # shellcheck disable=SC2086
    check "glib: preload" "$GCC" -Wall -Wextra -Werror -O1 -shared -fPIC -DMETALOG_PRELOAD -x c metalog.h -o "$out/libmetalog.so" -pthread -lm
    build glib original "$cflags" "$libs"
    build glib linked "$cflags" "$out/glib.metalog.o $libs"
    build glib plain "$cflags" "$out/glib.plain.o $libs"
    # "(main:12): shop-WARNING **: 10:06:41.123: text", or "** Message: …" of no domain: the level, the domain, the text
    glib_lines() {
        cat "$1" "$2" | sed -nE 's/^\*\* \(process:[0-9]+\): ([A-Z]+) \*\*: /none-\1 **: /; s/^\*\* ([A-Za-z]+): /none-\1: /;
            s/^\([^)]*\): //; s/^([a-z.-]+)-([A-Za-z]+)( \*\*)?: [0-9:.]+: (.*)/\2 \1 \4/p' | tr '[:upper:]' '[:lower:]' | sort
    }
    glib_records='({crit: "critical", fatal: "error", warn: "warning", notice: "message"}[.level] // .level) + " " +
        (if .source == "glib" then "none" else .source end) + " " + (.msg | ascii_downcase)'
    for case in "" ":fatal" ":error" ":critical" "all:" "shop shop.till:" "shop-stock:error"; do # G_MESSAGES_DEBUG:how it ends
        debug=${case%:*} how=${case#*:}
        for program in $(programs glib) preloaded; do
            name=${program##*/glib.} preload=
            [ "$program" = preloaded ] && program=$out/glib.original-O2 preload=$out/libmetalog.so
            # shellcheck disable=SC2086
            (METALOG_FILE=${preload:+$out/preloaded} G_MESSAGES_DEBUG=$debug LD_PRELOAD=$preload "$program" $how >"$out/stdout" 2>"$out/stderr"
                echo "status $?" >"$out/status") 2>/dev/null
            [ -z "$preload" ] || mv "$out/preloaded" "$out/stderr"
            case $name in
            original-O0)
                glib_lines "$out/stdout" "$out/stderr" >"$out/want"; cp "$out/status" "$out/want.status"
                check "glib '$debug' $how: something comes" [ "$(wc -l <"$out/want")" -ge 6 ] ;;
            original-*) glib_lines "$out/stdout" "$out/stderr" | diff "$out/want" - >/dev/null || check "glib '$debug' $how: $name" false ;;
            *)
                messages "$glib_records" "$out/stderr" | sort >"$out/got"
                same "glib '$debug' $how: $name" "$out/want" "$out/got"
                same "glib '$debug' $how: $name: its end" "$out/want.status" "$out/status"
                [ -n "$how" ] || # a program that is killed loses its standard output
                    check "glib '$debug' $how: $name: handler" [ "$(grep -c '^handled: noisy: not for everybody' "$out/stdout")" = 1 ]
                check "glib '$debug' $how: $name: fields" [ "$(messages 'select(.CUSTOMER == "ann" and .TILL == "4") | .source' "$out/stderr")" = shop.till ]
                check "glib '$debug' $how: $name: places" [ "$(messages 'select(.msg == "shelf 1 done") | .at' "$out/stderr")" = stock.c:11 ] ;;
            esac
        done
    done
    for program in "gio info /etc/passwd" "gapplication list-apps"; do # as Debian has them
        rm -f "$out/real"
        command -v "${program%% *}" >/dev/null || continue
        G_MESSAGES_DEBUG=all METALOG_FILE=$out/real LD_PRELOAD=$out/libmetalog.so $program >"$out/stdout" 2>"$out/stderr"
        check "glib: $program" [ "$(jq -r 'select(.source == "GLib-GIO" and .level == "debug") | .source' "$out/real" | head -n 1)" = GLib-GIO ]
    done
    check "glib: no debug without asking" sh -c "'$out/glib.linked-O2' 2>&1 >/dev/null | grep -c debug | grep -qx 0"
    check "glib: level rules ask, too" sh -c "METALOG=debug '$out/glib.linked-O2' 2>&1 >/dev/null | grep -q 'debug of shop'"
else
    echo "GLib is not there: not compared"
fi

# ---- a logger of the project's own ----
for c in "$GCC -O0" "$CLANG -O2"; do
    check "own: $c" sh -c "cd examples/migrate/own && $c $warn *.c -o '$out/own.original' &&
        $c $warn -I'$top' -DUSE_METALOG *.c '$out/logc.metalog.o' -o '$out/own.metalog' -pthread"
    "$out/own.original" 2>"$out/want"
    METALOG=debug "$out/own.metalog" 2>"$out/stderr"
    check "own: something comes" [ "$(wc -l <"$out/want")" = 10 ]
    sed -E 's/ [a-z_]+: /: /' "$out/want" >"$out/want.json"
    messages '(.level | ascii_upcase) + " " + .at + ": " + .msg' "$out/stderr" >"$out/got"
    same "own: $c" "$out/want.json" "$out/got"
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
