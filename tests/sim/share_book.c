/* See share_book.h. */
#include "share_book.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum { BOOKS_MAX = 32 };
/* No node hangs for longer. */
#define LATE_NS (INT64_C(60) * 1000000000)

struct share_counts share_counts;
static struct share_book books[BOOKS_MAX];
static unsigned books_count;

struct share_book *share_book_new(const char *group, struct history_part *p, int deliveries_max)
{
        struct share_book *b = &books[books_count++];

        assert(books_count <= BOOKS_MAX);
        *b = (struct share_book){ .group = group,
                                  .part = p,
                                  .deliveries_max = deliveries_max,
                                  .committed = p->topic->promise == PROMISE_LEDGER };
        return b;
}

void share_books_reset(void)
{
        for (unsigned i = 0; i < books_count; i++) {
                free(books[i].records);
                free(books[i].unheard);
        }
        books_count = 0;
        share_counts = (struct share_counts){ 0 };
}

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

/* ---- what is given ---- */

void share_book_came(struct share_book *b, int64_t offset)
{
        at(b, offset)->came = true;
}

static bool has_come(const struct share_book *b, const struct share_record *r, int64_t offset)
{
        if (b->committed)
                return r->came;
        return offset < b->part->records_count && b->part->records[offset].stream;
}

/* The most deliveries that there may have been by now: of those since it was told of nobody may have heard. */
static int deliveries_at_most(const struct share_book *b, const struct share_record *r)
{
        int count = b->unheard_count, first = count;

        while (first && (!r->heard || b->unheard[first - 1] > r->told_ns - LATE_NS))
                first--;
        return r->deliveries_most + b->asked + count - first;
}

static void check_deliveries(const struct share_book *b, const struct share_record *r, int64_t offset, int deliveries,
                             const struct share_hold *hold, struct share_now now)
{
        if (deliveries < 1 || deliveries > b->deliveries_max)
                violated(b, offset, "is delivered more often than it may be");
        if (deliveries <= r->deliveries_sure)
                violated(b, offset, "is delivered again, and what was counted and confirmed is forgotten");
        if (r->heard && hold->asked_ns >= r->told_ns && r->hold.disturbed == now.disturbed &&
            deliveries <= r->deliveries_told)
                violated(b, offset, "is delivered again, and that is not counted");
        if (deliveries > r->deliveries_most + 1 && deliveries > deliveries_at_most(b, r) + 1)
                violated(b, offset, "was not delivered as often as is counted");
}

void share_book_acquired(struct share_book *b, int64_t first, int64_t last, int deliveries,
                         const struct share_hold *hold, struct share_now now)
{
        for (int64_t o = first; o <= last; o++) {
                struct share_record *r = at(b, o);

                if (r->fate == SHARE_ENDED && r->ended_ns < hold->asked_ns)
                        violated(b, o, "comes again, and its end had been confirmed");
                if (r->hold.member && r->hold.member != hold->member && r->hold.disturbed == now.disturbed &&
                    now.ns < r->hold.until_ns)
                        violated(b, o, "is given to a second member, and the first one holds it");
                check_deliveries(b, r, o, deliveries, hold, now);
                if (!has_come(b, r, o))
                        violated(b, o, "is acquired, and not among the records that came");
                r->heard++;
                r->deliveries_told = deliveries;
                r->deliveries_most = MAX2(r->deliveries_most, deliveries);
                r->told_ns = now.ns;
                r->hold = *hold;
                share_counts.acquired++;
                share_counts.redelivered += deliveries > 1;
                share_counts.committed += b->committed;
        }
}

void share_book_asked(struct share_book *b, int64_t records_max)
{
        b->unheard_records += records_max;
        b->asked++;
}

void share_book_answered(struct share_book *b, int64_t records_max)
{
        b->asked--;
        b->unheard_records -= records_max;
}

void share_book_unheard(struct share_book *b, struct share_now now)
{
        if (b->unheard_count == b->unheard_room) {
                b->unheard_room = 2 * b->unheard_room + 64;
                b->unheard = realloc(b->unheard, (size_t)b->unheard_room * sizeof *b->unheard);
                assert(b->unheard);
        }
        b->unheard[b->unheard_count++] = now.ns;
        b->asked--;
}

/* ---- who holds it ---- */

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

int64_t share_book_held_until(const struct share_book *b, unsigned member, int64_t offset, uint64_t disturbed)
{
        const struct share_hold *h = offset < b->records_room ? &b->records[offset].hold : NULL;

        return h && h->member == member && h->disturbed == disturbed ? h->until_ns : 0;
}

/* Since @since_ns, and by now. */
static bool is_with_another(const struct share_record *r, unsigned member, int64_t since_ns, struct share_now now)
{
        return r->hold.member && r->hold.member != member && r->hold.disturbed == now.disturbed &&
               r->told_ns <= since_ns && now.ns < r->hold.until_ns;
}

/* ---- what is said of it ---- */

void share_book_asks(struct share_book *b, int64_t offset)
{
        struct share_record *r = at(b, offset);

        if (r->fate == SHARE_OPEN)
                r->fate = SHARE_UNSURE;
}

void share_book_confirmed(struct share_book *b, unsigned member, int64_t offset, int64_t asked_ns, struct share_now now)
{
        const struct share_record *r = at(b, offset);

        if (r->fate == SHARE_ENDED && r->ended_ns < asked_ns)
                violated(b, offset, "is spoken of with effect, and its end had been confirmed");
        if (is_with_another(r, member, asked_ns, now))
                violated(b, offset, "is spoken of with effect, and another member holds it");
        if (!r->heard)
                violated(b, offset, "is spoken of with effect, and nobody was given it");
}

void share_book_ended(struct share_book *b, int64_t offset, struct share_now now)
{
        struct share_record *r = at(b, offset);

        if (r->fate == SHARE_ENDED)
                violated(b, offset, "is ended twice, and both were confirmed");
        r->fate = SHARE_ENDED;
        r->ended_ns = now.ns;
}

void share_book_released(struct share_book *b, int64_t offset, int deliveries)
{
        struct share_record *r = at(b, offset);

        r->deliveries_sure = MAX2(r->deliveries_sure, deliveries);
}

void share_book_renewed(struct share_book *b, unsigned member, int64_t offset, int64_t until_ns)
{
        struct share_hold *h = &at(b, offset)->hold;

        if (h->member == member)
                h->until_ns = until_ns;
}

int64_t share_book_some_ended(const struct share_book *b, int64_t from)
{
        for (int64_t o = from; o < b->records_room; o++)
                if (b->records[o].fate == SHARE_ENDED)
                        return o;
        return -1;
}

int64_t share_book_some_held(const struct share_book *b, unsigned member, int64_t from, struct share_now now)
{
        for (int64_t o = from; o < b->records_room; o++)
                if (is_with_another(&b->records[o], member, now.ns, now))
                        return o;
        return -1;
}

/* ---- how far it is ---- */

void share_book_start(struct share_book *b, int64_t before, int64_t start)
{
        if (start < before)
                violated(b, start, "is where the group begins, and it had been further");
        b->start_told = MAX2(b->start_told, start);
}

/* Only what was delivered as often as it may be is given up; of some deliveries nobody has heard. */
static bool is_left_out(const struct share_book *b, const struct share_record *r)
{
        return r->fate == SHARE_OPEN && deliveries_at_most(b, r) < b->deliveries_max;
}

void share_book_finish(struct share_book *b, int64_t end)
{
        int64_t unheard = 0;

        b->end = end;
        for (int64_t o = 0; o < end && !b->committed; o++) {
                const struct share_record *r = at(b, o);

                if (r->fate != SHARE_OPEN)
                        continue;
                share_counts.given_up++;
                unheard += b->deliveries_max - r->deliveries_most;
                if (is_left_out(b, r) || unheard > b->unheard_records)
                        violated(b, o, "was neither accepted nor rejected, nor delivered as often as it may be");
        }
}

void share_books_found(struct history_part *p, int64_t offset)
{
        for (unsigned i = 0; i < books_count; i++) {
                struct share_book *b = &books[i];

                if (b->part == p && offset < b->end && is_left_out(b, at(b, offset)))
                        violated(b, offset, "was neither accepted nor rejected, nor delivered as often as it may be");
        }
}
