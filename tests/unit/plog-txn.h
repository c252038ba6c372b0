/* Records and markers of transactions, as tests of a log append them. */
#pragma once

#include "plog-fixture.h"

static inline int try_data(struct plog *pl, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count,
                           bool txn, struct plog_append_result *ret)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        int r;

        if (producer_id) {
                a.producer_id = producer_id;
                a.producer_epoch = epoch;
                a.base_sequence = sequence;
                a.transactional = txn;
        }
        batch_builder_init(&b, &a);
        for (int32_t i = 0; i < count; i++)
                CU_ASSERT_EQUAL_FATAL(batch_builder_add(&b, &(struct batch_record){ .offset = i,
                                                                                    .timestamp = NOW_MS,
                                                                                    .value = span_of("value", 5) }),
                                      0);
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        r = plog_append(pl,
                        &(struct plog_append_args){ .batch = (uint8_t *)out.data,
                                                    .len = out.len,
                                                    .now_ms = NOW_MS,
                                                    .keep_base_offset = -1,
                                                    .check_sequence = true },
                        ret);
        strbuf_fini(&out);
        return r;
}

static inline int64_t put_data(struct plog *pl, int64_t producer_id, int32_t sequence, bool txn)
{
        struct plog_append_result res = { .base_offset = -1 };

        CU_ASSERT_EQUAL_FATAL(try_data(pl, producer_id, 0, sequence, 1, txn, &res), 0);
        return res.base_offset;
}

static inline int try_marker(struct plog *pl, int64_t producer_id, int16_t epoch, int32_t coordinator_epoch,
                             bool commit, struct plog_append_result *ret)
{
        return plog_append_marker(pl,
                                  &(struct plog_marker_args){ .producer_id = producer_id,
                                                              .producer_epoch = epoch,
                                                              .coordinator_epoch = coordinator_epoch,
                                                              .commit = commit,
                                                              .now_ms = NOW_MS },
                                  ret);
}

static inline int64_t put_marker(struct plog *pl, int64_t producer_id, bool commit)
{
        struct plog_append_result res = { .base_offset = -1 };

        CU_ASSERT_EQUAL_FATAL(try_marker(pl, producer_id, 0, 0, commit, &res), 0);
        return res.base_offset;
}
