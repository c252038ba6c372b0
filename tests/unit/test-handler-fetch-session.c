/* Goal: incremental fetch sessions keep KIP-227: what a request names, what a response holds, whom the cache lets in, and
 * that a busy partition starves nobody. Method: the file alone, without net or log: requests are structs, the answers of
 * the partitions are made up. It is included, so that an epoch can be set near its maximum. */
#include "handler/fetch_session.c"

#include "unit.h"

enum { HIGH_WATERMARK = 100 };

struct client {
        struct fetch_sessions *cache;
        struct arena arena;
        struct fetch_plan plan;
        int32_t id;
        int64_t now_ms;
        bool by_id;
};

static void client_init(struct client *c, unsigned slots, size_t partitions_max)
{
        *c = (struct client){ .now_ms = 1000 };
        CU_ASSERT_EQUAL_FATAL(fetch_sessions_new(slots, partitions_max, &c->cache), 0);
}

static void client_fini(struct client *c)
{
        arena_fini(&c->arena);
        fetch_sessions_free(c->cache);
}

/* Names are spelt anew for each item: the session must not rely on the request's memory. */
static struct fetch_item item_of(const struct client *c, char topic, int32_t index)
{
        struct fetch_item item = {
                .index = index, .current_leader_epoch = -1, .last_fetched_epoch = -1, .max_bytes = 1000
        };

        if (c->by_id)
                item.topic.id.b[0] = (uint8_t)topic;
        else
                item.topic.name = (struct str){ strndup(&topic, 1), 1 };
        return item;
}

static void item_free(struct fetch_item *item)
{
        if (!item->topic.name.p)
                return;
        memset((char *)(uintptr_t)item->topic.name.p, '!', item->topic.name.len);
        free((char *)(uintptr_t)item->topic.name.p);
}

/* A request that names the partitions of @want ("a0a1b0": topic and index, each one character) and forgets @forget. */
static int begin(struct client *c, int32_t id, int32_t epoch, const char *want, const char *forget)
{
        struct fetch_item items[64];
        struct fetch_forget forgets[64];
        struct fetch_session_request rq = {
                .session_id = id, .epoch = epoch, .by_id = c->by_id, .items = items, .forgets = forgets
        };
        struct fetch_item gone[64];
        int r;

        for (; *want; want += 2)
                items[rq.items_count++] = item_of(c, want[0], want[1] - '0');
        for (; *forget; forget += 2) {
                gone[rq.forgets_count] = item_of(c, forget[0], forget[1] - '0');
                forgets[rq.forgets_count] = (struct fetch_forget){ gone[rq.forgets_count].topic, forget[1] - '0' };
                rq.forgets_count++;
        }
        c->plan = (struct fetch_plan){ 0 };
        r = fetch_session_begin(c->cache, &rq, &c->arena, c->now_ms, &c->plan);
        for (size_t i = 0; i < rq.forgets_count; i++)
                item_free(&gone[i]);
        /* A plan that is not a session's borrows the request's names, as the request outlives it. */
        for (size_t i = 0; i < rq.items_count; i++)
                if (r || c->plan.incremental)
                        item_free(&items[i]);
        return r;
}

/* The plan's partitions in serving order, as begin() spells them. */
static const char *planned(const struct client *c, char out[256])
{
        char *at = out;

        for (size_t i = 0; i < c->plan.items_count; i++) {
                const struct fetch_item *item = &c->plan.items[i];

                *at++ = c->by_id ? (char)item->topic.id.b[0] : *item->topic.name.p;
                *at++ = (char)('0' + item->index);
        }
        *at = '\0';
        return out;
}

/* Every partition answers the same: nothing new since HIGH_WATERMARK. */
static void answer_quietly(struct client *c)
{
        for (size_t i = 0; i < c->plan.items_count; i++) {
                struct fetch_item *item = &c->plan.items[i];

                item->error = 0;
                item->high_watermark = item->stable_offset = HIGH_WATERMARK;
                item->start_offset = 0;
                item->diverging_epoch = -1;
                item->records_len = 0;
        }
}

static struct fetch_item *planned_item(struct client *c, char topic, int32_t index)
{
        for (size_t i = 0; i < c->plan.items_count; i++) {
                struct fetch_item *item = &c->plan.items[i];

                if (item->index == index && (c->by_id ? (char)item->topic.id.b[0] : *item->topic.name.p) == topic)
                        return item;
        }
        CU_FAIL_FATAL("not in the plan");
        return NULL;
}

/* End the plan; the partitions that the response holds, in its order. */
static const char *finish(struct client *c, char out[256])
{
        struct fetch_plan plan = c->plan;
        char *at = out;

        c->id = fetch_session_finish(c->cache, &c->plan, c->now_ms);
        for (size_t i = 0; i < plan.items_count; i++)
                if (plan.items[i].include) {
                        *at++ = c->by_id ? (char)plan.items[i].topic.id.b[0] : *plan.items[i].topic.name.p;
                        *at++ = (char)('0' + plan.items[i].index);
                }
        *at = '\0';
        if (!plan.incremental)
                for (size_t i = 0; i < plan.items_count; i++)
                        item_free(&plan.items[i]);
        return out;
}

/* A new session for @want, all quiet. Return: its id, 0 when there was no room. */
static int32_t open_session(struct client *c, const char *want)
{
        char out[256];

        CU_ASSERT_EQUAL_FATAL(begin(c, 0, 0, want, ""), 0);
        answer_quietly(c);
        CU_ASSERT_STRING_EQUAL(finish(c, out), want);
        return c->id;
}

/* One quiet turn of a session. Return: the outcome. */
static int touch(struct client *c, int32_t id, int32_t epoch)
{
        char out[256];
        int r = begin(c, id, epoch, "", "");

        if (r)
                return r;
        answer_quietly(c);
        finish(c, out);
        return 0;
}

/* ---- requests ---- */

static void test_new(void)
{
        struct client c;
        char out[256];

        client_init(&c, 10, 100);
        CU_ASSERT_EQUAL(begin(&c, 0, 0, "a0a1b0", ""), 0);
        CU_ASSERT(!c.plan.incremental);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "a0a1b0");
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "a0a1b0"); /* a full response holds all */
        CU_ASSERT(c.id > 0);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 1);
        /* Nothing named, nothing to remember. */
        CU_ASSERT_EQUAL(begin(&c, 0, 0, "", ""), 0);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "");
        CU_ASSERT_EQUAL(c.id, 0);
        client_fini(&c);
}

static void test_sessionless(void)
{
        struct client c;
        char out[256];
        int32_t id;

        client_init(&c, 10, 100);
        CU_ASSERT_EQUAL(begin(&c, 0, -1, "a0", ""), 0);
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "a0");
        CU_ASSERT_EQUAL(c.id, 0);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 0);
        /* Epoch -1 with an id ends that session, and answers once more in full. */
        id = open_session(&c, "a0b0");
        CU_ASSERT_EQUAL(begin(&c, id, -1, "b0", ""), 0);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "b0");
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "b0");
        CU_ASSERT_EQUAL(c.id, 0);
        CU_ASSERT_EQUAL(touch(&c, id, 1), FETCH_SESSION_E_NOT_FOUND);
        /* Epoch 0 with an id starts anew in its place. */
        id = open_session(&c, "a0");
        CU_ASSERT_EQUAL(begin(&c, id, 0, "b0", ""), 0);
        answer_quietly(&c);
        finish(&c, out);
        CU_ASSERT(c.id != 0 && c.id != id);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 1);
        CU_ASSERT_EQUAL(touch(&c, id, 1), FETCH_SESSION_E_NOT_FOUND);
        client_fini(&c);
}

static void test_incremental(void)
{
        struct client c;
        char out[256];
        int32_t id;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0a1b0");
        /* Only what changed is named; the plan holds all, as remembered. */
        CU_ASSERT_EQUAL(begin(&c, id, 1, "c0", "a1"), 0);
        CU_ASSERT(c.plan.incremental);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "a0b0c0");
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "c0"); /* the client knows nothing of it yet */
        CU_ASSERT_EQUAL(c.id, id);
        CU_ASSERT_EQUAL(begin(&c, id, 2, "", "z9a9"), 0); /* forgetting what is not there is harmless */
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "");
        /* All forgotten: the session is over. */
        CU_ASSERT_EQUAL(begin(&c, id, 3, "", "a0b0c0"), 0);
        CU_ASSERT_EQUAL(c.plan.items_count, 0);
        finish(&c, out);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 0);
        client_fini(&c);
}

/* What the client says of a partition replaces what it said before, current leader epoch included (KAFKA-9338). */
static void test_remembers_settings(void)
{
        struct fetch_item item;
        struct client c;
        char out[256];
        int32_t id;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0b0");
        item = item_of(&c, 'b', 0);
        item.fetch_offset = 77;
        item.current_leader_epoch = 5;
        item.last_fetched_epoch = 4;
        item.max_bytes = 123;
        CU_ASSERT_EQUAL(fetch_session_begin(c.cache,
                                            &(struct fetch_session_request){
                                                    .session_id = id, .epoch = 1, .items = &item, .items_count = 1 },
                                            &c.arena, c.now_ms, &c.plan),
                        0);
        item_free(&item);
        answer_quietly(&c);
        finish(&c, out);
        CU_ASSERT_EQUAL(begin(&c, id, 2, "", ""), 0);
        CU_ASSERT_EQUAL(planned_item(&c, 'b', 0)->fetch_offset, 77);
        CU_ASSERT_EQUAL(planned_item(&c, 'b', 0)->current_leader_epoch, 5);
        CU_ASSERT_EQUAL(planned_item(&c, 'b', 0)->last_fetched_epoch, 4);
        CU_ASSERT_EQUAL(planned_item(&c, 'b', 0)->max_bytes, 123);
        CU_ASSERT_EQUAL(planned_item(&c, 'a', 0)->fetch_offset, 0);
        fetch_session_abandon(c.cache, &c.plan);
        client_fini(&c);
}

static void test_epochs(void)
{
        static const int32_t wrong[] = { 1, 3, 4, INT32_MAX, -2, INT32_MIN };
        struct client c;
        int32_t id;

        client_init(&c, 10, 100);
        CU_ASSERT_EQUAL(touch(&c, 4711, 1), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, 0, 1), FETCH_SESSION_E_NOT_FOUND);
        id = open_session(&c, "a0");
        CU_ASSERT_EQUAL(touch(&c, id, 1), 0);
        for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
                CU_ASSERT_EQUAL(touch(&c, id, wrong[i]), FETCH_SESSION_E_EPOCH);
        CU_ASSERT_EQUAL(touch(&c, id, 2), 0); /* the session was kept, as it was */
        CU_ASSERT_EQUAL(touch(&c, id, 3), 0);
        client_fini(&c);
}

static void test_epoch_wraps(void)
{
        struct fetch_session *s;
        struct client c;
        int32_t id;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0");
        s = cache_get(c.cache, id);
        s->epoch = INT32_MAX;
        session_unref(c.cache, s);
        CU_ASSERT_EQUAL(touch(&c, id, INT32_MAX), 0);
        CU_ASSERT_EQUAL(touch(&c, id, 1), 0); /* 0 would start anew */
        CU_ASSERT_EQUAL(touch(&c, id, 2), 0);
        client_fini(&c);
}

static void test_topic_ids(void)
{
        struct client c;
        char out[256];
        int32_t by_name, by_id;

        client_init(&c, 10, 100);
        by_name = open_session(&c, "a0");
        c.by_id = true;
        CU_ASSERT_EQUAL(touch(&c, by_name, 1), FETCH_SESSION_E_TOPIC_ID);
        by_id = open_session(&c, "a0b1");
        CU_ASSERT_EQUAL(begin(&c, by_id, 1, "c0", "a0"), 0);
        CU_ASSERT(c.plan.by_id);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "b1c0");
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "c0");
        c.by_id = false;
        CU_ASSERT_EQUAL(touch(&c, by_id, 2), FETCH_SESSION_E_TOPIC_ID);
        CU_ASSERT_EQUAL(touch(&c, by_name, 1), 0); /* both were kept */
        c.by_id = true;
        CU_ASSERT_EQUAL(touch(&c, by_id, 2), 0);
        client_fini(&c);
}

/* ---- responses ---- */

static void test_only_news(void)
{
        struct client c;
        char out[256];
        int32_t id, epoch = 1;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0b0c0d0e0");
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        planned_item(&c, 'a', 0)->high_watermark++;
        planned_item(&c, 'b', 0)->start_offset++;
        planned_item(&c, 'c', 0)->diverging_epoch = 3;
        planned_item(&c, 'd', 0)->records_len = 10;
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "a0b0c0d0");
        /* It was told: the same again is no news, and back again is. */
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        planned_item(&c, 'a', 0)->high_watermark++;
        planned_item(&c, 'b', 0)->start_offset++;
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "");
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "a0b0");
        client_fini(&c);
}

static void test_errors_always(void)
{
        struct client c;
        char out[256];
        int32_t id, epoch = 1;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0b0");
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
                answer_quietly(&c);
                planned_item(&c, 'b', 0)->error = 3;
                planned_item(&c, 'b', 0)->high_watermark = planned_item(&c, 'b', 0)->start_offset = -1;
                CU_ASSERT_STRING_EQUAL(finish(&c, out), "b0");
        }
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "b0"); /* that it works again is news */
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "");
        client_fini(&c);
}

/* A response has room for one partition, and the first in line is always busy: after as many requests as there are
 * partitions each was served. */
static void test_nobody_starves(void)
{
        struct client c;
        char out[256], served[32] = "";
        int32_t id, epoch = 1;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0a1b0c0");
        for (int i = 0; i < 8; i++) {
                CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
                answer_quietly(&c);
                c.plan.items[0].records_len = 1000; /* all are busy; the first fills the response */
                strncat(served, finish(&c, out), 2);
        }
        CU_ASSERT_STRING_EQUAL(served, "a0a1b0c0a0a1b0c0");
        /* News without records costs no place. */
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        answer_quietly(&c);
        planned_item(&c, 'a', 0)->high_watermark++;
        finish(&c, out);
        CU_ASSERT_EQUAL(begin(&c, id, epoch++, "", ""), 0);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "a0a1b0c0");
        fetch_session_abandon(c.cache, &c.plan);
        /* Those served by the very first response stand behind the others from the start. */
        CU_ASSERT_EQUAL(begin(&c, 0, 0, "a0b0c0", ""), 0);
        answer_quietly(&c);
        c.plan.items[0].records_len = 1000;
        finish(&c, out);
        CU_ASSERT_EQUAL(begin(&c, c.id, 1, "", ""), 0);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "b0c0a0");
        fetch_session_abandon(c.cache, &c.plan);
        client_fini(&c);
}

static void test_abandon(void)
{
        struct client c;
        char out[256];
        int32_t id;

        client_init(&c, 10, 100);
        id = open_session(&c, "a0b0");
        CU_ASSERT_EQUAL(begin(&c, id, 1, "", ""), 0);
        answer_quietly(&c);
        c.plan.items[0].records_len = 10;
        c.plan.items[0].high_watermark++;
        fetch_session_abandon(c.cache, &c.plan); /* the client was not told */
        CU_ASSERT_EQUAL(begin(&c, id, 2, "", ""), 0);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "a0b0");
        answer_quietly(&c);
        c.plan.items[0].high_watermark++;
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "a0");
        client_fini(&c);
}

/* ---- the cache ---- */

static void test_slots(void)
{
        struct client c;
        int32_t id[3];

        client_init(&c, 3, 1000);
        for (int i = 0; i < 3; i++)
                id[i] = open_session(&c, "a0b0");
        CU_ASSERT(id[0] && id[1] && id[2] && id[0] != id[1] && id[1] != id[2]);
        CU_ASSERT_EQUAL(open_session(&c, "a0b0"), 0); /* no room: full responses, no session */
        /* Even a larger one does not drive out a session that was just made: they would chase each other. */
        CU_ASSERT_EQUAL(open_session(&c, "a0b0c0"), 0);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 3);
        for (int i = 0; i < 3; i++)
                CU_ASSERT_EQUAL(touch(&c, id[i], 1), 0);
        client_fini(&c);
}

static void test_evict_unused(void)
{
        struct client c;
        int32_t id[3], fresh;

        client_init(&c, 3, 1000);
        for (int i = 0; i < 3; i++)
                id[i] = open_session(&c, "a0b0c0");
        c.now_ms += EVICTION_AGE_MS;
        CU_ASSERT_EQUAL(touch(&c, id[0], 1), 0);
        CU_ASSERT_EQUAL(touch(&c, id[2], 1), 0);
        CU_ASSERT_EQUAL(open_session(&c, "d0"), 0); /* used exactly that long ago: not yet */
        c.now_ms++;
        fresh = open_session(&c, "d0"); /* a smaller one in the place of one that nobody used */
        CU_ASSERT(fresh != 0);
        CU_ASSERT_EQUAL(touch(&c, id[1], 1), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, id[0], 2), 0);
        CU_ASSERT_EQUAL(touch(&c, id[2], 2), 0);
        CU_ASSERT_EQUAL(touch(&c, fresh, 1), 0);
        client_fini(&c);
}

/* Wrong epochs are no use of a session. */
static void test_errors_do_not_keep(void)
{
        struct client c;
        int32_t id;

        client_init(&c, 1, 1000);
        id = open_session(&c, "a0");
        c.now_ms += EVICTION_AGE_MS + 1;
        CU_ASSERT_EQUAL(touch(&c, id, 99), FETCH_SESSION_E_EPOCH);
        CU_ASSERT(open_session(&c, "b0") != 0);
        CU_ASSERT_EQUAL(touch(&c, id, 1), FETCH_SESSION_E_NOT_FOUND);
        client_fini(&c);
}

/* Of those that are in use and not new, the smallest makes room for a larger one; never for one of its own size. */
static void test_evict_smaller(void)
{
        struct client c;
        int32_t id[3], epoch[3] = { 1, 1, 1 };

        client_init(&c, 3, 1000);
        id[0] = open_session(&c, "a0b0c0");
        id[1] = open_session(&c, "a0b0");
        id[2] = open_session(&c, "a0b0c0d0");
        for (int i = 0; i < 5; i++) { /* all are busy all the time */
                c.now_ms += EVICTION_AGE_MS / 4;
                for (int k = 0; k < 3; k++)
                        CU_ASSERT_EQUAL(touch(&c, id[k], epoch[k]++), 0);
        }
        CU_ASSERT_EQUAL(open_session(&c, "x0"), 0);
        CU_ASSERT_EQUAL(open_session(&c, "x0y0"), 0);
        CU_ASSERT(open_session(&c, "x0y0z0") != 0);
        CU_ASSERT_EQUAL(touch(&c, id[1], epoch[1]++), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, id[0], epoch[0]++), 0);
        CU_ASSERT_EQUAL(touch(&c, id[2], epoch[2]++), 0);
        client_fini(&c);
}

static void test_partitions_bound(void)
{
        struct client c;
        char out[256];
        int32_t a, b;

        client_init(&c, 100, 6);
        CU_ASSERT_EQUAL(open_session(&c, "a0a1a2a3a4a5a6"), 0); /* alone too large */
        a = open_session(&c, "a0a1a2");
        b = open_session(&c, "b0b1");
        CU_ASSERT(a && b);
        CU_ASSERT_EQUAL(open_session(&c, "c0c1"), 0);
        /* One that grows counts too. */
        CU_ASSERT_EQUAL(begin(&c, b, 1, "b2", ""), 0);
        answer_quietly(&c);
        finish(&c, out);
        CU_ASSERT_EQUAL(open_session(&c, "c0"), 0);
        /* And may not grow past the bound: it is gone then, the client starts anew. */
        CU_ASSERT_EQUAL(begin(&c, b, 2, "b3b4b5", ""), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, b, 2), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 1);
        /* What is forgotten makes room: exactly three more fit now. */
        CU_ASSERT_EQUAL(open_session(&c, "c0c1c2c3"), 0);
        CU_ASSERT_EQUAL(begin(&c, a, 1, "", "a1"), 0);
        answer_quietly(&c);
        finish(&c, out);
        CU_ASSERT(open_session(&c, "c0c1c2c3") != 0);
        CU_ASSERT_EQUAL(touch(&c, a, 2), 0);
        client_fini(&c);
}

/* Several unused ones go for one large one; nobody goes when that would not do. */
static void test_evict_several(void)
{
        struct client c;
        int32_t a, b, d;

        client_init(&c, 100, 6);
        a = open_session(&c, "a0a1");
        b = open_session(&c, "b0b1");
        c.now_ms += EVICTION_AGE_MS + 1;
        d = open_session(&c, "d0d1");
        CU_ASSERT_EQUAL(open_session(&c, "e0e1e2e3e4e5"), 0); /* d is new */
        CU_ASSERT_EQUAL(fetch_sessions_count(c.cache), 3);
        CU_ASSERT(open_session(&c, "e0e1e2e3") != 0);
        CU_ASSERT_EQUAL(touch(&c, a, 1), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, b, 1), FETCH_SESSION_E_NOT_FOUND);
        CU_ASSERT_EQUAL(touch(&c, d, 1), 0);
        client_fini(&c);
}

/* A session that is evicted while a request of it is answered stays whole until then. */
static void test_evicted_under_way(void)
{
        struct client c, other;
        char out[256];
        int32_t id;

        client_init(&c, 1, 100);
        id = open_session(&c, "a0b0");
        CU_ASSERT_EQUAL(begin(&c, id, 1, "c0", ""), 0);
        other = (struct client){ .cache = c.cache, .now_ms = c.now_ms + EVICTION_AGE_MS + 1 };
        CU_ASSERT(open_session(&other, "x0") != 0);
        arena_fini(&other.arena);
        CU_ASSERT_STRING_EQUAL(planned(&c, out), "a0b0c0");
        answer_quietly(&c);
        CU_ASSERT_STRING_EQUAL(finish(&c, out), "c0");
        CU_ASSERT_EQUAL(touch(&c, id, 2), FETCH_SESSION_E_NOT_FOUND);
        client_fini(&c);
}

/* ---- threads: sessions come, are used, grow and are evicted ---- */

enum { THREADS = 4, TURNS = 4000, TURNS_MAX = 4000 * 250 };

static atomic_uint lost_all, refused_all;

/* On a machine with few free cores the threads may have run one after the other: go on until they have met. */
static bool must_go_on(unsigned turn)
{
        return turn < TURNS || ((!atomic_load(&lost_all) || !atomic_load(&refused_all)) && turn < TURNS_MAX);
}

struct crowd {
        struct fetch_sessions *cache;
        unsigned seed, wrong;
};

static void *use_sessions(void *arg)
{
        struct crowd *w = arg;
        struct client c = { .cache = w->cache };
        int32_t id = 0, epoch = 0;
        char out[256];

        for (unsigned i = 0; must_go_on(i); i++) {
                unsigned chance = (w->seed = w->seed * 1664525u + 1013904223u) >> 16;
                const char *want = id ? (chance % 3 ? "" : "c0c1") : chance % 2 ? "a0a1b0" : "a0a1b0c0d0";
                int r;

                c.now_ms = (int64_t)i * 2000;
                r = begin(&c, id, epoch, want, chance % 7 ? "" : "c0c1");
                w->wrong += r != 0 && (r != FETCH_SESSION_E_NOT_FOUND || !id);
                if (r)
                        atomic_fetch_add(&lost_all, 1);
                if (!r && chance % 11 == 0) {
                        fetch_session_abandon(w->cache, &c.plan);
                        for (size_t k = 0; k < c.plan.items_count && !c.plan.incremental; k++)
                                item_free(&c.plan.items[k]);
                        epoch = id ? epoch_next(epoch) : 0;
                } else if (!r) {
                        answer_quietly(&c);
                        c.plan.items[0].records_len = chance % 2;
                        finish(&c, out);
                        if (!c.id)
                                atomic_fetch_add(&refused_all, 1);
                        id = c.id;
                        epoch = id ? epoch_next(epoch) : 0;
                } else {
                        id = epoch = 0;
                }
                arena_fini(&c.arena);
        }
        return NULL;
}

static void test_threads(void)
{
        struct crowd crowd[THREADS];
        pthread_t threads[THREADS];
        struct client c;

        client_init(&c, THREADS - 1, 14);
        for (unsigned i = 0; i < THREADS; i++) {
                crowd[i] = (struct crowd){ .cache = c.cache, .seed = i };
                pthread_create(&threads[i], NULL, use_sessions, &crowd[i]);
        }
        for (unsigned i = 0; i < THREADS; i++) {
                pthread_join(threads[i], NULL);
                CU_ASSERT_EQUAL(crowd[i].wrong, 0);
        }
        CU_ASSERT(atomic_load(&lost_all) && atomic_load(&refused_all)); /* the cache was too small for all */
        CU_ASSERT(c.cache->count <= THREADS - 1 && c.cache->partitions_count <= 14);
        client_fini(&c);
}

static const struct unit_case cases[] = {
        { "a new session", test_new },
        { "without a session", test_sessionless },
        { "an incremental request", test_incremental },
        { "settings are remembered", test_remembers_settings },
        { "epochs", test_epochs },
        { "the epoch wraps to 1", test_epoch_wraps },
        { "topic ids or names", test_topic_ids },
        { "only news is answered", test_only_news },
        { "errors are always answered", test_errors_always },
        { "nobody starves", test_nobody_starves },
        { "a request that is not answered", test_abandon },
        { "a bounded number of sessions", test_slots },
        { "the unused one goes", test_evict_unused },
        { "errors do not keep a session", test_errors_do_not_keep },
        { "a smaller one goes for a larger one", test_evict_smaller },
        { "a bounded number of partitions", test_partitions_bound },
        { "several go for one", test_evict_several },
        { "evicted under way", test_evicted_under_way },
        { "threads", test_threads },
};
UNIT_MAIN("handler/fetch_session", cases)
