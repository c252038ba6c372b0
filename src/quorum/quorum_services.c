/* Requests of other nodes. They come on a reactor, are decoded there, and handled on the quorum's loop, where they are
 * answered at once or, by those who wait, later. */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "quorum/qlog_internal.h"
#include "quorum/quorum_internal.h"
#include "sys/diag.h"

/* A request on its way to the loop; in the request's arena. */
struct asked {
        struct mail mail;
        struct quorum *q;
        struct peer_request *rq;
        union {
                struct quorum_raft_request raft;
                struct quorum_hello_request hello;
                struct quorum_snapshot_request snapshot;
                struct quorum_fetch_request fetch;
                struct quorum_fetch_snapshot_request fetch_snapshot;
                struct quorum_observers_request observers;
        };
};

/* ---- messages of the core ---- */

/* What came with a message. */
struct incoming {
        struct quorum_entry **at;
        size_t count;
        struct raft_members_at *members;
        size_t members_count;
};

static void incoming_fini(struct incoming *in)
{
        for (size_t i = 0; i < in->count; i++)
                free(in->at[i]);
        free(in->at);
        free(in->members);
}

static int take_members(struct incoming *in, const struct qlog_entry *e)
{
        struct raft_members_at *grown;
        struct voters v;
        int r = voters_decode(e->payload, &v);

        if (r)
                return r;
        grown = realloc(in->members, (in->members_count + 1) * sizeof *grown);
        if (!grown)
                return -ENOMEM;
        in->members = grown;
        grown[in->members_count].index = e->index;
        voters_members(&v, &grown[in->members_count++].members);
        return 0;
}

/* Entries that follow each other and are of one term, as many as the message says. Return: 0; 1 when they are not; -ENOMEM. */
static int take_entries(const struct quorum_raft_request *m, struct incoming *in)
{
        size_t pos = 0, least = qlog_entry_size(0);
        int64_t group;
        int r;

        if (m->count < 0 || (uint64_t)m->count > m->entries.len / least || m->prev_index < 0 ||
            m->prev_index > INT64_MAX - m->count)
                return 1;
        in->at = calloc((size_t)m->count + 1, sizeof(*in->at));
        if (!in->at)
                return -ENOMEM;
        while (pos < m->entries.len) {
                struct qlog_entry e;
                size_t size = qlog_entry_read(m->entries, pos, &e, &group);

                if (!size || e.index != m->prev_index + 1 + (int64_t)in->count || e.term != m->entries_term ||
                    (int64_t)in->count == m->count)
                        return 1;
                in->at[in->count] = quorum_entry_new(&e);
                if (!in->at[in->count])
                        return -ENOMEM;
                in->count++;
                r = e.type == QLOG_VOTERS ? take_members(in, &e) : 0;
                if (r)
                        return r < 0 ? r : 1;
                pos += size;
        }
        return (int64_t)in->count != m->count;
}

static void message_of(const struct quorum *q, const struct quorum_raft_request *m, int32_t node,
                       struct raft_message *ret)
{
        *ret = (struct raft_message){
                .type = (enum raft_message_type)m->type,
                .from = { node, m->from_directory },
                .to = { q->cfg.node_id, m->to_directory },
                .term = m->term,
                .last_index = m->last_index,
                .last_term = m->last_term,
                .by_transfer = m->flags & 1,
                .granted = m->flags & 2,
                .rejected = m->flags & 4,
                .prev_index = m->prev_index,
                .prev_term = m->prev_term,
                .entries_term = m->entries_term,
                .count = m->count,
                .commit_index = m->commit_index,
                .match_index = m->match_index,
                .hint_index = m->hint_index,
                .hint_term = m->hint_term,
                .sent_ms = m->sent_ms,
        };
}

/* Return: what the answer says. */
static int8_t take_message(struct quorum *q, const struct quorum_raft_request *m, int32_t node)
{
        struct raft_message msg;
        struct raft_event ev = { .type = RAFT_EV_MESSAGE };
        struct incoming in = { 0 };
        int r;

        quorum_join(q, m->to_directory);
        if (!quorum_takes_part(q))
                return 3;
        quorum_peer_said(q, node, m->address);
        if (!uuid_equal(m->to_directory, q->vote.directory)) {
                quorum_peer_trouble(q, node,
                                    "it knows this node with another metadata folder: this one was wiped or replaced, "
                                    "so that its vote cannot count; remove voter %d from the group, then add it again",
                                    q->cfg.node_id);
                return 1;
        }
        r = m->count || m->entries.len ? take_entries(m, &in) : 0;
        if (!r)
                r = quorum_entries_reserve(&q->entries, in.count);
        if (!r) {
                message_of(q, m, node, &msg);
                ev.message.message = &msg;
                ev.message.members = in.members;
                ev.message.members_count = in.members_count;
                q->incoming = in.at;
                q->incoming_first = m->prev_index + 1;
                q->incoming_count = in.count;
                r = quorum_event(q, &ev);
                q->incoming = NULL;
                q->incoming_count = 0;
        }
        incoming_fini(&in);
        if (r == RAFT_E_FOREIGN)
                return 1;
        if (r == RAFT_E_MESSAGE || r == 1)
                diag_limited(DIAG_ERROR, "metadata: node %d has sent a message that contradicts itself; look at it",
                             node);
        return r > 0 ? 2 : r < 0 ? 3 : 0;
}

static void raft_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);
        struct quorum_raft_response answer;
        struct quorum *q = a->q;
        struct peer_request *rq = a->rq;

        quorum_raft_response_init(&answer);
        answer.outcome = take_message(q, &a->raft, rq->peer->node);
        answer.directory = q->vote.directory;
        QUORUM_ANSWER(rq, quorum_raft_response, &answer);
}

/* ---- the others ---- */

static void hello_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);

        quorum_hello_asked(a->q, a->rq, &a->hello);
}

static void snapshot_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);

        quorum_snapshot_asked(a->q, a->rq, &a->snapshot);
}

static void fetch_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);

        quorum_fetch_asked(a->q, a->rq, &a->fetch);
}

static void fetch_snapshot_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);

        quorum_fetch_snapshot_asked(a->q, a->rq, &a->fetch_snapshot);
}

static void observers_arrived(struct loop *l, struct mail *mail)
{
        struct asked *a = container_of(mail, struct asked, mail);

        quorum_observers_told(a->q, a->rq, &a->observers);
}

/* On the reactor. */
static void request(void *arg, struct peer_request *rq)
{
        struct quorum *q = arg;
        struct asked *a = ARENA_NEW(&rq->arena, struct asked);
        int r = -ENOMEM;

        if (!a) {
                peer_refuse(rq, r);
                return;
        }
        a->q = q;
        a->rq = rq;
        switch (rq->key) {
        case QUORUM_RAFT_REQUEST_KEY:
                a->mail.fn = raft_arrived;
                r = PEER_DECODE(quorum_raft_request, &a->raft, rq->body, rq->version, &rq->arena);
                break;
        case QUORUM_HELLO_REQUEST_KEY:
                a->mail.fn = hello_arrived;
                r = PEER_DECODE(quorum_hello_request, &a->hello, rq->body, rq->version, &rq->arena);
                break;
        case QUORUM_SNAPSHOT_REQUEST_KEY:
                a->mail.fn = snapshot_arrived;
                r = PEER_DECODE(quorum_snapshot_request, &a->snapshot, rq->body, rq->version, &rq->arena);
                break;
        case QUORUM_FETCH_REQUEST_KEY: /* it may wait for long, and nothing in it points into the frame */
                a->mail.fn = fetch_arrived;
                r = PEER_DECODE(quorum_fetch_request, &a->fetch, rq->body, rq->version, &rq->arena);
                if (!r)
                        peer_request_detach(rq);
                break;
        case QUORUM_FETCH_SNAPSHOT_REQUEST_KEY:
                a->mail.fn = fetch_snapshot_arrived;
                r = PEER_DECODE(quorum_fetch_snapshot_request, &a->fetch_snapshot, rq->body, rq->version, &rq->arena);
                break;
        case QUORUM_OBSERVERS_REQUEST_KEY:
                a->mail.fn = observers_arrived;
                r = PEER_DECODE(quorum_observers_request, &a->observers, rq->body, rq->version, &rq->arena);
                break;
        }
        if (r)
                peer_refuse(rq, r);
        else
                loop_post(q->cfg.loop, &a->mail);
}

int quorum_services_register(struct quorum *q, struct peer_hub *hub)
{
        static const int16_t keys[] = { QUORUM_RAFT_REQUEST_KEY,           QUORUM_HELLO_REQUEST_KEY,
                                        QUORUM_SNAPSHOT_REQUEST_KEY,       QUORUM_FETCH_REQUEST_KEY,
                                        QUORUM_FETCH_SNAPSHOT_REQUEST_KEY, QUORUM_OBSERVERS_REQUEST_KEY };
        int r = 0;

        for (size_t i = 0; !r && i < ARRAY_LEN(keys); i++)
                r = peer_hub_register(hub, &(struct peer_service){ .key = keys[i], .request = request, .arg = q });
        return r;
}
