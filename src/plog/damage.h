/* Damaged ranges of one log: offsets that were on stable storage and cannot be served, with the place of their bytes.
 *
 * Two kinds live in one list. What is *missing* (no bytes are there: holes.c) is found anew at every start, and ends when
 * the file is back then. What is *rotten* (bytes that are not what was written: scrub.c) is kept in the file "damage", and
 * ends when a later check finds it whole.
 * Invariants: ranges are sorted and do not overlap; there are DAMAGE_RANGES_MAX at most, beyond that the nearest neighbours
 * become one with all between them, so that too much is refused and never too little.
 * Guarded by the log's lock; the codec is pure. */
#pragma once

#include "plog/plog.h"

struct walk_skips;

enum { DAMAGE_RANGES_MAX = 128, DAMAGE_FILE_MAX = 64 * 1024 };

struct damage {
        struct plog_damaged_range *list; /* NULL: own */
        uint32_t count, size;
        struct plog_damaged_range own[1]; /* so that the first one needs no memory */
};

void damage_fini(struct damage *d);
/* Put @r in; it becomes one with ranges that it overlaps or, in the same file, touches. Cannot fail: without memory it
 * becomes one with its neighbour. Return: something of it was not known before. */
bool damage_add(struct damage *d, const struct plog_damaged_range *r);
const struct plog_damaged_range *damage_list(const struct damage *d);
/* The range that holds @offset; NULL: none. */
const struct plog_damaged_range *damage_at(const struct damage *d, int64_t offset);
/* The first range that begins at or after @offset; NULL: none. */
const struct plog_damaged_range *damage_after(const struct damage *d, int64_t offset);
/* One range holds all from @from up to below @to. */
bool damage_covers(const struct damage *d, int64_t from, int64_t to);
/* What is rotten from @from up to below @to goes. Return: offsets that went. */
int64_t damage_clear(struct damage *d, int64_t from, int64_t to);
/* Only what lies from @start up to below @end stays. Return: something went. */
bool damage_trim(struct damage *d, int64_t start, int64_t end);
/* From the first missing offset to behind the last one; 0, 0 when none is. */
void damage_missing(const struct damage *d, int64_t *ret_from, int64_t *ret_to);
int64_t damage_offsets(const struct damage *d);
/* What a walk over the segment of that base offset has to leave out, into @ret. */
void damage_skips(const struct damage *d, int64_t segment_base, struct walk_skips *ret);

/* The file's content, without what is missing; free(*ret_data). -ENOMEM. */
int damage_encode(const struct damage *d, int64_t checked_ms, void **ret_data, size_t *ret_len);
/* Read it into an empty @d. Return: 0; -EUCLEAN nothing that we wrote; -EPROTONOSUPPORT of a newer version. */
int damage_decode(struct span file, struct damage *d, int64_t *ret_checked_ms);
