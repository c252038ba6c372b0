/* Looking at what another node has: answers of its admin listener below /v1/here/, over the peer connections. So an operator asks
 * any node, and is told of all. Only for threads that may wait; what is changed goes to the controller, never this way. */
#pragma once

#include <jansson.h>
#include <stdatomic.h>

#include "peer/peer.h"

struct node;
struct iopool;
struct meta_image;

/* What answers others. */
struct look {
        struct iopool *_Atomic pool; /* threads of its own: answers wait for loops. NULL: nothing is answered */
        atomic_uint in_work;
        atomic_bool stopping;
};

/* Register the service; before the hub starts. Return: as peer_hub_register(). */
int look_register(struct node *n);
/* Answer others from now on. Return: 0 or negative errno. */
int look_start(struct node *n);
/* Answer nobody any more; waits for answers in work, which need the main loop. Not on it. */
void look_stop(struct node *n);

/* One question to one node. */
struct look_ask {
        int32_t node;
        const char *path; /* "/v1/here/..." */
        int status;       /* 0: it did not answer, and @why says why */
        json_t *body;     /* a reference; NULL unless it answered with JSON */
        char why[128];
        struct look_waiter *waiter;
};
/* Ask all of them at once and wait for the answers, a few seconds at most. The caller drops the bodies. */
void look_ask(struct node *n, struct look_ask *asks, size_t count);
/* Ask every other broker that lives for @path. @ret_asks: free() it after dropping the bodies. Return: how many. */
size_t look_ask_others(struct node *n, const struct meta_image *image, const char *path, struct look_ask **ret_asks);
void look_asks_free(struct look_ask *asks, size_t count);
