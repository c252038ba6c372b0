/* The API keys that we have schemas for, with their versions. What a node advertises is the handler's table, not this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_api {
        int16_t key;
        const char *name; /* "Produce" */
        int16_t version_min;
        int16_t version_max;
        int16_t request_flexible_from; /* INT16_MAX: never */
        int16_t response_flexible_from;
};

/* By ascending key; generated from the schemas. */
extern const struct wire_api wire_apis[];
extern const size_t wire_apis_count;

/* The API of this key, or NULL when it is not known. */
const struct wire_api *wire_api_find(int16_t key);

static inline bool wire_api_has_version(const struct wire_api *api, int16_t version)
{
        return version >= api->version_min && version <= api->version_max;
}

/* The version of the RequestHeader in front of a request of this version. */
static inline int16_t wire_api_request_header(const struct wire_api *api, int16_t version)
{
        return version >= api->request_flexible_from ? 2 : 1;
}

/* The version of the ResponseHeader. ApiVersions always answers with 0, so that a client that asked in a version which
 * we do not know can read the answer (KIP-511). */
static inline int16_t wire_api_response_header(const struct wire_api *api, int16_t version)
{
        return api->key != 18 && version >= api->response_flexible_from ? 1 : 0;
}
