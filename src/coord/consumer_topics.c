/* What the members of a consumer group are subscribed to: names, and regular expressions with the topics that they match (KIP-848).
 *
 * Expressions are looked up again when the metadata has changed, and not more often than REFRESH_MS: a cluster may have many topics, and a
 * group many expressions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"

enum { REFRESH_MS = 10000 };

/* ---- sets of names ---- */

static int by_text(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* In no list. Sorted, each once. */
static struct consumer_names *names_new(struct groups *gs, const struct str *names, int32_t count)
{
        size_t len = sizeof(struct consumer_names) + sizeof *names * (size_t)count;
        struct consumer_names *n;
        char *at;

        for (int32_t i = 0; i < count; i++)
                len += names[i].len;
        n = malloc(len);
        if (!n)
                return NULL;
        *n = (struct consumer_names){ .refs = 1, .memory = len };
        ilist_init(&n->link);
        if (count)
                memcpy(n->names, names, sizeof *names * (size_t)count);
        qsort(n->names, (size_t)count, sizeof *names, by_text);
        at = (char *)&n->names[count];
        for (int32_t i = 0; i < count; i++) {
                struct str s = n->names[i];

                if (n->count && str_compare(n->names[n->count - 1], s) == 0)
                        continue;
                n->names[n->count++] = (struct str){ at, s.len };
                at = mempcpy(at, s.p ? s.p : "", s.len);
        }
        gs->stats.memory += len;
        return n;
}

static bool same(const struct consumer_names *a, const struct consumer_names *b)
{
        if (a->count != b->count)
                return false;
        for (uint32_t i = 0; i < a->count; i++)
                if (str_compare(a->names[i], b->names[i]) != 0)
                        return false;
        return true;
}

struct consumer_names *consumer_names_get(struct group *g, const struct str *names, int32_t count)
{
        struct consumer_names *made = names_new(g->owner, names, count);

        if (!made)
                return NULL;
        ilist_for_each (n, &g->consumer->names, struct consumer_names, link)
                if (same(n, made)) {
                        consumer_names_put(g, made);
                        n->refs++;
                        return n;
                }
        ilist_push_back(&g->consumer->names, &made->link);
        return made;
}

void consumer_names_put(struct group *g, struct consumer_names *n)
{
        if (--n->refs)
                return;
        ilist_unlink(&n->link);
        g->owner->stats.memory -= n->memory;
        free(n);
}

bool consumer_names_have(const struct consumer_names *n, struct str name)
{
        return bsearch(&name, n->names, n->count, sizeof name, by_text) != NULL;
}

/* ---- regular expressions ---- */

static struct consumer_regex *find_regex(struct group *g, struct str text)
{
        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link)
                if (str_equal(r->text, text))
                        return r;
        return NULL;
}

static struct consumer_regex *regex_free(struct group *g, struct consumer_regex *r)
{
        ilist_unlink(&r->link);
        if (r->found)
                consumer_names_put(g, r->found);
        pattern_free(r->pattern);
        text_free(&r->text);
        free(r);
        return NULL;
}

int consumer_regex_get(struct group *g, struct str text, struct consumer_regex **ret_regex, char *why)
{
        char ignored[PATTERN_WHY_SIZE];
        struct consumer_regex *r = find_regex(g, text);
        int e;

        if (r) {
                r->members_count++;
                *ret_regex = r;
                return 0;
        }
        r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        ilist_init(&r->link);
        r->members_count = 1;
        r->found_index = -1;
        e = pattern_new(text, &r->pattern, why ? why : ignored);
        if (e == -EINVAL && !why) {
                r->pattern = NULL;
                e = 0;
        }
        if (!e && !(r->found = names_new(g->owner, NULL, 0)))
                e = -ENOMEM;
        if (!e)
                e = text_dup(text, &r->text);
        if (e) {
                regex_free(g, r);
                return e;
        }
        ilist_push_back(&g->consumer->regexes, &r->link);
        *ret_regex = r;
        return 0;
}

static void record_regex(struct group *g, const struct consumer_regex *r, bool gone)
{
        struct groups *gs = g->owner;
        struct consumer_group_regular_expression_value v;
        struct span key = SPAN_NULL, value = SPAN_NULL;

        consumer_group_regular_expression_value_init(&v);
        v.topics = r->found->names;
        v.topics_count = (int32_t)r->found->count;
        v.version = MAX2(r->found_index, INT64_C(0));
        v.timestamp = gs->now.wall_ms;
        if ((!gone && records_encode_consumer_regex(&v, &gs->acts->arena, &value)) ||
            records_encode_consumer_key(RECORDS_CONSUMER_REGEX, g->id, r->text, &gs->acts->arena, &key))
                key = SPAN_NULL; /* latches the failure */
        groups_record(gs, key, value);
        g->state_seq = groups_seq(gs);
}

void consumer_regex_put(struct group *g, struct consumer_regex *r, bool write)
{
        if (--r->members_count)
                return;
        if (write && r->found_index >= 0)
                record_regex(g, r, true);
        regex_free(g, r);
}

static bool may_know(const struct coord_rights *rights, const struct meta_image *image, struct str topic)
{
        return !rights->authorizer || authorizer_ask(rights->authorizer, &image->acls, &rights->who, ACL_DESCRIBE,
                                                     &(struct authorizer_object){ ACL_TOPIC, topic })
                                              .is_allowed;
}

static struct consumer_names *look_for(struct group *g, struct consumer_regex *r, const struct meta_image *image,
                                       const struct coord_rights *rights)
{
        struct pmap_iter it = meta_image_topics_from(image, STR_NULL);
        const struct meta_topic *t;
        struct arena a;
        struct str *names;
        int32_t count = 0;
        struct consumer_names *found = NULL;

        arena_init(&a, 0);
        names = ARENA_NEW_ARRAY(&a, struct str, image->topics_by_name.count);
        while (names && (t = pmap_next(&it)))
                if (r->pattern && pattern_matches(r->pattern, t->name) && may_know(rights, image, t->name))
                        names[count++] = t->name;
        if (names)
                found = names_new(g->owner, names, count);
        arena_fini(&a);
        return found;
}

static bool refresh(struct group *g, struct consumer_regex *r, const struct meta_image *image,
                    const struct coord_rights *rights)
{
        struct consumer_names *found = look_for(g, r, image, rights);
        bool first = r->found_index < 0, changed;

        if (!found) {
                groups_fail(g->owner, -ENOMEM);
                return false;
        }
        changed = !same(found, r->found);
        consumer_names_put(g, r->found);
        r->found = found;
        r->found_index = image->index;
        r->found_ms = g->owner->now.mono_ms;
        if (first || changed)
                record_regex(g, r, false);
        return changed;
}

bool consumer_regexes_refresh(struct group *g, const struct meta_image *image, const struct coord_rights *rights)
{
        bool changed = false;

        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link)
                if (r->found_index < 0 ||
                    (r->found_index != image->index && g->owner->now.mono_ms - r->found_ms >= REFRESH_MS))
                        changed |= refresh(g, r, image, rights);
        return changed;
}

int consumer_regex_found(struct group *g, struct str text, const struct str *topics, int32_t count)
{
        struct consumer_regex *r = find_regex(g, text);
        struct consumer_names *found;
        int e;

        if (!r) {
                e = consumer_regex_get(g, text, &r, NULL);
                if (e)
                        return e;
                r->members_count--; /* its members' records are to come, or were */
        }
        found = names_new(g->owner, topics, count);
        if (!found)
                return -ENOMEM;
        consumer_names_put(g, r->found);
        r->found = found;
        r->found_index = 0; /* of some earlier image: looked for again soon */
        r->found_ms = INT64_MIN / 2;
        return 0;
}

/* ---- the topics ---- */

static uint64_t hash_topic(const struct meta_topic *t)
{
        struct map seed = { .seed = t->partitions_count }; /* its hash is the same on every node */

        seed.seed = map_hash(&seed, (struct str){ (const char *)t->id.b, sizeof t->id.b });
        return map_hash(&seed, t->name);
}

/* A sum, so that the order does not matter; a topic that two members are subscribed to counts twice, which changes only when a
 * subscription does, and with that the epoch. */
static uint64_t hash_names(const struct consumer_names *n, const struct meta_image *image)
{
        uint64_t sum = 0;

        for (uint32_t i = 0; i < n->count; i++) {
                const struct meta_topic *t = meta_image_topic(image, n->names[i]);

                if (t)
                        sum += hash_topic(t);
        }
        return sum;
}

int64_t consumer_topics_hash(struct group *g, const struct meta_image *image)
{
        uint64_t sum = 0;

        ilist_for_each (n, &g->consumer->names, struct consumer_names, link)
                sum += hash_names(n, image);
        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link)
                sum += hash_names(r->found, image);
        return (int64_t)sum;
}
