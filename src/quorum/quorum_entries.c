/* Entries in memory: a ring by index, and their frames for the disk and for others. */
#include <errno.h>
#include <string.h>

#include "quorum/quorum_internal.h"

struct quorum_entry *quorum_entry_new(const struct qlog_entry *from)
{
        struct quorum_entry *e = malloc(sizeof *e + from->payload.len);

        if (!e)
                return NULL;
        *e = (struct quorum_entry){ .e = *from };
        if (from->payload.len)
                memcpy(e->bytes, from->payload.data, from->payload.len);
        e->e.payload.data = e->bytes;
        return e;
}

int quorum_entries_reserve(struct quorum_entries *es, size_t count)
{
        struct quorum_entry **at;
        size_t size = es->size ? es->size : 64;

        if (es->count + count <= es->size)
                return 0;
        while (size < es->count + count)
                size *= 2;
        at = malloc(size * sizeof(*at));
        if (!at)
                return -ENOMEM;
        assert(es->size || !es->count);
        for (size_t i = 0; i < es->count; i++)
                at[i] = es->at[(es->head + i) % MAX2(es->size, (size_t)1)];
        free(es->at);
        es->at = at;
        es->size = size;
        es->head = 0;
        return 0;
}

void quorum_entries_add(struct quorum_entries *es, struct quorum_entry *e)
{
        assert(e->e.index == quorum_entries_end(es));
        assert(es->count < es->size);
        es->at[(es->head + es->count++) % es->size] = e;
        es->bytes += e->e.payload.len;
}

struct quorum_entry *quorum_entries_take_newest(struct quorum_entries *es)
{
        struct quorum_entry *e;

        if (!es->count)
                return NULL;
        e = es->at[(es->head + --es->count) % es->size];
        es->bytes -= e->e.payload.len;
        return e;
}

struct quorum_entry *quorum_entries_take_oldest(struct quorum_entries *es)
{
        struct quorum_entry *e;

        if (!es->count)
                return NULL;
        e = es->at[es->head];
        es->head = (es->head + 1) % es->size;
        es->count--;
        es->first++;
        es->bytes -= e->e.payload.len;
        return e;
}

uint8_t *quorum_entries_frame(const struct quorum_entries *es, int64_t first, int64_t last, size_t len_max,
                              size_t *ret_len, int64_t *ret_last)
{
        const struct quorum_entry *e;
        struct writer w;
        uint8_t *bytes;
        size_t len = 0;
        int64_t i;

        for (i = first; i <= last && (e = quorum_entries_get(es, i)); i++) {
                size_t n = qlog_entry_size(e->e.payload.len);

                if (len && len + n > len_max)
                        break;
                len += n;
        }
        if (i == first)
                return NULL;
        bytes = malloc(len);
        if (!bytes)
                return NULL;
        w = writer_of(bytes, len);
        for (int64_t at = first; at < i; at++)
                qlog_entry_write(&quorum_entries_get(es, at)->e, first, &w);
        *ret_len = len;
        *ret_last = i - 1;
        return bytes;
}
