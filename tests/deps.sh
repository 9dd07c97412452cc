#!/bin/sh
# Installs what `make demo` (argument demo), `make test` (test), `make targets` (targets), `make trials` (trials) or `make bench` (bench)
# needs and the machine lacks, by Debian package name. Looks for the things themselves, not for packages: a compiler from elsewhere serves as well.
set -u
what=${1:?demo, test, targets, trials or bench}
missing=

need() { # package, then a command that succeeds when the thing is there
    package=$1; shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has() { command -v "$1"; }
has_file() { for f; do [ -e "$f" ] && return 0; done; return 1; }
links() { # compiler, flags: can it link an empty program?
    compiler=$1; shift
    out=$(mktemp) || return 1
    echo 'int main(void) { return 0; }' | "$compiler" "$@" -x c - -o "$out"
    status=$?
    rm -f "$out"
    return $status
}
known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

install() {
    [ -n "$missing" ] || return 0
    line="apt-get update && apt-get install -y --no-install-recommends$missing"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "missing, by their Debian names:$missing; install them and try again" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as=
    elif command -v sudo >/dev/null 2>&1; then
        as=sudo
    else
        echo "missing:$missing. As root, run this, then try again:" >&2
        echo "  $line" >&2
        exit 1
    fi
    echo "installing what is missing:$missing"
    log=$(mktemp) || exit 1
    if ! ${as:+$as} sh -c "export DEBIAN_FRONTEND=noninteractive; $line" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "could not install:$missing. As root, run: $line" >&2
        exit 1
    fi
    rm -f "$log"
    missing=
}

gcc=${GCC:-gcc} clang=${CLANG:-clang}
need gcc has "$gcc"
need libc6-dev has_file /usr/include/stdio.h
need libstb-dev has_file stb_sprintf.h /usr/include/stb/stb_sprintf.h /usr/include/stb_sprintf.h \
    /usr/local/include/stb/stb_sprintf.h /usr/local/include/stb_sprintf.h
need jq has jq
if [ "$what" = test ]; then
    need g++ has "${GXX:-g++}"
    need clang has "$clang"
    need binutils has nm
    need musl-tools has musl-gcc
    need python3 python3 -c ''
    need locales has_file /usr/share/i18n/locales/de_DE
    need pkg-config has pkg-config
    need libglib2.0-dev pkg-config --exists glib-2.0
fi
if [ "$what" = targets ]; then # in Debian they take the place of gcc-multilib
    need gcc-i686-linux-gnu has i686-linux-gnu-gcc
    need libc6-dev-i386-cross links i686-linux-gnu-gcc -static
    need gcc-s390x-linux-gnu has s390x-linux-gnu-gcc
    need libc6-dev-s390x-cross links s390x-linux-gnu-gcc
    need qemu-user has qemu-s390x
    need python3 python3 -c ''
fi
if [ "$what" = trials ]; then # programs that log, to be run under the preload object
    need python3 python3 -c ''
    need cron has cron
    need at has atd
    need openssh-server has_file /usr/sbin/sshd
    need sudo has sudo
    need dnsmasq-base has dnsmasq
    need inetutils-inetd has inetutils-inetd
fi
if [ "$what" = bench ]; then
    need g++ has "${GXX:-g++}"
    need binutils has size
    need python3 python3 -c ''
    need pkg-config has pkg-config
fi
install

# The loggers to compare with: a row of the benchmark says so when one cannot be had, so this fails nothing.
if [ "$what" = bench ]; then
    for peer in libspdlog-dev:spdlog libgoogle-glog-dev:libglog libglib2.0-dev:glib-2.0 liblttng-ust-dev:lttng-ust \
        liblog4cplus-dev:log4cplus; do
        missing=
        need "${peer%:*}" pkg-config --exists "${peer#*:}"
        (install) || echo "goes on without ${peer%:*}" >&2
    done
    missing=
    need lttng-tools has lttng-sessiond
    (install) || echo "goes on without lttng-tools" >&2
fi

# The run-time libraries of Clang's sanitizers are a package of their own, whose name depends on the release of Clang.
if [ "$what" = test ] && ! links "$clang" -fsanitize=thread >/dev/null 2>&1; then
    major=$("$clang" -dumpversion | sed 's/\..*//')
    for package in "libclang-rt-$major-dev" "libclang-common-$major-dev" libclang-rt-dev; do
        if [ -z "$missing" ] && known "$package"; then missing=" $package"; fi
    done
    [ -n "$missing" ] || missing=" libclang-rt-$major-dev"
    install
fi
exit 0
