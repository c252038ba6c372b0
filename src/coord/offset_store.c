/* What a group has committed: topic → partition → versions, of which readers see the newest that is committed. */
#include <errno.h>
#include <string.h>

#include "coord/group_priv.h"
#include "coord/records.h"

struct group_topic *group_find_topic(const struct group *g, struct str name)
{
        for (struct map_node *n = map_first(&g->topics, name); n; n = map_next_same(n)) {
                struct group_topic *t = container_of(n, struct group_topic, node);

                if (str_equal(t->name, name))
                        return t;
        }
        return NULL;
}

static struct group_topic *add_topic(struct group *g, struct str name)
{
        struct group_topic *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->group = g;
        if (text_dup(name, &t->name) || map_insert(&g->topics, &t->node, t->name)) {
                text_free(&t->name);
                free(t);
                return NULL;
        }
        ilist_push_back(&g->topics_list, &t->link);
        g->owner->stats.memory += sizeof *t + name.len;
        return t;
}

static void drop_topic(struct group_topic *t)
{
        t->group->owner->stats.memory -= sizeof *t + t->name.len;
        map_remove(&t->group->topics, &t->node);
        ilist_unlink(&t->link);
        text_free(&t->name);
        free(t->offsets);
        free(t);
}

/* Where @partition is or belongs. */
static size_t place_of(const struct group_topic *t, int32_t partition)
{
        size_t low = 0, high = t->offsets_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (t->offsets[mid]->partition < partition)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static struct group_offset *find_in(const struct group_topic *t, int32_t partition)
{
        size_t i = place_of(t, partition);

        return i < t->offsets_count && t->offsets[i]->partition == partition ? t->offsets[i] : NULL;
}

struct group_offset *group_find_offset(const struct group *g, struct str topic, int32_t partition)
{
        struct group_topic *t = group_find_topic(g, topic);

        return t ? find_in(t, partition) : NULL;
}

static struct group_offset *add_offset(struct group_topic *t, int32_t partition)
{
        size_t i = place_of(t, partition);
        struct group_offset *o;

        if (t->offsets_count == t->offsets_size) {
                size_t size = t->offsets_size ? t->offsets_size * 2 : 4;
                struct group_offset **offsets = reallocarray(t->offsets, size, sizeof(struct group_offset *));

                if (!offsets)
                        return NULL;
                t->offsets = offsets;
                t->offsets_size = size;
        }
        o = calloc(1, sizeof *o);
        if (!o)
                return NULL;
        o->topic = t;
        o->partition = partition;
        ilist_init(&o->doomed);
        ilist_init(&o->staged);
        memmove(&t->offsets[i + 1], &t->offsets[i], (t->offsets_count - i) * sizeof(struct group_offset *));
        t->offsets[i] = o;
        t->offsets_count++;
        t->group->owner->stats.memory += sizeof *o;
        return o;
}

/* ---- versions ---- */

static size_t version_size(const struct offset_version *v)
{
        return sizeof *v + v->metadata_len;
}

static void free_versions(struct groups *gs, struct offset_version *v)
{
        while (v) {
                struct offset_version *older = v->older;

                gs->stats.memory -= version_size(v);
                free(v);
                v = older;
        }
}

const struct offset_version *offset_latest(const struct group_offset *o)
{
        return o->newest && !o->newest->removed ? o->newest : NULL;
}

const struct offset_version *offset_committed(struct group_offset *o)
{
        struct groups *gs = o->topic->group->owner;
        struct offset_version *v = o->newest;

        while (v && v->seq > gs->committed_seq)
                v = v->older;
        if (!v)
                return NULL;
        free_versions(gs, TAKE_PTR(v->older));
        return v->removed ? NULL : v;
}

void offset_push_version(struct group_offset *o, struct offset_version *v, uint64_t seq)
{
        struct group *g = o->topic->group;
        bool was = offset_latest(o) != NULL, is = !v->removed;

        v->seq = seq;
        v->older = o->newest;
        o->newest = v;
        g->offsets_count += (size_t)is - (size_t)was;
        g->owner->stats.offsets += (size_t)is - (size_t)was;
        ilist_unlink(&o->doomed);
        if (v->removed)
                ilist_push_back(&g->owner->doomed, &o->doomed);
        (void)offset_committed(o); /* drops what nobody can see any more */
}

struct offset_version *offset_version_new(struct groups *gs, const struct offset_value *value)
{
        struct offset_version *v = malloc(sizeof *v + value->metadata.len);

        if (!v)
                return NULL;
        *v = (struct offset_version){
                .order = ++gs->order,
                .offset = value->offset,
                .commit_ms = value->commit_ms,
                .expire_ms = value->expire_ms,
                .leader_epoch = value->leader_epoch,
                .metadata_len = (uint32_t)value->metadata.len,
        };
        if (v->metadata_len)
                memcpy(v->metadata, value->metadata.p, v->metadata_len);
        gs->stats.memory += version_size(v);
        return v;
}

void offset_version_free(struct groups *gs, struct offset_version *v)
{
        if (v)
                v->older = NULL;
        free_versions(gs, v);
}

struct group_offset *group_get_offset(struct group *g, struct str topic, int32_t partition)
{
        struct group_topic *t = group_find_topic(g, topic);
        struct group_offset *o = t ? find_in(t, partition) : NULL;

        if (!t)
                t = add_topic(g, topic);
        if (t && !o)
                o = add_offset(t, partition);
        if (!o && t && !t->offsets_count)
                drop_topic(t);
        return o;
}

int group_put_offset(struct group *g, struct str topic, int32_t partition, const struct offset_value *value,
                     uint64_t seq)
{
        struct offset_version *v = offset_version_new(g->owner, value);
        struct group_offset *o = v ? group_get_offset(g, topic, partition) : NULL;

        if (!o) {
                offset_version_free(g->owner, v);
                return -ENOMEM;
        }
        offset_push_version(o, v, seq);
        return 0;
}

void group_remove_offset(struct group *g, struct group_offset *o)
{
        struct groups *gs = g->owner;
        struct offset_version *v = offset_version_new(gs, &(struct offset_value){ .metadata = STR_LIT("") });
        struct span key = SPAN_NULL;

        if (!v) {
                groups_fail(gs, -ENOMEM);
                return;
        }
        (void)records_encode_offset_key(g->id, o->topic->name, o->partition, &gs->acts->arena, &key);
        groups_record(gs, key, SPAN_NULL); /* a null key latches the failure */
        v->removed = true;
        offset_unstage(o);
        offset_push_version(o, v, groups_seq(gs));
}

bool offset_is_unstable(const struct group_offset *o)
{
        uint64_t committed_seq = o->topic->group->owner->committed_seq;

        for (const struct offset_version *v = o->newest; v && v->seq > committed_seq; v = v->older)
                if (v->of_txn)
                        return true;
        return !ilist_is_empty(&o->staged);
}

bool offset_is_held(const struct group_offset *o)
{
        return offset_latest(o) || !ilist_is_empty(&o->staged);
}

/* ---- forgetting ---- */

static void free_offset(struct group_offset *o)
{
        struct group *g = o->topic->group;

        if (offset_latest(o)) {
                g->offsets_count--;
                g->owner->stats.offsets--;
        }
        ilist_unlink(&o->doomed);
        offset_unstage(o);
        free_versions(g->owner, o->newest);
        g->owner->stats.memory -= sizeof *o;
        free(o);
}

void group_drop_offset(struct group_offset *o)
{
        struct group_topic *t = o->topic;
        size_t i = place_of(t, o->partition);

        assert(t->offsets[i] == o);
        t->offsets_count--;
        memmove(&t->offsets[i], &t->offsets[i + 1], (t->offsets_count - i) * sizeof(struct group_offset *));
        free_offset(o);
        if (!t->offsets_count) {
                struct group *g = t->group;

                drop_topic(t);
                group_collect(g);
        }
}

void group_collect_offset(struct group_offset *o)
{
        if (!o->newest && ilist_is_empty(&o->staged))
                group_drop_offset(o);
}

void group_offset_removed(struct group_offset *o)
{
        ilist_unlink(&o->doomed);
        free_versions(o->topic->group->owner, TAKE_PTR(o->newest));
        group_collect_offset(o);
}

void group_drop_offsets(struct group *g)
{
        ilist_for_each (t, &g->topics_list, struct group_topic, link) {
                for (size_t i = 0; i < t->offsets_count; i++)
                        free_offset(t->offsets[i]);
                drop_topic(t);
        }
}
