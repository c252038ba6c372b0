/* See quorum.h. This file: elections of a group of one, the way of an entry from proposal to applied, stopping.
 * Opening is in quorum_open.c, the store in quorum_store.c.
 * Invariants:
 *  1. An entry is in exactly one of: unwritten, writing, written, applied (and gone). Indexes run on through all of them.
 *  2. At most one disk job and one store job run at a time (qlog.c relies on it).
 *  3. commit_index only passes entries that are durable here and, of the present term, the no-op first. */
#include "quorum/quorum_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/diag.h"
#include "sys/process.h"

void quorum_die(const char *fmt, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        diag(DIAG_ERROR, "metadata: %s; ending, because what is on disk is not certain any more", text);
        process_end(70);
}

void quorum_die_io(const char *path, int error)
{
        if (error == -ENOSPC || error == -EDQUOT) {
                diag(DIAG_ERROR,
                     "metadata: %s cannot be written: %s; ending. Free space there and start again: nothing that was "
                     "acknowledged is lost",
                     path, strerror(-error));
                process_end(70);
        }
        quorum_die("%s cannot be written: %s; check the disk", path, strerror(-error));
}

void quorum_step(struct quorum *q, const char *what)
{
        if (q->cfg.step)
                q->cfg.step(q->cfg.step_arg, what);
}

/* ---- entries ---- */

struct quorum_entry *quorum_entry_new(struct quorum *q, const struct qlog_entry *from)
{
        struct quorum_entry *e = malloc(sizeof *e);
        uint8_t *payload = malloc(from->payload.len + 1);

        if (!e || !payload) {
                free(e);
                free(payload);
                return NULL;
        }
        if (from->payload.len)
                memcpy(payload, from->payload.data, from->payload.len);
        *e = (struct quorum_entry){ .e = *from };
        e->e.payload.data = payload;
        q->pending_bytes += from->payload.len;
        return e;
}

struct quorum_entry *quorum_entry_free(struct quorum *q, struct quorum_entry *e)
{
        q->pending_bytes -= e->e.payload.len;
        free((void *)e->e.payload.data);
        free(e);
        return NULL;
}

/* ---- applying ---- */

/* Apply the committed part of what is written, as one new image. */
static void apply(struct quorum *q)
{
        struct quorum_applied a = { .before = q->image };
        struct meta_builder b;
        struct ilist applied;
        int r;

        ilist_init(&applied);
        r = meta_builder_init(&b, q->image);
        ilist_for_each (e, &q->written, struct quorum_entry, link) {
                if (e->e.index > q->commit_index)
                        break;
                if (!r && e->e.type == QLOG_RECORDS)
                        r = meta_builder_apply_entry(&b, e->e.payload, e->e.index);
                else if (!r && e->e.type != QLOG_NOOP)
                        quorum_die(
                                "entry %lld of the log has type %d, which only a newer program knows; install it again",
                                (long long)e->e.index, e->e.type);
                if (r > 0)
                        quorum_die("entry %lld of the log cannot be applied: %s", (long long)e->e.index, b.why);
                if (r < 0)
                        quorum_die("entry %lld of the log cannot be applied: %s", (long long)e->e.index, strerror(-r));
                a.last_index = e->e.index;
                a.last_term = e->e.term;
                q->bytes_since_store += (int64_t)qlog_entry_size(e->e.payload.len);
                ilist_unlink(&e->link);
                ilist_push_back(&applied, &e->link);
        }
        if (r)
                quorum_die("no memory for the metadata image");
        if (ilist_is_empty(&applied)) {
                meta_builder_fini(&b);
                return;
        }
        a.after = meta_builder_finish(&b, a.last_index, a.last_term);
        q->image = a.after;
        q->events.applied(q->events_arg, &a);
        meta_image_unref(a.before);
        ilist_for_each (e, &applied, struct quorum_entry, link) {
                if (e->proposal)
                        e->proposal->done(e->proposal, QUORUM_OK);
                ilist_unlink(&e->link);
                quorum_entry_free(q, e);
        }
        quorum_store_kick(q, false);
}

/* What is durable here is committed, as the only voter is this node; and counted only once an entry of this term is
 * among it. */
static void advance_commit(struct quorum *q)
{
        const struct quorum_entry *last = ilist_last(&q->written, struct quorum_entry, link);

        if (!last || last->e.index < q->term_start || last->e.index <= q->commit_index)
                return;
        q->commit_index = last->e.index;
        apply(q);
        if (q->state == QUORUM_VOTING) {
                struct quorum_role role;

                q->state = QUORUM_LEADING;
                role = quorum_role(q);
                q->events.role(q->events_arg, &role);
        }
}

/* ---- the disk ---- */

static void disk_kick(struct quorum *q);

void quorum_log_drop(struct quorum *q)
{
        q->drop_due = true;
        disk_kick(q);
}

static void disk_run(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, disk_job);
        int r = 0;

        if (q->group_bytes) {
                r = qlog_append(q->log, &q->group);
                if (!r)
                        quorum_step(q, "log-appended");
        }
        if (!r && q->drop_below) {
                r = qlog_drop_head(q->log, q->drop_below);
                if (r > 0)
                        quorum_step(q, "log-truncated");
                r = MIN2(r, 0);
        }
        if (!r)
                qlog_reserve(q->log);
        q->disk_result = r;
}

static void disk_done(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, disk_job);

        if (q->disk_result)
                quorum_die_io(q->cfg.dir, q->disk_result);
        q->disk_busy = false;
        q->drop_below = 0;
        q->log_first_index = qlog_first_index(q->log);
        q->log_bytes = qlog_bytes(q->log);
        if (q->group_bytes) {
                free(TAKE_PTR(q->group_bytes));
                q->entries_written += (uint64_t)(q->group.last - q->group.first + 1);
                q->groups_written++;
                ilist_splice_back(&q->written, &q->writing);
                advance_commit(q);
        }
        disk_kick(q);
        quorum_stop_continue(q);
}

/* Frame what waits as one group. Entries beyond a group's size wait for the next one. */
static void take_group(struct quorum *q)
{
        const struct quorum_entry *first, *last;
        size_t size = 0;
        struct writer w;

        ilist_for_each (e, &q->unwritten, struct quorum_entry, link) {
                size_t len = qlog_entry_size(e->e.payload.len);

                if (size && size + len > QLOG_PAYLOAD_LEN_MAX)
                        break;
                size += len;
                ilist_unlink(&e->link);
                ilist_push_back(&q->writing, &e->link);
        }
        q->group_bytes = malloc(size);
        if (!q->group_bytes)
                quorum_die("no memory for %zu bytes of metadata log", size);
        w = writer_of(q->group_bytes, size);
        first = ilist_first(&q->writing, struct quorum_entry, link);
        last = ilist_last(&q->writing, struct quorum_entry, link);
        assert(first && last);
        q->group.first = first->e.index;
        q->group.last = last->e.index;
        q->group.last_term = last->e.term;
        ilist_for_each (e, &q->writing, struct quorum_entry, link)
                qlog_entry_write(&e->e, q->group.first, &w);
        q->group.bytes = span_of(q->group_bytes, size);
}

/* Group commit is self-clocked: while one group is being synced, the next one gathers. */
static void disk_kick(struct quorum *q)
{
        if (q->disk_busy || (ilist_is_empty(&q->unwritten) && !q->drop_due && !q->reserve_due))
                return;
        if (!ilist_is_empty(&q->unwritten))
                take_group(q);
        q->drop_below = q->drop_due ? q->stored_index : 0;
        q->drop_due = q->reserve_due = false;
        q->disk_busy = true;
        q->disk_job = (struct io_job){ .run = disk_run, .done = disk_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->disk_job);
}

static int append_entry(struct quorum *q, uint8_t type, struct span payload, struct quorum_proposal *p)
{
        struct qlog_entry e = { .index = q->last_index + 1, .term = q->vote.term, .type = type, .payload = payload };
        struct quorum_entry *n = quorum_entry_new(q, &e);

        if (!n)
                return -ENOMEM;
        n->proposal = p;
        q->last_index++;
        ilist_push_back(&q->unwritten, &n->link);
        disk_kick(q);
        return 0;
}

/* ---- the vote ---- */

static void vote_run(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, vote_job);

        q->vote_result = vote_write(q->vote_path, &q->vote);
        if (!q->vote_result)
                quorum_step(q, "voted");
}

static void vote_done(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, vote_job);

        if (q->vote_result)
                quorum_die_io(q->vote_path, q->vote_result);
        q->vote_busy = false;
        q->term_start = q->last_index + 1;
        if (append_entry(q, QLOG_NOOP, SPAN_NULL, NULL))
                quorum_die("no memory to start");
        quorum_stop_continue(q);
}

void quorum_start(struct quorum *q)
{
        loop_assert_here(q->cfg.loop);
        assert(q->state == QUORUM_CLOSED);
        quorum_store_init(q);
        q->state = QUORUM_VOTING;
        q->vote.term = MAX2(q->vote.term, qlog_last_term(q->log)) + 1;
        q->vote.voted_for = q->cfg.node_id;
        q->vote.voted_for_directory = q->vote.directory;
        q->vote_busy = true;
        q->vote_job = (struct io_job){ .run = vote_run, .done = vote_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->vote_job);
}

/* ---- what others ask ---- */

int quorum_propose(struct quorum *q, struct quorum_proposal *p, struct meta_batch *batch)
{
        int r;

        loop_assert_here(q->cfg.loop);
        if (q->state != QUORUM_LEADING || p->term != q->vote.term)
                return QUORUM_E_NOT_LEADER;
        if (q->pending_bytes && q->pending_bytes + batch->len > QUORUM_PENDING_BYTES_MAX)
                return QUORUM_E_FULL;
        p->index = q->last_index + 1;
        r = append_entry(q, QLOG_RECORDS, meta_batch_payload(batch), p);
        if (r)
                return r;
        meta_batch_fini(batch);
        return 0;
}

struct meta_image *quorum_image(const struct quorum *q)
{
        return meta_image_ref(q->image);
}

struct quorum_role quorum_role(const struct quorum *q)
{
        bool leads = q->state == QUORUM_LEADING;

        return (struct quorum_role){ leads, q->vote.term, leads ? q->cfg.node_id : META_NO_NODE };
}

bool quorum_is_low(struct quorum *q)
{
        if (!qlog_is_low(q->log))
                return false;
        q->reserve_due = true;
        disk_kick(q);
        return true;
}

struct uuid quorum_directory(const struct quorum *q)
{
        return q->vote.directory;
}

void quorum_stats(const struct quorum *q, struct quorum_stats *ret)
{
        *ret = (struct quorum_stats){
                .committed_index = q->commit_index,
                .applied_index = q->image->index,
                .stored_index = q->stored_index,
                .log_first_index = q->log_first_index,
                .log_bytes = q->log_bytes,
                .entries_written = q->entries_written,
                .groups_written = q->groups_written,
                .images_stored = q->images_stored,
                .bytes_pending = q->pending_bytes,
        };
}

/* ---- stopping ---- */

/* Called whenever something ends: all entries first, then the image, then the answer. */
void quorum_stop_continue(struct quorum *q)
{
        if (q->state != QUORUM_STOPPING || q->vote_busy || q->disk_busy || q->store_busy ||
            !ilist_is_empty(&q->unwritten))
                return;
        if (q->stored_index < q->image->index && !q->store_full) {
                quorum_store_kick(q, true);
                return;
        }
        loop_timer_stop(&q->store_timer);
        q->state = QUORUM_CLOSED;
        q->stop_done(q->stop_arg);
}

void quorum_stop(struct quorum *q, void (*done)(void *arg), void *arg)
{
        loop_assert_here(q->cfg.loop);
        assert(q->state == QUORUM_VOTING || q->state == QUORUM_LEADING);
        q->state = QUORUM_STOPPING;
        q->stop_done = done;
        q->stop_arg = arg;
        quorum_stop_continue(q);
}
