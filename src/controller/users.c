/* Credentials of users (KIP-554). What they may be is what Kafka says: names, mechanisms, iterations. */
#include "base/utf8.h"
#include "conf/limits.h"
#include "controller/decide.h"
#include "security/principal.h"
#include "security/scram.h"

static bool is_possible(struct decision *d, struct controller_alter_credential *a)
{
        if (!a->user.len)
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "Username must not be empty");
        else if (a->mechanism <= SCRAM_UNKNOWN || a->mechanism >= SCRAM_MECHANISM_END)
                decision_refuse(d, &a->result, CONTROLLER_E_MECHANISM, "Unknown SCRAM mechanism");
        else if (a->user.len > PRINCIPAL_NAME_LEN_MAX || !utf8_is_valid(a->user))
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "A user's name has 1 to %d bytes of UTF-8.",
                                PRINCIPAL_NAME_LEN_MAX);
        return !a->result.outcome;
}

static bool is_acceptable(struct decision *d, struct controller_alter_credential *a)
{
        size_t key_len = scram_key_len((enum scram_mechanism)a->mechanism);

        if (a->iterations < SCRAM_ITERATIONS_MIN)
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "Too few iterations");
        else if (a->iterations > SCRAM_ITERATIONS_MAX)
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "Too many iterations");
        else if (!a->salt.len || a->salt.len > SCRAM_SALT_LEN_MAX)
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "A salt has 1 to %d bytes.",
                                SCRAM_SALT_LEN_MAX);
        else if (a->stored_key.len != key_len || a->server_key.len != key_len)
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL, "A salted password for %s has %zu bytes.",
                                scram_name((enum scram_mechanism)a->mechanism), key_len);
        return !a->result.outcome;
}

static void remove_credential(struct decision *d, struct controller_alter_credential *a)
{
        struct meta_record r;

        if (!meta_image_credential(decision_image(d), a->user, a->mechanism)) {
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL_UNKNOWN,
                                "Attempt to delete a user credential that does not exist");
                return;
        }
        meta_record_init(&r, META_SCRAM_CREDENTIAL_REMOVE);
        r.scram_credential_remove.name = a->user;
        r.scram_credential_remove.mechanism = a->mechanism;
        decision_emit(d, &r);
}

static void put_credential(struct decision *d, struct controller_alter_credential *a)
{
        struct meta_record r;

        if (!decision_image(d)->decoy_seed.data && a->decoy_seed.len) {
                meta_record_init(&r, META_DECOY_SEED);
                r.decoy_seed.seed =
                        span_of(a->decoy_seed.data, MIN2(a->decoy_seed.len, (size_t)META_DECOY_SEED_LEN_MAX));
                decision_emit(d, &r);
        }
        meta_record_init(&r, META_SCRAM_CREDENTIAL);
        r.scram_credential.name = a->user;
        r.scram_credential.mechanism = a->mechanism;
        r.scram_credential.iterations = a->iterations;
        r.scram_credential.salt = a->salt;
        r.scram_credential.stored_key = a->stored_key;
        r.scram_credential.server_key = a->server_key;
        decision_emit(d, &r);
}

void decide_alter_credential(struct decision *d, struct controller_alter_credential *a)
{
        const struct meta_image *image = decision_image(d);

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!is_possible(d, a))
                return;
        if (a->remove) {
                remove_credential(d, a);
                return;
        }
        if (!is_acceptable(d, a) ||
            !decision_has_level(d, &a->result, CONTROLLER_LEVEL_SECURITY, "Credentials of users"))
                return;
        if (image->credentials.count >= LIMIT_SCRAM_CREDENTIALS &&
            !meta_image_credential(image, a->user, a->mechanism)) {
                decision_refuse(d, &a->result, CONTROLLER_E_CREDENTIAL,
                                "There are %d credentials already; every node keeps all of them in memory.",
                                LIMIT_SCRAM_CREDENTIALS);
                return;
        }
        put_credential(d, a);
}
