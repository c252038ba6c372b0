/* ApiVersions (key 18): what is served here, printed from the dispatch table. Sources: KIP-511, KIP-584, KIP-896. */
#include "handler/client_conn.h"
#include "handler/internal.h"
#include "wire/messages.h"

/* The client's name and version as KIP-511 wants them: letters, digits, '-' and '.', not at the ends. */
static bool software_text_is_valid(struct str s)
{
        for (size_t i = 0; i < s.len; i++) {
                bool alnum = (s.p[i] >= '0' && s.p[i] <= '9') || ((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z');

                if (!alnum && ((s.p[i] != '-' && s.p[i] != '.') || i == 0 || i == s.len - 1))
                        return false;
        }
        return s.len > 0;
}

static bool fill_keys(struct rq *rq, struct api_versions_response *rsp)
{
        unsigned count;
        const struct handler_api *apis = handler_apis(&count);

        rsp->api_keys = ARENA_NEW_ARRAY(&rq->arena, struct api_versions_response_api, count);
        if (!rsp->api_keys)
                return false;
        rsp->api_keys_count = (int32_t)count;
        for (unsigned i = 0; i < count; i++)
                rsp->api_keys[i] = (struct api_versions_response_api){
                        .api_key = apis[i].key,
                        .min_version = apis[i].advertised_min,
                        .max_version = apis[i].version_max,
                };
        return true;
}

static bool fill_features(struct rq *rq, struct api_versions_response *rsp)
{
        const struct meta_broker *self = meta_image_broker(rq->image, rq->h->deps.node_id);
        struct pmap_iter it;
        const struct meta_feature *f;
        size_t finalized_count = rq->image->features.count, supported_count = self ? self->features_count : 0;

        rsp->supported_features =
                ARENA_NEW_ARRAY(&rq->arena, struct api_versions_response_supported_feature, supported_count);
        rsp->finalized_features =
                ARENA_NEW_ARRAY(&rq->arena, struct api_versions_response_finalized_feature, finalized_count);
        if (!rsp->supported_features || !rsp->finalized_features)
                return false;
        for (size_t i = 0; i < supported_count; i++) {
                /* KIP-584: clients before version 4 cannot take a minimum of 0 and must not see such a feature. */
                if (rq->version < 4 && self->features[i].level_min < 1)
                        continue;
                rsp->supported_features[rsp->supported_features_count++] =
                        (struct api_versions_response_supported_feature){
                                .name = self->features[i].name,
                                .min_version = self->features[i].level_min,
                                .max_version = self->features[i].level_max,
                        };
        }
        pmap_iter_init(&it, &rq->image->features, NULL);
        while ((f = pmap_next(&it)))
                rsp->finalized_features[rsp->finalized_features_count++] =
                        (struct api_versions_response_finalized_feature){
                                .name = f->name,
                                .max_version_level = f->level,
                                .min_version_level = f->level,
                        };
        rsp->finalized_features_epoch = rq->image->index;
        return true;
}

void handler_api_versions(struct rq *rq)
{
        struct api_versions_request req;
        struct api_versions_response rsp;

        if (!RQ_DECODE(rq, api_versions_request, &req))
                return;
        api_versions_response_init(&rsp);
        if (rq->version >= 3 && (!software_text_is_valid(req.client_software_name) ||
                                 !software_text_is_valid(req.client_software_version))) {
                rsp.error_code = KERR_INVALID_REQUEST;
                handler_count_error(rq, rsp.error_code);
        } else if (!fill_keys(rq, &rsp) || (rq->version >= 3 && !fill_features(rq, &rsp))) {
                rq_close_nomem(rq);
                return;
        }
        if (!rsp.error_code && rq->version >= 3)
                client_software_note(rq->net.conn, req.client_software_name, req.client_software_version);
        RQ_REPLY(rq, api_versions_response, &rsp);
}

/* KIP-511: a version we do not know is answered in version 0 with error 35 and the keys, so that the client can ask
 * again in a version that both know. */
void handler_api_versions_unsupported(struct rq *rq)
{
        struct api_versions_response rsp;

        rq->version = 0;
        handler_count_start(rq);
        api_versions_response_init(&rsp);
        rsp.error_code = KERR_UNSUPPORTED_VERSION;
        handler_count_error(rq, rsp.error_code);
        if (!fill_keys(rq, &rsp)) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, api_versions_response, &rsp);
}
