/* The file of leader epochs on any bytes, as they are and with the checksum put right: it loads or is not taken; what loads
 * rises in both columns, is written again and loads to the same, and answers and shrinks as it must. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct epochs *e)
{
        for (uint32_t i = 0; i < e->count; i++) {
                assert(e->entries[i].epoch >= 0 && e->entries[i].start_offset >= 0);
                assert(!i || (e->entries[i].epoch > e->entries[i - 1].epoch &&
                              e->entries[i].start_offset > e->entries[i - 1].start_offset));
        }
}

static void ask(struct epochs *e)
{
        static const int64_t offsets[] = { 0, 1, 100, INT64_MAX };

        for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
                int32_t epoch = epochs_at(e, offsets[i]), found;
                int64_t end;

                assert(epoch >= -1 && epoch <= epochs_latest(e));
                if (epochs_end(e, epoch, INT64_MAX, &found, &end))
                        assert(found == epoch && (end > offsets[i] || end == INT64_MAX));
        }
        (void)epochs_truncate_start(e, 50);
        check_order(e);
        (void)epochs_truncate_end(e, 1000);
        check_order(e);
        assert(!e->count || e->entries[e->count - 1].start_offset < 1000);
}

static void load(const uint8_t *bytes, size_t len)
{
        struct epochs e = { 0 }, again = { 0 };
        char path[128];
        size_t again_len;
        void *written;
        bool found;

        snprintf(path, sizeof path, "%s/%s", fuzz_dir_get(), EPOCHS_NAME);
        fuzz_write(path, bytes, len);
        assert(!epochs_load(&e, fuzz_dir_get(), &found));
        assert(found || !e.count);
        check_order(&e);
        assert(!epochs_encode(&e, &written, &again_len));
        fuzz_write(path, written, again_len);
        assert(!epochs_load(&again, fuzz_dir_get(), &found) && found);
        assert(again.count == e.count);
        for (uint32_t i = 0; i < e.count; i++)
                assert(again.entries[i].epoch == e.entries[i].epoch &&
                       again.entries[i].start_offset == e.entries[i].start_offset);
        ask(&e);
        free(written);
        epochs_fini(&e);
        epochs_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_twice(data, size, load, mend_epochs);
        return 0;
}
