/* Appending a replica's copy: many batches at once, as the leader's log has them. See plog.h.
 *
 * Batches are gathered while they go into the same segment and nothing about them has to be settled first (an epoch
 * that is new, a marker that ends a transaction), written with one call, and then noted one by one. */
#include <errno.h>

#include "plog/internal.h"
#include "sys/file.h"

enum { GATHER_MAX = 64 }; /* batches to a write: few enough to be noted while the log's lock is held */

struct gathered {
        struct batch_header h;
        struct batch_marker marker;
        struct producer *producer; /* NULL: the batch has none */
        bool is_marker;
};

struct run {
        struct plog *pl;
        const struct plog_run_args *args;
        struct plog_run_result *ret;
        struct segment *segment; /* where the gathered batches go */
        struct gathered batches[GATHER_MAX];
        unsigned count;
        size_t pos, len; /* of the gathered bytes, in what was given */
        int64_t records;
        int64_t next_offset; /* behind the last one gathered */
};

/* The next batch, if it may follow. Return: 0 or -EINVAL. */
static int look(const struct run *run, size_t at, struct gathered *ret)
{
        struct span left = span_of(run->args->batches.data + at, run->args->batches.len - at);
        int32_t epoch = run->count ? run->batches[run->count - 1].h.leader_epoch : epochs_latest(&run->pl->epochs);
        struct batch_header *h = &ret->h;
        int r;

        *ret = (struct gathered){ 0 };
        if (batch_parse_header(left, h) || batch_len(h) > left.len || h->last_offset_delta < 0 || h->leader_epoch < 0 ||
            h->base_offset < run->next_offset || h->base_offset > PLOG_OFFSET_MAX - h->last_offset_delta ||
            h->leader_epoch < epoch)
                return -EINVAL;
        if (!batch_is_control(h))
                return 0;
        r = batch_marker_of(span_of(left.data, batch_len(h)), &ret->marker);
        ret->is_marker = !r && (ret->marker.type == BATCH_MARKER_COMMIT || ret->marker.type == BATCH_MARKER_ABORT);
        return r < 0 ? r : 0;
}

/* Does it go behind what is gathered? Else that is written first. */
static bool fits_behind(const struct run *run, const struct gathered *g)
{
        const struct plog *pl = run->pl;
        const struct segment *s = run->segment;

        return run->count < GATHER_MAX && !run->batches[run->count - 1].is_marker &&
               g->h.leader_epoch == run->batches[run->count - 1].h.leader_epoch &&
               !segment_must_roll(pl, s, &g->h, run->args->now_ms) &&
               s->size + (int64_t)run->len + batch_size(&g->h) <= pl->conf.segment_bytes &&
               batch_last_offset(&g->h) - s->base_offset <= INT32_MAX;
}

/* Everything that may fail, before anything is written. */
static int prepare(struct run *run, struct gathered *g)
{
        struct plog *pl = run->pl;
        int r = 0;

        if (!run->count) {
                r = epochs_reserve(&pl->epochs);
                if (!r)
                        r = append_segment(pl, &g->h, run->args->now_ms, &run->segment);
                if (!r)
                        r = append_open(pl, run->segment);
        }
        if (!r && g->is_marker)
                r = producers_reserve(&pl->producers);
        if (!r && batch_has_producer(&g->h)) {
                g->producer = producers_get(&pl->producers, g->h.producer_id);
                r = g->producer ? 0 : -ENOMEM;
        }
        return r;
}

static int write_gathered(struct run *run)
{
        struct plog *pl = run->pl;
        struct segment *s = run->segment;
        int64_t pos = s ? s->size : 0;
        int r;

        if (!run->count)
                return 0;
        assert(s);
        r = file_pwrite_all(s->dirty_fd, run->args->batches.data + run->pos, run->len, pos);
        if (r)
                return append_failed(pl, s, r);
        for (unsigned i = 0; i < run->count; i++) {
                struct gathered *g = &run->batches[i];

                if (epochs_assign(&pl->epochs, g->h.leader_epoch, g->h.base_offset))
                        pl->epochs_dirty = true;
                if (g->producer)
                        producers_note(&pl->producers, g->producer, &g->h, g->is_marker ? &g->marker : NULL,
                                       run->args->now_ms);
                append_note(pl, s, &g->h, pos);
                pos += batch_size(&g->h);
        }
        flush_note_dirty(pl, run->records);
        run->pos += run->len;
        run->len = 0;
        run->records = 0;
        run->count = 0;
        *run->ret = (struct plog_run_result){ .end_offset = pl->end, .len = run->pos };
        return 0;
}

static int run_locked(struct run *run)
{
        struct plog *pl = run->pl;
        struct gathered g;
        int r = 0, failed;

        if (pl->state != PLOG_OPEN)
                return pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : PLOG_E_FAILED;
        while (!r && run->pos + run->len < run->args->batches.len) {
                r = look(run, run->pos + run->len, &g);
                if (!r && run->count && !fits_behind(run, &g))
                        r = write_gathered(run);
                if (!r)
                        r = prepare(run, &g);
                if (r)
                        break;
                run->batches[run->count++] = g;
                run->len += batch_len(&g.h);
                run->records += g.h.records_count;
                run->next_offset = batch_last_offset(&g.h) + 1;
        }
        if (r > 0)
                return r;
        failed = write_gathered(run); /* what was in order goes in, whatever came behind it */
        return failed ? failed : r;
}

int plog_append_run(struct plog *pl, const struct plog_run_args *args, struct plog_run_result *ret)
{
        struct run run = { .pl = pl, .args = args, .ret = ret };
        int r;

        assert(pl->magic == PLOG_MAGIC);
        pthread_mutex_lock(&pl->lock);
        *ret = (struct plog_run_result){ .end_offset = pl->end };
        run.next_offset = pl->end;
        r = run_locked(&run);
        pthread_mutex_unlock(&pl->lock);
        return r;
}
