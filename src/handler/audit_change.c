/* What a request of the controller's changes, before and after, as JSON: see audit.h. Both are told from images, which is what the nodes
 * went by; between the one and the other somebody else's change may have come. Of passwords nothing is told. */
#include <inttypes.h>
#include <stdio.h>

#include "controller/request.h"
#include "handler/audit.h"
#include "meta/image.h"
#include "meta/names.h"
#include "security/scram.h"

/* ---- JSON ---- */

static void add_ids(struct strbuf *out, const char *name, const int32_t *ids, size_t count)
{
        strbuf_printf(out, ",\"%s\":[", name);
        for (size_t i = 0; i < count; i++)
                strbuf_printf(out, "%s%d", i ? "," : "", ids[i]);
        strbuf_add_c(out, "]");
}

static void add_member(struct strbuf *out, const char *name, struct str text)
{
        strbuf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
        if (text.p)
                audit_text_write(text, out);
        else
                strbuf_add_c(out, "null");
}

/* ---- what things are ---- */

static void topic_value(struct strbuf *out, const struct meta_image *image, struct str name, struct uuid id)
{
        const struct meta_topic *t = name.p ? meta_image_topic(image, name) : meta_image_topic_by_id(image, id);
        const struct meta_partition *p = t ? meta_topic_partition(t, 0) : NULL;
        char text[UUID_TEXT_SIZE];

        if (!t) {
                strbuf_add_c(out, "null");
                return;
        }
        uuid_format(t->id, text);
        strbuf_printf(out, "{\"id\":\"%s\",\"partitions\":%u,\"replication_factor\":%u}", text, t->partitions_count,
                      p ? p->replicas_count : 0u);
}

static void configs_value(struct strbuf *out, const struct meta_image *image, int8_t type, struct str name)
{
        const struct meta_configs *set = meta_image_configs(image, (enum meta_resource)type, name);

        strbuf_add_c(out, "{");
        for (uint32_t i = 0; set && i < set->count; i++) {
                if (i)
                        strbuf_add_c(out, ",");
                audit_text_write(set->items[i].name, out);
                strbuf_add_c(out, ":");
                audit_text_write(set->items[i].value, out);
        }
        strbuf_add_c(out, "}");
}

static void broker_value(struct strbuf *out, const struct meta_image *image, int32_t id)
{
        static const char *const duties[] = {
                [META_DUTY_NONE] = "none", [META_DUTY_DRAINED] = "drained", [META_DUTY_LEAVING] = "leaving"
        };
        const struct meta_broker *b = meta_image_broker(image, id);

        if (b)
                strbuf_printf(out, "{\"fenced\":%s,\"stopping\":%s,\"duty\":\"%s\"}", b->fenced ? "true" : "false",
                              b->in_shutdown ? "true" : "false", b->duty < META_DUTY_END ? duties[b->duty] : "?");
        else
                strbuf_add_c(out, "null");
}

static void partition_value(struct strbuf *out, const struct meta_image *image, struct str topic, int32_t index)
{
        const struct meta_topic *t = meta_image_topic(image, topic);
        const struct meta_partition *p = t ? meta_topic_partition(t, index) : NULL;

        if (!p) {
                strbuf_add_c(out, "null");
                return;
        }
        strbuf_printf(out, "{\"leader\":%d,\"leader_epoch\":%d", p->leader, p->leader_epoch);
        add_ids(out, "replicas", meta_partition_replicas(p), p->replicas_count);
        add_ids(out, "adding", meta_partition_adding(p), p->adding_count);
        add_ids(out, "removing", meta_partition_removing(p), p->removing_count);
        strbuf_add_c(out, "}");
}

static void rule_value(struct strbuf *out, const struct meta_acl_entry *e)
{
        strbuf_add_c(out, "{");
        if (out->failed)
                return;
        add_member(out, "permission", str_of(acl_permission_name(e->permission)));
        add_member(out, "principal", e->principal);
        add_member(out, "host", e->host);
        add_member(out, "operation", str_of(acl_operation_name(e->operation)));
        add_member(out, "resource", str_of(acl_resource_name(e->resource_type)));
        add_member(out, "name", e->resource_name);
        add_member(out, "pattern", str_of(acl_pattern_name(e->pattern_type)));
        strbuf_add_c(out, "}");
}

static void disruption_value(struct strbuf *out, const struct meta_image *image)
{
        const struct meta_disruption *x = image->disruption;

        if (!x || !x->holder.p || out->failed) {
                strbuf_add_c(out, "null");
                return;
        }
        strbuf_printf(out, "{\"node\":%d,\"until_ms\":%lld", x->node_id, (long long)x->until_ms);
        if (out->failed)
                return;
        add_member(out, "holder", x->holder);
        add_member(out, "reason", x->reason);
        strbuf_add_c(out, "}");
}

static void credential_value(struct strbuf *out, const struct meta_image *image,
                             const struct controller_alter_credential *a)
{
        const struct meta_credential *c = meta_image_credential(image, a->user, a->mechanism);

        if (c && c->key.mechanism > SCRAM_UNKNOWN && c->key.mechanism < SCRAM_MECHANISM_END)
                strbuf_printf(out, "{\"mechanism\":\"%s\",\"iterations\":%d}",
                              scram_name((enum scram_mechanism)c->key.mechanism), c->iterations);
        else
                strbuf_add_c(out, "null");
}

/* Nothing of its secret, nor of what lets anybody check it. */
static void token_value(struct strbuf *out, const struct meta_token *t)
{
        if (!t || out->failed) {
                strbuf_add_c(out, "null");
                return;
        }
        strbuf_add_c(out, "{");
        if (out->failed)
                return;
        add_member(out, "owner", t->owner);
        add_member(out, "requester", t->requester);
        strbuf_add_c(out, ",\"renewers\":[");
        for (uint32_t i = 0; i < t->renewers_count; i++) {
                if (i)
                        strbuf_add_c(out, ",");
                audit_text_write(t->renewers[i], out);
        }
        strbuf_printf(out, "],\"issue_ms\":%" PRId64 ",\"expiry_ms\":%" PRId64 ",\"max_ms\":%" PRId64 "}", t->issue_ms,
                      t->expiry_ms, t->max_ms);
}

static const struct meta_token *altered_token(const struct meta_image *image, const struct controller_alter_token *a)
{
        return a->digest.len == META_TOKEN_DIGEST_LEN ? meta_image_token_by_digest(image, a->digest.data) : NULL;
}

/* Of a user whose password is rotated. */
static void rotation_value(struct strbuf *out, const struct meta_image *image, struct str user)
{
        int64_t until_ms = 0;
        bool is_there = false;

        for (int m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++) {
                const struct meta_credential *c = meta_image_credential(image, user, (int8_t)m);

                is_there |= c != NULL;
                until_ms = c && c->earlier_stored_key.len ? MAX2(until_ms, c->earlier_until_ms) : until_ms;
        }
        if (is_there)
                strbuf_printf(out, "{\"earlier_until_ms\":%lld}", (long long)until_ms);
        else
                strbuf_add_c(out, "null");
}

/* ---- items ---- */

struct change_op {
        const char *operation, *resource;
};

/* NULL: it changes nothing that an operator would ask for. */
static const struct change_op *change_op_of(const struct controller_request *rq)
{
        static const struct change_op ops[CONTROLLER_OPS_COUNT] = {
                [CONTROLLER_CREATE_TOPICS] = { "CREATE_TOPIC", "TOPIC" },
                [CONTROLLER_DELETE_TOPICS] = { "DELETE_TOPIC", "TOPIC" },
                [CONTROLLER_CREATE_PARTITIONS] = { "CREATE_PARTITIONS", "TOPIC" },
                [CONTROLLER_ALTER_CONFIGS] = { "ALTER_CONFIGS", NULL },
                [CONTROLLER_UNREGISTER_BROKER] = { "UNREGISTER_BROKER", "BROKER" },
                [CONTROLLER_UPDATE_FEATURES] = { "UPDATE_FEATURE", "FEATURE" },
                [CONTROLLER_ELECT_LEADERS] = { "ELECT_LEADER", "PARTITION" },
                [CONTROLLER_ALTER_REASSIGNMENTS] = { "REASSIGN", "PARTITION" },
                [CONTROLLER_DRAIN_BROKER] = { "DRAIN_BROKER", "BROKER" },
                [CONTROLLER_UNDRAIN_BROKER] = { "UNDRAIN_BROKER", "BROKER" },
                [CONTROLLER_DECOMMISSION_BROKER] = { "DECOMMISSION_BROKER", "BROKER" },
                [CONTROLLER_DISRUPTION] = { "DISRUPTION", "CLUSTER" },
                [CONTROLLER_ADD_VOTER] = { "ADD_VOTER", "CONTROLLER" },
                [CONTROLLER_REMOVE_VOTER] = { "REMOVE_VOTER", "CONTROLLER" },
                [CONTROLLER_TRANSFER] = { "TRANSFER_LEADERSHIP", "CONTROLLER" },
                [CONTROLLER_CREATE_ACLS] = { "CREATE_ACL", "ACL" },
                [CONTROLLER_DELETE_ACLS] = { "DELETE_ACLS", "ACL" },
                [CONTROLLER_ALTER_CREDENTIALS] = { "ALTER_CREDENTIAL", "USER" },
                [CONTROLLER_CREATE_TOKENS] = { "CREATE_TOKEN", "DELEGATION_TOKEN" },
                [CONTROLLER_RENEW_TOKENS] = { "RENEW_TOKEN", "DELEGATION_TOKEN" },
                [CONTROLLER_EXPIRE_TOKENS] = { "EXPIRE_TOKEN", "DELEGATION_TOKEN" },
                [CONTROLLER_ROTATE_USERS] = { "ROTATE_PASSWORD", "USER" },
        };

        return !rq->validate_only && ops[rq->op].operation ? &ops[rq->op] : NULL;
}

static const char *config_resource(int8_t type)
{
        switch (type) {
        case META_RESOURCE_TOPIC:
                return "TOPIC";
        case META_RESOURCE_BROKER:
                return "BROKER";
        case META_RESOURCE_CLIENT_METRICS:
                return "CLIENT_METRICS";
        case META_RESOURCE_GROUP:
                return "GROUP";
        case META_RESOURCE_QUOTA:
                return "QUOTA";
        default:
                return "?";
        }
}

/* What item @i is about, as it is in @image. */
static void item_value(struct strbuf *out, const struct meta_image *image, const struct controller_request *rq,
                       uint32_t i)
{
        switch (rq->op) {
        case CONTROLLER_CREATE_TOPICS:
                topic_value(out, image, rq->create_topics[i].name, UUID_ZERO);
                break;
        case CONTROLLER_DELETE_TOPICS:
                topic_value(out, image, rq->delete_topics[i].name, rq->delete_topics[i].id);
                break;
        case CONTROLLER_CREATE_PARTITIONS:
                topic_value(out, image, rq->create_partitions[i].name, UUID_ZERO);
                break;
        case CONTROLLER_ALTER_CONFIGS:
                configs_value(out, image, rq->alter_configs[i].type, rq->alter_configs[i].name);
                break;
        case CONTROLLER_UNREGISTER_BROKER:
                broker_value(out, image, rq->unregister_broker[i].broker_id);
                break;
        case CONTROLLER_DRAIN_BROKER:
        case CONTROLLER_UNDRAIN_BROKER:
        case CONTROLLER_DECOMMISSION_BROKER:
                broker_value(out, image, rq->broker_duty[i].broker_id);
                break;
        case CONTROLLER_UPDATE_FEATURES:
                strbuf_printf(out, "%d", meta_image_feature_level(image, rq->update_features[i].name));
                break;
        case CONTROLLER_ELECT_LEADERS:
                partition_value(out, image, rq->elect_leaders[i].topic, rq->elect_leaders[i].partition);
                break;
        case CONTROLLER_ALTER_REASSIGNMENTS:
                partition_value(out, image, rq->reassign[i].topic, rq->reassign[i].partition);
                break;
        case CONTROLLER_DISRUPTION:
                disruption_value(out, image);
                break;
        case CONTROLLER_CREATE_ACLS:
                if (pmap_get(&image->acls, &rq->create_acls[i].entry))
                        rule_value(out, &rq->create_acls[i].entry);
                else
                        strbuf_add_c(out, "null");
                break;
        case CONTROLLER_ALTER_CREDENTIALS:
                credential_value(out, image, &rq->alter_credentials[i]);
                break;
        case CONTROLLER_CREATE_TOKENS:
                token_value(out, meta_image_token(image, rq->create_tokens[i].id));
                break;
        case CONTROLLER_RENEW_TOKENS:
        case CONTROLLER_EXPIRE_TOKENS:
                token_value(out, altered_token(image, &rq->alter_tokens[i]));
                break;
        case CONTROLLER_ROTATE_USERS:
                rotation_value(out, image, rq->rotate_users[i].user);
                break;
        default: /* voters are the quorum's, not the image's; rules that were deleted are told by the answer */
                strbuf_add_c(out, "null");
        }
}

static struct str print(char *text, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static struct str print(char *text, size_t size, const char *fmt, ...)
{
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, size, fmt, ap);
        va_end(ap);
        return (struct str){ text, MIN2((size_t)MAX2(n, 0), size - 1) };
}

/* The name of item @i, perhaps in @text, and how it ended. */
static struct str item_name(const struct controller_request *rq, uint32_t i, char *text, size_t size,
                            const struct controller_result **ret_result)
{
        switch (rq->op) {
        case CONTROLLER_CREATE_TOPICS:
                *ret_result = &rq->create_topics[i].result;
                return rq->create_topics[i].name;
        case CONTROLLER_DELETE_TOPICS:
                *ret_result = &rq->delete_topics[i].result;
                if (rq->delete_topics[i].name.p)
                        return rq->delete_topics[i].name;
                assert(size >= UUID_TEXT_SIZE);
                uuid_format(rq->delete_topics[i].id, text);
                return str_of(text);
        case CONTROLLER_CREATE_PARTITIONS:
                *ret_result = &rq->create_partitions[i].result;
                return rq->create_partitions[i].name;
        case CONTROLLER_ALTER_CONFIGS:
                *ret_result = &rq->alter_configs[i].result;
                return rq->alter_configs[i].name;
        case CONTROLLER_UNREGISTER_BROKER:
                *ret_result = &rq->unregister_broker[i].result;
                return print(text, size, "%d", rq->unregister_broker[i].broker_id);
        case CONTROLLER_UPDATE_FEATURES:
                *ret_result = &rq->update_features[i].result;
                return rq->update_features[i].name;
        case CONTROLLER_ELECT_LEADERS:
                *ret_result = &rq->elect_leaders[i].result;
                return print(text, size, "%.*s-%d", STR_FMT(rq->elect_leaders[i].topic),
                             rq->elect_leaders[i].partition);
        case CONTROLLER_ALTER_REASSIGNMENTS:
                *ret_result = &rq->reassign[i].result;
                return print(text, size, "%.*s-%d", STR_FMT(rq->reassign[i].topic), rq->reassign[i].partition);
        case CONTROLLER_DRAIN_BROKER:
        case CONTROLLER_UNDRAIN_BROKER:
        case CONTROLLER_DECOMMISSION_BROKER:
                *ret_result = &rq->broker_duty[i].result;
                return print(text, size, "%d", rq->broker_duty[i].broker_id);
        case CONTROLLER_DISRUPTION:
                *ret_result = &rq->disruption[i].result;
                return rq->disruption[i].who;
        case CONTROLLER_ADD_VOTER:
        case CONTROLLER_REMOVE_VOTER:
        case CONTROLLER_TRANSFER:
                *ret_result = &rq->voter_change[i].result;
                return print(text, size, "%d", rq->voter_change[i].node_id);
        case CONTROLLER_CREATE_ACLS:
                *ret_result = &rq->create_acls[i].result;
                return rq->create_acls[i].entry.resource_name;
        case CONTROLLER_DELETE_ACLS:
                *ret_result = &rq->delete_acls[i].result;
                return rq->delete_acls[i].filter.resource_name;
        case CONTROLLER_ALTER_CREDENTIALS:
                *ret_result = &rq->alter_credentials[i].result;
                return rq->alter_credentials[i].user;
        case CONTROLLER_CREATE_TOKENS:
                *ret_result = &rq->create_tokens[i].result;
                return rq->create_tokens[i].id;
        case CONTROLLER_RENEW_TOKENS:
        case CONTROLLER_EXPIRE_TOKENS:
                *ret_result = &rq->alter_tokens[i].result;
                return rq->alter_tokens[i].id;
        case CONTROLLER_ROTATE_USERS:
                *ret_result = &rq->rotate_users[i].result;
                return rq->rotate_users[i].user;
        default:
                assert(!"an operation that is recorded");
                *ret_result = &rq->result;
                return STR_NULL;
        }
}

/* ---- entries ---- */

void audit_change_begin(struct audit_change *c, const struct audit_sink *sink, const struct meta_image *image,
                        const struct controller_request *rq)
{
        *c = (struct audit_change){ .is_recorded = sink && change_op_of(rq) };
        for (uint32_t i = 0; c->is_recorded && i < rq->items_count; i++) {
                item_value(&c->before, image, rq, i);
                strbuf_add(&c->before, "", 1);
        }
}

/* Rules that a filter meant. */
static void deleted_value(struct strbuf *out, const struct controller_delete_acls *d)
{
        strbuf_add_c(out, "[");
        for (int32_t i = 0; i < d->deleted_count; i++) {
                if (i)
                        strbuf_add_c(out, ",");
                rule_value(out, &d->deleted[i]);
        }
        strbuf_add_c(out, "]");
}

static void end_item(const struct audit_sink *sink, const struct meta_image *image, const struct controller_request *rq,
                     uint32_t i, struct str before, struct audit_entry e)
{
        CLEANUP(strbuf_finip) struct strbuf was = { 0 }, is = { 0 };
        const struct controller_result *result;
        const struct change_op *op = change_op_of(rq);
        char text[META_TOPIC_NAME_LEN_MAX + 32];

        e.operation = str_of(op->operation);
        e.resource = str_of(op->resource ? op->resource : config_resource(rq->alter_configs[i].type));
        e.name = item_name(rq, i, text, sizeof text, &result);
        if (rq->result.outcome)
                result = &rq->result;
        e.outcome = !result->outcome ? STR_LIT("done") : result->message.p ? result->message : STR_LIT("refused");
        e.before = before;
        if (rq->op == CONTROLLER_DELETE_ACLS && !result->outcome) {
                deleted_value(&was, &rq->delete_acls[i]);
                e.before = (struct str){ was.data, was.len };
        }
        item_value(&is, image, rq, i);
        e.after = (struct str){ is.data, is.len };
        if (was.failed)
                e.before = STR_NULL;
        if (is.failed)
                e.after = STR_NULL;
        sink->put(sink->arg, &e);
}

void audit_change_end(struct audit_change *c, const struct audit_sink *sink, const struct meta_image *image,
                      const struct controller_request *rq, const struct audit_entry *who)
{
        struct str left = { c->before.data, c->before.len };

        for (uint32_t i = 0; c->is_recorded && i < rq->items_count; i++) {
                struct str before = STR_NULL;

                if (!c->before.failed) {
                        before = (struct str){ left.p, strlen(left.p) };
                        left = (struct str){ left.p + before.len + 1, left.len - before.len - 1 };
                }
                end_item(sink, image, rq, i, before, *who);
        }
        strbuf_fini(&c->before);
        c->is_recorded = false;
}
