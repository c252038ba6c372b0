/* Every generated message as one row, so that a test or a fuzz target can walk all of them: the functions of the
 * product behind untyped pointers, and two more that exist only here: filling a message at random and comparing two. */
#pragma once

#include "wire/types.h"

/* What random filling draws from. */
struct fill {
        uint64_t state;  /* never 0 */
        struct arena *a; /* owns all that is filled in */
        bool small;      /* short strings and arrays only */
        bool plain;      /* text of letters, no records: for readers that look inside of both */
};

struct wire_case {
        const char *name;
        const char *kind; /* request, response, header, data */
        int16_t key;      /* -1: none */
        int16_t version_min;
        int16_t version_max;
        size_t struct_size;
        int (*decode)(void *ret, struct cursor *c, int16_t version, struct arena *a);
        size_t (*size)(const void *m, int16_t version);
        void (*encode)(const void *m, struct writer *w, int16_t version);
        void (*init)(void *m);
        /* Random values in the fields that the version has, defaults in the others. */
        void (*fill)(struct fill *f, void *m, int16_t version);
        bool (*same)(const void *a, const void *b);
};

extern const struct wire_case wire_cases[];
extern const size_t wire_cases_count;

struct fill fill_of(uint64_t seed, struct arena *a);
uint64_t fill_u64(struct fill *f);
/* 0 to @below - 1. */
uint32_t fill_below(struct fill *f, uint32_t below);
bool fill_bool(struct fill *f);
double fill_float64(struct fill *f);
struct uuid fill_uuid(struct fill *f);
struct str fill_string(struct fill *f, bool nullable);
struct span fill_bytes(struct fill *f, bool nullable);
struct wire_records fill_records(struct fill *f, bool nullable);
/* How many elements; -1 only when @nullable. */
int32_t fill_count(struct fill *f, bool nullable);
/* Zeroed memory; ends the program when there is none. NULL for @count below 1. */
void *fill_alloc(struct fill *f, int32_t count, size_t size);
bool records_same(const struct wire_records *a, const struct wire_records *b);
