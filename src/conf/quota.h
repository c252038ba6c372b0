/* Client quotas (KIP-13, KIP-124, KIP-546, KIP-599, KIP-612): what may be limited, and for whom. They are kept with the configurations, as those
 * of a resource whose name says whom they are for. Pure. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"

enum quota_key {
        QUOTA_PRODUCE,    /* bytes of requests a second */
        QUOTA_FETCH,      /* bytes of records a second */
        QUOTA_REQUEST,    /* percent of one reactor's time */
        QUOTA_MUTATION,   /* partitions created and deleted a second */
        QUOTA_CONNECTION, /* connections accepted a second; for addresses, the others for users and client ids */
        QUOTA_KEYS
};

/* As Kafka writes it: "producer_byte_rate". Static. */
const char *quota_key_name(enum quota_key key);

/* In the order of their names. */
enum quota_part { QUOTA_CLIENT_ID, QUOTA_IP, QUOTA_USER, QUOTA_PARTS };
const char *quota_part_name(enum quota_part part);

/* Whom quotas are for. */
struct quota_entity {
        struct quota_entity_part {
                bool is_set;
                struct str name; /* null: all that have no quota of their own */
        } parts[QUOTA_PARTS];
};

/* May there be quotas for @e? An address is put into the form in which nodes see it, in @a, where @e then has it.
 * Return: NULL, or what is wrong, as a static sentence. */
const char *quota_entity_check(struct quota_entity *e, struct arena *a);

enum { QUOTA_NAME_LEN_MAX = 240 }; /* of a resource: it is a key in the metadata's store */

/* The resource's name: "client-id=app,user" is app under the users that have none of their own. In @a. Null text: no memory, or it is
 * longer than QUOTA_NAME_LEN_MAX. */
struct str quota_entity_format(const struct quota_entity *e, struct arena *a);
/* The way back; text in @a. False: it is no such name, or of nobody whom quotas may be for, or no memory. */
bool quota_entity_parse(struct str name, struct arena *a, struct quota_entity *ret);

/* May @key have @value for the entity with the resource's name @name? Return: 0; CONF_E_UNKNOWN, CONF_E_INVALID with @why; -ENOMEM. */
int quota_validate(struct str name, struct str key, struct str value, struct strbuf *why);
/* A value that was validated. */
double quota_value(struct str value);
