#include "share/share_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct share_part {
        struct share_part_conf conf;
        int64_t start, end; /* runs cover [start, end) without gaps */
        struct share_run *runs;
        size_t count, size;
        uint64_t changes;
};

void share_part_configure(struct share_part *p, const struct share_part_conf *conf)
{
        p->conf = *conf;
}

int64_t share_part_start(const struct share_part *p)
{
        return p->start;
}

int64_t share_part_end(const struct share_part *p)
{
        return p->end;
}

uint64_t share_part_changes(const struct share_part *p)
{
        return p->changes;
}

size_t share_part_runs(const struct share_part *p)
{
        return p->count;
}

const struct share_run *share_part_view(const struct share_part *p, size_t *ret_count)
{
        *ret_count = p->count;
        return p->runs;
}

struct share_part *share_part_free(struct share_part *p)
{
        if (p)
                free(p->runs);
        free(p);
        return NULL;
}

/* ---- runs ---- */

/* Room for @more runs: every change is a split in two places at most, and what is appended. */
static int reserve(struct share_part *p, size_t more)
{
        size_t size = MAX2(p->size, (size_t)8);
        struct share_run *runs;

        if (p->count + more <= p->size)
                return 0;
        while (size < p->count + more)
                size *= 2;
        runs = reallocarray(p->runs, size, sizeof *runs);
        if (!runs)
                return -ENOMEM;
        p->runs = runs;
        p->size = size;
        return 0;
}

/* The first run that ends at or after @offset; count when there is none. */
static size_t find(const struct share_part *p, int64_t offset)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (p->runs[mid].last < offset)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

/* Let a run begin at @offset. There is room for one more. Return: its place. */
static size_t split(struct share_part *p, int64_t offset)
{
        size_t i = find(p, offset);
        struct share_run *r = &p->runs[i];

        if (i == p->count || r->first >= offset)
                return i;
        assert(p->count < p->size);
        memmove(r + 1, r, (p->count - i) * sizeof *r);
        p->count++;
        r[0].last = offset - 1;
        r[1].first = offset;
        return i + 1;
}

static bool is_same(const struct share_run *a, const struct share_run *b)
{
        if (a->state != b->state || a->deliveries != b->deliveries)
                return false;
        return a->state != SHARE_ACQUIRED || (a->member == b->member && a->deadline_ms == b->deadline_ms);
}

static bool is_done(const struct share_run *r)
{
        return r->state == SHARE_ACKNOWLEDGED || r->state == SHARE_ARCHIVED;
}

/* Neighbours of one fate become one; what is done in front goes. */
static void tidy(struct share_part *p)
{
        size_t from = 0, to = 0;

        while (from < p->count && is_done(&p->runs[from]))
                p->start = p->runs[from++].last + 1;
        for (; from < p->count; from++) {
                if (to && is_same(&p->runs[to - 1], &p->runs[from]))
                        p->runs[to - 1].last = p->runs[from].last;
                else
                        p->runs[to++] = p->runs[from];
        }
        p->count = to;
}

/* There is room for one more. */
static void append(struct share_part *p, struct share_run r)
{
        assert(r.first == p->end && p->count < p->size);
        p->runs[p->count++] = r;
        p->end = r.last + 1;
}

int share_part_new(const struct share_part_conf *conf, int64_t start, const struct share_run *runs, size_t count,
                   struct share_part **ret_part)
{
        struct share_part *p = calloc(1, sizeof *p);
        int r = p ? 0 : -ENOMEM;

        if (p) {
                p->conf = *conf;
                p->start = p->end = start;
                r = reserve(p, count);
        }
        for (size_t i = 0; !r && i < count; i++) {
                bool known = runs[i].state == SHARE_AVAILABLE || is_done(&runs[i]);

                if (!known || runs[i].first != p->end || runs[i].last < runs[i].first)
                        r = -EINVAL;
                else
                        append(p, (struct share_run){ .first = runs[i].first,
                                                      .last = runs[i].last,
                                                      .state = runs[i].state,
                                                      .deliveries = runs[i].deliveries });
        }
        if (r) {
                share_part_free(p);
                return r;
        }
        tidy(p);
        *ret_part = p;
        return 0;
}

/* ---- asking ---- */

int64_t share_part_next(const struct share_part *p)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->runs[i].state == SHARE_AVAILABLE)
                        return p->runs[i].first;
        return p->end;
}

static int64_t room(const struct share_part *p)
{
        return MAX2((int64_t)p->conf.records_max - (p->end - p->start), (int64_t)0);
}

int64_t share_part_reach(const struct share_part *p, int64_t max, int64_t hole_max)
{
        int64_t next = share_part_next(p), last = next, found = 0;

        for (size_t i = find(p, next); i < p->count; i++) {
                const struct share_run *r = &p->runs[i];
                int64_t len = r->last - r->first + 1;

                if (r->state == SHARE_AVAILABLE) {
                        if (found + len >= max)
                                return r->first + (max - found) - 1;
                        found += len;
                        last = r->last;
                } else if (len > hole_max) {
                        return last;
                }
        }
        return MAX2(last, p->end + MIN2(max - found, room(p)) - 1);
}

int64_t share_part_done(const struct share_part *p)
{
        int64_t done = 0;

        for (size_t i = 0; i < p->count; i++)
                if (is_done(&p->runs[i]))
                        done += p->runs[i].last - p->runs[i].first + 1;
        return done;
}

bool share_part_has_room(const struct share_part *p)
{
        return room(p) || share_part_next(p) < p->end;
}

int64_t share_part_next_ms(const struct share_part *p)
{
        int64_t next = INT64_MAX;

        for (size_t i = 0; i < p->count; i++)
                if (p->runs[i].state == SHARE_ACQUIRED)
                        next = MIN2(next, p->runs[i].deadline_ms);
        return next;
}

/* ---- giving ---- */

static void give(struct share_part *p, struct share_run *r, uint64_t member, int64_t now_ms)
{
        r->state = SHARE_ACQUIRED;
        r->deliveries++;
        r->member = member;
        r->deadline_ms = now_ms + p->conf.lock_ms;
}

/* Those of [first, last] that were delivered before, or could have been. Return: how many records are given. */
static int64_t give_again(struct share_part *p, uint64_t member, int64_t first, int64_t last, int64_t max,
                          int64_t now_ms, struct share_run *ret_runs, size_t runs_max, size_t *ret_count)
{
        int64_t given = 0;

        for (size_t i = split(p, first); i < p->count && given < max && *ret_count < runs_max; i++) {
                struct share_run *r = &p->runs[i];
                int64_t until = MIN2(last, r->first + (max - given) - 1);

                if (r->first > last)
                        break;
                if (r->state != SHARE_AVAILABLE)
                        continue;
                if (r->last > until) {
                        split(p, until + 1);
                        r = &p->runs[i];
                }
                give(p, r, member, now_ms);
                ret_runs[(*ret_count)++] = *r;
                given += r->last - r->first + 1;
        }
        return given;
}

/* Those that nobody has seen. */
static void give_new(struct share_part *p, uint64_t member, int64_t first, int64_t last, int64_t max, int64_t now_ms,
                     struct share_run *ret_runs, size_t *ret_count)
{
        struct share_run r = { .first = MAX2(first, p->end), .last = last };
        int64_t most;

        if (r.first > p->end)
                append(p, (struct share_run){ p->end, r.first - 1, SHARE_ARCHIVED });
        tidy(p); /* what is not there may have been all that was in front */
        most = MIN2(max, room(p));
        r.last = MIN2(r.last, r.first + most - 1);
        if (most <= 0 || r.last < r.first)
                return;
        give(p, &r, member, now_ms);
        append(p, r);
        ret_runs[(*ret_count)++] = r;
}

int share_part_acquire(struct share_part *p, uint64_t member, int64_t first, int64_t last, int64_t max, int64_t now_ms,
                       struct share_run *ret_runs, size_t runs_max, size_t *ret_count)
{
        int64_t given;

        assert(first >= p->start);
        *ret_count = 0;
        if (reserve(p, 4 + MIN2(runs_max, p->count)))
                return -ENOMEM;
        given = give_again(p, member, first, MIN2(last, p->end - 1), max, now_ms, ret_runs, runs_max, ret_count);
        if (last >= p->end && given < max && *ret_count < runs_max)
                give_new(p, member, first, last, max - given, now_ms, ret_runs, ret_count);
        tidy(p);
        return 0;
}

/* ---- taking back ---- */

static void take_back(struct share_part *p, struct share_run *r)
{
        r->state = r->deliveries < p->conf.deliveries_max ? SHARE_AVAILABLE : SHARE_ARCHIVED;
        r->member = 0;
        r->deadline_ms = 0;
        p->changes++;
}

static void decide(struct share_part *p, struct share_run *r, enum share_ack type, int64_t now_ms)
{
        switch (type) {
        case SHARE_RENEW:
                r->deadline_ms = now_ms + p->conf.lock_ms;
                return;
        case SHARE_RELEASE:
                take_back(p, r);
                return;
        case SHARE_ACCEPT:
                r->state = SHARE_ACKNOWLEDGED;
                break;
        case SHARE_GAP:
        case SHARE_REJECT:
                r->state = SHARE_ARCHIVED;
                break;
        }
        r->member = 0;
        r->deadline_ms = 0;
        p->changes++;
}

/* Is all of the range that is not done under way to @member? */
static bool is_under_way(const struct share_part *p, uint64_t member, const struct share_ack_range *range)
{
        if (range->last < range->first || range->last < p->start || range->last >= p->end)
                return false;
        for (size_t i = find(p, range->first); i < p->count && p->runs[i].first <= range->last; i++)
                if (p->runs[i].state != SHARE_ACQUIRED || p->runs[i].member != member)
                        return false;
        return true;
}

int share_part_acknowledge(struct share_part *p, uint64_t member, const struct share_ack_range *ranges, size_t count,
                           int64_t now_ms)
{
        for (size_t n = 0; n < count; n++)
                if (!is_under_way(p, member, &ranges[n]))
                        return SHARE_E_STATE;
        if (reserve(p, 2 * count))
                return -ENOMEM;
        for (size_t n = 0; n < count; n++) {
                size_t i = split(p, MAX2(ranges[n].first, p->start)), end = split(p, ranges[n].last + 1);

                /* A range that an earlier one of the same request has decided is no longer under way: the first counts. */
                for (; i < end; i++)
                        if (p->runs[i].state == SHARE_ACQUIRED)
                                decide(p, &p->runs[i], ranges[n].type, now_ms);
        }
        tidy(p);
        return SHARE_OK;
}

int share_part_release(struct share_part *p, uint64_t member)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->runs[i].state == SHARE_ACQUIRED && p->runs[i].member == member)
                        take_back(p, &p->runs[i]);
        tidy(p);
        return 0;
}

int share_part_tick(struct share_part *p, int64_t now_ms)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->runs[i].state == SHARE_ACQUIRED && p->runs[i].deadline_ms <= now_ms)
                        take_back(p, &p->runs[i]);
        tidy(p);
        return 0;
}

int share_part_archive(struct share_part *p, int64_t first, int64_t last)
{
        size_t i, end;

        if (reserve(p, 5))
                return -ENOMEM;
        first = MAX2(first, p->start);
        if (last < first)
                return 0;
        if (first > p->end) /* those in front are yet to be delivered */
                append(p, (struct share_run){ p->end, first - 1, SHARE_AVAILABLE });
        if (last >= p->end) {
                append(p, (struct share_run){ p->end, last, SHARE_ARCHIVED });
                p->changes++;
        }
        i = split(p, first);
        end = split(p, last + 1);
        for (; i < end; i++)
                if (p->runs[i].state == SHARE_AVAILABLE) {
                        p->runs[i].state = SHARE_ARCHIVED;
                        p->changes++;
                }
        tidy(p);
        return 0;
}

void share_part_log_start(struct share_part *p, int64_t offset)
{
        size_t i = 0;

        if (offset <= p->start)
                return;
        while (i < p->count && p->runs[i].last < offset)
                i++;
        memmove(p->runs, p->runs + i, (p->count - i) * sizeof *p->runs);
        p->count -= i;
        if (p->count)
                p->runs[0].first = MAX2(p->runs[0].first, offset);
        p->start = offset;
        p->end = MAX2(p->end, offset);
        p->changes++;
        tidy(p);
}

/* ---- what is written ---- */

size_t share_part_snapshot(const struct share_part *p, struct share_run *ret_runs)
{
        size_t count = 0;

        for (size_t i = 0; i < p->count; i++) {
                struct share_run r = p->runs[i];

                if (r.state == SHARE_ACQUIRED) {
                        r.state = SHARE_AVAILABLE;
                        r.deliveries--;
                        r.member = 0;
                        r.deadline_ms = 0;
                }
                if (count && is_same(&ret_runs[count - 1], &r))
                        ret_runs[count - 1].last = r.last;
                else
                        ret_runs[count++] = r;
        }
        return count;
}
