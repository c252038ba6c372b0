/* Configurations as clients see them. */
#include "handler/config_view.h"

#include <errno.h>

int config_pairs(struct rq *rq, enum meta_resource type, struct str name, struct conf_pairs *ret)
{
        const struct meta_configs *set = meta_image_configs(rq->image, type, name);
        uint32_t count = set ? set->count : 0;
        struct conf_pair *pairs = ARENA_NEW_ARRAY(&rq->arena, struct conf_pair, count);

        if (!pairs)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++)
                pairs[i] = (struct conf_pair){ set->items[i].name, set->items[i].value };
        *ret = (struct conf_pairs){ pairs, count };
        return 0;
}

int config_layers(struct rq *rq, struct conf_layers *ret)
{
        struct conf_layers layers = { .start = rq->h->deps.conf };
        struct str self = RQ_TEXT(rq, "%d", rq->h->deps.node_id);
        struct conf *now;
        int r = self.p ? config_pairs(rq, META_RESOURCE_BROKER, STR_LIT(""), &layers.all_brokers) : -ENOMEM;

        if (!r)
                r = config_pairs(rq, META_RESOURCE_BROKER, self, &layers.this_broker);
        if (!r)
                r = broker_conf_derive(&layers, &now, NULL);
        if (r)
                return r;
        layers.now = now;
        *ret = layers;
        return 0;
}

int config_entries(struct rq *rq, struct conf_pairs set, const struct str *names, size_t names_count,
                   struct conf_entries *ret)
{
        struct conf_layers layers;
        int r = config_layers(rq, &layers);

        if (r)
                return r;
        r = topic_conf_describe(&layers, set, names, names_count, &rq->arena, ret);
        conf_unref((struct conf *)layers.now);
        return r;
}

int config_of_topic(struct rq *rq, struct str topic, const struct str *names, size_t names_count,
                    struct conf_entries *ret)
{
        struct conf_pairs set;
        int r = config_pairs(rq, META_RESOURCE_TOPIC, topic, &set);

        return r ? r : config_entries(rq, set, names, names_count, ret);
}

int16_t config_authorize(struct rq *rq, enum acl_operation operation, int8_t resource_type, struct str name)
{
        enum acl_resource type = resource_type == RESOURCE_TOPIC   ? ACL_TOPIC
                                 : resource_type == RESOURCE_GROUP ? ACL_GROUP
                                                                   : ACL_CLUSTER;

        if (type == ACL_CLUSTER)
                name = STR_LIT(ACL_CLUSTER_NAME);
        return authorize(rq, operation, type, name) ? 0 : error_of_authorization(type);
}
