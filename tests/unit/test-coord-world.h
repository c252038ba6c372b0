/* A small world around the groups state machine: time that is set by hand, clients with one-letter names, and a trace
 * of everything that comes out, so that a test reads as a story with the expected trace beside each step.
 *
 *   a:join OK gen=1 lead=a [a b]    an answer: who, what, outcome, generation, leader, members (for the leader)
 *   +group Stable gen=1 [a b]       a record of the group   -group: its tombstone
 *   +t-0=7                          a committed offset      -t-0: its tombstone */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coord/groups.h"
#include "coord/records.h"
#include "unit.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test uses every helper */

struct who {
        char tag[8];
        char id[80];
        char instance[16];
};

struct logged {
        struct logged *next;
        size_t key_len, value_len;
        bool tombstone;
        int64_t producer_id;
        bool is_marker, commit; /* no record: the end of that producer's transaction */
        uint8_t bytes[];
};

struct world;
struct asked;

struct world {
        struct groups_conf conf;
        struct groups *gs;
        struct coord_time now;
        struct who whos[64];
        unsigned whos_count;
        unsigned uuids;
        unsigned asked, answered, consumer_records;
        bool hold_commits; /* writes are not committed until the test says so */
        uint64_t written;
        uint64_t last_need;
        struct coord_request *quick; /* could have been answered in between: this must be what is answered */
        void (*on_answer)(struct world *w, struct asked *q);
        struct logged *log, **log_tail;
        char trace[16384];
};

#include "coord-trace.h"

static struct uuid world_uuid(void *arg)
{
        struct world *w = arg;
        struct uuid u = UUID_ZERO;

        w->uuids++;
        u.b[14] = (uint8_t)(w->uuids >> 8);
        u.b[15] = (uint8_t)w->uuids;
        return u;
}

static struct who *who(struct world *w, const char *tag)
{
        for (unsigned i = 0; i < w->whos_count; i++)
                if (!strcmp(w->whos[i].tag, tag))
                        return &w->whos[i];
        assert(w->whos_count < ARRAY_LEN(w->whos));
        snprintf(w->whos[w->whos_count].tag, sizeof w->whos[0].tag, "%s", tag);
        return &w->whos[w->whos_count++];
}

/* The latest who has this id. */
static const char *tag_of(struct world *w, struct str id)
{
        if (!id.len)
                return "-";
        for (unsigned i = w->whos_count; i-- > 0;)
                if (str_equal_c(id, w->whos[i].id))
                        return w->whos[i].tag;
        return "?";
}

static void world_start(struct world *w)
{
        w->conf.new_uuid = world_uuid;
        w->conf.new_uuid_arg = w;
        assert(!groups_new(&w->conf, &w->gs));
        w->written = 0;
}

static void settle(struct world *w, struct coord_actions *acts);

static void world_loaded(struct world *w)
{
        struct coord_actions acts;

        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_loaded(w->gs, w->now, &acts), 0);
        settle(w, &acts);
}

static void world_init(struct world *w)
{
        memset(w, 0, sizeof *w);
        groups_conf_init(&w->conf);
        w->conf.hash_seed = 7;
        w->now = (struct coord_time){ .mono_ms = 1000000, .wall_ms = 1700000000000 };
        w->log_tail = &w->log;
        world_start(w);
        world_loaded(w);
}

static void log_record(struct world *w, const struct coord_record *r, int64_t producer_id)
{
        struct logged *l = malloc(sizeof *l + r->key.len + r->value.len);

        *l = (struct logged){ .key_len = r->key.len,
                              .value_len = r->value.len,
                              .tombstone = !r->value.data,
                              .producer_id = producer_id };
        memcpy(l->bytes, r->key.data, r->key.len);
        if (r->value.len)
                memcpy(l->bytes + r->key.len, r->value.data, r->value.len);
        *w->log_tail = l;
        w->log_tail = &l->next;
}

static void say_record(struct world *w, const struct coord_record *r)
{
        struct group_metadata_value g;
        struct offset_commit_value o;
        struct records_key key;
        struct arena a;

        arena_init(&a, 0);
        assert(!records_decode_key(r->key, &a, &key));
        if (records_is_consumer(key.kind)) {
                w->consumer_records++; /* their tests look at what comes of them */
        } else if (key.kind == RECORDS_GROUP && !r->value.data) {
                say(w, "-group");
        } else if (key.kind == RECORDS_GROUP) {
                assert(!records_decode_group(r->value, &a, &g));
                say(w, "+group gen=%d [", g.generation);
                for (int i = 0; i < g.members_count; i++)
                        say(w, "%s=%.*s", tag_of(w, g.members[i].member_id), (int)g.members[i].assignment.len,
                            (const char *)g.members[i].assignment.data);
                say(w, "]");
        } else if (!r->value.data) {
                say(w, "-%.*s-%d", STR_FMT(key.topic), key.partition);
        } else {
                assert(!records_decode_offset(r->value, &a, &o));
                say(w, "+%.*s-%d=%lld", STR_FMT(key.topic), key.partition, (long long)o.offset);
        }
        arena_fini(&a);
}

static const char *outcome_name(int outcome)
{
        static const char *const names[] = {
                "OK",
                "NOT_COORDINATOR",
                "LOADING",
                "NOT_AVAILABLE",
                "INVALID_GROUP_ID",
                "NOT_FOUND",
                "NON_EMPTY",
                "UNKNOWN",
                "ID_REQUIRED",
                "FENCED",
                "ILLEGAL_GENERATION",
                "REBALANCING",
                "INCONSISTENT",
                "SESSION",
                "FULL",
                "METADATA_TOO_LARGE",
                "SUBSCRIBED",
                "TOO_LARGE",
                "NO_ROOM",
                "UNSTABLE",
        };

        return outcome < 0 ? "ERRNO" : names[outcome];
}

/* Requests as the world allocates them: the union is the largest. */
struct asked {
        union {
                struct coord_request rq;
                struct coord_join join;
                struct coord_sync sync;
                struct coord_heartbeat beat;
                struct coord_leave leave;
                struct coord_offset_commit commit;
                struct coord_offset_fetch fetch;
                struct coord_offset_delete del;
                struct coord_describe describe;
        };
        char tag[8];
        char texts[1][80];
        uint8_t metadata[3][128];
        struct coord_protocol protocols[3];
        struct coord_assignment assignments[16];
        struct coord_leave_member leavers[8];
};

/* The answers of one event name each other's members: all ids are learnt first. */
static void learn_id(struct world *w, struct asked *q)
{
        if (q->rq.op == COORD_JOIN && q->join.ret_member_id.len)
                snprintf(who(w, q->tag)->id, sizeof w->whos[0].id, "%.*s", STR_FMT(q->join.ret_member_id));
}

static void say_join(struct world *w, struct asked *q)
{
        struct coord_join *j = &q->join;

        say(w, "%s:join %s", q->tag, outcome_name(j->rq.outcome));
        if (j->rq.outcome != COORD_OK) {
                CU_ASSERT_EQUAL(j->ret_generation, -1);
                return;
        }
        say(w, "gen=%d %.*s lead=%s", j->ret_generation, STR_FMT(j->ret_protocol_name), tag_of(w, j->ret_leader));
        if (j->ret_skip_assignment)
                say(w, "skip");
        for (int i = 0; i < j->ret_members_count; i++)
                say(w, "%s%s%s", i ? "" : "[", tag_of(w, j->ret_members[i].member_id),
                    i + 1 == j->ret_members_count ? "]" : "");
}

static void say_answer(struct world *w, struct asked *q)
{
        int outcome = q->rq.outcome;

        w->last_need = q->rq.need_seq;
        switch (q->rq.op) {
        case COORD_JOIN:
                say_join(w, q);
                break;
        case COORD_SYNC:
                say(w, "%s:sync %s", q->tag, outcome_name(outcome));
                CU_ASSERT_PTR_NOT_NULL(q->sync.ret_assignment.data);
                if (outcome == COORD_OK)
                        say(w, "'%.*s'", (int)q->sync.ret_assignment.len, (const char *)q->sync.ret_assignment.data);
                break;
        case COORD_HEARTBEAT:
                say(w, "%s:beat %s", q->tag, outcome_name(outcome));
                break;
        case COORD_LEAVE:
                say(w, "leave %s", outcome_name(outcome));
                for (int i = 0; outcome == COORD_OK && i < q->leave.members_count; i++)
                        say(w, "%s", outcome_name(q->leave.members[i].ret_outcome));
                break;
        case COORD_DELETE:
                say(w, "delete %s", outcome_name(outcome));
                break;
        default:
                break;
        }
}

/* Answers and records of one event. */
static void settle(struct world *w, struct coord_actions *acts)
{
        struct ilist *l;

        for (struct coord_record *r = acts->records; r; r = r->next) {
                say_record(w, r);
                log_record(w, r, acts->producer_id);
        }
        if (acts->records_count)
                w->written = acts->seq;
        ilist_for_each (rq, &acts->replies, struct coord_request, link)
                learn_id(w, (struct asked *)rq);
        while ((l = ilist_pop_front(&acts->replies))) {
                struct asked *q = (struct asked *)ilist_entry(l, struct coord_request, link);

                w->answered++;
                CU_ASSERT(q->rq.need_seq <= w->written);
                if (w->quick == &q->rq)
                        CU_ASSERT_EQUAL(q->rq.outcome, COORD_OK);
                say_answer(w, q);
                if (w->on_answer)
                        w->on_answer(w, q);
                if (q->rq.op <= COORD_LEAVE || q->rq.op == COORD_DELETE) { /* others live on their test's stack */
                        coord_request_fini(&q->rq);
                        free(q);
                }
        }
        coord_actions_fini(acts);
        if (!w->hold_commits)
                groups_committed(w->gs, w->written);
}

static void ask(struct world *w, struct coord_request *rq)
{
        struct coord_actions acts;

        w->asked++;
        w->quick = rq->op == COORD_HEARTBEAT && groups_quick(w->gs, rq, w->now.mono_ms) ? rq : NULL;
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, rq, w->now, &acts), 0);
        if (w->quick)
                CU_ASSERT_EQUAL(acts.records_count, 0);
        settle(w, &acts);
}

/* Time passes; everything due on the way fires at its own time. */
static void pass(struct world *w, int64_t ms)
{
        int64_t end_ms = w->now.mono_ms + ms;

        for (;;) {
                int64_t next_ms = groups_next_ms(w->gs);
                int64_t at_ms = MAX2(next_ms, w->now.mono_ms);
                int64_t step_ms = MIN2(at_ms, end_ms) - w->now.mono_ms;
                struct coord_actions acts;

                w->now.mono_ms += step_ms;
                w->now.wall_ms += step_ms;
                if (next_ms > end_ms)
                        break;
                coord_actions_init(&acts);
                CU_ASSERT_EQUAL(groups_tick(w->gs, w->now, &acts), 0);
                settle(w, &acts);
        }
}

static void world_drop(struct world *w)
{
        struct coord_actions acts;

        coord_actions_init(&acts);
        groups_abort(w->gs, COORD_E_NOT_COORDINATOR, &acts);
        settle(w, &acts);
        w->gs = groups_free(w->gs);
}

/* The machine dies and another one reads the log. */
static void world_reload(struct world *w)
{
        world_drop(w);
        world_start(w);
        for (struct logged *l = w->log; l; l = l->next) {
                int r = l->is_marker ? groups_ops.replay_marker(w->gs, l->producer_id, l->commit)
                                     : groups_replay(w->gs, l->producer_id, span_of(l->bytes, l->key_len),
                                                     l->tombstone ? SPAN_NULL
                                                                  : span_of(l->bytes + l->key_len, l->value_len));

                CU_ASSERT_EQUAL(r, 0);
        }
        world_loaded(w);
}

/* The end of a producer's transaction is written. */
static void world_marker(struct world *w, int64_t producer_id, bool commit)
{
        struct logged *l = calloc(1, sizeof *l);
        struct coord_actions acts;

        *l = (struct logged){ .producer_id = producer_id, .is_marker = true, .commit = commit };
        *w->log_tail = l;
        w->log_tail = &l->next;
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_marker(w->gs, producer_id, commit, w->now, &acts), 0);
        w->written = acts.seq;
        settle(w, &acts);
}

static void world_fini(struct world *w)
{
        world_drop(w);
        CU_ASSERT_EQUAL(w->asked, w->answered); /* every request is answered exactly once */
        while (w->log) {
                struct logged *l = w->log;

                w->log = l->next;
                free(l);
        }
}

/* ---- what clients do; group "g", protocol type "consumer" unless told ---- */

static struct asked *new_asked(const char *tag, enum coord_op op)
{
        struct asked *q = calloc(1, sizeof *q);

        coord_request_init(&q->rq, op, STR_LIT("g"));
        snprintf(q->tag, sizeof q->tag, "%s", tag);
        return q;
}

/* A ConsumerProtocolSubscription of version 0 with topic @topic and no user data. */
static struct span subscription(uint8_t *buf, const char *topic)
{
        struct writer w = writer_of(buf, 128);

        writer_be16(&w, 0);
        writer_be32(&w, 1);
        writer_be16(&w, (uint16_t)strlen(topic));
        writer_bytes(&w, topic, strlen(topic));
        writer_be32(&w, UINT32_MAX);
        return span_of(buf, writer_pos(&w));
}

struct how {
        const char *instance;  /* static member */
        const char *protocols; /* "range,roundrobin" */
        const char *topic;
        const char *type;
        int session_ms, rebalance_ms;
        bool require_id, skip;
        bool anew; /* without the member id it knows */
};

static struct asked *make_join(struct world *w, const char *tag, struct how how)
{
        struct asked *q = new_asked(tag, COORD_JOIN);
        struct coord_join *j = &q->join;
        struct who *me = who(w, tag);
        const char *p = how.protocols ? how.protocols : "range";

        snprintf(q->texts[0], sizeof q->texts[0], "%s", how.anew ? "" : me->id);
        j->member_id = str_of(q->texts[0]);
        j->instance_id = how.instance ? str_of(how.instance) : STR_NULL;
        j->client_id = STR_LIT("c");
        j->client_host = STR_LIT("/h");
        j->session_timeout_ms = how.session_ms ? how.session_ms : 10000;
        j->rebalance_timeout_ms = how.rebalance_ms ? how.rebalance_ms : 60000;
        j->protocol_type = str_of(how.type ? how.type : "consumer");
        j->require_member_id = how.require_id;
        j->can_skip_assignment = how.skip;
        j->protocols = q->protocols;
        while (*p) {
                int i = j->protocols_count++;

                q->protocols[i].name = (struct str){ p, strcspn(p, ",") };
                q->protocols[i].metadata = subscription(q->metadata[i], how.topic ? how.topic : "t");
                p += q->protocols[i].name.len;
                p += *p == ',';
        }
        return q;
}

static void join(struct world *w, const char *tag, struct how how)
{
        ask(w, &make_join(w, tag, how)->rq);
}
#define JOIN(w, tag, ...) join((w), (tag), (struct how){ __VA_ARGS__ })

/* @plan: "a=x b=y": assignments by tag. */
static void sync_as(struct world *w, const char *tag, int generation, const char *plan)
{
        struct asked *q = new_asked(tag, COORD_SYNC);
        struct coord_sync *s = &q->sync;

        s->member_id = str_of(who(w, tag)->id);
        s->generation = generation;
        s->assignments = q->assignments;
        while (plan && *plan) {
                size_t len = strcspn(plan, " "), eq = strcspn(plan, "=");
                char whose[8] = { 0 };

                memcpy(whose, plan, eq);
                q->assignments[s->assignments_count++] =
                        (struct coord_assignment){ str_of(who(w, whose)->id), span_of(plan + eq + 1, len - eq - 1) };
                plan += len + (plan[len] == ' ');
        }
        ask(w, &q->rq);
}

static void beat(struct world *w, const char *tag, int generation)
{
        struct asked *q = new_asked(tag, COORD_HEARTBEAT);

        q->beat.member_id = str_of(who(w, tag)->id);
        q->beat.generation = generation;
        ask(w, &q->rq);
}

static void leave(struct world *w, const char *tag)
{
        struct asked *q = new_asked(tag, COORD_LEAVE);

        q->leavers[0] = (struct coord_leave_member){ .member_id = str_of(who(w, tag)->id) };
        q->leave.members = q->leavers;
        q->leave.members_count = 1;
        ask(w, &q->rq);
}

static void delete_group(struct world *w)
{
        ask(w, &new_asked("", COORD_DELETE)->rq);
}

static int commit(struct world *w, const char *tag, int generation, const char *topic, int32_t partition,
                  int64_t offset)
{
        struct coord_commit_item item = { .topic = str_of(topic),
                                          .partition = partition,
                                          .offset = offset,
                                          .leader_epoch = 3,
                                          .metadata = STR_LIT("note"),
                                          .ret_outcome = -1 };
        struct coord_offset_commit c = { 0 };
        int outcome;

        coord_request_init(&c.rq, COORD_OFFSET_COMMIT, STR_LIT("g"));
        c.member_id = tag ? str_of(who(w, tag)->id) : STR_LIT("");
        c.generation = generation;
        c.retention_ms = -1;
        c.items = &item;
        c.items_count = 1;
        ask(w, &c.rq);
        outcome = c.rq.outcome ? c.rq.outcome : item.ret_outcome;
        coord_request_fini(&c.rq);
        return outcome;
}

/* The committed offset, -1 when there is none. */
static int64_t fetch(struct world *w, const char *topic, int32_t partition)
{
        struct coord_fetch_item item = { .topic = str_of(topic), .partition = partition, .ret_offset = -2 };
        struct coord_offset_fetch f = { .items = &item, .items_count = 1 };

        coord_request_init(&f.rq, COORD_OFFSET_FETCH, STR_LIT("g"));
        ask(w, &f.rq);
        CU_ASSERT_EQUAL(f.rq.outcome, COORD_OK);
        CU_ASSERT_EQUAL(item.ret_leader_epoch, item.ret_offset < 0 ? -1 : 3);
        CU_ASSERT(str_equal_c(item.ret_metadata, item.ret_offset < 0 ? "" : "note"));
        coord_request_fini(&f.rq);
        return item.ret_offset;
}

static enum coord_group_state state(struct world *w)
{
        struct coord_describe d = { 0 };
        enum coord_group_state s;

        coord_request_init(&d.rq, COORD_DESCRIBE, STR_LIT("g"));
        ask(w, &d.rq);
        s = d.ret_state;
        CU_ASSERT_EQUAL(d.rq.outcome, s == COORD_GROUP_DEAD ? COORD_E_GROUP_NOT_FOUND : COORD_OK);
        coord_request_fini(&d.rq);
        return s;
}

/* a (leader) and the others of @tags in a Stable group of generation 1. */
static void stable_group(struct world *w, const char *tags)
{
        char tag[2] = { 0 };

        for (const char *p = tags; *p; p++) {
                tag[0] = *p;
                JOIN(w, tag, 0);
        }
        pass(w, 4000 * (int64_t)strlen(tags));
        for (const char *p = tags + strlen(tags); p-- > tags;) {
                tag[0] = *p;
                sync_as(w, tag, 1, p == tags ? "a=x b=y" : NULL);
        }
        w->trace[0] = 0;
}
