/* Goal: whatever is asked of a share group in whatever order, its members have what they shall have, what leaders wrote last is what they read, stale
 * ones are fenced, memory is accounted for, and the machine that reads the log is the one that wrote it. Method: members, leaders and operators at
 * random against a model; the machine is loaded again and compared, field by field. SHARE_SEED=N: this seed alone. */
#include "test-coord-shares.h"

static uint64_t seed_state;

static uint64_t chance(uint64_t n)
{
        seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
        return (seed_state >> 33) % n;
}

enum { CLIENTS = 9, LEADERS = 8, USED = 3 };

static const char *const names[USED] = { "t", "u", "v" };

/* What is known of each partition; what leaders know is their own. */
static struct part {
        bool exists;
        struct lead is;
} parts[USED][PARTS_MAX];

static struct client clients[CLIENTS];
static char ids[CLIENTS][16];
static struct lead leaders[LEADERS];

static bool group_exists, any_member;

/* ---- the whole machine as text ---- */

static char *dump(const struct world *w)
{
        static char texts[2][1 << 16];
        static unsigned turn;
        char *text = texts[turn++ % 2];
        const struct group *g = groups_find(w->gs, STR_LIT("g"));
        size_t at = 0;

#define ADD(...) at += (size_t)snprintf(text + at, sizeof texts[0] - at, __VA_ARGS__)
        ADD("memory %llu groups %llu members %llu\n", (unsigned long long)w->gs->stats.memory,
            (unsigned long long)w->gs->stats.groups, (unsigned long long)w->gs->stats.members);
        if (!g)
                return text;
        ADD("%d %d %d\n", g->state, g->consumer->epoch, g->consumer->target_epoch);
        for (int i = 0; i < CLIENTS; i++) {
                const struct consumer_member *m = consumer_find(g, str_of(ids[i]));

                if (!m)
                        continue;
                ADD("%s %d %d %d %u:", ids[i], m->epoch, m->previous_epoch, m->state, m->names->count);
                for (int t = 0; t < USED; t++)
                        for (int p = 0; p < PARTS_MAX; p++)
                                if (assignment_has(m->assigned, topic_id(t), p))
                                        ADD(" %d/%d%s", t, p, assignment_has(m->target, topic_id(t), p) ? "" : "!");
                ADD("\n");
        }
        for (int t = 0; t < USED; t++)
                for (int p = 0; p < PARTS_MAX; p++) {
                        const struct share_progress *x = share_find(g, topic_id(t), p);

                        if (!x)
                                continue;
                        ADD("%d/%d %d %d %lld", t, p, x->state_epoch, x->leader_epoch, (long long)x->start);
                        for (int32_t i = 0; i < x->runs_count; i++)
                                ADD(" [%lld %lld %d %d]", (long long)x->runs[i].first, (long long)x->runs[i].last,
                                    x->runs[i].state, x->runs[i].deliveries);
                        ADD("\n");
                }
#undef ADD
        CU_ASSERT_FATAL(at < sizeof texts[0]);
        return text;
}

static void reload(struct world *w)
{
        const char *before = dump(w), *after;

        world_reload(w);
        after = dump(w);
        if (strcmp(before, after) != 0)
                printf("before:\n%safter:\n%s", before, after);
        CU_ASSERT_FATAL(!strcmp(before, after));
}

/* ---- members ---- */

static void count_members(const struct world *w)
{
        const struct group *g = groups_find(w->gs, STR_LIT("g"));

        group_exists = g != NULL;
        any_member = g && g->consumer->members_count;
}

static void one_member(struct world *w)
{
        struct client *c = &clients[chance(CLIENTS)];
        int flags = chance(3) ? 0 : FULL, outcome;

        if (!chance(8)) {
                outcome = share_leave(w, c);
                CU_ASSERT(!outcome || outcome == COORD_E_UNKNOWN_MEMBER || outcome == COORD_E_GROUP_NOT_FOUND);
                c->epoch = EPOCH_JOIN;
                return;
        }
        if (c->epoch == EPOCH_JOIN || !chance(10)) {
                memset(c->names, 0, sizeof c->names);
                for (int n = 0, k = 0; n < USED; n++)
                        if (chance(2) || (n == USED - 1 && !k))
                                c->names[k++] = names[n];
                flags = FULL;
        }
        outcome = share_beat(w, c, flags);
        if (outcome) {
                CU_ASSERT_FATAL(c->epoch != EPOCH_JOIN);
                CU_ASSERT(outcome == COORD_E_UNKNOWN_MEMBER || outcome == COORD_E_GROUP_NOT_FOUND);
                c->epoch = EPOCH_JOIN;
                memset(c->has, 0, sizeof c->has);
        }
}

/* Whoever has asked has what it shall have; each partition that somebody wants has somebody. */
static void check_settled(struct world *w)
{
        bool wanted[USED] = { 0 };

        for (int round = 0; round < 2; round++)
                for (int i = 0; i < CLIENTS; i++)
                        if (clients[i].epoch != EPOCH_JOIN && share_beat(w, &clients[i], 0)) {
                                clients[i].epoch = EPOCH_JOIN;
                                memset(clients[i].has, 0, sizeof clients[i].has);
                        }
        for (int i = 0; i < CLIENTS; i++) {
                int could = 0;

                for (int t = 0; t < USED; t++) {
                        bool wants = false;

                        for (int n = 0; n < USED && clients[i].epoch != EPOCH_JOIN && clients[i].names[n]; n++)
                                wants |= !strcmp(clients[i].names[n], topics[t].name);
                        wanted[t] |= wants;
                        could += wants ? topics[t].partitions : 0;
                }
                CU_ASSERT_EQUAL(count(&clients[i]) > 0, could > 0);
        }
        for (int t = 0; t < USED; t++)
                for (int p = 0; p < topics[t].partitions; p++) {
                        bool has = false;

                        for (int i = 0; i < CLIENTS; i++)
                                has |= clients[i].has[t][p];
                        CU_ASSERT_EQUAL(has, wanted[t]);
                }
}

/* ---- leaders ---- */

static bool there_is(const struct lead *l)
{
        return l->partition < topics[l->topic].partitions;
}

static void one_read(struct world *w, struct lead *l)
{
        struct part *p;
        int32_t before;
        int outcome;

        *l = (struct lead){ .topic = (int)chance(USED),
                            .partition = (int32_t)chance(6),
                            .leader_epoch = (int32_t)chance(4) };
        p = &parts[l->topic][l->partition];
        before = p->exists ? p->is.state_epoch : -1;
        outcome = share_read(w, l);
        if (!group_exists) {
                CU_ASSERT_EQUAL(outcome, COORD_E_GROUP_NOT_FOUND);
        } else if (!there_is(l)) {
                CU_ASSERT_EQUAL(outcome, COORD_E_UNKNOWN_PARTITION);
        } else if (p->exists && l->leader_epoch < p->is.leader_epoch) {
                CU_ASSERT_EQUAL(outcome, COORD_E_FENCED_LEADER);
        } else {
                CU_ASSERT_EQUAL(outcome, COORD_OK);
                if (!p->exists) {
                        CU_ASSERT_EQUAL(l->start, COORD_SHARE_START_UNKNOWN);
                        CU_ASSERT_EQUAL(l->runs_count, 0);
                        p->is = *l;
                        p->exists = true;
                }
                p->is.leader_epoch = l->leader_epoch;
                CU_ASSERT_EQUAL(l->start, p->is.start);
                CU_ASSERT_NOT_EQUAL(l->state_epoch, before);
                p->is.state_epoch = l->state_epoch;
                CU_ASSERT_EQUAL_FATAL(l->runs_count, p->is.runs_count);
                CU_ASSERT(!memcmp(l->runs, p->is.runs, sizeof l->runs[0] * (size_t)l->runs_count));
        }
}

static void one_write(struct world *w, struct lead *l)
{
        static const int8_t states[] = { 0, 2, 4 };
        struct part *p = &parts[l->topic][l->partition];
        int64_t at;
        int outcome;

        l->start = at = MAX2(l->start, (int64_t)0) + (int64_t)chance(20);
        l->runs_count = (int32_t)chance(8);
        for (int32_t i = 0; i < l->runs_count; i++) {
                at += (int64_t)chance(4);
                memset(&l->runs[i], 0, sizeof l->runs[i]);
                l->runs[i].first = at;
                l->runs[i].last = at + (int64_t)chance(9);
                l->runs[i].state = states[chance(3)];
                l->runs[i].deliveries = (int16_t)chance(6);
                at = l->runs[i].last + 1;
        }
        outcome = share_write(w, l);
        if (!group_exists) {
                CU_ASSERT_EQUAL(outcome, COORD_E_GROUP_NOT_FOUND);
        } else if (!there_is(l)) {
                CU_ASSERT_EQUAL(outcome, COORD_E_UNKNOWN_PARTITION);
        } else if (!p->exists) {
                CU_ASSERT_EQUAL(outcome, COORD_E_FENCED_STATE);
        } else if (l->leader_epoch < p->is.leader_epoch) {
                CU_ASSERT_EQUAL(outcome, COORD_E_FENCED_LEADER);
        } else if (l->state_epoch != p->is.state_epoch) {
                CU_ASSERT_EQUAL(outcome, COORD_E_FENCED_STATE);
        } else {
                CU_ASSERT_EQUAL(outcome, COORD_OK);
                p->is = *l;
        }
}

/* ---- operators ---- */

static int wanted_outcome(void)
{
        return !group_exists ? COORD_E_GROUP_NOT_FOUND : any_member ? COORD_E_NON_EMPTY_GROUP : COORD_OK;
}

static void one_alter(struct world *w)
{
        int t = (int)chance(USED);
        struct lead read = { .topic = t, .partition = (int32_t)chance(6) };
        int64_t start = (int64_t)chance(100);
        struct part *p = &parts[t][read.partition];

        CU_ASSERT_EQUAL(share_alter(w, names[t], read.partition, start),
                        any_member ? COORD_E_NON_EMPTY_GROUP : COORD_OK);
        if (any_member)
                return;
        CU_ASSERT_EQUAL(item_outcome, there_is(&read) ? COORD_OK : COORD_E_UNKNOWN_PARTITION);
        if (item_outcome)
                return;
        read.leader_epoch = p->exists ? p->is.leader_epoch : 0;
        CU_ASSERT_EQUAL(share_read(w, &read), COORD_OK);
        CU_ASSERT(read.start == start && !read.runs_count);
        CU_ASSERT(!p->exists || read.state_epoch != p->is.state_epoch);
        p->exists = true;
        p->is = read;
}

static void forget_topic(int t)
{
        memset(parts[t], 0, sizeof parts[t]);
}

static void one_removal(struct world *w)
{
        int t = (int)chance(USED);
        bool any = false;

        for (int p = 0; p < PARTS_MAX; p++)
                any |= parts[t][p].exists;
        CU_ASSERT_EQUAL(share_remove(w, names[t]), wanted_outcome());
        if (wanted_outcome())
                return;
        CU_ASSERT_EQUAL(item_outcome, any ? COORD_OK : COORD_E_UNKNOWN_PARTITION);
        forget_topic(t);
}

static void one_deletion(struct world *w)
{
        CU_ASSERT_EQUAL(share_delete(w), wanted_outcome());
        if (wanted_outcome())
                return;
        for (int t = 0; t < USED; t++)
                forget_topic(t);
        CU_ASSERT_EQUAL(w->gs->stats.memory, 0);
}

static void one_topic(struct world *w)
{
        int t = (int)chance(USED);

        if (topics[t].partitions && !chance(4)) {
                topic_gone(w, t);
                forget_topic(t);
                for (int i = 0; i < CLIENTS; i++)
                        memset(clients[i].has[t], 0, sizeof clients[i].has[t]);
        } else {
                set_topic(t, names[t], MIN2(topics[t].partitions + 1, 6));
        }
}

static void step(struct world *w)
{
        struct lead *l = &leaders[chance(LEADERS)];

        count_members(w);
        switch (chance(24)) {
        case 0:
                reload(w);
                break;
        case 1:
                one_topic(w);
                break;
        case 2:
                one_alter(w);
                break;
        case 3:
                one_removal(w);
                break;
        case 4:
                one_deletion(w);
                break;
        case 5:
                check_settled(w);
                break;
        case 6:
                pass(w, (int64_t)chance(50000));
                break;
        case 7:
                for (int i = 0; i < CLIENTS && !chance(3); i++) /* all go, that operators get their turn */
                        for (int k = 0; k < CLIENTS; k++)
                                if (!share_leave(w, &clients[k]))
                                        clients[k].epoch = EPOCH_JOIN;
                break;
        default:
                if (chance(2))
                        one_member(w);
                else if (chance(3))
                        one_write(w, l);
                else
                        one_read(w, l);
        }
        for (int i = 0; i < CLIENTS; i++)
                if (clients[i].epoch < EPOCH_JOIN)
                        clients[i].epoch = EPOCH_JOIN;
}

static void one_world(uint64_t seed)
{
        struct world w;

        seed_state = seed * 7919;
        memset(parts, 0, sizeof parts);
        memset(clients, 0, sizeof clients);
        memset(leaders, 0, sizeof leaders);
        for (int i = 0; i < CLIENTS; i++) {
                snprintf(ids[i], sizeof ids[i], "m%d", i);
                clients[i].id = ids[i];
        }
        begin(&w);
        for (int i = 0; i < 400; i++)
                step(&w);
        reload(&w);
        for (int i = 0; i < CLIENTS; i++) {
                clients[i].epoch = EPOCH_LEAVE;
                share_beat(&w, &clients[i], LOST);
        }
        count_members(&w);
        one_deletion(&w);
        shares_end(&w);
}

static void test_random(void)
{
        const char *s = getenv("SHARE_SEED");
        uint64_t first = s ? strtoull(s, NULL, 0) : 1, last = s ? first : 150;

        for (uint64_t seed = first; seed <= last; seed++) {
                unsigned failures = CU_get_number_of_failures();

                one_world(seed);
                if (CU_get_number_of_failures() != failures) {
                        printf("SHARE_SEED=%llu\n", (unsigned long long)seed);
                        break;
                }
        }
        forget_answers();
}

static const struct unit_case cases[] = { { "at random", test_random } };
UNIT_MAIN("share groups at random", cases)
