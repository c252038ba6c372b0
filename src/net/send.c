/* The send queue: responses in order, each a list of pieces of memory and of files. Memory pieces that follow each
 * other leave in one system call, over the borders of responses; file pieces leave by sendfile. A turn sends a bounded
 * share and lets others go first.
 *
 * sendfile waits for the disk when a page is not in the page cache, and with it everybody on this reactor. So the next
 * stretch of a file is looked up first, when it is about to leave: a slow peer's answer may have been warm long ago.
 * What is not there is read by the pool, a stretch at a time, and the connection goes on when that is done. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "net/net_internal.h"
#include "sys/file.h"

enum {
        SEND_IOV_MAX = 64,
        SEND_TURN_LEN_MAX = 1 << 20,
        WARM_LEN_MAX = 1 << 20, /* looked up, or read by the pool, at a time */
        /* A peer that sends requests without reading the answers is not read from beyond these. */
        UNSENT_LEN_MAX = 1 << 20,
        UNSENT_COUNT_MAX = 128,
};

bool net_send_is_full(const struct net_conn *c)
{
        return c->unsent_len >= UNSENT_LEN_MAX || c->sends_count >= UNSENT_COUNT_MAX;
}

static void send_free_head(void *arg)
{
        free(arg);
}

struct net_send *net_send_new(const struct net_piece *pieces, unsigned pieces_count)
{
        struct net_send *x = calloc(1, sizeof *x + (pieces_count + 1) * sizeof x->pieces[0]);
        uint8_t *head = malloc(4);
        size_t len = 0;

        if (!x || !head) {
                free(x);
                free(head);
                return NULL;
        }
        for (unsigned i = 0; i < pieces_count; i++) {
                len += pieces[i].len;
                x->pieces[i + 1] = pieces[i];
        }
        assert(len <= INT32_MAX);
        store_be32(head, (uint32_t)len);
        x->pieces[0] = (struct net_piece){ .data = head, .len = 4, .release = send_free_head, .release_arg = head };
        x->count = pieces_count + 1;
        x->left = len + 4;
        ilist_init(&x->link);
        return x;
}

static void piece_release(const struct net_piece *p)
{
        if (p->release)
                p->release(p->release_arg);
}

void net_send_free(struct net_send *x)
{
        if (!x)
                return;
        ilist_unlink(&x->link);
        for (; x->at < x->count; x->at++)
                piece_release(&x->pieces[x->at]);
        free(x);
}

void net_send_queue(struct net_conn *c, struct net_send *x)
{
        ilist_push_back(&c->sends, &x->link);
        c->sends_count++;
        c->unsent_len += x->left;
}

void net_send_drop(struct net_conn *c)
{
        if (c->warming)
                return; /* warm_done() comes back; until then the file must stay open */
        ilist_for_each (x, &c->sends, struct net_send, link)
                net_send_free(x);
        c->sends_count = 0;
        c->unsent_len = 0;
}

/* Memory pieces from the front of the queue, up to @len_max. @ret_more: a file piece follows. */
static int send_gather(struct net_conn *c, size_t len_max, struct iovec *iov, bool *ret_more)
{
        int n = 0;

        *ret_more = false;
        ilist_for_each (x, &c->sends, struct net_send, link) {
                size_t done = x->at_done;

                for (unsigned i = x->at; i < x->count; i++, done = 0) {
                        const struct net_piece *p = &x->pieces[i];

                        if (p->len == done)
                                continue;
                        if (!p->data) {
                                *ret_more = true;
                                return n;
                        }
                        iov[n] = (struct iovec){ (char *)(uintptr_t)p->data + done, MIN2(p->len - done, len_max) };
                        len_max -= iov[n++].iov_len;
                        if (n == SEND_IOV_MAX || !len_max)
                                return n;
                }
        }
        return n;
}

/* @len bytes have left: release what is finished. */
static void send_advance(struct net_conn *c, size_t len)
{
        struct net_send *x;

        assert(c->unsent_len >= len);
        c->unsent_len -= len;
        while ((x = ilist_first(&c->sends, struct net_send, link))) {
                struct net_piece *p = &x->pieces[x->at];
                size_t part = MIN2(len, p->len - x->at_done);

                x->at_done += part;
                x->left -= part;
                len -= part;
                if (x->at_done < p->len)
                        break;
                x->at++;
                x->at_done = 0;
                piece_release(p);
                if (x->at < x->count)
                        continue;
                assert(!x->left);
                net_send_free(x);
                c->sends_count--;
        }
        assert(!len);
}

static void warm_run(struct io_job *job)
{
        struct net_conn *c = container_of(job, struct net_conn, warm);

        (void)file_warm(c->warm_fd, c->warm_pos, c->warm_len); /* sendfile will say what is wrong with the file */
}

static void warm_done(struct io_job *job)
{
        struct net_conn *c = container_of(job, struct net_conn, warm);
        struct net_reactor *r = c->reactor;

        c->warming = false;
        c->warm_left =
                c->warm_len; /* sent without another look, so that a busy page cache cannot hold us up for ever */
        r->warms_count--;
        if (c->state == CONN_GONE)
                net_send_drop(c);
        else
                net_reactor_kick(r, c);
        net_conn_release(c);
        net_reactor_check_stopped(r);
}

/* Look at the next stretch of the file piece in front. False: the pool reads it. */
static bool warm_look(struct net_conn *c, const struct net_piece *p, size_t at)
{
        struct net_reactor *r = c->reactor;
        struct iopool *pool = r->server->cfg.pool;
        int64_t pos = p->pos + (int64_t)at;
        size_t len = MIN2(p->len - at, (size_t)WARM_LEN_MAX);

        if (!pool || file_is_cached(p->fd, pos, len)) {
                counter_add(&r->counters.sends_warm, 1);
                c->warm_left = len;
                return true;
        }
        counter_add(&r->counters.sends_cold, 1);
        c->warm = (struct io_job){ .run = warm_run, .done = warm_done, .reply_loop = r->loop };
        c->warm_fd = p->fd;
        c->warm_pos = pos;
        c->warm_len = len;
        c->warming = true;
        r->warms_count++;
        net_conn_hold(c);
        iopool_submit(pool, &c->warm);
        return false;
}

/* Return: bytes sent; 0: the pool is asked; negative errno. */
static ssize_t send_file_piece(struct net_conn *c, size_t len_max)
{
        struct net_send *x = ilist_first(&c->sends, struct net_send, link);
        struct net_piece *p = &x->pieces[x->at];
        ssize_t n;

        if (!c->warm_left && !warm_look(c, p, x->at_done))
                return 0;
        n = sock_sendfile(c->fd, p->fd, p->pos + (int64_t)x->at_done, MIN2(c->warm_left, len_max));
        if (n > 0)
                c->warm_left -= (size_t)n;
        return n ? n : -EIO; /* the file ends before the range: what was announced cannot be kept */
}

int net_send_some(struct net_conn *c)
{
        size_t share = SEND_TURN_LEN_MAX;

        while (!ilist_is_empty(&c->sends) && !c->warming) {
                struct iovec iov[SEND_IOV_MAX];
                bool more;
                int n;
                ssize_t sent;

                if (!share) {
                        net_reactor_kick(c->reactor, c);
                        return 0;
                }
                send_advance(c, 0); /* empty pieces in front */
                n = send_gather(c, share, iov, &more);
                if (!n && !more)
                        break;
                sent = n ? sock_writev(c->fd, iov, n, more) : send_file_piece(c, share);
                if (sent <= 0)
                        return (int)sent;
                c->progress_ms = loop_now_ms(c->reactor->loop);
                counter_add(&c->reactor->counters.bytes_out, (uint64_t)sent);
                send_advance(c, (size_t)sent);
                share -= MIN2(share, (size_t)sent);
        }
        return 0;
}
