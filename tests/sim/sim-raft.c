/* Goal: the promises of src/raft/raft.h hold whatever happens, and when it ends the group works again. Method: many short lives of
 * groups of one to seven nodes, each a function of its seed, with every fault that raft-trouble.c knows; checks after every step
 * (raft-check.c); at the end of each run a calm, in which a leader must be found and proposals committed everywhere. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raft-world.h"

enum { SHORT_RUNS = 300 };

struct world w;
struct world_counts counted;
struct raft_counts core_counted;

static int trace_level;
static uint64_t runs_count, steps_count;

/* ---- words ---- */

const char *world_command(void)
{
        static char text[500];
        char path[400];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        path[n > 0 ? n : 0] = '\0';
        snprintf(text, sizeof text, "SIM_SEED=%llu %s", (unsigned long long)w.seed, path);
        return text;
}

static void print_node(const struct node *n)
{
        static const char *const progress[] = { "probe", "replicate", "snapshot" };
        struct raft_status s;

        fprintf(stderr, "    node %u.%u: ", n->slot + 1, n->directories_made);
        if (!n->is_alive) {
                fprintf(stderr, "down\n");
                return;
        }
        raft_status(n->core, &s);
        fprintf(stderr,
                "role %d, term %d, leader %d, log %lld..%lld (durable %lld, committed %lld, applied %lld), members of "
                "%lld:",
                s.role, s.term, s.leader.node, (long long)s.first_index, (long long)s.last_index,
                (long long)s.persisted_index, (long long)s.commit_index, (long long)n->applied.index,
                (long long)s.members_index);
        for (uint32_t i = 0; i < s.members->count; i++)
                fprintf(stderr, " %d.%u%s", s.members->at[i].id.node, s.members->at[i].id.directory.b[1],
                        s.members->at[i].is_voter ? "" : "?");
        fprintf(stderr, "\n");
        for (uint32_t i = 0; i < s.peers_count; i++)
                fprintf(stderr, "        sees %d.%u %s, match %lld, next %lld, in flight %u\n",
                        s.peers[i].member.id.node, s.peers[i].member.id.directory.b[1], progress[s.peers[i].progress],
                        (long long)s.peers[i].match_index, (long long)s.peers[i].next_index, s.peers[i].in_flight);
}

void wrong(const char *fmt, ...)
{
        va_list args;

        fprintf(stderr, "\nWRONG: ");
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n    again: %s\n    step %llu, %llu us\n", world_command(), (unsigned long long)w.steps,
                (unsigned long long)w.now_us);
        for (uint32_t i = 0; i < w.nodes_used; i++)
                print_node(&w.nodes[i]);
        fflush(NULL);
        _exit(1);
}

void trace(const char *fmt, ...)
{
        va_list args;

        if (!trace_level)
                return;
        printf("%9.3f ", (double)w.now_us / 1000);
        va_start(args, fmt);
        vprintf(fmt, args);
        va_end(args);
        putchar('\n');
}

/* An assert of the core says what; this says how to see it again. */
static void on_abort(int sig)
{
        const char *text = world_command();

        (void)!write(2, "    again: ", 11);
        (void)!write(2, text, strlen(text));
        (void)!write(2, "\n", 1);
        signal(sig, SIG_DFL);
        raise(sig);
}

/* ---- a run ---- */

static void world_begin(uint64_t seed)
{
        struct node *nodes = w.nodes;
        struct packet *unused = w.unused;
        struct happening *heap = w.heap;
        size_t heap_size = w.heap_size;
        uint32_t voters;

        memset(&w, 0, sizeof w);
        w.nodes = nodes;
        w.unused = unused;
        w.heap = heap;
        w.heap_size = heap_size;
        w.seed = seed;
        w.chance.state = chance_seed(seed, 1);
        check_reset();
        trouble_init();
        w.nodes_used =
                chance_one_in(&w.chance, 5) ? 1 + chance_below(&w.chance, 2) : 3 + chance_below(&w.chance, NODES - 2);
        voters = MAX2(1 + chance_below(&w.chance, w.nodes_used), 1 + chance_below(&w.chance, w.nodes_used));
        for (uint32_t i = 0; i < w.nodes_used; i++) {
                struct node *n = &w.nodes[i];

                *n = (struct node){ .slot = i,
                                    .ops_end = &n->ops,
                                    .rate_permille = 950 + chance_below(&w.chance, 101) };
                n->local_us = chance_below(&w.chance, 100000000);
                node_wipe(n);
                if (i < voters)
                        w.first_members.at[w.first_members.count++] = (struct raft_member){ n->id, true };
        }
        for (uint32_t i = 0; i < w.nodes_used; i++) {
                if (i < voters)
                        w.nodes[i].stored.members = w.nodes[i].disk.cut.members = &w.first_members;
                node_boot(&w.nodes[i]);
        }
}

static void world_end(void)
{
        world_forget();
        for (uint32_t i = 0; i < w.nodes_used; i++)
                node_free(&w.nodes[i]);
        for (size_t i = 0; i < w.members_count; i++)
                free(w.members[i]);
        free(w.members);
        steps_count += w.steps;
        runs_count++;
}

static void plan_proposal(void)
{
        /* In the calm slower than the smallest window lets entries pass. */
        world_plan(w.is_calm ? 100000 : 1000 + chance_below(&w.chance, 20000), HAPPENS_PROPOSAL, NULL);
}

static void plan_trouble(void)
{
        world_plan(w.trouble_us / 2 + chance_below(&w.chance, w.trouble_us), HAPPENS_TROUBLE, NULL);
}

static void happen(const struct happening *h)
{
        struct node *n = &w.nodes[h->node];

        switch (h->type) {
        case HAPPENS_RESTART:
                if (n->life == h->life && !n->is_alive)
                        node_boot(n);
                return;
        case HAPPENS_PROPOSAL:
                trouble_propose();
                plan_proposal();
                return;
        case HAPPENS_HEALING:
                trouble_heal();
                return;
        case HAPPENS_TROUBLE:
                if (w.is_calm)
                        trouble_repair();
                else
                        trouble_make();
                plan_trouble();
                return;
        default:
                if (n->is_alive && (n->life == h->life || h->type == HAPPENS_PACKET))
                        node_handle(n, h);
                else
                        packet_free(h->packet);
                return;
        }
}

static void run_until(uint64_t until_us)
{
        struct happening h;

        while (!w.is_over && w.now_us < until_us && world_next(&h))
                happen(&h);
}

/* All who are to have it have applied @index. */
static void check_calm_end(int64_t before, int64_t index)
{
        const struct node *leader = world_leader();
        struct raft_status s;

        CHECK(leader, "there is no leader, and nothing is in its way");
        CHECK(index > before, "nothing is committed, and nothing is in its way");
        raft_status(leader->core, &s);
        for (uint32_t i = 0; i < s.members->count; i++) {
                const struct node *n = &w.nodes[s.members->at[i].id.node - 1];

                if (!raft_id_equal(n->id, s.members->at[i].id))
                        continue;
                CHECK(n->applied.index >= index, "node %u has applied up to %lld, and %lld is committed for long",
                      n->slot + 1, (long long)n->applied.index, (long long)index);
        }
        counted.calm_ends++;
}

/* Elections, and sending all there is to those who have nothing, one message after the other where the window says so. */
static uint64_t calm_length_us(void)
{
        int64_t longest = 0;

        for (uint32_t i = 0; i < w.nodes_used; i++)
                longest = MAX2(longest, w.nodes[i].log.last);
        return 20000 * (uint64_t)w.options.election_ms +
               (uint64_t)(longest / w.options.append_entries_max + 1) * 10 * w.delay_us;
}

static void run(uint64_t seed)
{
        uint64_t calm_us;
        int64_t before, index;

        world_begin(seed);
        plan_proposal();
        plan_trouble();
        run_until(10000000 + chance_below(&w.chance, 20000000));
        w.is_over = false;
        trouble_calm();
        w.trouble_us = 20000;
        before = w.committed_last;
        calm_us = calm_length_us();
        run_until(w.now_us + calm_us);
        index = w.committed_last;
        if (!w.is_over) {
                run_until(w.now_us + calm_us);
                if (!w.is_over)
                        check_calm_end(before, index);
        }
        world_end();
}

/* ---- counting ---- */

static bool show_count(const char *name, uint64_t value, uint64_t least)
{
        printf("%10llu %s\n", (unsigned long long)value, name);
        if (value >= least)
                return true;
        printf("           ... which is too little: %llu\n", (unsigned long long)least);
        return false;
}

/* What is rare must have happened, or nothing was shown. @runs: so many are enough to expect it. */
static bool show_counts(bool strict)
{
        uint64_t least = strict ? 1 : 0;
        bool ok = true;

#define SHOW_WORLD(name) ok &= show_count(#name, counted.name, least);
#define SHOW_CORE(name) ok &= show_count(#name, core_counted.name, least);
        WORLD_COUNTS(SHOW_WORLD)
        SHOW_CORE(prevotes_begun)
        SHOW_CORE(prevotes_refused)
        SHOW_CORE(elections_begun)
        SHOW_CORE(elections_won)
        SHOW_CORE(votes_granted)
        SHOW_CORE(votes_refused)
        SHOW_CORE(step_downs)
        SHOW_CORE(quorum_step_downs)
        SHOW_CORE(removal_step_downs)
        SHOW_CORE(truncations)
        SHOW_CORE(members_rolled_back)
        SHOW_CORE(appends_rejected)
        SHOW_CORE(snapshots_offered)
        SHOW_CORE(snapshots_installed)
        SHOW_CORE(snapshots_skipped)
        SHOW_CORE(transfers_begun)
        SHOW_CORE(transfers_moved)
        SHOW_CORE(transfers_aborted)
        SHOW_CORE(learners_promoted)
        SHOW_CORE(probes_again)
        SHOW_CORE(messages_foreign)
        return ok;
}

static void run_for(time_t seconds)
{
        time_t begun = time(NULL), shown = begun, now = begun;
        uint64_t seed = (((uint64_t)begun << 20) ^ ((uint64_t)getpid() << 44)) % UINT64_C(1000000000000);

        for (; now < begun + seconds; now = time(NULL)) {
                run(seed++);
                if (now < shown + 10)
                        continue;
                shown = now;
                fprintf(stderr, "%lld s: %llu runs, %llu steps, seed %llu\n", (long long)(now - begun),
                        (unsigned long long)runs_count, (unsigned long long)steps_count, (unsigned long long)seed);
        }
}

int main(void)
{
        const char *one = getenv("SIM_SEED"), *seconds = getenv("SIM_S"), *level = getenv("SIM_TRACE");
        bool ok = true;

        trace_level = level ? atoi(level) : 0;
        w.nodes = calloc(NODES, sizeof *w.nodes);
        assert(w.nodes);
        signal(SIGABRT, on_abort);
        if (one)
                run(strtoull(one, NULL, 10));
        else if (seconds)
                run_for((time_t)strtol(seconds, NULL, 10));
        else
                for (uint64_t seed = 1; seed <= SHORT_RUNS; seed++)
                        run(seed);
        if (!one)
                ok = show_counts(runs_count >= SHORT_RUNS);
        printf("%llu runs, %llu steps, %s\n", (unsigned long long)runs_count, (unsigned long long)steps_count,
               ok ? "nothing wrong" : "but not everything happened");
        while (w.unused) {
                struct packet *p = w.unused;

                w.unused = p->next;
                free(p);
        }
        free(w.heap);
        free(w.nodes);
        return ok ? 0 : 1;
}
