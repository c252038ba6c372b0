/* The server side of connections: listeners, reactors, frames in, responses out in request order, limits.
 *
 * A frame is a 4-byte big-endian length and that many bytes. What is inside is the owner's business; net knows no
 * Kafka. A connection is born on one reactor and stays there. Its requests are handed to the owner one at a time, the
 * next when the one before is answered, except that requests which the owner calls overlappable may be in work together
 * (pipelined produce). Responses leave in request order whatever order they are given in. */
#pragma once

#include <netinet/in.h>

#include "base/budget.h"
#include "base/iobuf.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "sys/iopool.h"
#include "sys/sock.h"

struct tls_slot; /* net/tls.h */
struct net_server;
struct net_conn;
struct net_request;

/* ---- what the owner gives ---- */

struct net_ops {
        /* Bytes of the owner's request struct, whose first member is struct net_request; zeroed by net. */
        size_t request_size;

        /* A whole frame has arrived. The owner answers exactly once with net_reply(), net_reply_none() or
         * net_reply_close(), now or later, on @rq's reactor. */
        void (*request)(void *owner, struct net_request *rq);

        /* May this frame be in work beside others of its kind on its connection? Pure, called often. */
        bool (*can_overlap)(void *owner, struct span frame);

        /* A connection came or went; either may be NULL. `close` runs once, after which only unanswered requests still
         * refer to the connection. */
        void (*open)(void *owner, struct net_conn *c);
        void (*close)(void *owner, struct net_conn *c, const char *reason);

        /* For how many milliseconds nothing is read from a new connection of @host (sock_format_host()); -1: it is closed and
         * counted. Called on reactor @reactor, on which it need not stay. NULL: nobody waits. */
        int64_t (*delay)(void *owner, unsigned reactor, const char *host);
};

struct net_config {
        struct net_ops ops;
        void *owner;
        const char *name;               /* of the threads; NULL: "net" */
        struct iopool *pool;            /* reads file pieces that are not in the page cache. NULL: sent as they are */
        bool (*memory_is_plenty)(void); /* NULL: sys/memory.h; whether cold files may stay in the page cache */
        bool holds;                     /* connections wait in the kernel until net_server_admit() */
        unsigned reactors_count;        /* 1..256 */
        size_t request_len_max;         /* longer (or negative) lengths close the connection */
        size_t memory_max;              /* bytes of frames being read or in work, over all connections */
        unsigned overlap_max;           /* overlappable requests in work on one connection */
        unsigned connections_max;       /* beyond: accepted and closed at once, counted */
        unsigned connections_per_ip_max;
        unsigned connection_rate_max;            /* a second, on each listener; more wait in the kernel. 0: no limit */
        int64_t idle_ms_max;                     /* silent connections without work are closed after this */
        int64_t stall_ms_max;                    /* a frame whose bytes stop coming is given up after this */
        int64_t hurry_ms_max;                    /* the same while others wait for the memory that it holds */
        int send_buffer_len, receive_buffer_len; /* SO_SNDBUF, SO_RCVBUF; 0 leaves the kernel's auto-tuning */

        /* Answers leave as they are given, not in the order of the requests: the protocol has numbers for them. */
        bool unordered;
        /* Who ends its side reads no answers any more: the connection is closed at once, not when its requests are answered. */
        bool end_closes;
        /* For outgoing connections only; 0 where there are none. */
        size_t dial_memory_max; /* bytes of their frames being read or not given back, over all of them */
        int64_t open_ms_max;    /* a connection that is not open by then is given up; also accepted ones with TLS */
        /* TLS handshakes under way on one reactor; further connections wait for theirs. 0: 64 */
        unsigned handshakes_max;
};

/* ---- a request ---- */

struct net_request {
        struct ilist link;     /* net's: place in the connection's order */
        struct net_conn *conn; /* valid until the request is answered, even when the peer is gone */
        struct iobuf *frame;   /* the frame's bytes; the owner may take it (TAKE_PTR) and must then unref it */
        struct span body;      /* the frame's bytes without the length */
        int64_t arrived_ns;    /* clock_mono_ns() when the last byte was read */
        uint8_t state;         /* net's */
        bool overlap;          /* net's */
        uint8_t patients;      /* net's: of those before it in a row, up to NET_PATIENT_MIN */
        struct net_send *send; /* net's: the response that waits for its turn */
};

/* ---- a response: pieces of memory and of files, sent in order ---- */

struct net_piece {
        const void *data; /* memory piece when not NULL */
        int fd;           /* file piece otherwise: sent by sendfile from @pos */
        int64_t pos;
        size_t len;
        /* Called once on the reactor when the bytes have left or never will; may be NULL. */
        void (*release)(void *arg);
        void *release_arg;
};

/* Answer with @pieces (copied; count 1..4096) as one frame: net writes the 4-byte length in front. On the reactor.
 * @rq is gone afterwards: net frees it and what frame it still holds. When the peer is gone the pieces are released. */
void net_reply(struct net_request *rq, const struct net_piece *pieces, unsigned pieces_count);
/* No later request of this connection is handed over until net_request_go_on(): what @rq does elsewhere must come first.
 * From the owner's request(), for the request that it was called with. */
void net_request_hold(struct net_request *rq);
/* On @rq's reactor, before it is answered. */
void net_request_go_on(struct net_request *rq);
/* Its client does not wait for the answer to @rq. After NET_PATIENT_MIN such requests in a row, the next one of their connection may
 * be read LOOP_PATIENCE_MS late, together with those of others (sys/loop.h): until one comes of which this is not said. On @rq's
 * reactor, before it is answered. */
enum { NET_PATIENT_MIN = 4 };
void net_request_set_patient(struct net_request *rq);
/* No response at all (produce with acks=0). */
void net_reply_none(struct net_request *rq);
/* Close the connection once the responses to earlier requests have left. @reason: static text for diagnostics and
 * counters. */
void net_reply_close(struct net_request *rq, const char *reason);
/* Read nothing more from this connection for @ms (throttling, KIP-219: after the response). On the reactor. */
void net_conn_mute(struct net_conn *c, int64_t ms);

/* ---- outgoing connections: they live on a reactor beside the others ---- */

struct net_dial {
        struct sock_address address;
        struct tls_slot *tls; /* NULL: plaintext; outlives the server */
        size_t frame_len_max; /* longer (or negative) lengths close the connection */
        /* Connected, and the TLS handshake is done: net_conn_send() may be called from now on. */
        void (*open)(void *arg, struct net_conn *c);
        /* A whole frame has come; @frame is the owner's, who unrefs it. */
        void (*frame)(void *arg, struct net_conn *c, struct iobuf *frame);
        /* Once for each connection, opened or not; @c is gone afterwards. @reason is borrowed for the call. */
        void (*close)(void *arg, struct net_conn *c, const char *reason);
        void *arg;
};

/* Connect to @d->address (@d is copied). On reactor @reactor. @ret_conn: valid until close(), which is not called from
 * within. Return: 0; -ENOMEM, -EMFILE, -ENETUNREACH, ...: at once, and close() is not called; -ESHUTDOWN: the server
 * stops. */
int net_dial(struct net_server *s, unsigned reactor, const struct net_dial *d, struct net_conn **ret_conn);
/* Send @pieces (copied; count 1..4096) as one frame: net writes the length in front. On @c's reactor, @c outgoing and
 * open. Return: 0; -ENOMEM, -ENOTCONN: nothing is sent and the pieces are still the caller's. */
int net_conn_send(struct net_conn *c, const struct net_piece *pieces, unsigned pieces_count);
/* From the next frame on: longer (or negative) lengths close the connection. For those that have yet to say who they
 * are. On the reactor. */
void net_conn_limit_frames(struct net_conn *c, size_t len_max);
/* When the peer was last seen to be alive, on the clock of loop_now_ms(): it sent bytes, or took some when it had
 * taken none for a while. (Bytes that vanish in the kernel's buffers say nothing.) On the reactor. */
int64_t net_conn_alive_ms(const struct net_conn *c);
/* Bytes that came and went so far. On the reactor. */
void net_conn_bytes(const struct net_conn *c, uint64_t *ret_in, uint64_t *ret_out);

/* ---- a connection, as the owner sees it ---- */

/* Read nothing more; close once all requests in work are answered and all answers have left. At once where the
 * connection is not open yet. @reason: static text. On the reactor. */
void net_conn_hang_up(struct net_conn *c, const char *reason);
/* Close now; close() of the owner is called from within. @reason is borrowed for the call. On the reactor. */
void net_conn_drop(struct net_conn *c, const char *reason);

/* The loop of its reactor. */
struct loop *net_conn_loop(const struct net_conn *c);
/* 0..reactors_count-1: the reactor's number. */
unsigned net_conn_reactor(const struct net_conn *c);
/* The peer is gone: an answer would reach nobody. */
bool net_conn_is_gone(const struct net_conn *c);
/* "ADDRESS:PORT" of the peer, for diagnostics; and the address alone, for groups' client hosts. Owned by @c. */
const char *net_conn_peer(const struct net_conn *c);
const char *net_conn_peer_host(const struct net_conn *c);
/* The name given to net_server_listen(). */
const char *net_conn_listener(const struct net_conn *c);
/* The one URI of the peer's certificate that begins with @prefix; the certificate was verified. @size: of @ret_uri.
 * Return: 0; -ENOENT: there is none, or no certificate; -EEXIST: more than one; -EINVAL: it does not fit. On the
 * reactor. */
int net_conn_certificate_uri(const struct net_conn *c, const char *prefix, char *ret_uri, size_t size);
/* Append the subject of the peer's certificate, which was verified: a distinguished name as RFC 2253 and Java write it, the most
 * special part first ("CN=alice,OU=people,O=example"). Return: 0; -ENOENT: there is no certificate; -EINVAL: it holds what
 * cannot be written; -ENOMEM. On the reactor. */
int net_conn_certificate_name(const struct net_conn *c, struct strbuf *out);
/* Within close(): did it end for TLS: certificates that one of both does not accept, or what is no TLS? On the reactor.
 */
bool net_conn_is_refused(const struct net_conn *c);
/* The owner's pointer; NULL at first. Only on the reactor. */
void *net_conn_user(const struct net_conn *c);
void net_conn_set_user(struct net_conn *c, void *user);
uint64_t net_conn_id(const struct net_conn *c);

/* ---- life ---- */

/* Make the reactors and start their threads. Return: 0 or negative errno. */
int net_server_new(const struct net_config *cfg, struct net_server **ret_server);
/* Bind @address ("HOST:PORT", "[V6]:PORT"; port 0 picks one) under listener name @name (static) and accept on all
 * reactors (SO_REUSEPORT). @ret_port: the port in use. Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, ... */
int net_server_listen(struct net_server *s, const char *name, const char *address, uint16_t *ret_port);
/* The same with TLS; @tls outlives the server. open_ms_max has to be set. */
int net_server_listen_tls(struct net_server *s, const char *name, const char *address, struct tls_slot *tls,
                          uint16_t *ret_port);
/* The loop of a reactor. */
/* With net_config.holds: accept connections from now on, those that waited first. Once, any thread; harmless when the stop has
 * begun. */
void net_server_admit(struct net_server *s);
struct loop *net_server_loop(struct net_server *s, unsigned reactor);
unsigned net_server_reactors_count(const struct net_server *s);

/* Stop in steps: no new connections and no new requests; then answered requests are sent, up to @timeout_ms; then
 * every connection is closed and @done is called on the loop @reply. Any thread, once. */
void net_server_stop(struct net_server *s, int64_t timeout_ms, struct loop *reply, struct mail *done);
/* After the stop has been reported: end the threads, and nothing more. For owners who have requests left to clean up. */
void net_server_join(struct net_server *s);
/* After the stop has been reported: end the threads, free. NULL is fine. Returns NULL. */
struct net_server *net_server_free(struct net_server *s);

/* Counters over all reactors; any thread, not a consistent cut. */
struct net_stats {
        uint64_t connections_open, connections_total, bytes_in, bytes_out, frames_in;
        uint64_t frames_patient; /* net_request_set_patient() */
        uint64_t memory_used;
        uint64_t connections_delayed; /* by net_ops.delay */
        uint64_t closed_rate;         /* likewise */
        uint64_t closed_limit, closed_per_ip, closed_idle, closed_stalled, closed_bad_frame, closed_error;
        uint64_t closed_tls; /* accepted connections whose TLS handshake failed */
        uint64_t sends_warm,
                sends_cold;    /* stretches of file pieces that were in the page cache, or had to be read first */
        uint64_t waits_memory; /* times that reading stopped for want of memory */
};
void net_server_stats(const struct net_server *s, struct net_stats *ret_stats);
