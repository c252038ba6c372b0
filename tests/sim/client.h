/* Clients of the simulated cluster: they speak Kafka's protocol with the generated codecs over the simulated network, each on a
 * fiber, and do what real clients do: time out, connect again, ask for the metadata again, send again. */
#pragma once

#include "base/arena.h"
#include "history.h"
#include "nodes.h"
#include "wire/errors.h"
#include "wire/messages.h"

enum { CLIENT_PARTS_MAX = 64 };

struct client {
        struct machine *machine;
        char name[24];
        struct chance chance;
        int fds[NODES_MAX]; /* -1: not connected */
        int32_t correlation;
        int leaders[CLIENT_PARTS_MAX];       /* by history_part.number: subscript of the node; -1: not known */
        unsigned replicas[CLIENT_PARTS_MAX]; /* likewise; bits */
        int64_t timeout_ns;
};

/* What the clients have met with. */
struct client_counts {
        uint64_t calls, failed, timed_out, produced, produce_errors, fetches, reads_over, commits, joins, rejoins,
                created, deleted, reinits, moves, voters_added, voters_removed, voters_changed_cut, records_deleted,
                follower_reads, sessions, session_fetches;
        uint64_t errors[200]; /* by Kafka's code */
};
extern struct client_counts client_counts;

/* Everybody ends its work soon, when true. */
extern bool clients_are_done;
/* Fibers of clients that have not ended. */
extern unsigned clients_running;

struct client *client_new(const char *name);
/* Start @fn(@arg) on a fiber of the client's machine; counted in clients_running. */
void client_run(struct client *c, void (*fn)(void *arg), void *arg);
void client_close(struct client *c, int node);

struct client_api {
        int16_t key, version;
        bool no_answer;
        size_t (*size)(const void *m, int16_t version);
        void (*encode)(const void *m, struct writer *w, int16_t version);
        int (*decode)(void *ret, struct cursor *c, int16_t version, struct arena *a);
};

#define CLIENT_API(name, KEY, ver) \
        (&(const struct client_api){ \
                .key = (KEY), \
                .version = (ver), \
                .size = (size_t(*)(const void *, int16_t))name##_request_size, \
                .encode = (void (*)(const void *, struct writer *, int16_t))name##_request_encode, \
                .decode = (int (*)(void *, struct cursor *, int16_t, struct arena *))name##_response_decode })

/* Send @rq to the node with subscript @node and wait for the answer, which lives in @mem. After a failure the connection is
 * closed. Return: 0; negative errno. */
int client_call(struct client *c, int node, const struct client_api *api, const void *rq, void *ret, struct arena *mem);
/* The halves of it: answers come in the order of the requests. */
int client_send(struct client *c, int node, const struct client_api *api, const void *rq);
int client_receive(struct client *c, int node, const struct client_api *api, void *ret, struct arena *mem);

/* A node to ask what any can answer. */
int client_any_node(struct client *c);
/* The coordinator of a group. -1: it is not known. */
int client_coordinator(struct client *c, const char *group);
/* The leader as this client knows it, asking when it does not. -1: there is none that it could learn of. */
int client_leader(struct client *c, struct history_part *p);
void client_forget_leader(struct client *c, const struct history_part *p);
/* Wait a little before trying again. */
void client_pause(struct client *c);
/* Count @code, and say it in a trace. */
void client_error(struct client *c, const char *what, int code);
/* Codes that a client meets with while nodes come and go, and tries again after. */
bool client_is_passing(int code);

/* ---- reading ---- */

struct client_reader {
        struct client *client;
        struct history_part *part;
        int64_t at;          /* offset to be read next */
        int64_t high, start; /* as the node said last */
        uint64_t losses;
        char rack[16]; /* where the client says that it stands; empty: not told, so that only the leader answers */
        int preferred; /* subscript of the node that the leader sent it to; -1: none */
        /* As it was when the client asked. */
        struct history_ends before;
        unsigned lives;
};

/* The two halves of a fetch of one partition, for who asks for several: what is asked for; what is told. Return: Kafka's code. */
void client_reader_ask(struct client_reader *c, int node, struct fetch_request_partition *ret);
int client_reader_take(struct client_reader *c, int node, const struct fetch_response_partition *p);
/* By time -1 the end, -2 the start. -1: no answer. */
int64_t client_list_offset(struct client_reader *c, int node, int64_t which);

/* What came is told to the history, from @c->at on. */
void client_reader_see(struct client_reader *c, struct span bytes);
/* Read what comes next, wait for it up to @max_wait_ms. Return: Kafka's code; -1: no answer. */
int client_fetch(struct client_reader *c, int node, int32_t max_wait_ms);
/* @at is not in the log: where this may be, go to its start. */
void client_out_of_range(struct client_reader *c, int node);
/* What a fetch is answered with that is not to be. */
void client_fetch_failed(struct client_reader *c, int code);

/* ---- workloads; each is a fiber until clients_are_done ---- */

void client_start_producer(unsigned number, struct history_topic *t);
void client_start_consumer(unsigned number, struct history_part *p);
void client_start_group(const char *group, struct history_topic *t, unsigned members);
void client_start_admin(unsigned number);
void client_start_mover(void);
void client_start_voters(void);
void client_start_trimmer(struct history_topic *t);
void client_start_session(unsigned number, struct history_topic *t);
/* Members of a share group (KIP-932), which begins at the earliest records. */
void client_start_share(const char *group, struct history_topic *t, unsigned members);
void client_start_ledger(struct history_topic *t, unsigned writers);

/* ---- what the world asks for; on its fiber ---- */

/* Create the topics of the history, trying until it is done. */
void client_create_topics(struct client *c, int16_t replicas);
/* Read everything of a partition, and compare; from @replica (subscript of a node; -1: its leader) as far as the leader has it.
 * False: not possible before @until_ns. */
bool client_read_all(struct client *c, struct history_part *p, int replica, int64_t until_ns);
/* As the metadata said when this client asked for the leader. */
bool client_is_replica(const struct client *c, const struct history_part *p, int node);
/* Everything that transactions have left is as it should be (ledger.h). False: it cannot be told before @until_ns. */
bool client_check_ledger(struct client *c, struct history_topic *t, const char *when, int64_t until_ns);
/* Committed offsets are what they should be. */
void client_check_groups(struct client *c);
