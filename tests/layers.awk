# Checks the layering of metalog.h and reports the lengths of its functions. POSIX awk:   awk -f tests/layers.awk metalog.h
#
# The implementation is a row of sections, each opened by a banner:
#
#     /* ==== ring ====
#      * owns: the rings …
#      * may call: platform clock record        (may go on in lines that are indented further; "nothing" for none)
#      … */
#
# A private function is named mlog__<section>_<verb>. Refused, with file:line: a use of another section's function (a call, or its
# name) that the banner of the user does not allow and that is not declared in the section `seams`; a private function whose prefix
# is not its section's; an unknown name in a banner; a banner without "may call:"; a function of more than 80 lines.
# The file is read twice in effect: uses are kept and judged at the end, when all sections and functions are known.

BEGIN { LIMIT = 80 }

function fail(where, text) { print where ": " text; failures++ }

# ---- text without comments, strings and character constants, so that braces and names are code; keeps the state over lines ----

function code_of(text,    out, at, close_at) {
    out = ""
    has_comment = in_comment
    while (text != "") {
        if (in_comment) {
            has_comment = 1
            at = index(text, "*/")
            if (!at) return out
            text = substr(text, at + 2)
            in_comment = 0
            continue
        }
        if (!match(text, /\/\*|\/\/|"|'/)) return out text
        out = out substr(text, 1, RSTART - 1)
        at = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (at == "/*") in_comment = 1
        else if (at == "//") { has_comment = 1; return out }
        else {
            while (match(text, /[\\"']/)) { # to the end of the literal
                close_at = substr(text, RSTART, 1)
                text = substr(text, RSTART + (close_at == "\\" ? 2 : 1))
                if (close_at == at) break
            }
            out = out (at == "\"" ? "\"\"" : "0")
        }
    }
    return out
}

# ---- banners ----

function banner_line(text,    n, i, words, name) {
    if (text ~ /^ \* may call:/) {
        sub(/^ \* may call:/, "", text)
        taking = 1
        has_calls[section] = 1
    } else if (!(taking && text ~ /^ \*   +[a-z]/)) {
        taking = 0
        return
    }
    sub(/\*\/.*/, "", text)
    gsub(/[^a-z0-9]+/, " ", text)
    n = split(text, words, " ")
    for (i = 1; i <= n; i++) {
        name = words[i]
        if (name == "nothing") continue
        allowed[section, name] = 1
        named[++nnamed] = name
        named_at[nnamed] = FILENAME ":" FNR
    }
}

# ---- functions: the text at depth 0 since the last ; or } that ends with a parameter list before a { ----

function without_attributes(text,    at, depth, i, c) {
    while ((at = index(text, "__attribute__")) > 0) {
        depth = 0
        for (i = at + 13; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (c == "(") depth++
            else if (c == ")" && --depth == 0) break
        }
        text = substr(text, 1, at - 1) " " substr(text, i + 1)
    }
    return text
}

function name_of(text,    depth, i, c) {
    text = without_attributes(text)
    sub(/[ \t]+$/, "", text)
    if (text !~ /\)$/ || text ~ /=/) return ""
    depth = 0
    for (i = length(text); i > 0; i--) {
        c = substr(text, i, 1)
        if (c == ")") depth++
        else if (c == "(" && --depth == 0) break
    }
    text = substr(text, 1, i - 1)
    sub(/[ \t]+$/, "", text)
    if (!match(text, /[A-Za-z_][A-Za-z0-9_]*$/)) return ""
    return substr(text, RSTART)
}

function function_ends() {
    if (function_name == "") return
    lengths[++count] = FNR - function_line + 1
    length_name[count] = function_name " (" FILENAME ":" function_line ")"
    if (lengths[count] > LIMIT) fail(FILENAME ":" function_line, function_name " has " lengths[count] " lines, more than " LIMIT)
    function_name = ""
}

function function_begins(name) {
    function_name = name
    function_line = head_line
    defined_in[name] = section
    if (name ~ /^mlog__/ && section_of(name) != section)
        fail(FILENAME ":" head_line, name " stands in the section " section ", which its name must tell: mlog__" section "_…")
}

function section_of(name) {
    sub(/^mlog__/, "", name)
    sub(/_.*/, "", name)
    return name
}

function walk(code,    c, name) {
    while (match(code, /[{};]/)) {
        c = substr(code, RSTART, 1)
        if (depth == 0) {
            if (head == "" && substr(code, 1, RSTART - 1) ~ /[^ \t]/) head_line = FNR
            head = head " " substr(code, 1, RSTART - 1)
        }
        code = substr(code, RSTART + 1)
        if (c == "{") {
            if (depth == 0 && (name = name_of(head)) != "") function_begins(name)
            depth++
        } else if (c == "}") {
            if (depth > 0) depth--
            if (depth == 0) function_ends()
        } else if (depth == 0 && section == "seams") {
            seams_take(head)
        }
        if (depth == 0) head = ""
    }
    if (depth == 0 && code ~ /[^ \t]/) {
        if (head == "") head_line = FNR
        head = head " " code
    }
}

function seams_take(text) {
    while (match(text, /mlog__[A-Za-z0-9_]+/)) {
        if (substr(text, RSTART + RLENGTH) ~ /^[ \t]*\(/) seam[substr(text, RSTART, RLENGTH)] = 1
        text = substr(text, RSTART + RLENGTH)
    }
}

# ---- uses ----

function uses_take(code,    before, name, call) {
    while (match(code, /mlog__[a-z0-9]+_[A-Za-z0-9_]+/)) {
        before = substr(code, RSTART - 1, 1)
        name = substr(code, RSTART, RLENGTH)
        code = substr(code, RSTART + RLENGTH)
        if (RSTART > 1 && before ~ /[A-Za-z0-9_]/) continue
        call = code ~ /^[ \t]*\(/
        used[++nused] = name
        used_in[nused] = section
        used_call[nused] = call
        used_at[nused] = FILENAME ":" FNR
    }
}

# ---- lines ----

{
    if (!in_comment && match($0, /^\/\* ==== [a-z0-9]+ ====/)) {
        section = $0
        sub(/^\/\* ==== /, "", section)
        sub(/ ====.*/, "", section)
        if (section in known) fail(FILENAME ":" FNR, "a second section " section)
        known[section] = 1
        banner_at[section] = FILENAME ":" FNR
        order[++nsections] = section
        in_banner = 1
        taking = 0
        function_name = head = ""
        depth = 0
    } else if (in_banner) banner_line($0)
    code = code_of($0)
    if (!in_comment) in_banner = 0
    if ($0 ~ /[^ \t]/) {
        all_lines++
        if (has_comment) all_comments++
        if (section != "") { lines++; if (has_comment) comments++ }
    }
    if (section == "") next
    directive = in_directive || code ~ /^[ \t]*#/
    in_directive = directive && code ~ /\\$/
    uses_take(code)
    if (directive) next
    # the body of a function ends at a brace in column 0, also where #if branches open more braces than they close
    if (code ~ /^}/ && depth > 1) depth = 1
    walk(code)
}

# ---- judgement and report ----

END {
    for (i = 1; i <= nsections; i++)
        if (order[i] != "seams" && !(order[i] in has_calls)) fail(banner_at[order[i]], "no \"may call:\" in the banner of " order[i])
    for (i = 1; i <= nnamed; i++)
        if (!(named[i] in known)) fail(named_at[i], "no section is called " named[i])
    for (i = 1; i <= nused; i++) {
        name = used[i]
        user = used_in[i]
        owner = (name in defined_in) ? defined_in[name] : used_call[i] ? section_of(name) : ""
        if (owner == "" || !(owner in known) || owner == user || user == "seams" || name in seam) continue
        if (!((user, owner) in allowed)) fail(used_at[i], user " may not call " owner ": " name)
    }
    for (i = 2; i <= count; i++) { # by length; insertion is fast enough for a thousand
        l = lengths[i]
        n = length_name[i]
        for (j = i - 1; j > 0 && lengths[j] > l; j--) { lengths[j + 1] = lengths[j]; length_name[j + 1] = length_name[j] }
        lengths[j + 1] = l
        length_name[j + 1] = n
    }
    if (!nsections) fail(FILENAME, "no section: a banner looks like \"/* ==== ring ====\"")
    if (count) {
        printf "%d sections, %d functions: median %d lines, 90th percentile %d, longest\n", nsections, count,
               lengths[int((count + 1) / 2)], lengths[int((9 * count + 9) / 10)]
        for (i = count; i > 0 && i > count - 10; i--) printf "  %3d  %s\n", lengths[i], length_name[i]
        printf "lines with a comment: %.0f %% of the implementation, %.0f %% of the file\n", 100 * comments / lines, 100 * all_comments / all_lines
    }
    exit failures > 0
}
