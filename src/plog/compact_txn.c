/* Transactions under compaction; see compact_txn.h. */
#include "plog/compact_txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { SIZE_MIN = 16 };

void compact_txns_fini(struct compact_txns *t)
{
        free(t->aborted);
        free(t->with_data);
        *t = compact_txns_of(t->pl);
}

/* ---- aborted transactions ---- */

static int compare(const void *a, const void *b)
{
        const struct plog_aborted *x = a, *y = b;

        if (x->producer_id != y->producer_id)
                return x->producer_id < y->producer_id ? -1 : 1;
        return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

int compact_txns_load(struct compact_txns *t, const struct segment *s)
{
        struct plog_aborted *list;
        size_t count;
        int r;

        if (t->segment == s)
                return 0;
        r = plog_aborted(t->pl, s->base_offset, s->next_offset, true, &list, &count);
        if (r)
                return r;
        free(t->aborted);
        t->aborted = list;
        t->aborted_count = count;
        t->segment = s;
        if (count)
                qsort(list, count, sizeof *list, compare);
        return 0;
}

/* The transaction of the batch's producer that holds the batch, its marker included. */
static const struct plog_aborted *find(const struct compact_txns *t, const struct batch_header *h)
{
        const struct plog_aborted key = { .producer_id = h->producer_id, .first_offset = h->base_offset };
        size_t lo = 0, hi = t->aborted_count;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (compare(&t->aborted[mid], &key) <= 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo && t->aborted[lo - 1].producer_id == h->producer_id &&
                               t->aborted[lo - 1].last_offset >= h->base_offset
                       ? &t->aborted[lo - 1]
                       : NULL;
}

bool compact_txns_is_aborted(const struct compact_txns *t, const struct batch_header *h)
{
        return batch_is_transactional(h) && t->aborted_count && find(t, h);
}

/* ---- who has data ---- */

static size_t place(const struct compact_txns *t, int64_t id)
{
        return (size_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 32) & (t->with_data_size - 1);
}

/* Where @id is, or the empty place where it would go. */
static size_t slot_of(const struct compact_txns *t, int64_t id)
{
        size_t i = place(t, id);

        while (t->with_data[i] != -1 && t->with_data[i] != id)
                i = (i + 1) & (t->with_data_size - 1);
        return i;
}

static int grow(struct compact_txns *t)
{
        struct compact_txns n = { .with_data_size = t->with_data_size ? t->with_data_size * 2 : SIZE_MIN };

        n.with_data = malloc(n.with_data_size * sizeof *n.with_data);
        if (!n.with_data)
                return -ENOMEM;
        memset(n.with_data, -1, n.with_data_size * sizeof *n.with_data);
        for (size_t i = 0; i < t->with_data_size; i++)
                if (t->with_data[i] != -1)
                        n.with_data[slot_of(&n, t->with_data[i])] = t->with_data[i];
        free(t->with_data);
        t->with_data = n.with_data;
        t->with_data_size = n.with_data_size;
        return 0;
}

static int note_data(struct compact_txns *t, int64_t id)
{
        size_t i;

        if (t->with_data_count >= t->with_data_size / 2 && grow(t))
                return -ENOMEM;
        i = slot_of(t, id);
        t->with_data_count += t->with_data[i] == -1;
        t->with_data[i] = id;
        return 0;
}

/* Was there any? Those behind the empty place move up, so that they are found. */
static bool take_data(struct compact_txns *t, int64_t id)
{
        size_t i, next;

        if (!t->with_data_count)
                return false;
        i = slot_of(t, id);
        if (t->with_data[i] == -1)
                return false;
        t->with_data_count--;
        for (next = (i + 1) & (t->with_data_size - 1); t->with_data[next] != -1;
             next = (next + 1) & (t->with_data_size - 1)) {
                size_t home = place(t, t->with_data[next]), mask = t->with_data_size - 1;

                if (((next - home) & mask) >= ((next - i) & mask)) {
                        t->with_data[i] = t->with_data[next];
                        i = next;
                }
        }
        t->with_data[i] = -1;
        return true;
}

/* ---- judgement ---- */

static int judge_marker(struct compact_txns *t, const struct batch_header *h, struct span batch, struct aborted *kept,
                        enum compact_fate *ret_fate)
{
        const struct plog_aborted *a;
        struct batch_marker m = { 0 };
        int r = batch_marker_of(batch, &m);
        bool has_data;

        if (r < 0)
                return r;
        *ret_fate = COMPACT_KEEP;
        if (r == BATCH_END)
                *ret_fate = COMPACT_IDLE_MARKER;
        if (r || (m.type != BATCH_MARKER_COMMIT && m.type != BATCH_MARKER_ABORT))
                return 0;
        has_data = take_data(t, h->producer_id);
        a = has_data && m.type == BATCH_MARKER_ABORT ? find(t, h) : NULL;
        if (a && aborted_reserve(kept))
                return -ENOMEM;
        if (a)
                aborted_add(kept, a);
        if (!has_data)
                *ret_fate = COMPACT_IDLE_MARKER;
        return 0;
}

int compact_txns_judge(struct compact_txns *t, const struct batch_header *h, struct span batch, struct aborted *kept,
                       enum compact_fate *ret_fate)
{
        *ret_fate = batch_is_control(h) ? COMPACT_KEEP : COMPACT_BY_KEYS;
        if (!batch_has_producer(h))
                return 0;
        if (batch_is_control(h))
                return judge_marker(t, h, batch, kept, ret_fate);
        if (!batch_is_transactional(h))
                return 0;
        if (compact_txns_is_aborted(t, h))
                *ret_fate = COMPACT_DISCARD;
        return note_data(t, h->producer_id);
}
