#!/usr/bin/env python3
"""For tests/tool.sh: damages copies of a session and its rings at random; the tool must say so or show them, and never break.
tool_spoil.py METALOG DIRECTORY COPY ROUNDS"""
import os, random, shutil, subprocess, sys

os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # it leaves to exit what it has
tool, source, copy, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(7)
shown = told = 0
for round in range(rounds):
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", source, copy], check=True)
    name = random.choice([n for n in sorted(os.listdir(copy)) if not n.endswith(".3.ring")])
    path = os.path.join(copy, name)
    size = os.path.getsize(path)
    if round % 10 == 9:
        os.truncate(path, random.randrange(size))
    else:
        with open(path, "r+b") as f:
            dict_at = 16 * 1024 * 1024 + 8192  # about where the contexts end
            for _ in range(random.randrange(1, 12)):
                at = random.randrange(3000)
                if name.endswith(".session") and random.random() < 0.6:  # where bytes are: the dictionary, too
                    f.seek(dict_at - 16384)
                    window = f.read(65536)
                    used = [i for i, b in enumerate(window) if b]
                    at = dict_at - 16384 + random.choice(used) if used else at
                f.seek(at)
                byte = f.read(1)[0]
                f.seek(at)
                f.write(bytes([random.choice([0, 255, byte ^ 1 << random.randrange(8), random.randrange(256)])]))
    done = subprocess.run([tool, "cat", copy], capture_output=True, timeout=60)
    if done.returncode not in (0, 1) or b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
        sys.exit("round %d, %s: status %d\n%s" % (round, name, done.returncode, done.stderr.decode(errors="replace")[:3000]))
    if (done.returncode == 1) != (done.stderr != b""):
        sys.exit("round %d: status %d, said %r" % (round, done.returncode, done.stderr[:300]))
    shown += done.stdout.count(b"\n")
    told += done.returncode
if shown == 0 or told == 0:
    sys.exit("%d lines shown, damage told %d times: nothing was tried" % (shown, told))
print("%d rounds: %d lines shown, damage told %d times" % (rounds, shown, told))
