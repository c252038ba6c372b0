/* Opening the metadata folder of a node without a vote, and closing it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quorum/observer_internal.h"
#include "sys/clock.h"
#include "sys/file.h"

struct opening {
        struct observer *o;
        char *why;
        size_t why_size;
        char path[4096];
};

PRINTF_LIKE(3, 4)
static int refuse(struct opening *op, int result, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(op->why, op->why_size, fmt, ap);
        va_end(ap);
        return result;
}

static const char *path_of(struct opening *op, const char *name)
{
        snprintf(op->path, sizeof op->path, "%s/%s", op->o->cfg.dir, name);
        return op->path;
}

static int lock_folder(struct opening *op)
{
        struct observer *o = op->o;
        int r = file_mkdirs(o->cfg.dir);

        if (r)
                return refuse(op, r, "metadata folder %s cannot be made: %s", o->cfg.dir, strerror(-r));
        o->lock_fd = file_lock(path_of(op, "lock"));
        if (o->lock_fd == -EWOULDBLOCK)
                return refuse(
                        op, QUORUM_E_REFUSED,
                        "metadata folder %s is used by another process; stop that one, or give this one a folder of "
                        "its own",
                        o->cfg.dir);
        if (o->lock_fd < 0)
                return refuse(op, o->lock_fd,
                              "metadata folder %s cannot be locked: %s; it must be writable for this user", o->cfg.dir,
                              strerror(-o->lock_fd));
        return 0;
}

/* A folder that has a log was a voter's, or a learner's: what is in it need not be committed. */
static int check_kind(struct opening *op)
{
        struct file_info info;
        int r = file_info(path_of(op, "log"), &info);

        if (r == -ENOENT)
                return 0;
        if (r)
                return refuse(op, r, "%s cannot be read: %s", op->path, strerror(-r));
        return refuse(
                op, QUORUM_E_REFUSED,
                "metadata folder %s is a controller's, and this node has no role controller; give it an empty folder, "
                "after the voter was removed from the group",
                op->o->cfg.dir);
}

static int open_identity(struct opening *op)
{
        struct observer *o = op->o;
        int r = vote_read(path_of(op, "vote"), &o->vote);

        if (r == VOTE_E_DAMAGED)
                return refuse(op, QUORUM_E_REFUSED,
                              "%s is damaged or of another program; give the node an empty folder", op->path);
        if (!r && o->vote.node_id != o->cfg.node_id)
                return refuse(
                        op, QUORUM_E_REFUSED,
                        "metadata folder %s belongs to node %d, this is node %d; set server.node_id or the folder "
                        "right",
                        o->cfg.dir, o->vote.node_id, o->cfg.node_id);
        if (r == VOTE_E_MISSING) {
                o->vote = (struct vote){ .node_id = o->cfg.node_id,
                                         .directory = random_uuid(),
                                         .voted_for = META_NO_NODE };
                r = file_sync_parents(o->cfg.dir);
                if (!r)
                        r = vote_write(path_of(op, "vote"), &o->vote);
        }
        return r ? refuse(op, r, "%s cannot be used: %s", op->path, strerror(-r)) : 0;
}

static int open_store(struct opening *op)
{
        struct observer *o = op->o;
        const char *dir = path_of(op, "image");
        char why[256];
        int r = meta_store_open(&(struct meta_store_config){ .dir = dir }, &o->store, &o->image, why, sizeof why);

        if (r) {
                refuse(op, r, "metadata image %s %s; give the node an empty metadata folder, it gets all anew", dir,
                       why);
                return r < 0 ? r : QUORUM_E_REFUSED;
        }
        o->stored_index = o->image->index;
        if (o->cluster_id && !str_is_null(o->image->cluster_id) && !str_equal_c(o->image->cluster_id, o->cluster_id))
                return refuse(
                        op, QUORUM_E_REFUSED,
                        "metadata folder %s is of cluster %.*s, but the configuration says %s; correct one of them",
                        o->cfg.dir, STR_FMT(o->image->cluster_id), o->cluster_id);
        if (!o->cluster_id && !str_is_null(o->image->cluster_id)) {
                o->cluster_id = strndup(o->image->cluster_id.p, o->image->cluster_id.len);
                return o->cluster_id ? 0 : -ENOMEM;
        }
        return 0;
}

static int none_is_kept(void *arg, struct snapshot_id id, int64_t bytes)
{
        struct observer *o = arg;

        return snapshot_remove(o->snapshots_dir, id);
}

static int open_snapshots(struct opening *op)
{
        struct observer *o = op->o;
        int r;

        o->snapshots_dir = strdup(path_of(op, "snapshots"));
        if (!o->snapshots_dir)
                return -ENOMEM;
        r = snapshot_list(o->snapshots_dir, none_is_kept, o);
        return r ? refuse(op, r, "%s cannot be used: %s", o->snapshots_dir, strerror(-r)) : 0;
}

static int copy_config(struct opening *op, const struct observer_config *cfg)
{
        struct observer *o = op->o;

        o->cfg = *cfg;
        o->cfg.dir = strdup(cfg->dir);
        o->cfg.wait_ms = cfg->wait_ms ? cfg->wait_ms : 5000;
        if (!str_is_null(cfg->cluster_id)) {
                o->cluster_id = strndup(cfg->cluster_id.p, cfg->cluster_id.len);
                if (!o->cluster_id)
                        return -ENOMEM;
        }
        if (!o->cfg.dir)
                return -ENOMEM;
        if (!cfg->controllers_count || cfg->controllers_count > RAFT_MEMBERS_MAX)
                return refuse(op, QUORUM_E_REFUSED, "a list of %zu controllers to follow; 1 to %d are possible",
                              cfg->controllers_count, RAFT_MEMBERS_MAX);
        for (size_t i = 0; i < cfg->controllers_count; i++) {
                struct observer_controller *c = &o->controllers[o->controllers_count++];

                c->node = cfg->controllers[i].node;
                snprintf(c->address, sizeof c->address, "%s", cfg->controllers[i].address);
        }
        return 0;
}

int observer_open(const struct observer_config *cfg, const struct quorum_events *events, void *events_arg,
                  struct observer **ret_observer, char *why, size_t why_size)
{
        CLEANUP(observer_closep) struct observer *o = calloc(1, sizeof *o);
        struct opening op = { .o = o, .why = why, .why_size = why_size };
        int r;

        if (!o)
                return -ENOMEM;
        why[0] = 0;
        o->events = *events;
        o->events_arg = events_arg;
        o->lock_fd = -1;
        o->heard_ms = -1;
        o->role.leader_id = META_NO_NODE;
        r = copy_config(&op, cfg);
        if (!r)
                r = lock_folder(&op);
        if (!r)
                r = check_kind(&op);
        if (!r)
                r = open_identity(&op);
        if (!r)
                r = open_store(&op);
        if (!r)
                r = open_snapshots(&op);
        if (r) {
                if (!why[0])
                        refuse(&op, r, "metadata folder %s cannot be opened: %s", cfg->dir,
                               strerror(r < 0 ? -r : EINVAL));
                return r;
        }
        *ret_observer = TAKE_PTR(o);
        return 0;
}

struct observer *observer_close(struct observer *o)
{
        if (!o)
                return NULL;
        assert(o->state == OBSERVER_CLOSED && !o->store_busy && !o->snapshot_busy);
        meta_store_close(o->store);
        meta_image_unref(o->image);
        meta_image_unref(o->snapshot.image);
        iobuf_unref(o->snapshot.frame);
        if (o->lock_fd >= 0)
                file_close(o->lock_fd);
        free(o->snapshots_dir);
        free(o->cluster_id);
        free((void *)o->cfg.dir);
        free(o);
        return NULL;
}
