/* Operators at the admin listener: what role somebody has who shows a token. A token is chance of 256 bits, so its plain SHA-256 can be
 * kept and looked up; nobody guesses it, slowly or fast. Pure. */
#pragma once

#include <stdint.h>

#include "base/macros.h"
#include "base/span.h"

/* Each may do what those before it may. */
enum operator_role {
        OPERATOR_NOBODY,
        OPERATOR_VIEWER,   /* looks */
        OPERATOR_OPERATOR, /* keeps the cluster running: drains, moves, elects, sets quotas */
        OPERATOR_ADMIN,    /* decides who may what, what there is, and who belongs to the cluster */
};

enum {
        OPERATORS_MAX = 256, /* tokens in a file */
        OPERATORS_LEN_MAX = 64 * 1024,
        OPERATORS_WHY_SIZE = 256,
        OPERATOR_NAME_LEN_MAX = 64,
        OPERATOR_SEED_LEN = 32,
        OPERATOR_TOKEN_SIZE = 8 + 2 * OPERATOR_SEED_LEN + 1, /* with its NUL, and so the next */
        OPERATOR_HASH_SIZE = 2 * 32 + 1,
};

struct operators;

/* "viewer", "operator", "admin"; of OPERATOR_NOBODY "nobody". Static text. */
const char *operator_role_name(enum operator_role role);
/* OPERATOR_NOBODY: the word is none of the three. */
enum operator_role operator_role_of(struct str word);
/* Letters, digits, dot, underscore, hyphen, at most OPERATOR_NAME_LEN_MAX. */
bool operator_name_is_valid(struct str name);

/* Read lines NAME ROLE SHA256; empty ones and those that begin with '#' are left out. Each name once.
 * Return: 0, and *@ret is the caller's; -EINVAL with @why for people; -ENOMEM. */
int operators_read(struct str text, struct operators **ret, char why[OPERATORS_WHY_SIZE]);
/* NULL is fine. Returns NULL. */
struct operators *operators_free(struct operators *o);
DEFINE_FREEP(struct operators, operators_free)

/* The role of who shows @token, OPERATOR_NOBODY when it is not known. Takes as long whether it is or not. @ret_name: whose it is, in memory of
 * @o; untouched for nobody. Any thread. */
enum operator_role operators_find(const struct operators *o, struct str token, const char **ret_name);

/* Call @fn for each. */
void operators_each(const struct operators *o, void (*fn)(void *arg, const char *name, const uint8_t *hash), void *arg);

/* The token that @seed makes, and the hash of a token as the file has it. */
void operator_token_make(const uint8_t seed[OPERATOR_SEED_LEN], char ret_token[OPERATOR_TOKEN_SIZE]);
void operator_token_hash(struct str token, char ret_hash[OPERATOR_HASH_SIZE]);
