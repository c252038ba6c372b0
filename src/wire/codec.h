/* The five record codecs of Kafka: none, gzip, snappy, lz4, zstd. Pure: bytes in, bytes or an outcome out.
 * What is accepted on decoding is what real clients send: gzip members, xerial's snappy stream (Java) as well as a raw
 * snappy block (librdkafka), lz4 frames with linked or independent blocks, zstd frames with or without content size;
 * several members or frames in a row are joined. What is written is what every consumer reads: for snappy xerial's
 * stream, for lz4 independent blocks.
 * Contexts are kept per thread and reused; they are freed at the thread's end. */
#pragma once

#include "base/macros.h"
#include "base/span.h"
#include "base/strbuf.h"

/* As in the lowest three bits of a batch's attributes. */
enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

/* Outcomes of everything here that can have one. */
enum {
        CODEC_OK,
        CODEC_E_MALFORMED, /* the bytes are not what the codec's format allows, or end too early */
        CODEC_E_TOO_LARGE, /* more decoded bytes than the caller's limit */
        CODEC_E_UNKNOWN,   /* no such codec or name */
};

#define CODEC_LEVEL_DEFAULT INT32_MIN /* the library's own default level */

struct codec_levels {
        int min, max, standard; /* as Kafka's compression.<codec>.level; all 0 for codecs without levels */
};

/* "none", "gzip", ...; "unknown" for any other number. */
const char *codec_name(int codec);

/* The codec of that name ("uncompressed", as compression.type calls it, is none too). Return: 0; CODEC_E_UNKNOWN. */
int codec_parse(struct str name, enum codec *ret_codec);

/* The levels Kafka allows; for gzip @max is passed by -1 (default) at the lower end. @codec must be a known one. */
struct codec_levels codec_levels(enum codec codec);

/* Append @in compressed to @out. @level: CODEC_LEVEL_DEFAULT or anything; out-of-range levels are clamped.
 * @in: at most INT32_MAX bytes. Return: 0; CODEC_E_UNKNOWN; -ENOMEM; -EIO when the library fails, which is a bug. */
int codec_encode(int codec, int level, struct span in, struct strbuf *out);

/* Append @in decompressed to @out. At most @len_max bytes are produced, and not much more memory than what is produced
 * is taken. Return: 0; CODEC_E_*; -ENOMEM. What was appended before a failure stays in @out and means nothing. */
int codec_decode(int codec, struct span in, size_t len_max, struct strbuf *out);

/* Decoding piece by piece in bounded memory. One thread at a time; may move between threads. */
struct codec_stream;

/* Start decoding @in, which is borrowed until close. @len_max: most bytes that all reads together may give.
 * Return: 0; CODEC_E_UNKNOWN; CODEC_E_MALFORMED; -ENOMEM. */
int codec_stream_open(int codec, struct span in, uint64_t len_max, struct codec_stream **ret_stream);

/* Read up to @size (> 0) bytes. Fewer are given only at the end; 0 means that the whole input was good and is used up.
 * Return: 0; CODEC_E_MALFORMED; CODEC_E_TOO_LARGE; -ENOMEM. After anything but 0 only close is allowed. */
int codec_stream_read(struct codec_stream *s, uint8_t *buf, size_t size, size_t *ret_len);

/* Scratch memory of at least @size bytes that lives as long as the stream (and is kept for the thread's next one).
 * Growing keeps the contents and may move them. @ret_size: how much there is. NULL when memory is out. */
uint8_t *codec_stream_buffer(struct codec_stream *s, size_t size, size_t *ret_size);

/* End and give the context back to the calling thread's store. NULL is fine. Returns NULL. */
struct codec_stream *codec_stream_close(struct codec_stream *s);

DEFINE_FREEP(struct codec_stream, codec_stream_close)

/* Free what this thread keeps for reuse. Happens by itself at the thread's end. */
void codec_thread_trim(void);
