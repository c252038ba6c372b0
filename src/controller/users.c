/* Credentials of users (KIP-554). What they may be is what Kafka says: names, mechanisms, iterations. That two passwords of a user count for a
 * while is ours (scram.h). */
#include "base/utf8.h"
#include "conf/limits.h"
#include "controller/decide.h"
#include "security/principal.h"
#include "security/scram.h"

enum { SWEEP_MAX = 1000 };

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
        r.scram_credential.set_ms = d->wall_ms;
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

/* ---- rotation ---- */

static const struct meta_credential *credential_at(const struct decision *d, struct str user, int mechanism)
{
        return meta_image_credential(decision_image(d), user, (int8_t)mechanism);
}

static void refuse_rotation(struct decision *d, struct controller_rotate_user *u, const char *why)
{
        decision_refuse(d, &u->result, CONTROLLER_E_ROTATION, "The password of %.*s is not rotated: %s.",
                        STR_FMT(u->user), why);
}

/* NULL: @c may take the place of @now for as long as both count. */
static const char *rotated_is_wrong(const struct decision *d, const struct controller_rotated *c,
                                    const struct meta_credential *now)
{
        if (!now)
                return "it has no credential for a mechanism that is named";
        if (now->iterations < SCRAM_ITERATIONS_MIN)
                return "the one that it has was made with fewer iterations than are allowed today, and the new one "
                       "would "
                       "have as few while both count. Set a new one without an overlap";
        if (meta_credential_has_earlier(now, d->wall_ms))
                return "a rotation is going on, and a third password would count. Finish that one first";
        if (c->iterations != now->iterations || !span_equal(c->salt, now->salt))
                return "while two passwords count they have one salt and one number of iterations, and these are not "
                       "those "
                       "of the one that it has, which may just have been changed";
        if (c->stored_key.len != now->stored_key.len || c->server_key.len != now->server_key.len)
                return "the keys have the wrong length";
        if (span_equal(c->stored_key, now->stored_key))
                return "this is the password that it has";
        return NULL;
}

/* Each mechanism that the user has, once: else the password from before would go on counting for another one. */
static bool rotation_is_whole(struct decision *d, struct controller_rotate_user *u)
{
        unsigned named = 0, has = 0;

        for (int m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++)
                has |= (credential_at(d, u->user, m) != NULL) << m;
        for (int32_t i = 0; i < u->credentials_count; i++) {
                const struct controller_rotated *c = &u->credentials[i];
                const char *wrong = rotated_is_wrong(d, c, credential_at(d, u->user, c->mechanism));

                if (!wrong && named & 1u << c->mechanism)
                        wrong = "a mechanism is named twice";
                if (wrong) {
                        refuse_rotation(d, u, wrong);
                        return false;
                }
                named |= 1u << c->mechanism;
        }
        if (named != has)
                refuse_rotation(d, u, "it has a credential for a mechanism that is not named");
        return !u->result.outcome;
}

static void rotate(struct decision *d, struct controller_rotate_user *u)
{
        if (u->overlap_ms <= 0 || u->overlap_ms > CONTROLLER_OVERLAP_MS_MAX) {
                refuse_rotation(d, u, "an overlap has more than no time, and 31 days at most");
                return;
        }
        if (!rotation_is_whole(d, u))
                return;
        u->until_ms = d->wall_ms + u->overlap_ms;
        for (int32_t i = 0; i < u->credentials_count; i++) {
                const struct controller_rotated *c = &u->credentials[i];
                const struct meta_credential *now = credential_at(d, u->user, c->mechanism);
                struct meta_record r;

                meta_record_init(&r, META_SCRAM_CREDENTIAL);
                meta_credential_to_record(now, &r.scram_credential);
                r.scram_credential.earlier_stored_key = now->stored_key;
                r.scram_credential.earlier_server_key = now->server_key;
                r.scram_credential.earlier_until_ms = u->until_ms;
                r.scram_credential.stored_key = c->stored_key;
                r.scram_credential.server_key = c->server_key;
                r.scram_credential.set_ms = d->wall_ms;
                decision_emit(d, &r);
        }
}

/* From now on the password from before is not known any more. */
static void forget_earlier(struct decision *d, const struct meta_credential *c)
{
        struct meta_record r;

        meta_record_init(&r, META_SCRAM_CREDENTIAL);
        meta_credential_to_record(c, &r.scram_credential);
        r.scram_credential.earlier_stored_key = r.scram_credential.earlier_server_key = SPAN_NULL;
        r.scram_credential.earlier_until_ms = 0;
        decision_emit(d, &r);
}

static void finish(struct decision *d, struct controller_rotate_user *u)
{
        int done = 0;

        for (int m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++) {
                const struct meta_credential *c = credential_at(d, u->user, m);

                if (!c || !c->earlier_stored_key.len)
                        continue;
                forget_earlier(d, c);
                done++;
        }
        u->until_ms = d->wall_ms;
        if (!done)
                decision_refuse(d, &u->result, CONTROLLER_E_ROTATION,
                                "No rotation of %.*s's password is going on: only one password counts.",
                                STR_FMT(u->user));
}

void decide_rotate_user(struct decision *d, struct controller_rotate_user *u)
{
        bool is_there = false;

        u->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        for (int m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++)
                is_there |= credential_at(d, u->user, m) != NULL;
        if (!is_there)
                decision_refuse(d, &u->result, CONTROLLER_E_CREDENTIAL_UNKNOWN, "There is no user '%.*s'.",
                                STR_FMT(u->user));
        else if (u->finish)
                finish(d, u);
        else if (decision_has_level(d, &u->result, CONTROLLER_LEVEL_SECURITY, "Credentials of users"))
                rotate(d, u);
}

/* Nodes let nobody in by a password whose overlap is over; here it leaves the metadata. */
int decision_sweep_users(struct decision *d, bool *ret_more)
{
        struct pmap credentials = pmap_copy(&decision_image(d)->credentials);
        const struct meta_credential *c;
        int done = 0;

        d->may_split = true;
        pmap_for_each (it, c, &credentials)
                if (c->earlier_stored_key.len && !meta_credential_has_earlier(c, d->wall_ms) && done++ < SWEEP_MAX)
                        forget_earlier(d, c);
        pmap_fini(&credentials);
        *ret_more = done > SWEEP_MAX;
        return d->failed;
}
