/* Producers. With idempotence as Kafka's own: batches are numbered, up to five are on their way to a partition, and what got no
 * answer is sent again as it was until it has one. Without: sent again or not, with any acks. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "sys/clock.h"
#include "wire/batch_records.h"

enum { BATCH_MAX = 12, IN_FLIGHT_MAX = 5, REPEAT_MAX = 4 };

struct producer {
        struct client *client;
        struct history_topic *topic;
        struct history_stream *streams[HISTORY_PARTITIONS_MAX];
        bool once;
        int16_t acks;
        int codec;
        int64_t id;
        int16_t epoch;
        int32_t base[HISTORY_PARTITIONS_MAX]; /* number of the stream's record that has sequence 0 */
        int64_t think_ns;
};

/* A batch: records of one stream that go together. */
struct batch {
        uint32_t first, count;
        struct strbuf bytes;
        uint64_t losses; /* history_counts.losses when it was sent last */
};

/* ---- bytes ---- */

static void batch_build(struct producer *p, const struct history_stream *s, int32_t part, struct batch *b)
{
        struct batch_build_args args = batch_build_args();
        struct batch_builder builder;
        uint8_t value[300], key[4];

        args.codec = p->codec;
        if (p->once) {
                args.producer_id = p->id;
                args.producer_epoch = p->epoch;
                args.base_sequence = (int32_t)b->first - p->base[part];
        }
        batch_builder_init(&builder, &args);
        for (uint32_t i = 0; i < b->count; i++) {
                struct batch_record r = { .offset = i, .timestamp = clock_wall_ms() };

                store_be32(key, history_key(s, b->first + i));
                r.key = span_of(key, 4);
                r.value = span_of(value, history_value(s, b->first + i, value));
                if (batch_builder_add(&builder, &r))
                        abort();
        }
        if (batch_builder_finish(&builder, &b->bytes))
                abort();
        batch_builder_fini(&builder);
}

static struct history_stream *stream_of(struct producer *p, int32_t part)
{
        if (!p->streams[part])
                p->streams[part] = history_stream_new(&p->topic->parts[part], p->once);
        return p->streams[part];
}

/* ---- one request ---- */

static int send_batch(struct producer *p, int node, int32_t part, struct batch *b)
{
        struct produce_request_partition partition = { .index = part };
        struct produce_request_topic topic;
        struct produce_request rq;

        produce_request_init(&rq);
        produce_request_topic_init(&topic);
        partition.records = (struct wire_records){ .data = (const uint8_t *)b->bytes.data, .len = b->bytes.len };
        topic.name = str_of(p->topic->name);
        topic.partition_data = &partition;
        topic.partition_data_count = 1;
        rq.acks = p->acks;
        rq.timeout_ms = 5000;
        rq.topic_data = &topic;
        rq.topic_data_count = 1;
        b->losses = history_counts.losses;
        return client_send(p->client, node, CLIENT_API(produce, PRODUCE_REQUEST_KEY, 9), &rq);
}

/* The answer to the oldest batch on its way. Return: Kafka's code; -1: none came. */
static int receive(struct producer *p, int node, int32_t part, int64_t *ret_offset)
{
        struct produce_response rs;
        CLEANUP(arena_finip) struct arena mem;
        const struct produce_response_partition *found;

        arena_init(&mem, 0);
        if (client_receive(p->client, node, CLIENT_API(produce, PRODUCE_REQUEST_KEY, 9), &rs, &mem))
                return -1;
        if (rs.responses_count != 1 || rs.responses[0].partition_responses_count != 1 ||
            rs.responses[0].partition_responses[0].index != part)
                world_fail("%s: the answer is to another request", p->client->name);
        found = &rs.responses[0].partition_responses[0];
        *ret_offset = found->base_offset;
        return found->error_code;
}

/* ---- idempotence ---- */

static void init_producer(struct producer *p)
{
        struct init_producer_id_request rq;
        struct init_producer_id_response rs;
        struct arena mem;

        init_producer_id_request_init(&rq);
        rq.transactional_id = STR_NULL;
        arena_init(&mem, 0);
        for (;;) {
                int r = client_call(p->client, client_any_node(p->client),
                                    CLIENT_API(init_producer_id, INIT_PRODUCER_ID_REQUEST_KEY, 4), &rq, &rs, &mem);

                if (!r && !rs.error_code)
                        break;
                if (!r)
                        client_error(p->client, "InitProducerId", rs.error_code);
                client_pause(p->client);
        }
        p->id = rs.producer_id;
        p->epoch = rs.producer_epoch;
        arena_fini(&mem);
}

/* What was not acknowledged may be there or not: this identity is given up, and with it the streams. */
static void begin_again(struct producer *p, int code)
{
        if (p->topic->promise != PROMISE_RELAXED)
                world_fail("%s: error %d to an idempotent producer of %s, whose records cannot be lost",
                           p->client->name, code, p->topic->name);
        client_counts.reinits++;
        init_producer(p);
        memset(p->streams, 0, sizeof p->streams);
        memset(p->base, 0, sizeof p->base);
}

static bool is_lost_sequence(int code)
{
        return code == KERR_OUT_OF_ORDER_SEQUENCE_NUMBER || code == KERR_UNKNOWN_PRODUCER_ID ||
               code == KERR_INVALID_PRODUCER_EPOCH || code == KERR_INVALID_PRODUCER_ID_MAPPING;
}

static void unexpected(const struct producer *p, int code)
{
        if (!client_is_passing(code))
                world_fail("%s: produce to %s is refused with error %d", p->client->name, p->topic->name, code);
}

/* Send @count batches, in flight together, until all are acknowledged. */
static void produce_once(struct producer *p, int32_t part, struct batch *batches, unsigned count)
{
        struct client *c = p->client;
        struct history_stream *s = p->streams[part];
        unsigned done = 0;

        while (done < count) {
                int node = client_leader(c, s->part);
                unsigned sent = done;
                int code = -1;

                while (node >= 0 && sent < count && !send_batch(p, node, part, &batches[sent]))
                        sent++;
                for (unsigned from = done; from < sent; from++) {
                        int64_t offset;

                        code = receive(p, node, part, &offset);
                        if (code == KERR_NONE || code == KERR_DUPLICATE_SEQUENCE_NUMBER) {
                                if (!history_is_stale(s->part, batches[from].losses))
                                        history_ack(s, batches[from].first, batches[from].count, code ? -1 : offset);
                                client_counts.produced++;
                                done = from + 1;
                                continue;
                        }
                        client_counts.produce_errors++;
                        if (code < 0)
                                break;
                        client_error(c, "produce", code);
                        if (is_lost_sequence(code) && from == done) {
                                client_close(c, node); /* with the answers that are still to come */
                                begin_again(p, code);
                                return;
                        }
                        if (!is_lost_sequence(code)) /* those behind a refused one are out of order */
                                unexpected(p, code);
                }
                if (done < count) { /* as after any error: look for the leader, send all again in order */
                        if (node >= 0)
                                client_close(c, node);
                        client_forget_leader(c, s->part);
                        client_pause(c);
                }
        }
}

/* ---- without it ---- */

static void produce_plain(struct producer *p, int32_t part, struct batch *b)
{
        struct client *c = p->client;
        struct history_stream *s = p->streams[part];

        for (int tries = 0; tries < REPEAT_MAX; tries++) {
                int node = client_leader(c, s->part), code;
                int64_t offset;

                if (node >= 0 && !send_batch(p, node, part, b)) {
                        if (!p->acks)
                                return;
                        code = receive(p, node, part, &offset);
                        if (!code) {
                                if (!history_is_stale(s->part, b->losses) &&
                                    (p->acks < 0 || (nodes_count == 1 && p->topic->promise == PROMISE_RELAXED)))
                                        history_ack(s, b->first, b->count, offset);
                                client_counts.produced++;
                                return;
                        }
                        client_counts.produce_errors++;
                        if (code > 0) {
                                client_error(c, "produce", code);
                                unexpected(p, code);
                        }
                }
                client_forget_leader(c, s->part);
                client_pause(c);
        }
}

/* ---- the fiber ---- */

static void produce_some(struct producer *p)
{
        struct client *c = p->client;
        int32_t part = (int32_t)chance_below(&c->chance, (uint64_t)p->topic->parts_count);
        unsigned count = p->once ? 1 + chance_below(&c->chance, IN_FLIGHT_MAX) : 1;
        struct history_stream *s = stream_of(p, part);
        struct batch batches[IN_FLIGHT_MAX] = { 0 };

        for (unsigned i = 0; i < count; i++) {
                batches[i].count = 1 + chance_below(&c->chance, BATCH_MAX);
                batches[i].first = history_send(s, batches[i].count);
                batch_build(p, s, part, &batches[i]);
        }
        if (p->once)
                produce_once(p, part, batches, count);
        else
                produce_plain(p, part, &batches[0]);
        for (unsigned i = 0; i < count; i++)
                strbuf_fini(&batches[i].bytes);
}

static void produce(void *arg)
{
        struct producer *p = arg;

        if (p->once)
                init_producer(p);
        while (!clients_are_done) {
                produce_some(p);
                fiber_sleep((int64_t)chance_below(&p->client->chance, (uint64_t)p->think_ns));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(p->client, i);
}

void client_start_producer(unsigned number, struct history_topic *t)
{
        struct producer *p = calloc(1, sizeof *p);
        char name[24];

        assert(p);
        snprintf(name, sizeof name, "producer%u", number);
        p->client = client_new(name);
        p->topic = t;
        p->once = !chance_one_in(&p->client->chance, 3);
        p->acks = p->once || !chance_one_in(&p->client->chance, 2) ? -1 : (int16_t)chance_below(&p->client->chance, 2);
        p->codec = (int)chance_below(&p->client->chance, 5);
        p->think_ns = SECOND / 5 + chance_below(&p->client->chance, SECOND);
        client_run(p->client, produce, p);
}
