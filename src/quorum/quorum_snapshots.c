/* Snapshots that others need: made of the applied image when one is asked for, kept while somebody fetches them, and brought
 * to members that are behind the log, chunk by chunk. A node alone never makes one. */
#include <errno.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/diag.h"

#define KEEP_NEWEST_MS (10 * 60 * 1000) /* another may want it; making it again costs a copy of the image */
#define KEEP_OLDER_MS (60 * 1000)       /* a fetch that pauses longer begins anew */
#define CHUNK_TIMEOUT_MS 10000          /* 1 MiB on a line that is slow, and its sync */

/* ---- the files ---- */

struct quorum_snapshot_file *quorum_snapshot_find(struct quorum *q, struct snapshot_id id)
{
        for (uint32_t i = 0; i < q->snapshots_count; i++)
                if (snapshot_id_equal(q->snapshots[i].id, id))
                        return &q->snapshots[i];
        return NULL;
}

struct removal {
        struct io_job job;
        struct quorum *q;
        struct snapshot_id id;
        int result;
};

static void removal_run(struct io_job *job)
{
        struct removal *rm = container_of(job, struct removal, job);

        rm->result = snapshot_remove(rm->q->snapshots_dir, rm->id);
}

static void removal_done(struct io_job *job)
{
        struct removal *rm = container_of(job, struct removal, job);
        struct quorum *q = rm->q;

        if (rm->result)
                diag_limited(DIAG_WARN, "metadata: a snapshot in %s cannot be removed: %s", q->snapshots_dir,
                             strerror(-rm->result));
        free(rm);
        q->jobs--;
        quorum_stop_continue(q);
}

void quorum_snapshot_forget(struct quorum *q, struct snapshot_id id)
{
        struct removal *rm = calloc(1, sizeof *rm);

        if (!rm)
                return; /* it is found again at the next start */
        *rm = (struct removal){ .q = q, .id = id };
        rm->job = (struct io_job){ .run = removal_run, .done = removal_done, .reply_loop = q->cfg.loop };
        q->jobs++;
        iopool_submit(q->cfg.pool, &rm->job);
}

static void drop_file(struct quorum *q, uint32_t i)
{
        quorum_snapshot_forget(q, q->snapshots[i].id);
        q->snapshot_bytes -= q->snapshots[i].bytes;
        memmove(&q->snapshots[i], &q->snapshots[i + 1], (--q->snapshots_count - i) * sizeof q->snapshots[0]);
}

void quorum_snapshot_note(struct quorum *q, struct snapshot_id id, int64_t bytes)
{
        uint32_t at = 0;

        if (quorum_snapshot_find(q, id))
                return;
        if (q->snapshots_count == QUORUM_SNAPSHOTS_MAX)
                drop_file(q, 0);
        while (at < q->snapshots_count && q->snapshots[at].id.index < id.index)
                at++;
        memmove(&q->snapshots[at + 1], &q->snapshots[at], (q->snapshots_count - at) * sizeof q->snapshots[0]);
        q->snapshots[at] = (struct quorum_snapshot_file){ id, bytes, loop_now_ms(q->cfg.loop) };
        q->snapshots_count++;
        q->snapshot_bytes += bytes;
}

void quorum_snapshot_clean(struct quorum *q)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);

        if (q->install_due || q->install_busy) /* it stands on one */
                return;
        while (q->snapshots_count > 1 && q->snapshot_bytes > q->cfg.volume_bytes_max / 2)
                drop_file(q, 0);
        for (uint32_t i = 0; i < q->snapshots_count;) {
                bool newest = i + 1 == q->snapshots_count;

                if (now_ms - q->snapshots[i].used_ms > (newest ? KEEP_NEWEST_MS : KEEP_OLDER_MS))
                        drop_file(q, i);
                else
                        i++;
        }
}

/* ---- making one ---- */

struct making {
        struct io_job job;
        struct quorum *q;
        struct meta_image *image;
        struct snapshot_voters voters;
        uint8_t *payload;
        int64_t bytes;
        int result;
};

static void making_run(struct io_job *job)
{
        struct making *mk = container_of(job, struct making, job);

        mk->result = snapshot_write(mk->q->snapshots_dir, mk->image, &mk->voters, &mk->bytes);
        if (!mk->result)
                quorum_step(mk->q, "snapshot-written");
}

static void making_done(struct io_job *job)
{
        struct making *mk = container_of(job, struct making, job);
        struct quorum *q = mk->q;

        if (mk->result)
                diag_limited(DIAG_ERROR,
                             "metadata: a snapshot cannot be written in %s: %s; nodes that are far behind wait",
                             q->snapshots_dir, strerror(-mk->result));
        else
                quorum_snapshot_note(q, (struct snapshot_id){ mk->image->index, mk->image->term }, mk->bytes);
        meta_image_unref(mk->image);
        free(mk->payload);
        free(mk);
        q->jobs--;
        q->snapshot_busy = false;
        q->senders_due = true;
        quorum_settle(q);
}

static void make(struct quorum *q)
{
        const struct quorum_voters_at *v = quorum_voters_at(q, q->image->index);
        struct making *mk = calloc(1, sizeof *mk);
        size_t len;

        if (!mk || !v || voters_encode(&v->voters, &mk->payload, &len)) {
                free(mk);
                return; /* asked again */
        }
        mk->q = q;
        mk->image = meta_image_ref(q->image);
        mk->voters = (struct snapshot_voters){ v->index, span_of(mk->payload, len) };
        mk->job = (struct io_job){ .run = making_run, .done = making_done, .reply_loop = q->cfg.loop };
        q->jobs++;
        q->snapshot_busy = true;
        iopool_submit(q->cfg.pool, &mk->job);
}

struct quorum_snapshot_file *quorum_snapshot_want(struct quorum *q, int64_t at_least)
{
        struct quorum_snapshot_file *newest = q->snapshots_count ? &q->snapshots[q->snapshots_count - 1] : NULL;

        if (newest && newest->id.index >= at_least && newest->id.index <= q->image->index) {
                newest->used_ms = loop_now_ms(q->cfg.loop);
                return newest;
        }
        if (!q->snapshot_busy && q->image->index >= at_least && q->image->index > 0 && quorum_takes_part(q))
                make(q);
        return NULL;
}

/* ---- bringing one to a member ---- */

struct quorum_sender {
        struct ilist link;
        struct quorum *q;
        struct raft_id to;
        int32_t term;
        uint64_t offer;
        int64_t at_least;
        struct snapshot_id id; /* index 0: not chosen yet */
        int32_t number;        /* of the next chunk; -1: the member is to be asked */
        unsigned damaged;      /* chunks that did not arrive whole */
        bool busy;
        uint8_t *chunk;
        ssize_t len;
        struct io_job job;
};

static void sender_go_on(struct quorum_sender *s);

static void sender_free(struct quorum_sender *s)
{
        ilist_unlink(&s->link);
        free(s->chunk);
        free(s);
}

static void sender_end(struct quorum_sender *s, bool ok)
{
        struct quorum *q = s->q;
        struct raft_event ev = { .type = RAFT_EV_SNAPSHOT_SENT, .snapshot_sent = { s->to, s->offer, ok, s->id.index } };

        sender_free(s);
        if (quorum_takes_part(q))
                quorum_event(q, &ev);
}

static void chunk_answered(struct quorum_call *c)
{
        struct quorum_sender *s = c->arg;
        struct quorum *q = c->q;
        struct quorum_snapshot_response answer;
        bool ok = c->call.outcome == PEER_OK;
        struct arena mem;

        arena_init(&mem, 4096);
        quorum_snapshot_response_init(&answer);
        if (ok && PEER_DECODE(quorum_snapshot_response, &answer, c->call.body, c->call.version, &mem))
                ok = false;
        arena_fini(&mem);
        quorum_call_free(c);
        s->busy = false;
        if (!ok || answer.outcome == 1 || (answer.outcome == 2 && ++s->damaged > 3)) {
                sender_end(s, false);
        } else if (answer.next < 0) {
                sender_end(s, true);
        } else {
                s->number = answer.next;
                sender_go_on(s);
        }
        quorum_stop_continue(q);
}

static void send_chunk(struct quorum_sender *s, int32_t number, struct span chunk)
{
        struct quorum *q = s->q;
        struct quorum_call *c =
                quorum_call_new(q, s->to.node, QUORUM_SNAPSHOT_REQUEST_KEY, CHUNK_TIMEOUT_MS, chunk_answered);
        struct quorum_snapshot_request rq;

        quorum_snapshot_request_init(&rq);
        rq.from_directory = q->vote.directory;
        rq.to_directory = s->to.directory;
        rq.address = q->cfg.advertised ? str_of(q->cfg.advertised) : STR_LIT("");
        rq.term = s->term;
        rq.index = s->id.index;
        rq.snapshot_term = s->id.term;
        rq.number = number;
        rq.chunk = chunk;
        if (!c || PEER_ENCODE(&c->call.out, quorum_snapshot_request, &rq, 0, 0)) {
                quorum_call_drop(c);
                sender_end(s, false);
                return;
        }
        c->call.lane = PEER_DATA;
        c->arg = s;
        s->busy = true;
        quorum_call_submit(c);
}

static void chunk_run(struct io_job *job)
{
        struct quorum_sender *s = container_of(job, struct quorum_sender, job);

        s->len = snapshot_chunk_read(s->q->snapshots_dir, s->id, (uint32_t)s->number, s->chunk);
}

static void chunk_read(struct io_job *job)
{
        struct quorum_sender *s = container_of(job, struct quorum_sender, job);
        struct quorum *q = s->q;

        s->busy = false;
        q->jobs--;
        if (!quorum_takes_part(q) || !raft_offer_is_valid(q->core, s->to, s->term, s->offer))
                sender_free(s);
        else if (s->len <= 0)
                sender_end(s, false);
        else
                send_chunk(s, s->number, span_of(s->chunk, (size_t)s->len));
        quorum_stop_continue(q);
}

static void sender_go_on(struct quorum_sender *s)
{
        struct quorum *q = s->q;
        struct quorum_snapshot_file *f;

        if (s->busy)
                return;
        if (!quorum_takes_part(q) || !raft_offer_is_valid(q->core, s->to, s->term, s->offer)) {
                sender_free(s);
                return;
        }
        f = s->id.index ? quorum_snapshot_find(q, s->id) : quorum_snapshot_want(q, s->at_least);
        if (!f) {
                if (s->id.index)
                        sender_end(s, false);
                return; /* it is being made */
        }
        f->used_ms = loop_now_ms(q->cfg.loop);
        s->id = f->id;
        if (s->number < 0) {
                send_chunk(s, -1, span_of("", 0));
                return;
        }
        s->busy = true;
        s->job = (struct io_job){ .run = chunk_run, .done = chunk_read, .reply_loop = q->cfg.loop };
        q->jobs++;
        iopool_submit(q->cfg.pool, &s->job);
}

void quorum_senders_free(struct quorum *q)
{
        ilist_for_each (s, &q->senders, struct quorum_sender, link)
                sender_free(s);
}

void quorum_senders_kick(struct quorum *q)
{
        assert(q->settling); /* or what follows from one could free another, here */
        ilist_for_each (s, &q->senders, struct quorum_sender, link)
                sender_go_on(s);
}

/* Within the core's actions: it begins with the next turn. */
void quorum_snapshot_send(struct quorum *q, struct raft_id to, uint64_t offer, int64_t at_least)
{
        struct quorum_sender *s = calloc(1, sizeof *s);
        struct raft_status st;

        if (s)
                s->chunk = malloc(SNAPSHOT_CHUNK_LEN);
        if (!s || !s->chunk)
                quorum_die("no memory for sending a snapshot");
        raft_status(q->core, &st);
        s->q = q;
        s->to = to;
        s->term = st.term;
        s->offer = offer;
        s->at_least = at_least;
        s->number = -1;
        ilist_push_back(&q->senders, &s->link);
        q->senders_due = true;
}
