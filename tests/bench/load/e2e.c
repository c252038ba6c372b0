/* One batch at each tick of a clock, to the partitions in turn, while another connection waits for them. Times count
 * from when a batch was due, not from when it could be sent: a broker that stalls makes the following batches late too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { UNANSWERED_MAX = 4096, DRAIN_LIMIT_S = 30 };

struct e2e {
        const struct options *o;
        int epoll_fd;
        struct conn conns[2]; /* one produces, one consumes */
        struct fetch_part *parts;
        struct frame fetch;
        struct frame *sent; /* by number modulo UNANSWERED_MAX */
        int64_t *due_ns;
        struct strbuf batch;
        int64_t batches, acked, read, total;
        int64_t start_ns;
        struct samples ack, end_to_end;
        struct arena arena;
};

static void ask(struct e2e *e)
{
        fetch_put(&e->fetch, e->o, e->parts, e->o->partitions, 500, &e->arena);
        arena_fini(&e->arena);
        conn_put(&e->conns[1], e->fetch.data, e->fetch.len);
        conn_flush(&e->conns[1]);
}

static void send_batch(struct e2e *e, int64_t due_ns)
{
        struct produce_request_partition partition;
        struct produce_request_topic topic;
        struct produce_request m;
        struct span batch = batch_make(e->o, due_ns, &e->batch);
        int at = (int)(e->batches % UNANSWERED_MAX);

        if (e->batches - e->acked >= UNANSWERED_MAX)
                die("%d requests are not answered: the rate is more than the broker can do", UNANSWERED_MAX);
        produce_request_init(&m);
        produce_request_topic_init(&topic);
        produce_request_partition_init(&partition);
        partition.index = (int32_t)(e->batches % e->o->partitions);
        partition.records = (struct wire_records){ .data = batch.data, .len = batch.len };
        topic.name = str_of(e->o->topic);
        topic.partition_data = &partition;
        topic.partition_data_count = 1;
        m.acks = (int16_t)e->o->acks;
        m.timeout_ms = 30000;
        m.topic_data = &topic;
        m.topic_data_count = 1;
        FRAME_PUT(&e->sent[at], PRODUCE_REQUEST_KEY, PRODUCE_VERSION, at, 0, produce_request, &m);
        e->due_ns[at] = due_ns;
        e->batches++;
        conn_put(&e->conns[0], e->sent[at].data, e->sent[at].len);
        conn_flush(&e->conns[0]);
}

static void take_ack(struct e2e *e, struct span frame)
{
        struct produce_response m;
        struct cursor in;
        int at = answer_begin(frame, true, &in);

        if (produce_response_decode(&m, &in, PRODUCE_VERSION, &e->arena) || m.responses_count != 1 ||
            m.responses[0].partition_responses_count != 1 || m.responses[0].partition_responses[0].error_code)
                die("the answer to a produce request cannot be read, or is an error");
        samples_add(&e->ack, now_ns() - e->due_ns[at]);
        arena_fini(&e->arena);
        e->acked++;
}

static void take_batches(struct e2e *e, struct fetch_part *p, struct span records, int64_t now)
{
        struct batch_iter it = batch_iter_of(records);
        struct batch_header h;
        struct span batch;

        while (!batch_iter_next(&it, &batch, &h)) {
                struct batch_records b;
                struct batch_record first;

                if (batch_last_offset(&h) < p->next_offset)
                        continue;
                if (batch_records_open(&b, batch, 0) || batch_records_next(&b, &first) ||
                    first.value.len < RECORD_STAMP_LEN)
                        die("partition %d: a batch cannot be read", p->index);
                if ((int64_t)load_be64(first.value.data) < e->start_ns)
                        die("topic %s held records already", e->o->topic);
                samples_add(&e->end_to_end, now - (int64_t)load_be64(first.value.data));
                batch_records_close(&b);
                p->next_offset = batch_last_offset(&h) + 1;
                e->read++;
        }
}

static void take_answer(void *owner, struct conn *c, struct span frame)
{
        struct e2e *e = owner;
        struct fetch_response m;
        struct cursor in;
        int64_t now = now_ns();

        if (c->index == 0) {
                take_ack(e, frame);
                return;
        }
        answer_begin(frame, true, &in);
        if (fetch_response_decode(&m, &in, FETCH_VERSION, &e->arena) || m.error_code || m.responses_count > 1)
                die("the answer to a fetch cannot be read, or is an error");
        for (int i = 0; m.responses_count && i < m.responses[0].partitions_count; i++) {
                const struct fetch_response_partition *got = &m.responses[0].partitions[i];

                if (got->error_code || got->partition_index < 0 || got->partition_index >= e->o->partitions)
                        die("partition %d: error %d", got->partition_index, got->error_code);
                take_batches(e, &e->parts[got->partition_index], span_of(got->records.data, got->records.len), now);
        }
        arena_fini(&e->arena);
        ask(e);
}

static void run(struct e2e *e)
{
        double step_ns = 1e9 / e->o->rate;
        int64_t end_ns, now;

        e->start_ns = now_ns();
        end_ns = e->start_ns + (int64_t)((e->o->seconds + DRAIN_LIMIT_S) * 1e9);
        ask(e);
        while (e->read < e->total || e->acked < e->total) {
                int64_t due = e->start_ns + (int64_t)((double)e->batches * step_ns);

                now = now_ns();
                if (now > end_ns)
                        die("%lld of %lld batches came back in time", (long long)e->read, (long long)e->total);
                if (e->batches < e->total && now >= due)
                        send_batch(e, due);
                else
                        load_turn(e->epoll_fd, e->batches < e->total ? due - now : 100000000, take_answer, e);
        }
}

void load_e2e(const struct options *o)
{
        struct e2e e = { .o = o };

        if (o->rate <= 0 || o->seconds <= 0)
                die("e2e needs --rate (batches a second) and --seconds");
        arena_init(&e.arena, 0);
        e.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        e.parts = must_alloc((size_t)o->partitions, sizeof(*e.parts));
        for (int i = 0; i < o->partitions; i++)
                e.parts[i].index = i;
        e.sent = must_alloc(UNANSWERED_MAX, sizeof(*e.sent));
        e.due_ns = must_alloc(UNANSWERED_MAX, sizeof(*e.due_ns));
        e.total = (int64_t)(o->rate * o->seconds);
        for (int i = 0; i < 2; i++)
                conn_open(&e.conns[i], o, i, e.epoll_fd);
        run(&e);
        printf("{\"batches\": %lld, \"ack_p50_ms\": %.3f, \"ack_p99_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
               "\"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
               (long long)e.read, samples_quantile_ms(&e.ack, 0.5), samples_quantile_ms(&e.ack, 0.99),
               samples_quantile_ms(&e.end_to_end, 0.5), samples_quantile_ms(&e.end_to_end, 0.99),
               samples_quantile_ms(&e.end_to_end, 0.999), samples_quantile_ms(&e.end_to_end, 1));
        for (int i = 0; i < 2; i++)
                conn_close(&e.conns[i]);
        for (int i = 0; i < UNANSWERED_MAX; i++)
                free(e.sent[i].data);
        free(e.sent);
        free(e.due_ns);
        free(e.parts);
        free(e.fetch.data);
        samples_fini(&e.ack);
        samples_fini(&e.end_to_end);
        strbuf_fini(&e.batch);
        close(e.epoll_fd);
}
