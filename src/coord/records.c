#include "coord/records.h"

#include <errno.h>

enum { KEY_OFFSET_0 = 0, KEY_OFFSET = 1, KEY_GROUP = 2 };
enum { OFFSET_VALUE = 3, OFFSET_VALUE_EXPIRES = 1, GROUP_VALUE = 3 };
enum { TXN_KEY = 0, TXN_VALUE = 1 };
enum { TEXT_MAX = INT16_MAX };

static bool too_long(struct str s)
{
        return s.len > TEXT_MAX;
}

static bool too_long_bytes(struct span s)
{
        return s.len > INT32_MAX;
}

int records_decode_key(struct span key, struct arena *a, struct records_key *ret)
{
        struct cursor c = cursor_of(key);
        int16_t version = cursor_be16s(&c);
        struct offset_commit_key offset;
        struct group_metadata_key group;
        int r;

        if (!cursor_ok(&c))
                return RECORDS_E_MALFORMED;
        switch (version) {
        case KEY_OFFSET_0:
        case KEY_OFFSET:
                r = offset_commit_key_decode(&offset, &c, version, a);
                if (r)
                        return r < 0 ? r : RECORDS_E_MALFORMED;
                *ret = (struct records_key){ RECORDS_OFFSET, offset.group, offset.topic, offset.partition };
                return 0;
        case KEY_GROUP:
                r = group_metadata_key_decode(&group, &c, version, a);
                if (r)
                        return r < 0 ? r : RECORDS_E_MALFORMED;
                *ret = (struct records_key){ .kind = RECORDS_GROUP, .group = group.group };
                return 0;
        default:
                return records_decode_consumer_key(&c, version, a, ret);
        }
}

int records_decode_offset(struct span value, struct arena *a, struct offset_commit_value *ret)
{
        struct cursor c = cursor_of(value);
        int16_t version = cursor_be16s(&c);
        int r;

        if (!cursor_ok(&c))
                return RECORDS_E_MALFORMED;
        if (version < OFFSET_COMMIT_VALUE_VERSION_MIN || version > OFFSET_COMMIT_VALUE_VERSION_MAX)
                return RECORDS_E_OTHER;
        r = offset_commit_value_decode(ret, &c, version, a);
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_decode_group(struct span value, struct arena *a, struct group_metadata_value *ret)
{
        struct cursor c = cursor_of(value);
        int16_t version = cursor_be16s(&c);
        int r;

        if (!cursor_ok(&c))
                return RECORDS_E_MALFORMED;
        if (version < GROUP_METADATA_VALUE_VERSION_MIN || version > GROUP_METADATA_VALUE_VERSION_MAX)
                return RECORDS_E_OTHER;
        r = group_metadata_value_decode(ret, &c, version, a);
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_begin(struct arena *a, size_t len, int16_t version, struct writer *ret_writer, struct span *ret)
{
        uint8_t *buf = arena_alloc(a, len + 2);

        if (!buf)
                return -ENOMEM;
        *ret_writer = writer_of(buf, len + 2);
        writer_be16(ret_writer, (uint16_t)version);
        *ret = span_of(buf, len + 2);
        return 0;
}

int records_encode_offset_key(struct str group, struct str topic, int32_t partition, struct arena *a, struct span *ret)
{
        struct offset_commit_key key = { .group = group, .topic = topic, .partition = partition };
        struct writer w;
        int r;

        if (too_long(group) || too_long(topic))
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a, offset_commit_key_size(&key, KEY_OFFSET), KEY_OFFSET, &w, ret);
        if (!r)
                offset_commit_key_encode(&key, &w, KEY_OFFSET);
        return r;
}

int records_encode_group_key(struct str group, struct arena *a, struct span *ret)
{
        struct group_metadata_key key = { .group = group };
        struct writer w;
        int r;

        if (too_long(group))
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a, group_metadata_key_size(&key, KEY_GROUP), KEY_GROUP, &w, ret);
        if (!r)
                group_metadata_key_encode(&key, &w, KEY_GROUP);
        return r;
}

int records_encode_offset(const struct offset_commit_value *v, struct arena *a, struct span *ret)
{
        int16_t version = v->expire_timestamp >= 0 ? OFFSET_VALUE_EXPIRES : OFFSET_VALUE;
        struct writer w;
        int r;

        if (too_long(v->metadata))
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a, offset_commit_value_size(v, version), version, &w, ret);
        if (!r)
                offset_commit_value_encode(v, &w, version);
        return r;
}

static bool member_fits(const struct group_metadata_value_member *m)
{
        return !too_long(m->member_id) && !too_long(m->group_instance_id) && !too_long(m->client_id) &&
               !too_long(m->client_host) && !too_long_bytes(m->subscription) && !too_long_bytes(m->assignment);
}

int records_encode_group(const struct group_metadata_value *v, struct arena *a, struct span *ret)
{
        struct writer w;
        int r;

        if (too_long(v->protocol_type) || too_long(v->protocol) || too_long(v->leader))
                return RECORDS_E_TOO_LARGE;
        for (int32_t i = 0; i < v->members_count; i++)
                if (!member_fits(&v->members[i]))
                        return RECORDS_E_TOO_LARGE;
        r = records_begin(a, group_metadata_value_size(v, GROUP_VALUE), GROUP_VALUE, &w, ret);
        if (!r)
                group_metadata_value_encode(v, &w, GROUP_VALUE);
        return r;
}

/* ---- __transaction_state ---- */

int records_decode_txn_key(struct span key, struct arena *a, struct str *ret_id)
{
        struct cursor c = cursor_of(key);
        struct transaction_log_key k;
        int16_t version = cursor_be16s(&c);
        int r;

        if (!cursor_ok(&c))
                return RECORDS_E_MALFORMED;
        if (version != TXN_KEY)
                return RECORDS_E_OTHER;
        r = transaction_log_key_decode(&k, &c, version, a);
        *ret_id = k.transactional_id;
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_decode_txn(struct span value, struct arena *a, struct transaction_log_value *ret)
{
        struct cursor c = cursor_of(value);
        int16_t version = cursor_be16s(&c);
        int r;

        if (!cursor_ok(&c))
                return RECORDS_E_MALFORMED;
        if (version < TRANSACTION_LOG_VALUE_VERSION_MIN || version > TRANSACTION_LOG_VALUE_VERSION_MAX)
                return RECORDS_E_OTHER;
        r = transaction_log_value_decode(ret, &c, version, a);
        return r > 0 ? RECORDS_E_MALFORMED : r;
}

int records_encode_txn_key(struct str id, struct arena *a, struct span *ret)
{
        struct transaction_log_key key = { .transactional_id = id };
        struct writer w;
        int r;

        if (too_long(id))
                return RECORDS_E_TOO_LARGE;
        r = records_begin(a, transaction_log_key_size(&key, TXN_KEY), TXN_KEY, &w, ret);
        if (!r)
                transaction_log_key_encode(&key, &w, TXN_KEY);
        return r;
}

int records_encode_txn(const struct transaction_log_value *v, struct arena *a, struct span *ret)
{
        struct writer w;
        int r = records_begin(a, transaction_log_value_size(v, TXN_VALUE), TXN_VALUE, &w, ret);

        if (!r)
                transaction_log_value_encode(v, &w, TXN_VALUE);
        return r;
}
