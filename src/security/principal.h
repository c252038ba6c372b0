/* Who speaks on a connection, as Kafka names it: a type and a name, "User:alice". Immutable and counted: a connection holds one, its requests
 * borrow it. Any thread. Source: KIP-11 (principals), KIP-48 (delegation tokens). */
#pragma once

#include <stdatomic.h>

#include "base/macros.h"
#include "base/span.h"

enum { PRINCIPAL_TYPE_LEN_MAX = 64, PRINCIPAL_NAME_LEN_MAX = 1024 };

struct principal {
        _Atomic(uint32_t) refs;
        bool by_token;   /* it authenticated with a delegation token, and may not make another one */
        struct str type; /* "User"; not empty */
        struct str name; /* "ANONYMOUS" where nobody had to say who they are */
        char text[];     /* what both point into */
};

/* A new one with one reference; texts are copied. Return: 0; -EINVAL: a text is empty or too long; -ENOMEM. */
int principal_new(struct str type, struct str name, struct principal **ret_principal);
/* From "TYPE:NAME"; the name may hold colons. Return: as principal_new(). */
int principal_parse(struct str text, struct principal **ret_principal);
/* User:ANONYMOUS, static: counted like others, never freed. */
struct principal *principal_anonymous(void);

struct principal *principal_ref(struct principal *p);
/* NULL is fine. Returns NULL. */
struct principal *principal_unref(struct principal *p);
DEFINE_FREEP(struct principal, principal_unref)

/* Same type and same name. */
bool principal_equals(const struct principal *a, const struct principal *b);
