/* The state machine of one partition of __transaction_state: all transactional ids that hash to it.
 *
 * Pure, as the machine of the groups is (groups.h): requests, time and news go in, answers, records and markers to send come out.
 * Changes are made in memory when they are asked for, and count as speculative until their write is committed; markers leave only
 * when the decision that they stand for is. Source: KIP-98, KIP-360, KIP-447, KIP-664, KIP-890 and the behaviour of Kafka 4.x. */
#pragma once

#include "coord/machine.h"

struct txns;

struct txns_conf {
        int64_t expiry_ms;     /* an id without a transaction is forgotten after so long */
        size_t record_len_max; /* bytes of an id's record: it must fit into a segment of the log */
        size_t memory_max;     /* bytes of this machine's state; new ids and partitions beyond are refused */
        /* Is there such a partition? Only those take part. NULL: all are there. Any thread. */
        bool (*partition_exists)(void *arg, struct str topic, int32_t partition);
        void *partitions_arg;
        uint64_t hash_seed;
};

/* Kafka's defaults, our bounds. hash_seed is left to the owner. */
void txns_conf_init(struct txns_conf *conf);

/* @conf is copied. Return: 0 or -ENOMEM. */
int txns_new(const struct txns_conf *conf, struct txns **ret_txns);
/* NULL is fine. Returns NULL. Markers that are being sent are their sender's. */
struct txns *txns_free(struct txns *ts);
DEFINE_FREEP(struct txns, txns_free)

/* As the functions of these names in struct coord_machine_ops. */
int txns_replay(struct txns *ts, struct span key, struct span value);
int txns_loaded(struct txns *ts, struct coord_time now, struct coord_actions *acts);
int txns_request(struct txns *ts, struct coord_request *rq, struct coord_time now, struct coord_actions *acts);
int txns_tick(struct txns *ts, struct coord_time now, struct coord_actions *acts);
int txns_marked(struct txns *ts, struct coord_marks *m, struct coord_time now, struct coord_actions *acts);
int txns_committed(struct txns *ts, uint64_t seq, struct coord_time now, struct coord_actions *acts);
int64_t txns_next_ms(const struct txns *ts);
void txns_stats(const struct txns *ts, struct coord_stats *ret);

/* The same functions as a table, for a host: machine is struct txns, arg is struct txns_conf. */
extern const struct coord_machine_ops txns_ops;
