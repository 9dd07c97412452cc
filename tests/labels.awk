# Holds metalog.h to invariant 5: every atomic access, fence and membarrier carries a label that a table defines. POSIX awk:
#   awk -f tests/labels.awk metalog.h
# A label stands on a line of the statement, or in a comment of its own right above. No label needs an owner's relaxed load of its own
# index: of t->head and r->head, in the sections ring and thread. A table is made of comment lines " *   LABEL  text", one a label.
# Refused, with file:line: an access without a label; a label without a line in a table, or with two; a line that nothing uses; a
# label with a release and no acquire to pair with, or the other way round, unless its line says that it is for a reader after a crash.

function fail(where, text) { print where ": " text; failures++ }

# The first label at or behind `at` in text: FOUND is it, and REST what follows. UTF-8 and the like are no labels.
function next_label(text) {
    while (match(text, /[A-Z][A-Z][A-Z][A-Z]+-[0-9]+/)) {
        FOUND = substr(text, RSTART, RLENGTH)
        REST = substr(text, RSTART + RLENGTH)
        return 1
    }
    return 0
}

function close_statement(    text, n) {
    if (!open) return
    open = 0
    n = 0
    text = above "\n" statement
    while (next_label(text)) {
        n++
        text = REST
        used[FOUND] = used[FOUND] " " FILENAME ":" at
        if (statement ~ /ATOMIC_(RELEASE|ACQ_REL|SEQ_CST)/) gives[FOUND] = 1
        if (statement ~ /ATOMIC_(ACQUIRE|ACQ_REL|SEQ_CST)/) takes[FOUND] = 1
        if (statement ~ /_fence|membarrier/) gives[FOUND] = takes[FOUND] = 1
    }
    if (n == 0 && !own) fail(FILENAME ":" at, "an atomic access without a label: " first)
}

/^\/\* ==== / { section = $3 }

# a line of a table
match($0, /^ \*   [A-Z][A-Z][A-Z][A-Z]+-[0-9]+  *[^ ]/) && next_label($0) {
    if (FOUND in defined) fail(FILENAME ":" FNR, FOUND " has two lines: see line " defined[FOUND])
    defined[FOUND] = FNR
    if ($0 ~ /after a crash/) alone[FOUND] = 1
}

{
    comment = $0 ~ /^ *\/\*.*\*\/ *$/ || $0 ~ /^ ?\*/
    code = $0
    sub(/\/\*.*/, "", code)
}
!open && !comment && code ~ /__atomic_|SYS_membarrier|platform_membarrier\(/ {
    open = 1
    depth = 0
    at = FNR
    statement = ""
    first = code
    sub(/^ */, "", first)
    own = (section == "ring" || section == "thread") && gsub(/__atomic_/, "&", code) == 1 &&
          code ~ /__atomic_load_n\((t->head|&r->head|&t->ring->head), __ATOMIC_RELAXED\)/
    above = last_comment ? last : ""
}
open {
    statement = statement "\n" $0
    depth += gsub(/\(/, "(", code) - gsub(/\)/, ")", code)
    if (code ~ /[;{}] *$/ || (depth <= 0 && code ~ /\) *$/)) close_statement()
}
{
    last_comment = $0 ~ /^ *\/\*.*\*\/ *$/
    last = $0
}

END {
    for (l in used) if (!(l in defined)) fail(substr(used[l], 2), l " has no line in a table")
    for (l in defined) {
        if (!(l in used)) fail(FILENAME ":" defined[l], l " is used nowhere")
        else if (gives[l] && !takes[l] && !alone[l]) fail(substr(used[l], 2), l " is released, and acquired nowhere")
        else if (takes[l] && !gives[l]) fail(substr(used[l], 2), l " is acquired, and released nowhere")
    }
    exit failures > 0
}
