/* Producer ids, and levels of features that the cluster agrees on (KIP-584). */
#include "controller/decide.h"

/* Ids given away at once: a broker asks once in a thousand producers, and a crash wastes at most so many of 2^63. */
#define IDS_PER_BLOCK 1000

void decide_allocate_ids(struct decision *d, struct controller_allocate_ids *a)
{
        const struct meta_image *image = decision_image(d);
        const struct meta_broker *b = meta_image_broker(image, a->broker_id);
        struct meta_record r;

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!b) {
                decision_refuse(d, &a->result, CONTROLLER_E_BROKER_UNKNOWN, "Broker %d is not registered.",
                                a->broker_id);
                return;
        }
        if (b->epoch != a->broker_epoch) {
                decision_refuse(d, &a->result, CONTROLLER_E_BROKER_EPOCH,
                                "Broker %d is registered with epoch %lld, not %lld.", a->broker_id, (long long)b->epoch,
                                (long long)a->broker_epoch);
                return;
        }
        if (image->next_producer_id > INT64_MAX - IDS_PER_BLOCK) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "All producer ids have been given away.");
                return;
        }
        a->first = image->next_producer_id;
        a->count = IDS_PER_BLOCK;
        meta_record_init(&r, META_PRODUCER_IDS);
        r.producer_ids.broker_id = a->broker_id;
        r.producer_ids.broker_epoch = a->broker_epoch;
        r.producer_ids.next_producer_id = a->first + a->count;
        decision_emit(d, &r);
}

const struct controller_feature *controller_feature(const struct controller_rules *rules, struct str name)
{
        for (size_t i = 0; i < rules->features_count; i++)
                if (str_equal_c(name, rules->features[i].name))
                        return &rules->features[i];
        return NULL;
}

/* The id of a broker that cannot do @level, or META_NO_NODE. Level 0 everyone can do. Fenced ones count: they come
 * back. */
static int32_t broker_without(const struct meta_image *image, struct str name, int16_t level)
{
        const struct meta_broker *b;

        pmap_for_each (it, b, &image->brokers) {
                bool can = level == 0;

                for (uint32_t i = 0; i < b->features_count; i++)
                        can |= str_equal(b->features[i].name, name) && level >= b->features[i].level_min &&
                               level <= b->features[i].level_max;
                if (!can)
                        return b->id;
        }
        return META_NO_NODE;
}

/* The same of the other controllers: each may have to read the records, and to lead. One that is not there may come back with the
 * program that it had. */
static const struct controller_ability *controller_without(const struct decision *d, struct str name, int16_t level)
{
        for (size_t i = 0; i < d->controllers_count; i++) {
                const struct controller_ability *c = &d->controllers[i];
                bool can = level == 0;

                for (int32_t k = 0; k < c->features_count; k++)
                        can |= str_equal(c->features[k].name, name) && level >= c->features[k].level_min &&
                               level <= c->features[k].level_max;
                if (!can)
                        return c;
        }
        return NULL;
}

static bool everyone_can(struct decision *d, struct controller_update_feature *f)
{
        int32_t broker = broker_without(decision_image(d), f->name, f->level);
        const struct controller_ability *other = controller_without(d, f->name, f->level);

        if (broker != META_NO_NODE)
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE, "Broker %d cannot do %.*s at level %d.", broker,
                                STR_FMT(f->name), f->level);
        else if (other && other->is_known)
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE, "Controller %d cannot do %.*s at level %d.",
                                other->node_id, STR_FMT(f->name), f->level);
        else if (other)
                decision_refuse(
                        d, &f->result, CONTROLLER_E_FEATURE,
                        "Controller %d is not there, so it is not known whether it can do %.*s at level %d. Start or "
                        "remove it.",
                        other->node_id, STR_FMT(f->name), f->level);
        return !f->result.outcome;
}

bool decision_has_level(struct decision *d, struct controller_result *result, int16_t level, const char *what)
{
        int16_t now = meta_image_feature_level(decision_image(d), STR_LIT(CONTROLLER_VERSION));

        if (now < level)
                decision_refuse(d, result, CONTROLLER_E_LEVEL,
                                "%s need the feature " CONTROLLER_VERSION
                                " at level %d, and it is at %d: nodes with an older program could not read them. When "
                                "all nodes run one that can, raise it.",
                                what, level, now);
        return now >= level;
}

/* Going down is asked for as such, and, where what is finalised may have been used, as unsafe. */
static bool may_go_down(struct decision *d, struct controller_update_feature *f, const struct controller_feature *known,
                        int16_t now)
{
        if (f->change == CONTROLLER_FEATURE_UPGRADE)
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE,
                                "%s is at level %d; going down to %d must be asked for as a "
                                "downgrade.",
                                known->name, now, f->level);
        else if (f->change == CONTROLLER_FEATURE_SAFE_DOWNGRADE && f->level < known->level_safe)
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE,
                                "%s may be used at level %d in a way that level %d does not know; only an unsafe "
                                "downgrade goes below %d.",
                                known->name, now, f->level, known->level_safe);
        return !f->result.outcome;
}

void decide_update_feature(struct decision *d, struct controller_update_feature *f, bool validate_only)
{
        const struct controller_feature *known = controller_feature(d->rules, f->name);
        int16_t now = meta_image_feature_level(decision_image(d), f->name);
        struct meta_record r;

        f->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!known) {
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE, "The controller does not know a feature '%.*s'.",
                                STR_FMT(f->name));
                return;
        }
        if (f->level < 0 || (f->level && (f->level < known->level_min || f->level > known->level_max)) ||
            (!f->level && known->level_min > 0)) {
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE, "%s can have level %d to %d, not %d.", known->name,
                                known->level_min, known->level_max, f->level);
                return;
        }
        if (f->level < now && !may_go_down(d, f, known, now))
                return;
        if (f->level > now && f->change != CONTROLLER_FEATURE_UPGRADE) {
                decision_refuse(d, &f->result, CONTROLLER_E_FEATURE, "%s is at level %d; %d would be an upgrade.",
                                known->name, now, f->level);
                return;
        }
        if (!everyone_can(d, f))
                return;
        if (validate_only || f->level == now)
                return;
        meta_record_init(&r, META_FEATURE);
        r.feature.name = f->name;
        r.feature.level = f->level;
        decision_emit(d, &r);
}
