/* A group of up to seven nodes with the real core of src/raft: each with a host, a disk that is slow and loses what was not
 * synced, a clock of its own, and a network that does to messages what it likes. One run is a function of its seed. */
#pragma once

#include "chance.h"
#include "raft/raft.h"

enum {
        NODES = 7,
        INDEX_MAX = 6000,
        TERMS_MAX = 20000,
        ENTRIES_MAX = 8, /* in one message */
        DIRECTORIES_MAX = 64,
};

/* An entry is known by what it is and all that was before it. */
struct entry {
        int32_t term;
        uint64_t chain;
        const struct raft_members *members; /* NULL: of another kind. The world's */
};

/* What entries up to index did. */
struct state {
        int64_t index;
        int32_t term;
        uint64_t chain;
        const struct raft_members *members;
        int64_t members_index;
};

/* A log in memory or on disk: entries cut.index + 1 .. last. */
struct log {
        struct state cut;
        int64_t last;
        struct entry at[INDEX_MAX + 1];
};

enum op_type { OP_APPEND, OP_TRUNCATE, OP_INSTALL, OP_STORE };

struct op {
        struct op *next;
        enum op_type type;
        uint64_t edition;
        int64_t first, last;
        struct state state;
        struct entry entries[];
};

/* What the world does to the group. */
enum trouble {
        TROUBLE_CRASH,
        TROUBLE_CRASH_ALL,
        TROUBLE_SPLIT,
        TROUBLE_ONE_WAY,
        TROUBLE_ISOLATE_LEADER,
        TROUBLE_HEAL,
        TROUBLE_SLOW_DISK,
        TROUBLE_CLOCK,
        TROUBLE_ADD,
        TROUBLE_REMOVE,
        TROUBLE_RESTATE,
        TROUBLE_TRANSFER,
        TROUBLE_STORE,
        TROUBLE_WIPE,
        TROUBLE_UNREACHABLE,
        TROUBLES,
};

enum packet_type { PACKET_RAFT, PACKET_SNAPSHOT_DONE, PACKET_SNAPSHOT_REFUSED };

struct packet {
        struct packet *next; /* unused ones */
        enum packet_type type;
        struct raft_message m;
        uint32_t count;
        struct entry entries[ENTRIES_MAX];
        bool is_last_chunk;
        struct state snapshot;
        uint64_t offer; /* of the snapshot, for its answer */
};

enum happening_type {
        HAPPENS_TICK,
        HAPPENS_PACKET,
        HAPPENS_VOTE_WRITTEN,
        HAPPENS_LOG_WRITTEN,
        HAPPENS_ENTRIES_READ,
        HAPPENS_CHUNK,
        HAPPENS_SNAPSHOT_TIMEOUT,
        HAPPENS_SNAPSHOT_WRITTEN,
        HAPPENS_RESTART,
        HAPPENS_PROPOSAL,
        HAPPENS_TROUBLE,
        HAPPENS_HEALING,
};

/* Something that will happen; ordered by time, then by when it was decided. */
struct happening {
        uint64_t at_us;
        uint64_t number;
        enum happening_type type;
        uint32_t node;
        uint32_t life; /* of the node; another one: nothing happens */
        struct packet *packet;
};

/* A snapshot on its way out; one at a time for each member. */
struct sending {
        bool is_active;
        struct raft_id to;
        uint64_t offer;
};

struct node {
        uint32_t slot;
        struct raft_id id;
        bool is_alive;
        uint32_t life;
        struct raft *core;
        uint32_t directories_made;

        /* its clock */
        int64_t local_us;
        uint64_t true_us;
        uint32_t rate_permille;
        uint64_t wake_us; /* a tick happens then; 0: none */
        int64_t wake_ms;

        /* its memory */
        struct log log;
        uint64_t edition;
        struct state applied;
        int64_t apply_to;
        struct raft_event sent[64]; /* reports that wait for the end of a step */
        uint32_t sent_count;
        struct sending sending[NODES];
        struct state incoming;
        bool is_receiving;

        /* its disk */
        struct log disk;
        struct state stored;
        struct raft_vote vote;
        struct raft_vote vote_wanted;
        struct raft_vote vote_writing;
        bool vote_busy;
        struct op *ops, **ops_end;
        uint32_t ops_busy; /* so many of the first ones are being written */
        bool is_slow;

        /* for the checks */
        enum raft_role role;
        int64_t commit_index;
        struct raft_members members; /* the newest before this step */
        int64_t newest_members;      /* index of those in its log, as the host finds them; -1: none */
        int64_t members_index;
};

/* What there is to count. Each must happen in a big enough run. */
#define WORLD_COUNTS(X) \
        X(crashes) \
        X(wipes) \
        X(partitions) \
        X(packets_lost) \
        X(packets_doubled) \
        X(writes_torn) \
        X(writes_kept) \
        X(split_votes) \
        X(proposals) \
        X(changes_begun) \
        X(changes_refused) \
        X(removals_refused_unsafe) \
        X(self_removals) \
        X(restarts_in_change) \
        X(cuts) \
        X(reads_cut) \
        X(leases_checked) \
        X(clock_jumps) \
        X(calm_ends)

#define WORLD_COUNT_FIELD(name) uint64_t name;

struct world {
        uint64_t seed;
        struct chance chance;
        uint64_t now_us;
        uint64_t steps;
        struct node *nodes; /* NODES */
        uint32_t nodes_used;
        struct raft_options options;
        bool is_calm;
        bool clocks_jump;
        bool is_over;

        /* how bad this world is; of each kind: once in so many */
        uint32_t loss_one_in, double_one_in, late_one_in;
        uint32_t delay_us;
        uint32_t trouble_us;
        uint32_t weights[TROUBLES];
        bool blocked[NODES][NODES];

        struct happening *heap;
        size_t heap_count, heap_size;
        uint64_t happenings_made;
        struct packet *unused;
        uint64_t values_made;
        struct raft_members_at **members; /* all that were made, with their index */
        size_t members_count, members_size;

        /* what is true of the group, whatever nodes say */
        struct raft_id leaders[TERMS_MAX];
        struct entry committed[INDEX_MAX + 1];
        int64_t committed_last;
        struct raft_members first_members;
};

struct world_counts {
        WORLD_COUNTS(WORLD_COUNT_FIELD)
};

extern struct world w;
/* Over all runs. */
extern struct world_counts counted;
extern struct raft_counts core_counted;

#define CHECK(cond, ...) \
        do { \
                if (!(cond)) \
                        wrong(__VA_ARGS__); \
        } while (0)

/* Say what is wrong and how to see it again, and end the program. */
void wrong(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
/* With SIM_TRACE: what happens. */
void trace(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The command that does this run again. Static memory. */
const char *world_command(void);

/* ---- raft-net.c: time and the network ---- */

struct happening *world_plan(uint64_t after_us, enum happening_type type, struct node *n);
bool world_next(struct happening *ret);
void world_forget(void); /* all that was planned */
struct packet *packet_new(void);
void packet_free(struct packet *p);
/* Takes @p. */
void net_send(struct node *from, struct packet *p);
int64_t node_clock_ms(const struct node *n);
void node_set_clock(struct node *n, int64_t jump_us, uint32_t rate_permille);
/* A tick at what is this local time. */
void node_wake_at(struct node *n, int64_t local_ms);

/* ---- raft-node.c: the host ---- */

void node_boot(struct node *n);
void node_crash(struct node *n);
/* A new disk: everything of the old one is gone for good. */
void node_wipe(struct node *n);
void node_handle(struct node *n, const struct happening *h);
/* Hand an event to the core, do what it says, check everything. Return: the outcome. */
int node_step(struct node *n, struct raft_event *ev);
void node_store(struct node *n);
void node_free(struct node *n);

/* ---- raft-disk.c ---- */

void disk_write_vote(struct node *n, struct raft_vote v);
void disk_append(struct node *n, int64_t first, int64_t last);
void disk_truncate(struct node *n, int64_t from);
void disk_install(struct node *n, const struct state *s);
void disk_store(struct node *n, const struct state *s);
void disk_vote_written(struct node *n);
void disk_log_written(struct node *n);
/* What was on its way is there, in part or not. */
void disk_crash(struct node *n);
void log_cut(struct log *l, int64_t index);
struct state log_state(const struct log *l, int64_t index);
/* Index of the newest members in it or at its cut; -1: none. */
int64_t log_members(const struct log *l);

/* ---- raft-check.c: what must hold ---- */

void check_reset(void);
/* An entry is in a log: the same index and term are the same entry, and everything before it. */
void check_entry(int64_t index, const struct entry *e);
/* Before @n forgets its entries from @from on. */
void check_truncate(const struct node *n, int64_t from);
void check_send(const struct node *n, const struct raft_message *m);
void check_members_appended(const struct node *n, int64_t index);
void check_step(struct node *n);
void check_applied(const struct node *n, int64_t index);

/* ---- raft-trouble.c: what the world does to the group ---- */

void trouble_init(void);
void trouble_make(void); /* one */
void trouble_heal(void); /* all links */
void trouble_propose(void);
/* Heal everything; then a leader must be found and proposals must be committed everywhere. */
void trouble_calm(void);
/* One thing more of the calm: the operator removes members whose disk is gone. */
void trouble_repair(void);
struct node *world_leader(void);
