/* One node as a program: signals, the READY line, systemd, the admin listener. Everything else is in node.c. */
#include "chronikd/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "chronikd/node.h"
#include "chronikd/status.h"
#include "chronikd/watch.h"
#include "net/front.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/systemd.h"

struct program {
        struct node *node;
        struct admin_gate gate;
        struct http_server *http;
        struct front *front; /* NULL: without TLS */
        char admin[300];
        struct loop_signal on_term, on_int, on_hup;
        struct watch watch;
        struct status status;
        struct loop_timer reloading;
        struct io_job admin_closing;
        bool stopping;
};

static void on_ready(void *arg)
{
        struct program *p = arg;
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
        status_start(&p->status, p->node);
        lookout_now(&p->status.lookout);
}

/* ---- reload: files that others replace are read again, which they are by themselves, but later ---- */

enum { RELOAD_LOOK_MS = 10 };

static void look_at_reload(struct loop_timer *t)
{
        struct program *p = container_of(t, struct program, reloading);
        const struct node *n = p->node;

        if (lookout_is_busy(&p->gate.lookout) || lookout_is_busy(&n->listeners.lookout) ||
            lookout_is_busy(&n->mesh.lookout)) {
                loop_timer_start(t, RELOAD_LOOK_MS);
                return;
        }
        diag(DIAG_NOTICE, "certificates, keys and tokens were looked at again");
        if (!p->stopping)
                systemd_ready(p->status.told[0] ? p->status.told : "serving");
}

static void reload(struct program *p)
{
        struct node *n = p->node;

        if (p->stopping || !n->ready) /* a start reads them anyway */
                return;
        systemd_reloading();
        lookout_now(&p->gate.lookout);
        lookout_now(&n->listeners.lookout);
        lookout_now(&n->mesh.lookout);
        loop_timer_start(&p->reloading, 0);
}

/* ---- stop: others take over, then the admin listener, then the rest ---- */

static void admin_close(struct io_job *job)
{
        struct program *p = container_of(job, struct program, admin_closing);

        if (p->node->mesh.hub && p->node->store)
                status_tell_losses(p->node);
        p->front = front_free(p->front);
        p->http = http_server_free(p->http);
        look_stop(p->node);
}

static void gate_is_stopped(void *arg)
{
        const struct program *p = arg;

        node_stop(p->node);
}

static void admin_is_closed(struct io_job *job)
{
        struct program *p = container_of(job, struct program, admin_closing);

        lookout_stop(&p->gate.lookout, gate_is_stopped, p);
}

static void status_is_stopped(void *arg)
{
        struct program *p = arg;

        systemd_status("stopping: finishing requests, closing logs");
        /* Admin requests in work wait for answers that come through the main loop, so another thread waits for them. */
        p->admin_closing = (struct io_job){ .run = admin_close, .done = admin_is_closed, .reply_loop = p->node->loop };
        iopool_submit(p->node->pool, &p->admin_closing);
}

static void has_left(void *arg)
{
        struct program *p = arg;

        lookout_stop(&p->status.lookout, status_is_stopped, p);
}

static void stop(struct program *p)
{
        if (p->stopping)
                return;
        p->stopping = true;
        loop_timer_stop(&p->reloading);
        systemd_stopping();
        systemd_status("stopping: handing over what it leads");
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

static void on_hup(struct loop_signal *s, int signo)
{
        struct program *p = container_of(s, struct program, on_hup);

        (void)signo;
        if (process_has_terminal()) /* which was closed */
                stop(p);
        else
                reload(p);
}

/* ---- start ---- */

/* On the front's loop: a connection whose handshake is done. */
static void operator_came(void *arg, int fd, const struct front_peer *peer)
{
        const struct program *p = arg;
        size_t subject_len = peer->subject ? strlen(peer->subject) + 1 : 0,
               uri_len = peer->uri ? strlen(peer->uri) + 1 : 0;
        struct http_caller *caller = calloc(1, sizeof *caller + subject_len + uri_len);

        if (!caller) {
                file_close(fd);
                return;
        }
        caller->address = peer->address;
        if (subject_len)
                caller->subject = memcpy(caller + 1, peer->subject, subject_len);
        if (uri_len)
                caller->uri = memcpy((char *)(caller + 1) + subject_len, peer->uri, uri_len);
        if (http_server_feed(p->http, fd, caller))
                diag_limited(DIAG_WARN, "the admin listener has too many connections; one was closed");
}

static int listen_with_tls(struct program *p, uint16_t *ret_port)
{
        int r = front_new(p->admin, p->gate.tls, operator_came, p, &p->front, ret_port);

        if (!r)
                r = http_server_new_fed(admin_serve, p->node, &p->http);
        return r ? r : front_start(p->front);
}

static int listen_admin(struct program *p)
{
        struct conf_addr at = p->node->conf->server.admin;
        uint16_t port;
        int r;

        node_format_address(at, p->admin, sizeof p->admin);
        r = p->gate.tls ? listen_with_tls(p, &port) : http_server_new(p->admin, admin_serve, p->node, &p->http, &port);
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
        if (node_new(conf, &p.node) || admin_gate_open(&p.gate, conf, p.node->pool))
                return 1;
        p.node->gate = &p.gate;
        p.gate.audit = &p.node->audit;
        if (listen_admin(&p))
                return 1;
        if (look_start(p.node))
                return node_fail("cannot start", strerror(ENOMEM));
        p.node->on_ready = on_ready;
        p.node->arg = &p;
        loop_signal_start(&p.on_term, p.node->loop, SIGTERM, on_term);
        loop_signal_start(&p.on_int, p.node->loop, SIGINT, on_int);
        loop_signal_start(&p.on_hup, p.node->loop, SIGHUP, on_hup);
        loop_timer_init(&p.reloading, p.node->loop, look_at_reload);
        watch_start(&p.watch, p.node->loop, p.node->pool, conf->storage.stuck_ms);
        admin_gate_start(&p.gate, p.node->loop);
        node_start(p.node);
        loop_run(p.node->loop);
        admin_gate_close(&p.gate);
        iopool_free(p.node->look.pool);
        node_free(p.node);
        return 0;
}
