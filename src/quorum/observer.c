/* See observer.h. This file: images and roles going out, the store, stopping. Asking is in observer_fetch.c, opening in
 * observer_open.c. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quorum/observer_internal.h"
#include "quorum/quorum_internal.h"
#include "sys/diag.h"

#define STORE_AFTER_BYTES (1 << 20)
#define STORE_AFTER_MS 5000

/* ---- the store ---- */

static void store_run(struct io_job *job)
{
        struct observer *o = container_of(job, struct observer, store_job);

        o->store_result = meta_store_commit(o->store, o->store_image);
}

static void store_done(struct io_job *job)
{
        struct observer *o = container_of(job, struct observer, store_job);

        o->store_full = o->store_result == -ENOSPC || o->store_result == -EDQUOT;
        if (o->store_full) {
                diag_limited(
                        DIAG_ERROR,
                        "metadata: no room for the image in %s; free some. Nothing is lost: the controllers have it",
                        o->cfg.dir);
        } else if (o->store_result) {
                quorum_die_io(o->cfg.dir, o->store_result);
        } else {
                o->stored_index = o->store_image->index;
        }
        o->store_busy = false;
        o->store_image = meta_image_unref(o->store_image);
        observer_store_kick(o, false);
        observer_stop_continue(o);
}

void observer_store_kick(struct observer *o, bool now)
{
        int64_t after_bytes = o->cfg.store_after_bytes ? o->cfg.store_after_bytes : STORE_AFTER_BYTES;

        if (o->store_busy || o->stored_index >= o->image->index)
                return;
        if (!now && (o->bytes_since_store < after_bytes || o->store_full)) {
                if (!loop_timer_is_active(&o->store_timer))
                        loop_timer_start(&o->store_timer,
                                         o->cfg.store_after_ms ? o->cfg.store_after_ms : STORE_AFTER_MS);
                return;
        }
        loop_timer_stop(&o->store_timer);
        o->bytes_since_store = 0;
        o->store_busy = true;
        o->store_image = meta_image_ref(o->image);
        o->store_job = (struct io_job){ .run = store_run, .done = store_done, .reply_loop = o->cfg.loop };
        iopool_submit(o->cfg.pool, &o->store_job);
}

static void store_timer_fired(struct loop_timer *t)
{
        observer_store_kick(container_of(t, struct observer, store_timer), true);
}

/* ---- telling ---- */

void observer_refuse(struct observer *o, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(o->trouble, sizeof o->trouble, fmt, ap);
        va_end(ap);
        if (o->state != OBSERVER_FOLLOWING)
                return;
        o->state = OBSERVER_REFUSED;
        diag(DIAG_ERROR, "metadata: this node does not follow the cluster any more: %s", o->trouble);
        if (o->cfg.refused)
                o->cfg.refused(o->events_arg, o->trouble);
}

static bool cluster_fits(struct observer *o, const struct meta_image *after)
{
        if (str_is_null(after->cluster_id) || !o->cluster_id || str_equal_c(after->cluster_id, o->cluster_id))
                return true;
        observer_refuse(o,
                        "the controllers are of cluster %.*s, this node is of %s; correct the addresses of one of them",
                        STR_FMT(after->cluster_id), o->cluster_id);
        return false;
}

void observer_advance(struct observer *o, struct meta_image *after, size_t bytes)
{
        struct quorum_applied a = {
                .before = o->image, .after = after, .last_index = after->index, .last_term = after->term
        };

        if (!cluster_fits(o, after)) {
                meta_image_unref(after);
                return;
        }
        o->image = after;
        if (!o->cluster_id && !str_is_null(after->cluster_id)) {
                o->cluster_id = strndup(after->cluster_id.p, after->cluster_id.len);
                (void)peer_hub_set_cluster(o->hub, after->cluster_id); /* too long for it: then nobody is kept out */
        }
        o->bytes_since_store += (int64_t)bytes;
        o->events.applied(o->events_arg, &a);
        meta_image_unref(a.before);
        observer_store_kick(o, false);
}

void observer_lead(struct observer *o, int32_t leader, int32_t term)
{
        struct quorum_role role = { false, term, leader };

        /* Another controller may not know yet what one has said already. */
        if (term < o->role.term ||
            (o->role_known && term == o->role.term && (leader < 0 || leader == o->role.leader_id)))
                return;
        if (!o->role_known && leader < 0)
                return;
        o->role = role;
        o->role_known = true;
        o->events.role(o->events_arg, &role);
}

/* ---- life ---- */

void observer_start(struct observer *o, struct peer_hub *hub)
{
        loop_assert_here(o->cfg.loop);
        assert(o->state == OBSERVER_CLOSED);
        o->hub = hub;
        o->state = OBSERVER_FOLLOWING;
        loop_timer_init(&o->store_timer, o->cfg.loop, store_timer_fired);
        observer_fetch_init(o);
        if (o->cluster_id)
                (void)peer_hub_set_cluster(hub, str_of(o->cluster_id)); /* likewise */
        observer_fetch(o);
}

/* A request that waits at a controller is not waited for: it ends with the hub. */
void observer_stop_continue(struct observer *o)
{
        if (o->state != OBSERVER_STOPPING || o->store_busy || o->snapshot_busy)
                return;
        if (o->stored_index < o->image->index && !o->store_full) {
                observer_store_kick(o, true);
                return;
        }
        loop_timer_stop(&o->store_timer);
        loop_timer_stop(&o->retry_timer);
        o->state = OBSERVER_CLOSED;
        o->stop_done(o->stop_arg);
}

void observer_stop(struct observer *o, void (*done)(void *arg), void *arg)
{
        loop_assert_here(o->cfg.loop);
        assert(o->state == OBSERVER_FOLLOWING || o->state == OBSERVER_REFUSED);
        o->state = OBSERVER_STOPPING;
        o->stop_done = done;
        o->stop_arg = arg;
        o->store_full = false; /* one more attempt */
        observer_stop_continue(o);
}

struct meta_image *observer_image(const struct observer *o)
{
        return meta_image_ref(o->image);
}

struct quorum_role observer_role(const struct observer *o)
{
        return o->role;
}

struct uuid observer_directory(const struct observer *o)
{
        return o->vote.directory;
}

void observer_stats(const struct observer *o, struct observer_stats *ret)
{
        *ret = (struct observer_stats){
                .applied_index = o->image->index,
                .stored_index = o->stored_index,
                .commit_index = o->commit_index,
                .controller = o->failures || !o->controllers_count ? META_NO_NODE : o->controllers[o->at].node,
                .heard_ms = o->heard_ms,
                .fetches = o->fetches,
                .snapshots = o->snapshots,
        };
        memcpy(ret->trouble, o->trouble, sizeof ret->trouble);
}
