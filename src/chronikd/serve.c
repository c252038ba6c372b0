/* One node as a program: signals, the READY line, systemd, the admin listener. Everything else is in node.c. */
#include "chronikd/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "chronikd/node.h"
#include "sys/diag.h"
#include "sys/systemd.h"

struct program {
        struct node *node;
        struct http_server *http;
        char admin[300];
        struct loop_signal on_term, on_int;
        struct io_job admin_closing;
        bool stopping;
};

static void on_ready(void *arg)
{
        const struct program *p = arg;
        const struct conf *c = p->node->conf;

        printf("READY chronikd %s kafka=%s admin=%s node=%d", CHRONIK_VERSION, p->node->store ? p->node->kafka : "none",
               p->admin, p->node->led.node_id);
        for (unsigned i = 1; p->node->store && i < c->listeners_count; i++) {
                char text[300];

                node_format_address(conf_advertised(c, &c->listeners[i], p->node->listeners.at[i].port), text,
                                    sizeof text);
                printf(" %s=%s", c->listeners[i].name, text);
        }
        printf("\n");
        fflush(stdout);
        systemd_ready("serving");
}

/* ---- stop: others take over, then the admin listener, then the rest ---- */

static void admin_close(struct io_job *job)
{
        struct program *p = container_of(job, struct program, admin_closing);

        p->http = http_server_free(p->http);
        look_stop(p->node);
}

static void admin_is_closed(struct io_job *job)
{
        node_stop(container_of(job, struct program, admin_closing)->node);
}

static void has_left(void *arg)
{
        struct program *p = arg;

        /* Admin requests in work wait for answers that come through the main loop, so another thread waits for them. */
        p->admin_closing = (struct io_job){ .run = admin_close, .done = admin_is_closed, .reply_loop = p->node->loop };
        iopool_submit(p->node->pool, &p->admin_closing);
}

static void stop(struct program *p)
{
        if (p->stopping)
                return;
        p->stopping = true;
        systemd_stopping();
        node_leave(p->node, has_left, p);
}

static void on_term(struct loop_signal *s, int signo)
{
        (void)signo;
        stop(container_of(s, struct program, on_term));
}

static void on_int(struct loop_signal *s, int signo)
{
        (void)signo;
        stop(container_of(s, struct program, on_int));
}

/* ---- start ---- */

static int listen_admin(struct program *p)
{
        struct conf_addr at = p->node->conf->server.admin;
        uint16_t port;
        int r;

        node_format_address(at, p->admin, sizeof p->admin);
        r = http_server_new(p->admin, admin_answer, p->node, &p->http, &port);
        if (r) {
                diag(DIAG_ERROR, "cannot serve on server.admin %s: %s. Choose another address with --admin HOST:PORT",
                     p->admin, node_why_not(r));
                return 1;
        }
        at.port = port;
        node_format_address(at, p->admin, sizeof p->admin);
        return 0;
}

int serve(struct conf *conf)
{
        struct program p = { 0 };

        signal(SIGPIPE, SIG_IGN);
        if (node_new(conf, &p.node) || listen_admin(&p))
                return 1;
        if (look_start(p.node))
                return node_fail("cannot start", strerror(ENOMEM));
        p.node->on_ready = on_ready;
        p.node->arg = &p;
        loop_signal_start(&p.on_term, p.node->loop, SIGTERM, on_term);
        loop_signal_start(&p.on_int, p.node->loop, SIGINT, on_int);
        node_start(p.node);
        loop_run(p.node->loop);
        iopool_free(p.node->look.pool);
        node_free(p.node);
        return 0;
}
