/* One segment of a log: a file of batches, append only, immutable once sealed.
 *
 *            segment_new()                 segment_roll()              flush: data synced, footer written
 *   (none) ---------------> active, empty ----------------> sealed -----------------------------> sealed, index filed
 *
 * After a start, sealed segments know nothing of their content but base and size; segment_load_index() reads the rest
 * when it is wanted first. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

int segment_new(struct plog *pl, int64_t base_offset, struct segment **ret_segment)
{
        char path[PLOG_PATH_MAX];
        struct segment *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        plog_path(pl->dir, base_offset, SEGMENT_SUFFIX, path);
        r = pin_file_new(pl->store->files, path, &s->file);
        if (r) {
                free(s);
                return r;
        }
        atomic_init(&s->refs, 1);
        s->base_offset = s->next_offset = base_offset;
        s->max_timestamp = s->max_timestamp_offset = s->first_timestamp = -1;
        s->created_ms = clock_wall_ms();
        if (pl->conf.segment_jitter_ms > 0)
                s->jitter_ms = (int64_t)(random_u64() % (uint64_t)pl->conf.segment_jitter_ms);
        s->summary_known = s->index_checked = true;
        s->dirty_fd = -1;
        *ret_segment = s;
        return 0;
}

struct segment *segment_ref(struct segment *s)
{
        atomic_fetch_add(&s->refs, 1);
        return s;
}

static void release_open(struct plog_pin **file)
{
        if (*file)
                pin_file_unpin(*file);
        *file = pin_file_unref(*file);
}

static int keep_pinned(struct plog_pin *file, struct plog_pin **ret_kept)
{
        int fd = !file || *ret_kept ? 0 : pin_file_pin(file, 0);

        if (fd < 0)
                return fd;
        if (file && !*ret_kept)
                *ret_kept = pin_file_ref(file);
        return 0;
}

int segment_retire(struct segment *s)
{
        int fd = keep_pinned(s->file, &s->retired_file);

        if (fd < 0)
                return fd;
        fd = keep_pinned(s->index.file, &s->retired_index);
        if (!fd)
                fd = keep_pinned(s->aborted_file, &s->retired_aborted);
        return fd == -ENOENT ? 0 : fd; /* those that are open already stay so, which does no harm */
}

struct segment *segment_unref(struct segment *s)
{
        if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
                return NULL;
        if (s->dirty_fd >= 0)
                pin_file_unpin(s->file);
        release_open(&s->retired_file);
        release_open(&s->retired_index);
        release_open(&s->retired_aborted);
        pin_file_unref(s->file);
        pin_file_unref(s->aborted_file);
        index_fini(&s->index);
        aborted_fini(&s->aborted);
        free(s->snapshot);
        free(s);
        return NULL;
}

int segments_push(struct plog *pl, struct segment *s)
{
        if (pl->segments_count == pl->segments_size) {
                size_t size = pl->segments_size ? pl->segments_size * 2 : 2;
                struct segment **n = realloc(pl->segments, size * sizeof(struct segment *));

                if (!n)
                        return -ENOMEM;
                pl->segments = n;
                pl->segments_size = size;
        }
        pl->segments[pl->segments_count++] = s;
        return 0;
}

ptrdiff_t segments_find(const struct plog *pl, int64_t offset)
{
        size_t lo = 0, hi = pl->segments_count;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (pl->segments[mid]->base_offset <= offset)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return (ptrdiff_t)lo - 1;
}

/* Kafka's rule: by size, by the age of the first batch in record time (by the clock where records have none), by what
 * offsets and index can express. */
bool segment_must_roll(const struct plog *pl, const struct segment *s, const struct batch_header *h, int64_t now_ms)
{
        int64_t age_ms;

        if (!s->size)
                return false;
        if (s->size + batch_size(h) > pl->conf.segment_bytes || index_count(&s->index) >= INDEX_ENTRIES_MAX ||
            pl->producers.aborted.count >= ABORTED_MAX || batch_last_offset(h) - s->base_offset > INT32_MAX)
                return true;
        age_ms = s->first_timestamp >= 0 && h->max_timestamp >= 0 ? h->max_timestamp - s->first_timestamp
                                                                  : now_ms - s->created_ms;
        return age_ms > pl->conf.segment_ms - s->jitter_ms;
}

void segment_seal(struct plog *pl, struct segment *s)
{
        s->sealed = true;
        segment_take_aborted(pl, s);
        /* Without memory for the snapshot an older one serves: recovery reads more. */
        if (producers_any(&pl->producers) &&
            producers_encode(&pl->producers, s->next_offset, &s->snapshot, &s->snapshot_len))
                s->snapshot = NULL;
}

int segment_roll(struct plog *pl)
{
        struct segment *s = plog_active(pl);

        assert(s && s->size);
        segment_seal(pl, s);
        recent_reset(&pl->recent);
        flush_want(pl);
        return 0;
}

static void spill(struct segment *s, struct files *files, const char *dir, const char *suffix)
{
        char path[PLOG_PATH_MAX];

        plog_path(dir, s->base_offset, suffix, path);
        (void)index_spill(&s->index, files, path); /* thinned out when it cannot be written */
}

/* What both appending and building again keep of a batch. */
void segment_account(struct segment *s, struct files *files, const char *dir, int64_t interval_len,
                     const struct batch_header *h, const char *suffix)
{
        if (s->size && s->since_entry_len >= interval_len) {
                const struct index_entry e = { .rel_offset = (uint32_t)(h->base_offset - s->base_offset),
                                               .pos = (uint32_t)s->size,
                                               .max_before = s->max_timestamp };

                if (index_is_full(&s->index))
                        spill(s, files, dir, suffix);
                index_add(&s->index, &e);
                s->since_entry_len = 0;
        }
        if (!s->size)
                s->first_timestamp = h->max_timestamp;
        if (h->max_timestamp > s->max_timestamp || s->max_timestamp_offset < 0) {
                s->max_timestamp = h->max_timestamp;
                s->max_timestamp_offset = h->base_offset;
        }
        s->size += batch_size(h);
        s->since_entry_len += batch_size(h);
        s->next_offset = batch_last_offset(h) + 1;
}

void segment_note(struct plog *pl, struct segment *s, const struct batch_header *h)
{
        segment_account(s, pl->store->files, pl->dir, pl->conf.index_interval_bytes, h, INDEX_SUFFIX);
}

/* ---- index of a sealed segment ---- */

bool segment_footer(struct plog *pl, const struct segment *s, struct index_footer *ret)
{
        char path[PLOG_PATH_MAX];
        int fd, r;

        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return false;
        r = index_read_footer(fd, ret);
        file_close(fd);
        return !r && ret->size == s->size && ret->next_offset >= s->base_offset;
}

static void install(struct plog *pl, struct segment *s, struct plog_pin *file, const struct index_footer *f)
{
        pthread_mutex_lock(&pl->lock);
        if (!s->index_checked) {
                index_fini(&s->index);
                s->index = (struct index){ .file = pin_file_ref(file),
                                           .filed_count = f->count,
                                           .filed_crc = f->entries_crc };
                s->max_timestamp = f->max_timestamp;
                s->max_timestamp_offset = f->max_timestamp_offset;
                s->first_timestamp = f->first_timestamp;
                s->summary_known = s->index_checked = s->index_filed = true;
                if (f->aborted != (s->aborted_where != ABORTED_NONE) || s->aborted_where == ABORTED_UNKNOWN)
                        segment_set_aborted(pl, s, f->aborted ? ABORTED_FILED : ABORTED_NONE);
                /* Names of segments touch: one that ends before the next one begins has lost its end. */
                if (f->next_offset < s->next_offset) {
                        holes_mark(pl, f->next_offset, s->next_offset);
                        s->next_offset = f->next_offset;
                }
        }
        pthread_mutex_unlock(&pl->lock);
}

static int load_footer(struct plog *pl, struct segment *s, const char *path)
{
        CLEANUP(pin_file_unrefp) struct plog_pin *file = NULL;
        struct index_footer f;
        int fd, r;

        r = pin_file_new(pl->store->files, path, &file);
        if (r)
                return r;
        fd = pin_file_pin(file, 0);
        if (fd < 0)
                return fd;
        r = index_read_footer(fd, &f);
        if (!r && f.size != s->size)
                r = -EUCLEAN;
        if (!r)
                r = index_check_entries(fd, f.count, f.entries_crc);
        pin_file_unpin(file);
        if (!r)
                install(pl, s, file, &f);
        return r;
}

void segment_skips(struct plog *pl, const struct segment *s, struct walk_skips *ret)
{
        pthread_mutex_lock(&pl->lock);
        damage_skips(&pl->damage, s->base_offset, ret);
        pthread_mutex_unlock(&pl->lock);
}

static int walk_whole(struct plog *pl, struct segment *from, struct segment *to, const char *suffix)
{
        struct walk_skips skips;
        struct walk_range range;
        struct walk w;
        struct batch_header h;
        int64_t pos;
        int fd = pin_file_pin(from->file, 0), r;

        if (fd < 0)
                return fd;
        range = segment_whole(from, from->size);
        segment_skips(pl, from, &skips);
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        while ((r = walk_next(&w, &h, &pos)) > 0) {
                struct batch_marker m;

                to->size = pos; /* behind what was left out */
                segment_account(to, pl->store->files, pl->dir, pl->conf.index_interval_bytes, &h, suffix);
                if (!batch_is_control(&h) || to->aborted_where != ABORTED_NONE)
                        continue;
                r = walk_marker(fd, pos, &h, &m);
                if (r < 0)
                        break;
                if (r && m.type == BATCH_MARKER_ABORT)
                        to->aborted_where = ABORTED_FILED; /* or is made when it is wanted */
        }
        to->next_offset = MAX2(to->next_offset, w.next_offset);
        pin_file_unpin(from->file);
        return r;
}

/* The marker of an aborted transaction may lie in damage that a walk leaves out: what was noted of it before still holds. */
static bool lost_aborted(struct plog *pl, const struct segment *s)
{
        char path[PLOG_PATH_MAX];
        struct walk_skips skips;
        struct file_info info;

        segment_skips(pl, s, &skips);
        plog_path(pl->dir, s->base_offset, ABORTED_SUFFIX, path);
        return skips.count && !file_info(path, &info);
}

/* The new index gets its name when it is whole, so that readers of an old one are not disturbed. -EUCLEAN: the batches cannot
 * be walked over, or the segment is not the log's any more. */
static int build_again(struct plog *pl, struct segment *s, const char *path)
{
        struct segment t = { .base_offset = s->base_offset,
                             .next_offset = s->base_offset,
                             .max_timestamp = -1,
                             .max_timestamp_offset = -1,
                             .first_timestamp = -1 };
        char tmp_path[PLOG_PATH_MAX];
        ptrdiff_t i;
        int r;

        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX ".new", tmp_path);
        r = walk_whole(pl, s, &t, INDEX_SUFFIX ".new");
        if (!r)
                r = index_seal(
                        &t.index, pl->store->files, tmp_path,
                        &(struct index_footer){ .size = s->size,
                                                .next_offset = t.next_offset,
                                                .max_timestamp = t.max_timestamp,
                                                .max_timestamp_offset = t.max_timestamp_offset,
                                                .first_timestamp = t.first_timestamp,
                                                .aborted = t.aborted_where != ABORTED_NONE || lost_aborted(pl, s) });
        index_fini(&t.index);
        if (r)
                return r;
        pthread_mutex_lock(&pl->lock);
        i = segments_find(pl, s->base_offset);
        /* Its name may be another's by now: compaction has replaced it, or truncation and appends. */
        if (i < 0 || pl->segments[i] != s || s->retired_file) {
                (void)file_unlink(tmp_path); /* removed at the next start otherwise */
                r = -EUCLEAN;
        } else {
                r = file_rename(tmp_path, path);
        }
        pl->indexes_built += !r;
        pthread_mutex_unlock(&pl->lock);
        return r;
}

int segment_rebuild_index(struct plog *pl, struct segment *s)
{
        char path[PLOG_PATH_MAX];
        int r;

        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        pthread_mutex_lock(&pl->store->rebuild_lock);
        r = build_again(pl, s, path);
        if (!r) {
                pthread_mutex_lock(&pl->lock);
                s->index_checked = false;
                pthread_mutex_unlock(&pl->lock);
                r = load_footer(pl, s, path);
        }
        pthread_mutex_unlock(&pl->store->rebuild_lock);
        return r;
}

int segment_load_index(struct plog *pl, struct segment *s)
{
        char path[PLOG_PATH_MAX];
        bool checked;
        int r;

        pthread_mutex_lock(&pl->lock);
        checked = s->index_checked;
        pthread_mutex_unlock(&pl->lock);
        if (checked)
                return 0;
        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        r = load_footer(pl, s, path);
        if (r != -ENOENT && r != -EUCLEAN)
                return r;
        pthread_mutex_lock(&pl->store->rebuild_lock);
        r = load_footer(pl, s, path); /* another thread may have built it meanwhile */
        if (r == -ENOENT || r == -EUCLEAN) {
                diag(DIAG_NOTICE, "%s: the index %s is missing or damaged; it is built again from the batches",
                     pl->name, path);
                r = build_again(pl, s, path);
                if (!r)
                        r = load_footer(pl, s, path);
        }
        pthread_mutex_unlock(&pl->store->rebuild_lock);
        return r;
}

int segment_seek(struct plog *pl, struct segment *s, struct index_key key, bool may_block, struct index_entry *ret)
{
        CLEANUP(pin_file_unrefp) struct plog_pin *file = NULL;
        uint32_t count = 0;
        int fd, r, found;

        *ret = (struct index_entry){ .max_before = INT64_MIN };
        pthread_mutex_lock(&pl->lock);
        if (!s->index_checked) {
                pthread_mutex_unlock(&pl->lock);
                if (!may_block)
                        return -EAGAIN;
                r = segment_load_index(pl, s);
                if (r == -EUCLEAN)
                        return 0; /* walk from the start: what lies before the damage can still be read */
                if (r)
                        return r;
                pthread_mutex_lock(&pl->lock);
        }
        found = index_search_tail(&s->index, key, ret);
        if (!found && s->index.filed_count) {
                file = pin_file_ref(s->index.file);
                count = s->index.filed_count;
        }
        pthread_mutex_unlock(&pl->lock);
        if (!file)
                return 0;
        fd = pin_file_pin(file, 0);
        if (fd < 0)
                return fd;
        r = index_search_file(fd, count, key, !may_block, ret);
        pin_file_unpin(file);
        if (r == -EUCLEAN || r == 0)
                *ret = (struct index_entry){ .max_before = INT64_MIN };
        return r == -EUCLEAN || r > 0 ? 0 : r;
}
