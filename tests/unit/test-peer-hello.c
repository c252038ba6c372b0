/* Goal: who may speak with whom is decided as README.md says, in words that name the nodes and what would be right.
 * Method: pairs of nodes that differ in one thing each. */
#include <stdio.h>

#include "peer/peer_internal.h"
#include "unit.h"

static struct peer_side us, them;
static char why[PEER_TEXT_SIZE];

static void begin(void)
{
        us = (struct peer_side){ .id = { .node = 1, .directory = { { 1 } }, .cluster_id = "one", .program = "0.1.0" },
                                 .wall_ms = 1700000000000 };
        them = us;
        them.id.node = 2;
        them.id.directory.b[0] = 2;
}

static bool judge(int32_t proven, int32_t expected)
{
        *why = '\0';
        return peer_hello_judge(&us, &them, proven, expected, 120000, why);
}

static bool refused(const char *words)
{
        if (judge(PEER_PROVEN_PLAINTEXT, -1))
                return false;
        if (!strstr(why, words))
                fprintf(stderr, "not in it: %s\n  it says: %s\n", words, why);
        return strstr(why, words);
}

static void test_accepted(void)
{
        begin();
        CU_ASSERT(judge(PEER_PROVEN_PLAINTEXT, -1));
        CU_ASSERT(judge(2, 2));
        *them.id.cluster_id = '\0'; /* not known yet, on one side or both */
        CU_ASSERT(judge(2, 2));
        *us.id.cluster_id = '\0';
        CU_ASSERT(judge(2, 2));
        memcpy(them.id.cluster_id, "two", 4);
        CU_ASSERT(judge(2, 2));
        them.id.directory = us.id.directory = UUID_ZERO; /* none yet */
        CU_ASSERT(judge(2, 2));
}

static void test_ids(void)
{
        begin();
        CU_ASSERT(!judge(3, 2));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "the certificate says node 3, its configuration node 2"));
        CU_ASSERT(!judge(PEER_PROVEN_NONE, 2));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "chronik://node/2"));
        CU_ASSERT(!judge(2, 3));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "node 3 was called, and node 2 answers"));
        them.id.node = 1;
        CU_ASSERT(refused("two nodes have the id 1"));
        begin();
        them.id.directory = us.id.directory;
        CU_ASSERT(refused("nodes 1 and 2 have the same data folder"));
        begin();
        memcpy(them.id.cluster_id, "two", 4);
        CU_ASSERT(refused("node 2 belongs to cluster two and node 1 to cluster one"));
}

static void test_clocks(void)
{
        begin();
        them.wall_ms = us.wall_ms + 120000;
        CU_ASSERT(judge(2, 2));
        them.wall_ms++;
        CU_ASSERT(refused("the clock of node 2 is 120 s ahead of that of node 1"));
        them.wall_ms = us.wall_ms - 120000;
        CU_ASSERT(judge(2, 2));
        them.wall_ms -= 60000;
        CU_ASSERT(refused("the clock of node 2 is 180 s behind that of node 1"));
        them.wall_ms = INT64_MIN;
        CU_ASSERT(refused("behind"));
        them.wall_ms = INT64_MAX;
        us.wall_ms = -1;
        CU_ASSERT(refused("ahead"));
}

static void test_protocols(void)
{
        begin();
        them.protocol_max = 5;
        CU_ASSERT(judge(2, 2));
        them.protocol_min = 1;
        CU_ASSERT(refused("node 2 (0.1.0) speaks the protocols 1 to 5 and node 1 (0.1.0) 0 to 0"));
        us.protocol_min = 6;
        us.protocol_max = 7;
        CU_ASSERT(refused("1 to 5"));
        us.protocol_min = 5;
        CU_ASSERT(judge(2, 2));
}

static void test_uris(void)
{
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/0"), 0);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/12"), 12);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/2147483647"), INT32_MAX);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/2147483648"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/99999999999999999999"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/01"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/-1"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://node/1/"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri("chronik://nodes/1"), -1);
        CU_ASSERT_EQUAL(peer_node_of_uri(""), -1);
}

/* What is written is read; text from outside is made fit to be shown. */
static void test_bytes(void)
{
        char refusal[PEER_TEXT_SIZE], text[8];
        struct peer_side side;
        struct arena arena;
        struct peer_out o;
        int32_t to;
        int lane;

        begin();
        us.id.levels_count = 2;
        us.id.levels[0] = (struct peer_level){ "chronik.version", 1, 7 };
        us.id.levels[1] = (struct peer_level){ "other", 0, 2 };
        arena_init(&arena, 0);
        CU_ASSERT_EQUAL_FATAL(peer_hello_write(&o, &us, 7, PEER_DATA), 0);
        CU_ASSERT_EQUAL(peer_hello_read(span_of(o.w.start + 8, writer_pos(&o.w) - 8), &arena, &side, &to, &lane), 0);
        CU_ASSERT(to == 7 && lane == PEER_DATA && !memcmp(&side, &us, sizeof us));
        CU_ASSERT_EQUAL(peer_hello_read(span_of(o.w.start + 8, writer_pos(&o.w) - 9), &arena, &side, &to, &lane),
                        WIRE_E_MALFORMED);
        peer_out_fini(&o);
        CU_ASSERT_EQUAL_FATAL(peer_hello_write_answer(&o, &us, "no\n"), 0);
        CU_ASSERT_EQUAL(peer_hello_read_answer(span_of(o.w.start + 8, writer_pos(&o.w) - 8), &arena, &side, refusal),
                        0);
        CU_ASSERT_STRING_EQUAL(refusal, "no?");
        CU_ASSERT(!memcmp(&side.id, &us.id, sizeof us.id));
        peer_out_fini(&o);
        arena_fini(&arena);
        peer_text_copy(text, sizeof text, STR_LIT("\x1b[2Jabcdef"));
        CU_ASSERT_STRING_EQUAL(text, "?[2Jabc");
}

static const struct unit_case cases[] = {
        { "accepted", test_accepted },   { "ids", test_ids },   { "clocks", test_clocks },
        { "protocols", test_protocols }, { "URIs", test_uris }, { "bytes", test_bytes },
};

UNIT_MAIN("peer hello", cases)
