/* Goal: entries of the metadata log that were appended, and the vote, survive every crash; what a crash leaves behind them is
 * a beginning of what was being written. Method: the steps of a quorum of one voter (quorum/quorum_open.c and quorum.c) on
 * the disk in memory, with the course of crashes and failures that all simulations share. The image's store is LMDB, which
 * goes its own way to the kernel: here it is a number that is always durable. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "host.h"
#include "quorum/qlog.h"
#include "quorum/vote.h"
#include "sim.h"
#include "sys/clock.h"

enum { ENTRIES_MAX = 4000, GROUP_MAX = 4, PAYLOAD_MAX = 700, STEPS_MAX = 40, LIVES_MAX = 5 };

#define META_DIR "/srv/data/meta"
#define LOG_DIR META_DIR "/log"
#define VOTE_PATH META_DIR "/vote"

struct entry {
        int32_t term;
        uint32_t number; /* the payload says it, over and over */
        size_t len;
};

static struct {
        struct sim_plan plan;
        struct chance chance;
        struct qlog *log;
        struct entry entries[ENTRIES_MAX]; /* by index */
        int64_t durable;                   /* up to here the caller was told that they are */
        int64_t tried;                     /* up to here they may be on the disk */
        int64_t stored;                    /* up to here the image has them */
        int64_t next;                      /* index that is expected while the log is opened */
        int32_t term;
        struct vote vote;       /* as was told to be durable; term 0: none */
        struct vote vote_tried; /* may be on the disk */
        uint32_t numbers_made;
        bool gone; /* the process has ended itself, as quorum.c does after a failure */
} sim;

static void wrong(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
static void wrong(const char *fmt, ...)
{
        va_list args;

        fprintf(stderr, "\nWRONG: ");
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n    again: %s\n    durable up to %lld, tried %lld, stored %lld, term %d\n",
                sim_plan_command(&sim.plan), (long long)sim.durable, (long long)sim.tried, (long long)sim.stored,
                sim.term);
        sim_diag_print();
        disk_print();
        fflush(NULL);
        _exit(1);
}

#define CHECK(cond, ...) \
        do { \
                if (!(cond)) \
                        wrong(__VA_ARGS__); \
        } while (0)

static bool excused(void)
{
        return disk_is_dead() || disk_has_failed();
}

/* ---- opening, as quorum_open() does ---- */

static void fill(const struct entry *e, uint8_t *payload)
{
        for (size_t i = 0; i < e->len; i++)
                payload[i] = (uint8_t)(e->number >> i % 4 * 8);
}

static int on_entry(void *arg, const struct qlog_entry *got)
{
        const struct entry *want = &sim.entries[got->index];
        uint8_t payload[PAYLOAD_MAX];

        (void)arg;
        if (sim.next < 0)
                sim.next = got->index;
        CHECK(got->index == sim.next++, "index %lld comes out of order", (long long)got->index);
        CHECK(got->index <= sim.tried, "index %lld was never written", (long long)got->index);
        fill(want, payload);
        CHECK(got->term == want->term && got->payload.len == want->len &&
                      !memcmp(got->payload.data, payload, want->len),
              "index %lld has another content than before", (long long)got->index);
        return 0;
}

static void open_vote(bool *ret_is_new)
{
        struct vote v = { .term = 0 };
        int r = vote_read(VOTE_PATH, &v);

        *ret_is_new = r == VOTE_E_MISSING;
        if (r && r != VOTE_E_MISSING && excused()) {
                sim.gone = true;
                return;
        }
        CHECK(!r || r == VOTE_E_MISSING, "the vote cannot be read: %d", r);
        CHECK(!memcmp(&v, &sim.vote, sizeof v) || !memcmp(&v, &sim.vote_tried, sizeof v),
              "the vote is of term %d, and was of %d", v.term, sim.vote.term);
        r = *ret_is_new ? file_sync_parents(META_DIR) : file_sync_dir(META_DIR);
        CHECK(!r || excused(), "the folder cannot be synced: %d", r);
        sim.gone = r != 0;
        if (r)
                return;
        sim.vote = sim.vote_tried = v;
        sim.term = MAX2(sim.term, v.term);
}

static void open_log(bool is_new)
{
        struct qlog_config cfg = {
                .dir = LOG_DIR, .segment_len = 2000, .first_index = sim.stored + 1, .may_create = is_new && !sim.stored
        };
        char why[300];
        int r;

        sim.next = -1;
        r = qlog_open(&cfg, on_entry, NULL, &sim.log, why, sizeof why);
        if (r && excused()) {
                sim.log = NULL;
                return;
        }
        CHECK(!r, "the log cannot be opened: %d %s", r, why);
        if (disk_is_dead())
                return;
        CHECK(qlog_first_index(sim.log) <= sim.stored + 1, "it begins at %lld", (long long)qlog_first_index(sim.log));
        CHECK(sim.next < 0 || sim.next == qlog_last_index(sim.log) + 1, "it ends at %lld, and was read up to %lld",
              (long long)qlog_last_index(sim.log), (long long)sim.next - 1);
        CHECK(qlog_last_index(sim.log) >= sim.durable, "it ends at %lld", (long long)qlog_last_index(sim.log));
        CHECK(!is_new || !qlog_last_index(sim.log), "a log without a vote has entries");
        sim.durable = sim.tried = qlog_last_index(sim.log);
}

/* The first thing of a term. */
static void write_vote(void)
{
        struct vote v = { .node_id = 1, .term = sim.term + 1, .voted_for = 1 };
        int r;

        sim.vote_tried = v;
        r = vote_write(VOTE_PATH, &v);
        CHECK(!r || excused(), "the vote cannot be written: %d", r);
        if (r) {
                sim.gone = true;
                return;
        }
        sim.vote = v;
        sim.term = v.term;
}

static void life_begin(void)
{
        bool is_new;
        int r;

        sim_diag_reset();
        sim.gone = false;
        r = file_mkdirs(META_DIR);
        CHECK(!r || excused(), "the folder cannot be made: %d", r);
        if (!r)
                open_vote(&is_new);
        if (r || sim.gone) {
                sim.gone = true;
                return;
        }
        open_log(is_new);
        sim.gone = !sim.log;
        if (!sim.gone && !disk_is_dead())
                write_vote();
}

static void life_end(void)
{
        sim.log = qlog_close(sim.log);
        CHECK(!disk_open_count(), "%u files are open after the end", disk_open_count());
}

/* ---- steps ---- */

static void step_append(void)
{
        uint8_t buf[GROUP_MAX * (PAYLOAD_MAX + 64)], payload[PAYLOAD_MAX];
        struct writer w = writer_of(buf, sizeof buf);
        int64_t first = qlog_last_index(sim.log) + 1, last = first + chance_below(&sim.chance, GROUP_MAX);
        struct qlog_group g = { .first = first, .last = last, .last_term = sim.term };
        int r;

        if (last >= ENTRIES_MAX)
                return;
        for (int64_t i = first; i <= last; i++) {
                struct entry *e = &sim.entries[i];

                *e = (struct entry){ .term = sim.term,
                                     .number = ++sim.numbers_made,
                                     .len = chance_one_in(&sim.chance, 4) ? chance_below(&sim.chance, PAYLOAD_MAX)
                                                                          : 8 * chance_below(&sim.chance, 8) };
                fill(e, payload);
                qlog_entry_write(&(struct qlog_entry){ .index = i,
                                                       .term = e->term,
                                                       .type = QLOG_RECORDS,
                                                       .payload = span_of(payload, e->len) },
                                 first, &w);
        }
        g.bytes = span_of(buf, writer_pos(&w));
        sim.tried = last;
        r = qlog_append(sim.log, &g);
        CHECK(!r || excused(), "appending: %d", r);
        sim.gone = r != 0;
        if (!r)
                sim.durable = last;
}

static void step_drop(void)
{
        int r;

        sim.stored += chance_below(&sim.chance, (uint64_t)(sim.durable - sim.stored) + 1);
        r = qlog_drop_head(sim.log, sim.stored);
        CHECK(r >= 0 || excused(), "removing segments: %d", r);
        sim.gone = r < 0;
}

static void step(void)
{
        uint32_t what = chance_below(&sim.chance, 100);

        if (what < 75)
                step_append();
        else if (what < 85)
                qlog_reserve(sim.log);
        else if (what < 95)
                step_drop();
        else
                write_vote();
}

/* ---- a run ---- */

static void live(void)
{
        uint32_t steps = 5 + chance_below(&sim.chance, STEPS_MAX);

        life_begin();
        while (steps-- && !disk_is_dead() && !sim.gone)
                step();
}

static void die(void)
{
        if (!disk_is_dead() && chance_one_in(&sim.chance, 2))
                disk_kill();
        life_end();
        if (chance_one_in(&sim.chance, 3))
                disk_restart();
        else
                disk_power_on();
}

static void run(const struct sim_plan *plan, uint64_t *ret_changes, uint64_t ret_counts[DISK_OPS])
{
        memset(&sim, 0, sizeof sim);
        sim.plan = *plan;
        sim.chance.state = chance_seed(plan->seed, 1);
        sim_clock_reset(chance_seed(plan->seed, 2));
        disk_init(chance_seed(plan->seed, 3));
        if (plan->fault >= 0)
                disk_fail((enum disk_op)plan->fault, plan->nth, plan->error);
        else
                disk_crash_after(plan->nth);
        live();
        *ret_changes = disk_changes();
        for (int i = 0; i < DISK_OPS; i++)
                ret_counts[i] = disk_count((enum disk_op)i);
        sim.chance.state = chance_seed(plan->seed ^ sim.chance.state, plan->variant);
        disk_reseed(chance_u64(&sim.chance));
        die();
        for (uint32_t lives = chance_below(&sim.chance, LIVES_MAX); lives; lives--) {
                disk_crash_after(1 + chance_below(&sim.chance, chance_one_in(&sim.chance, 2) ? 8 : 80));
                live();
                die();
        }
        live();
        life_end();
        disk_fini();
}

int main(void)
{
        return sim_main(run, 60, 30);
}
