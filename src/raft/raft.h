/* Raft without the world: who leads, what is in the log, what is committed, who are the members. Events and the time come in,
 * actions come out; no socket, file, clock, thread or global state, and the same events give the same actions.
 * Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended), and Ongaro's thesis
 * (4: one change of members at a time, 9.6: pre-vote, 3.10: transfer), with the correction of the change of members that was
 * published in 2015: none before an entry of the leader's own term is committed.
 *
 * What it is not: it holds no payloads. It knows the log as runs of (first index, term), and which entries name members. The
 * host keeps payloads by index, writes files, moves bytes, makes and applies snapshots.
 *
 * The life of a host: restore with raft_new(), hand in RAFT_EV_START, and from then on every event with the time; after each
 * raft_step() do the actions in their order; hand in RAFT_EV_TICK when actions.wake_ms has come. Actions are valid until the
 * next raft_step(): events that arise while they are done (RAFT_EV_SENT for one) wait until all are done.
 *
 * Promises (numbered for asserts, tests and planted bugs):
 *  1. A term, a vote and entries are durable before a message leaves that depends on them. The core sees to that: it keeps
 *     such messages back until RAFT_EV_VOTE_PERSISTED or RAFT_EV_LOG_PERSISTED. A message among the actions may leave at
 *     once, whatever else is among them. Nothing needs to be ordered by the host but its disk (below).
 *  2. Log matching: two logs that have an entry with the same index and term are the same up to it.
 *  3. Entries are committed by counting only when they are of the leader's term; older ones with them.
 *  4. What is committed is never truncated; the commit index never goes back.
 *  5. At most one entry that names members is uncommitted in a leader's log, and none is appended before an entry of the
 *     leader's own term is committed. The newest in the log counts, committed or not; truncation rolls it back.
 *  6. A replica is a node id and a directory: votes and copies of another directory count for nothing.
 *  7. A member that is cut off, or removed and not told, does not disturb a leader that a majority hears (pre-vote, and no
 *     vote while a leader was heard); a leader that hears no majority steps down (check-quorum).
 *
 * The host's disk: RAFT_ACT_TRUNCATE, RAFT_ACT_APPEND and RAFT_ACT_INSTALL are done in the order in which they come, one
 * after the other or as groups; RAFT_ACT_VOTE goes to another file, in its own order (of several that wait only the newest
 * needs to be written). RAFT_EV_LOG_PERSISTED names the newest index that is durable, and the edition: a number that grows
 * whenever a part of the log is thrown away, so that the report of a write that was overtaken is not taken for its successor.
 * A write that failed has no event: the host ends the process, since what is on disk is not known any more.
 *
 * Sizes: the core does not know how large entries are. It offers a range to send; the host reads as much of it as suits it
 * and says so by RAFT_EV_SENT; until then nothing more is offered to that member. So memory for each member is bounded by
 * append_window messages of the host's size.
 *
 * Thread: any one at a time. */
#pragma once

#include "base/macros.h"
#include "base/uuid.h"

struct raft;

/* Members of a group, voters and learners together. A commit waits for a majority, so more than seven voters are slower and
 * not safer; the rest is room for learners. */
#define RAFT_MEMBERS_MAX 32
/* Messages with entries on their way to one member at once, at most. */
#define RAFT_WINDOW_MAX 64
/* Terms are int32 on disk. One election a millisecond for a week does not get there; a peer that says so is broken. */
#define RAFT_TERM_MAX (INT32_MAX - 1)
#define RAFT_NOBODY (-1)

/* A replica. node is RAFT_NOBODY where there is none. */
struct raft_id {
        int32_t node;
        struct uuid directory;
};

#define RAFT_ID_NOBODY ((struct raft_id){ RAFT_NOBODY, UUID_ZERO })

static inline bool raft_id_equal(struct raft_id a, struct raft_id b)
{
        return a.node == b.node && (a.node == RAFT_NOBODY || uuid_equal(a.directory, b.directory));
}

/* The durable vote: the newest term seen, and who got this replica's vote in it. */
struct raft_vote {
        int32_t term;
        struct raft_id voted_for; /* nobody: not voted in this term */
};

struct raft_member {
        struct raft_id id;
        bool is_voter; /* or a learner: gets the log, counts for nothing, becomes a voter when it has caught up */
};

/* The members at some point of the log. Node ids differ from each other: a node whose directory changed is removed, then
 * added. Addresses and whatever else the host writes beside them are the host's. count 0: not known (a blank node). */
struct raft_members {
        uint32_t count;
        struct raft_member at[RAFT_MEMBERS_MAX];
};

/* Members as an entry of the log (or the snapshot) names them. */
struct raft_members_at {
        int64_t index;
        struct raft_members members;
};

/* Entries from first_index on, up to the next run, have this term. */
struct raft_run {
        int64_t first_index;
        int32_t term;
};

/* What was durable when the process began. All is borrowed for raft_new(), and must be synced already. */
struct raft_restore {
        struct raft_id self;
        /* As it was written; term 0, nobody: never. Where the log has a newer term, the core takes that one, with no vote in it: the
         * host must not put the newer term and the older vote together, which would be a vote that was never given. */
        struct raft_vote vote;
        /* The last entry that is not in the log any more, because a snapshot (or the applied image) holds what it did;
         * 0, 0: the log begins at index 1. An image that ends behind the log, or whose last entry has another term in the log, was
         * installed when the process ended: the log is void then, and empty behind the image. */
        int64_t cut_index;
        int32_t cut_term;
        const struct raft_run *runs; /* ascending in both; the first begins at cut_index + 1. None: the log is empty */
        size_t runs_count;
        int64_t last_index; /* cut_index when the log is empty */
        /* Ascending. The first may be at or below cut_index (also 0: a group that is formed now, or a node alone): the
         * members at the cut. Those above are entries of the log. None: a blank node, which waits to be added. */
        const struct raft_members_at *members;
        size_t members_count;
        int64_t commit_index; /* up to here the host has applied; RAFT_ACT_APPLY goes on from there; at least cut_index */
};

struct raft_options {
        /* A follower that has heard no leader for this long, up to twice as long (by chance), tries to become one; a leader
         * that a majority has not answered for this long steps down. A few times what a message and a sync take, and
         * at least three heartbeats. */
        int64_t election_ms;
        int64_t heartbeat_ms;       /* how often a leader says that it is there */
        int64_t append_entries_max; /* in one message; > 0 */
        uint32_t append_window; /* messages with entries that may be unanswered, of one member; 1..RAFT_WINDOW_MAX */
        uint64_t seed;          /* of chance; another one on each node and at each start */
};

/* ---- messages between cores ---- */

enum raft_message_type {
        RAFT_PREVOTE_REQUEST = 1, /* would you vote for me? term is the one that I would begin */
        RAFT_PREVOTE_ANSWER = 2,  /* granted: term as asked; refused: the answerer's term */
        RAFT_VOTE_REQUEST = 3,
        RAFT_VOTE_ANSWER = 4,
        RAFT_APPEND = 5,        /* entries, one or more, or none to find out where logs agree */
        RAFT_APPEND_ANSWER = 6, /* also the answer to RAFT_SNAPSHOT that is not needed (any more) */
        RAFT_HEARTBEAT = 7,
        RAFT_HEARTBEAT_ANSWER = 8,
        RAFT_SNAPSHOT = 9,     /* made by the host of a leader, one with each chunk that it sends */
        RAFT_TIMEOUT_NOW = 10, /* transfer: elect yourself at once */
};

/* Plain data; fields that a type does not use are 0. Which field is of which type:
 *                      term from to | others
 *   PREVOTE_REQUEST, VOTE_REQUEST   | last_index last_term by_transfer
 *   PREVOTE_ANSWER, VOTE_ANSWER     | granted
 *   APPEND                          | prev_index prev_term count entries_term commit_index offer
 *   APPEND_ANSWER                   | match_index last_index; rejected: prev_index (as asked) hint_index hint_term
 *   HEARTBEAT                       | commit_index sent_ms
 *   HEARTBEAT_ANSWER                | match_index last_index sent_ms (as asked)
 *   SNAPSHOT                        | last_index last_term (of the snapshot)
 *   TIMEOUT_NOW                     | - */
struct raft_message {
        enum raft_message_type type;
        struct raft_id from;
        struct raft_id to;
        int32_t term;
        int64_t last_index; /* of the sender's log; of the snapshot; of answers: what agrees and was received, durable or not */
        int32_t last_term;
        bool by_transfer; /* the leader wants it: granted although a leader was heard */
        bool granted;
        bool rejected; /* prev_index, prev_term is not in my log */
        int64_t prev_index;
        int32_t prev_term;
        int32_t entries_term; /* of all entries of the message: a message never crosses a change of term */
        int64_t count;        /* entries prev_index + 1 .. prev_index + count */
        int64_t commit_index;
        int64_t match_index; /* up to here the answerer's durable log is the leader's */
        int64_t hint_index; /* look here next: the answerer has an entry of hint_term there, 0 and 0 for the beginning */
        int32_t hint_term;
        int64_t sent_ms; /* the leader's clock, given back: how old an answer is */
        /* Not for the wire: which offer this is, for RAFT_EV_SENT. 0 when there are no entries in it. */
        uint64_t offer;
};

/* ---- events ---- */

enum raft_event_type {
        /* Once, first. A group of one voter elects itself in this step. */
        RAFT_EV_START,
        /* Time has passed. Too early, too late or too often does no harm. */
        RAFT_EV_TICK,
        /* A message came. message.from is what the peer's connection proved (node) and what it says (directory). An APPEND
         * comes with the members that its entries name, decoded by the host.
         * Outcomes: RAFT_E_FOREIGN, RAFT_E_MESSAGE; its content was dropped then. */
        RAFT_EV_MESSAGE,
        /* event.vote is durable. */
        RAFT_EV_VOTE_PERSISTED,
        /* The log is durable up to event.persisted.index as it is in that edition. */
        RAFT_EV_LOG_PERSISTED,
        /* event.propose.count entries become the next ones. Their RAFT_ACT_APPEND is the first action.
         * Outcomes: RAFT_E_NOT_LEADER, RAFT_E_TRANSFER. */
        RAFT_EV_PROPOSE,
        /* Add a voter, remove a member, or state the members again. An entry of members (RAFT_ACT_APPEND) when it returns
         * RAFT_OK; it is done when that one is committed, and for an addition when a later one, which the leader appends by
         * itself, makes the learner a voter (RAFT_ACT_MEMBERS tells both). When leadership is lost it may or may not be.
         * Outcomes: RAFT_E_NOT_LEADER, RAFT_E_TRANSFER, RAFT_E_CHANGING, RAFT_E_EXISTS, RAFT_E_UNKNOWN, RAFT_E_LAST,
         * RAFT_E_FULL, RAFT_E_UNSAFE. */
        RAFT_EV_CHANGE,
        /* Hand leadership to a voter. Ends with RAFT_ACT_TRANSFER after at most one election_ms.
         * Outcomes: RAFT_E_NOT_LEADER, RAFT_E_TRANSFER, RAFT_E_UNKNOWN (no such voter, or no other). */
        RAFT_EV_TRANSFER,
        /* What became of an offer: entries up to sent.last were sent; the last that was offered, or less; or one less than
         * the first: nothing, because they cannot be read any more (cut) or not sent now; it is offered again later. */
        RAFT_EV_SENT,
        /* A message to this member was lost for certain (the connection broke). Optional: it is found out by itself. */
        RAFT_EV_UNREACHABLE,
        /* The sending of a snapshot (RAFT_ACT_SEND_SNAPSHOT) ended. */
        RAFT_EV_SNAPSHOT_SENT,
        /* A whole snapshot is here, checked and durable as a file. Either RAFT_ACT_INSTALL follows, or it is not needed and
         * may be deleted. Outcome: RAFT_E_MESSAGE. */
        RAFT_EV_SNAPSHOT_RECEIVED,
        /* The host has stored what entries up to cut.index did, and is about to remove them. From now on they are offered to
         * nobody. At most what was given by RAFT_ACT_APPLY; lower than the last one does nothing. */
        RAFT_EV_CUT,
};

enum raft_change_type {
        RAFT_CHANGE_ADD,     /* as a learner, which becomes a voter as soon as it has caught up */
        RAFT_CHANGE_REMOVE,  /* a voter or learner; the leader may remove itself and goes when that is committed */
        RAFT_CHANGE_RESTATE, /* the same members again, for what the host writes beside them (addresses) */
};

struct raft_event {
        enum raft_event_type type;
        /* A monotonic clock of this process. May stand still or jump forward. */
        int64_t now_ms;
        union {
                struct {
                        const struct raft_message *message;
                        const struct raft_members_at *members; /* ascending, within the message's entries */
                        size_t members_count;
                } message;
                struct raft_vote vote;
                struct {
                        uint64_t edition;
                        int64_t index;
                } persisted;
                struct {
                        int32_t term; /* in which they were decided */
                        int64_t count;
                } propose;
                struct {
                        enum raft_change_type type;
                        struct raft_id id; /* not for RESTATE */
                } change;
                struct {
                        int32_t to; /* node id; RAFT_NOBODY: to the voter that has most of the log */
                } transfer;
                struct {
                        struct raft_id to;
                        uint64_t offer;
                        int64_t last;
                } sent;
                struct {
                        struct raft_id to;
                } unreachable;
                struct {
                        struct raft_id to;
                        uint64_t offer;
                        bool ok;       /* the member says that it has received all of it */
                        int64_t index; /* of the snapshot */
                } snapshot_sent;
                struct {
                        int64_t index;
                        int32_t term;
                        const struct raft_members *members; /* that hold at @index */
                        int64_t members_index;              /* of the entry that named them; at most @index */
                } snapshot;
                struct {
                        int64_t index;
                } cut;
        };
};

/* Outcomes of raft_step(). Actions are valid with each of them. */
enum {
        RAFT_OK,
        RAFT_E_NOT_LEADER,
        RAFT_E_TRANSFER, /* leadership is being handed over */
        RAFT_E_CHANGING, /* another change is not committed yet, or no entry of this term is; try again */
        RAFT_E_EXISTS,   /* a member with this node id is there, with this or another directory */
        RAFT_E_UNKNOWN,  /* no such member */
        RAFT_E_LAST,     /* the last voter cannot be removed */
        RAFT_E_FULL,     /* RAFT_MEMBERS_MAX */
        RAFT_E_UNSAFE, /* too few of the voters that would be left have been heard of lately: nothing could be committed */
        RAFT_E_FOREIGN, /* the message is for another directory: this node's was replaced, or the peer does not know it */
        RAFT_E_MESSAGE, /* the message contradicts itself or a promise: its sender is broken. Tell the operator */
};

/* ---- actions ---- */

enum raft_action_type {
        /* Make action.vote durable, then RAFT_EV_VOTE_PERSISTED with it. */
        RAFT_ACT_VOTE,
        /* Entries from truncate.from on are void, written or not. Always followed by an append. */
        RAFT_ACT_TRUNCATE,
        /* These are the next entries: write them, then RAFT_EV_LOG_PERSISTED. */
        RAFT_ACT_APPEND,
        /* A snapshot that was received takes the place of the whole log and of what was applied. The log is empty after it and
         * begins at index + 1. RAFT_EV_LOG_PERSISTED with this index (or a later one) when that is durable. */
        RAFT_ACT_INSTALL,
        /* Send action.message. With count > 0: an offer, see RAFT_EV_SENT; the host lowers count before it sends. Before it
         * does, later than in this turn, it asks raft_offer_is_valid(). */
        RAFT_ACT_SEND,
        /* Bring a snapshot of at least snapshot.at_least to a member, then RAFT_EV_SNAPSHOT_SENT. The host gives up when
         * raft_offer_is_valid() does not hold any more. */
        RAFT_ACT_SEND_SNAPSHOT,
        /* The RAFT_SNAPSHOT message that came is welcome: its chunk may be kept. Without this action: not. */
        RAFT_ACT_RECEIVE_SNAPSHOT,
        /* Entries up to apply.index are committed and durable here. Grows. */
        RAFT_ACT_APPLY,
        /* Role, term or leader are others than before. */
        RAFT_ACT_ROLE,
        /* The newest members in the log are others than before, or are committed now. */
        RAFT_ACT_MEMBERS,
        /* How a transfer that was asked for ended. */
        RAFT_ACT_TRANSFER,
};

/*  FOLLOWER -> PRECANDIDATE -> CANDIDATE -> LEADER, each also back to FOLLOWER; raft_internal.h has the diagram. */
enum raft_role {
        RAFT_FOLLOWER,
        RAFT_PRECANDIDATE,
        RAFT_CANDIDATE,
        RAFT_LEADER,
};

enum raft_source {
        RAFT_FROM_NOOP,     /* one entry without content, which opens the leader's term */
        RAFT_FROM_PROPOSAL, /* those of the RAFT_EV_PROPOSE of this step */
        RAFT_FROM_MEMBERS,  /* one entry that names append.members */
        RAFT_FROM_MESSAGE,  /* those with these indexes in the message of this step */
};

struct raft_action {
        enum raft_action_type type;
        union {
                struct raft_vote vote;
                struct {
                        int64_t from;
                        uint64_t edition; /* from now on */
                } truncate;
                struct {
                        int64_t first;
                        int64_t last;
                        int32_t term;
                        enum raft_source source;
                        uint64_t edition;
                        const struct raft_members *members; /* RAFT_FROM_MEMBERS only */
                } append;
                struct {
                        int64_t index;
                        int32_t term;
                        uint64_t edition; /* from now on */
                } install;
                struct raft_message message;
                struct {
                        struct raft_id to;
                        uint64_t offer;
                        int64_t at_least;
                } snapshot;
                struct {
                        int64_t index;
                } apply;
                struct {
                        enum raft_role role;
                        int32_t term;
                        int32_t leader;      /* node id; RAFT_NOBODY: not known */
                        int64_t first_index; /* a leader's: its no-op. When that is applied, so is all of its predecessors */
                } role;
                struct {
                        const struct raft_members *members;
                        int64_t index;
                        bool is_committed;
                } members;
                struct {
                        bool moved; /* this node does not lead any more; otherwise it still does, and takes proposals again */
                } transfer;
        };
};

struct raft_actions {
        const struct raft_action *at; /* the core's memory */
        size_t count;
        int64_t wake_ms; /* RAFT_EV_TICK at this time, or soon after; INT64_MAX: nothing is due */
};

/* ---- the core ---- */

/* Make a core of what was durable.
 * Return: 0; -EINVAL when @from or @options contradict themselves (what was read is not what a core wrote); -ENOMEM. */
int raft_new(const struct raft_restore *from, const struct raft_options *options, struct raft **ret_raft);
/* NULL is fine. Returns NULL. */
struct raft *raft_free(struct raft *r);
DEFINE_FREEP(struct raft, raft_free)

/* One event.
 * @ret_todo   filled in unless the result is negative.
 * Return: RAFT_OK or another outcome above; -ENOMEM, and then nothing has happened: the same event may be tried again (a
 * message may as well be dropped). */
int raft_step(struct raft *r, const struct raft_event *ev, struct raft_actions *ret_todo);

/* Whether an offer (of entries or of a snapshot) to a member still stands: this node still leads in @term, @to is still a
 * member, and nothing newer was offered instead. One that does not is dropped without a word. */
bool raft_offer_is_valid(const struct raft *r, struct raft_id to, int32_t term, uint64_t offer);

/* True: this node leads, and at @now_ms no other can: it may answer from what it has applied (once its no-op is). Rests on clocks that differ by less than a quarter in their rate and do not jump; writes do not rest on it. */
bool raft_has_lease(const struct raft *r, int64_t now_ms);

/* Term of an entry that is in the log (or the last one that was cut); -1: not there. */
int32_t raft_term_at(const struct raft *r, int64_t index);

/* How a leader sees a member. */
enum raft_progress {
        RAFT_PROBE,         /* where the logs agree is not known: one message at a time */
        RAFT_REPLICATE,     /* messages follow each other without waiting */
        RAFT_SEND_SNAPSHOT, /* what it needs is not in the log any more */
};

struct raft_peer_status {
        struct raft_member member;
        enum raft_progress progress;
        int64_t match_index; /* durable there */
        int64_t next_index;
        int64_t heard_ms;     /* last message from it; -1: none in this term */
        int64_t caught_up_ms; /* when it last had all that there was; -1: never in this term */
        uint32_t in_flight;
};

/* What happened since raft_new(). */
struct raft_counts {
        uint64_t prevotes_begun, prevotes_refused; /* refused: by this node to others */
        uint64_t elections_begun, elections_won, votes_granted, votes_refused;
        uint64_t step_downs;         /* a leader that saw a newer term */
        uint64_t quorum_step_downs;  /* a leader that heard no majority */
        uint64_t removal_step_downs; /* a leader that removed itself */
        uint64_t truncations, members_rolled_back, appends_rejected;
        uint64_t snapshots_offered, snapshots_installed, snapshots_skipped;
        uint64_t transfers_begun, transfers_moved, transfers_aborted;
        uint64_t learners_promoted, probes_again, messages_foreign, messages_refused;
};

struct raft_status {
        struct raft_id self;
        enum raft_role role;
        int32_t term;
        struct raft_id leader;
        int64_t first_index; /* cut index + 1 */
        int64_t last_index;
        int32_t last_term;
        int64_t persisted_index;
        int64_t commit_index;
        int64_t term_first_index; /* a leader's no-op; 0 otherwise */
        bool is_transferring;
        const struct raft_members *members; /* the newest in the log; the core's memory, until the next step */
        int64_t members_index;
        bool members_are_committed;
        struct raft_peer_status peers[RAFT_MEMBERS_MAX]; /* a leader's, without itself */
        uint32_t peers_count;
        struct raft_counts counts;
};

/* All of it as it is now; for people, metrics and tests. */
void raft_status(const struct raft *r, struct raft_status *ret);

/* Who @node is among the members; NULL: nobody. */
const struct raft_member *raft_members_find(const struct raft_members *m, int32_t node);
/* How many of them are voters. */
uint32_t raft_members_voters(const struct raft_members *m);
/* Of one to RAFT_MEMBERS_MAX members, a voter at least, no node twice: for those who read them from a disk or a message. */
bool raft_members_are_sane(const struct raft_members *m);
