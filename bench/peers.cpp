// The other loggers, each with the same two messages, A and B. Each writes as its own documentation shows, with the layout that
// it has by default; "null" is the cheapest output that it brings along. HAVE_x comes from bench/run.sh, by pkg-config.
#include "bench.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#define EACH(n, statement) \
    for (int i = 0; i < (n); i++) { statement; }
#define TEXT bench_text[i % BENCH_TEXTS]

static void nothing() {}

// ---- fprintf ----
static FILE *file;
static bool fprintf_start(const char *path) { return (file = fopen(path != nullptr ? path : "/dev/null", "w")) != nullptr; }
static void fprintf_a(int n) { EACH(n, fprintf(file, "A a=%ld b=%g c=%d\n", static_cast<long>(bench_a), bench_b, bench_c)) }
static void fprintf_b(int n) { EACH(n, fprintf(file, "B s=%s c=%d b=%g\n", TEXT, bench_c, bench_b)) }
static void fprintf_drain() { fflush(file); }
static void fprintf_stop() { fclose(file); }

// ---- syslog(3), to a socket of our own: a machine's real log is not for a million lines ----
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
static int syslog_socket = -1;
static long syslog_sent, syslog_got;
static FILE *syslog_file;
static pthread_t syslog_thread;
static void *syslog_read(void *) {
    char text[2048];
    for (;;) {
        ssize_t n = recv(syslog_socket, text, sizeof text - 1, 0);
        if (n < 0) continue;
        if (n == 4 && memcmp(text, "stop", 4) == 0) return nullptr;
        text[n] = '\n';
        if (syslog_file != nullptr) fwrite(text, 1, static_cast<size_t>(n) + 1, syslog_file);
        __atomic_store_n(&syslog_got, syslog_got + 1, __ATOMIC_RELEASE);
    }
}
static struct sockaddr_un syslog_name() {
    struct sockaddr_un name;
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    strcpy(name.sun_path, "/dev/log");
    return name;
}
static bool syslog_start(const char *path) {
    struct stat st;
    if (geteuid() != 0 || lstat("/dev/log", &st) == 0) return false;
    struct sockaddr_un name = syslog_name();
    syslog_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (syslog_socket < 0) return false;
    if (bind(syslog_socket, reinterpret_cast<struct sockaddr *>(&name), sizeof name) != 0) return close(syslog_socket), false;
    syslog_sent = syslog_got = 0;
    syslog_file = path != nullptr ? fopen(path, "w") : nullptr;
    openlog("bench", LOG_NDELAY, LOG_USER);
    return pthread_create(&syslog_thread, nullptr, syslog_read, nullptr) == 0;
}
static void syslog_a(int n) {
    syslog_sent += n;
    EACH(n, syslog(LOG_INFO, "A a=%ld b=%g c=%d", static_cast<long>(bench_a), bench_b, bench_c))
}
static void syslog_b(int n) {
    syslog_sent += n;
    EACH(n, syslog(LOG_INFO, "B s=%s c=%d b=%g", TEXT, bench_c, bench_b))
}
static void syslog_drain() {
    for (int i = 0; i < 10000 && __atomic_load_n(&syslog_got, __ATOMIC_ACQUIRE) < syslog_sent; i++) usleep(100);
    if (syslog_file != nullptr) fflush(syslog_file);
}
static void syslog_stop() {
    struct sockaddr_un name = syslog_name();
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(fd, "stop", 4, 0, reinterpret_cast<struct sockaddr *>(&name), sizeof name);
    pthread_join(syslog_thread, nullptr);
    close(fd);
    close(syslog_socket);
    closelog();
    unlink("/dev/log");
    if (syslog_file != nullptr) fclose(syslog_file);
}

#ifdef HAVE_SPDLOG
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
static std::shared_ptr<spdlog::logger> spd;
static std::shared_ptr<spdlog::details::thread_pool> spd_pool;
static spdlog::sink_ptr spd_sink(const char *path) {
    if (path == nullptr) return std::make_shared<spdlog::sinks::null_sink_mt>();
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, true);
}
static bool spd_sync_start(const char *path) {
    spd = std::make_shared<spdlog::logger>("bench", spd_sink(path));
    return true;
}
static bool spd_async_start(const char *path) {
    spd_pool = std::make_shared<spdlog::details::thread_pool>(8192, 1);
    spd = std::make_shared<spdlog::async_logger>("bench", spd_sink(path), spd_pool, spdlog::async_overflow_policy::block);
    return true;
}
static void spd_a(int n) { EACH(n, spd->info("A a={} b={} c={}", bench_a, bench_b, bench_c)) }
static void spd_b(int n) { EACH(n, spd->info("B s={} c={} b={}", TEXT, bench_c, bench_b)) }
static void spd_sync_drain() { spd->flush(); }
static void spd_async_drain() {
    while (spd_pool->queue_size() > 0) usleep(50);
    usleep(200); // the last one has left the queue, but is perhaps not through
}
static void spd_stop() {
    spd.reset();
    spd_pool.reset(); // joins, so that all is in the file
}
#endif

#ifdef HAVE_GLOG
#include <glob.h>
#include <glog/logging.h>
namespace {
struct null_logger : google::base::Logger {
    void Write(bool, time_t, const char *, size_t) override {}
    void Flush() override {}
    google::uint32 LogSize() override { return 0; }
};
} // namespace
static null_logger glog_null;
static google::base::Logger *glog_file;
static std::string glog_path;
static bool glog_start(const char *path) {
    static bool started;
    if (!started) {
        FLAGS_logtostderr = false;
        FLAGS_stderrthreshold = google::GLOG_FATAL;
        FLAGS_timestamp_in_logfile_name = false;
        google::InitGoogleLogging("bench");
        google::SetLogSymlink(google::GLOG_INFO, "");
        glog_file = google::base::GetLogger(google::GLOG_INFO);
        started = true;
    }
    google::base::SetLogger(google::GLOG_INFO, path != nullptr ? glog_file : &glog_null);
    if (path != nullptr) google::SetLogDestination(google::GLOG_INFO, path);
    return true;
}
static void glog_a(int n) { EACH(n, LOG(INFO) << "A a=" << bench_a << " b=" << bench_b << " c=" << bench_c) }
static void glog_b(int n) { EACH(n, LOG(INFO) << "B s=" << TEXT << " c=" << bench_c << " b=" << bench_b) }
static void glog_drain() { google::FlushLogFiles(google::GLOG_INFO); }
static void glog_stop() { google::SetLogDestination(google::GLOG_INFO, ""); }
#endif

#ifdef HAVE_GLIB
#include <glib.h>
static FILE *glib_file;
static GLogWriterOutput glib_write(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer) {
    if (glib_file == nullptr) return G_LOG_WRITER_HANDLED;
    gchar *line = g_log_writer_format_fields(level, fields, n, FALSE);
    fputs(line, glib_file);
    fputc('\n', glib_file);
    g_free(line);
    return G_LOG_WRITER_HANDLED;
}
static bool glib_start(const char *path) {
    static bool started;
    if (!started) g_log_set_writer_func(glib_write, nullptr, nullptr);
    started = true;
    glib_file = path != nullptr ? fopen(path, "w") : nullptr;
    return true;
}
static void glib_a(int n) {
    EACH(n, g_log_structured("bench", G_LOG_LEVEL_INFO, "KIND", "order", "MESSAGE", "A a=%ld b=%g c=%d",
                             static_cast<long>(bench_a), bench_b, bench_c))
}
static void glib_b(int n) {
    EACH(n, g_log_structured("bench", G_LOG_LEVEL_INFO, "KIND", "order", "MESSAGE", "B s=%s c=%d b=%g", TEXT, bench_c, bench_b))
}
static void glib_drain() {
    if (glib_file != nullptr) fflush(glib_file);
}
static void glib_stop() {
    if (glib_file != nullptr) fclose(glib_file);
    glib_file = nullptr;
}
#endif

#ifdef HAVE_LOG4CPLUS
#include <log4cplus/fileappender.h>
#include <log4cplus/initializer.h>
#include <log4cplus/layout.h>
#include <log4cplus/logger.h>
#include <log4cplus/loggingmacros.h>
#include <log4cplus/nullappender.h>
static log4cplus::SharedAppenderPtr cplus_appender;
static log4cplus::Logger &cplus() {
    static log4cplus::Initializer initializer;
    static log4cplus::Logger logger = log4cplus::Logger::getInstance(LOG4CPLUS_TEXT("bench"));
    return logger;
}
static bool cplus_start(const char *path) {
    cplus().setLogLevel(log4cplus::INFO_LOG_LEVEL);
    if (path == nullptr) cplus_appender = new log4cplus::NullAppender;
    else cplus_appender = new log4cplus::FileAppender(path, std::ios_base::trunc, false);
    cplus_appender->setLayout(std::unique_ptr<log4cplus::Layout>(new log4cplus::TTCCLayout));
    cplus().addAppender(cplus_appender);
    return true;
}
static void cplus_a(int n) { EACH(n, LOG4CPLUS_INFO(cplus(), "A a=" << bench_a << " b=" << bench_b << " c=" << bench_c)) }
static void cplus_b(int n) { EACH(n, LOG4CPLUS_INFO(cplus(), "B s=" << TEXT << " c=" << bench_c << " b=" << bench_b)) }
static void cplus_stop() {
    cplus().removeAllAppenders();
    cplus_appender->close();
    cplus_appender = log4cplus::SharedAppenderPtr();
}
static void cplus_drain() {} // without immediateFlush the file is complete when the appender closes: a few kilobytes at most
#endif

#ifdef HAVE_LTTNG
// run.sh started a session daemon for us (LTTng's own commands talk to it), or says with BENCH_LTTNG why not.
static bool lttng_do(const char *command) { return system((std::string(command) + " >/dev/null 2>&1").c_str()) == 0; }
static bool lttng_off(const char *path) { return path == nullptr; }
static bool lttng_daemon() {
    const char *state = getenv("BENCH_LTTNG");
    return state != nullptr && strcmp(state, "on") == 0;
}
// Its traces are written by another process, which is asked through a command: there is no moment to measure "in the file" by.
static bool lttng_on(const char *path) {
    if (path != nullptr || !lttng_daemon()) return false;
    return lttng_do("lttng create metalog-bench --output=$LTTNG_HOME/trace") &&
           lttng_do("lttng enable-channel -u --subbuf-size=1M --num-subbuf=4 --blocking-timeout=inf c") &&
           lttng_do("lttng enable-event -u -c c 'metalog_bench:*'") && lttng_do("lttng start");
}
static void lttng_drain() { usleep(500); } // a burst is a hundredth of the buffers
static void lttng_stop() {
    lttng_do("lttng stop");
    lttng_do("lttng destroy metalog-bench");
    lttng_do("rm -rf $LTTNG_HOME/trace");
}
#endif

#define GONE(name, package) \
    { name, "not installed (" package ")", "", nullptr, nullptr, nullptr, nullptr, nullptr, false }
extern "C" {
bench_peer bench_peers[] = {
    {"fprintf", "/dev/null cannot be opened", "to /dev/null; no time, no level", fprintf_start, fprintf_a, fprintf_b,
     fprintf_drain, fprintf_stop, true},
    {"syslog(3)", "not available: needs root and no /dev/log of the machine's own", "to a socket whose reader drops it",
     syslog_start, syslog_a, syslog_b, syslog_drain, syslog_stop, true},
#ifdef HAVE_SPDLOG
    {"spdlog sync", "", "null sink: message formatted, line not", spd_sync_start, spd_a, spd_b, spd_sync_drain, spd_stop, true},
    {"spdlog async", "", "null sink: message formatted by the caller", spd_async_start, spd_a, spd_b, spd_async_drain, spd_stop,
     true},
#else
    GONE("spdlog sync", "libspdlog-dev"),
    GONE("spdlog async", "libspdlog-dev"),
#endif
#ifdef HAVE_GLOG
    {"glog", "", "null logger: line formatted", glog_start, glog_a, glog_b, glog_drain, glog_stop, true},
#else
    GONE("glog", "libgoogle-glog-dev"),
#endif
#ifdef HAVE_GLIB
    {"GLib g_log_structured", "", "writer that returns at once", glib_start, glib_a, glib_b, glib_drain, glib_stop, true},
#else
    GONE("GLib g_log_structured", "libglib2.0-dev"),
#endif
#ifdef HAVE_LOG4CPLUS
    {"log4cplus", "", "NullAppender", cplus_start, cplus_a, cplus_b, cplus_drain, cplus_stop, true},
#else
    GONE("log4cplus", "liblog4cplus-dev"),
#endif
#ifdef HAVE_LTTNG
    {"LTTng-UST, tracepoint off", "", "no session has it enabled", lttng_off, bench_lttng_a, bench_lttng_b, nothing, nothing,
     false},
    {"LTTng-UST, tracepoint on", "no session daemon could be started", "into its ring; binary, read by the consumer daemon",
     lttng_on, bench_lttng_a, bench_lttng_b, lttng_drain, lttng_stop, false},
#else
    GONE("LTTng-UST, tracepoint off", "liblttng-ust-dev"),
    GONE("LTTng-UST, tracepoint on", "liblttng-ust-dev"),
#endif
};
const int bench_peers_count = sizeof bench_peers / sizeof *bench_peers;
}
