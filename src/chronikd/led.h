/* Keeps the partitions of this node in step with the metadata image: opens logs of partitions that are placed here, tells
 * them their role, closes and deletes those that went, passes configurations on.
 *
 * On one loop; what blocks (opening, recovering, closing, renaming) runs on the I/O pool, a few logs at a time, one
 * after the other for logs of the same folder. An image has been taken up when everything that it asked for is done. */
#pragma once

#include <stdatomic.h>

#include "conf/topic.h"
#include "coord/coord.h"
#include "meta/delta.h"
#include "plog/store.h"
#include "replica/replicator.h"
#include "replica/watermarks.h"

struct led_folder;

struct led {
        /* By the owner, before led_init(). */
        const struct conf *conf; /* what the node started with */
        struct plog_store *store;
        struct partition_table *table;
        struct coord *coord; /* told of the partitions of __consumer_offsets, and of deleted topics */
        struct coord *txns;  /* likewise of __transaction_state */
        struct iopool *pool;
        struct loop *loop;
        const char *dir; /* folder of the logs */
        int32_t node_id;
        bool is_cluster;               /* there are other nodes, which may have taken over what was here */
        unsigned jobs_max;             /* on the pool at a time, at least 1 */
        struct replicator *replicator; /* told of every partition; NULL: the node is alone */
        struct watermarks *watermarks; /* what was known before the start, led's from led_init() on; NULL: nothing */
        int64_t replica_lag_max_ms;
        const atomic_llong *lease_until_ms; /* NULL: no lease; see struct partition_open_args */
        /* Everything that the images up to @index asked for is done. On @loop. */
        void (*applied)(void *arg, int64_t index);
        void *arg;

        struct topic_conf defaults; /* what a topic has that sets nothing, as of the last image */
        struct meta_image *image;   /* the last one; counted */
        struct led_folder *folders; /* those with work, by name */
        struct ilist pending;       /* jobs not done, in the order of the images that asked for them */
        struct ilist queue;         /* of them those that may run and do not yet */
        unsigned jobs_running;
        int64_t reported_index;
        bool failed;                          /* a log could not be opened: tried again by led_retry() */
        atomic_uint opens_wanted, opens_done; /* logs to be opened since the start, and those whose opening has ended */
        void (*closed)(void *arg);            /* set: closing */
};

/* Return: 0 or -ENOMEM. */
int led_init(struct led *led);
/* After led_close(), or when nothing was ever applied. */
void led_fini(struct led *led);

/* Go to @d->after; led->applied is called when that is done, perhaps at once. The first image must be current, because
 * after an unclean stop the folders of logs that it does not know are removed: the node died between the deletion of a
 * topic and that of its files. */
void led_apply(struct led *led, const struct meta_delta *d);

/* Now and then: try again to open what could not be opened (a full disk may have room again). */
void led_retry(struct led *led);

/* Close every log in good order, then call @closed once. */
void led_close(struct led *led, void (*closed)(void *arg));
