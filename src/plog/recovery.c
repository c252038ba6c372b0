/* Building the state of a log from its folder.
 *
 * What is known to be on stable storage is not read: everything up to the checkpoint, and sealed segments whose index
 * has its footer (it is written after the data was synced). All behind is scanned, each CRC checked, and cut at the first
 * batch that is not whole and right: a torn tail, garbage, zero-filled pages. What is missing below the checkpoint is
 * damage, not a tail: it is never cut, but marked, and reads there are refused.
 * Invariant: a segment's base is the end of the one before it, so a file that lost its end cannot hide. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/folder.h"
#include "plog/internal.h"
#include "plog/swap.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

struct recovery {
        struct plog *pl;
        struct checkpoint c;
        bool have_checkpoint;
        bool was_never_synced; /* the power went before all of its names were on stable storage: nothing was promised */
        bool unclean;          /* what is read may be in the page cache only: names, too */
        bool settled;          /* the checkpoint is durable */
        bool epochs_found;
        struct epoch_entry last_epoch; /* in the file; -1: none */
        int64_t now_ms;
        struct folder files;
        size_t scan_from; /* subscript of the first segment that is read */
        int64_t scan_pos; /* in it */
        int scan_fd;
        int64_t producers_from; /* their state is known up to here */
        int64_t known_end;      /* durable for certain */
        int64_t scanned_len, cut_len;
        int64_t told_len; /* of what is scanned: the store knows */
        bool changed;
};

enum { TELL_LEN = 1 << 20 }; /* progress is told in steps of so many bytes */

/* ---- the folder ---- */

/* One that stays would lie within what is appended next. */
static int remove_segment_files(struct plog *pl, int64_t base)
{
        static const char *const suffixes[] = { INDEX_SUFFIX, ABORTED_SUFFIX, SEGMENT_SUFFIX };
        char path[PLOG_PATH_MAX];
        int r = 0;

        for (size_t i = 0; !r && i < ARRAY_LEN(suffixes); i++) {
                plog_path(pl->dir, base, suffixes[i], path);
                r = file_unlink(path);
        }
        return r;
}

/* The file number @i ends below the start: the next name says so, or that the checkpoint knew of nothing above. */
static bool lies_below_start(const struct recovery *rc, size_t i)
{
        const struct checkpoint *c = &rc->c;

        /* The one that was active stays until a checkpoint that knows of another is durable: see check_active(). */
        if (!rc->have_checkpoint || rc->files.segments.at[i] == c->segment_base)
                return false;
        if (i + 1 < rc->files.segments.count && rc->files.segments.at[i + 1] <= c->start_offset)
                return true;
        return c->segment_base < 0 && c->start_offset == c->end_offset && rc->files.segments.at[i] < c->start_offset;
}

/* Make the segments that are on disk; those that retention has passed, and empty ones, go. */
static int load_segments(struct recovery *rc)
{
        struct plog *pl = rc->pl;

        for (size_t i = 0; i < rc->files.segments.count; i++) {
                CLEANUP(segment_unrefp) struct segment *s = NULL;
                char path[PLOG_PATH_MAX];
                struct file_info info;
                int r;

                plog_path(pl->dir, rc->files.segments.at[i], SEGMENT_SUFFIX, path);
                r = file_info(path, &info);
                if (r)
                        return r;
                if (lies_below_start(rc, i) && !rc->settled) { /* it must not go before what says so is durable */
                        r = checkpoint_reread(pl->dir);
                        if (r)
                                return r;
                        rc->settled = true;
                }
                if (!info.size || lies_below_start(rc, i)) {
                        r = remove_segment_files(pl, rc->files.segments.at[i]);
                        if (r)
                                return r;
                        continue;
                }
                r = segment_new(pl, rc->files.segments.at[i], &s);
                if (!r)
                        r = segments_push(pl, s);
                if (r)
                        return r;
                s->size = info.size;
                s->synced_size = info.size;
                s->created_ms = info.mtime_ms;
                s->sealed = true;
                s->summary_known = s->index_checked = false;
                s->next_offset =
                        i + 1 < rc->files.segments.count ? rc->files.segments.at[i + 1] : rc->files.segments.at[i];
                TAKE_PTR(s);
        }
        return 0;
}

/* An index must not survive its segment: another one may get the same name and come to the same size, which the footer would
 * then vouch for. */
static int remove_index(struct recovery *rc, int64_t base)
{
        char path[PLOG_PATH_MAX];

        rc->changed = true;
        plog_path(rc->pl->dir, base, INDEX_SUFFIX, path);
        return file_unlink(path);
}

static int remove_orphans(struct recovery *rc)
{
        int r = 0;

        for (size_t i = 0; !r && i < rc->files.indexes.count; i++)
                if (!offset_list_has(&rc->files.segments, rc->files.indexes.at[i]))
                        r = remove_index(rc, rc->files.indexes.at[i]);
        return r;
}

/* The file that was being written when the node stopped uncleanly must be there: how far it reached nobody else knows. To go
 * on without it could give offsets to new records that consumers have seen with others. */
static int check_active(struct recovery *rc)
{
        const struct checkpoint *c = &rc->c;

        if (!rc->have_checkpoint || c->segment_base < 0 || plog_store_was_clean(rc->pl->store) ||
            offset_list_has(&rc->files.segments, c->segment_base))
                return 0;
        diag_about(
                DIAG_ERROR, DIAG_ABOUT(PARTITION_NOT_SERVED, { "LOG", .text = str_of(rc->pl->name) }),
                "%s: segment %020lld.log, which was being written, is missing from %s: records up to offset %lld, and "
                "maybe more, were acknowledged. The partition is not served: restore the file and restart; or accept "
                "the "
                "loss "
                "by making an empty file of that name",
                rc->pl->name, (long long)c->segment_base, rc->pl->dir, (long long)c->end_offset - 1);
        return -EUCLEAN;
}

/* ---- what need not be read ---- */

/* Of the first @count segments, those with a .txn file have aborted transactions, unless there are not as many as there
 * were: then their indexes are asked, when somebody wants to know. */
static void find_aborted(struct recovery *rc, size_t count)
{
        struct plog *pl = rc->pl;
        uint32_t found = 0;

        for (size_t i = 0; i < count; i++)
                found += offset_list_has(&rc->files.aborted, pl->segments[i]->base_offset);
        for (size_t i = 0; i < count; i++) {
                struct segment *s = pl->segments[i];

                if (found != rc->c.aborted_segments)
                        segment_set_aborted(pl, s, ABORTED_UNKNOWN);
                else if (offset_list_has(&rc->files.aborted, s->base_offset))
                        segment_set_aborted(pl, s, ABORTED_FILED);
        }
}

static void find_scan_start(struct recovery *rc)
{
        struct plog *pl = rc->pl;
        struct index_footer f;
        size_t i = 0, first;

        if (rc->have_checkpoint) {
                int64_t reach = rc->c.segment_base >= 0 ? rc->c.segment_base : rc->c.end_offset;

                while (i < pl->segments_count && pl->segments[i]->base_offset < reach)
                        i++;
                /* No name behind it says so, or that of one which came much later. */
                if (i && (i == pl->segments_count || rc->c.segment_base < 0))
                        pl->segments[i - 1]->next_offset = rc->c.end_offset;
                rc->known_end = rc->c.end_offset;
        }
        find_aborted(rc, i);
        first = i;
        while (i < pl->segments_count && segment_footer(pl, pl->segments[i], &f)) {
                pl->segments[i]->next_offset = f.next_offset;
                segment_set_aborted(pl, pl->segments[i], f.aborted ? ABORTED_FILED : ABORTED_NONE);
                rc->known_end = MAX2(rc->known_end, f.next_offset);
                i++;
        }
        rc->scan_from = i;
        for (size_t k = i; k < pl->segments_count; k++)
                pl->segments[k]->index_checked = true; /* it has none that could be loaded */
        if (i == first && rc->have_checkpoint && i < pl->segments_count &&
            pl->segments[i]->base_offset == rc->c.segment_base)
                rc->scan_pos = rc->c.segment_pos;
}

/* ---- scan ---- */

static int note_epoch(void *arg, const struct replay *at)
{
        struct plog *pl = arg;
        int r = epochs_reserve(&pl->epochs);

        if (!r && epochs_assign(&pl->epochs, at->h->leader_epoch, at->h->base_offset))
                pl->epochs_dirty = true;
        return r;
}

/* How much will be read, for whoever shows progress. */
static void announce_scan(const struct recovery *rc)
{
        const struct plog *pl = rc->pl;
        int64_t len = 0;

        for (size_t i = rc->scan_from; i < pl->segments_count; i++)
                len += pl->segments[i]->size;
        if (len && pl->segments[rc->scan_from]->size >=
                           rc->scan_pos) /* else it lost its end, and is read from its first byte */
                len -= rc->scan_pos;
        atomic_fetch_add(&pl->store->recovery.bytes_found, (unsigned long long)len);
}

/* @len bytes of this log have been scanned by now. */
static void tell_scanned(struct recovery *rc, int64_t len)
{
        atomic_fetch_add(&rc->pl->store->recovery.bytes_read, (unsigned long long)(len - rc->told_len));
        rc->told_len = len;
}

static int note_batch(void *arg, const struct batch_header *h, int64_t pos)
{
        struct recovery *rc = arg;
        struct plog *pl = rc->pl;
        struct segment *s = pl->segments[rc->scan_from];
        struct replay at = { h, rc->scan_fd, pos };
        int r;

        assert(pos == s->size);
        r = note_epoch(pl, &at);
        if (!r && h->base_offset >= rc->producers_from)
                r = producers_replay(&pl->producers, &at);
        if (!r)
                segment_note(pl, s, h);
        if (rc->scanned_len + pos - rc->scan_pos - rc->told_len >= TELL_LEN)
                tell_scanned(rc, rc->scanned_len + pos - rc->scan_pos);
        return r;
}

/* The index of the active segment up to the checkpoint, if it is as the checkpoint says; else it is built again. */
static int adopt_active(struct recovery *rc, struct segment *s)
{
        struct plog *pl = rc->pl;
        char path[PLOG_PATH_MAX];
        struct batch_header h;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int fd, r;

        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        if (rc->c.max_timestamp_offset < 0) { /* a truncation was under way, which knew no more than the position */
                r = -EUCLEAN;
        } else if (rc->c.index_count) {
                r = pin_file_new(pl->store->files, path, &s->index.file);
                if (r)
                        return r;
                fd = pin_file_pin(s->index.file, 0);
                r = fd < 0 ? fd : index_check_entries(fd, rc->c.index_count, rc->c.index_crc);
                if (fd >= 0)
                        pin_file_unpin(s->index.file);
        } else {
                r = rc->c.segment_pos > 16 * pl->conf.index_interval_bytes ? -EUCLEAN : 0;
        }
        if (!r) {
                s->index.filed_count = rc->c.index_count;
                s->index.filed_crc = rc->c.index_crc;
                s->size = rc->c.segment_pos;
                s->since_entry_len = pl->conf.index_interval_bytes;
                s->next_offset = rc->c.end_offset;
                s->max_timestamp = rc->c.max_timestamp;
                s->max_timestamp_offset = rc->c.max_timestamp_offset;
                s->first_timestamp = rc->c.first_timestamp;
                return 0;
        }
        index_fini(&s->index);
        s->size = 0;
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        range = segment_whole(s, rc->c.segment_pos);
        walk_init(&w, fd, &range, false);
        while ((r = walk_next(&w, &h, &pos)) > 0)
                segment_note(pl, s, &h);
        pin_file_unpin(s->file);
        if (r == -EUCLEAN ||
            s->size != rc->c.segment_pos) { /* damage inside; the checkpoint still says where it ends */
                index_fini(&s->index);
                s->size = rc->c.segment_pos;
                s->next_offset = rc->c.end_offset;
                r = 0;
        }
        return r;
}

/* A segment that was scanned is not the last one. */
static void seal(struct plog *pl, struct segment *s)
{
        s->sealed = true;
        segment_take_aborted(pl, s);
}

static int cut_here(struct recovery *rc, struct segment *s, int fd, int64_t pos, int64_t file_len)
{
        struct plog *pl = rc->pl;
        int r;

        rc->cut_len += file_len - pos;
        rc->changed = true;
        diag(DIAG_NOTICE, "%s: %lld bytes behind offset %lld in segment %020lld.log are no whole batch and are cut off",
             pl->name, (long long)(file_len - pos), (long long)s->next_offset, (long long)s->base_offset);
        r = file_truncate(fd, pos);
        while (!r && pl->segments_count > rc->scan_from + 1) {
                struct segment *last = pl->segments[--pl->segments_count];

                diag(DIAG_NOTICE, "%s: segment %020lld.log lies behind a torn one and is dropped", pl->name,
                     (long long)last->base_offset);
                r = remove_segment_files(pl, last->base_offset);
                segment_unref(last);
        }
        return r;
}

/* Scan one segment from rc->scan_pos. Return: 1 go on with the next; 0 this was the end; negative errno. */
static int scan_segment(struct recovery *rc, struct segment *s)
{
        int64_t file_len = s->size, pos = rc->scan_pos, good = pos;
        bool adopted = pos > 0 && file_len >= pos;
        char path[PLOG_PATH_MAX];
        int fd, r;

        s->index_checked = s->summary_known = true;
        s->sealed = false;
        s->next_offset = s->base_offset;
        s->size = 0;
        if (offset_list_has(&rc->files.aborted, s->base_offset)) {
                plog_path(rc->pl->dir, s->base_offset, ABORTED_SUFFIX, path);
                (void)file_unlink(path); /* what the scan finds is written when it is sealed */
        }
        if (adopted) {
                r = adopt_active(rc, s);
                if (r)
                        return r;
        } else {
                rc->scan_pos = pos = 0;
        }
        if (!s->index.filed_count && offset_list_has(&rc->files.indexes, s->base_offset)) {
                r = remove_index(rc, s->base_offset); /* it is not used, and begun again */
                if (r)
                        return r;
        }
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        rc->scan_fd = fd;
        /* A sync may have failed, which the page cache would not tell; a truncation may not have been synced. */
        r = file_len > pos || rc->unclean ? file_forget(fd, pos) : 0;
        if (!r)
                r = scan_batches(fd, pos, file_len, s->next_offset, note_batch, rc, &good);
        rc->scanned_len += file_len - pos;
        tell_scanned(rc, rc->scanned_len);
        if (!r && good < file_len && s->next_offset >= rc->known_end)
                r = cut_here(rc, s, fd, good, file_len);
        if (!r && file_len > pos)
                r = file_sync(fd); /* what was read may be in the page cache only */
        pin_file_unpin(s->file);
        if (r)
                return r;
        s->synced_size = s->size;
        if (s->next_offset < rc->known_end && rc->known_end == rc->c.end_offset) {
                holes_mark(rc->pl, s->next_offset, rc->c.end_offset);
                seal(rc->pl, s);
                rc->changed = true;
        }
        return 1;
}

/* Take the segment that is looked at off the list; the next round looks at the one behind it. */
static void unlist(struct recovery *rc)
{
        struct plog *pl = rc->pl;

        segment_unref(pl->segments[rc->scan_from]);
        memmove(&pl->segments[rc->scan_from], &pl->segments[rc->scan_from + 1],
                (--pl->segments_count - rc->scan_from) * sizeof(struct segment *));
        rc->scan_from--;
        rc->changed = true;
}

/* A file whose name lies within the segment before it was not written by us: it is put aside under another name. */
static int leave_out(struct recovery *rc, struct segment *s, int64_t before)
{
        char path[PLOG_PATH_MAX], aside[PLOG_PATH_MAX];
        int r;

        plog_path(rc->pl->dir, s->base_offset, SEGMENT_SUFFIX, path);
        plog_path(rc->pl->dir, s->base_offset, SEGMENT_SUFFIX ".left-out", aside);
        diag(DIAG_ERROR,
             "%s: %s begins before offset %lld, where the segment before it ends: it is not served, and renamed to %s",
             rc->pl->name, path, (long long)before, aside);
        r = file_rename(path, aside);
        if (!r)
                unlist(rc);
        return r;
}

/* Where the first segment should begin, whose name says @base. A log begins at 0, and what moves its start is in a checkpoint. Without
 * one, and without having been synced, the names of the first segments may be lost and that of a later one not: to take that for
 * the beginning would make a replica that lacks records look as one that has them. */
static int64_t first_begins_at(const struct recovery *rc, int64_t base)
{
        if (rc->have_checkpoint)
                return MIN2(base, rc->known_end);
        return rc->was_never_synced ? 0 : base;
}

/* Where the segment that is looked at should begin. */
static int64_t end_before(const struct recovery *rc)
{
        int64_t base = rc->pl->segments[rc->scan_from]->base_offset;

        if (rc->scan_from)
                return rc->pl->segments[rc->scan_from - 1]->next_offset;
        return first_begins_at(rc, base);
}

static int scan(struct recovery *rc)
{
        struct plog *pl = rc->pl;

        for (; rc->scan_from < pl->segments_count; rc->scan_from++, rc->scan_pos = 0) {
                struct segment *s = pl->segments[rc->scan_from];
                int64_t before = end_before(rc);
                int r;

                if (before > s->base_offset) {
                        r = leave_out(rc, s, before);
                        if (r)
                                return r;
                        continue;
                }
                if (before != s->base_offset && !damage_covers(&pl->damage, before, s->base_offset)) {
                        if (s->base_offset < rc->known_end) {
                                holes_mark(pl, before, s->base_offset);
                                rc->changed = true;
                        } else {
                                diag(DIAG_NOTICE,
                                     "%s: segment %020lld.log does not follow the one before and is dropped", pl->name,
                                     (long long)s->base_offset);
                                r = remove_segment_files(pl, s->base_offset);
                                if (r)
                                        return r;
                                unlist(rc);
                                continue;
                        }
                }
                if (rc->scan_from && !pl->segments[rc->scan_from - 1]->sealed)
                        segment_seal(pl, pl->segments[rc->scan_from - 1]);
                r = scan_segment(rc, s);
                if (r < 0)
                        return r;
                if (!s->size) { /* nothing in it is whole */
                        r = s->base_offset >= rc->known_end ? remove_segment_files(pl, s->base_offset) : 0;
                        if (r)
                                return r;
                        unlist(rc); /* damage stays on disk for whoever can read it */
                }
        }
        return 0;
}

/* ---- all of it ---- */

static void set_ends(struct recovery *rc)
{
        struct plog *pl = rc->pl;
        struct segment *last = pl->segments_count ? pl->segments[pl->segments_count - 1] : NULL;
        int64_t first = pl->segments_count ? pl->segments[0]->base_offset : 0;

        pl->end = MAX2(last ? last->next_offset : 0, rc->known_end);
        if (last && !last->sealed && last->next_offset != pl->end)
                seal(pl, last); /* a hole behind it: what comes next gets a segment of its own */
        /* A checkpoint's start stands even when the first segments are missing: that is a hole, not retention. */
        pl->start = rc->have_checkpoint ? rc->c.start_offset : last ? first : pl->end;
        pl->end = MAX2(pl->end, pl->start);
        pl->durable_end = pl->end;
        for (size_t i = 0; i < pl->segments_count; i++)
                pl->size_bytes += pl->segments[i]->size;
}

/* Of what is scanned the batches tell the epochs: the file may know those of batches that a truncation has cut. */
static int load_epochs(struct recovery *rc, int64_t scan_offset)
{
        struct epochs *e = &rc->pl->epochs;
        int r = epochs_load(e, rc->pl->dir, &rc->epochs_found);

        rc->last_epoch = e->count ? e->entries[e->count - 1] : (struct epoch_entry){ -1, -1 };
        if (!r && epochs_truncate_end(e, scan_offset))
                rc->pl->epochs_dirty = true;
        return r;
}

/* The list begins behind the start: a crash came between moving the list and moving the start. */
static int epochs_in_front(struct plog *pl)
{
        struct epochs later = pl->epochs;
        int r;

        pl->epochs = (struct epochs){ 0 };
        r = plog_replay(pl, pl->start, later.entries[0].start_offset, note_epoch, pl);
        for (uint32_t i = 0; !r && i < later.count; i++) {
                r = epochs_reserve(&pl->epochs);
                if (!r)
                        epochs_assign(&pl->epochs, later.entries[i].epoch, later.entries[i].start_offset);
        }
        epochs_fini(&later);
        return r;
}

static int recover_epochs(struct recovery *rc)
{
        struct plog *pl = rc->pl;

        if (!rc->epochs_found && pl->segments_count) {
                epochs_fini(&pl->epochs);
                return plog_replay(pl, pl->start, pl->end, note_epoch, pl);
        }
        /* One that was assigned and has no batch yet. */
        if (rc->last_epoch.start_offset == pl->end) {
                int r = epochs_reserve(&pl->epochs);

                if (r)
                        return r;
                epochs_assign(&pl->epochs, rc->last_epoch.epoch, pl->end);
        }
        if (pl->epochs.count && pl->epochs.entries[0].start_offset > pl->start)
                return epochs_in_front(pl);
        return 0;
}

/* Up to here nothing is scanned. What begins behind a known end without touching it will be dropped. */
static int64_t find_scan_offset(const struct recovery *rc)
{
        int64_t base;

        if (rc->scan_pos)
                return rc->c.end_offset;
        if (rc->scan_from == rc->pl->segments_count)
                return rc->known_end;
        base = rc->pl->segments[rc->scan_from]->base_offset;
        return rc->scan_from ? MIN2(base, rc->known_end) : first_begins_at(rc, base);
}

/* It is made after the first sync of all names; one that cannot be read is another matter. */
static bool has_checkpoint_file(struct plog *pl)
{
        char path[PLOG_PATH_MAX];
        struct file_info info;

        plog_path_of(pl->dir, CHECKPOINT_NAME, path);
        return file_info(path, &info) != -ENOENT;
}

static int recover_inner(struct recovery *rc)
{
        struct plog *pl = rc->pl;
        int64_t scan_offset, missing_from, missing_to;
        int r;

        r = swap_redo(pl->dir, pl->name);
        if (!r)
                r = folder_read(pl, &rc->files);
        if (r)
                return r;
        r = remove_orphans(rc);
        if (r)
                return r;
        r = rc->unclean ? checkpoint_reread(pl->dir) : 0;
        if (!r)
                r = checkpoint_read(pl->dir, &rc->c);
        if (r && r != -ENOENT)
                return r;
        rc->have_checkpoint = !r;
        rc->was_never_synced = rc->unclean && r && !has_checkpoint_file(pl);
        rc->settled = rc->unclean;
        r = check_active(rc);
        if (!r)
                r = load_segments(rc);
        if (!r)
                r = damage_load(pl);
        if (r)
                return r;
        if (rc->have_checkpoint) {
                pl->start = rc->c.start_offset;
                pl->checkpoint_sequence = rc->c.sequence;
                pl->checkpoint_dirty = !rc->unclean; /* for all we know */
                pl->checkpoint_snapshot = rc->c.snapshot_offset;
                pl->cleaned_end = MIN2(rc->c.cleaned_end, rc->c.end_offset);
        }
        find_scan_start(rc);
        r = holes_find(pl, rc->have_checkpoint ? &rc->c : NULL, rc->scan_from);
        if (r)
                return r;
        damage_missing(&pl->damage, &missing_from, &missing_to);
        rc->changed |= missing_from != rc->c.damaged_from || missing_to != rc->c.damaged_to;
        scan_offset = find_scan_offset(rc);
        rc->producers_from = scan_offset;
        r = load_epochs(rc, scan_offset);
        if (!r)
                r = producers_recover(
                        pl,
                        &(struct producers_want){
                                .offset = scan_offset,
                                .aborted_from = rc->scan_pos ? pl->segments[rc->scan_from]->base_offset : scan_offset,
                                .known_empty = rc->have_checkpoint && rc->c.snapshot_offset < 0
                                                       ? MIN2(rc->c.end_offset, scan_offset)
                                                       : -1,
                                .cut = true },
                        &pl->producers);
        if (!r) {
                announce_scan(rc);
                r = scan(rc);
        }
        if (r)
                return r;
        set_ends(rc);
        pl->damage_dirty |= damage_trim(&pl->damage, pl->start, pl->end);
        return recover_epochs(rc);
}

int plog_recover(struct plog *pl)
{
        struct recovery rc = { .pl = pl,
                               .c = { .segment_base = -1, .snapshot_offset = -1 },
                               .unclean = !plog_store_was_clean(pl->store) || atomic_load(&pl->store->unclean) };
        int r;

        pl->checkpoint_snapshot = pl->previous_snapshot = -1;
        r = recover_inner(&rc);
        folder_fini(&rc.files);
        if (r)
                return r;
        pl->checkpoint_ms = clock_mono_ms();
        pl->checkpoint_end = rc.have_checkpoint ? rc.c.end_offset : 0;
        /* A process that ended may have written it and not synced it. */
        pl->checkpoint_start = rc.have_checkpoint && !rc.unclean ? rc.c.start_offset : 0;
        pl->meta_written = rc.have_checkpoint; /* it was made after the first sync of all names */
        /* With a checkpoint the folder was synced before. */
        pl->dir_dirty = rc.changed || (rc.unclean && !rc.have_checkpoint && pl->segments_count);
        if (rc.scanned_len || rc.changed)
                atomic_fetch_add(&pl->store->recovery.logs, 1);
        atomic_fetch_add(&pl->store->recovery.bytes_cut, (unsigned long long)rc.cut_len);
        if (rc.scanned_len) /* the owner of the store sums them up */
                diag(DIAG_DEBUG, "%s: recovered up to offset %lld: %lld bytes read, %lld cut off", pl->name,
                     (long long)pl->end, (long long)rc.scanned_len, (long long)rc.cut_len);
        return rc.scanned_len || pl->dir_dirty ? checkpoint_make(pl, false) : 0;
}
