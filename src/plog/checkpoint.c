/* Checkpoint of one log: how far it is known to be on stable storage, so that an unclean start reads only what came
 * after. See FORMAT.md "checkpoint". plog.work is held throughout. */
#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

#define BE64(v) ((int64_t)htobe64((uint64_t)(v)))
#define FROM64(v) ((int64_t)be64toh((uint64_t)(v)))

/* Bring the last slot to stable storage. When that fails nobody knows what it holds there, and no later sync would say so: it
 * counts as not written, and the next one takes its place before the other one, which is in force, is touched. */
static int settle(struct plog *pl, int fd)
{
        int r = pl->checkpoint_dirty ? file_sync(fd) : 0;

        pl->checkpoint_dirty = false;
        if (!r)
                return 0;
        pl->checkpoint_sequence++; /* the next one takes its place, and not that of the other */
        if (pl->previous_snapshot >= 0)
                pl->checkpoint_snapshot = pl->previous_snapshot;
        pl->previous_snapshot = -1;
        return r;
}

int checkpoint_write(struct plog *pl, struct checkpoint *c, bool sync)
{
        struct disk_checkpoint d = {
                .magic = htobe32(CHECKPOINT_MAGIC),
                .version = htobe32(FORMAT_VERSION),
                .start_offset = BE64(c->start_offset),
                .end_offset = BE64(c->end_offset),
                .segment_base = BE64(c->segment_base),
                .segment_pos = BE64(c->segment_pos),
                .max_timestamp = BE64(c->max_timestamp),
                .max_timestamp_offset = BE64(c->max_timestamp_offset),
                .first_timestamp = BE64(c->first_timestamp),
                .index_count = htobe32(c->index_count),
                .index_crc = htobe32(c->index_crc),
                .snapshot_offset = BE64(c->snapshot_offset),
                .damaged_from = BE64(c->damaged_from),
                .damaged_to = BE64(c->damaged_to),
                .cleaned_end = BE64(c->cleaned_end),
                .segments_count = htobe32(c->segments_count),
                .segments_crc = htobe32(c->segments_crc),
                .aborted_segments = htobe32(c->aborted_segments),
        };
        char path[PLOG_PATH_MAX];
        int fd, r;

        /* A start that moved is nowhere else: without a sync a crash would take it back after it was in force. */
        sync |= c->start_offset != pl->checkpoint_start;
        plog_path_of(pl->dir, CHECKPOINT_NAME, path);
        fd = file_open(path, O_RDWR | O_CREAT);
        if (fd < 0)
                return fd;
        /* A torn write leaves the other slot: what that one says must be on stable storage before. Mostly the kernel has
         * brought it there long since. */
        r = settle(pl, fd);
        d.sequence = htobe64(pl->checkpoint_sequence + 1);
        d.crc = htobe32(crc32c(0, &d, offsetof(struct disk_checkpoint, crc)));
        if (!r)
                r = file_pwrite_all(fd, &d, sizeof d,
                                    (int64_t)((pl->checkpoint_sequence + 1) % CHECKPOINT_SLOTS) * CHECKPOINT_SLOT_STEP);
        if (!r && sync) {
                r = file_sync(fd);
                if (!r)
                        r = file_sync_dir(pl->dir);
        }
        file_close(fd);
        if (r)
                return r;
        pl->checkpoint_dirty = !sync;
        pl->checkpoint_sequence++;
        pl->checkpoint_end = c->end_offset;
        pthread_mutex_lock(&pl->lock);
        pl->checkpoint_start = c->start_offset;
        pthread_mutex_unlock(&pl->lock);
        pl->checkpoint_ms = clock_mono_ms();
        return 0;
}

static bool slot_decode(const struct disk_checkpoint *d, struct checkpoint *ret)
{
        if (be32toh(d->magic) != CHECKPOINT_MAGIC || be32toh(d->version) != FORMAT_VERSION ||
            be32toh(d->crc) != crc32c(0, d, offsetof(struct disk_checkpoint, crc)))
                return false;
        *ret = (struct checkpoint){
                .sequence = be64toh(d->sequence),
                .start_offset = FROM64(d->start_offset),
                .end_offset = FROM64(d->end_offset),
                .segment_base = FROM64(d->segment_base),
                .segment_pos = FROM64(d->segment_pos),
                .max_timestamp = FROM64(d->max_timestamp),
                .max_timestamp_offset = FROM64(d->max_timestamp_offset),
                .first_timestamp = FROM64(d->first_timestamp),
                .index_count = be32toh(d->index_count),
                .index_crc = be32toh(d->index_crc),
                .snapshot_offset = FROM64(d->snapshot_offset),
                .damaged_from = FROM64(d->damaged_from),
                .damaged_to = FROM64(d->damaged_to),
                .segments_count = be32toh(d->segments_count),
                .segments_crc = be32toh(d->segments_crc),
                .aborted_segments = be32toh(d->aborted_segments),
                .cleaned_end = FROM64(d->cleaned_end),
        };
        return ret->cleaned_end >= 0 && ret->start_offset >= 0 && ret->end_offset >= ret->start_offset &&
               ret->end_offset <= PLOG_OFFSET_MAX && ret->segment_base >= -1 && ret->segment_base <= ret->end_offset &&
               ret->segment_pos >= 0 && ret->snapshot_offset >= -1 && ret->snapshot_offset <= ret->end_offset &&
               ret->damaged_from >= 0 && ret->damaged_to >= ret->damaged_from && ret->damaged_to <= ret->end_offset;
}

int checkpoint_read(const char *dir, struct checkpoint *ret)
{
        char path[PLOG_PATH_MAX];
        bool found = false;
        int fd;

        plog_path_of(dir, CHECKPOINT_NAME, path);
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return fd;
        for (int i = 0; i < CHECKPOINT_SLOTS; i++) {
                struct disk_checkpoint d;
                struct checkpoint c;

                if (file_pread(fd, &d, sizeof d, (int64_t)i * CHECKPOINT_SLOT_STEP) != sizeof d || !slot_decode(&d, &c))
                        continue;
                if (!found || c.sequence > ret->sequence)
                        *ret = c;
                found = true;
        }
        file_close(fd);
        return found ? 0 : -ENOENT;
}

int checkpoint_reread(const char *dir)
{
        char path[PLOG_PATH_MAX];
        int fd, r;

        plog_path_of(dir, CHECKPOINT_NAME, path);
        fd = file_open(path, O_RDWR);
        if (fd < 0)
                return fd;
        r = file_forget(fd, 0);
        file_close(fd);
        return r ? r : file_sync_dir(dir);
}

int64_t checkpoint_bytes_behind(const struct plog_store *s)
{
        /* In this order: what is covered was appended before. */
        unsigned long covered = atomic_load(&s->bytes_checkpointed);

        return (int64_t)(atomic_load(&s->bytes_appended) - covered);
}

void checkpoint_covers(struct plog *pl, int64_t appended_len)
{
        atomic_fetch_add(&pl->store->bytes_checkpointed, (unsigned long)(appended_len - pl->checkpoint_size));
        pl->checkpoint_size = appended_len;
}

/* So many bytes of one log are worth a checkpoint. When all logs together have too much, those with more than their share
 * have to do it: each such checkpoint takes away as much as there are bytes for each, so few are needed. */
static int64_t worth_a_checkpoint(struct plog_store *st)
{
        struct flusher *f = &st->flusher;
        unsigned count;

        if (checkpoint_bytes_behind(st) < st->recovery_bytes_max)
                return CHECKPOINT_LEN;
        pthread_mutex_lock(&f->lock);
        count = f->behind_count;
        pthread_mutex_unlock(&f->lock);
        return MIN2(MAX2(st->recovery_bytes_max / MAX2(count, 1U), (int64_t)CHECKPOINT_LEN_MIN),
                    (int64_t)CHECKPOINT_LEN);
}

bool checkpoint_due(struct plog *pl, int64_t now_mono_ms)
{
        int64_t worth = worth_a_checkpoint(pl->store);
        const struct segment *s;
        bool due;

        pthread_mutex_lock(&pl->lock);
        s = plog_active(pl);
        due = pl->state == PLOG_OPEN && pl->durable_end > pl->checkpoint_end &&
              ((s && s->base_offset >= pl->checkpoint_end) || /* it has begun since */
               pl->appended_len - pl->checkpoint_size >= worth || pl->checkpoint_wanted ||
               now_mono_ms - pl->checkpoint_ms >= CHECKPOINT_MS);
        pl->checkpoint_wanted = false;
        pthread_mutex_unlock(&pl->lock);
        return due;
}

/* Where the log stands now, with the producer state at just this point. */
struct standing {
        struct checkpoint c;
        void *snapshot;
        size_t snapshot_len;
        int64_t appended_len;
};

static int standing_take(struct plog *pl, struct standing *ret)
{
        int64_t missing_from, missing_to;
        struct segment *s;
        char path[PLOG_PATH_MAX];
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        s = plog_active(pl);
        damage_missing(&pl->damage, &missing_from, &missing_to);
        *ret = (struct standing){ .c = { .start_offset = pl->start,
                                         .end_offset = pl->end,
                                         .segment_base = -1,
                                         .max_timestamp = -1,
                                         .max_timestamp_offset = -1,
                                         .first_timestamp = -1,
                                         .snapshot_offset = -1,
                                         .damaged_from = missing_from,
                                         .damaged_to = missing_to,
                                         .cleaned_end = pl->cleaned_end },
                                  .appended_len = pl->appended_len };
        if (s && s->size) {
                plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
                (void)index_spill(&s->index, pl->store->files,
                                  path); /* what is not written is found again by reading */
                ret->c.segment_base = s->base_offset;
                ret->c.segment_pos = s->size;
                ret->c.max_timestamp = s->max_timestamp;
                ret->c.max_timestamp_offset = s->max_timestamp_offset;
                ret->c.first_timestamp = s->first_timestamp;
                ret->c.index_count = s->index.filed_count;
                ret->c.index_crc = s->index.filed_crc;
        }
        holes_count_segments(pl, &ret->c);
        ret->c.aborted_segments = aborted_count_segments(pl, &ret->c);
        if (producers_any(&pl->producers)) {
                ret->c.snapshot_offset = pl->end;
                r = producers_encode(&pl->producers, pl->end, &ret->snapshot, &ret->snapshot_len);
        }
        pthread_mutex_unlock(&pl->lock);
        return r;
}

/* The snapshot that an older checkpoint named goes, unless it belongs to a segment's start. */
static void drop_old_snapshot(struct plog *pl, int64_t offset)
{
        char path[PLOG_PATH_MAX];
        ptrdiff_t i;
        bool keep;

        if (offset < 0)
                return;
        pthread_mutex_lock(&pl->lock);
        i = segments_find(pl, offset);
        keep = i >= 0 && pl->segments[i]->base_offset == offset;
        pthread_mutex_unlock(&pl->lock);
        if (keep)
                return;
        plog_path(pl->dir, offset, SNAPSHOT_SUFFIX, path);
        (void)file_unlink(path); /* a file too many does no harm */
}

/* The one before stays as long as its checkpoint may be the newest on stable storage. */
static void rotate_snapshots(struct plog *pl, int64_t offset)
{
        if (pl->checkpoint_snapshot == offset)
                return;
        if (pl->previous_snapshot != offset) /* a truncation goes back to it */
                drop_old_snapshot(pl, pl->previous_snapshot);
        pl->previous_snapshot = pl->checkpoint_snapshot;
        pl->checkpoint_snapshot = offset;
        if (pl->checkpoint_dirty)
                return;
        drop_old_snapshot(pl, pl->previous_snapshot);
        pl->previous_snapshot = -1;
}

int checkpoint_make(struct plog *pl, bool sync)
{
        char path[PLOG_PATH_MAX];
        struct standing st;
        int r;

        r = standing_take(pl, &st);
        if (!pl->meta_written) { /* a checkpoint is the proof that the folder's identity is durable */
                pthread_mutex_lock(&pl->lock);
                pl->dir_dirty = true;
                pthread_mutex_unlock(&pl->lock);
        }
        if (!r)
                r = flush_log(pl); /* whatever st says is durable before it is said */
        if (!r && st.snapshot && st.c.snapshot_offset != pl->checkpoint_snapshot) {
                plog_path(pl->dir, st.c.snapshot_offset, SNAPSHOT_SUFFIX, path);
                r = file_replace(path, span_of(st.snapshot, st.snapshot_len));
        }
        free(st.snapshot);
        if (r)
                return r;
        r = damage_save(pl); /* before anything is appended where a range was cut away */
        if (!r)
                r = checkpoint_write(pl, &st.c, sync);
        if (r)
                return r;
        rotate_snapshots(pl, st.c.snapshot_offset);
        pthread_mutex_lock(&pl->lock);
        checkpoint_covers(pl, st.appended_len);
        pthread_mutex_unlock(&pl->lock);
        return 0;
}

void checkpoint_settle(struct plog *pl)
{
        char path[PLOG_PATH_MAX];
        int fd;

        if (pl->checkpoint_size - pl->settled_size < CHECKPOINT_SETTLE_LEN)
                return;
        plog_path_of(pl->dir, CHECKPOINT_NAME, path);
        fd = file_open(path, O_RDONLY);
        if (fd >= 0 && !settle(pl, fd)) /* else an older one serves: what it vouches for is on the disk all the same */
                pl->settled_size = pl->checkpoint_size;
        file_close(fd);
}
