/* Names of topics: which ones are possible, and which ones are the node's own. Pure. */
#pragma once

#include "base/span.h"

enum { META_TOPIC_NAME_LEN_MAX = 249 }; /* with the partition's number it must still be a file name */

/* Letters, digits, '.', '_' and '-', neither "." nor "..". Source: Kafka's Topic.validate(). */
static inline bool meta_topic_name_is_valid(struct str name)
{
        if (name.len == 0 || name.len > META_TOPIC_NAME_LEN_MAX || str_equal_c(name, ".") || str_equal_c(name, ".."))
                return false;
        for (size_t i = 0; i < name.len; i++) {
                char c = name.p[i];

                if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '_' ||
                      c == '-'))
                        return false;
        }
        return true;
}

/* Where nodes write what is in their audit logs. */
#define META_AUDIT_TOPIC "__chronik_audit"

/* Written by nodes only; clients may read them. */
static inline bool meta_topic_is_internal(struct str name)
{
        return str_equal_c(name, "__consumer_offsets") || str_equal_c(name, "__transaction_state") ||
               str_equal_c(name, META_AUDIT_TOPIC);
}
