/* Waiting for answers on a thread of one's own. The answers come by mail to the main loop, which posts a semaphore. */
#include "chronikd/ask.h"

#include <semaphore.h>

#include "chronikd/admin_record.h"

/* Requests have no place for a pointer of the asker's, so those that wait are found in a list; there are few. */
static struct ilist waiting = ILIST_INIT(waiting);
static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER;

struct waiter {
        struct ilist link;
        const void *rq;
        sem_t answered;
};

static void waiter_add(struct waiter *w, const void *rq)
{
        w->rq = rq;
        sem_init(&w->answered, 0, 0);
        pthread_mutex_lock(&waiting_lock);
        ilist_push_back(&waiting, &w->link);
        pthread_mutex_unlock(&waiting_lock);
}

static void waiter_wake(const void *rq)
{
        pthread_mutex_lock(&waiting_lock);
        ilist_for_each (w, &waiting, struct waiter, link)
                if (w->rq == rq) {
                        ilist_unlink(&w->link);
                        sem_post(&w->answered);
                        break;
                }
        pthread_mutex_unlock(&waiting_lock);
}

static void waiter_wait(struct waiter *w)
{
        while (sem_wait(&w->answered))
                continue;
        sem_destroy(&w->answered);
}

static void coord_done(struct coord_request *rq)
{
        waiter_wake(rq);
}

static void controller_done(struct controller_request *rq)
{
        waiter_wake(rq);
}

void ask_coord(struct node *n, struct coord_request *rq)
{
        struct waiter w;

        waiter_add(&w, rq);
        rq->reply_loop = n->loop;
        rq->done = coord_done;
        coord_submit(n->coord, rq);
        waiter_wait(&w);
}

void ask_txns(struct node *n, struct coord_request *rq)
{
        struct waiter w;

        waiter_add(&w, rq);
        rq->reply_loop = n->loop;
        rq->done = coord_done;
        coord_submit(n->txns, rq);
        waiter_wait(&w);
}

static void record(struct node *n, const struct http_request *who, struct audit_change *change,
                   const struct controller_request *rq)
{
        struct meta_image *image;
        struct admin_record r;

        if (!change->is_recorded)
                return;
        image = controller_image(n->controller);
        admin_record_init(&r, AUDIT_CHANGE, who);
        r.e.node = n->led.node_id;
        audit_change_end(change, audit_sink_of(&n->audit), image, rq, &r.e);
        meta_image_unref(image);
}

static void record_abort(struct node *n, const struct http_request *who, const struct txn_abort *a)
{
        const struct audit_sink *sink = audit_sink_of(&n->audit);
        struct admin_record r;

        if (!sink)
                return;
        admin_record_init(&r, AUDIT_CHANGE, who);
        r.e.node = n->led.node_id;
        r.e.operation = STR_LIT("ABORT_TRANSACTION");
        r.e.resource = STR_LIT("TRANSACTIONAL_ID");
        r.e.name = a->rq.id;
        r.e.outcome = a->rq.outcome ? STR_LIT("refused") : STR_LIT("done");
        sink->put(sink->arg, &r.e);
}

void ask_txn_abort(struct node *n, const struct http_request *who, struct txn_abort *a)
{
        struct waiter w;

        waiter_add(&w, &a->rq);
        a->rq.reply_loop = n->loop;
        a->rq.done = coord_done;
        txn_link_abort(&n->txn_link, a);
        waiter_wait(&w);
        record_abort(n, who, a);
}

void ask_controller(struct node *n, const struct http_request *who, struct controller_request *rq)
{
        struct audit_change change;
        struct meta_image *image;
        struct waiter w;

        image = controller_image(n->controller);
        audit_change_begin(&change, audit_sink_of(&n->audit), image, rq);
        meta_image_unref(image);
        if (change.is_recorded && !audit_wait_for_room(&n->audit)) {
                strbuf_fini(&change.before);
                rq->result =
                        (struct controller_result){ CONTROLLER_E_BUSY,
                                                    STR_LIT("The audit log takes nothing more: see audit.on_full.") };
                return;
        }
        waiter_add(&w, rq);
        rq->reply_loop = n->loop;
        rq->done = controller_done;
        controller_submit(n->controller, rq);
        waiter_wait(&w);
        record(n, who, &change, rq);
}
