#!/bin/sh
# Real daemons of Debian, unchanged, under the preload object: their messages as records in files. As root; each in a mount namespace with
# directories of its own, so that nothing of the machine's is touched and nothing is left. Not part of the tests: it installs packages.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}"
out=$PWD/build/trials
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "the trials need root"; exit 1; }
    rm -rf "$out"
    mkdir -p "$out"
    "$GCC" -O2 -Wall -Wextra -shared -fPIC -DMETALOG_PRELOAD -x c metalog.h -o "$out/libmetalog.so" -pthread -lm || exit 1
    exec unshare -m -p -f --mount-proc sh "$0" inside # what still runs at the end goes with the namespace
fi

passed=0 failed=0
mount --make-rprivate /
for place in /run /var/spool/cron /etc/cron.d /var/log; do mount -t tmpfs none $place || exit 1; done
chmod 1777 /var/log # atd gives its rights away before it logs
mkdir -p /run/sshd /run/lock /run/sudo /var/spool/cron/crontabs /var/spool/cron/atjobs /var/spool/cron/atspool
chown daemon:daemon /var/spool/cron/atjobs /var/spool/cron/atspool
touch /var/spool/cron/atjobs/.SEQ && chown daemon:daemon /var/spool/cron/atjobs/.SEQ

under() { # name, command: under the preload object; JSON in build/trials/NAME.log at the end
    name=$1; shift
    log=/var/log/$name.log
    METALOG_FILE=$log LD_PRELOAD=$out/libmetalog.so timeout 60 "$@" >"$out/$name.out" 2>&1 </dev/null
}
await() { # jq condition: at most ten seconds until a record of the trial meets it
    for _ in $(seq 100); do
        [ -e "$log" ] && jq -e -s "any(.[]; $1)" "$log" >/dev/null 2>&1 && break
        sleep 0.1
    done
}
shows() { # jq condition: a record of the trial meets it
    await "$1"
    n=$(jq -c "select($1)" "$log" 2>/dev/null | wc -l)
    if [ "$n" -gt 0 ]; then passed=$((passed + 1)); jq -c "select($1)" "$log" | head -n 1 | sed "s/^/$name: /"
    else failed=$((failed + 1)); echo "FAIL $name: no record with $1"; tail -n 5 "$log" "$out/$name.out"; fi
}
sound() { # the whole file is JSON by the rules of the tests
    cp "$log" "$out/$name.log"
    if python3 tests/check_json.py "$log" >"$out/check" 2>&1; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAIL $name: JSON"; head -n 3 "$out/check"; fi
}
stop() { [ ! -s "$1" ] || kill "$(cat "$1")" 2>/dev/null; sleep 0.3; }

# cron: twice forked, runs a job at once
printf '@reboot root echo trial >%s/cron.job\n' "$out" >"$out/crontab"
mount --bind "$out/crontab" /etc/crontab
under cron cron
shows '.source == "cron" and .facility == "cron" and .level == "info" and (.msg | test("pidfile fd"))'
shows '(.source | ascii_upcase) == "CRON" and (.msg | test("CMD .*echo trial"))'
stop /run/crond.pid
sound

# atd: a job through at(1)
under atd atd
echo true | at -q a now >/dev/null 2>&1
shows '.source == "atd" and .pid > 0 and (.msg | test("session opened for user root"))'
stop /run/atd.pid
sound

# sshd: listens, is asked something silly, and one of its children answers
ssh-keygen -q -t ed25519 -N '' -f "$out/hostkey" </dev/null
printf 'Port 2299\nListenAddress 127.0.0.1\nHostKey %s/hostkey\nPidFile /run/sshd.trial.pid\nUsePAM no\nLogLevel VERBOSE\n' "$out" >"$out/sshd_config"
under sshd /usr/sbin/sshd -f "$out/sshd_config"
shows '.source == "sshd" and .facility == "auth" and (.msg | test("Server listening on 127.0.0.1 port 2299"))'
python3 -c 'import socket
s = socket.create_connection(("127.0.0.1", 2299)); s.recv(100); s.send(b"hello\r\n"); s.recv(100)' 2>/dev/null
shows '(.source | startswith("sshd")) and (.msg | test("127.0.0.1 port [0-9]+"; "")) and (.msg | test("Connection|kex|identification"))'
stop /run/sshd.trial.pid
sound

# sudo: its plugin and PAM log from shared objects
under sudo sudo -u nobody true
shows '.source == "sudo" and .facility == "authpriv" and .level == "notice" and (.msg | test("USER=nobody.*COMMAND=/.*true"))'
sound

# dnsmasq: does not log through syslog(3), but into a socket of its own, or to the standard error: that is captured
METALOG_STDIO=2
export METALOG_STDIO
under dnsmasq dnsmasq -k -C /dev/null -p 5399 --listen-address=127.0.0.1 --bind-interfaces --no-resolv --no-hosts -u root \
    --log-facility=- --pid-file=/run/dnsmasq.trial.pid &
name=dnsmasq log=/var/log/dnsmasq.log
unset METALOG_STDIO
shows '.source == "stderr" and .level == "warn" and (.msg | test("dnsmasq.*started, version"))'
stop /run/dnsmasq.trial.pid
shows '(.msg | test("dnsmasq.*exiting on receipt of SIGTERM"))'
sound

# inetd: complains about its configuration
echo 'no-such-service stream tcp nowait root internal' >"$out/inetd.conf"
under inetd inetutils-inetd "$out/inetd.conf"
shows '(.source | test("inetd")) and .facility == "daemon" and (.msg | test("no-such-service"))'
sound
echo "$passed passed, $failed failed"
[ $failed = 0 ]
