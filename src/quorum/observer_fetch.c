/* An observer asks a controller for what comes next, one request at a time, and goes to the next one when it does not answer
 * or has less. Where the log does not reach back far enough it fetches a snapshot, chunk by chunk. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quorum/observer_internal.h"
#include "quorum/qlog_internal.h"
#include "quorum/quorum_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"

#define ANSWER_MS 5000 /* beyond what the controller may wait */
#define BACK_OFF_MS_MIN 50
#define BACK_OFF_MS_MAX 2000

/* ---- whom to ask ---- */

/* The next one, at once for as long as there are others, then ever more slowly. */
static void try_next(struct observer *o)
{
        unsigned rounds;
        int64_t delay_ms;

        o->failures++;
        o->at = (o->at + 1) % o->controllers_count;
        o->wants_snapshot = false;
        rounds = o->failures / o->controllers_count;
        delay_ms = o->failures % o->controllers_count ? BACK_OFF_MS_MIN : BACK_OFF_MS_MIN << MIN2(rounds, 6u);
        loop_timer_start(&o->retry_timer, MIN2(delay_ms, (int64_t)BACK_OFF_MS_MAX));
}

PRINTF_LIKE(2, 3)
static void fail(struct observer *o, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(o->trouble, sizeof o->trouble, fmt, ap);
        va_end(ap);
        try_next(o);
}

/* The controllers say who they are now. */
static void take_controllers(struct observer *o, const struct quorum_fetch_response *a)
{
        int32_t asked = o->controllers[o->at].node;
        uint32_t count = 0, at = 0;

        for (int32_t i = 0; i < a->controllers_count && count < RAFT_MEMBERS_MAX; i++) {
                const struct quorum_fetch_response_controller *c = &a->controllers[i];
                struct observer_controller *to = &o->controllers[count];

                if (c->node < 0 || !c->address.len || c->address.len >= sizeof to->address)
                        continue;
                if (to->node != c->node || strlen(to->address) != c->address.len ||
                    memcmp(to->address, c->address.p, c->address.len)) {
                        *to = (struct observer_controller){ .node = c->node };
                        memcpy(to->address, c->address.p, c->address.len);
                        if (to->node != o->cfg.node_id)
                                (void)peer_hub_set_address(o->hub, to->node, to->address); /* seen when it is called */
                }
                at = c->node == asked ? count : at;
                count++;
        }
        if (!count)
                return;
        o->controllers_count = count;
        o->at = at;
}

static void call(struct observer *o, int16_t key, int64_t timeout_ms, void (*done)(struct peer_call *c))
{
        o->call.node = o->controllers[o->at].node;
        o->call.lane = PEER_CONTROL;
        o->call.key = key;
        o->call.version = 0;
        o->call.timeout_ms = timeout_ms;
        o->call.loop = o->cfg.loop;
        o->call.done = done;
        o->calling = true;
        o->fetches++;
        peer_call_submit(o->hub, &o->call);
}

/* What every answer begins with. False: nothing more is to be done. */
static bool answered(struct observer *o)
{
        struct peer_info info;
        int outcome = o->call.outcome;

        o->calling = false;
        if (o->state != OBSERVER_FOLLOWING)
                return false;
        if (outcome == PEER_OK) {
                o->heard_ms = clock_wall_ms();
                return true;
        }
        if (outcome == PEER_E_REFUSED && peer_hub_find(o->hub, o->call.node, &info) && info.error[0])
                fail(o, "controller %d: %s", o->call.node, info.error);
        else
                fail(o, "controller %d does not answer: %s", o->call.node,
                     outcome < 0 ? strerror(-outcome) : peer_outcome_name(outcome));
        return false;
}

/* ---- entries ---- */

/* Apply entries that follow what there is. Return: 0; -ENOMEM; 1: they do not, or cannot be applied. */
static int apply(struct observer *o, struct span bytes)
{
        struct meta_builder b;
        int64_t index = o->image->index, group;
        int32_t term = o->image->term;
        size_t pos = 0;
        int r = meta_builder_init(&b, o->image);

        while (!r && pos < bytes.len) {
                struct qlog_entry e;
                size_t size = qlog_entry_read(bytes, pos, &e, &group);

                if (!size || e.index != index + 1 || e.term < term) {
                        r = 1;
                        break;
                }
                if (e.type == QLOG_RECORDS)
                        r = meta_builder_apply_entry(&b, e.payload, e.index);
                else if (e.type != QLOG_NOOP && e.type != QLOG_VOTERS)
                        r = META_E_UNKNOWN;
                if (r > 0)
                        observer_refuse(o, "entry %lld of the metadata log cannot be applied: %s", (long long)e.index,
                                        r == META_E_UNKNOWN ? "only a newer program knows it; install that" : b.why);
                index = e.index;
                term = e.term;
                pos += size;
        }
        if (!r)
                observer_advance(o, meta_builder_finish(&b, index, term), bytes.len);
        meta_builder_fini(&b);
        return r > 0 ? 1 : r;
}

static void take_answer(struct observer *o, const struct quorum_fetch_response *a)
{
        take_controllers(o, a);
        switch (a->outcome) {
        case QUORUM_FETCH_OK:
                break;
        case QUORUM_FETCH_SNAPSHOT:
                o->wants_snapshot = true;
                o->failures = 0;
                observer_fetch(o);
                return;
        case QUORUM_FETCH_BEHIND:
                fail(o, "controller %d has less than this node", o->call.node);
                return;
        case QUORUM_FETCH_REFUSED:
                observer_refuse(o, "%.*s", STR_FMT(a->text));
                return;
        default:
                fail(o, "controller %d takes no part in the group", o->call.node);
                return;
        }
        o->commit_index = a->commit_index;
        if (a->entries.len && apply(o, a->entries)) {
                if (o->state == OBSERVER_FOLLOWING)
                        fail(o, "controller %d has sent entries that do not fit", o->call.node);
                return;
        }
        o->failures = 0;
        o->trouble[0] = 0;
        observer_lead(o, a->leader, a->term);
        observer_fetch(o);
}

static void fetch_done(struct peer_call *c)
{
        struct observer *o = container_of(c, struct observer, call);
        struct iobuf *frame =
                TAKE_PTR(c->frame); /* what is decoded stands in it; the call may be used again meanwhile */
        struct span body = c->body;
        CLEANUP(arena_finip) struct arena mem;
        struct quorum_fetch_response a;

        arena_init(&mem, 1 << 20);
        if (answered(o)) {
                if (PEER_DECODE(quorum_fetch_response, &a, body, 0, &mem))
                        fail(o, "controller %d has sent an answer that is none", c->node);
                else
                        take_answer(o, &a);
        }
        iobuf_unref(frame);
}

static void ask_entries(struct observer *o)
{
        struct quorum_fetch_request rq;

        quorum_fetch_request_init(&rq);
        rq.directory = o->vote.directory;
        rq.next = o->image->index + 1;
        rq.prev_term = o->image->term;
        /* The first time it wants to know where it stands. */
        rq.wait_ms = o->role_known ? (int32_t)o->cfg.wait_ms : 0;
        rq.len_max = QUORUM_MESSAGE_BYTES;
        rq.leader = o->role.leader_id;
        rq.term = o->role.term;
        if (PEER_ENCODE(&o->call.out, quorum_fetch_request, &rq, 0, 0))
                try_next(o);
        else
                call(o, QUORUM_FETCH_REQUEST_KEY, o->cfg.wait_ms + ANSWER_MS, fetch_done);
}

/* ---- a snapshot ---- */

static void snapshot_drop(struct observer *o)
{
        o->snapshot.frame = iobuf_unref(o->snapshot.frame);
        o->snapshot.image = meta_image_unref(o->snapshot.image);
        o->snapshot = (struct observer_snapshot){ .next = 0 };
        o->wants_snapshot = false;
}

static void keep_run(struct io_job *job)
{
        struct observer *o = container_of(job, struct observer, snapshot_job);
        struct observer_snapshot *s = &o->snapshot;
        struct snapshot_voters voters;
        uint8_t *mem = NULL;

        s->result = snapshot_part_write(o->snapshots_dir, s->id, (uint32_t)s->next, s->chunk);
        if (s->result || !s->is_last)
                return;
        s->result = snapshot_part_end(o->snapshots_dir, s->id);
        if (!s->result)
                s->result = snapshot_load(o->snapshots_dir, s->id, &s->image, &voters, &mem, s->why, sizeof s->why);
        free(mem);
        (void)snapshot_remove(o->snapshots_dir, s->id); /* the store gets it; at worst it is fetched again */
}

static void keep_done(struct io_job *job)
{
        struct observer *o = container_of(job, struct observer, snapshot_job);
        struct observer_snapshot *s = &o->snapshot;
        struct meta_image *image;

        o->snapshot_busy = false;
        s->frame = iobuf_unref(s->frame);
        if (o->state != OBSERVER_FOLLOWING) {
                snapshot_drop(o);
                observer_stop_continue(o);
                return;
        }
        if (s->result) {
                fail(o, "a snapshot of controller %d cannot be used: %s", o->call.node,
                     s->result < 0 ? strerror(-s->result) : s->why);
                snapshot_drop(o);
                return;
        }
        s->next++;
        if (!s->is_last) {
                observer_fetch(o);
                return;
        }
        image = TAKE_PTR(s->image);
        snapshot_drop(o);
        o->snapshots++;
        if (image->index <= o->image->index) {
                meta_image_unref(image);
                fail(o, "controller %d has an older snapshot than what this node has", o->call.node);
                return;
        }
        diag(DIAG_NOTICE, "metadata: a snapshot of index %lld has taken the place of what this observer had",
             (long long)image->index);
        observer_advance(o, image, 0);
        if (o->state == OBSERVER_FOLLOWING)
                observer_fetch(o);
}

static void take_chunk(struct observer *o, const struct quorum_fetch_snapshot_response *a, struct iobuf *frame)
{
        struct observer_snapshot *s = &o->snapshot;
        struct snapshot_id id = { a->index, a->snapshot_term };

        if (a->outcome == 1) { /* it is being made */
                loop_timer_start(&o->retry_timer, BACK_OFF_MS_MIN);
                return;
        }
        if (a->outcome || a->index < 1 || (s->id.index && !snapshot_id_equal(s->id, id)) ||
            snapshot_chunk_check(a->chunk, (uint32_t)s->next, &s->is_last)) {
                snapshot_drop(o);
                fail(o, "controller %d has not the rest of a snapshot", o->call.node);
                return;
        }
        s->id = id;
        s->frame = iobuf_ref(frame);
        s->chunk = a->chunk;
        o->snapshot_busy = true;
        o->snapshot_job = (struct io_job){ .run = keep_run, .done = keep_done, .reply_loop = o->cfg.loop };
        iopool_submit(o->cfg.pool, &o->snapshot_job);
}

static void chunk_done(struct peer_call *c)
{
        struct observer *o = container_of(c, struct observer, call);
        CLEANUP(iobuf_unrefp) struct iobuf *frame = TAKE_PTR(c->frame);
        CLEANUP(arena_finip) struct arena mem;
        struct quorum_fetch_snapshot_response a;

        arena_init(&mem, 4096);
        if (!answered(o)) {
                snapshot_drop(o);
                return;
        }
        o->failures = 0;
        if (PEER_DECODE(quorum_fetch_snapshot_response, &a, c->body, c->version, &mem))
                fail(o, "controller %d has sent an answer that is none", c->node);
        else
                take_chunk(o, &a, frame);
}

static void ask_chunk(struct observer *o)
{
        struct quorum_fetch_snapshot_request rq;

        quorum_fetch_snapshot_request_init(&rq);
        rq.directory = o->vote.directory;
        rq.index = o->snapshot.id.index;
        rq.snapshot_term = o->snapshot.id.term;
        rq.number = o->snapshot.next;
        if (PEER_ENCODE(&o->call.out, quorum_fetch_snapshot_request, &rq, 0, 0))
                try_next(o);
        else
                call(o, QUORUM_FETCH_SNAPSHOT_REQUEST_KEY, 2 * ANSWER_MS, chunk_done);
}

/* ---- going on ---- */

void observer_fetch(struct observer *o)
{
        if (o->state != OBSERVER_FOLLOWING || o->calling || o->snapshot_busy)
                return;
        loop_timer_stop(&o->retry_timer);
        if (o->wants_snapshot)
                ask_chunk(o);
        else
                ask_entries(o);
}

static void retry_fired(struct loop_timer *t)
{
        observer_fetch(container_of(t, struct observer, retry_timer));
}

void observer_fetch_init(struct observer *o)
{
        loop_timer_init(&o->retry_timer, o->cfg.loop, retry_fired);
        for (uint32_t i = 0; i < o->controllers_count; i++)
                if (o->controllers[i].node != o->cfg.node_id)
                        (void)peer_hub_set_address(o->hub, o->controllers[i].node, o->controllers[i].address);
        assert(o->controllers_count);
        o->at = (uint32_t)(random_u64() % o->controllers_count); /* so that many do not all ask the same one */
}
