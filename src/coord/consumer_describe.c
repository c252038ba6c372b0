/* A consumer group as operators see it (KIP-848). */
#include <errno.h>

#include "coord/consumer_priv.h"

static struct coord_partitions *list(struct coord_request *rq, const struct meta_image *image,
                                     const struct assignment *a, int32_t *ret_count, bool *failed)
{
        uint32_t count = a ? a->topics_count : 0;
        struct coord_partitions *to = ARENA_NEW_ARRAY(&rq->arena, struct coord_partitions, count);

        *ret_count = (int32_t)count;
        *failed |= !to;
        for (uint32_t i = 0; to && i < count; i++) {
                const struct assignment_topic *t = &a->topics[i];
                const struct meta_topic *topic = meta_image_topic_by_id(image, t->id);

                to[i].id = t->id;
                to[i].name = coord_request_keep(rq, topic ? topic->name : STR_LIT(""), failed);
                to[i].partitions_count = t->partitions_count;
                to[i].partitions =
                        arena_memdup(&rq->arena, t->partitions, sizeof *t->partitions * (size_t)t->partitions_count);
                *failed |= !to[i].partitions;
        }
        return to;
}

/* What it has, and what it has to give up: until it has said so it has both. */
static void describe_assigned(struct coord_request *rq, const struct meta_image *image, const struct consumer_member *m,
                              struct coord_consumer_member *ret, bool *failed)
{
        CLEANUP(assignment_unrefp) struct assignment *all = NULL;

        if (assignment_or(m->assigned, m->revoking, &all))
                *failed = true;
        else
                ret->assigned = list(rq, image, all, &ret->assigned_count, failed);
}

static void describe_member(struct coord_consumer_describe *rq, const struct consumer_member *m,
                            const struct meta_image *image, struct coord_consumer_member *ret, bool *failed)
{
        struct coord_request *r = &rq->rq;
        struct str *names = ARENA_NEW_ARRAY(&r->arena, struct str, m->names->count);

        *failed |= !names;
        for (uint32_t i = 0; names && i < m->names->count; i++)
                names[i] = coord_request_keep(r, m->names->names[i], failed);
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
        ret->target = list(r, image, m->target, &ret->target_count, failed);
}

void groups_consumer_describe(struct groups *gs, struct coord_consumer_describe *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool failed = false;
        int32_t i = 0;

        rq->ret_state = COORD_GROUP_DEAD;
        rq->ret_assignor = STR_LIT("");
        if (!g || g->state == COORD_GROUP_DEAD || !g->consumer) {
                rq->ret_is_other_type = g && !g->consumer;
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
