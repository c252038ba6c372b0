/* Goal: what is asked of a controller on another node arrives as it was meant, the answer too, and nothing else is taken for one.
 * Method: every field of every kind of item gets a value of its own; what was read is compared field by field, and with the bytes
 * that it makes; then every shorter body and every body with one byte changed is read. With an argument, the bodies become files
 * in that folder: seeds for tests/fuzz. */
#include <stdio.h>
#include <stdlib.h>

#include "controller/marshal.h"
#include "unit.h"
#include "wire/types.h"

#define U(n) ((struct uuid){ { 0xa0, (n), 0x77 } })
#define S(text) STR_LIT(text)

static const char *seeds_dir;

static const int32_t nodes[] = { 7, -1, 9 };
static const struct controller_assignment assignments[] = { { 0, nodes, 3 }, { 1, nodes, 0 } };
static const struct conf_pair pairs[] = { { S("a"), S("1") }, { S("b"), STR_NULL } };
static const struct controller_config_change changes[] = { { S("x"), CONTROLLER_CONFIG_APPEND, S("1,2") },
                                                           { S("y"), CONTROLLER_CONFIG_DELETE, STR_NULL } };
static const struct controller_isr_member members[] = { { 3, 333 }, { 4, -1 } };
static struct rec_broker_endpoint endpoints[] = {
        { .listener = S("PEER"), .host = S("h"), .port = 9093, .security = 1 }
};
static struct rec_broker_feature ranges[] = { { .name = S("f"), .level_min = 1, .level_max = 2 } };
static struct uuid directories[] = { U(1), U(2) };
static const struct controller_partition lost[] = { { U(3), 4 } };

static struct controller_create_topic create_topics[] = {
        { .name = S("t"), .partitions_count = -1, .replication_factor = 3, .configs = pairs, .configs_count = 2 },
        { .name = S(""),
          .partitions_count = 2,
          .replication_factor = -1,
          .assignments = assignments,
          .assignments_count = 2 },
};
static struct controller_delete_topic delete_topics[] = { { .name = S("t") }, { .id = U(9) } };
static struct controller_create_partitions create_partitions[] = {
        { .name = S("t"), .count = 5 },
        { .name = S("u"), .count = 6, .assignments = assignments, .assignments_count = 1 },
};
static struct controller_alter_configs alter_configs[] = {
        { .type = 4, .name = S("1"), .replace = true, .changes = changes, .changes_count = 2 }
};
static struct controller_allocate_ids allocate_ids[] = { { .broker_id = 1, .broker_epoch = 1LL << 40 } };
static struct controller_register_broker register_broker[] = { { .broker = { .broker_id = 5,
                                                                             .epoch = -1,
                                                                             .incarnation = U(5),
                                                                             .fenced = true,
                                                                             .rack = S("r"),
                                                                             .endpoints = endpoints,
                                                                             .endpoints_count = 1,
                                                                             .features = ranges,
                                                                             .features_count = 1,
                                                                             .directories = directories,
                                                                             .directories_count = 2 },
                                                                 .cluster_id = S("c"),
                                                                 .previous_epoch = 77,
                                                                 .same_boot = true,
                                                                 .lost = lost,
                                                                 .lost_count = 1 } };
static struct controller_heartbeat heartbeat[] = { { .broker_id = 1,
                                                     .broker_epoch = 2,
                                                     .applied_index = 3,
                                                     .want_fence = true,
                                                     .want_shutdown = false,
                                                     .guarded = true } };
static struct controller_unregister_broker unregister_broker[] = { { .broker_id = 3 } };
static struct controller_update_feature update_features[] = {
        { .name = S("f"), .level = 4, .change = CONTROLLER_FEATURE_UNSAFE_DOWNGRADE }
};
static struct controller_report_loss report_loss[] = {
        { .broker_id = 1, .broker_epoch = 2, .topic_id = U(6), .partition = 7, .is_complete = true }
};
static struct controller_alter_partition alter_partition[] = { { .broker_id = 1,
                                                                 .broker_epoch = 2,
                                                                 .topic_id = U(7),
                                                                 .partition = 3,
                                                                 .leader_epoch = 4,
                                                                 .partition_epoch = 5,
                                                                 .recovering = true,
                                                                 .isr = members,
                                                                 .isr_count = 2 } };
static struct controller_elect_leader elect_leaders[] = {
        { .topic = S("t"), .partition = 1, .type = CONTROLLER_ELECT_UNCLEAN }
};
static struct controller_reassign reassign[] = {
        { .topic = S("t"), .partition = 2, .keep_factor = true, .replicas = nodes, .replicas_count = 3 },
        { .topic = S("u"), .partition = 3, .cancel = true }
};
static struct controller_broker_duty duty[] = { { .broker_id = 8 } };
static struct controller_guard guard[] = { { .node_id = 2, .quorum_would_be_lost = true } };
static struct controller_disruption disruption[] = { { .op = CONTROLLER_DISRUPTION_OVERRIDE,
                                                       .node_id = 3,
                                                       .who = S("me"),
                                                       .reason = S("fire"),
                                                       .ttl_ms = 60000,
                                                       .quorum_would_be_lost = true } };

static const uint8_t bytes[] = { 1, 0, 3 };
static struct controller_alter_credential credentials[] = { { .user = S("alice"),
                                                              .mechanism = 2,
                                                              .iterations = 5000,
                                                              .salt = { bytes, 3 },
                                                              .stored_key = { bytes + 1, 2 },
                                                              .server_key = { bytes, 1 },
                                                              .decoy_seed = { bytes, 2 } },
                                                            { .user = S("bob"), .mechanism = 1, .remove = true } };

static const struct controller_rotated rotated[] = {
        { .mechanism = 1,
          .iterations = 5000,
          .salt = { bytes, 3 },
          .stored_key = { bytes, 2 },
          .server_key = { bytes, 1 } },
        { .mechanism = 2,
          .iterations = 6000,
          .salt = { bytes, 1 },
          .stored_key = { bytes, 3 },
          .server_key = { bytes, 2 } },
};
static struct controller_rotate_user rotate_users[] = {
        { .user = S("alice"),
          .overlap_ms = 1LL << 31,
          .credentials = rotated,
          .credentials_count = 2,
          .until_ms = 1LL << 41 },
        { .user = S("bob"), .finish = true },
};

static const struct str renewers[] = { S("User:r1"), S("User:r2") };
static struct controller_create_token create_tokens[] = { { .id = S("id"),
                                                            .owner = S("User:alice"),
                                                            .requester = S("User:bob"),
                                                            .renewers = renewers,
                                                            .renewers_count = 2,
                                                            .lifetime_ms = 1LL << 40,
                                                            .iterations = 4096,
                                                            .digest = { bytes, 3 },
                                                            .salt = { bytes, 2 },
                                                            .sha256_stored_key = { bytes, 1 },
                                                            .sha256_server_key = { bytes + 1, 2 },
                                                            .sha512_stored_key = { bytes + 1, 1 },
                                                            .sha512_server_key = { bytes, 3 },
                                                            .issue_ms = 1,
                                                            .expiry_ms = 2,
                                                            .max_ms = 1LL << 41 } };
static struct controller_alter_token alter_tokens[] = {
        { .digest = { bytes, 3 }, .who = S("User:alice"), .period_ms = -1, .expiry_ms = 1LL << 42 }
};

static const struct controller_member quorum_members[] = {
        { .node_id = 1,
          .kind = CONTROLLER_VOTER,
          .directory = U(1),
          .address = S("h:9093"),
          .end_index = 12,
          .heard_ms = 1LL << 41,
          .caught_up_ms = -1 },
        { .node_id = 4, .kind = CONTROLLER_OBSERVER, .end_index = -1, .heard_ms = -1, .caught_up_ms = 5 },
};
static struct controller_describe_quorum describe_quorum[] = { { .leader_id = 1,
                                                                 .term = 2,
                                                                 .committed_index = 3,
                                                                 .log_first_index = 4,
                                                                 .log_bytes = 5,
                                                                 .members = quorum_members,
                                                                 .members_count = 2,
                                                                 .trouble = S("node 3: no answer") } };
static struct controller_voter_change voter_change[] = { { .node_id = 4, .directory = U(4), .address = S("h:1") },
                                                         { .node_id = 5 } };
static struct controller_create_acl create_acls[] = {
        { .entry = { 2, 4, 3, 3, S("t"), S("User:a"), S("*") } },
        { .entry = { 5, 3, 2, 2, S("x"), S("User:*"), S("::1") } },
};
static struct meta_acl_entry deleted[] = { { 2, 3, 4, 3, S("u"), S("User:b"), S("10.0.0.1") } };
static struct controller_delete_acls delete_acls[] = {
        { .filter = { 1, 2, 1, 1, S("t"), S("User:a"), STR_NULL } },
        { .filter = { 2, 3, 4, 3, STR_NULL, STR_NULL, S("*") }, .deleted = deleted, .deleted_count = 1 },
};

static const struct {
        enum controller_op op;
        void *items;
        size_t count, size;
} asks[] = {
#define ASK(op, items) \
        { \
                CONTROLLER_##op, items, ARRAY_LEN(items), sizeof items[0] \
        }
        ASK(CREATE_TOPICS, create_topics),
        ASK(DELETE_TOPICS, delete_topics),
        ASK(CREATE_PARTITIONS, create_partitions),
        ASK(ALTER_CONFIGS, alter_configs),
        ASK(ALLOCATE_IDS, allocate_ids),
        ASK(REGISTER_BROKER, register_broker),
        ASK(HEARTBEAT, heartbeat),
        ASK(UNREGISTER_BROKER, unregister_broker),
        ASK(UPDATE_FEATURES, update_features),
        ASK(REPORT_LOSS, report_loss),
        ASK(ALTER_PARTITION, alter_partition),
        ASK(ELECT_LEADERS, elect_leaders),
        ASK(ALTER_REASSIGNMENTS, reassign),
        ASK(DRAIN_BROKER, duty),
        ASK(UNDRAIN_BROKER, duty),
        ASK(DECOMMISSION_BROKER, duty),
        ASK(GUARD, guard),
        ASK(DISRUPTION, disruption),
        ASK(DESCRIBE_QUORUM, describe_quorum),
        ASK(ADD_VOTER, voter_change),
        ASK(REMOVE_VOTER, voter_change),
        ASK(TRANSFER, voter_change),
        ASK(CREATE_ACLS, create_acls),
        ASK(DELETE_ACLS, delete_acls),
        ASK(ALTER_CREDENTIALS, credentials),
        ASK(CREATE_TOKENS, create_tokens),
        ASK(RENEW_TOKENS, alter_tokens),
        ASK(EXPIRE_TOKENS, alter_tokens),
        ASK(ROTATE_USERS, rotate_users),
#undef ASK
};

struct body {
        uint8_t *at;
        size_t len;
};

static struct body body_of(const struct controller_request *rq, bool answer)
{
        size_t len = answer ? marshal_answer_size(rq, 0) : marshal_ask_size(rq, 0);
        struct body b = { malloc(len + 1), len };
        struct writer w = writer_of(b.at, len);

        if (answer)
                marshal_answer_write(rq, &w, 0);
        else
                marshal_ask_write(rq, &w, 0);
        CU_ASSERT_EQUAL(writer_pos(&w), len);
        return b;
}

static void save_seed(int n, const char *what, uint8_t first, uint8_t second, struct body b)
{
        char path[400];
        FILE *f;

        if (!seeds_dir)
                return;
        snprintf(path, sizeof path, "%s/%s-%02d", seeds_dir, what, n);
        f = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputc(first, f);
        fputc(second, f);
        fwrite(b.at, 1, b.len, f);
        fclose(f);
}

/* The bytes say all that the struct says, so that equal bytes are equal requests, if every field is among them: that is what
 * test_fields is for. */
static void test_asks(void)
{
        CU_ASSERT_EQUAL(ARRAY_LEN(asks), CONTROLLER_OPS_COUNT);
        for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
                struct controller_request rq = { .op = asks[i].op,
                                                 .validate_only = i % 2,
                                                 .items = asks[i].items,
                                                 .items_count = (uint32_t)asks[i].count };
                struct controller_request got = { 0 };
                struct body b = body_of(&rq, false), again;
                struct arena mem;

                arena_init(&mem, 0);
                CU_ASSERT_EQUAL_FATAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), 0);
                CU_ASSERT_EQUAL(got.op, rq.op);
                CU_ASSERT_EQUAL(got.validate_only, rq.validate_only);
                CU_ASSERT_EQUAL(got.items_count, rq.items_count);
                again = body_of(&got, false);
                CU_ASSERT(span_equal(span_of(b.at, b.len), span_of(again.at, again.len)));
                for (size_t len = 0; len < b.len; len++)
                        CU_ASSERT_EQUAL(marshal_ask_read(span_of(b.at, len), &got, &mem, 0), WIRE_E_MALFORMED);
                b.at[b.len] = 0;
                CU_ASSERT_EQUAL(marshal_ask_read(span_of(b.at, b.len + 1), &got, &mem, 0), WIRE_E_MALFORMED);
                save_seed((int)i, "ask", 0xff, 0, b);
                free(b.at);
                free(again.at);
                arena_fini(&mem);
        }
}

/* Those with the most in them, field by field. */
static void test_fields(void)
{
        struct controller_request rq = { .op = CONTROLLER_REGISTER_BROKER, .items = register_broker, .items_count = 1 };
        struct controller_request got = { 0 };
        struct body b = body_of(&rq, false);
        const struct controller_register_broker *rb;
        const struct controller_alter_partition *ap;
        const struct controller_create_topic *ct;
        struct arena mem;

        arena_init(&mem, 0);
        CU_ASSERT_EQUAL_FATAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), 0);
        rb = got.register_broker;
        CU_ASSERT(rb->broker.broker_id == 5 && uuid_equal(rb->broker.incarnation, U(5)) &&
                  str_equal_c(rb->broker.rack, "r") && rb->broker.endpoints_count == 1 &&
                  rb->broker.endpoints[0].port == 9093 && rb->broker.endpoints[0].security == 1 &&
                  str_equal_c(rb->broker.endpoints[0].listener, "PEER") && rb->broker.features[0].level_max == 2 &&
                  uuid_equal(rb->broker.directories[1], U(2)) && str_equal_c(rb->cluster_id, "c") &&
                  rb->previous_epoch == 77 && rb->same_boot && rb->lost_count == 1 &&
                  uuid_equal(rb->lost[0].topic_id, U(3)) && rb->lost[0].partition == 4);
        free(b.at);
        rq = (struct controller_request){ .op = CONTROLLER_ALTER_PARTITION,
                                          .items = alter_partition,
                                          .items_count = 1 };
        b = body_of(&rq, false);
        CU_ASSERT_EQUAL_FATAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), 0);
        ap = got.alter_partition;
        CU_ASSERT(ap->broker_id == 1 && ap->broker_epoch == 2 && uuid_equal(ap->topic_id, U(7)) && ap->partition == 3 &&
                  ap->leader_epoch == 4 && ap->partition_epoch == 5 && ap->recovering && ap->isr_count == 2 &&
                  ap->isr[0].broker_id == 3 && ap->isr[0].broker_epoch == 333 && ap->isr[1].broker_epoch == -1);
        free(b.at);
        rq = (struct controller_request){ .op = CONTROLLER_CREATE_TOPICS, .items = create_topics, .items_count = 2 };
        b = body_of(&rq, false);
        CU_ASSERT_EQUAL_FATAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), 0);
        ct = got.create_topics;
        CU_ASSERT(str_equal_c(ct[0].name, "t") && ct[0].partitions_count == -1 && ct[0].replication_factor == 3 &&
                  str_equal_c(ct[0].configs[0].value, "1") && str_is_null(ct[0].configs[1].value) &&
                  ct[1].assignments_count == 2 && ct[1].assignments[0].replicas_count == 3 &&
                  ct[1].assignments[0].replicas[2] == 9 && ct[1].assignments[1].partition == 1);
        free(b.at);
        rq = (struct controller_request){ .op = CONTROLLER_CREATE_ACLS, .items = create_acls, .items_count = 2 };
        b = body_of(&rq, false);
        CU_ASSERT_EQUAL_FATAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), 0);
        for (int i = 0; i < 2; i++)
                CU_ASSERT(!meta_acl_compare(&got.create_acls[i].entry, &create_acls[i].entry));
        free(b.at);
        arena_fini(&mem);
}

/* An answer comes back into the request that was asked, and needs the bytes no more. */
static void test_answers(void)
{
        for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
                struct controller_request rq = {
                        .op = asks[i].op, .items = asks[i].items, .index = 12345, .items_count = (uint32_t)asks[i].count
                };
                struct controller_request got = rq;
                struct body b = body_of(&rq, true), again;
                struct arena mem;

                arena_init(&mem, 0);
                got.mem = &mem;
                got.index = 0;
                got.items = arena_memdup(&mem, asks[i].items, asks[i].count * asks[i].size);
                CU_ASSERT_EQUAL_FATAL(marshal_answer_read(span_of(b.at, b.len), &got, 0), 0);
                CU_ASSERT_EQUAL(got.index, 12345);
                save_seed((int)i, "answer", (uint8_t)asks[i].op, (uint8_t)asks[i].count, b);
                again = (struct body){ arena_memdup(&mem, b.at, b.len), b.len };
                memset(b.at, 0xee, b.len);
                free(b.at);
                b = body_of(&got, true);
                CU_ASSERT(span_equal(span_of(b.at, b.len), span_of(again.at, again.len)));
                for (size_t len = 0; len < b.len; len++)
                        CU_ASSERT_EQUAL(marshal_answer_read(span_of(b.at, len), &got, 0), WIRE_E_MALFORMED);
                got.items_count++; /* an answer to another question */
                CU_ASSERT_EQUAL(marshal_answer_read(span_of(b.at, b.len), &got, 0), WIRE_E_MALFORMED);
                free(b.at);
                arena_fini(&mem);
        }
}

static void test_results(void)
{
        static const int32_t isr[] = { 1, 2 };
        struct controller_alter_partition item = alter_partition[0], got_item = alter_partition[0];
        struct controller_request rq = { .op = CONTROLLER_ALTER_PARTITION, .items = &item, .items_count = 1 };
        struct controller_request got = rq;
        struct arena mem;
        struct body b;

        arena_init(&mem, 0);
        got.mem = &mem;
        got.items = &got_item;
        item.result = (struct controller_result){ CONTROLLER_E_PARTITION_EPOCH, S("changed") };
        item.state = (struct controller_partition_state){ 2, 10, 11, 3, true, isr, 2 };
        b = body_of(&rq, true);
        CU_ASSERT_EQUAL_FATAL(marshal_answer_read(span_of(b.at, b.len), &got, 0), 0);
        free(b.at);
        CU_ASSERT(got_item.result.outcome == CONTROLLER_E_PARTITION_EPOCH &&
                  str_equal_c(got_item.result.message, "changed") && got_item.state.leader == 2 &&
                  got_item.state.leader_epoch == 10 && got_item.state.partition_epoch == 11 &&
                  got_item.state.min_isr == 3 && got_item.state.recovering && got_item.state.isr_count == 2 &&
                  got_item.state.isr[1] == 2);
        /* One that failed as a whole says nothing of its items. */
        rq.result = (struct controller_result){ CONTROLLER_E_BUSY, S("later") };
        got_item = alter_partition[0];
        b = body_of(&rq, true);
        CU_ASSERT_EQUAL_FATAL(marshal_answer_read(span_of(b.at, b.len), &got, 0), 0);
        free(b.at);
        CU_ASSERT(got.result.outcome == CONTROLLER_E_BUSY && str_equal_c(got.result.message, "later") &&
                  got_item.state.leader == 0);
        arena_fini(&mem);
}

/* Values and counts that no writer makes. */
static void test_refused(void)
{
        struct controller_request rq = { .op = CONTROLLER_ELECT_LEADERS, .items = elect_leaders, .items_count = 1 },
                                  got;
        struct body b = body_of(&rq, false);
        struct arena mem;

        arena_init(&mem, 1 << 20);
        for (size_t at = 0; at < b.len; at++)
                for (int bit = 0; bit < 8; bit++) {
                        b.at[at] ^= (uint8_t)(1 << bit);
                        got = (struct controller_request){ 0 };
                        if (!marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0))
                                CU_ASSERT(got.op < CONTROLLER_OPS_COUNT && got.items_count <= 1);
                        b.at[at] ^= (uint8_t)(1 << bit);
                }
        b.at[1] = CONTROLLER_OPS_COUNT;
        CU_ASSERT_EQUAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), WIRE_E_MALFORMED);
        b.at[1] = CONTROLLER_ELECT_LEADERS;
        b.at[b.len - 1] = CONTROLLER_ELECT_UNCLEAN + 1;
        CU_ASSERT_EQUAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), WIRE_E_MALFORMED);
        b.at[b.len - 1] = CONTROLLER_ELECT_UNCLEAN;
        b.at[3] = 0x7f; /* items enough for all memory */
        CU_ASSERT_EQUAL(marshal_ask_read(span_of(b.at, b.len), &got, &mem, 0), WIRE_E_MALFORMED);
        free(b.at);
        arena_fini(&mem);
}

static const struct unit_case cases[] = {
        { "asks", test_asks },       { "fields", test_fields },   { "answers", test_answers },
        { "results", test_results }, { "refused", test_refused },
};

int main(int argc, char **argv)
{
        seeds_dir = argc > 1 ? argv[1] : NULL;
        return unit_run("controller/marshal", cases, ARRAY_LEN(cases));
}
