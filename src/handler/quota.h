/* What clients may use: the quota that is nearest to a client is found in the metadata, and what it uses is counted. Who has used too
 * much gets its answer at once, is told for how long to wait, and is not read from for so long (KIP-219). As in Kafka ten seconds'
 * worth may come at once. */
#pragma once

#include "conf/quota.h"
#include "handler/rq.h"

struct quotas;

/* What the clients of one node have used. Any thread may use it; it is freed when no request is under way. Return: 0, -ENOMEM. */
int quotas_new(struct quotas **ret_quotas);
struct quotas *quotas_free(struct quotas *q);

/* The client of @rq uses @amount, also when it has no more: it waits afterwards. On the request's reactor. */
void quota_use(struct rq *rq, enum quota_key key, double amount);
/* The same, unless it has no more. @strict: then false, and nothing is counted. */
bool quota_try(struct rq *rq, enum quota_key key, double amount, bool strict);
/* What to tell with KERR_THROTTLING_QUOTA_EXCEEDED. */
static inline struct str quota_mutation_text(void)
{
        return STR_LIT("The quota controller_mutation_rate is used up; ask again after the throttle time.");
}

/* Do @fn with @rq, and count the reactor's time that it takes. */
void quota_request(struct rq *rq, void (*fn)(struct rq *rq));

/* A connection has come from @host (sock_format_host()) to reactor @reactor, which calls this. For how many milliseconds nothing is
 * read from it, because connections of its address come too often (KIP-612); -1: it would be too long, and it is closed instead. */
int64_t quota_connection(struct handler *h, unsigned reactor, const char *host);

/* For image.c: are there any quotas of users and client ids in this image? */
bool quota_any(const struct meta_image *image);
