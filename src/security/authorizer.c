/* See authorizer.h. */
#include "security/authorizer.h"

#include <errno.h>
#include <string.h>

#include "sys/sock.h"

struct authorizer {
        bool allow_without_rules;
        struct principal **super_users;
        size_t super_users_count;
};

enum { TEXT_SIZE = PRINCIPAL_TYPE_LEN_MAX + 1 + PRINCIPAL_NAME_LEN_MAX };

/* One question while it is answered. */
struct question {
        const struct pmap *acls;
        const struct authorizer_subject *who;
        struct str principal; /* as rules name it */
        enum acl_operation operation;
        enum acl_resource type;
        bool is_exact; /* operations imply nothing */
        bool has_rules;
        const struct meta_acl *deny, *allow;
        char text[TEXT_SIZE];
};

/* ---- life ---- */

static int add_super_user(struct authorizer *a, struct str text)
{
        struct principal **grown = realloc(a->super_users, (a->super_users_count + 1) * sizeof(struct principal *));
        int r;

        if (!grown)
                return -ENOMEM;
        a->super_users = grown;
        r = principal_parse(text, &grown[a->super_users_count]);
        a->super_users_count += !r;
        return r;
}

static struct str trimmed(struct str s)
{
        while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
                s = (struct str){ s.p + 1, s.len - 1 };
        while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
                s.len--;
        return s;
}

int authorizer_new(struct str super_users, bool allow_without_rules, struct authorizer **ret_authorizer)
{
        CLEANUP(authorizer_freep) struct authorizer *a = calloc(1, sizeof *a);
        int r = a ? 0 : -ENOMEM;

        if (r)
                return r;
        a->allow_without_rules = allow_without_rules;
        while (!r && super_users.len) {
                const char *end = memchr(super_users.p, ';', super_users.len);
                size_t len = end ? (size_t)(end - super_users.p) : super_users.len;
                struct str one = trimmed((struct str){ super_users.p, len });

                if (one.len)
                        r = add_super_user(a, one);
                len += end != NULL;
                super_users = (struct str){ super_users.p + len, super_users.len - len };
        }
        if (r)
                return r;
        *ret_authorizer = TAKE_PTR(a);
        return 0;
}

struct authorizer *authorizer_free(struct authorizer *a)
{
        if (!a)
                return NULL;
        for (size_t i = 0; i < a->super_users_count; i++)
                principal_unref(a->super_users[i]);
        free(a->super_users);
        free(a);
        return NULL;
}

static bool is_super_user(const struct authorizer *a, const struct principal *p)
{
        for (size_t i = 0; i < a->super_users_count; i++)
                if (principal_equals(a->super_users[i], p))
                        return true;
        return false;
}

/* ---- whether a rule counts ---- */

/* Rules say an IPv6 address in whatever form their author liked; Kafka's, for one, never shortens it. */
static bool host_matches(struct str rule, struct str host)
{
        char text[SOCK_TEXT_SIZE];

        if (str_equal_c(rule, ACL_WILDCARD) || str_equal(rule, host))
                return true;
        return memchr(rule.p, ':', rule.len) && !sock_canonical_host(rule, text) && str_equal(str_of(text), host);
}

static bool operation_matches(const struct meta_acl_entry *e, const struct question *q)
{
        if (e->operation == ACL_ALL || e->operation == (int8_t)q->operation)
                return true;
        if (e->permission != ACL_ALLOW || q->is_exact)
                return false;
        if (q->operation == ACL_DESCRIBE_CONFIGS)
                return e->operation == ACL_ALTER_CONFIGS;
        return q->operation == ACL_DESCRIBE && (e->operation == ACL_READ || e->operation == ACL_WRITE ||
                                                e->operation == ACL_DELETE || e->operation == ACL_ALTER);
}

static bool counts(const struct meta_acl_entry *e, const struct question *q)
{
        return operation_matches(e, q) && host_matches(e->host, q->who->host);
}

/* ---- finding rules ---- */

static const struct meta_acl *first_from(struct pmap_iter *it, const struct pmap *acls,
                                         const struct meta_acl_entry *from)
{
        pmap_iter_init(it, acls, from);
        return pmap_next(it);
}

static bool is_of(const struct meta_acl *a, const struct meta_acl_entry *pattern)
{
        return a && a->entry.resource_type == pattern->resource_type &&
               a->entry.pattern_type == pattern->pattern_type &&
               str_equal(a->entry.resource_name, pattern->resource_name);
}

/* The rules of one pattern for one principal. */
static void look_principal(struct question *q, const struct meta_acl_entry *pattern, struct str principal)
{
        struct meta_acl_entry from = *pattern;
        const struct meta_acl *a;
        struct pmap_iter it;

        from.principal = principal;
        for (a = first_from(&it, q->acls, &from); is_of(a, pattern) && str_equal(a->entry.principal, principal);
             a = pmap_next(&it)) {
                q->has_rules = true;
                if (!counts(&a->entry, q))
                        continue;
                if (a->entry.permission == ACL_DENY) {
                        q->deny = a;
                        return;
                }
                q->allow = a;
        }
}

/* The rules of one pattern. */
static void look_pattern(struct question *q, enum acl_pattern pattern_type, struct str name)
{
        struct meta_acl_entry pattern = {
                .resource_type = (int8_t)q->type,
                .pattern_type = (int8_t)pattern_type,
                .resource_name = name,
                .principal = STR_LIT(""),
                .host = STR_LIT(""),
        };
        struct pmap_iter it;

        if (!is_of(first_from(&it, q->acls, &pattern), &pattern))
                return;
        q->has_rules = true;
        look_principal(q, &pattern, q->principal);
        if (!q->deny)
                look_principal(q, &pattern, STR_LIT(ACL_EVERYBODY));
}

static size_t common_len(struct str a, struct str b)
{
        size_t n = 0, max = MIN2(a.len, b.len);

        while (n < max && a.p[n] == b.p[n])
                n++;
        return n;
}

/* The shortest prefix of @name that is at least @len long and has rules; 0: none. Names between two prefixes are passed over at one
 * go: the first name that is not before a prefix shows how far the next one must reach. */
static size_t next_prefix(const struct pmap *acls, enum acl_resource type, struct str name, size_t len)
{
        while (len <= name.len) {
                struct meta_acl_entry from = {
                        .resource_type = (int8_t)type,
                        .pattern_type = ACL_PREFIXED,
                        .resource_name = { name.p, len },
                        .principal = STR_LIT(""),
                        .host = STR_LIT(""),
                };
                struct pmap_iter it;
                const struct meta_acl *a = first_from(&it, acls, &from);
                struct str found;
                size_t common;

                if (!a || a->entry.resource_type != from.resource_type || a->entry.pattern_type != ACL_PREFIXED)
                        return 0;
                found = a->entry.resource_name;
                common = common_len(found, name);
                if (common == found.len)
                        return common;
                /* It is behind all prefixes that are left, or before those that are longer than what both begin with. */
                if (common < len || common == name.len || (uint8_t)found.p[common] > (uint8_t)name.p[common])
                        return 0;
                len = common + 1;
        }
        return 0;
}

static void look_prefixes(struct question *q, struct str name)
{
        for (size_t len = 1; !q->deny && (len = next_prefix(q->acls, q->type, name, len)); len++)
                look_pattern(q, ACL_PREFIXED, (struct str){ name.p, len });
}

static void question_init(struct question *q, const struct pmap *acls, const struct authorizer_subject *who,
                          enum acl_operation operation, enum acl_resource type)
{
        const struct principal *p = who->principal;
        size_t len = p->type.len;

        *q = (struct question){ .acls = acls, .who = who, .operation = operation, .type = type };
        assert(p->type.len + 1 + p->name.len <= sizeof q->text);
        memcpy(q->text, p->type.p, len);
        q->text[len++] = ':';
        memcpy(q->text + len, p->name.p, p->name.len);
        q->principal = (struct str){ q->text, len + p->name.len };
}

static void look(struct question *q, struct str name)
{
        q->deny = q->allow = NULL;
        q->has_rules = false;
        if (!q->acls->count)
                return;
        look_pattern(q, ACL_LITERAL, name);
        if (!q->deny && !str_equal_c(name, ACL_WILDCARD))
                look_pattern(q, ACL_LITERAL, STR_LIT(ACL_WILDCARD));
        look_prefixes(q, name);
}

static struct authorizer_verdict verdict_of(const struct authorizer *a, const struct question *q)
{
        if (q->deny)
                return (struct authorizer_verdict){ false, AUTHORIZER_ACL, q->deny };
        if (q->allow)
                return (struct authorizer_verdict){ true, AUTHORIZER_ACL, q->allow };
        if (!q->has_rules && a->allow_without_rules)
                return (struct authorizer_verdict){ true, AUTHORIZER_NO_ACL_FOUND, NULL };
        return (struct authorizer_verdict){ false, AUTHORIZER_DEFAULT_DENY, NULL };
}

struct authorizer_verdict authorizer_ask(const struct authorizer *a, const struct pmap *acls,
                                         const struct authorizer_subject *who, enum acl_operation operation,
                                         const struct authorizer_object *what)
{
        struct question q;

        if (is_super_user(a, who->principal))
                return (struct authorizer_verdict){ true, AUTHORIZER_SUPER_USER, NULL };
        question_init(&q, acls, who, operation, what->type);
        look(&q, what->name);
        return verdict_of(a, &q);
}

uint32_t authorizer_operations(const struct authorizer *a, const struct pmap *acls,
                               const struct authorizer_subject *who, const struct authorizer_object *what)
{
        uint32_t all = acl_operations_of(what->type), may = 0;

        for (int op = 0; op < ACL_OPERATIONS_END; op++)
                if (all & 1u << op && authorizer_ask(a, acls, who, (enum acl_operation)op, what).is_allowed)
                        may |= 1u << op;
        return may;
}

/* ---- any resource of a type ---- */

/* Is what the rule @e allows denied as a whole by others: by a prefix of its name, or, when it is for one name, by that name? */
static bool is_dominated(struct question *q, const struct meta_acl_entry *e)
{
        q->deny = NULL;
        if (e->pattern_type == ACL_LITERAL)
                look_pattern(q, ACL_LITERAL, e->resource_name);
        look_prefixes(q, e->resource_name);
        return q->deny;
}

static bool is_for(const struct question *q, const struct meta_acl_entry *e)
{
        return (str_equal(e->principal, q->principal) || str_equal_c(e->principal, ACL_EVERYBODY)) && counts(e, q);
}

bool authorizer_ask_any(const struct authorizer *a, const struct pmap *acls, const struct authorizer_subject *who,
                        enum acl_operation operation, enum acl_resource type)
{
        const struct meta_acl_entry from = { .resource_type = (int8_t)type,
                                             .resource_name = STR_LIT(""),
                                             .principal = STR_LIT(""),
                                             .host = STR_LIT("") };
        const struct meta_acl *acl;
        struct pmap_iter it;
        struct question q;

        /* As Kafka: a name that nobody has stands for any, so that super users and what holds for all names count first. */
        if (authorizer_ask(a, acls, who, operation, &(struct authorizer_object){ type, STR_LIT("hardcode") })
                    .is_allowed)
                return true;
        question_init(&q, acls, who, operation, type);
        q.is_exact = true;
        look_pattern(&q, ACL_LITERAL, STR_LIT(ACL_WILDCARD));
        if (q.deny)
                return false;
        if (q.allow)
                return true;
        for (acl = first_from(&it, acls, &from); acl && acl->entry.resource_type == (int8_t)type; acl = pmap_next(&it))
                if (acl->entry.permission == ACL_ALLOW && is_for(&q, &acl->entry) && !is_dominated(&q, &acl->entry))
                        return true;
        return false;
}
