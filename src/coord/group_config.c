/* Settings of a group, read when they have changed. */
#include "coord/group_config.h"

const struct group_settings *group_config_get(struct group_config *s, const struct group_rules *rules,
                                              const struct meta_image *image, struct str group)
{
        struct meta_configs *c;

        if (s->is_read && s->seen_index == image->index)
                return &s->now;
        s->seen_index = image->index;
        c = meta_image_configs(image, META_RESOURCE_GROUP, group);
        if (s->is_read && c == s->from) /* it is the same one: who is referred to is not freed and made anew */
                return &s->now;
        group_config_fini(s);
        s->from = meta_configs_ref(c);
        s->is_read = true;
        s->now = rules->unset;
        for (uint32_t i = 0; c && i < c->count; i++)
                group_settings_put(rules, c->items[i].name, c->items[i].value, &s->now);
        return &s->now;
}

void group_config_fini(struct group_config *s)
{
        meta_configs_unref((struct meta_configs *)s->from);
        s->from = NULL;
        s->is_read = false;
}
