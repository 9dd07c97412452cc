#!/bin/sh
# The proofs in tests/faults: each a program that prints what it attempted and what was lost, doubled or torn, with a control: the same
# program over a metalog.h from which one safeguard was taken must fail. `faults.sh` runs the short forms of all but
# those of tests/damage.sh and tests/kill.sh, `faults.sh short "NAMES"` of these, `faults.sh long` (`make faults`) the long forms of all.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${GCC:=gcc}"
: "${STRICT:=-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror}"
form=${1:-short} only=${2:-}
dir=$PWD/build/faults
case $form in short) limit=200 ;; *) limit=7200 ;; esac
mkdir -p "$dir"
passed=0 failed=0
wanted() { # program
    case "$form,${only-}" in
    short,) case $1 in kill_step | hostile | flips) return 1 ;; esac ;;
    *,?*) case " $only " in *" $1 "*) ;; *) return 1 ;; esac ;;
    esac
}
bad() { failed=$((failed + 1)); echo "FAIL $*"; }

run() { # program, form, seconds, part: its output to $dir/$program.log; adds up its closing line
    TMPDIR=$dir/tmp.$1
    export TMPDIR
    rm -rf "$TMPDIR" && mkdir -p "$TMPDIR"
    timeout -k 5 "$3" "$dir/$1" "$2" ${4:+"$4"} >"$dir/$1.log" 2>&1 </dev/null
    status=$?
    last=$(tail -n 1 "$dir/$1.log" | grep -E '^[0-9]+ passed, [0-9]+ failed$')
}

proof() { # program; sanitized: once more under ASan and UBSan
    wanted "$1" || return 0
    how=${2:-} what=$1${2:+.$2}
    echo "$what:"
    case $how in
    sanitized) how="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -w" ;;
    *) how="-O2 -g $STRICT" ;;
    esac
    # shellcheck disable=SC2086
    if ! "$GCC" $how -std=c11 -I. "tests/faults/$1.c" -o "$dir/$what" -pthread -lm; then bad "$what does not compile"; return; fi
    run "$what" "$form" "$limit"
    cut -c1-400 "$dir/$what.log"
    [ -n "$last" ] || { bad "$what: status $status, no closing line"; return; }
    passed=$((passed + ${last%% *})) failed=$((failed + $(echo "$last" | sed 's/.*, \([0-9]*\) failed/\1/')))
}

# program, its part that must fail, what is taken away, text that stands once in metalog.h, what takes its place
control() {
    wanted "$1" || return 0
    mkdir -p "$dir/without/tests/faults"
    cp tests/*.h "$dir/without/tests" && cp "tests/faults/$1.c" "$dir/without/tests/faults"
    if ! python3 -c 'import sys
text = sys.stdin.read()
if text.count(sys.argv[1]) != 1: sys.exit("%d times in metalog.h: %s" % (text.count(sys.argv[1]), sys.argv[1]))
sys.stdout.write(text.replace(sys.argv[1], sys.argv[2]))' "$4" "$5" <metalog.h >"$dir/without/metalog.h"; then
        bad "$1 without $3: does not apply"
        return
    fi
    if ! (cd "$dir/without" && "$GCC" -O2 -g -std=c11 -w -I. "tests/faults/$1.c" -o "$dir/$1.without" -pthread -lm); then
        bad "$1 without $3: does not compile"
        return
    fi
    run "$1.without" short 100 "$2"
    case $last in
    "" | *" 0 failed") bad "$1 without $3: finds nothing, status $status" ;;
    *)
        passed=$((passed + 1))
        echo "$1 without $3: fails, as it must: $(tail -n 2 "$dir/$1.without.log" | head -n 1 | tr -s ' ' | cut -c1-100)"
        ;;
    esac
}

proof signal_step
control signal_step "text, one signal" "the busy flag" 'MLOG__BUSY_HERE(t); /* RING-3; and a handler' '/* and a handler'
control signal_step "first of a thread" "levels in reserve" 't = mlog__thread_take_reserve();' 't = NULL;'

proof model
proof storm
control storm "with a child, saturated" "the batch's bytes in the session" '.kept = s->out.lent != 0' '.kept = 0'
control storm "one thread" "crash-safe rings" 'if (choice == MLOG_NO || (choice == MLOG_AUTO && !file)) return;' 'if (choice != 77) return;'
proof family
control family "daemon" "a look at the descriptor" 'return s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;' 'return s->fd >= 0 || fstat(-1, &st) == 0;'
control family "clone" "pages that a child gets empty" 'return madvise(p, size, MADV_WIPEONFORK) == 0;' 'return madvise(p, size, MADV_NORMAL) == 0;'
control family "spawn, system" "O_CLOEXEC" 'O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW' 'O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW'
proof calls
control calls "one file" "promises" '    mlog__sink_promise(s, rings);' '    (void)rings;'
control calls "one file" "the order of commit and write" 'rings, s->session == mlog__dict_session);' 'rings, s->session == mlog__dict_session);
    if (s->promised) mlog__store_commit(&s->session->promise[s->number]);'
for part in "one file" "metalog recover"; do
    control calls "$part" "settling first" 'if (sink != NULL) (void)mlog__recover_settle(&d, k, sink);' '(void)sink;'
done

proof kill_step
control kill_step calls "the order of payload and head" 'mlog__thread_put_draft(p, d, bytes, size, mlog__thread_stamp(t->clock));
    __atomic_store_n(t->head, head + bytes, __ATOMIC_RELEASE); /* RING-1 */' '__atomic_store_n(t->head, head + bytes, __ATOMIC_RELEASE);
    mlog__thread_put_draft(p, d, bytes, size, mlog__thread_stamp(t->clock));'
control kill_step calls "padding" 'memcpy(t->data + (head & t->mask), &pad, 8);' '(void)pad;'
control kill_step flusher "the order of commit and write" 'rings, s->session == mlog__dict_session);' 'rings, s->session == mlog__dict_session);
    if (s->promised) mlog__store_commit(&s->session->promise[s->number]);'
control kill_step flusher "the check of a promise's positions" 'if (p->seq == 0 || p->seq != p->done || p->check != mlog__store_check(p, d->file->move[k])) return;' 'if (p->seq == 0 || p->seq != p->done) return;'

proof hostile
proof hostile sanitized
control hostile filled "a size of our own" '.mask = mlog__ring_mask[number]};' '.mask = r->bytes - 8};'
control hostile truncated "memory in place of a file" 'mmap(from, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED' 'page != 0'
control hostile full "blocks reserved" 'return madvise(p, size, POPULATE_WRITE) == 0;' 'return (void)p, (void)size, POPULATE_WRITE != 0;'

proof flips
proof flips sanitized
control flips session "the sums of definitions" 'return !summed || sum == mlog__dict_sum(e);' 'return true;'
control flips 2.ring "a ring's size against its file's" 'r->session == session && r->bytes == bytes &&' 'r->session == session &&'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
