#include "share/share_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int share_place_compare(const struct share_place *a, const struct share_place *b)
{
        int c = memcmp(a->topic_id.b, b->topic_id.b, sizeof a->topic_id.b);

        return c ? c : (a->index > b->index) - (a->index < b->index);
}

void share_sessions_init(struct share_sessions *s, uint64_t hash_seed)
{
        *s = (struct share_sessions){ .next_number = 1 };
        map_init(&s->by_name, hash_seed);
        ilist_init(&s->all);
}

void share_sessions_fini(struct share_sessions *s)
{
        ilist_for_each (ss, &s->all, struct share_session, link)
                share_session_close(s, ss);
        map_fini(&s->by_name);
}

static struct share_session *session_new(struct str group, struct str member)
{
        struct share_session *ss = calloc(1, sizeof *ss + group.len + member.len);

        if (!ss)
                return NULL;
        ilist_init(&ss->link);
        memcpy(ss->text, group.p, group.len);
        memcpy(ss->text + group.len, member.p, member.len);
        ss->group_len = group.len;
        ss->name = (struct str){ ss->text, group.len + member.len };
        return ss;
}

static bool is_named(const struct share_session *ss, struct str group, struct str member)
{
        return ss->group_len == group.len && ss->name.len == group.len + member.len &&
               !memcmp(ss->text, group.p, group.len) && !memcmp(ss->text + group.len, member.p, member.len);
}

struct share_session *share_session_find(struct share_sessions *s, struct str group, struct str member)
{
        /* By the member's id alone: clients make it up by chance. */
        for (struct map_node *n = map_first(&s->by_name, member); n; n = map_next_same(n)) {
                struct share_session *ss = container_of(n, struct share_session, node);

                if (is_named(ss, group, member))
                        return ss;
        }
        return NULL;
}

struct share_session *share_session_open(struct share_sessions *s, struct str group, struct str member)
{
        struct share_session *ss = share_session_find(s, group, member);

        if (!ss) {
                ss = session_new(group, member);
                if (!ss)
                        return NULL;
                if (map_insert(&s->by_name, &ss->node, (struct str){ ss->text + group.len, member.len })) {
                        free(ss);
                        return NULL;
                }
                ss->number = s->next_number++;
                ilist_push_back(&s->all, &ss->link);
                s->count++;
        }
        ss->places_count = 0;
        ss->turn = 0;
        ss->epoch = 1;
        return ss;
}

void share_session_step(struct share_session *ss)
{
        ss->epoch = ss->epoch == INT32_MAX ? 1 : ss->epoch + 1;
}

/* Where it is, or would be. */
static size_t find(const struct share_session *ss, const struct share_place *place)
{
        size_t low = 0, high = ss->places_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (share_place_compare(&ss->places[mid], place) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static bool is_at(const struct share_session *ss, size_t i, const struct share_place *place)
{
        return i < ss->places_count && !share_place_compare(&ss->places[i], place);
}

int share_session_add(struct share_session *ss, const struct share_place *place)
{
        size_t i = find(ss, place);

        if (is_at(ss, i, place))
                return 0;
        if (ss->places_count == ss->places_size) {
                size_t size = MAX2(ss->places_size * 2, (size_t)4);
                struct share_place *places = reallocarray(ss->places, size, sizeof *places);

                if (!places)
                        return -ENOMEM;
                ss->places = places;
                ss->places_size = size;
        }
        memmove(&ss->places[i + 1], &ss->places[i], (ss->places_count - i) * sizeof *ss->places);
        ss->places[i] = *place;
        ss->places_count++;
        return 0;
}

void share_session_remove(struct share_session *ss, const struct share_place *place)
{
        size_t i = find(ss, place);

        if (!is_at(ss, i, place))
                return;
        ss->places_count--;
        memmove(&ss->places[i], &ss->places[i + 1], (ss->places_count - i) * sizeof *ss->places);
}

void share_session_close(struct share_sessions *s, struct share_session *ss)
{
        map_remove(&s->by_name, &ss->node);
        ilist_unlink(&ss->link);
        s->count--;
        free(ss->places);
        free(ss);
}

struct str share_session_group(const struct share_session *ss)
{
        return (struct str){ ss->text, ss->group_len };
}

bool share_sessions_has_other(const struct share_sessions *s, const struct share_session *ss)
{
        ilist_for_each (other, &s->all, struct share_session, link)
                if (other != ss && str_equal(share_session_group(other), share_session_group(ss)))
                        return true;
        return false;
}
