/* UpdateFeatures (key 57): levels that the cluster agrees on; all that are named are changed, or none. Sources: KIP-584,
 * KIP-778 (kinds of downgrades). */
#include "handler/ask.h"
#include "wire/messages.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

struct features_op {
        struct rq *rq;
        struct update_features_request req;
        struct update_features_response rsp;
        struct controller_update_feature *items; /* one to each update */
        struct ask ask;
};

static int16_t error_of(enum controller_outcome outcome)
{
        return outcome == CONTROLLER_E_FEATURE ? KERR_INVALID_UPDATE_VERSION : error_of_controller(outcome);
}

/* Versions 0 and 1 tell it for each feature too: what is wrong with one is why the others stay as they are. */
static void reply(struct features_op *op, int16_t error, struct str text)
{
        op->rsp.error_code = error;
        op->rsp.error_message = text;
        if (error)
                handler_count_error(op->rq, error);
        for (int32_t i = 0; i < op->rsp.results_count; i++) {
                update_features_response_result_init(&op->rsp.results[i]);
                op->rsp.results[i].feature = op->req.feature_updates[i].feature;
                op->rsp.results[i].error_code = error;
                op->rsp.results[i].error_message = text;
        }
        RQ_REPLY(op->rq, update_features_response, &op->rsp);
}

static void done(struct controller_request *crq)
{
        struct features_op *op = container_of(crq, struct features_op, ask.rq);
        const struct controller_result *result = &crq->result;
        struct str text = STR_NULL;
        int16_t error;

        for (int32_t i = 0; i < op->req.feature_updates_count && !result->outcome; i++)
                result = &op->items[i].result;
        error = error_of(result->outcome);
        if (error)
                text = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
        ask_fini(&op->ask);
        reply(op, error, text);
}

static bool change_of(const struct features_op *op, int32_t i, enum controller_feature_change *ret)
{
        static const enum controller_feature_change changes[] = {
                [UPGRADE] = CONTROLLER_FEATURE_UPGRADE,
                [SAFE_DOWNGRADE] = CONTROLLER_FEATURE_SAFE_DOWNGRADE,
                [UNSAFE_DOWNGRADE] = CONTROLLER_FEATURE_UNSAFE_DOWNGRADE,
        };
        int8_t type = op->req.feature_updates[i].upgrade_type;

        if (op->rq->version == 0)
                type = op->req.feature_updates[i].allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
        if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
                return false;
        *ret = changes[type];
        return true;
}

void handler_update_features(struct rq *rq)
{
        struct features_op *op = ARENA_NEW(&rq->arena, struct features_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, update_features_request, &op->req))
                return;
        count = op->req.feature_updates_count;
        update_features_response_init(&op->rsp);
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_update_feature, count);
        op->rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct update_features_response_result, count);
        if (!op->items || !op->rsp.results) {
                rq_close_nomem(rq);
                return;
        }
        op->rsp.results_count = rq->version <= 1 ? count : 0;
        if (ask_refused(rq, &op->ask, ACL_ALTER)) {
                done(&op->ask.rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                op->items[i].name = op->req.feature_updates[i].feature;
                op->items[i].level = op->req.feature_updates[i].max_version_level;
                if (change_of(op, i, &op->items[i].change))
                        continue;
                reply(op, KERR_INVALID_UPDATE_VERSION,
                      RQ_TEXT(rq,
                              "%.*s: upgrade type %d is none of %d (upgrade), %d (safe downgrade), %d (unsafe "
                              "downgrade).",
                              STR_FMT(op->items[i].name), op->req.feature_updates[i].upgrade_type, UPGRADE,
                              SAFE_DOWNGRADE, UNSAFE_DOWNGRADE));
                return;
        }
        ask_submit(rq, &op->ask, CONTROLLER_UPDATE_FEATURES, op->items, (uint32_t)count, op->req.validate_only, done);
}
