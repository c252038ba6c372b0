/* As many produce requests as the connections may have in flight, each with one batch for the next partition in turn.
 * The batch's bytes are made once and shared by all requests: what a client spends on making them is not measured. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

struct slot { /* one request in flight */
        struct frame head;
        size_t index_at; /* where in it the partition's number is */
        int64_t sent_ns;
        int next_free;
};

struct producer {
        const struct options *o;
        int epoll_fd;
        struct conn *conns;
        struct slot *slots; /* in_flight of them for each connection */
        int *free_first;    /* by connection: its first free slot, -1 for none */
        struct strbuf batch_buf;
        struct span batch;
        int64_t start_ns, stop_ns;
        int64_t sent, acked; /* batches */
        int64_t last_ack_ns;
        struct samples latency;
        struct arena arena;
};

/* The request but for its records: head, then the batch, then what follows it in the head's buffer. */
static void slot_init(struct producer *p, struct slot *s, int correlation_id)
{
        struct produce_request_partition partition;
        struct produce_request_topic topic;
        struct produce_request m;

        produce_request_init(&m);
        produce_request_topic_init(&topic);
        produce_request_partition_init(&partition);
        partition.records = (struct wire_records){ .ext = p, .len = p->batch.len };
        topic.name = str_of(p->o->topic);
        topic.partition_data = &partition;
        topic.partition_data_count = 1;
        m.acks = (int16_t)p->o->acks;
        m.timeout_ms = 30000;
        m.topic_data = &topic;
        m.topic_data_count = 1;
        FRAME_PUT(&s->head, PRODUCE_REQUEST_KEY, PRODUCE_VERSION, correlation_id, p->batch.len, produce_request, &m);
        /* Before the records: their length, and before that the partition's number. */
        s->index_at = s->head.ext.pos - uvarint_size((uint32_t)p->batch.len + 1) - 4;
}

static bool may_send(const struct producer *p, int64_t now)
{
        const struct options *o = p->o;

        if (now >= p->stop_ns || p->sent >= o->batches_max ||
            (o->bytes_max && p->sent * (int64_t)p->batch.len >= o->bytes_max))
                return false;
        return o->rate <= 0 || (double)(p->sent * (int64_t)p->batch.len) < (double)(now - p->start_ns) / 1e9 * o->rate;
}

static void send_more(struct producer *p, struct conn *c)
{
        int64_t now = now_ns();

        while (p->free_first[c->index] >= 0 && may_send(p, now)) {
                struct slot *s = &p->slots[p->free_first[c->index]];
                size_t at = s->head.ext.pos;

                p->free_first[c->index] = s->next_free;
                store_be32(s->head.data + s->index_at, (uint32_t)(p->sent % p->o->partitions));
                s->sent_ns = now;
                p->sent++;
                conn_put(c, s->head.data, at);
                conn_put(c, p->batch.data, p->batch.len);
                conn_put(c, s->head.data + at, s->head.len - at);
        }
        conn_flush(c);
}

static void take_answer(void *owner, struct conn *c, struct span frame)
{
        struct producer *p = owner;
        struct produce_response m;
        struct cursor in;
        int id = answer_begin(frame, true, &in);
        const struct produce_response_partition *got;

        if (id / p->o->in_flight != c->index)
                die("connection %d: an answer to request %d, which it did not send", c->index, id);
        if (produce_response_decode(&m, &in, PRODUCE_VERSION, &p->arena) || m.responses_count != 1 ||
            m.responses[0].partition_responses_count != 1)
                die("the answer to a produce request cannot be read");
        got = &m.responses[0].partition_responses[0];
        if (got->error_code)
                die("partition %d: error %d: %.*s", got->index, got->error_code, STR_FMT(got->error_message));
        arena_fini(&p->arena);
        p->last_ack_ns = now_ns();
        samples_add(&p->latency, p->last_ack_ns - p->slots[id].sent_ns);
        p->acked++;
        p->slots[id].next_free = p->free_first[c->index];
        p->free_first[c->index] = id;
        send_more(p, c);
}

static void open_all(struct producer *p)
{
        const struct options *o = p->o;

        p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        p->conns = must_alloc((size_t)o->connections, sizeof(*p->conns));
        p->slots = must_alloc((size_t)o->connections * (size_t)o->in_flight, sizeof(*p->slots));
        p->free_first = must_alloc((size_t)o->connections, sizeof(*p->free_first));
        for (int i = 0; i < o->connections; i++) {
                conn_open(&p->conns[i], o, i, p->epoll_fd);
                p->free_first[i] = -1;
                for (int s = 0; s < o->in_flight; s++) {
                        int id = i * o->in_flight + s;

                        slot_init(p, &p->slots[id], id);
                        p->slots[id].next_free = p->free_first[i];
                        p->free_first[i] = id;
                }
        }
}

static void close_all(struct producer *p)
{
        for (int i = 0; i < p->o->connections; i++)
                conn_close(&p->conns[i]);
        for (int i = 0; i < p->o->connections * p->o->in_flight; i++)
                free(p->slots[i].head.data);
        free(p->conns);
        free(p->slots);
        free(p->free_first);
        samples_fini(&p->latency);
        strbuf_fini(&p->batch_buf);
        close(p->epoll_fd);
}

void load_produce(const struct options *o)
{
        struct producer p = { .o = o, .stop_ns = INT64_MAX };
        double took;

        arena_init(&p.arena, 0);
        p.batch = batch_make(o, 0, &p.batch_buf);
        open_all(&p);
        p.start_ns = p.last_ack_ns = now_ns();
        if (o->seconds > 0)
                p.stop_ns = p.start_ns + (int64_t)(o->seconds * 1e9);
        for (int i = 0; i < o->connections; i++)
                send_more(&p, &p.conns[i]);
        while (p.acked < p.sent || (o->rate > 0 && now_ns() < p.stop_ns)) {
                if (now_ns() - p.last_ack_ns > INT64_C(60000000000))
                        die("no answer for 60 s, %lld of %lld requests answered", (long long)p.acked,
                            (long long)p.sent);
                load_turn(p.epoll_fd, o->rate > 0 ? 1000000 : 1000000000, take_answer, &p);
                for (int i = 0; o->rate > 0 && i < o->connections; i++)
                        send_more(&p, &p.conns[i]);
        }
        took = (double)(p.last_ack_ns - p.start_ns) / 1e9;
        printf("{\"seconds\": %.4f, \"batches\": %lld, \"records\": %lld, \"bytes\": %lld, \"mb_s\": %.2f, "
               "\"records_s\": %.0f, \"requests_s\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
               took, (long long)p.acked, (long long)p.acked * batch_records_per(o),
               (long long)p.acked * (long long)p.batch.len, (double)p.acked * (double)p.batch.len / took / 1e6,
               (double)p.acked * batch_records_per(o) / took, (double)p.acked / took,
               samples_quantile_ms(&p.latency, 0.5), samples_quantile_ms(&p.latency, 0.99),
               samples_quantile_ms(&p.latency, 1));
        close_all(&p);
}
