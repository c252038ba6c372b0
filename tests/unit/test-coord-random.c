/* Goal: whatever clients do, in whatever order, generations grow, one member leads, every member of a Stable group has
 * an assignment, the log says the same as the memory, and every request is answered exactly once.
 * Method: seeded clients that join, sync, beat, commit, leave, fall silent and restart; a failure prints its seed. */
#include "test-coord-world.h"

enum { CLIENTS = 8, STEPS = 1500, SEEDS = 600 };

struct client {
        char tag[8];
        char instance[8];  /* "": dynamic */
        bool joins, syncs; /* waits for an answer */
        bool fresh;        /* a new process: has no member id */
        bool settled;      /* has joined and was not told to join again */
        int32_t generation;
        bool leads;
        unsigned members_count;
        char members[CLIENTS * 2][80];
};

static struct client clients[CLIENTS];
static int32_t last_generation;
static char last_leader[80];
static uint64_t rng;
static unsigned seed;
static unsigned stable_seen, rebalances_seen;

static unsigned rnd(unsigned n)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng >> 33) % n;
}

#define MUST(cond) \
        do { \
                if (!(cond)) \
                        fprintf(stderr, "seed %u: %s\n", seed, #cond); \
                CU_ASSERT_FATAL(cond); \
        } while (0)

static struct client *client_of(const struct asked *q)
{
        for (unsigned i = 0; i < CLIENTS; i++)
                if (!strcmp(clients[i].tag, q->tag))
                        return &clients[i];
        abort();
}

static void on_join(struct client *c, struct coord_join *j)
{
        char leader[80];

        if (j->rq.outcome == COORD_E_REBALANCING)
                return; /* superseded: a later one waits */
        c->joins = false;
        if (j->rq.outcome == COORD_E_UNKNOWN_MEMBER || j->rq.outcome == COORD_E_FENCED_INSTANCE)
                c->fresh = true;
        else if (j->rq.outcome == COORD_E_MEMBER_ID_REQUIRED)
                c->fresh = false;
        if (j->rq.outcome != COORD_OK)
                return;
        snprintf(leader, sizeof leader, "%.*s", STR_FMT(j->ret_leader));
        MUST(j->ret_generation >= last_generation);
        if (j->ret_generation > last_generation) {
                rebalances_seen++;
                strcpy(last_leader, "");
        }
        last_generation = j->ret_generation;
        c->fresh = false;
        c->settled = true;
        c->generation = j->ret_generation;
        c->leads = j->ret_members_count && !j->ret_skip_assignment;
        MUST(!j->ret_members_count || str_equal(j->ret_leader, j->ret_member_id));
        c->members_count = 0;
        for (int32_t i = 0; i < j->ret_members_count; i++)
                snprintf(c->members[c->members_count++], 80, "%.*s", STR_FMT(j->ret_members[i].member_id));
        if (j->ret_members_count) {
                /* One leads a generation; only a static one may come back under another id. */
                MUST(!last_leader[0] || !strcmp(last_leader, leader) || c->instance[0]);
                strcpy(last_leader, leader);
        }
}

static void on_answer(struct world *w, struct asked *q)
{
        struct client *c;

        if (q->rq.op > COORD_HEARTBEAT)
                return;
        c = client_of(q);
        if (q->rq.op == COORD_JOIN) {
                on_join(c, &q->join);
                return;
        }
        if (q->rq.op == COORD_SYNC)
                c->syncs = false;
        if (q->rq.outcome != COORD_OK)
                c->settled = false;
        if (q->rq.op == COORD_SYNC && q->rq.outcome == COORD_OK)
                MUST(q->sync.ret_assignment.len == 1);
        if (q->rq.outcome == COORD_E_UNKNOWN_MEMBER || q->rq.outcome == COORD_E_FENCED_INSTANCE)
                c->fresh = true;
}

static void do_join(struct world *w, struct client *c)
{
        static const char *const protocols[] = { "range", "range,sticky", "sticky,range" };
        static const char *const topics[] = { "t", "t", "t", "u" };

        c->joins = true;
        join(w, c->tag,
             (struct how){ .instance = c->instance[0] ? c->instance : NULL,
                           .protocols = protocols[rnd(3)],
                           .topic = topics[rnd(4)],
                           .session_ms = 6000 + (int)rnd(10000),
                           .rebalance_ms = 1 + (int)rnd(20000),
                           .require_id = rnd(2),
                           .skip = rnd(2),
                           .anew = c->fresh });
}

static void do_sync(struct world *w, struct client *c)
{
        struct asked *q = new_asked(c->tag, COORD_SYNC);

        c->syncs = true;
        q->sync.member_id = str_of(who(w, c->tag)->id);
        q->sync.instance_id = c->instance[0] ? str_of(c->instance) : STR_NULL;
        q->sync.generation = c->generation;
        q->sync.assignments = q->assignments;
        for (unsigned i = 0; c->leads && i < c->members_count; i++)
                q->assignments[i] = (struct coord_assignment){ str_of(c->members[i]), span_of("x", 1) };
        q->sync.assignments_count = c->leads ? (int32_t)c->members_count : 0;
        ask(w, &q->rq);
}

/* Does the memory hold what a reader of the log would build? */
static void check_state(struct world *w)
{
        struct coord_describe d = { 0 };

        coord_request_init(&d.rq, COORD_DESCRIBE, STR_LIT("g"));
        ask(w, &d.rq);
        if (d.ret_state == COORD_GROUP_STABLE) {
                stable_seen++;
                MUST(d.ret_members_count > 0);
                MUST(!last_generation || d.ret_generation == last_generation); /* 0: not known since a reload */
                for (int32_t i = 0; i < d.ret_members_count; i++)
                        MUST(d.ret_members[i].assignment.len == 1);
        }
        if (d.ret_state == COORD_GROUP_EMPTY)
                MUST(d.ret_members_count == 0);
        coord_request_fini(&d.rq);
}

static void reload(struct world *w)
{
        struct coord_stats before, after;

        groups_committed(w->gs, w->written);
        groups_stats(w->gs, &before);
        world_reload(w);
        groups_stats(w->gs, &after);
        MUST(before.offsets == after.offsets);
        for (unsigned i = 0; i < CLIENTS; i++)
                clients[i].joins = clients[i].syncs = false;
        /* Generations whose members had not synced were never written. */
        last_generation = 0;
        strcpy(last_leader, "");
}

static void step(struct world *w)
{
        struct client *c = &clients[rnd(CLIENTS)];

        switch (rnd(14)) {
        case 0 ... 3:
                if (c->joins ? rnd(10) == 0 : !c->settled || rnd(40) == 0)
                        do_join(w, c);
                break;
        case 4 ... 6:
                if (!c->syncs && c->settled)
                        do_sync(w, c);
                break;
        case 7:
                beat(w, c->tag, c->generation);
                break;
        case 8:
                commit(w, c->tag, c->generation, "t", (int32_t)rnd(3), rnd(1000));
                break;
        case 9:
                if (rnd(8) == 0)
                        leave(w, c->tag);
                break;
        case 10:
                if (rnd(10) == 0) /* another process in its place */
                        c->fresh = true, c->settled = false;
                break;
        case 11:
                pass(w, rnd(300));
                break;
        case 12:
                pass(w, rnd(rnd(20) ? 500 : 40000));
                break;
        case 13:
                if (rnd(3) == 0)
                        w->hold_commits = !w->hold_commits;
                if (rnd(100) == 0)
                        reload(w);
                break;
        }
        w->trace[0] = 0;
}

static void one_run(void)
{
        struct world w;

        world_init(&w);
        w.on_answer = on_answer;
        w.conf.group_size_max = 6;
        world_drop(&w);
        world_start(&w);
        world_loaded(&w);
        memset(clients, 0, sizeof clients);
        last_generation = 0;
        strcpy(last_leader, "");
        for (unsigned i = 0; i < CLIENTS; i++) {
                snprintf(clients[i].tag, sizeof clients[i].tag, "%c", 'a' + i);
                if (i < 3)
                        snprintf(clients[i].instance, sizeof clients[i].instance, "i%u", i);
                clients[i].fresh = true;
        }
        for (unsigned i = 0; i < STEPS; i++) {
                step(&w);
                if (i % 16 == 0)
                        check_state(&w);
        }
        pass(&w, 900000); /* all fall silent: nothing stays parked, nobody stays a member */
        MUST(w.asked == w.answered);
        MUST(state(&w) == COORD_GROUP_EMPTY || state(&w) == COORD_GROUP_DEAD);
        world_fini(&w);
}

static void test_seeds(void)
{
        for (seed = 1; seed <= SEEDS; seed++) {
                rng = seed * 7919;
                one_run();
        }
        if (stable_seen <= 1000 || rebalances_seen <= 1000)
                fprintf(stderr, "Stable seen %u times, rebalances %u\n", stable_seen, rebalances_seen);
        CU_ASSERT(stable_seen > 1000); /* the walk goes where it matters */
        CU_ASSERT(rebalances_seen > 1000);
}

static const struct unit_case cases[] = {
        { "seeds", test_seeds },
};

UNIT_MAIN("coord-random", cases)
