/* Compressed bytes of any codec (first byte) through the one-shot and the streaming decoder, which must agree; what
 * decodes is compressed again and must come back. */
#include <assert.h>
#include <string.h>

#include "wire/codec.h"

enum { LEN_MAX = 1 << 20, STEP_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In pieces of @step bytes, against what came in one go. */
static int stream_compare(int codec, struct span in, size_t step, const struct strbuf *whole)
{
        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;
        uint8_t buf[STEP_MAX];
        size_t at = 0, len;
        int r = codec_stream_open(codec, in, LEN_MAX, &s);

        while (r == 0) {
                r = codec_stream_read(s, buf, step, &len);
                if (r || len == 0)
                        break;
                if (whole) {
                        assert(at + len <= whole->len && !memcmp(buf, whole->data + at, len));
                        at += len;
                }
        }
        assert(r || !whole || at == whole->len);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(strbuf_finip) struct strbuf plain = { 0 }, packed = { 0 }, again = { 0 };
        struct span in;
        size_t step;
        int codec, r, streamed;

        if (size < 2)
                return 0;
        codec = data[0] % CODEC_COUNT;
        step = data[1] ? (size_t)data[1] * 16 : 1;
        in = span_of(data + 2, size - 2);
        r = codec_decode(codec, in, LEN_MAX, &plain);
        streamed = stream_compare(codec, in, step, r ? NULL : &plain);
        assert((r == 0) == (streamed == 0));
        if (r)
                return 0;
        assert(plain.len <= LEN_MAX);
        r = codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(plain.data, plain.len), &packed);
        assert(r == 0);
        r = codec_decode(codec, span_of(packed.data, packed.len), plain.len, &again);
        assert(r == 0 && again.len == plain.len && !memcmp(again.data, plain.data, plain.len));
        return 0;
}
