/* What the tests of plog share: a folder of their own, a store with a pool, batches, and waiting for the durable end. */
#pragma once

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "plog/plog.h"
#include "plog/store.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "unit.h"
#include "wire/batch_records.h"

#define NOW_MS 1700000000000

struct fixture {
        char dir[400];
        struct iopool *pool;
        struct plog_store *store;
        struct plog_conf conf;
        int64_t recovery_bytes_max; /* of stores that are opened from now on */
};

static inline struct plog_conf fixture_conf(void)
{
        return (struct plog_conf){ .segment_bytes = 1 << 20,
                                   .segment_ms = INT64_C(7) * 86400 * 1000,
                                   .index_interval_bytes = 512,
                                   .retention_ms = -1,
                                   .retention_bytes = -1,
                                   .cleanup_delete = true,
                                   .flush_before_ack = true,
                                   .flush_ms = INT64_MAX,
                                   .flush_messages = INT64_MAX,
                                   .producer_expiry_ms = 86400 * 1000 };
}

static inline void fixture_open_store(struct fixture *f)
{
        const char *why = "";
        int r = plog_store_open(&(struct plog_store_config){ .dir = f->dir,
                                                             .pool = f->pool,
                                                             .files_open_max = 16,
                                                             .recovery_bytes_max = f->recovery_bytes_max },
                                &f->store, &why);

        if (r)
                fprintf(stderr, "store: %d %s\n", r, why);
        CU_ASSERT_EQUAL_FATAL(r, 0);
}

static inline void fixture_init_at(struct fixture *f, const char *dir)
{
        *f = (struct fixture){ .conf = fixture_conf() };
        snprintf(f->dir, sizeof f->dir, "%s", dir);
        diag_set_level(DIAG_ERROR);
        CU_ASSERT_EQUAL_FATAL(iopool_new(2, &f->pool), 0);
        fixture_open_store(f);
}

static inline void fixture_init(struct fixture *f)
{
        char dir[] = "/tmp/plog-test-XXXXXX";

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        fixture_init_at(f, dir);
}

static inline void fixture_fini(struct fixture *f)
{
        f->store = plog_store_close(f->store);
        f->pool = iopool_free(f->pool);
        (void)file_remove_tree(f->dir);
}

static inline int fixture_try_open(struct fixture *f, const char *name, struct plog **ret)
{
        char dir[600];
        struct plog_open_args args = { .dir = dir, .name = name, .topic_id = { { 1, 2, 3 } }, .conf = f->conf };

        snprintf(dir, sizeof dir, "%s/%s", f->dir, name);
        return plog_open(f->store, &args, ret);
}

static inline struct plog *fixture_open(struct fixture *f, const char *name)
{
        struct plog *pl = NULL;
        int r = fixture_try_open(f, name, &pl);

        CU_ASSERT_EQUAL_FATAL(r, 0);
        return pl;
}

/* ---- batches ---- */

struct batch_want {
        int32_t count; /* records; 0: 1 */
        size_t value_len;
        uint8_t fill;      /* byte of the values */
        int64_t timestamp; /* of the first record; the others follow by 1 ms */
        int codec;
        int64_t producer_id; /* 0: none */
        int16_t producer_epoch;
        int32_t sequence;
        bool transactional;
        int32_t leader_epoch;
        int64_t keep_base_offset; /* used with keep */
        bool keep;
};

static inline struct strbuf batch_make(const struct batch_want *w)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        char value[65536];

        CU_ASSERT_FATAL(w->value_len <= sizeof value);
        memset(value, w->fill, w->value_len);
        a.codec = w->codec;
        if (w->producer_id) {
                a.producer_id = w->producer_id;
                a.producer_epoch = w->producer_epoch;
                a.base_sequence = w->sequence;
                a.transactional = w->transactional;
        }
        batch_builder_init(&b, &a);
        for (int32_t i = 0; i < (w->count ? w->count : 1); i++)
                CU_ASSERT_EQUAL_FATAL(
                        batch_builder_add(&b,
                                          &(struct batch_record){ .offset = i,
                                                                  .timestamp = w->timestamp ? w->timestamp + i : NOW_MS,
                                                                  .value = span_of(value, w->value_len) }),
                        0);
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        return out;
}

static inline int append_want(struct plog *pl, const struct batch_want *w, struct plog_append_result *ret)
{
        struct strbuf b = batch_make(w);
        int r = plog_append(pl,
                            &(struct plog_append_args){ .batch = (uint8_t *)b.data,
                                                        .len = b.len,
                                                        .leader_epoch = w->leader_epoch,
                                                        .now_ms = NOW_MS,
                                                        .keep_base_offset = w->keep ? w->keep_base_offset : -1,
                                                        .check_sequence = true },
                            ret);

        strbuf_fini(&b);
        return r;
}

/* Append one batch of @count records with values of @value_len bytes; its base offset. */
static inline int64_t append_simple(struct plog *pl, int32_t count, size_t value_len, uint8_t fill)
{
        struct plog_append_result res = { 0 };
        int r = append_want(pl, &(struct batch_want){ .count = count, .value_len = value_len, .fill = fill }, &res);

        CU_ASSERT_EQUAL_FATAL(r, PLOG_OK);
        return res.base_offset;
}

static inline struct plog_ends ends_of(struct plog *pl)
{
        struct plog_ends e;

        plog_ends(pl, &e);
        return e;
}

/* Wait until everything that was appended is durable (or the log failed). */
static inline void wait_durable(struct plog *pl)
{
        for (int i = 0; i < 20000; i++) {
                struct plog_ends e = ends_of(pl);

                if (e.failed || e.durable_end_offset == e.end_offset)
                        return;
                usleep(500);
        }
        CU_FAIL("the durable end does not follow");
}

/* Read everything from @from on, check that offsets and batches follow each other, and give the number of records. */
static inline int64_t read_all(struct plog *pl, int64_t from, size_t len_max, int64_t *ret_next)
{
        int64_t records = 0, at = from;

        for (;;) {
                struct plog_slice s;
                struct plog_read_args args = {
                        .from_offset = at, .below_offset = INT64_MAX, .len_max = len_max, .at_least_one = true
                };
                struct batch_header h;
                struct batch_iter it;
                struct span b;
                uint8_t *buf;
                int r = plog_read(pl, &args, true, &s);

                CU_ASSERT_EQUAL_FATAL(r, 0);
                if (!s.len)
                        break;
                buf = malloc(s.len);
                CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&s, buf), 0);
                it = batch_iter_of(span_of(buf, s.len));
                for (int64_t expect = s.first_offset; batch_iter_next(&it, &b, &h) == 0;) {
                        CU_ASSERT_EQUAL_FATAL(batch_check_crc(b, &h), 0);
                        CU_ASSERT_FATAL(h.base_offset >= expect);
                        expect = batch_last_offset(&h) + 1;
                        if (expect > at) {
                                records += h.records_count;
                                at = expect;
                        }
                }
                CU_ASSERT_EQUAL_FATAL(it.left.len, 0);
                CU_ASSERT_EQUAL_FATAL(at, s.next_offset);
                free(buf);
                plog_slice_release(&s);
        }
        if (ret_next)
                *ret_next = at;
        return records;
}

/* Copy the folder @from to @to as a crash would leave it. */
static inline void copy_tree(const char *from, const char *to)
{
        char cmd[1200];

        int r = 1;

        snprintf(cmd, sizeof cmd, "rm -rf '%s' && cp -a '%s' '%s' 2>/dev/null", to, from, to);
        for (int i = 0; r && i < 20; i++)
                r = system(cmd); /* fails when a file goes while the folder is copied: a flush may be at its end */
        CU_ASSERT_EQUAL_FATAL(r, 0);
}
