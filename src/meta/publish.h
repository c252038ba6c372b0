/* How images reach those who work with them. One publisher swaps the current image; subscribers on their own loops are
 * woken and catch up with whatever is current then, so that a slow one skips images and nothing queues.
 *
 * A subscriber without a callback is a reader: every reactor has one, and its requests use reader->image without any lock
 * or counting:
 *
 *         static struct meta_subscriber reader = { .loop = l, .acks = true };
 *         meta_subscribe(p, &reader);
 *         ... on loop l:  t = meta_image_topic(reader.image, name);      borrowed until the loop's next turn
 *
 * One with a callback gets what changed since it was last called; the first time, everything. Subscribers that ack let
 * others wait until an index has been taken up everywhere ("the topic is ready to use"). */
#pragma once

#include <pthread.h>

#include "meta/delta.h"
#include "sys/loop.h"

struct meta_publisher;

struct meta_subscriber {
        /* By the owner, before meta_subscribe(). */
        struct loop *loop;
        /* On @loop: @d holds the images before and after; borrowed for the call. NULL: a reader. */
        void (*fn)(struct meta_subscriber *s, struct meta_delta *d);
        void *arg;
        bool acks; /* waits are for this one too. A reader acks by itself, others call meta_subscriber_ack() */

        /* On @loop: the image that it has come to; valid until the loop's next turn, or with a reference. */
        struct meta_image *image;

        /* The publisher's. */
        struct ilist link;
        struct meta_publisher *publisher;
        struct mail mail;
        atomic_bool posted;
        atomic_llong acked;
        void (*closed)(struct meta_subscriber *s);
};

struct meta_publisher {
        struct loop *loop;
        void (*acked)(void *arg); /* on @loop: some subscriber has acked more; may be NULL */
        void *arg;

        pthread_mutex_t lock; /* guards what follows */
        struct meta_image *current;
        struct ilist subscribers;
        struct mail ack_mail;
        bool ack_posted;
};

/* Start with @image (a reference is taken). */
void meta_publisher_init(struct meta_publisher *p, struct loop *l, struct meta_image *image);
/* After all subscribers have gone or will never run again. */
void meta_publisher_fini(struct meta_publisher *p);

/* Make @image (a reference is taken) the current one and wake the subscribers. On the publisher's loop. */
void meta_publish(struct meta_publisher *p, struct meta_image *image);

/* The current image; one reference. Any thread; takes a lock for a moment: hot paths have a reader. */
struct meta_image *meta_current(struct meta_publisher *p);

/* The index that all subscribers that ack have come to; INT64_MAX when there is none. Any thread. */
int64_t meta_acked_index(struct meta_publisher *p);

/* Any thread, but nobody may use @s->image before this returns. Return: 0 or -ENOMEM. */
int meta_subscribe(struct meta_publisher *p, struct meta_subscriber *s);
/* On @s's loop. @closed (which may free @s) is called once nothing is on its way any more, perhaps at once. */
void meta_unsubscribe(struct meta_subscriber *s, void (*closed)(struct meta_subscriber *s));
/* What @s was told up to image index @index has taken effect. Any thread. */
void meta_subscriber_ack(struct meta_subscriber *s, int64_t index);
