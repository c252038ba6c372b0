/* What decisions must know of how topics are set: from the topic's configurations, those of all brokers, and the node's
 * own. Nodes are expected to start with the same values; what is set for one broker alone does not count here, but for
 * whether it flushes. Pure; one thread. */
#pragma once

#include "conf/topic.h"
#include "meta/image.h"

struct topic_settings {
        int32_t min_isr; /* as set: may be more than a partition has replicas */
        bool unclean;    /* a replica that misses acknowledged records may lead when no other is left */
        bool relaxed;    /* acknowledges before the flush */
};

/* What topics have that set nothing, and what that was made from; and the same of the topic that was asked about last, because
 * a walk meets its partitions one after the other. */
struct settings {
        struct meta_configs *from; /* a reference; NULL: nothing is set for all brokers */
        bool known;
        struct topic_conf defaults;
        struct meta_configs *topic_from; /* a reference; NULL: none */
        struct topic_settings topic;
};

void settings_fini(struct settings *s);

/* @broker_id  on whose disk the records are. Return: 0 or -ENOMEM. */
int settings_of_topic(struct settings *s, const struct conf *conf, const struct meta_image *image, struct str topic,
                      struct topic_settings *ret);
/* Whether @broker_id has been told, for itself alone, to acknowledge @topic before the flush, or (@topic_is_relaxed) not
 * to. */
bool settings_relaxed_on(const struct meta_image *image, struct str topic, int32_t broker_id, bool topic_is_relaxed);
