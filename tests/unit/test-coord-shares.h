/* Clients and leaders of a share group (KIP-932) against the machine of the groups. Group "g", topics of test-coord-consumers.h. */
#pragma once

#include "coord/share_priv.h"
#include "test-coord-consumers.h"

/* ---- members ---- */

static int share_beat_in(struct world *w, const char *group, struct client *c, int flags)
{
        struct coord_share_heartbeat rq = { .member_id = str_of(c->id),
                                            .epoch = c->epoch,
                                            .client_id = STR_LIT("client"),
                                            .client_host = STR_LIT("/127.0.0.1") };
        struct coord_consumer_heartbeat as = { 0 };
        struct str names[3];

        coord_request_init(&rq.rq, COORD_SHARE_HEARTBEAT, str_of(group));
        if (c->epoch == EPOCH_JOIN || flags & FULL) {
                for (int i = 0; i < 3 && c->names[i]; i++)
                        names[rq.names_count++] = str_of(c->names[i]);
                rq.names = names;
        }
        ask_now(w, &rq.rq);
        as.rq.outcome = rq.rq.outcome;
        as.ret_epoch = rq.ret_epoch;
        as.ret_has_assignment = rq.ret_has_assignment;
        as.ret_assignment = rq.ret_assignment;
        as.ret_assignment_count = rq.ret_assignment_count;
        as.ret_why = rq.ret_why;
        take(&as);
        if (!told.outcome && c->epoch != EPOCH_LEAVE)
                CU_ASSERT_EQUAL(rq.ret_heartbeat_interval_ms, 5000);
        coord_request_fini(&rq.rq);
        if (told.outcome == COORD_OK && !(flags & LOST)) {
                c->epoch = told.epoch;
                if (told.has_assignment)
                        memcpy(c->has, told.has, sizeof c->has);
        }
        return told.outcome;
}

static int share_beat(struct world *w, struct client *c, int flags)
{
        return share_beat_in(w, "g", c, flags);
}

static int share_leave(struct world *w, struct client *c)
{
        c->epoch = EPOCH_LEAVE;
        memset(c->has, 0, sizeof c->has);
        return share_beat(w, c, LOST);
}

static struct coord_share_describe shown;

static int show(struct world *w)
{
        coord_request_fini(&shown.rq);
        shown = (struct coord_share_describe){ 0 };
        coord_request_init(&shown.rq, COORD_SHARE_DESCRIBE, STR_LIT("g"));
        return ask_now(w, &shown.rq);
}

static const char *share_state(struct world *w)
{
        return show(w) == COORD_OK ? coord_group_state_name(shown.ret_state) : "none";
}

/* ---- leaders ---- */

/* Of a leader: what it knows. */
struct lead {
        int topic; /* index */
        int32_t partition, leader_epoch, state_epoch;
        int64_t number; /* of its last write */
        int64_t start;
        int32_t runs_count;
        struct coord_share_run runs[8];
};

static uint64_t last_need;

static int share_read(struct world *w, struct lead *l)
{
        struct coord_share_read rq = { .topic_id = topic_id(l->topic),
                                       .partition = l->partition,
                                       .leader_epoch = l->leader_epoch };
        int outcome;

        coord_request_init(&rq.rq, COORD_SHARE_READ, STR_LIT("g"));
        outcome = ask_now(w, &rq.rq);
        last_need = rq.rq.need_seq;
        if (!outcome) {
                l->state_epoch = rq.ret_state_epoch;
                l->number = 0;
                l->start = rq.ret_start;
                l->runs_count = rq.ret_runs_count;
                CU_ASSERT_FATAL(rq.ret_runs_count <= (int32_t)ARRAY_LEN(l->runs));
                for (int32_t i = 0; i < rq.ret_runs_count; i++)
                        l->runs[i] = rq.ret_runs[i];
        }
        coord_request_fini(&rq.rq);
        return outcome;
}

static int share_write(struct world *w, struct lead *l)
{
        struct coord_share_write rq = { .topic_id = topic_id(l->topic),
                                        .partition = l->partition,
                                        .leader_epoch = l->leader_epoch,
                                        .state_epoch = l->state_epoch,
                                        .number = ++l->number,
                                        .start = l->start,
                                        .runs = l->runs,
                                        .runs_count = l->runs_count };
        int outcome;

        coord_request_init(&rq.rq, COORD_SHARE_WRITE, STR_LIT("g"));
        outcome = ask_now(w, &rq.rq);
        last_need = rq.rq.need_seq;
        coord_request_fini(&rq.rq);
        return outcome;
}

/* ---- operators ---- */

/* "t0=5/3@2 u1=-1@0": start, how many behind it are done, leader epoch; "t0=?": no such partition. */
static const char *stands(struct world *w, const char *topic, int32_t partition)
{
        static char text[2000];
        struct coord_share_offset item = { .topic = topic ? str_of(topic) : STR_NULL, .partition = partition };
        struct coord_share_offsets rq = { .all = !topic, .items = &item, .items_count = 1 };
        size_t at = 0;

        text[0] = 0;
        coord_request_init(&rq.rq, COORD_SHARE_OFFSETS, STR_LIT("g"));
        if (ask_now(w, &rq.rq))
                snprintf(text, sizeof text, "outcome %d", rq.rq.outcome);
        for (int32_t i = 0; !rq.rq.outcome && i < rq.items_count; i++) {
                const struct coord_share_offset *o = &rq.items[i];

                at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s%d=", at ? " " : "", STR_FMT(o->topic),
                                       o->partition);
                if (o->ret_outcome)
                        at += (size_t)snprintf(text + at, sizeof text - at, "?");
                else if (o->done)
                        at += (size_t)snprintf(text + at, sizeof text - at, "%lld/%lld@%d", (long long)o->start,
                                               (long long)o->done, o->leader_epoch);
                else
                        at += (size_t)snprintf(text + at, sizeof text - at, "%lld@%d", (long long)o->start,
                                               o->leader_epoch);
        }
        coord_request_fini(&rq.rq);
        return text;
}

static int item_outcome;

static int share_alter(struct world *w, const char *topic, int32_t partition, int64_t start)
{
        struct coord_share_offset item = { .topic = str_of(topic), .partition = partition, .start = start };
        struct coord_share_offsets rq = { .items = &item, .items_count = 1 };
        int outcome;

        coord_request_init(&rq.rq, COORD_SHARE_ALTER, STR_LIT("g"));
        outcome = ask_now(w, &rq.rq);
        item_outcome = item.ret_outcome;
        coord_request_fini(&rq.rq);
        return outcome;
}

static int share_remove(struct world *w, const char *topic)
{
        struct coord_share_offset item = { .topic = str_of(topic) };
        struct coord_share_remove rq = { .items = &item, .items_count = 1 };
        int outcome;

        coord_request_init(&rq.rq, COORD_SHARE_REMOVE, STR_LIT("g"));
        outcome = ask_now(w, &rq.rq);
        item_outcome = item.ret_outcome;
        coord_request_fini(&rq.rq);
        return outcome;
}

static int share_delete(struct world *w)
{
        struct coord_delete rq = { 0 };
        int outcome;

        coord_request_init(&rq.rq, COORD_DELETE, STR_LIT("g"));
        {
                struct coord_actions acts;

                coord_actions_init(&acts);
                CU_ASSERT_EQUAL(
                        request_by ? request_by(w, &rq.rq, &acts) : groups_request(w->gs, &rq.rq, w->now, &acts), 0);
                ilist_unlink(&rq.rq.link);
                settle(w, &acts);
        }
        outcome = rq.rq.outcome;
        coord_request_fini(&rq.rq);
        return outcome;
}

static void topic_gone(struct world *w, int t)
{
        struct str name = str_of(topics[t].name);
        struct coord_actions acts;

        topics[t].partitions = 0;
        topics[t].life++;
        build_image();
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_topic_deleted(w->gs, name, w->now, &acts), 0);
        settle(w, &acts);
}

static void shares_end(struct world *w)
{
        coord_request_fini(&shown.rq);
        shown = (struct coord_share_describe){ 0 };
        w->trace[0] = 0;
        end(w);
}
