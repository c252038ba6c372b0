/* The steps, each durable before the next:
 *   1. BASE.log.clean is whole                        a crash before 2: it is removed
 *   2. the file `swap` says what takes whose place    from here on: finished at the next start
 *   3. renames, removal of the old files
 *   4. `swap` goes
 * Readers that hold an old segment keep its open files, which is why they are pinned before their names go. */
#include "plog/swap.h"

#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

/* ---- on disk ---- */

static int64_t size_of(const char *path)
{
        struct file_info info;
        int r = file_info(path, &info);

        return r ? r : info.size;
}

/* What a swap does, decoded. */
struct plan {
        int64_t base, end; /* all segments from here up to below there */
        int64_t size;      /* of the new one */
        bool has_aborted;  /* it has a .txn file */
};

static int journal_write(const char *dir, const struct plan *p)
{
        struct disk_swap d = { .magic = htobe32(SWAP_MAGIC),
                               .version = htobe32(FORMAT_VERSION),
                               .base_offset = (int64_t)htobe64((uint64_t)p->base),
                               .end_offset = (int64_t)htobe64((uint64_t)p->end),
                               .size = (int64_t)htobe64((uint64_t)p->size),
                               .flags = htobe32(p->has_aborted ? SWAP_HAS_ABORTED : 0) };
        char path[PLOG_PATH_MAX];

        d.crc = htobe32(crc32c(0, &d, offsetof(struct disk_swap, crc)));
        plog_path_of(dir, SWAP_NAME, path);
        return file_replace(path, span_of(&d, sizeof d));
}

/* Return: 1 there is one, 0 none (or none that can be read), negative errno. */
static int journal_read(const char *dir, struct plan *ret)
{
        CLEANUP(freep) char *data = NULL;
        struct disk_swap d = { 0 };
        char path[PLOG_PATH_MAX];
        size_t len;
        int r;

        plog_path_of(dir, SWAP_NAME, path);
        r = file_read_whole(path, 4096, &data, &len);
        if (r)
                return r == -ENOENT ? 0 : r == -EFBIG ? 0 : r;
        if (len != sizeof d)
                return 0;
        memcpy(&d, data, sizeof d);
        if (be32toh(d.magic) != SWAP_MAGIC || be32toh(d.version) != FORMAT_VERSION ||
            be32toh(d.crc) != crc32c(0, &d, offsetof(struct disk_swap, crc)))
                return 0;
        *ret = (struct plan){ .base = (int64_t)be64toh((uint64_t)d.base_offset),
                              .end = (int64_t)be64toh((uint64_t)d.end_offset),
                              .size = (int64_t)be64toh((uint64_t)d.size),
                              .has_aborted = be32toh(d.flags) & SWAP_HAS_ABORTED };
        return 1;
}

struct sweep {
        const char *dir;
        int64_t from, to; /* files of segments whose name lies between */
        bool clean_only;
};

static int sweep_one(void *arg, const char *name)
{
        const struct sweep *s = arg;
        size_t n = strlen(name), k = strlen(CLEAN_SUFFIX);
        bool clean = n > k && !strcmp(name + n - k, CLEAN_SUFFIX);
        char path[PLOG_PATH_MAX];
        int64_t base = -1;

        if (!clean && s->clean_only)
                return 0;
        if (!clean) {
                static const char *const suffixes[] = { SEGMENT_SUFFIX, INDEX_SUFFIX, ABORTED_SUFFIX, SNAPSHOT_SUFFIX };

                for (size_t i = 0; i < ARRAY_LEN(suffixes) && base < 0; i++)
                        base = plog_offset_of_name(name, suffixes[i]);
                if (base <= s->from || base >= s->to)
                        return 0;
        }
        plog_path_of(s->dir, name, path);
        return file_unlink(path);
}

/* Give one new file its name; that it has it already is fine when there is no other. */
static int put_in_place(const char *dir, int64_t base, const char *suffix, const char *clean_suffix)
{
        char from[PLOG_PATH_MAX], to[PLOG_PATH_MAX];
        int r;

        plog_path(dir, base, clean_suffix, from);
        plog_path(dir, base, suffix, to);
        r = file_rename(from, to);
        return r == -ENOENT ? 0 : r;
}

static int put_aborted_in_place(const char *dir, const struct plan *p)
{
        char path[PLOG_PATH_MAX];

        if (p->has_aborted)
                return put_in_place(dir, p->base, ABORTED_SUFFIX, ABORTED_SUFFIX CLEAN_SUFFIX);
        plog_path(dir, p->base, ABORTED_SUFFIX, path);
        return file_unlink(path);
}

static int finish(const char *dir, const struct plan *p)
{
        struct sweep all = { dir, p->base, p->end, false };
        char path[PLOG_PATH_MAX];
        int r;

        r = put_in_place(dir, p->base, SEGMENT_SUFFIX, SEGMENT_SUFFIX CLEAN_SUFFIX);
        if (!r)
                r = put_in_place(dir, p->base, INDEX_SUFFIX, INDEX_SUFFIX CLEAN_SUFFIX);
        if (!r)
                r = put_aborted_in_place(dir, p);
        if (!r)
                r = file_sync_dir(dir); /* the new is there before the old goes */
        if (!r)
                r = file_list(dir, sweep_one, &all);
        if (!r)
                r = file_sync_dir(dir);
        if (r)
                return r;
        plog_path_of(dir, SWAP_NAME, path);
        r = file_unlink(path);
        /* It must not come back: the names that it removes may be used again. */
        return r ? r : file_sync_dir(dir);
}

int swap_redo(const char *dir, const char *log_name)
{
        struct sweep left = { .dir = dir, .clean_only = true };
        char clean[PLOG_PATH_MAX], placed[PLOG_PATH_MAX], path[PLOG_PATH_MAX];
        struct plan p = { 0 };
        int r = journal_read(dir, &p);

        if (r < 0)
                return r;
        if (r) {
                plog_path(dir, p.base, SEGMENT_SUFFIX CLEAN_SUFFIX, clean);
                plog_path(dir, p.base, SEGMENT_SUFFIX, placed);
                if (size_of(clean) == p.size || (size_of(clean) == -ENOENT && size_of(placed) == p.size)) {
                        r = file_sync_dir(dir); /* `swap` may be in the page cache only */
                        return r ? r : finish(dir, &p);
                }
                diag(DIAG_ERROR,
                     "%s: %s says that segment %020lld was to be replaced, and the new one is not as it says; the old "
                     "ones are kept",
                     log_name, dir, (long long)p.base);
        }
        r = file_list(dir, sweep_one, &left);
        if (r)
                return r;
        plog_path_of(dir, SWAP_NAME, path);
        return file_unlink(path);
}

/* ---- in memory ---- */

/* Where @old stands in the log; -1 when it does not stand there any more as it did. plog.lock held. */
static ptrdiff_t find_run(const struct plog *pl, struct segment **old, size_t count)
{
        ptrdiff_t i = segments_find(pl, old[0]->base_offset);

        if (i < 0 || (size_t)i + count > pl->segments_count)
                return -1;
        for (size_t k = 0; k < count; k++)
                if (pl->segments[(size_t)i + k] != old[k] || !old[k]->sealed)
                        return -1;
        return i;
}

static int check(struct plog *pl, struct segment **old, size_t count)
{
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        if (pl->state != PLOG_OPEN)
                r = pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : PLOG_E_FAILED;
        else if (find_run(pl, old, count) < 0)
                r = PLOG_E_NOT_FOUND;
        pthread_mutex_unlock(&pl->lock);
        return r;
}

/* Their names go, so their files stay open as long as they live. Under the lock, so that nobody gives an index that is being
 * built for one of them the name of the new one's. */
static int retire(struct plog *pl, struct segment **old, size_t count)
{
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        for (size_t i = 0; !r && i < count; i++)
                r = segment_retire(old[i]);
        pthread_mutex_unlock(&pl->lock);
        return r;
}

static int make_segment(struct plog *pl, const struct segment *out, struct segment **ret)
{
        CLEANUP(segment_unrefp) struct segment *s = NULL;
        char path[PLOG_PATH_MAX];
        int r;

        r = segment_new(pl, out->base_offset, &s);
        if (r)
                return r;
        plog_path(pl->dir, out->base_offset, INDEX_SUFFIX, path);
        r = pin_file_new(pl->store->files, path, &s->index.file);
        if (r)
                return r;
        s->index.filed_count = out->index.filed_count;
        s->index.filed_crc = out->index.filed_crc;
        s->next_offset = out->next_offset;
        s->size = s->synced_size = out->size;
        s->max_timestamp = out->max_timestamp;
        s->max_timestamp_offset = out->max_timestamp_offset;
        s->first_timestamp = out->first_timestamp;
        s->created_ms = out->created_ms;
        s->sealed = s->index_filed = true;
        s->aborted_where = out->aborted_where;
        *ret = TAKE_PTR(s);
        return 0;
}

static void replace(struct plog *pl, struct segment **old, size_t count, struct segment *s)
{
        size_t i;

        pthread_mutex_lock(&pl->lock);
        i = (size_t)find_run(pl, old, count); /* plog.work is held since check(): nobody changes the list */
        pl->size_bytes += s->size;
        for (size_t k = 0; k < count; k++)
                pl->size_bytes -= old[k]->size;
        pl->segments[i] = s;
        memmove(&pl->segments[i + 1], &pl->segments[i + count],
                (pl->segments_count - i - count) * sizeof pl->segments[0]);
        pl->segments_count -= count - 1;
        /* Every batch was compared with its CRC when it was read for the new one. */
        if (damage_clear(&pl->damage, s->base_offset, s->next_offset))
                pl->damage_dirty = true;
        pthread_mutex_unlock(&pl->lock);
        for (size_t k = 0; k < count; k++)
                segment_unref(old[k]); /* the list's reference */
}

static void fail(struct plog *pl, int error)
{
        pthread_mutex_lock(&pl->lock);
        plog_fail(pl, "replacing segments", error);
        pthread_mutex_unlock(&pl->lock);
}

/* The journal is there and durable, or it is not there. If neither can be had, the log is FAILED. */
static int journal_begin(struct plog *pl, const struct plan *p)
{
        int r = journal_write(pl->dir, p), undone;
        char path[PLOG_PATH_MAX];

        if (!r)
                return 0;
        plog_path_of(pl->dir, SWAP_NAME, path);
        undone = file_unlink(path);
        if (!undone)
                undone = file_sync_dir(pl->dir);
        if (undone)
                fail(pl, undone);
        return r;
}

int swap_in(struct plog *pl, struct segment **old, size_t old_count, struct segment *out)
{
        const struct plan p = { .base = out->base_offset,
                                .end = out->next_offset,
                                .size = out->size,
                                .has_aborted = out->aborted_where == ABORTED_FILED };
        CLEANUP(segment_unrefp) struct segment *s = NULL;
        int r = check(pl, old, old_count);

        /* No checkpoint may speak of a position in a file that goes. */
        if (!r)
                r = checkpoint_make(pl, true);
        if (!r)
                r = make_segment(pl, out, &s);
        if (!r)
                r = retire(pl, old, old_count);
        if (!r)
                r = file_sync_dir(pl->dir);
        if (!r)
                r = journal_begin(pl, &p);
        if (r)
                return r;
        r = finish(pl->dir, &p);
        if (r) {
                fail(pl, r);
                return r;
        }
        replace(pl, old, old_count, TAKE_PTR(s));
        return 0;
}
