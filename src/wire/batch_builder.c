/* Writing batches: the builder, recompression, transaction markers. The header is written last, over room that was left
 * for it. */
#include "base/crc32c.h"
#include "base/err.h"
#include "base/writer.h"
#include "wire/batch_records.h"

enum {
        BATCH_LEN_MAX = INT32_MAX, /* what the length field can say, and then a little less */
        MARKER_KEY_LEN = 4,        /* int16 version, int16 type */
        MARKER_VALUE_LEN = 6,      /* int16 version, int32 coordinator epoch */
};

static void builder_clear(struct batch_builder *b)
{
        b->buf.len = 0;
        b->count = 0;
        b->last_delta = -1;
        b->base_timestamp = b->args.delete_horizon_ms;
        b->max_timestamp = BATCH_NO_TIMESTAMP;
}

void batch_builder_init(struct batch_builder *b, const struct batch_build_args *args)
{
        *b = (struct batch_builder){ .args = *args };
        builder_clear(b);
}

void batch_builder_fini(struct batch_builder *b)
{
        strbuf_fini(&b->buf);
        builder_clear(b);
}

static size_t sized_len(struct span s)
{
        return s.data ? varint_size((int32_t)s.len) + s.len : 1;
}

static void write_sized(struct writer *w, struct span s)
{
        writer_varint(w, s.data ? (int32_t)s.len : -1);
        writer_bytes(w, s.data, s.len);
}

/* Room for @len bytes behind those of @buf, which get a header's room first. */
static uint8_t *builder_room(struct strbuf *buf, size_t len)
{
        size_t head = buf->len ? 0 : BATCH_HEADER_LEN;
        char *p = strbuf_reserve(buf, head + len);

        if (!p)
                return NULL;
        buf->len += head + len;
        return (uint8_t *)p + head;
}

int batch_builder_add(struct batch_builder *b, const struct batch_record *rec)
{
        int64_t delta = rec->offset - b->args.base_offset, time_delta;
        size_t len, whole;
        struct writer w;
        uint8_t *p;

        assert(delta > b->last_delta && delta <= INT32_MAX);
        if (rec->key.len > BATCH_LEN_MAX || rec->value.len > BATCH_LEN_MAX || rec->headers.len > BATCH_LEN_MAX)
                return BATCH_E_TOO_LARGE;
        if (b->count == 0 && b->args.delete_horizon_ms < 0)
                b->base_timestamp = rec->timestamp;
        time_delta = (int64_t)((uint64_t)rec->timestamp - (uint64_t)b->base_timestamp);
        len = 1 + varlong_size(time_delta) + varint_size((int32_t)delta) + sized_len(rec->key) + sized_len(rec->value) +
              varint_size(rec->headers_count) + rec->headers.len;
        whole = batch_builder_len(b) + varint_size((int32_t)MIN2(len, (size_t)INT32_MAX)) + len;
        if (whole > BATCH_LEN_MAX)
                return BATCH_E_TOO_LARGE;
        p = builder_room(&b->buf, whole - batch_builder_len(b));
        if (!p)
                return -ENOMEM;
        w = writer_of(p, (size_t)(b->buf.data + b->buf.len - (char *)p));
        writer_varint(&w, (int32_t)len);
        writer_u8(&w, 0);
        writer_varlong(&w, time_delta);
        writer_varint(&w, (int32_t)delta);
        write_sized(&w, rec->key);
        write_sized(&w, rec->value);
        writer_varint(&w, rec->headers_count);
        writer_bytes(&w, rec->headers.data, rec->headers.len);
        assert(w.at == w.end);
        b->count++;
        b->last_delta = (int32_t)delta;
        b->max_timestamp = MAX2(b->max_timestamp, rec->timestamp);
        return 0;
}

size_t batch_builder_len(const struct batch_builder *b)
{
        return b->buf.len ? b->buf.len : BATCH_HEADER_LEN;
}

static uint16_t builder_attributes(const struct batch_builder *b, int codec)
{
        const struct batch_build_args *a = &b->args;

        return (uint16_t)(codec | (a->log_append_time ? BATCH_LOG_APPEND_TIME : 0) |
                          (a->transactional ? BATCH_TRANSACTIONAL : 0) | (a->control ? BATCH_CONTROL : 0) |
                          (a->delete_horizon_ms >= 0 ? BATCH_DELETE_HORIZON : 0));
}

/* Length and CRC of the whole batch at @p, once all else is there. */
static void seal(uint8_t *p, size_t len)
{
        store_be32(p + BATCH_LENGTH_AT, (uint32_t)(len - BATCH_PREFIX_LEN));
        store_be32(p + BATCH_CRC_AT, crc32c(0, p + BATCH_ATTRIBUTES_AT, len - BATCH_ATTRIBUTES_AT));
}

static void write_header(const struct batch_builder *b, int codec, uint8_t *p, size_t len)
{
        const struct batch_build_args *a = &b->args;
        struct writer w = writer_of(p, BATCH_HEADER_LEN);
        int32_t last_delta = a->last_offset_delta >= 0 ? a->last_offset_delta : b->last_delta;

        assert(last_delta >= b->last_delta && last_delta >= 0);
        writer_be64(&w, (uint64_t)a->base_offset);
        writer_be32(&w, 0);
        writer_be32(&w, (uint32_t)a->leader_epoch);
        writer_u8(&w, 2);
        writer_be32(&w, 0);
        writer_be16(&w, builder_attributes(b, codec));
        writer_be32(&w, (uint32_t)last_delta);
        writer_be64(&w, (uint64_t)b->base_timestamp);
        writer_be64(&w, (uint64_t)(a->log_append_time ? a->append_time_ms : b->max_timestamp));
        writer_be64(&w, (uint64_t)a->producer_id);
        writer_be16(&w, (uint16_t)a->producer_epoch);
        writer_be32(&w, (uint32_t)a->base_sequence);
        writer_be32(&w, (uint32_t)b->count);
        assert(w.at == w.end);
        seal(p, len);
}

/* Room for a header, then @records through @codec, appended to @out. What is left behind on failure is cut off. */
static int append_packed(int codec, int level, struct span records, struct strbuf *out)
{
        size_t at = out->len;
        int r;

        if (!strbuf_reserve(out, BATCH_HEADER_LEN + records.len / 2))
                return -ENOMEM;
        out->len += BATCH_HEADER_LEN;
        r = codec_encode(codec, level, records, out);
        if (!r && out->len - at > BATCH_LEN_MAX)
                r = BATCH_E_TOO_LARGE;
        else if (r == CODEC_E_UNKNOWN)
                r = BATCH_E_CODEC;
        if (r)
                out->len = at;
        return r;
}

int batch_builder_finish(struct batch_builder *b, struct strbuf *out)
{
        size_t at = out->len;
        int codec = b->count ? b->args.codec : CODEC_NONE, r;
        struct span records = SPAN_NULL;

        if (b->buf.failed)
                return -ENOMEM;
        if (b->buf.len)
                records = span_of(b->buf.data + BATCH_HEADER_LEN, b->buf.len - BATCH_HEADER_LEN);
        r = append_packed(codec, b->args.level, records, out);
        if (r)
                return err_trace(r);
        write_header(b, codec, (uint8_t *)out->data + at, out->len - at);
        builder_clear(b);
        return 0;
}

void batch_record_header_add(struct strbuf *list, struct span key, struct span value)
{
        uint8_t *p;
        struct writer w;
        size_t len = sized_len(key) + sized_len(value);

        assert(key.data);
        p = (uint8_t *)strbuf_reserve(list, len);
        if (!p)
                return;
        list->len += len;
        w = writer_of(p, len);
        write_sized(&w, key);
        write_sized(&w, value);
}

int batch_recompress(struct span batch, int codec, int level, uint64_t inflated_len_max, struct strbuf *out)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };
        struct batch_header h;
        struct span packed;
        size_t at = out->len;
        uint8_t *p;
        int r;

        r = batch_parse_header(batch, &h);
        if (r)
                return r;
        if (batch.len != batch_len(&h))
                return batch.len < batch_len(&h) ? BATCH_E_TRUNCATED : BATCH_E_LENGTH;
        packed = span_of(batch.data + BATCH_HEADER_LEN, batch.len - BATCH_HEADER_LEN);
        if (!inflated_len_max)
                inflated_len_max = batch_inflated_len_max(batch.len);
        inflated_len_max = MIN2(inflated_len_max, (uint64_t)BATCH_LEN_MAX);
        if (packed.len) {
                r = codec_decode(batch_codec(&h), packed, inflated_len_max, &records);
                if (r > 0)
                        return r == CODEC_E_TOO_LARGE ? BATCH_E_TOO_LARGE
                                                      : (r == CODEC_E_UNKNOWN ? BATCH_E_CODEC : BATCH_E_INVALID);
                if (r)
                        return err_trace(r);
        } else {
                codec = CODEC_NONE;
        }
        r = append_packed(codec, level, span_of(records.data, records.len), out);
        if (r)
                return err_trace(r);
        p = (uint8_t *)out->data + at;
        memcpy(p, batch.data, BATCH_HEADER_LEN);
        store_be16(p + BATCH_ATTRIBUTES_AT, (uint16_t)((h.attributes & ~BATCH_CODEC_MASK) | codec));
        seal(p, out->len - at);
        return 0;
}

int batch_marker_parse(const struct batch_record *record, struct batch_marker *ret_marker)
{
        struct cursor key = cursor_of(record->key), value = cursor_of(record->value);
        struct batch_marker m = { .coordinator_epoch = -1 };

        if (cursor_be16s(&key) < 0)
                return BATCH_E_INVALID;
        m.type = cursor_be16s(&key);
        if (!cursor_ok(&key))
                return BATCH_E_INVALID;
        if (m.type == BATCH_MARKER_ABORT || m.type == BATCH_MARKER_COMMIT) {
                if (cursor_be16s(&value) < 0)
                        return BATCH_E_INVALID;
                m.coordinator_epoch = cursor_be32s(&value);
                if (!cursor_ok(&value))
                        return BATCH_E_INVALID;
        }
        *ret_marker = m;
        return 0;
}

int batch_marker_of(struct span batch, struct batch_marker *ret_marker)
{
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, batch, 0);

        if (r)
                return r < 0 ? r : BATCH_E_INVALID;
        r = batch_is_control(&it.header) ? batch_records_next(&it, &rec) : BATCH_E_INVALID;
        if (!r)
                r = batch_marker_parse(&rec, ret_marker);
        batch_records_close(&it);
        return r <= 0 || r == BATCH_END ? r : BATCH_E_INVALID;
}

int batch_marker_build(const struct batch_build_args *args, const struct batch_marker *marker, int64_t timestamp,
                       struct strbuf *out)
{
        struct batch_build_args a = *args;
        uint8_t key[MARKER_KEY_LEN] = { 0 }, value[MARKER_VALUE_LEN] = { 0 }; /* version 0 of both */
        struct batch_builder b;
        int r;

        a.codec = CODEC_NONE;
        a.control = a.transactional = true;
        a.base_sequence = -1;
        store_be16(key + 2, (uint16_t)marker->type);
        store_be32(value + 2, (uint32_t)marker->coordinator_epoch);
        batch_builder_init(&b, &a);
        r = batch_builder_add(&b, &(struct batch_record){ .offset = a.base_offset,
                                                          .timestamp = timestamp,
                                                          .key = span_of(key, sizeof key),
                                                          .value = span_of(value, sizeof value) });
        if (!r)
                r = batch_builder_finish(&b, out);
        batch_builder_fini(&b);
        return err_fold(r);
}
