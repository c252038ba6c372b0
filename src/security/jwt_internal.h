/* Inside of jwt.c and jwks.c: keys, and what signatures they make. */
#pragma once

#include <stdatomic.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "security/jwt.h"

enum jwt_kind { JWT_RSA, JWT_P256, JWT_P384, JWT_ED25519 };

struct jwt_key {
        enum jwt_kind kind;
        EVP_PKEY *pkey;
        char *id;        /* NULL: it has none */
        char *algorithm; /* NULL: any that its kind can */
};

struct jwks {
        atomic_uint refs;
        size_t count;
        struct jwt_key keys[JWKS_KEYS_MAX];
};

static inline void jwt_json_freep(json_t **j)
{
        json_decref(*j);
}

/* The text of a member; null: there is none, or it is no text. */
static inline struct str jwt_text(const json_t *object, const char *name)
{
        const json_t *v = json_object_get(object, name);

        return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) } : STR_NULL;
}
