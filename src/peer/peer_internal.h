/* Inside of peer; for this folder only. */
#pragma once

#include <pthread.h>

#include "peer/peer.h"
#include "peer/peer_hello.h"

enum {
        PEER_KEY_HELLO = 10000,
        PEER_KEY_PROBE = 10001,
        PEER_PROTOCOL_MIN = 0, /* that this program speaks */
        PEER_PROTOCOL_MAX = 0,
        PEER_REQUEST_HEAD_LEN = 8, /* key, version, correlation id */
        PEER_ANSWER_HEAD_LEN = 6,  /* correlation id, status */
        PEER_NODES_MAX = 4096,     /* twenty times the largest cluster that is thought of */
        PEER_HELLO_LEN_MAX = 4096, /* of a frame of somebody who is not known yet */
        PEER_SERVICES_MAX = 64,
        PEER_WATCHES_MAX = 8,
        /* Calls of one connection that are sent and not answered; the others wait here. The serving side reads on as
         * long as fewer than PEER_IN_WORK_MAX are in work, so that a probe always comes through. */
        PEER_FLIGHT_MAX = 256,
        PEER_IN_WORK_MAX = 320,
        /* Correlation ids of the hub's own requests; those of calls are never negative. */
        PEER_ID_PROBE = -1,
        PEER_ID_HELLO = -2,
        /* In place of the id that a certificate proves: */
        PEER_PROVEN_PLAINTEXT = -1,
        PEER_PROVEN_NONE = -2, /* it names no node, or more than one */
        /* A process that was heard of within this time is there: another one under its id is refused. Longer than the
         * time between two heartbeats; whoever starts anew after its machine lost power waits no longer than this. */
        PEER_THERE_MS = 1000,
};

/* In every answer. */
enum peer_status {
        PEER_STATUS_DONE,
        PEER_STATUS_UNSUPPORTED,
        PEER_STATUS_MALFORMED,
        PEER_STATUS_BUSY,
        PEER_STATUSES_COUNT,
};

/* ---- out.c: messages that leave ---- */

/* Handed over: copy the pieces, which lie where their owner likes. */
void peer_out_seal(struct peer_out *o);
/* Cut @o into pieces behind a header whose @head_len bytes the caller has written at peer_out_head(). The last piece
 * frees the buffer. Return: 0, and *@ret_pieces is to be freed when it is not @few; -ENOMEM. */
enum { PEER_FEW_PIECES = 9 };
int peer_out_cut(const struct peer_out *o, size_t head_len, struct net_piece few[PEER_FEW_PIECES],
                 struct net_piece **ret_pieces, unsigned *ret_count);
/* Where the header's @head_len bytes go. */
uint8_t *peer_out_head(const struct peer_out *o, size_t head_len);
/* Bytes in memory, header and memory pieces included; file ranges are not counted. */
size_t peer_out_len(const struct peer_out *o);

/* ---- hello.c: who may speak; pure ---- */

/* One side of a hello. */
struct peer_side {
        struct peer_identity id;
        int64_t wall_ms;
        int16_t protocol_min, protocol_max;
};

/* The header of a request or an answer; @ret_rest is the message. Return: 0 or WIRE_E_MALFORMED. */
int peer_request_head(struct span frame, int16_t *ret_key, int16_t *ret_version, int32_t *ret_id,
                      struct span *ret_rest);
int peer_answer_head(struct span frame, int32_t *ret_id, int16_t *ret_status, struct span *ret_rest);

/* Decode a hello. @ret_to_node: whom it is meant for. Return: 0; WIRE_E_MALFORMED; -ENOMEM. */
int peer_hello_read(struct span body, struct arena *arena, struct peer_side *ret, int32_t *ret_to_node, int *ret_lane);
/* Decode the answer to one. @ret_refusal: empty when there is none. */
int peer_hello_read_answer(struct span body, struct arena *arena, struct peer_side *ret,
                           char ret_refusal[PEER_TEXT_SIZE]);
int peer_hello_write(struct peer_out *o, const struct peer_side *us, int32_t to_node, int lane);
int peer_hello_write_answer(struct peer_out *o, const struct peer_side *us, const char *refusal);
/* May @them speak with @us? @proven: the node id of their certificate, or what there is instead. @expected: the id that
 * is meant to be there, -1: any. Return: true; false with the reason, for operators of either side. */
bool peer_hello_judge(const struct peer_side *us, const struct peer_side *them, int32_t proven, int32_t expected,
                      int64_t clock_apart_ms_max, char ret_why[PEER_TEXT_SIZE]);
/* The node that "chronik://node/ID" names, -1 for any other text. */
int32_t peer_node_of_uri(const char *uri);
/* Whom the certificate of @c proves its peer to be. */
int32_t peer_proven(const struct net_conn *c, bool tls);
/* Text from outside as one line for people: cut to fit, what is not printable becomes '?'. */
void peer_text_copy(char *ret, size_t size, struct str s);

/* ---- nodes and links ---- */

struct peer_node;

enum link_state { LINK_IDLE, LINK_RESOLVE, LINK_CONNECT, LINK_HELLO, LINK_UP, LINK_BACK_OFF };

/* The outgoing connection of one lane to one node. */
struct peer_link {
        struct peer_hub *hub;
        struct peer_node *node;
        enum peer_lane lane;
        unsigned reactor;
        struct loop *loop;

        /* hub->lock */
        struct peer_link_info info; /* calls: how many were let in and are not finished */
        size_t calls_bytes;
        bool address_posted;

        /* the loop's */
        enum link_state state;
        bool stopped, stop_reported, resolving, refused, probing;
        bool stale; /* what is being resolved is not the address any more */
        bool quiet; /* the end that comes is no error */
        struct net_conn *conn;
        struct ilist queued;
        struct peer_call *flight[PEER_FLIGHT_MAX]; /* NULL with an id: was given up, its answer is yet to come */
        int32_t flight_ids[PEER_FLIGHT_MAX];       /* -1: free */
        unsigned flight_count, flight_at;
        uint32_t flight_seq;
        struct loop_timer timer;                  /* back-off, hello's time, the look for silence */
        int64_t back_off_ms, up_ms, probe_ms;     /* loop_now_ms() */
        uint64_t bytes_in_noted, bytes_out_noted; /* of @conn, already in info */
        unsigned attempts;
        char address[PEER_ADDRESS_SIZE]; /* that is being resolved, or was connected to */
        struct peer_side them;           /* once up */
        int32_t proven;                  /* node id of the certificate; -1: plaintext */
        struct io_job resolve;
        int resolve_r;
        unsigned resolved_count;
        struct sock_address resolved[SOCK_RESOLVE_COUNT_MAX];
        struct mail address_mail, stop_mail;
};

struct peer_node {
        int32_t id;
        /* hub->lock */
        char address[PEER_ADDRESS_SIZE]; /* empty: none */
        struct peer_info info;           /* its links are not kept here */
        struct uuid in_process;          /* whose incoming connections are there */
        _Atomic int64_t in_heard_ms;     /* clock_mono_ms() of their last request */
        struct peer_link links[PEER_LANES_COUNT];
};

/* ---- hub.c ---- */

struct peer_reactor {
        struct peer_hub *hub;
        struct ilist ins; /* incoming connections, also gone ones with requests in work */
        struct mail cluster_mail;
        bool cluster_posted; /* hub->lock */
};

struct peer_hub {
        struct peer_conf conf;
        char *listen, *program;
        struct peer_level levels[PEER_LEVELS_MAX];
        struct uuid incarnation;
        struct net_server *server;
        struct iopool *names; /* one thread: a name service that does not answer must not hold up what syncs a disk */
        struct peer_service services[PEER_SERVICES_MAX];
        unsigned services_count;
        struct peer_watch watches[PEER_WATCHES_MAX];
        unsigned watches_count;
        pthread_mutex_t lock; /* guards what follows, and what says so in nodes and links */
        bool started, stopping;
        char cluster_id[PEER_CLUSTER_ID_SIZE];
        struct peer_node **nodes; /* by rising id; grows, and nodes stay where they are */
        unsigned nodes_count, nodes_room;
        unsigned links_left; /* that have not reported their stop */
        int64_t stop_timeout_ms;
        struct loop *stop_loop;
        struct mail *stop_done;
        _Atomic uint64_t refused, requests;
        struct peer_reactor reactors[];
};

/* What this node says of itself just now. */
void peer_hub_self(struct peer_hub *h, struct peer_side *ret);
/* A link of a stopping hub has come to rest. */
void peer_hub_link_stopped(struct peer_hub *h);

/* ---- node.c ---- */

/* With hub->lock held. NULL: there is none. */
struct peer_node *peer_node_find(struct peer_hub *h, int32_t id);
/* Why something ended; written to the journal when it is news. Takes the lock. */
void peer_node_note_error(struct peer_hub *h, int32_t id, const char *text);
/* It was reached by us, and accepted. Takes the lock. */
void peer_node_note_hello(struct peer_hub *h, const struct peer_side *them);
/* It called us, and what it said is right. Return: false when another process speaks under its id, with the reason; true,
 * *@ret_node is NULL when there is no room to note it. Takes the lock. */
bool peer_node_note_caller(struct peer_hub *h, const struct peer_side *them, struct peer_node **ret_node,
                           char ret_why[PEER_TEXT_SIZE]);
void peer_node_note_gone(struct peer_hub *h, int32_t id);
void peer_nodes_free(struct peer_hub *h);

/* ---- link.c ---- */

/* With hub->lock held: touches nothing of the loop's. */
void peer_link_init(struct peer_link *l, struct peer_node *n, struct peer_hub *h, enum peer_lane lane);
/* Have a connection come about, unless one is under way. */
void peer_link_want(struct peer_link *l);
/* End it for @why. With a connection that is open, through its close(). */
void peer_link_end(struct peer_link *l, const char *why);
/* The own cluster is known now. */
void peer_link_check_cluster(struct peer_link *l);
/* A call is finished, or something else that a stop waits for. */
void peer_link_check_stopped(struct peer_link *l);

/* ---- call.c ---- */

/* Send what waits. */
void peer_calls_pump(struct peer_link *l);
/* An answer came. Return: false when it is none that was asked for, and the connection makes no sense. */
bool peer_calls_answer(struct peer_link *l, int32_t id, int16_t status, struct iobuf *frame, struct span body);
/* The connection is gone. */
void peer_calls_lost(struct peer_link *l);
/* Those that wait for a connection. */
void peer_calls_fail_queued(struct peer_link *l, int outcome);
/* On the link's loop: to its connection, as one frame. Takes @o. Return: 0 or negative errno. */
int peer_send(struct peer_link *l, int16_t key, int16_t version, int32_t id, struct peer_out *o);

/* ---- service.c ---- */

/* One incoming connection. */
struct peer_in {
        struct ilist link;
        struct peer_hub *hub;
        struct net_conn *conn; /* NULL: gone */
        bool greeted;
        int32_t proven;
        struct peer_side them;
        struct peer_node *node; /* once greeted; NULL: there is no room for it */
        struct ilist requests;  /* in work */
        void *users[PEER_SERVICES_MAX];
};

/* The net_ops of the hub's server. */
void peer_in_request(void *hub, struct net_request *rq);
void peer_in_open(void *hub, struct net_conn *c);
void peer_in_close(void *hub, struct net_conn *c, const char *reason);
void peer_in_check_cluster(struct peer_in *in);
/* With its requests, after the stop. */
void peer_in_free(struct peer_in *in);
