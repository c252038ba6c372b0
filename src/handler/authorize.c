/* See authorize.h.
 *
 * The table of a reactor is of a fixed size and each question has one place in it: what was remembered there before is forgotten. An
 * entry says whom, from where, what and which resource it is about, and all of that is compared, so that a hash says nothing by itself. A
 * table belongs to one map of rules, which it holds: when the newest image has another one, all entries are void. */
#include "handler/authorize.h"

#include <errno.h>

#include "conf/limits.h"
#include "handler/internal.h"
#include "obs/expo.h"
#include "sys/diag.h"

enum {
        ENTRIES = 4096,
        NAME_LEN_MAX = LIMIT_TOPIC_NAME_LEN, /* longer names, of groups perhaps, are asked about each time */
};

struct entry {
        struct principal *principal; /* a reference; NULL: never used */
        uint64_t hash;
        uint32_t version; /* of the table */
        uint8_t operation, type, name_len, host_len;
        bool is_allowed;
        char host[SOCK_TEXT_SIZE];
        char name[NAME_LEN_MAX];
};

struct table {
        struct pmap acls; /* that the entries are true of; a reference */
        uint32_t version;
        struct entry *entries; /* NULL until something is remembered */
} __attribute__((aligned(64)));

struct authorization {
        struct authorizer *authorizer;
        uint64_t seed;
        unsigned reactors_count;
        struct table *tables; /* of each reactor */
        _Atomic uint64_t denied[ACL_RESOURCES_END][ACL_OPERATIONS_END];
        struct diag_limit limits[ACL_RESOURCES_END][ACL_OPERATIONS_END];
};

/* ---- life ---- */

int authorization_new(const struct conf *conf, unsigned reactors_count, struct authorization **ret_authorization)
{
        struct authorization *a;
        int r;

        *ret_authorization = NULL;
        if (conf->security.authorizer == CONF_AUTHORIZER_NONE)
                return 0;
        a = calloc(1, sizeof *a);
        if (!a)
                return -ENOMEM;
        a->seed = random_u64();
        a->reactors_count = reactors_count;
        if (posix_memalign((void **)&a->tables, 64, reactors_count * sizeof *a->tables)) {
                free(a);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < reactors_count; i++) {
                a->tables[i] = (struct table){ .version = 1 };
                pmap_init(&a->tables[i].acls, &meta_acls_ops);
        }
        r = authorizer_new(str_of(conf->security.super_users), conf->security.allow_everyone_if_no_acl_found,
                           &a->authorizer);
        if (r) {
                authorization_free(a);
                return r;
        }
        *ret_authorization = a;
        return 0;
}

struct authorization *authorization_free(struct authorization *a)
{
        if (!a)
                return NULL;
        for (unsigned i = 0; i < a->reactors_count; i++) {
                struct table *t = &a->tables[i];

                for (size_t k = 0; t->entries && k < ENTRIES; k++)
                        principal_unref(t->entries[k].principal);
                free(t->entries);
                pmap_fini(&t->acls);
        }
        free(a->tables);
        authorizer_free(a->authorizer);
        free(a);
        return NULL;
}

void authorization_warn(const struct authorization *a, const struct conf *conf, const struct meta_image *image)
{
        if (a && !image->acls.count && !conf->security.super_users[0] && !conf->security.allow_everyone_if_no_acl_found)
                diag(DIAG_NOTICE, "security.authorizer is standard, and there are neither security.super_users nor "
                                  "rules of access: no "
                                  "client may do anything. `chronik-ctl acl add` makes the first rule");
}

void authorization_expose(const struct authorization *a, struct strbuf *out)
{
        if (!a)
                return;
        expo_family(out, "chronik_authorization_denied_total", "counter",
                    "What clients asked for and may not do, by kind of resource and operation.");
        for (int type = ACL_TOPIC; type < ACL_RESOURCES_END; type++)
                for (int op = ACL_ALL; op < ACL_OPERATIONS_END; op++) {
                        uint64_t n = atomic_load_explicit(&a->denied[type][op], memory_order_relaxed);

                        if (n)
                                expo_value(out, "chronik_authorization_denied_total", "",
                                           (struct expo_label[]){ { "resource", str_of(acl_resource_name(type)) },
                                                                  { "operation", str_of(acl_operation_name(op)) },
                                                                  { 0 } },
                                           (double)n);
                }
}

/* ---- who asks ---- */

const struct authorizer *authorization_authorizer(const struct authorization *a)
{
        return a ? a->authorizer : NULL;
}

struct authorizer_subject authorization_subject(const struct rq *rq)
{
        return (struct authorizer_subject){ rq->principal, str_of(net_conn_peer_host(rq->net.conn)) };
}

/* ---- what is remembered ---- */

static uint64_t mix(uint64_t hash, struct str text)
{
        for (size_t i = 0; i < text.len; i++)
                hash = (hash ^ (uint8_t)text.p[i]) * 0x100000001b3u;
        return (hash ^ text.len) * 0x9e3779b97f4a7c15u;
}

static uint64_t hash_of(const struct authorization *a, const struct authorizer_subject *who, enum acl_operation op,
                        const struct authorizer_object *what)
{
        uint64_t hash = mix(a->seed, what->name);

        hash = mix(hash, who->principal->name);
        hash = mix(hash ^ (uint64_t)op << 8 ^ (uint64_t)what->type, who->host);
        return hash ^ hash >> 32;
}

static bool is_about(const struct entry *e, const struct authorizer_subject *who, enum acl_operation op,
                     const struct authorizer_object *what)
{
        return e->operation == (uint8_t)op && e->type == (uint8_t)what->type && e->name_len == what->name.len &&
               e->host_len == who->host.len && !memcmp(e->name, what->name.p, what->name.len) &&
               !memcmp(e->host, who->host.p, who->host.len) &&
               (e->principal == who->principal || principal_equals(e->principal, who->principal));
}

/* The entry's place; NULL: nothing can be remembered of it. */
static struct entry *place_of(struct table *t, uint64_t hash, const struct authorizer_subject *who,
                              const struct authorizer_object *what)
{
        if (what->name.len > NAME_LEN_MAX || !what->name.len || who->host.len > SOCK_TEXT_SIZE)
                return NULL;
        if (!t->entries)
                t->entries = calloc(ENTRIES, sizeof *t->entries);
        return t->entries ? &t->entries[hash % ENTRIES] : NULL;
}

static void remember(struct entry *e, uint64_t hash, uint32_t version, const struct authorizer_subject *who,
                     enum acl_operation op, const struct authorizer_object *what, bool is_allowed)
{
        if (e->principal != who->principal) {
                principal_unref(e->principal);
                e->principal = principal_ref((struct principal *)(uintptr_t)who->principal);
        }
        e->hash = hash;
        e->version = version;
        e->operation = (uint8_t)op;
        e->type = (uint8_t)what->type;
        e->name_len = (uint8_t)what->name.len;
        e->host_len = (uint8_t)who->host.len;
        e->is_allowed = is_allowed;
        memcpy(e->name, what->name.p, what->name.len);
        memcpy(e->host, who->host.p, who->host.len);
}
static_assert(NAME_LEN_MAX <= UINT8_MAX, "lengths of names fit an entry");

/* The newest rules on this reactor, which are those of the request or newer ones. */
static const struct pmap *rules_of(const struct rq *rq)
{
        const struct meta_image *newest = handler_image_peek(rq->h, net_conn_reactor(rq->net.conn));

        return newest ? &newest->acls : &rq->image->acls;
}

static struct table *table_of(struct rq *rq)
{
        struct table *t = &rq->h->authorization->tables[net_conn_reactor(rq->net.conn)];
        const struct pmap *acls = rules_of(rq);

        if (t->acls.root != acls->root) {
                pmap_fini(&t->acls);
                t->acls = pmap_copy(acls);
                t->version++;
        }
        return t;
}

static bool ask(struct rq *rq, enum acl_operation op, const struct authorizer_object *what)
{
        struct authorization *a = rq->h->authorization;
        struct authorizer_subject who = authorization_subject(rq);
        struct table *t = table_of(rq);
        uint64_t hash = hash_of(a, &who, op, what);
        struct entry *e = place_of(t, hash, &who, what);
        bool is_allowed;

        if (e && e->version == t->version && e->hash == hash && is_about(e, &who, op, what))
                return e->is_allowed;
        is_allowed = authorizer_ask(a->authorizer, &t->acls, &who, op, what).is_allowed;
        if (e)
                remember(e, hash, t->version, &who, op, what, is_allowed);
        return is_allowed;
}

/* ---- asking ---- */

static const char *article_of(enum acl_resource type)
{
        return type == ACL_CLUSTER ? "the cluster" : acl_resource_name(type);
}

static void deny(const struct rq *rq, enum acl_operation op, const struct authorizer_object *what)
{
        struct authorization *a = rq->h->authorization;
        const struct principal *p = rq->principal;
        struct str name = what->type == ACL_CLUSTER ? STR_LIT("") : what->name;

        audit_denied(rq, op, what->type, what->name);
        atomic_fetch_add_explicit(&a->denied[what->type][op], 1, memory_order_relaxed);
        diag_say_(&a->limits[what->type][op], DIAG_NOTICE,
                  DIAG_ABOUT(ACCESS_DENIED, { "USER", .text = p->name },
                             { "CLIENT", .text = str_of(net_conn_peer(rq->net.conn)) },
                             { "OPERATION", .text = str_of(acl_operation_name(op)) },
                             { "RESOURCE", .text = str_of(acl_resource_name(what->type)) },
                             { "NAME", .text = what->name }, { "API", .text = str_of(rq->api->name) }),
                  "%.*s:%.*s at %s may not %s %s%s%.*s (%s): no rule of access allows it, or one denies it. "
                  "`chronik-ctl acl list` shows the rules",
                  STR_FMT(p->type), STR_FMT(p->name), net_conn_peer(rq->net.conn), acl_operation_name(op),
                  article_of(what->type), name.len ? " " : "", (int)MIN2(name.len, (size_t)LIMIT_TOPIC_NAME_LEN),
                  name.len ? name.p : "", rq->api->name);
}

bool authorize(struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name)
{
        struct authorizer_object what = { type, name };

        if (likely(!rq->h->authorization))
                return true;
        if (ask(rq, operation, &what)) {
                audit_granted(rq, operation, type, name);
                return true;
        }
        deny(rq, operation, &what);
        return false;
}

bool authorize_quietly(struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name)
{
        return likely(!rq->h->authorization) || ask(rq, operation, &(struct authorizer_object){ type, name });
}

bool authorize_cluster(struct rq *rq, enum acl_operation operation)
{
        return authorize(rq, operation, ACL_CLUSTER, STR_LIT(ACL_CLUSTER_NAME));
}

bool authorize_cluster_quietly(struct rq *rq, enum acl_operation operation)
{
        return authorize_quietly(rq, operation, ACL_CLUSTER, STR_LIT(ACL_CLUSTER_NAME));
}

bool authorize_cluster_first(struct rq *rq, enum acl_operation operation)
{
        if (!authorize_cluster_quietly(rq, operation))
                return false;
        if (rq->h->authorization)
                audit_granted(rq, operation, ACL_CLUSTER, STR_LIT(ACL_CLUSTER_NAME));
        return true;
}

bool authorize_any(struct rq *rq, enum acl_operation operation, enum acl_resource type)
{
        const struct authorization *a = rq->h->authorization;
        struct authorizer_subject who;

        if (!a)
                return true;
        who = authorization_subject(rq);
        if (authorizer_ask_any(a->authorizer, rules_of(rq), &who, operation, type)) {
                audit_granted(rq, operation, type, STR_LIT("*"));
                return true;
        }
        deny(rq, operation, &(struct authorizer_object){ type, STR_LIT("*") });
        return false;
}

int32_t authorized_operations(struct rq *rq, enum acl_resource type, struct str name)
{
        uint32_t all = acl_operations_of(type), may = 0;

        if (!rq->h->authorization)
                return (int32_t)all;
        for (int op = 0; op < ACL_OPERATIONS_END; op++)
                if (all & 1u << op && authorize_quietly(rq, (enum acl_operation)op, type, name))
                        may |= 1u << op;
        return (int32_t)may;
}

int32_t authorized_cluster_operations(struct rq *rq)
{
        if (!authorize_cluster_quietly(rq, ACL_DESCRIBE))
                return 0;
        return authorized_operations(rq, ACL_CLUSTER, STR_LIT(ACL_CLUSTER_NAME));
}

int16_t error_of_authorization(enum acl_resource type)
{
        switch (type) {
        case ACL_TOPIC:
                return KERR_TOPIC_AUTHORIZATION_FAILED;
        case ACL_GROUP:
                return KERR_GROUP_AUTHORIZATION_FAILED;
        case ACL_TRANSACTIONAL_ID:
                return KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        case ACL_DELEGATION_TOKEN:
                return KERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED;
        default:
                return KERR_CLUSTER_AUTHORIZATION_FAILED;
        }
}
