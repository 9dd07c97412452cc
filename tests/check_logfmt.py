#!/usr/bin/env python3
"""Strict reader of LOGFMT lines as metalog.h writes them: from the files given, or from standard input.

Refuses, with file:line and the reason: a torn last line, invalid UTF-8, raw control characters (C0, DEL, C1, U+2028, U+2029), two
blanks in a row, a key or a bare value with a character that needs quotes (blank, =, ", ', backslash), an empty bare value, an escape
that is not JSON's, a key that stands twice, and a line that does not begin with ts, level, msg, source, at, thread.

    check_logfmt.py [--count N] [FILE ...]     N lines in all
    check_logfmt.py --same JSON LOGFMT         the same records in both files, field by field; keys but for what LOGFMT replaces by _
    check_logfmt.py --self-test
"""
import argparse
import json
import re
import sys

LEVELS = {"trace", "debug", "info", "notice", "warn", "error", "crit", "alert", "fatal"}
FIRST = ["ts", "level", "msg", "source", "at", "thread"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", re.ASCII)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BARE = re.compile("[^\x00-\x20=\"'\\\\\x7f-\x9f]+")
QUOTED = re.compile(r'"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')


class Bad(Exception):
    pass


class Bare(str):
    """A value without quotes."""


def parse(line):
    """The pairs of one line, without its newline, in their order."""
    try:
        text = line.decode("utf-8", "strict")
    except UnicodeDecodeError as e:
        raise Bad(f"invalid UTF-8 at byte {e.start}")
    found = CONTROL.search(text)
    if found:
        raise Bad(f"a raw control character U+{ord(found.group()):04X}")
    pairs, at = [], 0
    while True:
        key = BARE.match(text, at)
        if not key or text[key.end():key.end() + 1] != "=":
            raise Bad(f"no key= in column {at + 1}")
        at = key.end() + 1
        quoted, bare = QUOTED.match(text, at), BARE.match(text, at)
        if quoted:
            value, at = json.loads(quoted.group()), quoted.end()
        elif bare:
            value, at = Bare(bare.group()), bare.end()
        else:
            raise Bad(f"no value in column {at + 1}")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise Bad("a lone surrogate")
        if key.group() in dict(pairs):
            raise Bad(f"the key {key.group()!r} stands twice")
        pairs.append((key.group(), value))
        if at == len(text):
            return pairs
        if text[at] != " ":
            raise Bad(f"no blank behind the value in column {at + 1}")
        at += 1


def check(line):
    pairs = parse(line)
    names = [k for k, _ in pairs]
    if names[:6] != FIRST:
        raise Bad(f"begins with {names[:6]}")
    record = dict(pairs)
    if not TIME.fullmatch(record["ts"]):
        raise Bad(f"ts is not RFC 3339 with nine digits and Z: {record['ts']!r}")
    if record["level"] not in LEVELS:
        raise Bad(f"no such level: {record['level']!r}")
    return pairs


def read(name, stream):
    good = bad = 0
    for n, line in enumerate(stream, 1):
        try:
            if not line.endswith(b"\n"):
                raise Bad("a torn line")
            check(line[:-1])
            good += 1
        except Bad as e:
            bad += 1
            print(f"{name}:{n}: {e}")
    return good, bad


class Number(str):
    """A number of the JSON file, as it is written."""


def equal(want, got):
    """A value of the JSON line, and what LOGFMT made of it."""
    if want is None or isinstance(want, (bool, Number)):
        return isinstance(got, Bare) and got == ({None: "null", True: "true", False: "false"}.get(want, want))
    if isinstance(want, str):
        return got == want and not (want == "null" and isinstance(got, Bare))
    return not isinstance(got, Bare) and json.loads(got, parse_int=Number, parse_float=Number) == want


def same(json_name, logfmt_name):
    wrong = 0
    with open(json_name, "rb") as a, open(logfmt_name, "rb") as b:
        left, right = a.read().split(b"\n"), b.read().split(b"\n")
    if len(left) != len(right) or len(left) < 2:
        print(f"{len(left)} and {len(right)} lines")
        return False
    for n, (j, f) in enumerate(zip(left[:-1], right[:-1]), 1):
        try:
            want, got = list(json.loads(j, parse_int=Number, parse_float=Number).items()), check(f)
        except (Bad, ValueError) as e:
            print(f"line {n}: {e}")
            wrong += 1
            continue
        if len(want) != len(got):
            print(f"line {n}: {len(want)} and {len(got)} fields")
            wrong += 1
            continue
        for (wk, wv), (gk, gv) in zip(want, got):
            plain = re.sub("[\x00-\x20=\"'\\\\\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]", "_", wk) or "_"
            if not equal(wv, gv) or not re.fullmatch(re.escape(plain.rstrip("0123456789")) + "[0-9_]*", gk):
                print(f"line {n}: {wk!r}: {wv!r} became {gk!r}: {gv!r}")
                wrong += 1
    return not wrong


def self_test():
    head = "ts=2024-02-29T23:59:59.000000001Z level=info msg=\"a b\" source=s at=f.c:1 thread=7"
    good = ["", " k=v", ' k="a \\"b\\" \\u001b\\n"', " k=null l=\"null\"", ' k=""', " \u00e9=\u00fc", ' k="[1,\\"x\\"]"']
    bad = [(" k=a  l=b", "no key="), (" k", "no key="), (" k=", "no value"), (" =v", "no key="), (" k=a=b", "no blank"), (" k=a\"b", "no blank"),
           (" k='a'", "no value"), (' k="a', "no value"), (' k="a"b', "no blank"), (' k="\\x1b"', "no value"), (" k=\x1b", "raw control"),
           (" k=1 k=2", "twice"), (" ts=1", "twice"), (" k=a\u2028b", "raw control"), (' k="\\ud800"', "surrogate"), (" ", "no key="), (" k=a\\b", "no blank")]
    failed = 0
    for tail in good:
        try:
            check((head + tail).encode())
        except Bad as e:
            failed += 1
            print(f"FAIL refused {tail!r}: {e}")
    for tail, want in bad:
        try:
            check((head + tail).encode())
            failed += 1
            print(f"FAIL accepted {tail!r}")
        except Bad as e:
            if want not in str(e):
                failed += 1
                print(f"FAIL {tail!r}: {e}, not {want!r}")
    others = [(head.replace("level=info", "level=bad").encode(), "no such level"), (head.replace("T23", " 23").encode(), "no key="), (head.replace(" at=f.c:1", "").encode(), "begins with"),
              (head.encode() + b" k=\xff", "invalid UTF-8"), (head.replace("001Z", "001").encode(), "ts is not")]
    for line, want in others:
        try:
            check(line)
            failed += 1
            print(f"FAIL accepted {line!r}")
        except Bad as e:
            if want not in str(e):
                failed += 1
                print(f"FAIL {line!r}: {e}, not {want!r}")
    values = [(None, Bare("null"), True), (None, "null", False), ("null", "null", True), ("null", Bare("null"), False), (Number("1.0"), Bare("1.0"), True),
              (Number("1.0"), Bare("1"), False), ([Number("1")], "[1]", True), ([Number("1")], Bare("[1]"), False), (True, Bare("true"), True), ("a", Bare("a"), True)]
    for want, got, result in values:
        if equal(want, got) != result:
            failed += 1
            print(f"FAIL equal({want!r}, {got!r}) is not {result}")
    total = len(good) + len(bad) + len(others) + len(values)
    print(f"{total - failed} passed, {failed} failed")
    return not failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="*")
    p.add_argument("--count", type=int)
    p.add_argument("--same", nargs=2)
    p.add_argument("--self-test", action="store_true")
    a = p.parse_args()
    if a.self_test:
        return self_test()
    if a.same:
        return same(*a.same)
    good = bad = 0
    for name in a.files or ["-"]:
        with (sys.stdin.buffer if name == "-" else open(name, "rb")) as stream:
            g, b = read(name, stream)
        good, bad = good + g, bad + b
    if a.count is not None and good + bad != a.count:
        print(f"{good + bad} lines, expected {a.count}")
        return False
    return not bad


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
