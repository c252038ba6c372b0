/* Goal: credentials of users are taken as Kafka takes them, and a new cluster has the first user and nobody else. Method: decisions on
 * an image in memory. */
#include "controller-stage.h"
#include "security/scram.h"

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

/* ---- rotation ---- */

static const uint8_t new_key[64] = { 8 };

static struct controller_rotated rotated(int8_t mechanism, const uint8_t *with)
{
        size_t len = mechanism == 1 ? 32 : 64;

        return (struct controller_rotated){ .mechanism = mechanism,
                                            .iterations = 4096,
                                            .salt = span_of("salt", 4),
                                            .stored_key = span_of(with, len),
                                            .server_key = span_of(with, len) };
}

static struct controller_rotate_user rotate(const struct controller_rotated *credentials, int32_t count,
                                            int64_t overlap_ms)
{
        struct controller_rotate_user u = { .user = STR_LIT("alice"),
                                            .overlap_ms = overlap_ms,
                                            .credentials = credentials,
                                            .credentials_count = count };

        ask(CONTROLLER_ROTATE_USERS, &u, 1, false);
        return u;
}

static enum controller_outcome finish(void)
{
        struct controller_rotate_user u = { .user = STR_LIT("alice"), .finish = true };

        ask(CONTROLLER_ROTATE_USERS, &u, 1, false);
        return u.result.outcome;
}

static const struct meta_credential *alice(int8_t mechanism)
{
        return meta_image_credential(image, STR_LIT("alice"), mechanism);
}

static void add_alice(void)
{
        struct controller_alter_credential a = one("alice", 1), b = one("alice", 2);

        CU_ASSERT_EQUAL_FATAL(alter(&a), CONTROLLER_OK);
        CU_ASSERT_EQUAL_FATAL(alter(&b), CONTROLLER_OK);
        CU_ASSERT_EQUAL(alice(1)->set_ms, wall_ms);
}

static void sweep(uint32_t expected)
{
        struct decision d;
        bool more = true;

        start(&d);
        CU_ASSERT(!decision_sweep_users(&d, &more) && !more);
        CU_ASSERT_EQUAL(d.batch.count, expected);
        decision_fini(&d);
}

static void test_two_passwords_for_a_while(void)
{
        const struct controller_rotated both[] = { rotated(1, new_key), rotated(2, new_key) };
        struct controller_alter_credential again = one("alice", 1);
        struct controller_rotate_user u;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        add_alice();
        wall_ms += 5000;
        u = rotate(both, 2, 1000);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(u.until_ms, wall_ms + 1000);
        CU_ASSERT_EQUAL(emitted, 2);
        for (int8_t m = 1; m <= 2; m++) {
                CU_ASSERT(span_equal(alice(m)->stored_key, both[m - 1].stored_key));
                CU_ASSERT(span_equal(alice(m)->earlier_stored_key, span_of(key, m == 1 ? 32 : 64)));
                CU_ASSERT(span_equal(alice(m)->earlier_server_key, span_of(key, m == 1 ? 32 : 64)));
                CU_ASSERT(span_equal(alice(m)->salt, span_of("salt", 4)));
                CU_ASSERT_EQUAL(alice(m)->set_ms, wall_ms);
        }
        CU_ASSERT(meta_credential_has_earlier(alice(1), wall_ms + 999));
        CU_ASSERT(!meta_credential_has_earlier(alice(1), wall_ms + 1000));
        sweep(0);
        wall_ms += 1000;
        sweep(2);
        CU_ASSERT_EQUAL(finish(), CONTROLLER_OK); /* what is over is removed as well */
        CU_ASSERT_EQUAL(alice(2)->earlier_stored_key.len, 0);
        CU_ASSERT(span_equal(alice(2)->stored_key, span_of(new_key, 64)));
        CU_ASSERT_EQUAL(finish(), CONTROLLER_E_ROTATION);
        sweep(0);
        CU_ASSERT_EQUAL(alter(&again), CONTROLLER_OK); /* without an overlap */
        CU_ASSERT_EQUAL(alice(1)->earlier_stored_key.len, 0);
        teardown();
}

/* All mechanisms, or none; and never three passwords. */
static void test_refuses_rotations(void)
{
        struct controller_rotated both[] = { rotated(1, new_key), rotated(2, new_key) }, first = both[0];
        struct controller_rotated twice[] = { first, first };
        struct rec_scram_credential weak;
        struct meta_record r;
        struct decision d;

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_CREDENTIAL_UNKNOWN);
        CU_ASSERT_EQUAL(finish(), CONTROLLER_E_CREDENTIAL_UNKNOWN);
        add_alice();
        CU_ASSERT_EQUAL(rotate(both, 1, 1000).result.outcome, CONTROLLER_E_ROTATION);
        CU_ASSERT_EQUAL(rotate(twice, 2, 1000).result.outcome, CONTROLLER_E_ROTATION);
        CU_ASSERT_EQUAL(rotate(both, 2, 0).result.outcome, CONTROLLER_E_ROTATION);
        CU_ASSERT_EQUAL(rotate(both, 2, CONTROLLER_OVERLAP_MS_MAX + 1).result.outcome, CONTROLLER_E_ROTATION);
        both[0].salt = span_of("tlas", 4);
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION);
        both[0] = first;
        both[0].iterations = 8192;
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION);
        both[0] = first;
        both[0].mechanism = 3;
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION);
        both[0] = rotated(1, key);
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION); /* the same password */
        both[0] = first;
        both[0].stored_key.len = 31;
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION);
        CU_ASSERT_EQUAL(emitted, 0);
        both[0] = first;
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_OK);
        both[0] = rotated(1, (const uint8_t[64]){ 9 });
        both[1] = rotated(2, (const uint8_t[64]){ 9 });
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_E_ROTATION); /* one is going on */
        wall_ms += 1000;
        CU_ASSERT_EQUAL(rotate(both, 2, 1000).result.outcome, CONTROLLER_OK);

        /* One of a time when fewer iterations were enough. */
        start(&d);
        meta_credential_to_record(alice(1), &weak);
        weak.iterations = SCRAM_ITERATIONS_MIN - 1;
        weak.earlier_stored_key = weak.earlier_server_key = SPAN_NULL;
        meta_record_init(&r, META_SCRAM_CREDENTIAL);
        r.scram_credential = weak;
        decision_emit(&d, &r);
        both[0] = rotated(1, new_key);
        both[0].iterations = weak.iterations;
        struct controller_rotate_user u = {
                .user = STR_LIT("alice"), .overlap_ms = 5, .credentials = both, .credentials_count = 2
        };
        decide_rotate_user(&d, &u);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_E_ROTATION);
        CU_ASSERT(memmem(u.result.message.p, u.result.message.len, "fewer iterations", 16) != NULL);
        decision_fini(&d);
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
        { "two passwords for a while", test_two_passwords_for_a_while },
        { "rotations that are refused", test_refuses_rotations },
        { "the first user", test_starts_with_the_first_user_alone },
};
UNIT_MAIN("users", cases)
