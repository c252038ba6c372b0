/* The secret from which HMACs of delegation tokens are made, from a file or a systemd credential; the same on all nodes. Without either there
 * are no delegation tokens. */
#pragma once

#include "conf/conf.h"

enum { TOKEN_SECRET_LEN_MIN = 16, TOKEN_SECRET_LEN_MAX = 4096 };

struct token_secret {
        uint8_t bytes[TOKEN_SECRET_LEN_MAX];
        size_t len; /* 0: there is none */
};

/* Read it; the end of a line behind it does not count. Blocks. Return: 0, or 1 after saying what is wrong. */
int token_secret_read(const struct conf *conf, struct token_secret *ret);
