/* snappy in its two clothes. Java writes xerial's stream: a 16-byte header (8 of magic, version, lowest compatible
 * version; big-endian), then blocks of `int32 length, raw snappy`. librdkafka writes one raw block. A raw block has no
 * pieces, so it is decoded whole into memory of its own; what it may claim is checked against what its bytes can
 * possibly hold before that memory is taken. */
#include <snappy-c.h>

#include "base/bytes.h"
#include "wire/codec_priv.h"

enum {
        HEADER_LEN = 16,
        MAGIC_LEN = 8,
        VERSION = 1,
        BLOCK_LEN = 32 * 1024, /* xerial's own default: blocks of what Java writes */
        /* The best that the format can do: a copy of 64 bytes coded in 3. */
        EXPANSION_MAX = 22,
        BLOCK_KEEP_LEN_MAX = 2 << 20, /* librdkafka's batches of 1 MB fit */
};

static const uint8_t magic[MAGIC_LEN] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

/* The memory of a decoded block travels as the stream's context; its size is beside it in the stream. */
static int block_reserve(struct codec_stream *s, size_t len)
{
        uint8_t *block;

        if (len <= s->block_size)
                return 0;
        block = malloc(len); /* nothing of the old block is needed */
        if (!block)
                return -ENOMEM;
        free(s->ctx);
        s->ctx = block;
        s->block_size = len;
        return 0;
}

static bool header_is_here(struct span in)
{
        return in.len >= MAGIC_LEN && !memcmp(in.data, magic, MAGIC_LEN);
}

static int header_skip(struct codec_stream *s)
{
        if (s->in.len < HEADER_LEN || load_be32(s->in.data + MAGIC_LEN) < VERSION)
                return CODEC_E_MALFORMED;
        codec_advance(s, HEADER_LEN);
        return 0;
}

static int snappy_start(struct codec_stream *s)
{
        s->block_at = s->block_len = 0;
        s->framed = header_is_here(s->in);
        s->ended = false;
        return 0;
}

/* Take the next compressed block off the input. A null span at the end. */
static int block_next(struct codec_stream *s, struct span *ret_block)
{
        struct span block = s->in;
        int r;

        if (!s->framed) {
                if (s->ended)
                        block = SPAN_NULL;
                s->ended = true;
                s->in = SPAN_NULL;
                *ret_block = block;
                return 0;
        }
        while (header_is_here(s->in)) { /* streams joined by appending have headers in between */
                r = header_skip(s);
                if (r)
                        return r;
        }
        if (s->in.len == 0) {
                *ret_block = SPAN_NULL;
                return 0;
        }
        if (s->in.len < 4 || load_be32(s->in.data) > s->in.len - 4)
                return CODEC_E_MALFORMED;
        block = span_of(s->in.data + 4, load_be32(s->in.data));
        codec_advance(s, 4 + block.len);
        *ret_block = block;
        return 0;
}

/* Decode @block into @buf when it fits there, else into the stream's own memory.
 * @ret_len: bytes put into @buf. */
static int block_decode(struct codec_stream *s, struct span block, uint8_t *buf, size_t size, size_t *ret_len)
{
        size_t len;
        bool direct;
        int r;

        if (block.len == 0 || snappy_uncompressed_length((const char *)block.data, block.len, &len) != SNAPPY_OK ||
            len / EXPANSION_MAX > block.len)
                return CODEC_E_MALFORMED;
        if (len > s->len_max)
                return CODEC_E_TOO_LARGE;
        direct = len <= size;
        if (!direct) {
                r = block_reserve(s, len);
                if (r)
                        return r;
        }
        if (snappy_uncompress((const char *)block.data, block.len, direct ? (char *)buf : s->ctx, &len) != SNAPPY_OK)
                return CODEC_E_MALFORMED;
        s->block_at = 0;
        s->block_len = direct ? 0 : len;
        *ret_len = direct ? len : 0;
        return 0;
}

static int snappy_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        size_t len = 0, n;
        struct span block;
        int r;

        for (;;) {
                n = MIN2(s->block_len - s->block_at, size - len);
                if (n)
                        memcpy(buf + len, (uint8_t *)s->ctx + s->block_at, n);
                s->block_at += n;
                len += n;
                if (len == size)
                        break;
                r = block_next(s, &block);
                if (r)
                        return r;
                if (!block.data)
                        break;
                r = block_decode(s, block, buf + len, size - len, &n);
                if (r)
                        return r;
                len += n;
        }
        s->discard = s->block_size > BLOCK_KEEP_LEN_MAX;
        *ret_len = len;
        return 0;
}

static int snappy_encode(int level, struct span in, struct strbuf *out)
{
        size_t at = 0;

        strbuf_add(out, magic, MAGIC_LEN);
        strbuf_add(out, (const uint8_t[]){ 0, 0, 0, VERSION, 0, 0, 0, VERSION }, HEADER_LEN - MAGIC_LEN);
        while (at < in.len) {
                size_t raw_len = MIN2(in.len - at, (size_t)BLOCK_LEN), len = snappy_max_compressed_length(raw_len);
                char *p = strbuf_reserve(out, 4 + len);

                if (!p)
                        break;
                if (snappy_compress((const char *)in.data + at, raw_len, p + 4, &len) != SNAPPY_OK)
                        return -EIO;
                store_be32(p, (uint32_t)len);
                out->len += 4 + len;
                at += raw_len;
        }
        return out->failed ? -ENOMEM : 0;
}

const struct codec_ops codec_ops_snappy = {
        .name = "snappy",
        .start = snappy_start,
        .read = snappy_read,
        .ctx_free = free,
        .encode = snappy_encode,
};
