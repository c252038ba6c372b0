/* See audit_topic.h. */
#include "chronikd/audit_topic.h"

#include <inttypes.h>
#include <stdio.h>

#include "chronikd/node.h"
#include "meta/names.h"
#include "obs/expo.h"
#include "replica/table.h"
#include "sys/diag.h"

enum { BATCH_LEN_WANTED = 256 << 10, REPLICAS = 3 };

static const struct str name = { META_AUDIT_TOPIC, sizeof META_AUDIT_TOPIC - 1 };

void audit_topic_init(struct audit_topic *t, struct node *n)
{
        t->n = n;
        snprintf(t->key, sizeof t->key, "%" PRId32, n->led.node_id);
        snprintf(t->retention, sizeof t->retention, "%" PRId64, n->conf->audit.topic_retention_ms);
}

void audit_topic_fini(struct audit_topic *t)
{
        if (t->is_open)
                batch_builder_fini(&t->batch);
        t->is_open = false;
}

static bool is_wanted(const struct audit_topic *t)
{
        return t->n && t->n->store && t->n->conf->audit.topic_partitions > 0;
}

/* ---- the topic itself ---- */

static void created(struct controller_request *rq)
{
        struct audit_topic *t = container_of(rq, struct audit_topic, ask);
        const struct controller_result *result = rq->result.outcome ? &rq->result : &t->create.result;

        if (result->outcome && result->outcome != CONTROLLER_E_TOPIC_EXISTS)
                diag_limited(DIAG_WARN, "the topic %.*s cannot be made yet: %.*s", STR_FMT(name),
                             STR_FMT(result->message));
        arena_fini(&t->mem);
        t->is_asking = false;
}

static int32_t live_count(const struct meta_image *image)
{
        const struct meta_broker *b;
        struct pmap_iter it;
        int32_t count = 0;

        pmap_iter_init(&it, &image->brokers, NULL);
        while ((b = pmap_next(&it)))
                count += !b->fenced;
        return count;
}

void audit_topic_tick(struct audit_topic *t)
{
        struct meta_image *image;
        int32_t live;
        bool is_there;

        if (!is_wanted(t) || t->is_asking || !atomic_load(&t->n->ready) || atomic_load(&t->n->stopping))
                return;
        image = controller_image(t->n->controller);
        is_there = meta_image_topic(image, name);
        live = live_count(image);
        meta_image_unref(image);
        if (is_there)
                return;
        t->is_asking = true;
        t->configs[0] = (struct conf_pair){ .name = STR_LIT("cleanup.policy"), .value = STR_LIT("delete") };
        t->configs[1] = (struct conf_pair){ .name = STR_LIT("retention.ms"), .value = str_of(t->retention) };
        t->configs[2] = (struct conf_pair){ .name = STR_LIT("compression.type"), .value = STR_LIT("producer") };
        t->create =
                (struct controller_create_topic){ .name = name,
                                                  .partitions_count = (int32_t)t->n->conf->audit.topic_partitions,
                                                  .replication_factor = (int16_t)MIN2((int32_t)REPLICAS, MAX2(live, 1)),
                                                  .configs = t->configs,
                                                  .configs_count = ARRAY_LEN(t->configs) };
        arena_init(&t->mem, 0);
        t->ask = (struct controller_request){ .op = CONTROLLER_CREATE_TOPICS,
                                              .items = &t->create,
                                              .items_count = 1,
                                              .mem = &t->mem,
                                              .reply_loop = t->n->loop,
                                              .done = created };
        controller_submit(t->n->controller, &t->ask);
}

/* ---- writing ---- */

/* One that this node leads; a reference. NULL: none. */
static struct partition *led_partition(const struct audit_topic *t)
{
        struct meta_image *image = controller_image(t->n->controller);
        const struct meta_topic *topic = meta_image_topic(image, name);
        struct partition *p = NULL;

        for (uint32_t i = 0; topic && i < topic->partitions_count && !p; i++)
                if (meta_topic_partition(topic, (int32_t)i)->leader == t->n->led.node_id)
                        p = partition_table_find(t->n->table, topic->id, (int32_t)i);
        meta_image_unref(image);
        return p;
}

static int append(struct audit_topic *t, struct partition *p)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct plog_append_result result;
        int r = batch_builder_finish(&t->batch, &out);

        if (r)
                return r;
        return partition_append(p,
                                &(struct plog_append_args){ .batch = (uint8_t *)out.data,
                                                            .len = out.len,
                                                            .now_ms = clock_wall_ms(),
                                                            .max_timestamp = t->batch_ms,
                                                            .max_timestamp_offset_delta = 0,
                                                            .keep_base_offset = -1 },
                                false, &result);
}

void audit_topic_flush(struct audit_topic *t)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;

        if (!t->in_batch)
                return;
        p = led_partition(t);
        if (p && !append(t, p)) {
                atomic_fetch_add(&t->written, (uint64_t)t->in_batch);
        } else {
                atomic_fetch_add(&t->missed, (uint64_t)t->in_batch);
                audit_topic_fini(t); /* and what is in the batch */
        }
        t->in_batch = 0;
}

void audit_topic_add(struct audit_topic *t, struct str line)
{
        struct batch_build_args args = batch_build_args();
        struct batch_record record = { .key = span_of(t->key, strlen(t->key)), .value = span_of(line.p, line.len) };

        if (!is_wanted(t))
                return;
        if (!t->in_batch)
                t->batch_ms = clock_wall_ms();
        record.offset = t->in_batch;
        record.timestamp = t->batch_ms;
        if (!t->is_open)
                batch_builder_init(&t->batch, &args);
        t->is_open = true;
        if (batch_builder_add(&t->batch, &record)) {
                atomic_fetch_add(&t->missed, 1);
                return;
        }
        t->in_batch++;
        if (batch_builder_len(&t->batch) >= BATCH_LEN_WANTED)
                audit_topic_flush(t);
}

void audit_topic_expose(const struct audit_topic *t, struct strbuf *out)
{
        if (!is_wanted(t))
                return;
        expo_family(out, "chronik_audit_topic_entries_total", "counter",
                    "Entries that were also written to the topic " META_AUDIT_TOPIC ".");
        expo_value(out, "chronik_audit_topic_entries_total", "", NULL, (double)atomic_load(&t->written));
        expo_family(out, "chronik_audit_topic_missed_total", "counter",
                    "Entries that are in this node's files only: it led no partition of " META_AUDIT_TOPIC
                    " just then.");
        expo_value(out, "chronik_audit_topic_missed_total", "", NULL, (double)atomic_load(&t->missed));
}
