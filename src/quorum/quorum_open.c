/* Opening the metadata folder: lock, vote, store, log, and the checks that they belong together. Closing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "quorum/quorum_open.h"
#include "sys/clock.h"
#include "sys/file.h"

int quorum_open_refuse(struct quorum_opening *o, int result, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(o->why, o->why_size, fmt, ap);
        va_end(ap);
        return result;
}

const char *quorum_open_path(struct quorum_opening *o, const char *name)
{
        snprintf(o->path, sizeof o->path, "%s/%s", o->q->cfg.dir, name);
        return o->path;
}

static int lock_folder(struct quorum_opening *o)
{
        struct quorum *q = o->q;
        int r = file_mkdirs(q->cfg.dir);

        if (r)
                return quorum_open_refuse(o, r, "metadata folder %s cannot be made: %s", q->cfg.dir, strerror(-r));
        q->lock_fd = file_lock(quorum_open_path(o, "lock"));
        if (q->lock_fd == -EWOULDBLOCK)
                return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                          "metadata folder %s is used by another process; stop that one, or give "
                                          "this one a folder of its own",
                                          q->cfg.dir);
        if (q->lock_fd < 0)
                return quorum_open_refuse(o, q->lock_fd,
                                          "metadata folder %s cannot be locked: %s; it must be writable for this user",
                                          q->cfg.dir, strerror(-q->lock_fd));
        return 0;
}

/* @ret_is_new: there was none, so that this folder has never been used. */
static int open_vote(struct quorum_opening *o, bool *ret_is_new)
{
        struct quorum *q = o->q;
        int r;

        q->vote_path = strdup(quorum_open_path(o, "vote"));
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
                return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                          "%s is damaged or of another program; remove the node from the quorum and "
                                          "add it again with an empty folder",
                                          q->vote_path);
        if (r)
                return quorum_open_refuse(o, r, "%s cannot be read: %s", q->vote_path, strerror(-r));
        if (q->vote.node_id != q->cfg.node_id)
                return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                          "metadata folder %s belongs to node %d, this is node %d; set server.node_id "
                                          "or the folder right",
                                          q->cfg.dir, q->vote.node_id, q->cfg.node_id);
        return 0;
}

/* A folder whose vote was lost could vote twice in a term. */
static int check_new(struct quorum_opening *o)
{
        struct quorum *q = o->q;

        if (!q->stored_index && qlog_last_index(q->log) == 0)
                return 0;
        return quorum_open_refuse(o, QUORUM_E_REFUSED,
                                  "metadata folder %s has a log but no vote file; restore it, or remove the node from "
                                  "the quorum and add it again with an empty folder",
                                  q->cfg.dir);
}

static int open_store(struct quorum_opening *o)
{
        struct quorum *q = o->q;
        const char *dir = quorum_open_path(o, "image");
        char why[256];
        int r = meta_store_open(&(struct meta_store_config){ .dir = dir }, &q->store, &q->image, why, sizeof why);

        if (!r) {
                q->stored_index = q->image->index;
                return 0;
        }
        quorum_open_refuse(
                o, r,
                "metadata image %s %s; move it elsewhere and restore the folder from a backup or another controller",
                dir, why);
        return r < 0 ? r : QUORUM_E_REFUSED;
}

/* Others know a replica by its folder's identity: it is durable before it is told. */
static int keep_identity(struct quorum_opening *o, bool is_new)
{
        struct quorum *q = o->q;
        int r = is_new && q->is_group ? vote_write(q->vote_path, &q->vote) : 0;

        return r ? quorum_open_refuse(o, r, "%s cannot be written: %s", q->vote_path, strerror(-r)) : 0;
}

/* ---- what was configured ---- */

static int compare_controllers(const void *a, const void *b)
{
        const struct quorum_controller *x = a, *y = b;

        return (x->node > y->node) - (x->node < y->node);
}

static int copy_config(struct quorum_opening *o, const struct quorum_config *cfg)
{
        struct quorum *q = o->q;
        struct quorum_controller *list = calloc(cfg->controllers_count + 1, sizeof *list);
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

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
                return quorum_open_refuse(o, QUORUM_E_REFUSED, "a list of %zu controllers; %d is the most",
                                          cfg->controllers_count, RAFT_MEMBERS_MAX);
        for (size_t i = 0; i < cfg->controllers_count; i++) {
                list[i].node = cfg->controllers[i].node;
                list[i].address = strdup(cfg->controllers[i].address);
                if (!list[i].address)
                        return -ENOMEM;
                q->cfg.controllers_count++;
        }
        qsort(list, q->cfg.controllers_count, sizeof *list, compare_controllers);
        for (size_t i = 0; i < q->cfg.controllers_count; i++) {
                strbuf_printf(&text, "%s%d@%s", i ? "," : "", list[i].node, list[i].address);
                if (i && list[i].node == list[i - 1].node)
                        return quorum_open_refuse(o, QUORUM_E_REFUSED, "the list of controllers names node %d twice",
                                                  list[i].node);
        }
        q->is_group = q->cfg.controllers_count > 0;
        q->controllers_text = text.len ? strbuf_take(&text) : strdup("");
        return q->controllers_text ? 0 : -ENOMEM;
}

int quorum_open(const struct quorum_config *cfg, const struct quorum_events *events, void *events_arg,
                struct quorum **ret_quorum, char *why, size_t why_size)
{
        CLEANUP(quorum_closep) struct quorum *q = calloc(1, sizeof *q);
        struct quorum_opening o = {
                .q = q, .why = why, .why_size = why_size, .snapshot_log_term = -1, .stored_log_term = -1
        };
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
        ilist_init(&q->lost);
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
                r = quorum_open_snapshots(&o);
        if (!r)
                r = open_store(&o);
        if (!r)
                r = quorum_open_log(&o, is_new);
        if (!r && is_new)
                r = check_new(&o);
        if (!r)
                r = quorum_open_voters(&o);
        if (!r)
                r = keep_identity(&o, is_new);
        if (r) {
                if (!why[0])
                        quorum_open_refuse(&o, r, "metadata folder %s cannot be opened: %s", cfg->dir,
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
