/* Segments of the metadata log, and the vote file, on any bytes: reading never passes the end, entries come in order, and
 * what is counted as read is what was handed over. */
#include <assert.h>

#include "base/crc32c.h"
#include "quorum/qlog_internal.h"
#include "quorum/vote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        const uint8_t *start, *end;
        int64_t next;
        int32_t term;
};

static int see(void *arg, const struct qlog_entry *e, size_t pos)
{
        struct seen *s = arg;

        assert(e->index == s->next++ && e->term >= s->term);
        assert(e->payload.data >= s->start && e->payload.data + e->payload.len <= s->end);
        s->term = e->term;
        return 0;
}

static void scan(struct span bytes)
{
        struct qlog_scan sc = { .next_index = 1 };
        struct qlog_header h;
        struct seen s = { bytes.data, bytes.data + bytes.len, 1, 0 };

        if (!qlog_header_read(bytes, &h)) {
                sc.next_index = s.next = h.first_index;
                sc.term = s.term = h.prev_term;
        }
        assert(qlog_scan_entries(bytes, &sc, see, &s) == 0);
        assert(sc.pos <= bytes.len && sc.next_index == s.next && sc.term == s.term);
}

/* Checksums are what random bytes never get right: put them right where the lengths lead. */
static void mend(uint8_t *bytes, size_t len)
{
        size_t pos = QLOG_HEADER_LEN;

        if (len < pos)
                return;
        store_be32(bytes + 28, crc32c(0, bytes, 28));
        while (pos + QLOG_ENTRY_HEAD_LEN <= len) {
                uint32_t payload = load_be32(bytes + pos + 4);
                size_t size;

                if (payload > QLOG_PAYLOAD_LEN_MAX)
                        return;
                size = qlog_entry_size(payload);
                if (size > len - pos)
                        return;
                store_be32(bytes + pos, crc32c(0, bytes + pos + 4, size - 4));
                pos += size;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size + 1);
        struct vote v;

        assert(copy);
        if (size)
                memcpy(copy, data, size);
        scan(span_of(copy, size));
        mend(copy, size);
        scan(span_of(copy, size));
        (void)vote_decode(span_of(copy, size), &v);
        free(copy);
        return 0;
}
