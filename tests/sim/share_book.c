/* See share_book.h. */
#include "share_book.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

struct share_counts share_counts;

static struct share_record *at(struct share_book *b, int64_t offset)
{
        if (offset >= b->records_room) {
                int64_t room = MAX2(offset + 1, 2 * b->records_room + 1024);

                b->records = realloc(b->records, (size_t)room * sizeof *b->records);
                assert(b->records);
                memset(b->records + b->records_room, 0, (size_t)(room - b->records_room) * sizeof *b->records);
                b->records_room = room;
        }
        return &b->records[offset];
}

static void violated(const struct share_book *b, int64_t offset, const char *what)
{
        char text[256];

        snprintf(text, sizeof text, "group %s: offset %lld of %s-%d %s", b->group, (long long)offset,
                 b->part->topic->name, b->part->index, what);
        history_violated(text);
}

void share_book_acquired(struct share_book *b, int64_t first, int64_t last, int deliveries,
                         const struct share_hold *hold, uint64_t disturbed)
{
        for (int64_t o = first; o <= last; o++) {
                struct share_record *r = at(b, o);

                if (r->state == SHARE_ENDED && r->ended_ns < hold->asked_ns)
                        violated(b, o, "comes again, and its end had been confirmed");
                if (r->hold.member && r->hold.member != hold->member && r->hold.disturbed == disturbed &&
                    sim_now() < r->hold.until_ns)
                        violated(b, o, "is given to a second member, and the first one holds it");
                if (deliveries < 1 || deliveries > b->deliveries_max)
                        violated(b, o, "is delivered more often than it may be");
                if (o >= b->part->records_count || !b->part->records[o].stream)
                        violated(b, o, "is acquired, and not among the records that came");
                r->deliveries = MAX2(r->deliveries, deliveries);
                r->hold = *hold;
                share_counts.acquired++;
                share_counts.redelivered += deliveries > 1;
        }
}

void share_book_let_go(struct share_book *b, unsigned member, int64_t first, int64_t last)
{
        for (int64_t o = first; o <= MIN2(last, b->records_room - 1); o++)
                if (b->records[o].hold.member == member)
                        b->records[o].hold.member = 0;
}

void share_book_let_all_go(struct share_book *b, unsigned member)
{
        share_book_let_go(b, member, 0, b->records_room - 1);
}

int64_t share_book_held_until(const struct share_book *b, unsigned member, int64_t first, uint64_t disturbed)
{
        const struct share_hold *h = first < b->records_room ? &b->records[first].hold : NULL;

        return h && h->member == member && h->disturbed == disturbed ? h->until_ns : 0;
}

void share_book_asks(struct share_book *b, int64_t first, int64_t last)
{
        for (int64_t o = first; o <= last; o++) {
                struct share_record *r = at(b, o);

                if (r->state == SHARE_OPEN)
                        r->state = SHARE_UNSURE;
        }
}

void share_book_ended(struct share_book *b, int64_t first, int64_t last)
{
        for (int64_t o = first; o <= last; o++) {
                struct share_record *r = at(b, o);

                if (r->state == SHARE_ENDED)
                        violated(b, o, "is ended twice, and both were confirmed");
                r->state = SHARE_ENDED;
                r->ended_ns = sim_now();
        }
}

int64_t share_book_some_ended(const struct share_book *b, int64_t from)
{
        for (int64_t o = from; o < b->records_room; o++)
                if (b->records[o].state == SHARE_ENDED)
                        return o;
        return -1;
}

void share_book_start(struct share_book *b, int64_t before, int64_t start)
{
        if (start < before)
                violated(b, start, "is where the group begins, and it had been further");
        b->start_told = MAX2(b->start_told, start);
}

/* Only what was delivered as often as it may be is given up; of some deliveries nobody has heard. */
void share_book_finish(struct share_book *b, int64_t end)
{
        int64_t first = -1;
        uint64_t unheard = 0;

        for (int64_t o = 0; o < end; o++) {
                struct share_record *r = at(b, o);

                if (r->state != SHARE_OPEN)
                        continue;
                share_counts.given_up++;
                if (r->deliveries == b->deliveries_max)
                        continue;
                unheard += (uint64_t)(b->deliveries_max - r->deliveries);
                first = first < 0 ? o : first;
        }
        if (unheard > b->lost)
                violated(b, first, "was neither accepted nor rejected, nor delivered as often as it may be");
}
