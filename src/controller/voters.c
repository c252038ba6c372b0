/* What is asked of the quorum through the active controller: how it is, and changes of its voters. Nothing here is a decision, and
 * nothing is written to the metadata by this file.
 *
 *   ADD_VOTER --directory is known-------------------------> quorum_add_voter --done--> answered
 *       +-----it is not: hello to the node, which says it--------^
 *   REMOVE_VOTER --> quorum_remove_voter --done--> answered
 *   TRANSFER --> quorum_transfer --> looked after until this node leads no more, or for a while --> answered */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/host.h"
#include "quorum/peer_quorum.h"
#include "sys/clock.h"

enum {
        CHANGE_MS = 8000, /* less than another node waits for the answer */
        HELLO_MS = 3000,
        TRANSFER_MS = 5000, /* more than an election */
        LOOK_MS = 20,
};

/* A change in work. */
struct voter_change {
        struct controller *c;
        struct controller_request *rq;
        struct controller_voter_change *item;
        struct quorum_change change;
        struct peer_call call;
        struct loop_timer timer;
        int64_t deadline_ms;
};

PRINTF_LIKE(4, 5)
static void result_set(struct controller_request *rq, struct controller_result *result, enum controller_outcome outcome,
                       const char *fmt, ...)
{
        char text[600];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        *result = (struct controller_result){ outcome, outcome ? arena_printf(rq->mem, "%s", text) : STR_NULL };
}

/* ---- how it is ---- */

static void member_fill(struct controller_member *m, const struct quorum_replica *r, enum controller_member_kind kind,
                        struct arena *mem)
{
        *m = (struct controller_member){ .node_id = r->node,
                                         .kind = kind,
                                         .directory = r->directory,
                                         .address = r->address[0] ? arena_printf(mem, "%s", r->address) : STR_NULL,
                                         .end_index = r->log_end - (r->log_end >= 0),
                                         .heard_ms = r->heard_ms,
                                         .caught_up_ms = r->caught_up_ms };
}

static int compare_members(const void *a, const void *b)
{
        const struct controller_member *x = a, *y = b;

        if (x->kind != y->kind)
                return (int)x->kind - (int)y->kind;
        return (x->node_id > y->node_id) - (x->node_id < y->node_id);
}

static int describe_members(const struct quorum_description *from, struct controller_describe_quorum *q,
                            struct arena *mem)
{
        uint32_t count = from->members_count + from->observers_count, n = 0;
        struct controller_member *m = ARENA_NEW_ARRAY(mem, struct controller_member, count);

        if (!m)
                return -ENOMEM;
        for (uint32_t i = 0; i < from->members_count; i++)
                member_fill(&m[n++], &from->members[i],
                            from->members[i].is_voter ? CONTROLLER_VOTER : CONTROLLER_LEARNER, mem);
        for (uint32_t i = 0; i < from->observers_count; i++)
                member_fill(&m[n++], &from->observers[i], CONTROLLER_OBSERVER, mem);
        if (n)
                qsort(m, n, sizeof *m, compare_members);
        q->members = m;
        q->members_count = (int32_t)n;
        return 0;
}

/* A node without a vote knows little. */
static void describe_observer(struct controller *c, struct controller_request *rq, struct controller_describe_quorum *q)
{
        struct quorum_role role = observer_role(c->observer);
        struct observer_stats s;

        observer_stats(c->observer, &s);
        *q = (struct controller_describe_quorum){ .leader_id = role.leader_id,
                                                  .term = role.term,
                                                  .committed_index = s.commit_index,
                                                  .trouble = s.trouble[0] ? arena_printf(rq->mem, "%s", s.trouble)
                                                                          : STR_NULL };
}

static void describe(struct controller *c, struct controller_request *rq, struct controller_describe_quorum *q)
{
        struct quorum_description *from = malloc(sizeof *from); /* too large for a stack */
        struct quorum_stats s;

        *q = (struct controller_describe_quorum){ .leader_id = META_NO_NODE };
        if (from) {
                quorum_describe(c->quorum, from);
                quorum_stats(c->quorum, &s);
                q->leader_id = from->leader_id;
                q->term = from->term;
                q->committed_index = from->high_watermark - 1;
                q->log_first_index = s.log_first_index;
                q->log_bytes = s.log_bytes;
                q->trouble = from->trouble[0] ? arena_printf(rq->mem, "%s", from->trouble) : STR_NULL;
        }
        if (!from || describe_members(from, q, rq->mem))
                result_set(rq, &q->result, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
        free(from);
}

/* ---- changes ---- */

static void change_end(struct voter_change *v)
{
        struct controller *c = v->c;

        loop_timer_stop(&v->timer);
        c->voter_changes--;
        controller_answer(v->rq);
        controller_answer_soon(c); /* a stop may wait for it */
        free(v);
}

static enum controller_outcome outcome_of(int result)
{
        switch (result) {
        case QUORUM_OK:
                return CONTROLLER_OK;
        case QUORUM_E_NOT_LEADER:
                return CONTROLLER_E_NOT_ACTIVE;
        case QUORUM_E_LOST:
        case QUORUM_E_TIMEOUT:
                return CONTROLLER_E_LOST;
        case QUORUM_E_BUSY:
                return CONTROLLER_E_BUSY;
        case QUORUM_E_EXISTS:
                return CONTROLLER_E_VOTER_KNOWN;
        case QUORUM_E_UNKNOWN:
                return CONTROLLER_E_VOTER_UNKNOWN;
        default:
                return CONTROLLER_E_VOTER_CHANGE;
        }
}

static void changed(struct quorum_change *ch, int result)
{
        struct voter_change *v = container_of(ch, struct voter_change, change);
        const char *goes_on = result == QUORUM_E_TIMEOUT ? "; it goes on" : "";

        result_set(v->rq, &v->item->result, outcome_of(result), "Node %d: %s%s.", v->item->node_id, ch->why, goes_on);
        change_end(v);
}

static void add_now(struct voter_change *v, struct uuid directory)
{
        v->change = (struct quorum_change){ .id = { v->item->node_id, directory },
                                            .timeout_ms = CHANGE_MS,
                                            .done = changed };
        snprintf(v->change.address, sizeof v->change.address, "%.*s", STR_FMT(v->item->address));
        quorum_add_voter(v->c->quorum, &v->change);
}

/* One that has metadata of this cluster was removed before, and goes on with the log and the vote that it has. */
static void hello_judge(struct voter_change *v, const struct quorum_hello_response *a)
{
        struct str cluster_id = v->c->decided->cluster_id;

        if (a->waiting || (!str_is_null(cluster_id) && str_equal(a->cluster_id, cluster_id))) {
                add_now(v, a->directory);
                return;
        }
        result_set(
                v->rq, &v->item->result, CONTROLLER_E_VOTER_CHANGE,
                a->blank ? "Node %d is about to form a group of its own: it is the lowest of its cluster.controllers. "
                           "List the controllers that there are."
                         : "Node %d has the metadata of another cluster. Give it an empty data folder.",
                v->item->node_id);
        change_end(v);
}

static void hello_done(struct peer_call *call)
{
        struct voter_change *v = container_of(call, struct voter_change, call);
        struct iobuf *frame = TAKE_PTR(call->frame);
        struct quorum_hello_response a;
        struct peer_info info = { 0 };
        struct arena mem;

        arena_init(&mem, 4096);
        if (call->outcome == PEER_OK && !PEER_DECODE(quorum_hello_response, &a, call->body, call->version, &mem)) {
                hello_judge(v, &a);
        } else {
                (void)peer_hub_find(v->c->hub, call->node, &info);
                result_set(v->rq, &v->item->result, CONTROLLER_E_VOTER_CHANGE,
                           "Node %d does not answer at %.*s (%s%s%s). Does it run, with the role controller, and is "
                           "this its "
                           "cluster.listen?",
                           v->item->node_id, STR_FMT(v->item->address), peer_outcome_name(call->outcome),
                           info.error[0] ? ": " : "", info.error);
                change_end(v);
        }
        arena_fini(&mem);
        iobuf_unref(frame);
}

/* The node itself says which folder it has, and whether it can be added. */
static void hello_ask(struct voter_change *v)
{
        struct quorum_hello_request rq;
        char address[PEER_ADDRESS_SIZE];
        int r;

        snprintf(address, sizeof address, "%.*s", STR_FMT(v->item->address));
        r = peer_hub_set_address(v->c->hub, v->item->node_id, address);
        quorum_hello_request_init(&rq);
        rq.directory = quorum_directory(v->c->quorum);
        v->call = (struct peer_call){ .node = v->item->node_id,
                                      .lane = PEER_CONTROL,
                                      .key = QUORUM_HELLO_REQUEST_KEY,
                                      .timeout_ms = HELLO_MS,
                                      .loop = v->c->loop,
                                      .done = hello_done };
        if (!r)
                r = PEER_ENCODE(&v->call.out, quorum_hello_request, &rq, 0, 0);
        if (!r) {
                peer_call_submit(v->c->hub, &v->call);
                return;
        }
        result_set(v->rq, &v->item->result, CONTROLLER_E_INVALID, "Node %d cannot be found at '%s': %s.",
                   v->item->node_id, address, r == -EINVAL ? "HOST:PORT of another node is needed" : strerror(-r));
        change_end(v);
}

static void transfer_look(struct loop_timer *t)
{
        struct voter_change *v = container_of(t, struct voter_change, timer);
        struct controller *c = v->c;

        if (!c->active && c->leader_id != META_NO_NODE && c->leader_id != c->rules.node_id) {
                v->item->node_id = c->leader_id;
                change_end(v);
        } else if (c->stopping || loop_now_ms(c->loop) >= v->deadline_ms) {
                result_set(v->rq, &v->item->result, CONTROLLER_E_VOTER_CHANGE,
                           "No other controller took over in time; it may not have caught up. Try again.");
                change_end(v);
        } else {
                loop_timer_start(t, LOOK_MS);
        }
}

static void transfer(struct voter_change *v)
{
        struct controller *c = v->c;
        int r = v->item->node_id == c->rules.node_id ? 0 : quorum_transfer(c->quorum, v->item->node_id);

        if (!r && v->item->node_id != c->rules.node_id) {
                v->deadline_ms = loop_now_ms(c->loop) + TRANSFER_MS;
                loop_timer_start(&v->timer, LOOK_MS);
                return;
        }
        if (r)
                result_set(v->rq, &v->item->result, outcome_of(r),
                           r == QUORUM_E_UNKNOWN ? "There is no such controller to hand over to, or no other."
                                                 : "Another change is on its way; try again.");
        change_end(v);
}

static void change_begin(struct controller *c, struct controller_request *rq)
{
        struct controller_voter_change *item = rq->voter_change;
        struct voter_change *v = rq->items_count == 1 ? calloc(1, sizeof *v) : NULL;

        if (!v) {
                controller_answer_whole(rq, rq->items_count == 1 ? CONTROLLER_E_NO_MEMORY : CONTROLLER_E_INVALID,
                                        "Controllers are changed one at a time.");
                return;
        }
        *v = (struct voter_change){ .c = c, .rq = rq, .item = item };
        loop_timer_init(&v->timer, c->loop, transfer_look);
        item->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        c->voter_changes++;
        if (!c->hub) {
                result_set(rq, &item->result, CONTROLLER_E_VOTER_CHANGE,
                           "This node is alone: without cluster.listen it has no controllers beside itself.");
                change_end(v);
        } else if (rq->op == CONTROLLER_TRANSFER) {
                transfer(v);
        } else if (rq->op == CONTROLLER_REMOVE_VOTER) {
                v->change = (struct quorum_change){ .id = { item->node_id, item->directory },
                                                    .timeout_ms = CHANGE_MS,
                                                    .done = changed };
                quorum_remove_voter(c->quorum, &v->change);
        } else if (uuid_is_zero(item->directory)) {
                hello_ask(v);
        } else {
                add_now(v, item->directory);
        }
}

bool controller_ask_quorum(struct controller *c, struct controller_request *rq)
{
        switch (rq->op) {
        case CONTROLLER_DESCRIBE_QUORUM:
                rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
                for (uint32_t i = 0; i < rq->items_count; i++)
                        (c->quorum ? describe : describe_observer)(c, rq, &rq->describe_quorum[i]);
                controller_answer(rq);
                return true;
        case CONTROLLER_ADD_VOTER:
        case CONTROLLER_REMOVE_VOTER:
        case CONTROLLER_TRANSFER:
                rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
                change_begin(c, rq);
                return true;
        default:
                return false;
        }
}
