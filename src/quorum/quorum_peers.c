/* Calls to other nodes: messages of the core with their entries, and where everybody is found. A node knows best itself where
 * it is; then what the log says; then the bootstrap list. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/diag.h"

/* ---- calls ---- */

static void call_done(struct peer_call *pc)
{
        struct quorum_call *c = container_of(pc, struct quorum_call, call);

        c->done(c);
}

struct quorum_call *quorum_call_new(struct quorum *q, int32_t node, int16_t key, int64_t timeout_ms,
                                    void (*done)(struct quorum_call *c))
{
        struct quorum_call *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->q = q;
        c->done = done;
        c->call.node = node;
        c->call.lane = PEER_CONTROL;
        c->call.key = key;
        c->call.timeout_ms = timeout_ms;
        c->call.loop = q->cfg.loop;
        c->call.done = call_done;
        ilist_init(&c->link);
        return c;
}

void quorum_call_submit(struct quorum_call *c)
{
        ilist_push_back(&c->q->calls, &c->link);
        peer_call_submit(c->q->hub, &c->call);
}

struct quorum_call *quorum_call_free(struct quorum_call *c)
{
        ilist_unlink(&c->link);
        iobuf_unref(c->call.frame);
        free(c);
        return NULL;
}

/* ---- messages of the core ---- */

static int64_t message_timeout_ms(const struct quorum *q)
{
        return q->cfg.election_ms;
}

static void message_done(struct quorum_call *c)
{
        struct quorum *q = c->q;
        struct raft_event ev = { .type = RAFT_EV_UNREACHABLE, .unreachable = { c->to } };
        struct quorum_raft_response answer = { .outcome = 0 };
        int outcome = c->call.outcome;
        struct arena mem;

        arena_init(&mem, 4096);
        if (!quorum_takes_part(q)) {
        } else if (outcome == PEER_OK &&
                   !PEER_DECODE(quorum_raft_response, &answer, c->call.body, c->call.version, &mem)) {
                if (answer.outcome == 1)
                        quorum_peer_trouble(q, c->to.node,
                                            "its metadata folder is another one than the group knows (it was wiped or "
                                            "replaced); remove the voter, then add it again");
                else if (answer.outcome == 0)
                        quorum_peer_trouble(q, c->to.node, NULL);
        } else if (outcome == PEER_E_REFUSED) {
                struct peer_info info;

                if (peer_hub_find(q->hub, c->to.node, &info) && info.error[0])
                        quorum_peer_trouble(q, c->to.node, "%s", info.error);
        } else if (outcome != PEER_OK) {
                quorum_peer_trouble(q, c->to.node, "no answer (%s)",
                                    outcome < 0 ? strerror(-outcome) : peer_outcome_name(outcome));
        }
        arena_fini(&mem);
        quorum_call_free(c);
        if (outcome != PEER_OK && quorum_takes_part(q))
                quorum_event(q, &ev);
}

static int submit(struct quorum *q, const struct raft_message *m, struct span entries, int64_t count)
{
        struct quorum_raft_request rq;
        struct quorum_call *c =
                quorum_call_new(q, m->to.node, QUORUM_RAFT_REQUEST_KEY, message_timeout_ms(q), message_done);

        if (!c)
                return -ENOMEM;
        c->to = m->to;
        quorum_raft_request_init(&rq);
        rq.type = (int8_t)m->type;
        rq.from_directory = m->from.directory;
        rq.to_directory = m->to.directory;
        rq.address = q->cfg.advertised ? str_of(q->cfg.advertised) : STR_LIT("");
        rq.term = m->term;
        rq.last_index = m->last_index;
        rq.last_term = m->last_term;
        rq.flags = (int8_t)(m->by_transfer | m->granted << 1 | m->rejected << 2);
        rq.prev_index = m->prev_index;
        rq.prev_term = m->prev_term;
        rq.entries_term = m->entries_term;
        rq.count = count;
        rq.commit_index = m->commit_index;
        rq.match_index = m->match_index;
        rq.hint_index = m->hint_index;
        rq.hint_term = m->hint_term;
        rq.sent_ms = m->sent_ms;
        rq.entries = entries.data ? entries : span_of("", 0);
        if (PEER_ENCODE(&c->call.out, quorum_raft_request, &rq, 0, 0)) {
                quorum_call_free(c);
                return -ENOMEM;
        }
        quorum_call_submit(c);
        return 0;
}

struct offer {
        struct quorum_reading rg;
        struct raft_message m;
};

static void offer_read(struct quorum *q, struct quorum_reading *rg)
{
        struct offer *o = container_of(rg, struct offer, rg);
        int64_t last = o->m.prev_index;

        if (quorum_takes_part(q) && raft_offer_is_valid(q->core, o->m.to, o->m.term, o->m.offer)) {
                if (!rg->result && rg->last > last && !submit(q, &o->m, span_of(rg->bytes, rg->len), rg->last - last))
                        last = rg->last;
                quorum_note_sent(q, &o->m, last);
        }
        free(rg->bytes);
        free(o);
}

/* Entries that are not in memory any more. False: not now. */
static bool read_offer(struct quorum *q, const struct raft_message *m)
{
        struct offer *o = calloc(1, sizeof *o);

        if (!o)
                return false;
        o->m = *m;
        o->rg.rd = (struct qlog_read){ m->prev_index + 1, m->prev_index + m->count, QUORUM_MESSAGE_BYTES };
        o->rg.done = offer_read;
        if (!quorum_read(q, &o->rg))
                return true;
        free(o);
        return false;
}

void quorum_send(struct quorum *q, const struct raft_message *m)
{
        CLEANUP(freep) uint8_t *bytes = NULL;
        int64_t last = m->prev_index;
        size_t len = 0;

        if (!q->hub)
                return;
        if (m->type != RAFT_APPEND || !m->count) {
                (void)submit(q, m, SPAN_NULL, 0); /* lost, as messages may be */
                return;
        }
        bytes = quorum_entries_frame(&q->entries, m->prev_index + 1, m->prev_index + m->count, QUORUM_MESSAGE_BYTES,
                                     &len, &last);
        if (!bytes && m->prev_index + 1 < q->entries.first && m->prev_index + 1 <= q->written_index && read_offer(q, m))
                return;
        if (!bytes || submit(q, m, span_of(bytes, len), last - m->prev_index))
                last = m->prev_index;
        quorum_note_sent(q, m, last);
}

/* ---- where everybody is ---- */

static bool is_needed(const struct quorum *q, int32_t node)
{
        const struct voters *v = quorum_voters(q);

        for (size_t i = 0; i < q->cfg.controllers_count; i++)
                if (q->cfg.controllers[i].node == node)
                        return true;
        return v && (voters_find(v, node) || voters_expect(v, node));
}

struct quorum_peer *quorum_peer(struct quorum *q, int32_t node)
{
        for (uint32_t i = 0; i < q->peers_count; i++)
                if (q->peers[i].node == node)
                        return &q->peers[i];
        if (q->peers_count < ARRAY_LEN(q->peers)) {
                q->peers[q->peers_count] = (struct quorum_peer){ .node = node };
                return &q->peers[q->peers_count++];
        }
        for (uint32_t i = 0; i < q->peers_count; i++) { /* they stay where they are: calls refer to them */
                struct quorum_peer *p = &q->peers[i];

                if (!p->saying_hello && !is_needed(q, p->node)) {
                        *p = (struct quorum_peer){ .node = node };
                        return p;
                }
        }
        return NULL;
}

static void tell_hub(struct quorum *q, struct quorum_peer *p, const char *address)
{
        int r;

        if (!address || !address[0] || !strcmp(p->hub, address))
                return;
        r = peer_hub_set_address(q->hub, p->node, address);
        if (r) {
                diag_limited(DIAG_WARN, "metadata: node %d cannot be reached at '%s': %s", p->node, address,
                             strerror(-r));
                return;
        }
        snprintf(p->hub, sizeof p->hub, "%s", address);
}

static void update_one(struct quorum *q, int32_t node, const char *in_log, const char *in_list)
{
        struct quorum_peer *p = node == q->cfg.node_id ? NULL : quorum_peer(q, node);

        if (p)
                tell_hub(q, p, p->said[0] ? p->said : in_log && in_log[0] ? in_log : in_list);
}

static const char *listed(const struct quorum *q, int32_t node)
{
        for (size_t i = 0; i < q->cfg.controllers_count; i++)
                if (q->cfg.controllers[i].node == node)
                        return q->cfg.controllers[i].address;
        return NULL;
}

void quorum_peers_update(struct quorum *q)
{
        const struct voters *v = quorum_voters(q);

        if (!q->hub)
                return;
        for (uint32_t i = 0; v && i < v->count; i++)
                update_one(q, v->at[i].raft.id.node, v->at[i].address, listed(q, v->at[i].raft.id.node));
        for (size_t i = 0; i < q->cfg.controllers_count; i++)
                if (!v || !voters_find(v, q->cfg.controllers[i].node))
                        update_one(q, q->cfg.controllers[i].node, NULL, q->cfg.controllers[i].address);
}

void quorum_peer_said(struct quorum *q, int32_t node, struct str address)
{
        struct quorum_peer *p = quorum_peer(q, node);

        if (!p || !address.len || address.len >= sizeof p->said || memchr(address.p, 0, address.len))
                return;
        if (strlen(p->said) == address.len && !memcmp(p->said, address.p, address.len))
                return;
        memcpy(p->said, address.p, address.len);
        p->said[address.len] = 0;
        tell_hub(q, p, p->said);
}

void quorum_peer_trouble(struct quorum *q, int32_t node, const char *fmt, ...)
{
        struct quorum_peer *p = quorum_peer(q, node);
        char text[sizeof p->trouble];
        va_list ap;

        if (!p)
                return;
        if (!fmt) {
                if (p->trouble[0])
                        diag(DIAG_NOTICE, "metadata: node %d takes part", node);
                p->trouble[0] = 0;
                return;
        }
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        if (!strcmp(text, p->trouble))
                return;
        memcpy(p->trouble, text, sizeof text);
        diag(DIAG_WARN, "metadata: node %d: %s", node, text);
}
