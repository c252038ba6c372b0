/* The trace of a world of a coordinator's machine: what came out, as words, compared with the text beside each step. Included once struct
 * world is known, which has trace[]. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct world *w, const char *fmt, ...)
{
        size_t at = strlen(w->trace);
        va_list ap;

        if (at && at + 2 < sizeof w->trace) {
                w->trace[at++] = ' ';
                w->trace[at] = 0;
        }
        va_start(ap, fmt);
        vsnprintf(w->trace + at, sizeof w->trace - at, fmt, ap);
        va_end(ap);
}

#define EXPECT(w, text) \
        do { \
                CU_ASSERT_STRING_EQUAL((w)->trace, text); \
                if (strcmp((w)->trace, text)) \
                        fprintf(stderr, "line %d\n  want: %s\n  have: %s\n", __LINE__, text, (w)->trace); \
                (w)->trace[0] = 0; \
        } while (0)
