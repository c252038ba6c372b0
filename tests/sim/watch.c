/* See watch.h. The newest metadata that any node has applied is compared with what was seen before, some hundred times in a
 * second: changes of a partition that follow each other more quickly count as one. */
#include "watch.h"

#include <stdio.h>
#include <string.h>

#include "chronikd/node.h"
#include "meta/names.h"
#include "network.h"

enum { LOOKS_MS = 10, SEEN_MAX = 512, IDS_MAX = 8 };

struct watch_counts watch_counts;

struct ids {
        unsigned count;
        int32_t at[IDS_MAX];
};

/* A partition as it was last seen. */
struct seen {
        struct uuid topic_id;
        int32_t index, leader, leader_epoch, partition_epoch;
        struct ids replicas, isr, elr;
        bool is_moving;
};
static struct seen seen[SEEN_MAX];
static unsigned seen_count;

static struct ids ids_of(const int32_t *ids, unsigned count)
{
        struct ids out = { .count = MIN2(count, (unsigned)IDS_MAX) };

        memcpy(out.at, ids, out.count * sizeof out.at[0]);
        return out;
}

static bool has(const struct ids *ids, int32_t id)
{
        for (unsigned i = 0; i < ids->count; i++)
                if (ids->at[i] == id)
                        return true;
        return false;
}

static bool covers(const struct ids *ids, const struct ids *others)
{
        for (unsigned i = 0; i < others->count; i++)
                if (!has(ids, others->at[i]))
                        return false;
        return true;
}

static const char *text_of(const struct ids *ids, char *text, size_t size)
{
        size_t len = 0;

        text[0] = '\0';
        for (unsigned i = 0; i < ids->count && len < size; i++)
                len += (size_t)snprintf(text + len, size - len, " %d", ids->at[i]);
        return text;
}

/* ---- partitions ---- */

static struct seen *find(struct uuid topic_id, int32_t index)
{
        for (unsigned i = 0; i < seen_count; i++)
                if (uuid_equal(seen[i].topic_id, topic_id) && seen[i].index == index)
                        return &seen[i];
        return NULL;
}

/* The elected one is not asked whether it is alive: only of what it was one. */
static void note_leader(const struct meta_topic *t, const struct seen *was, const struct seen *is)
{
        if (is->leader == was->leader)
                return;
        if (is->leader < 0) {
                watch_counts.left_without++;
                return;
        }
        watch_counts.elections++;
        watch_counts.coordinator_moves += meta_topic_is_internal(t->name);
        watch_counts.elections_moving += was->is_moving;
        if (has(&was->isr, is->leader))
                return;
        if (has(&was->elr, is->leader))
                watch_counts.elections_elr++;
        else if (!has(&is->isr, is->leader) || is->isr.count == 1)
                watch_counts.elections_unclean++;
}

static void note_change(const struct meta_topic *t, const struct seen *was, const struct seen *is)
{
        char replicas[80], isr[80], elr[80];

        watch_counts.leader_epochs += is->leader_epoch != was->leader_epoch;
        note_leader(t, was, is);
        watch_counts.isr_shrinks += !covers(&is->isr, &was->isr);
        watch_counts.isr_expands += !covers(&was->isr, &is->isr);
        watch_counts.elr_joins += !covers(&was->elr, &is->elr);
        if (was->is_moving && !is->is_moving) {
                watch_counts.moves_done += !covers(&is->replicas, &was->replicas);
                watch_counts.moves_cancelled +=
                        covers(&is->replicas, &was->replicas) && covers(&was->replicas, &is->replicas);
        }
        world_say("%.*s-%d: leader %d in epoch %d, replicas%s, isr%s, elr%s", STR_FMT(t->name), is->index, is->leader,
                  is->leader_epoch, text_of(&is->replicas, replicas, sizeof replicas),
                  text_of(&is->isr, isr, sizeof isr), text_of(&is->elr, elr, sizeof elr));
}

static void look_at(const struct meta_topic *t, const struct meta_partition *p)
{
        struct seen is = { .topic_id = t->id,
                           .index = p->index,
                           .leader = p->leader,
                           .leader_epoch = p->leader_epoch,
                           .partition_epoch = p->partition_epoch,
                           .replicas = ids_of(meta_partition_replicas(p), p->replicas_count),
                           .isr = ids_of(meta_partition_isr(p), p->isr_count),
                           .elr = ids_of(meta_partition_elr(p), p->elr_count),
                           .is_moving = p->adding_count || p->removing_count };
        struct seen *was = find(t->id, p->index);

        if (!was) {
                if (seen_count == SEEN_MAX) /* topics that come and go: their partitions are of no interest any more */
                        seen_count = 0;
                seen[seen_count++] = is;
                return;
        }
        if (was->partition_epoch != is.partition_epoch)
                note_change(t, was, &is);
        *was = is;
}

static struct meta_image *newest_image(int64_t index)
{
        struct meta_image *newest = NULL;

        for (unsigned i = 0; i < nodes_count; i++) {
                struct node *n = node_that_runs(i);
                struct meta_image *image = n ? controller_image(n->controller) : NULL;

                if (!image || image->index <= (newest ? newest->index : index)) {
                        meta_image_unref(image);
                        continue;
                }
                meta_image_unref(newest);
                newest = image;
        }
        return newest;
}

void watch_look(void)
{
        static int64_t index;
        static int32_t term;
        struct meta_image *image = newest_image(index);
        const struct meta_topic *t;

        if (!image)
                return;
        index = image->index;
        watch_counts.controller_elections += image->term != term;
        term = image->term;
        pmap_for_each (it, t, &image->topics_by_name)
                for (uint32_t i = 0; i < t->partitions_count; i++)
                        look_at(t, meta_topic_partition(t, (int32_t)i));
        meta_image_unref(image);
}

static void look(void *arg)
{
        (void)arg;
        for (;;) {
                watch_look();
                fiber_sleep(MS * LOOKS_MS);
        }
}

void watch_start(void)
{
        fiber_start(machine_of(0), "watch", look, NULL);
}

static int add_epoch(void *arg, struct partition *p)
{
        struct partition_view v;
        uint64_t *sum = arg;

        partition_view(p, &v); /* the node may take up an epoch long after it has heard of it: its disk is slow */
        if (v.role == PARTITION_LEADER)
                *sum = chance_seed(*sum, (uint64_t)v.leader_epoch);
        return 0;
}

uint64_t watch_leading(void)
{
        uint64_t sum = 0;

        for (unsigned i = 0; i < nodes_count; i++) {
                struct node *n = node_that_runs(i);
                struct shares_stats stats = { 0 };

                if (!n)
                        continue;
                if (n->shares)
                        shares_stats(n->shares, &stats);
                sum = chance_seed(sum + i, stats.writes_failed);
                partition_table_visit(n->table, add_epoch, &sum);
        }
        return sum;
}

/* ---- leaders whose lease has run out ---- */

bool __real_partition_has_lease(const struct partition *p, int64_t now_ms);
bool __wrap_partition_has_lease(const struct partition *p, int64_t now_ms);
bool __wrap_partition_has_lease(const struct partition *p, int64_t now_ms)
{
        bool has = __real_partition_has_lease(p, now_ms);

        watch_counts.without_lease += !has;
        return has;
}

/* ---- what nodes say ---- */

void watch_line(const char *line)
{
        static const struct {
                const char *part;
                uint64_t *count;
        } parts[] = {
                { "parts from that of leader", &watch_counts.truncations },
                { "begins anew there", &watch_counts.restarts },
                { "the log is read-only up to", &watch_counts.logs_failed },
                { "coordinator state is dropped", &watch_counts.coordinators_dropped },
                { "not heard of any more, and fenced", &watch_counts.fenced },
                { "has taken the place of what this node had", &watch_counts.snapshots_controller },
                { "has taken the place of what this observer had", &watch_counts.snapshots_observer },
                { "it refuses this node", &watch_counts.refused },
        };

        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
                if (strstr(line, parts[i].part))
                        ++*parts[i].count;
        /* Every batch is right here, so one that does not fit was sent twice, or asked for twice. */
        if (strstr(line, "it is not taken, and fetched again"))
                world_fail("%s", line);
}
