/* The file of damaged ranges on any bytes, as they are and with the checksums put right: it loads or is not taken; what loads
 * is in order, is written again and loads to the same, and can be cleared. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_damage(uint8_t *bytes, size_t len)
{
        const size_t head = sizeof(struct disk_damage_header);

        if (len < head)
                return;
        store_be32(bytes + offsetof(struct disk_damage_header, entries_crc), crc32c(0, bytes + head, len - head));
        mend_at(bytes, len, offsetof(struct disk_damage_header, crc));
}

static void check_order(const struct damage *d)
{
        const struct plog_damaged_range *r = damage_list(d);

        assert(d->count <= DAMAGE_RANGES_MAX);
        for (uint32_t i = 0; i < d->count; i++) {
                assert(r[i].from_offset >= 0 && r[i].from_offset < r[i].to_offset && r[i].end_pos >= r[i].pos);
                assert(!i || r[i].from_offset >= r[i - 1].to_offset);
                assert(r[i].why != PLOG_DAMAGE_MISSING && *plog_damage_text(r[i].why));
                assert(damage_at(d, r[i].from_offset) == &r[i] && damage_after(d, r[i].from_offset) == &r[i]);
        }
}

static void load(const uint8_t *bytes, size_t len)
{
        struct damage d = { 0 }, again = { 0 };
        int64_t checked_ms = 0, checked_again = 0;
        static struct walk_skips skips;
        size_t again_len;
        void *written;

        if (damage_decode(span_of(bytes, len), &d, &checked_ms)) {
                assert(!d.count);
                return;
        }
        check_order(&d);
        assert(!damage_encode(&d, checked_ms, &written, &again_len));
        assert(!damage_decode(span_of(written, again_len), &again, &checked_again));
        assert(again.count == d.count && checked_again == checked_ms);
        free(written);
        if (d.count) {
                damage_skips(&d, damage_list(&d)->segment_base, &skips);
                (void)damage_clear(&d, damage_list(&d)->from_offset + 1, INT64_MAX);
                check_order(&d);
                assert(damage_offsets(&d) == 1);
        }
        (void)damage_trim(&again, 1, 1000);
        check_order(&again);
        damage_fini(&d);
        damage_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_twice(data, size, load, mend_damage);
        return 0;
}
