/* See model.h. */
#include "model.h"

#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "plog/compact.h"
#include "wire/batch_records.h"

enum { KEY_SIZE = 8, VALUE_SIZE = 512, NOW_MS_BACK = 200 };

static struct sim_batches all_batches;
static uint32_t values_made;

static void batches_add(struct sim_batches *l, struct sim_batch *b)
{
        if (l->count == l->room) {
                l->room = l->room ? l->room * 2 : 16;
                l->list = realloc(l->list, l->room * sizeof(struct sim_batch *));
                assert(l->list);
        }
        l->list[l->count++] = b;
}

void model_clear(struct sim_log *l)
{
        l->log.count = l->ghosts.count = 0;
        l->start_min = l->start_max = l->end = l->promised_end = 0;
        l->maybe_gone = false;
        l->assigned_epoch = l->promised_epoch = -1;
}

void model_free_batches(void)
{
        for (size_t i = 0; i < all_batches.count; i++) {
                free(all_batches.list[i]->bytes);
                free(all_batches.list[i]);
        }
        free(all_batches.list);
        all_batches = (struct sim_batches){ 0 };
        values_made = 0;
}

/* ---- making batches ---- */

static void record_text(const struct sim_record *rec, char key[KEY_SIZE], char value[VALUE_SIZE])
{
        snprintf(key, KEY_SIZE, "k%02d", rec->key);
        memset(value, '.', VALUE_SIZE);
        snprintf(value, VALUE_SIZE, "%08u", rec->value);
        value[8] = '.';
}

static void build(struct sim_batch *b, int codec, size_t pad)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder bb;
        struct strbuf out = { 0 };
        int r = 0;

        a.codec = codec;
        if (b->producer) {
                a.producer_id = b->producer;
                a.producer_epoch = b->producer_epoch;
                a.base_sequence = b->sequence;
        }
        disk_hold(true); /* memory does not run out for this */
        batch_builder_init(&bb, &a);
        for (int32_t i = 0; i < b->count && !r; i++) {
                const struct sim_record *rec = &b->records[i];
                char key[KEY_SIZE], value[VALUE_SIZE];
                size_t value_len = 8 + (i == b->count - 1 ? pad : 0);

                record_text(rec, key, value);
                r = batch_builder_add(
                        &bb, &(struct batch_record){ .offset = i,
                                                     .timestamp = b->timestamp + i,
                                                     .key = span_of(key, strlen(key)),
                                                     .value = rec->value ? span_of(value, value_len) : SPAN_NULL });
        }
        if (!r)
                r = batch_builder_finish(&bb, &out);
        assert(!r);
        batch_builder_fini(&bb);
        disk_hold(false);
        free(b->bytes);
        b->bytes = malloc(out.len);
        assert(b->bytes);
        memcpy(b->bytes, out.data, out.len);
        b->len = out.len;
        strbuf_fini(&out);
}

/* The last batch of a producer, or NULL. */
static const struct sim_batch *last_of(const struct sim_log *l, int64_t producer)
{
        for (size_t i = l->log.count; i-- > 0;)
                if (l->log.list[i]->producer == producer)
                        return l->log.list[i];
        return NULL;
}

struct sim_batch *model_make(struct sim_log *l, struct chance *c, int64_t producer)
{
        struct sim_batch *b = calloc(1, sizeof *b);
        const struct sim_batch *last = producer ? last_of(l, producer) : NULL;
        size_t want = chance_one_in(c, 3) ? 320 : 200;
        int codec = chance_one_in(c, 8) ? CODEC_LZ4 : CODEC_NONE;

        assert(b);
        batches_add(&all_batches, b);
        b->base = l->end;
        b->count = 1 + (int32_t)chance_below(c, SIM_RECORDS_MAX);
        b->epoch = l->epoch;
        b->timestamp = INT64_C(1700000000000) + l->end * 10 - chance_below(c, NOW_MS_BACK);
        b->producer = producer;
        if (last) {
                bool again = chance_one_in(c, 12); /* a new session of the producer */

                b->producer_epoch = (int16_t)(last->producer_epoch + again);
                b->sequence = again ? 0 : last->sequence + last->count;
        }
        for (int32_t i = 0; i < b->count; i++)
                b->records[i] = (struct sim_record){ .key = (int)chance_below(c, SIM_KEYS),
                                                     .value = chance_one_in(c, 10) && l->compacted ? 0 : ++values_made,
                                                     .there = true };
        /* Few different lengths, so that positions in a file coincide however it came to be. */
        build(b, codec, 0);
        if (b->len < want && codec == CODEC_NONE && b->records[b->count - 1].value) {
                size_t pad = want - b->len;

                build(b, codec, pad);
                if (b->len > want)
                        build(b, codec, pad - (b->len - want));
        }
        batch_set_base(b->bytes, b->base, b->epoch);
        return b;
}

static void trace(const struct sim_log *l, const char *what, const struct sim_batch *b)
{
        sim_trace(l, "%s %lld, %d records, epoch %d, producer %lld.%d.%d, %zu bytes", what, (long long)b->base,
                  b->count, b->epoch, (long long)b->producer, b->producer_epoch, b->sequence, b->len);
}

void model_appended(struct sim_log *l, struct sim_batch *b)
{
        trace(l, "append", b);
        batches_add(&l->log, b);
        l->end = b->base + b->count;
}

void model_refused(struct sim_log *l, struct sim_batch *b)
{
        trace(l, "refused", b);
        batches_add(&l->ghosts, b);
}

int64_t model_base_of(const struct sim_log *l, int64_t offset)
{
        for (size_t i = 0; i < l->log.count; i++)
                if (offset < l->log.list[i]->base + l->log.list[i]->count)
                        return l->log.list[i]->base;
        return l->end;
}

void model_truncated(struct sim_log *l, int64_t end)
{
        sim_trace(l, "cut to %lld", (long long)end);
        while (l->log.count && l->log.list[l->log.count - 1]->base >= end)
                l->log.count--;
        l->ghosts.count = 0;
        l->end = end;
        l->promised_end = MIN2(l->promised_end, end);
        l->start_min = MIN2(l->start_min, end);
        l->start_max = MIN2(l->start_max, end);
}

void model_promised(struct sim_log *l, int64_t offset)
{
        SIM_CHECK(l, offset <= l->end, "the durable end is %lld, more than the end %lld", (long long)offset,
                  (long long)l->end);
        l->promised_end = MAX2(l->promised_end, offset);
}

/* ---- comparing: what is read ---- */

/* A log as it is read, compared with the model as it goes. */
struct look {
        struct sim_log *l;
        int64_t promised; /* below: as in the model; behind: what a crash has left of it */
        struct sim_batches found;
        int64_t next; /* offset after the last batch */
};

static struct sim_batch *find_base(const struct sim_batches *b, int64_t base)
{
        for (size_t i = 0; i < b->count; i++)
                if (b->list[i]->base == base)
                        return b->list[i];
        return NULL;
}

static bool same_bytes(const struct sim_batch *b, struct span got)
{
        return b && b->len == got.len && !memcmp(b->bytes, got.data, got.len);
}

/* A batch that compaction may have written again: records are those of their offsets, or missing. */
static void compare_records(struct look *k, struct sim_batch *b, struct span got)
{
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, got, 0);

        SIM_CHECK(k->l, !r, "the batch at %lld cannot be read", (long long)b->base);
        for (int32_t i = 0; i < b->count; i++)
                b->records[i].there = false;
        while (!(r = batch_records_next(&it, &rec))) {
                struct sim_record *want;
                char key[KEY_SIZE], value[VALUE_SIZE];

                SIM_CHECK(k->l, rec.offset >= b->base && rec.offset < b->base + b->count, "record %lld in batch %lld",
                          (long long)rec.offset, (long long)b->base);
                want = &b->records[rec.offset - b->base];
                want->there = true;
                record_text(want, key, value);
                SIM_CHECK(k->l,
                          span_equal(rec.key, span_of(key, strlen(key))) && !rec.value.data == !want->value &&
                                  (!want->value || !memcmp(rec.value.data, value, 8)) &&
                                  rec.timestamp == b->timestamp + (rec.offset - b->base),
                          "offset %lld has another content than before", (long long)rec.offset);
        }
        SIM_CHECK(k->l, r == BATCH_END, "the batch at %lld cannot be read to its end", (long long)b->base);
        batch_records_close(&it);
}

static void look_at_batch(struct look *k, struct span got, const struct batch_header *h)
{
        struct sim_log *l = k->l;
        struct sim_batch *b = find_base(&l->log, h->base_offset);

        SIM_CHECK(l, !batch_check_crc(got, &(struct batch_header){ 0 }), "the batch at %lld is damaged",
                  (long long)h->base_offset);
        if (l->compacted && h->base_offset < k->promised) {
                SIM_CHECK(l, b && batch_last_offset(h) == b->base + b->count - 1, "no such batch: %lld to %lld",
                          (long long)h->base_offset, (long long)batch_last_offset(h));
                compare_records(k, b, got);
        } else if (!same_bytes(b, got)) {
                bool may_differ = h->base_offset >= k->promised;

                b = NULL;
                for (size_t i = 0; i < l->ghosts.count && may_differ && !b; i++)
                        if (l->ghosts.list[i]->base == h->base_offset && same_bytes(l->ghosts.list[i], got))
                                b = l->ghosts.list[i];
                SIM_CHECK(l, b, "offset %lld has another content than before (%s)", (long long)h->base_offset,
                          may_differ ? "it was not promised" : "it was promised");
        }
        SIM_CHECK(l,
                  l->compacted && k->found.count ? h->base_offset >= k->next
                                                 : h->base_offset <= k->next || l->compacted,
                  "a gap: %lld comes after %lld", (long long)h->base_offset, (long long)k->next);
        batches_add(&k->found, b);
        k->next = batch_last_offset(h) + 1;
}

/* Read all from @from to @to, in slices of random length. */
static void look_at_log(struct look *k, struct chance *c, int64_t from, int64_t to)
{
        int64_t at = from;

        k->next = from;
        while (at < to) {
                struct plog_read_args args = {
                        .from_offset = at, .below_offset = to, .len_max = chance_below(c, 3000), .at_least_one = true
                };
                struct batch_header h;
                struct batch_iter it;
                struct plog_slice s;
                struct span b;
                uint8_t *buf;
                int r = plog_read(k->l->pl, &args, true, &s);

                SIM_CHECK(k->l, !r, "reading at %lld: %d", (long long)at, r);
                if (!s.len)
                        break;
                buf = malloc(s.len);
                assert(buf);
                r = plog_slice_copy(&s, buf);
                SIM_CHECK(k->l, !r, "copying %zu bytes at %lld: %d", s.len, (long long)at, r);
                it = batch_iter_of(span_of(buf, s.len));
                while (!batch_iter_next(&it, &b, &h))
                        look_at_batch(k, b, &h);
                SIM_CHECK(k->l, !it.left.len && s.next_offset >= k->next && s.next_offset > at,
                          "a slice at %lld ends in a batch", (long long)at);
                at = s.next_offset;
                free(buf);
                plog_slice_release(&s);
        }
        k->next = MAX2(k->next, at);
}

/* ---- comparing: what must be there ---- */

static bool is_superseded(const struct sim_log *l, const struct sim_record *rec, int64_t offset, int64_t below)
{
        for (size_t i = l->log.count; i-- > 0;) {
                const struct sim_batch *b = l->log.list[i];

                for (int32_t k = 0; k < b->count; k++)
                        if (b->base + k > offset && b->base + k < below && b->records[k].key == rec->key)
                                return true;
        }
        return false;
}

static bool was_found(const struct look *k, const struct sim_batch *b)
{
        for (size_t i = 0; i < k->found.count; i++)
                if (k->found.list[i] == b)
                        return true;
        return false;
}

/* Everything promised from @start on is there; of a compacted log the newest of each key. */
static void check_promised(struct look *k, int64_t start)
{
        struct sim_log *l = k->l;

        for (size_t i = 0; i < l->log.count; i++) {
                struct sim_batch *b = l->log.list[i];
                bool found = was_found(k, b);

                if (b->base >= k->promised || b->base + b->count <= start)
                        continue;
                SIM_CHECK(l, found || l->compacted, "offsets %lld to %lld were promised and are not there",
                          (long long)b->base, (long long)b->base + b->count - 1);
                for (int32_t r = 0; r < b->count && l->compacted; r++) {
                        b->records[r].there &= found;
                        SIM_CHECK(l,
                                  b->records[r].there || b->base + r < start ||
                                          is_superseded(l, &b->records[r], b->base + r, MIN2(k->next, k->promised)),
                                  "offset %lld is the newest of its key and is not there", (long long)b->base + r);
                }
        }
}

/* ---- comparing: look-ups ---- */

static void check_times(struct sim_log *l, struct chance *c, int64_t start, int64_t below)
{
        int64_t target = INT64_C(1700000000000) + (int64_t)chance_below(c, (uint64_t)l->end * 10 + 20) - NOW_MS_BACK;
        int64_t want = -1, max_ms = -1, max_at = -1;
        struct plog_position at;
        int r = plog_find_time(l->pl, target, below, &at);

        for (size_t i = 0; i < l->log.count; i++) {
                const struct sim_batch *b = l->log.list[i];

                for (int32_t k = 0; k < b->count; k++) {
                        int64_t offset = b->base + k, ms = b->timestamp + k;

                        if (offset < start || b->base + b->count > below || !b->records[k].there)
                                continue;
                        if (want < 0 && ms >= target)
                                want = offset;
                        if (ms > max_ms) {
                                max_ms = ms;
                                max_at = offset;
                        }
                }
        }
        SIM_CHECK(l, want < 0 ? r == PLOG_E_NOT_FOUND : !r && at.offset == want,
                  "time %lld is found at %lld (%d), and is at %lld", (long long)target, r ? -1 : (long long)at.offset,
                  r, (long long)want);
        r = plog_find_max_time(l->pl, below, &at);
        SIM_CHECK(l, max_at < 0 ? r == PLOG_E_NOT_FOUND : !r && at.offset == max_at,
                  "the largest time is found at %lld (%d), and is at %lld", r ? -1 : (long long)at.offset, r,
                  (long long)max_at);
}

/* Compaction may have taken all of it. */
static bool has_records(const struct sim_batch *b)
{
        for (int32_t i = 0; i < b->count; i++)
                if (b->records[i].there)
                        return true;
        return false;
}

static void check_epochs(struct sim_log *l, int64_t start, int64_t below)
{
        int32_t latest = plog_latest_epoch(l->pl);

        SIM_CHECK(l, latest >= l->promised_epoch, "the latest epoch is %d, and %d was assigned", latest,
                  l->promised_epoch);

        for (size_t i = 0; i < l->log.count; i++) {
                const struct sim_batch *b = l->log.list[i];
                int64_t at = MAX2(b->base, start);

                if (b->base + b->count <= start || b->base >= below || !has_records(b))
                        continue;
                SIM_CHECK(l, plog_epoch_at(l->pl, at) == b->epoch, "offset %lld has epoch %d, and had %d",
                          (long long)at, plog_epoch_at(l->pl, at), b->epoch);
                SIM_CHECK(l, latest >= b->epoch, "the latest epoch is %d, and there are batches of %d", latest,
                          b->epoch);
        }
}

/* A batch of each producer that is sent again is known; so the state is that of the log. */
static void check_producers(struct sim_log *l, int64_t start)
{
        for (int64_t id = 1; id <= SIM_PRODUCERS; id++) {
                const struct sim_batch *last = last_of(l, id);
                int left = l->compacted ? 1 : 5;

                for (size_t i = l->log.count; i-- > 0 && left > 0;) {
                        const struct sim_batch *b = l->log.list[i];
                        struct plog_append_result res = { 0 };
                        uint8_t *copy;
                        int r;

                        if (b->producer != id || b->producer_epoch != last->producer_epoch)
                                continue;
                        if (b->base < start && l->may_forget)
                                break;
                        left--;
                        copy = malloc(b->len);
                        assert(copy);
                        memcpy(copy, b->bytes, b->len);
                        r = plog_append(l->pl,
                                        &(struct plog_append_args){ .batch = copy,
                                                                    .len = b->len,
                                                                    .leader_epoch = l->epoch,
                                                                    .now_ms = b->timestamp,
                                                                    .keep_base_offset = -1,
                                                                    .check_sequence = true },
                                        &res);
                        free(copy);
                        SIM_CHECK(l, r == PLOG_E_DUPLICATE && res.base_offset == b->base,
                                  "producer %lld sends sequence %d again, of offset %lld: %d, offset %lld",
                                  (long long)id, b->sequence, (long long)b->base, r, (long long)res.base_offset);
                }
        }
}

static void check_offsets(struct sim_log *l, struct chance *c, int64_t start, int64_t below)
{
        for (int n = 0; n < 3 && start < below; n++) {
                int64_t from = start + chance_below(c, (uint64_t)(below - start));
                struct plog_read_args args = {
                        .from_offset = from, .below_offset = below, .len_max = 1, .at_least_one = true
                };
                struct plog_slice s;
                int r = plog_read(l->pl, &args, true, &s);

                SIM_CHECK(l, !r, "reading at %lld: %d", (long long)from, r);
                if (!l->compacted)
                        SIM_CHECK(l, s.len && s.first_offset == model_base_of(l, from),
                                  "%lld is found in the batch at %lld", (long long)from, (long long)s.first_offset);
                if (s.len)
                        plog_slice_release(&s);
        }
}

/* ---- all of it ---- */

/* What was found behind the promised end is the log from now on. */
static void take_over(struct look *k)
{
        struct sim_log *l = k->l;

        while (l->log.count && l->log.list[l->log.count - 1]->base >= k->promised)
                l->log.count--;
        for (size_t i = 0; i < k->found.count; i++)
                if (k->found.list[i]->base >= k->promised)
                        batches_add(&l->log, k->found.list[i]);
        l->ghosts.count = 0;
}

static void recovered(struct sim_log *l, struct chance *c)
{
        struct look k = { .l = l, .promised = l->promised_end };
        struct plog_dirt dirt;
        struct plog_ends e;

        plog_ends(l->pl, &e);
        if (l->maybe_gone && !e.end_offset)
                model_clear(l);
        l->maybe_gone = false;
        sim_trace(l, "recovered from %lld to %lld", (long long)e.start_offset, (long long)e.end_offset);
        k.promised = l->promised_end;
        SIM_CHECK(l, !e.failed && e.durable_end_offset == e.end_offset, "it is not durable after recovery");
        SIM_CHECK(l, e.start_offset >= l->start_min && e.start_offset <= MAX2(l->start_max, l->start_min),
                  "it starts at %lld, which was to be between %lld and %lld", (long long)e.start_offset,
                  (long long)l->start_min, (long long)l->start_max);
        SIM_CHECK(l, e.end_offset >= l->promised_end, "it ends at %lld, and was promised up to %lld",
                  (long long)e.end_offset, (long long)l->promised_end);
        look_at_log(&k, c, e.start_offset, e.end_offset);
        SIM_CHECK(l, k.next == e.end_offset, "it ends at %lld, and can be read up to %lld", (long long)e.end_offset,
                  (long long)k.next);
        check_promised(&k, e.start_offset);
        take_over(&k);
        free(k.found.list);
        l->end = l->promised_end = e.end_offset;
        l->start_min = l->start_max = e.start_offset;
        l->epoch = MAX2(l->epoch, plog_latest_epoch(l->pl));
        l->assigned_epoch = l->promised_epoch;
        SIM_CHECK(l, plog_dirt(l->pl, INT64_C(1700000000000), e.end_offset, &dirt) != PLOG_E_DAMAGED,
                  "it is said to be damaged");
        check_times(l, c, e.start_offset, e.end_offset);
        check_offsets(l, c, e.start_offset, e.end_offset);
        check_epochs(l, e.start_offset, e.end_offset);
        check_producers(l, e.start_offset);
}

void model_recovered(struct sim_log *l, struct chance *c)
{
        disk_hold(true);
        recovered(l, c);
        disk_hold(false);
}

static void compare(struct sim_log *l, struct chance *c)
{
        struct look k = { .l = l };
        struct plog_ends e;

        plog_ends(l->pl, &e);
        k.promised = e.durable_end_offset;
        SIM_CHECK(l, e.durable_end_offset >= l->promised_end, "the durable end moved back to %lld",
                  (long long)e.durable_end_offset);
        SIM_CHECK(l, l->failed || e.end_offset == l->end, "it ends at %lld, and was to end at %lld",
                  (long long)e.end_offset, (long long)l->end);
        if (e.start_offset >= e.durable_end_offset)
                return;
        look_at_log(&k, c, e.start_offset, e.durable_end_offset);
        check_promised(&k, e.start_offset);
        free(k.found.list);
        check_times(l, c, e.start_offset, e.durable_end_offset);
        check_offsets(l, c, e.start_offset, e.durable_end_offset);
}

void model_compare(struct sim_log *l, struct chance *c)
{
        disk_hold(true);
        compare(l, c);
        disk_hold(false);
}
