# Reads metalog.h; two uses. Without -v list=1 it prints the header with every memory order stronger than relaxed under a switch: line N is
# relaxed when mutant_line == N, so that one program holds all mutants (a compiler makes a branch of an order that is no constant).
# With -v list=1 it prints "LINE LABEL FUNCTION" for each line that has one. Fences make no mutants here: ThreadSanitizer knows none.
function label_of(text) { return match(text, /[A-Z][A-Z][A-Z][A-Z]+-[0-9]+/) ? substr(text, RSTART, RLENGTH) : "" }
{ line[NR] = $0 }
/^[a-zA-Z_].*\(.*\) *\{/ && match($0, /mlog[0-9]?_+[a-z0-9_]+\(/) { name = substr($0, RSTART, RLENGTH - 1) }
{
    code = $0
    sub(/\/\*.*/, "", code)
    order = code ~ /ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)/ && code !~ /_fence/
    if (!list) {
        if (order) {
            tail = substr($0, length(code) + 1)
            gsub(/__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)/, "MUTANT(" NR ", &)", code)
            print code tail
        } else print
        next
    }
    function_of[NR] = name
    is[NR] = order
}
END {
    for (i = 1; list && i <= NR; i++) {
        if (!is[i]) continue
        code = line[i]
        sub(/\/\*.*/, "", code)
        l = label_of(substr(line[i], length(code) + 1))
        if (l == "" && line[i - 1] ~ /^ *\/\*.*\*\/ *$/) l = label_of(line[i - 1])
        for (k = i + 1; l == "" && k < i + 3; k++) l = label_of(line[k])
        print i, l, function_of[i]
    }
}
