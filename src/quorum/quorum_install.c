/* A snapshot that is received: chunks to a file, the file checked and loaded, and then, when the core wants it, in the place
 * of image, store and log. On the disk the order is: the file, the members, the store, the log. Whatever moment a crash
 * chooses, the next start finds the whole file and does the rest again (quorum_install_finish()). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/diag.h"

struct quorum_receiving {
        struct quorum *q;
        struct snapshot_id id;
        int32_t next; /* chunk that is wanted */
        /* The chunk that is being kept. */
        struct peer_request *rq;
        struct span chunk;
        bool is_last;
        struct io_job job;
        int result;
        /* After the last one. */
        struct meta_image *image;
        struct snapshot_voters voters;
        uint8_t *mem;
        char why[256];
};

static void answer(struct peer_request *rq, int8_t outcome, int32_t next)
{
        struct quorum_snapshot_response a;

        quorum_snapshot_response_init(&a);
        a.outcome = outcome;
        a.next = next;
        QUORUM_ANSWER(rq, quorum_snapshot_response, &a);
}

void quorum_receiving_end(struct quorum *q)
{
        struct quorum_receiving *rc = TAKE_PTR(q->receiving);

        if (!rc)
                return;
        assert(!rc->rq);
        meta_image_unref(rc->image);
        free(rc->mem);
        free(rc);
}

/* ---- chunks ---- */

static void keep_run(struct io_job *job)
{
        struct quorum_receiving *rc = container_of(job, struct quorum_receiving, job);
        const char *dir = rc->q->snapshots_dir;

        rc->result = snapshot_part_write(dir, rc->id, (uint32_t)rc->next, rc->chunk);
        if (rc->result || !rc->is_last)
                return;
        rc->result = snapshot_part_end(dir, rc->id);
        if (rc->result)
                return;
        quorum_step(rc->q, "snapshot-received");
        rc->result = snapshot_load(dir, rc->id, &rc->image, &rc->voters, &rc->mem, rc->why, sizeof rc->why);
}

/* All of it is here: the core says whether it is still needed. */
static void received(struct quorum *q, struct quorum_receiving *rc)
{
        struct raft_members members;
        struct raft_event ev = { .type = RAFT_EV_SNAPSHOT_RECEIVED,
                                 .snapshot = { .index = rc->id.index,
                                               .term = rc->id.term,
                                               .members = &members,
                                               .members_index = rc->voters.index } };
        struct voters v;
        int r = voters_decode(rc->voters.payload, &v);

        if (r) {
                diag(DIAG_ERROR, "metadata: the snapshot of index %lld names no members", (long long)rc->id.index);
                return;
        }
        voters_members(&v, &members);
        quorum_snapshot_note(q, rc->id, (int64_t)rc->next * SNAPSHOT_CHUNK_LEN);
        quorum_event(q, &ev);
}

static void keep_done(struct io_job *job)
{
        struct quorum_receiving *rc = container_of(job, struct quorum_receiving, job);
        struct peer_request *rq = TAKE_PTR(rc->rq);
        struct quorum *q = rc->q;

        q->jobs--;
        if (rc->result) {
                diag_limited(DIAG_ERROR, "metadata: a snapshot cannot be received in %s: %s", q->snapshots_dir,
                             rc->result < 0 ? strerror(-rc->result) : rc->why);
                answer(rq, 1, -1);
                if (rc->is_last && rc->result > 0)
                        quorum_snapshot_forget(q, rc->id);
                quorum_receiving_end(q);
        } else if (!rc->is_last) {
                answer(rq, 0, ++rc->next);
        } else {
                rc->next++;
                if (quorum_takes_part(q))
                        received(q, rc);
                answer(rq, 0, -1);
                quorum_receiving_end(q);
        }
        quorum_stop_continue(q);
}

/* The core is asked whether the sender leads and its snapshot is needed. */
static bool is_welcome(struct quorum *q, int32_t node, const struct quorum_snapshot_request *m)
{
        struct raft_message msg = { .type = RAFT_SNAPSHOT,
                                    .from = { node, m->from_directory },
                                    .to = { q->cfg.node_id, m->to_directory },
                                    .term = m->term,
                                    .last_index = m->index,
                                    .last_term = m->snapshot_term };
        struct raft_event ev = { .type = RAFT_EV_MESSAGE, .message = { .message = &msg } };

        q->welcome = false;
        (void)quorum_event(q, &ev);
        return q->welcome;
}

void quorum_snapshot_asked(struct quorum *q, struct peer_request *rq, const struct quorum_snapshot_request *m)
{
        struct snapshot_id id = { m->index, m->snapshot_term };
        struct quorum_receiving *rc;

        quorum_join(q, m->to_directory);
        quorum_peer_said(q, rq->peer->node, m->address);
        if (!quorum_takes_part(q) || !uuid_equal(m->to_directory, q->vote.directory) || m->index < 1 ||
            m->snapshot_term < 1 || !is_welcome(q, rq->peer->node, m) || q->install_due || q->install_busy) {
                answer(rq, 1, 0);
                return;
        }
        if (q->receiving && q->receiving->rq) { /* one chunk at a time */
                peer_refuse(rq, -EBUSY);
                return;
        }
        if (q->receiving && !snapshot_id_equal(q->receiving->id, id))
                quorum_receiving_end(q);
        if (!q->receiving) {
                q->receiving = calloc(1, sizeof *q->receiving);
                if (!q->receiving) {
                        peer_refuse(rq, -ENOMEM);
                        return;
                }
                q->receiving->q = q;
                q->receiving->id = id;
        }
        rc = q->receiving;
        if (m->number != rc->next) {
                answer(rq, 0, rc->next);
                return;
        }
        if (snapshot_chunk_check(m->chunk, (uint32_t)m->number, &rc->is_last)) {
                answer(rq, 2, rc->next);
                return;
        }
        rc->rq = rq;
        rc->chunk = m->chunk;
        rc->job = (struct io_job){ .run = keep_run, .done = keep_done, .reply_loop = q->cfg.loop };
        q->jobs++;
        iopool_submit(q->cfg.pool, &rc->job);
}

/* ---- taking its place ---- */

/* Within the core's actions. What was in memory is void; what follows waits for the disk. */
void quorum_install(struct quorum *q, struct snapshot_id id, uint64_t edition)
{
        struct quorum_receiving *rc = q->receiving;
        struct voters v;

        assert(rc && rc->image && snapshot_id_equal(rc->id, id));
        while (q->entries.count)
                quorum_void_newest(q);
        q->entries.first = id.index + 1;
        q->pending_bytes = 0;
        q->last_index = q->written_index = q->apply_to = id.index;
        q->disk_next = id.index + 1;
        q->truncate_to = -1;
        q->edition = edition;
        quorum_voters_drop(q, 0);
        if (voters_decode(rc->voters.payload, &v))
                quorum_die("no memory for the members of the group");
        quorum_voters_add(q, rc->voters.index, &v);
        if (!q->installed_before)
                q->installed_before = q->image;
        else
                meta_image_unref(q->image);
        q->image = TAKE_PTR(rc->image);
        meta_image_unref(q->install_image);
        q->install_image = meta_image_ref(q->image);
        q->install = id;
        q->install_due = true;
        q->members_due = true;
}

static int note_voters(struct quorum *q)
{
        return voters_write(q->voters_path, q->install_voters_index, span_of(q->install_voters, q->install_voters_len));
}

static void install_run(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, install_job);
        int r = note_voters(q);

        if (!r) {
                quorum_step(q, "voters-noted");
                r = meta_store_commit(q->store, q->install_image);
        }
        if (!r) {
                quorum_step(q, "image-stored");
                r = qlog_reset(q->log, q->install.index, q->install.term);
        }
        if (!r)
                quorum_step(q, "log-reset");
        q->install_result = r;
}

static void install_done(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, install_job);
        struct raft_event ev = { .type = RAFT_EV_LOG_PERSISTED, .persisted = { q->install_edition, q->install.index } };

        if (q->install_result)
                quorum_die_io(q->cfg.dir, q->install_result);
        q->install_busy = false;
        q->stored_index = q->install.index;
        q->voters_file_index = q->install_voters_index;
        free(TAKE_PTR(q->install_voters));
        q->install_image = meta_image_unref(q->install_image);
        q->images_stored++;
        q->log_first_index = qlog_first_index(q->log);
        q->log_bytes = qlog_bytes(q->log);
        diag(DIAG_NOTICE, "metadata: a snapshot of index %lld has taken the place of what this node had",
             (long long)q->install.index);
        if (quorum_takes_part(q))
                quorum_event(q, &ev);
        quorum_disk_kick(q);
        quorum_store_kick(q, false);
        quorum_stop_continue(q);
}

bool quorum_install_kick(struct quorum *q)
{
        const struct quorum_voters_at *v;

        if (q->install_busy || !q->install_due)
                return q->install_busy;
        if (q->disk_busy || q->store_busy)
                return true;
        v = quorum_voters_at(q, q->install.index);
        assert(v);
        if (voters_encode(&v->voters, &q->install_voters, &q->install_voters_len))
                quorum_die("no memory for the members of the group");
        q->install_voters_index = v->index;
        q->install_edition = q->edition;
        q->install_due = false;
        q->install_busy = true;
        q->install_job = (struct io_job){ .run = install_run, .done = install_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->install_job);
        return true;
}

/* ---- at a start ---- */

int quorum_install_finish(struct quorum *q, struct snapshot_id id, int32_t log_term, char *why, size_t why_size)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        CLEANUP(freep) uint8_t *mem = NULL;
        struct snapshot_voters voters;
        struct voters v;
        char text[200];
        int r;

        if (id.index < q->stored_index || log_term == id.term)
                return 0; /* the log holds it: it was made here */
        r = snapshot_load(q->snapshots_dir, id, &image, &voters, &mem, text, sizeof text);
        if (!r && voters_decode(voters.payload, &v))
                r = QUORUM_E_REFUSED;
        if (r) {
                snprintf(why, why_size,
                         "metadata snapshot of index %lld in %s cannot be used: %s; remove the node from the group and "
                         "add it again with an empty folder",
                         (long long)id.index, q->cfg.dir, text);
                return r < 0 ? r : QUORUM_E_REFUSED;
        }
        r = voters_write(q->voters_path, voters.index, voters.payload);
        if (!r)
                r = meta_store_commit(q->store, image);
        if (!r)
                r = qlog_reset(q->log, id.index, id.term);
        if (r) {
                snprintf(why, why_size, "metadata folder %s cannot be written: %s", q->cfg.dir, strerror(-r));
                return r;
        }
        quorum_voters_drop(q, 0);
        quorum_voters_add(q, voters.index, &v);
        q->voters_file_index = voters.index;
        q->stored_index = id.index;
        meta_image_unref(q->image);
        q->image = TAKE_PTR(image);
        return 0;
}
