/* Goal: a log knows which transactions are open, what is stable, and which transactions were aborted, whatever happens to it.
 * Method: stories with the expected offsets beside them; seeded random steps (transactions of several producers, truncation,
 * retention, restarts, crashes, lost and damaged files) on a real folder and on a list of batches in memory, compared after
 * each. A failure prints its seed. */
#include <errno.h>
#include <pthread.h>

#include "plog-txn.h"
#include "plog/internal.h"

/* ---- what the tests do ---- */

static uint64_t rng;

static uint32_t pick(uint32_t below)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(rng >> 33) % below;
}

static size_t count_aborted(struct plog *pl, int64_t from, int64_t to)
{
        struct plog_aborted *list = NULL;
        size_t count = 99;

        CU_ASSERT_EQUAL_FATAL(plog_aborted(pl, from, to, true, &list, &count), 0);
        free(list);
        return count;
}

static void shell(const char *format, const char *dir)
{
        char command[1200];

        snprintf(command, sizeof command, format, dir);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

/* ---- stories ---- */

static void test_story(void)
{
        struct plog_aborted *list = NULL;
        struct fixture f;
        struct plog *pl;
        size_t count;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).unstable_offset, INT64_MAX);
        put_data(pl, 0, 0, false);                     /* 0 */
        put_data(pl, 1, 0, true);                      /* 1: A begins */
        put_data(pl, 2, 0, true);                      /* 2: B begins */
        put_data(pl, 1, 1, true);                      /* 3 */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 4), 1); /* A is open */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 1), 1); /* nothing above the high watermark */
        CU_ASSERT_EQUAL(put_marker(pl, 1, true), 4);   /* 4: A ends */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 4), 1); /* but its end is not replicated */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 5), 2); /* now it is; B is open */
        CU_ASSERT_EQUAL(put_marker(pl, 2, false), 5);  /* 5: B is aborted */
        put_data(pl, 3, 0, true);                      /* 6: C begins */
        put_data(pl, 2, 1, true);                      /* 7: B's next one */
        put_marker(pl, 3, false);                      /* 8: C is aborted */
        CU_ASSERT_EQUAL(ends_of(pl).unstable_offset, 2);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 9), 7);
        CU_ASSERT_EQUAL(ends_of(pl).unstable_offset, 7);
        for (int round = 0; round < 2; round++) {
                CU_ASSERT_EQUAL_FATAL(plog_aborted(pl, 0, 7, true, &list, &count), 0);
                CU_ASSERT_EQUAL_FATAL(count, 2);
                CU_ASSERT(list[0].producer_id == 2 && list[0].first_offset == 2 && list[0].last_offset == 5 &&
                          list[0].stable_offset == 6);
                CU_ASSERT(list[1].producer_id == 3 && list[1].first_offset == 6 && list[1].last_offset == 8 &&
                          list[1].stable_offset == 7);
                free(list);
                CU_ASSERT_EQUAL(count_aborted(pl, 0, 2), 0);
                CU_ASSERT_EQUAL(count_aborted(pl, 0, 3), 1);
                CU_ASSERT_EQUAL(count_aborted(pl, 5, 6), 1);
                CU_ASSERT_EQUAL(count_aborted(pl, 6, 7), 1);
                plog_close(pl);
                pl = fixture_open(&f, "t-0");
                CU_ASSERT_EQUAL(plog_stable_offset(pl, 9), 7);
        }
        plog_close(pl);
        fixture_fini(&f);
}

/* KIP-98 and Kafka's ProducerStateManager: who may write what. */
static void test_refused(void)
{
        struct plog_append_result res;
        struct strbuf bytes = { 0 };
        struct batch_build_args a = batch_build_args();
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(try_marker(pl, 1, 5, 3, true, &res), 0); /* of a producer that is not known: fine */
        CU_ASSERT_EQUAL(try_data(pl, 1, 4, 0, 1, true, &res), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(try_data(pl, 1, 5, 3, 1, true, &res), PLOG_E_OUT_OF_ORDER_SEQUENCE);
        CU_ASSERT_EQUAL(try_data(pl, 1, 5, 0, 2, true, &res), 0); /* offsets 1 and 2 */
        CU_ASSERT_EQUAL(try_data(pl, 1, 5, 2, 1, false, &res), PLOG_E_INVALID_TXN_STATE);
        CU_ASSERT_EQUAL(try_data(pl, 1, 5, 0, 2, true, &res), PLOG_E_DUPLICATE);
        CU_ASSERT_EQUAL(res.base_offset, 1);
        CU_ASSERT_EQUAL(try_marker(pl, 1, 4, 3, true, &res), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(try_marker(pl, 1, 5, 2, true, &res), PLOG_E_COORDINATOR_FENCED);
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 3);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 3), 1);
        CU_ASSERT_EQUAL(try_marker(pl, 1, 6, 4, false, &res), 0); /* a newer epoch fences, and begins at 0 again */
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 4), 4);
        CU_ASSERT_EQUAL(try_marker(pl, 1, 6, 3, false, &res), PLOG_E_COORDINATOR_FENCED);
        CU_ASSERT_EQUAL(try_data(pl, 1, 5, 2, 1, false, &res), PLOG_E_INVALID_PRODUCER_EPOCH);
        CU_ASSERT_EQUAL(try_data(pl, 1, 6, 0, 1, false, &res), 0);
        /* The coordinator's epoch is known after a restart. */
        plog_close(pl);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(try_marker(pl, 1, 6, 3, false, &res), PLOG_E_COORDINATOR_FENCED);
        /* A control batch comes from us, or as a replica's copy, which is not judged again. */
        a.producer_id = 1;
        a.producer_epoch = 0;
        CU_ASSERT_EQUAL_FATAL(
                batch_marker_build(&a, &(struct batch_marker){ .type = BATCH_MARKER_ABORT }, NOW_MS, &bytes), 0);
        CU_ASSERT_EQUAL(plog_append(pl,
                                    &(struct plog_append_args){ .batch = (uint8_t *)bytes.data,
                                                                .len = bytes.len,
                                                                .keep_base_offset = -1,
                                                                .check_sequence = true },
                                    &res),
                        -EINVAL);
        CU_ASSERT_EQUAL(plog_append(pl,
                                    &(struct plog_append_args){ .batch = (uint8_t *)bytes.data,
                                                                .len = bytes.len,
                                                                .keep_base_offset = ends_of(pl).end_offset },
                                    &res),
                        0);
        strbuf_fini(&bytes);
        plog_close(pl);
        fixture_fini(&f);
}

/* A replica's copy of a whole transaction leaves the same behind as the leader's. */
static void test_copy(void)
{
        struct plog_append_result res;
        struct plog_slice s;
        struct fixture f;
        struct plog *from, *to;
        struct batch_iter it;
        struct batch_header h;
        struct span b;
        uint8_t *buf;

        fixture_init(&f);
        from = fixture_open(&f, "t-0");
        to = fixture_open(&f, "t-1");
        put_data(from, 1, 0, true);
        put_data(from, 2, 0, true);
        put_marker(from, 1, false);
        put_data(from, 1, 1, true);
        CU_ASSERT_EQUAL_FATAL(
                plog_read(from, &(struct plog_read_args){ .below_offset = INT64_MAX, .len_max = 1 << 20 }, true, &s),
                0);
        buf = malloc(s.len);
        CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&s, buf), 0);
        it = batch_iter_of(span_of(buf, s.len));
        while (batch_iter_next(&it, &b, &h) == 0)
                CU_ASSERT_EQUAL_FATAL(plog_append(to,
                                                  &(struct plog_append_args){ .batch = (uint8_t *)(uintptr_t)b.data,
                                                                              .len = b.len,
                                                                              .now_ms = NOW_MS,
                                                                              .keep_base_offset = h.base_offset },
                                                  &res),
                                      0);
        CU_ASSERT_EQUAL(plog_stable_offset(to, 4), 1);
        CU_ASSERT_EQUAL(count_aborted(to, 0, 1), 1);
        free(buf);
        plog_slice_release(&s);
        plog_close(from);
        plog_close(to);
        fixture_fini(&f);
}

/* Snapshots that were written before there were transactions. */
static void test_old_snapshot(void)
{
        struct {
                struct disk_snapshot_header_1 h;
                struct disk_producer d[2];
        } old = { .h = { .magic = htobe32(SNAPSHOT_MAGIC),
                         .version = htobe16(1),
                         .entry_len = htobe16(sizeof(struct disk_producer)),
                         .offset = (int64_t)htobe64(42),
                         .count = htobe32(2) } };
        struct producers p = { 0 };
        struct fixture f;
        char path[500];

        for (int i = 0; i < 2; i++)
                old.d[i] = (struct disk_producer){ .id = (int64_t)htobe64(7 + (uint64_t)i),
                                                   .txn_first_offset = -1,
                                                   .coordinator_epoch = -1,
                                                   .epoch = (int16_t)htobe16(3),
                                                   .batch_count = (int16_t)htobe16(1),
                                                   .batches = { { .last_sequence = (int32_t)htobe32(9) } } };
        old.h.entries_crc = htobe32(crc32c(0, old.d, sizeof old.d));
        old.h.crc = htobe32(crc32c(0, &old.h, offsetof(struct disk_snapshot_header_1, crc)));
        fixture_init(&f);
        snprintf(path, sizeof path, "%s/snapshot", f.dir);
        CU_ASSERT_EQUAL_FATAL(file_replace(path, span_of(&old, sizeof old)), 0);
        CU_ASSERT_EQUAL_FATAL(producers_load(&p, path, 42), 0);
        CU_ASSERT_EQUAL(p.count, 2);
        CU_ASSERT_EQUAL(producers_find(&p, 8)->epoch, 3);
        CU_ASSERT_EQUAL(producers_find(&p, 8)->batches[0].last_sequence, 9);
        CU_ASSERT_EQUAL(producers_unstable(&p), INT64_MAX);
        CU_ASSERT_EQUAL(p.aborted_from, 0); /* nothing is missing in it */
        producers_fini(&p);
        old.h.version = htobe16(3);
        old.h.crc = htobe32(crc32c(0, &old.h, offsetof(struct disk_snapshot_header_1, crc)));
        CU_ASSERT_EQUAL_FATAL(file_replace(path, span_of(&old, sizeof old)), 0);
        CU_ASSERT_EQUAL(producers_load(&p, path, 42), -EUCLEAN);
        fixture_fini(&f);
}

/* A segment that lost its end, and with it a marker, below the checkpoint: what was known of producers then still holds. */
static void test_lost_marker(void)
{
        struct fixture f;
        struct plog *pl;
        int64_t size;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        put_data(pl, 1, 0, true);
        size = ends_of(pl).size_bytes;
        put_marker(pl, 1, false);
        put_data(pl, 0, 0, false);
        plog_close(pl);
        diag_set_level(0);
        shell("truncate -s $(($(stat -c %%s %1$s/t-0/*0.log) / 3)) %1$s/t-0/*0.log", f.dir);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 3);
        CU_ASSERT_EQUAL(pl->segments[0]->size, size);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 3), 3);
        CU_ASSERT_EQUAL(count_aborted(pl, 0, 2), 1);
        plog_close(pl);
        fixture_fini(&f);
}

/* A snapshot that does not go back far enough is passed over: the batches say the rest. */
static void test_short_snapshot(void)
{
        struct producers p = { 0 };
        struct fixture f;
        struct plog *pl;
        char path[500];
        void *data;
        size_t len;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < 5; i++) {
                put_data(pl, 1, i, true);
                put_marker(pl, 1, false);
        }
        plog_close(pl);
        snprintf(path, sizeof path, "%s/t-0/%020d.snapshot", f.dir, 10);
        CU_ASSERT_EQUAL_FATAL(producers_load(&p, path, 10), 0);
        CU_ASSERT(p.aborted.count == 5 && p.aborted_from == 0);
        aborted_drop_below(&p.aborted, 6);
        p.aborted_from = 6;
        CU_ASSERT_EQUAL_FATAL(producers_encode(&p, 10, &data, &len), 0);
        CU_ASSERT_EQUAL_FATAL(file_replace(path, span_of(data, len)), 0);
        free(data);
        producers_fini(&p);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(count_aborted(pl, 0, 10), 5);
        plog_close(pl);
        fixture_fini(&f);
}

/* Nobody says how far the log is replicated, and nothing but aborts is written: memory and files stay bounded. */
static void test_bounds(void)
{
        enum { COUNT = ABORTED_MAX + 100 };
        struct plog_aborted *list = NULL;
        struct fixture f;
        struct plog *pl;
        size_t count;

        fixture_init(&f);
        f.conf.flush_before_ack = false;
        f.conf.segment_bytes = 1 << 30;
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < COUNT; i++) {
                put_data(pl, 1, i, true);
                put_marker(pl, 1, false);
        }
        CU_ASSERT_EQUAL(pl->producers.finished_count, FINISHED_MAX);
        CU_ASSERT_EQUAL(pl->segments_count, 2);
        CU_ASSERT_EQUAL(pl->segments[1]->base_offset, 2 * ABORTED_MAX);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 100), 0);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 2 * COUNT), 2 * COUNT);
        CU_ASSERT_EQUAL(pl->producers.finished_count, 0);
        for (int round = 0; round < 2; round++) {
                CU_ASSERT_EQUAL_FATAL(plog_aborted(pl, 0, 2 * COUNT, true, &list, &count), 0);
                CU_ASSERT_EQUAL_FATAL(count, COUNT);
                for (int i = 0; i < COUNT; i++)
                        CU_ASSERT_FATAL(list[i].first_offset == 2 * i && list[i].last_offset == 2 * i + 1);
                free(list);
                CU_ASSERT_EQUAL(count_aborted(pl, 2 * ABORTED_MAX - 4, 2 * ABORTED_MAX + 4), 4);
                plog_close(pl);
                pl = fixture_open(&f, "t-0");
                CU_ASSERT(pl->segments[0]->aborted_where == ABORTED_FILED && !pl->segments[0]->aborted.entries);
        }
        plog_close(pl);
        fixture_fini(&f);
}

struct writing {
        struct plog *pl;
        atomic_bool done;
};

static void *write_on(void *arg)
{
        struct writing *w = arg;

        for (int i = 0; i < 3000; i++) {
                put_data(w->pl, 1, i, true);
                put_marker(w->pl, 1, false);
        }
        atomic_store(&w->done, true);
        return NULL;
}

/* Asking while another thread writes, segments are rolled, and files are lost under way. */
static void test_at_once(void)
{
        struct writing w = { 0 };
        struct fixture f;
        pthread_t thread;
        int after = 0; /* questions since all was written */

        fixture_init(&f);
        f.conf.segment_bytes = 3000;
        f.conf.flush_before_ack = false;
        w.pl = fixture_open(&f, "t-0");
        diag_set_level(0);
        rng = 1;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_on, &w), 0);
        do {
                int64_t stable = plog_stable_offset(w.pl, ends_of(w.pl).end_offset), from = pick((uint32_t)stable + 1);
                struct plog_aborted *list = NULL;
                char path[500];
                size_t count;

                after += atomic_load(&w.done);
                CU_ASSERT_EQUAL_FATAL(plog_aborted(w.pl, from, stable, true, &list, &count), 0);
                CU_ASSERT_EQUAL_FATAL((int64_t)count, (stable + 1) / 2 - from / 2);
                for (size_t i = 0; i < count; i++)
                        CU_ASSERT_FATAL(list[i].first_offset == (from / 2 + (int64_t)i) * 2);
                free(list);
                pthread_mutex_lock(&w.pl->lock);
                snprintf(path, sizeof path, "%s/t-0/%020lld.txn", f.dir,
                         w.pl->segments_count
                                 ? (long long)w.pl->segments[pick((uint32_t)w.pl->segments_count)]->base_offset
                                 : 0);
                pthread_mutex_unlock(&w.pl->lock);
                (void)!truncate(path, 0); /* fails when it is not written yet */
        } while (after < 50);
        pthread_join(thread, NULL);
        plog_close(w.pl);
        fixture_fini(&f);
}

/* A log without transactions has none of it: no file, nothing to look at. */
static void test_none(void)
{
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        f.conf.segment_bytes = 1000;
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < 50; i++)
                put_data(pl, i % 2, i / 2, false);
        wait_durable(pl);
        CU_ASSERT_FALSE(pl->has_aborted);
        CU_ASSERT_EQUAL(plog_stable_offset(pl, 50), 50);
        CU_ASSERT_EQUAL(count_aborted(pl, 0, 50), 0);
        plog_close(pl);
        shell("test -z \"$(find %s -name '*.txn')\"", f.dir);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_FALSE(pl->has_aborted);
        plog_close(pl);
        fixture_fini(&f);
}

/* ---- random ---- */

enum { MODEL_MAX = 3000, STEPS = 500, SEEDS = 8, PRODUCERS = 6 };

enum kind { PLAIN, DATA, COMMIT, ABORT };

struct model {
        struct {
                int64_t base, last;
                int64_t producer_id;
                int32_t sequence;
                enum kind kind;
        } batches[MODEL_MAX];
        int count;
        int64_t start, end, high_watermark;
        bool may_lose_files; /* then nothing is removed from the front: what was there before could not be found again */
};

struct model_txn {
        int64_t producer_id, first, last; /* last INT64_MAX: open */
        bool aborted;
};

/* All transactions that have an offset here. */
static int model_txns(const struct model *m, struct model_txn *ret)
{
        int open[PRODUCERS + 1], count = 0;

        memset(open, -1, sizeof open);
        for (int i = 0; i < m->count; i++) {
                int64_t id = m->batches[i].producer_id;

                if (m->batches[i].kind == DATA && open[id] < 0) {
                        open[id] = count;
                        ret[count++] = (struct model_txn){ id, m->batches[i].base, INT64_MAX, false };
                } else if (m->batches[i].kind >= COMMIT && open[id] >= 0) {
                        ret[open[id]].last = m->batches[i].base;
                        ret[open[id]].aborted = m->batches[i].kind == ABORT;
                        open[id] = -1;
                }
        }
        return count;
}

static bool is_open(const struct model *m, int64_t producer_id)
{
        for (int i = m->count; i-- > 0;)
                if (m->batches[i].producer_id == producer_id && m->batches[i].kind != PLAIN)
                        return m->batches[i].kind == DATA;
        return false;
}

static int32_t next_sequence(const struct model *m, int64_t producer_id)
{
        for (int i = m->count; i-- > 0;)
                if (m->batches[i].producer_id == producer_id && m->batches[i].kind <= DATA)
                        return m->batches[i].sequence + (int32_t)(m->batches[i].last - m->batches[i].base) + 1;
        return 0;
}

static void step_append(struct model *m, struct plog *pl)
{
        int64_t id = 1 + pick(PRODUCERS);
        uint32_t what = pick(10);
        int32_t count = 1 + (int32_t)pick(3), sequence = next_sequence(m, id);
        struct plog_append_result res = { 0 };
        enum kind kind = what < 4 ? DATA : what < 6 ? PLAIN : what < 8 ? COMMIT : ABORT;

        if (m->count == MODEL_MAX)
                return;
        if (kind == PLAIN && is_open(m, id))
                id = 0;
        if (kind >= COMMIT) {
                CU_ASSERT_EQUAL_FATAL(try_marker(pl, id, 0, 0, kind == COMMIT, &res), 0);
                count = 1;
        } else {
                CU_ASSERT_EQUAL_FATAL(try_data(pl, id, 0, sequence, count, kind == DATA, &res), 0);
        }
        CU_ASSERT_EQUAL_FATAL(res.base_offset, m->end);
        m->batches[m->count].base = m->end;
        m->batches[m->count].producer_id = id;
        m->batches[m->count].sequence = sequence;
        m->batches[m->count].kind = kind;
        m->end += count;
        m->batches[m->count++].last = m->end - 1;
}

static void step_replicate(struct model *m)
{
        uint32_t lag = (uint32_t)(m->end - m->high_watermark);

        m->high_watermark += pick((pick(4) ? lag / 8 : lag) + 1); /* far behind often, so that much can be cut away */
}

static void step_truncate(struct model *m, struct plog *pl)
{
        int64_t at = m->high_watermark + pick((uint32_t)(m->end - m->high_watermark) + 1);

        CU_ASSERT_EQUAL_FATAL(plog_truncate(pl, at), 0);
        while (m->count && m->batches[m->count - 1].last >= at)
                m->count--;
        m->end = ends_of(pl).end_offset;
        CU_ASSERT_FATAL(m->end <= at && (!m->count || m->batches[m->count - 1].last < m->end));
        m->start = MIN2(m->start, m->end);
        m->high_watermark = MIN2(m->high_watermark, m->end);
}

static void step_remove(struct model *m, struct fixture *f, struct plog *pl)
{
        int64_t start;

        if (m->may_lose_files)
                return;
        if (pick(2)) {
                int64_t at = m->start + pick((uint32_t)(m->high_watermark - m->start) / 3 + 1);

                CU_ASSERT_EQUAL_FATAL(plog_delete_records(pl, MAX2(at, m->start), &start), 0);
        } else {
                f->conf.retention_bytes = 3000 + pick(20000);
                plog_set_conf(pl, &f->conf);
        }
        CU_ASSERT_FATAL(plog_retain(pl, &(struct plog_retain_args){ .now_ms = NOW_MS,
                                                                    .below_offset = m->high_watermark }) >= 0);
        m->start = ends_of(pl).start_offset;
}

static void lose_files(const struct fixture *f)
{
        if (!pick(3))
                shell("find %s -name '*.txn' -delete", f->dir);
        if (!pick(3))
                shell("for f in $(find %s -name '*.txn'); do printf '\\377' | dd of=$f bs=1 seek=40 conv=notrunc "
                      "status=none; done",
                      f->dir);
        if (!pick(3))
                shell("find %s -name '*.snapshot' -delete", f->dir);
        if (!pick(3))
                shell("find %s -name '*.index' -delete", f->dir);
        if (!pick(6))
                shell("find %s -name checkpoint -delete", f->dir);
}

/* As a crash would leave it, or closed. */
static struct plog *step_restart(struct model *m, struct fixture *f, struct plog *pl, bool crash)
{
        char dir[] = "/tmp/plog-txn-XXXXXX";
        struct fixture g;

        if (crash) {
                CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
                pthread_mutex_lock(&pl->work); /* files do not come and go while they are copied */
                copy_tree(f->dir, dir);
                pthread_mutex_unlock(&pl->work);
                fixture_init_at(&g, dir);
                g.conf = f->conf;
                plog_close(pl);
                fixture_fini(f);
                *f = g;
        } else {
                plog_close(pl);
        }
        diag_set_level(0); /* lost files are told of */
        if (m->may_lose_files)
                lose_files(f);
        return fixture_open(f, "t-0");
}

static void compare_stable(const struct model *m, struct plog *pl)
{
        static struct model_txn txns[MODEL_MAX];
        int count = model_txns(m, txns);
        int64_t unstable = INT64_MAX, stable;

        for (int i = 0; i < count; i++)
                if (txns[i].last >= m->high_watermark)
                        unstable = MIN2(unstable, txns[i].first);
        stable = MIN2(m->high_watermark, MAX2(unstable, m->start));
        CU_ASSERT_EQUAL_FATAL(plog_stable_offset(pl, m->high_watermark), stable);
        if (unstable == INT64_MAX)
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).unstable_offset, INT64_MAX);
}

static void compare_aborted(const struct model *m, struct plog *pl)
{
        static struct model_txn txns[MODEL_MAX];
        int64_t stable = plog_stable_offset(pl, m->high_watermark);
        int64_t from = m->start + pick((uint32_t)MAX2(stable - m->start, (int64_t)0) + 1);
        int64_t to = from + pick((uint32_t)MAX2(stable - from, (int64_t)0) + 1);
        int count = model_txns(m, txns);
        struct plog_aborted *list = NULL;
        size_t list_count, n = 0;

        CU_ASSERT_EQUAL_FATAL(plog_aborted(pl, from, to, true, &list, &list_count), 0);
        for (int i = 0; i < count; i++) {
                if (!txns[i].aborted || txns[i].last < from || txns[i].first >= to)
                        continue;
                CU_ASSERT_FATAL(n < list_count);
                CU_ASSERT_EQUAL_FATAL(list[n].producer_id, txns[i].producer_id);
                CU_ASSERT_EQUAL_FATAL(list[n].first_offset, txns[i].first);
                CU_ASSERT_EQUAL_FATAL(list[n].last_offset, txns[i].last);
                n++;
        }
        CU_ASSERT_EQUAL_FATAL(n, list_count);
        free(list);
}

static void run_seed(uint64_t seed)
{
        struct model *m = calloc(1, sizeof *m);
        struct fixture f;
        struct plog *pl;

        rng = seed;
        m->may_lose_files = seed % 2;
        fixture_init(&f);
        f.conf.segment_bytes = 600 + pick(3000);
        f.conf.index_interval_bytes = 300;
        pl = fixture_open(&f, "t-0");
        for (int step = 0; step < STEPS; step++) {
                uint32_t what = pick(100);

                if (getenv("PLOG_TRACE"))
                        fprintf(stderr, "%d: %u, %lld to %lld, watermark %lld\n", step, what, (long long)m->start,
                                (long long)m->end, (long long)m->high_watermark);
                if (what < 60) {
                        step_append(m, pl);
                } else if (what < 80) {
                        step_replicate(m);
                } else if (what < 86) {
                        step_truncate(m, pl);
                } else if (what < 90) {
                        step_remove(m, &f, pl);
                } else if (what < 93) {
                        wait_durable(pl);
                } else if (what < 97) {
                        pl = step_restart(m, &f, pl, what < 95);
                }
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).start_offset, m->start);
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).end_offset, m->end);
                compare_stable(m, pl);
                compare_aborted(m, pl);
        }
        plog_close(pl);
        fixture_fini(&f);
        free(m);
}

static void test_model(void)
{
        const char *one = getenv("PLOG_SEED");

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                unsigned failed = CU_get_number_of_failures();

                fprintf(stderr, "seed %llu ", (unsigned long long)(one ? strtoull(one, NULL, 10) : seed));
                run_seed(one ? strtoull(one, NULL, 10) : seed);
                if (CU_get_number_of_failures() != failed)
                        fprintf(stderr, "PLOG_SEED=%llu\n", (unsigned long long)seed);
                if (one)
                        break;
        }
}

static const struct unit_case cases[] = {
        { "a story of three producers", test_story },
        { "who may write what", test_refused },
        { "a replica's copy", test_copy },
        { "snapshots of version 1", test_old_snapshot },
        { "a lost marker", test_lost_marker },
        { "a snapshot that is too short", test_short_snapshot },
        { "bounds", test_bounds },
        { "no transactions", test_none },
        { "asking while it is written", test_at_once },
        { "random steps against a model", test_model },
};
UNIT_MAIN("plog/txn", cases)
