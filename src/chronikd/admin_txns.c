/* /v1/transactions of the admin listener: list, describe, abort. A transactional id is known to its coordinator, which may be another
 * node: the node that is asked looks there. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"

static const struct str state_topic = { "__transaction_state", 19 };

/* ---- of this node ---- */

static json_t *list_here(struct node *n)
{
        struct coord_txn_list ask = { .running_ms = -1 };
        json_t *list = json_array(), *out;

        coord_request_init(&ask.rq, COORD_TXN_LIST, STR_NULL);
        ask_txns(n, &ask.rq);
        for (int32_t i = 0; i < ask.ret_txns_count; i++) {
                const struct coord_listed_txn *t = &ask.ret_txns[i];

                json_array_append_new(list, json_pack("{s:o, s:s, s:I}", "id", admin_json_str(t->id), "state",
                                                      coord_txn_state_name(t->state), "producer_id",
                                                      (json_int_t)t->producer_id));
        }
        out = json_pack("{s:o, s:b}", "transactions", list, "complete", ask.rq.outcome == COORD_OK);
        coord_request_fini(&ask.rq);
        return out;
}

void admin_here_txns(struct node *n, struct http_request *rq, const char *arg)
{
        (void)arg;
        admin_answer_json(rq, list_here(n));
}

static void answer_unknown(struct http_request *rq, const char *id)
{
        admin_answer_error(rq, 404, "There is no transactional id '%s'. `chronik-ctl txn list` shows what there is.",
                           id);
}

/* The time of its beginning is remembered for longer. */
static bool is_open(enum coord_txn_state s)
{
        return s == COORD_TXN_ONGOING || s == COORD_TXN_PREPARE_COMMIT || s == COORD_TXN_PREPARE_ABORT;
}

static json_t *json_one(const struct coord_txn_describe *d, const char *id)
{
        json_t *partitions = json_array(), *out;

        for (int32_t i = 0; i < d->ret_items_count; i++)
                json_array_append_new(partitions,
                                      json_pack("{s:o, s:i}", "topic", admin_json_str(d->ret_items[i].topic),
                                                "partition", d->ret_items[i].partition));
        out = json_pack("{s:s, s:s, s:I, s:i, s:i, s:o}", "id", id, "state", coord_txn_state_name(d->ret_state),
                        "producer_id", (json_int_t)d->ret_producer_id, "producer_epoch", d->ret_producer_epoch,
                        "timeout_ms", d->ret_timeout_ms, "partitions", partitions);
        if (d->ret_start_ms >= 0 && is_open(d->ret_state))
                json_object_set_new(out, "started_ms", json_integer(d->ret_start_ms));
        return out;
}

void admin_here_txn(struct node *n, struct http_request *rq, const char *id)
{
        struct coord_txn_describe ask = { 0 };

        coord_request_init(&ask.rq, COORD_TXN_DESCRIBE, str_of(id));
        ask_txns(n, &ask.rq);
        if (ask.rq.outcome == COORD_OK)
                admin_answer_json(rq, json_one(&ask, id));
        else if (ask.rq.outcome == COORD_E_TXN_NOT_FOUND || ask.rq.outcome == COORD_E_NOT_COORDINATOR)
                answer_unknown(rq, id);
        else
                admin_answer_error(rq, 503, "The coordinator of '%s' is not ready yet; try again.", id);
        coord_request_fini(&ask.rq);
}

/* ---- of all ---- */

void admin_get_txns(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        struct look_ask *asks = NULL;
        size_t count = look_ask_others(n, image, "/v1/here/transactions", &asks);
        json_t *out = n->store ? list_here(n) : json_pack("{s:[], s:b}", "transactions", "complete", true);
        json_t *list = json_object_get(out, "transactions");
        bool complete = json_is_true(json_object_get(out, "complete"));

        (void)arg;
        for (size_t i = 0; i < count; i++) {
                complete &= json_is_true(json_object_get(asks[i].body, "complete"));
                json_array_extend(list, json_object_get(asks[i].body, "transactions"));
        }
        json_object_set_new(out, "complete", json_boolean(complete));
        look_asks_free(asks, count);
        meta_image_unref(image);
        admin_answer_json(rq, out);
}

/* False: nobody ever had a transaction. */
static bool find_coordinator(struct node *n, const char *id, int32_t *ret_partition, int32_t *ret_node)
{
        struct meta_image *image = controller_image(n->controller);
        bool found = admin_find_coordinator(image, state_topic, id, ret_partition, ret_node);

        meta_image_unref(image);
        return found;
}

static void look_at(struct node *n, struct http_request *rq, int32_t coordinator, const char *id)
{
        json_t *txn = admin_ask_coordinator(n, rq, coordinator, "transactions", id);

        if (txn)
                admin_answer_json(rq, txn);
}

void admin_get_txn(struct node *n, struct http_request *rq, const char *id)
{
        int32_t partition, coordinator;

        if (!find_coordinator(n, id, &partition, &coordinator))
                answer_unknown(rq, id);
        else if (coordinator == META_NO_NODE)
                admin_answer_error(rq, 503, "The coordinator of '%s' has no node to be on just now; try again.", id);
        else if (coordinator == n->led.node_id)
                admin_here_txn(n, rq, id);
        else
                look_at(n, rq, coordinator, id);
}

/* ---- abort ---- */

static void answer_abort(struct http_request *rq, int outcome, const char *id)
{
        if (outcome == COORD_OK)
                admin_answer_json(rq, json_pack("{s:s}", "aborted", id));
        else if (outcome == COORD_E_TXN_NOT_FOUND)
                answer_unknown(rq, id);
        else if (outcome == COORD_E_INVALID_TXN_STATE)
                admin_answer_error(rq, 409, "'%s' has no transaction open.", id);
        else if (outcome == COORD_E_CONCURRENT_TXN)
                admin_answer_error(rq, 409,
                                   "The transaction of '%s' is ending already; `chronik-ctl txn describe` shows how.",
                                   id);
        else
                admin_answer_error(rq, 503, "The coordinator of '%s' cannot be reached just now; try again.", id);
}

void admin_post_txns(struct node *n, struct http_request *rq, const char *arg)
{
        static const char *const known[] = { "op", "id" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), "{\"op\": \"abort\", \"id\": text}");
        const char *op = json_string_value(json_object_get(body, "op"));
        const char *id = json_string_value(json_object_get(body, "id"));
        struct txn_abort ask = { 0 };
        int32_t coordinator;

        (void)arg;
        if (!body)
                return;
        if (!op || strcmp(op, "abort") != 0 || !id || !*id) {
                admin_answer_error(rq, 400,
                                   "The body must be {\"op\": \"abort\", \"id\": text}. Something is missing.");
        } else if (!find_coordinator(n, id, &ask.partition, &coordinator)) {
                answer_unknown(rq, id);
        } else {
                coord_request_init(&ask.rq, COORD_TXN_ABORT, str_of(id));
                ask_txn_abort(n, rq, &ask);
                answer_abort(rq, ask.rq.outcome, id);
                coord_request_fini(&ask.rq);
        }
        json_decref(body);
}
