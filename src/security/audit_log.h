/* The audit log on disk, for the node that writes it: files that follow each other, the chain, and the key. Format: FORMAT.md.
 * Blocks; one thread at a time. What a call has written is on stable storage when it returns 0. */
#pragma once

#include "security/audit_folder.h"
#include "security/audit_keys.h"

struct audit_log;

struct audit_log_config {
        const char *dir;      /* made when it is missing; borrowed for audit_log_open() */
        const char *key_file; /* likewise */
        int32_t node;
        int64_t file_bytes; /* a file that would grow beyond this is followed by a new one; an entry that is longer has one of its own */
        size_t files_max; /* that are kept; at least 2 */
};

/* Open the log, or begin it; the chain goes on where it was. Writes that it did, and a checkpoint.
 * Return: 0; negative errno, @why says what to do. */
int audit_log_open(const struct audit_log_config *cfg, struct audit_log **ret_log, char *why, size_t why_size);
/* NULL is fine. Returns NULL. */
struct audit_log *audit_log_close(struct audit_log *l);

/* What is to be written at once. */
struct audit_batch {
        const struct str *members; /* of audit_entry_write(), in order */
        size_t count;
        uint64_t dropped; /* there was no room for so many before them */
        bool checkpoint;  /* behind them */
        bool rotate; /* and then another key signs: audit_log_prepare_key() has made it. When nothing is written it is gone */
        void (*written)(void *arg, struct str line); /* of each entry that was, without its newline; may be NULL */
        void *arg;
};
/* Return: 0; negative errno: nothing was written, the same may be tried again. */
int audit_log_write(struct audit_log *l, const struct audit_batch *b);

/* Make the key that the next batch hands over to. Return: 0; negative errno: it cannot be written beside the one in use, which stays. */
int audit_log_prepare_key(struct audit_log *l);

/* The public keys that have signed this log, oldest first, the one in use last; by who writes. Return: how many. */
size_t audit_log_public_keys(const struct audit_log *l, uint8_t ret_keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN]);
/* Where the chain is; by who writes. */
uint64_t audit_log_last(const struct audit_log *l);
