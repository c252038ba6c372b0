/* Who may do what, as Kafka's StandardAuthorizer decides it:
 *
 *   1. A super user may do everything.
 *   2. Of the rules that are for the resource (its name as it is, "*", or a prefix of it), for the principal (or User:*), for
 *      the host (or "*") and for the operation, one that denies wins; else one that allows.
 *   3. Without such a rule nobody may, unless there is no rule at all for the resource and allow.everyone.if.no.acl.found is set.
 *
 * A rule that allows READ, WRITE, DELETE or ALTER allows DESCRIBE as well, and ALTER_CONFIGS allows DESCRIBE_CONFIGS. Rules that deny
 * imply nothing.
 *
 * Rules are the image's map, searched where it is: a change of them costs nothing here, and a question some searches in a tree,
 * of which there are about as many as prefixes of the name have rules. Pure; an authorizer never changes, and any thread may ask. */
#pragma once

#include "security/acl.h"
#include "security/principal.h"

struct authorizer;

/* @super_users: principals between semicolons, "User:admin;User:CN=other,O=x". Return: 0; -EINVAL: one is no principal; -ENOMEM. */
int authorizer_new(struct str super_users, bool allow_without_rules, struct authorizer **ret_authorizer);
/* NULL is fine. Returns NULL. */
struct authorizer *authorizer_free(struct authorizer *a);
DEFINE_FREEP(struct authorizer, authorizer_free)

/* Who asks, and from where; borrowed for the call. */
struct authorizer_subject {
        const struct principal *principal;
        struct str host; /* as sock_format_host() writes it */
};

struct authorizer_object {
        enum acl_resource type;
        struct str name;
};

/* What decided. */
enum authorizer_rule { AUTHORIZER_SUPER_USER, AUTHORIZER_ACL, AUTHORIZER_NO_ACL_FOUND, AUTHORIZER_DEFAULT_DENY };

struct authorizer_verdict {
        bool is_allowed;
        enum authorizer_rule rule;
        const struct meta_acl *acl; /* with AUTHORIZER_ACL: borrowed from the map */
};

/* @acls is the map of an image (meta_image.acls). */
struct authorizer_verdict authorizer_ask(const struct authorizer *a, const struct pmap *acls,
                                         const struct authorizer_subject *who, enum acl_operation operation,
                                         const struct authorizer_object *what);

/* May it do @operation with any resource of @type? Kafka's authorizeByResourceType(): rules count that say @operation or ALL
 * and not those that imply it (KIP-679). Walks all rules of the type. */
bool authorizer_ask_any(const struct authorizer *a, const struct pmap *acls, const struct authorizer_subject *who,
                        enum acl_operation operation, enum acl_resource type);

/* The bits of acl_operations_of(@what->type) that it may (KIP-430). */
uint32_t authorizer_operations(const struct authorizer *a, const struct pmap *acls,
                               const struct authorizer_subject *who, const struct authorizer_object *what);
