/* What members say of records that are under way to them. The answer waits until it is written. */
#include <errno.h>

#include "share/shares_priv.h"
#include "sys/clock.h"

static void count(struct shares *s, const struct share_row *row)
{
        for (size_t i = 0; i < row->acks_count; i++) {
                uint64_t n = (uint64_t)(row->acks[i].last - row->acks[i].first + 1);

                if (row->acks[i].type == SHARE_ACCEPT)
                        SHARES_COUNT(s, acknowledged, n);
                else if (row->acks[i].type == SHARE_RELEASE)
                        SHARES_COUNT(s, released, n);
                else if (row->acks[i].type == SHARE_REJECT)
                        SHARES_COUNT(s, rejected, n);
        }
}

/* Return: an outcome; SHARES_OK with @ret_need: good once that is written. */
static int acknowledge(struct share_ask *a, struct share_row *row, uint64_t *ret_need)
{
        struct share_cell *c = row->cell;
        uint64_t before;
        int r;

        if (!cell_check(c))
                return c->outcome;
        if (c->state != CELL_READY) /* then nothing is under way */
                return SHARES_E_STATE;
        before = share_part_changes(c->part);
        r = share_part_acknowledge(c->part, a->number, row->acks, row->acks_count, clock_mono_ms());
        if (r == SHARE_E_STATE) /* as Kafka tells what nobody has ever been given */
                return row->acks[row->acks_count - 1].last >= share_part_end(c->part) ? SHARES_E_INVALID
                                                                                      : SHARES_E_STATE;
        if (r)
                return r;
        count(a->shares, row);
        *ret_need = share_part_changes(c->part);
        if (*ret_need == before) /* a renewal: nothing of it is written */
                *ret_need = 0;
        cell_set_locks(c);
        cell_news(c);
        return SHARES_OK;
}

static bool renews(const struct share_row *row)
{
        for (size_t i = 0; i < row->acks_count; i++)
                if (row->acks[i].type == SHARE_RENEW)
                        return true;
        return false;
}

static void row_acknowledge(struct share_ask *a, struct share_row *row)
{
        struct share_cell *c = row->cell;
        uint64_t need = 0;

        if (row->ack_fault || !c) {
                row->ack_outcome = row->ack_fault ? row->ack_fault : cell_missing(a->shard, &row->place);
                return;
        }
        if (!a->ret_settings.may_renew && renews(row)) {
                row->ack_outcome = SHARES_E_STATE;
                return;
        }
        row->ack_outcome = acknowledge(a, row, &need);
        if (row->ack_outcome || need <= c->written)
                return;
        row->ack_need = need;
        a->acks_left++;
        ilist_push_back(&c->acks, &row->ack_link);
        cell_write(c);
}

void ask_acknowledge(struct share_ask *a)
{
        a->acks_left = 1; /* nothing ends before all are under way */
        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];

                if (row->refused || (!row->acks_count && !row->ack_fault))
                        continue;
                a->has_acks = true;
                if (!row->cell) {
                        row->cell = cell_find(a->shard, a->group, &row->place);
                        if (row->cell)
                                row->cell->refs++;
                }
                row_acknowledge(a, row);
        }
        a->acks_left--;
}

void row_acked(struct share_row *row, int outcome)
{
        struct share_ask *a = row->ask;

        ilist_unlink(&row->ack_link);
        row->ack_outcome = outcome;
        if (--a->acks_left)
                return;
        a->late = true; /* who waits for records, too, learns at once that these are done */
        ask_make_ready(a);
}

void session_release(struct share_shard *sh, const struct share_session *ss)
{
        struct str group = share_session_group(ss);

        ilist_for_each (c, &sh->cells_list, struct share_cell, link) {
                uint64_t before;

                if (c->state != CELL_READY || !str_equal(c->group, group))
                        continue;
                before = share_part_changes(c->part);
                (void)share_part_release(c->part, ss->number); /* takes no memory */
                if (share_part_changes(c->part) == before)
                        continue;
                cell_set_locks(c);
                cell_news(c);
                cell_write(c); /* it may end, which takes it out of the list */
        }
}
