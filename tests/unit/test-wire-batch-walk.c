/* Goal: the short way over a record accepts nothing that the careful way refuses, tells the same of it and steps as far, and
 * does nothing where it gives up.
 * Method: random records, whole and damaged, at every distance from the window's end; both ways from the same place. */
#include "wire/batch_feed.c"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { RUNS = 300000, ROOM = 40000 };

static uint8_t bytes[ROOM + 64];
static uint32_t state = 1;

static uint32_t chance(uint32_t below)
{
        state = state * 1664525 + 1013904223;
        return (state >> 8) % below;
}

static size_t put_number(uint8_t *to, int64_t value)
{
        uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
        size_t n = 0;

        for (; v >= 0x80; v >>= 7)
                to[n++] = (uint8_t)(v | 0x80);
        to[n++] = (uint8_t)v;
        return n;
}

static int64_t some_length(void)
{
        static const int64_t edges[] = { -1, 0, 1, 63, 64, 127, 128, 8191, 8192 };

        return chance(4) ? (int64_t)chance(100) - 1 : edges[chance(ARRAY_LEN(edges))];
}

static size_t put_sized(uint8_t *to)
{
        int64_t len = some_length();
        size_t n = put_number(to, len);

        return n + (size_t)MAX2(len, INT64_C(0));
}

/* A record, mostly a right one. */
static size_t put_record(uint8_t *to)
{
        uint8_t body[ROOM];
        size_t n = 1, head;

        memset(body, 'x', sizeof body);
        body[0] = (uint8_t)chance(256);
        n += put_number(body + n, chance(20) ? (int64_t)chance(300) - 100 : (int64_t)chance(1u << 24) << 16);
        n += put_number(body + n, chance(20) ? chance(9000) : INT32_MAX);
        n += put_sized(body + n);
        n += put_sized(body + n);
        n += put_number(body + n, chance(10) ? 0 : 1);
        if (body[n - 1]) {
                n += put_sized(body + n);
                n += put_sized(body + n);
        }
        head = put_number(to, (int64_t)n + (chance(20) ? 0 : (int64_t)chance(5) - 2));
        memcpy(to + head, body, n);
        return head + n;
}

static bool same(const struct batch_walk_record *a, const struct batch_walk_record *b)
{
        return a->timestamp_delta == b->timestamp_delta && a->offset_delta == b->offset_delta &&
               a->key_is_null == b->key_is_null;
}

static void test_both_ways(void)
{
        unsigned taken = 0, left = 0, wrong = 0;

        for (int i = 0; i < RUNS; i++) {
                size_t len = put_record(bytes), more = chance(60);
                struct batch_feed f = { .at = bytes, .end = bytes + len + more }, g = f;
                struct batch_walk_record a = { 0 }, b = { 0 };

                if (chance(5) == 0)
                        bytes[chance((uint32_t)MIN2(len, (size_t)20))] = (uint8_t)chance(256);
                memset(bytes + len, (int)chance(256), more);
                if (!walk_plain(&f, &a)) {
                        left++;
                        wrong += f.at != bytes;
                        continue;
                }
                taken++;
                wrong += walk_carefully(&g, &b) != 0 || !same(&a, &b) || f.at != g.at;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT(taken > RUNS / 10 && left > RUNS / 10);
}

static const struct unit_case cases[] = {
        { "the short way and the careful way", test_both_ways },
};

int main(void)
{
        return unit_run("wire/batch-walk", cases, ARRAY_LEN(cases));
}
