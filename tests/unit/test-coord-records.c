/* Goal: records of __consumer_offsets are Kafka's, byte for byte; places of groups are Java's; deadlines fire in order.
 * Method: bytes written by hand from Kafka's format, hashes computed by Java. */
#include <string.h>

#include "coord/place.h"
#include "coord/records.h"
#include "coord/timer.h"
#include "coord/utf16.h"
#include "unit.h"

#define BYTES(...) span_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void test_offset_key(void)
{
        struct span want = BYTES(0, 1, 0, 2, 'g', '1', 0, 1, 't', 0, 0, 0, 5), have;
        struct records_key key;
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(records_encode_offset_key(STR_LIT("g1"), STR_LIT("t"), 5, &a, &have), 0);
        CU_ASSERT(span_equal(have, want));
        CU_ASSERT_EQUAL(records_decode_key(want, &a, &key), 0);
        CU_ASSERT(key.kind == RECORDS_OFFSET && str_equal_c(key.group, "g1") && str_equal_c(key.topic, "t"));
        CU_ASSERT_EQUAL(key.partition, 5);
        arena_fini(&a);
}

static void test_offset_value(void)
{
        struct span v3 = BYTES(0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7, 0, 2, 'h', 'i', 0, 0, 1, 0, 0, 0, 0, 9);
        struct span v1 =
                BYTES(0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 'h', 'i', 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 10);
        struct span v0 = BYTES(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 'h', 'i', 0, 0, 1, 0, 0, 0, 0, 9);
        struct span v4 = BYTES(0, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7, 3, 'h', 'i', 0, 0, 1, 0, 0, 0, 0, 9, 1, 0, 16,
                               1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        struct offset_commit_value v;
        struct span have;
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(records_decode_offset(v3, &a, &v), 0);
        CU_ASSERT(v.offset == 256 && v.leader_epoch == 7 && str_equal_c(v.metadata, "hi"));
        CU_ASSERT(v.commit_timestamp == 0x10000000009 && v.expire_timestamp == -1);
        CU_ASSERT_EQUAL(records_encode_offset(&v, &a, &have), 0);
        CU_ASSERT(span_equal(have, v3));
        CU_ASSERT_EQUAL(records_decode_offset(v1, &a, &v), 0);
        CU_ASSERT(v.expire_timestamp == 0x1000000000a && v.leader_epoch == -1);
        CU_ASSERT_EQUAL(records_encode_offset(&v, &a, &have), 0);
        CU_ASSERT(span_equal(have, v1));
        CU_ASSERT_EQUAL(records_decode_offset(v0, &a, &v), 0);
        CU_ASSERT(v.offset == 256 && v.leader_epoch == -1 && v.expire_timestamp == -1);
        CU_ASSERT_EQUAL(records_decode_offset(v4, &a, &v), 0);
        CU_ASSERT(v.offset == 256 && v.leader_epoch == 7 && v.topic_id.b[15] == 16);
        arena_fini(&a);
}

static void test_group(void)
{
        struct span key = BYTES(0, 2, 0, 1, 'g'), have;
        struct span v3 = BYTES(0, 3, 0, 8, 'c', 'o', 'n', 's', 'u', 'm', 'e', 'r', 0, 0, 0, 2, 0, 5, 'r', 'a', 'n', 'g',
                               'e', 0, 1, 'm', 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1, 0, 1, 'm', 0, 2, 'i', '1', 0, 1,
                               'c', 0, 2, '/', 'h', 0, 0, 0, 60, 0, 0, 0, 10, 0, 0, 0, 2, 8, 9, 0, 0, 0, 1, 5);
        struct span empty = BYTES(0, 3, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0);
        struct group_metadata_value v;
        struct records_key k;
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(records_encode_group_key(STR_LIT("g"), &a, &have), 0);
        CU_ASSERT(span_equal(have, key));
        CU_ASSERT_EQUAL(records_decode_key(key, &a, &k), 0);
        CU_ASSERT_EQUAL(k.kind, RECORDS_GROUP);
        CU_ASSERT_EQUAL_FATAL(records_decode_group(v3, &a, &v), 0);
        CU_ASSERT(v.generation == 2 && str_equal_c(v.protocol, "range") && str_equal_c(v.leader, "m"));
        CU_ASSERT_EQUAL_FATAL(v.members_count, 1);
        CU_ASSERT(str_equal_c(v.members[0].group_instance_id, "i1") && v.members[0].session_timeout == 10);
        CU_ASSERT_EQUAL(records_encode_group(&v, &a, &have), 0);
        CU_ASSERT(span_equal(have, v3));
        CU_ASSERT_EQUAL(records_decode_group(empty, &a, &v), 0);
        CU_ASSERT(str_is_null(v.protocol) && str_is_null(v.leader) && v.members_count == 0);
        CU_ASSERT_EQUAL(records_encode_group(&v, &a, &have), 0);
        CU_ASSERT(span_equal(have, empty));
        for (size_t len = 0; len < v3.len; len++)
                CU_ASSERT_EQUAL(records_decode_group(span_of(v3.data, len), &a, &v), RECORDS_E_MALFORMED);
        arena_fini(&a);
}

static void test_foreign(void)
{
        static char text[40000];
        struct group_metadata_value g;
        struct records_key k;
        struct span have;
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(records_decode_key(BYTES(0, 15, 0, 1, 'g'), &a, &k), RECORDS_E_OTHER); /* we have another */
        CU_ASSERT_EQUAL(records_decode_key(BYTES(0), &a, &k), RECORDS_E_MALFORMED);
        CU_ASSERT_EQUAL(records_decode_key(BYTES(0, 2, 0, 9, 'g'), &a, &k), RECORDS_E_MALFORMED);
        CU_ASSERT_EQUAL(records_decode_group(BYTES(0, 99), &a, &g), RECORDS_E_OTHER);
        CU_ASSERT_EQUAL(records_encode_group_key((struct str){ text, 40000 }, &a, &have), RECORDS_E_TOO_LARGE);
        arena_fini(&a);
}

static int32_t since(const void *arg, struct uuid id, int32_t partition)
{
        (void)arg;
        CU_ASSERT_EQUAL(id.b[0], 1);
        return 10 + partition;
}

/* As Kafka lays them out. */
static void test_consumer(void)
{
        struct assignment_entry two[] = { { { { 1 } }, 3 }, { { { 1 } }, 2 } };
        struct records_current current;
        struct assignment *set, *back;
        struct records_key k;
        struct span have;
        struct arena a;
        int32_t epoch;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(records_encode_consumer_key(RECORDS_CONSUMER_GROUP, STR_LIT("g"), STR_NULL, &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 3, 0, 1, 'g')));
        CU_ASSERT_EQUAL(records_encode_consumer_key(RECORDS_CONSUMER_CURRENT, STR_LIT("g"), STR_LIT("m"), &a, &have),
                        0);
        CU_ASSERT(span_equal(have, BYTES(0, 8, 0, 1, 'g', 0, 1, 'm')));
        CU_ASSERT_EQUAL(records_decode_key(have, &a, &k), 0);
        CU_ASSERT(k.kind == RECORDS_CONSUMER_CURRENT && str_equal_c(k.group, "g") && str_equal_c(k.member, "m"));
        CU_ASSERT_EQUAL(records_encode_consumer_epoch(7, 9, &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 0, 0, 7, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9)));
        CU_ASSERT_EQUAL(records_decode_consumer_epoch(have, &a, &epoch), 0);
        CU_ASSERT_EQUAL(epoch, 7);
        CU_ASSERT_EQUAL_FATAL(assignment_new(two, 2, &set), 0);
        CU_ASSERT_EQUAL(
                records_encode_consumer_current(
                        &(struct records_current){ .epoch = 5, .previous_epoch = 4, .state = 1, .assigned = set },
                        since, NULL, &a, &have),
                0);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                         0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 9, 3, 0, 0, 0, 12, 0, 0, 0, 13, 1, 0)));
        CU_ASSERT_EQUAL(records_decode_consumer_current(have, &a, &current), 0);
        CU_ASSERT_EQUAL_FATAL(current.since_count, 2);
        CU_ASSERT(current.since[1].partition == 3 && current.since[1].epoch == 13);
        assignment_unref(current.assigned);
        /* As Kafka wrote it before KIP-1251. */
        CU_ASSERT_EQUAL(
                records_decode_consumer_current(BYTES(0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                      0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 0),
                                                &a, &current),
                0);
        CU_ASSERT_EQUAL(current.since_count, 0);
        CU_ASSERT(current.epoch == 5 && current.previous_epoch == 4 && current.state == 1 && !current.revoking);
        CU_ASSERT(assignment_equal(current.assigned, set));
        assignment_unref(current.assigned);
        CU_ASSERT_EQUAL(records_encode_consumer_target(set, &a, &have), 0);
        CU_ASSERT_EQUAL(records_decode_consumer_target(have, &a, &back), 0);
        CU_ASSERT(assignment_equal(back, set));
        assignment_unref(back);
        CU_ASSERT_EQUAL(records_decode_consumer_target(BYTES(0, 0, 9), &a, &back), RECORDS_E_MALFORMED);
        CU_ASSERT_EQUAL(records_decode_consumer_target(BYTES(0, 1), &a, &back), RECORDS_E_OTHER);
        assignment_unref(set);
        arena_fini(&a);
}

/* As Kafka lays them out; the last is ours. */
static void test_share(void)
{
        struct assignment_entry one = { { { 1 } }, 3 };
        struct share_progress_value_run run = { .first = 5, .last = 6, .state = 2, .deliveries = 1 };
        struct share_progress_value p = {
                .state_epoch = 7, .write_number = 3, .leader_epoch = 2, .start = 4, .runs = &run, .runs_count = 1
        };
        struct consumer_group_member_metadata_value m = { .client_id = STR_LIT("c"), .client_host = STR_LIT("h") };
        struct consumer_group_metadata_value g = { .epoch = 3, .metadata_hash = 9 };
        struct records_current current = { .epoch = 5, .previous_epoch = 4 };
        struct records_key k;
        struct span have;
        struct str name = STR_LIT("t");
        struct arena a;

        arena_init(&a, 0);
        m.subscribed_topic_names = &name;
        m.subscribed_topic_names_count = 1;
        for (int kind = RECORDS_SHARE_GROUP; kind <= RECORDS_SHARE_CURRENT; kind++) {
                CU_ASSERT_EQUAL(records_encode_consumer_key(kind, STR_LIT("g"), STR_LIT("m"), &a, &have), 0);
                CU_ASSERT_EQUAL(records_decode_key(have, &a, &k), 0);
                CU_ASSERT(k.kind == (enum records_kind)kind && str_equal_c(k.group, "g"));
        }
        CU_ASSERT_EQUAL(records_encode_consumer_key(RECORDS_SHARE_MEMBER, STR_LIT("g"), STR_LIT("m"), &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 10, 0, 1, 'g', 0, 1, 'm')));
        CU_ASSERT_EQUAL(records_encode_share_group(&g, &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0)));
        CU_ASSERT_EQUAL(records_decode_share_group(have, &a, &g), 0);
        CU_ASSERT(g.epoch == 3 && g.metadata_hash == 9);
        CU_ASSERT_EQUAL(records_encode_share_member(&m, &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 2, 'c', 2, 'h', 2, 2, 't', 0)));
        CU_ASSERT_EQUAL(records_decode_share_member(have, &a, &m), 0);
        CU_ASSERT(str_is_null(m.rack_id) && str_is_null(m.instance_id) && str_is_null(m.subscribed_topic_regex));
        CU_ASSERT_EQUAL_FATAL(assignment_new(&one, 1, &current.assigned), 0);
        CU_ASSERT_EQUAL(records_encode_share_current(&current, &a, &have), 0);
        assignment_unref(current.assigned);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                         0, 0, 2, 0, 0, 0, 3, 0, 0)));
        CU_ASSERT_EQUAL(records_decode_share_current(have, &a, &current), 0);
        CU_ASSERT(assignment_has(current.assigned, one.id, 3) && current.assigned->partitions_count == 1);
        assignment_unref(current.assigned);
        CU_ASSERT_EQUAL(records_encode_share_progress_key(STR_LIT("g"), one.id, 3, &a, &have), 0);
        CU_ASSERT(
                span_equal(have, BYTES(3, 232, 0, 1, 'g', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3)));
        CU_ASSERT_EQUAL(records_decode_key(have, &a, &k), 0);
        CU_ASSERT(k.kind == RECORDS_SHARE_PROGRESS && k.partition == 3 && uuid_equal(k.topic_id, one.id));
        CU_ASSERT_EQUAL(records_encode_share_progress(&p, &a, &have), 0);
        CU_ASSERT(span_equal(have, BYTES(0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4,
                                         2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 2, 0, 1, 0, 0)));
        CU_ASSERT_EQUAL(records_decode_share_progress(have, &a, &p), 0);
        CU_ASSERT(p.runs_count == 1 && p.runs[0].last == 6 && p.start == 4 && p.write_number == 3);
        CU_ASSERT_EQUAL(records_decode_share_progress(BYTES(0, 1), &a, &p), RECORDS_E_OTHER);
        CU_ASSERT_EQUAL(records_decode_share_progress(BYTES(0, 0, 1), &a, &p), RECORDS_E_MALFORMED);
        arena_fini(&a);
}

static void test_places(void)
{
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT(""), 50), 0);
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("a"), 50), 97 % 50);
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("my-group"), 50), 12);
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("console-consumer-12345"), 50), 6);
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("polygenelubricants"), 50), 0);  /* the hash is Integer.MIN_VALUE */
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("gr\xc3\xbc\xc3\x9f"), 50), 12); /* "grüß" */
        CU_ASSERT_EQUAL(coord_partition_of(STR_LIT("\xf0\x9f\x98\x80"), 50), 49);   /* U+1F600: two units */
        CU_ASSERT_EQUAL(utf16_len(STR_LIT("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80")), 5);
        CU_ASSERT_EQUAL(utf16_len(STR_LIT("\xff\xc3")), 2);
}

static void on_timer(void *arg, struct timer *t)
{
}

static void test_timers(void)
{
        struct timer t[200] = { 0 }, *due;
        struct timer_heap h;
        uint64_t rng = 1;
        int64_t now = 0;

        timer_heap_init(&h);
        CU_ASSERT_EQUAL(timer_next_ms(&h), INT64_MAX);
        for (int i = 0; i < 20000; i++) {
                struct timer *x;

                rng = rng * 6364136223846793005u + 1442695040888963407u;
                x = &t[(rng >> 33) % 200];
                x->fn = on_timer;
                if ((rng >> 20) % 5 == 0)
                        timer_unset(&h, x);
                else
                        CU_ASSERT_EQUAL_FATAL(timer_set(&h, x, now + (int64_t)((rng >> 40) % 1000)), 0);
                now += (int64_t)((rng >> 50) % 3);
                while ((due = timer_pop_due(&h, now)))
                        CU_ASSERT_FATAL(due->wanted_ms <= now && !timer_is_set(due));
                for (int k = 0; k < 200; k++)
                        CU_ASSERT_FATAL(!timer_is_set(&t[k]) ||
                                        (t[k].wanted_ms > now && timer_next_ms(&h) <= t[k].wanted_ms));
        }
        timer_heap_fini(&h);
}

static const struct unit_case cases[] = {
        { "offset key", test_offset_key },
        { "offset value", test_offset_value },
        { "group", test_group },
        { "foreign", test_foreign },
        { "consumer groups", test_consumer },
        { "places", test_places },
        { "share groups", test_share },
        { "timers", test_timers },
};

UNIT_MAIN("coord-records", cases)
