/* One batch under compaction; see compact_batch.h. Two passes over the records: the first decides what the header will
 * say, the second writes; most batches need only the first. */
#include "plog/compact_batch.h"

#include <errno.h>

#include "base/err.h"
#include "base/macros.h"
#include "wire/batch_records.h"

/* Return: 1 stays, 0 goes, -EIO. */
static int record_stays(const struct compact_rules *rules, const struct batch_header *h, const struct batch_record *rec)
{
        int64_t newest;

        if (batch_is_control(h))
                return 1;
        if (!rec->key.data)
                return 0;
        newest = keymap_get(rules->map, rec->key);
        if (newest < -1)
                return -EIO;
        if (newest > rec->offset)
                return 0;
        return rec->value.data || !batch_has_delete_horizon(h) || h->base_timestamp > rules->now_ms;
}

struct tally {
        int32_t left, tombstones;
};

/* Call @fn for each record that stays. */
static int each_left(const struct compact_rules *rules, struct span batch, const struct batch_header *h,
                     int (*fn)(void *arg, const struct batch_record *rec), void *arg)
{
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, batch, 0);

        if (r)
                return r < 0 ? r : COMPACT_DAMAGED;
        while (!(r = batch_records_next(&it, &rec))) {
                int stays = record_stays(rules, h, &rec);

                r = stays > 0 ? fn(arg, &rec) : stays;
                if (r)
                        break;
        }
        batch_records_close(&it);
        return r == BATCH_END ? 0 : r > 0 ? COMPACT_DAMAGED : r;
}

static int count(void *arg, const struct batch_record *rec)
{
        struct tally *t = arg;

        t->left++;
        t->tombstones += !rec->value.data;
        return 0;
}

static int add(void *arg, const struct batch_record *rec)
{
        return batch_builder_add(arg, rec);
}

static struct batch_build_args args_of(const struct batch_header *h)
{
        struct batch_build_args a = batch_build_args();

        a.codec = batch_codec(h);
        a.base_offset = h->base_offset;
        a.leader_epoch = h->leader_epoch;
        a.producer_id = h->producer_id;
        a.producer_epoch = h->producer_epoch;
        a.base_sequence = h->base_sequence;
        a.transactional = batch_is_transactional(h);
        a.control = batch_is_control(h);
        a.log_append_time = batch_is_log_append_time(h);
        a.append_time_ms = h->max_timestamp;
        a.last_offset_delta = h->last_offset_delta;
        if (batch_has_delete_horizon(h))
                a.delete_horizon_ms = h->base_timestamp;
        return a;
}

static int finish_empty(const struct batch_build_args *args, struct strbuf *out)
{
        struct batch_builder b;
        int r;

        batch_builder_init(&b, args);
        r = batch_builder_finish(&b, out);
        batch_builder_fini(&b);
        return err_fold(r);
}

int compact_batch_placeholder(const struct batch_header *h, struct strbuf *out)
{
        struct batch_build_args a = batch_build_args();

        a.base_offset = h->base_offset;
        a.leader_epoch = h->leader_epoch;
        a.last_offset_delta = h->last_offset_delta;
        return finish_empty(&a, out);
}

/* Without records, but still of its producer. */
static int append_empty(const struct batch_header *h, struct strbuf *out)
{
        struct batch_build_args a = args_of(h);
        int r;

        a.delete_horizon_ms = -1;
        r = finish_empty(&a, out);
        return r ? r : COMPACT_REWRITTEN;
}

/* Is it needed to know its producer again? */
static bool tells_of_producer(const struct compact_rules *rules, const struct batch_header *h)
{
        size_t lo = 0, hi = rules->producers_count;
        const struct compact_producer *p;

        if (!batch_has_producer(h))
                return false;
        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (rules->producers[mid].id < h->producer_id)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        p = &rules->producers[lo];
        if (lo == rules->producers_count || p->id != h->producer_id)
                return false;
        if (p->known == COMPACT_UNKNOWN)
                return true;
        if (p->known == COMPACT_MARKERS)
                return batch_is_control(h) && p->epoch == h->producer_epoch;
        /* Of batches in transactions the last one alone: each would keep its marker, too. */
        for (unsigned i = batch_is_transactional(h) ? p->count - 1u : 0; i < p->count; i++)
                if (p->last_offsets[i] == batch_last_offset(h))
                        return true;
        return false;
}

static int64_t horizon_of(const struct compact_rules *rules)
{
        return rules->now_ms > INT64_MAX - rules->delete_retention_ms ? INT64_MAX
                                                                      : rules->now_ms + rules->delete_retention_ms;
}

static int rewrite(const struct compact_rules *rules, struct span batch, const struct batch_header *h, bool set_horizon,
                   struct strbuf *out)
{
        struct batch_build_args a = args_of(h);
        struct batch_builder b;
        int r;

        if (set_horizon)
                a.delete_horizon_ms = horizon_of(rules);
        batch_builder_init(&b, &a);
        r = each_left(rules, batch, h, add, &b);
        if (!r)
                r = batch_builder_finish(&b, out);
        batch_builder_fini(&b);
        return r > 0 ? COMPACT_DAMAGED : r ? r : COMPACT_REWRITTEN;
}

static int compact_records(const struct compact_rules *rules, struct span batch, const struct batch_header *h,
                           struct strbuf *out)
{
        struct tally t = { 0 };
        bool set_horizon;
        int r = each_left(rules, batch, h, count, &t);

        if (r)
                return r;
        set_horizon = t.tombstones && !batch_has_delete_horizon(h) && batch_last_offset(h) < rules->mapped_to;
        if (t.left == h->records_count && !set_horizon && (t.left || tells_of_producer(rules, h)))
                return COMPACT_SAME;
        if (t.left)
                return rewrite(rules, batch, h, set_horizon, out);
        return tells_of_producer(rules, h) ? append_empty(h, out) : COMPACT_GONE;
}

static int discard(const struct compact_rules *rules, const struct batch_header *h, struct strbuf *out)
{
        if (!tells_of_producer(rules, h))
                return COMPACT_GONE;
        return h->records_count ? append_empty(h, out) : COMPACT_SAME;
}

/* KIP-534: readers that are behind may need the marker for as long as a tombstone. */
static int compact_marker(const struct compact_rules *rules, struct span batch, const struct batch_header *h,
                          struct strbuf *out)
{
        if (tells_of_producer(rules, h))
                return COMPACT_SAME;
        if (!batch_has_delete_horizon(h))
                return rewrite(rules, batch, h, true, out);
        return h->base_timestamp > rules->now_ms ? COMPACT_SAME : COMPACT_GONE;
}

int compact_batch(const struct compact_rules *rules, enum compact_fate fate, struct span batch,
                  const struct batch_header *h, struct strbuf *out)
{
        switch (fate) {
        case COMPACT_BY_KEYS:
                return compact_records(rules, batch, h, out);
        case COMPACT_DISCARD:
                return discard(rules, h, out);
        case COMPACT_IDLE_MARKER:
                return compact_marker(rules, batch, h, out);
        case COMPACT_KEEP:
                break;
        }
        return COMPACT_SAME;
}
