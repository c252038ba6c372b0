/* Goal: a share group's partition gives every record to one at a time, again when it comes back, so often and no more, and is done up to where it
 * says. Method: each rule by name; then, at random and for long, the same operations on it and on a model that has an entry for every record. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "share/share_part.h"
#include "unit.h"

enum { RECORDS = 600, RUNS_MAX = 64 };

static const struct share_part_conf conf = { .deliveries_max = 3, .records_max = 40, .lock_ms = 1000 };

static struct share_part *fresh(void)
{
        struct share_part *p;

        CU_ASSERT_EQUAL_FATAL(share_part_new(&conf, 0, NULL, 0, &p), 0);
        return p;
}

/* "0-4:2x1" */
static const char *text(const struct share_part *p)
{
        static const char *const names[] = {
                [SHARE_AVAILABLE] = "free",
                [SHARE_ACQUIRED] = "out",
                [SHARE_ACKNOWLEDGED] = "done",
                [SHARE_ARCHIVED] = "dead",
        };
        static char out[2000];
        size_t count, at = 0;
        const struct share_run *runs = share_part_view(p, &count);

        out[0] = 0;
        for (size_t i = 0; i < count; i++)
                at += (size_t)snprintf(out + at, sizeof out - at, "%s%lld-%lld %s %d", i ? ", " : "",
                                       (long long)runs[i].first, (long long)runs[i].last, names[runs[i].state],
                                       runs[i].deliveries);
        return out;
}

static int64_t take(struct share_part *p, uint64_t member, int64_t first, int64_t last, int64_t max, int64_t now_ms)
{
        struct share_run runs[RUNS_MAX];
        size_t count;
        int64_t n = 0;

        CU_ASSERT_EQUAL_FATAL(share_part_acquire(p, member, first, last, max, now_ms, runs, RUNS_MAX, &count), 0);
        for (size_t i = 0; i < count; i++)
                n += runs[i].last - runs[i].first + 1;
        return n;
}

static int says(struct share_part *p, uint64_t member, int64_t first, int64_t last, enum share_ack type, int64_t now_ms)
{
        return share_part_acknowledge(p, member, &(struct share_ack_range){ first, last, type }, 1, now_ms);
}

#define SAME(p, want) CU_ASSERT_STRING_EQUAL(text(p), want)

static void test_one_after_the_other(void)
{
        struct share_part *p = fresh();

        CU_ASSERT_EQUAL(take(p, 1, 0, 9, 5, 0), 5);
        CU_ASSERT_EQUAL(share_part_next(p), 5);
        CU_ASSERT_EQUAL(take(p, 2, 5, 9, 100, 0), 5);
        SAME(p, "0-4 out 1, 5-9 out 1");
        CU_ASSERT_EQUAL(says(p, 2, 0, 4, SHARE_ACCEPT, 0), SHARE_E_STATE);  /* another one's */
        CU_ASSERT_EQUAL(says(p, 1, 3, 5, SHARE_ACCEPT, 0), SHARE_E_STATE);  /* half of it */
        CU_ASSERT_EQUAL(says(p, 1, 8, 12, SHARE_ACCEPT, 0), SHARE_E_STATE); /* never delivered */
        CU_ASSERT_EQUAL(share_part_changes(p), 0);
        CU_ASSERT_EQUAL(says(p, 1, 1, 2, SHARE_ACCEPT, 0), SHARE_OK);
        SAME(p, "0-0 out 1, 1-2 done 1, 3-4 out 1, 5-9 out 1");
        CU_ASSERT_EQUAL(says(p, 1, 0, 0, SHARE_REJECT, 0), SHARE_OK);
        CU_ASSERT_EQUAL(share_part_start(p), 3);
        CU_ASSERT_EQUAL(says(p, 1, 0, 2, SHARE_ACCEPT, 0), SHARE_E_STATE); /* below the start: somebody has ended it */
        CU_ASSERT_EQUAL(says(p, 1, 1, 4, SHARE_RELEASE, 0), SHARE_OK);
        SAME(p, "3-4 free 1, 5-9 out 1");
        CU_ASSERT_EQUAL(share_part_next(p), 3);
        CU_ASSERT_EQUAL(take(p, 2, 3, 20, 100, 0), 13); /* again, and new ones behind those under way */
        SAME(p, "3-4 out 2, 5-20 out 1");
        share_part_free(p);
}

static void test_time_outs_and_limits(void)
{
        struct share_part *p = fresh();

        CU_ASSERT_EQUAL(share_part_next_ms(p), INT64_MAX);
        for (int i = 1; i <= 3; i++) {
                CU_ASSERT_EQUAL(take(p, 1, 0, 9, 10, i * 10000), 10);
                CU_ASSERT_EQUAL(share_part_next_ms(p), i * 10000 + 1000);
                CU_ASSERT_EQUAL(share_part_tick(p, i * 10000 + 999), 0);
                CU_ASSERT_EQUAL(share_part_next(p), 10);
                CU_ASSERT_EQUAL(says(p, 1, 0, 4, SHARE_RENEW, i * 10000 + 500), SHARE_OK);
                CU_ASSERT_EQUAL(share_part_tick(p, i * 10000 + 1000), 0);
                CU_ASSERT_EQUAL(share_part_tick(p, i * 10000 + 1500), 0);
        }
        CU_ASSERT_EQUAL(share_part_start(p), 10); /* three times were enough */
        /* So many between start and end, and no more; those that come back may go out again. */
        CU_ASSERT_EQUAL(take(p, 1, 10, 200, 1000, 0), 40);
        CU_ASSERT(!share_part_has_room(p));
        CU_ASSERT_EQUAL(take(p, 2, 50, 200, 1000, 0), 0);
        CU_ASSERT_EQUAL(share_part_release(p, 1), 0);
        CU_ASSERT(share_part_has_room(p));
        CU_ASSERT_EQUAL(take(p, 2, 10, 49, 1000, 0), 40);
        share_part_free(p);
}

static void test_gaps(void)
{
        struct share_part *p = fresh();

        CU_ASSERT_EQUAL(take(p, 1, 3, 5, 10, 0), 3); /* what lies before it is not there */
        CU_ASSERT_EQUAL(share_part_start(p), 3);
        CU_ASSERT_EQUAL(take(p, 1, 8, 9, 10, 0), 2);
        SAME(p, "3-5 out 1, 6-7 dead 0, 8-9 out 1");
        CU_ASSERT_EQUAL(share_part_archive(p, 10, 12), 0); /* aborted */
        CU_ASSERT_EQUAL(share_part_end(p), 13);
        CU_ASSERT_EQUAL(says(p, 1, 3, 5, SHARE_GAP, 0), SHARE_OK);
        CU_ASSERT_EQUAL(share_part_start(p), 8);
        share_part_log_start(p, 9);
        SAME(p, "9-9 out 1, 10-12 dead 0");
        share_part_log_start(p, 100);
        CU_ASSERT(share_part_start(p) == 100 && share_part_end(p) == 100 && share_part_runs(p) == 0);
        CU_ASSERT_EQUAL(share_part_archive(p, 102, 103), 0); /* those in front are yet to be delivered */
        SAME(p, "100-101 free 0, 102-103 dead 0");
        CU_ASSERT_EQUAL(share_part_next(p), 100);
        share_part_free(p);
}

static void test_written(void)
{
        struct share_part *p = fresh(), *q;
        struct share_run runs[RUNS_MAX];
        size_t count;

        take(p, 1, 0, 9, 10, 0);
        says(p, 1, 2, 3, SHARE_RELEASE, 0);
        says(p, 1, 5, 5, SHARE_ACCEPT, 0);
        CU_ASSERT_EQUAL(share_part_changes(p), 2);
        count = share_part_snapshot(p, runs);
        CU_ASSERT_EQUAL_FATAL(share_part_new(&conf, share_part_start(p), runs, count, &q), 0);
        SAME(q, "0-1 free 0, 2-3 free 1, 4-4 free 0, 5-5 done 1, 6-9 free 0");
        CU_ASSERT_EQUAL(take(q, 2, 0, 20, 100, 0), 20); /* 5 is done */
        share_part_free(q);
        runs[1].first++;
        CU_ASSERT_EQUAL(share_part_new(&conf, 0, runs, count, &q), -EINVAL);
        runs[1].first--;
        runs[1].state = SHARE_ACQUIRED;
        CU_ASSERT_EQUAL(share_part_new(&conf, 0, runs, count, &q), -EINVAL);
        share_part_free(p);
}

/* ---- at random ---- */

static uint64_t seed_state;

static int64_t chance(int64_t n)
{
        seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
        return (int64_t)((seed_state >> 33) % (uint64_t)n);
}

struct record {
        enum share_state state;
        int deliveries;
        uint64_t member;
        int64_t deadline_ms;
};

static struct record records[RECORDS + 100];
static int64_t start, end;

static void back(struct record *r)
{
        r->state = r->deliveries < conf.deliveries_max ? SHARE_AVAILABLE : SHARE_ARCHIVED;
}

static void go_on(void)
{
        while (start < end && (records[start].state == SHARE_ACKNOWLEDGED || records[start].state == SHARE_ARCHIVED))
                start++;
}

static void check(const struct share_part *p)
{
        size_t count;
        const struct share_run *runs = share_part_view(p, &count);
        int64_t at = start, next = end, next_ms = INT64_MAX;

        CU_ASSERT_EQUAL_FATAL(share_part_start(p), start);
        CU_ASSERT_EQUAL_FATAL(share_part_end(p), end);
        for (size_t i = 0; i < count; i++) {
                CU_ASSERT_EQUAL_FATAL(runs[i].first, at);
                for (; at <= runs[i].last; at++) {
                        CU_ASSERT_EQUAL_FATAL(runs[i].state, records[at].state);
                        CU_ASSERT_EQUAL(runs[i].deliveries, records[at].deliveries);
                        if (records[at].state != SHARE_ACQUIRED)
                                continue;
                        CU_ASSERT_EQUAL(runs[i].member, records[at].member);
                        CU_ASSERT_EQUAL(runs[i].deadline_ms, records[at].deadline_ms);
                        next_ms = MIN2(next_ms, records[at].deadline_ms);
                }
                /* Runs of one fate are one. */
                CU_ASSERT(!i || runs[i].state != runs[i - 1].state || runs[i].deliveries != runs[i - 1].deliveries ||
                          runs[i].state == SHARE_ACQUIRED);
        }
        CU_ASSERT_EQUAL(at, end);
        for (int64_t o = end; o-- > start;)
                if (records[o].state == SHARE_AVAILABLE)
                        next = o;
        CU_ASSERT_EQUAL(share_part_next(p), next);
        CU_ASSERT_EQUAL(share_part_next_ms(p), next_ms);
}

static void acquire_both(struct share_part *p, uint64_t member, int64_t now_ms)
{
        struct share_run runs[RUNS_MAX];
        int64_t first = chance(3) ? share_part_next(p) : start + chance(end - start + 5), last = first + chance(20);
        int64_t max = 1 + chance(30), given = 0, told = 0;
        size_t count;

        CU_ASSERT_EQUAL_FATAL(share_part_acquire(p, member, first, last, max, now_ms, runs, RUNS_MAX, &count), 0);
        for (int64_t o = first; o <= last && o < end && given < max; o++)
                if (records[o].state == SHARE_AVAILABLE) {
                        records[o] = (struct record){ SHARE_ACQUIRED, records[o].deliveries + 1, member,
                                                      now_ms + conf.lock_ms };
                        given++;
                }
        if (last >= end && given < max) {
                for (; end < first; end++)
                        records[end] = (struct record){ SHARE_ARCHIVED };
                go_on();
                for (; end <= last && given < max && end - start < conf.records_max; given++)
                        records[end++] = (struct record){ SHARE_ACQUIRED, 1, member, now_ms + conf.lock_ms };
        }
        for (size_t i = 0; i < count; i++) {
                told += runs[i].last - runs[i].first + 1;
                for (int64_t o = runs[i].first; o <= runs[i].last; o++)
                        CU_ASSERT(records[o].member == member && records[o].deliveries == runs[i].deliveries);
        }
        CU_ASSERT_EQUAL(told, given);
}

static void acknowledge_both(struct share_part *p, uint64_t member, int64_t now_ms)
{
        static const enum share_ack types[] = { SHARE_GAP, SHARE_ACCEPT, SHARE_RELEASE, SHARE_REJECT, SHARE_RENEW };
        struct share_ack_range ranges[3];
        size_t count = 1 + (size_t)chance(3);
        bool fine = true;
        int r;

        for (size_t i = 0; i < count; i++) {
                int64_t first = MAX2(start - 3, (int64_t)0) + chance(end - start + 4);

                /* Mostly what is right. */
                while (chance(8) && first < end &&
                       (records[first].state != SHARE_ACQUIRED || records[first].member != member))
                        first++;
                ranges[i] = (struct share_ack_range){ first, first, types[chance(5)] };
                while (ranges[i].last + 1 < end && chance(5) &&
                       (!chance(20) || (records[ranges[i].last + 1].state == SHARE_ACQUIRED &&
                                        records[ranges[i].last + 1].member == member)))
                        ranges[i].last++;
                fine &= ranges[i].last >= start;
                for (int64_t o = first; o <= ranges[i].last; o++)
                        fine &= o < start ||
                                (o < end && records[o].state == SHARE_ACQUIRED && records[o].member == member);
        }
        r = share_part_acknowledge(p, member, ranges, count, now_ms);
        CU_ASSERT_EQUAL_FATAL(r, fine ? SHARE_OK : SHARE_E_STATE);
        for (size_t i = 0; fine && i < count; i++)
                for (int64_t o = MAX2(ranges[i].first, start); o <= ranges[i].last; o++) {
                        if (records[o].state != SHARE_ACQUIRED)
                                continue;
                        if (ranges[i].type == SHARE_RENEW)
                                records[o].deadline_ms = now_ms + conf.lock_ms;
                        else if (ranges[i].type == SHARE_RELEASE)
                                back(&records[o]);
                        else
                                records[o].state = ranges[i].type == SHARE_ACCEPT ? SHARE_ACKNOWLEDGED : SHARE_ARCHIVED;
                }
        go_on();
}

static void reload_both(struct share_part **p)
{
        struct share_run *runs = malloc(sizeof *runs * (share_part_runs(*p) + 1));
        size_t count = share_part_snapshot(*p, runs);
        int64_t from = share_part_start(*p);

        share_part_free(*p);
        CU_ASSERT_EQUAL_FATAL(share_part_new(&conf, from, runs, count, p), 0);
        free(runs);
        for (int64_t o = start; o < end; o++)
                if (records[o].state == SHARE_ACQUIRED)
                        records[o] = (struct record){ SHARE_AVAILABLE, records[o].deliveries - 1 };
}

static void one_step(struct share_part **p, int64_t *now_ms)
{
        uint64_t member = 1 + (uint64_t)chance(4);
        int64_t at = start + chance(end - start + 3);

        switch (chance(30)) {
        case 0:
                CU_ASSERT_EQUAL(share_part_release(*p, member), 0);
                for (int64_t o = start; o < end; o++)
                        if (records[o].state == SHARE_ACQUIRED && records[o].member == member)
                                back(&records[o]);
                break;
        case 1:
        case 2:
                *now_ms += chance(800);
                CU_ASSERT_EQUAL(share_part_tick(*p, *now_ms), 0);
                for (int64_t o = start; o < end; o++)
                        if (records[o].state == SHARE_ACQUIRED && records[o].deadline_ms <= *now_ms)
                                back(&records[o]);
                break;
        case 3: {
                int64_t to = at + chance(6);

                CU_ASSERT_EQUAL(share_part_archive(*p, at, to), 0);
                for (int64_t o = at; o <= to && o < end; o++)
                        if (records[o].state == SHARE_AVAILABLE)
                                records[o].state = SHARE_ARCHIVED;
                for (; end <= to; end++)
                        records[end] = (struct record){ end < at ? SHARE_AVAILABLE : SHARE_ARCHIVED };
                break;
        }
        case 4:
                share_part_log_start(*p, at);
                start = MAX2(start, at);
                end = MAX2(end, start);
                break;
        case 5:
                reload_both(p);
                break;
        default:
                if (chance(2))
                        acquire_both(*p, member, *now_ms);
                else
                        acknowledge_both(*p, member, *now_ms);
        }
        go_on();
}

static void test_random(void)
{
        const char *s = getenv("SHARE_SEED");
        uint64_t first = s ? strtoull(s, NULL, 0) : 1, last = s ? first : 3000;
        long steps = 0;

        for (uint64_t seed = first; seed <= last; seed++) {
                struct share_part *p = fresh();
                int64_t now_ms = 0;

                seed_state = seed * 104729;
                start = end = 0;
                for (; end < RECORDS && steps < 2000000; steps++) {
                        one_step(&p, &now_ms);
                        check(p);
                }
                share_part_free(p);
        }
        printf("%ld steps ", steps);
}

static const struct unit_case cases[] = {
        { "one after the other", test_one_after_the_other },
        { "time-outs and limits", test_time_outs_and_limits },
        { "gaps", test_gaps },
        { "what is written", test_written },
        { "at random", test_random },
};
UNIT_MAIN("share partition", cases)
