/* Records of __consumer_offsets from an untrusted log: input is a list of [key length u8][value length u16, 0xffff: null]
 * key value. All are replayed into one machine, which must stay sound: it is asked, ticked and freed afterwards. */
#include <stdlib.h>

#include "base/cursor.h"
#include "coord/groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct uuid no_chance(void *arg)
{
        return UUID_ZERO;
}

static void answer_all(struct coord_actions *acts)
{
        while (ilist_pop_front(&acts->replies))
                ;
        coord_actions_fini(acts);
}

static void replay_all(struct groups *gs, struct span in)
{
        struct cursor c = cursor_of(in);

        while (cursor_left(&c)) {
                size_t key_len = cursor_u8(&c), value_len = cursor_be16(&c);
                bool tombstone = value_len == 0xffff;
                const uint8_t *key = cursor_take(&c, key_len);
                const uint8_t *value = tombstone ? NULL : cursor_take(&c, value_len);

                if (!cursor_ok(&c))
                        break;
                if (groups_replay(gs, span_of(key, key_len), tombstone ? SPAN_NULL : span_of(value, value_len)))
                        abort();
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
        if (groups_new(&conf, &gs))
                return 0;
        replay_all(gs, span_of(data, size));
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
