/* Goal: delegation tokens live as long as Kafka's do, and only who may do so changes that. Method: decisions on an image in memory. */
#include "conf/limits.h"
#include "controller-stage.h"

enum { DAY_MS = 86400000 };

static const uint8_t key[64] = { 7, 7, 7, 7, 7 };
static const struct str renewers[] = { STR_LIT("User:r1"), STR_LIT("User:r2") };

static struct controller_create_token one(const char *id, const uint8_t digest[32], int64_t lifetime_ms)
{
        return (struct controller_create_token){ .id = str_of(id),
                                                 .owner = STR_LIT("User:alice"),
                                                 .requester = STR_LIT("User:bob"),
                                                 .renewers = renewers,
                                                 .renewers_count = 2,
                                                 .lifetime_ms = lifetime_ms,
                                                 .iterations = 4096,
                                                 .digest = span_of(digest, 32),
                                                 .salt = span_of("salt", 4),
                                                 .sha256_stored_key = span_of(key, 32),
                                                 .sha256_server_key = span_of(key, 32),
                                                 .sha512_stored_key = span_of(key, 64),
                                                 .sha512_server_key = span_of(key, 64) };
}

static enum controller_outcome create_token(struct controller_create_token *t)
{
        ask(CONTROLLER_CREATE_TOKENS, t, 1, false);
        return t->result.outcome;
}

static struct controller_alter_token alter(enum controller_op op, const uint8_t digest[32], const char *who,
                                           int64_t period_ms)
{
        struct controller_alter_token t = { .digest = span_of(digest, 32), .who = str_of(who), .period_ms = period_ms };

        ask(op, &t, 1, false);
        return t;
}

static const uint8_t a[32] = { 1 }, b[32] = { 2 };

static void test_lifetimes(void)
{
        struct controller_create_token t = one("a", a, -1);

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        CU_ASSERT_EQUAL(t.issue_ms, wall_ms);
        CU_ASSERT_EQUAL(t.expiry_ms, wall_ms + DAY_MS);
        CU_ASSERT_EQUAL(t.max_ms, wall_ms + 7LL * DAY_MS);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_INVALID); /* twice */
        t = one("b", b, 1000);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        CU_ASSERT(t.expiry_ms == wall_ms + 1000 && t.max_ms == wall_ms + 1000);
        CU_ASSERT_EQUAL(image->tokens.count, 2);
        t = one("c", key, INT64_MAX);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        CU_ASSERT_EQUAL(t.max_ms, wall_ms + 7LL * DAY_MS);
        teardown();
}

static void test_renewal(void)
{
        struct controller_create_token t = one("a", a, 3LL * DAY_MS);
        struct controller_alter_token r;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        wall_ms += 1000;
        r = alter(CONTROLLER_RENEW_TOKENS, a, "User:alice", -1);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == wall_ms + DAY_MS);
        r = alter(CONTROLLER_RENEW_TOKENS, a, "User:r2", 5000);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == wall_ms + 5000);
        CU_ASSERT_EQUAL(meta_image_token(image, STR_LIT("a"))->expiry_ms, wall_ms + 5000);
        CU_ASSERT_EQUAL(meta_image_token(image, STR_LIT("a"))->renewers_count, 2);
        r = alter(CONTROLLER_RENEW_TOKENS, a, "User:r2", 9LL * DAY_MS);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == wall_ms + DAY_MS);
        CU_ASSERT_EQUAL(alter(CONTROLLER_RENEW_TOKENS, a, "User:bob", -1).result.outcome, CONTROLLER_E_TOKEN_STRANGER);
        CU_ASSERT_EQUAL(alter(CONTROLLER_RENEW_TOKENS, b, "User:alice", -1).result.outcome, CONTROLLER_E_TOKEN_UNKNOWN);
        for (int i = 0; i < 2; i++) {
                wall_ms += DAY_MS - 500;
                r = alter(CONTROLLER_RENEW_TOKENS, a, "User:alice", -1);
                CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        }
        CU_ASSERT_EQUAL(r.expiry_ms, t.max_ms);
        wall_ms = t.max_ms + 1;
        CU_ASSERT_EQUAL(alter(CONTROLLER_RENEW_TOKENS, a, "User:x", -1).result.outcome, CONTROLLER_E_TOKEN_EXPIRED);
        teardown();
}

static void test_expiry(void)
{
        struct controller_create_token t = one("a", a, -1);
        struct controller_alter_token r;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        r = alter(CONTROLLER_EXPIRE_TOKENS, a, "User:r1", 100);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == wall_ms + 100);
        r = alter(CONTROLLER_EXPIRE_TOKENS, a, "User:alice", INT64_MAX);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == t.max_ms);
        r = alter(CONTROLLER_EXPIRE_TOKENS, a, "User:alice", 100);
        wall_ms += 101;
        CU_ASSERT_EQUAL(alter(CONTROLLER_EXPIRE_TOKENS, a, "User:x", 5).result.outcome, CONTROLLER_E_TOKEN_STRANGER);
        CU_ASSERT_EQUAL(alter(CONTROLLER_EXPIRE_TOKENS, a, "User:r1", 5).result.outcome, CONTROLLER_E_TOKEN_EXPIRED);
        r = alter(CONTROLLER_EXPIRE_TOKENS, a, "User:r1", -1);
        CU_ASSERT(!r.result.outcome && r.expiry_ms == -1);
        CU_ASSERT_EQUAL(image->tokens.count, 0);
        CU_ASSERT_EQUAL(alter(CONTROLLER_EXPIRE_TOKENS, a, "User:r1", -1).result.outcome, CONTROLLER_E_TOKEN_UNKNOWN);
        teardown();
}

static void test_refuses(void)
{
        static const struct str other[] = { STR_LIT("Group:x") };
        struct controller_create_token t = one("a", a, -1);

        setup_at(CONTROLLER_LEVEL_SECURITY);
        t.owner = STR_LIT("User:");
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_INVALID);
        t = one("a", a, -1);
        t.renewers = other;
        t.renewers_count = 1;
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_INVALID);
        t = one("a", a, -1);
        t.renewers_count = META_TOKEN_RENEWERS_MAX + 1;
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_INVALID);
        t = one("a", a, -1);
        t.sha512_stored_key.len = 1;
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(image->tokens.count, 0);
        teardown();
}

/* Tokens are bounded, by asker and in all; what has ended is swept away, and makes room. */
static void test_bounds_and_sweep(void)
{
        struct controller_create_token t;
        struct decision d;
        uint8_t digest[32] = { 0 };
        bool more;
        char id[20];

        setup_at(CONTROLLER_LEVEL_SECURITY);
        for (int i = 0; i < LIMIT_DELEGATION_TOKENS_OF_ONE; i++) {
                snprintf(id, sizeof id, "t%d", i);
                memcpy(digest, &i, sizeof i);
                t = one(id, digest, i % 2 ? 1000 : 5000);
                CU_ASSERT_EQUAL_FATAL(create_token(&t), CONTROLLER_OK);
        }
        t = one("x", key, -1);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_TOKENS_FULL);
        t.requester = STR_LIT("User:carol");
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_OK);
        wall_ms += 1001;
        start(&d);
        CU_ASSERT(!decision_sweep_tokens(&d, &more) && !more);
        CU_ASSERT_EQUAL(decision_image(&d)->tokens.count, LIMIT_DELEGATION_TOKENS_OF_ONE / 2 + 1);
        decision_fini(&d);
        wall_ms += 5000;
        start(&d);
        CU_ASSERT(!decision_sweep_tokens(&d, &more) && more);
        CU_ASSERT_EQUAL(decision_image(&d)->tokens.count, LIMIT_DELEGATION_TOKENS_OF_ONE - 1000 + 1);
        decision_fini(&d);
        teardown();
}

static void test_level(void)
{
        struct controller_create_token t = one("a", a, -1);
        struct controller_create_acl rule = { .entry = { .resource_type = ACL_TOPIC,
                                                         .pattern_type = ACL_LITERAL,
                                                         .resource_name = STR_LIT("t"),
                                                         .principal = STR_LIT("User:a"),
                                                         .host = STR_LIT("*"),
                                                         .operation = ACL_READ,
                                                         .permission = ACL_ALLOW } };

        setup_at(CONTROLLER_LEVEL_SECURITY - 1);
        CU_ASSERT_EQUAL(create_token(&t), CONTROLLER_E_LEVEL);
        CU_ASSERT(strstr(t.result.message.p, "chronik.version at level 2, and it is at 1") != NULL);
        ask(CONTROLLER_CREATE_ACLS, &rule, 1, false);
        CU_ASSERT_EQUAL(rule.result.outcome, CONTROLLER_E_LEVEL);
        CU_ASSERT_EQUAL(emitted, 0);
        teardown();
}

static const struct unit_case cases[] = {
        { "nothing is written that an older program cannot read", test_level },
        { "how long they live", test_lifetimes },
        { "renewal", test_renewal },
        { "expiry", test_expiry },
        { "what is none", test_refuses },
        { "bounds and sweep", test_bounds_and_sweep },
};
UNIT_MAIN("tokens", cases)
