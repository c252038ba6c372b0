/* See history.h. */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"
#include "chance.h"

enum { VALUE_LEN_MIN = 12, VALUE_LEN_MAX = 300 };

struct history_topic history_topics[HISTORY_TOPICS_MAX];
unsigned history_topics_count;
struct history_counts history_counts;
void (*history_violated)(const char *text);
static struct history_stream *streams[HISTORY_STREAMS_MAX];
static unsigned streams_count, parts_count;
static int unsure;

static void violation(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void violation(const char *fmt, ...)
{
        char text[512];
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        history_violated(text);
}

#define PART_FMT "%s-%d"
#define PART_ARG(p) (p)->topic->name, (p)->index

/* ---- life ---- */

void history_reset(void)
{
        for (unsigned i = 0; i < streams_count; i++) {
                free(streams[i]->offsets);
                free(streams[i]->acked);
                free(streams[i]);
        }
        for (unsigned i = 0; i < history_topics_count; i++)
                for (int k = 0; k < history_topics[i].parts_count; k++) {
                        free(history_topics[i].parts[k].records);
                        free(history_topics[i].parts[k].present);
                }
        streams_count = parts_count = history_topics_count = 0;
        history_counts = (struct history_counts){ 0 };
}

struct history_topic *history_topic_new(const char *name, enum promise promise, int32_t count)
{
        struct history_topic *t = &history_topics[history_topics_count++];

        assert(history_topics_count <= HISTORY_TOPICS_MAX && count <= HISTORY_PARTITIONS_MAX);
        *t = (struct history_topic){ .promise = promise, .parts_count = count };
        snprintf(t->name, sizeof t->name, "%s", name);
        for (int32_t i = 0; i < count; i++)
                t->parts[i] = (struct history_part){ .topic = t, .index = i, .number = parts_count++ };
        return t;
}

struct history_stream *history_stream_new(struct history_part *p, bool once)
{
        struct history_stream *s = calloc(1, sizeof *s);

        assert(s && streams_count < HISTORY_STREAMS_MAX);
        s->number = streams_count;
        s->part = p;
        s->once = once;
        history_counts.streams++;
        return streams[streams_count++] = s;
}

/* ---- records ---- */

size_t history_value(const struct history_stream *s, uint32_t number, uint8_t *buf)
{
        struct chance c = { chance_seed(s->number, number) };
        size_t len = VALUE_LEN_MIN + chance_below(&c, VALUE_LEN_MAX - VALUE_LEN_MIN), at = VALUE_LEN_MIN;
        uint8_t word[8];

        store_be32(buf, s->number);
        store_be32(buf + 4, number);
        store_be32(buf + 8, (uint32_t)len);
        for (int i = 0; i < 8; i++)
                word[i] = (uint8_t)(c.state >> (VALUE_LEN_MIN + i) % 8);
        /* In eights, and never behind the buffer's end. */
        for (; at + 8 <= VALUE_LEN_MAX && at < len; at += 8)
                memcpy(buf + at, word, 8);
        if (at < len)
                memcpy(buf + at, word, len - at);
        return len;
}

uint32_t history_key(const struct history_stream *s, uint32_t number)
{
        struct chance c = { chance_seed(number, s->number + 77u) };

        return chance_below(&c, HISTORY_KEYS);
}

uint32_t history_send(struct history_stream *s, uint32_t count)
{
        uint32_t first = s->sent;

        if (s->sent + count > s->room) {
                s->room = (s->sent + count) * 2 + 64;
                s->offsets = realloc(s->offsets, s->room * sizeof s->offsets[0]);
                s->acked = realloc(s->acked, s->room * sizeof s->acked[0]);
                assert(s->offsets && s->acked);
        }
        for (uint32_t i = 0; i < count; i++) {
                s->offsets[s->sent] = -1;
                s->acked[s->sent++] = false;
        }
        history_counts.sent += count;
        return first;
}

static struct history_record *record_at(struct history_part *p, int64_t offset)
{
        if (offset >= p->records_room) {
                int64_t room = (offset + 1) * 2 + 256;

                p->records = realloc(p->records, (size_t)room * sizeof p->records[0]);
                p->present = realloc(p->present, (size_t)room);
                assert(p->records && p->present);
                memset(p->records + p->records_room, 0, (size_t)(room - p->records_room) * sizeof p->records[0]);
                memset(p->present + p->records_room, 0, (size_t)(room - p->records_room));
                p->records_room = room;
        }
        p->records_count = MAX2(p->records_count, offset + 1);
        return &p->records[offset];
}

/* Record @number of @s is at @offset: said by an answer, or seen. */
static void note(struct history_stream *s, uint32_t number, int64_t offset, const char *how)
{
        struct history_part *p = s->part;
        struct history_record *r = record_at(p, offset);

        if (r->stream && (r->stream != s->number + 1 || r->number != number)) {
                violation(PART_FMT ": offset %lld was record %u of stream %u, and is record %u of stream %u (%s)",
                          PART_ARG(p), (long long)offset, r->number, r->stream - 1, number, s->number, how);
                return;
        }
        if (s->once && s->offsets[number] >= 0 && s->offsets[number] != offset) {
                violation(PART_FMT ": record %u of stream %u is at %lld and at %lld (%s)", PART_ARG(p), number,
                          s->number, (long long)s->offsets[number], (long long)offset, how);
                return;
        }
        if (s->once && ((number && s->offsets[number - 1] >= offset) ||
                        (number + 1 < s->sent && s->offsets[number + 1] >= 0 && s->offsets[number + 1] <= offset)))
                violation(PART_FMT ": records of stream %u are out of order at %u, offset %lld (%s)", PART_ARG(p),
                          s->number, number, (long long)offset, how);
        r->stream = s->number + 1;
        r->number = number;
        if (s->offsets[number] < 0)
                s->offsets[number] = offset;
}

void history_ack(struct history_stream *s, uint32_t first, uint32_t count, int64_t offset)
{
        for (uint32_t i = 0; i < count; i++) {
                if (offset >= 0)
                        note(s, first + i, offset + i, "acknowledged");
                s->acked[first + i] = true;
        }
        s->part->acked += count;
        history_counts.acked += count;
}

void history_see(struct history_part *p, int64_t offset, struct span key, struct span value)
{
        uint8_t expected[VALUE_LEN_MAX];
        struct history_stream *s;
        uint32_t number;

        p->seen++;
        history_counts.seen++;
        if (value.len < VALUE_LEN_MIN || load_be32(value.data) >= streams_count) {
                violation(PART_FMT ": what is at offset %lld nobody wrote", PART_ARG(p), (long long)offset);
                return;
        }
        s = streams[load_be32(value.data)];
        number = load_be32(value.data + 4);
        if (s->part != p || number >= s->sent ||
            !span_equal(value, span_of(expected, history_value(s, number, expected))) || key.len != 4 ||
            load_be32(key.data) != history_key(s, number)) {
                violation(PART_FMT ": record %u of stream %u at offset %lld was never written so", PART_ARG(p), number,
                          s->number, (long long)offset);
                return;
        }
        note(s, number, offset, "read");
        p->present[offset] = 1;
}

void history_watermark(struct history_part *p, int node, struct history_ends before, struct history_ends ends)
{
        if (ends.high >= 0 && ends.high < before.high)
                violation(PART_FMT ": the high watermark was %lld and is %lld", PART_ARG(p), (long long)before.high,
                          (long long)ends.high);
        /* What retention deleted may be there again after a crash: nobody was promised that it is gone. */
        if (ends.start > 0 && history_keeps_all(p->topic))
                violation(PART_FMT ": the log begins at %lld, and nothing may be deleted", PART_ARG(p),
                          (long long)ends.start);
        if (p->topic->promise == PROMISE_TRIMMED && ends.start > p->trim_asked)
                violation(PART_FMT ": the log begins at %lld, and nothing above %lld was to be deleted", PART_ARG(p),
                          (long long)ends.start, (long long)p->trim_asked);
        if (p->topic->promise == PROMISE_TRIMMED && ends.start >= 0 && ends.start < before.trimmed)
                violation(PART_FMT ": the log was told to begin at %lld, and begins at %lld", PART_ARG(p),
                          (long long)before.trimmed, (long long)ends.start);
        if (node < 0)
                return;
        p->ends[node].high = MAX2(p->ends[node].high, ends.high);
        p->ends[node].start = MAX2(p->ends[node].start, ends.start);
}

void history_trim(struct history_part *p, int64_t offset)
{
        p->trim_asked = MAX2(p->trim_asked, offset);
}

void history_trimmed(struct history_part *p, int node, int64_t start)
{
        p->trim_acked = MAX2(p->trim_acked, start);
        p->ends[node].trimmed = MAX2(p->ends[node].trimmed, start);
}

void history_node_ended(int node)
{
        for (unsigned i = 0; i < history_topics_count; i++)
                for (int32_t k = 0; k < history_topics[i].parts_count; k++)
                        history_topics[i].parts[k].ends[node] = (struct history_ends){ 0 };
}

void history_loss(void)
{
        history_counts.losses++;
        for (unsigned i = 0; i < streams_count; i++)
                if (streams[i]->part->topic->promise == PROMISE_RELAXED)
                        for (uint32_t k = 0; k < streams[i]->sent; k++) {
                                streams[i]->offsets[k] = -1;
                                streams[i]->acked[k] = false;
                        }
        for (unsigned i = 0; i < history_topics_count; i++)
                for (int32_t k = 0; k < history_topics[i].parts_count; k++) {
                        struct history_part *p = &history_topics[i].parts[k];

                        if (history_topics[i].promise != PROMISE_RELAXED)
                                continue;
                        if (p->records_room)
                                memset(p->records, 0, (size_t)p->records_room * sizeof p->records[0]);
                        for (int node = 0; node < HISTORY_NODES_MAX; node++)
                                p->ends[node].high = 0;
                }
}

void history_unsure(bool begins)
{
        unsure += begins ? 1 : -1;
        history_loss();
}

bool history_is_stale(const struct history_part *p, uint64_t losses)
{
        return p->topic->promise == PROMISE_RELAXED && (losses != history_counts.losses || unsure);
}

/* ---- at the end ---- */

void history_read_begin(struct history_part *p)
{
        if (p->records_room)
                memset(p->present, 0, (size_t)p->records_room);
}

static void check_stream(const struct history_stream *s, const uint8_t *present, int64_t start)
{
        const struct history_part *p = s->part;
        bool gap = false;

        for (uint32_t i = 0; i < s->sent; i++) {
                int64_t at = s->offsets[i];
                bool is_there = at >= 0 && present[at];

                if (at >= 0 && at < start)
                        continue;
                if (s->acked[i] && at >= 0 && !is_there)
                        violation(PART_FMT ": record %u of stream %u was acknowledged at %lld and is lost", PART_ARG(p),
                                  i, s->number, (long long)at);
                if (s->acked[i] && at < 0 && !start)
                        violation(PART_FMT ": record %u of stream %u was acknowledged and is lost", PART_ARG(p), i,
                                  s->number);
                if (s->once && is_there && gap && !start && p->topic->promise != PROMISE_RELAXED)
                        violation(PART_FMT ": of stream %u record %u is there, and one before it is not", PART_ARG(p),
                                  s->number, i);
                gap = gap || !is_there;
        }
}

/* Of each key the newest that is known must be there, or a newer one. */
static void check_newest(const struct history_part *p)
{
        int64_t known[HISTORY_KEYS], there[HISTORY_KEYS];

        for (int i = 0; i < HISTORY_KEYS; i++)
                known[i] = there[i] = -1;
        for (int64_t at = 0; at < p->records_count; at++) {
                const struct history_record *r = &p->records[at];
                uint32_t key;

                if (!r->stream)
                        continue;
                key = history_key(streams[r->stream - 1], r->number);
                known[key] = at;
                if (p->present[at])
                        there[key] = at;
        }
        for (int i = 0; i < HISTORY_KEYS; i++)
                if (there[i] < known[i])
                        violation(PART_FMT ": the newest record of key %d was at %lld and is lost", PART_ARG(p), i,
                                  (long long)known[i]);
}

void history_read_end(struct history_part *p, int64_t start, int64_t end)
{
        int64_t first = -1, last = -1;

        if (p->topic->promise == PROMISE_NEWEST) {
                check_newest(p);
                return;
        }
        for (int64_t at = 0; at < p->records_count; at++) {
                if (!p->present[at])
                        continue;
                if (last >= 0 && at != last + 1)
                        violation(PART_FMT ": nothing is at offset %lld", PART_ARG(p), (long long)last + 1);
                first = first < 0 ? at : first;
                last = at;
        }
        if (last >= 0 ? first != start || last != end - 1 : start != end)
                violation(PART_FMT ": the log is said to be %lld to %lld, and %lld to %lld was read", PART_ARG(p),
                          (long long)start, (long long)end, (long long)first, (long long)last + 1);
        for (unsigned i = 0; i < streams_count; i++)
                if (streams[i]->part == p)
                        check_stream(streams[i], p->present, start);
}

void history_committed(const struct history_commit *c, int64_t acked, int64_t offset, const char *what)
{
        if (offset < acked)
                violation("%s: offset %lld was committed, and %lld is", what, (long long)acked, (long long)offset);
        if (offset > c->tried)
                violation("%s: offset %lld is committed, and nobody went beyond %lld", what, (long long)offset,
                          (long long)c->tried);
}
