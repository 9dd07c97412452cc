#!/bin/sh
# Compiles every ```c block of the README with all warnings: a block that begins with "// file: name.c" is a whole program and is
# also run; the others are taken as declarations if they define functions (a line that begins with "static"), else as statements.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}" "${CLANG:=clang}" "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
out=build/readme
rm -rf $out
mkdir -p $out/run
passed=0 failed=0
check() { # name, command
    label=$1; shift
    if "$@" >$out/log 2>&1; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $label"
        head -n 12 $out/log
    fi
}

awk -v out=$out '
    /^```c$/ { taking = 1; text = ""; name = ""; functions = 0; start = NR; next }
    /^```$/ && taking {
        taking = 0
        if (name == "") {
            file = out "/line" start ".c"
            head = "#include \"metalog.h\"\n"
            if (!functions) text = "void block(void);\nvoid block(void) {\n" text "}\n"
            text = head "#pragma GCC diagnostic ignored \"-Wunused-function\"\n#line " start + 1 " \"README.md\"\n" text
        } else file = out "/" name
        printf "%s", text >file
        close(file)
        next
    }
    taking && /^\/\/ file: / { name = $3 }
    taking && /^static / { functions = 1 }
    taking { text = text $0 "\n" }
    END { if (taking) exit 1 }
' README.md || { echo "a block of the README does not end"; failed=1; }

for f in "$out"/*.c; do
    name=${f##*/} name=${name%.c}
    for c in "$GCC" "$CLANG"; do
        case $name in
        line*)
            # shellcheck disable=SC2086
            check "$c README.md:${name#line}" "$c" $STRICT -I. -c "$f" -o "$out/$name.o"
            ;;
        *)
            # shellcheck disable=SC2086
            check "$c $name.c" "$c" $STRICT -O2 -I. "$f" -o "$out/$name" -pthread
            check "$name runs" sh -c "cd $out/run && timeout 20 ../$name 2>$name.json"
            check "$name logs JSON" python3 tests/check_json.py "$out/run/$name.json"
            for log in "$out"/run/*.log; do [ ! -e "$log" ] || check "$name writes JSON" python3 tests/check_json.py "$log"; done
            ;;
        esac
    done
done

# the figures and outputs must have been filled in, and the two commands stand there as they are
check "the README names both commands" sh -c "grep -q 'apt-get install -y make && make demo' README.md && grep -q '^    make test' README.md"
check "no placeholder is left" sh -c "! grep -n '<!-- output of' README.md"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
