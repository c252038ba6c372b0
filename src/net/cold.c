/* Files that are not in the page cache. sendfile waits for the disk when a page is missing, and with it everybody on this
 * reactor. So the next stretch of a file is looked up first, when it is about to leave: a slow peer's answer may have been
 * warm long ago. What is not there is read by the pool, a stretch at a time, and the connection goes on when that is done.
 *
 * One stretch after the other would leave the disk idle while the socket is busy. So the pool first asks the kernel to read
 * ahead: the rest of the answer, and what the peer, if it reads on, will ask for next. In proportion to what it asked for,
 * so that small reads here and there stay small.
 *
 * A backfill must not drive out of the page cache what was just written and will soon be read. So where memory is scarce,
 * what a connection made us read from the disk is given up again once it has arrived: while it reads cold ranges, and for some megabytes more, because
 * what was read ahead for it looks warm. That the kernel does not read ahead by itself (plog/files.c) makes sure that cold
 * ranges are seen. */
#include "net/net_internal.h"
#include "sys/file.h"
#include "sys/memory.h"

enum {
        WARM_LEN_MAX = 1 << 20, /* looked up, or read by the pool, at a time */
        AHEAD_MAX = 8,          /* file pieces that are read ahead */
        AHEAD_LEN_MAX = 4 << 20,
        BEHIND_LEN_MAX = 16 << 20, /* given up behind */
        COLD_LEN = 16 << 20,       /* sent as if it were cold behind what was */
};

struct stretch {
        int fd;
        int64_t pos, len;
};

struct net_warm {
        struct io_job job;
        struct net_conn *conn; /* held, and with it the files */
        struct stretch now, behind, ahead[AHEAD_MAX];
        int ahead_count;
};

static void run(struct io_job *job)
{
        const struct net_warm *w = container_of(job, struct net_warm, job);
        bool (*plenty)(void) = w->conn->reactor->server->cfg.memory_is_plenty;

        if (!(plenty ? plenty() : memory_is_plenty()))
                file_give_up(w->behind.fd, w->behind.pos, w->behind.len);
        for (int i = 0; i < w->ahead_count; i++)
                file_read_ahead(w->ahead[i].fd, w->ahead[i].pos, w->ahead[i].len);
        (void)file_warm(w->now.fd, w->now.pos, (size_t)w->now.len); /* sendfile will say what is wrong with the file */
}

static void done(struct io_job *job)
{
        struct net_warm *w = container_of(job, struct net_warm, job);
        struct net_conn *c = w->conn;
        struct net_reactor *r = c->reactor;

        /* Sent without another look, so that a busy page cache cannot hold us up for ever. */
        c->warm_left = (size_t)w->now.len;
        c->warm = NULL;
        free(w);
        r->warms_count--;
        if (c->state == CONN_GONE)
                net_send_drop(c);
        else
                net_reactor_kick(r, c);
        net_conn_release(c);
        net_reactor_check_stopped(r);
}

/* The rest of this answer's files from @at of the piece in front, and as much again of each: read on, it comes next. */
static void plan_ahead(struct net_warm *w, const struct net_send *x, size_t at)
{
        int64_t left = AHEAD_LEN_MAX;

        for (unsigned i = x->at; i < x->count && w->ahead_count < AHEAD_MAX && left > 0; i++, at = 0) {
                const struct net_piece *p = &x->pieces[i];
                int64_t len = MIN2((int64_t)(p->len - at) + (int64_t)p->len, left);

                if (p->data || !p->len)
                        continue;
                w->ahead[w->ahead_count++] = (struct stretch){ p->fd, p->pos + (int64_t)at, len };
                left -= len;
        }
}

/* What lies before this piece was sent before, in answers that have arrived: a reader of old records reads on, and does not
 * come back. */
static struct stretch plan_behind(const struct net_piece *p)
{
        int64_t len = MIN2(p->pos, (int64_t)BEHIND_LEN_MAX);

        return (struct stretch){ p->fd, p->pos - len, len };
}

bool net_cold_look(struct net_conn *c, const struct net_send *x)
{
        const struct net_piece *p = &x->pieces[x->at];
        struct net_reactor *r = c->reactor;
        struct iopool *pool = r->server->cfg.pool;
        int64_t pos = p->pos + (int64_t)x->at_done;
        size_t len = MIN2(p->len - x->at_done, (size_t)WARM_LEN_MAX);
        bool warm = !pool || file_is_cached(p->fd, pos, len);
        struct net_warm *w;

        c->cold_left = warm ? c->cold_left - MIN2(c->cold_left, len) : COLD_LEN;
        w = c->cold_left && pool ? calloc(1, sizeof *w) : NULL;
        counter_add(warm ? &r->counters.sends_warm : &r->counters.sends_cold, 1);
        if (!w) { /* or cold and out of memory: slow is better than closed */
                c->warm_left = len;
                return true;
        }
        w->job = (struct io_job){ .run = run, .done = done, .reply_loop = r->loop };
        w->conn = c;
        w->now = (struct stretch){ p->fd, pos, (int64_t)len };
        w->behind = plan_behind(p);
        plan_ahead(w, x, x->at_done);
        c->warm = w;
        r->warms_count++;
        net_conn_hold(c);
        iopool_submit(pool, &w->job);
        return false;
}
