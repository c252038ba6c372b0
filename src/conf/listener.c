/* Listeners for clients: read, judged, and the short form among them. */
#include "conf/listener.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/reader.h"

#define ROW(k, t, c, lo, hi, vals, def, kaf, txt) \
        [LISTENER_##k] = { .section = "listeners", \
                           .key = #k, \
                           .type = t, \
                           .check = c, \
                           .min = lo, \
                           .max = hi, \
                           .values = vals, \
                           .default_value = def, \
                           .kafka = kaf, \
                           .text = txt, \
                           .offset = offsetof(struct conf_listener, k) },

const struct conf_row conf_listener_rows[CONF_LISTENER_KEYS] = {
#define P_TIME(k, lo, hi, def, kafka, text) ROW(k, CONF_TIME, CONF_CHECK_NONE, lo, hi, NULL, def, kafka, text)
#define P_BOOL(k, def, kafka, text) ROW(k, CONF_BOOL, CONF_CHECK_NONE, 0, 1, NULL, def, kafka, text)
#define P_ENUM(k, values, def, kafka, text) ROW(k, CONF_ENUM, CONF_CHECK_NONE, 0, 0, values, def, kafka, text)
#define P_SET(k, values, def, kafka, text) ROW(k, CONF_SET, CONF_CHECK_NONE, 0, 0, values, def, kafka, text)
#define P_STR(k, check, len_max, def, kafka, text) ROW(k, CONF_STR, check, 0, len_max, NULL, def, kafka, text)
#define P_ADDR(k, def, kafka, text) ROW(k, CONF_ADDR, CONF_CHECK_NONE, 0, 0, NULL, def, kafka, text)
#include "conf/listeners.def"
};

const char *conf_protocol_name(int protocol)
{
        static const char *const names[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };

        assert(protocol >= 0 && protocol < (int)ARRAY_LEN(names));
        return names[protocol];
}

static int put_defaults(struct conf_reader *rd, struct conf_listener *l)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };

        for (int i = 0; i < CONF_LISTENER_KEYS; i++) {
                struct conf_value value;
                int r = conf_value_parse(&conf_listener_rows[i], str_of(conf_listener_rows[i].default_value),
                                         CONF_SYNTAX_UNITS, &rd->conf->mem, &value, &why);

                assert(r <= 0);
                if (r)
                        return r;
                conf_value_put(&conf_listener_rows[i], value, l);
        }
        return 0;
}

/* ---- reading ---- */

static bool is_name(struct str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!((s.p[i] >= '0' && s.p[i] <= '9') || ((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') ||
                      s.p[i] == '_' || s.p[i] == '-'))
                        return false;
        return s.len > 0 && s.len <= CONF_LISTENER_NAME_LEN_MAX;
}

int conf_reader_listener(struct conf_reader *rd, unsigned line, struct str name)
{
        struct conf *c = rd->conf;
        struct conf_listener *l;

        for (unsigned i = 0; i < c->listeners_count; i++)
                if (str_equal_c(name, c->listeners[i].name))
                        return (int)i;
        if (!is_name(name) || str_equal(name, STR_LIT("PEER"))) {
                conf_reader_error(
                        rd, line,
                        "listeners.%.*s: is no name for a listener; give at most %d letters, digits, underscores "
                        "and hyphens, and not PEER, which is for other nodes",
                        (int)MIN2(name.len, (size_t)60), name.p, CONF_LISTENER_NAME_LEN_MAX);
                return -1;
        }
        if (c->listeners_count == CONF_LISTENERS_MAX - 1) { /* the last place is that of the short form */
                conf_reader_error(rd, line, "listeners.%.*s: is one more than the %d that a node may have",
                                  STR_FMT(name), CONF_LISTENERS_MAX - 1);
                return -1;
        }
        l = &c->listeners[c->listeners_count];
        l->name = arena_strdup0(&c->mem, name);
        if (!l->name || put_defaults(rd, l)) {
                rd->out_of_memory = -ENOMEM;
                return -1;
        }
        rd->listener_line[c->listeners_count] = line;
        return (int)c->listeners_count++;
}

static int key_of(struct str key)
{
        for (int i = 0; i < CONF_LISTENER_KEYS; i++)
                if (str_equal_c(key, conf_listener_rows[i].key))
                        return i;
        return -1;
}

void conf_reader_listener_assign(struct conf_reader *rd, unsigned line, int listener, struct str key, struct str text)
{
        struct conf_listener *l = &rd->conf->listeners[listener];
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int id = key_of(key), r;
        struct conf_value value;
        uint32_t bit;

        if (id < 0) {
                conf_reader_error(
                        rd, line,
                        "listeners.%s.%.*s: there is no such parameter of a listener; docs/PARAMETERS.md has all of "
                        "them",
                        l->name, (int)MIN2(key.len, (size_t)60), key.p);
                return;
        }
        bit = UINT32_C(1) << id;
        if (line != LINE_SET && (rd->listener_given[listener] & bit)) {
                conf_reader_error(rd, line, "listeners.%s.%s: was given already; leave one of the two out", l->name,
                                  conf_listener_rows[id].key);
                return;
        }
        rd->listener_given[listener] |= bit;
        r = conf_value_parse(&conf_listener_rows[id], text, CONF_SYNTAX_UNITS, &rd->conf->mem, &value, &why);
        if (r == CONF_E_INVALID && !why.failed) {
                rd->listener_bad[listener] = true;
                conf_reader_error(rd, line, "listeners.%s.%s: %s", l->name, conf_listener_rows[id].key, why.data);
        } else if (r) {
                rd->out_of_memory = -ENOMEM;
        } else {
                conf_value_put(&conf_listener_rows[id], value, l);
        }
}

void conf_reader_listener_set(struct conf_reader *rd, struct str key, struct str text)
{
        const char *dot = key.len ? memchr(key.p, '.', key.len) : NULL;
        size_t name_len = dot ? (size_t)(dot - key.p) : 0;
        int listener;

        if (!dot) {
                conf_reader_error(rd, LINE_SET,
                                  "listeners.%.*s: names no parameter; write for example --set "
                                  "listeners.CLIENTS.address=0.0.0.0:9093",
                                  (int)MIN2(key.len, (size_t)60), key.p);
                return;
        }
        listener = conf_reader_listener(rd, LINE_SET, (struct str){ key.p, name_len });
        if (listener >= 0)
                conf_reader_listener_assign(rd, LINE_SET, listener, (struct str){ dot + 1, key.len - name_len - 1 },
                                            text);
}

/* ---- judging ---- */

/* Report what is wrong with @key, or (-1) with the listener, at its place. */
static void PRINTF_LIKE(4, 5) complain(struct conf_reader *rd, unsigned listener, int key, const char *fmt, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        conf_reader_error(rd, rd->listener_line[listener], "listeners.%s%s%s: %s", rd->conf->listeners[listener].name,
                          key < 0 ? "" : ".", key < 0 ? "" : conf_listener_rows[key].key, text);
}

static void check_tls(struct conf_reader *rd, unsigned i)
{
        static const int files[] = { LISTENER_tls_certificate, LISTENER_tls_key, LISTENER_tls_ca };
        const struct conf_listener *l = &rd->conf->listeners[i];
        bool wants_ca = l->client_auth != CONF_CLIENT_AUTH_NONE;

        if (!conf_listener_has_tls(l)) {
                for (size_t k = 0; k < ARRAY_LEN(files); k++)
                        if (conf_value_get(&conf_listener_rows[files[k]], l).s[0])
                                complain(rd, i, files[k], "is given, but protocol %s has no TLS; give SSL or SASL_SSL",
                                         conf_protocol_name(l->protocol));
                if (wants_ca)
                        complain(rd, i, LISTENER_client_auth, "needs TLS; give the protocol SSL or SASL_SSL");
                return;
        }
        if (!l->tls_certificate[0])
                complain(rd, i, LISTENER_tls_certificate, "is empty, and protocol %s needs it; give a PEM file",
                         conf_protocol_name(l->protocol));
        if (!l->tls_key[0])
                complain(rd, i, LISTENER_tls_key, "is empty, and protocol %s needs it; give a PEM file",
                         conf_protocol_name(l->protocol));
        if (wants_ca && !l->tls_ca[0])
                complain(rd, i, LISTENER_tls_ca,
                         "is empty, but client_auth asks clients for certificates; give the PEM file of their "
                         "authorities");
        if (!wants_ca && l->tls_ca[0])
                complain(rd, i, LISTENER_tls_ca,
                         "is given, but clients are not asked for certificates; set client_auth to required or "
                         "requested");
}

static void check_oauth(struct conf_reader *rd, unsigned i)
{
        const struct conf_listener *l = &rd->conf->listeners[i];

        if (!(l->sasl_mechanisms & CONF_SASL_OAUTHBEARER)) {
                if (l->oauth_jwks_file[0])
                        complain(rd, i, LISTENER_oauth_jwks_file,
                                 "is given, but OAUTHBEARER is not among the sasl_mechanisms");
                return;
        }
        if (!l->oauth_jwks_file[0])
                complain(rd, i, LISTENER_oauth_jwks_file,
                         "is empty, and OAUTHBEARER needs it; give the file with the keys of who signs tokens");
        if (!conf_listener_has_tls(l) && !l->oauth_without_tls)
                complain(rd, i, LISTENER_sasl_mechanisms,
                         "has OAUTHBEARER, which sends tokens in clear text over SASL_PLAINTEXT; give SASL_SSL, leave "
                         "it out, or set oauth_without_tls");
}

static void check_sasl(struct conf_reader *rd, unsigned i)
{
        const struct conf_listener *l = &rd->conf->listeners[i];
        uint32_t given = rd->listener_given[i];

        if (!conf_listener_has_sasl(l)) {
                if (given & 1u << LISTENER_sasl_mechanisms)
                        complain(rd, i, LISTENER_sasl_mechanisms, "is given, but protocol %s has no SASL",
                                 conf_protocol_name(l->protocol));
                if (l->oauth_jwks_file[0])
                        complain(rd, i, LISTENER_oauth_jwks_file, "is given, but protocol %s has no SASL",
                                 conf_protocol_name(l->protocol));
                return;
        }
        if ((l->sasl_mechanisms & CONF_SASL_PLAIN) && !conf_listener_has_tls(l) && !l->sasl_plain_without_tls)
                complain(rd, i, LISTENER_sasl_mechanisms,
                         "has PLAIN, which sends passwords in clear text over SASL_PLAINTEXT; give SASL_SSL, leave "
                         "PLAIN out, "
                         "or set sasl_plain_without_tls");
        check_oauth(rd, i);
}

static bool addresses_clash(struct conf_addr a, struct conf_addr b)
{
        return a.port && a.port == b.port &&
               (!strcmp(a.host, b.host) || conf_host_is_wildcard(a.host) || conf_host_is_wildcard(b.host));
}

static void check_address(struct conf_reader *rd, unsigned i)
{
        const struct conf *c = rd->conf;
        const struct conf_listener *l = &c->listeners[i];

        if (!l->address.host[0]) {
                complain(rd, i, LISTENER_address, "is missing; give HOST:PORT, for example 0.0.0.0:9093");
                return;
        }
        if (l->advertised.host[0] && conf_host_is_wildcard(l->advertised.host))
                complain(rd, i, LISTENER_advertised,
                         "is %s, to which no client can connect; give a host name or address of this node, or leave it "
                         "out",
                         l->advertised.host);
        if (addresses_clash(l->address, c->server.admin))
                complain(rd, i, LISTENER_address, "port %u is wanted by server.admin, too; give them different ports",
                         l->address.port);
        for (unsigned k = 0; k < i; k++)
                if (addresses_clash(l->address, c->listeners[k].address))
                        complain(rd, i, LISTENER_address,
                                 "port %u is wanted by listener %s, too; give them different ports", l->address.port,
                                 c->listeners[k].name);
}

/* server.kafka, where it is given or nothing else is, comes first. */
static void add_short_form(struct conf_reader *rd)
{
        struct conf *c = rd->conf;
        struct conf_listener l = { .name = "PLAINTEXT" };

        if (c->listeners_count && c->source[PARAM_server_kafka] == CONF_SOURCE_DEFAULT)
                return;
        for (unsigned i = 0; i < c->listeners_count; i++)
                if (!strcmp(c->listeners[i].name, l.name)) {
                        complain(rd, i, -1,
                                 "server.kafka is a listener of this name already; call this one otherwise, or leave "
                                 "the other out");
                        return;
                }
        if (put_defaults(rd, &l)) {
                rd->out_of_memory = -ENOMEM;
                return;
        }
        l.address = c->server.kafka;
        l.advertised = c->server.advertised;
        for (unsigned i = c->listeners_count++; i; i--) {
                c->listeners[i] = c->listeners[i - 1];
                rd->listener_line[i] = rd->listener_line[i - 1];
                rd->listener_given[i] = rd->listener_given[i - 1];
                rd->listener_bad[i] = rd->listener_bad[i - 1];
        }
        c->listeners[0] = l;
        rd->listener_bad[0] = true; /* what is wrong with it was said of server.kafka */
}

void conf_check_listeners(struct conf_reader *rd)
{
        add_short_form(rd);
        for (unsigned i = 0; i < rd->conf->listeners_count; i++) {
                if (rd->listener_bad[i])
                        continue;
                check_address(rd, i);
                check_tls(rd, i);
                check_sasl(rd, i);
        }
}

/* ---- afterwards ---- */

static int text_copy(struct conf *c, const char **text)
{
        *text = arena_strdup0(&c->mem, str_of(*text));
        return *text ? 0 : -ENOMEM;
}

int conf_copy_listeners(const struct conf *from, struct conf *to)
{
        int r = 0;

        for (unsigned i = 0; !r && i < from->listeners_count; i++) {
                struct conf_listener *l = &to->listeners[i];

                *l = from->listeners[i];
                r = text_copy(to, &l->name);
                for (int k = 0; !r && k < CONF_LISTENER_KEYS; k++) {
                        struct conf_value v = conf_value_get(&conf_listener_rows[k], l);

                        if (conf_listener_rows[k].type == CONF_STR)
                                r = text_copy(to, &v.s);
                        else if (conf_listener_rows[k].type == CONF_ADDR)
                                r = text_copy(to, &v.addr.host);
                        if (!r)
                                conf_value_put(&conf_listener_rows[k], v, l);
                }
        }
        to->listeners_count = from->listeners_count;
        return r;
}
