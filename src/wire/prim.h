/* What generated code calls: the protocol's primitive types in both directions. Not for use by hand.
 * Reading latches the first failure in the cursor; writing runs twice, once to count and once to write. */
#pragma once

#include "wire/types.h"

struct wire_reader {
        struct cursor c;
        struct arena *arena;
        int16_t version;
        bool flexible;
        bool no_memory; /* the failure that is latched in @c is one of memory */
};

struct wire_out {
        struct writer *w; /* NULL: only count */
        size_t size;      /* bytes so far, without external ones */
        int16_t version;
        bool flexible;
};

typedef void wire_read_fn(struct wire_reader *r, void *ret_struct);
typedef bool wire_read_tag_fn(struct wire_reader *r, void *ret_struct, uint32_t tag);
typedef void wire_put_fn(struct wire_out *o, const void *m);
typedef void wire_put_tag_fn(struct wire_out *o, const void *m, uint32_t tag);

/* What a generated message is: its versions and its two functions. */
struct wire_codec {
        wire_read_fn *read;
        wire_put_fn *put;
        int16_t version_min;
        int16_t version_max;
        int16_t flexible_from; /* INT16_MAX: never */
};

/* What X_decode(), X_size() and X_encode() of the generated headers do, for any message by its codec (README.md). */
int wire_decode(const struct wire_codec *k, void *ret, struct cursor *c, int16_t version, struct arena *a);
size_t wire_size(const struct wire_codec *k, const void *m, int16_t version);
void wire_encode(const struct wire_codec *k, const void *m, struct writer *w, int16_t version);

/* One field of the reader's version, from its cursor. What is malformed latches there and reads as zero or null. */
bool wire_read_bool(struct wire_reader *r);
int8_t wire_read_int8(struct wire_reader *r);
int16_t wire_read_int16(struct wire_reader *r);
uint16_t wire_read_uint16(struct wire_reader *r);
int32_t wire_read_int32(struct wire_reader *r);
uint32_t wire_read_uint32(struct wire_reader *r);
int64_t wire_read_int64(struct wire_reader *r);
double wire_read_float64(struct wire_reader *r);
struct uuid wire_read_uuid(struct wire_reader *r);
struct str wire_read_string(struct wire_reader *r, bool nullable);
struct str wire_read_plain_string(struct wire_reader *r, bool nullable);
struct span wire_read_bytes(struct wire_reader *r, bool nullable);
struct wire_records wire_read_records(struct wire_reader *r, bool nullable);

/* Arrays: the elements, from the arena; *@ret_count is -1 for null. An empty array has no pointer. */
int8_t *wire_read_int8s(struct wire_reader *r, bool nullable, int32_t *ret_count);
int16_t *wire_read_int16s(struct wire_reader *r, bool nullable, int32_t *ret_count);
int32_t *wire_read_int32s(struct wire_reader *r, bool nullable, int32_t *ret_count);
int64_t *wire_read_int64s(struct wire_reader *r, bool nullable, int32_t *ret_count);
struct uuid *wire_read_uuids(struct wire_reader *r, bool nullable, int32_t *ret_count);
struct str *wire_read_strings(struct wire_reader *r, bool nullable, int32_t *ret_count);
struct span *wire_read_bytess(struct wire_reader *r, bool nullable, int32_t *ret_count);
/* @len_min: fewest bytes that an element takes, checked against what is left before memory is taken. */
void *wire_read_structs(struct wire_reader *r, bool nullable, size_t len_min, size_t elem_size, wire_read_fn *fn,
                        int32_t *ret_count);
/* A struct that may be null, from the arena. */
void *wire_read_optional(struct wire_reader *r, size_t size, wire_read_fn *fn);
/* The tagged fields at the end of a struct; nothing when the version is not flexible. @fn may be NULL. */
void wire_read_tags(struct wire_reader *r, wire_read_tag_fn *fn, void *ret_struct);

/* One field of @o's version: counted, or written, as @o was set up. */
void wire_put_bool(struct wire_out *o, bool v);
void wire_put_int8(struct wire_out *o, int8_t v);
void wire_put_int16(struct wire_out *o, int16_t v);
void wire_put_uint16(struct wire_out *o, uint16_t v);
void wire_put_int32(struct wire_out *o, int32_t v);
void wire_put_uint32(struct wire_out *o, uint32_t v);
void wire_put_int64(struct wire_out *o, int64_t v);
void wire_put_float64(struct wire_out *o, double v);
void wire_put_uuid(struct wire_out *o, struct uuid v);
/* Null where the version does not allow it is written as empty. */
void wire_put_string(struct wire_out *o, struct str v, bool nullable);
void wire_put_plain_string(struct wire_out *o, struct str v, bool nullable);
void wire_put_bytes(struct wire_out *o, struct span v, bool nullable);
void wire_put_records(struct wire_out *o, const struct wire_records *v, bool nullable);
void wire_put_int8s(struct wire_out *o, const int8_t *v, int32_t count, bool nullable);
void wire_put_int16s(struct wire_out *o, const int16_t *v, int32_t count, bool nullable);
void wire_put_int32s(struct wire_out *o, const int32_t *v, int32_t count, bool nullable);
void wire_put_int64s(struct wire_out *o, const int64_t *v, int32_t count, bool nullable);
void wire_put_uuids(struct wire_out *o, const struct uuid *v, int32_t count, bool nullable);
void wire_put_strings(struct wire_out *o, const struct str *v, int32_t count, bool nullable);
void wire_put_bytess(struct wire_out *o, const struct span *v, int32_t count, bool nullable);
void wire_put_structs(struct wire_out *o, const void *v, int32_t count, bool nullable, size_t elem_size,
                      wire_put_fn *fn);
void wire_put_optional(struct wire_out *o, const void *m, wire_put_fn *fn);
/* The number of tagged fields that follow, each by wire_put_tag() in ascending order; nothing when not flexible. */
void wire_put_tag_count(struct wire_out *o, uint32_t count);
void wire_put_tag(struct wire_out *o, uint32_t tag, wire_put_tag_fn *fn, const void *m);
