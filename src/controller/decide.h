/* The controller's decisions: what is known + a request + the time → records and results. Pure: no clock, no chance that
 * is not handed in, no thread, no file. */
#pragma once

#include "conf/conf.h"
#include "controller/placement.h"
#include "controller/request.h"

/* A feature that this program knows. */
struct controller_feature {
        const char *name;
        int16_t level_min;
        int16_t level_max;
        int16_t level_new; /* at which a new cluster finalises it; 0: not */
};

/* What decisions go by that is not in the image. */
struct controller_rules {
        const struct conf *conf;
        int32_t node_id;
        const struct controller_feature *features;
        size_t features_count;
        int64_t session_timeout_ms; /* a broker's lease */
};

/* When each broker was last heard of, in this reign; not replicated. */
struct controller_lease {
        int32_t broker_id;
        bool heard; /* a heartbeat has come since this node became active */
        int64_t epoch;
        int64_t until_ms;
};
struct controller_leases {
        struct controller_lease *at;
        size_t count;
        size_t size;
};

/* One decision while it is made. Records that were emitted are visible to what follows in the same decision. */
struct decision {
        const struct controller_rules *rules;
        struct controller_leases *leases;
        int64_t now_ms; /* monotonic */
        int64_t index;  /* that the records will have */
        struct random_source *random;
        struct arena *mem;
        struct meta_builder builder;
        struct meta_batch batch;
        int failed; /* -ENOMEM or -E2BIG: nothing of the decision counts */
};

static inline const struct meta_image *decision_image(const struct decision *d)
{
        return d->builder.next;
}

/* Start from @image; the members above the builder are filled in by the caller. Return: 0 or -ENOMEM. */
int decision_init(struct decision *d, const struct meta_image *image);
void decision_fini(struct decision *d);

/* Decide @rq: results are filled in, records emitted. Return: 0; -ENOMEM; -E2BIG (rq->result is set for both). */
int decision_run(struct decision *d, struct controller_request *rq);

/* The first records of a new cluster. @cluster_id: null for one made from @random. */
int decision_bootstrap(struct decision *d, struct str cluster_id);
/* Fence brokers whose lease has ended. Return: 0 or an error. @ret_next_ms: when to look again. */
int decision_expire_leases(struct decision *d, int64_t *ret_next_ms);

/* ---- for the files that decide ---- */

/* Emit one record; a failure latches. */
void decision_emit(struct decision *d, const struct meta_record *r);
/* Fill a result in; the text is formatted into the decision's memory. */
void decision_refuse(struct decision *d, struct controller_result *result, enum controller_outcome outcome,
                     const char *fmt, ...) PRINTF_LIKE(4, 5);

/* One decision each: check the request against the image, emit the records that fulfil it, fill its result in. What is
 * refused emits nothing. @validate_only: answer as if, and emit nothing. */
void decide_create_topic(struct decision *d, struct controller_create_topic *t, bool validate_only);
void decide_delete_topic(struct decision *d, struct controller_delete_topic *t);
void decide_create_partitions(struct decision *d, struct controller_create_partitions *p, bool validate_only);
void decide_alter_configs(struct decision *d, struct controller_alter_configs *a, bool validate_only);
void decide_allocate_ids(struct decision *d, struct controller_allocate_ids *a);
void decide_register_broker(struct decision *d, struct controller_register_broker *b);
void decide_heartbeat(struct decision *d, struct controller_heartbeat *h);
void decide_unregister_broker(struct decision *d, struct controller_unregister_broker *u);
void decide_update_feature(struct decision *d, struct controller_update_feature *f, bool validate_only);

/* Leadership, see elect.c. Emit the partition changes that follow when a broker is fenced (or asked to stop), comes back, or
 * registers again. */
void elect_after_loss(struct decision *d, int32_t broker_id);
void elect_after_restart(struct decision *d, int32_t broker_id, bool clean);
void elect_after_return(struct decision *d, int32_t broker_id);

/* Judging of configurations, see judge.c. Text goes into @result. */
bool judge_topic_configs(struct decision *d, const struct conf_pair *pairs, size_t count,
                         struct controller_result *result);

/* Leases. NULL when there is no memory. */
struct controller_lease *controller_lease_get(struct controller_leases *l, int32_t broker_id);
void controller_leases_fini(struct controller_leases *l);
/* A node became active: who is unfenced has a whole lease from now on, but has not been heard. Return: 0 or -ENOMEM. */
int controller_leases_start(struct controller_leases *l, const struct meta_image *image, int64_t now_ms,
                            int64_t timeout_ms);
