/* Lists of members, and which list holds at which index of the log. */
#include <errno.h>
#include <string.h>

#include "raft/raft_internal.h"

/* ---- one list ---- */

bool raft_members_are_sane(const struct raft_members *m)
{
        if (!m->count || m->count > RAFT_MEMBERS_MAX || !raft_members_voters(m))
                return false;
        for (uint32_t i = 0; i < m->count; i++) {
                if (m->at[i].id.node < 0)
                        return false;
                for (uint32_t j = 0; j < i; j++)
                        if (m->at[i].id.node == m->at[j].id.node)
                                return false;
        }
        return true;
}

const struct raft_member *raft_members_find(const struct raft_members *m, int32_t node)
{
        for (uint32_t i = 0; i < m->count; i++)
                if (m->at[i].id.node == node)
                        return &m->at[i];
        return NULL;
}

const struct raft_member *raft_members_find_id(const struct raft_members *m, struct raft_id id)
{
        const struct raft_member *member = raft_members_find(m, id.node);

        return member && raft_id_equal(member->id, id) ? member : NULL;
}

bool raft_members_have_voter(const struct raft_members *m, struct raft_id id)
{
        const struct raft_member *member = raft_members_find_id(m, id);

        return member && member->is_voter;
}

uint32_t raft_members_voters(const struct raft_members *m)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < m->count; i++)
                n += m->at[i].is_voter;
        return n;
}

/* ---- lists by index ---- */

int raft_history_init(struct raft_history *h, const struct raft_restore *from)
{
        for (size_t i = 0; i < from->members_count; i++) {
                const struct raft_members_at *at = &from->members[i];

                if (!raft_members_are_sane(&at->members) || at->index < 0 || at->index > from->last_index)
                        return -EINVAL;
                if (i && (at->index <= from->members[i - 1].index || at->index <= from->cut_index))
                        return -EINVAL;
        }
        *h = (struct raft_history){ .size = from->members_count + 4 };
        h->at = calloc(h->size, sizeof *h->at);
        if (!h->at)
                return -ENOMEM;
        h->count = from->members_count;
        if (h->count)
                memcpy(h->at, from->members, h->count * sizeof *h->at);
        raft_history_commit(h, from->commit_index);
        return 0;
}

void raft_history_fini(struct raft_history *h)
{
        free(h->at);
}

int raft_history_reserve(struct raft_history *h, size_t more)
{
        size_t size = MAX2(h->size * 2, h->count + more);
        struct raft_members_at *at;

        if (h->count + more <= h->size)
                return 0;
        at = realloc(h->at, size * sizeof *at);
        if (!at)
                return -ENOMEM;
        h->at = at;
        h->size = size;
        return 0;
}

void raft_history_push(struct raft_history *h, int64_t index, const struct raft_members *m)
{
        assert(h->count < h->size);
        assert(!h->count || h->at[h->count - 1].index < index);
        h->at[h->count++] = (struct raft_members_at){ index, *m };
}

size_t raft_history_truncate(struct raft_history *h, int64_t from)
{
        size_t gone = 0;

        for (; h->count && h->at[h->count - 1].index >= from; h->count--)
                gone++;
        return gone;
}

void raft_history_commit(struct raft_history *h, int64_t commit_index)
{
        size_t old = 0;

        while (old + 1 < h->count && h->at[old + 1].index <= commit_index)
                old++;
        h->count -= old;
        memmove(h->at, h->at + old, h->count * sizeof *h->at);
}

/* ---- the newest list ---- */

const struct raft_members *raft_members(const struct raft *r)
{
        static const struct raft_members none;

        return r->history.count ? &r->history.at[r->history.count - 1].members : &none;
}

int64_t raft_members_index(const struct raft *r)
{
        return r->history.count ? r->history.at[r->history.count - 1].index : -1;
}

bool raft_is_voter(const struct raft *r)
{
        return raft_members_have_voter(raft_members(r), r->self);
}

bool raft_is_only_voter(const struct raft *r)
{
        return raft_is_voter(r) && raft_members_voters(raft_members(r)) == 1;
}
