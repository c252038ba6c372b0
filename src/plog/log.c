/* Life of a log and the questions that its memory answers. See plog.h. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

void plog_path(const char *dir, int64_t offset, const char *suffix, char ret_path[PLOG_PATH_MAX])
{
        int n = snprintf(ret_path, PLOG_PATH_MAX, "%s/%020lld%s", dir, (long long)offset, suffix);

        assert(n > 0 && n < PLOG_PATH_MAX);
}

void plog_path_of(const char *dir, const char *name, char ret_path[PLOG_PATH_MAX])
{
        int n = snprintf(ret_path, PLOG_PATH_MAX, "%s/%s", dir, name);

        assert(n > 0 && n < PLOG_PATH_MAX);
}

int64_t plog_first_base(const struct plog *pl)
{
        return pl->segments_count ? pl->segments[0]->base_offset : pl->end;
}

struct plog *plog_ref(struct plog *pl)
{
        atomic_fetch_add(&pl->refs, 1);
        return pl;
}

struct plog *plog_unref(struct plog *pl)
{
        if (!pl || atomic_fetch_sub(&pl->refs, 1) != 1)
                return NULL;
        for (size_t i = 0; i < pl->segments_count; i++)
                segment_unref(pl->segments[i]);
        free(pl->segments);
        epochs_fini(&pl->epochs);
        producers_fini(&pl->producers);
        recent_fini(&pl->recent);
        damage_fini(&pl->damage);
        pthread_mutex_destroy(&pl->lock);
        pthread_mutex_destroy(&pl->news);
        pthread_mutex_destroy(&pl->work);
        free(pl->dir);
        free(pl->name);
        free(pl);
        return NULL;
}

DEFINE_FREEP(struct plog, plog_unref)

/* ---- identity ---- */

int plog_write_meta(const char *dir, struct uuid topic_id, int32_t partition, bool sync)
{
        struct disk_partition_meta m = { .magic = htobe32(PARTITION_META_MAGIC),
                                         .version = htobe32(FORMAT_VERSION),
                                         .partition = (int32_t)htobe32((uint32_t)partition) };
        char path[PLOG_PATH_MAX];
        int fd, r;

        memcpy(m.topic_id, topic_id.b, sizeof m.topic_id);
        m.crc = htobe32(crc32c(0, &m, offsetof(struct disk_partition_meta, crc)));
        plog_path_of(dir, PARTITION_META_NAME, path);
        fd = file_open(path, O_RDWR | O_CREAT);
        if (fd < 0)
                return fd;
        r = file_pwrite_all(fd, &m, sizeof m, 0);
        if (!r && sync)
                r = file_sync(fd);
        file_close(fd);
        return r;
}

static int find_segment(void *arg, const char *name)
{
        size_t n = strlen(name);

        return n > 4 && !strcmp(name + n - 4, SEGMENT_SUFFIX) ? 1 : 0;
}

int plog_read_meta(const char *dir, struct uuid *ret_topic_id, int32_t *ret_partition)
{
        struct disk_partition_meta m;
        char path[PLOG_PATH_MAX];
        ssize_t n;
        int fd;

        plog_path_of(dir, PARTITION_META_NAME, path);
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return fd;
        n = file_pread(fd, &m, sizeof m, 0);
        file_close(fd);
        if (n < 0)
                return (int)n;
        if (n != sizeof m || be32toh(m.magic) != PARTITION_META_MAGIC || be32toh(m.version) != FORMAT_VERSION ||
            be32toh(m.crc) != crc32c(0, &m, offsetof(struct disk_partition_meta, crc)))
                return -EUCLEAN;
        memcpy(ret_topic_id->b, m.topic_id, sizeof ret_topic_id->b);
        *ret_partition = (int32_t)be32toh((uint32_t)m.partition);
        return 0;
}

/* Made without a sync: it is synced with the first data. One that was lost or torn before that is made again: a folder
 * without a checkpoint, which is written after that sync, holds nothing that was promised. Over promised data it must be
 * right. */
static int check_meta(struct plog *pl, const struct plog_open_args *args)
{
        struct uuid topic_id;
        int32_t partition;
        struct checkpoint c;
        int r = plog_read_meta(pl->dir, &topic_id, &partition);
        bool good = !r;

        if (good && uuid_equal(topic_id, args->topic_id) && partition == args->partition)
                return 0;
        if (r && r != -ENOENT && r != -EUCLEAN)
                return r;
        r = good ? 1 : file_list(pl->dir, find_segment, NULL);
        if (!good && r == 1) {
                r = checkpoint_read(pl->dir, &c);
                r = r == -ENOENT ? 0 : r ? r : 1;
        }
        if (r < 0)
                return r;
        if (!r)
                return plog_write_meta(pl->dir, args->topic_id, args->partition, false);
        diag(DIAG_ERROR, "%s: the folder %s belongs to another topic or partition (%s): move it away", pl->name,
             pl->dir,
             good ? "its partition.meta says so" : "its partition.meta is missing, damaged or of another version");
        return -EUCLEAN;
}

/* ---- open and close ---- */

static void take_conf(struct plog *pl, const struct plog_conf *conf)
{
        pl->conf = *conf;
        /* Positions in an index are 32 bits. */
        pl->conf.segment_bytes = MIN2(conf->segment_bytes, (int64_t)INT32_MAX);
}

static int log_new(struct plog_store *store, const struct plog_open_args *args, struct plog **ret_log)
{
        CLEANUP(plog_unrefp) struct plog *pl = calloc(1, sizeof *pl);

        if (!pl)
                return -ENOMEM;
        pl->magic = PLOG_MAGIC;
        atomic_init(&pl->refs, 1);
        pthread_mutex_init(&pl->work, NULL);
        pthread_mutex_init(&pl->news, NULL);
        pthread_mutex_init(&pl->lock, NULL);
        ilist_init(&pl->store_link);
        ilist_init(&pl->flush_link);
        ilist_init(&pl->relaxed_link);
        ilist_init(&pl->behind_link);
        pl->store = store;
        pl->topic_id = args->topic_id;
        pl->partition = args->partition;
        pl->dir = strdup(args->dir);
        pl->name = strdup(args->name);
        if (!pl->dir || !pl->name)
                return -ENOMEM;
        take_conf(pl, &args->conf);
        *ret_log = TAKE_PTR(pl);
        return 0;
}

int plog_open(struct plog_store *store, const struct plog_open_args *args, struct plog **ret_log)
{
        CLEANUP(plog_unrefp) struct plog *pl = NULL;
        int r;

        if (strlen(args->dir) > PLOG_PATH_MAX - 64)
                return -ENAMETOOLONG;
        r = store_begin(store);
        if (!r)
                r = log_new(store, args, &pl);
        if (!r)
                r = file_mkdirs(pl->dir);
        if (!r)
                r = check_meta(pl, args);
        if (r)
                return r;
        pthread_mutex_lock(&pl->work);
        r = plog_recover(pl);
        pthread_mutex_unlock(&pl->work);
        if (r) {
                atomic_store(&store->unclean, true); /* it may be mended by hand, and must be looked at then */
                return err_fold(r);
        }
        store_add_log(store, pl);
        *ret_log = TAKE_PTR(pl);
        return 0;
}

/* No call gets through any more; the files of segments that nobody reads are closed. plog.work held. */
static void shut(struct plog *pl)
{
        struct flusher *f = &pl->store->flusher;
        bool waiting;

        pthread_mutex_lock(&pl->lock);
        if (pl->state == PLOG_FAILED)
                atomic_fetch_sub(&pl->store->logs_failed, 1);
        pl->state = PLOG_CLOSED;
        for (size_t i = 0; i < pl->segments_count; i++)
                segment_unref(pl->segments[i]);
        pl->segments_count = 0;
        recent_fini(&pl->recent);
        pl->listener = (struct plog_listener){ 0 };
        checkpoint_covers(pl, pl->appended_len);
        pthread_mutex_lock(&f->lock);
        ilist_unlink(&pl->relaxed_link);
        flush_unlist_behind(pl);
        waiting = !ilist_is_empty(&pl->flush_link);
        ilist_unlink(&pl->flush_link);
        pthread_mutex_unlock(&f->lock);
        pthread_mutex_unlock(&pl->lock);
        store_remove_log(pl->store, pl);
        if (waiting)
                plog_unref(pl);
}

static bool checkpoint_is_current(struct plog *pl)
{
        bool current;

        pthread_mutex_lock(&pl->lock);
        /* A log that was never written to has nothing to say; thousands of those close quickly. */
        current = !pl->end && !pl->segments_count;
        current |= pl->durable_end == pl->end && pl->checkpoint_end == pl->end && pl->checkpoint_start == pl->start &&
                   !pl->epochs_dirty && !pl->damage_dirty &&
                   (!producers_any(&pl->producers) || pl->checkpoint_snapshot == pl->end);
        for (size_t i = 0; i < pl->segments_count; i++)
                current &= !pl->segments[i]->cut_back;
        pthread_mutex_unlock(&pl->lock);
        return current;
}

void plog_close(struct plog *pl)
{
        if (!pl)
                return;
        pthread_mutex_lock(&pl->work);
        /* What cannot be written now is found again by recovery, which must then look. */
        if (pl->state == PLOG_FAILED ||
            (pl->state == PLOG_OPEN && !checkpoint_is_current(pl) && checkpoint_make(pl, false)))
                atomic_store(&pl->store->unclean, true);
        shut(pl);
        pthread_mutex_unlock(&pl->work);
        plog_unref(pl);
}

int plog_delete(struct plog *pl)
{
        const char *name;
        int64_t delay_ms;
        int r;

        pthread_mutex_lock(&pl->work);
        delay_ms = pl->conf.file_delete_delay_ms;
        shut(pl);
        name = strrchr(pl->dir, '/');
        r = plog_store_discard(pl->store, name ? name + 1 : pl->dir, delay_ms);
        if (r)
                diag(DIAG_ERROR, "%s: cannot rename the folder %s of the deleted log: %s; the next start tries again",
                     pl->name, pl->dir, strerror(-r));
        pthread_mutex_unlock(&pl->work);
        plog_unref(pl);
        return r;
}

/* ---- what memory knows ---- */

void plog_set_conf(struct plog *pl, const struct plog_conf *conf)
{
        pthread_mutex_lock(&pl->lock);
        take_conf(pl, conf);
        if (pl->state == PLOG_OPEN && conf->flush_before_ack && pl->durable_end < pl->end)
                flush_want(pl);
        pthread_mutex_unlock(&pl->lock);
}

void plog_set_listener(struct plog *pl, struct plog_listener listener)
{
        pthread_mutex_lock(&pl->news);
        pthread_mutex_lock(&pl->lock);
        if (pl->state != PLOG_CLOSED)
                pl->listener = listener;
        pthread_mutex_unlock(&pl->lock);
        pthread_mutex_unlock(&pl->news);
}

void plog_ends(struct plog *pl, struct plog_ends *ret)
{
        pthread_mutex_lock(&pl->lock);
        *ret = (struct plog_ends){ .start_offset = pl->start,
                                   .durable_start_offset = MIN2(pl->start, pl->checkpoint_start),
                                   .durable_end_offset = pl->durable_end,
                                   .end_offset = pl->end,
                                   .size_bytes = pl->size_bytes,
                                   .damaged_offsets = damage_offsets(&pl->damage),
                                   .damaged_ranges = pl->damage.count,
                                   .unstable_offset = producers_unstable(&pl->producers),
                                   .failed = pl->state == PLOG_FAILED,
                                   .settled = pl->state != PLOG_FAILED || pl->failed_durably };
        pthread_mutex_unlock(&pl->lock);
}

int32_t plog_epoch_at(struct plog *pl, int64_t offset)
{
        int32_t epoch;

        pthread_mutex_lock(&pl->lock);
        epoch = epochs_at(&pl->epochs, offset);
        pthread_mutex_unlock(&pl->lock);
        return epoch;
}

int32_t plog_latest_epoch(struct plog *pl)
{
        int32_t epoch;

        pthread_mutex_lock(&pl->lock);
        epoch = epochs_latest(&pl->epochs);
        pthread_mutex_unlock(&pl->lock);
        return epoch;
}

int plog_assign_epoch(struct plog *pl, int32_t epoch)
{
        int r;

        pthread_mutex_lock(&pl->lock);
        r = pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : epochs_reserve(&pl->epochs);
        if (!r && epochs_assign(&pl->epochs, epoch, pl->end))
                pl->epochs_dirty = true;
        pthread_mutex_unlock(&pl->lock);
        return r;
}

void plog_forget_epochs(struct plog *pl)
{
        pthread_mutex_lock(&pl->lock);
        if (epochs_truncate_end(&pl->epochs, pl->end))
                pl->epochs_dirty = true;
        pthread_mutex_unlock(&pl->lock);
}

int plog_epoch_end(struct plog *pl, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset)
{
        bool found;

        pthread_mutex_lock(&pl->lock);
        found = epochs_end(&pl->epochs, epoch, pl->end, ret_epoch, ret_end_offset);
        pthread_mutex_unlock(&pl->lock);
        return found ? 0 : PLOG_E_NOT_FOUND;
}

size_t plog_damaged(struct plog *pl, size_t max, struct plog_damaged_range *ret)
{
        size_t count;

        pthread_mutex_lock(&pl->lock);
        count = pl->damage.count;
        if (max)
                memcpy(ret, damage_list(&pl->damage), MIN2(count, max) * sizeof *ret);
        pthread_mutex_unlock(&pl->lock);
        return count;
}

int64_t plog_checked_ms(struct plog *pl)
{
        int64_t ms;

        pthread_mutex_lock(&pl->lock);
        ms = pl->checked_ms;
        pthread_mutex_unlock(&pl->lock);
        return ms;
}

void plog_expire_producers(struct plog *pl, int64_t now_ms)
{
        pthread_mutex_lock(&pl->lock);
        if (pl->conf.producer_expiry_ms > 0)
                producers_expire(&pl->producers, now_ms, pl->conf.producer_expiry_ms);
        pthread_mutex_unlock(&pl->lock);
}
