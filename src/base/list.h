/* Intrusive doubly linked list. A node is a member of its owner; a list owns nothing. A node that is in no list
 * points to itself, so unlinking twice is harmless. */
#pragma once

#include "base/macros.h"

struct ilist {
        struct ilist *next;
        struct ilist *prev;
};

#define ILIST_INIT(name) \
        { \
                &(name), &(name) \
        }

static inline void ilist_init(struct ilist *l)
{
        l->next = l->prev = l;
}

static inline bool ilist_is_empty(const struct ilist *l)
{
        return l->next == l;
}

static inline void ilist_insert_before(struct ilist *at, struct ilist *node)
{
        assert(at->prev); /* a list that was not initialised */
        node->prev = at->prev;
        node->next = at;
        at->prev->next = node;
        at->prev = node;
}

static inline void ilist_push_back(struct ilist *l, struct ilist *node)
{
        ilist_insert_before(l, node);
}

static inline void ilist_push_front(struct ilist *l, struct ilist *node)
{
        ilist_insert_before(l->next, node);
}

static inline void ilist_unlink(struct ilist *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        ilist_init(node);
}

/* Take the first node out; NULL when empty. */
static inline struct ilist *ilist_pop_front(struct ilist *l)
{
        struct ilist *node = l->next;

        if (node == l)
                return NULL;
        ilist_unlink(node);
        return node;
}

/* Move every node of @from to the end of @to; @from is empty afterwards. */
static inline void ilist_splice_back(struct ilist *to, struct ilist *from)
{
        if (ilist_is_empty(from))
                return;
        assert(from->next && from->prev && to->prev);
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        ilist_init(from);
}

#define ilist_entry(node, type, member) container_of(node, type, member)
#define ilist_first(l, type, member) (ilist_is_empty(l) ? NULL : ilist_entry((l)->next, type, member))
#define ilist_last(l, type, member) (ilist_is_empty(l) ? NULL : ilist_entry((l)->prev, type, member))

/* The node may be unlinked inside the loop. */
#define ilist_for_each(it, l, type, member) \
        for (type *it = ilist_entry((l)->next, type, member), *it##_next = ilist_entry(it->member.next, type, member); \
             &it->member != (l); it = it##_next, it##_next = ilist_entry(it->member.next, type, member))
