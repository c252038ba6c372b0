/* What readers of committed records may see: the last stable offset, and which transactions below it were aborted (KIP-98).
 *
 * The aborted transactions that end in the active segment are part of the producer state; with a segment that is sealed they
 * go into its BASE.txn, and memory forgets them:
 *
 *   NONE --segment_take_aborted()--> MEMORY --segment_file_aborted()--> FILED <--footer, folder-- UNKNOWN (after a start)
 *
 * A file that is missing or damaged is made again from the batches. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/diag.h"
#include "sys/file.h"

int64_t plog_stable_offset(struct plog *pl, int64_t high_watermark)
{
        int64_t unstable;

        pthread_mutex_lock(&pl->lock);
        producers_replicated(&pl->producers, high_watermark);
        unstable = MAX2(producers_unstable(&pl->producers), pl->start);
        pthread_mutex_unlock(&pl->lock);
        return MIN2(high_watermark, unstable);
}

/* ---- lists of segments ---- */

void segment_set_aborted(struct plog *pl, struct segment *s, enum aborted_where where)
{
        if (where != ABORTED_MEMORY)
                aborted_fini(&s->aborted);
        s->aborted_file = pin_file_unref(s->aborted_file); /* one that is open is of the list before */
        s->aborted_where = where;
        if (where != ABORTED_NONE)
                pl->has_aborted = true;
}

void segment_take_aborted(struct plog *pl, struct segment *s)
{
        struct producers *p = &pl->producers;

        if (p->aborted.count) {
                aborted_fini(&s->aborted);
                s->aborted = p->aborted;
                p->aborted = (struct aborted){ 0 };
                segment_set_aborted(pl, s, ABORTED_MEMORY);
        }
        p->aborted_from = s->next_offset;
}

static int write_file(struct plog *pl, int64_t base_offset, const struct aborted *list)
{
        char path[PLOG_PATH_MAX];
        void *data;
        size_t len;
        int r = aborted_encode(list, base_offset, &data, &len);

        if (r)
                return r;
        plog_path(pl->dir, base_offset, ABORTED_SUFFIX, path);
        r = file_replace(path, span_of(data, len));
        free(data);
        return r;
}

enum aborted_where segment_where_aborted(struct plog *pl, const struct segment *s)
{
        enum aborted_where where;

        pthread_mutex_lock(&pl->lock);
        where = s->aborted_where;
        pthread_mutex_unlock(&pl->lock);
        return where;
}

void segment_file_aborted(struct plog *pl, struct segment *s)
{
        /* A list in memory does not change any more, and only plog.work takes it away. */
        if (segment_where_aborted(pl, s) != ABORTED_MEMORY || write_file(pl, s->base_offset, &s->aborted))
                return;
        pthread_mutex_lock(&pl->lock);
        segment_set_aborted(pl, s, ABORTED_FILED);
        pthread_mutex_unlock(&pl->lock);
}

uint32_t aborted_count_segments(const struct plog *pl, const struct checkpoint *c)
{
        int64_t reach = c->segment_base >= 0 ? c->segment_base : c->end_offset;
        uint32_t count = 0;

        if (!pl->has_aborted)
                return 0;
        for (size_t i = 0; i < pl->segments_count && pl->segments[i]->base_offset < reach; i++)
                count += pl->segments[i]->aborted_where != ABORTED_NONE;
        return count;
}

/* ---- files ---- */

/* The file, to be opened; NULL when memory is out. plog.lock held. */
static struct plog_pin *pin_of(struct plog *pl, struct segment *s)
{
        char path[PLOG_PATH_MAX];

        plog_path(pl->dir, s->base_offset, ABORTED_SUFFIX, path);
        if (!s->aborted_file && pin_file_new(pl->store->files, path, &s->aborted_file))
                return NULL;
        return pin_file_ref(s->aborted_file);
}

static int read_all(int fd, bool may_block, void **ret_data, size_t *ret_len)
{
        int64_t size = file_size(fd);
        CLEANUP(freep) char *data = NULL;
        ssize_t n;

        if (size < 0)
                return (int)size;
        if (size > (int64_t)(sizeof(struct disk_aborted_header) + ABORTED_MAX * sizeof(struct disk_aborted)))
                return -EUCLEAN;
        data = malloc((size_t)size + 1);
        if (!data)
                return -ENOMEM;
        n = may_block ? file_pread(fd, data, (size_t)size, 0) : file_pread_nowait(fd, data, (size_t)size, 0);
        if (n == -EOPNOTSUPP && !may_block)
                n = -EAGAIN;
        if (n < 0)
                return (int)n;
        *ret_len = (size_t)n;
        *ret_data = TAKE_PTR(data);
        return 0;
}

/* Return: 0; -ENOENT, -EUCLEAN: to be made again; -EAGAIN; other negative errno. */
static int load_file(struct plog *pl, struct segment *s, bool may_block, struct aborted *ret)
{
        CLEANUP(pin_file_unrefp) struct plog_pin *file = NULL;
        CLEANUP(freep) void *data = NULL;
        size_t len = 0;
        int fd, r;

        pthread_mutex_lock(&pl->lock);
        file = pin_of(pl, s);
        pthread_mutex_unlock(&pl->lock);
        if (!file)
                return -ENOMEM;
        fd = pin_file_pin(file, 0);
        if (fd < 0)
                return fd;
        r = read_all(fd, may_block, &data, &len);
        pin_file_unpin(file);
        return r ? r : aborted_decode(ret, span_of(data, len), s->base_offset);
}

/* ---- made again ---- */

static bool is_listed(const struct plog *pl, const struct segment *s)
{
        ptrdiff_t i = segments_find(pl, s->base_offset);

        return pl->state != PLOG_CLOSED && i >= 0 && pl->segments[i] == s;
}

/* All batches of @s into @p. Unlike plog_replay() it does not take damage for the end. */
static int replay_segment(struct segment *s, struct producers *p)
{
        const struct walk_range range = segment_whole(s, s->size);
        struct batch_header h;
        struct walk w;
        int64_t pos;
        int fd = pin_file_pin(s->file, 0), r;

        if (fd < 0)
                return fd;
        walk_init(&w, fd, &range, false);
        while ((r = walk_next(&w, &h, &pos)) > 0) {
                r = producers_replay(p, &(struct replay){ &h, fd, pos });
                if (r)
                        break;
        }
        pin_file_unpin(s->file);
        return r;
}

static int find_again(struct plog *pl, struct segment *s, struct aborted *ret)
{
        struct producers p = { 0 };
        int r;

        r = producers_recover(
                pl,
                &(struct producers_want){ .offset = s->base_offset, .aborted_from = s->base_offset, .known_empty = -1 },
                &p);
        if (!r)
                r = replay_segment(s, &p);
        if (!r) {
                *ret = p.aborted;
                p.aborted = (struct aborted){ 0 };
        }
        producers_fini(&p);
        return r;
}

/* Return: 0; -ENOENT the segment is not the log's any more; -EUCLEAN its batches are damaged; other negative errno. */
static int make_again(struct plog *pl, struct segment *s, struct aborted *ret)
{
        bool listed;
        int r;

        pthread_mutex_lock(&pl->work);
        pthread_mutex_lock(&pl->lock);
        listed = is_listed(pl, s);
        pthread_mutex_unlock(&pl->lock);
        r = listed ? load_file(pl, s, true, ret) : -ENOENT; /* another thread may have made it meanwhile */
        if (listed && (r == -ENOENT || r == -EUCLEAN)) {
                diag(DIAG_NOTICE,
                     "%s: the list of aborted transactions %020lld" ABORTED_SUFFIX " is missing or damaged; it is made "
                     "again from the batches",
                     pl->name, (long long)s->base_offset);
                r = find_again(pl, s, ret);
                if (!r && write_file(pl, s->base_offset, ret))
                        r = 0; /* the next reader tries again */
                pthread_mutex_lock(&pl->lock);
                s->aborted_file = pin_file_unref(s->aborted_file); /* an open one is of the file before */
                pthread_mutex_unlock(&pl->lock);
        }
        pthread_mutex_unlock(&pl->work);
        return r;
}

/* Return: 0; -EAGAIN; -ENOENT the segment is not the log's any more; PLOG_E_DAMAGED; other negative errno. */
static int load(struct plog *pl, struct segment *s, bool may_block, struct aborted *ret)
{
        int r = load_file(pl, s, may_block, ret);

        if (r == -ENOENT || r == -EUCLEAN)
                r = may_block ? make_again(pl, s, ret) : -EAGAIN;
        return r == -EUCLEAN ? PLOG_E_DAMAGED : r;
}

int segment_count_aborted(struct plog *pl, struct segment *s, uint32_t *ret_count)
{
        struct aborted list = { 0 };
        int r = 0;

        if (segment_where_aborted(pl, s) == ABORTED_UNKNOWN)
                r = segment_load_index(pl, s);
        pthread_mutex_lock(&pl->lock);
        *ret_count = s->aborted.count;
        pthread_mutex_unlock(&pl->lock);
        if (!r && segment_where_aborted(pl, s) == ABORTED_FILED) {
                r = load(pl, s, true, &list);
                *ret_count = list.count;
                aborted_fini(&list);
        }
        return r == -EUCLEAN ? PLOG_E_DAMAGED : r == -ENOENT ? 0 : r;
}

/* ---- asking ---- */

/* One question, segment after segment. */
struct question {
        struct aborted_range range; /* last_from: those that ended below have been looked at */
        bool may_block;
        struct aborted found;
};

/* Go on through what memory knows. Return: 1 all is told; 0 with the segment whose file must be read, counted; or an error. */
static int ask_memory(struct plog *pl, struct question *q, struct segment **ret_segment)
{
        ptrdiff_t i = MAX2(segments_find(pl, q->range.last_from), (ptrdiff_t)0);
        int r = pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : 0;

        if (!r && !pl->has_aborted && !pl->producers.aborted.count)
                return 1;
        for (; !r && (size_t)i < pl->segments_count; i++) {
                struct segment *s = pl->segments[i];

                if (s->next_offset <= q->range.last_from)
                        continue;
                /* Where the next one begins: a segment that has lost its end may still know how that ended. */
                q->range.last_to = (size_t)i + 1 < pl->segments_count ? pl->segments[i + 1]->base_offset : INT64_MAX;
                if (s->aborted_where == ABORTED_FILED || s->aborted_where == ABORTED_UNKNOWN) {
                        *ret_segment = segment_ref(s);
                        return 0;
                }
                r = aborted_select(s->sealed ? &s->aborted : &pl->producers.aborted, &q->range, &q->found);
                q->range.last_from = q->range.last_to;
        }
        return r ? r : 1;
}

/* The list of a segment that was replaced is dropped with it, and that of the new one may be in its place already: only what
 * ended in the old one is taken, and the rest from the new one. */
static int ask_file(struct plog *pl, struct question *q, struct segment *s)
{
        struct aborted list = { 0 };
        enum aborted_where where = segment_where_aborted(pl, s);
        bool listed;
        int r;

        if (where == ABORTED_UNKNOWN) {
                r = q->may_block ? segment_load_index(pl, s) : -EAGAIN;
                return r == -EUCLEAN ? PLOG_E_DAMAGED : r;
        }
        if (where != ABORTED_FILED)
                return 0; /* truncated meanwhile: look again */
        r = load(pl, s, q->may_block, &list);
        if (!r) {
                r = aborted_select(&list, &q->range, &q->found);
                q->range.last_from = q->range.last_to;
        }
        aborted_fini(&list);
        if (r != -ENOENT)
                return r;
        pthread_mutex_lock(&pl->lock);
        listed = is_listed(pl, s);
        pthread_mutex_unlock(&pl->lock);
        return listed ? PLOG_E_DAMAGED : 0; /* replaced or removed: look again */
}

static int compare_first(const void *a, const void *b)
{
        const struct plog_aborted *x = a, *y = b;

        return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

int plog_aborted(struct plog *pl, int64_t from_offset, int64_t to_offset, bool may_block,
                 struct plog_aborted **ret_list, size_t *ret_count)
{
        struct question q = { .range = { .from = from_offset, .to = to_offset, .last_from = from_offset },
                              .may_block = may_block };
        int r;

        assert(pl->magic == PLOG_MAGIC);
        do {
                CLEANUP(segment_unrefp) struct segment *s = NULL;

                pthread_mutex_lock(&pl->lock);
                r = ask_memory(pl, &q, &s);
                pthread_mutex_unlock(&pl->lock);
                if (!r)
                        r = ask_file(pl, &q, s);
        } while (!r);
        if (r != 1) {
                aborted_fini(&q.found);
                return r;
        }
        if (q.found.count)
                qsort(q.found.entries, q.found.count, sizeof *q.found.entries, compare_first);
        *ret_list = q.found.entries;
        *ret_count = q.found.count;
        return 0;
}
