/* Consumer groups of the new protocol (KIP-848): many groups, or one large one. All members join and heartbeat until each has what it shall
 * have, then they heartbeat at the rate of --rate a second for --seconds, then one more joins each group. Many members share a connection, as no
 * client has them: what is measured is the coordinator, not connections. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"
#include "wire/errors.h"

enum { HEARTBEAT_VERSION = 1, ROUNDS_MAX = 100, ID_SIZE = 40 };

struct member {
        struct frame frame;
        int64_t sent_ns;
        int32_t epoch;
        int32_t *owned;
        int32_t owned_count;
        bool waits, changed, gave_up;
};

struct beats {
        const struct options *o;
        int epoll_fd;
        struct conn *conns;
        int *in_flight; /* by connection */
        struct member *members;
        int members_count, per_group; /* members of a group lie side by side, the one who comes last at its end */
        int waiting;
        bool is_early; /* some coordinator is not there yet */
        struct uuid topic_id;
        struct samples latency;
        struct arena arena;
};

/* ---- one heartbeat ---- */

static void fill(struct beats *b, int at, struct consumer_group_heartbeat_request *m,
                 struct consumer_group_heartbeat_request_topic *owned, struct str *topic, char id[ID_SIZE],
                 char group[ID_SIZE])
{
        struct member *who = &b->members[at];

        snprintf(group, ID_SIZE, "group-%07d", at / b->per_group);
        snprintf(id, ID_SIZE, "member-%014d", at);
        consumer_group_heartbeat_request_init(m);
        m->group_id = str_of(group);
        m->member_id = str_of(id);
        m->member_epoch = who->epoch;
        m->topic_partitions_count = -1;
        m->subscribed_topic_names_count = -1;
        if (!who->epoch) {
                m->rebalance_timeout_ms = 60000;
                m->subscribed_topic_names = topic;
                m->subscribed_topic_names_count = 1;
        }
        if (who->epoch && !who->changed)
                return; /* as clients do: what was said is not said again */
        consumer_group_heartbeat_request_topic_init(owned);
        owned->topic_id = b->topic_id;
        owned->partitions = who->owned;
        owned->partitions_count = who->owned_count;
        m->topic_partitions = owned;
        m->topic_partitions_count = who->owned_count > 0;
}

static void beat(struct beats *b, int at)
{
        struct consumer_group_heartbeat_request_topic owned;
        struct consumer_group_heartbeat_request m;
        struct member *who = &b->members[at];
        struct conn *c = &b->conns[at % b->o->connections];
        struct str topic = str_of(b->o->topic);
        char id[ID_SIZE], group[ID_SIZE];

        if (who->waits)
                die("member %d: no answer to its last heartbeat: the rate is more than the broker can do", at);
        fill(b, at, &m, &owned, &topic, id, group);
        FRAME_PUT(&who->frame, CONSUMER_GROUP_HEARTBEAT_REQUEST_KEY, HEARTBEAT_VERSION, at, 0,
                  consumer_group_heartbeat_request, &m);
        who->waits = true;
        who->changed = false;
        who->sent_ns = now_ns();
        b->waiting++;
        b->in_flight[c->index]++;
        conn_put(c, who->frame.data, who->frame.len);
        conn_flush(c);
}

static bool has(const int32_t *set, int32_t count, int32_t p)
{
        for (int32_t i = 0; i < count; i++)
                if (set[i] == p)
                        return true;
        return false;
}

static void take_assignment(struct beats *b, struct member *who,
                            const struct consumer_group_heartbeat_response_assignment *a)
{
        const struct consumer_group_heartbeat_response_topic *t = a->topic_partitions;
        int32_t count = a->topic_partitions_count ? t->partitions_count : 0;

        for (int32_t i = 0; i < who->owned_count; i++)
                who->gave_up |= !count || !has(t->partitions, count, who->owned[i]);
        free(who->owned);
        who->owned = must_alloc((size_t)count + 1, sizeof(*who->owned));
        for (int32_t i = 0; i < count; i++)
                who->owned[i] = t->partitions[i];
        who->owned_count = count;
        who->changed = true;
        if (count)
                b->topic_id = t->topic_id;
}

static void take(void *owner, struct conn *c, struct span frame)
{
        struct beats *b = owner;
        struct consumer_group_heartbeat_response m;
        struct cursor in;
        int at = answer_begin(frame, true, &in);
        struct member *who = &b->members[at];

        if (consumer_group_heartbeat_response_decode(&m, &in, HEARTBEAT_VERSION, &b->arena))
                die("member %d: an answer cannot be read", at);
        if (m.error_code == KERR_NOT_COORDINATOR || m.error_code == KERR_COORDINATOR_LOAD_IN_PROGRESS ||
            m.error_code == KERR_COORDINATOR_NOT_AVAILABLE)
                b->is_early = true;
        else if (m.error_code)
                die("member %d: error %d: %.*s", at, m.error_code, STR_FMT(m.error_message));
        samples_add(&b->latency, now_ns() - who->sent_ns);
        who->changed |= m.member_epoch != who->epoch || m.error_code;
        who->epoch = m.member_epoch;
        if (m.assignment)
                take_assignment(b, who, m.assignment);
        who->waits = false;
        b->waiting--;
        b->in_flight[c->index]--;
        arena_fini(&b->arena);
}

/* ---- until each has what it shall have ---- */

static bool is_settled(const struct beats *b, int group, int members)
{
        const struct member *m = &b->members[group * b->per_group];
        int32_t owned = 0;

        for (int i = 0; i < members; i++) {
                if (m[i].changed || m[i].epoch != m[0].epoch)
                        return false;
                owned += m[i].owned_count;
        }
        return owned == b->o->partitions;
}

static void drain(struct beats *b, int conn, int most)
{
        while (conn < 0 ? b->waiting > 0 : b->in_flight[conn] > most)
                load_turn(b->epoll_fd, 100000000, take, b);
}

/* Rounds in which all members of the groups that are not settled heartbeat once; how many it took. */
static int settle(struct beats *b, int members)
{
        int groups = b->members_count / b->per_group, rounds = 0;

        for (bool done = false; !done;) {
                done = true;
                for (int g = 0; g < groups; g++) {
                        if (rounds && is_settled(b, g, members))
                                continue;
                        done = false;
                        for (int i = 0; i < members; i++) {
                                int at = g * b->per_group + i;

                                drain(b, at % b->o->connections, b->o->in_flight - 1);
                                beat(b, at);
                        }
                }
                drain(b, -1, 0);
                if (b->is_early)
                        usleep(20000);
                else if (!done && ++rounds == ROUNDS_MAX)
                        die("the groups are not settled after %d rounds", rounds);
                b->is_early = false;
        }
        return rounds;
}

/* Who asks for a coordinator makes their topic. */
static void ask_for_coordinator(const struct options *o)
{
        struct find_coordinator_request m;
        struct frame f = { 0 };
        struct conn c;

        find_coordinator_request_init(&m);
        m.key = STR_LIT("group");
        conn_open(&c, o, 0, -1);
        FRAME_PUT(&f, FIND_COORDINATOR_REQUEST_KEY, 0, 0, 0, find_coordinator_request, &m);
        (void)conn_ask(&c, &f); /* "not yet", perhaps: heartbeats are tried until it is there */
        conn_close(&c);
        free(f.data);
}

/* ---- the steady state ---- */

static void steady(struct beats *b)
{
        int64_t start = now_ns(), end = start + (int64_t)(b->o->seconds * 1e9), sent = 0;
        int per_group = b->per_group - 1, count = b->members_count / b->per_group * per_group;

        for (;;) {
                int64_t due = start + (int64_t)((double)sent * 1e9 / b->o->rate), now = now_ns();
                int at = (int)(sent % count);

                if (due >= end)
                        break;
                if (now >= due) {
                        beat(b, at / per_group * b->per_group + at % per_group);
                        sent++;
                } else {
                        load_turn(b->epoll_fd, due - now, take, b);
                }
        }
        drain(b, -1, 0);
}

static void say(const char *what, struct beats *b, int64_t start, int rounds)
{
        int stopped = 0;

        for (int i = 0; i < b->members_count; i++)
                stopped += b->members[i].gave_up;
        printf("{\"phase\": \"%s\", \"seconds\": %.4f, \"rounds\": %d, \"heartbeats\": %zu, \"gave_up\": %d, "
               "\"p50_ms\": %.3f, "
               "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
               what, (double)(now_ns() - start) / 1e9, rounds, b->latency.count, stopped,
               samples_quantile_ms(&b->latency, 0.5), samples_quantile_ms(&b->latency, 0.99),
               samples_quantile_ms(&b->latency, 1));
        fflush(stdout);
        samples_fini(&b->latency);
        for (int i = 0; i < b->members_count; i++)
                b->members[i].gave_up = false;
}

/* The caller measures between the phases: a byte on standard input begins the next. */
static void wait_for_caller(void)
{
        char byte;

        if (read(STDIN_FILENO, &byte, 1) < 0)
                die("standard input: %m");
}

static void run(struct beats *b)
{
        int members = b->per_group - 1;
        int64_t start = now_ns();

        say("join", b, start, settle(b, members));
        wait_for_caller();
        start = now_ns();
        steady(b);
        say("steady", b, start, 0);
        wait_for_caller();
        start = now_ns();
        for (int at = members; at < b->members_count; at += b->per_group) {
                drain(b, at % b->o->connections, b->o->in_flight - 1);
                beat(b, at);
        }
        drain(b, -1, 0);
        say("rebalance", b, start, settle(b, members + 1));
}

void load_groups(const struct options *o)
{
        struct beats b = { .o = o, .per_group = o->members + 1 };

        if (o->rate <= 0)
                die("groups needs --rate: heartbeats a second");
        ask_for_coordinator(o);
        arena_init(&b.arena, 0);
        b.members_count = o->groups * b.per_group;
        b.members = must_alloc((size_t)b.members_count, sizeof(*b.members));
        b.conns = must_alloc((size_t)o->connections, sizeof(*b.conns));
        b.in_flight = must_alloc((size_t)o->connections, sizeof(*b.in_flight));
        b.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < o->connections; i++)
                conn_open(&b.conns[i], o, i, b.epoll_fd);
        run(&b);
        for (int i = 0; i < o->connections; i++)
                conn_close(&b.conns[i]);
        for (int i = 0; i < b.members_count; i++) {
                free(b.members[i].frame.data);
                free(b.members[i].owned);
        }
        free(b.members);
        free(b.conns);
        free(b.in_flight);
        close(b.epoll_fd);
}
