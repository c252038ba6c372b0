/* Indexes on any bytes, as they are and with their checksums put right: the footer is read or refused; searches, by all
 * three keys, give an entry of the file that is not above what was asked for, or none, and never read past the end. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search(int fd, uint32_t count)
{
        static const int64_t values[] = { INT64_MIN, -1, 0, 1, 100, 5000, UINT32_MAX, INT64_MAX };

        for (int by = INDEX_BY_OFFSET; by <= INDEX_BY_TIME; by++)
                for (size_t i = 0; i < ARRAY_LEN(values); i++) {
                        struct index_key key = { (enum index_by)by, values[i] };
                        struct index_entry e;
                        int r = index_search_file(fd, count, key, false, &e);

                        assert(r == 0 || r == 1 || r == -EUCLEAN);
                        if (r != 1)
                                continue;
                        assert(by != INDEX_BY_OFFSET || e.rel_offset <= values[i]);
                        assert(by != INDEX_BY_POS || e.pos <= values[i]);
                        assert(by != INDEX_BY_TIME || e.max_before < values[i]);
                }
}

static void load(const uint8_t *bytes, size_t len)
{
        struct index_footer f = { 0 };
        char path[128];
        int fd, r;

        snprintf(path, sizeof path, "%s/index", fuzz_dir_get());
        fuzz_write(path, bytes, len);
        fd = file_open(path, O_RDONLY);
        assert(fd >= 0);
        r = index_read_footer(fd, &f);
        assert(r == 0 || r == -EUCLEAN);
        if (!r) {
                size_t entries = (len - sizeof(struct disk_index_header) - sizeof(struct disk_index_footer)) /
                                 sizeof(struct disk_index_entry);

                assert(f.count == entries);
                r = index_check_entries(fd, f.count, f.entries_crc);
                assert(r == 0 || r == -EUCLEAN);
        }
        search(fd, f.count);
        search(fd, 3); /* an active segment's: the checkpoint says how many */
        search(fd, 1 << 20);
        r = index_check_entries(fd, 1 << 20, 0);
        assert(r == -EUCLEAN);
        file_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_twice(data, size, load, mend_index);
        return 0;
}
