/* Goal: in a consumer group no partition is ever read by two, and in the end each has its share. Method: clients of both protocols at random,
 * with lost answers, clients that die, topics that come and go, and machines that are loaded again. CONSUMER_SEED=N: this seed alone. */
#include "test-coord-consumers.h"

static uint64_t seed_state;

static uint64_t chance(uint64_t n)
{
        seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
        return (seed_state >> 33) % n;
}

enum { CLIENTS = 7 };

struct life {
        struct client c;
        char id[16], instance[8];
        bool lives, lost;       /* the last answer */
        bool is_classic, eager; /* it speaks the other protocol */
        bool joined;            /* and has its part still to ask for */
        int64_t silent_ms;
};

/* No partition is had by two that the coordinator may still believe in. */
static void check_exclusive(struct life *lives)
{
        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS_MAX; p++) {
                        int owners = 0;

                        for (int i = 0; i < CLIENTS; i++)
                                owners += lives[i].lives && lives[i].c.has[t][p];
                        CU_ASSERT_FATAL(owners <= 1);
                }
}

/* What a classic consumer does in its loop. An answer may be lost: it tries again. */
static void one_classic_beat(struct world *w, struct life *l)
{
        int outcome = COORD_E_REBALANCING;

        if (l->joined) {
                outcome = sync_classic(w, &l->c);
                l->joined = false;
        } else if (l->c.epoch) {
                outcome = beat_classic(w, &l->c);
        }
        if (outcome == COORD_OK) {
                l->silent_ms = w->now.mono_ms;
        } else if (outcome == COORD_E_REBALANCING) {
                outcome = join_classic(w, &l->c, l->eager);
                l->joined = outcome == COORD_OK;
                if (l->joined)
                        l->silent_ms = w->now.mono_ms;
        }
        if (outcome && outcome != COORD_E_REBALANCING) {
                memset(l->c.has, 0, sizeof l->c.has);
                l->c.epoch = 0;
                if (outcome == COORD_E_UNKNOWN_MEMBER || outcome == COORD_E_FENCED_INSTANCE)
                        l->lives = false; /* it goes on under a new id: another life */
        }
}

static void begin_life(struct life *l, int i, unsigned *next_id)
{
        static const char *const names[] = { "t", "u", "v" };

        *l = (struct life){ .lives = true };
        snprintf(l->id, sizeof l->id, "m%u", (*next_id)++);
        l->c.id = l->id;
        /* Longer than it takes it to hear what it shall give up, or to give everything up, and to say so. */
        l->c.rebalance_ms = 100000;
        l->is_classic = i >= CLIENTS - 2 && chance(2);
        l->eager = chance(2);
        if (i == 1 || i == 2) {
                snprintf(l->instance, sizeof l->instance, "i%d", i);
                l->c.instance = l->instance;
        }
        for (int n = 0, k = 0; n < 3; n++)
                if (chance(3))
                        l->c.names[k++] = names[n];
        if (l->is_classic)
                return;
        l->c.regex = chance(4) ? "" : "w.*";
        l->c.assignor = chance(4) ? NULL : chance(2) ? "uniform" : "range";
}

static void one_beat(struct world *w, struct life *l)
{
        int flags = chance(5) && !l->lost ? OWNED : FULL, outcome; /* who was not answered says everything again */

        l->lost = !chance(6);
        if (l->lost)
                flags |= LOST;
        outcome = heartbeat(w, &l->c, flags);
        if (flags & LOST)
                return;
        if (outcome == COORD_OK) {
                l->silent_ms = w->now.mono_ms;
                return;
        }
        CU_ASSERT_FATAL(outcome == COORD_E_FENCED_EPOCH || outcome == COORD_E_UNKNOWN_MEMBER ||
                        outcome == COORD_E_UNRELEASED_INSTANCE || outcome == COORD_E_FENCED_INSTANCE ||
                        outcome == COORD_E_GROUP_NOT_FOUND);
        memset(l->c.has, 0, sizeof l->c.has); /* it gives everything up, and joins again */
        l->c.epoch = 0;
}

static void change_topics(void)
{
        int t = (int)chance(5);
        static const char *const names[] = { "t", "u", "v", "w1", "w2" };

        if (!topics[t].partitions || chance(3)) {
                set_topic(t, names[t], MIN2(topics[t].partitions + 1 + (int32_t)chance(4), PARTS_MAX));
        } else if (!chance(3)) {
                topics[t].life++;
                set_topic(t, names[t], 0);
        }
}

static void random_step(struct world *w, struct life *lives, unsigned *next_id)
{
        int i = (int)chance(CLIENTS);
        struct life *l = &lives[i];

        /* One of the new protocol is always there: the group stays what it is. */
        if (!lives[0].lives)
                begin_life(&lives[0], 0, next_id);
        if (heartbeat(w, &lives[0].c, FULL) != COORD_OK) {
                memset(lives[0].c.has, 0, sizeof lives[0].c.has);
                lives[0].c.epoch = 0;
        }
        lives[0].silent_ms = w->now.mono_ms;
        switch (i ? chance(40) : 4) {
        case 0:
                if (l->lives && !l->is_classic)
                        leaves(w, &l->c, l->c.instance && chance(2) ? EPOCH_LEAVE_STATIC : EPOCH_LEAVE);
                l->lives = false;
                break;
        case 1: /* it dies: nobody is told */
                l->lives = false;
                break;
        case 2:
                change_topics();
                /* A topic that is gone is had by nobody; one of that name is another one. */
                for (int k = 0; k < CLIENTS; k++)
                        for (int t = 0; t < TOPICS; t++)
                                if (!topics[t].partitions)
                                        memset(lives[k].c.has[t], 0, sizeof lives[k].c.has[t]);
                break;
        case 3:
                world_reload(w);
                break;
        case 4:
                pass(w, (int64_t)chance(30000));
                break;
        default:
                pass(w, (int64_t)chance(3000));
                if (!l->lives)
                        begin_life(l, i, next_id);
                if (l->is_classic)
                        one_classic_beat(w, l);
                else
                        one_beat(w, l);
        }
        /* A client that was not answered for as long as its session lasts gives everything up by itself, as clients do. */
        for (int k = 0; k < CLIENTS; k++)
                if (lives[k].lives && w->now.mono_ms - lives[k].silent_ms >= 40000)
                        memset(lives[k].c.has, 0, sizeof lives[k].c.has), lives[k].c.epoch = 0;
        check_exclusive(lives);
}

static bool wants(const struct life *l, int t)
{
        for (int n = 0; n < 3 && l->c.names[n]; n++)
                if (!strcmp(l->c.names[n], topics[t].name))
                        return true;
        return l->c.regex && *l->c.regex && topics[t].name[0] == 'w';
}

static void check_settled(struct world *w, struct life *lives)
{
        for (int round = 0; round < 25; round++) {
                pass(w, 5000);
                for (int i = 0; i < CLIENTS; i++)
                        if (lives[i].lives && lives[i].is_classic) {
                                for (int k = 0; k < 4; k++)
                                        one_classic_beat(w, &lives[i]);
                        } else if (lives[i].lives && heartbeat(w, &lives[i].c, round ? OWNED : FULL) != COORD_OK) {
                                memset(lives[i].c.has, 0, sizeof lives[i].c.has);
                                lives[i].c.epoch = 0;
                        }
                check_exclusive(lives);
        }
        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < topics[t].partitions; p++) {
                        int owners = 0, wanted = 0;

                        for (int i = 0; i < CLIENTS; i++) {
                                wanted |= lives[i].lives && wants(&lives[i], t);
                                owners += lives[i].lives && lives[i].c.has[t][p];
                                CU_ASSERT(!lives[i].lives || !lives[i].c.has[t][p] || wants(&lives[i], t));
                        }
                        CU_ASSERT_EQUAL(owners, wanted);
                }
}

static void test_random(void)
{
        const char *s = getenv("CONSUMER_SEED");
        uint64_t first = s ? strtoull(s, NULL, 0) : 1, last = s ? first : 200;

        for (uint64_t seed = first; seed <= last; seed++) {
                static struct life lives[CLIENTS];
                unsigned next_id = 0;
                struct world w;

                seed_state = seed * 7919;
                memset(lives, 0, sizeof lives);
                begin(&w);
                for (int i = 0; i < 600; i++)
                        random_step(&w, lives, &next_id);
                check_settled(&w, lives);
                if (CU_get_number_of_failures())
                        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
                w.trace[0] = 0;
                end(&w);
        }
}

static const struct unit_case cases[] = {
        { "at random", test_random },
        { "memory", forget_answers },
};
UNIT_MAIN("consumer groups, random", cases)
