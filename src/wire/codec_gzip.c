/* gzip (RFC 1952) by zlib. Members in a row are joined, as Java's GZIPInputStream does; other bytes after the last
 * member are refused. */
#include <zlib.h>

#include "wire/codec_priv.h"

enum {
        GZIP_ONLY = 16, /* added to the window bits: gzip header and trailer, no zlib or raw streams (zlib.h) */
        MEM_LEVEL = 8,  /* zlib's own default */
        KAFKA_LEVEL_DEFAULT = Z_DEFAULT_COMPRESSION,
};

static int gzip_start(struct codec_stream *s)
{
        z_stream *z = s->ctx;

        if (!z) {
                z = calloc(1, sizeof *z);
                if (!z)
                        return -ENOMEM;
                if (inflateInit2(z, MAX_WBITS + GZIP_ONLY) != Z_OK) {
                        free(z);
                        return -ENOMEM;
                }
                s->ctx = z;
        } else {
                (void)inflateReset(z); /* fails for a broken state only, which an opened stream cannot have */
        }
        return 0;
}

/* One turn of the library; sets s->ended at the end of a member. */
static int gzip_step(struct codec_stream *s, z_stream *z)
{
        int r;

        if (s->ended)
                (void)inflateReset(z); /* another member follows */
        s->ended = false;
        z->next_in = (z_const Bytef *)s->in.data;
        z->avail_in = (uInt)s->in.len;
        r = inflate(z, Z_NO_FLUSH);
        codec_advance(s, s->in.len - z->avail_in);
        if (r == Z_MEM_ERROR)
                return -ENOMEM;
        if (r == Z_STREAM_END)
                s->ended = true;
        else if (r != Z_OK)
                return CODEC_E_MALFORMED; /* also Z_BUF_ERROR: the input ends inside a member */
        return 0;
}

static int gzip_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        z_stream *z = s->ctx;

        size = MIN2(size, (size_t)UINT32_MAX);
        z->next_out = buf;
        z->avail_out = (uInt)size;
        while (z->avail_out > 0 && !(s->ended && s->in.len == 0)) {
                int r = gzip_step(s, z);

                if (r)
                        return r;
        }
        *ret_len = size - z->avail_out;
        return 0;
}

static void gzip_ctx_free(void *ctx)
{
        (void)inflateEnd(ctx); /* tells only whether input was left */
        free(ctx);
}

/* The thread's compressor, set to @level and ready for a new member. NULL when memory is out. */
static z_stream *gzip_encoder(int level)
{
        struct codec_thread *t = codec_thread_get();
        z_stream *z = t ? t->gzip_encoder : NULL;

        if (!t)
                return NULL;
        if (z) {
                if (deflateReset(z) == Z_OK && deflateParams(z, level, Z_DEFAULT_STRATEGY) == Z_OK)
                        return z;
                codec_gzip_encoder_free(TAKE_PTR(t->gzip_encoder));
        }
        z = calloc(1, sizeof *z);
        if (!z)
                return NULL;
        if (deflateInit2(z, level, Z_DEFLATED, MAX_WBITS + GZIP_ONLY, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
                free(z);
                return NULL;
        }
        t->gzip_encoder = z;
        return z;
}

void codec_gzip_encoder_free(void *ctx)
{
        if (!ctx)
                return;
        (void)deflateEnd(ctx); /* tells only whether output was left */
        free(ctx);
}

static int gzip_encode(int level, struct span in, struct strbuf *out)
{
        z_stream *z = gzip_encoder(level == CODEC_LEVEL_DEFAULT || level == 0 ? KAFKA_LEVEL_DEFAULT : level);
        size_t bound;
        char *p;

        if (!z)
                return -ENOMEM;
        bound = deflateBound(z, in.len);
        p = strbuf_reserve(out, bound);
        if (!p)
                return -ENOMEM;
        z->next_in = (z_const Bytef *)(in.len ? in.data : (const uint8_t *)"");
        z->avail_in = (uInt)in.len;
        z->next_out = (Bytef *)p;
        z->avail_out = (uInt)bound;
        if (deflate(z, Z_FINISH) != Z_STREAM_END)
                return -EIO;
        out->len += bound - z->avail_out;
        return 0;
}

const struct codec_ops codec_ops_gzip = {
        .name = "gzip",
        .levels = { .min = Z_DEFAULT_COMPRESSION, .max = Z_BEST_COMPRESSION, .standard = KAFKA_LEVEL_DEFAULT },
        .start = gzip_start,
        .read = gzip_read,
        .ctx_free = gzip_ctx_free,
        .encode = gzip_encode,
};
