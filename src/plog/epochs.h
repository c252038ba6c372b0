/* Leader epochs of one log: where each began (KIP-101). Guarded by the log's lock. */
#pragma once

#include "base/macros.h"

struct epoch_entry {
        int32_t epoch;
        int64_t start_offset;
};

struct epochs {
        struct epoch_entry *entries; /* both members rise strictly */
        uint32_t count, size;
};

void epochs_fini(struct epochs *e);
/* Make room for one more, so that the next epochs_assign() cannot fail. Return: 0 or -ENOMEM. */
int epochs_reserve(struct epochs *e);
/* @epoch begins at @start_offset; epochs that began there or later are replaced, older ones than the latest are ignored.
 * Return: something changed. Room must have been reserved. */
bool epochs_assign(struct epochs *e, int32_t epoch, int64_t start_offset);
int32_t epochs_latest(const struct epochs *e);
/* Epoch of the record at @offset, -1 none known. */
int32_t epochs_at(const struct epochs *e, int64_t offset);
/* See plog_epoch_end(). Return: found. */
bool epochs_end(const struct epochs *e, int32_t epoch, int64_t end_offset, int32_t *ret_epoch, int64_t *ret_end_offset);
/* Forget epochs that began at or after @end_offset. */
bool epochs_truncate_end(struct epochs *e, int64_t end_offset);
/* Forget epochs that ended at or before @start_offset; the one in force there then begins there. */
bool epochs_truncate_start(struct epochs *e, int64_t start_offset);

/* The file's content; free(*ret). -ENOMEM. */
int epochs_encode(const struct epochs *e, void **ret_data, size_t *ret_len);
/* Read the file in folder @dir. A missing or damaged one is not found (the batches hold the truth). Return: 0, or
 * negative errno when it could not be read. */
int epochs_load(struct epochs *e, const char *dir, bool *ret_found);
