/* Appending one batch: sequence check, offset, write and state in one step under the log's lock. See plog.h. */
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

/* One batch on its way in. */
struct entry {
        const struct plog_append_args *args;
        struct batch_header h;
        struct batch_marker marker;
        bool is_marker; /* the end of a transaction */
        bool is_bumped; /* see struct plog_marker_args */
};

/* Idempotence rules for records. Return: PLOG_OK, or an outcome. */
static int check_records(struct plog *pl, const struct batch_header *h, struct plog_append_result *ret)
{
        const struct producer_batch *known;
        int r = producer_check(producers_find(&pl->producers, h->producer_id), h, &known);

        if (r == PLOG_E_DUPLICATE)
                *ret = (struct plog_append_result){ .base_offset = known->first_offset,
                                                    .last_offset = known->last_offset,
                                                    .append_time_ms = known->timestamp,
                                                    .start_offset = pl->start };
        return r;
}

/* May it be written? Return: PLOG_OK with the producer's state (NULL: the batch has none), or an outcome. */
static int check_producer(struct plog *pl, const struct entry *e, struct plog_append_result *ret,
                          struct producer **ret_producer)
{
        int64_t id = e->h.producer_id;
        int r = PLOG_OK;

        *ret_producer = NULL;
        if (!batch_has_producer(&e->h))
                return PLOG_OK;
        if (e->is_marker && e->args->keep_base_offset < 0)
                r = producer_check_marker(producers_find(&pl->producers, id), &e->h, &e->marker, e->is_bumped);
        else if (!e->is_marker && e->args->check_sequence && e->h.base_sequence >= 0)
                r = check_records(pl, &e->h, ret);
        if (!r && !e->is_marker && e->args->check_txn && batch_is_transactional(&e->h))
                r = producer_check_txn(producers_find(&pl->producers, id), e->h.producer_epoch, e->args->txn_marker);
        if (r)
                return r;
        *ret_producer = producers_get(&pl->producers, id);
        return *ret_producer ? PLOG_OK : -ENOMEM;
}

int append_segment(struct plog *pl, const struct batch_header *h, int64_t now_ms, struct segment **ret)
{
        struct segment *s = plog_active(pl);
        int r;

        if (s && !segment_must_roll(pl, s, h, now_ms)) {
                *ret = s;
                return 0;
        }
        if (s)
                segment_roll(pl);
        /* Named after the log's end, not the batch: bases touch even where a replica's copy has gaps, so that recovery
         * can tell a gap from a loss. */
        r = segment_new(pl, pl->end, &s);
        if (r)
                return r;
        r = segments_push(pl, s);
        if (r) {
                segment_unref(s);
                return r;
        }
        *ret = s;
        return 0;
}

/* A file that has unsynced data stays open until it is synced: the kernel reports a failed write-back only to
 * descriptors that were open then. */
int append_open(struct plog *pl, struct segment *s)
{
        int fd;

        if (s->dirty_fd >= 0)
                return 0;
        fd = pin_file_pin(s->file, s->size ? 0 : O_CREAT);
        if (fd < 0) {
                diag_limited(DIAG_ERROR, "%s: cannot open a segment in %s for writing: %s", pl->name, pl->dir,
                             strerror(-fd));
                return fd;
        }
        if (!s->size)
                pl->dir_dirty = true;
        s->dirty_fd = fd;
        return 0;
}

/* No room is not the end: nothing that was acknowledged is hurt. What was written of the batch is cut back, and when
 * that works the log goes on as soon as there is room again. */
int append_failed(struct plog *pl, struct segment *s, int error)
{
        if (plog_is_no_room(error) && !file_truncate(s->dirty_fd, s->size)) {
                s->reserved_end = s->size;
                s->cut_back = true; /* or a crash brings the bytes back, behind the end of what may be sealed by then */
                diag_about_limited(
                        DIAG_ERROR,
                        DIAG_ABOUT(DISK_FULL, { "LOG", .text = str_of(pl->name) }, { "PATH", .text = str_of(pl->dir) }),
                        "%s: no room on the file system of %s; appends are refused until there is some: "
                        "lower retention, delete topics or enlarge the volume",
                        pl->name, pl->dir);
                return -ENOSPC;
        }
        plog_fail(pl, "write", error);
        flush_want(pl); /* which cuts off what is not flushed, and tells those who wait */
        return PLOG_E_FAILED;
}

void append_note(struct plog *pl, struct segment *s, const struct batch_header *h, int64_t pos)
{
        segment_note(pl, s, h);
        recent_add(&pl->recent, &(struct recent_batch){ .base_offset = h->base_offset,
                                                        .last_offset = batch_last_offset(h),
                                                        .pos = pos,
                                                        .len = batch_size(h) });
        pl->end = batch_last_offset(h) + 1;
        pl->size_bytes += batch_size(h);
        pl->appended_len += batch_size(h);
        atomic_fetch_add_explicit(&pl->store->bytes_appended, (unsigned long)batch_size(h), memory_order_relaxed);
        atomic_fetch_add_explicit(&pl->store->batches_appended, 1, memory_order_relaxed);
}

static int append_locked(struct plog *pl, struct entry *e, struct plog_append_result *ret)
{
        const struct plog_append_args *args = e->args;
        struct batch_header *h = &e->h;
        struct producer *producer;
        struct segment *s;
        int64_t pos;
        int r;

        if (pl->state != PLOG_OPEN)
                return pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : PLOG_E_FAILED;
        if (batch_size(h) > pl->conf.segment_bytes)
                return PLOG_E_SEGMENT_LIMIT;
        if (args->keep_base_offset >= 0 && args->keep_base_offset < pl->end)
                return -EINVAL;
        r = check_producer(pl, e, ret, &producer);
        if (r)
                return r;
        h->base_offset = args->keep_base_offset >= 0 ? args->keep_base_offset : pl->end;
        h->leader_epoch = args->leader_epoch;
        r = epochs_reserve(&pl->epochs);
        if (!r)
                r = append_segment(pl, h, args->now_ms, &s);
        if (!r && e->is_marker)
                r = producers_reserve(&pl->producers);
        if (r)
                return r;
        r = append_open(pl, s);
        if (r)
                return r;
        batch_set_base(args->batch, h->base_offset, h->leader_epoch);
        pos = s->size;
        r = file_pwrite_all(s->dirty_fd, args->batch, args->len, pos);
        if (r)
                return append_failed(pl, s, r);
        if (epochs_assign(&pl->epochs, h->leader_epoch, h->base_offset))
                pl->epochs_dirty = true;
        if (producer)
                producers_note(&pl->producers, producer, h, e->is_marker ? &e->marker : NULL, args->now_ms);
        append_note(pl, s, h, pos);
        flush_note_dirty(pl, h->records_count);
        *ret = (struct plog_append_result){ .base_offset = h->base_offset,
                                            .last_offset = pl->end - 1,
                                            .append_time_ms = h->max_timestamp,
                                            .start_offset = pl->start };
        return PLOG_OK;
}

/* Is the batch a marker? Only we write control batches, or another replica did. */
static int read_control(struct entry *e, bool ours)
{
        int r;

        if (!ours && e->args->keep_base_offset < 0)
                return -EINVAL;
        r = batch_marker_of(span_of(e->args->batch, e->args->len), &e->marker);
        e->is_marker = !r && (e->marker.type == BATCH_MARKER_COMMIT || e->marker.type == BATCH_MARKER_ABORT);
        return r < 0 ? r : 0;
}

/* @marker: what our own control batch is made of; else NULL. */
static int append(struct plog *pl, const struct plog_append_args *args, const struct plog_marker_args *marker,
                  struct plog_append_result *ret)
{
        struct entry e = { .args = args, .is_bumped = marker && marker->bumped };
        int r;

        assert(pl->magic == PLOG_MAGIC);
        r = batch_parse_header(span_of(args->batch, args->len), &e.h);
        if (r || batch_len(&e.h) != args->len || e.h.last_offset_delta < 0)
                return -EINVAL;
        if (batch_is_control(&e.h)) {
                r = read_control(&e, marker);
                if (r)
                        return r;
        }
        pthread_mutex_lock(&pl->lock);
        r = append_locked(pl, &e, ret);
        pthread_mutex_unlock(&pl->lock);
        return r;
}

int plog_append(struct plog *pl, const struct plog_append_args *args, struct plog_append_result *ret)
{
        return append(pl, args, NULL, ret);
}

void plog_txn_look(struct plog *pl, const struct batch_header *h, struct plog_txn_look *ret)
{
        const struct producer_batch *known;
        const struct producer *p;

        pthread_mutex_lock(&pl->lock);
        p = producers_find(&pl->producers, h->producer_id);
        ret->is_settled =
                p && (h->producer_epoch < p->epoch || (h->producer_epoch == p->epoch && p->txn_first_offset >= 0) ||
                      (h->base_sequence >= 0 && producer_check(p, h, &known) == PLOG_E_DUPLICATE));
        ret->marker_offset = p ? p->marker_offset : -1;
        pthread_mutex_unlock(&pl->lock);
}

int plog_producers(struct plog *pl, struct plog_producer **ret_list, size_t *ret_count)
{
        struct plog_producer *list;

        pthread_mutex_lock(&pl->lock);
        list = calloc(pl->producers.count + 1, sizeof *list);
        *ret_count = list ? producers_list(&pl->producers, list) : 0;
        pthread_mutex_unlock(&pl->lock);
        *ret_list = list;
        return list ? 0 : -ENOMEM;
}

int plog_txn_check(struct plog *pl, int64_t producer_id, int16_t epoch, int64_t txn_marker)
{
        int r;

        pthread_mutex_lock(&pl->lock);
        r = producer_check_txn(producers_find(&pl->producers, producer_id), epoch, txn_marker);
        pthread_mutex_unlock(&pl->lock);
        return r;
}

int plog_append_marker(struct plog *pl, const struct plog_marker_args *args, struct plog_append_result *ret)
{
        const struct batch_marker m = { .type = args->commit ? BATCH_MARKER_COMMIT : BATCH_MARKER_ABORT,
                                        .coordinator_epoch = args->coordinator_epoch };
        CLEANUP(strbuf_finip) struct strbuf bytes = { 0 };
        struct batch_build_args a = batch_build_args();
        int r;

        a.producer_id = args->producer_id;
        a.producer_epoch = args->producer_epoch;
        r = batch_marker_build(&a, &m, args->now_ms, &bytes);
        if (r)
                return r;
        return append(pl,
                      &(struct plog_append_args){ .batch = (uint8_t *)bytes.data,
                                                  .len = bytes.len,
                                                  .leader_epoch = args->leader_epoch,
                                                  .now_ms = args->now_ms,
                                                  .max_timestamp = args->now_ms,
                                                  .max_timestamp_offset_delta = 0,
                                                  .keep_base_offset = -1 },
                      args, ret);
}
