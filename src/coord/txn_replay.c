/* Building the state again from the log: records in order, the last one of an id wins. The log is untrusted too. */
#include <errno.h>

#include "coord/records.h"
#include "coord/txn_priv.h"

static bool is_sound(const struct transaction_log_value *v)
{
        return v->transaction_status >= COORD_TXN_EMPTY && v->transaction_status <= COORD_TXN_COMPLETE_ABORT &&
               v->producer_id >= 0 && v->producer_epoch >= 0 && v->transaction_timeout_ms >= 0;
}

static int fill_parts(struct txn *t, const struct transaction_log_value *v)
{
        for (int32_t i = 0; i < v->transaction_partitions_count; i++) {
                const struct transaction_log_value_topic *topic = &v->transaction_partitions[i];

                for (int32_t k = 0; k < topic->partition_ids_count; k++)
                        if (txn_put(t, topic->topic, topic->partition_ids[k]))
                                return -ENOMEM;
        }
        return 0;
}

/* In its place, whatever it was before. */
static int put(struct txns *ts, struct str id, const struct transaction_log_value *v)
{
        struct txn *t = txns_find(ts, id);
        bool was_v2 = v->client_transaction_version >= COORD_TXN_VERSION_2;

        if (t)
                txns_remove(ts, t);
        t = txns_add(ts, id);
        if (!t)
                return -ENOMEM;
        if (v->transaction_status != COORD_TXN_EMPTY && v->transaction_status != COORD_TXN_ONGOING)
                txn_set_state(t, COORD_TXN_ONGOING);
        if (v->transaction_status == COORD_TXN_COMPLETE_COMMIT)
                txn_set_state(t, COORD_TXN_PREPARE_COMMIT);
        if (v->transaction_status == COORD_TXN_COMPLETE_ABORT)
                txn_set_state(t, COORD_TXN_PREPARE_ABORT);
        txn_set_state(t, v->transaction_status);
        t->producer_id = v->producer_id;
        t->previous_producer_id = v->previous_producer_id;
        t->next_producer_id = v->next_producer_id;
        t->epoch = v->producer_epoch;
        t->version = was_v2 ? COORD_TXN_VERSION_2 : COORD_TXN_VERSION_1;
        t->bumped = was_v2 && txn_is_prepared(t);
        t->timeout_ms = v->transaction_timeout_ms;
        t->start_ms = v->start_timestamp_ms;
        t->update_ms = v->last_update_timestamp_ms;
        return fill_parts(t, v);
}

static int apply(struct txns *ts, struct arena *a, struct span key, struct span value)
{
        struct transaction_log_value v;
        struct txn *t;
        struct str id;
        int r = records_decode_txn_key(key, a, &id);

        if (r)
                return r;
        if (!value.data) {
                t = txns_find(ts, id);
                if (t)
                        txns_remove(ts, t);
                return 0;
        }
        r = records_decode_txn(value, a, &v);
        if (r)
                return r;
        return is_sound(&v) && id.len && id.len <= TXN_ID_LEN_MAX ? put(ts, id, &v) : RECORDS_E_MALFORMED;
}

int txns_replay(struct txns *ts, struct span key, struct span value)
{
        CLEANUP(arena_finip) struct arena a;
        int r;

        arena_init(&a, 0);
        r = apply(ts, &a, key, value);
        if (r > 0) { /* of a kind, or in a version, that is not ours; or no record at all */
                ts->stats.records_skipped++;
                return 0;
        }
        return r;
}
