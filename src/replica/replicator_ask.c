/* Questions about ISRs: those that came up while one batch is with the controller go together in the next. */
#include <errno.h>
#include <stdlib.h>

#include "replica/replicator_priv.h"

enum { ALTER_ITEMS_MAX = 1000 }; /* of one request: about 100 KiB, which the controller decides in a few milliseconds */

static void asks_send(struct replicator *r)
{
        size_t count = MIN2(r->asks_count, (size_t)ALTER_ITEMS_MAX);
        struct replica_alter *a;

        if (r->ask_runs || !count || r->stopping)
                return;
        a = calloc(1, sizeof *a + count * sizeof *a->items);
        if (!a) {
                loop_timer_start(&r->ask_timer, 1000);
                return;
        }
        a->items = (struct replica_alter_item *)(a + 1);
        a->replicator = r;
        for (size_t i = 0; i < count; i++) {
                struct partition *p = r->asks[--r->asks_count];
                struct replica_alter_item *item = &a->items[a->count];

                if (partition_take_ask(p, &item->ask)) {
                        item->partition = p;
                        item->outcome = INSYNC_E_UNKNOWN;
                        a->count++;
                } else {
                        partition_unref(p);
                }
        }
        if (!a->count) {
                free(a);
                return;
        }
        r->ask_runs = true;
        r->busy++;
        r->cfg.ops.alter(r->cfg.ops.arg, a);
}

static void on_answer(struct loop *l, struct mail *m)
{
        struct replica_alter *a = container_of(m, struct replica_alter, mail);
        struct replicator *r = a->replicator;

        (void)l;
        r->ask_runs = false;
        r->busy--;
        for (size_t i = 0; i < a->count; i++) {
                partition_ask_answered(a->items[i].partition, &a->items[i].ask, a->items[i].outcome);
                partition_unref(a->items[i].partition);
        }
        free(a);
        asks_send(r);
}

void replica_alter_answer(struct replica_alter *a)
{
        a->mail.fn = on_answer;
        loop_post(a->replicator->loop, &a->mail);
}

static void on_timer(struct loop_timer *t)
{
        asks_send(container_of(t, struct replicator, ask_timer));
}

void asks_add(struct replicator *r, struct partition *p)
{
        if (r->asks_count == r->asks_size) {
                size_t size = r->asks_size ? r->asks_size * 2 : 64;
                struct partition **asks = reallocarray(r->asks, size, sizeof *asks);

                if (!asks) {
                        r->rescan = true;
                        return;
                }
                r->asks = asks;
                r->asks_size = size;
        }
        r->asks[r->asks_count++] = partition_ref(p);
        if (!r->ask_runs && !loop_timer_is_active(&r->ask_timer))
                loop_timer_start(&r->ask_timer, 0); /* others that come in this turn go with it */
}

void asks_init(struct replicator *r)
{
        loop_timer_init(&r->ask_timer, r->loop, on_timer);
}

void asks_fini(struct replicator *r)
{
        loop_timer_stop(&r->ask_timer);
        while (r->asks_count)
                partition_unref(r->asks[--r->asks_count]);
        free(r->asks);
        r->asks = NULL;
        r->asks_size = 0;
}
