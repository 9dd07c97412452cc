/* metalog.h — structured, asynchronous logging for C and C++, in one file.
 *
 *     #define METALOG_IMPLEMENTATION          // in exactly one .c file of the program
 *     #include "metalog.h"
 *
 *     mlog_info("order accepted", "symbol", symbol, "qty", qty, "price", price);
 *     mlog_warnf("%s: %d retries left", peer, n);
 *
 * A call copies its arguments into a ring buffer of the calling thread and returns: it makes no system call, takes no lock and
 * allocates nothing. A background thread, the flusher, merges the rings by time, formats and writes. Without any configuration
 * records go to stderr: coloured text on a terminal, one JSON object a line on a pipe.
 *
 * Requires C11 with GNU statement expressions (GCC, Clang), POSIX threads, and stb_sprintf.h for the implementation
 * (Debian: apt-get install libstb-dev). License: MIT, see LICENSE.
 *
 * What this file is not: no log viewer, no network client, no database. What needs another library lives in examples/.
 *
 * Contents: manual · switches · types · functions · macros · shims | seams · platform · clock · crc · text · printf · record ·
 * dictionary · store · rules · context · ring · thread · format · filter · pattern · binary · sink · capture · flush · recover ·
 * fatal · life · shim | reader · tool.
 */

/* FILTERS: which records a sink gets (`where`), or a program picks (mlog_filter_new)
 *
 *     level>=warn and (source=net.* or task=42) and not msg='ping' and qty>100
 *
 *   Comparisons with = != < <= > >= ~ !~, and `has key`, joined by and, or, not, ( ). not binds closest, then and, then or. At
 *   most 8,192 bytes, 128 comparisons, 32 parentheses inside each other. Refused whole, with line, column, word and what was
 *   expected.
 *   Left: level, source, msg, thread are the record's own. Every other word is a key of its fields, by the name under which it
 *   goes out (key_2); in "…" a key may hold anything, and is a key in any case.
 *   Right: words (letters, digits, . _ - * : / +), and text in '…' or "…", where \ stands before \ ' " * n r t.
 *     text      = and != take * for any run of bytes (\* in quotes: the star); else, and with < and the rest, byte by byte
 *     numbers   42, -7, 0x2a, 18446744073709551615, 1.5, 1e-3: integers are compared exactly, also with doubles; a float with the
 *               float nearest to the number; errno, time (ns since 1970), duration (ns), hex and pointer values are integers, too
 *     5ms       with ns, us, ms, s, m, h: for durations only
 *     true, false, null: with = and != only; every field that is there is null or not
 *     level     by number: warn, WARNING or 13; a level between two names is neither
 *     source    net: net and net.*; net.*: only the children; other stars as in text
 *     patterns  msg~"time.*out", path!~'^/(tmp|var/tmp)/': a POSIX extended regular expression is found in the text, or not.
 *               Upper and lower case differ; whatever the locale, a character is a byte and the classes are ASCII's. In quotes \
 *               is the pattern's own, but before ' " n r t: \. is a dot, \* a star. At most 256 bytes and 255 repetitions, 500
 *               characters with all repetitions written out, no back-references: \1. Looked at are the first 16 KiB of a text
 *   A comparison with a field that is missing or of another type is false, also with != (not a=1: true where a is missing). NaN
 *   compares with nothing. Bytes, JSON, arrays, objects and secrets answer `has` only. Reports of losses pass every filter. */

/* FILES
 *   Rotation by size: before a batch that would make app.log larger than rotate_bytes, the file is renamed to app.log.000000001,
 *   then …2, and so on, and a new one is opened; only the newest rotate_keep of them stay. `cat app.log.* app.log` is all of it
 *   in order. A file is larger only for one record that is, or where several processes write. They may: give them the same
 *   rotate_bytes; one rotates, the others go to the new file with their next batch, as after rm or mv. An error (a directory that
 *   may not be written to, an owner that may not be given any more, a path that is a directory by now) is counted, told in the
 *   log, and tried again after 0.1 s … 5 s; meanwhile the present file is written on.
 *   durable: fdatasync after each batch, which is what came while the last one was written. Callers do not wait for it, but for
 *   room in their ring. When it fails, the kernel may have dropped what it could not write: the batch is written again, to a new
 *   file; the old one is set aside and may hold the same lines. */

/* SURVIVAL
 *   With a file sink, rings are files in a directory of the user's (/dev/shm/metalog-<uid>; ring_dir names another one, which must be
 *   the user's own, mode 0700). A call costs the same; once it has returned, its record survives the death of the process, by whatever
 *   signal. The next start with a sink of the same path writes what was not written yet, marked `recovered`, before its own first record:
 *     a file with one writer        each record once; a line that was torn is cut off and written whole
 *     a file with several writers   each record at least once; a torn line is ended and written once more, whole
 *     console, pipe, callback       not recovered
 *   /dev/shm survives the process, exec, a logout (unless systemd's RemoveIPC is on for the user); not the machine, and not a container:
 *   there ring_dir on a volume does. A container's first process, and one whose /dev/shm refuses or has less room than twice
 *   rings_total, keeps its rings beside its log, in .metalog-rings. When there is no room, rings are private as without it, and a record says so. Files of programs that never come
 *   back are removed when nothing is left in them, else from the 65th on, the oldest first. crash_safe = MLOG_NO: private rings. */

/* BINARY FILES: what MLOG_BINARY writes and `metalog` reads (section binary writes them, section reader reads them)
 *
 *   A file is a row of blocks; a block is a head of 64 bytes and its content, all of it in 8-aligned words of the writer's byte order.
 *   Who appends to a file (a later run, another process) just goes on with blocks of its own; what is between two sound blocks is damage.
 *
 *     +0   magic, 64 bits: the bytes "metlog" 8F 0A, reversed on a big-endian machine: by it the byte order is told
 *     +8   CRC-32C of everything behind these 4 bytes, to the end of the block | 32 bits: bytes of the block with its head
 *     +16  type: 1 header, 2 records | number of records in it
 *     +24  session: 64 random bits, one number for each process; the first half of its records' ids
 *     +32  ticks and time (UTC in ns) of the record before, by which order and ts_call are told, 2 words
 *     +48  UTC of its first and last record, 2 words: for those who look for a time
 *
 *   Content of a header: version 1, 0x01020304, word size, clock mode, bits of a long double's mantissa, process id (32 bits each), time
 *   of the start, boot id (2 words), program's name (32 bytes). One stands before the first records of each process.
 *   Content of the others: records as the banner of section `record` draws them, and notes: records of site 0 whose flags say
 *     1 line     ticks, UTC, rate: a record's UTC = UTC + ((its ticks - ticks) * rate >> 40); then the ticks of records that have 0
 *     2 ring     {ring number:32 | thread number:32}, position of the next record, whether a name follows, name (32 bytes); without the
 *                last two as told before in this block. A record's id = ring << 48 | position / 8; each record moves the position on
 *     3 define   number, then a dictionary entry (section dict: mlog__entry and its texts): a call site, or a logger's name
 *     4 context  number, its parent's, {bytes:32 | fields:32}, the fields as in a record
 *   A definition stands in the file before its first use; what tells time, order and thread of a record, in the same block. A report of
 *   losses (site 1) of the sink itself has a given time, and the flag of run-time fields when records were skipped.
 *   A reader passes over types and notes that it does not know. A long double of another format than the reader's is shown as null. */

/* SWITCHES, per unit, before the include
 *   METALOG_IMPLEMENTATION  compiles the implementation here, in one .c file of the program
 *   METALOG_OPTIONAL        library or plugin: logs where the process has a metalog, is silent elsewhere; no link dependency (ELF weak
 *                           symbols). Costs nothing in a call that logs; without a metalog the first call of a site sees so, each later
 *                           one is a disabled call (0.3 ns), mlog_with and the functions are a load and a compare. The process has a
 *                           metalog when, at the load of this unit's module, one is in the program (linked with -rdynamic; from an
 *                           archive with -Wl,-u,mlog1_init), in a shared object that it needs, or in a plugin that was loaded before
 *                           with RTLD_GLOBAL
 *   METALOG_SOURCE          "net.http": source of this unit's records; default the file's base name; may be redefined in mid-file
 *   METALOG_LOGGER          an expression of type mlog_logger *, e.g. (self->log): where mlog_info(…) and the rest go; costs one
 *                           load and a compare a call, and 8 bytes a record
 *   METALOG_LEVEL           calls below it vanish at compile time, e.g. MLOG_INFO
 *   METALOG_API             replaces the declaration attributes of all functions; default: visible
 *   METALOG_STB_SPRINTF     names the header file of stb_sprintf, with its quotes or angle brackets
 *   METALOG_TOOL            makes a program of the header, `metalog`, which reads its files: cc -x c -DMETALOG_TOOL metalog.h -o metalog
 *   METALOG_SHIM_<NAME>     SYSLOG, ERR, STDIO: that logger's calls become records, see SHIMS; in the unit with the implementation, too
 *   METALOG_PRELOAD         makes a shared object of the header, for programs as they are: see SHIMS
 *   METALOG_NO_THREADS      with the implementation, for programs of one thread: no thread, no lock, nothing of pthread.h. Flusher is
 *                           MLOG_DIRECT by default or MLOG_POLL. Saves 4,500 bytes (GCC -Os). A parent that logs, forks and leaves
 *                           by _exit flushes first by itself when it polls
 *   METALOG_NO_FILES        with the implementation: console, callback and null only. Saves 4,100 bytes (GCC -Os)
 *
 * TARGETS: Linux, any byte order, 32 and 64 bits, with lock-free 64-bit atomics. On 32-bit targets the implementation's unit is
 * compiled with _FILE_OFFSET_BITS and _TIME_BITS 64 unless they are given: off_t and time_t of that .c file have 64 bits. */

/* MODULES
 * Program, shared objects and plugins share one metalog: that of the program if it is linked with -rdynamic, else that of a shared object
 * which all of them need. A plugin may be unloaded at any time; its call sites leave the lists, what it logged is copied. A shared
 * object with the implementation stays loaded once it has started. In a plugin the implementation takes 0.5 KiB of static TLS, of
 * which glibc keeps about 1.6 KiB for all plugins (dlopen says when it is used up; GLIBC_TUNABLES=glibc.rtld.optional_static_tls
 * gives more) and musl none.
 * Two metalogs in one process (the program is not linked with -rdynamic, or they are hidden, or their interfaces have different
 * versions) share nothing: each has its threads, rings, sinks, rules and contexts. The second one to start says so in a record, and
 * refuses a file that the other one writes. Loggers and contexts of one must not be handed to units of the other. */

/* SHIMS: the calls of other loggers become records (README, "Migration": what to add to a build)
 *
 *   front      cc -include metalog.h -DMETALOG_SHIM_SYSLOG …: this unit's calls, whatever it includes
 *   overlay    a file syslog.h with the line `#include "metalog.h"` in a directory of its own: cc -Ioverlay -DMETALOG_SHIM_SYSLOG …
 *   interposed nothing but the link: a unit with METALOG_IMPLEMENTATION and METALOG_SHIM_SYSLOG has the functions of the original, so
 *              that calls of the program and of its libraries arrive there. A program's own function of such a name comes before
 *   preloaded  cc -shared -fPIC -DMETALOG_PRELOAD -x c metalog.h -o libmetalog.so -pthread -lm; LD_PRELOAD=…/libmetalog.so program
 * The first two also need the implementation, with the shim: cc -c -x c -DMETALOG_IMPLEMENTATION -DMETALOG_SHIM_SYSLOG metalog.h.
 *
 * SYSLOG  openlog syslog vsyslog closelog setlogmask, and what _FORTIFY_SOURCE makes of them. Severity is the level (LOG_EMERG: fatal),
 *         facility a field, ident the source, LOG_PID a field pid. The mask decides first, then the rules: they leave out debug unless
 *         told otherwise. LOG_PERROR writes to the standard error at once, unless a console of ours is there; LOG_CONS to /dev/console
 *         when a record is dropped; LOG_NDELAY opens the sinks. Legal in a handler. As lines: pattern "%d(%b %e %T) %H %(syslogtag)s %m"
 * ERR     err errx verr verrx warn warnx vwarn vwarnx error error_at_line perror. The message is the text with errno's; fields errno and
 *         exit_status; err… are errors, warn… are warn. On the standard error stands what stood there, unless a console of ours is there:
 *         without a configuration one is, and writes MLOG_PLAIN. err and error(status) drain, then exit
 * STDIO   mlog_stdio(fd, level): what anybody writes to descriptor 1 or 2 becomes a record a line
 * A format that does not fit is not followed further: %n, unknown conversions and what comes behind them stay as they are, with
 * a field format_error. NULL is "(null format)".
 *
 * Preloaded: SYSLOG, ERR, and STDIO by choice, configured by METALOG (the rules; everything), METALOG_FILE (a path; the standard
 * error), METALOG_PATTERN (a layout; JSON in a file), METALOG_STDIO (1, 2 or 12; none). The file is opened by openlog or the first
 * message, with the rights that the program has then. _exit waits full_ms for what is on its way. Not for set-user-ID programs. */

/* FATAL SIGNALS (catch_fatal = MLOG_YES)
 * SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS and SIGABRT leave one record of level FATAL, "fatal signal" with signal, number,
 * code (si_code), reason, address or sender, and backtrace, from the thread that they hit and in its context. The handler waits up
 * to 200 ms for the flusher (not in the flusher, nor where the program polls or writes itself), then puts back what was there when
 * mlog_init ran and sends the signal again with all that it said: the program's earlier handler, its exit status and its core file
 * stay what they would have been. Each signal is caught once. Nothing is formatted or written in the handler.
 *   Backtrace: "file+0x…", innermost first, for addr2line -e file. With glibc by the tables of the unwinder (loaded by mlog_init); in
 * static programs and with other C libraries by frame pointers, that is for code compiled with -fno-omit-frame-pointer.
 *   Handlers: one that was there before ours gets the signal behind us. One that the program installs later is in front of us, or in our
 * place if it does not chain. A signal that is ignored when mlog_init runs stays so. Hosts that live by faults (virtual machines,
 * collectors) initialize behind us, or do without. mlog_shutdown takes ours back; a child of fork has them.
 *   Stacks: a thread that has no alternate signal stack gets one of 64 KiB with the call that initializes, or its first record (a
 * thread that logged before: when its ring has come round), so that overflows of the stack are caught. It goes with the thread. */

#ifndef METALOG_H
#define METALOG_H

#if !defined(__GNUC__) && !defined(__clang__)
#error "metalog.h needs statement expressions and attributes: use GCC, Clang or a compiler that is compatible with them"
#endif

#if (defined(METALOG_TOOL) || defined(METALOG_PRELOAD)) && !defined(METALOG_IMPLEMENTATION)
#define METALOG_IMPLEMENTATION
#endif
#ifdef METALOG_PRELOAD
#define METALOG_SHIM_SYSLOG
#define METALOG_SHIM_ERR
#define METALOG_SHIM_STDIO
#endif
#if defined(METALOG_SHIM_STDIO) && defined(METALOG_NO_THREADS)
#error "metalog.h: METALOG_SHIM_STDIO needs a thread: expected a unit without METALOG_NO_THREADS"
#endif
#if __INCLUDE_LEVEL__ == 0 && defined(__clang__)
#pragma clang diagnostic ignored "-Wunused-function" /* here the header is the program */
#endif
#if defined(METALOG_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif
#if defined(METALOG_IMPLEMENTATION) && __SIZEOF_POINTER__ == 4 /* log files over 2 GiB, times after 2038; glibc takes the second */
#ifndef _FILE_OFFSET_BITS                                      /* only with the first */
#define _FILE_OFFSET_BITS 64
#endif
#ifndef _TIME_BITS
#define _TIME_BITS 64
#endif
#endif
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MLOG_VERSION "0.1.0"

#ifndef METALOG_LEVEL
#define METALOG_LEVEL 0
#endif

/* MLOG__GATED: what only code behind an open gate calls. METALOG_API: everything else; in an optional unit that is an inline function
 * which asks first (see OPTIONAL). In a shared object the implementation's functions may be another module's: then none of them may
 * be merged into its callers. */
#ifdef METALOG_OPTIONAL
#include <stdlib.h> /* exit, of mlog_die */
#if defined(METALOG_IMPLEMENTATION) || defined(METALOG_API)
#error "metalog.h: METALOG_OPTIONAL is for units without METALOG_IMPLEMENTATION and without METALOG_API"
#endif
#define METALOG_API static inline __attribute__((unused))
#define mlog1_init mlog__near_init /* a static function must not have the symbol of the one that it calls */
#define mlog1_thread mlog__near_thread
#define mlog1_stats_read mlog__near_stats_read
#define mlog1_sink_stats_read mlog__near_sink_stats_read
#define mlog1_sink_add mlog__near_sink_add
#define mlog1_bind mlog__near_bind
#define mlog1_context_new mlog__near_context_new
#define mlog1_enter mlog__near_enter
#define mlog1_leave mlog__near_leave
#define mlog1_put mlog__near_put
#define mlog1_die mlog__near_die
#define mlog1_every mlog__near_every
#define mlog1_limit mlog__near_limit
#define mlog1_context_held mlog__near_context_held
#define mlog1_filter_match mlog__near_filter_match
#define MLOG__GATED __attribute__((weak, visibility("default")))
#else
#if !defined(METALOG_API) && defined(METALOG_IMPLEMENTATION) && defined(__PIC__) && !defined(__PIE__)
#define METALOG_API __attribute__((visibility("default"), noinline))
#elif !defined(METALOG_API)
#define METALOG_API __attribute__((visibility("default")))
#endif
#define MLOG__GATED METALOG_API
/* All symbols carry the version of the binary interface: two versions in one process share nothing, and mix nothing up. */
#pragma redefine_extname mlog_levels mlog1_levels
#pragma redefine_extname mlog_flush mlog1_flush
#pragma redefine_extname mlog_shutdown mlog1_shutdown
#pragma redefine_extname mlog_reopen mlog1_reopen
#pragma redefine_extname mlog_why mlog1_why
#pragma redefine_extname mlog_sink_remove mlog1_sink_remove
#pragma redefine_extname mlog_level_name mlog1_level_name
#pragma redefine_extname mlog_level_parse mlog1_level_parse
#pragma redefine_extname mlog_named mlog1_named
#pragma redefine_extname mlog_unbind mlog1_unbind
#pragma redefine_extname mlog_context_current mlog1_context_current
#pragma redefine_extname mlog_context_ref mlog1_context_ref
#pragma redefine_extname mlog_context_unref mlog1_context_unref
#pragma redefine_extname mlog_context_swap mlog1_context_swap
#pragma redefine_extname mlog_emit mlog1_emit
#pragma redefine_extname mlog_vprintf mlog1_vprintf
#pragma redefine_extname mlog_object mlog1_object
#pragma redefine_extname mlog_value_json mlog1_value_json
#pragma redefine_extname mlog_filter_new mlog1_filter_new
#pragma redefine_extname mlog_filter_free mlog1_filter_free
#pragma redefine_extname mlog_capture_begin mlog1_capture_begin
#pragma redefine_extname mlog_capture_count mlog1_capture_count
#pragma redefine_extname mlog_capture_text mlog1_capture_text
#pragma redefine_extname mlog_capture_end mlog1_capture_end
#pragma redefine_extname mlog_poll mlog1_poll
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- constants ---- */

/* OpenTelemetry severity numbers (https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber). A level
 * between two names prints as the lower name. MLOG_OFF stands in rules only. A level below 1 that a call gives counts as 1, one
 * above 24 as 24. */
enum { MLOG_TRACE = 1, MLOG_DEBUG = 5, MLOG_INFO = 9, MLOG_NOTICE = 10, MLOG_WARN = 13, MLOG_ERROR = 17,
       MLOG_CRIT = 18, MLOG_ALERT = 19, MLOG_FATAL = 21, MLOG_OFF = 25 };

typedef enum { MLOG_AUTO, MLOG_YES, MLOG_NO } mlog_choice;               /* a switch whose default is not "no" */
typedef enum { MLOG_CONSOLE = 1, MLOG_FILE, MLOG_SYSLOG, MLOG_JOURNAL, MLOG_SOCKET, MLOG_CALLBACK, MLOG_NULL } mlog_sink_type;
typedef enum { MLOG_PRETTY = 1, MLOG_PLAIN, MLOG_JSON, MLOG_LOGFMT, MLOG_PATTERN, MLOG_BINARY } mlog_format;
typedef enum { MLOG_WAIT = 1, MLOG_BLOCK, MLOG_DROP } mlog_full;         /* queue full: wait full_ms then drop; for ever; at once */
typedef enum { MLOG_COUNTER = 1, MLOG_ARRIVAL } mlog_clock;              /* CPU counter at the call; stamped by the flusher */
/* Own thread; the program's mlog_poll(); the caller. DIRECT: a call returns when its record is with the sinks (at most full_ms; when
 * that time was over once, it waits no more until a sink takes everything again). In a handler and in a callback it only notes. */
typedef enum { MLOG_THREAD = 1, MLOG_POLL, MLOG_DIRECT } mlog_flusher;

/* ---- types ---- */

typedef struct mlog_logger mlog_logger;   /* a source name, with bound fields */
typedef struct mlog_context mlog_context; /* fields that follow a task over threads; a counted reference */
typedef struct mlog_sink mlog_sink;
typedef struct mlog_capture mlog_capture; /* records held for a test */
typedef struct mlog_filter mlog_filter;   /* level>=warn and qty>100 */
typedef struct mlog_writer mlog_writer;   /* what mlog_object's function writes into */

typedef enum { MLOG_K_NULL, MLOG_K_INT, MLOG_K_UINT, MLOG_K_BOOL, MLOG_K_CHAR, MLOG_K_FLOAT, MLOG_K_DOUBLE, MLOG_K_TEXT, MLOG_K_BYTES,
               MLOG_K_HEX, MLOG_K_POINTER, MLOG_K_ERRNO, MLOG_K_TIME, MLOG_K_DURATION, MLOG_K_JSON, MLOG_K_SECRET, MLOG_K_ARRAY,
               MLOG_K_OBJECT } mlog_kind;

/* Frozen layouts. In kind, bits 0 to 7 are the mlog_kind, bits 8 to 15 the element type of an array; size is in bytes for text,
 * in elements for an array. */
typedef struct { uint32_t kind, size; union { int64_t i; uint64_t u; double f; const void *p; } as; } mlog_value;
typedef struct { const char *key; mlog_value value; } mlog_field;        /* for keys known only at run time */
typedef struct { const char *file, *func; int line; } mlog_where;        /* made by MLOG_HERE */
typedef struct { mlog_where at; mlog_logger *logger; int level; int64_t time; const char *msg; size_t msg_len;
                 const mlog_field *fields; size_t nfields; } mlog_event; /* zero means: now, root logger, strlen */

/* A decoded record, as a callback sink gets it; it and all it points to live until write() returns. fields: context, outermost
 * first, then bound fields, then pairs, after renaming; arrays and objects as JSON text (kind MLOG_K_JSON). Every const char * is
 * NUL-terminated. time: ns since 1970. id: 64 random bits of the process; ring slot << 48 | position in the ring / 8. */
typedef struct { int64_t time; uint64_t id[2]; int level; uint32_t tid; const char *source, *thread, *msg; size_t msg_len;
                 mlog_where at; const mlog_field *fields; size_t nfields; const char *text; size_t text_len; } mlog_record;

/* Formats. Whatever is logged, a record is one line of UTF-8: controls are escaped (\n, \x1b, in JSON and LOGFMT \u001b), bad
 * bytes become U+FFFD, and a key that is taken already is renamed to key_2. PRETTY, PLAIN and PATTERN escape bidi controls, too,
 * and LOGFMT does on a console.
 *   MLOG_PRETTY   10:06:41.123 INFO   message  key=value  (source file.c:12)
 *   MLOG_PLAIN    prog: info: message key=value          no time: the standard error of command-line tools; colour on a terminal
 *   MLOG_JSON     {"ts":"…","level":"info","msg":"message","source":"…","at":"file.c:12","thread":…,"key":"value"}
 *   MLOG_LOGFMT   ts=… level=info msg="message" source=… at=file.c:12 thread=… key=value      as go-logfmt writes and reads it
 *   MLOG_BINARY   the records as they lie in the rings, for `metalog cat`; files and MLOG_NULL only: see BINARY FILES
 *   MLOG_PATTERN  as `pattern` says: zlog's conversions, and Python's %(name)s
 *
 *     %m  message                     %d %D  time as 2026-11-20 10:06:41           %p     process, %H host name
 *     %c  source                      %d(F)  time by strftime(3) in the C locale,  %T %k  thread number, %t in hex
 *     %V  LEVEL, %v level                    %3N %6N %9N in it: a fraction, %f: 6  %N     thread name, else its number
 *     %f  file, also %F (records      %g %G %g(F)  the same, always in UTC         %E(X)  environment, read once, now
 *         keep the base name only)    %ms %us %ns  3, 6, 9 digits of the second    %M(key)  a field's value, also %(key)s
 *     %L  line, %U function           %%  percent sign                             %P     all fields, each as " key=value"
 *     %n  newline, %r carriage return, at the end only                             %R     fields that the layout does not name
 *
 *     %(asctime)s 2026-11-20 10:06:41,123   %(created)f seconds since 1970   %(msecs)03d   %(message)s   %(name)s source
 *     %(levelname)s with WARNING, CRITICAL   %(levelno)s 10 to 50   %(filename)s %(pathname)s   %(module)s   %(lineno)d
 *     %(funcName)s   %(thread)d   %(threadName)s   %(process)d   %(processName)s program; and the names of a JSON line:
 *     %(ts)s %(level)s %(msg)s %(source)s %(at)s; and %(syslogtag)s: source[pid]: with the field pid, else source:. Any other
 *     name is the key of a field: %(user)s
 *
 *   Width and precision: %-6V, %5.20c, %(name)-8s: at least 6 characters, to the left; at most 20; up to 1024; 0 pads with zeros.
 *   %(created).3f and %(msecs).1f count digits. Times are UTC or local as `utc` says. A field that a record has not is empty. In
 *   literal text: \t \e \\. A newline is added to each record. A layout is compiled by mlog_init or mlog_sink_add, and refused
 *   with its column: at most 1024 bytes, 192 parts, 16 times. */

/* Zero means default, which stands beside each field. A value whose feature is not part of this version is refused. */
typedef struct {
    const char *name;                         /* default: its type, e.g. "console" */
    mlog_sink_type type; mlog_format format;  /* JSON for files and pipes, PRETTY on a terminal */
    int level;                                /* whatever .levels lets through */
    const char *where, *pattern;              /* filter, everything; layout of MLOG_PATTERN: the table above */
    const char *path;                         /* of a file */
    const char *owner; unsigned mode;         /* "agentd:adm"; 0640; set at open */
    mlog_choice color, utc, durable;          /* terminal only; yes in files, local time on a console; no. durable: what counts as
                                               * written to a file, and what mlog_flush waits for, is on the disk: see FILES */
    uint64_t rotate_bytes, min_free;          /* never; 0. A file that would become larger is set aside: see FILES */
    int rotate_hours, rotate_keep;            /* never; 5 (-1: none): so many old files stay, the others are deleted */
    const char *archive;                      /* directory, with "gzip:" or "zstd:" before it */
    int flush_level, flush_ms, flush_records; /* ERROR; 100; off. With any of them set, a file or console holds text back to make larger
                                               * writes, and a callback's flush() comes less often: until a record of this level, so
                                               * many ms after the first, or so many records. Without, each pass writes what it has */
    int (*write)(void *user, const mlog_record *); /* CALLBACK: one record; <0: stop, offer this batch again later */
    int (*flush)(void *user);                 /* 0: all written so far is safe, the ring may forget it */
    void (*close)(void *user); void *user;    /* called once, when the sink is gone */
} mlog_sink_config;

typedef struct {
    const char *name;                         /* of the program; base name of argv[0] */
    const char *levels;                       /* "info,net=debug,db.*=trace"; "info" */
    const char *env;                          /* prefix of the environment variables; "METALOG"; "-": none */
    const char *file; mlog_choice watch;      /* configuration file, none; read again when it changes, no */
    const char *control, *redact, *ring_dir;  /* none; "password,passwd,secret,token,authorization,api_key" ("-": none); default */
    mlog_choice crash_safe, catch_fatal;      /* yes with a file sink, see SURVIVAL; no, see FATAL SIGNALS */
    int recorder_level;                       /* flight recorder: keep records from this level on in the rings, off */
    mlog_clock clock; mlog_flusher flusher; mlog_full full; int full_ms, exit_ms; /* COUNTER; THREAD; WAIT; 100; 2000 */
    uint32_t ring_bytes; uint64_t rings_total;/* 1 MiB a thread; 64 MiB in all; a record is at most a quarter of its ring: else
                                               * its texts are cut, then its fields, whose number `fields_cut` tells */
    int64_t (*now)(void);                     /* a test's or a simulator's clock, ns since 1970 */
    mlog_sink_config sinks[8];                /* the whole list; default one console on stderr. Stays last. */
} mlog_config;

typedef struct { const char *name; uint32_t ring_bytes; mlog_full full; } mlog_thread_config; /* zero: as the program */

/* accepted = written + filtered + folded + lost + pending, at every moment, in records since the sink was added */
typedef struct { uint64_t written, filtered, folded, lost, pending, bytes, errors; } mlog_sink_stats;

/* Calls that returned = accepted + dropped. late: came after a younger record had been written. bytes: taken from the rings. */
typedef struct { uint64_t accepted, dropped, suppressed, recovered, late, bytes, sink_errors, dropped_by_level[26];
                 uint32_t rings; uint64_t ring_bytes, ring_peak; } mlog_stats;

/* ---- functions ----
 * [s]: legal in a signal handler. Everything else: from any thread. Every call leaves errno as it was, is no cancellation point
 * and does not depend on the locale. Functions that can fail return 0 or -1 and say why in mlog_why(). A handler that unblocks
 * its own signal, or has SA_NODEFER (but on x86-64), is not known as one: a program's very first call must be made elsewhere. */

/* Sets the program's defaults, replaces the sinks and starts the flusher. Optional: the first logging call does it with a zeroed
 * struct. Returns 0, or -1 and changes nothing. Opens files; may block on them. */
METALOG_API int mlog1_init(const mlog_config *config, size_t head_size, size_t sink_size);
static inline int mlog_init(const mlog_config *config) { return mlog1_init(config, offsetof(mlog_config, sinks), sizeof(mlog_sink_config)); }

/* Replaces the level rules: "info,net=debug,net.*=trace,db=off". `net=debug` covers net and net.*, `net.*` only the children; the
 * longest match wins, then the later. In force on every call site at once; wins over everything else. 0, or -1 if refused. */
METALOG_API int mlog_levels(const char *rules);

/* Waits until everything that any thread logged before this call is with the sinks. ms < 0: exit_ms; 0: does not wait.
 * Returns 0, or -1 when the time is over. Not from a sink's callback (returns -1 there at once). */
METALOG_API int mlog_flush(int ms);

/* Flushes as mlog_flush, then closes the sinks. A later call starts again with the last configuration of mlog_init. */
METALOG_API int mlog_shutdown(int ms);

/* With flusher = MLOG_POLL: hands what was logged to the sinks, callbacks too, on this thread; at most max_records to each sink (<= 0:
 * all). Returns how many are left, a blocked sink's and those held back (flush_ms) included, or -1: another flusher, or called from
 * a sink's callback. Other threads may log meanwhile. A thread whose ring is full does the same by itself when it is the one that polled last, or nobody has
 * polled yet; another one waits for the next poll as `full` says. Takes what the sinks' writes and callbacks take. */
METALOG_API int mlog_poll(int max_records);

/* [s] Opens the files again by their names, before the next batch: for SIGHUP after an external rotation. */
METALOG_API void mlog_reopen(void);

/* Names this thread, makes its ring and touches it now, so that its first call is as fast as the others. 0, or -1. */
METALOG_API int mlog1_thread(const mlog_thread_config *config, size_t size);
static inline int mlog_thread(const mlog_thread_config *config) { return mlog1_thread(config, sizeof *config); }

/* This thread's last failure: what, where, and what was expected. "" when there was none. Valid until the next failure. */
METALOG_API const char *mlog_why(void);

/* Counters of the process, and of one sink by name. They wait for the batch in progress (well under a millisecond).
 * mlog_sink_stats_read returns -1 when there is no such sink. */
METALOG_API void mlog1_stats_read(mlog_stats *stats, size_t size);
METALOG_API int mlog1_sink_stats_read(const char *sink, mlog_sink_stats *stats, size_t size);
static inline void mlog_stats_read(mlog_stats *stats) { mlog1_stats_read(stats, sizeof *stats); }
static inline int mlog_sink_stats_read(const char *sink, mlog_sink_stats *stats) { return mlog1_sink_stats_read(sink, stats, sizeof *stats); }

/* Adds a sink while others log; it sees every record that is logged after the call. NULL if refused. Up to 16 sinks.
 * mlog_sink_remove hands it what was logged before the call (at most exit_ms), closes it, and returns when its callbacks do not
 * run any more; not from one of its own callbacks. */
METALOG_API mlog_sink *mlog1_sink_add(const mlog_sink_config *config, size_t size);
static inline mlog_sink *mlog_sink_add(const mlog_sink_config *config) { return mlog1_sink_add(config, sizeof *config); }
METALOG_API void mlog_sink_remove(mlog_sink *sink);

/* Compiles a filter (see FILTERS above); NULL if refused. It does not change any more: any number of threads may match at once.
 * mlog_filter_match allocates nothing, takes no lock, and is [s], but with a pattern (~) none of the three: who matches with
 * the same filter at the same time waits; fields are looked up by the names that the record gives them, the first of a name
 * counts. A NULL filter takes every record. mlog_filter_free takes NULL, too; nobody may match any more. */
METALOG_API mlog_filter *mlog_filter_new(const char *text, size_t len);
METALOG_API bool mlog1_filter_match(const mlog_filter *filter, const mlog_record *record, size_t size);
static inline bool mlog_filter_match(const mlog_filter *filter, const mlog_record *record) {
    return mlog1_filter_match(filter, record, sizeof *record);
}
METALOG_API void mlog_filter_free(mlog_filter *filter);

/* For tests of programs that log. From _begin on, the records of all threads are kept here, and the other sinks, those added meanwhile too, get none (they count
 * them as filtered); `levels` are the rules for the time of the capture, NULL: as they are. One at a time: NULL, with mlog_why(), when
 * another is under way or the rules are bad. _count waits until every call that returned before it is here, and counts the records
 * that match the filter ("msg='rejected' and qty=300"; NULL: all); (size_t)-1 when the filter is bad. _text: a line for each record
 * in the format PLAIN, without time and place, so that it can be compared; valid until the next call with this capture. _end gives
 * everything free and hands the log back to the other sinks. Memory grows with what is logged. Not from a sink's callback: there
 * _begin returns NULL and _end does nothing. */
METALOG_API mlog_capture *mlog_capture_begin(const char *levels);
METALOG_API size_t mlog_capture_count(mlog_capture *capture, const char *filter);
METALOG_API const char *mlog_capture_text(mlog_capture *capture);
METALOG_API void mlog_capture_end(mlog_capture *capture);

/* [s] "info"; never NULL. mlog_level_parse takes names in any case, also warning, err, critical, panic, emerg, and numbers 1 to 24;
 * -1 if it is none. */
METALOG_API const char *mlog_level_name(int level);
METALOG_API int mlog_level_parse(const char *name);

/* A logger of this source name: the same name gives the same pointer, which stays valid for ever. NULL (the root) when the table
 * is full (4,096) or the name is empty, longer than 63 bytes, or holds control characters, spaces, ',' or '='. */
METALOG_API mlog_logger *mlog_named(const char *source);
METALOG_API mlog_logger *mlog1_bind(mlog_logger *parent, const mlog_field *fields, size_t count);
METALOG_API void mlog_unbind(mlog_logger *bound); /* of mlog_bind only; nobody may use it any more */

/* Contexts. _current borrows; _ref and mlog_context_new give a reference; _unref takes one; _swap enters the given context, taking
 * the caller's reference, and hands back the one that the thread had, with its reference. NULL is the empty context. */
METALOG_API mlog_context *mlog1_context_new(const mlog_field *fields, size_t count);
METALOG_API mlog_context *mlog_context_current(void);
METALOG_API mlog_context *mlog_context_ref(mlog_context *context);
METALOG_API void mlog_context_unref(mlog_context *context);
METALOG_API mlog_context *mlog_context_swap(mlog_context *context);
METALOG_API mlog_context *mlog1_enter(mlog_context *owned);
METALOG_API void mlog1_leave(mlog_context **saved);

/* [s] A record whose keys, text, place and time are known at run time only: for bindings, wrappers, replays. Fields beyond 64 and
 * keys beyond 255 bytes are cut. A given time goes out as ts, in call order. */
METALOG_API void mlog_emit(const mlog_event *event);

/* [s] printf style with a va_list, formatted by the flusher; the format need not be a literal and is copied. Up to 32 arguments. */
METALOG_API void mlog_vprintf(mlog_where at, mlog_logger *logger, int level, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/* Makers of values that C's types do not tell. They copy nothing: what they point to must live until the logging call returns.
 * The result of mlog_object is valid only as an argument of a logging macro, mlog_with, mlog_bind or mlog_context_new. */
METALOG_API mlog_value mlog_object(void (*put)(mlog_writer *, const void *), const void *object);
METALOG_API void mlog1_put(mlog_writer *writer, const char *key, mlog_value value);

/* For sinks: the value as JSON text, without NUL; returns the length it needs, writes nothing when that is more than size. */
METALOG_API size_t mlog_value_json(const mlog_value *value, char *text, size_t size);

static inline mlog_value mlog__val_i(int64_t v) { mlog_value r; r.kind = MLOG_K_INT; r.size = 0; r.as.i = v; return r; }
static inline mlog_value mlog__val_k(uint32_t kind, uint64_t v) { mlog_value r; r.kind = kind; r.size = 0; r.as.u = v; return r; }
static inline mlog_value mlog__val_f(uint32_t kind, double v) { mlog_value r; r.kind = kind; r.size = 0; r.as.f = v; return r; }
/* as.p also for 32-bit targets, where the upper half of the union must be defined */
static inline mlog_value mlog__val_p(uint32_t kind, const void *p, size_t n) {
    mlog_value r; r.kind = kind; r.size = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1; r.as.u = 0; r.as.p = p; return r;
}
static inline mlog_value mlog__val_s(const char *s) { return mlog__val_p(MLOG_K_TEXT, s, s ? __builtin_strlen(s) : 0); }
static inline mlog_value mlog__val_v(mlog_value v) { return v; }
static inline mlog_value mlog__val_u(uint64_t v) { return mlog__val_k(MLOG_K_UINT, v); }
static inline mlog_value mlog__val_d(double v) { return mlog__val_f(MLOG_K_DOUBLE, v); }
static inline mlog_value mlog__val_f32(float v) { return mlog__val_f(MLOG_K_FLOAT, (double)v); }
static inline mlog_value mlog__val_ptr(const volatile void *p) { return mlog__val_k(MLOG_K_POINTER, (uint64_t)(uintptr_t)p); }

static inline mlog_value mlog_str(const char *p, size_t n) { return mlog__val_p(MLOG_K_TEXT, p, p ? n : 0); }     /* n bytes of text */
static inline mlog_value mlog_bytes(const void *p, size_t n) { return mlog__val_p(MLOG_K_BYTES, p, p ? n : 0); }  /* as hex text */
static inline mlog_value mlog_json(const char *p, size_t n) { return mlog__val_p(MLOG_K_JSON, p, p ? n : 0); }    /* bad JSON becomes text */
static inline mlog_value mlog_secret(const char *s) { return mlog__val_k(MLOG_K_SECRET, s ? __builtin_strlen(s) : 0); } /* only its length */
static inline mlog_value mlog_hex(uint64_t v) { return mlog__val_k(MLOG_K_HEX, v); }
static inline mlog_value mlog_bool(bool b) { return mlog__val_k(MLOG_K_BOOL, b); }
static inline mlog_value mlog_char(char c) { return mlog__val_k(MLOG_K_CHAR, (unsigned char)c); }
static inline mlog_value mlog_errno(int e) { mlog_value r = mlog__val_i(e); r.kind = MLOG_K_ERRNO; return r; }
static inline mlog_value mlog_time(int64_t unix_ns) { mlog_value r = mlog__val_i(unix_ns); r.kind = MLOG_K_TIME; return r; }
static inline mlog_value mlog_dur(int64_t ns) { mlog_value r = mlog__val_i(ns); r.kind = MLOG_K_DURATION; return r; }

/* ---- the call, in parts; private, but part of the binary interface ---- */

/* For atomic access: on 32-bit x86 a uint64_t in a struct is aligned to 4 bytes only, and a load over two cache lines is torn. */
typedef uint64_t mlog__u64 __attribute__((aligned(8)));

/* A logger begins with the lowest level that it lets through. */
struct mlog__logger_head { int32_t threshold; };

/* A call site. word is the gate: 0 off; sign bit: take the slow path (not registered, or arguments need care); else the first
 * eight bytes of every record of this site. Atomic: written by registration and level changes. */
typedef struct mlog__site {
    mlog__u64 word, full;
    const char *msg, *keys, *file, *func, *source;
    struct mlog__site *next;
    int32_t line;
    uint8_t level, count, style;
    int8_t threshold;
} mlog__site;

#define MLOG__UNSEEN 0x8000000000000000u
enum { MLOG__PAIRS = 0, MLOG__PRINTF = 1, MLOG__PROBE = 2, MLOG__DYNAMIC = 4 }; /* style; DYNAMIC: level or logger at run time */

/* One per module (program or shared object): its registered sites. The destructor takes them out before the memory goes.
 * linked: 0 not in the list of modules, 1 in it, 2 gone. */
typedef struct mlog__module { mlog__site *sites; struct mlog__module *next; void (*gone)(struct mlog__module *); int linked; } mlog__module;
MLOG__GATED uint64_t mlog1_site(mlog__site *site, mlog__module *module);
MLOG__GATED uint64_t *mlog1_begin(mlog__site *site, uint64_t word, uint64_t classes);
MLOG__GATED uint64_t *mlog1_begin_to(mlog__site *site, uint64_t word, uint64_t classes, mlog_logger *logger, int level);
MLOG__GATED uint64_t *mlog1_text(uint64_t *slots, unsigned index, const char *text);
MLOG__GATED uint64_t *mlog1_textf(uint64_t *slots, unsigned index, const char *text);
MLOG__GATED uint64_t *mlog1_value(uint64_t *slots, unsigned index, mlog_value value);
MLOG__GATED uint64_t *mlog1_ldouble(uint64_t *slots, unsigned index, long double value);
MLOG__GATED void mlog1_end(void);
MLOG__GATED void mlog1_fatal(void);
METALOG_API void mlog1_die(int status) __attribute__((noreturn));
/* State of one mlog_every or mlog_limit: how often it was asked, or until when its allowance is spent; how many were held back. */
typedef struct { mlog__u64 state, held; } mlog__limiter;
METALOG_API int mlog1_every(mlog__limiter *limiter, int64_t n, uint64_t *held);
METALOG_API int mlog1_limit(mlog__limiter *limiter, int64_t per_second, uint64_t *held);
METALOG_API mlog_context *mlog1_context_held(uint64_t held);
/* All of these in one; ...: for each argument its class | size << 8, then itself. */
MLOG__GATED void mlog1_log(mlog__site *site, uint64_t word, mlog_logger *logger, int level, ...);

__attribute__((weak, visibility("hidden"))) mlog__module mlog1_module = {0, 0, 0, 0};
__attribute__((weak, visibility("hidden"), destructor(101), used)) void mlog1_module_gone(void); /* 101: behind all others */
__attribute__((weak, visibility("hidden"), destructor(101), used)) void mlog1_module_gone(void) {
    void (*gone)(mlog__module *) = __atomic_load_n(&mlog1_module.gone, __ATOMIC_ACQUIRE); /* RULE-3 */
    if (gone) gone(&mlog1_module); /* set at the first registration: a unit that never logs needs no implementation */
}

/* Classes of arguments: how the call captures them. 4 bits each, so that 16 fit one word. */
enum { MLOG__E_I8 = 1, MLOG__E_U8, MLOG__E_I16, MLOG__E_U16, MLOG__E_I32, MLOG__E_U32, MLOG__E_I64, MLOG__E_U64, MLOG__E_BOOL,
       MLOG__E_F32, MLOG__E_F64, MLOG__E_TEXT }; /* elements of an array */
enum { MLOG__C_INT = 1, MLOG__C_UINT, MLOG__C_BOOL, MLOG__C_FLOAT, MLOG__C_DOUBLE, MLOG__C_TEXT, MLOG__C_POINTER,
       MLOG__C_VALUE, MLOG__C_LDOUBLE, MLOG__C_NONE = 16 };

#ifdef __OPTIMIZE__
#define MLOG__INLINE static inline __attribute__((always_inline, unused))
#else /* plain calls: twice as fast to compile, and a debugger steps over them */
#define MLOG__INLINE static inline __attribute__((unused))
#endif
MLOG__INLINE uint64_t *mlog__put_i(uint64_t *p, unsigned i, int64_t v) { p[i] = (uint64_t)v; return p; }
MLOG__INLINE uint64_t *mlog__put_u(uint64_t *p, unsigned i, uint64_t v) { p[i] = v; return p; }
MLOG__INLINE uint64_t *mlog__put_d(uint64_t *p, unsigned i, double v) { __builtin_memcpy(p + i, &v, 8); return p; }
MLOG__INLINE uint64_t *mlog__put_f(uint64_t *p, unsigned i, float v) { uint32_t u; __builtin_memcpy(&u, &v, 4); p[i] = u; return p; }
MLOG__INLINE uint64_t *mlog__put_p(uint64_t *p, unsigned i, const volatile void *v) { p[i] = (uint64_t)(uintptr_t)v; return p; }

/* Levels are 1 to 24: one beyond them must not pass a rule that says "off". Costs nothing where the level is a constant. */
MLOG__INLINE int mlog__level(int level) { return level < 1 ? 1 : level > 24 ? 24 : level; }

#ifdef METALOG_OPTIONAL
/* An optional unit asks once per site, and by a function: where there is no metalog, the site is off for good. */
__attribute__((noinline, cold, unused)) static uint64_t mlog__site_optional(mlog__site *s) {
    if (mlog1_site) return mlog1_site(s, &mlog1_module);
    __atomic_store_n(&s->word, 0, __ATOMIC_RELAXED); /* RULE-4 */
    return 0;
}
#define MLOG__SITE(s) mlog__site_optional(s)
#else
#define MLOG__SITE(s) mlog1_site(s, &mlog1_module)
#endif

/* Word to log with, or 0: off. The plain form is one load and a predicted branch. */
MLOG__INLINE uint64_t mlog__gate(mlog__site *s) {
    uint64_t w = __atomic_load_n(&s->word, __ATOMIC_RELAXED); /* RULE-4 */
    if (w != 0 && __builtin_expect((int64_t)w < 0, 0)) w = MLOG__SITE(s);
    return w;
}
MLOG__INLINE uint64_t mlog__gate_to(mlog__site *s, mlog_logger *lg, int level) {
    uint64_t w = mlog__gate(s);
    int low = lg ? (int)__atomic_load_n(&((struct mlog__logger_head *)(void *)lg)->threshold, __ATOMIC_RELAXED) : 0; /* RULE-4 */
    /* RULE-4: the root, or a bound child of it: as the unit */
    if (low == 0) low = (int)__atomic_load_n(&s->threshold, __ATOMIC_RELAXED);
    return level >= low ? w : 0;
}

#ifdef METALOG_OPTIONAL
/* ---- OPTIONAL: each function asks for itself, so that one which an older metalog lacks does nothing either ---- */
#define MLOG__OPTIONAL(type, name, symbol, parameters, arguments, none)                         \
    MLOG__GATED type mlog__far_##name parameters __asm__(#symbol);                              \
    static inline type name parameters { return mlog__far_##name ? mlog__far_##name arguments : none; }
#define MLOG__OPTIONAL_VOID(name, symbol, parameters, arguments, none)                          \
    MLOG__GATED void mlog__far_##name parameters __asm__(#symbol);                              \
    static inline void name parameters { if (mlog__far_##name) mlog__far_##name arguments; else none; }
MLOG__OPTIONAL(int, mlog1_init, mlog1_init, (const mlog_config *config, size_t head, size_t sink), (config, head, sink), -1)
MLOG__OPTIONAL(int, mlog_levels, mlog1_levels, (const char *rules), (rules), -1)
MLOG__OPTIONAL(int, mlog_flush, mlog1_flush, (int ms), (ms), 0)
MLOG__OPTIONAL(int, mlog_shutdown, mlog1_shutdown, (int ms), (ms), 0)
MLOG__OPTIONAL_VOID(mlog_reopen, mlog1_reopen, (void), (), (void)0)
MLOG__OPTIONAL(int, mlog1_thread, mlog1_thread, (const mlog_thread_config *config, size_t size), (config, size), -1)
MLOG__OPTIONAL(const char *, mlog_why, mlog1_why, (void), (), "this process has no metalog; expected one in the program, see METALOG_OPTIONAL")
MLOG__OPTIONAL_VOID(mlog1_stats_read, mlog1_stats_read, (mlog_stats *stats, size_t size), (stats, size), __builtin_memset(stats, 0, size))
MLOG__OPTIONAL(int, mlog1_sink_stats_read, mlog1_sink_stats_read, (const char *sink, mlog_sink_stats *stats, size_t size),
               (sink, stats, size), (__builtin_memset(stats, 0, size), -1))
MLOG__OPTIONAL(mlog_sink *, mlog1_sink_add, mlog1_sink_add, (const mlog_sink_config *config, size_t size), (config, size), NULL)
MLOG__OPTIONAL_VOID(mlog_sink_remove, mlog1_sink_remove, (mlog_sink *sink), (sink), (void)0)
MLOG__OPTIONAL(const char *, mlog_level_name, mlog1_level_name, (int level), (level), "")
MLOG__OPTIONAL(int, mlog_level_parse, mlog1_level_parse, (const char *name), (name), -1)
MLOG__OPTIONAL(mlog_logger *, mlog_named, mlog1_named, (const char *source), (source), NULL)
MLOG__OPTIONAL(mlog_logger *, mlog1_bind, mlog1_bind, (mlog_logger *parent, const mlog_field *fields, size_t count),
               (parent, fields, count), NULL)
MLOG__OPTIONAL_VOID(mlog_unbind, mlog1_unbind, (mlog_logger *bound), (bound), (void)0)
MLOG__OPTIONAL(mlog_context *, mlog1_context_new, mlog1_context_new, (const mlog_field *fields, size_t count), (fields, count), NULL)
MLOG__OPTIONAL(mlog_context *, mlog_context_current, mlog1_context_current, (void), (), NULL)
MLOG__OPTIONAL(mlog_context *, mlog_context_ref, mlog1_context_ref, (mlog_context *context), (context), NULL)
MLOG__OPTIONAL_VOID(mlog_context_unref, mlog1_context_unref, (mlog_context *context), (context), (void)0)
MLOG__OPTIONAL(mlog_context *, mlog_context_swap, mlog1_context_swap, (mlog_context *context), (context), NULL)
MLOG__OPTIONAL(mlog_context *, mlog1_enter, mlog1_enter, (mlog_context *owned), (owned), NULL)
MLOG__OPTIONAL_VOID(mlog1_leave, mlog1_leave, (mlog_context **saved), (saved), (void)0)
MLOG__OPTIONAL_VOID(mlog_emit, mlog1_emit, (const mlog_event *event), (event), (void)0)
MLOG__OPTIONAL_VOID(mlog_vprintf, mlog1_vprintf, (mlog_where at, mlog_logger *logger, int level, const char *format, va_list args),
                    (at, logger, level, format, args), (void)0)
MLOG__OPTIONAL(mlog_value, mlog_object, mlog1_object, (void (*put)(mlog_writer *, const void *), const void *object), (put, object),
               mlog__val_k(MLOG_K_NULL, 0))
MLOG__OPTIONAL_VOID(mlog1_put, mlog1_put, (mlog_writer *writer, const char *key, mlog_value value), (writer, key, value), (void)0)
MLOG__OPTIONAL(size_t, mlog_value_json, mlog1_value_json, (const mlog_value *value, char *text, size_t size), (value, text, size), 0)
MLOG__OPTIONAL(int, mlog1_every, mlog1_every, (mlog__limiter *limiter, int64_t n, uint64_t *held), (limiter, n, held),
               /* LIFE-8 */
               (*held = 0, __atomic_fetch_add(&limiter->state, 1, __ATOMIC_RELAXED) % (uint64_t)(n < 1 ? INT64_MAX : n) == 0))
MLOG__OPTIONAL(int, mlog1_limit, mlog1_limit, (mlog__limiter *limiter, int64_t per_second, uint64_t *held), (limiter, per_second, held),
               (*held = 0, per_second > 0))
MLOG__OPTIONAL(mlog_context *, mlog1_context_held, mlog1_context_held, (uint64_t held), (held), NULL)
MLOG__OPTIONAL(mlog_filter *, mlog_filter_new, mlog1_filter_new, (const char *text, size_t len), (text, len), NULL)
MLOG__OPTIONAL(bool, mlog1_filter_match, mlog1_filter_match, (const mlog_filter *filter, const mlog_record *record, size_t size),
               (filter, record, size), filter == NULL)
MLOG__OPTIONAL_VOID(mlog_filter_free, mlog1_filter_free, (mlog_filter *filter), (filter), (void)0)
MLOG__OPTIONAL(mlog_capture *, mlog_capture_begin, mlog1_capture_begin, (const char *levels), (levels), NULL)
MLOG__OPTIONAL(int, mlog_poll, mlog1_poll, (int max_records), (max_records), 0)
MLOG__OPTIONAL(size_t, mlog_capture_count, mlog1_capture_count, (mlog_capture *capture, const char *filter), (capture, filter), SIZE_MAX)
MLOG__OPTIONAL(const char *, mlog_capture_text, mlog1_capture_text, (mlog_capture *capture), (capture), "")
MLOG__OPTIONAL_VOID(mlog_capture_end, mlog1_capture_end, (mlog_capture *capture), (capture), (void)0)
MLOG__GATED void mlog__far_die(int status) __asm__("mlog1_die");
static inline void mlog1_die(int status) {
    if (mlog__far_die) mlog__far_die(status);
    exit(status);
}
#endif

#ifdef __cplusplus
}
#endif

/* ---- logging macros ----
 *
 *   mlog_trace … mlog_fatal(msg, key, value, …)      [s] a record; FATAL also drains (at most full_ms), and ends nothing
 *   mlog_tracef … mlog_fatalf(fmt, …)                [s] printf style, checked by the compiler, formatted by the flusher
 *   mlog(level, msg, …)        mlogf(level, fmt, …)  [s] level as an argument
 *   mlog_to(lg, level, msg, …) mlog_tof(lg, level, fmt, …)   [s] on a named or bound logger
 *   mlog_enabled(level)        mlog_enabled_to(lg, level)    [s] would it be written? before costly preparation
 *   mlog_die(status, msg, …)   mlog_dief(status, fmt, …)     a FATAL record, a drain (at most exit_ms), exit(status); noreturn
 *
 *   mlog_once(stmt)                the statement, usually a logging call, the first time only; afterwards a load and a branch
 *   mlog_every(n, stmt)            the 1st, n+1st, 2n+1st … time
 *   mlog_limit(per_second, stmt)   at most so often per second on average, as many at once (a leaky bucket, ITU-T I.371)
 * The next record then carries suppressed=N, how often the statement was left out since the last; mlog_stats has the sum. All
 * threads count together. n and per_second may change from call to call; below 1: never more than the first, or never.
 *
 * Message and keys are string literals; 0 to 16 pairs (printf: 16 arguments). Each argument is evaluated once, from left to right,
 * when the call is enabled, never when it is not, and always before the record begins. Values: every arithmetic type (char is a
 * number), bool, char *, void *, or what a maker above returns; anything else is a compile error that begins with "mlog: ".
 * A call blocks only when its ring is full, as `full` says. Void expressions.
 *
 *   mlog_with(key, value, …);          fields on this thread's records until the end of the block, however it is left
 *   mlog_with_context(context);        likewise, with a context made elsewhere; takes a reference of its own
 *   mlog_context_new(key, value, …)    a child of the current context, not entered; the caller owns a reference
 *   mlog_bind(lg, key, value, …)       a private child logger with fields; NULL when there is no room
 *   mlog_put(writer, key, value)       inside the function of mlog_object
 *
 * The two mlog_with are declarations: not behind `case X:`, not under an `if` without braces; clang refuses a goto past them. */

#define MLOG__CAT_(a, b) a##b
#define MLOG__CAT(a, b) MLOG__CAT_(a, b)
#define MLOG__STR_(...) #__VA_ARGS__
#define MLOG__STR(...) MLOG__STR_(__VA_ARGS__)

/* Arity up to 40, so that one pair too many is seen and named. */
#define MLOG__ARITY_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
                     a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, n, ...) n
#define MLOG__ARITY(...) MLOG__ARITY_(__VA_ARGS__, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, \
                                      20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* MLOG__EACH_n(f, id, key, value, …): f(id, index, key, value) for each pair; MLOG__ALL_n the same for single arguments. */
#define MLOG__EACH_0(f, id, nothing)
#define MLOG__EACH_1(f, id, k0, v0) f(id, 0, k0, v0)
#define MLOG__EACH_2(f, id, k0, v0, k1, v1) f(id, 0, k0, v0) f(id, 1, k1, v1)
#define MLOG__EACH_3(f, id, k0, v0, k1, v1, k2, v2) f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2)
#define MLOG__EACH_4(f, id, k0, v0, k1, v1, k2, v2, k3, v3) f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3)
#define MLOG__EACH_5(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4)
#define MLOG__EACH_6(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5)
#define MLOG__EACH_7(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6)
#define MLOG__EACH_8(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7)
#define MLOG__EACH_9(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8)
#define MLOG__EACH_10(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9)
#define MLOG__EACH_11(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10)
#define MLOG__EACH_12(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10, k11, v11) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10) f(id, 11, k11, v11)
#define MLOG__EACH_13(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10, k11, v11, k12, v12) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10) f(id, 11, k11, v11) \
    f(id, 12, k12, v12)
#define MLOG__EACH_14(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10, k11, v11, k12, v12, k13, v13) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10) f(id, 11, k11, v11) \
    f(id, 12, k12, v12) f(id, 13, k13, v13)
#define MLOG__EACH_15(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10, k11, v11, k12, v12, k13, v13, k14, v14) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10) f(id, 11, k11, v11) \
    f(id, 12, k12, v12) f(id, 13, k13, v13) f(id, 14, k14, v14)
#define MLOG__EACH_16(f, id, k0, v0, k1, v1, k2, v2, k3, v3, k4, v4, k5, v5, k6, v6, k7, v7, k8, v8, k9, v9, \
                      k10, v10, k11, v11, k12, v12, k13, v13, k14, v14, k15, v15) \
    f(id, 0, k0, v0) f(id, 1, k1, v1) f(id, 2, k2, v2) f(id, 3, k3, v3) f(id, 4, k4, v4) f(id, 5, k5, v5) \
    f(id, 6, k6, v6) f(id, 7, k7, v7) f(id, 8, k8, v8) f(id, 9, k9, v9) f(id, 10, k10, v10) f(id, 11, k11, v11) \
    f(id, 12, k12, v12) f(id, 13, k13, v13) f(id, 14, k14, v14) f(id, 15, k15, v15)
#define MLOG__ALL_0(f, id, nothing)
#define MLOG__ALL_1(f, id, v0) f(id, 0, 0, v0)
#define MLOG__ALL_2(f, id, v0, v1) f(id, 0, 0, v0) f(id, 1, 0, v1)
#define MLOG__ALL_3(f, id, v0, v1, v2) f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2)
#define MLOG__ALL_4(f, id, v0, v1, v2, v3) f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3)
#define MLOG__ALL_5(f, id, v0, v1, v2, v3, v4) f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4)
#define MLOG__ALL_6(f, id, v0, v1, v2, v3, v4, v5) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5)
#define MLOG__ALL_7(f, id, v0, v1, v2, v3, v4, v5, v6) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6)
#define MLOG__ALL_8(f, id, v0, v1, v2, v3, v4, v5, v6, v7) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7)
#define MLOG__ALL_9(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8)
#define MLOG__ALL_10(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9)
#define MLOG__ALL_11(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10)
#define MLOG__ALL_12(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10) f(id, 11, 0, v11)
#define MLOG__ALL_13(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10) f(id, 11, 0, v11) f(id, 12, 0, v12)
#define MLOG__ALL_14(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10) f(id, 11, 0, v11) f(id, 12, 0, v12) f(id, 13, 0, v13)
#define MLOG__ALL_15(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10) f(id, 11, 0, v11) f(id, 12, 0, v12) f(id, 13, 0, v13) \
    f(id, 14, 0, v14)
#define MLOG__ALL_16(f, id, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15) \
    f(id, 0, 0, v0) f(id, 1, 0, v1) f(id, 2, 0, v2) f(id, 3, 0, v3) f(id, 4, 0, v4) f(id, 5, 0, v5) f(id, 6, 0, v6) \
    f(id, 7, 0, v7) f(id, 8, 0, v8) f(id, 9, 0, v9) f(id, 10, 0, v10) f(id, 11, 0, v11) f(id, 12, 0, v12) f(id, 13, 0, v13) \
    f(id, 14, 0, v14) f(id, 15, 0, v15)

/* From the number of arguments to the form of the call: PAIRS_n, with even counts and counts over 33 refused by name. */
#define MLOG__FORM_1(id, how, lg, lvl, m) how(id, lg, lvl, 0, m, )
#define MLOG__FORM_3(id, how, lg, lvl, m, ...) how(id, lg, lvl, 1, m, __VA_ARGS__)
#define MLOG__FORM_5(id, how, lg, lvl, m, ...) how(id, lg, lvl, 2, m, __VA_ARGS__)
#define MLOG__FORM_7(id, how, lg, lvl, m, ...) how(id, lg, lvl, 3, m, __VA_ARGS__)
#define MLOG__FORM_9(id, how, lg, lvl, m, ...) how(id, lg, lvl, 4, m, __VA_ARGS__)
#define MLOG__FORM_11(id, how, lg, lvl, m, ...) how(id, lg, lvl, 5, m, __VA_ARGS__)
#define MLOG__FORM_13(id, how, lg, lvl, m, ...) how(id, lg, lvl, 6, m, __VA_ARGS__)
#define MLOG__FORM_15(id, how, lg, lvl, m, ...) how(id, lg, lvl, 7, m, __VA_ARGS__)
#define MLOG__FORM_17(id, how, lg, lvl, m, ...) how(id, lg, lvl, 8, m, __VA_ARGS__)
#define MLOG__FORM_19(id, how, lg, lvl, m, ...) how(id, lg, lvl, 9, m, __VA_ARGS__)
#define MLOG__FORM_21(id, how, lg, lvl, m, ...) how(id, lg, lvl, 10, m, __VA_ARGS__)
#define MLOG__FORM_23(id, how, lg, lvl, m, ...) how(id, lg, lvl, 11, m, __VA_ARGS__)
#define MLOG__FORM_25(id, how, lg, lvl, m, ...) how(id, lg, lvl, 12, m, __VA_ARGS__)
#define MLOG__FORM_27(id, how, lg, lvl, m, ...) how(id, lg, lvl, 13, m, __VA_ARGS__)
#define MLOG__FORM_29(id, how, lg, lvl, m, ...) how(id, lg, lvl, 14, m, __VA_ARGS__)
#define MLOG__FORM_31(id, how, lg, lvl, m, ...) how(id, lg, lvl, 15, m, __VA_ARGS__)
#define MLOG__FORM_33(id, how, lg, lvl, m, ...) how(id, lg, lvl, 16, m, __VA_ARGS__)
#define MLOG__FORM_2 MLOG__NO_VALUE
#define MLOG__FORM_4 MLOG__NO_VALUE
#define MLOG__FORM_6 MLOG__NO_VALUE
#define MLOG__FORM_8 MLOG__NO_VALUE
#define MLOG__FORM_10 MLOG__NO_VALUE
#define MLOG__FORM_12 MLOG__NO_VALUE
#define MLOG__FORM_14 MLOG__NO_VALUE
#define MLOG__FORM_16 MLOG__NO_VALUE
#define MLOG__FORM_18 MLOG__NO_VALUE
#define MLOG__FORM_20 MLOG__NO_VALUE
#define MLOG__FORM_22 MLOG__NO_VALUE
#define MLOG__FORM_24 MLOG__NO_VALUE
#define MLOG__FORM_26 MLOG__NO_VALUE
#define MLOG__FORM_28 MLOG__NO_VALUE
#define MLOG__FORM_30 MLOG__NO_VALUE
#define MLOG__FORM_32 MLOG__NO_VALUE
#define MLOG__FORM_34 MLOG__TOO_MANY
#define MLOG__FORM_35 MLOG__TOO_MANY
#define MLOG__FORM_36 MLOG__TOO_MANY
#define MLOG__FORM_37 MLOG__TOO_MANY
#define MLOG__FORM_38 MLOG__TOO_MANY
#define MLOG__FORM_39 MLOG__TOO_MANY
#define MLOG__FORM_40 MLOG__TOO_MANY
#define MLOG__NO_VALUE(...) (__extension__({ MLOG__ASSERT(0, "mlog: a key has no value"); (void)0; }))
#define MLOG__TOO_MANY(...) (__extension__({ MLOG__ASSERT(0, "mlog: more than 16 pairs"); (void)0; }))

#define MLOG__FORMAT_1(id, how, lg, lvl, m) how(id, lg, lvl, 0, m, )
#define MLOG__FORMAT_2(id, how, lg, lvl, m, ...) how(id, lg, lvl, 1, m, __VA_ARGS__)
#define MLOG__FORMAT_3(id, how, lg, lvl, m, ...) how(id, lg, lvl, 2, m, __VA_ARGS__)
#define MLOG__FORMAT_4(id, how, lg, lvl, m, ...) how(id, lg, lvl, 3, m, __VA_ARGS__)
#define MLOG__FORMAT_5(id, how, lg, lvl, m, ...) how(id, lg, lvl, 4, m, __VA_ARGS__)
#define MLOG__FORMAT_6(id, how, lg, lvl, m, ...) how(id, lg, lvl, 5, m, __VA_ARGS__)
#define MLOG__FORMAT_7(id, how, lg, lvl, m, ...) how(id, lg, lvl, 6, m, __VA_ARGS__)
#define MLOG__FORMAT_8(id, how, lg, lvl, m, ...) how(id, lg, lvl, 7, m, __VA_ARGS__)
#define MLOG__FORMAT_9(id, how, lg, lvl, m, ...) how(id, lg, lvl, 8, m, __VA_ARGS__)
#define MLOG__FORMAT_10(id, how, lg, lvl, m, ...) how(id, lg, lvl, 9, m, __VA_ARGS__)
#define MLOG__FORMAT_11(id, how, lg, lvl, m, ...) how(id, lg, lvl, 10, m, __VA_ARGS__)
#define MLOG__FORMAT_12(id, how, lg, lvl, m, ...) how(id, lg, lvl, 11, m, __VA_ARGS__)
#define MLOG__FORMAT_13(id, how, lg, lvl, m, ...) how(id, lg, lvl, 12, m, __VA_ARGS__)
#define MLOG__FORMAT_14(id, how, lg, lvl, m, ...) how(id, lg, lvl, 13, m, __VA_ARGS__)
#define MLOG__FORMAT_15(id, how, lg, lvl, m, ...) how(id, lg, lvl, 14, m, __VA_ARGS__)
#define MLOG__FORMAT_16(id, how, lg, lvl, m, ...) how(id, lg, lvl, 15, m, __VA_ARGS__)
#define MLOG__FORMAT_17(id, how, lg, lvl, m, ...) how(id, lg, lvl, 16, m, __VA_ARGS__)
#define MLOG__FORMAT_18 MLOG__TOO_MANY_F
#define MLOG__FORMAT_19 MLOG__TOO_MANY_F
#define MLOG__FORMAT_20 MLOG__TOO_MANY_F
#define MLOG__FORMAT_21 MLOG__TOO_MANY_F
#define MLOG__FORMAT_22 MLOG__TOO_MANY_F
#define MLOG__FORMAT_23 MLOG__TOO_MANY_F
#define MLOG__FORMAT_24 MLOG__TOO_MANY_F
#define MLOG__FORMAT_25 MLOG__TOO_MANY_F
#define MLOG__FORMAT_26 MLOG__TOO_MANY_F
#define MLOG__FORMAT_27 MLOG__TOO_MANY_F
#define MLOG__FORMAT_28 MLOG__TOO_MANY_F
#define MLOG__FORMAT_29 MLOG__TOO_MANY_F
#define MLOG__FORMAT_30 MLOG__TOO_MANY_F
#define MLOG__FORMAT_31 MLOG__TOO_MANY_F
#define MLOG__FORMAT_32 MLOG__TOO_MANY_F
#define MLOG__FORMAT_33 MLOG__TOO_MANY_F
#define MLOG__FORMAT_34 MLOG__TOO_MANY_F
#define MLOG__FORMAT_35 MLOG__TOO_MANY_F
#define MLOG__FORMAT_36 MLOG__TOO_MANY_F
#define MLOG__FORMAT_37 MLOG__TOO_MANY_F
#define MLOG__FORMAT_38 MLOG__TOO_MANY_F
#define MLOG__FORMAT_39 MLOG__TOO_MANY_F
#define MLOG__FORMAT_40 MLOG__TOO_MANY_F
#define MLOG__TOO_MANY_F(...) (__extension__({ MLOG__ASSERT(0, "mlog: more than 16 arguments; use mlog_vprintf"); (void)0; }))


/* The pieces of a call; i is the index of the argument, k its key, v its value. Flat on purpose: every level of macros copies all
 * the arguments once more, and every assertion and every type of a list costs 1 to 3 % of the compile time of a call. */
#ifdef __cplusplus
#define MLOG__ASSERT static_assert
#else
#define MLOG__ASSERT _Static_assert
#endif
#define MLOG__KEY(id, i, k, v) k "\0"
#define MLOG__KEY_CHECK(id, i, k, v) & __builtin_constant_p(k)
#define MLOG__TAKE_P(id, i, k, v) MLOG__TAKE(id, i, v) enum { mlog__c_##id##_##i = MLOG__CLASS(mlog__a_##id##_##i) };
#define MLOG__TAKE_F(id, i, k, v) MLOG__TAKE(id, i, v) enum { mlog__c_##id##_##i = MLOG__CLASS_F(mlog__a_##id##_##i) };
#define MLOG__VALUE_CHECK(id, i, k, v) | +mlog__c_##id##_##i
#define MLOG__CLASSES(id, i, k, v) | (uint64_t)mlog__c_##id##_##i << (4 * i)
#define MLOG__STORE(id, i, k, v) mlog__p_##id = MLOG__PUT(mlog__p_##id, i, mlog__a_##id##_##i);
#define MLOG__STORE_F(id, i, k, v) mlog__p_##id = MLOG__PUT_F(mlog__p_##id, i, mlog__a_##id##_##i);
#define MLOG__ARG(id, i, k, v) , mlog__a_##id##_##i
#define MLOG__NO_KIND "mlog: this type has no kind: use mlog_str, mlog_bytes, mlog_array or mlog_object, or cast to void * or double"
#define MLOG__NO_LITERAL "mlog: the message and each key must be a string literal; mlog_emit takes others"
#define MLOG__NO_FORMAT "mlog: a format must be a string literal; mlog_vprintf takes others"

/* The end of a call, behind its arguments. Without optimization one call with all of them compiles in two thirds of the time, and a
 * debugger steps over it. */
#if defined(__OPTIMIZE__) || defined(__cplusplus)
#define MLOG__WRITE(id, lg, lvl, each, store, send, ...)                                                                       \
    uint64_t *mlog__p_##id = mlog1_begin(&mlog__s_##id, mlog__w_##id, (uint64_t)0 each(MLOG__CLASSES, id, __VA_ARGS__));       \
    each(store, id, __VA_ARGS__) (void)mlog__p_##id;                                                                           \
    mlog1_end();                                                                                                               \
    if ((lvl) >= MLOG_FATAL) mlog1_fatal();
#define MLOG__WRITE_TO(id, lg, lvl, each, store, send, ...)                                                                    \
    uint64_t *mlog__p_##id = mlog1_begin_to(&mlog__s_##id, mlog__w_##id, (uint64_t)0 each(MLOG__CLASSES, id, __VA_ARGS__), lg, lvl); \
    each(store, id, __VA_ARGS__) (void)mlog__p_##id;                                                                           \
    mlog1_end();                                                                                                               \
    if ((lvl) >= MLOG_FATAL) mlog1_fatal();
#else
#define MLOG__WRITE(id, lg, lvl, each, store, send, ...) \
    mlog1_log(&mlog__s_##id, mlog__w_##id, lg, lvl each(send, id, __VA_ARGS__));
#define MLOG__WRITE_TO MLOG__WRITE
#define MLOG__SEND(id, i, k, v) , mlog__c_##id##_##i | (int)sizeof mlog__a_##id##_##i << 8, mlog__a_##id##_##i
#define MLOG__SEND_F(id, i, k, v) , mlog__c_##id##_##i | 8 << 8, MLOG__WIDE(mlog__a_##id##_##i)
#endif

/* Only a call with nothing else can lack its text. */
#define MLOG__SOME_0(x, text) MLOG__ASSERT(sizeof MLOG__STR(x) > 1, text);
#define MLOG__SOME_1(x, text)
#define MLOG__SOME_2(x, text)
#define MLOG__SOME_3(x, text)
#define MLOG__SOME_4(x, text)
#define MLOG__SOME_5(x, text)
#define MLOG__SOME_6(x, text)
#define MLOG__SOME_7(x, text)
#define MLOG__SOME_8(x, text)
#define MLOG__SOME_9(x, text)
#define MLOG__SOME_10(x, text)
#define MLOG__SOME_11(x, text)
#define MLOG__SOME_12(x, text)
#define MLOG__SOME_13(x, text)
#define MLOG__SOME_14(x, text)
#define MLOG__SOME_15(x, text)
#define MLOG__SOME_16(x, text)

#ifdef __clang__ /* a site is static on purpose, also in a C inline function; a pragma in every call would cost 14 % of its compile time */
#pragma clang diagnostic ignored "-Wstatic-local-in-inline"
#endif

/* The four forms: pairs or printf, and a constant level on the root logger or both known at run time only. Each one: gate, take
 * the arguments, begin, store, end; in this order, so that no code of the user runs inside a record. An undefined METALOG_SOURCE
 * arrives as its own name, which registration takes for "the file's base name". */
/* debug and trace are mostly off: their code stands out of the way, so that a call that is off is not jumped over */
#define MLOG__EXPECTED(word, lvl) __builtin_expect((word) != 0, (lvl) >= 9)

#define MLOG__CALL(id, lg, lvl, n, m, ...)                                                                                    \
    (__extension__({                                                                                                          \
        MLOG__SOME_##n(m, "mlog: a message is missing")                                                                       \
        MLOG__ASSERT(__builtin_constant_p(m) MLOG__EACH_##n(MLOG__KEY_CHECK, id, __VA_ARGS__), MLOG__NO_LITERAL);             \
        if ((lvl) >= METALOG_LEVEL) {                                                                                         \
            static mlog__site mlog__s_##id __attribute__((aligned(8))) = {MLOG__UNSEEN, 0, m "",                           \
                "" MLOG__EACH_##n(MLOG__KEY, id, __VA_ARGS__), __FILE__, __func__, MLOG__STR(METALOG_SOURCE), 0, __LINE__,    \
                lvl, n, MLOG__PAIRS, 0};                                                                                      \
            uint64_t mlog__w_##id = mlog__gate(&mlog__s_##id);                                                                \
            if (MLOG__EXPECTED(mlog__w_##id, lvl)) {                                                                     \
                MLOG__EACH_##n(MLOG__TAKE_P, id, __VA_ARGS__)                                                                 \
                MLOG__ASSERT((0 MLOG__EACH_##n(MLOG__VALUE_CHECK, id, __VA_ARGS__)) < MLOG__C_NONE, MLOG__NO_KIND);                       \
                MLOG__WRITE(id, 0, lvl, MLOG__EACH_##n, MLOG__STORE, MLOG__SEND, __VA_ARGS__)                                 \
            }                                                                                                                 \
        } (void)0; }))

#define MLOG__CALL_TO(id, lg, lvl, n, m, ...)                                                                                 \
    (__extension__({                                                                                                          \
        MLOG__SOME_##n(m, "mlog: a message is missing")                                                                       \
        MLOG__ASSERT(__builtin_constant_p(m) MLOG__EACH_##n(MLOG__KEY_CHECK, id, __VA_ARGS__), MLOG__NO_LITERAL);             \
        mlog_logger *mlog__lg_##id = (lg); int mlog__lv_##id = mlog__level(lvl);                                              \
        if (mlog__lv_##id >= METALOG_LEVEL) {                                                                                 \
            static mlog__site mlog__s_##id __attribute__((aligned(8))) = {MLOG__UNSEEN, 0, m "",                           \
                "" MLOG__EACH_##n(MLOG__KEY, id, __VA_ARGS__), __FILE__, __func__, MLOG__STR(METALOG_SOURCE), 0, __LINE__,    \
                0, n, MLOG__PAIRS | MLOG__DYNAMIC, 0};                                                                        \
            uint64_t mlog__w_##id = mlog__gate_to(&mlog__s_##id, mlog__lg_##id, mlog__lv_##id);                               \
            if (mlog__w_##id) {                                                                                               \
                MLOG__EACH_##n(MLOG__TAKE_P, id, __VA_ARGS__)                                                                 \
                MLOG__ASSERT((0 MLOG__EACH_##n(MLOG__VALUE_CHECK, id, __VA_ARGS__)) < MLOG__C_NONE, MLOG__NO_KIND);                       \
                MLOG__WRITE_TO(id, mlog__lg_##id, mlog__lv_##id, MLOG__EACH_##n, MLOG__STORE, MLOG__SEND, __VA_ARGS__)        \
            }                                                                                                                 \
        } (void)0; }))

#define MLOG__CALLF(id, lg, lvl, n, m, ...)                                                                                   \
    (__extension__({                                                                                                          \
        MLOG__SOME_##n(m, "mlog: a format is missing") MLOG__ASSERT(__builtin_constant_p(m), MLOG__NO_FORMAT);                \
        if ((lvl) >= METALOG_LEVEL) {                                                                                         \
            static mlog__site mlog__s_##id __attribute__((aligned(8))) = {MLOG__UNSEEN, 0, m "", "",                       \
                __FILE__, __func__, MLOG__STR(METALOG_SOURCE), 0, __LINE__, lvl, n, MLOG__PRINTF, 0};                         \
            uint64_t mlog__w_##id = mlog__gate(&mlog__s_##id);                                                                \
            if (MLOG__EXPECTED(mlog__w_##id, lvl)) {                                                                     \
                MLOG__ALL_##n(MLOG__TAKE_F, id, __VA_ARGS__)                                                                  \
                (void)sizeof(mlog__format_check("" m "" MLOG__ALL_##n(MLOG__ARG, id, __VA_ARGS__)));                          \
                MLOG__WRITE(id, 0, lvl, MLOG__ALL_##n, MLOG__STORE_F, MLOG__SEND_F, __VA_ARGS__)                              \
            }                                                                                                                 \
        } (void)0; }))

#define MLOG__CALLF_TO(id, lg, lvl, n, m, ...)                                                                                \
    (__extension__({                                                                                                          \
        MLOG__SOME_##n(m, "mlog: a format is missing") MLOG__ASSERT(__builtin_constant_p(m), MLOG__NO_FORMAT);                \
        mlog_logger *mlog__lg_##id = (lg); int mlog__lv_##id = mlog__level(lvl);                                              \
        if (mlog__lv_##id >= METALOG_LEVEL) {                                                                                 \
            static mlog__site mlog__s_##id __attribute__((aligned(8))) = {MLOG__UNSEEN, 0, m "", "",                       \
                __FILE__, __func__, MLOG__STR(METALOG_SOURCE), 0, __LINE__, 0, n, MLOG__PRINTF | MLOG__DYNAMIC, 0};           \
            uint64_t mlog__w_##id = mlog__gate_to(&mlog__s_##id, mlog__lg_##id, mlog__lv_##id);                               \
            if (mlog__w_##id) {                                                                                               \
                MLOG__ALL_##n(MLOG__TAKE_F, id, __VA_ARGS__)                                                                  \
                (void)sizeof(mlog__format_check("" m "" MLOG__ALL_##n(MLOG__ARG, id, __VA_ARGS__)));                          \
                MLOG__WRITE_TO(id, mlog__lg_##id, mlog__lv_##id, MLOG__ALL_##n, MLOG__STORE_F, MLOG__SEND_F, __VA_ARGS__)     \
            }                                                                                                                 \
        } (void)0; }))

#define mlog_to(lg, level, ...) MLOG__CAT(MLOG__FORM_, MLOG__ARITY(__VA_ARGS__))(__COUNTER__, MLOG__CALL_TO, lg, level, __VA_ARGS__)
#define mlog_tof(lg, level, ...) MLOG__CAT(MLOG__FORMAT_, MLOG__ARITY(__VA_ARGS__))(__COUNTER__, MLOG__CALLF_TO, lg, level, __VA_ARGS__)
#ifdef METALOG_LOGGER
#define MLOG__LOG(lvl, ...) mlog_to(METALOG_LOGGER, lvl, __VA_ARGS__)
#define MLOG__LOGF(lvl, ...) mlog_tof(METALOG_LOGGER, lvl, __VA_ARGS__)
#define mlog(level, ...) mlog_to(METALOG_LOGGER, level, __VA_ARGS__)
#define mlogf(level, ...) mlog_tof(METALOG_LOGGER, level, __VA_ARGS__)
#define mlog_enabled(level) mlog_enabled_to(METALOG_LOGGER, level)
#else
#define MLOG__LOG(lvl, ...) MLOG__CAT(MLOG__FORM_, MLOG__ARITY(__VA_ARGS__))(__COUNTER__, MLOG__CALL, 0, lvl, __VA_ARGS__)
#define MLOG__LOGF(lvl, ...) MLOG__CAT(MLOG__FORMAT_, MLOG__ARITY(__VA_ARGS__))(__COUNTER__, MLOG__CALLF, 0, lvl, __VA_ARGS__)
#define mlog(level, ...) mlog_to((mlog_logger *)0, level, __VA_ARGS__)
#define mlogf(level, ...) mlog_tof((mlog_logger *)0, level, __VA_ARGS__)
#define mlog_enabled(level) mlog_enabled_to((mlog_logger *)0, level)
#endif

#define mlog_trace(...) MLOG__LOG(MLOG_TRACE, __VA_ARGS__)
#define mlog_debug(...) MLOG__LOG(MLOG_DEBUG, __VA_ARGS__)
#define mlog_info(...) MLOG__LOG(MLOG_INFO, __VA_ARGS__)
#define mlog_notice(...) MLOG__LOG(MLOG_NOTICE, __VA_ARGS__)
#define mlog_warn(...) MLOG__LOG(MLOG_WARN, __VA_ARGS__)
#define mlog_error(...) MLOG__LOG(MLOG_ERROR, __VA_ARGS__)
#define mlog_crit(...) MLOG__LOG(MLOG_CRIT, __VA_ARGS__)
#define mlog_alert(...) MLOG__LOG(MLOG_ALERT, __VA_ARGS__)
#define mlog_fatal(...) MLOG__LOG(MLOG_FATAL, __VA_ARGS__)
#define mlog_tracef(...) MLOG__LOGF(MLOG_TRACE, __VA_ARGS__)
#define mlog_debugf(...) MLOG__LOGF(MLOG_DEBUG, __VA_ARGS__)
#define mlog_infof(...) MLOG__LOGF(MLOG_INFO, __VA_ARGS__)
#define mlog_noticef(...) MLOG__LOGF(MLOG_NOTICE, __VA_ARGS__)
#define mlog_warnf(...) MLOG__LOGF(MLOG_WARN, __VA_ARGS__)
#define mlog_errorf(...) MLOG__LOGF(MLOG_ERROR, __VA_ARGS__)
#define mlog_critf(...) MLOG__LOGF(MLOG_CRIT, __VA_ARGS__)
#define mlog_alertf(...) MLOG__LOGF(MLOG_ALERT, __VA_ARGS__)
#define mlog_fatalf(...) MLOG__LOGF(MLOG_FATAL, __VA_ARGS__)

#define mlog_enabled_to(lg, level) MLOG__ENABLED(__COUNTER__, lg, level)
#define MLOG__ENABLED(id, lg, level) MLOG__ENABLED_(id, lg, level)
#define MLOG__ENABLED_(id, lg, lvl)                                                                                   \
    (__extension__({                                                                                       \
        static mlog__site mlog__s_##id __attribute__((aligned(8))) = {MLOG__UNSEEN, 0, "", "",                            \
            __FILE__, __func__, MLOG__STR(METALOG_SOURCE), 0, __LINE__, 0, 0, MLOG__PROBE | MLOG__DYNAMIC, 0};            \
        mlog_logger *mlog__lg_##id = (lg); int mlog__lv_##id = mlog__level(lvl);                           \
        (bool)(mlog__lv_##id >= METALOG_LEVEL && mlog__gate_to(&mlog__s_##id, mlog__lg_##id, mlog__lv_##id) != 0); }))

#define mlog_die(status, ...) (__extension__({ mlog_fatal(__VA_ARGS__); mlog1_die(status); (void)0; }))
#define mlog_dief(status, ...) (__extension__({ mlog_fatalf(__VA_ARGS__); mlog1_die(status); (void)0; }))

#define mlog_once(...) MLOG__ONCE(__COUNTER__, __VA_ARGS__)
#define MLOG__ONCE(id, ...) MLOG__ONCE_(id, __VA_ARGS__)
#define MLOG__ONCE_(id, ...)                                                                                                  \
    (__extension__({                                                                                                          \
        static unsigned char mlog__once_##id;                                                                                 \
        /* LIFE-8 */ if (!__atomic_load_n(&mlog__once_##id, __ATOMIC_RELAXED) &&                                              \
            /* LIFE-8 */ !__atomic_exchange_n(&mlog__once_##id, 1, __ATOMIC_RELAXED)) { __VA_ARGS__; } (void)0; }))
#define mlog_every(n, ...) MLOG__HELD(__COUNTER__, mlog1_every, n, __VA_ARGS__)
#define mlog_limit(per_second, ...) MLOG__HELD(__COUNTER__, mlog1_limit, per_second, __VA_ARGS__)
#define MLOG__HELD(id, how, n, ...) MLOG__HELD_(id, how, n, __VA_ARGS__)
#define MLOG__HELD_(id, how, n, ...)                                                                                          \
    (__extension__({                                                                                                          \
        static mlog__limiter mlog__lm_##id;                                                                                   \
        uint64_t mlog__h_##id;                                                                                                \
        if (how(&mlog__lm_##id, n, &mlog__h_##id)) {                                                                          \
            MLOG__WITH_(id, mlog1_context_held(mlog__h_##id));                                                                  \
            { __VA_ARGS__; }                                                                                                  \
        } (void)0; }))

#define mlog_var(x) #x, (x)
#define mlog_put(writer, key, value) mlog1_put(writer, key, mlog_val(value))

/* Field lists of mlog_with and its kin. */
#define MLOG__FIELD(id, i, k, v) {"" k "", mlog_val(v)},
#define MLOG__FIELDS(call, ...) MLOG__CAT(MLOG__FIELDS_, MLOG__ARITY(__VA_ARGS__))(call, __VA_ARGS__)
#define MLOG__FIELDS_2(call, ...) call(1, MLOG__EACH_1(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_4(call, ...) call(2, MLOG__EACH_2(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_6(call, ...) call(3, MLOG__EACH_3(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_8(call, ...) call(4, MLOG__EACH_4(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_10(call, ...) call(5, MLOG__EACH_5(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_12(call, ...) call(6, MLOG__EACH_6(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_14(call, ...) call(7, MLOG__EACH_7(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_16(call, ...) call(8, MLOG__EACH_8(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_18(call, ...) call(9, MLOG__EACH_9(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_20(call, ...) call(10, MLOG__EACH_10(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_22(call, ...) call(11, MLOG__EACH_11(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_24(call, ...) call(12, MLOG__EACH_12(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_26(call, ...) call(13, MLOG__EACH_13(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_28(call, ...) call(14, MLOG__EACH_14(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_30(call, ...) call(15, MLOG__EACH_15(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_32(call, ...) call(16, MLOG__EACH_16(MLOG__FIELD, 0, __VA_ARGS__))
#define MLOG__FIELDS_1 MLOG__NO_VALUE
#define MLOG__FIELDS_3 MLOG__NO_VALUE
#define MLOG__FIELDS_5 MLOG__NO_VALUE
#define MLOG__FIELDS_7 MLOG__NO_VALUE
#define MLOG__FIELDS_9 MLOG__NO_VALUE
#define MLOG__FIELDS_11 MLOG__NO_VALUE
#define MLOG__FIELDS_13 MLOG__NO_VALUE
#define MLOG__FIELDS_15 MLOG__NO_VALUE
#define MLOG__FIELDS_17 MLOG__NO_VALUE
#define MLOG__FIELDS_19 MLOG__NO_VALUE
#define MLOG__FIELDS_21 MLOG__NO_VALUE
#define MLOG__FIELDS_23 MLOG__NO_VALUE
#define MLOG__FIELDS_25 MLOG__NO_VALUE
#define MLOG__FIELDS_27 MLOG__NO_VALUE
#define MLOG__FIELDS_29 MLOG__NO_VALUE
#define MLOG__FIELDS_31 MLOG__NO_VALUE
#define MLOG__FIELDS_33 MLOG__TOO_MANY
#define MLOG__FIELDS_34 MLOG__TOO_MANY
#define MLOG__FIELDS_35 MLOG__TOO_MANY
#define MLOG__FIELDS_36 MLOG__TOO_MANY
#define MLOG__FIELDS_37 MLOG__TOO_MANY
#define MLOG__FIELDS_38 MLOG__TOO_MANY
#define MLOG__FIELDS_39 MLOG__TOO_MANY
#define MLOG__FIELDS_40 MLOG__TOO_MANY
#define mlog_context_new(...) MLOG__FIELDS(MLOG__CONTEXT_NEW, __VA_ARGS__)
#define mlog_bind(lg, ...) mlog1_bind(lg, MLOG__FIELDS(MLOG__BIND, __VA_ARGS__))
#define mlog_with(...) MLOG__WITH(__COUNTER__, mlog_context_new(__VA_ARGS__))
#define mlog_with_context(context) MLOG__WITH(__COUNTER__, mlog_context_ref(context))
#define MLOG__WITH(id, owned) MLOG__WITH_(id, owned)

#ifndef __cplusplus

/* -- C: types by _Generic -- */

#define MLOG_HERE ((mlog_where){__FILE__, __func__, __LINE__})
#define MLOG__TAKE(id, i, v) __auto_type mlog__a_##id##_##i = ((void)0, (v));

/* Bit-fields match no type of a list in GCC: __builtin_classify_type says 1 for every integer, 5 for every pointer. */
#define MLOG__CLASS(x) _Generic((x), const char *: MLOG__C_TEXT, char *: MLOG__C_TEXT, double: MLOG__C_DOUBLE,                \
    _Bool: MLOG__C_BOOL, unsigned: MLOG__C_UINT, unsigned long: MLOG__C_UINT, unsigned long long: MLOG__C_UINT,               \
    float: MLOG__C_FLOAT, mlog_value: MLOG__C_VALUE, void *: MLOG__C_POINTER, const void *: MLOG__C_POINTER,                  \
    default: __builtin_classify_type(x) == 1 && sizeof(x) <= 8 ? MLOG__C_INT : MLOG__C_NONE)
#define MLOG__PUT(p, i, x) _Generic((x), const char *: mlog1_text, char *: mlog1_text, double: mlog__put_d,                   \
    unsigned long: mlog__put_u, unsigned long long: mlog__put_u, float: mlog__put_f, mlog_value: mlog1_value,                 \
    void *: mlog__put_p, const void *: mlog__put_p, default: mlog__put_i)(p, i, x)

/* printf: any pointer for %p, also long double; a float travels as the double that it is promoted to */
#define MLOG__CLASS_F(x) _Generic((x), const char *: MLOG__C_TEXT, char *: MLOG__C_TEXT, double: MLOG__C_DOUBLE,              \
    float: MLOG__C_DOUBLE, long double: MLOG__C_LDOUBLE, unsigned: MLOG__C_UINT, unsigned long: MLOG__C_UINT,                 \
    unsigned long long: MLOG__C_UINT, default: __builtin_classify_type(x) == 5 ? MLOG__C_POINTER : MLOG__C_INT)
#define MLOG__PUT_F(p, i, x) _Generic((x), const char *: mlog1_textf, char *: mlog1_textf, double: mlog__put_d,               \
    float: mlog__put_d, long double: mlog1_ldouble, long long: mlog__put_i, default: mlog__put_u)(p, i, MLOG__WIDE(x))
#define MLOG__WIDE(x) _Generic((x), const char *: (x), char *: (x), double: (x), float: (x), long double: (x), long long: (x), \
    unsigned long long: (x), default: (uint64_t)(uintptr_t)(x))
int mlog__format_check(const char *format, ...) __attribute__((format(printf, 1, 2))); /* never defined, never called */

/* The struct is there for its assertion only: C has no other place for one inside an expression. ?: makes a value of a bit-field. */
#define mlog_val(x) ((void)sizeof(struct { MLOG__ASSERT(MLOG__CLASS(1 ? (x) : (x)) < MLOG__C_NONE, MLOG__NO_KIND); char mlog__unused; }), \
    _Generic((x), const char *: mlog__val_s, char *: mlog__val_s, double: mlog__val_d, float: mlog__val_f32,                  \
    bool: mlog_bool, unsigned: mlog__val_u, unsigned long: mlog__val_u, unsigned long long: mlog__val_u,                      \
    unsigned char: mlog__val_u, unsigned short: mlog__val_u, mlog_value: mlog__val_v,                                         \
    void *: mlog__val_ptr, const void *: mlog__val_ptr, default: mlog__val_i)(x))

#define MLOG__ELEMENT(p) _Generic(*(p),                                                                                       \
    char: (char)-1 < 0 ? MLOG__E_I8 : MLOG__E_U8, signed char: MLOG__E_I8, unsigned char: MLOG__E_U8,                         \
    short: MLOG__E_I16, unsigned short: MLOG__E_U16, int: MLOG__E_I32, unsigned: MLOG__E_U32,                                 \
    long: sizeof(long) == 8 ? MLOG__E_I64 : MLOG__E_I32, unsigned long: sizeof(long) == 8 ? MLOG__E_U64 : MLOG__E_U32,        \
    long long: MLOG__E_I64, unsigned long long: MLOG__E_U64, bool: MLOG__E_BOOL, float: MLOG__E_F32, double: MLOG__E_F64,     \
    char *: MLOG__E_TEXT, const char *: MLOG__E_TEXT)

#define MLOG__CONTEXT_NEW(n, ...) mlog1_context_new((const mlog_field[]){__VA_ARGS__}, n)
#define MLOG__BIND(n, ...) (const mlog_field[]){__VA_ARGS__}, n
#define MLOG__WITH_(id, owned) \
    __attribute__((cleanup(mlog1_leave), unused)) mlog_context *mlog__with_##id = mlog1_enter(owned)

#else

/* -- C++17: types by overloads -- */

#define MLOG_HERE (mlog_where{__FILE__, __func__, __LINE__})
/* The reference keeps a temporary (a std::string) alive; the copy fixes the value before the next argument is evaluated. */
#define MLOG__TAKE(id, i, v) \
    const auto &mlog__r_##id##_##i = (v); const auto mlog__a_##id##_##i = mlog__take(mlog__r_##id##_##i);
#define MLOG__CLASS(x) mlog__class_of<decltype(x)>::value
#define MLOG__CLASS_F(x) mlog__class_of<decltype(x)>::printf_value
#define MLOG__PUT(p, i, x) mlog__put(p, i, x)
#define MLOG__PUT_F(p, i, x) mlog__put_printf(p, i, x)
#define mlog_val(x) mlog__val(mlog__take(x))
extern "C" int mlog__format_check(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct mlog__no_kind {};
static inline mlog_value mlog__take_class(const mlog_value &v, int) { return v; }
template <class T> static inline auto mlog__take_class(const T &s, int) -> decltype(mlog_str(s.data(), s.size())) {
    return mlog_str(s.data(), s.size());
}
template <class T> static inline mlog__no_kind mlog__take_class(const T &, long) { return mlog__no_kind(); }
template <class T, bool> struct mlog__number { typedef T type; };
template <class T> struct mlog__number<T, true> { typedef __underlying_type(T) type; };
template <class T> static inline auto mlog__take(const T &v) {
    if constexpr (__is_enum(T)) return (typename mlog__number<T, __is_enum(T)>::type)v;
    else if constexpr (__is_class(T) || __is_union(T)) return mlog__take_class(v, 0);
    else return v;
}
template <size_t N> static inline const char *mlog__take(const char (&v)[N]) { return v; }
static inline const void *mlog__take(decltype(nullptr)) { return nullptr; }

template <int C, int P> struct mlog__class { static constexpr int value = C, printf_value = P; };
template <class T> struct mlog__class_of : mlog__class<MLOG__C_NONE, MLOG__C_NONE> {};
template <class T> struct mlog__class_of<const T> : mlog__class_of<T> {};
template <class T> struct mlog__class_of<T *> : mlog__class<MLOG__C_NONE, MLOG__C_POINTER> {};
#define MLOG__CLASS_IS(type, name) template <> struct mlog__class_of<type> : mlog__class<name, name> {};
MLOG__CLASS_IS(bool, MLOG__C_BOOL) MLOG__CLASS_IS(char, MLOG__C_INT) MLOG__CLASS_IS(signed char, MLOG__C_INT)
MLOG__CLASS_IS(short, MLOG__C_INT) MLOG__CLASS_IS(int, MLOG__C_INT) MLOG__CLASS_IS(long, MLOG__C_INT)
MLOG__CLASS_IS(long long, MLOG__C_INT) MLOG__CLASS_IS(unsigned char, MLOG__C_UINT) MLOG__CLASS_IS(unsigned short, MLOG__C_UINT)
MLOG__CLASS_IS(unsigned, MLOG__C_UINT) MLOG__CLASS_IS(unsigned long, MLOG__C_UINT) MLOG__CLASS_IS(unsigned long long, MLOG__C_UINT)
MLOG__CLASS_IS(double, MLOG__C_DOUBLE) MLOG__CLASS_IS(char *, MLOG__C_TEXT) MLOG__CLASS_IS(const char *, MLOG__C_TEXT)
MLOG__CLASS_IS(void *, MLOG__C_POINTER) MLOG__CLASS_IS(const void *, MLOG__C_POINTER) MLOG__CLASS_IS(mlog_value, MLOG__C_VALUE)
#undef MLOG__CLASS_IS
template <> struct mlog__class_of<float> : mlog__class<MLOG__C_FLOAT, MLOG__C_DOUBLE> {};
template <> struct mlog__class_of<long double> : mlog__class<MLOG__C_NONE, MLOG__C_LDOUBLE> {};

static inline uint64_t *mlog__put(uint64_t *p, unsigned i, const char *v) { return mlog1_text(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, char *v) { return mlog1_text(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, const void *v) { return mlog__put_p(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, void *v) { return mlog__put_p(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, const mlog_value &v) { return mlog1_value(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, double v) { return mlog__put_d(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned i, float v) { return mlog__put_f(p, i, v); }
static inline uint64_t *mlog__put(uint64_t *p, unsigned, long double) { return p; } /* refused by its class */
static inline uint64_t *mlog__put(uint64_t *p, unsigned, const mlog__no_kind &) { return p; }
template <class T> static inline uint64_t *mlog__put(uint64_t *p, unsigned i, T v) { return mlog__put_u(p, i, (uint64_t)v); }
static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, const char *v) { return mlog1_textf(p, i, v); }
static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, char *v) { return mlog1_textf(p, i, v); }
static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, double v) { return mlog__put_d(p, i, v); }
static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, float v) { return mlog__put_d(p, i, (double)v); }
static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, long double v) { return mlog1_ldouble(p, i, v); }
template <class T> static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, T *v) { return mlog__put_p(p, i, (const volatile void *)v); }
template <class T> static inline uint64_t *mlog__put_printf(uint64_t *p, unsigned i, T v) { return mlog__put_u(p, i, (uint64_t)v); }

static inline mlog_value mlog__val(const char *v) { return mlog__val_s(v); }
static inline mlog_value mlog__val(char *v) { return mlog__val_s(v); }
static inline mlog_value mlog__val(void *v) { return mlog__val_ptr(v); }
static inline mlog_value mlog__val(const void *v) { return mlog__val_ptr(v); }
static inline mlog_value mlog__val(const mlog_value &v) { return v; }
static inline mlog_value mlog__val(double v) { return mlog__val_d(v); }
static inline mlog_value mlog__val(float v) { return mlog__val_f32(v); }
static inline mlog_value mlog__val(bool v) { return mlog_bool(v); }
template <class T> static inline mlog_value mlog__val(T v) {
    static_assert(mlog__class_of<T>::value == MLOG__C_INT || mlog__class_of<T>::value == MLOG__C_UINT,
                  "mlog: this type has no kind: use mlog_str, mlog_bytes, mlog_array or mlog_object, or cast to void * or double");
    if constexpr (T(-1) < T(0)) return mlog__val_i((int64_t)v);
    else return mlog__val_u((uint64_t)v);
}

template <class T> struct mlog__element;
template <class T> struct mlog__element<const T> : mlog__element<T> {};
#define MLOG__ELEMENT_IS(type, name) template <> struct mlog__element<type> { static constexpr int value = name; };
MLOG__ELEMENT_IS(char, (char)-1 < 0 ? MLOG__E_I8 : MLOG__E_U8) MLOG__ELEMENT_IS(signed char, MLOG__E_I8)
MLOG__ELEMENT_IS(unsigned char, MLOG__E_U8) MLOG__ELEMENT_IS(short, MLOG__E_I16) MLOG__ELEMENT_IS(unsigned short, MLOG__E_U16)
MLOG__ELEMENT_IS(int, MLOG__E_I32) MLOG__ELEMENT_IS(unsigned, MLOG__E_U32) MLOG__ELEMENT_IS(long, sizeof(long) == 8 ? MLOG__E_I64 : MLOG__E_I32)
MLOG__ELEMENT_IS(unsigned long, sizeof(long) == 8 ? MLOG__E_U64 : MLOG__E_U32) MLOG__ELEMENT_IS(long long, MLOG__E_I64)
MLOG__ELEMENT_IS(unsigned long long, MLOG__E_U64) MLOG__ELEMENT_IS(bool, MLOG__E_BOOL) MLOG__ELEMENT_IS(float, MLOG__E_F32)
MLOG__ELEMENT_IS(double, MLOG__E_F64) MLOG__ELEMENT_IS(char *, MLOG__E_TEXT) MLOG__ELEMENT_IS(const char *, MLOG__E_TEXT)
#undef MLOG__ELEMENT_IS
template <class T> static inline mlog__element<T> mlog__element_of(T *) { return mlog__element<T>(); }
#define MLOG__ELEMENT(p) decltype(mlog__element_of(p))::value

template <size_t N> struct mlog__field_list { mlog_field f[N]; };
#define MLOG__CONTEXT_NEW(n, ...) mlog1_context_new(mlog__field_list<n>{{__VA_ARGS__}}.f, n)
#define MLOG__BIND(n, ...) mlog__field_list<n>{{__VA_ARGS__}}.f, n
struct __attribute__((visibility("hidden"))) mlog1_guard {
    mlog_context *saved;
    explicit mlog1_guard(mlog_context *owned) : saved(mlog1_enter(owned)) {}
    ~mlog1_guard() { mlog1_leave(&saved); }
    mlog1_guard(const mlog1_guard &) = delete;
};
#define MLOG__WITH_(id, owned) const mlog1_guard mlog__with_##id(owned)
static inline int mlog_init(const mlog_config &config) { return mlog_init(&config); }

#endif

/* Any arithmetic element type, bool or char *; p points to n elements. */
#define mlog_array(p, n) mlog__val_p(MLOG_K_ARRAY | (uint32_t)(MLOG__ELEMENT(p)) << 8, (p), (n))

#endif /* METALOG_H */

/* ---- shims: the calls of other loggers become records ----
 * Each stands behind its METALOG_SHIM_<NAME> and a guard of its own, outside of METALOG_H: it may be asked for by a later include.
 * Functions that a shim needs are declared here as mlog1_<name>, defined in the section `shim`. A shim adds no warning to its unit. */
#if defined(__clang__) && (defined(METALOG_SHIM_SYSLOG) || defined(METALOG_SHIM_ERR))
#pragma clang diagnostic ignored "-Wpragmas" /* a unit's own static function of a redirected name, which is left alone */
#endif

/* ---- shim: syslog ----
 * The unit's calls get other symbols, whatever declares them later: no macro, and none of syslog.h's names in a unit that has its
 * own. As an overlay (a file syslog.h that includes this one) it brings what the original declares. */
#if defined(METALOG_SHIM_SYSLOG) && !defined(MLOG__SHIM_SYSLOG)
#define MLOG__SHIM_SYSLOG
#ifdef METALOG_OPTIONAL
#error "metalog.h: METALOG_SHIM_SYSLOG needs a metalog: expected a unit without METALOG_OPTIONAL"
#endif
#pragma redefine_extname syslog mlog1_syslog
#pragma redefine_extname vsyslog mlog1_vsyslog
#pragma redefine_extname openlog mlog1_openlog
#pragma redefine_extname closelog mlog1_closelog
#pragma redefine_extname setlogmask mlog1_setlogmask
#pragma redefine_extname __syslog_chk mlog1_syslog_chk
#pragma redefine_extname __vsyslog_chk mlog1_vsyslog_chk
#endif
#if defined(METALOG_SHIM_SYSLOG) && __INCLUDE_LEVEL__ > 1
#ifdef __GLIBC__
#include <sys/syslog.h>
#else
#include_next <syslog.h>
#endif
#endif

/* ---- shim: err ----
 * As above (an overlay: err.h or error.h); __error_alias and __error_noreturn are what glibc's error.h makes of error(). */
#if defined(METALOG_SHIM_ERR) && !defined(MLOG__SHIM_ERR)
#define MLOG__SHIM_ERR
#ifdef METALOG_OPTIONAL
#error "metalog.h: METALOG_SHIM_ERR needs a metalog: expected a unit without METALOG_OPTIONAL"
#endif
#pragma redefine_extname err mlog1_err
#pragma redefine_extname verr mlog1_verr
#pragma redefine_extname errx mlog1_errx
#pragma redefine_extname verrx mlog1_verrx
#pragma redefine_extname warn mlog1_warn
#pragma redefine_extname vwarn mlog1_vwarn
#pragma redefine_extname warnx mlog1_warnx
#pragma redefine_extname vwarnx mlog1_vwarnx
#pragma redefine_extname error mlog1_error
#pragma redefine_extname __error_alias mlog1_error
#pragma redefine_extname __error_noreturn mlog1_error
#pragma redefine_extname error_at_line mlog1_error_at_line
#pragma redefine_extname __error_at_line_alias mlog1_error_at_line
#pragma redefine_extname __error_at_line_noreturn mlog1_error_at_line
#pragma redefine_extname perror mlog1_perror
#endif
#if defined(METALOG_SHIM_ERR) && __INCLUDE_LEVEL__ > 1 && !defined(MLOG__SHIM_ERR_H)
#define MLOG__SHIM_ERR_H
#ifdef __cplusplus
extern "C" {
#endif
#define MLOG__PRINTS(at, args) __attribute__((format(printf, at, args)))
void err(int status, const char *format, ...) __attribute__((noreturn)) MLOG__PRINTS(2, 3);
void verr(int status, const char *format, va_list args) __attribute__((noreturn)) MLOG__PRINTS(2, 0);
void errx(int status, const char *format, ...) __attribute__((noreturn)) MLOG__PRINTS(2, 3);
void verrx(int status, const char *format, va_list args) __attribute__((noreturn)) MLOG__PRINTS(2, 0);
void warn(const char *format, ...) MLOG__PRINTS(1, 2);
void vwarn(const char *format, va_list args) MLOG__PRINTS(1, 0);
void warnx(const char *format, ...) MLOG__PRINTS(1, 2);
void vwarnx(const char *format, va_list args) MLOG__PRINTS(1, 0);
void error(int status, int number, const char *format, ...) MLOG__PRINTS(3, 4);
void error_at_line(int status, int number, const char *file, unsigned line, const char *format, ...) MLOG__PRINTS(5, 6);
extern void (*error_print_progname)(void);
extern unsigned error_message_count;
extern int error_one_per_line;
#undef MLOG__PRINTS
#ifdef __cplusplus
}
#endif
#endif

/* ---- shim: stdio ---- */
#if defined(METALOG_SHIM_STDIO) && !defined(MLOG__SHIM_STDIO)
#define MLOG__SHIM_STDIO
#pragma redefine_extname mlog_stdio mlog1_stdio
#ifdef __cplusplus
extern "C" {
#endif
/* From now on what anybody writes to descriptor 1 or 2 (printf, a library, a child) becomes records of this level, a line each, of the
 * source stdout or stderr. The descriptor leads into a pipe that a thread reads; sinks go on where it led before. level 0, as
 * mlog_shutdown and exit: all that was written is logged, and the descriptor leads again to where it did. 0, or -1: mlog_why says
 * why. Needs threads; not to be called by two at once. Who still has the pipe when this process has ended gets SIGPIPE. */
METALOG_API int mlog_stdio(int fd, int level);
#ifdef __cplusplus
}
#endif
#endif

/* ---- end of the shims ---- */

#ifdef METALOG_IMPLEMENTATION
#ifndef METALOG_IMPLEMENTED
#define METALOG_IMPLEMENTED

#ifdef METALOG_STB_SPRINTF
#define MLOG__STB_FILE METALOG_STB_SPRINTF
#elif __has_include("stb_sprintf.h")
#define MLOG__STB_FILE "stb_sprintf.h"
#elif __has_include(<stb_sprintf.h>)
#define MLOG__STB_FILE <stb_sprintf.h>
#else
#define MLOG__STB_FILE <stb/stb_sprintf.h>
#endif

#if defined(__cplusplus)
#error "metalog.h: METALOG_IMPLEMENTATION belongs in a C file; C++ files only include the header"
#elif defined(__GLIBC__) && !defined(__USE_GNU)
#error "metalog.h: a libc header came first, without _GNU_SOURCE: include metalog.h before it, or compile this file with -D_GNU_SOURCE"
#elif !__has_include(MLOG__STB_FILE)
#error "metalog.h: stb_sprintf.h is missing: apt-get install libstb-dev, or put it beside metalog.h, or name it: METALOG_STB_SPRINTF"
#elif __GCC_ATOMIC_LLONG_LOCK_FREE != 2 && !defined(__GCC_HAVE_SYNC_COMPARE_AND_SWAP_8)
#error "metalog.h: this target has no lock-free 64-bit atomics, which a ring's positions need; 32-bit x86: compile with -march=i586"
#else

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#endif
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <poll.h>
#ifndef METALOG_NO_THREADS
#include <pthread.h>
#endif
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#ifdef METALOG_TOOL
#include <sys/wait.h>
#endif
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <wchar.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

_Static_assert(sizeof(off_t) == 8, "metalog.h: off_t has 32 bits, no log file could pass 2 GiB: "
                                   "include metalog.h before libc's headers, or compile this file with -D_FILE_OFFSET_BITS=64");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOG__SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MLOG__SANITIZED 1
#endif
#endif

#define MLOG__LIKELY(x) __builtin_expect(!!(x), 1)
#define MLOG__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MLOG__COLD __attribute__((noinline, cold, unused))
#define MLOG__TLS static __thread __attribute__((tls_model("initial-exec")))
#define MLOG__MIN(a, b) ((a) < (b) ? (a) : (b))
#define MLOG__MAX(a, b) ((a) > (b) ? (a) : (b))

/* Sizes that are decided once. Rings and contexts are bounded so that a runaway program cannot take the machine's memory. */
enum {
    MLOG__SLOTS = 4096,          /* threads with rings of their own; slot 0 belongs to the process: emergency and overflow ring */
    MLOG__RINGS = 2 * MLOG__SLOTS, /* each slot has a ring and a small side ring for signal handlers */
    MLOG__SIDE_BYTES = 16 << 10,
    MLOG__SMALL_RING = 64 << 10, /* when all rings together reach rings_total */
    MLOG__SPARE_BYTES = 64 << 10,/* the emergency ring and the overflow ring */
    MLOG__PAGE = 4096,
    MLOG__DICT_BYTES = 16 << 20, /* about 80,000 call sites */
    MLOG__CONTEXTS = 16384,
    MLOG__CONTEXT_BYTES = 1024,  /* some twenty fields; longer ones travel inside each record */
    MLOG__SINKS = 16,
    MLOG__BATCH = 256 << 10,     /* bytes formatted before they are written: 64 KiB costs 20 % of the throughput */
    MLOG__FIELDS = 64,           /* fields of one record: pairs, context and run-time fields together */
    MLOG__OBJECT_BYTES = 16 << 10,
    MLOG__OBJECT_DEPTH = 16,     /* objects inside objects */
    MLOG__OBJECTS = 16 + MLOG__OBJECT_DEPTH /* of one call and of what runs inside it */
};

/* ==== seams ====
 * The functions that cross the order of the sections: declared here, so that each may stand below its callers. Data flows down
 * the file, and so do calls, with two exceptions. A call that finds the flusher asleep, its ring full or nothing started yet
 * must reach up to what owns threads and configuration; and what fails must be told through mlog_why(), which belongs to the
 * end of the file. Whoever is tempted to add a line here should first ask whether the function stands in the right section.
 *
 * owns: nothing
 * may call: nothing
 */
/* What a call may need from below: a flusher that is awake, and a library that is started. */
static void mlog__flush_wake(void);
static void mlog__flush_make_room(void);
static void mlog__flush_see_out(void);
static bool mlog__flush_wait(int ms);
static bool mlog__life_start(void);
static bool mlog__life_running(void);
static void mlog__life_finish_call(void);
/* Time as the configuration has it: the clock of a test or a simulator takes the place of the system's. */
static uint64_t mlog__life_ticks(void);
static uint64_t mlog__life_now(void);
static void mlog__life_module_gone(mlog__module *module);
struct mlog__desk;
static int64_t mlog__life_utc(struct mlog__desk *desk, uint64_t ticks);
static void mlog__life_take_pair(struct mlog__desk *desk, bool now);
#ifdef METALOG_PRELOAD
static void mlog__shim_defaults(mlog_config *config);
#endif
#ifdef METALOG_SHIM_STDIO
static void mlog__shim_stdio_end(void);
static void mlog__shim_stdio_revive(void);
#endif
/* Returns -1 always; the text of this thread's last refusal. */
static int mlog__life_why(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ==== platform ====
 * Linux and POSIX behind a dozen names. Everything here is safe in a signal handler except mutexes and threads. No function
 * here knows what a log is, and none keeps errno: the calls that user code can see do that. None is a cancellation point (raw
 * futex calls instead of nanosleep and pthread_cond_wait): a thread that is cancelled in the middle of a record would leave its
 * ring BUSY, and the flusher would wait for it in vain.
 *
 * owns: system calls of memory, time, sleep and threads
 * may call: nothing
 */

/* The kernel's numbers, as in <linux/futex.h> and <linux/membarrier.h>, which not every C library has beside it. */
enum { MLOG__FUTEX_WAIT = 128, MLOG__FUTEX_WAKE = 129, MLOG__MEMBARRIER = 8, MLOG__MEMBARRIER_REGISTER = 16 };

/* A zeroed mapping; NULL when there is no memory. Shared ones are the rings and the session (a file may stand behind them
 * later). NORESERVE: most of a table of thousands of slots is never touched and shall not count as memory. populate: the page
 * faults are taken here, on the first call of a thread, instead of one at a time in the calls that follow. */
static void *mlog__platform_map(size_t size, bool shared, bool populate) {
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE | (populate ? MAP_POPULATE : 0);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* NULL is fine, as with free. */
static void mlog__platform_unmap(void *p, size_t size) {
    if (p != NULL) munmap(p, size);
}

/* The parent's rings are not the child's: in a child they are not there at all, so that a write through a stale pointer crashes
 * in a test instead of appearing as a second writer in the parent's ring. */
static void mlog__platform_keep_from_child(void *p, size_t size) { (void)madvise(p, size, MADV_DONTFORK); }

/* Makes sure that a mapping of a file has its blocks: a full file system is an error here, and no SIGBUS later. False: full, or a
 * kernel before 5.14, which does not know the advice (errno is EINVAL then). */
static bool mlog__platform_reserve(void *p, size_t size) {
    enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, which older headers lack */
    return madvise(p, size, POPULATE_WRITE) == 0;
}

/* A second view of a shared mapping; NULL: the kernel refuses. mremap(2): an old size of 0. */
static void *mlog__platform_alias(void *p, size_t size) {
    void *alias = mremap(p, 0, size, MREMAP_MAYMOVE);
    return alias == MAP_FAILED ? NULL : alias;
}

/* Puts a mapping into the place of another one: at no moment is that address unmapped, which a handler could read. */
static bool mlog__platform_replace(void *fresh, size_t size, void *old) {
    return mremap(fresh, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, old) != MAP_FAILED;
}

/* Zero in every child, also of a raw clone without CLONE_VM, which runs no pthread_atfork handler. False: kernels before 4.14,
 * where only children of fork() are noticed. */
static bool mlog__platform_wipe_in_child(void *p, size_t size) {
#ifdef MADV_WIPEONFORK
    return madvise(p, size, MADV_WIPEONFORK) == 0;
#else
    return (void)p, (void)size, false;
#endif
}

/* The kernel's number, which people see in top and ps; pthread_self() means nothing outside the process. By system call:
 * gettid() came with glibc 2.30 only. */
static uint32_t mlog__platform_tid(void) { return (uint32_t)syscall(SYS_gettid); }

/* Is there still a thread of this number in the process? */
static bool mlog__platform_alive(uint32_t tid) { return syscall(SYS_tgkill, getpid(), tid, 0) == 0; }

/* The time as the system call has it, which libc's struct timespec is not where only time_t has 64 bits. */
#if defined(SYS_futex) && defined(__x86_64__) && defined(__ILP32__)
typedef int64_t mlog__futex_word; /* x32 */
#elif defined(SYS_futex)
typedef long mlog__futex_word;
#else /* 32-bit targets younger than 2020 */
#define SYS_futex SYS_futex_time64
typedef int64_t mlog__futex_word;
#endif

/* Sleeps while *word == seen, at most ms milliseconds (ms < 0: no limit). Spurious returns are allowed: every caller looks
 * again at what it waits for. The kernel compares before it sleeps, so a change of the word between our look and the call is
 * not missed. */
static void mlog__platform_wait(uint32_t *word, uint32_t seen, int ms) {
    const mlog__futex_word t[2] = {ms / 1000, (ms % 1000) * 1000000};
    (void)syscall(SYS_futex, word, MLOG__FUTEX_WAIT, seen, ms < 0 ? NULL : t, NULL, 0);
}

/* Wakes all that wait on the word: several threads may wait for the same flush. */
static void mlog__platform_wake(uint32_t *word) { (void)syscall(SYS_futex, word, MLOG__FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }

#ifndef METALOG_NO_THREADS
/* A full barrier on every running thread of the process: lets callers read `asleep` without a fence of their own (FLUSH-1). The
 * sleeping side pays some microseconds, so that the side that logs pays nothing. Private and expedited: the plain command waits
 * for milliseconds. Two threads that register at once do no harm. */
static bool mlog__platform_membarrier(void) { /* FLUSH-1 */
    static int registered; /* 0 not tried, 1 yes, -1 not available */
    int known = __atomic_load_n(&registered, __ATOMIC_RELAXED); /* PLATFORM-1 */
    if (known == 0) {
        known = syscall(SYS_membarrier, MLOG__MEMBARRIER_REGISTER, 0, 0) == 0 ? 1 : -1; /* FLUSH-1 */
        __atomic_store_n(&registered, known, __ATOMIC_RELAXED); /* PLATFORM-1 */
    }
    return known > 0 && syscall(SYS_membarrier, MLOG__MEMBARRIER, 0, 0) == 0; /* FLUSH-1 */
}
#endif

/* Nanoseconds. In the vDSO on all usual machines: no system call, about 20 ns. */
static int64_t mlog__platform_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A sleep that nobody can cut short, for the few loops that wait for another thread's next step. */
static void mlog__platform_nap(int64_t ns) { /* a futex that nobody wakes: nanosleep would be a cancellation point */
    const mlog__futex_word t[2] = {0, (mlog__futex_word)ns};
    uint32_t never = 0;
    (void)syscall(SYS_futex, &never, MLOG__FUTEX_WAIT, 0, t, NULL, 0);
}

/* Ids, not secrets: where the kernel has no entropy yet, time, pid and a counter keep them apart. Never blocks: a daemon that
 * logs early in the boot must not wait for entropy. The multiplier is 2^64 over the golden ratio: it spreads the clock over all
 * bits. */
static void mlog__platform_random(void *p, size_t n) {
    static mlog__u64 counter;
    if (syscall(SYS_getrandom, p, n, 1 /* GRND_NONBLOCK */) == (long)n) return;
    uint64_t mix = (uint64_t)mlog__platform_clock(CLOCK_REALTIME) * 0x9E3779B97F4A7C15u ^ (uint64_t)getpid() << 32 ^
                   __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED); /* PLATFORM-1 */
    for (size_t i = 0; i < n; i++) ((unsigned char *)p)[i] = (unsigned char)(mix >> (8 * (i % 8)));
}

/* -- fatal signals: what is asked of each thread while `catch_fatal` is on -- */

/* SIGABRT last: abort() unblocks it by itself. */
enum { MLOG__FATAL_SIGNALS = 7, MLOG__FAULTS = 6, MLOG__STACK_BYTES = 64 << 10 };
static const int mlog__platform_fatal_list[MLOG__FATAL_SIGNALS] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};
static uint32_t mlog__platform_catching;
MLOG__TLS uint32_t mlog__platform_dying;       /* this thread's number while it is in the handler of a fatal signal */
MLOG__TLS void *mlog__platform_stack;          /* its alternate stack, when that is ours */
MLOG__TLS uint8_t mlog__platform_stack_asked;

static bool mlog__platform_catches(void) { return __atomic_load_n(&mlog__platform_catching, __ATOMIC_RELAXED) != 0; } /* FATAL-2 */

/* All signals, but not the faults when they are caught: the kernel ends a process that blocks what it must tell it. */
static void mlog__platform_all_signals(sigset_t *all) {
    sigfillset(all);
    for (int i = 0; i < MLOG__FAULTS && mlog__platform_catches(); i++) sigdelset(all, mlog__platform_fatal_list[i]);
}

static size_t mlog__platform_stack_bytes(void) { return MLOG__STACK_BYTES + (size_t)getauxval(AT_PAGESZ); }

/* A stack for handlers when the thread has none: one that has overflowed its own has no room for them. The lowest page is out of
 * reach. Once a thread, in a handler, too; a host's own stays. */
MLOG__COLD static void mlog__platform_give_stack(void) {
    stack_t there;
    if (mlog__platform_stack_asked || mlog__platform_dying || sigaltstack(NULL, &there) != 0 || (there.ss_flags & SS_ONSTACK) != 0) return;
    mlog__platform_stack_asked = 1;
    if ((there.ss_flags & SS_DISABLE) == 0) return;
    char *p = mlog__platform_map(mlog__platform_stack_bytes(), false, false);
    if (p == NULL) return;
    size_t guard = (size_t)getauxval(AT_PAGESZ);
    const stack_t ours = {.ss_sp = p + guard, .ss_size = MLOG__STACK_BYTES, .ss_flags = 0};
    (void)mprotect(p, guard, PROT_NONE);
    if (sigaltstack(&ours, NULL) == 0) mlog__platform_stack = p;
    else mlog__platform_unmap(p, mlog__platform_stack_bytes());
}

#ifndef METALOG_NO_THREADS
/* At the end of a thread. It stays where it is still used: a thread that ends inside a handler. */
static void mlog__platform_drop_stack(void) {
    stack_t there;
    const stack_t none = {.ss_sp = NULL, .ss_size = 0, .ss_flags = SS_DISABLE};
    char *p = mlog__platform_stack;
    mlog__platform_stack = NULL;
    if (p == NULL || sigaltstack(NULL, &there) != 0 || (there.ss_flags & SS_ONSTACK) != 0) return;
    if (there.ss_sp == p + getauxval(AT_PAGESZ)) (void)sigaltstack(&none, NULL);
    mlog__platform_unmap(p, mlog__platform_stack_bytes());
}
#endif

/* METALOG_NO_THREADS: one thread, so a lock only tells whether it is held, and nobody is ever waited for. */
#ifdef METALOG_NO_THREADS
typedef uint8_t mlog__lock;
#define MLOG__LOCK_FREE 0
static void mlog__platform_lock(mlog__lock *lock) { *lock = 1; }
static void mlog__platform_unlock(mlog__lock *lock) { *lock = 0; }
static bool mlog__platform_trylock(mlog__lock *lock) { return *lock == 0 && (*lock = 1) != 0; }
static void mlog__platform_lock_init(mlog__lock *lock) { *lock = 0; }
static void mlog__platform_lock_end(mlog__lock *lock) { *lock = 0; }
static int mlog__platform_sigmask(const sigset_t *to, sigset_t *old) { return sigprocmask(SIG_SETMASK, to, old); }
static int mlog__platform_no_cancel(void) { return 0; }
static void mlog__platform_cancel(int before) { (void)before; }
static pid_t mlog__platform_home; /* the process that the memory belongs to */
#else
typedef pthread_mutex_t mlog__lock;
#define MLOG__LOCK_FREE PTHREAD_MUTEX_INITIALIZER
static void mlog__platform_lock(mlog__lock *lock) { pthread_mutex_lock(lock); }
static void mlog__platform_unlock(mlog__lock *lock) { pthread_mutex_unlock(lock); }
static bool mlog__platform_trylock(mlog__lock *lock) { return pthread_mutex_trylock(lock) == 0; }
static void mlog__platform_lock_init(mlog__lock *lock) { pthread_mutex_init(lock, NULL); }
static void mlog__platform_lock_end(mlog__lock *lock) { pthread_mutex_destroy(lock); }
static int mlog__platform_sigmask(const sigset_t *to, sigset_t *old) { return pthread_sigmask(SIG_SETMASK, to, old); }
static int mlog__platform_no_cancel(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}
static void mlog__platform_cancel(int before) { pthread_setcancelstate(before, NULL); }

/* For a thread of ours, which may run since before faults were to be caught. */
static void mlog__platform_watch(void) {
    sigset_t all;
    if (MLOG__LIKELY(!mlog__platform_catches() || mlog__platform_stack_asked)) return;
    mlog__platform_give_stack();
    mlog__platform_all_signals(&all);
    mlog__platform_sigmask(&all, NULL);
}

/* A detached thread that no signal ever reaches, so that the host's handlers never run on it. The mask is inherited, therefore it
 * is set around the creation; set inside the thread, a signal could come first. 256 KiB of stack: 22 of them may go into a long
 * double of great precision, the rest is for the callbacks of the user. */
static bool mlog__platform_thread(void *(*run)(void *), void *arg) {
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all); /* faults come later, with a stack for them: mlog__platform_watch */
    if (pthread_attr_init(&attr) != 0) return false;
    pthread_attr_setstacksize(&attr, 256 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    mlog__platform_sigmask(&all, &old);
    int failed = pthread_create(&thread, &attr, run, arg);
    mlog__platform_sigmask(&old, NULL);
    pthread_attr_destroy(&attr);
    return failed == 0;
}
#endif

/* [s] Around what must neither be cancelled nor interrupted, and may raise SIGPIPE or SIGXFSZ, which are not the host's. */
typedef struct { sigset_t mask, pending; int cancel; } mlog__guard;
static void mlog__platform_guard(mlog__guard *g) {
    sigset_t all;
    mlog__platform_all_signals(&all);
    mlog__platform_sigmask(&all, &g->mask);
    sigpending(&g->pending);
    g->cancel = mlog__platform_no_cancel();
}

static void mlog__platform_unguard(const mlog__guard *g) {
    static const int made[] = {SIGPIPE, SIGXFSZ};
    const struct timespec at_once = {0, 0};
    for (int i = 0; i < 2; i++) {
        sigset_t one;
        if (sigismember(&g->pending, made[i]) != 0) continue;
        sigemptyset(&one);
        sigaddset(&one, made[i]);
        while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR) {}
    }
    mlog__platform_cancel(g->cancel);
    mlog__platform_sigmask(&g->mask, NULL);
}

/* Valgrind answers a sequence of instructions that does nothing elsewhere (its manual, "The Client Request mechanism"). It takes
 * loads behind the end of a heap block for errors, also when they cannot fault and their bytes are masked, as in mlog1_text. */
static bool mlog__platform_on_valgrind(void) {
    uint64_t answer = 0;
#if defined(__x86_64__)
    const volatile uint64_t request[6] = {0x1001, 0, 0, 0, 0, 0};
    /* four rotations of rdi by 128 bits in all, which leave it as it was */
    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "=d"(answer) : "a"(request), "0"(answer) : "cc", "memory");
#endif
    return answer != 0;
}

/* Keeps the shared object that holds this code for as long as the process lives: threads and handlers run in it. By name and without
 * an open: the file may be gone. Weak: before glibc 2.34 the two were in a library of their own. */
#if defined(__PIC__) && !defined(__PIE__)
static __typeof__(dladdr) mlog__platform_dladdr __attribute__((weakref("dladdr")));
static __typeof__(dlopen) mlog__platform_dlopen __attribute__((weakref("dlopen")));
static void mlog__platform_pin(const void *inside) {
    Dl_info own, program;
    if (mlog__platform_dladdr == NULL || mlog__platform_dlopen == NULL || mlog__platform_dladdr(inside, &own) == 0) return;
    const void *headers = (const void *)(uintptr_t)getauxval(AT_PHDR); /* position-independent code in a program needs nothing */
    if (mlog__platform_dladdr(headers, &program) != 0 && program.dli_fbase == own.dli_fbase) return;
    (void)mlog__platform_dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
#else
static void mlog__platform_pin(const void *inside) { (void)inside; }
#endif

/* What other instances of metalog in this process may know of one. Symbols do not lead from one to another (a program without
 * -rdynamic, RTLD_LOCAL, hidden, another version), so each module with an instance has an ELF note, {"metalog", 1, offset to this}.
 * Its layout is frozen. A lock on the file would not do: it would be seen by other processes, which may share the file. */
typedef struct {
    uint32_t running;
    char version[20];
    mlog__u64 file[64][2];   /* device and inode of the files that it writes; inode 0: free, UINT64_MAX: being filled in */
} mlog__instance;
extern mlog__instance mlog1_instance __attribute__((visibility("hidden")));
__attribute__((used)) mlog__instance mlog1_instance = {0, MLOG_VERSION, {{0}}};
__asm__(".pushsection .note.metalog, \"a\", %note\n.balign 4\n.long 8, 4, 1\n.asciz \"metalog\"\n"
        ".long mlog1_instance - .\n.popsection");

/* Is this file, or with inode 0 anything at all, in the hands of the instance? */
static bool mlog__platform_claimed(const mlog__instance *by, uint64_t device, uint64_t inode) {
    if (inode == 0) return __atomic_load_n(&by->running, __ATOMIC_ACQUIRE) != 0; /* SINK-1 */
    for (int i = 0; i < 64; i++)
        if (__atomic_load_n(&by->file[i][1], __ATOMIC_SEQ_CST) == inode && by->file[i][0] == device) return true; /* SINK-1 */
    return false;
}

typedef struct { uint64_t device, inode; const mlog__instance *found; } mlog__quest;

/* One module's notes. */
static int mlog__platform_visit(struct dl_phdr_info *module, size_t size, void *quest) {
    mlog__quest *q = quest;
    (void)size;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &module->dlpi_phdr[i];
        const char *p = (const char *)(uintptr_t)(module->dlpi_addr + h->p_vaddr), *end = p + h->p_memsz;
        size_t align = h->p_align == 8 ? 8 : 4;
        while (h->p_type == PT_NOTE && end - p >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)p;
            const char *name = p + sizeof *note, *text = p + ((sizeof *note + note->n_namesz + align - 1) & ~(align - 1));
            int32_t offset;
            if (note->n_type == 1 && note->n_namesz == 8 && note->n_descsz == 4 && memcmp(name, "metalog", 8) == 0) {
                memcpy(&offset, text, 4);
                const mlog__instance *other = (const mlog__instance *)(const void *)(text + offset);
                if (other != &mlog1_instance && mlog__platform_claimed(other, q->device, q->inode)) return q->found = other, 1;
            }
            p = text + ((note->n_descsz + align - 1) & ~(align - 1));
        }
    }
    return 0;
}

/* Another instance of this process that runs (inode 0) or writes to this file; or NULL. Not in a handler. */
static const mlog__instance *mlog__platform_rival(uint64_t device, uint64_t inode) {
    mlog__quest q = {device, inode, NULL};
    (void)dl_iterate_phdr(mlog__platform_visit, &q);
    return q.found;
}

#if defined(__x86_64__) && defined(__linux__)
/* Is it a signal's frame that begins here with its return address, or a stray copy of that address, as every question like this one
 * leaves behind in unused parts of the stack? In a frame, the registers that it saved follow (Linux, struct rt_sigframe and
 * sigcontext_64): the stack pointer, which then pointed above the frame, and the code segment of 64-bit programs. */
static bool mlog__platform_is_frame(const char *at) {
    uint64_t word[25];
    struct iovec here = {word, sizeof word}, there = {(void *)(uintptr_t)at, sizeof word};
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof word) return false;
    return word[21] > (uintptr_t)at && word[21] - (uintptr_t)at < UINT64_C(1) << 26 && (word[24] & 0xFFFF) == 0x33;
}

/* Looks for a value on the stack from `at` up, at most 64 KiB, without ever faulting beyond the stack's end: the kernel does
 * the reading (of this very process) and says how far it came. 64 KiB: a handler that has already used more of the stack than
 * that before its first log call is taken for a plain thread. */
static bool mlog__platform_on_stack(const char *at, void *value) {
    void *found[64];
    for (int i = 0; i < 128; i++, at += sizeof found) {
        struct iovec here = {found, sizeof found}, there = {(void *)(uintptr_t)at, sizeof found};
        ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
        for (ssize_t k = 0; k < n / (ssize_t)sizeof *found; k++)
            if (found[k] == value && mlog__platform_is_frame(at + k * (ssize_t)sizeof *found)) return true;
        if (n < (ssize_t)sizeof found) break;
    }
    return false;
}
#endif

/* Is this the child of a vfork? It runs in its parent's memory: a thread that it starts dies with it. The C library's idea of
 * this thread's id is then the parent's: POSIX has no name for that id, but glibc and musl keep it, inverted, in the number of
 * the thread's CPU clock ({~tid:29 | kind:3}). */
static bool mlog__platform_borrowed(void) {
#if defined(METALOG_NO_THREADS)
    return mlog__platform_home != 0 && mlog__platform_home != getpid();
#elif defined(__linux__)
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) != 0 || ~((uint32_t)clock >> 3 | 7u << 29) == mlog__platform_tid())
        return false;
    return syscall(SYS_kcmp, getpid(), getppid(), 1 /* KCMP_VM */, 0, 0) <= 0; /* 1 or 2: a raw clone, with memory of its own */
#else
    return false;
#endif
}

/* Is this call made inside a signal handler? A handler runs with its own signal blocked, or it has SA_NODEFER; and on x86-64
 * below a return address that libc gave the kernel. A thread that merely blocks signals has the first but not the last;
 * elsewhere it is taken for a handler, and the next call outside of one starts what this call would have started. Asked on
 * first calls only: it costs system calls. thorough: also for handlers with SA_NODEFER, which leave the mask empty (64 system
 * calls, some microseconds; x86-64 only). Not seen: a handler that unblocks its own signal before its first log call. */
MLOG__COLD static bool mlog__platform_in_handler(bool thorough) {
    sigset_t mask;
    stack_t alternate;
    if (mlog__platform_dying) return true;
    if (sigaltstack(NULL, &alternate) == 0 && (alternate.ss_flags & SS_ONSTACK) != 0) return true;
    if (mlog__platform_sigmask(NULL, &mask) != 0) return false;
#if defined(__x86_64__) && defined(__linux__)
    bool any = false;
    for (int s = 1; s < 65 && !any; s++) any = sigismember(&mask, s) == 1;
    /* the kernel's layout, not libc's struct sigaction, whose restorer is hidden */
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } action;
    for (int s = 1; s < 65 && (any || thorough); s++)
        if (syscall(SYS_rt_sigaction, s, NULL, &action, sizeof action.mask) == 0 && (uintptr_t)action.handler > 1 &&
            (any || (action.flags & SA_NODEFER) != 0))
            return mlog__platform_on_stack(__builtin_frame_address(0), action.restorer); /* above our own copy of it */
    return false;
#else /* no such address: a blocked signal that has a handler (a crash's may be reset), which event loops with a signalfd do not have */
    for (int s = 1; s < 65; s++) {
        struct sigaction action;
        if (sigismember(&mask, s) != 1) continue;
        if (s == SIGSEGV || s == SIGBUS || s == SIGFPE || s == SIGILL || s == SIGABRT) return true;
        if (sigaction(s, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) return true;
    }
    return (void)thorough, false;
#endif
}

/* ==== clock ====
 * A record carries ticks of the CPU's counter; the flusher turns them into UTC by pairs (ticks, UTC) that it takes while it is
 * awake. Where the counter is not invariant, ticks are nanoseconds of CLOCK_MONOTONIC, and nothing else changes. Why not
 * clock_gettime in the call: it costs 20 ns and more, the counter 9; and all that it adds (the scale, the offset, the steps of
 * NTP) can be applied later, by somebody who is not in a hurry. UTC is a line between two pairs, drawn anew where the two
 * enclose the record; behind the newest pair it is extrapolated. At 10 ms between pairs and an NTP slew of 500 ppm the error is
 * below 5 us.
 *
 *   MODE      ticks of a record                       who turns them into UTC
 *   COUNTER   TSC, CNTVCT                             the line through two pairs
 *   ARRIVAL   0: the call reads no clock              the flusher's time when it meets the record
 *   SYSTEM    CLOCK_MONOTONIC in ns                   the line through two pairs
 *   GIVEN     the configured now(), ns since 1970     nobody: they are UTC already
 *
 * owns: ticks, the table of pairs
 * may call: platform
 */

/* How a call stamps its record. LOOK: as the session says; for threads that shall not go on without looking. */
enum { MLOG__TICKS_COUNTER, MLOG__TICKS_ARRIVAL, MLOG__TICKS_SYSTEM, MLOG__TICKS_GIVEN, MLOG__TICKS_LOOK };

#if defined(__x86_64__) || defined(__i386__)
/* Not serialized on purpose: rdtscp or a fence costs 10 ns and more, and the few instructions by which the processor may move
 * it lie below the resolution of the pairs. */
static inline uint64_t mlog__clock_counter(void) { return __builtin_ia32_rdtsc(); }
#elif defined(__aarch64__)
static inline uint64_t mlog__clock_counter(void) { uint64_t t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); return t; }
#else
static inline uint64_t mlog__clock_counter(void) { return 0; }
#endif

/* Does the counter run at one rate, in all cores alike, also while they sleep? CPUID tells (leaf 0x80000007, EDX bit 8:
 * "invariant TSC"); but the kernel compares the cores and has the last word: when it fell back to another source, the counter
 * is not to be trusted, whatever CPUID says. A virtual machine's own sources (kvm-clock, hyperv) are built on the counter and
 * are fine. */
static bool mlog__clock_invariant(void) {
#if defined(__x86_64__) || defined(__i386__)
    unsigned a, b, c, d;
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || (d & 1u << 8) == 0) return false;
    char name[16] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    /* no /sys in this container: CPUID alone decides */
    if (fd < 0) return true;
    ssize_t n = read(fd, name, sizeof name - 1);
    close(fd);
    return n < 4 || (strncmp(name, "hpet", 4) != 0 && strncmp(name, "acpi", 4) != 0 && strncmp(name, "pit", 3) != 0);
#elif defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

/* Asked often, found out once: two CPUID instructions cost a microsecond in a virtual machine. */
static bool mlog__clock_invariant_known(void) {
    static int known; /* 0 not yet, 1 yes, 2 no */
    int k = __atomic_load_n(&known, __ATOMIC_RELAXED); /* PLATFORM-1 */
    if (k == 0) __atomic_store_n(&known, k = mlog__clock_invariant() ? 1 : 2, __ATOMIC_RELAXED); /* PLATFORM-1 */
    return k == 1;
}

/* One moment in three clocks. mono tells a step of UTC from the passing of time. */
typedef struct { uint64_t ticks; int64_t utc, mono; } mlog__pair;
enum { MLOG__PAIRS_KEPT = 64 };

/* Pairs by number, the newest at (count - 1) % MLOG__PAIRS_KEPT. Lies in the session, for readers after a crash; lane 0 writes
 * it, lane 1 has a copy of its own. 64 pairs, 10 ms apart: a record that waited for half a second still finds the two around
 * it. */
typedef struct { mlog__u64 count; mlog__pair pair[MLOG__PAIRS_KEPT]; } mlog__clock_table;

/* The same two kinds of ticks as records carry, for the pairs. ARRIVAL needs none, but its pairs say when "now" is: any will
 * do. */
static uint64_t mlog__clock_ticks(uint32_t mode) {
    return mode == MLOG__TICKS_COUNTER ? mlog__clock_counter() : (uint64_t)mlog__platform_clock(CLOCK_MONOTONIC);
}

/* The narrowest of eight brackets: a pair is then right within half its width, about 20 ns. An interrupt between the two
 * readings makes its bracket wide, and the others win. */
static mlog__pair mlog__clock_sample(uint32_t mode) {
    mlog__pair best = {0, 0, 0};
    uint64_t width = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = mlog__clock_ticks(mode);
        int64_t utc = mlog__platform_clock(CLOCK_REALTIME);
        uint64_t after = mlog__clock_ticks(mode);
        if (after - before >= width) continue;
        width = after - before;
        best.ticks = before + width / 2;
        best.utc = utc;
    }
    best.mono = mlog__platform_clock(CLOCK_MONOTONIC);
    return best;
}

/* Adds a pair when the newest is older than 10 ms, so that most records are interpolated; also while all pairs together span
 * less than that, since a short base line gives a bad rate to extrapolate with: 20 ns of error over 100 us are 200 ppm. now:
 * without looking at the age, before a sleep and after it, so that the pause lies between two pairs. */
static void mlog__clock_update(mlog__clock_table *t, uint32_t mode, bool now) {
    const mlog__pair *last = &t->pair[(t->count + MLOG__PAIRS_KEPT - 1) % MLOG__PAIRS_KEPT];
    bool young = t->count < MLOG__PAIRS_KEPT && last->mono - t->pair[0].mono < 10000000;
    if (!now && !young && mlog__platform_clock(CLOCK_MONOTONIC) - last->mono < 10000000) return;
    t->pair[t->count % MLOG__PAIRS_KEPT] = mlog__clock_sample(mode);
    __atomic_store_n(&t->count, t->count + 1,
                     __ATOMIC_RELEASE); /* CLOCK-1: pairs with a reader after a crash, no order needed here */
}

/* The line through the newest two pairs around `ticks`, kept by each lane, so that a record costs a multiplication. It holds from
 * `from` to `until`, until the table has another pair. 2^40: the rate is then exact to 10^-12, 4 ns in an hour. */
typedef struct { uint64_t count, from, until, ticks; int64_t utc, rate; } mlog__clock_view; /* rate: ns per tick * 2^40 */

/* Chooses the two pairs around `ticks`, else the nearest two, and the line through them. From the newest back, since records
 * are nearly always young. Differences of ticks are taken modulo 2^64 and then signed: ticks of a record may lie before all
 * pairs. */
static void mlog__clock_aim(mlog__clock_view *v, const mlog__clock_table *t, uint64_t ticks) {
    uint64_t n = v->count = t->count, kept = MLOG__MIN(n, (uint64_t)MLOG__PAIRS_KEPT), i = 2;
    const mlog__pair *newest = &t->pair[(n + MLOG__PAIRS_KEPT - 1) % MLOG__PAIRS_KEPT], *newer = newest, *older = newest;
    for (; i <= kept; i++) {
        older = &t->pair[(n - i) % MLOG__PAIRS_KEPT];
        if ((int64_t)(ticks - older->ticks) >= 0 || i == kept) break;
        newer = older;
    }
    double run = (double)(int64_t)(newer->ticks - older->ticks), rise = (double)(newer->utc - older->utc),
           smooth = (double)(newer->mono - older->mono);
    if (rise - smooth > 1e6 || smooth - rise > 1e6) rise = smooth; /* UTC was set: a step is not part of the rate */
    /* at the oldest pair there is nothing older to aim at: the line then serves all that lies before it, too */
    v->from = i >= kept ? 0 : older->ticks;
    /* behind the newest one there is nothing better than to go on */
    v->until = newer == newest ? UINT64_MAX : newer->ticks;
    v->ticks = newer->ticks;
    v->utc = newer->utc;
    /* double is enough: run and rise are some seconds at most, 33 bits; one pair alone: a tick is a nanosecond until there are
     * two */
    v->rate = run > 0 ? (int64_t)(rise / run * 1099511627776.0) : INT64_C(1) << 40;
}

/* UTC in ns of a tick value, along a line. From its newer end: so a step of the clock shows from its pair on. The product has up
 * to 104 bits: 64 of the offset and 40 of the scale. */
static inline int64_t mlog__clock_along(const mlog__clock_view *v, uint64_t ticks) {
    int64_t off = (int64_t)(ticks - v->ticks);
#ifdef __SIZEOF_INT128__
    __extension__ typedef __int128 mlog__wide_int;
    return (int64_t)((uint64_t)v->utc + (uint64_t)((mlog__wide_int)off * v->rate >> 40)); /* a file may say anything */
#else
    long double ns = (long double)off * (long double)v->rate / 1099511627776.0L;
    int64_t whole = (int64_t)ns;
    return v->utc + whole - (ns < (long double)whole); /* down, as the shift does: another machine may read the record */
#endif
}

/* The same along the line that belongs to the ticks. */
static int64_t mlog__clock_utc(mlog__clock_view *v, const mlog__clock_table *t, uint64_t ticks) {
    if (MLOG__UNLIKELY(v->count != t->count || ticks < v->from || ticks > v->until)) mlog__clock_aim(v, t, ticks);
    return mlog__clock_along(v, ticks);
}

/* ==== crc ====
 * CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected 0x82F63B78; RFC 3720, appendix B.4): finds every error of up to 32 bits in a
 * row, every odd number of flipped bits in blocks of any length, and two in blocks of up to 256 MiB. The instruction of SSE 4.2 takes
 * 8 bytes in 3 cycles but starts one each cycle: three stretches at once, joined by multiplying with powers of x (as Mark Adler's
 * crc32c.c does). Elsewhere eight tables, eight bytes a step.
 * owns: checksums of batches and blocks
 * may call: nothing
 */

enum { MLOG__CRC_LANE = 8192 };
static uint32_t mlog__crc_table[8][256];

/* Made by whoever needs it first; two makers write the same. */
MLOG__COLD static void mlog__crc_fill(uint32_t *ready) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (0x82F63B78u & (0u - (c & 1)));
        for (int k = 0; k < 8; k++) {
            __atomic_store_n(&mlog__crc_table[k][i], c, __ATOMIC_RELAXED); /* CHECKSUM-1 */
            uint32_t low = c & 255;
            for (int j = 0; j < 8; j++) low = low >> 1 ^ (0x82F63B78u & (0u - (low & 1)));
            c = c >> 8 ^ low; /* one more zero byte */
        }
    }
    __atomic_store_n(ready, 1, __ATOMIC_RELEASE); /* CHECKSUM-1 */
}

static uint32_t mlog__crc_entry(int table, uint64_t byte) {
    return __atomic_load_n(&mlog__crc_table[table][byte & 255], __ATOMIC_RELAXED); /* CHECKSUM-1 */
}

/* c and the result are not inverted. */
static uint32_t mlog__crc_software(uint32_t c, const unsigned char *p, size_t n) {
    static uint32_t ready;
    if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) == 0) mlog__crc_fill(&ready); /* CHECKSUM-1 */
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w = 0;
        for (int i = 0; i < 8; i++) w |= (uint64_t)p[i] << 8 * i;
        w ^= c;
        c = 0;
        for (int i = 0; i < 8; i++) c ^= mlog__crc_entry(7 - i, w >> 8 * i);
    }
    for (; n > 0; p++, n--) c = c >> 8 ^ mlog__crc_entry(0, c ^ *p);
    return c;
}

#ifdef __x86_64__
/* The product of two polynomials modulo the CRC's; bit 31 is x^0. */
static uint32_t mlog__crc_multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (int i = 0; i < 32; i++) {
        product ^= b & (0u - (a >> 31));
        a <<= 1;
        b = b >> 1 ^ (0x82F63B78u & (0u - (b & 1)));
    }
    return product;
}

__attribute__((target("sse4.2"))) static uint64_t mlog__crc_word(uint64_t c, const unsigned char *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    return __builtin_ia32_crc32di(c, w);
}

__attribute__((target("sse4.2"))) static uint32_t mlog__crc_hardware(uint32_t start, const unsigned char *p, size_t n) {
    uint64_t a = start;
    for (; n >= 3 * MLOG__CRC_LANE; p += 3 * MLOG__CRC_LANE, n -= 3 * MLOG__CRC_LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < MLOG__CRC_LANE; i += 8) {
            a = mlog__crc_word(a, p + i);
            b = mlog__crc_word(b, p + MLOG__CRC_LANE + i);
            c = mlog__crc_word(c, p + 2 * MLOG__CRC_LANE + i);
        }
        /* x^(8 * 16384) and x^(8 * 8192): a has two stretches behind it, b one */
        a = mlog__crc_multiply((uint32_t)a, 0xBF455269u) ^ mlog__crc_multiply((uint32_t)b, 0x28461564u) ^ (uint32_t)c;
    }
    for (; n >= 8; p += 8, n -= 8) a = mlog__crc_word(a, p);
    for (; n > 0; p++, n--) a = __builtin_ia32_crc32qi((uint32_t)a, *p);
    return (uint32_t)a;
}
#endif

/* [s] The CRC of n bytes behind those whose CRC `before` is; 0: there are none. */
static uint32_t mlog__crc_of(uint32_t before, const void *p, size_t n) {
#ifdef __x86_64__
    if (MLOG__LIKELY(__builtin_cpu_supports("sse4.2"))) return ~mlog__crc_hardware(~before, p, n);
#endif
    return ~mlog__crc_software(~before, p, n);
}

/* ==== text ====
 * Numbers, escaped strings, UTF-8, clock times, globs and checks of JSON. Nothing here allocates. Everything is pure: bytes in,
 * bytes out, no locale, no state but a cache that the caller owns (the one exception, local time, asks the C library for the
 * zone). So all of it is legal in a signal handler, except mlog__text_local. Writers take a place with enough room and return
 * the end: the caller reserves once for the worst case (6 bytes for 1 when escaping), and nothing is checked on the way. What
 * is written may lie behind the returned end, but not behind the promised room. Readers never trust: any bytes are legal input,
 * and lengths are passed, since a text may hold NULs.
 *
 *   WHAT            HOW, AND WHERE FROM
 *   integers        two digits at a time from a table; one division for each two digits
 *   double, float   the shortest digits that read back: two quick cases, then Schubfach (Giulietti 2020)
 *   UTF-8           The Unicode Standard, Table 3-7; bad bytes become U+FFFD by maximal subparts
 *   escapes         16 or 8 bytes at a time until something stops; ASCII stops by one comparison, the rest is decoded
 *   dates           Hinnant, civil_from_days; one date per second, then only the fraction is written
 *   JSON            RFC 8259 without recursion: one bit for each level
 *
 * owns: how bytes become text
 * may call: nothing
 */

/* "00" to "99": half the divisions of a loop over single digits */
static const char mlog__text_pair_table[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
    "555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Writes two digits; v < 100. */
static inline char *mlog__text_two(char *p, uint32_t v) {
    memcpy(p, mlog__text_pair_table + 2 * v, 2);
    return p + 2;
}

/* Writes exactly eight digits; v < 10^8. All at once, halving the groups in one word: two of four digits, four of two, eight
 * (Paul Khuong, "How to print integers really fast", pvk.ca, 2017). 10486 / 2^20 is 1 / 100 for what is below 10^4, 103 / 2^10
 * is 1 / 10 for what is below 100; no product reaches the group above. */
static inline char *mlog__text_eight(char *p, uint32_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, high = (x * 10486 >> 20) & UINT64_C(0x7F0000007F);
    x = high | (x - 100 * high) << 16;
    high = (x * 103 >> 10) & UINT64_C(0xF000F000F000F);
    x = (high | (x - 10 * high) << 8) + UINT64_C(0x3030303030303030);
    memcpy(p, &x, 8);
    return p + 8;
#else
    uint32_t high = v / 10000, low = v % 10000;
    p = mlog__text_two(p, high / 100);
    p = mlog__text_two(p, high % 100);
    p = mlog__text_two(p, low / 100);
    return mlog__text_two(p, low % 100);
#endif
}

/* Writes one to four digits without leading zeros; v < 10000. Branches instead of a loop: lengths repeat from record to record,
 * so they are predicted. */
static inline char *mlog__text_small(char *p, uint32_t v) {
    if (v >= 100) {
        uint32_t high = v / 100;
        if (high >= 10) {
            p = mlog__text_two(p, high);
        } else {
            *p++ = (char)('0' + high);
        }
        return mlog__text_two(p, v - high * 100);
    }
    if (v >= 10) {
        return mlog__text_two(p, v);
    }
    *p = (char)('0' + v);
    return p + 1;
}

/* Writes one to eight digits without leading zeros; v < 10^8. The first group of four decides the length; the second is always
 * whole. */
static inline char *mlog__text_medium(char *p, uint32_t v) {
    if (v < 10000) {
        return mlog__text_small(p, v);
    }
    p = mlog__text_small(p, v / 10000);
    v %= 10000;
    p = mlog__text_two(p, v / 100);
    return mlog__text_two(p, v % 100);
}

/* Writes v in decimal, at most 20 bytes, and returns the end: 2^64 has 20 digits, so up to three pieces of eight. */
static char *mlog__text_u64(char *p, uint64_t v) {
    if (v < 100000000) {
        return mlog__text_medium(p, (uint32_t)v);
    }
    /* in pieces of eight digits, which 32-bit arithmetic handles */
    uint64_t high = v / 100000000;
    uint32_t low = (uint32_t)(v % 100000000);
    if (high < 100000000) {
        p = mlog__text_medium(p, (uint32_t)high);
    } else {
        p = mlog__text_small(p, (uint32_t)(high / 100000000));
        p = mlog__text_eight(p, (uint32_t)(high % 100000000));
    }
    return mlog__text_eight(p, low);
}

/* Writes v in decimal with a minus sign when negative, at most 20 bytes (a sign and 19 digits), and returns the end. */
static char *mlog__text_i64(char *p, int64_t v) {
    uint64_t magnitude = (uint64_t)v;
    if (v < 0) {
        *p++ = '-';
        magnitude = 0 - magnitude; /* unsigned, so that INT64_MIN is no overflow */
    }
    return mlog__text_u64(p, magnitude);
}

/* Writes v in lower-case hexadecimal without 0x and leading zeros, at most 16 bytes, and returns the end. For pointers and
 * mlog_hex. */
static char *mlog__text_hex(char *p, uint64_t v) {
    /* from the number of significant bits; | 1, because zero has one digit and no highest bit */
    unsigned digits = 16;
    if (v < (uint64_t)1 << 60) {
        digits = (67u - (unsigned)__builtin_clzll(v | 1)) / 4;
    }
    /* backwards, since the number of digits is known by now */
    for (char *at = p + digits; at != p; v >>= 4) {
        *--at = "0123456789abcdef"[v & 15];
    }
    return p + digits;
}

/*
 * Shortest doubles: Raffaello Giulietti, "The Schubfach way to render doubles" (2020).
 * Instead of his table of 617 powers, every 27th power of ten is kept with 192 bits and multiplied by
 * a power of five; the generator has checked that this yields all 617 of his factors exactly.
 */
typedef struct {
    uint64_t high, low;
} mlog__text_wide;

typedef struct {
    /* value = digits * 10^exponent */
    uint64_t digits;
    int exponent;
} mlog__text_decimal;

/* Top 192 bits of 10^(27 * (i - 11)). 27, because 5^27 is the largest power of five below 2^64: a power between two rows is
 * then a row times one exact word. */
static const uint64_t mlog__text_power_table[24][3] = {
    {0xa76c582338ed2621, 0xaf2af2b80af6f24e, 0x657c8f4d43323a36},
    {0x873e4f75e2224e68, 0x5a7744a6e804a291, 0xcc35eddfcf0996d7},
    {0xda7f5bf590966848, 0xaf39a475506a899e, 0xa30294cc2934e662},
    {0xb080392cc4349dec, 0xbd8d794d96aacfb3, 0xfe13a5c86af64418},
    {0x8e938662882af53e, 0x547eb47b7282ee9c, 0x41b0230e1421487d},
    {0xe65829b3046b0afa, 0x0cb4a5a3112a5112, 0xa3b561b1cb208396},
    {0xba121a4650e4ddeb, 0x92f34d62616ce413, 0x21a0183e10583cd3},
    {0x964e858c91ba2655, 0x3a6a07f8d510f86f, 0xe9082f25e9c5e9ec},
    {0xf2d56790ab41c2a2, 0xfae27299423fb9c3, 0x3695dad7e8858901},
    {0xc428d05aa4751e4c, 0xaa97e14c3c26b886, 0x96842dc95323f5a8},
    {0x9e74d1b791e07e48, 0x775ea264cf55347d, 0xca49f1c05120c9c7},
    {0x8000000000000000, 0x0000000000000000, 0x0000000000000000},
    {0xcecb8f27f4200f3a, 0x0000000000000000, 0x0000000000000000},
    {0xa70c3c40a64e6c51, 0x999090b65f67d924, 0x0000000000000000},
    {0x86f0ac99b4e8dafd, 0x69a028bb3ded71a3, 0xdf9f915627c04e28},
    {0xda01ee641a708de9, 0xe80e6f4820cc9495, 0xd74baad03bc1d8d3},
    {0xb01ae745b101e9e4, 0x5ec05dcff72e7f8f, 0xc04c79ffe324301f},
    {0x8e41ade9fbebc27d, 0x14588f13be847307, 0x23bd6a2059c002f5},
    {0xe5d3ef282a242e81, 0x8f1668c8a86da5fa, 0xf0b5ccf5176ecc7c},
    {0xb9a74a0637ce2ee1, 0x6d953e2bd7173692, 0x88efb0037ac08bde},
    {0x95f83d0a1fb69cd9, 0x4abdaf101564f98e, 0x0d5a4af7b3a98e47},
    {0xf24a01a73cf2dccf, 0xbc633b39673c8cec, 0x3d9c44cd2f36917c},
    {0xc3b8358109e84f07, 0x0a862f80ec4700c8, 0x02606ea01029dc37},
    {0x9e19db92b4e31ba9, 0x6c07a2c26a8346d1, 0x4944d9f52cd0dec2},
};

/* 10^j scaled to 64 bits with the highest bit set, exact for all 27. */
static const uint64_t mlog__text_five_table[27] = {
    0x8000000000000000, 0xa000000000000000, 0xc800000000000000, 0xfa00000000000000, 0x9c40000000000000,
    0xc350000000000000, 0xf424000000000000, 0x9896800000000000, 0xbebc200000000000, 0xee6b280000000000,
    0x9502f90000000000, 0xba43b74000000000, 0xe8d4a51000000000, 0x9184e72a00000000, 0xb5e620f480000000,
    0xe35fa931a0000000, 0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000, 0x8ac7230489e80000,
    0xad78ebc5ac620000, 0xd8d726b7177a8000, 0x878678326eac9000, 0xa968163f0a57b400, 0xd3c21bcecceda100,
    0x84595161401484a0, 0xa56fa5b99019a5c8,
};

/* 10^n for counting digits. */
static const uint64_t mlog__text_ten_table[18] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
};

/* The full product of two 64-bit numbers; without 128-bit integers by four halves (Knuth, TAOCP 4.3.1). No sum of halves
 * overflows: (2^32 - 1)^2 + 2 * (2^32 - 1) is 2^64 - 1. */
static inline mlog__text_wide mlog__text_multiply(uint64_t a, uint64_t b) {
    mlog__text_wide r;
#if defined(__SIZEOF_INT128__) && !defined(MLOG__TEXT_PORTABLE)
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    r.high = (uint64_t)(product >> 64);
    r.low = (uint64_t)product;
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t middle = ah * bl + ((al * bl) >> 32);
    uint64_t other = al * bh + (uint32_t)middle;
    r.high = ah * bh + (middle >> 32) + (other >> 32);
    r.low = a * b;
#endif
    return r;
}

/* 10^e scaled to exactly 128 bits and rounded up; -292 <= e <= 324. Rounded up, as Giulietti's g is: his proof of the rounding
 * to odd below needs an upper estimate. */
static inline mlog__text_wide mlog__text_power(int e) {
    unsigned index = (unsigned)(e + 297), row = index / 27;
    const uint64_t *coarse = mlog__text_power_table[row];
    uint64_t fine = mlog__text_five_table[index - row * 27];
    mlog__text_wide a = mlog__text_multiply(coarse[0], fine);
    mlog__text_wide b = mlog__text_multiply(coarse[1], fine);
    mlog__text_wide c = mlog__text_multiply(coarse[2], fine);
    uint64_t second = b.low + c.high;
    b.high += second < b.low;
    uint64_t third = a.low + b.high;
    a.high += third < a.low;
    mlog__text_wide r = {a.high, third};
    /* the product of two numbers with their top bits set has 191 or 192 bits below the top: at most one shift */
    if (!(r.high >> 63)) {
        r.high = r.high << 1 | r.low >> 63;
        r.low = r.low << 1 | second >> 63;
        second = second << 1 | c.low >> 63;
        c.low <<= 1;
    }
    /* any bit that was cut off rounds up, except where the power is exact in 128 bits */
    r.low += (second | c.low) != 0;
    r.high += (second | c.low) != 0 && r.low == 0;
    return r;
}

/* The top of g * c; the last bit also says that something not zero was cut off ("round to odd"): comparisons with the ends of
 * the interval then come out as with the exact number. */
static inline uint64_t mlog__text_round_odd(mlog__text_wide g, uint64_t c) {
    uint64_t carry = mlog__text_multiply(g.low, c).high;
    mlog__text_wide top = mlog__text_multiply(g.high, c);
    uint64_t low = top.low + carry;
    top.high += low < carry;
    return top.high | (low > 1); /* g is rounded up, which alone can make low 1 */
}

/* The shortest decimal inside the rounding interval of c * 2^q, the closest one when there are several. narrow: the gap below
 * the value is half the gap above it (c is a power of two). Everything is four times the value, so that the ends of the
 * interval (halves, in the narrow case quarters of the gap) are integers. */
static mlog__text_decimal mlog__text_shortest(uint64_t c, int q, bool narrow) {
    int k = (q * 1262611 - (narrow ? 524031 : 0)) >> 22; /* floor(log10 of the interval's width) */
    /* the constants are log10(2) * 2^22, log10(4/3) * 2^22 and log2(10) * 2^19: exact floors for all exponents of a double */
    int shift = q + ((-k * 1741647) >> 19) + 1;
    mlog__text_wide g = mlog__text_power(-k);
    uint64_t odd = c & 1; /* the ends of the interval belong to even numbers only */
    uint64_t lower = mlog__text_round_odd(g, (4 * c - 2 + narrow) << shift) + odd;
    uint64_t value = mlog__text_round_odd(g, (4 * c) << shift);
    uint64_t upper = mlog__text_round_odd(g, (4 * c + 2) << shift) - odd;
    uint64_t s = value / 4;
    if (s >= 10) {
        /* one digit fewer, if exactly one of the two candidates lies inside */
        uint64_t tens = s / 10;
        bool down = lower <= 40 * tens, up = 40 * tens + 40 <= upper;
        if (down != up) {
            return (mlog__text_decimal){tens + up, k + 1};
        }
    }
    bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    /* both inside or both outside: the nearer one, and at a tie the even one */
    if (down == up) {
        uint64_t middle = 4 * s + 2;
        up = value > middle || (value == middle && (s & 1));
    }
    return (mlog__text_decimal){s + up, k};
}

/* The number of decimal digits of v; 0 < v < 10^17. The product gives it or one too few; the table decides. */
static inline int mlog__text_count(uint64_t v) {
    int n = (64 - __builtin_clzll(v)) * 1233 >> 12; /* log10(2) is about 1233 / 4096 */
    return n + (v >= mlog__text_ten_table[n]);
}

/* Steps back over zeros down to least. NULL: there is a digit that is not zero for sure. */
static inline char *mlog__text_strip(char *p, const char *least) {
    while (p != least && p[-1] == '0') {
        p--;
    }
    return p;
}

/* Writes digits with a point after the first `whole` of them, without zeros (and without a point) at the end. */
static inline char *mlog__text_pointed(char *p, uint64_t digits, int whole) {
    char *point = p + whole;
    /* Written one place too far and moved down in single bytes: a wide load would wait for the stores. */
    char *end = mlog__text_strip(mlog__text_u64(p + 1, digits), point + 1);
    for (; p != point; p++) {
        p[0] = p[1];
    }
    *point = '.';
    return end == point + 1 ? point : end;
}

/* Lays out d (not 0, below 10^17) as a JSON number: plain from 1e-5 up to 1e16, else with an exponent. A point or an exponent
 * always stands in it, so that a reader sees a double and not an integer. JavaScript switches at 1e-7 and 1e21; 1e16 is where
 * the digits of a double stop to be exact. */
static char *mlog__text_layout(char *p, mlog__text_decimal d) {
    int point = mlog__text_count(d.digits) + d.exponent; /* the value is 0.ddd * 10^point */
    if (point < -4 || point > 16) {
        p = mlog__text_pointed(p, d.digits, 1);
        *p++ = 'e';
        if (point < 1) {
            *p++ = '-';
        }
        return mlog__text_small(p, (uint32_t)(point < 1 ? 1 - point : point - 1));
    }
    if (point <= 0) {
        memcpy(p, "0.0000", 6);
        /* 0.0000 is written whole, the digits go over the zeros that are too many */
        p += 2 - point;
        return mlog__text_strip(mlog__text_u64(p, d.digits), p);
    }
    if (d.exponent < 0) { /* never an integer here: those below 2^53 went another way */
        return mlog__text_pointed(p, d.digits, point);
    }
    p = mlog__text_u64(p, d.digits);
    memset(p, '0', (size_t)d.exponent);
    memcpy(p + d.exponent, ".0", 2);
    return p + d.exponent + 2;
}

/* Writes millionths / 10^6 where the fraction is not zero: so stripping zeros stops at a digit. */
static inline char *mlog__text_millionths(char *p, uint64_t millionths) {
    uint32_t fraction = (uint32_t)(millionths % 1000000);
    p = mlog__text_u64(p, millionths / 1000000);
    *p++ = '.';
    p = mlog__text_two(p, fraction / 10000);
    fraction %= 10000;
    if (fraction) {
        p = mlog__text_two(p, fraction / 100);
        p = mlog__text_two(p, fraction % 100);
    }
    return mlog__text_strip(p, NULL);
}

/* Whether v is an integer below 2^53 (its own digits are then the shortest). Counts and sizes that a program keeps in doubles
 * need no more than a conversion. v is not negative here. */
static inline bool mlog__text_integral(double v) {
    /* the comparison comes first: a conversion of a larger double to int64 is undefined; NaN fails it */
    return v < 9007199254740992.0 && (double)(int64_t)v == v;
}

/* v * 10^6 if that product is an exact description of v by at most 15 digits, else 0. This is where nearly all doubles of real
 * programs end: prices, seconds, percentages. */
static inline uint64_t mlog__text_exact_double(double v) {
    /* Up to 15 digits no two decimals read as the same double, so a decimal that reads back is the
       shortest one. The quotient of two exact numbers is what strtod makes of that decimal; this
       needs plain IEEE division, hence the conditions. */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 0 && !defined(__FAST_MATH__)
    /* 10^9 with six decimals are 15 digits; below 1e-5 the layout needs an exponent */
    if (v >= 1e-5 && v < 1e9) {
        int64_t scaled = (int64_t)(v * 1e6 + 0.5);
        return (double)scaled / 1e6 == v ? (uint64_t)scaled : 0;
    }
#endif
    (void)v;
    return 0;
}

/* The same for float: thousandths and at most 6 digits, the number that any float keeps. The result is in millionths, so that
 * both share a writer. */
static inline uint64_t mlog__text_exact_float(float v) {
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 0 && !defined(__FAST_MATH__)
    if (v >= 1e-3F && v < 1e3F) {
        int32_t scaled = (int32_t)(v * 1e3F + 0.5F);
        return (float)scaled / 1e3F == v ? (uint64_t)scaled * 1000 : 0;
    }
#endif
    (void)v;
    return 0;
}

/* NaN, Infinity or -Infinity: JavaScript's names. JSON has none; its writer puts them into quotes. A NaN's sign means
 * nothing. */
static char *mlog__text_not_finite(char *p, bool nan, bool negative) {
    if (nan) {
        memcpy(p, "NaN", 3);
        return p + 3;
    }
    if (negative) {
        *p++ = '-';
    }
    memcpy(p, "Infinity", 8);
    return p + 8;
}

/* With ".0": a double that happens to be whole stays a double for who reads the log. */
static inline char *mlog__text_whole(char *p, uint64_t v) {
    p = mlog__text_u64(p, v);
    memcpy(p, ".0", 2);
    return p + 2;
}

/* Writes the shortest digits that read back as v (at most 32 bytes touched) and returns the end. Three ways, the commonest
 * first: integers below 2^53 (counts, sizes), decimals of at most six places (prices, times), and Schubfach for the rest. All
 * three give the same text where they overlap. */
static char *mlog__text_double(char *p, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    /* by the bit, not by v < 0: -0.0 is printed as -0.0, and a NaN has no order */
    bool negative = bits >> 63;
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    /* all ones: infinity, or a NaN when any bit of the fraction is set */
    if (exponent == 0x7ff) {
        return mlog__text_not_finite(p, fraction != 0, negative);
    }
    if (negative) {
        *p++ = '-';
        v = -v;
    }
    if (mlog__text_integral(v)) {
        return mlog__text_whole(p, (uint64_t)(int64_t)v);
    }
    uint64_t millionths = mlog__text_exact_double(v);
    if (millionths) {
        return mlog__text_millionths(p, millionths);
    }
    if (exponent == 0) {
        /* subnormal: no hidden bit, and all gaps are equal */
        return mlog__text_layout(p, mlog__text_shortest(fraction, -1074, false));
    }
    /* at a power of two the gap below is half; not at the smallest normal number, below which the gaps stay the same */
    bool narrow = fraction == 0 && exponent > 1;
    return mlog__text_layout(p, mlog__text_shortest(fraction | (uint64_t)1 << 52, exponent - 1075, narrow));
}

/* Writes the shortest digits that read back as the float v (at most 32 bytes touched) and returns the end. Apart from double:
 * 0.1f is 0.1 here, 0.10000000149011612 as a double. */
static char *mlog__text_float(char *p, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bool negative = bits >> 31;
    int exponent = (int)(bits >> 23 & 0xff);
    uint32_t fraction = bits & 0x7fffff;
    if (exponent == 0xff) {
        return mlog__text_not_finite(p, fraction != 0, negative);
    }
    if (negative) {
        *p++ = '-';
        v = -v;
    }
    if (v < 16777216.0F && mlog__text_integral((double)v)) {
        return mlog__text_whole(p, (uint64_t)(int64_t)v);
    }
    uint64_t millionths = mlog__text_exact_float(v);
    if (millionths) {
        return mlog__text_millionths(p, millionths);
    }
    if (exponent == 0) {
        return mlog__text_layout(p, mlog__text_shortest(fraction, -149, false));
    }
    bool narrow = fraction == 0 && exponent > 1;
    return mlog__text_layout(p, mlog__text_shortest(fraction | 0x800000U, exponent - 150, narrow));
}

/* The length of the character at s[0..n), n > 0, and its code point; for ill-formed bytes the length of the maximal subpart and
 * *cp = 0xffffffff. Ranges: The Unicode Standard, Table 3-7 (well-formed UTF-8 byte sequences) and "U+FFFD substitution of
 * maximal subparts" in section 3.9. Overlong forms, surrogates and what lies above U+10FFFF fail by the range of their second
 * byte alone. */
static inline size_t mlog__text_decode(const char *s, size_t n, uint32_t *cp) {
    const unsigned char *u = (const unsigned char *)s;
    unsigned lead = u[0], low = 0x80, high = 0xbf;
    *cp = lead;
    if (lead < 0x80) {
        return 1;
    }
    *cp = UINT32_MAX;
    /* 80 to BF only continue; C0 and C1 could only begin overlong forms of ASCII */
    if (lead < 0xc2 || lead > 0xf4) {
        return 1;
    }
    /* continuation bytes that the lead announces */
    size_t more = (size_t)1 + (lead >= 0xe0) + (lead >= 0xf0);
    /* the second byte of four leads has a narrower range: E0 and F0 against overlong forms, ED against surrogates, F4 above
     * U+10FFFF */
    low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : low;
    high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : high;
    /* 5, 4 or 3 bits of the lead are data */
    uint32_t value = lead & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if (i == n || u[i] < low || u[i] > high) {
            return i;
        }
        value = value << 6 | (u[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *cp = value;
    return more + 1;
}

/* Writes cp as UTF-8 (U+FFFD for what is no character) and returns the length, 1 to 4. For wide strings, whose characters are
 * the caller's and may be anything. */
static size_t mlog__text_utf8_encode(char *p, uint32_t cp) {
    if (cp < 0x80) {
        p[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        p[0] = (char)(0xc0 | cp >> 6);
        p[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp > 0x10ffff || cp - 0xd800 < 0x800) {
        cp = 0xfffd;
    }
    size_t n = 0;
    if (cp < 0x10000) {
        p[n++] = (char)(0xe0 | cp >> 12);
    } else {
        p[n++] = (char)(0xf0 | cp >> 18);
        p[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
    }
    p[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    p[n++] = (char)(0x80 | (cp & 0x3f));
    return n;
}

/* The longest prefix length that does not end inside a character; s[0..n) unchanged if it ends in garbage. Cutting is for texts
 * that had to be shortened: half a character at the end would become a U+FFFD that nobody wrote. Reads at most three bytes, all
 * of them before s + n. */
static size_t mlog__text_utf8_cut(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        /* the lead of the last character: whole, or open at the end? */
        if (c >= 0xc2 && c <= 0xf4) {
            uint32_t cp;
            bool open = mlog__text_decode(s + n - back, back, &cp) == back && cp == UINT32_MAX;
            return open ? n - back : n;
        }
        if (c < 0x80 || c > 0xbf) {
            break;
        }
    }
    return n;
}

/* Which characters a string may not contain as they are. Each style knows one reader: a JSON parser, a person at a terminal, or
 * who splits key=value at spaces. */
typedef enum {
    mlog__text_style_json,    /* controls, line separators, quote, backslash */
    mlog__text_style_console, /* controls, line separators, bidi controls, backslash */
    mlog__text_style_quoted,  /* as console, and the quote */
    mlog__text_style_bare,    /* as quoted, and space and '=' */
    mlog__text_style_flat     /* as bare, and the apostrophe */
} mlog__text_style;

/* Whether c cannot be copied without a closer look: all that the style forbids, and everything from 0x80, which has to be
 * decoded. */
static inline bool mlog__text_stops(char c, mlog__text_style style) {
    unsigned char u = (unsigned char)c;
    return u < (style >= mlog__text_style_bare ? 0x21 : 0x20) || u >= 0x7f || u == '\\' ||
           (u == '"' && style != mlog__text_style_console) || (u == '=' && style >= mlog__text_style_bare) ||
           (u == '\'' && style == mlog__text_style_flat);
}

#ifdef __SSE2__
/* One bit for each of 16 bytes at which copying has to stop. Five comparisons instead of 80; SSE2 is in every x86-64. */
static inline unsigned mlog__text_stops16(__m128i x, mlog__text_style style) {
    /* The signed comparison also catches all bytes from 0x80. */
    __m128i m = _mm_cmplt_epi8(x, _mm_set1_epi8(style >= mlog__text_style_bare ? 0x21 : 0x20));
    m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
    if (style != mlog__text_style_console) {
        m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    }
    if (style >= mlog__text_style_bare) {
        m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('=')));
    }
    if (style == mlog__text_style_flat) {
        m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('\'')));
    }
    return (unsigned)_mm_movemask_epi8(m);
}

/* Copies n (4 to 15) bytes as two overlapping halves; returns the length up to the first stop. So short texts, the commonest,
 * need no loop and no load beyond their end. */
static inline size_t mlog__text_run_tail(char *p, const char *s, size_t n, mlog__text_style style) {
    unsigned half = n >= 8 ? 8 : 4, stops;
    if (half == 8) {
        __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)s);
        __m128i last = _mm_loadl_epi64((const __m128i *)(const void *)(s + n - 8));
        _mm_storel_epi64((__m128i *)(void *)p, first);
        _mm_storel_epi64((__m128i *)(void *)(p + n - 8), last);
        stops = mlog__text_stops16(_mm_unpacklo_epi64(first, last), style);
    } else {
        int32_t first, last;
        memcpy(&first, s, 4);
        memcpy(&last, s + n - 4, 4);
        memcpy(p, &first, 4);
        memcpy(p + n - 4, &last, 4);
        stops = mlog__text_stops16(_mm_unpacklo_epi32(_mm_cvtsi32_si128(first), _mm_cvtsi32_si128(last)), style) & 0xff;
    }
    if (!stops) {
        return n;
    }
    /* a stop in the second half: its place counts from the end of the text */
    size_t at = (size_t)__builtin_ctz(stops);
    return at < half ? at : at + n - 2 * half;
}

/* Copies the leading plain characters of s[0..n), writing no more than n bytes; returns their count. */
static inline size_t mlog__text_run(char *p, const char *s, size_t n, mlog__text_style style) {
    size_t i = 0;
    /* stored before it is known where to stop: the room is promised, and what lies behind the stop is written over */
    for (; n - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
        unsigned stops = mlog__text_stops16(x, style);
        _mm_storeu_si128((__m128i *)(void *)(p + i), x);
        if (stops) {
            return i + (size_t)__builtin_ctz(stops);
        }
    }
    /* the rest overlaps itself; below four bytes, one by one */
    if (n - i >= 4) {
        return i + mlog__text_run_tail(p + i, s + i, n - i, style);
    }
    for (; i < n && !mlog__text_stops(s[i], style); i++) {
        p[i] = s[i];
    }
    return i;
}
#else
/* Not zero if copying has to stop at one of eight bytes. The classic tests in all bytes of a word at once (Mycroft; Warren,
 * Hacker's Delight, 6-1): bit 7 of x - 0x20 is a borrow, of x + 1 it finds DEL, of (x ^ c) - 1 it finds c. A carry into the
 * next byte can only report too much; the loop over single bytes behind it decides. */
static inline uint64_t mlog__text_stops8(uint64_t x, mlog__text_style style) {
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t m =
        x | (x + ones) | (x - ones * (style >= mlog__text_style_bare ? 0x21 : 0x20)) | ((x ^ ones * '\\') - ones);
    if (style != mlog__text_style_console) {
        m |= (x ^ ones * '"') - ones;
    }
    if (style >= mlog__text_style_bare) {
        m |= (x ^ ones * '=') - ones;
    }
    if (style == mlog__text_style_flat) {
        m |= (x ^ ones * '\'') - ones;
    }
    return m & ones * 0x80;
}

/* Copies the leading plain characters of s[0..n), writing no more than n bytes; returns their count. */
static inline size_t mlog__text_run(char *p, const char *s, size_t n, mlog__text_style style) {
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        uint64_t x;
        memcpy(&x, s + i, 8);
        if (mlog__text_stops8(x, style)) {
            break;
        }
        memcpy(p + i, &x, 8);
    }
    for (; i < n && !mlog__text_stops(s[i], style); i++) {
        p[i] = s[i];
    }
    return i;
}
#endif

/* Writes \uXXXX; cp <= 0xffff: all that is escaped this way lies in the first plane, so no surrogate pairs are needed. */
static char *mlog__text_unicode_escape(char *p, uint32_t cp) {
    memcpy(p, "\\u", 2);
    for (unsigned i = 0; i < 4; i++) {
        p[2 + i] = "0123456789abcdef"[cp >> (12 - 4 * i) & 15];
    }
    return p + 6;
}

/* The letter of a two-character escape sequence for c, or 0. JSON knows \b and \f; in a console they would be read as
 * letters. */
static inline char mlog__text_short_escape(char c, mlog__text_style style) {
    switch (c) {
    case '"': return style == mlog__text_style_console ? 0 : c;
    case '\\': return c;
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\b': return style == mlog__text_style_json ? 'b' : 0;
    case '\f': return style == mlog__text_style_json ? 'f' : 0;
    default: return 0;
    }
}

/* Writes the ASCII character c escaped: by a letter where there is one, else \u001b in JSON and \x1b for people. */
static inline char *mlog__text_escape_ascii(char *p, char c, mlog__text_style style) {
    unsigned u = (unsigned char)c;
    char letter = mlog__text_short_escape(c, style);
    *p = '\\';
    if (letter) {
        p[1] = letter;
        return p + 2;
    }
    if (style == mlog__text_style_json) {
        return mlog__text_unicode_escape(p, u);
    }
    p[1] = 'x';
    p[2] = (char)('0' + (u >> 4)); /* only controls and DEL come here: the first digit is 0, 1 or 7 */
    p[3] = "0123456789abcdef"[u & 15];
    return p + 4;
}

/* Whether the character cp >= 0x80 may not appear as it is: C1 controls (0x9b is an escape sequence's begin for terminals),
 * U+2028 and U+2029, which many readers take for line ends. */
static inline bool mlog__text_hidden(uint32_t cp, mlog__text_style style) {
    if (cp < 0xa0 || (cp | 1) == 0x2029) {
        return true;
    }
    /* Bidi controls could make a terminal show the text in another order. */
    /* unsigned differences are ranges: 202A..202E and 2066..2069; U+200E, U+200F and U+061C are marks */
    return style != mlog__text_style_json && (cp == 0x61c || (cp | 1) == 0x200f || cp - 0x202a < 5 || cp - 0x2066 < 4);
}

/* The length of the character at s[0..n) if it is a plain letter by its first byte alone, else 0: Latin, Greek, Cyrillic,
 * Hebrew and the CJK of everyday text then need no decoding. */
static inline size_t mlog__text_letter(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    /* U+00C0 to U+07FF without the block of U+061C; U+3000 to U+CFFF: no control, no special second byte. */
    if (n >= 2 && u[0] >= 0xc3 && u[0] <= 0xdf && u[0] != 0xd8) {
        return (u[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (n >= 3 && u[0] >= 0xe3 && u[0] <= 0xec) {
        return ((u[1] & 0xc0) | (u[2] & 0xc0) << 2) == 0x280 ? 3 : 0;
    }
    return 0;
}

/* Writes one non-ASCII character of s[0..n) at p; returns the end and moves *used on. What is ill-formed becomes one U+FFFD for
 * each maximal subpart, as browsers do it: the rest of the text is not lost. */
static inline char *mlog__text_escape_one(char *p, const char *s, size_t n, size_t *used, mlog__text_style style) {
    uint32_t cp;
    size_t length = mlog__text_decode(s, n, &cp);
    *used += length;
    if (cp == UINT32_MAX) {
        memcpy(p, "\xef\xbf\xbd", 3);
        return p + 3;
    }
    if (mlog__text_hidden(cp, style)) {
        return mlog__text_unicode_escape(p, cp);
    }
    memcpy(p, s, length);
    return p + length;
}

/* Writes the non-ASCII characters at the start of s[0..n); returns the end and moves *used on. A loop of its own: texts in
 * other scripts stay in it, instead of going back to the search for a stop after each character. */
static inline char *mlog__text_escape_wide(char *p, const char *s, size_t n, size_t *used, mlog__text_style style) {
    size_t i = *used;
    do {
        size_t length = mlog__text_letter(s + i, n - i);
        if (length) {
            /* two bytes and the last one: no branch for the two lengths */
            memcpy(p, s + i, 2);
            p[length - 1] = s[i + length - 1];
            p += length;
            i += length;
        } else {
            p = mlog__text_escape_one(p, s + i, n - i, &i, style);
        }
    } while (i < n && (unsigned char)s[i] >= 0x80);
    *used = i;
    return p;
}

/* Writes s[0..n) with everything escaped that the style forbids (at most 6 * n bytes: a control becomes \u001f). A backslash is
 * escaped in all styles, or a text could forge an escape sequence. Runs that need nothing are copied whole. */
static inline char *mlog__text_escape(char *p, const char *s, size_t n, mlog__text_style style) {
    for (size_t i = 0;;) {
        size_t run = mlog__text_run(p, s + i, n - i, style);
        p += run;
        i += run;
        if (i == n) {
            return p;
        }
        if ((unsigned char)s[i] < 0x80) {
            p = mlog__text_escape_ascii(p, s[i++], style);
        } else {
            p = mlog__text_escape_wide(p, s, n, &i, style);
        }
    }
}

/* Writes s[0..n) as the inside of a JSON string; ill-formed UTF-8 becomes U+FFFD. Room: 6 * n + 32: the escapes, and what the
 * wide stores touch behind the end. */
static char *mlog__text_json(char *p, const char *s, size_t n) {
    return mlog__text_escape(p, s, n, mlog__text_style_json);
}

/* Writes s[0..n) so that a terminal shows it on one line and obeys none of it: no colours, no titles, no cursor movements from
 * data. Room: 6 * n + 32. */
static char *mlog__text_console(char *p, const char *s, size_t n) {
    return mlog__text_escape(p, s, n, mlog__text_style_console);
}

/* Copies s[0..n) if it needs neither quotes nor escapes, else returns NULL. What it has written by then is written over. */
static inline char *mlog__text_bare(char *p, const char *s, size_t n, mlog__text_style style) {
    for (size_t i = 0;;) {
        size_t run = mlog__text_run(p, s + i, n - i, style);
        p += run;
        i += run;
        if (i == n) {
            return p;
        }
        if ((unsigned char)s[i] < 0x80) {
            return NULL;
        }
        uint32_t cp;
        size_t length = mlog__text_decode(s + i, n - i, &cp);
        if (cp == UINT32_MAX || mlog__text_hidden(cp, style)) {
            return NULL;
        }
        memcpy(p, s + i, length);
        p += length;
        i += length;
    }
}

/* Writes s[0..n) as the value of key=value: bare if harmless, else quoted. Room: 6 * n + 32. The empty text needs quotes to be
 * seen. */
static char *mlog__text_quoted(char *p, const char *s, size_t n) {
    char *end = n ? mlog__text_bare(p, s, n, mlog__text_style_bare) : NULL;
    if (end) {
        return end;
    }
    *p = '"';
    end = mlog__text_escape(p + 1, s, n, mlog__text_style_quoted);
    *end = '"';
    return end + 1;
}

/* What the clock functions remember; all zero at the start, one per thread. */
typedef struct {
    /* a moment fits when (unsigned) t - start < span */
    uint64_t second_start, second_span;   /* nanoseconds for which text holds; span 0: none */
    uint64_t quarter_start, quarter_span; /* nanoseconds for which local_second holds */
    uint32_t local_second;                /* local second of the day at quarter_start */
    char text[20];                        /* 2026-11-20T10:06:41. */
} mlog__text_clock;

/* The start of the period that t lies in; *span becomes the period, or 0 if that is not wholly within int64. C's % goes towards
 * zero: times before 1970 are put right. The start may wrap at the very ends, therefore unsigned; differences from it stay
 * right. */
static inline uint64_t mlog__text_floor(int64_t t, int64_t period, uint64_t *span) {
    int64_t rest = t % period;
    rest += rest < 0 ? period : 0;
    /* A period that wraps round would match times at the other end of the range: never reuse it. */
    bool whole = t >= INT64_MIN + rest && t <= INT64_MAX - (period - rest);
    *span = whole ? (uint64_t)period : 0;
    return (uint64_t)t - (uint64_t)rest;
}

/* Writes a day counted from 1970-01-01 as YYYY-MM-DD; good from 1600-03-01 to 9999-12-31. int64 nanoseconds reach from 1677 to
 * 2262, so every time that can come is inside. */
static char *mlog__text_date(char *p, int32_t day) {
    /* Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in
       March, and eras of 400 years (146097 days) repeat. The first era used here begins in year 1600. */
    uint32_t z = (uint32_t)(day + 719468 - 4 * 146097);
    uint32_t era = z / 146097, doe = z % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    /* months from March on: five of them always have 153 days */
    uint32_t mp = (5 * doy + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;
    uint32_t year = 1600 + era * 400 + yoe + (month <= 2);
    p = mlog__text_two(p, year / 100);
    p = mlog__text_two(p, year % 100);
    *p++ = '-';
    p = mlog__text_two(p, month);
    *p++ = '-';
    return mlog__text_two(p, doy - (153 * mp + 2) / 5 + 1);
}

/* Writes HH:MM:SS. for a second of the day. No leap seconds: UNIX time has none. */
static inline char *mlog__text_time(char *p, uint32_t second) {
    p = mlog__text_two(p, second / 3600);
    *p++ = ':';
    p = mlog__text_two(p, second / 60 % 60);
    *p++ = ':';
    p = mlog__text_two(p, second % 60);
    *p++ = '.';
    return p;
}

/* Fills the cache for the second that unix_ns lies in: once in a second of log. */
static void mlog__text_utc_fill(int64_t unix_ns, mlog__text_clock *cache) {
    cache->second_start = mlog__text_floor(unix_ns, 1000000000, &cache->second_span);
    int64_t second = unix_ns / 1000000000 - (unix_ns % 1000000000 < 0);
    int64_t day = second / 86400 - (second % 86400 < 0);
    char *p = mlog__text_date(cache->text, (int32_t)day);
    *p++ = 'T';
    mlog__text_time(p, (uint32_t)(second - day * 86400));
}

/* Writes unix_ns (nanoseconds since 1970, UTC) as 2026-11-20T10:06:41.123456789Z (RFC 3339) and returns the end: always 30
 * bytes. One unsigned comparison says whether the cached second fits, also for times before it. */
static char *mlog__text_utc(char *p, int64_t unix_ns, mlog__text_clock *cache) {
    if ((uint64_t)unix_ns - cache->second_start >= cache->second_span) {
        mlog__text_utc_fill(unix_ns, cache);
    }
    uint32_t rest = (uint32_t)((uint64_t)unix_ns - cache->second_start);
    memcpy(p, cache->text, 20);
    p[20] = (char)('0' + rest / 100000000);
    p = mlog__text_eight(p + 21, rest % 100000000);
    *p = 'Z';
    return p + 1;
}

/* Asks the C library for the local time and remembers it for the quarter of an hour: offsets from UTC have been multiples of 15
 * minutes everywhere since 1972, and clocks are changed at such a moment. localtime_r takes a lock and may read files, so one
 * call per quarter, by the flusher and never in a call. */
static void mlog__text_local_fill(int64_t unix_ns, mlog__text_clock *cache) {
    const int64_t quarter = (int64_t)900 * 1000000000;
    cache->quarter_start = mlog__text_floor(unix_ns, quarter, &cache->quarter_span);
    uint32_t into = (uint32_t)(((uint64_t)unix_ns - cache->quarter_start) / 1000000000);
    time_t second = (time_t)(unix_ns / 1000000000 - (unix_ns % 1000000000 < 0));
    struct tm tm;
    if (!localtime_r(&second, &tm)) {
        memset(&tm, 0, sizeof tm);
    }
    uint32_t of_day = (uint32_t)(tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
    /* back to the start of the quarter; + 86400, since midnight may lie inside it */
    cache->local_second = (of_day + 86400 - into) % 86400;
}

/* Writes the local time of day as 10:06:41.123 and returns the end: 12 bytes. No date: lines on a console are young. */
static char *mlog__text_local(char *p, int64_t unix_ns, mlog__text_clock *cache) {
    if ((uint64_t)unix_ns - cache->quarter_start >= cache->quarter_span) {
        mlog__text_local_fill(unix_ns, cache);
    }
    uint32_t milli = (uint32_t)(((uint64_t)unix_ns - cache->quarter_start) / 1000000);
    uint32_t second = cache->local_second + milli / 1000;
    /* a quarter of an hour that begins before midnight goes on behind it */
    p = mlog__text_time(p, second < 86400 ? second : second - 86400);
    milli %= 1000;
    *p = (char)('0' + milli / 100);
    return mlog__text_two(p + 1, milli % 100);
}

/* Whether the pattern matches all of s; '*' stands for any run of bytes, also none. Without recursion and in time pn * sn at
 * worst: patterns come from configuration, names from anywhere. */
static bool mlog__text_glob(const char *pat, size_t pn, const char *s, size_t sn) {
    size_t i = 0, j = 0, star = SIZE_MAX, resume = 0;
    while (j < sn) {
        if (i < pn && pat[i] == '*') {
            star = i++;
            resume = j;
        } else if (i < pn && pat[i] == s[j]) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            i = star + 1; /* only the last star need ever give way */
            j = ++resume;
        } else {
            return false;
        }
    }
    while (i < pn && pat[i] == '*') {
        i++;
    }
    return i == pn;
}

/* A place in a text being read. */
typedef struct {
    const char *at, *end;
} mlog__text_reader;

/* Steps over c if it comes next. The readers below all work like this one: true and behind it, or false, and the place means
 * nothing. */
static inline bool mlog__text_take(mlog__text_reader *r, char c) {
    bool found = r->at != r->end && *r->at == c;
    r->at += found;
    return found;
}

/* White space of JSON only: isspace() asks the locale and takes more. */
static inline bool mlog__text_is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void mlog__text_skip_blank(mlog__text_reader *r) {
    while (r->at != r->end && mlog__text_is_blank(*r->at)) {
        r->at++;
    }
}

/* Steps over one or more decimal digits; isdigit() would be the locale's. */
static bool mlog__text_take_digits(mlog__text_reader *r) {
    const char *start = r->at;
    while (r->at != r->end && *r->at >= '0' && *r->at <= '9') {
        r->at++;
    }
    return r->at != start;
}

/* -12.5e+3, not 01, +1, .5 or 1.: the grammar of RFC 8259, section 6. A number may have any length; nobody computes it here. */
static bool mlog__text_take_number(mlog__text_reader *r) {
    mlog__text_take(r, '-');
    if (!mlog__text_take(r, '0') && !mlog__text_take_digits(r)) {
        return false;
    }
    if (mlog__text_take(r, '.') && !mlog__text_take_digits(r)) {
        return false;
    }
    if (mlog__text_take(r, 'e') || mlog__text_take(r, 'E')) {
        if (!mlog__text_take(r, '+')) {
            mlog__text_take(r, '-');
        }
        return mlog__text_take_digits(r);
    }
    return true;
}

/* true, false, null; what follows the word is judged by who reads on. */
static bool mlog__text_take_word(mlog__text_reader *r, const char *word, size_t n) {
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) {
        return false;
    }
    r->at += n;
    return true;
}

/* Reads four hexadecimal digits; returns 0xffffffff if they are not there. The caller's range checks then refuse that, too. */
static uint32_t mlog__text_take_hex4(mlog__text_reader *r) {
    uint32_t value = 0;
    if (r->end - r->at < 4) {
        return UINT32_MAX;
    }
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value * 16 + (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value * 16 + (uint32_t)(lower - 'a' + 10);
        } else {
            return UINT32_MAX;
        }
    }
    return value;
}

/* Steps over an escape sequence whose backslash has been read; surrogates must come in pairs. RFC 8259 allows lone ones, but
 * they name no character, and many readers refuse the whole line. */
static bool mlog__text_take_escape(mlog__text_reader *r) {
    if (r->at == r->end) {
        return false;
    }
    char c = *r->at++;
    if (c != 'u') {
        return memchr("\"\\/bfnrt", c, 8) != NULL;
    }
    uint32_t unit = mlog__text_take_hex4(r);
    /* no surrogate: fine, unless it is the mark of failure */
    if (unit - 0xd800 >= 0x800) {
        return unit <= 0xffff;
    }
    /* a high one, and a low one right behind it; failure, 2^32 - 1, is neither */
    return unit < 0xdc00 && mlog__text_take(r, '\\') && mlog__text_take(r, 'u') &&
           mlog__text_take_hex4(r) - 0xdc00 < 0x400;
}

/* A string with its quotes. Well-formed UTF-8 only, and no raw controls: the bytes go out as they are later. */
static bool mlog__text_take_string(mlog__text_reader *r) {
    if (!mlog__text_take(r, '"')) {
        return false;
    }
    while (r->at != r->end) {
        unsigned char c = (unsigned char)*r->at;
        if (c >= 0x80) {
            uint32_t cp;
            r->at += mlog__text_decode(r->at, (size_t)(r->end - r->at), &cp);
            if (cp == UINT32_MAX) {
                return false;
            }
            continue;
        }
        r->at++;
        if (c == '"') {
            return true;
        }
        /* controls must be escaped in JSON, DEL need not be */
        if (c < 0x20 || (c == '\\' && !mlog__text_take_escape(r))) {
            return false;
        }
    }
    return false;
}

/* Steps over a value that is neither object nor array. The first byte tells which; 0, at the end of the text, begins no
 * number. */
static bool mlog__text_take_scalar(mlog__text_reader *r) {
    switch (r->at == r->end ? 0 : *r->at) {
    case '"': return mlog__text_take_string(r);
    case 't': return mlog__text_take_word(r, "true", 4);
    case 'f': return mlog__text_take_word(r, "false", 5);
    case 'n': return mlog__text_take_word(r, "null", 4);
    default: return mlog__text_take_number(r);
    }
}

/* Steps over "key": and the white space around. Keys may repeat: RFC 8259 only advises against it. */
static bool mlog__text_take_key(mlog__text_reader *r) {
    mlog__text_skip_blank(r);
    if (!mlog__text_take_string(r)) {
        return false;
    }
    mlog__text_skip_blank(r);
    return mlog__text_take(r, ':');
}

/* The open objects (bit 1) and arrays (bit 0), the innermost in the lowest bit. */
typedef struct {
    /* 64 levels are the bound of JSON here: one bit for each, so that a hostile text of a million brackets costs no stack */
    uint64_t objects;
    unsigned depth;
} mlog__text_nest;

/* Reads the start of a value: a whole scalar, or an opening bracket (then *opened; an empty object or array is whole at
 * once). */
static bool mlog__text_take_start(mlog__text_reader *r, mlog__text_nest *nest, bool *opened) {
    mlog__text_skip_blank(r);
    bool object = mlog__text_take(r, '{');
    *opened = false;
    if (!object && !mlog__text_take(r, '[')) {
        return mlog__text_take_scalar(r);
    }
    if (nest->depth == 64) {
        return false;
    }
    mlog__text_skip_blank(r);
    if (mlog__text_take(r, object ? '}' : ']')) {
        return true;
    }
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    *opened = true;
    return !object || mlog__text_take_key(r);
}

/* After a value: closes brackets up to the next comma; *more says whether another value must follow. Behind the last bracket
 * nothing may. */
static bool mlog__text_take_rest(mlog__text_reader *r, mlog__text_nest *nest, bool *more) {
    for (*more = false; nest->depth; nest->depth--, nest->objects >>= 1) {
        bool object = nest->objects & 1;
        mlog__text_skip_blank(r);
        if (mlog__text_take(r, ',')) {
            *more = true;
            return !object || mlog__text_take_key(r);
        }
        if (!mlog__text_take(r, object ? '}' : ']')) {
            return false;
        }
    }
    return true;
}

/* Whether s[0..n) is exactly one JSON value (RFC 8259) of at most 64 levels, white space around allowed. Run in the call, on
 * what mlog_json was given: what is not JSON travels as text, so that no record can break the line that it stands in. */
static bool mlog__text_json_valid(const char *s, size_t n) {
    mlog__text_reader r = {s, s + n};
    mlog__text_nest nest = {0, 0};
    bool more = true;
    while (more) {
        if (!mlog__text_take_start(&r, &nest, &more)) {
            return false;
        }
        /* more: a bracket was opened and its first value must follow; else the value is whole */
        if (!more && !mlog__text_take_rest(&r, &nest, &more)) {
            return false;
        }
    }
    mlog__text_skip_blank(&r);
    return r.at == r.end;
}

/* Copies the string that starts at s[i], with characters escaped that would not stay on one line (U+2028, C1 controls): JSON
 * allows them raw in strings, a log line does not. */
static char *mlog__text_compact_string(char *p, const char *s, size_t n, size_t *used) {
    size_t i = *used;
    *p++ = s[i++];
    while (i < n) {
        size_t run = mlog__text_run(p, s + i, n - i, mlog__text_style_json);
        p += run;
        i += run;
        if (i == n) {
            break;
        }
        char c = s[i];
        if ((unsigned char)c >= 0x80) {
            p = mlog__text_escape_wide(p, s, n, &i, mlog__text_style_json);
        } else if (c == '"') {
            *p++ = c;
            i++;
            break;
        } else if (c == '\\') {
            /* two bytes at a time, so that an escaped quote does not end the string */
            *p++ = c; /* an escape sequence stays as it is */
            *p++ = i + 1 < n ? s[i + 1] : c;
            i += i + 1 < n ? 2 : 1;
        } else {
            p = mlog__text_escape_ascii(p, c, mlog__text_style_json);
            i++;
        }
    }
    *used = i;
    return p;
}

/* Copies valid JSON as one line: no white space outside strings, no raw control characters. Room: 6 * n. What was valid when it
 * was checked may have been changed by its owner since: no byte is read beyond n, whatever stands there. */
static char *mlog__text_json_compact(char *p, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        if (s[i] == '"') {
            p = mlog__text_compact_string(p, s, n, &i);
        } else {
            *p = s[i];
            p += !mlog__text_is_blank(s[i++]);
        }
    }
    return p;
}

/* ==== printf ====
 * A format is scanned once into a table, and rendered later from captured arguments: the same bytes as glibc's printf in the C
 * locale. Scanning happens where the arguments are (at registration, or in mlog_vprintf), because the format alone tells how
 * much of a text may be read (%.*s of memory without a NUL), whether a char * is a pointer (%p), and that errno belongs to the
 * arguments (%m). Rendering happens in the flusher, which has the values but not the memory of the caller.
 *
 * The invariant: any bytes are a legal format, any values are legal arguments. A format comes from a literal that the compiler
 * has checked, but also from mlog_vprintf and, later, from files of a dead process. So the table never names an argument beyond
 * its bound, a value that does not suit its conversion is printed in its own simplest form, and nothing is written behind
 * `end`. What is refused (%n, an unknown letter, a mixture of positions and sequence) stays in the text as it is.
 *
 *   FORMAT   "%-*.3f of %s"
 *   WANT     {INT} {DOUBLE} {TEXT, prec -1}                       one per argument, in their order
 *   CONV     {off 0, len 6, width ARG(0), prec 3, arg 1, LEFT}    one per conversion; between two of them the text is literal
 *            {off 10, len 2, arg 2, plain}
 *
 * Bounds: 48 conversions and 32 arguments fit a table of 1.5 KiB on the stack of a call; a format with more keeps the rest as
 * text. A width or precision may be 2^31 - 1, as in C: no loop and no buffer here depends on it, only the room that the caller
 * gave.
 *
 * Who does the work: our own code for what is common (d u x s c f up to nine decimals), stb_sprintf for integers with flags,
 * and libc's snprintf for the other floats, whose digits must be exact in hundreds of places. libc's decimal point is the
 * locale's, so the flusher puts the C locale in force before it renders.
 *
 * owns: conversions of printf, stb_sprintf
 * may call: text
 */

/* A decoded value: what formats, filters and sinks work on. len bytes are here, full were there (MLOG__NULL_TEXT: the pointer was
 * NULL). p leads into a record or the dictionary, never into memory of the caller. */
typedef struct {
    uint8_t kind, elem;
    uint32_t len, full;
    union {
        int64_t i;
        uint64_t u;
        double f;
        const char *p;
    } as;
} mlog__val;
/* LDOUBLE: payload of sizeof(long double) bytes. VALUE: the kind travels in the slot, see `record`. */
enum { MLOG__K_LDOUBLE = 24, MLOG__K_VALUE = 25 }; /* kinds beside mlog_kind that only slots have */
#define MLOG__NULL_TEXT UINT32_MAX

/* stb is trusted only with the integer forms that mlog__printf_stb_ok() admits, so its floats are left out; its words at
   unaligned addresses are switched off because they are undefined behaviour. Settings and names are all put back or renamed:
   the including program may use stb_sprintf in the same unit, before or after, with settings of its own. */
#ifndef MLOG__STB
#define MLOG__STB
/* the settings of a program that uses stb_sprintf itself */
#pragma push_macro("STB_SPRINTF_STATIC")
#pragma push_macro("STB_SPRINTF_NOFLOAT")
#pragma push_macro("STB_SPRINTF_NOUNALIGNED")
#pragma push_macro("STB_SPRINTF_DECORATE")
#pragma push_macro("STB_SPRINTF_IMPLEMENTATION")
#undef STB_SPRINTF_STATIC
#undef STB_SPRINTF_NOFLOAT
#undef STB_SPRINTF_NOUNALIGNED
#undef STB_SPRINTF_DECORATE
#undef STB_SPRINTF_IMPLEMENTATION
#pragma push_macro("STB_SPRINTF_H_INCLUDE")
#undef STB_SPRINTF_H_INCLUDE
#define STB_SPRINTF_STATIC
#define STB_SPRINTF_NOFLOAT
#define STB_SPRINTF_NOUNALIGNED
#define STB_SPRINTF_DECORATE(name) mlog__stb_##name
#define STB_SPRINTF_IMPLEMENTATION
/* its file-scope names that no setting renames: two copies in one unit would collide */
#define stbsp__period mlog__stb_period
#define stbsp__comma mlog__stb_comma
#define stbsp__digitpair mlog__stb_digitpair
#define stbsp__lead_sign mlog__stb_lead_sign
#define stbsp__strlen_limited mlog__stb_strlen_limited
#define stbsp__context mlog__stb_context
#define stbsp__clamp_callback mlog__stb_clamp_callback
#define stbsp__count_clamp_callback mlog__stb_count_clamp_callback
#pragma GCC diagnostic push
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Weverything"
#else
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include MLOG__STB_FILE
#pragma GCC diagnostic pop
#undef stbsp__period
#undef stbsp__comma
#undef stbsp__digitpair
#undef stbsp__lead_sign
#undef stbsp__strlen_limited
#undef stbsp__context
#undef stbsp__clamp_callback
#undef stbsp__count_clamp_callback
/* its helper macros: the next include defines them again */
#undef STBSP__ASAN
#undef STBSP__PUBLICDEC
#undef STBSP__PUBLICDEF
#undef STBSP__ATTRIBUTE_FORMAT
#undef STBSP__NOTUSED
#undef STBSP__UNALIGNED
#pragma pop_macro("STB_SPRINTF_H_INCLUDE")
#pragma pop_macro("STB_SPRINTF_STATIC")
#pragma pop_macro("STB_SPRINTF_NOFLOAT")
#pragma pop_macro("STB_SPRINTF_NOUNALIGNED")
#pragma pop_macro("STB_SPRINTF_DECORATE")
#pragma pop_macro("STB_SPRINTF_IMPLEMENTATION")
#endif

#define MLOG__PRINTF_CONVS 48
#define MLOG__PRINTF_ARGS 32 /* of mlog_vprintf; the macros take 16 */

/* what the capturing side must find in an argument; for TEXT and WTEXT `prec` bounds the bytes that may be read */
enum {
    MLOG__WANT_NONE,
    MLOG__WANT_INT,
    MLOG__WANT_DOUBLE,
    MLOG__WANT_LDOUBLE,
    MLOG__WANT_CHAR,
    MLOG__WANT_TEXT,
    MLOG__WANT_WTEXT,
    MLOG__WANT_WCHAR,
    MLOG__WANT_POINTER
};
/* length modifiers: which C type the 64 captured bits are cut down to */
enum { MLOG__MOD_NONE, MLOG__MOD_HH, MLOG__MOD_H, MLOG__MOD_L, MLOG__MOD_LL, MLOG__MOD_J, MLOG__MOD_Z, MLOG__MOD_T };
enum { MLOG__FLAG_LEFT = 1, MLOG__FLAG_PLUS = 2, MLOG__FLAG_SPACE = 4, MLOG__FLAG_ALT = 8, MLOG__FLAG_ZERO = 16 };

/* a width or precision that argument k gives at run time (a negative precision there means none); -1 is "not given" */
#define MLOG__PREC_ARG(k) (-2 - (k))

/* One conversion of the table, by offsets into the format: the table holds no pointers and can be copied. */
typedef struct {
    uint32_t off, len;   /* where the conversion stands in the format */
    int32_t width, prec; /* >= 0 literal, -1 none, MLOG__PREC_ARG(k) */
    int8_t arg;          /* index of the argument, -1 for %% and %m */
    /* plain: no flags, no width, no precision: nearly all conversions, for the shortcut in mlog__printf_conv */
    uint8_t flags, mod, plain;
    char conv; /* normalized: i is d, C is c and S is s with mod L */
} mlog__conv;

/* What va_arg must fetch for one argument, and how much of a text may be read. */
typedef struct {
    uint8_t cls, mod; /* mod only with MLOG__WANT_INT */
    int32_t prec;     /* only with TEXT and WTEXT: as in mlog__conv */
} mlog__want;

/* Text between two table entries is literal; so is a refused conversion, which therefore has no entry.
   With uses_errno (%m) the capturing side appends errno as one more INT argument, at index nargs. */
typedef struct {
    /* static text, so that a table can be copied and thrown away */
    const char *bad; /* the first thing found wrong, or NULL */
    uint32_t bad_off, len;
    uint8_t nconv, nargs, uses_errno, positional;
    mlog__want want[MLOG__PRINTF_ARGS];
    mlog__conv conv[MLOG__PRINTF_CONVS];
} mlog__printf;

/* SCAN */

/* The state of a scan; one on the stack, gone with it. */
typedef struct {
    const char *fmt, *why; /* why: what is wrong with the conversion at hand */
    size_t len, pos;
    mlog__printf *out;
    int next, mode; /* mode: 0 not known yet, 1 arguments in sequence, 2 positional */
} mlog__printf_cur;

/* Notes what is wrong with the conversion at hand; the first reason stands. Parsing goes on: the length of the conversion is
 * needed. */
static void mlog__printf_fail(mlog__printf_cur *s, const char *why) {
    if (!s->why) s->why = why;
}

/* Returns the byte at the cursor, 0 at the end of the format (a NUL there is never part of a conversion): so no reader below
 * has to look at the end. */
static char mlog__printf_peek(const mlog__printf_cur *s) { return s->pos < s->len ? s->fmt[s->pos] : '\0'; }

static int mlog__printf_isdigit(char c) { return c >= '0' && c <= '9'; }

/* Reads decimal digits; a number above INT32_MAX is returned as some larger number: it stops to grow before it could
 * overflow. */
static int64_t mlog__printf_number(mlog__printf_cur *s) {
    int64_t v = 0;

    for (; mlog__printf_isdigit(mlog__printf_peek(s)); s->pos++)
        if (v <= INT32_MAX) v = v * 10 + (s->fmt[s->pos] - '0');
    return v;
}

/* Reads "n$": returns n, 0 when none stands here (nothing is then read), -1 for one that cannot be. Digits without a $ are
 * flags and a width: only at the $ is it known which, hence the step back. */
static int mlog__printf_position(mlog__printf_cur *s) {
    size_t start = s->pos;
    int64_t n = mlog__printf_number(s);

    if (s->pos == start || mlog__printf_peek(s) != '$') {
        s->pos = start;
        return 0;
    }
    s->pos++;
    if (n >= 1 && n <= MLOG__PRINTF_ARGS) return (int)n;
    mlog__printf_fail(s, n ? "more than 32 arguments" : "argument number 0");
    return -1;
}

/* Lets a second use of a string widen the bound on reading it; reports bounds that cannot be compared at scan time. -1, no
 * bound, wins: one use reads to the NUL. */
static void mlog__printf_merge(mlog__printf_cur *s, mlog__want *w, int32_t prec) {
    if (w->prec == prec) return;
    if (w->prec < -1 || prec < -1) mlog__printf_fail(s, "one string with two precisions");
    else if (w->prec == -1 || prec == -1) w->prec = -1;
    else if (prec > w->prec) w->prec = prec;
}

/* Takes argument `at` (1..), or the next one for 0, as class `cls`. Returns its index, -1 when it cannot be had. C forbids a
 * mixture of both ways, and one argument as two types: va_arg could fetch only one of them. */
static int mlog__printf_claim(mlog__printf_cur *s, int at, int cls, uint8_t mod, int32_t prec) {
    int mode = at ? 2 : 1, i = at ? at - 1 : s->next;
    mlog__want *w;

    if (at < 0) return -1;
    if (s->mode && s->mode != mode) {
        mlog__printf_fail(s, "positional and sequential arguments mixed");
        return -1;
    }
    s->mode = mode;
    if (i >= MLOG__PRINTF_ARGS) {
        mlog__printf_fail(s, "more than 32 arguments");
        return -1;
    }
    /* counted only now: a refused conversion has taken nothing */
    if (!at) s->next++;
    w = &s->out->want[i];
    if (i >= s->out->nargs) s->out->nargs = (uint8_t)(i + 1);
    mod = cls == MLOG__WANT_INT ? mod : (uint8_t)MLOG__MOD_NONE;
    if (w->cls == MLOG__WANT_NONE) {
        w->cls = (uint8_t)cls;
        w->mod = mod;
        w->prec = prec;
    } else if (w->cls != cls || w->mod != mod) {
        mlog__printf_fail(s, "one argument used as two types");
        return -1;
    } else {
        mlog__printf_merge(s, w, prec);
    }
    return i;
}

/* Reads a width or precision: a number, `*` or `*m$`. Returns it as mlog__conv keeps it, `none` when there is none: -1 for a
 * width, 0 for a precision, since C takes a lone point for zero. A claim that failed has noted why. */
static int32_t mlog__printf_amount(mlog__printf_cur *s, int32_t none) {
    int64_t n;
    int at, k;

    if (mlog__printf_peek(s) == '*') {
        s->pos++;
        at = mlog__printf_position(s);
        k = mlog__printf_claim(s, at, MLOG__WANT_INT, MLOG__MOD_NONE, -1);
        return k < 0 ? none : MLOG__PREC_ARG(k);
    }
    if (!mlog__printf_isdigit(mlog__printf_peek(s))) return none;
    n = mlog__printf_number(s);
    if (n <= INT32_MAX) return (int32_t)n;
    mlog__printf_fail(s, "width or precision above INT_MAX");
    return none;
}

/* Reads the flags in any order and number; ' groups nothing in the C locale. */
static uint8_t mlog__printf_flags(mlog__printf_cur *s) {
    unsigned f = 0;

    for (;; s->pos++) {
        switch (mlog__printf_peek(s)) {
        case '-':
            f |= MLOG__FLAG_LEFT;
            break;
        case '+':
            f |= MLOG__FLAG_PLUS;
            break;
        case ' ':
            f |= MLOG__FLAG_SPACE;
            break;
        case '#':
            f |= MLOG__FLAG_ALT;
            break;
        case '0':
            f |= MLOG__FLAG_ZERO;
            break;
        case '\'':
            break;
        default:
            return (uint8_t)f;
        }
    }
}

/* Reads a length modifier; L and q are ll, as in glibc: %Lf and %lld differ by their letter alone. */
static uint8_t mlog__printf_length(mlog__printf_cur *s) {
    char c = mlog__printf_peek(s);
    uint8_t mod;

    switch (c) {
    case 'h':
        mod = MLOG__MOD_H;
        break;
    case 'l':
        mod = MLOG__MOD_L;
        break;
    case 'q':
    case 'L':
        mod = MLOG__MOD_LL;
        break;
    case 'j':
        mod = MLOG__MOD_J;
        break;
    case 'z':
        mod = MLOG__MOD_Z;
        break;
    case 't':
        mod = MLOG__MOD_T;
        break;
    default:
        return MLOG__MOD_NONE;
    }
    s->pos++;
    /* hh and ll */
    if ((c != 'h' && c != 'l') || mlog__printf_peek(s) != c) return mod;
    s->pos++;
    return c == 'h' ? MLOG__MOD_HH : MLOG__MOD_LL;
}

/* Returns the class that conversion `ch` takes, NONE for an unknown one; *fits tells whether its length makes sense. %hs or %Ls
 * is undefined in C: better refused than guessed. %n has a class, so that its argument is stepped over. */
static int mlog__printf_class(char ch, uint8_t mod, int *fits) {
    int l = mod == MLOG__MOD_L;

    *fits = mod == MLOG__MOD_NONE;
    switch (ch) {
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        *fits = 1;
        return MLOG__WANT_INT;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        *fits |= l || mod == MLOG__MOD_LL;
        return mod == MLOG__MOD_LL ? MLOG__WANT_LDOUBLE : MLOG__WANT_DOUBLE;
    case 'c':
    case 'C':
        *fits |= l;
        return l || ch == 'C' ? MLOG__WANT_WCHAR : MLOG__WANT_CHAR;
    case 's':
    case 'S':
        *fits |= l;
        return l || ch == 'S' ? MLOG__WANT_WTEXT : MLOG__WANT_TEXT;
    case 'p':
        return MLOG__WANT_POINTER;
    case 'n':
        *fits = 1;
        return MLOG__WANT_POINTER;
    default:
        return MLOG__WANT_NONE;
    }
}

/* Makes one letter do for conversions that print alike, so that rendering has fewer cases, and marks the plain ones. */
static void mlog__printf_normalize(mlog__conv *c) {
    if (c->conv == 'C' || c->conv == 'S') {
        c->conv = c->conv == 'C' ? 'c' : 's';
        c->mod = MLOG__MOD_L;
    }
    if (c->conv == 'i') c->conv = 'd';
    c->plain = !c->flags && c->width == -1 && c->prec == -1;
}

/* Ties a parsed conversion to its argument. Even a refused one takes its argument, where it is known to have one: the ones
 * after it stay in step. */
static void mlog__printf_bind(mlog__printf_cur *s, mlog__conv *c, int at) {
    int fits, i, cls = mlog__printf_class(c->conv, c->mod, &fits);

    c->arg = -1;
    if (c->conv == '%' || c->conv == 'm') {
        if (at || c->mod) mlog__printf_fail(s, "conversion without an argument has a length or a position");
        if (c->conv == 'm' && !s->why) s->out->uses_errno = 1;
        return;
    }
    if (cls == MLOG__WANT_NONE) {
        mlog__printf_fail(s, "unknown conversion");
        return;
    }
    if (!fits) {
        mlog__printf_fail(s, "length does not fit the conversion");
        cls = MLOG__WANT_NONE;
    }
    /* %n writes through an argument: the classic hole of printf, and of no use in a log */
    if (c->conv == 'n') mlog__printf_fail(s, "%n is refused");
    i = mlog__printf_claim(s, at, cls, c->mod, cls == MLOG__WANT_TEXT || cls == MLOG__WANT_WTEXT ? c->prec : -1);
    c->arg = (int8_t)i;
    mlog__printf_normalize(c);
}

/* Records the first thing that is wrong with a format: the others often follow from it. */
static void mlog__printf_note(mlog__printf *out, const char *why, size_t off) {
    if (out->bad) return;
    out->bad = why;
    out->bad_off = (uint32_t)off;
}

/* Parses the conversion whose `%` is at the cursor: either appends it to the table, or leaves it literal with a reason. */
static void mlog__printf_one(mlog__printf_cur *s) {
    size_t start = s->pos++;
    mlog__conv c;
    int at;

    /* the order is C's: position, flags, width, precision, length, letter */
    memset(&c, 0, sizeof c);
    s->why = NULL;
    at = mlog__printf_position(s);
    c.flags = mlog__printf_flags(s);
    c.width = mlog__printf_amount(s, -1);
    c.prec = -1;
    if (mlog__printf_peek(s) == '.') {
        s->pos++;
        c.prec = mlog__printf_amount(s, 0);
    }
    c.mod = mlog__printf_length(s);
    if (s->pos < s->len) {
        c.conv = s->fmt[s->pos++];
        mlog__printf_bind(s, &c, at);
    } else {
        mlog__printf_fail(s, "format ends inside a conversion");
    }
    c.off = (uint32_t)start;
    c.len = (uint32_t)(s->pos - start);
    if (!s->why && s->out->nconv == MLOG__PRINTF_CONVS) mlog__printf_fail(s, "more than 48 conversions");
    /* refused: no entry, so the renderer takes it for literal text */
    if (s->why) mlog__printf_note(s->out, s->why, start);
    else s->out->conv[s->out->nconv++] = c;
}

/* Scans a format, which may hold any bytes, into a table that is always safe to render. Needs no locale, no memory, takes no
 * lock: legal in a handler. Returns 0, or -1 with out->bad and out->bad_off set when something in it is refused. */
static int mlog__printf_scan(const char *fmt, size_t len, mlog__printf *out) {
    mlog__printf_cur s = {fmt, NULL, len, 0, out, 0, 0};
    const char *pct;
    int i;

    memset(out, 0, sizeof *out);
    for (i = 0; i < MLOG__PRINTF_ARGS; i++) out->want[i].prec = -1;
    /* what lies behind is neither scanned nor printed */
    if (len >= UINT32_MAX) {
        /* offsets are 32 bits */
        s.len = UINT32_MAX - 1;
        mlog__printf_note(out, "format too long", 0);
    }
    out->len = (uint32_t)s.len;
    /* literal text is skipped at the speed of memchr */
    while (s.pos < s.len && (pct = memchr(fmt + s.pos, '%', s.len - s.pos)) != NULL) {
        s.pos = (size_t)(pct - fmt);
        mlog__printf_one(&s);
    }
    out->positional = s.mode == 2;
    /* an argument that nobody names has no known type: va_arg cannot step over it */
    for (i = 0; i < out->nargs && out->positional; i++)
        if (out->want[i].cls == MLOG__WANT_NONE) mlog__printf_note(out, "gap in the positional arguments", 0);
    return out->bad ? -1 : 0;
}

/* RENDER */

/* Appends at most end-p bytes of s: all output goes through here or through fill, and so cannot leave the room. */
static char *mlog__printf_put(char *p, char *end, const char *s, size_t n) {
    if (n > (size_t)(end - p)) n = (size_t)(end - p);
    if (n) memcpy(p, s, n);
    return p + n;
}

/* Appends n times c, as far as there is room: a width of 2^30 costs no more than the room. Widths come from arguments, so from
 * data. */
static char *mlog__printf_fill(char *p, char *end, char c, uint64_t n) {
    size_t k = n < (uint64_t)(end - p) ? (size_t)n : (size_t)(end - p);

    if (k) memset(p, c, k);
    return p + k;
}

/* Writes v in decimal so that it ends before e; returns where it begins (20 bytes at most). Backwards: what comes before the
 * digits (sign, zeros, padding) depends on their number. */
static char *mlog__printf_dec(char *e, uint64_t v) {
    /* a copy of text's table: a function that writes backwards cannot use its writers, and tables are private to sections */
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657"
        "585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

    for (; v >= 100; v /= 100) {
        e -= 2;
        memcpy(e, pairs + v % 100 * 2, 2);
    }
    if (v >= 10) {
        e -= 2;
        memcpy(e, pairs + v * 2, 2);
        return e;
    }
    /* zero, too, has a digit */
    *--e = (char)('0' + v);
    return e;
}

/* As mlog__printf_dec, in base 16 (shift 4) or 8 (shift 3); 22 bytes at most: 64 bits in threes. Only %X wants capitals. */
static char *mlog__printf_radix(char *e, uint64_t v, int shift, char conv) {
    const char *digits = conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned mask = (1u << shift) - 1;

    do {
        *--e = digits[v & mask];
        v >>= shift;
    } while (v);
    return e;
}

/* The pieces of a number in the order of printing: sign or 0x, zeros, body, zeros, tail (an exponent). */
typedef struct {
    const char *pre, *body, *tail;
    size_t npre, nbody, ntail;
    uint64_t lead, trail;
} mlog__printf_parts;

/* Appends the pieces padded to the width; `zero` pads with zeros behind the sign. In 64 bits: with a width and a precision of
 * 2^31 - 1 the sums are beyond 32. */
static char *mlog__printf_layout(char *p, char *end, const mlog__conv *c, const mlog__printf_parts *n, int zero) {
    uint64_t total = n->npre + n->lead + n->nbody + n->trail + n->ntail;
    uint64_t pad = c->width > 0 && (uint64_t)c->width > total ? (uint64_t)c->width - total : 0;
    int left = c->flags & MLOG__FLAG_LEFT;

    /* padding goes to one of three places: before the sign, between sign and digits, behind everything */
    if (!left && !zero) p = mlog__printf_fill(p, end, ' ', pad);
    p = mlog__printf_put(p, end, n->pre, n->npre);
    p = mlog__printf_fill(p, end, '0', n->lead + (!left && zero ? pad : 0));
    p = mlog__printf_put(p, end, n->body, n->nbody);
    p = mlog__printf_fill(p, end, '0', n->trail);
    p = mlog__printf_put(p, end, n->tail, n->ntail);
    return left ? mlog__printf_fill(p, end, ' ', pad) : p;
}

/* Cuts the captured 64 bits down to the C type that the length modifier names, extended again to 64 bits. printf("%hhd", 300)
 * is 44, and so it is here. The shift to the right of a negative number is arithmetic in GCC and Clang. */
static uint64_t mlog__printf_narrow(uint64_t v, uint8_t mod, int is_signed) {
    /* by MLOG__MOD_*; int first: without a modifier even a char is an int here */
    static const uint8_t size[] = {
        sizeof(int), 1, sizeof(short), sizeof(long), sizeof(long long), sizeof(intmax_t), sizeof(size_t), sizeof(ptrdiff_t)};
    int shift = 64 - 8 * size[mod];

    if (shift <= 0) return v;
    v <<= shift;
    return is_signed ? (uint64_t)((int64_t)v >> shift) : v >> shift;
}

/* Whether stb prints this integer as glibc does. It is wrong for a zero with precision 0, for %#o with a precision and for wide
 * widths, overruns its buffer beyond a precision of 512, and negates INT64_MIN. 64: what the buffer of our caller takes. */
static int mlog__printf_stb_ok(const mlog__conv *c, uint64_t mag) {
    return c->width <= 64 && c->prec != 0 && c->prec <= 64 && mag <= INT64_MAX && c->conv != 'o' && c->conv != 'p';
}

/* Formats an integer that mlog__printf_stb_ok() admits. The flags are handed over in a form that avoids what stb gets wrong:
 * flags behind a 0, 0 with a precision, space over +, a sign with %u. Returns the length, at most 68: a width or precision of
 * 64 and a prefix. */
static int mlog__printf_stb(char *buf, const mlog__conv *c, int64_t v) {
    char f[16] = "%";
    unsigned n = 1;
    int sign = c->conv == 'd';

    if (c->flags & MLOG__FLAG_LEFT) f[n++] = '-';
    if (sign && (c->flags & (MLOG__FLAG_PLUS | MLOG__FLAG_SPACE))) f[n++] = c->flags & MLOG__FLAG_PLUS ? '+' : ' ';
    if (c->flags & MLOG__FLAG_ALT) f[n++] = '#';
    if ((c->flags & MLOG__FLAG_ZERO) && !(c->flags & MLOG__FLAG_LEFT) && c->prec < 0) f[n++] = '0';
    /* a negative precision is none, in stb as in C */
    memcpy(f + n, "*.*ll", 5);
    f[n + 5] = c->conv;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return mlog__stb_sprintf(buf, f, c->width < 0 ? 0 : c->width, c->prec, (long long)v);
#pragma GCC diagnostic pop
}

/* Writes the sign or the 0x of an integer to pre; returns its length. %p takes + and space, as in glibc. %#x of zero has no 0x:
 * C11 7.21.6.1, paragraph 6. */
static size_t mlog__printf_prefix(char pre[3], const mlog__conv *c, int neg, uint64_t mag) {
    size_t n = 0;

    if (neg) pre[n++] = '-';
    else if ((c->conv == 'd' || c->conv == 'p') && (c->flags & (MLOG__FLAG_PLUS | MLOG__FLAG_SPACE)))
        pre[n++] = c->flags & MLOG__FLAG_PLUS ? '+' : ' ';
    if (c->conv == 'p' || ((c->flags & MLOG__FLAG_ALT) && mag && (c->conv == 'x' || c->conv == 'X'))) {
        pre[n++] = '0';
        pre[n++] = c->conv == 'X' ? 'X' : 'x';
    }
    return n;
}

/* Appends an integer under d u o x X or p (c->width and c->prec are already plain numbers). raw: 64 bits, whatever the type
 * was. */
static char *mlog__printf_int(char *p, char *end, const mlog__conv *c, uint64_t raw) {
    char tmp[80], pre[3];
    uint64_t v = mlog__printf_narrow(raw, c->mod, c->conv == 'd');
    int neg = c->conv == 'd' && v >> 63;
    /* unsigned: INT64_MIN has a magnitude here */
    uint64_t mag = neg ? 0 - v : v;
    mlog__printf_parts n = {pre, NULL, NULL, 0, 0, 0, 0, 0};

    /* tmp: 80 bytes are enough for stb's 68 and for 22 octal digits */
    if (mlog__printf_stb_ok(c, mag)) return mlog__printf_put(p, end, tmp, (size_t)mlog__printf_stb(tmp, c, (int64_t)v));
    if (c->conv == 'd' || c->conv == 'u') n.body = mlog__printf_dec(tmp + sizeof tmp, mag);
    else n.body = mlog__printf_radix(tmp + sizeof tmp, mag, c->conv == 'o' ? 3 : 4, c->conv);
    /* zero with precision 0 has no digits at all (C11 7.21.6.1, paragraph 8) */
    n.nbody = mag || c->prec ? (size_t)(tmp + sizeof tmp - n.body) : 0;
    n.npre = mlog__printf_prefix(pre, c, neg, mag);
    /* a precision is a least number of digits; with it the flag 0 counts no more, and # of %o adds a zero only where none
     * leads */
    if (c->prec > 0 && (uint64_t)c->prec > n.nbody) n.lead = (uint64_t)c->prec - n.nbody;
    if (c->conv == 'o' && (c->flags & MLOG__FLAG_ALT) && !n.lead && (mag || !n.nbody)) n.lead = 1;
    return mlog__printf_layout(p, end, c, &n, (c->flags & MLOG__FLAG_ZERO) && c->prec < 0);
}

/* Appends text padded to the width; the precision counts bytes, and for a wide string does not split a character (C11: no
 * partial multibyte character). A plain %.3s may split one, as in C: formats escape what is left of it. */
static char *mlog__printf_text(char *p, char *end, const mlog__conv *c, const char *s, size_t len) {
    mlog__printf_parts n = {NULL, s, NULL, 0, len, 0, 0, 0};

    if (c->conv == 's' && c->prec >= 0 && (size_t)c->prec < len) {
        n.nbody = (size_t)c->prec;
        while (c->mod == MLOG__MOD_L && n.nbody && ((unsigned char)s[n.nbody] & 0xC0) == 0x80) n.nbody--;
    }
    return mlog__printf_layout(p, end, c, &n, 0);
}

/* Appends what glibc prints for a NULL pointer under %s (nothing when the precision has no room for it) and %p. C leaves it
 * undefined; a logger is used where pointers are wrong. */
static char *mlog__printf_null(char *p, char *end, mlog__conv *c) {
    if (c->conv == 's' && c->prec >= 0 && c->prec < 6) return mlog__printf_text(p, end, c, "", 0);
    c->prec = -1;
    return c->conv == 'p' ? mlog__printf_text(p, end, c, "(nil)", 5) : mlog__printf_text(p, end, c, "(null)", 6);
}

/* The two strerror_r: the GNU one returns the text, the POSIX one fills the buffer. Which one a libc has is known by its type
 * only. */
static inline const char *mlog__printf_err_gnu(const char *r, const char *buf) { return r ? r : buf; }
static inline const char *mlog__printf_err_posix(int r, const char *buf) {
    (void)r;
    return buf;
}

/* Text of errno value e in the current locale (C, while the flusher renders); buf may or may not be used. */
static const char *mlog__printf_errno_text(int e, char buf[128]) {
    buf[0] = 0;
    return _Generic(strerror_r(e, buf, 128), int
                    : mlog__printf_err_posix, default
                    : mlog__printf_err_gnu)(strerror_r(e, buf, 128), buf);
}

/* Appends the message of errno value e, as %m of the GNU C library. The value was taken at the call; the text is made here. */
static char *mlog__printf_errno(char *p, char *end, const mlog__conv *c, int e) {
    char buf[128];
    mlog__conv s = *c;
    const char *t = mlog__printf_errno_text(e, buf);

    s.conv = 's';
    return mlog__printf_text(p, end, &s, t, strlen(t));
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 mlog__printf_u128;

/* Rounds m / 2^k to n decimals exactly, ties to even as glibc does: *whole gets the integer part, the return value is the
 * fraction times 10^n. Needs 0 < k < 117 (m * 10^9 has 83 bits; the bits above the point of the product must still fit 128). */
static uint64_t mlog__printf_round(uint64_t m, int k, int n, uint64_t *whole) {
    static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    mlog__printf_u128 one = 1, prod, rem, half = one << (k - 1);
    uint64_t q;

    *whole = k < 64 ? m >> k : 0;
    /* the fraction alone, times 10^n, stays a fixed-point number with k bits behind the point */
    prod = (mlog__printf_u128)(k < 64 ? m & ((UINT64_C(1) << k) - 1) : m) * tens[n];
    q = (uint64_t)(prod >> k);
    rem = prod & ((one << k) - 1);
    /* a tie looks at the last digit that is printed, which without decimals is the integer's */
    if (rem > half || (rem == half && ((n ? q : *whole) & 1))) q++;
    /* 0.9996 with three decimals: the carry goes into the integer part */
    if (q < tens[n]) return q;
    ++*whole;
    return 0;
}

/* Writes |v| as %.nf (0 <= n <= 9) so that it ends before e; returns where it begins, NULL for values left to libc. A double is
 * m * 2^-k with 53 bits of m: exact in integers, so that no rounding of an intermediate result can show. */
static char *mlog__printf_fixed(char *e, double v, int n) {
    uint64_t bits, m, whole, frac = 0;
    int k, i;

    memcpy(&bits, &v, sizeof bits);
    k = (int)(bits >> 52 & 0x7FF);
    m = bits & ((UINT64_C(1) << 52) - 1);
    /* from 2^63 on (and infinities, NaN): the integer part has no 64 bits */
    if (k > 1075 + 10) return NULL;
    /* the hidden bit, which subnormals (exponent 0, read as 1) do not have */
    m |= k ? UINT64_C(1) << 52 : 0;
    k = 1075 - (k ? k : 1);
    whole = k <= 0 ? m << -k : 0;
    /* from k = 85 on the value is below half of the ninth decimal */
    /* k <= 0: an integer already */
    if (k > 0 && k < 85) frac = mlog__printf_round(m, k, n, &whole);
    for (i = 0; i < n; i++, frac /= 10) *--e = (char)('0' + frac % 10);
    if (n) *--e = '.';
    return mlog__printf_dec(e, whole);
}
#else
/* no 128-bit integers: libc does it all */
static char *mlog__printf_fixed(char *e, double v, int n) {
    (void)e, (void)v, (void)n;
    return NULL;
}
#endif

/* Formats one double or long double by libc, without a width; returns the full length as snprintf does. The format is built
 * here, never taken from the user: libc sees one conversion, whose argument is known. */
static int mlog__printf_libc(char *buf, size_t size, const mlog__conv *c, int prec, const mlog__val *a) {
    char f[12] = "%";
    unsigned n = 1;
    long double ld = 0;

    if (c->flags & (MLOG__FLAG_PLUS | MLOG__FLAG_SPACE)) f[n++] = c->flags & MLOG__FLAG_PLUS ? '+' : ' ';
    if (c->flags & MLOG__FLAG_ALT) f[n++] = '#';
    f[n++] = '.';
    f[n++] = '*';
    if (a->kind == MLOG__K_LDOUBLE) f[n++] = 'L';
    f[n] = c->conv;
    if (a->kind == MLOG__K_LDOUBLE) memcpy(&ld, a->as.p, MLOG__MIN((size_t)a->len, sizeof ld));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return a->kind == MLOG__K_LDOUBLE ? snprintf(buf, size, f, prec, ld) : snprintf(buf, size, f, prec, a->as.f);
#pragma GCC diagnostic pop
}

/* Appends a number that libc formatted, padded to the width and with the zeros of a precision that libc was not given. For that
 * it is taken apart again: sign or 0x, digits, exponent. Infinities and NaN are one piece, and the flag 0 does not count for
 * them. */
static char *mlog__printf_body(char *p, char *end, const mlog__conv *c, const char *s, size_t len, uint64_t trail) {
    mlog__printf_parts n = {s, NULL, NULL, 0, 0, 0, 0, 0};
    int hex = c->conv == 'a' || c->conv == 'A', finite;
    size_t e;

    n.npre = s[0] == '-' || s[0] == '+' || s[0] == ' ';
    finite = mlog__printf_isdigit(s[n.npre]);
    /* 0x belongs before the padding zeros */
    if (finite && hex) n.npre += 2;
    n.body = s + n.npre;
    /* the zeros that libc was not asked for stand before the exponent; of %a, e is a digit */
    for (e = n.npre; finite && e < len; e++)
        if (s[e] == 'p' || s[e] == 'P' || (!hex && (s[e] == 'e' || s[e] == 'E'))) break;
    n.nbody = (finite ? e : len) - n.npre;
    n.tail = n.body + n.nbody;
    n.ntail = len - n.npre - n.nbody;
    n.trail = finite ? trail : 0;
    return mlog__printf_layout(p, end, c, &n, finite && (c->flags & MLOG__FLAG_ZERO));
}

/* Digits after which the fraction of any double, or of any long double, is all zeros: a double's last bit is 2^-1074, an x87 or
 * quad long double's 2^-16494, and each bit adds one decimal at most. */
enum { MLOG__PRINTF_DIGITS = 1100, MLOG__PRINTF_LDIGITS = 16600 };

/* Appends a long double that needs more than the usual buffer; apart, so that only this call takes so much stack (22 KB). 5000:
 * the digits before the point of the largest one, 1.2e4932, and some. */
__attribute__((noinline)) static char *mlog__printf_long(char *p, char *end, const mlog__conv *c, const mlog__val *a, int prec,
                                                         uint64_t trail) {
    char buf[MLOG__PRINTF_LDIGITS + 5000];
    int n = mlog__printf_libc(buf, sizeof buf, c, prec, a);

    if (n < 0 || (size_t)n >= sizeof buf) return mlog__printf_put(p, end, "(?)", 3);
    return mlog__printf_body(p, end, c, buf, (size_t)n, trail);
}

/* Appends a double under %f by integer arithmetic, which takes a tenth of the time; NULL when that does not apply: more than
 * nine decimals (10^9 is what fits 32 bits), # (a point without decimals), or too large. */
static char *mlog__printf_fast(char *p, char *end, const mlog__conv *c, double v) {
    char buf[40], *e = buf + sizeof buf, *b;
    uint64_t bits;
    double mag;
    int neg;

    if ((c->conv != 'f' && c->conv != 'F') || c->prec > 9 || (c->flags & MLOG__FLAG_ALT)) return NULL;
    /* the sign bit also tells -0.0 */
    memcpy(&bits, &v, sizeof bits);
    neg = (int)(bits >> 63);
    bits &= UINT64_MAX >> 1;
    memcpy(&mag, &bits, sizeof mag);
    b = mlog__printf_fixed(e, mag, c->prec < 0 ? 6 : c->prec);
    if (!b) return NULL;
    if (neg || (c->flags & (MLOG__FLAG_PLUS | MLOG__FLAG_SPACE))) *--b = neg ? '-' : c->flags & MLOG__FLAG_PLUS ? '+' : ' ';
    /* without a width there is nothing to take apart */
    if (c->width <= 0) return mlog__printf_put(p, end, b, (size_t)(e - b));
    return mlog__printf_body(p, end, c, b, (size_t)(e - b), 0);
}

/* Appends a floating value under f F e E g G a A. libc gets only as many digits as can differ from 0, so that a huge precision
 * costs neither time nor space. The usual buffer takes any double: 309 digits before the point, 1100 behind. */
static char *mlog__printf_float(char *p, char *end, const mlog__conv *c, const mlog__val *a) {
    char buf[MLOG__PRINTF_DIGITS + 400], *q;
    int wide = a->kind == MLOG__K_LDOUBLE, cap = wide ? MLOG__PRINTF_LDIGITS : MLOG__PRINTF_DIGITS;
    /* negative: libc takes its default of 6 */
    int prec = c->prec < cap ? c->prec : cap, n;
    uint64_t trail = 0;

    /* a record's bytes may be cut or damaged: never read what is not there */
    if (wide && a->len < (__LDBL_MANT_DIG__ == 64 ? 10 : sizeof(long double))) return mlog__printf_put(p, end, "(?)", 3);
    if (!wide && (q = mlog__printf_fast(p, end, c, a->as.f)) != NULL) return q;
    /* %g drops trailing zeros unless # keeps them */
    if (c->prec > cap && ((c->conv != 'g' && c->conv != 'G') || (c->flags & MLOG__FLAG_ALT))) trail = (uint64_t)(c->prec - cap);
    n = mlog__printf_libc(buf, sizeof buf, c, prec, a);
    if (n >= 0 && (size_t)n < sizeof buf) return mlog__printf_body(p, end, c, buf, (size_t)n, trail);
    return mlog__printf_long(p, end, c, a, prec, trail);
}

/* The bits of an integer argument; a char goes through `char` again, to be promoted as the caller's call would: mlog_char keeps
 * 0 to 255, where char may be signed. */
static uint64_t mlog__printf_raw(const mlog__val *a) {
    return a->kind == MLOG_K_CHAR ? (uint64_t)(int64_t)(char)(unsigned char)a->as.u : a->as.u;
}

/* Makes c a conversion that suits the kind of the argument when the format asks for another: its own simplest one. So "%d" of a
 * text prints the text, and a wrong format costs a strange line, not a crash. */
static void mlog__printf_suit(mlog__conv *c, const mlog__val *a) {
    /* conversions that this kind can be printed with, whatever its size */
    const char *ok = "duoxXcp";
    char own = a->kind == MLOG_K_INT ? 'd' : a->kind == MLOG_K_CHAR ? 'c' : a->kind == MLOG_K_POINTER ? 'p' : 'u';

    if (a->kind == MLOG_K_FLOAT || a->kind == MLOG_K_DOUBLE || a->kind == MLOG__K_LDOUBLE) ok = "fFeEgGaA", own = 'g';
    else if (a->kind == MLOG_K_TEXT) ok = a->full == UINT32_MAX ? "scp" : "sc", own = 's';
    else if (a->kind == MLOG_K_NULL) ok = "sp", own = 's';
    /* a wide character arrives as text; a bare number that is not ASCII has no byte to print */
    if (strchr(ok, c->conv) && !(own != 's' && c->conv == 'c' && c->mod == MLOG__MOD_L && a->as.u > 0x7F)) return;
    c->conv = own;
    c->mod = own == 'p' || own == 'c' || own == 's' ? MLOG__MOD_NONE : MLOG__MOD_LL;
    c->prec = -1;
}

/* Appends argument a under conversion c, of which width and precision are plain numbers. c is the caller's copy: suit and null
 * change it. */
static char *mlog__printf_value(char *p, char *end, mlog__conv *c, const mlog__val *a) {
    char ch;

    mlog__printf_suit(c, a);
    switch (a->kind) {
    case MLOG_K_INT:
    case MLOG_K_UINT:
    case MLOG_K_BOOL:
    case MLOG_K_CHAR:
    case MLOG_K_POINTER:
        if (c->conv == 'c') {
            ch = (char)a->as.u;
            return mlog__printf_text(p, end, c, &ch, 1);
        }
        if (c->conv != 'p') return mlog__printf_int(p, end, c, mlog__printf_raw(a));
        /* a pointer has the width of size_t */
        c->mod = MLOG__MOD_Z;
        return a->as.u ? mlog__printf_int(p, end, c, a->as.u) : mlog__printf_null(p, end, c);
    case MLOG_K_FLOAT:
    case MLOG_K_DOUBLE:
    case MLOG__K_LDOUBLE:
        return mlog__printf_float(p, end, c, a);
    case MLOG_K_TEXT:
        if (a->full != UINT32_MAX) return mlog__printf_text(p, end, c, a->as.p, a->len);
        return mlog__printf_null(p, end, c);
    case MLOG_K_NULL:
        return mlog__printf_null(p, end, c);
    default:
        return mlog__printf_put(p, end, "(?)", 3);
    }
}

/* The int that argument k gives as a width or precision, `none` when it is missing or no integer. Cut down to int, as va_arg
 * would. */
static int mlog__printf_star(const mlog__val *args, int nargs, int32_t k, int none) {
    const mlog__val *a = k < nargs ? args + k : NULL;

    if (!a || (a->kind != MLOG_K_INT && a->kind != MLOG_K_UINT && a->kind != MLOG_K_BOOL && a->kind != MLOG_K_CHAR)) return none;
    return (int)(int64_t)mlog__printf_narrow(mlog__printf_raw(a), MLOG__MOD_NONE, 1);
}

/* Replaces a width and precision that come from arguments by their values; a negative width is the flag `-`, a negative
 * precision is none (C11 7.21.6.1, paragraph 5). */
static void mlog__printf_resolve(mlog__conv *c, const mlog__val *args, int nargs) {
    /* in this order: the index is coded in the very field that gets the value */
    if (c->prec < -1) c->prec = mlog__printf_star(args, nargs, MLOG__PREC_ARG(c->prec), -1);
    if (c->prec < 0) c->prec = -1;
    if (c->width >= -1) return;
    c->width = mlog__printf_star(args, nargs, MLOG__PREC_ARG(c->width), 0);
    if (c->width < 0) {
        /* -INT_MIN is no int */
        c->width = c->width == INT_MIN ? INT_MAX : -c->width;
        c->flags |= MLOG__FLAG_LEFT;
    }
}

/* Appends the commonest cases without flags, width and precision; returns NULL when it is none of them. Most conversions of
 * most programs end here. */
static char *mlog__printf_plain(char *p, char *end, const mlog__conv *c, const mlog__val *a) {
    char tmp[24], *e = tmp + sizeof tmp, *b;
    uint64_t v;

    if (a->kind == MLOG_K_TEXT && c->conv == 's' && a->full != UINT32_MAX) return mlog__printf_put(p, end, a->as.p, a->len);
    if (a->kind != MLOG_K_INT && a->kind != MLOG_K_UINT && a->kind != MLOG_K_POINTER) return NULL;
    v = a->as.u;
    switch (c->conv) {
    case 'd':
        v = mlog__printf_narrow(v, c->mod, 1);
        b = mlog__printf_dec(e, v >> 63 ? 0 - v : v);
        /* room for it: 19 digits of a negative number and a sign in 24 bytes */
        if (v >> 63) *--b = '-';
        break;
    case 'u':
        b = mlog__printf_dec(e, mlog__printf_narrow(v, c->mod, 0));
        break;
    case 'x':
        b = mlog__printf_radix(e, mlog__printf_narrow(v, c->mod, 0), 4, 'x');
        break;
    default:
        return NULL;
    }
    return mlog__printf_put(p, end, b, (size_t)(e - b));
}

/* Appends one conversion of the table. An argument that the record does not have is said to be missing: a call of another
 * version, or a full dictionary, may bring fewer. */
static char *mlog__printf_conv(char *p, char *end, const mlog__printf *f, const mlog__conv *c, const mlog__val *args, int nargs) {
    int i = c->conv == 'm' ? f->nargs : c->arg;
    mlog__conv r;
    char *q;

    if (c->conv == '%') return mlog__printf_put(p, end, "%", 1);
    /* -1 cannot come here: %% was handled, and other entries have an argument */
    if (i >= nargs || (c->conv == 'm' && args[i].kind != MLOG_K_INT)) return mlog__printf_put(p, end, "(missing)", 9);
    if (c->plain && (q = mlog__printf_plain(p, end, c, &args[i])) != NULL) return q;
    r = *c;
    mlog__printf_resolve(&r, args, nargs);
    if (c->conv == 'm') return mlog__printf_errno(p, end, &r, (int)args[i].as.i);
    return mlog__printf_value(p, end, &r, &args[i]);
}

/* Renders a scanned format into [p, end), no byte beyond; returns the end of what was written, `end` when it was cut. `fmt` is
 * the text that was scanned, and the C locale is in force. By the flusher only. */
static char *mlog__printf_render(char *p, char *end, const mlog__printf *f, const char *fmt, const mlog__val *args, int nargs) {
    size_t at = 0;
    int i;

    for (i = 0; i < f->nconv && p < end; i++) {
        const mlog__conv *c = &f->conv[i];

        p = mlog__printf_put(p, end, fmt + at, c->off - at);
        p = mlog__printf_conv(p, end, f, c, args, nargs);
        at = c->off + c->len;
    }
    return i == f->nconv ? mlog__printf_put(p, end, fmt + at, f->len - at) : p;
}


/* ==== record ====
 * The one encoding: the bytes in a ring, in the binary file, and after a crash. Nothing in it is an address; lengths come before
 * bytes, and every length is checked again when it is read: what lies in a ring may have been torn by a crash.
 *
 *   RECORD  8-aligned, native byte order, everything in 64-bit words:
 *           header  {site:32 | length in words:20 | flags:12}
 *           time    ticks, or 0 (stamped on arrival)
 *           [context id] [bound context id] [level:32 | logger entry:32] [given UTC ns] [tid]      each only with its flag
 *           one slot per argument, in order
 *           payloads of the slots that have one, in order, each with at least one NUL, padded to 8
 *           [run-time fields: {of contexts:16 | bound:16 | all:32}, then fields, in this order]     with MLOG__F_FIELDS
 *   SLOT    a number as it is (float and double as their bits); text {length:32 | original length:32}; a value of a maker
 *           {kind:8 | element:8} with a payload of one more slot word and its bytes
 *   FIELD   {kind:8 | element:8 | key length:16}, key, slot word, payload
 *
 *   mlog_info("order accepted", "symbol", "ACME", "qty", 7) is five words, 40 bytes:
 *           +0 {site 8 | 5 words | no flags}     +8 ticks     +16 {4 | 4}     +24 7     +32 "ACME" and four NULs
 *
 * Why words: the header is one store, aligned words never tear, and a slot is where the fast path puts a register without a
 * look at its type. Why 20 bits of length: 8 MiB, a quarter of the largest ring. Why a NUL behind each payload: sinks hand out
 * C strings that point into the record. Why two lengths of a text: what was cut is seen.
 *
 * Values of a call are memory of the caller, which another thread may change meanwhile. So each is measured once, and what was
 * measured is handed on with it (mlog__sized): no copy is longer than the room that was reserved for it. JSON is checked in the
 * copy, where nobody changes it any more.
 *
 * Sites below MLOG__FIRST_SITE are not in the dictionary: padding, notes of the ring itself, and records that carry all they
 * need.
 *
 * owns: sizes and layout, encoding of values
 * may call: platform text
 */

/* Flags of the header; each but FIELDS announces one optional word, in this order. */
#define MLOG__F_CONTEXT (UINT64_C(1) << 52)
#define MLOG__F_BOUND (UINT64_C(1) << 53)
#define MLOG__F_TO (UINT64_C(1) << 54)
#define MLOG__F_TIME (UINT64_C(1) << 55)
#define MLOG__F_TID (UINT64_C(1) << 56)
#define MLOG__F_FIELDS (UINT64_C(1) << 57)
#define MLOG__F_CARE (UINT64_C(1) << 63) /* in a gate only: not the fast path */

/* PAD: to the end of the lap. LOSS: {level:8 | count:56} a word. EMIT, PRINTF: message, file, function, source and line as
 * slots. */
enum { MLOG__S_PAD, MLOG__S_LOSS, MLOG__S_EMIT, MLOG__S_PRINTF, MLOG__FIRST_SITE = 8 };
static inline uint32_t mlog__record_site(uint64_t header) { return (uint32_t)header; }
/* words * 8: shifted down by 29 instead of 32, with the three low bits masked */
static inline uint64_t mlog__record_bytes(uint64_t header) { return (header >> 29) & 0x7FFFF8; }
static inline uint64_t mlog__record_header(uint32_t site, uint64_t words, uint64_t flags) { return site | words << 32 | flags; }
static inline uint64_t mlog__record_text_slot(uint64_t len, uint64_t full) { return len | full << 32; }
static inline uint64_t mlog__record_padded(uint64_t n) { return (n + 8) & ~UINT64_C(7); } /* with at least one NUL */

/* Words between the time and the slots. */
static uint32_t mlog__record_options(uint64_t flags) {
    return (uint32_t)__builtin_popcountll(flags & (MLOG__F_CONTEXT | MLOG__F_BOUND | MLOG__F_TO | MLOG__F_TIME | MLOG__F_TID));
}

/* Kinds whose slot is a length and whose bytes lie in the payload. */
static bool mlog__record_has_bytes(uint32_t kind) {
    return kind == MLOG_K_TEXT || kind == MLOG_K_BYTES || kind == MLOG_K_JSON || kind == MLOG_K_ARRAY || kind == MLOG_K_OBJECT ||
           kind == MLOG__K_LDOUBLE;
}

/* by MLOG__E_*; 0: texts, which have no fixed size, and what is no element type */
static const uint8_t mlog__record_element_size[16] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 1, 4, 8, 0, 0, 0, 0};

/* Payload bytes of an array, unpadded: elements as they are; texts as {length:32 | original:32} and padded bytes, one after
 * another. *count: how many elements fit `limit`; only whole ones count, a text never in part. */
static uint64_t mlog__record_array_bytes(const mlog_value *v, uint64_t limit, uint32_t *count) {
    uint32_t elem = (v->kind >> 8) & 15, size = mlog__record_element_size[elem], n = v->as.p == NULL ? 0 : v->size;
    if (elem != MLOG__E_TEXT) {
        if (size == 0) n = 0;
        if (size != 0 && n > limit / size) n = (uint32_t)(limit / size);
        *count = n;
        return (uint64_t)n * size;
    }
    uint64_t total = 0;
    const char *const *texts = (const char *const *)v->as.p;
    uint32_t i = 0;
    for (; i < n; i++) {
        /* NULL stays NULL: a word, no bytes */
        uint64_t one = 8 + (texts[i] == NULL ? 0 : mlog__record_padded(strlen(texts[i])));
        if (total + one > limit) break;
        total += one;
    }
    *count = i;
    return total;
}

/* Bytes kept of a value: at most `limit`, a text cut before a character that does not fit. 0: it has no payload, or an empty
 * one. */
static uint64_t mlog__record_kept(const mlog_value *v, uint64_t limit) {
    uint32_t kind = v->kind & 255, n;
    if (!mlog__record_has_bytes(kind) || v->as.p == NULL) return 0;
    if (kind == MLOG_K_ARRAY) return mlog__record_array_bytes(v, limit, &n);
    if (v->size <= limit || kind == MLOG__K_LDOUBLE) return v->size;
    return kind == MLOG_K_BYTES ? limit : mlog__text_utf8_cut((const char *)v->as.p, (size_t)limit);
}

/* Room that a value takes behind its slot, when `kept` bytes of it are kept. */
static uint64_t mlog__record_payload(const mlog_value *v, uint64_t kept) {
    return mlog__record_has_bytes(v->kind & 255) && v->as.p != NULL ? mlog__record_padded(kept) : 0;
}

/* The texts of an array, at most up to `end`, which was measured: each is bounded by what is left, whatever another thread makes
 * of them meanwhile. What is no longer there reads as zeros. */
static void mlog__record_put_texts(unsigned char *at, const unsigned char *end, const mlog_value *v) {
    const char *const *texts = (const char *const *)v->as.p;
    for (uint32_t i = 0; i < v->size && end - at >= 8; i++) {
        const char *text = texts[i];
        uint64_t left = (uint64_t)(end - at) - 8, n = text == NULL || left == 0 ? 0 : strnlen(text, (size_t)left - 1);
        uint64_t slot = mlog__record_text_slot(n, text == NULL ? MLOG__NULL_TEXT : n);
        if (text != NULL && left == 0) break;
        memcpy(at, &slot, 8);
        at += 8;
        if (text == NULL) continue;
        /* the last word first: its bytes behind the text are then the NUL and the padding */
        memset(at + mlog__record_padded(n) - 8, 0, 8);
        memcpy(at, text, (size_t)n);
        at += mlog__record_padded(n);
    }
    memset(at, 0, (size_t)(end - at));
}

/* Copies `kept` bytes of a value, and what pads them: no byte is left as it was, old records must not show in a file. What is no
 * JSON, or not all of it, becomes text. */
static void mlog__record_copy(unsigned char *to, mlog_value *v, uint64_t kept) {
    uint32_t kind = v->kind & 255;
    memset(to + mlog__record_padded(kept) - 8, 0, 8);
    if (kind == MLOG_K_ARRAY && ((v->kind >> 8) & 15) == MLOG__E_TEXT) mlog__record_put_texts(to, to + kept, v);
    else memcpy(to, v->as.p, (size_t)kept);
#if __LDBL_MANT_DIG__ == 64 /* x87: 10 bytes carry the value, the rest is whatever the caller's stack held */
    if (kind == MLOG__K_LDOUBLE) memset(to + 10, 0, sizeof(long double) - 10);
#endif
    if (kind == MLOG_K_JSON && (kept != v->size || !mlog__text_json_valid((const char *)to, (size_t)kept)))
        v->kind = MLOG_K_TEXT | (v->kind & ~255u);
}

/* Writes at *payload the `kept` bytes of v, and returns its slot word; *payload advances by mlog__record_payload(v, kept). The
 * kind is known behind this: see mlog__record_copy. */
static uint64_t mlog__record_put(mlog_value *v, unsigned char **payload, uint64_t kept) {
    uint32_t kind = v->kind & 255;
    if (kind == MLOG_K_FLOAT) {
        float f = (float)v->as.f;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        return bits;
    }
    if (!mlog__record_has_bytes(kind)) return v->as.u;
    if (v->as.p == NULL) return mlog__record_text_slot(0, MLOG__NULL_TEXT);
    mlog__record_copy(*payload, v, kept);
    *payload += mlog__record_padded(kept);
    /* of an array the number of elements, so that a reader can say how many are missing; a size of 2^32 - 1 is no NULL */
    uint64_t full = kind == MLOG_K_ARRAY ? v->size : MLOG__MAX(kept, (uint64_t)v->size);
    return mlog__record_text_slot(kept, MLOG__MIN(full, (uint64_t)MLOG__NULL_TEXT - 1));
}

/* Before anything is measured: what the length and the bytes mean depends on the kind. Unknown kinds and arrays of unknown
 * elements become null; bits that mean nothing go. */
static mlog_value mlog__record_clean(const mlog_value *v) {
    mlog_value r = *v;
    uint32_t kind = v->kind & 255, elem = (v->kind >> 8) & 255;
    r.kind = kind;
    if (MLOG__LIKELY(kind < MLOG_K_ARRAY)) return r;
    if (kind == MLOG_K_ARRAY && elem >= MLOG__E_I8 && elem <= MLOG__E_TEXT) r.kind |= elem << 8;
    else if (kind > MLOG_K_OBJECT || kind == MLOG_K_ARRAY) r.kind = MLOG_K_NULL;
    return r;
}

static size_t mlog__record_key_bytes(const char *key) { /* a long key is cut, its value is not lost */
    size_t n = key == NULL ? 0 : strlen(key);
    return n > 255 ? mlog__text_utf8_cut(key, 255) : n;
}

/* What was measured of a field: bytes of its key, and bytes kept of its value. */
typedef struct { uint32_t key, kept; } mlog__sized;

/* Measures a field; returns the bytes that it takes. */
static uint64_t mlog__record_measure(mlog__sized *m, const char *key, const mlog_value *v, uint64_t limit) {
    m->key = (uint32_t)mlog__record_key_bytes(key);
    m->kept = (uint32_t)mlog__record_kept(v, limit);
    return 8 + mlog__record_padded(m->key) + 8 + mlog__record_payload(v, m->kept);
}

/* One field, as it was measured, at `at`; returns the end. */
static unsigned char *mlog__record_put_field(unsigned char *at, const char *key, const mlog_value *value, const mlog__sized *m) {
    mlog_value v = *value;
    unsigned char *slot = at + 8 + mlog__record_padded(m->key), *payload = slot + 8;
    memset(slot - 8, 0, 8);
    memcpy(at + 8, key == NULL ? "" : key, m->key);
    uint64_t word = mlog__record_put(&v, &payload, m->kept), head = (v.kind & 0xFFFF) | (uint64_t)m->key << 16;
    memcpy(slot, &word, 8);
    memcpy(at, &head, 8);
    return payload;
}

/* Reads a slot word and its payload (at *p, not beyond end) into a value; *p moves behind the payload. False when the bytes are
 * not sound. Numbers first: most values are, and they need no look at the rest. By flusher and recovery: `out` points into the
 * record. */
static bool mlog__record_get(mlog__val *out, uint32_t kind, uint32_t elem, uint64_t word, const unsigned char **p,
                             const unsigned char *end) {
    out->kind = (uint8_t)kind;
    out->elem = (uint8_t)(elem & 15);
    out->len = out->full = 0;
    out->as.u = word;
    if (MLOG__LIKELY(kind == MLOG_K_INT || kind == MLOG_K_UINT || kind == MLOG_K_DOUBLE)) return true;
    if (kind == MLOG_K_FLOAT) {
        uint32_t bits = (uint32_t)word;
        float f;
        memcpy(&f, &bits, 4);
        out->as.f = (double)f;
    }
    if (!mlog__record_has_bytes(kind)) return true;
    out->len = (uint32_t)word;
    out->full = (uint32_t)(word >> 32);
    out->as.p = (const char *)*p;
    if (out->full == MLOG__NULL_TEXT) {
        out->kind = kind == MLOG__K_LDOUBLE ? MLOG_K_NULL : kind == MLOG_K_TEXT ? MLOG_K_TEXT : MLOG_K_NULL;
        out->as.p = "";
        out->len = 0;
        return true;
    }
    /* a length of 2^32 - 1 is padded in 64 bits: no wrap */
    if (mlog__record_padded(out->len) > (uint64_t)(end - *p)) return false;
    *p += mlog__record_padded(out->len);
    return true;
}

/* Reads one field; *p advances behind it. The key is NUL-terminated in place, which is checked: readers hand it out as a C
 * string. 24: the least field, head, an empty key's padding, and a slot word. */
static bool mlog__record_get_field(const unsigned char **p, const unsigned char *end, const char **key, uint32_t *key_len,
                                   mlog__val *out) {
    uint64_t head, word;
    if (end - *p < 24) return false;
    memcpy(&head, *p, 8);
    uint64_t n = (head >> 16) & 0xFFFF, room = mlog__record_padded(n);
    if ((uint64_t)(end - *p) < 16 + room || (*p)[8 + n] != 0) return false;
    *key = (const char *)*p + 8;
    *key_len = (uint32_t)n;
    memcpy(&word, *p + 8 + room, 8);
    *p += 16 + room;
    return mlog__record_get(out, (uint32_t)head & 255, (uint32_t)(head >> 8) & 255, word, p, end);
}

/* ==== dict ====
 * What a record's numbers mean: one append-only area of deep copies, so that nothing depends on the process's addresses. An
 * entry's number is its offset / 8. Space is taken by compare-and-swap on the end: no lock, also in a handler.
 *
 *   SESSION  magic, version, byte order, word size, clock mode, id and boot (who wrote this, on which kernel)
 *            dict_end | clock: the pairs | promise[16]: of the sinks, see store | context[16384]: slots of 1 KiB
 *            dict: 16 MiB of entries | move[16][8192]: of the promises
 *   ENTRY    state, sizes, type, level, kinds of the arguments, rules for texts | message, file, function, source, each key: each
 *            with its NUL
 *
 * The invariant: an entry whose state is 1 is complete and never changes; a number below dict_end stays good for ever. So a
 * reader takes pointers into it without a lock, and a cache by number needs no invalidation. Nothing is freed: a site is
 * registered once, and what may come without end (run-time formats, mlog_emit) is not put here but into its records. 16 MiB at
 * some 200 bytes are 80,000 sites; of the mapping only the touched pages are memory. A full area costs no record: each then
 * carries its definition (mlog__thread_finish_whole).
 *
 * owns: the dictionary and the session that holds it
 * may call: platform record text
 */

/* types of entries: what a call site says, and the name of a logger */
enum { MLOG__D_SITE = 1, MLOG__D_LOGGER = 2 };
enum { MLOG__D_ERRNO = 1 }; /* flags: the format has a %m, errno is an extra last argument */
/* how an argument is taken, where its class does not tell: a text up to its precision, wide ones as UTF-8, the address of a
 * char *, the errno of the call, and what is never copied */
enum { MLOG__H_PLAIN, MLOG__H_TEXT, MLOG__H_WTEXT, MLOG__H_WCHAR, MLOG__H_POINTER, MLOG__H_ERRNO, MLOG__H_SECRET };

/* One entry; texts behind it in this order, each NUL-terminated: message, file, function, source, keys (one after another). */
typedef struct {
    uint32_t state, bytes; /* state: 1 when complete, stored last */
    /* lengths without NUL; the keys' contains those between them */
    uint32_t line, msg_len, keys_len;
    uint16_t file_len, func_len, source_len;
    /* style: of the site. count: arguments, with the errno of a %m */
    uint8_t type, level, count, style, flags, pad[3];
    /* of each argument; how: MLOG__H_*; prec: of a text, as in mlog__want */
    uint8_t kind[20], how[20];
    int32_t prec[20];
} mlog__entry;

/* A context as records refer to it: its number, its parent's, its encoded fields. Written by `context`, read by the flusher. */
typedef struct { uint64_t id, parent; uint32_t bytes, count; unsigned char fields[MLOG__CONTEXT_BYTES - 24]; } mlog__context_slot;

/* What a sink is about to write, and how far each ring is read then: see store. */
typedef struct { uint64_t ring, pos; } mlog__move;
typedef struct {
    uint64_t key, shared;        /* key: whose, by path; 0: nobody's. shared: others write to the file, too */
    mlog__u64 armed, done;       /* numbers of batches */
    uint64_t seq, dev, ino, off, len, sum, moves, check; /* the batch; check: over these and the moves */
} mlog__promise;

/* The shared header of a process: what recovery needs beside the rings. */
typedef struct {
    char magic[8];
    uint32_t version, byte_order, word_size, clock_mode;
    uint64_t owner;          /* process id, as a hint: see mlog__recover_lock */
    /* id: 64 random bits, drawn anew in a child; the first half of every record's id */
    uint64_t id, boot[2];
    /* bytes taken of dict; on a line of its own, since every registration writes it */
    mlog__u64 dict_end __attribute__((aligned(64)));
    mlog__u64 contexts;      /* slots [0, contexts) may have been used: the others are not touched, or they would become memory */
    mlog__clock_table clock __attribute__((aligned(64)));
    mlog__promise promise[MLOG__SINKS] __attribute__((aligned(64)));
    mlog__context_slot context[MLOG__CONTEXTS] __attribute__((aligned(64)));
    unsigned char dict[MLOG__DICT_BYTES] __attribute__((aligned(64)));
    mlog__move move[MLOG__SINKS][MLOG__RINGS] __attribute__((aligned(64)));
} mlog__session;

static mlog__session *mlog__dict_session; /* set once; a child puts its own copy at the same address */

/* The session, made on first use; NULL when there is no memory. Two threads may make one at the same time: the loser gives its
 * own back. Legal in a handler: mmap and a compare-and-swap. */
static mlog__session *mlog__dict_open(void) {
    mlog__session *s = __atomic_load_n(&mlog__dict_session, __ATOMIC_ACQUIRE); /* DICT-1 with the store below */
    if (MLOG__LIKELY(s != NULL)) return s;
    s = mlog__platform_map(sizeof *s, true, false);
    if (s == NULL) return NULL;
    memcpy(s->magic, "metalog", 8);
    s->version = 1;
    /* a reader on another machine sees 0x04030201 and refuses, instead of reading nonsense */
    s->byte_order = 0x01020304;
    s->word_size = (uint32_t)sizeof(void *);
    mlog__platform_random(&s->id, sizeof s->id);
    /* numbers below are not entries */
    s->dict_end = MLOG__FIRST_SITE * 8;
    mlog__session *first = NULL;
    if (__atomic_compare_exchange_n(&mlog__dict_session, &first, s, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) /* DICT-1 */
        return s;
    mlog__platform_unmap(s, sizeof *s);
    return first;
}

/* Of a session that lies in a file, blocks are reserved by the piece: most programs need a hundredth of it. */
enum { MLOG__PIECE = 64 << 10 };
static struct {
    uint32_t filed, contexts; /* contexts: slots [0, contexts) are reserved */
    uint8_t reserved[sizeof(mlog__session) / MLOG__PIECE + 2];
} mlog__dict_place;

/* [s] Makes sure that bytes of the session may be written. False: the file system is full. */
static bool mlog__dict_reserve(const void *p, size_t n) {
    if (!__atomic_load_n(&mlog__dict_place.filed, __ATOMIC_ACQUIRE)) return true; /* DICT-4 */
    size_t at = (size_t)((const char *)p - (const char *)mlog__dict_session), last = (at + n - 1) / MLOG__PIECE;
    for (size_t i = at / MLOG__PIECE; i <= last; i++) {
        if (__atomic_load_n(&mlog__dict_place.reserved[i], __ATOMIC_RELAXED)) continue; /* DICT-4 */
        size_t piece = MLOG__MIN((size_t)MLOG__PIECE, sizeof(mlog__session) - i * MLOG__PIECE);
        if (!mlog__platform_reserve((char *)mlog__dict_session + i * MLOG__PIECE, piece)) return false;
        __atomic_store_n(&mlog__dict_place.reserved[i], 1, __ATOMIC_RELAXED); /* DICT-4 */
    }
    return true;
}

/* [s] The slot of a context is used for the first time. */
static void mlog__dict_note_context(uint32_t i) {
    mlog__session *s = __atomic_load_n(&mlog__dict_session, __ATOMIC_ACQUIRE); /* DICT-1 */
    uint64_t before = s == NULL ? UINT64_MAX : __atomic_load_n(&s->contexts, __ATOMIC_RELAXED); /* DICT-3 */
    while (before <= i && !__atomic_compare_exchange_n(&s->contexts, &before, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} /* DICT-3 */
}

/* [s] How many slots of contexts may be used now. Calls take them, and make no system call: the flusher reserves them ahead. */
static uint32_t mlog__dict_contexts(void) {
    if (!__atomic_load_n(&mlog__dict_place.filed, __ATOMIC_ACQUIRE)) return MLOG__CONTEXTS; /* DICT-4 */
    return __atomic_load_n(&mlog__dict_place.contexts, __ATOMIC_RELAXED); /* DICT-4 */
}

/* Twice as many as are used, at least MLOG__CONTEXTS_AHEAD; what cannot be reserved is not used. */
enum { MLOG__CONTEXTS_AHEAD = 1024 };
static void mlog__dict_reserve_contexts(uint32_t used) {
    uint32_t have = mlog__dict_contexts(), want = MLOG__MAX(2 * used, (uint32_t)MLOG__CONTEXTS_AHEAD);
    if (mlog__dict_session == NULL || want <= have || have == MLOG__CONTEXTS) return;
    want = MLOG__MIN(want, (uint32_t)MLOG__CONTEXTS);
    if (!mlog__dict_reserve(&mlog__dict_session->context[have], (size_t)(want - have) * MLOG__CONTEXT_BYTES)) return;
    __atomic_store_n(&mlog__dict_place.contexts, want, __ATOMIC_RELAXED); /* DICT-4 */
}

/* Marks what a fresh file has: everything, or its first bytes; then reserves what `from` uses. False: full. */
static bool mlog__dict_prepare(mlog__session *fresh, const mlog__session *from, bool whole) {
    const size_t context = offsetof(mlog__session, context), dict = offsetof(mlog__session, dict);
    size_t end = dict + (size_t)MLOG__MIN(from->dict_end, (uint64_t)MLOG__DICT_BYTES), contexts = context + (size_t)from->contexts * MLOG__CONTEXT_BYTES;
    memset(mlog__dict_place.reserved, whole, sizeof mlog__dict_place.reserved);
    for (size_t i = 0; i < sizeof *fresh / MLOG__PIECE && !whole; i++) {
        size_t at = i * MLOG__PIECE, next = at + MLOG__PIECE;
        bool used = at < contexts || (next > dict && at < end);
        if (used && !mlog__platform_reserve((char *)fresh + at, MLOG__PIECE)) return false;
        mlog__dict_place.reserved[i] = used;
    }
    return true;
}

/* What `from` knows goes to `to`, whose promises stay empty. */
static void mlog__dict_copy_all(mlog__session *to, const mlog__session *from, uint64_t end) {
    memcpy(to, from, offsetof(mlog__session, dict_end));
    to->clock = from->clock;
    to->contexts = MLOG__MIN(from->contexts, (uint64_t)MLOG__CONTEXTS);
    memcpy(to->context, from->context, (size_t)to->contexts * MLOG__CONTEXT_BYTES);
    memcpy(to->dict, from->dict, (size_t)MLOG__MIN(end, (uint64_t)MLOG__DICT_BYTES));
    to->dict_end = end;
}

/* What other threads stored into the old pages after they were copied: each byte that differs from the copy is carried over. What
 * they store from now on goes to the new pages, and no byte is stored twice: entries and slots are written once. */
static void mlog__dict_carry(void *to, const void *then, const void *old, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (((const char *)old)[i] != ((const char *)then)[i]) ((char *)to)[i] = ((const char *)old)[i];
}

/* Moves the session into `fresh`, a mapping of a file, at its old address, while other threads log; the flusher is away. A dictionary
 * that looks full makes those who register meanwhile put their definitions into their records. False: nothing has changed. */
static bool mlog__dict_move(mlog__session *fresh, bool whole) {
    mlog__session *s = mlog__dict_session, *then = mlog__platform_map(sizeof *s, true, false),
                  *old = mlog__platform_alias(s, sizeof *s);
    if (then == NULL) return false;
    uint64_t end = __atomic_exchange_n(&s->dict_end, MLOG__DICT_BYTES, __ATOMIC_ACQ_REL); /* DICT-4 */
    mlog__dict_copy_all(then, s, end);
    bool moved = mlog__dict_prepare(fresh, then, whole);
    if (moved) {
        mlog__dict_copy_all(fresh, then, end);
        fresh->dict_end = MLOG__DICT_BYTES;
        moved = mlog__platform_replace(fresh, sizeof *fresh, s);
    }
    if (moved && old != NULL) {
        mlog__dict_carry(s->context, then->context, old->context, (size_t)then->contexts * MLOG__CONTEXT_BYTES);
        mlog__dict_carry(s->dict, then->dict, old->dict, (size_t)end);
    }
    __atomic_store_n(&s->dict_end, end, __ATOMIC_RELEASE); /* DICT-4 */
    __atomic_store_n(&mlog__dict_place.contexts, moved ? (uint32_t)then->contexts : 0, __ATOMIC_RELAXED); /* DICT-4 */
    __atomic_store_n(&mlog__dict_place.filed, moved, __ATOMIC_RELEASE); /* DICT-4 */
    if (moved) mlog__dict_reserve_contexts((uint32_t)then->contexts);
    mlog__platform_unmap(then, sizeof *then);
    if (old != NULL) mlog__platform_unmap(old, sizeof *old);
    return moved;
}

/* In a child: a private copy of the dictionary takes the place of the mapping that it shares with its parent, so that site
 * numbers and pointers stay good. Contexts are published anew by their users: copying 8 MiB of slots would cost every child a
 * millisecond. False: no memory, this child cannot log. The parent writes on meanwhile; entries behind `end` are not ours, one
 * before it may be half done, and nobody here knows its number. */
static bool mlog__dict_adopt(void) {
    mlog__session *old = mlog__dict_session;
    if (old == NULL) return true;
    mlog__session *s = mlog__platform_map(sizeof *s, true, false);
    if (s == NULL) return false;
    uint64_t end = __atomic_load_n(&old->dict_end, __ATOMIC_RELAXED); /* DICT-3: whole entries say so themselves, DICT-2 */
    memcpy(s, old, offsetof(mlog__session, dict_end));
    s->dict_end = end;
    s->contexts = old->contexts; /* they are published anew */
    s->clock = old->clock;
    memcpy(s->dict, old->dict, (size_t)MLOG__MIN(end, (uint64_t)MLOG__DICT_BYTES));
    mlog__platform_random(&s->id, sizeof s->id);
    mlog__dict_place.filed = 0;
    return mlog__platform_replace(s, sizeof *s, old);
}

/* A complete entry by number, or NULL. Numbers come from records, so they are hostile: bounded here. One may arrive before its
 * entry is visible: the wait is for stores in flight, a microsecond at most. An entry whose thread died in the middle stays
 * NULL. */
static const mlog__entry *mlog__dict_find(const mlog__session *s, uint32_t number) {
    uint64_t at = (uint64_t)number * 8;
    if (s == NULL || number < MLOG__FIRST_SITE || at + sizeof(mlog__entry) > MLOG__DICT_BYTES) return NULL;
    const mlog__entry *e = (const mlog__entry *)(const void *)(s->dict + at);
    for (int i = 0; i < 1000; i++)
        if (__atomic_load_n(&e->state, __ATOMIC_ACQUIRE) == 1) return e; /* DICT-2 with mlog__dict_add */
    return NULL;
}

static const mlog__entry *mlog__dict_entry(uint32_t number) { return mlog__dict_find(mlog__dict_session, number); }

/* NUL-terminated, so that a reader may hand out pointers into the dictionary. */
static char *mlog__dict_copy(char *at, const char *text, size_t n) {
    memcpy(at, text, n);
    at[n] = 0;
    return at + n + 1;
}

/* The texts of an entry, one behind another: nobody stores offsets that could disagree with the lengths. */
static const char *mlog__dict_msg(const mlog__entry *e) { return (const char *)(e + 1); }
static const char *mlog__dict_file(const mlog__entry *e) { return mlog__dict_msg(e) + e->msg_len + 1; }
static const char *mlog__dict_func(const mlog__entry *e) { return mlog__dict_file(e) + e->file_len + 1; }
static const char *mlog__dict_source(const mlog__entry *e) { return mlog__dict_func(e) + e->func_len + 1; }
static const char *mlog__dict_keys(const mlog__entry *e) { return mlog__dict_source(e) + e->source_len + 1; }

/* Is an entry of a session that is not ours what it says? All its texts end where their lengths say, inside of it. */
static bool mlog__dict_sound(const mlog__session *s, const mlog__entry *e) {
    size_t left = MLOG__DICT_BYTES - (size_t)((const unsigned char *)e - s->dict);
    size_t need = sizeof *e + (size_t)e->msg_len + e->file_len + e->func_len + e->source_len + e->keys_len + 5;
    if (e->bytes > left || need > e->bytes || e->count > sizeof e->kind || (e->type != MLOG__D_SITE && e->type != MLOG__D_LOGGER))
        return false;
    const char *end[5] = {mlog__dict_msg(e) + e->msg_len, mlog__dict_file(e) + e->file_len, mlog__dict_func(e) + e->func_len,
                          mlog__dict_source(e) + e->source_len, mlog__dict_keys(e) + e->keys_len};
    for (int i = 0; i < 5; i++)
        if (*end[i] != 0) return false;
    return true;
}

/* Appends an entry; the lengths in `head` say how much of each text is taken. 0 when the area is full (or there is no memory).
 * Legal in a handler, also on top of itself: each taker has its own bytes from the compare-and-swap on. */
static uint32_t mlog__dict_add(const mlog__entry *head, const char *msg, const char *file, const char *func, const char *source,
                               const char *keys) {
    mlog__session *s = mlog__dict_open();
    if (s == NULL) return 0;
    uint64_t bytes = sizeof *head + head->msg_len + head->file_len + head->func_len + head->source_len + head->keys_len + 5;
    bytes = (bytes + 7) & ~UINT64_C(7);
    uint64_t at = __atomic_load_n(&s->dict_end, __ATOMIC_RELAXED); /* DICT-3 */
    do {
        /* the end never passes the area, so the difference does not wrap; a smaller entry may still find room */
        if (bytes > MLOG__DICT_BYTES - at) return 0;
    } while (!__atomic_compare_exchange_n(&s->dict_end, &at, at + bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); /* DICT-3 */
    mlog__entry *e = (mlog__entry *)(void *)(s->dict + at);
    if (!mlog__dict_reserve(e, (size_t)bytes)) return 0; /* the place stays empty */
    /* state is 0 in `head`: the entry stays invisible until all of it is there */
    *e = *head;
    e->bytes = (uint32_t)bytes;
    char *p = mlog__dict_copy((char *)(e + 1), msg, head->msg_len);
    p = mlog__dict_copy(p, file, head->file_len);
    p = mlog__dict_copy(p, func, head->func_len);
    p = mlog__dict_copy(p, source, head->source_len);
    mlog__dict_copy(p, keys, head->keys_len);
    __atomic_store_n(&e->state, 1, __ATOMIC_RELEASE); /* DICT-2: pairs with mlog__dict_entry */
    return (uint32_t)(at / 8);
}

/* ==== store ====
 * Where what shall survive the process lies: its session and its rings as files in a directory of ours. The kernel keeps the pages of
 * a process that was killed, whatever killed it; the next program with the same sinks reads them (see recover).
 *
 *   DIR   /dev/shm/metalog-<uid>, or ring_dir: mode 0700, ours        <id>.session      <id>.<number>.ring        mode 0600
 *
 * Who is alive: a session's file is locked (flock) through a mapping of its first page that no child inherits. The lock lives as long
 * as the address space: no close-everything of a daemon ends it, SIGKILL does. (POSIX locks fall with any close, and a pid is soon
 * somebody else's.) A file is locked before it has a size, so that nobody takes one in the making for a dead one; who finds that it
 * was removed meanwhile does as where the place refuses.
 *
 * A promise, per sink: what a batch will be, written down before it is, so that it is written exactly once, whoever writes it.
 *   1 intent: sequence number, file, offset, length, sum, and how far each ring is read behind it     2 armed = number
 *   3 the bytes                        4 done = number: the commit                       5 cur of each ring = what the intent says
 * Killed before 2: nothing happened. Before 4: the file tells whether the bytes are there. Before the end of 5: it is done again. All
 * are plain stores of one thread to pages that outlive it, so what comes later was stored later.
 *
 * owns: the directory, names, locks and mappings of the files, the steps of a promise
 * may call: platform text dict
 */

static struct {
    uint32_t on;        /* rings are files */
    char dir[256];
    void *lock;         /* the mapping that holds the lock */
    uint32_t refused;   /* a ring that should have been a file is none: for a warning */
} mlog__store;

enum { MLOG__STORE_PATH = 256 + 64 };

/* [s] The path of a session's file, or of one of its rings. */
static void mlog__store_path(char path[MLOG__STORE_PATH], uint64_t id, bool ring, uint32_t number) {
    size_t n = strlen(mlog__store.dir);
    memcpy(path, mlog__store.dir, n);
    char *p = path + n;
    *p++ = '/';
    p = mlog__text_hex(p, id);
    *p++ = '.';
    if (ring) p = mlog__text_u64(p, number), *p++ = '.';
    memcpy(p, ring ? "ring" : "session", ring ? 5 : 8);
}

/* [s] Makes a file of `size` bytes, which have their blocks, and maps it. NULL: errno says why. */
static void *mlog__store_map(const char *path, size_t size, bool touch) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    void *p = MAP_FAILED;
    if (fd < 0) return NULL;
    if (fchmod(fd, 0600) == 0 && ftruncate(fd, (off_t)size) == 0 && fallocate(fd, 0, 0, (off_t)size) == 0) /* whatever the umask */
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (touch ? MAP_POPULATE : 0), fd, 0);
    int error = errno;
    if (p == MAP_FAILED) (void)unlink(path);
    close(fd);
    errno = error;
    return p == MAP_FAILED ? NULL : p;
}

/* [s] Locks a file that is there. NULL: it is another's, or it was removed meanwhile. */
static void *mlog__store_lock(const char *path) {
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    void *p = MAP_FAILED;
    if (fd < 0) return NULL;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1)
        p = mmap(NULL, MLOG__PAGE, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return NULL;
    mlog__platform_keep_from_child(p, MLOG__PAGE);
    return p;
}

#ifndef METALOG_NO_FILES
/* Is the directory there, ours, and closed to everybody else? It is made when it is missing. */
static bool mlog__store_dir(const char *dir) {
    struct stat st;
    if (strlen(dir) >= sizeof mlog__store.dir) return errno = ENAMETOOLONG, false;
    if (mkdir(dir, 0700) == 0) (void)chmod(dir, 0700); /* whatever the umask */
    else if (errno != EEXIST) return false;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return false;
    bool ours = fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
    close(fd);
    if (!ours) errno = EPERM;
    return ours;
}
#endif

/* [s] The session goes into a file, at its old address. False: nothing has changed. */
static bool mlog__store_session(void) {
    char path[MLOG__STORE_PATH];
    const size_t size = sizeof(mlog__session);
    mlog__store_path(path, mlog__dict_session->id, false, 0);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600); /* the lock before there is anything to read */
    if (fd < 0) return false;
    (void)fchmod(fd, 0600); /* whatever the umask */
    close(fd);
    void *lock = mlog__store_lock(path);
    mlog__session *fresh = NULL;
    bool whole = false, moved = false;
    fd = lock == NULL ? -1 : open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fresh == MAP_FAILED) fresh = NULL;
        /* kernels before 5.14 reserve nothing by the piece */
        if (fresh != NULL && !mlog__platform_reserve(fresh, MLOG__PIECE)) whole = errno == EINVAL && fallocate(fd, 0, 0, (off_t)size) == 0;
        moved = fresh != NULL && mlog__dict_move(fresh, whole);
        if (moved) mlog__dict_session->owner = (uint64_t)getpid();
    }
    int error = errno;
    if (fd >= 0) close(fd);
    if (moved) {
        mlog__store.lock = lock;
        return true;
    }
    if (fresh != NULL) mlog__platform_unmap(fresh, size);
    if (lock != NULL) mlog__platform_unmap(lock, MLOG__PAGE);
    (void)unlink(path);
    errno = error;
    return false;
}

#ifndef METALOG_NO_FILES
/* Begins: rings that are made from here on are files. -1: errno says why, and everything stays as it was. */
static int mlog__store_begin(const char *dir) {
    mlog__guard guard;
    if (mlog__store.on) return 0; /* it stays where it is to the end */
    mlog__platform_guard(&guard);
    bool begun = mlog__store_dir(dir);
    if (begun) memcpy(mlog__store.dir, dir, strlen(dir) + 1);
    begun = begun && mlog__store_session();
    int error = errno;
    mlog__platform_unguard(&guard);
    errno = error;
    if (!begun) return -1;
    __atomic_store_n(&mlog__store.on, 1, __ATOMIC_RELEASE); /* STORE-1 */
    return 0;
}
#endif

/* [s] In a child, whose session has a number of its own: it gets files of its own, or none. */
static void mlog__store_adopt(void) {
    if (!mlog__store.on) return;
    mlog__guard guard;
    mlog__platform_guard(&guard);
    mlog__store.lock = NULL; /* not inherited */
    mlog__store.on = mlog__store_session();
    mlog__platform_unguard(&guard);
}

/* [s] A ring as a file; NULL: it must do without. */
static void *mlog__store_ring(uint32_t number, size_t size, bool touch) {
    char path[MLOG__STORE_PATH];
    if (!__atomic_load_n(&mlog__store.on, __ATOMIC_ACQUIRE)) return NULL; /* STORE-1 */
    mlog__store_path(path, mlog__dict_session->id, true, number);
    mlog__guard guard;
    mlog__platform_guard(&guard);
    void *p = mlog__store_map(path, size, touch);
    mlog__platform_unguard(&guard);
    uint32_t none = 0;
    if (p == NULL) __atomic_compare_exchange_n(&mlog__store.refused, &none, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); /* STORE-2 */
    return p;
}

/* Everything is out: no file stays behind. The mappings go on without their names. */
static void mlog__store_end(uint32_t rings) {
    char path[MLOG__STORE_PATH];
    if (!mlog__store.on) return;
    mlog__store.on = 0;
    for (uint32_t i = 0; i < rings; i++) mlog__store_path(path, mlog__dict_session->id, true, i), (void)unlink(path);
    mlog__store_path(path, mlog__dict_session->id, false, 0);
    (void)unlink(path);
}

/* -- promises -- */

/* FNV-1a over words; what is summed here was written by us, and shall only be told from something else. */
static uint64_t mlog__store_sum(uint64_t h, const void *p, size_t n) {
    for (; n > 0; p = (const char *)p + 8, n = n > 8 ? n - 8 : 0) {
        uint64_t word = 0;
        memcpy(&word, p, MLOG__MIN(n, (size_t)8));
        h = (h ^ word) * UINT64_C(1099511628211);
        h ^= h >> 32;
    }
    return h;
}

/* Of a batch, its ends are enough: all of it lies between them in the file, or none, since it was appended; and each line has its
 * own time. */
enum { MLOG__STORE_ENDS = 2048 };
static uint64_t mlog__store_sum_batch(const char *p, size_t n) {
    uint64_t h = mlog__store_sum(n, p, MLOG__MIN(n, (size_t)MLOG__STORE_ENDS));
    size_t rest = MLOG__MIN(n, (size_t)MLOG__STORE_ENDS);
    return mlog__store_sum(h, p + n - rest, rest);
}

static uint64_t mlog__store_check(const mlog__promise *p, const mlog__move *move) {
    return mlog__store_sum(mlog__store_sum(1, &p->seq, offsetof(mlog__promise, check) - offsetof(mlog__promise, seq)), move,
                           (size_t)MLOG__MIN(p->moves, (uint64_t)MLOG__RINGS) * sizeof *move);
}

/* Steps 1 and 2: says what will be written, and how far the rings are read behind it, where that changes. False: there is no room to
 * say it. */
static bool mlog__store_arm(mlog__session *session, uint32_t sink, const mlog__promise *what, const uint64_t *done, const uint64_t *next,
                            uint32_t rings, bool own) {
    mlog__promise *p = &session->promise[sink];
    mlog__move *move = session->move[sink];
    uint64_t n = 0;
    for (uint32_t i = 0; i < rings; i++) {
        if (done[i] == next[i]) continue;
        if (own && !mlog__dict_reserve(&move[n], sizeof *move)) return false;
        move[n++] = (mlog__move){i, next[i]};
    }
    p->seq = p->done + 1;
    p->dev = what->dev;
    p->ino = what->ino;
    p->off = what->off;
    p->len = what->len;
    p->sum = what->sum;
    p->moves = n;
    p->check = mlog__store_check(p, move);
    __atomic_store_n(&p->armed, p->seq, __ATOMIC_RELEASE); /* STORE-3 */
    return true;
}

/* Step 4. */
static void mlog__store_commit(mlog__promise *p) {
    __atomic_store_n(&p->done, p->armed, __ATOMIC_RELEASE); /* STORE-3 */
}

/* ==== rule ====
 * Level rules and the names they match. Two copies, so that a registration in a handler that interrupts a change reads the old
 * one. No call looks rules up: each site has a gate, one word that is 0 when it is off, and each logger a threshold. They are
 * computed when a site or a logger is registered and again for all of them when rules change; the lists that make "all"
 * possible only grow (a module that is unloaded takes its own out).
 *
 *   WORD of a site   0                 off: the call ends here
 *                    MLOG__UNSEEN      not registered: take the slow path (the sign bit is set)
 *                    header | CARE     registered, but its arguments need a look: the slow path each time
 *                    header            registered: the first eight bytes of each of its records
 *   FULL of a site   the header to go back to when it is turned on again; 0 before registration
 *   NEXT of a site   NULL: in no list; &mlog__rule_last: the end of one
 *
 * The longest rule that covers a name wins; rules are few (64 at most) and looked at on first calls only, so a loop will do.
 *
 * owns: level names, the rules in force, the thresholds of sites and loggers, the list of keys to redact
 * may call: platform dict record text
 */

/* One list makes the names and the parser; the aliases are those of syslog and of other loggers. */
#define MLOG__LEVELS(X) X(MLOG_TRACE, "trace") X(MLOG_DEBUG, "debug") X(MLOG_INFO, "info") X(MLOG_NOTICE, "notice") \
    X(MLOG_WARN, "warn") \
    X(MLOG_ERROR, "error") X(MLOG_CRIT, "crit") X(MLOG_ALERT, "alert") X(MLOG_FATAL, "fatal")
#define MLOG__ALIASES(X) X(MLOG_WARN, "warning") X(MLOG_ERROR, "err") X(MLOG_CRIT, "critical") X(MLOG_ALERT, "emerg") \
    X(MLOG_FATAL, "panic")

/* children: "net.*", which does not cover net itself */
typedef struct { char name[64]; uint8_t len, level; bool children, pad; } mlog__rule;
enum { MLOG__RULES = 64 };
/* redact: keys in lower case, each ended by NUL; "" ends, and the last bytes are zero in any case */
typedef struct { uint32_t count, root; char redact[256]; mlog__rule rule[MLOG__RULES]; } mlog__rule_set;

static struct {
    mlog__rule_set set[2];
    uint32_t version;       /* set[version & 1] is in force; grows with every change of it, by two with every change of floor */
    int floor;              /* the lowest level that any sink takes */
    /* head of the list of program and shared objects; pushed without a lock, walked under the configuration's */
    mlog__module *modules;
    /* likewise; loggers live for ever, so that the macros may keep their pointers */
    mlog_logger *loggers;
} mlog__rule_now = {.set = {{.root = MLOG_INFO, .redact = "password\0passwd\0secret\0token\0authorization\0api_key\0"}}};

struct mlog_logger {
    int32_t threshold;      /* first: the macros read it */
    /* its name in the dictionary; 0: an unnamed child of mlog_bind */
    uint32_t entry;
    /* bound: the context with the fields of mlog_bind, or NULL; set before the logger is handed out */
    mlog_logger *next;
    mlog_context *bound;
    char source[64];
};

/* [s] A level between two names prints as the lower one, what is below TRACE as "trace". */
const char *mlog_level_name(int level) {
    const char *name = "trace";
#define MLOG__AS_NAME(value, text) if (level >= (value)) name = text;
    MLOG__LEVELS(MLOG__AS_NAME)
    return name;
}

static bool mlog__rule_same(const char *a, size_t n, const char *lower) { /* without the locale's idea of letters */
    for (size_t i = 0; i < n; i++) {
        char c = a[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
        if (lower[i] == 0 || c != lower[i]) return false;
    }
    return lower[n] == 0;
}

/* A name, an alias or a number; -1 when it is none of them. Three digits are read at most: no overflow, and 100 is no level
 * anyway. */
static int mlog__rule_level(const char *p, size_t n) {
    int number = 0;
    size_t i = 0;
#define MLOG__AS_LEVEL(value, text) if (mlog__rule_same(p, n, text)) return value;
    MLOG__LEVELS(MLOG__AS_LEVEL)
    MLOG__ALIASES(MLOG__AS_LEVEL)
    /* a number only if nothing else is left of the word */
    for (; i < n && i < 3 && p[i] >= '0' && p[i] <= '9'; i++) number = number * 10 + (p[i] - '0');
    return n > 0 && i == n && number >= 1 && number <= 24 ? number : -1;
}

int mlog_level_parse(const char *name) { return name == NULL ? -1 : mlog__rule_level(name, strlen(name)); }

/* What may be a source name: nothing that the rule text gives a meaning, and nothing that would not print. 63 bytes: it must
 * fit where sources are made, on the stack of a call. */
static bool mlog__rule_name_ok(const char *p, size_t n) {
    if (n == 0 || n > 63) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] <= ' ' || p[i] == 127 || p[i] == ',' || p[i] == '=' || p[i] == '"') return false;
    return true;
}

/* One word of a rule text: "info" or "net.*=debug". NULL, or what was expected: the caller knows the column and says it. */
static const char *mlog__rule_word(mlog__rule_set *set, const char *p, size_t n) {
    const char *eq = memchr(p, '=', n);
    const char *level_text = eq == NULL ? p : eq + 1;
    size_t level_len = (size_t)(p + n - level_text), name_len = eq == NULL ? 0 : (size_t)(eq - p);
    int level = mlog__rule_same(level_text, level_len, "off") ? MLOG_OFF : mlog__rule_level(level_text, level_len);
    if (level < 0) return "a level: trace, debug, info, notice, warn, error, crit, alert, fatal, off, or 1 to 24";
    if (eq == NULL || (name_len == 1 && *p == '*')) return set->root = (uint32_t)level, (const char *)NULL;
    /* "*" alone was the root; other stars stand at the end, behind a point, or are refused */
    bool children = name_len > 2 && memcmp(eq - 2, ".*", 2) == 0;
    if (children) name_len -= 2;
    if (!mlog__rule_name_ok(p, name_len) || memchr(p, '*', name_len) != NULL)
        return "a source name of 1 to 63 bytes, net or net.*";
    if (set->count == MLOG__RULES) return "at most 64 rules";
    mlog__rule *r = &set->rule[set->count++];
    *r = (mlog__rule){.len = (uint8_t)name_len, .level = (uint8_t)level, .children = children};
    memcpy(r->name, p, name_len);
    return NULL;
}

/* Parses "info,net=debug" into *set. 0, or -1 with mlog_why() naming the place (`what` says which setting). The empty text is
 * fine, an empty rule between two commas is a slip and refused. Whoever calls puts the set in force only when all of it was
 * good. */
static int mlog__rule_parse(mlog__rule_set *set, const char *text, const char *what) {
    *set = (mlog__rule_set){.root = MLOG_INFO};
    for (const char *p = text;;) {
        size_t n = strcspn(p, ",");
        const char *start = p, *end = p + n;
        while (start < end && *start == ' ') start++;
        while (end > start && end[-1] == ' ') end--;
        const char *expected = start == end ? (*text == 0 ? NULL : "a rule") : mlog__rule_word(set, start, (size_t)(end - start));
        if (expected != NULL)
            return mlog__life_why("%s: column %d: \"%.*s\": expected %s", what, (int)(start - text) + 1,
                                  (int)MLOG__MIN(end - start, 60), start, expected);
        if (p[n] == 0) return 0;
        p += n + 1;
    }
}

/* Rules are read while they change: in words, so that it is no data race, and judged by the version afterwards. */
static void mlog__rule_copy(void *to, const void *from, size_t bytes) {
    typedef uint32_t __attribute__((may_alias)) mlog__part;
    for (size_t i = 0; i < bytes / sizeof(mlog__part); i++)
        /* RULE-5 */
        __atomic_store_n((mlog__part *)to + i, __atomic_load_n((const mlog__part *)from + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

/* Reads what is in force: from here to mlog__rule_changed, which says whether it must be read again. Legal in a handler that
 * interrupts a change: it finds the old set untouched, since a change writes the other copy. */
static const mlog__rule_set *mlog__rule_read(uint32_t *version) {
    *version = __atomic_load_n(&mlog__rule_now.version, __ATOMIC_ACQUIRE); /* RULE-1 with mlog__rule_publish */
    return &mlog__rule_now.set[*version & 1];
}

/* The fence keeps the reads of the set before the second look. */
static bool mlog__rule_changed(uint32_t version) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* RULE-5 with mlog__rule_replace */
    return version != __atomic_load_n(&mlog__rule_now.version, __ATOMIC_RELAXED); /* RULE-1 */
}

/* The level from which a source is on: the longest rule that covers it, then the later one; never below what any sink takes. */
static int mlog__rule_threshold(const char *source, size_t n) {
    uint32_t version;
    int level;
    do {
        const mlog__rule_set *set = mlog__rule_read(&version);
        size_t best = 0;
        uint32_t head[2]; /* count, root */
        mlog__rule r;
        mlog__rule_copy(head, set, sizeof head);
        level = (int)head[1];
        /* both bounds: a set that is changed meanwhile may show any count, before the version says to read it again */
        for (uint32_t i = 0; i < head[0] && i < MLOG__RULES; i++) {
            mlog__rule_copy(&r, &set->rule[i], sizeof r);
            bool below = n > r.len && source[r.len] == '.', same = n == r.len;
            if (memcmp(source, r.name, MLOG__MIN(n, MLOG__MIN((size_t)r.len, sizeof r.name))) != 0) continue;
            if (r.len >= best && (below || (same && !r.children))) best = r.len, level = r.level;
        }
        level = MLOG__MAX(level, __atomic_load_n(&mlog__rule_now.floor, __ATOMIC_RELAXED)); /* RULE-4 */
    } while (mlog__rule_changed(version));
    return level;
}

/* "dir/http.c" is "http.c" in records: the build's directories are not the reader's. */
static const char *mlog__rule_base(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash == NULL ? file : slash + 1;
}

/* A site's source as text: METALOG_SOURCE came stringized, "\"net\"", or as its own name when nobody defined it. Then the
 * file's base name stands for it, without its extension. Adjacent literals ("net" ".http") have been joined by nobody yet: what
 * is inside quotes counts. Returns the length, 63 at most. */
static size_t mlog__rule_source(char out[64], const char *stringized, const char *file) {
    size_t n = 0;
    if (stringized[0] == '"') {
        bool inside = false;
        for (const char *p = stringized; *p != 0; p++) {
            if (*p == '"') inside = !inside;
            else if (inside && n < 63) out[n++] = *p;
        }
    }
    if (n == 0) {
        const char *start = mlog__rule_base(file), *dot = strrchr(start, '.');
        /* ".profile" has no extension, it is a name */
        n = MLOG__MIN(dot == NULL || dot == start ? strlen(start) : (size_t)(dot - start), (size_t)63);
        memcpy(out, start, n);
    }
    out[n] = 0;
    return n;
}

/* "password" covers password, PassWord and db_password; "*_pin" what the pattern says. Keys beyond 64 bytes are judged by their
 * beginning and by their end. */
static bool mlog__rule_listed(const char *list, const char *key, size_t n) {
    char lower[64];
    size_t k = MLOG__MIN(n, sizeof lower);
    for (size_t i = 0; i < k; i++) lower[i] = key[i] >= 'A' && key[i] <= 'Z' ? (char)(key[i] + 32) : key[i];
    for (const char *r = list; *r != 0; r += strlen(r) + 1) {
        size_t m = strlen(r);
        if (mlog__text_glob(r, m, lower, k)) return true;
        if (n > m && mlog__rule_same(key + n - m, m, r) && strchr("_-.", key[n - m - 1]) != NULL) return true;
    }
    return false;
}

/* Asked once for a site and once for a field whose key is known at run time only. */
static bool mlog__rule_is_secret(const char *key, size_t n) {
    uint32_t version;
    bool secret;
    do {
        uint32_t list[256 / 4];
        mlog__rule_copy(list, mlog__rule_read(&version)->redact, sizeof list);
        secret = mlog__rule_listed((const char *)list, key, n);
    } while (mlog__rule_changed(version));
    return secret;
}

static mlog__site mlog__rule_last; /* ends every list, so that NULL in `next` always means: not in a list yet */

/* Sets the gate of one registered site after a change of rules. A probe of mlog_enabled needs no number: 1 is "on". The order
 * of the two stores does not matter: a call between them is judged by one rule or the other. */
static void mlog__rule_apply(mlog__site *s) {
    char source[64];
    size_t n = mlog__rule_source(source, s->source, s->file);
    int low = mlog__rule_threshold(source, n);
    /* THREAD-4: a probe is never registered */
    uint64_t full = (s->style & MLOG__PROBE) ? 1 : __atomic_load_n(&s->full, __ATOMIC_RELAXED);
    bool on = (s->style & MLOG__DYNAMIC) != 0 || s->level >= low;
    __atomic_store_n(&s->threshold, (int8_t)low, __ATOMIC_RELAXED); /* RULE-4 */
    __atomic_store_n(&s->word, !on ? 0 : full != 0 ? full : MLOG__UNSEEN, __ATOMIC_RELAXED); /* RULE-4 */
}

/* The threshold of a logger. 0: it has no name, each call is judged by the rules of its unit. */
static int32_t mlog__rule_of_logger(const mlog_logger *lg) {
    return *lg->source == 0 ? 0 : mlog__rule_threshold(lg->source, strlen(lg->source));
}

/* After a change of rules or sinks, under the configuration lock: every site and logger gets its gate anew, so that no call
 * looks rules up. */
static void mlog__rule_apply_all(void) {
    for (mlog__module *m = __atomic_load_n(&mlog__rule_now.modules, __ATOMIC_ACQUIRE); m != NULL; m = m->next) /* RULE-3 */
        for (mlog__site *s = __atomic_load_n(&m->sites, __ATOMIC_ACQUIRE); s != NULL && s != &mlog__rule_last; /* RULE-2 */
             s = __atomic_load_n(&s->next, __ATOMIC_RELAXED)) /* RULE-2 */
            mlog__rule_apply(s);
    for (mlog_logger *lg = __atomic_load_n(&mlog__rule_now.loggers, __ATOMIC_ACQUIRE); lg != NULL; lg = lg->next) /* RULE-2 */
        __atomic_store_n(&lg->threshold, mlog__rule_of_logger(lg), __ATOMIC_RELAXED); /* RULE-4 */
}

/* What was changed is in force from now on; then the gates. */
static void mlog__rule_publish(uint32_t version) {
    __atomic_store_n(&mlog__rule_now.version, version, __ATOMIC_RELEASE); /* RULE-1: who saw the old one reads again */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                              /* RULE-6 with mlog1_site */
    mlog__rule_apply_all();
}

/* Into the copy that nobody reads, but those who will read again: hence the fence. */
static void mlog__rule_replace(const mlog__rule_set *set) {
    uint32_t next = mlog__rule_now.version + 1;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* RULE-5: who reads a word of these rules sees that the version has moved */
    mlog__rule_copy(&mlog__rule_now.set[next & 1], set, sizeof *set);
    mlog__rule_publish(next);
}

/* The three changes of what is in force, under the configuration lock, which makes each the only writer: the level rules, the
 * lowest level of any sink, … */
static void mlog__rule_set_now(const mlog__rule_set *rules) {
    mlog__rule_set set = *rules;
    memcpy(set.redact, mlog__rule_now.set[mlog__rule_now.version & 1].redact, sizeof set.redact);
    mlog__rule_replace(&set);
}

static void mlog__rule_floor(int floor) {
    __atomic_store_n(&mlog__rule_now.floor, floor, __ATOMIC_RELAXED); /* RULE-4 */
    mlog__rule_publish(mlog__rule_now.version + 2);
}

/* … and the keys to redact: sites that decided by the old list register again. */
static void mlog__rule_redact(const char list[256]) {
    mlog__rule_set set = mlog__rule_now.set[mlog__rule_now.version & 1];
    if (memcmp(set.redact, list, sizeof set.redact) == 0) return;
    memcpy(set.redact, list, sizeof set.redact);
    mlog__rule_replace(&set);
    for (mlog__module *m = __atomic_load_n(&mlog__rule_now.modules, __ATOMIC_ACQUIRE); m != NULL; m = m->next) /* RULE-3 */
        for (mlog__site *s = __atomic_load_n(&m->sites, __ATOMIC_ACQUIRE); s != NULL && s != &mlog__rule_last;) { /* RULE-2 */
            __atomic_store_n(&s->full, 0, __ATOMIC_SEQ_CST); /* THREAD-10: before the gates that are set next */
            s = __atomic_load_n(&s->next, __ATOMIC_RELAXED); /* RULE-2 */
        }
    mlog__rule_apply_all();
}

/* Puts a site into the list of its module, and the module into that of the process, unless it is about to be unloaded. */
static void mlog__rule_enlist(mlog__site *site, mlog__module *module) {
    mlog__site *none = NULL;
    int unlinked = 0;
    if (__atomic_load_n(&module->linked, __ATOMIC_ACQUIRE) == 2) return; /* RULE-3 */
    if (!__atomic_compare_exchange_n(&site->next, &none, &mlog__rule_last, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return; /* RULE-2 */
    mlog__site *first = __atomic_load_n(&module->sites, __ATOMIC_RELAXED); /* RULE-2 */
    do __atomic_store_n(&site->next, first == NULL ? &mlog__rule_last : first, __ATOMIC_RELAXED); /* RULE-2 */
    while (!__atomic_compare_exchange_n(&module->sites, &first, site, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)); /* RULE-2 */
    if (!__atomic_compare_exchange_n(&module->linked, &unlinked, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return; /* RULE-3 */
    __atomic_store_n(&module->gone, mlog__life_module_gone, __ATOMIC_RELEASE); /* RULE-3 */
    mlog__module *head = __atomic_load_n(&mlog__rule_now.modules, __ATOMIC_RELAXED); /* RULE-3 */
    do module->next = head;
    while (!__atomic_compare_exchange_n(&mlog__rule_now.modules, &head, module, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)); /* RULE-3 */
}

/* Takes a module out, with its sites; nobody walks the lists meanwhile, but others may put modules in. A site that lies in another
 * module (of an inline function in C++) registers anew, with whoever calls it next. */
static void mlog__rule_discharge(mlog__module *module) {
    mlog__module *head = module;
    /* RULE-3 */
    if (!__atomic_compare_exchange_n(&mlog__rule_now.modules, &head, module->next, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        while (head != NULL && head->next != module) head = head->next; /* RULE-3: behind the head nothing changes but here */
        if (head != NULL) head->next = module->next;
    }
    /* RULE-2 */
    for (mlog__site *s = __atomic_load_n(&module->sites, __ATOMIC_ACQUIRE), *next; s != NULL && s != &mlog__rule_last; s = next) {
        next = __atomic_load_n(&s->next, __ATOMIC_RELAXED); /* RULE-2 */
        __atomic_store_n(&s->next, NULL, __ATOMIC_RELAXED); /* RULE-2 */
        __atomic_store_n(&s->word, MLOG__UNSEEN, __ATOMIC_RELAXED); /* RULE-4 */
    }
}

/* First stage of a site: its gate by the rules, and its place in the list of its module, by which later changes reach it.
 * Returns the word to go on with, 0 when off. Legal in a handler, also on top of itself for the same site: `next` decides who
 * puts it into the list. Second stage, with the kinds of the arguments: mlog__thread_register. */
uint64_t mlog1_site(mlog__site *site, mlog__module *module) {
    uint64_t word = __atomic_load_n(&site->word, __ATOMIC_RELAXED); /* RULE-4 */
    if (mlog__record_site(word) != 0 || word == 0) return word; /* registered: on the careful path for another reason */
    int saved = errno;
    if (!mlog__life_start()) return errno = saved, word;
    mlog__rule_enlist(site, module);
    uint32_t version;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* RULE-6 with mlog__rule_publish */
    do { /* again when the rules changed meanwhile: the walk over the lists may have missed this site */
        (void)mlog__rule_read(&version);
        mlog__rule_apply(site);
    } while (mlog__rule_changed(version));
    errno = saved;
    return __atomic_load_n(&site->word, __ATOMIC_RELAXED); /* RULE-4 */
}

/* ==== context ====
 * Fields that follow a task. A context lives in private memory, which a child inherits; its fields are published once, in a
 * slot of the session, so that a record needs to carry its number only. A number is never used again: {generation:44 |
 * slot:20}. A slot goes back to the free list when nobody refers to it and every sink is past the records that may name it.
 *
 *   LIFE     free --take--> made, published --ref, unref--> retired --collect--> waiting --release--> free
 *   LISTS    free      {tag:32 | index + 1:32}, linked by `next`; any thread takes, the flusher alone gives
 *            retired   index + 1, linked by `next`; any thread adds, the flusher takes all of it at once (so no ABA there)
 *            waiting   the flusher's own: retired before the heads that it then noted; free when all sinks are past these
 *
 * Why two homes: the fields in private memory are what a child reads after a fork, when the session of its parent is gone; the
 * slot is what a reader has after a crash. 16,384 slots of 512 bytes: fields of half a kilobyte, and 8 MiB of address space.
 * When slots or bytes are not enough, a context is *heavy*: from the heap, with no number, and each record carries the fields
 * of the whole chain of its ancestors. Slower and larger, but nothing is lost.
 *
 * owns: context slots, the thread's current context
 * may call: platform record dict rule
 */

#define MLOG__HEAVY UINT64_MAX /* the number of a context without a slot: its fields travel inside each record */

struct mlog_context {
    uint32_t refs, next; /* next: index + 1 on the free or the retired list */
    /* generation: of the block, grows with each use and stays when the block is free */
    uint64_t id, generation;
    /* session: which process has published it (mlog__context_pool.session + 1); bytes and count: of its own fields */
    uint32_t session, bytes, count, taken;
    /* a counted reference: ancestors live as long as their children */
    mlog_context *parent;
    unsigned char *fields; /* into room, or allocated when larger */
    unsigned char room[MLOG__CONTEXT_BYTES - 24];
};

static struct {
    mlog_context *block;    /* MLOG__CONTEXTS of them, private */
    mlog__u64 free;         /* {tag:32 | index + 1:32}: the tag grows with each change, so that a stale head is noticed */
    uint32_t fresh;         /* blocks never used yet begin here */
    uint32_t retired;       /* index + 1: wait for the sinks */
    uint32_t waiting;       /* a retired list that the flusher has taken, until every sink has passed */
    uint32_t session;       /* counts the forks above this process */
} mlog__context_pool;

MLOG__TLS mlog_context *mlog__context_now; /* not in the thread's page: a forked child keeps its context */

/* From the free list, else a block never used. The tag in the head keeps a thread that was preempted between its load and its
 * exchange from taking a head that went and came back: its `next` would be stale. NULL: all 16,384 are in use, or no memory. */
static mlog_context *mlog__context_take(void) {
    mlog_context *blocks = __atomic_load_n(&mlog__context_pool.block, __ATOMIC_ACQUIRE); /* CONTEXT-3 */
    if (blocks == NULL) {
        /* the first context of the program; of two threads the loser gives its mapping back */
        mlog_context *fresh = mlog__platform_map(sizeof *fresh * MLOG__CONTEXTS, false, false);
        if (fresh == NULL) return NULL;
        /* CONTEXT-3 */
        if (__atomic_compare_exchange_n(&mlog__context_pool.block, &blocks, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            blocks = fresh;
        else mlog__platform_unmap(fresh, sizeof *fresh * MLOG__CONTEXTS);
    }
    uint64_t head = __atomic_load_n(&mlog__context_pool.free, __ATOMIC_ACQUIRE); /* CONTEXT-1 */
    while ((uint32_t)head != 0) { /* CONTEXT-1: acquire pairs with the release in mlog__context_give */
        /* CONTEXT-1; reading `next` of a block that another thread has just taken is harmless: the memory stays, the exchange fails */
        uint64_t next = ((head >> 32) + 1) << 32 | __atomic_load_n(&blocks[(uint32_t)head - 1].next, __ATOMIC_RELAXED);
        /* CONTEXT-1 */
        if (__atomic_compare_exchange_n(&mlog__context_pool.free, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return &blocks[(uint32_t)head - 1];
    }
    uint32_t i = __atomic_load_n(&mlog__context_pool.fresh, __ATOMIC_RELAXED), most = mlog__dict_contexts(); /* CONTEXT-1 */
    while (i < most)
        /* CONTEXT-1 */
        if (__atomic_compare_exchange_n(&mlog__context_pool.fresh, &i, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return mlog__dict_note_context(i), &blocks[i];
    return NULL;
}

/* Back to the free list; the flusher alone does this. */
static void mlog__context_give(uint32_t index) {
    mlog_context *c = &mlog__context_pool.block[index];
    uint64_t head = __atomic_load_n(&mlog__context_pool.free, __ATOMIC_RELAXED), next; /* CONTEXT-1 */
    do {
        __atomic_store_n(&c->next, (uint32_t)head, __ATOMIC_RELAXED); /* CONTEXT-1 */
        next = ((head >> 32) + 1) << 32 | (index + 1);
    } while (!__atomic_compare_exchange_n(&mlog__context_pool.free, &head, next, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED)); /* CONTEXT-1 */
}

/* Has it a slot, or is it a heavy one from the heap? By its address, which cannot lie. */
static bool mlog__context_pooled(const mlog_context *c) {
    const mlog_context *blocks = __atomic_load_n(&mlog__context_pool.block, __ATOMIC_ACQUIRE); /* CONTEXT-3 */
    return blocks != NULL && c >= blocks && c < blocks + MLOG__CONTEXTS;
}

/* Copies its own fields into its slot, and its ancestors' before, so that no slot names a parent that is not there. In a child
 * this runs again, for its own session: by whoever first logs in the context. The record's head, released later, covers these
 * plain stores. */
static void mlog__context_publish(mlog_context *c) {
    if (c == NULL || c->id == MLOG__HEAVY || c->session == mlog__context_pool.session + 1) return;
    mlog__context_publish(c->parent);
    mlog__context_slot *slot = &mlog__dict_session->context[c->id & 0xFFFFF];
    slot->id = c->id;
    slot->parent = c->parent == NULL ? 0 : c->parent->id;
    slot->bytes = c->bytes;
    slot->count = c->count;
    memcpy(slot->fields, c->fields, c->bytes);
    c->session = mlog__context_pool.session + 1;
}

/* The number that records carry: 0 none, MLOG__HEAVY inside each record. */
static uint64_t mlog__context_number(mlog_context *c) {
    if (c == NULL) return 0;
    mlog__context_publish(c);
    return c->id;
}

/* Secrets stay out of every encoding, not of the output only: a ring survives a crash, and a core file shows it. */
static mlog_value mlog__context_value(const mlog_field *f) {
    static const char redacted[] = "[redacted]";
    if (f->key != NULL && mlog__rule_is_secret(f->key, strlen(f->key))) return mlog_str(redacted, sizeof redacted - 1);
    return mlog__record_clean(&f->value);
}

/* Encodes the fields once; a record then carries a number. Too large, or no slot left: heavy, and nothing is lost but speed.
 * The child of a heavy one is heavy, too: its slot could not name its parent. Returns one reference; the parent gets one more.
 * NULL: no memory at all. Not legal in a handler (calloc). */
static mlog_context *mlog__context_make(mlog_context *parent, const mlog_field *fields, size_t count) {
    mlog_value value[MLOG__FIELDS];
    mlog__sized size[MLOG__FIELDS];
    uint64_t bytes = 0;
    uint32_t n = fields == NULL ? 0 : (uint32_t)MLOG__MIN(count, (size_t)MLOG__FIELDS);
    /* a text of a context is repeated in each of its records: 16 KiB of it are enough */
    for (uint32_t i = 0; i < n; i++) {
        value[i] = mlog__context_value(&fields[i]);
        bytes += mlog__record_measure(&size[i], fields[i].key, &value[i], MLOG__OBJECT_BYTES);
    }
    bool fits =
        bytes <= sizeof((mlog_context *)0)->room && (parent == NULL || parent->id != MLOG__HEAVY) && mlog__dict_open() != NULL;
    mlog_context *c = fits ? mlog__context_take() : NULL;
    bool pooled = c != NULL;
    if (!pooled && (c = calloc(1, sizeof *c + (size_t)bytes)) == NULL) return NULL;
    c->fields = pooled ? c->room : (unsigned char *)(c + 1);
    unsigned char *p = c->fields;
    for (uint32_t i = 0; i < n; i++) p = mlog__record_put_field(p, fields[i].key, &value[i], &size[i]);
    c->bytes = (uint32_t)(p - c->fields);
    c->count = n;
    c->parent = mlog_context_ref(parent);
    /* not published yet, whatever its last use was */
    c->session = 0;
    const mlog_context *blocks = __atomic_load_n(&mlog__context_pool.block, __ATOMIC_ACQUIRE); /* CONTEXT-3 */
    c->id = pooled ? ++c->generation << 20 | (uint64_t)(c - blocks) : MLOG__HEAVY;
    __atomic_store_n(&c->refs, 1, __ATOMIC_RELEASE); /* CONTEXT-2: also when the caller hands it over without an order */
    if (pooled) mlog__context_publish(c);
    return c;
}

/* Relaxed: who has a reference already keeps the context alive, and hands it on by means that order for themselves. */
mlog_context *mlog_context_ref(mlog_context *c) {
    if (c != NULL) __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED); /* CONTEXT-2 */
    return c;
}

/* CONTEXT-2: the last release sees what all others did with it. A loop, not a recursion: a chain of heavy ones may be long. */
void mlog_context_unref(mlog_context *c) {
    while (c != NULL && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0) { /* CONTEXT-2 */
        mlog_context *parent = c->parent;
        if (!mlog__context_pooled(c)) {
            free(c);
            c = parent;
            continue;
        }
        const mlog_context *blocks = __atomic_load_n(&mlog__context_pool.block, __ATOMIC_ACQUIRE); /* CONTEXT-3 */
        uint32_t index = (uint32_t)(c - blocks),
                 head = __atomic_load_n(&mlog__context_pool.retired, __ATOMIC_RELAXED); /* CONTEXT-4 */
        do __atomic_store_n(&c->next, head, __ATOMIC_RELAXED); /* CONTEXT-4 */
        while (!__atomic_compare_exchange_n(&mlog__context_pool.retired, &head, index + 1, true, __ATOMIC_RELEASE, /* CONTEXT-4 */
                                            __ATOMIC_RELAXED));
        return; /* its parent is released when its slot is free again: records may still name both */
    }
}

/* For the flusher: takes what was retired up to now; true when there is anything to wait for. One generation at a time: as long
 * as one waits, what is retired meanwhile stays in its list, since it would need heads of its own. */
static bool mlog__context_collect(void) {
    if (mlog__context_pool.waiting == 0)
        mlog__context_pool.waiting = __atomic_exchange_n(&mlog__context_pool.retired, 0, __ATOMIC_ACQUIRE); /* CONTEXT-4 */
    return mlog__context_pool.waiting != 0;
}

/* For the flusher: every sink is past the heads that it saw after mlog__context_collect. All that is needed of a block is read
 * before it is given away: the next moment it may be another's. */
static void mlog__context_release(void) {
    uint32_t i = mlog__context_pool.waiting;
    mlog__context_pool.waiting = 0;
    while (i != 0) {
        mlog_context *c = &mlog__context_pool.block[i - 1], *parent = c->parent;
        uint32_t next = c->next;
        mlog__context_give(i - 1);
        mlog_context_unref(parent);
        i = next;
    }
}

/* ==== ring ====
 * One bounded ring of bytes per thread, one writer, one reader process. Positions are 64-bit, grow for ever and never wrap; a
 * byte's place is position & mask. A record never straddles the end: what is left there becomes padding.
 *
 *   PAGE    +0     magic, version, byte order, word size, number, session, bytes, tid, state, name     written at creation
 *           +128   head, dropped[26], untold[26]                                                      the owner's lines
 *           +576   tail, waiting                                                                      the flusher's line
 *           +1024  data: `bytes` of them, a power of two
 *
 *   data    … | free | record | record | record in progress |   free   | padding | (next lap)
 *                    ^ tail                    ^ head        ^ next     ^ limit
 *
 * tail <= head <= tail + bytes, always. What lies in [tail, head) is whole records, 8-aligned, also at any instruction of a
 * crash: a record is written behind head, where nobody looks, and becomes one by the store of head. The owner keeps `limit`, up
 * to which it may write without a look at tail: the flusher's line is touched once in a while, not in each call (the cached
 * index of rigtorp's SPSCQueue). Why one writer: no compare-and-swap, no line that threads share, and no thread ever waits for
 * another's half-written record.
 *
 * Order, with its pairs:
 *   RING-1  owner: store-release of head          flusher: load-acquire of head      the bytes of a record before its head
 *   RING-2  flusher: store-release of tail        owner: load-acquire of tail        the flusher is done reading before reuse
 *   RING-3  owner: state BUSY, clock, head        flusher: clock, then state         no record with an older time comes later; no
 *           guarantee but a habit (store buffers drain in nanoseconds): what slips through is written, counted as late
 *   RING-4  owner: waiting = 1, fence, tail       flusher: tail, fence, waiting      Dekker: one of them sees the other
 * Nothing stronger is needed: owner and flusher share nothing else, and the wake-up needs no fence in the call (see flush).
 *   RING-5  a thread's name, in words: relaxed, since a name that is half new is a name; never a data race
 *   RING-6  counters of losses: relaxed, a sum needs no order
 *
 * The other pairs: who releases, who acquires, what is carried over. tests/labels.sh holds each access to a label.
 *   CLOCK-1    pair, count                         who reads after a crash             the pair before its number
 *   CHECKSUM-1 table's maker: ready                who finds it made                   the table; entries relaxed, all makers write the same
 *   PLATFORM-1 asked once: relaxed, who asks twice gets the same answer
 *   DICT-1     session's maker                     who finds it made                   the session's head
 *   DICT-2     entry's writer: state = 1           flusher, also in a child            the entry before its number means anything
 *   DICT-3     the end of the area: relaxed, it hands out room and nothing else
 *   DICT-4     who moves the session: filed, end   who registers                       what is reserved; what it has not yet
 *   STORE-1    who begins: on                      who makes a ring                    the directory's name
 *   STORE-2    a ring had to do without a file: relaxed, a hint
 *   STORE-3    a sink's lane: armed, done           who reads after a crash             the batch before its number
 *   RULE-1     a change: version                   a lookup: version, before           the rules of that version
 *   RULE-2     sites and loggers: list head        who walks the list                  the node before its place in the list
 *   RULE-3     modules: list head                  who walks the list                  the module before its place in the list
 *   RULE-4     gates: relaxed, each word stands for itself; who registers during a change looks again (RULE-1)
 *   RULE-5     a change: fence, then words         a lookup: words, fence, version     later words show that the version moved
 *   RULE-6     a change: version, fence, lists     registration: list, fence, version  Dekker: the walk finds the site, or it the version
 *   CONTEXT-1  flusher: free list                  who takes a slot                    the last reader is done with the slot
 *   CONTEXT-2  a reference given up                the last one given up               all that was done with the context
 *   CONTEXT-3  the block's maker                   who finds it made                   nothing but zeroes: for other machines
 *   CONTEXT-4  who retires                         flusher: takes the list             the retired context and its parent
 *   THREAD-1   slot given back                     who takes it                        the ring is empty, its owner forgotten
 *   THREAD-2   the thread's end                    flusher: retired                    its last records before its end
 *   THREAD-3   the lock of a spare ring            the next to lock it                 the spare ring
 *   THREAD-4   registration: full, word            the next registration               the dictionary's entry before its number
 *   THREAD-5   the pages' maker                    who finds them made                 nothing but zeroes: for other machines
 *   THREAD-6   sums of bytes and threads: relaxed
 *   THREAD-7   a ring's maker: list, count         flusher, next owner                 the ring before its place in the list
 *   THREAD-8   key made                            a thread's first call               the key before the flag
 *   THREAD-9   signal fences: the compiler alone keeps the order that a handler on the same thread relies on
 *   THREAD-10  an entry taken back: full = 0, gate  registration: gate, full            Dekker: one of them closes the gate
 *   THREAD-13  a format's place: filled, state      who finds it                       what was found out before the state that says so
 *   THREAD-14  hint of a format: relaxed, it decides about a place, and a wrong one costs only that
 *   THREAD-12  a level in reserve: given back      who takes it                       nothing but its zero: all is written anew
 *   THREAD-11  memory of a dead thread's objects: relaxed, the pointer is all that is handed on
 *   FORMAT-1   the lane that learnt a site         the other lane                      what it learnt
 *   FORMAT-2   the lane that made flat text         the other lane                      the text before its pointer
 *   SINK-1     an instance: a file of its own      another instance of the process     the device before the inode; Dekker: one sees the other
 *   FLUSH-3    the lanes have threads: relaxed, who sees it late wakes or starts once more
 *   FLUSH-4    who kicks: kick                     the lane: kick, before it works     what there is to do, before it sleeps
 *   FLUSH-5    statistics and a test's knob: relaxed
 *   FLUSH-6    a sink's place: used                a lane, a reader without the lock   the sink before the flag
 *   FLUSH-7    a request to stop early: relaxed, the lock behind it orders
 *   FLUSH-8    what a pass has counted: relaxed, changed under `role`; a stale value costs a pass
 *   FLUSH-9    a wish to reopen                    a pass                              what the caller did before: a renaming
 *   FLUSH-10   a pass: complete                    mlog_flush(0)                       the files have what it says
 *   FLUSH-11   something is held back: relaxed, a hint for fork
 *   FLUSH-13   who makes or ends lanes: alone      a pass by a caller                  the lanes' memory before the flag
 *   FLUSH-14   threads shall end: generation, relaxed, the kick behind it carries (FLUSH-4)
 *   FLUSH-15   mode, ready, who polled last, a deadline that is over: relaxed, a call that overlaps a change goes either way
 *   LIFE-1     started: state                      every first call                    the configuration
 *   LIFE-2     clock and policy: relaxed, a call that overlaps a change stamps as before it
 *   LIFE-3     the end: closed                     lanes, late callers                 `closer` before the flag
 *   LIFE-4     exit began: relaxed, the ticket behind it orders (FLUSH-2)
 *   LIFE-5     exit: deadline, asleep = 2          a late call: asleep, fence, deadline    the deadline before `asleep` is 2
 *   LIFE-6     a child's adoption: witness         other threads of the child          everything that was reset
 *   LIFE-7     the first thread is gone: relaxed, a hint that is asked again
 *   LIFE-9     the pid: relaxed, whoever finds none asks the kernel
 *   LIFE-8     statements held back: relaxed, counts and a time that stand for themselves
 *
 * owns: layout of rings, space, padding, waiting, drops
 * may call: platform clock store record text
 */

/* FREE: no owner, empty, for the next thread. RETIRED: its owner has ended, the flusher reads it to the end. */
enum { MLOG__R_FREE, MLOG__R_LIVE, MLOG__R_RETIRED };

/* The ring as the banner draws it. Lines of 64 bytes by who writes them, so that owner and flusher do not take a line from each
 * other in each call. dropped and untold stand on the owner's side, but are touched only when something is lost. */
typedef struct {
    char magic[8];
    uint32_t version, byte_order, word_size, number; /* number: 2 * slot, + 1 for the side ring */
    uint64_t session, bytes;                         /* bytes: a power of two */
    /* tid: of the present owner; written before LIVE, so read only while its records are in the ring */
    uint32_t tid, state;
    mlog__u64 name[4];                               /* of the thread, NUL-terminated; changed only by its owner */
    mlog__u64 head __attribute__((aligned(64)));     /* the owner's line */
    mlog__u64 dropped[26];                           /* by level, the owner's */
    mlog__u64 untold[26];                            /* of these: not yet reported in the stream */
    mlog__u64 tail __attribute__((aligned(64)));     /* the flusher's line: the minimum over the sinks that hold */
    uint32_t waiting, filed;                         /* waiting: the owner, for room. filed: it survives the process */
    mlog__u64 cur[MLOG__SINKS];                      /* of a ring that is a file: how far each sink has written it, see store */
    unsigned char data[] __attribute__((aligned(512)));
} mlog__ring;

/* NONE: wiped or never used. BUSY or more: inside a call; a handler must not use this level. On x86-64 it is where on the stack the
 * call began, a multiple of 8, so that a call that was left by siglongjmp can be told from one that was interrupted. With WAITING
 * in it: for room; its clock is not read yet, so the flusher does not wait for it. */
enum { MLOG__T_NONE, MLOG__T_READY, MLOG__T_WAITING, MLOG__T_BUSY = 8 };

typedef struct { mlog_value v; long double ld; } mlog__staged_arg;

/* A call that cannot go straight into the ring: its arguments wait here until mlog1_end. */
typedef struct {
    /* NULL: the call began in the ring and lost its room, only to be counted */
    const mlog__site *site;
    mlog_logger *logger;
    /* as mlog1_begin got them; the classes say which of slot[] and arg[] holds an argument */
    uint64_t word, classes;
    /* error: errno at the call, for %m. drop: decided already, the arguments are taken and forgotten */
    int level, error, drop;
    uint64_t slot[16];
    mlog__staged_arg arg[16];
} mlog__stage;

/* What a thread needs for a call; all zero in a forked child, so that the first call there takes the slow path. Written by its
 * owner alone, but for `clock` and `policy`, which a change of the configuration sets (relaxed), and read by it and by a pass
 * (`state`). */
typedef struct mlog__thread {
    uintptr_t state;             /* MLOG__T_* */
    uintptr_t limit;             /* where a record may end without looking further, in `data`: behind it lies tail + bytes, or
                                  * the last word of the lap; 0: look */
    uintptr_t used;              /* bytes of the record in progress so far */
    mlog__u64 *head;             /* &ring->head, or &aside while a call is staged */
    unsigned char *data;
    /* context: the number that records carry, a copy of what mlog__context_now says; kept by who enters and leaves contexts */
    uint64_t mask, context;
    uint64_t *record;            /* start of the record in progress */
    uint64_t wide;               /* room that the fast copy of a text needs; out of reach where a tool watches every load */
    const uint32_t *attention;   /* non-zero there: mlog1_end has more to do */
    mlog__ring *ring;
    struct mlog__thread *outer, *inner; /* of the same slot: interrupted by a handler, for a handler */
    /* takes the commit of a staged call, so that mlog1_end needs no branch */
    mlog__u64 aside;
    /* clock: MLOG__TICKS_*, how this thread stamps its records. depth: 0 the thread, 1 and 2 handlers. policy: MLOG_WAIT, MLOG_BLOCK
     * or MLOG_DROP */
    uint32_t clock, staged, slot, depth, policy;
    uint32_t stored;             /* whether rings were files when its own were made */
    uintptr_t staged_at;         /* as in `state`, for the moment in which a staged call is READY */
    bool broken;                 /* a deadline expired: drop at once until a quarter of the ring is free */
    bool own_policy;             /* by mlog_thread: a later mlog_init leaves it */
    mlog__stage stage;
} mlog__thread;

/* By number; apart from what has initial values, so that it takes no room in a program. An entry is set once: a ring stays
 * mapped for the life of the process and goes from thread to thread, so that the flusher never meets one that is gone. */
static mlog__ring *mlog__ring_list[MLOG__RINGS];
static struct {
    uint32_t count;              /* rings [0, count) may exist */
    /* bytes of all rings without their heads; of the next thread's ring; the bound on all; the most there ever was */
    mlog__u64 total, bytes_each, total_limit, peak;
    /* threads that have a state: below two, a pass need not wait for anybody's call in progress */
    uint32_t live;
    uint32_t asleep;             /* callers look at it after a record: 1 deep sleep or not started, 2 each call finishes itself,
                                  * 3 MLOG_DIRECT */
    uint32_t alone;              /* there is no flusher's thread: passes are made by those who call */
    uint32_t always;             /* constant 1 */
    uint32_t full, full_ms;      /* policy */
    uint32_t closed;             /* the process is at its very end: nobody makes room any more */
} mlog__ring_all = {.asleep = 1, .always = 1, .full = MLOG_WAIT, .full_ms = 100, .bytes_each = 1 << 20, .total_limit = 64 << 20};

/* Is a level with this state in the middle of a record? */
static bool mlog__ring_writes(uintptr_t state) { return state >= MLOG__T_BUSY && (state & MLOG__T_WAITING) == 0; }

/* How often this thread holds what the flusher needs (the configuration's lock, a role): a call on top of it, in a handler or a
 * callback, must not wait for room that nobody could make. */
MLOG__TLS uint8_t mlog__ring_never_wait;

/* A ring in a mapping of its own; touch: with all its pages, so that no call meets a page fault. NULL: no memory. */
static mlog__ring *mlog__ring_create(uint32_t number, uint64_t bytes, bool touch) {
    size_t size = sizeof(mlog__ring) + (size_t)bytes;
    mlog__ring *r = mlog__store_ring(number, size, touch);
    bool filed = r != NULL;
    if (!filed) r = mlog__platform_map(size, true, touch);
    if (r == NULL) return NULL;
    r->filed = filed;
    mlog__platform_keep_from_child(r, size);
    memcpy(r->magic, "mlogring", 8);
    r->version = 1;
    r->byte_order = 0x01020304;
    r->word_size = (uint32_t)sizeof(void *);
    r->number = number;
    r->bytes = bytes;
    r->state = MLOG__R_LIVE;
    return r;
}

/* Makes t write into r. */
static void mlog__ring_attach(mlog__thread *t, mlog__ring *r) {
    t->ring = r;
    t->head = &r->head;
    t->data = r->data;
    t->mask = r->bytes - 1;
    t->limit = 0; /* the first record computes it */
}

/* Moves t->limit up to what is free now, but not over the end of the lap: the fast path then needs one comparison for both. The
 * last word of a lap is always padding: a record that ended there would leave a limit above the whole of the next lap. */
static void mlog__ring_look(mlog__thread *t, uint64_t head) {
    mlog__ring *r = t->ring;
    uint64_t room = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) + r->bytes; /* RING-2 */
    uint64_t lap = head & ~t->mask, last = t->mask + 1 - 8;
    t->limit = (uintptr_t)t->data + (uintptr_t)MLOG__MIN(room - lap, last);
}

/* Fills the rest of the lap when `bytes` do not fit before the wrap. False: the padding has no room yet. It is a record like
 * others, so it has to lie before tail + bytes, too; at least one word is left, since all lengths are multiples of 8. */
static bool mlog__ring_pad(mlog__thread *t, uint64_t bytes) {
    mlog__ring *r = t->ring;
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED), wrap = (head | t->mask) + 1;
    if (head + bytes < wrap) return true;
    if (wrap > __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) + r->bytes) return false; /* RING-2 */
    /* its time is never read: padding is passed over before anybody looks at times */
    uint64_t pad = mlog__record_header(MLOG__S_PAD, (wrap - head) / 8, 0);
    memcpy(t->data + (head & t->mask), &pad, 8);
    __atomic_store_n(&r->head, wrap, __ATOMIC_RELEASE); /* RING-1 */
    return true;
}

/* Is there room for a record of `bytes`? Pads where needed, never waits. Padding that was written stays, also when the answer
 * is no. */
static bool mlog__ring_room(mlog__thread *t, uint64_t bytes) {
    if (!mlog__ring_pad(t, bytes)) return false;
    uint64_t head = __atomic_load_n(&t->ring->head, __ATOMIC_RELAXED);
    mlog__ring_look(t, head);
    return (uintptr_t)t->data + (head & t->mask) + bytes <= t->limit;
}

/* Bytes free at this moment; the owner's view, so it can only grow until the owner writes. */
static uint64_t mlog__ring_free(const mlog__ring *r) {
    return r->bytes - (__atomic_load_n(&r->head, __ATOMIC_RELAXED) - __atomic_load_n(&r->tail, __ATOMIC_RELAXED)); /* RING-2 */
}

/* One sleep until the tail moves. The look at tail comes after the store of `waiting`, with a full fence between: else the
 * flusher could free the room, see nobody waiting, and the owner sleep on. */
static void mlog__ring_sleep(mlog__ring *r, uint64_t bytes, int ms) {
    __atomic_store_n(&r->waiting, 1, __ATOMIC_RELAXED); /* RING-4 */
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* RING-4 with mlog__ring_release */
    if (mlog__ring_free(r) < bytes) {
        mlog__flush_make_room();
        bool alone = __atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED); /* FLUSH-13 */
        mlog__platform_wait(&r->waiting, 1, alone ? 1 : ms); /* alone: nobody but us may look at a blocked sink again */
    }
    __atomic_store_n(&r->waiting, 0, __ATOMIC_RELAXED); /* RING-4 */
}

static uint32_t mlog__ring_policy(const mlog__thread *t) { return __atomic_load_n(&t->policy, __ATOMIC_RELAXED); } /* LIFE-2 */

/* Waits for room as the policy says. False: drop. After one expiry it drops at once until a quarter of the ring is free: a dead
 * disk costs one deadline, not one a call. A handler on top of a call never waits: it would hold up the record below it. */
static bool mlog__ring_wait(mlog__thread *t, uint64_t bytes) {
    mlog__ring *r = t->ring;
    if (t->broken && mlog__ring_free(r) * 4 >= r->bytes) t->broken = false;
    if (mlog__ring_room(t, bytes)) return true;
    bool never = mlog__ring_never_wait || t->outer != NULL || __atomic_load_n(&mlog__ring_all.closed, __ATOMIC_RELAXED); /* LIFE-3 */
    bool alone = __atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED); /* FLUSH-13 */
    if (alone && !never) never = mlog__platform_in_handler(true); /* perhaps the interrupted thread is the one that makes room */
    if (!alone && (mlog__ring_policy(t) == MLOG_DROP || t->broken)) never = true;
    if (never) return mlog__flush_wake(), false;
    int64_t full_ms = __atomic_load_n(&mlog__ring_all.full_ms, __ATOMIC_RELAXED); /* LIFE-2 */
    int64_t deadline = mlog__platform_clock(CLOCK_MONOTONIC) + full_ms * 1000000;
    uintptr_t state = t->state;
    /* RING-3: its clock is not read yet: nobody waits for this call */
    __atomic_store_n(&t->state, state | MLOG__T_WAITING, __ATOMIC_RELAXED);
    if (alone) mlog__flush_make_room();
    bool room = mlog__ring_room(t, bytes), patient = mlog__ring_policy(t) != MLOG_DROP && !t->broken;
    /* asked after each look at the ring: room that came in the last moment still counts */
    for (; !room && patient; room = mlog__ring_room(t, bytes)) {
        int64_t left = deadline - mlog__platform_clock(CLOCK_MONOTONIC);
        uint32_t policy = mlog__ring_policy(t);
        if (policy == MLOG_WAIT && left <= 0) break;
        /* twice: a record and the padding before it. 100 ms with MLOG_BLOCK: time and again, in case that the flusher has to be
         * started */
        mlog__ring_sleep(r, MLOG__MIN(2 * bytes, r->bytes / 2), policy == MLOG_WAIT ? (int)(left / 1000000) + 1 : 100);
    }
    __atomic_store_n(&t->state, state, __ATOMIC_RELAXED); /* RING-3 */
    if (patient) t->broken = !room;
    return room;
}

/* A thread may name itself while the flusher reads its name: words keep that from being a data race. */
static void mlog__ring_set_name(mlog__ring *r, const char *name) {
    char text[sizeof r->name] = "";
    uint64_t words[4];
    size_t n = strlen(name);
    /* 31 bytes and the NUL; a longer name ends with a whole character */
    memcpy(text, name, n < sizeof text ? n : mlog__text_utf8_cut(name, sizeof text - 1));
    memcpy(words, text, sizeof words);
    for (int i = 0; i < 4; i++) __atomic_store_n(&r->name[i], words[i], __ATOMIC_RELAXED); /* RING-5 */
}

static inline void mlog__ring_get_name(const mlog__ring *r, uint64_t name[4]) {
    name[0] = __atomic_load_n(&r->name[0], __ATOMIC_RELAXED); /* RING-5 */
    for (int i = 1; i < 4; i++) name[i] = name[0] == 0 ? 0 : __atomic_load_n(&r->name[i], __ATOMIC_RELAXED); /* RING-5 */
}

/* One call lost: for the statistics, and for the report that the stream still owes. Levels outside of the scale count at its
 * ends. */
static void mlog__ring_drop(mlog__ring *r, int level) {
    int i = level < 0 ? 0 : level > 25 ? 25 : level;
    /* RING-6: counters: no order; atomic for handlers and the overflow ring */
    __atomic_fetch_add(&r->dropped[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&r->untold[i], 1, __ATOMIC_RELAXED); /* RING-6 */
}

/* Takes the losses that nobody reported yet, as words {level:8 | count:56}; returns how many words. By exchange: a handler's
 * loss between a load and a store would be forgotten. */
static int mlog__ring_untold(mlog__ring *r, uint64_t out[26]) {
    int n = 0;
    for (uint64_t i = 0; i < 26; i++) {
        if (__atomic_load_n(&r->untold[i], __ATOMIC_RELAXED) == 0) continue; /* RING-6 */
        uint64_t count = __atomic_exchange_n(&r->untold[i], 0, __ATOMIC_RELAXED); /* RING-6 */
        if (count != 0) out[n++] = i | count << 8;
    }
    return n;
}

/* For the flusher: everything before `tail` may be written over. The fence is its cost of RING-4. last: of this pass; before
 * that a waiting owner is woken only for a quarter of the ring, or it would wake up for each batch. told: the tail at which it was
 * last looked for; without new room it sleeps on, or it and the flusher would wake each other as long as a sink is stuck. */
static void mlog__ring_release(mlog__ring *r, uint64_t tail, uint64_t *told, bool last) {
    if (tail == *told) return;
    __atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE); /* RING-2 */
    if (!last && mlog__ring_free(r) < r->bytes / 4) return;
    *told = tail;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);            /* RING-4 with mlog__ring_sleep */
    if (__atomic_load_n(&r->waiting, __ATOMIC_RELAXED) != 0) { /* RING-4 */
        __atomic_store_n(&r->waiting, 0, __ATOMIC_RELAXED); /* RING-4 */
        mlog__platform_wake(&r->waiting);
    }
}

/* ==== thread ====
 * The call. Each thread has a slot: a page with its state, a ring, a side ring for handlers that interrupt a call. The
 * thread-local pointer leads to the state that the next call uses: that of the thread, of the handler on top of it, or of a
 * third level, whose records go to the process's emergency ring. The pages are wiped in a child, so that nothing of the
 * parent's is touched there.
 *
 *   SLOT 0      of the process: ring 0 emergency (handlers with nowhere else to go), ring 1 overflow (threads without a ring)
 *   SLOT n      page {level[0] of the thread, level[1] of a handler on top of a call, level[2] of one on top of that}
 *               rings 2n (level 0) and 2n + 1 (level 1, 16 KiB); level 2 has none
 *   STATE       UNUSED --make--> TAKEN --thread ends--> its rings RETIRED --flusher has read them--> UNUSED
 *
 *   A CALL      fast:    state BUSY · header and time at head · slots and payloads behind · head · state READY
 *               staged:  the arguments go into the thread's stage; mlog1_end makes the record of them. For first calls, formats
 *                        that need a look at an argument, threads without a ring, contexts without a slot, a full ring
 *               reserve: staged, in a level of the process's, for a shared ring. For handlers on top of the making of their thread's
 *                        state, or deeper than the levels go
 *               junk:    no memory, or no reserve left: counted as dropped, the arguments go where nobody reads
 *
 * Signals: a handler may come between any two instructions. Its call sees the state of the level that the pointer leads to.
 * READY: nothing of the interrupted call lies in the ring yet (or all of it), so the handler may use the same level, and leaves
 * head where the interrupted call will load it. Anything else: the next level. The plain stores around `state` are kept in
 * their places by signal fences, which cost no instruction; other threads read `state` only for RING-3.
 *
 * siglongjmp out of a handler that interrupted a call leaves its level BUSY, and the calls that follow on the next one. It is
 * free again when a later call stands, with frames of its own, where that call's began: two that live do not share a place, on
 * whatever stack, so nothing that the call was may ever run again. While it lives, what interrupted it runs below its red zone
 * or elsewhere. What lay behind head was no record yet. x86-64 only; elsewhere, and where nothing comes by that place, the next
 * level goes on to serve, until jumps have taken all of them: then calls are counted as dropped. A jump from a handler into another one that has logged can tear the record below both.
 *
 * owns: slots, the thread-local pointer, begin and end of a record, writing of encoded values
 * may call: platform clock record dict rule context ring text printf
 */

enum { MLOG__S_UNUSED, MLOG__S_TAKEN };
/* Three levels: a handler on top of a handler on top of a call is the most that is seen; more is counted as dropped. */
typedef struct { mlog__thread level[3]; } mlog__page; /* main, side, last */

static struct {
    unsigned char *pages;        /* MLOG__SLOTS pages, wiped in a child */
    /* MLOG__S_*; taken by a thread, given back by the flusher, or by the thread itself when it had no ring */
    uint8_t state[MLOG__SLOTS];
#ifndef METALOG_NO_THREADS
    pthread_key_t key;           /* tells that a thread ends */
#endif
    uint32_t key_made;
    /* by level, as in a ring; what is untold goes out when somebody flushes, and at the end */
    mlog__u64 dropped[26], dropped_untold[26]; /* calls that had no ring to count in */
    uint32_t main_gone;          /* the first thread has ended by pthread_exit */
} mlog__thread_all;

/* Where the pointer of a thread that never logged leads: all zero, so that its first call finds no state READY and goes the
 * slow way without a test of its own. Constant: it can be shared, and a write would show at once. */
static const mlog__thread mlog__thread_none;
/* Where calls write that have nowhere to write: its bytes are never read. No text takes the quick way there. */
static mlog__thread mlog__thread_junk = {.wide = UINT64_C(1) << 62};
MLOG__TLS mlog__thread *mlog__thread_self = (mlog__thread *)(uintptr_t)&mlog__thread_none;
MLOG__TLS mlog__thread *mlog__thread_before_junk;
/* making: inside mlog__thread_make. dying: its ring was handed over. junk_depth: calls that stand on the junk. */
MLOG__TLS uint8_t mlog__thread_dying, mlog__thread_junk_depth;
/* where on the stack these began, as in `state` */
MLOG__TLS uintptr_t mlog__thread_making, mlog__thread_junk_at;

/* CALL_AT: the place of the return address of the function in which it stands. BUSY_HERE: no instruction more than a constant would
 * cost. It lies in the 128 bytes below the caller's frame that no handler touches, and without optimization at least above the signal's
 * frame, which takes a thousand. FRAME: what the public functions put between their caller and what they call. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define MLOG__CALL_AT ((uintptr_t)__builtin_frame_address(0) + 8)
#else
#define MLOG__CALL_AT ((uintptr_t)MLOG__T_BUSY)
#endif
#if defined(__x86_64__) && !defined(__ILP32__) && defined(__OPTIMIZE__)
#define MLOG__BUSY_HERE(t) __asm__ volatile("movq %%rsp, %0" : "=m"((t)->state))
#else
#define MLOG__BUSY_HERE(t) __atomic_store_n(&(t)->state, MLOG__CALL_AT, __ATOMIC_RELAXED) /* RING-3 */
#endif

#ifdef __OPTIMIZE__
enum { MLOG__CALL_FRAME = 80 };
#else
enum { MLOG__CALL_FRAME = 512 };
#endif

/* Do the frames from `top` down to this one, which are those of one call, lie where another one began? 16 KiB: as large as frames in
 * one piece may be; a stack of several pieces is none. */
MLOG__COLD static bool mlog__thread_gone(uintptr_t at, uintptr_t top) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    at &= ~(uintptr_t)7;
    return at > MLOG__T_BUSY && at <= top + MLOG__CALL_FRAME && at >= here && top - here < 16384;
}

/* Used in turn, so that the objects of one call (16 at most, 16 KiB each) live until it returns; touched only where used. */
MLOG__TLS unsigned char *mlog__thread_objects;
MLOG__TLS uint32_t mlog__thread_object_at;

/* Memory for the objects of threads whose ring was handed over: destructors that run later may still make some, and nobody hears
 * when such a thread has ended. So the next one takes over what a dead one left. */
static struct { uint32_t tid; unsigned char *objects; } mlog__thread_left[64];

enum { MLOG__PAGE_BYTES = (sizeof(mlog__page) + MLOG__PAGE - 1) / MLOG__PAGE * MLOG__PAGE };

static mlog__page *mlog__thread_page(uint32_t slot) {
    return (mlog__page *)(void *)(mlog__thread_all.pages + (size_t)slot * MLOG__PAGE_BYTES);
}

/* The page that t is a level of. Not for a wiped one. */
static mlog__page *mlog__thread_page_of(mlog__thread *t) { return (mlog__page *)(void *)(t - t->depth); }

/* Slot of a thread struct, also of a wiped one. 0: it has none. */
static uint32_t mlog__thread_slot(const mlog__thread *t) {
    const unsigned char *p = (const unsigned char *)t, *base = mlog__thread_all.pages;
    /* mlog__thread_none, the junk and the shared rings' states lie elsewhere */
    if (base == NULL || p < base || p >= base + (size_t)MLOG__SLOTS * MLOG__PAGE_BYTES) return 0;
    return (uint32_t)((size_t)(p - base) / MLOG__PAGE_BYTES);
}

/* Counts a lost call in its ring, or for the process when there is no ring to count in. Every call that returns is counted
 * once: as a record in a ring, or here, or in mlog__ring_drop. */
static void mlog__thread_note_drop(mlog__thread *t, int level) {
    int i = level < 0 ? 0 : level > 25 ? 25 : level;
    if (t != NULL && t->ring != NULL) mlog__ring_drop(t->ring, i);
    else {
        __atomic_fetch_add(&mlog__thread_all.dropped[i], 1, __ATOMIC_RELAXED); /* RING-6 */
        __atomic_fetch_add(&mlog__thread_all.dropped_untold[i], 1, __ATOMIC_RELAXED); /* RING-6 */
    }
}

/* All pages in one mapping: one advice to wipe it, and the kernel keeps one area instead of thousands. Where the advice is
 * missing, children of fork() are still put right by its handlers; those of a raw clone are not. */
static bool mlog__thread_pages_open(void) {
    if (__atomic_load_n(&mlog__thread_all.pages, __ATOMIC_ACQUIRE) != NULL) return true; /* THREAD-5 */
    unsigned char *p = mlog__platform_map((size_t)MLOG__SLOTS * MLOG__PAGE_BYTES, false, false), *none = NULL;
    if (p == NULL) return false;
    (void)mlog__platform_wipe_in_child(p, (size_t)MLOG__SLOTS * MLOG__PAGE_BYTES);
    if (!__atomic_compare_exchange_n(&mlog__thread_all.pages, &none, p, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) /* THREAD-5 */
        mlog__platform_unmap(p, (size_t)MLOG__SLOTS * MLOG__PAGE_BYTES);
    return true;
}

/* A free slot: one whose ring has the wanted size, else one without a ring while the total allows another, else one with any
 * ring, else any. 0: none. So threads that come and go use the same few rings again, and a pool of rings never outgrows the
 * total. */
static uint32_t mlog__thread_take_slot(uint64_t bytes) {
    /* a guess: mlog__thread_ring decides */
    uint64_t limit = __atomic_load_n(&mlog__ring_all.total_limit, __ATOMIC_RELAXED); /* LIFE-2 */
    bool more = __atomic_load_n(&mlog__ring_all.total, __ATOMIC_RELAXED) + bytes <= limit; /* THREAD-6 */
    uint32_t store = __atomic_load_n(&mlog__store.on, __ATOMIC_ACQUIRE); /* STORE-1 */
    /* 4 * 4095 bytes to look at in the worst case, once in the life of a thread */
    for (int round = 0; round < 4; round++)
        for (uint32_t i = 1; i < MLOG__SLOTS; i++) {
            uint8_t unused = MLOG__S_UNUSED;
            if (__atomic_load_n(&mlog__thread_all.state[i], __ATOMIC_RELAXED) != MLOG__S_UNUSED) continue; /* THREAD-1 */
            const mlog__ring *r = __atomic_load_n(&mlog__ring_list[2 * i], __ATOMIC_ACQUIRE); /* THREAD-7 */
            if (r != NULL && r->filed != store && store) continue; /* made before the files were */
            if (round == 0 ? r == NULL || r->bytes != bytes : round == 1 ? r != NULL || !more : round == 2 && r == NULL) continue;
            uint8_t *state = &mlog__thread_all.state[i];
            /* THREAD-1 */
            if (__atomic_compare_exchange_n(state, &unused, MLOG__S_TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return i;
        } /* THREAD-1: acquire pairs with the release of mlog__thread_recycle: the ring is empty and nobody reads its old owner */
    return 0;
}

/* Makes sure that ring `number` exists; its size by what is left of the total. The bytes are booked before the mapping is made,
 * so that threads that start together cannot exceed the total; rings 0 and 1 are made in any case. NULL: over the total, or no
 * memory. */
static mlog__ring *mlog__thread_ring(uint32_t number, uint64_t bytes, bool touch) {
    mlog__ring *r = __atomic_load_n(&mlog__ring_list[number], __ATOMIC_ACQUIRE); /* THREAD-7 */
    if (r != NULL) return r;
    uint64_t limit = __atomic_load_n(&mlog__ring_all.total_limit, __ATOMIC_RELAXED); /* LIFE-2 */
    uint64_t total = __atomic_add_fetch(&mlog__ring_all.total, bytes, __ATOMIC_RELAXED); /* THREAD-6 */
    /* no room for a whole one: a small one, before it has to share */
    if (total > limit && bytes > MLOG__SMALL_RING) {
        __atomic_fetch_sub(&mlog__ring_all.total, bytes, __ATOMIC_RELAXED); /* THREAD-6 */
        return mlog__thread_ring(number, MLOG__SMALL_RING, touch);
    }
    bool over = total > limit && number > 1;
    r = over ? NULL : mlog__ring_create(number, bytes, touch);
    if (r == NULL) return __atomic_fetch_sub(&mlog__ring_all.total, bytes, __ATOMIC_RELAXED), (mlog__ring *)NULL; /* THREAD-6 */
    /* before it is published: a reader after a crash matches rings and session by it */
    r->session = mlog__dict_session == NULL ? 0 : mlog__dict_session->id;
    uint64_t peak = __atomic_load_n(&mlog__ring_all.peak, __ATOMIC_RELAXED); /* THREAD-6 */
    while (peak < total &&
           /* THREAD-6 */
           !__atomic_compare_exchange_n(&mlog__ring_all.peak, &peak, total, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    __atomic_store_n(&mlog__ring_list[number], r, __ATOMIC_RELEASE); /* THREAD-7: before the count, so that a pass that sees it finds the ring */
    uint32_t count = __atomic_load_n(&mlog__ring_all.count, __ATOMIC_RELAXED); /* THREAD-7 */
    while (count <= number &&
           /* THREAD-7 */
           !__atomic_compare_exchange_n(&mlog__ring_all.count, &count, number + 1, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
    return r;
}

/* As the configuration has it now. */
static void mlog__thread_set_clock(mlog__thread *t) {
    uint32_t clock = __atomic_load_n(&mlog__dict_session->clock_mode, __ATOMIC_RELAXED); /* LIFE-2 */
    uint32_t full = __atomic_load_n(&mlog__ring_all.full, __ATOMIC_RELAXED);             /* LIFE-2 */
    __atomic_store_n(&t->clock, clock, __ATOMIC_RELAXED);                                /* LIFE-2 */
    __atomic_store_n(&t->policy, full, __ATOMIC_RELAXED);                                /* LIFE-2 */
}

/* Fills one level of a page. Its state stays NONE until all three are ready. */
static void mlog__thread_prepare(mlog__page *page, uint32_t slot, uint32_t depth) {
    mlog__thread *t = &page->level[depth];
    __atomic_store_n(&t->own_policy, false, __ATOMIC_RELAXED); /* LIFE-2 */
    t->slot = slot;
    t->depth = depth;
    mlog__thread_set_clock(t);
    t->context = mlog__context_number(mlog__context_now);
    t->outer = depth > 0 ? &page->level[depth - 1] : NULL;
    t->inner = depth < 2 ? &page->level[depth + 1] : NULL;
    t->attention = depth > 0 ? &mlog__ring_all.always : &mlog__ring_all.asleep;
    t->staged = 0;
    /* 40: two stores of 16 bytes, and 8 to spare; a text of 31 bytes takes 32 */
    t->wide = mlog__platform_on_valgrind() ? UINT64_C(1) << 62 : 40;
    t->limit = 0;
    t->head = &t->aside;
    t->ring = NULL; /* the last owner's, if any */
    t->stored = __atomic_load_n(&mlog__store.on, __ATOMIC_RELAXED); /* STORE-1 */
    t->broken = false;
}

/* Rings for a slot that was taken: its own and the side ring, or none when the total allows no more. */
static void mlog__thread_make_rings(mlog__page *page, uint32_t slot, uint64_t ring_bytes) {
    mlog__ring *own = mlog__thread_dying ? NULL : mlog__thread_ring(2 * slot, ring_bytes, true);
    mlog__ring *both[2] = {own, own == NULL ? NULL : mlog__thread_ring(2 * slot + 1, MLOG__SIDE_BYTES, false)};
    for (int i = 0; i < 2; i++) {
        if (both[i] == NULL) continue;
        mlog__ring_attach(&page->level[i], both[i]);
        both[i]->tid = mlog__platform_tid();
        mlog__ring_set_name(both[i], "");
        __atomic_store_n(&both[i]->state, MLOG__R_LIVE, __ATOMIC_RELAXED); /* THREAD-2 */
    }
}

/* A page for a thread that found no slot: its records go to the overflow ring. NULL: no memory. */
static mlog__page *mlog__thread_page_alone(void) {
    mlog__page *page = mlog__platform_map(MLOG__PAGE_BYTES, false, false);
    if (page != NULL) (void)mlog__platform_wipe_in_child(page, MLOG__PAGE_BYTES);
    return page;
}

/* The thread has no state any more. Returns the slot that is still taken, 0: it had none. */
static uint32_t mlog__thread_retire(mlog__thread *t) {
    uint32_t slot = mlog__thread_slot(t);
    mlog__page *page = mlog__thread_page_of(t);
    mlog__thread_self = (mlog__thread *)(uintptr_t)&mlog__thread_none;
    for (int i = 0; i < 3; i++) __atomic_store_n(&page->level[i].state, MLOG__T_NONE, __ATOMIC_RELAXED); /* RING-3 */
    __atomic_fetch_sub(&mlog__ring_all.live, 1, __ATOMIC_RELAXED); /* THREAD-6 */
    if (slot == 0) mlog__platform_unmap(page, MLOG__PAGE_BYTES);
    return slot;
}

/* Its rings stay until the flusher has read them; it gives them back then. */
static void mlog__thread_hand_over(mlog__thread *t) {
    uint32_t slot = mlog__thread_retire(t);
    bool rings = slot == 0;
    for (uint32_t i = 0; i < 2 && slot != 0; i++) {
        /* the side ring first: the pass that finds the main ring retired then finds both */
        mlog__ring *r = mlog__ring_list[2 * slot + 1 - i];
        if (r == NULL) continue;
        rings = true;
        __atomic_store_n(&r->state, MLOG__R_RETIRED, __ATOMIC_RELEASE); /* THREAD-2: its last records before its end */
    }
    if (!rings) __atomic_store_n(&mlog__thread_all.state[slot], MLOG__S_UNUSED, __ATOMIC_RELEASE); /* THREAD-1 */
}

/* The calling thread's state, made on its first call (and on the first in a child). Safe in a handler: maps memory, takes a slot by
 * compare-and-swap. NULL: interrupted in the middle of this very function, or no memory. */
static mlog__thread *mlog__thread_make(uint64_t ring_bytes) {
    uintptr_t here = MLOG__CALL_AT;
    if (mlog__thread_making != 0 && !mlog__thread_gone(mlog__thread_making, here)) return NULL;
    if (!mlog__thread_pages_open() || mlog__dict_open() == NULL) return NULL;
    /* a handler from here on finds neither the old state nor a new one */
    mlog__thread_making = here;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    /* one that came before, behind the caller's look, has made it */
    if (mlog__thread_self->state != MLOG__T_NONE) return mlog__thread_making = 0, mlog__thread_self;
    uint32_t slot = mlog__thread_slot(mlog__thread_self); /* a child's main thread keeps its slot */
    uint8_t unused = MLOG__S_UNUSED;
    /* THREAD-1 */
    if (slot == 0 || !__atomic_compare_exchange_n(&mlog__thread_all.state[slot], &unused, MLOG__S_TAKEN, false, __ATOMIC_ACQUIRE,
                                                  __ATOMIC_RELAXED))
        slot = mlog__thread_take_slot(ring_bytes);
    mlog__thread *t = NULL;
    mlog__page *page = slot != 0 ? mlog__thread_page(slot) : mlog__thread_page_alone();
    if (page != NULL) {
        t = &page->level[0];
        for (uint32_t i = 0; i < 3; i++) mlog__thread_prepare(page, slot, i);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* LIFE-2 with mlog__life_resolve: it sees this slot, or this thread its clock */
        for (int i = 0; i < 3; i++) mlog__thread_set_clock(&page->level[i]);
        if (slot != 0) mlog__thread_make_rings(page, slot, ring_bytes);
        /* the level of the thread last: from then on handlers find all three */
        for (int i = 2; i >= 0; i--) __atomic_store_n(&page->level[i].state, MLOG__T_READY, __ATOMIC_RELAXED); /* RING-3 */
        __atomic_fetch_add(&mlog__ring_all.live, 1, __ATOMIC_RELAXED); /* THREAD-6 */
        /* glibc and musl keep the first 32 keys inside the thread: no allocation, also in a handler */
#ifndef METALOG_NO_THREADS
        bool tell = !mlog__thread_dying && __atomic_load_n(&mlog__thread_all.key_made, __ATOMIC_ACQUIRE); /* THREAD-8 */
        if (tell) pthread_setspecific(mlog__thread_all.key, (void *)1);
#endif
        mlog__thread_self = t;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    mlog__thread_making = 0;
    return t;
}

#ifndef METALOG_NO_THREADS
/* The thread ends: called up to four times by the C library, retires in the last round, so that destructors of others may log. */
static void mlog__thread_exit(void *round) {
    uintptr_t n = (uintptr_t)round;
#ifdef MLOG__SANITIZED /* ThreadSanitizer takes its own state down in the last round */
    const uintptr_t last = PTHREAD_DESTRUCTOR_ITERATIONS - 1;
#else
    const uintptr_t last = PTHREAD_DESTRUCTOR_ITERATIONS;
#endif
    /* set again, the key gets another round: our destructor runs before and after those of others */
    if (n < last) {
        pthread_setspecific(mlog__thread_all.key, (void *)(n + 1));
        return;
    }
    mlog__thread *t = mlog__thread_self;
    /* from here on a new slot gets no ring and no key: nobody would retire it */
    mlog__thread_dying = 1;
    /* the first thread by pthread_exit: the process lives on, and its end must be noticed by the flusher */
    if (mlog__platform_tid() == (uint32_t)getpid()) {
        __atomic_store_n(&mlog__thread_all.main_gone, 1, __ATOMIC_RELAXED); /* LIFE-7 */
        mlog__flush_wake();
    }
    mlog_context_unref(mlog__context_now);
    mlog__context_now = NULL;
    mlog__platform_drop_stack();
    /* the pointer first: a handler may come in between */
    unsigned char *objects = mlog__thread_objects;
    mlog__thread_objects = NULL;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    mlog__platform_unmap(objects, MLOG__OBJECTS * MLOG__OBJECT_BYTES);
    /* never logged, or a child that has not logged since its fork: nothing of this process to give back */
    if (t->state == MLOG__T_NONE) return;
    mlog__thread_hand_over(t);
}
#endif

/* The memory in which this thread makes its objects. NULL: there is none. More than 64 threads in their last destructors at once
 * leave theirs behind. */
static unsigned char *mlog__thread_object_memory(void) {
    const size_t bytes = (size_t)MLOG__OBJECTS * MLOG__OBJECT_BYTES;
    for (uint32_t i = 0; mlog__thread_dying && i < 64; i++) {
        uint32_t tid = __atomic_load_n(&mlog__thread_left[i].tid, __ATOMIC_RELAXED); /* THREAD-11 */
        if (tid != 0 && mlog__platform_alive(tid)) continue;
        /* THREAD-11 */
        if (!__atomic_compare_exchange_n(&mlog__thread_left[i].tid, &tid, mlog__platform_tid(), false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            continue;
        /* its contents are written before they are read, by each owner: the pointer is all that is handed on */
        unsigned char *p = __atomic_load_n(&mlog__thread_left[i].objects, __ATOMIC_RELAXED); /* THREAD-11 */
        if (p != NULL) return p;
        p = mlog__platform_map(bytes, false, false);
        __atomic_store_n(&mlog__thread_left[i].objects, p, __ATOMIC_RELAXED); /* THREAD-11 */
        return p;
    }
    return mlog__platform_map(bytes, false, false);
}

/* A thread whose destructors log after its ring was handed over has a slot for one call only: nobody would take it back later.
 * Its records went to the overflow ring. */
static void mlog__thread_give_back(mlog__thread *t) {
    uint32_t slot = mlog__thread_retire(t);
    if (slot != 0) __atomic_store_n(&mlog__thread_all.state[slot], MLOG__S_UNUSED, __ATOMIC_RELEASE); /* THREAD-1 */
}

/* For the flusher: both rings of a retired slot are read to the end. Positions go on where they are: an id is never used
 * twice. */
static void mlog__thread_recycle(uint32_t slot) {
    for (uint32_t i = 0; i < 2; i++) {
        mlog__ring *r = mlog__ring_list[2 * slot + i];
        if (r != NULL) __atomic_store_n(&r->state, MLOG__R_FREE, __ATOMIC_RELAXED); /* THREAD-2 */
    }
    __atomic_store_n(&mlog__thread_all.state[slot], MLOG__S_UNUSED, __ATOMIC_RELEASE); /* THREAD-1 */
}

/* -- writing whole records: what is staged, emitted, or has no fast path -- */

/* A record before its layout: pointers to what it shall hold, on the stack of one call. Nothing is copied before there is
 * room. */
typedef struct {
    uint64_t header, context, bound, to, time; /* optional words, as the header's flags say */
    const mlog_value *slot;
    uint32_t slots;
    const mlog_field *field;
    uint32_t fields, own;                      /* own: so many of them, from the first, go out like those of a bound logger */
    const unsigned char *ready;                /* fields that go out like that, too, and are encoded already */
    uint32_t ready_bytes, ready_count;
    mlog_context *inside;                      /* its fields go into the record, outermost first */
    mlog_context *inside_bound;                /* the same for the fields of a bound logger */
    uint32_t missing;                          /* fields that found no room; told by one of their own, "fields_cut" */
    int level;
} mlog__draft;

/* A heavy context brings its ancestors along, whether they have slots or not: a reader of the record gets all from one place. */
static uint64_t mlog__thread_chain_bytes(const mlog_context *c, uint32_t *count) {
    uint64_t bytes = 0;
    for (; c != NULL; c = c->parent) bytes += c->bytes, *count += c->count;
    return bytes;
}

/* Outermost first: readers let the later field win. As deep as contexts are nested; the bytes were measured and are bounded. */
static unsigned char *mlog__thread_put_chain(unsigned char *p, const mlog_context *c) {
    if (c == NULL) return p;
    p = mlog__thread_put_chain(p, c->parent);
    memcpy(p, c->fields, c->bytes);
    return p + c->bytes;
}

static const mlog__sized mlog__thread_note = {10, 0};
enum { MLOG__NOTE_BYTES = 32 }; /* head, "fields_cut" padded, slot */

/* Bytes of the record with every payload cut to `limit`; `size` is what was measured, of the slots and then of the fields.
 * Message and place of a record without a site are its slots: 64 bytes of each stay. 0x10000 in a kind: a maker's value, whose
 * kind and word take one word more. */
static uint64_t mlog__thread_draft_bytes(const mlog__draft *d, uint64_t limit, uint64_t chain, mlog__sized *size) {
    uint64_t bytes = 16 + 8 * (uint64_t)mlog__record_options(d->header) + 8 * (uint64_t)d->slots;
    uint64_t most = mlog__record_site(d->header) < MLOG__FIRST_SITE ? MLOG__MAX(limit, UINT64_C(64)) : limit;
    for (uint32_t i = 0; i < d->slots; i++, size++) {
        size->kept = (uint32_t)mlog__record_kept(&d->slot[i], most);
        bytes += mlog__record_payload(&d->slot[i], size->kept) + ((d->slot[i].kind & 0x10000) != 0 ? 8 : 0);
    }
    /* a word with the three counts comes first */
    if ((d->header & MLOG__F_FIELDS) == 0) return bytes;
    bytes += 8 + chain + d->ready_bytes + (d->missing != 0 ? MLOG__NOTE_BYTES : 0);
    for (uint32_t i = 0; i < d->fields; i++)
        bytes += mlog__record_measure(size++, d->field[i].key, &d->field[i].value, limit);
    return bytes;
}

/* The slots of the record and what they keep behind them; returns where the fields begin. */
static unsigned char *mlog__thread_put_slots(unsigned char *slot, const mlog__draft *d, const mlog__sized *size) {
    unsigned char *payload = slot + 8 * (size_t)d->slots;
    for (uint32_t i = 0; i < d->slots; i++) {
        mlog_value v = d->slot[i];
        bool maker = (v.kind & 0x10000) != 0; /* its kind stands in the slot, its word before its bytes */
        unsigned char *inner = payload;
        if (maker) payload += 8;
        uint64_t word = mlog__record_put(&v, &payload, size[i].kept);
        if (maker) memcpy(inner, &word, 8), word = v.kind & 0xFFFF;
        memcpy(slot + 8 * (size_t)i, &word, 8);
    }
    return payload;
}

/* Lays the record out at p, as mlog__thread_draft_bytes measured it. Plain stores: p lies behind head, where nobody reads until
 * it is released. */
static void mlog__thread_put_draft(unsigned char *p, const mlog__draft *d, uint64_t bytes, const mlog__sized *size,
                                   uint64_t ticks) {
    /* two that are always there and up to five optional ones, in the order of their flags */
    uint64_t words[8] = {d->header | (bytes / 8) << 32, ticks}, n = 2;
    if (d->header & MLOG__F_CONTEXT) words[n++] = d->context;
    if (d->header & MLOG__F_BOUND) words[n++] = d->bound;
    if (d->header & MLOG__F_TO) words[n++] = d->to;
    if (d->header & MLOG__F_TIME) words[n++] = d->time;
    if (d->header & MLOG__F_TID) words[n++] = mlog__platform_tid();
    memcpy(p, words, (size_t)n * 8);
    unsigned char *payload = mlog__thread_put_slots(p + n * 8, d, size);
    if ((d->header & MLOG__F_FIELDS) == 0) return;
    uint32_t chained = 0, bound = 0;
    unsigned char *count = payload;
    (void)mlog__thread_chain_bytes(d->inside, &chained);
    (void)mlog__thread_chain_bytes(d->inside_bound, &bound);
    payload += 8;
    if (d->missing != 0) { /* as a field of the context: the arguments of a format keep their places */
        mlog_value missing = mlog__val_u(d->missing);
        payload = mlog__record_put_field(payload, "fields_cut", &missing, &mlog__thread_note);
        chained++;
    }
    payload = mlog__thread_put_chain(mlog__thread_put_chain(payload, d->inside), d->inside_bound);
    if (d->ready_bytes != 0) memcpy(payload, d->ready, d->ready_bytes), payload += d->ready_bytes;
    bound += d->own + d->ready_count;
    for (uint32_t i = 0; i < d->fields; i++)
        payload = mlog__record_put_field(payload, d->field[i].key, &d->field[i].value, &size[d->slots + i]);
    /* 16 bits each: more fields than that are not looked at anyway */
    uint64_t counts = MLOG__MIN(chained, 65535u) | (uint64_t)MLOG__MIN(bound, 65535u) << 16;
    counts |= (uint64_t)(chained + bound + d->fields - d->own) << 32;
    memcpy(count, &counts, 8);
}

/* What the clock says now, in the ticks of this process. Read after the space is reserved: a call that waited is as young as it
 * looks. */
static uint64_t mlog__thread_stamp(uint32_t mode) {
    if (MLOG__UNLIKELY(mode == MLOG__TICKS_LOOK)) mode = __atomic_load_n(&mlog__dict_session->clock_mode, __ATOMIC_RELAXED); /* LIFE-2 */
    if (MLOG__LIKELY(mode == MLOG__TICKS_COUNTER)) return mlog__clock_counter();
    return mode == MLOG__TICKS_ARRIVAL ? 0 : mlog__life_ticks();
}

/* What was lost since the last report goes into the ring before the next record: the gap shows where it was. Without room it
 * stays owed, and the counters keep it. The level is kept per word, so that a sink for errors can pass over lost debug
 * records. */
static void mlog__thread_tell_loss(mlog__thread *t) {
    uint64_t words[2 + 26], *lost = words + 2;
    if (!mlog__ring_room(t, sizeof words + 64)) return;
    int n = mlog__ring_untold(t->ring, lost);
    if (n == 0) return;
    words[0] = mlog__record_header(MLOG__S_LOSS, 2 + (uint64_t)n, 0);
    words[1] = mlog__thread_stamp(t->clock);
    uint64_t head = __atomic_load_n(t->head, __ATOMIC_RELAXED);
    memcpy(t->data + (head & t->mask), words, (2 + (size_t)n) * 8);
    __atomic_store_n(t->head, head + (2 + (uint64_t)n) * 8, __ATOMIC_RELEASE); /* RING-1 */
}

/* The bytes of its heavy contexts, whose fields are counted in *count. */
static uint64_t mlog__thread_chains(const mlog__draft *d, uint32_t *count) {
    return mlog__thread_chain_bytes(d->inside, count) + mlog__thread_chain_bytes(d->inside_bound, count);
}

/* Rather the record without its heavy contexts than no record. Returns the bytes that are left of them. */
static uint64_t mlog__thread_without_chains(mlog__draft *d) {
    (void)mlog__thread_chains(d, &d->missing);
    d->inside = d->inside_bound = NULL;
    return 0;
}

/* Measures a record, and cuts it to at most `most` bytes; returns its bytes. First all payloads to the same limit, halved until
 * it fits (numbers and keys stay), then the fields of heavy contexts go, then its own from the last on. What is left fits the
 * smallest ring: a message, its place and 17 arguments are less than 900 bytes. */
static uint64_t mlog__thread_fit(mlog__draft *d, uint64_t most, mlog__sized *size) {
    uint32_t ignored = 0;
    uint64_t limit = most, bytes, chain = mlog__thread_chains(d, &ignored);
    if (chain > most / 2) chain = mlog__thread_without_chains(d);
    while ((bytes = mlog__thread_draft_bytes(d, limit, chain, size)) > most) {
        if (limit > 0) limit /= 2; /* at most 23 rounds, for monsters only */
        else if (chain > 0) chain = mlog__thread_without_chains(d);
        else if (d->fields > 0) d->fields--, d->missing++, d->own = MLOG__MIN(d->own, d->fields);
        else if (d->ready_count > 0) d->missing += d->ready_count, d->ready_count = d->ready_bytes = 0;
        else break;
    }
    return bytes;
}

/* Writes a whole record into t's ring, waiting as the policy says. False: dropped (not counted here). At most a quarter of the
 * ring, so that there is always room for padding and another record, and no single call can hold up a ring. */
static bool mlog__thread_write(mlog__thread *t, mlog__draft *d) {
    /* 8 MiB: what 20 bits of length can say */
    mlog__sized size[20 + MLOG__FIELDS];
    uint64_t most = MLOG__MIN(t->ring->bytes / 4, UINT64_C(8) << 20) - 64, bytes = mlog__thread_fit(d, most, size);
    if (bytes > most || !mlog__ring_wait(t, bytes)) return false;
    mlog__thread_tell_loss(t);
    if (!mlog__ring_wait(t, bytes)) return false; /* the report took some of it */
    uint64_t head = __atomic_load_n(t->head, __ATOMIC_RELAXED);
    mlog__thread_put_draft(t->data + (head & t->mask), d, bytes, size, mlog__thread_stamp(t->clock));
    __atomic_store_n(t->head, head + bytes, __ATOMIC_RELEASE); /* RING-1 */
    return true;
}

/* The state that a shared ring is written with: one for all its threads, under the lock. */
static mlog__thread mlog__thread_spare[2];
static uint32_t mlog__thread_spare_lock[2];

/* The emergency ring (0) and the overflow ring (1: for threads that have no ring), shared under a lock. A handler neither waits for
 * the lock, which the call that it interrupted may hold, nor for room. False: the lock is taken. */
static bool mlog__thread_write_spare(mlog__draft *d, uint32_t number, bool handler) {
    mlog__thread *t = &mlog__thread_spare[number];
    uint32_t *lock = mlog__thread_spare_lock;
    uint32_t free_ = 0, me = mlog__platform_tid();
    while (!__atomic_compare_exchange_n(&lock[number], &free_, me, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) { /* THREAD-3: the lock */
        if (handler) return false;
        if (free_ == me) break; /* no handler, and the lock is ours: a siglongjmp left it */
        free_ = 0;
        mlog__platform_nap(50000);
    }
    mlog__ring *r = mlog__thread_ring(number, MLOG__SPARE_BYTES, false);
    if (r != NULL && t->ring != r) mlog__ring_attach(t, r);
    mlog__thread_set_clock(t);
    if (handler) t->policy = MLOG_DROP;
    d->header |= MLOG__F_TID;
    bool written = r != NULL && mlog__thread_write(t, d);
    if (!written && r != NULL) mlog__ring_drop(r, d->level);
    if (!written && r == NULL) mlog__thread_note_drop(NULL, d->level);
    __atomic_store_n(&lock[number], 0, __ATOMIC_RELEASE); /* THREAD-3 */
    return true; /* counted, one way or the other */
}

/* Writes the draft wherever this thread may write; counts it as dropped where it may not. The only place that decides between a
 * ring of its own, the overflow ring and the emergency ring. */
static bool mlog__thread_commit(mlog__thread *t, mlog__draft *d) {
    bool done, handler = t->depth > 0 || (t->ring == NULL && mlog__platform_in_handler(false));
    if (t->ring != NULL) done = mlog__thread_write(t, d);
    else done = mlog__thread_write_spare(d, 1, handler) || mlog__thread_write_spare(d, 0, true);
    if (!done) mlog__thread_note_drop(t, d->level);
    return done;
}

/* Context and logger of a draft: by number, or inside the record when they have none. to: level and logger are not those of the
 * site. */
static void mlog__thread_put_context(mlog__draft *d, mlog_logger *logger, int level, bool to) {
    uint64_t number = mlog__context_number(mlog__context_now);
    mlog_context *bound = logger == NULL ? NULL : logger->bound;
    d->level = level;
    if (number == MLOG__HEAVY) d->inside = mlog__context_now, d->header |= MLOG__F_FIELDS;
    else if (number != 0) d->context = number, d->header |= MLOG__F_CONTEXT;
    number = mlog__context_number(bound);
    if (number == MLOG__HEAVY) d->inside_bound = bound, d->header |= MLOG__F_FIELDS;
    else if (number != 0) d->bound = number, d->header |= MLOG__F_BOUND;
    /* a site with a constant level on the root: its dictionary entry says both */
    if (!to) return;
    d->header |= MLOG__F_TO;
    d->to = (uint32_t)level | (uint64_t)(logger == NULL ? 0 : logger->entry) << 32;
}

/* -- registration -- */

/* Key i of a site: they stand one behind another, each with its NUL. Counting from the front is fine: registration only. */
static const char *mlog__thread_key(const char *keys, uint32_t i) {
    while (i-- > 0) keys += strlen(keys) + 1;
    return keys;
}

/* By MLOG__C_*: the kind of what the macros captured. */
static const uint8_t mlog__thread_class_kind[16] = {MLOG_K_NULL,   MLOG_K_INT,  MLOG_K_UINT,    MLOG_K_BOOL,   MLOG_K_FLOAT,
                                                    MLOG_K_DOUBLE, MLOG_K_TEXT, MLOG_K_POINTER, MLOG__K_VALUE, MLOG__K_LDOUBLE};

/* Kinds of a printf site's arguments: the format's word counts before the type's. True when its calls need care. */
static bool mlog__thread_scan(mlog__entry *e, const char *format, uint64_t classes) {
    mlog__printf f;
    bool care = false;
    (void)mlog__printf_scan(format, e->msg_len, &f);
    for (uint32_t i = 0; i < e->count; i++) {
        uint32_t class = (classes >> (4 * i)) & 15, want = f.want[i].cls;
        uint8_t how = MLOG__H_PLAIN;
        /* %.8s: the memory may end there, without a NUL. An unsigned char * has the class of a pointer */
        if (want == MLOG__WANT_TEXT && (class == MLOG__C_POINTER || (class == MLOG__C_TEXT && f.want[i].prec != -1)))
            how = MLOG__H_TEXT;
        else if (want == MLOG__WANT_WTEXT && class == MLOG__C_POINTER) how = MLOG__H_WTEXT;
        else if (want == MLOG__WANT_WCHAR && class != MLOG__C_POINTER) how = MLOG__H_WCHAR;
        /* a char * for %p: perhaps no text at all */
        else if (want != MLOG__WANT_TEXT && class == MLOG__C_TEXT) how = MLOG__H_POINTER;
        e->how[i] = how;
        e->prec[i] = f.want[i].prec;
        if (how == MLOG__H_PLAIN) continue;
        e->kind[i] = how == MLOG__H_POINTER ? MLOG_K_POINTER : MLOG_K_TEXT;
        care = true;
    }
    if (!f.uses_errno) return care;
    /* behind the arguments, where mlog__printf_conv looks for it */
    e->kind[e->count] = MLOG_K_INT;
    e->how[e->count++] = MLOG__H_ERRNO;
    e->flags |= MLOG__D_ERRNO;
    return true;
}

/* Everything of a site's entry but its texts: what its arguments are and how they are taken. True when its calls need care. */
static bool mlog__thread_describe(mlog__entry *e, const mlog__site *site, uint64_t classes) {
    bool care = false;
    *e = (mlog__entry){
        .type = MLOG__D_SITE, .level = site->level, .count = site->count, .style = site->style, .line = (uint32_t)site->line};
    e->msg_len = (uint32_t)MLOG__MIN(strlen(site->msg), (size_t)65535);
    for (uint32_t i = 0; i < site->count; i++) e->kind[i] = mlog__thread_class_kind[(classes >> (4 * i)) & 15];
    if ((site->style & MLOG__PRINTF) != 0) return mlog__thread_scan(e, site->msg, classes);
    for (uint32_t i = 0; i < site->count; i++) {
        const char *key = mlog__thread_key(site->keys, i);
        if (mlog__rule_is_secret(key, strlen(key))) e->kind[i] = MLOG_K_TEXT, e->how[i] = MLOG__H_SECRET, care = true;
    }
    return care;
}

/* The entry of a site, made now; the first word of its records. 0: the dictionary is full. Two threads may make one at once: the
 * loser's is never named, its bytes stay used. */
static uint64_t mlog__thread_new_entry(mlog__site *site, uint64_t classes) {
    char source[64];
    mlog__entry e;
    bool care = mlog__thread_describe(&e, site, classes), print = (site->style & MLOG__PRINTF) != 0;
    const char *file = mlog__rule_base(site->file), *keys_end = print ? site->keys : mlog__thread_key(site->keys, site->count);
    e.file_len = (uint16_t)MLOG__MIN(strlen(file), (size_t)255);
    e.func_len = (uint16_t)MLOG__MIN(strlen(site->func), (size_t)255);
    e.source_len = (uint16_t)mlog__rule_source(source, site->source, site->file);
    e.keys_len = (uint32_t)(keys_end - site->keys);
    uint32_t number = mlog__dict_add(&e, site->msg, file, site->func, source, site->keys);
    uint64_t none = 0, full = number == 0 ? 0 : mlog__record_header(number, 2 + (uint64_t)e.count, care ? MLOG__F_CARE : 0);
    /* who comes first decides; the other takes its number, since both mean the same site */
    /* THREAD-4: entry before number */
    if (full != 0 && !__atomic_compare_exchange_n(&site->full, &none, full, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        full = none;
    return full;
}

/* Second stage of a site, at its first enabled call, when the classes of its arguments are known. The word of the gate, or 0
 * when the dictionary is full: the next call tries again, and carries its definition meanwhile. Handler-safe. Again when the
 * keys to redact changed: an entry by the old list is taken back, by who made it or by who changed the list. */
static uint64_t mlog__thread_register(mlog__site *site, uint64_t classes) {
    for (;;) {
        uint32_t version;
        (void)mlog__rule_read(&version);
        uint64_t full = __atomic_load_n(&site->full, __ATOMIC_ACQUIRE), unseen = MLOG__UNSEEN; /* THREAD-4 */
        bool made = full == 0;
        if (made) full = mlog__thread_new_entry(site, classes);
        if (full == 0) return 0;
        /* THREAD-10; not when a rule turned it off meanwhile */
        __atomic_compare_exchange_n(&site->word, &unseen, full, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        bool old = made && mlog__rule_changed(version);
        if (old) __atomic_store_n(&site->full, 0, __ATOMIC_SEQ_CST); /* THREAD-10 */
        if (__atomic_load_n(&site->full, __ATOMIC_SEQ_CST) == full) return full; /* THREAD-10 */
        __atomic_compare_exchange_n(&site->word, &full, MLOG__UNSEEN, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); /* THREAD-10 */
    }
}

/* -- staged calls -- */

/* 2 KiB on the stack of a call: longer wide texts are cut */
typedef struct { char text[2048]; size_t used; } mlog__wide; /* wide strings of one call, as UTF-8 */

/* A text of at most `most` bytes (negative: to its NUL), which need not have a NUL then. */
static mlog_value mlog__thread_text(const char *s, int64_t most) {
    return mlog_str(s, s == NULL ? 0 : most < 0 ? strlen(s) : strnlen(s, (size_t)most));
}

/* UTF-8 is what text is everywhere behind the call. At most `most` bytes, whole characters only; nothing is read behind the last
 * one that fits (C11 7.21.6.1, paragraph 8). */
static mlog_value mlog__thread_wide(mlog__wide *w, const wchar_t *s, int64_t most, size_t most_chars) {
    char *start = w->text + w->used, one[8];
    size_t n = 0, room = sizeof w->text - w->used;
    if (most >= 0) room = (size_t)MLOG__MIN((uint64_t)most, (uint64_t)room);
    for (size_t i = 0; s != NULL && i < most_chars && n < room && s[i] != 0; i++) {
        size_t len = mlog__text_utf8_encode(one, (uint32_t)s[i]);
        if (len > room - n) break;
        memcpy(start + n, one, len);
        n += len;
    }
    w->used += n;
    return mlog_str(s == NULL ? NULL : start, n);
}

/* Argument i of a staged call as a value, as its entry says. Only here, with the entry in hand, is a text of the caller read. */
static mlog_value mlog__thread_staged(const mlog__stage *s, const mlog__entry *e, uint32_t i, mlog__wide *w) {
    /* the only one that may be the 17th */
    if (e->how[i] == MLOG__H_ERRNO) return mlog__val_i(s->error);
    uint32_t class = (s->classes >> (4 * i)) & 15;
    const void *p = class == MLOG__C_TEXT ? s->arg[i].v.as.p : (const void *)(uintptr_t)s->slot[i];
    int64_t most = e->prec[i], by = MLOG__PREC_ARG(0) - most;
    /* the precision that another argument gives: negative means none; a format may name more arguments than there are */
    if (by >= 0) most = by < s->site->count ? (int32_t)s->slot[by] : 0;
    switch (e->how[i]) {
    case MLOG__H_SECRET: return mlog_str("[redacted]", 10);
    case MLOG__H_TEXT: return mlog__thread_text((const char *)p, most);
    case MLOG__H_WTEXT: return mlog__thread_wide(w, (const wchar_t *)p, most, SIZE_MAX);
    case MLOG__H_WCHAR: {
        wchar_t one = (wchar_t)s->slot[i];
        return mlog__thread_wide(w, &one, -1, 1);
    }
    case MLOG__H_POINTER: return mlog__val_ptr(p);
    default: break;
    }
    /* the bit tells the layout that kind and word go together */
    if (class == MLOG__C_VALUE) {
        mlog_value v = mlog__record_clean(&s->arg[i].v);
        v.kind |= 0x10000;
        return v;
    }
    if (class == MLOG__C_LDOUBLE) return mlog__val_p(MLOG__K_LDOUBLE, &s->arg[i].ld, sizeof(long double));
    if (class == MLOG__C_FLOAT) {
        uint32_t bits = (uint32_t)s->slot[i];
        float f;
        memcpy(&f, &bits, 4);
        return mlog__val_f32(f);
    }
    if (class != MLOG__C_TEXT) return mlog__val_k(mlog__thread_class_kind[class], s->slot[i]);
    return mlog__thread_text((const char *)p, -1);
}

/* The record of a site that has no place in the dictionary carries its definition with it: message, file, function, source,
 * line as slots, the arguments as fields. As mlog_emit would have written it. */
static void mlog__thread_finish_whole(mlog__thread *t, const mlog__stage *s, mlog__draft *d, const mlog_value *value) {
    mlog_field field[17]; /* 16 arguments, and the errno of a %m */
    char source[64];
    const mlog__site *site = s->site;
    bool print = (site->style & MLOG__PRINTF) != 0;
    mlog_value slot[5] = {mlog__val_s(site->msg), mlog__val_s(mlog__rule_base(site->file)), mlog__val_s(site->func),
                          mlog_str(source, mlog__rule_source(source, site->source, site->file)), mlog__val_i(site->line)};
    for (uint32_t i = 0; i < d->slots; i++) {
        field[i].key = print ? "" : mlog__thread_key(site->keys, i);
        field[i].value = value[i];
        /* a field has its kind in its head anyway */
        field[i].value.kind &= 0xFFFF;
    }
    d->header |= mlog__record_header(print ? MLOG__S_PRINTF : MLOG__S_EMIT, 0, MLOG__F_FIELDS | MLOG__F_TO);
    if (d->to == 0) d->to = (uint32_t)s->level;
    d->field = field;
    d->fields = d->slots;
    d->slot = slot;
    d->slots = 5;
    (void)mlog__thread_commit(t, d);
}

/* Turns what mlog1_begin staged into a record. Runs in mlog1_end: all arguments are there, and they are still the caller's. */
static void mlog__thread_finish(mlog__thread *t) {
    mlog__stage *s = &t->stage;
    mlog_value value[20];
    mlog__wide wide;
    mlog__entry whole;
    mlog__draft d = {.slot = value};
    if (s->drop) {
        mlog__thread_note_drop(t, s->level);
        return;
    }
    wide.used = 0;
    uint32_t number = mlog__record_site(s->word);
    const mlog__entry *e = number == 0 ? NULL : mlog__dict_entry(number);
    bool known = e != NULL;
    if (!known) (void)mlog__thread_describe(&whole, s->site, s->classes), e = &whole;
    d.slots = e->count;
    for (uint32_t i = 0; i < d.slots; i++) value[i] = mlog__thread_staged(s, e, i, &wide);
    mlog__thread_put_context(&d, s->logger, s->level, (s->site->style & MLOG__DYNAMIC) != 0);
    if (!known) {
        mlog__thread_finish_whole(t, s, &d, value);
        return;
    }
    d.header |= number;
    (void)mlog__thread_commit(t, &d);
}

/* Its rings were made before rings were files: new ones, which survive it, under its name and policy. */
MLOG__COLD static mlog__thread *mlog__thread_move(mlog__thread *t) {
    if (t->depth != 0 || t->staged || mlog__platform_in_handler(true)) return t;
    uint64_t name[4], bytes = t->ring->bytes;
    uint32_t policy = t->policy;
    bool own = t->own_policy;
    mlog__ring_get_name(t->ring, name);
    mlog__thread_hand_over(t);
    t = mlog__thread_make(bytes);
    for (mlog__thread *level = t; level != NULL; level = level->inner) {
        if (own) __atomic_store_n(&level->own_policy, true, __ATOMIC_RELAXED);    /* LIFE-2 */
        if (own) __atomic_store_n(&level->policy, policy, __ATOMIC_RELAXED);      /* LIFE-2 */
        if (level->ring != NULL) mlog__ring_set_name(level->ring, (const char *)name);
    }
    return t;
}

/* For calls that find no level. Zero: free. */
static struct { uint32_t taken; mlog__thread level; } mlog__thread_reserve[8];
enum { MLOG__RESERVED = 3 }; /* their depth */

static mlog__thread *mlog__thread_take_reserve(void) {
    for (int i = 0; i < 8 && mlog__dict_open() != NULL; i++) {
        uint32_t none = 0;
        mlog__thread *t = &mlog__thread_reserve[i].level;
        /* THREAD-12 */
        if (!__atomic_compare_exchange_n(&mlog__thread_reserve[i].taken, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) continue;
        mlog__thread_set_clock(t);
        t->depth = MLOG__RESERVED;
        t->outer = mlog__thread_self;
        t->context = mlog__context_number(mlog__context_now);
        t->head = &t->aside;
        t->attention = &mlog__ring_all.always;
        t->wide = UINT64_C(1) << 62; /* it has no ring */
        t->limit = t->staged = 0;
        return t;
    }
    return NULL;
}

static void mlog__thread_give_reserve(mlog__thread *t) {
    for (int i = 0; i < 8; i++)
        if (t == &mlog__thread_reserve[i].level) __atomic_store_n(&mlog__thread_reserve[i].taken, 0, __ATOMIC_RELEASE); /* THREAD-12 */
}

/* Hands the thread back to the call that was interrupted. limit = 0: whatever was changed below (policy, context, ring) is looked
 * at by the next call. */
static void mlog__thread_hand_back(mlog__thread *t) {
    t->head = t->ring == NULL ? &t->aside : &t->ring->head;
    t->limit = 0;
    t->attention = t->depth > 0 ? &mlog__ring_all.always : &mlog__ring_all.asleep;
    t->staged = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    __atomic_store_n(&t->state, MLOG__T_READY, __ATOMIC_RELAXED); /* RING-3 */
    if (t->outer != NULL) mlog__thread_self = t->outer;
    if (t->depth == MLOG__RESERVED) mlog__thread_give_reserve(t);
}

/* Where a call in progress on this level began; 0: there is none. */
static uintptr_t mlog__thread_began(const mlog__thread *t) {
    return t->state != MLOG__T_READY ? t->state : t->staged ? t->staged_at : 0;
}

/* The outermost level whose call was left by a jump serves again; what was on top of it went the same way. Else t as it is. */
MLOG__COLD static mlog__thread *mlog__thread_heal(mlog__thread *t, uintptr_t top) {
    mlog__page *page = mlog__thread_page_of(t);
    for (uint32_t i = 0; i <= t->depth; i++) {
        mlog__thread *level = &page->level[i];
        if (!mlog__thread_gone(mlog__thread_began(level), top)) continue;
        for (uint32_t k = 3; k-- > i;) mlog__thread_hand_back(&page->level[k]);
        return mlog__thread_self = level;
    }
    return t;
}

/* The first level of the thread that is free for a call that began at `at`; made on the first call. NULL: there is none. */
static mlog__thread *mlog__thread_level(uintptr_t at) {
    mlog__thread *t = mlog__thread_self;
    if (t == &mlog__thread_junk) { /* a handler on top of a call that has nowhere to write, or the call was left by a jump */
        if (!mlog__thread_gone(mlog__thread_junk_at, at)) return NULL;
        mlog__thread_junk_depth = 0;
        t = mlog__thread_self = mlog__thread_before_junk;
    }
    for (; t->depth == MLOG__RESERVED && mlog__thread_gone(mlog__thread_began(t), at); t = mlog__thread_self) mlog__thread_hand_back(t);
    if (t->depth == MLOG__RESERVED) return NULL;
    /* LIFE-2 */
    if (t->state == MLOG__T_NONE) t = mlog__thread_make(__atomic_load_n(&mlog__ring_all.bytes_each, __ATOMIC_RELAXED));
    else if (MLOG__UNLIKELY(t->stored != __atomic_load_n(&mlog__store.on, __ATOMIC_RELAXED) && t->ring != NULL && t->state == MLOG__T_READY)) /* STORE-1 */
        t = mlog__thread_move(t);
    if (t != NULL && (t->state != MLOG__T_READY || t->staged)) t = mlog__thread_heal(t, at);
    while (t != NULL && (t->state != MLOG__T_READY || t->staged)) t = t->inner; /* a call was interrupted: the next level */
    return t;
}

/* Takes a level of the thread for a call that began at `at`: state BUSY, nothing else may use it until mlog__thread_leave. NULL:
 * nowhere to write. The start of the library happens here, once; it may open files. */
static mlog__thread *mlog__thread_enter(uintptr_t at) {
    if (!mlog__life_start()) return NULL;
    mlog__thread *t = mlog__thread_level(at);
    if (t == NULL && mlog__thread_self != &mlog__thread_junk) t = mlog__thread_take_reserve();
    if (t == NULL) return NULL;
    __atomic_store_n(&t->state, at, __ATOMIC_RELAXED); /* RING-3 */
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    mlog__thread_self = t;
    if (MLOG__UNLIKELY(mlog__platform_catches() && !mlog__platform_stack_asked && !mlog__thread_dying)) mlog__platform_give_stack();
    return t;
}

/* Behind a committed record: what `asleep` asks for. */
static void mlog__thread_tell_flusher(void) {
    uint32_t asleep = __atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED); /* FLUSH-1 */
    if (asleep == 1) mlog__flush_wake();
    if (asleep == 2) mlog__life_finish_call();
    if (asleep == 3) mlog__flush_see_out();
}

/* Ends what mlog__thread_enter began. The wake-up comes last: it makes system calls, and handlers may come in. */
static void mlog__thread_leave(mlog__thread *t) {
    mlog__thread_hand_back(t);
    mlog__thread_tell_flusher();
    if (MLOG__UNLIKELY(mlog__thread_dying) && t->depth == 0 && t->ring == NULL) mlog__thread_give_back(t);
}

/* From here to mlog1_end the arguments go into the stage: `limit` and `head` lead the fast paths there. No fast path asks
 * whether a call is staged: with limit 0 none of them finds room, and the slow one that it then takes does ask. */
static void mlog__thread_stage(mlog__thread *t, const mlog__site *site, uint64_t word, uint64_t classes, mlog_logger *logger,
                               int level) {
    t->stage.site = site;
    t->stage.word = word;
    t->stage.classes = classes;
    t->stage.logger = logger;
    t->stage.level = level;
    /* before anything here can change it */
    t->stage.error = errno;
    t->stage.drop = 0;
    t->limit = 0;
    t->head = &t->aside;
    t->used = 0;
    t->attention = &mlog__ring_all.always;
    t->staged_at = t->state;
    t->staged = 1;
}

/* No memory, no slot, or too deep in handlers: the call must return, and its arguments must go somewhere. One piece of junk for
 * all threads: they write the same constants, or what nobody reads. */
static uint64_t *mlog__thread_to_junk(int level, uintptr_t at) {
    mlog__thread_note_drop(NULL, level);
    mlog__thread *self = mlog__thread_self;
    if (self != &mlog__thread_junk) /* a handler at any place here and in the end leaves it the same */
        mlog__thread_before_junk = self, mlog__thread_junk_at = at;
    mlog__thread_junk_depth++;
    mlog__thread_junk.attention = &mlog__ring_all.always;
    mlog__thread_junk.head = &mlog__thread_junk.aside;
    mlog__thread_junk.staged = 1;
    mlog__thread_self = &mlog__thread_junk;
    return mlog__thread_junk.stage.slot;
}

/* -- the fast path -- */

/* Begins a record in the ring; NULL when there is no room at hand, or the context travels inside, or the clock is a function:
 * no call stands in here, so that the callers need no stack frame. Some twenty instructions; `to` and `any_clock` are constants
 * in each copy. The header is the site's word plus flags and lengths: additions instead of a table, since no carry can occur. */
MLOG__INLINE uint64_t *mlog__thread_fast(mlog__thread *t, uint64_t word, uint64_t context, bool to, uint64_t to_word,
                                         uint64_t bound, bool any_clock) {
    MLOG__BUSY_HERE(t); /* RING-3; and a handler from here on uses the next level */
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    uint64_t head = __atomic_load_n(t->head, __ATOMIC_RELAXED);
    if (MLOG__UNLIKELY(context != 0)) word += MLOG__F_CONTEXT + (UINT64_C(1) << 32);
    if (to) word += MLOG__F_TO + (UINT64_C(1) << 32);
    if (to && bound != 0) word += MLOG__F_BOUND + (UINT64_C(1) << 32);
    /* 8-aligned: head is a sum of multiples of 8, data lies at 1024. A number, for a thread that has no ring: then it is 0 */
    uintptr_t at = (uintptr_t)t->data + (uintptr_t)(head & t->mask);
    /* without payloads: texts ask for their room when they come */
    uintptr_t used = (uintptr_t)mlog__record_bytes(word);
    uint32_t clock = __atomic_load_n(&t->clock, __ATOMIC_RELAXED); /* LIFE-2 */
    if (MLOG__UNLIKELY(at + used > t->limit || context == MLOG__HEAVY || (!any_clock && clock > MLOG__TICKS_ARRIVAL))) {
        __atomic_store_n(&t->state, MLOG__T_READY, __ATOMIC_RELAXED); /* RING-3 */
        return NULL;
    }
    uint64_t *p = (uint64_t *)at;
#if defined(__x86_64__)
    __asm__ volatile("prefetchw 1024(%0)" : : "r"(p)); /* the lines ahead come over from the flusher's core in time */
#endif
    /* behind head: nobody looks here before mlog1_end stores it */
    p[0] = word;
    p[1] = any_clock ? mlog__thread_stamp(clock) : MLOG__LIKELY(clock == MLOG__TICKS_COUNTER) ? mlog__clock_counter() : 0;
    t->record = p;
    t->used = used;
    p += 2;
    if (MLOG__UNLIKELY(context != 0)) *p++ = context;
    if (to && bound != 0) *p++ = bound;
    if (to) *p++ = to_word;
    return p;
}

/* Whatever the fast path cannot do: first calls, registration, a full ring, an interrupted call. Ends in the ring or in the
 * stage, never in NULL: the macros store without a test. */
MLOG__COLD static uint64_t *mlog__thread_slow(mlog__site *site, uint64_t word, uint64_t classes, mlog_logger *logger, int level,
                                              bool to) {
    int saved = errno;
    uintptr_t at = MLOG__CALL_AT;
    mlog__thread *t = mlog__thread_enter(at);
    if (t == NULL) return errno = saved, mlog__thread_to_junk(level, at);
    /* the gate said UNSEEN */
    if (mlog__record_site(word) == 0) word = mlog__thread_register(site, classes);
    uint64_t bound = logger == NULL ? 0 : mlog__context_number(logger->bound), *p = NULL;
    bool room = true;
    if (word != 0 && (word & MLOG__F_CARE) == 0 && t->ring != NULL && t->context != MLOG__HEAVY && bound != MLOG__HEAVY) {
        /* three optional words at most: context, bound, to */
        uint64_t bytes = mlog__record_bytes(word) + 24;
        room = mlog__ring_wait(t, bytes);
        if (room) mlog__thread_tell_loss(t);
        room = room && mlog__ring_wait(t, bytes); /* the report took some of it */
        if (room)
            p = mlog__thread_fast(t, word, t->context, to, (uint32_t)level | (uint64_t)(logger == NULL ? 0 : logger->entry) << 32, bound,
                                  true);
    }
    errno = saved;
    __atomic_store_n(&t->state, at, __ATOMIC_RELAXED); /* RING-3 */
    if (p != NULL) return p;
    mlog__thread_stage(t, site, word, classes, logger, level);
    /* arguments are still taken: the macro stores them, wherever */
    t->stage.drop = !room;
    return t->stage.slot;
}

/* The fast path inside a context: apart, so that the other needs no registers for it. */
static __attribute__((noinline)) uint64_t *mlog__thread_begin_inside(mlog__site *site, uint64_t word, uint64_t classes) {
    mlog__thread *t = mlog__thread_self;
    uint64_t *p = mlog__thread_fast(t, word, t->context, false, 0, 0, false);
    return MLOG__LIKELY(p != NULL) ? p : mlog__thread_slow(site, word, classes, NULL, site->level, false);
}

/* The fast path is a dozen loads and stores and the counter; its order is what the banner of `ring` says. Returns where the
 * slots begin; from here to mlog1_end no code of the user runs. errno stays. */
uint64_t *mlog1_begin(mlog__site *site, uint64_t word, uint64_t classes) {
    mlog__thread *t = mlog__thread_self;
    if (MLOG__LIKELY(t->state == MLOG__T_READY && (int64_t)word >= 0)) {
        if (MLOG__UNLIKELY(t->context != 0)) return mlog__thread_begin_inside(site, word, classes);
        uint64_t *p = mlog__thread_fast(t, word, 0, false, 0, 0, false);
        if (MLOG__LIKELY(p != NULL)) return p;
    }
    return mlog__thread_slow(site, word, classes, NULL, site->level, false);
}

/* The same with a level and a logger that are known at run time: one or two words more in the record. */
uint64_t *mlog1_begin_to(mlog__site *site, uint64_t word, uint64_t classes, mlog_logger *logger, int level) {
    mlog__thread *t = mlog__thread_self;
    if (MLOG__LIKELY(t->state == MLOG__T_READY && !t->staged && (int64_t)word >= 0)) {
        /* no bound context: its word is left out */
        uint64_t to = (uint32_t)level, bound = 0;
        if (logger != NULL) to |= (uint64_t)logger->entry << 32, bound = mlog__context_number(logger->bound);
        uint64_t *p = bound == MLOG__HEAVY ? NULL : mlog__thread_fast(t, word, t->context, true, to, bound, false);
        if (MLOG__LIKELY(p != NULL)) return p;
    }
    return mlog__thread_slow(site, word, classes, logger, level, true);
}

/* Room for `bytes` more in the record in progress: waits or moves it to the next lap. NULL: the record is dropped; go on in the
 * stage. Needed, since the length of texts is not known when the record begins: measuring first would read each text twice. */
MLOG__COLD static uint64_t *mlog__thread_grow(mlog__thread *t, uint64_t *slots, uint64_t bytes) {
    int saved = errno;
    uint64_t head, used = t->used, header = t->record[0], *old = t->record;
    bool room = mlog__ring_wait(t, used + bytes);
    errno = saved;
    if (!room) {
        int level = 0;
        const mlog__entry *e = mlog__dict_entry(mlog__record_site(header));
        if (e != NULL) level = e->level;
        if (header & MLOG__F_TO) level = (int)(uint32_t)slots[-1];
        mlog__thread_stage(t, NULL, 0, 0, NULL, level);
        t->stage.drop = 1;
        return NULL;
    }
    /* padding may have moved head to the next lap, over the first word of the record: it was saved */
    head = *t->head;
    t->record = (uint64_t *)(void *)(t->data + (head & t->mask));
    if (t->record != old) memmove(t->record, old, (size_t)used);
    t->record[0] = header;
    t->record[1] = mlog__thread_stamp(__atomic_load_n(&t->clock, __ATOMIC_RELAXED)); /* LIFE-2; it waited: its time is now */
    return t->record + (slots - old);
}

/* Makes sure of the room. Returns the slots, which may have moved, or NULL: in a dropped record the slots of the stage take
 * what follows. */
static uint64_t *mlog__thread_extend(mlog__thread *t, uint64_t *slots, uint64_t bytes) {
    if (MLOG__LIKELY((uintptr_t)t->record + t->used + bytes <= t->limit)) return slots;
    return mlog__thread_grow(t, slots, bytes);
}

/* The header in the ring follows: a reader after a crash must find the length that belongs to the head. Both are the owner's:
 * no order between them is needed before the release. */
static void mlog__thread_grown(mlog__thread *t, uint64_t bytes) {
    t->used += (uintptr_t)bytes;
    t->record[0] += bytes << 29; /* bytes / 8 << 32 */
}

/* Bytes that the next payload may have, so that the record stays below a quarter of its ring: half of what is left, so that a
 * long first text leaves room for the others. */
static uint64_t mlog__thread_allowance(const mlog__thread *t) {
    uint64_t most = MLOG__MIN((t->mask + 1) / 4, UINT64_C(8) << 20) - 256, used = t->used;
    return used >= most ? 0 : (most - used) / 2;
}

/* Long texts, NULL, staged calls, and every text under a sanitizer. known_length: the text ends with a NUL for sure; a printf
 * format that is not known yet may say otherwise. */
MLOG__COLD static uint64_t *mlog__thread_text_slow(mlog__thread *t, uint64_t *slots, unsigned i, const char *text,
                                                   bool known_length) {
    /* zero bytes for now: a staged text is measured when its rule is known */
    mlog_value v = mlog_str(text, text == NULL || (t->staged && !known_length) ? 0 : strlen(text));
    if (t->staged) {
        t->stage.arg[i].v = v;
        return slots;
    }
    uint64_t kept = mlog__record_kept(&v, mlog__thread_allowance(t)), bytes = mlog__record_payload(&v, kept);
    uint64_t *at = mlog__thread_extend(t, slots, bytes);
    if (at == NULL) return t->stage.slot;
    unsigned char *payload = (unsigned char *)t->record + t->used;
    /* NULL: nothing is written; no address in the ring, since none was reserved */
    if (bytes == 0) payload = NULL;
    at[i] = mlog__record_put(&v, &payload, kept);
    mlog__thread_grown(t, bytes);
    return at;
}

/* Short texts, nearly all, in one go: two 16-byte loads that cannot leave the page, length and copy together. The bytes behind
 * the NUL are masked to zero: they are the caller's memory and must not reach a file. */
uint64_t *mlog1_text(uint64_t *slots, unsigned i, const char *text) {
    mlog__thread *t = mlog__thread_self;
#if defined(__SSE2__) && !defined(MLOG__SANITIZED)
    static const unsigned char keep[64] __attribute__((aligned(64))) = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 0};
    /* within one page of 4 KiB, the smallest there is: what begins in mapped memory ends in it */
    bool whole = text != NULL && ((uintptr_t)text & 4095) <= 4064;
    if (MLOG__LIKELY(whole && (uint64_t)((uintptr_t)t->record + t->used) + t->wide <= t->limit)) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)text),
                b = _mm_loadu_si128((const __m128i *)(const void *)(text + 16));
        __m128i zero = _mm_setzero_si128();
        uint32_t nul = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, zero)) | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, zero))
                                                                                  << 16;
        if (MLOG__LIKELY(nul != 0)) {
            /* 31 at most: the stores of 32 bytes hold it and its NUL */
            uint64_t n = (uint32_t)__builtin_ctz(nul), room = mlog__record_padded(n);
            unsigned char *p = (unsigned char *)t->record + t->used;
            /* n times 255, then zeros */
            const unsigned char *m = keep + 32 - n;
            _mm_storeu_si128((__m128i *)(void *)p, _mm_and_si128(a, _mm_loadu_si128((const __m128i *)(const void *)m)));
            _mm_storeu_si128((__m128i *)(void *)(p + 16),
                             _mm_and_si128(b, _mm_loadu_si128((const __m128i *)(const void *)(m + 16))));
            slots[i] = mlog__record_text_slot(n, n);
            mlog__thread_grown(t, room);
            return slots;
        }
    }
#endif
    return mlog__thread_text_slow(t, slots, i, text, true);
}

/* printf: while the format is not known (staged), the text may be unterminated and is not measured. Once it is known, a site
 * whose texts all end with a NUL takes the quick way. */
uint64_t *mlog1_textf(uint64_t *slots, unsigned i, const char *text) {
    mlog__thread *t = mlog__thread_self;
    return MLOG__UNLIKELY(t->staged) ? mlog__thread_text_slow(t, slots, i, text, false) : mlog1_text(slots, i, text);
}

/* A maker's value: its kind travels with it, since one call may give different kinds at different times. Cleaned first, so that
 * the length and the bytes are those of the kind that is written. */
uint64_t *mlog1_value(uint64_t *slots, unsigned i, mlog_value value) {
    mlog__thread *t = mlog__thread_self;
    if (t->staged) {
        t->stage.arg[i].v = value;
        return slots;
    }
    mlog_value v = mlog__record_clean(&value);
    bool plain = !mlog__record_has_bytes(v.kind & 255); /* nearly always, and then there is nothing to measure */
    uint64_t kept = plain ? 0 : mlog__record_kept(&v, mlog__thread_allowance(t));
    uint64_t bytes = plain ? 8 : 8 + mlog__record_payload(&v, kept);
    uint64_t *at = mlog__thread_extend(t, slots, bytes);
    if (at == NULL) return t->stage.slot;
    unsigned char *inner = (unsigned char *)t->record + t->used, *payload = inner + 8;
    uint64_t word = mlog__record_put(&v, &payload, kept);
    memcpy(inner, &word, 8);
    at[i] = v.kind & 0xFFFF;
    mlog__thread_grown(t, bytes);
    return at;
}

/* All its bytes: printf shall print what the caller had, not a double. */
uint64_t *mlog1_ldouble(uint64_t *slots, unsigned i, long double value) {
    mlog__thread *t = mlog__thread_self;
    if (t->staged) {
        t->stage.arg[i].ld = value;
        return slots;
    }
    mlog_value v = mlog__val_p(MLOG__K_LDOUBLE, &value, sizeof value);
    uint64_t bytes = mlog__record_payload(&v, sizeof value), *at = mlog__thread_extend(t, slots, bytes);
    if (at == NULL) return t->stage.slot;
    unsigned char *payload = (unsigned char *)t->record + t->used;
    at[i] = mlog__record_put(&v, &payload, sizeof value);
    mlog__thread_grown(t, bytes);
    return at;
}

/* A staged call becomes a record here; a handler's call gives the thread back; a sleeping flusher is woken. May block: on a
 * full ring as the policy says, and for the start of the library. */
MLOG__COLD static void mlog__thread_end_slow(mlog__thread *t) {
    int saved = errno;
    if (t == &mlog__thread_junk) {
        /* a handler that came on top of the junk leaves it to the call below */
        if (--mlog__thread_junk_depth == 0) mlog__thread_self = mlog__thread_before_junk;
        return;
    }
    if (t->staged) {
        __atomic_store_n(&t->state, MLOG__CALL_AT, __ATOMIC_RELAXED); /* RING-3 */
        t->head = t->ring == NULL ? &t->aside : &t->ring->head;
        mlog__thread_finish(t);
    }
    if (t->staged || t->outer != NULL) {
        mlog__thread_leave(t);
    } else {
        mlog__thread_tell_flusher();
    }
    errno = saved;
}

/* The release of head is the commit. What comes behind it may be lost without harm. One load of *attention serves three
 * purposes: the flusher's sleep, a staged call, a handler's call; the pointer leads to whichever concerns this call. */
void mlog1_end(void) {
    mlog__thread *t = mlog__thread_self;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    uint64_t head = __atomic_load_n(t->head, __ATOMIC_RELAXED) + t->used; /* RING-1: the owner's own */
    __atomic_store_n(t->head, head, __ATOMIC_RELEASE); /* RING-1: the record is whole, also for a reader after a crash */
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* THREAD-9 */
    __atomic_store_n(&t->state, MLOG__T_READY, __ATOMIC_RELAXED); /* RING-3 */
    if (MLOG__UNLIKELY(__atomic_load_n(t->attention, __ATOMIC_RELAXED) != 0)) /* FLUSH-1: no fence, see flush */
        mlog__thread_end_slow(t);
}

/* -- a call in one piece, as units compiled without optimization make it -- */

/* The arguments are all fetched before the record begins, as the macros of optimized units do it: va_arg itself runs no code of
 * the user, but a record must not be open while the classes are still unknown. */
typedef union { uint64_t u; double d; long double ld; const char *s; mlog_value v; } mlog__sent;

/* The next argument, as C promotes it or the macro widened it; kind is its class | size << 8. Sizes up to 4 were promoted to
 * int or unsigned. Pointers of 8 bytes are fetched as uint64_t: the same register or stack word in every ABI that this file
 * runs on. */
static void mlog__thread_receive(mlog__sent *to, int kind, va_list *args) {
    bool wide = kind >> 8 > 4;
    switch (kind & 15) {
    case MLOG__C_FLOAT: case MLOG__C_DOUBLE: to->d = va_arg(*args, double); break;
    case MLOG__C_LDOUBLE: to->ld = va_arg(*args, long double); break;
    case MLOG__C_TEXT: to->s = va_arg(*args, const char *); break;
    case MLOG__C_VALUE: to->v = va_arg(*args, mlog_value); break;
    case MLOG__C_UINT: case MLOG__C_POINTER: to->u = wide ? va_arg(*args, uint64_t) : va_arg(*args, unsigned); break;
    default: to->u = (uint64_t)(wide ? va_arg(*args, int64_t) : va_arg(*args, int));
    }
}

/* From here on as an optimized unit does it: the same function for each class, so that both give the same bytes. */
static uint64_t *mlog__thread_store(uint64_t *p, unsigned i, int class, const mlog__sent *from, bool printf) {
    switch (class) {
    case MLOG__C_FLOAT: return mlog__put_f(p, i, (float)from->d);
    case MLOG__C_DOUBLE: return mlog__put_d(p, i, from->d);
    case MLOG__C_LDOUBLE: return mlog1_ldouble(p, i, from->ld);
    case MLOG__C_TEXT: return printf ? mlog1_textf(p, i, from->s) : mlog1_text(p, i, from->s);
    case MLOG__C_VALUE: return mlog1_value(p, i, from->v);
    default: return mlog__put_u(p, i, from->u);
    }
}

/* One call, behind the gate, for units compiled without optimization; see the macros MLOG__WRITE and MLOG__SEND. Legal in a
 * handler. */
void mlog1_log(mlog__site *site, uint64_t word, mlog_logger *logger, int level, ...) {
    mlog__sent sent[16];
    uint64_t classes = 0;
    va_list args;
    va_start(args, level);
    for (unsigned i = 0; i < site->count; i++) {
        int kind = va_arg(args, int);
        classes |= (uint64_t)(kind & 15) << 4 * i;
        mlog__thread_receive(&sent[i], kind, &args);
    }
    va_end(args);
    uint64_t *p = site->style & MLOG__DYNAMIC ? mlog1_begin_to(site, word, classes, logger, level)
                                              : mlog1_begin(site, word, classes);
    for (unsigned i = 0; i < site->count; i++)
        p = mlog__thread_store(p, i, (int)(classes >> 4 * i & 15), &sent[i], (site->style & MLOG__PRINTF) != 0);
    mlog1_end();
    if (level >= MLOG_FATAL) mlog1_fatal();
}

/* -- calls whose text, place and keys are known at run time only -- */

/* Run-time calls have no gate: they look the rules up each time. */
static bool mlog__thread_on(mlog_logger *logger, const char *file, int level) {
    /* 0: the root, or an unnamed child of it */
    int low = logger == NULL ? 0 : __atomic_load_n(&logger->threshold, __ATOMIC_RELAXED); /* RULE-4 */
    if (low != 0) return level >= low;
    char source[64];
    return level >= mlog__rule_threshold(source, mlog__rule_source(source, "", file));
}

/* A record without a site, by the way of staged calls: `staged` keeps a handler from taking this level in between. at: MLOG__CALL_AT of
 * the user's call. False: it was dropped, as far as that is known at once. */
static bool mlog__thread_send(mlog__draft *d, mlog_logger *logger, int level, uintptr_t at) {
    mlog__thread *t = mlog__thread_enter(at);
    if (t == NULL) return mlog__thread_note_drop(NULL, level), false;
    t->staged = 1;
    mlog__thread_put_context(d, logger, level, true);
    bool done = mlog__thread_commit(t, d);
    mlog__thread_leave(t);
    return done;
}

/* Where and what of a record without a site: message, file, function, source, line. source: memory of the caller, for the slot
 * to point to. */
static void mlog__thread_whole_slots(mlog_value slot[5], char source[64], const mlog_where *at, const char *msg, size_t msg_len) {
    const char *file = at->file == NULL ? "" : at->file, *func = at->func == NULL ? "" : at->func;
    slot[0] = mlog_str(msg, msg_len);
    slot[1] = mlog__val_s(mlog__rule_base(file));
    slot[2] = mlog__val_s(func);
    slot[3] = mlog_str(source, mlog__rule_source(source, "", file));
    slot[4] = mlog__val_i(at->line);
}

/* The last record of a thread, from the handler of a fatal signal: into the first ring that has room. Nobody is waited for, nor
 * told: whatever is broken may be what was interrupted. */
static void mlog__thread_send_now(mlog__draft *d, int level) {
    mlog__ring_never_wait++;
    mlog__thread *t = mlog__thread_enter(MLOG__CALL_AT);
    if (t != NULL) t->staged = 1;
    mlog__thread_put_context(d, NULL, level, true);
    bool done = t != NULL && t->ring != NULL && mlog__thread_write(t, d);
    mlog__thread *next = t == NULL ? NULL : t->inner; /* its ring is full, and other signals are blocked: the side ring */
    if (!done && next != NULL && next->state == MLOG__T_READY && next->ring != NULL) done = mlog__thread_write(next, d);
    if (!done && !mlog__thread_write_spare(d, 0, true) && !mlog__thread_write_spare(d, 1, true)) mlog__thread_note_drop(t, level);
    if (t != NULL) mlog__thread_hand_back(t);
    mlog__ring_never_wait--;
}

/* [s] The fields are cleaned and redacted here, into a copy on the stack; texts are read once, by the copy into the ring. */
void mlog_emit(const mlog_event *event) {
    int saved = errno;
    mlog_value slot[5];
    mlog_field field[MLOG__FIELDS];
    char source[64];
    mlog__draft d = {.header = mlog__record_header(MLOG__S_EMIT, 0, MLOG__F_FIELDS), .slot = slot, .slots = 5, .field = field};
    int level = event == NULL ? 1 : mlog__level(event->level);
    if (event == NULL || !mlog__life_start() ||
        !mlog__thread_on(event->logger, event->at.file == NULL ? "" : event->at.file, level)) {
        errno = saved;
        return;
    }
    /* a length without a pointer counts as nothing */
    const char *msg = event->msg == NULL ? "" : event->msg;
    size_t nfields = event->fields == NULL ? 0 : event->nfields;
    size_t msg_len = event->msg != NULL && event->msg_len != 0 ? event->msg_len : strlen(msg);
    mlog__thread_whole_slots(slot, source, &event->at, msg, msg_len);
    for (size_t i = 0; i < nfields && d.fields < MLOG__FIELDS; i++) {
        field[d.fields].key = event->fields[i].key;
        field[d.fields++].value = mlog__context_value(&event->fields[i]);
    }
    /* 0 means now, as everywhere: the moment of 1970 itself cannot be given */
    if (event->time != 0) d.time = (uint64_t)event->time, d.header |= MLOG__F_TIME;
    (void)mlog__thread_send(&d, event->logger, level, MLOG__CALL_AT);
    errno = saved;
    if (level >= MLOG_FATAL) mlog1_fatal();
}

/* -- run-time formats --
 * What was found out about a format, by its address, its text and its place: a call then neither scans nor carries it. The text counts,
 * since the address may be a buffer's. It takes one of four places when it comes there twice in a row, so that formats that
 * were made of data do not take all of them; who finds no place does without. */
enum { MLOG__SEEN = 512, MLOG__SEEN_TEXT = 1000, MLOG__SEEN_ARGS = 16 };

static struct mlog__seen {
    uint32_t state;              /* 0 free, 1 being made, 2 for good */
    uint32_t hint;               /* of the text that came here last and has no place */
    uint32_t entry, line;        /* its number in the dictionary */
    const char *format, *file;
    uint8_t count, uses_errno;   /* count: without the errno of a %m */
    mlog__want want[MLOG__SEEN_ARGS];
} mlog__thread_seen[MLOG__SEEN];

/* A call of a function like printf. ready: fields that go out like those of a logger, encoded; a `source` among them is the record's. */
typedef struct {
    mlog_where at;
    mlog_logger *logger;
    int level, error;            /* error: errno when the call came in, for %m */
    const char *format;
    const unsigned char *ready;
    uint32_t ready_bytes, ready_count;
    bool constant;               /* at: constants of this file, which their addresses tell */
    uintptr_t call_at;           /* MLOG__CALL_AT of the user's call */
} mlog__spoken;

static bool mlog__thread_is_seen(const struct mlog__seen *place, const mlog__spoken *c) {
    if (__atomic_load_n(&place->state, __ATOMIC_ACQUIRE) != 2 || place->format != c->format) return false; /* THREAD-13 */
    if (place->line != (uint32_t)c->at.line) return false;
    const mlog__entry *e = mlog__dict_entry(place->entry);
    if (e == NULL || strcmp(c->format, mlog__dict_msg(e)) != 0) return false;
    if (c->constant && c->at.file == place->file) return true;
    return strcmp(mlog__rule_base(c->at.file), mlog__dict_file(e)) == 0 && strcmp(c->at.func, mlog__dict_func(e)) == 0;
}

/* The four places of a format. */
static struct mlog__seen *mlog__thread_seen_places(const mlog__spoken *c) {
    uint64_t mixed = ((uint64_t)(uintptr_t)c->format + (uint32_t)c->at.line) * UINT64_C(0x9E3779B97F4A7C15);
    return &mlog__thread_seen[(mixed >> 40) % (MLOG__SEEN / 4) * 4];
}

/* NULL: it has none. */
static const struct mlog__seen *mlog__thread_find_seen(const mlog__spoken *c) {
    const struct mlog__seen *place = mlog__thread_seen_places(c);
    for (int i = 0; i < 4; i++)
        if (mlog__thread_is_seen(&place[i], c)) return &place[i];
    return NULL;
}

/* By what its arguments are fetched as: the kind of their slots. */
static uint8_t mlog__thread_want_kind(uint32_t cls) {
    static const uint8_t kind[] = {MLOG_K_POINTER, MLOG_K_INT,  MLOG_K_DOUBLE, MLOG__K_LDOUBLE, MLOG_K_INT,
                                   MLOG_K_TEXT,    MLOG_K_TEXT, MLOG_K_TEXT,   MLOG_K_POINTER};
    return kind[cls];
}

/* Gives a format that was scanned a place, if one is free and it was here before. */
MLOG__COLD static void mlog__thread_remember(const mlog__spoken *c, const mlog__printf *f) {
    size_t len = strlen(c->format);
    struct mlog__seen *place = mlog__thread_seen_places(c);
    if (f->bad != NULL || f->nargs > MLOG__SEEN_ARGS || len > MLOG__SEEN_TEXT) return;
    uint32_t hint = 1, none = 0, i = 0;
    for (size_t k = 0; k < len; k++) hint = (hint ^ (unsigned char)c->format[k]) * 16777619;
    if (__atomic_exchange_n(&place->hint, hint, __ATOMIC_RELAXED) != hint) return; /* THREAD-14 */
    while (i < 4 && !__atomic_compare_exchange_n(&place[i].state, &none, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) /* THREAD-13 */
        none = 0, i++;
    if (i == 4) return;
    place += i;
    char source[64];
    const char *file = mlog__rule_base(c->at.file);
    mlog__entry e = {.type = MLOG__D_SITE, .level = (uint8_t)c->level, .style = MLOG__PRINTF | MLOG__DYNAMIC, .line = (uint32_t)c->at.line};
    e.msg_len = (uint32_t)len;
    e.file_len = (uint16_t)MLOG__MIN(strlen(file), (size_t)255);
    e.func_len = (uint16_t)MLOG__MIN(strlen(c->at.func), (size_t)255);
    e.source_len = (uint16_t)mlog__rule_source(source, "", file);
    for (; e.count < f->nargs; e.count++) e.kind[e.count] = mlog__thread_want_kind(f->want[e.count].cls);
    if (f->uses_errno) e.kind[e.count] = MLOG_K_INT, e.how[e.count++] = MLOG__H_ERRNO, e.flags |= MLOG__D_ERRNO;
    place->format = c->format;
    place->file = c->at.file;
    place->line = (uint32_t)c->at.line;
    place->count = f->nargs;
    place->uses_errno = f->uses_errno;
    memcpy(place->want, f->want, sizeof place->want);
    place->entry = mlog__dict_add(&e, c->format, file, c->at.func, source, "");
    __atomic_store_n(&place->state, place->entry == 0 ? 1 : 2, __ATOMIC_RELEASE); /* THREAD-13; 1: a full dictionary stays full */
}

typedef struct { va_list list; } mlog__args; /* so that it can be handed on by address */

/* Fetches one argument as the format wants it: the C type must be exact, or all that follow are garbage. Of texts the address
 * only: how much may be read of them another argument may say, which can come later. ld: memory that outlives this function, for
 * the value to point to. */
static mlog_value mlog__thread_vararg(mlog__args *a, const mlog__want *want, mlog__wide *w, long double *ld) {
    switch (want->cls) {
    case MLOG__WANT_INT:
        if (want->mod == MLOG__MOD_L || want->mod == MLOG__MOD_T || want->mod == MLOG__MOD_Z)
            return mlog__val_i(va_arg(a->list, long));
        if (want->mod == MLOG__MOD_LL) return mlog__val_i(va_arg(a->list, long long));
        if (want->mod == MLOG__MOD_J) return mlog__val_i(va_arg(a->list, intmax_t));
        return mlog__val_i(va_arg(a->list, int));
    case MLOG__WANT_CHAR: return mlog__val_i(va_arg(a->list, int));
    case MLOG__WANT_DOUBLE: return mlog__val_d(va_arg(a->list, double));
    case MLOG__WANT_LDOUBLE:
        *ld = va_arg(a->list, long double);
        return mlog__val_p(MLOG__K_LDOUBLE, ld, sizeof *ld);
    case MLOG__WANT_WCHAR: {
        wchar_t one = (wchar_t)va_arg(a->list, wint_t);
        return mlog__thread_wide(w, &one, -1, 1);
    }
    default: return mlog__val_ptr(va_arg(a->list, const void *));
    }
}

/* The arguments of a format, in their order. ld: one for each. */
static void mlog__thread_varargs(mlog__args *a, const mlog__want *want, uint32_t n, mlog_value *value, mlog__wide *w, long double *ld) {
    for (uint32_t i = 0; i < n; i++) value[i] = mlog__thread_vararg(a, &want[i], w, &ld[i]);
    for (uint32_t i = 0; i < n; i++) {
        if (want[i].cls != MLOG__WANT_TEXT && want[i].cls != MLOG__WANT_WTEXT) continue;
        const void *p = (const void *)(uintptr_t)value[i].as.u;
        int64_t most = want[i].prec, by = MLOG__PREC_ARG(0) - most;
        if (by >= 0) most = by < n ? (int32_t)value[by].as.i : 0;
        if (want[i].cls == MLOG__WANT_TEXT) value[i] = mlog__thread_text((const char *)p, most);
        else value[i] = mlog__thread_wide(w, (const wchar_t *)p, most, SIZE_MAX);
    }
}

/* Scans a format that is to be obeyed. Behind what cannot be understood, nobody knows which argument is whose: none is fetched, and
 * what asks for one prints "(missing)". %n is understood, and refused. */
static void mlog__thread_scan_run(mlog__printf *f, const char *format) {
    if (mlog__printf_scan(format, strlen(format), f) == 0 || strcmp(f->bad, "%n is refused") == 0) return;
    const char *bad = f->bad;
    uint32_t off = f->bad_off;
    (void)mlog__printf_scan(format, off, f);
    f->bad = bad;
    f->bad_off = off;
}

static bool mlog__thread_send_seen(const mlog__spoken *c, const struct mlog__seen *seen, mlog__args *args) {
    mlog_value value[MLOG__SEEN_ARGS + 1];
    long double ld[MLOG__SEEN_ARGS];
    mlog__wide wide;
    mlog__draft d = {.header = mlog__record_header(seen->entry, 0, 0), .slot = value, .ready = c->ready,
                     .ready_bytes = c->ready_bytes, .ready_count = c->ready_count};
    wide.used = 0;
    mlog__thread_varargs(args, seen->want, seen->count, value, &wide, ld);
    d.slots = seen->count;
    if (seen->uses_errno) value[d.slots++] = mlog__val_i(c->error);
    if (c->ready_count != 0) d.header |= MLOG__F_FIELDS;
    return mlog__thread_send(&d, c->logger, c->level, c->call_at);
}

/* A record that carries its format. What is wrong with that, it says in a field. */
MLOG__COLD static bool mlog__thread_send_format(const mlog__spoken *c, mlog__args *args) {
    mlog_value slot[5], value[MLOG__PRINTF_ARGS];
    mlog_field field[MLOG__FIELDS];
    long double ld[MLOG__PRINTF_ARGS];
    char source[64], error[104];
    mlog__printf f;
    mlog__wide wide;
    mlog__draft d = {.header = mlog__record_header(MLOG__S_PRINTF, 0, MLOG__F_FIELDS), .slot = slot, .slots = 5, .field = field,
                     .ready = c->ready, .ready_bytes = c->ready_bytes, .ready_count = c->ready_count};
    wide.used = 0;
    mlog__thread_scan_run(&f, c->format);
    mlog__thread_remember(c, &f);
    mlog__thread_whole_slots(slot, source, &c->at, c->format, strlen(c->format));
    mlog__thread_varargs(args, f.want, f.nargs, value, &wide, ld);
    if (f.bad != NULL) {
        char *p = mlog__printf_put(error, error + 64, f.bad, strlen(f.bad));
        p = mlog__text_u64(mlog__printf_put(p, error + 80, " at byte ", 9), f.bad_off);
        field[d.fields].key = "format_error", field[d.fields++].value = mlog_str(error, (size_t)(p - error));
    }
    d.own = d.fields;
    /* no names: a reader knows them by their place in the format */
    for (uint32_t i = 0; i < f.nargs; i++) field[d.fields++] = (mlog_field){"", value[i]};
    if (f.uses_errno) field[d.fields++] = (mlog_field){"", mlog__val_i(c->error)};
    return mlog__thread_send(&d, c->logger, c->level, c->call_at);
}

/* One call of a function like printf, behind the rules. The list is copied, so that the caller's stays usable. False: dropped. */
static bool mlog__thread_speak(mlog__spoken *c, va_list args) {
    mlog__args list;
    if (c->format == NULL) c->format = "(null format)"; /* printf would crash */
    if (c->at.file == NULL) c->at.file = "";
    if (c->at.func == NULL) c->at.func = "";
    const struct mlog__seen *seen = mlog__thread_find_seen(c);
    va_copy(list.list, args);
    bool done = MLOG__LIKELY(seen != NULL) ? mlog__thread_send_seen(c, seen, &list) : mlog__thread_send_format(c, &list);
    va_end(list.list);
    return done;
}

/* [s] */
void mlog_vprintf(mlog_where at, mlog_logger *logger, int level, const char *format, va_list args) {
    int saved = errno;
    mlog__spoken c = {.at = at, .logger = logger, .level = mlog__level(level), .error = saved, .format = format, .call_at = MLOG__CALL_AT};
    bool on = mlog__life_start() && mlog__thread_on(logger, at.file == NULL ? "" : at.file, c.level);
    if (on) (void)mlog__thread_speak(&c, args);
    errno = saved;
    if (on && c.level >= MLOG_FATAL) mlog1_fatal();
}

/* ==== format ====
 * From the bytes of a record to text. What is static of a site is escaped once and kept; a record then costs its numbers and texts.
 * owns: decoding, names of fields, JSON, PRETTY, PLAIN, LOGFMT
 * may call: platform clock record dict rule context ring text printf
 */

/* A growing buffer of the flusher or of one sink. */
typedef struct { char *p; size_t len, cap; } mlog__buffer;

/* Room for `more` bytes behind len. False: no memory, and the record is counted as lost, not written in part. */
static bool mlog__format_room(mlog__buffer *b, size_t more) {
    if (MLOG__LIKELY(b->cap - b->len >= more)) return true;
    size_t cap = MLOG__MAX(b->cap * 2, b->len + more + MLOG__PAGE);
    char *p = realloc(b->p, cap);
    if (p == NULL) return false;
    b->p = p;
    b->cap = cap;
    return true;
}

typedef struct { const char *key; uint32_t len; mlog__val val; } mlog__out; /* a field as it goes out */
enum { MLOG__NAMES_BYTES = MLOG__FIELDS * (255 + 24) }; /* of names that had to be made, at worst */

/* LOGFMT's static parts of a call site: pieces ` key=` one after another, then the head. plain: keys stand as they are. The head
 * of a printf site has a gap for the message, at `gap`. */
typedef struct { uint32_t piece_at[17], head_at, gap, end; bool plain; char text[]; } mlog__flat;

/* What is known of a call site, decoded from its dictionary entry. */
typedef struct mlog__info {
    const mlog__entry *e;
    const char *key[16];
    uint32_t key_len[16], piece_at[17], head_len;
    uint32_t straight;     /* room for a line without its payloads and context, if records may go straight to text; else 0 */
    uint64_t mask;         /* a bit per key, by hash: no common bit, no clash */
    mlog__printf *print;
    const char *source;
    char *pieces;          /* ,"key": escaped, one after another */
    char *head;            /* ","level":"info","msg":"…","source":"…","at":"…","thread": */
    mlog__flat *flat;      /* the same for LOGFMT, made on first use */
} mlog__info;

/* What is known of a context with its ancestors. */
typedef struct {
    uint64_t id, mask;
    uint32_t count, json_len, source_len;
    mlog__out *field;
    const char *source;
    char *json, *bytes;
    char *flat;            /* ` key=value …` for LOGFMT, made on first use */
    uint32_t flat_len, flat_state; /* 0: not yet, 1: there, 2: keys need care */
    const struct mlog__info *judged; /* the last site whose keys were compared with these one by one, and what came out */
    bool clashes;
} mlog__known;

/* The thread of the last record, kept as text and as JSON: records of one thread come in runs. */
typedef struct {
    uint64_t name[4];
    uint32_t tid, len, json_len;
    char text[32], json[6 * 32 + 4];
} mlog__owner;

/* One per lane, and one per file or dead process that is read: whose records they are, and what formatting needs to remember. */
typedef struct mlog__desk {
    const mlog__session *session;
    struct mlog__info **infos; /* by entry number / 8: entries are larger than 64 bytes */
    bool foreign, recovered;   /* foreign: nothing in the session is trusted. recovered: its records are marked so */
    mlog__owner owner;
    mlog__text_clock utc, local;
    mlog__clock_view clock;
    mlog__clock_table *pairs; /* lane 0's lies in the session */
    mlog__known **known;   /* by context slot */
    mlog__buffer names, message, values, text;
    locale_t locale;
} mlog__desk;

typedef struct {
    const mlog__info *info;
    const mlog__known *context, *bound;
    int64_t time, call_time;
    uint64_t id, header;
    int level;
    bool late, decoded, rendered; /* decoded, rendered: by a filter that needed it */
    uint32_t tid, thread_len, source_len, file_len, msg_len, line, count;
    uint32_t fields, from_context, from_bound; /* run-time fields; of these first those of contexts, then bound ones */
    const char *source, *file, *func, *msg;
    const char *thread;    /* its name, thread_len 0 when it has none */
    const mlog__owner *owner; /* of thread and tid; NULL: not kept */
    mlog__val val[MLOG__PRINTF_ARGS + 1];
    mlog__out field[MLOG__FIELDS];
    const uint64_t *lost;  /* a report of losses: words {level:8 | count:56} */
} mlog__item;

enum { MLOG__INFOS = MLOG__DICT_BYTES / 8 / 8 };
static mlog__info *mlog__format_infos[MLOG__INFOS]; /* of our own sites, for both lanes */

static const char *const mlog__format_reserved[] = {"ts", "level", "msg", "source", "at", "thread", "ts_call", "recovered", NULL};

static uint64_t mlog__format_bit(const char *key, size_t n) {
    uint32_t h = 2166136261u; /* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)key[i]) * 16777619u;
    return UINT64_C(1) << ((h ^ h >> 15) & 63);
}

static bool mlog__format_is_reserved(const char *key, size_t n) {
    for (int i = 0; mlog__format_reserved[i] != NULL; i++)
        if (strlen(mlog__format_reserved[i]) == n && memcmp(key, mlog__format_reserved[i], n) == 0) return true;
    return false;
}

/* Is the name used already, by a field or by the record itself? */
static bool mlog__format_taken(const mlog__out *list, uint32_t n, const char *key, size_t len) {
    for (uint32_t i = 0; i < n; i++)
        if (list[i].len == len && memcmp(list[i].key, key, len) == 0) return true;
    return mlog__format_is_reserved(key, len);
}

/* Appends a field under a free name: key, else key_2, key_3 … New names live in *names until the next record. */
static void mlog__format_add(mlog__out *list, uint32_t *n, const char *key, uint32_t len, const mlog__val *val, char **names,
                             const char *end) {
    char *made = *names;
    if (*n == MLOG__FIELDS) return;
    const char *name = key;
    uint32_t name_len = len;
    for (uint64_t i = 2; mlog__format_taken(list, *n, name, name_len); i++) {
        if (end - made < (ptrdiff_t)len + 24) return;
        memcpy(made, key, len);
        made[len] = '_';
        char *stop = mlog__text_u64(made + len + 1, i);
        *stop = 0;
        name = made;
        name_len = (uint32_t)(stop - made);
    }
    if (name != key) *names = made + name_len + 1;
    list[*n].key = name;
    list[*n].len = name_len;
    list[(*n)++].val = *val;
}

/* Has the site a key that the context has, too? The masks say no for most pairs; what they cannot tell is compared once for as long
 * as records of one site come in this context. */
static bool mlog__format_clashes(const struct mlog__info *info, const mlog__known *known) {
    mlog__known *k = (mlog__known *)(uintptr_t)known; /* the desk's own, and a desk has one user */
    if (MLOG__LIKELY((info->mask & k->mask) == 0)) return false;
    if (MLOG__LIKELY(k->judged == info)) return k->clashes;
    k->judged = info;
    k->clashes = false;
    for (uint32_t i = 0; i < 16 && info->key[i] != NULL; i++)
        for (uint32_t j = 0; j < k->count; j++)
            if (info->key_len[i] == k->field[j].len && memcmp(info->key[i], k->field[j].key, k->field[j].len) == 0) k->clashes = true;
    return k->clashes;
}

/* -- values as JSON -- */

/* Lays down n static bytes in steps of 32: it reads and writes up to 31 bytes too many, which MLOG__SPILL behind static texts and
 * in the room of each line is for. A call of memcpy costs as much as the rest of a piece. */
enum { MLOG__SPILL = 32 };
static inline char *mlog__format_lay(char *p, const char *s, size_t n) {
    memcpy(p, s, MLOG__SPILL);
    for (size_t i = MLOG__SPILL; i < n; i += MLOG__SPILL) memcpy(p + i, s + i, MLOG__SPILL);
    return p + n;
}

static char *mlog__format_put(char *p, const char *s, size_t n) {
    memcpy(p, s, n);
    return p + n;
}
#define MLOG__PUT_TEXT(p, literal) mlog__format_put(p, literal, sizeof literal - 1)

static char *mlog__format_json_bytes(char *p, const char *s, size_t n) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *p++ = digit[(unsigned char)s[i] >> 4];
        *p++ = digit[s[i] & 15];
    }
    return p;
}

static char *mlog__format_cut(char *p, const mlog__val *v) { /* the marker of a text that was cut */
    if (MLOG__LIKELY(v->full <= v->len)) return p;
    p = MLOG__PUT_TEXT(p, "\xE2\x80\xA6[cut from ");
    p = mlog__text_u64(p, v->full);
    return MLOG__PUT_TEXT(p, " bytes]");
}

/* Text of an errno: name in the C locale and number. */
static char *mlog__format_errno(char *p, int64_t e) {
    char buf[128];
    const char *text = mlog__printf_errno_text((int)e, buf);
    p = mlog__format_put(p, text, strlen(text));
    p = MLOG__PUT_TEXT(p, " (");
    p = mlog__text_i64(p, e);
    *p++ = ')';
    return p;
}

/* JSON has no NaN and no infinity: they become strings, so that the line stays JSON. */
static char *mlog__format_double(char *p, const mlog__val *v, bool json) {
    bool finite = v->as.f - v->as.f == 0;
    if (json && !finite) *p++ = '"';
    p = v->kind == MLOG_K_FLOAT ? mlog__text_float(p, (float)v->as.f) : mlog__text_double(p, v->as.f);
    if (json && !finite) *p++ = '"';
    return p;
}

/* Kinds whose JSON is a string with nothing to escape. */
static char *mlog__format_plain(char *p, const mlog__val *v) {
    mlog__text_clock fresh = {0};
    switch (v->kind) {
    case MLOG_K_HEX:
    case MLOG_K_POINTER: return mlog__text_hex(MLOG__PUT_TEXT(p, "0x"), v->as.u);
    case MLOG_K_BYTES: return mlog__format_cut(mlog__format_json_bytes(p, v->as.p, v->len), v);
    case MLOG_K_TIME: return mlog__text_utc(p, v->as.i, &fresh);
    case MLOG_K_SECRET:
        p = mlog__text_u64(MLOG__PUT_TEXT(p, "[secret, "), v->as.u);
        return MLOG__PUT_TEXT(p, " bytes]");
    default: return mlog__format_errno(p, v->as.i);
    }
}

static char *mlog__format_json_value(char *p, const mlog__val *v);

/* Element i of an array as a value; false behind the last. */
static bool mlog__format_element(const mlog__val *a, uint32_t *at, mlog__val *out) {
    uint32_t size = mlog__record_element_size[a->elem & 15];
    const char *p = a->as.p + *at;
    *out = (mlog__val){.kind = MLOG_K_INT};
    if (a->elem == MLOG__E_TEXT) {
        uint64_t word;
        if (a->len - *at < 8) return false;
        memcpy(&word, p, 8);
        const unsigned char *bytes = (const unsigned char *)p + 8;
        if (!mlog__record_get(out, MLOG_K_TEXT, 0, word, &bytes, (const unsigned char *)a->as.p + a->len)) return false;
        if (out->full == MLOG__NULL_TEXT) bytes = (const unsigned char *)p + 8;
        *at = (uint32_t)((const char *)bytes - a->as.p);
        return true;
    }
    if (size == 0 || a->len - *at < size) return false;
    *at += size;
    switch (a->elem) {
    case MLOG__E_I8: out->as.i = (signed char)*p; break;
    case MLOG__E_U8: out->as.i = (unsigned char)*p; break;
    case MLOG__E_I16: { int16_t x; memcpy(&x, p, 2); out->as.i = x; break; }
    case MLOG__E_U16: { uint16_t x; memcpy(&x, p, 2); out->as.i = x; break; }
    case MLOG__E_I32: { int32_t x; memcpy(&x, p, 4); out->as.i = x; break; }
    case MLOG__E_U32: { uint32_t x; memcpy(&x, p, 4); out->as.i = x; break; }
    case MLOG__E_I64: memcpy(&out->as.i, p, 8); break;
    case MLOG__E_U64: out->kind = MLOG_K_UINT; memcpy(&out->as.u, p, 8); break;
    case MLOG__E_BOOL: out->kind = MLOG_K_BOOL; out->as.u = *p != 0; break;
    case MLOG__E_F32: { float x; memcpy(&x, p, 4); out->kind = MLOG_K_FLOAT; out->as.f = (double)x; break; }
    default: out->kind = MLOG_K_DOUBLE; memcpy(&out->as.f, p, 8); break;
    }
    return true;
}

/* Elements as they are; an array that was cut simply ends. */
static char *mlog__format_json_array(char *p, const mlog__val *v) {
    mlog__val one;
    uint32_t at = 0, n = 0;
    *p++ = '[';
    while (n < v->full && mlog__format_element(v, &at, &one)) {
        if (n++ != 0) *p++ = ',';
        p = mlog__format_json_value(p, &one);
    }
    *p++ = ']';
    return p;
}

static char *mlog__format_json_object(char *p, const mlog__val *v) {
    const unsigned char *at = (const unsigned char *)v->as.p, *end = at + v->len;
    mlog__out list[MLOG__FIELDS];
    uint32_t n = 0;
    char made[4096], *names = made;
    mlog__val one;
    const char *key;
    uint32_t len;
    MLOG__TLS uint32_t depth;
    if (depth >= MLOG__OBJECT_DEPTH) return MLOG__PUT_TEXT(p, "null"); /* never from us: this stack is small */
    depth++;
    while (at < end && n < MLOG__FIELDS - 1 && mlog__record_get_field(&at, end, &key, &len, &one)) {
        bool reserved = mlog__format_is_reserved(key, len); /* inside an object every name is free */
        if (reserved || !mlog__format_taken(list, n, key, len)) list[n++] = (mlog__out){key, len, one};
        else mlog__format_add(list, &n, key, len, &one, &names, made + sizeof made);
    }
    one = (mlog__val){.kind = MLOG_K_BOOL, .as.u = 1};
    if (at < end && n == MLOG__FIELDS - 1) mlog__format_add(list, &n, "cut", 3, &one, &names, made + sizeof made);
    *p++ = '{';
    for (uint32_t i = 0; i < n; i++) {
        bool seen = false; /* a reserved name may stand twice: the last one stays */
        for (uint32_t j = i + 1; j < n && !seen; j++)
            seen = list[j].len == list[i].len && memcmp(list[j].key, list[i].key, list[i].len) == 0;
        if (seen) continue;
        if (p[-1] != '{') *p++ = ',';
        *p++ = '"';
        p = mlog__text_json(p, list[i].key, list[i].len);
        *p++ = '"';
        *p++ = ':';
        p = mlog__format_json_value(p, &list[i].val);
    }
    *p++ = '}';
    depth--;
    return p;
}

/* A string, or null for a NULL pointer. */
static char *mlog__format_json_text(char *p, const mlog__val *v) {
    if (v->full == MLOG__NULL_TEXT) return MLOG__PUT_TEXT(p, "null");
    *p++ = '"';
    p = mlog__text_json(p, v->as.p, v->len);
    p = mlog__format_cut(p, v);
    *p++ = '"';
    return p;
}

/* At most 6 bytes per byte of the value and 128 more. */
static char *mlog__format_json_value(char *p, const mlog__val *v) {
    switch (v->kind) {
    case MLOG_K_INT:
    case MLOG_K_DURATION: return mlog__text_i64(p, v->as.i);
    case MLOG_K_UINT: return mlog__text_u64(p, v->as.u);
    case MLOG_K_TEXT: return mlog__format_json_text(p, v);
    case MLOG_K_FLOAT:
    case MLOG_K_DOUBLE: return mlog__format_double(p, v, true);
    case MLOG_K_BOOL: return v->as.u ? MLOG__PUT_TEXT(p, "true") : MLOG__PUT_TEXT(p, "false");
    case MLOG_K_NULL: return MLOG__PUT_TEXT(p, "null");
    case MLOG_K_ARRAY: return mlog__format_json_array(p, v);
    case MLOG_K_OBJECT: return mlog__format_json_object(p, v);
    case MLOG_K_JSON: return v->full > v->len ? mlog__format_json_text(p, v) : mlog__text_json_compact(p, v->as.p, v->len);
    case MLOG_K_POINTER:
        if (v->as.u == 0) return MLOG__PUT_TEXT(p, "null");
        break;
    case MLOG_K_CHAR: {
        const char c[16] = {(char)v->as.u}; /* longer than it must be: GCC suspects the wide loads of the callee */
        *p++ = '"';
        p = mlog__text_json(p, c, 1);
        *p++ = '"';
        return p;
    }
    default: break;
    }
    *p++ = '"';
    p = mlog__format_plain(p, v);
    *p++ = '"';
    return p;
}

/* -- what is known of sites and contexts -- */

static char *mlog__format_named(char *p, const char *before, const char *text, size_t n) {
    p = mlog__format_put(p, before, strlen(before));
    return mlog__text_json(p, text, n);
}

/* `","level":"info","msg":"` — the time before it, the message behind it */
static char *mlog__format_head(char *p, int level, const char *msg, size_t n) {
    const char *name = mlog_level_name(level);
    p = MLOG__PUT_TEXT(p, "\",\"level\":\"");
    p = mlog__format_put(p, name, strlen(name));
    p = MLOG__PUT_TEXT(p, "\",\"msg\":\"");
    return msg == NULL ? p : mlog__text_json(p, msg, n);
}

static char *mlog__format_tail(char *p, const char *source, size_t source_len, const char *file, size_t file_len, uint64_t line) {
    p = mlog__format_named(p, "\",\"source\":\"", source, source_len);
    p = mlog__format_named(p, "\",\"at\":\"", file, file_len);
    *p++ = ':';
    p = mlog__text_u64(p, line);
    return MLOG__PUT_TEXT(p, "\",\"thread\":");
}

/* Numbers, and texts as they are: what needs no scratch in any format, and no look at a second word. */
static bool mlog__format_is_scalar(uint32_t kind) {
    return kind != MLOG__K_VALUE && kind != MLOG__K_LDOUBLE && kind != MLOG_K_ARRAY && kind != MLOG_K_OBJECT && kind != MLOG_K_JSON;
}

/* Everything static of a site, escaped once: a record then costs its values. One allocation, sized for the worst case. */
static mlog__info *mlog__format_learn(const mlog__entry *e) {
    size_t texts = (size_t)e->msg_len + e->source_len + e->file_len + e->keys_len;
    mlog__info *info =
        calloc(1, sizeof *info + 16 * 32 + 12 * texts + 2048 + MLOG__SPILL + (size_t)(e->style & MLOG__PRINTF ? sizeof(mlog__printf) : 0));
    if (info == NULL) return NULL;
    char *p = (char *)(info + 1);
    info->e = e;
    info->source = mlog__dict_source(e);
    if (e->style & MLOG__PRINTF) {
        info->print = (mlog__printf *)(void *)p;
        mlog__printf_scan(mlog__dict_msg(e), e->msg_len, info->print);
        p += sizeof(mlog__printf);
        return info;
    }
    mlog__out list[16];
    uint32_t n = 0;
    const char *key = mlog__dict_keys(e), *end = key + e->keys_len;
    mlog__val none = {0};
    char *names = p;
    p += 16 * 32 + e->keys_len;
    for (; n < e->count && n < 16 && key < end; key += strlen(key) + 1)
        mlog__format_add(list, &n, key, (uint32_t)strlen(key), &none, &names, p);
    info->pieces = p;
    for (uint32_t i = 0; i < n; i++) {
        info->key[i] = list[i].key;
        info->key_len[i] = list[i].len;
        info->mask |= mlog__format_bit(list[i].key, list[i].len);
        info->piece_at[i] = (uint32_t)(p - info->pieces);
        p = mlog__text_json(MLOG__PUT_TEXT(p, ",\""), list[i].key, list[i].len);
        p = MLOG__PUT_TEXT(p, "\":");
        info->piece_at[i + 1] = (uint32_t)(p - info->pieces);
    }
    info->head = p;
    p = mlog__format_head(p, e->level, mlog__dict_msg(e), e->msg_len);
    p = mlog__format_tail(p, info->source, e->source_len, mlog__dict_file(e), e->file_len, e->line);
    info->head_len = (uint32_t)(p - info->head);
    bool scalar = n == e->count;
    for (uint32_t i = 0; i < e->count; i++) scalar = scalar && mlog__format_is_scalar(e->kind[i]);
    /* 40: a number, or the quotes and the mark of a text that was cut; LOGFMT's static parts are no longer than JSON's */
    if (scalar) info->straight = (uint32_t)(p - info->pieces) + 40 * e->count + 512 + 2 * MLOG__SPILL;
    return info;
}

/* An entry of the session that the desk works for. */
static const mlog__entry *mlog__format_entry(const mlog__desk *desk, uint32_t number) {
    const mlog__entry *e = mlog__dict_find(desk->session, number);
    return e != NULL && desk->foreign && !mlog__dict_sound(desk->session, e) ? NULL : e;
}

/* Two lanes may learn the same site at once: one of them wins. */
MLOG__COLD static const mlog__info *mlog__format_meet(const mlog__desk *desk, mlog__info **place, uint32_t number) {
    const mlog__entry *e = mlog__format_entry(desk, number);
    mlog__info *fresh = e == NULL || e->type != MLOG__D_SITE ? NULL : mlog__format_learn(e), *info = NULL;
    /* FORMAT-1 */
    if (fresh == NULL || __atomic_compare_exchange_n(place, &info, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    free(fresh);
    return info;
}

static inline const mlog__info *mlog__format_info(const mlog__desk *desk, uint32_t number) {
    if (number / 8 >= MLOG__INFOS) return NULL;
    mlog__info **place = &desk->infos[number / 8], *info = __atomic_load_n(place, __ATOMIC_ACQUIRE); /* FORMAT-1 */
    return MLOG__LIKELY(info != NULL) ? info : mlog__format_meet(desk, place, number);
}

/* Its slot has a new owner. */
static void mlog__format_forget(mlog__known *k) {
    if (k == NULL) return;
    free(k->bytes);
    free(k->flat);
    free(k);
}

/* The slot of a context; NULL: the number is not sound. */
static const mlog__context_slot *mlog__format_slot(const mlog__session *session, uint64_t id) {
    if (id == 0 || (id & 0xFFFFF) >= MLOG__CONTEXTS) return NULL;
    const mlog__context_slot *slot = &session->context[id & 0xFFFFF];
    return slot->id == id && slot->bytes <= sizeof slot->fields ? slot : NULL;
}

/* Copies the fields of a context and its ancestors, outermost first, however deep they are. NULL: no memory. */
static char *mlog__format_gather(const mlog__session *session, uint64_t id, uint32_t *bytes) {
    const mlog__context_slot *slot = mlog__format_slot(session, id);
    uint32_t depth = 0;
    *bytes = 0;
    for (; slot != NULL && depth < MLOG__CONTEXTS; depth++, slot = mlog__format_slot(session, slot->parent)) *bytes += slot->bytes;
    char *copy = malloc(*bytes + 1), *at = copy == NULL ? NULL : copy + *bytes;
    slot = mlog__format_slot(session, id);
    for (; at != NULL && depth > 0 && slot->bytes <= (size_t)(at - copy); depth--, slot = mlog__format_slot(session, slot->parent)) {
        at -= slot->bytes;
        memcpy(at, slot->fields, slot->bytes);
    }
    return copy;
}

/* The fields in `copy` under their names: an inner one replaces an outer one; `source` relabels. */
static void mlog__format_merge_fields(mlog__known *k, mlog__out *list, const char *copy, uint32_t bytes, char **names,
                                      const char *names_end) {
    const unsigned char *p = (const unsigned char *)copy, *end = p + bytes;
    mlog__out f;
    while (p < end && mlog__record_get_field(&p, end, &f.key, &f.len, &f.val)) {
        if (f.len == 6 && memcmp(f.key, "source", 6) == 0 && f.val.kind == MLOG_K_TEXT && f.val.len != 0) {
            k->source = f.val.as.p;
            k->source_len = f.val.len;
            continue;
        }
        uint32_t i = 0;
        while (i < k->count && (list[i].len != f.len || memcmp(list[i].key, f.key, f.len) != 0)) i++;
        if (i < k->count) list[i].val = f.val;
        else mlog__format_add(list, &k->count, f.key, f.len, &f.val, names, names_end);
    }
}

/* Reads a context with its ancestors; what is kept of it is no larger than it must be, there may be 16,384 of them. */
static mlog__known *mlog__format_study(mlog__desk *desk, uint64_t id) {
    mlog__known fresh = {.id = id}, *k;
    mlog__out list[MLOG__FIELDS];
    uint32_t bytes;
    char *copy = mlog__format_gather(desk->session, id, &bytes);
    bool room = mlog__format_room(&desk->names, MLOG__NAMES_BYTES) && mlog__format_room(&desk->values, (size_t)bytes * 7 + 4096);
    if (copy == NULL || !room) return free(copy), (mlog__known *)NULL;
    char *made = desk->names.p, *names = made, *p = desk->values.p;
    mlog__format_merge_fields(&fresh, list, copy, bytes, &names, made + desk->names.cap);
    for (uint32_t i = 0; i < fresh.count; i++) {
        fresh.mask |= mlog__format_bit(list[i].key, list[i].len);
        p = mlog__text_json(MLOG__PUT_TEXT(p, ",\""), list[i].key, list[i].len);
        p = mlog__format_json_value(MLOG__PUT_TEXT(p, "\":"), &list[i].val);
    }
    size_t names_len = (size_t)(names - made), fields = fresh.count * sizeof *list;
    fresh.json_len = (uint32_t)(p - desk->values.p);
    k = malloc(sizeof *k + fields + names_len + fresh.json_len + MLOG__SPILL);
    if (k == NULL) return free(copy), (mlog__known *)NULL;
    *k = fresh;
    k->bytes = copy;
    k->field = memcpy(k + 1, list, fields);
    k->json = memcpy((char *)(k + 1) + fields, desk->values.p, fresh.json_len);
    char *own = memcpy(k->json + fresh.json_len, made, names_len);
    for (uint32_t i = 0; i < k->count; i++)
        if (list[i].key >= made && list[i].key < made + names_len) k->field[i].key = own + (list[i].key - made);
    return k;
}

/* The number tells whether what is remembered of the slot is still right. */
static const mlog__known *mlog__format_context(mlog__desk *desk, uint64_t id) {
    uint64_t slot = id & 0xFFFFF;
    if (slot >= MLOG__CONTEXTS) return NULL;
    if (desk->known == NULL && (desk->known = calloc(MLOG__CONTEXTS, sizeof *desk->known)) == NULL) return NULL;
    mlog__known **place = &desk->known[slot];
    if (MLOG__LIKELY(*place != NULL && (*place)->id == id)) return *place;
    mlog__format_forget(*place);
    return *place = mlog__format_study(desk, id);
}

/* -- decoding -- */

static bool mlog__format_take(mlog__item *it, uint32_t i, uint32_t kind, uint64_t word, const unsigned char **payload,
                              const unsigned char *end) {
    if (kind != MLOG__K_VALUE) return mlog__record_get(&it->val[i], kind, 0, word, payload, end);
    uint64_t inner;
    if (end - *payload < 8) return false;
    memcpy(&inner, *payload, 8);
    *payload += 8;
    return mlog__record_get(&it->val[i], (uint32_t)word & 255, (uint32_t)(word >> 8) & 255, inner, payload, end);
}

/* Message, file, function, source and line of a record without a site. */
static bool mlog__format_whole(mlog__item *it, const unsigned char **p, const unsigned char *end) {
    static const uint8_t kind[5] = {MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_INT};
    const unsigned char *slots = *p;
    if (end - *p < 40) return false;
    *p += 40;
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t word;
        memcpy(&word, slots + 8 * i, 8);
        if (!mlog__record_get(&it->val[i], kind[i], 0, word, p, end)) return false;
    }
    it->msg = it->val[0].as.p;
    it->msg_len = it->val[0].len;
    it->file = it->val[1].as.p;
    it->file_len = it->val[1].len;
    it->func = it->val[2].as.p;
    if (it->source == NULL) it->source = it->val[3].as.p, it->source_len = it->val[3].len;
    it->line = (uint32_t)it->val[4].as.u;
    return true;
}

/* A field of a context that travels inside the record: an inner one replaces an outer one, `source` relabels. */
static void mlog__format_inherit(mlog__item *it, const mlog__out *f, uint32_t first, uint32_t room) {
    if (f->len == 6 && memcmp(f->key, "source", 6) == 0 && f->val.kind == MLOG_K_TEXT && f->val.len != 0) {
        it->source = f->val.as.p;
        it->source_len = f->val.len;
        return;
    }
    uint32_t i = first;
    while (i < it->fields && (it->field[i].len != f->len || memcmp(it->field[i].key, f->key, f->len) != 0)) i++;
    if (i < it->fields) it->field[i].val = f->val;
    else if (i < room) it->field[it->fields++] = *f;
}

/* Fields beyond the room are cut, those of contexts before the record's own. */
static bool mlog__format_fields(mlog__item *it, const unsigned char **p, const unsigned char *end) {
    uint64_t counts;
    if (end - *p < 8) return false;
    memcpy(&counts, *p, 8);
    *p += 8;
    uint64_t context = counts & 0xFFFF, outer = context + ((counts >> 16) & 0xFFFF), all = counts >> 32;
    if (outer > all) return false;
    uint32_t room = MLOG__FIELDS - (uint32_t)MLOG__MIN(all - outer, (uint64_t)MLOG__FIELDS);
    for (uint64_t i = 0; i < all; i++) {
        mlog__out f;
        if (!mlog__record_get_field(p, end, &f.key, &f.len, &f.val)) return false;
        if (i < outer) mlog__format_inherit(it, &f, i < context ? 0 : it->from_context, room);
        else if (it->fields < MLOG__FIELDS) it->field[it->fields++] = f;
        if (i < context) it->from_context = it->fields;
        else if (i < outer) it->from_bound = it->fields - it->from_context;
    }
    return true;
}

/* Level and source that came with the call win over the site's. */
static void mlog__format_logger(mlog__item *it, const mlog__desk *desk, uint64_t to) {
    it->level = mlog__level((int)(uint32_t)to);
    const mlog__entry *lg = mlog__format_entry(desk, (uint32_t)(to >> 32));
    if (lg == NULL || lg->type != MLOG__D_LOGGER) return;
    it->source = mlog__dict_source(lg);
    it->source_len = lg->source_len;
}

/* The optional words behind the time. */
static const unsigned char *mlog__format_options(mlog__item *it, mlog__desk *desk, const unsigned char *p) {
    uint64_t word[5], h = it->header;
    uint32_t n = mlog__record_options(h), i = 0;
    memcpy(word, p, 8 * (size_t)n);
    if (h & MLOG__F_CONTEXT) it->context = mlog__format_context(desk, word[i++]);
    if (h & MLOG__F_BOUND) it->bound = mlog__format_context(desk, word[i++]);
    if (h & MLOG__F_TO) mlog__format_logger(it, desk, word[i++]);
    if (h & MLOG__F_TIME) it->time = (int64_t)word[i++], it->late = false; /* it is what it is */
    if (h & MLOG__F_TID) it->tid = (uint32_t)word[i++], it->thread_len = 0, it->owner = NULL;
    return p + 8 * (size_t)n;
}

/* Level of a record by its first words, for filters that need no more. */
static int mlog__format_level(const mlog__desk *desk, const unsigned char *p, uint64_t header) {
    if (header & MLOG__F_TO) {
        uint64_t to;
        memcpy(&to, p + 16 + 8 * (size_t)mlog__record_options(header & (MLOG__F_CONTEXT | MLOG__F_BOUND)), 8);
        return mlog__level((int)(uint32_t)to);
    }
    const mlog__info *info = mlog__format_info(desk, mlog__record_site(header));
    return info == NULL ? MLOG_ERROR : info->e->level;
}

/* Reads what stands before the slots, and returns where those begin. */
static const unsigned char *mlog__format_open(mlog__item *it, mlog__desk *desk, const unsigned char *p) {
    it->info = NULL;
    it->context = it->bound = NULL;
    it->source = NULL;
    it->fields = it->from_context = it->from_bound = it->count = 0;
    it->lost = NULL;
    return MLOG__LIKELY((it->header >> 52) == 0) ? p + 16 : mlog__format_options(it, desk, p + 16);
}

/* What its site says of a record; a level and a source that came with the call stay. */
static void mlog__format_site(mlog__item *it) {
    const mlog__entry *e = it->info->e;
    if ((it->header & MLOG__F_TO) == 0) it->level = e->level;
    it->msg = mlog__dict_msg(e);
    it->msg_len = e->msg_len;
    it->file = mlog__dict_file(e);
    it->file_len = e->file_len;
    it->func = mlog__dict_func(e);
    it->line = e->line;
    if (it->source == NULL) it->source = it->info->source, it->source_len = e->source_len;
}

/* A context's `source` relabels. */
static void mlog__format_relabel(mlog__item *it, const mlog__known *k) {
    if (k != NULL && k->source != NULL) it->source = k->source, it->source_len = k->source_len;
}

/* Level, source, thread, and the message where no printf makes it, without the slots. False: those must be decoded to tell. */
static bool mlog__format_peek(mlog__item *it, mlog__desk *desk, const unsigned char *p) {
    uint32_t site = mlog__record_site(it->header);
    const mlog__info *info = site < MLOG__FIRST_SITE || (it->header & MLOG__F_FIELDS) ? NULL : mlog__format_info(desk, site);
    if (info == NULL) return false;
    (void)mlog__format_open(it, desk, p);
    it->info = info;
    mlog__format_site(it);
    mlog__format_relabel(it, it->bound);
    mlog__format_relabel(it, it->context);
    return true;
}

/* Decodes the record at p; time, thread and id are already set. False: the bytes are not sound. */
static bool mlog__format_decode(mlog__item *it, mlog__desk *desk, const unsigned char *p) {
    const unsigned char *end = p + mlog__record_bytes(it->header);
    uint32_t site = mlog__record_site(it->header);
    p = mlog__format_open(it, desk, p);
    if (p > end) return false;
    if (MLOG__LIKELY(site >= MLOG__FIRST_SITE)) {
        const mlog__info *info = it->info = mlog__format_info(desk, site);
        if (info == NULL) return false;
        const mlog__entry *e = info->e;
        const unsigned char *slots = p;
        it->count = e->count;
        p += 8 * (size_t)e->count;
        if (p > end) return false;
        for (uint32_t i = 0; i < it->count; i++) {
            uint64_t word;
            memcpy(&word, slots + 8 * (size_t)i, 8);
            if (MLOG__UNLIKELY(!mlog__format_take(it, i, e->kind[i], word, &p, end))) return false;
        }
        mlog__format_site(it);
    } else if (!mlog__format_whole(it, &p, end)) {
        return false;
    }
    mlog__format_relabel(it, it->bound);
    if ((it->header & MLOG__F_FIELDS) && !mlog__format_fields(it, &p, end)) return false;
    mlog__format_relabel(it, it->context);
    return true;
}

/* The message: as it stands, or rendered by printf into the desk's buffer. */
static void mlog__format_message(mlog__item *it, mlog__desk *desk) {
    mlog__printf one_off;
    const mlog__printf *f = it->info == NULL ? NULL : it->info->print;
    if (mlog__record_site(it->header) == MLOG__S_PRINTF) {
        mlog__printf_scan(it->msg, it->msg_len, &one_off);
        f = &one_off;
        uint32_t outer = it->from_context + it->from_bound;
        it->count = it->fields - outer;
        it->count = MLOG__MIN(it->count, MLOG__PRINTF_ARGS + 1u);
        for (uint32_t i = 0; i < it->count; i++) it->val[i] = it->field[outer + i].val;
        it->fields = outer;
    }
    if (f == NULL) return;
    size_t room = (size_t)mlog__record_bytes(it->header) + (64 << 10);
    desk->message.len = 0;
    if (!mlog__format_room(&desk->message, room)) return;
    char *end = mlog__printf_render(desk->message.p, desk->message.p + room - 1, f, it->msg, it->val, (int)it->count);
    *end = 0;
    it->msg = desk->message.p;
    it->msg_len = (uint32_t)(end - it->msg);
    while (it->msg_len > 0 && it->msg[it->msg_len - 1] == '\n')
        it->msg_len--; /* old calls end with a newline: the record does, too */
    it->count = 0;
}

/* All fields under their final names: context, bound, pairs. Names that had to be made live until the next record. */
static uint32_t mlog__format_list(mlog__item *it, mlog__desk *desk, mlog__out *list) {
    uint32_t n = 0;
    if (!mlog__format_room(&desk->names, MLOG__NAMES_BYTES)) return 0;
    char *names = desk->names.p, *end = names + desk->names.cap;
    if (MLOG__UNLIKELY(desk->recovered)) list[n++] = (mlog__out){"recovered", 9, {.kind = MLOG_K_BOOL, .as.u = 1}};
    uint32_t inherited = it->context == NULL ? 0 : MLOG__MIN(it->context->count, MLOG__FIELDS - n);
    if (inherited != 0) memcpy(list + n, it->context->field, inherited * sizeof *list), n += inherited;
    for (uint32_t i = 0; i < it->from_context; i++)
        mlog__format_add(list, &n, it->field[i].key, it->field[i].len, &it->field[i].val, &names, end);
    for (uint32_t i = 0; it->bound != NULL && i < it->bound->count; i++)
        mlog__format_add(list, &n, it->bound->field[i].key, it->bound->field[i].len, &it->bound->field[i].val, &names, end);
    for (uint32_t i = it->from_context; i < it->from_context + it->from_bound; i++)
        mlog__format_add(list, &n, it->field[i].key, it->field[i].len, &it->field[i].val, &names, end);
    for (uint32_t i = 0; it->info != NULL && it->info->print == NULL && i < it->count && i < 16; i++)
        mlog__format_add(list, &n, it->info->key[i], it->info->key_len[i], &it->val[i], &names, end);
    for (uint32_t i = it->from_context + it->from_bound; i < it->fields; i++)
        mlog__format_add(list, &n, it->field[i].key, it->field[i].len, &it->field[i].val, &names, end);
    return n;
}

/* -- JSON lines -- */

/* A name when it has one, else its number, as a number. */
static char *mlog__format_json_thread(char *p, const mlog__item *it) {
    if (MLOG__LIKELY(it->owner != NULL)) return mlog__format_put(p, it->owner->json, it->owner->json_len);
    if (it->thread_len == 0) return mlog__text_u64(p, it->tid);
    *p++ = '"';
    p = mlog__text_json(p, it->thread, it->thread_len);
    *p++ = '"';
    return p;
}

MLOG__COLD static void mlog__format_new_owner(mlog__owner *o, mlog__item *it, uint32_t tid, const uint64_t name[4]) {
    memcpy(o->name, name, sizeof o->name);
    memcpy(o->text, name, sizeof o->text);
    o->text[sizeof o->text - 1] = 0;
    o->tid = tid;
    it->thread = o->text;
    it->thread_len = o->len = (uint32_t)strlen(o->text);
    it->owner = NULL;
    o->json_len = (uint32_t)(mlog__format_json_thread(o->json, it) - o->json);
}

/* Says whose record it is; the name as the ring has it. */
static inline void mlog__format_owner(mlog__desk *desk, mlog__item *it, uint32_t tid, const uint64_t name[4]) {
    mlog__owner *o = &desk->owner;
    it->tid = tid;
    if (MLOG__UNLIKELY(o->json_len == 0 || o->tid != tid || o->name[0] != name[0] || o->name[1] != name[1] ||
                       o->name[2] != name[2] || o->name[3] != name[3]))
        mlog__format_new_owner(o, it, tid, name);
    it->thread = o->text;
    it->thread_len = o->len;
    it->owner = o;
}

/* The order of the output is kept, and the true time too. */
static char *mlog__format_json_late(char *p, mlog__desk *desk, const mlog__item *it) {
    if (MLOG__LIKELY(!it->late)) return p;
    p = mlog__text_utc(MLOG__PUT_TEXT(p, ",\"ts_call\":\""), it->call_time, &desk->utc);
    *p++ = '"';
    return p;
}

/* Bytes that a record may take at most: its own six times over, what is static of it, its contexts. */
static size_t mlog__format_bound(const mlog__item *it) {
    size_t n = 6 * (size_t)mlog__record_bytes(it->header) + 6 * (size_t)it->msg_len +
               6 * ((size_t)it->source_len + it->file_len + it->thread_len) + 4096;
    if (it->info != NULL)
        n += it->info->head_len + it->info->piece_at[it->info->print == NULL ? MLOG__MIN(it->count, 16u) : 0] +
             6 * (size_t)it->info->e->keys_len;
    if (it->context != NULL) n += it->context->json_len + 256;
    if (it->bound != NULL) n += it->bound->json_len + 256;
    return n + 64 * 40;
}

/* One line. The plain site with static head and pieces is the fast way; everything else goes through the list of fields. */
static bool mlog__format_json(mlog__buffer *b, mlog__desk *desk, mlog__item *it) {
    if (!mlog__format_room(b, mlog__format_bound(it))) return false;
    const mlog__info *info = it->info;
    bool easy = info != NULL && it->fields == 0 && it->bound == NULL && !desk->recovered &&
                (it->context == NULL || !mlog__format_clashes(info, it->context));
    mlog__out list[MLOG__FIELDS];
    uint32_t n = easy ? 0 : mlog__format_list(it, desk, list);
    char *p = b->p + b->len;
    p = mlog__text_utc(MLOG__PUT_TEXT(p, "{\"ts\":\""), it->time, &desk->utc);
    if (MLOG__LIKELY(info != NULL && info->head != NULL && (it->header & MLOG__F_TO) == 0 && it->source == info->source)) {
        p = mlog__format_put(p, info->head, info->head_len);
    } else {
        p = mlog__format_head(p, it->level, it->msg, it->msg_len);
        p = mlog__format_tail(p, it->source, it->source_len, it->file, it->file_len, it->line);
    }
    p = mlog__format_json_thread(p, it);
    p = mlog__format_json_late(p, desk, it);
    if (easy && it->context != NULL) p = mlog__format_put(p, it->context->json, it->context->json_len);
    for (uint32_t i = 0; easy && i < it->count && info->print == NULL; i++) {
        p = mlog__format_put(p, info->pieces + info->piece_at[i], info->piece_at[i + 1] - info->piece_at[i]);
        p = mlog__format_json_value(p, &it->val[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        p = mlog__text_json(MLOG__PUT_TEXT(p, ",\""), list[i].key, list[i].len);
        p = mlog__format_json_value(MLOG__PUT_TEXT(p, "\":"), &list[i].val);
    }
    p = MLOG__PUT_TEXT(p, "}\n");
    b->len = (size_t)(p - b->p);
    return true;
}

/* -- PRETTY: for people -- */

/* For the eye: three digits and a unit. JSON has the exact number of ns. */
static char *mlog__format_duration(char *p, int64_t ns) {
    static const struct { const char *name; double ns; } unit[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    double v = (double)ns, a = v < 0 ? -v : v;
    int u = a < 1e3 ? 0 : a < 1e6 ? 1 : a < 1e9 ? 2 : 3;
    v /= unit[u].ns;
    double step = (v < 0 ? -v : v) < 10 ? 100 : (v < 0 ? -v : v) < 100 ? 10 : 1; /* three digits are enough for the eye */
    double rounded = (double)(int64_t)(v * step + (v < 0 ? -0.5 : 0.5)) / step;
    if (rounded == (double)(int64_t)rounded) p = mlog__text_i64(p, (int64_t)rounded);
    else p = mlog__text_double(p, rounded);
    return mlog__format_put(p, unit[u].name, strlen(unit[u].name));
}

/* The escape of a bidi control at s, and how many bytes it has; NULL: none stands there. */
static const char *mlog__format_bidi(const char *s, size_t n, size_t *len) {
    static const char hidden[][4] = {"\xd8\x9c", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac",
                                     "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9"};
    static const char escape[][8] = {"\\u061c", "\\u200e", "\\u200f", "\\u202a", "\\u202b", "\\u202c", "\\u202d",
                                     "\\u202e", "\\u2066", "\\u2067", "\\u2068", "\\u2069"};
    if (*s != '\xd8' && *s != '\xe2') return NULL;
    for (size_t k = 0; k < sizeof hidden / sizeof *hidden; k++) {
        *len = strlen(hidden[k]);
        if (n >= *len && memcmp(s, hidden[k], *len) == 0) return escape[k];
    }
    return NULL;
}

/* JSON text for a terminal: bidi controls in [p, end), which is UTF-8, become escapes. */
static char *mlog__format_tame(char *p, const char *end) {
    size_t n = (size_t)(end - p), grown = 0, len;
    for (size_t i = 0; i < n; i++)
        if (mlog__format_bidi(p + i, n - i, &len) != NULL) grown += 6 - len;
    const char *from = p + grown;
    if (grown != 0) memmove(p + grown, p, n); /* so that what is written never reaches what is still to be read */
    for (size_t i = 0; grown != 0 && i < n;) {
        const char *escape = mlog__format_bidi(from + i, n - i, &len);
        if (escape != NULL) p = mlog__format_put(p, escape, 6), i += len;
        else *p++ = from[i++];
    }
    return grown != 0 ? p : p + n;
}

/* As JSON, where JSON is short and plain; quotes only where they are needed. */
static char *mlog__format_pretty_value(char *p, const mlog__val *v) {
    const char c[16] = {(char)v->as.u};
    switch (v->kind) {
    case MLOG_K_TEXT:
        if (v->full == MLOG__NULL_TEXT) return MLOG__PUT_TEXT(p, "null");
        return mlog__format_cut(mlog__text_quoted(p, v->as.p, v->len), v);
    case MLOG_K_FLOAT:
    case MLOG_K_DOUBLE: return mlog__format_double(p, v, false);
    case MLOG_K_DURATION: return mlog__format_duration(p, v->as.i);
    case MLOG_K_CHAR: return mlog__text_quoted(p, c, 1);
    case MLOG_K_ERRNO: {
        char text[192];
        return mlog__text_quoted(p, text, (size_t)(mlog__format_errno(text, v->as.i) - text));
    }
    case MLOG_K_POINTER:
        if (v->as.u == 0) return MLOG__PUT_TEXT(p, "null");
        return mlog__format_plain(p, v);
    case MLOG_K_HEX:
    case MLOG_K_BYTES:
    case MLOG_K_TIME:
    case MLOG_K_SECRET: return mlog__format_plain(p, v);
    default: return mlog__format_tame(p, mlog__format_json_value(p, v));
    }
}

static const char *mlog__format_color(int level) {
    return level >= MLOG_ERROR ? "\033[31m" : level >= MLOG_WARN ? "\033[33m" : level >= MLOG_INFO ? "\033[32m" : "\033[34m";
}

/* 10:06:41.123 INFO   message  key=value (source file.c:12). JSON values inside are UTF-8 with controls escaped, bidi controls too. */
static bool mlog__format_pretty(mlog__buffer *b, mlog__desk *desk, mlog__item *it, bool color, bool utc) {
    if (!mlog__format_room(b, 2 * mlog__format_bound(it))) return false;
    mlog__out list[MLOG__FIELDS];
    uint32_t n = mlog__format_list(it, desk, list);
    char *p = b->p + b->len;
    const char *name = mlog_level_name(it->level), *reset = color ? "\033[0m" : "";
    size_t reset_len = strlen(reset);
    if (color) p = MLOG__PUT_TEXT(p, "\033[2m");
    if (utc) {
        char text[48];
        mlog__text_utc(text, it->time, &desk->utc);
        p = mlog__format_put(p, text + 11, 12);
    } else {
        p = mlog__text_local(p, it->time, &desk->local);
    }
    p = mlog__format_put(p, reset, reset_len);
    *p++ = ' ';
    if (color) p = mlog__format_put(p, mlog__format_color(it->level), 5);
    for (size_t i = 0; i < 6; i++) *p++ = i < strlen(name) ? (char)(name[i] - 32) : ' ';
    p = mlog__format_put(p, reset, reset_len);
    *p++ = ' ';
    p = mlog__text_console(p, it->msg, it->msg_len);
    for (uint32_t i = 0; i < n; i++) {
        p = mlog__format_put(p, "  ", i == 0 ? 2 : 1);
        if (color) p = MLOG__PUT_TEXT(p, "\033[36m");
        p = mlog__text_console(p, list[i].key, list[i].len);
        *p++ = '=';
        p = mlog__format_put(p, reset, reset_len);
        p = mlog__format_pretty_value(p, &list[i].val);
    }
    p = mlog__format_put(p, color ? "  \033[2m(" : "  (", color ? 7 : 3);
    p = mlog__text_console(p, it->source, it->source_len);
    *p++ = ' ';
    p = mlog__text_console(p, it->file, it->file_len);
    *p++ = ':';
    p = mlog__text_u64(p, it->line);
    *p++ = ')';
    p = mlog__format_put(p, reset, reset_len);
    *p++ = '\n';
    b->len = (size_t)(p - b->p);
    return true;
}

/* -- PLAIN: for the standard error of command-line tools -- */

static char mlog__format_program[6 * 200 + 32]; /* the program's name, escaped; set when the configuration is */
static uint32_t mlog__format_program_len;

/* NULL: as it was called, argv[0] without its directory. */
static void mlog__format_name_program(const char *name) {
    if (name == NULL) name = program_invocation_short_name;
    size_t n = strlen(name);
    if (n > 200) n = mlog__text_utf8_cut(name, 200);
    mlog__format_program_len = (uint32_t)(mlog__text_console(mlog__format_program, name, n) - mlog__format_program);
}

/* ` key=value` as PRETTY shows it. */
static char *mlog__format_pair(char *p, const mlog__out *f) {
    *p++ = ' ';
    p = mlog__text_console(p, f->key, f->len);
    *p++ = '=';
    return mlog__format_pretty_value(p, &f->val);
}

/* prog: error: message key=value … */
static bool mlog__format_brief(mlog__buffer *b, mlog__desk *desk, mlog__item *it, bool color) {
    if (!mlog__format_room(b, 2 * mlog__format_bound(it))) return false;
    mlog__out list[MLOG__FIELDS];
    uint32_t n = mlog__format_list(it, desk, list);
    const char *name = mlog_level_name(it->level);
    char *p = mlog__format_put(b->p + b->len, mlog__format_program, mlog__format_program_len);
    if (mlog__format_program_len != 0) p = MLOG__PUT_TEXT(p, ": ");
    if (color) p = mlog__format_put(p, mlog__format_color(it->level), 5);
    p = mlog__format_put(p, name, strlen(name));
    *p++ = ':';
    if (color) p = MLOG__PUT_TEXT(p, "\033[0m");
    *p++ = ' ';
    p = mlog__text_console(p, it->msg, it->msg_len);
    for (uint32_t i = 0; i < n; i++) p = mlog__format_pair(p, &list[i]);
    *p++ = '\n';
    b->len = (size_t)(p - b->p);
    return true;
}

/* -- LOGFMT: ts=… level=info msg="…" source=… at=… thread=… key=value … --
 * What go-logfmt (https://github.com/go-logfmt/logfmt: encode.go, decode.go), and with it Loki's and Heroku's readers, take: one
 * blank between pairs; a value is bare, or in quotes with JSON's escapes when it holds a blank, a control character, = or ". The
 * text null is quoted, null alone is no value. Quoted, too, what some readers trip over: the empty text, a backslash, an
 * apostrophe. Arrays and objects are JSON text in quotes. In keys `_` stands for each such character; keys that are equal then
 * are renamed as in JSON. */

/* console: bidi controls are escaped. */
static char *mlog__format_flat_quoted(char *p, const char *s, size_t n, bool console) {
    *p = '"';
    char *end = mlog__text_json(p + 1, s, n);
    if (console) end = mlog__format_tame(p + 1, end);
    *end = '"';
    return end + 1;
}

/* Bare, or in quotes. */
static inline char *mlog__format_flat_text(char *p, const char *s, size_t n, bool console) {
    bool special = n == 0 || (*s == 'n' && n == 4 && memcmp(s, "null", 4) == 0);
    char *end = special ? NULL : mlog__text_bare(p, s, n, mlog__text_style_flat);
    return MLOG__LIKELY(end != NULL) ? end : mlog__format_flat_quoted(p, s, n, console);
}

/* scratch: room for the value as JSON. */
static char *mlog__format_flat_value(char *p, const mlog__val *v, char *scratch, bool console) {
    char *end;
    switch (v->kind) {
    case MLOG_K_INT: return mlog__text_i64(p, v->as.i);
    case MLOG_K_TEXT:
        if (MLOG__LIKELY(v->full <= v->len)) return mlog__format_flat_text(p, v->as.p, v->len, console);
        end = mlog__format_json_text(p, v); /* null, or cut: quoted, with the marker inside */
        return console ? mlog__format_tame(p, end) : end;
    case MLOG_K_FLOAT:
    case MLOG_K_DOUBLE: return mlog__format_double(p, v, false);
    case MLOG_K_CHAR: {
        const char c[16] = {(char)v->as.u};
        return mlog__format_flat_text(p, c, 1, console);
    }
    case MLOG_K_HEX:
    case MLOG_K_TIME: return mlog__format_plain(p, v);
    case MLOG_K_POINTER: return v->as.u == 0 ? MLOG__PUT_TEXT(p, "null") : mlog__format_plain(p, v);
    case MLOG_K_BYTES:
        if (v->len != 0 && v->full <= v->len) return mlog__format_plain(p, v);
        return mlog__format_json_value(p, v);
    case MLOG_K_ARRAY:
    case MLOG_K_OBJECT:
    case MLOG_K_JSON:
        return mlog__format_flat_quoted(p, scratch, (size_t)(mlog__format_json_value(scratch, v) - scratch), console);
    default: return mlog__format_json_value(p, v); /* numbers, or a string with nothing to escape */
    }
}

/* Can the key stand before an = as it is? It is copied to p. */
static bool mlog__format_flat_key(char *p, const char *key, size_t n) {
    return n != 0 && mlog__text_bare(p, key, n, mlog__text_style_flat) != NULL;
}

/* The key with `_` for each character that cannot stand there; returns the end. */
static char *mlog__format_flat_clean(char *p, const char *key, size_t n) {
    if (n == 0) *p++ = '_';
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;
        len = mlog__text_decode(key + i, n - i, &cp);
        bool ok = cp < 0x80 ? !mlog__text_stops(key[i], mlog__text_style_flat)
                            : cp != UINT32_MAX && !mlog__text_hidden(cp, mlog__text_style_flat);
        if (ok) p = mlog__format_put(p, key + i, len);
        else *p++ = '_';
    }
    return p;
}

enum { MLOG__FLAT_NAMES = 3 * MLOG__NAMES_BYTES }; /* room for cleaned keys and for those renamed after that */

/* All fields, under keys that can stand before an =. New ones are made at `made`. */
static uint32_t mlog__format_flat_list(mlog__item *it, mlog__desk *desk, mlog__out *list, char *made) {
    mlog__out raw[MLOG__FIELDS];
    uint32_t all = mlog__format_list(it, desk, raw), plain = 0, n = 0;
    const char *end = made + MLOG__FLAT_NAMES;
    while (plain < all && mlog__format_flat_key(made, raw[plain].key, raw[plain].len)) plain++;
    if (plain == all) return memcpy(list, raw, all * sizeof *list), all;
    if (desk->recovered) list[n++] = raw[0]; /* our own mark keeps its name */
    for (uint32_t i = n; i < all; i++) {
        const char *key = made;
        made = mlog__format_flat_clean(made, raw[i].key, raw[i].len);
        mlog__format_add(list, &n, key, (uint32_t)(made - key), &raw[i].val, &made, end);
    }
    return n;
}

/* ` level=info msg=` */
static char *mlog__format_flat_level(char *p, int level) {
    const char *name = mlog_level_name(level);
    p = mlog__format_put(MLOG__PUT_TEXT(p, " level="), name, strlen(name));
    return MLOG__PUT_TEXT(p, " msg=");
}

/* ` source=… at=… thread=` */
static char *mlog__format_flat_tail(char *p, const mlog__item *it, char *scratch, bool console) {
    p = mlog__format_flat_text(MLOG__PUT_TEXT(p, " source="), it->source, it->source_len, console);
    char *at = mlog__format_put(scratch, it->file, it->file_len);
    *at++ = ':';
    at = mlog__text_u64(at, it->line);
    p = mlog__format_flat_text(MLOG__PUT_TEXT(p, " at="), scratch, (size_t)(at - scratch), console);
    return MLOG__PUT_TEXT(p, " thread=");
}

/* Makes the static parts of a site, once; two lanes may do it at the same time, one of them wins. NULL: no memory. */
MLOG__COLD static const mlog__flat *mlog__format_flatten(const mlog__info *info) {
    mlog__flat **place = (mlog__flat **)(uintptr_t)&info->flat, *flat = NULL;
    const mlog__entry *e = info->e;
    const mlog__item site = {.source = info->source, .source_len = e->source_len, .file = mlog__dict_file(e),
                             .file_len = e->file_len, .line = e->line};
    size_t texts = (size_t)e->msg_len + e->source_len + e->file_len;
    size_t keys = info->head == NULL ? 0 : (size_t)(info->head - info->pieces);
    mlog__flat *fresh = calloc(1, sizeof *fresh + keys + 7 * texts + 512 + MLOG__SPILL);
    if (fresh == NULL) return NULL;
    char *p = fresh->text;
    fresh->plain = true;
    for (uint32_t i = 0; i < e->count && i < 16 && info->key[i] != NULL; i++) {
        *p++ = ' ';
        fresh->plain = fresh->plain && mlog__format_flat_key(p, info->key[i], info->key_len[i]);
        p = mlog__format_put(p, info->key[i], info->key_len[i]);
        *p++ = '=';
        fresh->piece_at[i + 1] = (uint32_t)(p - fresh->text);
    }
    char *scratch = p + 6 * texts + 256;
    fresh->head_at = (uint32_t)(p - fresh->text);
    p = mlog__format_flat_level(p, e->level);
    fresh->gap = (uint32_t)(p - fresh->text);
    if (info->print == NULL) p = mlog__format_flat_quoted(p, mlog__dict_msg(e), e->msg_len, false);
    fresh->end = (uint32_t)(mlog__format_flat_tail(p, &site, scratch, false) - fresh->text);
    if (__atomic_compare_exchange_n(place, &flat, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return fresh; /* FORMAT-2 */
    free(fresh);
    return flat;
}

/* ` key=value …` of a context, rendered once, at p, which has the room. False: its keys need care, or there is no memory. */
MLOG__COLD static bool mlog__format_flat_context(const mlog__known *known, char *p, char *scratch) {
    mlog__known *k = (mlog__known *)(uintptr_t)known; /* the desk's own, and a desk has one user */
    char *start = p;
    bool plain = true;
    for (uint32_t i = 0; i < k->count && plain; i++) {
        *p++ = ' ';
        plain = mlog__format_flat_key(p, k->field[i].key, k->field[i].len);
        p += k->field[i].len;
        *p++ = '=';
        if (plain) p = mlog__format_flat_value(p, &k->field[i].val, scratch, false);
    }
    k->flat_len = (uint32_t)(p - start);
    if (plain) k->flat = malloc(k->flat_len + MLOG__SPILL);
    if (k->flat != NULL) memcpy(k->flat, start, k->flat_len);
    k->flat_state = k->flat != NULL ? 1 : 2;
    return k->flat_state == 1;
}

/* ` level=…` up to `thread=`, as far as it can from what is kept of the site. */
static inline char *mlog__format_flat_head(char *p, const mlog__item *it, const mlog__flat *flat, char *scratch, bool console) {
    bool own = flat != NULL && (it->header & MLOG__F_TO) == 0 && it->source == it->info->source;
    if (MLOG__LIKELY(own && it->info->print == NULL))
        return mlog__format_put(p, flat->text + flat->head_at, flat->end - flat->head_at);
    p = mlog__format_flat_level(p, it->level);
    p = mlog__format_flat_quoted(p, it->msg, it->msg_len, console);
    if (own) return mlog__format_put(p, flat->text + flat->gap, flat->end - flat->gap);
    return mlog__format_flat_tail(p, it, scratch, console);
}

/* Every field, under a safe key; b->p may move. */
static __attribute__((noinline)) bool mlog__format_flat_fields(mlog__buffer *b, size_t at, mlog__desk *desk, mlog__item *it,
                                                               bool console) {
    size_t bound = mlog__format_bound(it);
    if (!mlog__format_room(b, at - b->len + 3 * bound + MLOG__FLAT_NAMES)) return false;
    char *p = b->p + at, *scratch = p + 2 * bound;
    mlog__out list[MLOG__FIELDS];
    uint32_t n = mlog__format_flat_list(it, desk, list, scratch + bound);
    for (uint32_t i = 0; i < n; i++) {
        *p++ = ' ';
        p = mlog__format_put(p, list[i].key, list[i].len);
        *p++ = '=';
        p = mlog__format_flat_value(p, &list[i].val, scratch, console);
    }
    *p++ = '\n';
    b->len = (size_t)(p - b->p);
    return true;
}

/* One line. As in JSON the plain site is the fast way, and everything else goes through the list of fields. */
static bool mlog__format_logfmt(mlog__buffer *b, mlog__desk *desk, mlog__item *it, bool console) {
    size_t bound = mlog__format_bound(it);
    if (!mlog__format_room(b, 3 * bound)) return false;
    const mlog__info *info = it->info;
    const mlog__known *context = it->context;
    const mlog__flat *flat = info == NULL || console ? NULL : __atomic_load_n(&info->flat, __ATOMIC_ACQUIRE); /* FORMAT-2 */
    if (MLOG__UNLIKELY(flat == NULL && info != NULL && !console)) flat = mlog__format_flatten(info);
    char *p = b->p + b->len, *scratch = p + 2 * bound;
    bool easy = flat != NULL && flat->plain && it->fields == 0 && it->bound == NULL && !desk->recovered;
    if (easy && context != NULL)
        easy = !mlog__format_clashes(info, context) &&
               (context->flat_state == 1 || (context->flat_state == 0 && mlog__format_flat_context(context, p, scratch)));
    p = mlog__text_utc(MLOG__PUT_TEXT(p, "ts="), it->time, &desk->utc);
    p = mlog__format_flat_head(p, it, flat, scratch, console);
    if (it->thread_len == 0) p = mlog__text_u64(p, it->tid);
    else p = mlog__format_flat_text(p, it->thread, it->thread_len, console);
    if (MLOG__UNLIKELY(it->late)) p = mlog__text_utc(MLOG__PUT_TEXT(p, " ts_call="), it->call_time, &desk->utc);
    if (!easy) return mlog__format_flat_fields(b, (size_t)(p - b->p), desk, it, console);
    if (context != NULL) p = mlog__format_put(p, context->flat, context->flat_len);
    for (uint32_t i = 0; i < it->count && info->print == NULL; i++) {
        p = mlog__format_put(p, flat->text + flat->piece_at[i], flat->piece_at[i + 1] - flat->piece_at[i]);
        const mlog__val *v = &it->val[i];
        p = v->kind == MLOG_K_INT ? mlog__text_i64(p, v->as.i) : mlog__format_flat_value(p, v, scratch, false);
    }
    *p++ = '\n';
    b->len = (size_t)(p - b->p);
    return true;
}

/* -- straight: from the slots to text, for records of plain sites in JSON and LOGFMT --
 * Most records have nothing but a site, its numbers and texts, and at most a context. They are written without the decoded
 * values between, in one pass over their slots. What it writes is what the long way writes; test_format compares them. */

MLOG__INLINE char *mlog__format_straight_value(char *p, uint32_t kind, uint64_t word, const unsigned char **payload,
                                                const unsigned char *end, bool flat) {
    mlog__val v;
    if (kind == MLOG_K_INT) return mlog__text_i64(p, (int64_t)word);
    if (kind == MLOG_K_UINT) return mlog__text_u64(p, word);
    if (kind == MLOG_K_DOUBLE && MLOG__LIKELY((word >> 52 & 0x7FF) != 0x7FF)) { /* finite */
        double d;
        memcpy(&d, &word, 8);
        return mlog__text_double(p, d);
    }
    if (MLOG__UNLIKELY(!mlog__record_get(&v, kind, 0, word, payload, end))) return NULL;
    if (MLOG__UNLIKELY(kind != MLOG_K_TEXT || v.full > v.len))
        return flat ? mlog__format_flat_value(p, &v, NULL, false) : mlog__format_json_value(p, &v);
    if (flat) return mlog__format_flat_text(p, v.as.p, v.len, false);
    *p++ = '"';
    p = mlog__text_json(p, v.as.p, v.len);
    *p++ = '"';
    return p;
}

/* The values with what stands before each; NULL: the bytes are not sound. */
MLOG__INLINE char *mlog__format_straight_values(char *p, const mlog__entry *e, const char *text, const uint32_t *at,
                                                 const unsigned char *slots, const unsigned char *end, bool flat) {
    uint32_t count = e->count;
    const unsigned char *payload = slots + 8 * (size_t)count;
    if (payload > end) return NULL;
    for (uint32_t i = 0; i < count && p != NULL; i++) {
        uint64_t word;
        memcpy(&word, slots + 8 * (size_t)i, 8);
        p = mlog__format_lay(p, text + at[i], at[i + 1] - at[i]);
        p = mlog__format_straight_value(p, e->kind[i], word, &payload, end, flat);
    }
    return p;
}

/* The context of a record that may go straight: its fields must not clash with the site's, nor name another source. False: they do. */
static inline bool mlog__format_straight_context(const mlog__info *info, const mlog__known *k) {
    return k != NULL && k->source == NULL && !mlog__format_clashes(info, k);
}

/* Appends the record at `record` as a line; time and header of `it` are set, nothing else of it is looked at. 1: done; 0: it takes
 * the long way; -1: the bytes are not sound. */
MLOG__INLINE int mlog__format_straight(mlog__buffer *b, mlog__desk *desk, const mlog__info *info, const mlog__item *it,
                                        const unsigned char *record, bool flat) {
    const mlog__known *k = NULL;
    const mlog__flat *f = NULL;
    size_t bytes = (size_t)mlog__record_bytes(it->header), context = 0;
    const unsigned char *slots = record + 16;
    if (MLOG__UNLIKELY(it->header & MLOG__F_CONTEXT)) {
        uint64_t id;
        memcpy(&id, slots, 8);
        slots += 8;
        k = mlog__format_context(desk, id);
        if (!mlog__format_straight_context(info, k) || (flat && k->flat_state != 1)) return 0;
        context = flat ? k->flat_len : k->json_len;
    }
    if (flat) {
        f = __atomic_load_n(&info->flat, __ATOMIC_ACQUIRE); /* FORMAT-2 */
        if (f == NULL || !f->plain) return 0;
    }
    if (MLOG__UNLIKELY(!mlog__format_room(b, info->straight + 6 * bytes + context))) return -1;
    char *p = b->p + b->len;
    p = mlog__text_utc(flat ? MLOG__PUT_TEXT(p, "ts=") : MLOG__PUT_TEXT(p, "{\"ts\":\""), it->time, &desk->utc);
    p = flat ? mlog__format_lay(p, f->text + f->head_at, f->end - f->head_at) : mlog__format_lay(p, info->head, info->head_len);
    if (!flat) p = mlog__format_lay(p, it->owner->json, it->owner->json_len);
    else if (it->thread_len == 0) p = mlog__text_u64(p, it->tid);
    else p = mlog__format_flat_text(p, it->thread, it->thread_len, false);
    if (k != NULL) p = mlog__format_lay(p, flat ? k->flat : k->json, context);
    p = flat ? mlog__format_straight_values(p, info->e, f->text, f->piece_at, slots, record + bytes, true)
             : mlog__format_straight_values(p, info->e, info->pieces, info->piece_at, slots, record + bytes, false);
    if (MLOG__UNLIKELY(p == NULL)) return -1;
    if (!flat) *p++ = '}';
    *p++ = '\n';
    b->len = (size_t)(p - b->p);
    return 1;
}

/* The report of losses is a record like another: level WARN, source metalog, a count per level. */
static void mlog__format_loss(mlog__item *it, uint32_t words) {
    uint64_t total = 0;
    it->level = MLOG_WARN;
    it->source = "metalog";
    it->source_len = 7;
    it->file = it->func = "metalog.h";
    it->file_len = 9;
    it->line = __LINE__;
    it->msg = "records dropped: queue full";
    it->msg_len = (uint32_t)strlen(it->msg);
    it->info = NULL;
    it->context = it->bound = NULL;
    it->count = it->from_context = it->from_bound = 0;
    it->fields = 1;
    for (uint32_t i = 0; i < words && it->fields < MLOG__FIELDS; i++) {
        uint64_t word = it->lost[i], count = word >> 8;
        const char *name = mlog_level_name((int)(word & 255));
        mlog__out *last = &it->field[it->fields - 1];
        total += count;
        if (it->fields > 1 && strcmp(last->key, name) == 0) last->val.as.u += count; /* levels between two names print as one */
        else it->field[it->fields++] = (mlog__out){name, (uint32_t)strlen(name), {.kind = MLOG_K_UINT, .as.u = count}};
    }
    it->field[0] = (mlog__out){"dropped", 7, {.kind = MLOG_K_UINT, .as.u = total}};
}

/* -- for callbacks -- */

/* Encodes and decodes, as a call and the flusher would do it. */
size_t mlog_value_json(const mlog_value *value, char *text, size_t size) {
    int saved = errno;
    const mlog_value null = {.kind = MLOG_K_NULL};
    mlog_value clean = mlog__record_clean(value == NULL ? &null : value);
    uint64_t kept = mlog__record_kept(&clean, UINT32_MAX);
    size_t payload = (size_t)mlog__record_payload(&clean, kept), room = 7 * payload + 256, n;
    unsigned char small[1024], *bytes = room <= sizeof small ? small : malloc(room), *end = bytes;
    if (bytes == NULL) return errno = saved, (size_t)0;
    uint64_t word = mlog__record_put(&clean, &end, kept);
    const unsigned char *at = bytes;
    mlog__val v;
    if (!mlog__record_get(&v, clean.kind & 255, (clean.kind >> 8) & 255, word, &at, end)) v = (mlog__val){.kind = MLOG_K_NULL};
    char *p = (char *)bytes + payload;
    n = (size_t)(mlog__format_json_value(p, &v) - p);
    if (n <= size && text != NULL) memcpy(text, p, n);
    if (bytes != small) free(bytes);
    errno = saved;
    return n;
}

/* A decoded value as the public type; arrays and objects become JSON text in the desk's buffer, which has the room. */
static mlog_value mlog__format_to_value(const mlog__val *v, mlog__buffer *b) {
    mlog_value r = {.kind = v->kind, .size = 0, .as = {.u = v->as.u}};
    if (v->kind == MLOG_K_ARRAY || v->kind == MLOG_K_OBJECT || v->kind == MLOG__K_LDOUBLE) {
        char *p = b->p + b->len, *end = mlog__format_json_value(p, v);
        *end = 0;
        b->len += (size_t)(end - p) + 1;
        r.kind = MLOG_K_JSON;
        r.size = (uint32_t)(end - p);
        r.as.p = p;
    } else if (mlog__record_has_bytes(v->kind)) {
        r.size = v->len;
        r.as.p = v->as.p;
        if (v->full == MLOG__NULL_TEXT) r = (mlog_value){.kind = MLOG_K_NULL, .size = 0, .as = {.u = 0}};
    }
    return r;
}

/* ==== filter ====
 * One language for sinks, captures and mlog_filter_match; the manual describes it. A text becomes a row of comparisons, each of
 * which knows where to go on when it holds and when it does not: evaluation is a loop that only goes forward, and but for
 * patterns allocates nothing and takes no lock. Of a record in a ring no more is decoded than the comparisons need that are
 * reached.
 * owns: the language, compiled filters
 * may call: platform record rule text format
 */

enum { MLOG__FILTER_BYTES = 8192, MLOG__FILTER_TERMS = 128, MLOG__FILTER_DEPTH = 32, MLOG__FILTER_END = UINT16_MAX };

/* An operator is the set of the outcomes that it holds for: bit 0 less, 1 equal, 2 greater, 3 does not compare. */
enum { MLOG__Q_LESS = 1, MLOG__Q_EQUAL = 2, MLOG__Q_GREATER = 4, MLOG__Q_UNEQUAL = 5, MLOG__Q_HAS = 15 };
enum { MLOG__Q_NEVER = 2 }; /* the outcome of bit 3, behind -1, 0, 1: another type, or NaN */

enum { MLOG__Q_KEY, MLOG__Q_LEVEL, MLOG__Q_SOURCE, MLOG__Q_MSG, MLOG__Q_THREAD };
enum { MLOG__Q_INT, MLOG__Q_UINT, MLOG__Q_DOUBLE, MLOG__Q_DURATION, MLOG__Q_BOOL, MLOG__Q_NULL, MLOG__Q_TEXT, MLOG__Q_GLOB,
       MLOG__Q_COVER, MLOG__Q_REGEX }; /* GLOB: NULs stand for the stars; COVER: a source with its children */

/* A pattern of the C library. learned: bytes that it has read since it was compiled. */
typedef struct { regex_t code; uint32_t learned; bool compiled; mlog__lock lock; } mlog__filter_regex;

typedef struct {
    uint16_t exit[2];       /* the next comparison when this one fails, holds; count: a match, count + 1: none */
    uint8_t what, op, type;
    uint32_t key_len, text_len;
    const char *key, *text; /* in the filter's own allocation */
    mlog__filter_regex *regex; /* of REGEX, whose text ends with a NUL */
    union { int64_t i; uint64_t u; double f; } as;
} mlog__filter_term;

struct mlog_filter { uint32_t count, terms; mlog__filter_term term[]; }; /* terms: there is room for */

/* -- reading -- */

enum { MLOG__Q_END, MLOG__Q_WORD, MLOG__Q_QUOTED, MLOG__Q_OPERATOR, MLOG__Q_OPEN, MLOG__Q_CLOSE, MLOG__Q_BAD };

typedef struct {
    const char *text, *at, *end, *start; /* the token is [start, at) */
    const char *expected;                /* of the first error; NULL: none */
    mlog_filter *f;
    char *room;                          /* for the texts of the next comparison */
    uint32_t depth;
    uint8_t token, op;
    bool pattern;                        /* the operator wants one */
    char said[160];                      /* what the C library expects of it */
} mlog__filter_reader;

/* Exits that lead nowhere yet: two lists, linked through the exits themselves as comparison * 2 + which. */
typedef struct { uint16_t list[2]; } mlog__filter_exits;

static bool mlog__filter_row(mlog__filter_reader *r, mlog__filter_exits *open, int joint);

/* Always false, so that a refusal is one statement; the first one counts. */
static bool mlog__filter_fail(mlog__filter_reader *r, const char *expected) {
    if (r->expected == NULL) r->expected = expected;
    return false;
}

static bool mlog__filter_is_digit(char c) { return c >= '0' && c <= '9'; }

static bool mlog__filter_is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || mlog__filter_is_digit(c) || (unsigned char)c >= 0x80 ||
           (c != 0 && strchr("._-*:/+", c) != NULL);
}

/* To behind the closing quote. Without one the token is BAD, and the error shows where it began. */
static uint8_t mlog__filter_scan_quoted(mlog__filter_reader *r) {
    for (r->at++; r->at < r->end && *r->at != 0; r->at++) {
        if (*r->at == *r->start) return r->at++, MLOG__Q_QUOTED;
        if (*r->at == '\\' && r->end - r->at > 1) r->at++;
    }
    mlog__filter_fail(r, *r->start == '"' ? "a closing \"" : "a closing '");
    return MLOG__Q_BAD;
}

/* = != < <= > >= ~ !~ */
static uint8_t mlog__filter_scan_operator(mlog__filter_reader *r) {
    char c = *r->at++;
    r->pattern = c == '~' || (c == '!' && r->at < r->end && *r->at == '~');
    if (r->pattern) {
        r->at += c == '!';
        r->op = c == '~' ? MLOG__Q_EQUAL : MLOG__Q_UNEQUAL;
        return MLOG__Q_OPERATOR;
    }
    bool equal = c != '=' && r->at < r->end && *r->at == '=';
    r->at += equal;
    r->op = c == '=' ? MLOG__Q_EQUAL : c == '<' ? MLOG__Q_LESS : c == '>' ? MLOG__Q_GREATER : MLOG__Q_UNEQUAL;
    if (equal) r->op |= c == '!' ? 0 : MLOG__Q_EQUAL;
    return c == '!' && !equal ? MLOG__Q_BAD : MLOG__Q_OPERATOR;
}

static void mlog__filter_next(mlog__filter_reader *r) {
    while (r->at < r->end && *r->at != 0 && strchr(" \t\r\n", *r->at) != NULL) r->at++;
    r->start = r->at;
    char c = r->at < r->end ? *r->at : 0;
    if (r->at == r->end) r->token = MLOG__Q_END;
    else if (c == '\'' || c == '"') r->token = mlog__filter_scan_quoted(r);
    else if (c != 0 && strchr("=!<>~", c) != NULL) r->token = mlog__filter_scan_operator(r);
    else if (mlog__filter_is_word(c)) {
        while (r->at < r->end && mlog__filter_is_word(*r->at)) r->at++;
        r->token = MLOG__Q_WORD;
    } else {
        r->at++;
        r->token = c == '(' ? MLOG__Q_OPEN : c == ')' ? MLOG__Q_CLOSE : MLOG__Q_BAD;
    }
}

static bool mlog__filter_is(const mlog__filter_reader *r, const char *word) {
    size_t n = strlen(word);
    return r->token == MLOG__Q_WORD && (size_t)(r->at - r->start) == n && memcmp(r->start, word, n) == 0;
}

static bool mlog__filter_is_keyword(const mlog__filter_reader *r) {
    return mlog__filter_is(r, "and") || mlog__filter_is(r, "or") || mlog__filter_is(r, "not") || mlog__filter_is(r, "has");
}

/* What a backslash and this letter mean; 0: nothing. */
static char mlog__filter_escape(char c) {
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c != 0 && strchr("\\'\"*", c) != NULL ? c : 0;
}

/* Copies the token, a word or a quoted text, without its quotes and escapes. With `wild` stars become NULs and are counted. */
static bool mlog__filter_copy(mlog__filter_reader *r, const char **text, uint32_t *len, bool wild, uint32_t *stars) {
    bool quoted = r->token == MLOG__Q_QUOTED;
    const char *p = r->start + quoted, *end = r->at - quoted;
    char *to = r->room;
    for (; p < end; p++) {
        char c = *p;
        if (quoted && c == '\\') {
            c = mlog__filter_escape(*++p);
            if (c == 0) {
                r->start = p - 1;
                r->at = p + 1;
                return mlog__filter_fail(r, "one of ' \" * n r t or another backslash behind it");
            }
        } else if (wild && c == '*') {
            c = 0;
            ++*stars;
        }
        *to++ = c;
    }
    *text = r->room;
    *len = (uint32_t)(to - r->room);
    r->room = to;
    return true;
}

/* -- patterns --
 * The C library finds them, in two steps: the pattern by itself, which refuses what is wrong, then behind `^.*`, so that a text
 * is read once; glibc would else begin anew at each byte of it, which takes the square of the time. What it learns on its way
 * (a state for each set of places in the pattern) it keeps: for some patterns that doubles with each repetition, so it is made
 * to forget every 16 KiB. The worst is then 100 MB and 10 us a byte, for a pattern like a[ab]{200} on a text that is made for
 * it; usual ones take 1 to 4 ns a byte, and 1.4 us to be compiled. It follows the locale of the thread, which is therefore C's
 * meanwhile. */

enum { MLOG__FILTER_PATTERN = 256, MLOG__FILTER_UNROLLED = 500, MLOG__FILTER_TIMES = 255, MLOG__FILTER_SEARCHED = 16 << 10 };

/* Behind a bracket expression, in which \ is nothing special. */
static const char *mlog__filter_bracket(const char *p, const char *end) {
    p++;
    if (p < end && *p == '^') p++;
    if (p < end && *p == ']') p++;
    while (p < end && *p != ']') {
        bool named = *p == '[' && end - p > 1 && strchr(":.=", p[1]) != NULL;
        const char *close = named ? memmem(p + 2, (size_t)(end - p - 2), (const char[]){p[1], ']'}, 2) : NULL;
        p = close != NULL ? close + 2 : p + 1;
    }
    return p < end ? p + 1 : end;
}

/* {2}, {2,}, {2,5} at p: how often it writes its piece out, and where it ends; 0: too often. What is none is left to the C
 * library. */
static uint32_t mlog__filter_times(const char **p, const char *end) {
    uint32_t n[2] = {0, 0};
    int i = 0;
    for (++*p; *p < end && **p != '}'; ++*p) {
        if (**p == ',' && i == 0) i = 1;
        else if (mlog__filter_is_digit(**p)) n[i] = MLOG__MIN(n[i] * 10 + (uint32_t)(**p - '0'), 9999u);
        else break;
    }
    if (*p < end && **p == '}') ++*p;
    uint32_t most = MLOG__MAX(n[0] + (i == 1 && (*p)[-2] == ','), n[1]);
    return most > MLOG__FILTER_TIMES ? 0 : MLOG__MAX(most, 1u);
}

/* Refuses what may take very long, or much memory. The C library writes repetitions out, also the one in `+`. */
static bool mlog__filter_bounded(mlog__filter_reader *r, const char *p, const char *end) {
    uint32_t size[MLOG__FILTER_DEPTH + 1] = {0}, depth = 0, last = 0, times = 1;
    if (p == end || end - p > MLOG__FILTER_PATTERN) return mlog__filter_fail(r, "a pattern of 1 to 256 bytes");
    while (p < end) {
        const char *from = p;
        char c = *p++;
        times = c == '+' ? 2 : 1;
        if (c == '\\' && p < end && *p >= '1' && *p <= '9')
            return r->start = from, r->at = p + 1, mlog__filter_fail(r, "a pattern without back-references");
        if (c == '(' && depth == MLOG__FILTER_DEPTH) return mlog__filter_fail(r, "at most 32 parentheses inside each other");
        if (c == '{') p = from, times = mlog__filter_times(&p, end);
        if (times == 0) return r->start = from, r->at = p, mlog__filter_fail(r, "at most 255 repetitions");
        if (c == '(') size[++depth] = last = 0;
        else if (c == ')' && depth > 0) last = size[depth--] + 1, size[depth] += last;
        else if (c == '{' || c == '*' || c == '+' || c == '?') size[depth] += last * (times - 1), last *= times;
        else {
            if (c == '\\' && p < end) p++;
            if (c == '[') p = mlog__filter_bracket(from, end);
            size[depth] += last = 1;
        }
        if (size[depth] > MLOG__FILTER_UNROLLED)
            return mlog__filter_fail(r, "at most 500 characters with all repetitions written out");
    }
    return true;
}

/* This thread's locale is C's from here to mlog__filter_leave_c. C libraries allocate nothing for that. */
static locale_t mlog__filter_enter_c(locale_t *c) {
    *c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return uselocale(*c);
}

static void mlog__filter_leave_c(locale_t c, locale_t before) {
    uselocale(before);
    if (c != (locale_t)0) freelocale(c);
}

/* said: what is wrong with it, behind what stands there already. */
static bool mlog__filter_compile_regex(regex_t *code, const char *pattern, char *said, size_t size) {
    locale_t c, before = mlog__filter_enter_c(&c);
    int error = regcomp(code, pattern, REG_EXTENDED | REG_NOSUB);
    if (error != 0 && size > 0) regerror(error, NULL, said + strlen(said), size - strlen(said));
    mlog__filter_leave_c(c, before);
    return error == 0;
}

/* The pattern as it is searched for. False: no memory. */
static bool mlog__filter_learn(mlog__filter_regex *x, const char *pattern) {
    char whole[MLOG__FILTER_PATTERN + 8];
    if (x->compiled) regfree(&x->code);
    snprintf(whole, sizeof whole, "^.*(%s)", pattern);
    x->compiled = mlog__filter_compile_regex(&x->code, whole, NULL, 0);
    x->learned = 0;
    return x->compiled;
}

/* Copies the token, a pattern, with a NUL behind it, and compiles it. */
static bool mlog__filter_pattern(mlog__filter_reader *r, mlog__filter_term *t) {
    bool quoted = r->token == MLOG__Q_QUOTED;
    const char *p = r->start + quoted, *end = r->at - quoted;
    char *to = r->room;
    regex_t alone;
    t->type = MLOG__Q_REGEX;
    t->text = to;
    if (!mlog__filter_bounded(r, p, end)) return false;
    for (; p < end; p++) {
        char c = *p == '\\' && p[1] != '\\' && p[1] != '*' ? mlog__filter_escape(p[1]) : 0;
        if (*p == '\\' && c == 0) *to++ = '\\'; /* with what follows, also another one */
        if (*p == '\\') p++;
        *to++ = c != 0 ? c : *p;
    }
    t->text_len = (uint32_t)(to - r->room);
    *to++ = 0;
    r->room = to;
    snprintf(r->said, sizeof r->said, "a POSIX extended regular expression: ");
    if (!mlog__filter_compile_regex(&alone, t->text, r->said, sizeof r->said)) return mlog__filter_fail(r, r->said);
    regfree(&alone);
    t->regex = calloc(1, sizeof *t->regex);
    if (t->regex == NULL) return mlog__filter_fail(r, "memory");
    mlog__platform_lock_init(&t->regex->lock);
    return mlog__filter_learn(t->regex, t->text) || mlog__filter_fail(r, "memory");
}

/* In a copy that ends with a NUL (REG_STARTEND is not in every C library, and unknown to sanitizers), where NULs are \1. 0:
 * found. */
static int mlog__filter_look(const regex_t *code, const char *s, size_t n) {
    char room[512], *copy = n < sizeof room ? room : malloc(n + 1);
    if (copy == NULL) return MLOG__Q_NEVER;
    if (n > 0) memcpy(copy, s, n);
    copy[n] = 0;
    for (char *p = copy; (p = memchr(p, 0, (size_t)(copy + n - p))) != NULL;) *p = 1;
    int found = regexec(code, copy, 0, NULL, 0);
    if (copy != room) free(copy);
    return found == 0 ? 0 : found == REG_NOMATCH ? 1 : MLOG__Q_NEVER;
}

/* Is it in the text? 0: yes, 1: no, or MLOG__Q_NEVER without memory. */
static int mlog__filter_search(const mlog__filter_term *t, const char *s, size_t n) {
    mlog__filter_regex *x = t->regex;
    int saved = errno;
    n = MLOG__MIN(n, (size_t)MLOG__FILTER_SEARCHED);
    mlog__platform_lock(&x->lock);
    bool able = (x->compiled && x->learned + n <= MLOG__FILTER_SEARCHED) || mlog__filter_learn(x, t->text);
    locale_t c, before = mlog__filter_enter_c(&c);
    x->learned += (uint32_t)n;
    int outcome = able ? mlog__filter_look(&x->code, s, n) : MLOG__Q_NEVER;
    mlog__filter_leave_c(c, before);
    mlog__platform_unlock(&x->lock);
    errno = saved;
    return outcome;
}

/* In a child: another thread may have been in the middle of a search when its parent forked. */
static void mlog__filter_forget(mlog_filter *f) {
    for (uint32_t i = 0; f != NULL && i < f->count; i++) {
        mlog__filter_regex *x = f->term[i].regex;
        if (x == NULL) continue;
        x->compiled = false; /* not to be freed */
        mlog__platform_lock_init(&x->lock);
    }
}

static void mlog__filter_free(mlog_filter *f) {
    for (uint32_t i = 0; f != NULL && i < f->terms; i++) {
        mlog__filter_regex *x = f->term[i].regex;
        if (x == NULL) continue;
        if (x->compiled) regfree(&x->code);
        mlog__platform_lock_end(&x->lock);
        free(x);
    }
    free(f);
}

/* -- values -- */

static size_t mlog__filter_digits(const char *p, size_t n, size_t i) {
    while (i < n && mlog__filter_is_digit(p[i])) i++;
    return i;
}

static bool mlog__filter_is_hex(const char *p, size_t n) {
    while (n > 0 && *p != 0 && strchr("0123456789abcdefABCDEF", *p) != NULL) p++, n--;
    return n == 0;
}

/* ns of a unit; 0: it is none. */
static int64_t mlog__filter_unit(const char *p, size_t n) {
    static const struct { char name[3]; int64_t ns; } unit[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000},
                                                                {"m", INT64_C(60000000000)}, {"h", INT64_C(3600000000000)}};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (strlen(unit[i].name) == n && memcmp(unit[i].name, p, n) == 0) return unit[i].ns;
    return 0;
}

/* The digits in [p, p + n) by a base; false: not in 64 bits. */
static bool mlog__filter_magnitude(const char *p, size_t n, unsigned base, uint64_t *value) {
    for (*value = 0; n > 0; p++, n--) {
        unsigned digit = mlog__filter_is_digit(*p) ? (unsigned)(*p - '0') : (unsigned)(*p | 32) - 'a' + 10;
        if (__builtin_mul_overflow(*value, (uint64_t)base, value) || __builtin_add_overflow(*value, (uint64_t)digit, value))
            return false;
    }
    return true;
}

static const char *mlog__filter_integer(mlog__filter_term *t, const char *p, size_t n, unsigned base, bool minus) {
    if (!mlog__filter_magnitude(p, n, base, &t->as.u) || (minus && t->as.u > UINT64_C(1) << 63))
        return "an integer of 64 bits (with .0 it is a double)";
    t->type = minus || t->as.u <= INT64_MAX ? MLOG__Q_INT : MLOG__Q_UINT;
    if (minus) t->as.u = 0 - t->as.u;
    return NULL;
}

/* By the C locale, whatever the program's is. */
static const char *mlog__filter_double(mlog__filter_term *t, const char *p, size_t n) {
    char copy[104];
    if (n >= sizeof copy) return "a number of at most 100 characters";
    memcpy(copy, p, n);
    copy[n] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) return "memory";
    t->as.f = strtod_l(copy, NULL, c);
    freelocale(c);
    t->type = MLOG__Q_DOUBLE;
    return t->as.f - t->as.f == 0 ? NULL : "a number in the range of a double";
}

/* whole: the length of the digits before the point. Whole ones are exact, of others what a double keeps. */
static const char *mlog__filter_duration(mlog__filter_term *t, const char *p, size_t n, size_t whole, int64_t unit) {
    static const char range[] = "a duration within 292 years";
    bool minus = *p == '-';
    if (n == whole) {
        size_t sign = minus || *p == '+';
        if (mlog__filter_integer(t, p + sign, n - sign, 10, minus) != NULL || t->type != MLOG__Q_INT ||
            __builtin_mul_overflow(t->as.i, unit, &t->as.i))
            return range;
    } else {
        const char *expected = mlog__filter_double(t, p, n);
        if (expected != NULL) return expected;
        double ns = t->as.f * (double)unit + (minus ? -0.5 : 0.5);
        if (!(ns > -0x1p63 && ns < 0x1p63)) return range;
        t->as.i = (int64_t)ns;
    }
    t->type = MLOG__Q_DURATION;
    return NULL;
}

/* What a bare word is: a number, a duration, true, false, null; else the type stays TEXT. NULL, or what was expected. */
static const char *mlog__filter_literal(mlog__filter_term *t, const char *p, size_t n) {
    bool minus = *p == '-';
    size_t start = minus || *p == '+', whole = mlog__filter_digits(p, n, start), i = whole;
    if (n == 4 && memcmp(p, "null", 4) == 0) return t->type = MLOG__Q_NULL, (const char *)NULL;
    if ((n == 4 && memcmp(p, "true", 4) == 0) || (n == 5 && memcmp(p, "false", 5) == 0))
        return t->type = MLOG__Q_BOOL, t->as.u = n == 4, (const char *)NULL;
    if (n > 2 && p[0] == '0' && p[1] == 'x' && mlog__filter_is_hex(p + 2, n - 2))
        return mlog__filter_integer(t, p + 2, n - 2, 16, false);
    if (whole == start) return NULL;
    if (whole == n) return mlog__filter_integer(t, p + start, n - start, 10, minus);
    if (n - i > 1 && p[i] == '.') i = mlog__filter_digits(p, n, i + 1);
    if (p[i - 1] == '.') return NULL;
    int64_t unit = mlog__filter_unit(p + i, n - i);
    if (unit != 0) return mlog__filter_duration(t, p, i, whole, unit);
    if (n - i > 1 && (p[i] | 32) == 'e') {
        size_t sign = p[i + 1] == '-' || p[i + 1] == '+', exponent = mlog__filter_digits(p, n, i + 1 + sign);
        if (exponent > i + 1 + sign) i = exponent;
    }
    return i == n ? mlog__filter_double(t, p, n) : NULL;
}

/* The right side. What the record's own words are compared with is text, also when it looks like a number. */
static bool mlog__filter_right(mlog__filter_reader *r, mlog__filter_term *t) {
    bool wild = (t->op == MLOG__Q_EQUAL || t->op == MLOG__Q_UNEQUAL) && t->what != MLOG__Q_LEVEL;
    uint32_t stars = 0;
    if ((r->token != MLOG__Q_WORD && r->token != MLOG__Q_QUOTED) || mlog__filter_is_keyword(r))
        return mlog__filter_fail(r, "a value: a word, a number, or text in quotes");
    if (r->pattern) return mlog__filter_pattern(r, t) && (mlog__filter_next(r), true);
    t->type = MLOG__Q_TEXT;
    if (!mlog__filter_copy(r, &t->text, &t->text_len, wild, &stars)) return false;
    const char *expected = NULL;
    if (r->token == MLOG__Q_WORD && t->what == MLOG__Q_KEY)
        expected = mlog__filter_literal(t, r->start, (size_t)(r->at - r->start));
    if (t->what == MLOG__Q_LEVEL) {
        t->as.i = mlog__rule_level(t->text, t->text_len);
        if (t->as.i < 0) expected = "a level: trace, debug, info, notice, warn, error, crit, alert, fatal, or 1 to 24";
    }
    if ((t->type == MLOG__Q_BOOL || t->type == MLOG__Q_NULL) && !wild) expected = "= or != before true, false and null";
    if (expected != NULL) return mlog__filter_fail(r, expected);
    if (t->type == MLOG__Q_TEXT && stars != 0) t->type = MLOG__Q_GLOB;
    else if (t->what == MLOG__Q_SOURCE && wild) t->type = MLOG__Q_COVER;
    mlog__filter_next(r);
    return true;
}

/* The left side, or what `has` asks for. */
static bool mlog__filter_left(mlog__filter_reader *r, mlog__filter_term *t) {
    static const char *const own[] = {"", "level", "source", "msg", "thread"};
    bool quoted = r->token == MLOG__Q_QUOTED && *r->start == '"';
    if ((r->token != MLOG__Q_WORD && !quoted) || mlog__filter_is_keyword(r))
        return mlog__filter_fail(r, r->token == MLOG__Q_QUOTED ? "a key: a word, or text in \"\""
                                    : t->op == MLOG__Q_HAS     ? "a key"
                                                               : "a comparison such as level>=warn, not, has or (");
    if (!mlog__filter_copy(r, &t->key, &t->key_len, false, NULL)) return false;
    t->type = MLOG__Q_TEXT;
    bool number = !quoted && (mlog__filter_literal(t, r->start, (size_t)(r->at - r->start)) != NULL || t->type != MLOG__Q_TEXT);
    if (number || t->key_len == 0 || (!quoted && memchr(t->key, '*', t->key_len) != NULL))
        return mlog__filter_fail(r, "a key (in \"\" when it looks like a value)");
    for (uint8_t i = 1; i < 5; i++)
        if (!quoted && mlog__filter_is(r, own[i])) t->what = i;
    mlog__filter_next(r);
    return true;
}

/* -- the program -- */

/* Gives all exits of a list their destination. */
static void mlog__filter_patch(mlog_filter *f, uint16_t list, uint32_t to) {
    while (list != MLOG__FILTER_END) {
        uint16_t *exit = &f->term[list / 2].exit[list & 1];
        list = *exit;
        *exit = (uint16_t)to;
    }
}

static uint16_t mlog__filter_join(mlog_filter *f, uint16_t a, uint16_t b) {
    uint16_t last = a;
    if (a == MLOG__FILTER_END) return b;
    for (uint16_t next; (next = f->term[last / 2].exit[last & 1]) != MLOG__FILTER_END;) last = next;
    f->term[last / 2].exit[last & 1] = b;
    return a;
}

/* key, operator, value; or `has` and a key */
static bool mlog__filter_comparison(mlog__filter_reader *r, mlog__filter_exits *open) {
    if (r->f->count == r->f->terms) return mlog__filter_fail(r, "at most 128 comparisons");
    mlog__filter_term *t = &r->f->term[r->f->count];
    if (mlog__filter_is(r, "has")) {
        t->op = MLOG__Q_HAS;
        mlog__filter_next(r);
    }
    if (!mlog__filter_left(r, t)) return false;
    if (t->op != MLOG__Q_HAS) {
        if (r->token != MLOG__Q_OPERATOR) return mlog__filter_fail(r, "= != < <= > >= ~ !~");
        if (r->pattern && t->what == MLOG__Q_LEVEL) return mlog__filter_fail(r, "= != < <= > >= behind level");
        t->op = r->op;
        mlog__filter_next(r);
        if (!mlog__filter_right(r, t)) return false;
    }
    for (int i = 0; i < 2; i++) {
        t->exit[i] = MLOG__FILTER_END;
        open->list[i] = (uint16_t)(r->f->count * 2 + (uint32_t)i);
    }
    r->f->count++;
    return true;
}

/* Any number of `not`, then a comparison or something in parentheses. */
static bool mlog__filter_factor(mlog__filter_reader *r, mlog__filter_exits *open) {
    bool negate = false;
    for (; mlog__filter_is(r, "not"); mlog__filter_next(r)) negate = !negate;
    if (r->token == MLOG__Q_OPEN) {
        if (r->depth == MLOG__FILTER_DEPTH) return mlog__filter_fail(r, "at most 32 parentheses inside each other");
        r->depth++;
        mlog__filter_next(r);
        if (!mlog__filter_row(r, open, 0)) return false;
        if (r->token != MLOG__Q_CLOSE) return mlog__filter_fail(r, "and, or, or )");
        r->depth--;
        mlog__filter_next(r);
    } else if (!mlog__filter_comparison(r, open)) {
        return false;
    }
    uint16_t no = open->list[0];
    if (negate) open->list[0] = open->list[1], open->list[1] = no;
    return true;
}

/* Factors with `and` (joint 1), or such rows with `or` (joint 0): the next is reached while the outcome is open. */
static bool mlog__filter_row(mlog__filter_reader *r, mlog__filter_exits *open, int joint) {
    mlog__filter_exits right;
    if (!(joint == 1 ? mlog__filter_factor(r, open) : mlog__filter_row(r, open, 1))) return false;
    while (mlog__filter_is(r, joint == 1 ? "and" : "or")) {
        mlog__filter_next(r);
        mlog__filter_patch(r->f, open->list[joint], r->f->count);
        if (!(joint == 1 ? mlog__filter_factor(r, &right) : mlog__filter_row(r, &right, 1))) return false;
        open->list[joint] = right.list[joint];
        open->list[1 - joint] = mlog__filter_join(r->f, open->list[1 - joint], right.list[1 - joint]);
    }
    return true;
}

/* Line, column (in characters) and word of the error; NULL, so that a refusal is one statement. */
static mlog_filter *mlog__filter_refuse(const mlog__filter_reader *r, const char *what) {
    int line = 1, column = 1;
    for (const char *p = r->text; p < r->start; p++) {
        if (*p == '\n') line++, column = 1;
        else column += ((unsigned char)*p & 0xC0) != 0x80;
    }
    size_t n = (size_t)(r->at - r->start);
    if (n > 40) n = mlog__text_utf8_cut(r->start, 40);
    mlog__life_why("%s: line %d, column %d: \"%.*s\": expected %s", what, line, column, (int)n, r->start, r->expected);
    return NULL;
}

/* Compiles a text; NULL, and mlog_why() says where and begins with `what`. For the caller, and mlog__filter_free. */
static mlog_filter *mlog__filter_compile(const char *text, size_t len, const char *what) {
    if (text == NULL) return mlog__life_why("%s: NULL; expected a filter such as level>=warn", what), (mlog_filter *)NULL;
    if (len > MLOG__FILTER_BYTES)
        return mlog__life_why("%s: %zu bytes; expected at most %d", what, len, MLOG__FILTER_BYTES), (mlog_filter *)NULL;
    uint32_t terms = (uint32_t)MLOG__MIN(len / 4 + 1, (size_t)MLOG__FILTER_TERMS); /* a second a=1 takes five bytes with `or` */
    mlog_filter *f = calloc(1, sizeof *f + terms * sizeof *f->term + len + 1);
    if (f == NULL) return mlog__life_why("%s: no memory", what), (mlog_filter *)NULL;
    mlog__filter_reader r = {.text = text, .at = text, .end = text + len, .f = f};
    f->terms = terms;
    r.room = (char *)(f->term + terms);
    mlog__filter_exits open;
    mlog__filter_next(&r);
    if (mlog__filter_row(&r, &open, 0) && r.token != MLOG__Q_END) mlog__filter_fail(&r, "and, or, or the end");
    if (r.expected != NULL) return mlog__filter_free(f), mlog__filter_refuse(&r, what);
    mlog__filter_patch(f, open.list[1], f->count);
    mlog__filter_patch(f, open.list[0], f->count + 1);
    return f;
}

/* -- comparing: the outcome is -1, 0, 1 or MLOG__Q_NEVER -- */

/* The first piece begins the text, the last one ends it, those between follow each other as early as they can. */
static bool mlog__filter_glob(const char *pattern, size_t pn, const char *s, size_t sn) {
    const char *last = pattern + pn, *end = s + sn;
    size_t n = (size_t)((const char *)memchr(pattern, 0, pn) - pattern);
    if (sn < n || memcmp(s, pattern, n) != 0) return false;
    for (s += n;; s += n) {
        pattern += n + 1;
        const char *star = memchr(pattern, 0, (size_t)(last - pattern));
        n = (size_t)((star == NULL ? last : star) - pattern);
        if ((size_t)(end - s) < n) return false;
        if (star == NULL) return memcmp(end - n, pattern, n) == 0;
        if (n > 0 && (s = memmem(s, (size_t)(end - s), pattern, n)) == NULL) return false;
    }
}

static int mlog__filter_text(const mlog__filter_term *t, const char *s, size_t n) {
    size_t len = t->text_len;
    if (t->type == MLOG__Q_GLOB) return !mlog__filter_glob(t->text, len, s, n);
    if (t->type == MLOG__Q_REGEX) return mlog__filter_search(t, s, n);
    if (t->type == MLOG__Q_COVER) return n < len || memcmp(s, t->text, len) != 0 || (n > len && s[len] != '.');
    if (t->type != MLOG__Q_TEXT) return MLOG__Q_NEVER;
    int order = memcmp(s, t->text, MLOG__MIN(n, len));
    return order != 0 ? (order < 0 ? -1 : 1) : (n > len) - (n < len);
}

/* Integers of 64 bits, each with its sign beside it. */
static int mlog__filter_integers(bool a_minus, uint64_t a, bool b_minus, uint64_t b) {
    if (a_minus != b_minus) return a_minus ? -1 : 1;
    return (a > b) - (a < b);
}

/* Exactly: no integer is rounded to a double. */
static int mlog__filter_mixed(bool minus, uint64_t a, double b) {
    if (!(b < 0x1p64)) return b >= 0x1p64 ? -1 : MLOG__Q_NEVER;
    if (b < -0x1p63) return 1;
    uint64_t whole = b < 0 ? (uint64_t)(int64_t)b : (uint64_t)b;
    double rest = b - (b < 0 ? (double)(int64_t)whole : (double)whole);
    int order = mlog__filter_integers(minus, a, b < 0 && whole != 0, whole);
    return order != 0 ? order : (rest < 0) - (rest > 0);
}

static int mlog__filter_reverse(int order) { return order == MLOG__Q_NEVER ? order : -order; }

/* A float is what the log shows: 0.1 is the float that is nearest to it. */
static int mlog__filter_float(const mlog__val *v, const mlog__filter_term *t) {
    double a = v->as.f, b = t->as.f;
    if (t->type == MLOG__Q_INT) return mlog__filter_reverse(mlog__filter_mixed(t->as.i < 0, t->as.u, a));
    if (t->type == MLOG__Q_UINT) return mlog__filter_reverse(mlog__filter_mixed(false, t->as.u, a));
    if (t->type != MLOG__Q_DOUBLE || a != a) return MLOG__Q_NEVER;
    if (v->kind == MLOG_K_FLOAT && b <= 0x1.fffffep127 && b >= -0x1.fffffep127) b = (double)(float)b;
    return (a > b) - (a < b);
}

static int mlog__filter_integer_value(bool is_signed, uint64_t a, const mlog__filter_term *t) {
    bool minus = is_signed && (int64_t)a < 0;
    if (t->type == MLOG__Q_INT) return mlog__filter_integers(minus, a, t->as.i < 0, t->as.u);
    if (t->type == MLOG__Q_UINT) return mlog__filter_integers(minus, a, false, t->as.u);
    return t->type == MLOG__Q_DOUBLE ? mlog__filter_mixed(minus, a, t->as.f) : MLOG__Q_NEVER;
}

static int mlog__filter_value(const mlog__val *v, const mlog__filter_term *t) {
    bool nothing = v->kind == MLOG_K_NULL || (v->kind == MLOG_K_TEXT && v->full == MLOG__NULL_TEXT) ||
                   (v->kind == MLOG_K_POINTER && v->as.u == 0);
    if (t->type == MLOG__Q_NULL) return nothing ? 0 : 1; /* also of another type: it is not null */
    if (nothing) return MLOG__Q_NEVER;
    switch (v->kind) {
    case MLOG_K_DURATION:
        if (t->type == MLOG__Q_DURATION) return (v->as.i > t->as.i) - (v->as.i < t->as.i);
        return mlog__filter_integer_value(true, v->as.u, t);
    case MLOG_K_INT:
    case MLOG_K_ERRNO:
    case MLOG_K_TIME: return mlog__filter_integer_value(true, v->as.u, t);
    case MLOG_K_UINT:
    case MLOG_K_HEX:
    case MLOG_K_POINTER: return mlog__filter_integer_value(false, v->as.u, t);
    case MLOG_K_FLOAT:
    case MLOG_K_DOUBLE: return mlog__filter_float(v, t);
    case MLOG_K_BOOL: return t->type == MLOG__Q_BOOL ? (v->as.u != 0) != (t->as.u != 0) : MLOG__Q_NEVER;
    case MLOG_K_TEXT: return mlog__filter_text(t, v->as.p, v->len);
    case MLOG_K_CHAR: return mlog__filter_text(t, &(char){(char)v->as.u}, 1);
    default: return MLOG__Q_NEVER;
    }
}

/* -- matching -- */

/* What is looked at: a public record, or one of a ring (it, desk, bytes; list: its fields once they were asked for). */
typedef struct {
    const mlog_record *record;
    mlog__item *it;
    mlog__desk *desk;
    const unsigned char *bytes;
    mlog__out *list;
    uint32_t count;
    bool listed, unsound;
} mlog__filter_seen;

/* Decodes the record; with `message` also that, which a printf has to make. */
static bool mlog__filter_decode(mlog__filter_seen *v, bool message) {
    mlog__item *it = v->it;
    if (!it->decoded) {
        it->decoded = mlog__format_decode(it, v->desk, v->bytes);
        v->unsound = !it->decoded;
        if (v->unsound) return false;
    }
    if (message && !it->rendered) {
        mlog__format_message(it, v->desk);
        it->rendered = true;
    }
    return true;
}

/* Level, source, message or thread. */
static int mlog__filter_own(mlog__filter_seen *v, const mlog__filter_term *t) {
    const mlog_record *r = v->record;
    char number[24];
    if (t->what == MLOG__Q_LEVEL) {
        int level = r != NULL ? r->level : v->it->level;
        return (level > t->as.i) - (level < t->as.i);
    }
    if (r != NULL) {
        const char *s = t->what == MLOG__Q_SOURCE ? r->source : t->what == MLOG__Q_THREAD ? r->thread : r->msg;
        size_t n = s == NULL ? 0 : t->what == MLOG__Q_MSG ? r->msg_len : strlen(s);
        return mlog__filter_text(t, s == NULL ? "" : s, n);
    }
    if (t->what == MLOG__Q_SOURCE) return mlog__filter_text(t, v->it->source, v->it->source_len);
    if (t->what == MLOG__Q_THREAD && v->it->thread_len != 0) return mlog__filter_text(t, v->it->thread, v->it->thread_len);
    if (t->what == MLOG__Q_THREAD) return mlog__filter_text(t, number, (size_t)(mlog__text_u64(number, v->it->tid) - number));
    bool made = v->it->info == NULL || v->it->info->print != NULL;
    if (made && !mlog__filter_decode(v, true)) return MLOG__Q_NEVER;
    return mlog__filter_text(t, v->it->msg, v->it->msg_len);
}

static const mlog__val *mlog__filter_among(const mlog__out *list, uint32_t n, const mlog__filter_term *t) {
    for (uint32_t i = 0; i < n; i++)
        if (list[i].len == t->key_len && memcmp(list[i].key, t->key, t->key_len) == 0) return &list[i].val;
    return NULL;
}

/* A field by the name under which it goes out. Where no name can clash, which is nearly always, the list is not made. */
static const mlog__val *mlog__filter_find(mlog__filter_seen *v, const mlog__filter_term *t) {
    if (!mlog__filter_decode(v, mlog__record_site(v->it->header) == MLOG__S_PRINTF)) return NULL;
    const mlog__info *info = v->it->info;
    const mlog__known *context = v->it->context;
    if (info == NULL || v->it->fields != 0 || v->it->bound != NULL || (context != NULL && mlog__format_clashes(info, context))) {
        if (!v->listed) v->count = mlog__format_list(v->it, v->desk, v->list);
        v->listed = true;
        return mlog__filter_among(v->list, v->count, t);
    }
    for (uint32_t i = 0; info->print == NULL && i < v->it->count; i++)
        if (info->key_len[i] == t->key_len && memcmp(info->key[i], t->key, t->key_len) == 0) return &v->it->val[i];
    return context == NULL ? NULL : mlog__filter_among(context->field, context->count, t);
}

/* The same in a public record; *room takes the value. */
static const mlog__val *mlog__filter_find_public(const mlog_record *r, const mlog__filter_term *t, mlog__val *room) {
    for (size_t i = 0; i < r->nfields; i++) {
        const char *key = r->fields[i].key;
        const mlog_value *value = &r->fields[i].value;
        if (key == NULL || *key != *t->key || strncmp(key, t->key, t->key_len) != 0 || key[t->key_len] != 0) continue;
        *room = (mlog__val){.kind = (uint8_t)value->kind, .len = value->size, .as = {.u = value->as.u}};
        if (room->kind == MLOG_K_TEXT && value->as.p == NULL) room->kind = MLOG_K_NULL;
        return room;
    }
    return NULL;
}

/* Does a comparison hold? One with a field that is not there never does. */
static bool mlog__filter_holds(mlog__filter_seen *v, const mlog__filter_term *t) {
    mlog__val room;
    int outcome = MLOG__Q_NEVER; /* good enough for `has` */
    if (t->what != MLOG__Q_KEY) {
        if (t->op != MLOG__Q_HAS) outcome = mlog__filter_own(v, t);
    } else {
        const mlog__val *found = v->record != NULL ? mlog__filter_find_public(v->record, t, &room) : mlog__filter_find(v, t);
        if (found == NULL) return false;
        if (t->op != MLOG__Q_HAS) outcome = mlog__filter_value(found, t);
    }
    return (t->op >> (outcome + 1) & 1) != 0;
}

/* From comparison to comparison, always forward, out at the end. */
static bool mlog__filter_run(const mlog_filter *f, mlog__filter_seen *v) {
    uint32_t i = 0;
    while (i < f->count) i = f->term[i].exit[mlog__filter_holds(v, &f->term[i])];
    return i == f->count;
}

/* Does a filter take a record of a ring, whose header, thread and tid are set? it->decoded and it->rendered then tell what is
 * done already. Bytes that are not sound are taken: they are counted as such behind this. */
static __attribute__((noinline)) bool mlog__filter_item(const mlog_filter *f, mlog__item *it, mlog__desk *desk,
                                                        const unsigned char *bytes) {
    mlog__out list[MLOG__FIELDS];
    mlog__filter_seen v = {.it = it, .desk = desk, .bytes = bytes, .list = list};
    if (!mlog__format_peek(it, desk, bytes) && !mlog__filter_decode(&v, false)) return true;
    bool match = mlog__filter_run(f, &v);
    return match || v.unsound;
}

/* Does a filter take a decoded record? */
static bool mlog__filter_record(const mlog_filter *f, const mlog_record *record) {
    mlog__filter_seen v = {.record = record};
    return mlog__filter_run(f, &v);
}

mlog_filter *mlog_filter_new(const char *text, size_t len) {
    int saved = errno;
    mlog_filter *f = mlog__filter_compile(text, len, "mlog_filter_new");
    errno = saved;
    return f;
}

bool mlog1_filter_match(const mlog_filter *filter, const mlog_record *record, size_t size) {
    mlog_record whole = {0};
    if (filter == NULL || record == NULL) return filter == NULL;
    if (MLOG__UNLIKELY(size < sizeof whole)) record = memcpy(&whole, record, size);
    return mlog__filter_record(filter, record);
}

void mlog_filter_free(mlog_filter *filter) {
    int saved = errno;
    mlog__filter_free(filter);
    errno = saved;
}

/* ==== pattern ====
 * MLOG_PATTERN: a layout is compiled once into a row of small instructions, and formatting only walks that row. The manual's
 * table (above mlog_sink_config) says what the conversions mean; they are zlog's (https://github.com/HardySimpson/zlog, spec.c),
 * with the attributes of Python's logging (https://docs.python.org/3/library/logging.html#logrecord-attributes) as %(name)s.
 *
 * A conversion with width or precision becomes MARK, its instructions, FIT: what stands behind the mark is cut and padded.
 * owns: layouts, their compiler, texts of times that they ask for
 * may call: dict text format
 */

enum {
    MLOG__PATTERN_BYTES = 1024,  /* of a layout */
    MLOG__PATTERN_POOL = 4096,   /* of its literals, also those of the environment */
    MLOG__PATTERN_OPS = 192,
    MLOG__PATTERN_TIMES = 16,    /* texts of strftime */
    MLOG__PATTERN_WIDTH = 1024   /* characters */
};

enum { /* instructions */
    MLOG__P_LITERAL, /* at, len: text in the pool */
    MLOG__P_MARK,
    MLOG__P_FIT,     /* at: width, len: precision, 0: none; arg: MLOG__P_LEFT, MLOG__P_ZERO */
    MLOG__P_FIELD,   /* at, len: its key in the pool */
    MLOG__P_PAIRS, MLOG__P_REST,
    MLOG__P_TIME,    /* at: number of the format, arg: 1 always UTC, 0 as the sink */
    MLOG__P_DIGITS,  /* arg: so many digits of the second */
    MLOG__P_CREATED, MLOG__P_MSECS, /* arg: digits behind the point, 0: no point */
    MLOG__P_TS, MLOG__P_MESSAGE, MLOG__P_SOURCE, MLOG__P_LEVEL, MLOG__P_LEVEL_UPPER, MLOG__P_LEVEL_PYTHON, MLOG__P_LEVEL_NUMBER,
    MLOG__P_FILE, MLOG__P_MODULE, MLOG__P_LINE, MLOG__P_AT, MLOG__P_FUNCTION, MLOG__P_THREAD, MLOG__P_TID, MLOG__P_TID_HEX,
    MLOG__P_PID, MLOG__P_PROGRAM, MLOG__P_SYSLOG_TAG
};
enum { MLOG__P_LEFT = 1, MLOG__P_ZERO = 2 };

typedef struct { uint8_t op, arg; uint16_t at, len; } mlog__pattern_op;

/* A strftime format, and its text for one second. */
typedef struct { uint16_t at; bool utc; uint32_t len; uint64_t start, span; char text[6 * 96 + 32]; } mlog__pattern_time;

typedef struct mlog__pattern {
    uint32_t ops, times, pool_len, names;
    bool fields;                 /* it needs the list of fields */
    uint64_t process;            /* whose pid this is: a child has another id */
    uint32_t pid;
    mlog__pattern_op op[MLOG__PATTERN_OPS];
    uint8_t name[MLOG__PATTERN_OPS]; /* instructions that name a field */
    mlog__pattern_time time[MLOG__PATTERN_TIMES];
    char pool[MLOG__PATTERN_POOL];
} mlog__pattern;

static locale_t mlog__pattern_locale; /* the C locale, made with the first layout, kept */

/* -- the compiler -- */

typedef struct { const char *text; size_t n, at; mlog__pattern *p; bool full; } mlog__pattern_reader;
typedef struct { uint32_t width, precision, flags; bool cut; size_t cut_at; } mlog__pattern_fit; /* cut: has a precision */

/* Column in characters, what stands there, and what is wrong with it. Returns -1. */
static int mlog__pattern_why(const mlog__pattern_reader *r, size_t at, const char *what) {
    unsigned column = 1;
    for (size_t i = 0; i < at && i < r->n; i++) column += (r->text[i] & 0xC0) != 0x80;
    if (at >= r->n) return mlog__life_why("sink pattern, column %u, at its end: %s", column, what);
    size_t n = mlog__text_utf8_cut(r->text + at, MLOG__MIN(r->n - at, (size_t)12));
    return mlog__life_why("sink pattern, column %u, \"%.*s\": %s", column, (int)n, r->text + at, what);
}

/* Notes an instruction; a layout with too many is refused at the end. */
static void mlog__pattern_emit(mlog__pattern_reader *r, uint32_t op, uint32_t arg, size_t at, size_t len) {
    mlog__pattern *p = r->p;
    if (p->ops == MLOG__PATTERN_OPS) { r->full = true; return; }
    p->op[p->ops++] = (mlog__pattern_op){(uint8_t)op, (uint8_t)arg, (uint16_t)at, (uint16_t)len};
}

/* Copies text into the pool; its place there. */
static size_t mlog__pattern_keep(mlog__pattern_reader *r, const char *s, size_t n) {
    mlog__pattern *p = r->p;
    size_t at = p->pool_len;
    if (n > MLOG__PATTERN_POOL - at) return r->full = true, (size_t)0;
    memcpy(p->pool + at, s, n);
    p->pool_len += (uint32_t)n;
    return at;
}

/* Literal text; joins the literal before it. */
static void mlog__pattern_literal(mlog__pattern_reader *r, const char *s, size_t n) {
    mlog__pattern *p = r->p;
    mlog__pattern_op *last = p->ops == 0 ? NULL : &p->op[p->ops - 1];
    size_t at = mlog__pattern_keep(r, s, n);
    if (r->full || n == 0) return;
    if (last != NULL && last->op == MLOG__P_LITERAL && (size_t)last->at + last->len == at) last->len = (uint16_t)(last->len + n);
    else mlog__pattern_emit(r, MLOG__P_LITERAL, 0, at, n);
}

/* What others may have written (environment, host name): cut to 255 bytes and escaped. */
static void mlog__pattern_foreign(mlog__pattern_reader *r, const char *s) {
    char clean[6 * 255 + 32];
    size_t n = strlen(s);
    if (n > 255) n = mlog__text_utf8_cut(s, 255);
    mlog__pattern_literal(r, clean, (size_t)(mlog__text_console(clean, s, n) - clean));
}

static bool mlog__pattern_ends(const mlog__pattern_reader *r, const char *rest) {
    return r->n - r->at == strlen(rest) && memcmp(r->text + r->at, rest, r->n - r->at) == 0;
}

/* A newline or carriage return, of which `r->at` is the end: nothing may follow but the newline. */
static int mlog__pattern_line_end(mlog__pattern_reader *r, size_t start, char c) {
    bool over = mlog__pattern_ends(r, "") ||
                (c == '\r' && (mlog__pattern_ends(r, "\n") || mlog__pattern_ends(r, "\\n") || mlog__pattern_ends(r, "%n")));
    if (!over) return mlog__pattern_why(r, start, "one record is one line; expected the end of the line at the end only");
    if (c == '\r') mlog__pattern_literal(r, "\r", 1);
    r->at = r->n; /* the newline comes with every record */
    return 0;
}

/* One character that stands for itself, in a literal or in a format of strftime. 0 when it may not. */
static size_t mlog__pattern_plain(const char *s, size_t n) {
    uint32_t cp;
    size_t len = mlog__text_decode(s, n, &cp);
    if (cp < 0x80) return cp >= 0x20 ? cp != 0x7f : cp == '\t' || cp == 0x1b;
    return cp == UINT32_MAX || mlog__text_hidden(cp, mlog__text_style_json) ? 0 : len;
}

/* \t \e \\ \n \r, or a character as it is. */
static int mlog__pattern_char(mlog__pattern_reader *r) {
    size_t start = r->at;
    char c = r->text[r->at];
    if (c == '\n' || c == '\r') return r->at++, mlog__pattern_line_end(r, start, c);
    if (c == '\\') {
        char e = r->at + 1 < r->n ? r->text[r->at + 1] : 0;
        r->at += 2;
        if (e == 'n' || e == 'r') return mlog__pattern_line_end(r, start, e == 'n' ? '\n' : '\r');
        if (e != 't' && e != 'e' && e != '\\') return mlog__pattern_why(r, start, "expected \\t, \\e, \\\\, or \\n at the end");
        mlog__pattern_literal(r, e == 't' ? "\t" : e == 'e' ? "\033" : "\\", 1);
        return 0;
    }
    size_t len = mlog__pattern_plain(r->text + start, r->n - start);
    if (len == 0) return mlog__pattern_why(r, start, "expected UTF-8 without control characters");
    r->at += len;
    mlog__pattern_literal(r, r->text + start, len);
    return 0;
}

/* One piece of a time without fractions, checked by formatting a long date with it. at: for the error. */
static int mlog__pattern_time_piece(mlog__pattern_reader *r, const char *s, size_t n, bool utc, size_t at) {
    static const struct tm longest = {.tm_year = 126, .tm_mon = 8, .tm_mday = 30, .tm_wday = 3, .tm_yday = 272, .tm_hour = 23};
    mlog__pattern *p = r->p;
    char format[MLOG__PATTERN_BYTES + 2] = "-", text[82]; /* -: 0 bytes would mean too many; 82: a zone's name may take more */
    if (n == 0) return 0;
    memcpy(format + 1, s, n);
    format[n + 1] = 0;
    if (p->times == MLOG__PATTERN_TIMES) return mlog__pattern_why(r, at, "too many times; expected at most 16");
    if (strftime_l(text, sizeof text, format, &longest, mlog__pattern_locale) == 0)
        return mlog__pattern_why(r, at, "expected what strftime prints in at most 80 bytes");
    p->time[p->times].at = (uint16_t)mlog__pattern_keep(r, format + 1, n + 1);
    p->time[p->times].utc = utc;
    mlog__pattern_emit(r, MLOG__P_TIME, 0, p->times++, 0);
    return 0;
}

/* A format of strftime; fractions, which strftime does not know, are instructions of their own. at: its column, for errors. */
static int mlog__pattern_time_format(mlog__pattern_reader *r, const char *s, size_t n, bool utc, size_t at) {
    static const char letters[] = "aAbBcCdDeFgGhHIjklmMpPrRSTuUVwWxXyYzZ%";
    size_t piece = 0;
    for (size_t i = 0, len; i < n; i += len) {
        len = 2;
        if (s[i] != '%') {
            len = mlog__pattern_plain(s + i, n - i);
            if (len == 0) return mlog__pattern_why(r, at + i, "expected UTF-8 without control characters");
            continue;
        }
        char c = i + 1 < n ? s[i + 1] : 0;
        uint32_t digits = c == 'N' ? 9 : c == 'f' ? 6 : 0;
        if (c >= '1' && c <= '9' && i + 2 < n && s[i + 2] == 'N') digits = (uint32_t)(c - '0'), len = 3;
        if (digits != 0) {
            if (mlog__pattern_time_piece(r, s + piece, i - piece, utc, at + piece) != 0) return -1;
            mlog__pattern_emit(r, MLOG__P_DIGITS, digits, 0, 0);
            piece = i + len;
        } else if (c == 0 || strchr(letters, c) == NULL) {
            return mlog__pattern_why(r, at + i,
                                     "expected a conversion of strftime (but %n %t %s), or %3N %6N %9N %f for a fraction");
        }
    }
    return mlog__pattern_time_piece(r, s + piece, n - piece, utc, at + piece);
}

/* Text between ( and ), r->at on the (. -1: it does not end, or it is empty and may not be. */
static int mlog__pattern_argument(mlog__pattern_reader *r, const char **s, size_t *n, const char *expected) {
    size_t start = r->at;
    if (start >= r->n || r->text[start] != '(') return mlog__pattern_why(r, start, expected);
    const char *close_at = memchr(r->text + start, ')', r->n - start);
    if (close_at == NULL) return mlog__pattern_why(r, start, "never closed; expected a )");
    *s = r->text + start + 1;
    *n = (size_t)(close_at - *s);
    if (*n > 255) return mlog__pattern_why(r, start + 1, "expected at most 255 bytes");
    r->at = start + *n + 2;
    return 0;
}

/* A key is looked for as it was logged, without escapes. */
static int mlog__pattern_key(mlog__pattern_reader *r, const char *s, size_t n) {
    if (n == 0) return mlog__pattern_why(r, (size_t)(s - r->text), "expected the key of a field");
    r->p->fields = true;
    if (!r->full && r->p->ops < MLOG__PATTERN_OPS) r->p->name[r->p->names++] = (uint8_t)r->p->ops;
    mlog__pattern_emit(r, MLOG__P_FIELD, 0, mlog__pattern_keep(r, s, n), n);
    return 0;
}

/* %E(NAME): the environment is read here, once. */
static int mlog__pattern_environment(mlog__pattern_reader *r) {
    const char *s;
    size_t n;
    char name[256];
    if (mlog__pattern_argument(r, &s, &n, "expected the name of an environment variable in ( )") != 0) return -1;
    for (size_t i = 0; i <= n; i++) {
        bool ok = i == n ? n != 0 : s[i] == '_' || (s[i] >= '0' && s[i] <= '9') || ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z');
        if (!ok) return mlog__pattern_why(r, (size_t)(s - r->text) + i, "expected letters, digits and _");
    }
    memcpy(name, s, n);
    name[n] = 0;
    const char *value = secure_getenv(name);
    if (value != NULL) mlog__pattern_foreign(r, value);
    return 0;
}

/* %d and %g, with or without a format. */
static int mlog__pattern_date(mlog__pattern_reader *r, bool utc) {
    const char *s = "";
    size_t n = 0;
    bool given = r->at < r->n && r->text[r->at] == '(';
    if (given && mlog__pattern_argument(r, &s, &n, "") != 0) return -1;
    return n == 0 ? mlog__pattern_time_format(r, "%F %T", 5, utc, r->at)
                  : mlog__pattern_time_format(r, s, n, utc, (size_t)(s - r->text));
}

/* The letter of a conversion, r->at behind it. */
static int mlog__pattern_letter(mlog__pattern_reader *r, size_t start, char c) {
    static const struct { char letter, op; } simple[] = {
        {'m', MLOG__P_MESSAGE}, {'c', MLOG__P_SOURCE}, {'V', MLOG__P_LEVEL_UPPER}, {'v', MLOG__P_LEVEL}, {'p', MLOG__P_PID},
        {'t', MLOG__P_TID_HEX}, {'T', MLOG__P_TID}, {'k', MLOG__P_TID}, {'N', MLOG__P_THREAD}, {'f', MLOG__P_FILE},
        {'F', MLOG__P_FILE}, {'L', MLOG__P_LINE}, {'U', MLOG__P_FUNCTION}, {'P', MLOG__P_PAIRS}, {'R', MLOG__P_REST}};
    const char *s;
    size_t n;
    char host[256] = "";
    if (r->at < r->n && r->text[r->at] == 's' && (c == 'm' || c == 'u' || c == 'n'))
        return r->at++, mlog__pattern_emit(r, MLOG__P_DIGITS, c == 'm' ? 3 : c == 'u' ? 6 : 9, 0, 0), 0;
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        if (simple[i].letter != c) continue;
        r->p->fields = r->p->fields || c == 'P' || c == 'R';
        return mlog__pattern_emit(r, (uint32_t)simple[i].op, 0, 0, 0), 0;
    }
    switch (c) {
    case '%': return mlog__pattern_literal(r, "%", 1), 0;
    case 'd': return mlog__pattern_date(r, false);
    case 'g': return mlog__pattern_date(r, true);
    case 'D': return mlog__pattern_time_format(r, "%F %T", 5, false, start);
    case 'G': return mlog__pattern_time_format(r, "%F %T", 5, true, start);
    case 'E': return mlog__pattern_environment(r);
    case 'H': return (void)gethostname(host, sizeof host - 1), mlog__pattern_foreign(r, host), 0;
    case 'M':
        if (mlog__pattern_argument(r, &s, &n, "expected the key of a field in ( )") != 0) return -1;
        return mlog__pattern_key(r, s, n);
    default:
        return mlog__pattern_why(r, start,
                                 "no such conversion; expected one of %d %D %g %G %ms %us %ns %m %c %V %v %p %t %T %k %N "
                                 "%f %F %L %U %H %E( %M( %P %R %n %r %%, or %(name)s");
    }
}

/* Digits of a width or precision. */
static int mlog__pattern_number(mlog__pattern_reader *r, uint32_t *v) {
    size_t start = r->at;
    for (*v = 0; r->at < r->n && r->text[r->at] >= '0' && r->text[r->at] <= '9'; r->at++)
        if (*v <= MLOG__PATTERN_WIDTH) *v = *v * 10 + (uint32_t)(r->text[r->at] - '0');
    return *v <= MLOG__PATTERN_WIDTH ? 0 : mlog__pattern_why(r, start, "expected at most 1024 characters");
}

/* -12.20: at least 12 characters, to the left, at most 20. */
static int mlog__pattern_read_fit(mlog__pattern_reader *r, mlog__pattern_fit *f) {
    *f = (mlog__pattern_fit){0};
    for (; r->at < r->n && (r->text[r->at] == '-' || r->text[r->at] == '0'); r->at++)
        f->flags |= r->text[r->at] == '-' ? MLOG__P_LEFT : MLOG__P_ZERO;
    if (mlog__pattern_number(r, &f->width) != 0) return -1;
    if (r->at == r->n || r->text[r->at] != '.') return 0;
    f->cut = true;
    f->cut_at = ++r->at;
    return mlog__pattern_number(r, &f->precision);
}

/* Opens what is to be cut and padded; a precision of 0 would leave nothing. */
static int mlog__pattern_open(mlog__pattern_reader *r, const mlog__pattern_fit *f) {
    if (f->cut && f->precision == 0) return mlog__pattern_why(r, f->cut_at, "expected a precision of 1 to 1024 characters");
    if (f->width != 0 || f->cut) mlog__pattern_emit(r, MLOG__P_MARK, 0, 0, 0);
    return 0;
}

static int mlog__pattern_close(mlog__pattern_reader *r, const mlog__pattern_fit *f) {
    if (f->width != 0 || f->cut) mlog__pattern_emit(r, MLOG__P_FIT, f->flags, f->width, f->precision);
    return 0;
}

/* Names of our own lines and of Python's LogRecord; every other name is the key of a field. */
static const struct { char name[12]; uint8_t op; } mlog__pattern_names[] = {
    {"ts", MLOG__P_TS}, {"level", MLOG__P_LEVEL}, {"msg", MLOG__P_MESSAGE}, {"source", MLOG__P_SOURCE}, {"at", MLOG__P_AT},
    {"asctime", MLOG__P_TIME}, {"created", MLOG__P_CREATED}, {"msecs", MLOG__P_MSECS}, {"levelname", MLOG__P_LEVEL_PYTHON},
    {"levelno", MLOG__P_LEVEL_NUMBER}, {"name", MLOG__P_SOURCE}, {"message", MLOG__P_MESSAGE}, {"filename", MLOG__P_FILE},
    {"pathname", MLOG__P_FILE}, {"module", MLOG__P_MODULE}, {"lineno", MLOG__P_LINE}, {"funcName", MLOG__P_FUNCTION},
    {"thread", MLOG__P_TID}, {"threadName", MLOG__P_THREAD}, {"process", MLOG__P_PID}, {"processName", MLOG__P_PROGRAM},
    {"syslogtag", MLOG__P_SYSLOG_TAG}};

/* %(name)s, %(name)-8s, %(lineno)04d, %(created).3f; r->at on the (. For created and msecs with f the precision counts digits. */
static int mlog__pattern_name(mlog__pattern_reader *r) {
    const char *s;
    size_t n;
    mlog__pattern_fit f;
    uint32_t op = MLOG__P_FIELD, digits = 0;
    if (mlog__pattern_argument(r, &s, &n, "") != 0 || mlog__pattern_read_fit(r, &f) != 0) return -1;
    char letter = r->at < r->n ? r->text[r->at] : 0;
    if (letter != 's' && letter != 'd' && letter != 'f') return mlog__pattern_why(r, r->at, "expected s, d or f behind %(name)");
    r->at++;
    for (size_t i = 0; i < sizeof mlog__pattern_names / sizeof *mlog__pattern_names; i++)
        if (strlen(mlog__pattern_names[i].name) == n && memcmp(s, mlog__pattern_names[i].name, n) == 0)
            op = mlog__pattern_names[i].op;
    if (letter != 'd' && (op == MLOG__P_CREATED || (op == MLOG__P_MSECS && letter == 'f'))) {
        bool milli = op == MLOG__P_MSECS;
        digits = f.cut ? f.precision : 6;
        if (digits > (milli ? 6u : 9u))
            return mlog__pattern_why(r, f.cut_at, milli ? "expected at most 6 digits" : "expected at most 9 digits");
        f.cut = false;
        f.precision = 0;
    }
    if (mlog__pattern_open(r, &f) != 0) return -1;
    if (op == MLOG__P_FIELD && mlog__pattern_key(r, s, n) != 0) return -1;
    if (op == MLOG__P_TIME && mlog__pattern_time_format(r, "%F %T,%3N", 9, false, r->at) != 0) return -1;
    if (op == MLOG__P_SYSLOG_TAG) r->p->fields = true;
    if (op != MLOG__P_FIELD && op != MLOG__P_TIME) mlog__pattern_emit(r, op, digits, 0, 0);
    return mlog__pattern_close(r, &f);
}

/* A conversion, r->at on its %. */
static int mlog__pattern_conversion(mlog__pattern_reader *r) {
    size_t start = r->at++;
    mlog__pattern_fit f;
    if (r->at < r->n && r->text[r->at] == '(') return mlog__pattern_name(r);
    if (mlog__pattern_read_fit(r, &f) != 0) return -1;
    if (r->at == r->n) return mlog__pattern_why(r, start, "expected a conversion behind the %");
    char c = r->text[r->at++];
    if (c == 'r' || (c == 'n' && (r->at == r->n || r->text[r->at] != 's')))
        return mlog__pattern_line_end(r, start, c == 'n' ? '\n' : '\r');
    if (mlog__pattern_open(r, &f) != 0 || mlog__pattern_letter(r, start, c) != 0) return -1;
    return mlog__pattern_close(r, &f);
}

/* Compiles a layout. NULL: mlog_why() says where and why not. One block, for free(). */
static mlog__pattern *mlog__pattern_compile(const char *text) {
    mlog__pattern_reader r = {.text = text, .n = strnlen(text, MLOG__PATTERN_BYTES + 1)};
    if (r.n == 0) return mlog__life_why("sink pattern: empty; expected a layout, such as \"%%d %%V %%c %%m%%P\""), NULL;
    if (r.n > MLOG__PATTERN_BYTES) return mlog__life_why("sink pattern: too long; expected at most 1024 bytes"), NULL;
    if (mlog__pattern_locale == (locale_t)0) mlog__pattern_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    r.p = calloc(1, sizeof *r.p);
    if (r.p == NULL || mlog__pattern_locale == (locale_t)0) return free(r.p), mlog__life_why("sink pattern: no memory"), NULL;
    while (r.at < r.n && !r.full)
        if ((text[r.at] == '%' ? mlog__pattern_conversion(&r) : mlog__pattern_char(&r)) != 0) return free(r.p), NULL;
    if (r.full) {
        (void)mlog__pattern_why(&r, r.at, "too much; expected at most 192 parts, and 4096 bytes of literal text");
        return free(r.p), NULL;
    }
    return r.p;
}

/* In a child: what is remembered may have been in the middle of a change when its parent forked. */
static void mlog__pattern_forget(mlog__pattern *p) {
    for (uint32_t i = 0; p != NULL && i < p->times; i++) p->time[i].span = 0;
    if (p != NULL) p->process = 0;
}

/* -- one record -- */

/* The text of a time, made anew when its second is over. */
static char *mlog__pattern_put_time(char *to, mlog__pattern *p, mlog__pattern_time *t, int64_t ns, bool utc) {
    if (MLOG__UNLIKELY((uint64_t)ns - t->start >= t->span)) {
        char raw[96];
        struct tm tm;
        t->start = mlog__text_floor(ns, 1000000000, &t->span);
        time_t second = (time_t)(ns / 1000000000 - (ns % 1000000000 < 0));
        if ((utc || t->utc ? gmtime_r(&second, &tm) : localtime_r(&second, &tm)) == NULL) memset(&tm, 0, sizeof tm);
        size_t n = strftime_l(raw, sizeof raw, p->pool + t->at, &tm, mlog__pattern_locale);
        char *end = mlog__text_console(t->text, raw, n);
        t->len = (uint32_t)(end - t->text);
    }
    return mlog__format_put(to, t->text, t->len);
}

/* The first `digits` of the nine of a fraction of a second, without rounding, as clocks count. */
static char *mlog__pattern_put_digits(char *p, uint64_t nine, uint32_t digits) {
    for (uint32_t i = 0; i < 9; i++, nine /= 10) p[8 - i] = (char)('0' + nine % 10);
    return p + digits;
}

static int64_t mlog__pattern_rest(int64_t ns) { return ns % 1000000000 + (ns % 1000000000 < 0 ? 1000000000 : 0); }

/* Seconds since 1970, or milliseconds of the second, with so many digits behind a point. */
static char *mlog__pattern_put_seconds(char *p, int64_t ns, bool milli, uint32_t digits) {
    uint64_t v = (uint64_t)ns, rest = (uint64_t)mlog__pattern_rest(ns);
    if (ns < 0 && !milli) *p++ = '-', v = 0 - v;
    p = mlog__text_u64(p, milli ? rest / 1000000 : v / 1000000000);
    if (digits == 0) return p;
    *p++ = '.';
    return mlog__pattern_put_digits(p, milli ? rest % 1000000 * 1000 : v % 1000000000, digits);
}

static char *mlog__pattern_put_level(char *p, int level, uint32_t op) {
    const char *name = mlog_level_name(level);
    size_t n = strlen(name);
    if (op == MLOG__P_LEVEL) return mlog__format_put(p, name, n);
    if (op == MLOG__P_LEVEL_PYTHON && *name == 'w') return MLOG__PUT_TEXT(p, "WARNING");
    if (op == MLOG__P_LEVEL_PYTHON && *name == 'c') return MLOG__PUT_TEXT(p, "CRITICAL");
    for (size_t i = 0; i < n; i++) p[i] = (char)(name[i] - 32);
    return p + n;
}

/* Python's numbers; it has none above 50. */
static int mlog__pattern_level_number(int level) {
    return level >= MLOG_CRIT ? 50 : level >= MLOG_ERROR ? 40 : level >= MLOG_WARN ? 30 : level >= MLOG_NOTICE ? 25
         : level >= MLOG_INFO ? 20 : level >= MLOG_DEBUG ? 10 : 5;
}

static char *mlog__pattern_put_pid(char *to, mlog__pattern *p) {
    if (MLOG__UNLIKELY(p->process != mlog__dict_session->id)) {
        p->pid = (uint32_t)getpid();
        p->process = mlog__dict_session->id;
    }
    return mlog__text_u64(to, p->pid);
}

/* The file's name without what stands behind its last point. */
static char *mlog__pattern_put_module(char *p, const mlog__item *it) {
    size_t n = it->file_len;
    while (n > 1 && it->file[n - 1] != '.') n--;
    return mlog__text_console(p, it->file, n > 1 ? n - 1 : it->file_len);
}

/* What needs no list of fields. */
static char *mlog__pattern_put(char *to, mlog__pattern *p, const mlog__pattern_op *op, mlog__desk *desk, const mlog__item *it,
                               bool utc) {
    switch (op->op) {
    case MLOG__P_LITERAL: return mlog__format_put(to, p->pool + op->at, op->len);
    case MLOG__P_TIME: return mlog__pattern_put_time(to, p, &p->time[op->at], it->time, utc);
    case MLOG__P_DIGITS: return mlog__pattern_put_digits(to, (uint64_t)mlog__pattern_rest(it->time), op->arg);
    case MLOG__P_CREATED: return mlog__pattern_put_seconds(to, it->time, false, op->arg);
    case MLOG__P_MSECS: return mlog__pattern_put_seconds(to, it->time, true, op->arg);
    case MLOG__P_TS: return mlog__text_utc(to, it->time, &desk->utc);
    case MLOG__P_MESSAGE: return mlog__text_console(to, it->msg, it->msg_len);
    case MLOG__P_SOURCE: return mlog__text_console(to, it->source, it->source_len);
    case MLOG__P_LEVEL:
    case MLOG__P_LEVEL_UPPER:
    case MLOG__P_LEVEL_PYTHON: return mlog__pattern_put_level(to, it->level, op->op);
    case MLOG__P_LEVEL_NUMBER: return mlog__text_u64(to, (uint64_t)mlog__pattern_level_number(it->level));
    case MLOG__P_FILE: return mlog__text_console(to, it->file, it->file_len);
    case MLOG__P_MODULE: return mlog__pattern_put_module(to, it);
    case MLOG__P_LINE: return mlog__text_u64(to, it->line);
    case MLOG__P_AT:
        to = mlog__text_console(to, it->file, it->file_len);
        *to++ = ':';
        return mlog__text_u64(to, it->line);
    case MLOG__P_FUNCTION: return it->func == NULL ? to : mlog__text_console(to, it->func, strlen(it->func));
    case MLOG__P_THREAD:
        if (it->thread_len != 0) return mlog__text_console(to, it->thread, it->thread_len);
        return mlog__text_u64(to, it->tid);
    case MLOG__P_TID: return mlog__text_u64(to, it->tid);
    case MLOG__P_TID_HEX: return mlog__text_hex(to, it->tid);
    case MLOG__P_PID: return mlog__pattern_put_pid(to, p);
    default: return mlog__format_put(to, mlog__format_program, mlog__format_program_len);
    }
}

static bool mlog__pattern_is(const mlog__pattern *p, const mlog__pattern_op *op, const mlog__out *f) {
    return f->len == op->len && memcmp(f->key, p->pool + op->at, f->len) == 0;
}

/* A field by its key: text without quotes, the rest as PRETTY shows it; nothing when the record has none. */
static char *mlog__pattern_put_field(char *to, const mlog__pattern *p, const mlog__pattern_op *op, const mlog__out *list,
                                     uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const mlog__val *v = &list[i].val;
        const char c[16] = {(char)v->as.u};
        if (!mlog__pattern_is(p, op, &list[i])) continue;
        if (v->kind == MLOG_K_CHAR) return mlog__text_console(to, c, 1);
        if (v->kind == MLOG_K_ERRNO) return mlog__format_plain(to, v);
        if (v->kind != MLOG_K_TEXT || v->full == MLOG__NULL_TEXT) return mlog__format_pretty_value(to, v);
        return mlog__format_cut(mlog__text_console(to, v->as.p, v->len), v);
    }
    return to;
}

/* "sshd[42]:", and "sshd:" of a record without a pid. */
static char *mlog__pattern_put_tag(char *to, const mlog__item *it, const mlog__out *list, uint32_t n) {
    to = mlog__text_console(to, it->source, it->source_len);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].len != 3 || memcmp(list[i].key, "pid", 3) != 0 || list[i].val.kind != MLOG_K_INT) continue;
        *to++ = '[';
        to = mlog__text_u64(to, list[i].val.as.u);
        *to++ = ']';
    }
    *to++ = ':';
    return to;
}

/* ` key=value` of every field, or of those that no conversion names. */
static char *mlog__pattern_put_pairs(char *to, const mlog__pattern *p, const mlog__out *list, uint32_t n, bool rest) {
    for (uint32_t i = 0; i < n; i++) {
        bool named = false;
        for (uint32_t k = 0; rest && k < p->names && !named; k++) named = mlog__pattern_is(p, &p->op[p->name[k]], &list[i]);
        if (!named) to = mlog__format_pair(to, &list[i]);
    }
    return to;
}

/* Cuts and pads what stands behind the mark; characters are counted, and an escape is not cut in half. There is room. */
static char *mlog__pattern_put_fit(char *mark, char *end, const mlog__pattern_op *op) {
    uint32_t count = 0;
    char *at = mark;
    while (at < end && (op->len == 0 || count < op->len)) {
        size_t n = *at != '\\' || end - at < 2 ? 1 : at[1] == 'u' ? 6 : at[1] == 'x' ? 4 : 2, escape = n;
        if (op->len != 0 && escape > 1 && count + escape > op->len) break;
        for (; n > 0 && at < end; n--)
            for (at++; at < end && (*at & 0xC0) == 0x80;) at++;
        count += (uint32_t)escape;
    }
    end = at;
    if (count >= op->at) return end;
    size_t missing = op->at - count;
    if (op->arg & MLOG__P_LEFT) return memset(end, ' ', missing), end + missing;
    memmove(mark + missing, mark, (size_t)(end - mark));
    memset(mark, op->arg & MLOG__P_ZERO ? '0' : ' ', missing);
    return end + missing;
}

/* One line of a layout. False: no memory. */
static bool mlog__pattern_line(mlog__pattern *p, mlog__buffer *b, mlog__desk *desk, mlog__item *it, bool utc) {
    size_t start = b->len, mark = start;
    size_t room = 2 * mlog__format_bound(it) + 6 * (it->func == NULL ? 0 : strlen(it->func)) + MLOG__PATTERN_POOL;
    mlog__out list[MLOG__FIELDS];
    uint32_t n = p->fields ? mlog__format_list(it, desk, list) : 0;
    for (uint32_t i = 0; i < p->ops; i++) {
        const mlog__pattern_op *op = &p->op[i];
        if (!mlog__format_room(b, room)) return b->len = start, false;
        char *at = b->p + b->len;
        switch (op->op) {
        case MLOG__P_MARK: mark = b->len; break;
        case MLOG__P_FIT: at = mlog__pattern_put_fit(b->p + mark, at, op); break;
        case MLOG__P_FIELD: at = mlog__pattern_put_field(at, p, op, list, n); break;
        case MLOG__P_SYSLOG_TAG: at = mlog__pattern_put_tag(at, it, list, n); break;
        case MLOG__P_PAIRS:
        case MLOG__P_REST: at = mlog__pattern_put_pairs(at, p, list, n, op->op == MLOG__P_REST); break;
        default: at = mlog__pattern_put(at, p, op, desk, it, utc);
        }
        b->len = (size_t)(at - b->p);
    }
    if (!mlog__format_room(b, 1)) return b->len = start, false;
    b->p[b->len++] = '\n';
    return true;
}

/* ==== binary ====
 * MLOG_BINARY: the bytes of the rings, unformatted, with everything that is needed to read them later. The manual part has the layout;
 * in short: a file is a row of blocks, each with a checksum over all of it; a block is a row of 8-aligned records as in the rings, and
 * of notes, which are records of the site PAD (a ring's padding is never copied) whose flags say what they tell.
 *
 *   LINE     how ticks become UTC from here on: ticks, UTC, rate, and the moment that stamps records without ticks
 *   RING     whose records follow, and the position of the first
 *   DEFINE   an entry of the dictionary, under its number
 *   CONTEXT  a context, with its number and its parent's
 *
 * The invariant: what a record needs stands before it in the same file, and what tells its time, order, thread and id stands in the
 * same block. So a block that is damaged takes its records with it, and never makes another block's records wrong: at worst they have
 * no definition, and are not shown. Why no table of clock pairs: the line is what the text sinks of the same pass compute with, so a
 * decoded record has their ts to the nanosecond.
 *
 * Records are not copied one at a time: those that lie behind each other in a ring are a *run*, copied when it ends.
 *
 * owns: blocks and notes as they are written
 * may call: platform clock record dict ring format crc
 */

#define MLOG__BLOCK_MAGIC UINT64_C(0x0A8F676F6C74656D) /* "metlog", 0x8F, newline on little-endian machines, reversed on others */
enum { MLOG__BLOCK_HEADER = 1, MLOG__BLOCK_RECORDS = 2, MLOG__BLOCK_RECOVERED = 3 }; /* RECOVERED: records, by who came after a crash */
enum { MLOG__NOTE_LINE = 1, MLOG__NOTE_RING, MLOG__NOTE_DEFINE, MLOG__NOTE_CONTEXT };
enum { MLOG__BLOCK_MOST = 16 << 20, /* bytes: twice the largest record */
       MLOG__BINARY_SPARE = 4096 }; /* room for the notes before a record, but not for definitions */

/* crc: of everything behind it in the block. last_ticks and last_time: what the order of the first record hangs on (a record never goes
 * out with an earlier time than the one before it). first and last: UTC of the records, for those who look for a time. */
typedef struct {
    uint64_t magic;
    uint32_t crc, bytes, type, records;
    uint64_t session, last_ticks;
    int64_t last_time, first, last;
} mlog__block;

/* Behind it in a block of that type: who wrote this file, or went on with it. */
typedef struct {
    uint32_t version, byte_order, word_size, clock_mode, long_double, pid;
    int64_t started;
    uint64_t boot[2];
    char program[32];
} mlog__block_head;

/* What a binary sink remembers of its file. */
typedef struct {
    uint64_t session;            /* who wrote the header that is in force; 0: none yet */
    size_t block;                /* where in the batch the open block begins */
    bool open, lined;            /* there is one; it has a line */
    bool recovered;              /* its blocks are said to be */
    uint32_t serial, ring;       /* number of the block; ring of the last record */
    uint64_t pos;                /* where in that ring the next one is expected */
    const unsigned char *run;    /* records that are not copied yet */
    size_t run_bytes, run_first, room; /* run_first: of the first of them; room: how far the run may grow */
    uint32_t records;
    uint64_t last_ticks, until;  /* until: ticks up to which the line holds */
    int64_t last_time, first, last;
    uint64_t arrival;
    mlog__clock_view line;
    uint64_t known[MLOG__INFOS / 64];  /* by number / 8: entries that the file has, and whose records need no look */
    uint64_t slow[MLOG__INFOS / 64];   /* the same, of those that do */
    uint32_t number[MLOG__INFOS], numbers; /* of those entries, in their order */
    uint64_t context[MLOG__CONTEXTS];  /* by slot: the number that the file has */
    struct { uint32_t serial, tid; uint64_t name[4]; } owner[MLOG__RINGS];
} mlog__binary;

/* Another file, or another process: everything is told again. */
static void mlog__binary_restart(mlog__binary *b) {
    if (b == NULL) return;
    b->session = 0;
    b->open = false;
    b->run_bytes = b->room = 0;
}

/* Copies the run. The room for it was there before it began. */
static void mlog__binary_settle(mlog__binary *b, mlog__buffer *out) {
    b->room = 0;
    if (b->run_bytes == 0) return;
    memcpy(out->p + out->len, b->run, b->run_bytes);
    out->len += b->run_bytes;
    b->pos += b->run_bytes;
    if (b->run_bytes != b->run_first) b->last_time = MLOG__MAX(b->last_time, mlog__clock_along(&b->line, b->last_ticks));
    b->run_bytes = 0;
}

/* A note of n words and `more` bytes behind them, which are padded. */
static bool mlog__binary_note(mlog__binary *b, mlog__buffer *out, uint64_t kind, const uint64_t *words, size_t n, const void *more,
                              size_t bytes) {
    size_t padded = (bytes + 7) & ~(size_t)7;
    uint64_t header = mlog__record_header(MLOG__S_PAD, 1 + n + padded / 8, kind << 52);
    mlog__binary_settle(b, out);
    if (padded >= MLOG__BLOCK_MOST / 2 || !mlog__format_room(out, 8 + 8 * n + padded + MLOG__BINARY_SPARE)) return false;
    char *p = mlog__format_put(out->p + out->len, (const char *)&header, 8);
    p = mlog__format_put(p, (const char *)words, 8 * n);
    if (bytes != 0) {
        memset(p + padded - 8, 0, 8);
        memcpy(p, more, bytes);
    }
    out->len += 8 + 8 * n + padded;
    return true;
}

/* Ends the block: its length, times and checksum become known. */
static void mlog__binary_close(mlog__binary *b, mlog__buffer *out) {
    if (!b->open) return;
    mlog__binary_settle(b, out);
    b->open = false;
    mlog__block *block = (mlog__block *)(void *)(out->p + b->block);
    block->bytes = (uint32_t)(out->len - b->block);
    block->records = b->records;
    block->first = b->first;
    block->last = MLOG__MAX(b->last, b->last_time);
    size_t skip = offsetof(mlog__block, bytes);
    block->crc = mlog__crc_of(0, (const char *)block + skip, block->bytes - skip);
}

/* Appends an empty block; it counts from now on. */
static bool mlog__binary_append(mlog__binary *b, mlog__buffer *out, uint32_t type, uint64_t session) {
    if (!mlog__format_room(out, sizeof(mlog__block) + sizeof(mlog__block_head) + MLOG__BINARY_SPARE)) return false;
    const mlog__block block = {.magic = MLOG__BLOCK_MAGIC, .type = type, .session = session, .last_ticks = b->last_ticks,
                               .last_time = b->last_time};
    b->block = out->len;
    memcpy(out->p + out->len, &block, sizeof block);
    out->len += sizeof block;
    b->open = true;
    b->records = 0;
    b->first = INT64_MAX;
    b->last = INT64_MIN;
    return true;
}

/* The header, which a file, and each process that writes to it, begins with. */
static bool mlog__binary_introduce(mlog__binary *b, mlog__buffer *out, const mlog__session *s) {
    mlog__block_head head = {.version = 1, .byte_order = 0x01020304, .word_size = sizeof(void *), .clock_mode = s->clock_mode,
                             .long_double = __LDBL_MANT_DIG__, .pid = (uint32_t)getpid(),
                             .started = mlog__platform_clock(CLOCK_REALTIME), .boot = {s->boot[0], s->boot[1]}};
    memcpy(head.program, mlog__format_program, MLOG__MIN((size_t)mlog__format_program_len, sizeof head.program - 1));
    if (!mlog__binary_append(b, out, MLOG__BLOCK_HEADER, s->id)) return false;
    out->len += sizeof head;
    memcpy(out->p + out->len - sizeof head, &head, sizeof head);
    mlog__binary_close(b, out);
    b->session = s->id;
    return true;
}

static void mlog__binary_forget(mlog__binary *b) {
    memset(b->known, 0, sizeof b->known);
    memset(b->slow, 0, sizeof b->slow);
    memset(b->context, 0, sizeof b->context);
    b->numbers = 0;
}

/* Makes sure that there is a block to write to. False: no memory. */
static bool mlog__binary_open(mlog__binary *b, mlog__buffer *out, const mlog__session *s) {
    if (MLOG__LIKELY(b->open)) return true;
    if (!mlog__format_room(out, MLOG__BATCH + MLOG__PAGE)) return false;
    if (b->session != s->id) {
        mlog__binary_forget(b);
        if (!mlog__binary_introduce(b, out, s)) return false;
    }
    b->serial++;
    b->ring = UINT32_MAX;
    b->lined = false;
    b->run_bytes = 0;
    return mlog__binary_append(b, out, b->recovered ? MLOG__BLOCK_RECOVERED : MLOG__BLOCK_RECORDS, s->id);
}

/* Has the file the entry? Then nothing; else it gets it. slow: its records need a look each. False: there is none, or no memory. */
/* An entry as it may be copied: of a dead process's session nothing is trusted. */
static const mlog__entry *mlog__binary_entry(const mlog__session *s, uint32_t number) {
    const mlog__entry *e = mlog__dict_find(s, number);
    return e != NULL && s != mlog__dict_session && !mlog__dict_sound(s, e) ? NULL : e;
}

static bool mlog__binary_define(mlog__binary *b, mlog__buffer *out, const mlog__session *s, uint32_t number, bool slow) {
    uint32_t i = number / 8;
    if (i >= MLOG__INFOS) return false;
    if (((b->known[i / 64] | b->slow[i / 64]) >> (i % 64) & 1) != 0) return true;
    const mlog__entry *e = mlog__binary_entry(s, number);
    const uint64_t words[1] = {number};
    if (e == NULL || !mlog__binary_note(b, out, MLOG__NOTE_DEFINE, words, 1, e, e->bytes)) return false;
    (slow ? b->slow : b->known)[i / 64] |= UINT64_C(1) << (i % 64);
    b->number[b->numbers++] = number;
    return true;
}

/* The same for a context and its ancestors, outermost first. A number that is not sound is left to the reader, as to a formatter. */
static bool mlog__binary_context(mlog__binary *b, mlog__buffer *out, const mlog__session *s, uint64_t id) {
    for (;;) {
        const mlog__context_slot *slot = mlog__format_slot(s, id), *outer;
        if (slot == NULL || b->context[id & 0xFFFFF] == id) return true;
        uint32_t depth = 0; /* a session that is not ours may go in a circle */
        for (; (outer = mlog__format_slot(s, slot->parent)) != NULL && b->context[outer->id & 0xFFFFF] != outer->id; slot = outer)
            if (depth++ == MLOG__CONTEXTS) return false;
        const uint64_t words[3] = {slot->id, slot->parent, slot->bytes | (uint64_t)slot->count << 32};
        if (!mlog__binary_note(b, out, MLOG__NOTE_CONTEXT, words, 3, slot->fields, slot->bytes)) return false;
        b->context[slot->id & 0xFFFFF] = slot->id;
    }
}

/* A batch goes to another file than it was made for: all that the old one had been told comes before it. False: no memory. */
static bool mlog__binary_move(mlog__binary *b, mlog__buffer *batch, const mlog__session *s) {
    mlog__buffer all = {0};
    bool ok = b->session == s->id && mlog__binary_introduce(b, &all, s) &&
              mlog__binary_append(b, &all, MLOG__BLOCK_RECORDS, s->id); /* its definitions: a block without records */
    for (uint32_t i = 0; i < b->numbers && ok; i++) {
        const mlog__entry *e = mlog__binary_entry(s, b->number[i]);
        const uint64_t words[1] = {b->number[i]};
        ok = e != NULL && mlog__binary_note(b, &all, MLOG__NOTE_DEFINE, words, 1, e, e->bytes);
        if (!ok || all.len - b->block < 1 << 20) continue;
        mlog__binary_close(b, &all);
        ok = mlog__binary_append(b, &all, MLOG__BLOCK_RECORDS, s->id);
    }
    uint64_t *told = malloc(sizeof b->context);
    ok = ok && told != NULL;
    if (ok) memcpy(told, b->context, sizeof b->context);
    memset(b->context, 0, sizeof b->context);
    for (uint32_t i = 0; i < MLOG__CONTEXTS && ok; i++) ok = mlog__binary_context(b, &all, s, told[i]);
    free(told);
    if (all.p != NULL) mlog__binary_close(b, &all);
    ok = ok && mlog__format_room(&all, batch->len);
    if (ok) all.len = (size_t)(mlog__format_put(all.p + all.len, batch->p, batch->len) - all.p);
    free(ok ? batch->p : all.p);
    if (ok) *batch = all;
    else mlog__binary_restart(b);
    return ok;
}

/* Everything that a record refers to by number. */
static bool mlog__binary_explain(mlog__binary *b, mlog__buffer *out, const mlog__session *s, const unsigned char *record,
                                 uint64_t header, bool slow) {
    uint32_t site = mlog__record_site(header);
    uint64_t word[3];
    memcpy(word, record + 16, 8 * (size_t)mlog__record_options(header & (MLOG__F_CONTEXT | MLOG__F_BOUND | MLOG__F_TO)));
    const uint64_t *w = word;
    if (site >= MLOG__FIRST_SITE && !mlog__binary_define(b, out, s, site, slow)) return false;
    if ((header & MLOG__F_CONTEXT) != 0 && !mlog__binary_context(b, out, s, *w++)) return false;
    if ((header & MLOG__F_BOUND) != 0 && !mlog__binary_context(b, out, s, *w++)) return false;
    if ((header & MLOG__F_TO) == 0) return true;
    uint32_t logger = (uint32_t)(*w >> 32);
    return logger == 0 || mlog__binary_entry(s, logger) == NULL || mlog__binary_define(b, out, s, logger, true);
}

/* The line by which ticks become UTC, where it is another than before. */
static bool mlog__binary_line(mlog__binary *b, mlog__buffer *out, const mlog__clock_view *line, uint64_t arrival) {
    bool same = b->lined && line->ticks == b->line.ticks && line->utc == b->line.utc && line->rate == b->line.rate &&
                arrival == b->arrival;
    if (!same) mlog__binary_settle(b, out); /* by the line that it was logged under */
    b->line = *line;
    b->until = line->until;
    b->arrival = arrival;
    b->lined = true;
    const uint64_t words[4] = {line->ticks, (uint64_t)line->utc, (uint64_t)line->rate, arrival};
    return same || mlog__binary_note(b, out, MLOG__NOTE_LINE, words, 4, NULL, 0);
}

/* Whose record comes next, and from where. Name and number of a thread are told once in a block, and when they change. */
static bool mlog__binary_owner(mlog__binary *b, mlog__buffer *out, uint32_t ring, uint64_t pos, uint32_t tid, const uint64_t name[4]) {
    mlog__binary_settle(b, out);
    bool told = b->owner[ring].serial == b->serial && b->owner[ring].tid == tid && memcmp(b->owner[ring].name, name, 32) == 0;
    if (told && b->ring == ring && b->pos == pos) return true;
    const uint64_t words[3] = {ring | (uint64_t)tid << 32, pos, name[0] != 0};
    if (!mlog__binary_note(b, out, MLOG__NOTE_RING, words, told ? 2 : 3, name, told || name[0] == 0 ? 0 : 32)) return false;
    b->owner[ring].serial = b->serial;
    b->owner[ring].tid = tid;
    memcpy(b->owner[ring].name, name, 32);
    b->ring = ring;
    b->pos = pos;
    return true;
}

/* Begins a run with this record, whose notes are written. time: its UTC, or what was given; it takes part in the order or does not. */
static bool mlog__binary_record(mlog__binary *b, mlog__buffer *out, const unsigned char *record, uint64_t header, int64_t time,
                                uint64_t ticks) {
    uint64_t bytes = mlog__record_bytes(header);
    if (!mlog__format_room(out, (size_t)bytes + MLOG__BATCH)) return false;
    b->last_ticks = MLOG__MAX(b->last_ticks, ticks);
    if ((header & MLOG__F_TIME) == 0) time = b->last_time = MLOG__MAX(b->last_time, time);
    b->first = MLOG__MIN(b->first, time);
    b->last = MLOG__MAX(b->last, time);
    b->run = record;
    b->run_bytes = b->run_first = (size_t)bytes;
    b->room = out->len + bytes >= MLOG__BATCH - MLOG__PAGE ? 0 : MLOG__BATCH - MLOG__PAGE - out->len - (size_t)bytes;
    b->records++;
    return true;
}

/* Has the file an entry whose records need no look, and is nothing else about this record? */
static inline bool mlog__binary_plain(const mlog__binary *b, uint64_t header) {
    uint32_t i = mlog__record_site(header) / 8;
    return header >> 52 == 0 && i < MLOG__INFOS && (b->known[i / 64] >> (i % 64) & 1) != 0;
}

/* The commonest record, of another ring than the last one, which this block has told of: a note and a run. False: the long way. */
static bool mlog__binary_resume(mlog__binary *b, mlog__buffer *out, uint32_t ring, uint64_t pos, uint32_t tid, const uint64_t name[4],
                                const unsigned char *record, uint64_t header, uint64_t ticks) {
    uint64_t bytes = mlog__record_bytes(header), taken = out->len + b->run_bytes + 24 + bytes;
    if (!b->open || !b->lined || !mlog__binary_plain(b, header) || ticks < b->last_ticks || ticks > b->until) return false;
    if (b->owner[ring].serial != b->serial || b->owner[ring].tid != tid || memcmp(b->owner[ring].name, name, 32) != 0) return false;
    if (taken >= MLOG__BATCH - MLOG__PAGE || out->cap < MLOG__BATCH) return false;
    mlog__binary_settle(b, out);
    const uint64_t note[3] = {mlog__record_header(MLOG__S_PAD, 3, (uint64_t)MLOG__NOTE_RING << 52), ring | (uint64_t)tid << 32, pos};
    memcpy(out->p + out->len, note, sizeof note);
    out->len += sizeof note;
    b->ring = ring;
    b->pos = pos;
    b->last_ticks = ticks;
    b->run = record;
    b->run_bytes = (size_t)bytes;
    b->run_first = 0; /* it takes part in the order when the run ends */
    b->room = MLOG__BATCH - MLOG__PAGE - out->len - (size_t)bytes;
    b->records++;
    return true;
}

/* As many records as are just more of the same: right behind the last one, in time, of sites that the file knows. Returns the bytes. */
static size_t mlog__binary_more(mlog__binary *b, const unsigned char *record, size_t most, uint64_t until, uint64_t *count) {
    const unsigned char *p = record, *stop = record + MLOG__MIN(most, b->room);
    uint64_t last = b->last_ticks, high = MLOG__MIN(until, b->until), header = 0, size = 0; /* header: was found good */
    uint32_t n = 0;
    if (b->room == 0 || record != b->run + b->run_bytes) return 0;
    while (stop - p >= 16) {
        uint64_t word[2];
        memcpy(word, p, 16);
        uint64_t ticks = word[1] != 0 ? word[1] : b->arrival;
        if (word[0] != header) {
            if (MLOG__UNLIKELY(!mlog__binary_plain(b, word[0]))) break;
            header = word[0];
            size = mlog__record_bytes(header);
        }
        if (MLOG__UNLIKELY(ticks < last || ticks > high || size > (uint64_t)(stop - p) || size == 0)) break;
        last = ticks;
        p += size;
        n++;
    }
    size_t bytes = (size_t)(p - record);
    b->last_ticks = last;
    b->run_bytes += bytes;
    b->room -= bytes;
    b->records += n;
    *count = n;
    return bytes;
}

/* ==== sink ====
 * Where text goes. A sink keeps its own positions in every ring: `next` is how far it has read, `done` how far it has written.
 * It is opened by one thread, used by its lane, and closed when no lane runs.
 * owns: descriptors, opening and checking of files, writes and their errors, rotation
 * may call: platform text format filter pattern record store ring binary
 */

struct mlog_sink {
    bool used;                   /* first: lanes look at it while the rest is filled in */
    char name[64];
    mlog_sink_config config;     /* resolved; strings are the sink's own */
    mlog_filter *filter;         /* NULL: takes everything */
    int fd;
    dev_t dev;
    ino_t ino;
    bool of_init, regular, holds, lane1, dead, color, utc, console, socket, may_block, reopen, closing;
    bool named;                  /* a regular file, opened by its path */
    bool unlisted;               /* of a durable sink: its name may not be on the disk */
    bool moved;                  /* to a new file, since a sync has failed */
    uint64_t *next, *done;       /* by ring number */
    uint64_t written, filtered, lost, bytes, errors;
    mlog__u64 late;
    uint64_t in_written, in_filtered, in_lost; /* of the batch that is not written yet */
    uint64_t taken, most;        /* records of this pass, and how many mlog_poll allows; 0: all */
    mlog__buffer out;            /* the batch, as text; of a callback: raw records */
    size_t sent;                 /* bytes of it that are written */
    int64_t last_time, retry_at; /* retry_at: CLOCK_MONOTONIC, after an error */
    uint64_t last_ticks;
    int64_t turn_at;             /* CLOCK_MONOTONIC, when a rotation that failed is tried again; 0: none did */
    int backoff_ms, turn_ms, claim; /* claim: place in mlog1_instance.file + 1 */
    size_t batch;                /* bytes of text that make a batch full */
    uint64_t gap[26], gaps;      /* skipped since the last report */
    uint64_t drop[26];           /* of lane 1: dropped by threads that did not come back to tell; untold: there are any */
    bool untold;
    int hold_level, hold_ms, hold_records; /* what ends the holding back of a batch; hold_ms 0: none is held back */
    mlog_capture *capture;       /* its records go there instead of a file */
    int64_t held_since;          /* CLOCK_MONOTONIC of the batch's first record, 0: empty */
    bool urgent, armed;          /* it holds a record of hold_level; it is on its way */
    uint8_t straight;            /* of this batch: 1: JSON, 2: LOGFMT, to which plain records go without detours; 0: neither */
    mlog__lock lock;             /* lane 1 reads rings under it, lane 0 skips under it */
    mlog__desk *desk;
    mlog__pattern *pattern;      /* of MLOG_PATTERN, compiled */
    uint64_t key;                /* names the sink in sessions */
    mlog__session *session;      /* whose promise, by `number`, covers its batches, and whose rings these are; NULL: none does */
    mlog__ring *const *rings;
    uint32_t number;
    bool promised;               /* this batch is */
    mlog__binary *binary;        /* of MLOG_BINARY */
};

/* The caller's strings may go after mlog_init. */
static char *mlog__sink_copy(const char *s) { return s == NULL ? NULL : strdup(s); }

/* Of a file that is open, for when it is opened again: a daemon's directory is another by then. */
static void mlog__sink_make_absolute(mlog_sink *s) {
    const char *path = s->config.path;
    char *here = s->config.type == MLOG_FILE && *path != '/' ? getcwd(NULL, 0) : NULL, *whole;
    if (here != NULL && asprintf(&whole, "%s/%s", here, path) >= 0) {
        s->config.path = whole;
        free((void *)(uintptr_t)path);
    }
    free(here);
}

/* The descriptor as we opened it? A host that closes all descriptors may have reused the number. */
static bool mlog__sink_ours(const mlog_sink *s) {
    struct stat st;
    return s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
}

#ifndef METALOG_NO_FILES
static void mlog__sink_disclaim(int claim) {
    if (claim != 0) __atomic_store_n(&mlog1_instance.file[claim - 1][1], 0, __ATOMIC_RELEASE); /* SINK-1 */
}

/* Tells other instances of metalog in this process that the file is ours. -1: it is theirs. First tell, then look: of two that open
 * it at once, none overlooks the other. A full table claims nothing. */
static int mlog__sink_claim(int fd, const char *path, int *claim) {
    mlog__u64(*file)[2] = mlog1_instance.file;
    struct stat st;
    *claim = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return 0;
    for (int i = 0; i < 64 && *claim == 0; i++) {
        uint64_t none = 0;
        /* SINK-1 */
        if (!__atomic_compare_exchange_n(&file[i][1], &none, UINT64_MAX, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
        file[i][0] = (uint64_t)st.st_dev;
        __atomic_store_n(&file[i][1], (uint64_t)st.st_ino, __ATOMIC_SEQ_CST); /* SINK-1 */
        *claim = i + 1;
    }
    const mlog__instance *other = mlog__platform_rival((uint64_t)st.st_dev, (uint64_t)st.st_ino);
    if (other == NULL) return 0;
    mlog__sink_disclaim(*claim);
    return mlog__life_why("log file \"%s\": another metalog (%.19s) in this process writes to it; expected a file of its own", path,
                          other->version);
}
#endif

/* Closes and forgets; what it had read is released by its lane before. */
static void mlog__sink_discard(mlog_sink *s) {
    if (mlog__sink_ours(s)) close(s->fd);
#ifndef METALOG_NO_FILES
    mlog__sink_disclaim(s->claim);
#endif
    free((void *)(uintptr_t)s->config.name);
    free((void *)(uintptr_t)s->config.path);
    free((void *)(uintptr_t)s->config.owner);
    mlog__filter_free(s->filter);
    free(s->pattern);
    free(s->out.p);
    mlog__platform_unmap(s->binary, sizeof *s->binary);
    mlog__platform_unmap(s->next, 2 * MLOG__RINGS * sizeof *s->next);
    mlog__platform_lock_end(&s->lock);
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

#ifndef METALOG_NO_FILES
/* "agentd:adm", "1000:4", "agentd": looked up in the plain files, since the C library's functions need shared objects at run time. */
static bool mlog__sink_id(const char *file, const char *name, size_t n, long *id) {
    char line[1024];
    char *end;
    *id = strtol(name, &end, 10);
    if (n > 0 && end == name + n) return true;
    FILE *f = fopen(file, "re");
    bool found = false;
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, n) != 0 || line[n] != ':') continue;
        const char *second = strchr(line + n + 1, ':');
        if (second != NULL) *id = strtol(second + 1, NULL, 10), found = true;
    }
    if (f != NULL) fclose(f);
    return found;
}

/* At open, while the program still has the right to. */
static int mlog__sink_own(int fd, const char *owner, const char *path) {
    const char *colon = strchr(owner, ':');
    size_t n = colon == NULL ? strlen(owner) : (size_t)(colon - owner);
    long uid = -1, gid = -1;
    if (n > 0 && !mlog__sink_id("/etc/passwd", owner, n, &uid))
        return mlog__life_why("owner \"%s\": no such user; expected user:group", owner);
    if (colon != NULL && !mlog__sink_id("/etc/group", colon + 1, strlen(colon + 1), &gid))
        return mlog__life_why("owner \"%s\": no such group; expected user:group", owner);
    if (fchown(fd, (uid_t)uid, (gid_t)gid) == 0) return 0;
    return mlog__life_why("%s: owner \"%s\": %s", path, owner, strerror(errno));
}

/* What stands at the path, in words that help. */
static int mlog__sink_refuse(const char *path, int error) {
    struct stat st;
    const char *is = strerror(error);
    if (error == 0 || error == ELOOP || error == ENXIO || error == EISDIR) {
        is = "not a regular file with one link";
        if (lstat(path, &st) == 0)
            is = S_ISDIR(st.st_mode)                       ? "is a directory"
                 : S_ISLNK(st.st_mode)                     ? "is a symbolic link"
                 : S_ISFIFO(st.st_mode)                    ? "is a FIFO"
                 : S_ISSOCK(st.st_mode)                    ? "is a socket"
                 : S_ISREG(st.st_mode) && st.st_nlink != 1 ? "has more than one link"
                                                           : is;
    }
    return mlog__life_why("log file \"%s\": %s; expected a regular file with one link, or a new one", path, is);
}

/* O_NONBLOCK for the open only: a FIFO without a reader must be refused, not waited for. */
static int mlog__sink_open_path(const mlog_sink_config *c) {
    unsigned mode = c->mode == 0 ? 0640 : c->mode;
    int fd = open(c->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, (mode_t)mode);
    struct stat st;
    if (fd < 0) return mlog__sink_refuse(c->path, errno);
    bool ok = fstat(fd, &st) == 0 && ((S_ISREG(st.st_mode) && st.st_nlink == 1) || strcmp(c->path, "/dev/null") == 0);
    if (!ok) {
        close(fd);
        return mlog__sink_refuse(c->path, 0);
    }
    if (c->owner != NULL && mlog__sink_own(fd, c->owner, c->path) != 0) return close(fd), -1;
    return fd;
}
#endif

/* Notes what the descriptor is, so that one that the host closed and reused is noticed. */
static void mlog__sink_know(mlog_sink *s) {
    struct stat st;
    if (fstat(s->fd, &st) != 0) return;
    bool other = s->dev != st.st_dev || s->ino != st.st_ino;
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    s->regular = S_ISREG(st.st_mode);
    s->socket = S_ISSOCK(st.st_mode);
    s->dead = false;
    if (s->regular) (void)flock(s->fd, LOCK_SH | LOCK_NB); /* who recovers cuts a torn line only where nobody else writes */
    if (s->binary == NULL || !other) return;
    if (s->out.len == 0) mlog__binary_restart(s->binary);
    else if (mlog__binary_move(s->binary, &s->out, s->desk->session)) s->sent = 0; /* a part of a block in the old file counts for nothing */
}

/* Where the host's descriptors lead when they lead to us for now (shim stdio); 0: where they are. */
static int mlog__sink_led[3];

/* A descriptor of our own for the host's terminal, pipe or file. It shall not block, but the host's flags are not ours to change: a
 * terminal or pipe is opened once more; a regular file keeps the host's offset, so it is only duplicated. */
static int mlog__sink_open_console(mlog_sink *s, int host) {
    struct stat st;
    char path[32];
    if (mlog__sink_led[host] != 0) host = mlog__sink_led[host];
    if (fstat(host, &st) != 0) return mlog__life_why("descriptor %d: %s; expected an open one", host, strerror(errno));
    snprintf(path, sizeof path, "/proc/self/fd/%d", host);
    int fd = -1;
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
    s->may_block = fd < 0 && !S_ISREG(st.st_mode) && (fcntl(host, F_GETFL) & O_NONBLOCK) == 0;
    if (fd < 0) fd = fcntl(host, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return mlog__life_why("descriptor %d: %s", host, strerror(errno));
    s->fd = fd;
    mlog__sink_know(s);
    return 0;
}

/* The configuration, then NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, CLICOLOR, then the terminal and TERM. */
static bool mlog__sink_wants_color(int fd, mlog_choice choice) {
    const char *force = secure_getenv("FORCE_COLOR"), *never = secure_getenv("NO_COLOR"), *cli = secure_getenv("CLICOLOR"),
               *term = secure_getenv("TERM");
    const char *cli_force = secure_getenv("CLICOLOR_FORCE");
    if (choice != MLOG_AUTO) return choice == MLOG_YES;
    if (never != NULL && *never != 0) return false;                             /* https://no-color.org */
    if (force != NULL && *force != 0) return strcmp(force, "0") != 0;            /* https://force-color.org */
    if (cli_force != NULL && strcmp(cli_force, "0") != 0 && *cli_force != 0) return true; /* https://bixense.com/clicolors */
    if (cli != NULL && strcmp(cli, "0") == 0) return false;
    return isatty(fd) == 1 && (term == NULL || strcmp(term, "dumb") != 0);
}

static int mlog__sink_console_fd(const mlog_sink_config *c) {
    return c->path != NULL && strcmp(c->path, "/dev/stdout") == 0 ? 1 : 2;
}

static const char *mlog__sink_name(const mlog_sink_config *c) {
    static const char *const type[] = {"", "console", "file", "syslog", "journal", "socket", "callback", "null"};
    return c->name == NULL ? type[c->type] : c->name;
}

/* Compiles `where`, if there is one. */
static int mlog__sink_filter(const mlog_sink_config *c, mlog_filter **filter) {
    char what[96];
    if (c->where == NULL) return 0;
    snprintf(what, sizeof what, "sink \"%s\": where", mlog__sink_name(c));
    *filter = mlog__filter_compile(c->where, strlen(c->where), what);
    return *filter == NULL ? -1 : 0;
}

/* The host's own descriptor, by the name of a file. */
static bool mlog__sink_is_standard(const mlog_sink_config *c) {
    return c->type == MLOG_FILE && (strcmp(c->path, "/dev/stdout") == 0 || strcmp(c->path, "/dev/stderr") == 0);
}

/* What only files have. */
static int mlog__sink_check_file(const mlog_sink_config *c) {
    if (c->durable == MLOG_YES && c->type != MLOG_FILE) return mlog__life_why("sink field durable: given; expected a file sink");
    if (c->rotate_bytes != 0 && (c->type != MLOG_FILE || mlog__sink_is_standard(c)))
        return mlog__life_why("sink field rotate_bytes: given; expected a file sink with a path of its own");
    if (c->rotate_keep < -1)
        return mlog__life_why("sink field rotate_keep %d: expected -1 (none), 0 (5), or more", c->rotate_keep);
    if (c->rotate_keep != 0 && c->rotate_bytes == 0)
        return mlog__life_why("sink field rotate_keep: given; expected rotate_bytes, which it is about");
    return 0;
}

/* Values whose feature this version does not have are refused, never ignored. Opens nothing. */
static int mlog__sink_check(const mlog_sink_config *c) {
    if (c->type < MLOG_CONSOLE || c->type > MLOG_NULL)
        return mlog__life_why("sink type %d: expected MLOG_CONSOLE, _FILE, _CALLBACK or _NULL", (int)c->type);
    if (c->type == MLOG_SYSLOG || c->type == MLOG_JOURNAL || c->type == MLOG_SOCKET)
        return mlog__life_why("sink type %d: not part of this version; expected MLOG_CONSOLE, _FILE, _CALLBACK or _NULL",
                              (int)c->type);
#ifdef METALOG_NO_FILES
    if (c->type == MLOG_FILE)
        return mlog__life_why("sink type MLOG_FILE: METALOG_NO_FILES is defined; expected MLOG_CONSOLE, _CALLBACK or _NULL");
#endif
    if ((unsigned)c->format > MLOG_BINARY)
        return mlog__life_why("sink format %d: expected MLOG_PRETTY, _PLAIN, _JSON, _LOGFMT, _PATTERN or _BINARY", (int)c->format);
    if (c->format == MLOG_BINARY && c->type != MLOG_FILE && c->type != MLOG_NULL)
        return mlog__life_why("sink format MLOG_BINARY: the sink is no file; expected MLOG_FILE or MLOG_NULL");
    if (c->format == MLOG_PATTERN && c->pattern == NULL)
        return mlog__life_why("sink pattern: missing; expected the layout, since the format is MLOG_PATTERN");
    if (c->format != MLOG_PATTERN && c->pattern != NULL)
        return mlog__life_why("sink pattern: given, but the sink's format is another; expected MLOG_PATTERN");
    const char *field = c->rotate_hours != 0     ? "rotate_hours"
                        : c->min_free != 0       ? "min_free"
                        : c->archive != NULL     ? "archive"
                                                 : NULL;
    if (field != NULL) return mlog__life_why("sink field %s: not part of this version; expected 0", field);
    if (c->level < 0 || c->level > MLOG_OFF) return mlog__life_why("sink level %d: expected 0 to 25", c->level);
    if (c->type == MLOG_FILE && (c->path == NULL || *c->path == 0))
        return mlog__life_why("sink path: missing; a file sink needs one");
    if (mlog__sink_check_file(c) != 0) return -1;
    if (c->type == MLOG_CALLBACK && c->write == NULL) return mlog__life_why("sink write: missing; a callback sink needs one");
    bool holds = c->flush_level != 0 || c->flush_ms != 0 || c->flush_records != 0;
    if (c->flush_level < 0 || c->flush_level > MLOG_OFF || c->flush_ms < 0 || c->flush_ms > 3600000 || c->flush_records < 0)
        return mlog__life_why("sink flush_level %d, flush_ms %d, flush_records %d: expected a level, 0 to 3600000, 0 or more",
                              c->flush_level, c->flush_ms, c->flush_records);
    if (holds && c->type == MLOG_CALLBACK && c->flush == NULL)
        return mlog__life_why("sink flush_level, flush_ms, flush_records: expected a flush function, which they are about");
    if (c->mode > 07777) return mlog__life_why("sink mode 0%o: expected permission bits", c->mode);
    if (c->name != NULL && strlen(c->name) > 63)
        return mlog__life_why("sink name \"%.20s…\": expected at most 63 bytes", c->name);
    mlog_filter *filter = NULL;
    int result = mlog__sink_filter(c, &filter);
    mlog__filter_free(filter);
    return result;
}

/* What the configuration names: a descriptor of the host, a path, or nothing (callback, null). */
static int mlog__sink_open_target(mlog_sink *s) {
    const mlog_sink_config *c = &s->config;
    if (c->type == MLOG_CONSOLE || mlog__sink_is_standard(c)) return mlog__sink_open_console(s, mlog__sink_console_fd(c));
#ifndef METALOG_NO_FILES
    if (c->type != MLOG_FILE) return 0;
    int claim, fd = mlog__sink_open_path(c);
    if (fd < 0) return -1;
    if (mlog__sink_claim(fd, c->path, &claim) != 0) return close(fd), -1;
    mlog__sink_disclaim(s->claim); /* of the file before a rotation */
    s->claim = claim;
    s->fd = fd;
    mlog__sink_know(s);
    s->named = s->regular;
    s->unlisted = true;
#endif
    return 0;
}

/* Whose promise in a session it is: who writes to the same path, as the system knows it. 0: it can have none. */
static uint64_t mlog__sink_key(const mlog_sink *s) {
    char *path = s->config.type != MLOG_FILE || !s->regular ? NULL : realpath(s->config.path, NULL);
    if (path == NULL) return 0;
    uint64_t key = mlog__store_sum(2, path, strlen(path));
    free(path);
    return key | 1;
}

/* Fills an unused sink from its configuration and opens it. 0, or -1 with nothing left open. */
static int mlog__sink_open(mlog_sink *s, const mlog_sink_config *c) {
    mlog__pattern *pattern = NULL;
    if (mlog__sink_check(c) != 0 || (c->pattern != NULL && (pattern = mlog__pattern_compile(c->pattern)) == NULL)) return -1;
    memset(s, 0, sizeof *s);
    s->pattern = pattern;
    s->fd = -1;
    s->config = *c;
    s->config.name = s->config.where = NULL;
    s->config.path = mlog__sink_copy(c->path);
    s->config.owner = mlog__sink_copy(c->owner);
    s->config.pattern = NULL;
    s->batch = MLOG__BATCH - MLOG__PAGE;
    if (c->rotate_bytes != 0 && c->rotate_bytes / 8 < s->batch) /* a file is nearly full when it is set aside */
        s->batch = (size_t)c->rotate_bytes / 8 + 1;
    snprintf(s->name, sizeof s->name, "%s", mlog__sink_name(c));
    s->next = mlog__platform_map(2 * MLOG__RINGS * sizeof *s->next, false, false);
    mlog__platform_lock_init(&s->lock);
    if (c->format == MLOG_BINARY) s->binary = mlog__platform_map(sizeof *s->binary, false, false);
    if (s->next == NULL || (c->format == MLOG_BINARY && s->binary == NULL))
        return mlog__sink_discard(s), mlog__life_why("sink \"%s\": no memory", mlog__sink_name(c));
    s->done = s->next + MLOG__RINGS;
    if (mlog__sink_filter(c, &s->filter) != 0 || mlog__sink_open_target(s) != 0) return mlog__sink_discard(s), -1;
    mlog__sink_make_absolute(s);
    bool terminal = s->fd >= 0 && isatty(s->fd) == 1;
    if (terminal && s->binary != NULL)
        return mlog__sink_discard(s), mlog__life_why("sink path \"%s\": a terminal; expected a file for MLOG_BINARY", c->path);
    if (s->config.format == 0) s->config.format = terminal ? MLOG_PRETTY : MLOG_JSON;
    s->color = (s->config.format == MLOG_PRETTY || s->config.format == MLOG_PLAIN) && mlog__sink_wants_color(s->fd, c->color);
    s->console = terminal || c->type == MLOG_CONSOLE;
    s->utc = c->utc == MLOG_YES || (c->utc == MLOG_AUTO && !terminal);
    s->lane1 = c->type == MLOG_CALLBACK;
    s->key = mlog__sink_key(s);
    s->holds = s->regular || c->type == MLOG_NULL;
    s->hold_level = INT_MAX;
    if (c->flush_level == 0 && c->flush_ms == 0 && c->flush_records == 0) return 0;
    s->hold_level = c->flush_level == 0 ? MLOG_ERROR : c->flush_level;
    s->hold_ms = c->flush_ms == 0 ? 100 : c->flush_ms;
    s->hold_records = c->flush_records == 0 ? INT_MAX : c->flush_records;
    return 0;
}

/* Opens again by name (a file) or from the host's descriptor (a console), after a loss of ours or a mlog_reopen. */
static bool mlog__sink_renew(mlog_sink *s, bool ours) {
    int old = s->fd;
    s->fd = -1;
    if (mlog__sink_open_target(s) == 0) {
        if (ours && old >= 0) close(old);
        return true;
    }
    s->fd = ours ? old : -1;
    s->errors++;
    return s->fd >= 0;
}

/* Counted, and tried again after 100 ms, 200 ms … 5 s: a full disk is not asked a million times. */
static void mlog__sink_failed(mlog_sink *s) {
    s->errors++;
    s->backoff_ms = s->backoff_ms == 0 ? 100 : MLOG__MIN(s->backoff_ms * 2, 5000);
    s->retry_at = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)s->backoff_ms * 1000000;
}

/* -- rotation --
 * Numbers only grow, and each old file keeps the name that it got: one rename sets a file aside, and none takes a name that is
 * there. Where app.log.1 becomes app.log.2 and so on (logrotate, spdlog, log4j by default) a kill in the middle leaves a gap or
 * costs a file, who reads app.log.1 meanwhile finds another one, and two processes that do it at once shift too far; so svlogd,
 * multilog and lumberjack give final names, too, by time, which needs a clock that is right. Nine digits: no date, no time
 * stamp, no number of logrotate's is taken for one. Killed behind any system call, the directory says all:
 *
 *   before the rename     the file is full still: the next batch rotates
 *   behind the rename     nothing at the path: the next open makes the file, as always
 *   behind the open       too many old ones: the next rotation deletes them
 *
 * Cost: one lstat a batch, and about ten system calls and two walks through the directory a rotation.
 *
 * Several processes: who has the write lock (of POSIX: a child does not share its parent's, and flock is for who writes) on a
 * file that the path still leads to may rename it. The others, who look at the path before each batch, find another file there
 * and open that. Nobody truncates. */

#ifndef METALOG_NO_FILES
enum { MLOG__SINK_DIGITS = 9, MLOG__SINK_LAST = 999999999 };

/* The directory of a path, for the caller to free, and the name in it. */
static char *mlog__sink_split(const char *path, const char **base) {
    const char *slash = strrchr(path, '/');
    *base = slash == NULL ? path : slash + 1;
    return slash == NULL ? strdup(".") : strndup(path, (size_t)(*base - path));
}

/* Of app.log.000000012 for app.log: 12. 0: another name. */
static uint32_t mlog__sink_number(const char *name, const char *base) {
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || name[n] != '.' || strspn(name + n + 1, "0123456789") != MLOG__SINK_DIGITS ||
        name[n + 1 + MLOG__SINK_DIGITS] != 0)
        return 0;
    return (uint32_t)strtoul(name + n + 1, NULL, 10);
}

/* The highest number that is taken, by whatever. Files with numbers up to `until` are deleted. False: errno says why. */
static bool mlog__sink_numbers(const char *path, uint32_t *newest, uint32_t until) {
    const char *base;
    char *dir = mlog__sink_split(path, &base);
    DIR *list = dir == NULL ? NULL : opendir(dir);
    *newest = 0;
    free(dir);
    if (list == NULL) return false;
    errno = 0;
    for (struct dirent *d; (d = readdir(list)) != NULL;) {
        uint32_t number = mlog__sink_number(d->d_name, base);
        *newest = MLOG__MAX(*newest, number);
        if (number != 0 && number <= until) (void)unlinkat(dirfd(list), d->d_name, 0);
        errno = 0;
    }
    int error = errno;
    closedir(list);
    return errno = error, error == 0;
}

/* Never onto an existing name. Where the file system cannot promise that, we look first. */
static bool mlog__sink_rename(const char *from, const char *to) {
    struct stat st;
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1 /* RENAME_NOREPLACE */) == 0) return true;
    if (errno != ENOSYS && errno != EINVAL) return false;
    if (lstat(to, &st) == 0) return errno = EEXIST, false;
    return rename(from, to) == 0;
}

/* Gives the file at the path the next number. */
static bool mlog__sink_give_number(const char *path, uint32_t *number) {
    bool done = false;
    if (!mlog__sink_numbers(path, number, 0)) return false;
    for (int i = 0; i < 8 && !done; i++) { /* somebody may take the number meanwhile */
        char *to;
        if (*number == MLOG__SINK_LAST) return errno = EEXIST, false;
        if (asprintf(&to, "%s.%0*u", path, MLOG__SINK_DIGITS, ++*number) < 0) return errno = ENOMEM, false;
        done = mlog__sink_rename(path, to);
        free(to);
        if (!done && errno != EEXIST) return false;
    }
    return done;
}

/* Does the path lead to the file that we write? size: of that file. */
static bool mlog__sink_leads(const mlog_sink *s, uint64_t *size) {
    struct stat st;
    if (lstat(s->config.path, &st) != 0 || st.st_dev != s->dev || st.st_ino != s->ino) return false;
    *size = (uint64_t)st.st_size;
    return true;
}

/* 1: the path is free, or another process' file is there by now (number 0); 0: another process is at it; -1: failed. */
static int mlog__sink_set_aside(const mlog_sink *s, uint32_t *number) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    uint64_t size;
    /* a file system without locks: the worst is a file that is set aside before it is full */
    if (fcntl(s->fd, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) return 0;
    int result = !mlog__sink_leads(s, &size) || mlog__sink_give_number(s->config.path, number) ? 1 : -1;
    int error = errno;
    lock.l_type = F_UNLCK;
    (void)fcntl(s->fd, F_SETLK, &lock);
    return errno = error, result;
}

/* False, and said in the log, when it is the first time. */
static bool mlog__sink_turn_failed(mlog_sink *s) {
    bool first = s->turn_ms == 0;
    s->turn_ms = first ? 100 : MLOG__MIN(s->turn_ms * 2, 5000);
    s->turn_at = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)s->turn_ms * 1000000;
    return !first;
}

/* Between two batches: where the next one has no room in the file, a new one is begun; where the path leads elsewhere by now,
 * that is opened. anyway: the present file is not to be used. False: failed for the first time, mlog_why() says what; the
 * present file is written on. Each step may be repeated, and each is a state in which another process, or restart, goes on. */
static bool mlog__sink_turn(mlog_sink *s, bool anyway) {
    const mlog_sink_config *c = &s->config;
    uint64_t size = 0;
    uint32_t number = 0;
    if (MLOG__LIKELY(c->rotate_bytes == 0 && !anyway) || !s->named || s->out.len == 0) return true;
    if (s->turn_at != 0 && mlog__platform_clock(CLOCK_MONOTONIC) < s->turn_at) return true;
    bool full = mlog__sink_leads(s, &size);
    if (full && !anyway && (size == 0 || size + s->out.len <= c->rotate_bytes)) return s->turn_at = s->turn_ms = 0, true;
    bool ours = mlog__sink_ours(s);
    if (!ours) return true; /* the host closed it: the write opens it again */
    int done = full ? mlog__sink_set_aside(s, &number) : 1, old = s->fd;
    if (done < 0) {
        s->errors++;
        mlog__life_why("log file \"%s\" is full and cannot be renamed: %s", c->path, strerror(errno));
        return mlog__sink_turn_failed(s);
    }
    if (done == 0) return true;
    if (!mlog__sink_renew(s, ours) || s->fd == old) return mlog__sink_turn_failed(s); /* counted, and said */
    s->turn_at = s->turn_ms = 0;
    uint32_t keep = c->rotate_keep == 0 ? 5 : c->rotate_keep < 0 ? 0 : (uint32_t)c->rotate_keep;
    if (number > keep && !anyway && !mlog__sink_numbers(c->path, &number, number - keep)) s->errors++;
    return true;
}

/* -- durable -- */

/* A new name is on the disk when its directory is; a directory that may not be read is left to the file system. */
static bool mlog__sink_list(mlog_sink *s) {
    const char *base;
    char *dir = s->named && s->unlisted ? mlog__sink_split(s->config.path, &base) : NULL;
    int fd = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool safe = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    if (fd >= 0) close(fd);
    free(dir);
    if (safe) s->unlisted = false;
    return safe;
}

/* Is the batch on the disk? What fdatasync could not write the kernel may have dropped, and the next fdatasync of that file
 * would say yes (fsync(2), NOTES; PostgreSQL changed for that in 2018). So the batch is written once more, from its first byte,
 * to a new file; where none can be had, behind the end of this one, in pages that are new, too. Only one new file until a sync
 * succeeds: a broken disk shall not fill up with copies. Cost, on ext4 on a virtual disk: 0.1 to 0.9 ms a batch; 0.5 to 1.3
 * million lines a second instead of 9 when the flusher is never idle. */
static bool mlog__sink_sync(mlog_sink *s) {
    int failed = 0;
    if (MLOG__LIKELY(s->config.durable != MLOG_YES) || !s->regular || s->out.len == 0) return true;
    if (mlog__sink_list(s))
        while ((failed = fdatasync(s->fd)) != 0 && errno == EINTR) {}
    else failed = -1;
    if (failed == 0) return s->moved = false, true;
    mlog__sink_failed(s);
    s->bytes -= s->sent;
    s->sent = 0;
    s->promised = false;
    if (!s->moved) (void)mlog__sink_turn(s, true), s->moved = true;
    return false;
}
#else
static bool mlog__sink_turn(mlog_sink *s, bool anyway) { return (void)s, (void)anyway, true; }
static bool mlog__sink_sync(mlog_sink *s) { return (void)s, true; }
#endif

/* -- writing -- */

/* One write that does not block on a terminal, pipe or socket, and without SIGPIPE (our threads block it). */
static ssize_t mlog__sink_push(mlog_sink *s, const char *p, size_t n) {
    if (s->socket) return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (!s->may_block) return write(s->fd, p, n);
    struct pollfd ready = {.fd = s->fd, .events = POLLOUT, .revents = 0};
    if (poll(&ready, 1, 0) <= 0) return errno = EAGAIN, (ssize_t)-1;
    return write(s->fd, p, MLOG__MIN(n, (size_t)PIPE_BUF)); /* a pipe that polls ready takes so much without blocking */
}

/* Says what this batch is, before its first byte is written. Where that cannot be said, it is written all the same. */
static void mlog__sink_promise(mlog_sink *s, uint32_t rings) {
    struct stat st;
    if (s->session == NULL || s->promised || s->sent != 0 || s->out.len == 0 || fstat(s->fd, &st) != 0) return;
    const mlog__promise what = {.dev = (uint64_t)st.st_dev, .ino = (uint64_t)st.st_ino, .off = (uint64_t)st.st_size,
                                .len = s->out.len, .sum = mlog__store_sum_batch(s->out.p, s->out.len)};
    s->promised = mlog__store_arm(s->session, s->number, &what, s->done, s->next, rings, s->session == mlog__dict_session);
}

/* The batch is out: the commit, and behind it the positions. Another end than was promised: somebody else writes, too. */
static void mlog__sink_keep(mlog_sink *s, uint32_t rings) {
    if (s->session == NULL) return;
    mlog__promise *p = &s->session->promise[s->number];
    struct stat st;
    if (s->promised && fstat(s->fd, &st) == 0 && (uint64_t)st.st_size != p->off + p->len) p->shared = 1;
    if (s->promised) mlog__store_commit(p);
    for (uint32_t i = 0; i < rings; i++) {
        mlog__ring *r = s->done[i] == s->next[i] ? NULL : __atomic_load_n(&s->rings[i], __ATOMIC_ACQUIRE); /* THREAD-7 */
        if (r != NULL && r->filed) __atomic_store_n(&r->cur[s->number], s->next[i], __ATOMIC_RELAXED); /* STORE-3 */
    }
    s->promised = false;
}

/* Writes what is left of the batch. 1: all of it; 0: later (full pipe, error with backoff). A peer that is gone takes the rest away. */
static int mlog__sink_write(mlog_sink *s, uint32_t rings) {
    if (s->retry_at != 0 && mlog__platform_clock(CLOCK_MONOTONIC) < s->retry_at) return 0;
    if (s->sent < s->out.len && !mlog__sink_ours(s)) {
        if (!mlog__sink_renew(s, false)) return mlog__sink_failed(s), 0;
        s->promised = s->promised && s->sent != 0; /* it may be another file */
    }
    mlog__sink_promise(s, rings);
    while (s->sent < s->out.len) {
        ssize_t n = mlog__sink_push(s, s->out.p + s->sent, s->out.len - s->sent);
        if (n >= 0) {
            s->sent += (size_t)n;
            s->bytes += (uint64_t)n;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return 0;
        if (errno == EPIPE || errno == ECONNRESET) s->dead = true;
        mlog__sink_failed(s);
        return 0;
    }
    if (!mlog__sink_sync(s)) return 0;
    s->retry_at = 0;
    s->backoff_ms = 0;
    return 1;
}

/* The batch is with the sink: its counts become the sink's, its positions become final. */
static void mlog__sink_commit(mlog_sink *s, uint32_t rings) {
    s->written += s->in_written;
    s->filtered += s->in_filtered;
    s->lost += s->in_lost;
    s->in_written = s->in_filtered = s->in_lost = 0;
    s->out.len = s->sent = 0;
    s->urgent = s->armed = false;
    s->held_since = 0;
    mlog__sink_keep(s, rings);
    memcpy(s->done, s->next, rings * sizeof *s->done);
}

/* What a dead peer will never get. */
static void mlog__sink_give_up(mlog_sink *s, uint32_t rings) {
    s->in_lost += s->in_written;
    s->in_written = 0;
    mlog__sink_commit(s, rings);
}

/* ==== capture ====
 * Records that a test of the program looks at. The flusher adds copies, each in an allocation of its own; the test counts them by a
 * filter or reads them as text. A mutex is enough: no logging call comes here.
 * owns: captured records
 * may call: platform record filter
 */

typedef struct mlog__captured { struct mlog__captured *next; mlog_record record; mlog_field field[]; } mlog__captured;

struct mlog_capture {
    mlog__lock lock;
    mlog__captured *first, **last;
    char *text;
    mlog_sink *sink;
    mlog__rule_set rules;        /* those before it */
    bool ruled;
    int level[MLOG__SINKS];      /* of the other sinks, which are turned off meanwhile; -1: not this one */
};

static const char *mlog__capture_copy(char **to, const char *from, size_t n) {
    char *p = *to;
    if (n > 0) memcpy(p, from, n);
    p[n] = 0;
    *to += n + 1;
    return p;
}

/* A copy of the record and all that it points to, in one block. False: no memory. */
static bool mlog__capture_add(mlog_capture *c, const mlog_record *r) {
    size_t source = strlen(r->source), thread = strlen(r->thread), file = strlen(r->at.file), func = strlen(r->at.func);
    size_t bytes = sizeof(mlog__captured) + r->nfields * sizeof(mlog_field) + source + thread + file + func + r->msg_len + r->text_len + 6;
    for (size_t i = 0; i < r->nfields; i++) {
        bytes += strlen(r->fields[i].key) + 1;
        if (mlog__record_has_bytes(r->fields[i].value.kind)) bytes += r->fields[i].value.size + (size_t)1;
    }
    mlog__captured *to = malloc(bytes);
    if (to == NULL) return false;
    char *p = (char *)(to->field + r->nfields);
    *to = (mlog__captured){.next = NULL, .record = *r};
    to->record.fields = to->field;
    to->record.text = mlog__capture_copy(&p, r->text, r->text_len);
    to->record.source = mlog__capture_copy(&p, r->source, source);
    to->record.thread = mlog__capture_copy(&p, r->thread, thread);
    to->record.at.file = mlog__capture_copy(&p, r->at.file, file);
    to->record.at.func = mlog__capture_copy(&p, r->at.func, func);
    to->record.msg = mlog__capture_copy(&p, r->msg, r->msg_len);
    for (size_t i = 0; i < r->nfields; i++) {
        mlog_value v = r->fields[i].value;
        if (mlog__record_has_bytes(v.kind)) v.as.p = mlog__capture_copy(&p, v.as.p, v.size);
        to->field[i].key = mlog__capture_copy(&p, r->fields[i].key, strlen(r->fields[i].key));
        to->field[i].value = v;
    }
    mlog__platform_lock(&c->lock);
    *c->last = to;
    c->last = &to->next;
    mlog__platform_unlock(&c->lock);
    return true;
}

static size_t mlog__capture_count(mlog_capture *c, const mlog_filter *filter) {
    size_t n = 0;
    mlog__platform_lock(&c->lock);
    for (const mlog__captured *r = c->first; r != NULL; r = r->next)
        n += filter == NULL || mlog_filter_match(filter, &r->record);
    mlog__platform_unlock(&c->lock);
    return n;
}

/* The text of all, a line each; it lives until the next call. NULL: no memory. */
static const char *mlog__capture_text(mlog_capture *c) {
    size_t bytes = 1;
    mlog__platform_lock(&c->lock);
    for (const mlog__captured *r = c->first; r != NULL; r = r->next) bytes += r->record.text_len + 1;
    free(c->text);
    char *p = c->text = malloc(bytes);
    for (const mlog__captured *r = c->first; r != NULL && c->text != NULL; r = r->next) {
        memcpy(p, r->record.text, r->record.text_len);
        p += r->record.text_len;
        *p++ = '\n';
    }
    if (p != NULL) *p = 0;
    mlog__platform_unlock(&c->lock);
    return c->text;
}

static void mlog__capture_free(mlog_capture *c) {
    for (mlog__captured *r = c->first; r != NULL;) {
        mlog__captured *next = r->next;
        free(r);
        r = next;
    }
    mlog__platform_lock_end(&c->lock);
    free(c->text);
    free(c);
}

/* ==== flush ====
 * The flusher: a pass takes a moment W, lets every call that may be older finish, reads all heads, and hands each sink what lies
 * between its position and there, merged by time. Lane 0 (the flusher's thread) serves files and consoles, lane 1 the callbacks.
 *
 *   FLUSH-1  caller: store-release of head, then a relaxed load of `asleep`, no fence
 *            flusher: asleep = 1, membarrier (a full barrier in every running thread), then all heads again
 *            So either the caller's load sees 1 and wakes, or the barrier came after its store and the flusher sees the head. A
 *            thread that was not running then passes a full barrier when it is scheduled. Without membarrier it naps instead.
 *   FLUSH-2  flusher: store-release of done       waiter: load-acquire                what was logged before is with the sinks
 *   FLUSH-12 who made a pass: turn + 1, then turn_waiters      who found another at it: turn, trylock; waiters + 1, wait(turn)
 *            All sequentially consistent: one of them sees the other.
 *
 * With MLOG_POLL, MLOG_DIRECT, or where no thread can be made, passes over both lanes are made by those who call.
 *
 * owns: lanes, passes, merging, sleep, positions of sinks, the release of rings
 * may call: store platform clock record dict rule context ring thread text format filter pattern binary sink capture
 */

typedef struct { const mlog__ring *ring; uint32_t number; uint64_t pos, end, ticks; } mlog__source;

static struct {
    mlog_sink sink[MLOG__SINKS];
    mlog__lock role;                /* held by a pass: who changes sinks takes it */
    mlog__lock lane1;               /* held while lane 1 runs callbacks' batches */
    uint32_t running0, running1;
    uint32_t mode, generation;      /* mlog_flusher; threads of an earlier generation end */
    uint32_t turn, turn_waiters;    /* futex word: a pass by a caller is over */
    uint32_t overdue;               /* MLOG_DIRECT: a deadline has expired, and not everything is out since */
    uint32_t ready;                 /* the lanes' memory is there */
    const void *poller;             /* MLOG_POLL: the thread that polled last, by an address of its own */
    uint32_t kick0, kick1;          /* futex words: something to do */
    uint32_t wanted, done0, done1;  /* tickets of mlog_flush */
    uint32_t complete;              /* the last pass left nothing behind in lane 0 */
    uint32_t reopen, exiting;
    const void *closer;             /* when mlog__ring_all.closed: the only thread that still writes */
    uint64_t head[MLOG__RINGS];     /* snapshot of the pass */
    uint64_t told[MLOG__RINGS];     /* tails of which waiting owners were told */
    mlog__u64 counted_at[MLOG__RINGS]; /* heads of the last pass, and the bytes before them */
    uint64_t counted_bytes;
    uint64_t tallied[MLOG__RINGS];  /* records before it are in `counted`: the first sink that reads on counts them */
    uint64_t counted;
    uint64_t handed[2][MLOG__RINGS]; /* by lane, what sinks that are gone have written: not for their successors */
    uint64_t stuck[MLOG__SLOTS];    /* head + 1 of a call that was waited for in vain */
    uint64_t context_head[MLOG__RINGS];
    uint32_t context_rings; /* as many of them count */
    mlog__desk desk[2];
    mlog__source *merge[2];
    int64_t work_bytes;
    bool later;                     /* this pass left records that are younger than it, or held some back */
    bool crowded;                   /* a ring is more than half full: nothing is held back */
    uint32_t held0, held1;          /* a sink of this lane holds something back */
} mlog__flush_all = {.role = MLOG__LOCK_FREE, .lane1 = MLOG__LOCK_FREE};

MLOG__TLS uint8_t mlog__flush_lane; /* 1, 2: this is the thread of lane 0, 1 */
MLOG__TLS uint8_t mlog__flush_mine; /* this thread makes a pass: a callback on top of it must not begin another */

#ifndef METALOG_NO_THREADS
static int mlog__flush_linger = 100; /* naps of a millisecond before a deep sleep; tests have none */
#endif

static bool mlog__flush_here(uint64_t most);
static void mlog__flush_release(uint32_t rings, bool last);
static bool mlog__flush_pass1(void);

/* May this thread make a pass? Not in a vfork child, not on top of a pass or of a lock that a pass takes. */
static bool mlog__flush_may_drain(void) {
    if (mlog__flush_mine || mlog__ring_never_wait) return false;
    /* LIFE-3 */
    if (__atomic_load_n(&mlog__ring_all.closed, __ATOMIC_ACQUIRE) && mlog__flush_all.closer != &mlog__flush_mine) return false;
    return !mlog__platform_borrowed();
}

/* The same for what is legal in a handler, where it only commits. */
static bool mlog__flush_may_help(void) { return mlog__flush_may_drain() && !mlog__platform_in_handler(false); }

/* A wake-up where there is no flusher's thread. */
static void mlog__flush_unattended(void) {
    uint32_t mode = __atomic_load_n(&mlog__flush_all.mode, __ATOMIC_RELAXED), one = 1; /* FLUSH-15 */
    uint32_t then = mode == MLOG_POLL ? 0 : mode == MLOG_DIRECT ? 3 : 1;
    __atomic_compare_exchange_n(&mlog__ring_all.asleep, &one, then, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); /* FLUSH-1 */
    if (mode == MLOG_DIRECT) mlog__flush_see_out();
    else if (mode != MLOG_POLL && mlog__flush_may_help()) (void)mlog__flush_here(0);
}

/* [s] For a call that finds its ring full: wakes the flusher; without one, makes a pass itself, unless the program polls elsewhere. */
static void mlog__flush_make_room(void) {
    const void *poller = __atomic_load_n(&mlog__flush_all.poller, __ATOMIC_RELAXED); /* FLUSH-15 */
    if (!__atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED)) { /* FLUSH-13 */
        mlog__flush_wake();
        return;
    }
    bool elsewhere = poller != NULL && poller != &mlog__flush_mine;
    if (__atomic_load_n(&mlog__flush_all.mode, __ATOMIC_RELAXED) == MLOG_POLL && elsewhere) return; /* FLUSH-15 */
    if (mlog__flush_may_help()) (void)mlog__flush_here(0);
}

/* [s] Wakes the flusher, starts it when there is none (not in a handler: the next call does it then). */
static void mlog__flush_wake(void) {
    bool up = mlog__life_running() && __atomic_load_n(&mlog__flush_all.running0, __ATOMIC_RELAXED); /* FLUSH-3 */
    if (!up) {
        if (mlog__platform_in_handler(true) || !mlog__life_start()) return;
        if (!__atomic_load_n(&mlog__flush_all.running0, __ATOMIC_RELAXED)) { /* FLUSH-3 */
            mlog__flush_unattended();
            return;
        }
    }
    uint32_t one = 1;
    __atomic_compare_exchange_n(&mlog__ring_all.asleep, &one, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); /* FLUSH-1 */
    __atomic_fetch_add(&mlog__flush_all.kick0, 1, __ATOMIC_SEQ_CST); /* FLUSH-4 */
    mlog__platform_wake(&mlog__flush_all.kick0);
}

/* Lane 1 sleeps without a timeout; lane 0 tells it that there is something new. */
static void mlog__flush_kick1(void) {
    __atomic_fetch_add(&mlog__flush_all.kick1, 1, __ATOMIC_SEQ_CST); /* FLUSH-4 */
    mlog__platform_wake(&mlog__flush_all.kick1);
}

static uint32_t mlog__flush_rings(void) { return __atomic_load_n(&mlog__ring_all.count, __ATOMIC_ACQUIRE); } /* THREAD-7 */

static mlog__ring *mlog__flush_ring(uint32_t i) { return __atomic_load_n(&mlog__ring_list[i], __ATOMIC_ACQUIRE); } /* THREAD-7 */

/* -- walking and merging -- */

/* Moves past padding and reads the time of the next record. False: nothing left. */
static inline bool mlog__flush_peek(mlog__source *s) {
    while (s->pos < s->end) {
        const unsigned char *p = s->ring->data + (s->pos & (s->ring->bytes - 1));
        uint64_t words[2];
        memcpy(words, p, 8);
        uint64_t bytes = mlog__record_bytes(words[0]);
        if (MLOG__UNLIKELY(bytes == 0 || bytes > s->end - s->pos)) { /* never from us; damage from outside ends here */
            s->pos = s->end;
            return false;
        }
        if (MLOG__LIKELY(mlog__record_site(words[0]) != MLOG__S_PAD)) {
            memcpy(words, p + 8, 8);
            s->ticks = words[0];
            return true;
        }
        s->pos += bytes;
    }
    return false;
}

/* Records (not padding, not reports of losses) between two positions. */
static uint64_t mlog__flush_count(const mlog__ring *r, uint64_t from, uint64_t to) {
    mlog__source s = {r, 0, from, to, 0};
    uint64_t n = 0;
    while (mlog__flush_peek(&s)) {
        const unsigned char *p = r->data + (s.pos & (r->bytes - 1));
        uint64_t header;
        memcpy(&header, p, 8);
        s.pos += mlog__record_bytes(header);
        n += mlog__record_site(header) != MLOG__S_LOSS;
    }
    return n;
}

/* Collects the rings that have something for a sink, up to the snapshot. */
static uint32_t mlog__flush_collect(mlog__source *list, const uint64_t *next, const uint64_t *head, uint32_t rings) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < rings; i++) {
        if (next[i] >= head[i]) continue;
        list[n] = (mlog__source){mlog__flush_ring(i), i, next[i], head[i], 0};
        if (list[n].ring != NULL && mlog__flush_peek(&list[n])) n++;
    }
    return n;
}

/* Counts what no sink has read. */
static void mlog__flush_tally(uint32_t i, const mlog__ring *r, uint64_t to) {
    uint64_t *from = &mlog__flush_all.tallied[i];
    if (MLOG__LIKELY(*from >= to)) return;
    mlog__flush_all.counted += mlog__flush_count(r, *from, to);
    *from = to;
}

/* What a lane does with one record. False: stop before it, the batch is full. */
typedef bool (*mlog__flush_each)(mlog_sink *s, const mlog__source *from, const unsigned char *record, uint64_t header,
                                 uint64_t now);

/* Has the sink taken what mlog_poll allows in one call? */
static bool mlog__flush_cut(const mlog_sink *s) { return MLOG__UNLIKELY(s->most != 0) && s->taken >= s->most; }

/* For a binary sink: records that are just more of the same, up to these ticks, in one go. False: the next one is not. */
static bool mlog__flush_skim(mlog_sink *s, mlog__source *f, uint64_t most) {
    const mlog__ring *r = f->ring;
    uint64_t offset = f->pos & (r->bytes - 1), all = MLOG__MIN(f->end - f->pos, r->bytes - offset), n = 0;
    size_t bytes = mlog__binary_more(s->binary, r->data + offset, (size_t)all, most, &n);
    if (n == 0) return false;
    if (f->pos >= mlog__flush_all.tallied[f->number]) {
        mlog__flush_all.tallied[f->number] = f->pos + bytes;
        mlog__flush_all.counted += n;
    } else {
        mlog__flush_tally(f->number, r, f->pos + bytes);
    }
    s->taken += n;
    s->in_written += n;
    f->pos += bytes;
    return true;
}

/* Hands on records in the order of their times, those not after `now`; positions in next[] follow. tally: by lane 0, which counts
 * what it meets first. raw: for a binary sink. True: all that there was. */
MLOG__INLINE bool mlog__flush_merge(mlog_sink *s, mlog__source *list, uint32_t n, uint64_t now, mlog__flush_each each, bool tally, bool raw) {
    bool all = true;
    /* it may begin beyond what a stuck sink, or one of lane 1, has not read yet */
    for (uint32_t i = 0; tally && i < n; i++) mlog__flush_tally(list[i].number, list[i].ring, list[i].pos);
    while (n > 0) {
        uint32_t first = 0;
        uint64_t second = UINT64_MAX;
        for (uint32_t i = 1; i < n; i++) {
            if (list[i].ticks < list[first].ticks) second = list[first].ticks, first = i;
            else if (list[i].ticks < second) second = list[i].ticks;
        }
        mlog__source *f = &list[first];
        if (f->ticks > now) return false;
        bool more;
        do {
            if (raw && s->most == 0 && mlog__flush_skim(s, f, MLOG__MIN(second, now))) {
                more = mlog__flush_peek(f);
                s->next[f->number] = f->pos;
                continue;
            }
            const unsigned char *p = f->ring->data + (f->pos & (f->ring->bytes - 1));
            uint64_t header;
            memcpy(&header, p, 8);
            if (mlog__flush_cut(s) || !each(s, f, p, header, now)) return false;
            s->taken++;
            uint64_t *tallied = &mlog__flush_all.tallied[f->number], end = f->pos + mlog__record_bytes(header);
            if (tally && f->pos >= *tallied) {
                *tallied = end;
                mlog__flush_all.counted += mlog__record_site(header) != MLOG__S_LOSS;
            }
            f->pos = end;
            more = mlog__flush_peek(f);
            s->next[f->number] = f->pos;
        } while (more && f->ticks <= second && f->ticks <= now);
        if (more && f->ticks > now) all = false;
        if (!more || f->ticks > now) list[first] = list[--n];
    }
    return all;
}

/* Is the batch to go out now? Once it is, it stays so until it is out. */
static bool mlog__flush_due(mlog_sink *s, bool wanted) {
    int64_t now = s->hold_ms == 0 ? 0 : mlog__platform_clock(CLOCK_MONOTONIC);
    if (s->held_since == 0) s->held_since = now;
    if (s->hold_ms == 0 || wanted || s->urgent || s->in_written >= (uint64_t)s->hold_records ||
        s->out.len >= MLOG__MIN(s->batch, (size_t)MLOG__BATCH / 4) || now - s->held_since >= (int64_t)s->hold_ms * 1000000)
        s->armed = true;
    return s->armed;
}

/* -- lane 0: text -- */

/* Time, thread and id of a record; times never run backwards. */
static void mlog__flush_begin(mlog_sink *s, mlog__item *it, const mlog__source *from, uint64_t header, uint64_t now) {
    uint64_t ticks = from->ticks != 0 ? from->ticks : now != UINT64_MAX ? now : s->last_ticks; /* a test's clock may begin at 0 */
    it->header = header;
    it->late = ticks < s->last_ticks;
    if (!it->late) s->last_ticks = ticks;
    it->time = it->call_time = mlog__life_utc(s->desk, ticks);
    if (MLOG__UNLIKELY(it->late)) __atomic_store_n(&s->late, s->late + 1, __ATOMIC_RELAXED); /* FLUSH-5: statistics look at it */
    if (MLOG__UNLIKELY(it->time < s->last_time)) {
        if (s->last_time - it->time > 1000000) it->late = true; /* UTC was set back: ts waits, ts_call is true */
        it->time = s->last_time;
    }
    it->id = (uint64_t)from->number << 48 | from->pos / 8;
}

static inline void mlog__flush_owner(mlog__desk *desk, mlog__item *it, const mlog__ring *r) {
    uint64_t name[4];
    mlog__ring_get_name(r, name);
    mlog__format_owner(desk, it, r->tid, name);
}

/* A given time is the record's own; it takes no part in the order. */
static void mlog__flush_end(mlog_sink *s, mlog__item *it) {
    if (it->header & MLOG__F_TIME) it->late = false;
    else s->last_time = it->time;
}

/* One record in the sink's format. */
static bool mlog__flush_text(mlog_sink *s, mlog__item *it, mlog__buffer *b) {
    switch (s->config.format) {
    case MLOG_PRETTY: return mlog__format_pretty(b, s->desk, it, s->color, s->utc);
    case MLOG_PLAIN: return mlog__format_brief(b, s->desk, it, s->color);
    case MLOG_LOGFMT: return mlog__format_logfmt(b, s->desk, it, s->console);
    case MLOG_PATTERN: return mlog__pattern_line(s->pattern, b, s->desk, it, s->utc);
    default: return mlog__format_json(b, s->desk, it);
    }
}

/* Does the sink's filter take a record, whose thread is known? Asked before its time is: what is not written takes no part in the
 * order. A given time is read again behind that. */
static bool mlog__flush_wanted(mlog_sink *s, mlog__item *it, const unsigned char *record, uint64_t header) {
    it->header = header;
    it->decoded = it->rendered = false;
    if (s->filter == NULL) return true;
    bool wanted = mlog__filter_item(s->filter, it, s->desk, record);
    if (header & MLOG__F_TIME) it->decoded = it->rendered = false;
    return wanted;
}

/* What the filter has left to do. False: the bytes are not sound. */
static bool mlog__flush_decode(mlog_sink *s, mlog__item *it, const unsigned char *record) {
    if (!it->decoded && !mlog__format_decode(it, s->desk, record)) return false;
    if (!it->rendered) mlog__format_message(it, s->desk);
    return true;
}

typedef struct { mlog_record record; mlog_field field[MLOG__FIELDS]; char number[24]; } mlog__open_record;

/* A decoded record as users see it, with its text in the sink's format. It lives until the desk decodes the next. False: no memory. */
static bool mlog__flush_open(mlog_sink *s, mlog__item *it, mlog__open_record *o) {
    mlog__buffer *v = &s->desk->values;
    mlog__out list[MLOG__FIELDS];
    v->len = 0;
    if (!mlog__format_room(v, 3 * mlog__format_bound(it) + 1024)) return false;
    uint32_t n = mlog__format_list(it, s->desk, list);
    for (uint32_t i = 0; i < n; i++) o->field[i].key = list[i].key, o->field[i].value = mlog__format_to_value(&list[i].val, v);
    char *p = v->p + v->len;
    p = mlog__format_put(p, it->file == NULL ? "" : it->file, it->file_len);
    *p++ = 0;
    char *source = p;
    p = mlog__format_put(p, it->source, it->source_len);
    *p++ = 0;
    char *msg = p;
    p = mlog__format_put(p, it->msg, it->msg_len);
    *p++ = 0;
    *mlog__text_u64(o->number, it->tid) = 0;
    o->record = (mlog_record){.time = it->time, .id = {s->desk->session->id, it->id}, .level = it->level, .tid = it->tid,
                              .source = source, .thread = it->thread_len ? it->thread : o->number, .msg = msg,
                              .msg_len = it->msg_len, .at = {v->p + v->len, it->func == NULL ? "" : it->func, (int)it->line},
                              .fields = o->field, .nfields = n};
    mlog__buffer *text = &s->desk->text;
    text->len = 0;
    if (!mlog__flush_text(s, it, text)) return false;
    o->record.text = text->p;
    o->record.text_len = text->len - 1; /* without the newline */
    text->p[o->record.text_len] = 0;
    return true;
}

/* One record to where the sink's records of lane 0 go: into its batch, or to the test that captures. */
static bool mlog__flush_put(mlog_sink *s, mlog__item *it) {
    if (MLOG__LIKELY(s->capture == NULL)) return mlog__flush_text(s, it, &s->out);
    mlog__open_record open;
    return mlog__flush_open(s, it, &open) && mlog__capture_add(s->capture, &open.record);
}

/* A sink for errors is not told of lost debug records. */
static bool mlog__flush_loss_counts(const mlog_sink *s, const uint64_t *words, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        if ((int)(words[i] & 255) >= s->config.level) return true;
    return false;
}

/* The commonest record, of a plain site, in time, for a sink without filter. False: it takes the long way, nothing has changed. */
MLOG__INLINE bool mlog__flush_straight(mlog_sink *s, const mlog__source *from, const unsigned char *record, uint64_t header) {
    uint32_t site = mlog__record_site(header);
    if ((header & ~MLOG__F_CONTEXT) >> 52 != 0 || site < MLOG__FIRST_SITE || from->ticks < s->last_ticks || from->ticks == 0) return false;
    const mlog__info *info = mlog__format_info(s->desk, site);
    if (info == NULL || info->straight == 0 || info->e->level < s->config.level) return false;
    mlog__item it;
    it.time = mlog__life_utc(s->desk, from->ticks);
    if (it.time < s->last_time) return false;
    it.header = header;
    mlog__flush_owner(s->desk, &it, from->ring);
    int done = s->straight == 1 ? mlog__format_straight(&s->out, s->desk, info, &it, record, false)
                                : mlog__format_straight(&s->out, s->desk, info, &it, record, true);
    if (done == 0) return false;
    s->last_ticks = from->ticks;
    s->last_time = it.time;
    if (MLOG__UNLIKELY(info->e->level >= s->hold_level)) s->urgent = true;
    if (MLOG__LIKELY(done > 0)) s->in_written++;
    else s->in_lost++, s->errors++;
    return true;
}

/* One record to text, for lane 0: filter first, decode only what is wanted. */
static bool mlog__flush_line(mlog_sink *s, const mlog__source *from, const unsigned char *record, uint64_t header, uint64_t now) {
    mlog__item it;
    if (s->out.len >= s->batch) return false;
    if (MLOG__LIKELY(s->straight != 0) && mlog__flush_straight(s, from, record, header)) return true;
    if (MLOG__UNLIKELY(mlog__record_site(header) == MLOG__S_LOSS)) {
        uint64_t n = mlog__record_bytes(header) / 8 - 2;
        mlog__flush_begin(s, &it, from, header, now);
        mlog__flush_owner(s->desk, &it, from->ring);
        it.lost = (const uint64_t *)(const void *)(record + 16);
        if (!mlog__flush_loss_counts(s, it.lost, n)) return true;
        mlog__format_loss(&it, (uint32_t)n);
        (void)mlog__flush_put(s, &it);
        mlog__flush_end(s, &it);
        return true;
    }
    if (s->config.level > 0 && mlog__format_level(s->desk, record, header) < s->config.level) {
        s->in_filtered++;
        return true;
    }
    mlog__flush_owner(s->desk, &it, from->ring);
    if (!mlog__flush_wanted(s, &it, record, header)) {
        s->in_filtered++;
        return true;
    }
    mlog__flush_begin(s, &it, from, header, now);
    bool sound = mlog__flush_decode(s, &it, record) && mlog__flush_put(s, &it);
    mlog__flush_end(s, &it);
    if (MLOG__UNLIKELY(it.level >= s->hold_level)) s->urgent = true;
    if (MLOG__LIKELY(sound)) s->in_written++;
    else s->in_lost++, s->errors++;
    return true;
}

/* A warning of our own, into the stream. error: a field of it, or NULL. */
static void mlog__flush_warn(mlog_sink *s, const char *msg, const char *error) {
    if (s->binary != NULL) return; /* it has no text */
    mlog__item it = {.header = MLOG__S_LOSS | UINT64_C(4) << 32, .time = s->last_time, .tid = mlog__platform_tid()};
    if (it.time == 0) it.time = mlog__platform_clock(CLOCK_REALTIME);
    mlog__format_loss(&it, 0);
    it.fields = error != NULL;
    if (error != NULL) it.field[0] = (mlog__out){"error", 5, {.kind = MLOG_K_TEXT, .len = (uint32_t)strlen(error), .as.p = error}};
    it.msg = msg;
    it.msg_len = (uint32_t)strlen(msg);
    (void)mlog__flush_put(s, &it);
}

/* -- lane 0: binary -- */

/* Notes that must stand before a record with these ticks. False: no memory. */
static bool mlog__flush_raw_notes(mlog_sink *s, uint64_t ticks, uint64_t now, int64_t *time) {
    mlog__clock_view given = {.until = UINT64_MAX, .rate = INT64_C(1) << 40};
    *time = mlog__life_utc(s->desk, ticks);
    /* LIFE-2 */
    bool is_given = __atomic_load_n(&s->desk->session->clock_mode, __ATOMIC_RELAXED) == MLOG__TICKS_GIVEN;
    return mlog__binary_line(s->binary, &s->out, is_given ? &given : &s->desk->clock, now == UINT64_MAX ? 0 : now);
}

/* A record with all that it needs. False: the file cannot have it. */
static bool mlog__flush_raw_put(mlog_sink *s, const mlog__source *from, const uint64_t name[4], const unsigned char *record,
                                uint64_t header, uint64_t ticks, uint64_t now, bool slow) {
    mlog__binary *b = s->binary;
    int64_t time;
    if (!mlog__binary_open(b, &s->out, s->desk->session)) return false;
    if (!mlog__binary_explain(b, &s->out, s->desk->session, record, header, slow)) return false;
    if (!mlog__flush_raw_notes(s, ticks, now, &time)) return false;
    if (!mlog__binary_owner(b, &s->out, from->number, from->pos, from->ring->tid, name)) return false;
    if (header & MLOG__F_TIME)
        memcpy(&time, record + 16 + 8 * (size_t)mlog__record_options(header & (MLOG__F_CONTEXT | MLOG__F_BOUND | MLOG__F_TO)), 8);
    return mlog__binary_record(b, &s->out, record, header, time, ticks);
}

/* One record to a binary batch: filter, level, definitions, order. More of the same are skimmed. */
static bool mlog__flush_raw(mlog_sink *s, const mlog__source *from, const unsigned char *record, uint64_t header, uint64_t now) {
    uint64_t ticks = from->ticks == 0 && now != UINT64_MAX ? now : from->ticks;
    mlog__binary *b = s->binary;
    mlog__item it;
    uint64_t name[4];
    mlog__ring_get_name(from->ring, name);
    if (s->filter == NULL && mlog__binary_resume(b, &s->out, from->number, from->pos, from->ring->tid, name, record, header, ticks))
        return s->in_written++, true;
    bool loss = mlog__record_site(header) == MLOG__S_LOSS;
    size_t taken = s->out.len + b->run_bytes, bytes = (size_t)mlog__record_bytes(header);
    if (taken != 0 && taken + bytes >= MLOG__BATCH - MLOG__PAGE) return false;
    if (loss && !mlog__flush_loss_counts(s, (const uint64_t *)(const void *)(record + 16), bytes / 8 - 2)) return true;
    int level = loss ? MLOG_WARN : mlog__format_level(s->desk, record, header);
    if (!loss && level < s->config.level) return s->in_filtered++, true;
    if (!loss && s->filter != NULL) {
        mlog__flush_owner(s->desk, &it, from->ring);
        if (!mlog__flush_wanted(s, &it, record, header)) return s->in_filtered++, true;
    }
    bool late = ticks < b->last_ticks, urgent = !loss && level >= s->hold_level;
    if (!mlog__flush_raw_put(s, from, name, record, header, ticks, now, urgent || level < s->config.level)) {
        s->in_lost += !loss;
        s->errors += !loss;
        return true;
    }
    if (s->filter != NULL) b->room = 0; /* the next one is asked for, too */
    if (late) __atomic_store_n(&s->late, s->late + 1, __ATOMIC_RELAXED); /* FLUSH-5 */
    if (urgent) s->urgent = true;
    s->in_written += !loss;
    return true;
}

/* The block of a batch begins, and ends, with the order of the sink's records. */
static void mlog__flush_raw_begin(mlog_sink *s) {
    s->binary->last_ticks = s->last_ticks;
    s->binary->last_time = s->last_time;
}

static void mlog__flush_raw_end(mlog_sink *s) {
    mlog__binary_close(s->binary, &s->out);
    s->last_ticks = s->binary->last_ticks;
    s->last_time = s->binary->last_time;
}

/* A report of ours, with the time as if it was given. */
static void mlog__flush_raw_tell(mlog_sink *s, const uint64_t *words, uint32_t n, int64_t time, bool skipped) {
    uint64_t record[3 + 26], no_name[4] = {0}, flags = MLOG__F_TIME | (skipped ? MLOG__F_FIELDS : 0);
    mlog__binary *b = s->binary;
    int64_t unused;
    record[0] = mlog__record_header(MLOG__S_LOSS, 3 + n, flags);
    record[1] = s->last_ticks;
    record[2] = (uint64_t)time;
    memcpy(record + 3, words, 8 * (size_t)n);
    mlog__flush_raw_begin(s);
    if (mlog__binary_open(b, &s->out, s->desk->session) && mlog__flush_raw_notes(s, s->last_ticks, 0, &unused) &&
        mlog__binary_owner(b, &s->out, 0, 0, mlog__platform_tid(), no_name))
        (void)mlog__binary_record(b, &s->out, (const unsigned char *)record, record[0], time, s->last_ticks);
    mlog__flush_raw_end(s);
}

static const char mlog__flush_skipped[] = "records skipped: this sink was too slow";

/* What this sink skipped, or what a thread lost and never came back to tell. */
static void mlog__flush_tell(mlog_sink *s, uint64_t counts[26], const char *msg) {
    uint64_t words[26];
    uint32_t n = 0;
    for (uint64_t i = 0; i < 26; i++) {
        if (counts[i] != 0) words[n++] = i | counts[i] << 8;
        counts[i] = 0;
    }
    mlog__item it = {
        .header = MLOG__S_LOSS | UINT64_C(4) << 32, .time = s->last_time, .tid = mlog__platform_tid(), .lost = words};
    if (n == 0 || !mlog__flush_loss_counts(s, words, n)) return;
    if (it.time == 0) it.time = mlog__platform_clock(CLOCK_REALTIME);
    if (s->binary != NULL) {
        mlog__flush_raw_tell(s, words, n, it.time, msg == mlog__flush_skipped);
        return;
    }
    mlog__format_loss(&it, n);
    it.msg = msg;
    it.msg_len = (uint32_t)strlen(msg);
    (void)mlog__flush_put(s, &it);
}

/* A file that is not rotated says so itself: nobody asks mlog_why() in this thread. */
static void mlog__flush_complain(mlog_sink *s) {
    if (s->config.level <= MLOG_WARN) mlog__flush_warn(s, "log file not rotated", mlog_why());
}

/* What a batch needs to know once. */
static uint8_t mlog__flush_goes_straight(const mlog_sink *s) {
    if (s->desk->foreign) return 0;
    if (s->filter != NULL || s->capture != NULL) return 0;
    return s->config.format == MLOG_JSON ? 1 : s->config.format == MLOG_LOGFMT && !s->console ? 2 : 0;
}

/* The same for a binary sink: one block, of what there is and fits. */
static bool mlog__flush_raws(mlog_sink *s, uint32_t n, uint64_t now) {
    mlog__flush_raw_begin(s);
    bool all = mlog__flush_merge(s, mlog__flush_all.merge[0], n, now, mlog__flush_raw, true, true);
    mlog__flush_raw_end(s);
    return all;
}

/* Batches of one sink until it has all of the snapshot (true), or cannot go on. wanted: nothing is held back. */
static bool mlog__flush_sink(mlog_sink *s, uint32_t rings, uint64_t now, bool wanted) {
    for (;;) {
        if (s->dead) {
            mlog__sink_give_up(s, rings);
            for (uint32_t i = 0; i < rings; i++) {
                if (s->next[i] >= mlog__flush_all.head[i]) continue;
                s->lost += mlog__flush_count(mlog__flush_ring(i), s->next[i], mlog__flush_all.head[i]);
                s->next[i] = s->done[i] = mlog__flush_all.head[i];
            }
            return true;
        }
        if (s->out.len == 0 || !s->armed) {
            if (MLOG__UNLIKELY(__atomic_load_n(&mlog__store.refused, __ATOMIC_RELAXED) == 1)) { /* STORE-2 */
                __atomic_store_n(&mlog__store.refused, 2, __ATOMIC_RELAXED); /* STORE-2 */
                mlog__flush_warn(s, "crash_safe: no room for a ring file: this thread's records die with the process", NULL);
            }
            if (s->gaps != 0 && s->out.len == 0) mlog__flush_tell(s, s->gap, mlog__flush_skipped), s->gaps = 0;
            size_t before = s->out.len;
            s->straight = mlog__flush_goes_straight(s);
            uint32_t n = mlog__flush_collect(mlog__flush_all.merge[0], s->next, mlog__flush_all.head, rings);
            bool all = s->binary != NULL ? mlog__flush_raws(s, n, now)
                                         : mlog__flush_merge(s, mlog__flush_all.merge[0], n, now, mlog__flush_line, true, false);
            mlog__flush_all.work_bytes += (int64_t)(s->out.len - before);
            if (all && s->out.len == 0) {
                for (uint32_t i = 0; i < rings; i++)
                    s->next[i] = MLOG__MAX(s->next[i], mlog__flush_all.head[i]); /* padding at the end */
                mlog__sink_commit(s, rings);
                return true;
            }
            if (s->out.len == 0 && s->in_filtered == 0 && s->in_lost == 0) { /* all lies after `now`: nobody waits for that yet */
                mlog__flush_all.later = true;
                return !mlog__flush_cut(s);
            }
            if (s->out.len != 0 && !mlog__flush_due(s, wanted || mlog__flush_all.crowded)) {
                mlog__flush_all.later = true;
                return true;
            }
            if (!mlog__sink_turn(s, false)) mlog__flush_complain(s);
        }
        if (s->config.type == MLOG_NULL) s->bytes += s->out.len;
        else if (mlog__sink_write(s, rings) == 0) {
            if (s->dead) continue;
            return false;
        }
        mlog__sink_commit(s, rings);
        mlog__flush_release(rings, false);
        if (s->reopen) s->reopen = false, (void)mlog__sink_renew(s, mlog__sink_ours(s));
    }
}

/* -- lane 1: callbacks -- */

/* A record is copied out of its ring, so that a slow callback holds nothing: what the ring knows of it, then its bytes. why: it is
 * a report of our own, 0: none. over: passed over and counted as such, also when the batch is offered again. */
typedef struct { uint64_t ring, pos, ticks, now; uint32_t tid; uint16_t why, over; uint64_t thread[4]; } mlog__stashed;

enum { MLOG__W_SKIPPED = 1, MLOG__W_DROPPED };

static bool mlog__flush_stash(mlog_sink *s, const mlog__source *from, const unsigned char *record, uint64_t header,
                              uint64_t now) {
    uint64_t bytes = mlog__record_bytes(header);
    mlog__stashed head = {.ring = from->number, .pos = from->pos, .ticks = from->ticks, .now = now};
    if (s->out.len != 0 && s->out.len + bytes > MLOG__BATCH / 4) return s->armed = true, false;
    if (mlog__record_site(header) != MLOG__S_LOSS && s->config.level > 0 &&
        mlog__format_level(s->desk, record, header) < s->config.level) {
        s->in_filtered++;
        return true;
    }
    if (!mlog__format_room(&s->out, sizeof head + (size_t)bytes)) return false;
    if (from->ring != NULL) { /* now: by the time of the call the ring may belong to another thread */
        head.tid = from->ring->tid;
        mlog__ring_get_name(from->ring, head.thread);
    } else {
        head.why = (uint16_t)from->number;
        head.ring = 0;
        head.tid = mlog__platform_tid();
    }
    memcpy(s->out.p + s->out.len, &head, sizeof head);
    memcpy(s->out.p + s->out.len + sizeof head, record, (size_t)bytes);
    s->out.len += sizeof head + (size_t)bytes;
    if (mlog__record_site(header) == MLOG__S_LOSS) return true;
    if (mlog__format_level(s->desk, record, header) >= s->hold_level) s->urgent = true;
    s->in_written++;
    return true;
}

/* What this sink was too slow for goes into its stream, as a report that looks like those in the rings. */
static void mlog__flush_stash_report(mlog_sink *s, uint64_t now, uint64_t counts[26], uint32_t why) {
    uint64_t words[2 + 26] = {0, now == UINT64_MAX ? s->last_ticks : now}, n = 2;
    for (uint64_t i = 0; i < 26; i++) {
        if (counts[i] != 0 && (int)i >= s->config.level) words[n++] = i | counts[i] << 8;
        counts[i] = 0;
    }
    words[0] = mlog__record_header(MLOG__S_LOSS, n, 0);
    const mlog__source from = {NULL, why, 0, 0, words[1]};
    if (n > 2) (void)mlog__flush_stash(s, &from, (const unsigned char *)words, words[0], now);
}

/* Decodes one stashed record. 1: the user shall have it; 0: the filter does not take it; -1: its bytes are not sound. */
static int mlog__flush_unstash(mlog_sink *s, mlog__item *it, const char *at) {
    uint64_t header;
    mlog__stashed head;
    memcpy(&head, at, sizeof head);
    memcpy(&header, at + sizeof head, 8);
    const mlog__source from = {NULL, (uint32_t)head.ring, head.pos, 0, head.ticks};
    const unsigned char *record = (const unsigned char *)at + sizeof head;
    bool loss = mlog__record_site(header) == MLOG__S_LOSS;
    mlog__format_owner(s->desk, it, head.tid, head.thread);
    if (!loss && !mlog__flush_wanted(s, it, record, header)) return 0;
    mlog__flush_begin(s, it, &from, header, head.now);
    if (!loss) return mlog__flush_decode(s, it, record) ? 1 : -1;
    it->lost = (const uint64_t *)(const void *)(record + 16);
    mlog__format_loss(it, (uint32_t)(mlog__record_bytes(header) / 8 - 2));
    if (head.why == MLOG__W_SKIPPED) it->msg = mlog__flush_skipped, it->msg_len = sizeof mlog__flush_skipped - 1;
    return 1;
}

/* A stashed record that the user does not get, because of the filter or because it is not sound. */
static void mlog__flush_pass_over(mlog_sink *s, char *at, bool sound) {
    mlog__stashed head;
    memcpy(&head, at, sizeof head);
    head.over = 1;
    memcpy(at, &head, sizeof head);
    mlog__platform_lock(&s->lock);
    s->in_written--;
    if (sound) s->in_filtered++;
    else s->in_lost++, s->errors++;
    mlog__platform_unlock(&s->lock);
}

/* Decodes one stashed record and calls the user, if the sink wants it. <0: stop. */
static int mlog__flush_call(mlog_sink *s, char *at) {
    mlog__item it;
    uint64_t last_ticks = s->last_ticks, late = s->late;
    int64_t last_time = s->last_time;
    mlog__stashed head;
    memcpy(&head, at, sizeof head);
    int found = head.over ? 0 : mlog__flush_unstash(s, &it, at);
    if (found <= 0) {
        if (!head.over) mlog__flush_pass_over(s, at, found == 0);
        return 0;
    }
    mlog__open_record open;
    int said = mlog__flush_open(s, &it, &open) ? s->config.write(s->config.user, &open.record) : -1;
    if (said >= 0) return mlog__flush_end(s, &it), said;
    s->last_ticks = last_ticks; /* it will be offered again */
    s->last_time = last_time;
    __atomic_store_n(&s->late, late, __ATOMIC_RELAXED); /* FLUSH-5 */
    return said;
}

/* Counters and positions of a callback sink are read by lane 0 and by statistics: its own lock is held while they change. */
static void mlog__flush_commit1(mlog_sink *s, uint32_t rings) {
    mlog__platform_lock(&s->lock);
    s->bytes += s->out.len;
    s->retry_at = 0;
    s->backoff_ms = 0;
    mlog__sink_commit(s, rings);
    mlog__platform_unlock(&s->lock);
}

static void mlog__flush_failed1(mlog_sink *s) {
    mlog__platform_lock(&s->lock);
    mlog__sink_failed(s);
    mlog__platform_unlock(&s->lock);
}

/* One batch of a callback sink: true when it made progress. What is held back may grow; its flush() decides about all of it. */
static bool mlog__flush_callbacks(mlog_sink *s, const uint64_t *head, uint32_t rings, uint64_t now, bool wanted) {
    if (s->retry_at != 0 && mlog__platform_clock(CLOCK_MONOTONIC) < s->retry_at) return false;
    if (s->sent == s->out.len && !s->armed) {
        mlog__platform_lock(&s->lock);
        if (s->gaps != 0) mlog__flush_stash_report(s, now, s->gap, MLOG__W_SKIPPED), s->gaps = 0;
        if (s->untold) mlog__flush_stash_report(s, now, s->drop, MLOG__W_DROPPED), s->untold = false;
        uint32_t n = mlog__flush_collect(mlog__flush_all.merge[1], s->next, head, rings);
        bool all = mlog__flush_merge(s, mlog__flush_all.merge[1], n, now, mlog__flush_stash, false, false);
        if (all && s->out.len == 0)
            for (uint32_t i = 0; i < rings; i++) s->next[i] = MLOG__MAX(s->next[i], head[i]);
        mlog__platform_unlock(&s->lock);
        if (s->out.len == 0) return mlog__flush_commit1(s, rings), false;
    }
    while (s->sent < s->out.len) {
        uint64_t header;
        /* FLUSH-7: somebody waits for the end of the callbacks */
        if (__atomic_load_n(&s->closing, __ATOMIC_RELAXED)) return false;
        memcpy(&header, s->out.p + s->sent + sizeof(mlog__stashed), 8);
        if (mlog__flush_call(s, s->out.p + s->sent) < 0) return mlog__flush_failed1(s), false;
        s->sent += sizeof(mlog__stashed) + (size_t)mlog__record_bytes(header);
    }
    mlog__platform_lock(&s->lock); /* lane 0 looks at what is held back */
    bool due = mlog__flush_due(s, wanted);
    mlog__platform_unlock(&s->lock);
    if (!due) return false;
    if (s->config.flush != NULL && s->config.flush(s->config.user) != 0) {
        s->sent = 0; /* not safe: the whole batch is offered again */
        return mlog__flush_failed1(s), false;
    }
    mlog__flush_commit1(s, rings);
    return true;
}

/* -- a pass -- */

/* Lets calls that are in the middle of a record finish, at most 10 ms in all; a call that is stuck is waited for once. */
static void mlog__flush_settle(void) {
    if (__atomic_load_n(&mlog__ring_all.live, __ATOMIC_RELAXED) < 2 || mlog__thread_all.pages == NULL) return; /* THREAD-6 */
    int left = 200;
    for (uint32_t slot = 1; slot * 2 < mlog__flush_rings(); slot++) {
        if (__atomic_load_n(&mlog__thread_all.state[slot], __ATOMIC_RELAXED) == MLOG__S_UNUSED) continue; /* THREAD-1 */
        mlog__thread *t = &mlog__thread_page(slot)->level[0];
        mlog__ring *r = mlog__flush_ring(2 * slot);
        if (r == NULL) continue;
        uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED); /* RING-1 */
        while (mlog__ring_writes(__atomic_load_n(&t->state, __ATOMIC_RELAXED)) && /* RING-3 */
               __atomic_load_n(&r->head, __ATOMIC_RELAXED) == head) { /* RING-3 */
            if (mlog__flush_all.stuck[slot] == head + 1) break;
            if (left-- <= 0) {
                mlog__flush_all.stuck[slot] = head + 1;
                break;
            }
            mlog__platform_nap(left > 190 ? 1000 : 50000);
        }
    }
}

/* Snapshot of all heads; counts what is new. True when there is anything that was not there before. */
static bool mlog__flush_snapshot(uint32_t rings) {
    bool more = false;
    mlog__flush_all.crowded = false;
    for (uint32_t i = 0; i < rings; i++) {
        mlog__ring *r = mlog__flush_ring(i);
        if (r == NULL) continue;
        uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE); /* RING-1 */
        mlog__flush_all.head[i] = head;
        if (head - r->tail > r->bytes / 2) mlog__flush_all.crowded = true;
        if (head == mlog__flush_all.counted_at[i]) continue;
        more = true;
        mlog__flush_all.counted_bytes += head - mlog__flush_all.counted_at[i];
        /* FLUSH-8: mlog__flush_pending looks without the lock */
        __atomic_store_n(&mlog__flush_all.counted_at[i], head, __ATOMIC_RELAXED);
    }
    return more;
}

/* The sink that holds although it is no file: the first console, when there is no file. */
static mlog_sink *mlog__flush_keeper(void) {
    mlog_sink *console = NULL;
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!s->used || s->dead) continue;
        if (s->holds) return NULL;
        if (console == NULL && !s->lane1) console = s;
    }
    return console;
}

/* By level, what the sink would have had of the records between two positions; returns how many it would not. Lane 0 asks. */
static uint64_t mlog__flush_count_wanted(const mlog_sink *s, const mlog__ring *r, uint64_t from, uint64_t to,
                                         uint64_t by_level[26]) {
    mlog__source at = {r, 0, from, to, 0};
    uint64_t unwanted = 0;
    while (mlog__flush_peek(&at)) {
        const unsigned char *p = r->data + (at.pos & (r->bytes - 1));
        mlog__item it;
        memcpy(&it.header, p, 8);
        at.pos += mlog__record_bytes(it.header);
        if (mlog__record_site(it.header) == MLOG__S_LOSS) continue;
        int level = mlog__format_level(&mlog__flush_all.desk[0], p, it.header);
        it.decoded = it.rendered = false;
        mlog__flush_owner(&mlog__flush_all.desk[0], &it, r);
        bool wanted = level >= s->config.level &&
                      (s->filter == NULL || mlog__filter_item(s->filter, &it, &mlog__flush_all.desk[0], p));
        if (wanted) by_level[MLOG__MIN((unsigned)level, 25u)]++;
        else unwanted++;
    }
    return unwanted;
}

/* A sink that does not hold and lags by more than a quarter of the ring is moved on; what it missed is counted and reported. */
static uint64_t mlog__flush_skip(mlog_sink *s, mlog__ring *r, uint32_t i, uint64_t tail, uint64_t head) {
    if (s->lane1) mlog__platform_lock(&s->lock);
    uint64_t at = s->next[i];
    if (at < tail && head - at > r->bytes / 4) {
        uint64_t count[26] = {0};
        s->filtered += mlog__flush_count_wanted(s, r, at, tail, count);
        for (int k = 0; k < 26; k++) s->gap[k] += count[k], s->lost += count[k], s->gaps += count[k];
        at = s->next[i] = tail;
        if (s->out.len == 0) s->done[i] = tail;
    }
    if (s->lane1) mlog__platform_unlock(&s->lock);
    return at;
}

/* tail = the minimum over the sinks that hold. At the end of a pass, retired rings that are read to the end go back; within it,
 * after a batch, only what has moved is looked at. */
static void mlog__flush_release(uint32_t rings, bool last) {
    mlog_sink *keeper = mlog__flush_keeper();
    for (uint32_t i = 0; i < rings; i++) {
        uint64_t head = mlog__flush_all.head[i], tail = head;
        if (!last && mlog__flush_all.told[i] == head) continue;
        mlog__ring *r = mlog__flush_ring(i);
        if (r == NULL) continue;
        for (int k = 0; k < MLOG__SINKS; k++) {
            mlog_sink *s = &mlog__flush_all.sink[k];
            if (s->used && (s->holds || s == keeper) && s->done[i] < tail) tail = s->done[i];
        }
        uint64_t lowest = tail;
        for (int k = 0; k < MLOG__SINKS; k++) {
            mlog_sink *s = &mlog__flush_all.sink[k];
            if (!s->used || s->holds || s == keeper) continue;
            uint64_t at = mlog__flush_skip(s, r, i, last ? tail : 0, head); /* nobody lags before the pass is over */
            if (at < lowest) lowest = at;
        }
        mlog__flush_tally(i, r, lowest);
        mlog__ring_release(r, lowest, &mlog__flush_all.told[i], last);
        if (!last) continue;
        bool side = (i & 1) != 0;
        if (side || i < 2 || __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != MLOG__R_RETIRED) continue; /* THREAD-2 */
        mlog__ring *other = mlog__flush_ring(i + 1);
        bool empty = lowest == __atomic_load_n(&r->head, __ATOMIC_RELAXED) && /* RING-1: THREAD-2 carries */
                     (other == NULL || other->tail == __atomic_load_n(&other->head, __ATOMIC_RELAXED)); /* RING-1 */
        if (empty) mlog__thread_recycle(i / 2);
    }
}

/* Has this sink delivered everything that may name a retired context? */
static bool mlog__flush_passed(mlog_sink *s) {
    mlog__platform_lock(&s->lock);
    bool passed = true; /* callbacks: `done`, not `next`: a batch that is read but not delivered still needs its contexts, and a binary */
    /* one may go to another file. Of what else it read, lane 0 made text: a blocked console holds no slots */
    const uint64_t *at = s->lane1 || s->binary != NULL ? s->done : s->next;
    for (uint32_t i = 0; i < mlog__flush_all.context_rings && passed; i++) passed = at[i] >= mlog__flush_all.context_head[i];
    mlog__platform_unlock(&s->lock);
    return passed;
}

/* Slots of contexts that nobody refers to go back when every sink is past the records that may name them. The rings are counted
 * behind the collection: whoever logged in a context before it was retired made its ring before, too. */
static void mlog__flush_contexts(void) {
    bool had = mlog__context_pool.waiting != 0;
    mlog__dict_reserve_contexts(__atomic_load_n(&mlog__context_pool.fresh, __ATOMIC_RELAXED)); /* CONTEXT-1 */
    if (!mlog__context_collect()) return;
    if (!had) {
        mlog__flush_all.context_rings = mlog__flush_rings();
        for (uint32_t i = 0; i < mlog__flush_all.context_rings; i++) {
            mlog__ring *r = mlog__flush_ring(i);
            mlog__flush_all.context_head[i] = r == NULL ? 0 : __atomic_load_n(&r->head, __ATOMIC_RELAXED); /* RING-1 */
        }
    }
    for (int k = 0; k < MLOG__SINKS; k++)
        if (mlog__flush_all.sink[k].used && !mlog__flush_passed(&mlog__flush_all.sink[k])) return;
    mlog__context_release();
}

/* Wakes those who wait in mlog_flush. */
static void mlog__flush_finish_ticket(uint32_t *done, uint32_t ticket) {
    uint32_t seen = __atomic_load_n(done, __ATOMIC_RELAXED); /* FLUSH-2 */
    while ((int32_t)(ticket - seen) > 0) /* never back: both lanes may finish tickets of lane 1 */
        if (__atomic_compare_exchange_n(done, &seen, ticket, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) { /* FLUSH-2 */
            mlog__platform_wake(done);
            return;
        }
}

/* Losses of threads that never logged again go out when someone waits for everything, and at the end. */
static void mlog__flush_tell_losses(uint32_t rings) {
    uint64_t counts[26] = {0}, words[26], any = 0;
    for (uint32_t i = 0; i < rings; i++) {
        mlog__ring *r = mlog__flush_ring(i);
        int n = r == NULL ? 0 : mlog__ring_untold(r, words);
        for (int k = 0; k < n; k++) counts[words[k] & 255] += words[k] >> 8, any = 1;
    }
    for (int i = 0; i < 26; i++) {
        uint64_t n = __atomic_exchange_n(&mlog__thread_all.dropped_untold[i], 0, __ATOMIC_RELAXED); /* RING-6 */
        if (n != 0) counts[i] += n, any = 1;
    }
    for (int k = 0; any && k < MLOG__SINKS; k++) {
        mlog_sink *s = &mlog__flush_all.sink[k];
        uint64_t mine[26];
        memcpy(mine, counts, sizeof mine);
        if (!s->used) continue;
        if (!s->lane1) {
            if (s->out.len == 0) mlog__flush_tell(s, mine, "records dropped: queue full");
            continue;
        }
        mlog__platform_lock(&s->lock);
        for (int i = 0; i < 26; i++) s->drop[i] += mine[i];
        s->untold = true;
        mlog__platform_unlock(&s->lock);
        mlog__flush_kick1();
    }
}

/* One pass of lane 0, under `role`. True when there was work. */
static bool mlog__flush_pass(void) {
    uint32_t ticket = __atomic_load_n(&mlog__flush_all.wanted, __ATOMIC_ACQUIRE), rings = mlog__flush_rings(); /* FLUSH-2 */
    uint64_t now = mlog__life_now();
    mlog__flush_settle();
    bool more = mlog__flush_snapshot(rings), complete = true, lane1 = false;
    bool tell = ticket != mlog__flush_all.done0 || __atomic_load_n(&mlog__flush_all.exiting, __ATOMIC_RELAXED); /* FLUSH-2 */
    if (__atomic_exchange_n(&mlog__flush_all.reopen, 0, __ATOMIC_ACQUIRE)) /* FLUSH-9 */
        for (int i = 0; i < MLOG__SINKS; i++) {
            mlog_sink *s = &mlog__flush_all.sink[i];
            if (!s->used || s->config.type != MLOG_FILE || !s->regular) continue;
            if (s->sent == 0) (void)mlog__sink_renew(s, mlog__sink_ours(s));
            else s->reopen = true; /* in the middle of a batch, which stays in one file */
        }
    mlog__flush_all.work_bytes = 0;
    mlog__flush_all.later = false;
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!s->used) continue;
        if (s->lane1) lane1 = true;
        else complete = mlog__flush_sink(s, rings, now, tell) && complete;
    }
    if (tell && complete) {
        mlog__flush_tell_losses(rings);
        for (int i = 0; i < MLOG__SINKS; i++)
            if (mlog__flush_all.sink[i].used && !mlog__flush_all.sink[i].lane1)
                complete = mlog__flush_sink(&mlog__flush_all.sink[i], rings, now, true) && complete;
    }
    mlog__flush_release(rings, true);
    mlog__flush_contexts();
    if (lane1 && (more || ticket != __atomic_load_n(&mlog__flush_all.done1, __ATOMIC_RELAXED))) mlog__flush_kick1(); /* FLUSH-4 */
    if (!lane1) mlog__flush_finish_ticket(&mlog__flush_all.done1, ticket);
    __atomic_store_n(&mlog__flush_all.complete, complete && !lane1 && !mlog__flush_all.later, __ATOMIC_RELEASE); /* FLUSH-10 */
    bool held = false;
    for (int i = 0; i < MLOG__SINKS; i++)
        if (mlog__flush_all.sink[i].used && !mlog__flush_all.sink[i].lane1 && mlog__flush_all.sink[i].out.len != 0) held = true;
    __atomic_store_n(&mlog__flush_all.held0, held, __ATOMIC_RELAXED); /* FLUSH-11 */
    if (complete) mlog__flush_finish_ticket(&mlog__flush_all.done0, ticket);
    return more;
}

/* Has anything been committed or asked for since the last pass looked? */
static bool mlog__flush_pending(void) {
    uint32_t rings = mlog__flush_rings();
    for (uint32_t i = 0; i < rings; i++) {
        mlog__ring *r = mlog__flush_ring(i);
        uint64_t counted = __atomic_load_n(&mlog__flush_all.counted_at[i], __ATOMIC_RELAXED); /* FLUSH-8 */
        if (r != NULL && __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) != counted) return true; /* FLUSH-1 */
    }
    uint32_t done = __atomic_load_n(&mlog__flush_all.done0, __ATOMIC_RELAXED); /* FLUSH-2 */
    return __atomic_load_n(&mlog__flush_all.wanted, __ATOMIC_ACQUIRE) != done || /* FLUSH-2 */
           __atomic_load_n(&mlog__flush_all.reopen, __ATOMIC_RELAXED) || /* FLUSH-9 */
           __atomic_load_n(&mlog__context_pool.retired, __ATOMIC_RELAXED) != 0; /* CONTEXT-4 */
}

#ifndef METALOG_NO_THREADS
/* Is any sink in the middle of something that only time or its peer can finish? Then how long to wait at most. */
static int mlog__flush_blocked(struct pollfd *poll_for) {
    int ms = -1;
    uint32_t rings = mlog__flush_rings();
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!s->used) continue;
        mlog__platform_lock(&s->lock);
        bool armed = s->out.len != 0, behind = armed, failed = s->retry_at != 0, held = armed && !s->armed;
        int64_t left = s->held_since + (int64_t)s->hold_ms * 1000000 - (held ? mlog__platform_clock(CLOCK_MONOTONIC) : 0);
        for (uint32_t k = 0; k < rings && !behind; k++) behind = s->next[k] < mlog__flush_all.head[k];
        mlog__platform_unlock(&s->lock);
        if (!behind) continue;
        int mine = s->lane1 ? 100
                   : held   ? (int)MLOG__MAX(left / 1000000 + 1, 1)
                   : failed ? MLOG__MAX(s->backoff_ms / 2, 10)
                   : armed  ? 10
                            : 1; /* 1: it lies after this pass's moment */
        ms = MLOG__MIN(ms < 0 ? INT_MAX : ms, mine);
        if (armed && !held && !failed && !s->lane1 && !s->regular)
            *poll_for = (struct pollfd){.fd = s->fd, .events = POLLOUT, .revents = 0};
    }
    return ms;
}

static void *mlog__flush_exit(void *unused) {
    exit(0);
    return unused;
}

/* A process whose first thread has left by pthread_exit ends when its last thread does, by exit(0); ours would keep it alive. */
static void mlog__flush_end_orphan(void) {
    static int64_t next;
    int64_t now = mlog__platform_clock(CLOCK_MONOTONIC);
    if (now < next) return;
    next = now + 100000000;
    uint32_t threads = 0, ours = 2 + mlog__flush_all.running1; /* the first one stays as a zombie */
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d; tasks != NULL && (d = readdir(tasks)) != NULL;) threads += d->d_name[0] != '.';
    if (tasks != NULL) closedir(tasks);
    if (threads == ours && mlog__platform_thread(mlog__flush_exit, NULL)) next = INT64_MAX;
}

/* Sleeps until a caller wakes us, or `ms` are over: at once a barrier and a second look, so that no record is left behind (FLUSH-1). */
static void mlog__flush_deep_sleep(uint32_t seen, int ms) {
    uint32_t zero = 0, one = 1;
    if (!__atomic_compare_exchange_n(&mlog__ring_all.asleep, &zero, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) /* FLUSH-1 */
        return; /* exiting */
    bool sure = mlog__platform_membarrier() && !__atomic_load_n(&mlog__thread_all.main_gone, __ATOMIC_RELAXED); /* LIFE-7 */
    if (!sure) ms = ms < 0 ? 100 : MLOG__MIN(ms, 100);
    if (!mlog__flush_pending()) mlog__platform_wait(&mlog__flush_all.kick0, seen, ms);
    __atomic_compare_exchange_n(&mlog__ring_all.asleep, &one, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); /* FLUSH-1 */
}
#endif

static void mlog__flush_locale(mlog__desk *desk) {
    if (desk->locale == (locale_t)0) desk->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (desk->locale != (locale_t)0)
        uselocale(desk->locale); /* of this thread only: numbers and errno texts are not the host's */
}

/* A pass writes and waits: the host's thread that makes one is meanwhile as the flusher's would be. */
typedef struct { mlog__guard guard; locale_t locale; } mlog__held;

static void mlog__flush_hold(mlog__held *h) {
    mlog__platform_guard(&h->guard);
    h->locale = uselocale((locale_t)0);
    mlog__flush_mine = 1;
    mlog__ring_never_wait++;
}

/* Signals of our own making are taken back before the host could see them. */
static void mlog__flush_let_go(const mlog__held *h) {
    mlog__ring_never_wait--;
    mlog__flush_mine = 0;
    uselocale(h->locale);
    mlog__platform_unguard(&h->guard);
}

/* For one lane, under its lock. */
static void mlog__flush_allow(bool lane1, uint64_t most) {
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        /* FLUSH-6 */
        if (__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) && s->lane1 == lane1) s->most = most, s->taken = 0;
    }
}

/* A pass by the calling thread, over both lanes, where no flusher runs; each sink takes at most so many records (0: all). False:
 * another thread makes one. */
static bool mlog__flush_here(uint64_t most) {
    mlog__held held;
    mlog__desk *desk = mlog__flush_all.desk;
    if (!__atomic_load_n(&mlog__ring_all.alone, __ATOMIC_ACQUIRE)) return true; /* FLUSH-13: the lanes have threads */
    if (mlog__flush_all.merge[1] == NULL || !mlog__life_running()) return true; /* without sinks a pass would lose records */
    mlog__flush_hold(&held);
    bool threaded = __atomic_load_n(&mlog__flush_all.running1, __ATOMIC_RELAXED); /* FLUSH-3 */
    bool lane1 = !threaded && mlog__platform_trylock(&mlog__flush_all.lane1);
    bool role = mlog__platform_trylock(&mlog__flush_all.role);
    if (role) {
        mlog__flush_locale(&desk[0]);
        mlog__life_take_pair(&desk[0], true);
        if (lane1) *desk[1].pairs = *desk[0].pairs;
        mlog__flush_allow(false, most);
        if (mlog__life_running()) (void)mlog__flush_pass();
        mlog__flush_allow(false, 0);
        mlog__platform_unlock(&mlog__flush_all.role);
    }
    if (lane1) {
        mlog__flush_locale(&desk[1]);
        mlog__flush_allow(true, most);
        if (mlog__life_running()) (void)mlog__flush_pass1();
        mlog__flush_allow(true, 0);
        mlog__platform_unlock(&mlog__flush_all.lane1);
    }
    __atomic_fetch_add(&mlog__flush_all.turn, 1, __ATOMIC_SEQ_CST); /* FLUSH-12 */
    if (__atomic_load_n(&mlog__flush_all.turn_waiters, __ATOMIC_SEQ_CST) != 0) mlog__platform_wake(&mlog__flush_all.turn); /* FLUSH-12 */
    mlog__flush_let_go(&held);
    return role;
}

/* Passes by the calling thread until the ticket is done. A sink that cannot go on is looked at again after a millisecond. */
static bool mlog__flush_drain(uint32_t ticket, int64_t deadline) {
    for (;;) {
        uint32_t turn = __atomic_load_n(&mlog__flush_all.turn, __ATOMIC_SEQ_CST); /* FLUSH-12 */
        bool mine = mlog__flush_here(0);
        uint32_t done0 = __atomic_load_n(&mlog__flush_all.done0, __ATOMIC_ACQUIRE); /* FLUSH-2 */
        uint32_t done1 = __atomic_load_n(&mlog__flush_all.done1, __ATOMIC_ACQUIRE); /* FLUSH-2 */
        if ((int32_t)(done0 - ticket) >= 0 && (int32_t)(done1 - ticket) >= 0) return true;
        int64_t left = (deadline - mlog__platform_clock(CLOCK_MONOTONIC)) / 1000000;
        if (left <= 0) return false;
        if (mine) {
            mlog__platform_nap(1000000);
            continue;
        }
        __atomic_fetch_add(&mlog__flush_all.turn_waiters, 1, __ATOMIC_SEQ_CST); /* FLUSH-12 */
        mlog__platform_wait(&mlog__flush_all.turn, turn, (int)MLOG__MIN(left + 1, INT64_C(1000)));
        __atomic_fetch_sub(&mlog__flush_all.turn_waiters, 1, __ATOMIC_SEQ_CST); /* FLUSH-12 */
    }
}

/* MLOG_DIRECT, behind a committed record: passes until it is out, at most full_ms. When that time is over once, calls make one pass
 * each until everything is out again: a stuck sink costs one deadline, not one a call. */
static void mlog__flush_see_out(void) {
    if (!mlog__flush_may_help()) return;
    bool overdue = __atomic_load_n(&mlog__flush_all.overdue, __ATOMIC_RELAXED) != 0; /* FLUSH-15 */
    bool drop = __atomic_load_n(&mlog__ring_all.full, __ATOMIC_RELAXED) == MLOG_DROP; /* LIFE-2 */
    int64_t ms = overdue || drop ? 0 : (int64_t)__atomic_load_n(&mlog__ring_all.full_ms, __ATOMIC_RELAXED); /* LIFE-2 */
    uint32_t ticket = __atomic_add_fetch(&mlog__flush_all.wanted, 1, __ATOMIC_SEQ_CST); /* FLUSH-2: nothing is held back */
    bool out = mlog__flush_drain(ticket, mlog__platform_clock(CLOCK_MONOTONIC) + ms * 1000000);
    if (out || ms > 0) __atomic_store_n(&mlog__flush_all.overdue, !out, __ATOMIC_RELAXED); /* FLUSH-15 */
}

#ifndef METALOG_NO_THREADS
/* blocked: as mlog__flush_blocked says, while the sinks cannot go away. */
static bool mlog__flush_locked_pass(bool wake, int *blocked, struct pollfd *poll_for, bool *burst) {
    mlog__platform_lock(&mlog__flush_all.role);
    /* without sinks a pass would lose records */
    bool stop = !mlog__life_running() || __atomic_load_n(&mlog__ring_all.closed, __ATOMIC_ACQUIRE); /* LIFE-3 */
    if (stop) return mlog__platform_unlock(&mlog__flush_all.role), false;
    mlog__life_take_pair(&mlog__flush_all.desk[0], wake);
    bool more = mlog__flush_pass();
    *blocked = mlog__flush_blocked(poll_for);
    *burst = more && mlog__flush_all.work_bytes >= MLOG__BATCH / 4;
    mlog__platform_unlock(&mlog__flush_all.role);
    return more;
}

/* Lane 0 for ever: it is never joined, since a destructor that joins can hang the host (invariant 8). */
static void *mlog__flush_run(void *generation) {
    int idle = 0;
    bool woke = true;
    mlog__flush_locale(&mlog__flush_all.desk[0]);
    pthread_setname_np(pthread_self(), "metalog");
    mlog__flush_lane = 1;
    for (;;) {
        uint32_t seen = __atomic_load_n(&mlog__flush_all.kick0, __ATOMIC_SEQ_CST), one = 1; /* FLUSH-4 */
        /* FLUSH-14 */
        if (__atomic_load_n(&mlog__flush_all.generation, __ATOMIC_RELAXED) != (uintptr_t)generation)
            return mlog__platform_drop_stack(), (void *)NULL;
        mlog__platform_watch();
        if (__atomic_load_n(&mlog__ring_all.closed, __ATOMIC_ACQUIRE)) { /* LIFE-3 */
            mlog__platform_wait(&mlog__flush_all.kick0, seen, -1);
            continue;
        }
        if (!mlog__life_running()) { /* after mlog_shutdown: the next call starts it all again, and its record is still there */
            bool exiting = __atomic_load_n(&mlog__flush_all.exiting, __ATOMIC_RELAXED); /* LIFE-4 */
            __atomic_store_n(&mlog__ring_all.asleep, exiting ? 2 : 1, __ATOMIC_SEQ_CST); /* FLUSH-1 */
            if (!mlog__life_running()) mlog__platform_wait(&mlog__flush_all.kick0, seen, -1);
            woke = true;
            continue;
        }
        /* FLUSH-1 */
        if (woke) __atomic_compare_exchange_n(&mlog__ring_all.asleep, &one, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        struct pollfd wait = {.fd = -1, .events = 0, .revents = 0};
        int blocked = -1;
        bool burst = false, more = mlog__flush_locked_pass(woke, &blocked, &wait, &burst);
        woke = false;
        idle = more ? 0 : idle + 1;
        if (MLOG__UNLIKELY(__atomic_load_n(&mlog__thread_all.main_gone, __ATOMIC_RELAXED))) mlog__flush_end_orphan(); /* LIFE-7 */
        if (burst) continue; /* no nap */
        bool linger = idle < __atomic_load_n(&mlog__flush_linger, __ATOMIC_RELAXED); /* FLUSH-5 */
        if (linger && wait.fd >= 0) poll(&wait, 1, 1);
        else if (linger) mlog__platform_wait(&mlog__flush_all.kick0, seen, 1);
        else mlog__flush_deep_sleep(seen, blocked), woke = true; /* also beside a sink that is stuck: the others are woken for */
        if (woke && blocked < 0) idle = 0;
    }
}
#endif

/* One round of lane 1, under its lock. It keeps nothing from lane 0: it reads the heads for itself. True: something waits for time. */
static bool mlog__flush_pass1(void) {
    static uint64_t head[MLOG__RINGS];
    uint32_t ticket = __atomic_load_n(&mlog__flush_all.wanted, __ATOMIC_ACQUIRE), rings = mlog__flush_rings(); /* FLUSH-2 */
    bool wanted = ticket != __atomic_load_n(&mlog__flush_all.done1, __ATOMIC_RELAXED); /* FLUSH-2: nothing is held back */
    bool waiting = false, behind = false;
    uint64_t now = mlog__life_now();
    for (uint32_t i = 0; i < rings; i++) {
        mlog__ring *r = mlog__flush_ring(i);
        head[i] = r == NULL ? 0 : __atomic_load_n(&r->head, __ATOMIC_ACQUIRE); /* RING-1 */
    }
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) || !s->lane1) continue; /* FLUSH-6 */
        while (mlog__flush_callbacks(s, head, rings, now, wanted)) {}
        mlog__platform_lock(&s->lock);
        if (s->out.len != 0 || mlog__flush_cut(s)) waiting = true;
        for (uint32_t k = 0; k < rings && !behind; k++) behind = s->next[k] < head[k];
        mlog__platform_unlock(&s->lock);
    }
    __atomic_store_n(&mlog__flush_all.held1, waiting, __ATOMIC_RELAXED); /* FLUSH-11 */
    if (!waiting) mlog__flush_finish_ticket(&mlog__flush_all.done1, ticket); /* what is behind is younger than the ticket */
    return waiting || behind;
}

#ifndef METALOG_NO_THREADS
static void *mlog__flush_run1(void *generation) {
    mlog__flush_locale(&mlog__flush_all.desk[1]);
    pthread_setname_np(pthread_self(), "metalog-call"); /* 15 bytes at most */
    mlog__flush_lane = 2;
    for (;;) {
        uint32_t seen = __atomic_load_n(&mlog__flush_all.kick1, __ATOMIC_SEQ_CST); /* FLUSH-4 */
        /* FLUSH-14 */
        if (__atomic_load_n(&mlog__flush_all.generation, __ATOMIC_RELAXED) != (uintptr_t)generation)
            return mlog__platform_drop_stack(), (void *)NULL;
        mlog__platform_watch();
        mlog__platform_lock(&mlog__flush_all.lane1); /* also over the clock, which mlog_init may change */
        mlog__life_take_pair(&mlog__flush_all.desk[1], true);
        bool again = mlog__flush_pass1();
        mlog__platform_unlock(&mlog__flush_all.lane1);
        mlog__platform_wait(&mlog__flush_all.kick1, seen, again ? 10 : -1);
    }
}
#endif

static bool mlog__flush_wait_for(uint32_t *done, uint32_t ticket, int64_t deadline) {
    for (;;) {
        uint32_t now = __atomic_load_n(done, __ATOMIC_ACQUIRE); /* FLUSH-2 */
        if ((int32_t)(now - ticket) >= 0) return true;
        int64_t left = deadline - mlog__platform_clock(CLOCK_MONOTONIC);
        if (left <= 0) return false;
        mlog__platform_wait(done, now, (int)MLOG__MIN(left / 1000000 + 1, INT64_C(1000)));
    }
}

/* [s] Everything logged before is with the sinks, or the time is over. Uses no lock. */
static bool mlog__flush_wait(int ms) {
    /* FLUSH-10 */
    if (ms == 0 && !mlog__flush_pending() && __atomic_load_n(&mlog__flush_all.complete, __ATOMIC_ACQUIRE)) return true;
    int64_t deadline = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)ms * 1000000;
    uint32_t ticket = __atomic_add_fetch(&mlog__flush_all.wanted, 1, __ATOMIC_SEQ_CST); /* FLUSH-2 */
    if (__atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED)) /* FLUSH-13 */
        return mlog__flush_may_drain() && mlog__flush_drain(ticket, deadline);
    mlog__flush_wake();
    if (ms == 0) return false;
    if (!mlog__flush_wait_for(&mlog__flush_all.done0, ticket, deadline)) return false;
    if (mlog__flush_lane == 2) return true; /* a callback cannot wait for its own lane */
    return mlog__flush_wait_for(&mlog__flush_all.done1, ticket, deadline);
}

/* [s] For a crash: its record is with the sinks, or the time is over. Not in vain: in the flusher, below one of its locks, or where
 * there is none, nobody would come. A callback that crashes holds nothing that lane 0 needs. */
static void mlog__flush_see_crash(int ms) {
    const void *poller = __atomic_load_n(&mlog__flush_all.poller, __ATOMIC_RELAXED); /* FLUSH-15 */
    bool alone = __atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED); /* FLUSH-13 */
    bool polled = __atomic_load_n(&mlog__flush_all.mode, __ATOMIC_RELAXED) == MLOG_POLL && poller != NULL && poller != &mlog__flush_mine; /* FLUSH-15 */
    if (mlog__flush_mine || mlog__flush_lane == 1 || mlog__ring_never_wait || !mlog__life_running()) return;
    if (__atomic_load_n(&mlog__ring_all.closed, __ATOMIC_RELAXED)) return; /* LIFE-3 */
    if (alone ? !polled : !__atomic_load_n(&mlog__flush_all.running0, __ATOMIC_RELAXED)) return; /* FLUSH-3 */
    int64_t deadline = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)ms * 1000000;
    uint32_t ticket = __atomic_add_fetch(&mlog__flush_all.wanted, 1, __ATOMIC_SEQ_CST); /* FLUSH-2 */
    if (!alone) mlog__flush_wake();
    if (!mlog__flush_wait_for(&mlog__flush_all.done0, ticket, deadline) || mlog__flush_lane == 2) return;
    (void)mlog__flush_wait_for(&mlog__flush_all.done1, ticket, deadline);
}

/* ==== recover ====
 * At the start with the same sinks: what a dead process had logged and not yet written is written, marked `recovered`, exactly once,
 * by the steps of its own promises (see store). Who recovers runs on as the dead process's flusher, with its session and its rings;
 * killed in the middle of it, the next one does the same.
 *
 *   the last batch of a sink was armed and not done: its bytes stand in the file (found by device and inode, also under the name of
 *   a rotation)          done = armed, and the rings are read as far as it says
 *   part of them stands  one writer: the file is cut at the batch's offset; several: the torn line is ended. Then it is formed anew
 *   none stands          it is formed anew
 *
 * First all dead sessions are settled, then the first byte is written: what one of them cuts off must not be what another one has
 * just got. Only a regular file is recovered, by who writes to the same path: a session names its sinks by a hash of that, and no
 * path is ever read from it. All that comes from the files is checked again before it is used; the dictionary and the rings
 * are copied first, so that nothing changes behind a check. What belongs to other sinks stays for them.
 *
 * owns: the reading of dead sessions, the settling of their promises
 * may call: platform clock store dict ring text format filter binary sink flush
 */

#ifndef METALOG_NO_FILES
typedef struct {
    uint64_t id;
    mlog__session *file, *copy;            /* as it lies there, and what is read */
    mlog__ring **rings, **copies;          /* by number */
    uint32_t count;
    int lock;
    bool rest;                             /* somebody may still want something of it */
    time_t age;
    mlog__desk desk;
} mlog__dead;

static uint64_t mlog__recover_count; /* records, for the statistics; under `role` */

/* A file of ours, as it must be: regular, one link, for nobody else. -1: it is something else. */
static int mlog__recover_open(const char *path, struct stat *st) {
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    bool fine = fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid() && (st->st_mode & 077) == 0;
    if (!fine) close(fd);
    return fine ? fd : -1;
}

/* One ring of the dead process. A ring that is not sound is left out. */
static void mlog__recover_ring(mlog__dead *d, const char *path, uint32_t number) {
    struct stat st;
    int fd = mlog__recover_open(path, &st);
    size_t size = fd < 0 ? 0 : (size_t)st.st_size, bytes = size - sizeof(mlog__ring);
    mlog__ring *r = MAP_FAILED;
    if (size > sizeof *r && size <= sizeof *r + (64u << 20)) r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (r == MAP_FAILED) return;
    uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE); /* RING-1 */
    bool sound = memcmp(r->magic, "mlogring", 8) == 0 && r->version == 1 && r->byte_order == 0x01020304 &&
                 r->word_size == sizeof(void *) && r->number == number && r->session == d->id && r->bytes == bytes &&
                 (bytes & (bytes - 1)) == 0 && head % 8 == 0;
    /* with room behind it: words of a record that is none are read before its length is known to be false */
    mlog__ring *copy = sound ? malloc(size + 256) : NULL;
    if (copy == NULL) {
        mlog__platform_unmap(r, size);
        return;
    }
    memcpy(copy, r, size);
    memset((char *)copy + size, 0, 256);
    copy->head = head;
    d->rings[number] = r;
    d->copies[number] = copy;
    d->count = MLOG__MAX(d->count, number + 1);
}

/* Does `name` belong to the session, and as which ring? -1: it does not; -2: it is the session itself. */
static int mlog__recover_name(const char *name, uint64_t id) {
    char *end;
    uint64_t of = strtoull(name, &end, 16);
    if (end == name || *end != '.' || of != id) return -1;
    if (strcmp(end, ".session") == 0) return -2;
    const char *digits = end + 1;
    unsigned long number = strtoul(digits, &end, 10);
    return end != digits && strcmp(end, ".ring") == 0 && number < MLOG__RINGS ? (int)number : -1;
}

/* Calls `each` with the path of every ring of the session. */
static void mlog__recover_each(mlog__dead *d, void (*each)(mlog__dead *, const char *path, uint32_t number)) {
    DIR *dir = opendir(mlog__store.dir);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char path[MLOG__STORE_PATH];
        int number = mlog__recover_name(e->d_name, d->id);
        if (number < 0) continue;
        mlog__store_path(path, d->id, true, (uint32_t)number);
        each(d, path, (uint32_t)number);
    }
    if (dir != NULL) closedir(dir);
}

static void mlog__recover_remove(mlog__dead *d, const char *path, uint32_t number) {
    (void)d, (void)number;
    (void)unlink(path);
}

/* Its files go. */
static void mlog__recover_forget(mlog__dead *d) {
    char path[MLOG__STORE_PATH];
    mlog__recover_each(d, mlog__recover_remove);
    mlog__store_path(path, d->id, false, 0);
    (void)unlink(path);
}

static void mlog__recover_close(mlog__dead *d) {
    for (uint32_t i = 0; d->rings != NULL && i < d->count; i++) {
        if (d->rings[i] != NULL) mlog__platform_unmap(d->rings[i], sizeof(mlog__ring) + (size_t)d->copies[i]->bytes);
        free(d->copies[i]);
    }
    for (uint32_t i = 0; d->desk.infos != NULL && i < MLOG__INFOS; i++)
        if (d->desk.infos[i] != NULL) free(d->desk.infos[i]->flat), free(d->desk.infos[i]);
    for (uint32_t i = 0; d->desk.known != NULL && i < MLOG__CONTEXTS; i++) mlog__format_forget(d->desk.known[i]);
    mlog__buffer *const buffer[4] = {&d->desk.names, &d->desk.message, &d->desk.values, &d->desk.text};
    for (int i = 0; i < 4; i++) free(buffer[i]->p);
    free(d->desk.known);
    if (d->desk.locale != (locale_t)0) freelocale(d->desk.locale);
    if (d->desk.infos != NULL) mlog__platform_unmap(d->desk.infos, MLOG__INFOS * sizeof *d->desk.infos);
    if (d->rings != NULL) mlog__platform_unmap(d->rings, 2 * MLOG__RINGS * sizeof *d->rings);
    if (d->copy != NULL) mlog__platform_unmap(d->copy, sizeof *d->copy);
    if (d->file != NULL) mlog__platform_unmap(d->file, sizeof *d->file);
    if (d->lock >= 0) close(d->lock);
}

/* A session's lock: 0 when its process is dead. The kernel may give it back a moment after the process was waited for (the last close of
 * a dying process's file is deferred): where there is no such process any more, it is waited for. */
static int mlog__recover_lock(int fd) {
    uint64_t owner = 0;
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        bool read = pread(fd, &owner, sizeof owner, offsetof(mlog__session, owner)) == (ssize_t)sizeof owner;
        bool gone = read && owner != 0 && owner <= INT_MAX && kill((pid_t)owner, 0) != 0 && errno == ESRCH;
        if (!gone || i == 100) return -1;
        mlog__platform_nap(1000000);
    }
    return 0;
}

/* Takes a session whose process is dead. False: it lives, or is not for us to judge. A file without a size or a head belongs to who
 * died before the first record: it goes. */
static bool mlog__recover_take(mlog__dead *d, uint64_t id) {
    char path[MLOG__STORE_PATH];
    struct stat st;
    memset(d, 0, sizeof *d);
    d->id = id;
    mlog__store_path(path, id, false, 0);
    d->lock = mlog__recover_open(path, &st);
    if (d->lock < 0 || mlog__recover_lock(d->lock) != 0 || fstat(d->lock, &st) != 0 || st.st_nlink != 1) return false;
    d->age = st.st_mtime;
    if (st.st_size != 0 && st.st_size != (off_t)sizeof(mlog__session)) return false; /* of another version */
    mlog__session *s = st.st_size == 0 ? MAP_FAILED : mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, d->lock, 0);
    if (s == MAP_FAILED || s->id != id) {
        if (s != MAP_FAILED) mlog__platform_unmap(s, sizeof *s);
        mlog__recover_forget(d);
        return false;
    }
    d->file = s;
    return memcmp(s->magic, "metalog", 8) == 0 && s->version == 1 && s->byte_order == 0x01020304 && s->word_size == sizeof(void *);
}

/* Reads it whole. False: no memory. */
static bool mlog__recover_read(mlog__dead *d) {
    d->copy = mlog__platform_map(sizeof *d->copy, false, false);
    d->rings = mlog__platform_map(2 * MLOG__RINGS * sizeof *d->rings, false, false);
    d->desk.infos = mlog__platform_map(MLOG__INFOS * sizeof *d->desk.infos, false, false);
    if (d->copy == NULL || d->rings == NULL || d->desk.infos == NULL) return false;
    d->copies = d->rings + MLOG__RINGS;
    mlog__dict_copy_all(d->copy, d->file, d->file->dict_end);
    d->desk.session = d->copy;
    d->desk.pairs = &d->copy->clock;
    d->desk.foreign = d->desk.recovered = true;
    mlog__recover_each(d, mlog__recover_ring);
    return true;
}

/* Has a ring something that a sink of its process has not written? */
static void mlog__recover_look(mlog__dead *d, const char *path, uint32_t number) {
    struct stat st;
    mlog__ring head;
    int fd = mlog__recover_open(path, &st);
    if (fd < 0) return;
    bool read = pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.number == number;
    close(fd);
    for (uint32_t k = 0; read && k < MLOG__SINKS; k++)
        if (d->file->promise[k].key != 0 && head.cur[k] != head.head) d->rest = true;
}

/* Nothing is left in it for anybody: all batches are done, all rings are read. */
static bool mlog__recover_is_empty(mlog__dead *d) {
    d->rest = false;
    for (uint32_t k = 0; k < MLOG__SINKS; k++) {
        const mlog__promise *p = &d->file->promise[k];
        if (p->key != 0 && p->armed != p->done) return false;
    }
    mlog__recover_each(d, mlog__recover_look);
    return !d->rest;
}

/* -- settling a promise -- */

/* The rings are read as far as the batch says; never back: what came behind it without a batch counts, too. */
static void mlog__recover_move(mlog__dead *d, uint32_t k) {
    mlog__promise *p = &d->file->promise[k];
    uint64_t n = MLOG__MIN(p->moves, (uint64_t)MLOG__RINGS);
    for (uint64_t i = 0; p->seq != 0 && p->seq == p->done && i < n; i++) {
        mlog__move m = d->file->move[k][i];
        mlog__ring *r = m.ring < d->count ? d->rings[m.ring] : NULL;
        if (r != NULL && m.pos > r->cur[k]) __atomic_store_n(&r->cur[k], m.pos, __ATOMIC_RELAXED); /* STORE-3 */
    }
}

/* Opens the file of the batch: the sink's own, or one beside it, whose name begins with the same, that a rotation made of it. -1: it
 * is gone. */
static int mlog__recover_find(const mlog_sink *s, const mlog__promise *p) {
    const char *slash = strrchr(s->config.path, '/'), *base = slash == NULL ? s->config.path : slash + 1;
    char *folder = slash == NULL ? strdup(".") : strndup(s->config.path, (size_t)(base - s->config.path));
    DIR *dir = folder == NULL ? NULL : opendir(folder);
    struct stat st;
    int fd = -1;
    for (const struct dirent *e; dir != NULL && fd < 0 && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, base, strlen(base)) != 0 || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_dev != p->dev || (uint64_t)st.st_ino != p->ino) continue;
        fd = openat(dirfd(dir), e->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && (fstat(fd, &st) != 0 || (uint64_t)st.st_ino != p->ino)) close(fd), fd = -1;
    }
    if (dir != NULL) closedir(dir);
    free(folder);
    return fd;
}

/* Do the bytes of the batch stand in the file? Its two ends tell. */
static bool mlog__recover_stands(int fd, const mlog__promise *p) {
    char ends[2 * MLOG__STORE_ENDS];
    size_t n = (size_t)MLOG__MIN(p->len, (uint64_t)MLOG__STORE_ENDS);
    if (p->len == 0 || p->len > UINT64_C(1) << 40) return false;
    if (pread(fd, ends, n, (off_t)p->off) != (ssize_t)n || pread(fd, ends + n, n, (off_t)(p->off + p->len - n)) != (ssize_t)n) return false;
    uint64_t h = mlog__store_sum((size_t)p->len, ends, n);
    return mlog__store_sum(h, ends + n, n) == p->sum;
}

/* Part of the batch stands at the end of the file: it is cut off there, if nobody else writes to it, or ever did. Our own lock on
 * the file is no other's. False: somebody may. */
static bool mlog__recover_cut(int fd, const mlog__promise *p, const mlog_sink *s) {
    struct stat st;
    if (p->shared || fstat(fd, &st) != 0 || (uint64_t)st.st_size >= p->off + p->len) return false; /* longer: others have written */
    int locked = st.st_ino == s->ino && st.st_dev == s->dev ? s->fd : fd;
    if (flock(locked, LOCK_EX | LOCK_NB) != 0) return false;
    bool cut = (uint64_t)st.st_size <= p->off || ftruncate(fd, (off_t)p->off) == 0;
    if (locked == s->fd) (void)flock(locked, LOCK_SH | LOCK_NB);
    return cut;
}

/* Ends a line that was torn. */
static void mlog__recover_end_line(int fd) {
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) != 0 || st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 || last == '\n') return;
    if (pwrite(fd, "\n", 1, st.st_size) != 1) return; /* the next batch begins on the torn line then */
}

/* After this, done == armed, and the file holds whole batches only. Each step may be done again. */
static void mlog__recover_settle(mlog__dead *d, uint32_t k, const mlog_sink *s) {
    mlog__promise *p = &d->file->promise[k];
    bool armed = p->armed != p->done && p->seq == p->armed && p->check == mlog__store_check(p, d->file->move[k]);
    if (armed) {
        int fd = mlog__recover_find(s, p);
        if (fd >= 0 && mlog__recover_stands(fd, p)) mlog__store_commit(p);
        else if (fd >= 0 && !mlog__recover_cut(fd, p, s)) p->shared = 1, mlog__recover_end_line(fd);
        if (fd >= 0) close(fd);
    }
    if (p->armed != p->done) p->seq = 0, __atomic_store_n(&p->armed, p->done, __ATOMIC_RELEASE); /* STORE-3 */
    mlog__recover_move(d, k);
}

/* -- writing the rest -- */

/* The rings that hold something for this sink. */
static uint32_t mlog__recover_collect(mlog__dead *d, mlog_sink *s, mlog__source *list) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        const mlog__ring *r = d->copies[i];
        if (r == NULL || s->next[i] >= r->head) continue;
        list[n] = (mlog__source){r, i, s->next[i], r->head, 0};
        if (mlog__flush_peek(&list[n])) n++;
        else s->next[i] = r->head;
    }
    return n;
}

/* What its threads lost and nobody told yet. */
static void mlog__recover_losses(mlog__dead *d, mlog_sink *s) {
    uint64_t counts[26] = {0}, words[26];
    for (uint32_t i = 0; i < d->count; i++) {
        int n = d->rings[i] == NULL ? 0 : mlog__ring_untold(d->rings[i], words);
        for (int k = 0; k < n; k++) counts[words[k] & 255] += words[k] >> 8;
    }
    mlog__flush_tell(s, counts, "records dropped: queue full");
}

/* Batches until all is written. False: the file takes no more for now; the rest stays for the next start. */
static bool mlog__recover_write(mlog__dead *d, mlog_sink *s, mlog__source *list) {
    for (;;) {
        uint32_t n = mlog__recover_collect(d, s, list);
        if (s->binary != NULL) mlog__flush_raw_begin(s);
        bool all = s->binary != NULL ? mlog__flush_merge(s, list, n, UINT64_MAX, mlog__flush_raw, false, false)
                                     : mlog__flush_merge(s, list, n, UINT64_MAX, mlog__flush_line, false, false);
        if (s->binary != NULL) mlog__flush_raw_end(s);
        for (uint32_t i = 0; all && i < d->count; i++)
            if (d->copies[i] != NULL) s->next[i] = MLOG__MAX(s->next[i], d->copies[i]->head);
        if (all) mlog__recover_losses(d, s);
        mlog__recover_count += s->in_written;
        (void)mlog__sink_turn(s, false);
        if (s->out.len != 0 && mlog__sink_write(s, d->count) == 0) return false;
        mlog__sink_commit(s, d->count);
        if (all) return true;
    }
}

/* One sink of the dead process, by one of ours. */
static bool mlog__recover_sink(mlog__dead *d, uint32_t k, mlog_sink *ours) {
    mlog_sink s = *ours;
    mlog__source *list = malloc((d->count + 1) * sizeof *list);
    s.next = mlog__platform_map(2 * MLOG__RINGS * sizeof *s.next, false, false);
    bool binary = s.binary != NULL, done = list != NULL && s.next != NULL;
    if (binary) s.binary = mlog__platform_map(sizeof *s.binary, false, false); /* the numbers in its blocks are another process's */
    done = done && (!binary || s.binary != NULL);
    if (done) {
        s.done = s.next + MLOG__RINGS;
        s.desk = &d->desk;
        s.session = d->file;
        s.rings = d->rings;
        s.number = k;
        s.out = (mlog__buffer){NULL, 0, 0};
        if (binary) s.binary->recovered = true;
        const mlog__clock_table *t = &d->copy->clock;
        bool arrival = d->copy->clock_mode == MLOG__TICKS_ARRIVAL && t->count != 0;
        s.last_ticks = arrival ? t->pair[(t->count - 1) % MLOG__PAIRS_KEPT].ticks : 0;
        for (uint32_t i = 0; i < d->count; i++) {
            const mlog__ring *r = d->copies[i];
            if (r == NULL) continue;
            uint64_t cur = d->rings[i]->cur[k];
            s.next[i] = s.done[i] = cur > r->head || r->head - cur > r->bytes || cur % 8 != 0 ? r->head : cur;
        }
        done = mlog__recover_write(d, &s, list);
        ours->fd = s.fd;
        ours->dev = s.dev;
        ours->ino = s.ino;
        ours->claim = s.claim;
        ours->last_time = s.last_time;
        free(s.out.p);
    }
    free(list);
    if (binary && s.binary != NULL) mlog__platform_unmap(s.binary, sizeof *s.binary);
    if (s.next != NULL) mlog__platform_unmap(s.next, 2 * MLOG__RINGS * sizeof *s.next);
    return done;
}

static mlog_sink *mlog__recover_ours(const mlog__promise *p, mlog_sink *opened, uint32_t n) {
    for (uint32_t i = 0; i < n && p->key != 0; i++)
        if (opened[i].key == p->key) return &opened[i];
    return NULL;
}

/* All that is ours of one dead session; when nothing is left that somebody else may want, its files go. */
static void mlog__recover_rest(mlog__dead *d, mlog_sink *opened, uint32_t n) {
    mlog__held held;
    d->rest = false;
    mlog__flush_hold(&held);
    mlog__flush_locale(&d->desk);
    for (uint32_t k = 0; k < MLOG__SINKS; k++) {
        mlog__promise *p = &d->file->promise[k];
        mlog_sink *ours = mlog__recover_ours(p, opened, n);
        if (ours != NULL && mlog__recover_sink(d, k, ours)) p->key = 0;
        d->rest = d->rest || p->key != 0;
    }
    mlog__flush_let_go(&held);
    if (!d->rest) mlog__recover_forget(d);
}

/* What is known of a session after the first round. */
typedef struct { uint64_t id; time_t age; bool ours, left; } mlog__found;

/* First round: settles what is ours; removes what nobody needs any more; what is left waits for its own program. */
static void mlog__recover_meet(mlog__found *f, mlog_sink *opened, uint32_t n) {
    mlog__dead d;
    if (mlog__recover_take(&d, f->id)) {
        bool ours = false;
        for (uint32_t k = 0; k < MLOG__SINKS; k++) ours = ours || mlog__recover_ours(&d.file->promise[k], opened, n) != NULL;
        f->ours = ours && mlog__recover_read(&d);
        for (uint32_t k = 0; f->ours && k < MLOG__SINKS; k++) {
            const mlog_sink *sink = mlog__recover_ours(&d.file->promise[k], opened, n);
            if (sink != NULL) mlog__recover_settle(&d, k, sink);
        }
        f->age = d.age;
        f->left = !ours && !mlog__recover_is_empty(&d);
        if (!ours && !f->left) mlog__recover_forget(&d);
    }
    mlog__recover_close(&d);
}

static void mlog__recover_write_out(const mlog__found *f, mlog_sink *opened, uint32_t n) {
    mlog__dead d;
    if (mlog__recover_take(&d, f->id) && mlog__recover_read(&d)) mlog__recover_rest(&d, opened, n);
    mlog__recover_close(&d);
}

/* Programs that never come back must not fill the place: of the dead, the oldest beyond MLOG__DEAD go, with what is in them. Returns
 * how many. */
enum { MLOG__DEAD = 64 };
static uint32_t mlog__recover_bound(mlog__found *found, uint32_t many) {
    uint32_t left = 0, gone = 0;
    for (uint32_t i = 0; i < many; i++) left += found[i].left;
    for (; left > MLOG__DEAD; left--, gone++) {
        mlog__found *oldest = NULL;
        mlog__dead d;
        for (uint32_t i = 0; i < many; i++)
            if (found[i].left && (oldest == NULL || found[i].age < oldest->age)) oldest = &found[i];
        oldest->left = false;
        if (mlog__recover_take(&d, oldest->id)) mlog__recover_forget(&d);
        mlog__recover_close(&d);
    }
    return gone;
}

/* Looks for dead sessions in our directory; under `role`, before the sinks are used for anything else. Returns how many had to go
 * unread. */
static uint32_t mlog__recover_all(mlog_sink *opened, uint32_t n) {
    enum { MOST = 1024 };
    mlog__found *found = calloc(MOST, sizeof *found);
    mlog__guard guard;
    uint32_t many = 0;
    mlog__platform_guard(&guard);
    DIR *dir = found == NULL ? NULL : opendir(mlog__store.dir);
    for (const struct dirent *e; dir != NULL && many < MOST && (e = readdir(dir)) != NULL;) {
        uint64_t id = strtoull(e->d_name, NULL, 16);
        if (id != mlog__dict_session->id && mlog__recover_name(e->d_name, id) == -2) found[many++].id = id;
    }
    if (dir != NULL) closedir(dir);
    for (uint32_t i = 0; i < many; i++) mlog__recover_meet(&found[i], opened, n);
    for (uint32_t i = 0; i < many; i++)
        if (found[i].ours) mlog__recover_write_out(&found[i], opened, n);
    uint32_t gone = mlog__recover_bound(found, many);
    mlog__platform_unguard(&guard);
    free(found);
    return gone;
}
#endif

/* ==== fatal ====
 * catch_fatal: what a process that dies by a signal still says. The handler commits one record, waits for the flusher, puts back what
 * stood there before it and sends itself the same signal again, with the siginfo that came: the host's earlier handler, the exit
 * status and the core file are what they would have been. It writes nothing to any sink: the flusher does, or who recovers the rings.
 *
 *   SIGSEGV SIGBUS SIGILL SIGFPE SIGSYS SIGABRT: faults, and abort. SIGTRAP: __builtin_trap() on AArch64, asserts; a debugger takes its
 *   own before any handler. Not SIGTERM, SIGINT, SIGQUIT, SIGXCPU: somebody asks a process to end that is sound. Not one that is
 *   ignored when ours would be installed.
 *
 * Everything that may meet damage is tried: a fault inside of it jumps back here, and the rest goes on without. So the first
 * signal is the one that the process dies of. Two threads at once: both commit, the first goes first. A handler that chains to
 * ours, installed later, works: ours then goes on with what stood there before ours.
 *
 *   FATAL-1  which thread a signal hit first, and when: each word stands for itself, a tie goes either way
 *   FATAL-2  catch_fatal is on: relaxed, a thread that sees it late gets its stack later
 *
 * owns: handlers of fatal signals, the record of a crash
 * may call: platform record ring thread text flush
 */

enum { MLOG__FATAL_FRAMES = 32, MLOG__FATAL_WALK_MS = 100, MLOG__FATAL_WAIT_MS = 200, MLOG__FATAL_TURN_MS = 500 };

static struct {
    struct sigaction before[MLOG__FATAL_SIGNALS]; /* what stood there when ours came */
    uint32_t hit[MLOG__FATAL_SIGNALS];            /* the first thread that it hit since */
    mlog__u64 since;                              /* when the first of threads that crash together came */
    int claim;                                    /* the place in mlog1_instance.file that says so; + 1 */
} mlog__fatal_all;

/* One crash, on the stack of its handler. */
typedef struct {
    int number, index;
    const siginfo_t *info;      /* NULL: a handler that chains to ours gave none */
    ucontext_t *context;
    uint64_t pc;
    uint32_t frames;
    void *frame[MLOG__FATAL_FRAMES];
    const char *name[MLOG__FATAL_FRAMES];
    char text[MLOG__FATAL_FRAMES][56];
} mlog__crash;

MLOG__TLS sigjmp_buf *mlog__fatal_back; /* where a fault inside our handler goes on */

/* In libc of all dynamic glibc programs, which says nothing about others. Its first use loads a library, so that comes early. */
#if defined(__GLIBC__) && __has_include(<execinfo.h>)
static __typeof__(backtrace) mlog__fatal_backtrace __attribute__((weakref("backtrace")));
#else
static int (*const mlog__fatal_backtrace)(void **, int) = NULL;
#endif

static const char *mlog__fatal_name(int number) {
    static const char *const names[MLOG__FATAL_SIGNALS] = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS", "SIGABRT"};
    for (int i = 0; i < MLOG__FATAL_SIGNALS; i++)
        if (mlog__platform_fatal_list[i] == number) return names[i];
    return "";
}

/* "" for what is rare: the number is beside it. */
static const char *mlog__fatal_reason(int number, int code) {
    static const struct { int number, code; const char *name; } known[] = {
        {SIGSEGV, SEGV_MAPERR, "not mapped"}, {SIGSEGV, SEGV_ACCERR, "not permitted"}, {SIGBUS, BUS_ADRALN, "not aligned"},
        {SIGBUS, BUS_ADRERR, "beyond the file"}, {SIGILL, ILL_ILLOPC, "illegal opcode"}, {SIGILL, ILL_ILLOPN, "illegal operand"},
        {SIGFPE, FPE_INTDIV, "integer division by zero"}, {SIGFPE, FPE_INTOVF, "integer overflow"},
        {SIGFPE, FPE_FLTDIV, "division by zero"}, {SIGFPE, FPE_FLTINV, "invalid operation"}, {SIGTRAP, TRAP_BRKPT, "breakpoint"},
        {SIGSYS, 1 /* SYS_SECCOMP */, "system call refused"}};
    if (code == SI_USER || code == SI_QUEUE) return "sent by a process";
    if (code == SI_TKILL) return number == SIGABRT ? "abort" : "sent by a thread";
    if (code == SI_KERNEL) return "by the kernel";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number && known[i].code == code) return known[i].name;
    return "";
}

/* -- where it was -- */

/* Words of this process, however wrong the address. */
static bool mlog__fatal_peek(uint64_t at, void *to, size_t n) {
    struct iovec here = {to, n}, there = {(void *)(uintptr_t)at, n};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* The registers that a walk begins with: {pc, frame pointer, stack pointer}. */
static void mlog__fatal_registers(const ucontext_t *u, uint64_t r[3]) {
    r[0] = r[1] = r[2] = 0;
#if defined(__x86_64__)
    r[0] = (uint64_t)u->uc_mcontext.gregs[REG_RIP];
    r[1] = (uint64_t)u->uc_mcontext.gregs[REG_RBP];
    r[2] = (uint64_t)u->uc_mcontext.gregs[REG_RSP];
#elif defined(__i386__)
    r[0] = (uint32_t)u->uc_mcontext.gregs[REG_EIP];
    r[1] = (uint32_t)u->uc_mcontext.gregs[REG_EBP];
    r[2] = (uint32_t)u->uc_mcontext.gregs[REG_ESP];
#elif defined(__aarch64__)
    r[0] = u->uc_mcontext.pc;
    r[1] = u->uc_mcontext.regs[29];
    r[2] = u->uc_mcontext.sp;
#elif defined(__s390x__)
    r[0] = u->uc_mcontext.psw.addr;
#else
    (void)u;
#endif
}

/* What the handler was called with; one that chains without SA_SIGINFO leaves anything there. */
static void mlog__fatal_look(mlog__crash *c) {
    uint64_t r[3];
    const siginfo_t *info = c->info;
    c->info = NULL; /* until it has proved to be sound */
    if (info == NULL || info->si_signo != c->number) return;
    mlog__fatal_registers(c->context, r);
    c->info = info;
    c->pc = r[0];
    c->frame[c->frames++] = (void *)(uintptr_t)r[0];
}

/* By frame pointers: for programs compiled with them. Each frame lies above the one before it. Behind a jump to a wrong address,
 * the caller's is the word on top of the stack. */
static void mlog__fatal_chain(mlog__crash *c) {
    uint64_t r[3], at;
    uintptr_t next[2];
    if (c->info == NULL) return;
    mlog__fatal_registers(c->context, r);
#if defined(__x86_64__) || defined(__i386__)
    bool jumped = c->info->si_code > 0 && (uint64_t)(uintptr_t)c->info->si_addr == c->pc;
    if (jumped && mlog__fatal_peek(r[2], next, sizeof *next)) c->frame[c->frames++] = (void *)next[0];
#endif
    for (at = r[1]; c->frames < MLOG__FATAL_FRAMES && at >= r[2] && at % sizeof *next == 0; at = next[0]) {
        if (!mlog__fatal_peek(at, next, sizeof next) || next[1] < 4096) return;
        c->frame[c->frames++] = (void *)next[1];
        if (next[0] <= at) return;
    }
}

/* By the tables of the unwinder, from here over the signal's frame down to where it was. A wrong address is in no table, and
 * may be looked at. */
static void mlog__fatal_walk(mlog__crash *c) {
    void *found[MLOG__FATAL_FRAMES + 12];
    int n = mlog__fatal_backtrace == NULL ? 0 : mlog__fatal_backtrace(found, MLOG__FATAL_FRAMES + 12), i = 0;
    while (i < n && (uint64_t)(uintptr_t)found[i] != c->pc) i++;
    for (i++; i < n && c->frames < MLOG__FATAL_FRAMES; i++) c->frame[c->frames++] = found[i];
}

/* -- names of frames: "file+offset", as addr2line takes it -- */

typedef struct { char line[512], file[40]; size_t used; uint64_t base, inode; } mlog__fatal_map;

static const char *mlog__fatal_read_hex(const char *p, uint64_t *v) {
    for (*v = 0;; p++) {
        unsigned digit = *p >= '0' && *p <= '9' ? (unsigned)(*p - '0') : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10 : 16;
        if (digit == 16) return p + (*p != 0);
        *v = *v << 4 | digit;
    }
}

/* A program that is not position-independent has its own addresses in its tables. */
static uint64_t mlog__fatal_base(uint64_t start) {
    uint16_t type = 0;
    return mlog__fatal_peek(start + 16, &type, sizeof type) && type == 2 /* ET_EXEC */ ? 0 : start;
}

/* One line of /proc/self/maps: start-end perms offset dev inode path. */
static void mlog__fatal_mapping(mlog__crash *c, mlog__fatal_map *m) {
    uint64_t start, end, offset;
    char text[20];
    const char *p = mlog__fatal_read_hex(m->line, &start), *slash;
    p = mlog__fatal_read_hex(p, &end);
    p = mlog__fatal_read_hex(p + 5, &offset);
    slash = strrchr(p, '/');
    if (slash == NULL) return;
    if (offset == 0) m->base = mlog__fatal_base(start);
    size_t n = MLOG__MIN(strcspn(slash + 1, " "), sizeof m->file - 1);
    for (uint32_t i = 0; i < c->frames; i++) {
        uint64_t at = (uint64_t)(uintptr_t)c->frame[i];
        if (at < start || at >= end) continue;
        size_t digits = (size_t)(mlog__text_hex(text, at - m->base) - text);
        memcpy(c->text[i], slash + 1, n);
        memcpy(c->text[i] + n, "+0x", 3);
        memcpy(c->text[i] + n + 3, text, MLOG__MIN(digits, sizeof c->text[i] - n - 4));
        c->text[i][n + 3 + MLOG__MIN(digits, sizeof c->text[i] - n - 4)] = 0;
    }
}

/* The kernel's list of mappings: no lock of the loader is asked, and plugins are in it. Without /proc: addresses. */
static void mlog__fatal_describe(mlog__crash *c) {
    char chunk[1024];
    mlog__fatal_map m = {.used = 0};
    for (uint32_t i = 0; i < c->frames; i++) {
        memcpy(c->text[i], "0x", 2);
        *mlog__text_hex(c->text[i] + 2, (uint64_t)(uintptr_t)c->frame[i]) = 0;
        c->name[i] = c->text[i];
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    for (long n; fd >= 0 && (n = syscall(SYS_read, fd, chunk, sizeof chunk)) > 0;)
        for (long i = 0; i < n; i++) {
            if (chunk[i] != '\n') {
                if (m.used < sizeof m.line - 1) m.line[m.used++] = chunk[i];
                continue;
            }
            m.line[m.used] = 0;
            m.used = 0;
            mlog__fatal_mapping(c, &m);
        }
    if (fd >= 0) (void)syscall(SYS_close, fd);
}

/* -- the record, and who writes it -- */

static void mlog__fatal_add(mlog__draft *d, mlog_field *field, const char *key, mlog_value value) {
    field[d->fields].key = key;
    field[d->fields++].value = value;
}

static void mlog__fatal_commit(mlog__crash *c) {
    static const char message[] = "fatal signal";
    const siginfo_t *s = c->info;
    const mlog_where at = {"metalog.h", "mlog__fatal_handler", __LINE__};
    mlog_value slot[5];
    mlog_field field[8];
    char source[64];
    mlog__draft d = {.header = mlog__record_header(MLOG__S_EMIT, 0, MLOG__F_FIELDS), .slot = slot, .slots = 5, .field = field};
    mlog__thread_whole_slots(slot, source, &at, message, sizeof message - 1);
    mlog__fatal_add(&d, field, "signal", mlog__val_s(mlog__fatal_name(c->number)));
    mlog__fatal_add(&d, field, "number", mlog__val_i(c->number));
    if (s != NULL) mlog__fatal_add(&d, field, "code", mlog__val_i(s->si_code));
    if (s != NULL) mlog__fatal_add(&d, field, "reason", mlog__val_s(mlog__fatal_reason(c->number, s->si_code)));
    if (s != NULL && (s->si_code == SI_USER || s->si_code == SI_QUEUE || s->si_code == SI_TKILL))
        mlog__fatal_add(&d, field, "sender", mlog__val_i(s->si_pid));
    else if (s != NULL && c->number == SIGSYS) mlog__fatal_add(&d, field, "syscall", mlog__val_i(s->si_syscall));
    else if (s != NULL) mlog__fatal_add(&d, field, "address", mlog__val_ptr(s->si_addr));
    if (c->frames > 0)
        mlog__fatal_add(&d, field, "backtrace", mlog__val_p(MLOG_K_ARRAY | MLOG__E_TEXT << 8, c->name, c->frames));
    mlog__thread_send_now(&d, MLOG_FATAL);
}

static void mlog__fatal_wait(mlog__crash *c) {
    (void)c;
    mlog__flush_see_crash(MLOG__FATAL_WAIT_MS);
}

/* A timer that hits this thread with the signal that it is handling, and so ends what hangs. By hand: timer_create of older C
 * libraries may start a thread. */
static int mlog__fatal_alarm(int number, uint32_t tid) {
    struct { void *value; int signo, notify; uint32_t tid; char rest[64]; } event = {NULL, number, 4 /* SIGEV_THREAD_ID */, tid, ""};
    const long once[4] = {0, 0, 0, MLOG__FATAL_WALK_MS * 1000000L};
    int timer = -1;
#if __SIZEOF_LONG__ == 8 || defined(SYS_timer_settime)
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return -1;
    (void)syscall(SYS_timer_settime, timer, 0, once, NULL);
#else
    (void)event, (void)once;
#endif
    return timer;
}

/* Runs one step. A fault in it ends it, and only it. */
static void mlog__fatal_try(void (*step)(mlog__crash *), mlog__crash *c) {
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        mlog__fatal_back = &here;
        step(c);
    }
    mlog__fatal_back = NULL;
}

static void mlog__fatal_try_walk(mlog__crash *c, uint32_t tid) {
    int timer = mlog__fatal_alarm(c->number, tid);
    mlog__fatal_try(mlog__fatal_walk, c);
    if (timer >= 0) (void)syscall(SYS_timer_delete, timer);
    if (c->frames < 2) mlog__fatal_try(mlog__fatal_chain, c);
    mlog__fatal_try(mlog__fatal_describe, c);
}

/* Who comes while another crashes waits: the process shall die of the first. Bounded, since the host's handler may save it. */
static void mlog__fatal_take_turns(void) {
    uint64_t now = (uint64_t)mlog__platform_clock(CLOCK_MONOTONIC), since = __atomic_load_n(&mlog__fatal_all.since, __ATOMIC_RELAXED); /* FATAL-1 */
    const uint64_t turn = MLOG__FATAL_TURN_MS * UINT64_C(1000000);
    bool together = since != 0 && now - since < turn;
    /* FATAL-1 */
    if (!together && __atomic_compare_exchange_n(&mlog__fatal_all.since, &since, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
    while ((uint64_t)mlog__platform_clock(CLOCK_MONOTONIC) - since < turn) mlog__platform_nap(1000000);
}

/* The same signal again, for this thread, when the handler has returned. from: what shall meet it; NULL: whoever stands there now. */
static void mlog__fatal_pass_on(mlog__crash *c, const struct sigaction *to, uint32_t tid) {
    sigset_t mask;
    if (to != NULL) (void)sigaction(c->number, to, NULL);
    mlog__platform_sigmask(NULL, &mask);
    sigaddset(&mask, c->number);
    mlog__platform_sigmask(&mask, NULL);
    if (c->info != NULL) sigdelset(&c->context->uc_sigmask, c->number);
    if (c->info == NULL || syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, c->number, c->info) != 0)
        (void)syscall(SYS_tgkill, getpid(), tid, c->number);
}

static bool mlog__fatal_stands(const struct sigaction *there);

/* A host's handler that chains to ours may block what a fault in here must come by. */
static void mlog__fatal_unblock(void) {
    sigset_t mask;
    mlog__platform_sigmask(NULL, &mask);
    for (int i = 0; i < MLOG__FATAL_SIGNALS; i++) sigdelset(&mask, mlog__platform_fatal_list[i]);
    mlog__platform_sigmask(&mask, NULL);
}

static void mlog__fatal_handler(int number, siginfo_t *info, void *context) {
    int saved = errno;
    uint32_t tid = mlog__platform_tid(), who = 0;
    bool nested = mlog__platform_dying == tid;
    if (nested && mlog__fatal_back != NULL) siglongjmp(*mlog__fatal_back, 1);
    if (nested && info != NULL && info->si_code == SI_TIMER) return; /* our alarm, a moment late */
    uint8_t never_wait = mlog__ring_never_wait;
    mlog__crash c;
    c.number = number;
    c.info = info;
    c.context = context;
    c.frames = 0;
    c.pc = 0;
    c.index = 0;
    while (c.index < MLOG__FATAL_SIGNALS - 1 && mlog__platform_fatal_list[c.index] != number) c.index++;
    /* FATAL-1; the same thread twice: a handler that ours was put over has chained to ours, which would go on for ever */
    bool first = __atomic_compare_exchange_n(&mlog__fatal_all.hit[c.index], &who, tid, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    bool again = !first && who == tid;
    mlog__platform_dying = tid;
    mlog__fatal_unblock();
    mlog__fatal_try(mlog__fatal_look, &c);
    if (!nested && !again && mlog__platform_catches()) {
        mlog__fatal_try_walk(&c, tid);
        mlog__fatal_try(mlog__fatal_commit, &c);
        mlog__ring_never_wait = never_wait;
        mlog__fatal_try(mlog__fatal_wait, &c);
        mlog__fatal_take_turns();
    }
    mlog__platform_dying = 0;
    const struct sigaction end = {.sa_handler = SIG_DFL};
    struct sigaction there;
    /* whose turn comes first puts back what was there, whichever thread the signal hit first */
    bool back = first || (sigaction(number, NULL, &there) == 0 && mlog__fatal_stands(&there));
    mlog__fatal_pass_on(&c, again ? &end : back ? &mlog__fatal_all.before[c.index] : NULL, tid);
    errno = saved;
}

/* -- on and off -- */

static bool mlog__fatal_stands(const struct sigaction *there) {
    return (there->sa_flags & SA_SIGINFO) != 0 && there->sa_sigaction == mlog__fatal_handler;
}

/* Loads what a backtrace needs; without our locks, since it takes the loader's. */
static void mlog__fatal_warm(void) {
    static uint32_t warm;
    void *one[1];
    if (mlog__fatal_backtrace == NULL || __atomic_exchange_n(&warm, 1, __ATOMIC_RELAXED) != 0) return; /* PLATFORM-1 */
    (void)mlog__fatal_backtrace(one, 1);
}

/* Which instance of a process catches: no file has these numbers. */
static const mlog__instance *mlog__fatal_rival(void) { return mlog__platform_rival(UINT64_MAX, 1); }

static void mlog__fatal_claim(bool yes) {
    mlog__u64(*file)[2] = mlog1_instance.file;
    int *claim = &mlog__fatal_all.claim;
    if (!yes && *claim != 0) __atomic_store_n(&file[*claim - 1][1], 0, __ATOMIC_RELEASE), *claim = 0; /* SINK-1 */
    for (int i = 63; yes && i >= 0 && *claim == 0; i--) {
        uint64_t none = 0;
        /* SINK-1 */
        if (!__atomic_compare_exchange_n(&file[i][1], &none, UINT64_MAX, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
        file[i][0] = UINT64_MAX;
        __atomic_store_n(&file[i][1], 1, __ATOMIC_SEQ_CST); /* SINK-1 */
        *claim = i + 1;
    }
}

/* Ours come before what stands there; what the host has put over ours stays. Off: what stood there comes back, where ours still
 * stands. Under the configuration's lock. */
static void mlog__fatal_set(bool on) {
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, there;
    ours.sa_sigaction = mlog__fatal_handler;
    sigfillset(&ours.sa_mask);
    for (int i = 0; i < MLOG__FATAL_SIGNALS; i++) sigdelset(&ours.sa_mask, mlog__platform_fatal_list[i]);
    __atomic_store_n(&mlog__platform_catching, on, __ATOMIC_RELAXED); /* FATAL-2 */
    mlog__fatal_claim(on);
    if (on) mlog__platform_give_stack();
    for (int i = 0; i < MLOG__FATAL_SIGNALS; i++) {
        int number = mlog__platform_fatal_list[i];
        if (sigaction(number, NULL, &there) != 0) continue;
        bool stands = mlog__fatal_stands(&there);
        if (!on && stands) (void)sigaction(number, &mlog__fatal_all.before[i], NULL);
        if (!on || stands || ((there.sa_flags & SA_SIGINFO) == 0 && there.sa_handler == SIG_IGN)) continue;
        mlog__fatal_all.before[i] = there;
        __atomic_store_n(&mlog__fatal_all.hit[i], 0, __ATOMIC_RELAXED); /* FATAL-1 */
        (void)sigaction(number, &ours, NULL);
    }
}

/* ==== life ====
 * Configuration, start, flush on demand, the end, and what a forked child does first.
 * owns: the resolved configuration, start and stop, fork, exit, mlog_why, loggers
 * may call: store recover platform clock record dict rule context ring thread text format filter pattern binary sink flush capture fatal
 */

enum { MLOG__L_NOT, MLOG__L_RUNNING };

static struct {
    mlog_config config;          /* as mlog_init resolved it; strings are ours */
    mlog__lock lock;             /* over configuration: never taken by a logging call that is not the first */
    uint32_t state;
    uint32_t *witness;           /* [0]: 1; [1]: the thread that adopts; [2]: pid; a page that is zero in every child */
    int64_t (*now)(void);
    int64_t exit_deadline __attribute__((aligned(8)));
    uint32_t whole;              /* of the lanes' memory, lanes [0, whole) are at rest in the middle of a fork */
    uint32_t hooks;              /* atexit, atfork, key: once per program */
    bool levels_said;            /* by mlog_levels */
    mlog__u64 suppressed;        /* statements that mlog_every and mlog_limit left out */
} mlog__life = {.lock = MLOG__LOCK_FREE};

MLOG__TLS char mlog__life_said[256];
MLOG__TLS uint8_t mlog__life_inside; /* this thread holds the configuration lock: a handler on top of it must not */
#ifndef METALOG_NO_THREADS
MLOG__TLS uint8_t mlog__life_forking; /* between the fork handlers: 1, or 2 with role held, 3 with lane 1's lock, too */
#endif
MLOG__TLS int mlog__life_cancel;

/* Returns -1, so that a refusal is one statement. */
static int mlog__life_why(const char *format, ...) {
    char raw[sizeof mlog__life_said], clean[6 * sizeof raw + 32]; /* it may quote what the environment says: for a terminal */
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    size_t n = (size_t)(mlog__text_console(clean, raw, strlen(raw)) - clean);
    if (n >= sizeof raw) n = mlog__text_utf8_cut(clean, sizeof raw - 1);
    memcpy(mlog__life_said, clean, n);
    mlog__life_said[n] = 0;
    return -1;
}

const char *mlog_why(void) { return mlog__life_said; }

/* A child without adoption yet? The witness is zero there, also after a raw clone. */
static bool mlog__life_is_child(void) {
    const uint32_t *witness = __atomic_load_n(&mlog__life.witness, __ATOMIC_ACQUIRE); /* LIFE-6 */
    return witness != NULL && __atomic_load_n(witness, __ATOMIC_ACQUIRE) == 0; /* LIFE-6 */
}

/* LIFE-1 */
static bool mlog__life_running(void) { return __atomic_load_n(&mlog__life.state, __ATOMIC_ACQUIRE) == MLOG__L_RUNNING; }

static bool mlog__life_adopt(void);

/* Is this a callback: on one of the library's own threads, or in a pass that this thread makes? */
static bool mlog__life_on_lane(void) {
    return mlog__flush_mine != 0 || mlog__flush_lane != 0;
}

static void mlog__life_lock(void) { /* what happens under it opens files: not to be cancelled there */
    if (mlog__life_is_child()) (void)mlog__life_adopt(); /* the lock may be held by a thread that this process does not have */
    int state = mlog__platform_no_cancel();
    mlog__ring_never_wait++;
    mlog__platform_lock(&mlog__life.lock);
    mlog__life_cancel = state;
    mlog__life_inside = 1;
}

static void mlog__life_unlock(void) {
    int state = mlog__life_cancel;
    mlog__life_inside = 0;
    mlog__platform_unlock(&mlog__life.lock);
    mlog__ring_never_wait--;
    mlog__platform_cancel(state);
}

/* -- time, as the configuration has it -- */

/* The program's clock when it gave one (tests, simulators), else the system's. */
static uint64_t mlog__life_ticks(void) {
    int64_t (*now)(void) = __atomic_load_n(&mlog__life.now, __ATOMIC_RELAXED); /* LIFE-2 */
    return now != NULL ? (uint64_t)now() : (uint64_t)mlog__platform_clock(CLOCK_MONOTONIC);
}

/* The moment of a pass, in the ticks of the records. */
static uint64_t mlog__life_now(void) {
    uint32_t mode = __atomic_load_n(&mlog__dict_session->clock_mode, __ATOMIC_RELAXED); /* LIFE-2 */
    if (mode == MLOG__TICKS_GIVEN) return UINT64_MAX;
    return mode == MLOG__TICKS_SYSTEM || !mlog__clock_invariant_known() ? (uint64_t)mlog__platform_clock(CLOCK_MONOTONIC)
                                                                        : mlog__clock_counter();
}

static uint32_t mlog__life_pair_mode(void) {
    uint32_t mode = __atomic_load_n(&mlog__dict_session->clock_mode, __ATOMIC_RELAXED); /* LIFE-2 */
    return mode == MLOG__TICKS_SYSTEM || !mlog__clock_invariant_known() ? MLOG__TICKS_SYSTEM : MLOG__TICKS_COUNTER;
}

/* A given clock needs no pairs: its ticks are UTC. */
static void mlog__life_take_pair(mlog__desk *desk, bool now) {
    /* LIFE-2 */
    if (__atomic_load_n(&mlog__life.now, __ATOMIC_RELAXED) == NULL) mlog__clock_update(desk->pairs, mlog__life_pair_mode(), now);
}

static int64_t mlog__life_utc(mlog__desk *desk, uint64_t ticks) {
    /* LIFE-2 */
    if (__atomic_load_n(&desk->session->clock_mode, __ATOMIC_RELAXED) == MLOG__TICKS_GIVEN) return (int64_t)ticks;
    return mlog__clock_utc(&desk->clock, desk->pairs, ticks);
}

/* -- configuration -- */

/* Refuses what is absurd or not built yet, before anything changes. */
static int mlog__life_check(const mlog_config *c) {
    const char *field = c->file != NULL                                        ? "file"
                        : c->watch == MLOG_YES                                 ? "watch"
                        : c->control != NULL                                   ? "control"
                        : c->recorder_level != 0                               ? "recorder_level"
                                                                               : NULL;
    if (field != NULL) return mlog__life_why("mlog_init: field %s: not part of this version; expected 0", field);
#ifdef METALOG_NO_FILES
    if (c->crash_safe == MLOG_YES) return mlog__life_why("mlog_init: crash_safe: METALOG_NO_FILES is defined; expected MLOG_NO or 0");
#endif
    if ((unsigned)c->crash_safe > MLOG_NO)
        return mlog__life_why("mlog_init: crash_safe %d: expected MLOG_AUTO, MLOG_YES or MLOG_NO", (int)c->crash_safe);
    if (c->ring_dir != NULL && (strlen(c->ring_dir) == 0 || strlen(c->ring_dir) >= sizeof mlog__store.dir))
        return mlog__life_why("mlog_init: ring_dir \"%.40s\": expected a path of 1 to %d bytes", c->ring_dir, (int)sizeof mlog__store.dir - 1);
    if (c->catch_fatal == MLOG_YES && mlog__fatal_rival() != NULL)
        return mlog__life_why("mlog_init: catch_fatal: another metalog (%.19s) in this process catches fatal signals; expected one",
                              mlog__fatal_rival()->version);
    if ((unsigned)c->clock > MLOG_ARRIVAL)
        return mlog__life_why("mlog_init: clock %d: expected MLOG_COUNTER or MLOG_ARRIVAL", (int)c->clock);
    if ((unsigned)c->full > MLOG_DROP)
        return mlog__life_why("mlog_init: full %d: expected MLOG_WAIT, MLOG_BLOCK or MLOG_DROP", (int)c->full);
    if ((unsigned)c->flusher > MLOG_DIRECT) return mlog__life_why("mlog_init: flusher %d: expected MLOG_THREAD, MLOG_POLL or MLOG_DIRECT", (int)c->flusher);
#ifdef METALOG_NO_THREADS
    if (c->flusher == MLOG_THREAD)
        return mlog__life_why("mlog_init: flusher MLOG_THREAD: METALOG_NO_THREADS is defined; expected MLOG_POLL or MLOG_DIRECT");
#endif
    if (c->full_ms < 0 || c->exit_ms < 0)
        return mlog__life_why("mlog_init: full_ms %d, exit_ms %d: expected milliseconds >= 0", c->full_ms, c->exit_ms);
    if (c->ring_bytes != 0 && (c->ring_bytes < 4096 || c->ring_bytes > 32u << 20))
        return mlog__life_why("mlog_init: ring_bytes %u: expected 4096 to 33554432", c->ring_bytes);
    if (c->rings_total != 0 && c->rings_total < 128 << 10)
        return mlog__life_why("mlog_init: rings_total %llu: expected at least 131072", (unsigned long long)c->rings_total);
    if (c->env != NULL && (strlen(c->env) == 0 || strlen(c->env) > 40))
        return mlog__life_why("mlog_init: env \"%.40s\": expected a prefix of 1 to 40 bytes, or \"-\"", c->env);
    return 0;
}

/* Into the form that rules read: lower case, each name with its NUL. */
static int mlog__life_redact(char out[256], const char *list) {
    size_t n = 0;
    memset(out, 0, 256);
    if (list == NULL) list = "password,passwd,secret,token,authorization,api_key";
    if (strcmp(list, "-") == 0) list = "";
    if (strlen(list) > 250) return mlog__life_why("mlog_init: redact: expected at most 250 bytes of names");
    for (const char *p = list; *p != 0; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (c == ' ' || (c == ',' && (n == 0 || out[n - 1] == 0))) continue;
        out[n++] = c == ',' ? 0 : c;
    }
    if (n > 0 && out[n - 1] != 0) out[n++] = 0;
    out[n] = 0;
    return 0;
}

/* Rules by precedence: the struct, then the environment. Text of the environment that is bad is refused whole, with a record. */
static int mlog__life_rules(const mlog_config *c, mlog__rule_set *set, char *complaint, size_t size) {
    const char *env = c->env == NULL ? "METALOG" : c->env;
    *complaint = 0;
    if (mlog__rule_parse(set, c->levels == NULL ? "" : c->levels, "levels") != 0) return -1;
    const char *text = strcmp(env, "-") == 0 ? NULL : secure_getenv(env);
    if (text == NULL) return 0;
    mlog__rule_set fresh;
    if (mlog__rule_parse(&fresh, text, env) == 0) *set = fresh;
    else snprintf(complaint, size, "%s", mlog__life_said);
    return 0;
}

static int mlog__life_free_sink(void) {
    for (int i = 0; i < MLOG__SINKS; i++)
        if (!mlog__flush_all.sink[i].used) return i;
    return -1;
}

static mlog_capture *mlog__life_captures; /* the one that is under way */

/* Does a capture keep the records from the other sinks? No more, once mlog_shutdown has taken its sink. */
static bool mlog__life_capturing(void) {
    const mlog_capture *c = mlog__life_captures;
    return c != NULL && c->sink->used && c->sink->capture == c;
}

#ifndef METALOG_NO_FILES
/* Room for all rings that there may be, and for those of another program: a container's 64 MiB are soon full. */
static bool mlog__life_roomy(const char *place) {
    struct statvfs st;
    return statvfs(place, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= 2 * mlog__life.config.rings_total;
}

/* Where the files of the rings lie, unless the configuration says it: in memory that outlives the process; a container's first process
 * takes its /dev/shm with it, so there they lie beside the log. */
static void mlog__life_ring_dir(char dir[PATH_MAX], const mlog_sink *opened, uint32_t n, bool shm) {
    if (mlog__life.config.ring_dir != NULL) {
        snprintf(dir, PATH_MAX, "%s", mlog__life.config.ring_dir);
        return;
    }
    snprintf(dir, PATH_MAX, "/dev/shm/metalog-%u", (unsigned)geteuid());
    if (shm && getpid() != 1 && mlog__life_roomy("/dev/shm")) return;
    for (uint32_t i = 0; i < n; i++) {
        if (!opened[i].regular || opened[i].config.path == NULL) continue;
        const char *slash = strrchr(opened[i].config.path, '/');
        int len = slash == NULL ? 1 : (int)(slash - opened[i].config.path);
        snprintf(dir, PATH_MAX, "%.*s/.metalog-rings", len, slash == NULL ? "." : opened[i].config.path);
        return;
    }
}

/* Rings become files as soon as there is a file sink, or crash_safe asks for it; then what dead processes left for these sinks is
 * written. Under `role`. A place that fails costs a warning, not the log. */
static void mlog__life_make_safe(mlog_sink *opened, uint32_t n, char *complaint, size_t size) {
    mlog_choice choice = mlog__life.config.crash_safe;
    bool file = false;
    char dir[PATH_MAX];
    for (uint32_t i = 0; i < n; i++) file = file || opened[i].key != 0;
    if (choice == MLOG_NO || (choice == MLOG_AUTO && !file)) return;
    bool before = mlog__store.on != 0;
    mlog__life_ring_dir(dir, opened, n, true);
    int failed = mlog__store_begin(dir), error = errno;
    if (failed && mlog__life.config.ring_dir == NULL) {
        mlog__life_ring_dir(dir, opened, n, false);
        failed = mlog__store_begin(dir);
    }
    if (failed) {
        snprintf(complaint, size, "crash_safe: ring directory \"%.100s\": %s; expected one of ours, mode 0700, with room: records die with the process",
                 dir, strerror(error));
        return;
    }
    for (uint32_t slot = 1; slot * 2 < mlog__flush_rings() && !before; slot++) /* threads that logged before get new rings */
        for (int i = 0; i < 3; i++) __atomic_store_n(&mlog__thread_page(slot)->level[i].clock, MLOG__TICKS_LOOK, __ATOMIC_RELAXED); /* LIFE-2 */
    uint32_t gone = mlog__recover_all(opened, n);
    if (gone != 0)
        snprintf(complaint, size, "crash_safe: %u dead processes' records in \"%.100s\" were removed: nobody came to recover them", gone, mlog__store.dir);
}
#endif

/* From here on its batches are promised, from the positions that it begins with. */
static void mlog__life_promise(mlog_sink *s, uint32_t number) {
    s->session = NULL;
    if (!mlog__store.on) return;
    mlog__promise *p = &mlog__dict_session->promise[number];
    memset(p, 0, sizeof *p);
    if (s->key == 0) return;
    for (uint32_t k = 0, n = mlog__flush_rings(); k < n; k++) {
        mlog__ring *r = mlog__flush_ring(k);
        if (r != NULL && r->filed) __atomic_store_n(&r->cur[number], s->done[k], __ATOMIC_RELAXED); /* STORE-3 */
    }
    s->session = mlog__dict_session;
    s->rings = mlog__ring_list;
    s->number = number;
    s->promised = false;
    __atomic_store_n(&p->key, s->key, __ATOMIC_RELEASE); /* STORE-3 */
}

/* Puts an opened sink into a free place, from the present heads on; under `role`. */
static mlog_sink *mlog__life_install(const mlog_sink *opened, bool of_init) {
    int i = mlog__life_free_sink();
    if (i < 0) return NULL;
    mlog_sink *s = &mlog__flush_all.sink[i];
    size_t skip = offsetof(mlog_sink, name); /* `used` is set last */
    memcpy((char *)s + skip, (const char *)opened + skip, sizeof *s - skip);
    mlog__platform_lock_init(&s->lock);
    s->of_init = of_init;
    s->desk = &mlog__flush_all.desk[s->lane1];
    if (mlog__life_capturing()) mlog__life_captures->level[i] = s->config.level, s->config.level = MLOG_OFF + 1;
    for (uint32_t k = 0, n = mlog__flush_rings(); k < n; k++) {
        mlog__ring *r = mlog__flush_ring(k);
        if (r == NULL) continue;
        uint64_t from = of_init ? MLOG__MAX(r->tail, mlog__flush_all.handed[s->lane1][k])
                                : __atomic_load_n(&r->head, __ATOMIC_ACQUIRE); /* RING-1 */
        s->next[k] = s->done[k] = from; /* the program's own sinks also get what was logged before the start */
    }
    mlog__life_promise(s, (uint32_t)i);
    __atomic_store_n(&s->used, true, __ATOMIC_RELEASE); /* FLUSH-6 */
    return s;
}

static void mlog__life_floor(void) { /* levels that no sink takes need not be logged at all */
    int floor = MLOG_OFF;
    bool any = false;
    for (int i = 0; i < MLOG__SINKS; i++)
        if (mlog__flush_all.sink[i].used) any = true, floor = MLOG__MIN(floor, mlog__flush_all.sink[i].config.level);
    mlog__rule_floor(any ? floor : 0);
}

/* What is to be called when no lock is held any more: close() may log, ask for statistics, add a sink. */
typedef struct { uint32_t count; struct { void (*close)(void *); void *user; } of[MLOG__SINKS]; } mlog__closing;

static void mlog__life_close(const mlog__closing *closing) {
    for (uint32_t i = 0; i < closing->count; i++) closing->of[i].close(closing->of[i].user);
}

/* What was held back: its records count as read, and would be lost with the sink when another one has written them. */
static void mlog__life_write_held(mlog_sink *s) {
    mlog__held held;
    if (s->lane1 || s->dead || s->out.len == 0 || s->config.type == MLOG_NULL) return;
    mlog__flush_hold(&held);
    if (mlog__sink_write(s, mlog__flush_rings()) != 0) mlog__sink_commit(s, mlog__flush_rings());
    mlog__flush_let_go(&held);
}

/* A callback that stopped in the middle of a batch: its successor begins behind what it had; with a flush(), before. */
static void mlog__life_note_delivered(mlog_sink *s) {
    for (size_t at = 0; s->lane1 && s->config.flush == NULL && at < s->sent;) {
        mlog__stashed head;
        uint64_t header;
        memcpy(&head, s->out.p + at, sizeof head);
        memcpy(&header, s->out.p + at + sizeof head, 8);
        if (head.why == 0) s->done[head.ring] = MLOG__MAX(s->done[head.ring], head.pos + mlog__record_bytes(header));
        at += sizeof head + (size_t)mlog__record_bytes(header);
    }
}

/* Takes a sink out; under `lane1`, the configuration's lock and `role`, taken in this order, so that a slow callback delays only who
 * waits for its end. */
static void mlog__life_take_out(mlog_sink *s, mlog__closing *closing) {
    mlog__life_write_held(s);
    mlog__life_note_delivered(s);
    if (s->session != NULL) __atomic_store_n(&s->session->promise[s->number].key, 0, __ATOMIC_RELEASE); /* STORE-3 */
    __atomic_store_n(&s->used, false, __ATOMIC_RELEASE); /* FLUSH-6 */
    for (uint32_t k = 0, n = mlog__flush_rings(); s->of_init && k < n; k++)
        mlog__flush_all.handed[s->lane1][k] = MLOG__MAX(mlog__flush_all.handed[s->lane1][k], s->done[k]);
    if (s->config.close != NULL) {
        closing->of[closing->count].close = s->config.close;
        closing->of[closing->count++].user = s->config.user;
    }
    mlog__sink_discard(s);
}

/* All of them, or those of mlog_init. A lane that had none begins where the other one got to. */
static void mlog__life_take_all(bool of_init, mlog__closing *closing) {
    bool had[2] = {false, false};
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!s->used || (of_init && !s->of_init)) continue;
        if (s->of_init) had[s->lane1] = true;
        mlog__life_take_out(s, closing);
    }
    uint64_t(*handed)[MLOG__RINGS] = mlog__flush_all.handed;
    if (had[0] != had[1]) memcpy(handed[had[0]], handed[had[1]], sizeof handed[0]);
}

/* Asks callback sinks to stop behind the present callback, so that who wants to change sinks waits for one call only. */
static void mlog__life_hurry(bool yes, bool of_init) {
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (!__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) || (of_init && !s->of_init)) continue; /* FLUSH-6 */
        __atomic_store_n(&s->closing, yes, __ATOMIC_RELAXED); /* FLUSH-7 */
    }
}

/* A pair to tell times by before the first pass. Who makes a pass right now takes one itself: the table has one writer. */
static void mlog__life_first_pair(void) {
    if (!mlog__platform_trylock(&mlog__flush_all.role)) return;
    mlog__life_take_pair(&mlog__flush_all.desk[0], true);
    mlog__platform_unlock(&mlog__flush_all.role);
}

/* MLOG_POLL, MLOG_DIRECT: threads that an earlier configuration or the first call started end by themselves. */
static void mlog__life_end_threads(void) {
    uint32_t then = mlog__flush_all.mode == MLOG_POLL ? 0 : 3;
    uint32_t was = __atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED); /* FLUSH-1 */
    if (mlog__flush_all.running0 || mlog__flush_all.running1) {
        __atomic_store_n(&mlog__flush_all.running0, 0, __ATOMIC_RELAXED);     /* FLUSH-3 */
        __atomic_store_n(&mlog__flush_all.running1, 0, __ATOMIC_RELAXED);     /* FLUSH-3 */
        __atomic_fetch_add(&mlog__flush_all.generation, 1, __ATOMIC_RELAXED); /* FLUSH-14 */
        __atomic_fetch_add(&mlog__flush_all.kick0, 1, __ATOMIC_SEQ_CST);      /* FLUSH-4 */
        mlog__platform_wake(&mlog__flush_all.kick0);
        mlog__flush_kick1();
    }
    if (!mlog__flush_all.ready) mlog__life_first_pair();
    __atomic_store_n(&mlog__ring_all.alone, 1, __ATOMIC_RELEASE);  /* FLUSH-13 */
    __atomic_store_n(&mlog__flush_all.ready, 1, __ATOMIC_RELAXED); /* FLUSH-15 */
    while (was != 2 && /* not when the process exits */
           /* FLUSH-1 */
           !__atomic_compare_exchange_n(&mlog__ring_all.asleep, &was, then, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {}
}

#ifndef METALOG_NO_THREADS
static bool mlog__life_run_threads(bool callbacks) {
    uint32_t direct = 3;
    void *generation = (void *)(uintptr_t)mlog__flush_all.generation;
    __atomic_compare_exchange_n(&mlog__ring_all.asleep, &direct, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); /* FLUSH-1 */
    if (!mlog__flush_all.running0) {
        mlog__life_first_pair();
        bool up = mlog__platform_thread(mlog__flush_run, generation);
        __atomic_store_n(&mlog__flush_all.running0, up, __ATOMIC_RELAXED); /* FLUSH-3 */
    }
    if (callbacks && mlog__flush_all.running0 && !mlog__flush_all.running1) {
        bool up = mlog__platform_thread(mlog__flush_run1, generation);
        __atomic_store_n(&mlog__flush_all.running1, up, __ATOMIC_RELAXED); /* FLUSH-3 */
    }
    __atomic_store_n(&mlog__ring_all.alone, !mlog__flush_all.running0, __ATOMIC_RELEASE); /* FLUSH-13 */
    return mlog__flush_all.running0;
}
#endif

/* Starts what is not running. Lane 1 only when there is a callback: most programs have one library thread. */
static bool mlog__life_run_lanes(void) {
    bool callbacks = false;
    for (int i = 0; i < MLOG__SINKS; i++)
        callbacks = callbacks || (mlog__flush_all.sink[i].used && mlog__flush_all.sink[i].lane1);
    for (int i = 0; i < 2; i++) {
        mlog__desk *desk = &mlog__flush_all.desk[i];
        static mlog__clock_table table1;
        mlog__clock_table *pairs = i == 0 ? &mlog__dict_session->clock : &table1;
        if (desk->pairs != pairs) { /* a lane that runs already reads it */
            desk->session = mlog__dict_session;
            desk->infos = mlog__format_infos;
            desk->pairs = pairs;
        }
        if (i == 1 && callbacks && !mlog__flush_all.running1 && mlog__flush_all.running0) { /* lane 0 knows the counter's rate */
            mlog__platform_lock(&mlog__flush_all.role);
            table1 = mlog__dict_session->clock;
            mlog__platform_unlock(&mlog__flush_all.role);
        }
        if (mlog__flush_all.merge[i] == NULL)
            mlog__flush_all.merge[i] = mlog__platform_map(MLOG__RINGS * sizeof(mlog__source), false, false);
        if (mlog__flush_all.merge[i] == NULL) return false;
    }
#ifndef METALOG_NO_THREADS
    if (mlog__flush_all.mode == MLOG_THREAD) return mlog__life_run_threads(callbacks);
#endif
    mlog__life_end_threads();
    return true;
}

/* Before the first start, and without a lock: dlclose of a plugin waits for ours while it holds the linker's. */
static void mlog__life_pin(void) {
    static uint32_t pinned;
    if (__atomic_exchange_n(&pinned, 1, __ATOMIC_RELAXED) == 0) mlog__platform_pin(&pinned); /* PLATFORM-1 */
}

static void mlog__life_exit(void);
#ifndef METALOG_NO_THREADS
static void mlog__life_before_fork(void);
static void mlog__life_after_fork(void);
static void mlog__life_in_child(void);
#endif

/* Once per program: the end of threads, exit, fork, and the page that tells a child what it is. */
static void mlog__life_hook(void) {
    if (mlog__life.hooks) return;
    mlog__life.hooks = 1;
#ifndef METALOG_NO_THREADS
    if (pthread_key_create(&mlog__thread_all.key, mlog__thread_exit) == 0)
        __atomic_store_n(&mlog__thread_all.key_made, 1, __ATOMIC_RELEASE); /* THREAD-8 */
    pthread_atfork(mlog__life_before_fork, mlog__life_after_fork, mlog__life_in_child);
#else
    mlog__platform_home = getpid();
#endif
    atexit(mlog__life_exit);
    uint32_t *page = mlog__platform_map(MLOG__PAGE, false, false);
    if (page == NULL) return; /* no witness: children are noticed by their wiped threads only */
    (void)mlog__platform_wipe_in_child(page, MLOG__PAGE);
    *page = 1;
    __atomic_store_n(&mlog__life.witness, page, __ATOMIC_RELEASE); /* LIFE-6 */
}

/* Everything that mlog_init decides, resolved in one place: zero means default. */
static void mlog__life_resolve(const mlog_config *c) {
    mlog_config *r = &mlog__life.config;
    char *old[5 + 8 * 4] = {(char *)(uintptr_t)r->name, (char *)(uintptr_t)r->levels, (char *)(uintptr_t)r->env,
                            (char *)(uintptr_t)r->redact, (char *)(uintptr_t)r->ring_dir};
    mlog_config fresh = *c;
    for (int i = 0; i < 8; i++) { /* for a start after mlog_shutdown */
        mlog_sink_config *s = &fresh.sinks[i], *before = &r->sinks[i];
        old[5 + 4 * i] = (char *)(uintptr_t)before->name, s->name = mlog__sink_copy(s->name);
        old[6 + 4 * i] = (char *)(uintptr_t)before->path, s->path = mlog__sink_copy(s->path);
        old[7 + 4 * i] = (char *)(uintptr_t)before->owner, s->owner = mlog__sink_copy(s->owner);
        old[8 + 4 * i] = (char *)(uintptr_t)before->where, s->where = mlog__sink_copy(s->where);
    }
    char *layout[8];
    for (int i = 0; i < 8; i++)
        layout[i] = (char *)(uintptr_t)r->sinks[i].pattern, fresh.sinks[i].pattern = mlog__sink_copy(c->sinks[i].pattern);
    fresh.name = mlog__sink_copy(c->name);
    fresh.levels = mlog__sink_copy(c->levels);
    fresh.env = mlog__sink_copy(c->env);
    fresh.redact = mlog__sink_copy(c->redact);
    fresh.ring_dir = mlog__sink_copy(c->ring_dir);
    fresh.clock = c->clock == 0 ? MLOG_COUNTER : c->clock;
    fresh.full = c->full == 0 ? MLOG_WAIT : c->full;
    fresh.full_ms = c->full_ms == 0 ? 100 : c->full_ms;
    fresh.exit_ms = c->exit_ms == 0 ? 2000 : c->exit_ms;
    fresh.ring_bytes = c->ring_bytes == 0 ? 1u << 20 : c->ring_bytes;
    while (fresh.ring_bytes & (fresh.ring_bytes - 1))
        fresh.ring_bytes += fresh.ring_bytes & -fresh.ring_bytes; /* up to a power of two */
    fresh.rings_total = c->rings_total == 0 ? 64u << 20 : c->rings_total;
#ifdef METALOG_NO_THREADS
    fresh.flusher = c->flusher == 0 ? MLOG_DIRECT : c->flusher;
#else
    fresh.flusher = c->flusher == 0 ? MLOG_THREAD : c->flusher;
#endif
    *r = fresh;
    __atomic_store_n(&mlog__flush_all.mode, (uint32_t)r->flusher, __ATOMIC_RELAXED); /* FLUSH-15 */
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) free(old[i]);
    for (int i = 0; i < 8; i++) free(layout[i]);
    mlog__format_name_program(r->name);
    __atomic_store_n(&mlog__life.now, r->now, __ATOMIC_RELAXED); /* LIFE-2 */
    __atomic_store_n(&mlog__ring_all.full, (uint32_t)r->full, __ATOMIC_RELAXED); /* LIFE-2 */
    __atomic_store_n(&mlog__ring_all.full_ms, (uint32_t)r->full_ms, __ATOMIC_RELAXED); /* LIFE-2 */
    __atomic_store_n(&mlog__ring_all.bytes_each, r->ring_bytes, __ATOMIC_RELAXED); /* LIFE-2 */
    __atomic_store_n(&mlog__ring_all.total_limit, r->rings_total, __ATOMIC_RELAXED); /* LIFE-2 */
    uint32_t mode = r->now != NULL ? MLOG__TICKS_GIVEN : r->clock == MLOG_ARRIVAL ? MLOG__TICKS_ARRIVAL
        : mlog__clock_invariant_known() ? MLOG__TICKS_COUNTER : MLOG__TICKS_SYSTEM;
    for (int i = 0; i < MLOG__SINKS && mode != mlog__dict_session->clock_mode; i++) /* ticks of another clock do not compare */
        mlog__flush_all.sink[i].last_ticks = 0, mlog__flush_all.sink[i].last_time = 0;
    __atomic_store_n(&mlog__dict_session->clock_mode, mode, __ATOMIC_RELAXED); /* LIFE-2 */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                                   /* LIFE-2 with mlog__thread_make */
    for (uint32_t slot = 1; slot * 2 < mlog__flush_rings(); slot++) /* threads that logged before */
        for (int i = 0; i < 3; i++) {
            mlog__thread *t = &mlog__thread_page(slot)->level[i];
            __atomic_store_n(&t->clock, mode, __ATOMIC_RELAXED); /* LIFE-2 */
            if (__atomic_load_n(&t->own_policy, __ATOMIC_RELAXED)) continue; /* LIFE-2 */
            __atomic_store_n(&t->policy, (uint32_t)r->full, __ATOMIC_RELAXED); /* LIFE-2 */
        }
}

static uint32_t mlog__life_count_sinks(const mlog_config *c) {
    uint32_t n = 0;
    while (n < 8 && c->sinks[n].type != 0) n++;
    return n;
}

/* The library's own complaints are records, too. */
static void mlog__life_say(int level, const char *text) {
    mlog_event e = {.at = {"metalog.h", __func__, __LINE__}, .level = level, .msg = text};
    mlog_emit(&e);
}

/* After the first start: two instances have threads, sinks, rules and contexts of their own, which is seldom what somebody wants. */
static void mlog__life_look_around(void) {
    char text[200];
    if (__atomic_exchange_n(&mlog1_instance.running, 1, __ATOMIC_SEQ_CST) != 0) return; /* SINK-1 */
    const mlog__instance *other = mlog__platform_rival(0, 0);
    if (other == NULL) return;
    snprintf(text, sizeof text, "another metalog (%.19s) runs in this process: this one has its own sinks, rules and contexts", other->version);
    mlog__life_say(MLOG_WARN, text);
}

/* Applies a configuration whole or not at all; under the configuration lock. */
static int mlog__life_apply(const mlog_config *c, char *complaint, size_t size, mlog__closing *closing) {
#ifdef METALOG_SHIM_ERR
    static const mlog_sink_config console = {.type = MLOG_CONSOLE, .format = MLOG_PLAIN}; /* for those who read it there today */
#else
    static const mlog_sink_config console = {.type = MLOG_CONSOLE};
#endif
    mlog__rule_set rules;
    mlog_sink opened[8];
    char redact[256];
    uint32_t n = mlog__life_count_sinks(c), made = 0;
    if (mlog__life_check(c) != 0 || mlog__life_redact(redact, c->redact) != 0 ||
        mlog__life_rules(c, &rules, complaint, size) != 0)
        return -1;
    if (mlog__dict_open() == NULL || !mlog__thread_pages_open()) return mlog__life_why("mlog_init: no memory");
    for (uint32_t i = n; i < 8; i++)
        if (c->sinks[i].type != 0) return mlog__life_why("mlog_init: sinks[%u]: expected the sinks without a gap", i);
    for (uint32_t i = 0; i < n; i++) /* before the first is opened: a refusal leaves no empty file */
        if (mlog__sink_check(&c->sinks[i]) != 0) return -1;
    for (; made < MLOG__MAX(n, 1u); made++)
        if (mlog__sink_open(&opened[made], n == 0 ? &console : &c->sinks[made]) != 0) break;
    if (made < n || (n == 0 && made == 0 && mlog__life_said[0] == 0)) {
        while (made > 0) mlog__sink_discard(&opened[--made]);
        return -1;
    }
    mlog__life_hook();
    mlog__platform_lock(&mlog__flush_all.role);
    mlog__life_take_all(true, closing);
    mlog__life_resolve(c);
    mlog__rule_redact(redact);
#ifndef METALOG_NO_FILES
    mlog__life_make_safe(opened, made, complaint, size);
#endif
    for (uint32_t i = 0; i < made; i++) (void)mlog__life_install(&opened[i], true);
    mlog__platform_unlock(&mlog__flush_all.role);
    /* mlog_levels wins over everything, also over a later mlog_init; the rules of a capture stay until its end */
    if (!mlog__life.levels_said && mlog__life_capturing() && mlog__life_captures->ruled) mlog__life_captures->rules = rules;
    else if (!mlog__life.levels_said) mlog__rule_set_now(&rules);
    mlog__life_floor();
    __atomic_store_n(&mlog__life.state, MLOG__L_RUNNING, __ATOMIC_RELEASE); /* LIFE-1 with mlog__life_start */
    mlog__fatal_set(c->catch_fatal == MLOG_YES);
    (void)mlog__life_run_lanes();
    return 0;
}


/* -- a forked child -- */

/* The child keeps the sinks and their descriptors; positions, batches and counts were the parent's. */
static void mlog__life_reset_sink(mlog_sink *s, bool whole) {
    memset(s->next, 0, 2 * MLOG__RINGS * sizeof *s->next);
    mlog__life_promise(s, (uint32_t)(s - mlog__flush_all.sink));
    if (s->session != NULL) s->session->promise[s->number].shared = 1; /* with its parent */
    s->written = s->filtered = s->lost = s->bytes = s->errors = s->late = 0;
    s->in_written = s->in_filtered = s->in_lost = s->gaps = 0;
    if (!whole) mlog__pattern_forget(s->pattern), mlog__filter_forget(s->filter);
    mlog__binary_restart(s->binary);
    if (!whole)
        memset(&s->out, 0, sizeof s->out); /* not to be used or freed: the parent may have been growing it when it forked */
    s->out.len = s->sent = 0;
    s->last_ticks = 0;
    s->last_time = s->retry_at = 0;
    s->backoff_ms = s->turn_ms = 0;
    s->turn_at = 0;
    s->moved = false;
    memset(s->gap, 0, sizeof s->gap);
    memset(s->drop, 0, sizeof s->drop);
    s->untold = s->urgent = s->armed = false;
    s->closing = false; /* whoever wanted to change the sinks is not here */
    s->held_since = 0;
    s->most = s->taken = 0;
    mlog__platform_lock_init(&s->lock);
}

/* Starts the lanes of a library that is configured, when they do not run: in a child, or after an attempt that failed. */
static void mlog__life_revive(void) {
    if (!mlog__life_running() || __atomic_load_n(&mlog__flush_all.running0, __ATOMIC_RELAXED)) return; /* FLUSH-3 */
    uint32_t mode = __atomic_load_n(&mlog__flush_all.mode, __ATOMIC_RELAXED); /* FLUSH-15 */
    if (mode != MLOG_THREAD && __atomic_load_n(&mlog__flush_all.ready, __ATOMIC_RELAXED)) return; /* FLUSH-15 */
    if (__atomic_load_n(&mlog__ring_all.closed, __ATOMIC_RELAXED)) return; /* LIFE-3 */
    if (mlog__life_inside || mlog__platform_in_handler(true) || mlog__platform_borrowed()) return; /* the next call outside does it */
    mlog__life_lock();
    if (mlog__life_running()) (void)mlog__life_run_lanes();
    mlog__life_unlock();
#ifdef METALOG_SHIM_STDIO
    mlog__shim_stdio_revive();
#endif
}

static void mlog__life_set_deadline(void) {
    int64_t deadline = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)mlog__life.config.exit_ms * 1000000;
    __atomic_store_n(&mlog__life.exit_deadline, deadline, __ATOMIC_RELAXED); /* LIFE-5 */
}

/* The child's first call: nothing here may touch the parent's rings, which are not mapped, nor wait for a lock of the parent's. */
static bool mlog__life_adopt(void) {
    uint32_t no = 0, *adopting = &mlog__life.witness[1];
    if (!__atomic_compare_exchange_n(adopting, &no, mlog__platform_tid(), false, __ATOMIC_ACQ_REL, /* LIFE-6 */
                                     __ATOMIC_ACQUIRE)) {
        while (__atomic_load_n(&mlog__life.witness[0], __ATOMIC_ACQUIRE) == 0) { /* LIFE-6 */
            if (no == mlog__platform_tid()) return false; /* a handler on top of this function */
            mlog__platform_nap(100000);
        }
        return true;
    }
    mlog__platform_lock_init(&mlog__life.lock);
    mlog__platform_lock_init(&mlog__flush_all.role);
    mlog__platform_lock_init(&mlog__flush_all.lane1);
    mlog__life_inside = 0;
    bool dict = mlog__dict_adopt();
    if (dict) mlog__store_adopt();
    if (!dict) return __atomic_store_n(adopting, 0, __ATOMIC_RELEASE), false; /* LIFE-6 */
    memset(mlog__ring_list, 0, sizeof mlog__ring_list);
    mlog__ring_all.count = mlog__ring_all.live = 0;
    mlog__ring_all.asleep = mlog__flush_all.exiting ? 2 : 1;
    mlog__ring_all.closed = 0;
    mlog__ring_all.total = mlog__ring_all.peak = 0;
    memset(mlog__thread_all.state, 0, sizeof mlog__thread_all.state);
    memset(mlog__thread_all.dropped, 0, sizeof mlog__thread_all.dropped);
    memset(mlog__thread_all.dropped_untold, 0, sizeof mlog__thread_all.dropped_untold);
    memset(mlog__thread_spare_lock, 0, sizeof mlog__thread_spare_lock);
    memset(mlog__thread_spare, 0, sizeof mlog__thread_spare);
    for (int i = 0; i < 8; i++)
        if (&mlog__thread_reserve[i].level != mlog__thread_self) mlog__thread_reserve[i].taken = 0;
    memset(mlog__flush_all.head, 0, sizeof mlog__flush_all.head);
    memset(mlog__flush_all.counted_at, 0, sizeof mlog__flush_all.counted_at);
    memset(mlog__flush_all.tallied, 0, sizeof mlog__flush_all.tallied);
    memset(mlog__flush_all.told, 0, sizeof mlog__flush_all.told);
    memset(mlog__flush_all.handed, 0, sizeof mlog__flush_all.handed);
    memset(mlog__flush_all.stuck, 0, sizeof mlog__flush_all.stuck);
    mlog__flush_all.counted = mlog__flush_all.counted_bytes = 0;
    mlog__flush_all.running0 = mlog__flush_all.running1 = mlog__flush_all.ready = 0;
    mlog__flush_all.turn_waiters = mlog__flush_all.overdue = 0;
    mlog__flush_all.poller = NULL;
    mlog__flush_lane = 0; /* a callback forked */
#ifdef METALOG_NO_THREADS
    mlog__platform_home = getpid();
#endif
    mlog__flush_all.wanted = mlog__flush_all.done0 = mlog__flush_all.done1 = 0;
    mlog__life.suppressed = 0;
    mlog__context_pool.session++;
    mlog__context_pool.waiting = mlog__context_pool.retired = 0; /* what waited there is lost to the child: a few slots */
    mlog__thread_making = mlog__thread_junk_depth = 0;
    mlog__thread_all.main_gone = 0;
    uint32_t whole = mlog__life.whole;
    mlog__life.whole = 0;
    for (uint32_t i = whole; i < 2; i++) memset(&mlog__flush_all.desk[i], 0, sizeof mlog__flush_all.desk[i]);
    if (mlog__flush_all.exiting) mlog__life_set_deadline();
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (s->used) mlog__life_reset_sink(s, whole > (uint32_t)s->lane1);
    }
    if (mlog__life_captures != NULL) { /* somebody who is not here may look at it */
        mlog__platform_lock_init(&mlog__life_captures->lock);
        mlog__life_captures->text = NULL;
    }
    __atomic_store_n(&mlog__life.witness[0], 1, __ATOMIC_RELEASE); /* LIFE-6 */
    __atomic_store_n(adopting, 0, __ATOMIC_RELEASE); /* LIFE-6 */
    mlog__life_revive();
    return true;
}

#ifndef METALOG_NO_THREADS
/* A daemon's parent leaves by _exit right after the fork: what it logged goes out now. Quick when the flusher sleeps; while it is
 * awake, something may be between a ring and its file. A callback that forks must not wait for its own lane. */
static void mlog__life_before_fork(void) {
    int saved = errno;
    if (mlog__life_inside || mlog__life_on_lane()) return;
    if (mlog__life_is_child()) return; /* it has not logged: nothing to hand on, and forking is no reason to start a thread */
    if (mlog__life_running()) {
        bool held = __atomic_load_n(&mlog__flush_all.held0, __ATOMIC_RELAXED) || /* FLUSH-11 */
                    __atomic_load_n(&mlog__flush_all.held1, __ATOMIC_RELAXED); /* FLUSH-11 */
        bool rest = __atomic_load_n(&mlog__ring_all.asleep, __ATOMIC_RELAXED) == 1; /* FLUSH-1 */
        if (__atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED))            /* FLUSH-13 */
            rest = __atomic_load_n(&mlog__flush_all.complete, __ATOMIC_RELAXED); /* FLUSH-10 */
        bool idle = !held && rest && !mlog__flush_pending();
        if (!idle) (void)mlog__flush_wait((int)__atomic_load_n(&mlog__ring_all.full_ms, __ATOMIC_RELAXED)); /* LIFE-2 */
    }
    mlog__life_lock(); /* so that the child does not find the configuration half changed */
    for (int i = 0; i < 1000 && !mlog__platform_trylock(&mlog__flush_all.role); i++) {
        if (i == 999) mlog__life_forking = 1; /* a pass that hangs in a write shall not hang a fork */
        else mlog__platform_nap(100000);
    }
    bool role = mlog__life_forking == 0, lane1 = role && mlog__platform_trylock(&mlog__flush_all.lane1);
    mlog__life_forking = lane1 ? 3 : role ? 2 : 1;
    mlog__life.whole = mlog__life_forking - 1; /* for the child */
    errno = saved;
}

/* Where the kernel lacks MADV_WIPEONFORK (before 4.14), or an emulator accepts and ignores it, what it would have wiped is wiped here. */
static void mlog__life_in_child(void) {
    if (mlog__life.witness != NULL && !mlog__life_is_child()) {
        for (uint32_t slot = 1; slot < MLOG__SLOTS && mlog__thread_all.pages != NULL; slot++)
            if (mlog__thread_all.state[slot] != MLOG__S_UNUSED) memset(mlog__thread_page(slot), 0, sizeof(mlog__page));
        if (mlog__thread_self->state != MLOG__T_NONE && mlog__thread_self->depth != MLOG__RESERVED) /* a page of its own, without a slot */
            memset(mlog__thread_page_of(mlog__thread_self), 0, sizeof(mlog__page));
        mlog__life.witness[1] = 0;
        __atomic_store_n(&mlog__life.witness[0], 0, __ATOMIC_RELAXED); /* LIFE-6: there is no other thread */
    }
    mlog__life_after_fork();
}

static void mlog__life_after_fork(void) {
    uint8_t held = mlog__life_forking;
    if (held == 0) return;
    mlog__life_forking = 0;
    if (!mlog__life_is_child()) mlog__life.whole = 0;
    if (held >= 3) mlog__platform_unlock(&mlog__flush_all.lane1); /* in the child, too: they are locked by this very thread */
    if (held >= 2) mlog__platform_unlock(&mlog__flush_all.role);
    mlog__life_unlock();
}
#endif

/* -- start, flush, end -- */

/* Called by everything that needs a running library; quick when it runs. In a handler it starts nothing: records wait in their ring.
 * False: no memory for even a ring. */
static bool mlog__life_start(void) {
    if (MLOG__UNLIKELY(mlog__life_is_child()) && !mlog__life_adopt()) return false;
    if (MLOG__LIKELY(mlog__life_running())) { /* LIFE-1 */
        if (MLOG__UNLIKELY(!__atomic_load_n(&mlog__flush_all.running0, __ATOMIC_RELAXED))) mlog__life_revive(); /* FLUSH-3 */
        return true;
    }
    if (mlog__life_inside || mlog__platform_in_handler(true) || mlog__platform_borrowed())
        return mlog__dict_open() != NULL && mlog__thread_pages_open();
    static const mlog_config zero;
    char complaint[256] = "";
    int saved = errno;
    mlog__life_pin();
    mlog__life_lock();
    if (mlog__life.state == MLOG__L_NOT) {
        mlog_config first = mlog__life.config; /* the last one */
        mlog__closing none = {0}; /* there are no sinks of an earlier configuration */
#ifdef METALOG_PRELOAD
        if (first.ring_bytes == 0) mlog__shim_defaults(&first);
#endif
        if (mlog__life_apply(&first, complaint, sizeof complaint, &none) != 0) {
            snprintf(complaint, sizeof complaint, "%s", mlog__life_said);
            (void)mlog__life_apply(&zero, complaint + strlen(complaint), sizeof complaint - strlen(complaint), &none);
        }
    }
    mlog__life_unlock();
    if (complaint[0] != 0) mlog__life_say(MLOG_WARN, complaint);
    if (mlog__life_running()) mlog__life_look_around();
    errno = saved;
    return mlog__dict_session != NULL && mlog__thread_all.pages != NULL;
}

int mlog1_init(const mlog_config *config, size_t head_size, size_t sink_size) {
    mlog_config c = {0};
    char complaint[256] = "";
    int saved = errno;
    mlog__life_said[0] = 0;
    if (mlog__life_is_child()) (void)mlog__life_adopt();
    if (config != NULL) { /* a caller of another version: fields that it does not know stay zero */
        memcpy(&c, config, MLOG__MIN(head_size, offsetof(mlog_config, sinks)));
        for (size_t i = 0; i < 8; i++)
            memcpy(&c.sinks[i], (const char *)config + head_size + i * sink_size, MLOG__MIN(sink_size, sizeof c.sinks[i]));
    }
    if (mlog__life_on_lane()) return mlog__life_why("mlog_init: called from a callback of a sink; expected another thread");
    mlog__life_pin();
    if (c.catch_fatal == MLOG_YES) mlog__fatal_warm();
    if (mlog__life_running()) mlog__flush_wait(2000); /* the old sinks get what was logged for them */
    mlog__closing closing = {0};
    mlog__life_hurry(true, true);
    mlog__platform_lock(&mlog__flush_all.lane1);
    mlog__life_hurry(false, true);
    mlog__life_lock();
    int result = mlog__life_apply(&c, complaint, sizeof complaint, &closing);
    mlog__life_unlock();
    mlog__platform_unlock(&mlog__flush_all.lane1);
    mlog__life_close(&closing);
    if (complaint[0] != 0) mlog__life_say(MLOG_WARN, complaint);
    if (result == 0) mlog__life_look_around();
    errno = saved;
    return result;
}

int mlog_flush(int ms) {
    int saved = errno;
    if (mlog__life_on_lane()) return mlog__life_why("mlog_flush: called from a callback of a sink; expected another thread");
    if (!mlog__life_start()) return errno = saved, mlog__life_why("mlog_flush: no memory");
    bool done = mlog__flush_wait(ms < 0 ? mlog__life.config.exit_ms : ms);
    errno = saved;
    return done ? 0 : mlog__life_why("mlog_flush: time over: a sink has not taken everything within %d ms", ms);
}

/* The call returned already: its record is in the ring. Here it is seen on its way, as far as that may be waited for. */
void mlog1_fatal(void) {
    int saved = errno;
    bool nested = mlog__thread_self->outer != NULL || mlog__thread_self->staged;
    bool alone = __atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED); /* FLUSH-13 */
    if (nested || mlog__life_on_lane() || (alone && !mlog__flush_may_help())) mlog__flush_wake();
    /* LIFE-2 */
    else if (mlog__life_start()) (void)mlog__flush_wait((int)__atomic_load_n(&mlog__ring_all.full_ms, __ATOMIC_RELAXED));
    errno = saved;
}

void mlog1_die(int status) {
    (void)mlog_flush(-1);
    exit(status);
}

/* -- statements that are left out now and then -- */

/* Says whether it is this call's turn; held: how many were left out since the last turn. Relaxed: these are counters. */
static int mlog__life_turn(mlog__limiter *l, bool turn, uint64_t *held) {
    *held = turn ? __atomic_exchange_n(&l->held, 0, __ATOMIC_RELAXED) : 0; /* LIFE-8 */
    if (turn) return 1;
    __atomic_fetch_add(&l->held, 1, __ATOMIC_RELAXED); /* LIFE-8 */
    __atomic_fetch_add(&mlog__life.suppressed, 1, __ATOMIC_RELAXED); /* LIFE-8 */
    return 0;
}

int mlog1_every(mlog__limiter *l, int64_t n, uint64_t *held) {
    uint64_t before = __atomic_fetch_add(&l->state, 1, __ATOMIC_RELAXED); /* LIFE-8 */
    return mlog__life_turn(l, n < 1 ? before == 0 : before % (uint64_t)n == 0, held);
}

/* The generic cell rate algorithm as a virtual schedule: state is when the bucket will be empty; each turn adds 1 s / per_second, and
 * there is none while that lies more than a second ahead. The coarse clock steps by milliseconds and costs a third of the fine one. */
int mlog1_limit(mlog__limiter *l, int64_t per_second, uint64_t *held) {
    if (per_second < 1) return mlog__life_turn(l, false, held);
    int64_t (*clock)(void) = __atomic_load_n(&mlog__life.now, __ATOMIC_RELAXED); /* LIFE-2 */
    int saved = errno;
    uint64_t now = (uint64_t)(clock != NULL ? clock() : mlog__platform_clock(CLOCK_MONOTONIC_COARSE));
    errno = saved;
    uint64_t step = UINT64_C(1000000000) / (uint64_t)per_second, next, empty = __atomic_load_n(&l->state, __ATOMIC_RELAXED); /* LIFE-8 */
    do {
        bool ahead = empty > now && empty - now < UINT64_C(2000000000); /* farther: the clock was set back */
        next = (ahead ? empty : now) + step;
        if (next - now > UINT64_C(1000000000)) return mlog__life_turn(l, false, held);
    } while (!__atomic_compare_exchange_n(&l->state, &empty, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); /* LIFE-8 */
    return mlog__life_turn(l, true, held);
}

/* The context of the statement's turn, so that its record says what was left out; with a reference. */
mlog_context *mlog1_context_held(uint64_t held) {
    const mlog_field field = {"suppressed", mlog__val_u(held)};
    mlog_context *c = held == 0 ? NULL : mlog1_context_new(&field, 1);
    return c != NULL ? c : mlog_context_ref(mlog__context_now);
}

/* After exit's drain every call sees to its own record, within what is left of exit_ms. */
static void mlog__life_finish_call(void) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* LIFE-5 */
    if (mlog__life_is_child()) return;
    if (__atomic_load_n(&mlog__ring_all.closed, __ATOMIC_RELAXED)) { /* LIFE-3 */
        if (mlog__flush_may_help()) (void)mlog__flush_here(0);
        return;
    }
    if (__atomic_load_n(&mlog__ring_all.alone, __ATOMIC_RELAXED) && !mlog__flush_may_help()) return; /* FLUSH-13 */
    int64_t left =
        /* LIFE-5 */
        (__atomic_load_n(&mlog__life.exit_deadline, __ATOMIC_RELAXED) - mlog__platform_clock(CLOCK_MONOTONIC)) / 1000000;
    if (left > 0) (void)mlog__flush_wait((int)left);
}

/* Has every file what was logged? Then nothing needs to be recovered. */
static bool mlog__life_drained(void) {
    for (uint32_t i = 0, n = mlog__flush_rings(); i < n; i++) {
        const mlog__ring *r = mlog__flush_ring(i);
        for (int k = 0; k < MLOG__SINKS && r != NULL; k++) {
            const mlog_sink *s = &mlog__flush_all.sink[k];
            if (s->used && s->session != NULL && s->done[i] != __atomic_load_n(&r->head, __ATOMIC_ACQUIRE)) return false; /* RING-1 */
        }
    }
    return true;
}

/* At the very end: records that only handlers logged, of a library that was never started, or is stopped, go out after all. Then the
 * flusher stops, since the kernel would end it in the middle of a line when other threads still log; this thread writes what it logs
 * from here on (in destructors of shared objects) by itself. Last of this module: 101. */
__attribute__((destructor(101))) static void mlog__life_last(void) {
    if (mlog__life_is_child() || mlog__dict_session == NULL) return;
    if (!mlog__life_running() && mlog__flush_pending() && mlog__life_start()) (void)mlog__flush_wait(mlog__life.config.exit_ms);
    mlog__flush_all.closer = &mlog__flush_mine;
    __atomic_store_n(&mlog__ring_all.closed, 1, __ATOMIC_RELEASE); /* LIFE-3 */
    for (int i = 0; i < 1000 && !mlog__platform_trylock(&mlog__flush_all.role); i++) {
        if (i == 999) return; /* it hangs in a write: the process shall not */
        mlog__platform_nap(100000);
    }
    if (mlog__life_drained()) mlog__store_end(mlog__flush_rings());
    mlog__platform_unlock(&mlog__flush_all.role);
    __atomic_store_n(&mlog__flush_all.running0, 0, __ATOMIC_RELAXED); /* FLUSH-3 */
    __atomic_store_n(&mlog__ring_all.alone, 1, __ATOMIC_RELAXED);     /* FLUSH-13 */
}

/* Registered with atexit. Drains, then lets every later call see to itself; joins nothing, closes nothing. */
static void mlog__life_exit(void) {
    /* LIFE-3 */
    if (mlog__life_is_child() || !mlog__life_running() || __atomic_load_n(&mlog__ring_all.closed, __ATOMIC_RELAXED)) return;
#ifdef METALOG_SHIM_STDIO
    mlog__shim_stdio_end();
#endif
    mlog__life_set_deadline();
    __atomic_store_n(&mlog__flush_all.exiting, 1, __ATOMIC_RELAXED); /* LIFE-4 */
    bool callback = mlog__flush_mine; /* it called exit, on top of a pass that this thread makes: no file waits for that */
    if (callback) mlog__flush_mine = mlog__ring_never_wait = 0;
    (void)mlog__flush_wait(callback ? 0 : mlog__life.config.exit_ms); /* also in a callback that calls exit */
    __atomic_store_n(&mlog__ring_all.asleep, 2, __ATOMIC_RELEASE); /* FLUSH-1, LIFE-5 */
}

int mlog_shutdown(int ms) {
    int saved = errno;
    if (mlog__life_is_child() || mlog__life.state != MLOG__L_RUNNING) return 0;
    if (mlog__life_on_lane()) return mlog__life_why("mlog_shutdown: called from a callback of a sink; expected another thread");
#ifdef METALOG_SHIM_STDIO
    mlog__shim_stdio_end();
#endif
    int result = mlog_flush(ms);
    mlog__closing closing = {0};
    mlog__life_hurry(true, false);
    mlog__platform_lock(&mlog__flush_all.lane1);
    mlog__life_hurry(false, false);
    mlog__life_lock();
    mlog__platform_lock(&mlog__flush_all.role);
    mlog__life_take_all(false, &closing);
    mlog__life.levels_said = false; /* a later start is that of the last mlog_init */
    mlog__fatal_set(false);
    __atomic_store_n(&mlog__life.state, MLOG__L_NOT, __ATOMIC_RELEASE); /* LIFE-1 */
    /* the next call looks, and starts again */
    __atomic_store_n(&mlog__ring_all.asleep, mlog__flush_all.exiting ? 2 : 1, __ATOMIC_SEQ_CST); /* FLUSH-1 */
    mlog__platform_unlock(&mlog__flush_all.role);
    mlog__life_unlock();
    mlog__platform_unlock(&mlog__flush_all.lane1);
    mlog__life_close(&closing);
    errno = saved;
    return result;
}

void mlog_reopen(void) {
    int saved = errno;
    __atomic_store_n(&mlog__flush_all.reopen, 1, __ATOMIC_RELEASE); /* FLUSH-9 */
    if (mlog__flush_all.running0 && !mlog__life_is_child()) mlog__flush_wake();
    errno = saved;
}

int mlog_levels(const char *rules) {
    mlog__rule_set set;
    int saved = errno;
    if (rules == NULL) return mlog__life_why("mlog_levels: NULL; expected rules such as \"info,net=debug\"");
    if (!mlog__life_start()) return errno = saved, mlog__life_why("mlog_levels: no memory");
    if (mlog__rule_parse(&set, rules, "mlog_levels") != 0) return errno = saved, -1;
    mlog__life_lock();
    mlog__life.levels_said = true;
    if (mlog__life_captures != NULL) mlog__life_captures->ruled = false; /* its end brings no older rules back */
    mlog__rule_set_now(&set);
    mlog__life_unlock();
    errno = saved;
    return 0;
}

/* -- sinks at run time -- */

mlog_sink *mlog1_sink_add(const mlog_sink_config *config, size_t size) {
    mlog_sink_config c = {0};
    mlog_sink opened, *s = NULL;
    char complaint[256] = "";
    int saved = errno;
    mlog__life_said[0] = 0;
    if (config == NULL) return (void)mlog__life_why("mlog_sink_add: NULL; expected a configuration"), (mlog_sink *)NULL;
    memcpy(&c, config, MLOG__MIN(size, sizeof c));
    if (!mlog__life_start()) return (void)mlog__life_why("mlog_sink_add: no memory"), (mlog_sink *)NULL;
    mlog__life_lock();
    if (mlog__sink_open(&opened, &c) == 0) {
        mlog__platform_lock(&mlog__flush_all.role);
#ifndef METALOG_NO_FILES
        mlog__life_make_safe(&opened, 1, complaint, sizeof complaint);
#endif
        s = mlog__life_install(&opened, false);
        mlog__platform_unlock(&mlog__flush_all.role);
        if (s == NULL) mlog__sink_discard(&opened), mlog__life_why("mlog_sink_add: expected at most %d sinks", MLOG__SINKS);
        else mlog__life_floor(), (void)mlog__life_run_lanes();
    }
    mlog__life_unlock();
    if (complaint[0] != 0) mlog__life_say(MLOG_WARN, complaint);
    errno = saved;
    return s;
}

/* Waits until this sink has what was logged up to now; another one that is stuck does not matter. */
static void mlog__life_drain_sink(mlog_sink *s) {
    uint32_t rings = mlog__flush_rings();
    uint64_t *head = mlog__platform_map((rings + 1) * sizeof *head, false, false);
    int64_t deadline = mlog__platform_clock(CLOCK_MONOTONIC) + (int64_t)mlog__life.config.exit_ms * 1000000;
    for (uint32_t i = 0; head != NULL && i < rings; i++) {
        mlog__ring *r = mlog__flush_ring(i);
        head[i] = r == NULL ? 0 : __atomic_load_n(&r->head, __ATOMIC_ACQUIRE); /* RING-1 */
    }
    for (bool there = false; !there && head != NULL && mlog__platform_clock(CLOCK_MONOTONIC) < deadline;) {
        (void)mlog__flush_wait(10);
        mlog__platform_lock(&mlog__flush_all.role);
        bool used = s->used; /* somebody else may remove it meanwhile */
        if (used) mlog__platform_lock(&s->lock);
        there = true;
        for (uint32_t i = 0; i < rings && there && used; i++) there = s->done[i] >= head[i];
        if (used) mlog__platform_unlock(&s->lock);
        mlog__platform_unlock(&mlog__flush_all.role);
    }
    mlog__platform_unmap(head, (rings + 1) * sizeof *head);
}

/* The lanes rest: sinks and positions may change. Not from a lane's own thread. */
static void mlog__life_stop_lanes(void) {
    mlog__platform_lock(&mlog__flush_all.lane1);
    mlog__life_lock();
    mlog__platform_lock(&mlog__flush_all.role);
}

static void mlog__life_go_on(void) {
    mlog__platform_unlock(&mlog__flush_all.role);
    mlog__life_floor();
    mlog__life_unlock();
    mlog__platform_unlock(&mlog__flush_all.lane1);
}

void mlog_sink_remove(mlog_sink *s) {
    int saved = errno;
    mlog__closing closing = {0};
    if (mlog__life_is_child()) (void)mlog__life_adopt();
    if (s == NULL || !__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) || mlog__life_on_lane()) return; /* FLUSH-6 */
    mlog__life_drain_sink(s);
    __atomic_store_n(&s->closing, true, __ATOMIC_RELAXED); /* FLUSH-7 */
    mlog__life_stop_lanes();
    if (s->used) mlog__life_take_out(s, &closing);
    mlog__life_go_on();
    mlog__life_close(&closing);
    errno = saved;
}

/* -- capture -- */

/* It begins where the sinks have got to, not at the heads: what others logged between the last pass and now would be nobody's. */
static void mlog__life_capture_from(mlog_sink *capture) {
    for (uint32_t k = 0, n = mlog__flush_rings(); k < n; k++) {
        mlog__ring *r = mlog__flush_ring(k);
        uint64_t from = r == NULL ? 0 : r->tail;
        for (int i = 0; i < MLOG__SINKS; i++) {
            const mlog_sink *s = &mlog__flush_all.sink[i];
            if (s->used && s != capture) from = MLOG__MAX(from, s->next[k]);
        }
        capture->next[k] = capture->done[k] = from;
    }
}

/* Puts the capture in the place of the other sinks; called with the lanes at rest. */
static bool mlog__life_capture(mlog_capture *c) {
    const mlog_sink_config config = {.name = "capture", .type = MLOG_NULL, .format = MLOG_PLAIN, .utc = MLOG_YES};
    mlog_sink opened;
    if (mlog__life_captures != NULL)
        return mlog__life_why("mlog_capture_begin: another is under way; expected mlog_capture_end before"), false;
    if (mlog__sink_open(&opened, &config) != 0) return false;
    opened.capture = c;
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        c->level[i] = s->used ? s->config.level : -1;
        if (s->used) s->config.level = MLOG_OFF + 1;
    }
    c->sink = mlog__life_install(&opened, false);
    if (c->sink != NULL) return mlog__life_capture_from(c->sink), mlog__life_captures = c, true;
    for (int i = 0; i < MLOG__SINKS; i++)
        if (c->level[i] >= 0) mlog__flush_all.sink[i].config.level = c->level[i];
    mlog__sink_discard(&opened);
    return mlog__life_why("mlog_capture_begin: expected at most %d sinks", MLOG__SINKS), false;
}

mlog_capture *mlog_capture_begin(const char *levels) {
    int saved = errno;
    mlog__rule_set set;
    mlog__life_said[0] = 0;
    if (mlog__life_on_lane()) /* the lane cannot rest while it waits for itself */
        return (void)mlog__life_why("mlog_capture_begin: called from a callback of a sink; expected another thread"),
               (mlog_capture *)NULL;
    if (levels != NULL && mlog__rule_parse(&set, levels, "mlog_capture_begin") != 0) return errno = saved, (mlog_capture *)NULL;
    mlog_capture *c = mlog__life_start() ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) return mlog__life_why("mlog_capture_begin: no memory"), errno = saved, (mlog_capture *)NULL;
    mlog__platform_lock_init(&c->lock);
    c->last = &c->first;
    (void)mlog_flush(-1); /* what was logged before is theirs */
    mlog__life_stop_lanes();
    bool begun = mlog__life_capture(c);
    if (begun && levels != NULL) {
        c->ruled = true;
        c->rules = mlog__rule_now.set[mlog__rule_now.version & 1];
        mlog__rule_set_now(&set);
    }
    mlog__life_go_on();
    if (!begun) mlog__capture_free(c), c = NULL;
    errno = saved;
    return c;
}

size_t mlog_capture_count(mlog_capture *c, const char *filter) {
    int saved = errno;
    size_t n = SIZE_MAX;
    if (c == NULL) return (void)mlog__life_why("mlog_capture_count: NULL; expected a capture"), n;
    mlog_filter *f = filter == NULL ? NULL : mlog__filter_compile(filter, strlen(filter), "mlog_capture_count");
    if (filter == NULL || f != NULL) {
        (void)mlog_flush(-1);
        n = mlog__capture_count(c, f);
    }
    mlog__filter_free(f);
    errno = saved;
    return n;
}

const char *mlog_capture_text(mlog_capture *c) {
    int saved = errno;
    (void)mlog_flush(-1);
    const char *text = c == NULL ? NULL : mlog__capture_text(c);
    errno = saved;
    return text == NULL ? "" : text;
}

void mlog_capture_end(mlog_capture *c) {
    int saved = errno;
    mlog__closing closing = {0};
    if (c == NULL || c != mlog__life_captures) return;
    if (mlog__life_on_lane()) {
        (void)mlog__life_why("mlog_capture_end: called from a callback of a sink; expected another thread");
        return;
    }
    (void)mlog_flush(-1); /* what was logged up to here is the capture's */
    mlog__life_stop_lanes();
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink *s = &mlog__flush_all.sink[i];
        if (c->level[i] >= 0 && s->used && s->config.level == MLOG_OFF + 1) s->config.level = c->level[i];
    }
    if (c->sink->used && c->sink->capture == c) mlog__life_take_out(c->sink, &closing);
    if (c->ruled) mlog__rule_set_now(&c->rules);
    mlog__life_captures = NULL;
    mlog__life_go_on();
    mlog__capture_free(c);
    errno = saved;
}

/* -- statistics -- */

/* Statistics look, they start nothing. */
static bool mlog__life_look(void) {
    if (mlog__life_is_child() && !mlog__life_adopt()) return false;
    return mlog__dict_session != NULL;
}

void mlog1_stats_read(mlog_stats *stats, size_t size) {
    mlog_stats r = {0};
    int saved = errno;
    if (stats == NULL) return;
    if (mlog__life_look()) {
        mlog__ring_never_wait++;
        mlog__platform_lock(&mlog__flush_all.role);
        r.accepted = mlog__flush_all.counted;
        r.bytes = mlog__flush_all.counted_bytes;
#ifndef METALOG_NO_FILES
        r.recovered = mlog__recover_count;
#endif
        for (uint32_t i = 0, n = mlog__flush_rings(); i < n; i++) {
            mlog__ring *ring = mlog__flush_ring(i);
            if (ring == NULL) continue;
            r.rings++;
            r.accepted +=
                /* RING-1 */
                mlog__flush_count(ring, mlog__flush_all.tallied[i], __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE));
            /* RING-6 */
            for (int k = 0; k < 26; k++) r.dropped_by_level[k] += __atomic_load_n(&ring->dropped[k], __ATOMIC_RELAXED);
        }
        for (int i = 0; i < MLOG__SINKS; i++) {
            mlog_sink *s = &mlog__flush_all.sink[i];
            if (!s->used) continue;
            mlog__platform_lock(&s->lock);
            r.late = MLOG__MAX(r.late, __atomic_load_n(&s->late, __ATOMIC_RELAXED)); /* FLUSH-5 */
            r.sink_errors += s->errors;
            mlog__platform_unlock(&s->lock);
        }
        mlog__platform_unlock(&mlog__flush_all.role);
        mlog__ring_never_wait--;
        /* RING-6 */
        for (int k = 0; k < 26; k++) r.dropped_by_level[k] += __atomic_load_n(&mlog__thread_all.dropped[k], __ATOMIC_RELAXED);
        for (int k = 0; k < 26; k++) r.dropped += r.dropped_by_level[k];
        r.suppressed = __atomic_load_n(&mlog__life.suppressed, __ATOMIC_RELAXED); /* LIFE-8 */
        r.ring_bytes = __atomic_load_n(&mlog__ring_all.total, __ATOMIC_RELAXED); /* THREAD-6 */
        r.ring_peak = __atomic_load_n(&mlog__ring_all.peak, __ATOMIC_RELAXED); /* THREAD-6 */
    }
    memset(stats, 0, size);
    memcpy(stats, &r, MLOG__MIN(size, sizeof r));
    errno = saved;
}

/* Under the sink's lock, so that the five numbers belong together. */
static void mlog__life_sink_stats(mlog_sink *s, mlog_sink_stats *r) {
    mlog__platform_lock(&s->lock);
    *r = (mlog_sink_stats){.written = s->written, .filtered = s->filtered + s->in_filtered, .lost = s->lost + s->in_lost, .pending = s->in_written,
                           .bytes = s->bytes, .errors = s->errors};
    for (uint32_t i = 0, n = mlog__flush_rings(); i < n; i++) {
        mlog__ring *ring = mlog__flush_ring(i);
        /* RING-1 */
        if (ring != NULL) r->pending += mlog__flush_count(ring, s->next[i], __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE));
    }
    mlog__platform_unlock(&s->lock);
}

int mlog1_sink_stats_read(const char *sink, mlog_sink_stats *stats, size_t size) {
    mlog_sink_stats r = {0};
    int saved = errno, found = -1;
    if (stats == NULL) return mlog__life_why("mlog_sink_stats_read: NULL; expected a place for the numbers");
    memset(stats, 0, size);
    if (sink != NULL && mlog__life_look()) {
        mlog__ring_never_wait++;
        mlog__platform_lock(&mlog__flush_all.role);
        for (int i = 0; i < MLOG__SINKS && found != 0; i++) {
            mlog_sink *s = &mlog__flush_all.sink[i];
            if (!s->used || strcmp(s->name, sink) != 0) continue;
            mlog__life_sink_stats(s, &r);
            found = 0;
        }
        mlog__platform_unlock(&mlog__flush_all.role);
        mlog__ring_never_wait--;
    }
    memcpy(stats, &r, MLOG__MIN(size, sizeof r));
    errno = saved;
    return found == 0 ? 0 : mlog__life_why("mlog_sink_stats_read: \"%.60s\": no such sink", sink == NULL ? "(null)" : sink);
}

/* What is left is what the slowest sink has still to take. */
int mlog_poll(int max_records) {
    uint64_t left = 0;
    int saved = errno;
    if (mlog__life_on_lane()) return mlog__life_why("mlog_poll: called from a callback of a sink; expected outside");
    if (!mlog__life_start()) return errno = saved, mlog__life_why("mlog_poll: no memory");
    if (__atomic_load_n(&mlog__flush_all.mode, __ATOMIC_RELAXED) != MLOG_POLL) /* FLUSH-15 */
        return errno = saved, mlog__life_why("mlog_poll: flusher is not MLOG_POLL; expected it in mlog_init's configuration");
    __atomic_store_n(&mlog__flush_all.poller, &mlog__flush_mine, __ATOMIC_RELAXED); /* FLUSH-15 */
    if (mlog__flush_may_drain()) (void)mlog__flush_here(max_records < 0 ? 0 : (uint64_t)max_records);
    mlog__ring_never_wait++;
    mlog__platform_lock(&mlog__flush_all.role);
    for (int i = 0; i < MLOG__SINKS; i++) {
        mlog_sink_stats r = {0};
        if (mlog__flush_all.sink[i].used) mlog__life_sink_stats(&mlog__flush_all.sink[i], &r);
        left = MLOG__MAX(left, r.pending);
    }
    mlog__platform_unlock(&mlog__flush_all.role);
    mlog__ring_never_wait--;
    errno = saved;
    return (int)MLOG__MIN(left, (uint64_t)INT_MAX);
}

/* -- loggers, contexts, threads, modules -- */

mlog_logger *mlog_named(const char *source) {
    int saved = errno;
    size_t n = source == NULL ? 0 : strlen(source);
    uint32_t count = 0;
    if (!mlog__rule_name_ok(source, n) || !mlog__life_start()) return errno = saved, (mlog_logger *)NULL;
    mlog__life_lock();
    mlog_logger *lg = mlog__rule_now.loggers;
    for (; lg != NULL && (lg->bound != NULL || strcmp(lg->source, source) != 0); lg = lg->next) count++;
    if (lg == NULL && count < 4096 && (lg = calloc(1, sizeof *lg)) != NULL) {
        mlog__entry e = {.type = MLOG__D_LOGGER, .source_len = (uint16_t)n};
        memcpy(lg->source, source, n);
        lg->entry = mlog__dict_add(&e, "", "", "", source, "");
        lg->threshold = mlog__rule_threshold(source, n);
        lg->next = mlog__rule_now.loggers;
        __atomic_store_n(&mlog__rule_now.loggers, lg, __ATOMIC_RELEASE); /* RULE-2 */
    }
    mlog__life_unlock();
    errno = saved;
    return lg;
}

mlog_logger *mlog1_bind(mlog_logger *parent, const mlog_field *fields, size_t count) {
    int saved = errno;
    if (!mlog__life_start()) return errno = saved, (mlog_logger *)NULL;
    mlog_logger *lg = calloc(1, sizeof *lg);
    mlog_context *bound = lg == NULL ? NULL : mlog__context_make(parent == NULL ? NULL : parent->bound, fields, count);
    if (bound == NULL) return free(lg), errno = saved, (mlog_logger *)NULL;
    lg->bound = bound;
    if (parent != NULL) memcpy(lg->source, parent->source, sizeof lg->source), lg->entry = parent->entry;
    mlog__life_lock();
    lg->threshold = mlog__rule_of_logger(lg);
    lg->next = mlog__rule_now.loggers;
    __atomic_store_n(&mlog__rule_now.loggers, lg, __ATOMIC_RELEASE); /* RULE-2 */
    mlog__life_unlock();
    errno = saved;
    return lg;
}

void mlog_unbind(mlog_logger *bound) {
    int saved = errno;
    if (bound == NULL || bound->bound == NULL) return;
    mlog__life_lock();
    mlog_logger **at = &mlog__rule_now.loggers;
    while (*at != NULL && *at != bound) at = &(*at)->next;
    if (*at != NULL) *at = bound->next;
    mlog__life_unlock();
    mlog_context_unref(bound->bound);
    free(bound);
    errno = saved;
}

mlog_context *mlog1_context_new(const mlog_field *fields, size_t count) {
    int saved = errno;
    mlog_context *c = mlog__life_start() ? mlog__context_make(mlog__context_now, fields, count) : NULL;
    errno = saved;
    return c;
}

mlog_context *mlog_context_current(void) { return mlog__context_now; }

/* Enters a context: the number is stored for all levels of the thread, so that handlers carry it too. Nothing goes into a ring. */
static void mlog__life_set_context(mlog_context *c) {
    mlog__context_now = c;
    uint32_t slot = mlog__thread_slot(mlog__thread_self);
    if (slot == 0 || mlog__life_is_child()) return; /* no thread state yet: made with the context that is current then */
    uint64_t number = mlog__context_number(c);
    mlog__page *page = mlog__thread_page(slot);
    for (int i = 0; i < 3; i++) page->level[i].context = number;
}

mlog_context *mlog_context_swap(mlog_context *c) {
    mlog_context *left = mlog__context_now;
    mlog__life_set_context(c);
    return left;
}

mlog_context *mlog1_enter(mlog_context *owned) { return mlog_context_swap(owned); }

void mlog1_leave(mlog_context **saved) { mlog_context_unref(mlog_context_swap(*saved)); }

int mlog1_thread(const mlog_thread_config *config, size_t size) {
    mlog_thread_config c = {0};
    int saved = errno;
    if (config != NULL) memcpy(&c, config, MLOG__MIN(size, sizeof c));
    if ((unsigned)c.full > MLOG_DROP)
        return mlog__life_why("mlog_thread: full %d: expected MLOG_WAIT, MLOG_BLOCK or MLOG_DROP", (int)c.full);
    if (c.ring_bytes != 0 && (c.ring_bytes < 4096 || c.ring_bytes > 32u << 20))
        return mlog__life_why("mlog_thread: ring_bytes %u: expected 4096 to 33554432", c.ring_bytes);
    if (!mlog__life_start()) return mlog__life_why("mlog_thread: no memory");
    /* LIFE-2 */
    uint64_t bytes = c.ring_bytes == 0 ? __atomic_load_n(&mlog__ring_all.bytes_each, __ATOMIC_RELAXED) : c.ring_bytes;
    while (bytes & (bytes - 1)) bytes += bytes & -bytes;
    mlog__thread *t = mlog__thread_self;
    if (t->state == MLOG__T_NONE) t = mlog__thread_make(bytes);
    errno = saved;
    if (t == NULL) return mlog__life_why("mlog_thread: no memory");
    mlog__page *page = mlog__thread_page_of(t);
    for (int i = 0; i < 3; i++) {
        mlog__thread *level = &page->level[i];
        if (c.full != 0) __atomic_store_n(&level->own_policy, true, __ATOMIC_RELAXED);         /* LIFE-2 */
        if (c.full != 0) __atomic_store_n(&level->policy, (uint32_t)c.full, __ATOMIC_RELAXED); /* LIFE-2 */
        if (c.name != NULL && level->ring != NULL) mlog__ring_set_name(level->ring, c.name);
    }
    return 0;
}

/* Before a module's memory goes: its sites leave the lists. Other destructors of the module may still log. A child that has not logged
 * needs no lock: nobody walks the lists before it adopts. */
static void mlog__life_module_gone(mlog__module *module) {
    if (__atomic_exchange_n(&module->linked, 2, __ATOMIC_ACQ_REL) != 1) return; /* RULE-3; each unit of a module calls */
    if (mlog__life_inside) return; /* exit() in a handler on top of a change of the configuration */
    bool child = mlog__life_is_child();
    if (!child) mlog__life_lock();
    mlog__rule_discharge(module);
    if (!child) mlog__life_unlock();
}

/* -- objects -- */

struct mlog_writer { unsigned char *at, *end; bool cut; };

mlog_value mlog_object(void (*put)(mlog_writer *, const void *), const void *object) {
    static const char deep[] = "[too deep]";
    MLOG__TLS uintptr_t frame[MLOG__OBJECT_DEPTH]; /* of the put() that run on this thread, the outermost first */
    MLOG__TLS uint32_t depth;
    int saved = errno;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (object == NULL || put == NULL) return mlog__val_p(MLOG_K_OBJECT, NULL, 0);
    if (mlog__thread_objects == NULL) mlog__thread_objects = mlog__thread_object_memory();
    if (mlog__thread_objects == NULL) return errno = saved, mlog__val_p(MLOG_K_OBJECT, NULL, 0);
    while (depth > 0 && frame[depth - 1] <= here) depth--; /* left by longjmp or throw: the stack grows down */
    if (depth == MLOG__OBJECT_DEPTH) return mlog_str(deep, sizeof deep - 1);
    uint32_t mine = mlog__thread_object_at++ % MLOG__OBJECTS; /* put() may make objects and log: it takes the next places */
    unsigned char *start = mlog__thread_objects + mine * MLOG__OBJECT_BYTES;
    mlog_writer w = {start, start + MLOG__OBJECT_BYTES - 64, false};
    frame[depth++] = here;
    put(&w, object);
    depth--;
    mlog__thread_object_at = mine + 1; /* what was made inside is copied */
    if (w.cut) {
        mlog_value yes = mlog_bool(true);
        mlog__sized size = {3, 0};
        w.at = mlog__record_put_field(w.at, "cut", &yes, &size);
    }
    errno = saved;
    return mlog__val_p(MLOG_K_OBJECT, start, (size_t)(w.at - start));
}

void mlog1_put(mlog_writer *w, const char *key, mlog_value value) {
    mlog_field f = {key, value};
    mlog_value v = mlog__context_value(&f);
    mlog__sized size;
    if (mlog__record_measure(&size, key, &v, MLOG__OBJECT_BYTES) > (uint64_t)(w->end - w->at)) w->cut = true;
    else w->at = mlog__record_put_field(w->at, key, &v, &size);
}

/* ==== shim ====
 * Other loggers' functions, as far as they need state or are called by units that were not compiled with this header: each stands
 * behind its METALOG_SHIM_<NAME>. What a shim is called like by others (syslog, warn) is a strong alias of its mlog1_<name>.
 *
 * Everything here ends in mlog_emit, mlog_vprintf or a begun record: no shim writes to a sink, and none waits but as a call does.
 *
 * owns: state of the legacy interfaces, symbols that take the place of libc's
 * may call: platform dict rule record context ring text printf thread format sink flush life
 */

#if defined(METALOG_SHIM_SYSLOG) || defined(METALOG_SHIM_ERR)

/* -- what shims of functions share -- */

/* The symbol `name` is `function`, too. By its assembler name, so that a header that declares or inlines `name` in this unit does not
 * mind; weak, so that a program's own function of that name comes before. */
#ifndef MLOG__SHIM_TAKE
#define MLOG__SHIM_TAKE(name, function) \
    __attribute__((alias(#function), weak, visibility("default"))) extern __typeof__(function) mlog__shim_as_##name __asm__(#name);
#endif

/* The text that a function like printf would have made, in the locale of the caller; returns its length. */
MLOG__COLD static size_t mlog__shim_render(char *text, size_t size, const char *format, va_list args, int error) {
    mlog_value value[MLOG__PRINTF_ARGS];
    mlog__val val[MLOG__PRINTF_ARGS + 1];
    long double ld[MLOG__PRINTF_ARGS];
    mlog__printf f;
    mlog__wide wide;
    mlog__args list;
    int n = 0;
    wide.used = 0;
    va_copy(list.list, args);
    mlog__thread_scan_run(&f, format);
    mlog__thread_varargs(&list, f.want, f.nargs, value, &wide, ld);
    va_end(list.list);
    for (; n < f.nargs; n++) {
        const mlog_value *v = &value[n];
        bool bytes = mlog__record_has_bytes(v->kind);
        val[n] = (mlog__val){.kind = (uint8_t)v->kind, .len = v->size, .full = v->size, .as.u = v->as.u};
        if (bytes) val[n].as.p = (const char *)v->as.p;
        if (bytes && v->as.p == NULL) val[n].as.p = "", val[n].len = 0, val[n].full = MLOG__NULL_TEXT;
    }
    if (f.uses_errno) val[n++] = (mlog__val){.kind = MLOG_K_INT, .as.i = error};
    f.len = (uint32_t)strlen(format); /* also what stands behind a mistake */
    return (size_t)(mlog__printf_render(text, text + size, &f, format, val, n) - text);
}

/* Fields, encoded; texts must be short. Returns the bytes. */
static uint32_t mlog__shim_encode(unsigned char *to, size_t room, const mlog_field *field, uint32_t n) {
    unsigned char *p = to;
    for (uint32_t i = 0; i < n; i++) {
        mlog__sized size;
        if (mlog__record_measure(&size, field[i].key, &field[i].value, 64) > (uint64_t)(to + room - p)) break;
        p = mlog__record_put_field(p, field[i].key, &field[i].value, &size);
    }
    return (uint32_t)(p - to);
}

/* Does what goes to a sink of ours come to the standard error? Then nothing is written there twice. */
static bool mlog__shim_on_stderr(void) {
    if (mlog__sink_led[2] != 0) return true; /* it is logged */
    for (int i = 0; i < MLOG__SINKS; i++) {
        const mlog_sink *s = &mlog__flush_all.sink[i];
        if (!__atomic_load_n(&s->used, __ATOMIC_ACQUIRE)) continue; /* FLUSH-6 */
        if (s->config.type == MLOG_CONSOLE && mlog__sink_console_fd(&s->config) == 2) return true;
        if (s->config.type == MLOG_FILE && strcmp(s->config.path, "/dev/stderr") == 0) return true;
    }
    return false;
}
#endif

/* ---- shim: syslog ----
 * Priority is severity | facility. The severity becomes the level, the facility a field; ident is the source, LOG_PID a field pid.
 * The record goes as all others: there is no socket, so LOG_ODELAY, LOG_NOWAIT and closelog have nothing to do.
 *
 *   SHIM-3  a capture: state                 its thread, who waits for its end    all of it before its state
 *   SHIM-2  a tag made: state        who finds it        the tag before its state
 *   SHIM-1  what openlog and setlogmask say: relaxed, a call that overlaps them goes by either */
#ifdef METALOG_SHIM_SYSLOG

enum { MLOG__SYSLOG_PID = 1, MLOG__SYSLOG_CONS = 2, MLOG__SYSLOG_NDELAY = 8, MLOG__SYSLOG_PERROR = 0x20, MLOG__SYSLOG_USER = 1 << 3 };

static struct {
    const char *ident; /* the caller's: read at each call, as the original does */
    int options, facility, mask;
} mlog__shim_syslog = {.facility = MLOG__SYSLOG_USER, .mask = 0xFF};

static const uint8_t mlog__shim_severity[8] = {MLOG_FATAL, MLOG_ALERT, MLOG_CRIT, MLOG_ERROR, MLOG_WARN, MLOG_NOTICE, MLOG_INFO, MLOG_DEBUG};
static const char mlog__shim_facility[24][12] = {
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "console", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};

/* This process, without a system call but for the first time. */
static int mlog__shim_pid(void) {
    uint32_t *witness = __atomic_load_n(&mlog__life.witness, __ATOMIC_ACQUIRE); /* LIFE-6 */
    int pid = witness == NULL ? 0 : (int)__atomic_load_n(&witness[2], __ATOMIC_RELAXED); /* LIFE-9 */
    if (pid != 0) return pid;
    pid = (int)getpid();
    if (witness != NULL) __atomic_store_n(&witness[2], (uint32_t)pid, __ATOMIC_RELAXED); /* LIFE-9 */
    return pid;
}

/* One call, with what openlog said. */
typedef struct {
    int priority, options, error;
    const char *format;
    char ident[64];
    size_t ident_len;
} mlog__syslog;

/* To a descriptor of the host. Not by write(2), which is a cancellation point. */
static void mlog__shim_write(int fd, const char *text, size_t n) {
    while (n > 0) {
        long done = syscall(SYS_write, fd, text, n);
        if (done <= 0 && errno != EINTR) break;
        if (done > 0) text += done, n -= (size_t)done;
    }
}

/* "ident[pid]: text", as the original writes it to the standard error or the console. */
MLOG__COLD static void mlog__shim_syslog_write(const mlog__syslog *c, va_list args, int fd, const char *end) {
    char text[4096], *limit = text + sizeof text - 2, *p = mlog__printf_put(text, limit, c->ident, c->ident_len);
    if (c->options & MLOG__SYSLOG_PID) p = mlog__text_u64(MLOG__PUT_TEXT(p, "["), (uint64_t)mlog__shim_pid()), *p++ = ']';
    p = MLOG__PUT_TEXT(p, ": ");
    p += mlog__shim_render(p, (size_t)(limit - p), c->format, args, c->error);
    if (p > text && p[-1] == '\n') p--;
    p = mlog__printf_put(p, text + sizeof text, end, strlen(end));
    mlog__shim_write(fd, text, (size_t)(p - text));
}

MLOG__COLD static void mlog__shim_syslog_console(const mlog__syslog *c, va_list args) {
    int fd = open("/dev/console", O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return;
    mlog__shim_syslog_write(c, args, fd, "\r\n");
    close(fd);
}

/* Facilities without a name are told by their number. */
static mlog_value mlog__shim_facility_value(int priority) {
    uint32_t facility = (uint32_t)priority >> 3;
    return facility < 24 ? mlog__val_s(mlog__shim_facility[facility]) : mlog__val_u(facility);
}

enum { MLOG__SYSLOG_TAGS = 32, MLOG__SYSLOG_READY = 224, MLOG__SYSLOG_PID_AT = 16 };

/* The fields of ident and facility, encoded once for all calls with them: the pid, if any, is the first, and filled in by each. */
static struct mlog__tag {
    uint32_t state;              /* 0 free, 1 being made, 2 for good */
    int facility;
    bool pid;
    char ident[64];
    size_t ident_len;
    uint32_t bytes;
    unsigned char ready[MLOG__SYSLOG_READY];
} mlog__shim_tags[MLOG__SYSLOG_TAGS];

static void mlog__shim_tag_make(struct mlog__tag *t, const mlog__syslog *c) {
    mlog_field field[3] = {{"pid", mlog__val_i(0)}, {"source", mlog_str(c->ident, c->ident_len)}, {"facility", mlog__shim_facility_value(c->priority)}};
    t->pid = (c->options & MLOG__SYSLOG_PID) != 0;
    t->facility = c->priority >> 3;
    memcpy(t->ident, c->ident, c->ident_len);
    t->ident_len = c->ident_len;
    t->bytes = mlog__shim_encode(t->ready, sizeof t->ready, field + !t->pid, 3 - !t->pid);
}

/* The one of this call; `own` is made when the table is full. */
static const struct mlog__tag *mlog__shim_tag(const mlog__syslog *c, struct mlog__tag *own) {
    bool pid = (c->options & MLOG__SYSLOG_PID) != 0;
    for (int i = 0; i < MLOG__SYSLOG_TAGS; i++) {
        struct mlog__tag *t = &mlog__shim_tags[i];
        uint32_t state = __atomic_load_n(&t->state, __ATOMIC_ACQUIRE); /* SHIM-2 */
        if (state == 2 && t->facility == c->priority >> 3 && t->pid == pid && t->ident_len == c->ident_len &&
            memcmp(t->ident, c->ident, c->ident_len) == 0)
            return t;
        if (state != 0 || !__atomic_compare_exchange_n(&t->state, &state, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue; /* SHIM-2 */
        mlog__shim_tag_make(t, c);
        __atomic_store_n(&t->state, 2, __ATOMIC_RELEASE); /* SHIM-2 */
        return t;
    }
    mlog__shim_tag_make(own, c);
    return own;
}

/* Its fields, with the pid of now. */
static void mlog__shim_tag_fields(const struct mlog__tag *t, unsigned char ready[MLOG__SYSLOG_READY], mlog__spoken *spoken) {
    memcpy(ready, t->ready, t->bytes);
    int64_t pid = t->pid ? mlog__shim_pid() : 0;
    if (t->pid) memcpy(ready + MLOG__SYSLOG_PID_AT, &pid, 8);
    spoken->ready = ready;
    spoken->ready_bytes = t->bytes;
    spoken->ready_count = t->pid ? 3 : 2;
}

/* A record, and what else the options ask for. */
static void mlog__shim_syslog_send(const mlog__syslog *c, va_list args, uintptr_t call_at) {
    int level = mlog__shim_severity[c->priority & 7];
    bool done = mlog__life_start();
    if ((c->options & MLOG__SYSLOG_PERROR) && !mlog__shim_on_stderr()) mlog__shim_syslog_write(c, args, 2, "\n");
    if (done && level < mlog__rule_threshold(c->ident, c->ident_len)) return;
    struct mlog__tag own;
    unsigned char ready[MLOG__SYSLOG_READY];
    mlog__spoken spoken = {.at = {"syslog", "", 0}, .level = level, .error = c->error, .format = c->format, .constant = true, .call_at = call_at};
    mlog__shim_tag_fields(mlog__shim_tag(c, &own), ready, &spoken);
    done = done && mlog__thread_speak(&spoken, args);
    if (!done && (c->options & MLOG__SYSLOG_CONS)) mlog__shim_syslog_console(c, args);
    if (done && level >= MLOG_FATAL) mlog1_fatal();
}

static void mlog__shim_syslog_call(int priority, const char *format, va_list args, uintptr_t call_at) {
    int saved = errno;
    mlog__syslog c = {.priority = priority, .error = saved, .format = format == NULL ? "(null format)" : format};
    c.options = __atomic_load_n(&mlog__shim_syslog.options, __ATOMIC_RELAXED);             /* SHIM-1 */
    int mask = __atomic_load_n(&mlog__shim_syslog.mask, __ATOMIC_RELAXED);                 /* SHIM-1 */
    const char *ident = __atomic_load_n(&mlog__shim_syslog.ident, __ATOMIC_RELAXED);       /* SHIM-1 */
    if ((mask & 1 << (priority & 7)) == 0) return;
    if ((priority & 0x3F8) == 0) c.priority |= __atomic_load_n(&mlog__shim_syslog.facility, __ATOMIC_RELAXED); /* SHIM-1 */
    if (ident == NULL) ident = program_invocation_short_name;
    c.ident_len = strnlen(ident, sizeof c.ident - 1);
    memcpy(c.ident, ident, c.ident_len);
    mlog__shim_syslog_send(&c, args, call_at);
    errno = saved;
}

static void mlog__shim_syslog_say(uintptr_t call_at, int priority, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_syslog_call(priority, format, args, call_at);
    va_end(args);
}

/* The original says so in a message of its own, and goes on without the bits. */
static void mlog__shim_syslog_check(int priority, const char *format, va_list args, uintptr_t call_at) {
    if (MLOG__UNLIKELY(priority & ~0x3FF)) /* LOG_ERR | LOG_CONS | LOG_PERROR | LOG_PID, as priority: what it does */
        mlog__shim_syslog_say(call_at, 0x23, "syslog: unknown facility/priority: %x", (unsigned)priority);
    mlog__shim_syslog_call(priority & 0x3FF, format, args, call_at);
}

METALOG_API void mlog1_vsyslog(int priority, const char *format, va_list args);
METALOG_API void mlog1_syslog(int priority, const char *format, ...);
METALOG_API void mlog1_vsyslog_chk(int priority, int flag, const char *format, va_list args);
METALOG_API void mlog1_syslog_chk(int priority, int flag, const char *format, ...);
METALOG_API void mlog1_openlog(const char *ident, int options, int facility);
METALOG_API void mlog1_closelog(void);
METALOG_API int mlog1_setlogmask(int mask);

/* [s] All of these as syslog(3) has them, and legal in a handler. They block as a logging call does. */
void mlog1_vsyslog(int priority, const char *format, va_list args) { mlog__shim_syslog_check(priority, format, args, MLOG__CALL_AT); }

void mlog1_syslog(int priority, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_syslog_check(priority, format, args, MLOG__CALL_AT);
    va_end(args);
}

/* What glibc's header makes of the calls with _FORTIFY_SOURCE; %n is refused with any flag. */
void mlog1_vsyslog_chk(int priority, int flag, const char *format, va_list args) {
    (void)flag;
    mlog__shim_syslog_check(priority, format, args, MLOG__CALL_AT);
}

void mlog1_syslog_chk(int priority, int flag, const char *format, ...) {
    va_list args;
    (void)flag;
    va_start(args, format);
    mlog__shim_syslog_check(priority, format, args, MLOG__CALL_AT);
    va_end(args);
}

/* LOG_NDELAY: sinks are opened now, before the program changes its root or its user. */
void mlog1_openlog(const char *ident, int options, int facility) {
    if (ident != NULL) __atomic_store_n(&mlog__shim_syslog.ident, ident, __ATOMIC_RELAXED); /* SHIM-1 */
    __atomic_store_n(&mlog__shim_syslog.options, options, __ATOMIC_RELAXED);                 /* SHIM-1 */
    if (facility != 0 && (facility & ~0x3F8) == 0) __atomic_store_n(&mlog__shim_syslog.facility, facility, __ATOMIC_RELAXED); /* SHIM-1 */
    int saved = errno;
#ifdef METALOG_PRELOAD
    options |= MLOG__SYSLOG_NDELAY; /* a program that does not know of files would come too late */
#endif
    if (options & MLOG__SYSLOG_NDELAY) (void)mlog__life_start();
    errno = saved;
}

void mlog1_closelog(void) { __atomic_store_n(&mlog__shim_syslog.ident, NULL, __ATOMIC_RELAXED); } /* SHIM-1 */

int mlog1_setlogmask(int mask) {
    if (mask == 0) return __atomic_load_n(&mlog__shim_syslog.mask, __ATOMIC_RELAXED); /* SHIM-1 */
    return __atomic_exchange_n(&mlog__shim_syslog.mask, mask, __ATOMIC_RELAXED);      /* SHIM-1 */
}

MLOG__SHIM_TAKE(vsyslog, mlog1_vsyslog)
MLOG__SHIM_TAKE(syslog, mlog1_syslog)
MLOG__SHIM_TAKE(__vsyslog_chk, mlog1_vsyslog_chk)
MLOG__SHIM_TAKE(__syslog_chk, mlog1_syslog_chk)
MLOG__SHIM_TAKE(openlog, mlog1_openlog)
MLOG__SHIM_TAKE(closelog, mlog1_closelog)
MLOG__SHIM_TAKE(setlogmask, mlog1_setlogmask)
#endif

/* ---- shim: err ----
 * err, warn and their kin, error(3) and perror: a record whose message is the text as it is known, with errno's; its number and the exit
 * status are fields. The text is also written to the standard error as the original writes it, unless a console of ours is there:
 * then it stands there as a record (without a configuration as MLOG_PLAIN). What ends the program drains before. */
#ifdef METALOG_SHIM_ERR

typedef struct {
    const char *prefix, *file, *format; /* prefix: the program's name as the original shows it; NULL: none is shown */
    unsigned line;
    int level, error, status;    /* 0: the program goes on, or ends well */
    bool tells, asks;            /* tells: errno, too; asks: error(3): error_print_progname may write the name */
} mlog__complaint;

#ifdef __GLIBC__ /* by other names, since the unit may have functions of its own of the headers' */
extern unsigned mlog__shim_error_count __asm__("error_message_count") __attribute__((weak));
extern int mlog__shim_error_one __asm__("error_one_per_line") __attribute__((weak));
extern void (*mlog__shim_error_name)(void) __asm__("error_print_progname") __attribute__((weak));
#define MLOG__SHIM_HAS(variable) (&(variable) != NULL)
#else
#define MLOG__SHIM_HAS(variable) true
static unsigned mlog__shim_error_count;
static int mlog__shim_error_one;
static void (*mlog__shim_error_name)(void);
#endif

/* As the original writes it, through stderr: to where that leads, behind what stands in its buffer. */
static void mlog__shim_err_write(const mlog__complaint *c, const char *format, va_list args, int error) {
    char small[4096], *text = small;
    size_t size = sizeof small - 1, n = 0;
    if (c->asks) fflush(stdout);
    flockfile(stderr);
    if (c->asks && MLOG__SHIM_HAS(mlog__shim_error_name) && mlog__shim_error_name != NULL) mlog__shim_error_name();
    else if (c->prefix != NULL) fprintf(stderr, c->file == NULL ? "%s: " : "%s:", c->prefix);
    n = mlog__shim_render(text, size, format, args, error);
    if (n == size && (text = malloc(1 << 20)) != NULL) n = mlog__shim_render(text, size = (1 << 20) - 1, format, args, error);
    else if (text == NULL) text = small;
    text[n] = '\n';
    fwrite(text, 1, n + 1, stderr);
    fflush(stderr);
    funlockfile(stderr);
    if (text != small) free(text);
}

/* The format of the whole text: its file and line in front, errno's text behind, as far as there is room. Returns `format` when nothing
 * is to be added. */
static const char *mlog__shim_err_format(char whole[1024], const mlog__complaint *c) {
    const char *format = c->format == NULL ? "" : c->format, *tail = !c->tells ? "" : *format == 0 ? "%m" : ": %m";
    char *p = whole, *end = whole + 900;
    size_t len = strlen(format);
    if ((c->file == NULL && !c->tells) || len > 700) return format; /* the record's fields tell it */
    for (const char *f = c->file; f != NULL && *f != 0 && p < whole + 160; f++) {
        if (*f == '%') *p++ = '%';
        *p++ = *f;
    }
    if (c->file != NULL) p = mlog__text_u64(MLOG__PUT_TEXT(p, ":"), c->line), p = MLOG__PUT_TEXT(p, ": ");
    p = mlog__printf_put(mlog__printf_put(p, end, format, len), end, tail, strlen(tail));
    *p = 0;
    return whole;
}

static void mlog__shim_complain(const mlog__complaint *c, va_list args, uintptr_t call_at) {
    int saved = errno;
    char whole[1024];
    const char *format = mlog__shim_err_format(whole, c), *name = program_invocation_short_name;
    bool started = mlog__life_start();
    if (!started || !mlog__shim_on_stderr()) mlog__shim_err_write(c, format, args, c->error);
    if (started && c->level >= mlog__rule_threshold(name, strlen(name))) {
        unsigned char ready[224];
        mlog_field field[3] = {{"source", mlog__val_s(name)}};
        mlog__spoken spoken = {.at = {c->file == NULL ? "err" : c->file, "", (int)c->line}, .level = c->level, .error = c->error,
                               .format = format, .ready = ready, .ready_count = 1, .call_at = call_at};
        if (c->tells) field[spoken.ready_count++] = (mlog_field){"errno", mlog__val_i(c->error)};
        if (c->status != 0) field[spoken.ready_count++] = (mlog_field){"exit_status", mlog__val_i(c->status)};
        spoken.ready_bytes = mlog__shim_encode(ready, sizeof ready, field, spoken.ready_count);
        (void)mlog__thread_speak(&spoken, args);
    }
    errno = saved;
}

static void mlog__shim_warn(int level, bool tells, int status, const char *format, va_list args, uintptr_t call_at) {
    mlog__complaint c = {.prefix = program_invocation_short_name, .format = format, .level = level, .error = errno, .status = status,
                         .tells = tells};
    mlog__shim_complain(&c, args, call_at);
}

/* Also with status 0, which is one to exit with. */
__attribute__((noreturn)) static void mlog__shim_err(int status, bool tells, const char *format, va_list args, uintptr_t call_at) {
    mlog__shim_warn(MLOG_ERROR, tells, status, format, args, call_at);
    mlog1_die(status);
}

static void mlog__shim_error(int status, int error, const char *file, unsigned line, const char *format, va_list args, uintptr_t call_at) {
    mlog__complaint c = {.prefix = program_invocation_name, .file = file, .line = line, .format = format, .level = MLOG_ERROR, .error = error,
                         .status = status, .tells = error != 0, .asks = true};
    mlog__shim_complain(&c, args, call_at);
    if (MLOG__SHIM_HAS(mlog__shim_error_count)) __atomic_fetch_add(&mlog__shim_error_count, 1, __ATOMIC_RELAXED); /* SHIM-1 */
    if (status != 0) mlog1_die(status);
}

METALOG_API void mlog1_verr(int status, const char *format, va_list args);
METALOG_API void mlog1_err(int status, const char *format, ...);
METALOG_API void mlog1_verrx(int status, const char *format, va_list args);
METALOG_API void mlog1_errx(int status, const char *format, ...);
METALOG_API void mlog1_vwarn(const char *format, va_list args);
METALOG_API void mlog1_warn(const char *format, ...);
METALOG_API void mlog1_vwarnx(const char *format, va_list args);
METALOG_API void mlog1_warnx(const char *format, ...);
METALOG_API void mlog1_error(int status, int error, const char *format, ...);
METALOG_API void mlog1_error_at_line(int status, int error, const char *file, unsigned line, const char *format, ...);
METALOG_API void mlog1_perror(const char *text);

/* All of these as err(3), error(3) and perror(3) have them. */
void mlog1_verr(int status, const char *format, va_list args) { mlog__shim_err(status, true, format, args, MLOG__CALL_AT); }
void mlog1_verrx(int status, const char *format, va_list args) { mlog__shim_err(status, false, format, args, MLOG__CALL_AT); }
void mlog1_vwarn(const char *format, va_list args) { mlog__shim_warn(MLOG_WARN, true, 0, format, args, MLOG__CALL_AT); }
void mlog1_vwarnx(const char *format, va_list args) { mlog__shim_warn(MLOG_WARN, false, 0, format, args, MLOG__CALL_AT); }

void mlog1_err(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_err(status, true, format, args, MLOG__CALL_AT);
}

void mlog1_errx(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_err(status, false, format, args, MLOG__CALL_AT);
}

void mlog1_warn(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_warn(MLOG_WARN, true, 0, format, args, MLOG__CALL_AT);
    va_end(args);
}

void mlog1_warnx(const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_warn(MLOG_WARN, false, 0, format, args, MLOG__CALL_AT);
    va_end(args);
}

void mlog1_error(int status, int error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mlog__shim_error(status, error, NULL, 0, format, args, MLOG__CALL_AT);
    va_end(args);
}

/* error_one_per_line: the second complaint about a line is left out, and not counted. */
static bool mlog__shim_error_again(const char *file, unsigned line) {
    static const char *last_file;
    static unsigned last_line;
    if (!MLOG__SHIM_HAS(mlog__shim_error_one) || mlog__shim_error_one == 0) return false;
    bool again = last_line == line && (last_file == file || (last_file != NULL && file != NULL && strcmp(last_file, file) == 0));
    last_file = file;
    last_line = line;
    return again;
}

void mlog1_error_at_line(int status, int error, const char *file, unsigned line, const char *format, ...) {
    va_list args;
    if (mlog__shim_error_again(file, line)) return;
    va_start(args, format);
    mlog__shim_error(status, error, file, line, format, args, MLOG__CALL_AT);
    va_end(args);
}

static void mlog__shim_perror(int error, uintptr_t call_at, const char *format, ...) {
    mlog__complaint c = {.format = format, .level = MLOG_ERROR, .error = error, .tells = true};
    va_list args;
    va_start(args, format);
    mlog__shim_complain(&c, args, call_at);
    va_end(args);
}

void mlog1_perror(const char *text) {
    if (text == NULL || *text == 0) mlog__shim_perror(errno, MLOG__CALL_AT, NULL);
    else mlog__shim_perror(errno, MLOG__CALL_AT, "%s", text);
}

MLOG__SHIM_TAKE(err, mlog1_err)
MLOG__SHIM_TAKE(verr, mlog1_verr)
MLOG__SHIM_TAKE(errx, mlog1_errx)
MLOG__SHIM_TAKE(verrx, mlog1_verrx)
MLOG__SHIM_TAKE(warn, mlog1_warn)
MLOG__SHIM_TAKE(vwarn, mlog1_vwarn)
MLOG__SHIM_TAKE(warnx, mlog1_warnx)
MLOG__SHIM_TAKE(vwarnx, mlog1_vwarnx)
MLOG__SHIM_TAKE(error, mlog1_error)
MLOG__SHIM_TAKE(error_at_line, mlog1_error_at_line)
MLOG__SHIM_TAKE(perror, mlog1_perror)
#endif

/* ---- shim: stdio ----
 * A descriptor of the host leads into a pipe; a thread makes records of its lines. Nobody waits for the flusher but that thread, which
 * drops as any other; sinks write to where the descriptor led, so that nothing comes round. At the end a byte 0 marks, behind all
 * that was written; what children still write then is passed on as it is.
 *
 * A child of fork has the pipe, but not the thread: its text is its parent's, until its own first record makes it a pipe of its own. */
#ifdef METALOG_SHIM_STDIO

enum { MLOG__STDIO_NONE, MLOG__STDIO_RUNS, MLOG__STDIO_ENDS, MLOG__STDIO_ENDED };

typedef struct {
    uint32_t state;              /* MLOG__STDIO_* */
    int fd, level, pipe[2], host;/* host: a duplicate of what fd led to */
    dev_t host_dev, pipe_dev;    /* what they are: a host that closes all descriptors may use the numbers again */
    ino_t host_ino, pipe_ino;
    pid_t pid;                   /* whose thread reads */
    mlog_logger *logger;
    size_t len;                  /* of a line that has no end yet */
    char line[8192];             /* a longer one is cut in pieces */
} mlog__stdio;
static mlog__stdio *mlog__shim_stdio[2];

static bool mlog__shim_stdio_is(int fd, dev_t dev, ino_t ino) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static void mlog__shim_stdio_line(mlog__stdio *s, const char *text, size_t n) {
    if (n > 0 && text[n - 1] == '\r') n--;
    mlog_event e = {.at = {"stdio", "", 0}, .logger = s->logger, .level = s->level, .msg = text, .msg_len = n};
    if (n > 0) mlog_emit(&e); /* an empty line says nothing */
}

/* What was read: whole lines go out. */
static void mlog__shim_stdio_take(mlog__stdio *s) {
    char *at = s->line, *end = s->line + s->len, *newline;
    for (; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1) mlog__shim_stdio_line(s, at, (size_t)(newline - at));
    s->len = (size_t)(end - at);
    if (s->len == sizeof s->line) {
        size_t n = mlog__text_utf8_cut(at, s->len - 8);
        mlog__shim_stdio_line(s, at, n);
        at += n;
        s->len -= n;
    }
    memmove(s->line, at, s->len);
}

/* Behind the mark: nobody writes any more but children, and they to where they would have written. */
static void mlog__shim_stdio_pass_on(mlog__stdio *s) {
    long n = 0;
    while (mlog__shim_stdio_is(s->pipe[0], s->pipe_dev, s->pipe_ino) && mlog__shim_stdio_is(s->host, s->host_dev, s->host_ino) &&
           ((n = syscall(SYS_read, s->pipe[0], s->line, sizeof s->line)) > 0 || (n < 0 && errno == EINTR)))
        for (long done = 0, k; done < n && (k = syscall(SYS_write, s->host, s->line + done, (size_t)(n - done))) > 0;) done += k;
    if (mlog__shim_stdio_is(s->pipe[0], s->pipe_dev, s->pipe_ino)) close(s->pipe[0]);
    if (mlog__shim_stdio_is(s->host, s->host_dev, s->host_ino)) close(s->host);
    free(s);
}

static void *mlog__shim_stdio_run(void *arg) {
    mlog__stdio *s = arg;
    for (;;) {
        bool ours = mlog__shim_stdio_is(s->pipe[0], s->pipe_dev, s->pipe_ino);
        long n = !ours ? 0 : syscall(SYS_read, s->pipe[0], s->line + s->len, sizeof s->line - s->len);
        if (n < 0 && errno == EINTR) continue;
        if (n > 0) s->len += (size_t)n;
        bool marked = s->len > 0 && s->line[s->len - 1] == 0 && __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == MLOG__STDIO_ENDS; /* SHIM-3 */
        if (marked) s->len--;
        mlog__shim_stdio_take(s);
        if (!marked && n > 0) continue;
        mlog__shim_stdio_line(s, s->line, s->len);
        __atomic_store_n(&s->state, MLOG__STDIO_ENDED, __ATOMIC_RELEASE); /* SHIM-3 */
        mlog__platform_wake(&s->state);
        if (marked) mlog__shim_stdio_pass_on(s);
        return NULL;
    }
}

/* Puts the descriptor back, and waits until all that was written before is logged. flush: also what stdio still holds. */
static void mlog__shim_stdio_stop(int which, bool flush) {
    mlog__stdio *s = mlog__shim_stdio[which];
    if (s == NULL || s->pid != getpid()) return; /* a child's is its parent's */
    mlog__shim_stdio[which] = NULL;
    if (flush) fflush(which == 0 ? stdout : stderr);
    mlog__sink_led[s->fd] = 0;
    if (mlog__shim_stdio_is(s->fd, s->pipe_dev, s->pipe_ino) && mlog__shim_stdio_is(s->host, s->host_dev, s->host_ino))
        (void)syscall(SYS_dup3, s->host, s->fd, 0);
    int write_end = s->pipe[1];
    bool ours = mlog__shim_stdio_is(write_end, s->pipe_dev, s->pipe_ino);
    /* SHIM-3; a host that closed all of it has ended the thread */
    if (__atomic_exchange_n(&s->state, MLOG__STDIO_ENDS, __ATOMIC_ACQ_REL) == MLOG__STDIO_ENDED || !ours) return;
    int64_t end = mlog__platform_clock(CLOCK_MONOTONIC) + INT64_C(2000000000);
    (void)syscall(SYS_write, write_end, "", 1);
    while (mlog__platform_clock(CLOCK_MONOTONIC) < end && __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) != MLOG__STDIO_ENDED) /* SHIM-3 */
        mlog__platform_wait(&s->state, MLOG__STDIO_ENDS, 100);
    close(write_end); /* with the last one the thread ends, and s with it */
}

static void mlog__shim_stdio_end(void) {
    mlog__shim_stdio_stop(0, true);
    mlog__shim_stdio_stop(1, true);
}

static int mlog__shim_stdio_begin(int fd, int level, int host) {
    mlog__stdio *s = calloc(1, sizeof *s);
    if (s == NULL) return mlog__life_why("mlog_stdio: no memory");
    *s = (mlog__stdio){.state = MLOG__STDIO_RUNS, .fd = fd, .level = mlog__level(level), .pid = getpid(), .host = host, .pipe = {-1, -1}};
    s->logger = mlog_named(fd == 1 ? "stdout" : "stderr");
    fflush(fd == 1 ? stdout : stderr);
    if (s->host < 0) s->host = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    struct stat to = {0}, st = {0};
    bool open = s->host >= 0 && fstat(s->host, &to) == 0 && pipe2(s->pipe, O_CLOEXEC) == 0 && fstat(s->pipe[0], &st) == 0;
    s->host_dev = to.st_dev, s->host_ino = to.st_ino, s->pipe_dev = st.st_dev, s->pipe_ino = st.st_ino;
    if (!open || !mlog__platform_thread(mlog__shim_stdio_run, s)) {
        int result = mlog__life_why("mlog_stdio: descriptor %d: %s", fd, strerror(errno));
        if (s->host >= 0 && host < 0) close(s->host);
        if (s->pipe[0] >= 0) close(s->pipe[0]), close(s->pipe[1]);
        free(s);
        return result;
    }
    mlog__sink_led[fd] = s->host;
    (void)syscall(SYS_dup3, s->pipe[1], fd, 0);
    mlog__shim_stdio[fd - 1] = s;
    if (fd == 1) setvbuf(stdout, NULL, _IOLBF, 0); /* a line when it is said, as on a terminal */
    return 0;
}

/* In a child, with its first record: what it says from here on is its own. */
static void mlog__shim_stdio_revive(void) {
    for (int i = 0; i < 2; i++) {
        mlog__stdio *s = mlog__shim_stdio[i];
        if (s == NULL || s->pid == getpid()) continue;
        mlog__shim_stdio[i] = NULL;
        bool still = mlog__shim_stdio_is(s->fd, s->pipe_dev, s->pipe_ino) && mlog__shim_stdio_is(s->host, s->host_dev, s->host_ino);
        int fd = s->fd, level = s->level, host = s->host;
        if (!still || mlog__shim_stdio_begin(fd, level, host) != 0) mlog__sink_led[fd] = 0;
        else close(s->pipe[0]), close(s->pipe[1]);
    }
}

METALOG_API int mlog_stdio(int fd, int level) {
    int saved = errno, result = 0;
    if (fd != 1 && fd != 2) return mlog__life_why("mlog_stdio: descriptor %d: expected 1 or 2", fd);
    if (!mlog__life_start()) return mlog__life_why("mlog_stdio: no memory");
    if (mlog__life_on_lane()) return mlog__life_why("mlog_stdio: called from a callback of a sink; expected another thread");
    mlog__stdio *s = mlog__shim_stdio[fd - 1];
    if (level == 0) mlog__shim_stdio_stop(fd - 1, true);
    else if (s != NULL && s->pid == getpid()) s->level = mlog__level(level);
    else result = mlog__shim_stdio_begin(fd, level, -1);
    errno = saved;
    return result;
}
#endif

#ifdef METALOG_PRELOAD
/* METALOG_STDIO=12: both. Before the program runs. What it starts has its pipes, or files that must stay what they are. */
__attribute__((constructor)) static void mlog__shim_preloaded(void) {
    const char *which = secure_getenv("METALOG_STDIO");
    for (const char *p = which; p != NULL && *p != 0; p++)
        if (*p == '1' || *p == '2') (void)mlog_stdio(*p - '0', *p == '1' ? MLOG_INFO : MLOG_WARN);
    if (which != NULL) unsetenv("METALOG_STDIO");
}

METALOG_API void mlog1_preload_exit(int status);

/* [s] _exit, of a program that does not know what it leaves behind: waits for it at most full_ms, as a FATAL record does. */
void mlog1_preload_exit(int status) {
    if (mlog__life_running() && !mlog__life_is_child() && !mlog__platform_borrowed()) {
        mlog__shim_stdio_stop(0, false);
        mlog__shim_stdio_stop(1, false);
        mlog1_fatal();
    }
    for (;;) (void)syscall(SYS_exit_group, status);
}
MLOG__SHIM_TAKE(_exit, mlog1_preload_exit)
MLOG__SHIM_TAKE(_Exit, mlog1_preload_exit)

/* What the environment says to a program that knows nothing of metalog; METALOG itself, the rules, is read as ever. Everything is
 * logged without it: setlogmask is the program's own choice. */
static void mlog__shim_defaults(mlog_config *c) {
    const char *path = secure_getenv("METALOG_FILE"), *pattern = secure_getenv("METALOG_PATTERN");
    c->levels = "trace";
    if (path != NULL && *path != 0) c->sinks[0].type = MLOG_FILE, c->sinks[0].path = path;
    if (pattern == NULL || *pattern == 0) return;
    if (c->sinks[0].type == 0) c->sinks[0].type = MLOG_CONSOLE;
    c->sinks[0].format = MLOG_PATTERN;
    c->sinks[0].pattern = pattern;
}
#endif
/* ---- end of the shims ---- */

#ifdef METALOG_TOOL

/* ==== reader ====
 * Binary files, read back: by the tool, and by whoever takes over what a dead process left. A file is a row of blocks of one or more
 * processes (a restart appends, forked children share it); each has a session of its own here, a private copy that is built from the
 * notes in the blocks, and a desk. So the formatters of the sinks show these records as the process itself would have.
 *
 * The file is hostile. A block counts when its checksum is right; what is between two such blocks is *damage*, reported with its first
 * byte and passed over. A checksum can be right on purpose: lengths, numbers and kinds are checked again before anything relies on
 * them, a dictionary entry never changes once it is there, and records are decoded by functions that check each length.
 *
 * Another machine's byte order is turned in place, block by block: the block as soon as its checksum is right, a record once the
 * entry that tells its kinds is known. A long double of another format is shown as null.
 *
 * owns: reading of binary files, sessions that are not this process's
 * may call: platform clock record dict text format crc binary
 */

enum { MLOG__READER_LIVES = sizeof(void *) == 8 ? 64 : 8, /* processes of one file that are remembered */
       MLOG__READER_CHUNK = 1 << 20, MLOG__READER_SLACK = 256 /* may be read behind a block, and is zero or old bytes */ };

/* One process whose records are in the file. */
typedef struct {
    uint64_t id, turn;           /* turn: when it was last needed */
    mlog__session *session;      /* NULL: a free place */
    mlog__block_head head;
    uint64_t *taken;             /* a bit for each word of the dictionary that holds an entry */
    mlog__clock_table pairs;     /* empty: the records' line comes with them */
    mlog__desk desk;
    uint32_t infos;              /* entries have numbers / 8 below it */
    uint64_t *next;              /* by ring: the position behind the last record; what comes again is a double */
    uint64_t *count;             /* for statistics: records by entry number / 8 */
} mlog__reader_life;

/* A record of the file; its bytes live until the next one is read. */
typedef struct {
    mlog__reader_life *life;
    const unsigned char *bytes;
    uint64_t header, id, ticks;
    int64_t time, call_time;
    bool late;
    uint32_t tid;
    const uint64_t *name;
} mlog__reader_record;

typedef struct {
    int fd;
    bool ended, follow, foreign; /* ended: the descriptor gave all it has; follow: the end is not final; foreign: this block's order */
    unsigned char *buffer;
    size_t at, len, cap;         /* buffer[at, len) is read and not used */
    uint64_t offset;             /* of buffer[at] in the file */
    uint64_t damaged, lost, blocks, records, turn; /* damaged: bytes; lost: records without a definition, or not sound */
    uint64_t folded;             /* records that were there already, by their ids */
    void (*gone)(mlog__reader_life *); /* asked before a process is forgotten, unless NULL */
    uint64_t first_bad;          /* when damaged or lost is not 0 */
    const char *why;             /* what was wrong there */
    bool in_gap;
    /* the block that is being read */
    unsigned char *p, *end;
    uint64_t block_at, pos, last_ticks, arrival;
    int64_t last_time;
    uint32_t ring, tid;
    bool lined, owned;
    mlog__clock_view line;
    mlog__block block;
    uint64_t serial;
    mlog__reader_life *life;
    struct { uint64_t serial, name[4]; } owner[MLOG__RINGS];
    mlog__reader_life lives[MLOG__READER_LIVES];
} mlog__reader;

/* What is known of a process, forgotten. */
static void mlog__reader_forget(mlog__reader_life *life) {
    for (uint32_t i = 0; life->desk.infos != NULL && i < life->infos; i++) {
        if (life->desk.infos[i] == NULL) continue;
        free(life->desk.infos[i]->flat);
        free(life->desk.infos[i]);
    }
    for (uint32_t i = 0; life->desk.known != NULL && i < MLOG__CONTEXTS; i++) mlog__format_forget(life->desk.known[i]);
    mlog__platform_unmap(life->desk.infos, MLOG__INFOS * sizeof *life->desk.infos);
    mlog__platform_unmap(life->taken, MLOG__DICT_BYTES / 64);
    mlog__platform_unmap(life->count, MLOG__INFOS * sizeof *life->count);
    mlog__platform_unmap(life->next, MLOG__RINGS * sizeof *life->next);
    free(life->desk.known);
    free(life->desk.names.p);
    free(life->desk.message.p);
    free(life->desk.values.p);
    free(life->desk.text.p);
    mlog__platform_unmap(life->session, sizeof *life->session);
    memset(life, 0, sizeof *life);
}

static void mlog__reader_close(mlog__reader *r) {
    if (r == NULL) return;
    for (int i = 0; i < MLOG__READER_LIVES; i++) mlog__reader_forget(&r->lives[i]);
    free(r->buffer);
    free(r);
}

/* Reads from a descriptor, which stays the caller's; from where it stands. NULL: no memory. */
static mlog__reader *mlog__reader_open(int fd) {
    mlog__reader *r = calloc(1, sizeof *r);
    if (r == NULL || (r->buffer = calloc(1, MLOG__READER_CHUNK + MLOG__READER_SLACK)) == NULL) return mlog__reader_close(r), NULL;
    r->cap = MLOG__READER_CHUNK;
    r->fd = fd;
    return r;
}

/* The process with this number; make: a new place, that of the one that was not needed longest. NULL: unknown, or no memory. */
static mlog__reader_life *mlog__reader_life_of(mlog__reader *r, uint64_t id, bool make) {
    mlog__reader_life *oldest = &r->lives[0];
    for (int i = 0; i < MLOG__READER_LIVES; i++) {
        mlog__reader_life *life = &r->lives[i];
        if (life->session != NULL && life->id == id) return life->turn = ++r->turn, life;
        if (life->turn < oldest->turn) oldest = life;
    }
    if (!make) return NULL;
    if (oldest->session != NULL && r->gone != NULL) r->gone(oldest);
    mlog__reader_forget(oldest);
    oldest->session = mlog__platform_map(sizeof *oldest->session, false, false);
    oldest->taken = mlog__platform_map(MLOG__DICT_BYTES / 64, false, false);
    oldest->desk.infos = mlog__platform_map(MLOG__INFOS * sizeof *oldest->desk.infos, false, false);
    oldest->next = mlog__platform_map(MLOG__RINGS * sizeof *oldest->next, false, false);
    if (oldest->session == NULL || oldest->taken == NULL || oldest->desk.infos == NULL || oldest->next == NULL)
        return mlog__reader_forget(oldest), NULL;
    oldest->id = oldest->session->id = id;
    oldest->turn = ++r->turn;
    oldest->desk.session = oldest->session;
    oldest->desk.pairs = &oldest->pairs;
    return oldest;
}

/* -- bytes -- */

/* At least `need` bytes at r->at, or all that there are. False: fewer. */
static bool mlog__reader_fill(mlog__reader *r, size_t need) {
    if (MLOG__LIKELY(r->len - r->at >= need)) return true;
    memmove(r->buffer, r->buffer + r->at, r->len - r->at);
    r->len -= r->at;
    r->at = 0;
    if (need > r->cap) {
        unsigned char *more = realloc(r->buffer, need + MLOG__READER_CHUNK + MLOG__READER_SLACK);
        if (more == NULL) return false;
        r->buffer = more;
        r->cap = need + MLOG__READER_CHUNK;
    }
    while (!r->ended && r->len < r->cap) {
        ssize_t n = read(r->fd, r->buffer + r->len, r->cap - r->len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) r->ended = true;
        else r->len += (size_t)n;
        if (r->len >= need) break;
    }
    return r->len >= need;
}

static void mlog__reader_pass(mlog__reader *r, size_t n) {
    r->at += n;
    r->offset += n;
}

/* Something is wrong at a byte of the file; the first one is remembered. */
static void mlog__reader_blame(mlog__reader *r, uint64_t offset, const char *why) {
    if (r->why != NULL) return;
    r->why = why;
    r->first_bad = offset;
}

/* No block begins here: on to the next place where one might. */
static void mlog__reader_stumble(mlog__reader *r, const char *why) {
    static const uint64_t magic[2] = {MLOG__BLOCK_MAGIC, __builtin_bswap64(MLOG__BLOCK_MAGIC)};
    if (!r->in_gap) mlog__reader_blame(r, r->offset, why);
    r->in_gap = true;
    const unsigned char *from = r->buffer + r->at + 1;
    size_t left = r->len - r->at - 1, skip = r->ended ? left : left < 7 ? 0 : left - 7; /* a magic may begin in the last seven */
    for (int i = 0; i < 2; i++) {
        const unsigned char *found = memmem(from, left, &magic[i], 8);
        if (found != NULL) skip = MLOG__MIN(skip, (size_t)(found - from));
    }
    r->damaged += skip + 1;
    mlog__reader_pass(r, skip + 1);
}

/* -- another byte order -- */

static void mlog__reader_turn(unsigned char *p, size_t size, size_t count) {
    for (; count > 0; count--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char c = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = c;
        }
}

static void mlog__reader_turn_head(mlog__block *b) {
    mlog__reader_turn((unsigned char *)&b->magic, 8, 1);
    mlog__reader_turn((unsigned char *)&b->crc, 4, 4);
    mlog__reader_turn((unsigned char *)&b->session, 8, 5);
}

static bool mlog__reader_turn_fields(unsigned char **p, unsigned char *end, uint64_t count, uint32_t depth);

/* The bytes of a value whose slot word is turned already; *p moves behind them. */
static bool mlog__reader_turn_payload(unsigned char *slot, uint32_t kind, uint32_t elem, unsigned char **p, unsigned char *end,
                                      uint32_t depth) {
    uint64_t word, null = mlog__record_text_slot(0, MLOG__NULL_TEXT);
    memcpy(&word, slot, 8);
    uint64_t len = (uint32_t)word, room = mlog__record_padded(len);
    if (!mlog__record_has_bytes(kind) || word >> 32 == MLOG__NULL_TEXT) return true;
    if (room > (uint64_t)(end - *p)) return false;
    unsigned char *at = *p, *stop = at + len;
    if (kind == MLOG__K_LDOUBLE) { /* what follows moves up, since null has no bytes */
        memmove(at, at + room, (size_t)(end - at) - (size_t)room);
        memcpy(slot, &null, 8);
        return true;
    }
    *p += room;
    if (kind == MLOG_K_OBJECT) return mlog__reader_turn_fields(&at, stop, UINT64_MAX, depth + 1);
    if (kind != MLOG_K_ARRAY) return true;
    size_t size = mlog__record_element_size[elem & 15];
    if (size != 0) mlog__reader_turn(at, size, (size_t)len / size);
    while (elem == MLOG__E_TEXT && stop - at >= 8) {
        mlog__reader_turn(at, 8, 1);
        memcpy(&word, at, 8);
        at += 8;
        uint64_t text = word >> 32 == MLOG__NULL_TEXT ? 0 : mlog__record_padded((uint32_t)word);
        if (text > (uint64_t)(stop - at)) return false;
        at += text;
    }
    return true;
}

/* Fields, one behind another; of an object as many as there are. */
static bool mlog__reader_turn_fields(unsigned char **p, unsigned char *end, uint64_t count, uint32_t depth) {
    for (; count > 0 && (count != UINT64_MAX || *p < end); count -= count != UINT64_MAX) {
        uint64_t head;
        if (end - *p < 24 || depth > MLOG__OBJECT_DEPTH) return false;
        mlog__reader_turn(*p, 8, 1);
        memcpy(&head, *p, 8);
        uint64_t room = mlog__record_padded((head >> 16) & 0xFFFF);
        if ((uint64_t)(end - *p) < 16 + room) return false;
        unsigned char *slot = *p + 8 + room;
        mlog__reader_turn(slot, 8, 1);
        *p = slot + 8;
        if (!mlog__reader_turn_payload(slot, head & 255, (head >> 8) & 255, p, end, depth)) return false;
    }
    return true;
}

/* Slots and payloads of a record, whose kinds are known. */
static bool mlog__reader_turn_values(const uint8_t *kind, uint32_t count, unsigned char **p, unsigned char *end) {
    unsigned char *slot = *p;
    if ((size_t)(end - slot) < 8 * (size_t)count) return false;
    mlog__reader_turn(slot, 8, count);
    *p += 8 * (size_t)count;
    for (uint32_t i = 0; i < count; i++, slot += 8) {
        uint64_t word;
        unsigned char *own = slot;
        uint32_t k = kind[i], elem = 0;
        if (k == MLOG__K_VALUE) {
            if (end - *p < 8) return false;
            memcpy(&word, slot, 8);
            k = word & 255, elem = (word >> 8) & 255;
            own = *p;
            mlog__reader_turn(own, 8, 1);
            *p += 8;
        }
        if (!mlog__reader_turn_payload(own, k, elem, p, end, 0)) return false;
    }
    return true;
}

/* The rest of a record of the other byte order; its header is turned. */
static bool mlog__reader_turn_record(const mlog__session *s, unsigned char *p, uint64_t header) {
    static const uint8_t whole[5] = {MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_TEXT, MLOG_K_INT};
    unsigned char *end = p + mlog__record_bytes(header);
    uint32_t site = mlog__record_site(header);
    size_t words = 1 + mlog__record_options(header);
    if (site == MLOG__S_LOSS) return mlog__reader_turn(p + 8, 8, (size_t)(end - p) / 8 - 1), true;
    if ((size_t)(end - p) < 8 + 8 * words) return false;
    mlog__reader_turn(p + 8, 8, words);
    p += 8 + 8 * words;
    const mlog__entry *e = site < MLOG__FIRST_SITE ? NULL : mlog__dict_find(s, site);
    if (site >= MLOG__FIRST_SITE && e == NULL) return true; /* nobody will look at it */
    if (!mlog__reader_turn_values(e == NULL ? whole : e->kind, e == NULL ? 5 : e->count, &p, end)) return false;
    uint64_t counts;
    if ((header & MLOG__F_FIELDS) == 0) return true;
    if (end - p < 8) return false;
    mlog__reader_turn(p, 8, 1);
    memcpy(&counts, p, 8);
    p += 8;
    return mlog__reader_turn_fields(&p, end, counts >> 32, 0);
}

/* -- blocks -- */

/* Who wrote what follows. */
static bool mlog__reader_header(mlog__reader *r, unsigned char *p, size_t n) {
    mlog__block_head head;
    if (n < sizeof head) return false;
    memcpy(&head, p, sizeof head);
    if (r->foreign) {
        mlog__reader_turn((unsigned char *)&head.version, 4, 6);
        mlog__reader_turn((unsigned char *)&head.started, 8, 3);
    }
    if (head.version != 1) return mlog__reader_blame(r, r->block_at, "a header of another version"), true;
    mlog__reader_life *life = mlog__reader_life_of(r, r->block.session, true);
    if (life == NULL) return false;
    head.program[sizeof head.program - 1] = 0;
    life->head = head;
    return true;
}

enum { MLOG__READER_END, MLOG__READER_BLOCK, MLOG__READER_WAIT };

/* The next block whose checksum is right; its header in r->block, its content in [r->p, r->end). END: no more; WAIT: with `follow`,
 * the last one is not whole yet. */
static int mlog__reader_block(mlog__reader *r) {
    for (;;) {
        if (!mlog__reader_fill(r, sizeof r->block)) {
            if (r->follow) return MLOG__READER_WAIT;
            if (r->len == r->at) return MLOG__READER_END;
            mlog__reader_stumble(r, "the file ends within a block");
            continue;
        }
        mlog__block *b = &r->block;
        memcpy(b, r->buffer + r->at, sizeof *b);
        r->foreign = b->magic == __builtin_bswap64(MLOG__BLOCK_MAGIC);
        if (r->foreign) mlog__reader_turn_head(b);
        size_t skip = offsetof(mlog__block, bytes);
        if (b->magic != MLOG__BLOCK_MAGIC) {
            mlog__reader_stumble(r, "no block begins here");
        } else if (b->bytes < sizeof *b || b->bytes > MLOG__BLOCK_MOST || b->bytes % 8 != 0) {
            mlog__reader_stumble(r, "the length of a block makes no sense");
        } else if (!mlog__reader_fill(r, b->bytes)) {
            if (r->follow) return MLOG__READER_WAIT;
            mlog__reader_stumble(r, "the file ends within a block, or its length is wrong");
#ifndef METALOG_TEST_NO_CRC
        } else if (mlog__crc_of(0, r->buffer + r->at + skip, b->bytes - skip) != b->crc) {
            mlog__reader_stumble(r, "the checksum of a block is wrong");
#endif
        } else {
            break;
        }
    }
    if ((r->at & 7) != 0) { /* behind a torn block: words shall be aligned */
        memmove(r->buffer, r->buffer + r->at, r->len - r->at);
        r->len -= r->at;
        r->at = 0;
    }
    r->in_gap = false;
    r->block_at = r->offset;
    r->p = r->buffer + r->at + sizeof r->block;
    r->end = r->buffer + r->at + r->block.bytes;
    mlog__reader_pass(r, r->block.bytes);
    r->blocks++;
    return MLOG__READER_BLOCK;
}

/* Offset in the file of a byte of the block. */
static uint64_t mlog__reader_offset(const mlog__reader *r, const unsigned char *p) { return r->offset - (uint64_t)(r->end - p); }

/* -- notes -- */

/* Is an entry what formatters rely on? Lengths within it, a NUL behind each text, kinds that there are, as many keys as values. */
static bool mlog__reader_entry_ok(const mlog__entry *e, size_t bytes) {
    uint64_t texts = (uint64_t)e->msg_len + e->file_len + e->func_len + e->source_len + e->keys_len + 5;
    if (e->bytes != bytes || sizeof *e + texts > bytes || e->state != 1) return false;
    if (*(mlog__dict_file(e) - 1) != 0 || *(mlog__dict_func(e) - 1) != 0 || *(mlog__dict_source(e) - 1) != 0 ||
        *(mlog__dict_keys(e) - 1) != 0 || mlog__dict_keys(e)[e->keys_len] != 0)
        return false;
    if (e->type == MLOG__D_LOGGER) return true;
    bool print = (e->style & MLOG__PRINTF) != 0;
    if (e->type != MLOG__D_SITE || e->count > (print ? 17 : 16)) return false;
    for (uint32_t i = 0; i < e->count; i++)
        if (e->kind[i] > MLOG_K_OBJECT && e->kind[i] != MLOG__K_LDOUBLE && e->kind[i] != MLOG__K_VALUE) return false;
    uint32_t keys = 0;
    for (const char *key = mlog__dict_keys(e), *end = key + e->keys_len; key < end; key += strlen(key) + 1) keys++;
    return print || keys == e->count;
}

/* An entry under its number. It is there already when a process goes on with a file; then it must be the same. */
static bool mlog__reader_define(mlog__reader *r, unsigned char *p, size_t n) {
    mlog__reader_life *life = r->life;
    uint64_t number, words = (n - 8) / 8;
    if (n < 8 + sizeof(mlog__entry)) return false;
    memcpy(&number, p, 8);
    mlog__entry *e = (mlog__entry *)(void *)(p + 8);
    if (r->foreign) {
        mlog__reader_turn((unsigned char *)&e->state, 4, 5);
        mlog__reader_turn((unsigned char *)&e->file_len, 2, 3);
        mlog__reader_turn((unsigned char *)e->prec, 4, 20);
    }
    if (number < MLOG__FIRST_SITE || number > MLOG__DICT_BYTES / 8 || words > MLOG__DICT_BYTES / 8 - number) return false;
    unsigned char *to = life->session->dict + 8 * number;
    uint64_t taken = 0;
    for (uint64_t i = number; i < number + words; i++) taken += life->taken[i / 64] >> (i % 64) & 1;
    if (taken != 0) return taken == words && memcmp(to, e, n - 8) == 0;
    if (!mlog__reader_entry_ok(e, n - 8)) return false;
    for (uint64_t i = number; i < number + words; i++) life->taken[i / 64] |= UINT64_C(1) << (i % 64);
    memcpy(to, e, n - 8);
    life->infos = MLOG__MAX(life->infos, (uint32_t)number / 8 + 1);
    return true;
}

/* A context in its slot; its parent stands there already. Who walks the chain counts, so it may end in itself. */
static bool mlog__reader_context(mlog__reader *r, unsigned char *p, size_t n) {
    uint64_t word[3];
    if (n < 24) return false;
    memcpy(word, p, 24);
    uint64_t bytes = (uint32_t)word[2], index = word[0] & 0xFFFFF;
    unsigned char *fields = p + 24;
    if (word[0] == 0 || word[0] == MLOG__HEAVY || index >= MLOG__CONTEXTS || bytes > n - 24) return false;
    mlog__context_slot *slot = &r->life->session->context[index];
    if (bytes > sizeof slot->fields || (r->foreign && !mlog__reader_turn_fields(&fields, fields + bytes, word[2] >> 32, 0))) return false;
    bool again = slot->id == word[0], fresh = !again || slot->parent == 0; /* its parent may have been damaged the first time */
    if (again && (slot->bytes != bytes || memcmp(slot->fields, p + 24, (size_t)bytes) != 0)) return false;
    slot->id = word[0];
    if (fresh) slot->parent = word[1] != word[0] && mlog__format_slot(r->life->session, word[1]) != NULL ? word[1] : 0;
    slot->bytes = (uint32_t)bytes;
    slot->count = (uint32_t)(word[2] >> 32);
    memcpy(slot->fields, p + 24, (size_t)bytes);
    return true;
}

/* Whose records follow. Without a name: as in the last such note of this block. */
static bool mlog__reader_ring(mlog__reader *r, const unsigned char *p, size_t n) {
    uint64_t word[3] = {0};
    if (n < 16) return false;
    memcpy(word, p, MLOG__MIN(n, sizeof word));
    r->ring = (uint32_t)word[0];
    if (r->ring >= MLOG__RINGS) return false;
    r->tid = (uint32_t)(word[0] >> 32);
    r->pos = word[1];
    if (word[2] != 0 && n < 24 + 32) return false;
    bool told = n == 16;
    if (told && r->owner[r->ring].serial != r->serial) return false;
    if (!told) {
        memset(r->owner[r->ring].name, 0, 32);
        if (word[2] != 0) memcpy(r->owner[r->ring].name, p + 24, 32);
        r->owner[r->ring].serial = r->serial;
    }
    return r->owned = true;
}

static bool mlog__reader_line(mlog__reader *r, const unsigned char *p, size_t n) {
    uint64_t word[4];
    if (n < sizeof word) return false;
    memcpy(word, p, sizeof word);
    r->line = (mlog__clock_view){.until = UINT64_MAX, .ticks = word[0], .utc = (int64_t)word[1], .rate = (int64_t)word[2]};
    r->arrival = word[3];
    return r->lined = true;
}

static bool mlog__reader_note(mlog__reader *r, unsigned char *p, uint64_t header) {
    size_t n = (size_t)mlog__record_bytes(header) - 8;
    static const uint8_t words[] = {0, 4, 3, 1, 3};
    uint64_t kind = header >> 52;
    if (r->foreign && kind < sizeof words) mlog__reader_turn(p + 8, 8, MLOG__MIN(n / 8, (size_t)words[kind]));
    switch (kind) {
    case MLOG__NOTE_LINE: return mlog__reader_line(r, p + 8, n);
    case MLOG__NOTE_RING: return mlog__reader_ring(r, p + 8, n);
    case MLOG__NOTE_DEFINE: return mlog__reader_define(r, p + 8, n);
    case MLOG__NOTE_CONTEXT: return mlog__reader_context(r, p + 8, n);
    default: return true; /* of a younger version */
    }
}

/* -- records -- */

/* Begins the block that mlog__reader_block found. False: there are no records in it. */
static bool mlog__reader_begin(mlog__reader *r) {
    if (r->block.type == MLOG__BLOCK_HEADER) {
        if (!mlog__reader_header(r, r->p, (size_t)(r->end - r->p))) mlog__reader_blame(r, r->block_at, "a header that is not sound");
        return false;
    }
    if (r->block.type != MLOG__BLOCK_RECORDS && r->block.type != MLOG__BLOCK_RECOVERED) return false;
    r->life = mlog__reader_life_of(r, r->block.session, false);
    if (r->life == NULL) {
        mlog__reader_blame(r, r->block_at, "records of a process that no header introduces");
        r->lost += r->block.records;
        return false;
    }
    r->life->desk.recovered = r->block.type == MLOG__BLOCK_RECOVERED;
    r->last_ticks = r->block.last_ticks;
    r->last_time = r->block.last_time;
    r->serial++;
    r->lined = r->owned = false;
    return true;
}

/* Time and order, as the flusher tells them. */
static void mlog__reader_order(mlog__reader *r, mlog__reader_record *o) {
    uint64_t ticks = o->ticks;
    o->late = ticks < r->last_ticks;
    if (!o->late) r->last_ticks = ticks;
    o->time = o->call_time = mlog__clock_along(&r->line, ticks);
    if (MLOG__UNLIKELY(o->time < r->last_time)) {
        if ((uint64_t)r->last_time - (uint64_t)o->time > 1000000) o->late = true;
        o->time = r->last_time;
    }
    if ((o->header & MLOG__F_TIME) == 0) {
        r->last_time = o->time;
        return;
    }
    o->late = false;
    memcpy(&o->time, o->bytes + 16 + 8 * (size_t)mlog__record_options(o->header & (MLOG__F_CONTEXT | MLOG__F_BOUND | MLOG__F_TO)), 8);
}

/* Is the record at r->pos another one than all before? A sink takes the records of a ring in their order, so that an earlier position
 * means that it wrote one twice: after a crash, where it could not know. Reports of its own have no place in a ring. */
static bool mlog__reader_new(mlog__reader *r, uint64_t header) {
    uint64_t *next = &r->life->next[r->ring], end = r->pos + mlog__record_bytes(header);
    if (mlog__record_site(header) == MLOG__S_LOSS && (header & MLOG__F_TIME) != 0) return true;
    if (r->pos < *next) return r->folded++, r->pos = end, false;
    return *next = end, true;
}

/* The next record of the block; 0: none; -1: what follows in it is not sound. */
static int mlog__reader_step(mlog__reader *r, mlog__reader_record *o) {
    while (r->end - r->p >= 8) {
        unsigned char *p = r->p;
        uint64_t header;
        if (MLOG__UNLIKELY(r->foreign)) mlog__reader_turn(p, 8, 1);
        memcpy(&header, p, 8);
        uint64_t bytes = mlog__record_bytes(header);
        if (MLOG__UNLIKELY(bytes == 0 || bytes > (uint64_t)(r->end - p))) return -1;
        if (MLOG__UNLIKELY(mlog__record_site(header) == MLOG__S_PAD)) {
            if (!mlog__reader_note(r, p, header)) return -1;
            r->p += bytes;
            continue;
        }
        if (MLOG__UNLIKELY(bytes < 16 + 8 * (uint64_t)mlog__record_options(header) || !r->lined || !r->owned)) return -1;
        if (MLOG__UNLIKELY(r->foreign && !mlog__reader_turn_record(r->life->session, p, header))) return -1;
        r->p += bytes;
        if (MLOG__UNLIKELY(!mlog__reader_new(r, header))) continue;
        o->life = r->life;
        o->bytes = p;
        o->header = header;
        o->id = (uint64_t)r->ring << 48 | r->pos / 8;
        o->tid = r->tid;
        o->name = r->owner[r->ring].name;
        memcpy(&o->ticks, p + 8, 8);
        if (o->ticks == 0) o->ticks = r->arrival;
        r->pos += bytes;
        mlog__reader_order(r, o);
        r->records++;
        return 1;
    }
    return 0;
}

/* The next record of the file. END: no more; WAIT: with `follow`, not yet. */
static int mlog__reader_next(mlog__reader *r, mlog__reader_record *o) {
    for (;;) {
        if (r->p < r->end) {
            int got = mlog__reader_step(r, o);
            if (got > 0) return MLOG__READER_BLOCK;
            if (got < 0) mlog__reader_blame(r, mlog__reader_offset(r, r->p), "a record that is not sound"), r->lost++;
            r->p = r->end;
        }
        int got = mlog__reader_block(r);
        if (got != MLOG__READER_BLOCK) return got;
        if (!mlog__reader_begin(r)) r->p = r->end;
    }
}

/* Who logged it, when, its bytes: what a filter starts from. */
static void mlog__reader_item(const mlog__reader_record *o, mlog__item *it) {
    it->header = o->header;
    it->time = o->time;
    it->call_time = o->call_time;
    it->late = o->late;
    it->id = o->id;
    it->decoded = it->rendered = false;
    mlog__format_owner(&o->life->desk, it, o->tid, o->name);
}

/* Those of another format are nothing that could be shown. */
static void mlog__reader_drop_long_doubles(mlog__item *it) {
    for (uint32_t i = 0; i < it->count; i++)
        if (it->val[i].kind == MLOG__K_LDOUBLE) it->val[i].kind = MLOG_K_NULL;
    for (uint32_t i = 0; i < it->fields; i++)
        if (it->field[i].val.kind == MLOG__K_LDOUBLE) it->field[i].val.kind = MLOG_K_NULL;
}

/* Decodes it for the formatters. False: not sound, or without a definition. */
static bool mlog__reader_decode(const mlog__reader_record *o, mlog__item *it) {
    static const char skipped[] = "records skipped: this sink was too slow";
    bool told = (o->header & MLOG__F_TIME) != 0; /* by the sink, not by a thread */
    if (mlog__record_site(o->header) != MLOG__S_LOSS) {
        if (!it->decoded && !mlog__format_decode(it, &o->life->desk, o->bytes)) return false;
        if (o->life->head.long_double != __LDBL_MANT_DIG__) mlog__reader_drop_long_doubles(it);
        if (!it->rendered) mlog__format_message(it, &o->life->desk);
        return true;
    }
    it->lost = (const uint64_t *)(const void *)(o->bytes + 16 + 8 * told);
    mlog__format_loss(it, (uint32_t)(mlog__record_bytes(o->header) / 8 - 2 - told));
    if ((o->header & MLOG__F_FIELDS) != 0) it->msg = skipped, it->msg_len = sizeof skipped - 1;
    it->decoded = it->rendered = true;
    return true;
}

/* ==== tool ====
 * The command `metalog`: reads binary files and JSON lines, several at once, merged by time. Every input becomes a row of decoded
 * records; filter, times, fields and formats know nothing of where those came from. A JSON line goes out as it came in when nothing
 * but lines are wanted. See mlog__tool_man for what it takes and returns.
 *
 * owns: the command line, inputs, output
 * may call: platform clock record dict rule text format filter crc binary sink reader
 */

enum { MLOG__TOOL_OK, MLOG__TOOL_DAMAGE, MLOG__TOOL_USAGE, MLOG__TOOL_FAILED }; /* exit codes */
enum { MLOG__TOOL_CAT, MLOG__TOOL_TAIL, MLOG__TOOL_STATS, MLOG__TOOL_CHECK };
enum { MLOG__TOOL_JSON, MLOG__TOOL_CONSOLE, MLOG__TOOL_LOGFMT, MLOG__TOOL_CSV };
enum { MLOG__TOOL_WANTED = 64, MLOG__TOOL_LINE = 64 << 20 };

/* A file. */
typedef struct {
    const char *path;
    int fd;
    dev_t dev;
    ino_t ino;
    bool opened, known, binary, have, done; /* known: what it is; have: `item` is the next record */
    mlog__reader *reader;
    mlog__reader_record record;
    mlog__buffer bytes, text;    /* of JSON lines: what was read; texts of the present line */
    size_t at;                   /* of bytes: the next line */
    bool ended;
    const char *line;
    size_t line_len;
    uint64_t strange, first_strange, offset; /* lines that are no records; where the first one begins; offset of bytes.p[0] */
    mlog__desk desk;
    mlog__item item;
} mlog__tool_input;

static struct {
    int command, format, status;
    bool formatted, follow, color, pager, headed, utc;
    mlog_filter *filter;
    int64_t since, until;
    const char *wanted[MLOG__TOOL_WANTED];
    uint32_t wanted_count, inputs;
    long last;                   /* tail: so many records */
    mlog__tool_input *input;
    mlog__buffer out, scratch;
    mlog__buffer *kept;          /* tail: the last lines */
    uint64_t kept_count;
    pid_t child;                 /* the pager */
} mlog__tool = {.since = INT64_MIN, .until = INT64_MAX, .last = 10, .pager = true, .utc = false};

/* On stderr; the worst status is the command's. */
__attribute__((format(printf, 2, 3))) static void mlog__tool_say(int status, const char *format, ...) {
    char raw[1024], clean[6 * sizeof raw + 32];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    *mlog__text_console(clean, raw, strlen(raw)) = 0; /* paths and filters are the user's, names in files are not */
    fprintf(stderr, "metalog: %s\n", clean);
    mlog__tool.status = MLOG__MAX(mlog__tool.status, status);
}

/* -- output -- */

static void mlog__tool_flush(void) {
    mlog__buffer *b = &mlog__tool.out;
    for (size_t at = 0; at < b->len;) {
        ssize_t n = write(1, b->p + at, b->len - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            if (errno != EPIPE) mlog__tool_say(MLOG__TOOL_FAILED, "standard output: %s", strerror(errno));
            exit(errno == EPIPE ? mlog__tool.status : MLOG__TOOL_FAILED);
        }
        at += (size_t)n;
    }
    b->len = 0;
}

/* Output through a pager, as git does: only on a terminal, and less leaves at once what fits the screen. */
static void mlog__tool_page(void) {
    int fd[2];
    const char *pager = secure_getenv("METALOG_PAGER");
    if (pager == NULL) pager = secure_getenv("PAGER");
    if (pager == NULL || *pager == 0) pager = "less";
    if (!mlog__tool.pager || mlog__tool.follow || isatty(1) != 1 || strcmp(pager, "cat") == 0 || pipe(fd) != 0) return;
    mlog__tool.child = fork();
    if (mlog__tool.child == 0) {
        dup2(fd[0], 0);
        close(fd[0]);
        close(fd[1]);
        setenv("LESS", "FRX", 0);
        execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
        _exit(127);
    }
    if (mlog__tool.child > 0) dup2(fd[1], 1), signal(SIGINT, SIG_IGN); /* that is for the pager */
    close(fd[0]);
    close(fd[1]);
}

static void mlog__tool_end_pager(void) {
    if (mlog__tool.child <= 0) return;
    close(1);
    while (waitpid(mlog__tool.child, NULL, 0) < 0 && errno == EINTR) {}
}

/* A text as one field of CSV (RFC 4180), controls escaped so that a record stays one line. Room: 7 bytes for one and 3 more. */
static char *mlog__tool_csv_text(char *p, const char *s, size_t n) {
    size_t len = (size_t)(mlog__text_console(p + 1, s, n) - p - 1), quotes = 0;
    bool special = memchr(p + 1, ',', len) != NULL;
    for (size_t i = 1; i <= len; i++) quotes += p[i] == '"';
    if (!special && quotes == 0) return memmove(p, p + 1, len), p + len;
    char *end = p + 1 + len + quotes, *to = end;
    *to = '"';
    for (const char *from = p + len; from > p; from--) { /* from the back, into the room that the doubled quotes take */
        *--to = *from;
        if (*from == '"') *--to = '"';
    }
    *p = '"';
    return end + 1;
}

/* A value as CSV: text as it is, everything else as in JSON without quotes. scratch: room for it. */
static char *mlog__tool_csv_value(char *p, const mlog__val *v, char *scratch) {
    if (v->kind == MLOG_K_NULL || (v->kind == MLOG_K_TEXT && v->full == MLOG__NULL_TEXT)) return p;
    if (v->kind == MLOG_K_TEXT && v->full <= v->len) return mlog__tool_csv_text(p, v->as.p, v->len);
    char *end = mlog__format_json_value(scratch, v);
    bool quoted = end - scratch >= 2 && *scratch == '"';
    return mlog__tool_csv_text(p, scratch + quoted, (size_t)(end - scratch) - 2 * (size_t)quoted);
}

/* One of the record's own words as text. NULL: the name is that of a field. */
static char *mlog__tool_own(char *p, const char *name, const mlog__item *it, mlog__desk *desk) {
    if (strcmp(name, "ts") == 0) return mlog__text_utc(p, it->time, &desk->utc);
    if (strcmp(name, "level") == 0) return mlog__format_put(p, mlog_level_name(it->level), strlen(mlog_level_name(it->level)));
    if (strcmp(name, "msg") == 0) return mlog__format_put(p, it->msg, it->msg_len);
    if (strcmp(name, "source") == 0) return mlog__format_put(p, it->source, it->source_len);
    if (strcmp(name, "at") == 0) return mlog__text_u64(MLOG__PUT_TEXT(mlog__format_put(p, it->file, it->file_len), ":"), it->line);
    if (strcmp(name, "thread") != 0) return NULL;
    return it->thread_len != 0 ? mlog__format_put(p, it->thread, it->thread_len) : mlog__text_u64(p, it->tid);
}

/* key=value or "key":value or value; `own` is text. */
static char *mlog__tool_cell(char *p, const char *name, const char *own, size_t own_len, const mlog__val *v, char *scratch, bool first) {
    int format = mlog__tool.format;
    mlog__val text = {.kind = MLOG_K_TEXT, .len = (uint32_t)own_len, .full = (uint32_t)own_len, .as = {.p = own}};
    if (v == NULL && own != NULL) v = &text;
    if (format == MLOG__TOOL_CSV) {
        if (!first) *p++ = ',';
        return v == NULL ? p : mlog__tool_csv_value(p, v, scratch);
    }
    if (v == NULL) return p;
    if (format == MLOG__TOOL_JSON) {
        p = MLOG__PUT_TEXT(p, ",\"");
        p = mlog__text_json(p, name, strlen(name));
        return mlog__format_json_value(MLOG__PUT_TEXT(p, "\":"), v);
    }
    if (!first) *p++ = ' ';
    if (format == MLOG__TOOL_LOGFMT) {
        p = mlog__format_flat_clean(p, name, strlen(name));
        *p++ = '=';
        return mlog__format_flat_value(p, v, scratch, false);
    }
    p = mlog__text_console(p, name, strlen(name));
    *p++ = '=';
    return mlog__format_pretty_value(p, v);
}

/* A line of the wanted fields only. */
static bool mlog__tool_pick(mlog__buffer *b, mlog__desk *desk, mlog__item *it) {
    mlog__out list[MLOG__FIELDS];
    uint32_t n = mlog__format_list(it, desk, list);
    size_t bound = mlog__format_bound(it), start = b->len;
    const mlog__val tid = {.kind = MLOG_K_UINT, .as = {.u = it->tid}};
    if (!mlog__format_room(&mlog__tool.scratch, 4 * bound)) return false;
    char *own = mlog__tool.scratch.p, *scratch = own + bound;
    for (uint32_t i = 0; i < mlog__tool.wanted_count; i++) {
        const char *name = mlog__tool.wanted[i];
        const mlog__val *v = NULL;
        char *end = mlog__tool_own(own, name, it, desk);
        if (!mlog__format_room(b, 16 * bound + 8 * 256)) return b->len = start, false;
        for (uint32_t k = 0; end == NULL && k < n && v == NULL; k++)
            if (list[k].len == strlen(name) && memcmp(list[k].key, name, list[k].len) == 0) v = &list[k].val;
        if (it->thread_len == 0 && strcmp(name, "thread") == 0) v = &tid;
        b->len = (size_t)(mlog__tool_cell(b->p + b->len, name, end == NULL ? NULL : own, end == NULL ? 0 : (size_t)(end - own), v, scratch,
                                          b->len == start && i == 0) - b->p);
    }
    if (mlog__tool.format == MLOG__TOOL_JSON) {
        b->len += b->len == start;
        b->p[start] = '{';
        b->p[b->len++] = '}';
    }
    b->p[b->len++] = '\n';
    return true;
}

/* One more column. */
static bool mlog__tool_column(mlog__buffer *b, const char *text, size_t n, char behind) {
    if (!mlog__format_room(b, 7 * n + 8)) return false;
    char *p = mlog__tool_csv_text(b->p + b->len, text, n);
    *p++ = behind;
    b->len = (size_t)(p - b->p);
    return true;
}

/* ts,level,source,at,thread,msg, and all fields as in LOGFMT in the last column. */
static bool mlog__tool_csv(mlog__buffer *b, mlog__desk *desk, mlog__item *it) {
    static const char *const column[] = {"ts", "level", "source", "at", "thread", "msg"};
    mlog__out list[MLOG__FIELDS];
    size_t bound = mlog__format_bound(it), start = b->len;
    if (!mlog__format_room(&mlog__tool.scratch, 5 * bound + MLOG__FLAT_NAMES)) return false;
    char *own = mlog__tool.scratch.p, *scratch = own + 3 * bound, *end;
    uint32_t n = mlog__format_flat_list(it, desk, list, scratch + 2 * bound);
    for (size_t i = 0; i < sizeof column / sizeof *column; i++) {
        end = mlog__tool_own(own, column[i], it, desk);
        if (!mlog__tool_column(b, own, (size_t)(end - own), ',')) return b->len = start, false;
    }
    end = own;
    for (uint32_t i = 0; i < n; i++) {
        if (i != 0) *end++ = ' ';
        end = mlog__format_put(end, list[i].key, list[i].len);
        *end++ = '=';
        end = mlog__format_flat_value(end, &list[i].val, scratch, false);
    }
    if (!mlog__tool_column(b, own, (size_t)(end - own), '\n')) return b->len = start, false;
    return true;
}

/* The head of a CSV table, once. */
static void mlog__tool_csv_head(mlog__buffer *b) {
    mlog__tool.headed = true;
    if (mlog__tool.wanted_count == 0) {
        static const char head[] = "ts,level,source,at,thread,msg,fields\n";
        if (mlog__format_room(b, sizeof head)) b->len = (size_t)(mlog__format_put(b->p + b->len, head, sizeof head - 1) - b->p);
        return;
    }
    for (uint32_t i = 0; i < mlog__tool.wanted_count; i++)
        if (!mlog__tool_column(b, mlog__tool.wanted[i], strlen(mlog__tool.wanted[i]), i + 1 == mlog__tool.wanted_count ? '\n' : ',')) return;
}

/* A decoded record as a line. */
static bool mlog__tool_line(mlog__buffer *b, mlog__desk *desk, mlog__item *it) {
    if (mlog__tool.format == MLOG__TOOL_CSV && !mlog__tool.headed) mlog__tool_csv_head(&mlog__tool.out);
    if (mlog__tool.wanted_count != 0) return mlog__tool_pick(b, desk, it);
    switch (mlog__tool.format) {
    case MLOG__TOOL_CONSOLE: return mlog__format_pretty(b, desk, it, mlog__tool.color, mlog__tool.utc);
    case MLOG__TOOL_LOGFMT: return mlog__format_logfmt(b, desk, it, isatty(1) == 1);
    case MLOG__TOOL_CSV: return mlog__tool_csv(b, desk, it);
    default: return mlog__format_json(b, desk, it);
    }
}

/* -- JSON lines -- */

typedef struct { const char *at, *end; char *room; } mlog__tool_json;

/* "\u00e9" behind its backslash and u; surrogates in pairs. */
static uint32_t mlog__tool_hex4(const char *p) {
    uint32_t cp = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        cp = cp << 4 | (c <= '9' ? c - '0' + 0u : (c | 32u) - 'a' + 10u);
    }
    return cp;
}

/* A string, decoded into the room; the text is valid JSON already. */
static const char *mlog__tool_string(mlog__tool_json *j, uint32_t *len) {
    char *start = j->room, *to = start;
    const char *p = j->at + 1;
    for (; p < j->end && *p != '"'; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        char c = *++p;
        if (c != 'u') {
            *to++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
            continue;
        }
        uint32_t cp = mlog__tool_hex4(p + 1);
        p += 4;
        if (cp >= 0xD800 && cp < 0xDC00 && j->end - p > 6 && p[1] == '\\' && p[2] == 'u') {
            uint32_t low = mlog__tool_hex4(p + 3);
            if (low >= 0xDC00 && low < 0xE000) cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00), p += 6;
        }
        to += mlog__text_utf8_encode(to, cp);
    }
    *to = 0;
    j->at = p + 1;
    j->room = to + 1;
    *len = (uint32_t)(to - start);
    return start;
}

/* Behind a value of any kind, whose JSON is valid. */
static void mlog__tool_skip(mlog__tool_json *j) {
    int depth = 0;
    for (; j->at < j->end; j->at++) {
        char c = *j->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) return;
        if (c == '{' || c == '[') depth++;
        else if (c == '}' || c == ']') depth--;
        else if (c == '"')
            for (j->at++; j->at < j->end && *j->at != '"'; j->at++) j->at += *j->at == '\\';
    }
}

/* A number as the integer that it is, else as a double. */
static mlog__val mlog__tool_number(const char *p, size_t n) {
    mlog__filter_term t = {0};
    mlog__val v = {.kind = MLOG_K_JSON, .len = (uint32_t)n, .full = (uint32_t)n, .as = {.p = p}};
    if (mlog__filter_literal(&t, p, n) != NULL) return v;
    if (t.type == MLOG__Q_INT) v = (mlog__val){.kind = MLOG_K_INT, .as = {.i = t.as.i}};
    else if (t.type == MLOG__Q_UINT) v = (mlog__val){.kind = MLOG_K_UINT, .as = {.u = t.as.u}};
    else if (t.type == MLOG__Q_DOUBLE) v = (mlog__val){.kind = MLOG_K_DOUBLE, .as = {.f = t.as.f}};
    return v;
}

static mlog__val mlog__tool_value(mlog__tool_json *j) {
    mlog__val v = {.kind = MLOG_K_TEXT};
    const char *start = j->at;
    if (*start == '"') {
        v.as.p = mlog__tool_string(j, &v.len);
        v.full = v.len;
        return v;
    }
    mlog__tool_skip(j);
    size_t n = (size_t)(j->at - start);
    if (*start == 't' || *start == 'f') return (mlog__val){.kind = MLOG_K_BOOL, .as = {.u = *start == 't'}};
    if (*start == 'n') return (mlog__val){.kind = MLOG_K_NULL};
    while (n > 0 && mlog__text_is_blank(start[n - 1])) n--;
    if (*start != '{' && *start != '[') return mlog__tool_number(start, n);
    return (mlog__val){.kind = MLOG_K_JSON, .len = (uint32_t)n, .full = (uint32_t)n, .as = {.p = start}};
}

/* Days since 1970 (Hinnant, days_from_civil). */
static int64_t mlog__tool_days(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719468;
}

static bool mlog__tool_digits(const char **p, const char *end, int n, int64_t *value) {
    for (*value = 0; n > 0; n--, ++*p) {
        if (*p == end || **p < '0' || **p > '9') return false;
        *value = *value * 10 + (**p - '0');
    }
    return true;
}

static bool mlog__tool_char(const char **p, const char *end, const char *any) {
    if (*p == end || **p == 0 || strchr(any, **p) == NULL) return false;
    return ++*p, true;
}

/* RFC 3339, a date alone too; without a zone it is UTC. */
static bool mlog__tool_rfc3339(const char *p, size_t n, int64_t *ns) {
    const char *end = p + n;
    int64_t y, mo, d, h = 0, mi = 0, s = 0, zh = 0, zm = 0, fraction = 0, unit = 1000000000;
    if (!mlog__tool_digits(&p, end, 4, &y) || !mlog__tool_char(&p, end, "-") || !mlog__tool_digits(&p, end, 2, &mo) ||
        !mlog__tool_char(&p, end, "-") || !mlog__tool_digits(&p, end, 2, &d))
        return false;
    if (p != end) {
        if (!mlog__tool_char(&p, end, "Tt ") || !mlog__tool_digits(&p, end, 2, &h) || !mlog__tool_char(&p, end, ":") ||
            !mlog__tool_digits(&p, end, 2, &mi))
            return false;
        if (mlog__tool_char(&p, end, ":") && !mlog__tool_digits(&p, end, 2, &s)) return false;
        if (mlog__tool_char(&p, end, "."))
            for (; p < end && *p >= '0' && *p <= '9'; p++) unit /= 10, fraction += (*p - '0') * unit;
    }
    bool minus = p < end && *p == '-';
    if (p < end && !mlog__tool_char(&p, end, "Zz") &&
        !(mlog__tool_char(&p, end, "+-") && mlog__tool_digits(&p, end, 2, &zh) && mlog__tool_char(&p, end, ":") &&
          mlog__tool_digits(&p, end, 2, &zm)))
        return false;
    if (p != end || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 24 || mi > 59 || s > 60 || y < 1678 || y > 2261) return false;
    int64_t zone = (zh * 3600 + zm * 60) * (minus ? -1 : 1);
    *ns = ((mlog__tool_days(y, mo, d) * 24 + h) * 3600 + mi * 60 + s - zone) * 1000000000 + fraction;
    return true;
}

/* "5m", "1h30m", "2d" before now; or a time. */
static bool mlog__tool_when(const char *text, int64_t *ns) {
    int64_t sum = 0;
    const char *p = text;
    if (mlog__tool_rfc3339(text, strlen(text), ns)) return true;
    while (*p != 0) {
        uint64_t value;
        size_t digits = strspn(p, "0123456789"), letters = strspn(p + digits, "dhmnsu");
        int64_t part, unit = letters == 1 && p[digits] == 'd' ? INT64_C(86400000000000) : mlog__filter_unit(p + digits, letters);
        if (digits == 0 || unit == 0 || !mlog__filter_magnitude(p, digits, 10, &value) || value > INT64_MAX ||
            __builtin_mul_overflow((int64_t)value, unit, &part) || __builtin_add_overflow(sum, part, &sum))
            return false;
        p += digits + letters;
    }
    return p != text && !__builtin_sub_overflow(mlog__platform_clock(CLOCK_REALTIME), sum, ns);
}

/* The record's own words, which a line of ours begins with. */
static bool mlog__tool_take_own(mlog__item *it, const char *key, const mlog__val *v) {
    const char *colon;
    bool text = v->kind == MLOG_K_TEXT;
    if (strcmp(key, "ts") == 0) return text && mlog__tool_rfc3339(v->as.p, v->len, &it->time);
    if (strcmp(key, "level") == 0) return text && (it->level = mlog__rule_level(v->as.p, v->len)) > 0;
    if (strcmp(key, "msg") == 0) it->msg = v->as.p, it->msg_len = v->len;
    if (strcmp(key, "source") == 0) it->source = v->as.p, it->source_len = v->len;
    if (strcmp(key, "thread") == 0 && text) it->thread = v->as.p, it->thread_len = v->len;
    else if (strcmp(key, "thread") == 0) it->tid = (uint32_t)v->as.u, text = v->kind == MLOG_K_INT;
    if (strcmp(key, "ts_call") == 0) it->late = text && mlog__tool_rfc3339(v->as.p, v->len, &it->call_time);
    if (strcmp(key, "at") != 0 || !text) return text;
    colon = memrchr(v->as.p, ':', v->len);
    it->file = v->as.p;
    it->file_len = colon == NULL ? v->len : (uint32_t)(colon - v->as.p);
    it->line = colon == NULL ? 0 : (uint32_t)strtoul(colon + 1, NULL, 10);
    return true;
}

/* A line as a record. False: it is none of ours. */
static bool mlog__tool_parse(mlog__tool_input *in) {
    mlog__item *it = &in->item;
    uint32_t own = 0;
    if (in->line_len < 2 || *in->line != '{' || !mlog__text_json_valid(in->line, in->line_len)) return false;
    in->text.len = 0;
    if (!mlog__format_room(&in->text, 4 * in->line_len + 64)) return false;
    mlog__tool_json j = {in->line + 1, in->line + in->line_len, in->text.p};
    memset(it, 0, offsetof(mlog__item, val));
    it->fields = it->from_context = it->from_bound = it->count = 0;
    it->decoded = it->rendered = true;
    it->lost = NULL;
    it->source = it->file = it->func = it->msg = it->thread = "";
    it->header = mlog__record_header(MLOG__S_EMIT, MLOG__MIN(4 + in->line_len / 8, (size_t)0xFFFFF), 0); /* what bounds go by */
    in->desk.recovered = false;
    while (j.at < j.end && *j.at != '}') {
        uint32_t len;
        j.at += strspn(j.at, ", \t\r");
        if (*j.at != '"') break;
        const char *key = mlog__tool_string(&j, &len);
        j.at += strspn(j.at, ": \t\r");
        mlog__val v = mlog__tool_value(&j);
        if (strcmp(key, "recovered") == 0) {
            in->desk.recovered = v.kind == MLOG_K_BOOL && v.as.u != 0;
        } else if (mlog__format_is_reserved(key, len)) {
            if (!mlog__tool_take_own(it, key, &v)) return false;
            own += strcmp(key, "ts") == 0 || strcmp(key, "level") == 0;
        } else if (it->fields < MLOG__FIELDS) {
            it->field[it->fields++] = (mlog__out){key, len, v};
        }
    }
    return own == 2;
}

/* The next line of a file; false: none that is whole. At the end of a file that does not grow the rest counts as one. */
static bool mlog__tool_next_line(mlog__tool_input *in) {
    mlog__buffer *b = &in->bytes;
    size_t seen = in->at;
    for (;;) {
        const char *end = b->len == seen ? NULL : memchr(b->p + seen, '\n', b->len - seen);
        if (end != NULL || (in->ended && !mlog__tool.follow && b->len > in->at)) {
            in->line = b->p + in->at;
            in->line_len = end == NULL ? b->len - in->at : (size_t)(end - in->line);
            in->at += in->line_len + (end != NULL);
            b->p[in->at - (end != NULL)] = end != NULL ? '\n' : 0;
            return true;
        }
        if (in->ended) return false;
        if (in->at != 0) memmove(b->p, b->p + in->at, b->len - in->at);
        b->len -= in->at;
        in->offset += in->at;
        in->at = 0;
        seen = b->len;
        if (b->len > MLOG__TOOL_LINE || !mlog__format_room(b, (1 << 18) + 64)) return in->ended = true, false;
        ssize_t n = read(in->fd, b->p + b->len, 1 << 18);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) in->ended = true;
        else b->len += (size_t)n;
    }
}

/* -- inputs -- */

static void mlog__tool_open(mlog__tool_input *in) {
    struct stat st;
    in->fd = strcmp(in->path, "-") == 0 ? 0 : open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (in->fd < 0 || fstat(in->fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        mlog__tool_say(MLOG__TOOL_FAILED, "%s: %s", in->path, in->fd < 0 ? strerror(errno) : "is a directory");
        in->done = true;
        return;
    }
    in->opened = true;
    in->dev = st.st_dev;
    in->ino = st.st_ino;
}

/* Binary or lines? By the first eight bytes: a binary file whose first block is damaged is told by a later one. */
static bool mlog__tool_sniff(mlog__tool_input *in) {
    if (in->known) return true;
    if (in->reader == NULL && (in->reader = mlog__reader_open(in->fd)) == NULL) return false;
    mlog__reader *r = in->reader;
    r->follow = mlog__tool.follow;
    (void)mlog__reader_fill(r, 1 << 16);
    size_t n = r->len - r->at;
    const uint64_t magic[2] = {MLOG__BLOCK_MAGIC, __builtin_bswap64(MLOG__BLOCK_MAGIC)};
    if (n == 0) return false;
    in->known = true;
    for (int i = 0; i < 2; i++) in->binary = in->binary || memmem(r->buffer + r->at, n, &magic[i], 8) != NULL;
    if (in->binary) return true;
    if (!mlog__format_room(&in->bytes, n + 64)) return false;
    memcpy(in->bytes.p, r->buffer + r->at, n);
    in->bytes.len = n;
    in->ended = r->ended;
    mlog__reader_close(r);
    in->reader = NULL;
    return true;
}

/* The next record of an input, if there is one now: its time is known, and what a filter starts from. */
static bool mlog__tool_advance(mlog__tool_input *in) {
    in->have = false;
    if (in->done || !mlog__tool_sniff(in)) return false;
    if (!in->binary) {
        while (!in->have && mlog__tool_next_line(in)) {
            in->have = mlog__tool_parse(in);
            if (in->have || in->line_len == 0) continue;
            if (in->strange++ == 0) in->first_strange = in->offset + (uint64_t)(in->line - in->bytes.p);
        }
        return in->have;
    }
    in->have = mlog__reader_next(in->reader, &in->record) == MLOG__READER_BLOCK;
    if (in->have) in->item.time = in->record.time;
    return in->have;
}

static mlog__desk *mlog__tool_desk(mlog__tool_input *in) { return in->binary ? &in->record.life->desk : &in->desk; }

/* Is a decoded record a report of losses? Those pass every filter, as in the sinks. */
static bool mlog__tool_is_loss(const mlog__item *it) {
    static const char dropped[] = "records dropped:", skipped[] = "records skipped:"; /* as mlog__format_loss and flush say it */
    if (it->source_len != 7 || memcmp(it->source, "metalog", 7) != 0 || it->msg_len < sizeof dropped) return false;
    return memcmp(it->msg, dropped, sizeof dropped - 1) == 0 || memcmp(it->msg, skipped, sizeof skipped - 1) == 0;
}

/* Decodes the input's record if it is wanted. 1: yes; 0: no; -1: not sound. */
static int mlog__tool_take(mlog__tool_input *in) {
    mlog__item *it = &in->item;
    if (it->time < mlog__tool.since || it->time > mlog__tool.until) return 0;
    if (!in->binary) return mlog__tool.filter == NULL || mlog__tool_is_loss(it) || mlog__filter_item(mlog__tool.filter, it, &in->desk, NULL);
    bool loss = mlog__record_site(in->record.header) == MLOG__S_LOSS;
    mlog__reader_item(&in->record, it);
    if (!loss && mlog__tool.filter != NULL && !mlog__filter_item(mlog__tool.filter, it, mlog__tool_desk(in), in->record.bytes)) return 0;
    if (it->header & MLOG__F_TIME) mlog__reader_item(&in->record, it); /* the filter read the time again */
    if (mlog__reader_decode(&in->record, it)) return 1;
    mlog__reader_blame(in->reader, mlog__reader_offset(in->reader, in->record.bytes), "a record without a definition, or not sound");
    in->reader->lost++;
    return -1;
}

/* The commonest case: a plain site of a binary file as JSON or LOGFMT, straight from its slots. False: the long way. */
static bool mlog__tool_straight(mlog__tool_input *in) {
    if (mlog__tool_desk(in)->recovered) return false; /* it has a mark */
    const mlog__reader_record *o = &in->record;
    mlog__desk *desk = mlog__tool_desk(in);
    uint32_t site = mlog__record_site(o->header);
    if ((o->header & ~MLOG__F_CONTEXT) >> 52 != 0 || site < MLOG__FIRST_SITE || o->late) return false;
    if (o->time < mlog__tool.since || o->time > mlog__tool.until) return true;
    const mlog__info *info = mlog__format_info(desk, site);
    if (info == NULL || info->straight == 0) return false;
    in->item.time = o->time;
    in->item.header = o->header;
    mlog__format_owner(desk, &in->item, o->tid, o->name);
    return mlog__format_straight(&mlog__tool.out, desk, info, &in->item, o->bytes, false) > 0;
}

/* What was wrong with an input, at its end. */
static void mlog__tool_report(mlog__tool_input *in) {
    const mlog__reader *r = in->reader;
    if (r != NULL && r->why != NULL)
        mlog__tool_say(MLOG__TOOL_DAMAGE, "%s: byte %llu: %s (%llu bytes damaged, %llu records lost)", in->path,
                       (unsigned long long)r->first_bad, r->why, (unsigned long long)r->damaged, (unsigned long long)r->lost);
    if (in->strange != 0)
        mlog__tool_say(MLOG__TOOL_DAMAGE, "%s: %llu lines are no records, skipped", in->path, (unsigned long long)in->strange);
}

/* -- cat and tail -- */

/* The input's record in the wanted form, if it is wanted. */
static void mlog__tool_emit(mlog__tool_input *in, mlog__buffer *to) {
    bool plain = mlog__tool.format == MLOG__TOOL_JSON && mlog__tool.wanted_count == 0;
    if (plain && in->binary && mlog__tool.filter == NULL && to == &mlog__tool.out && mlog__tool_straight(in)) return;
    if (mlog__tool_take(in) != 1) return;
    if (!plain || in->binary) {
        if (!mlog__tool_line(to, mlog__tool_desk(in), &in->item)) mlog__tool_say(MLOG__TOOL_FAILED, "no memory");
        return;
    }
    if (!mlog__format_room(to, in->line_len + 1)) return;
    memcpy(to->p + to->len, in->line, in->line_len);
    to->p[to->len + in->line_len] = '\n';
    to->len += in->line_len + 1;
}

/* The input whose record is the oldest; NULL: there is none. */
static mlog__tool_input *mlog__tool_oldest(void) {
    mlog__tool_input *oldest = NULL;
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) {
        mlog__tool_input *in = &mlog__tool.input[i];
        if (in->have && (oldest == NULL || in->item.time < oldest->item.time)) oldest = in;
    }
    return oldest;
}

/* Everything that there is now, merged by time; with `keep` into the last lines. */
static void mlog__tool_drain(bool keep) {
    mlog__tool_input *in;
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) {
        in = &mlog__tool.input[i];
        if (!in->have) (void)mlog__tool_advance(in);
    }
    while ((in = mlog__tool_oldest()) != NULL) {
        do {
            mlog__buffer *to = keep ? &mlog__tool.kept[mlog__tool.kept_count % (uint64_t)mlog__tool.last] : &mlog__tool.out;
            if (keep) to->len = 0;
            mlog__tool_emit(in, to);
            if (keep && to->len != 0) mlog__tool.kept_count++;
            if (mlog__tool.out.len >= MLOG__BATCH) mlog__tool_flush();
        } while (mlog__tool_advance(in) && mlog__tool.inputs == 1);
    }
}

/* The last lines of tail, oldest first. */
static void mlog__tool_put_kept(void) {
    uint64_t n = (uint64_t)mlog__tool.last, from = mlog__tool.kept_count > n ? mlog__tool.kept_count - n : 0;
    for (uint64_t i = from; i < mlog__tool.kept_count; i++) {
        const mlog__buffer *b = &mlog__tool.kept[i % n];
        if (!mlog__format_room(&mlog__tool.out, b->len)) return;
        memcpy(mlog__tool.out.p + mlog__tool.out.len, b->p, b->len);
        mlog__tool.out.len += b->len;
    }
}

/* A file that was replaced under its name, or begins anew: from its start. What had no end in the old one will not get one. */
static void mlog__tool_again(mlog__tool_input *in) {
    struct stat st, own;
    if (in->reader != NULL) in->reader->ended = false; /* it may have grown */
    in->ended = false;
    if (in->fd == 0) return;
    bool here = stat(in->path, &st) == 0, other = here && (!in->opened || st.st_dev != in->dev || st.st_ino != in->ino);
    uint64_t used = in->binary && in->reader != NULL ? in->reader->offset : in->offset + in->at;
    bool shorter = !other && in->opened && fstat(in->fd, &own) == 0 && (uint64_t)own.st_size < used;
    if (!other && !shorter) return;
    mlog__tool_report(in);
    if (in->opened) close(in->fd);
    mlog__reader_close(in->reader);
    free(in->bytes.p);
    free(in->text.p);
    const char *path = in->path;
    memset(in, 0, sizeof *in);
    in->path = path;
    mlog__tool_open(in);
}

/* Follows until it is interrupted. A look each 100 ms: files on any file system, also those without inotify. */
static void mlog__tool_follow(void) {
    for (;;) {
        mlog__tool_drain(false);
        mlog__tool_flush();
        mlog__platform_nap(100000000);
        for (uint32_t i = 0; i < mlog__tool.inputs; i++) mlog__tool_again(&mlog__tool.input[i]);
    }
}

static void mlog__tool_tail(void) {
    mlog__tool.kept = calloc((size_t)mlog__tool.last, sizeof *mlog__tool.kept);
    if (mlog__tool.kept == NULL) {
        mlog__tool_say(MLOG__TOOL_FAILED, "no memory");
        return;
    }
    mlog__tool_drain(true);
    mlog__tool_put_kept();
    if (mlog__tool.follow) mlog__tool_follow();
}

/* -- stats -- */

typedef struct { char *key; size_t len; uint64_t n; } mlog__tool_sum;
typedef struct { mlog__tool_sum *sum; size_t count, cap; } mlog__tool_table;

static struct {
    uint64_t level[26], records, dropped[26], skipped[26];
    int64_t first, last;
    mlog__tool_table source, site, thread;
    uint64_t name[4], run;       /* name: of the thread that `run` records in a row are of */
    uint32_t tid;
} mlog__tool_all = {.first = INT64_MAX, .last = INT64_MIN};

/* The place of a key; a free one when it is new. */
static mlog__tool_sum *mlog__tool_place(const mlog__tool_table *t, const char *key, size_t len) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    for (size_t i = (size_t)h & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        mlog__tool_sum *s = &t->sum[i];
        if (s->key == NULL || (s->len == len && memcmp(s->key, key, len) == 0)) return s;
    }
}

static void mlog__tool_grow(mlog__tool_table *t) {
    mlog__tool_table more = {.cap = t->cap == 0 ? 256 : 2 * t->cap, .count = t->count};
    more.sum = calloc(more.cap, sizeof *more.sum);
    if (more.sum == NULL) mlog__tool_say(MLOG__TOOL_FAILED, "no memory"), exit(MLOG__TOOL_FAILED);
    for (size_t i = 0; i < t->cap; i++)
        if (t->sum[i].key != NULL) *mlog__tool_place(&more, t->sum[i].key, t->sum[i].len) = t->sum[i];
    free(t->sum);
    *t = more;
}

static void mlog__tool_add(mlog__tool_table *t, const char *key, size_t len, uint64_t n) {
    if (2 * t->count >= t->cap) mlog__tool_grow(t);
    mlog__tool_sum *s = mlog__tool_place(t, key, len);
    s->n += n;
    if (s->key != NULL) return;
    s->key = malloc(len + 1);
    if (s->key == NULL) mlog__tool_say(MLOG__TOOL_FAILED, "no memory"), exit(MLOG__TOOL_FAILED);
    memcpy(s->key, key, len);
    s->key[len] = 0;
    s->len = len;
    t->count++;
}

/* n records of a site: by level, source and place. */
static void mlog__tool_count(int level, const char *source, size_t source_len, const char *file, size_t file_len, uint32_t line,
                             const char *msg, size_t msg_len, uint64_t n) {
    char place[512], *p = place;
    mlog__tool_all.level[level < 0 ? 0 : level > 25 ? 25 : level] += n;
    mlog__tool_add(&mlog__tool_all.source, source, source_len, n);
    p = mlog__format_put(p, file, MLOG__MIN(file_len, (size_t)255));
    *p++ = ':';
    p = mlog__text_u64(p, line);
    *p++ = ' ';
    size_t room = (size_t)(place + sizeof place - p);
    p = mlog__format_put(p, msg, msg_len <= room ? msg_len : mlog__text_utf8_cut(msg, room));
    mlog__tool_add(&mlog__tool_all.site, place, (size_t)(p - place), n);
}

/* What was counted by the number of a site, when its process is forgotten, and at the end. */
static void mlog__tool_settle(mlog__reader_life *life) {
    for (uint32_t i = 0; life->count != NULL && i < life->infos; i++) {
        uint64_t n = life->count[i];
        const mlog__info *info = life->desk.infos[i];
        life->count[i] = 0;
        if (n == 0 || info == NULL) continue;
        const mlog__entry *e = info->e;
        mlog__tool_count(e->level, info->source, e->source_len, mlog__dict_file(e), e->file_len, e->line, mlog__dict_msg(e), e->msg_len, n);
    }
}

/* Records of one thread come in rows, which are counted as one. */
static void mlog__tool_end_run(void) {
    char text[64];
    if (mlog__tool_all.run == 0) return;
    memcpy(text, mlog__tool_all.name, 32);
    text[32] = 0;
    char *end = text + strlen(text);
    if (end == text) end = mlog__text_u64(text, mlog__tool_all.tid);
    mlog__tool_add(&mlog__tool_all.thread, text, (size_t)(end - text), mlog__tool_all.run);
    mlog__tool_all.run = 0;
}

/* Counts a record without decoding it. False: it must be. */
static bool mlog__tool_count_quickly(mlog__tool_input *in) {
    mlog__reader_record *o = &in->record;
    uint32_t site = mlog__record_site(o->header);
    uint64_t id;
    if (mlog__tool.filter != NULL || (o->header & ~MLOG__F_CONTEXT) >> 52 != 0 || site < MLOG__FIRST_SITE) return false;
    if (o->life->count == NULL) o->life->count = mlog__platform_map(MLOG__INFOS * sizeof *o->life->count, false, false);
    if (o->life->count == NULL) return false;
    const mlog__info *info = mlog__format_info(&o->life->desk, site);
    if (info == NULL) return false;
    if (o->header & MLOG__F_CONTEXT) {
        memcpy(&id, o->bytes + 16, 8);
        const mlog__known *k = mlog__format_context(&o->life->desk, id);
        if (k != NULL && k->source != NULL) return false;
    }
    o->life->count[site / 8]++;
    return true;
}

/* The counts of a report of losses. */
static void mlog__tool_count_loss(const mlog__item *it) {
    bool skipped = strncmp(it->msg, "records skipped", 15) == 0;
    for (uint32_t i = 1; i < it->fields; i++) {
        int level = mlog_level_parse(it->field[i].key);
        if (level > 0) (skipped ? mlog__tool_all.skipped : mlog__tool_all.dropped)[level] += it->field[i].val.as.u;
    }
}

static void mlog__tool_tally(mlog__tool_input *in) {
    mlog__item *it = &in->item;
    if (it->time < mlog__tool.since || it->time > mlog__tool.until) return;
    bool quick = in->binary && mlog__tool_count_quickly(in);
    if (!quick && mlog__tool_take(in) != 1) return;
    mlog__tool_all.records++;
    mlog__tool_all.first = MLOG__MIN(mlog__tool_all.first, it->time);
    mlog__tool_all.last = MLOG__MAX(mlog__tool_all.last, it->time);
    if (!quick) {
        mlog__tool_count(it->level, it->source, it->source_len, it->file, it->file_len, it->line, it->msg, it->msg_len, 1);
        if (mlog__tool_is_loss(it)) mlog__tool_count_loss(it);
    }
    if (!in->binary) {
        char text[24];
        const char *thread = it->thread_len != 0 ? it->thread : text;
        size_t n = it->thread_len != 0 ? it->thread_len : (size_t)(mlog__text_u64(text, it->tid) - text);
        mlog__tool_add(&mlog__tool_all.thread, thread, n, 1);
        return;
    }
    const mlog__reader_record *o = &in->record;
    if (MLOG__UNLIKELY(o->tid != mlog__tool_all.tid || memcmp(o->name, mlog__tool_all.name, 32) != 0)) {
        mlog__tool_end_run();
        memcpy(mlog__tool_all.name, o->name, 32);
        mlog__tool_all.tid = o->tid;
    }
    mlog__tool_all.run++;
}

static int mlog__tool_compare(const void *a, const void *b) {
    const mlog__tool_sum *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return x->key == NULL || y->key == NULL ? 0 : strcmp(x->key, y->key);
}

__attribute__((format(printf, 1, 2))) static void mlog__tool_print(const char *format, ...) {
    char text[1200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n = MLOG__MIN(n, (int)sizeof text - 1);
    if (n <= 0 || !mlog__format_room(&mlog__tool.out, (size_t)n)) return;
    memcpy(mlog__tool.out.p + mlog__tool.out.len, text, (size_t)n);
    mlog__tool.out.len += (size_t)n;
}

/* The largest sums of a table: ten on paper, all of them as JSON. */
static void mlog__tool_put_table(const char *title, const mlog__tool_table *t) {
    bool json = mlog__tool.format == MLOG__TOOL_JSON;
    if (t->cap != 0) qsort(t->sum, t->cap, sizeof *t->sum, mlog__tool_compare);
    if (json) mlog__tool_print(",\"%s\":{", title);
    else mlog__tool_print("\n%s\n", title);
    for (size_t i = 0; i < t->count && (json || i < 10); i++) {
        char clean[6 * 600 + 8];
        const mlog__tool_sum *s = &t->sum[i];
        size_t n = s->len <= 512 ? s->len : mlog__text_utf8_cut(s->key, 512);
        *(json ? mlog__text_json(clean, s->key, n) : mlog__text_console(clean, s->key, n)) = 0;
        if (json) mlog__tool_print("%s\"%.1000s\":%llu", i != 0 ? "," : "", clean, (unsigned long long)s->n);
        else mlog__tool_print("%14llu  %.1000s\n", (unsigned long long)s->n, clean);
    }
    if (json) mlog__tool_print("}");
    else if (t->count > 10) mlog__tool_print("%14s  %zu more\n", "", t->count - 10);
}


/* Counts by level, those of two kinds of losses too: only what is not zero. */
static void mlog__tool_put_levels(const char *title, const uint64_t n[26]) {
    bool json = mlog__tool.format == MLOG__TOOL_JSON, any = false;
    uint64_t sum[26] = {0};
    for (int i = 0; i < 26; i++) sum[MLOG__MAX(mlog_level_parse(mlog_level_name(i)), 0)] += n[i];
    if (json) mlog__tool_print(",\"%s\":{", title);
    for (int i = 25; i >= 0; i--) {
        if (sum[i] == 0) continue;
        if (!json && !any) mlog__tool_print("\n%s\n", title);
        if (json) mlog__tool_print("%s\"%s\":%llu", any ? "," : "", mlog_level_name(i), (unsigned long long)sum[i]);
        else mlog__tool_print("%14llu  %s\n", (unsigned long long)sum[i], mlog_level_name(i));
        any = true;
    }
    if (json) mlog__tool_print("}");
}

static void mlog__tool_put_stats(uint64_t bytes, uint64_t damaged, uint64_t lost, uint64_t doubles) {
    char first[48] = "", last[48] = "";
    mlog__text_clock clock = {0};
    unsigned long long records = mlog__tool_all.records;
    if (records != 0) {
        *mlog__text_utc(first, mlog__tool_all.first, &clock) = 0;
        *mlog__text_utc(last, mlog__tool_all.last, &clock) = 0;
    }
    if (mlog__tool.format == MLOG__TOOL_JSON)
        mlog__tool_print("{\"records\":%llu,\"bytes\":%llu,\"first\":\"%s\",\"last\":\"%s\",\"damaged_bytes\":%llu,\"lost_records\":%llu,"
                         "\"doubles\":%llu", records, (unsigned long long)bytes, first, last, (unsigned long long)damaged,
                         (unsigned long long)lost, (unsigned long long)doubles);
    else
        mlog__tool_print("%14llu  records, %llu bytes\n%14s  %s\n%14s  %s\n%14llu  bytes damaged\n%14llu  records lost by damage\n"
                         "%14llu  doubles, shown once\n", records, (unsigned long long)bytes, "first", first, "last", last,
                         (unsigned long long)damaged, (unsigned long long)lost, (unsigned long long)doubles);
    mlog__tool_put_levels("levels", mlog__tool_all.level);
    mlog__tool_put_levels("dropped", mlog__tool_all.dropped);
    mlog__tool_put_levels("skipped", mlog__tool_all.skipped);
    mlog__tool_put_table("sources", &mlog__tool_all.source);
    mlog__tool_put_table("threads", &mlog__tool_all.thread);
    mlog__tool_put_table("sites", &mlog__tool_all.site);
    if (mlog__tool.format == MLOG__TOOL_JSON) mlog__tool_print("}\n");
}

static void mlog__tool_stats(void) {
    uint64_t bytes = 0, damaged = 0, lost = 0, doubles = 0;
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) {
        mlog__tool_input *in = &mlog__tool.input[i];
        if (mlog__tool_sniff(in) && in->reader != NULL) in->reader->gone = mlog__tool_settle;
        while (mlog__tool_advance(in)) mlog__tool_tally(in);
        mlog__tool_end_run();
        for (int k = 0; in->reader != NULL && k < MLOG__READER_LIVES; k++) mlog__tool_settle(&in->reader->lives[k]);
        bytes += in->reader != NULL ? in->reader->offset : in->offset + in->at;
        damaged += in->reader != NULL ? in->reader->damaged : 0;
        lost += in->reader != NULL ? in->reader->lost : in->strange;
        doubles += in->reader != NULL ? in->reader->folded : 0;
    }
    mlog__tool_put_stats(bytes, damaged, lost, doubles);
}

/* -- check -- */

/* Every block by its checksum, every record by decoding it. */
static void mlog__tool_check(void) {
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) {
        mlog__tool_input *in = &mlog__tool.input[i];
        uint64_t records = 0;
        if (in->done) continue;
        while (mlog__tool_advance(in)) records += mlog__tool_take(in) == 1;
        mlog__tool_report(in);
        if (in->strange != 0) mlog__tool_say(MLOG__TOOL_DAMAGE, "%s: byte %llu: a line that is no record", in->path,
                                             (unsigned long long)in->first_strange);
        bool bad = in->strange != 0 || (in->reader != NULL && in->reader->why != NULL);
        mlog__tool_print("%s: %s, %llu records", in->path, bad ? "damaged" : "ok", (unsigned long long)records);
        if (in->reader != NULL) mlog__tool_print(" in %llu blocks", (unsigned long long)in->reader->blocks);
        mlog__tool_print("\n");
    }
}

/* -- the command line -- */

static const char mlog__tool_help[] =
    "usage: metalog cat|tail|stats|check [OPTION]... [FILE]...\n"
    "Reads binary logs and JSON lines of metalog.h; no FILE, or -: standard input. Several files are merged by time.\n"
    "\n"
    "  cat    shows records          tail   the last ones; -f follows, also over rotation\n"
    "  stats  counts them            check  verifies files, names the first bad byte\n"
    "\n"
    "  --where FILTER   only records that it takes, e.g. 'level>=warn and source=net and qty>100'\n"
    "  --since TIME     from then on: 5m, 1h30m, 2d before now, or 2026-11-20T10:06:41Z\n"
    "  --until TIME     up to then\n"
    "  --format FORMAT  json (default), console (default on a terminal), logfmt, csv\n"
    "  --fields A,B,C   only these, in this order: ts level msg source at thread, or names of fields\n"
    "  --utc            console: times in UTC instead of local time\n"
    "  --color WHEN     console: auto, always, never\n"
    "  --no-pager       never through $METALOG_PAGER, $PAGER, less\n"
    "  -n N             tail: the last N records (10)\n"
    "  -f, --follow     tail: goes on as the files grow\n"
    "  --man            the manual page; --version; --help\n"
    "\n"
    "Exit status: 0 fine, 1 damage or lines that are no records were found (what is sound was shown), 2 wrong usage,\n"
    "3 a file cannot be read or the output cannot be written.\n";

static const char mlog__tool_man[] =
    ".TH METALOG 1 \"\" \"metalog " MLOG_VERSION "\" \"User Commands\"\n.SH NAME\nmetalog \\- reads the logs of metalog.h\n.SH SYNOPSIS\n"
    ".B metalog\n.RB { cat | tail | stats | check }\n.RI [ OPTION ]...\n.RI [ FILE ]...\n.SH DESCRIPTION\n"
    "Reads binary log files (MLOG_BINARY) and files of JSON lines, each recognised by its content. Without\n.I FILE\nor with\n.B \\-\n"
    "it reads standard input. Records of several files are merged by time.\n"
    ".TP\n.B cat\nShows records. On a terminal in colour and through a pager, else as JSON lines: those of a binary file are byte for byte\n"
    "what a JSON sink of the program would have written.\n"
    ".TP\n.B tail\nShows the last records; with\n.B \\-f\ngoes on as the files grow, are renamed and made anew, or are truncated.\n"
    ".TP\n.B stats\nCounts records by level, source, thread and place; tells what was dropped (a full queue), skipped (a slow sink),\n"
    "damaged and lost. On a terminal as a table, else as one line of JSON.\n"
    ".TP\n.B check\nVerifies every checksum, definition and record; tells the offset of the first bad byte: where the first block begins that\n"
    "is not whole.\n"
    ".SH OPTIONS\n"
    ".TP\n.BI \\-\\-where \" FILTER\"\nOnly records that the filter takes. It is the language of the sinks' filters:\n"
    ".nf\nlevel>=warn and (source=net.* or task=42) and not msg='ping' and qty>100\n.fi\n"
    ".TP\n.BI \\-\\-since \" TIME\" \"\\fR, \" \\-\\-until \" TIME\"\nA span before now, such as 5m, 1h30m or 2d (d h m s ms us ns), or a date and\n"
    "time by RFC 3339, in UTC without a zone.\n"
    ".TP\n.BI \\-\\-format \" FORMAT\"\n.BR json ,\n.BR console ,\n.B logfmt\nor\n.BR csv .\nCSV has the columns ts, level, source, at, thread, msg\n"
    "and fields, or those of\n.BR \\-\\-fields .\n"
    ".TP\n.BI \\-\\-fields \" A,B,C\"\nOnly these, in this order: ts, level, msg, source, at, thread, and names of fields.\n"
    ".TP\n.B \\-\\-utc\nTimes in UTC in the console format.\n.TP\n.BI \\-\\-color \" WHEN\"\n.BR auto ,\n.B always\nor\n.BR never .\n"
    ".TP\n.B \\-\\-no\\-pager\nNo pager.\n.TP\n.BI \\-n \" N\"\ntail: the last\n.I N\nrecords; 10.\n.TP\n.BR \\-f \", \" \\-\\-follow\ntail: follows.\n"
    ".SH EXIT STATUS\n.TP\n.B 0\nAll is well.\n.TP\n.B 1\nDamage, or lines that are no records, were found and told on standard error; what is\n"
    "sound was shown.\n.TP\n.B 2\nWrong usage.\n.TP\n.B 3\nA file cannot be read, or the output cannot be written.\n"
    ".SH ENVIRONMENT\n.TP\n.BR METALOG_PAGER \", \" PAGER\nThe pager; less, or none with the value cat.\n.TP\n.BR NO_COLOR \", \" CLICOLOR \", \" FORCE_COLOR\n"
    "As usual.\n.SH SEE ALSO\nThe manual in metalog.h: FILTERS, BINARY FILES.\n";

static void mlog__tool_usage(const char *what, const char *arg, const char *expected) {
    fprintf(stderr, "metalog: %s%s%s: expected %s\n", what, arg[0] != 0 ? " " : "", arg, expected);
    exit(MLOG__TOOL_USAGE);
}

/* The names of --fields, in a copy. */
static void mlog__tool_take_fields(const char *list) {
    char *copy = strdup(list), *save = NULL;
    for (char *name = copy == NULL ? NULL : strtok_r(copy, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
        if (mlog__tool.wanted_count == MLOG__TOOL_WANTED || strlen(name) > 255) mlog__tool_usage("--fields", list, "at most 64 names of 255 bytes");
        mlog__tool.wanted[mlog__tool.wanted_count++] = name;
    }
    if (mlog__tool.wanted_count == 0) mlog__tool_usage("--fields", list, "names, with commas between");
}

static void mlog__tool_take_format(const char *name) {
    static const char *const names[] = {"json", "console", "logfmt", "csv"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            mlog__tool.format = i;
            mlog__tool.formatted = true;
            return;
        }
    mlog__tool_usage("--format", name, "json, console, logfmt or csv");
}

/* An option that has a value. */
static void mlog__tool_take_value(const char *name, const char *value) {
    char *end;
    if (strcmp(name, "--format") == 0) mlog__tool_take_format(value);
    else if (strcmp(name, "--fields") == 0) mlog__tool_take_fields(value);
    else if (strcmp(name, "--where") == 0) {
        mlog__tool.filter = mlog__filter_compile(value, strlen(value), "--where");
        if (mlog__tool.filter == NULL) fprintf(stderr, "metalog: %s\n", mlog_why()), exit(MLOG__TOOL_USAGE);
    } else if (strcmp(name, "-n") == 0) {
        mlog__tool.last = strtol(value, &end, 10);
        if (end == value || *end != 0 || mlog__tool.last < 1 || mlog__tool.last > 1000000) mlog__tool_usage("-n", value, "1 to 1000000");
    } else if (strcmp(name, "--color") == 0) {
        mlog_choice c = strcmp(value, "always") == 0 ? MLOG_YES : strcmp(value, "never") == 0 ? MLOG_NO : MLOG_AUTO;
        if (c == MLOG_AUTO && strcmp(value, "auto") != 0) mlog__tool_usage("--color", value, "auto, always or never");
        mlog__tool.color = mlog__sink_wants_color(1, c);
    } else if (!mlog__tool_when(value, strcmp(name, "--since") == 0 ? &mlog__tool.since : &mlog__tool.until)) {
        mlog__tool_usage(name, value, "a span such as 5m or 1h30m, or a time such as 2026-11-20T10:06:41Z");
    }
}

/* An option; returns how many words it took. */
static int mlog__tool_take_option(const char *word, const char *next) {
    static const char *const valued[] = {"--where", "--since", "--until", "--format", "--fields", "--color", "-n"};
    char name[16] = "";
    const char *equal = strchr(word, '=');
    size_t n = equal == NULL ? strlen(word) : (size_t)(equal - word);
    memcpy(name, word, MLOG__MIN(n, sizeof name - 1));
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
        if (n >= sizeof name || strcmp(name, valued[i]) != 0) continue;
        if (equal == NULL && next == NULL) mlog__tool_usage(name, "", "a value behind it");
        mlog__tool_take_value(name, equal != NULL ? equal + 1 : next);
        return equal != NULL ? 1 : 2;
    }
    if (strcmp(word, "-f") == 0 || strcmp(word, "--follow") == 0) mlog__tool.follow = true;
    else if (strcmp(word, "--no-pager") == 0) mlog__tool.pager = false;
    else if (strcmp(word, "--utc") == 0) mlog__tool.utc = true;
    else mlog__tool_usage(word, "", "an option: see metalog --help");
    return 1;
}

static bool mlog__tool_asked(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *text = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 ? mlog__tool_help
                           : strcmp(argv[i], "--man") == 0                             ? mlog__tool_man
                           : strcmp(argv[i], "--version") == 0                         ? "metalog " MLOG_VERSION "\n"
                                                                                       : NULL;
        if (text != NULL) return fputs(text, stdout), true;
        if (strcmp(argv[i], "--") == 0) break;
    }
    return false;
}

__attribute__((unused)) static int mlog__tool_run(int argc, char **argv) {
    static const char *const command[] = {"cat", "tail", "stats", "check"};
    bool only_files = false, colored = false;
    if (mlog__tool_asked(argc, argv)) return fflush(stdout) == 0 ? MLOG__TOOL_OK : MLOG__TOOL_FAILED;
    if (argc < 2) return fputs(mlog__tool_help, stderr), MLOG__TOOL_USAGE;
    for (mlog__tool.command = 0; strcmp(argv[1], command[mlog__tool.command]) != 0;)
        if (++mlog__tool.command == 4) mlog__tool_usage(argv[1], "", "cat, tail, stats or check");
    mlog__tool.input = calloc((size_t)argc, sizeof *mlog__tool.input);
    if (mlog__tool.input == NULL) return mlog__tool_say(MLOG__TOOL_FAILED, "no memory"), MLOG__TOOL_FAILED;
    for (int i = 2; i < argc;) {
        bool option = !only_files && argv[i][0] == '-' && argv[i][1] != 0;
        if (option && strcmp(argv[i], "--") == 0) only_files = true, i++;
        else if (option) colored = colored || strncmp(argv[i], "--color", 7) == 0, i += mlog__tool_take_option(argv[i], argv[i + 1]);
        else mlog__tool.input[mlog__tool.inputs++].path = argv[i++];
    }
    if (mlog__tool.follow && mlog__tool.command != MLOG__TOOL_TAIL) mlog__tool_usage("-f", "", "it with tail");
    if (mlog__tool.inputs == 0) mlog__tool.input[mlog__tool.inputs++].path = "-";
    bool terminal = isatty(1) == 1, table = mlog__tool.command == MLOG__TOOL_STATS;
    if (!mlog__tool.formatted && terminal) mlog__tool.format = MLOG__TOOL_CONSOLE;
    if (!colored) mlog__tool.color = mlog__sink_wants_color(1, MLOG_AUTO);
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) mlog__tool_open(&mlog__tool.input[i]);
    if (!table && mlog__tool.command != MLOG__TOOL_CHECK) mlog__tool_page();
    if (mlog__tool.command == MLOG__TOOL_CAT) mlog__tool_drain(false);
    else if (mlog__tool.command == MLOG__TOOL_TAIL) mlog__tool_tail();
    else if (table) mlog__tool_stats();
    else mlog__tool_check();
    mlog__tool_flush();
    for (uint32_t i = 0; i < mlog__tool.inputs && mlog__tool.command != MLOG__TOOL_CHECK; i++) mlog__tool_report(&mlog__tool.input[i]);
    for (uint32_t i = 0; i < mlog__tool.inputs; i++) mlog__reader_close(mlog__tool.input[i].reader);
    mlog__tool_end_pager();
    return mlog__tool.status;
}

#if METALOG_TOOL + 0 != 2 /* 2: a test has a main of its own */
int main(int argc, char **argv) { return mlog__tool_run(argc, argv); }
#endif

#endif /* METALOG_TOOL */

#endif /* no error */
#endif /* METALOG_IMPLEMENTED */
#endif /* METALOG_IMPLEMENTATION */
