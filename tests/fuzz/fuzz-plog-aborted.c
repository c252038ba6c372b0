/* Lists of aborted transactions on any bytes, as they are and with their checksums put right: they load or are refused; what
 * loads is in order, is written again to the same bytes, and answers as looking at every entry does. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASE = 42 };

static void ask(const struct aborted *a, int64_t from, int64_t to)
{
        struct aborted found = { 0 };
        uint32_t count = 0;
        int r = aborted_select(a, &(struct aborted_range){ from, to, 0, INT64_MAX }, &found);

        assert(r == 0 || r == 1);
        for (uint32_t i = 0; i < a->count; i++) {
                const struct plog_aborted *t = &a->entries[i];

                if (t->last_offset >= from && t->first_offset < to) {
                        assert(count < found.count && !memcmp(&found.entries[count], t, sizeof *t));
                        count++;
                }
                if (t->last_offset >= from && t->stable_offset >= to)
                        break;
        }
        assert(count == found.count);
        aborted_fini(&found);
}

static void load(const uint8_t *bytes, size_t len)
{
        struct aborted a = { 0 };
        void *again;
        size_t again_len;
        int r = aborted_decode(&a, span_of(bytes, len), BASE);

        assert(r == 0 || r == -EUCLEAN);
        if (r) {
                assert(!a.count && !a.entries);
                return;
        }
        for (uint32_t i = 0; i < a.count; i++) {
                const struct plog_aborted *t = &a.entries[i];

                assert(t->last_offset >= (i ? a.entries[i - 1].last_offset + 1 : BASE));
                assert(t->first_offset >= 0 && t->first_offset < t->last_offset);
        }
        assert(!aborted_encode(&a, BASE, &again, &again_len) && again_len == len);
        assert(!memcmp((struct disk_aborted_header *)again + 1, bytes + sizeof(struct disk_aborted_header),
                       len - sizeof(struct disk_aborted_header)));
        free(again);
        for (int64_t from = 0; from < 100; from += 7)
                for (int64_t to = from + 1; to < 110; to += 13)
                        ask(&a, from, to);
        aborted_drop_below(&a, 60);
        assert(!a.count || a.entries[0].last_offset >= 60);
        aborted_fini(&a);
        assert(aborted_decode(&a, span_of(bytes, len), BASE + 1) == -EUCLEAN); /* of another segment */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_twice(data, size, load, mend_aborted);
        return 0;
}
