/* One partition as one share group consumes it (KIP-932): which records are under way to whom, how often each was delivered, and up to where
 * everything is done. Lives where the partition is led; what must outlive the leader is a snapshot that the host writes.
 *
 * Pure: it owns no loop, clock, file or thread; one thread at a time. A record is
 *
 *      AVAILABLE --acquire--> ACQUIRED --accept--> ACKNOWLEDGED
 *         ^                      | |
 *         +-- release, time-out -+ +-- reject, or delivered too often --> ARCHIVED
 *
 * Below the start offset everything is done; from the end offset on nothing was ever delivered. Between them records of one fate are kept as one
 * run: memory follows the runs, not the records. Offsets without a record (compacted, control batches) are ARCHIVED.
 *
 * Changes are made at once, and count as speculative until the snapshot that holds them is written: who is told of one waits for that. When a
 * write fails, the host drops this and makes another one from what was written last. */
#pragma once

#include "base/macros.h"

struct share_part;

/* As they are written. */
enum share_state {
        SHARE_AVAILABLE = 0,
        SHARE_ACQUIRED = 1, /* never written: what is under way is available to the next leader */
        SHARE_ACKNOWLEDGED = 2,
        SHARE_ARCHIVED = 4,
};

/* As clients say it. */
enum share_ack {
        SHARE_GAP = 0, /* there is no record at that offset */
        SHARE_ACCEPT = 1,
        SHARE_RELEASE = 2,
        SHARE_REJECT = 3,
        SHARE_RENEW = 4, /* goes on with it: the time starts again (KIP-1222) */
};

enum {
        SHARE_OK,
        SHARE_E_STATE, /* not under way to who says so: nothing was changed */
};

struct share_part_conf {
        uint16_t deliveries_max; /* 1..; then a record is archived */
        uint32_t records_max;    /* 1..; so many between start and end */
        int64_t lock_ms;         /* how long a record is under way */
};

/* A run of records of one fate. */
struct share_run {
        int64_t first, last; /* offsets, both of the run */
        enum share_state state;
        uint16_t deliveries;
        uint64_t member;     /* SHARE_ACQUIRED: to whom it is under way; a number of the host's giving */
        int64_t deadline_ms; /* likewise: until when, monotonic */
};

/* Make one from what was written: @runs in order of offsets, from @start on, without gaps; none of them SHARE_ACQUIRED.
 * Return: 0, -EINVAL: they are not; -ENOMEM. */
int share_part_new(const struct share_part_conf *conf, int64_t start, const struct share_run *runs, size_t count,
                   struct share_part **ret_part);
/* NULL is fine. Returns NULL. */
struct share_part *share_part_free(struct share_part *p);
DEFINE_FREEP(struct share_part, share_part_free)

/* Other limits from now on; what is under way keeps its time. */
void share_part_configure(struct share_part *p, const struct share_part_conf *conf);
/* The first offset that is not done. */
int64_t share_part_start(const struct share_part *p);
/* The first offset that was never delivered. */
int64_t share_part_end(const struct share_part *p);
/* From where to fetch for the next who asks: the first available record, or the end. */
int64_t share_part_next(const struct share_part *p);
/* Up to where to fetch from there, so that @max records can be acquired: no further than what is available, but across @hole_max records that are
 * not. At least share_part_next(), and above the end where nobody knows how many records there are. */
int64_t share_part_reach(const struct share_part *p, int64_t max, int64_t hole_max);
/* May records from share_part_next() on be acquired, or are too many between start and end? */
bool share_part_has_room(const struct share_part *p);

/* Give @member the records of [@first, @last] that are available, at most @max of them, in order. @first is not below the start.
 * Those between the end and @first, if any, do not exist.
 * @ret_runs  gets runs of what it was given; room for @runs_max: no more are taken. @ret_count: how many.
 * Return: 0 or -ENOMEM (nothing is taken). */
int share_part_acquire(struct share_part *p, uint64_t member, int64_t first, int64_t last, int64_t max, int64_t now_ms,
                       struct share_run *ret_runs, size_t runs_max, size_t *ret_count);

struct share_ack_range {
        int64_t first, last;
        enum share_ack type;
};

/* What @member says of records, all of it or nothing. A range below the start is nobody's any more: who says
 * something of it late is told so, and not that it counts. Of one that begins there what is above counts.
 * Return: 0; SHARE_E_STATE; -ENOMEM. */
int share_part_acknowledge(struct share_part *p, uint64_t member, const struct share_ack_range *ranges, size_t count,
                           int64_t now_ms);

/* @member is gone: what is under way to it is available again. Return: 0 or -ENOMEM. */
int share_part_release(struct share_part *p, uint64_t member);
/* Likewise for what was under way for too long. */
int share_part_tick(struct share_part *p, int64_t now_ms);
/* When share_part_tick() has something to do; INT64_MAX: never. */
int64_t share_part_next_ms(const struct share_part *p);

/* Available records of [@first, @last], and those that were never delivered, are not to be delivered: they were aborted, or are gone.
 * Return: 0 or -ENOMEM. */
int share_part_archive(struct share_part *p, int64_t first, int64_t last);
/* The log begins at @offset now: what is below is done. */
void share_part_log_start(struct share_part *p, int64_t offset);

/* ---- what is written ---- */

/* Counts changes that a snapshot must hold: whoever is told of one waits until a snapshot with this count or a higher one is written. */
uint64_t share_part_changes(const struct share_part *p);
/* Records from the start on that are acknowledged or archived. */
int64_t share_part_done(const struct share_part *p);
/* What a snapshot holds, as for share_part_new(): at most share_part_runs() of them. What is under way is available in it, and was delivered once
 * less. Return: how many. */
size_t share_part_snapshot(const struct share_part *p, struct share_run *ret_runs);
size_t share_part_runs(const struct share_part *p);
/* Runs as they are, for checks and operators; borrowed until the next change. */
const struct share_run *share_part_view(const struct share_part *p, size_t *ret_count);
