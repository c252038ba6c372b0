/* Checkpoints on any bytes: two slots of 128 bytes each, which are put where they belong. A slot is in force or not; what
 * is read has its numbers in order, and the slot with the larger sequence wins. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_slots(const uint8_t *bytes, size_t len, struct checkpoint *ret)
{
        char path[128];

        snprintf(path, sizeof path, "%s/%s", fuzz_dir_get(), CHECKPOINT_NAME);
        fuzz_write(path, bytes, len);
        return checkpoint_read(fuzz_dir_get(), ret);
}

static void check_sound(const struct checkpoint *c)
{
        assert(c->start_offset >= 0 && c->end_offset >= c->start_offset);
        assert(c->segment_base >= -1 && c->segment_base <= c->end_offset && c->segment_pos >= 0);
        assert(c->damaged_from >= 0 && c->damaged_to >= c->damaged_from && c->damaged_to <= c->end_offset);
        assert(c->snapshot_offset >= -1 && c->snapshot_offset <= c->end_offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        enum { SLOT = sizeof(struct disk_checkpoint), LEN = CHECKPOINT_SLOT_STEP + SLOT };
        uint8_t bytes[LEN] = { 0 };
        struct checkpoint both, one;
        size_t first = MIN2(size, (size_t)SLOT);
        int r, alone;

        if (size)
                memcpy(bytes, data, first);
        if (size > first)
                memcpy(bytes + CHECKPOINT_SLOT_STEP, data + first, MIN2(size - first, (size_t)SLOT));
        for (int mended = 0; mended < 2; mended++) {
                r = read_slots(bytes, size > first || mended ? LEN : SLOT, &both);
                assert(r == 0 || r == -ENOENT);
                if (!r)
                        check_sound(&both);
                alone = read_slots(bytes, SLOT, &one);
                assert(alone || !r); /* a good slot is not spoiled by the other one */
                if (!alone)
                        assert(both.sequence >= one.sequence);
                mend_checkpoint(bytes, LEN);
        }
        return 0;
}
