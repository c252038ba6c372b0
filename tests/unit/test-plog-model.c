/* Goal: a log behaves as a plain list of batches does, whatever is done to it in whatever order. Method: seeded random
 * steps on a real folder and on a model in memory, compared after each. A failure prints its seed. */
#include "plog-fixture.h"

enum { MODEL_MAX = 4000, STEPS = 400, SEEDS = 6 };

struct model {
        struct {
                int64_t base, last, timestamp;
        } batches[MODEL_MAX];
        int count;
        int64_t start, end;
};

static uint64_t rng;

static uint32_t pick(uint32_t below)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(rng >> 33) % below;
}

static void step_append(struct model *m, struct plog *pl)
{
        struct plog_append_result res;
        struct batch_want w = { .count = 1 + (int32_t)pick(5),
                                .value_len = pick(600),
                                .fill = (uint8_t)pick(256),
                                .timestamp = NOW_MS + m->end * 10 - pick(200),
                                .codec = pick(4) ? 0 : CODEC_LZ4 };

        if (m->count == MODEL_MAX)
                return;
        CU_ASSERT_EQUAL_FATAL(append_want(pl, &w, &res), 0);
        CU_ASSERT_EQUAL_FATAL(res.base_offset, m->end);
        m->batches[m->count].base = m->end;
        m->batches[m->count].timestamp = w.timestamp;
        m->end += w.count;
        m->batches[m->count++].last = m->end - 1;
}

static void step_truncate(struct model *m, struct plog *pl)
{
        int64_t at = m->start + (int64_t)pick((uint32_t)(m->end - m->start) + 1);

        if (m->end - at > 30)
                at = m->end - 30;
        CU_ASSERT_EQUAL_FATAL(plog_truncate(pl, at), 0);
        while (m->count && m->batches[m->count - 1].last >= at)
                m->count--;
        m->end = m->count ? m->batches[m->count - 1].last + 1 : ends_of(pl).end_offset;
        if (m->start > m->end)
                m->start = m->end;
}

static void step_delete_records(struct model *m, struct plog *pl)
{
        int64_t at = m->start + (int64_t)pick((uint32_t)(m->end - m->start) / 4 + 1), start;

        CU_ASSERT_EQUAL_FATAL(plog_delete_records(pl, at, &start), 0);
        CU_ASSERT_EQUAL_FATAL(start, at);
        m->start = at;
        CU_ASSERT_EQUAL(plog_delete_records(pl, m->end + 1, &start), PLOG_E_OUT_OF_RANGE);
}

static void step_retain(struct fixture *f, struct model *m, struct plog *pl)
{
        f->conf.retention_bytes = 10000 + pick(60000);
        plog_set_conf(pl, &f->conf);
        CU_ASSERT_FATAL(plog_retain(pl, &(struct plog_retain_args){ .now_ms = NOW_MS, .below_offset = m->end }) >= 0);
        CU_ASSERT_FATAL(ends_of(pl).start_offset >= m->start);
        CU_ASSERT_FATAL(ends_of(pl).size_bytes >= MIN2(f->conf.retention_bytes - f->conf.segment_bytes, (int64_t)0));
        m->start = ends_of(pl).start_offset;
}

static int first_batch_at(const struct model *m, int64_t offset)
{
        int i = 0;

        while (i < m->count && m->batches[i].last < offset)
                i++;
        return i;
}

static void compare_read(const struct model *m, struct plog *pl)
{
        int64_t from = m->start + (int64_t)pick((uint32_t)(m->end - m->start) + 1);
        int64_t below = from + pick(40);
        struct plog_slice s;
        int i = first_batch_at(m, from), k = i;

        CU_ASSERT_EQUAL_FATAL(plog_read(pl,
                                        &(struct plog_read_args){ .from_offset = from,
                                                                  .below_offset = below,
                                                                  .len_max = 1 << 20,
                                                                  .at_least_one = true },
                                        true, &s),
                              0);
        while (k < m->count && m->batches[k].last < below)
                k++;
        if (k == i || from == m->end) {
                CU_ASSERT_EQUAL_FATAL(s.len, 0);
                return;
        }
        if (!s.len)
                fprintf(stderr, "nothing from %lld below %lld, log %lld to %lld\n", (long long)from, (long long)below,
                        (long long)m->start, (long long)m->end);
        CU_ASSERT_FATAL(s.len > 0);
        CU_ASSERT_EQUAL_FATAL(s.first_offset, m->batches[i].base);
        CU_ASSERT_FATAL(s.next_offset <= m->batches[k - 1].last + 1); /* less at the end of a segment */
        plog_slice_release(&s);
}

static void compare_time(const struct model *m, struct plog *pl)
{
        int64_t target = NOW_MS + (int64_t)pick((uint32_t)m->end * 10 + 20) - 100, want = -1;
        struct plog_position at;
        int r = plog_find_time(pl, target, INT64_MAX, &at);

        for (int i = first_batch_at(m, m->start); want < 0 && i < m->count; i++)
                for (int64_t o = MAX2(m->batches[i].base, m->start); o <= m->batches[i].last; o++)
                        if (m->batches[i].timestamp + (o - m->batches[i].base) >= target) {
                                want = o;
                                break;
                        }
        if (want < 0) {
                CU_ASSERT_EQUAL_FATAL(r, PLOG_E_NOT_FOUND);
                return;
        }
        CU_ASSERT_EQUAL_FATAL(r, 0);
        CU_ASSERT_EQUAL_FATAL(at.offset, want);
}

static void run_seed(uint64_t seed)
{
        struct model *m = calloc(1, sizeof *m);
        struct fixture f;
        struct plog *pl;
        int64_t next;

        rng = seed;
        fixture_init(&f);
        f.conf.segment_bytes = 8000;
        f.conf.index_interval_bytes = 300;
        pl = fixture_open(&f, "t-0");
        for (int step = 0; step < STEPS; step++) {
                uint32_t what = pick(100);

                if (getenv("PLOG_TRACE"))
                        fprintf(stderr, "%d: %u, %lld to %lld\n", step, what, (long long)m->start, (long long)m->end);

                if (what < 75) {
                        step_append(m, pl);
                } else if (what < 80) {
                        step_truncate(m, pl);
                } else if (what < 84) {
                        step_delete_records(m, pl);
                } else if (what < 88) {
                        step_retain(&f, m, pl);
                } else if (what < 92) {
                        plog_close(pl);
                        pl = fixture_open(&f, "t-0");
                }
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).start_offset, m->start);
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).end_offset, m->end);
                compare_read(m, pl);
                compare_time(m, pl);
        }
        (void)read_all(pl, m->start, 5000, &next);
        CU_ASSERT_EQUAL(next, m->end);
        plog_close(pl);
        fixture_fini(&f);
        free(m);
}

static void test_model(void)
{
        const char *one = getenv("PLOG_SEED");

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                unsigned failed = CU_get_number_of_failures();

                run_seed(one ? strtoull(one, NULL, 10) : seed);
                if (CU_get_number_of_failures() != failed)
                        fprintf(stderr, "PLOG_SEED=%llu\n", (unsigned long long)seed);
                if (one)
                        break;
        }
}

static const struct unit_case cases[] = { { "random steps against a model", test_model } };
UNIT_MAIN("plog/model", cases)
