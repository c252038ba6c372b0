/* Configurations as clients see them: the layers they come from, taken out of the metadata image. */
#pragma once

#include "conf/broker.h"
#include "conf/client_metrics.h"
#include "conf/group_settings.h"
#include "conf/topic.h"
#include "handler/internal.h"

/* The protocol's numbers; those of META_RESOURCE_* are the same. */
enum {
        RESOURCE_TOPIC = 2,
        RESOURCE_BROKER = 4,
        RESOURCE_BROKER_LOGGER = 8,
        RESOURCE_CLIENT_METRICS = 16,
        RESOURCE_GROUP = 32,
        RESOURCE_TYPE_MAX = RESOURCE_GROUP
};

/* What has some, as the end of a sentence. */
#define CONFIG_RESOURCES "topics (2), brokers (4), client metrics (16) and groups (32) have."

/* What this broker runs with as of the request's image. @ret->now is a reference of the caller's. Pairs are borrowed from
 * the image, their arrays lie in the request's arena. Return: 0 or -ENOMEM. */
int config_layers(struct rq *rq, struct conf_layers *ret);
/* What is set on a resource; empty when nothing is. Return: 0 or -ENOMEM. */
int config_pairs(struct rq *rq, enum meta_resource type, struct str name, struct conf_pairs *ret);
/* All that is configured for a topic that sets @set, or what @names holds. Return: 0 or -ENOMEM. */
int config_entries(struct rq *rq, struct conf_pairs set, const struct str *names, size_t names_count,
                   struct conf_entries *ret);
/* The same for a topic of the image: all that is configured for it, or what @names holds. Return: 0 or -ENOMEM. */
int config_of_topic(struct rq *rq, struct str topic, const struct str *names, size_t names_count,
                    struct conf_entries *ret);
