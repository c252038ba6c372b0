/* How nodes and partitions are, by what the metadata says of them: one walk over an image, for operators and metrics. Pure; any
 * thread. */
#pragma once

#include "conf/conf.h"
#include "meta/image.h"

/* One broker; those of @brokers of the image, by rising id. */
struct tally_node {
        int32_t id;
        uint32_t replicas; /* partitions that it has a replica of */
        uint32_t behind;   /* among these, not in sync */
        uint32_t leads;
        uint32_t leads_movable; /* among these, another live broker that is not drained is in sync */
        uint32_t leads_under_replicated, leads_below_min_isr;
};

enum { TALLY_NAMED_MAX = 5 }; /* enough to see which they are */

/* Partitions of a kind: how many, and the first few by name. */
struct tally_kind {
        uint32_t count;
        char names[512]; /* "orders-3, orders-4" */
};

struct tally {
        uint32_t partitions;
        struct tally_kind under_replicated; /* fewer in sync than replicas, those that are being added left out */
        struct tally_kind below_min_isr;    /* fewer in sync than acks=all needs */
        struct tally_kind offline;          /* without a leader that clients could be told */
        uint32_t reassigning;
        uint32_t recovering;    /* elected uncleanly, and not yet done with that */
        uint32_t not_preferred; /* led by another than their first replica */
        struct tally_node *nodes;
        size_t nodes_count;
};

/* @conf: of this node, for topics that set no min.insync.replicas. Return: 0; -ENOMEM, and @ret needs no tally_fini(). */
int tally_take(const struct meta_image *image, const struct conf *conf, struct tally *ret);
/* The same of the partitions that @node_id has a replica of, as if it were not there: in no ISR, and leading nothing. */
int tally_take_without(const struct meta_image *image, const struct conf *conf, int32_t node_id, struct tally *ret);
void tally_fini(struct tally *t);
/* NULL: no such broker. */
struct tally_node *tally_find(const struct tally *t, int32_t id);

/* What a broker is at, in one word: fenced, stopping, leaving, draining, drained or active; the first that fits. */
const char *tally_state(const struct meta_broker *b, const struct tally_node *node);
