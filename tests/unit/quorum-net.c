/* See quorum-net.h. All of it belongs to the net's loop, but for what is atomic. */
#include "quorum-net.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "sys/clock.h"

enum { NODES = 512, SERVICES = 64 };

struct peer_hub {
        struct peer_identity self;
        struct peer_service services[SERVICES];
        unsigned services_count;
        bool stopped;
        struct peer_hub *next; /* of all that were ever made */
        struct ilist requests; /* unanswered */
        struct mail start, stop, end;
        struct loop *reply;
        struct mail *done;
};

/* A call on its way. */
struct flight {
        struct ilist link;
        struct peer_hub *from;
        struct peer_call *call; /* NULL: it has ended */
        struct peer_hub *to;
        struct peer_request rq;
};

static struct {
        struct loop *loop;
        struct peer_hub *hubs[NODES]; /* by node id */
        struct ilist flights;
        _Atomic(struct peer_hub *) all;
        atomic_bool cut[NODES][NODES];
        atomic_uint lose;
        atomic_ullong requests;
        uint64_t chance;
} net;

static bool may_pass(int32_t a, int32_t b)
{
        unsigned lose = atomic_load(&net.lose);

        net.chance = net.chance * 6364136223846793005u + 1442695040888963407u;
        return !atomic_load(&net.cut[a][b]) && (!lose || (net.chance >> 33) % lose);
}

void net_begin(void)
{
        memset(net.cut, 0, sizeof net.cut);
        memset(net.hubs, 0, sizeof net.hubs);
        net.chance = random_u64();
        atomic_store(&net.requests, 0);
        atomic_store(&net.lose, 0);
        ilist_init(&net.flights);
        assert(!loop_new("net", &net.loop));
        assert(!loop_start_thread(net.loop));
}

void net_end(void)
{
        loop_stop(net.loop);
        loop_join(net.loop);
        net.loop = loop_free(net.loop);
        ilist_for_each (f, &net.flights, struct flight, link)
                free(f);
        for (struct peer_hub *h = net.all, *next; h; h = next) {
                next = h->next;
                free(h);
        }
        net.all = NULL;
}

void net_cut(int32_t a, int32_t b, bool is_cut)
{
        atomic_store(&net.cut[a][b], is_cut);
        atomic_store(&net.cut[b][a], is_cut);
}

void net_isolate(int32_t node, bool is_cut)
{
        for (int32_t i = 0; i < NODES; i++)
                if (i != node)
                        net_cut(node, i, is_cut);
}

void net_heal(void)
{
        for (int32_t i = 0; i < NODES; i++)
                for (int32_t k = 0; k < NODES; k++)
                        atomic_store(&net.cut[i][k], false);
}

void net_lose_one_in(unsigned n)
{
        atomic_store(&net.lose, n);
}

uint64_t net_requests(void)
{
        return atomic_load(&net.requests);
}

/* ---- messages ---- */

int peer_out_begin(struct peer_out *o, size_t size, unsigned exts_max)
{
        assert(!exts_max);
        o->buf = malloc(size + 1);
        if (!o->buf)
                return -ENOMEM;
        o->w = writer_of(o->buf, size);
        return 0;
}

void peer_out_fini(struct peer_out *o)
{
        free(TAKE_PTR(o->buf));
}

const char *peer_outcome_name(int outcome)
{
        static const char *const names[] = { "ok",      "no address",  "unreachable", "refused",
                                             "full",    "unsupported", "malformed",   "busy",
                                             "stopped", "lost",        "timeout" };

        return outcome >= 0 && outcome < (int)ARRAY_LEN(names) ? names[outcome] : "?";
}

/* ---- calls ---- */

static void told(struct loop *l, struct mail *m)
{
        struct peer_call *c = container_of(m, struct peer_call, mail);

        c->done(c);
}

static void end_call(struct peer_call *c, int outcome)
{
        loop_timer_stop(&c->timer);
        peer_out_fini(&c->out);
        c->outcome = outcome;
        c->mail.fn = told;
        loop_post(c->loop, &c->mail);
}

static void flight_timeout(struct loop_timer *t)
{
        struct peer_call *c = container_of(t, struct peer_call, timer);

        ilist_for_each (f, &net.flights, struct flight, link) {
                if (f->call != c)
                        continue;
                f->call = NULL;
                if (!f->to) { /* it never arrived */
                        ilist_unlink(&f->link);
                        free(f);
                }
                break;
        }
        end_call(c, PEER_E_TIMEOUT);
}

static void serve(struct flight *f, struct peer_call *c)
{
        struct peer_hub *h = f->to;
        struct iobuf *frame = iobuf_new((size_t)(c->out.w.at - c->out.buf) + 1);

        memcpy(frame->data, c->out.buf, (size_t)(c->out.w.at - c->out.buf));
        f->rq.net.frame = frame;
        f->rq.body = span_of(frame->data, (size_t)(c->out.w.at - c->out.buf));
        f->rq.key = c->key;
        f->rq.version = c->version;
        f->rq.peer = &f->from->self;
        f->rq.hub = h;
        arena_init(&f->rq.arena, 0);
        ilist_push_back(&h->requests, &f->rq.link);
        for (unsigned i = 0; i < h->services_count; i++) {
                if (h->services[i].key == c->key) {
                        atomic_fetch_add(&net.requests, 1);
                        h->services[i].request(h->services[i].arg, &f->rq);
                        return;
                }
        }
        peer_refuse(&f->rq, -ENOSYS);
}

static void call_arrived(struct loop *l, struct mail *m)
{
        struct peer_call *c = container_of(m, struct peer_call, mail);
        struct peer_hub *from = (struct peer_hub *)c->to, *to;
        struct flight *f = calloc(1, sizeof *f);

        loop_timer_init(&c->timer, net.loop, flight_timeout);
        to = c->node >= 0 && c->node < NODES ? net.hubs[c->node] : NULL;
        if (from->stopped || !to || to->stopped || atomic_load(&net.cut[from->self.node][c->node])) {
                free(f);
                end_call(c, from->stopped ? PEER_E_STOPPED : PEER_E_UNREACHABLE);
                return;
        }
        f->from = from;
        f->call = c;
        ilist_push_back(&net.flights, &f->link);
        loop_timer_start(&c->timer, c->timeout_ms);
        if (!may_pass(from->self.node, c->node))
                return;
        f->to = to;
        serve(f, c);
}

void peer_call_submit(struct peer_hub *h, struct peer_call *c)
{
        c->to = (struct peer_link *)h;
        c->frame = NULL;
        c->mail.fn = call_arrived;
        loop_post(net.loop, &c->mail);
}

/* ---- answers ---- */

static void flight_end(struct flight *f)
{
        ilist_unlink(&f->rq.link);
        ilist_unlink(&f->link);
        iobuf_unref(f->rq.net.frame);
        arena_fini(&f->rq.arena);
        peer_out_fini(&f->rq.out);
        free(f);
}

static void answered(struct loop *l, struct mail *m)
{
        struct flight *f = container_of(m, struct flight, rq.mail);
        struct peer_call *c = f->call;

        if (!c) { /* it gave up */
                flight_end(f);
                return;
        }
        if (!may_pass(f->to->self.node, f->from->self.node)) {
                f->call = NULL;
                end_call(c, PEER_E_LOST);
                flight_end(f);
                return;
        }
        if (f->rq.status) {
                end_call(c, f->rq.status);
        } else {
                size_t len = (size_t)(f->rq.out.w.at - f->rq.out.buf);

                c->frame = iobuf_new(len + 1);
                memcpy(c->frame->data, f->rq.out.buf, len);
                c->body = span_of(c->frame->data, len);
                end_call(c, PEER_OK);
        }
        flight_end(f);
}

void peer_answer(struct peer_request *rq, struct peer_out *out)
{
        rq->out = *out;
        rq->status = 0;
        rq->mail.fn = answered;
        loop_post(net.loop, &rq->mail);
}

void peer_refuse(struct peer_request *rq, int why)
{
        rq->status = why == -ENOSYS ? PEER_E_UNSUPPORTED : why > 0 ? PEER_E_MALFORMED : PEER_E_BUSY;
        rq->mail.fn = answered;
        loop_post(net.loop, &rq->mail);
}

void peer_request_detach(struct peer_request *rq)
{
        rq->net.frame = iobuf_unref(rq->net.frame);
        rq->body = SPAN_NULL;
}

bool peer_request_is_gone(const struct peer_request *rq)
{
        return false;
}

struct loop *peer_request_loop(const struct peer_request *rq)
{
        return net.loop;
}

void *peer_request_user(const struct peer_request *rq)
{
        return NULL;
}

void peer_request_set_user(struct peer_request *rq, void *user)
{
}

/* ---- hubs ---- */

int peer_hub_new(const struct peer_conf *conf, struct peer_hub **ret_hub)
{
        struct peer_hub *h = calloc(1, sizeof *h);

        h->self.node = conf->node;
        h->self.directory = conf->directory;
        h->stopped = true;
        ilist_init(&h->requests);
        h->next = atomic_load(&net.all);
        while (!atomic_compare_exchange_weak(&net.all, &h->next, h))
                ;
        *ret_hub = h;
        return 0;
}

int peer_hub_register(struct peer_hub *h, const struct peer_service *s)
{
        h->services[h->services_count++] = *s;
        return 0;
}

int peer_hub_watch(struct peer_hub *h, const struct peer_watch *w)
{
        return 0;
}

static void hub_started(struct loop *l, struct mail *m)
{
        struct peer_hub *h = container_of(m, struct peer_hub, start);

        h->stopped = false;
        net.hubs[h->self.node] = h;
}

int peer_hub_start(struct peer_hub *h, uint16_t *ret_port)
{
        if (ret_port)
                *ret_port = 0;
        h->start.fn = hub_started;
        loop_post(net.loop, &h->start);
        return 0;
}

static void hub_stopped(struct loop *l, struct mail *m)
{
        struct peer_hub *h = container_of(m, struct peer_hub, stop);

        h->stopped = true;
        if (net.hubs[h->self.node] == h)
                net.hubs[h->self.node] = NULL;
        ilist_for_each (f, &net.flights, struct flight, link) {
                struct peer_call *c = f->call;

                if (c && (f->from == h || f->to == h)) {
                        f->call = NULL;
                        end_call(c, PEER_E_LOST);
                        if (!f->to) {
                                ilist_unlink(&f->link);
                                free(f);
                        }
                }
        }
        loop_post(h->reply, h->done);
}

void peer_hub_stop(struct peer_hub *h, int64_t timeout_ms, struct loop *reply, struct mail *done)
{
        h->reply = reply;
        h->done = done;
        h->stop.fn = hub_stopped;
        loop_post(net.loop, &h->stop);
}

static void hub_freed(struct loop *l, struct mail *m)
{
        struct peer_hub *h = container_of(m, struct peer_hub, end);

        ilist_for_each (rq, &h->requests, struct peer_request, link) {
                struct flight *f = container_of(rq, struct flight, rq);

                flight_end(f);
        }
        /* Others still fly from here to hubs that live: they must not be told whom it was. */
        ilist_for_each (f, &net.flights, struct flight, link)
                assert(f->from != h || !f->call);
}

/* Kept: requests of it may still be in work elsewhere. A test has few hubs. */
struct peer_hub *peer_hub_free(struct peer_hub *h)
{
        if (!h)
                return NULL;
        h->end.fn = hub_freed;
        loop_post(net.loop, &h->end);
        return NULL;
}

int peer_hub_set_cluster(struct peer_hub *h, struct str cluster_id)
{
        return 0;
}

int peer_hub_set_address(struct peer_hub *h, int32_t node, const char *address)
{
        return 0;
}

unsigned peer_hub_list(struct peer_hub *h, struct peer_info *ret_infos, unsigned max)
{
        return 0;
}

bool peer_hub_find(struct peer_hub *h, int32_t node, struct peer_info *ret_info)
{
        return false;
}

void peer_hub_stats(struct peer_hub *h, struct peer_stats *ret_stats)
{
        memset(ret_stats, 0, sizeof *ret_stats);
}
