/* What programs can do, beside what the cluster has agreed on (KIP-584): the other controllers say it in every hello between nodes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/host.h"
#include "peer/peer.h"

/* What a node that is spoken with now has said. Of one that is not, nothing is known: it may come back with another program. */
static int ability_of(struct peer_hub *hub, int32_t node, struct arena *mem, struct controller_ability *ret)
{
        struct peer_info info;
        struct rec_broker_feature *features;

        *ret = (struct controller_ability){ .node_id = node };
        if (!hub || !peer_hub_find(hub, node, &info) || (!info.links[PEER_CONTROL].up && !info.in_count))
                return 0;
        features = ARENA_NEW_ARRAY(mem, struct rec_broker_feature, info.peer.levels_count);
        if (!features)
                return -ENOMEM;
        for (unsigned i = 0; i < info.peer.levels_count; i++) {
                const struct peer_level *l = &info.peer.levels[i];

                features[i] = (struct rec_broker_feature){ .name = arena_printf(mem, "%s", l->name),
                                                           .level_min = l->level_min,
                                                           .level_max = l->level_max };
                if (str_is_null(features[i].name))
                        return -ENOMEM;
        }
        *ret = (struct controller_ability){ node, true, features, (int32_t)info.peer.levels_count };
        return 0;
}

int controller_abilities(struct controller *c, struct decision *d)
{
        CLEANUP(freep) struct quorum_description *group = malloc(sizeof *group); /* too large for a stack */
        struct controller_ability *at = ARENA_NEW_ARRAY(d->mem, struct controller_ability, RAFT_MEMBERS_MAX);
        size_t count = 0;
        int r = 0;

        if (!group || !at)
                return -ENOMEM;
        quorum_describe(c->quorum, group);
        for (uint32_t i = 0; i < group->members_count && !r; i++)
                if (group->members[i].node != c->rules.node_id)
                        r = ability_of(c->hub, group->members[i].node, d->mem, &at[count++]);
        d->controllers = at;
        d->controllers_count = count;
        return r;
}

bool controller_can(const struct controller_rules *rules, const struct meta_image *image, char *why, size_t why_size)
{
        const struct meta_feature *f;

        pmap_for_each (it, f, &image->features) {
                const struct controller_feature *known = controller_feature(rules, f->name);

                if (known && f->level >= known->level_min && f->level <= known->level_max)
                        continue;
                snprintf(why, why_size,
                         "the cluster works with %.*s at level %d, and this program can do %d to %d. Start one "
                         "that can do level %d",
                         STR_FMT(f->name), f->level, known ? known->level_min : 0, known ? known->level_max : 0,
                         f->level);
                return false;
        }
        return true;
}
