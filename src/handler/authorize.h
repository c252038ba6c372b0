/* Whether a client may do what it asks for. Every handler asks here; without an authorizer (security.authorizer none) everybody
 * may do everything, and asking costs a comparison.
 *
 * Each reactor remembers what it was told, for as long as no rule changes: Produce and Fetch pay one look into a table for each topic.
 * All functions are called on the request's reactor. Source: KIP-11; which operation each API needs is as in Kafka. */
#pragma once

#include "base/strbuf.h"
#include "conf/conf.h"
#include "handler/rq.h"
#include "meta/image.h"
#include "security/authorizer.h"

struct authorization;

/* @conf: security.*. Return: 0 with NULL when there is no authorizer; -EINVAL: security.super_users names nobody; -ENOMEM. */
int authorization_new(const struct conf *conf, unsigned reactors_count, struct authorization **ret_authorization);
/* No request may be in work any more. NULL is fine. Returns NULL. */
struct authorization *authorization_free(struct authorization *a);
/* Say to the operator when, by @image, nobody may do anything. */
void authorization_warn(const struct authorization *a, const struct conf *conf, const struct meta_image *image);
/* Metrics; nothing without an authorizer. Any thread. */
void authorization_expose(const struct authorization *a, struct strbuf *out);

/* Its rules of deciding, for who asks elsewhere (coord/request.h); NULL when there are none. */
const struct authorizer *authorization_authorizer(const struct authorization *a);
struct authorizer_subject authorization_subject(const struct rq *rq);

/* May the client do it? What it may not is counted, and said to the operator (rate-limited). */
bool authorize(struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name);
bool authorize_cluster(struct rq *rq, enum acl_operation operation);
/* The same where a no only makes something be left out, or another question follows: it is neither counted nor said. */
bool authorize_quietly(struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name);
bool authorize_cluster_quietly(struct rq *rq, enum acl_operation operation);
/* The same where a yes is all that is asked for: it is recorded. */
bool authorize_cluster_first(struct rq *rq, enum acl_operation operation);
/* May it do @operation with any resource of @type? */
bool authorize_any(struct rq *rq, enum acl_operation operation, enum acl_resource type);

/* What the client may do with a resource, as answers tell it (KIP-430): bits numbered as enum acl_operation. */
int32_t authorized_operations(struct rq *rq, enum acl_resource type, struct str name);
/* The same for the cluster: 0 for who may not describe it. */
int32_t authorized_cluster_operations(struct rq *rq);

/* Kafka's code for what may not be done with a resource of @type. */
int16_t error_of_authorization(enum acl_resource type);
