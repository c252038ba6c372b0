/* Opening the metadata folder: lock, vote, store, log, and the checks that they belong together. Closing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "quorum/quorum_internal.h"
#include "sys/clock.h"
#include "sys/file.h"

struct opening {
        struct quorum *q;
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

/* Entries that the store does not hold wait for their commit; older ones are only checked. */
static int note_entry(void *arg, const struct qlog_entry *e)
{
        struct quorum *q = arg;
        struct quorum_entry *n;

        if (e->index <= q->stored_index)
                return 0;
        n = quorum_entry_new(q, e);
        if (!n)
                return -ENOMEM;
        ilist_push_back(&q->written, &n->link);
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
        int r = qlog_open(&cfg, note_entry, q, &q->log, o->why, o->why_size);

        if (r)
                return r < 0 ? r : QUORUM_E_REFUSED;
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
        q->last_index = qlog_last_index(q->log);
        q->commit_index = q->stored_index;
        q->log_first_index = qlog_first_index(q->log);
        q->log_bytes = qlog_bytes(q->log);
        return 0;
}

int quorum_open(const struct quorum_config *cfg, const struct quorum_events *events, void *events_arg,
                struct quorum **ret_quorum, char *why, size_t why_size)
{
        CLEANUP(quorum_closep) struct quorum *q = calloc(1, sizeof *q);
        struct opening o = { .q = q, .why = why, .why_size = why_size };
        bool is_new;
        int r;

        if (!q)
                return -ENOMEM;
        why[0] = 0;
        q->cfg = *cfg;
        q->cfg.dir = strdup(cfg->dir);
        q->events = *events;
        q->events_arg = events_arg;
        q->lock_fd = -1;
        q->state = QUORUM_CLOSED;
        ilist_init(&q->unwritten);
        ilist_init(&q->writing);
        ilist_init(&q->written);
        r = q->cfg.dir ? lock_folder(&o) : -ENOMEM;
        if (!r)
                r = open_vote(&o, &is_new);
        /* What was read may be in the page cache only, and is acted upon. Where there is a vote, the folder's name is durable. */
        if (!r)
                r = is_new ? file_sync_parents(q->cfg.dir) : file_sync_dir(q->cfg.dir);
        if (!r)
                r = open_store(&o);
        if (!r)
                r = open_log(&o, is_new);
        if (!r && is_new)
                r = check_new(&o);
        if (r) {
                if (!why[0])
                        refuse(&o, r, "metadata folder %s cannot be opened: %s", cfg->dir,
                               strerror(r < 0 ? -r : EINVAL));
                return r;
        }
        *ret_quorum = TAKE_PTR(q);
        return 0;
}

static void free_entries(struct quorum *q, struct ilist *entries)
{
        ilist_for_each (e, entries, struct quorum_entry, link) {
                if (e->proposal)
                        e->proposal->done(e->proposal, QUORUM_E_LOST);
                quorum_entry_free(q, e);
        }
}

struct quorum *quorum_close(struct quorum *q)
{
        if (!q)
                return NULL;
        assert(q->state == QUORUM_CLOSED && !q->disk_busy && !q->store_busy);
        free_entries(q, &q->unwritten);
        free_entries(q, &q->written);
        qlog_close(q->log);
        meta_store_close(q->store);
        meta_image_unref(q->image);
        if (q->lock_fd >= 0)
                file_close(q->lock_fd);
        free(q->vote_path);
        free((void *)q->cfg.dir);
        free(q);
        return NULL;
}
