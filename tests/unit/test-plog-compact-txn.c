/* Goal: compaction respects transactions: what is open is left alone, what was aborted goes and counts for nothing, markers stay
 * as long as they are needed. Method: stories with the expected records beside them. Random logs with transactions, and crashes,
 * are in test-plog-compact.c. */
#include "plog-compact.h"

/* Fill up, so that what is before lies in sealed segments, and compact. */
static void fill_and_compact(struct plog *pl, int64_t now_ms)
{
        static int key = 5000;

        for (int i = 0; i < 12; i++)
                put_one(pl, key++, i);
        wait_durable(pl);
        compact_with(pl, 1 << 20, now_ms, 1 << 20);
}

/* KIP-534: first what the marker stands for has gone, then that is seen, then the horizon passes. */
static void test_markers(void)
{
        struct writer a = { .id = 9, .txn_first = -1 }, b = { .id = 10, .txn_first = -1 };
        int64_t commit, abort;
        struct found *found;
        struct fixture f;
        struct plog *pl = compact_open(&f);

        put_one(pl, 1, 1);
        put_one(pl, 2, 2);
        append_txn(pl, &a, &(struct put){ 1, 3 }, 1, 0); /* 2: aborted, so key 1 keeps its older value */
        append_txn(pl, &b, &(struct put){ 2, 4 }, 1, 0); /* 3 */
        abort = append_end(pl, &a, false);
        commit = append_end(pl, &b, true);
        append_puts(pl, &(struct put){ 2, 5 }, 1, 0, b.id,
                    b.sequence); /* 6: the newest of key 2; both wrote once more, */
        append_puts(pl, &(struct put){ 3, 6 }, 1, 0, a.id, a.sequence); /* so that those were not their last batches */
        for (int round = 0; round < 4; round++) {
                fill_and_compact(pl, NOW_MS + (round == 3 ? 1000 : 0));
                found = find_all(pl);
                CU_ASSERT(found->there[0] && !found->there[1] && !found->there[2] && !found->there[3]);
                CU_ASSERT_EQUAL(found->there[abort], round < 3);
                CU_ASSERT_EQUAL(found->there[commit], round < 3);
                check_aborted(pl, found);
        }
        plog_close(pl);
        fixture_fini(&f);
}

/* Nothing of an open transaction, and nothing behind its first record, is looked at. */
static void test_open_transaction(void)
{
        struct writer w = { .id = 9, .txn_first = -1 };
        struct plog_dirt dirt;
        struct fixture f;
        struct plog *pl = compact_open(&f);

        for (int i = 0; i < 20; i++)
                put_one(pl, i % 2, i);
        append_txn(pl, &w, &(struct put){ 0, 20 }, 1, 0);
        for (int i = 0; i < 40; i++)
                put_one(pl, i % 2, 100 + i);
        wait_durable(pl);
        compact(pl);
        for (int i = 20; i < 61; i++)
                CU_ASSERT_FATAL(find_all(pl)->there[i]);
        CU_ASSERT_FALSE(find_all(pl)->there[5]);
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS, model.end, &dirt), 0);
        CU_ASSERT_EQUAL(dirt.dirty_bytes, 0);
        append_end(pl, &w, false);
        wait_durable(pl);
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS, model.end, &dirt), 0);
        CU_ASSERT(dirt.dirty_bytes > 0);
        compact(pl);
        for (int i = 20; i < 50; i++)
                CU_ASSERT_FALSE_FATAL(find_all(pl)->there[i]);
        plog_close(pl);
        fixture_fini(&f);
}

/* Who fenced a producer, or was its last, stays known from what is left, even when only batches tell. */
static void test_producers_of_transactions(void)
{
        struct writer w = { .id = 9, .txn_first = -1 };
        struct plog_append_result res;
        struct found *found;
        struct fixture f;
        struct plog *pl = compact_open(&f);

        append_txn(pl, &w, &(struct put){ 1, 1 }, 1, 0); /* 0 */
        append_end(pl, &w, false);                       /* 1 */
        CU_ASSERT_EQUAL_FATAL(
                plog_append_marker(pl,
                                   &(struct plog_marker_args){
                                           .producer_id = 10, .producer_epoch = 4, .commit = true, .now_ms = NOW_MS },
                                   &res),
                0);
        memset(&model.at[model.end], 0, sizeof model.at[0]);
        model.at[model.end].kind = COMMIT;
        model.at[model.end++].producer = 10;
        for (int round = 0; round < 4; round++)
                fill_and_compact(pl, NOW_MS + round * 2000);
        found = find_all(pl);
        CU_ASSERT(!found->there[0] && found->there[1] && found->there[2]);
        CU_ASSERT_EQUAL(found->empty_batches >= 1, true);
        plog_close(pl);
        remove_files(&f, "snapshot");
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 9, .sequence = 2 }, &res),
                        PLOG_E_OUT_OF_ORDER_SEQUENCE);
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 9, .sequence = 0 }, &res),
                        PLOG_E_DUPLICATE);
        CU_ASSERT_EQUAL(
                append_want(pl, &(struct batch_want){ .producer_id = 10, .producer_epoch = 3, .sequence = 0 }, &res),
                PLOG_E_INVALID_PRODUCER_EPOCH);
        plog_close(pl);
        fixture_fini(&f);
}

/* Many transactions at once, which end in another order than they began: each is remembered until its marker comes. */
static void test_many(void)
{
        volatile int64_t cleaned = 0; /* a constant makes GCC's sanitizers warn of what cannot be */
        enum { COUNT = 250 };
        struct writer writers[COUNT];
        int64_t markers[COUNT];
        struct fixture f;
        struct plog *pl = compact_open(&f);

        for (int i = 0; i < COUNT; i++) {
                /* numbers that do not lie evenly in a table */
                writers[i] = (struct writer){ .id = 100 + (int)((uint32_t)(i * i) * 2654435761u % 1000003),
                                              .txn_first = -1 };
                append_txn(pl, &writers[i], &(struct put){ i, i }, 1, 0);
        }
        for (int i = 0; i < COUNT; i++)
                markers[i] = append_end(pl, &writers[i * 77 % COUNT], true);
        for (int i = 0; i < COUNT; i++) /* so that those were not their last batches */
                append_puts(pl, &(struct put){ 1000 + i, i }, 1, 0, writers[i].id, writers[i].sequence);
        for (int round = 0; round < 4; round++) {
                fill_and_compact(pl, NOW_MS + round * 2000);
                check_compacted(find_all(pl), cleaned, true);
        }
        for (int i = 0; i < COUNT; i++)
                CU_ASSERT_FATAL(find_all(pl)->there[markers[i]]);
        plog_close(pl);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "markers go after their transactions", test_markers },
        { "many transactions at once", test_many },
        { "an open transaction", test_open_transaction },
        { "producers of transactions stay known", test_producers_of_transactions },
};
UNIT_MAIN("plog/compact-txn", cases)
