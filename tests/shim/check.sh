# What the scripts of the shims share: checks that count; $out is where their output goes.
passed=0 failed=0
check() { # name, command
    label=$1; shift
    if "$@" >"$out/log" 2>&1; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $label: $*"
        head -n 12 "$out/log"
    fi
}
same() { check "$1: the same messages" diff "$2" "$3"; }
