/* Clients say who they are: the SASL exchange on a connection, before anything else and now and then again. What Kafka's
 * SaslServerAuthenticator does. On the connection's reactor. Sources: KIP-43, KIP-84, KIP-152, KIP-368. */
#pragma once

#include "handler/internal.h"

struct sasl;

/* One for each connection of a listener with SASL. NULL: out of memory. */
struct sasl *sasl_new(void);
/* NULL is fine. Returns NULL. */
struct sasl *sasl_free(struct sasl *s);

/* A frame of a connection that is in the middle of an old exchange (SaslHandshake of version 0) is no request but a token: it is taken,
 * and true is returned. */
bool sasl_take_token(struct rq *rq);
/* Whether a request is served at this point of its connection's life. False: it has been answered, or its connection closed; @rq is gone.
 * After the header's fixed part has been read. */
bool sasl_admit(struct rq *rq, int16_t key);
