/* Which assignment protocol a group uses, and which topics it is subscribed to. */
#include <errno.h>
#include <string.h>

#include "coord/consumer_priv.h"
#include "wire/messages.h"

static struct group_protocol *find_protocol(const struct group *g, struct str name)
{
        for (unsigned i = 0; i < g->protocols_count; i++)
                if (str_compare(g->protocols[i].name, name) == 0)
                        return &g->protocols[i];
        return NULL;
}

static struct group_protocol *add_protocol(struct group *g, struct str name)
{
        struct group_protocol *p;

        if (g->protocols_count == g->protocols_size) {
                unsigned size = g->protocols_size ? g->protocols_size * 2 : 4;

                p = reallocarray(g->protocols, size, sizeof *p);
                if (!p)
                        return NULL;
                g->protocols = p;
                g->protocols_size = size;
        }
        p = &g->protocols[g->protocols_count];
        *p = (struct group_protocol){ 0 };
        if (text_dup(name, &p->name))
                return NULL;
        g->protocols_count++;
        return p;
}

static void drop_protocol(struct group *g, struct group_protocol *p)
{
        text_free(&p->name);
        memmove(p, p + 1, (size_t)(g->protocols + g->protocols_count - (p + 1)) * sizeof *p);
        g->protocols_count--;
}

/* A member that names a protocol twice supports it once. */
static bool named_before(const struct group_member *m, int32_t i)
{
        for (int32_t j = 0; j < i; j++)
                if (str_compare(m->protocols[j].name, m->protocols[i].name) == 0)
                        return true;
        return false;
}

int group_count_protocols(struct group *g, const struct group_member *m, int by)
{
        for (int32_t i = 0; i < m->protocols_count; i++) {
                struct group_protocol *p;

                if (named_before(m, i))
                        continue;
                p = find_protocol(g, m->protocols[i].name);
                if (!p && by > 0)
                        p = add_protocol(g, m->protocols[i].name);
                if (!p)
                        return -ENOMEM;
                p->members_count += (unsigned)by;
                if (!p->members_count)
                        drop_protocol(g, p);
        }
        return 0;
}

bool group_supports(const struct group *g, struct str type, const struct coord_protocol *protocols, int32_t count)
{
        if (g->state == COORD_GROUP_EMPTY)
                return type.len && count > 0;
        if (str_is_null(g->protocol_type) || !str_equal(g->protocol_type, type))
                return false;
        for (int32_t i = 0; i < count; i++) {
                const struct group_protocol *p = find_protocol(g, protocols[i].name);

                if (p && p->members_count == g->members_count)
                        return true;
        }
        return g->members_count == 0 && count > 0;
}

/* The first of its protocols that all members have is a member's vote. */
static struct group_protocol *vote(const struct group *g, const struct group_member *m)
{
        for (int32_t i = 0; i < m->protocols_count; i++) {
                struct group_protocol *p = find_protocol(g, m->protocols[i].name);

                if (p && p->members_count == g->members_count)
                        return p;
        }
        return NULL;
}

struct str group_select_protocol(struct group *g)
{
        struct group_protocol *best = NULL;

        for (unsigned i = 0; i < g->protocols_count; i++)
                g->protocols[i].votes = 0;
        ilist_for_each (m, &g->members, struct group_member, link) {
                struct group_protocol *p = vote(g, m);

                if (p)
                        p->votes++;
        }
        /* Of equals the one that was offered first, so that every run decides alike. */
        for (unsigned i = 0; i < g->protocols_count; i++)
                if (g->protocols[i].votes > (best ? best->votes : 0))
                        best = &g->protocols[i];
        return best ? best->name : STR_NULL;
}

int group_set_protocol(struct group *g, struct str name)
{
        struct str copy;

        if (text_dup(name, &copy))
                return -ENOMEM;
        text_free(&g->protocol_name);
        g->protocol_name = copy;
        return 0;
}

/* ---- subscribed topics (KIP-211, KIP-496) ---- */

bool group_is_consumer(const struct group *g)
{
        return str_equal_c(g->protocol_type, "consumer");
}

void group_clear_subscribed(struct group *g)
{
        for (size_t i = 0; i < g->subscribed.buckets_count; i++)
                for (struct map_node *n = g->subscribed.buckets[i], *next; n; n = next) {
                        next = n->next;
                        free(container_of(n, struct subscribed_topic, node));
                }
        map_fini(&g->subscribed);
        g->subscribed_known = false;
}

static bool is_in(const struct map *topics, struct str name)
{
        for (struct map_node *n = map_first(topics, name); n; n = map_next_same(n))
                if (str_equal_c(name, container_of(n, struct subscribed_topic, node)->name))
                        return true;
        return false;
}

static int add_subscribed(struct group *g, struct str name)
{
        struct subscribed_topic *t;

        if (is_in(&g->subscribed, name))
                return 0;
        t = calloc(1, sizeof *t + name.len + 1);
        if (!t)
                return -ENOMEM;
        if (name.len)
                memcpy(t->name, name.p, name.len);
        if (map_insert(&g->subscribed, &t->node, (struct str){ t->name, strlen(t->name) })) {
                free(t);
                return -ENOMEM;
        }
        return 0;
}

/* Only the topics at the front are read, which all versions have: what follows may be of a version that we do not
 * know. Return: 0, WIRE_E_MALFORMED, -ENOMEM. */
static int add_subscription(struct group *g, struct span metadata)
{
        struct cursor c = cursor_of(metadata);
        int16_t version = cursor_be16s(&c);
        uint32_t count = cursor_array_fits(&c, cursor_be32s(&c), 2);

        if (version < 0)
                return WIRE_E_MALFORMED;
        for (uint32_t i = 0; i < count; i++) {
                uint16_t len = cursor_be16(&c);
                const uint8_t *name = cursor_take(&c, len);
                int r;

                if (!name)
                        break;
                r = add_subscribed(g, (struct str){ (const char *)name, len });
                if (r)
                        return r;
        }
        return cursor_ok(&c) ? 0 : WIRE_E_MALFORMED;
}

int group_compute_subscribed(struct group *g)
{
        group_clear_subscribed(g);
        if (!group_is_consumer(g) || (g->members_count && str_is_null(g->protocol_name)))
                return 0;
        ilist_for_each (m, &g->members, struct group_member, link) {
                int r = add_subscription(g, member_metadata(m, g->protocol_name));

                if (r) {
                        group_clear_subscribed(g);
                        return r < 0 ? r : 0; /* an unreadable subscription: not known */
                }
        }
        g->subscribed_known = true;
        return 0;
}

bool group_is_subscribed(const struct group *g, struct str topic)
{
        if (g->consumer)
                return consumer_is_subscribed(g, topic);
        /* Consumers whose topics are not known may read any. */
        return g->subscribed_known ? is_in(&g->subscribed, topic) : group_is_consumer(g);
}
