/* Removing: retention by time and size, DeleteRecords, truncation. Whole segments go from the front, bytes from the end.
 * The checkpoint says so first, durably; then files are renamed, and removed after a delay. plog.work is held. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/diag.h"
#include "sys/file.h"

/* Rename, so that a crash before the removal does not bring it back, and remove when the delay is over. */
static int discard_file(struct plog *pl, int64_t offset, const char *suffix, int64_t delay_ms)
{
        char path[PLOG_PATH_MAX], gone[PLOG_PATH_MAX + sizeof DELETED_SUFFIX];
        int r;

        plog_path(pl->dir, offset, suffix, path);
        snprintf(gone, sizeof gone, "%s%s", path, DELETED_SUFFIX);
        r = file_rename(path, gone);
        if (!r)
                store_remove_later(pl->store, gone, delay_ms);
        return r;
}

/* @keep_snapshot: the log ends where the segment began, so what it says of the producers still holds. */
static int discard_segment(struct plog *pl, struct segment *s, int64_t delay_ms, bool keep_snapshot)
{
        int r = discard_file(pl, s->base_offset, SEGMENT_SUFFIX, delay_ms);
        int r_index = discard_file(pl, s->base_offset, INDEX_SUFFIX, delay_ms);

        if (segment_where_aborted(pl, s) != ABORTED_NONE)
                (void)discard_file(pl, s->base_offset, ABORTED_SUFFIX, delay_ms); /* nothing names it any more */
        if (s->base_offset != pl->checkpoint_snapshot && !keep_snapshot)
                (void)discard_file(pl, s->base_offset, SNAPSHOT_SUFFIX, 0);
        segment_unref(s);
        return r || r_index == -ENOENT ? r : r_index;
}

/* ---- from the front ---- */

/* What has been decided for one segment. */
static int expired_by_time(struct plog *pl, struct segment *s, int64_t now_ms, bool *ret_expired)
{
        int64_t latest_ms;
        int r;

        *ret_expired = false;
        if (!pl->conf.cleanup_delete || pl->conf.retention_ms < 0)
                return 0;
        r = segment_load_index(pl, s);
        if (r == -EUCLEAN)
                return 0; /* damaged: kept for whoever can heal it; size retention and DeleteRecords still remove it */
        if (r)
                return r;
        latest_ms = s->max_timestamp >= 0 ? s->max_timestamp : s->created_ms;
        *ret_expired = now_ms - latest_ms > pl->conf.retention_ms;
        return 0;
}

/* How many segments at the front may go now. The active one counts only when all before it and itself are expired by time,
 * as in Kafka. */
static int count_removable(struct plog *pl, const struct plog_retain_args *args, size_t *ret_count)
{
        int64_t surplus = pl->conf.cleanup_delete && pl->conf.retention_bytes >= 0 && !args->deleted_only
                                  ? pl->size_bytes - pl->conf.retention_bytes
                                  : -1;
        size_t i;

        for (i = 0; i < pl->segments_count && i < PLOG_RETAIN_MAX; i++) {
                struct segment *s = pl->segments[i];
                bool by_time = false, by_size = s->sealed && surplus >= s->size;
                bool by_start = s->sealed && s->next_offset <= pl->start;
                int r;

                if (s->next_offset > args->below_offset || !s->size)
                        break;
                r = by_size || by_start || args->deleted_only ? 0 : expired_by_time(pl, s, args->now_ms, &by_time);
                if (r)
                        return r;
                if (!by_size && !by_start && !by_time)
                        break;
                surplus -= s->size;
        }
        *ret_count = i;
        return 0;
}

/* Take @count segments off the list. The start moves up to what is left. plog.lock held. */
static void detach_front(struct plog *pl, size_t count, struct segment **ret_segments)
{
        memcpy(ret_segments, pl->segments, count * sizeof *ret_segments);
        memmove(pl->segments, pl->segments + count, (pl->segments_count - count) * sizeof *pl->segments);
        pl->segments_count -= count;
        for (size_t i = 0; i < count; i++)
                pl->size_bytes -= ret_segments[i]->size;
        pl->start = MAX2(pl->start, plog_first_base(pl));
        if (epochs_truncate_start(&pl->epochs, pl->start))
                pl->epochs_dirty = true;
        pl->damage_dirty |= damage_trim(&pl->damage, pl->start, INT64_MAX);
}

static int remove_front(struct plog *pl, size_t count)
{
        CLEANUP(freep) struct segment **gone = calloc(count, sizeof *gone);
        int64_t delay_ms;
        int r;

        if (!gone)
                return -ENOMEM;
        r = flush_log(pl); /* what goes must not be waited for by a sync, and the checkpoint needs it */
        if (r)
                return -EIO;
        pthread_mutex_lock(&pl->lock);
        delay_ms = pl->conf.file_delete_delay_ms;
        if (pl->segments[count - 1] == plog_active(pl)) {
                segment_roll(pl);
                if (pl->segments[count - 1]->synced_size < pl->segments[count - 1]->size)
                        count--; /* grew while it was synced: not now */
        }
        detach_front(pl, count, gone);
        pthread_mutex_unlock(&pl->lock);
        if (!count)
                return 0;
        r = checkpoint_make(pl, true);
        for (size_t i = 0; i < count; i++) {
                if (r)
                        segment_unref(gone[i]); /* the files stay until the next start */
                else
                        (void)discard_segment(pl, gone[i], delay_ms, false); /* or at the next start: see the start */
        }
        return r ? (r < 0 ? r : -EIO) : (int)count;
}

int plog_retain(struct plog *pl, const struct plog_retain_args *args)
{
        size_t count = 0;
        int r = 0;

        pthread_mutex_lock(&pl->work);
        if (pl->state == PLOG_OPEN)
                r = count_removable(pl, args, &count);
        if (!r && count)
                r = remove_front(pl, count);
        pthread_mutex_unlock(&pl->work);
        return r;
}

static int delete_records(struct plog *pl, int64_t offset)
{
        int64_t before;
        int r;

        pthread_mutex_lock(&pl->lock);
        before = pl->start;
        r = pl->state == PLOG_CLOSED   ? PLOG_E_CLOSED
            : pl->state == PLOG_FAILED ? PLOG_E_FAILED
            : offset > pl->end         ? PLOG_E_OUT_OF_RANGE
                                       : 0;
        pthread_mutex_unlock(&pl->lock);
        if (r || (offset <= before && pl->checkpoint_start == before))
                return r;
        r = flush_log(pl);
        if (r)
                return r;
        pthread_mutex_lock(&pl->lock);
        pl->start = MAX2(pl->start, offset);
        if (epochs_truncate_start(&pl->epochs, pl->start))
                pl->epochs_dirty = true;
        pl->damage_dirty |= damage_trim(&pl->damage, pl->start, INT64_MAX);
        pthread_mutex_unlock(&pl->lock);
        return checkpoint_make(pl, true);
}

int plog_delete_records(struct plog *pl, int64_t offset, int64_t *ret_start_offset)
{
        int r;

        pthread_mutex_lock(&pl->work);
        r = delete_records(pl, offset);
        if (!r)
                *ret_start_offset = pl->start;
        pthread_mutex_unlock(&pl->work);
        return r;
}

/* ---- from the end ---- */

/* Where the first batch that holds @offset or lies after it begins, and the offset behind the batch before it. */
static int find_cut(struct plog *pl, struct segment *s, int64_t offset, int64_t *ret_pos, int64_t *ret_end,
                    struct index_entry *ret_entry)
{
        struct batch_header h;
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int fd, r;

        r = segment_seek(pl, s, (struct index_key){ INDEX_BY_OFFSET, offset - s->base_offset }, true, ret_entry);
        if (r)
                return r;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        range = segment_range(s, ret_entry, s->size, INT64_MAX);
        segment_skips(pl, s, &skips);
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        *ret_pos = ret_entry->pos;
        *ret_end = s->base_offset + ret_entry->rel_offset;
        while ((r = walk_next(&w, &h, &pos)) > 0 && batch_last_offset(&h) < offset) {
                *ret_pos = w.pos;
                *ret_end = batch_last_offset(&h) + 1;
        }
        pin_file_unpin(s->file);
        return r < 0 ? r : 0;
}

/* Index entries that point behind @pos go; the timestamps are found again from what is left. */
static int shorten(struct plog *pl, struct segment *s, int64_t pos, int64_t end)
{
        struct batch_header h;
        char path[PLOG_PATH_MAX];
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        int64_t at;
        int fd, r;

        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        pthread_mutex_lock(&pl->lock);
        index_fini(&s->index); /* whatever comes of the rest, nobody looks into its file any more */
        s->index_checked = true;
        s->index_filed = false;
        pthread_mutex_unlock(&pl->lock);
        r = file_unlink(path); /* its footer would vouch for what is cut away */
        plog_path(pl->dir, s->base_offset, ABORTED_SUFFIX, path);
        if (!r && segment_where_aborted(pl, s) != ABORTED_NONE)
                r = file_unlink(path);
        if (!r)
                r = file_truncate(fd, pos);
        if (!r)
                r = file_sync(fd);
        if (!r) {
                pthread_mutex_lock(&pl->lock);
                s->summary_known = true;
                s->sealed = false;
                segment_set_aborted(pl, s, ABORTED_NONE); /* they are found again with the producers */
                s->size = 0;
                s->next_offset = s->base_offset;
                s->max_timestamp = s->max_timestamp_offset = s->first_timestamp = -1;
                s->since_entry_len = 0;
                range = segment_whole(s, pos);
                damage_skips(&pl->damage, s->base_offset, &skips);
                range.skips = &skips;
                walk_init(&w, fd, &range, false);
                while ((r = walk_next(&w, &h, &at)) > 0) {
                        s->size = at; /* behind what was left out */
                        segment_note(pl, s, &h);
                }
                s->size = s->synced_size = pos;
                s->next_offset = end;
                s->reserved_end = pos;
                pthread_mutex_unlock(&pl->lock);
        }
        pin_file_unpin(s->file);
        return r;
}

/* Segments from @first on go, from the last to the first, so that a crash in between leaves a prefix. One that stays on
 * disk would lie within what is appended next. */
static int drop_from(struct plog *pl, size_t first)
{
        int r = 0;

        while (!r && pl->segments_count > first) {
                struct segment *s;

                pthread_mutex_lock(&pl->lock);
                s = pl->segments[--pl->segments_count];
                pthread_mutex_unlock(&pl->lock);
                r = discard_segment(pl, s, 0, s->base_offset == pl->end);
        }
        return r;
}

static int truncate_to(struct plog *pl, int64_t offset)
{
        struct producers producers = { 0 }, old;
        struct checkpoint c;
        struct index_entry e;
        int64_t pos = 0, end = offset;
        ptrdiff_t i = segments_find(pl, offset - 1);
        size_t keep = (size_t)(i + 1);
        bool whole = false;
        int r = 0;

        if (i >= 0) {
                r = find_cut(pl, pl->segments[i], offset, &pos, &end, &e);
                if (!r && !pos) { /* all of it goes, and the one before stays whole */
                        end = pl->segments[i]->base_offset;
                        keep--;
                        whole = true;
                        pos = keep ? pl->segments[keep - 1]->size : 0;
                }
        }
        if (r)
                return r;
        pthread_mutex_lock(&pl->lock);
        pl->cuts++;
        pl->end = MIN2(end, offset);
        pl->durable_end = MIN2(pl->durable_end, pl->end);
        pl->start = MIN2(pl->start, pl->end);
        recent_reset(&pl->recent);
        if (epochs_truncate_end(&pl->epochs, pl->end))
                pl->epochs_dirty = true;
        pl->damage_dirty |= damage_trim(&pl->damage, pl->start, pl->end);
        pl->cleaned_end = MIN2(pl->cleaned_end, pl->end);
        c = (struct checkpoint){ .start_offset = pl->start,
                                 .end_offset = pl->durable_end,
                                 .segment_base = -1,
                                 .max_timestamp = -1, /* not known: recovery finds them */
                                 .max_timestamp_offset = -1,
                                 .first_timestamp = -1,
                                 .snapshot_offset = 0,
                                 .cleaned_end = pl->cleaned_end };
        damage_missing(&pl->damage, &c.damaged_from, &c.damaged_to);
        if (keep && pl->durable_end == pl->end)
                c.segment_base = pl->segments[keep - 1]->base_offset;
        c.segment_pos = c.segment_base >= 0 ? pos : 0;
        holes_count_segments(pl, &c);
        c.aborted_segments = aborted_count_segments(pl, &c);
        pthread_mutex_unlock(&pl->lock);
        r = damage_save(pl);
        if (!r)
                r = checkpoint_write(pl, &c, true);
        if (r)
                return r;
        r = drop_from(pl, keep);
        if (!r && keep && !whole)
                r = shorten(pl, pl->segments[keep - 1], pos, pl->end);
        if (!r)
                r = file_sync_dir(pl->dir);
        pthread_mutex_lock(&pl->lock);
        pl->size_bytes = 0;
        for (size_t k = 0; k < pl->segments_count; k++)
                pl->size_bytes += pl->segments[k]->size;
        pthread_mutex_unlock(&pl->lock);
        if (!r)
                r = producers_recover(pl,
                                      &(struct producers_want){
                                              .offset = pl->end,
                                              .aborted_from = plog_active(pl) ? plog_active(pl)->base_offset : pl->end,
                                              .known_empty = -1,
                                              .cut = true },
                                      &producers);
        pthread_mutex_lock(&pl->lock);
        old = pl->producers;
        pl->producers = producers;
        pthread_mutex_unlock(&pl->lock);
        producers_fini(&old);
        if (!r)
                (void)checkpoint_make(pl, false); /* the cut is durable; without it the next start reads more */
        return r;
}

static void fail(struct plog *pl, int error)
{
        pthread_mutex_lock(&pl->lock);
        plog_fail(pl, "truncation", error);
        pthread_mutex_unlock(&pl->lock);
}

static int changeable(struct plog *pl)
{
        int r;

        pthread_mutex_lock(&pl->lock);
        r = pl->state == PLOG_OPEN ? 0 : pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : PLOG_E_FAILED;
        pthread_mutex_unlock(&pl->lock);
        return r;
}

int plog_truncate(struct plog *pl, int64_t offset)
{
        int r;

        pthread_mutex_lock(&pl->work);
        r = changeable(pl);
        if (!r && offset < pl->end)
                r = flush_log(pl);
        if (!r && offset < pl->end) {
                r = truncate_to(pl, MAX2(offset, (int64_t)0));
                if (r < 0)
                        fail(pl, r);
        }
        pthread_mutex_unlock(&pl->work);
        return r;
}

/* First it is empty, then it begins elsewhere: a crash in between leaves an empty log, which is started anew as well. */
static int restart_at(struct plog *pl, int64_t offset)
{
        int r = pl->end ? truncate_to(pl, 0) : 0;

        if (r)
                return r;
        pthread_mutex_lock(&pl->lock);
        pl->start = pl->durable_end = pl->end = pl->cleaned_end = offset;
        pthread_mutex_unlock(&pl->lock);
        return checkpoint_make(pl, true);
}

int plog_restart(struct plog *pl, int64_t offset)
{
        int r;

        pthread_mutex_lock(&pl->work);
        r = changeable(pl);
        if (!r)
                r = flush_log(pl);
        if (!r) {
                r = restart_at(pl, offset);
                if (r < 0)
                        fail(pl, r);
        }
        pthread_mutex_unlock(&pl->work);
        return r;
}
