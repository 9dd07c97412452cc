"""Runs a command with a /dev of its own whose /dev/log is ours, and writes what syslog(3) sends there, a line a message:
facility.severity tag: text. Inside `unshare -m` (root) or `unshare -rm`.     devlog.py OUTPUT COMMAND…"""
import os
import re
import select
import socket
import subprocess
import sys
import tempfile

FACILITIES = ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "console",
              "clock"] + ["local%d" % i for i in range(8)]
LEVELS = ["fatal", "alert", "crit", "error", "warn", "notice", "info", "debug"]


def private_dev():
    new = tempfile.mkdtemp()
    run = lambda *words: subprocess.run(words, check=True)
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "none", new)
    for name in ["null", "zero", "full", "random", "urandom", "tty"]:
        open(new + "/" + name, "w").close()
        run("mount", "--bind", "/dev/" + name, new + "/" + name)
    os.mkdir(new + "/shm")
    run("mount", "-t", "tmpfs", "none", new + "/shm")
    os.chmod(new + "/shm", 0o1777)
    open(new + "/console", "w").close()  # a file: what LOG_CONS writes there can be read
    for fd, name in enumerate(["stdin", "stdout", "stderr"]):
        os.symlink("/proc/self/fd/%d" % fd, new + "/" + name)
    run("mount", "--rbind", new, "/dev")


def line(message):
    text = message.decode("utf-8", "surrogateescape").rstrip("\0").rstrip("\n")
    head = re.match(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d ", text)
    priority = int(head.group(1))
    return "%s.%s %s" % (FACILITIES[priority >> 3], LEVELS[priority & 7], text[head.end():].replace("\n", "\\n").replace("\t", "\\t"))


def main():
    private_dev()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    child = subprocess.Popen(sys.argv[2:])
    with open(sys.argv[1], "w", errors="surrogateescape") as out:
        while True:
            ended = child.poll() is not None
            while select.select([log], [], [], 0 if ended else 0.02)[0]:
                out.write(line(log.recv(65536)) + "\n")
            if ended:
                break
    sys.exit(child.returncode)


main()
