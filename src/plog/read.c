/* Finding what to send: a run of whole batches of one segment. No record bytes are read here. See plog.h. */
#include "base/err.h"
#include "plog/internal.h"
#include "sys/diag.h"
#include "sys/file.h"

/* What was decided under the lock; the rest is done without it. */
struct plan {
        struct segment *segment;
        int64_t size;       /* of whole batches in the segment, when looked at */
        int64_t end_offset; /* behind them */
        uint64_t cuts;
        bool done;         /* the answer was in memory */
        bool up_to_damage; /* damage is what reading ends at */
        struct walk_skips skips;
};

static void slice_add(struct plog_slice *s, int64_t pos, int64_t len, int64_t base_offset, int64_t next_offset)
{
        if (!s->len) {
                s->pos = pos;
                s->first_offset = base_offset;
        }
        s->len += (size_t)len;
        s->next_offset = next_offset;
}

static bool slice_has_room(const struct plog_slice *s, const struct plog_read_args *args, int64_t len)
{
        if (!s->len && args->at_least_one)
                return true;
        return s->len < args->len_max && (uint64_t)len <= args->len_max - s->len;
}

/* The tail is in memory: nothing to read. */
static bool read_recent(const struct plog *pl, const struct plog_read_args *args, struct plog_slice *ret)
{
        int i = recent_find(&pl->recent, args->from_offset);

        if (i < 0)
                return false;
        for (; (unsigned)i < pl->recent.count; i++) {
                const struct recent_batch *b = recent_at(&pl->recent, (unsigned)i);

                if (b->last_offset >= args->below_offset || !slice_has_room(ret, args, b->len))
                        break;
                slice_add(ret, b->pos, b->len, b->base_offset, b->last_offset + 1);
        }
        return true;
}

/* Where reading ends at the latest: what may be lost is not shown, and after a failure only what was synced is. */
static int64_t bound_of(const struct plog *pl, const struct plog_read_args *args, bool *ret_up_to_damage)
{
        const struct plog_damaged_range *damage = damage_after(&pl->damage, args->from_offset);
        int64_t end = MIN2(pl->state == PLOG_FAILED ? pl->durable_end : pl->end, args->below_offset);

        *ret_up_to_damage = damage && damage->from_offset < end;
        return *ret_up_to_damage ? damage->from_offset : end;
}

static int plan_locked(struct plog *pl, struct plog_read_args *args, struct plog_slice *ret, struct plan *ret_plan)
{
        ptrdiff_t i;

        if (pl->state == PLOG_CLOSED)
                return PLOG_E_CLOSED;
        if (args->from_offset < pl->start || args->from_offset > pl->end)
                return PLOG_E_OUT_OF_RANGE;
        if (damage_at(&pl->damage, args->from_offset))
                return PLOG_E_DAMAGED;
        args->below_offset = bound_of(pl, args, &ret_plan->up_to_damage);
        ret_plan->done = true;
        if (args->from_offset >= args->below_offset || !pl->segments_count)
                return 0;
        i = segments_find(pl, args->from_offset);
        if (i < 0)
                i = 0;
        /* Behind the last batch of a segment (offsets may have gaps): the next one has it. */
        while (args->from_offset >= pl->segments[i]->next_offset && (size_t)i + 1 < pl->segments_count)
                i++;
        ret_plan->segment = pl->segments[i];
        if (!ret_plan->segment->sealed && !ret_plan->up_to_damage && read_recent(pl, args, ret)) {
                if (ret->len)
                        ret->pin = pin_file_ref(ret_plan->segment->file);
                return 0;
        }
        ret_plan->done = false;
        segment_ref(ret_plan->segment);
        ret_plan->size = ret_plan->segment->size;
        ret_plan->end_offset = ret_plan->segment->next_offset;
        ret_plan->cuts = pl->cuts;
        damage_skips(&pl->damage, ret_plan->segment->base_offset, &ret_plan->skips);
        return 0;
}

/* Walk to the batch that holds the offset. Return: 1 with @ret_h and @ret_pos; 0 none; as walk_next(). */
static int find_first(struct walk *w, int64_t from_offset, struct batch_header *ret_h, int64_t *ret_pos)
{
        int r;

        do
                r = walk_next(w, ret_h, ret_pos);
        while (r > 0 && batch_last_offset(ret_h) < from_offset);
        return r;
}

/* Take what the index can vouch for in one step, so that a megabyte of small batches is not walked through: all before
 * the last entry that lies below both bounds. */
static int leap(struct plog *pl, struct segment *s, const struct plog_read_args *args, bool may_block, struct walk *w,
                struct plog_slice *ret)
{
        const struct index_key by_pos = { INDEX_BY_POS, ret->pos + (int64_t)args->len_max };
        const struct index_key by_offset = { INDEX_BY_OFFSET, args->below_offset - s->base_offset };
        struct index_entry a, b;
        int r;

        r = segment_seek(pl, s, by_pos, may_block, &a);
        if (r)
                return r;
        r = segment_seek(pl, s, by_offset, may_block, &b);
        if (r)
                return r;
        if (b.pos < a.pos)
                a = b;
        if ((int64_t)a.pos <= w->pos || (int64_t)a.pos > w->end || s->base_offset + a.rel_offset < w->next_offset)
                return 0;
        ret->len = (size_t)((int64_t)a.pos - ret->pos);
        ret->next_offset = s->base_offset + a.rel_offset;
        w->pos = a.pos;
        w->next_offset = ret->next_offset;
        return 0;
}

static int read_walk(struct plog *pl, const struct plan *plan, const struct plog_read_args *args, bool may_block,
                     struct plog_slice *ret)
{
        struct segment *s = plan->segment;
        struct index_entry e;
        struct batch_header h;
        struct walk_range range;
        struct walk w;
        int64_t pos;
        int r;

        r = segment_seek(pl, s, (struct index_key){ INDEX_BY_OFFSET, args->from_offset - s->base_offset }, may_block,
                         &e);
        if (r)
                return r;
        range = segment_range(s, &e, plan->size, plan->end_offset);
        range.skips = &plan->skips;
        walk_init(&w, ret->fd, &range, !may_block);
        r = find_first(&w, args->from_offset, &h, &pos);
        if (r < 0)
                return r;
        /* Nothing lies between the offset and the damage: the damage is what was asked for. */
        if (plan->up_to_damage && (r ? h.base_offset >= args->below_offset : plan->end_offset >= args->below_offset))
                return PLOG_E_DAMAGED;
        if (!r)
                return 0;
        if (batch_last_offset(&h) >= args->below_offset || !slice_has_room(ret, args, batch_size(&h)))
                return 0;
        slice_add(ret, pos, batch_size(&h), h.base_offset, batch_last_offset(&h) + 1);
        if (ret->len < args->len_max && w.pos < w.end) {
                r = leap(pl, s, args, may_block, &w, ret);
                if (r)
                        return r;
        }
        while ((r = walk_next(&w, &h, &pos)) > 0) {
                if (batch_last_offset(&h) >= args->below_offset || !slice_has_room(ret, args, batch_size(&h)))
                        return 0;
                slice_add(ret, pos, batch_size(&h), h.base_offset, batch_last_offset(&h) + 1);
        }
        /* What was found before the damage, or before a wait for the disk, is good. */
        return ret->len ? 0 : r;
}

/* Nonsense in the file: either it was cut meanwhile (look again), or the disk is damaged. */
static int judge_damage(struct plog *pl, const struct plan *plan, int64_t offset)
{
        bool cut;

        pthread_mutex_lock(&pl->lock);
        cut = pl->cuts != plan->cuts;
        if (!cut)
                damage_suspect(pl);
        pthread_mutex_unlock(&pl->lock);
        if (cut)
                return -EAGAIN;
        diag_limited(DIAG_ERROR,
                     "%s: the segment of base offset %lld is damaged near offset %lld; reads there are refused: "
                     "restore it from a replica or move consumers past it",
                     pl->name, (long long)plan->segment->base_offset, (long long)offset);
        return PLOG_E_DAMAGED;
}

/* Removed between the look and the opening: look again. */
static int gone(int r)
{
        return r == -ENOENT ? -EAGAIN : r;
}

static int pin_and_walk(struct plog *pl, const struct plan *plan, const struct plog_read_args *args, bool may_block,
                        struct plog_slice *ret)
{
        int r;

        ret->fd = pin_file_pin(plan->segment->file, 0);
        if (ret->fd < 0)
                return gone(ret->fd);
        r = read_walk(pl, plan, args, may_block, ret);
        if (r || !ret->len) {
                pin_file_unpin(plan->segment->file);
                return r;
        }
        ret->pin = pin_file_ref(plan->segment->file);
        return 0;
}

static int read_once(struct plog *pl, const struct plog_read_args *args_in, bool may_block, struct plog_slice *ret)
{
        CLEANUP(segment_unrefp) struct segment *held = NULL;
        struct plog_read_args args = *args_in;
        struct plan plan; /* filled as far as it is used: it is large, and this is the hot path */
        int r;

        pthread_mutex_lock(&pl->lock);
        r = plan_locked(pl, &args, ret, &plan);
        pthread_mutex_unlock(&pl->lock);
        if (r)
                return r;
        if (plan.done) {
                if (!ret->len)
                        return 0;
                ret->fd = pin_file_pin(ret->pin, 0);
                if (ret->fd < 0) {
                        pin_file_unref(ret->pin);
                        return gone(ret->fd);
                }
                return 0;
        }
        held = plan.segment;
        r = pin_and_walk(pl, &plan, &args, may_block, ret);
        if (r == -EUCLEAN)
                r = judge_damage(pl, &plan, args.from_offset);
        /* Only offsets that were compacted away are left in this segment: go on behind it. */
        if (!r && !ret->len && plan.segment->sealed && args.from_offset < plan.segment->next_offset &&
            plan.segment->next_offset < args.below_offset && args_in->len_max) {
                struct plog_read_args next = *args_in;

                next.from_offset = plan.segment->next_offset;
                if (args_in->at_least_one)
                        return read_once(pl, &next, may_block, ret);
        }
        return r;
}

int plog_read(struct plog *pl, const struct plog_read_args *args, bool may_block, struct plog_slice *ret)
{
        struct plog_slice s;
        int r, tries = 0;

        assert(pl->magic == PLOG_MAGIC);
        do {
                s = (struct plog_slice){ .fd = -1,
                                         .first_offset = args->from_offset,
                                         .next_offset = args->from_offset };
                r = read_once(pl, args, may_block, &s);
        } while (r == -EAGAIN && may_block && ++tries < 3);
        if (!r)
                *ret = s;
        return r;
}

void plog_slice_release(struct plog_slice *s)
{
        if (!s->pin)
                return;
        pin_file_unpin(s->pin);
        s->pin = pin_file_unref(s->pin);
        s->fd = -1;
        s->len = 0;
}

int plog_slice_copy(const struct plog_slice *s, void *buf)
{
        ssize_t n;

        if (!s->len)
                return 0;
        n = file_pread(s->fd, buf, s->len, s->pos);
        if (n < 0)
                return (int)n;
        return (size_t)n == s->len ? 0 : -EUCLEAN;
}

int plog_slice_heads(const struct plog_slice *s, bool may_block,
                     int (*fn)(void *arg, const struct batch_header *h, size_t len), void *arg)
{
        const struct walk_range range = { .pos = s->pos,
                                          .end = s->pos + (int64_t)s->len,
                                          .first_offset = s->first_offset,
                                          .end_offset = s->next_offset };
        struct batch_header h;
        struct walk w;
        int64_t pos;
        int r;

        walk_init(&w, s->fd, &range, !may_block);
        while ((r = walk_next(&w, &h, &pos)) > 0) {
                r = fn(arg, &h, (size_t)(pos + batch_size(&h) - s->pos));
                if (r)
                        return r;
        }
        return r;
}
