/* What the tests of compaction share: a list in memory of all that was appended, with transactions, and what of it must be left
 * in a log that was compacted. */
#pragma once

#include "plog-fixture.h"
#include "plog/compact.h"

enum { KEY_SIZE = 24, RECORDS_MAX = 6000, WRITERS = 3 };

/* What was appended, by offset. */
struct model {
        struct {
                int key, value; /* value -1: a tombstone */
                int producer;   /* whose transaction it belongs to; 0 none */
                int64_t marker; /* offset of that transaction's marker; -1 it is open */
                enum { RECORD, COMMIT, ABORT } kind;
                bool aborted;
        } at[RECORDS_MAX];
        int64_t end;
};

/* A producer with transactions. */
struct writer {
        int id;
        int32_t sequence;
        int64_t txn_first; /* -1 none is open */
};

static struct model model;

static inline void key_format(int key, char text[KEY_SIZE])
{
        snprintf(text, KEY_SIZE, "key-%d", key);
}

struct put {
        int key, value;
};

/* Append one batch; @producer_id 0: none. */
static inline void append_batch(struct plog *pl, const struct put *puts, int count, int codec, int64_t producer_id,
                                int32_t sequence, bool transactional)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        struct plog_append_result res;

        a.codec = codec;
        if (producer_id) {
                a.producer_id = producer_id;
                a.producer_epoch = 0;
                a.base_sequence = sequence;
                a.transactional = transactional;
        }
        batch_builder_init(&b, &a);
        for (int i = 0; i < count; i++) {
                char key[KEY_SIZE], value[200];

                key_format(puts[i].key, key);
                memset(value, 'v', sizeof value);
                snprintf(value, sizeof value, "value-%d", puts[i].value);
                CU_ASSERT_EQUAL_FATAL(
                        batch_builder_add(&b,
                                          &(struct batch_record){ .offset = i,
                                                                  .timestamp = NOW_MS + model.end + i,
                                                                  .key = span_of(key, strlen(key)),
                                                                  .value = puts[i].value < 0
                                                                                   ? SPAN_NULL
                                                                                   : span_of(value, sizeof value) }),
                        0);
                memset(&model.at[model.end + i], 0, sizeof model.at[0]);
                model.at[model.end + i].key = puts[i].key;
                model.at[model.end + i].value = puts[i].value;
                model.at[model.end + i].producer = transactional ? (int)producer_id : 0;
                model.at[model.end + i].marker = -1;
        }
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        CU_ASSERT_EQUAL_FATAL(plog_append(pl,
                                          &(struct plog_append_args){ .batch = (uint8_t *)out.data,
                                                                      .len = out.len,
                                                                      .now_ms = NOW_MS,
                                                                      .keep_base_offset = -1,
                                                                      .check_sequence = producer_id != 0 },
                                          &res),
                              0);
        CU_ASSERT_EQUAL_FATAL(res.base_offset, model.end);
        model.end += count;
        strbuf_fini(&out);
}

static inline void append_puts(struct plog *pl, const struct put *puts, int count, int codec, int64_t producer_id,
                               int32_t sequence)
{
        append_batch(pl, puts, count, codec, producer_id, sequence, false);
}

static inline void append_txn(struct plog *pl, struct writer *w, const struct put *puts, int count, int codec)
{
        if (w->txn_first < 0)
                w->txn_first = model.end;
        append_batch(pl, puts, count, codec, w->id, w->sequence, true);
        w->sequence += count;
}

/* End the writer's transaction; it may have none. */
static inline int64_t append_end(struct plog *pl, struct writer *w, bool commit)
{
        struct plog_append_result res = { .base_offset = -1 };

        CU_ASSERT_EQUAL_FATAL(plog_append_marker(pl,
                                                 &(struct plog_marker_args){ .producer_id = w->id,
                                                                             .commit = commit,
                                                                             .now_ms = NOW_MS + model.end },
                                                 &res),
                              0);
        CU_ASSERT_EQUAL_FATAL(res.base_offset, model.end);
        for (int64_t i = w->txn_first; i >= 0 && i < model.end; i++)
                if (model.at[i].producer == w->id && model.at[i].kind == RECORD) {
                        model.at[i].marker = model.end;
                        model.at[i].aborted = !commit;
                }
        memset(&model.at[model.end], 0, sizeof model.at[0]);
        model.at[model.end].kind = commit ? COMMIT : ABORT;
        model.at[model.end].producer = w->id;
        w->txn_first = -1;
        return model.end++;
}

static inline void put_one(struct plog *pl, int key, int value)
{
        append_puts(pl, &(struct put){ key, value }, 1, 0, 0, 0);
}

/* ---- what is there ---- */

struct found {
        bool there[RECORDS_MAX];
        bool needed[RECORDS_MAX]; /* the marker of a batch that is there */
        int count, batches, empty_batches;
};

static inline void find_marker(struct found *f, struct span b, const struct batch_header *h)
{
        struct batch_marker m = { .type = -1 };

        CU_ASSERT_EQUAL_FATAL(batch_marker_of(b, &m), 0);
        CU_ASSERT_EQUAL_FATAL(model.at[h->base_offset].kind, m.type == BATCH_MARKER_COMMIT ? COMMIT : ABORT);
        CU_ASSERT_EQUAL_FATAL(model.at[h->base_offset].producer, h->producer_id);
        CU_ASSERT_EQUAL_FATAL(h->last_offset_delta, 0);
        f->there[h->base_offset] = true;
}

static inline void find_batch(struct found *f, struct span b, const struct batch_header *h)
{
        struct batch_records it;
        struct batch_record rec;
        int r, records = 0;

        if (batch_is_control(h)) {
                find_marker(f, b, h);
                return;
        }
        CU_ASSERT_EQUAL_FATAL(batch_is_transactional(h) ? h->producer_id : 0,
                              batch_is_transactional(h) || h->records_count ? model.at[h->base_offset].producer : 0);
        if (batch_is_transactional(h) && model.at[h->base_offset].marker >= 0)
                f->needed[model.at[h->base_offset].marker] = true;

        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, b, 0), 0);
        while (!(r = batch_records_next(&it, &rec))) {
                char key[KEY_SIZE], value[32];

                records++;
                CU_ASSERT_FATAL(rec.offset >= 0 && rec.offset < model.end);
                CU_ASSERT_FALSE_FATAL(f->there[rec.offset]);
                f->there[rec.offset] = true;
                f->count++;
                key_format(model.at[rec.offset].key, key);
                CU_ASSERT_FATAL(span_equal(rec.key, span_of(key, strlen(key))));
                CU_ASSERT_EQUAL_FATAL(!rec.value.data, model.at[rec.offset].value < 0);
                CU_ASSERT_EQUAL_FATAL(rec.timestamp, NOW_MS + rec.offset);
                snprintf(value, sizeof value, "value-%d", model.at[rec.offset].value);
                if (rec.value.data)
                        CU_ASSERT_STRING_EQUAL_FATAL((const char *)rec.value.data, value);
        }
        CU_ASSERT_EQUAL_FATAL(r, BATCH_END);
        f->batches++;
        f->empty_batches += !records;
        batch_records_close(&it);
}

/* Read everything; every record is compared with what was appended at its offset. */
static inline struct found *find_all(struct plog *pl)
{
        static struct found f;
        int64_t at = ends_of(pl).start_offset;

        memset(&f, 0, sizeof f);
        for (;;) {
                struct plog_slice s;
                struct batch_header h;
                struct batch_iter it;
                struct span b;
                uint8_t *buf;

                CU_ASSERT_EQUAL_FATAL(plog_read(pl,
                                                &(struct plog_read_args){ .from_offset = at,
                                                                          .below_offset = INT64_MAX,
                                                                          .len_max = 5000,
                                                                          .at_least_one = true },
                                                true, &s),
                                      0);
                if (!s.len)
                        return &f;
                buf = malloc(s.len);
                CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&s, buf), 0);
                it = batch_iter_of(span_of(buf, s.len));
                while (batch_iter_next(&it, &b, &h) == 0) {
                        CU_ASSERT_EQUAL_FATAL(batch_check_crc(b, &h), 0);
                        CU_ASSERT_FATAL(batch_last_offset(&h) >= at);
                        at = batch_last_offset(&h) + 1;
                        find_batch(&f, b, &h);
                }
                /* A segment may end with offsets that have no batch any more; the next read begins in that gap. */
                CU_ASSERT_FATAL(s.next_offset >= at);
                free(buf);
                plog_slice_release(&s);
        }
}

/* Of a transaction that is open nobody knows yet. */
static inline bool is_decided(int64_t i)
{
        return !model.at[i].producer || model.at[i].marker >= 0;
}

/* Of each key the newest is there (a tombstone only when @tombstones), and below @cleaned nothing that is superseded or
 * aborted there. What a marker says is there as long as anything that it says it of. */
static inline void check_compacted(const struct found *f, int64_t cleaned, bool tombstones)
{
        for (int64_t i = 0; i < model.end; i++) {
                bool newest = true, newest_below = true;

                if (f->needed[i])
                        CU_ASSERT_FATAL(f->there[i]);
                if (model.at[i].kind != RECORD)
                        continue;
                if (i < cleaned && model.at[i].aborted)
                        CU_ASSERT_FALSE_FATAL(f->there[i]);
                if (model.at[i].aborted)
                        continue;
                for (int64_t k = i + 1; k < model.end; k++)
                        if (model.at[k].key == model.at[i].key && model.at[k].kind == RECORD && is_decided(k) &&
                            !model.at[k].aborted) {
                                newest = false;
                                newest_below &= k >= cleaned;
                        }
                if ((newest || !is_decided(i)) && (model.at[i].value >= 0 || tombstones))
                        CU_ASSERT_FATAL(f->there[i]);
                if (i < cleaned && !newest_below)
                        CU_ASSERT_FALSE_FATAL(f->there[i]);
        }
}

/* What a reader of committed records is told: all that was aborted and is there, and nothing that was committed. */
static inline void check_aborted(struct plog *pl, const struct found *f)
{
        struct plog_aborted *list = NULL;
        int64_t stable = plog_stable_offset(pl, model.end), open = model.end;
        size_t count;

        for (int64_t i = model.end; i-- > 0;)
                if (!is_decided(i) && model.at[i].kind == RECORD)
                        open = i;
        CU_ASSERT_EQUAL_FATAL(stable, open);
        CU_ASSERT_EQUAL_FATAL(plog_aborted(pl, 0, stable, true, &list, &count), 0);
        for (int64_t i = 0; i < stable; i++) {
                bool told = false;

                for (size_t k = 0; k < count; k++)
                        told |= list[k].producer_id == model.at[i].producer && list[k].first_offset <= i &&
                                list[k].last_offset > i;
                if (model.at[i].kind == RECORD && f->there[i])
                        CU_ASSERT_EQUAL_FATAL(told, model.at[i].aborted);
        }
        free(list);
}

static inline struct plog_compact_result compact_as(struct plog *pl, const struct plog_compact_args *args,
                                                    int64_t step_len)
{
        struct plog_compact_result res = { 0 };
        struct plog_compaction *c;
        int r = plog_compact_begin(pl, args, &c);

        if (r == PLOG_E_NOT_FOUND)
                return res;
        CU_ASSERT_EQUAL_FATAL(r, 0);
        while ((r = plog_compact_step(c, step_len)) == 1)
                ;
        CU_ASSERT_EQUAL_FATAL(r, 0);
        plog_compact_result(c, &res);
        plog_compact_end(c);
        return res;
}

static inline struct plog_compact_result compact_with(struct plog *pl, size_t memory, int64_t now_ms, int64_t step_len)
{
        struct plog_compact_args args = { .now_ms = now_ms,
                                          .below_offset = ends_of(pl).durable_end_offset,
                                          .map_bytes_max = memory };

        return compact_as(pl, &args, step_len);
}

static inline struct plog_compact_result compact(struct plog *pl)
{
        return compact_with(pl, 1 << 20, NOW_MS, 1 << 20);
}

static inline struct plog *compact_open(struct fixture *f)
{
        model.end = 0;
        fixture_init(f);
        f->conf.cleanup_delete = false;
        f->conf.cleanup_compact = true;
        f->conf.segment_bytes = 1500; /* five batches or so */
        f->conf.delete_retention_ms = 1000;
        return fixture_open(f, "t-0");
}

static inline void remove_files(const struct fixture *f, const char *suffix)
{
        char command[600];

        snprintf(command, sizeof command, "rm -f %s/t-0/*.%s", f->dir, suffix);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

/* No list of aborted transactions is left behind without its segment. */
static inline void check_files(const struct fixture *f)
{
        char command[700];

        snprintf(command, sizeof command,
                 "for f in %s/t-0/*.txn; do test ! -e $f || test -e ${f%%.txn}.log || exit 1; done", f->dir);
        CU_ASSERT_EQUAL(system(command), 0);
}
