/* Ids for producers: numbers that no other producer ever had. */
#pragma once

#include "handler/ask.h"

/* Embedded in its owner, in the request's arena. */
struct producer_id_get {
        struct rq *rq;
        void (*done)(struct producer_id_get *g,
                     int64_t id); /* once, perhaps at once, on the reactor; -1: none is to be had just now */

        struct controller_allocate_ids item;
        struct ask ask;
};

/* @g->rq and @g->done are set. */
void producer_id_get(struct producer_id_get *g);
