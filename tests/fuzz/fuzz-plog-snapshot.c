/* Snapshots of producer state on any bytes, as they are and with their checksums put right: they load or are refused; what
 * loads is written again and loads to the same, and can be asked. */
#include "fuzz-plog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OFFSET = 42 };

static int compare_entries(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct disk_producer));
}

static void *encode(const struct producers *p, size_t *ret_len)
{
        void *bytes;

        assert(!producers_encode(p, OFFSET, &bytes, ret_len));
        return bytes;
}

/* Entries have no order; for comparing they are given one. */
static void sort(void *bytes, uint32_t count)
{
        qsort((struct disk_snapshot_header *)bytes + 1, count, sizeof(struct disk_producer), compare_entries);
}

/* Every open transaction is ended by an abort, oldest first: then all is stable. */
static void end_transactions(struct producers *p)
{
        const struct batch_marker abort = { .type = BATCH_MARKER_ABORT };
        struct batch_header h = { .base_offset = OFFSET, .producer_epoch = 1, .attributes = BATCH_CONTROL };
        struct aborted found = { 0 };
        uint32_t aborted = p->aborted.count, open = 0;
        int64_t last = -1;

        for (const struct producer *x = p->txn_first; x; x = x->txn_next, open++) {
                assert(x->txn_first_offset >= last && x->txn_first_offset < OFFSET);
                assert(x->txn_prev ? x->txn_prev->txn_next == x : p->txn_first == x);
                last = x->txn_first_offset;
        }
        assert(producers_unstable(p) == INT64_MAX || (producers_unstable(p) >= 0 && producers_unstable(p) < OFFSET));
        producers_replicated(p, OFFSET);
        assert(!p->finished_count);
        while (p->txn_first) {
                assert(producers_unstable(p) == p->txn_first->txn_first_offset);
                assert(!producers_reserve(p));
                producers_note(p, p->txn_first, &h, &abort, 1000);
                producers_replicated(p, ++h.base_offset);
        }
        assert(!p->txn_last && producers_unstable(p) == INT64_MAX && p->aborted.count == aborted + open);
        assert(aborted_select(&p->aborted, &(struct aborted_range){ 0, OFFSET, 0, INT64_MAX }, &found) >= 0);
        aborted_fini(&found);
}

static void ask(struct producers *p)
{
        struct batch_header h = { .last_offset_delta = 3, .producer_epoch = 1, .base_sequence = INT32_MAX - 1 };
        const struct producer_batch *known;

        for (h.producer_id = -1; h.producer_id < 8; h.producer_id++) {
                struct producer *x = producers_find(p, h.producer_id);

                if (producer_check(x, &h, &known) == PLOG_E_DUPLICATE)
                        assert(known->last_offset >= known->first_offset || known->last_offset < 0);
                if (x)
                        producers_note(p, x, &h, NULL, 1000);
        }
        end_transactions(p);
        producers_expire(p, 2000, 100);
}

static void load(const uint8_t *bytes, size_t len)
{
        struct producers p = { 0 }, again = { 0 };
        void *first, *second;
        size_t first_len, second_len;
        char path[128];
        int r;

        snprintf(path, sizeof path, "%s/snapshot", fuzz_dir_get());
        fuzz_write(path, bytes, len);
        r = producers_load(&p, path, OFFSET);
        assert(r == 0 || r == -EUCLEAN);
        if (r) {
                assert(!p.count && !p.buckets && !p.txn_first && !p.finished && !p.aborted.entries);
                return;
        }
        first = encode(&p, &first_len);
        fuzz_write(path, first, first_len);
        assert(!producers_load(&again, path, OFFSET));
        second = encode(&again, &second_len);
        assert(first_len == second_len && again.count == p.count && again.finished_count == p.finished_count &&
               again.aborted.count == p.aborted.count);
        sort(first, p.count);
        sort(second, p.count);
        assert(!memcmp((struct disk_snapshot_header *)first + 1, (struct disk_snapshot_header *)second + 1,
                       first_len - sizeof(struct disk_snapshot_header)));
        assert(producers_load(&again, path, OFFSET + 1) == -EUCLEAN); /* of another offset */
        ask(&p);
        producers_fini(&p);
        producers_fini(&again);
        free(first);
        free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_twice(data, size, load, mend_snapshot);
        return 0;
}
