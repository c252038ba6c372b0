/* Reading for a share group: where the batches lie, which of their offsets are to be delivered, and up to where they are enough. */
#include <errno.h>
#include <stdlib.h>

#include "share/shares_priv.h"
#include "wire/batch.h"

struct scan {
        struct share_reading *r;
        int64_t expect; /* the offset that comes next where nothing is missing */
        bool failed;
};

static bool add_span(struct share_reading *r, int64_t first, int64_t last)
{
        if (r->spans_count && r->spans[r->spans_count - 1].last + 1 == first) {
                r->spans[r->spans_count - 1].last = last;
                return true;
        }
        if (r->spans_count == r->spans_size) {
                size_t size = MAX2(r->spans_size * 2, (size_t)8);
                struct share_span *spans = reallocarray(r->spans, size, sizeof *spans);

                if (!spans)
                        return false;
                r->spans = spans;
                r->spans_size = size;
        }
        r->spans[r->spans_count++] = (struct share_span){ first, last };
        return true;
}

static bool is_aborted(const struct share_reading *r, const struct batch_header *h)
{
        if (!batch_is_transactional(h))
                return false;
        for (size_t i = 0; i < r->aborted_count; i++)
                if (r->aborted[i].producer_id == h->producer_id && r->aborted[i].first_offset <= h->base_offset &&
                    r->aborted[i].last_offset >= h->base_offset)
                        return true;
        return false;
}

static int on_head(void *arg, const struct batch_header *h, size_t len)
{
        struct scan *s = arg;
        struct share_reading *r = s->r;
        int64_t last = batch_last_offset(h);

        if (h->base_offset > s->expect)
                s->failed |= !add_span(r, s->expect, h->base_offset - 1);
        if (batch_is_control(h) || is_aborted(r, h))
                s->failed |= !add_span(r, h->base_offset, last);
        s->expect = r->cut_next = last + 1;
        r->cut_len = len;
        return s->failed || last >= r->reach;
}

static int scan(struct share_reading *r, bool may_block)
{
        struct scan s = { .r = r, .expect = r->next };
        int e = 0;

        if (r->committed)
                e = plog_aborted(r->log, r->next, r->slice.next_offset, may_block, &r->aborted, &r->aborted_count);
        if (e)
                return e;
        e = plog_slice_heads(&r->slice, may_block, on_head, &s);
        return s.failed ? -ENOMEM : MIN2(e, 0);
}

int reading_run(struct share_reading *r, size_t len_max, bool at_least_one, bool may_block)
{
        int e = plog_read(r->log,
                          &(struct plog_read_args){ .from_offset = r->next,
                                                    .below_offset = r->below,
                                                    .len_max = len_max,
                                                    .at_least_one = at_least_one },
                          may_block, &r->slice);

        if (e) {
                r->slice.len = 0;
        } else if (r->slice.len) {
                e = scan(r, may_block);
                if (e)
                        reading_drop(r);
        }
        if (e != -EAGAIN)
                r->outcome = e;
        return e == -EAGAIN ? e : 0;
}

void reading_drop(struct share_reading *r)
{
        if (r->slice.len)
                plog_slice_release(&r->slice);
        r->slice.len = 0;
        r->cut_len = 0;
        free(r->spans);
        free(r->aborted);
        r->spans = NULL;
        r->aborted = NULL;
        r->spans_count = r->spans_size = r->aborted_count = 0;
}
