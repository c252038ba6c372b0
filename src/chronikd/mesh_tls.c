/* The certificate by which other nodes know this one: loaded, checked, and taken up anew when its files change. New connections use
 * the new one; a change that is not in order is told once, and the old one stays. */
#include <errno.h>
#include <stdio.h>

#include "chronikd/mesh.h"
#include "chronikd/node.h"
#include "net/tls.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

#define WARN_MS (INT64_C(21) * 24 * 3600 * 1000) /* three weeks before a certificate ends, once a day from then on */
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int load(const struct conf *c, struct tls_context **ret, char why[TLS_WHY_SIZE])
{
        CLEANUP(tls_context_unrefp) struct tls_context *x = NULL;
        char text[PEER_TEXT_SIZE];
        int r = tls_context_load(&(struct tls_files){ .certificate = c->cluster.tls_certificate,
                                                      .key = c->cluster.tls_key,
                                                      .ca = c->cluster.tls_ca,
                                                      .peers = true },
                                 &x, why);

        if (r)
                return r;
        r = peer_check_certificate(x, (int32_t)c->server.node_id, text);
        if (r) {
                snprintf(why, TLS_WHY_SIZE, "%.200s: %s", c->cluster.tls_certificate, text);
                return r;
        }
        *ret = TAKE_PTR(x);
        return 0;
}

/* What the files looked like; another one means that they are to be read again. */
static int64_t look_at_files(const struct conf *c)
{
        const char *const paths[] = { c->cluster.tls_certificate, c->cluster.tls_key, c->cluster.tls_ca };
        int64_t sum = 0;

        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
                struct file_info info;

                if (!file_info(paths[i], &info))
                        sum = sum * 31 + info.mtime_ms + info.size;
        }
        return sum;
}

int mesh_tls_open(struct mesh *m)
{
        struct tls_context *x;
        char why[TLS_WHY_SIZE];

        if (m->conf->cluster.plaintext)
                return 0;
        m->tls_seen = look_at_files(m->conf);
        if (load(m->conf, &x, why))
                return node_fail("cannot speak with other nodes", why);
        m->tls_end_ms = tls_context_end_ms(x);
        m->tls = tls_slot_new(x);
        if (m->tls)
                return 0;
        tls_context_unref(x);
        return node_fail("cannot speak with other nodes", strerror(ENOMEM));
}

/* On the pool: files are read. */
static void look_again(struct lookout *l)
{
        struct mesh *m = container_of(l, struct mesh, lookout);
        int64_t seen = look_at_files(m->conf);
        struct tls_context *x;
        char why[TLS_WHY_SIZE];

        if (seen == m->tls_seen)
                return;
        m->tls_seen = seen;
        if (load(m->conf, &x, why)) {
                diag(DIAG_ERROR, "the changed certificate of this node is not used: %s", why);
                return;
        }
        m->tls_end_ms = tls_context_end_ms(x);
        m->tls_warned_ms = 0;
        tls_slot_set(m->tls, x);
        diag(DIAG_NOTICE, "the certificate of this node was replaced");
}

static void warn_of_end(struct mesh *m)
{
        int64_t now_ms = clock_wall_ms(), left_ms = m->tls_end_ms - now_ms;

        if (left_ms > WARN_MS || now_ms - m->tls_warned_ms < DAY_MS)
                return;
        m->tls_warned_ms = now_ms;
        diag(DIAG_WARN, "the certificate of this node %s %lld days; replace %s, which is read again by itself",
             left_ms < 0 ? "ended before" : "ends in", (long long)(left_ms < 0 ? -left_ms : left_ms) / DAY_MS,
             m->conf->cluster.tls_certificate);
}

static void looked_again(struct lookout *l)
{
        warn_of_end(container_of(l, struct mesh, lookout));
}

void mesh_tls_start(struct mesh *m, struct loop *loop)
{
        if (!m->tls)
                return;
        m->lookout.look = look_again;
        m->lookout.looked = looked_again;
        lookout_start(&m->lookout, loop, m->pool);
        warn_of_end(m);
}
