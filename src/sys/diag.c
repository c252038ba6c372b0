/* Diagnostics to standard error: one write(2) to a line, so that lines of several threads do not mix.
 * Control characters are replaced: what a peer sends may end up in a message and must not forge a line. */
#include "sys/diag.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"

enum { DIAG_LINE_LEN_MAX = 2048, DIAG_LIMIT_MS = 1000 };

static atomic_int diag_level_max = DIAG_INFO;
static pthread_once_t diag_once = PTHREAD_ONCE_INIT;
static bool diag_to_journal;

void diag_set_level(enum diag_level level)
{
        atomic_store_explicit(&diag_level_max, (int)level, memory_order_relaxed);
}

static bool diag_wanted(enum diag_level level)
{
        return (int)level <= atomic_load_explicit(&diag_level_max, memory_order_relaxed);
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's socket; a standard error that was
 * redirected since then is another file. */
static void diag_find_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long dev, ino;
        struct stat st;

        diag_to_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && !fstat(STDERR_FILENO, &st) &&
                          st.st_dev == dev && st.st_ino == ino;
}

static const char *diag_word(enum diag_level level)
{
        static const char *const words[] = {
                [DIAG_ERROR] = "error", [DIAG_WARN] = "warning", [DIAG_NOTICE] = "notice",
                [DIAG_INFO] = "info",   [DIAG_DEBUG] = "debug",
        };

        assert((size_t)level < ARRAY_LEN(words) && words[level]);
        return words[level];
}

static int diag_prefix(char *line, size_t size, enum diag_level level)
{
        int64_t now_ms = clock_wall_ms();
        time_t now_s = (time_t)(now_ms / 1000);
        struct tm tm;

        if (diag_to_journal)
                return snprintf(line, size, "<%d>", (int)level); /* sd-daemon(3); the journal has the time */
        gmtime_r(&now_s, &tm);
        return snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %-7s ", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ms % 1000), diag_word(level));
}

static void diag_write(enum diag_level level, unsigned left_out, const char *fmt, va_list args)
{
        char line[DIAG_LINE_LEN_MAX];
        size_t start, len, room = sizeof line - 48; /* behind the text: the count of left-out lines and the newline */
        int errno_saved = errno, n;
        ssize_t written;

        pthread_once(&diag_once, diag_find_journal);
        start = len = (size_t)diag_prefix(line, sizeof line, level);
        errno = errno_saved; /* for %m */
        n = vsnprintf(line + len, room - len, fmt, args);
        if (n > 0)
                len = MIN2(len + (size_t)n, room - 1);
        while (len > start && line[len - 1] == '\n')
                len--;
        for (size_t i = start; i < len; i++)
                if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
                        line[i] = '?';
        if (left_out)
                len += (size_t)snprintf(line + len, sizeof line - len, " (%u more like this)", left_out);
        line[len++] = '\n';
        written = write(STDERR_FILENO, line, len);
        (void)written; /* there is nowhere else to complain */
        errno = errno_saved;
}

void diag(enum diag_level level, const char *fmt, ...)
{
        va_list args;

        if (!diag_wanted(level))
                return;
        va_start(args, fmt);
        diag_write(level, 0, fmt, args);
        va_end(args);
}

void diag_limited_(struct diag_limit *limit, enum diag_level level, const char *fmt, ...)
{
        int64_t now_ms, next_ms;
        va_list args;

        if (!diag_wanted(level))
                return;
        now_ms = clock_mono_ms() + 1; /* never 0, the value of a limit that was not used yet */
        next_ms = atomic_load_explicit(&limit->next_ms, memory_order_relaxed);
        if (now_ms < next_ms ||
            !atomic_compare_exchange_strong_explicit(&limit->next_ms, &next_ms, now_ms + DIAG_LIMIT_MS,
                                                     memory_order_relaxed, memory_order_relaxed)) {
                atomic_fetch_add_explicit(&limit->dropped, 1, memory_order_relaxed);
                return;
        }
        va_start(args, fmt);
        diag_write(level, atomic_exchange_explicit(&limit->dropped, 0, memory_order_relaxed), fmt, args);
        va_end(args);
}
