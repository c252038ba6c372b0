/* What a group has done in a partition is written to its coordinator: one write at a time, which holds all that came before it. */
#include <errno.h>

#include "share/shares_priv.h"
#include "sys/clock.h"

static void on_written(struct coord_request *rq);

/* Return: false: no memory. */
static bool fill(struct share_cell *c)
{
        struct coord_share_write *w = &c->call.write;
        size_t size = share_part_runs(c->part), count;
        struct share_run *runs = ARENA_NEW_ARRAY(&w->rq.arena, struct share_run, size);
        struct coord_share_run *out = ARENA_NEW_ARRAY(&w->rq.arena, struct coord_share_run, size);

        if (!runs || !out)
                return false;
        count = share_part_snapshot(c->part, runs);
        for (size_t i = 0; i < count; i++) {
                bool says_nothing = runs[i].state == SHARE_AVAILABLE && !runs[i].deliveries;

                if (!says_nothing)
                        out[w->runs_count++] =
                                (struct coord_share_run){ runs[i].first, runs[i].last, (int8_t)runs[i].state,
                                                          (int16_t)MIN2((int)runs[i].deliveries, INT16_MAX) };
        }
        w->runs = out;
        w->start = share_part_start(c->part);
        w->topic_id = c->place.topic_id;
        w->partition = c->place.index;
        w->leader_epoch = c->leader_epoch;
        w->state_epoch = c->state_epoch;
        w->number = ++c->number;
        return true;
}

void cell_write(struct share_cell *c)
{
        struct share_shard *sh = c->shard;
        struct share_call *call = &c->call;
        bool is_due =
                c->state == CELL_STARTING || (c->state == CELL_READY && share_part_changes(c->part) != c->written);

        if (!is_due || c->calling)
                return;
        if (!c->tries)
                c->since_ms = clock_mono_ms();
        *call = (struct share_call){ 0 };
        coord_request_init(&call->rq, COORD_SHARE_WRITE, c->group);
        call->rq.reply_loop = sh->loop;
        call->rq.done = on_written;
        if (!fill(c)) {
                coord_request_fini(&call->rq);
                cell_end(c, -ENOMEM);
                return;
        }
        c->calling = true;
        c->writing = share_part_changes(c->part);
        c->refs++;
        sh->work++;
        SHARES_COUNT(sh->owner, writes, 1);
        sh->owner->cfg.ask(sh->owner->cfg.arg, call);
}

static void written(struct share_cell *c)
{
        struct share_row *row;

        c->calling = false;
        c->tries = 0;
        c->written = c->writing;
        if (c->state == CELL_STARTING)
                cell_ready(c);
        while ((row = ilist_first(&c->acks, struct share_row, ack_link)) && row->ack_need <= c->written)
                row_acked(row, SHARES_OK);
        cell_write(c);
}

static void on_written(struct coord_request *rq)
{
        struct share_cell *c = container_of(rq, struct share_cell, call.rq);
        int outcome = rq->outcome;

        c->shard->work--;
        coord_request_fini(rq);
        if (outcome)
                SHARES_COUNT(c->shard->owner, writes_failed, 1);
        if (c->state == CELL_GONE)
                c->calling = false;
        else if (!outcome)
                written(c);
        else if (!cell_call_again(c, outcome))
                cell_end(c, cell_outcome_of(outcome));
        cell_unref(c);
}
