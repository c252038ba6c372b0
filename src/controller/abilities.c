/* What the other controllers can do: told from any thread, used on the controller's loop (features.c). */
#include <errno.h>
#include <stdlib.h>

#include "controller/host.h"

/* What other controllers can do, on its way to the loop and then there. */
struct abilities {
        struct mail mail;
        struct controller *controller;
        struct arena mem;
        struct controller_ability *at;
        size_t count;
};

struct abilities *controller_abilities_free(struct abilities *a)
{
        if (a)
                arena_fini(&a->mem);
        free(a);
        return NULL;
}

static void abilities_arrived(struct loop *l, struct mail *m)
{
        struct abilities *a = container_of(m, struct abilities, mail);
        struct controller *c = a->controller;

        controller_abilities_free(c->abilities);
        c->abilities = a;
        c->rules.controllers = a->at;
        c->rules.controllers_count = a->count;
}

static bool ability_copy(struct arena *mem, const struct controller_ability *from, struct controller_ability *ret)
{
        struct rec_broker_feature *features = ARENA_NEW_ARRAY(mem, struct rec_broker_feature, from->features_count);

        for (int32_t i = 0; features && i < from->features_count; i++) {
                features[i] = from->features[i];
                features[i].name.p = arena_memdup(mem, from->features[i].name.p, from->features[i].name.len);
                if (!features[i].name.p)
                        return false;
        }
        *ret = (struct controller_ability){ from->node_id, features, from->features_count };
        return features;
}

int controller_set_abilities(struct controller *c, const struct controller_ability *abilities, size_t count)
{
        struct abilities *a = calloc(1, sizeof *a);
        bool ok;

        if (!a)
                return -ENOMEM;
        arena_init(&a->mem, 0);
        a->controller = c;
        a->count = count;
        a->at = ARENA_NEW_ARRAY(&a->mem, struct controller_ability, count);
        ok = a->at;
        for (size_t i = 0; ok && i < count; i++)
                ok = ability_copy(&a->mem, &abilities[i], &a->at[i]);
        if (!ok) {
                controller_abilities_free(a);
                return -ENOMEM;
        }
        a->mail.fn = abilities_arrived;
        loop_post(c->loop, &a->mail);
        return 0;
}
