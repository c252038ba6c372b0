/* What a log must hold, as a plain list of batches in memory, and the comparison of a real log with it.
 *
 * A batch is promised when the durable end has passed it: then acknowledgements may have left and consumers may have seen
 * it. Promised batches are at their offsets after any crash, until they are truncated, deleted, retained away or superseded
 * (compaction). Behind them a crash leaves a beginning of what was appended. */
#pragma once

#include "chance.h"
#include "plog/plog.h"
#include "plog/store.h"

enum { SIM_RECORDS_MAX = 4, SIM_PRODUCERS = 3, SIM_KEYS = 6 };

struct sim_record {
        int key;
        uint32_t value; /* its number; 0: a tombstone */
        bool there;     /* compaction has not taken it */
};

struct sim_batch {
        int64_t base;
        int32_t count;
        int32_t epoch;
        int64_t timestamp; /* of the first record; the others follow by 1 ms */
        int64_t producer;  /* 0: none */
        int16_t producer_epoch;
        int32_t sequence;
        struct sim_record records[SIM_RECORDS_MAX];
        uint8_t *bytes; /* as they are in the log */
        size_t len;
};

struct sim_batches {
        struct sim_batch **list;
        size_t count, room;
};

struct sim_log {
        char name[32], dir[64];
        struct plog_conf conf;
        struct uuid topic_id;
        struct plog *pl; /* NULL: closed */
        bool compacted;
        struct sim_batches log; /* what was appended, those below the start included */
        struct sim_batches
                ghosts; /* what may be on disk behind the promised end although it is not in the log any more */
        int64_t start_min, start_max; /* where the start may be after a crash */
        int64_t end, promised_end;
        int32_t epoch;
        int32_t assigned_epoch, promised_epoch; /* the last that was assigned; durable; -1 none */
        bool failed;                            /* a write or sync failed: no more appends until it is opened again */
        bool maybe_gone;                        /* it was being deleted */
        bool may_forget; /* a snapshot may not have been written: producers of what is below the start may be forgotten */
};

/* Print @fmt and what is known about the run, and end the program: the run has shown a fault. */
void sim_wrong(const struct sim_log *l, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));
/* With SIM_TRACE set: write what is done. */
void sim_trace(const struct sim_log *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define SIM_CHECK(l, cond, ...) \
        do { \
                if (!(cond)) \
                        sim_wrong((l), __VA_ARGS__); \
        } while (0)

/* Forget all that was in @l. */
void model_clear(struct sim_log *l);
/* Free all batches of all logs. */
void model_free_batches(void);

/* A new batch for the end of @l, not yet in it. @producer 0: none. */
struct sim_batch *model_make(struct sim_log *l, struct chance *c, int64_t producer);
/* It was appended. */
void model_appended(struct sim_log *l, struct sim_batch *b);
/* It was not, but some of it may be on the disk. */
void model_refused(struct sim_log *l, struct sim_batch *b);
/* Base offset of the batch that holds @offset, or the end. */
int64_t model_base_of(const struct sim_log *l, int64_t offset);
/* The log was cut there: nothing of what was behind may come back. */
void model_truncated(struct sim_log *l, int64_t end);
/* The durable end has passed @offset. */
void model_promised(struct sim_log *l, int64_t offset);

/* The log was opened: compare all with the model, and take over what a crash has left. */
void model_recovered(struct sim_log *l, struct chance *c);
/* Compare with a log that is open, up to its durable end. */
void model_compare(struct sim_log *l, struct chance *c);
