/* A consumer group as operators see it (KIP-848). */
#include <errno.h>

#include "coord/consumer_priv.h"

struct coord_partitions *consumer_list_named(struct coord_request *rq, const struct meta_image *image,
                                             const struct assignment *a, int32_t *ret_count, bool *failed)
{
        struct coord_partitions *to = consumer_list(a, &rq->arena, ret_count);

        *failed |= !to;
        for (int32_t i = 0; to && i < *ret_count; i++) {
                const struct meta_topic *topic = meta_image_topic_by_id(image, to[i].id);

                to[i].name = coord_request_keep(rq, topic ? topic->name : STR_LIT(""), failed);
        }
        return to;
}

struct str *consumer_list_names(struct coord_request *rq, const struct consumer_names *n, bool *failed)
{
        struct str *names = ARENA_NEW_ARRAY(&rq->arena, struct str, n->count);

        *failed |= !names;
        for (uint32_t i = 0; names && i < n->count; i++)
                names[i] = coord_request_keep(rq, n->names[i], failed);
        return names;
}

/* What it has, and what it has to give up: until it has said so it has both. */
static void describe_assigned(struct coord_request *rq, const struct meta_image *image, const struct consumer_member *m,
                              struct coord_consumer_member *ret, bool *failed)
{
        CLEANUP(assignment_unrefp) struct assignment *all = NULL;

        if (assignment_or(m->assigned, m->revoking, &all))
                *failed = true;
        else
                ret->assigned = consumer_list_named(rq, image, all, &ret->assigned_count, failed);
}

static void describe_member(struct coord_consumer_describe *rq, const struct consumer_member *m,
                            const struct meta_image *image, struct coord_consumer_member *ret, bool *failed)
{
        struct coord_request *r = &rq->rq;
        struct str *names = consumer_list_names(r, m->names, failed);

        *ret = (struct coord_consumer_member){
                .member_id = coord_request_keep(r, m->id, failed),
                .instance_id = coord_request_keep(r, m->instance_id, failed),
                .rack_id = coord_request_keep(r, m->rack_id, failed),
                .client_id = coord_request_keep(r, m->client_id, failed),
                .client_host = coord_request_keep(r, m->client_host, failed),
                .epoch = m->epoch,
                .names = names,
                .names_count = (int32_t)m->names->count,
                .regex = coord_request_keep(r, m->regex ? m->regex->text : STR_NULL, failed),
        };
        describe_assigned(r, image, m, ret, failed);
        ret->target = consumer_list_named(r, image, m->target, &ret->target_count, failed);
}

void groups_consumer_describe(struct groups *gs, struct coord_consumer_describe *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool failed = false;
        int32_t i = 0;

        rq->ret_state = COORD_GROUP_DEAD;
        rq->ret_assignor = STR_LIT("");
        if (!g || g->state == COORD_GROUP_DEAD || group_type(g) != COORD_GROUP_CONSUMER) {
                rq->ret_is_other_type = g && group_type(g) != COORD_GROUP_CONSUMER;
                group_reply(gs, g, &rq->rq, COORD_E_GROUP_NOT_FOUND);
                return;
        }
        rq->ret_state = consumer_state(g);
        rq->ret_epoch = g->consumer->epoch;
        rq->ret_target_epoch = g->consumer->target_epoch;
        rq->ret_assignor = str_of(consumer_assignor(g)->name); /* of the program's own texts */
        rq->ret_members = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_consumer_member, g->consumer->members_count);
        failed = !rq->ret_members;
        if (!failed)
                ilist_for_each (m, &g->consumer->members, struct consumer_member, link)
                        describe_member(rq, m, groups_image(gs), &rq->ret_members[i++], &failed);
        rq->ret_members_count = i;
        group_reply(gs, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}
