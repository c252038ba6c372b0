/* Goal: the checker of client histories finds what it is there for.
 * Method: small histories by hand; one that is right, and for each promise one that breaks it. What was said is compared. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"
#include "history.h"
#include "share_book.h"

static char said[512];
static unsigned said_count, failed;

static void on_violation(const char *text)
{
        if (!said_count++)
                snprintf(said, sizeof said, "%s", text);
}

static void see(struct history_part *p, int64_t offset, const struct history_stream *s, uint32_t number)
{
        uint8_t value[300], key[4];

        store_be32(key, history_key(s, number));
        history_see(p, offset, span_of(key, 4), span_of(value, history_value(s, number, value)));
}

static struct history_part *begin(enum promise promise)
{
        history_reset();
        said_count = 0;
        said[0] = '\0';
        return &history_topic_new("t", promise, 1)->parts[0];
}

/* The first violation has @part in it; NULL: there is none. */
static void expect(const char *what, const char *part)
{
        if (part ? said_count && strstr(said, part) : !said_count)
                return;
        failed++;
        fprintf(stderr, "%s: expected %s, and was told %s\n", what, part ? part : "nothing",
                said_count ? said : "nothing");
}

/* Six records of one stream, acknowledged at 0 to 5, and read, but for those in @without (bits). */
static struct history_part *read_six(enum promise promise, unsigned without, int64_t start, int64_t end)
{
        struct history_part *p = begin(promise);
        struct history_stream *s = history_stream_new(p, true);

        history_ack(s, history_send(s, 6), 6, 0);
        history_read_begin(p);
        for (uint32_t i = 0; i < 6; i++)
                if (!(without & 1u << i))
                        see(p, i, s, i);
        history_read_end(p, start, end);
        return p;
}

static void lost_and_found(void)
{
        read_six(PROMISE_SAFE, 0, 0, 6);
        expect("all is there", NULL);
        read_six(PROMISE_SAFE, 1 << 5, 0, 5);
        expect("the last is lost", "record 5 of stream 0 was acknowledged at 5 and is lost");
        read_six(PROMISE_SAFE, 1 << 2, 0, 6);
        expect("one in the middle is lost", "nothing is at offset 2");
        read_six(PROMISE_SAFE, 3 << 4, 0, 6);
        expect("the log's end is not read", "the log is said to be 0 to 6");
        read_six(PROMISE_RECENT, 3, 2, 6);
        expect("retention took the first", NULL);
        read_six(PROMISE_RECENT, 1 << 5, 0, 5);
        expect("retention does not take the last", "is lost");
}

static void contents(void)
{
        struct history_part *p = begin(PROMISE_SAFE);
        struct history_stream *s = history_stream_new(p, true), *other = history_stream_new(p, false);

        history_send(s, 4);
        history_send(other, 4);
        see(p, 0, s, 0);
        see(p, 0, s, 0);
        see(p, 1, other, 2);
        see(p, 3, other, 2); /* sent again without idempotence */
        expect("read twice, and a repeated one", NULL);
        see(p, 1, other, 3);
        expect("another content", "offset 1 was record 2 of stream 1");
        said_count = 0;
        see(p, 4, s, 0);
        expect("a duplicate", "record 0 of stream 0 is at 0 and at 4");
        said_count = 0;
        see(p, 7, s, 2);
        see(p, 6, s, 3);
        expect("out of order", "out of order");
        said_count = 0;
        see(p, 8, s, 4);
        expect("never sent", "was never written so");
        said_count = 0;
        history_see(p, 9, span_of("1234", 4), span_of("garbage", 7));
        expect("not ours", "nobody wrote");
}

static void acknowledged_without_offset(void)
{
        struct history_part *p = begin(PROMISE_SAFE);
        struct history_stream *s = history_stream_new(p, true);

        history_ack(s, history_send(s, 1), 1, -1);
        history_read_begin(p);
        history_read_end(p, 0, 0);
        expect("acknowledged as a duplicate, and lost", "was acknowledged and is lost");
}

static void gap(void)
{
        struct history_part *p = begin(PROMISE_SAFE);
        struct history_stream *s = history_stream_new(p, true);

        history_send(s, 3);
        history_read_begin(p);
        see(p, 0, s, 0);
        see(p, 1, s, 2);
        history_read_end(p, 0, 2);
        expect("a gap in a stream", "record 2 is there, and one before it is not");
}

static void watermarks(void)
{
        struct history_part *p = begin(PROMISE_SAFE);
        struct history_ends before = p->ends[0];

        history_watermark(p, 0, before, (struct history_ends){ 10, 0 });
        history_watermark(p, 0, before, (struct history_ends){ 8, 0 }); /* asked before the other */
        expect("answers overtake each other", NULL);
        history_watermark(p, 0, p->ends[0], (struct history_ends){ 9, 0 });
        expect("back", "the high watermark was 10 and is 9");
        said_count = 0;
        history_node_ended(0);
        history_watermark(p, -1, before, (struct history_ends){ 10, 0 }); /* its last words, heard late */
        history_watermark(p, 0, p->ends[0], (struct history_ends){ 9, 0 });
        expect("a new process need not know", NULL);
        history_watermark(p, 0, p->ends[0], (struct history_ends){ 11, 3 });
        expect("deleted", "nothing may be deleted");
}

static void trimmed(void)
{
        struct history_part *p = begin(PROMISE_TRIMMED);

        history_trim(p, 5);
        history_trimmed(p, 0, 5);
        history_watermark(p, 0, p->ends[0], (struct history_ends){ .high = 10, .start = 5 });
        history_watermark(p, 1, p->ends[1], (struct history_ends){ .high = 10, .start = 3 }); /* has not heard of it */
        expect("deleted as asked", NULL);
        history_watermark(p, 0, p->ends[0], (struct history_ends){ .high = 10, .start = 4 });
        expect("there again", "was told to begin at 5, and begins at 4");
        said_count = 0;
        history_watermark(p, 1, p->ends[1], (struct history_ends){ .high = 10, .start = 6 });
        expect("more than was asked", "nothing above 5 was to be deleted");
}

static void compacted(void)
{
        struct history_part *p = begin(PROMISE_NEWEST);
        struct history_stream *s = history_stream_new(p, true);
        uint32_t newer = 1;

        history_ack(s, history_send(s, 200), 200, 0);
        while (history_key(s, newer) != history_key(s, 0))
                newer++;
        for (int lost = 0; lost < 2; lost++) {
                history_read_begin(p);
                for (uint32_t i = 1; i < 200; i++)
                        if (!lost || history_key(s, i) != history_key(s, 0))
                                see(p, i, s, i);
                history_read_end(p, 0, 200);
                expect(lost ? "the newest of a key is lost" : "an old one is gone",
                       lost ? "the newest record of key" : NULL);
        }
}

static void losses(void)
{
        struct history_part *p = begin(PROMISE_RELAXED);
        struct history_stream *s = history_stream_new(p, false);
        uint64_t then = history_counts.losses;

        history_ack(s, history_send(s, 4), 4, 0);
        history_loss();
        if (!history_is_stale(p, then))
                on_violation("not stale");
        see(p, 1, s, 3);
        history_read_begin(p);
        see(p, 0, s, 0);
        see(p, 1, s, 3);
        history_read_end(p, 0, 2);
        expect("lost with the power", NULL);
        see(p, 1, s, 2);
        expect("but not changed since", "offset 1 was record 3");
}

static void commits(void)
{
        struct history_commit c = history_commit_none();

        begin(PROMISE_SAFE);
        history_committed(&c, -1, -1, "g");
        c.tried = c.acked = 10;
        c.tried = 12;
        history_committed(&c, 10, 12, "g");
        history_committed(&c, 10, 10, "g");
        expect("committed", NULL);
        history_committed(&c, 10, 9, "g");
        expect("back", "offset 10 was committed, and 9 is");
        said_count = 0;
        history_committed(&c, 10, 13, "g");
        expect("made up", "nobody went beyond 12");
}

/* ---- share groups ---- */

enum { ONE = 1, TWO = 2, DELIVERIES_MAX = 3 };
#define SECOND INT64_C(1000000000)

static struct share_now at_s(int64_t s)
{
        return (struct share_now){ s * SECOND, 7 };
}

/* Member @member asked for it a second ago, and is given it with this count. */
static void given(struct share_book *b, unsigned member, int deliveries, struct share_now now)
{
        struct share_hold hold = { member, now.ns - SECOND, now.ns + 4 * SECOND, now.disturbed };

        share_book_acquired(b, 0, 0, deliveries, &hold, now);
}

/* A group and a partition of one record, which was seen. */
static struct share_book *share_begin(void)
{
        struct history_part *p = begin(PROMISE_SAFE);
        struct history_stream *s = history_stream_new(p, true);

        share_books_reset();
        history_ack(s, history_send(s, 1), 1, 0);
        see(p, 0, s, 0);
        return share_book_new("g", p, DELIVERIES_MAX);
}

static void share_once(void)
{
        struct share_book *b = share_begin();

        given(b, ONE, 1, at_s(10));
        share_book_let_go(b, ONE, 0, 0);
        share_book_asks(b, 0);
        share_book_confirmed(b, ONE, 0, 11 * SECOND, at_s(12));
        share_book_ended(b, 0, at_s(12));
        share_book_finish(b, 1);
        expect("accepted", NULL);
        given(b, TWO, 2, at_s(14));
        expect("accepted and given again", "comes again");
        said_count = 0;
        share_book_confirmed(b, TWO, 0, 13 * SECOND, at_s(14));
        expect("spoken of after its end", "its end had been confirmed");
        said_count = 0;
        share_book_ended(b, 0, at_s(14));
        expect("accepted twice", "ended twice");

        b = share_begin();
        share_book_confirmed(b, ONE, 0, 11 * SECOND, at_s(12));
        expect("spoken of by who was not given it", "nobody was given it");
        b = share_begin();
        share_book_acquired(b, 1, 1, 1, &(struct share_hold){ .member = ONE }, at_s(12));
        expect("no record", "not among the records that came");
}

static void share_held(void)
{
        struct share_book *b = share_begin();

        given(b, ONE, 1, at_s(10));
        given(b, TWO, 2, at_s(15));
        expect("given again in time", NULL);
        given(b, ONE, 3, at_s(17));
        expect("held by two", "given to a second member");
        b = share_begin();
        given(b, ONE, 1, at_s(10));
        share_book_confirmed(b, TWO, 0, 11 * SECOND, at_s(12));
        expect("spoken of by who does not hold it", "another member holds it");
        b = share_begin();
        given(b, ONE, 1, at_s(10));
        share_book_renewed(b, ONE, 0, 18 * SECOND);
        given(b, TWO, 2, at_s(16));
        expect("renewed, and given away", "given to a second member");
        b = share_begin();
        given(b, ONE, 1, at_s(10));
        given(b, TWO, 1, (struct share_now){ 12 * SECOND, 8 });
        expect("given again after a crash", NULL);
}

static void share_deliveries(void)
{
        struct share_book *b = share_begin();

        given(b, ONE, 1, at_s(10));
        given(b, TWO, 1, at_s(20));
        expect("delivered again, not counted", "that is not counted");
        b = share_begin();
        given(b, ONE, 2, at_s(10));
        expect("counted too often", "not delivered as often as is counted");
        b = share_begin();
        share_book_asked(b, 5);
        given(b, ONE, 2, at_s(10));
        share_book_unheard(b, at_s(12));
        given(b, ONE, 3, at_s(20));
        expect("counted with what nobody heard", NULL);
        given(b, ONE, 4, at_s(30));
        expect("too often", "more often than it may be");
        b = share_begin();
        share_book_asked(b, 5);
        share_book_unheard(b, at_s(10));
        given(b, ONE, 1, at_s(100));
        given(b, TWO, 3, at_s(110));
        expect("counted with what was long ago", "not delivered as often as is counted");
        b = share_begin();
        given(b, ONE, 1, at_s(10));
        share_book_let_go(b, ONE, 0, 0);
        share_book_released(b, 0, 1);
        given(b, TWO, 1, (struct share_now){ 20 * SECOND, 8 });
        expect("counted, confirmed and forgotten", "is forgotten");
}

static void share_ends(void)
{
        struct share_book *b = share_begin();

        share_book_start(b, 0, 5);
        share_book_start(b, 3, 4);
        expect("starts that overtake each other", NULL);
        share_book_start(b, 5, 4);
        expect("a start that goes back", "it had been further");
        b = share_begin();
        share_book_finish(b, 1);
        expect("left out", "neither accepted nor rejected");
        b = share_begin();
        given(b, ONE, 3, at_s(10));
        said_count = 0;
        share_book_finish(b, 1);
        expect("given up", NULL);
        b = share_begin();
        for (int i = 0; i < DELIVERIES_MAX; i++) {
                share_book_asked(b, 1);
                share_book_unheard(b, at_s(10));
        }
        share_book_finish(b, 1);
        expect("given up, and nobody heard of it", NULL);
}

static void share_committed(void)
{
        struct history_part *p = begin(PROMISE_LEDGER);
        struct share_book *b;

        share_books_reset();
        b = share_book_new("g", p, DELIVERIES_MAX);
        given(b, ONE, 1, at_s(10));
        expect("no committed record", "not among the records that came");
        said_count = 0;
        share_book_finish(b, 2);
        share_book_came(b, 0);
        share_book_ended(b, 0, at_s(12));
        share_books_found(p, 0);
        share_books_found(p, 2); /* came later */
        expect("committed, and accepted", NULL);
        share_books_found(p, 1);
        expect("committed, and left out", "neither accepted nor rejected");
}

int main(void)
{
        history_violated = on_violation;
        lost_and_found();
        contents();
        acknowledged_without_offset();
        gap();
        watermarks();
        trimmed();
        compacted();
        losses();
        commits();
        share_once();
        share_held();
        share_deliveries();
        share_ends();
        share_committed();
        if (failed)
                return 1;
        puts("the checker finds what is wrong");
        return 0;
}
