/* What happens with entries that are committed, void or lost, and telling the owner: images, roles. Runs after the core's
 * actions, so that the owner may propose while it is told. */
#include <string.h>

#include "quorum/quorum_internal.h"

/* ---- entries that end otherwise ---- */

static void lose(struct quorum_entry *e)
{
        struct quorum_proposal *p = TAKE_PTR(e->proposal);

        if (p)
                p->done(p, QUORUM_E_LOST);
}

void quorum_lose_proposals(struct quorum *q)
{
        int64_t end = quorum_entries_end(&q->entries);

        for (int64_t i = MAX2(q->image->index + 1, q->entries.first); i < end; i++)
                lose(quorum_entries_get(&q->entries, i));
}

void quorum_void_newest(struct quorum *q)
{
        struct quorum_entry *e = quorum_entries_take_newest(&q->entries);

        if (e->proposal)
                ilist_push_back(&q->lost, &e->proposal->link);
        free(e);
}

static void tell_lost(struct quorum *q)
{
        struct quorum_proposal *p = ilist_entry(ilist_pop_front(&q->lost), struct quorum_proposal, link);

        p->done(p, QUORUM_E_LOST);
}

void quorum_drop_entries(struct quorum *q, int64_t from)
{
        while (q->entries.count && quorum_entries_end(&q->entries) > from) {
                struct quorum_entry *e = quorum_entries_get(&q->entries, quorum_entries_end(&q->entries) - 1);

                assert(e->e.index > q->image->index);
                q->pending_bytes -= e->e.payload.len;
                quorum_void_newest(q);
        }
        if (from < q->disk_next) {
                q->truncate_to = q->truncate_to < 0 ? from - 1 : MIN2(q->truncate_to, from - 1);
                q->disk_next = from;
        }
        q->written_index = MIN2(q->written_index, from - 1);
        q->last_index = from - 1;
        quorum_voters_drop(q, from);
}

void quorum_trim(struct quorum *q)
{
        int64_t keep = q->is_group ? q->cfg.cache_bytes : 0;

        while (q->entries.count && q->entries.first <= q->image->index && q->entries.first <= q->written_index &&
               (!keep || (int64_t)(q->entries.bytes - q->pending_bytes) > keep))
                free(quorum_entries_take_oldest(&q->entries));
}

/* ---- applying ---- */

/* Entries in one new image: enough that a burst costs one, and a turn stays short. */
enum { APPLY_BYTES = 4 << 20 };

static void apply_one(struct meta_builder *b, const struct quorum_entry *e)
{
        int r = 0;

        if (e->e.type == QLOG_RECORDS)
                r = meta_builder_apply_entry(b, e->e.payload, e->e.index);
        else if (e->e.type != QLOG_NOOP && e->e.type != QLOG_VOTERS)
                quorum_die("entry %lld of the log has type %d, which only a newer program knows; install it again",
                           (long long)e->e.index, e->e.type);
        if (r > 0)
                quorum_die("entry %lld of the log cannot be applied: %s", (long long)e->e.index, b->why);
        if (r < 0)
                quorum_die("entry %lld of the log cannot be applied: %s", (long long)e->e.index, strerror(-r));
}

/* Apply what is committed, as one new image. */
static void apply(struct quorum *q)
{
        struct quorum_applied a = { .before = q->image };
        int64_t first = q->image->index + 1, last = q->apply_to;
        struct meta_builder b;
        size_t bytes = 0;

        if (meta_builder_init(&b, q->image))
                quorum_die("no memory for the metadata image");
        for (int64_t i = first; i <= last && bytes <= APPLY_BYTES; i++) {
                struct quorum_entry *e = quorum_entries_get(&q->entries, i);

                assert(e);
                apply_one(&b, e);
                a.last_index = i;
                a.last_term = e->e.term;
                bytes += qlog_entry_size(e->e.payload.len);
                q->pending_bytes -= e->e.payload.len;
        }
        q->bytes_since_store += (int64_t)bytes;
        a.after = meta_builder_finish(&b, a.last_index, a.last_term);
        q->image = a.after;
        q->events.applied(q->events_arg, &a);
        meta_image_unref(a.before);
        for (int64_t i = first; i <= a.last_index; i++) {
                struct quorum_entry *e = quorum_entries_get(&q->entries, i);
                struct quorum_proposal *p = e ? TAKE_PTR(e->proposal) : NULL;

                if (p)
                        p->done(p, QUORUM_OK);
        }
        quorum_trim(q);
        quorum_store_kick(q, false);
}

/* A snapshot has taken the place of what was applied. */
static void tell_installed(struct quorum *q)
{
        struct meta_image *before = TAKE_PTR(q->installed_before);
        struct quorum_applied a = {
                .before = before, .after = q->image, .last_index = q->image->index, .last_term = q->image->term
        };

        q->events.applied(q->events_arg, &a);
        meta_image_unref(before);
}

/* ---- roles ---- */

/* The owner is told when this node begins to lead (with everything before applied), when another is known to, and when
 * what it was told does not hold any more. Elections on the way are no news. */
static void tell_role(struct quorum *q)
{
        struct quorum_role now;
        bool news;

        q->role_due = false;
        if (q->role != RAFT_LEADER && q->role_told.is_leader)
                quorum_lose_proposals(q);
        if (q->role == RAFT_LEADER && q->image->index >= q->term_start)
                q->active = true;
        now = quorum_role(q);
        news = now.is_leader != q->role_told.is_leader || now.leader_id != q->role_told.leader_id ||
               (now.leader_id >= 0 && now.term != q->role_told.term);
        if (!news || (now.is_leader && q->state != QUORUM_RUNNING)) /* who stops begins nothing */
                return;
        q->role_told = now;
        q->events.role(q->events_arg, &now);
        quorum_feed_wake(q);
        q->members_due = true;
}

/* A leader whose no-op has just been applied is one from now on. */
static bool role_is_due(const struct quorum *q)
{
        return q->role_due || (q->role == RAFT_LEADER && !q->active && q->image->index >= q->term_start);
}

/* Others are of this cluster or are not spoken with, once it is known which it is. */
static void tell_cluster(struct quorum *q)
{
        if (!q->hub || q->cluster_told || str_is_null(q->image->cluster_id))
                return;
        q->cluster_told = true;
        (void)peer_hub_set_cluster(q->hub, q->image->cluster_id); /* too long for it: then nobody is kept out */
}

void quorum_settle(struct quorum *q)
{
        if (q->settling)
                return;
        q->settling = true;
        tell_cluster(q);
        for (;;) {
                if (!ilist_is_empty(&q->lost)) {
                        tell_lost(q);
                } else if (q->installed_before) {
                        tell_installed(q);
                        quorum_feed_wake(q);
                } else if (q->image->index < q->apply_to) {
                        apply(q);
                        tell_cluster(q);
                        quorum_feed_wake(q);
                } else if (role_is_due(q)) {
                        tell_role(q);
                } else if (q->members_due) {
                        q->members_due = false;
                        quorum_members_kick(q);
                } else if (q->senders_due) {
                        q->senders_due = false;
                        quorum_senders_kick(q);
                } else {
                        break;
                }
        }
        q->settling = false;
        quorum_stop_continue(q);
}
