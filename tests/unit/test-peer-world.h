/* Hubs on loopback for the tests of peer, a service that does what a message's first byte says, and calls that wait.
 * Everything here is static: a test program includes it once. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "peer/peer.h"
#include "sys/clock.h"
#include "tls-files.h"
#include "unit.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

enum { KEY = 20000, HUBS_MAX = 4, HELD_MAX = 1024, FILE_LEN = 3 << 20 };

struct node {
        struct peer_hub *hub;
        uint16_t port;
        struct peer_request *held[HELD_MAX]; /* under lock */
        unsigned held_count;
        atomic_uint ups[PEER_LANES_COUNT], downs[PEER_LANES_COUNT], closed, served;
};

static struct node nodes[HUBS_MAX];
static struct tls_slot *slots[HUBS_MAX]; /* of a node's good certificate, once there is TLS */
static struct tls_pair ca;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *here; /* the test's */
static struct iopool *pool;
static int file_fd = -1;
static atomic_int pieces_out; /* that were handed over and not released */

static void on_release(void *arg)
{
        atomic_fetch_sub(&pieces_out, 1);
}

static void answer_bytes(struct peer_request *rq, const void *data, size_t len)
{
        struct peer_out o;

        CU_ASSERT_EQUAL_FATAL(peer_out_begin(&o, len, 0), 0);
        writer_bytes(&o.w, data, len);
        peer_answer(rq, &o);
}

/* "<", the file, ">". */
static void answer_file(struct peer_request *rq)
{
        struct net_piece *p = arena_alloc(&rq->arena, sizeof *p);
        struct peer_out o;

        *p = (struct net_piece){ .fd = file_fd, .len = FILE_LEN, .release = on_release };
        atomic_fetch_add(&pieces_out, 1);
        CU_ASSERT_EQUAL_FATAL(peer_out_begin(&o, 2, 1), 0);
        writer_u8(&o.w, '<');
        writer_ext(&o.w, p, FILE_LEN);
        writer_u8(&o.w, '>');
        peer_answer(rq, &o);
}

struct elsewhere {
        struct io_job job;
        struct peer_request *rq;
        bool refuse;
};

static void elsewhere_run(struct io_job *job)
{
        struct elsewhere *e = container_of(job, struct elsewhere, job);

        if (e->refuse)
                peer_refuse(e->rq, -ENOMEM);
        else
                answer_bytes(e->rq, "elsewhere", 9);
}

static void elsewhere_done(struct io_job *job)
{
        free(container_of(job, struct elsewhere, job));
}

static void answer_elsewhere(struct peer_request *rq, bool refuse)
{
        struct elsewhere *e = calloc(1, sizeof *e);

        e->job = (struct io_job){ .run = elsewhere_run, .done = elsewhere_done };
        e->rq = rq;
        e->refuse = refuse;
        iopool_submit(pool, &e->job);
}

struct late {
        struct loop_timer timer;
        struct peer_request *rq;
};

static void on_late(struct loop_timer *t)
{
        struct late *l = container_of(t, struct late, timer);

        answer_bytes(l->rq, l->rq->body.data, l->rq->body.len);
}

static void hold(struct node *n, struct peer_request *rq)
{
        pthread_mutex_lock(&lock);
        CU_ASSERT_FATAL(n->held_count < HELD_MAX);
        n->held[n->held_count++] = rq;
        pthread_mutex_unlock(&lock);
}

/* e: echo; h: hold until release(); f: the file; F: the file's bytes sent back by the caller; m: malformed; b: busy; t,
 * T: answer or refuse from another thread; c: how many c came on this connection; l: echo after as many ms as the
 * second byte says; i: who asks; d: detach, hold. */
static void on_request(void *arg, struct peer_request *rq)
{
        struct node *n = arg;
        struct late *l;
        uintptr_t count;
        char text[96];

        atomic_fetch_add(&n->served, 1);
        switch (rq->body.len ? rq->body.data[0] : 'e') {
        case 'h':
                hold(n, rq);
                return;
        case 'd':
                peer_request_detach(rq);
                hold(n, rq);
                return;
        case 'f':
                answer_file(rq);
                return;
        case 'm':
                peer_refuse(rq, WIRE_E_MALFORMED);
                return;
        case 'b':
                peer_refuse(rq, -ENOMEM);
                return;
        case 't':
        case 'T':
                answer_elsewhere(rq, rq->body.data[0] == 'T');
                return;
        case 'c':
                count = (uintptr_t)peer_request_user(rq) + 1;
                peer_request_set_user(rq, (void *)count);
                snprintf(text, sizeof text, "%u", (unsigned)count);
                answer_bytes(rq, text, strlen(text));
                return;
        case 'i':
                snprintf(text, sizeof text, "%d %s", rq->peer->node, rq->peer->program);
                answer_bytes(rq, text, strlen(text));
                return;
        case 'l':
                l = arena_alloc(&rq->arena, sizeof *l);
                l->rq = rq;
                loop_timer_init(&l->timer, peer_request_loop(rq), on_late);
                loop_timer_start(&l->timer, rq->body.data[1]);
                return;
        default:
                answer_bytes(rq, rq->body.data, rq->body.len);
        }
}

static void on_user_closed(void *arg, const struct peer_identity *peer, void *user)
{
        struct node *n = arg;

        atomic_fetch_add(&n->closed, 1);
}

static void on_link(void *arg, const struct peer_identity *peer, enum peer_lane lane, bool up)
{
        struct node *n = arg;

        atomic_fetch_add(up ? &n->ups[lane] : &n->downs[lane], 1);
}

/* What the tests start from; each says what it changes. */
static struct peer_conf conf_of(int32_t id)
{
        struct peer_conf c = { .node = id, .program = "test", .listen = "127.0.0.1:0", .pool = pool };

        c.silence_ms_max = 20000; /* an emulated processor may encrypt for some seconds and hear nobody */
        c.tls = slots[id];
        c.directory.b[0] = (uint8_t)(id + 1);
        return c;
}

static void node_start(unsigned at, const struct peer_conf *conf)
{
        struct node *n = &nodes[at];
        struct peer_service s = {
                .key = KEY, .version_max = 2, .request = on_request, .closed = on_user_closed, .arg = n
        };
        struct peer_watch w = { .link = on_link, .arg = n };

        memset(n, 0, sizeof *n);
        CU_ASSERT_EQUAL_FATAL(peer_hub_new(conf, &n->hub), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_register(n->hub, &s), 0);
        CU_ASSERT_EQUAL(peer_hub_register(n->hub, &s), -EEXIST);
        CU_ASSERT_EQUAL_FATAL(peer_hub_watch(n->hub, &w), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_start(n->hub, &n->port), 0);
}

static void know(unsigned from, int32_t id, uint16_t port)
{
        char address[32];

        snprintf(address, sizeof address, "127.0.0.1:%u", port);
        CU_ASSERT_EQUAL_FATAL(peer_hub_set_address(nodes[from].hub, id, port ? address : NULL), 0);
}

struct end {
        struct mail mail;
        bool has_come;
};

static void on_end(struct loop *l, struct mail *m)
{
        container_of(m, struct end, mail)->has_come = true;
        loop_stop(l);
}

static void node_stop(unsigned at)
{
        struct end end = { .mail.fn = on_end };

        peer_hub_stop(nodes[at].hub, 300, here, &end.mail);
        while (!end.has_come) /* calls that end meanwhile stop the loop, too */
                loop_run(here);
        nodes[at].hub = peer_hub_free(nodes[at].hub);
}

/* From now on nodes have certificates of one authority. */
static void tls_begin(void)
{
        char name[16], uri[32];

        tls_dir_begin();
        ca = tls_authority("cluster");
        tls_write("ca.pem", ca.certificate);
        for (unsigned i = 0; i < HUBS_MAX; i++) {
                snprintf(name, sizeof name, "n%u", i);
                snprintf(uri, sizeof uri, "chronik://node/%u", i);
                tls_issue_files(name, uri, &ca, -HOUR_S, HOUR_S);
                slots[i] = tls_slot_of(name, "ca.pem", true);
        }
}

static void tls_end(void)
{
        for (unsigned i = 0; i < HUBS_MAX; i++)
                slots[i] = tls_slot_free(slots[i]);
        tls_pair_fini(&ca);
        tls_dir_end();
}

static void world_begin(void)
{
        CU_ASSERT_EQUAL_FATAL(loop_new("main", &here), 0);
        CU_ASSERT_EQUAL_FATAL(iopool_new(2, &pool), 0);
}

/* Nodes 1 and 2 know each other. */
static void pair_begin(void)
{
        struct peer_conf a, b;

        world_begin();
        a = conf_of(1);
        b = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        know(2, 1, nodes[1].port);
}

static void world_end(void)
{
        for (unsigned i = 0; i < HUBS_MAX; i++)
                if (nodes[i].hub)
                        node_stop(i);
        pool = iopool_free(pool);
        here = loop_free(here);
        CU_ASSERT_EQUAL(atomic_load(&pieces_out), 0);
}

static unsigned held_count(unsigned at)
{
        unsigned n;

        pthread_mutex_lock(&lock);
        n = nodes[at].held_count;
        pthread_mutex_unlock(&lock);
        return n;
}

/* Answer what is held, last first. */
static void release(unsigned at)
{
        pthread_mutex_lock(&lock);
        while (nodes[at].held_count)
                answer_bytes(nodes[at].held[--nodes[at].held_count], "held", 4);
        pthread_mutex_unlock(&lock);
}

/* ---- calls ---- */

static unsigned waiting; /* calls whose done() has not run; on here */

static void on_done(struct peer_call *call)
{
        CU_ASSERT_FATAL(waiting);
        if (!--waiting)
                loop_stop(here);
}

static void call_begin(struct peer_call *c, unsigned from, int32_t to, const void *body, size_t len)
{
        *c = (struct peer_call){
                .node = to, .key = KEY, .version = 1, .timeout_ms = 5000, .loop = here, .done = on_done
        };
        CU_ASSERT_EQUAL_FATAL(peer_out_begin(&c->out, len, 0), 0);
        writer_bytes(&c->out.w, body, len);
        waiting++;
}

static void call_text(struct peer_call *c, unsigned from, int32_t to, const char *text)
{
        call_begin(c, from, to, text, strlen(text));
        peer_call_submit(nodes[from].hub, c);
}

static void wait_all(void)
{
        if (waiting)
                loop_run(here);
}

static void call_fini(struct peer_call *c)
{
        c->frame = iobuf_unref(c->frame);
}

/* One call from node @from to node @to. Return: its outcome. */
static int ask(unsigned from, int32_t to, const char *text)
{
        struct peer_call c;

        call_text(&c, from, to, text);
        wait_all();
        call_fini(&c);
        return c.outcome;
}

static bool answered(const struct peer_call *c, const char *text)
{
        return c->outcome == PEER_OK && c->body.len == strlen(text) && !memcmp(c->body.data, text, c->body.len);
}

static void expect(unsigned from, int32_t to, const char *text, const char *answer)
{
        struct peer_call c;

        call_text(&c, from, to, text);
        wait_all();
        CU_ASSERT(answered(&c, answer));
        call_fini(&c);
}

static struct peer_info info_of(unsigned from, int32_t to)
{
        struct peer_info info = { 0 };

        CU_ASSERT(peer_hub_find(nodes[from].hub, to, &info));
        return info;
}

/* Wait until @counter is @n, at most five seconds. */
static bool comes_to(atomic_uint *counter, unsigned n)
{
        for (int i = 0; i < 1000 && atomic_load(counter) != n; i++)
                usleep(5000);
        return atomic_load(counter) == n;
}

/* ---- peers of our own, byte by byte ---- */

static int dial_raw(uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct timeval limit = { .tv_sec = 5 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

/* A listening socket that nobody serves. */
static int listen_raw(uint16_t *ret_port)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t len = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        CU_ASSERT_EQUAL_FATAL(listen(fd, 16), 0);
        CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

static bool is_closed(int fd)
{
        char byte;
        ssize_t n;

        do
                n = recv(fd, &byte, 1, 0);
        while (n > 0);
        return n == 0 || errno == ECONNRESET;
}
