/* Led partitions follow the metadata image. */
#include "chronikd/led.h"

#include <errno.h>
#include <stdio.h>

#include "base/arena.h"
#include "conf/broker.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum { PAIRS_MAX = 128 }; /* more than there are names to set */

static struct conf_pairs pairs_of(const struct meta_configs *set, struct conf_pair pairs[PAIRS_MAX])
{
        size_t count = set ? MIN2(set->count, (uint32_t)PAIRS_MAX) : 0;

        for (size_t i = 0; i < count; i++)
                pairs[i] = (struct conf_pair){ .name = set->items[i].name, .value = set->items[i].value };
        return (struct conf_pairs){ pairs, count };
}

int led_init(struct led *led)
{
        return topic_conf_defaults(led->conf, &led->defaults);
}

/* Configurations of brokers changed: topics that set nothing get other values. */
static void defaults_update(struct led *led, const struct meta_image *image)
{
        struct conf_pair all[PAIRS_MAX], own[PAIRS_MAX];
        struct conf_layers layers = { .start = led->conf };
        struct conf *now;
        char self[16];

        snprintf(self, sizeof self, "%d", led->node_id);
        layers.all_brokers = pairs_of(meta_image_configs(image, META_RESOURCE_BROKER, STR_LIT("")), all);
        layers.this_broker = pairs_of(meta_image_configs(image, META_RESOURCE_BROKER, str_of(self)), own);
        if (broker_conf_derive(&layers, &now, NULL)) {
                diag(DIAG_ERROR, "out of memory: changed broker configurations take effect at the next change or start");
                return;
        }
        topic_conf_defaults(now, &led->defaults);
        conf_unref(now);
}

static void topic_settings(const struct led *led, const struct meta_image *image, const struct meta_topic *t,
                           struct topic_conf *ret)
{
        struct conf_pair pairs[PAIRS_MAX];

        topic_conf_resolve(&led->defaults, pairs_of(meta_image_configs(image, META_RESOURCE_TOPIC, t->name), pairs), ret);
}

static struct plog_conf log_conf(const struct led *led, const struct topic_conf *c)
{
        return (struct plog_conf){
                .segment_bytes = c->segment_bytes,
                .segment_ms = c->segment_ms,
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
                .producer_expiry_ms = 86400000,
        };
}

static struct partition_conf led_conf(const struct topic_conf *c, const struct meta_partition *p)
{
        return (struct partition_conf){
                .min_insync_replicas = (int32_t)c->min_insync_replicas,
                .replicas_count = p->replicas_count,
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

static bool is_offsets_topic(struct str name)
{
        return str_equal_c(name, "__consumer_offsets");
}

static void partition_start(struct led *led, const struct meta_topic *t, const struct meta_partition *p,
                            const struct topic_conf *c)
{
        char name[300], dir[1400];
        struct partition_open_args args;
        struct partition *made;
        struct plog *log;
        int r;

        snprintf(name, sizeof name, "%.*s-%d", STR_FMT(t->name), p->index);
        snprintf(dir, sizeof dir, "%s/%s", led->dir, name);
        r = plog_open(led->store,
                      &(struct plog_open_args){
                              .dir = dir, .name = name, .topic_id = t->id, .partition = p->index, .conf = log_conf(led, c),
                      },
                      &log);
        if (r) {
                diag(DIAG_ERROR, "partition %s cannot be opened (%s): it is not served. Look at folder %s", name,
                     strerror(r < 0 ? -r : EIO), dir);
                return;
        }
        snprintf(name, sizeof name, "%.*s", STR_FMT(t->name));
        args = (struct partition_open_args){
                .topic_name = name, .topic_id = t->id, .index = p->index, .leader_epoch = p->leader_epoch,
                .log = plog_ref(log), .conf = led_conf(c, p),
        };
        r = partition_new(&args, &made);
        if (!r)
                r = partition_table_put(led->table, made);
        if (r)
                diag(DIAG_ERROR, "partition %s-%d is not served: %s", name, p->index, strerror(-r));
        else if (is_offsets_topic(t->name))
                coord_partition_open(led->coord, p->index, made);
}

static void partition_stop(struct led *led, struct partition *p, bool delete)
{
        struct plog *log = partition_log(p);

        if (is_offsets_topic(str_of(partition_topic_name(p))))
                coord_partition_close(led->coord, partition_index(p));
        partition_close(p);
        if (delete)
                plog_delete(log);
        else
                plog_close(log);
        partition_unref(p);
}

static void topic_apply(struct led *led, const struct meta_image *image, const struct meta_topic *t)
{
        struct topic_conf c;

        topic_settings(led, image, t, &c);
        if (is_offsets_topic(t->name))
                coord_set_partitions(led->coord, (int32_t)t->partitions_count);
        for (uint32_t i = 0; i < t->partitions_count; i++) {
                const struct meta_partition *mp = meta_topic_partition(t, (int32_t)i);
                struct partition *p = partition_table_find(led->table, t->id, (int32_t)i);
                struct partition_conf conf = led_conf(&c, mp);
                struct plog_conf log = log_conf(led, &c);

                if (!p) {
                        if (mp->leader == led->node_id)
                                partition_start(led, t, mp, &c);
                        continue;
                }
                plog_set_conf(partition_log(p), &log);
                partition_set_conf(p, &conf);
                partition_set_leader_epoch(p, mp->leader_epoch);
                partition_unref(p);
        }
}

static bool brokers_changed(const struct meta_delta *d)
{
        for (uint32_t i = 0; i < d->configs_count; i++)
                if ((d->configs[i].after ? d->configs[i].after : d->configs[i].before)->key.type == META_RESOURCE_BROKER)
                        return true;
        return false;
}

void led_apply(struct led *led, const struct meta_delta *d)
{
        if (brokers_changed(d)) {
                const struct meta_topic *t;

                defaults_update(led, d->after);
                pmap_for_each (it, t, &d->after->topics_by_name)
                        topic_apply(led, d->after, t);
        }
        for (uint32_t i = 0; i < d->topics_count; i++) {
                const struct meta_topic *before = d->topics[i].before, *after = d->topics[i].after;

                for (uint32_t k = 0; before && !after && k < before->partitions_count; k++) {
                        struct partition *p = partition_table_take(led->table, before->id, (int32_t)k);

                        if (p)
                                partition_stop(led, p, true);
                }
                if (before && !after)
                        coord_topic_deleted(led->coord, before->name);
                if (before && !after && is_offsets_topic(before->name))
                        coord_set_partitions(led->coord, 0);
                if (after)
                        topic_apply(led, d->after, after);
        }
        for (uint32_t i = 0; i < d->configs_count; i++) {
                const struct meta_configs *c = d->configs[i].after ? d->configs[i].after : d->configs[i].before;
                const struct meta_topic *t =
                        c->key.type == META_RESOURCE_TOPIC ? meta_image_topic(d->after, c->key.name) : NULL;

                if (t)
                        topic_apply(led, d->after, t);
        }
}

struct closing {
        struct uuid ids[64];
        int32_t indexes[64];
        int count;
};

static int collect(void *arg, struct partition *p)
{
        struct closing *c = arg;

        c->ids[c->count] = partition_topic_id(p);
        c->indexes[c->count++] = partition_index(p);
        return c->count == (int)ARRAY_LEN(c->ids);
}

void led_close_all(struct led *led)
{
        struct closing c;

        do {
                c.count = 0;
                partition_table_visit(led->table, collect, &c);
                for (int i = 0; i < c.count; i++) {
                        struct partition *p = partition_table_take(led->table, c.ids[i], c.indexes[i]);

                        if (p)
                                partition_stop(led, p, false);
                }
        } while (c.count);
}

static int retain_one(void *arg, struct partition *p)
{
        struct partition_view view;

        partition_view(p, &view);
        if (plog_retain(partition_log(p), *(int64_t *)arg, view.high_watermark) > 0)
                partition_start_moved(p);
        return 0;
}

void led_retain(struct led *led, int64_t now_ms)
{
        partition_table_visit(led->table, retain_one, &now_ms);
}
