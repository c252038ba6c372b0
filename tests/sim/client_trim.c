/* Somebody who has the older records of a topic deleted, now and then (DeleteRecords, KIP-107). */
#include <stdio.h>

#include "client.h"

/* What was told to be deleted is gone, whoever leads. */
static void look(struct client *c, struct history_part *p, int node)
{
        struct client_reader reader = { .client = c, .part = p, .preferred = -1 };
        int64_t start = client_list_offset(&reader, node, -2);

        if (start >= 0 && start < p->trim_acked)
                world_fail("%s: %s-%d was told to begin at %lld, and begins at %lld", c->name, p->topic->name, p->index,
                           (long long)p->trim_acked, (long long)start);
}

static void trim(struct client *c, struct history_part *p)
{
        struct delete_records_request_partition partition;
        struct delete_records_request_topic topic;
        struct delete_records_request rq;
        struct delete_records_response rs;
        const struct delete_records_response_partition *found;
        int node = client_leader(c, p);
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        if (node >= 0)
                look(c, p, node);
        if (node < 0 || p->ends[node].high <= p->trim_acked) /* or it has ended meanwhile */
                return;
        delete_records_request_init(&rq);
        delete_records_request_topic_init(&topic);
        delete_records_request_partition_init(&partition);
        partition.partition_index = p->index;
        partition.offset = p->trim_acked + chance_below(&c->chance, (uint64_t)(p->ends[node].high - p->trim_acked) + 1);
        topic.name = str_of(p->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.topics = &topic;
        rq.topics_count = 1;
        rq.timeout_ms = 5000;
        history_trim(p, partition.offset);
        if (client_call(c, node, CLIENT_API(delete_records, DELETE_RECORDS_REQUEST_KEY, 2), &rq, &rs, &mem)) {
                client_forget_leader(c, p);
                return;
        }
        if (rs.topics_count != 1 || rs.topics[0].partitions_count != 1)
                world_fail("%s: DeleteRecords is answered for %d topics", c->name, rs.topics_count);
        found = &rs.topics[0].partitions[0];
        world_say("%s: delete %s-%d below %lld: error %d, it begins at %lld", c->name, p->topic->name, p->index,
                  (long long)partition.offset, found->error_code, (long long)found->low_watermark);
        if (found->error_code) {
                client_error(c, "DeleteRecords", found->error_code);
                if (!client_is_passing(found->error_code) && found->error_code != KERR_OFFSET_OUT_OF_RANGE)
                        world_fail("%s: DeleteRecords is refused with error %d", c->name, found->error_code);
                client_forget_leader(c, p);
                return;
        }
        if (found->low_watermark < partition.offset)
                world_fail("%s: %s-%d was to begin at %lld, and begins at %lld", c->name, p->topic->name, p->index,
                           (long long)partition.offset, (long long)found->low_watermark);
        history_trimmed(p, node, found->low_watermark);
        client_counts.records_deleted++;
}

struct trimmer {
        struct client *client;
        struct history_topic *topic;
};

static void trim_now_and_then(void *arg)
{
        struct trimmer *t = arg;
        struct client *c = t->client;

        while (!clients_are_done) {
                trim(c, &t->topic->parts[chance_below(&c->chance, (uint64_t)t->topic->parts_count)]);
                fiber_sleep((int64_t)chance_below(&c->chance, SECOND * 10));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c, i);
}

void client_start_trimmer(struct history_topic *topic)
{
        struct trimmer *t = calloc(1, sizeof *t);

        assert(t);
        *t = (struct trimmer){ client_new("trimmer"), topic };
        client_run(t->client, trim_now_and_then, t);
}
