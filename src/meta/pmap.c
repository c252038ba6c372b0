/* See pmap.h. Invariants:
 *  1. A node with more than one reference, or below one with more than one, is never written.
 *  2. own() makes the node in a slot ours: its children then have at least two references if it was shared, so that
 *     descending keeps invariant 1 without looking back. */
#include "meta/pmap.h"

#include <errno.h>

struct pmap_node {
        atomic_uint refs;
        uint32_t height; /* of the subtree; a leaf has 1 */
        void *value;
        struct pmap_node *child[2]; /* smaller, larger */
};

size_t pmap_node_size(void)
{
        return sizeof(struct pmap_node);
}

static struct pmap_node *node_ref(struct pmap_node *n)
{
        if (n)
                atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
        return n;
}

static void node_unref(const struct pmap_ops *ops, struct pmap_node *n)
{
        while (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
                struct pmap_node *larger = n->child[1];

                node_unref(ops, n->child[0]); /* as deep as the tree is high */
                ops->unref(n->value);
                free(n);
                n = larger;
        }
}

static uint32_t height_of(const struct pmap_node *n)
{
        return n ? n->height : 0;
}

static void height_update(struct pmap_node *n)
{
        n->height = MAX2(height_of(n->child[0]), height_of(n->child[1])) + 1;
}

static struct pmap_node *node_new(const struct pmap_ops *ops, void *value)
{
        struct pmap_node *n = malloc(sizeof *n);

        if (!n)
                return NULL;
        atomic_init(&n->refs, 1);
        n->height = 1;
        n->child[0] = n->child[1] = NULL;
        n->value = value;
        ops->ref(value);
        return n;
}

/* Make the node in @slot ours alone. -ENOMEM leaves the slot as it was. */
static int own(const struct pmap_ops *ops, struct pmap_node **slot)
{
        struct pmap_node *n = *slot, *copy;

        assert(n);
        if (atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
                return 0;
        copy = node_new(ops, n->value);
        if (!copy)
                return -ENOMEM;
        copy->height = n->height;
        copy->child[0] = node_ref(n->child[0]);
        copy->child[1] = node_ref(n->child[1]);
        node_unref(ops, n);
        *slot = copy;
        return 0;
}

/* Lift the child on side @d above the node in @slot; both are ours. */
static void rotate(struct pmap_node **slot, int d)
{
        struct pmap_node *n = *slot, *c = n->child[d];

        n->child[d] = c->child[!d];
        c->child[!d] = n;
        height_update(n);
        height_update(c);
        *slot = c;
}

/* Restore the balance of a node that is ours, after one of its subtrees changed its height by one. */
static int rebalance(const struct pmap_ops *ops, struct pmap_node **slot)
{
        struct pmap_node *n = *slot, *c;
        int balance = (int)height_of(n->child[1]) - (int)height_of(n->child[0]);
        int d = balance > 0;
        int r;

        if (balance >= -1 && balance <= 1) {
                height_update(n);
                return 0;
        }
        r = own(ops, &n->child[d]);
        if (r)
                return r;
        c = n->child[d];
        if (height_of(c->child[!d]) > height_of(c->child[d])) {
                r = own(ops, &c->child[!d]);
                if (r)
                        return r;
                rotate(&n->child[d], !d);
        }
        rotate(slot, d);
        return 0;
}

void pmap_fini(struct pmap *m)
{
        node_unref(m->ops, m->root);
        m->root = NULL;
        m->count = 0;
}

struct pmap pmap_copy(const struct pmap *m)
{
        node_ref(m->root);
        return *m;
}

void *pmap_get(const struct pmap *m, const void *key)
{
        const struct pmap_node *n = m->root;

        while (n) {
                int c = m->ops->compare(key, m->ops->key(n->value));

                if (!c)
                        return n->value;
                n = n->child[c > 0];
        }
        return NULL;
}

/* All nodes on the way are made ours before anything changes, so that a failure changes nothing that can be seen: a copied
 * path has the same content. Rotations of an insertion touch only nodes on the way (AVL), so they need no memory. */
static int put(struct pmap *m, struct pmap_node **slot, const void *key, void *value)
{
        struct pmap_node *n = *slot;
        int c, r;

        if (!n) {
                *slot = node_new(m->ops, value);
                m->count += !!*slot;
                return *slot ? 0 : -ENOMEM;
        }
        r = own(m->ops, slot);
        if (r)
                return r;
        n = *slot;
        c = m->ops->compare(key, m->ops->key(n->value));
        if (!c) {
                m->ops->ref(value);
                m->ops->unref(n->value);
                n->value = value;
                return 0;
        }
        r = put(m, &n->child[c > 0], key, value);
        return r ? r : rebalance(m->ops, slot);
}

int pmap_put(struct pmap *m, void *value)
{
        return put(m, &m->root, m->ops->key(value), value);
}

/* Take the smallest node of the subtree in @slot out and hand it over, childless. */
static int take_smallest(const struct pmap_ops *ops, struct pmap_node **slot, struct pmap_node **ret_node)
{
        struct pmap_node *n;
        int r = own(ops, slot);

        if (r)
                return r;
        n = *slot;
        if (!n->child[0]) {
                *slot = n->child[1];
                n->child[1] = NULL;
                *ret_node = n;
                return 0;
        }
        r = take_smallest(ops, &n->child[0], ret_node);
        return r ? r : rebalance(ops, slot);
}

static int remove_here(const struct pmap_ops *ops, struct pmap_node **slot)
{
        struct pmap_node *n = *slot, *heir = NULL;
        int r;

        if (!n->child[0] || !n->child[1]) {
                *slot = n->child[0] ? n->child[0] : n->child[1];
                n->child[0] = n->child[1] = NULL;
                node_unref(ops, n);
                return 0;
        }
        r = take_smallest(ops, &n->child[1], &heir);
        if (heir) { /* also when the balance failed: nothing may leak */
                void *value = n->value;

                n->value = heir->value;
                heir->value = value;
                node_unref(ops, heir);
        }
        return r ? r : rebalance(ops, slot);
}

static int remove_key(const struct pmap_ops *ops, struct pmap_node **slot, const void *key)
{
        int c, r = own(ops, slot);

        if (r)
                return r;
        c = ops->compare(key, ops->key((*slot)->value));
        if (!c)
                return remove_here(ops, slot);
        r = remove_key(ops, &(*slot)->child[c > 0], key);
        return r ? r : rebalance(ops, slot);
}

int pmap_remove(struct pmap *m, const void *key)
{
        int r;

        if (!pmap_get(m, key))
                return -ENOENT;
        r = remove_key(m->ops, &m->root, key);
        if (!r)
                m->count--;
        return r;
}

static void push_smallest(struct pmap_iter *it, const struct pmap_node *n)
{
        for (; n; n = n->child[0]) {
                assert(it->depth < PMAP_DEPTH_MAX);
                it->path[it->depth++] = n;
        }
}

void pmap_iter_init(struct pmap_iter *it, const struct pmap *m, const void *from)
{
        const struct pmap_node *n = m->root;

        it->depth = 0;
        if (!from) {
                push_smallest(it, n);
                return;
        }
        while (n) {
                if (m->ops->compare(from, m->ops->key(n->value)) > 0) {
                        n = n->child[1];
                } else {
                        assert(it->depth < PMAP_DEPTH_MAX);
                        it->path[it->depth++] = n;
                        n = n->child[0];
                }
        }
}

void *pmap_next(struct pmap_iter *it)
{
        const struct pmap_node *n;

        if (!it->depth)
                return NULL;
        n = it->path[--it->depth];
        push_smallest(it, n->child[1]);
        return n->value;
}

/* ---- differences ---- */

/* What of one map is still to be compared, the next on top: whole subtrees, or single values of nodes that were opened. */
struct todo {
        const struct pmap_node *node;
        bool value_only;
};
struct todo_stack {
        struct todo items[2 * PMAP_DEPTH_MAX];
        unsigned depth;
};

static void todo_push(struct todo_stack *s, const struct pmap_node *n, bool value_only)
{
        if (!n)
                return;
        assert(s->depth < ARRAY_LEN(s->items));
        s->items[s->depth++] = (struct todo){ n, value_only };
}

static struct todo *todo_top(struct todo_stack *s)
{
        return s->depth ? &s->items[s->depth - 1] : NULL;
}

/* Open the subtree on top: its larger half, its value and its smaller half take its place. */
static void todo_open(struct todo_stack *s)
{
        const struct pmap_node *n = s->items[--s->depth].node;

        todo_push(s, n->child[1], false);
        todo_push(s, n, true);
        todo_push(s, n->child[0], false);
}

static const void *todo_first_key(const struct pmap_ops *ops, const struct todo *t)
{
        const struct pmap_node *n = t->node;

        while (!t->value_only && n->child[0])
                n = n->child[0];
        return ops->key(n->value);
}

/* One step with both sides not empty. */
static int diff_step(const struct pmap_ops *ops, struct todo_stack *a, struct todo_stack *b,
                     int (*fn)(void *arg, void *value_a, void *value_b), void *arg)
{
        struct todo *ta = todo_top(a), *tb = todo_top(b);
        int c;

        if (ta->node == tb->node && ta->value_only == tb->value_only) {
                a->depth--;
                b->depth--;
                return 0;
        }
        if (!ta->value_only && !tb->value_only) {
                /* The taller one first: a shared subtree is met when both sides have come down to its height. */
                todo_open(height_of(ta->node) >= height_of(tb->node) ? a : b);
                return 0;
        }
        c = ops->compare(todo_first_key(ops, ta), todo_first_key(ops, tb));
        if (c < 0 && ta->value_only) {
                a->depth--;
                return fn(arg, ta->node->value, NULL);
        }
        if (c > 0 && tb->value_only) {
                b->depth--;
                return fn(arg, NULL, tb->node->value);
        }
        if (!ta->value_only || !tb->value_only) {
                todo_open(ta->value_only ? b : a);
                return 0;
        }
        a->depth--;
        b->depth--;
        return ta->node->value == tb->node->value ? 0 : fn(arg, ta->node->value, tb->node->value);
}

int pmap_diff(const struct pmap *a, const struct pmap *b, int (*fn)(void *arg, void *value_a, void *value_b), void *arg)
{
        struct todo_stack sa = { .depth = 0 }, sb = { .depth = 0 };
        int r = 0;

        todo_push(&sa, a->root, false);
        todo_push(&sb, b->root, false);
        while (!r && (sa.depth || sb.depth)) {
                if (sa.depth && sb.depth) {
                        r = diff_step(a->ops, &sa, &sb, fn, arg);
                } else {
                        struct todo_stack *s = sa.depth ? &sa : &sb;
                        const struct todo *t = todo_top(s);

                        if (!t->value_only) {
                                todo_open(s);
                                continue;
                        }
                        s->depth--;
                        r = s == &sa ? fn(arg, t->node->value, NULL) : fn(arg, NULL, t->node->value);
                }
        }
        return r;
}

static bool subtree_is_sound(const struct pmap_node *n, uint32_t *ret_height)
{
        uint32_t h[2];

        *ret_height = 0;
        if (!n)
                return true;
        if (!subtree_is_sound(n->child[0], &h[0]) || !subtree_is_sound(n->child[1], &h[1]))
                return false;
        *ret_height = n->height;
        return n->height == MAX2(h[0], h[1]) + 1 && h[0] <= h[1] + 1 && h[1] <= h[0] + 1;
}

bool pmap_is_sound(const struct pmap *m)
{
        const void *previous = NULL;
        uint32_t height, count = 0;
        void *v;

        pmap_for_each (it, v, m) {
                if (previous && m->ops->compare(previous, m->ops->key(v)) >= 0)
                        return false;
                previous = m->ops->key(v);
                count++;
        }
        return count == m->count && subtree_is_sound(m->root, &height);
}
