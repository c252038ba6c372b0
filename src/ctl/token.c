/* Tokens of operators: admin-token new, admin-token rotate. A token is printed once and kept nowhere; the nodes get its hash. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/ctl.h"
#include "security/operators.h"
#include "sys/clock.h"
#include "sys/file.h"

#define BEFORE ".before"

static void make(char token[OPERATOR_TOKEN_SIZE], char hash[OPERATOR_HASH_SIZE])
{
        uint8_t seed[OPERATOR_SEED_LEN];

        random_bytes(seed, sizeof seed);
        operator_token_make(seed, token);
        explicit_bzero(seed, sizeof seed);
        operator_token_hash(str_of(token), hash);
}

/* ---- new ---- */

int admin_token_new(struct ctl *c, const char *name)
{
        char token[OPERATOR_TOKEN_SIZE], hash[OPERATOR_HASH_SIZE];

        if (!operator_name_is_valid(str_of(name)))
                return ctl_usage(
                        "'%s' is no name for a token: letters, digits, dot, underscore and hyphen are, up to %d", name,
                        OPERATOR_NAME_LEN_MAX);
        if (operator_role_of(str_of(c->second)) == OPERATOR_NOBODY)
                return ctl_usage("'%s' is no role; there are viewer, operator and admin", c->second);
        make(token, hash);
        if (c->json) {
                print_json(json_pack("{s:s, s:s, s:s, s:s}", "name", name, "role", c->second, "token", token, "sha256",
                                     hash));
        } else {
                printf("The token, for a file that %s alone can read (--token-file); it is shown this once:\n\n%s\n\n",
                       name, token);
                printf("Its line, for admin.tokens_file of every node, where it counts within some seconds:\n\n%s %s "
                       "%s\n",
                       name, c->second, hash);
        }
        explicit_bzero(token, sizeof token);
        return CTL_OK;
}

/* ---- rotate: another token under the same name, and the one from before under NAME.before until --finish ---- */

struct edit {
        const char *name, *hash; /* NULL: only the line of the one from before goes */
        struct strbuf out;
        bool found, has_before;
};

/* Is the line that of @name with @suffix? @ret_rest: what follows. */
static bool line_is(struct str line, const char *name, const char *suffix, struct str *ret_rest)
{
        size_t a = strlen(name), b = strlen(suffix);

        if (line.len <= a + b || memcmp(line.p, name, a) != 0 || memcmp(line.p + a, suffix, b) != 0 ||
            (line.p[a + b] != ' ' && line.p[a + b] != '\t'))
                return false;
        *ret_rest = (struct str){ line.p + a + b, line.len - a - b };
        return true;
}

/* " ROLE SHA256" -> ROLE; both are in order, because the file was read. */
static struct str role_of(struct str rest)
{
        while (rest.len && (rest.p[0] == ' ' || rest.p[0] == '\t'))
                rest = (struct str){ rest.p + 1, rest.len - 1 };
        for (size_t i = 0; i < rest.len; i++)
                if (rest.p[i] == ' ' || rest.p[i] == '\t')
                        return (struct str){ rest.p, i };
        return rest;
}

static void edit_line(struct edit *e, struct str line)
{
        struct str rest;

        if (line_is(line, e->name, BEFORE, &rest)) {
                e->has_before = true;
                if (!e->hash)
                        return;
        }
        if (e->hash && line_is(line, e->name, "", &rest)) {
                struct str role = role_of(rest);

                e->found = true;
                strbuf_printf(&e->out, "%s %.*s %s\n", e->name, STR_FMT(role), e->hash);
                strbuf_printf(&e->out, "%s" BEFORE "%.*s\n", e->name, STR_FMT(rest));
                return;
        }
        strbuf_add(&e->out, line.p, line.len);
        strbuf_add_c(&e->out, "\n");
}

static int unusable(const char *path, const char *why)
{
        fprintf(stderr, "chronik-ctl: %s: %s\n", path, why);
        return CTL_FAILED;
}

/* What @text would be, and whether nodes would take it. */
static int edit(struct edit *e, const char *path, struct str text)
{
        CLEANUP(operators_freep) struct operators *read = NULL;
        char why[OPERATORS_WHY_SIZE] = "out of memory";

        if (operators_read(text, &read, why))
                return unusable(path, why);
        read = operators_free(read);
        while (text.len) {
                const char *end = memchr(text.p, '\n', text.len);
                size_t len = end ? (size_t)(end - text.p) : text.len;

                edit_line(e, (struct str){ text.p, len });
                len += end != NULL;
                text = (struct str){ text.p + len, text.len - len };
        }
        if (e->hash && !e->found)
                return unusable(path, "it has no token of that name; `chronik-ctl admin-token new` makes one");
        if (e->hash && e->has_before)
                return unusable(
                        path,
                        "the token before the one in use is still there, and a third would count: --finish first");
        if (!e->hash && !e->has_before)
                return unusable(path, "no token from before is there: nothing to finish");
        if (e->out.failed || operators_read((struct str){ e->out.data, e->out.len }, &read, why))
                return unusable(path, why);
        return CTL_OK;
}

static int rewrite(struct edit *e, const char *path)
{
        CLEANUP(freep) char *text = NULL;
        size_t len;
        int r = file_read_whole(path, OPERATORS_LEN_MAX, &text, &len), status;

        if (r)
                return unusable(path, strerror(-r));
        status = edit(e, path, (struct str){ text, len });
        if (status)
                return status;
        r = file_replace(path, span_of(e->out.data ? e->out.data : "", e->out.len));
        return r ? unusable(path, strerror(-r)) : CTL_OK;
}

static void print_rotated(const struct ctl *c, const char *name, const char *token)
{
        if (c->json)
                print_json(json_pack("{s:s, s:s, s:s}", "name", name, "token", token, "file", c->tokens_file));
        else
                printf("The token, for a file that %s alone can read (--token-file); it is shown this once:\n\n%s\n\n"
                       "%s has its line, and that of the one from before as %s" BEFORE
                       ": give the file to every node, where it "
                       "counts within some seconds. When %s has the new token:\n\n"
                       "chronik-ctl admin-token rotate %s --tokens-file %s --finish\n",
                       name, token, c->tokens_file, name, name, name, c->tokens_file);
}

int admin_token_rotate(struct ctl *c, const char *name)
{
        char token[OPERATOR_TOKEN_SIZE] = "", hash[OPERATOR_HASH_SIZE];
        struct edit e = { .name = name };
        int status;

        if (!c->tokens_file)
                return ctl_usage("--tokens-file is needed: the file that nodes have as admin.tokens_file");
        if (!operator_name_is_valid(str_of(name)) || strlen(name) > OPERATOR_NAME_LEN_MAX - strlen(BEFORE))
                return ctl_usage("'%s' is no name of a token to which '" BEFORE "' can be added", name);
        if (!c->finish) {
                make(token, hash);
                e.hash = hash;
        }
        status = rewrite(&e, c->tokens_file);
        strbuf_fini(&e.out);
        if (!status && c->finish)
                printf("the token of %s from before is out of %s: give the file to every node\n", name, c->tokens_file);
        else if (!status)
                print_rotated(c, name, token);
        explicit_bzero(token, sizeof token);
        return status;
}
