/* Credentials as time goes by.
 *
 *     text, environment   read once, when the store is opened
 *     files, systemd      read when the store is opened, and by a job of the pool every 10 s of use
 *     the others          asked for over HTTP when they are needed first, and again before they expire (remote.c)
 *
 * While there are some that may still be right they are used; only who finds none waits. */
#include "object/keys.h"

#include <stdio.h>

#include "object/internal.h"
#include "object/remote.h"
#include "sys/clock.h"

/* Asked for anew so long before they expire; and not asked for again so soon after that failed. */
enum { EARLY_MS = 300000, AGAIN_MS = 1000 };

static bool is_remote(const struct object_keys *k)
{
        return k->s->c.source >= OBJECT_FROM_INSTANCE;
}

static bool is_file(const struct object_keys *k)
{
        return k->s->c.source == OBJECT_FROM_FILE || k->s->c.source == OBJECT_FROM_SYSTEMD;
}

/* The fetch is over; @r: its result, of which k->read or k->why tells. */
static void fetched(struct object_keys *k, int r)
{
        struct ilist waiting = ILIST_INIT(waiting), *link;

        k->fetching = false;
        k->checked_ms = loop_now_ms(k->s->loop);
        k->result = r;
        if (!r) {
                k->now = k->read;
                k->have = true;
        }
        explicit_bzero(&k->read, sizeof k->read);
        /* Who waits again, because they expire at once, waits in the list. */
        ilist_splice_back(&waiting, &k->waiting);
        while ((link = ilist_pop_front(&waiting)))
                object_try_go_on(ilist_entry(link, struct object_try, key_wait));
        object_store_idle(k->s);
}

static void read_job(struct io_job *job)
{
        struct object_keys *k = container_of(job, struct object_keys, job);

        k->result = is_file(k) ? object_credentials_read(&k->c, &k->read, k->why) : object_remote_prepare(k);
}

static void on_read(struct io_job *job)
{
        struct object_keys *k = container_of(job, struct object_keys, job);

        if (k->result || is_file(k) || k->s->closing)
                fetched(k, k->result ? k->result : is_file(k) ? 0 : OBJECT_CANCELLED);
        else
                object_remote_start(k, fetched);
}

static void fetch(struct object_keys *k)
{
        if (k->fetching)
                return;
        k->fetching = true;
        k->job = (struct io_job){ .run = read_job, .done = on_read, .reply_loop = k->s->loop };
        iopool_submit(k->s->pool, &k->job);
}

int object_keys_get(struct object_keys *k, struct ilist *try_link)
{
        int64_t age = loop_now_ms(k->s->loop) - k->checked_ms, left = k->now.expires_ms - clock_wall_ms();
        bool dated = k->have && k->now.expires_ms, expired = dated && left <= 0;

        if (is_file(k) && k->have && age >= CREDENTIALS_CHECK_MS)
                fetch(k);
        if (dated && left < EARLY_MS && age >= AGAIN_MS)
                fetch(k);
        if (k->have && !expired)
                return 0;
        if (!k->fetching && k->result && age < AGAIN_MS)
                return k->result;
        fetch(k);
        ilist_unlink(try_link);
        ilist_push_back(&k->waiting, try_link);
        return -EAGAIN;
}

bool object_keys_refused(struct object_keys *k)
{
        if (!is_file(k) && !is_remote(k))
                return false;
        k->have = false;
        if (!k->fetching) /* else the job says */
                k->result = 0;
        return true;
}

int object_keys_init(struct object_keys *k, struct object_store *s, char *ret_why)
{
        int r;

        k->s = s;
        k->c = s->c;
        ilist_init(&k->waiting);
        if (is_remote(k))
                return object_remote_check(&s->c, ret_why);
        r = object_credentials_read(&s->c, &k->now, ret_why);
        k->have = !r;
        k->checked_ms = clock_mono_ms();
        return r;
}

void object_keys_stop(struct object_keys *k)
{
        if (!k->transfer)
                return;
        k->transfer = object_transfer_free(k->transfer);
        snprintf(k->why, sizeof k->why, "the store is being closed");
        fetched(k, OBJECT_CANCELLED);
}

void object_keys_fini(struct object_keys *k)
{
        explicit_bzero(&k->now, sizeof k->now);
        if (k->secret)
                explicit_bzero(k->secret, strlen(k->secret));
        free(k->secret);
}
