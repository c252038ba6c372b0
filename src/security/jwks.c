/* See jwt.h: sets of keys. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "base/base64.h"
#include "security/jwt_internal.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, NUMBER_LEN_MAX = RSA_BITS_MAX / 8 + 8 };

struct number {
        uint8_t bytes[NUMBER_LEN_MAX];
        size_t len;
};

/* Return: 0; -EINVAL; -ENOMEM. */
static int read_number(const json_t *key, const char *name, struct number *ret)
{
        struct str text = jwt_text(key, name);

        if (!text.len || text.len / 4 * 3 + 3 > sizeof ret->bytes)
                return -EINVAL;
        return base64url_read(text, ret->bytes, &ret->len);
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *bld)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
        EVP_PKEY *pkey = NULL;

        if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1)
                (void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params); /* NULL says that it failed */
        OSSL_PARAM_free(params);
        EVP_PKEY_CTX_free(ctx);
        return pkey;
}

static EVP_PKEY *make_rsa(const struct number *n, const struct number *e)
{
        OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
        BIGNUM *bn_n = BN_bin2bn(n->bytes, (int)n->len, NULL), *bn_e = BN_bin2bn(e->bytes, (int)e->len, NULL);
        EVP_PKEY *pkey = NULL;

        if (bld && bn_n && bn_e && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
            OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e))
                pkey = build("RSA", bld);
        OSSL_PARAM_BLD_free(bld);
        BN_free(bn_n);
        BN_free(bn_e);
        return pkey;
}

/* An exponent of many bits would make a check slow: those that are in use have 17. */
static int read_rsa(const json_t *json, struct jwt_key *k)
{
        struct number n, e;
        int r = read_number(json, "n", &n);

        if (!r)
                r = read_number(json, "e", &e);
        if (r)
                return r;
        if (e.len > 4)
                return -EINVAL;
        k->kind = JWT_RSA;
        k->pkey = make_rsa(&n, &e);
        if (!k->pkey)
                return -EINVAL;
        return EVP_PKEY_get_bits(k->pkey) >= RSA_BITS_MIN && EVP_PKEY_get_bits(k->pkey) <= RSA_BITS_MAX ? 0 : -EINVAL;
}

static int read_ec(const json_t *json, struct jwt_key *k)
{
        bool is_256 = str_equal_c(jwt_text(json, "crv"), "P-256");
        size_t len = is_256 ? 32 : 48;
        OSSL_PARAM_BLD *bld;
        uint8_t point[1 + 2 * 48] = { 4 };
        struct number x, y;
        int r = read_number(json, "x", &x);

        if (!r)
                r = read_number(json, "y", &y);
        if (r)
                return r;
        if (x.len != len || y.len != len || (!is_256 && !str_equal_c(jwt_text(json, "crv"), "P-384")))
                return -EINVAL;
        memcpy(point + 1, x.bytes, len);
        memcpy(point + 1 + len, y.bytes, len);
        k->kind = is_256 ? JWT_P256 : JWT_P384;
        bld = OSSL_PARAM_BLD_new();
        if (bld && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, is_256 ? "P-256" : "P-384", 0) &&
            OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * len))
                k->pkey = build("EC", bld);
        OSSL_PARAM_BLD_free(bld);
        return k->pkey ? 0 : -EINVAL;
}

static int read_okp(const json_t *json, struct jwt_key *k)
{
        struct number x;
        int r = read_number(json, "x", &x);

        if (r)
                return r;
        if (!str_equal_c(jwt_text(json, "crv"), "Ed25519") || x.len != 32)
                return -EINVAL;
        k->kind = JWT_ED25519;
        k->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.bytes, x.len);
        return k->pkey ? 0 : -EINVAL;
}

static int copy_text(const json_t *json, const char *name, char **ret)
{
        struct str text = jwt_text(json, name);

        *ret = NULL;
        if (str_is_null(text))
                return 0;
        *ret = strdup(text.p);
        return *ret ? 0 : -ENOMEM;
}

static void key_fini(struct jwt_key *k)
{
        EVP_PKEY_free(k->pkey);
        free(k->id);
        free(k->algorithm);
        *k = (struct jwt_key){ 0 };
}

/* Return: 0; -EINVAL: none to check signatures with; -ENOMEM. */
static int read_key(const json_t *json, struct jwt_key *k)
{
        struct str kind = jwt_text(json, "kty"), use = jwt_text(json, "use");
        int r = -EINVAL;

        *k = (struct jwt_key){ 0 };
        if (!str_is_null(use) && !str_equal_c(use, "sig"))
                return -EINVAL;
        if (str_equal_c(kind, "RSA"))
                r = read_rsa(json, k);
        else if (str_equal_c(kind, "EC"))
                r = read_ec(json, k);
        else if (str_equal_c(kind, "OKP"))
                r = read_okp(json, k);
        if (!r)
                r = copy_text(json, "kid", &k->id);
        if (!r)
                r = copy_text(json, "alg", &k->algorithm);
        if (r)
                key_fini(k);
        return r;
}

int jwks_read(struct span text, struct jwks **ret_keys, char why[JWKS_WHY_SIZE])
{
        CLEANUP(jwks_unrefp) struct jwks *k = calloc(1, sizeof *k);
        CLEANUP(jwt_json_freep) json_t *json = NULL;
        json_error_t error;
        const json_t *list;

        if (!k)
                return -ENOMEM;
        atomic_init(&k->refs, 1);
        json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
        if (!json) {
                snprintf(why, JWKS_WHY_SIZE, "it is no JSON (line %d)", error.line);
                return -EINVAL;
        }
        list = json_object_get(json, "keys");
        if (!json_is_array(list)) {
                snprintf(why, JWKS_WHY_SIZE, "there is no array \"keys\" in it");
                return -EINVAL;
        }
        for (size_t i = 0; i < json_array_size(list) && k->count < JWKS_KEYS_MAX; i++) {
                int r = read_key(json_array_get(list, i), &k->keys[k->count]);

                if (r == -ENOMEM)
                        return r;
                k->count += !r;
        }
        if (!k->count) {
                snprintf(why, JWKS_WHY_SIZE,
                         "no key in it can be used; give RSA of 2048 to 8192 bits, EC P-256 or P-384, or Ed25519");
                return -EINVAL;
        }
        *ret_keys = TAKE_PTR(k);
        return 0;
}

struct jwks *jwks_ref(struct jwks *k)
{
        atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
        return k;
}

struct jwks *jwks_unref(struct jwks *k)
{
        if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        for (size_t i = 0; i < k->count; i++)
                key_fini(&k->keys[i]);
        free(k);
        return NULL;
}

/* ---- slots ---- */

struct jwks_slot {
        pthread_mutex_t lock; /* guards the pointer; innermost */
        struct jwks *now;
};

struct jwks_slot *jwks_slot_new(struct jwks *k)
{
        struct jwks_slot *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        pthread_mutex_init(&s->lock, NULL);
        s->now = k;
        return s;
}

struct jwks_slot *jwks_slot_free(struct jwks_slot *s)
{
        if (!s)
                return NULL;
        pthread_mutex_destroy(&s->lock);
        jwks_unref(s->now);
        free(s);
        return NULL;
}

void jwks_slot_set(struct jwks_slot *s, struct jwks *k)
{
        struct jwks *before;

        pthread_mutex_lock(&s->lock);
        before = s->now;
        s->now = k;
        pthread_mutex_unlock(&s->lock);
        jwks_unref(before);
}

struct jwks *jwks_slot_get(struct jwks_slot *s)
{
        struct jwks *k;

        pthread_mutex_lock(&s->lock);
        k = jwks_ref(s->now);
        pthread_mutex_unlock(&s->lock);
        return k;
}
