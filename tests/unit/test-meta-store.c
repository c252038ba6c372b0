/* Goal: the store refuses what is not its own and says so; grows; a damaged row is noticed.
 * Method: folders made by hand, bytes turned over in data.mdb. (Round trips: test-meta-builder.) */
#include <lmdb.h>
#include <stdio.h>
#include <unistd.h>

#include "meta/builder.h"
#include "meta/store.h"
#include "sys/file.h"
#include "unit.h"

static char dir[64], why[256];

static int store_open(size_t map_len, struct meta_store **ret_store, struct meta_image **ret_image)
{
        return meta_store_open(&(struct meta_store_config){ .dir = dir, .map_len_initial = map_len }, ret_store,
                               ret_image, why, sizeof why);
}

static void fresh(void)
{
        snprintf(dir, sizeof dir, "/tmp/chronik-test-store-%d", (int)getpid());
        file_remove_tree(dir);
}

static struct meta_image *image_with_configs(int count)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        struct meta_builder b;

        meta_builder_init(&b, empty);
        for (int i = 0; i < count; i++) {
                struct meta_record r;
                char name[32], value[1000];

                snprintf(name, sizeof name, "group-%d", i);
                memset(value, 'v', sizeof value);
                meta_record_init(&r, META_CONFIG);
                r.config.resource_type = META_RESOURCE_GROUP;
                r.config.resource_name = str_of(name);
                r.config.name = STR_LIT("consumer.session.timeout.ms");
                r.config.value = (struct str){ value, sizeof value };
                assert(!meta_builder_apply(&b, &r, 1));
        }
        return meta_builder_finish(&b, 7, 3);
}

static void test_grows(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = image_with_configs(2000), *empty = NULL, *back = NULL;
        CLEANUP(meta_store_closep) struct meta_store *s = NULL;

        fresh();
        CU_ASSERT_EQUAL_FATAL(store_open(64 << 10, &s, &empty), 0);
        CU_ASSERT_EQUAL(empty->index, 0);
        CU_ASSERT_EQUAL(meta_store_commit(s, image), 0); /* 2 MB into 64 KiB */
        s = meta_store_close(s);
        CU_ASSERT_EQUAL_FATAL(store_open(64 << 10, &s, &back), 0);
        CU_ASSERT(meta_image_equal(image, back));
        CU_ASSERT_EQUAL(back->index, 7);
        CU_ASSERT_EQUAL(back->term, 3);
}

static void test_long_names(void)
{
        CLEANUP(meta_image_unrefp)
        struct meta_image *empty = meta_image_new_empty(), *image = NULL, *back = NULL, *none = NULL;
        CLEANUP(meta_store_closep) struct meta_store *s = NULL;
        struct meta_builder b;
        char name[1000];

        fresh();
        memset(name, 'n', sizeof name);
        meta_builder_init(&b, empty);
        for (size_t len = 240; len < 1000; len += 7) {
                struct meta_record r;

                meta_record_init(&r, META_CONFIG);
                r.config.resource_type = META_RESOURCE_GROUP;
                r.config.resource_name = (struct str){ name, len };
                r.config.name = (struct str){ name, len };
                r.config.value = STR_LIT("1");
                CU_ASSERT_EQUAL(meta_builder_apply(&b, &r, 1), 0);
        }
        image = meta_builder_finish(&b, 1, 1);
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &none), 0);
        CU_ASSERT_EQUAL(meta_store_commit(s, image), 0);
        s = meta_store_close(s);
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &back), 0);
        CU_ASSERT(meta_image_equal(image, back));
}

static void test_foreign(void)
{
        struct meta_store *s = NULL;
        struct meta_image *i = NULL;
        char path[128], junk[8192];
        char text[] = "abcxyz";
        MDB_val key = { 3, text }, value = { 3, text + 3 };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;

        fresh();
        file_mkdirs(dir);
        memset(junk, 'j', sizeof junk);
        snprintf(path, sizeof path, "%s/data.mdb", dir);
        file_replace(path, span_of(junk, sizeof junk));
        CU_ASSERT_EQUAL(store_open(0, &s, &i), META_STORE_E_FOREIGN);
        CU_ASSERT(why[0] != 0);

        fresh();
        file_mkdirs(dir);
        CU_ASSERT_FATAL(!mdb_env_create(&env) && !mdb_env_open(env, dir, 0, 0640) &&
                        !mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, NULL, 0, &dbi) &&
                        !mdb_put(txn, dbi, &key, &value, 0) && !mdb_txn_commit(txn));
        mdb_env_close(env);
        CU_ASSERT_EQUAL(store_open(0, &s, &i), META_STORE_E_FOREIGN);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "something else"));
        CU_ASSERT_PTR_NULL(s);
}

/* Turn a byte of what was stored over, at many places: the image must come back right, or not at all. */
static void test_damage(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = image_with_configs(20), *none = NULL;
        struct meta_store *s;
        char path[128], *good;
        unsigned refused = 0;
        size_t len;

        fresh();
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &none), 0);
        CU_ASSERT_EQUAL(meta_store_commit(s, image), 0);
        meta_store_close(s);
        snprintf(path, sizeof path, "%s/data.mdb", dir);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 64 << 20, &good, &len), 0);
        /* Only in the values: LMDB's own pages it trusts itself. */
        for (size_t at = 0; at + 16 < len; at++) {
                CLEANUP(meta_image_unrefp) struct meta_image *back = NULL;
                int r;

                if (memcmp(good + at, "vvvvvvvvvvvvvvvv", 16) || at % 97)
                        continue;
                good[at + 3] ^= 0x20;
                file_replace(path, span_of(good, len));
                r = store_open(0, &s, &back);
                CU_ASSERT(r == META_STORE_E_CORRUPT || (r == 0 && meta_image_equal(image, back)));
                refused += r == META_STORE_E_CORRUPT;
                if (!r)
                        meta_store_close(s);
                good[at + 3] ^= 0x20;
        }
        CU_ASSERT(refused > 10);
        free(good);
        file_remove_tree(dir);
}

/* A record, as the next entry. */
static void apply(struct meta_image **image, struct meta_record *r, int64_t index)
{
        struct meta_builder b;

        assert(!meta_builder_init(&b, *image));
        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, r, index), 0);
        meta_image_unref(*image);
        *image = meta_builder_finish(&b, index, 1);
}

static void reopened(struct meta_store **s, struct meta_image *want)
{
        CLEANUP(meta_image_unrefp) struct meta_image *back = NULL;

        CU_ASSERT_EQUAL(meta_store_commit(*s, want), 0);
        *s = meta_store_close(*s);
        CU_ASSERT_EQUAL_FATAL(store_open(0, s, &back), 0);
        CU_ASSERT(meta_image_equal(want, back));
}

/* What a broker is asked for, a recovery and the token are kept, changed and read back. */
static void test_duties_and_token(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL, *before = NULL;
        CLEANUP(meta_store_closep) struct meta_store *s = NULL;
        int32_t replica = 1;
        struct meta_record r;
        struct uuid id = { { 9 } };

        fresh();
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &image), 0);
        meta_record_init(&r, META_BROKER);
        r.broker.broker_id = 1;
        r.broker.duty = META_DUTY_LEAVING;
        apply(&image, &r, 1);
        meta_record_init(&r, META_TOPIC);
        r.topic = (struct rec_topic){ .topic_id = id, .name = STR_LIT("t") };
        apply(&image, &r, 2);
        meta_record_init(&r, META_PARTITION);
        r.partition.topic_id = id;
        r.partition.replicas = r.partition.isr = &replica;
        r.partition.replicas_count = r.partition.isr_count = 1;
        r.partition.recovering = true;
        apply(&image, &r, 3);
        reopened(&s, image);
        CU_ASSERT_EQUAL(meta_image_broker(image, 1)->duty, META_DUTY_LEAVING);
        CU_ASSERT_EQUAL(meta_topic_partition(meta_image_topic_by_id(image, id), 0)->recovering, 1);

        meta_record_init(&r, META_DISRUPTION);
        r.disruption.holder = STR_LIT("me");
        r.disruption.node_id = 3;
        r.disruption.until_ms = 6;
        apply(&image, &r, 4);
        meta_record_init(&r, META_BROKER_CHANGE);
        r.broker_change.broker_id = 1;
        r.broker_change.epoch = 1;
        r.broker_change.duty = META_DUTY_NONE;
        apply(&image, &r, 5);
        before = meta_image_ref(image);
        meta_record_init(&r, META_PARTITION_CHANGE);
        r.partition_change.topic_id = id;
        r.partition_change.recovering = 0;
        apply(&image, &r, 6);
        CU_ASSERT_FALSE(meta_image_equal(before, image));
        reopened(&s, image);
        CU_ASSERT_EQUAL(meta_image_broker(image, 1)->duty, META_DUTY_NONE);
        CU_ASSERT_EQUAL(meta_topic_partition(meta_image_topic_by_id(image, id), 0)->recovering, 0);
        CU_ASSERT(str_equal_c(image->disruption->holder, "me") && image->disruption->node_id == 3);

        meta_record_init(&r, META_DISRUPTION);
        r.disruption.override_by = STR_LIT("you");
        r.disruption.override_of = STR_LIT("me");
        apply(&image, &r, 7);
        reopened(&s, image);
        CU_ASSERT(str_is_null(image->disruption->holder) && str_equal_c(image->disruption->override_by, "you"));
        file_remove_tree(dir);
}

static struct meta_record credential(struct str user, int8_t mechanism, struct span key)
{
        struct meta_record r;

        meta_record_init(&r, META_SCRAM_CREDENTIAL);
        r.scram_credential.name = user;
        r.scram_credential.mechanism = mechanism;
        r.scram_credential.iterations = 4096;
        r.scram_credential.salt = span_of("salt", 4);
        r.scram_credential.stored_key = r.scram_credential.server_key = key;
        return r;
}

/* Credentials of users are kept, replaced and removed, each mechanism by itself, and so is the seed of decoys. */
static void test_credentials(void)
{
        static const uint8_t one[64] = { 1 }, two[64] = { 2 };
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        CLEANUP(meta_store_closep) struct meta_store *s = NULL;
        const struct meta_credential *c;
        struct meta_record r;

        fresh();
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &image), 0);
        r = credential(STR_LIT("alice"), 1, span_of(one, 32));
        apply(&image, &r, 1);
        r = credential(STR_LIT("alice"), 2, span_of(one, 64));
        apply(&image, &r, 2);
        meta_record_init(&r, META_DECOY_SEED);
        r.decoy_seed.seed = span_of(two, 32);
        apply(&image, &r, 3);
        reopened(&s, image);
        CU_ASSERT(span_equal(image->decoy_seed, span_of(two, 32)));
        r = credential(STR_LIT("alice"), 1, span_of(two, 32));
        apply(&image, &r, 4);
        meta_record_init(&r, META_SCRAM_CREDENTIAL_REMOVE);
        r.scram_credential_remove.name = STR_LIT("alice");
        r.scram_credential_remove.mechanism = 2;
        apply(&image, &r, 5);
        reopened(&s, image);
        c = meta_image_credential(image, STR_LIT("alice"), 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT(span_equal(c->stored_key, span_of(two, 32)) && span_equal(c->salt, span_of("salt", 4)));
        CU_ASSERT_EQUAL(c->iterations, 4096);
        CU_ASSERT_PTR_NULL(meta_image_credential(image, STR_LIT("alice"), 2));
        CU_ASSERT(span_equal(image->decoy_seed, span_of(two, 32)));
        file_remove_tree(dir);
}

static struct meta_record token(struct str id, int64_t expiry_ms, const uint8_t digest[32])
{
        static const struct str renewers[] = { STR_LIT("User:r1"), STR_LIT("User:r2") };
        static const uint8_t key[64] = { 9 };
        struct meta_record r;

        meta_record_init(&r, META_DELEGATION_TOKEN);
        r.delegation_token = (struct rec_delegation_token){ .token_id = id,
                                                            .owner = STR_LIT("User:alice"),
                                                            .requester = STR_LIT("User:bob"),
                                                            .renewers = (struct str *)(uintptr_t)renewers,
                                                            .renewers_count = 2,
                                                            .issue_ms = 5,
                                                            .expiry_ms = expiry_ms,
                                                            .max_ms = 1000,
                                                            .digest = span_of(digest, 32),
                                                            .iterations = 4096,
                                                            .salt = span_of("salt", 4),
                                                            .sha256_stored_key = span_of(key, 32),
                                                            .sha256_server_key = span_of(key, 32),
                                                            .sha512_stored_key = span_of(key, 64),
                                                            .sha512_server_key = span_of(key, 64) };
        return r;
}

static int applied(const struct meta_image *image, const struct meta_record *r)
{
        struct meta_builder b;
        int x;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, image), 0);
        x = meta_builder_apply(&b, r, image->index + 1);
        meta_builder_fini(&b);
        return x;
}

/* Delegation tokens are kept, found by id and by HMAC, renewed and removed; impossible ones are refused. */
static void test_tokens(void)
{
        static const uint8_t one[32] = { 1 }, two[32] = { 2 };
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        CLEANUP(meta_store_closep) struct meta_store *s = NULL;
        const struct meta_token *t;
        struct meta_record r;

        fresh();
        CU_ASSERT_EQUAL_FATAL(store_open(0, &s, &image), 0);
        r = token(STR_LIT("a"), 100, one);
        apply(&image, &r, 1);
        r = token(STR_LIT("b"), 100, two);
        apply(&image, &r, 2);
        reopened(&s, image);
        r = token(STR_LIT("a"), 200, one);
        apply(&image, &r, 3);
        meta_record_init(&r, META_DELEGATION_TOKEN_REMOVE);
        r.delegation_token_remove.token_id = STR_LIT("b");
        apply(&image, &r, 4);
        CU_ASSERT_EQUAL(applied(image, &r), META_E_CONFLICT);
        reopened(&s, image);
        t = meta_image_token(image, STR_LIT("a"));
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        CU_ASSERT_PTR_EQUAL(t, meta_image_token_by_digest(image, one));
        CU_ASSERT_EQUAL(t->expiry_ms, 200);
        CU_ASSERT(t->renewers_count == 2 && str_equal_c(t->renewers[1], "User:r2") &&
                  str_equal_c(t->owner, "User:alice"));
        CU_ASSERT(t->sha512.server.len == 64 && t->sha512.server.data[0] == 9 &&
                  span_equal(t->salt, span_of("salt", 4)));
        CU_ASSERT_PTR_NULL(meta_image_token(image, STR_LIT("b")));
        CU_ASSERT_PTR_NULL(meta_image_token_by_digest(image, two));
        r = token(STR_LIT("a"), 200, two);
        CU_ASSERT_EQUAL(applied(image, &r), META_E_CONFLICT);
        r = token(STR_LIT("c"), 200, one);
        CU_ASSERT_EQUAL(applied(image, &r), META_E_CONFLICT);
        r = token(STR_LIT(""), 200, two);
        CU_ASSERT_EQUAL(applied(image, &r), META_E_CONFLICT);
        r = token(STR_LIT("c"), 200, two);
        r.delegation_token.sha256_stored_key.len = 31;
        CU_ASSERT_EQUAL(applied(image, &r), META_E_CONFLICT);
        file_remove_tree(dir);
}

static const struct unit_case cases[] = {
        { "delegation tokens", test_tokens },
        { "credentials of users", test_credentials },
        { "what brokers are asked for, and the token", test_duties_and_token },
        { "the map grows", test_grows },
        { "names longer than a key", test_long_names },
        { "foreign files are refused", test_foreign },
        { "damaged rows are noticed", test_damage },
};
UNIT_MAIN("store", cases)
