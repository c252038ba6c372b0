/* Goal: for every message and version, what is encoded is decoded again, sizes are exact, and damaged bytes are refused
 * without a read past the end. Method: seeded random messages; buffers of exactly the right size, so that the address
 * sanitizer sees one byte too many. SEED=n in the environment starts elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "case.h"
#include "unit.h"

#define ROUNDS 60
#define MUTATIONS 24

struct sample {
        const struct wire_case *of;
        int16_t version;
        uint64_t seed;
        struct arena arena;
        void *message;
        uint8_t *bytes; /* exactly len, from malloc */
        size_t len;
};

static uint64_t seed_base(void)
{
        const char *s = getenv("SEED");

        return s ? strtoull(s, NULL, 0) : 1;
}

static bool complain(const struct sample *s, const char *what)
{
        fprintf(stderr, "%s version %d, seed %llu: %s\n", s->of->name, s->version, (unsigned long long)s->seed, what);
        return false;
}

static void sample_make(struct sample *s, const struct wire_case *c, int16_t version, uint64_t seed, bool small)
{
        struct fill f;
        struct writer w;

        *s = (struct sample){ .of = c, .version = version, .seed = seed };
        arena_init(&s->arena, 0);
        f = fill_of(seed, &s->arena);
        f.small = small;
        s->message = calloc(1, c->struct_size);
        c->fill(&f, s->message, version);
        s->len = c->size(s->message, version);
        s->bytes = malloc(s->len ? s->len : 1);
        w = writer_of(s->bytes, s->len);
        c->encode(s->message, &w, version);
        if (writer_pos(&w) != s->len) {
                complain(s, "size() is not what encode() wrote");
                CU_FAIL("size");
        }
}

static void sample_fini(struct sample *s)
{
        free(s->bytes);
        free(s->message);
        arena_fini(&s->arena);
}

static int decode(const struct sample *s, const uint8_t *bytes, size_t len, size_t limit, void *ret, struct arena *a,
                  size_t *ret_left)
{
        struct cursor c = cursor_of((struct span){ bytes, len });
        int r;

        arena_init(a, limit);
        r = s->of->decode(ret, &c, s->version, a);
        *ret_left = cursor_left(&c);
        return r;
}

static bool comes_back(const struct sample *s)
{
        void *back = calloc(1, s->of->struct_size);
        struct arena a;
        size_t left;
        bool ok = true;

        if (decode(s, s->bytes, s->len, 0, back, &a, &left))
                ok = complain(s, "not decoded");
        else if (left)
                ok = complain(s, "bytes left over");
        else if (!s->of->same(s->message, back))
                ok = complain(s, "another message came back");
        arena_fini(&a);
        free(back);
        return ok;
}

/* Every prefix is malformed: a message says its own length, so none can end early. */
static bool prefixes_refused(const struct sample *s)
{
        void *back = calloc(1, s->of->struct_size);
        bool ok = true;

        for (size_t len = 0; len < s->len && ok; len++) {
                uint8_t *part = malloc(len ? len : 1);
                struct arena a;
                size_t left;

                memcpy(part, s->bytes, len);
                if (decode(s, part, len, 0, back, &a, &left) != WIRE_E_MALFORMED)
                        ok = complain(s, "a truncated message was not refused");
                arena_fini(&a);
                free(part);
        }
        free(back);
        return ok;
}

/* Changed bytes may decode or not; what decodes can be encoded and comes back the same. */
static bool mutation_survives(const struct sample *s, struct fill *f)
{
        uint8_t *bytes = malloc(s->len ? s->len : 1);
        struct sample again = { .of = s->of, .version = s->version, .seed = s->seed };
        size_t left;
        bool ok = true;
        int r;

        memcpy(bytes, s->bytes, s->len);
        for (uint32_t i = 0; s->len && i < 1 + fill_below(f, 3); i++)
                bytes[fill_below(f, (uint32_t)s->len)] = (uint8_t)fill_u64(f);
        again.message = calloc(1, s->of->struct_size);
        r = decode(s, bytes, s->len, 1 << 20, again.message, &again.arena, &left);
        if (r == 0) {
                struct writer w;

                again.len = again.of->size(again.message, again.version);
                again.bytes = malloc(again.len ? again.len : 1);
                w = writer_of(again.bytes, again.len);
                again.of->encode(again.message, &w, again.version);
                ok = comes_back(&again);
        } else if (r != WIRE_E_MALFORMED && r != -ENOMEM) {
                ok = complain(s, "decode() gave a result that it does not have");
        }
        sample_fini(&again);
        free(bytes);
        return ok;
}

static bool memory_is_bounded(const struct sample *s)
{
        void *back = calloc(1, s->of->struct_size);
        size_t limit = 1;
        bool ok = true;
        int r;

        do {
                struct arena a;
                size_t left;

                r = decode(s, s->bytes, s->len, limit, back, &a, &left);
                arena_fini(&a);
                if (r && r != -ENOMEM)
                        ok = complain(s, "with too little memory it says something else than -ENOMEM");
                limit += 1 + limit / 3;
        } while (ok && r == -ENOMEM && limit < 1 << 24);
        if (r)
                ok = complain(s, "never enough memory");
        free(back);
        return ok;
}

/* Runs @check on samples of every message and version; stops at the first that fails. */
static void for_all(unsigned rounds, bool small, bool (*check)(const struct sample *s))
{
        for (size_t i = 0; i < wire_cases_count; i++) {
                const struct wire_case *c = &wire_cases[i];

                for (int16_t v = c->version_min; v <= c->version_max; v++) {
                        for (unsigned round = 0; round < rounds; round++) {
                                struct sample s;
                                bool ok;

                                sample_make(&s, c, v, seed_base() + round * 1000003 + i * 1009 + (uint64_t)v, small);
                                ok = check(&s);
                                sample_fini(&s);
                                CU_ASSERT_FATAL(ok);
                        }
                }
        }
}

static void round_trip(void)
{
        CU_ASSERT(wire_cases_count > 100);
        for_all(ROUNDS, false, comes_back);
}

static void truncation(void)
{
        for_all(2, true, prefixes_refused);
}

static bool mutations_survive(const struct sample *s)
{
        struct arena none;
        struct fill f = fill_of(s->seed + 17, &none);

        for (int i = 0; i < MUTATIONS; i++)
                if (!mutation_survives(s, &f))
                        return false;
        return true;
}

static void mutation(void)
{
        for_all(1, true, mutations_survive);
}

static void memory(void)
{
        for_all(1, true, memory_is_bounded);
}

static bool other_versions_refused(const struct sample *s)
{
        struct sample other = *s;
        void *back = calloc(1, s->of->struct_size);
        struct arena a;
        size_t left;
        bool ok = true;

        other.version = (int16_t)(s->of->version_max + 1);
        ok = decode(&other, s->bytes, s->len, 0, back, &a, &left) == WIRE_E_MALFORMED;
        other.version = (int16_t)(s->of->version_min - 1);
        ok = ok && decode(&other, s->bytes, s->len, 0, back, &a, &left) == WIRE_E_MALFORMED;
        free(back);
        return ok || complain(s, "a version without a schema was decoded");
}

static void versions(void)
{
        for_all(1, true, other_versions_refused);
}

static const struct unit_case cases[] = {
        { "round_trip", round_trip }, { "truncation", truncation }, { "mutation", mutation },
        { "memory", memory },         { "versions", versions },
};
UNIT_MAIN("wire-messages", cases)
