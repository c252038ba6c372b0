/* Brokers: registration, heartbeats as leases, fencing, leaving (KIP-631, KIP-858, KIP-966). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/decide.h"

/* ---- leases ---- */

struct controller_lease *controller_lease_get(struct controller_leases *l, int32_t broker_id)
{
        for (size_t i = 0; i < l->count; i++)
                if (l->at[i].broker_id == broker_id)
                        return &l->at[i];
        if (l->count == l->size) {
                size_t size = l->size ? l->size * 2 : 4;
                struct controller_lease *at = realloc(l->at, size * sizeof *at);

                if (!at)
                        return NULL;
                l->at = at;
                l->size = size;
        }
        l->at[l->count] = (struct controller_lease){ .broker_id = broker_id };
        return &l->at[l->count++];
}

bool controller_lease_shorten(struct controller_leases *l, int32_t broker_id, int64_t until_ms)
{
        for (size_t i = 0; i < l->count; i++) {
                if (l->at[i].broker_id != broker_id || l->at[i].until_ms <= until_ms)
                        continue;
                l->at[i].until_ms = until_ms;
                return true;
        }
        return false;
}

void controller_leases_fini(struct controller_leases *l)
{
        free(l->at);
        *l = (struct controller_leases){ 0 };
}

int controller_leases_start(struct controller_leases *l, const struct meta_image *image, int64_t now_ms,
                            int64_t timeout_ms)
{
        const struct meta_broker *b;

        l->count = 0;
        pmap_for_each (it, b, &image->brokers) {
                struct controller_lease *lease = controller_lease_get(l, b->id);

                if (!lease)
                        return -ENOMEM;
                lease->epoch = b->epoch;
                lease->until_ms = now_ms + timeout_ms;
                lease->fenced_index = b->fenced ? image->index : 0; /* or before */
        }
        return 0;
}

static void emit_change(struct decision *d, const struct meta_broker *b, int8_t fenced, int8_t in_shutdown)
{
        struct meta_record r;

        meta_record_init(&r, META_BROKER_CHANGE);
        r.broker_change.broker_id = b->id;
        r.broker_change.epoch = b->epoch;
        r.broker_change.fenced = fenced;
        r.broker_change.in_shutdown = in_shutdown;
        decision_emit(d, &r);
}

/* The lease of @b has ended. One that was never given under this registration begins now. */
static bool is_overdue(struct decision *d, struct controller_lease *l, const struct meta_broker *b)
{
        if (b->epoch != l->epoch)
                *l = (struct controller_lease){ .broker_id = b->id,
                                                .epoch = b->epoch,
                                                .until_ms = d->now_ms + d->rules->session_timeout_ms };
        return !b->fenced && l->until_ms <= d->now_ms;
}

static void say_fenced(struct decision *d, const int32_t *ids, size_t count)
{
        int len = snprintf(d->news, sizeof d->news, "not heard of any more, and fenced: broker");

        for (size_t i = 0; i < count && len < (int)sizeof d->news; i++)
                len += snprintf(d->news + len, sizeof d->news - (size_t)len, " %d", ids[i]);
}

int decision_expire_leases(struct decision *d, int64_t *ret_next_ms)
{
        int32_t *overdue = ARENA_NEW_ARRAY(d->mem, int32_t, d->memory->leases.count);
        int64_t next = INT64_MAX;
        size_t count = 0;

        d->may_split = true;
        if (!overdue)
                return d->failed = -ENOMEM;
        for (size_t i = 0; i < d->memory->leases.count; i++) {
                struct controller_lease *l = &d->memory->leases.at[i];
                const struct meta_broker *b = meta_image_broker(decision_image(d), l->broker_id);

                if (b && is_overdue(d, l, b))
                        overdue[count++] = b->id;
                else if (b && !b->fenced)
                        next = MIN2(next, l->until_ms);
        }
        if (count) {
                say_fenced(d, overdue, count);
                elect_before_loss(d, overdue, count);
        }
        for (size_t i = 0; i < count && !d->failed; i++) {
                emit_change(d, meta_image_broker(decision_image(d), overdue[i]), 1, -1);
                controller_lease_get(&d->memory->leases, overdue[i])->fenced_index = d->index; /* it is there */
        }
        *ret_next_ms = next;
        return d->failed;
}

/* ---- registration ---- */

/* What is finalised must be within what the broker can do, or it would misread the metadata and its peers. */
static bool features_fit(struct decision *d, struct controller_register_broker *rb)
{
        const struct meta_feature *f;

        pmap_for_each (it, f, &decision_image(d)->features) {
                int16_t low = 0, high = 0;

                for (int32_t i = 0; i < rb->broker.features_count; i++) {
                        if (!str_equal(rb->broker.features[i].name, f->name))
                                continue;
                        low = rb->broker.features[i].level_min;
                        high = rb->broker.features[i].level_max;
                }
                if (f->level >= low && f->level <= high)
                        continue;
                decision_refuse(d, &rb->result, CONTROLLER_E_FEATURE,
                                "The cluster works with %.*s at level %d; broker %d can do %d "
                                "to %d. Install a program that can.",
                                STR_FMT(f->name), f->level, rb->broker.broker_id, low, high);
                return false;
        }
        return true;
}

static bool directories_are_its_own(struct decision *d, struct controller_register_broker *rb)
{
        const struct meta_broker *b;

        pmap_for_each (it, b, &decision_image(d)->brokers) {
                for (uint32_t i = 0; b->id != rb->broker.broker_id && i < b->directories_count; i++)
                        for (int32_t k = 0; k < rb->broker.directories_count; k++) {
                                char text[UUID_TEXT_SIZE];

                                if (!uuid_equal(b->directories[i], rb->broker.directories[k]))
                                        continue;
                                uuid_format(b->directories[i], text);
                                decision_refuse(d, &rb->result, CONTROLLER_E_BROKER_DUPLICATE,
                                                "Data folder %s of broker %d is "
                                                "registered by broker %d: one of them is a copy.",
                                                text, rb->broker.broker_id, b->id);
                                return false;
                        }
        }
        return true;
}

/* Another process with the same id whose lease is alive. One that was last heard of by an earlier controller does not count:
 * a node that restarts as a whole must not wait for its own lease to end. */
static bool is_held_by_another(struct decision *d, const struct meta_broker *b)
{
        for (size_t i = 0; i < d->memory->leases.count; i++) {
                const struct controller_lease *l = &d->memory->leases.at[i];

                if (l->broker_id == b->id && l->epoch == b->epoch)
                        return !b->fenced && l->heard && l->until_ms > d->now_ms;
        }
        return false;
}

static bool registration_is_fine(struct decision *d, struct controller_register_broker *rb,
                                 const struct meta_broker *old)
{
        const struct meta_image *image = decision_image(d);

        if (!str_is_null(rb->cluster_id) && !str_equal(rb->cluster_id, image->cluster_id)) {
                decision_refuse(d, &rb->result, CONTROLLER_E_CLUSTER,
                                "Broker %d belongs to cluster %.*s; this is cluster %.*s.", rb->broker.broker_id,
                                STR_FMT(rb->cluster_id), STR_FMT(image->cluster_id));
                return false;
        }
        if (rb->broker.broker_id < 0 || rb->broker.endpoints_count < 1) {
                decision_refuse(d, &rb->result, CONTROLLER_E_INVALID,
                                "A broker has an id of 0 or more and at least one endpoint.");
                return false;
        }
        if (old && is_held_by_another(d, old)) {
                decision_refuse(d, &rb->result, CONTROLLER_E_BROKER_DUPLICATE,
                                "Another process is registered as broker %d and is "
                                "alive; give each node an id of its own.",
                                old->id);
                return false;
        }
        return features_fit(d, rb) && directories_are_its_own(d, rb);
}

void decide_register_broker(struct decision *d, struct controller_register_broker *rb)
{
        const struct meta_broker *old = meta_image_broker(decision_image(d), rb->broker.broker_id);
        struct controller_lease *lease;
        struct meta_record r;

        rb->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (old && uuid_equal(old->incarnation, rb->broker.incarnation)) { /* its first answer was lost */
                rb->epoch = old->epoch;
                return;
        }
        if (!registration_is_fine(d, rb, old))
                return;
        lease = controller_lease_get(&d->memory->leases, rb->broker.broker_id);
        if (!lease) {
                d->failed = -ENOMEM;
                return;
        }
        if (old)
                elect_before_restart(d, rb, old);
        r.type = META_BROKER;
        r.broker = rb->broker;
        r.broker.epoch = -1;
        r.broker.fenced = true;
        r.broker.in_shutdown = false;
        r.broker.duty = old ? (int8_t)old->duty : META_DUTY_NONE;
        decision_emit(d, &r);
        rb->epoch = d->index;
        *lease = (struct controller_lease){ .broker_id = rb->broker.broker_id,
                                            .epoch = d->index,
                                            .until_ms = d->now_ms + d->rules->session_timeout_ms };
}

/* ---- heartbeat ---- */

static bool heartbeat_is_fine(struct decision *d, struct controller_heartbeat *h, const struct meta_broker *b)
{
        if (!b)
                decision_refuse(d, &h->result, CONTROLLER_E_BROKER_UNKNOWN, "Broker %d is not registered.",
                                h->broker_id);
        else if (b->epoch != h->broker_epoch)
                decision_refuse(d, &h->result, CONTROLLER_E_BROKER_EPOCH,
                                "Broker %d is registered with epoch %lld, not %lld.", h->broker_id, (long long)b->epoch,
                                (long long)h->broker_epoch);
        return !h->result.outcome;
}

static struct controller_lease *renew_lease(struct decision *d, const struct controller_heartbeat *h)
{
        struct controller_lease *lease = controller_lease_get(&d->memory->leases, h->broker_id);

        if (!lease) {
                d->failed = -ENOMEM;
                return NULL;
        }
        if (lease->epoch != h->broker_epoch)
                lease->shutdown_index = lease->fenced_index = 0;
        lease->heard = true;
        lease->epoch = h->broker_epoch;
        lease->until_ms = d->now_ms + d->rules->session_timeout_ms;
        lease->applied_index = h->applied_index;
        return lease;
}

/* Every broker that serves works with metadata at @index or later. One that is not heard of loses its lease, so that this
 * comes true. */
static bool all_others_know(const struct decision *d, int32_t broker_id, int64_t index)
{
        for (size_t i = 0; i < d->memory->leases.count; i++) {
                const struct controller_lease *l = &d->memory->leases.at[i];
                const struct meta_broker *b = meta_image_broker(decision_image(d), l->broker_id);

                if (b && b->id != broker_id && b->epoch == l->epoch && !b->fenced && l->applied_index < index)
                        return false;
        }
        return true;
}

static bool guard_forbids(struct decision *d, struct controller_heartbeat *h)
{
        struct controller_guard g = { .node_id = h->broker_id };

        if (!h->guarded)
                return false;
        guard_judge(d, &g);
        if (g.safe)
                return false;
        h->held = true;
        decision_refuse(d, &h->result, CONTROLLER_OK,
                        "%d partition%s would fall below min ISR (%d of them offline): %.*s", g.below_min_isr,
                        g.below_min_isr == 1 ? "" : "s", g.offline, STR_FMT(g.partitions));
        return true;
}

/* What others can lead they lead from now on; the broker may go when they know. What only it can lead ends with it. */
static void stop_gently(struct decision *d, struct controller_heartbeat *h, const struct meta_broker *b,
                        struct controller_lease *lease)
{
        if (!b->in_shutdown) {
                if (guard_forbids(d, h))
                        return;
                elect_before_stop(d, b->id);
                emit_change(d, b, -1, 1);
                lease->shutdown_index = d->index;
        } else if (!lease->shutdown_index) {
                lease->shutdown_index = d->index - 1; /* another controller knew the number; it is not more than this */
        }
        h->should_shutdown = all_others_know(d, b->id, lease->shutdown_index);
}

void decide_heartbeat(struct decision *d, struct controller_heartbeat *h)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), h->broker_id);
        struct controller_lease *lease;

        h->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        h->should_shutdown = h->held = false;
        if (!heartbeat_is_fine(d, h, b) || !(lease = renew_lease(d, h)))
                return;
        h->caught_up = h->applied_index >= MAX2(b->epoch, lease->fenced_index);
        h->fenced = b->fenced;
        if (b->fenced) {
                h->should_shutdown = h->want_shutdown; /* it leads nothing */
                if (h->want_fence || h->want_shutdown || !h->caught_up)
                        return;
                h->fenced = false;
                emit_change(d, b, 0, 0);
                elect_after_return(d, h->broker_id);
        } else if (h->want_fence) {
                h->fenced = true;
                elect_before_loss(d, &h->broker_id, 1);
                emit_change(d, b, 1, -1);
                lease->fenced_index = d->index;
                h->should_shutdown = h->want_shutdown;
        } else if (h->want_shutdown) {
                stop_gently(d, h, b, lease);
        }
}

/* ---- leaving ---- */

void decide_unregister_broker(struct decision *d, struct controller_unregister_broker *u)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), u->broker_id);
        struct meta_record r;

        u->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!b) {
                decision_refuse(d, &u->result, CONTROLLER_E_BROKER_UNKNOWN, "Broker %d is not registered.",
                                u->broker_id);
                return;
        }
        if (!b->fenced && !b->in_shutdown) { /* it would go on serving what is not its own any more */
                decision_refuse(d, &u->result, CONTROLLER_E_INVALID,
                                "Broker %d is alive: stop it first, or decommission it.", u->broker_id);
                return;
        }
        elect_before_loss(d, &u->broker_id, 1);
        meta_record_init(&r, META_BROKER_REMOVE);
        r.broker_remove.broker_id = b->id;
        r.broker_remove.epoch = b->epoch;
        decision_emit(d, &r);
}
