/* One transactional id as the files of this state machine see it. Nobody else includes this. */
#pragma once

#include "coord/map.h"
#include "coord/marks.h"
#include "coord/timer.h"
#include "coord/txns.h"

enum { TXN_ID_LEN_MAX = 32767, TXN_EPOCH_MAX = INT16_MAX };

struct txn_topic {
        struct str name;     /* allocated */
        int32_t *partitions; /* rising */
        size_t count, size;
};

struct txn {
        struct map_node node;
        struct ilist link;      /* txns.all */
        struct ilist preparing; /* txns.preparing */
        struct txns *owner;
        struct str id; /* allocated */
        enum coord_txn_state state;
        int64_t producer_id;
        int64_t previous_producer_id,
                next_producer_id; /* -1: none. The epochs of the one before, or of this one, are used up */
        int16_t epoch;
        int16_t last_epoch; /* that the client had before this one; -1: not known */
        int16_t version;    /* COORD_TXN_VERSION_, of the client */
        bool bumped;        /* its markers' epoch is above that of its records */
        int32_t timeout_ms;
        int64_t start_ms, update_ms; /* wall clock; start -1: none is open */
        struct txn_topic *topics;
        size_t topics_count, topics_size, partitions_count;
        size_t parts_len;   /* about the bytes that topics and partitions take in its record */
        uint64_t seq;       /* last write */
        struct timer timer; /* time-out, or expiry of the id */
};

struct txns {
        struct txns_conf conf;
        struct map by_id;
        struct ilist all;
        struct ilist preparing; /* decided, and that is not committed yet: in order of their writes */
        struct timer_heap timers;
        uint64_t write_seq, committed_seq;
        struct coord_time now;
        struct coord_actions *acts; /* of the event in hand */
        int err;                    /* latched: the machine is to be dropped */
        struct coord_stats stats;
};

/* ---- txns.c ---- */
struct txn *txns_find(struct txns *ts, struct str id);
/* NULL: no memory, which is latched. */
struct txn *txns_add(struct txns *ts, struct str id);
void txns_remove(struct txns *ts, struct txn *t);
void txns_fail(struct txns *ts, int err);
bool txns_has_room(const struct txns *ts, size_t len);
/* Answer by the state of @t (NULL: there is none): when its last write is committed. */
void txn_reply(struct txns *ts, struct txn *t, struct coord_request *rq, int outcome);
/* Append @key and @value (both in acts->arena); a NULL key latches -ENOMEM. */
void txns_record(struct txns *ts, struct span key, struct span value);

/* ---- txn.c: states ---- */
struct txn *txn_new(struct txns *owner, struct str id);
struct txn *txn_free(struct txn *t);
void txn_set_state(struct txn *t, enum coord_txn_state to);
static inline bool txn_is_prepared(const struct txn *t)
{
        return t->state == COORD_TXN_PREPARE_COMMIT || t->state == COORD_TXN_PREPARE_ABORT;
}
static inline bool txn_is_complete(const struct txn *t)
{
        return t->state == COORD_TXN_COMPLETE_COMMIT || t->state == COORD_TXN_COMPLETE_ABORT;
}
/* It has one epoch left, which is for fencing. */
static inline bool txn_epoch_is_exhausted(int16_t epoch)
{
        return epoch >= TXN_EPOCH_MAX - 1;
}
/* Write it as it is, and set its timer. */
void txn_record(struct txn *t);
void txn_set_timer(struct txn *t);
/* It ends this way, whatever happens. @bump: under the next epoch. Written; the markers follow. */
void txn_prepare(struct txn *t, bool commit, bool bump);
/* That is committed: send the markers, if there is anybody to have them. */
void txn_prepared(struct txn *t);
void txn_complete(struct txn *t);
void txn_due(void *arg, struct timer *timer);

/* ---- txn_parts.c: what takes part ---- */
bool txn_has(const struct txn *t, struct str topic, int32_t partition);
/* Return: 0 or -ENOMEM. What is there already stays. */
int txn_put(struct txn *t, struct str topic, int32_t partition);
void txn_clear(struct txn *t);
/* Bytes that one more would take. */
size_t txn_part_len(struct str topic);

/* ---- txn_init.c, txn_add.c, txn_end.c, txn_describe.c ---- */
void txns_init(struct txns *ts, struct coord_txn_init *rq);
void txns_add_parts(struct txns *ts, struct coord_txn_add *rq);
void txns_end(struct txns *ts, struct coord_txn_end *rq);
void txns_abort(struct txns *ts, struct coord_request *rq);
void txns_describe(struct txns *ts, struct coord_txn_describe *rq);
void txns_list(struct txns *ts, struct coord_txn_list *rq);
