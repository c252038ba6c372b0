/* Goal: readers of committed records are told what is stable, and wait for it. Method: a real log with a transaction, whose
 * marker is held above the high watermark by a flusher that is held up. */
#include "replica-scene.h"

static void append_transactional(struct partition *p)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        struct plog_append_result res;

        a.producer_id = 7;
        a.producer_epoch = 0;
        a.base_sequence = 0;
        a.transactional = true;
        batch_builder_init(&b, &a);
        CU_ASSERT_EQUAL_FATAL(batch_builder_add(&b, &(struct batch_record){ .timestamp = NOW_MS }), 0);
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        CU_ASSERT_EQUAL_FATAL(
                partition_append(
                        p, &(struct plog_append_args){ .batch = (uint8_t *)out.data, .len = out.len, .now_ms = NOW_MS },
                        false, &res),
                PLOG_OK);
        strbuf_fini(&out);
}

/* Readers of committed records wait for the end of a transaction, and for that end to be replicated. */
static void test_stable(void)
{
        struct waiter data = { 0 }, stable = { 0 };
        struct plog_append_result res;
        struct scene s;

        scene_init(&s);
        append_two(s.p);
        append_transactional(s.p);
        append_two(s.p);
        wait_durable(s.log);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 5);
        CU_ASSERT_EQUAL(view_of(s.p).stable_offset, 2);
        wait_for(&s, &data, PARTITION_WAIT_DATA, 2);
        wait_for(&s, &stable, PARTITION_WAIT_STABLE, 2);
        turn_until(&s, &data, 1);
        CU_ASSERT_EQUAL(stable.told, 0);
        gate_shut(&s.gate, s.f.pool);
        CU_ASSERT_EQUAL(
                plog_append_marker(s.log,
                                   &(struct plog_marker_args){
                                           .producer_id = 7, .leader_epoch = 5, .commit = true, .now_ms = NOW_MS },
                                   &res),
                PLOG_OK);
        CU_ASSERT_EQUAL(view_of(s.p).stable_offset, 2); /* the marker is not below the high watermark */
        turn(&s);
        CU_ASSERT_EQUAL(stable.told, 0);
        gate_open(&s.gate);
        turn_until(&s, &stable, 1);
        CU_ASSERT_EQUAL(view_of(s.p).stable_offset, 6);
        scene_fini(&s);
}

static const struct unit_case cases[] = { { "waiting for what is stable", test_stable } };
UNIT_MAIN("replica/stable", cases)
