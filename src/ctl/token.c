/* admin-token new: a token for an operator. It is printed once and kept nowhere; the nodes get its hash. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "security/operators.h"
#include "sys/clock.h"

int admin_token_new(struct ctl *c, const char *name)
{
        char token[OPERATOR_TOKEN_SIZE], hash[OPERATOR_HASH_SIZE];
        uint8_t seed[OPERATOR_SEED_LEN];

        if (!operator_name_is_valid(str_of(name)))
                return ctl_usage(
                        "'%s' is no name for a token: letters, digits, dot, underscore and hyphen are, up to %d", name,
                        OPERATOR_NAME_LEN_MAX);
        if (operator_role_of(str_of(c->second)) == OPERATOR_NOBODY)
                return ctl_usage("'%s' is no role; there are viewer, operator and admin", c->second);
        random_bytes(seed, sizeof seed);
        operator_token_make(seed, token);
        explicit_bzero(seed, sizeof seed);
        operator_token_hash(str_of(token), hash);
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
