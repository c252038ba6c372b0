/* Reading the records of a batch, and the two searches by time. */
#include "wire/batch_records.h"

#include "base/err.h"

enum { RECORD_LEN_LEN_MAX = 5 };

int batch_records_open(struct batch_records *it, struct span batch, uint64_t inflated_len_max)
{
        struct batch_header h;
        int r;

        *it = (struct batch_records){ .last_delta = -1 };
        r = batch_parse_header(batch, &h);
        if (r)
                return r;
        if (batch.len != batch_len(&h))
                return batch.len < batch_len(&h) ? BATCH_E_TRUNCATED : BATCH_E_LENGTH;
        if (h.records_count < 0 || h.last_offset_delta < 0)
                return BATCH_E_INVALID;
        r = batch_feed_open(&it->feed, batch, &h, inflated_len_max);
        if (r)
                return r;
        it->header = h;
        it->left = h.records_count;
        return 0;
}

void batch_records_close(struct batch_records *it)
{
        batch_feed_close(&it->feed);
        it->left = 0;
}

/* Bytes with a length before them, -1 being null. Other negative lengths latch a failure. */
static struct span take_sized(struct cursor *c)
{
        int32_t len = batch_varint(c);
        const uint8_t *p;

        if (len == -1)
                return SPAN_NULL;
        if (len < 0)
                cursor_fail(c);
        p = cursor_take(c, (size_t)MAX2(len, 0));
        return p ? span_of(p, (size_t)len) : SPAN_NULL;
}

static void take_headers(struct cursor *c, struct batch_record *rec)
{
        rec->headers_count = (int32_t)cursor_array_fits(c, batch_varint(c), 2);
        rec->headers.data = c->at;
        for (int32_t i = 0; i < rec->headers_count && cursor_ok(c); i++) {
                if (!take_sized(c).data)
                        cursor_fail(c);
                (void)take_sized(c);
        }
        rec->headers.len = (size_t)(c->at - rec->headers.data);
}

/* The body of one record. */
static int record_parse(struct batch_records *it, struct cursor c, struct batch_record *ret)
{
        struct batch_feed *f = &it->feed;
        struct batch_record rec;
        int64_t timestamp_delta;
        int32_t offset_delta;

        (void)cursor_u8(&c); /* attributes of records are not used */
        timestamp_delta = batch_varlong(&c);
        offset_delta = batch_varint(&c);
        rec.key = take_sized(&c);
        rec.value = take_sized(&c);
        take_headers(&c, &rec);
        if (!cursor_ok(&c) || cursor_left(&c))
                return batch_feed_fail(f, "a record's length does not match its contents");
        if (offset_delta <= it->last_delta || offset_delta > it->header.last_offset_delta)
                return batch_feed_fail(f, "the offset deltas of the records are not in order");
        rec.timestamp = batch_record_time(&it->header, timestamp_delta);
        rec.offset = (int64_t)((uint64_t)it->header.base_offset + (uint64_t)offset_delta);
        it->last_delta = offset_delta;
        *ret = rec;
        return 0;
}

int batch_records_next(struct batch_records *it, struct batch_record *ret_record)
{
        struct batch_feed *f = &it->feed;
        struct cursor c;
        const uint8_t *body;
        int32_t len;
        size_t len_len;
        int r;

        if (it->left == 0) {
                r = batch_feed_end(f);
                return r ? r : BATCH_END;
        }
        r = batch_feed_need(f, RECORD_LEN_LEN_MAX);
        if (r)
                return r;
        c = (struct cursor){ f->at, f->end, false };
        len = batch_varint(&c);
        if (!cursor_ok(&c) || len < 0)
                return batch_feed_fail(f, "a record's length is malformed or missing");
        len_len = (size_t)(c.at - f->at);
        r = batch_feed_need(f, len_len + (size_t)len);
        if (r)
                return r;
        body = f->at + len_len;
        if ((size_t)(f->end - body) < (size_t)len)
                return batch_feed_fail(f, "a record runs past the end of the batch");
        r = record_parse(it, cursor_of(span_of(body, (size_t)len)), ret_record);
        if (r)
                return r;
        f->at = body + len;
        it->left--;
        return 0;
}

bool batch_record_header_next(struct span *headers, struct batch_record_header *ret_header)
{
        struct cursor c = cursor_of(*headers);

        if (headers->len == 0)
                return false;
        ret_header->key = take_sized(&c);
        ret_header->value = take_sized(&c);
        *headers = span_of(c.at, cursor_left(&c));
        return cursor_ok(&c);
}

/* ---- by time ---- */

struct search {
        int64_t timestamp;
        int64_t from_offset;
        bool for_max; /* the largest instead of the first that reaches @timestamp */
};

static int search_records(struct batch_feed *f, const struct batch_header *h, const struct search *s,
                          struct batch_found *ret)
{
        bool found = false;
        struct batch_found best = { 0 };

        for (int32_t i = 0; i < h->records_count; i++) {
                struct batch_walk_record rec = { 0 };
                struct batch_found at;
                int r = batch_walk_next(f, &rec);

                if (r)
                        return r;
                if (rec.offset_delta < 0)
                        return batch_feed_fail(f, "a record has a negative offset delta");
                at.timestamp = batch_record_time(h, rec.timestamp_delta);
                at.offset = (int64_t)((uint64_t)h->base_offset + (uint64_t)rec.offset_delta);
                if (at.offset < s->from_offset || at.timestamp < s->timestamp)
                        continue;
                if (found && at.timestamp <= best.timestamp)
                        continue;
                best = at;
                found = true;
                if (!s->for_max)
                        break;
        }
        if (!found)
                return BATCH_END;
        *ret = best;
        return 0;
}

static int search(struct span batch, const struct search *s, struct batch_found *ret)
{
        struct batch_records it;
        int r = batch_records_open(&it, batch, 0);

        if (r)
                return r;
        /* The header's maximum is what a broker has written or mended, so it may be believed. */
        r = it.header.max_timestamp < s->timestamp ? BATCH_END : search_records(&it.feed, &it.header, s, ret);
        batch_records_close(&it);
        return r;
}

int batch_find_timestamp(struct span batch, int64_t timestamp, int64_t from_offset, struct batch_found *ret_found)
{
        return search(batch, &(struct search){ timestamp, from_offset, false }, ret_found);
}

int batch_find_max_timestamp(struct span batch, int64_t from_offset, struct batch_found *ret_found)
{
        return search(batch, &(struct search){ INT64_MIN, from_offset, true }, ret_found);
}
