/* DescribeConfigs (key 32): every configuration of topics, of this broker, of subscriptions to client metrics and of groups under
 * Kafka's names, with where its value comes from. Sources: KIP-133, KIP-226 (synonyms), KIP-569 (types and texts), KIP-714, KIP-848. */
#include <errno.h>

#include "handler/config_view.h"
#include "wire/messages.h"

static bool fill_synonyms(struct rq *rq, const struct conf_entry *e, struct describe_configs_response_config *out)
{
        out->synonyms = ARENA_NEW_ARRAY(&rq->arena, struct describe_configs_response_synonym, e->synonym_count);
        if (!out->synonyms)
                return false;
        for (unsigned i = 0; i < e->synonym_count; i++)
                out->synonyms[out->synonyms_count++] = (struct describe_configs_response_synonym){
                        .name = e->synonyms[i].name,
                        .value = e->synonyms[i].value,
                        .source = (int8_t)e->synonyms[i].source,
                };
        return true;
}

static int fill_configs(struct rq *rq, const struct describe_configs_request *req, const struct conf_entries *entries,
                        struct describe_configs_response_result *out)
{
        out->configs = ARENA_NEW_ARRAY(&rq->arena, struct describe_configs_response_config, entries->count);
        if (!out->configs)
                return -ENOMEM;
        for (size_t i = 0; i < entries->count; i++) {
                const struct conf_entry *e = &entries->at[i];
                struct describe_configs_response_config *c = &out->configs[out->configs_count++];

                describe_configs_response_config_init(c);
                c->name = e->name;
                c->value = e->value;
                c->read_only = e->read_only;
                c->config_source = (int8_t)e->source;
                c->config_type = (int8_t)e->type;
                c->documentation = req->include_documentation ? e->text : STR_NULL;
                if (req->include_synonyms && !fill_synonyms(rq, e, c))
                        return -ENOMEM;
        }
        return 0;
}

static int16_t refuse(struct rq *rq, struct describe_configs_response_result *out, int16_t error, struct str text)
{
        out->error_message = text;
        handler_count_error(rq, error);
        return error;
}

/* For all brokers ("") only what is set is told, as it is no broker of its own. */
static int broker_entries(struct rq *rq, struct str name, const struct str *names, size_t count,
                          struct conf_entries *ret)
{
        struct conf_layers layers;
        int r = config_layers(rq, &layers);
        size_t n = 0;

        if (r)
                return r;
        r = broker_conf_describe(&layers, names, count, &rq->arena, ret);
        conf_unref((struct conf *)layers.now);
        if (r || name.len)
                return r;
        for (size_t i = 0; i < ret->count; i++) {
                const struct conf_pair *set = conf_pairs_find(layers.all_brokers, ret->at[i].name);

                if (!set)
                        continue;
                ret->at[n] = ret->at[i];
                ret->at[n].value = set->value;
                ret->at[n++].source = CONF_SOURCE_BROKER_DEFAULT;
        }
        ret->count = n;
        return 0;
}

static int subscription_entries(struct rq *rq, struct str name, const struct str *names, size_t count,
                                struct conf_entries *ret)
{
        struct conf_pairs set;
        int r = config_pairs(rq, META_RESOURCE_CLIENT_METRICS, name, &set);

        return r ? r : client_metrics_describe(set, names, count, &rq->arena, ret);
}

/* A group has them whether it is there or not. */
static int group_entries(struct rq *rq, struct str name, const struct str *names, size_t count,
                         struct conf_entries *ret)
{
        struct conf_layers layers;
        struct conf_pairs set;
        int r = config_pairs(rq, META_RESOURCE_GROUP, name, &set);

        if (!r)
                r = config_layers(rq, &layers);
        if (r)
                return r;
        r = group_settings_describe(&layers, set, names, count, &rq->arena, ret);
        conf_unref((struct conf *)layers.now);
        return r;
}

static bool is_this_broker(struct rq *rq, struct str name)
{
        return name.len == 0 || str_equal(name, RQ_TEXT(rq, "%d", rq->h->deps.node_id));
}

/* Return: 0 with out->error_code; -ENOMEM. */
static int describe(struct rq *rq, const struct describe_configs_request *req,
                    const struct describe_configs_request_resource *in, struct describe_configs_response_result *out)
{
        size_t count = (size_t)MAX2(in->configuration_keys_count, 0);
        struct conf_entries entries = { 0 };
        int r;

        describe_configs_response_result_init(out);
        out->resource_type = in->resource_type;
        out->resource_name = in->resource_name;
        if (in->resource_type == RESOURCE_TOPIC) {
                if (!meta_image_topic(rq->image, in->resource_name)) {
                        bool valid = meta_topic_name_is_valid(in->resource_name);

                        out->error_code = refuse(
                                rq, out, valid ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_INVALID_TOPIC_EXCEPTION,
                                valid ? STR_NULL
                                      : RQ_TEXT(rq, "'%.*s' is no name of a topic.", STR_FMT(in->resource_name)));
                        return 0;
                }
                r = config_of_topic(rq, in->resource_name, in->configuration_keys, count, &entries);
        } else if (in->resource_type == RESOURCE_BROKER) {
                if (!is_this_broker(rq, in->resource_name)) {
                        out->error_code =
                                refuse(rq, out, KERR_INVALID_REQUEST,
                                       RQ_TEXT(rq, "This is broker %d: ask broker %.*s for its configuration.",
                                               rq->h->deps.node_id, STR_FMT(in->resource_name)));
                        return 0;
                }
                r = broker_entries(rq, in->resource_name, in->configuration_keys, count, &entries);
        } else if (in->resource_type == RESOURCE_CLIENT_METRICS || in->resource_type == RESOURCE_GROUP) {
                bool is_group = in->resource_type == RESOURCE_GROUP;

                if (!in->resource_name.len) {
                        out->error_code = refuse(rq, out, KERR_INVALID_REQUEST,
                                                 is_group ? STR_LIT("A group has a name.")
                                                          : STR_LIT("A subscription to client metrics has a name."));
                        return 0;
                }
                r = (is_group ? group_entries : subscription_entries)(rq, in->resource_name, in->configuration_keys,
                                                                      count, &entries);
        } else {
                out->error_code = refuse(rq, out, KERR_INVALID_REQUEST,
                                         RQ_TEXT(rq, "Resource type %d has no configurations here; " CONFIG_RESOURCES,
                                                 in->resource_type));
                return 0;
        }
        return r ? r : fill_configs(rq, req, &entries, out);
}

void handler_describe_configs(struct rq *rq)
{
        struct describe_configs_request req;
        struct describe_configs_response rsp;

        if (!RQ_DECODE(rq, describe_configs_request, &req))
                return;
        describe_configs_response_init(&rsp);
        rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct describe_configs_response_result, req.resources_count);
        for (int32_t i = 0; rsp.results && i < req.resources_count; i++)
                if (describe(rq, &req, &req.resources[i], &rsp.results[rsp.results_count++]) < 0)
                        rsp.results = NULL;
        if (rsp.results)
                RQ_REPLY(rq, describe_configs_response, &rsp);
        else
                rq_close_nomem(rq);
}
