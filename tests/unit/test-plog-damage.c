/* Goal: the list of damaged ranges says exactly what was put in, as long as it has room, and never too little beyond that; its
 * file reads back as it was written. Method: random changes beside a model that keeps a mark for each offset. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "plog/damage.h"
#include "plog/format.h"
#include "plog/walk.h"
#include "unit.h"

enum {
        OFFSETS = 4000,
        SEGMENT = 100,
        POS = 10
}; /* 10 bytes to an offset; every second segment is rotten, others missing */

static uint64_t seed;

static int64_t below(int64_t n)
{
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (int64_t)((seed >> 33) % (uint64_t)n);
}

static struct plog_damaged_range range_of(int64_t from, int64_t to)
{
        int64_t base = from / SEGMENT * SEGMENT;

        if (base / SEGMENT % 2)
                return (struct plog_damaged_range){ from, to, -1, -1, -1, 7, PLOG_DAMAGE_MISSING };
        return (struct plog_damaged_range){
                from, to, base, (from - base) * POS, (to - base) * POS, 7, PLOG_DAMAGE_CRC
        };
}

static void check_list(const struct damage *d)
{
        const struct plog_damaged_range *r = damage_list(d);
        int64_t sum = 0;

        CU_ASSERT_FATAL(d->count <= DAMAGE_RANGES_MAX);
        for (uint32_t i = 0; i < d->count; i++) {
                CU_ASSERT_FATAL(r[i].from_offset < r[i].to_offset);
                CU_ASSERT_FATAL(!i || r[i].from_offset >= r[i - 1].to_offset);
                sum += r[i].to_offset - r[i].from_offset;
        }
        CU_ASSERT_EQUAL(sum, damage_offsets(d));
}

/* @exact: the list holds what the model does; otherwise at least that. */
static void compare(const struct damage *d, const uint8_t *model, bool exact)
{
        check_list(d);
        for (int64_t o = 0; o < OFFSETS; o++) {
                const struct plog_damaged_range *r = damage_at(d, o), *next = damage_after(d, o);

                CU_ASSERT_FATAL(exact ? !r == !model[o] : r || !model[o]);
                CU_ASSERT_FATAL(!r || (r->from_offset <= o && o < r->to_offset));
                CU_ASSERT_FATAL(!next || next->from_offset >= o);
                for (int64_t k = o; exact && k < (next ? next->from_offset : OFFSETS) && k < o + 20; k++)
                        CU_ASSERT_FATAL(!model[k] || (r && k < r->to_offset));
        }
}

/* A walk over a segment leaves out just the bytes of its damaged offsets. */
static void compare_skips(const struct damage *d, const uint8_t *model)
{
        static struct walk_skips skips;

        for (int64_t base = 0; base < OFFSETS; base += 2 * SEGMENT) {
                bool skipped[SEGMENT] = { false };

                damage_skips(d, base, &skips);
                for (unsigned i = 0; i < skips.count; i++) {
                        CU_ASSERT_EQUAL_FATAL(skips.list[i].next_offset - base, skips.list[i].end_pos / POS);
                        for (int64_t o = skips.list[i].pos / POS; o < skips.list[i].end_pos / POS; o++)
                                skipped[o] = true;
                }
                for (int64_t o = 0; o < SEGMENT; o++)
                        CU_ASSERT_EQUAL_FATAL(skipped[o], model[base + o]);
        }
}

static void add_random(struct damage *d, uint8_t *model, int64_t len_max)
{
        int64_t base = below(OFFSETS / SEGMENT) * SEGMENT, from = base + below(SEGMENT);
        int64_t to = from + 1 + below(MIN2(len_max, base + SEGMENT - from));
        struct plog_damaged_range r = range_of(from, to);
        bool news = false;

        for (int64_t o = from; o < to; o++) {
                news |= !model[o];
                model[o] = 1;
        }
        CU_ASSERT_EQUAL(damage_add(d, &r), news);
}

/* Return: ranges were cut, whose bytes stay as they were. */
static bool change_random(struct damage *d, uint8_t *model)
{
        int64_t base = below(OFFSETS / SEGMENT) * SEGMENT, start, end, gone = 0;

        switch (below(4)) {
        case 0:
                for (int64_t o = base; o < base + SEGMENT; o++)
                        if (base / SEGMENT % 2 == 0) {
                                gone += model[o];
                                model[o] = 0;
                        }
                CU_ASSERT_EQUAL(damage_clear(d, base, base + SEGMENT), gone);
                return false;
        case 1:
                if (below(30))
                        return false;
                start = below(OFFSETS / 4);
                end = OFFSETS - below(OFFSETS / 4);
                for (int64_t o = 0; o < OFFSETS; o++) {
                        bool out = o < start || o >= end;

                        gone += out && model[o];
                        model[o] &= !out;
                }
                CU_ASSERT_EQUAL(damage_trim(d, start, end), gone > 0);
                return true;
        default:
                add_random(d, model, 6);
                return false;
        }
}

static void test_random(void)
{
        for (seed = 1; seed < 40; seed += 2) {
                uint8_t model[OFFSETS] = { 0 };
                uint64_t kept = seed;
                struct damage d = { 0 };
                bool cut = false;

                for (int i = 0; i < 300; i++) {
                        cut |= change_random(&d, model);
                        if (d.count >= DAMAGE_RANGES_MAX)
                                break;
                        if (i % 10 == 0) {
                                compare(&d, model, true);
                                if (!cut)
                                        compare_skips(&d, model);
                        }
                }
                damage_fini(&d);
                seed = kept;
        }
}

/* More than there is room for: nothing that was put in is forgotten, and kinds are not mixed while that can be helped. */
static void test_full(void)
{
        uint8_t model[OFFSETS] = { 0 };
        struct damage d = { 0 };

        seed = 5;
        for (int i = 0; i < 600; i++) {
                int64_t from = below(OFFSETS);
                struct plog_damaged_range r = range_of(from, from + 1);

                model[from] = 1;
                (void)damage_add(&d, &r);
                CU_ASSERT_EQUAL(d.count > DAMAGE_RANGES_MAX, false);
        }
        CU_ASSERT_EQUAL(d.count, DAMAGE_RANGES_MAX);
        compare(&d, model, false);
        damage_fini(&d);
}

static bool is_same(const struct plog_damaged_range *a, const struct plog_damaged_range *b)
{
        return a->from_offset == b->from_offset && a->to_offset == b->to_offset && a->segment_base == b->segment_base &&
               a->pos == b->pos && a->end_pos == b->end_pos && a->found_ms == b->found_ms && a->why == b->why;
}

static void decode_back(const struct damage *d, int64_t checked_ms)
{
        struct damage back = { 0 };
        int64_t checked = -1;
        uint32_t k = 0;
        void *data;
        size_t len;

        CU_ASSERT_EQUAL_FATAL(damage_encode(d, checked_ms, &data, &len), 0);
        CU_ASSERT_EQUAL_FATAL(damage_decode(span_of(data, len), &back, &checked), 0);
        CU_ASSERT_EQUAL(checked, checked_ms);
        for (uint32_t i = 0; i < d->count; i++)
                if (damage_list(d)[i].why != PLOG_DAMAGE_MISSING)
                        CU_ASSERT(is_same(&damage_list(d)[i], &damage_list(&back)[k++]));
        CU_ASSERT_EQUAL(back.count, k);
        damage_fini(&back);
        for (size_t i = 0; i < len; i++) { /* any byte that is wrong is noticed */
                uint8_t *bytes = data;

                bytes[i] ^= 0x10;
                CU_ASSERT_NOT_EQUAL(damage_decode(span_of(data, len), &back, &checked), 0);
                CU_ASSERT_EQUAL(back.count, 0);
                bytes[i] ^= 0x10;
        }
        for (size_t n = 0; n < len; n++)
                CU_ASSERT_EQUAL(damage_decode(span_of(data, n), &back, &checked), -EUCLEAN);
        free(data);
}

static void test_file(void)
{
        struct damage d = { 0 };
        uint8_t model[OFFSETS] = { 0 };

        decode_back(&d, 0);
        seed = 3;
        for (int i = 0; i < 40; i++)
                add_random(&d, model, 30);
        decode_back(&d, 1700000000000);
        damage_fini(&d);
}

static void test_newer_version(void)
{
        struct damage d = { 0 };
        struct disk_damage_header h = { .magic = htobe32(DAMAGE_MAGIC), .version = htobe16(FORMAT_VERSION + 1) };
        int64_t checked;

        h.crc = htobe32(crc32c(0, &h, offsetof(struct disk_damage_header, crc)));
        CU_ASSERT_EQUAL(damage_decode(span_of(&h, sizeof h), &d, &checked), -EPROTONOSUPPORT);
}

static const struct unit_case cases[] = {
        { "random changes", test_random },
        { "more ranges than there is room for", test_full },
        { "the file", test_file },
        { "a file of a newer version", test_newer_version },
};
UNIT_MAIN("plog/damage", cases)
