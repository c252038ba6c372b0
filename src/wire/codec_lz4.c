/* lz4 frames by lz4frame. Reading takes whatever the frame format allows; frames in a row are joined. Writing keeps to
 * what Java's consumer reads: independent blocks of 64 KiB (KIP-57 and KafkaLZ4BlockInputStream refuse linked ones). */
#include <lz4frame.h>
#include <lz4hc.h>

#include "wire/codec_priv.h"

enum {
        FRAME_BD_AT = 5,      /* the block descriptor: bits 4-6 tell the largest block (lz4_Frame_format.md) */
        KAFKA_LEVEL_MAX = 17, /* Java's scale; the library stops at LZ4HC_CLEVEL_MAX and clamps */
        KAFKA_LEVEL_DEFAULT = 9,
};

static int lz4_start(struct codec_stream *s)
{
        LZ4F_dctx *ctx = s->ctx;

        /* Frames with blocks of 1 or 4 MiB make the library take as much; it is given back afterwards. */
        s->ctx_large = s->in.len > FRAME_BD_AT && (s->in.data[FRAME_BD_AT] >> 4 & 7) >= LZ4F_max1MB;
        if (ctx) {
                LZ4F_resetDecompressionContext(ctx);
        } else {
                if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
                        return -ENOMEM;
                s->ctx = ctx;
        }
        /* A frame that was left before its end would make the next one fail: LZ4F_resetDecompressionContext() of 1.9.4
         * keeps the count of bytes that were still to come when the frame told its content size. */
        s->discard = true;
        return 0;
}

static int lz4_error(size_t code)
{
        return !strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") ? -ENOMEM : CODEC_E_MALFORMED;
}

static int lz4_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        size_t len = 0;

        while (len < size && !(s->ended && s->in.len == 0)) {
                size_t out_len = size - len, in_len = s->in.len;
                size_t r = LZ4F_decompress(s->ctx, buf + len, &out_len, s->in.data, &in_len, NULL);

                if (LZ4F_isError(r))
                        return lz4_error(r);
                if (r != 0 && out_len == 0 && in_len == 0)
                        return CODEC_E_MALFORMED; /* wants more input than there is */
                len += out_len;
                codec_advance(s, in_len);
                s->ended = r == 0;
        }
        if (s->ended && s->in.len == 0)
                s->discard = s->ctx_large;
        *ret_len = len;
        return 0;
}

static void lz4_ctx_free(void *ctx)
{
        (void)LZ4F_freeDecompressionContext(ctx); /* tells only the state it was in */
}

static int lz4_encode(int level, struct span in, struct strbuf *out)
{
        LZ4F_preferences_t prefs = {
                .frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
                .compressionLevel = level == CODEC_LEVEL_DEFAULT ? 0 : MIN2(level, LZ4HC_CLEVEL_MAX),
        };
        size_t bound = LZ4F_compressFrameBound(in.len, &prefs), len;
        char *p = strbuf_reserve(out, bound);

        if (!p)
                return -ENOMEM;
        len = LZ4F_compressFrame(p, bound, in.len ? in.data : (const uint8_t *)"", in.len, &prefs);
        if (LZ4F_isError(len))
                return lz4_error(len) == -ENOMEM ? -ENOMEM : -EIO;
        out->len += len;
        return 0;
}

const struct codec_ops codec_ops_lz4 = {
        .name = "lz4",
        .levels = { .min = 1, .max = KAFKA_LEVEL_MAX, .standard = KAFKA_LEVEL_DEFAULT },
        .start = lz4_start,
        .read = lz4_read,
        .ctx_free = lz4_ctx_free,
        .encode = lz4_encode,
};
