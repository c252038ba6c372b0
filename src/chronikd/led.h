/* Keeps the led partitions in step with the metadata image: opens logs of partitions that are placed here, closes and
 * deletes those that went, passes configurations on. On one loop; opening a log blocks it. */
#pragma once

#include "conf/topic.h"
#include "coord/coord.h"
#include "meta/delta.h"
#include "plog/store.h"
#include "replica/table.h"

struct led {
        const struct conf *conf; /* what the node started with */
        struct plog_store *store;
        struct partition_table *table;
        struct coord *coord; /* told of the partitions of __consumer_offsets, and of deleted topics */
        const char *dir; /* folder of the logs */
        int32_t node_id;
        struct topic_conf defaults; /* what a topic has that sets nothing, as of the last image */
};

/* The members above set, before the first led_apply(). Return: 0 or -ENOMEM. */
int led_init(struct led *led);

/* Bring everything to @d->after. */
void led_apply(struct led *led, const struct meta_delta *d);
/* Close every log in good order. */
void led_close_all(struct led *led);
/* Retention of every log. Blocks. */
void led_retain(struct led *led, int64_t now_ms);
