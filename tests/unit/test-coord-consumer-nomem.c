/* Goal: a consumer group's machine that runs out of memory anywhere says so, is dropped whole, and the one that reads the log again goes on as if
 * nothing had been asked. Method: one story of members of both protocols, of which every request is made again and again with the n-th
 * allocation failing, for n from 0 until none does. */
#include <errno.h>

#include "test-coord-consumers.h"

static int allocations_left = -1; /* -1: all succeed */
static int failed;

static bool fails(void)
{
        return allocations_left >= 0 && (allocations_left == 0 || allocations_left-- == 0);
}

#include "nomem.h"

static void unanswer(struct coord_actions *acts)
{
        while (ilist_pop_front(&acts->replies))
                ;
        coord_actions_fini(acts);
        coord_actions_init(acts);
}

static void log_all(struct world *w, const struct coord_actions *acts)
{
        for (struct coord_record *r = acts->records; r; r = r->next)
                log_record(w, r, -1);
        if (acts->records_count)
                w->written = acts->seq;
        groups_committed(w->gs, w->written);
}

static int request_with_failures(struct world *w, struct coord_request *rq, struct coord_actions *acts)
{
        for (int n = 0; n < 100000; n++) {
                enum coord_op op = rq->op;
                struct str id = rq->id;
                int r;

                allocations_left = n;
                r = groups_request(w->gs, rq, w->now, acts);
                allocations_left = -1;
                if (!r && rq->outcome != -ENOMEM)
                        return 0;
                failed++;
                CU_ASSERT(r == 0 || r == -ENOMEM);
                if (!r) /* it is done, and only the answer found no memory */
                        log_all(w, acts);
                unanswer(acts);
                coord_request_fini(rq);
                coord_request_init(rq, op, id);
                if (r)
                        world_reload(w);
        }
        return -ENOMEM;
}

static void settle_down(struct world *w, struct client *x, struct client *y, struct client *a)
{
        for (int i = 0; i < 4; i++) {
                struct client *classic[] = { x, y };

                for (int k = 0; k < 2; k++)
                        if (beat_classic(w, classic[k]) == COORD_E_REBALANCING) {
                                CU_ASSERT_EQUAL(join_classic(w, classic[k], k), COORD_OK);
                                CU_ASSERT_EQUAL(sync_classic(w, classic[k]), COORD_OK);
                        }
                CU_ASSERT_EQUAL(heartbeat(w, a, FULL), COORD_OK);
        }
}

static void test_story(void)
{
        struct client x = { .names = { "t" } }, y = { .names = { "t" } };
        struct client a = { .id = "a", .names = { "t", "u" }, .regex = "u.*" },
                      s = { .id = "s", .instance = "i", .names = { "t" }, .assignor = "range" };
        struct world w;

        begin(&w);
        classic_pair(&w, &x, &y);
        request_by = request_with_failures;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK); /* the group is upgraded */
        settle_down(&w, &x, &y, &a);
        CU_ASSERT_EQUAL(count(&x) + count(&y) + count(&a), 6);
        CU_ASSERT_EQUAL(heartbeat(&w, &s, 0), COORD_OK);
        CU_ASSERT_EQUAL(leaves(&w, &s, EPOCH_LEAVE_STATIC), COORD_OK);
        s = (struct client){ .id = "s2", .instance = "i", .names = { "t" } };
        CU_ASSERT_EQUAL(heartbeat(&w, &s, 0), COORD_OK);
        settle_down(&w, &x, &y, &a);
        CU_ASSERT_EQUAL(heartbeat(&w, &s, FULL), COORD_OK);
        CU_ASSERT_EQUAL(leaves(&w, &s, EPOCH_LEAVE), COORD_OK);
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE), COORD_OK); /* and is a classic one again */
        request_by = NULL;
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_EQUAL(groups_find(w.gs, STR_LIT("g"))->members_count, 2);
        printf("%d failures ", failed);
        CU_ASSERT(failed > 200);
        w.trace[0] = 0;
        end(&w);
}

static const struct unit_case cases[] = {
        { "a story", test_story },
        { "memory", forget_answers },
};
UNIT_MAIN("consumer groups, no memory", cases)
