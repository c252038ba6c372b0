/* Whole nodes on simulated machines, under clients and a nemesis. See README.md.
 *
 *   SIM_SEED=N sim-cluster       one run; SIM_TRACE=1 tells all, SIM_SECONDS how long (simulated), SIM_NODES how many
 *   SIM_SEEDS=COUNT sim-cluster  so many runs with seeds from SIM_FROM (1) on, in SIM_JOBS (2) processes
 *   SIM_S=SECONDS sim-cluster    new seeds for so long
 *
 * SIM_LEDGER=0: without transactions and share groups, as runs were before there were any. SIM_SHARE=0: without share groups.
 * SIM_LAYOUT: 0 (all nodes alike), 1 (three controllers that are nothing else), 2 (five, of which three to five vote);
 * SIM_MIX=1 SIM_SEEDS=COUNT: of nodes and layouts each seed has its own.
 *
 * After many runs SIM_COUNT=1 tells how often what happened; with SIM_REQUIRE=1, too, what never did is a failure. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "ledger.h"
#include "nemesis.h"
#include "network.h"
#include "share_book.h"
#include "watch.h"

/* Subscripts of topics; see world_main(). */
enum { STRICT = 4, TRIMMED = 5, LEDGER = 6 };
enum { SECONDS = 300, SEEDS_QUICK = 12, SECONDS_QUICK = 120, GIVE_UP_S = 300, HANG_S = 20 };

struct plan {
        uint64_t seed;
        unsigned nodes;
        enum layout layout;
        int16_t replicas;
        int64_t seconds;
        bool ledger; /* with transactions */
        bool share;  /* with share groups */
};

static int64_t env(const char *name, int64_t otherwise)
{
        const char *text = getenv(name);

        return text && *text ? (int64_t)strtoull(text, NULL, 0) : otherwise;
}

/* ---- one run ---- */

static void violated(const char *text)
{
        nodes_say();
        world_fail("%s", text);
}

static void start_clients(const struct plan *plan, struct chance *c)
{
        unsigned n = 0;

        for (unsigned i = 0; i < LEDGER; i++) {
                struct history_topic *t = &history_topics[i];

                for (int k = 0; k < 2; k++)
                        client_start_producer(n++, t);
                for (int32_t k = 0; k < t->parts_count; k++)
                        client_start_consumer(n++, &t->parts[k]);
        }
        client_start_group("readers", &history_topics[0], 1 + chance_below(c, 3));
        client_start_group("others", &history_topics[2], 1 + chance_below(c, 2));
        client_start_admin(0);
        client_start_trimmer(&history_topics[TRIMMED]);
        client_start_session(0, &history_topics[0]);
        client_start_session(1, &history_topics[chance_below(c, LEDGER)]);
        if (nodes_count > 1 && chance_one_in(c, 2))
                client_start_mover();
        if (plan->layout == LAYOUT_SPARE)
                client_start_voters();
        if (plan->share) {
                client_start_share("sharers", &history_topics[0], 1 + chance_below(c, 3));
                client_start_share("takers", &history_topics[STRICT], 1 + chance_below(c, 2));
        }
        if (plan->share && plan->ledger)
                client_start_share("clerks", &history_topics[LEDGER], 1 + chance_below(c, 2));
        if (plan->ledger)
                client_start_ledger(&history_topics[LEDGER], 1 + chance_below(c, 3));
}

static void wait_ready(const char *when)
{
        if (nodes_wait_ready(SECOND * GIVE_UP_S))
                return;
        nodes_say();
        for (unsigned i = 0; i < nodes_count; i++)
                if (!nodes[i].is_ready && !nodes[i].may_wait)
                        world_fail("%s: %s is not ready", when, nodes[i].machine->name);
}

/* At its leader, and at every other node that has it. */
static void check_part(struct client *c, struct history_part *p, const char *when)
{
        for (int node = -1; node < (int)nodes_count; node++) {
                if (node >= 0 && (nodes_count == 1 || !client_is_replica(c, p, node)))
                        continue;
                if (client_read_all(c, p, node, sim_now() + SECOND * GIVE_UP_S))
                        continue;
                nodes_say();
                world_fail("%s: partition %s-%d cannot be read at node %d", when, p->topic->name, p->index, node + 1);
        }
}

static void check_all(const char *when)
{
        struct client *c = client_new(when);

        for (unsigned i = 0; i < LEDGER; i++)
                for (int32_t k = 0; k < history_topics[i].parts_count; k++)
                        check_part(c, &history_topics[i].parts[k], when);
        if (history_topics_count > LEDGER &&
            !client_check_ledger(c, &history_topics[LEDGER], when, sim_now() + SECOND * GIVE_UP_S)) {
                nodes_say();
                world_fail("%s: what the transactions have left cannot be read", when);
        }
        client_check_groups(c);
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c, i);
}

static void stop_all(void)
{
        int64_t until_ns = sim_now() + SECOND * GIVE_UP_S;

        for (unsigned i = 0; i < nodes_count; i++)
                node_host_stop(&nodes[i]);
        for (unsigned i = 0; i < nodes_count; i++)
                while (nodes[i].machine->is_up) {
                        if (sim_now() > until_ns)
                                world_fail("%s does not stop", nodes[i].machine->name);
                        fiber_sleep(SECOND / 10);
                }
}

static void world_main(void *arg)
{
        const struct plan *plan = arg;
        struct chance c = { chance_seed(plan->seed, 1) };
        struct client *creator;
        int64_t until_ns;

        history_violated = violated;
        world_heard = watch_line;
        nodes_new(plan->nodes, plan->layout);
        watch_start();
        for (unsigned i = 0; i < nodes_count; i++)
                nodes[i].is_wanted = true;
        history_topic_new("safe", PROMISE_SAFE, 3);
        history_topic_new("relaxed", PROMISE_RELAXED, 2);
        history_topic_new("newest", PROMISE_NEWEST, 2);
        history_topic_new("recent", PROMISE_RECENT, 1);
        history_topic_new("strict", PROMISE_STRICT, 1);
        history_topic_new("trimmed", PROMISE_TRIMMED, 2);
        if (plan->ledger)
                history_topic_new("ledger", PROMISE_LEDGER, 3);
        wait_ready("at the beginning");
        creator = client_new("creator");
        client_create_topics(creator, plan->replicas);
        start_clients(plan, &c);
        nemesis_start(machine_of(0), chance_seed(plan->seed, 2));
        fiber_sleep(SECOND * plan->seconds);
        nemesis_stop();
        wait_ready("after the nemesis");
        fiber_sleep(SECOND * 10);
        clients_are_done = true;
        until_ns = sim_now() + SECOND * GIVE_UP_S;
        while (clients_running) {
                if (sim_now() > until_ns) {
                        fibers_say(creator->machine);
                        nodes_say();
                        world_fail("%u clients do not come to an end", clients_running);
                }
                fiber_sleep(SECOND / 10);
        }
        check_all("at the end");
        stop_all();
        for (unsigned i = 0; i < nodes_count; i++)
                nodes[i].is_wanted = true;
        wait_ready("after a clean stop");
        check_all("after a clean stop");
        stop_all();
}

/* What happened, and how often. "rare": a long series of runs in which it never did shows nothing of the rules for it. */
static const struct counter {
        const char *name;
        const uint64_t *value;
        bool is_rare;
} counters[] = {
#define CLIENT(name) \
        { \
#name, &client_counts.name, false \
        }
#define RARE(name) \
        { \
#name, &client_counts.name, true \
        }
#define HISTORY(name) \
        { \
#name, &history_counts.name, false \
        }
#define LEDGER_COUNT(name) \
        { \
#name, &ledger_counts.name, true \
        }
#define SHARE(name) \
        { \
#name, &share_counts.name, true \
        }
#define NETWORK(name) \
        { \
#name, &network_stats.name, false \
        }
#define NEMESIS(name) \
        { \
#name, &nemesis_counts.name, true \
        }
#define TOLD(name, code) \
        { \
#name, &client_counts.errors[code], true \
        }
#define WATCH(name) \
        { \
#name, &watch_counts.name, true \
        }
        LEDGER_COUNT(txns),
        LEDGER_COUNT(committed),
        LEDGER_COUNT(aborted),
        LEDGER_COUNT(unknown),
        LEDGER_COUNT(shown),
        LEDGER_COUNT(staged),
        LEDGER_COUNT(zombies),
        LEDGER_COUNT(timed_out),
        LEDGER_COUNT(concurrent),
        SHARE(acquired),
        SHARE(redelivered),
        SHARE(committed),
        SHARE(accepted),
        SHARE(released),
        SHARE(rejected),
        SHARE(gaps),
        SHARE(renewed),
        SHARE(mixed),
        SHARE(with_fetch),
        SHARE(refused),
        SHARE(unsure),
        SHARE(held),
        SHARE(deaths),
        SHARE(closes),
        SHARE(misused),
        HISTORY(sent),
        HISTORY(acked),
        HISTORY(seen),
        HISTORY(streams),
        CLIENT(reinits),
        CLIENT(calls),
        CLIENT(failed),
        CLIENT(timed_out),
        NETWORK(connects),
        NETWORK(connects_failed),
        NETWORK(resets),
        NETWORK(bytes),
        CLIENT(fetches),
        CLIENT(commits),
        CLIENT(joins),
        CLIENT(rejoins),
        CLIENT(created),
        CLIENT(deleted),
        CLIENT(moves),
        CLIENT(records_deleted),
        CLIENT(follower_reads),
        CLIENT(sessions),
        CLIENT(session_fetches),
        RARE(voters_added),
        RARE(voters_removed),
        RARE(voters_changed_cut),
        TOLD(watermark_unknown, KERR_OFFSET_NOT_AVAILABLE),
        TOLD(too_few_in_sync, KERR_NOT_ENOUGH_REPLICAS),
        TOLD(too_few_in_sync_after, KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        NEMESIS(kills),
        NEMESIS(power_cuts),
        NEMESIS(crashes_in_write),
        NEMESIS(blackouts),
        NEMESIS(stops),
        NEMESIS(pauses),
        NEMESIS(cuts),
        NEMESIS(one_way_cuts),
        NEMESIS(isolations),
        NEMESIS(resets),
        NEMESIS(slow_networks),
        NEMESIS(slow_disks),
        NEMESIS(sync_fails),
        NEMESIS(write_fails),
        NEMESIS(full_disks),
        NEMESIS(jumps),
        NEMESIS(drifts),
        WATCH(elections),
        WATCH(elections_elr),
        WATCH(elections_unclean),
        WATCH(elections_moving),
        WATCH(left_without),
        WATCH(isr_shrinks),
        WATCH(isr_expands),
        WATCH(elr_joins),
        WATCH(moves_done),
        WATCH(moves_cancelled),
        WATCH(truncations),
        WATCH(restarts),
        WATCH(logs_failed),
        WATCH(coordinators_dropped),
        WATCH(coordinator_moves),
        WATCH(controller_elections),
        WATCH(snapshots_controller),
        WATCH(snapshots_observer),
        WATCH(fenced),
        WATCH(without_lease),
        WATCH(refused),
};
static uint64_t *sums; /* of all runs; shared with their processes */

static void counters_add(void)
{
        for (unsigned i = 0; i < ARRAY_LEN(counters); i++)
                __atomic_fetch_add(&sums[i], *counters[i].value, __ATOMIC_RELAXED);
}

/* Return: how many of the rare ones never happened. */
static unsigned counters_print(void)
{
        unsigned missing = 0;

        for (unsigned i = 0; i < ARRAY_LEN(counters); i++) {
                bool never = counters[i].is_rare && !sums[i];

                printf("%14llu  %s%s\n", (unsigned long long)sums[i], counters[i].name,
                       never ? "  (never happened)" : "");
                missing += never;
        }
        return missing;
}

static void report(const struct plan *plan)
{
        const struct client_counts *c = &client_counts;

        printf("seed %llu: %.0f s, %llu turns, hash %016llx", (unsigned long long)plan->seed, (double)sim_now() / 1e9,
               (unsigned long long)sim_turns(), (unsigned long long)world_hash());
        for (unsigned i = 0; i < ARRAY_LEN(counters); i++)
                printf("%s%s %llu", i % 6 ? ", " : "\n  ", counters[i].name, (unsigned long long)*counters[i].value);
        printf("\n  errors:");
        for (unsigned i = 0; i < ARRAY_LEN(c->errors); i++)
                if (c->errors[i])
                        printf(" %u x%llu", i, (unsigned long long)c->errors[i]);
        printf("\n");
        fflush(stdout);
}

static void on_fatal(int signo)
{
        signal(signo, SIG_DFL);
        world_fail("signal %d", signo);
}

static void run(const struct plan *plan, bool tells)
{
        char command[500], path[400];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        path[n > 0 ? n : 0] = '\0';
        snprintf(command, sizeof command,
                 "SIM_SEED=%llu SIM_NODES=%u SIM_LAYOUT=%u SIM_REPLICAS=%d SIM_SECONDS=%lld %s",
                 (unsigned long long)plan->seed, plan->nodes, (unsigned)plan->layout, plan->replicas,
                 (long long)plan->seconds, path);
        world_set_command(command);
        signal(SIGABRT, on_fatal);
        signal(SIGSEGV, on_fatal);
        signal(SIGXCPU, on_fatal); /* it hangs */
        setrlimit(RLIMIT_CPU, &(struct rlimit){ HANG_S, HANG_S + 5 });
        sim_chance.state = plan->seed;
        sim_run(plan->seed, machine_new("world", false), world_main, (void *)(uintptr_t)plan);
        if (tells)
                report(plan);
}

/* ---- many runs ---- */

static bool reap(unsigned *running)
{
        int status;
        pid_t pid = wait(&status);

        if (pid < 0)
                return true;
        --*running;
        if (WIFSIGNALED(status))
                fprintf(stderr, "process %d was ended by signal %d; its run is the last that names it above\n",
                        (int)pid, WTERMSIG(status));
        return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Half of the runs are of three nodes that are all alike. */
static void mix(struct plan *plan)
{
        struct chance c = { chance_seed(plan->seed, 3) };

        plan->layout = chance_one_in(&c, 2) ? LAYOUT_TOGETHER : 1 + chance_below(&c, LAYOUTS - 1);
        plan->nodes = plan->layout == LAYOUT_TOGETHER ? 3 : plan->layout == LAYOUT_SPLIT ? 6 : 8;
        plan->replicas = 3;
}

static int run_many(struct plan plan, uint64_t count, time_t until)
{
        unsigned jobs = (unsigned)env("SIM_JOBS", 2), running = 0;
        uint64_t done = 0, failed = 0;
        unsigned missing;
        time_t begun = time(NULL), shown = begun;

        sums = mmap(NULL, sizeof counters / sizeof counters[0] * sizeof *sums, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (sums == MAP_FAILED) {
                perror("mmap");
                return 1;
        }
        for (; (count && done < count) || (until && time(NULL) < until); done++, plan.seed++) {
                pid_t pid;

                if (env("SIM_MIX", 0))
                        mix(&plan);
                while (running >= jobs)
                        failed += !reap(&running);
                pid = fork();
                if (!pid) {
                        run(&plan, false);
                        counters_add();
                        _exit(0);
                }
                if (pid < 0) {
                        perror("fork");
                        return 1;
                }
                running++;
                if (time(NULL) >= shown + 30) {
                        shown = time(NULL);
                        fprintf(stderr, "%lld s: %llu runs, %llu failed, seed %llu\n", (long long)(shown - begun),
                                (unsigned long long)done, (unsigned long long)failed, (unsigned long long)plan.seed);
                }
        }
        while (running)
                failed += !reap(&running);
        if (env("SIM_MIX", 0))
                printf("%llu runs of mixed nodes", (unsigned long long)done);
        else
                printf("%llu runs of %u nodes", (unsigned long long)done, plan.nodes);
        printf(", %lld s each: %llu failed\n", (long long)plan.seconds, (unsigned long long)failed);
        missing = env("SIM_COUNT", 0) ? counters_print() : 0;
        return failed || (missing && env("SIM_REQUIRE", 0)) ? 1 : 0;
}

int main(void)
{
        struct plan plan = { .nodes = (unsigned)env("SIM_NODES", 1) };
        int64_t lasts_s = env("SIM_S", 0);

        mallopt(M_TRIM_THRESHOLD, 1 << 30); /* a run is short: what the kernel gave is kept */
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        if (plan.nodes < 1 || plan.nodes > NODES_MAX) {
                fprintf(stderr, "SIM_NODES is 1 to %d\n", NODES_MAX);
                return 2;
        }
        plan.layout = (enum layout)env("SIM_LAYOUT", LAYOUT_TOGETHER);
        if (plan.layout >= LAYOUTS ||
            (plan.layout != LAYOUT_TOGETHER && plan.nodes < (plan.layout == LAYOUT_SPLIT ? 4u : 6u))) {
                fprintf(stderr, "SIM_LAYOUT is 0 to %d, 1 for 4 nodes or more, 2 for 6 or more\n", LAYOUTS - 1);
                return 2;
        }
        plan.replicas = (int16_t)env("SIM_REPLICAS", MIN2(plan.nodes, 3u));
        plan.ledger = env("SIM_LEDGER", 1);
        plan.share = env("SIM_SHARE", plan.ledger);
        if (getenv("SIM_SEED")) {
                plan.seed = (uint64_t)env("SIM_SEED", 1);
                plan.seconds = env("SIM_SECONDS", SECONDS);
                run(&plan, true);
                return 0;
        }
        if (lasts_s) {
                plan.seed = (uint64_t)time(NULL) << 20;
                plan.seconds = env("SIM_SECONDS", SECONDS);
                return run_many(plan, 0, time(NULL) + lasts_s);
        }
        plan.seed = (uint64_t)env("SIM_FROM", 1);
        plan.seconds = env("SIM_SECONDS", getenv("SIM_SEEDS") ? SECONDS : SECONDS_QUICK);
        return run_many(plan, (uint64_t)env("SIM_SEEDS", SEEDS_QUICK), 0);
}
