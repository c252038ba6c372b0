/* What the files of the quorum share. All of it belongs to the quorum's loop, but for what a job holds while it is on the
 * pool. */
#pragma once

#include "meta/store.h"
#include "quorum/peer_quorum.h"
#include "quorum/qlog.h"
#include "quorum/quorum.h"
#include "quorum/snapshot.h"
#include "quorum/vote.h"
#include "quorum/voters.h"

/* Memory for entries that are not yet committed: a few of the largest. */
#define QUORUM_PENDING_BYTES_MAX (64u << 20)
/* Entries of one message to a member or observer, unless one alone is longer: what a slow line takes in a second. */
#define QUORUM_MESSAGE_BYTES (1u << 20)
#define QUORUM_RETRY_MS 500 /* between attempts at what waits for other nodes */
/* Readings of the log from the disk that wait, for members and observers; others ask again. */
#define QUORUM_READS_MAX 64

/* How a request of an observer is answered. */
enum quorum_fetch_outcome {
        QUORUM_FETCH_OK,
        QUORUM_FETCH_SNAPSHOT,  /* the log does not reach back so far */
        QUORUM_FETCH_BEHIND,    /* this controller has less than the observer: ask another one, or later */
        QUORUM_FETCH_REFUSED,   /* the observer's store is not of this group's history; the text says more */
        QUORUM_FETCH_NOT_READY, /* this node takes no part in a group (yet, or any more) */
};

/*  CLOSED --quorum_start--> FORMING (asks the others of the list whether they are blank) --voters file--> RUNNING
 *         \-----------------------------------------------------------------------------------------------^
 *  FORMING --a group has added this node--> RUNNING
 *  FORMING, RUNNING --quorum_stop--> HANDING (a leader of several gives its place away) --> STOPPING --> CLOSED */
enum quorum_state { QUORUM_CLOSED, QUORUM_FORMING, QUORUM_RUNNING, QUORUM_HANDING, QUORUM_STOPPING };

/* ---- entries in memory (quorum_entries.c) ---- */

/* From proposal, message or start until it is applied; the newest ones stay longer, for others. */
struct quorum_entry {
        struct qlog_entry e;              /* its payload is @bytes */
        struct quorum_proposal *proposal; /* NULL: nobody waits */
        uint8_t bytes[];
};

/* A run of entries without gaps, by index. */
struct quorum_entries {
        struct quorum_entry **at; /* a ring */
        size_t size, head, count;
        int64_t first; /* index of the oldest, or of the next one when there is none */
        size_t bytes;  /* of payloads */
};

/* A copy of @e with its payload. NULL when memory is out. */
struct quorum_entry *quorum_entry_new(const struct qlog_entry *e);
/* Make room for @count more, so that adding them cannot fail. Return: 0 or -ENOMEM. */
int quorum_entries_reserve(struct quorum_entries *es, size_t count);
/* The next one; room was made. */
void quorum_entries_add(struct quorum_entries *es, struct quorum_entry *e);
static inline struct quorum_entry *quorum_entries_get(const struct quorum_entries *es, int64_t index)
{
        if (index < es->first || index >= es->first + (int64_t)es->count)
                return NULL;
        return es->at[(es->head + (size_t)(index - es->first)) % es->size];
}
static inline int64_t quorum_entries_end(const struct quorum_entries *es)
{
        return es->first + (int64_t)es->count;
}
/* Take one off an end; the caller frees it. NULL when empty. */
struct quorum_entry *quorum_entries_take_newest(struct quorum_entries *es);
struct quorum_entry *quorum_entries_take_oldest(struct quorum_entries *es);
/* Frame entries from @first on, at most to @last, of one term when @one_term, about QUORUM_MESSAGE_BYTES; at least one.
 * Return: bytes (malloc), NULL when the first is not in memory or memory is out. */
uint8_t *quorum_entries_frame(const struct quorum_entries *es, int64_t first, int64_t last, size_t len_max,
                              size_t *ret_len, int64_t *ret_last);

/* ---- members as entries of the log named them ---- */

struct quorum_voters_at {
        struct ilist link;
        int64_t index;
        struct voters voters;
};

/* ---- reading the log from the disk for others ---- */

struct quorum_reading {
        struct ilist link;
        struct qlog_read rd;
        uint8_t *bytes; /* framed */
        size_t len, size;
        int64_t last;
        int result;
        /* On the loop. @result: 0, or negative; -ENOENT: the log does not reach back so far. Takes the reading. */
        void (*done)(struct quorum *q, struct quorum_reading *rg);
};

/* ---- other nodes ---- */

/* What is known of a node that is or may become a member. */
struct quorum_peer {
        int32_t node;
        char said[PEER_ADDRESS_SIZE]; /* what it says of itself; empty: nothing yet */
        char hub[PEER_ADDRESS_SIZE];  /* what the hub was told */
        char trouble[256];            /* why it does not take part; empty: nothing is known */
        bool saying_hello;
        bool agrees; /* it is blank and has the same bootstrap list */
};

/* A snapshot in the folder. */
struct quorum_snapshot_file {
        struct snapshot_id id;
        int64_t bytes;
        int64_t used_ms; /* loop's clock */
};
/* The newest, and older ones that somebody may still be fetching. */
#define QUORUM_SNAPSHOTS_MAX 4
/* Chunks that are read for observers at once: each is 1 MiB of memory. */
#define QUORUM_CHUNK_READS_MAX 8

struct quorum_sender;   /* quorum_snapshots.c: a snapshot on its way to a member */
struct quorum_observer; /* quorum_observers.c */

struct quorum {
        struct quorum_config cfg; /* with defaults, and copies of what it points to */
        struct quorum_events events;
        void *events_arg;
        enum quorum_state state;
        bool is_group; /* there is a bootstrap list: others may be members */
        int lock_fd;
        char *vote_path, *voters_path, *snapshots_dir;
        struct vote vote;         /* as on the disk, or on its way there */
        struct qlog *log;         /* the disk job's while it runs */
        struct meta_store *store; /* the store job's while it runs */
        struct meta_image *image; /* applied */
        struct peer_hub *hub;     /* NULL: alone */

        /* The core, and what its actions left to be done afterwards. */
        struct raft *core; /* NULL while FORMING */
        struct raft_restore restore;
        struct raft_run *runs;
        size_t runs_size;
        struct loop_timer tick_timer;
        bool acting, settling;
        struct raft_event sent[2 * RAFT_MEMBERS_MAX];
        size_t sent_count;
        int64_t apply_to;
        enum raft_role role;
        int32_t term, leader;
        int64_t term_start; /* index of a leader's no-op */
        bool active;        /* leads, and its no-op is applied */
        bool role_due;
        struct quorum_role role_told;
        bool members_due; /* members changed or were committed */
        bool welcome;     /* the snapshot message of this step is */

        /* What the step that runs now may append (quorum_entries_reserve() was called for it). */
        struct quorum_entry **incoming;
        int64_t incoming_first;
        size_t incoming_count;

        struct quorum_entries entries;
        int64_t last_index;    /* of the newest entry, written or not */
        int64_t disk_next;     /* the first one that was not handed to the disk */
        int64_t written_index; /* up to here durable */
        uint64_t edition;
        size_t pending_bytes; /* of what is not applied */
        struct ilist lost;    /* proposals whose entries are void, not yet told */
        bool cluster_told;    /* the hub knows which cluster this is */

        struct io_job vote_job;
        struct raft_vote vote_wanted;
        int vote_result;
        bool vote_due, vote_busy;

        struct io_job disk_job;
        bool disk_busy;
        struct qlog_group group;
        uint64_t group_edition;
        uint8_t *group_bytes;
        int64_t truncate_to; /* the disk has more, which is void; -1: not */
        bool truncate_now;   /* the disk job's */
        int64_t truncate_now_to;
        int32_t truncate_now_term;
        bool reserve_due;   /* the disk was full: the disk job looks whether there is room again */
        bool drop_due;      /* the store holds more than when the log was last truncated */
        int64_t drop_below; /* index up to which the disk job truncates; 0: not */
        struct ilist reads, reading;
        unsigned reads_count;
        int disk_result;

        struct io_job store_job;
        bool store_busy;
        struct meta_image *store_image; /* being written */
        int store_result;
        int64_t store_bytes;      /* of its file */
        int64_t store_bytes_seen; /* the same; the store job's while it runs */
        bool store_full;          /* the last attempt found no room */
        struct loop_timer store_timer;
        int64_t stored_index;
        int64_t bytes_since_store;

        /* Members: those that hold for what was removed of the log, then those that entries name; oldest first. */
        struct ilist voters;
        int64_t voters_file_index; /* what the file says; -1: there is none */
        int64_t voters_applied;    /* index of the newest that is applied */
        uint8_t *voters_bytes;     /* for the file: the disk job's while it runs */
        size_t voters_len;
        int64_t voters_bytes_index;
        struct quorum_peer peers[2 * RAFT_MEMBERS_MAX];
        uint32_t peers_count;
        char *controllers_text; /* the bootstrap list, as it is compared */
        bool restate_due;
        struct loop_timer retry_timer;
        bool forming;        /* all agree; the file is being written */
        unsigned leaderless; /* looks of the retry timer in a row that found no leader known */
        char trouble[256];
        struct ilist calls; /* on their way. What is left of them when the hub has stopped goes with quorum_close() */
        unsigned jobs;      /* on the pool, beside those that have a flag */

        /* Adding and removing. */
        struct quorum_change *change; /* what an operator asked for */
        int32_t adding;               /* node whose address goes into the next entry of members; RAFT_NOBODY */
        char adding_address[PEER_ADDRESS_SIZE];

        /* Snapshots. */
        struct quorum_snapshot_file snapshots[QUORUM_SNAPSHOTS_MAX]; /* by rising index */
        uint32_t snapshots_count;
        int64_t snapshot_bytes; /* of them all */
        bool snapshot_busy;     /* one is being made */
        unsigned chunk_reads;
        struct ilist senders;
        bool senders_due;                   /* a new one */
        struct quorum_receiving *receiving; /* quorum_install.c */
        bool install_due, install_busy;
        struct snapshot_id install;
        struct meta_image *install_image; /* for the store */
        uint64_t install_edition;
        uint8_t *install_voters; /* for the file */
        size_t install_voters_len;
        int64_t install_voters_index;
        struct io_job install_job;
        int install_result;
        struct meta_image *installed_before; /* the image that subscribers still have; NULL: none */

        /* Observers. */
        struct ilist waiters;
        unsigned waiters_count;
        struct loop_timer waiters_timer;
        struct quorum_observer *observers;
        uint32_t observers_count;
        int64_t observers_told_ms;

        void (*stop_done)(void *arg);
        void *stop_arg;

        uint64_t entries_written, groups_written, images_stored;
        int64_t log_first_index, log_bytes; /* as of the last disk job */
};

/* Ends the process: see quorum.h. */
__attribute__((noreturn, format(printf, 1, 2))) void quorum_die(const char *fmt, ...);
/* The same after a failed write; says what the operator can do about it. */
_Noreturn void quorum_die_io(const char *path, int error);
void quorum_step(struct quorum *q, const char *what);
/* Something ended: go on with stopping when that was asked for. */
void quorum_stop_continue(struct quorum *q);

/* ---- quorum.c ---- */

/* One event for the core, all that follows from it, and what was left to be done. Not from within actions.
 * Return: an outcome of the core. */
int quorum_event(struct quorum *q, struct raft_event *ev);
/* Make the core and begin. */
void quorum_begin(struct quorum *q);
/* Note that entries up to @last of the offer in @m were sent; told to the core once its actions are done. */
void quorum_note_sent(struct quorum *q, const struct raft_message *m, int64_t last);
/* Does this node take part: not stopping, and its core runs? */
static inline bool quorum_takes_part(const struct quorum *q)
{
        return q->core && (q->state == QUORUM_RUNNING || q->state == QUORUM_HANDING);
}

/* ---- quorum_apply.c ---- */

/* Apply what is committed and tell of it, of roles and of members, until nothing is left. */
void quorum_settle(struct quorum *q);
/* Every proposal that is not applied ends with QUORUM_E_LOST. */
void quorum_lose_proposals(struct quorum *q);
/* The newest entry is void; who proposed it is told after the core's actions. */
void quorum_void_newest(struct quorum *q);
/* Entries from @from on are void. */
void quorum_drop_entries(struct quorum *q, int64_t from);
/* Give back what is applied, written and more than the cache holds. */
void quorum_trim(struct quorum *q);

/* ---- quorum_disk.c ---- */

void quorum_vote_kick(struct quorum *q);
void quorum_disk_kick(struct quorum *q);
/* The store holds more now: drop what the log need not keep. */
void quorum_log_drop(struct quorum *q);
/* Read entries for somebody. Return: 0, @rg is the quorum's until done(); -EAGAIN: too many wait. */
int quorum_read(struct quorum *q, struct quorum_reading *rg);

/* ---- quorum_store.c ---- */

/* The store has not everything that was applied: see that it gets it, now or in a while. */
void quorum_store_kick(struct quorum *q, bool now);
void quorum_store_init(struct quorum *q);

/* ---- quorum_members.c ---- */

/* The newest members in the log, with addresses. NULL: none. */
struct voters *quorum_voters(const struct quorum *q);
/* An entry names members (or index 0: the group's beginning). */
void quorum_voters_add(struct quorum *q, int64_t index, const struct voters *v);
/* Entries from @from on are void. */
void quorum_voters_drop(struct quorum *q, int64_t from);
/* What holds at @index. */
const struct quorum_voters_at *quorum_voters_at(const struct quorum *q, int64_t index);
/* Older ones than that which holds at @index are not needed. */
void quorum_voters_prune(struct quorum *q, int64_t index);
/* The next entry of members: its payload. */
int quorum_voters_payload(struct quorum *q, const struct raft_members *next, uint8_t **ret_payload, size_t *ret_len);
/* Members, role or time changed: what a leader has to see to. */
void quorum_members_kick(struct quorum *q);
/* Ends what an operator asked for. */
void quorum_change_end(struct quorum *q, int result, const char *why);
bool quorum_is_only_voter(const struct quorum *q);

/* ---- quorum_bootstrap.c ---- */

/* Go on forming the group. */
void quorum_form(struct quorum *q);
/* Blank, and not the one that forms it: learn why nobody adds this node. */
void quorum_wait_to_be_added(struct quorum *q);
/* Nobody leads, or nobody says so to this node: learn whether it was removed. */
void quorum_look_for_removal(struct quorum *q);
/* A leader: see to the nodes of the bootstrap list that are not yet added. */
void quorum_add_expected(struct quorum *q);
void quorum_hello_asked(struct quorum *q, struct peer_request *rq, const struct quorum_hello_request *m);
bool quorum_is_blank(const struct quorum *q);
/* Another node's leader knows this folder. Who would form a group waits to be added instead: only an operator can have told it. */
void quorum_join(struct quorum *q, struct uuid directory);
/* The members of a group of this node alone, which expects the rest of the list. */
void quorum_voters_begin(const struct quorum *q, struct voters *ret);

/* ---- quorum_peers.c: calls to others ---- */

struct quorum_call {
        struct ilist link;
        struct peer_call call;
        struct quorum *q;
        struct raft_id to;
        void (*done)(struct quorum_call *c); /* frees it with quorum_call_free() */
        void *arg;
};

/* NULL: memory is out. */
struct quorum_call *quorum_call_new(struct quorum *q, int32_t node, int16_t key, int64_t timeout_ms,
                                    void (*done)(struct quorum_call *c));
/* call.out is filled in. */
void quorum_call_submit(struct quorum_call *c);
/* After its end, or when it was not submitted. */
struct quorum_call *quorum_call_free(struct quorum_call *c);
static inline void quorum_call_drop(struct quorum_call *c)
{
        if (c)
                quorum_call_free(c);
}
/* Send a message of the core. */
void quorum_send(struct quorum *q, const struct raft_message *m);
/* NULL: too many. */
struct quorum_peer *quorum_peer(struct quorum *q, int32_t node);
/* @node says that it is found at @address. */
void quorum_peer_said(struct quorum *q, int32_t node, struct str address);
/* Tell the hub where members are. */
void quorum_peers_update(struct quorum *q);
/* Note why a node does not take part; told once when it changes. NULL: it does. */
PRINTF_LIKE(3, 4) void quorum_peer_trouble(struct quorum *q, int32_t node, const char *fmt, ...);

/* ---- quorum_services.c: requests of others ---- */

int quorum_services_register(struct quorum *q, struct peer_hub *hub);
/* Answer with a struct NAME. */
#define QUORUM_ANSWER(rq, NAME, m) \
        do { \
                struct peer_out out_; \
                int r_ = PEER_ENCODE(&out_, NAME, (m), 0, 0); \
                if (r_) \
                        peer_refuse((rq), r_); \
                else \
                        peer_answer((rq), &out_); \
        } while (0)

/* ---- quorum_snapshots.c ---- */

/* Bring a snapshot to a member. */
void quorum_snapshot_send(struct quorum *q, struct raft_id to, uint64_t offer, int64_t at_least);
/* See that there is a snapshot of at least this index, now or soon. NULL: soon. */
struct quorum_snapshot_file *quorum_snapshot_want(struct quorum *q, int64_t at_least);
/* NULL: there is none. */
struct quorum_snapshot_file *quorum_snapshot_find(struct quorum *q, struct snapshot_id id);
/* There is a new file; the oldest one goes when there are too many. */
void quorum_snapshot_note(struct quorum *q, struct snapshot_id id, int64_t bytes);
/* Remove a file that is not noted (any more). */
void quorum_snapshot_forget(struct quorum *q, struct snapshot_id id);
/* Remove what nobody needs. */
void quorum_snapshot_clean(struct quorum *q);
/* Senders go on. By quorum_settle() only: set senders_due. */
void quorum_senders_kick(struct quorum *q);
/* At the end; none is at work. */
void quorum_senders_free(struct quorum *q);

/* ---- quorum_install.c ---- */

void quorum_snapshot_asked(struct quorum *q, struct peer_request *rq, const struct quorum_snapshot_request *m);
/* RAFT_ACT_INSTALL. */
void quorum_install(struct quorum *q, struct snapshot_id id, uint64_t edition);
/* Both the log and the store are free: do it. True: it is being done, or must wait. */
bool quorum_install_kick(struct quorum *q);
/* While the folder is opened: a snapshot that was received whole takes the place of what there is, when that does not hold
 * it. @last_term: of the log's entry at its index, -1 when there is none. Blocks. Return: as quorum_open(). */
int quorum_install_finish(struct quorum *q, struct snapshot_id id, int32_t log_term, char *why, size_t why_size);
void quorum_receiving_end(struct quorum *q);

/* ---- quorum_feed.c ---- */

void quorum_fetch_asked(struct quorum *q, struct peer_request *rq, const struct quorum_fetch_request *m);
void quorum_fetch_snapshot_asked(struct quorum *q, struct peer_request *rq,
                                 const struct quorum_fetch_snapshot_request *m);
void quorum_feed_init(struct quorum *q);
/* More is committed, or the leader changed: those who wait are answered. */
void quorum_feed_wake(struct quorum *q);
/* This node stops: all are. */
void quorum_feed_stop(struct quorum *q);

/* ---- quorum_observers.c ---- */

/* Observer @node has asked for what comes next. */
void quorum_observer_note(struct quorum *q, int32_t node, const struct quorum_fetch_request *m);
void quorum_feed_describe(struct quorum *q, struct quorum_description *ret);
void quorum_observers_told(struct quorum *q, struct peer_request *rq, const struct quorum_observers_request *m);
/* Tell the leader who is fed here, now and then. */
void quorum_feed_report(struct quorum *q);
