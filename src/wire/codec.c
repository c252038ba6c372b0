/* Codecs by number: names, the per-thread store of contexts, limits, one-shot forms over the streaming ones.
 * What a format looks like is in codec_<name>.c. */
#include "wire/codec.h"

#include <pthread.h>

#include "wire/codec_priv.h"

enum {
        BUFFER_KEEP_LEN_MAX = 256 * 1024, /* a larger scratch buffer is not kept for the next stream */
        DECODE_STEP_LEN = 16 * 1024,      /* least room offered to a decoder */
        DECODE_GUESS_FACTOR = 4,          /* usual ratio of text and JSON; only the first allocation depends on it */
};

static int none_start(struct codec_stream *s)
{
        return 0;
}

static int none_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        size_t len = MIN2(size, s->in.len);

        if (len)
                memcpy(buf, s->in.data, len);
        codec_advance(s, len);
        *ret_len = len;
        return 0;
}

static int none_encode(int level, struct span in, struct strbuf *out)
{
        strbuf_add(out, in.data, in.len);
        return out->failed ? -ENOMEM : 0;
}

static const struct codec_ops codec_ops_none = {
        .name = "none",
        .start = none_start,
        .read = none_read,
        .encode = none_encode,
};

static const struct codec_ops *const codecs[CODEC_COUNT] = {
        [CODEC_NONE] = &codec_ops_none, [CODEC_GZIP] = &codec_ops_gzip, [CODEC_SNAPPY] = &codec_ops_snappy,
        [CODEC_LZ4] = &codec_ops_lz4,   [CODEC_ZSTD] = &codec_ops_zstd,
};

static bool codec_is_known(int codec)
{
        return codec >= 0 && codec < CODEC_COUNT;
}

const char *codec_name(int codec)
{
        return codec_is_known(codec) ? codecs[codec]->name : "unknown";
}

int codec_parse(struct str name, enum codec *ret_codec)
{
        for (int i = 0; i < CODEC_COUNT; i++)
                if (str_equal_c(name, codecs[i]->name)) {
                        *ret_codec = (enum codec)i;
                        return 0;
                }
        if (!str_equal_c(name, "uncompressed"))
                return CODEC_E_UNKNOWN;
        *ret_codec = CODEC_NONE;
        return 0;
}

struct codec_levels codec_levels(enum codec codec)
{
        assert(codec_is_known(codec));
        return codecs[codec]->levels;
}

/* ---- contexts of one thread ---- */

static _Thread_local struct codec_thread *thread_store;
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static bool thread_key_ok;

static struct codec_stream *stream_free(struct codec_stream *s)
{
        if (!s)
                return NULL;
        if (s->ctx)
                s->ops->ctx_free(s->ctx);
        free(s->buffer);
        free(s);
        return NULL;
}

static void thread_store_free(void *arg)
{
        struct codec_thread *t = arg;

        for (int i = 0; i < CODEC_COUNT; i++)
                stream_free(t->idle[i]);
        codec_gzip_encoder_free(t->gzip_encoder);
        codec_zstd_encoder_free(t->zstd_encoder);
        free(t);
        thread_store = NULL;
}

static void thread_key_init(void)
{
        thread_key_ok = pthread_key_create(&thread_key, thread_store_free) == 0;
}

struct codec_thread *codec_thread_get(void)
{
        struct codec_thread *t = thread_store;

        if (likely(t))
                return t;
        pthread_once(&thread_once, thread_key_init);
        if (!thread_key_ok)
                return NULL;
        t = calloc(1, sizeof *t);
        if (!t)
                return NULL;
        if (pthread_setspecific(thread_key, t) != 0) {
                free(t);
                return NULL;
        }
        thread_store = t;
        return t;
}

void codec_thread_trim(void)
{
        if (!thread_store)
                return;
        (void)pthread_setspecific(thread_key, NULL); /* setting NULL over an existing value takes no memory */
        thread_store_free(thread_store);
}

/* ---- streams ---- */

int codec_stream_open(int codec, struct span in, uint64_t len_max, struct codec_stream **ret_stream)
{
        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;
        struct codec_thread *t;
        int r;

        if (!codec_is_known(codec))
                return CODEC_E_UNKNOWN;
        t = codec_thread_get();
        if (!t)
                return -ENOMEM;
        s = TAKE_PTR(t->idle[codec]);
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return -ENOMEM;
                s->ops = codecs[codec];
        }
        s->in = in;
        s->len_out = 0;
        s->len_max = len_max;
        s->ended = false;
        s->discard = false;
        r = s->ops->start(s);
        if (r)
                return err_trace(r);
        *ret_stream = TAKE_PTR(s);
        return 0;
}

int codec_stream_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len)
{
        size_t len = 0;
        int r;

        assert(size > 0);
        r = s->ops->read(s, buf, size, &len);
        if (r)
                return err_trace(r);
        assert(len <= size);
        s->len_out += len;
        if (s->len_out > s->len_max)
                return CODEC_E_TOO_LARGE;
        *ret_len = len;
        return 0;
}

uint8_t *codec_stream_buffer(struct codec_stream *s, size_t size, size_t *ret_size)
{
        if (size > s->buffer_size) {
                uint8_t *buffer = realloc(s->buffer, size);

                if (!buffer)
                        return NULL;
                s->buffer = buffer;
                s->buffer_size = size;
        }
        *ret_size = s->buffer_size;
        return s->buffer;
}

static int stream_codec(const struct codec_stream *s)
{
        int i = 0;

        while (codecs[i] != s->ops)
                i++;
        return i;
}

struct codec_stream *codec_stream_close(struct codec_stream *s)
{
        struct codec_thread *t;
        int codec;

        if (!s)
                return NULL;
        codec = stream_codec(s);
        t = codec_thread_get();
        if (!t || t->idle[codec] || s->discard)
                return stream_free(s);
        if (s->buffer_size > BUFFER_KEEP_LEN_MAX) {
                free(TAKE_PTR(s->buffer));
                s->buffer_size = 0;
        }
        s->in = SPAN_NULL;
        t->idle[codec] = s;
        return NULL;
}

/* ---- one-shot ---- */

int codec_encode(int codec, int level, struct span in, struct strbuf *out)
{
        struct codec_levels levels;

        if (!codec_is_known(codec))
                return CODEC_E_UNKNOWN;
        assert(in.len <= INT32_MAX);
        levels = codecs[codec]->levels;
        if (level != CODEC_LEVEL_DEFAULT)
                level = level < levels.min ? levels.min : MIN2(level, levels.max);
        return err_trace(codecs[codec]->encode(level, in, out));
}

int codec_decode(int codec, struct span in, size_t len_max, struct strbuf *out)
{
        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;
        size_t room, len;
        int r;

        r = codec_stream_open(codec, in, len_max, &s);
        if (r)
                return err_trace(r);
        /* One byte more than the limit, so that the last read sees the end and not a full buffer. */
        room = MAX2(in.len * DECODE_GUESS_FACTOR, (size_t)DECODE_STEP_LEN);
        room = MIN2(room, len_max) + 1;
        do {
                uint8_t *p = (uint8_t *)strbuf_reserve(out, room);

                if (!p)
                        return -ENOMEM;
                r = codec_stream_read(s, p, out->size - 1 - out->len, &len);
                if (r)
                        return err_trace(r);
                out->len += len;
                room = DECODE_STEP_LEN;
        } while (len > 0);
        out->data[out->len] = '\0';
        return 0;
}
