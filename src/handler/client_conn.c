#include "handler/client_conn.h"

#include <errno.h>
#include <stdio.h>

#include "base/utf8.h"
#include "conf/limits.h"
#include "handler/internal.h"
#include "handler/sasl.h"
#include "security/mapping.h"
#include "sys/diag.h"

struct client_conn *client_conn_of(const struct net_conn *c)
{
        return net_conn_user(c);
}

struct principal *client_principal(const struct net_conn *c)
{
        const struct client_conn *cc = client_conn_of(c);

        return cc && cc->principal ? principal_ref(cc->principal) : NULL;
}

void client_software_note(struct net_conn *c, struct str name, struct str version)
{
        struct client_conn *cc = client_conn_of(c);

        if (!cc)
                return;
        name = utf8_clip(name, CLIENT_SOFTWARE_LEN_MAX);
        version = utf8_clip(version, CLIENT_SOFTWARE_LEN_MAX);
        snprintf(cc->software.name, sizeof cc->software.name, "%.*s", STR_FMT(name));
        snprintf(cc->software.version, sizeof cc->software.version, "%.*s", STR_FMT(version));
}

const struct client_software *client_software_of(const struct net_conn *c)
{
        const struct client_conn *cc = client_conn_of(c);

        return cc && cc->software.name[0] ? &cc->software : NULL;
}

/* By the name that it was listened with, which is the configuration's own. */
static unsigned listener_of(const struct conf *c, const struct net_conn *conn)
{
        unsigned i = 0;

        while (c->listeners[i].name != net_conn_listener(conn)) {
                i++;
                assert(i < c->listeners_count);
        }
        return i;
}

/* With SSL alone the certificate says who it is (KIP-371); who shows none is nobody in particular.
 * Return: 0; -EACCES: it is mapped to nobody; -ENOMEM. */
static int principal_of_certificate(const struct handler *h, const struct mapping *mapping, const struct net_conn *c,
                                    struct principal **ret)
{
        CLEANUP(strbuf_finip) struct strbuf subject = { 0 }, name = { 0 };
        int r = net_conn_certificate_name(c, &subject);

        if (r == -ENOENT) {
                *ret = principal_anonymous();
                return 0;
        }
        if (!r)
                r = mapping_apply(mapping, (struct str){ subject.data ? subject.data : "", subject.len }, &name);
        if (!r)
                r = principal_new(STR_LIT("User"), (struct str){ name.data, name.len }, ret);
        if (!r)
                audit_certificate(h, c, (*ret)->name, STR_NULL);
        if (!r || r == -ENOMEM)
                return r;
        audit_certificate(h, c, (struct str){ subject.data, subject.len },
                          STR_LIT("nobody is meant by the subject of its certificate"));
        diag_limited(DIAG_INFO,
                     "client %s: nobody is meant by the subject of its certificate, %.*s; its connection is closed",
                     net_conn_peer(c), STR_FMT(((struct str){ subject.data, subject.len })));
        return -EACCES;
}

/* Whoever has to say who it is first. */
static int open_sasl(const struct handler *h, struct net_conn *c, struct client_conn *cc)
{
        cc->sasl = sasl_new();
        if (!cc->sasl)
                return -ENOMEM;
        net_conn_limit_frames(c, MIN2((size_t)h->deps.conf->server.max_request_bytes, (size_t)LIMIT_SASL_FRAME_BYTES));
        return 0;
}

void client_conn_open(void *handler, struct net_conn *c)
{
        const struct handler *h = handler;
        unsigned i = listener_of(h->deps.conf, c);
        struct client_conn *cc = calloc(1, sizeof *cc);
        int r = 0;

        if (!cc) {
                net_conn_drop(c, "no memory for a client");
                return;
        }
        cc->listener = &h->deps.conf->listeners[i];
        net_conn_set_user(c, cc);
        if (conf_listener_has_sasl(cc->listener))
                r = open_sasl(h, c, cc);
        else if (cc->listener->protocol == CONF_PROTOCOL_SSL)
                r = principal_of_certificate(h, h->deps.mappings[i], c, &cc->principal);
        else
                cc->principal = principal_anonymous();
        if (r)
                net_conn_drop(c, r == -ENOMEM ? "no memory for a client" : "the certificate names nobody who is known");
}

void client_conn_close(void *handler, struct net_conn *c, const char *reason)
{
        struct client_conn *cc = client_conn_of(c);

        (void)handler;
        (void)reason;
        if (!cc)
                return;
        net_conn_set_user(c, NULL);
        sasl_free(cc->sasl);
        principal_unref(cc->principal);
        free(cc);
}
