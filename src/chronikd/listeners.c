#include "chronikd/listeners.h"

#include <errno.h>
#include <stdio.h>

#include "chronikd/node.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

#define WARN_MS (INT64_C(21) * 24 * 3600 * 1000) /* three weeks before a certificate ends, once a day from then on */
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* ---- rules ---- */

static int make_mapping(const struct conf_listener *l, struct mapping **ret)
{
        char why[MAPPING_WHY_SIZE] = "out of memory", text[MAPPING_WHY_SIZE + CONF_LISTENER_NAME_LEN_MAX + 80];

        if (!mapping_new(str_of(l->principal_mapping_rules), ret, why))
                return 0;
        snprintf(text, sizeof text, "listeners.%s.principal_mapping_rules: %s", l->name, why);
        return node_fail("the configuration cannot be used", text);
}

int listeners_check(const struct conf *conf)
{
        int r = 0;

        for (unsigned i = 0; i < conf->listeners_count; i++) {
                CLEANUP(mapping_freep) struct mapping *m = NULL;

                r |= make_mapping(&conf->listeners[i], &m);
        }
        return r;
}

/* ---- certificates ---- */

static int load(const struct conf_listener *l, struct tls_context **ret, char why[TLS_WHY_SIZE])
{
        return tls_context_load(&(struct tls_files){ .certificate = l->tls_certificate,
                                                     .key = l->tls_key,
                                                     .client_ca = l->tls_ca[0] ? l->tls_ca : NULL,
                                                     .client_required = l->client_auth == CONF_CLIENT_AUTH_REQUIRED },
                                ret, why);
}

static int64_t look_at_files(const struct conf_listener *l)
{
        const char *const paths[] = { l->tls_certificate, l->tls_key, l->tls_ca };
        int64_t sum = 0;

        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
                struct file_info info;

                if (paths[i][0] && !file_info(paths[i], &info))
                        sum = sum * 31 + info.mtime_ms + info.size;
        }
        return sum;
}

static int open_tls(struct listeners *l, unsigned i)
{
        const struct conf_listener *c = &l->conf->listeners[i];
        CLEANUP(tls_context_unrefp) struct tls_context *x = NULL;
        char why[TLS_WHY_SIZE], what[CONF_LISTENER_NAME_LEN_MAX + 80];

        snprintf(what, sizeof what, "cannot serve clients on listener %s", c->name);
        l->at[i].seen = look_at_files(c);
        if (load(c, &x, why))
                return node_fail(what, why);
        l->at[i].end_ms = tls_context_end_ms(x);
        l->at[i].tls = tls_slot_new(x);
        if (!l->at[i].tls)
                return node_fail(what, strerror(ENOMEM));
        (void)TAKE_PTR(x); /* the slot's */
        return 0;
}

/* ---- keys of tokens ---- */

static bool has_oauth(const struct conf_listener *c)
{
        return conf_listener_has_sasl(c) && c->sasl_mechanisms & CONF_SASL_OAUTHBEARER;
}

static int64_t look_at_keys(const struct conf_listener *c)
{
        struct file_info info;

        return file_info(c->oauth_jwks_file, &info) ? -1 : info.mtime_ms * 31 + info.size;
}

/* Return: 0, or an error that @why explains. */
static int load_keys(const struct conf_listener *c, struct jwks **ret, char why[TLS_WHY_SIZE])
{
        CLEANUP(freep) char *text = NULL;
        char wrong[JWKS_WHY_SIZE] = "";
        size_t len = 0;
        int r = file_read_whole(c->oauth_jwks_file, JWKS_LEN_MAX, &text, &len);

        if (!r)
                r = jwks_read(span_of(text, len), ret, wrong);
        if (r)
                snprintf(why, TLS_WHY_SIZE, "%.300s: %s", c->oauth_jwks_file, wrong[0] ? wrong : strerror(-r));
        return r;
}

static int open_keys(struct listeners *l, unsigned i)
{
        const struct conf_listener *c = &l->conf->listeners[i];
        CLEANUP(jwks_unrefp) struct jwks *keys = NULL;
        char why[TLS_WHY_SIZE], what[CONF_LISTENER_NAME_LEN_MAX + 80];

        snprintf(what, sizeof what, "cannot serve clients on listener %s", c->name);
        l->jwks_seen[i] = look_at_keys(c);
        if (load_keys(c, &keys, why))
                return node_fail(what, why);
        l->jwks[i] = jwks_slot_new(keys);
        if (!l->jwks[i])
                return node_fail(what, strerror(ENOMEM));
        (void)TAKE_PTR(keys); /* the slot's */
        return 0;
}

/* On the pool. What is seen while somebody writes the file is looked at again when it is written: then the file has changed once more. */
static void look_at_keys_again(struct listeners *l, unsigned i)
{
        const struct conf_listener *c = &l->conf->listeners[i];
        int64_t seen = l->jwks[i] ? look_at_keys(c) : l->jwks_seen[i];
        char why[TLS_WHY_SIZE];
        struct jwks *keys;

        if (seen == l->jwks_seen[i])
                return;
        l->jwks_seen[i] = seen;
        if (load_keys(c, &keys, why)) {
                diag(DIAG_ERROR, "the changed keys of listener %s are not used: %s", c->name, why);
                return;
        }
        jwks_slot_set(l->jwks[i], keys);
        diag(DIAG_NOTICE, "the keys for tokens of listener %s were replaced", c->name);
}

int listeners_open(struct listeners *l, const struct conf *conf, struct token_secrets *secrets, struct iopool *pool)
{
        *l = (struct listeners){ .conf = conf, .token_secrets = secrets, .pool = pool };
        for (unsigned i = 0; i < conf->listeners_count; i++)
                if (make_mapping(&conf->listeners[i], &l->mappings[i]) ||
                    (conf_listener_has_tls(&conf->listeners[i]) && open_tls(l, i)) ||
                    (has_oauth(&conf->listeners[i]) && open_keys(l, i)))
                        return 1;
        return 0;
}

/* On the pool: files are read. */
static void look_again(struct lookout *lookout)
{
        struct listeners *l = container_of(lookout, struct listeners, lookout);

        token_secrets_look(l->token_secrets);
        for (unsigned i = 0; i < l->conf->listeners_count; i++) {
                const struct conf_listener *c = &l->conf->listeners[i];
                int64_t seen = l->at[i].tls ? look_at_files(c) : l->at[i].seen;
                struct tls_context *x;
                char why[TLS_WHY_SIZE];

                look_at_keys_again(l, i);
                if (seen == l->at[i].seen)
                        continue;
                l->at[i].seen = seen;
                if (load(c, &x, why)) {
                        diag(DIAG_ERROR, "the changed certificate of listener %s is not used: %s", c->name, why);
                        continue;
                }
                l->at[i].end_ms = tls_context_end_ms(x);
                l->at[i].warned_ms = 0;
                tls_slot_set(l->at[i].tls, x);
                diag(DIAG_NOTICE, "the certificate of listener %s was replaced", c->name);
        }
}

static void warn_of_end(struct listeners *l)
{
        int64_t now_ms = clock_wall_ms();

        for (unsigned i = 0; i < l->conf->listeners_count; i++) {
                int64_t left_ms = l->at[i].end_ms - now_ms;

                if (!l->at[i].tls || left_ms > WARN_MS || now_ms - l->at[i].warned_ms < DAY_MS)
                        continue;
                l->at[i].warned_ms = now_ms;
                diag(DIAG_WARN,
                     "the certificate of listener %s %s %lld days; replace %s, which is read again by itself",
                     l->conf->listeners[i].name, left_ms < 0 ? "ended before" : "ends in",
                     (long long)(left_ms < 0 ? -left_ms : left_ms) / DAY_MS, l->conf->listeners[i].tls_certificate);
        }
}

static void looked_again(struct lookout *lookout)
{
        warn_of_end(container_of(lookout, struct listeners, lookout));
}

void listeners_start(struct listeners *l, struct loop *loop)
{
        bool watches = false;

        for (unsigned i = 0; i < l->conf->listeners_count; i++)
                watches |= l->at[i].tls || l->jwks[i];
        watches |= l->token_secrets->is_watched;
        if (!watches)
                return;
        l->lookout.look = look_again;
        l->lookout.looked = looked_again;
        lookout_start(&l->lookout, loop, l->pool);
        warn_of_end(l);
}

/* ---- listening ---- */

int listeners_listen(struct listeners *l, struct net_server *net)
{
        for (unsigned i = 0; i < l->conf->listeners_count; i++) {
                const struct conf_listener *c = &l->conf->listeners[i];
                char address[300];
                int r;

                node_format_address(c->address, address, sizeof address);
                if (l->at[i].tls)
                        r = net_server_listen_tls(net, c->name, address, l->at[i].tls, &l->at[i].port);
                else
                        r = net_server_listen(net, c->name, address, &l->at[i].port);
                if (!r)
                        continue;
                if (i || strcmp(c->name, "PLAINTEXT"))
                        diag(DIAG_ERROR, "cannot serve on listeners.%s.address %s: %s. Choose another address", c->name,
                             address, node_why_not(r));
                else
                        diag(DIAG_ERROR,
                             "cannot serve on server.kafka %s: %s. Choose another address with --kafka HOST:PORT",
                             address, node_why_not(r));
                return 1;
        }
        return 0;
}

void listeners_close(struct listeners *l)
{
        for (unsigned i = 0; i < CONF_LISTENERS_MAX; i++) {
                l->at[i].tls = tls_slot_free(l->at[i].tls);
                l->mappings[i] = mapping_free(l->mappings[i]);
                l->jwks[i] = jwks_slot_free(l->jwks[i]);
        }
}
