/* See decide.h. What all decisions share; the decisions themselves are in topics.c, configs.c, brokers.c, features.c. */
#include "controller/decide.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int decision_init(struct decision *d, const struct meta_image *image)
{
        d->failed = 0;
        d->batch = (struct meta_batch){ 0 };
        return meta_builder_init(&d->builder, image);
}

void decision_fini(struct decision *d)
{
        meta_builder_fini(&d->builder);
        meta_batch_fini(&d->batch);
}

void decision_emit(struct decision *d, const struct meta_record *r)
{
        int x;

        if (d->failed)
                return;
        x = meta_batch_add(&d->batch, r); /* first, because applying may end what the record borrows */
        if (!x)
                x = meta_builder_apply(&d->builder, r, d->index);
        assert(x <= 0); /* a decision that does not fit what it was made from is a bug */
        d->failed = x;
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

static void run_items(struct decision *d, struct controller_request *rq)
{
        for (uint32_t i = 0; i < rq->items_count && !d->failed; i++) {
                switch (rq->op) {
                case CONTROLLER_CREATE_TOPICS:
                        decide_create_topic(d, &rq->create_topics[i], rq->validate_only);
                        break;
                case CONTROLLER_DELETE_TOPICS:
                        decide_delete_topic(d, &rq->delete_topics[i]);
                        break;
                case CONTROLLER_CREATE_PARTITIONS:
                        decide_create_partitions(d, &rq->create_partitions[i], rq->validate_only);
                        break;
                case CONTROLLER_ALTER_CONFIGS:
                        decide_alter_configs(d, &rq->alter_configs[i], rq->validate_only);
                        break;
                case CONTROLLER_ALLOCATE_IDS:
                        decide_allocate_ids(d, &rq->allocate_ids[i]);
                        break;
                case CONTROLLER_REGISTER_BROKER:
                        decide_register_broker(d, &rq->register_broker[i]);
                        break;
                case CONTROLLER_HEARTBEAT:
                        decide_heartbeat(d, &rq->heartbeat[i]);
                        break;
                case CONTROLLER_UNREGISTER_BROKER:
                        decide_unregister_broker(d, &rq->unregister_broker[i]);
                        break;
                case CONTROLLER_UPDATE_FEATURES:
                        decide_update_feature(d, &rq->update_features[i], rq->validate_only);
                        break;
                default: /* what follows in the next commits */
                        decision_refuse(d, &rq->result, CONTROLLER_E_INVALID, "This is not decided yet.");
                        return;
                }
        }
}

int decision_run(struct decision *d, struct controller_request *rq)
{
        rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        run_items(d, rq);
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
        return d->failed;
}
