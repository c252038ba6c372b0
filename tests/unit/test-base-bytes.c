/* Goal: cursor, writer, arena, strbuf, uuid and budget keep their promises at the borders. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "base/uuid.h"
#include "base/writer.h"
#include "unit.h"

static void test_cursor_latches(void)
{
        const uint8_t bytes[] = { 1, 2, 3 };
        struct cursor c = cursor_of(span_of(bytes, 3));

        CU_ASSERT_EQUAL(cursor_be16(&c), 0x0102);
        CU_ASSERT_EQUAL(cursor_be16(&c), 0); /* one byte short */
        CU_ASSERT_FALSE(cursor_ok(&c));
        CU_ASSERT_EQUAL(cursor_u8(&c), 0); /* stays failed although a byte is left */
        CU_ASSERT_EQUAL(cursor_left(&c), 0);
}

static void test_array_fits(void)
{
        const uint8_t bytes[8] = { 0 };
        struct cursor c = cursor_of(span_of(bytes, 8));

        CU_ASSERT_EQUAL(cursor_array_fits(&c, 4, 2), 4);
        CU_ASSERT(cursor_ok(&c));
        CU_ASSERT_EQUAL(cursor_array_fits(&c, 5, 2), 0);
        CU_ASSERT_FALSE(cursor_ok(&c));
        c = cursor_of(span_of(bytes, 8));
        cursor_array_fits(&c, -1, 1);
        CU_ASSERT_FALSE(cursor_ok(&c));
}

static void varint_round_trip(int64_t v)
{
        uint8_t buf[10];
        struct writer w = writer_of(buf, sizeof buf);
        struct cursor c;

        writer_varlong(&w, v);
        CU_ASSERT_EQUAL(writer_pos(&w), varlong_size(v));
        c = cursor_of(span_of(buf, writer_pos(&w)));
        CU_ASSERT_EQUAL(cursor_varlong(&c), v);
        CU_ASSERT(cursor_ok(&c) && cursor_left(&c) == 0);
        if (v < INT32_MIN || v > INT32_MAX)
                return;
        w = writer_of(buf, sizeof buf);
        writer_varint(&w, (int32_t)v);
        CU_ASSERT_EQUAL(writer_pos(&w), varint_size((int32_t)v));
        c = cursor_of(span_of(buf, writer_pos(&w)));
        CU_ASSERT_EQUAL(cursor_varint(&c), (int32_t)v);
}

static void test_varints(void)
{
        const uint8_t too_long[] = { 0xff, 0xff, 0xff, 0xff, 0x1f };
        struct cursor c = cursor_of(span_of(too_long, 5));

        for (int shift = 0; shift < 64; shift++)
                for (int d = -1; d <= 1; d++) {
                        varint_round_trip((int64_t)(1ull << shift) + d);
                        varint_round_trip(-((int64_t)(1ull << (shift % 63)) + d));
                }
        cursor_uvarint(&c);
        CU_ASSERT_FALSE(cursor_ok(&c));
}

static void test_arena_limit(void)
{
        struct arena a;

        arena_init(&a, 4096);
        CU_ASSERT_PTR_NULL(arena_alloc(&a, 4097));
        CU_ASSERT_PTR_NULL(arena_alloc_array(&a, SIZE_MAX / 2, 4));
        for (int i = 0; i < 256; i++)
                CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 16));
        CU_ASSERT_PTR_NULL(arena_alloc(&a, 1));
        arena_fini(&a);
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 0));
        CU_ASSERT(str_equal_c(arena_printf(&a, "%d-%s", 7, "x"), "7-x"));
        arena_fini(&a);
}

static void test_uuid_text(void)
{
        struct uuid u, v;
        char text[UUID_TEXT_SIZE];

        for (int i = 0; i < 16; i++)
                u.b[i] = (uint8_t)(i * 17);
        uuid_format(u, text);
        CU_ASSERT_STRING_EQUAL(text, "ABEiM0RVZneImaq7zN3u_w");
        CU_ASSERT_EQUAL(uuid_parse(str_of(text), &v), 0);
        CU_ASSERT(uuid_equal(u, v));
        CU_ASSERT_EQUAL(uuid_parse(STR_LIT("ABEiM0RVZneImaq7zN3u_x"), &v), -EINVAL);
        CU_ASSERT_EQUAL(uuid_parse(STR_LIT("short"), &v), -EINVAL);
        CU_ASSERT_EQUAL(uuid_parse(STR_LIT("ABEiM0RVZneImaq7zN3u+w"), &v), -EINVAL);
}

static void test_budget(void)
{
        struct budget b;

        budget_init(&b, 100);
        CU_ASSERT(budget_try_take(&b, 60));
        CU_ASSERT_FALSE(budget_try_take(&b, 41));
        CU_ASSERT(budget_try_take(&b, 40));
        budget_give(&b, 100);
        CU_ASSERT(budget_try_take(&b, 1000)); /* alone */
        CU_ASSERT_FALSE(budget_try_take(&b, 1));
}

static void test_strbuf(void)
{
        struct strbuf b = { 0 };
        char *s;

        for (int i = 0; i < 100; i++)
                strbuf_printf(&b, "%d,", i);
        CU_ASSERT_EQUAL(b.len, 290);
        s = strbuf_take(&b);
        CU_ASSERT_EQUAL(strlen(s), 290);
        free(s);
        CU_ASSERT_PTR_NULL(b.data);
}

struct item {
        int v;
        struct ilist link;
};

static void test_list(void)
{
        struct ilist l, m;
        struct item items[4];
        int sum = 0;

        ilist_init(&l);
        ilist_init(&m);
        for (int i = 0; i < 4; i++) {
                items[i].v = i + 1;
                ilist_push_back(i < 2 ? &l : &m, &items[i].link);
        }
        ilist_splice_back(&l, &m);
        CU_ASSERT(ilist_is_empty(&m));
        ilist_for_each (it, &l, struct item, link) {
                sum = sum * 10 + it->v;
                ilist_unlink(&it->link);
        }
        CU_ASSERT_EQUAL(sum, 1234);
        CU_ASSERT(ilist_is_empty(&l));
}

/* Arenas that share: what is beyond the free part of each counts, and comes back. */
static void test_arena_shared(void)
{
        struct arena a, b;
        struct budget all;

        budget_init(&all, 100000);
        arena_init_shared(&a, 0, &all, 4096);
        arena_init_shared(&b, 0, &all, 4096);
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 1000));
        CU_ASSERT_EQUAL(atomic_load(&all.used), 0);
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 60000));
        CU_ASSERT(atomic_load(&all.used) >= 60000);
        CU_ASSERT_PTR_NULL(arena_alloc(&b, 60000));
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&b, 1000)); /* small ones go on */
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&b, 8000));
        CU_ASSERT_PTR_NULL(arena_alloc(&a, 200000)); /* nor does it alone have what is used: the other has a block */
        arena_fini(&b);
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 200000)); /* what is too large runs alone */
        CU_ASSERT_PTR_NULL(arena_alloc(&b, 60000));
        arena_fini(&a);
        CU_ASSERT_EQUAL(atomic_load(&all.used), 0);
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&b, 60000));
        arena_fini(&b);
        CU_ASSERT_EQUAL(atomic_load(&all.used), 0);
}

static const struct unit_case cases[] = {
        { "cursor latches the first failure", test_cursor_latches },
        { "array count is checked before memory", test_array_fits },
        { "variable-length numbers round-trip", test_varints },
        { "arena keeps its limit", test_arena_limit },
        { "uuid text form", test_uuid_text },
        { "budget refuses, oversize runs alone", test_budget },
        { "strbuf grows", test_strbuf },
        { "list splices in order", test_list },
        { "arenas that share", test_arena_shared },
};
UNIT_MAIN("base", cases)
