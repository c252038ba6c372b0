/* See acl.h. */
#include "security/acl.h"

#include <string.h>

#include "security/principal.h"

/* Texts are kept for as long as the rule is, on every node: longer ones are no addresses or names that anything has. */
enum { RESOURCE_NAME_LEN_MAX = 4096, HOST_LEN_MAX = 255 };

static const char *const resource_names[ACL_RESOURCES_END] = {
        "UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER",
};
static const char *const pattern_names[ACL_PATTERNS_END] = { "UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED" };
static const char *const permission_names[ACL_PERMISSIONS_END] = { "UNKNOWN", "ANY", "DENY", "ALLOW" };
static const char *const operation_names[ACL_OPERATIONS_END] = {
        "UNKNOWN",
        "ANY",
        "ALL",
        "READ",
        "WRITE",
        "CREATE",
        "DELETE",
        "ALTER",
        "DESCRIBE",
        "CLUSTER_ACTION",
        "DESCRIBE_CONFIGS",
        "ALTER_CONFIGS",
        "IDEMPOTENT_WRITE",
        "CREATE_TOKENS",
        "DESCRIBE_TOKENS",
        "TWO_PHASE_COMMIT",
};

static const char *name_at(const char *const *names, int count, int at)
{
        return at >= 0 && at < count ? names[at] : "?";
}

static int place_of(const char *const *names, int count, struct str name)
{
        for (int i = 1; i < count; i++)
                if (name.len == strlen(names[i]) && !strncasecmp(name.p, names[i], name.len))
                        return i;
        return 0;
}

const char *acl_resource_name(int resource)
{
        return name_at(resource_names, ACL_RESOURCES_END, resource);
}

const char *acl_operation_name(int operation)
{
        return name_at(operation_names, ACL_OPERATIONS_END, operation);
}

const char *acl_pattern_name(int pattern)
{
        return name_at(pattern_names, ACL_PATTERNS_END, pattern);
}

const char *acl_permission_name(int permission)
{
        return name_at(permission_names, ACL_PERMISSIONS_END, permission);
}

int acl_resource_of(struct str name)
{
        return place_of(resource_names, ACL_RESOURCES_END, name);
}

int acl_operation_of(struct str name)
{
        return place_of(operation_names, ACL_OPERATIONS_END, name);
}

int acl_pattern_of(struct str name)
{
        return place_of(pattern_names, ACL_PATTERNS_END, name);
}

int acl_permission_of(struct str name)
{
        return place_of(permission_names, ACL_PERMISSIONS_END, name);
}

const char *acl_check(const struct meta_acl_entry *e)
{
        if (e->resource_type < ACL_TOPIC || e->resource_type >= ACL_RESOURCES_END)
                return "A rule is for a topic (2), a group (3), the cluster (4), a transactional id (5), a delegation "
                       "token (6) "
                       "or a user (7).";
        if (e->pattern_type != ACL_LITERAL && e->pattern_type != ACL_PREFIXED)
                return "The pattern of a rule is literal (3) or prefixed (4).";
        if (e->operation < ACL_ALL || e->operation >= ACL_OPERATIONS_END)
                return "The operation of a rule is one, or all (2 to 15).";
        if (e->permission != ACL_DENY && e->permission != ACL_ALLOW)
                return "A rule denies (2) or allows (3).";
        if (!e->resource_name.len)
                return "The name of the resource is empty; every resource is '*'.";
        if (e->resource_name.len > RESOURCE_NAME_LEN_MAX)
                return "The name of the resource is longer than 4096 bytes.";
        if (e->resource_type == ACL_CLUSTER && !str_equal_c(e->resource_name, ACL_CLUSTER_NAME))
                return "The only valid name for the CLUSTER resource is " ACL_CLUSTER_NAME ".";
        if (!e->principal.len || !memchr(e->principal.p, ':', e->principal.len))
                return "A principal is a type, a colon and a name: User:alice, or User:* for everybody.";
        if (e->principal.len > PRINCIPAL_TYPE_LEN_MAX + 1 + PRINCIPAL_NAME_LEN_MAX)
                return "The principal is longer than any principal is.";
        if (!e->host.len)
                return "The host is empty; any host is '*'.";
        if (e->host.len > HOST_LEN_MAX)
                return "The host is longer than 255 bytes; it is an address, or '*'.";
        return NULL;
}

const char *acl_filter_check(const struct acl_filter *f)
{
        if (f->resource_type <= ACL_RESOURCE_UNKNOWN || f->resource_type >= ACL_RESOURCES_END)
                return "The filter's resource type is none that is known; any is 1.";
        if (f->pattern_type <= ACL_PATTERN_UNKNOWN || f->pattern_type >= ACL_PATTERNS_END)
                return "The filter's pattern type is none that is known; any is 1, what counts for a name is 2.";
        if (f->operation <= ACL_OPERATION_UNKNOWN || f->operation >= ACL_OPERATIONS_END)
                return "The filter's operation is none that is known; any is 1.";
        if (f->permission <= ACL_PERMISSION_UNKNOWN || f->permission >= ACL_PERMISSIONS_END)
                return "The filter's permission is none that is known; any is 1.";
        return NULL;
}

static bool begins_with(struct str s, struct str prefix)
{
        return prefix.len <= s.len && !memcmp(s.p, prefix.p, prefix.len);
}

static bool name_matches(const struct acl_filter *f, const struct meta_acl_entry *e)
{
        if (str_is_null(f->resource_name))
                return true;
        if (f->pattern_type != ACL_PATTERN_MATCH || str_equal(f->resource_name, e->resource_name))
                return str_equal(f->resource_name, e->resource_name);
        if (e->pattern_type == ACL_PREFIXED)
                return begins_with(f->resource_name, e->resource_name);
        return str_equal_c(e->resource_name, ACL_WILDCARD);
}

static bool is_one_of(int8_t wanted, int8_t any, int8_t is)
{
        return wanted == any || wanted == is;
}

bool acl_filter_matches(const struct acl_filter *f, const struct meta_acl_entry *e)
{
        return is_one_of(f->resource_type, ACL_RESOURCE_ANY, e->resource_type) &&
               (f->pattern_type == ACL_PATTERN_MATCH || is_one_of(f->pattern_type, ACL_PATTERN_ANY, e->pattern_type)) &&
               is_one_of(f->operation, ACL_OPERATION_ANY, e->operation) &&
               is_one_of(f->permission, ACL_PERMISSION_ANY, e->permission) &&
               (str_is_null(f->principal) || str_equal(f->principal, e->principal)) &&
               (str_is_null(f->host) || str_equal(f->host, e->host)) && name_matches(f, e);
}

#define BIT(operation) (1u << ACL_##operation)

uint32_t acl_operations_of(enum acl_resource resource)
{
        switch (resource) {
        case ACL_TOPIC:
                return BIT(READ) | BIT(WRITE) | BIT(CREATE) | BIT(DELETE) | BIT(ALTER) | BIT(DESCRIBE) |
                       BIT(DESCRIBE_CONFIGS) | BIT(ALTER_CONFIGS);
        case ACL_GROUP:
                return BIT(READ) | BIT(DELETE) | BIT(DESCRIBE) | BIT(DESCRIBE_CONFIGS) | BIT(ALTER_CONFIGS);
        case ACL_CLUSTER:
                return BIT(CREATE) | BIT(ALTER) | BIT(DESCRIBE) | BIT(CLUSTER_ACTION) | BIT(DESCRIBE_CONFIGS) |
                       BIT(ALTER_CONFIGS) | BIT(IDEMPOTENT_WRITE);
        case ACL_TRANSACTIONAL_ID:
                return BIT(DESCRIBE) | BIT(WRITE) | BIT(TWO_PHASE_COMMIT);
        case ACL_DELEGATION_TOKEN:
                return BIT(DESCRIBE);
        case ACL_USER:
                return BIT(CREATE_TOKENS) | BIT(DESCRIBE_TOKENS);
        default:
                return 0;
        }
}
