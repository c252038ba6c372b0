#include "chronikd/admin_gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "chronikd/admin.h"
#include "chronikd/admin_record.h"
#include "chronikd/credential.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

#define CREDENTIAL "chronik.admin_tokens"
#define BEARER "Bearer "

#define WARN_MS (INT64_C(21) * 24 * 3600 * 1000) /* three weeks before a certificate ends, once a day from then on */
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* ---- what is configured ---- */

/* "": there are none. */
static void find_tokens(const struct conf *c, char path[CREDENTIAL_PATH_SIZE])
{
        if (!credential_find(c->admin.tokens_file, CREDENTIAL, path))
                *path = '\0';
}

/* 127.0.0.0/8, ::1, and the name that means them. */
static bool is_loopback(const char *host)
{
        char text[SOCK_TEXT_SIZE];

        if (!strcasecmp(host, "localhost"))
                return true;
        return !sock_canonical_host(str_of(host), text) && (!strncmp(text, "127.", 4) || !strcmp(text, "::1"));
}

static int make_mapping(const struct conf *c, struct mapping **ret)
{
        char why[MAPPING_WHY_SIZE] = "out of memory", text[MAPPING_WHY_SIZE + 80];

        if (!c->admin.role_mapping_rules[0] || !mapping_new(str_of(c->admin.role_mapping_rules), ret, why))
                return 0;
        snprintf(text, sizeof text, "admin.role_mapping_rules: %s", why);
        return node_fail("the configuration cannot be used", text);
}

int admin_gate_check(const struct conf *c)
{
        CLEANUP(mapping_freep) struct mapping *m = NULL;
        bool tls = c->admin.tls_certificate[0], roles;
        char tokens[CREDENTIAL_PATH_SIZE], text[700];

        find_tokens(c, tokens);
        roles = *tokens || c->admin.client_auth != CONF_CLIENT_AUTH_NONE;
        if (!is_loopback(c->server.admin.host) && !(tls && roles) && !c->admin.unprotected) {
                snprintf(
                        text, sizeof text,
                        "server.admin: %.255s is not loopback, and %s; give %s, or set admin.unprotected for a network "
                        "that nobody else can reach",
                        c->server.admin.host,
                        !roles ? "whoever reaches it could do everything"
                               : "the tokens of operators would pass in clear text",
                        !roles && !tls ? "admin.tokens_file (or admin.client_auth) and admin.tls_certificate"
                        : !roles       ? "admin.tokens_file or admin.client_auth"
                                       : "admin.tls_certificate and admin.tls_key");
                return node_fail("the configuration cannot be used", text);
        }
        return make_mapping(c, &m);
}

/* ---- files ---- */

static int load_tls(const struct conf *c, struct tls_context **ret, char why[TLS_WHY_SIZE])
{
        return tls_context_load(
                &(struct tls_files){ .certificate = c->admin.tls_certificate,
                                     .key = c->admin.tls_key,
                                     .client_ca = c->admin.tls_ca[0] ? c->admin.tls_ca : NULL,
                                     .client_required = c->admin.client_auth == CONF_CLIENT_AUTH_REQUIRED },
                ret, why);
}

static int load_tokens(const struct admin_gate *g, struct operators **ret, char why[TLS_WHY_SIZE])
{
        CLEANUP(freep) char *text = NULL;
        char what[OPERATORS_WHY_SIZE];
        size_t len;
        int r = file_read_whole(g->tokens_path, OPERATORS_LEN_MAX, &text, &len);

        if (r) {
                snprintf(why, TLS_WHY_SIZE, "%.700s: %s", g->tokens_path,
                         r == -EFBIG ? "it is too long" : strerror(-r));
                return r;
        }
        snprintf(what, sizeof what, "%s", strerror(ENOMEM));
        r = operators_read((struct str){ text, len }, ret, what);
        if (r)
                snprintf(why, TLS_WHY_SIZE, "%.700s: %s", g->tokens_path, what);
        return r;
}

static int64_t look_at(const char *const *paths, size_t count)
{
        int64_t sum = 0;

        for (size_t i = 0; i < count; i++) {
                struct file_info info;

                if (paths[i][0] && !file_info(paths[i], &info))
                        sum = sum * 31 + info.mtime_ms + info.size;
        }
        return sum;
}

static int64_t look_at_tls(const struct admin_gate *g)
{
        const char *const paths[] = { g->conf->admin.tls_certificate, g->conf->admin.tls_key, g->conf->admin.tls_ca };

        return look_at(paths, ARRAY_LEN(paths));
}

static int64_t look_at_tokens(const struct admin_gate *g)
{
        const char *const paths[] = { g->tokens_path };

        return look_at(paths, ARRAY_LEN(paths));
}

static int open_tls(struct admin_gate *g)
{
        CLEANUP(tls_context_unrefp) struct tls_context *x = NULL;
        char why[TLS_WHY_SIZE];

        g->tls_seen = look_at_tls(g);
        if (load_tls(g->conf, &x, why))
                return node_fail("cannot serve operators", why);
        g->end_ms = tls_context_end_ms(x);
        g->tls = tls_slot_new(x);
        if (!g->tls)
                return node_fail("cannot serve operators", strerror(ENOMEM));
        (void)TAKE_PTR(x); /* the slot's */
        return 0;
}

int admin_gate_open(struct admin_gate *g, const struct conf *conf, struct iopool *pool)
{
        char why[TLS_WHY_SIZE];

        *g = (struct admin_gate){ .conf = conf, .pool = pool };
        pthread_mutex_init(&g->lock, NULL);
        find_tokens(conf, g->tokens_path);
        g->guarded = *g->tokens_path || conf->admin.client_auth != CONF_CLIENT_AUTH_NONE;
        if (make_mapping(conf, &g->mapping) || (conf->admin.tls_certificate[0] && open_tls(g)))
                return 1;
        if (*g->tokens_path) {
                g->tokens_seen = look_at_tokens(g);
                if (load_tokens(g, &g->operators, why))
                        return node_fail("cannot read the tokens of operators", why);
        }
        return 0;
}

static void look_again_at_tls(struct admin_gate *g)
{
        int64_t seen = look_at_tls(g);
        struct tls_context *x;
        char why[TLS_WHY_SIZE];

        if (seen == g->tls_seen)
                return;
        g->tls_seen = seen;
        if (load_tls(g->conf, &x, why)) {
                diag(DIAG_ERROR, "the changed certificate of the admin listener is not used: %s", why);
                return;
        }
        g->end_ms = tls_context_end_ms(x);
        g->warned_ms = 0;
        tls_slot_set(g->tls, x);
        diag(DIAG_NOTICE, "the certificate of the admin listener was replaced");
}

static void look_again_at_tokens(struct admin_gate *g)
{
        int64_t seen = look_at_tokens(g);
        struct operators *now, *before;
        char why[TLS_WHY_SIZE];

        if (seen == g->tokens_seen)
                return;
        g->tokens_seen = seen;
        if (load_tokens(g, &now, why)) {
                diag(DIAG_ERROR, "the changed tokens of operators are not used, those from before still count: %s",
                     why);
                return;
        }
        pthread_mutex_lock(&g->lock);
        before = g->operators;
        g->operators = now;
        pthread_mutex_unlock(&g->lock);
        operators_free(before);
        diag(DIAG_NOTICE, "the tokens of operators were read again");
}

/* On the pool. */
static void look_again(struct lookout *l)
{
        struct admin_gate *g = container_of(l, struct admin_gate, lookout);

        if (g->tls)
                look_again_at_tls(g);
        if (*g->tokens_path)
                look_again_at_tokens(g);
}

static void warn_of_end(struct admin_gate *g)
{
        int64_t now_ms = clock_wall_ms(), left_ms = g->end_ms - now_ms;

        if (!g->tls || left_ms > WARN_MS || now_ms - g->warned_ms < DAY_MS)
                return;
        g->warned_ms = now_ms;
        diag(DIAG_WARN, "the certificate of the admin listener %s %lld days; replace %s, which is read again by itself",
             left_ms < 0 ? "ended before" : "ends in", (long long)(left_ms < 0 ? -left_ms : left_ms) / DAY_MS,
             g->conf->admin.tls_certificate);
}

static void looked_again(struct lookout *l)
{
        warn_of_end(container_of(l, struct admin_gate, lookout));
}

void admin_gate_start(struct admin_gate *g, struct loop *loop)
{
        if (!g->tls && !*g->tokens_path)
                return;
        g->lookout.look = look_again;
        g->lookout.looked = looked_again;
        lookout_start(&g->lookout, loop, g->pool);
        warn_of_end(g);
}

void admin_gate_close(struct admin_gate *g)
{
        g->tls = tls_slot_free(g->tls);
        g->mapping = mapping_free(g->mapping);
        g->operators = operators_free(g->operators);
        pthread_mutex_destroy(&g->lock);
}

void admin_gate_each_token(struct admin_gate *g, void (*fn)(void *arg, const char *name, const uint8_t *hash),
                           void *arg)
{
        pthread_mutex_lock(&g->lock);
        if (g->operators)
                operators_each(g->operators, fn, arg);
        pthread_mutex_unlock(&g->lock);
}

/* ---- who asks ---- */

/* What strangers choose must not move the cursor of who reads the journal. */
static void copy_clean(char *to, size_t size, const char *from)
{
        size_t i = 0;

        for (; from[i] && i + 1 < size; i++)
                to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
        to[i] = '\0';
}

static enum operator_role role_of_name(const struct mapping *m, const char *name)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        if (!name || mapping_apply(m, str_of(name), &out))
                return OPERATOR_NOBODY;
        return operator_role_of((struct str){ out.data, out.len });
}

static enum operator_role by_certificate(const struct admin_gate *g, const struct http_caller *caller, char *who)
{
        enum operator_role role;
        const char *name;

        if (!caller || !g->mapping)
                return OPERATOR_NOBODY;
        name = caller->uri;
        role = role_of_name(g->mapping, name);
        if (role == OPERATOR_NOBODY) {
                name = caller->subject;
                role = role_of_name(g->mapping, name);
        }
        if (role != OPERATOR_NOBODY)
                copy_clean(who, HTTP_WHO_SIZE, name);
        return role;
}

static enum operator_role by_token(struct admin_gate *g, const char *header, char *who)
{
        enum operator_role role = OPERATOR_NOBODY;
        struct str token;
        const char *name;

        if (strncasecmp(header, BEARER, sizeof BEARER - 1) != 0)
                return OPERATOR_NOBODY;
        token = str_of(header + sizeof BEARER - 1);
        while (token.len && token.p[0] == ' ')
                token = (struct str){ token.p + 1, token.len - 1 };
        pthread_mutex_lock(&g->lock);
        if (g->operators)
                role = operators_find(g->operators, token, &name);
        if (role != OPERATOR_NOBODY)
                snprintf(who, HTTP_WHO_SIZE, "%s", name);
        pthread_mutex_unlock(&g->lock);
        return role;
}

static void from_text(const struct http_request *rq, char text[SOCK_TEXT_SIZE])
{
        if (rq->caller && rq->caller->address.any.sa_family)
                sock_format(&rq->caller->address, text);
        else
                snprintf(text, SOCK_TEXT_SIZE, "an unknown address");
}

static void answer_unknown(struct admin_gate *g, struct http_request *rq)
{
        const char *why = rq->authorization                   ? "its token is not known"
                          : rq->caller && rq->caller->subject ? "its certificate has no role here"
                                                              : "it says of nobody that is known";
        char from[SOCK_TEXT_SIZE];

        atomic_fetch_add_explicit(&g->unknown, 1, memory_order_relaxed);
        from_text(rq, from);
        diag_about_limited(DIAG_WARN, DIAG_ABOUT(OPERATOR_UNKNOWN, { "CLIENT", .text = str_of(from) }),
                           "admin: a request from %s is refused: %s", from, why);
        admin_record_unknown(g->audit, rq, why);
        admin_answer_error(rq, 401, "%s",
                           rq->authorization
                                   ? "The token is not known here. `chronik-ctl admin-token new` makes one; its line "
                                     "belongs into this node's admin.tokens_file."
                                   : "Say who you are: with a token (--token-file, CHRONIK_TOKEN_FILE), or a "
                                     "certificate that has a role here (--cert, --key).");
}

bool admin_gate_lets(struct admin_gate *g, struct http_request *rq, enum operator_role needed)
{
        enum operator_role role;

        if (!g->guarded) {
                rq->rights = OPERATOR_ADMIN;
                return true;
        }
        role = rq->authorization ? by_token(g, rq->authorization, rq->who) : by_certificate(g, rq->caller, rq->who);
        rq->rights = role;
        if (role != OPERATOR_NOBODY)
                admin_record_login(g->audit, rq);
        if (needed == OPERATOR_NOBODY)
                return true;
        if (role == OPERATOR_NOBODY)
                answer_unknown(g, rq);
        else if (role < needed)
                admin_gate_refuse(g, rq, needed);
        else
                return true;
        return false;
}

void admin_gate_refuse(struct admin_gate *g, struct http_request *rq, enum operator_role needed)
{
        char path[200];

        atomic_fetch_add_explicit(&g->refused, 1, memory_order_relaxed);
        copy_clean(path, sizeof path, rq->path);
        diag_about_limited(DIAG_WARN,
                           DIAG_ABOUT(OPERATOR_DENIED, { "PRINCIPAL", .text = str_of(rq->who) },
                                      { "ROLE", .text = str_of(operator_role_name((enum operator_role)rq->rights)) },
                                      { "METHOD", .text = str_of(rq->method) }, { "PATH", .text = str_of(path) }),
                           "admin: %s (%s) may not %s %s", rq->who, operator_role_name((enum operator_role)rq->rights),
                           rq->method, path);
        admin_record_denied(g->audit, rq, needed);
        admin_answer_error(rq, 403, "This needs the role %s, and %s has the role %s.", operator_role_name(needed),
                           rq->who, operator_role_name((enum operator_role)rq->rights));
}

void admin_gate_note(const struct admin_gate *g, const struct http_request *rq)
{
        char from[SOCK_TEXT_SIZE], path[200];

        if (!g->guarded || !strcmp(rq->method, "GET"))
                return;
        from_text(rq, from);
        copy_clean(path, sizeof path, rq->path);
        diag_about(DIAG_NOTICE,
                   DIAG_ABOUT(OPERATOR_CHANGE, { "PRINCIPAL", .text = str_of(rq->who) },
                              { "ROLE", .text = str_of(operator_role_name((enum operator_role)rq->rights)) },
                              { "CLIENT", .text = str_of(from) }, { "METHOD", .text = str_of(rq->method) },
                              { "PATH", .text = str_of(path) }, { "STATUS", .number = rq->status }),
                   "admin: %s (%s) from %s: %s %s, status %u", rq->who,
                   operator_role_name((enum operator_role)rq->rights), from, rq->method, path, rq->status);
}
