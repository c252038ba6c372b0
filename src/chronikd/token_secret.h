/* The secrets from which HMACs of delegation tokens are made: from a file or a systemd credential, the same on all nodes, and while they are
 * replaced (docs/ROTATION.md) the next one and the one from before, whose tokens count as well, from files beside it. Read again when they change.
 * Without the first there are no delegation tokens. */
#pragma once

#include "conf/conf.h"
#include "security/token.h"

struct token_secrets {
        const struct conf *conf;
        struct token_ring *ring; /* for who checks tokens */
        int64_t seen;            /* what the files looked like */
        bool is_watched;         /* there may be some later */
};

/* Read them; the end of a line behind a secret does not count. Blocks. @conf is borrowed. Return: 0, or 1 after saying what is wrong. */
int token_secrets_open(struct token_secrets *s, const struct conf *conf);
/* Have the files changed? What is not in order is said, and what was there stays in use. Blocks; one thread at a time, any. */
void token_secrets_look(struct token_secrets *s);
/* Wipes them; when nobody checks tokens any more. */
void token_secrets_close(struct token_secrets *s);
