/* Records of __consumer_offsets and __transaction_state from an untrusted log: input is a list of [key length u8][value length u16, 0xffff: null]
 * key value. All are replayed into one machine of each kind, which must stay sound: it is asked, ticked and freed afterwards. A consumer, and a
 * member of a share group, join each group that it has then, whose members, and what they have brought, are untrusted too; and it is deleted. */
#include <stdlib.h>

#include "base/cursor.h"
#include "coord/consumer_priv.h"
#include "coord/marks.h"
#include "coord/txns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct uuid no_chance(void *arg)
{
        return UUID_ZERO;
}

static struct meta_image *no_topics(void *arg)
{
        static struct meta_image *image;

        if (!image)
                image = meta_image_new_empty();
        return meta_image_ref(image);
}

static void answer_all(struct coord_actions *acts)
{
        while (ilist_pop_front(&acts->replies))
                ;
        coord_actions_fini(acts);
}

static int to_groups(void *m, struct span key, struct span value)
{
        /* Some of it as of transactions, which end now and then. */
        if (key.len % 8 == 7)
                groups_end_txn(m, 1, value.len % 2, 0);
        return groups_replay(m, key.len % 4 == 3 ? 1 : -1, key, value);
}

static int to_txns(void *m, struct span key, struct span value)
{
        return txns_replay(m, key, value);
}

static void replay_all(void *m, int (*to)(void *m, struct span key, struct span value), struct span in)
{
        struct cursor c = cursor_of(in);

        while (cursor_left(&c)) {
                size_t key_len = cursor_u8(&c), value_len = cursor_be16(&c);
                bool tombstone = value_len == 0xffff;
                const uint8_t *key = cursor_take(&c, key_len);
                const uint8_t *value = tombstone ? NULL : cursor_take(&c, value_len);

                if (!cursor_ok(&c))
                        break;
                if (to(m, span_of(key, key_len), tombstone ? SPAN_NULL : span_of(value, value_len)))
                        abort();
        }
}

static void try_txns(struct span in)
{
        struct coord_time now = { 1000000, 1700000000000 };
        struct coord_actions acts;
        struct txns_conf conf;
        struct txns *ts;

        txns_conf_init(&conf);
        if (txns_new(&conf, &ts))
                return;
        replay_all(ts, to_txns, in);
        coord_actions_init(&acts);
        if (txns_loaded(ts, now, &acts))
                abort();
        for (struct ilist *l; (l = ilist_pop_front(&acts.marks));)
                coord_marks_free(ilist_entry(l, struct coord_marks, link));
        coord_actions_fini(&acts);
        txns_free(ts);
}

static void ask(struct groups *gs, struct coord_request *rq, struct coord_time now)
{
        struct coord_actions acts;

        coord_actions_init(&acts);
        if (groups_request(gs, rq, now, &acts))
                abort();
        answer_all(&acts);
        coord_request_fini(rq);
}

static void join_all(struct groups *gs, struct coord_time now)
{
        static const struct coord_partitions none = { 0 };
        const struct str name = STR_LIT("t");
        struct str ids[8];
        unsigned count = 0;

        ilist_for_each (g, &gs->all, struct group, link)
                if (count < ARRAY_LEN(ids) && !text_dup(g->id, &ids[count])) /* it may go before it is asked again */
                        count++;
        for (unsigned i = 0; i < count; i++) {
                struct coord_consumer_heartbeat rq = { .member_id = STR_LIT("m"),
                                                       .rebalance_timeout_ms = 1000,
                                                       .names = &name,
                                                       .names_count = 1,
                                                       .regex = STR_LIT("t.*"),
                                                       .owned = &none };
                struct coord_share_heartbeat share = { .member_id = STR_LIT("m"), .names = &name, .names_count = 1 };
                struct coord_share_offsets offsets = { .all = true };
                struct coord_share_describe describe = { 0 };
                struct coord_delete del = { 0 };

                coord_request_init(&rq.rq, COORD_CONSUMER_HEARTBEAT, ids[i]);
                ask(gs, &rq.rq, now);
                coord_request_init(&share.rq, COORD_SHARE_HEARTBEAT, ids[i]);
                ask(gs, &share.rq, now);
                coord_request_init(&offsets.rq, COORD_SHARE_OFFSETS, ids[i]);
                ask(gs, &offsets.rq, now);
                coord_request_init(&describe.rq, COORD_SHARE_DESCRIBE, ids[i]);
                ask(gs, &describe.rq, now);
                coord_request_init(&del.rq, COORD_DELETE, ids[i]);
                ask(gs, &del.rq, now);
                text_free(&ids[i]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct coord_time now = { 1000000, 1700000000000 };
        struct coord_snapshot snap = { 0 };
        struct coord_actions acts;
        struct groups_conf conf;
        struct groups *gs;

        groups_conf_init(&conf);
        conf.new_uuid = no_chance;
        conf.image = no_topics;
        if (groups_new(&conf, &gs))
                return 0;
        try_txns(span_of(data, size));
        replay_all(gs, to_groups, span_of(data, size));
        coord_actions_init(&acts);
        if (groups_loaded(gs, now, &acts))
                abort();
        answer_all(&acts);
        coord_request_init(&snap.rq, COORD_SNAPSHOT, STR_NULL);
        coord_actions_init(&acts);
        if (groups_request(gs, &snap.rq, now, &acts))
                abort();
        answer_all(&acts);
        coord_request_fini(&snap.rq);
        join_all(gs, now);
        for (int i = 0; i < 20; i++) {
                now.mono_ms += 700000;
                now.wall_ms += 700000000;
                coord_actions_init(&acts);
                if (groups_tick(gs, now, &acts))
                        abort();
                answer_all(&acts);
        }
        groups_free(gs);
        return 0;
}
