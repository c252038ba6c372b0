/* Topics and partitions: creating, growing, deleting. Every check comes before the first record, so that an item is done
 * whole or not at all. Rules as Kafka's (ReplicationControlManager's behaviour, KIP-4, KIP-195); texts are ours. */
#include <errno.h>

#include "conf/limits.h"
#include "controller/decide.h"

/* ---- names ---- */

static bool name_char_is_fine(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
}

static bool refuse_name(struct decision *d, struct str name, struct controller_result *result)
{
        if (str_is_null(name) || !name.len) {
                decision_refuse(d, result, CONTROLLER_E_TOPIC_NAME, "A topic name cannot be empty.");
                return true;
        }
        if (name.len > LIMIT_TOPIC_NAME_LEN) {
                decision_refuse(d, result, CONTROLLER_E_TOPIC_NAME,
                                "A topic name can have %d characters, this one has %zu.", LIMIT_TOPIC_NAME_LEN,
                                name.len);
                return true;
        }
        for (size_t i = 0; i < name.len; i++) {
                if (name_char_is_fine(name.p[i]))
                        continue;
                decision_refuse(d, result, CONTROLLER_E_TOPIC_NAME,
                                "Topic name '%.*s' has a character other than letters, "
                                "digits, '.', '_' and '-'.",
                                STR_FMT(name));
                return true;
        }
        if (str_equal_c(name, ".") || str_equal_c(name, "..")) {
                decision_refuse(d, result, CONTROLLER_E_TOPIC_NAME, "A topic cannot be called '%.*s'.", STR_FMT(name));
                return true;
        }
        if (str_equal_c(name, "__cluster_metadata")) {
                decision_refuse(d, result, CONTROLLER_E_TOPIC_NAME, "'%.*s' is the name of the metadata log.",
                                STR_FMT(name));
                return true;
        }
        return false;
}

/* '.' and '_' are the same character in names of metrics. */
static char folded(char c)
{
        return c == '.' ? '_' : c;
}

static bool names_collide(struct str a, struct str b)
{
        if (a.len != b.len)
                return false;
        for (size_t i = 0; i < a.len; i++)
                if (folded(a.p[i]) != folded(b.p[i]))
                        return false;
        return true;
}

/* A topic whose name collides begins with what stands before the first of the two characters: only those are looked at. */
static const struct meta_topic *colliding_topic(const struct meta_image *image, struct str name)
{
        struct str prefix = { name.p, 0 };
        struct pmap_iter it;
        const struct meta_topic *t;

        while (prefix.len < name.len && name.p[prefix.len] != '.' && name.p[prefix.len] != '_')
                prefix.len++;
        if (prefix.len == name.len)
                return NULL;
        it = meta_image_topics_from(image, prefix);
        while ((t = pmap_next(&it))) {
                if (t->name.len < prefix.len || (prefix.len && memcmp(t->name.p, prefix.p, prefix.len)))
                        return NULL;
                if (names_collide(t->name, name))
                        return t;
        }
        return NULL;
}

/* ---- replicas ---- */

/* Where the partitions of one item go. */
struct plan {
        int32_t partitions_count;
        int32_t replicas_count;
        int32_t *replicas;                               /* replicas_count to a partition, one after the other */
        const struct controller_assignment *assignments; /* or these, when not NULL */
        int32_t assignments_count;
};

static void plan_get(const struct plan *p, int32_t i, const int32_t **ret_replicas, int32_t *ret_count)
{
        *ret_replicas =
                p->assignments ? p->assignments[i].replicas : p->replicas + (size_t)i * (size_t)p->replicas_count;
        *ret_count = p->assignments ? p->assignments[i].replicas_count : p->replicas_count;
}

/* Choose replicas for all partitions of @p. */
static bool plan_choose(struct decision *d, struct plan *p, struct controller_result *result)
{
        struct placement *where = decision_placement(d);

        if (!where)
                return false;
        if (p->replicas_count > LIMIT_REPLICAS || (size_t)p->replicas_count > where->count) {
                decision_refuse(d, result, CONTROLLER_E_REPLICATION,
                                "Replication factor %d is more than the %zu broker%s "
                                "that are registered and not drained, or than %d.",
                                p->replicas_count, where->count, where->count == 1 ? "" : "s", LIMIT_REPLICAS);
                return false;
        }
        p->replicas = ARENA_NEW_ARRAY(d->mem, int32_t, (size_t)p->partitions_count * (size_t)p->replicas_count);
        if (!p->replicas) {
                d->failed = -ENOMEM;
                return false;
        }
        for (int32_t k = 0; k < p->partitions_count; k++) {
                if (placement_choose(where, (size_t)p->replicas_count, d->random,
                                     p->replicas + (size_t)k * (size_t)p->replicas_count))
                        continue;
                decision_refuse(d, result, CONTROLLER_E_REPLICATION,
                                "No broker can lead a partition now: all are fenced or "
                                "stopping.");
                return false;
        }
        return true;
}

static bool assignment_is_fine(struct decision *d, const struct controller_assignment *a, int32_t partition,
                               int32_t replicas_count, struct controller_result *result)
{
        bool can_lead = false;

        if (a->replicas_count < 1 || a->replicas_count > LIMIT_REPLICAS) {
                decision_refuse(d, result, CONTROLLER_E_ASSIGNMENT,
                                "The assignment of partition %d has %d replicas; it can have 1 to %d.", partition,
                                a->replicas_count, LIMIT_REPLICAS);
                return false;
        }
        if (a->replicas_count != replicas_count) {
                decision_refuse(d, result, CONTROLLER_E_ASSIGNMENT,
                                "The assignment of partition %d has %d replicas where others "
                                "have %d.",
                                partition, a->replicas_count, replicas_count);
                return false;
        }
        for (int32_t i = 0; i < a->replicas_count; i++) {
                const struct meta_broker *b = meta_image_broker(decision_image(d), a->replicas[i]);

                if (!b || b->duty != META_DUTY_NONE) {
                        decision_refuse(d, result, CONTROLLER_E_ASSIGNMENT,
                                        "The assignment of partition %d names broker %d, which is %s.", partition,
                                        a->replicas[i], b ? "drained" : "not registered");
                        return false;
                }
                if (meta_ids_contain(a->replicas, (size_t)i, a->replicas[i])) {
                        decision_refuse(d, result, CONTROLLER_E_ASSIGNMENT,
                                        "The assignment of partition %d names broker %d twice.", partition,
                                        a->replicas[i]);
                        return false;
                }
                can_lead |= meta_image_broker_is_live(decision_image(d), a->replicas[i]);
        }
        if (!can_lead)
                decision_refuse(d, result, CONTROLLER_E_ASSIGNMENT,
                                "All brokers in the assignment of partition %d are fenced or "
                                "stopping.",
                                partition);
        return can_lead;
}

static void emit_partition(struct decision *d, struct uuid topic, int32_t index, const struct plan *p, int32_t place)
{
        const struct meta_image *image = decision_image(d);
        struct meta_record r;
        const int32_t *replicas;
        int32_t count;

        plan_get(p, place, &replicas, &count);
        meta_record_init(&r, META_PARTITION);
        r.partition.topic_id = topic;
        r.partition.partition = index;
        r.partition.leader = META_NO_NODE;
        r.partition.replicas = (int32_t *)replicas;
        r.partition.replicas_count = count;
        r.partition.isr = ARENA_NEW_ARRAY(d->mem, int32_t, count);
        r.partition.directories = ARENA_NEW_ARRAY(d->mem, struct uuid, count);
        r.partition.directories_count = count;
        if (!r.partition.isr || !r.partition.directories) {
                d->failed = -ENOMEM;
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                const struct meta_broker *b = meta_image_broker(image, replicas[i]);

                if (b->directories_count == 1) /* with several the broker chooses and tells */
                        r.partition.directories[i] = b->directories[0];
                if (b->fenced || b->in_shutdown)
                        continue;
                r.partition.isr[r.partition.isr_count++] = b->id;
                if (r.partition.leader == META_NO_NODE)
                        r.partition.leader = b->id;
        }
        assert(r.partition.leader != META_NO_NODE);
        decision_emit(d, &r);
}

/* ---- create topics ---- */

static bool plan_new_topic(struct decision *d, struct controller_create_topic *t, struct plan *p)
{
        p->assignments = t->assignments_count ? t->assignments : NULL; /* NULL: chosen here */
        p->assignments_count = t->assignments_count;
        if (t->partitions_count < -1 || t->partitions_count == 0 || t->partitions_count > LIMIT_PARTITIONS_PER_TOPIC) {
                decision_refuse(d, &t->result, CONTROLLER_E_PARTITIONS, "A topic can have 1 to %d partitions, not %d.",
                                LIMIT_PARTITIONS_PER_TOPIC, t->partitions_count);
                return false;
        }
        if (t->replication_factor < -1 || t->replication_factor == 0) {
                decision_refuse(d, &t->result, CONTROLLER_E_REPLICATION,
                                "A replication factor is 1 or more, or -1 for the "
                                "default, not %d.",
                                t->replication_factor);
                return false;
        }
        p->partitions_count =
                t->partitions_count == -1 ? (int32_t)d->rules->conf->topics.num_partitions : t->partitions_count;
        p->replicas_count =
                t->replication_factor == -1 ? (int32_t)d->rules->conf->replication.factor : t->replication_factor;
        return plan_choose(d, p, &t->result);
}

/* The assignments name each partition from 0 once, in any order; they are put in order. */
static bool plan_assigned_topic(struct decision *d, struct controller_create_topic *t, struct plan *p)
{
        int32_t count = t->assignments_count;
        struct controller_assignment *ordered;

        if (t->partitions_count != -1 || t->replication_factor != -1) {
                decision_refuse(d, &t->result, CONTROLLER_E_INVALID,
                                "With an assignment of replicas the number of partitions and "
                                "the replication factor must be -1.");
                return false;
        }
        if (count > LIMIT_PARTITIONS_PER_TOPIC) {
                decision_refuse(d, &t->result, CONTROLLER_E_PARTITIONS, "A topic can have 1 to %d partitions, not %d.",
                                LIMIT_PARTITIONS_PER_TOPIC, count);
                return false;
        }
        ordered = ARENA_NEW_ARRAY(d->mem, struct controller_assignment, count);
        if (!ordered) {
                d->failed = -ENOMEM;
                return false;
        }
        for (int32_t i = 0; i < count; i++) {
                const struct controller_assignment *a = &t->assignments[i];

                if (a->partition < 0 || a->partition >= count || ordered[a->partition].replicas_count) {
                        decision_refuse(d, &t->result, CONTROLLER_E_ASSIGNMENT,
                                        "The assignment must name each partition from 0 to "
                                        "%d once.",
                                        count - 1);
                        return false;
                }
                if (!assignment_is_fine(d, a, a->partition, t->assignments[0].replicas_count, &t->result))
                        return false;
                ordered[a->partition] = *a;
        }
        *p = (struct plan){ .partitions_count = count,
                            .replicas_count = t->assignments[0].replicas_count,
                            .assignments = ordered,
                            .assignments_count = count };
        return true;
}

static void emit_topic(struct decision *d, struct controller_create_topic *t, const struct plan *p)
{
        struct meta_record r;

        meta_record_init(&r, META_TOPIC);
        r.topic.name = t->name;
        r.topic.topic_id = t->id;
        decision_emit(d, &r);
        for (int32_t i = 0; i < t->configs_count; i++) {
                meta_record_init(&r, META_CONFIG);
                r.config.resource_type = META_RESOURCE_TOPIC;
                r.config.resource_name = t->name;
                r.config.name = t->configs[i].name;
                r.config.value = t->configs[i].value;
                decision_emit(d, &r);
        }
        for (int32_t i = 0; i < p->partitions_count && !d->failed; i++)
                emit_partition(d, t->id, i, p, i);
}

/* A version 4 id; one that is in use, or that Kafka reserves, or that looks like an option, is not taken. */
static struct uuid new_topic_id(struct decision *d)
{
        struct uuid u;
        char text[UUID_TEXT_SIZE];

        do {
                store_be64(u.b, random_source_next(d->random));
                store_be64(u.b + 8, random_source_next(d->random));
                u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
                u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
                uuid_format(u, text);
        } while (text[0] == '-' || meta_image_topic_by_id(decision_image(d), u));
        return u;
}

void decide_create_topic(struct decision *d, struct controller_create_topic *t, bool validate_only)
{
        const struct meta_topic *other;
        struct plan p = { 0 };

        t->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (refuse_name(d, t->name, &t->result))
                return;
        if (meta_image_topic(decision_image(d), t->name)) {
                decision_refuse(d, &t->result, CONTROLLER_E_TOPIC_EXISTS, "Topic '%.*s' already exists.",
                                STR_FMT(t->name));
                return;
        }
        other = colliding_topic(decision_image(d), t->name);
        if (other) {
                decision_refuse(d, &t->result, CONTROLLER_E_TOPIC_NAME,
                                "Topic '%.*s' collides with existing topic '%.*s': '.' and "
                                "'_' are the same in metrics.",
                                STR_FMT(t->name), STR_FMT(other->name));
                return;
        }
        if (!judge_topic_configs(d, t->configs, (size_t)t->configs_count, &t->result))
                return;
        if (t->assignments_count > 0 ? !plan_assigned_topic(d, t, &p) : !plan_new_topic(d, t, &p))
                return;
        t->partitions_count = p.partitions_count;
        t->replication_factor = (int16_t)p.replicas_count;
        if (validate_only)
                return;
        t->id = new_topic_id(d);
        emit_topic(d, t, &p);
}

/* ---- delete topics ---- */

void decide_delete_topic(struct decision *d, struct controller_delete_topic *t)
{
        const struct meta_image *image = decision_image(d);
        const struct meta_topic *topic =
                str_is_null(t->name) ? meta_image_topic_by_id(image, t->id) : meta_image_topic(image, t->name);
        struct meta_record r;

        t->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!topic) {
                if (str_is_null(t->name))
                        decision_refuse(d, &t->result, CONTROLLER_E_TOPIC_ID_UNKNOWN,
                                        "There is no topic with this id.");
                else
                        decision_refuse(d, &t->result, CONTROLLER_E_TOPIC_UNKNOWN, "There is no topic '%.*s'.",
                                        STR_FMT(t->name));
                return;
        }
        t->id = topic->id;
        if (str_is_null(t->name)) {
                t->name.p = arena_memdup(d->mem, topic->name.p, topic->name.len);
                t->name.len = t->name.p ? topic->name.len : 0;
        }
        meta_record_init(&r, META_TOPIC_REMOVE);
        r.topic_remove.topic_id = topic->id;
        decision_emit(d, &r);
}

/* ---- create partitions ---- */

static bool plan_more(struct decision *d, struct controller_create_partitions *c, const struct meta_topic *t,
                      struct plan *p)
{
        /* Partition 0 says how many copies the topic's partitions have. */
        p->replicas_count = meta_topic_partition(t, 0)->replicas_count;
        p->partitions_count = c->count - (int32_t)t->partitions_count;
        if (!c->assignments)
                return plan_choose(d, p, &c->result);
        if (c->assignments_count != p->partitions_count) {
                decision_refuse(d, &c->result, CONTROLLER_E_ASSIGNMENT, "%d partitions are new, but %d are assigned.",
                                p->partitions_count, c->assignments_count);
                return false;
        }
        p->assignments = c->assignments;
        for (int32_t i = 0; i < c->assignments_count; i++)
                if (!assignment_is_fine(d, &c->assignments[i], (int32_t)t->partitions_count + i, p->replicas_count,
                                        &c->result))
                        return false;
        return true;
}

void decide_create_partitions(struct decision *d, struct controller_create_partitions *c, bool validate_only)
{
        const struct meta_topic *t = meta_image_topic(decision_image(d), c->name);
        struct plan p = { 0 };
        struct uuid id;
        int32_t first;

        c->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!t) {
                decision_refuse(d, &c->result, CONTROLLER_E_TOPIC_UNKNOWN, "There is no topic '%.*s'.",
                                STR_FMT(c->name));
                return;
        }
        if (c->count <= (int32_t)t->partitions_count || c->count > LIMIT_PARTITIONS_PER_TOPIC) {
                if (c->count == (int32_t)t->partitions_count)
                        decision_refuse(d, &c->result, CONTROLLER_E_PARTITIONS, "Topic already has %d partition(s).",
                                        c->count);
                else if (c->count > LIMIT_PARTITIONS_PER_TOPIC)
                        decision_refuse(d, &c->result, CONTROLLER_E_PARTITIONS,
                                        "A topic can have 1 to %d partitions, not %d.", LIMIT_PARTITIONS_PER_TOPIC,
                                        c->count);
                else
                        decision_refuse(d, &c->result, CONTROLLER_E_PARTITIONS,
                                        "Topic '%.*s' has %u partition(s); %d would not be "
                                        "an increase.",
                                        STR_FMT(c->name), t->partitions_count, c->count);
                return;
        }
        if (!plan_more(d, c, t, &p) || validate_only)
                return;
        id = t->id;
        first = (int32_t)t->partitions_count;
        for (int32_t i = 0; i < p.partitions_count && !d->failed; i++)
                emit_partition(d, id, first + i, &p, i);
}
