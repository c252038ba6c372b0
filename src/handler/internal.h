/* What the files of handler/ share and nobody else sees. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "handler/apis.h"
#include "handler/audit.h"
#include "handler/authorize.h"
#include "handler/fetch_session.h"
#include "handler/handler.h"
#include "handler/rq.h"
#include "meta/image.h"
#include "meta/names.h"
#include "replica/table.h"
#include "sys/clock.h"

struct handler {
        struct handler_deps deps;
        struct fetch_sessions *sessions;
        struct quotas *quotas;
        struct telemetry *telemetry;
        struct authorization *authorization; /* NULL: everybody may do everything */
        struct audit_door *audit_doors;      /* of each reactor; NULL without an audit log */
        _Atomic uint64_t earlier_logins;     /* by a password from before its rotation */
        atomic_uint slow_jobs;               /* on the pool (slow.c) */
        struct budget decode_budget;         /* decoded requests and their answers, but for a little of each */
        atomic_bool stopping;                /* nothing is parked any more */

        pthread_mutex_t ids_lock; /* guards the block of producer ids */
        int64_t ids_next, ids_end;

        struct stats_shard *stats;    /* one for each reactor */
        struct image_reader *readers; /* likewise (image.c) */
        atomic_uint readers_left;     /* at the stop */
        struct loop *stopped_loop;
        void (*stopped)(void *arg);
        void *stopped_arg;
        struct mail stopped_mail;
        _Atomic uint32_t *errors; /* by row of the API table and error code (stats.c) */
};

/* ---- rq.c ---- */
void handler_request(void *owner, struct net_request *net);
bool handler_can_overlap(void *owner, struct span frame);

/* ---- image.c ---- */
int handler_images_init(struct handler *h);
void handler_images_fini(struct handler *h);
/* Have @rq->image be the newest metadata on its reactor. False: out of memory, and @rq->image is NULL. */
bool handler_image_take(struct rq *rq);
void handler_image_drop(struct rq *rq);
/* The newest metadata on this reactor, which calls; borrowed until it returns to its loop. NULL while the node stops. */
const struct meta_image *handler_image_peek(const struct handler *h, unsigned reactor);

/* ---- counters around each request (stats.c) ---- */
int stats_init(struct handler *h, unsigned reactors_count);
void stats_fini(struct handler *h);
void handler_count_appended(struct rq *rq, uint64_t records, uint64_t bytes);
void handler_count_start(struct rq *rq);
void handler_count_done(struct rq *rq);
/* An error code in an answer, for chronik_request_errors. */
void handler_count_error(struct rq *rq, int16_t error);

/* ---- api_versions.c ---- */
void handler_api_versions_unsupported(struct rq *rq);

/* ---- resolve.c: from a client's words to a partition ---- */

/* The topic that a client means, by id or (when @name is not null) by name. Return: 0 with @ret_topic (borrowed from
 * rq->image) or a Kafka error code. */
int16_t resolve_topic(struct rq *rq, struct uuid id, struct str name, const struct meta_topic **ret_topic);

/* The same for who may do @operation with the topic. Names are not looked up for others, so that they learn nothing of them; ids
 * are no secret, and one that is not known is KERR_UNKNOWN_TOPIC_ID to all (KIP-516). */
int16_t resolve_topic_for(struct rq *rq, enum acl_operation operation, struct uuid id, struct str name,
                          const struct meta_topic **ret_topic);

/* Only the right: KERR_TOPIC_AUTHORIZATION_FAILED, or 0, which it also is for an id that is not known. */
int16_t authorize_topic(struct rq *rq, enum acl_operation operation, struct uuid id, struct str name);

/* The partition that has a replica here, in whatever role, with a new reference. Return: 0 or a Kafka error code. */
int16_t resolve_partition(struct rq *rq, struct uuid topic_id, struct str topic_name, int32_t index,
                          struct partition **ret_partition);

/* Kafka's code for an outcome of partition_*() or plog_*(), or for a negative errno. */
int16_t error_of_log(int outcome);
