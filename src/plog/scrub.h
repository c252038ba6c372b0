/* Checking all of a log for rot: every batch that is on stable storage is read from the disk and compared with its CRC, its
 * neighbours, the leader epochs and the index.
 *
 * A damaged range is out of service as soon as it is found, told to the operator once, and kept over restarts; where a later
 * check finds everything right it is served again. An index that is wrong is built again and is no damage. Records are
 * never changed or cut.
 * Sealed segments are read past the page cache, so that the disk's bytes are checked and not the kernel's copy, and so that
 * what consumers read stays cached. The active one is read through it: its bytes are there anyway, and reads past it could
 * make appends wait.
 * The work is done in steps, so that its owner can spread it over time; appends, reads, flushes, retention and compaction go
 * on meanwhile. */
#pragma once

#include "plog/plog.h"

struct plog_scrub;

/* Begin with what is durable now. A reference to the log is held until the end. Blocks.
 * Return: 0; PLOG_E_CLOSED; -ENOMEM. */
int plog_scrub_begin(struct plog *pl, struct plog_scrub **ret_scrub);
/* Go on until about @len bytes more have been read. Blocks.
 * Return: 1 there is more to do; 0 all is done; PLOG_E_NOT_FOUND when truncation came in between (begin again);
 * PLOG_E_CLOSED; negative errno. After anything but 1 only plog_scrub_end() may follow. Damage is not an error. */
int plog_scrub_step(struct plog_scrub *s, int64_t len);

struct plog_scrub_result {
        int64_t from_offset, to_offset; /* what was to be checked, up to below to_offset */
        int64_t bytes, bytes_all;       /* read so far; to be read in all, about */
        int64_t batches;
        int64_t healed_offsets; /* were damaged and are served again */
        unsigned indexes_rebuilt;
};
/* So far. What is damaged: plog_damaged(). On the thread that steps. */
void plog_scrub_result(const struct plog_scrub *s, struct plog_scrub_result *ret);
/* Free. NULL is fine. Returns NULL. */
struct plog_scrub *plog_scrub_end(struct plog_scrub *s);
