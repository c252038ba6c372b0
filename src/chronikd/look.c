/* See look.h.
 *
 *   request of another node --on the hub's reactor--> job on @pool --admin_answer()--> peer_answer()
 *
 * Nothing that is answered this way looks at a third node, so that nodes never wait for each other in a circle. */
#include "chronikd/look.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "chronikd/node.h"
#include "chronikd/peer_look.h"
#include "sys/clock.h"

#define HERE "/v1/here/"

enum {
        THREADS = 2, /* operators are few */
        IN_WORK_MAX = 32,
        TIMEOUT_MS = 5000,
        BODY_LEN_MAX = 16 << 20, /* every topic of a large cluster */
};

/* ---- answering ---- */

struct look_job {
        struct io_job job;
        struct node *n;
        struct peer_request *from;
        char *path;
};

static void job_run(struct io_job *job)
{
        struct look_job *j = container_of(job, struct look_job, job);
        struct http_request rq = { .method = "GET", .path = j->path, .status = 200 };
        struct peer_look_response answer;
        struct peer_out out;
        int r = 0;

        admin_answer(j->n, &rq);
        peer_look_response_init(&answer);
        answer.status = (int16_t)rq.status;
        answer.body = span_of(rq.out.data, rq.out.len);
        r = rq.out.failed || rq.out.len > BODY_LEN_MAX
                    ? -ENOMEM
                    : PEER_ENCODE(&out, peer_look_response, &answer, j->from->version, 0);
        if (r)
                peer_refuse(j->from, r);
        else
                peer_answer(j->from, &out);
        strbuf_fini(&rq.out);
        atomic_fetch_sub(&j->n->look.in_work, 1);
}

static void job_done(struct io_job *job)
{
        struct look_job *j = container_of(job, struct look_job, job);

        free(j->path);
        free(j);
}

static struct look_job *job_new(struct node *n, struct peer_request *from, struct str path)
{
        struct look_job *j = calloc(1, sizeof *j);

        if (!j)
                return NULL;
        *j = (struct look_job){
                .job = { .run = job_run, .done = job_done }, .n = n, .from = from, .path = strndup(path.p, path.len)
        };
        if (j->path)
                return j;
        free(j);
        return NULL;
}

static void asked(void *arg, struct peer_request *from)
{
        struct peer_look_request rq;
        struct node *n = arg;
        struct look_job *j;
        int r = PEER_DECODE(peer_look_request, &rq, from->body, from->version, &from->arena);

        if (!r && (rq.path.len < strlen(HERE) || memcmp(rq.path.p, HERE, strlen(HERE)) != 0 ||
                   memchr(rq.path.p, '\0', rq.path.len)))
                r = WIRE_E_MALFORMED;
        if (r) {
                peer_refuse(from, r);
                return;
        }
        if (atomic_fetch_add(&n->look.in_work, 1) < IN_WORK_MAX && n->look.pool && !atomic_load(&n->look.stopping) &&
            (j = job_new(n, from, rq.path))) {
                iopool_submit(n->look.pool, &j->job);
                return;
        }
        atomic_fetch_sub(&n->look.in_work, 1);
        peer_refuse(from, -EBUSY);
}

int look_register(struct node *n)
{
        return peer_hub_register(n->mesh.hub,
                                 &(struct peer_service){ .key = PEER_LOOK_REQUEST_KEY, .request = asked, .arg = n });
}

int look_start(struct node *n)
{
        struct iopool *pool;
        int r = n->mesh.hub ? iopool_new(THREADS, &pool) : 0;

        if (!r && n->mesh.hub)
                n->look.pool = pool;
        return r;
}

void look_stop(struct node *n)
{
        atomic_store(&n->look.stopping, true);
        /* The reactors may be in asked() with a look at the old value. */
        while (atomic_load(&n->look.in_work))
                clock_sleep_ms(1);
}

/* ---- asking ---- */

struct look_waiter {
        struct peer_call call;
        struct look_ask *ask;
        sem_t answered;
};

static void answer_read(struct look_ask *a, const struct peer_call *call)
{
        struct peer_look_response rsp;
        struct arena mem;

        arena_init(&mem, 4096);
        if (call->outcome != PEER_OK) {
                snprintf(a->why, sizeof a->why, "%s",
                         call->outcome < 0 ? strerror(-call->outcome) : peer_outcome_name(call->outcome));
        } else if (PEER_DECODE(peer_look_response, &rsp, call->body, call->version, &mem)) {
                snprintf(a->why, sizeof a->why, "its answer cannot be read");
        } else {
                a->status = rsp.status;
                a->body = json_loadb((const char *)rsp.body.data, rsp.body.len, 0, NULL);
        }
        arena_fini(&mem);
}

static void call_done(struct peer_call *call)
{
        struct look_waiter *w = container_of(call, struct look_waiter, call);

        sem_post(&w->answered);
}

static void ask_begin(struct node *n, struct look_ask *a)
{
        struct look_waiter *w = calloc(1, sizeof *w);
        struct peer_look_request rq;

        a->status = 0;
        a->body = NULL;
        a->waiter = NULL;
        peer_look_request_init(&rq);
        rq.path = str_of(a->path);
        if (!w || PEER_ENCODE(&w->call.out, peer_look_request, &rq, 0, 0)) {
                snprintf(a->why, sizeof a->why, "memory is out");
                free(w);
                return;
        }
        w->ask = a;
        w->call.node = a->node;
        w->call.lane = PEER_CONTROL;
        w->call.key = PEER_LOOK_REQUEST_KEY;
        w->call.timeout_ms = TIMEOUT_MS;
        w->call.loop = n->loop;
        w->call.done = call_done;
        sem_init(&w->answered, 0, 0);
        a->waiter = w;
        peer_call_submit(n->mesh.hub, &w->call);
}

void look_ask(struct node *n, struct look_ask *asks, size_t count)
{
        for (size_t i = 0; i < count; i++)
                ask_begin(n, &asks[i]);
        for (size_t i = 0; i < count; i++) {
                struct look_waiter *w = TAKE_PTR(asks[i].waiter);

                if (!w)
                        continue;
                while (sem_wait(&w->answered))
                        continue;
                answer_read(&asks[i], &w->call);
                iobuf_unref(w->call.frame);
                sem_destroy(&w->answered);
                free(w);
        }
}

size_t look_ask_others(struct node *n, const struct meta_image *image, const char *path, struct look_ask **ret_asks)
{
        const struct meta_broker *b;
        struct look_ask *asks = n->mesh.hub ? calloc(image->brokers.count + 1, sizeof *asks) : NULL;
        size_t count = 0;

        *ret_asks = asks;
        if (!asks)
                return 0;
        pmap_for_each (it, b, &image->brokers)
                if (b->id != n->led.node_id && !b->fenced)
                        asks[count++] = (struct look_ask){ .node = b->id, .path = path };
        look_ask(n, asks, count);
        return count;
}

void look_asks_free(struct look_ask *asks, size_t count)
{
        for (size_t i = 0; i < count; i++)
                json_decref(asks[i].body);
        free(asks);
}
