# Lists the mutants of memory orders: for each line of metalog.h that has an order stronger than relaxed (not a signal fence, which
# makes no instruction), "LINE LABEL FUNCTION". The label is that of the line, else of the comment right above, else of the line below.
function label_of(text) { return match(text, /[A-Z][A-Z][A-Z][A-Z]+-[0-9]+/) ? substr(text, RSTART, RLENGTH) : "" }
{ line[NR] = $0 }
/^[a-zA-Z_].*\(.*\{/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); if (name == "__attribute__") { name = $0; sub(/.*[ *]mlog_/, "mlog_", name); sub(/\(.*/, "", name) } }
{ function_of[NR] = name }
/^[a-zA-Z_].*\($/ { }
END {
    for (i = 1; i <= NR; i++) {
        code = line[i]
        sub(/\/\*.*/, "", code)
        if (code !~ /ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)/ || code ~ /signal_fence/) continue
        l = label_of(substr(line[i], length(code) + 1))
        if (l == "" && line[i - 1] ~ /^ *\/\*.*\*\/ *$/) l = label_of(line[i - 1])
        for (k = i + 1; l == "" && k < i + 3; k++) l = label_of(line[k])
        print i, (l == "" ? "?" : l), function_of[i]
    }
}
