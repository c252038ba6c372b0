/* See network.h. A connection is two sockets; each has what has arrived, and what is on its way to it. */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "machine.h"
#include "sys/file.h"
#include "sys/loop.h"

enum {
        FD_FIRST = 100000,
        SOCKETS_MAX = 8192,
        BUFFER_LEN = 128 * 1024, /* on the way and arrived, of one direction */
        BYTE_NS = 8,             /* 125 MB/s */
        LOCAL_NS = 15 * US,
        RETRY_NS = 200 * MS, /* until bytes that were lost are sent again; doubled each time */
};

#define GIVE_UP_NS (SECOND * 120) /* nothing gets through for so long: ETIMEDOUT */
#define CONNECT_NS (SECOND * 30)

enum kind { LISTENING, CONNECTING, OPEN, BROKEN };

/* Bytes on their way, or the end of them (none), or a reset. */
struct packet {
        struct ilist link;
        int64_t sent_ns, at_ns, retry_ns;
        bool reset;
        size_t len;
        uint8_t data[];
};

/* Not freed: few, small, and referred to by the other end. */
struct sock {
        struct ilist link; /* of all that are open */
        int fd;            /* -1: nobody has it open */
        enum kind kind;
        struct machine *machine;
        struct sock_address local, remote;
        struct sock *peer;
        int error;           /* pending; negative errno */
        bool ended;          /* the peer sends no more */
        bool closed;         /* by its owner */
        bool vanished;       /* with the power */
        struct ilist coming; /* packets in order; only the first is planned */
        struct due arrival;
        uint8_t *in; /* arrived and not read */
        size_t in_at, in_len, in_room, coming_len;

        struct ilist queue, queue_link; /* LISTENING: those that wait to be accepted */
        struct due attempt;             /* CONNECTING */
        int64_t begun_ns, retry_ns;

        struct loop_io *watcher;
        struct fiber_queue waiters;
};

static struct sock *socks[SOCKETS_MAX];
static struct ilist all = { &all, &all };
static bool cuts[MACHINES_MAX + 1][MACHINES_MAX + 1];
static int64_t latency_ns = 150 * US;
static uint16_t port_next = 40000;
struct network_stats network_stats;

/* ---- addresses ---- */

struct sock_address network_address(const struct machine *m, uint16_t port)
{
        struct sock_address a = { 0 };

        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        a.v4.sin_addr.s_addr = htonl(0x0a000000u + (uint32_t)m->number);
        return a;
}

static struct machine *machine_at(const struct sock_address *a)
{
        uint32_t n = ntohl(a->v4.sin_addr.s_addr) - 0x0a000000u;

        return n >= 1 && n <= machines_count() ? machine_of(n - 1) : NULL;
}

struct machine *network_machine(const char *host)
{
        struct sock_address a = { 0 };

        return inet_pton(AF_INET, host, &a.v4.sin_addr) == 1 ? machine_at(&a) : NULL;
}

static bool is_cut(const struct machine *from, const struct machine *to)
{
        return cuts[from->number][to->number];
}

static int64_t way_ns(const struct machine *from, const struct machine *to)
{
        if (from == to)
                return LOCAL_NS + chance_below(&sim_chance, LOCAL_NS);
        return latency_ns + chance_below(&sim_chance, (uint64_t)latency_ns * (chance_one_in(&sim_chance, 16) ? 3 : 1));
}

/* ---- sockets ---- */

static struct sock *sock_of(int fd)
{
        assert(fd >= FD_FIRST && fd < FD_FIRST + SOCKETS_MAX && socks[fd - FD_FIRST]);
        return socks[fd - FD_FIRST];
}

static struct sock *sock_make(struct machine *m, enum kind kind)
{
        struct sock *s = calloc(1, sizeof *s);

        assert(s);
        s->fd = -1;
        s->kind = kind;
        s->machine = m;
        ilist_init(&s->coming);
        ilist_init(&s->queue);
        ilist_init(&s->queue_link);
        ilist_push_back(&all, &s->link);
        return s;
}

static int fd_give(struct sock *s)
{
        for (int i = 0; i < SOCKETS_MAX; i++)
                if (!socks[i]) {
                        socks[i] = s;
                        return s->fd = FD_FIRST + i;
                }
        return -EMFILE;
}

int network_ready(int fd)
{
        const struct sock *s = sock_of(fd);
        int events = 0;

        if (s->kind == LISTENING)
                return ilist_is_empty(&s->queue) ? 0 : LOOP_READ;
        if (s->kind == CONNECTING)
                return 0;
        if (s->in_len || s->ended || s->kind == BROKEN)
                events |= LOOP_READ;
        if (s->kind == BROKEN || s->peer->in_len + s->peer->coming_len < BUFFER_LEN)
                events |= LOOP_WRITE;
        return events;
}

static void news(struct sock *s)
{
        if (s->watcher && (network_ready(s->fd) & s->watcher->ev.events))
                machine_loop_wake(s->watcher);
        fiber_queue_wake_all(&s->waiters);
}

void network_watch(int fd, struct loop_io *w)
{
        sock_of(fd)->watcher = w;
}

void network_wait(int fd, int events, int64_t until_ns)
{
        while (!(network_ready(fd) & events) && sim_now() < until_ns)
                fiber_queue_wait(&sock_of(fd)->waiters, until_ns);
}

unsigned network_open_count(const struct machine *m)
{
        unsigned n = 0;

        ilist_for_each (s, &all, struct sock, link)
                n += s->machine == m && s->fd >= 0;
        return n;
}

/* ---- packets ---- */

static void packets_drop(struct sock *s)
{
        ilist_for_each (p, &s->coming, struct packet, link) {
                ilist_unlink(&p->link);
                free(p);
        }
        s->coming_len = 0;
        due_cancel(&s->arrival);
}

/* The connection is no more, as far as this end knows. */
static void break_off(struct sock *s, int error)
{
        packets_drop(s);
        s->in_len = 0;
        if (s->kind == BROKEN)
                return;
        s->kind = BROKEN;
        s->error = error;
        news(s);
}

static void on_arrival(struct due *d);

static void plan_next(struct sock *s)
{
        const struct packet *p = ilist_first(&s->coming, struct packet, link);

        if (p && !s->arrival.place)
                due_plan(&s->arrival, MAX2(p->at_ns, sim_now()), on_arrival);
}

static void packet_send(struct sock *to, const void *data, size_t len, bool reset)
{
        struct packet *p;

        if (to->closed && to->peer->closed && !len)
                return; /* nobody cares */
        p = calloc(1, sizeof *p + len);
        assert(p);
        p->len = len;
        p->reset = reset;
        p->sent_ns = sim_now();
        p->at_ns = sim_now() + way_ns(to->peer->machine, to->machine) + (int64_t)len * BYTE_NS;
        if (len)
                memcpy(p->data, data, len);
        ilist_push_back(&to->coming, &p->link);
        to->coming_len += len;
        network_stats.bytes += len;
        plan_next(to);
}

static void keep(struct sock *s, const struct packet *p)
{
        if (s->in_at + s->in_len + p->len > s->in_room) {
                if (s->in_len)
                        memmove(s->in, s->in + s->in_at, s->in_len);
                s->in_at = 0;
                if (s->in_len + p->len > s->in_room) {
                        s->in_room = s->in_len + p->len + 4096;
                        s->in = realloc(s->in, s->in_room);
                        assert(s->in);
                }
        }
        memcpy(s->in + s->in_at + s->in_len, p->data, p->len);
        s->in_len += p->len;
}

/* It did not get through: TCP sends it again, for a while. */
static void lost(struct sock *s, struct packet *p)
{
        if (sim_now() - p->sent_ns > GIVE_UP_NS || s->peer->closed || s->peer->vanished) {
                packets_drop(s);
                if (!s->peer->closed && !s->peer->vanished)
                        break_off(s->peer, -ETIMEDOUT);
                return;
        }
        p->retry_ns = p->retry_ns ? MIN2(p->retry_ns * 2, SECOND * 20) : RETRY_NS;
        due_plan(&s->arrival, sim_now() + p->retry_ns, on_arrival);
}

static void on_arrival(struct due *d)
{
        struct sock *s = container_of(d, struct sock, arrival);
        struct packet *p = ilist_first(&s->coming, struct packet, link);

        if (is_cut(s->peer->machine, s->machine) || (s->vanished && !s->machine->is_up)) {
                lost(s, p);
                return;
        }
        ilist_unlink(&p->link);
        s->coming_len -= p->len;
        if (s->closed || s->vanished) {
                if (p->len && !s->peer->closed && !s->peer->vanished)
                        packet_send(s->peer, NULL, 0, true);
        } else if (p->reset) {
                network_stats.resets++;
                break_off(s, -ECONNRESET);
        } else if (!p->len) {
                s->ended = true;
                news(s);
        } else if (s->kind == OPEN) {
                keep(s, p);
                news(s);
        }
        free(p);
        plan_next(s);
}

/* ---- closing ---- */

/* @tells: the peer gets to know. */
static void hang_up(struct sock *s, bool tells)
{
        bool unread = s->in_len || s->coming_len;

        ilist_for_each (waiting, &s->queue, struct sock, queue_link) {
                ilist_unlink(&waiting->queue_link);
                hang_up(waiting, tells);
        }
        if (s->fd >= 0)
                socks[s->fd - FD_FIRST] = NULL;
        s->fd = -1;
        s->watcher = NULL;
        s->waiters.first = NULL;
        ilist_unlink(&s->link);
        ilist_unlink(&s->queue_link);
        due_cancel(&s->attempt);
        if (tells)
                s->closed = true;
        else
                s->vanished = true;
        free(s->in);
        s->in = NULL;
        s->in_at = s->in_len = s->in_room = 0;
        if (s->kind == OPEN && tells)
                packet_send(s->peer, NULL, 0, unread);
}

bool network_close(int fd)
{
        if (fd < FD_FIRST)
                return false;
        hang_up(sock_of(fd), true);
        return true;
}

/* One that is open. Those in a listener's queue go with it. */
static struct sock *open_one(const struct machine *m)
{
        ilist_for_each (s, &all, struct sock, link)
                if (s->machine == m && s->fd >= 0)
                        return s;
        return NULL;
}

void network_end(struct machine *m, bool tells)
{
        struct sock *s;

        while ((s = open_one(m)))
                hang_up(s, tells);
}

/* ---- connecting ---- */

static bool listens(const struct sock *s, const struct sock_address *a)
{
        return s->kind == LISTENING && s->local.v4.sin_port == a->v4.sin_port &&
               (!s->local.v4.sin_addr.s_addr || s->local.v4.sin_addr.s_addr == a->v4.sin_addr.s_addr);
}

static struct sock *listener_at(const struct machine *m, const struct sock_address *a)
{
        ilist_for_each (s, &all, struct sock, link)
                if (s->machine == m && listens(s, a))
                        return s;
        return NULL;
}

static void connect_failed(struct sock *s, int error)
{
        network_stats.connects_failed++;
        s->kind = BROKEN;
        s->error = error;
        news(s);
}

static void on_attempt(struct due *d)
{
        struct sock *s = container_of(d, struct sock, attempt), *listener, *peer;
        struct machine *m = machine_at(&s->remote);
        bool silent =
                m && (is_cut(s->machine, m) || is_cut(m, s->machine) || (!m->is_up && chance_one_in(&sim_chance, 2)));

        if (silent && sim_now() - s->begun_ns < CONNECT_NS) {
                s->retry_ns = s->retry_ns ? s->retry_ns * 2 : SECOND;
                due_plan(d, sim_now() + s->retry_ns, on_attempt);
                return;
        }
        listener = m && !silent ? listener_at(m, &s->remote) : NULL;
        if (!listener) {
                connect_failed(s, silent ? -ETIMEDOUT : m ? -ECONNREFUSED : -EHOSTUNREACH);
                return;
        }
        peer = sock_make(m, OPEN);
        peer->local = s->remote;
        peer->remote = s->local;
        peer->peer = s;
        s->peer = peer;
        s->kind = OPEN;
        ilist_push_back(&listener->queue, &peer->queue_link);
        news(listener);
        news(s);
}

int sock_connect(const struct sock_address *a)
{
        struct machine *m = machine_here(), *to = machine_at(a);
        struct sock *s = sock_make(m, CONNECTING);
        int fd = fd_give(s);

        if (fd < 0) {
                hang_up(s, true);
                return fd;
        }
        network_stats.connects++;
        s->remote = *a;
        s->local = network_address(m, ++port_next < 40000 ? (port_next = 40000) : port_next);
        s->begun_ns = sim_now();
        due_plan(&s->attempt, sim_now() + (to ? way_ns(m, to) + way_ns(to, m) : MS), on_attempt);
        return fd;
}

int sock_listen(const struct sock_address *a, bool reuse_port)
{
        struct sock *s;
        int fd;

        (void)reuse_port;
        ilist_for_each (other, &all, struct sock, link)
                if (other->machine == machine_here() && other->kind == LISTENING && a->v4.sin_port &&
                    other->local.v4.sin_port == a->v4.sin_port)
                        return -EADDRINUSE;
        s = sock_make(machine_here(), LISTENING);
        s->local = *a;
        if (!a->v4.sin_port)
                s->local.v4.sin_port = htons(++port_next);
        fd = fd_give(s);
        if (fd < 0)
                hang_up(s, true);
        return fd;
}

int sock_accept(int fd, struct sock_address *ret_peer)
{
        struct sock *s = sock_of(fd), *peer = ilist_first(&s->queue, struct sock, queue_link);
        int r;

        if (!peer)
                return -EAGAIN;
        r = fd_give(peer);
        if (r < 0)
                return r;
        ilist_unlink(&peer->queue_link);
        *ret_peer = peer->remote;
        return r;
}

int sock_local(int fd, struct sock_address *ret_address)
{
        *ret_address = sock_of(fd)->local;
        return 0;
}

int sock_error(int fd)
{
        struct sock *s = sock_of(fd);
        int r = s->error;

        s->error = 0;
        return r;
}

int sock_tune(int fd)
{
        (void)sock_of(fd);
        return 0;
}

int sock_set_buffers(int fd, int send_len, int receive_len)
{
        (void)sock_of(fd);
        (void)send_len;
        (void)receive_len;
        return 0;
}

/* ---- bytes ---- */

/* What is asked for, or less, now and then. */
static size_t part(size_t len)
{
        return len > 1 && chance_one_in(&sim_chance, 16) ? 1 + chance_below(&sim_chance, len) : len;
}

ssize_t sock_readv(int fd, const struct iovec *iov, int iov_count)
{
        struct sock *s = sock_of(fd);
        size_t done = 0, most = part(s->in_len);

        if (s->kind == BROKEN) {
                int r = sock_error(fd);

                return r ? r : 0;
        }
        if (!s->in_len)
                return s->ended ? 0 : -EAGAIN;
        for (int i = 0; i < iov_count && done < most; i++) {
                size_t n = MIN2(iov[i].iov_len, most - done);

                if (n)
                        memcpy(iov[i].iov_base, s->in + s->in_at + done, n);
                done += n;
        }
        s->in_at += done;
        s->in_len -= done;
        if (!s->in_len)
                s->in_at = 0;
        if (!s->peer->closed && !s->peer->vanished)
                news(s->peer); /* there is room again */
        return (ssize_t)done;
}

int sock_readable_len(int fd)
{
        return (int)sock_of(fd)->in_len;
}

static ssize_t send_bytes(struct sock *s, const struct iovec *iov, int iov_count)
{
        static uint8_t buf[BUFFER_LEN];
        size_t len = 0, room, most;

        if (s->kind != OPEN) {
                int r = s->error;

                s->error = 0;
                return s->kind == CONNECTING ? -EAGAIN : r ? r : -EPIPE;
        }
        room = s->peer->in_len + s->peer->coming_len;
        room = room < BUFFER_LEN ? BUFFER_LEN - room : 0;
        if (!room)
                return -EAGAIN;
        most = part(room);
        for (int i = 0; i < iov_count && len < most; i++) {
                size_t n = MIN2(iov[i].iov_len, most - len);

                if (n)
                        memcpy(buf + len, iov[i].iov_base, n);
                len += n;
        }
        if (len)
                packet_send(s->peer, buf, len, false);
        return (ssize_t)len;
}

ssize_t sock_writev(int fd, const struct iovec *iov, int iov_count, bool more)
{
        (void)more;
        return send_bytes(sock_of(fd), iov, iov_count);
}

ssize_t sock_sendfile(int fd, int file_fd, int64_t pos, size_t len)
{
        static uint8_t buf[BUFFER_LEN];
        struct sock *s = sock_of(fd);
        ssize_t n;

        if (s->kind == OPEN && s->peer->in_len + s->peer->coming_len >= BUFFER_LEN)
                return -EAGAIN;
        n = file_pread(file_fd, buf, MIN2(len, sizeof buf), pos);
        if (n <= 0)
                return n;
        return send_bytes(s, &(struct iovec){ buf, (size_t)n }, 1);
}

bool sock_is_peer_error(int r)
{
        return r == -EPIPE || r == -ECONNRESET || r == -ETIMEDOUT || r == -EHOSTUNREACH || r == -ENETUNREACH ||
               r == -ECONNREFUSED || r == -ENOTCONN;
}

/* ---- what is done to it ---- */

void network_cut(const struct machine *from, const struct machine *to, bool cut)
{
        cuts[from->number][to->number] = cut;
}

void network_heal_all(void)
{
        memset(cuts, 0, sizeof cuts);
}

bool network_is_cut(void)
{
        return memchr(cuts, true, sizeof cuts);
}

void network_set_latency(int64_t ns)
{
        latency_ns = ns;
}

bool network_reset_one(const struct machine *m)
{
        struct sock *found = NULL;
        unsigned n = 0;

        ilist_for_each (s, &all, struct sock, link)
                if (s->machine == m && s->kind == OPEN && s->fd >= 0 && chance_one_in(&sim_chance, ++n))
                        found = s;
        if (!found)
                return false;
        break_off(found->peer, -ECONNRESET);
        break_off(found, -ECONNRESET);
        return true;
}
