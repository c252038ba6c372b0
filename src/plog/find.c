/* Offsets by time, exact to the record. Blocks: whole batches are read. See plog.h.
 * What is known to be damaged is passed over: the answer is the first record that can be read. */
#include "base/err.h"
#include "plog/internal.h"
#include "sys/file.h"
#include "wire/batch_records.h"

/* What a search runs over: the segments as they were, held by reference. */
struct view {
        struct plog *pl;
        struct segment **segments;
        int64_t *sizes;
        size_t count;
        int64_t start, below;
};

static void view_fini(struct view *v)
{
        for (size_t i = 0; i < v->count; i++)
                segment_unref(v->segments[i]);
        free(v->segments);
        free(v->sizes);
}

static int view_init(struct view *v, struct plog *pl, int64_t below_offset)
{
        int r = 0;

        *v = (struct view){ .pl = pl };
        pthread_mutex_lock(&pl->lock);
        if (pl->state == PLOG_CLOSED)
                r = PLOG_E_CLOSED;
        v->start = pl->start;
        v->below = MIN2(below_offset, pl->state == PLOG_FAILED ? pl->durable_end : pl->end);
        v->segments = calloc(pl->segments_count + 1, sizeof(struct segment *));
        v->sizes = calloc(pl->segments_count + 1, sizeof *v->sizes);
        if (!r && (!v->segments || !v->sizes))
                r = -ENOMEM;
        for (size_t i = 0; !r && i < pl->segments_count && pl->segments[i]->base_offset < v->below; i++) {
                if (pl->segments[i]->next_offset <= v->start || !pl->segments[i]->size)
                        continue;
                v->segments[v->count] = segment_ref(pl->segments[i]);
                v->sizes[v->count++] = pl->segments[i]->size;
        }
        pthread_mutex_unlock(&pl->lock);
        if (r)
                view_fini(v);
        return r;
}

/* Largest timestamp of a segment (INT64_MAX when its index cannot be had: it must be walked). */
static int segment_max(struct view *v, struct segment *s, int64_t *ret_max)
{
        int r = segment_load_index(v->pl, s);

        if (r && r != -EUCLEAN)
                return r;
        pthread_mutex_lock(&v->pl->lock);
        *ret_max = s->summary_known ? s->max_timestamp : INT64_MAX;
        pthread_mutex_unlock(&v->pl->lock);
        return 0;
}

static int read_batch(int fd, int64_t pos, int64_t len, uint8_t **ret_batch)
{
        uint8_t *buf = malloc((size_t)len);
        ssize_t n;

        if (!buf)
                return -ENOMEM;
        n = file_pread(fd, buf, (size_t)len, pos);
        if (n != len) {
                free(buf);
                return n < 0 ? (int)n : -EUCLEAN;
        }
        *ret_batch = buf;
        return 0;
}

static void fill(struct plog *pl, const struct batch_found *f, struct plog_position *ret)
{
        *ret = (struct plog_position){ .offset = f->offset,
                                       .timestamp_ms = f->timestamp,
                                       .leader_epoch = plog_epoch_at(pl, f->offset) };
}

/* Outcome of a search in a batch that lies on disk. */
static int fold_batch(int r)
{
        return r > 0 && r != BATCH_END ? PLOG_E_DAMAGED : r;
}

/* The first record in the segment that is new enough. Return: 0 found; PLOG_E_NOT_FOUND; as plog_find_time(). */
static int find_in_segment(struct view *v, struct segment *s, int64_t size, int64_t timestamp_ms,
                           struct plog_position *ret)
{
        struct index_entry e;
        struct batch_header h;
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int fd, r;

        r = segment_seek(v->pl, s, (struct index_key){ INDEX_BY_TIME, timestamp_ms }, true, &e);
        if (r)
                return r;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        range = segment_range(s, &e, size, INT64_MAX);
        segment_skips(v->pl, s, &skips);
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        /* Not a step beyond the bound: behind the durable end of a FAILED log there may be anything. */
        while (w.next_offset < v->below && (r = walk_next(&w, &h, &pos)) > 0 && h.base_offset < v->below) {
                CLEANUP(freep) uint8_t *batch = NULL;
                struct batch_found f;

                if (h.max_timestamp < timestamp_ms || batch_last_offset(&h) < v->start)
                        continue;
                r = read_batch(fd, pos, batch_size(&h), &batch);
                if (!r)
                        r = fold_batch(batch_find_timestamp(span_of(batch, batch_len(&h)), timestamp_ms, v->start, &f));
                if (!r && f.offset < v->below)
                        fill(v->pl, &f, ret);
                else if (!r || r == BATCH_END)
                        continue; /* only records before the start, or not yet visible */
                pin_file_unpin(s->file);
                return r;
        }
        pin_file_unpin(s->file);
        return r < 0 ? r : PLOG_E_NOT_FOUND;
}

static int find_time(struct view *v, int64_t timestamp_ms, struct plog_position *ret)
{
        for (size_t i = 0; i < v->count; i++) {
                int64_t max;
                int r = segment_max(v, v->segments[i], &max);

                if (r)
                        return r;
                if (max < timestamp_ms)
                        continue;
                r = find_in_segment(v, v->segments[i], v->sizes[i], timestamp_ms, ret);
                if (r != PLOG_E_NOT_FOUND)
                        return r;
        }
        return PLOG_E_NOT_FOUND;
}

int plog_find_time(struct plog *pl, int64_t timestamp_ms, int64_t below_offset, struct plog_position *ret)
{
        struct view v;
        int r;

        r = view_init(&v, pl, below_offset);
        if (r)
                return r;
        r = find_time(&v, timestamp_ms, ret);
        view_fini(&v);
        return r == -EUCLEAN ? PLOG_E_DAMAGED : r;
}

/* The largest timestamp of a batch that lies at @pos, of its records from the start on; -1 none. Records before the start count
 * no more, though they are in the same batch as others that do. */
static int max_in_batch(struct view *v, int fd, int64_t pos, const struct batch_header *h, int64_t *ret_max)
{
        CLEANUP(freep) uint8_t *batch = NULL;
        struct batch_found f;
        int r;

        *ret_max = h->max_timestamp;
        if (h->base_offset >= v->start)
                return 0;
        r = read_batch(fd, pos, batch_size(h), &batch);
        if (!r)
                r = fold_batch(batch_find_max_timestamp(span_of(batch, batch_len(h)), v->start, &f));
        *ret_max = r ? -1 : f.timestamp;
        return r == BATCH_END ? 0 : r;
}

/* The largest timestamp of the batches of one segment that lie whole between start and bound; -1 none. A segment that is
 * inside is answered by its summary, others are walked. */
static int max_in_segment(struct view *v, size_t i, int64_t *ret_max)
{
        struct segment *s = v->segments[i];
        struct batch_header h;
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int fd, r;
        bool inside;

        r = segment_max(v, s, ret_max);
        if (r)
                return r;
        pthread_mutex_lock(&v->pl->lock);
        inside = s->base_offset >= v->start && s->next_offset <= v->below;
        pthread_mutex_unlock(&v->pl->lock);
        if (inside && *ret_max != INT64_MAX)
                return 0;
        *ret_max = -1;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        range = segment_whole(s, v->sizes[i]);
        segment_skips(v->pl, s, &skips);
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        while (w.next_offset < v->below && (r = walk_next(&w, &h, &pos)) > 0 && batch_last_offset(&h) < v->below)
                if (batch_last_offset(&h) >= v->start) {
                        int64_t max;

                        r = max_in_batch(v, fd, pos, &h, &max);
                        if (r)
                                break;
                        *ret_max = MAX2(*ret_max, max);
                }
        pin_file_unpin(s->file);
        return r < 0 || r == PLOG_E_DAMAGED ? r : 0;
}

int plog_find_max_time(struct plog *pl, int64_t below_offset, struct plog_position *ret)
{
        int64_t max = -1;
        struct view v;
        int r;

        r = view_init(&v, pl, below_offset);
        if (r)
                return r;
        for (size_t i = 0; !r && i < v.count; i++) {
                int64_t m;

                r = max_in_segment(&v, i, &m);
                if (!r)
                        max = MAX2(max, m);
        }
        if (!r)
                r = max < 0 ? PLOG_E_NOT_FOUND : find_time(&v, max, ret);
        view_fini(&v);
        return r == -EUCLEAN ? PLOG_E_DAMAGED : r;
}
