/* Subscriptions to metrics of clients (KIP-714): which clients push what, and how often. A subscription is a resource with
 * configurations of its own; this is what may be set, and how it is read. Pure. */
#pragma once

#include "conf/entry.h"

enum {
        CLIENT_METRICS_NAME_LEN_MAX = 240, /* of a subscription: it is a key in the metadata's store */
        CLIENT_METRICS_INTERVAL_MS_MIN = 100,
        CLIENT_METRICS_INTERVAL_MS_MAX = 3600 * 1000,
        CLIENT_METRICS_INTERVAL_MS_DEFAULT = 300 * 1000,
};

/* What a subscription may ask of a client before it counts for it; in the order of client_metrics_selector_name(). */
enum client_metrics_selector {
        CLIENT_METRICS_INSTANCE_ID,
        CLIENT_METRICS_CLIENT_ID,
        CLIENT_METRICS_SOFTWARE_NAME,
        CLIENT_METRICS_SOFTWARE_VERSION,
        CLIENT_METRICS_SOURCE_ADDRESS,
        CLIENT_METRICS_SOURCE_PORT,
        CLIENT_METRICS_SELECTORS
};

/* One subscription, with defaults where it sets nothing. Text borrowed from the pairs. */
struct client_metrics {
        int32_t interval_ms;
        struct str metrics;                         /* prefixes of names between commas; "*" is all, "" none */
        struct str match[CLIENT_METRICS_SELECTORS]; /* a regular expression for the whole of it; null: whatever it is */
};

/* May @name have @value? @why gets a sentence otherwise.
 * Return: 0; CONF_E_UNKNOWN: there is no such configuration; CONF_E_RANGE: it is a number, but not in its range; CONF_E_INVALID;
 * -ENOMEM. */
int client_metrics_validate(struct str name, struct str value, struct strbuf *why);

/* What a subscription says that sets @set. What was not validated counts as not set. */
struct client_metrics client_metrics_read(struct conf_pairs set);

/* For DescribeConfigs: everything about a subscription that sets @set, or what @names holds. Return: 0 or -ENOMEM. */
int client_metrics_describe(struct conf_pairs set, const struct str *names, size_t name_count, struct arena *mem,
                            struct conf_entries *ret_entries);
