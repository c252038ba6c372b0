/* Reading a segment of the metadata log back: pure, so that a fuzz target shares it. What follows from it is qlog_open.c.
 * A bad entry is a torn tail, and cut off, when nothing behind it shows that it had been synced; else it is damage, and
 * refused, because silently losing a committed entry would lose what clients were told. */
#include "base/crc32c.h"
#include "base/cursor.h"
#include "quorum/qlog_internal.h"

int qlog_header_read(struct span bytes, struct qlog_header *ret_header)
{
        struct cursor c = cursor_of(bytes);
        const uint8_t *magic = cursor_take(&c, 8);
        struct qlog_header h;
        uint16_t format, flags;

        if (!magic)
                return QLOG_E_DAMAGED;
        if (memcmp(magic, QLOG_MAGIC, 8))
                return QLOG_E_FOREIGN;
        format = cursor_be16(&c);
        flags = cursor_be16(&c);
        h.prev_term = cursor_be32s(&c);
        h.first_index = cursor_be64s(&c);
        h.edition = cursor_be32(&c);
        if (cursor_be32(&c) != crc32c(0, bytes.data, MIN2(bytes.len, (size_t)QLOG_HEADER_LEN - 4)) || !cursor_ok(&c) ||
            h.first_index < 1)
                return QLOG_E_DAMAGED;
        if (format != QLOG_FORMAT || flags > 1)
                return QLOG_E_FOREIGN;
        h.resets = flags;
        *ret_header = h;
        return 0;
}

size_t qlog_entry_read(struct span bytes, size_t pos, struct qlog_entry *ret_entry, int64_t *ret_group_first)
{
        struct cursor c = cursor_of(span_of(bytes.data + pos, bytes.len - pos));
        uint32_t crc = cursor_be32(&c), len = cursor_be32(&c);
        struct qlog_entry e = { .index = cursor_be64s(&c) };
        size_t size;

        *ret_group_first = cursor_be64s(&c);
        e.term = cursor_be32s(&c);
        e.type = cursor_u8(&c);
        cursor_take(&c, 3);
        if (!cursor_ok(&c) || len > QLOG_PAYLOAD_LEN_MAX)
                return 0;
        size = qlog_entry_size(len);
        if (size > bytes.len - pos || crc32c(0, bytes.data + pos + 4, size - 4) != crc)
                return 0;
        e.payload = span_of(bytes.data + pos + QLOG_ENTRY_HEAD_LEN, len);
        *ret_entry = e;
        return size;
}

/* Does any entry behind @pos belong to a group that was written later than entry @index? Then @index had been synced.
 * Entries are 8-byte aligned; the cheap test of the numbers comes before the checksum. */
static bool synced_after(struct span bytes, size_t pos, int64_t index)
{
        for (pos += 8 - pos % 8; pos + QLOG_ENTRY_HEAD_LEN <= bytes.len; pos += 8) {
                int64_t at_index = (int64_t)load_be64(bytes.data + pos + 8);
                int64_t at_group = (int64_t)load_be64(bytes.data + pos + 16), group;
                struct qlog_entry e;

                if (at_group > index && at_index >= at_group && at_index - index < (int64_t)bytes.len &&
                    qlog_entry_read(bytes, pos, &e, &group))
                        return true;
        }
        return false;
}

int qlog_scan_entries(struct span bytes, struct qlog_scan *scan,
                      int (*fn)(void *arg, const struct qlog_entry *e, size_t pos), void *arg)
{
        struct qlog_entry e;
        int64_t group;
        size_t size;
        int r;

        scan->pos = MIN2((size_t)QLOG_HEADER_LEN, bytes.len);
        scan->synced_after = false;
        while (scan->pos < bytes.len && scan->next_index != scan->end_index) {
                size = qlog_entry_read(bytes, scan->pos, &e, &group);
                if (!size || e.index != scan->next_index || e.term < scan->term || group > e.index || group < 1) {
                        /* A valid entry in a wrong place was never a torn one. */
                        scan->synced_after = size || synced_after(bytes, scan->pos, scan->next_index);
                        return 0;
                }
                r = fn(arg, &e, scan->pos);
                if (r)
                        return r;
                scan->pos += size;
                scan->next_index++;
                scan->term = e.term;
        }
        return 0;
}
