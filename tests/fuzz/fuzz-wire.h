/* What the two wire targets share. An input is a byte that says which message, a byte for its version, and the message.
 * Messages with an API key go by it, the others by 200 and their place among those without one. */
#pragma once

#include "case.h"

#define FUZZ_WIRE_KEYLESS 200
#define FUZZ_WIRE_MEMORY_MAX (1 << 20)

static inline int fuzz_wire_is(const struct wire_case *c, bool request)
{
        return (!strcmp(c->kind, "request") || !strcmp(c->kind, "header")) == request;
}

/* The byte that says which message. */
static inline uint8_t fuzz_wire_selector(const struct wire_case *c)
{
        uint8_t keyless = 0;

        if (c->key >= 0)
                return (uint8_t)c->key;
        for (const struct wire_case *at = wire_cases; at < c; at++)
                keyless += at->key < 0;
        return (uint8_t)(FUZZ_WIRE_KEYLESS + keyless);
}

static inline const struct wire_case *fuzz_wire_find(uint8_t selector, bool request)
{
        for (size_t i = 0; i < wire_cases_count; i++)
                if (fuzz_wire_is(&wire_cases[i], request) && fuzz_wire_selector(&wire_cases[i]) == selector)
                        return &wire_cases[i];
        return NULL;
}

/* What decodes can be encoded, in exactly the size that was said, and comes back the same. */
static inline void fuzz_wire_again(const struct wire_case *c, const void *m, int16_t version)
{
        size_t len = c->size(m, version);
        uint8_t *bytes = malloc(len ? len : 1);
        void *back = calloc(1, c->struct_size);
        struct writer w = writer_of(bytes, len);
        struct cursor at = cursor_of((struct span){ bytes, len });
        struct arena a;

        arena_init(&a, 0);
        c->encode(m, &w, version);
        assert(writer_pos(&w) == len);
        assert(c->decode(back, &at, version, &a) == 0);
        assert(cursor_left(&at) == 0);
        assert(c->same(m, back));
        arena_fini(&a);
        free(back);
        free(bytes);
}

static inline int fuzz_wire(const uint8_t *data, size_t size, bool request)
{
        const struct wire_case *c = size < 2 ? NULL : fuzz_wire_find(data[0], request);
        struct cursor at;
        struct arena a;
        void *m;

        if (!c)
                return 0;
        at = cursor_of((struct span){ data + 2, size - 2 });
        m = calloc(1, c->struct_size);
        arena_init(&a, FUZZ_WIRE_MEMORY_MAX);
        if (c->decode(m, &at, (int8_t)data[1], &a) == 0)
                fuzz_wire_again(c, m, (int8_t)data[1]);
        assert(a.used <= FUZZ_WIRE_MEMORY_MAX);
        arena_fini(&a);
        free(m);
        return 0;
}
