/* Goal: the checker of client histories finds what it is there for.
 * Method: small histories by hand; one that is right, and for each promise one that breaks it. What was said is compared. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"
#include "history.h"

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
        if (failed)
                return 1;
        puts("the checker finds what is wrong");
        return 0;
}
