/* Group commit, clocked by itself (DESIGN.md "Life of a record" 4): a round of syncs starts when data waits and no round
 * runs; it takes all logs that wait, syncs each on a few pool threads, and the next round starts at once when there is
 * new data by then. The more is written, the more each sync covers.
 *
 * A sync credits only what was appended before it began, and never past an earlier segment that is not synced.
 * A sync that fails is believed: the log is FAILED, its durable end stays where it was, and what lies behind is cut off. The
 * page cache may still hold those bytes although the disk does not, and a start that read them there would take them for
 * durable (DESIGN.md "What must always be true" 5). */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum {
        FLUSH_WORKERS_MAX = 4, /* pool threads that sync side by side: file systems commit what comes together once */
        LOGS_PER_WORKER = 2,   /* below this many logs one more thread does not pay */
        TICK_CHECKPOINTS_MAX = 32 /* asked for at one tick, so that flushes are not held up */
};

void plog_fail(struct plog *pl, const char *what, int error)
{
        if (pl->state != PLOG_OPEN)
                return;
        pl->state = PLOG_FAILED;
        atomic_fetch_add(&pl->store->logs_failed, 1);
        diag_about(DIAG_ERROR,
                   DIAG_ABOUT(LOG_READ_ONLY, { "LOG", .text = str_of(pl->name) },
                              { "OFFSET", .number = pl->durable_end }, { "ERRNO", .number = -error }),
                   "%s: %s in %s failed: %s; the log is read-only up to offset %lld: check the disk, then restart the "
                   "node to recover what is on it",
                   pl->name, what, pl->dir, strerror(-error), (long long)pl->durable_end);
}

/* ---- one log ---- */

/* What one sync works on: taken under the lock, used without it. */
struct flush_goal {
        int64_t end;
        int64_t records;
};

static int goal_take(struct plog *pl, struct flush_goal *g)
{
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        pl->flush_queued = pl->flush_again = false;
        *g = (struct flush_goal){ .end = pl->end, .records = pl->unsynced_records };
        if (pl->state != PLOG_OPEN)
                r = pl->state == PLOG_FAILED ? PLOG_E_FAILED : PLOG_E_CLOSED;
        pthread_mutex_unlock(&pl->lock);
        return r;
}

/* One segment that needs something, as it was when the sync began. */
struct flush_item {
        struct segment *segment;
        struct index_footer footer; /* of a sealed one */
        bool dirty, sealed;
};

enum { FLUSH_ITEMS_MAX = 8 };

/* The oldest segments with unsynced bytes, or sealed without their index on disk. */
static unsigned items_take(struct plog *pl, struct flush_item *items)
{
        size_t first;
        unsigned count = 0;

        pthread_mutex_lock(&pl->lock);
        for (first = pl->segments_count; first > 0; first--) {
                const struct segment *s = pl->segments[first - 1];

                if (s->sealed && s->synced_size == s->size && !s->cut_back && (s->index_filed || !s->index_checked))
                        break; /* and so are all before it */
        }
        for (; first < pl->segments_count && count < FLUSH_ITEMS_MAX; first++) {
                struct segment *s = pl->segments[first];

                if (!s->size)
                        continue;
                items[count++] = (struct flush_item){
                        .segment = segment_ref(s),
                        .dirty = s->synced_size < s->size || s->cut_back,
                        .sealed = s->sealed,
                        .footer = { .size = s->size,
                                    .next_offset = s->next_offset,
                                    .max_timestamp = s->max_timestamp,
                                    .max_timestamp_offset = s->max_timestamp_offset,
                                    .first_timestamp = s->first_timestamp,
                                    .aborted = s->aborted_where != ABORTED_NONE },
                };
                s->cut_back = false;
        }
        pthread_mutex_unlock(&pl->lock);
        return count;
}

static void count_sync(struct plog_store *st, int64_t ns)
{
        unsigned long max = atomic_load(&st->flush_ns_max);

        atomic_fetch_add(&st->flushes, 1);
        atomic_fetch_add(&st->flush_ns_total, (unsigned long)ns);
        while ((unsigned long)ns > max && !atomic_compare_exchange_weak(&st->flush_ns_max, &max, (unsigned long)ns))
                ;
}

/* A sync that finds no room has lost what it should have written, as with any other error: it is none to be tried again. */
static int sync_outcome(int r)
{
        return plog_is_no_room(r) ? -EIO : r;
}

static int sync_segment(struct plog *pl, struct segment *s, int64_t size)
{
        int64_t start_ns = clock_mono_ns();
        int r;

        assert(s->dirty_fd >= 0); /* only syncing takes it away, and plog.work is held */
        r = sync_outcome(file_sync(s->dirty_fd));
        count_sync(pl->store, clock_mono_ns() - start_ns);
        if (r)
                return r;
        pthread_mutex_lock(&pl->lock);
        s->synced_size = MAX2(s->synced_size, size);
        if (s->synced_size == s->size && !s->cut_back) {
                s->dirty_fd = -1;
                pin_file_unpin(s->file);
        }
        pthread_mutex_unlock(&pl->lock);
        return 0;
}

/* Blocks are reserved behind the end while the segment grows, and given back when it is sealed. */
static void reserve(struct plog *pl, struct segment *s)
{
        int64_t step = pl->store->preallocate_step_len, size, end;
        int fd = pin_file_pin(s->file, 0);
        bool sealed;

        if (fd < 0)
                return;
        pthread_mutex_lock(&pl->lock);
        sealed = s->sealed;
        size = s->size;
        end = MAX2(s->reserved_end, size);
        pthread_mutex_unlock(&pl->lock);
        if (sealed && end > size)
                (void)file_truncate(fd, size); /* costs room until the segment goes, nothing else */
        if (!sealed && step > 0 && size >= step && end - size < step / 2 && !file_reserve(fd, end, step)) {
                pthread_mutex_lock(&pl->lock);
                s->reserved_end = end + step;
                pthread_mutex_unlock(&pl->lock);
        }
        pin_file_unpin(s->file);
}

/* Snapshot and index of a sealed segment. They can be made again, so failing to write them fails nothing. The snapshot comes
 * first: a segment whose index has its footer is not read at a start, and the producers before the next one are known from
 * the snapshot alone when the segment has been retained away. */
static void file_sealed(struct plog *pl, struct segment *s, const struct index_footer *footer)
{
        char path[PLOG_PATH_MAX];

        if (s->snapshot) {
                plog_path(pl->dir, s->next_offset, SNAPSHOT_SUFFIX, path);
                (void)file_replace(path, span_of(s->snapshot, s->snapshot_len));
                free(s->snapshot);
                s->snapshot = NULL;
        }
        segment_file_aborted(pl, s); /* before the index says that there are some */
        plog_path(pl->dir, s->base_offset, INDEX_SUFFIX, path);
        pthread_mutex_lock(&pl->lock);
        (void)index_seal(&s->index, pl->store->files, path, footer);
        s->index_filed = true;
        pthread_mutex_unlock(&pl->lock);
}

/* It is written again, so that this sync covers it whatever became of an earlier one. */
static int sync_meta(struct plog *pl)
{
        char path[PLOG_PATH_MAX], *slash;
        int r = plog_write_meta(pl->dir, pl->topic_id, pl->partition, true);

        if (plog_is_no_room(r))
                return -ENOSPC;
        snprintf(path, sizeof path, "%s", pl->dir);
        slash = strrchr(path, '/');
        if (slash && slash > path)
                *slash = '\0';
        if (!r)
                r = sync_outcome(file_sync_dir(slash ? path : "."));
        pl->meta_written = !r;
        return r;
}

/* Leader epochs and names as they are by now. With the first name the folder's own one and its identity are made
 * durable. */
static int sync_folder(struct plog *pl)
{
        CLEANUP(freep) void *epochs = NULL;
        char path[PLOG_PATH_MAX];
        size_t epochs_len = 0;
        bool names;
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        names = pl->dir_dirty;
        if (pl->epochs_dirty)
                r = epochs_encode(&pl->epochs, &epochs, &epochs_len);
        if (!r)
                pl->dir_dirty = pl->epochs_dirty = false;
        pthread_mutex_unlock(&pl->lock);
        if (!r && epochs) {
                plog_path_of(pl->dir, EPOCHS_NAME, path);
                r = file_replace(path, span_of(epochs, epochs_len));
        }
        if (plog_is_no_room(r))
                r = -ENOSPC; /* the old file stands, and the next try writes all of it again */
        if (!r && names)
                r = sync_outcome(file_sync_dir(pl->dir));
        if (!r && names && !pl->meta_written)
                r = sync_meta(pl);
        if (r) { /* for another try, if there is one */
                pthread_mutex_lock(&pl->lock);
                pl->dir_dirty |= names;
                pl->epochs_dirty |= epochs != NULL;
                pthread_mutex_unlock(&pl->lock);
        }
        return r;
}

static int sync_item(struct plog *pl, const struct flush_item *item)
{
        int r = item->dirty ? sync_segment(pl, item->segment, item->footer.size) : 0;

        if (!r)
                reserve(pl, item->segment);
        return r;
}

/* A footer proves that the segment is on stable storage, with its name and its epochs: it is written last. */
static int sync_all(struct plog *pl)
{
        struct flush_item items[FLUSH_ITEMS_MAX];
        unsigned count;
        int r = 0;

        do {
                count = items_take(pl, items);
                for (unsigned i = 0; i < count && !r; i++)
                        r = sync_item(pl, &items[i]);
                if (!r)
                        r = sync_folder(pl);
                for (unsigned i = 0; i < count; i++) {
                        if (!r && items[i].sealed)
                                file_sealed(pl, items[i].segment, &items[i].footer);
                        segment_unref(items[i].segment);
                }
        } while (!r && count == FLUSH_ITEMS_MAX);
        return r;
}

/* What was not synced goes, so that nobody ever reads it. The log is FAILED: nothing is appended. plog.work held. */
static void discard_unsynced(struct plog *pl)
{
        for (size_t i = pl->segments_count; i-- > 0;) {
                struct segment *s = pl->segments[i];
                int r = s->dirty_fd < 0 ? 0 : file_truncate(s->dirty_fd, s->synced_size);

                if (r)
                        diag(DIAG_ERROR,
                             "%s: what was not flushed cannot be cut off segment %020lld.log: %s; do not start the "
                             "node "
                             "again before the disk is replaced or the machine was restarted",
                             pl->name, (long long)s->base_offset, strerror(-r));
        }
}

static bool has_just_failed(struct plog *pl)
{
        bool failed;

        pthread_mutex_lock(&pl->lock);
        failed = pl->state == PLOG_FAILED && !pl->failed_durably;
        pthread_mutex_unlock(&pl->lock);
        return failed;
}

/* Nothing was lost: a later flush does what this one could not, for want of memory or of room for a side file. */
static bool is_for_later(int error)
{
        return error == -ENOMEM || error == -ENOSPC;
}

static void flush_failed(struct plog *pl, int error)
{
        if (is_for_later(error)) {
                diag_limited(DIAG_ERROR,
                             "%s: what was appended to %s cannot be acknowledged yet: no %s; it is tried again",
                             pl->name, pl->dir, error == -ENOSPC ? "room on its file system" : "memory");
                return;
        }
        atomic_fetch_add(&pl->store->flush_errors, 1);
        pthread_mutex_lock(&pl->lock);
        plog_fail(pl, "sync", error);
        pthread_mutex_unlock(&pl->lock);
}

int flush_log(struct plog *pl)
{
        struct plog_listener listener;
        struct flush_goal g;
        bool news;
        int r;

        r = goal_take(pl, &g);
        if (!r) {
                r = sync_all(pl);
                if (r)
                        flush_failed(pl, r);
        }
        if (has_just_failed(pl))
                discard_unsynced(pl);
        pthread_mutex_lock(&pl->news);
        pthread_mutex_lock(&pl->lock);
        news = !r && g.end > pl->durable_end;
        if (news)
                pl->durable_end = g.end;
        if (!r) {
                pl->unsynced_records -= g.records;
                pl->unsynced_since_ms = pl->durable_end < pl->end ? clock_mono_ms() : 0;
        }
        if (pl->state == PLOG_FAILED && !pl->failed_durably)
                news = pl->failed_durably = true;
        listener = pl->listener;
        pthread_mutex_unlock(&pl->lock);
        if (news && listener.durable)
                listener.durable(listener.arg, pl);
        pthread_mutex_unlock(&pl->news);
        return !r || is_for_later(r) ? r : PLOG_E_FAILED;
}

/* ---- rounds ---- */

void flush_unlist_behind(struct plog *pl)
{
        if (ilist_is_empty(&pl->behind_link))
                return;
        ilist_unlink(&pl->behind_link);
        pl->store->flusher.behind_count--;
}

/* After a flush and perhaps a checkpoint: is there anything that the checkpoint does not cover? plog.work held. */
static void note_behind(struct plog *pl)
{
        struct flusher *f = &pl->store->flusher;
        bool behind;

        pthread_mutex_lock(&pl->lock);
        behind = pl->state == PLOG_OPEN && pl->appended_len > pl->checkpoint_size;
        pthread_mutex_lock(&f->lock);
        if (!behind) {
                flush_unlist_behind(pl);
        } else if (ilist_is_empty(&pl->behind_link)) {
                ilist_push_back(&f->behind, &pl->behind_link);
                f->behind_count++;
                pl->behind_since_ms = clock_mono_ms();
        }
        pthread_mutex_unlock(&f->lock);
        pthread_mutex_unlock(&pl->lock);
}

/* For flush_tick() to look at. plog.lock held. */
static void list_relaxed(struct plog *pl)
{
        struct flusher *f = &pl->store->flusher;

        pthread_mutex_lock(&f->lock);
        if (ilist_is_empty(&pl->relaxed_link))
                ilist_push_back(&f->relaxed, &pl->relaxed_link);
        pthread_mutex_unlock(&f->lock);
}

static void flush_later(struct plog *pl)
{
        pthread_mutex_lock(&pl->lock);
        if (pl->state == PLOG_OPEN) {
                pl->flush_again = true;
                list_relaxed(pl);
        }
        pthread_mutex_unlock(&pl->lock);
}

static void worker_run(struct io_job *job)
{
        struct flusher *f = &container_of(job, struct flush_worker, job)->store->flusher;
        struct ilist *node;

        for (;;) {
                struct plog *pl;

                pthread_mutex_lock(&f->lock);
                node = ilist_pop_front(&f->round);
                pthread_mutex_unlock(&f->lock);
                if (!node)
                        return;
                pl = ilist_entry(node, struct plog, flush_link);
                pthread_mutex_lock(&pl->work);
                if (is_for_later(flush_log(pl)))
                        flush_later(pl); /* any other failure is in the log's state, and its listener knows */
                if (checkpoint_due(pl, clock_mono_ms()) && !checkpoint_make(pl, false))
                        checkpoint_settle(pl);
                note_behind(pl);
                pthread_mutex_unlock(&pl->work);
                plog_unref(pl);
        }
}

/* Begin a round with all that wait. flusher.lock held, no round runs. Return: how many jobs to submit. */
static unsigned round_begin(struct flusher *f)
{
        unsigned logs = 0;

        assert(!f->workers && ilist_is_empty(&f->round));
        ilist_splice_back(&f->round, &f->waiting);
        ilist_for_each (pl, &f->round, struct plog, flush_link)
                if (++logs >= FLUSH_WORKERS_MAX * LOGS_PER_WORKER)
                        break;
        f->workers = MIN2((logs + LOGS_PER_WORKER - 1) / LOGS_PER_WORKER, (unsigned)FLUSH_WORKERS_MAX);
        return f->workers;
}

static void workers_submit(struct flusher *f, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                iopool_submit(f->jobs[i].store->pool, &f->jobs[i].job);
}

/* The last worker of a round begins the next one when there is dirt again. */
static void worker_done(struct io_job *job)
{
        struct flusher *f = &container_of(job, struct flush_worker, job)->store->flusher;
        unsigned submit = 0;

        pthread_mutex_lock(&f->lock);
        if (--f->workers == 0) {
                submit = round_begin(f);
                if (!submit)
                        pthread_cond_broadcast(&f->idle);
        }
        pthread_mutex_unlock(&f->lock);
        workers_submit(f, submit);
}

void flush_want(struct plog *pl)
{
        struct flusher *f = &pl->store->flusher;
        unsigned submit = 0;

        if (pl->flush_queued)
                return;
        pl->flush_queued = true;
        pthread_mutex_lock(&f->lock);
        ilist_unlink(&pl->relaxed_link);
        if (ilist_is_empty(&pl->flush_link)) {
                plog_ref(pl);
                ilist_push_back(&f->waiting, &pl->flush_link);
        }
        if (!f->workers)
                submit = round_begin(f);
        pthread_mutex_unlock(&f->lock);
        workers_submit(f, submit);
}

void flush_note_dirty(struct plog *pl, int64_t records)
{
        bool first = !pl->unsynced_since_ms;

        pl->unsynced_records += records;
        if (first)
                pl->unsynced_since_ms = clock_mono_ms();
        if (pl->flush_queued)
                return;
        if (pl->conf.flush_before_ack || pl->unsynced_records >= pl->conf.flush_messages ||
            (first && files_over_limit(pl->store->files))) {
                flush_want(pl);
                return;
        }
        if (first)
                list_relaxed(pl);
}

static bool relaxed_is_due(struct plog *pl, int64_t now_mono_ms)
{
        return pl->flush_again || (pl->unsynced_since_ms && now_mono_ms - pl->unsynced_since_ms >= pl->conf.flush_ms);
}

/* The log that has waited longest for a checkpoint, if it must not wait longer. Counted. */
static struct plog *take_behind(struct flusher *f, int64_t now_mono_ms, bool too_much)
{
        struct plog *pl;

        pthread_mutex_lock(&f->lock);
        pl = ilist_first(&f->behind, struct plog, behind_link);
        if (pl && (too_much || now_mono_ms - pl->behind_since_ms >= CHECKPOINT_MS)) {
                flush_unlist_behind(pl);
                plog_ref(pl);
        } else {
                pl = NULL;
        }
        pthread_mutex_unlock(&f->lock);
        return pl;
}

/* Logs that are written to make checkpoints with their flushes; others are asked to. */
static void checkpoint_tick(struct plog_store *st, int64_t now_mono_ms)
{
        int64_t surplus = checkpoint_bytes_behind(st) - st->recovery_bytes_max;

        for (int i = 0; i < TICK_CHECKPOINTS_MAX; i++) {
                struct plog *pl = take_behind(&st->flusher, now_mono_ms, surplus > 0);

                if (!pl)
                        return;
                pthread_mutex_lock(&pl->lock);
                surplus -= pl->appended_len - pl->checkpoint_size;
                if (pl->state == PLOG_OPEN) {
                        pl->checkpoint_wanted = true;
                        flush_want(pl);
                }
                pthread_mutex_unlock(&pl->lock);
                plog_unref(pl);
        }
}

/* The first of them, off the list. Counted. */
static struct plog *take_relaxed(struct flusher *f)
{
        struct ilist *node;
        struct plog *pl = NULL;

        pthread_mutex_lock(&f->lock);
        node = ilist_pop_front(&f->relaxed);
        if (node) {
                pl = ilist_entry(node, struct plog, relaxed_link);
                plog_ref(pl);
        }
        pthread_mutex_unlock(&f->lock);
        return pl;
}

static size_t count_relaxed(struct flusher *f)
{
        size_t count = 0;

        pthread_mutex_lock(&f->lock);
        ilist_for_each (pl, &f->relaxed, struct plog, relaxed_link)
                count++;
        pthread_mutex_unlock(&f->lock);
        return count;
}

/* Each is taken off the list, looked at under its own lock (which comes first), and put back when not due. */
static void relaxed_tick(struct plog_store *st, int64_t now_mono_ms)
{
        struct flusher *f = &st->flusher;

        for (size_t left = count_relaxed(f); left; left--) {
                struct plog *pl = take_relaxed(f);

                if (!pl)
                        return;
                pthread_mutex_lock(&pl->lock);
                if (pl->state == PLOG_OPEN && relaxed_is_due(pl, now_mono_ms))
                        flush_want(pl);
                else if (pl->state == PLOG_OPEN && pl->unsynced_since_ms)
                        list_relaxed(pl);
                pthread_mutex_unlock(&pl->lock);
                plog_unref(pl);
        }
}

void flush_tick(struct plog_store *st, int64_t now_mono_ms)
{
        relaxed_tick(st, now_mono_ms);
        checkpoint_tick(st, now_mono_ms);
}

void flusher_drain(struct plog_store *st)
{
        struct flusher *f = &st->flusher;

        pthread_mutex_lock(&f->lock);
        while (f->workers)
                pthread_cond_wait(&f->idle, &f->lock);
        pthread_mutex_unlock(&f->lock);
}

int flusher_init(struct plog_store *st)
{
        struct flusher *f = &st->flusher;

        f->jobs = calloc(FLUSH_WORKERS_MAX, sizeof *f->jobs);
        if (!f->jobs)
                return -ENOMEM;
        for (unsigned i = 0; i < FLUSH_WORKERS_MAX; i++) {
                f->jobs[i].store = st;
                f->jobs[i].job.run = worker_run;
                f->jobs[i].job.done = worker_done;
        }
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->idle, NULL);
        ilist_init(&f->waiting);
        ilist_init(&f->round);
        ilist_init(&f->relaxed);
        ilist_init(&f->behind);
        return 0;
}

void flusher_fini(struct flusher *f)
{
        pthread_cond_destroy(&f->idle);
        pthread_mutex_destroy(&f->lock);
        free(f->jobs);
}
