/* Opening the metadata folder: lock, vote, store, log, and the checks that they belong together. Closing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "quorum/quorum_internal.h"
#include "sys/clock.h"
#include "sys/file.h"

struct opening {
        struct quorum *q;
        struct snapshot_id snapshot; /* the newest; index 0: none */
        int32_t snapshot_log_term;   /* of the log's entry at its index; -1: not there */
        int32_t stored_log_term;     /* the same of the store's index */
        char *why;
        size_t why_size;
        char path[4096];
};

PRINTF_LIKE(3, 4)
static int refuse(struct opening *o, int result, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(o->why, o->why_size, fmt, ap);
        va_end(ap);
        return result;
}

static const char *path_of(struct opening *o, const char *name)
{
        snprintf(o->path, sizeof o->path, "%s/%s", o->q->cfg.dir, name);
        return o->path;
}

static int lock_folder(struct opening *o)
{
        struct quorum *q = o->q;
        int r = file_mkdirs(q->cfg.dir);

        if (r)
                return refuse(o, r, "metadata folder %s cannot be made: %s", q->cfg.dir, strerror(-r));
        q->lock_fd = file_lock(path_of(o, "lock"));
        if (q->lock_fd == -EWOULDBLOCK)
                return refuse(o, QUORUM_E_REFUSED,
                              "metadata folder %s is used by another process; stop that one, or give "
                              "this one a folder of its own",
                              q->cfg.dir);
        if (q->lock_fd < 0)
                return refuse(o, q->lock_fd,
                              "metadata folder %s cannot be locked: %s; it must be writable for this user", q->cfg.dir,
                              strerror(-q->lock_fd));
        return 0;
}

/* @ret_is_new: there was none, so that this folder has never been used. */
static int open_vote(struct opening *o, bool *ret_is_new)
{
        struct quorum *q = o->q;
        int r;

        q->vote_path = strdup(path_of(o, "vote"));
        if (!q->vote_path)
                return -ENOMEM;
        r = vote_read(q->vote_path, &q->vote);
        *ret_is_new = r == VOTE_E_MISSING;
        if (r == VOTE_E_MISSING) {
                q->vote = (struct vote){ .node_id = q->cfg.node_id,
                                         .directory = random_uuid(),
                                         .voted_for = META_NO_NODE };
                return 0;
        }
        if (r == VOTE_E_DAMAGED)
                return refuse(o, QUORUM_E_REFUSED,
                              "%s is damaged or of another program; remove the node from the quorum and "
                              "add it again with an empty folder",
                              q->vote_path);
        if (r)
                return refuse(o, r, "%s cannot be read: %s", q->vote_path, strerror(-r));
        if (q->vote.node_id != q->cfg.node_id)
                return refuse(o, QUORUM_E_REFUSED,
                              "metadata folder %s belongs to node %d, this is node %d; set server.node_id "
                              "or the folder right",
                              q->cfg.dir, q->vote.node_id, q->cfg.node_id);
        return 0;
}

/* A folder whose vote was lost could vote twice in a term. */
static int check_new(struct opening *o)
{
        struct quorum *q = o->q;

        if (!q->stored_index && qlog_last_index(q->log) == 0)
                return 0;
        return refuse(o, QUORUM_E_REFUSED,
                      "metadata folder %s has a log but no vote file; restore it, or remove the node from "
                      "the quorum and add it again with an empty folder",
                      q->cfg.dir);
}

static int open_store(struct opening *o)
{
        struct quorum *q = o->q;
        const char *dir = path_of(o, "image");
        char why[256];
        int r = meta_store_open(&(struct meta_store_config){ .dir = dir }, &q->store, &q->image, why, sizeof why);

        if (!r) {
                q->stored_index = q->image->index;
                return 0;
        }
        refuse(o, r,
               "metadata image %s %s; move it elsewhere and restore the folder from a backup or another controller",
               dir, why);
        return r < 0 ? r : QUORUM_E_REFUSED;
}

/* ---- the log ---- */

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

static int note_voters(struct opening *o, const struct qlog_entry *e)
{
        struct voters v;
        int r = voters_decode(e->payload, &v);

        if (r < 0)
                return r;
        if (r)
                return refuse(
                        o, QUORUM_E_REFUSED,
                        "entry %lld of the metadata log in %s names members in a way that this program does not know",
                        (long long)e->index, o->q->cfg.dir);
        quorum_voters_add(o->q, e->index, &v);
        return 0;
}

/* Entries that the store does not hold wait for their commit; older ones are only checked. */
static int note_entry(void *arg, const struct qlog_entry *e)
{
        struct opening *o = arg;
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
static int finish_install(struct opening *o)
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

static int check_log(struct opening *o)
{
        struct quorum *q = o->q;

        if (qlog_first_index(q->log) > q->stored_index + 1)
                return refuse(o, QUORUM_E_REFUSED,
                              "metadata log in %s begins at %lld, but the image ends at %lld: they do not "
                              "belong together",
                              q->cfg.dir, (long long)qlog_first_index(q->log), (long long)q->stored_index);
        if (qlog_last_index(q->log) < q->stored_index)
                return refuse(o, QUORUM_E_REFUSED,
                              "metadata log in %s ends at %lld, but the image holds %lld: part of the log "
                              "is missing",
                              q->cfg.dir, (long long)qlog_last_index(q->log), (long long)q->stored_index);
        if (qlog_first_index(q->log) == q->stored_index + 1)
                o->stored_log_term = qlog_prev_term(q->log);
        if (q->stored_index && o->stored_log_term != q->image->term)
                return refuse(o, QUORUM_E_REFUSED,
                              "metadata log in %s has term %d at index %lld, but the image says term %d: they do not "
                              "belong together",
                              q->cfg.dir, o->stored_log_term, (long long)q->stored_index, q->image->term);
        return 0;
}

static int open_log(struct opening *o, bool is_new)
{
        struct quorum *q = o->q;
        struct qlog_config cfg = {
                .dir = path_of(o, "log"),
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
        q->vote.term = MAX2(q->vote.term, qlog_last_term(q->log));
        return 0;
}

/* ---- members ---- */

/* The file holds for what was removed of the log; where the log still has the entry, the log goes first. */
static int read_voters(struct opening *o, bool *ret_found, int64_t *ret_index, struct voters *ret_voters)
{
        struct quorum *q = o->q;
        int r = voters_read(q->voters_path, ret_index, ret_voters);

        *ret_found = !r;
        q->voters_file_index = r ? -1 : *ret_index;
        if (r == VOTERS_E_DAMAGED)
                return refuse(
                        o, QUORUM_E_REFUSED,
                        "%s is damaged or of another program; remove the node from the group and add it again with "
                        "an empty folder",
                        q->voters_path);
        return r == VOTERS_E_MISSING ? 0 : r;
}

static int open_voters(struct opening *o)
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
                return refuse(
                        o, QUORUM_E_REFUSED,
                        "metadata folder %s is of a group of several controllers, but this node is configured to be "
                        "alone; set cluster.listen and cluster.controllers",
                        q->cfg.dir);
        return 0;
}

/* Others know a replica by its folder's identity: it is durable before it is told. */
static int keep_identity(struct opening *o, bool is_new)
{
        struct quorum *q = o->q;
        int r = is_new && q->is_group ? vote_write(q->vote_path, &q->vote) : 0;

        return r ? refuse(o, r, "%s cannot be written: %s", q->vote_path, strerror(-r)) : 0;
}

static int note_snapshot(void *arg, struct snapshot_id id, int64_t bytes)
{
        struct opening *o = arg;
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
static int list_snapshots(struct opening *o)
{
        struct quorum *q = o->q;
        struct file_info info;
        int r;

        q->snapshots_dir = strdup(path_of(o, "snapshots"));
        q->voters_path = strdup(path_of(o, "voters"));
        if (!q->snapshots_dir || !q->voters_path)
                return -ENOMEM;
        r = file_info(q->snapshots_dir, &info);
        if (r)
                return r == -ENOENT ? 0 : r; /* a node alone never makes one */
        r = snapshot_list(q->snapshots_dir, note_snapshot, o);
        return r ? refuse(o, r, "%s cannot be read: %s", q->snapshots_dir, strerror(-r)) : 0;
}

/* ---- what was configured ---- */

static int compare_controllers(const void *a, const void *b)
{
        const struct quorum_controller *x = a, *y = b;

        return (x->node > y->node) - (x->node < y->node);
}

static int copy_config(struct opening *o, const struct quorum_config *cfg)
{
        struct quorum *q = o->q;
        struct quorum_controller *list = calloc(cfg->controllers_count + 1, sizeof *list);
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        bool listed = !cfg->controllers_count;

        q->cfg = *cfg;
        q->cfg.dir = strdup(cfg->dir);
        q->cfg.controllers = list;
        q->cfg.controllers_count = 0;
        q->cfg.advertised = cfg->advertised ? strdup(cfg->advertised) : NULL;
        q->cfg.election_ms = cfg->election_ms ? cfg->election_ms : 1000;
        q->cfg.cache_bytes = cfg->cache_bytes ? cfg->cache_bytes : 8 << 20;
        q->cfg.volume_bytes_max = cfg->volume_bytes_max ? cfg->volume_bytes_max : 1 << 30;
        if (!list || !q->cfg.dir || (cfg->advertised && !q->cfg.advertised))
                return -ENOMEM;
        if (cfg->controllers_count > RAFT_MEMBERS_MAX)
                return refuse(o, QUORUM_E_REFUSED, "a list of %zu controllers; %d is the most", cfg->controllers_count,
                              RAFT_MEMBERS_MAX);
        for (size_t i = 0; i < cfg->controllers_count; i++) {
                list[i].node = cfg->controllers[i].node;
                list[i].address = strdup(cfg->controllers[i].address);
                if (!list[i].address)
                        return -ENOMEM;
                listed |= list[i].node == cfg->node_id;
                q->cfg.controllers_count++;
        }
        qsort(list, q->cfg.controllers_count, sizeof *list, compare_controllers);
        for (size_t i = 0; i < q->cfg.controllers_count; i++) {
                strbuf_printf(&text, "%s%d@%s", i ? "," : "", list[i].node, list[i].address);
                if (i && list[i].node == list[i - 1].node)
                        return refuse(o, QUORUM_E_REFUSED, "the list of controllers names node %d twice", list[i].node);
        }
        q->is_group = q->cfg.controllers_count > 0;
        q->controllers_text = text.len ? strbuf_take(&text) : strdup("");
        return q->controllers_text ? 0 : -ENOMEM;
}

int quorum_open(const struct quorum_config *cfg, const struct quorum_events *events, void *events_arg,
                struct quorum **ret_quorum, char *why, size_t why_size)
{
        CLEANUP(quorum_closep) struct quorum *q = calloc(1, sizeof *q);
        struct opening o = { .q = q, .why = why, .why_size = why_size, .snapshot_log_term = -1, .stored_log_term = -1 };
        bool is_new;
        int r;

        if (!q)
                return -ENOMEM;
        why[0] = 0;
        q->events = *events;
        q->events_arg = events_arg;
        q->lock_fd = -1;
        q->state = QUORUM_CLOSED;
        q->truncate_to = -1;
        q->leader = q->role_told.leader_id = META_NO_NODE;
        q->adding = RAFT_NOBODY;
        ilist_init(&q->voters);
        ilist_init(&q->reads);
        ilist_init(&q->reading);
        ilist_init(&q->senders);
        ilist_init(&q->calls);
        ilist_init(&q->waiters);
        r = copy_config(&o, cfg);
        if (!r)
                r = lock_folder(&o);
        if (!r)
                r = open_vote(&o, &is_new);
        /* What was read may be in the page cache only, and is acted upon. Where there is a vote, the folder's name is durable. */
        if (!r)
                r = is_new ? file_sync_parents(q->cfg.dir) : file_sync_dir(q->cfg.dir);
        if (!r)
                r = list_snapshots(&o);
        if (!r)
                r = open_store(&o);
        if (!r)
                r = open_log(&o, is_new);
        if (!r && is_new)
                r = check_new(&o);
        if (!r)
                r = open_voters(&o);
        if (!r)
                r = keep_identity(&o, is_new);
        if (r) {
                if (!why[0])
                        refuse(&o, r, "metadata folder %s cannot be opened: %s", cfg->dir,
                               strerror(r < 0 ? -r : EINVAL));
                return r;
        }
        *ret_quorum = TAKE_PTR(q);
        return 0;
}

static void free_config(struct quorum *q)
{
        for (size_t i = 0; i < q->cfg.controllers_count; i++)
                free((void *)q->cfg.controllers[i].address);
        free((void *)q->cfg.controllers);
        free((void *)q->cfg.advertised);
        free((void *)q->cfg.dir);
        free(q->controllers_text);
        free(q->vote_path);
        free(q->voters_path);
        free(q->snapshots_dir);
}

struct quorum *quorum_close(struct quorum *q)
{
        struct quorum_entry *e;

        if (!q)
                return NULL;
        assert(q->state == QUORUM_CLOSED && !q->disk_busy && !q->store_busy && !q->jobs);
        ilist_for_each (c, &q->calls, struct quorum_call, link)
                quorum_call_free(c);
        while ((e = quorum_entries_take_newest(&q->entries)))
                free(e);
        free(q->entries.at);
        quorum_voters_drop(q, 0);
        quorum_receiving_end(q);
        quorum_senders_free(q);
        raft_free(q->core);
        free(q->runs);
        free(q->observers);
        free(q->voters_bytes);
        free(q->install_voters);
        qlog_close(q->log);
        meta_store_close(q->store);
        meta_image_unref(q->installed_before);
        meta_image_unref(q->install_image);
        meta_image_unref(q->image);
        if (q->lock_fd >= 0)
                file_close(q->lock_fd);
        free_config(q);
        free(q);
        return NULL;
}

int quorum_attach(struct quorum *q, struct peer_hub *hub)
{
        assert(q->is_group && q->state == QUORUM_CLOSED);
        q->hub = hub;
        return quorum_services_register(q, hub);
}
