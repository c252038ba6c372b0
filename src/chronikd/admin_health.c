/* /v1/here/health of the admin listener: has this node come back? What a gate asks before an update counts as good, so it tells apart
 * what is this node's own fault and what it waits for others for:
 *
 *   ok        it serves, every replica here is in sync that can be, and it has what the active controller has
 *   starting  it opens its logs
 *   behind    it catches up
 *   waiting   others have to come first: there is no active controller, or nobody leads what is to be fetched
 *   broken    waiting will not help */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"

/* Entries of the metadata that a controller may be behind while it follows: a few arrive at any time. */
enum { LAG_MAX = 100, WHY_SIZE = 200 };

struct health_view {
        const char *state; /* NULL: nothing is wrong so far */
        char why[WHY_SIZE];
};

static void found(struct health_view *h, const char *state, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void found(struct health_view *h, const char *state, const char *fmt, ...)
{
        va_list ap;

        if (h->state)
                return;
        h->state = state;
        va_start(ap, fmt);
        vsnprintf(h->why, WHY_SIZE, fmt, ap);
        va_end(ap);
}

static void look_at_store(struct node *n, struct health_view *h)
{
        struct plog_store_stats logs;

        plog_store_stats(n->store, &logs);
        if (logs.logs_failed)
                found(h, "broken", "%u partition%s read-only since a write failed: look at the disk", logs.logs_failed,
                      logs.logs_failed == 1 ? " is" : "s are");
        if (atomic_load(&n->led.opens_done) < atomic_load(&n->led.opens_wanted)) {
                char text[PROGRESS_TEXT_SIZE];

                progress_text(n, text);
                found(h, "starting", "%s", text);
        }
}

static void look_at_quorum(struct node *n, struct health_view *h)
{
        const struct controller_member *own;
        struct quorum_view v;

        quorum_view_take(n, &v);
        own = quorum_view_find(&v, n->led.node_id);
        if (!v.is_known)
                found(h, "waiting", "no active controller answers: %.*s", STR_FMT(v.why));
        else if (own && own->kind == CONTROLLER_LEARNER)
                found(h, "behind", "as a controller it does not count yet: it gets the log");
        else if (own && own->kind == CONTROLLER_VOTER && v.end_index - own->end_index > LAG_MAX)
                found(h, "behind", "as a controller it is %lld entries behind",
                      (long long)(v.end_index - own->end_index));
        quorum_view_fini(&v);
}

struct missing {
        uint32_t behind, leaderless;
};

static struct missing count_missing(const struct meta_image *image, int32_t node_id)
{
        const struct meta_topic *topic;
        struct missing m = { 0 };

        pmap_for_each (it, topic, &image->topics_by_name)
                for (uint32_t i = 0; i < topic->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(topic, (int32_t)i);

                        if (!meta_ids_contain(meta_partition_replicas(p), p->replicas_count, node_id) ||
                            meta_ids_contain(meta_partition_isr(p), p->isr_count, node_id))
                                continue;
                        if (meta_image_leader(image, p) == META_NO_NODE)
                                m.leaderless++;
                        else
                                m.behind++;
                }
        return m;
}

static void look_at_replicas(struct node *n, struct health_view *h)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_broker *b = meta_image_broker(image, n->led.node_id);
        struct missing m = count_missing(image, n->led.node_id);

        meta_image_unref(image);
        if (!b || b->fenced)
                found(h, "starting",
                      b ? "it is fenced: the controller does not count on it yet" : "it is not registered");
        if (m.behind)
                found(h, "behind", "%u replica%s not in sync", m.behind, m.behind == 1 ? " is" : "s are");
        if (m.leaderless)
                found(h, "waiting", "nobody leads %u partition%s whose replica here is not in sync", m.leaderless,
                      m.leaderless == 1 ? "" : "s");
}

/* Grows as long as the node gets somewhere. */
static json_int_t progress_of(struct node *n)
{
        struct plog_store_recovery recovery = { 0 };
        struct plog_store_stats logs = { 0 };
        struct controller_status s;

        controller_status(n->controller, &s);
        if (n->store) {
                plog_store_recovery(n->store, &recovery);
                plog_store_stats(n->store, &logs);
        }
        return (json_int_t)(recovery.bytes_read + logs.bytes_appended + atomic_load(&n->led.opens_done)) +
               (s.follows_only ? s.observer.applied_index : s.quorum.applied_index);
}

void admin_here_health(struct node *n, struct http_request *rq, const char *name)
{
        struct health_view h = { 0 };

        (void)name;
        if (atomic_load(&n->stopping))
                found(&h, "broken", "it is being stopped");
        if (n->store)
                look_at_store(n, &h);
        look_at_quorum(n, &h);
        if (n->store)
                look_at_replicas(n, &h);
        if (!atomic_load(&n->ready))
                found(&h, "starting", "it does not serve yet");
        admin_answer_json(rq, json_pack("{s:i, s:s, s:o, s:I}", "id", n->led.node_id, "state", h.state ? h.state : "ok",
                                        "why", h.state ? admin_json_str(str_of(h.why)) : json_null(), "progress",
                                        progress_of(n)));
}
