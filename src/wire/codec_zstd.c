/* zstd frames (RFC 8878) by libzstd. Frames in a row are joined. */
#include <zstd.h>
#include <zstd_errors.h>

#include "wire/codec_priv.h"

enum {
        /* Java's producer at level 22 announces a window of 128 MiB whatever it sends. The memory behind it is touched
         * only as far as bytes are decoded, which the caller's limit bounds. */
        WINDOW_LOG_MAX = 27,
        CONTEXT_KEEP_LEN_MAX = 4 << 20, /* fits the 2 MiB window of the default level */
        LEVEL_MIN = -131072,
        LEVEL_MAX = 22,
        LEVEL_DEFAULT = 3,
};

/* At a frame's start: what it says it has. The decoder compares only as long as there are blocks to decode. */
static void frame_begin(struct codec_stream *s)
{
        unsigned long long len = ZSTD_getFrameContentSize(s->in.data, s->in.len);

        s->frame_len = len == ZSTD_CONTENTSIZE_ERROR ? ZSTD_CONTENTSIZE_UNKNOWN : len; /* the decoder will tell */
        s->frame_at = 0;
}

static int zstd_start(struct codec_stream *s)
{
        frame_begin(s);
        s->discard = true; /* until the end is seen: a broken frame may have made it take a window of 128 MiB */
        if (s->ctx) {
                (void)ZSTD_DCtx_reset(s->ctx, ZSTD_reset_session_only); /* cannot fail for a session */
                return 0;
        }
        s->ctx = ZSTD_createDCtx();
        if (!s->ctx)
                return -ENOMEM;
        (void)ZSTD_DCtx_setParameter(s->ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX); /* in range by definition */
        return 0;
}

static int zstd_error(size_t code)
{
        return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : CODEC_E_MALFORMED;
}

/* One turn of the library; sets s->ended at the end of a frame. */
static int zstd_step(struct codec_stream *s, ZSTD_outBuffer *out)
{
        ZSTD_inBuffer in = { s->in.data, s->in.len, 0 };
        size_t before = out->pos, r;

        if (s->ended)
                frame_begin(s);
        r = ZSTD_decompressStream(s->ctx, out, &in);
        if (ZSTD_isError(r))
                return zstd_error(r);
        if (r != 0 && in.pos == 0 && out->pos == before)
                return CODEC_E_MALFORMED; /* wants more input than there is */
        codec_advance(s, in.pos);
        s->frame_at += out->pos - before;
        s->ended = r == 0;
        if (s->ended && s->frame_len != ZSTD_CONTENTSIZE_UNKNOWN && s->frame_at != s->frame_len)
                return CODEC_E_MALFORMED;
        return 0;
}

static int zstd_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        ZSTD_outBuffer out = { buf, size, 0 };

        while (out.pos < size && !(s->ended && s->in.len == 0)) {
                int r = zstd_step(s, &out);

                if (r)
                        return r;
        }
        if (s->ended && s->in.len == 0)
                s->discard = ZSTD_sizeof_DCtx(s->ctx) > CONTEXT_KEEP_LEN_MAX;
        *ret_len = out.pos;
        return 0;
}

static void zstd_ctx_free(void *ctx)
{
        (void)ZSTD_freeDCtx(ctx); /* always 0 */
}

void codec_zstd_encoder_free(void *ctx)
{
        (void)ZSTD_freeCCtx(ctx); /* always 0; NULL is fine */
}

static int zstd_encode(int level, struct span in, struct strbuf *out)
{
        struct codec_thread *t = codec_thread_get();
        size_t bound = ZSTD_compressBound(in.len), len;
        char *p = strbuf_reserve(out, bound);

        if (!t || !p)
                return -ENOMEM;
        if (!t->zstd_encoder)
                t->zstd_encoder = ZSTD_createCCtx();
        if (!t->zstd_encoder)
                return -ENOMEM;
        len = ZSTD_compressCCtx(t->zstd_encoder, p, bound, in.data, in.len,
                                level == CODEC_LEVEL_DEFAULT ? LEVEL_DEFAULT : level);
        if (ZSTD_sizeof_CCtx(t->zstd_encoder) > CONTEXT_KEEP_LEN_MAX)
                codec_zstd_encoder_free(TAKE_PTR(t->zstd_encoder));
        if (ZSTD_isError(len))
                return zstd_error(len) == -ENOMEM ? -ENOMEM : -EIO;
        out->len += len;
        return 0;
}

const struct codec_ops codec_ops_zstd = {
        .name = "zstd",
        .levels = { .min = LEVEL_MIN, .max = LEVEL_MAX, .standard = LEVEL_DEFAULT },
        .start = zstd_start,
        .read = zstd_read,
        .ctx_free = zstd_ctx_free,
        .encode = zstd_encode,
};
