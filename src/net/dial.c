/* Outgoing connections: the same machinery as for accepted ones, but whoever dialled sends frames when it likes, and
 * frames that come are its to make sense of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/net_internal.h"
#include "sys/file.h"

int net_dial(struct net_server *s, unsigned reactor, const struct net_dial *d, struct net_conn **ret_conn)
{
        struct net_reactor *r = &s->reactors[reactor];
        struct net_conn *c;
        int fd;

        loop_assert_here(r->loop);
        assert(s->cfg.open_ms_max > 0);
        if (r->stopping)
                return -ESHUTDOWN;
        fd = sock_connect(&d->address);
        if (fd < 0)
                return fd;
        sock_tune(fd);
        sock_set_buffers(fd, s->cfg.send_buffer_len, s->cfg.receive_buffer_len);
        c = net_conn_alloc(r, fd, &d->address);
        if (c)
                c->dial = malloc(sizeof *c->dial);
        if (!c || !c->dial) {
                free(c);
                file_close(fd);
                return -ENOMEM;
        }
        *c->dial = *d;
        c->frame_len_max = d->frame_len_max;
        c->listener = "";
        c->slot = d->tls;
        if (s->dial_memory)
                c->memory = s->dial_memory;
        net_conn_start(c);
        *ret_conn = c;
        return 0;
}

void net_dial_connected(struct net_conn *c)
{
        int r = sock_error(c->fd);
        char reason[128];

        if (!r && c->slot)
                net_tls_begin(c);
        else if (!r)
                net_conn_opened(c);
        if (!r)
                return;
        snprintf(reason, sizeof reason, "cannot connect: %s", strerrordesc_np(-r));
        net_conn_close(c, reason, NULL);
}

void net_dial_frame(struct net_conn *c)
{
        struct iobuf *frame = TAKE_PTR(c->frame);

        c->head_len = 0;
        c->frame_got = 0;
        counter_add(&c->reactor->counters.frames_in, 1);
        c->dial->frame(c->dial->arg, c, frame);
}

int net_conn_send(struct net_conn *c, const struct net_piece *pieces, unsigned pieces_count)
{
        struct net_send *x;

        loop_assert_here(c->reactor->loop);
        assert(c->dial && pieces_count >= 1 && pieces_count <= 4096);
        if (c->state != CONN_OPEN)
                return -ENOTCONN;
        x = net_send_new(pieces, pieces_count);
        if (!x)
                return -ENOMEM;
        net_send_queue(c, x);
        net_reactor_kick(c->reactor, c);
        return 0;
}
