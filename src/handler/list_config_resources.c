/* ListConfigResources (key 74; version 0 is the ListClientMetricsResources of old): the names of what has configurations. Sources:
 * KIP-1000, KIP-1142. */
#include "handler/config_view.h"
#include "wire/messages.h"

/* Topics and brokers are told because they are there, the others when something is set for them. Brokers have no loggers whose
 * level could be set, so that none are told. */
static const int8_t all_types[] = { RESOURCE_TOPIC, RESOURCE_BROKER, RESOURCE_BROKER_LOGGER, RESOURCE_CLIENT_METRICS,
                                    RESOURCE_GROUP };
static const int8_t first_types[] = { RESOURCE_CLIENT_METRICS }; /* of version 0 */

struct listing {
        struct rq *rq;
        bool is_wanted[RESOURCE_TYPE_MAX + 1];
        bool counting;
        struct list_config_resources_response rsp;
};

/* Which types are wanted: those that are named, or all. False: one is none of them. */
static bool read_types(struct listing *l, const struct list_config_resources_request *req)
{
        const int8_t *known = l->rq->version == 0 ? first_types : all_types;
        size_t known_count = l->rq->version == 0 ? ARRAY_LEN(first_types) : ARRAY_LEN(all_types);
        bool is_known[RESOURCE_TYPE_MAX + 1] = { 0 };

        for (size_t i = 0; i < known_count; i++) {
                is_known[known[i]] = true;
                l->is_wanted[known[i]] = req->resource_types_count == 0;
        }
        for (int32_t i = 0; i < req->resource_types_count; i++) {
                int8_t type = req->resource_types[i];

                if (type < 0 || type > RESOURCE_TYPE_MAX || !is_known[type])
                        return false;
                l->is_wanted[type] = true;
        }
        return true;
}

static void add(struct listing *l, int8_t type, struct str name)
{
        if (!l->counting)
                l->rsp.config_resources[l->rsp.config_resources_count] =
                        (struct list_config_resources_response_resource){ .resource_name = name,
                                                                          .resource_type = type };
        l->rsp.config_resources_count++;
}

static bool add_brokers(struct listing *l)
{
        const struct meta_broker *b;

        pmap_for_each (it, b, &l->rq->image->brokers) {
                struct str name = l->counting ? STR_NULL : RQ_TEXT(l->rq, "%d", b->id);

                if (b->fenced)
                        continue;
                if (!l->counting && !name.p)
                        return false;
                add(l, RESOURCE_BROKER, name);
        }
        return true;
}

/* False: out of memory. */
static bool walk(struct listing *l, bool counting)
{
        const struct meta_configs *c;
        const struct meta_topic *t;

        l->counting = counting;
        l->rsp.config_resources_count = 0;
        if (l->is_wanted[RESOURCE_TOPIC])
                pmap_for_each (topics, t, &l->rq->image->topics_by_name)
                        add(l, RESOURCE_TOPIC, t->name);
        if (l->is_wanted[RESOURCE_BROKER] && !add_brokers(l))
                return false;
        pmap_for_each (configs, c, &l->rq->image->configs)
                if ((c->key.type == RESOURCE_CLIENT_METRICS || c->key.type == RESOURCE_GROUP) &&
                    l->is_wanted[c->key.type])
                        add(l, c->key.type, c->key.name);
        return true;
}

void handler_list_config_resources(struct rq *rq)
{
        struct list_config_resources_request req;
        struct listing l = { .rq = rq };

        if (!RQ_DECODE(rq, list_config_resources_request, &req))
                return;
        list_config_resources_response_init(&l.rsp);
        if (!authorize_cluster(rq, ACL_DESCRIBE_CONFIGS)) {
                l.rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
                handler_count_error(rq, l.rsp.error_code);
                RQ_REPLY(rq, list_config_resources_response, &l.rsp);
                return;
        }
        if (!read_types(&l, &req)) {
                l.rsp.error_code = KERR_UNSUPPORTED_VERSION;
                handler_count_error(rq, l.rsp.error_code);
                RQ_REPLY(rq, list_config_resources_response, &l.rsp);
                return;
        }
        (void)walk(&l, true); /* counting needs no memory */
        l.rsp.config_resources = ARENA_NEW_ARRAY(&rq->arena, struct list_config_resources_response_resource,
                                                 l.rsp.config_resources_count);
        if (l.rsp.config_resources && walk(&l, false))
                RQ_REPLY(rq, list_config_resources_response, &l.rsp);
        else
                rq_close_nomem(rq);
}
