/* Inside of net; for this folder only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "net/server.h"
#include "sys/sock.h"

enum {
        NET_CONN_MAGIC = 0x636f6e6e,
        NET_REACTOR_MAGIC = 0x72656163,
        NET_LISTENERS_MAX = 32,
        SCRATCH_LEN = 64 * 1024, /* one read; small frames are cut out of it */
};

/* ---- memory.c: the budget of frames, with a queue for those who must wait ---- */

struct tls_slot;
struct net_memory;

struct net_memory_wait {
        struct ilist link;
        size_t frame_len;
        struct loop *loop;
        struct mail granted; /* posted once the memory is reserved */
};

/* @limit: bytes of all frames together. NULL: out of memory. */
struct net_memory *net_memory_new(size_t limit);
/* The server is gone; freed when the last frame is. */
void net_memory_close(struct net_memory *m);
/* Reserve a frame's memory. False when it does not fit or others wait. */
bool net_memory_take(struct net_memory *m, size_t frame_len);
/* iobuf's release function: gives back, grants to those who wait. Any thread. */
void net_memory_give(void *memory, size_t frame_len);
/* Stand in the queue; @w->granted comes by mail, maybe at once. */
void net_memory_wait(struct net_memory *m, struct net_memory_wait *w);
/* True: out of the queue. False: the mail is on its way and the memory is @w's. */
bool net_memory_cancel(struct net_memory *m, struct net_memory_wait *w);
/* Somebody waits to read a frame of this kind. */
bool net_memory_is_awaited(struct net_memory *m, size_t frame_len);
/* Bytes that were read and cannot be looked at yet: taken whether there is room or not. */
void net_memory_take_left(struct net_memory *m, size_t len);
void net_memory_give_left(void *memory, size_t len);
/* Without a lock: may more be read from a socket than is sure to be used? */
bool net_memory_has_room_for_left(struct net_memory *m);
uint64_t net_memory_used(struct net_memory *m);

/* ---- limits.c: how many connections, in all and of one address ---- */

struct net_limits;
enum { LIMITS_OK, LIMITS_E_TOTAL, LIMITS_E_PER_IP };

/* NULL: out of memory. */
struct net_limits *net_limits_new(unsigned total_max, unsigned per_ip_max);
struct net_limits *net_limits_free(struct net_limits *l);
/* Count one in. Return: 0; LIMITS_E_TOTAL; LIMITS_E_PER_IP; -ENOMEM. Any thread. */
int net_limits_take(struct net_limits *l, const uint8_t key[16]);
void net_limits_give(struct net_limits *l, const uint8_t key[16]);

/* ---- stats.c: each reactor counts for itself ---- */

struct net_counters {
        _Atomic uint64_t connections_open, connections_total, bytes_in, bytes_out, frames_in, frames_patient;
        _Atomic uint64_t connections_delayed, closed_rate;
        _Atomic uint64_t closed_limit, closed_per_ip, closed_idle, closed_stalled, closed_bad_frame, closed_error,
                closed_tls;
        _Atomic uint64_t waits_memory, sends_warm, sends_cold;
};

/* On the reactor that owns the counter. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- reactor.c ---- */

struct net_reactor {
        unsigned magic;
        unsigned number;
        struct net_server *server;
        struct loop *loop;
        uint8_t *scratch; /* SCRATCH_LEN */
        uint8_t *tls_out; /* TLS_OUT_LEN, once there is TLS: what is being encrypted */
        size_t tls_out_len;
        struct ilist conns;    /* accepted ones, longest silent first */
        struct ilist dials;    /* outgoing ones */
        struct ilist partials; /* those with a frame that is not complete, and those that are to close */
        struct ilist senders;  /* those whose socket takes no more */
        struct ilist ready;    /* those to be looked at before the loop waits */
        struct ilist gone;     /* closed, with unanswered requests or mail on its way */
        struct ilist yielded;  /* those that have had their share, and go on when the others have had theirs */
        struct mail ready_mail, yielded_mail;
        struct ilist shake_waits; /* for their TLS handshake */
        unsigned shakes_count;    /* TLS handshakes under way */
        bool ready_posted, yielded_posted;
        bool stopping, stop_reported;
        unsigned conns_count;
        unsigned warms_count;    /* jobs on the pool, each of a connection in one of the lists */
        struct loop_timer sweep; /* finds the idle and the stalled */
        struct loop_timer deadline;
        struct mail start_mail, stop_mail;
        struct net_counters counters;
};

int net_reactor_init(struct net_reactor *r, struct net_server *s, unsigned number);
/* After its thread has ended. */
void net_reactor_fini(struct net_reactor *r);
/* Have @c looked at before the loop waits. */
void net_reactor_kick(struct net_reactor *r, struct net_conn *c);
/* The same when it has had its share of this turn: the others' sockets are looked at first. */
void net_reactor_yield(struct net_reactor *r, struct net_conn *c);
/* Tells the server when a stopping reactor has no connection left. */
void net_reactor_check_stopped(struct net_reactor *r);

/* ---- listener.c ---- */

struct net_listener {
        struct net_server *server;
        struct net_reactor *reactor;
        const char *name;
        struct tls_slot *tls; /* NULL: plaintext */
        struct loop_io io;
        struct loop_timer back_off;
        double left; /* connections that may be accepted now, with a limit of their rate */
        int64_t left_ns;
        int fd, reserve_fd;
        struct mail start_mail;
};

/* Bind and listen: 0 or a negative errno. Start accepts from then on, on the reactor's loop; close is called there. */
int net_listener_open(struct net_listener *l, struct net_server *s, const char *name, const struct sock_address *a);
void net_listener_start(struct net_listener *l);
void net_listener_close(struct net_listener *l);

/* ---- server.c ---- */

struct net_server {
        struct net_config cfg;
        struct net_memory *memory, *dial_memory;
        struct net_limits *limits;
        atomic_uint next_reactor;
        _Atomic uint64_t next_conn_id;
        pthread_mutex_t listeners_lock; /* guards the two below, admits and stopping; posts mail */
        struct net_listener *listeners[NET_LISTENERS_MAX];
        unsigned listeners_count;
        bool admits, stopping;
        int64_t stop_timeout_ms;
        atomic_uint reactors_left; /* that have not reported their stop */
        struct loop *stop_loop;
        struct mail *stop_done;
        struct net_reactor reactors[];
};

/* ---- conn.c ---- */

enum conn_state { CONN_NEW, CONN_CONNECT, CONN_WAIT, CONN_SHAKE, CONN_OPEN, CONN_DRAIN, CONN_GONE };

struct net_send {
        struct ilist link;
        size_t left;    /* bytes not sent */
        size_t at_done; /* bytes sent of the piece at @at */
        unsigned count, at;
        uint8_t head[4];           /* the length in front */
        struct net_piece pieces[]; /* the first is head */
};

struct net_conn {
        unsigned magic;
        uint8_t state;
        bool muted, waits_memory, send_blocked, barrier, frame_overlap;
        bool opened;         /* the owner was told of it */
        bool shaking;        /* counted in the reactor's shakes_count */
        uint8_t turn_frames; /* handed over since others had their turn */
        uint8_t head_len;
        uint8_t patient_count; /* requests in a row that were patient, up to NET_PATIENT_MIN */
        bool frames_are_large; /* the last one was, so the next one will be */
        uint8_t head[4];
        int fd;
        unsigned holds; /* stack frames and mail that refer to this connection */
        struct net_reactor *reactor;
        struct net_memory *memory; /* that its frames count against */
        struct net_dial *dial;     /* of an outgoing one; NULL otherwise */
        struct net_tls *tls;       /* NULL: plaintext */
        struct tls_slot *slot;     /* what it is made from */
        const char *listener;
        const char *close_reason; /* while draining */
        void *user;
        uint64_t id;
        struct ilist link, ready_link, partial_link, sender_link, shake_link;
        struct loop_io io;
        struct loop_timer mute;
        struct net_memory_wait wait;
        struct mail start_mail;
        int64_t delay_ms; /* before anything is read from it */
        int64_t active_ms, partial_ms, progress_ms, drained_ms;
        uint64_t bytes_in, bytes_out;
        size_t partial_got; /* of the frame at partial_ms */

        /* reading */
        struct iobuf *frame; /* being filled, or complete and not handed over */
        size_t frame_got, frame_len_max;
        int64_t frame_ns;
        struct iobuf *left; /* bytes that were read and not looked at */
        size_t left_at;

        /* answering */
        struct ilist requests; /* in order */
        unsigned requests_count;
        struct ilist sends; /* in order */
        unsigned sends_count;
        size_t unsent_len;
        struct net_warm *warm; /* under way on the pool: reads what is to be sent next into the page cache */
        size_t cold_left;      /* see cold.c */
        size_t warm_left;      /* of the file piece in front: bytes that are known to be in the page cache */

        struct sock_address address;
        char peer[SOCK_TEXT_SIZE], peer_host[SOCK_TEXT_SIZE];
};
static_assert(sizeof(struct net_conn) < 1024, "an idle connection stays small");

/* A connection for @fd, taken over with its place in the limits; started on its reactor by mail, and read from after @delay_ms.
 * -ENOMEM: nothing taken. */
int net_conn_new(struct net_reactor *r, const struct net_listener *l, int fd, const struct sock_address *a,
                 int64_t delay_ms);
/* The inside of net_conn_new() and net_dial(): memory for a connection; and, on its reactor, its beginning. NULL: out
 * of memory. */
struct net_conn *net_conn_alloc(struct net_reactor *r, int fd, const struct sock_address *a);
void net_conn_start(struct net_conn *c);
/* Its socket is connected: from now on frames come and go. Any time after CONN_NEW. */
void net_conn_opened(struct net_conn *c);
/* Close now. @counter: the reason's, or NULL. */
void net_conn_close(struct net_conn *c, const char *reason, _Atomic uint64_t *counter);
/* Read no more; close when everything that is in work is answered and sent. */
void net_conn_drain(struct net_conn *c, const char *reason);
/* Do what can be done now: send, hand over, read on. May free @c. */
void net_conn_turn(struct net_conn *c);
void net_conn_free_gone(struct net_conn *c);

static inline void net_conn_hold(struct net_conn *c)
{
        c->holds++;
}
/* May free @c. */
void net_conn_release(struct net_conn *c);

/* ---- dial.c ---- */

/* The socket of a connection in CONN_CONNECT is writable. */
void net_dial_connected(struct net_conn *c);
/* Hand the frame that is complete to the owner of an outgoing connection. */
void net_dial_frame(struct net_conn *c);

/* ---- tls_conn.c: what read.c and send.c use where a connection has TLS (see tls_internal.h) ---- */

struct net_tls;

/* As sock_readv(), over the TLS of @c. */
ssize_t net_tls_readv(struct net_conn *c, const struct iovec *iov, int iov_count);
/* As sock_writev(): some of the bytes are encrypted, and on their way or kept until the socket takes them. */
ssize_t net_tls_writev(struct net_conn *c, const struct iovec *iov, int iov_count);
/* As sock_sendfile(). */
ssize_t net_tls_sendfile(struct net_conn *c, int file_fd, int64_t pos, size_t len);
/* To the socket with what is kept. Return: 0; -EAGAIN: some is left; another negative errno. */
int net_tls_flush(struct net_conn *c);
bool net_tls_is_flushed(const struct net_conn *c);
/* There may be bytes to read that the socket will not tell of. */
bool net_tls_has_more(const struct net_conn *c);
/* Why a read or write failed with -EPROTO. */
const char *net_tls_why(const struct net_conn *c);
/* It is for TLS that the connection failed. */
bool net_tls_is_refused(const struct net_conn *c);
/* Go on with the handshake of a connection in CONN_SHAKE, which is opened or closed by it. */
void net_tls_turn(struct net_conn *c);
/* Begin it; or wait until there are fewer. */
void net_tls_begin(struct net_conn *c);
/* Out of the handshake, one way or the other: the next may begin. */
void net_tls_end_shake(struct net_conn *c);
/* Before the socket is closed. */
void net_tls_drop(struct net_conn *c);

/* ---- read.c ---- */

/* The socket is readable. */
void net_read_socket(struct net_conn *c);
/* Go on with what was read before. */
void net_read_resume(struct net_conn *c);
bool net_read_is_wanted(const struct net_conn *c);
/* A frame is under way: its bytes are awaited, or memory for them. */
bool net_read_is_partial(const struct net_conn *c);
/* Has the frame under way come forward enough in the time since partial_ms, or is that too short to tell? Begins the
 * next stretch of time when it has. */
bool net_read_is_stalled(struct net_conn *c, int64_t now_ms);
void net_read_drop(struct net_conn *c);

/* ---- request.c ---- */

/* May the complete frame be handed to the owner now? */
bool net_request_may_start(struct net_conn *c);
void net_request_start(struct net_conn *c);
/* Free those that are answered; the rest stays with the owner. */
void net_request_drop_answered(struct net_conn *c);
void net_request_drop_all(struct net_conn *c);
bool net_send_is_full(const struct net_conn *c);

/* ---- send.c ---- */

/* NULL when memory is out; the pieces are still the caller's. */
struct net_send *net_send_new(const struct net_piece *pieces, unsigned pieces_count);
/* Release what was not sent. NULL is fine. */
void net_send_free(struct net_send *x);
void net_send_queue(struct net_conn *c, struct net_send *x);
/* Send until the socket is full, the disk is asked, or the turn's share is used up. Return: 0; -EAGAIN: the socket is
 * full; or the error that ends @c. */
int net_send_some(struct net_conn *c);
/* Release everything; what the pool is reading just now, when it has done so. */
void net_send_drop(struct net_conn *c);

/* ---- cold.c ---- */

/* Look at the next stretch of the file piece in front of @x, the first send of @c. Return: true with c->warm_left set: it may
 * be sent; false: the pool reads it and the connection is kicked when that is done. */
bool net_cold_look(struct net_conn *c, const struct net_send *x);
