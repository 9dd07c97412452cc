#!/bin/sh
# The check of labels (invariant 5) on metalog.h, after it has proved on fixtures that it finds what it shall find.
set -u
cd "$(dirname "$0")/.." || exit 2
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }

for f in tests/labels/*.h; do
    out=$(awk -f tests/labels.awk "$f") && status=0 || status=$?
    want=$(sed -n '1s/.*expect: \(.*\) \*\/$/\1/p' "$f")
    case $want in
    "") if [ $status = 0 ]; then ok; else bad "$f must pass: $out"; fi ;;
    *)
        hits=$(printf '%s\n' "$out" | grep -c '^[^ ]*:[0-9]*: ')
        if [ $status != 0 ] && [ "$hits" = 1 ] && printf '%s\n' "$out" | grep -qF "$want"; then ok
        else bad "$f must give, alone, '$want'; gave: $out"; fi
        ;;
    esac
done
if awk -f tests/labels.awk metalog.h; then ok; else bad "metalog.h, see above"; fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
