/* Goal: what comes from a disk or a peer and cannot be is refused and changes no promise; without memory nothing happens. Method:
 * one wrong thing after the other; messages of chance; the n-th allocation fails. */
#include "raft-scene.h"

#include <errno.h>

/* ---- memory ---- */

static int allocs_left = -1; /* -1: no end */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool is_out(void)
{
        if (allocs_left < 0)
                return false;
        return allocs_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
        return is_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return is_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return is_out() ? NULL : __real_realloc(p, size);
}

static void test_no_memory(void)
{
        struct raft_run run = { 1, 1 };
        struct raft_restore from = {
                .self = { 1, UUID_ZERO }, .vote = { 1, RAFT_ID_NOBODY }, .runs = &run, .runs_count = 1, .last_index = 3
        };
        struct raft_options options = {
                .election_ms = 1000, .heartbeat_ms = 100, .append_entries_max = 8, .append_window = 4
        };
        struct raft_members_at members[8] = { { .index = 0 } };
        struct raft_message m = { .type = RAFT_APPEND,
                                  .from = { 2, UUID_ZERO },
                                  .to = from.self,
                                  .term = 1,
                                  .prev_index = 3,
                                  .prev_term = 1,
                                  .entries_term = 1 };
        struct raft_event ev = { .type = RAFT_EV_START };
        struct raft_actions todo;
        struct raft_status s;
        struct raft *r = NULL;
        int n, failed = 0;

        for (n = 0; n < 10; n++) {
                allocs_left = n;
                if (raft_new(&from, &options, &r) == 0)
                        break;
                CU_ASSERT_PTR_NULL(r);
        }
        allocs_left = -1;
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(raft_step(r, &ev, &todo), RAFT_OK);
        ev.type = RAFT_EV_MESSAGE;
        ev.message.message = &m;
        ev.message.members = members;
        /* Ever newer terms, and members in each message: runs and lists of members grow. */
        for (int term = 2; term < 100; term++) {
                m.term = m.entries_term = term;
                m.count = 8;
                ev.message.members_count = 8;
                for (int i = 0; i < 8; i++) {
                        members[i].index = m.prev_index + 1 + i;
                        members[i].members.count = 1;
                        members[i].members.at[0].is_voter = true;
                        members[i].members.at[0].id.node = 2;
                }
                for (n = 0;; n++) {
                        allocs_left = n;
                        if (raft_step(r, &ev, &todo) != -ENOMEM)
                                break;
                        failed++;
                        allocs_left = -1;
                        raft_status(r, &s);
                        CU_ASSERT_EQUAL(s.term, term - 1);
                        CU_ASSERT_EQUAL(s.last_index, m.prev_index);
                }
                allocs_left = -1;
                raft_status(r, &s);
                CU_ASSERT_EQUAL(s.last_index, m.prev_index + 8);
                m.prev_index += 8;
                m.prev_term = term;
        }
        CU_ASSERT(failed > 8);
        raft_free(r);
}

/* ---- what is read at a start ---- */

static int try(const struct raft_restore *from)
{
        struct raft_options options = {
                .election_ms = 1000, .heartbeat_ms = 100, .append_entries_max = 8, .append_window = 4
        };
        struct raft *r = NULL;
        int result = raft_new(from, &options, &r);

        CU_ASSERT(!result == (r != NULL));
        raft_free(r);
        return result;
}

static void test_restore(void)
{
        struct raft_run runs[3] = { { 6, 2 }, { 8, 3 }, { 9, 5 } };
        struct raft_members_at members[2] = { { .index = 2 }, { .index = 8 } };
        struct raft_restore good, bad;

        members[0].members.count = members[1].members.count = 1;
        members[0].members.at[0].is_voter = members[1].members.at[0].is_voter = true;
        good = (struct raft_restore){ .self = { 1, UUID_ZERO },
                                      .vote = { 4, RAFT_ID_NOBODY },
                                      .cut_index = 5,
                                      .cut_term = 2,
                                      .runs = runs,
                                      .runs_count = 3,
                                      .last_index = 12,
                                      .members = members,
                                      .members_count = 2,
                                      .commit_index = 7 };
        CU_ASSERT_EQUAL(try(&good), 0);
#define BAD(what) \
        do { \
                bad = good; \
                what; \
                CU_ASSERT_EQUAL(try(&bad), -EINVAL); \
        } while (0)
        BAD(bad.self.node = -1);
        BAD(bad.vote.term = -1);
        BAD(bad.vote.term = INT32_MAX);
        BAD(bad.cut_index = -1);
        BAD(bad.cut_index = 4);
        BAD(bad.cut_index = 6);
        BAD(bad.cut_term = 3);
        BAD(bad.last_index = 8);
        BAD(bad.last_index = 4);
        BAD(bad.runs_count = 0);
        BAD(bad.commit_index = 4);
        BAD(bad.commit_index = 13);
        BAD(bad.last_index = 7; bad.runs_count = 1); /* members beyond it */
#undef BAD
#define BAD(place, value) \
        do { \
                __typeof__(place) was = place; \
                place = value; \
                CU_ASSERT_EQUAL(try(&good), -EINVAL); \
                place = was; \
        } while (0)
        BAD(runs[1].term, 2);
        BAD(runs[1].first_index, 9);
        BAD(runs[0].term, 1);
        BAD(members[1].index, 2);
        BAD(members[1].index, 5);
        BAD(members[0].index, -1);
        BAD(members[0].members.count, 0);
        BAD(members[0].members.count, 33);
        BAD(members[0].members.at[0].is_voter, false);
        BAD(members[0].members.at[0].id.node, -5);
        BAD(members[0].members.count, 2); /* the same node twice */
#undef BAD
        CU_ASSERT_EQUAL(try(&good), 0);
}

static void test_options(void)
{
        struct raft_restore from = { .self = { 1, UUID_ZERO }, .vote = { 0, RAFT_ID_NOBODY } };
        static const struct raft_options bad[] = {
                { 1000, 0, 8, 4, 0 },   { 200, 100, 8, 4, 0 },   { 1000, 100, 0, 4, 0 },
                { 1000, 100, 8, 0, 0 }, { 1000, 100, 8, 65, 0 }, { INT64_MAX, 100, 8, 4, 0 },
        };
        struct raft *r;

        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT_EQUAL(raft_new(&from, &bad[i], &r), -EINVAL);
}

/* ---- messages that cannot be ---- */

/* S1 follows S2 in term 5; its log is 1 1 5 5 5, up to 3 committed, all of it compared with S2's. */
static void set_out(void)
{
        struct scene_mail mail = { .m = { .type = RAFT_APPEND,
                                          .term = 5,
                                          .prev_index = 2,
                                          .prev_term = 1,
                                          .count = 3,
                                          .entries_term = 5,
                                          .commit_index = 3 } };

        scene_init(3, 3);
        scene_log(1, "1 1");
        scene_start();
        mail.m.from = scene_id(2);
        mail.m.to = scene_id(1);
        for (int i = 0; i < 3; i++)
                mail.entries[i].term = 5;
        CU_ASSERT_EQUAL_FATAL(scene_give(1, &mail), RAFT_OK);
        CU_ASSERT_EQUAL_FATAL(scene_committed(1), 3);
}

static int give(struct raft_message m)
{
        struct scene_mail mail = { .m = m };

        mail.m.to = scene_id(1);
        if (!mail.m.from.node)
                mail.m.from = scene_id(2);
        for (int i = 0; i < SCENE_ENTRIES; i++)
                mail.entries[i].term = m.entries_term;
        return scene_give(1, &mail);
}

static void test_broken_messages(void)
{
        static const struct raft_message bad[] = {
                { .type = 0, .term = 5 },
                { .type = 11, .term = 5 },
                { .type = RAFT_HEARTBEAT, .term = 0 },
                { .type = RAFT_HEARTBEAT, .term = -3 },
                { .type = RAFT_HEARTBEAT, .term = INT32_MAX },
                { .type = RAFT_HEARTBEAT, .term = 5, .commit_index = -1 },
                { .type = RAFT_VOTE_REQUEST, .term = 6, .last_index = -1 },
                { .type = RAFT_VOTE_REQUEST, .term = 6, .last_term = 7 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = -1 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = INT64_MAX, .count = 1, .entries_term = 5 },
                { .type = RAFT_APPEND, .term = 5, .count = INT64_MAX, .entries_term = 5 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 5, .prev_term = 5, .count = -1 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 5, .prev_term = 5, .count = 1, .entries_term = 4 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 5, .prev_term = 5, .count = 1, .entries_term = 6 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 5, .prev_term = 6 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 0, .prev_term = 1 },
                /* another history than what is committed, or than the same leader had */
                { .type = RAFT_APPEND, .term = 5, .prev_index = 2, .prev_term = 1, .count = 8, .entries_term = 4 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 4, .prev_term = 4 },
                { .type = RAFT_APPEND, .term = 5, .prev_index = 4, .prev_term = 3, .count = 2, .entries_term = 4 },
                { .type = RAFT_APPEND, .from = { 3, { { 0xd0, 3 } } }, .term = 5, .prev_index = 5, .prev_term = 5 },
                { .type = RAFT_HEARTBEAT, .from = { 1, { { 0xd0, 1 } } }, .term = 5 },
                { .type = RAFT_HEARTBEAT, .from = { 1, { { 0xd0, 9 } } }, .term = 5 },
                { .type = RAFT_SNAPSHOT, .term = 5, .last_index = 9, .last_term = 6 },
        };
        struct raft_event snapshot = { .type = RAFT_EV_SNAPSHOT_RECEIVED };

        set_out();
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                if (give(bad[i]) != RAFT_E_MESSAGE)
                        CU_FAIL("taken");
                CU_ASSERT_STRING_EQUAL(scene_terms(1), "1 1 5 5 5");
                CU_ASSERT_EQUAL(scene_node(1)->term, 5);
                CU_ASSERT_EQUAL(scene_committed(1), 3);
        }
        CU_ASSERT_EQUAL(scene_status(1).counts.messages_refused, ARRAY_LEN(bad));
        /* A snapshot that says otherwise than what agrees with the leader. */
        snapshot.snapshot.index = 5;
        snapshot.snapshot.term = 4;
        snapshot.snapshot.members = &scene.first.members;
        CU_ASSERT_EQUAL(scene_step(1, &snapshot, NULL), RAFT_E_MESSAGE);
        snapshot.snapshot.term = 6;
        CU_ASSERT_EQUAL(scene_step(1, &snapshot, NULL), RAFT_E_MESSAGE);
        snapshot.snapshot.index = 9;
        snapshot.snapshot.term = 5;
        snapshot.snapshot.members_index = 10;
        CU_ASSERT_EQUAL(scene_step(1, &snapshot, NULL), RAFT_E_MESSAGE);
        CU_ASSERT_EQUAL(scene_node(1)->installed, 0);
        scene_end();
}

/* To a leader. */
static void test_broken_answers(void)
{
        static const struct raft_message bad[] = {
                { .type = RAFT_APPEND_ANSWER, .term = 1, .match_index = 9, .last_index = 9 },
                { .type = RAFT_APPEND_ANSWER, .term = 1, .match_index = 1, .last_index = 9 },
                { .type = RAFT_APPEND_ANSWER, .term = 1, .match_index = 1, .last_index = 0 },
                { .type = RAFT_HEARTBEAT_ANSWER, .term = 1, .sent_ms = INT64_MAX },
                { .type = RAFT_APPEND_ANSWER, .term = 1, .rejected = true, .prev_index = 1, .hint_index = 1 },
                { .type = RAFT_APPEND, .term = 1 },
                { .type = RAFT_SNAPSHOT, .term = 1, .last_index = 9, .last_term = 1 },
                { .type = RAFT_TIMEOUT_NOW, .term = 1 },
        };

        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                if (give(bad[i]) != RAFT_E_MESSAGE)
                        CU_FAIL("taken");
                CU_ASSERT(scene_leads(1));
                CU_ASSERT_EQUAL(scene_committed(1), 1);
        }
        scene_end();
}

/* ---- chance ---- */

static uint64_t chance_state;

static uint64_t chance(uint64_t below)
{
        chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
        return (chance_state >> 33) % below;
}

/* Mostly something near @right. */
static int64_t number(int64_t right)
{
        static const int64_t odd[] = { 0, -1, INT64_MAX, INT64_MIN, INT32_MAX, INT64_MAX / 4, INT64_MAX / 4 + 1 };

        switch (chance(40)) {
        case 0:
        case 1:
                return right - 1;
        case 2:
        case 3:
        case 4:
                return right + 1;
        case 5:
                return (int64_t)chance(12);
        case 6:
                return odd[chance(ARRAY_LEN(odd))];
        default:
                return right;
        }
}

/* Peers that say anything: the core may be led astray, but neither crashes nor breaks what it knows for itself. */
static void test_messages_of_chance(void)
{
        int taken = 0, leads = 0;

        for (chance_state = 1; chance_state < 400;) {
                uint64_t seed = chance_state;
                int64_t committed = 0;

                scene_init(5, 1 + (int)chance(3));
                scene_start();
                for (int i = 0; i < 300; i++) {
                        struct raft_status s = scene_status(1);
                        int64_t prev = s.last_index - (int64_t)chance(3);
                        struct scene_mail mail = { .m = { .type = (enum raft_message_type)chance(13),
                                                          .from = scene_id(2 + (int)chance(4)),
                                                          .to = scene_id(1),
                                                          .term = (int32_t)number(s.term),
                                                          .last_index = number(s.last_index),
                                                          .last_term = (int32_t)number(s.last_term),
                                                          .by_transfer = chance(2),
                                                          .granted = chance(2),
                                                          .rejected = chance(2),
                                                          .prev_index = number(prev),
                                                          .prev_term = (int32_t)number(
                                                                  raft_term_at(scene_node(1)->core, prev)),
                                                          .entries_term = (int32_t)number(s.term),
                                                          .count = (int64_t)(chance(3) ? 0 : chance(4)),
                                                          .commit_index = number(s.commit_index),
                                                          .match_index = number(s.last_index),
                                                          .hint_index = number(prev),
                                                          .hint_term = (int32_t)number(s.last_term),
                                                          .sent_ms = number(scene.now_ms) } };

                        if (scene_node(1)->last > SCENE_LOG - 20)
                                break;
                        for (int j = 0; j < SCENE_ENTRIES; j++) {
                                mail.entries[j].term = mail.m.entries_term;
                                mail.entries[j].names_members = !chance(10);
                                mail.entries[j].members = scene_voters(2, 1 + (int)chance(5), 1 + (int)chance(5));
                        }
                        taken += scene_give(1, &mail) == RAFT_OK;
                        leads += scene_leads(1);
                        scene_lose_mail();
                        CU_ASSERT_FATAL(scene_committed(1) >= committed);
                        committed = scene_committed(1);
                        if (!chance(4)) {
                                scene_wait((int64_t)chance(1500));
                                scene_tick(1);
                                scene_lose_mail();
                        }
                        if (!chance(6))
                                (void)scene_propose(1, 1);
                }
                scene_end();
                chance_state = seed + 1;
        }
        CU_ASSERT(taken > 20000 && leads > 2000); /* it did get somewhere */
}

static const struct unit_case cases[] = {
        { "no memory", test_no_memory },
        { "what is restored", test_restore },
        { "options", test_options },
        { "broken messages", test_broken_messages },
        { "broken answers", test_broken_answers },
        { "messages of chance", test_messages_of_chance },
};

UNIT_MAIN("raft-input", cases)
