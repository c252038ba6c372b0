/* Configurations of topics, brokers and groups, client quotas, and subscriptions to client metrics: judged by conf/, changed here.
 * All changes of a resource or none (KIP-339; AlterConfigs of old replaces the whole set). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/broker.h"
#include "conf/client_metrics.h"
#include "conf/group_settings.h"
#include "conf/limits.h"
#include "conf/quota.h"
#include "conf/topic.h"
#include "controller/decide.h"

#define VALUE_LEN_MAX INT16_MAX /* the longest text that a record holds */

/* What is set on a resource as an alteration goes on. */
struct set {
        struct conf_pair *at;
        size_t count;
};

/* Fill @result in from what conf/ said. Return: whether all is well. */
static bool judged(struct decision *d, int r, struct strbuf *why, struct controller_result *result)
{
        if (r < 0)
                d->failed = r;
        else if (r)
                decision_refuse(d, result, r == CONF_E_RANGE ? CONTROLLER_E_INVALID : CONTROLLER_E_CONFIG, "%s",
                                why->data ? why->data : "A configuration is wrong.");
        return !r;
}

bool judge_topic_configs(struct decision *d, const struct conf_pair *pairs, size_t count,
                         struct controller_result *result)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        struct topic_conf defaults;
        int r;

        if (!count)
                return true;
        for (size_t i = 0; i < count; i++) {
                if (!str_is_null(pairs[i].value))
                        continue;
                decision_refuse(d, result, CONTROLLER_E_CONFIG, "%.*s: a topic cannot be created with a null value.",
                                STR_FMT(pairs[i].name));
                return false;
        }
        r = topic_conf_defaults(d->rules->conf, &defaults);
        if (!r)
                r = topic_conf_validate_set(&defaults, (struct conf_pairs){ pairs, count }, &why);
        return judged(d, r, &why, result);
}

/* ---- alteration ---- */

/* What a resource has set, as pairs with room for @more. */
static bool set_of(struct decision *d, const struct meta_configs *c, size_t more, struct set *ret)
{
        ret->count = c ? c->count : 0;
        ret->at = ARENA_NEW_ARRAY(d->mem, struct conf_pair, ret->count + more);
        if (!ret->at) {
                d->failed = -ENOMEM;
                return false;
        }
        for (size_t i = 0; i < ret->count; i++)
                ret->at[i] = (struct conf_pair){ c->items[i].name, c->items[i].value };
        return true;
}

static struct conf_pair *set_find(struct set *s, struct str name)
{
        for (size_t i = 0; i < s->count; i++)
                if (str_equal(s->at[i].name, name))
                        return &s->at[i];
        return NULL;
}

/* @value null: away with it. */
static void set_put(struct set *s, struct str name, struct str value)
{
        struct conf_pair *p = set_find(s, name);

        if (str_is_null(value)) {
                if (p)
                        *p = s->at[--s->count];
                return;
        }
        if (!p)
                p = &s->at[s->count++];
        *p = (struct conf_pair){ name, value };
}

/* The broker whose id a name is, or -1. */
static int32_t broker_of(struct str name)
{
        int64_t id = 0;

        if (!name.len || name.len > 10 || (name.len > 1 && name.p[0] == '0'))
                return -1;
        for (size_t i = 0; i < name.len; i++) {
                if (name.p[i] < '0' || name.p[i] > '9')
                        return -1;
                id = id * 10 + (name.p[i] - '0');
        }
        return id <= INT32_MAX ? (int32_t)id : -1;
}

/* One more is no more than there may be. */
static bool subscription_has_place(struct decision *d, struct controller_alter_configs *a)
{
        const struct meta_resource_key from = { META_RESOURCE_CLIENT_METRICS, STR_LIT("") };
        const struct meta_image *image = decision_image(d);
        const struct meta_configs *c;
        struct pmap_iter it;
        int count = 0;

        if (meta_image_configs(image, META_RESOURCE_CLIENT_METRICS, a->name))
                return true;
        pmap_iter_init(&it, &image->configs, &from);
        while ((c = pmap_next(&it)) && c->key.type == META_RESOURCE_CLIENT_METRICS)
                count++;
        if (count < LIMIT_CLIENT_METRICS_SUBSCRIPTIONS)
                return true;
        decision_refuse(d, &a->result, CONTROLLER_E_INVALID,
                        "There are %d subscriptions to client metrics already; more would hold up every client.",
                        count);
        return false;
}

static bool resource_is_there(struct decision *d, struct controller_alter_configs *a)
{
        const struct meta_image *image = decision_image(d);

        switch (a->type) {
        case META_RESOURCE_TOPIC:
                if (meta_image_topic(image, a->name))
                        return true;
                decision_refuse(d, &a->result, CONTROLLER_E_TOPIC_UNKNOWN, "There is no topic '%.*s'.",
                                STR_FMT(a->name));
                return false;
        case META_RESOURCE_BROKER:
                if (!a->name.len || (broker_of(a->name) >= 0 && meta_image_broker(image, broker_of(a->name))))
                        return true;
                decision_refuse(d, &a->result, CONTROLLER_E_BROKER_UNKNOWN, "There is no broker '%.*s'.",
                                STR_FMT(a->name));
                return false;
        case META_RESOURCE_GROUP:
                if (a->name.len && a->name.len <= LIMIT_GROUP_ID_LEN)
                        return true;
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "A group's name has 1 to %d bytes.",
                                LIMIT_GROUP_ID_LEN);
                return false;
        case META_RESOURCE_QUOTA:
                if (quota_entity_parse(a->name, d->mem, &(struct quota_entity){ 0 }))
                        return true;
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "'%.*s' is nobody whom a quota could be for.",
                                STR_FMT(a->name));
                return false;
        case META_RESOURCE_CLIENT_METRICS:
                if (a->name.len && a->name.len <= CLIENT_METRICS_NAME_LEN_MAX)
                        return subscription_has_place(d, a);
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID,
                                "The name of a subscription to client metrics has 1 to %d bytes.",
                                CLIENT_METRICS_NAME_LEN_MAX);
                return false;
        default:
                decision_refuse(d, &a->result, CONTROLLER_E_RESOURCE,
                                "Resources of type %d have no configuration that can be altered; topics (%d), brokers "
                                "(%d), client metrics (%d) and groups (%d) have.",
                                a->type, META_RESOURCE_TOPIC, META_RESOURCE_BROKER, META_RESOURCE_CLIENT_METRICS,
                                META_RESOURCE_GROUP);
                return false;
        }
}

/* The layers that a list starts from when nothing is set on the resource itself. @now must be given back. */
static int layers_of(struct decision *d, struct str broker, struct conf_layers *ret, struct conf **ret_now)
{
        const struct meta_image *image = decision_image(d);
        struct conf_layers l = { .start = d->rules->conf };
        struct set all, this;

        if (!set_of(d, meta_image_configs(image, META_RESOURCE_BROKER, STR_LIT("")), 0, &all) ||
            !set_of(d, meta_image_configs(image, META_RESOURCE_BROKER, broker), 0, &this))
                return -ENOMEM;
        l.all_brokers = (struct conf_pairs){ all.at, all.count };
        l.this_broker = (struct conf_pairs){ this.at, this.count };
        *ret = l;
        return broker_conf_derive(&l, ret_now, NULL);
}

static int edit_list(struct decision *d, const struct controller_alter_configs *a,
                     const struct controller_config_change *c, const struct set *set, struct str *ret_value,
                     struct strbuf *why)
{
        enum conf_edit edit = c->op == CONTROLLER_CONFIG_APPEND ? CONF_EDIT_APPEND : CONF_EDIT_SUBTRACT;
        struct conf_pairs pairs = { set->at, set->count };
        CLEANUP(conf_unrefp) struct conf *now = NULL;
        struct conf_layers l;
        char self[12];
        int r;

        snprintf(self, sizeof self, "%d", d->rules->node_id);
        if (a->type != META_RESOURCE_TOPIC && a->type != META_RESOURCE_BROKER) {
                strbuf_printf(why, "%.*s: is not a list; set it instead", STR_FMT(c->name));
                return why->failed ? -ENOMEM : CONF_E_INVALID;
        }
        r = layers_of(d, a->type == META_RESOURCE_BROKER && a->name.len ? a->name : str_of(self), &l, &now);
        if (r)
                return r;
        l.now = now;
        if (a->type == META_RESOURCE_TOPIC)
                return topic_conf_edit(&l, pairs, c->name, edit, c->value, d->mem, ret_value, why);
        if (a->name.len)
                l.this_broker = pairs;
        else
                l.all_brokers = pairs;
        return broker_conf_edit(&l, a->name.len > 0, c->name, edit, c->value, d->mem, ret_value, why);
}

static int judge_value(const struct decision *d, const struct controller_alter_configs *a, struct str name,
                       struct str value, struct strbuf *why)
{
        struct group_rules rules;
        int r;

        switch (a->type) {
        case META_RESOURCE_TOPIC:
                return topic_conf_validate(name, value, why);
        case META_RESOURCE_BROKER:
                return broker_conf_validate(name, value, why);
        case META_RESOURCE_QUOTA:
                return quota_validate(a->name, name, value, why);
        case META_RESOURCE_CLIENT_METRICS:
                r = client_metrics_validate(name, value, why);
                return r == CONF_E_UNKNOWN ? CONF_E_RANGE : r; /* Kafka takes both for mistakes of the request */
        default:
                group_rules_init(&rules, d->rules->conf);
                return group_settings_validate(&rules, name, value, why);
        }
}

#define MIN_ISR_NAME "min.insync.replicas"
#define UNCLEAN_NAME "unclean.leader.election.enable"

/* Whether @name is set otherwise in @set than before. */
static bool is_altered(const struct set *before, struct set *set, const char *name)
{
        const struct conf_pair *old = conf_pairs_find((struct conf_pairs){ before->at, before->count }, str_of(name));
        const struct conf_pair *new = set_find(set, str_of(name));

        return !old != !new || (old && !str_equal(old->value, new->value));
}

/* Leaders and the controller must mean the same min ISR by a partition, or ELR would promise what does not hold; so it is
 * set for topics and for all brokers, not for one (as in Kafka with ELR). */
static bool scope_is_fine(struct decision *d, struct controller_alter_configs *a, const struct set *before,
                          struct set *set)
{
        if (a->type != META_RESOURCE_BROKER || !a->name.len || !set_find(set, STR_LIT(MIN_ISR_NAME)) ||
            !is_altered(before, set, MIN_ISR_NAME))
                return true;
        decision_refuse(d, &a->result, CONTROLLER_E_CONFIG,
                        MIN_ISR_NAME
                        ": is set for all brokers (the broker resource without a name) or for a topic, not "
                        "for one broker.");
        return false;
}

/* One change, into @set. Return: whether it is fine. */
static bool change(struct decision *d, struct controller_alter_configs *a, const struct controller_config_change *c,
                   struct set *set)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        struct str value = c->value;
        int r;

        if (c->op == CONTROLLER_CONFIG_DELETE) {
                set_put(set, c->name, STR_NULL);
                return true;
        }
        if (str_is_null(c->value)) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "%.*s: a value is missing.", STR_FMT(c->name));
                return false;
        }
        if (c->op == CONTROLLER_CONFIG_SET)
                r = judge_value(d, a, c->name, c->value, &why);
        else
                r = edit_list(d, a, c, set, &value, &why);
        if (!judged(d, r, &why, &a->result))
                return false;
        if (value.len > VALUE_LEN_MAX) {
                decision_refuse(d, &a->result, CONTROLLER_E_CONFIG,
                                "%.*s: the value would have %zu bytes; at most %d are kept.", STR_FMT(c->name),
                                value.len, VALUE_LEN_MAX);
                return false;
        }
        set_put(set, c->name, value);
        return true;
}

static bool names_are_unique(struct decision *d, struct controller_alter_configs *a)
{
        for (int32_t i = 0; i < a->changes_count; i++)
                for (int32_t k = 0; k < i; k++) {
                        if (!str_equal(a->changes[i].name, a->changes[k].name))
                                continue;
                        decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "%.*s: is changed twice in one request.",
                                        STR_FMT(a->changes[i].name));
                        return false;
                }
        return true;
}

static void emit_config(struct decision *d, const struct controller_alter_configs *a, struct str name, struct str value)
{
        struct meta_record r;

        meta_record_init(&r, META_CONFIG);
        r.config.resource_type = a->type;
        r.config.resource_name = a->name;
        r.config.name = name;
        r.config.value = value;
        decision_emit(d, &r);
}

/* Emit what makes the difference between what was set and @set. */
static void emit_difference(struct decision *d, const struct controller_alter_configs *a, const struct set *before,
                            struct set *set)
{
        for (size_t i = 0; i < before->count; i++)
                if (!set_find(set, before->at[i].name))
                        emit_config(d, a, before->at[i].name, STR_NULL);
        for (size_t i = 0; i < set->count; i++) {
                const struct conf_pair *old =
                        conf_pairs_find((struct conf_pairs){ before->at, before->count }, set->at[i].name);

                if (!old || !str_equal(old->value, set->at[i].value))
                        emit_config(d, a, set->at[i].name, set->at[i].value);
        }
}

/* The difference, and what it means for partitions. */
static void alter_partitions(struct decision *d, const struct controller_alter_configs *a, const struct set *before,
                             struct set *set)
{
        bool of_topic = a->type == META_RESOURCE_TOPIC;
        bool places = of_topic || a->type == META_RESOURCE_BROKER;

        if (places && is_altered(before, set, MIN_ISR_NAME))
                elect_before_min_isr(d, of_topic ? meta_image_topic(decision_image(d), a->name) : NULL);
        emit_difference(d, a, before, set);
        if (places && is_altered(before, set, UNCLEAN_NAME))
                elect_after_unclean(d, of_topic ? meta_image_topic(decision_image(d), a->name) : NULL);
}

/* What only the whole of a resource's values can be asked. */
static bool judge_set(struct decision *d, struct controller_alter_configs *a, const struct set *set)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        struct conf_pairs pairs = { set->at, set->count };
        struct topic_conf defaults;
        struct group_rules rules;
        int r = 0;

        if (a->type == META_RESOURCE_TOPIC && set->count) {
                r = topic_conf_defaults(d->rules->conf, &defaults);
                if (!r)
                        r = topic_conf_validate_set(&defaults, pairs, &why);
        } else if (a->type == META_RESOURCE_GROUP) {
                group_rules_init(&rules, d->rules->conf);
                r = group_settings_validate_set(&rules, pairs, &why);
        }
        return judged(d, r, &why, &a->result);
}

void decide_alter_configs(struct decision *d, struct controller_alter_configs *a, bool validate_only)
{
        CLEANUP(meta_configs_unrefp) struct meta_configs *now = NULL; /* its text is used while the image changes */
        struct set before, set;

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!resource_is_there(d, a) || !names_are_unique(d, a))
                return;
        now = meta_configs_ref(meta_image_configs(decision_image(d), a->type, a->name));
        if (!set_of(d, now, 0, &before) || !set_of(d, a->replace ? NULL : now, (size_t)a->changes_count, &set))
                return;
        for (int32_t i = 0; i < a->changes_count; i++)
                if (!change(d, a, &a->changes[i], &set))
                        return;
        if (!judge_set(d, a, &set) || !scope_is_fine(d, a, &before, &set) || validate_only)
                return;
        if (a->type == META_RESOURCE_TOPIC || !a->name.len)
                alter_partitions(d, a, &before, &set);
        else
                emit_difference(d, a, &before, &set);
}
