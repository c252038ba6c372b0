/* Subscriptions to client metrics as a node uses them: taken out of the metadata, with their expressions compiled. The caller has the
 * lock of telemetry.c. */
#pragma once

#include "handler/telemetry.h"

struct subscription;

struct subscriptions {
        struct subscription *at;
        size_t count;
        uint32_t version; /* grows with every change */
        int64_t index;    /* of the metadata that they are from */
};

void subscriptions_init(struct subscriptions *s);
void subscriptions_fini(struct subscriptions *s);

/* Take over what @image says, unless it is older than what was seen: reactors are not all at the same one. Return: 0 or -ENOMEM, and all
 * is as before. */
int subscriptions_refresh(struct subscriptions *s, const struct meta_image *image);

/* All subscriptions that are for the client, together; the shortest interval holds. Texts are copied into @mem. False: no memory. */
bool subscriptions_offer(const struct subscriptions *s, const struct telemetry_client *c, struct arena *mem,
                         struct telemetry_offer *ret);
