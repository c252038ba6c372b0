/* Listeners for clients: `listeners.NAME.key`, a table of its own (listeners.def). server.kafka is the short form of one without
 * encryption, called PLAINTEXT. */
#pragma once

#include "conf/row.h"

enum { CONF_LISTENERS_MAX = 16, CONF_LISTENER_NAME_LEN_MAX = 64 };

/* Words of the table, as values. Protocols are numbered as Kafka's SecurityProtocol. */
enum { CONF_PROTOCOL_PLAINTEXT, CONF_PROTOCOL_SSL, CONF_PROTOCOL_SASL_PLAINTEXT, CONF_PROTOCOL_SASL_SSL };
enum { CONF_CLIENT_AUTH_NONE, CONF_CLIENT_AUTH_REQUESTED, CONF_CLIENT_AUTH_REQUIRED };
enum {
        CONF_SASL_PLAIN = 1 << 0,
        CONF_SASL_SCRAM_SHA_256 = 1 << 1,
        CONF_SASL_SCRAM_SHA_512 = 1 << 2,
        CONF_SASL_OAUTHBEARER = 1 << 3
};

struct conf_listener {
        const char *name;
#define P_TIME(k, ...) int64_t k;
#define P_BOOL(k, ...) bool k;
#define P_ENUM(k, ...) int k;
#define P_SET(k, ...) unsigned k;
#define P_STR(k, ...) const char *k;
#define P_ADDR(k, ...) struct conf_addr k;
#include "conf/listeners.def"
};

/* One number per row: LISTENER_address. */
enum conf_listener_key {
#define P_TIME(k, ...) LISTENER_##k,
#define P_BOOL(k, ...) LISTENER_##k,
#define P_ENUM(k, ...) LISTENER_##k,
#define P_SET(k, ...) LISTENER_##k,
#define P_STR(k, ...) LISTENER_##k,
#define P_ADDR(k, ...) LISTENER_##k,
#include "conf/listeners.def"
        CONF_LISTENER_KEYS
};

/* Offsets are those of struct conf_listener. */
extern const struct conf_row conf_listener_rows[CONF_LISTENER_KEYS];

/* "SASL_SSL". Static. */
const char *conf_protocol_name(int protocol);

static inline bool conf_listener_has_tls(const struct conf_listener *l)
{
        return l->protocol == CONF_PROTOCOL_SSL || l->protocol == CONF_PROTOCOL_SASL_SSL;
}

static inline bool conf_listener_has_sasl(const struct conf_listener *l)
{
        return l->protocol == CONF_PROTOCOL_SASL_PLAINTEXT || l->protocol == CONF_PROTOCOL_SASL_SSL;
}
