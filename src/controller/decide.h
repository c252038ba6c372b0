/* The controller's decisions: what is known + a request + the time → records and results. Pure: no clock, no chance that
 * is not handed in, no thread, no file. */
#pragma once

#include "conf/conf.h"
#include "controller/placement.h"
#include "controller/places.h"
#include "controller/request.h"
#include "controller/settings.h"

/* A feature that this program knows. */
struct controller_feature {
        const char *name;
        int16_t level_min;
        int16_t level_max;
        int16_t level_new; /* at which a new cluster finalises it; 0: not */
        int16_t level_safe; /* going down to this or more loses nothing that a higher one has written; 0: whatever the level */
};

/* The feature whose levels stand for records of the metadata, and what came with each. */
#define CONTROLLER_VERSION "chronik.version"
enum { CONTROLLER_LEVEL_SECURITY = 2 /* rules of access, credentials, delegation tokens */ };

/* What another controller can do. */
struct controller_ability {
        int32_t node_id;
        bool is_known; /* otherwise it is not spoken with just now */
        const struct rec_broker_feature *features;
        int32_t features_count;
};

/* What decisions go by that is not in the image. */
struct controller_rules {
        const struct conf *conf;
        int32_t node_id;
        const struct controller_feature *features;
        size_t features_count;
        int64_t session_timeout_ms; /* a broker's lease */
        int32_t imbalance_percent;  /* of a broker's preferred partitions that others may lead before that is changed */
        int32_t balance_max;        /* leaders moved in one round */
        int32_t moves_max;          /* partitions that leave decommissioned brokers at once */
        size_t part_len;            /* a decision that may take several entries ends one at this length */
        const struct controller_alter_credential *first_user; /* of a new cluster: its credentials */
        size_t first_user_count;                              /* 0: it has none */
};

/* When each broker was last heard of, in this reign; not replicated. */
struct controller_lease {
        int32_t broker_id;
        bool heard; /* a heartbeat has come since this node became active */
        int64_t epoch;
        int64_t until_ms;
        int64_t applied_index;  /* of the metadata that it works with */
        int64_t shutdown_index; /* that holds its last leadership's end; 0: it does not stop */
        int64_t fenced_index;   /* that fenced it last: before it knows of that, it may still think that it leads */
};
struct controller_leases {
        struct controller_lease *at;
        size_t count;
        size_t size;
        int64_t next_ms; /* when one ends, as of the last decision_expire_leases() */
};

/* What is derived from images, or kept, from decision to decision. */
struct controller_memory {
        struct controller_leases leases;
        struct places places;
        struct settings settings;
};
void controller_memory_fini(struct controller_memory *m);

/* An entry of a decision that takes several. */
struct decision_part {
        struct meta_batch batch;
        struct meta_image *image; /* as it leaves it; one reference */
};

/* NULL: this program does not know it. */
const struct controller_feature *controller_feature(const struct controller_rules *rules, struct str name);

/* One decision while it is made. Records that were emitted are visible to what follows in the same decision. */
struct decision {
        const struct controller_rules *rules;
        struct controller_memory *memory;
        int64_t now_ms;  /* monotonic */
        int64_t wall_ms; /* since 1970 */
        int64_t index;   /* that the next records will have */
        int32_t term;
        struct random_source *random;
        struct arena *mem;
        const struct controller_ability
                *controllers; /* the others of the quorum; only for CONTROLLER_UPDATE_FEATURES */
        size_t controllers_count;

        struct meta_builder builder;
        struct meta_batch batch; /* of the last entry */
        struct decision_part *parts;
        size_t parts_count; /* entries before the last */
        bool may_split; /* each record is consistent with those before it: any prefix of the entries may be all there is */
        const int32_t *gone; /* brokers that count as fenced already */
        size_t gone_count;
        int32_t leaving;             /* one that counts as stopping already, or META_NO_NODE */
        struct placement *placement; /* see decision_placement() */
        char news[160];              /* one line for the operator; empty: none */
        int failed;                  /* -ENOMEM or -E2BIG: nothing of the decision counts */
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

/* The first records of a new cluster, also of rules->first_user. @cluster_id: null for one made from @random. */
int decision_bootstrap(struct decision *d, struct str cluster_id);
/* Fence brokers whose lease has ended. Return: 0 or an error. @ret_next_ms: when the next one ends. */
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
/* May records be written that came with @level? Otherwise @result is a refusal; @what "Rules of access". */
bool decision_has_level(struct decision *d, struct controller_result *result, int16_t level, const char *what);
void decide_update_feature(struct decision *d, struct controller_update_feature *f, bool validate_only);
void decide_report_loss(struct decision *d, struct controller_report_loss *l);
void decide_alter_partition(struct decision *d, struct controller_alter_partition *a);
void decide_elect_leader(struct decision *d, struct controller_elect_leader *e);
void decide_reassign(struct decision *d, struct controller_reassign *r);
void decide_drain(struct decision *d, struct controller_broker_duty *b);
void decide_undrain(struct decision *d, struct controller_broker_duty *b);
void decide_decommission(struct decision *d, struct controller_broker_duty *b);
void decide_guard(struct decision *d, struct controller_guard *g);
void decide_create_acl(struct decision *d, struct controller_create_acl *a);
void decide_delete_acls(struct decision *d, struct controller_delete_acls *a);
void decide_disruption(struct decision *d, struct controller_disruption *x);
void decide_alter_credential(struct decision *d, struct controller_alter_credential *a);
void decide_rotate_user(struct decision *d, struct controller_rotate_user *u);
void decide_create_token(struct decision *d, struct controller_create_token *t);
void decide_alter_token(struct decision *d, struct controller_alter_token *t, bool expires);

/* ---- leadership, see elect.c: emit the partition changes that go with what happens to a broker ---- */

/* Before all of them are fenced or forgotten: none of them becomes leader because another one is looked at first. */
void elect_before_loss(struct decision *d, const int32_t *broker_ids, size_t count);
/* Before it is marked as stopping: it goes on leading what nobody else can. */
void elect_before_stop(struct decision *d, int32_t broker_id);
/* Before @rb takes the place of its last registration @old. */
void elect_before_restart(struct decision *d, const struct controller_register_broker *rb,
                          const struct meta_broker *old);
/* After it was unfenced. */
void elect_after_return(struct decision *d, int32_t broker_id);
/* After it was drained. */
void elect_after_drain(struct decision *d, int32_t broker_id);
/* After min ISR of @topic (NULL: of any) was changed: what ELR says was said of another min ISR (KIP-966). */
void elect_before_min_isr(struct decision *d, const struct meta_topic *topic);
/* After unclean elections were allowed for @topic (NULL: for all). */
void elect_after_unclean(struct decision *d, const struct meta_topic *topic);

/* Call @fn for every partition that @broker_id has a replica of. Topic and partition are borrowed until @fn emits. */
typedef void decision_place_fn(struct decision *d, const struct meta_topic *t, const struct meta_partition *p,
                               int32_t broker_id, void *arg);
void decision_each_place(struct decision *d, int32_t broker_id, decision_place_fn *fn, void *arg);

/* ---- what nobody asks for ---- */

/* A node became active: finish what its predecessor had begun. */
int decision_heal(struct decision *d);
/* Give leaderships back to preferred leaders, see balance.c. @ret_more: it stopped at a limit; ask again soon. */
int decision_balance(struct decision *d, bool *ret_more);
/* Let leaderships leave drained brokers, replicas decommissioned ones, and those the cluster when they are empty; see
 * duty.c. */
int decision_duties(struct decision *d);

/* Remove delegation tokens whose time is over, a thousand at a time. @ret_more: there are more of them. */
int decision_sweep_tokens(struct decision *d, bool *ret_more);
/* The same of passwords from before a rotation whose overlap is over. */
int decision_sweep_users(struct decision *d, bool *ret_more);

/* May @node_id stop? Fills in the answers of @g, but for its result. See guard.c. */
void guard_judge(struct decision *d, struct controller_guard *g);

/* Where replicas can go now, with what each broker has; made once in a decision. NULL: d->failed says why. */
struct placement *decision_placement(struct decision *d);

/* Judging of configurations, see judge.c. Text goes into @result. */
bool judge_topic_configs(struct decision *d, const struct conf_pair *pairs, size_t count,
                         struct controller_result *result);

/* The connection of a broker broke: when nothing is heard of it until @until_ms it is fenced. It may be the process that ended,
 * and then there is no need to wait for the lease; a broker that lives is heard of again before. Return: whether it had longer. */
bool controller_lease_shorten(struct controller_leases *l, int32_t broker_id, int64_t until_ms);
/* Leases. NULL when there is no memory. */
struct controller_lease *controller_lease_get(struct controller_leases *l, int32_t broker_id);
void controller_leases_fini(struct controller_leases *l);
/* A node became active: who is unfenced has a whole lease from now on, but has not been heard. Return: 0 or -ENOMEM. */
int controller_leases_start(struct controller_leases *l, const struct meta_image *image, int64_t now_ms,
                            int64_t timeout_ms);
