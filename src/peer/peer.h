/* Calls between the nodes of a cluster: one hub in each process. What a message holds is its owner's business; the hub
 * knows who is spoken with, keeps the connections, and gives every call exactly one outcome. README.md describes the
 * protocol and who may speak; keys 10010-10029 are the quorum's, 10030-10039 replication's, 10040-10059 the program's.
 *
 * Using it takes three lines on each side:
 *
 *     r = PEER_ENCODE(&call->out, fetch_replica_request, &msg, 0, 0);       -ENOMEM, or
 *     peer_call_submit(hub, call);                                          done() comes, once, whatever happens
 *     ... in done():  call->outcome, then PEER_DECODE(fetch_replica_response, &msg, call->body, 0, &arena)
 *
 *     r = PEER_DECODE(fetch_replica_request, &msg, rq->body, rq->version, &rq->arena);
 *     if (r) { peer_refuse(rq, r); return; }
 *     r = PEER_ENCODE(&out, fetch_replica_response, &answer, rq->version, 0);
 *     if (r) peer_refuse(rq, r); else peer_answer(rq, &out);
 *
 * A call to the own node is not for the hub: callers see to that themselves. */
#pragma once

#include "base/arena.h"
#include "base/iobuf.h"
#include "net/server.h"
#include "sys/loop.h"
#include "sys/sock.h"
#include "wire/types.h"

struct peer_hub;
struct tls_slot;    /* net/tls.h */
struct tls_context; /* likewise */

enum {
        PEER_CLUSTER_ID_SIZE = 256, /* with its NUL; longer ids are refused */
        PEER_PROGRAM_SIZE = 64,     /* a program's version, likewise; longer ones are cut */
        PEER_TEXT_SIZE = 512,       /* of an error for people, likewise */
        PEER_ADDRESS_SIZE = SOCK_HOST_SIZE + 8,
        PEER_LEVELS_MAX = 8,       /* features of which a node says what it can do; further ones are not noted */
        PEER_LEVEL_NAME_SIZE = 32, /* likewise, with its NUL; those with longer names are not noted either */
        PEER_EXTS_MAX =
                2000, /* pieces between the bytes of one message: net_reply() takes them and the bytes around them */
};

/* Each lane is a connection of its own to each node, so that bulk never delays what must be quick. */
enum peer_lane { PEER_CONTROL, PEER_DATA, PEER_LANES_COUNT };

/* A feature, and the levels of it that a program can do (KIP-584). What they stand for is not the hub's business. */
struct peer_level {
        char name[PEER_LEVEL_NAME_SIZE];
        int16_t level_min, level_max;
};

/* Who a node said to be in its hello. With TLS @node is also what its certificate says. */
struct peer_identity {
        int32_t node;
        struct uuid directory;                 /* of its metadata or data folder: a wiped disk has another one */
        struct uuid incarnation;               /* of its process: another one after each start */
        char cluster_id[PEER_CLUSTER_ID_SIZE]; /* empty: it knows none yet */
        char program[PEER_PROGRAM_SIZE];       /* its version, for people */
        unsigned levels_count;
        struct peer_level levels[PEER_LEVELS_MAX]; /* what its program can do */
};

/* ---- messages that leave ---- */

/* An encoded message: memory with room for the header in front, and pieces (file ranges, shared memory) between its
 * bytes. The pieces are what the message's `records` fields have as `ext`: each a struct net_piece of the same length
 * that stays where it is until the message is handed over. From its encoding on, the message owns the pieces: release()
 * of each is called once, on whatever thread, when its bytes have left or never will. */
struct peer_out {
        uint8_t *buf; /* malloc */
        struct writer w;
};

/* Room for a message of @size bytes with at most @exts_max (0..PEER_EXTS_MAX) pieces between them; written through
 * @o->w.
 * @o need not be initialised. Return: 0; -ENOMEM, and @o holds nothing. */
int peer_out_begin(struct peer_out *o, size_t size, unsigned exts_max);
/* Drop a message that is not sent: frees it and releases its pieces. One that holds nothing is fine. */
void peer_out_fini(struct peer_out *o);

/* Encode @m, a struct NAME of the generated headers, into @o. Value: 0 or -ENOMEM, after which the pieces are still the
 * caller's. */
#define PEER_ENCODE(o, NAME, m, version, exts_max) \
        ({ \
                int peer_r_ = peer_out_begin((o), NAME##_size((m), (version)), (exts_max)); \
                if (!peer_r_) \
                        NAME##_encode((m), &(o)->w, (version)); \
                peer_r_; \
        })

/* Decode the whole of @body (a span) into @ret, a struct NAME; text and bytes are borrowed from it, arrays come from
 * @arena. Value: 0; WIRE_E_MALFORMED, also when bytes are left over; -ENOMEM. */
#define PEER_DECODE(NAME, ret, body, version, arena) \
        ({ \
                struct cursor peer_c_ = cursor_of(body); \
                int peer_r_ = NAME##_decode((ret), &peer_c_, (version), (arena)); \
                !peer_r_ &&cursor_left(&peer_c_) ? WIRE_E_MALFORMED : peer_r_; \
        })

/* ---- calls ---- */

/* What became of a call; below 0: -ENOMEM, nothing was sent. */
enum peer_outcome {
        PEER_OK,
        /* Certainly not carried out by the other node: */
        PEER_E_NO_ADDRESS,  /* peer_hub_set_address() has not been told of the node */
        PEER_E_UNREACHABLE, /* no connection came about, in the call's time or at all */
        PEER_E_REFUSED,     /* the nodes do not accept each other: peer_info.error says why */
        PEER_E_FULL,        /* too many calls or bytes wait for this node on this lane */
        PEER_E_UNSUPPORTED, /* the other node has no such service, or not in that version */
        PEER_E_MALFORMED,   /* the other node's service could not read it */
        PEER_E_BUSY,        /* the other node's service has no memory for it just now */
        PEER_E_STOPPED,     /* this hub stops; it was not sent */
        /* It may have been carried out, or may yet be: */
        PEER_E_LOST,    /* the connection broke, or this hub stopped, after it was sent or while it was being sent */
        PEER_E_TIMEOUT, /* it was sent, and no answer came in time */
};

/* Must the caller reckon with the call's being carried out? Also true of PEER_OK. */
static inline bool peer_outcome_may_be_done(int outcome)
{
        return outcome == PEER_OK || outcome >= PEER_E_LOST;
}
/* A word for people. Static. */
const char *peer_outcome_name(int outcome);

/* A call, embedded in its owner, who leaves it alone from peer_call_submit() until @done and keeps it alive for as
 * long. */
struct peer_call {
        /* Filled in before submit: */
        int32_t node;
        enum peer_lane lane;
        int16_t key, version;
        struct peer_out out; /* the message; submit takes it */
        int64_t timeout_ms;  /* from submit on; at least 1 */
        struct loop *loop;   /* where @done runs; outlives the call */
        void (*done)(struct peer_call *call);

        /* For @done: */
        int outcome; /* enum peer_outcome or negative errno */
        /* the answer, with PEER_OK only: the owner's, who unrefs it soon, for it counts against the hub's memory */
        struct iobuf *frame;
        struct span body; /* the answer's message, within @frame */

        /* The hub's: */
        struct ilist link;
        struct mail mail;
        struct loop_timer timer;
        struct peer_link *to;
        int64_t deadline_ms;
        size_t len;
        int32_t correlation_id;
        bool sent;
};

/* Carry out @call on its node. Any thread. @call->done runs exactly once, later, by mail on @call->loop.
 * Calls from one thread to one node on one lane leave in this order and reach the services in it, but for those that
 * fail; answers come in any order. A connection is made when the first call asks for one. While there is none, calls
 * wait for the next attempt and share its outcome: a node that cannot be reached fails them within about two seconds,
 * not only when their time is up. Nothing is ever sent twice. */
void peer_call_submit(struct peer_hub *h, struct peer_call *call);

/* ---- services ---- */

struct peer_request;

struct peer_service {
        int16_t key, version_min, version_max;
        /* A request of a node that has proved who it is has come. The service answers exactly once, now or later, with
         * peer_answer() or peer_refuse(). On the connection's reactor, and nothing here may block. */
        void (*request)(void *arg, struct peer_request *rq);
        /* The connection for which peer_request_set_user() noted @user is gone; @user is the service's to free.
         * Requests of it that are in work are still to be answered. On the connection's reactor. May be NULL. */
        void (*closed)(void *arg, const struct peer_identity *peer, void *user);
        void *arg;
};

struct peer_request {
        /* @net.frame holds the bytes: TAKE_PTR() to keep them (then unref), see peer_request_detach() */
        struct net_request net;
        int16_t key, version;
        int32_t correlation_id;
        const struct peer_identity *peer; /* valid until the request is answered */
        struct span body;                 /* the message */
        struct arena arena;               /* for what is decoded and for the service's own; freed with the answer */

        /* The hub's: */
        struct peer_hub *hub;
        struct peer_in *in;
        const struct peer_service *service;
        struct ilist link;
        struct mail mail;
        struct peer_out out;
        int status;
};

/* Answer with the message in @out, which is taken. Any thread; @rq is gone afterwards. When the other node has gone,
 * nothing is sent. */
void peer_answer(struct peer_request *rq, struct peer_out *out);
/* Answer that nothing was done. @why: WIRE_E_MALFORMED becomes PEER_E_MALFORMED for the caller, -ENOMEM and every other
 * negative errno PEER_E_BUSY. (What a service itself decides belongs into its messages.) Any thread; @rq is gone
 * afterwards. */
void peer_refuse(struct peer_request *rq, int why);
/* Before parking a request whose bytes are needed no more (all was copied): gives their memory back to those that wait
 * to be read. Afterwards @rq->body is null, and what was decoded from it may not be touched. On the reactor. */
void peer_request_detach(struct peer_request *rq);
/* Is the other node gone, so that an answer would reach nobody? On the reactor. */
bool peer_request_is_gone(const struct peer_request *rq);
/* The loop of the request's reactor: where mail for its connection's state goes. */
struct loop *peer_request_loop(const struct peer_request *rq);
/* A pointer of the service for the connection that @rq came on; NULL at first and once the connection is gone. A new
 * connection of the same node starts anew, and may live beside the old one for a while. On the reactor. */
void *peer_request_user(const struct peer_request *rq);
/* Only while the connection is not gone. On the reactor. */
void peer_request_set_user(struct peer_request *rq, void *user);

/* ---- the hub ---- */

struct peer_conf {
        int32_t node; /* the own id, 0.. */
        struct uuid directory;
        const char *program;             /* version; copied */
        const struct peer_level *levels; /* what this program can do; copied */
        unsigned levels_count;           /* 0..PEER_LEVELS_MAX */
        struct str cluster_id;           /* null: not known yet; copied */
        const char *listen;              /* "HOST:PORT" to listen on; NULL: calls only; copied */
        /* borrowed for the hub's life; NULL: plaintext, for tests and closed networks. The node id is then what hello
         * claims */
        struct tls_slot *tls;
        /* reads cold file pieces; NULL: addresses are numbers, files are sent as they are */
        struct iopool *pool;
        unsigned reactors_count;    /* 0: 1 */
        size_t memory_max;          /* bytes of requests being read or in work, and as many of answers; 0: 128 MiB */
        size_t frame_len_max;       /* longer ones close the connection, either way; 0: 64 MiB */
        unsigned calls_max;         /* that wait for one node on one lane; 0: 1024 */
        size_t calls_bytes_max;     /* of their messages in memory; 0: 64 MiB. One that is longer goes alone */
        int64_t clock_apart_ms_max; /* nodes whose clocks differ by more refuse each other; 0: 2 minutes */
        int64_t connect_ms_max;     /* for connecting, TLS and hello each; 0: 3 s */
        int64_t silence_ms_max;     /* see README.md, "Dead peers"; 0: 3 s */
        int64_t back_off_ms_max;    /* between attempts to connect; 0: 2 s, from 50 ms up */
};

/* Tells of connections that this hub made: @up after a hello that both sides accepted, down once when it is lost. On
 * the link's reactor.
 * @peer is borrowed for the call. Calls that were in work are failed after this was called. */
struct peer_watch {
        void (*link)(void *arg, const struct peer_identity *peer, enum peer_lane lane, bool up);
        void *arg;
};

/* Is the certificate in @x that of @node? To be asked before a context is used. Return: 0; -EINVAL with @ret_why for
 * people. */
int peer_check_certificate(const struct tls_context *x, int32_t node, char ret_why[PEER_TEXT_SIZE]);

/* Make the hub and its reactors; they run at once. Return: 0 or negative errno. */
int peer_hub_new(const struct peer_conf *conf, struct peer_hub **ret_hub);
/* Before peer_hub_start(), on one thread. @s is copied. Return: 0; -EEXIST: the key is taken; -ENOSPC: 64 are
 * registered. */
int peer_hub_register(struct peer_hub *h, const struct peer_service *s);
/* Before peer_hub_start(), on one thread. @w is copied. Return: 0; -ENOSPC: 8 are registered. */
int peer_hub_watch(struct peer_hub *h, const struct peer_watch *w);
/* Listen, and let calls through. @ret_port: the port in use, 0 without a listener; may be NULL.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, ... */
int peer_hub_start(struct peer_hub *h, uint16_t *ret_port);
/* No more calls (those in work fail, with PEER_E_STOPPED or PEER_E_LOST) and no more requests; answers in work leave, up
 * to @timeout_ms; then @done is delivered on @reply. By then done() of every call has been posted, and closed() of every
 * service has run. Requests that are still unanswered stay their services' until peer_hub_free(), which frees them: from
 * then on none may be answered, and other threads have to be done with it before. Any thread, once, after start. */
void peer_hub_stop(struct peer_hub *h, int64_t timeout_ms, struct loop *reply, struct mail *done);
/* After the stop was reported, or of a hub that was not started: end the threads, free. NULL is fine. Returns NULL. */
struct peer_hub *peer_hub_free(struct peer_hub *h);
DEFINE_FREEP(struct peer_hub, peer_hub_free)

/* From now on the own cluster is known to be @cluster_id. Connections with nodes of another cluster are closed. Any
 * thread. Return: 0; -EINVAL: empty or too long. */
int peer_hub_set_cluster(struct peer_hub *h, struct str cluster_id);

/* Where @node is found, "HOST:PORT"; NULL: nowhere any more, and calls that wait for it fail. A connection to another
 * address than the new one is closed. Saying the same again does nothing. Any thread. Return: 0; -EINVAL: no address,
 * or the own node; -ENOMEM; -ENOSPC: 4096 nodes. */
int peer_hub_set_address(struct peer_hub *h, int32_t node, const char *address);

/* ---- what is to be seen ---- */

struct peer_link_info {
        bool up;
        int64_t since_ms; /* clock_wall_ms() of the last change of @up; 0: never up */
        unsigned calls;   /* that wait for a connection or an answer */
        uint64_t calls_total, calls_failed, connects_total;
        uint64_t bytes_in, bytes_out; /* over all connections of the link, TLS not counted */
};

struct peer_info {
        int32_t node;
        bool known;                      /* @peer is filled in: the node has been spoken with, either way */
        struct peer_identity peer;       /* of the newest hello */
        char address[PEER_ADDRESS_SIZE]; /* empty: none */
        /* why the last attempt or connection ended, for people; empty when none did since the last success */
        char error[PEER_TEXT_SIZE];
        int64_t error_ms;       /* clock_wall_ms() */
        int64_t clock_ahead_ms; /* by how much its clock was ahead of ours at its last hello */
        unsigned in_count;      /* connections that it has with us */
        struct peer_link_info links[PEER_LANES_COUNT];
};

/* Every node that has an address or has been spoken with, by rising id. @infos: room for @max; may be NULL with 0.
 * Return: how many there are. Any thread. */
unsigned peer_hub_list(struct peer_hub *h, struct peer_info *ret_infos, unsigned max);
/* One node. Return: false when it is not known. Any thread. */
bool peer_hub_find(struct peer_hub *h, int32_t node, struct peer_info *ret_info);

struct peer_stats {
        struct net_stats net; /* both directions */
        uint64_t refused;     /* hellos and certificates that were not accepted, either way */
        uint64_t requests;    /* that were handed to services */
};
/* Any thread. */
void peer_hub_stats(struct peer_hub *h, struct peer_stats *ret_stats);
