/* /v1/cluster and /v1/disruption of the admin listener: what an operator looks at first. */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "sys/clock.h"

/* ---- the disruption token ---- */

static json_t *json_disruption(const struct meta_disruption *x)
{
        int64_t now_ms = clock_wall_ms();
        bool held = x && !str_is_null(x->holder) && x->until_ms > now_ms;
        json_t *out = json_pack("{s:b}", "held", held);

        if (held) {
                json_object_set_new(out, "holder", admin_json_str(x->holder));
                json_object_set_new(out, "node", json_integer(x->node_id));
                json_object_set_new(out, "reason", admin_json_str(x->reason));
                json_object_set_new(out, "since_ms", json_integer(x->since_ms));
                json_object_set_new(out, "until_ms", json_integer(x->until_ms));
                json_object_set_new(out, "left_ms", json_integer(x->until_ms - now_ms));
        }
        if (x && !str_is_null(x->override_by))
                json_object_set_new(out, "last_override",
                                    json_pack("{s:o, s:o, s:I, s:o}", "by", admin_json_str(x->override_by), "reason",
                                              admin_json_str(x->override_reason), "at_ms", (json_int_t)x->override_ms,
                                              "of", admin_json_str(x->override_of)));
        return out;
}

void admin_get_disruption(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);

        (void)name;
        admin_answer_json(rq, json_disruption(image->disruption));
        meta_image_unref(image);
}

static bool disruption_op_read(const char *text, enum controller_disruption_op *ret)
{
        static const char *const ops[] = { "acquire", "release", "override" };

        for (size_t i = 0; text && i < ARRAY_LEN(ops); i++)
                if (!strcmp(text, ops[i])) {
                        *ret = (enum controller_disruption_op)i;
                        return true;
                }
        return false;
}

/* False has been answered. Text is the body's. */
static bool disruption_read(struct http_request *rq, json_t *body, struct controller_disruption *ret)
{
        json_t *ttl = json_object_get(body, "ttl_ms");
        const char *who = json_string_value(json_object_get(body, "who")), *why = NULL;

        if (!disruption_op_read(json_string_value(json_object_get(body, "op")), &ret->op))
                why = "\"op\" must be \"acquire\", \"release\" or \"override\".";
        else if (!who)
                why = "\"who\" must be there, and a text.";
        else if (ret->op != CONTROLLER_DISRUPTION_RELEASE && !admin_id_of(json_object_get(body, "node"), &ret->node_id))
                why = "\"node\" must be there, and a node's number.";
        else if (ret->op != CONTROLLER_DISRUPTION_RELEASE && !json_is_integer(ttl))
                why = "\"ttl_ms\" must be there, and a number of milliseconds.";
        if (why) {
                admin_answer_error(rq, 400, "%s", why);
                return false;
        }
        ret->who = str_of(who);
        ret->reason = str_of(json_string_value(json_object_get(body, "reason")));
        ret->ttl_ms = json_integer_value(ttl);
        return true;
}

void admin_post_disruption(struct node *n, struct http_request *rq, const char *name)
{
        static const char *const known[] = { "op", "node", "who", "reason", "ttl_ms" };
        json_t *body = admin_body(
                rq, known, ARRAY_LEN(known),
                "{\"op\": \"acquire\", \"node\": number, \"who\": text, \"reason\": text, \"ttl_ms\": number}");
        struct controller_disruption item = { .node_id = META_NO_NODE };
        struct controller_request ask = {
                .op = CONTROLLER_DISRUPTION, .items = &item, .items_count = 1, .timeout_ms = CHANGE_MS
        };
        struct quorum_view v;
        struct arena mem;

        (void)name;
        if (!body)
                return;
        if (disruption_read(rq, body, &item)) {
                if (item.op == CONTROLLER_DISRUPTION_ACQUIRE) {
                        quorum_view_take(n, &v);
                        item.quorum_would_be_lost = quorum_view_would_be_lost(&v, item.node_id);
                        quorum_view_fini(&v);
                }
                arena_init(&mem, 0);
                ask.mem = &mem;
                ask_controller(n, rq, &ask);
                admin_answer_result(rq, &ask, &item.result,
                                    json_pack("{s:s, s:I}", "result",
                                              item.op == CONTROLLER_DISRUPTION_RELEASE ? "released" : "acquired",
                                              "until_ms", (json_int_t)item.until_ms));
                arena_fini(&mem);
        }
        json_decref(body);
}

/* ---- health ---- */

enum health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_CRITICAL };

struct judgement {
        enum health health;
        json_t *reasons;
};

static void judge(struct judgement *j, enum health health, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void judge(struct judgement *j, enum health health, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        j->health = MAX2(j->health, health);
        json_array_append_new(j->reasons, json_vsprintf(fmt, ap));
        va_end(ap);
}

static void judge_kind(struct judgement *j, enum health health, const struct tally_kind *k, const char *is)
{
        if (k->count)
                judge(j, health, "%u partition%s %s: %s%s", k->count, k->count == 1 ? "" : "s", is, k->names,
                      k->count > TALLY_NAMED_MAX ? ", ..." : "");
}

static void judge_quorum(struct judgement *j, const struct quorum_view *v)
{
        if (!v->is_known) {
                judge(j, HEALTH_CRITICAL, "no active controller answers, so that nothing can be changed: %.*s",
                      STR_FMT(v->why));
                return;
        }
        if (!str_is_null(v->told.trouble))
                judge(j, HEALTH_DEGRADED, "controllers: %.*s", STR_FMT(v->told.trouble));
        for (int32_t i = 0; i < v->told.members_count; i++) {
                const struct controller_member *m = &v->told.members[i];

                if (m->kind == CONTROLLER_VOTER && quorum_member_is_silent(v, m))
                        judge(j, HEALTH_DEGRADED, "controller %d is not heard of", m->node_id);
                if (m->kind == CONTROLLER_LEARNER)
                        judge(j, HEALTH_DEGRADED, "controller %d is still being added", m->node_id);
        }
        if (v->voters > 1 && v->voters_heard == v->voters / 2 + 1)
                judge(j, HEALTH_DEGRADED, "no controller more may fail: %d of %d are heard of", v->voters_heard,
                      v->voters);
}

/* What they say of themselves. */
static void judge_nodes(struct judgement *j, int32_t asked, const json_t *nodes)
{
        json_t *node;
        size_t i;

        json_array_foreach (nodes, i, node) {
                int id = (int)json_integer_value(json_object_get(node, "id"));
                int failed = (int)json_integer_value(json_object_get(node, "partitions_read_only"));
                int damaged = (int)json_integer_value(json_object_get(node, "damaged_ranges"));
                const char *unanswered = json_string_value(json_object_get(node, "unanswered"));

                if (unanswered)
                        judge(j, HEALTH_DEGRADED, "node %d does not answer node %d: %s", id, asked, unanswered);
                if (failed)
                        judge(j, HEALTH_DEGRADED,
                              "%d partition%s of node %d read-only since a write failed: check its disk, then restart "
                              "it",
                              failed, failed == 1 ? "" : "s", id);
                if (damaged)
                        judge(j, HEALTH_DEGRADED,
                              "%d range%s of offsets damaged on the disk of node %d: 'topic get --detailed' of its "
                              "topics "
                              "shows them",
                              damaged, damaged == 1 ? "" : "s", id);
        }
}

static void judge_all(struct judgement *j, const struct meta_image *image, const struct tally *t,
                      const struct quorum_view *v, int32_t asked, const json_t *nodes)
{
        const struct meta_broker *b;

        judge_quorum(j, v);
        judge_kind(j, HEALTH_CRITICAL, &t->offline, "without a leader: neither written nor read");
        judge_kind(j, HEALTH_CRITICAL, &t->below_min_isr, "below min ISR: acks=all is refused");
        judge_kind(j, HEALTH_DEGRADED, &t->under_replicated, "with fewer replicas in sync than there should be");
        if (t->recovering)
                judge(j, HEALTH_DEGRADED, "%u partition%s still recovering from an unclean election", t->recovering,
                      t->recovering == 1 ? "" : "s");
        pmap_for_each (it, b, &image->brokers)
                if (b->fenced)
                        judge(j, HEALTH_DEGRADED, "node %d is fenced: it does not serve", b->id);
        judge_nodes(j, asked, nodes);
}

/* ---- the cluster ---- */

/* Sums over nodes of what they say of themselves. */
static void add_sum(json_t *out, const json_t *nodes, const char *key)
{
        json_int_t sum = 0;
        json_t *node;
        size_t i;

        json_array_foreach (nodes, i, node)
                sum += json_integer_value(json_object_get(node, key));
        json_object_set_new(out, key, json_integer(sum));
}

static json_t *json_cluster(struct node *n, const struct meta_image *image, const struct tally *t,
                            const struct quorum_view *v)
{
        static const char *const healths[] = { "ok", "degraded", "critical" };
        static const char *const sums[] = { "groups",         "group_members",   "partitions_read_only",
                                            "damaged_ranges", "disk_free_bytes", "disk_size_bytes" };
        struct judgement j = { .reasons = json_array() };
        json_t *nodes = admin_json_nodes(n, image, t, v), *out;

        judge_all(&j, image, t, v, n->led.node_id, nodes);
        out = json_pack("{s:o, s:s, s:s, s:o, s:i, s:i, s:I, s:i, s:I}", "cluster_id",
                        admin_json_str(image->cluster_id), "version", CHRONIK_VERSION, "health", healths[j.health],
                        "reasons", j.reasons, "controller", v->is_known ? v->told.leader_id : v->here.leader_id,
                        "controller_term", v->is_known ? v->told.term : v->here.term, "metadata_index",
                        (json_int_t)image->index, "topics", (int)image->topics_by_name.count, "partitions",
                        (json_int_t)image->partitions_count);
        json_object_set_new(out, "partitions_under_replicated", json_integer(t->under_replicated.count));
        json_object_set_new(out, "partitions_below_min_isr", json_integer(t->below_min_isr.count));
        json_object_set_new(out, "partitions_offline", json_integer(t->offline.count));
        json_object_set_new(out, "partitions_reassigning", json_integer(t->reassigning));
        json_object_set_new(out, "quorum", quorum_json(v));
        json_object_set_new(out, "disruption", json_disruption(image->disruption));
        json_object_set_new(out, "node", json_integer(n->led.node_id));
        for (size_t i = 0; i < ARRAY_LEN(sums); i++)
                add_sum(out, nodes, sums[i]);
        json_object_set_new(out, "nodes", nodes);
        return out;
}

void admin_get_cluster(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        struct quorum_view v;
        struct tally t;

        (void)name;
        quorum_view_take(n, &v);
        if (tally_take(image, n->conf, &t)) {
                admin_answer_json(rq, NULL);
        } else {
                admin_answer_json(rq, json_cluster(n, image, &t, &v));
                tally_fini(&t);
        }
        quorum_view_fini(&v);
        meta_image_unref(image);
}
