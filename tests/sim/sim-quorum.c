/* Goal: entries of the metadata log that were appended, and the vote, survive every crash; what a crash leaves behind them is
 * a beginning of what was being written. Entries that were cut off are all there or all gone; a snapshot that takes the place
 * of the log is there or not, and once it is, the log never stands against it. Method: the steps of a voter
 * (quorum/quorum_open.c, quorum_disk.c and quorum_install.c) on the disk in memory, with the course of crashes and failures
 * that all simulations share. The image's store is LMDB, which goes its own way to the kernel: here it is a number that is
 * always durable. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "host.h"
#include "meta/builder.h"
#include "quorum/qlog.h"
#include "quorum/snapshot.h"
#include "quorum/vote.h"
#include "sim.h"
#include "sys/clock.h"

enum { ENTRIES_MAX = 4000, GROUP_MAX = 4, PAYLOAD_MAX = 700, STEPS_MAX = 40, LIVES_MAX = 5 };

#define META_DIR "/srv/data/meta"
#define LOG_DIR META_DIR "/log"
#define VOTE_PATH META_DIR "/vote"
#define SNAP_DIR META_DIR "/snapshots"

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
        int64_t uncut;                     /* a cut to @durable has begun: the log may also end here; else -1 */
        struct snapshot_id snapshot;       /* the newest that may be on the disk */
        bool snapshot_is_there;            /* it must be */
        struct snapshot_id found;          /* the newest that is */
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

static struct meta_image *image_of(struct snapshot_id id)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        struct meta_builder b;
        struct meta_record rec;

        assert(empty && !meta_builder_init(&b, empty));
        meta_record_init(&rec, META_PRODUCER_IDS);
        rec.producer_ids.next_producer_id = id.index * 7;
        assert(!meta_builder_apply(&b, &rec, id.index));
        for (int i = 0; i < 12; i++) { /* some sectors of it */
                char name[200];

                memset(name, 'a' + i, sizeof name);
                meta_record_init(&rec, META_FEATURE);
                rec.feature.name = (struct str){ name, sizeof name };
                rec.feature.level = 1;
                assert(!meta_builder_apply(&b, &rec, id.index));
        }
        return meta_builder_finish(&b, id.index, id.term);
}

static int on_snapshot(void *arg, struct snapshot_id id, int64_t bytes)
{
        (void)arg;
        (void)bytes;
        if (id.index > sim.found.index)
                sim.found = id;
        return 0;
}

static void find_snapshot(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *got = NULL, *want = NULL;
        CLEANUP(freep) uint8_t *mem = NULL;
        struct snapshot_voters voters;
        char why[300];
        int r;

        sim.found = (struct snapshot_id){ 0 };
        r = snapshot_list(SNAP_DIR, on_snapshot, NULL);
        if (!r)
                r = file_sync_dir(SNAP_DIR);
        CHECK(!r || excused(), "snapshots cannot be listed: %d", r);
        sim.gone = r != 0;
        if (r)
                return;
        CHECK(!sim.snapshot_is_there || snapshot_id_equal(sim.found, sim.snapshot), "snapshot %lld is not there",
              (long long)sim.snapshot.index);
        if (!sim.found.index)
                return;
        CHECK(snapshot_id_equal(sim.found, sim.snapshot), "snapshot %lld has come back", (long long)sim.found.index);
        r = snapshot_load(SNAP_DIR, sim.found, &got, &voters, &mem, why, sizeof why);
        CHECK(!r || excused(), "snapshot %lld cannot be loaded: %s", (long long)sim.found.index, why);
        if (r)
                return;
        want = image_of(sim.found);
        CHECK(meta_image_equal(got, want) && voters.payload.len == 3 && !memcmp(voters.payload.data, "abc", 3),
              "snapshot %lld has another content", (long long)sim.found.index);
        sim.snapshot_is_there = true; /* the folder was synced */
}

static int32_t term_at(int64_t index)
{
        return index == qlog_first_index(sim.log) - 1 ? qlog_prev_term(sim.log) : sim.entries[index].term;
}

/* What quorum_open() does when a snapshot was received whole, but did not take its place yet. */
static void finish_install(void)
{
        int64_t last = qlog_last_index(sim.log);
        int r;

        if (!sim.found.index || sim.found.index < sim.stored ||
            (last >= sim.found.index &&
             (qlog_first_index(sim.log) > sim.found.index + 1 || term_at(sim.found.index) == sim.found.term)))
                return;
        sim.stored = sim.found.index;
        r = qlog_reset(sim.log, sim.found.index, sim.found.term);
        CHECK(!r || excused(), "the log cannot be begun anew: %d", r);
        sim.gone = r != 0;
        sim.durable = r ? MIN2(sim.durable, sim.found.index) : sim.found.index;
        sim.tried = r ? sim.tried : sim.found.index;
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
        CHECK(qlog_first_index(sim.log) <= sim.stored + 1 || sim.found.index > sim.stored, "it begins at %lld",
              (long long)qlog_first_index(sim.log));
        CHECK(sim.next < 0 || sim.next == qlog_last_index(sim.log) + 1, "it ends at %lld, and was read up to %lld",
              (long long)qlog_last_index(sim.log), (long long)sim.next - 1);
        CHECK(qlog_last_index(sim.log) >= sim.durable, "it ends at %lld", (long long)qlog_last_index(sim.log));
        CHECK(!is_new || !qlog_last_index(sim.log), "a log without a vote has entries");
        CHECK(sim.uncut < 0 || qlog_last_index(sim.log) == sim.uncut || qlog_last_index(sim.log) == sim.durable,
              "it ends at %lld, and was cut from %lld to %lld", (long long)qlog_last_index(sim.log),
              (long long)sim.uncut, (long long)sim.durable);
        sim.durable = sim.tried = qlog_last_index(sim.log);
        sim.uncut = -1;
        finish_install();
        CHECK(sim.gone || sim.durable >= sim.stored, "the log ends at %lld, before the image", (long long)sim.durable);
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
        if (!r && !sim.gone)
                find_snapshot();
        if (r || sim.gone) {
                sim.gone = true;
                return;
        }
        open_log(is_new);
        sim.gone |= !sim.log;
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

/* Another leader has other entries. */
static void step_cut(void)
{
        int64_t low = MAX2(sim.stored, qlog_first_index(sim.log) - 1), last = qlog_last_index(sim.log), to;
        int r;

        if (last <= low)
                return;
        to = last - 1 - chance_below(&sim.chance, MIN2(last - low, (int64_t)12));
        sim.uncut = last;
        sim.durable = to;
        r = qlog_truncate(sim.log, to, term_at(to));
        CHECK(!r || excused(), "cutting: %d", r);
        sim.gone = r != 0;
        if (r)
                return;
        sim.tried = to;
        sim.uncut = -1;
        CHECK(qlog_last_index(sim.log) == to, "it was cut to %lld", (long long)qlog_last_index(sim.log));
}

/* This node is far behind: a snapshot is received and takes the place of everything. */
static void step_install(void)
{
        struct snapshot_id id = { sim.stored + 1 + chance_below(&sim.chance, 40), sim.term }, old = sim.snapshot;
        bool own = chance_one_in(&sim.chance, 3); /* made to be sent */
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        struct snapshot_voters voters = { 1, span_of("abc", 3) };
        int64_t bytes;
        int r = 0;

        if (own) {
                id.index = MIN2(id.index, sim.durable);
                id.term = id.index >= qlog_first_index(sim.log) - 1 ? term_at(id.index) : 0;
        }
        if (id.index >= ENTRIES_MAX || id.index <= sim.stored || !id.term)
                return;
        if (sim.snapshot_is_there) { /* in reality the older one goes last; here one at most is kept track of */
                sim.snapshot_is_there = false;
                r = snapshot_remove(SNAP_DIR, old);
                if (!r)
                        r = file_sync_dir(SNAP_DIR);
        }
        CHECK(!r || excused(), "removing a snapshot: %d", r);
        sim.gone = r != 0;
        if (r || disk_is_dead())
                return;
        sim.snapshot = id;
        image = image_of(id);
        r = snapshot_write(SNAP_DIR, image, &voters, &bytes);
        CHECK(!r || excused(), "writing a snapshot: %d", r);
        sim.gone = r != 0;
        if (r)
                return;
        sim.snapshot_is_there = true;
        if (disk_is_dead())
                return;
        if (own) { /* of what was applied, which is committed and never cut */
                sim.stored = id.index;
                return;
        }
        sim.stored = id.index;
        sim.durable = MIN2(sim.durable, id.index);
        sim.uncut = -1;
        r = qlog_reset(sim.log, id.index, id.term);
        CHECK(!r || excused(), "beginning anew: %d", r);
        sim.gone = r != 0;
        if (!r)
                sim.durable = sim.tried = id.index;
}

static int on_read(void *arg, const struct qlog_entry *e)
{
        (void)arg;
        return on_entry(NULL, e);
}

static void step_read(void)
{
        int64_t first = qlog_first_index(sim.log), last = qlog_last_index(sim.log), count = last - first + 1;
        struct qlog_read rd = { .len_max = 100 + chance_below(&sim.chance, 3000) };
        int r;

        if (count <= 0)
                return;
        rd.first = sim.next = first + (int64_t)chance_below(&sim.chance, (uint64_t)count);
        rd.last = rd.first + (int64_t)chance_below(&sim.chance, (uint64_t)(last - rd.first) + 1);
        r = qlog_read(sim.log, &rd, on_read, NULL);
        CHECK(!r || excused(), "reading %lld to %lld: %d", (long long)rd.first, (long long)rd.last, r);
        CHECK(r || sim.next > rd.first, "nothing was read at %lld", (long long)rd.first);
}

static void step(void)
{
        uint32_t what = chance_below(&sim.chance, 100);

        if (what < 60)
                step_append();
        else if (what < 66)
                step_cut();
        else if (what < 68)
                step_install();
        else if (what < 75)
                step_read();
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
        sim.uncut = -1;
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
