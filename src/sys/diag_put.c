/* See diag_put.h. No memory is allocated: a message may say that there is none. */
#define SD_JOURNAL_SUPPRESS_LOCATION /* lines of code move; MESSAGE_ID does not */

#include "sys/diag_put.h"

#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "sys/clock.h"

enum { FIELD_SIZE = 40 + DIAG_FIELD_LEN_MAX, JSON_SIZE = 12 * 1024, LINE_SIZE = 2200, TIME_SIZE = 80 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_journal;

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's socket; a standard error that was
 * redirected since then is another file. */
static void find_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long dev, ino;
        struct stat st;

        has_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && !fstat(STDERR_FILENO, &st) &&
                      st.st_dev == dev && st.st_ino == ino;
}

bool diag_has_journal(void)
{
        pthread_once(&once, find_journal);
        return has_journal;
}

/* ---- what a message says ---- */

static const char *id_of(const struct diag_message *m)
{
        static const char *const ids[DIAG_EVENTS_END] = {
#define DIAG_EVENT(name, id) [DIAG_EVENT_##name] = id,
#include "sys/diag_events.def"
#undef DIAG_EVENT
        };

        return m->about ? ids[m->about->event] : NULL;
}

static unsigned fields_count(const struct diag_message *m)
{
        unsigned count = 0;

        while (m->about && count < DIAG_FIELDS_MAX && m->about->fields[count].name)
                count++;
        return count;
}

static const char *word_of(enum diag_level level)
{
        static const char *const words[] = {
                [DIAG_ERROR] = "error", [DIAG_WARN] = "warning", [DIAG_NOTICE] = "notice",
                [DIAG_INFO] = "info",   [DIAG_DEBUG] = "debug",
        };

        assert((size_t)level < ARRAY_LEN(words) && words[level]);
        return words[level];
}

/* ---- the journal ---- */

struct entry {
        struct iovec parts[DIAG_FIELDS_MAX + 5];
        char texts[DIAG_FIELDS_MAX + 5][FIELD_SIZE];
        char message[LINE_SIZE];
        int count;
};

static void add_field(struct entry *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_field(struct entry *e, const char *fmt, ...)
{
        char *text = e->texts[e->count];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, FIELD_SIZE, fmt, ap);
        va_end(ap);
        n = MIN2(MAX2(n, 0), FIELD_SIZE - 1);
        for (int i = 0; i < n; i++)
                if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
                        text[i] = '?';
        e->parts[e->count++] = (struct iovec){ text, (size_t)n };
}

bool diag_put_journal(const struct diag_message *m)
{
        unsigned count = fields_count(m);
        struct entry e;
        int n;

        e.count = 0;
        n = snprintf(e.message, sizeof e.message, "MESSAGE=%.*s", STR_FMT(m->text));
        e.parts[e.count++] = (struct iovec){ e.message, MIN2((size_t)MAX2(n, 0), sizeof e.message - 1) };
        add_field(&e, "PRIORITY=%d", (int)m->level);
        add_field(&e, "SYSLOG_IDENTIFIER=chronikd"); /* as of what is written to standard error */
        if (id_of(m))
                add_field(&e, "MESSAGE_ID=%s", id_of(m));
        if (m->node >= 0)
                add_field(&e, "CHRONIK_NODE=%" PRId32, m->node);
        for (unsigned i = 0; i < count; i++) {
                const struct diag_field *f = &m->about->fields[i];

                if (f->text.p)
                        add_field(&e, "CHRONIK_%s=%.*s", f->name, STR_FMT(utf8_clip(f->text, DIAG_FIELD_LEN_MAX)));
                else
                        add_field(&e, "CHRONIK_%s=%" PRId64, f->name, f->number);
        }
        return sd_journal_sendv(e.parts, e.count) >= 0;
}

/* ---- standard error ---- */

static void write_time(char text[TIME_SIZE])
{
        int64_t now_ms = clock_wall_ms();
        time_t now_s = (time_t)(now_ms / 1000);
        struct tm tm;

        gmtime_r(&now_s, &tm);
        snprintf(text, TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ms % 1000));
}

/* There is nowhere to complain when it fails. */
static void write_line(const char *line, size_t len)
{
        ssize_t written = write(STDERR_FILENO, line, len);

        (void)written;
}

void diag_put_text(const struct diag_message *m)
{
        char line[LINE_SIZE], time[TIME_SIZE];
        int n;

        if (diag_has_journal()) { /* which does not take it otherwise: sd-daemon(3) */
                n = snprintf(line, sizeof line, "<%d>%.*s\n", (int)m->level, STR_FMT(m->text));
        } else {
                write_time(time);
                n = snprintf(line, sizeof line, "%s %-7s %.*s\n", time, word_of(m->level), STR_FMT(m->text));
        }
        write_line(line, MIN2((size_t)MAX2(n, 0), sizeof line - 1));
}

struct json {
        char text[JSON_SIZE];
        size_t len;
};

static void add_char(struct json *j, char c)
{
        assert(j->len < sizeof j->text); /* holds all that there can be, twice as long */
        j->text[j->len++] = c;
}

static void add_raw(struct json *j, const char *text)
{
        for (; *text; text++)
                add_char(j, *text);
}

/* What is no UTF-8 as a whole loses all but ASCII. */
static void add_text(struct json *j, struct str s)
{
        bool valid = utf8_is_valid(s);

        add_char(j, '"');
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (c == '"' || c == '\\')
                        add_char(j, '\\');
                add_char(j, c < ' ' || c == 0x7f || (c >= 0x80 && !valid) ? '?' : (char)c);
        }
        add_char(j, '"');
}

static void add_name(struct json *j, const char *name)
{
        add_raw(j, j->len ? ",\"" : "{\"");
        for (; *name; name++)
                add_char(j, (char)tolower((unsigned char)*name));
        add_raw(j, "\":");
}

static void add_number(struct json *j, const char *name, int64_t number)
{
        char text[24];

        snprintf(text, sizeof text, "%" PRId64, number);
        add_name(j, name);
        add_raw(j, text);
}

static void add_member(struct json *j, const char *name, struct str text)
{
        add_name(j, name);
        add_text(j, text);
}

void diag_put_json(const struct diag_message *m)
{
        unsigned count = fields_count(m);
        char time[TIME_SIZE];
        struct json j;

        j.len = 0;
        write_time(time);
        add_member(&j, "time", str_of(time));
        add_member(&j, "level", str_of(word_of(m->level)));
        add_member(&j, "message", m->text);
        if (id_of(m))
                add_member(&j, "message_id", str_of(id_of(m)));
        if (m->node >= 0)
                add_number(&j, "node", m->node);
        for (unsigned i = 0; i < count; i++) {
                const struct diag_field *f = &m->about->fields[i];

                if (f->text.p)
                        add_member(&j, f->name, utf8_clip(f->text, DIAG_FIELD_LEN_MAX));
                else
                        add_number(&j, f->name, f->number);
        }
        add_raw(&j, "}\n");
        write_line(j.text, j.len);
}
