/* Keys and values of consumer groups in __consumer_offsets (KIP-848); the keys of share groups are like theirs. */
#include <errno.h>

#include "coord/records.h"

enum { TEXT_MAX = INT16_MAX, VALUE = 0 };
enum { KEY_SHARE_PROGRESS = 1000 };

static const int16_t key_versions[] = {
        [RECORDS_CONSUMER_GROUP] = 3,         [RECORDS_CONSUMER_MEMBER] = 5,  [RECORDS_CONSUMER_TARGET] = 6,
        [RECORDS_CONSUMER_TARGET_MEMBER] = 7, [RECORDS_CONSUMER_CURRENT] = 8, [RECORDS_CONSUMER_REGEX] = 16,
        [RECORDS_SHARE_GROUP] = 11,           [RECORDS_SHARE_MEMBER] = 10,    [RECORDS_SHARE_TARGET] = 12,
        [RECORDS_SHARE_TARGET_MEMBER] = 13,   [RECORDS_SHARE_CURRENT] = 14,
};

static bool is_of_member(enum records_kind kind)
{
        return kind != RECORDS_CONSUMER_GROUP && kind != RECORDS_CONSUMER_TARGET && kind != RECORDS_SHARE_GROUP &&
               kind != RECORDS_SHARE_TARGET;
}

static bool kind_of(int16_t version, enum records_kind *ret)
{
        for (unsigned i = RECORDS_CONSUMER_GROUP; i < ARRAY_LEN(key_versions); i++)
                if (key_versions[i] == version) {
                        *ret = i;
                        return true;
                }
        return false;
}

int records_decode_consumer_key(struct cursor *c, int16_t version, struct arena *a, struct records_key *ret)
{
        struct consumer_group_member_key member;
        struct consumer_group_key group;
        enum records_kind kind;
        int r;

        if (version == KEY_SHARE_PROGRESS)
                return records_decode_share_progress_key(c, a, ret);
        if (!kind_of(version, &kind))
                return RECORDS_E_OTHER;
        *ret = (struct records_key){ .kind = kind };
        if (is_of_member(kind)) {
                r = consumer_group_member_key_decode(&member, c, 0, a);
                ret->group = member.group_id;
                ret->member = member.member_id;
        } else {
                r = consumer_group_key_decode(&group, c, 0, a);
                ret->group = group.group_id;
        }
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_encode_consumer_key(enum records_kind kind, struct str group, struct str member, struct arena *a,
                                struct span *ret)
{
        struct consumer_group_member_key of_member = { .group_id = group, .member_id = member };
        struct consumer_group_key of_group = { .group_id = group };
        int16_t version = key_versions[kind];
        struct writer w;
        int r;

        if (group.len > TEXT_MAX || member.len > TEXT_MAX)
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a,
                          is_of_member(kind) ? consumer_group_member_key_size(&of_member, 0)
                                             : consumer_group_key_size(&of_group, 0),
                          version, &w, ret);
        if (r)
                return r;
        if (is_of_member(kind))
                consumer_group_member_key_encode(&of_member, &w, 0);
        else
                consumer_group_key_encode(&of_group, &w, 0);
        return 0;
}

int records_open_value(struct span value, struct cursor *ret)
{
        int16_t version;

        *ret = cursor_of(value);
        version = cursor_be16s(ret);
        if (!cursor_ok(ret))
                return RECORDS_E_MALFORMED;
        return version == VALUE ? 0 : RECORDS_E_OTHER;
}

static int told(int r)
{
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

/* The functions of a message that has nothing but what the schema says. */
#define SIMPLE(name, message) \
        int records_decode_consumer_##name(struct span value, struct arena *a, struct message *ret) \
        { \
                struct cursor c; \
                int r = records_open_value(value, &c); \
\
                if (!r) \
                        r = told(message##_decode(ret, &c, VALUE, a)); \
                return r; \
        } \
        int records_encode_consumer_##name(const struct message *v, struct arena *a, struct span *ret) \
        { \
                struct writer w; \
                int r = records_begin(a, message##_size(v, VALUE), VALUE, &w, ret); \
\
                if (!r) \
                        message##_encode(v, &w, VALUE); \
                return r; \
        }

SIMPLE(group, consumer_group_metadata_value)
SIMPLE(member, consumer_group_member_metadata_value)
SIMPLE(regex, consumer_group_regular_expression_value)

int records_decode_consumer_epoch(struct span value, struct arena *a, int32_t *ret_epoch)
{
        struct consumer_group_target_assignment_metadata_value v;
        struct cursor c;
        int r = records_open_value(value, &c);

        if (!r)
                r = told(consumer_group_target_assignment_metadata_value_decode(&v, &c, VALUE, a));
        if (!r)
                *ret_epoch = v.assignment_epoch;
        return r;
}

int records_encode_consumer_epoch(int32_t epoch, int64_t now_ms, struct arena *a, struct span *ret)
{
        struct consumer_group_target_assignment_metadata_value v = { .assignment_epoch = epoch,
                                                                     .assignment_timestamp = now_ms };
        struct writer w;
        int r = records_begin(a, consumer_group_target_assignment_metadata_value_size(&v, VALUE), VALUE, &w, ret);

        if (!r)
                consumer_group_target_assignment_metadata_value_encode(&v, &w, VALUE);
        return r;
}

/* ---- sets of partitions: both messages have a struct of their own with the same fields ---- */

#define FILL(name, topic) \
        static struct topic *name(const struct assignment *set, struct arena *a, int32_t *ret_count) \
        { \
                uint32_t count = set ? set->topics_count : 0; \
                struct topic *topics = ARENA_NEW_ARRAY(a, struct topic, count); \
\
                for (uint32_t i = 0; topics && i < count; i++) { \
                        topic##_init(&topics[i]); \
                        topics[i].topic_id = set->topics[i].id; \
                        topics[i].partitions = (int32_t *)set->topics[i].partitions; \
                        topics[i].partitions_count = set->topics[i].partitions_count; \
                } \
                *ret_count = (int32_t)count; \
                return topics; \
        }

#define GATHER(name, topic) \
        static int name(const struct topic *topics, int32_t count, struct arena *a, struct assignment **ret) \
        { \
                struct assignment_entry *entries; \
                size_t n = 0; \
\
                for (int32_t i = 0; i < count; i++) \
                        n += (size_t)topics[i].partitions_count; \
                entries = ARENA_NEW_ARRAY(a, struct assignment_entry, n); \
                if (!entries) \
                        return -ENOMEM; \
                n = 0; \
                for (int32_t i = 0; i < count; i++) \
                        for (int32_t p = 0; p < topics[i].partitions_count; p++) { \
                                if (topics[i].partitions[p] < 0 || topics[i].partitions[p] > PARTITION_MAX) \
                                        return RECORDS_E_MALFORMED; \
                                entries[n++] = \
                                        (struct assignment_entry){ topics[i].topic_id, topics[i].partitions[p] }; \
                        } \
                return assignment_new(entries, n, ret); \
        }

enum { PARTITION_MAX = 100000 }; /* more than any topic can have: what is counted by partition stays within bounds */

FILL(fill_target, consumer_group_target_assignment_member_value_topic)
FILL(fill_current, consumer_group_current_member_assignment_value_topic)
GATHER(gather_target, consumer_group_target_assignment_member_value_topic)
GATHER(gather_current, consumer_group_current_member_assignment_value_topic)

int records_decode_consumer_target(struct span value, struct arena *a, struct assignment **ret)
{
        struct consumer_group_target_assignment_member_value v;
        struct cursor c;
        int r = records_open_value(value, &c);

        if (r)
                return r;
        r = told(consumer_group_target_assignment_member_value_decode(&v, &c, VALUE, a));
        if (r)
                return r;
        return gather_target(v.topic_partitions, v.topic_partitions_count, a, ret);
}

int records_encode_consumer_target(const struct assignment *target, struct arena *a, struct span *ret)
{
        struct consumer_group_target_assignment_member_value v;
        struct writer w;
        int r;

        v.topic_partitions = fill_target(target, a, &v.topic_partitions_count);
        if (!v.topic_partitions)
                return -ENOMEM;
        r = records_begin(a, consumer_group_target_assignment_member_value_size(&v, VALUE), VALUE, &w, ret);
        if (!r)
                consumer_group_target_assignment_member_value_encode(&v, &w, VALUE);
        return r;
}

static size_t gather_topics_since(const struct consumer_group_current_member_assignment_value_topic *topics,
                                  int32_t count, struct records_since *ret)
{
        size_t n = 0;

        for (int32_t i = 0; i < count; i++) {
                const struct consumer_group_current_member_assignment_value_topic *t = &topics[i];

                if (t->assignment_epochs_count != t->partitions_count) /* an older record has none */
                        continue;
                for (int32_t p = 0; p < t->partitions_count; p++, n++)
                        if (ret)
                                ret[n] = (struct records_since){ t->topic_id, t->partitions[p],
                                                                 t->assignment_epochs[p] };
        }
        return n;
}

/* NULL: no memory. */
static struct records_since *gather_since(const struct consumer_group_current_member_assignment_value *v,
                                          struct arena *a, size_t *ret_count)
{
        size_t assigned = gather_topics_since(v->assigned_partitions, v->assigned_partitions_count, NULL);
        size_t revoking =
                gather_topics_since(v->partitions_pending_revocation, v->partitions_pending_revocation_count, NULL);
        struct records_since *all = ARENA_NEW_ARRAY(a, struct records_since, assigned + revoking);

        if (!all)
                return NULL;
        gather_topics_since(v->assigned_partitions, v->assigned_partitions_count, all);
        gather_topics_since(v->partitions_pending_revocation, v->partitions_pending_revocation_count, all + assigned);
        *ret_count = assigned + revoking;
        return all;
}

int records_decode_consumer_current(struct span value, struct arena *a, struct records_current *ret)
{
        struct consumer_group_current_member_assignment_value v;
        struct cursor c;
        int r = records_open_value(value, &c);

        if (r)
                return r;
        r = told(consumer_group_current_member_assignment_value_decode(&v, &c, VALUE, a));
        if (r)
                return r;
        *ret = (struct records_current){ .epoch = v.member_epoch,
                                         .previous_epoch = v.previous_member_epoch,
                                         .state = v.state };
        ret->since = gather_since(&v, a, &ret->since_count);
        if (!ret->since)
                return -ENOMEM;
        r = gather_current(v.assigned_partitions, v.assigned_partitions_count, a, &ret->assigned);
        if (!r)
                r = gather_current(v.partitions_pending_revocation, v.partitions_pending_revocation_count, a,
                                   &ret->revoking);
        if (r)
                ret->assigned = assignment_unref(ret->assigned);
        return r;
}

static bool fill_since(struct consumer_group_current_member_assignment_value_topic *topics, int32_t count,
                       int32_t (*since)(const void *arg, struct uuid id, int32_t partition), const void *arg,
                       struct arena *a)
{
        for (int32_t i = 0; topics && i < count; i++) {
                topics[i].assignment_epochs_count = topics[i].partitions_count;
                topics[i].assignment_epochs = ARENA_NEW_ARRAY(a, int32_t, topics[i].partitions_count);
                if (!topics[i].assignment_epochs)
                        return false;
                for (int32_t p = 0; p < topics[i].partitions_count; p++)
                        topics[i].assignment_epochs[p] = since(arg, topics[i].topic_id, topics[i].partitions[p]);
        }
        return topics;
}

int records_encode_consumer_current(const struct records_current *from,
                                    int32_t (*since)(const void *arg, struct uuid id, int32_t partition),
                                    const void *arg, struct arena *a, struct span *ret)
{
        struct consumer_group_current_member_assignment_value v = { .member_epoch = from->epoch,
                                                                    .previous_member_epoch = from->previous_epoch,
                                                                    .state = from->state };
        struct writer w;
        int r;

        v.assigned_partitions = fill_current(from->assigned, a, &v.assigned_partitions_count);
        v.partitions_pending_revocation = fill_current(from->revoking, a, &v.partitions_pending_revocation_count);
        if (!fill_since(v.assigned_partitions, v.assigned_partitions_count, since, arg, a) ||
            !fill_since(v.partitions_pending_revocation, v.partitions_pending_revocation_count, since, arg, a))
                return -ENOMEM;
        r = records_begin(a, consumer_group_current_member_assignment_value_size(&v, VALUE), VALUE, &w, ret);
        if (!r)
                consumer_group_current_member_assignment_value_encode(&v, &w, VALUE);
        return r;
}
