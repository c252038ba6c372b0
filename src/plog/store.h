/* What all logs of one node share: the data folder with its lock and identity, a bounded cache of open descriptors, the
 * group-commit flusher, the I/O pool. */
#pragma once

#include "base/span.h"
#include "base/uuid.h"
#include "sys/iopool.h"

struct plog_store;

struct plog_store_config {
        const char *dir; /* the data folder; made when missing */
        struct iopool *pool;
        unsigned files_open_max;      /* descriptors kept open over all logs (least recently used are closed) */
        int64_t preallocate_step_len; /* blocks are reserved ahead in steps of so many bytes; 0 off */
        /* Checkpoints are made so often that an unclean start reads no more than about so many bytes over all logs, as far as
         * data is flushed; 0: each log has its own bound only. */
        int64_t recovery_bytes_max;
};

enum {
        PLOG_STORE_OK,
        PLOG_STORE_E_LOCKED,  /* another process uses the folder */
        PLOG_STORE_E_FOREIGN, /* the folder holds something else, or another format version */
        PLOG_STORE_E_READONLY,
};

/* Lock and open the folder; its meta file (directory UUID, format version, clean-stop mark) is made at first.
 * @ret_why: on an outcome or error, one line for the operator with the remedy (static or owned by the store module's
 * thread-local buffer). Blocks. */
int plog_store_open(const struct plog_store_config *cfg, struct plog_store **ret_store, const char **ret_why);
/* All logs must be closed. Marks a clean stop; when neither plog_store_bind() nor plog_open() was called before, the folder
 * is left as it was found. Blocks. */
struct plog_store *plog_store_close(struct plog_store *s);

/* Whose logs the folder holds: @cluster_id is noted at the first call and compared at every later start, because logs that
 * the metadata does not know are removed (see plog_store_list()). Blocks.
 * Return: 0; PLOG_STORE_E_FOREIGN (another cluster's) or negative errno, with @ret_why as above. */
int plog_store_bind(struct plog_store *s, struct str cluster_id, const char **ret_why);

/* A number that goes with the mark of a clean stop: what was set when the last stop was clean, -1 after any other.
 * (The owner's broker epoch: who stopped cleanly under it lost nothing.) The setter is called before the store closes. */
int64_t plog_store_clean_note(const struct plog_store *s);
void plog_store_set_clean_note(struct plog_store *s, int64_t note);

/* Call @fn for the folder of every log; a non-zero return of @fn ends it and is returned. @name is borrowed. Blocks. */
int plog_store_list(struct plog_store *s, int (*fn)(void *arg, const char *name, struct uuid topic_id), void *arg);
/* Remove the folder @name of a log that is not open, after @delay_ms; it does not come back after a crash. Blocks.
 * Return: 0 or negative errno. */
int plog_store_discard(struct plog_store *s, const char *name, int64_t delay_ms);

/* Identity of this folder (KIP-858 directory id). */
struct uuid plog_store_dir_id(const struct plog_store *s);
/* The last stop was clean: every log was open and could be closed as it should; none needs recovery. */
bool plog_store_was_clean(const struct plog_store *s);
struct iopool *plog_store_pool(struct plog_store *s);

/* Every tenth of a second or so, from the owner: flush what relaxed logs are due for, make the checkpoints that are due of
 * logs that nobody writes to, remove files whose delay is over. */
void plog_store_tick(struct plog_store *s, int64_t now_mono_ms);

struct plog_store_stats {
        uint64_t flushes, flush_errors, files_open, file_opens;
        uint64_t flush_ns_total, flush_ns_max;
        uint64_t bytes_appended, batches_appended;
        unsigned logs_failed; /* read-only since a write or a flush failed */
};
/* Sums since the store was opened; files and logs as they are now. Any thread. */
void plog_store_stats(const struct plog_store *s, struct plog_store_stats *ret);

/* What logs that were opened had to read because their last stop was not clean. */
struct plog_store_recovery {
        unsigned logs;        /* whose recovery is over */
        uint64_t bytes_found; /* to be read, of logs whose opening has begun */
        uint64_t bytes_read;  /* of them so far */
        uint64_t bytes_cut;   /* that were no whole batch, and gone */
};
/* So far. Any thread. */
void plog_store_recovery(const struct plog_store *s, struct plog_store_recovery *ret);
