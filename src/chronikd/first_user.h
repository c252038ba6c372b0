/* The first user of a new cluster, who makes the others. Its name and password come from a file or a systemd credential, and only what
 * SCRAM keeps of the password stays. Without either a new cluster has no user. */
#pragma once

#include "conf/conf.h"
#include "controller/request.h"
#include "security/principal.h"
#include "security/scram.h"

enum { FIRST_USER_SALT_LEN = 24, FIRST_USER_SEED_LEN = 32 };

struct first_user {
        /* One for each mechanism, pointing into what follows; none where there is no first user. */
        struct controller_alter_credential credentials[SCRAM_MECHANISM_END - 1];
        size_t count;
        char name[PRINCIPAL_NAME_LEN_MAX + 1];
        struct scram_keys keys[SCRAM_MECHANISM_END - 1];
        uint8_t salt[FIRST_USER_SALT_LEN], seed[FIRST_USER_SEED_LEN];
};

/* Read it into @ret, which must stay where it is. Blocks, for some ten milliseconds. @is_new: the node has never run; only then a file that
 * is configured has to be there, so that it can be taken away afterwards. Return: 0, or 1 after saying what is wrong. */
int first_user_read(const struct conf *conf, bool is_new, struct first_user *ret);
