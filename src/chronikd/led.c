/* The partitions of this node follow the metadata image: what is to be done. How is led_job.c's business. */
#include "chronikd/led.h"

#include <errno.h>
#include <string.h>

#include "chronikd/led_internal.h"
#include "sys/diag.h"

int led_init(struct led *led)
{
        ilist_init(&led->pending);
        ilist_init(&led->queue);
        return topic_conf_defaults(led->conf, &led->defaults);
}

void led_fini(struct led *led)
{
        assert(!led->folders);
        led->image = meta_image_unref(led->image);
        led->watermarks = watermarks_free(led->watermarks);
}

/* Who coordinates with the partitions of this topic; NULL: it is one of records. */
static struct coord *coord_of(const struct led *led, struct str topic)
{
        if (str_equal_c(topic, "__consumer_offsets"))
                return led->coord;
        return str_equal_c(topic, "__transaction_state") ? led->txns : NULL;
}

/* ---- one partition ---- */

static bool is_replica(const struct led *led, const struct meta_partition *mp)
{
        return meta_ids_contain(meta_partition_replicas(mp), mp->replicas_count, led->node_id);
}

/* The role that the metadata gives us. */
static void take_role(struct led *led, struct partition *p, const struct meta_partition *mp)
{
        struct replica_state s = { .leader = mp->leader,
                                   .leader_epoch = mp->leader_epoch,
                                   .partition_epoch = mp->partition_epoch,
                                   .replicas = meta_partition_replicas(mp),
                                   .replicas_count = mp->replicas_count,
                                   .isr = meta_partition_isr(mp),
                                   .isr_count = mp->isr_count };

        if (partition_set_state(p, &s) < 0)
                led->failed = true; /* no memory: said again by led_retry() */
}

/* Coordinators come and go with leadership. Led in another epoch, a partition is read anew: somebody else may have written
 * in between. Two threads may be here for one partition; what was said last must be what is true, so each looks again after it
 * has spoken. */
static void coordinate(struct coord *c, struct partition *p)
{
        struct partition_view said, now;

        partition_view(p, &now);
        do {
                said = now;
                if (said.role == PARTITION_LEADER && !said.closed)
                        coord_partition_open(c, partition_index(p), p);
                else
                        coord_partition_close(c, partition_index(p));
                partition_view(p, &now);
        } while (now.role != said.role || now.leader_epoch != said.leader_epoch || now.closed != said.closed);
}

/* And so does fetching. Any thread. */
static void on_role(void *arg, struct partition *p)
{
        struct led *led = arg;
        struct coord *c = coord_of(led, str_of(partition_topic_name(p)));

        if (c)
                coordinate(c, p);
        if (led->replicator)
                replicator_role(led->replicator, p);
}

static void on_ask(void *arg, struct partition *p)
{
        struct led *led = arg;

        if (led->replicator)
                replicator_ask(led->replicator, p);
}

static void on_failed(void *arg, struct partition *p)
{
        struct led *led = arg;

        if (led->replicator)
                replicator_failed(led->replicator, p);
}

struct partition_events led_events(struct led *led)
{
        return (struct partition_events){ .role = on_role, .ask = on_ask, .failed = on_failed, .arg = led };
}

static void partition_update(struct led *led, struct partition *p, const struct meta_topic *t,
                             const struct meta_partition *mp)
{
        struct partition_conf conf;
        struct plog_conf log_conf;
        struct topic_conf c;

        led_conf_topic(led, t, &c);
        conf = led_conf_partition(led, t, &c, mp);
        log_conf = led_conf_log(led, &c);
        plog_set_conf(partition_log(p), &log_conf);
        partition_set_conf(p, &conf);
        take_role(led, p, mp);
}

/* No request finds it any more, and those that wait are told. */
static struct partition *partition_withdraw(struct led *led, struct uuid topic_id, int32_t index)
{
        struct partition *p = partition_table_take(led->table, topic_id, index);
        struct coord *c = coord_of(led, str_of(partition_topic_name(p)));

        if (c)
                coord_partition_close(c, index);
        partition_close(p);
        if (led->replicator)
                replicator_role(led->replicator, p);
        return p;
}

bool led_look(struct led *led, struct uuid topic_id, int32_t index, struct led_work *ret_work)
{
        const struct meta_topic *t = meta_image_topic_by_id(led->image, topic_id);
        const struct meta_partition *mp =
                t && index < (int32_t)t->partitions_count ? meta_topic_partition(t, index) : NULL;
        CLEANUP(partition_unrefp) struct partition *p = partition_table_find(led->table, topic_id, index);
        bool ours = mp && is_replica(led, mp), wanted = ours && !led->closed;
        struct topic_conf c;

        if (wanted && p) {
                partition_update(led, p, t, mp);
                return false;
        }
        /* What was moved to other nodes is deleted as if its topic were. */
        *ret_work = (struct led_work){ .kind = wanted ? LED_OPEN : ours ? LED_CLOSE : LED_DELETE };
        if (wanted) {
                led_conf_topic(led, t, &c);
                ret_work->log_conf = led_conf_log(led, &c);
                ret_work->conf = led_conf_partition(led, t, &c, mp);
        } else if (p) {
                ret_work->partition = partition_withdraw(led, topic_id, index);
        }
        return wanted || p;
}

void led_opened(struct led *led, struct partition *p)
{
        const struct meta_topic *t = meta_image_topic_by_id(led->image, partition_topic_id(p));
        const struct meta_partition *mp = t ? meta_topic_partition(t, partition_index(p)) : NULL;
        int r = partition_table_put(led->table, p);

        if (r) {
                diag_about(DIAG_ERROR,
                           DIAG_ABOUT(PARTITION_NOT_SERVED, { "TOPIC", .text = str_of(partition_topic_name(p)) },
                                      { "PARTITION", .number = partition_index(p) }),
                           "partition %s-%d is not served: %s", partition_topic_name(p), partition_index(p),
                           strerror(-r));
                partition_close(p);
                plog_close(partition_log(p));
                partition_unref(p);
        } else if (mp) { /* the image may be a newer one than when it was asked for */
                take_role(led, p, mp);
        }
}

/* ---- images ---- */

static void topic_apply(struct led *led, const struct meta_topic *t)
{
        struct coord *c = coord_of(led, t->name);

        if (c)
                coord_set_partitions(c, (int32_t)t->partitions_count);
        for (uint32_t i = 0; i < t->partitions_count; i++)
                led_reconcile(led, t->name, t->id, (int32_t)i);
}

static void topic_gone(struct led *led, const struct meta_topic *t)
{
        struct coord *c = coord_of(led, t->name);

        for (uint32_t i = 0; i < t->partitions_count; i++)
                led_reconcile(led, t->name, t->id, (int32_t)i);
        coord_topic_deleted(led->coord, t->name);
        if (c)
                coord_set_partitions(c, 0);
}

static bool brokers_changed(const struct meta_delta *d)
{
        for (uint32_t i = 0; i < d->configs_count; i++)
                if ((d->configs[i].after ? d->configs[i].after : d->configs[i].before)->key.type ==
                    META_RESOURCE_BROKER)
                        return true;
        return false;
}

static void configs_apply(struct led *led, const struct meta_delta *d)
{
        for (uint32_t i = 0; i < d->configs_count; i++) {
                const struct meta_configs *c = d->configs[i].after ? d->configs[i].after : d->configs[i].before;
                const struct meta_topic *t =
                        c->key.type == META_RESOURCE_TOPIC ? meta_image_topic(d->after, c->key.name) : NULL;

                if (t)
                        topic_apply(led, t);
        }
}

/* ---- folders that nobody claims ---- */

/* Does the image know of this folder's partition here? */
static bool is_claimed(const struct led *led, const char *name, struct uuid topic_id)
{
        const struct meta_topic *t = meta_image_topic_by_id(led->image, topic_id);
        const char *dash = strrchr(name, '-');
        char *end = NULL;
        long long index = dash ? strtoll(dash + 1, &end, 10) : -1;
        const struct meta_partition *mp =
                t && end && !*end && index >= 0 && index <= INT32_MAX ? meta_topic_partition(t, (int32_t)index) : NULL;

        return mp && is_replica(led, mp);
}

static int remove_stray(void *arg, const char *name, struct uuid topic_id)
{
        struct led *led = arg;
        int r;

        if (is_claimed(led, name, topic_id))
                return 0;
        r = plog_store_discard(led->store, name, led->defaults.file_delete_delay_ms);
        if (r)
                diag(DIAG_ERROR,
                     "folder %s/%s is of a topic that was deleted, or moved to other nodes, and cannot be removed: %s",
                     led->dir, name, strerror(-r));
        else
                diag(DIAG_INFO,
                     "folder %s/%s is of a topic that was deleted, or moved to other nodes, while the node did not "
                     "run: it is removed",
                     led->dir, name);
        return 0;
}

void led_apply(struct led *led, const struct meta_delta *d)
{
        bool first = !led->image;

        meta_image_unref(led->image);
        led->image = meta_image_ref(d->after);
        /* Alone nothing changes while the node does not run, unless it died in the midst of it. */
        if (first && (!plog_store_was_clean(led->store) || led->is_cluster))
                (void)plog_store_list(led->store, remove_stray, led);
        if (brokers_changed(d)) {
                const struct meta_topic *t;

                led_conf_update(led);
                pmap_for_each (it, t, &d->after->topics_by_name)
                        topic_apply(led, t);
        }
        /* First what goes: a topic that was made again under its name waits for the folder of the one before. */
        for (uint32_t i = 0; i < d->topics_count; i++)
                if (!d->topics[i].after)
                        topic_gone(led, d->topics[i].before);
        for (uint32_t i = 0; i < d->topics_count; i++)
                if (d->topics[i].after)
                        topic_apply(led, d->topics[i].after);
        configs_apply(led, d);
        led_report(led);
}

void led_retry(struct led *led)
{
        const struct meta_topic *t;

        if (!led->failed || led->closed)
                return;
        led->failed = false;
        pmap_for_each (it, t, &led->image->topics_by_name)
                topic_apply(led, t);
}

static int close_one(void *arg, struct partition *p)
{
        led_reconcile(arg, str_of(partition_topic_name(p)), partition_topic_id(p), partition_index(p));
        return 0;
}

void led_close(struct led *led, void (*closed)(void *arg))
{
        led->closed = closed;
        led_jobs_cancel(led);
        partition_table_visit(led->table, close_one, led);
        led_report(led);
}
