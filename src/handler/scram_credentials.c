/* DescribeUserScramCredentials (key 50), AlterUserScramCredentials (key 51). Source: KIP-554. */
#include "handler/ask.h"
#include "handler/twice.h"
#include "security/scram.h"
#include "wire/messages.h"

/* ---- describe ---- */

/* Of one user, from @first on: the credentials follow each other in the image. */
static bool fill_result(struct rq *rq, struct str user, struct describe_user_scram_credentials_response_result *ret)
{
        describe_user_scram_credentials_response_result_init(ret);
        ret->user = user;
        ret->error_message = STR_NULL;
        ret->credential_infos = ARENA_NEW_ARRAY(&rq->arena, struct describe_user_scram_credentials_response_credential,
                                                SCRAM_MECHANISM_END);
        if (!ret->credential_infos)
                return false;
        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++) {
                const struct meta_credential *c = meta_image_credential(rq->image, user, (int8_t)m);

                if (c)
                        ret->credential_infos[ret->credential_infos_count++] =
                                (struct describe_user_scram_credentials_response_credential){ .mechanism = (int8_t)m,
                                                                                              .iterations =
                                                                                                      c->iterations };
        }
        return true;
}

static bool describe_all(struct rq *rq, struct describe_user_scram_credentials_response *rsp)
{
        const struct meta_credential *c;
        struct str before = STR_NULL;

        rsp->results = ARENA_NEW_ARRAY(&rq->arena, struct describe_user_scram_credentials_response_result,
                                       rq->image->credentials.count);
        if (!rsp->results)
                return false;
        pmap_for_each (it, c, &rq->image->credentials) {
                if (str_equal(c->key.user, before))
                        continue;
                before = c->key.user;
                if (!fill_result(rq, before, &rsp->results[rsp->results_count++]))
                        return false;
        }
        return true;
}

static bool describe_named(struct rq *rq, const struct describe_user_scram_credentials_request *req,
                           struct describe_user_scram_credentials_response *rsp)
{
        uint8_t *twice = twice_names(&rq->arena, req->users, sizeof *req->users,
                                     offsetof(struct describe_user_scram_credentials_request_user, name),
                                     (size_t)req->users_count);

        rsp->results =
                ARENA_NEW_ARRAY(&rq->arena, struct describe_user_scram_credentials_response_result, req->users_count);
        if (!twice || !rsp->results)
                return false;
        for (int32_t i = 0; i < req->users_count; i++) {
                struct describe_user_scram_credentials_response_result *out;
                struct str name = req->users[i].name;

                if (twice[i] == TWICE_AGAIN)
                        continue;
                out = &rsp->results[rsp->results_count++];
                if (!fill_result(rq, name, out))
                        return false;
                if (twice[i]) {
                        out->error_code = KERR_DUPLICATE_RESOURCE;
                        out->error_message = RQ_TEXT(rq,
                                                     "Cannot describe SCRAM credentials for the same user twice in a "
                                                     "single request: %.*s",
                                                     STR_FMT(name));
                        out->credential_infos_count = 0;
                } else if (!out->credential_infos_count) {
                        out->error_code = KERR_RESOURCE_NOT_FOUND;
                        out->error_message = RQ_TEXT(
                                rq, "Attempt to describe a user credential that does not exist: %.*s", STR_FMT(name));
                }
                if (out->error_code)
                        handler_count_error(rq, out->error_code);
        }
        return true;
}

void handler_describe_user_scram_credentials(struct rq *rq)
{
        struct describe_user_scram_credentials_request req;
        struct describe_user_scram_credentials_response rsp;

        if (!RQ_DECODE(rq, describe_user_scram_credentials_request, &req))
                return;
        describe_user_scram_credentials_response_init(&rsp);
        rsp.error_message = STR_NULL;
        if (!authorize_cluster(rq, ACL_DESCRIBE)) {
                rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
                rsp.error_message = wire_error_message(rsp.error_code);
                RQ_REPLY(rq, describe_user_scram_credentials_response, &rsp);
                return;
        }
        if (req.users_count > 0 ? describe_named(rq, &req, &rsp) : describe_all(rq, &rsp))
                RQ_REPLY(rq, describe_user_scram_credentials_response, &rsp);
        else
                rq_close_nomem(rq);
}

/* ---- alter ---- */

struct alter_op {
        struct rq *rq;
        struct alter_user_scram_credentials_request req;
        struct alter_user_scram_credentials_response rsp;
        struct controller_alter_credential *items; /* one to each result */
        int32_t *rows;                             /* of each item that is asked for */
        struct scram_keys *keys;
        uint8_t seed[META_DECOY_SEED_LEN_MAX];
        uint32_t items_count;
        struct ask ask;
};

static void fail(struct alter_op *op, int32_t row, int16_t error, struct str text)
{
        op->rsp.results[row].error_code = error;
        op->rsp.results[row].error_message = text;
        handler_count_error(op->rq, error);
}

static int16_t error_of(enum controller_outcome outcome)
{
        switch (outcome) {
        case CONTROLLER_E_CREDENTIAL:
                return KERR_UNACCEPTABLE_CREDENTIAL;
        case CONTROLLER_E_CREDENTIAL_UNKNOWN:
                return KERR_RESOURCE_NOT_FOUND;
        case CONTROLLER_E_MECHANISM:
                return KERR_UNSUPPORTED_SASL_MECHANISM;
        default:
                return error_of_controller(outcome);
        }
}

static void alter_done(struct controller_request *crq)
{
        struct alter_op *op = container_of(crq, struct alter_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                if (result->outcome)
                        fail(op, op->rows[i], error_of(result->outcome),
                             RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)));
        }
        ask_fini(&op->ask);
        explicit_bzero(op->keys, (size_t)op->req.upsertions_count * sizeof *op->keys);
        RQ_REPLY(op->rq, alter_user_scram_credentials_response, &op->rsp);
}

/* What is kept of a salted password. One of another length is refused by the controller, with the rest of what may be wrong. */
static int keys_of(const struct alter_user_scram_credentials_request_upsertion *u, struct scram_keys *keys,
                   struct controller_alter_credential *ret)
{
        size_t len;
        int r;

        ret->iterations = u->iterations;
        ret->salt = u->salt;
        if (u->mechanism <= SCRAM_UNKNOWN || u->mechanism >= SCRAM_MECHANISM_END)
                return 0;
        len = scram_key_len((enum scram_mechanism)u->mechanism);
        if (u->salted_password.len != len)
                return 0;
        r = scram_derive((enum scram_mechanism)u->mechanism, u->salted_password.data, keys);
        ret->stored_key = span_of(keys->stored, len);
        ret->server_key = span_of(keys->server, len);
        return r;
}

/* All alterations as items: deletions, then upsertions. False: out of memory. */
static bool read_items(struct alter_op *op)
{
        int32_t deletions = op->req.deletions_count;

        for (int32_t i = 0; i < deletions; i++)
                op->items[i] = (struct controller_alter_credential){ .user = op->req.deletions[i].name,
                                                                     .mechanism = op->req.deletions[i].mechanism,
                                                                     .remove = true };
        for (int32_t i = 0; i < op->req.upsertions_count; i++) {
                const struct alter_user_scram_credentials_request_upsertion *u = &op->req.upsertions[i];
                struct controller_alter_credential *item = &op->items[deletions + i];

                *item = (struct controller_alter_credential){ .user = u->name,
                                                              .mechanism = u->mechanism,
                                                              .decoy_seed = span_of(op->seed, sizeof op->seed) };
                if (keys_of(u, &op->keys[i], item))
                        return false;
                /* In the frame: as good as the password. */
                explicit_bzero((void *)(uintptr_t)u->salted_password.data, u->salted_password.len);
        }
        return true;
}

/* A result for each user, and an item for each who is named once. False: out of memory. */
static bool pick(struct alter_op *op, uint32_t count)
{
        uint8_t *twice = twice_names(&op->rq->arena, op->items, sizeof *op->items,
                                     offsetof(struct controller_alter_credential, user), count);

        if (!twice)
                return false;
        for (uint32_t i = 0; i < count; i++) {
                int32_t row = op->rsp.results_count;

                if (twice[i] == TWICE_AGAIN)
                        continue;
                op->rsp.results_count++;
                alter_user_scram_credentials_response_result_init(&op->rsp.results[row]);
                op->rsp.results[row].user = op->items[i].user;
                op->rsp.results[row].error_message = STR_NULL;
                if (twice[i]) {
                        fail(op, row, KERR_DUPLICATE_RESOURCE,
                             STR_LIT("A user credential cannot be altered twice in the same request"));
                        continue;
                }
                op->rows[op->items_count] = row;
                op->items[op->items_count++] = op->items[i];
        }
        return true;
}

void handler_alter_user_scram_credentials(struct rq *rq)
{
        struct alter_op *op = ARENA_NEW(&rq->arena, struct alter_op);
        uint32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, alter_user_scram_credentials_request, &op->req))
                return;
        alter_user_scram_credentials_response_init(&op->rsp);
        random_bytes(op->seed, sizeof op->seed);
        count = (uint32_t)op->req.deletions_count + (uint32_t)op->req.upsertions_count;
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_alter_credential, count);
        op->rows = ARENA_NEW_ARRAY(&rq->arena, int32_t, count);
        op->keys = ARENA_NEW_ARRAY(&rq->arena, struct scram_keys, op->req.upsertions_count);
        op->rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct alter_user_scram_credentials_response_result, count);
        if (!op->items || !op->rows || !op->keys || !op->rsp.results || !read_items(op) || !pick(op, count))
                rq_close_nomem(rq);
        else if (ask_refused(rq, &op->ask, ACL_ALTER))
                alter_done(&op->ask.rq);
        else if (op->items_count)
                ask_submit(rq, &op->ask, CONTROLLER_ALTER_CREDENTIALS, op->items, op->items_count, false, alter_done);
        else
                RQ_REPLY(rq, alter_user_scram_credentials_response, &op->rsp);
}
