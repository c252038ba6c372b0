/* Goal: nothing gets into a transaction that is over, and no marker ends another one than its own (KIP-890). Method: stories with the
 * expected offsets beside them. */
#include "plog-txn.h"

/* As a leader appends for a client: @marker was known when the coordinator was asked, or nobody was (PLOG_TXN_UNCHECKED). */
static int try_checked(struct plog *pl, int64_t producer_id, int16_t epoch, int32_t sequence, int64_t marker)
{
        struct batch_build_args a = batch_build_args();
        struct plog_append_result res;
        struct batch_builder b;
        struct strbuf out = { 0 };
        int r;

        a.producer_id = producer_id;
        a.producer_epoch = epoch;
        a.base_sequence = sequence;
        a.transactional = true;
        batch_builder_init(&b, &a);
        CU_ASSERT_EQUAL_FATAL(
                batch_builder_add(&b, &(struct batch_record){ .timestamp = NOW_MS, .value = span_of("value", 5) }), 0);
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        r = plog_append(pl,
                        &(struct plog_append_args){ .batch = (uint8_t *)out.data,
                                                    .len = out.len,
                                                    .now_ms = NOW_MS,
                                                    .keep_base_offset = -1,
                                                    .check_sequence = true,
                                                    .check_txn = true,
                                                    .txn_marker = marker },
                        &res);
        strbuf_fini(&out);
        return r;
}

static struct plog_txn_look look(struct plog *pl, int64_t producer_id, int16_t epoch, int32_t sequence)
{
        const struct batch_header h = { .producer_id = producer_id,
                                        .producer_epoch = epoch,
                                        .base_sequence = sequence };
        struct plog_txn_look ret;

        plog_txn_look(pl, &h, &ret);
        return ret;
}

/* KIP-890: a batch opens a transaction only when the coordinator was asked and no marker has come since. */
static void test_verified(void)
{
        struct plog_append_result res;
        struct plog_txn_look l;
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 0, PLOG_TXN_UNCHECKED), PLOG_E_INVALID_TXN_STATE);
        l = look(pl, 7, 0, 0);
        CU_ASSERT(!l.is_settled && l.marker_offset == -1);
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 0, l.marker_offset), PLOG_OK); /* offset 0 */
        l = look(pl, 7, 0, 1);
        CU_ASSERT(l.is_settled); /* it is open */
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 1, PLOG_TXN_UNCHECKED), PLOG_OK);
        CU_ASSERT_EQUAL(try_marker(pl, 7, 0, 0, true, &res), PLOG_OK); /* offset 2 */
        l = look(pl, 7, 0, 1);
        CU_ASSERT(l.is_settled); /* known: a duplicate */
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 1, PLOG_TXN_UNCHECKED), PLOG_E_DUPLICATE);
        l = look(pl, 7, 0, 2);
        CU_ASSERT(!l.is_settled && l.marker_offset == 2);
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 2, -1), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(plog_txn_check(pl, 7, 0, -1), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(plog_txn_check(pl, 7, 0, 2), 0);
        /* The next transaction ends while the coordinator is asked for the batch. */
        CU_ASSERT_EQUAL(try_marker(pl, 7, 0, 0, false, &res), PLOG_OK); /* offset 3 */
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 2, l.marker_offset), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 2, 3), PLOG_OK); /* offset 4 */
        /* An epoch whose transaction is not ended here is not mixed with the next one's. */
        l = look(pl, 7, 1, 0);
        CU_ASSERT(!l.is_settled);
        CU_ASSERT_EQUAL(try_checked(pl, 7, 1, 0, l.marker_offset), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(plog_txn_check(pl, 7, 1, l.marker_offset), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(try_marker(pl, 7, 1, 0, false, &res), PLOG_OK); /* offset 5 */
        CU_ASSERT_EQUAL(plog_txn_check(pl, 7, 0, 5), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT(look(pl, 7, 0, 9).is_settled); /* the append says so */
        CU_ASSERT_EQUAL(try_checked(pl, 7, 0, 9, 5), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(try_checked(pl, 7, 1, 0, 5), PLOG_OK); /* offset 6 */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 7), 6);
        plog_close(pl);
        fixture_fini(&f);
}

/* KIP-890: a marker of version 2 that has come before does not end the transaction that was begun after it. */
static void test_bumped_marker(void)
{
        struct plog_marker_args m = {
                .producer_id = 7, .producer_epoch = 1, .commit = true, .bumped = true, .now_ms = NOW_MS
        };
        struct plog_append_result res;
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        put_data(pl, 7, 0, true); /* epoch 0 */
        CU_ASSERT_EQUAL(plog_append_marker(pl, &m, &res), PLOG_OK);
        CU_ASSERT_EQUAL(plog_append_marker(pl, &m, &res), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(try_data(pl, 7, 1, 0, 1, true, &res), PLOG_OK); /* the next transaction */
        CU_ASSERT_EQUAL(plog_append_marker(pl, &m, &res), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 3), 2);
        m.producer_epoch = 2;
        CU_ASSERT_EQUAL(plog_append_marker(pl, &m, &res), PLOG_OK);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 4), 4);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_producers(void)
{
        struct plog_producer *list;
        struct fixture f;
        struct plog *pl;
        size_t count;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL_FATAL(plog_producers(pl, &list, &count), 0);
        CU_ASSERT_EQUAL(count, 0);
        free(list);
        put_data(pl, 7, 0, true);
        put_marker(pl, 7, true);
        put_data(pl, 7, 1, true);
        CU_ASSERT_EQUAL_FATAL(plog_producers(pl, &list, &count), 0);
        CU_ASSERT_EQUAL_FATAL(count, 1);
        CU_ASSERT_EQUAL(list[0].id, 7);
        CU_ASSERT_EQUAL(list[0].epoch, 0);
        CU_ASSERT_EQUAL(list[0].last_sequence, 1);
        CU_ASSERT_EQUAL(list[0].last_timestamp, NOW_MS);
        CU_ASSERT_EQUAL(list[0].coordinator_epoch, 0);
        CU_ASSERT_EQUAL(list[0].txn_first_offset, 2);
        free(list);
        plog_close(pl);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "batches are checked", test_verified },
        { "markers of version 2", test_bumped_marker },
        { "producers are told", test_producers },
};

UNIT_MAIN("plog-txn-check", cases)
