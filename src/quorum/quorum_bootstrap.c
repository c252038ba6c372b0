/* How a group comes to be. The node with the lowest id of the bootstrap list forms a group of itself, once, when every other
 * one has said that it is blank and has the same list; then the leader adds them one by one, each after a hello of its own.
 * So two wiped disks can never elect each other behind the back of a third: whoever is not blank keeps them from it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/diag.h"

enum { LEADERLESS_LOOKS = 6 }; /* 3 s: longer than elections take */

bool quorum_is_blank(const struct quorum *q)
{
        return !q->vote.term && !q->last_index && !q->stored_index && ilist_is_empty(&q->voters);
}

/* ---- asking ---- */

static void hello_done(struct quorum_call *c);

/* False: no memory. */
static bool say_hello(struct quorum *q, struct quorum_peer *p)
{
        struct quorum_call *c = quorum_call_new(q, p->node, QUORUM_HELLO_REQUEST_KEY, q->cfg.election_ms, hello_done);
        struct quorum_hello_request rq;

        quorum_hello_request_init(&rq);
        rq.directory = q->vote.directory;
        rq.controllers = str_of(q->controllers_text);
        if (!c || PEER_ENCODE(&c->call.out, quorum_hello_request, &rq, 0, 0)) {
                quorum_call_drop(c);
                return false;
        }
        c->arg = p;
        p->saying_hello = true;
        quorum_call_submit(c);
        return true;
}

static bool lists_agree(struct quorum *q, const struct quorum_peer *p, const struct quorum_hello_response *a)
{
        if (str_equal_c(a->controllers, q->controllers_text))
                return true;
        quorum_peer_trouble(q, p->node,
                            "it has another list of controllers, '%.*s', where this node has '%s'; make them the same",
                            STR_FMT(a->controllers), q->controllers_text);
        return false;
}

static void say_unreachable(struct quorum *q, const struct quorum_peer *p, int outcome)
{
        struct peer_info info;

        if (outcome == PEER_E_REFUSED && peer_hub_find(q->hub, p->node, &info) && info.error[0])
                quorum_peer_trouble(q, p->node, "%s", info.error);
        else
                quorum_peer_trouble(q, p->node, "no answer (%s)",
                                    outcome < 0 ? strerror(-outcome) : peer_outcome_name(outcome));
}

/* ---- forming a group ---- */

static void form_answered(struct quorum *q, struct quorum_peer *p, const struct quorum_hello_response *a)
{
        if (!lists_agree(q, p, a))
                return;
        if (!a->blank) {
                quorum_peer_trouble(
                        q, p->node,
                        "it is in a group already (leader %d), and this node's metadata folder is empty: it "
                        "was wiped or replaced. Remove voter %d from that group, then add it again",
                        a->leader, q->cfg.node_id);
                snprintf(
                        q->trouble, sizeof q->trouble,
                        "this node's metadata folder is empty, but node %d belongs to a group already; remove voter %d "
                        "there, then add it again",
                        p->node, q->cfg.node_id);
                return;
        }
        p->agrees = true;
        quorum_peer_trouble(q, p->node, NULL);
}

struct forming {
        struct io_job job;
        struct quorum *q;
        uint8_t *payload;
        size_t len;
        int result;
};

static void forming_run(struct io_job *job)
{
        struct forming *f = container_of(job, struct forming, job);

        f->result = voters_write(f->q->voters_path, 0, span_of(f->payload, f->len));
        if (!f->result)
                quorum_step(f->q, "group-formed");
}

static void forming_done(struct io_job *job)
{
        struct forming *f = container_of(job, struct forming, job);
        struct quorum *q = f->q;
        struct voters v;

        if (f->result)
                quorum_die_io(q->voters_path, f->result);
        if (voters_decode(span_of(f->payload, f->len), &v))
                quorum_die("no memory for the members of the group");
        quorum_voters_add(q, 0, &v);
        q->voters_file_index = 0;
        free(f->payload);
        free(f);
        q->jobs--;
        q->trouble[0] = 0;
        diag(DIAG_NOTICE, "metadata: the %zu controllers agree; node %d forms the group", q->cfg.controllers_count,
             q->cfg.node_id);
        if (q->state == QUORUM_FORMING)
                quorum_begin(q);
        quorum_stop_continue(q);
}

void quorum_voters_begin(const struct quorum *q, struct voters *ret)
{
        memset(ret, 0, sizeof *ret);
        ret->count = 1;
        ret->at[0].raft = (struct raft_member){ { q->cfg.node_id, q->vote.directory }, true };
        if (q->cfg.advertised)
                snprintf(ret->at[0].address, sizeof ret->at[0].address, "%s", q->cfg.advertised);
        for (size_t i = 0; i < q->cfg.controllers_count; i++)
                if (q->cfg.controllers[i].node != q->cfg.node_id)
                        ret->expected[ret->expected_count++] = q->cfg.controllers[i].node;
}

static void form_now(struct quorum *q)
{
        struct forming *f = calloc(1, sizeof *f);
        struct voters v;

        quorum_voters_begin(q, &v);
        if (!f || voters_encode(&v, &f->payload, &f->len)) {
                free(f);
                return; /* tried again */
        }
        f->q = q;
        f->job = (struct io_job){ .run = forming_run, .done = forming_done, .reply_loop = q->cfg.loop };
        q->jobs++;
        q->forming = true;
        iopool_submit(q->cfg.pool, &f->job);
}

void quorum_form(struct quorum *q)
{
        size_t agree = 1;

        if (q->forming)
                return;
        for (size_t i = 0; i < q->cfg.controllers_count; i++) {
                struct quorum_peer *p;

                if (q->cfg.controllers[i].node == q->cfg.node_id)
                        continue;
                p = quorum_peer(q, q->cfg.controllers[i].node);
                agree += p->agrees;
                if (!p->agrees && !p->saying_hello)
                        say_hello(q, p);
        }
        if (agree == q->cfg.controllers_count)
                form_now(q);
}

void quorum_join(struct quorum *q, struct uuid directory)
{
        if (q->state != QUORUM_FORMING || q->forming || !uuid_equal(directory, q->vote.directory))
                return;
        diag(DIAG_NOTICE, "metadata: this node was added to a group that is there; it forms none");
        q->trouble[0] = 0;
        for (uint32_t i = 0; i < q->peers_count; i++)
                q->peers[i].trouble[0] = 0;
        quorum_begin(q);
}

/* ---- adding those that are expected ---- */

static void expected_answered(struct quorum *q, struct quorum_peer *p, const struct quorum_hello_response *a)
{
        struct raft_event ev = { .type = RAFT_EV_CHANGE,
                                 .change = { .type = RAFT_CHANGE_ADD, .id = { p->node, a->directory } } };
        const struct voters *v = quorum_voters(q);
        const char *address = p->hub;

        if (!v || !voters_expect(v, p->node) || !q->active || q->state != QUORUM_RUNNING || !lists_agree(q, p, a))
                return;
        if (!a->waiting) {
                quorum_peer_trouble(
                        q, p->node,
                        a->blank ? "it is about to form a group of its own: it is not the lowest of its list"
                                 : "its metadata folder is not empty; it cannot be added to this group. Give it "
                                   "an empty folder, or remove it from the list");
                return;
        }
        quorum_peer_trouble(q, p->node, NULL);
        q->adding = p->node;
        snprintf(q->adding_address, sizeof q->adding_address, "%s", address);
        if (quorum_event(q, &ev) == RAFT_OK)
                diag(DIAG_NOTICE, "metadata: node %d is added to the group", p->node);
        q->adding = RAFT_NOBODY;
}

/* One after the other, in order of the list; who does not answer does not keep the rest waiting. */
void quorum_add_expected(struct quorum *q)
{
        const struct voters *v = quorum_voters(q);

        for (uint32_t i = 0; v && i < v->expected_count; i++) {
                struct quorum_peer *p = quorum_peer(q, v->expected[i]);

                if (p && !p->saying_hello && p->hub[0])
                        say_hello(q, p);
        }
}

/* ---- waiting to be added ---- */

/* Say hello to each of the list, unless that is under way. */
static void say_hello_to_all(struct quorum *q)
{
        for (size_t i = 0; i < q->cfg.controllers_count; i++) {
                struct quorum_peer *p = q->cfg.controllers[i].node == q->cfg.node_id
                                                ? NULL
                                                : quorum_peer(q, q->cfg.controllers[i].node);

                if (p && !p->saying_hello)
                        say_hello(q, p);
        }
}

/* Who waits is called by those that add it. Its own calls are for what they would refuse it for, such as an id that another node has:
 * nobody would ever tell it. */
void quorum_wait_to_be_added(struct quorum *q)
{
        say_hello_to_all(q);
}

static void waiting_refused(struct quorum *q, struct quorum_peer *p, int outcome)
{
        if (outcome == PEER_E_REFUSED)
                say_unreachable(q, p, outcome);
}

static void waiting_answered(struct quorum *q, struct quorum_peer *p, const struct quorum_hello_response *a)
{
        if (lists_agree(q, p, a) && p->trouble[0])
                quorum_peer_trouble(q, p->node, NULL);
}

/* ---- removed, perhaps ---- */

#define IS_REMOVED \
        "this node is none of the controllers any more: start it without the role controller (server.roles), or " \
        "add it again. Until then it serves no clients"

void quorum_look_for_removal(struct quorum *q)
{
        q->leaderless = q->leader == META_NO_NODE ? q->leaderless + 1 : 0;
        if (!q->leaderless && !strcmp(q->trouble, IS_REMOVED)) {
                diag(DIAG_NOTICE, "metadata: this node is one of the controllers again");
                q->trouble[0] = 0;
        }
        if (q->leaderless >= LEADERLESS_LOOKS)
                say_hello_to_all(q);
}

/* A member that was removed is not told by those that are left: they do not speak with it. */
static void removal_answered(struct quorum *q, const struct quorum_hello_response *a)
{
        if (q->leaderless < LEADERLESS_LOOKS || a->member || a->leader == META_NO_NODE ||
            !strcmp(q->trouble, IS_REMOVED))
                return;
        snprintf(q->trouble, sizeof q->trouble, "%s", IS_REMOVED);
        diag(DIAG_ERROR, "metadata: %s", IS_REMOVED);
}

/* ---- what they said ---- */

static void hello_done(struct quorum_call *c)
{
        struct quorum_peer *p = c->arg;
        struct quorum *q = c->q;
        struct quorum_hello_response a;
        struct arena mem;

        p->saying_hello = false;
        arena_init(&mem, 4096);
        if (c->call.outcome != PEER_OK && q->state == QUORUM_RUNNING && (quorum_is_blank(q) || q->leaderless))
                waiting_refused(q, p, c->call.outcome);
        else if (c->call.outcome != PEER_OK)
                say_unreachable(q, p, c->call.outcome);
        else if (!PEER_DECODE(quorum_hello_response, &a, c->call.body, c->call.version, &mem)) {
                if (q->state == QUORUM_FORMING)
                        form_answered(q, p, &a);
                else if (q->state == QUORUM_RUNNING && quorum_is_blank(q))
                        waiting_answered(q, p, &a);
                else if (quorum_takes_part(q) && q->active)
                        expected_answered(q, p, &a);
                else if (quorum_takes_part(q))
                        removal_answered(q, &a);
        }
        arena_fini(&mem);
        quorum_call_free(c);
        if (q->state == QUORUM_FORMING && p->agrees)
                quorum_form(q);
        quorum_stop_continue(q);
}

/* ---- answering ---- */

static bool is_member(const struct quorum *q, struct raft_id id)
{
        const struct voters *v = quorum_voters(q);
        const struct voters_member *m = v ? voters_find(v, id.node) : NULL;

        return m && raft_id_equal(m->raft.id, id);
}

void quorum_hello_asked(struct quorum *q, struct peer_request *rq, const struct quorum_hello_request *m)
{
        struct quorum_hello_response a;
        bool blank = quorum_is_blank(q);

        quorum_hello_response_init(&a);
        a.directory = q->vote.directory;
        a.controllers = str_of(q->controllers_text);
        a.blank = blank && !q->forming;
        a.waiting = blank && q->state == QUORUM_RUNNING;
        a.leader = q->core ? q->leader : META_NO_NODE;
        a.member = is_member(q, (struct raft_id){ rq->peer->node, m->directory });
        a.cluster_id = str_is_null(q->image->cluster_id) ? STR_LIT("") : q->image->cluster_id;
        if (blank && !str_equal_c(m->controllers, q->controllers_text))
                quorum_peer_trouble(q, rq->peer->node,
                                    "it has another list of controllers, '%.*s', where this node has '%s'; make them "
                                    "the same",
                                    STR_FMT(m->controllers), q->controllers_text);
        QUORUM_ANSWER(rq, quorum_hello_response, &a);
}
