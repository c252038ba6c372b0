/* Producer state of one log; see producers.h.
 * The rules are Kafka's (KIP-98, KAFKA-5793): the numbers in comments are those of the list of server behaviours that
 * docs/ cites: 20 duplicates, 21 new epochs, unknown producers and wrap-around, 22 stale epochs. */
#include "plog/producers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plog/plog.h"

enum { BUCKETS_MIN = 8 };

void producers_fini(struct producers *p)
{
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer *at = p->buckets[i], *next; at; at = next) {
                        next = at->next;
                        free(at);
                }
        free(p->buckets);
        free(p->finished);
        aborted_fini(&p->aborted);
        *p = (struct producers){ 0 };
}

static uint32_t bucket_of(const struct producers *p, int64_t id)
{
        return (uint32_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 32) & (p->buckets_count - 1);
}

struct producer *producers_find(const struct producers *p, int64_t id)
{
        if (!p->count)
                return NULL;
        for (struct producer *at = p->buckets[bucket_of(p, id)]; at; at = at->next)
                if (at->id == id)
                        return at;
        return NULL;
}

static int grow(struct producers *p)
{
        struct producers n = { .buckets_count = p->buckets_count ? p->buckets_count * 2 : BUCKETS_MIN };

        n.buckets = calloc(n.buckets_count, sizeof *n.buckets);
        if (!n.buckets)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer *at = p->buckets[i], *next; at; at = next) {
                        uint32_t b = bucket_of(&n, at->id);

                        next = at->next;
                        at->next = n.buckets[b];
                        n.buckets[b] = at;
                }
        free(p->buckets);
        p->buckets = n.buckets;
        p->buckets_count = n.buckets_count;
        return 0;
}

struct producer *producers_get(struct producers *p, int64_t id)
{
        struct producer *found = producers_find(p, id);
        uint32_t b;

        if (found)
                return found;
        if (p->count >= p->buckets_count && grow(p) && !p->buckets_count)
                return NULL;
        found = calloc(1, sizeof *found);
        if (!found)
                return NULL;
        found->id = id;
        found->epoch = -1;
        found->coordinator_epoch = -1;
        found->txn_first_offset = found->marker_offset = -1;
        b = bucket_of(p, id);
        found->next = p->buckets[b];
        p->buckets[b] = found;
        p->count++;
        return found;
}

size_t producers_list(const struct producers *p, struct plog_producer *ret)
{
        size_t n = 0;

        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (const struct producer *x = p->buckets[i]; x; x = x->next) {
                        const struct producer_batch *last = x->batch_count ? &x->batches[x->batch_count - 1] : NULL;

                        ret[n++] = (struct plog_producer){ .id = x->id,
                                                           .last_timestamp = last ? last->timestamp : -1,
                                                           .txn_first_offset = x->txn_first_offset,
                                                           .last_sequence = last ? last->last_sequence : -1,
                                                           .coordinator_epoch = x->coordinator_epoch,
                                                           .epoch = x->epoch };
                }
        return n;
}

int producer_check(const struct producer *producer, const struct batch_header *h,
                   const struct producer_batch **ret_known)
{
        int32_t last = -1;

        if (!producer || producer->epoch < 0)
                return PLOG_OK; /* 21: nothing is known, so any sequence is taken */
        if (producer->epoch == h->producer_epoch)
                for (unsigned i = 0; i < producer->batch_count; i++)
                        if (producer->batches[i].first_sequence == h->base_sequence &&
                            producer->batches[i].last_sequence == batch_last_sequence(h)) {
                                *ret_known = &producer->batches[i];
                                return PLOG_E_DUPLICATE; /* 20 */
                        }
        if (h->producer_epoch < producer->epoch)
                return PLOG_E_INVALID_PRODUCER_EPOCH; /* 22 */
        if (producer->batch_count && h->producer_epoch == producer->epoch)
                last = producer->batches[producer->batch_count - 1].last_sequence;
        if (h->base_sequence != (last < 0 ? 0 : batch_sequence_add(last, 1)))
                return PLOG_E_OUT_OF_ORDER_SEQUENCE; /* 21 */
        return producer->txn_first_offset >= 0 && !batch_is_transactional(h) ? PLOG_E_INVALID_TXN_STATE : PLOG_OK;
}

int producer_check_txn(const struct producer *producer, int16_t epoch, int64_t txn_marker)
{
        bool is_open = producer && producer->txn_first_offset >= 0;

        if (producer && epoch < producer->epoch)
                return PLOG_E_INVALID_PRODUCER_EPOCH;
        /* The marker of the epoch before has not come. With records of this one it would end them, too. */
        if (is_open)
                return epoch == producer->epoch ? PLOG_OK : PLOG_E_INVALID_TXN_STATE;
        return txn_marker == (producer ? producer->marker_offset : -1) ? PLOG_OK : PLOG_E_INVALID_TXN_STATE;
}

int producer_check_marker(const struct producer *producer, const struct batch_header *h, const struct batch_marker *m,
                          bool bumped)
{
        if (!producer)
                return PLOG_OK;
        if (h->producer_epoch < producer->epoch || (bumped && h->producer_epoch == producer->epoch))
                return PLOG_E_INVALID_PRODUCER_EPOCH;
        return m->coordinator_epoch < producer->coordinator_epoch ? PLOG_E_COORDINATOR_FENCED : PLOG_OK;
}

/* ---- transactions ---- */

static void txn_begin(struct producers *p, struct producer *x, int64_t first_offset)
{
        x->txn_first_offset = first_offset;
        x->txn_next = NULL;
        x->txn_prev = p->txn_last;
        *(p->txn_last ? &p->txn_last->txn_next : &p->txn_first) = x;
        p->txn_last = x;
}

static void finished_add(struct producers *p, int64_t first_offset, int64_t last_offset)
{
        struct finished *f = p->finished;

        if (p->finished_count == FINISHED_MAX) {
                f[1].first_offset = MIN2(f[0].first_offset, f[1].first_offset);
                memmove(f, f + 1, (--p->finished_count) * sizeof *f);
        }
        assert(p->finished_count < p->finished_size);
        f[p->finished_count++] = (struct finished){ first_offset, last_offset };
}

static void txn_end(struct producers *p, struct producer *x, const struct batch_header *h, bool commit)
{
        const int64_t first_offset = x->txn_first_offset, last_offset = batch_last_offset(h);

        *(x->txn_prev ? &x->txn_prev->txn_next : &p->txn_first) = x->txn_next;
        *(x->txn_next ? &x->txn_next->txn_prev : &p->txn_last) = x->txn_prev;
        x->txn_prev = x->txn_next = NULL;
        x->txn_first_offset = -1;
        finished_add(p, first_offset, last_offset);
        if (!commit)
                aborted_add(&p->aborted,
                            &(struct plog_aborted){ .producer_id = x->id,
                                                    .first_offset = first_offset,
                                                    .last_offset = last_offset,
                                                    .stable_offset = p->txn_first ? p->txn_first->txn_first_offset
                                                                                  : last_offset + 1 });
}

int producers_reserve(struct producers *p)
{
        uint32_t size = p->finished_size ? p->finished_size * 2 : 4;
        struct finished *n;

        if (p->finished_count == p->finished_size && p->finished_size < FINISHED_MAX) {
                n = realloc(p->finished, size * sizeof *n);
                if (!n)
                        return -ENOMEM;
                p->finished = n;
                p->finished_size = size;
        }
        return aborted_reserve(&p->aborted);
}

int64_t producers_unstable(const struct producers *p)
{
        int64_t first = p->txn_first ? p->txn_first->txn_first_offset : INT64_MAX;

        for (uint32_t i = 0; i < p->finished_count; i++)
                first = MIN2(first, p->finished[i].first_offset);
        return first;
}

void producers_replicated(struct producers *p, int64_t high_watermark)
{
        uint32_t gone = 0;

        while (gone < p->finished_count && p->finished[gone].last_offset < high_watermark)
                gone++;
        if (!gone)
                return;
        p->finished_count -= gone;
        memmove(p->finished, p->finished + gone, p->finished_count * sizeof *p->finished);
}

/* ---- batches ---- */

static void set_epoch(struct producer *producer, int16_t epoch)
{
        if (producer->epoch == epoch)
                return;
        producer->epoch = epoch;
        producer->batch_count = 0;
}

static void note_sequences(struct producer *producer, const struct batch_header *h)
{
        if (producer->batch_count == PRODUCER_BATCHES) {
                memmove(producer->batches, producer->batches + 1, (PRODUCER_BATCHES - 1) * sizeof *producer->batches);
                producer->batch_count--;
        }
        producer->batches[producer->batch_count++] = (struct producer_batch){
                .first_sequence = h->base_sequence,
                .last_sequence = batch_last_sequence(h),
                .first_offset = h->base_offset,
                .last_offset = batch_last_offset(h),
                .timestamp = h->max_timestamp,
        };
}

void producers_note(struct producers *p, struct producer *producer, const struct batch_header *h,
                    const struct batch_marker *marker, int64_t now_ms)
{
        if (batch_is_control(h) && !marker)
                return;
        producer->last_used_ms = now_ms;
        set_epoch(producer, h->producer_epoch);
        if (marker) {
                producer->coordinator_epoch = marker->coordinator_epoch;
                producer->marker_offset = batch_last_offset(h);
                if (producer->txn_first_offset >= 0)
                        txn_end(p, producer, h, marker->type == BATCH_MARKER_COMMIT);
                return;
        }
        if (h->base_sequence >= 0)
                note_sequences(producer, h);
        if (batch_is_transactional(h) && producer->txn_first_offset < 0)
                txn_begin(p, producer, h->base_offset);
}

void producers_expire(struct producers *p, int64_t now_ms, int64_t expiry_ms)
{
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer **at = &p->buckets[i]; *at;) {
                        struct producer *x = *at;

                        if (x->txn_first_offset >= 0 || now_ms - x->last_used_ms < expiry_ms) {
                                at = &x->next;
                                continue;
                        }
                        *at = x->next;
                        free(x);
                        p->count--;
                }
}
