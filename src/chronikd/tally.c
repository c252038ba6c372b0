/* See tally.h. */
#include "chronikd/tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/settings.h"

struct tally_node *tally_find(const struct tally *t, int32_t id)
{
        size_t low = 0, high = t->nodes_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (t->nodes[mid].id == id)
                        return &t->nodes[mid];
                if (t->nodes[mid].id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static void kind_add(struct tally_kind *k, const struct meta_topic *t, int32_t partition)
{
        size_t len = strlen(k->names);

        if (k->count++ < TALLY_NAMED_MAX)
                snprintf(k->names + len, sizeof k->names - len, "%s%.*s-%d", len ? ", " : "",
                         (int)MIN2(t->name.len, (size_t)80), t->name.p, partition);
}

/* Could another broker than its leader lead @p at once, as the controller chooses? */
static bool is_movable(const struct meta_image *image, const struct meta_partition *p)
{
        for (uint32_t i = 0; i < p->isr_count; i++) {
                int32_t id = meta_partition_isr(p)[i];
                const struct meta_broker *b = id == p->leader ? NULL : meta_image_broker(image, id);

                if (b && !b->fenced && !b->in_shutdown && b->duty == META_DUTY_NONE)
                        return true;
        }
        return false;
}

static bool is_in_isr(const struct meta_partition *p, int32_t id)
{
        return meta_ids_contain(meta_partition_isr(p), p->isr_count, id);
}

/* @without: a node that is not to count, META_NO_NODE for none. */
static void count_partition(struct tally *t, const struct meta_image *image, const struct meta_topic *topic,
                            const struct meta_partition *p, int32_t min_isr, int32_t without)
{
        int32_t told = meta_image_leader(image, p), leader = told == without ? META_NO_NODE : told;
        struct tally_node *n = leader == META_NO_NODE ? NULL : tally_find(t, leader);
        uint32_t in_sync = p->isr_count - (without != META_NO_NODE && is_in_isr(p, without));
        bool under = in_sync + p->adding_count < p->replicas_count;
        bool below = (int32_t)in_sync < MIN2(min_isr, (int32_t)p->replicas_count) || leader == META_NO_NODE;

        t->partitions++;
        t->reassigning += p->adding_count || p->removing_count;
        t->recovering += p->recovering;
        t->not_preferred += leader != META_NO_NODE && p->replicas_count && leader != meta_partition_replicas(p)[0];
        if (under)
                kind_add(&t->under_replicated, topic, p->index);
        if (below)
                kind_add(&t->below_min_isr, topic, p->index);
        if (leader == META_NO_NODE)
                kind_add(&t->offline, topic, p->index);
        if (n) {
                n->leads++;
                n->leads_movable += is_movable(image, p);
                n->leads_under_replicated += under;
                n->leads_below_min_isr += below;
        }
        for (uint32_t i = 0; i < p->replicas_count; i++) {
                int32_t id = meta_partition_replicas(p)[i];

                n = tally_find(t, id);
                if (!n)
                        continue;
                n->replicas++;
                n->behind += !is_in_isr(p, id);
        }
}

static int count_topic(struct tally *t, const struct meta_image *image, const struct conf *conf, struct settings *s,
                       const struct meta_topic *topic, int32_t without)
{
        struct topic_settings set;
        int r = settings_of_topic(s, conf, image, topic->name, &set);

        for (uint32_t i = 0; i < topic->partitions_count && !r; i++) {
                const struct meta_partition *p = meta_topic_partition(topic, (int32_t)i);

                if (without == META_NO_NODE || meta_ids_contain(meta_partition_replicas(p), p->replicas_count, without))
                        count_partition(t, image, topic, p, set.min_isr, without);
        }
        return r;
}

int tally_take(const struct meta_image *image, const struct conf *conf, struct tally *ret)
{
        return tally_take_without(image, conf, META_NO_NODE, ret);
}

int tally_take_without(const struct meta_image *image, const struct conf *conf, int32_t without, struct tally *ret)
{
        struct tally t = { .nodes = calloc(image->brokers.count + 1, sizeof *t.nodes) };
        struct settings settings = { 0 };
        const struct meta_topic *topic;
        const struct meta_broker *b;
        int r = t.nodes ? 0 : -ENOMEM;

        if (r)
                return r;
        pmap_for_each (it, b, &image->brokers)
                t.nodes[t.nodes_count++].id = b->id;
        pmap_for_each (it, topic, &image->topics_by_name)
                if (!r)
                        r = count_topic(&t, image, conf, &settings, topic, without);
        settings_fini(&settings);
        if (r)
                tally_fini(&t);
        else
                *ret = t;
        return r;
}

void tally_fini(struct tally *t)
{
        free(t->nodes);
        *t = (struct tally){ 0 };
}

const char *tally_state(const struct meta_broker *b, const struct tally_node *node)
{
        if (b->fenced)
                return "fenced";
        if (b->in_shutdown)
                return "stopping";
        if (b->duty == META_DUTY_LEAVING)
                return "leaving";
        if (b->duty == META_DUTY_DRAINED)
                return node && node->leads_movable ? "draining" : "drained";
        return "active";
}
