/* The drain guard: may a node stop now? And the cluster's one disruption token, so that two nodes are not taken down at
 * once by people who do not know of each other. Judging is pure; whoever stops a node asks first, and an override is
 * recorded in the metadata with who and why.
 *
 * A partition speaks against it when the node is in its ISR and the rest would be fewer than min ISR. Where the node has
 * the only replica this is always so: such a node cannot stop without taking something away, which is said, not hidden. */
#include <errno.h>

#include "base/strbuf.h"
#include "controller/change.h"

#define NAMED_MAX 5 /* partitions: enough to see which they are */
#define TEXT_LEN_MAX 255
#define TTL_MS_MIN 1000
#define TTL_MS_MAX (7 * 86400000LL) /* a token that is forgotten does not hold the cluster for longer than a week */

struct judging {
        struct controller_guard *g;
        struct strbuf names;
};

static bool someone_could_lead(const struct meta_image *image, const struct meta_partition *p, int32_t without)
{
        for (uint32_t i = 0; i < p->isr_count; i++)
                if (meta_partition_isr(p)[i] != without && meta_image_broker_is_live(image, meta_partition_isr(p)[i]))
                        return true;
        for (uint32_t i = 0; i < p->elr_count; i++)
                if (meta_partition_elr(p)[i] != without && meta_image_broker_is_live(image, meta_partition_elr(p)[i]))
                        return true;
        return false;
}

static void judge(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t node_id,
                  void *arg)
{
        struct topic_settings settings;
        struct judging *j = arg;

        if (!meta_ids_contain(meta_partition_isr(p), p->isr_count, node_id))
                return;
        d->failed = settings_of_topic(&d->memory->settings, d->rules->conf, decision_image(d), t->name, &settings);
        if (d->failed || p->isr_count - 1 >= min_isr_of(&settings, p->replicas_count))
                return;
        if (j->g->below_min_isr++ < NAMED_MAX)
                strbuf_printf(&j->names, "%s%.*s-%d", j->names.len ? ", " : "", STR_FMT(t->name), p->index);
        j->g->offline += !someone_could_lead(decision_image(d), p, node_id);
}

void guard_judge(struct decision *d, struct controller_guard *g)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), g->node_id);
        struct judging j = { .g = g };

        g->below_min_isr = g->offline = 0;
        g->partitions = STR_NULL;
        if (b && !b->fenced && !b->in_shutdown) /* it serves nothing otherwise */
                decision_each_place(d, g->node_id, judge, &j);
        if (j.names.len) {
                g->partitions.p = arena_memdup(d->mem, j.names.data, j.names.len);
                g->partitions.len = g->partitions.p ? j.names.len : 0;
        }
        strbuf_fini(&j.names);
        g->safe = !g->below_min_isr && !g->quorum_would_be_lost && !d->failed;
}

void decide_guard(struct decision *d, struct controller_guard *g)
{
        g->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        guard_judge(d, g);
}

/* ---- the token ---- */

static bool token_request_is_fine(struct decision *d, struct controller_disruption *x)
{
        if (x->who.len < 1 || x->who.len > TEXT_LEN_MAX || x->reason.len > LIMIT_TEXT_LEN) {
                decision_refuse(d, &x->result, CONTROLLER_E_INVALID,
                                "Who asks must be said, in at most %d bytes, and the reason in at most %d.",
                                TEXT_LEN_MAX, LIMIT_TEXT_LEN);
                return false;
        }
        if (x->op == CONTROLLER_DISRUPTION_RELEASE)
                return true;
        if (x->ttl_ms < TTL_MS_MIN || x->ttl_ms > TTL_MS_MAX) {
                decision_refuse(d, &x->result, CONTROLLER_E_INVALID,
                                "The token can be held for %d ms to %lld ms, not %lld.", TTL_MS_MIN,
                                (long long)TTL_MS_MAX, (long long)x->ttl_ms);
                return false;
        }
        if (x->op == CONTROLLER_DISRUPTION_OVERRIDE && !x->reason.len) {
                decision_refuse(d, &x->result, CONTROLLER_E_INVALID, "An override needs a reason; it is recorded.");
                return false;
        }
        return true;
}

/* Who holds it now; null: nobody. */
static struct str holder_of(const struct decision *d)
{
        const struct meta_disruption *now = decision_image(d)->disruption;

        return now && !str_is_null(now->holder) && now->until_ms > d->wall_ms ? now->holder : STR_NULL;
}

static bool may_acquire(struct decision *d, struct controller_disruption *x)
{
        struct controller_guard g = { .node_id = x->node_id, .quorum_would_be_lost = x->quorum_would_be_lost };
        const struct meta_disruption *now = decision_image(d)->disruption;
        struct str holder = holder_of(d);

        if (!str_is_null(holder) && !str_equal(holder, x->who)) {
                decision_refuse(d, &x->result, CONTROLLER_E_DISRUPTION_HELD,
                                "%.*s disturbs node %d (%.*s) and holds the token for another %lld s.", STR_FMT(holder),
                                now->node_id, STR_FMT(now->reason), (long long)(now->until_ms - d->wall_ms) / 1000);
                return false;
        }
        guard_judge(d, &g);
        if (g.safe || d->failed)
                return !d->failed;
        decision_refuse(
                d, &x->result, CONTROLLER_E_UNSAFE_TO_STOP,
                "Node %d must not stop now:%s %d partition%s would fall below min ISR, %d would be offline%s%.*s.",
                x->node_id, g.quorum_would_be_lost ? " the controllers would lose their majority," : "",
                g.below_min_isr, g.below_min_isr == 1 ? "" : "s", g.offline, g.below_min_isr ? ": " : "",
                STR_FMT(g.partitions));
        return false;
}

void decide_disruption(struct decision *d, struct controller_disruption *x)
{
        const struct meta_disruption *now = decision_image(d)->disruption;
        struct str holder = holder_of(d);
        struct meta_record r;

        x->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        x->until_ms = 0;
        if (!token_request_is_fine(d, x))
                return;
        meta_record_init(&r, META_DISRUPTION);
        if (now)
                meta_disruption_to_record(now, &r.disruption);
        if (x->op == CONTROLLER_DISRUPTION_RELEASE) {
                if (!str_is_null(holder) && !str_equal(holder, x->who))
                        decision_refuse(d, &x->result, CONTROLLER_E_DISRUPTION_HELD,
                                        "%.*s holds the token; only it can give it back.", STR_FMT(holder));
                if (str_is_null(holder) || x->result.outcome)
                        return;
                r.disruption.holder = STR_NULL;
                r.disruption.reason = STR_LIT("");
                r.disruption.node_id = META_NO_NODE;
                r.disruption.since_ms = r.disruption.until_ms = 0;
                decision_emit(d, &r);
                return;
        }
        if (x->op == CONTROLLER_DISRUPTION_ACQUIRE && !may_acquire(d, x))
                return;
        x->until_ms = d->wall_ms + x->ttl_ms;
        r.disruption.holder = x->who;
        r.disruption.reason = str_is_null(x->reason) ? STR_LIT("") : x->reason;
        r.disruption.node_id = x->node_id;
        r.disruption.since_ms = d->wall_ms;
        r.disruption.until_ms = x->until_ms;
        if (x->op == CONTROLLER_DISRUPTION_OVERRIDE) {
                r.disruption.override_by = x->who;
                r.disruption.override_reason = x->reason;
                r.disruption.override_ms = d->wall_ms;
                r.disruption.override_of = holder;
        }
        decision_emit(d, &r);
}
