#include "security/operators.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "chronik_" /* so that programs that look for lost secrets know one */
static_assert(sizeof PREFIX - 1 == 8, "OPERATOR_TOKEN_SIZE counts it");

struct operator_token {
        char name[OPERATOR_NAME_LEN_MAX + 1];
        enum operator_role role;
        uint8_t hash[SHA256_DIGEST_LENGTH];
};

struct operators {
        unsigned count;
        struct operator_token at[OPERATORS_MAX];
};

static const char *const roles[] = { "nobody", "viewer", "operator", "admin" };

const char *operator_role_name(enum operator_role role)
{
        assert(role < ARRAY_LEN(roles));
        return roles[role];
}

enum operator_role operator_role_of(struct str word)
{
        for (unsigned i = OPERATOR_VIEWER; i < ARRAY_LEN(roles); i++)
                if (str_equal(word, str_of(roles[i])))
                        return (enum operator_role)i;
        return OPERATOR_NOBODY;
}

bool operator_name_is_valid(struct str name)
{
        for (size_t i = 0; i < name.len; i++) {
                char c = name.p[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '_' || c == '-'))
                        return false;
        }
        return name.len && name.len <= OPERATOR_NAME_LEN_MAX;
}

/* ---- hashes ---- */

static void hash_of(struct str token, uint8_t ret[SHA256_DIGEST_LENGTH])
{
        SHA256((const uint8_t *)token.p, token.len, ret);
}

static void write_hex(const uint8_t *from, size_t len, char *to)
{
        for (size_t i = 0; i < len; i++)
                snprintf(to + 2 * i, 3, "%02x", from[i]);
}

static int digit(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

static bool read_hash(struct str text, uint8_t ret[SHA256_DIGEST_LENGTH])
{
        if (text.len != 2 * SHA256_DIGEST_LENGTH)
                return false;
        for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
                int high = digit(text.p[2 * i]), low = digit(text.p[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

void operator_token_make(const uint8_t seed[OPERATOR_SEED_LEN], char ret_token[OPERATOR_TOKEN_SIZE])
{
        memcpy(ret_token, PREFIX, sizeof PREFIX);
        write_hex(seed, OPERATOR_SEED_LEN, ret_token + sizeof PREFIX - 1);
}

void operator_token_hash(struct str token, char ret_hash[OPERATOR_HASH_SIZE])
{
        uint8_t hash[SHA256_DIGEST_LENGTH];

        hash_of(token, hash);
        write_hex(hash, sizeof hash, ret_hash);
}

/* ---- the file ---- */

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; empty at its end. */
static struct str take_word(struct str *line)
{
        struct str word;
        size_t len = 0;

        while (line->len && is_blank(line->p[0]))
                *line = (struct str){ line->p + 1, line->len - 1 };
        while (len < line->len && !is_blank(line->p[len]))
                len++;
        word = (struct str){ line->p, len };
        *line = (struct str){ line->p + len, line->len - len };
        return word;
}

static int wrong(char why[OPERATORS_WHY_SIZE], unsigned number, const char *what)
{
        snprintf(why, OPERATORS_WHY_SIZE,
                 "line %u: %s; a line is NAME ROLE SHA256, as `chronik-ctl admin-token new` prints it", number, what);
        return -EINVAL;
}

static int read_line(struct operators *o, unsigned number, struct str line, char why[OPERATORS_WHY_SIZE])
{
        struct str name = take_word(&line), role = take_word(&line), hash = take_word(&line), more = take_word(&line);
        struct operator_token *at = &o->at[o->count];

        if (!name.len || name.p[0] == '#')
                return 0;
        if (o->count == OPERATORS_MAX)
                return wrong(why, number, "there are more than 256 tokens");
        if (!operator_name_is_valid(name))
                return wrong(why, number,
                             "the name may have letters, digits, dot, underscore and hyphen, and 64 characters");
        at->role = operator_role_of(role);
        if (at->role == OPERATOR_NOBODY)
                return wrong(why, number, "the role is none of viewer, operator and admin");
        if (!read_hash(hash, at->hash))
                return wrong(why, number, "what follows the role is no SHA-256 of 64 hexadecimal digits");
        if (more.len)
                return wrong(why, number, "something follows the SHA-256");
        memcpy(at->name, name.p, name.len);
        at->name[name.len] = '\0';
        for (unsigned i = 0; i < o->count; i++)
                if (!strcmp(o->at[i].name, at->name))
                        return wrong(why, number, "there is a token of that name already");
        o->count++;
        return 0;
}

int operators_read(struct str text, struct operators **ret, char why[OPERATORS_WHY_SIZE])
{
        CLEANUP(operators_freep) struct operators *o = calloc(1, sizeof *o);
        unsigned number = 0;

        if (!o)
                return -ENOMEM;
        while (text.len) {
                const char *end = memchr(text.p, '\n', text.len);
                size_t len = end ? (size_t)(end - text.p) : text.len;
                int r = read_line(o, ++number, (struct str){ text.p, len }, why);

                if (r)
                        return r;
                len += end != NULL;
                text = (struct str){ text.p + len, text.len - len };
        }
        *ret = TAKE_PTR(o);
        return 0;
}

struct operators *operators_free(struct operators *o)
{
        free(o);
        return NULL;
}

/* Every token is compared as a whole: how long it takes says nothing about any. */
enum operator_role operators_find(const struct operators *o, struct str token, const char **ret_name)
{
        uint8_t hash[SHA256_DIGEST_LENGTH];
        const struct operator_token *found = NULL;

        hash_of(token, hash);
        for (unsigned i = 0; i < o->count; i++)
                if (!CRYPTO_memcmp(o->at[i].hash, hash, sizeof hash))
                        found = &o->at[i];
        if (!found)
                return OPERATOR_NOBODY;
        *ret_name = found->name;
        return found->role;
}

void operators_each(const struct operators *o, void (*fn)(void *arg, const char *name, const uint8_t *hash), void *arg)
{
        for (unsigned i = 0; i < o->count; i++)
                fn(arg, o->at[i].name, o->at[i].hash);
}
