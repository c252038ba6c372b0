/* Messages for people (never the record log). One line each: what was wrong, where, what would be right.
 * Under systemd they go to standard error with a priority prefix that the journal understands. */
#pragma once

#include "base/macros.h"

enum diag_level { DIAG_ERROR = 3, DIAG_WARN = 4, DIAG_NOTICE = 5, DIAG_INFO = 6, DIAG_DEBUG = 7 };

/* Messages of a lower urgency than @level are dropped from now on. Start-up default: DIAG_INFO. Any thread. */
void diag_set_level(enum diag_level level);

/* Write one line; a newline at the end of @fmt is not needed. Keeps errno. Any thread. */
void diag(enum diag_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Like diag(), at most once a second for each call site; how many were left out is said on the next line written. */
#define diag_limited(level, ...) \
        do { \
                static struct diag_limit limit_; \
                diag_limited_(&limit_, (level), __VA_ARGS__); \
        } while (0)

struct diag_limit {
        _Atomic int64_t next_ms;
        _Atomic unsigned dropped;
};
/* Inside of diag_limited(): one @limit for each call site. */
void diag_limited_(struct diag_limit *limit, enum diag_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
