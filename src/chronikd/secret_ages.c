#include "chronikd/secret_ages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/metrics.h"
#include "obs/expo.h"
#include "security/audit_entry.h"
#include "security/token.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

#define FAMILY "chronik_secret_age_seconds"
#define PRINT_OF "how old this secret is" /* what a fingerprint is the HMAC of */

enum { FILE_LEN_MAX = 64 * 1024, LINE_SIZE = SECRET_NAME_SIZE + 2 * SECRET_PRINT_LEN + 32 };

void secret_ages_init(struct secret_ages *a, const char *data_dir)
{
        pthread_mutex_init(&a->lock, NULL);
        snprintf(a->path, sizeof a->path, "%s/.secret-ages", data_dir);
}

void secret_ages_fini(struct secret_ages *a)
{
        pthread_mutex_destroy(&a->lock);
}

/* ---- the file: lines NAME FINGERPRINT MILLISECONDS ---- */

static void read_line(struct secret_ages *a, struct str line)
{
        char text[LINE_SIZE], name[SECRET_NAME_SIZE], print[2 * SECRET_PRINT_LEN + 1];
        struct secret_age *at = &a->at[a->count];
        int64_t since_ms;

        if (a->count == SECRET_AGES_MAX || line.len >= sizeof text)
                return;
        memcpy(text, line.p, line.len);
        text[line.len] = '\0';
        if (sscanf(text, "%95s %32s %" SCNd64, name, print, &since_ms) != 3 ||
            !audit_unhex(str_of(print), at->print, SECRET_PRINT_LEN))
                return; /* as one that is not there: it is new, then */
        snprintf(at->name, sizeof at->name, "%s", name);
        at->since_ms = since_ms;
        a->count++;
}

static void read_file(struct secret_ages *a)
{
        CLEANUP(freep) char *text = NULL;
        struct str rest;
        size_t len = 0;
        int r = file_read_whole(a->path, FILE_LEN_MAX, &text, &len);

        a->is_read = true;
        if (r && r != -ENOENT)
                diag(DIAG_WARN, "%s: %s; secrets count as new", a->path, strerror(-r));
        for (rest = (struct str){ text, r ? 0 : len }; rest.len;) {
                const char *end = memchr(rest.p, '\n', rest.len);
                size_t line = end ? (size_t)(end - rest.p) : rest.len;

                read_line(a, (struct str){ rest.p, line });
                line += end != NULL;
                rest = (struct str){ rest.p + line, rest.len - line };
        }
}

static void write_file(struct secret_ages *a)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        int r;

        for (unsigned i = 0; i < a->count; i++) {
                char print[2 * SECRET_PRINT_LEN + 1];

                audit_hex(a->at[i].print, SECRET_PRINT_LEN, print);
                strbuf_printf(&text, "%s %s %" PRId64 "\n", a->at[i].name, print, a->at[i].since_ms);
        }
        r = text.failed ? -ENOMEM : file_replace(a->path, span_of(text.data ? text.data : "", text.len));
        if (r)
                diag_limited(DIAG_WARN, "%s: %s; secrets will count as new after a restart", a->path, strerror(-r));
        a->is_changed = r != 0;
}

/* ---- one secret ---- */

static struct secret_age *find(struct secret_ages *a, const char *name)
{
        for (unsigned i = 0; i < a->count; i++)
                if (!strcmp(a->at[i].name, name))
                        return &a->at[i];
        return NULL;
}

/* Since when there is the one with this fingerprint. */
static int64_t since(struct secret_ages *a, const char *name, const uint8_t print[SECRET_PRINT_LEN])
{
        struct secret_age *at = find(a, name);
        int64_t now_ms = clock_wall_ms();
        bool is_new = !at;

        if (!at && a->count == SECRET_AGES_MAX)
                return now_ms;
        if (!at)
                at = &a->at[a->count++];
        if (is_new || memcmp(at->print, print, SECRET_PRINT_LEN) != 0) {
                *at = (struct secret_age){ .since_ms = now_ms };
                snprintf(at->name, sizeof at->name, "%s", name);
                memcpy(at->print, print, SECRET_PRINT_LEN);
                a->is_changed = true;
        }
        at->seen = true;
        return at->since_ms;
}

static void tell(struct strbuf *out, const char *secret, int64_t since_ms)
{
        expo_value(out, FAMILY, "", (struct expo_label[]){ { "secret", str_of(secret) }, { 0 } },
                   (double)MAX2(clock_wall_ms() - since_ms, INT64_C(0)) / 1000);
}

/* ---- which there are ---- */

static void tell_token_secret(struct secret_ages *a, struct node *n, struct strbuf *out)
{
        uint8_t print[TOKEN_HMAC_LEN];

        if (n->token_secrets.ring && !token_ring_hmac(n->token_secrets.ring, TOKEN_SECRET, STR_LIT(PRINT_OF), print))
                tell(out, "delegation_token_secret", since(a, "delegation_token_secret", print));
        explicit_bzero(print, sizeof print);
}

static void tell_audit_key(struct secret_ages *a, struct node *n, struct strbuf *out)
{
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        size_t count;

        if (!n->audit.log)
                return;
        count = audit_public_keys(&n->audit, keys);
        tell(out, "audit_key", since(a, "audit_key", keys[count - 1]));
}

struct oldest {
        struct secret_ages *ages;
        int64_t since_ms;
};

/* By the fingerprint, and not by its name, which changes while it is rotated. */
static void operator_one(void *arg, const char *name, const uint8_t *hash)
{
        struct oldest *o = arg;
        char whole[SECRET_NAME_SIZE] = "operator_token/";

        (void)name;
        audit_hex(hash, SECRET_PRINT_LEN, whole + strlen(whole));
        o->since_ms = MIN2(o->since_ms, since(o->ages, whole, hash));
}

static void tell_operators(struct secret_ages *a, struct node *n, struct strbuf *out)
{
        struct oldest o = { a, INT64_MAX };

        if (n->gate)
                admin_gate_each_token(n->gate, operator_one, &o);
        if (o.since_ms != INT64_MAX)
                tell(out, "operator_tokens", o.since_ms);
}

/* Return: how many passwords have no time: programs from before it was kept have set them. */
static unsigned tell_users(struct node *n, struct strbuf *out)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_credential *c;
        int64_t since_ms = INT64_MAX;
        unsigned unknown = 0;

        pmap_for_each (it, c, &image->credentials)
                if (c->set_ms)
                        since_ms = MIN2(since_ms, c->set_ms);
                else
                        unknown++;
        meta_image_unref(image);
        if (since_ms != INT64_MAX)
                tell(out, "user_passwords", since_ms);
        return unknown;
}

/* What was not seen in this round is a secret that the node has no more. */
static void forget_others(struct secret_ages *a)
{
        unsigned kept = 0;

        for (unsigned i = 0; i < a->count; i++)
                if (a->at[i].seen)
                        a->at[kept++] = a->at[i];
        a->is_changed |= kept != a->count;
        a->count = kept;
}

void secret_ages_expose(struct secret_ages *a, struct node *n, struct strbuf *out)
{
        unsigned unknown;

        expo_family(out, FAMILY, "gauge",
                    "Age of secrets: of each kind the oldest, as far as this node has any. Passwords of users count "
                    "from when "
                    "they were set, the others from when this node had them first.");
        pthread_mutex_lock(&a->lock);
        if (!a->is_read)
                read_file(a);
        for (unsigned i = 0; i < a->count; i++)
                a->at[i].seen = false;
        unknown = tell_users(n, out);
        tell_token_secret(a, n, out);
        tell_audit_key(a, n, out);
        tell_operators(a, n, out);
        forget_others(a);
        if (a->is_changed)
                write_file(a);
        pthread_mutex_unlock(&a->lock);
        metrics_gauge(out, "chronik_passwords_of_unknown_age",
                      "Passwords of users that were set by a program that did not note when.", unknown);
}
