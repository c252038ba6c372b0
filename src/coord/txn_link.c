#include "coord/txn_link.h"

#include "coord/log_ends.h"

void txn_link_init(struct txn_link *l)
{
        atomic_store(&l->in_work, 1);
}

int txn_link_register(struct txn_link *l)
{
        int r = l->hub ? mark_write_register(l) : 0;

        if (!r && l->hub)
                r = txn_ask_register(l);
        if (!r && l->hub)
                r = txn_abort_register(l);
        return !r && l->hub ? log_ends_register(l) : r;
}

void txn_link_start(struct txn_link *l, struct coord *groups, struct coord *txns)
{
        atomic_store(&l->groups, groups);
        atomic_store(&l->txns, txns);
}

static void on_stopped(struct loop *loop, struct mail *m)
{
        struct txn_link *l = container_of(m, struct txn_link, stop_mail);

        (void)loop;
        l->stopped(l->stopped_arg);
}

void txn_link_begin(struct txn_link *l)
{
        atomic_fetch_add(&l->in_work, 1);
}

void txn_link_end(struct txn_link *l)
{
        if (atomic_fetch_sub(&l->in_work, 1) != 1)
                return;
        l->stop_mail.fn = on_stopped;
        loop_post(l->stop_loop, &l->stop_mail);
}

void txn_link_stop(struct txn_link *l, struct loop *loop, void (*stopped)(void *arg), void *arg)
{
        l->stop_loop = loop;
        l->stopped = stopped;
        l->stopped_arg = arg;
        atomic_store(&l->stopping, true);
        txn_link_end(l);
}
