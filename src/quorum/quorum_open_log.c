/* Opening the log, with what stands beside it: a snapshot whose turn had not come, the members. */
#include <errno.h>
#include <string.h>

#include "quorum/quorum_open.h"
#include "sys/file.h"

static int note_run(struct quorum *q, const struct qlog_entry *e)
{
        size_t n = q->restore.runs_count;

        if (n && q->runs[n - 1].term == e->term)
                return 0;
        if (n == q->runs_size) {
                size_t size = n ? n * 2 : 16;
                struct raft_run *runs = realloc(q->runs, size * sizeof *runs);

                if (!runs)
                        return -ENOMEM;
                q->runs = runs;
                q->runs_size = size;
        }
        q->runs[q->restore.runs_count++] = (struct raft_run){ e->index, e->term };
        return 0;
}

static int note_voters(struct quorum_opening *o, const struct qlog_entry *e)
{
        struct voters v;
        int r = voters_decode(e->payload, &v);

        if (r < 0)
                return r;
        if (r)
                return quorum_open_refuse(
                        o, QUORUM_E_REFUSED,
                        "entry %lld of the metadata log in %s names members in a way that this program does not know",
                        (long long)e->index, o->q->cfg.dir);
        quorum_voters_add(o->q, e->index, &v);
        return 0;
}

/* Entries that the store does not hold wait for their commit; older ones are only checked. */
static int note_entry(void *arg, const struct qlog_entry *e)
{
        struct quorum_opening *o = arg;
        struct quorum *q = o->q;
        struct quorum_entry *n;
        int r = note_run(q, e);

        if (!r && e->type == QLOG_VOTERS)
                r = note_voters(o, e);
        if (e->index == o->snapshot.index)
                o->snapshot_log_term = e->term;
        if (e->index == q->stored_index)
                o->stored_log_term = e->term;
        if (r || e->index <= q->stored_index)
                return r;
        if (quorum_entries_reserve(&q->entries, 1))
                return -ENOMEM;
        if (!q->entries.count)
                q->entries.first = e->index;
        n = quorum_entry_new(e);
        if (!n)
                return -ENOMEM;
        quorum_entries_add(&q->entries, n);
        q->pending_bytes += e->payload.len;
        return 0;
}

static void forget_log(struct quorum *q)
{
        struct quorum_entry *e;

        while ((e = quorum_entries_take_newest(&q->entries)))
                free(e);
        q->entries.first = q->stored_index + 1;
        q->pending_bytes = 0;
        q->restore.runs_count = 0;
}

/* A snapshot that was received whole, but whose turn had not come. */
static int finish_install(struct quorum_opening *o)
{
        struct quorum *q = o->q;
        int64_t before = qlog_first_index(q->log) - 1;
        int r;

        if (!o->snapshot.index)
                return 0;
        if (o->snapshot.index == before)
                o->snapshot_log_term = qlog_prev_term(q->log);
        r = quorum_install_finish(q, o->snapshot, o->snapshot_log_term, o->why, o->why_size);
        if (!r && qlog_last_index(q->log) == o->snapshot.index && q->stored_index == o->snapshot.index &&
            qlog_first_index(q->log) == o->snapshot.index + 1)
                forget_log(q);
        return r;
}

static int check_log(struct quorum_opening *o)
{
        struct quorum *q = o->q;

        if (qlog_first_index(q->log) > q->stored_index + 1)
                return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                          "metadata log in %s begins at %lld, but the image ends at %lld: they do not "
                                          "belong together",
                                          q->cfg.dir, (long long)qlog_first_index(q->log), (long long)q->stored_index);
        if (qlog_last_index(q->log) < q->stored_index)
                return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                          "metadata log in %s ends at %lld, but the image holds %lld: part of the log "
                                          "is missing",
                                          q->cfg.dir, (long long)qlog_last_index(q->log), (long long)q->stored_index);
        if (qlog_first_index(q->log) == q->stored_index + 1)
                o->stored_log_term = qlog_prev_term(q->log);
        if (q->stored_index && o->stored_log_term != q->image->term)
                return quorum_open_refuse(
                        o, QUORUM_E_REFUSED,
                        "metadata log in %s has term %d at index %lld, but the image says term %d: they do not "
                        "belong together",
                        q->cfg.dir, o->stored_log_term, (long long)q->stored_index, q->image->term);
        return 0;
}

int quorum_open_log(struct quorum_opening *o, bool is_new)
{
        struct quorum *q = o->q;
        struct qlog_config cfg = {
                .dir = quorum_open_path(o, "log"),
                .segment_len = q->cfg.segment_len,
                .first_index = q->stored_index + 1,
                .may_create = is_new && !q->stored_index,
        };
        int r;

        q->entries.first = q->stored_index + 1;
        r = qlog_open(&cfg, note_entry, o, &q->log, o->why, o->why_size);
        if (r)
                return r < 0 ? r : QUORUM_E_REFUSED;
        r = finish_install(o);
        if (!r)
                r = check_log(o);
        if (r)
                return r;
        q->last_index = q->written_index = qlog_last_index(q->log);
        q->disk_next = q->last_index + 1;
        q->apply_to = q->stored_index;
        q->log_first_index = qlog_first_index(q->log);
        q->log_bytes = qlog_bytes(q->log);
        q->store_bytes = meta_store_bytes(q->store);
        q->restore.cut_index = q->log_first_index - 1;
        q->restore.cut_term = qlog_prev_term(q->log);
        q->restore.last_index = q->last_index;
        q->restore.commit_index = q->stored_index;
        return 0;
}

/* ---- members ---- */

/* The file holds for what was removed of the log; where the log still has the entry, the log goes first. */
static int read_voters(struct quorum_opening *o, bool *ret_found, int64_t *ret_index, struct voters *ret_voters)
{
        struct quorum *q = o->q;
        int r = voters_read(q->voters_path, ret_index, ret_voters);

        *ret_found = !r;
        q->voters_file_index = r ? -1 : *ret_index;
        if (r == VOTERS_E_DAMAGED)
                return quorum_open_refuse(
                        o, QUORUM_E_REFUSED,
                        "%s is damaged or of another program; remove the node from the group and add it again with "
                        "an empty folder",
                        q->voters_path);
        return r == VOTERS_E_MISSING ? 0 : r;
}

int quorum_open_voters(struct quorum_opening *o)
{
        struct quorum *q = o->q;
        struct quorum_voters_at *oldest;
        struct voters v;
        int64_t index;
        bool found;
        int r = read_voters(o, &found, &index, &v);

        if (r)
                return r;
        oldest = ilist_first(&q->voters, struct quorum_voters_at, link);
        if (found && (!oldest || oldest->index > index)) {
                struct ilist later;

                ilist_init(&later);
                ilist_splice_back(&later, &q->voters);
                quorum_voters_add(q, MIN2(index, q->last_index), &v);
                ilist_splice_back(&q->voters, &later);
        }
        quorum_voters_prune(q, q->stored_index);
        if (ilist_is_empty(&q->voters) && (!q->is_group || q->vote.term || q->last_index)) {
                quorum_voters_begin(q, &v); /* a node alone, which may be told of others now */
                quorum_voters_add(q, 0, &v);
        }
        if (!q->is_group && !quorum_is_only_voter(q))
                return quorum_open_refuse(
                        o, QUORUM_E_REFUSED,
                        "metadata folder %s is of a group of several controllers, but this node is configured to be "
                        "alone; set cluster.listen and cluster.controllers",
                        q->cfg.dir);
        return 0;
}

static int note_snapshot(void *arg, struct snapshot_id id, int64_t bytes)
{
        struct quorum_opening *o = arg;
        struct quorum *q = o->q;

        if (q->snapshots_count == QUORUM_SNAPSHOTS_MAX || (o->snapshot.index && id.index < o->snapshot.index))
                return snapshot_remove(q->snapshots_dir, id);
        for (uint32_t i = 0; i < q->snapshots_count; i++) {
                int r = snapshot_remove(q->snapshots_dir, q->snapshots[i].id);

                if (r)
                        return r;
        }
        q->snapshots_count = 1;
        q->snapshots[0] = (struct quorum_snapshot_file){ .id = id, .bytes = bytes };
        q->snapshot_bytes = bytes;
        o->snapshot = id;
        return 0;
}

/* The newest one is kept, for others or because its turn has not come. */
int quorum_open_snapshots(struct quorum_opening *o)
{
        struct quorum *q = o->q;
        struct file_info info;
        int r;

        q->snapshots_dir = strdup(quorum_open_path(o, "snapshots"));
        q->voters_path = strdup(quorum_open_path(o, "voters"));
        if (!q->snapshots_dir || !q->voters_path)
                return -ENOMEM;
        r = file_info(q->snapshots_dir, &info);
        if (r)
                return r == -ENOENT ? 0 : r; /* a node alone never makes one */
        r = snapshot_list(q->snapshots_dir, note_snapshot, o);
        return r ? quorum_open_refuse(o, r, "%s cannot be read: %s", q->snapshots_dir, strerror(-r)) : 0;
}
