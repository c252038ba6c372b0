/* What of a log may be compacted; see cleanable.h and compact.h. */
#include "plog/cleanable.h"

#include "base/err.h"
#include "plog/compact.h"

int cleanable_state(const struct plog *pl)
{
        return pl->state == PLOG_CLOSED   ? PLOG_E_CLOSED
               : pl->state == PLOG_FAILED ? PLOG_E_FAILED
               : pl->damage.count         ? PLOG_E_DAMAGED
                                          : 0;
}

void cleanable_fini(struct cleanable *c)
{
        for (size_t i = 0; i < c->count; i++)
                segment_unref(c->segments[i]);
        free(c->segments);
        *c = (struct cleanable){ 0 };
}

/* Sealed segments below the bound, and where the dirty ones begin. */
static int take_sealed(struct plog *pl, int64_t below_offset, struct cleanable *c)
{
        int64_t stable = plog_stable_offset(pl, below_offset);
        int r;

        pthread_mutex_lock(&pl->lock);
        r = cleanable_state(pl);
        if (!r) {
                c->segments = calloc(pl->segments_count + 1, sizeof(struct segment *));
                r = c->segments ? 0 : -ENOMEM;
        }
        for (size_t i = 0; !r && i < pl->segments_count; i++) {
                struct segment *s = pl->segments[i];

                if (!s->sealed || s->next_offset > stable || s->synced_size < s->size)
                        break;
                c->segments[c->count++] = segment_ref(s);
        }
        c->dirty_from = MAX2(pl->cleaned_end, pl->start);
        pthread_mutex_unlock(&pl->lock);
        return r;
}

int cleanable_times(struct plog *pl, struct segment *s, int64_t *ret_first_ms, int64_t *ret_last_ms)
{
        int r = segment_load_index(pl, s);

        if (r)
                return r == -EUCLEAN ? PLOG_E_DAMAGED : r;
        pthread_mutex_lock(&pl->lock);
        *ret_first_ms = s->first_timestamp >= 0 ? s->first_timestamp : s->created_ms;
        *ret_last_ms = s->max_timestamp >= 0 ? s->max_timestamp : s->created_ms;
        pthread_mutex_unlock(&pl->lock);
        return 0;
}

int cleanable_take(struct plog *pl, int64_t now_ms, int64_t below_offset, struct cleanable *ret)
{
        struct cleanable c = { .oldest_ms = INT64_MAX };
        size_t keep = 0;
        int64_t lag_ms;
        int r = take_sealed(pl, below_offset, &c);

        pthread_mutex_lock(&pl->lock);
        lag_ms = pl->conf.min_compaction_lag_ms;
        pthread_mutex_unlock(&pl->lock);
        for (; !r && keep < c.count; keep++) {
                int64_t first_ms, last_ms;

                if (c.segments[keep]->next_offset <= c.dirty_from)
                        continue;
                r = cleanable_times(pl, c.segments[keep], &first_ms, &last_ms);
                if (!r && lag_ms > 0 && last_ms > now_ms - lag_ms)
                        break;
                if (!r)
                        c.oldest_ms = MIN2(c.oldest_ms, first_ms);
        }
        if (r) {
                cleanable_fini(&c);
                return r;
        }
        while (c.count > keep)
                segment_unref(c.segments[--c.count]);
        *ret = c;
        return 0;
}

int plog_dirt(struct plog *pl, int64_t now_ms, int64_t below_offset, struct plog_dirt *ret)
{
        struct plog_dirt d = { 0 };
        struct cleanable c;
        int r = cleanable_take(pl, now_ms, below_offset, &c);

        if (r)
                return r;
        for (size_t i = 0; i < c.count; i++)
                *(c.segments[i]->next_offset <= c.dirty_from ? &d.clean_bytes : &d.dirty_bytes) += c.segments[i]->size;
        d.oldest_ms = c.oldest_ms;
        cleanable_fini(&c);
        if (d.dirty_bytes)
                d.share = (double)d.dirty_bytes / (double)(d.clean_bytes + d.dirty_bytes);
        pthread_mutex_lock(&pl->lock);
        d.due = d.dirty_bytes && (d.share >= pl->conf.min_cleanable_ratio ||
                                  (d.oldest_ms < now_ms && now_ms - d.oldest_ms > pl->conf.max_compaction_lag_ms));
        pthread_mutex_unlock(&pl->lock);
        *ret = d;
        return 0;
}
