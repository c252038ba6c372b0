/* Goal: the authorizer decides as Kafka's StandardAuthorizer does, and many rules do not make it slow.
 * Method: by example, and random rules and questions beside a model that looks at every rule; the seed is printed on a failure. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "meta/builder.h"
#include "security/authorizer.h"
#include "unit.h"

static uint64_t rng_state;

static unsigned rng(unsigned below)
{
        rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng_state >> 33) % below;
}

/* Rules that come into an image one by one. */
struct rules {
        struct meta_image *image;
        int count;
};

static void rules_init(struct rules *r)
{
        *r = (struct rules){ .image = meta_image_new_empty() };
}

static void rules_fini(struct rules *r)
{
        meta_image_unref(r->image);
}

static void add(struct rules *rules, const struct meta_acl_entry *e)
{
        struct meta_builder b;
        struct meta_record r;

        if (pmap_get(&rules->image->acls, e))
                return;
        meta_record_init(&r, META_ACL);
        store_be32(r.acl.id.b, (uint32_t)++rules->count);
        r.acl.resource_type = e->resource_type;
        r.acl.pattern_type = e->pattern_type;
        r.acl.resource_name = e->resource_name;
        r.acl.principal = e->principal;
        r.acl.host = e->host;
        r.acl.operation = e->operation;
        r.acl.permission = e->permission;
        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, rules->image), 0);
        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, 1), 0);
        meta_image_unref(rules->image);
        rules->image = meta_builder_finish(&b, 1, 1);
}

static struct meta_acl_entry rule(enum acl_permission permission, const char *principal, enum acl_operation op,
                                  enum acl_resource type, enum acl_pattern pattern, const char *name, const char *host)
{
        return (struct meta_acl_entry){
                .resource_type = (int8_t)type,
                .pattern_type = (int8_t)pattern,
                .operation = (int8_t)op,
                .permission = (int8_t)permission,
                .resource_name = str_of(name),
                .principal = str_of(principal),
                .host = str_of(host),
        };
}

#define ADD(r, ...) add(r, &(struct meta_acl_entry[]){ rule(__VA_ARGS__) }[0])

static struct authorizer_verdict ask(const struct authorizer *a, const struct rules *r, const char *principal,
                                     const char *host, enum acl_operation op, enum acl_resource type, const char *name)
{
        CLEANUP(principal_unrefp) struct principal *p = NULL;
        struct authorizer_subject who = { .host = str_of(host) };
        struct authorizer_object what = { type, str_of(name) };

        CU_ASSERT_EQUAL_FATAL(principal_parse(str_of(principal), &p), 0);
        who.principal = p;
        return authorizer_ask(a, &r->image->acls, &who, op, &what);
}

#define MAY(who, op, name) ask(a, &r, who, "10.0.0.1", op, ACL_TOPIC, name).is_allowed

static void test_rules(void)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct rules r;

        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT("User:root; User:CN=a,O=b"), false, &a), 0);
        CU_ASSERT(!MAY("User:alice", ACL_READ, "t"));
        CU_ASSERT(MAY("User:root", ACL_READ, "t"));
        CU_ASSERT(MAY("User:CN=a,O=b", ACL_ALTER, "t"));
        ADD(&r, ACL_ALLOW, "User:alice", ACL_READ, ACL_TOPIC, ACL_LITERAL, "t", "*");
        CU_ASSERT(MAY("User:alice", ACL_READ, "t"));
        CU_ASSERT(MAY("User:alice", ACL_DESCRIBE, "t"));
        CU_ASSERT(!MAY("User:alice", ACL_WRITE, "t"));
        CU_ASSERT(!MAY("User:alice", ACL_READ, "tt"));
        CU_ASSERT(!MAY("User:bob", ACL_READ, "t"));
        ADD(&r, ACL_ALLOW, "User:*", ACL_ALL, ACL_TOPIC, ACL_PREFIXED, "te", "10.0.0.1");
        CU_ASSERT(MAY("User:bob", ACL_WRITE, "test"));
        CU_ASSERT(!ask(a, &r, "User:bob", "10.0.0.2", ACL_WRITE, ACL_TOPIC, "test").is_allowed);
        ADD(&r, ACL_DENY, "User:bob", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "*", "*");
        CU_ASSERT(!MAY("User:bob", ACL_WRITE, "test"));
        CU_ASSERT(MAY("User:bob", ACL_READ, "test"));
        /* What denies implies nothing. */
        CU_ASSERT(MAY("User:bob", ACL_DESCRIBE, "test"));
        ADD(&r, ACL_DENY, "User:root", ACL_ALL, ACL_TOPIC, ACL_LITERAL, "t", "*");
        CU_ASSERT(MAY("User:root", ACL_READ, "t"));
        ADD(&r, ACL_ALLOW, "User:carol", ACL_ALTER_CONFIGS, ACL_TOPIC, ACL_LITERAL, "c", "*");
        CU_ASSERT(MAY("User:carol", ACL_DESCRIBE_CONFIGS, "c"));
        CU_ASSERT(!MAY("User:carol", ACL_DESCRIBE, "c"));
        /* A prefix is no wildcard. */
        ADD(&r, ACL_ALLOW, "User:dave", ACL_READ, ACL_TOPIC, ACL_PREFIXED, "*", "*");
        CU_ASSERT(!MAY("User:dave", ACL_READ, "x"));
        rules_fini(&r);
}

static void test_addresses(void)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct rules r;

        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT(""), false, &a), 0);
        ADD(&r, ACL_ALLOW, "User:alice", ACL_READ, ACL_GROUP, ACL_LITERAL, "g", "0:0:0:0:0:0:0:1");
        CU_ASSERT(ask(a, &r, "User:alice", "::1", ACL_READ, ACL_GROUP, "g").is_allowed);
        CU_ASSERT(!ask(a, &r, "User:alice", "::2", ACL_READ, ACL_GROUP, "g").is_allowed);
        CU_ASSERT(!ask(a, &r, "User:alice", "::1", ACL_READ, ACL_TOPIC, "g").is_allowed);
        rules_fini(&r);
}

static void test_without_rules(void)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct rules r;

        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT(""), true, &a), 0);
        CU_ASSERT(MAY("User:alice", ACL_READ, "t"));
        CU_ASSERT_EQUAL(ask(a, &r, "User:alice", "h", ACL_READ, ACL_TOPIC, "t").rule, AUTHORIZER_NO_ACL_FOUND);
        ADD(&r, ACL_ALLOW, "User:bob", ACL_READ, ACL_TOPIC, ACL_PREFIXED, "t", "*");
        CU_ASSERT(!MAY("User:alice", ACL_READ, "t"));
        CU_ASSERT(!MAY("User:alice", ACL_READ, "tt"));
        CU_ASSERT(MAY("User:alice", ACL_READ, "u"));
        rules_fini(&r);
}

static void test_super_users(void)
{
        struct authorizer *a = NULL;

        CU_ASSERT_EQUAL(authorizer_new(STR_LIT("root"), false, &a), -EINVAL);
        CU_ASSERT_EQUAL(authorizer_new(STR_LIT("User:a;User:"), false, &a), -EINVAL);
        CU_ASSERT_PTR_NULL(a);
        CU_ASSERT_EQUAL(authorizer_new(STR_LIT(";;User:a;"), false, &a), 0);
        authorizer_free(a);
}

/* ---- beside a model ---- */

static const char *const names[] = { "*",  "a",  "b", "ab",       "aa",   "aab", "aaba",     "abab",
                                     "ba", "bb", "c", "hardcode", "hard", "b*",  "\xff\x01", "aaa" };
static const char *const principals[] = { "User:x", "User:y", "User:*" };
static const char *const hosts[] = { "*", "10.0.0.1", "::1" };

#define PICK(list) (list)[rng(ARRAY_LEN(list))]

static struct meta_acl_entry random_rule(void)
{
        return rule(rng(3) ? ACL_ALLOW : ACL_DENY, PICK(principals), ACL_ALL + rng(ACL_OPERATIONS_END - ACL_ALL),
                    ACL_TOPIC + rng(2), rng(2) ? ACL_LITERAL : ACL_PREFIXED, PICK(names), PICK(hosts));
}

static bool model_name(const struct meta_acl_entry *e, struct str name)
{
        if (e->pattern_type == ACL_LITERAL)
                return str_equal_c(e->resource_name, "*") || str_equal(e->resource_name, name);
        return name.len >= e->resource_name.len && !memcmp(name.p, e->resource_name.p, e->resource_name.len);
}

static bool model_who(const struct meta_acl_entry *e, const char *principal, const char *host)
{
        return (str_equal_c(e->principal, principal) || str_equal_c(e->principal, "User:*")) &&
               (str_equal_c(e->host, host) || str_equal_c(e->host, "*"));
}

static bool model_operation(const struct meta_acl_entry *e, enum acl_operation op)
{
        bool describes = e->operation == ACL_READ || e->operation == ACL_WRITE || e->operation == ACL_DELETE ||
                         e->operation == ACL_ALTER;

        return e->operation == ACL_ALL || e->operation == (int8_t)op ||
               (e->permission == ACL_ALLOW && ((op == ACL_DESCRIBE && describes) ||
                                               (op == ACL_DESCRIBE_CONFIGS && e->operation == ACL_ALTER_CONFIGS)));
}

static bool model_may(const struct meta_acl_entry *e, int count, bool without, const char *principal, const char *host,
                      enum acl_operation op, enum acl_resource type, const char *name)
{
        bool any = false, allowed = false;

        for (int i = 0; i < count; i++) {
                if (e[i].resource_type != (int8_t)type || !model_name(&e[i], str_of(name)))
                        continue;
                any = true;
                if (!model_who(&e[i], principal, host) || !model_operation(&e[i], op))
                        continue;
                if (e[i].permission == ACL_DENY)
                        return false;
                allowed = true;
        }
        return allowed || (!any && without);
}

/* Kafka's default authorizeByResourceType(), with its lists written out. */
static bool model_may_any(const struct meta_acl_entry *e, int count, bool without, const char *principal,
                          const char *host, enum acl_operation op, enum acl_resource type)
{
        if (model_may(e, count, without, principal, host, op, type, "hardcode"))
                return true;
        for (int pass = 0; pass < 3; pass++)
                for (int i = 0; i < count; i++) {
                        bool dominated = false,
                             all = e[i].pattern_type == ACL_LITERAL && str_equal_c(e[i].resource_name, "*");

                        if (e[i].resource_type != (int8_t)type || !model_who(&e[i], principal, host) ||
                            (e[i].operation != ACL_ALL && e[i].operation != (int8_t)op))
                                continue;
                        if (pass == 0 && all && e[i].permission == ACL_DENY)
                                return false;
                        if (pass == 1 && all && e[i].permission == ACL_ALLOW)
                                return true;
                        if (pass < 2 || e[i].permission == ACL_DENY)
                                continue;
                        for (int k = 0; k < count; k++)
                                dominated |= e[k].resource_type == (int8_t)type && e[k].permission == ACL_DENY &&
                                             model_who(&e[k], principal, host) &&
                                             (e[k].operation == ACL_ALL || e[k].operation == (int8_t)op) &&
                                             (e[k].pattern_type == ACL_PREFIXED
                                                      ? model_name(&e[k], e[i].resource_name)
                                                      : e[i].pattern_type == ACL_LITERAL &&
                                                                str_equal(e[i].resource_name, e[k].resource_name));
                        if (!dominated)
                                return true;
                }
        return false;
}

static bool run_seed(uint64_t seed)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct meta_acl_entry list[64];
        struct rules r;
        bool without, ok = true;
        int count;

        rng_state = seed;
        without = rng(2);
        count = (int)rng(ARRAY_LEN(list));
        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT(""), without, &a), 0);
        for (int i = 0; i < count; i++) {
                list[i] = random_rule();
                add(&r, &list[i]);
        }
        for (int i = 0; i < 300 && ok; i++) {
                const char *who = principals[rng(2)], *host = hosts[1 + rng(2)], *name = PICK(names);
                enum acl_operation op = ACL_READ + rng(ACL_OPERATIONS_END - ACL_READ);
                enum acl_resource type = ACL_TOPIC + rng(2);
                CLEANUP(principal_unrefp) struct principal *p = NULL;

                ok = ask(a, &r, who, host, op, type, name).is_allowed ==
                     model_may(list, count, without, who, host, op, type, name);
                CU_ASSERT_EQUAL_FATAL(principal_parse(str_of(who), &p), 0);
                ok = ok && authorizer_ask_any(a, &r.image->acls, &(struct authorizer_subject){ p, str_of(host) }, op,
                                              type) == model_may_any(list, count, without, who, host, op, type);
        }
        rules_fini(&r);
        if (!ok)
                printf("seed %llu ", (unsigned long long)seed);
        return ok;
}

static void test_random(void)
{
        for (uint64_t seed = 1; seed <= 2000; seed++)
                if (!run_seed(seed)) {
                        CU_FAIL("the model says otherwise");
                        return;
                }
}

static void test_operations(void)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct principal *p = principal_anonymous();
        struct authorizer_subject who = { p, STR_LIT("10.0.0.1") };
        struct authorizer_object what = { ACL_TOPIC, STR_LIT("t") };
        struct rules r;

        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT(""), false, &a), 0);
        CU_ASSERT_EQUAL(authorizer_operations(a, &r.image->acls, &who, &what), 0);
        ADD(&r, ACL_ALLOW, "User:ANONYMOUS", ACL_READ, ACL_TOPIC, ACL_LITERAL, "t", "*");
        CU_ASSERT_EQUAL(authorizer_operations(a, &r.image->acls, &who, &what), 1 << ACL_READ | 1 << ACL_DESCRIBE);
        ADD(&r, ACL_ALLOW, "User:*", ACL_ALL, ACL_TOPIC, ACL_LITERAL, "*", "*");
        CU_ASSERT_EQUAL(authorizer_operations(a, &r.image->acls, &who, &what), acl_operations_of(ACL_TOPIC));
        rules_fini(&r);
}

/* 10,000 rules of which most share a beginning with the name: a question stays a handful of searches. */
static void test_many_rules(void)
{
        CLEANUP(authorizer_freep) struct authorizer *a = NULL;
        struct timespec from, to;
        char name[64], user[32];
        struct rules r;
        double us;

        rules_init(&r);
        CU_ASSERT_EQUAL_FATAL(authorizer_new(STR_LIT(""), false, &a), 0);
        for (int i = 0; i < 10000; i++) {
                snprintf(name, sizeof name, "team-%d.orders-%d", i % 100, i);
                snprintf(user, sizeof user, "User:u%d", i);
                ADD(&r, ACL_ALLOW, user, ACL_READ, ACL_TOPIC, i % 3 ? ACL_PREFIXED : ACL_LITERAL,
                    i % 2 ? name : "team-50.orders", "*");
        }
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int i = 0; i < 10000; i++)
                CU_ASSERT_FATAL(
                        !ask(a, &r, "User:nobody", "10.0.0.1", ACL_READ, ACL_TOPIC, "team-50.orders-50.x").is_allowed);
        clock_gettime(CLOCK_MONOTONIC, &to);
        us = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 1e3 / 10000;
        printf("%.2f us a question ", us);
        CU_ASSERT(us < 100); /* looking at every rule takes some hundreds */
        rules_fini(&r);
}

static const struct unit_case cases[] = {
        { "rules that allow and deny", test_rules },
        { "addresses", test_addresses },
        { "no rule for the resource", test_without_rules },
        { "super users", test_super_users },
        { "random rules beside a model", test_random },
        { "bits of operations", test_operations },
        { "many rules", test_many_rules },
};
UNIT_MAIN("authorizer", cases)
