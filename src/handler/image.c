/* The metadata as requests see it. Every reactor has a reader of its own that follows the published images, and requests
 * share its image by a count that only the reactor touches: no lock, and no cache line that all reactors write.
 *
 * Readers ack: a change is answered (ask.c: wait_applied) only when every reader has come to it, so that whoever was told
 * of a change finds it on any connection. */
#include <errno.h>

#include "controller/controller.h"
#include "handler/internal.h"
#include "handler/quota.h"

struct image_hold {
        struct meta_image *image; /* one reference */
        bool has_quotas;
        unsigned holders; /* requests, and the reader while it is the newest; on the reactor only */
};

struct image_reader {
        struct meta_subscriber subscriber;
        struct image_hold *newest; /* what was used last; NULL before the first request */
        struct handler *h;
        struct mail stop_mail;
} __attribute__((aligned(64)));

static struct image_hold *hold_new(struct meta_image *image)
{
        struct image_hold *hold = malloc(sizeof *hold);

        if (hold)
                *hold = (struct image_hold){ .image = image, .has_quotas = quota_any(image), .holders = 1 };
        else
                meta_image_unref(image);
        return hold;
}

static struct image_hold *hold_drop(struct image_hold *hold)
{
        if (!hold || --hold->holders)
                return NULL;
        meta_image_unref(hold->image);
        free(hold);
        return NULL;
}

void handler_image_drop(struct rq *rq)
{
        rq->image = NULL;
        rq->image_hold = hold_drop(rq->image_hold);
}

bool handler_image_take(struct rq *rq)
{
        struct image_reader *r = &rq->h->readers[net_conn_reactor(rq->net.conn)];
        struct meta_image *image = r->subscriber.image;
        struct image_hold *hold;

        handler_image_drop(rq);
        if (!image) { /* the node stops and the reader has gone before the last request */
                hold = hold_new(controller_image(rq->h->deps.controller));
        } else if (r->newest && r->newest->image == image) {
                hold = r->newest;
                hold->holders++;
        } else {
                hold = hold_new(meta_image_ref(image));
                if (hold) {
                        hold_drop(r->newest);
                        r->newest = hold;
                        hold->holders++;
                }
        }
        if (!hold)
                return false;
        rq->image_hold = hold;
        rq->image = hold->image;
        rq->has_quotas = hold->has_quotas;
        return true;
}

const struct meta_image *handler_image_peek(const struct handler *h, unsigned reactor)
{
        return h->readers[reactor].subscriber.image;
}

/* ---- life ---- */

int handler_images_init(struct handler *h)
{
        size_t size = h->deps.reactors_count * sizeof *h->readers;

        if (posix_memalign((void **)&h->readers, 64, size))
                return -ENOMEM;
        memset((void *)h->readers, 0, size);
        return 0;
}

void handler_images_fini(struct handler *h)
{
        if (!h->readers)
                return;
        for (unsigned i = 0; i < h->deps.reactors_count; i++)
                hold_drop(h->readers[i].newest);
        free(h->readers);
}

int handler_start(struct handler *h, struct loop *const *reactors)
{
        int r = 0;

        for (unsigned i = 0; i < h->deps.reactors_count && !r; i++) {
                struct image_reader *reader = &h->readers[i];

                reader->h = h;
                reader->subscriber = (struct meta_subscriber){ .loop = reactors[i], .arg = reader, .acks = true };
                r = meta_subscribe(controller_publisher(h->deps.controller), &reader->subscriber);
        }
        if (!r) {
                CLEANUP(meta_image_unrefp) struct meta_image *image = controller_image(h->deps.controller);

                authorization_warn(h->authorization, h->deps.conf, image);
        }
        return r;
}

static void all_closed(struct loop *l, struct mail *m)
{
        struct handler *h = container_of(m, struct handler, stopped_mail);

        h->stopped(h->stopped_arg);
}

static void reader_closed(struct meta_subscriber *s)
{
        struct image_reader *reader = s->arg;
        struct handler *h = reader->h;

        if (atomic_fetch_sub(&h->readers_left, 1) != 1)
                return;
        h->stopped_mail.fn = all_closed;
        loop_post(h->stopped_loop, &h->stopped_mail);
}

static void reader_stop(struct loop *l, struct mail *m)
{
        struct image_reader *reader = container_of(m, struct image_reader, stop_mail);

        meta_unsubscribe(&reader->subscriber, reader_closed);
}

void handler_stop(struct handler *h, struct loop *reply_loop, void (*stopped)(void *arg), void *arg)
{
        h->stopped_loop = reply_loop;
        h->stopped = stopped;
        h->stopped_arg = arg;
        atomic_init(&h->readers_left, h->deps.reactors_count);
        for (unsigned i = 0; i < h->deps.reactors_count; i++) {
                struct image_reader *reader = &h->readers[i];

                reader->stop_mail.fn = reader_stop;
                loop_post(reader->subscriber.loop, &reader->stop_mail);
        }
}
