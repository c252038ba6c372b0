/* Somebody who moves partitions from node to node all the time, with two to four replicas. */
#include <stdio.h>

#include "client.h"

enum { OFFSETS_PARTITIONS = 2 };

static int move(struct client *c, const char *topic, int32_t index, int32_t *replicas, int32_t count)
{
        struct alter_partition_reassignments_request_partition partition;
        struct alter_partition_reassignments_request_topic t;
        struct alter_partition_reassignments_request rq;
        struct alter_partition_reassignments_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        alter_partition_reassignments_request_init(&rq);
        alter_partition_reassignments_request_topic_init(&t);
        alter_partition_reassignments_request_partition_init(&partition);
        partition.partition_index = index;
        partition.replicas = replicas;
        partition.replicas_count = count;
        t.name = str_of(topic);
        t.partitions = &partition;
        t.partitions_count = 1;
        rq.topics = &t;
        rq.topics_count = 1;
        rq.timeout_ms = 5000;
        if (client_call(c, client_any_node(c),
                        CLIENT_API(alter_partition_reassignments, ALTER_PARTITION_REASSIGNMENTS_REQUEST_KEY, 0), &rq,
                        &rs, &mem))
                return -1;
        if (rs.error_code || rs.responses_count != 1 || rs.responses[0].partitions_count != 1)
                return rs.error_code ? rs.error_code : -1;
        return rs.responses[0].partitions[0].error_code;
}

/* Different nodes, in any order. */
static int32_t some_nodes(struct client *c, int32_t *ids)
{
        int32_t all[NODES_MAX], left = 0, count;

        for (unsigned i = 0; i < nodes_count; i++)
                if (nodes[i].is_ingest)
                        all[left++] = (int32_t)i + 1;
        count = 2 + (int32_t)chance_below(&c->chance, MIN2(left - 1, 3));
        for (int32_t i = 0; i < count; i++) {
                int32_t at = (int32_t)chance_below(&c->chance, (uint64_t)left);

                ids[i] = all[at];
                all[at] = all[--left];
        }
        return count;
}

static void move_about(void *arg)
{
        struct client *c = arg;
        int64_t pace_ns = SECOND * (2 + chance_below(&c->chance, 40));

        while (!clients_are_done) {
                const struct history_topic *t = &history_topics[chance_below(&c->chance, history_topics_count)];
                bool offsets = chance_one_in(&c->chance, 6);
                int32_t ids[NODES_MAX], count = some_nodes(c, ids), code;
                int32_t index =
                        (int32_t)chance_below(&c->chance, offsets ? OFFSETS_PARTITIONS : (uint64_t)t->parts_count);

                code = move(c, offsets ? "__consumer_offsets" : t->name, index, ids, count);
                world_say("%s: %s-%d to %d nodes, %d first: %d", c->name, offsets ? "__consumer_offsets" : t->name,
                          index, count, ids[0], code);
                client_counts.moves += !code;
                if (code > 0) /* nodes may be down, and topics not there yet: that is for others to complain of */
                        client_error(c, "AlterPartitionReassignments", code);
                fiber_sleep((int64_t)chance_below(&c->chance, (uint64_t)pace_ns));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c, i);
}

void client_start_mover(void)
{
        struct client *c = client_new("mover");

        client_run(c, move_about, c);
}
