/* Shared by codec.c and the files of the single codecs; nobody else includes it. */
#pragma once

#include "base/err.h"
#include "wire/codec.h"

struct codec_stream {
        const struct codec_ops *ops;
        struct span in; /* what is not consumed yet */
        uint64_t len_out;
        uint64_t len_max;
        bool ended;   /* at a place where the input may end */
        bool discard; /* the context is not to be used again: too large to keep, or in a state that a reset leaves
                         behind */
        uint8_t *buffer;
        size_t buffer_size;
        void *ctx;          /* the library's context; made by the first start(), reused by later ones */
        bool ctx_large;     /* lz4: this frame makes the context large */
        uint64_t frame_len; /* zstd: what the present frame says it has, and what it gave */
        uint64_t frame_at;
        bool framed;                            /* snappy: xerial's stream, not a raw block */
        size_t block_at, block_len, block_size; /* snappy: what of the decoded block was given, decoded, allocated */
};

/* One codec. All return as codec_stream_read() does. */
struct codec_ops {
        const char *name;
        struct codec_levels levels;
        int (*start)(struct codec_stream *s);
        /* Fill @buf up to @size; fewer only at the end. */
        int (*read)(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len);
        void (*ctx_free)(void *ctx);
        int (*encode)(int level, struct span in, struct strbuf *out);
};

extern const struct codec_ops codec_ops_gzip;
extern const struct codec_ops codec_ops_snappy;
extern const struct codec_ops codec_ops_lz4;
extern const struct codec_ops codec_ops_zstd;

/* Compression contexts of the calling thread, one of each library. */
struct codec_thread {
        struct codec_stream *idle[CODEC_COUNT]; /* decoders that wait for their next input */
        void *gzip_encoder;
        void *zstd_encoder;
};

/* NULL when memory is out. */
struct codec_thread *codec_thread_get(void);

void codec_gzip_encoder_free(void *ctx);
void codec_zstd_encoder_free(void *ctx);

static inline void codec_advance(struct codec_stream *s, size_t len)
{
        assert(len <= s->in.len);
        s->in.data += len;
        s->in.len -= len;
}
