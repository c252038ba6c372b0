/* Metrics that clients push (KIP-714): who is to push what, who may push now, and what was pushed last. All of it is of this node
 * only, and goes by itself when a client is not heard of for three of its intervals. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"
#include "base/uuid.h"

struct meta_image;
struct telemetry;

/* Who asks. Text is borrowed for the call. */
struct telemetry_client {
        struct uuid id;
        struct str client_id, software_name, software_version, host, port; /* null where it is not known */
};

/* What a client is to push. */
struct telemetry_offer {
        int32_t subscription_id, interval_ms;
        struct str
                *metrics; /* prefixes of names, "*" alone: all. Texts are of the subscriptions: copied into the arena */
        int32_t metrics_count;
};

struct telemetry_push {
        int32_t subscription_id;
        bool terminating;
        int codec; /* enum codec, or what a client takes for one */
        struct span metrics;
        size_t len_max; /* of the metrics, as they come and when they are decompressed */
};

/* Return: 0, -ENOMEM. */
int telemetry_new(struct telemetry **ret_telemetry);
/* When no request is under way. NULL is fine. Returns NULL. */
struct telemetry *telemetry_free(struct telemetry *t);

/* A client asks what it is to push. @image: as new as its request; @now_ms: clock_mono_ms(), as below. Return: 0; a Kafka error code; -ENOMEM. */
int telemetry_ask(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                  struct arena *mem, int64_t now_ms, struct telemetry_offer *ret);
/* It pushes. Return: likewise. Decompresses and reads up to @push->len_max bytes, so not on a loop. */
int telemetry_push(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                   struct arena *mem, int64_t now_ms, const struct telemetry_push *push);

/* Add what was pushed, and how many clients there are, to the metrics of the node. */
void telemetry_expose(struct telemetry *t, int64_t now_ms, struct strbuf *out);
