/* Putting back what is rotten: the batches as another replica has them are written over the bytes of a damaged range. */
#include <errno.h>

#include "plog/internal.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "wire/batch.h"

/* Whole batches with the right CRC that hold the range's offsets and none behind them. */
static bool batches_fit(const struct plog_damaged_range *range, struct span batches)
{
        struct batch_iter it = batch_iter_of(batches);
        int64_t next = -1;
        struct batch_header h;
        struct span batch;
        int r;

        while (!(r = batch_iter_next(&it, &batch, &h))) {
                if (batch_check_crc(batch, &h) || h.base_offset < next)
                        return false;
                if (next < 0 && batch_last_offset(&h) < range->from_offset)
                        return false;
                next = batch_last_offset(&h) + 1;
        }
        return r == BATCH_END && next > range->from_offset && next <= range->to_offset;
}

/* The segment's file when @range is still what the log says of it. plog.lock held. */
static struct plog_pin *file_of(struct plog *pl, const struct plog_damaged_range *range)
{
        const struct plog_damaged_range *known = damage_at(&pl->damage, range->from_offset);
        ptrdiff_t i = segments_find(pl, range->segment_base);

        if (pl->state != PLOG_OPEN || !known || known->from_offset != range->from_offset ||
            known->to_offset != range->to_offset || known->segment_base != range->segment_base ||
            known->pos != range->pos || known->end_pos != range->end_pos || i < 0 ||
            pl->segments[i]->base_offset != range->segment_base || pl->segments[i]->synced_size < range->end_pos)
                return NULL;
        return pin_file_ref(pl->segments[i]->file);
}

static int write_over(struct plog_pin *file, const struct plog_damaged_range *range, struct span batches)
{
        int fd = pin_file_pin(file, 0), r;

        if (fd < 0)
                return fd;
        r = file_pwrite_all(fd, batches.data, batches.len, range->pos);
        if (!r)
                r = file_sync(fd);
        pin_file_unpin(file);
        return r;
}

int plog_mend(struct plog *pl, const struct plog_damaged_range *range, struct span batches)
{
        CLEANUP(pin_file_unrefp) struct plog_pin *file = NULL;
        int r;

        if (range->why == PLOG_DAMAGE_MISSING || range->segment_base < 0 ||
            (int64_t)batches.len != range->end_pos - range->pos || !batches_fit(range, batches))
                return -EINVAL;
        pthread_mutex_lock(&pl->work); /* nothing is cut, cleaned or removed meanwhile */
        pthread_mutex_lock(&pl->lock);
        file = file_of(pl, range);
        pthread_mutex_unlock(&pl->lock);
        r = file ? write_over(file, range, batches) : PLOG_E_NOT_FOUND;
        if (!r) {
                pthread_mutex_lock(&pl->lock);
                (void)damage_settle(pl, range->from_offset, range->to_offset, &(struct damage){ 0 });
                pthread_mutex_unlock(&pl->lock);
                r = damage_save(pl);
        }
        pthread_mutex_unlock(&pl->work);
        return r;
}
