#include "share/share_link.h"

#include <errno.h>

#include "share/peer_share.h"

enum { CALL_MS = 5000 };

static const struct str offsets_topic = { "__consumer_offsets", 18 };

/* ---- asking ---- */

static void end(struct share_call *c, int outcome)
{
        c->rq.outcome = outcome;
        c->rq.done(&c->rq);
}

static int take_read(struct share_call *c)
{
        struct peer_share_read_response rsp;
        struct coord_share_read *read = &c->read;

        if (PEER_DECODE(peer_share_read_response, &rsp, c->call.body, 0, &c->rq.arena))
                return COORD_E_NOT_AVAILABLE;
        read->ret_state_epoch = rsp.state_epoch;
        read->ret_start = rsp.start;
        read->ret_runs_count = rsp.runs_count;
        read->ret_runs = ARENA_NEW_ARRAY(&c->rq.arena, struct coord_share_run, rsp.runs_count);
        if (!read->ret_runs)
                return -ENOMEM;
        for (int32_t i = 0; i < rsp.runs_count; i++)
                read->ret_runs[i] = (struct coord_share_run){ rsp.runs[i].first, rsp.runs[i].last, rsp.runs[i].state,
                                                              rsp.runs[i].deliveries };
        return rsp.outcome;
}

static int take_write(struct share_call *c)
{
        struct peer_share_write_response rsp;

        if (PEER_DECODE(peer_share_write_response, &rsp, c->call.body, 0, &c->rq.arena))
                return COORD_E_NOT_AVAILABLE;
        return rsp.outcome;
}

static void called(struct peer_call *call)
{
        struct share_call *c = container_of(call, struct share_call, call);
        int outcome = COORD_E_NOT_AVAILABLE;

        if (call->outcome == PEER_OK)
                outcome = c->rq.op == COORD_SHARE_READ ? take_read(c) : take_write(c);
        iobuf_unref(call->frame);
        txn_link_end(c->link);
        end(c, outcome);
}

static int encode_read(struct share_call *c)
{
        struct peer_share_read_request m;

        peer_share_read_request_init(&m);
        m.group_id = c->rq.id;
        m.topic_id = c->read.topic_id;
        m.partition = c->read.partition;
        m.leader_epoch = c->read.leader_epoch;
        return PEER_ENCODE(&c->call.out, peer_share_read_request, &m, 0, 0);
}

static int encode_write(struct share_call *c)
{
        struct peer_share_write_request m;

        peer_share_write_request_init(&m);
        m.group_id = c->rq.id;
        m.topic_id = c->write.topic_id;
        m.partition = c->write.partition;
        m.leader_epoch = c->write.leader_epoch;
        m.state_epoch = c->write.state_epoch;
        m.number = c->write.number;
        m.start = c->write.start;
        m.runs_count = c->write.runs_count;
        m.runs = ARENA_NEW_ARRAY(&c->rq.arena, struct peer_share_write_request_run, m.runs_count);
        if (!m.runs)
                return -ENOMEM;
        for (int32_t i = 0; i < m.runs_count; i++) {
                const struct coord_share_run *r = &c->write.runs[i];

                peer_share_write_request_run_init(&m.runs[i]);
                m.runs[i].first = r->first;
                m.runs[i].last = r->last;
                m.runs[i].state = r->state;
                m.runs[i].deliveries = r->deliveries;
        }
        return PEER_ENCODE(&c->call.out, peer_share_write_request, &m, 0, 0);
}

static bool call(struct share_call *c, int32_t node)
{
        bool reads = c->rq.op == COORD_SHARE_READ;

        c->call = (struct peer_call){ .node = node,
                                      .lane = PEER_CONTROL,
                                      .key = reads ? PEER_SHARE_READ_REQUEST_KEY : PEER_SHARE_WRITE_REQUEST_KEY,
                                      .timeout_ms = CALL_MS,
                                      .loop = c->rq.reply_loop,
                                      .done = called };
        if (reads ? encode_read(c) : encode_write(c))
                return false;
        txn_link_begin(c->link);
        peer_call_submit(c->link->hub, &c->call);
        return true;
}

static void on_refused(struct loop *l, struct mail *m)
{
        struct share_call *c = container_of(m, struct share_call, mail);

        (void)l;
        end(c, COORD_E_NOT_AVAILABLE);
}

void share_link_ask(struct txn_link *l, struct share_call *c)
{
        struct coord *groups = atomic_load(&l->groups);
        int32_t partitions = groups ? coord_partitions(groups) : 0;
        struct txn_place place;

        c->link = l;
        if (partitions > 0 && l->find(l->arg, offsets_topic, coord_partition_of(c->rq.id, partitions), &place)) {
                if (place.leader == l->node_id) {
                        coord_submit(groups, &c->rq);
                        return;
                }
                if (place.leader >= 0 && l->hub && !atomic_load(&l->stopping) && call(c, place.leader))
                        return;
        }
        c->mail.fn = on_refused;
        loop_post(c->rq.reply_loop, &c->mail);
}

/* ---- answering ---- */

struct serving {
        union {
                struct coord_request rq;
                struct coord_share_read read;
                struct coord_share_write write;
        };
        struct peer_request *peer;
        struct txn_link *link;
};

static int16_t told(int outcome)
{
        return (int16_t)(outcome < 0 ? COORD_E_NOT_AVAILABLE : outcome);
}

static int answer_read(struct serving *s, struct peer_out *out)
{
        struct peer_share_read_response rsp;

        peer_share_read_response_init(&rsp);
        rsp.outcome = told(s->rq.outcome);
        if (!rsp.outcome) {
                rsp.state_epoch = s->read.ret_state_epoch;
                rsp.start = s->read.ret_start;
                rsp.runs_count = s->read.ret_runs_count;
        }
        rsp.runs = ARENA_NEW_ARRAY(&s->peer->arena, struct peer_share_read_response_run, rsp.runs_count);
        if (!rsp.runs)
                return -ENOMEM;
        for (int32_t i = 0; i < rsp.runs_count; i++) {
                const struct coord_share_run *r = &s->read.ret_runs[i];

                peer_share_read_response_run_init(&rsp.runs[i]);
                rsp.runs[i].first = r->first;
                rsp.runs[i].last = r->last;
                rsp.runs[i].state = r->state;
                rsp.runs[i].deliveries = r->deliveries;
        }
        return PEER_ENCODE(out, peer_share_read_response, &rsp, s->peer->version, 0);
}

static int answer_write(struct serving *s, struct peer_out *out)
{
        struct peer_share_write_response rsp;

        peer_share_write_response_init(&rsp);
        rsp.outcome = told(s->rq.outcome);
        return PEER_ENCODE(out, peer_share_write_response, &rsp, s->peer->version, 0);
}

static void served(struct coord_request *crq)
{
        struct serving *s = container_of(crq, struct serving, rq);
        struct txn_link *l = s->link;
        struct peer_out out;
        int r = crq->op == COORD_SHARE_READ ? answer_read(s, &out) : answer_write(s, &out);

        coord_request_fini(crq);
        if (r)
                peer_refuse(s->peer, r);
        else
                peer_answer(s->peer, &out);
        txn_link_end(l);
}

static void submit(struct txn_link *l, struct peer_request *peer, struct serving *s)
{
        s->peer = peer;
        s->link = l;
        s->rq.reply_loop = peer_request_loop(peer);
        s->rq.done = served;
        txn_link_begin(l);
        coord_submit(atomic_load(&l->groups), &s->rq);
}

static bool is_ready(struct txn_link *l)
{
        return atomic_load(&l->groups) && !atomic_load(&l->stopping);
}

static void serve_read(void *arg, struct peer_request *peer)
{
        struct serving *s = ARENA_NEW(&peer->arena, struct serving);
        struct peer_share_read_request m;
        int r = s ? PEER_DECODE(peer_share_read_request, &m, peer->body, peer->version, &peer->arena) : -ENOMEM;

        if (!r && !is_ready(arg))
                r = -EBUSY;
        if (r) {
                peer_refuse(peer, r);
                return;
        }
        coord_request_init(&s->rq, COORD_SHARE_READ, m.group_id);
        s->read.topic_id = m.topic_id;
        s->read.partition = m.partition;
        s->read.leader_epoch = m.leader_epoch;
        submit(arg, peer, s);
}

static int fill_write(struct serving *s, const struct peer_share_write_request *m, struct arena *a)
{
        struct coord_share_run *runs = ARENA_NEW_ARRAY(a, struct coord_share_run, m->runs_count);

        if (!runs)
                return -ENOMEM;
        for (int32_t i = 0; i < m->runs_count; i++)
                runs[i] = (struct coord_share_run){ m->runs[i].first, m->runs[i].last, m->runs[i].state,
                                                    m->runs[i].deliveries };
        coord_request_init(&s->rq, COORD_SHARE_WRITE, m->group_id);
        s->write.topic_id = m->topic_id;
        s->write.partition = m->partition;
        s->write.leader_epoch = m->leader_epoch;
        s->write.state_epoch = m->state_epoch;
        s->write.number = m->number;
        s->write.start = m->start;
        s->write.runs = runs;
        s->write.runs_count = m->runs_count;
        return 0;
}

static void serve_write(void *arg, struct peer_request *peer)
{
        struct serving *s = ARENA_NEW(&peer->arena, struct serving);
        struct peer_share_write_request m;
        int r = s ? PEER_DECODE(peer_share_write_request, &m, peer->body, peer->version, &peer->arena) : -ENOMEM;

        if (!r && !is_ready(arg))
                r = -EBUSY;
        if (!r)
                r = fill_write(s, &m, &peer->arena);
        if (r)
                peer_refuse(peer, r);
        else
                submit(arg, peer, s);
}

int share_link_register(struct txn_link *l)
{
        const struct peer_service services[] = {
                { .key = PEER_SHARE_READ_REQUEST_KEY, .request = serve_read, .arg = l },
                { .key = PEER_SHARE_WRITE_REQUEST_KEY, .request = serve_write, .arg = l },
        };
        int r = 0;

        for (unsigned i = 0; !r && l->hub && i < ARRAY_LEN(services); i++)
                r = peer_hub_register(l->hub, &services[i]);
        return r;
}
