/* Goal: a share group's machine that runs out of memory anywhere says so, is dropped whole, and the one that reads the log again goes on as if
 * nothing had been asked. Method: one story of members, leaders and operators, of which every request is made again and again with the n-th
 * allocation failing, for n from 0 until none does. */
#include <errno.h>

#include "test-coord-shares.h"

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

static void test_story(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t", "u" } };
        struct lead l = { .partition = 1, .leader_epoch = 4 }, u = { .topic = 1, .leader_epoch = 1 };
        struct world w;

        begin(&w);
        request_by = request_with_failures;
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_beat(&w, &a, FULL), COORD_OK);
        CU_ASSERT_EQUAL(count(&a) + count(&b), 6);
        CU_ASSERT_EQUAL(show(&w), COORD_OK);
        CU_ASSERT_EQUAL(shown.ret_members_count, 2);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &u), COORD_OK);
        l.start = 2;
        l.runs[0] = (struct coord_share_run){ 3, 3, 2, 1 };
        l.runs_count = 1;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(l.runs_count, 1);
        SAME(stands(&w, NULL, 0), "t1=2/1@4 u0=-1@1");
        CU_ASSERT_EQUAL(share_leave(&w, &a), COORD_OK);
        CU_ASSERT_EQUAL(share_leave(&w, &b), COORD_OK);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 0, 7), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_OK);
        CU_ASSERT_EQUAL(share_remove(&w, "u"), COORD_OK);
        SAME(stands(&w, NULL, 0), "t1=2/1@4 t0=7@0");
        CU_ASSERT_EQUAL(share_delete(&w), COORD_OK);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 2, 3), COORD_OK); /* makes another one */
        CU_ASSERT_EQUAL(item_outcome, COORD_OK);
        SAME(stands(&w, NULL, 0), "t2=3@0");
        CU_ASSERT_EQUAL(share_delete(&w), COORD_OK);
        request_by = NULL;
        SAME(share_state(&w), "none");
        CU_ASSERT_EQUAL(w.gs->stats.memory, 0);
        printf("%d failures ", failed);
        CU_ASSERT(failed > 50);
        shares_end(&w);
}

static const struct unit_case cases[] = {
        { "a story", test_story },
        { "memory", forget_answers },
};
UNIT_MAIN("share groups, no memory", cases)
