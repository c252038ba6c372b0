#include "handler/internal_topic.h"

#include "conf/conf.h"
#include "handler/cluster_view.h"

static const struct str names[] = {
        [INTERNAL_OFFSETS] = STR_LIT("__consumer_offsets"),
        [INTERNAL_TRANSACTIONS] = STR_LIT("__transaction_state"),
};

const struct meta_topic *internal_topic(struct rq *rq, enum internal_topic which)
{
        return meta_image_topic(rq->image, names[which]);
}

static void created(struct controller_request *crq)
{
        struct internal_topic_get *g = container_of(crq, struct internal_topic_get, ask.rq);

        ask_fini(&g->ask);
        if (handler_image_take(g->rq)) /* with the topic, whoever made it */
                g->done(g);
        else
                rq_close_nomem(g->rq);
}

/* In the request's arena; NULL: no memory. */
static struct conf_pair *configs_of(struct rq *rq, int64_t segment_bytes, int32_t *ret_count)
{
        const struct conf_pair configs[] = {
                { .name = STR_LIT("cleanup.policy"), .value = STR_LIT("compact") },
                { .name = STR_LIT("compression.type"), .value = STR_LIT("producer") },
                { .name = STR_LIT("segment.bytes"), .value = RQ_TEXT(rq, "%lld", (long long)segment_bytes) },
        };

        *ret_count = ARRAY_LEN(configs);
        return configs[2].value.p ? arena_memdup(&rq->arena, configs, sizeof configs) : NULL;
}

void internal_topic_get(struct internal_topic_get *g)
{
        const struct conf *c = g->rq->h->deps.conf;
        bool offsets = g->which == INTERNAL_OFFSETS;
        const struct conf_pair *configs;
        int32_t configs_count;

        if (internal_topic(g->rq, g->which)) {
                g->done(g);
                return;
        }
        configs = configs_of(g->rq, offsets ? c->groups.offsets_segment_bytes : c->transactions.state_segment_bytes,
                             &configs_count);
        if (!configs) {
                rq_close_nomem(g->rq);
                return;
        }
        g->create = (struct controller_create_topic){
                .name = names[g->which],
                .partitions_count =
                        (int32_t)(offsets ? c->groups.offsets_partitions : c->transactions.state_partitions),
                .replication_factor = (int16_t)MIN2(3, MAX2(told_brokers_count(g->rq), 1)),
                .configs = configs,
                .configs_count = configs_count,
        };
        ask_submit(g->rq, &g->ask, CONTROLLER_CREATE_TOPICS, &g->create, 1, false, created);
}
