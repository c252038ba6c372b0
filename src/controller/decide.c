/* See decide.h. What all decisions share; README.md says where the decisions themselves are. */
#include "controller/decide.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int decision_init(struct decision *d, const struct meta_image *image)
{
        d->failed = 0;
        d->batch = (struct meta_batch){ 0 };
        d->parts = NULL;
        d->parts_count = 0;
        d->gone = NULL;
        d->gone_count = 0;
        d->leaving = META_NO_NODE;
        d->placement = NULL;
        d->news[0] = 0;
        return meta_builder_init(&d->builder, image);
}

void decision_fini(struct decision *d)
{
        for (size_t i = 0; i < d->parts_count; i++) {
                meta_batch_fini(&d->parts[i].batch);
                meta_image_unref(d->parts[i].image);
        }
        free(d->parts);
        d->parts = NULL;
        d->parts_count = 0;
        meta_builder_fini(&d->builder);
        meta_batch_fini(&d->batch);
}

void controller_memory_fini(struct controller_memory *m)
{
        controller_leases_fini(&m->leases);
        places_fini(&m->places);
        settings_fini(&m->settings);
}

/* What has been emitted becomes an entry of its own; the next records go into another one. */
static int seal(struct decision *d)
{
        struct decision_part *parts = realloc(d->parts, (d->parts_count + 1) * sizeof *parts);
        struct decision_part *part;

        if (!parts)
                return -ENOMEM;
        d->parts = parts;
        part = &parts[d->parts_count++];
        part->batch = d->batch;
        d->batch = (struct meta_batch){ 0 };
        part->image = meta_builder_finish(&d->builder, d->index, d->term);
        d->index++;
        return meta_builder_init(&d->builder, part->image);
}

/* New places of replicas are known at once. Names of a decision that comes to nothing do no harm. */
static int note_places(struct decision *d, const struct meta_record *r)
{
        const struct rec_partition *p = &r->partition;
        const struct rec_partition_change *c = &r->partition_change;
        int x = 0;

        if (r->type == META_PARTITION)
                for (int32_t i = 0; !x && i < p->replicas_count; i++)
                        x = places_add(&d->memory->places, p->replicas[i], p->topic_id, p->partition);
        if (r->type == META_PARTITION_CHANGE)
                for (int32_t i = 0; !x && i < c->adding_count; i++)
                        x = places_add(&d->memory->places, c->adding[i], c->topic_id, c->partition);
        return x;
}

void decision_emit(struct decision *d, const struct meta_record *r)
{
        int x = 0;

        if (d->failed)
                return;
        if (d->may_split && d->batch.len >= d->rules->part_len)
                x = seal(d);
        if (!x)
                x = meta_batch_add(&d->batch, r); /* first, because applying may end what the record borrows */
        if (!x)
                x = meta_builder_apply(&d->builder, r, d->index);
        assert(x <= 0); /* a decision that does not fit what it was made from is a bug */
        d->failed = x ? x : note_places(d, r);
}

void decision_each_place(struct decision *d, int32_t broker_id, decision_place_fn *fn, void *arg)
{
        const struct places_broker *b = places_of(&d->memory->places, broker_id);
        uint32_t count = b ? b->count : 0;

        for (uint32_t i = 0; i < count && !d->failed; i++) {
                /* Looked up each time: @fn may add places, and what it emits makes other objects. */
                struct place at = places_of(&d->memory->places, broker_id)->at[i];
                const struct meta_topic *t = meta_image_topic_by_id(decision_image(d), at.topic_id);
                const struct meta_partition *p = t ? meta_topic_partition(t, at.partition) : NULL;

                if (p && meta_ids_contain(meta_partition_replicas(p), p->replicas_count, broker_id))
                        fn(d, t, p, broker_id, arg);
        }
}

void decision_refuse(struct decision *d, struct controller_result *result, enum controller_outcome outcome,
                     const char *fmt, ...)
{
        char text[512];
        va_list ap;
        int len;

        va_start(ap, fmt);
        len = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        len = len < 0 ? 0 : MIN2(len, (int)sizeof text - 1);
        result->outcome = outcome;
        /* Without memory for the text the outcome still says what it is. */
        result->message.p = arena_memdup(d->mem, text, (size_t)len);
        result->message.len = result->message.p ? (size_t)len : 0;
}

static void run_duty(struct decision *d, enum controller_op op, struct controller_broker_duty *duty)
{
        if (op == CONTROLLER_DRAIN_BROKER)
                decide_drain(d, duty);
        else if (op == CONTROLLER_UNDRAIN_BROKER)
                decide_undrain(d, duty);
        else
                decide_decommission(d, duty);
}

static void run_item(struct decision *d, struct controller_request *rq, uint32_t i)
{
        switch (rq->op) {
        case CONTROLLER_CREATE_TOPICS:
                decide_create_topic(d, &rq->create_topics[i], rq->validate_only);
                return;
        case CONTROLLER_DELETE_TOPICS:
                decide_delete_topic(d, &rq->delete_topics[i]);
                return;
        case CONTROLLER_CREATE_PARTITIONS:
                decide_create_partitions(d, &rq->create_partitions[i], rq->validate_only);
                return;
        case CONTROLLER_ALTER_CONFIGS:
                decide_alter_configs(d, &rq->alter_configs[i], rq->validate_only);
                return;
        case CONTROLLER_ALLOCATE_IDS:
                decide_allocate_ids(d, &rq->allocate_ids[i]);
                return;
        case CONTROLLER_REGISTER_BROKER:
                decide_register_broker(d, &rq->register_broker[i]);
                return;
        case CONTROLLER_HEARTBEAT:
                decide_heartbeat(d, &rq->heartbeat[i]);
                return;
        case CONTROLLER_UNREGISTER_BROKER:
                decide_unregister_broker(d, &rq->unregister_broker[i]);
                return;
        case CONTROLLER_UPDATE_FEATURES:
                decide_update_feature(d, &rq->update_features[i], rq->validate_only);
                return;
        case CONTROLLER_REPORT_LOSS:
                decide_report_loss(d, &rq->report_loss[i]);
                return;
        case CONTROLLER_ALTER_PARTITION:
                decide_alter_partition(d, &rq->alter_partition[i]);
                return;
        case CONTROLLER_ELECT_LEADERS:
                decide_elect_leader(d, &rq->elect_leaders[i]);
                return;
        case CONTROLLER_ALTER_REASSIGNMENTS:
                decide_reassign(d, &rq->reassign[i]);
                return;
        case CONTROLLER_DRAIN_BROKER:
        case CONTROLLER_UNDRAIN_BROKER:
        case CONTROLLER_DECOMMISSION_BROKER:
                run_duty(d, rq->op, &rq->broker_duty[i]);
                return;
        case CONTROLLER_GUARD:
                decide_guard(d, &rq->guard[i]);
                return;
        case CONTROLLER_DISRUPTION:
                decide_disruption(d, &rq->disruption[i]);
                return;
        case CONTROLLER_CREATE_ACLS:
                decide_create_acl(d, &rq->create_acls[i]);
                return;
        case CONTROLLER_DELETE_ACLS:
                decide_delete_acls(d, &rq->delete_acls[i]);
                return;
        case CONTROLLER_ALTER_CREDENTIALS:
                decide_alter_credential(d, &rq->alter_credentials[i]);
                return;
        case CONTROLLER_CREATE_TOKENS:
                decide_create_token(d, &rq->create_tokens[i]);
                return;
        case CONTROLLER_RENEW_TOKENS:
        case CONTROLLER_EXPIRE_TOKENS:
                decide_alter_token(d, &rq->alter_tokens[i], rq->op == CONTROLLER_EXPIRE_TOKENS);
                return;
        case CONTROLLER_ROTATE_USERS:
                decide_rotate_user(d, &rq->rotate_users[i]);
                return;
        case CONTROLLER_DESCRIBE_QUORUM:
        case CONTROLLER_ADD_VOTER:
        case CONTROLLER_REMOVE_VOTER:
        case CONTROLLER_TRANSFER: /* no decisions: voters.c has answered */
                decision_refuse(d, &rq->result, CONTROLLER_E_INVALID, "This is not decided but done.");
                return;
        }
}

/* Whether what is asked for may be done in part. What creates or alters things is done whole or not at all. */
static bool may_split(enum controller_op op)
{
        return op != CONTROLLER_CREATE_TOPICS && op != CONTROLLER_DELETE_TOPICS && op != CONTROLLER_CREATE_PARTITIONS &&
               op != CONTROLLER_ALTER_CONFIGS && op != CONTROLLER_UPDATE_FEATURES && op != CONTROLLER_CREATE_ACLS &&
               op != CONTROLLER_DELETE_ACLS && op != CONTROLLER_ALTER_CREDENTIALS && op != CONTROLLER_ROTATE_USERS;
}

static bool features_are_all_fine(struct decision *d, struct controller_request *rq)
{
        bool fine = true;

        for (uint32_t i = 0; i < rq->items_count; i++) {
                decide_update_feature(d, &rq->update_features[i], true);
                fine &= !rq->update_features[i].result.outcome;
        }
        return fine;
}

int decision_run(struct decision *d, struct controller_request *rq)
{
        rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        d->may_split = may_split(rq->op);
        if (rq->op != CONTROLLER_UPDATE_FEATURES || features_are_all_fine(d, rq)) /* those all or none */
                for (uint32_t i = 0; i < rq->items_count && !d->failed; i++)
                        run_item(d, rq, i);
        if (d->failed == -E2BIG)
                decision_refuse(d, &rq->result, CONTROLLER_E_TOO_LARGE,
                                "The request would change more than one request "
                                "may (%u MiB of metadata); ask for less at a time.",
                                META_PAYLOAD_LEN_MAX >> 20);
        else if (d->failed)
                decision_refuse(d, &rq->result, CONTROLLER_E_NO_MEMORY,
                                "The controller has no memory for this request.");
        return d->failed;
}

/* Who gave them judged them. */
static void add_first_user(struct decision *d)
{
        for (size_t i = 0; i < d->rules->first_user_count; i++) {
                struct controller_alter_credential c = d->rules->first_user[i];

                decide_alter_credential(d, &c);
                assert(!c.result.outcome);
        }
}

int decision_bootstrap(struct decision *d, struct str cluster_id)
{
        struct meta_record r;
        char text[UUID_TEXT_SIZE];
        struct uuid u;

        meta_record_init(&r, META_CLUSTER);
        if (str_is_null(cluster_id)) {
                store_be64(u.b, random_source_next(d->random));
                store_be64(u.b + 8, random_source_next(d->random));
                uuid_format(u, text);
                cluster_id = str_of(text);
        }
        r.cluster.cluster_id = cluster_id;
        decision_emit(d, &r);
        for (size_t i = 0; i < d->rules->features_count; i++) {
                const struct controller_feature *f = &d->rules->features[i];

                if (!f->level_new)
                        continue;
                meta_record_init(&r, META_FEATURE);
                r.feature.name = str_of(f->name);
                r.feature.level = f->level_new;
                decision_emit(d, &r);
        }
        add_first_user(d);
        return d->failed;
}
