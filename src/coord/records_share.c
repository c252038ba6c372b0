/* Keys and values of share groups in __consumer_offsets (KIP-932), where they are not as those of consumer groups. */
#include <errno.h>

#include "coord/records.h"

enum { TEXT_MAX = INT16_MAX, KEY_PROGRESS = 1000, VALUE = 0 };

static int told(int r)
{
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_decode_share_group(struct span value, struct arena *a, struct consumer_group_metadata_value *ret)
{
        struct share_group_metadata_value v;
        struct cursor c;
        int r = records_open_value(value, &c);

        if (!r)
                r = told(share_group_metadata_value_decode(&v, &c, VALUE, a));
        if (!r)
                *ret = (struct consumer_group_metadata_value){ .epoch = v.epoch, .metadata_hash = v.metadata_hash };
        return r;
}

int records_encode_share_group(const struct consumer_group_metadata_value *from, struct arena *a, struct span *ret)
{
        struct share_group_metadata_value v = { .epoch = from->epoch, .metadata_hash = from->metadata_hash };
        struct writer w;
        int r = records_begin(a, share_group_metadata_value_size(&v, VALUE), VALUE, &w, ret);

        if (!r)
                share_group_metadata_value_encode(&v, &w, VALUE);
        return r;
}

int records_decode_share_member(struct span value, struct arena *a, struct consumer_group_member_metadata_value *ret)
{
        struct share_group_member_metadata_value v;
        struct cursor c;
        int r = records_open_value(value, &c);

        if (!r)
                r = told(share_group_member_metadata_value_decode(&v, &c, VALUE, a));
        if (r)
                return r;
        consumer_group_member_metadata_value_init(ret);
        ret->instance_id = ret->subscribed_topic_regex = ret->server_assignor = STR_NULL;
        ret->rack_id = v.rack_id;
        ret->client_id = v.client_id;
        ret->client_host = v.client_host;
        ret->subscribed_topic_names = v.subscribed_topic_names;
        ret->subscribed_topic_names_count = v.subscribed_topic_names_count;
        return 0;
}

int records_encode_share_member(const struct consumer_group_member_metadata_value *from, struct arena *a,
                                struct span *ret)
{
        struct share_group_member_metadata_value v = { .rack_id = from->rack_id,
                                                       .client_id = from->client_id,
                                                       .client_host = from->client_host,
                                                       .subscribed_topic_names = from->subscribed_topic_names,
                                                       .subscribed_topic_names_count =
                                                               from->subscribed_topic_names_count };
        struct writer w;
        int r = records_begin(a, share_group_member_metadata_value_size(&v, VALUE), VALUE, &w, ret);

        if (!r)
                share_group_member_metadata_value_encode(&v, &w, VALUE);
        return r;
}

/* ---- what a member has ---- */

int records_decode_share_current(struct span value, struct arena *a, struct records_current *ret)
{
        struct share_group_current_member_assignment_value v;
        struct assignment_entry *entries;
        struct cursor c;
        size_t n = 0;
        int r = records_open_value(value, &c);

        if (!r)
                r = told(share_group_current_member_assignment_value_decode(&v, &c, VALUE, a));
        if (r)
                return r;
        for (int32_t i = 0; i < v.assigned_partitions_count; i++)
                n += (size_t)v.assigned_partitions[i].partitions_count;
        entries = ARENA_NEW_ARRAY(a, struct assignment_entry, n);
        if (!entries)
                return -ENOMEM;
        n = 0;
        for (int32_t i = 0; i < v.assigned_partitions_count; i++)
                for (int32_t p = 0; p < v.assigned_partitions[i].partitions_count; p++) {
                        if (v.assigned_partitions[i].partitions[p] < 0)
                                return RECORDS_E_MALFORMED;
                        entries[n++] = (struct assignment_entry){ v.assigned_partitions[i].topic_id,
                                                                  v.assigned_partitions[i].partitions[p] };
                }
        *ret = (struct records_current){ .epoch = v.member_epoch,
                                         .previous_epoch = v.previous_member_epoch,
                                         .state = v.state };
        return assignment_new(entries, n, &ret->assigned);
}

int records_encode_share_current(const struct records_current *from, struct arena *a, struct span *ret)
{
        struct share_group_current_member_assignment_value v = { .member_epoch = from->epoch,
                                                                 .previous_member_epoch = from->previous_epoch,
                                                                 .state = from->state };
        uint32_t count = from->assigned ? from->assigned->topics_count : 0;
        struct writer w;
        int r;

        v.assigned_partitions = ARENA_NEW_ARRAY(a, struct share_group_current_member_assignment_value_topic, count);
        if (!v.assigned_partitions)
                return -ENOMEM;
        v.assigned_partitions_count = (int32_t)count;
        for (uint32_t i = 0; i < count; i++) {
                const struct assignment_topic *t = &from->assigned->topics[i];

                v.assigned_partitions[i].topic_id = t->id;
                v.assigned_partitions[i].partitions = (int32_t *)t->partitions;
                v.assigned_partitions[i].partitions_count = t->partitions_count;
        }
        r = records_begin(a, share_group_current_member_assignment_value_size(&v, VALUE), VALUE, &w, ret);
        if (!r)
                share_group_current_member_assignment_value_encode(&v, &w, VALUE);
        return r;
}

/* ---- how far a group is in a partition ---- */

int records_decode_share_progress_key(struct cursor *c, struct arena *a, struct records_key *ret)
{
        struct share_progress_key key;
        int r = told(share_progress_key_decode(&key, c, 0, a));

        if (!r)
                *ret = (struct records_key){ .kind = RECORDS_SHARE_PROGRESS,
                                             .group = key.group_id,
                                             .topic_id = key.topic_id,
                                             .partition = key.partition };
        return r;
}

int records_encode_share_progress_key(struct str group, struct uuid topic_id, int32_t partition, struct arena *a,
                                      struct span *ret)
{
        struct share_progress_key key = { .group_id = group, .topic_id = topic_id, .partition = partition };
        struct writer w;
        int r;

        if (group.len > TEXT_MAX)
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a, share_progress_key_size(&key, 0), KEY_PROGRESS, &w, ret);
        if (!r)
                share_progress_key_encode(&key, &w, 0);
        return r;
}

int records_decode_share_progress(struct span value, struct arena *a, struct share_progress_value *ret)
{
        struct cursor c;
        int r = records_open_value(value, &c);

        return r ? r : told(share_progress_value_decode(ret, &c, VALUE, a));
}

int records_encode_share_progress(const struct share_progress_value *v, struct arena *a, struct span *ret)
{
        struct writer w;
        int r = records_begin(a, share_progress_value_size(v, VALUE), VALUE, &w, ret);

        if (!r)
                share_progress_value_encode(v, &w, VALUE);
        return r;
}
