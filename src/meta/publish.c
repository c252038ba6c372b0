/* See publish.h. A subscriber's mail is only a wake-up: what it delivers is looked up on arrival. Lock order: the
 * publisher's lock is innermost; under it only mail is posted. */
#include "meta/publish.h"

#include <errno.h>

static void ack_mail_arrived(struct loop *l, struct mail *m)
{
        struct meta_publisher *p = container_of(m, struct meta_publisher, ack_mail);

        pthread_mutex_lock(&p->lock);
        p->ack_posted = false;
        pthread_mutex_unlock(&p->lock);
        if (p->acked)
                p->acked(p->arg);
}

void meta_publisher_init(struct meta_publisher *p, struct loop *l, struct meta_image *image)
{
        *p = (struct meta_publisher){ .loop = l, .current = meta_image_ref(image) };
        pthread_mutex_init(&p->lock, NULL);
        ilist_init(&p->subscribers);
        p->ack_mail.fn = ack_mail_arrived;
}

void meta_publisher_fini(struct meta_publisher *p)
{
        meta_image_unref(p->current);
        pthread_mutex_destroy(&p->lock);
}

static void wake(struct meta_subscriber *s)
{
        if (!atomic_exchange(&s->posted, true))
                loop_post(s->loop, &s->mail);
}

void meta_publish(struct meta_publisher *p, struct meta_image *image)
{
        struct meta_image *old;

        pthread_mutex_lock(&p->lock);
        assert(image->index >= p->current->index);
        old = p->current;
        p->current = meta_image_ref(image);
        ilist_for_each (s, &p->subscribers, struct meta_subscriber, link)
                wake(s);
        pthread_mutex_unlock(&p->lock);
        meta_image_unref(old);
}

struct meta_image *meta_current(struct meta_publisher *p)
{
        struct meta_image *i;

        pthread_mutex_lock(&p->lock);
        i = meta_image_ref(p->current);
        pthread_mutex_unlock(&p->lock);
        return i;
}

int64_t meta_acked_index(struct meta_publisher *p)
{
        int64_t least = INT64_MAX;

        pthread_mutex_lock(&p->lock);
        ilist_for_each (s, &p->subscribers, struct meta_subscriber, link)
                if (s->acks)
                        least = MIN2(least, (int64_t)atomic_load(&s->acked));
        pthread_mutex_unlock(&p->lock);
        return least;
}

void meta_subscriber_ack(struct meta_subscriber *s, int64_t index)
{
        struct meta_publisher *p = s->publisher;

        atomic_store(&s->acked, index);
        pthread_mutex_lock(&p->lock);
        if (!p->ack_posted) {
                p->ack_posted = true;
                loop_post(p->loop, &p->ack_mail);
        }
        pthread_mutex_unlock(&p->lock);
}

static void subscriber_end(struct meta_subscriber *s)
{
        s->image = meta_image_unref(s->image);
        s->closed(s);
}

static void subscriber_woken(struct loop *l, struct mail *m)
{
        struct meta_subscriber *s = container_of(m, struct meta_subscriber, mail);
        CLEANUP(meta_delta_unrefp) struct meta_delta *d = NULL;
        CLEANUP(meta_image_unrefp) struct meta_image *before = NULL;

        if (s->closed) {
                subscriber_end(s);
                return;
        }
        atomic_store(&s->posted, false);
        before = s->image;
        s->image = meta_current(s->publisher);
        if (s->fn && s->image != before) {
                if (meta_delta_new(before, s->image, &d)) {
                        /* No memory: stay where we are and try again; the next turn may be luckier. */
                        meta_image_unref(s->image);
                        s->image = TAKE_PTR(before);
                        wake(s);
                        return;
                }
                s->fn(s, d);
        } else if (!s->fn && s->acks) {
                meta_subscriber_ack(s, s->image->index);
        }
}

int meta_subscribe(struct meta_publisher *p, struct meta_subscriber *s)
{
        struct meta_image *empty = s->fn ? meta_image_new_empty() : NULL;

        if (s->fn && !empty)
                return -ENOMEM;
        s->publisher = p;
        s->mail.fn = subscriber_woken;
        s->closed = NULL;
        atomic_init(&s->posted, false);
        pthread_mutex_lock(&p->lock);
        s->image = empty ? empty : meta_image_ref(p->current);
        atomic_init(&s->acked, empty ? -1 : p->current->index);
        ilist_push_back(&p->subscribers, &s->link);
        if (empty)
                wake(s);
        pthread_mutex_unlock(&p->lock);
        return 0;
}

void meta_unsubscribe(struct meta_subscriber *s, void (*closed)(struct meta_subscriber *s))
{
        struct meta_publisher *p = s->publisher;

        loop_assert_here(s->loop);
        pthread_mutex_lock(&p->lock);
        ilist_unlink(&s->link);
        if (!p->ack_posted) { /* who waited for this one need not any more */
                p->ack_posted = true;
                loop_post(p->loop, &p->ack_mail);
        }
        pthread_mutex_unlock(&p->lock);
        s->closed = closed;
        if (!atomic_load(&s->posted))
                subscriber_end(s);
}
