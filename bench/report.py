#!/usr/bin/env python3
"""What is made of the benchmark's results.

report.py compile RESULT MODE     measures compile times and code sizes, and appends their rows
report.py table RESULT            prints the table
report.py svg RESULT PICTURE      draws the picture
report.py check RESULT RECORDED   compares the ratios with the recorded ones; fails when one is worse than noise explains
report.py record RESULT           writes bench/recorded.tsv, bench/bench.svg and the table in README.md
report.py complete RESULT         fails unless every row has a figure, or says why it has none (for the tests)
"""
import math
import os
import subprocess
import sys
import time
from xml.sax.saxutils import escape

COLUMNS = ("group row unit median min max ratio ratio_min ratio_max ratio_to runs handover_ns phase other_load steal disturbed "
           "repeated note").split()
ABSENT = ("not built", "not installed", "not available", "no session daemon")


def load(path):
    heads, rows = [], []
    with open(path) as f:
        for text in f:
            text = text.rstrip("\n")
            if text.startswith("# "):
                heads.append(text[2:])
            elif not text.startswith("group\t"):
                row = dict(zip(COLUMNS, text.split("\t")))
                for key in "median min max ratio ratio_min ratio_max handover_ns other_load steal".split():
                    row[key] = float(row[key]) if row.get(key) else None
                row["runs"], row["disturbed"] = int(row["runs"]), int(row["disturbed"])
                rows.append(row)
    order = list(dict.fromkeys(row["group"] for row in rows))
    return heads, sorted(rows, key=lambda row: order.index(row["group"]))


def figure(x):
    if x is None:
        return "-"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"


# ---- compile times and sizes: medians of interleaved runs, as in the others ----

def source(calls, printf):
    out = ["#include <stdio.h>" if printf else '#include "metalog.h"']
    for first in range(0, calls, 20):
        out.append(f"void f{first}(long a, double b, int c);\nvoid f{first}(long a, double b, int c) {{")
        for i in range(first, min(first + 20, calls)):
            out.append(f'printf("message {i} a=%ld b=%f c=%d\\n", a, b, c);' if printf else f'mlog_info("message {i}", "a", a, "b", b, "c", c);')
        out.append("}")
    return "\n".join(out) + "\nint nothing;\n"


def jiffies():
    with open("/proc/stat") as f:
        return [int(x) for x in f.readline().split()[1:9]]


def seconds(compiler, path):
    start = time.monotonic()
    subprocess.run([compiler, "-std=c11", "-O2", "-I.", "-c", path, "-o", path + ".o"], check=True)
    return time.monotonic() - start


def size(path, kinds):
    out = subprocess.run(["size", "-A", path], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[1]) for line in out.splitlines() if line.startswith(kinds))


def compile_rows(path, mode):
    many, runs = (1000, 5) if mode == "full" else (200, 5) if mode == "quick" else (20, 1)
    base = os.path.dirname(path) + "/calls"
    for n in (0, 1, many):
        for printf in (False, True):
            with open(f"{base}{n}{'p' if printf else 'm'}.c", "w") as f:
                f.write(source(n, printf))
    lines = []
    for compiler in (os.environ.get("GCC", "gcc"), os.environ.get("CLANG", "clang")):
        if subprocess.run(["sh", "-c", "command -v " + compiler], stdout=subprocess.DEVNULL).returncode != 0:
            lines.append(["compile", f"{compiler} -O2", "", *[""] * 7, "0", *[""] * 4, "0", "0", "not installed"])
            continue
        took = {(n, p): [] for n in (1, many) for p in "mp"}
        before, start, cpu = jiffies(), time.monotonic(), os.times()
        for _ in range(runs):
            for n, p in took:
                took[n, p].append(seconds(compiler, f"{base}{n}{p}.c"))
        after, wall, done = jiffies(), time.monotonic() - start, os.times()
        tick = os.sysconf("SC_CLK_TCK")
        own = sum(done[:4]) - sum(cpu[:4])
        other = max(0, (sum(after[i] - before[i] for i in (0, 1, 2, 5, 6)) / tick - own) / wall)
        for n in (1, many):
            mine, its = took[n, "m"], took[n, "p"]
            ratios = sorted(a / b for a, b in zip(mine, its))
            mid = sorted(mine)
            lines.append(["compile", f"{compiler} -O2, a file with {n:,} call{'s' if n > 1 else ''}", "s", f"{mid[runs // 2]:.4g}",
                          f"{mid[0]:.4g}", f"{mid[-1]:.4g}", f"{ratios[runs // 2]:.4g}", f"{ratios[0]:.4g}", f"{ratios[-1]:.4g}",
                          "as many printf calls", str(runs), "", "", f"{other:.2f}", f"{(after[7] - before[7]) / tick / wall:.3f}",
                          str(runs if other > 0.1 else 0), "0", ""])
        seconds(compiler, f"{base}0m.c")
        for what, kinds in (("code", (".text",)), ("data", (".data", ".rodata", ".bss"))):
            n = (size(f"{base}{many}m.c.o", kinds) - size(f"{base}0m.c.o", kinds)) / many
            lines.append(["compile", f"{compiler} -O2, {what} of a call with three arguments", "bytes", f"{n:.4g}", f"{n:.4g}", f"{n:.4g}",
                          "", "", "", "", "1", "", "", "", "", "0", "0", "a size: measured once"])
    with open(path, "a") as f:
        for line in lines:
            f.write("\t".join(line) + "\n")


# ---- the table ----

def state(row):
    words = []
    if row["phase"]:
        words.append(f"{row['phase']} {row['handover_ns']:.0f} ns")
    if row["other_load"] is not None:
        words.append(f"load {row['other_load']:.2f}")
    if row["disturbed"]:
        words.append(f"disturbed {row['disturbed']}/{row['runs']}")
    return ", ".join(words)


def table(path):
    heads, rows = load(path)
    for head in heads:
        print(head)
    print("phase: one-way hand-over of a cache line between the two cores; load: what other processes took, 1.00 is a whole CPU;")
    print("disturbed: runs during which others took more than allowed, and no repeat was left; ranges are min .. max of the runs")
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            print(f"\n{group}")
        if row["runs"] == 0:
            print(f"  {row['row']:<58} {row['note']}")
            continue
        ratio = "" if row["ratio"] is None else f"{figure(row['ratio']):>7} x {row['ratio_to']}"
        span = f"{figure(row['min'])} .. {figure(row['max'])}"
        note = f"  ({row['note']})" if row["note"] else ""
        print(f"  {row['row']:<58} {figure(row['median']):>8} {row['unit']:<9} {span:<20} {ratio:<36} {state(row)}{note}")


def asked_first(row):
    group, name = row["group"], row["row"]
    if group == "calls, counter":
        return not name.startswith("A ") or name.startswith("A  ") or row["runs"] == 0
    if group == "calls, arrival":
        return name.startswith(("floor: 32", "A  ", "B  "))
    if group == "single calls, counter":
        return name.endswith(("floor  p50", "A  p50", "floor  p99.9", "A  p99.9", "idle  floor  max", "idle  A  max"))
    if group == "lines":
        return name.startswith(("JSON", "BINARY", "floor")) or name.endswith("1 thread")
    return group in ("idle", "memory", "peers, to a file", "reading a binary log") or (group == "peers, a call" and (name.endswith("  A") or row["runs"] == 0))


def markdown(heads, rows):
    """The rows that answer what people ask first; all are in bench/recorded.tsv."""
    out = [f"Taken {heads[0].split(': ', 1)[1]} on {heads[1].split(': ', 1)[1]}; {heads[2].split(': ', 1)[1]}; gcc {heads[3].split(': ', 1)[1]}.", ""]
    loads = sorted(r["other_load"] for r in rows if r["other_load"] is not None)
    disturbed, total = sum(r["disturbed"] for r in rows), sum(r["runs"] for r in rows)
    hands = sorted(r["handover_ns"] for r in rows if r["handover_ns"] is not None)
    line = f"Others took {loads[len(loads) // 2]:.2f} CPUs meanwhile (median over the rows)"
    line += f"; {disturbed * 100 // total} % of the runs were disturbed and kept" if disturbed else "; no disturbed run was kept"
    if disturbed * 4 > total:
        line += ": **provisional figures, from a busy machine**"
    if hands:
        line += f". A cache line took {hands[0]:.0f} to {hands[-1]:.0f} ns from core to core"
    out += [line + ".", "", "| what | median | range | ratio | to |", "|---|---|---|---|---|"]
    for row in rows:
        if not asked_first(row):
            continue
        name = f"{row['group']}: {' '.join(row['row'].split())}"
        if row["runs"] == 0:
            out.append(f"| {name} | {row['note']} | | | |")
        else:
            out.append(f"| {name} | {figure(row['median'])} {row['unit']} | {figure(row['min'])} … {figure(row['max'])} | "
                       f"{'' if row['ratio'] is None else figure(row['ratio'])} | {row['ratio_to']} |")
    return "\n".join(out) + "\n"


# ---- the picture ----

INK, PALE, OWN, PEER, LINE = "#1f2933", "#d9dfe5", "#0b6e4f", "#9aa5b1", "#c0392b"


def text(x, y, words, anchor="start", size=12, color=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{color}">'
            f"{escape(words)}</text>")


def bars(out, top, title, entries, low, high, unit, lines):
    """entries: name, value, label, is it ours; on a logarithmic scale. lines: name, value. Returns the y below."""
    left, right = 250, 770
    at = lambda v: left + (right - left) * (math.log10(max(v, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
    out.append(text(20, top, title, size=15, weight="bold"))
    y, bottom = top + 36, top + 36 + 22 * len(entries)
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        x = at(10 ** power)
        out.append(f'<line x1="{x:.1f}" y1="{y - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{PALE}"/>')
        out.append(text(x, bottom + 14, f"{10 ** power:g} {unit}", "middle", 11, "#52606d"))
    for name, value, label, own in entries:
        out.append(text(left - 8, y + 12, name, "end", weight="bold" if own else "normal"))
        out.append(f'<rect x="{left}" y="{y}" width="{max(at(value) - left, 1):.1f}" height="16" fill="{OWN if own else PEER}"/>')
        out.append(text(at(value) + 6, y + 12, label, size=11))
        y += 22
    for i, (name, value) in enumerate(lines):
        x = at(value)
        out.append(f'<line x1="{x:.1f}" y1="{top + 28}" x2="{x:.1f}" y2="{bottom}" stroke="{LINE}" stroke-dasharray="4 3"/>')
        out.append(text(x, top + 22, name, "end" if x > 560 else "middle", 11, LINE))
    return bottom + 50


def svg(path, picture):
    heads, rows = load(path)
    have = {(r["group"], r["row"]): r for r in rows if r["runs"]}
    out, y = [], 84
    for message in "AB":
        calls = []
        for (group, name), r in have.items():
            if group == "peers, a call" and name.endswith("  " + message):
                own = name.startswith("metalog")
                what = f"{figure(r['median'])} ns" if own else f"{figure(r['median'])} ns, {figure(r['ratio'])} x metalog"
                calls.append((name[:-3], r["median"], what, own))
        calls.sort(key=lambda e: (not e[3], e[1]))
        floor = have.get(("calls, counter", "floor: counter, 32 bytes, index"))
        lines = [("floor", floor["median"])] if floor else []
        words = "int64, double, int" if message == "A" else "string of 16 to 32 bytes, int, double"
        if calls:
            high = 3 * max(e[1] for e in calls)
            y = bars(out, y, f"A call with {words}, ns (shorter is better; logarithmic)", calls, 0.1, max(1000, high), "ns", lines)
    files = []
    for (group, name), r in have.items():
        if group == "peers, to a file":
            own = name.startswith("metalog")
            what = f"{figure(r['median'])} M/s" if own else f"{figure(r['median'])} M/s, {figure(r['ratio'])} x metalog"
            files.append((name, r["median"], what, own))
    files.sort(key=lambda e: (not e[3], -e[1]))
    floor = have.get(("lines", "floor: write(2) in 256 KiB blocks"))
    if files:
        lines = [("write(2) alone", floor["median"])] if floor else []
        y = bars(out, y, "Million lines a second into a file, one thread (longer is better; logarithmic)", files, 0.01, 1000, "M/s", lines)
    disturbed, total = sum(r["disturbed"] for r in rows), sum(r["runs"] for r in rows)
    mark = f"; others used the machine: {disturbed * 100 // total} % of the runs were disturbed" if disturbed else ""
    with open(picture, "w") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {y}" width="1000" height="{y}" '
                f'font-family="Helvetica, Arial, sans-serif">\n<rect width="1000" height="{y}" fill="#ffffff"/>\n')
        f.write(text(20, 32, "metalog.h beside other loggers, in one run", size=19, weight="bold") + "\n")
        f.write(text(20, 52, f"{heads[1].split(': ', 1)[1]}; {heads[0].split(': ', 1)[1]}{mark}", size=11, color="#52606d") + "\n")
        f.write("\n".join(out) + "\n</svg>\n")


# ---- comparing ----

def tolerance(old, new):
    """By how many times a ratio may be worse. Runs of one build differ by as much as their ranges say; two benchmarks an hour
    apart differ by the sum of both. Below 15 % nothing is judged: so much lies between two records of one build on a quiet
    virtual machine, from the placement of code and memory alone."""
    spread = sum((r["ratio_max"] - r["ratio_min"]) / r["ratio"] for r in (old, new))
    return 1 + max(0.15, spread)


def check(path, recorded):
    (heads, new), (heads_then, then) = load(path), load(recorded)
    if ("quick" in heads[0]) != ("quick" in heads_then[0]):
        print("a quick run beside a full one: lines a second differ by what a start costs")
    old = {(r["group"], r["row"]): r for r in then}
    worse, skipped, compared = 0, 0, 0
    for row in new:
        was = old.get((row["group"], row["row"]))
        if not was or not row["ratio"] or not was["ratio"] or "floor" in row["row"] or row["ratio_to"] == "itself":
            continue
        name = f"{row['group']}: {row['row']}"
        if row["phase"] != was["phase"]:
            skipped += 1
            print(f"not compared  {name}: {row['phase']} phase now, {was['phase']} when recorded")
            continue
        # a rate's share of a floor, and what a peer's call costs in metalog's, are the better the larger
        better_up = row["group"] == "lines" or (row["group"] == "peers, a call" and row["ratio_to"] == "metalog")
        times = was["ratio"] / row["ratio"] if better_up else row["ratio"] / was["ratio"]
        limit = tolerance(was, row)
        compared += 1
        if times > limit:
            worse += 1
            print(f"WORSE         {name}: ratio {figure(row['ratio'])}, recorded {figure(was['ratio'])}: {times:.2f} times worse, "
                  f"noise explains {limit:.2f}; {state(row)}")
    print(f"{compared} ratios compared, {worse} worse, {skipped} not compared for another phase")
    return worse


def record(path):
    heads, rows = load(path)
    with open(path) as f, open("bench/recorded.tsv", "w") as to:
        to.write(f.read())
    svg(path, "bench/bench.svg")
    begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"
    with open("README.md") as f:
        readme = f.read()
    if begin not in readme or end not in readme:
        sys.exit("README.md has no place for the table: the two marks `bench: begin` and `bench: end` are missing")
    head, rest = readme.split(begin, 1)
    with open("README.md", "w") as f:
        f.write(head + begin + markdown(heads, rows) + end + rest.split(end, 1)[1])
    print("written: bench/recorded.tsv, bench/bench.svg, the table in README.md")


def complete(path):
    rows, failed = load(path)[1], 0
    groups = {r["group"] for r in rows}
    wanted = {"calls, counter", "calls, arrival", "single calls, counter", "single calls, arrival", "lines", "reading a binary log", "flusher's CPU",
              "growth: sinks", "growth: context", "growth: threads", "growth: sites", "peers, a call", "peers, to a file", "idle",
              "memory", "compile"}
    for group in sorted(wanted - groups):
        failed += 1
        print(f"FAIL no row of {group}")
    for row in rows:
        good = row["median"] is not None and math.isfinite(row["median"]) and row["median"] >= 0 and row["runs"] >= 1
        good = good and (not row["ratio_to"] or (row["ratio"] is not None and math.isfinite(row["ratio"])))
        if not good and not row["note"].startswith(ABSENT):
            failed += 1
            print(f"FAIL {row['group']}: {row['row']}: no figure, and no reason: {row['note']}")
        if row["note"].startswith("only "):
            failed += 1
            print(f"FAIL {row['group']}: {row['row']}: {row['note']}")
    print(f"{len(rows) + len(wanted) - failed} passed, {failed} failed")
    return failed


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    run = {"compile": compile_rows, "table": table, "svg": svg, "check": check, "record": record, "complete": complete}[what]
    sys.exit(1 if run(*arguments) else 0)


main()
