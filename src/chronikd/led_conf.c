/* From configurations in the image to settings of logs and partitions. */
#include <stdio.h>
#include <string.h>

#include "chronikd/led_internal.h"
#include "conf/broker.h"
#include "sys/diag.h"

enum { PAIRS_MAX = 128 }; /* more than there are names to set */

static struct conf_pairs pairs_of(const struct meta_configs *set, struct conf_pair pairs[PAIRS_MAX])
{
        size_t count = set ? MIN2(set->count, (uint32_t)PAIRS_MAX) : 0;

        for (size_t i = 0; i < count; i++)
                pairs[i] = (struct conf_pair){ .name = set->items[i].name, .value = set->items[i].value };
        return (struct conf_pairs){ pairs, count };
}

/* Kafka's "no limit" is the largest number; for the replicator it is 0. */
static int64_t rate_of(int64_t bytes_per_second)
{
        return bytes_per_second == INT64_MAX ? 0 : MAX2(bytes_per_second, (int64_t)1);
}

void led_conf_update(struct led *led)
{
        struct conf_pair all[PAIRS_MAX], own[PAIRS_MAX];
        const struct meta_image *image = led->image;
        struct conf_layers layers = { .start = led->conf };
        struct conf *now;
        char self[16];

        snprintf(self, sizeof self, "%d", led->node_id);
        layers.all_brokers = pairs_of(meta_image_configs(image, META_RESOURCE_BROKER, STR_LIT("")), all);
        layers.this_broker = pairs_of(meta_image_configs(image, META_RESOURCE_BROKER, str_of(self)), own);
        if (broker_conf_derive(&layers, &now, NULL)) {
                diag(DIAG_ERROR,
                     "out of memory: changed broker configurations take effect at the next change or start");
                return;
        }
        topic_conf_defaults(now, &led->defaults);
        if (led->replicator)
                replicator_set_rates(led->replicator, rate_of(now->replication.leader_throttled_rate),
                                     rate_of(now->replication.follower_throttled_rate));
        conf_unref(now);
}

void led_conf_topic(const struct led *led, const struct meta_topic *t, struct topic_conf *ret)
{
        struct conf_pair pairs[PAIRS_MAX];

        topic_conf_resolve(&led->defaults,
                           pairs_of(meta_image_configs(led->image, META_RESOURCE_TOPIC, t->name), pairs), ret);
}

struct plog_conf led_conf_log(const struct led *led, const struct topic_conf *c)
{
        return (struct plog_conf){
                .segment_bytes = c->segment_bytes,
                /* What must be compacted by some time must be in a sealed segment by then. */
                .segment_ms = c->cleanup_policy & CONF_CLEANUP_COMPACT ? MIN2(c->segment_ms, c->max_compaction_lag_ms)
                                                                       : c->segment_ms,
                .segment_jitter_ms = c->segment_jitter_ms,
                .index_interval_bytes = c->index_interval_bytes,
                .retention_ms = c->retention_ms,
                .retention_bytes = c->retention_bytes,
                .file_delete_delay_ms = c->file_delete_delay_ms,
                .cleanup_delete = c->cleanup_policy & CONF_CLEANUP_DELETE,
                .cleanup_compact = c->cleanup_policy & CONF_CLEANUP_COMPACT,
                .flush_before_ack = c->flush_before_ack,
                .flush_ms = c->flush_ms,
                .flush_messages = c->flush_messages,
                .min_cleanable_ratio = c->min_cleanable_ratio,
                .min_compaction_lag_ms = c->min_compaction_lag_ms,
                .max_compaction_lag_ms = c->max_compaction_lag_ms,
                .delete_retention_ms = c->delete_retention_ms,
                .producer_expiry_ms = led->conf->producers.id_expiration_ms,
        };
}

/* Does a list of PARTITION:NODE pairs, or *, name this one? */
static bool names_replica(struct str list, int32_t partition, int32_t node)
{
        char pair[32];
        size_t len = (size_t)snprintf(pair, sizeof pair, "%d:%d", partition, node), from = 0;

        if (!list.p)
                return false;
        for (size_t i = 0; i <= list.len; i++) {
                const char *item = list.p + from;
                size_t item_len = i - from;

                if (i < list.len && list.p[i] != ',')
                        continue;
                for (; item_len && *item == ' '; item++)
                        item_len--;
                for (; item_len && item[item_len - 1] == ' '; item_len--)
                        ;
                if ((item_len == 1 && *item == '*') || (item_len == len && !memcmp(item, pair, len)))
                        return true;
                from = i + 1;
        }
        return false;
}

struct partition_conf led_conf_partition(const struct led *led, const struct meta_topic *t, const struct topic_conf *c,
                                         const struct meta_partition *p)
{
        const struct meta_configs *set = meta_image_configs(led->image, META_RESOURCE_TOPIC, t->name);

        return (struct partition_conf){
                .leader_throttled =
                        names_replica(meta_configs_get(set, STR_LIT("leader.replication.throttled.replicas")), p->index,
                                      led->node_id),
                .follower_throttled =
                        names_replica(meta_configs_get(set, STR_LIT("follower.replication.throttled.replicas")),
                                      p->index, led->node_id),
                .min_insync_replicas = (int32_t)c->min_insync_replicas,
                .flush_before_ack = c->flush_before_ack,
                .compacted = c->cleanup_policy & CONF_CLEANUP_COMPACT,
                .deletable = c->cleanup_policy & CONF_CLEANUP_DELETE,
                .log_append_time = c->timestamp_type == CONF_TIMESTAMP_LOG_APPEND,
                .max_message_bytes = (int32_t)c->max_message_bytes,
                .timestamp_before_max_ms = c->timestamp_before_max_ms,
                .timestamp_after_max_ms = c->timestamp_after_max_ms,
                .compression = c->compression_type == CONF_COMPRESSION_PRODUCER ? -1 : (int8_t)c->compression_type,
                .compression_level = topic_conf_level(c),
        };
}
