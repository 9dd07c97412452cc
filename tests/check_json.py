#!/usr/bin/env python3
"""Strict reader of JSON lines as metalog.h writes them: from the files given, or from standard input.

Refuses, with file:line and the reason: what is no JSON object a line, a torn last line, NaN and infinities (also numbers that
overflow to one), duplicate keys at any depth, invalid UTF-8, lone surrogates, raw control characters (C0, DEL, C1, U+2028, U+2029),
a missing or wrong ts, level or msg, and a ts that runs backwards within a file.

    check_json.py [--count N] [--keys a,b] [FILE ...]     N lines in all; each line has these keys, too
    check_json.py --same A B [--without ts,at]            the same objects but for these keys; numbers compare as text
    check_json.py --self-test
"""
import argparse
import json
import math
import re
import sys
from datetime import datetime

LEVELS = {"trace", "debug", "info", "notice", "warn", "error", "crit", "alert", "fatal"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", re.ASCII)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATE = re.compile("[\ud800-\udfff]")


class Bad(Exception):
    pass


def number(text):
    value = float(text)
    if not math.isfinite(value):
        raise Bad(f"the number {text} overflows")
    return value


def constant(text):
    raise Bad(f"{text} is no JSON")


def unique(pairs):
    result = {}
    for key, value in pairs:
        if key in result:
            raise Bad(f"the key {key!r} stands twice")
        result[key] = value
    return result


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)


def parse(line, **how):
    """One line, without its newline, to an object."""
    try:
        text = line.decode("utf-8", "strict")
    except UnicodeDecodeError as e:
        raise Bad(f"invalid UTF-8 at byte {e.start}")
    found = CONTROL.search(text)
    if found:
        raise Bad(f"a raw control character U+{ord(found.group()):04X}")
    how = {"parse_float": number, "parse_constant": constant, "object_pairs_hook": unique, **how}
    try:
        record = json.loads(text, **how)
    except RecursionError:
        raise Bad("too deep")
    except ValueError as e:
        raise Bad(f"no JSON: {e}")
    if not isinstance(record, dict):
        raise Bad("not an object")
    if any(SURROGATE.search(s) for s in strings(record)):
        raise Bad("a lone surrogate")
    return record


def check(line, keys=(), before=""):
    record = parse(line)
    for key in ("ts", "level", "msg", *keys):
        if key not in record:
            raise Bad(f"no {key!r}")
    ts = record["ts"]
    if not isinstance(ts, str) or not TIME.fullmatch(ts):
        raise Bad(f"ts is not RFC 3339 with nine digits and Z: {ts!r}")
    try:
        datetime.fromisoformat(ts[:19])
    except ValueError:
        raise Bad(f"ts is no date: {ts}")
    if record["level"] not in LEVELS:
        raise Bad(f"no such level: {record['level']!r}")
    if not isinstance(record["msg"], str):
        raise Bad("msg is no string")
    if ts < before:
        raise Bad(f"ts runs backwards: {ts} after {before}")
    return record


def lines_of(stream):
    """Number, line without its newline, and an error when that is missing."""
    for at, line in enumerate(stream, 1):
        whole = line.endswith(b"\n")
        yield at, line[:-1] if whole else line, None if whole else Bad("the last line is torn")


def read(name, stream, keys):
    good, bad, before = 0, 0, ""
    for at, line, torn in lines_of(stream):
        try:
            if torn:
                raise torn
            before = check(line, keys, before)["ts"]
            good += 1
        except Bad as e:
            bad += 1
            print(f"{name}:{at}: {e}")
    return good, bad


def same(first, second, without):
    def load(name):
        with open(name, "rb") as stream:
            for at, line, torn in lines_of(stream):
                try:
                    if torn:
                        raise torn
                    record = parse(line, parse_float=str, parse_int=str)
                except Bad as e:
                    sys.exit(f"{name}:{at}: {e}")
                yield {key: value for key, value in record.items() if key not in without}

    a, b = list(load(first)), list(load(second))
    differ = [at for at, (x, y) in enumerate(zip(a, b), 1) if list(x.items()) != list(y.items())]
    for at in differ:
        print(f"{first}:{at}: {a[at - 1]}\n{second}:{at}: {b[at - 1]}")
    if len(a) != len(b):
        print(f"{first} has {len(a)} lines, {second} {len(b)}")
    return not differ and len(a) == len(b) > 0


def self_test():
    head = b'{"ts":"2024-02-29T23:59:59.000000001Z","level":"info","msg":"m"'
    good = [
        head + b"}",
        head + b',"n":-0.5e-7,"big":18446744073709551615,"t":"\\u0000\\ud83d\\ude00 \xf0\x9f\x98\x80","a":[{"k":1},{"k":null}]}',
    ]
    bad = [
        (b"", "no JSON"),
        (b"[]", "not an object"),
        (b"\xef\xbb\xbf" + head + b"}", "no JSON"),
        (head, "no JSON"),
        (head + b"} {}", "no JSON"),
        (head + b',"x":NaN}', "NaN"),
        (head + b',"x":-Infinity}', "-Infinity"),
        (head + b',"x":1e999}', "overflows"),
        (head + b',"x":01}', "no JSON"),
        (head + b',"x":1.}', "no JSON"),
        (head + b',"msg":"again"}', "stands twice"),
        (head + b',"a":{"k":1,"k":2}}', "stands twice"),
        (head + b',"x":"\xff"}', "invalid UTF-8"),
        (head + b',"x":"\xc0\xaf"}', "invalid UTF-8"),
        (head + b',"x":"\xed\xa0\x80"}', "invalid UTF-8"),
        (head + b',"x":"\\ud800"}', "lone surrogate"),
        (head + b',"\\udc00":1}', "lone surrogate"),
        (head + b',"x":"\x1b[31m"}', "control character"),
        (head + b',"x":"\x7f"}', "control character"),
        (head + b',"x":"\xc2\x85"}', "control character"),
        (head + b',"x":"\xe2\x80\xa8"}', "control character"),
        (head + b'}\r', "control character"),
        (b'{"level":"info","msg":"m"}', "no 'ts'"),
        (b'{"ts":"2024-02-29T23:59:59.000000001Z","msg":"m"}', "no 'level'"),
        (b'{"ts":"2024-02-29T23:59:59.000000001Z","level":"info"}', "no 'msg'"),
        (b'{"ts":"2024-02-29T23:59:59.000000001Z","level":"INFO","msg":"m"}', "no such level"),
        (b'{"ts":"2024-02-29T23:59:59.000000001Z","level":"info","msg":1}', "msg is no string"),
        (b'{"ts":"2024-02-29T23:59:59.001Z","level":"info","msg":"m"}', "nine digits"),
        (b'{"ts":"2024-02-29T23:59:59.000000001+00:00","level":"info","msg":"m"}', "nine digits"),
        (b'{"ts":1709251199,"level":"info","msg":"m"}', "nine digits"),
        (b'{"ts":"2023-02-29T23:59:59.000000001Z","level":"info","msg":"m"}', "no date"),
    ]
    failed = 0
    for line in good:
        try:
            check(line)
        except Bad as e:
            failed += 1
            print(f"FAIL refused: {line!r}: {e}")
    for line, want in bad:
        try:
            check(line)
            failed += 1
            print(f"FAIL accepted: {line!r}")
        except Bad as e:
            if want not in str(e):
                failed += 1
                print(f"FAIL {line!r}: {e}, not {want!r}")
    total = len(good) + len(bad) + 2
    try:
        check(good[0], before="2024-02-29T23:59:59.000000002Z")
        failed += 1
        print("FAIL accepted a ts that runs backwards")
    except Bad:
        pass
    if [torn is None for _, _, torn in lines_of([good[0] + b"\n", good[0]])] != [True, False]:
        failed += 1
        print("FAIL accepted a torn line")
    print(f"{total - failed} passed, {failed} failed")
    return not failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="*")
    p.add_argument("--count", type=int)
    p.add_argument("--keys", default="")
    p.add_argument("--same", nargs=2)
    p.add_argument("--without", default="")
    p.add_argument("--self-test", action="store_true")
    a = p.parse_args()
    if a.self_test:
        return self_test()
    if a.same:
        return same(*a.same, set(a.without.split(",")))
    keys = [k for k in a.keys.split(",") if k]
    good = bad = 0
    for name in a.files or ["-"]:
        with (sys.stdin.buffer if name == "-" else open(name, "rb")) as stream:
            g, b = read(name, stream, keys)
        good, bad = good + g, bad + b
    if a.count is not None and good + bad != a.count:
        print(f"{good + bad} lines, expected {a.count}")
        return False
    return not bad


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
