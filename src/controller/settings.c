/* See settings.h. */
#include "controller/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/broker.h"

#define FLUSH_NAME "chronik.flush.before.ack"

void settings_fini(struct settings *s)
{
        meta_configs_unref(s->from);
        meta_configs_unref(s->topic_from);
        *s = (struct settings){ 0 };
}

/* What is set on a resource, as conf/ reads it. *ret_at is to be freed. */
static int pairs_of(const struct meta_configs *c, struct conf_pairs *ret, struct conf_pair **ret_at)
{
        uint32_t count = c ? c->count : 0;
        struct conf_pair *at = malloc((count + 1) * sizeof *at);

        if (!at)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++)
                at[i] = (struct conf_pair){ c->items[i].name, c->items[i].value };
        *ret = (struct conf_pairs){ at, count };
        *ret_at = at;
        return 0;
}

static int defaults_of(struct settings *s, const struct conf *conf, struct meta_configs *all)
{
        CLEANUP(conf_unrefp) struct conf *now = NULL;
        struct conf_layers layers = { .start = conf };
        struct topic_conf defaults;
        struct conf_pair *at;
        int r = pairs_of(all, &layers.all_brokers, &at);

        if (r)
                return r;
        r = broker_conf_derive(&layers, &now, NULL);
        free(at);
        if (!r)
                r = topic_conf_defaults(now, &defaults);
        if (r)
                return r;
        meta_configs_ref(all);
        settings_fini(s);
        *s = (struct settings){ .from = all, .known = true, .defaults = defaults };
        return 0;
}

int settings_of_topic(struct settings *s, const struct conf *conf, const struct meta_image *image, struct str topic,
                      struct topic_settings *ret)
{
        struct meta_configs *all = meta_image_configs(image, META_RESOURCE_BROKER, STR_LIT(""));
        struct meta_configs *own = meta_image_configs(image, META_RESOURCE_TOPIC, topic);
        struct topic_conf now;
        struct conf_pairs pairs;
        struct conf_pair *at;
        int r;

        if (!s->known || s->from != all) {
                r = defaults_of(s, conf, all);
                if (r)
                        return r;
        }
        if (own && own == s->topic_from) {
                *ret = s->topic;
                return 0;
        }
        now = s->defaults;
        if (own) {
                r = pairs_of(own, &pairs, &at);
                if (r)
                        return r;
                (void)topic_conf_resolve(&s->defaults, pairs, &now); /* what is left out was judged when it was set */
                free(at);
        }
        *ret = (struct topic_settings){
                .min_isr = (int32_t)MIN2(now.min_insync_replicas, (int64_t)INT32_MAX),
                .unclean = now.unclean_leader_election_enable,
                .relaxed = !now.flush_before_ack,
        };
        if (own) {
                meta_configs_unref(s->topic_from);
                s->topic_from = meta_configs_ref(own);
                s->topic = *ret;
        }
        return 0;
}

bool settings_relaxed_on(const struct meta_image *image, struct str topic, int32_t broker_id, bool topic_is_relaxed)
{
        const struct meta_configs *own = meta_image_configs(image, META_RESOURCE_TOPIC, topic);
        char id[12];
        struct str value;

        if (!str_is_null(meta_configs_get(own, STR_LIT(FLUSH_NAME))))
                return topic_is_relaxed;
        snprintf(id, sizeof id, "%d", broker_id);
        value = meta_configs_get(meta_image_configs(image, META_RESOURCE_BROKER, str_of(id)), STR_LIT(FLUSH_NAME));
        return str_is_null(value) ? topic_is_relaxed : str_equal_c(value, "false");
}
