/* The APIs that are served, one row each: this table is what ApiVersions advertises and what dispatch uses. A row exists
 * only when its handler does. Versions: what a Kafka 4.3 broker serves, restricted to what is implemented here. */
#pragma once

#include <stdint.h>

struct rq;
struct wire_api;

struct handler_api {
        int16_t key;
        int16_t version_min, version_max;            /* implemented */
        int16_t advertised_min;                      /* may be lower than version_min: see Produce */
        const char *name;
        void (*fn)(struct rq *rq);
        const struct wire_api *wire;                 /* flexible versions */
        unsigned number;                             /* row in the table: index of counters */
};

/* The row of @key, or NULL when it is not served. */
const struct handler_api *handler_api_find(int16_t key);
/* All rows in order of key. */
const struct handler_api *handler_apis(unsigned *ret_count);
