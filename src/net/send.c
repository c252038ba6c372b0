/* The send queue: responses in order, each a list of pieces of memory and of files. Memory pieces that follow each
 * other leave in one system call, over the borders of responses; file pieces leave by sendfile. A turn sends a bounded
 * share and lets others go first. What is not in the page cache waits for the pool: cold.c. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "net/net_internal.h"

enum {
        SEND_IOV_MAX = 64,
        SEND_TURN_LEN_MAX = 1 << 20,
        /* A peer that sends requests without reading the answers is not read from beyond these. */
        UNSENT_LEN_MAX = 1 << 20,
        UNSENT_COUNT_MAX = 128,
};

bool net_send_is_full(const struct net_conn *c)
{
        /* Where this side asks, it must read the answers whatever it has yet to ask: the peer may be waiting for that.
         */
        return !c->dial && (c->unsent_len >= UNSENT_LEN_MAX || c->sends_count >= UNSENT_COUNT_MAX);
}

struct net_send *net_send_new(const struct net_piece *pieces, unsigned pieces_count)
{
        struct net_send *x = malloc(sizeof *x + (pieces_count + 1) * sizeof x->pieces[0]); /* as in request.c */
        size_t len = 0;

        if (!x)
                return NULL;
        *x = (struct net_send){ 0 };
        for (unsigned i = 0; i < pieces_count; i++) {
                len += pieces[i].len;
                x->pieces[i + 1] = pieces[i];
        }
        assert(len <= INT32_MAX);
        store_be32(x->head, (uint32_t)len);
        x->pieces[0] = (struct net_piece){ .data = x->head, .len = sizeof x->head };
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
        if (c->warm)
                return; /* cold.c comes back; until then the file must stay open */
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

/* Return: bytes sent; 0: the pool is asked; negative errno. */
static ssize_t send_file_piece(struct net_conn *c, size_t len_max)
{
        struct net_send *x = ilist_first(&c->sends, struct net_send, link);
        struct net_piece *p = &x->pieces[x->at];
        ssize_t n;

        if (!c->warm_left && !net_cold_look(c, x))
                return 0;
        len_max = MIN2(c->warm_left, len_max);
        if (c->tls)
                n = net_tls_sendfile(c, p->fd, p->pos + (int64_t)x->at_done, len_max);
        else
                n = sock_sendfile(c->fd, p->fd, p->pos + (int64_t)x->at_done, len_max);
        if (n > 0)
                c->warm_left -= (size_t)n;
        return n ? n : -EIO; /* the file ends before the range: what was announced cannot be kept */
}

int net_send_some(struct net_conn *c)
{
        size_t share = SEND_TURN_LEN_MAX;

        while (!ilist_is_empty(&c->sends) && !c->warm) {
                struct iovec iov[SEND_IOV_MAX];
                bool more;
                int n;
                ssize_t sent;

                if (!share) {
                        net_reactor_yield(c->reactor, c);
                        return 0;
                }
                send_advance(c, 0); /* empty pieces in front */
                n = send_gather(c, share, iov, &more);
                if (!n && !more)
                        break;
                if (!n)
                        sent = send_file_piece(c, share);
                else if (c->tls)
                        sent = net_tls_writev(c, iov, n);
                else
                        sent = sock_writev(c->fd, iov, n, more);
                if (sent <= 0)
                        return (int)sent;
                c->progress_ms = loop_now_ms(c->reactor->loop);
                if (c->send_blocked) /* it had taken none for a while */
                        c->drained_ms = c->progress_ms;
                c->bytes_out += (uint64_t)sent;
                counter_add(&c->reactor->counters.bytes_out, (uint64_t)sent);
                send_advance(c, (size_t)sent);
                share -= MIN2(share, (size_t)sent);
        }
        return c->tls ? net_tls_flush(c) : 0;
}
