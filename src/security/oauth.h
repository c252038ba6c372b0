/* SASL OAUTHBEARER: what a client says, which is a token and some pairs beside it. Pure. Sources: RFC 7628, KIP-255, KIP-342 (the pairs). */
#pragma once

#include "base/span.h"

/* All of it borrowed from the message. */
struct oauth {
        struct str authzid; /* null: it does not say */
        struct str token;
};

/* Is the message one? Pairs beside the token have to be well formed, and mean nothing here. */
bool oauth_read(struct span message, struct oauth *ret);
