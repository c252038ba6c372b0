/* Consumers: each reads a partition from an offset that it knows, and now and then begins again at an earlier one. And the end of
 * a run, where everything is read. */
#include <stdio.h>

#include "client.h"
#include "wire/batch_records.h"

/* ---- records ---- */

/* One batch, from @c->at on. */
static void read_batch(struct client_reader *c, struct span bytes, const struct batch_header *h)
{
        struct batch_records it;
        struct batch_record r;
        int rc = batch_records_open(&it, bytes, 0);

        if (rc || batch_check_crc(bytes, &(struct batch_header){ 0 }))
                world_fail("%s: a batch at %lld of %s-%d is damaged (%d)", c->client->name, (long long)h->base_offset,
                           c->part->topic->name, c->part->index, rc);
        while (!(rc = batch_records_next(&it, &r)))
                if (r.offset >= c->at)
                        history_see(c->part, r.offset, r.key, r.value);
        if (rc != BATCH_END)
                world_fail("%s: a batch at %lld of %s-%d ends badly", c->client->name, (long long)h->base_offset,
                           c->part->topic->name, c->part->index);
        batch_records_close(&it);
}

void client_reader_see(struct client_reader *c, struct span bytes)
{
        struct batch_iter it = batch_iter_of(bytes);
        struct batch_header h;
        struct span one;

        while (!batch_iter_next(&it, &one, &h)) {
                int64_t next = batch_last_offset(&h) + 1;

                if (next <= c->at)
                        continue;
                if (c->high >= 0 && next > c->high) /* a new leader may not tell it */
                        world_fail("%s: offset %lld of %s-%d is told, and the high watermark is %lld", c->client->name,
                                   (long long)next - 1, c->part->topic->name, c->part->index, (long long)c->high);
                read_batch(c, one, &h);
                c->at = next;
        }
}

/* ---- one fetch ---- */

void client_reader_ask(struct client_reader *c, int node, struct fetch_request_partition *ret)
{
        fetch_request_partition_init(ret);
        ret->partition = c->part->index;
        ret->fetch_offset = c->at;
        ret->partition_max_bytes = (int32_t)(1000 + chance_below(&c->client->chance, 100000));
        c->before = c->part->ends[node];
        c->lives = nodes[node].machine->lives;
        c->losses = history_counts.losses;
}

int client_reader_take(struct client_reader *c, int node, const struct fetch_response_partition *p)
{
        const struct machine *m = nodes[node].machine;
        /* The only node keeps what it told. What a process on others told does not bind the next one, and says nothing of it. */
        bool binds = nodes_count == 1 || (m->is_up && m->lives == c->lives);

        if (history_is_stale(c->part, c->losses))
                return KERR_NOT_LEADER_OR_FOLLOWER;
        if (p->error_code)
                return p->error_code;
        c->preferred = p->preferred_read_replica - 1;
        if (c->preferred >= 0)
                return 0; /* it tells nothing else */
        history_watermark(c->part, binds ? node : -1, binds ? c->before : (struct history_ends){ 0 },
                          (struct history_ends){ .high = p->high_watermark, .start = p->log_start_offset });
        c->high = p->high_watermark;
        c->start = p->log_start_offset;
        if (p->records.data)
                client_reader_see(c, span_of(p->records.data, p->records.len));
        return 0;
}

int client_fetch(struct client_reader *c, int node, int32_t max_wait_ms)
{
        struct fetch_request_partition partition;
        struct fetch_request_topic topic;
        struct fetch_request rq;
        struct fetch_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        fetch_request_init(&rq);
        fetch_request_topic_init(&topic);
        client_reader_ask(c, node, &partition);
        topic.topic = str_of(c->part->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.rack_id = str_of(c->rack);
        rq.max_wait_ms = max_wait_ms;
        rq.min_bytes = 1;
        rq.topics = &topic;
        rq.topics_count = 1;
        client_counts.fetches++;
        if (client_call(c->client, node, CLIENT_API(fetch, FETCH_REQUEST_KEY, 12), &rq, &rs, &mem))
                return -1;
        if (rs.error_code || rs.responses_count != 1 || rs.responses[0].partitions_count != 1)
                world_fail("%s: fetch is answered with error %d and %d topics", c->client->name, rs.error_code,
                           rs.responses_count);
        return client_reader_take(c, node, &rs.responses[0].partitions[0]);
}

int64_t client_list_offset(struct client_reader *c, int node, int64_t which)
{
        struct list_offsets_request_partition partition;
        struct list_offsets_request_topic topic;
        struct list_offsets_request rq;
        struct list_offsets_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        list_offsets_request_init(&rq);
        list_offsets_request_topic_init(&topic);
        list_offsets_request_partition_init(&partition);
        partition.partition_index = c->part->index;
        partition.timestamp = which;
        topic.name = str_of(c->part->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.replica_id = -1;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(c->client, node, CLIENT_API(list_offsets, LIST_OFFSETS_REQUEST_KEY, 7), &rq, &rs, &mem))
                return -1;
        if (rs.topics_count != 1 || rs.topics[0].partitions_count != 1)
                world_fail("%s: ListOffsets is answered for %d topics", c->client->name, rs.topics_count);
        if (rs.topics[0].partitions[0].error_code) {
                client_error(c->client, "ListOffsets", rs.topics[0].partitions[0].error_code);
                return -1;
        }
        return rs.topics[0].partitions[0].offset;
}

/* Deleted by retention, or lost where that may be. */
void client_out_of_range(struct client_reader *c, int node)
{
        int64_t start = client_list_offset(c, node, -2);

        if (start < 0)
                return;
        if (history_keeps_all(c->part->topic))
                world_fail("%s: offset %lld of %s-%d is out of range, and nothing may be lost", c->client->name,
                           (long long)c->at, c->part->topic->name, c->part->index);
        c->at = start;
}

void client_fetch_failed(struct client_reader *c, int code)
{
        if (code > 0)
                client_error(c->client, "fetch", code);
        if (code > 0 && !client_is_passing(code))
                world_fail("%s: fetch from %s is refused with error %d", c->client->name, c->part->topic->name, code);
        client_forget_leader(c->client, c->part);
        client_pause(c->client);
}

/* ---- the fiber ---- */

static void consume(void *arg)
{
        struct client_reader *c = arg;

        while (!clients_are_done) {
                int leader = client_leader(c->client, c->part);
                int node = c->preferred >= 0 ? c->preferred : leader;
                bool at_follower = c->preferred >= 0 && node != leader;
                int code = node >= 0 ? client_fetch(c, node, 500) : -1;

                client_counts.follower_reads += at_follower && !code;
                if (code)
                        c->preferred = -1; /* the leader says where to go on */
                if (code == KERR_OFFSET_OUT_OF_RANGE && at_follower) {
                        client_error(c->client, "fetch from a follower", code);
                } else if (code == KERR_OFFSET_OUT_OF_RANGE) {
                        client_out_of_range(c, node);
                } else if (code) {
                        client_fetch_failed(c, code);
                } else if (chance_one_in(&c->client->chance, 200)) {
                        client_counts.reads_over++;
                        c->at = c->start + chance_below(&c->client->chance, (uint64_t)(c->at - c->start) + 1);
                } else {
                        fiber_sleep((int64_t)chance_below(&c->client->chance, SECOND / 4));
                }
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c->client, i);
}

void client_start_consumer(unsigned number, struct history_part *p)
{
        struct client_reader *c = calloc(1, sizeof *c);
        char name[24];

        assert(c);
        snprintf(name, sizeof name, "consumer%u", number);
        c->client = client_new(name);
        c->part = p;
        c->preferred = -1;
        if (nodes_count > 1 && chance_one_in(&c->client->chance, 3))
                snprintf(c->rack, sizeof c->rack, "rack%d", client_any_node(c->client) + 1);
        client_run(c->client, consume, c);
}

/* ---- at the end ---- */

bool client_read_all(struct client *client, struct history_part *p, int replica, int64_t until_ns)
{
        struct client_reader c = { .client = client, .part = p, .preferred = -1 };
        int64_t start = -1, end = -1;

        if (replica >= 0) /* who says where it stands is served by followers */
                snprintf(c.rack, sizeof c.rack, "nowhere");

        while (sim_now() < until_ns) {
                int node = client_leader(client, p);

                start = node >= 0 ? client_list_offset(&c, node, -2) : -1;
                end = start >= 0 ? client_list_offset(&c, node, -1) : -1;
                if (end >= 0)
                        break;
                client_forget_leader(client, p);
                client_pause(client);
        }
        if (replica >= 0 && end >= 0 &&
            p->topic->promise == PROMISE_TRIMMED) /* deleted there, and not at its leader any more */
                start = MAX2(start, p->trim_asked);
        history_read_begin(p);
        c.at = start;
        while (sim_now() < until_ns && end >= 0) {
                int node = replica >= 0 ? replica : client_leader(client, p), code;

                if (c.at >= end) {
                        history_read_end(p, start, end);
                        return true;
                }
                code = node >= 0 ? client_fetch(&c, node, 500) : -1;
                if (code == KERR_OFFSET_OUT_OF_RANGE && replica >= 0 && c.at == start &&
                    p->topic->promise ==
                            PROMISE_RECENT) { /* deleted there, and its leader did not live to say so to all */
                        c.at = ++start;
                        continue;
                }
                if (code == KERR_OFFSET_OUT_OF_RANGE) { /* retention was quicker */
                        client_pause(client);
                        return client_read_all(client, p, replica, until_ns);
                }
                if (code) {
                        client_forget_leader(client, p);
                        client_pause(client);
                        if (replica >= 0 && client_leader(client, p) >= 0 && !client_is_replica(client, p, replica))
                                return true; /* it was moved away */
                }
        }
        return false;
}
