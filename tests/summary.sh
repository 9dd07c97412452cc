#!/bin/sh
# Adds up what tests/part.sh left for the parts given, and prints the closing line. A part without a result counts as failed.
set -u
passed=0 failed=0 bad=
for part; do
    p=0 f=1
    [ -s "build/results/$part" ] && read -r p f <"build/results/$part"
    passed=$((passed + p)) failed=$((failed + f))
    [ "$f" = 0 ] || bad="$bad $part"
done
[ -z "$bad" ] || echo "failed:$bad"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
