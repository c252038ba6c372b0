/* All partitions read from their start to their end, again and again while there is time; one fetch in flight on each
 * connection, as a Java consumer does it. Every batch is stepped over by its header, so offsets and counts are checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

struct reader {
        struct fetch_part *parts;
        int count, left; /* the first @left of them are not at their end in this pass */
        int64_t records; /* of this pass */
        int passes;
        struct frame request;
};

struct consumer {
        const struct options *o;
        int epoll_fd;
        struct conn *conns;
        struct reader *readers;
        int running; /* readers that have a request in flight */
        int64_t start_ns, stop_ns, last_ns;
        int64_t records, bytes, requests, pass_records;
        struct arena arena;
};

static void ask(struct consumer *s, struct conn *c)
{
        struct reader *r = &s->readers[c->index];

        fetch_put(&r->request, s->o, r->parts, r->left, 500, &s->arena);
        arena_fini(&s->arena);
        conn_put(c, r->request.data, r->request.len);
        conn_flush(c);
}

static struct fetch_part *part_find(struct reader *r, int32_t index)
{
        for (int i = 0; i < r->left; i++)
                if (r->parts[i].index == index)
                        return &r->parts[i];
        die("partition %d was not asked for", index);
}

static void take_batches(struct consumer *s, struct fetch_part *p, struct span records)
{
        struct batch_iter it = batch_iter_of(records);
        struct batch_header h;
        struct span batch;

        while (!batch_iter_next(&it, &batch, &h)) {
                if (batch_last_offset(&h) < p->next_offset)
                        continue; /* a broker may begin with what lies before the offset asked for */
                if (h.base_offset != p->next_offset)
                        die("partition %d: offset %lld came after %lld", p->index, (long long)h.base_offset,
                            (long long)p->next_offset);
                p->next_offset = batch_last_offset(&h) + 1;
                p->records += h.records_count;
                p->bytes += (int64_t)batch.len;
        }
}

/* Put the partitions that are at their end behind the others; their sums go to the pass. */
static void sort_out(struct consumer *s, struct reader *r)
{
        for (int i = 0; i < r->left;) {
                struct fetch_part done = r->parts[i];

                if (done.high_watermark < 0 || done.next_offset < done.high_watermark) {
                        i++;
                        continue;
                }
                s->records += done.records;
                s->bytes += done.bytes;
                r->records += done.records;
                r->parts[i] = r->parts[--r->left];
                r->parts[r->left] = done;
        }
}

static void restart(struct reader *r)
{
        for (int i = 0; i < r->count; i++)
                r->parts[i] = (struct fetch_part){ .index = r->parts[i].index, .high_watermark = -1 };
        r->left = r->count;
        r->records = 0;
}

static void take_answer(void *owner, struct conn *c, struct span frame)
{
        struct consumer *s = owner;
        struct reader *r = &s->readers[c->index];
        struct fetch_response m;
        struct cursor in;

        answer_begin(frame, true, &in);
        if (fetch_response_decode(&m, &in, FETCH_VERSION, &s->arena) || m.error_code || m.responses_count > 1)
                die("the answer to a fetch cannot be read, or is an error");
        for (int i = 0; m.responses_count && i < m.responses[0].partitions_count; i++) {
                const struct fetch_response_partition *got = &m.responses[0].partitions[i];
                struct fetch_part *p = part_find(r, got->partition_index);

                if (got->error_code)
                        die("partition %d: error %d", got->partition_index, got->error_code);
                p->high_watermark = got->high_watermark;
                take_batches(s, p, span_of(got->records.data, got->records.len));
        }
        arena_fini(&s->arena);
        s->requests++;
        s->last_ns = now_ns();
        sort_out(s, r);
        if (!r->left) {
                if (!r->passes++)
                        s->pass_records += r->records;
                if (s->last_ns >= s->stop_ns) {
                        s->running--;
                        return;
                }
                restart(r);
        }
        ask(s, c);
}

static void open_all(struct consumer *s)
{
        const struct options *o = s->o;

        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        s->conns = must_alloc((size_t)o->connections, sizeof(*s->conns));
        s->readers = must_alloc((size_t)o->connections, sizeof(*s->readers));
        for (int i = 0; i < o->connections; i++) {
                struct reader *r = &s->readers[i];

                conn_open(&s->conns[i], o, i, s->epoll_fd);
                r->parts = must_alloc((size_t)(o->partitions / o->connections + 1), sizeof(*r->parts));
                for (int p = i; p < o->partitions; p += o->connections)
                        r->parts[r->count++].index = p;
                restart(r);
        }
}

static void close_all(struct consumer *s)
{
        for (int i = 0; i < s->o->connections; i++) {
                conn_close(&s->conns[i]);
                free(s->readers[i].parts);
                free(s->readers[i].request.data);
        }
        free(s->conns);
        free(s->readers);
        close(s->epoll_fd);
}

void load_consume(const struct options *o)
{
        struct consumer s = { .o = o };
        double took;

        if (o->connections > o->partitions)
                die("%d connections cannot share %d partitions", o->connections, o->partitions);
        arena_init(&s.arena, 0);
        open_all(&s);
        s.start_ns = s.last_ns = now_ns();
        s.stop_ns = s.start_ns + (int64_t)(o->seconds * 1e9);
        s.running = o->connections;
        for (int i = 0; i < o->connections; i++)
                ask(&s, &s.conns[i]);
        while (s.running) {
                load_turn(s.epoll_fd, 1000000000, take_answer, &s);
                if (now_ns() - s.last_ns > INT64_C(60000000000))
                        die("no answer for 60 s");
        }
        if (o->expect_records >= 0 && s.pass_records != o->expect_records)
                die("%lld records were read, not %lld", (long long)s.pass_records, (long long)o->expect_records);
        took = (double)(s.last_ns - s.start_ns) / 1e9;
        printf("{\"seconds\": %.4f, \"records\": %lld, \"bytes\": %lld, \"mb_s\": %.2f, \"records_s\": %.0f, "
               "\"requests\": %lld, \"pass_records\": %lld}\n",
               took, (long long)s.records, (long long)s.bytes, (double)s.bytes / took / 1e6, (double)s.records / took,
               (long long)s.requests, (long long)s.pass_records);
        close_all(&s);
}
