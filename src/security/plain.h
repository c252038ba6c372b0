/* SASL PLAIN: a user's name and password in clear text. Pure. Source: RFC 4616, KIP-43. */
#pragma once

#include "base/span.h"

/* All of it borrowed from the message. */
struct plain {
        struct str user;
        struct span password;
};

enum {
        PLAIN_OK,
        PLAIN_E_MALFORMED, /* not three parts with a NUL between each; no UTF-8; too long */
        PLAIN_E_NO_USER,
        PLAIN_E_NO_PASSWORD,
        PLAIN_E_AUTHZID, /* to act as somebody else */
};

/* Return: PLAIN_OK or PLAIN_E_*. */
int plain_read(struct span message, struct plain *ret_plain);
