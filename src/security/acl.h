/* Rules of access: what their numbers mean, which rules there can be, and which of them a filter means. Pure; any thread.
 * Sources: KIP-11, KIP-140 (creating, describing, deleting), KIP-290 (prefixes). */
#pragma once

#include "meta/acl.h"

/* Numbers are the protocol's, in all of these. */
enum acl_resource {
        ACL_RESOURCE_UNKNOWN,
        ACL_RESOURCE_ANY, /* in filters only */
        ACL_TOPIC,
        ACL_GROUP,
        ACL_CLUSTER,
        ACL_TRANSACTIONAL_ID,
        ACL_DELEGATION_TOKEN,
        ACL_USER,
        ACL_RESOURCES_END
};

enum acl_pattern {
        ACL_PATTERN_UNKNOWN,
        ACL_PATTERN_ANY,   /* in filters only, as ACL_PATTERN_MATCH */
        ACL_PATTERN_MATCH, /* whatever would count for the resource of that name */
        ACL_LITERAL,       /* the name as it is; "*" is every name */
        ACL_PREFIXED,      /* every name that begins so */
        ACL_PATTERNS_END
};

enum acl_operation {
        ACL_OPERATION_UNKNOWN,
        ACL_OPERATION_ANY, /* in filters only */
        ACL_ALL,
        ACL_READ,
        ACL_WRITE,
        ACL_CREATE,
        ACL_DELETE,
        ACL_ALTER,
        ACL_DESCRIBE,
        ACL_CLUSTER_ACTION,
        ACL_DESCRIBE_CONFIGS,
        ACL_ALTER_CONFIGS,
        ACL_IDEMPOTENT_WRITE,
        ACL_CREATE_TOKENS,
        ACL_DESCRIBE_TOKENS,
        ACL_TWO_PHASE_COMMIT,
        ACL_OPERATIONS_END
};

enum acl_permission {
        ACL_PERMISSION_UNKNOWN,
        ACL_PERMISSION_ANY, /* in filters only */
        ACL_DENY,
        ACL_ALLOW,
        ACL_PERMISSIONS_END
};

/* The one resource of type ACL_CLUSTER. */
#define ACL_CLUSTER_NAME "kafka-cluster"
#define ACL_EVERYBODY "User:*"
#define ACL_WILDCARD "*"

/* "TOPIC", "READ"...: names for people and logs; "?" for what is no such number. */
const char *acl_resource_name(int resource);
const char *acl_operation_name(int operation);
const char *acl_pattern_name(int pattern);
const char *acl_permission_name(int permission);
/* The way back, whatever the case of the letters; 0 (UNKNOWN) when there is no such name. */
int acl_resource_of(struct str name);
int acl_operation_of(struct str name);
int acl_pattern_of(struct str name);
int acl_permission_of(struct str name);

/* Can there be such a rule? Return: NULL, or what is wrong with it, as a static sentence. */
const char *acl_check(const struct meta_acl_entry *e);

/* Which rules are meant; texts that are null mean any. */
struct acl_filter {
        int8_t resource_type;
        int8_t pattern_type;
        int8_t operation;
        int8_t permission;
        struct str resource_name;
        struct str principal;
        struct str host;
};

/* Return: NULL, or what is wrong with the filter, as a static sentence. */
const char *acl_filter_check(const struct acl_filter *f);
bool acl_filter_matches(const struct acl_filter *f, const struct meta_acl_entry *e);

/* Bits (1 << operation) of the operations that Kafka reports for a kind of resource (KIP-430); 0 for kinds without any. */
uint32_t acl_operations_of(enum acl_resource resource);
