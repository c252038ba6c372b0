/* What the files of this folder share: the log, its segments, the store. Nothing outside includes it.
 *
 * Locks (docs/LOCKS.md): plog.work, then plog.news, then plog.lock, then one of store.lock, flusher.lock, files.lock (leaves).
 * plog.work serialises whatever blocks on one log (flush, checkpoint, retention, truncation, closing); plog.lock is held
 * for short computations and one pwritev. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "plog/damage.h"
#include "plog/epochs.h"
#include "plog/files.h"
#include "plog/index.h"
#include "plog/plog.h"
#include "plog/producers.h"
#include "plog/store.h"
#include "plog/walk.h"

struct checkpoint;

enum {
        RECENT_MAX = 64,
        PLOG_MAGIC = 0x504c4f47,
        PLOG_PATH_MAX = 4096,
        /* A checkpoint bounds what an unclean start reads: one for so many bytes of a log, or so much time, or when all
         * logs together have more than store.recovery_bytes_max behind theirs; then for no fewer than LEN_MIN. */
        CHECKPOINT_LEN = 64 << 20,
        CHECKPOINT_LEN_MIN = 64 << 10,
        CHECKPOINT_MS = 60 * 1000,
        /* It lies in the page cache, which does for a process that dies. For a machine that does, it is synced when so much
         * of its log has come since the last one that was; the kernel writes it back within half a minute anyway. */
        CHECKPOINT_SETTLE_LEN = 8 << 20,
};

/* ---- segments ---- */

/* Where the aborted transactions are that end in a segment. */
enum aborted_where {
        ABORTED_NONE,   /* there are none; of the active segment they are in the log's producer state */
        ABORTED_MEMORY, /* in s->aborted, until they are written */
        ABORTED_FILED,  /* in BASE.txn */
        ABORTED_UNKNOWN /* its index says whether there are any */
};

struct segment {
        atomic_uint refs; /* the log, and readers that walk it */
        int64_t base_offset;
        struct plog_pin *file;
        /* All below: plog.lock. */
        int64_t next_offset;
        int64_t size;        /* bytes of whole batches */
        int64_t synced_size; /* of them on stable storage */
        int64_t reserved_end;
        int64_t max_timestamp; /* -1: none; with summary_known */
        int64_t max_timestamp_offset;
        int64_t first_timestamp; /* the largest of the first batch */
        int64_t created_ms;
        int64_t jitter_ms;
        int64_t since_entry_len; /* bytes since the last index entry */
        bool sealed;
        bool summary_known; /* the three timestamps are right (of a sealed segment they are in the index's footer) */
        bool index_checked; /* a sealed segment's index was compared with its CRC in this run */
        bool index_filed;   /* ... has its footer on disk */
        bool cut_back;      /* bytes behind size were written and cut off, which is not synced */
        /* Replaced by compaction: its files have lost their names and stay open as long as it lives (swap.c). */
        struct plog_pin *retired_file, *retired_index, *retired_aborted;
        int dirty_fd; /* pinned while anything is unsynced: closing a file may lose its write error; else -1 */
        struct index index;
        enum aborted_where aborted_where;
        struct aborted aborted;
        struct plog_pin *aborted_file; /* BASE.txn; NULL until it is wanted */
        void *snapshot;                /* producer state at the roll, until it is written */
        size_t snapshot_len;
};

/* The last batches of the active segment, so that readers at the tail need no disk. A ring. */
struct recent_batch {
        int64_t base_offset, last_offset, pos, len;
};
struct recent {
        struct recent_batch *ring; /* NULL until the first append */
        unsigned size, first, count;
};

enum plog_state {
        PLOG_OPEN,
        PLOG_FAILED, /* a write or sync failed: reads below the durable end only */
        PLOG_CLOSED,
};

struct plog {
        uint32_t magic;
        atomic_uint refs;
        struct plog_store *store;
        char *dir, *name;
        struct uuid topic_id;
        int32_t partition;
        struct ilist store_link; /* store.lock */

        pthread_mutex_t work;
        pthread_mutex_t news; /* held while the listener is called, so that changing it waits for a call under way */

        pthread_mutex_t lock;
        struct plog_conf conf;
        enum plog_state state;
        bool failed_durably; /* the listener was told */
        int64_t start, durable_end, end;
        struct segment **segments; /* by base offset; the last may be active (not sealed) */
        size_t segments_count, segments_size;
        int64_t size_bytes;
        struct epochs epochs;
        struct producers producers;
        bool has_aborted; /* a sealed segment has, or had, aborted transactions */
        struct recent recent;
        struct plog_listener listener;
        uint64_t cuts;  /* truncations so far: a reader that saw nonsense looks again */
        bool dir_dirty; /* names were made in the folder (or the folder itself) and not synced */
        bool epochs_dirty;
        int64_t cleaned_end; /* compaction has seen everything below */
        struct damage damage;
        int64_t checked_ms;     /* when a check went through all of it; 0 never */
        int64_t suspected_ms;   /* monotonic: a check was wanted out of turn; 0 never */
        bool damage_dirty;      /* the file "damage" says something else */
        unsigned indexes_built; /* again, in this run */

        /* plog.work */
        uint64_t checkpoint_sequence;
        bool checkpoint_dirty;       /* the last one was written and not synced */
        int64_t checkpoint_end;      /* durable end that it says */
        int64_t checkpoint_start;    /* start on stable storage; changed with the lock, too */
        int64_t checkpoint_ms;       /* monotonic */
        int64_t checkpoint_snapshot; /* offset of the snapshot it names; -1 */
        int64_t previous_snapshot;   /* that of the one before, while it is not synced; -1 */
        int64_t settled_size;        /* checkpoint_size of the last one that was synced */
        bool meta_written;

        /* lock */
        int64_t appended_len;    /* in this run */
        int64_t checkpoint_size; /* of them behind the last checkpoint: none */
        bool checkpoint_wanted;  /* by flush_tick(), with the next flush */

        /* flusher.lock */
        struct ilist flush_link;   /* in a round, or waiting for one */
        struct ilist relaxed_link; /* not to be synced at once: flush_tick() looks at it */
        struct ilist behind_link;  /* flushed, but not in its checkpoint */
        int64_t behind_since_ms;   /* monotonic; while on that list */
        /* lock */
        bool flush_queued;
        bool flush_again;          /* the last one found no room or no memory for what goes with the records */
        int64_t unsynced_since_ms; /* monotonic; 0 none */
        int64_t unsynced_records;
};

/* ---- store ---- */

struct flush_worker {
        struct io_job job;
        struct plog_store *store;
};

struct flusher {
        pthread_mutex_t lock;
        pthread_cond_t idle;
        struct ilist waiting; /* logs that asked for a sync; each holds a reference */
        struct ilist round;   /* being synced */
        struct ilist relaxed;
        struct ilist behind; /* logs with data that their checkpoint does not cover, the oldest first */
        unsigned behind_count;
        unsigned workers; /* pool jobs of this round */
        struct flush_worker *jobs;
};

struct plog_store {
        char *dir;
        struct iopool *pool;
        struct files *files;
        int lock_fd;
        struct uuid dir_id;
        bool was_clean;
        bool begun;             /* logs may change from now on: the mark that was found is gone. Under lock */
        atomic_bool unclean;    /* a log could not be closed as it should: no mark of a clean stop */
        int64_t was_note, note; /* with the mark of a clean stop: found, and to be left */
        int64_t preallocate_step_len;
        int64_t recovery_bytes_max;
        atomic_ulong bytes_checkpointed; /* of bytes_appended */
        struct flusher flusher;
        pthread_mutex_t lock; /* the lists below */
        struct ilist logs;
        struct ilist removals; /* removal.c */
        bool removing;         /* a job is on the pool */
        pthread_cond_t removing_done;
        struct io_job remover;
        pthread_mutex_t rebuild_lock; /* one index is built again at a time */
        struct {
                atomic_ullong bytes_found, bytes_read, bytes_cut;
                atomic_uint logs;
        } recovery;              /* plog_store_recovery() */
        atomic_uint logs_failed; /* and open */
        atomic_ulong flushes, flush_errors, flush_ns_total, flush_ns_max, bytes_appended, batches_appended;
};

/* ---- log.c ---- */

/* "DIR/00000000000000000042.log"; asserts that it fits. */
void plog_path(const char *dir, int64_t offset, const char *suffix, char ret_path[PLOG_PATH_MAX]);
/* Whose log a folder holds. Return: 0; -ENOENT none; -EUCLEAN damaged or of another version; other negative errno. */
int plog_read_meta(const char *dir, struct uuid *ret_topic_id, int32_t *ret_partition);
/* "00000000000000000042.log" with the given suffix: 42; else -1. */
int64_t plog_offset_of_name(const char *name, const char *suffix);
/* "DIR/name" */
void plog_path_of(const char *dir, const char *name, char ret_path[PLOG_PATH_MAX]);
static inline struct segment *plog_active(const struct plog *pl)
{
        struct segment *s = pl->segments_count ? pl->segments[pl->segments_count - 1] : NULL;
        return s && !s->sealed ? s : NULL;
}
int64_t plog_first_base(const struct plog *pl); /* lowest offset on disk, or the end */

/* ---- segment.c (plog.lock held unless said) ---- */

int segment_new(struct plog *pl, int64_t base_offset, struct segment **ret_segment);
/* Its files are about to lose their names: keep them open as long as it lives. Blocks. Return: 0 or negative errno. */
int segment_retire(struct segment *s);
struct segment *segment_ref(struct segment *s);
struct segment *segment_unref(struct segment *s);
DEFINE_FREEP(struct segment, segment_unref)
/* Make the list one longer. */
int segments_push(struct plog *pl, struct segment *s);
/* Index of the last segment whose base is not above @offset; -1 none. */
ptrdiff_t segments_find(const struct plog *pl, int64_t offset);
bool segment_must_roll(const struct plog *pl, const struct segment *s, const struct batch_header *h, int64_t now_ms);
/* End the active segment: nothing is appended to it any more. Files are written by the next flush. */
int segment_roll(struct plog *pl);
/* @s ends where the log ends now: remember the producers there for its snapshot. */
void segment_seal(struct plog *pl, struct segment *s);
/* Note a batch that lies at @pos = size: index entry, timestamps, size. */
void segment_note(struct plog *pl, struct segment *s, const struct batch_header *h);
/* The same for a segment that is in no log, whose index file has @suffix. No lock. */
void segment_account(struct segment *s, struct files *files, const char *dir, int64_t interval_len,
                     const struct batch_header *h, const char *suffix);
/* No lock. The footer of a sealed segment's index; false when there is none that fits. Blocks. */
bool segment_footer(struct plog *pl, const struct segment *s, struct index_footer *ret);
/* No lock. Load what a sealed segment's index says, building it again when it is missing or damaged. Blocks. */
int segment_load_index(struct plog *pl, struct segment *s);
/* Search the index for a place to walk from: @ret_pos 0 when it says nothing. Takes and gives back plog.lock itself.
 * -EAGAIN when not @may_block and the disk would be read. */
int segment_seek(struct plog *pl, struct segment *s, struct index_key key, bool may_block, struct index_entry *ret);

/* What is damaged of a segment, for a walk over it. Takes and gives back plog.lock itself. */
void segment_skips(struct plog *pl, const struct segment *s, struct walk_skips *ret);
/* Build the index of a sealed segment again, whatever is there. Blocks. Return: 0 or negative errno. */
int segment_rebuild_index(struct plog *pl, struct segment *s);

/* From a place that the index gave to @size bytes, for walk_init(). */
static inline struct walk_range segment_range(const struct segment *s, const struct index_entry *from, int64_t size,
                                              int64_t end_offset)
{
        return (struct walk_range){ .pos = from->pos,
                                    .end = size,
                                    .first_offset = s->base_offset + from->rel_offset,
                                    .end_offset = end_offset };
}
/* The same from its first byte. */
static inline struct walk_range segment_whole(const struct segment *s, int64_t size)
{
        return (struct walk_range){ .end = size, .first_offset = s->base_offset, .end_offset = INT64_MAX };
}

/* ---- stable.c ---- */

/* Its aborted transactions are there. plog.lock held, or the log not yet known. */
void segment_set_aborted(struct plog *pl, struct segment *s, enum aborted_where where);
/* @s is sealed: those of the active segment are its own now. plog.lock held, or the log not yet known. */
void segment_take_aborted(struct plog *pl, struct segment *s);
/* Takes plog.lock. */
enum aborted_where segment_where_aborted(struct plog *pl, const struct segment *s);
/* Write them down, if they are in memory only. They can be found again, so failing fails nothing. plog.work held. */
void segment_file_aborted(struct plog *pl, struct segment *s);
/* How many there are in a sealed segment, as far as its file can be read. Blocks. */
int segment_count_aborted(struct plog *pl, struct segment *s, uint32_t *ret_count);
/* How many segments below the checkpoint's place have a .txn file. plog.lock held. */
uint32_t aborted_count_segments(const struct plog *pl, const struct checkpoint *c);

/* The file system has no room, or its owner or the file has no more: not a fault of the disk. */
static inline bool plog_is_no_room(int error)
{
        return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* ---- append.c, for those who append in other ways; plog.lock held ---- */

/* The segment to append @h to, made or rolled as needed. Return: 0 or negative errno. */
int append_segment(struct plog *pl, const struct batch_header *h, int64_t now_ms, struct segment **ret_segment);
/* Open its file for writing (s->dirty_fd) until it is synced. Return: 0 or negative errno, of which the operator knows. */
int append_open(struct plog *pl, struct segment *s);
/* A write behind its size failed with @error. Return: -ENOSPC, all is as it was; PLOG_E_FAILED. */
int append_failed(struct plog *pl, struct segment *s, int error);
/* A batch was written at @pos, the segment's size: it is the log's. */
void append_note(struct plog *pl, struct segment *s, const struct batch_header *h, int64_t pos);

/* ---- recent.c ---- */

void recent_fini(struct recent *r);
void recent_reset(struct recent *r);
void recent_add(struct recent *r, const struct recent_batch *b);
static inline const struct recent_batch *recent_at(const struct recent *r, unsigned i)
{
        return &r->ring[(r->first + i) & (r->size - 1)];
}
/* First batch whose last offset is not below @offset, only when the one before it is remembered too or @offset is
 * in the batch: index or -1. */
int recent_find(const struct recent *r, int64_t offset);

/* ---- flush.c ---- */

int flusher_init(struct plog_store *s);
void flusher_fini(struct flusher *f);
/* The log has nothing any more that its checkpoint does not cover. flusher.lock held. */
void flush_unlist_behind(struct plog *pl);
/* Data waits to be synced. plog.lock held. */
void flush_want(struct plog *pl);
/* Note that data became dirty: asks for a sync at once or puts the log on the list of relaxed ones. plog.lock held. */
void flush_note_dirty(struct plog *pl, int64_t records);
/* Sync everything that was appended before the call. plog.work held. Return: 0; PLOG_E_FAILED; -ENOMEM, -ENOSPC: not yet, and
 * nothing was lost. */
int flush_log(struct plog *pl);
/* The log becomes FAILED; says so to the operator once. plog.lock held. */
void plog_fail(struct plog *pl, const char *what, int error);
void flush_tick(struct plog_store *s, int64_t now_mono_ms);
/* No round runs and none will. */
void flusher_drain(struct plog_store *s);

/* ---- checkpoint.c (plog.work held) ---- */

struct checkpoint {
        uint64_t sequence;
        int64_t start_offset, end_offset;
        int64_t segment_base, segment_pos;
        int64_t max_timestamp, max_timestamp_offset, first_timestamp;
        uint32_t index_count, index_crc;
        int64_t snapshot_offset;
        int64_t damaged_from, damaged_to;
        int64_t cleaned_end;
        uint32_t segments_count, segments_crc;
        uint32_t aborted_segments;
};
/* Flush, then write down where the log stands: producer snapshot, index, checkpoint. @sync: it must be durable. */
int checkpoint_make(struct plog *pl, bool sync);
/* Write @c as it is, durably. */
int checkpoint_write(struct plog *pl, struct checkpoint *c, bool sync);
/* The slot in force. Return: 0, -ENOENT when there is none (or no good one), negative errno. */
int checkpoint_read(const char *dir, struct checkpoint *ret);
/* After an unclean stop: what will be read is durable, its name too; the process may have left it in the page cache only.
 * Return: 0, -ENOENT when there is none, other negative errno. */
int checkpoint_reread(const char *dir);
/* Write the identity of the log's folder; @sync: durably, but for its name. Blocks. Return: 0 or negative errno. */
int plog_write_meta(const char *dir, struct uuid topic_id, int32_t partition, bool sync);
/* Sync the one that was just made, if enough has come since that was done last. Blocks. */
void checkpoint_settle(struct plog *pl);
/* Is it time for one? */
bool checkpoint_due(struct plog *pl, int64_t now_mono_ms);
/* Bytes that an unclean start would have to read, over all logs. Any thread. */
int64_t checkpoint_bytes_behind(const struct plog_store *s);
/* What this log has appended is in its checkpoint, or is no longer there. plog.lock held. */
void checkpoint_covers(struct plog *pl, int64_t appended_len);

/* ---- holes.c ---- */

/* Write into @c which segments there are at and above its start offset. plog.lock held. */
void holes_count_segments(const struct plog *pl, struct checkpoint *c);
/* The offsets from @from up to below @to were on stable storage and are missing: reads there are refused from now on, and
 * the operator is told. plog.lock held, or the log is not yet known. */
void holes_mark(struct plog *pl, int64_t from, int64_t to);
/* Mark what is missing between, before and behind the first @count segments, which need no scan: @pl has those that are
 * on disk. @c: NULL when there is no checkpoint. Blocks. Return: 0 or negative errno. */
int holes_find(struct plog *pl, const struct checkpoint *c, size_t count);

/* ---- damage_file.c ---- */

/* Offsets that were there are not what they were: reads are refused from now on, and the operator is told what is new of
 * that. Ranges outside of what is durable and not deleted are cut. plog.lock held. Return: something of it is new. */
bool damage_mark(struct plog *pl, const struct plog_damaged_range *r);
/* A check has read the bytes of all offsets from @from up to below @to, and only @found is damaged: what was rotten there
 * before is served again, and the operator is told. plog.lock held. Return: offsets that are served again. */
int64_t damage_settle(struct plog *pl, int64_t from, int64_t to, const struct damage *found);
/* Somebody has met bytes that are not right, and does not know how far that goes: have the log checked soon, unless it was
 * checked lately and that found nothing. plog.lock held. */
void damage_suspect(struct plog *pl);
/* Write the file "damage" when it says something else, durably. plog.work held. Blocks. Return: 0 or negative errno. */
int damage_save(struct plog *pl);
/* What it says. Return: 0, also when there is none or it cannot be read; -EPROTONOSUPPORT (told); negative errno. */
int damage_load(struct plog *pl);

/* ---- recovery.c ---- */

/* Build the state of a log that was just made from its folder. No other thread knows it yet. Blocks. */
int plog_recover(struct plog *pl);
struct producers_want {
        int64_t offset;       /* the state before it */
        int64_t aborted_from; /* with all aborted transactions that end from here on: name of the segment that goes on */
        int64_t known_empty;  /* if not -1, an offset before which no producer was known */
        bool cut;             /* snapshots of later offsets are of a future that was cut away, and go */
};
/* Producer state from the newest snapshot that serves and the batches since, into an empty @ret. Blocks; plog.work held or
 * the log not yet known. */
int producers_recover(struct plog *pl, const struct producers_want *want, struct producers *ret);
/* A batch on disk, for plog_replay(). */
struct replay {
        const struct batch_header *h;
        int fd;
        int64_t pos;
};
/* Note what a batch says of its producer; @arg: struct producers. Return: 0 or negative errno. */
int producers_replay(void *arg, const struct replay *at);
/* Call @fn for each batch that has an offset from @from up to below @to. Blocks; plog.work held or the log not yet known.
 * Ends quietly at damage. Return: 0, what @fn returned, negative errno. */
int plog_replay(struct plog *pl, int64_t from, int64_t to, int (*fn)(void *arg, const struct replay *at), void *arg);

/* ---- store.c ---- */

/* Logs are about to change. Return: 0 or negative errno. */
int store_begin(struct plog_store *s);
void store_add_log(struct plog_store *s, struct plog *pl);
void store_remove_log(struct plog_store *s, struct plog *pl);

/* ---- removal.c ---- */

void removals_init(struct plog_store *s);
void removals_fini(struct plog_store *s);
/* Remove @path (a file, or a folder of files) when @delay_ms is over; the next start does it when this one does not get there,
 * if the name ends as it must. -ENOMEM removes it at once. */
void store_remove_later(struct plog_store *s, const char *path, int64_t delay_ms);
/* Begin what is due, a bounded amount. */
void removals_tick(struct plog_store *s, int64_t now_mono_ms);
/* No more ticks come: wait for the job on the pool, and remove what can be removed in a short time. Blocks. */
void removals_drain(struct plog_store *s);
