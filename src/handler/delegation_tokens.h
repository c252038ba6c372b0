/* Delegation tokens for who looks at them elsewhere in handler/. Source: KIP-48. */
#pragma once

#include "handler/rq.h"
#include "meta/token.h"

/* The token by whose HMAC somebody may log in now: it is there, has not ended, and was made with this node's secret. Borrowed from the
 * request's image; NULL: there is none. */
const struct meta_token *delegation_token_alive(const struct rq *rq, struct str id);

/* The name of "User:NAME", borrowed from @principal, which is one of a token's. */
struct str delegation_token_user(struct str principal);
