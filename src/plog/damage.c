/* Damaged ranges of one log; see damage.h and FORMAT.md "damage". */
#include "plog/damage.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "plog/format.h"
#include "plog/walk.h"

void damage_fini(struct damage *d)
{
        free(d->list);
        *d = (struct damage){ 0 };
}

const struct plog_damaged_range *damage_list(const struct damage *d)
{
        return d->list ? d->list : d->own;
}

static struct plog_damaged_range *items(struct damage *d)
{
        return d->list ? d->list : d->own;
}

static bool is_missing(const struct plog_damaged_range *r)
{
        return r->why == PLOG_DAMAGE_MISSING;
}

const char *plog_damage_text(enum plog_damage_why why)
{
        switch (why) {
        case PLOG_DAMAGE_MISSING:
                return "the bytes are missing";
        case PLOG_DAMAGE_HEADER:
                return "the header of a batch is not one";
        case PLOG_DAMAGE_CRC:
                return "a batch does not match its CRC";
        case PLOG_DAMAGE_OFFSET:
                return "the base offset of a batch does not fit between its neighbours";
        case PLOG_DAMAGE_EPOCH:
                return "the leader epoch of a batch is not the one of its offset";
        case PLOG_DAMAGE_UNREADABLE:
                return "the disk cannot read it";
        }
        return "unknown";
}

/* ---- looking ---- */

/* Subscript of the first range that ends above @offset. */
static uint32_t find(const struct damage *d, int64_t offset)
{
        const struct plog_damaged_range *list = damage_list(d);
        uint32_t lo = 0, hi = d->count;

        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;

                if (list[mid].to_offset <= offset)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

const struct plog_damaged_range *damage_at(const struct damage *d, int64_t offset)
{
        uint32_t i = find(d, offset);

        return i < d->count && damage_list(d)[i].from_offset <= offset ? &damage_list(d)[i] : NULL;
}

const struct plog_damaged_range *damage_after(const struct damage *d, int64_t offset)
{
        uint32_t i = find(d, offset);

        if (i < d->count && damage_list(d)[i].from_offset < offset)
                i++;
        return i < d->count ? &damage_list(d)[i] : NULL;
}

bool damage_covers(const struct damage *d, int64_t from, int64_t to)
{
        const struct plog_damaged_range *r = damage_at(d, from);

        return r && r->to_offset >= to;
}

void damage_missing(const struct damage *d, int64_t *ret_from, int64_t *ret_to)
{
        const struct plog_damaged_range *list = damage_list(d);

        *ret_from = *ret_to = 0;
        for (uint32_t i = 0; i < d->count; i++) {
                if (!is_missing(&list[i]))
                        continue;
                if (!*ret_to)
                        *ret_from = list[i].from_offset;
                *ret_to = list[i].to_offset;
        }
}

int64_t damage_offsets(const struct damage *d)
{
        int64_t sum = 0;

        for (uint32_t i = 0; i < d->count; i++)
                sum += damage_list(d)[i].to_offset - damage_list(d)[i].from_offset;
        return sum;
}

void damage_skips(const struct damage *d, int64_t segment_base, struct walk_skips *ret)
{
        const struct plog_damaged_range *list = damage_list(d);

        ret->count = 0;
        for (uint32_t i = 0; i < d->count && ret->count < ARRAY_LEN(ret->list); i++)
                if (list[i].segment_base == segment_base)
                        ret->list[ret->count++] = (struct walk_skip){ list[i].pos, list[i].end_pos, list[i].to_offset };
}

/* ---- changing ---- */

/* Two ranges with all between them. The place is the later one's; of one that began in an earlier file all before it in
 * this one is left out as well. */
static struct plog_damaged_range join(const struct plog_damaged_range *a, const struct plog_damaged_range *b)
{
        const struct plog_damaged_range *last = b->to_offset >= a->to_offset ? b : a;
        struct plog_damaged_range r = *last;

        r.from_offset = MIN2(a->from_offset, b->from_offset);
        r.found_ms = MIN2(a->found_ms, b->found_ms);
        r.why = is_missing(a) || is_missing(b)     ? PLOG_DAMAGE_MISSING
                : a->from_offset <= b->from_offset ? a->why
                                                   : b->why;
        if (a->segment_base == b->segment_base) {
                r.pos = MIN2(a->pos, b->pos);
                r.end_pos = MAX2(a->end_pos, b->end_pos);
        } else if (r.segment_base >= 0 && r.from_offset < r.segment_base) {
                r.pos = 0;
        }
        return r;
}

static bool belong_together(const struct plog_damaged_range *a, const struct plog_damaged_range *b)
{
        if (a->from_offset < b->to_offset && b->from_offset < a->to_offset)
                return true;
        return (a->to_offset == b->from_offset || b->to_offset == a->from_offset) && is_missing(a) == is_missing(b) &&
               a->segment_base == b->segment_base;
}

static void take_out(struct damage *d, uint32_t i, uint32_t count)
{
        struct plog_damaged_range *list = items(d);

        memmove(&list[i], &list[i + count], (d->count - i - count) * sizeof *list);
        d->count -= count;
}

static bool make_room(struct damage *d)
{
        uint32_t size = d->list ? d->size * 2 : 8;
        struct plog_damaged_range *n;

        assert(size > 0);
        if (d->count < (d->list ? d->size : ARRAY_LEN(d->own)))
                return true;
        n = realloc(d->list, size * sizeof *n);
        if (!n)
                return false;
        if (!d->list)
                memcpy(n, d->own, d->count * sizeof *n);
        d->list = n;
        d->size = size;
        return true;
}

/* The two neighbours that are nearest to each other become one; rather those of one kind. */
static void join_nearest(struct damage *d)
{
        struct plog_damaged_range *list = items(d);
        int64_t best_gap = INT64_MAX;
        bool best_alike = false;
        uint32_t best = 0;

        for (uint32_t i = 0; i + 1 < d->count; i++) {
                int64_t gap = list[i + 1].from_offset - list[i].to_offset;
                bool alike = is_missing(&list[i]) == is_missing(&list[i + 1]);

                if (alike < best_alike || (alike == best_alike && gap >= best_gap))
                        continue;
                best = i;
                best_gap = gap;
                best_alike = alike;
        }
        list[best] = join(&list[best], &list[best + 1]);
        take_out(d, best + 1, 1);
}

/* Put in a range that no other overlaps. */
static void insert(struct damage *d, const struct plog_damaged_range *r)
{
        uint32_t i = find(d, r->from_offset);
        struct plog_damaged_range *list;

        if (!make_room(d)) { /* there is one at least */
                i = MIN2(i, d->count - 1);
                items(d)[i] = join(&items(d)[i], r);
                return;
        }
        list = items(d);
        memmove(&list[i + 1], &list[i], (d->count - i) * sizeof *list);
        list[i] = *r;
        d->count++;
        if (d->count > DAMAGE_RANGES_MAX)
                join_nearest(d);
}

bool damage_add(struct damage *d, const struct plog_damaged_range *r)
{
        bool known = damage_covers(d, r->from_offset, r->to_offset);
        struct plog_damaged_range whole = *r;
        uint32_t i = 0;

        assert(r->from_offset < r->to_offset);
        if (known)
                return false;
        while (i < d->count) {
                if (belong_together(&items(d)[i], &whole)) {
                        whole = join(&items(d)[i], &whole);
                        take_out(d, i, 1);
                        i = 0; /* what it has become may reach others */
                } else {
                        i++;
                }
        }
        insert(d, &whole);
        return true;
}

int64_t damage_clear(struct damage *d, int64_t from, int64_t to)
{
        int64_t gone = 0;

        for (uint32_t i = 0; i < d->count;) {
                struct plog_damaged_range *r = &items(d)[i], behind = *r;

                if (is_missing(r) || r->to_offset <= from || r->from_offset >= to) {
                        i++;
                        continue;
                }
                gone += MIN2(r->to_offset, to) - MAX2(r->from_offset, from);
                behind.from_offset = MAX2(to, r->from_offset);
                if (r->from_offset < from) { /* in an earlier file: nothing of it is read behind the range */
                        r->to_offset = from;
                        r->segment_base = r->pos = r->end_pos = -1;
                        i++;
                } else {
                        take_out(d, i, 1);
                }
                if (behind.from_offset < behind.to_offset) {
                        insert(d, &behind);
                        i++;
                }
        }
        return gone;
}

bool damage_trim(struct damage *d, int64_t start, int64_t end)
{
        bool changed = false;

        for (uint32_t i = 0; i < d->count;) {
                struct plog_damaged_range *r = &items(d)[i];

                changed |= r->from_offset < start || r->to_offset > end;
                r->from_offset = MAX2(r->from_offset, start);
                r->to_offset = MIN2(r->to_offset, end);
                if (r->from_offset >= r->to_offset)
                        take_out(d, i, 1);
                else
                        i++;
        }
        return changed;
}

/* ---- the file ---- */

#define BE64(v) ((int64_t)htobe64((uint64_t)(v)))
#define FROM64(v) ((int64_t)be64toh((uint64_t)(v)))

int damage_encode(const struct damage *d, int64_t checked_ms, void **ret_data, size_t *ret_len)
{
        struct disk_damage_header *h = calloc(1, sizeof *h + d->count * sizeof(struct disk_damaged_range));
        struct disk_damaged_range *e = (struct disk_damaged_range *)(h + 1);
        uint32_t n = 0;

        if (!h)
                return -ENOMEM;
        for (uint32_t i = 0; i < d->count; i++) {
                const struct plog_damaged_range *r = &damage_list(d)[i];

                if (is_missing(r))
                        continue;
                e[n++] = (struct disk_damaged_range){ .from_offset = BE64(r->from_offset),
                                                      .to_offset = BE64(r->to_offset),
                                                      .segment_base = BE64(r->segment_base),
                                                      .pos = BE64(r->pos),
                                                      .end_pos = BE64(r->end_pos),
                                                      .found_ms = BE64(r->found_ms),
                                                      .why = htobe32(r->why) };
        }
        h->magic = htobe32(DAMAGE_MAGIC);
        h->version = htobe16(FORMAT_VERSION);
        h->entry_len = htobe16(sizeof *e);
        h->count = htobe32(n);
        h->checked_ms = BE64(checked_ms);
        h->entries_crc = htobe32(crc32c(0, e, n * sizeof *e));
        h->crc = htobe32(crc32c(0, h, offsetof(struct disk_damage_header, crc)));
        *ret_data = h;
        *ret_len = sizeof *h + n * sizeof *e;
        return 0;
}

static bool range_fits(const struct damage *d, const struct plog_damaged_range *r)
{
        int64_t before = d->count ? damage_list(d)[d->count - 1].to_offset : 0;
        bool placed = r->segment_base >= 0 && r->segment_base <= PLOG_OFFSET_MAX && r->pos >= 0 &&
                      r->end_pos >= r->pos && r->end_pos <= INT32_MAX;

        return r->from_offset >= before && r->to_offset > r->from_offset && r->to_offset <= PLOG_OFFSET_MAX &&
               r->why > PLOG_DAMAGE_MISSING && r->why <= PLOG_DAMAGE_UNREADABLE &&
               (placed || (r->segment_base == -1 && r->pos == -1 && r->end_pos == -1));
}

static bool header_fits(const struct disk_damage_header *h, struct span file)
{
        return be16toh(h->entry_len) == sizeof(struct disk_damaged_range) && be32toh(h->count) <= DAMAGE_RANGES_MAX &&
               file.len - sizeof *h == be32toh(h->count) * sizeof(struct disk_damaged_range) &&
               be32toh(h->entries_crc) == crc32c(0, file.data + sizeof *h, file.len - sizeof *h);
}

int damage_decode(struct span file, struct damage *d, int64_t *ret_checked_ms)
{
        struct disk_damage_header h;

        if (file.len < sizeof h)
                return -EUCLEAN;
        memcpy(&h, file.data, sizeof h);
        if (be32toh(h.magic) != DAMAGE_MAGIC ||
            be32toh(h.crc) != crc32c(0, &h, offsetof(struct disk_damage_header, crc)))
                return -EUCLEAN;
        if (be16toh(h.version) != FORMAT_VERSION)
                return -EPROTONOSUPPORT;
        if (!header_fits(&h, file))
                return -EUCLEAN;
        for (uint32_t i = 0; i < be32toh(h.count); i++) {
                struct disk_damaged_range e;
                struct plog_damaged_range r;

                memcpy(&e, file.data + sizeof h + i * sizeof e, sizeof e);
                r = (struct plog_damaged_range){ .from_offset = FROM64(e.from_offset),
                                                 .to_offset = FROM64(e.to_offset),
                                                 .segment_base = FROM64(e.segment_base),
                                                 .pos = FROM64(e.pos),
                                                 .end_pos = FROM64(e.end_pos),
                                                 .found_ms = FROM64(e.found_ms),
                                                 .why = be32toh(e.why) };
                if (!range_fits(d, &r)) {
                        damage_fini(d);
                        return -EUCLEAN;
                }
                insert(d, &r);
        }
        *ret_checked_ms = FROM64(h.checked_ms);
        return 0;
}
