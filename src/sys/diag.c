/* A message's text: wanted, not too often, and one line. Control characters are replaced: what a peer sends may end up in a message and
 * must not forge a line. Where it goes is diag_put.c's. */
#include "sys/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "sys/clock.h"
#include "sys/diag_put.h"

enum { DIAG_TEXT_LEN_MAX = 2048, DIAG_LIMIT_MS = 1000 };

static atomic_int diag_level_max = DIAG_INFO, diag_format = DIAG_TEXT, diag_node = -1;

void diag_set_level(enum diag_level level)
{
        atomic_store_explicit(&diag_level_max, (int)level, memory_order_relaxed);
}

void diag_set_format(enum diag_format format)
{
        atomic_store_explicit(&diag_format, (int)format, memory_order_relaxed);
}

void diag_set_node(int32_t node)
{
        atomic_store_explicit(&diag_node, node, memory_order_relaxed);
}

static bool diag_wanted(enum diag_level level)
{
        return (int)level <= atomic_load_explicit(&diag_level_max, memory_order_relaxed);
}

static void diag_put(const struct diag_message *m)
{
        if (diag_has_journal() && diag_put_journal(m))
                return;
        if (!diag_has_journal() && atomic_load_explicit(&diag_format, memory_order_relaxed) == DIAG_JSON)
                diag_put_json(m);
        else
                diag_put_text(m);
}

static void diag_write(enum diag_level level, const struct diag_about *about, unsigned left_out, const char *fmt,
                       va_list args)
{
        char text[DIAG_TEXT_LEN_MAX];
        size_t len = 0, room = sizeof text - 48; /* behind the text: the count of left-out lines */
        int errno_saved = errno, n = vsnprintf(text, room, fmt, args);

        if (n > 0)
                len = MIN2((size_t)n, room - 1);
        while (len && text[len - 1] == '\n')
                len--;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
                        text[i] = '?';
        if (left_out)
                len += (size_t)snprintf(text + len, sizeof text - len, " (%u more like this)", left_out);
        diag_put(&(struct diag_message){ .level = level,
                                         .text = { text, len },
                                         .about = about,
                                         .node = atomic_load_explicit(&diag_node, memory_order_relaxed) });
        errno = errno_saved;
}

void diag(enum diag_level level, const char *fmt, ...)
{
        va_list args;

        if (!diag_wanted(level))
                return;
        va_start(args, fmt);
        diag_write(level, NULL, 0, fmt, args);
        va_end(args);
}

/* May a line be written at this site now? */
static bool diag_may(struct diag_limit *limit)
{
        int64_t now_ms = clock_mono_ms() + 1; /* never 0, the value of a limit that was not used yet */
        int64_t next_ms = atomic_load_explicit(&limit->next_ms, memory_order_relaxed);

        if (now_ms >= next_ms &&
            atomic_compare_exchange_strong_explicit(&limit->next_ms, &next_ms, now_ms + DIAG_LIMIT_MS,
                                                    memory_order_relaxed, memory_order_relaxed))
                return true;
        atomic_fetch_add_explicit(&limit->dropped, 1, memory_order_relaxed);
        return false;
}

void diag_say_(struct diag_limit *limit, enum diag_level level, const struct diag_about *about, const char *fmt, ...)
{
        unsigned left_out;
        va_list args;

        if (!diag_wanted(level) || (limit && !diag_may(limit)))
                return;
        left_out = limit ? atomic_exchange_explicit(&limit->dropped, 0, memory_order_relaxed) : 0;
        va_start(args, fmt);
        diag_write(level, about, left_out, fmt, args);
        va_end(args);
}
