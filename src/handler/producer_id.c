/* Numbers come from the controller in blocks; who finds the block used up waits for the next one. */
#include "handler/producer_id.h"

/* The next id of the block, or -1. */
static int64_t take(struct handler *h)
{
        int64_t id = -1;

        pthread_mutex_lock(&h->ids_lock);
        if (h->ids_next < h->ids_end)
                id = h->ids_next++;
        pthread_mutex_unlock(&h->ids_lock);
        return id;
}

static void allocated(struct controller_request *crq)
{
        struct producer_id_get *g = container_of(crq, struct producer_id_get, ask.rq);
        struct handler *h = g->rq->h;
        const struct controller_result *result = ask_result(&g->ask, &g->item.result);
        int64_t id = -1;

        if (result->outcome == CONTROLLER_OK && g->item.count > 0) {
                id = g->item.first;
                pthread_mutex_lock(&h->ids_lock);
                if (h->ids_next >= h->ids_end) { /* else another request brought a block meanwhile; ours is left out */
                        h->ids_next = g->item.first + 1;
                        h->ids_end = g->item.first + g->item.count;
                }
                pthread_mutex_unlock(&h->ids_lock);
        }
        ask_fini(&g->ask);
        g->done(g, id);
}

void producer_id_get(struct producer_id_get *g)
{
        const struct meta_broker *self = meta_image_broker(g->rq->image, g->rq->h->deps.node_id);
        int64_t id = take(g->rq->h);

        if (id >= 0 || !self) {
                g->done(g, id);
                return;
        }
        g->item = (struct controller_allocate_ids){ .broker_id = self->id, .broker_epoch = self->epoch };
        ask_submit(g->rq, &g->ask, CONTROLLER_ALLOCATE_IDS, &g->item, 1, false, allocated);
}
