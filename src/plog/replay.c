/* Walking over batches that are in the log, to know again what they said of producers and transactions: from the newest
 * snapshot that serves. */
#include "base/err.h"
#include "plog/folder.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

static int walk_segment(struct plog *pl, struct segment *s, int64_t from, int64_t to,
                        int (*fn)(void *arg, const struct replay *at), void *arg)
{
        struct index_entry e;
        struct batch_header h;
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int fd, r;

        r = segment_seek(pl, s, (struct index_key){ INDEX_BY_OFFSET, from - s->base_offset }, true, &e);
        if (r)
                return r;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        range = segment_range(s, &e, s->size, INT64_MAX);
        segment_skips(pl, s, &skips);
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        while ((r = walk_next(&w, &h, &pos)) > 0) {
                if (h.base_offset >= to) {
                        r = 0;
                        break;
                }
                if (batch_last_offset(&h) < from)
                        continue;
                r = fn(arg, &(struct replay){ &h, fd, pos });
                if (r)
                        break;
        }
        pin_file_unpin(s->file);
        return r == -EUCLEAN ? 0 : r;
}

/* Appending may make the list longer meanwhile; nothing else changes it. */
static struct segment *segment_at(struct plog *pl, size_t i)
{
        struct segment *s;

        pthread_mutex_lock(&pl->lock);
        s = i < pl->segments_count ? segment_ref(pl->segments[i]) : NULL;
        pthread_mutex_unlock(&pl->lock);
        return s;
}

int plog_replay(struct plog *pl, int64_t from, int64_t to, int (*fn)(void *arg, const struct replay *at), void *arg)
{
        size_t first;

        if (from >= to)
                return 0; /* most starts: nobody needs a walk over the segment that holds @from to find that out */
        pthread_mutex_lock(&pl->lock);
        first = (size_t)MAX2(segments_find(pl, from), (ptrdiff_t)0);
        pthread_mutex_unlock(&pl->lock);
        for (size_t i = first;; i++) {
                CLEANUP(segment_unrefp) struct segment *s = segment_at(pl, i);
                int r;

                if (!s || s->base_offset >= to)
                        return 0;
                r = walk_segment(pl, s, from, to, fn, arg);
                if (r)
                        return r;
        }
}

int producers_replay(void *arg, const struct replay *at)
{
        struct producers *all = arg;
        struct batch_marker marker;
        struct producer *p;
        int r = 0;

        if (!batch_has_producer(at->h))
                return 0;
        if (batch_is_control(at->h)) {
                r = walk_marker(at->fd, at->pos, at->h, &marker);
                if (r <= 0)
                        return r;
                if (producers_reserve(all))
                        return -ENOMEM;
        }
        p = producers_get(all, at->h->producer_id);
        if (!p)
                return -ENOMEM;
        producers_note(all, p, at->h, r ? &marker : NULL, clock_wall_ms());
        return 0;
}

/* ---- producers ---- */

/* Does the snapshot at @offset hold all aborted transactions that are wanted, or come before all of them? */
static bool snapshot_serves(const struct producers *p, int64_t offset, const struct producers_want *want)
{
        return offset <= want->aborted_from || p->aborted_from <= want->aborted_from;
}

int producers_recover(struct plog *pl, const struct producers_want *want, struct producers *ret)
{
        struct offset_list snapshots = { 0 };
        int64_t from;
        int r;

        pthread_mutex_lock(&pl->lock);
        from = MAX2(want->known_empty, MIN2(plog_first_base(pl), want->offset));
        pthread_mutex_unlock(&pl->lock);
        r = folder_snapshots(pl, &snapshots);
        for (size_t i = snapshots.count; !r && i-- > 0;) {
                char path[PLOG_PATH_MAX];

                plog_path(pl->dir, snapshots.at[i], SNAPSHOT_SUFFIX, path);
                if (snapshots.at[i] > want->offset) {
                        if (want->cut)
                                (void)file_unlink(path);
                        continue;
                }
                if (snapshots.at[i] < from)
                        break;
                r = producers_load(ret, path, snapshots.at[i]);
                if (!r && snapshot_serves(ret, snapshots.at[i], want)) {
                        from = snapshots.at[i];
                        break;
                }
                producers_fini(ret);
                if (r == -EUCLEAN || r == -ENOENT)
                        r = 0; /* an older one and more batches do as well */
        }
        offset_list_fini(&snapshots);
        if (!r)
                r = plog_replay(pl, from, want->offset, producers_replay, ret);
        aborted_drop_below(&ret->aborted, want->aborted_from);
        ret->aborted_from = want->aborted_from;
        return r;
}
