/* Holes: offsets that were on stable storage and whose segment, or whose end of a segment, is not there any more (deleted
 * by hand, a lost directory entry, a file cut short).
 *
 * Invariant: a segment is named after the end of the one before it, so names touch; the first one holds the start offset or
 * lies below it; the last one reaches the checkpoint's end. What does not touch is a hole. It is never closed by moving an
 * end or the start over it: the offsets stay, reads there are refused, the operator is told. */
#include <endian.h>
#include <errno.h>

#include "base/crc32c.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"

/* The first segment that holds anything at or above the start offset. */
static size_t first_needed(const struct plog *pl, int64_t start_offset)
{
        size_t i = 0;

        while (i + 1 < pl->segments_count && pl->segments[i + 1]->base_offset <= start_offset)
                i++;
        return i;
}

void holes_count_segments(const struct plog *pl, struct checkpoint *c)
{
        c->segments_count = c->segments_crc = 0;
        for (size_t i = first_needed(pl, c->start_offset); i < pl->segments_count; i++) {
                uint64_t name = htobe64((uint64_t)pl->segments[i]->base_offset);

                if (!pl->segments[i]->size || pl->segments[i]->base_offset >= c->end_offset)
                        continue;
                c->segments_count++;
                c->segments_crc = crc32c(c->segments_crc, &name, sizeof name);
        }
}

void holes_mark(struct plog *pl, int64_t from, int64_t to)
{
        from = MAX2(from, pl->start); /* what nobody may read any more is not missed */
        if (from >= to)
                return;
        if (!damage_add(&pl->damage, &(struct plog_damaged_range){ .from_offset = from,
                                                                   .to_offset = to,
                                                                   .segment_base = -1,
                                                                   .pos = -1,
                                                                   .end_pos = -1,
                                                                   .found_ms = clock_wall_ms(),
                                                                   .why = PLOG_DAMAGE_MISSING }))
                return; /* known from before, and told then */
        diag_about(
                DIAG_ERROR,
                DIAG_ABOUT(LOG_INCOMPLETE, { "LOG", .text = str_of(pl->name) }, { "FROM_OFFSET", .number = from },
                           { "TO_OFFSET", .number = to }),
                "%s: offsets %lld to %lld are missing from %s although they were on stable storage; reads there are "
                "refused: restore the segment's file and restart, or give them up by deleting all records below %lld",
                pl->name, (long long)from, (long long)to - 1, pl->dir, (long long)to);
}

static bool set_is_whole(const struct plog *pl, const struct checkpoint *c)
{
        struct checkpoint now = *c;

        holes_count_segments(pl, &now);
        if (c->damaged_from < c->damaged_to)
                return false; /* looked for again at every start: the file may be back */
        return now.segments_count == c->segments_count && now.segments_crc == c->segments_crc;
}

/* The offset behind the last batch of a segment: as its index says, or by walking over it. */
static int find_end(struct plog *pl, struct segment *s, int64_t *ret_end)
{
        struct walk_range range = segment_whole(s, s->size);
        struct walk_skips skips;
        struct index_footer f;
        struct batch_header h;
        struct walk w;
        int64_t pos;
        int fd, r;

        if (segment_footer(pl, s, &f)) {
                *ret_end = f.next_offset;
                return 0;
        }
        fd = pin_file_pin(s->file, 0);
        if (fd < 0)
                return fd;
        damage_skips(&pl->damage, s->base_offset, &skips); /* what is rotten is there */
        range.skips = &skips;
        walk_init(&w, fd, &range, false);
        while ((r = walk_next(&w, &h, &pos)) > 0)
                ;
        pin_file_unpin(s->file);
        *ret_end = w.next_offset;
        return r == -EUCLEAN ? 0 : r; /* nonsense: what lies behind it cannot be found, so it is missing as well */
}

/* Does @s reach @next, where its successor begins? */
static int check_reaches(struct plog *pl, struct segment *s, int64_t next)
{
        int64_t end;
        int r = find_end(pl, s, &end);

        if (r)
                return r;
        s->next_offset = MIN2(end, next);
        if (end < next)
                holes_mark(pl, end, next);
        return 0;
}

/* Segments below the checkpoint's end. Only looked at when they are not those that it counted. @count of them. */
static int check_below(struct plog *pl, const struct checkpoint *c, size_t count)
{
        int64_t first = count ? pl->segments[0]->base_offset : c->end_offset;

        if (first > c->start_offset)
                holes_mark(pl, c->start_offset, first);
        for (size_t i = 0; i < count; i++) {
                struct segment *s = pl->segments[i];
                int r;

                if (s->base_offset == c->segment_base)
                        continue; /* scanned, or as its footer says */
                r = check_reaches(pl, s, i + 1 < count ? pl->segments[i + 1]->base_offset : c->end_offset);
                if (r)
                        return r;
        }
        return 0;
}

int holes_find(struct plog *pl, const struct checkpoint *c, size_t count)
{
        size_t below = 0; /* the checkpoint's end */

        if (c) {
                while (below < pl->segments_count && pl->segments[below]->base_offset < c->end_offset)
                        below++;
                if (!set_is_whole(pl, c)) {
                        int r = check_below(pl, c, below);

                        if (r)
                                return r;
                }
                /* Whatever came after it began at its end, unless its active segment grew. */
                if (below < count && (!below || pl->segments[below - 1]->base_offset != c->segment_base) &&
                    pl->segments[below]->base_offset > c->end_offset)
                        holes_mark(pl, c->end_offset, pl->segments[below]->base_offset);
        }
        /* Behind it: all have a footer, which proves that they were on stable storage. */
        for (size_t i = below ? below - 1 : 0; i + 1 < count; i++) {
                const struct segment *s = pl->segments[i], *next = pl->segments[i + 1];

                if (s->next_offset < next->base_offset && !(c && next->base_offset < c->end_offset))
                        holes_mark(pl, s->next_offset, next->base_offset);
        }
        return 0;
}
