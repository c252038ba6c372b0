/* Goal: the bytes are Kafka's, not merely ours in both directions. Method: messages written out by hand, byte for byte,
 * for each form of the encoding: old and compact lengths, nulls, tagged fields known and unknown, headers, records that
 * lie elsewhere. Source: the protocol guide, KIP-482, KIP-511. */
#include <errno.h>

#include "unit.h"
#include "wire/messages.h"

static struct cursor cursor_on(const void *bytes, size_t len)
{
        return cursor_of(span_of(bytes, len));
}

#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ })
#define ON(bytes) cursor_on((bytes), sizeof(bytes))

static void request_header(void)
{
        const uint8_t v1[] = { 0, 18, 0, 0, 0, 0, 0, 7, 0, 3, 'r', 'd', 'k' };
        /* The client id keeps its old form when the header is flexible; then one unknown tagged field (9) of 2 bytes.
         */
        const uint8_t v2[] = { 0, 18, 0, 3, 0, 0, 0, 8, 0xff, 0xff, 1, 9, 2, 0xaa, 0xbb, 'x' };
        struct request_header h;
        struct cursor c = ON(v1);
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(request_header_decode(&h, &c, 1, &a), 0);
        CU_ASSERT_EQUAL(h.request_api_key, 18);
        CU_ASSERT_EQUAL(h.correlation_id, 7);
        CU_ASSERT(str_equal_c(h.client_id, "rdk"));
        CU_ASSERT_EQUAL(cursor_left(&c), 0);
        c = ON(v2);
        CU_ASSERT_EQUAL(request_header_decode(&h, &c, 2, &a), 0);
        CU_ASSERT_EQUAL(h.request_api_version, 3);
        CU_ASSERT(str_is_null(h.client_id));
        CU_ASSERT_EQUAL(cursor_left(&c), 1); /* what follows is the caller's */
        arena_fini(&a);
}

static void check_bytes(struct writer *w, const void *expected, size_t len)
{
        CU_ASSERT_EQUAL(writer_pos(w), len);
        if (writer_pos(w) == len)
                CU_ASSERT(!memcmp(w->start, expected, len));
}

static void api_versions(void)
{
        const uint8_t v0[] = { 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4 };
        const uint8_t v3[] = { 0, 0, 2, 0, 18, 0, 0, 0, 4, 0, 0, 0, 0, 5, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 33 };
        struct api_versions_response_api api;
        struct api_versions_response m;
        uint8_t buf[64];
        struct writer w;

        api_versions_response_init(&m);
        api_versions_response_api_init(&api);
        api.api_key = 18;
        api.max_version = 4;
        m.api_keys = &api;
        m.api_keys_count = 1;
        m.throttle_time_ms = 5;
        w = writer_of(buf, api_versions_response_size(&m, 0));
        api_versions_response_encode(&m, &w, 0);
        check_bytes(&w, v0, sizeof v0);
        m.finalized_features_epoch = 33; /* tagged: only this one differs from its default */
        w = writer_of(buf, api_versions_response_size(&m, 3));
        api_versions_response_encode(&m, &w, 3);
        check_bytes(&w, v3, sizeof v3);
}

static void tagged_struct(void)
{
        /* ProduceResponse v10: one topic "t", one partition with a current leader (tag 0: 4+4+1 bytes). */
        const uint8_t v10[] = { 2,    2,    't',  2,    0,    0,    0,    1,    0, 6, 0, 0, 0, 0, 0, 0, 0, 0,
                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0,
                                1,    0,    9,    0,    0,    0,    2,    0,    0, 0, 6, 0, 0, 0, 0, 0, 0, 0 };
        struct produce_response_partition p;
        struct produce_response_topic t;
        struct produce_response m;
        uint8_t buf[128];
        struct writer w;

        produce_response_init(&m);
        produce_response_topic_init(&t);
        produce_response_partition_init(&p);
        p.index = 1;
        p.error_code = 6;
        p.log_start_offset = 9;
        p.current_leader.leader_id = 2;
        p.current_leader.leader_epoch = 6;
        t.name = STR_LIT("t");
        t.partition_responses = &p;
        t.partition_responses_count = 1;
        m.responses = &t;
        m.responses_count = 1;
        w = writer_of(buf, produce_response_size(&m, 10));
        produce_response_encode(&m, &w, 10);
        check_bytes(&w, v10, sizeof v10);
}

static void tagged_struct_must_fill_its_length(void)
{
        /* FetchRequest v15 with ReplicaState (tag 1) whose length says 14 where the struct takes 13. */
        uint8_t v15[] = { 0, 0, 0, 1, 0, 0,  0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,  0,
                          1, 1, 1, 1, 1, 13, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 'x' };
        struct fetch_request m;
        struct cursor c = ON(v15);
        struct arena a;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(fetch_request_decode(&m, &c, 15, &a), 0);
        CU_ASSERT_EQUAL(m.replica_state.replica_id, 3);
        CU_ASSERT_EQUAL(m.replica_state.replica_epoch, 7);
        CU_ASSERT_EQUAL(cursor_left(&c), 1);
        v15[26] = 14;
        c = ON(v15);
        CU_ASSERT_EQUAL(fetch_request_decode(&m, &c, 15, &a), WIRE_E_MALFORMED);
        v15[26] = 12;
        c = ON(v15);
        CU_ASSERT_EQUAL(fetch_request_decode(&m, &c, 15, &a), WIRE_E_MALFORMED);
        arena_fini(&a);
}

static void nulls(void)
{
        const uint8_t all[] = { 0xff, 0xff, 0xff, 0xff };
        const uint8_t none[] = { 0, 0, 0, 0 };
        struct metadata_request m;
        struct arena a;
        struct cursor c = ON(all);

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(metadata_request_decode(&m, &c, 1, &a), 0);
        CU_ASSERT_EQUAL(m.topics_count, -1);
        CU_ASSERT_TRUE(m.allow_auto_topic_creation); /* absent in v1, so its default */
        c = ON(none);
        CU_ASSERT_EQUAL(metadata_request_decode(&m, &c, 1, &a), 0);
        CU_ASSERT_EQUAL(m.topics_count, 0);
        c = ON(all); /* in v0 the list cannot be null */
        CU_ASSERT_EQUAL(metadata_request_decode(&m, &c, 0, &a), WIRE_E_MALFORMED);
        arena_fini(&a);
}

static void optional_struct(void)
{
        const uint8_t null[] = { 1, 0, 0, 0, 9, 0xff, 0 };
        const uint8_t set[] = { 1, 0, 0, 0, 9, 1, 2, 't', 0, 0, 0, 4, 0, 0 };
        struct describe_topic_partitions_request m;
        struct arena a;
        struct cursor c = ON(null);

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(describe_topic_partitions_request_decode(&m, &c, 0, &a), 0);
        CU_ASSERT_PTR_NULL(m.cursor);
        c = ON(set);
        CU_ASSERT_EQUAL(describe_topic_partitions_request_decode(&m, &c, 0, &a), 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(m.cursor);
        CU_ASSERT(str_equal_c(m.cursor->topic_name, "t"));
        CU_ASSERT_EQUAL(m.cursor->partition_index, 4);
        CU_ASSERT_EQUAL(cursor_left(&c), 0);
        arena_fini(&a);
}

static void string_limits(void)
{
        /* SaslHandshake: the mechanism cannot be null. ApiVersions v3: compact strings end at 32,767 bytes too. */
        const uint8_t null[] = { 0xff, 0xff };
        const uint8_t negative[] = { 0xff, 0xfe };
        static uint8_t longest[3 + 32768 + 2] = { 0x80, 0x80, 2 }; /* length + 1 = 32768 */
        struct sasl_handshake_request h;
        struct api_versions_request v;
        struct arena a;
        struct cursor c = ON(null);

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(sasl_handshake_request_decode(&h, &c, 1, &a), WIRE_E_MALFORMED);
        c = ON(negative);
        CU_ASSERT_EQUAL(sasl_handshake_request_decode(&h, &c, 1, &a), WIRE_E_MALFORMED);
        longest[3 + 32767] = 1; /* an empty second string */
        c = ON(longest);
        CU_ASSERT_EQUAL(api_versions_request_decode(&v, &c, 3, &a), 0);
        CU_ASSERT_EQUAL(v.client_software_name.len, 32767);
        longest[0] = 0x81;
        longest[3 + 32768] = 1;
        c = ON(longest);
        CU_ASSERT_EQUAL(api_versions_request_decode(&v, &c, 3, &a), WIRE_E_MALFORMED);
        arena_fini(&a);
}

static void count_before_memory(void)
{
        /* 2^31 - 1 topics in 4 bytes: refused without a byte of memory. */
        const uint8_t many[] = { 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
        struct metadata_request m;
        struct arena a;
        struct cursor c = ON(many);

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(metadata_request_decode(&m, &c, 1, &a), WIRE_E_MALFORMED);
        CU_ASSERT_EQUAL(a.used, 0);
        arena_fini(&a);
}

static void records_elsewhere(void)
{
        struct fetch_response_partition p;
        struct fetch_response_topic t;
        struct fetch_response m;
        struct writer_ext ext[2];
        int file; /* stands for a segment */
        uint8_t buf[256];
        struct writer w;
        size_t inside;

        fetch_response_init(&m);
        fetch_response_topic_init(&t);
        fetch_response_partition_init(&p);
        p.records = (struct wire_records){ .len = 1000, .ext = &file };
        t.partitions = &p;
        t.partitions_count = 1;
        m.responses = &t;
        m.responses_count = 1;
        for (int16_t v = 4; v <= 18; v++) {
                w = writer_of(buf, fetch_response_size(&m, v));
                w.exts = ext;
                w.exts_max = 2;
                fetch_response_encode(&m, &w, v);
                CU_ASSERT_EQUAL(writer_pos(&w), fetch_response_size(&m, v));
                CU_ASSERT_EQUAL_FATAL(w.exts_count, 1);
                CU_ASSERT_EQUAL(ext[0].len, 1000);
                CU_ASSERT_PTR_EQUAL(ext[0].ref, &file);
                inside = ext[0].pos;
                if (v < 12)
                        CU_ASSERT(inside == writer_pos(&w) && !memcmp(buf + inside - 4, BYTES(0, 0, 3, 0xe8), 4))
                else /* 1001 as a varint, then three empty sections of tagged fields */
                        CU_ASSERT(inside + 3 == writer_pos(&w) && !memcmp(buf + inside - 2, BYTES(0xe9, 7), 2))
        }
}

static void null_where_none_is_allowed(void)
{
        /* A group id that nobody set is written as empty, not as null. */
        const uint8_t v0[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
        struct sync_group_request m;
        uint8_t buf[32];
        struct writer w;

        memset(&m, 0, sizeof m);
        w = writer_of(buf, sync_group_request_size(&m, 0));
        sync_group_request_encode(&m, &w, 0);
        check_bytes(&w, v0, sizeof v0);
}

static const struct unit_case cases[] = {
        { "request_header", request_header },
        { "api_versions", api_versions },
        { "tagged_struct", tagged_struct },
        { "tagged_struct_must_fill_its_length", tagged_struct_must_fill_its_length },
        { "nulls", nulls },
        { "optional_struct", optional_struct },
        { "string_limits", string_limits },
        { "count_before_memory", count_before_memory },
        { "records_elsewhere", records_elsewhere },
        { "null_where_none_is_allowed", null_where_none_is_allowed },
};
UNIT_MAIN("wire-golden", cases)
