/* A verification that the operator asked for: which partitions, how far it is, what was found. One at a time; the last one is
 * kept until the next is asked for. The checking is scrub.c's; admin threads and the loop meet here, under one lock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chronikd/scrub.h"
#include "sys/clock.h"

static void items_free(struct verify_item *items, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                partition_unref(items[i].partition);
                free(items[i].damaged);
        }
        free(items);
}

/* ---- asking ---- */

struct collection {
        const struct verify_args *args;
        struct verify v;
        size_t size;
};

static int collect(void *arg, struct partition *p)
{
        struct collection *c = arg;
        struct verify *v = &c->v;
        struct plog_ends ends;

        if ((!uuid_is_zero(c->args->topic_id) && !uuid_equal(c->args->topic_id, partition_topic_id(p))) ||
            (c->args->partition >= 0 && c->args->partition != partition_index(p)))
                return 0;
        if (v->items_count == c->size) {
                size_t size = c->size ? c->size * 2 : 64;
                struct verify_item *items = realloc(v->items, size * sizeof *items);

                if (!items)
                        return -ENOMEM;
                v->items = items;
                c->size = size;
        }
        v->items[v->items_count] = (struct verify_item){ .partition = partition_ref(p), .index = partition_index(p) };
        snprintf(v->items[v->items_count++].topic, sizeof v->items->topic, "%s", partition_topic_name(p));
        plog_ends(partition_log(p), &ends);
        v->bytes_all += ends.size_bytes;
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct verify_item *x = a, *y = b;
        int r = strcmp(x->topic, y->topic);

        return r ? r : (x->index > y->index) - (x->index < y->index);
}

int verify_ask(struct scrub *s, const struct verify_args *args, uint64_t *ret_id)
{
        struct collection c = { .args = args };
        int r = partition_table_visit(s->table, collect, &c);
        struct verify old = { 0 };

        if (!r && !c.v.items_count)
                r = VERIFY_E_NO_PARTITION;
        if (r) {
                items_free(c.v.items, c.v.items_count);
                return r;
        }
        qsort(c.v.items, c.v.items_count, sizeof *c.v.items, compare);
        c.v.running = true;
        c.v.bytes_per_second_max = args->bytes_per_second_max;
        c.v.asked_ms = clock_mono_ms();
        pthread_mutex_lock(&s->lock);
        r = s->verify.running ? VERIFY_E_RUNNING : VERIFY_OK;
        old = r ? c.v : s->verify;
        if (!r) {
                c.v.id = *ret_id = s->verify.id + 1;
                s->verify = c.v;
                if (!s->mailed)
                        loop_post(s->loop, &s->asked_mail);
                s->mailed = true;
        }
        pthread_mutex_unlock(&s->lock);
        items_free(old.items, old.items_count);
        return r;
}

void verify_look(struct scrub *s, void (*fn)(void *arg, const struct verify *v), void *arg)
{
        pthread_mutex_lock(&s->lock);
        s->verify.asked_ms = clock_mono_ms();
        fn(arg, &s->verify);
        pthread_mutex_unlock(&s->lock);
}

/* ---- doing ---- */

struct partition *verify_next(struct scrub *s)
{
        struct partition *p = NULL;

        pthread_mutex_lock(&s->lock);
        if (s->verify.running)
                p = partition_ref(s->verify.items[s->verify.at].partition);
        pthread_mutex_unlock(&s->lock);
        return p;
}

int64_t verify_rate(struct scrub *s)
{
        int64_t rate;

        pthread_mutex_lock(&s->lock);
        rate = s->verify.bytes_per_second_max;
        pthread_mutex_unlock(&s->lock);
        return rate;
}

void verify_progress(struct scrub *s, int64_t bytes)
{
        pthread_mutex_lock(&s->lock);
        s->verify.bytes += bytes;
        pthread_mutex_unlock(&s->lock);
}

static void take_damage(struct verify_item *item, struct plog *log)
{
        size_t count = plog_damaged(log, 0, NULL);

        item->damaged = count ? calloc(count, sizeof *item->damaged) : NULL;
        if (!item->damaged)
                item->damaged_count = count; /* at least how many there are */
        else
                item->damaged_count = MIN2(count, plog_damaged(log, count, item->damaged));
}

void verify_note(struct scrub *s, struct partition *p, int outcome, const struct plog_scrub_result *result)
{
        struct verify_item item = { .outcome = outcome, .done = true, .result = *result }, *at;
        struct partition *gone = NULL;

        take_damage(&item, partition_log(p));
        pthread_mutex_lock(&s->lock);
        if (s->verify.running) {
                at = &s->verify.items[s->verify.at++];
                gone = at->partition;
                at->partition = NULL;
                at->outcome = item.outcome;
                at->done = true;
                at->result = item.result;
                at->damaged = TAKE_PTR(item.damaged);
                at->damaged_count = item.damaged_count;
                s->verify.running = s->verify.at < s->verify.items_count;
        }
        pthread_mutex_unlock(&s->lock);
        free(item.damaged);
        partition_unref(gone);
}

bool verify_is_abandoned(struct scrub *s)
{
        bool abandoned;

        pthread_mutex_lock(&s->lock);
        abandoned = s->verify.running && clock_mono_ms() - s->verify.asked_ms > VERIFY_PATIENCE_MS;
        pthread_mutex_unlock(&s->lock);
        return abandoned;
}

/* One that was not looked at and need not be held any more; NULL: there is none. */
static struct partition *take_left(struct scrub *s)
{
        struct partition *p = NULL;

        pthread_mutex_lock(&s->lock);
        if (s->verify.running)
                s->verify.abandoned = true;
        s->verify.running = false;
        for (; !p && s->verify.at < s->verify.items_count; s->verify.at++)
                p = TAKE_PTR(s->verify.items[s->verify.at].partition);
        pthread_mutex_unlock(&s->lock);
        return p;
}

void verify_end(struct scrub *s)
{
        struct partition *p;

        while ((p = take_left(s)))
                partition_unref(p); /* not under the lock: it may be the last one */
}

void scrub_fini(struct scrub *s)
{
        items_free(s->verify.items, s->verify.items_count);
        s->verify = (struct verify){ 0 };
}
