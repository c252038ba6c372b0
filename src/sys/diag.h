/* Messages for people (never the record log). One line each: what was wrong, where, what would be right.
 * Under systemd they go to the journal with fields of their own; otherwise to standard error as text or JSON. */
#pragma once

#include "base/macros.h"
#include "base/span.h"

enum diag_level { DIAG_ERROR = 3, DIAG_WARN = 4, DIAG_NOTICE = 5, DIAG_INFO = 6, DIAG_DEBUG = 7 };
enum diag_format { DIAG_TEXT, DIAG_JSON }; /* of standard error, where it is not the journal */

/* What a message says that a program may wait for: DIAG_EVENT_DISK_FULL, ...; most say none of it. */
enum diag_event {
        DIAG_EVENT_NONE,
#define DIAG_EVENT(name, id) DIAG_EVENT_##name,
#include "sys/diag_events.def"
#undef DIAG_EVENT
        DIAG_EVENTS_END
};

enum { DIAG_FIELDS_MAX = 8, DIAG_FIELD_LEN_MAX = 256 /* more of its text is cut off */ };

/* "TOPIC": CHRONIK_TOPIC in the journal, topic in JSON. */
struct diag_field {
        const char *name; /* static; capital letters and underscores */
        struct str text;  /* borrowed; null: it is a number */
        int64_t number;
};

/* What a message is about. Of secrets nothing, as in its text. */
struct diag_about {
        enum diag_event event;
        struct diag_field fields[DIAG_FIELDS_MAX]; /* up to the first without a name */
};

/* DIAG_ABOUT(DISK_FULL, { "LOG", .text = name }, { "OFFSET", .number = 3 }) */
#define DIAG_ABOUT(event_, ...) (&(const struct diag_about){ .event = DIAG_EVENT_##event_, .fields = { __VA_ARGS__ } })

/* Messages of a lower urgency than @level are dropped from now on. Start-up default: DIAG_INFO. Any thread. */
void diag_set_level(enum diag_level level);
/* How they look from now on. Start-up default: DIAG_TEXT. Any thread. */
void diag_set_format(enum diag_format format);
/* The node that every message names as a field from now on. Start-up default: none, -1. Any thread. */
void diag_set_node(int32_t node);

/* Write one line; a newline at the end of @fmt is not needed. Keeps errno. Any thread. */
void diag(enum diag_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Like diag(), with what it is about: a DIAG_ABOUT(). */
#define diag_about(level, ...) diag_say_(NULL, (level), __VA_ARGS__)

/* Like both, at most once a second for each call site; how many were left out is said on the next line written. */
#define diag_limited(level, ...) diag_about_limited(level, NULL, __VA_ARGS__)
#define diag_about_limited(level, ...) \
        do { \
                static struct diag_limit limit_; \
                diag_say_(&limit_, (level), __VA_ARGS__); \
        } while (0)

struct diag_limit {
        _Atomic int64_t next_ms;
        _Atomic unsigned dropped;
};
/* Inside of these: one @limit for each call site; NULL: without. @about: NULL: nothing in particular. */
void diag_say_(struct diag_limit *limit, enum diag_level level, const struct diag_about *about, const char *fmt, ...)
        PRINTF_LIKE(4, 5);
