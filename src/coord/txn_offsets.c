/* What transactions that are open would commit: beside the versions that readers see, until a marker says what becomes of it.
 * The record counts from where it was written: what was committed behind it, in whatever way, stays (KIP-98). */
#include <errno.h>
#include <stdlib.h>

#include "coord/group_priv.h"

static struct str key_of(const int64_t *producer_id)
{
        return (struct str){ (const char *)producer_id, sizeof *producer_id };
}

static struct groups_txn *find_txn(struct groups *gs, int64_t producer_id)
{
        for (struct map_node *n = map_first(&gs->txns, key_of(&producer_id)); n; n = map_next_same(n)) {
                struct groups_txn *x = container_of(n, struct groups_txn, node);

                if (x->producer_id == producer_id)
                        return x;
        }
        return NULL;
}

static struct groups_txn *get_txn(struct groups *gs, int64_t producer_id)
{
        struct groups_txn *x = find_txn(gs, producer_id);

        if (x)
                return x;
        x = calloc(1, sizeof *x);
        if (!x)
                return NULL;
        x->producer_id = producer_id;
        ilist_init(&x->staged);
        if (map_insert(&gs->txns, &x->node, key_of(&x->producer_id))) {
                free(x);
                return NULL;
        }
        gs->stats.memory += sizeof *x;
        return x;
}

static void collect_txn(struct groups *gs, struct groups_txn *x)
{
        if (!ilist_is_empty(&x->staged))
                return;
        map_remove(&gs->txns, &x->node);
        gs->stats.memory -= sizeof *x;
        free(x);
}

/* Return: its version, which is the caller's. */
static struct offset_version *unstage(struct staged_offset *s)
{
        struct group *g = s->offset->topic->group;
        struct offset_version *v = s->version;

        ilist_unlink(&s->of_offset);
        ilist_unlink(&s->of_txn);
        g->staged_count--;
        g->owner->stats.memory -= sizeof *s;
        free(s);
        return v;
}

void offset_unstage(struct group_offset *o)
{
        struct groups *gs = o->topic->group->owner;

        ilist_for_each (s, &o->staged, struct staged_offset, of_offset) {
                struct groups_txn *x = s->txn;

                offset_version_free(gs, unstage(s));
                collect_txn(gs, x);
        }
}

static int add_staged(struct group_offset *o, struct groups_txn *x, struct offset_version *v)
{
        struct group *g = o->topic->group;
        struct staged_offset *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        *s = (struct staged_offset){ .offset = o, .txn = x, .version = v };
        ilist_push_back(&o->staged, &s->of_offset);
        ilist_push_back(&x->staged, &s->of_txn);
        g->staged_count++;
        g->owner->stats.memory += sizeof *s;
        return 0;
}

int group_stage_offset(struct group *g, int64_t producer_id, struct str topic, int32_t partition,
                       const struct offset_value *value)
{
        struct groups *gs = g->owner;
        struct offset_version *v = offset_version_new(gs, value);
        struct group_offset *o = v ? group_get_offset(g, topic, partition) : NULL;
        struct groups_txn *x = o ? get_txn(gs, producer_id) : NULL;
        int r;

        if (!x) {
                offset_version_free(gs, v);
                if (o)
                        group_collect_offset(o);
                return -ENOMEM;
        }
        ilist_for_each (s, &o->staged, struct staged_offset, of_offset)
                if (s->txn == x) { /* said again */
                        offset_version_free(gs, s->version);
                        s->version = v;
                        return 0;
                }
        r = add_staged(o, x, v);
        if (r) {
                offset_version_free(gs, v);
                collect_txn(gs, x);
                group_collect_offset(o);
        }
        return r;
}

void groups_end_txn(struct groups *gs, int64_t producer_id, bool commit, uint64_t seq)
{
        struct groups_txn *x = find_txn(gs, producer_id);

        if (!x)
                return;
        ilist_for_each (s, &x->staged, struct staged_offset, of_txn) {
                struct group_offset *o = s->offset;
                struct offset_version *v = unstage(s);

                v->of_txn = true;
                if (commit && (!o->newest || o->newest->order < v->order))
                        offset_push_version(o, v, seq);
                else
                        offset_version_free(gs, v);
                group_collect_offset(o);
        }
        collect_txn(gs, x);
}

/* All offsets, and what is staged with them, are gone. */
void groups_free_txns(struct groups *gs)
{
        map_fini(&gs->txns);
}
