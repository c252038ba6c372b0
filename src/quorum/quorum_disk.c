/* The vote and the log on the pool: one job each at a time. Group commit is self-clocked: while one group is synced, the next
 * one gathers. A job of the log does, in this order: cut off what is void, append, note the members for what is removed,
 * remove it, read for others, reserve room. */
#include <errno.h>
#include <string.h>

#include "quorum/quorum_internal.h"

/* ---- the vote ---- */

/* A group that stops takes no part any more; a node alone finishes what was begun. */
static bool core_goes_on(const struct quorum *q)
{
        return quorum_takes_part(q) || (q->core && !q->is_group && q->state == QUORUM_STOPPING);
}

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
        struct raft_event ev = { .type = RAFT_EV_VOTE_PERSISTED,
                                 .vote = { .term = q->vote.term,
                                           .voted_for = { q->vote.voted_for, q->vote.voted_for_directory } } };

        if (q->vote_result)
                quorum_die_io(q->vote_path, q->vote_result);
        q->vote_busy = false;
        if (core_goes_on(q))
                quorum_event(q, &ev);
        quorum_stop_continue(q);
}

void quorum_vote_kick(struct quorum *q)
{
        if (q->vote_busy || !q->vote_due)
                return;
        q->vote_due = false;
        q->vote_busy = true;
        q->vote.term = q->vote_wanted.term;
        q->vote.voted_for = q->vote_wanted.voted_for.node;
        q->vote.voted_for_directory = q->vote_wanted.voted_for.directory;
        q->vote_job = (struct io_job){ .run = vote_run, .done = vote_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->vote_job);
}

/* ---- the log: on the pool ---- */

static int note_read(void *arg, const struct qlog_entry *e)
{
        struct quorum_reading *rg = arg;
        size_t n = qlog_entry_size(e->payload.len);
        struct writer w;

        if (rg->len + n > rg->size) {
                size_t size = MAX2(rg->size * 2, rg->len + n);
                uint8_t *grown = realloc(rg->bytes, size);

                if (!grown)
                        return -ENOMEM;
                rg->bytes = grown;
                rg->size = size;
        }
        w = writer_of(rg->bytes + rg->len, n);
        qlog_entry_write(e, rg->rd.first, &w);
        rg->len += n;
        rg->last = e->index;
        return 0;
}

static void read_one(struct quorum *q, struct quorum_reading *rg)
{
        rg->last = rg->rd.first - 1;
        rg->result = -ENOENT;
        if (rg->rd.first < qlog_first_index(q->log) || rg->rd.first > qlog_last_index(q->log))
                return;
        rg->rd.last = MIN2(rg->rd.last, qlog_last_index(q->log));
        rg->result = qlog_read(q->log, &rg->rd, note_read, rg);
}

static int drop_head(struct quorum *q)
{
        int r = 0;

        if (q->voters_bytes) {
                r = voters_write(q->voters_path, q->voters_bytes_index, span_of(q->voters_bytes, q->voters_len));
                if (!r)
                        quorum_step(q, "voters-noted");
        }
        if (!r) {
                r = qlog_drop_head(q->log, q->drop_below);
                if (r > 0)
                        quorum_step(q, "log-truncated");
        }
        return MIN2(r, 0);
}

static void disk_run(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, disk_job);
        int r = 0;

        if (q->truncate_now) {
                r = qlog_truncate(q->log, q->truncate_now_to, q->truncate_now_term);
                if (!r)
                        quorum_step(q, "log-cut");
        }
        if (!r && q->group_bytes) {
                r = qlog_append(q->log, &q->group);
                if (!r)
                        quorum_step(q, "log-appended");
        }
        if (!r && q->drop_below)
                r = drop_head(q);
        if (!r) {
                ilist_for_each (rg, &q->reading, struct quorum_reading, link)
                        read_one(q, rg);
                qlog_reserve(q->log);
        }
        q->disk_result = r;
}

/* ---- the log: on the loop ---- */

static void reads_done(struct quorum *q, struct ilist *reads)
{
        struct ilist *node;

        while ((node = ilist_pop_front(reads))) {
                struct quorum_reading *rg = ilist_entry(node, struct quorum_reading, link);

                if (rg->result == -EBADMSG)
                        quorum_die("entry %lld of the log in %s cannot be read back", (long long)rg->last + 1,
                                   q->cfg.dir);
                q->reads_count--;
                rg->done(q, rg);
        }
}

/* All that the job had is taken from it before anybody is told: what they do begins the next one. */
static void disk_done(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, disk_job);
        struct raft_event ev = { .type = RAFT_EV_LOG_PERSISTED, .persisted = { q->group_edition, q->group.last } };
        bool appended = q->group_bytes;
        struct ilist reads;

        if (q->disk_result)
                quorum_die_io(q->cfg.dir, q->disk_result);
        ilist_init(&reads);
        ilist_splice_back(&reads, &q->reading);
        q->drop_below = 0;
        q->truncate_now = false;
        q->log_first_index = qlog_first_index(q->log);
        q->log_bytes = qlog_bytes(q->log);
        if (q->voters_bytes) {
                q->voters_file_index = q->voters_bytes_index;
                free(TAKE_PTR(q->voters_bytes));
        }
        if (appended) {
                free(TAKE_PTR(q->group_bytes));
                q->entries_written += (uint64_t)(q->group.last - q->group.first + 1);
                q->groups_written++;
                /* Void by now, some of it, when it was overtaken; the core goes by the edition. */
                q->written_index = MAX2(q->written_index, MIN2(q->group.last, q->disk_next - 1));
        }
        q->disk_busy = false;
        if (appended && core_goes_on(q))
                quorum_event(q, &ev);
        reads_done(q, &reads);
        quorum_trim(q);
        quorum_disk_kick(q);
        quorum_stop_continue(q);
}

/* Frame what waits as one group. Entries beyond a group's size wait for the next one. */
static void take_group(struct quorum *q)
{
        const struct quorum_entry *last;
        size_t len;

        q->group.first = q->disk_next;
        q->group_bytes = quorum_entries_frame(&q->entries, q->disk_next, q->last_index, QLOG_PAYLOAD_LEN_MAX, &len,
                                              &q->group.last);
        if (!q->group_bytes)
                quorum_die("no memory for an entry of the metadata log");
        q->group.bytes = span_of(q->group_bytes, len);
        last = quorum_entries_get(&q->entries, q->group.last);
        q->group.last_term = last->e.term;
        q->group_edition = q->edition;
        q->disk_next = q->group.last + 1;
}

/* How much of the head may go: alone all that the store holds, in a group what is more than others may want soon. */
static int64_t choose_drop(struct quorum *q)
{
        int64_t bound = q->cfg.volume_bytes_max, keep = 0, index;
        const struct quorum_voters_at *v;
        struct raft_event ev = { .type = RAFT_EV_CUT };

        if (q->is_group)
                keep = MAX2(MIN2(bound - q->snapshot_bytes - q->store_bytes, bound / 2), (int64_t)0);
        index = qlog_head_end(q->log, q->stored_index, keep);
        if (!index)
                return 0;
        v = quorum_voters_at(q, index);
        if (v && v->index > q->voters_file_index) { /* what named the members goes with the head */
                if (voters_encode(&v->voters, &q->voters_bytes, &q->voters_len))
                        return 0; /* no memory: another time */
                q->voters_bytes_index = v->index;
        }
        ev.cut.index = index;
        if (core_goes_on(q)) {
                q->disk_busy = true; /* what follows from it waits */
                quorum_event(q, &ev);
                q->disk_busy = false;
        }
        return index;
}

static bool has_work(const struct quorum *q)
{
        return q->truncate_to >= 0 || q->disk_next <= q->last_index || q->drop_due || q->reserve_due ||
               !ilist_is_empty(&q->reads);
}

void quorum_disk_kick(struct quorum *q)
{
        if (q->disk_busy || q->state == QUORUM_CLOSED || quorum_install_kick(q) || !has_work(q))
                return;
        if (q->drop_due) {
                q->drop_due = false;
                q->drop_below = choose_drop(q);
        }
        if (q->truncate_to >= 0) {
                const struct quorum_entry *e = quorum_entries_get(&q->entries, q->truncate_to);

                q->truncate_now = true;
                q->truncate_now_to = q->truncate_to;
                q->truncate_now_term = e ? e->e.term : raft_term_at(q->core, q->truncate_to);
                q->truncate_to = -1;
        }
        if (q->disk_next <= q->last_index)
                take_group(q);
        q->reserve_due = false;
        ilist_splice_back(&q->reading, &q->reads);
        q->disk_busy = true;
        q->disk_job = (struct io_job){ .run = disk_run, .done = disk_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->disk_job);
}

void quorum_log_drop(struct quorum *q)
{
        q->drop_due = true;
        quorum_disk_kick(q);
}

int quorum_read(struct quorum *q, struct quorum_reading *rg)
{
        if (q->reads_count >= QUORUM_READS_MAX)
                return -EAGAIN;
        q->reads_count++;
        ilist_push_back(&q->reads, &rg->link);
        quorum_disk_kick(q);
        return 0;
}
