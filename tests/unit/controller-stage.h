/* What tests of decisions stand in: an image, brokers, topics, and a log that does to the image what a decision foresaw.
 * Everything is decided in memory; what must hold of any image is checked after each decision. */
#pragma once

#include <stdio.h>

#include "controller/decide.h"
#include "unit.h"

static const struct controller_feature features[] = { { "metadata.version", 1, 20, 20 },
                                                      { "transaction.version", 0, 2, 2 } };

/* What a test stands in. */
static struct conf *conf;
static struct controller_rules rules;
static struct controller_memory memory;
static struct random_source source;
static struct arena mem;
static struct meta_image *image;
static int64_t now_ms;
static int64_t wall_ms;
static uint32_t emitted; /* records of the last decision */
static uint32_t entries; /* and how many entries they took */
static int entries_max;  /* the controller fails after so many of them; -1: it does not */

static inline void setup(void)
{
        static const struct conf_machine machine = { .cpus = 1, .hostname = "node" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };

        assert(!conf_parse("t", STR_NULL, NULL, 0, &machine, &conf, &errors));
        rules = (struct controller_rules){ .conf = conf,
                                           .node_id = 1,
                                           .features = features,
                                           .features_count = 2,
                                           .session_timeout_ms = 9000,
                                           .imbalance_percent = 10,
                                           .balance_max = 1000,
                                           .part_len = 1 << 20,
                                           .moves_max = 5 };
        source.state = 42;
        arena_init(&mem, 0);
        image = meta_image_new_empty();
        now_ms = 1000;
        wall_ms = 1000000;
        entries_max = -1;
}

static inline void teardown(void)
{
        image = meta_image_unref(image);
        conf_unref(conf);
        arena_fini(&mem);
        controller_memory_fini(&memory);
}

static const struct controller_ability *others; /* that decisions know of */
static size_t others_count;

static inline void start(struct decision *d)
{
        *d = (struct decision){ .rules = &rules,
                                .memory = &memory,
                                .now_ms = now_ms,
                                .wall_ms = wall_ms,
                                .index = image->index + 1,
                                .term = 1,
                                .random = &source,
                                .mem = &mem,
                                .controllers = others,
                                .controllers_count = others_count };
        assert(!decision_init(d, image));
}

/* ---- what must hold of any image ---- */

static inline bool list_is_sound(const struct meta_partition *p, const int32_t *ids, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (meta_ids_contain(ids, i, ids[i]) ||
                    !meta_ids_contain(meta_partition_replicas(p), p->replicas_count, ids[i]))
                        return false;
        return true;
}

static inline bool some_are_live(const int32_t *ids, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (meta_image_broker_is_live(image, ids[i]))
                        return true;
        return false;
}

/* What is wrong with a partition, or NULL. */
static inline const char *partition_fault(const struct meta_topic *t, const struct meta_partition *p, bool last)
{
        const int32_t *isr = meta_partition_isr(p), *elr = meta_partition_elr(p);
        struct topic_settings settings;

        if (!list_is_sound(p, meta_partition_replicas(p), p->replicas_count) || !p->replicas_count)
                return "replicas";
        if (!list_is_sound(p, isr, p->isr_count) || !list_is_sound(p, elr, p->elr_count))
                return "ISR or ELR has a stranger";
        if (!list_is_sound(p, meta_partition_adding(p), p->adding_count) ||
            !list_is_sound(p, meta_partition_removing(p), p->removing_count))
                return "a stranger is added or removed";
        if (p->removing_count >= p->replicas_count)
                return "nobody would be left";
        for (uint32_t i = 0; i < p->elr_count; i++)
                if (meta_ids_contain(isr, p->isr_count, elr[i]))
                        return "in ISR and ELR";
        for (uint32_t i = 0; i < p->isr_count; i++)
                if (!meta_image_broker_is_live(image, isr[i]) && some_are_live(isr, p->isr_count))
                        return "one is not live in an ISR that has one who is";
        if (p->leader != META_NO_NODE && !meta_ids_contain(isr, p->isr_count, p->leader))
                return "leader not in the ISR";
        if (last && p->leader == META_NO_NODE && (some_are_live(isr, p->isr_count) || some_are_live(elr, p->elr_count)))
                return "no leader though there could be one";
        if (p->leader != META_NO_NODE && p->last_known_elr_count)
                return "a last known leader beside a leader";
        assert(!settings_of_topic(&memory.settings, conf, image, t->name, &settings));
        if (p->elr_count && p->isr_count >= MIN2(settings.min_isr, (int32_t)p->replicas_count))
                return "ELR beside a full ISR";
        if (p->recovering && p->isr_count > 1)
                return "not alone while it recovers";
        return NULL;
}

static inline const char *step_fault(const struct meta_partition *before, const struct meta_partition *p)
{
        if (!before || before == p)
                return NULL;
        if (p->partition_epoch <= before->partition_epoch || p->leader_epoch < before->leader_epoch)
                return "an epoch did not grow";
        if (p->leader != before->leader && p->leader_epoch == before->leader_epoch)
                return "another leader in the same epoch";
        if (p->leader != META_NO_NODE && p->replicas_count < before->replicas_count &&
            p->leader_epoch == before->leader_epoch)
                return "replicas were taken away in the same epoch";
        return NULL;
}

/* Also that the hints name every place, because what they lack is never found again. */
static inline bool place_is_known(int32_t broker_id, struct uuid topic_id, int32_t partition)
{
        const struct places_broker *b = places_of(&memory.places, broker_id);

        for (uint32_t i = 0; b && i < b->count; i++)
                if (b->at[i].partition == partition && uuid_equal(b->at[i].topic_id, topic_id))
                        return true;
        return false;
}

static inline const char *image_fault(struct meta_image *before, bool hints, bool last)
{
        const struct meta_topic *t, *old;

        pmap_for_each (it, t, &image->topics_by_id) {
                old = meta_image_topic_by_id(before, t->id);
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);
                        const struct meta_partition *was = old ? meta_topic_partition(old, (int32_t)i) : NULL;
                        const char *fault = p == was ? NULL : partition_fault(t, p, last);

                        if (!fault)
                                fault = step_fault(was, p);
                        for (uint32_t k = 0; hints && !fault && k < p->replicas_count; k++)
                                if (!place_is_known(meta_partition_replicas(p)[k], t->id, p->index))
                                        fault = "a place that is not known";
                        if (fault)
                                return fault;
                }
        }
        return NULL;
}

/* Let the log do to the image what the decision foresaw, entry by entry, through bytes. Each entry leaves an image that is
 * sound by itself; only after the @last one everything that can have a leader has one. @hints: check those too (it costs). */
static inline void commit_entry(struct meta_batch *batch, struct meta_image *foreseen, bool hints, bool last)
{
        struct meta_image *before = image;
        const char *fault;
        struct meta_builder b;

        assert(!meta_builder_init(&b, before));
        assert(!meta_builder_apply_entry(&b, meta_batch_payload(batch), foreseen->index));
        image = meta_builder_finish(&b, foreseen->index, 1);
        CU_ASSERT(meta_image_equal(image, foreseen));
        fault = image_fault(before, hints, last);
        if (fault)
                printf("%s ", fault);
        CU_ASSERT_PTR_NULL(fault);
        meta_image_unref(before);
        emitted += batch->count;
        entries++;
}

static inline void commit(struct decision *d)
{
        bool small = image->partitions_count <= 64;

        emitted = entries = 0;
        for (size_t i = 0; i < d->parts_count && entries != (uint32_t)entries_max; i++)
                commit_entry(&d->parts[i].batch, d->parts[i].image, small, false);
        if (d->batch.count && entries != (uint32_t)entries_max) {
                CLEANUP(meta_image_unrefp) struct meta_image *foreseen = NULL;

                foreseen = meta_builder_finish(&d->builder, d->index, 1);
                commit_entry(&d->batch, foreseen, small, true);
        }
        decision_fini(d);
}

/* A stage whose cluster works with that level of chronik.version. */
static inline void setup_at(int16_t level)
{
        struct meta_record r;
        struct decision d;

        setup();
        start(&d);
        meta_record_init(&r, META_FEATURE);
        r.feature.name = STR_LIT(CONTROLLER_VERSION);
        r.feature.level = level;
        decision_emit(&d, &r);
        commit(&d);
}

static inline void ask(enum controller_op op, void *items, uint32_t count, bool validate_only)
{
        struct controller_request rq = {
                .op = op, .items = items, .items_count = count, .validate_only = validate_only
        };
        struct decision d;

        start(&d);
        CU_ASSERT_EQUAL(decision_run(&d, &rq), 0);
        commit(&d);
}

static inline void bootstrap(void)
{
        struct decision d;

        start(&d);
        CU_ASSERT_EQUAL(decision_bootstrap(&d, STR_LIT("cluster-1")), 0);
        commit(&d);
}

static struct rec_broker_endpoint endpoint = { { "PLAIN", 5 }, { "host", 4 }, 9092, 0 };
static struct rec_broker_feature broker_features[] = { { { "metadata.version", 16 }, 1, 20 },
                                                       { { "transaction.version", 19 }, 0, 2 },
                                                       { { CONTROLLER_VERSION, 15 }, 1, 2 } };
static struct uuid dirs[64];

static inline struct controller_register_broker registration(int32_t id, uint8_t incarnation, const char *rack)
{
        struct controller_register_broker r = { .previous_epoch = -1 };

        rec_broker_init(&r.broker);
        r.broker.broker_id = id;
        r.broker.incarnation.b[0] = incarnation;
        r.broker.rack = str_of(rack);
        r.broker.endpoints = &endpoint;
        r.broker.endpoints_count = 1;
        r.broker.features = broker_features;
        r.broker.features_count = ARRAY_LEN(broker_features);
        dirs[id].b[0] = (uint8_t)(id + 1);
        r.broker.directories = &dirs[id];
        r.broker.directories_count = 1;
        return r;
}

static inline enum controller_outcome beat(int32_t id, bool want_fence, bool want_shutdown)
{
        struct controller_heartbeat h = {
                .broker_id = id, .want_fence = want_fence, .want_shutdown = want_shutdown, .applied_index = image->index
        };
        const struct meta_broker *b = meta_image_broker(image, id);

        h.broker_epoch = b ? b->epoch : -1;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        return h.result.outcome;
}

/* Brokers 1..count, live. */
static inline void brokers(int32_t count)
{
        bootstrap();
        for (int32_t id = 1; id <= count; id++) {
                struct controller_register_broker r = registration(id, 1, NULL);

                ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
                CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
                CU_ASSERT_EQUAL(meta_image_broker(image, id)->epoch, r.epoch);
                CU_ASSERT(meta_image_broker(image, id)->fenced);
                CU_ASSERT_EQUAL(beat(id, false, false), CONTROLLER_OK);
                CU_ASSERT_FALSE(meta_image_broker(image, id)->fenced);
        }
}

static inline struct controller_create_topic create(const char *name, int32_t partitions, int16_t factor)
{
        struct controller_create_topic t = { .name = str_of(name),
                                             .partitions_count = partitions,
                                             .replication_factor = factor };

        ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
        return t;
}

static inline const struct meta_partition *part(const char *name, int32_t index)
{
        const struct meta_topic *t = meta_image_topic(image, str_of(name));

        return t ? meta_topic_partition(t, index) : NULL;
}
