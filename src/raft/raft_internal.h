/* What the files of raft/ share. One step: dispatch the event (raft.c), then settle what follows from it, in this order: commit,
 * changes of members, transfer, telling the host, offering entries.
 *
 * Roles, with the function that makes the move:
 *
 *                  .--------------------- raft_elect_follow() ----------------------.
 *                  v               (a leader is heard, or a newer term)             |
 *   raft_new -> FOLLOWER --raft_elect_ask()--> PRECANDIDATE --raft_elect_stand()--> CANDIDATE --raft_lead_begin()--> LEADER
 *                  |   ^   (nobody heard)                     (a majority would)      ^      (a majority voted)       |
 *                  |   |                                                              |                               |
 *                  |   `---- raft_elect_follow(): newer term, no majority heard, removed and committed ---------------'
 *                  `------------ raft_elect_stand(): told to by the leader, or the only voter -------------------------'
 *
 * A follower that is no voter stays one. A member as its leader sees it (lead.c):
 *
 *        .------- refused, lost, unreachable -------.
 *        v                                          |
 *      PROBE --------- agrees up to next - 1 ---> REPLICATE
 *        |  ^                                       |
 *        |  `-- sent, failed or not needed --.      | what it needs was cut
 *        |                                   |      v
 *        `------ what it needs was cut ---> SEND_SNAPSHOT */
#pragma once

#include "raft/raft.h"

/* Members that were removed hear of it before they are forgotten: a few more than members. */
#define RAFT_PEERS_MAX (RAFT_MEMBERS_MAX + 4)
/* For each peer in one step: an offer, two heartbeats, a snapshot, a time-out, a request; and what a step does besides. */
#define RAFT_ACTIONS_MAX (RAFT_PEERS_MAX * 6 + 16)

/* The log without its payloads. last_index and runs include what is still on its way to the disk. */
struct raft_log {
        struct raft_run *runs;
        size_t runs_count;
        size_t runs_size;
        int64_t cut_index; /* last one that is not there */
        int32_t cut_term;
        int64_t last_index;
        int64_t persisted_index; /* durable, as the log is now */
        uint64_t edition;        /* see raft.h */
};

/* Members by index: the newest committed ones, and all after them. The last counts. Empty: not known. */
struct raft_history {
        struct raft_members_at *at;
        size_t count;
        size_t size;
};

/* A message with entries that was sent and is not acknowledged. */
struct raft_in_flight {
        int64_t last;
        int64_t sent_ms;
};

/* A member, or one that was, as this leader sees it in this term. */
struct raft_peer {
        struct raft_member member;
        bool is_leaving; /* removed by the entry leaves_index; forgotten when it knows, or by leaves_ms */
        int64_t leaves_index;
        int64_t leaves_ms;
        enum raft_progress progress;
        int64_t match_index;
        int64_t next_index; /* first that was not sent */
        bool is_paused;     /* PROBE: an answer is waited for */
        int64_t probed_ms;
        bool is_offered; /* the host has not said yet how much it sent */
        uint64_t offer;
        int64_t offer_last;
        struct raft_in_flight in_flight[RAFT_WINDOW_MAX]; /* a ring */
        uint32_t in_flight_first;
        uint32_t in_flight_count;
        int64_t told_commit;
        int64_t heard_ms;      /* -1: not in this term */
        int64_t echo_ms;       /* when the newest heartbeat that it answered was sent; -1: none */
        int64_t caught_up_ms;  /* -1: never */
        int64_t round_last;    /* a learner has caught up when it got from the beginning of a round to here... */
        int64_t round_from_ms; /* ...in less than an election time-out (thesis 4.2.1) */
        bool has_caught_up;
};

struct raft {
        struct raft_id self;
        struct raft_options options;
        uint64_t chance;
        int64_t now;
        bool is_started;

        struct raft_vote vote;    /* the present term */
        struct raft_vote durable; /* what is known to be on disk */
        struct raft_vote asked;   /* what the host was asked to write last */
        enum raft_role role;
        struct raft_id leader;
        struct raft_log log;
        struct raft_history history;
        int64_t commit_index;
        int64_t apply_index; /* the host was told to apply up to here */

        /* not a leader */
        int64_t agreed_index;    /* up to here the log is that of this term's leader; at least commit_index */
        int64_t leader_heard_ms; /* INT64_MIN: not lately */
        int64_t election_ms;     /* when to try */
        uint64_t votes;          /* by place among the newest members */
        bool is_by_transfer;     /* the candidacy */
        bool is_standing;        /* the own vote is durable, and others were asked */
        bool owes_vote;          /* an answer to vote.voted_for, when the vote is durable */
        bool owes_ack;           /* to the leader, when term and entries are */
        bool owes_refusal;       /* that of an append, when the term is */
        struct raft_message refusal;

        /* a leader */
        struct raft_peer peers[RAFT_PEERS_MAX];
        uint32_t peers_count;
        int64_t term_first_index;
        int64_t led_since_ms;
        int64_t heartbeat_ms; /* when the next ones are due */
        uint64_t offers_made;
        bool lease_is_void; /* someone was told to elect itself in this term */
        bool is_transferring;
        struct raft_id transfer_to;
        int64_t transfer_ms; /* when it is given up */

        /* what the host was told */
        enum raft_role told_role;
        int32_t told_term;
        struct raft_id told_leader;
        int64_t told_members_index;
        bool told_members_committed;

        struct raft_counts counts;
        struct raft_action actions[RAFT_ACTIONS_MAX];
        size_t actions_count;
};

/* ---- raft.c ---- */

/* The next action; filled in by the caller. */
struct raft_action *raft_act(struct raft *r, enum raft_action_type type);
/* Send, with from, to and (when it is 0) the term filled in. Nothing leaves that names a term which is not durable, but for
 * questions about a term that nobody has begun. */
void raft_send(struct raft *r, struct raft_id to, struct raft_message m);
uint64_t raft_chance(struct raft *r);

static inline int32_t raft_term(const struct raft *r)
{
        return r->vote.term;
}

static inline bool raft_term_is_durable(const struct raft *r)
{
        return r->durable.term == r->vote.term;
}

static inline bool raft_vote_equal(const struct raft_vote *a, const struct raft_vote *b)
{
        return a->term == b->term && raft_id_equal(a->voted_for, b->voted_for);
}

/* ---- log.c ---- */

int raft_log_init(struct raft_log *l, const struct raft_restore *from);
void raft_log_fini(struct raft_log *l);
/* Room for two more runs. Return: 0 or -ENOMEM. */
int raft_log_reserve(struct raft_log *l);
int32_t raft_log_term(const struct raft_log *l, int64_t index); /* -1: not there */
int32_t raft_log_last_term(const struct raft_log *l);
/* Last index of the run of equal terms that @index is in. */
int64_t raft_log_run_end(const struct raft_log *l, int64_t index);
/* The newest entry at or below @index whose term is at most @term; cut_index - 1 when all that is there is newer. */
int64_t raft_log_find(const struct raft_log *l, int64_t index, int32_t term);
/* First index in (from, to] whose term is not @term; to + 1: none. */
int64_t raft_log_conflict(const struct raft_log *l, int64_t from, int64_t to, int32_t term);
void raft_log_append(struct raft_log *l, int64_t count, int32_t term);
void raft_log_truncate(struct raft_log *l, int64_t from);
void raft_log_cut(struct raft_log *l, int64_t index);
/* The log is empty and begins behind @index. What was durable of the old one counts up to @committed until then. */
void raft_log_reset(struct raft_log *l, int64_t index, int32_t term, int64_t committed);

/* ---- members.c ---- */

const struct raft_member *raft_members_find_id(const struct raft_members *m, struct raft_id id);
bool raft_members_have_voter(const struct raft_members *m, struct raft_id id);

int raft_history_init(struct raft_history *h, const struct raft_restore *from);
void raft_history_fini(struct raft_history *h);
/* Room for @more lists. Return: 0 or -ENOMEM. */
int raft_history_reserve(struct raft_history *h, size_t more);
/* @m holds from @index on, which is newer than all there are. There must be room. */
void raft_history_push(struct raft_history *h, int64_t index, const struct raft_members *m);
/* Forget those from @from on. Return: how many. */
size_t raft_history_truncate(struct raft_history *h, int64_t from);
/* Forget those that a newer committed one has replaced. */
void raft_history_commit(struct raft_history *h, int64_t commit_index);
/* The newest; an empty one when none is known. */
const struct raft_members *raft_members(const struct raft *r);
int64_t raft_members_index(const struct raft *r); /* -1: none known */
bool raft_is_voter(const struct raft *r);
/* This node is a voter, and there is no other. */
bool raft_is_only_voter(const struct raft *r);

/* ---- elect.c ---- */

/* Wait for a leader for a time that chance gives. */
void raft_elect_rest(struct raft *r);
/* Be a follower in @term, which is not older than the present one. */
void raft_elect_follow(struct raft *r, int32_t term, struct raft_id leader);
/* Nobody was heard for long enough: ask around, or stand at once when alone. */
void raft_elect_ask(struct raft *r);
void raft_elect_stand(struct raft *r, bool by_transfer);
void raft_elect_on_request(struct raft *r, const struct raft_message *m);
void raft_elect_on_answer(struct raft *r, const struct raft_message *m);
void raft_elect_on_persisted(struct raft *r);
void raft_elect_on_tick(struct raft *r);

/* ---- follow.c ---- */

/* A message that only a leader sends. Return: RAFT_OK; RAFT_E_MESSAGE; or -1: of an old term, and answered. */
int raft_follow_enter(struct raft *r, const struct raft_message *m);
int raft_follow_on_append(struct raft *r, const struct raft_event *ev);
int raft_follow_on_heartbeat(struct raft *r, const struct raft_message *m);
/* Term or log are durable: give the answers that waited for it. */
void raft_follow_on_persisted(struct raft *r);
void raft_follow_ack(struct raft *r);
/* Committed up to @index, as far as the log agrees. */
void raft_follow_commit(struct raft *r, int64_t index);

/* ---- lead.c, peers.c ---- */

void raft_lead_begin(struct raft *r);
void raft_lead_end(struct raft *r);
/* Make @count entries the next ones. */
void raft_lead_append(struct raft *r, int64_t count, enum raft_source source);
void raft_lead_on_tick(struct raft *r);
int raft_lead_on_answer(struct raft *r, const struct raft_message *m);
void raft_lead_commit(struct raft *r);
void raft_lead_offer(struct raft *r);
int64_t raft_lead_wake(const struct raft *r);
void raft_lead_heartbeat(struct raft *r, struct raft_peer *p);
/* The time that a majority of voters, this node among them, has reached by @of; @own: this node's. */
int64_t raft_lead_majority(const struct raft *r, int64_t (*of)(const struct raft_peer *p), int64_t own);
int64_t raft_peer_heard(const struct raft_peer *p);

/* NULL: no member, and none that leaves. */
struct raft_peer *raft_peer_find(struct raft *r, struct raft_id id);
/* Those of the newest members; new ones begin as PROBE, removed ones leave. */
void raft_peers_rebuild(struct raft *r);
/* Let those go that know that they were removed, or that took too long. */
void raft_peers_release(struct raft *r);
void raft_peer_probe(struct raft *r, struct raft_peer *p, int64_t next, bool paused);
void raft_peer_replicate(struct raft *r, struct raft_peer *p, int64_t next);
void raft_peer_offer(struct raft *r, struct raft_peer *p);
void raft_peer_on_sent(struct raft *r, const struct raft_event *ev);
/* It has the log up to @match durably. */
void raft_peer_matches(struct raft *r, struct raft_peer *p, int64_t match);

/* ---- change.c, snapshot.c, transfer.c ---- */

int raft_change_on_request(struct raft *r, const struct raft_event *ev);
/* After a commit: leave when this leader was removed. After any step: make a voter of a learner that has caught up. */
void raft_change_settle(struct raft *r);

/* Ask the host to send one to @p. */
void raft_snapshot_offer(struct raft *r, struct raft_peer *p);
/* RAFT_EV_SNAPSHOT_SENT: go on behind it, or try again a little later. */
void raft_snapshot_on_sent(struct raft *r, const struct raft_event *ev);
/* A chunk came: is it welcome? Return: an outcome. */
int raft_snapshot_on_message(struct raft *r, const struct raft_message *m);
/* A whole one is here: install it, or not. Return: an outcome. */
int raft_snapshot_on_received(struct raft *r, const struct raft_event *ev);

/* RAFT_EV_TRANSFER. Return: an outcome. */
int raft_transfer_on_request(struct raft *r, int32_t to);
/* The successor has all: tell it. */
void raft_transfer_settle(struct raft *r);
/* It took too long: go on leading. */
void raft_transfer_on_tick(struct raft *r);
/* This node does not lead any more. */
void raft_transfer_end(struct raft *r);
void raft_transfer_tell(struct raft *r, struct raft_id to);
/* The voter that has most of the log, of those that were heard lately; NULL: none. */
struct raft_peer *raft_transfer_best(struct raft *r);
