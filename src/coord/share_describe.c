/* A share group as operators see it (KIP-932). */
#include <errno.h>

#include "coord/share_priv.h"

static void describe_member(struct coord_request *rq, const struct meta_image *image, const struct consumer_member *m,
                            struct coord_share_member *ret, bool *failed)
{
        *ret = (struct coord_share_member){
                .member_id = coord_request_keep(rq, m->id, failed),
                .rack_id = coord_request_keep(rq, m->rack_id, failed),
                .client_id = coord_request_keep(rq, m->client_id, failed),
                .client_host = coord_request_keep(rq, m->client_host, failed),
                .epoch = m->epoch,
                .names = consumer_list_names(rq, m->names, failed),
                .names_count = (int32_t)m->names->count,
        };
        ret->assigned = consumer_list_named(rq, image, m->assigned, &ret->assigned_count, failed);
}

void groups_share_describe(struct groups *gs, struct coord_share_describe *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool failed = false;
        int32_t i = 0;

        rq->ret_state = COORD_GROUP_DEAD;
        rq->ret_assignor = STR_LIT("");
        if (!g || g->state == COORD_GROUP_DEAD || group_type(g) != COORD_GROUP_SHARE) {
                rq->ret_is_other_type = g && group_type(g) != COORD_GROUP_SHARE;
                group_reply(gs, g, &rq->rq, COORD_E_GROUP_NOT_FOUND);
                return;
        }
        rq->ret_state = consumer_state(g);
        rq->ret_epoch = g->consumer->epoch;
        rq->ret_target_epoch = g->consumer->target_epoch;
        rq->ret_assignor = str_of(consumer_assignor(g)->name); /* of the program's own texts */
        rq->ret_members = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_share_member, g->consumer->members_count);
        failed = !rq->ret_members;
        if (!failed)
                ilist_for_each (m, &g->consumer->members, struct consumer_member, link)
                        describe_member(&rq->rq, groups_image(gs), m, &rq->ret_members[i++], &failed);
        rq->ret_members_count = i;
        group_reply(gs, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}
