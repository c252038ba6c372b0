/* Topics that the coordinators keep their state in: made when the first client asks for one. */
#pragma once

#include "handler/ask.h"

enum internal_topic { INTERNAL_OFFSETS, INTERNAL_TRANSACTIONS };

/* Of rq->image. NULL: there is none yet. */
const struct meta_topic *internal_topic(struct rq *rq, enum internal_topic which);

/* Embedded in its owner, in the request's arena. */
struct internal_topic_get {
        struct rq *rq;
        enum internal_topic which;
        /* Once, perhaps at once, on the reactor: rq->image has the topic, unless it could not be made. */
        void (*done)(struct internal_topic_get *g);

        struct controller_create_topic create;
        struct ask ask;
};
/* The first three fields are set. When memory is out the request's connection is closed instead of done(). */
void internal_topic_get(struct internal_topic_get *g);
