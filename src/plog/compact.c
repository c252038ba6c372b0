/* The course of a compaction; see compact.h. What may be compacted is cleanable.c's, what becomes of a batch
 * compact_batch.c's, what transactions have to say compact_txn.c's, how a new segment takes its place swap.c's.
 *
 *   MAPPING --all of the dirty part read, or the map is full--> REWRITING --a group of segments after the other--> DONE
 *
 * Invariants: 1. groups are put in place from the oldest on, so that a key's older records go no later than its newer ones;
 * 2. the last batch of a group stays, without records if need be, so that segments' names touch (holes.c). */
#include "plog/compact.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/cleanable.h"
#include "plog/compact_txn.h"
#include "plog/swap.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "wire/batch_records.h"

enum { READ_LEN = 1 << 20, WRITE_LEN = 1 << 20 };

enum phase { MAPPING, REWRITING, DONE };

/* Batches of one segment after the other, whole, from a buffer that is read ahead. */
struct input {
        uint8_t *buf;
        size_t size, len;
        int64_t buf_pos, pos;
};

struct plog_compaction {
        struct plog *pl;
        enum phase phase;
        struct cleanable todo;
        size_t at; /* being read */
        size_t group_first, group_end;
        int64_t segment_bytes, index_interval_bytes;
        size_t map_bytes_max;
        struct keymap map;
        struct compact_rules rules;
        struct compact_txns txns;
        struct input in;
        struct segment out; /* no more than a place to count: what the new segment will be */
        int out_fd;         /* -1: none */
        bool changed;       /* it differs from what it replaces */
        int64_t written;
        struct strbuf buf; /* not written yet */
        struct plog_compact_result result;
};

/* ---- begin and end ---- */

static int compare_producers(const void *a, const void *b)
{
        const struct compact_producer *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

/* What tells of a producer in the part below @end, which stays: what comes behind it may yet be cut off. All its batches that are
 * remembered: any of them may be sent again by a producer that has not heard, to a leader that knows only what is left. */
static struct compact_producer known_of(const struct producer *p, int64_t end)
{
        struct compact_producer k = { .id = p->id, .epoch = p->epoch, .known = COMPACT_MARKERS };

        for (unsigned i = 0; i < p->batch_count; i++)
                if (p->batches[i].last_offset < end)
                        k.last_offsets[k.count++] = p->batches[i].last_offset;
        if (p->batch_count) {
                k.known = k.count ? COMPACT_BATCHES : COMPACT_UNKNOWN;
        } else if (p->marker_offset >= 0 && p->marker_offset < end) {
                k.known = COMPACT_MARKER;
                k.last_offsets[k.count++] = p->marker_offset;
        }
        return k;
}

/* What is remembered of producers, so that it can be found again from what is left (Kafka does so too). */
static int take_producers(struct plog *pl, int64_t end, struct compact_producer **ret_list, size_t *ret_count)
{
        struct compact_producer *list;
        size_t count = 0;

        pthread_mutex_lock(&pl->lock);
        list = calloc(pl->producers.count + 1, sizeof *list);
        for (uint32_t b = 0; list && b < pl->producers.buckets_count; b++)
                for (const struct producer *p = pl->producers.buckets[b]; p; p = p->next)
                        list[count++] = known_of(p, end);
        pthread_mutex_unlock(&pl->lock);
        if (!list)
                return -ENOMEM;
        qsort(list, count, sizeof *list, compare_producers);
        *ret_list = list;
        *ret_count = count;
        return 0;
}

int plog_compact_begin(struct plog *pl, const struct plog_compact_args *args, struct plog_compaction **ret_compaction)
{
        struct plog_compaction *c = calloc(1, sizeof *c);
        struct compact_producer *producers = NULL;
        int r;

        if (!c)
                return -ENOMEM;
        c->out_fd = -1;
        c->pl = plog_ref(pl);
        c->txns = compact_txns_of(pl);
        r = cleanable_take(pl, args->now_ms, args->below_offset, &c->todo);
        if (!r && c->todo.oldest_ms == INT64_MAX)
                r = PLOG_E_NOT_FOUND;
        if (!r)
                r = keymap_init(&c->map, args->map_bytes_max);
        if (!r)
                r = take_producers(pl, c->todo.segments[c->todo.count - 1]->next_offset, &producers,
                                   &c->rules.producers_count);
        if (r) {
                plog_compact_end(c);
                return r;
        }
        pthread_mutex_lock(&pl->lock);
        c->segment_bytes = pl->conf.segment_bytes;
        c->index_interval_bytes = pl->conf.index_interval_bytes;
        c->rules.delete_retention_ms = pl->conf.delete_retention_ms;
        pthread_mutex_unlock(&pl->lock);
        c->map_bytes_max = args->map_bytes_max;
        c->rules.map = &c->map;
        c->rules.now_ms = args->now_ms;
        c->rules.producers = producers;
        while (c->todo.segments[c->at]->next_offset <= c->todo.dirty_from)
                c->at++;
        *ret_compaction = c;
        return 0;
}

void plog_compact_result(const struct plog_compaction *c, struct plog_compact_result *ret)
{
        *ret = c->result;
        ret->keys = (int64_t)c->map.count;
}

static void out_abandon(struct plog_compaction *c)
{
        static const char *const suffixes[] = { SEGMENT_SUFFIX CLEAN_SUFFIX, INDEX_SUFFIX CLEAN_SUFFIX,
                                                ABORTED_SUFFIX CLEAN_SUFFIX };
        char path[PLOG_PATH_MAX];
        bool failed;

        if (c->out_fd < 0)
                return;
        c->out_fd = file_close(c->out_fd);
        index_fini(&c->out.index);
        aborted_fini(&c->out.aborted);
        pthread_mutex_lock(&c->pl->lock);
        failed = c->pl->state == PLOG_FAILED;
        pthread_mutex_unlock(&c->pl->lock);
        /* The journal may name them: the next start knows. */
        for (size_t i = 0; !failed && i < ARRAY_LEN(suffixes); i++) {
                plog_path(c->pl->dir, c->out.base_offset, suffixes[i], path);
                (void)file_unlink(path); /* removed at the next start otherwise */
        }
}

struct plog_compaction *plog_compact_end(struct plog_compaction *c)
{
        if (!c)
                return NULL;
        out_abandon(c);
        cleanable_fini(&c->todo);
        compact_txns_fini(&c->txns);
        keymap_fini(&c->map);
        strbuf_fini(&c->buf);
        free((void *)(uintptr_t)c->rules.producers);
        free(c->in.buf);
        plog_unref(c->pl);
        free(c);
        return NULL;
}

/* ---- reading ---- */

static int input_fill(struct input *in, int fd, int64_t end, size_t need)
{
        size_t want = MAX2(need, (size_t)READ_LEN);
        ssize_t n;

        if (in->size < want) {
                uint8_t *buf = realloc(in->buf, want);

                if (!buf)
                        return -ENOMEM;
                in->buf = buf;
                in->size = want;
        }
        n = file_pread_aside(fd, in->buf, (size_t)MIN2((int64_t)in->size, end - in->pos), in->pos);
        in->buf_pos = in->pos;
        in->len = n < 0 ? 0 : (size_t)n;
        return n < 0 ? (int)n : (size_t)n < need ? -EUCLEAN : 0;
}

/* At least @need bytes at the position. */
static int input_need(struct input *in, int fd, int64_t end, size_t need, const uint8_t **ret)
{
        if ((int64_t)need > end - in->pos)
                return -EUCLEAN;
        if (in->pos < in->buf_pos || in->pos + (int64_t)need > in->buf_pos + (int64_t)in->len) {
                int r = input_fill(in, fd, end, need);

                if (r)
                        return r;
        }
        *ret = in->buf + (in->pos - in->buf_pos);
        return 0;
}

static int damaged(struct plog_compaction *c, const struct segment *s)
{
        pthread_mutex_lock(&c->pl->lock);
        damage_suspect(c->pl);
        pthread_mutex_unlock(&c->pl->lock);
        diag(DIAG_ERROR,
             "%s: segment %020lld.log is damaged at position %lld: the log is not compacted; check the disk and "
             "restore it "
             "from a replica",
             c->pl->name, (long long)s->base_offset, (long long)c->in.pos);
        return PLOG_E_DAMAGED;
}

/* The next batch of segment @s. Return: 1 with a batch, 0 at the end, PLOG_E_DAMAGED, negative errno. */
static int next_batch(struct plog_compaction *c, const struct segment *s, int fd, struct batch_header *ret_head,
                      struct span *ret_batch)
{
        struct input *in = &c->in;
        const uint8_t *p;
        int r;

        if (in->pos >= s->size)
                return 0;
        r = input_need(in, fd, s->size, BATCH_HEADER_LEN, &p);
        if (!r && !batch_read(p, ret_head))
                r = -EUCLEAN;
        if (!r)
                r = input_need(in, fd, s->size, batch_len(ret_head), &p);
        if (!r && crc32c(0, p + BATCH_ATTRIBUTES_AT, batch_len(ret_head) - BATCH_ATTRIBUTES_AT) != ret_head->crc)
                r = -EUCLEAN;
        if (r)
                return r == -EUCLEAN ? damaged(c, s) : r;
        *ret_batch = span_of(p, batch_len(ret_head));
        return 1;
}

static void input_start(struct plog_compaction *c)
{
        c->in.pos = c->in.buf_pos = 0;
        c->in.len = 0;
}

/* ---- mapping ---- */

static int map_batch(struct plog_compaction *c, const struct batch_header *h, struct span batch)
{
        struct batch_records it;
        struct batch_record rec;
        int r, put = 0;

        if (batch_is_control(h) || compact_txns_is_aborted(&c->txns, h))
                return 0;
        r = batch_records_open(&it, batch, 0);
        if (r)
                return r < 0 ? r : -EUCLEAN;
        while (!put && !(r = batch_records_next(&it, &rec)))
                if (rec.key.data && rec.offset >= c->todo.dirty_from)
                        put = keymap_put(&c->map, rec.key, rec.offset);
        batch_records_close(&it);
        return put ? put : r == BATCH_END ? 0 : r < 0 ? r : -EUCLEAN;
}

static void groups_begin(struct plog_compaction *c, int64_t mapped_to)
{
        c->rules.mapped_to = c->result.cleaned_offset = mapped_to;
        c->phase = REWRITING;
        c->at = c->group_first = c->group_end = 0;
        input_start(c);
}

static int map_step(struct plog_compaction *c, int64_t *left)
{
        struct segment *s = c->todo.segments[c->at];
        struct batch_header h;
        struct span batch;
        int fd, r = compact_txns_load(&c->txns, s);

        if (r)
                return r;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        while (*left > 0 && (r = next_batch(c, s, fd, &h, &batch)) == 1) {
                r = batch_last_offset(&h) < c->todo.dirty_from ? 0 : map_batch(c, &h, batch);
                if (r == KEYMAP_FULL && h.base_offset <= c->todo.dirty_from) {
                        diag(DIAG_ERROR,
                             "%s: the batch at offset %lld alone has more keys than %zu bytes of memory can note: the "
                             "log is "
                             "not compacted; raise storage.compaction_memory_bytes",
                             c->pl->name, (long long)h.base_offset, c->map_bytes_max);
                        r = -ENOBUFS;
                } else if (r == KEYMAP_FULL) {
                        /* What is in the map of this batch already does no harm: it is newer than all that it covers. */
                        groups_begin(c, h.base_offset);
                        break;
                }
                if (r)
                        break;
                c->in.pos += batch_size(&h);
                *left -= batch_size(&h);
                r = 1;
        }
        if (*left <= 0)
                r = 1;
        pin_file_unpin(s->file);
        if (r == -EUCLEAN)
                return damaged(c, s);
        if (r == 0) {
                input_start(c);
                if (++c->at == c->todo.count)
                        groups_begin(c, s->next_offset);
        }
        return r > 1 || r < 0 ? r : 1;
}

/* ---- rewriting ---- */

static int out_flush(struct plog_compaction *c)
{
        int r;

        if (c->buf.failed)
                return -ENOMEM;
        r = file_pwrite_all(c->out_fd, c->buf.data, c->buf.len, c->written);
        if (r)
                return r;
        c->written += (int64_t)c->buf.len;
        c->result.bytes_written += (int64_t)c->buf.len;
        c->buf.len = 0;
        return 0;
}

static int out_begin(struct plog_compaction *c)
{
        struct segment *first = c->todo.segments[c->group_first];
        char path[PLOG_PATH_MAX];

        plog_path(c->pl->dir, first->base_offset, SEGMENT_SUFFIX CLEAN_SUFFIX, path);
        (void)file_unlink(path); /* of an attempt that failed */
        c->out_fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);
        if (c->out_fd < 0)
                return c->out_fd;
        c->out = (struct segment){ .base_offset = first->base_offset,
                                   .next_offset = first->base_offset,
                                   .dirty_fd = -1,
                                   .max_timestamp = -1,
                                   .max_timestamp_offset = -1,
                                   .first_timestamp = -1 };
        c->written = 0;
        c->buf.len = 0;
        c->changed = c->group_end - c->group_first > 1;
        return 0;
}

/* The next segments that fit into one. Return: 1; 0 when there are none left; as segment_count_aborted(). */
static int group_take(struct plog_compaction *c)
{
        int64_t size = 0, base;
        uint64_t aborted = 0;

        c->group_first = c->group_end;
        if (c->group_first == c->todo.count || c->todo.segments[c->group_first]->base_offset >= c->rules.mapped_to)
                return 0;
        base = c->todo.segments[c->group_first]->base_offset;
        for (; c->group_end < c->todo.count; c->group_end++) {
                struct segment *s = c->todo.segments[c->group_end];
                uint32_t count;
                int r = segment_count_aborted(c->pl, s, &count);

                if (r)
                        return r;
                size += s->size;
                aborted += count;
                if (c->group_end > c->group_first &&
                    (size > c->segment_bytes || aborted > ABORTED_MAX || s->next_offset - base > INT32_MAX ||
                     s->base_offset >= c->rules.mapped_to))
                        break;
        }
        c->at = c->group_first;
        input_start(c);
        return 1;
}

static int emit(struct plog_compaction *c, struct span bytes)
{
        struct batch_header h;
        int r = batch_parse_header(bytes, &h);

        assert(!r && batch_len(&h) == bytes.len);
        segment_account(&c->out, c->pl->store->files, c->pl->dir, c->index_interval_bytes, &h,
                        INDEX_SUFFIX CLEAN_SUFFIX);
        return c->buf.len >= WRITE_LEN ? out_flush(c) : 0;
}

/* @last: nothing comes after it in the group. */
static int rewrite_batch(struct plog_compaction *c, const struct batch_header *h, struct span batch, bool last)
{
        enum compact_fate fate;
        size_t at = c->buf.len;
        int r = compact_txns_judge(&c->txns, h, batch, &c->out.aborted, &fate);

        if (r)
                return r;
        r = compact_batch(&c->rules, fate, batch, h, &c->buf);
        c->result.bytes_read += (int64_t)batch.len;
        c->changed |= r != COMPACT_SAME;
        if (r == COMPACT_GONE && last) {
                r = compact_batch_placeholder(h, &c->buf); /* invariant 2 */
                if (!r)
                        r = COMPACT_REWRITTEN;
        }
        if (r == COMPACT_SAME)
                strbuf_add(&c->buf, batch.data, batch.len);
        else if (r == COMPACT_GONE)
                return 0;
        else if (r == COMPACT_DAMAGED)
                return -EUCLEAN;
        if (r < 0 || c->buf.failed)
                return r < 0 ? r : -ENOMEM;
        return emit(c, span_of(c->buf.data + at, c->buf.len - at));
}

/* The aborted transactions that end in the new segment. */
static int out_file_aborted(struct plog_compaction *c)
{
        char path[PLOG_PATH_MAX];
        void *data;
        size_t len;
        int r;

        if (!c->out.aborted.count)
                return 0;
        r = aborted_encode(&c->out.aborted, c->out.base_offset, &data, &len);
        if (r)
                return r;
        plog_path(c->pl->dir, c->out.base_offset, ABORTED_SUFFIX CLEAN_SUFFIX, path);
        r = file_replace(path, span_of(data, len));
        free(data);
        c->out.aborted_where = ABORTED_FILED;
        return r;
}

static int out_seal(struct plog_compaction *c)
{
        struct segment *last = c->todo.segments[c->group_end - 1];
        char path[PLOG_PATH_MAX];
        int r = out_flush(c);

        c->out.next_offset = last->next_offset;
        c->out.created_ms = last->created_ms;
        if (!r)
                r = file_sync(c->out_fd);
        if (!r)
                r = out_file_aborted(c);
        plog_path(c->pl->dir, c->out.base_offset, INDEX_SUFFIX CLEAN_SUFFIX, path);
        if (!r)
                r = index_seal(&c->out.index, c->pl->store->files, path,
                               &(struct index_footer){ .size = c->out.size,
                                                       .next_offset = c->out.next_offset,
                                                       .max_timestamp = c->out.max_timestamp,
                                                       .max_timestamp_offset = c->out.max_timestamp_offset,
                                                       .first_timestamp = c->out.first_timestamp,
                                                       .aborted = c->out.aborted.count > 0 });
        return r;
}

/* The group has been read to its end. */
static int group_finish(struct plog_compaction *c)
{
        struct segment **old = &c->todo.segments[c->group_first];
        size_t count = c->group_end - c->group_first;
        int64_t now_first, now_last;
        int r = 0;

        if (!c->changed) { /* nothing was superseded */
                out_abandon(c);
                return 0;
        }
        r = out_seal(c);
        for (size_t i = 0; !r && i < count; i++)
                r = cleanable_times(c->pl, old[i], &now_first,
                                    &now_last); /* its index must be loaded before it is replaced */
        if (r)
                return r;
        pthread_mutex_lock(&c->pl->work);
        r = swap_in(c->pl, old, count, &c->out);
        pthread_mutex_unlock(&c->pl->work);
        if (r)
                return r;
        index_fini(&c->out.index);
        aborted_fini(&c->out.aborted);
        c->out_fd = file_close(c->out_fd);
        return 0;
}

static int compaction_finish(struct plog_compaction *c)
{
        struct plog *pl = c->pl;
        int r;

        c->phase = DONE;
        pthread_mutex_lock(&pl->work);
        pthread_mutex_lock(&pl->lock);
        r = cleanable_state(pl);
        if (!r)
                pl->cleaned_end = MIN2(MAX2(pl->cleaned_end, c->rules.mapped_to), pl->end);
        pthread_mutex_unlock(&pl->lock);
        if (!r)
                r = checkpoint_make(pl, true);
        pthread_mutex_unlock(&pl->work);
        return r;
}

/* One segment, or a part of it. */
static int rewrite_segment(struct plog_compaction *c, int64_t *left)
{
        struct segment *s = c->todo.segments[c->at];
        struct batch_header h = { 0 };
        struct span batch = SPAN_NULL;
        int fd, r = compact_txns_load(&c->txns, s);

        if (r)
                return r;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        r = 1;
        while (*left > 0 && (r = next_batch(c, s, fd, &h, &batch)) == 1) {
                bool last = c->at + 1 == c->group_end && c->in.pos + batch_size(&h) == s->size;

                r = rewrite_batch(c, &h, batch, last);
                if (r)
                        break;
                c->in.pos += batch_size(&h);
                *left -= batch_size(&h);
                r = 1;
        }
        pin_file_unpin(s->file);
        if (r == -EUCLEAN)
                return damaged(c, s);
        if (r == 0) {
                c->at++;
                input_start(c);
        }
        return r > 1 || r < 0 ? r : 1;
}

static int rewrite_step(struct plog_compaction *c, int64_t *left)
{
        int r;

        if (c->out_fd < 0) {
                r = group_take(c);
                if (r != 1)
                        return r ? r : compaction_finish(c);
                r = out_begin(c);
                if (r)
                        return r;
        }
        r = rewrite_segment(c, left);
        if (r == 1 && c->at == c->group_end) {
                r = group_finish(c);
                if (!r)
                        r = 1;
        }
        return r;
}

int plog_compact_step(struct plog_compaction *c, int64_t len)
{
        int64_t left = len;
        int r = 1;

        assert(c->phase != DONE);
        while (r == 1 && left > 0)
                r = c->phase == MAPPING ? map_step(c, &left) : rewrite_step(c, &left);
        return r;
}
