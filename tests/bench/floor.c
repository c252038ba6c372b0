/* The floor: the least that a server must do to take Kafka's Produce and Fetch and keep the bytes. It decodes the
 * request, checks the batch's CRC-32C, appends the records to one file per topic, flushes that file once for all that
 * came meanwhile (a thread of its own), and answers; a fetch leaves by sendfile. What it does not do is everything
 * else: no other checks, no index, no recovery, no sessions, no limits. What chronikd is slower than this is what its promises cost. For the load generator
 * only: answers of one connection stay in order because all its requests are of one topic. usage: bench-floor PORT
 * FOLDER */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crc32c.h"
#include "base/strbuf.h"
#include "wire/api.h"
#include "wire/batch.h"
#include "wire/messages.h"

enum {
        TOPICS_MAX = 1024,
        CONNS_MAX = 4096,
        RESERVE = 64 << 20,
        CHUNK = 4 << 20,
        READ_LEN = 256 << 10,
        PIECES_MAX = 1 << 16
};

struct run { /* records of one partition that lie together in the file */
        int64_t offset, pos;
        size_t len;
};

struct part {
        struct run *runs;
        size_t count, size;
        int64_t end, visible, flushing;
        int64_t pos, chunk_end; /* where the next records go: a partition's lie together in pieces of CHUNK */
};

struct topic {
        char name[128];
        int fd;
        int64_t pos;
        bool flushes, dirty, in_flush;
        struct part *parts;
        int count;
};

struct piece {
        uint8_t *mem, *free_mem; /* @mem NULL: of the file */
        int fd;
        int64_t pos;
        size_t len;
};

struct conn {
        int fd;
        uint8_t *in;
        size_t in_at, in_len, in_size;
        struct piece *out;
        size_t out_at, out_count, out_size;
        bool wants_write;
        uint8_t *parked; /* a fetch that waits */
        size_t parked_len;
        int64_t deadline_ms;
};

struct answer { /* of a produce request that waits for the flush */
        struct conn *c;
        uint8_t *data;
        size_t len;
};

struct answers {
        struct answer *list;
        size_t count, size;
};

static struct topic topics[TOPICS_MAX];
static struct conn conns[CONNS_MAX];
static int topics_count, conns_count, epoll_fd, flushed_fd;
static const char *folder;
static struct answers waiting, flushing;
static bool news; /* something became visible */
static bool flush_runs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards flush_asked */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool flush_asked;

static void check(bool ok, const char *what)
{
        if (ok)
                return;
        perror(what);
        exit(1);
}

static void *grown(void *list, size_t count, size_t *size, size_t each)
{
        if (count < *size)
                return list;
        *size = *size ? *size * 2 : 64;
        list = realloc(list, *size * each);
        check(list, "memory");
        return list;
}

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- sending ---- */

static void conn_flush(struct conn *c)
{
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
        bool wants = false;

        while (c->out_at < c->out_count && !wants) {
                struct piece *p = &c->out[c->out_at];
                int more = c->out_at + 1 < c->out_count ? MSG_MORE : 0;
                ssize_t n = p->mem ? send(c->fd, p->mem, p->len, MSG_NOSIGNAL | MSG_DONTWAIT | more)
                                   : sendfile(c->fd, p->fd, &(off_t){ p->pos }, p->len);

                wants = n < 0 && errno == EAGAIN;
                if (n < 0 && !wants) { /* gone */
                        c->out_at = c->out_count;
                        break;
                }
                if (n <= 0)
                        continue;
                p->mem = p->mem ? p->mem + n : NULL;
                p->pos += n;
                p->len -= (size_t)n;
                if (!p->len) {
                        free(p->free_mem);
                        c->out_at++;
                }
        }
        if (wants == c->wants_write)
                return;
        c->wants_write = wants;
        e.events |= wants ? EPOLLOUT : 0;
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void conn_put(struct conn *c, struct piece p)
{
        if (!p.len)
                return;
        if (c->out_at == c->out_count)
                c->out_at = c->out_count = 0;
        c->out = grown(c->out, c->out_count, &c->out_size, sizeof(*c->out));
        c->out[c->out_count++] = p;
}

/* An answer's length and header, and room for the rest. */
static struct writer answer_begin(const struct request_header *h, size_t body_len, size_t ext_len, uint8_t **ret_data)
{
        struct response_header head = { .correlation_id = h->correlation_id };
        int16_t version = wire_api_response_header(wire_api_find(h->request_api_key), h->request_api_version);
        size_t len = 4 + response_header_size(&head, version) + body_len;
        struct writer w;

        *ret_data = malloc(len);
        check(*ret_data, "memory");
        w = writer_of(*ret_data, len);
        writer_be32(&w, (uint32_t)(len - 4 + ext_len));
        response_header_encode(&head, &w, version);
        return w;
}

#define ANSWER(h, ext_len, name, m, ret_writer, ret_data) \
        do { \
                *(ret_writer) = answer_begin((h), name##_size((m), (h)->request_api_version), (ext_len), (ret_data)); \
                name##_encode((m), (ret_writer), (h)->request_api_version); \
        } while (0)

/* ---- produce ---- */

static struct topic *topic_find(struct str name)
{
        for (int i = topics_count - 1; i >= 0; i--)
                if (str_equal_c(name, topics[i].name))
                        return &topics[i];
        fprintf(stderr, "no topic %.*s\n", STR_FMT(name));
        exit(1);
}

static int64_t append(struct topic *t, struct part *p, struct wire_records records)
{
        uint8_t *data = (uint8_t *)(uintptr_t)records.data; /* in our own buffer */
        int64_t base = p->end;

        check(records.len > BATCH_ATTRIBUTES_AT &&
                      crc32c(0, data + BATCH_ATTRIBUTES_AT, records.len - BATCH_ATTRIBUTES_AT) ==
                              load_be32(data + BATCH_CRC_AT),
              "CRC");
        if (p->pos + (int64_t)records.len > p->chunk_end) {
                p->pos = t->pos;
                p->chunk_end = t->pos += MAX2((int64_t)CHUNK, (int64_t)records.len);
        }
        batch_set_base(data, base, 0);
        check(pwrite(t->fd, data, records.len, p->pos) == (ssize_t)records.len, "pwrite");
        p->runs = grown(p->runs, p->count, &p->size, sizeof(*p->runs));
        p->runs[p->count++] = (struct run){ base, p->pos, records.len };
        p->end += (int64_t)load_be32(data + BATCH_LAST_OFFSET_DELTA_AT) + 1;
        p->pos += (int64_t)records.len;
        if (t->flushes) {
                t->dirty = true;
        } else {
                p->visible = p->end;
                news = true;
        }
        return base;
}

static void produce(struct conn *c, const struct request_header *h, struct cursor *in, struct arena *a)
{
        struct produce_request m;
        struct produce_response rsp;
        struct produce_response_topic rt;
        struct produce_response_partition rp;
        struct topic *t;
        struct writer w;
        uint8_t *data;

        check(!produce_request_decode(&m, in, h->request_api_version, a) && m.topic_data_count == 1 &&
                      m.topic_data[0].partition_data_count == 1,
              "produce request");
        t = topic_find(m.topic_data[0].name);
        produce_response_init(&rsp);
        produce_response_topic_init(&rt);
        produce_response_partition_init(&rp);
        rp.index = m.topic_data[0].partition_data[0].index;
        rp.base_offset = append(t, &t->parts[rp.index], m.topic_data[0].partition_data[0].records);
        rt.name = m.topic_data[0].name;
        rt.partition_responses = &rp;
        rt.partition_responses_count = 1;
        rsp.responses = &rt;
        rsp.responses_count = 1;
        ANSWER(h, 0, produce_response, &rsp, &w, &data);
        if (t->flushes) {
                waiting.list = grown(waiting.list, waiting.count, &waiting.size, sizeof(*waiting.list));
                waiting.list[waiting.count++] = (struct answer){ c, data, writer_pos(&w) };
                return;
        }
        conn_put(c, (struct piece){ .mem = data, .free_mem = data, .len = writer_pos(&w) });
        conn_flush(c);
}

/* ---- the flush: whenever something waits for one and none runs ---- */

static void *flusher(void *arg)
{
        for (;;) {
                pthread_mutex_lock(&lock);
                while (!flush_asked)
                        pthread_cond_wait(&wake, &lock);
                flush_asked = false;
                pthread_mutex_unlock(&lock);
                for (int i = 0; i < topics_count; i++)
                        if (topics[i].in_flush)
                                check(!fdatasync(topics[i].fd), "fdatasync");
                check(eventfd_write(flushed_fd, 1) == 0, "eventfd");
        }
        return arg;
}

static void flush_start(void)
{
        struct answers empty = flushing;

        if (flush_runs || !waiting.count)
                return;
        flushing = waiting;
        waiting = empty;
        for (int i = 0; i < topics_count; i++) {
                topics[i].in_flush = topics[i].dirty;
                topics[i].dirty = false;
                for (int p = 0; topics[i].in_flush && p < topics[i].count; p++)
                        topics[i].parts[p].flushing = topics[i].parts[p].end;
        }
        flush_runs = true;
        pthread_mutex_lock(&lock);
        flush_asked = true;
        pthread_cond_signal(&wake);
        pthread_mutex_unlock(&lock);
}

static void flush_done(void)
{
        eventfd_t count;

        check(!eventfd_read(flushed_fd, &count), "eventfd");
        flush_runs = false;
        news = true;
        for (int i = 0; i < topics_count; i++)
                for (int p = 0; topics[i].in_flush && p < topics[i].count; p++)
                        topics[i].parts[p].visible = topics[i].parts[p].flushing;
        flush_start();
}

/* ---- fetch ---- */

struct cut { /* what the writer's external piece stands for */
        const struct topic *t;
        const struct run *first;
        size_t count, len;
};

static struct cut find_runs(const struct topic *t, const struct part *p, int64_t offset, size_t len_max)
{
        size_t lo = 0, hi = p->count;
        struct cut cut = { .t = t };

        while (lo < hi) { /* the last run at or before @offset */
                size_t mid = (lo + hi) / 2;

                if (p->runs[mid].offset <= offset)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        cut.first = p->runs + (lo ? lo - 1 : 0);
        while (offset < p->visible && cut.first + cut.count < p->runs + p->count) {
                const struct run *r = cut.first + cut.count;

                if (r->offset >= p->visible || (cut.count && cut.len + r->len > len_max))
                        break;
                cut.count++;
                cut.len += r->len;
        }
        return cut;
}

static void put_cut(struct conn *c, const struct cut *cut)
{
        struct piece p = { .fd = cut->t->fd, .pos = cut->first->pos, .len = 0 };

        for (size_t i = 0; i < cut->count; i++) {
                const struct run *r = &cut->first[i];

                if (p.pos + (int64_t)p.len != r->pos) {
                        conn_put(c, p);
                        p = (struct piece){ .fd = cut->t->fd, .pos = r->pos };
                }
                p.len += r->len;
        }
        conn_put(c, p);
}

static void send_fetch(struct conn *c, const struct request_header *h, struct fetch_response *rsp, size_t ext_len,
                       struct arena *a)
{
        size_t size = fetch_response_size(rsp, h->request_api_version), from = 0;
        uint8_t *data;
        struct writer w = answer_begin(h, size, ext_len, &data);

        w.exts_max = (size_t)rsp->responses[0].partitions_count;
        w.exts = ARENA_NEW_ARRAY(a, struct writer_ext, w.exts_max);
        check(w.exts, "memory");
        fetch_response_encode(rsp, &w, h->request_api_version);
        for (size_t i = 0; i < w.exts_count; i++) {
                conn_put(c, (struct piece){ .mem = data + from, .len = w.exts[i].pos - from });
                put_cut(c, w.exts[i].ref);
                from = w.exts[i].pos;
        }
        conn_put(c, (struct piece){ .mem = data + from, .free_mem = data, .len = writer_pos(&w) - from });
        conn_flush(c);
}

/* False: too little is there yet. */
static bool fetch(struct conn *c, const struct request_header *h, struct cursor *in, bool late, struct arena *a)
{
        static const uint8_t nothing[1];
        struct fetch_request m;
        struct fetch_response rsp;
        struct fetch_response_topic rt;
        size_t left, total = 0;
        struct topic *t;

        check(!fetch_request_decode(&m, in, h->request_api_version, a) && m.topics_count == 1, "fetch request");
        t = topic_find(m.topics[0].topic);
        left = (size_t)m.max_bytes;
        fetch_response_init(&rsp);
        fetch_response_topic_init(&rt);
        rt.topic = m.topics[0].topic;
        rt.partitions_count = m.topics[0].partitions_count;
        rt.partitions = ARENA_NEW_ARRAY(a, struct fetch_response_partition, rt.partitions_count);
        rsp.responses = &rt;
        rsp.responses_count = 1;
        for (int i = 0; i < rt.partitions_count; i++) {
                const struct fetch_request_partition *q = &m.topics[0].partitions[i];
                struct fetch_response_partition *p = &rt.partitions[i];
                struct cut *cut = ARENA_NEW(a, struct cut);

                fetch_response_partition_init(p);
                p->partition_index = q->partition;
                p->high_watermark = t->parts[q->partition].visible;
                p->aborted_transactions_count = -1;
                p->records = (struct wire_records){ .data = nothing };
                if (left)
                        *cut = find_runs(t, &t->parts[q->partition], q->fetch_offset,
                                         MIN2((size_t)q->partition_max_bytes, left));
                if (cut->len)
                        p->records = (struct wire_records){ .ext = cut, .len = cut->len };
                total += cut->len;
                left -= MIN2(left, cut->len);
        }
        if ((int64_t)total < m.min_bytes && !late) {
                if (!c->parked)
                        c->deadline_ms = now_ms() + m.max_wait_ms;
                return false;
        }
        send_fetch(c, h, &rsp, total, a);
        return true;
}

/* ---- topics ---- */

static void create(struct conn *c, const struct request_header *h, struct cursor *in, struct arena *a)
{
        struct create_topics_request m;
        struct create_topics_response rsp;
        struct create_topics_response_topic rt;
        struct topic *t = &topics[topics_count];
        char path[512];
        struct writer w;
        uint8_t *data;

        check(!create_topics_request_decode(&m, in, h->request_api_version, a) && topics_count < TOPICS_MAX, "create");
        *t = (struct topic){ .count = m.topics[0].num_partitions, .flushes = true };
        snprintf(t->name, sizeof(t->name), "%.*s", STR_FMT(m.topics[0].name));
        for (int i = 0; i < m.topics[0].configs_count; i++)
                if (str_equal_c(m.topics[0].configs[i].name, "chronik.flush.before.ack"))
                        t->flushes = str_equal_c(m.topics[0].configs[i].value, "true");
        snprintf(path, sizeof(path), "%s/%s", folder, t->name);
        t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        check(t->fd >= 0, path);
        t->parts = calloc((size_t)t->count, sizeof(*t->parts));
        check(t->parts, "memory");
        topics_count++; /* the flusher looks at it in a later flush only, which the lock orders */
        create_topics_response_init(&rsp);
        create_topics_response_topic_init(&rt);
        rt.name = m.topics[0].name;
        rsp.topics = &rt;
        rsp.topics_count = 1;
        ANSWER(h, 0, create_topics_response, &rsp, &w, &data);
        conn_put(c, (struct piece){ .mem = data, .free_mem = data, .len = writer_pos(&w) });
        conn_flush(c);
}

/* Only the space is given back; the name stays taken. */
static void delete (struct conn *c, const struct request_header *h, struct cursor *in, struct arena *a)
{
        struct delete_topics_request m;
        struct delete_topics_response rsp;
        struct delete_topics_response_topic rt;
        struct topic *t;
        char path[512];
        struct writer w;
        uint8_t *data;

        check(!delete_topics_request_decode(&m, in, h->request_api_version, a) && m.topic_names_count == 1, "delete");
        t = topic_find(m.topic_names[0]);
        snprintf(path, sizeof(path), "%s/%s", folder, t->name);
        check(!unlink(path) && !ftruncate(t->fd, 0), path);
        delete_topics_response_init(&rsp);
        delete_topics_response_topic_init(&rt);
        rt.name = m.topic_names[0];
        rsp.responses = &rt;
        rsp.responses_count = 1;
        ANSWER(h, 0, delete_topics_response, &rsp, &w, &data);
        conn_put(c, (struct piece){ .mem = data, .free_mem = data, .len = writer_pos(&w) });
        conn_flush(c);
}

/* ---- connections ---- */

/* False: a fetch that waits. */
static bool serve(struct conn *c, struct span frame, bool late)
{
        struct cursor in = cursor_of(frame);
        struct request_header h;
        struct arena a;
        bool done = true;
        int16_t version;

        arena_init(&a, 0);
        check(frame.len > 4, "short frame");
        version = wire_api_request_header(wire_api_find((int16_t)load_be16(frame.data)),
                                          (int16_t)load_be16(frame.data + 2));
        check(!request_header_decode(&h, &in, version, &a), "request header");
        switch (h.request_api_key) {
        case PRODUCE_REQUEST_KEY:
                produce(c, &h, &in, &a);
                break;
        case FETCH_REQUEST_KEY:
                done = fetch(c, &h, &in, late, &a);
                break;
        case CREATE_TOPICS_REQUEST_KEY:
                create(c, &h, &in, &a);
                break;
        case DELETE_TOPICS_REQUEST_KEY:
                delete (c, &h, &in, &a);
                break;
        default:
                check(false, "unknown request");
        }
        arena_fini(&a);
        return done;
}

static void conn_read(struct conn *c)
{
        size_t want = c->in_len + READ_LEN;
        ssize_t n;

        if (c->in_len >= 4)
                want = MAX2(want, (size_t)load_be32(c->in) + 4);
        if (want > c->in_size) {
                c->in_size = want * 2;
                c->in = realloc(c->in, c->in_size);
                check(c->in, "memory");
        }
        n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
                c->fd = -1;
                c->parked_len = 0;
                return;
        }
        c->in_len += (size_t)n;
        while (c->in_len - c->in_at >= 4 && c->in_len - c->in_at >= 4 + (size_t)load_be32(c->in + c->in_at)) {
                struct span frame = span_of(c->in + c->in_at + 4, load_be32(c->in + c->in_at));

                c->in_at += 4 + frame.len;
                if (serve(c, frame, false))
                        continue;
                c->parked = realloc(c->parked, frame.len);
                memcpy(c->parked, frame.data, frame.len);
                c->parked_len = frame.len;
        }
        memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
        c->in_len -= c->in_at;
        c->in_at = 0;
}

static void accept_one(int listen_fd)
{
        struct conn *c = NULL;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

        if (fd < 0)
                return;
        for (int i = 0; i < conns_count && !c; i++)
                c = conns[i].fd < 0 ? &conns[i] : NULL;
        if (!c && conns_count < CONNS_MAX)
                c = &conns[conns_count++];
        check(c, "too many connections");
        free(c->in);
        free(c->out);
        free(c->parked);
        *c = (struct conn){ .fd = fd };
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = c });
}

static void wake_parked(void)
{
        int64_t now = now_ms();

        for (int i = 0; i < conns_count; i++) {
                struct conn *c = &conns[i];
                bool late = c->parked_len && now >= c->deadline_ms;

                if (c->fd >= 0 && c->parked_len && (news || late) && serve(c, span_of(c->parked, c->parked_len), late))
                        c->parked_len = 0;
        }
        news = false;
}

static void answer_flushed(void)
{
        struct answers done = flushing;

        flushing = (struct answers){ 0 };
        flush_done();
        for (size_t i = 0; i < done.count; i++) {
                struct answer *x = &done.list[i];

                conn_put(x->c, (struct piece){ .mem = x->data, .free_mem = x->data, .len = x->len });
                if (i + 1 == done.count || done.list[i + 1].c != x->c)
                        conn_flush(x->c);
        }
        free(done.list);
}

int main(int argc, char **argv)
{
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
        pthread_t thread;

        check(argc == 3, "usage: bench-floor PORT FOLDER");
        at.sin_port = htons((uint16_t)atoi(argv[1]));
        folder = argv[2];
        setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        check(!bind(listen_fd, (struct sockaddr *)&at, sizeof(at)) && !listen(listen_fd, 1024), "listen");
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        flushed_fd = eventfd(0, EFD_CLOEXEC);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd,
                  &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &listen_fd });
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, flushed_fd,
                  &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &flushed_fd });
        check(!pthread_create(&thread, NULL, flusher, NULL), "thread");
        printf("READY\n");
        fflush(stdout);
        for (;;) {
                struct epoll_event events[64];
                int n = epoll_wait(epoll_fd, events, 64, 50);

                for (int i = 0; i < n; i++) {
                        struct conn *c = events[i].data.ptr;

                        if (events[i].data.ptr == &listen_fd) {
                                accept_one(listen_fd);
                        } else if (events[i].data.ptr == &flushed_fd) {
                                answer_flushed();
                        } else if (c->fd >= 0) {
                                if (events[i].events & EPOLLOUT)
                                        conn_flush(c);
                                if (events[i].events & ~(uint32_t)EPOLLOUT)
                                        conn_read(c);
                        }
                }
                flush_start();
                wake_parked();
        }
}
