/* Goal: credentials of users are taken as Kafka takes them, and a new cluster has the first user and nobody else. Method: decisions on
 * an image in memory. */
#include "controller-stage.h"

static const uint8_t key[64] = { 7 };

static struct controller_alter_credential one(const char *user, int8_t mechanism)
{
        return (struct controller_alter_credential){ .user = str_of(user),
                                                     .mechanism = mechanism,
                                                     .iterations = 4096,
                                                     .salt = span_of("salt", 4),
                                                     .stored_key = span_of(key, mechanism == 1 ? 32 : 64),
                                                     .server_key = span_of(key, mechanism == 1 ? 32 : 64),
                                                     .decoy_seed = span_of("seed", 4) };
}

static enum controller_outcome alter(struct controller_alter_credential *a)
{
        ask(CONTROLLER_ALTER_CREDENTIALS, a, 1, false);
        return a->result.outcome;
}

static void test_takes_what_is_possible(void)
{
        struct controller_alter_credential a = one("alice", 1);

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 2); /* with the seed */
        CU_ASSERT(span_equal(image->decoy_seed, span_of("seed", 4)));
        a = one("alice", 2);
        a.decoy_seed = span_of("feed", 4);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 1);
        CU_ASSERT(span_equal(image->decoy_seed, span_of("seed", 4)));
        CU_ASSERT_PTR_NOT_NULL(meta_image_credential(image, STR_LIT("alice"), 1));
        CU_ASSERT_PTR_NOT_NULL(meta_image_credential(image, STR_LIT("alice"), 2));
        a.remove = true;
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_OK);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL_UNKNOWN);
        CU_ASSERT_PTR_NOT_NULL(meta_image_credential(image, STR_LIT("alice"), 1));
        CU_ASSERT_PTR_NULL(meta_image_credential(image, STR_LIT("alice"), 2));
        teardown();
}

static void test_refuses_what_is_not(void)
{
        struct controller_alter_credential a;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        a = one("", 1);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        a = one("\xff", 1);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        a = one("alice", 0);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_MECHANISM);
        a = one("alice", 3);
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_MECHANISM);
        a = one("alice", 1);
        a.iterations = 4095;
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        a.iterations = 16385;
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        a = one("alice", 1);
        a.salt.len = 0;
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        a = one("alice", 1);
        a.stored_key.len = 31;
        CU_ASSERT_EQUAL(alter(&a), CONTROLLER_E_CREDENTIAL);
        CU_ASSERT_EQUAL(image->credentials.count, 0);
        teardown();
}

static void test_starts_with_the_first_user_alone(void)
{
        struct controller_alter_credential first = one("admin", 2);
        struct decision d;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        rules.first_user = &first;
        rules.first_user_count = 1;
        start(&d);
        CU_ASSERT_EQUAL(decision_bootstrap(&d, STR_LIT("cluster-1")), 0);
        CU_ASSERT_EQUAL(decision_image(&d)->credentials.count, 1);
        CU_ASSERT_PTR_NOT_NULL(meta_image_credential(decision_image(&d), STR_LIT("admin"), 2));
        decision_fini(&d);
        rules.first_user_count = 0;
        start(&d);
        CU_ASSERT_EQUAL(decision_bootstrap(&d, STR_LIT("cluster-1")), 0);
        CU_ASSERT_EQUAL(decision_image(&d)->credentials.count, 0);
        decision_fini(&d);
        teardown();
}

static const struct unit_case cases[] = {
        { "credentials that are possible", test_takes_what_is_possible },
        { "credentials that are not", test_refuses_what_is_not },
        { "the first user", test_starts_with_the_first_user_alone },
};
UNIT_MAIN("users", cases)
