/* Control batches on any bytes, as they are and with the CRC put right: they are read or refused; a marker that was read is
 * built again and reads the same. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "wire/batch_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct batch_marker *m, const struct batch_header *h)
{
        struct batch_build_args a = batch_build_args();
        struct strbuf out = { 0 };
        struct batch_marker again;

        a.producer_id = h->producer_id;
        a.producer_epoch = h->producer_epoch;
        assert(!batch_marker_build(&a, m, 1700000000000, &out));
        assert(!batch_marker_of(span_of(out.data, out.len), &again));
        assert(again.type == m->type && again.coordinator_epoch == m->coordinator_epoch);
        strbuf_fini(&out);
}

static void look(const uint8_t *bytes, size_t len)
{
        struct batch_marker m = { 0 };
        struct batch_header h;
        int r = batch_marker_of(span_of(bytes, len), &m);

        assert(r == 0 || r == BATCH_END || r == BATCH_E_INVALID);
        if (r)
                return;
        assert(!batch_parse_header(span_of(bytes, len), &h) && batch_is_control(&h));
        if (m.type == BATCH_MARKER_COMMIT || m.type == BATCH_MARKER_ABORT)
                check_again(&m, &h);
}

/* The bytes as key and value of a record: a length, the key, the value. */
static void look_record(const uint8_t *bytes, size_t len)
{
        size_t key_len = len ? MIN2((size_t)bytes[0], len - 1) : 0;
        struct batch_record rec = { .key = span_of(bytes + 1, key_len),
                                    .value = span_of(bytes + 1 + key_len, len - 1 - key_len) };
        struct batch_marker m;
        int r;

        if (!len)
                return;
        r = batch_marker_parse(&rec, &m);
        assert(r == 0 || r == BATCH_E_INVALID);
        assert(r || key_len >= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *copy = calloc(1, size + 1);

        assert(copy);
        if (size)
                memcpy(copy, data, size);
        look(copy, size);
        look_record(copy, size);
        if (size > BATCH_ATTRIBUTES_AT)
                store_be32(copy + BATCH_CRC_AT, crc32c(0, copy + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
        look(copy, size);
        free(copy);
        return 0;
}
