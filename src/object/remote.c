#include "object/remote.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "object/internal.h"
#include "object/jwt.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { SECRET_LEN_MAX = 64 << 10, ANSWER_LEN_MAX = 64 << 10, TIMEOUT_MS = 20000 };

static const char instance_default[] = "http://169.254.169.254";

/* ---- answers ---- */

static int take(char *to, size_t size, const char *value)
{
        size_t len = value ? strlen(value) : 0;

        if (!len || len >= size)
                return OBJECT_BAD_CREDENTIALS;
        memcpy(to, value, len + 1);
        return 0;
}

/* 2013-05-24T00:00:00Z */
static int64_t read_date(const char *text)
{
        struct tm tm = { 0 };

        return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

int object_remote_read_instance(struct span body, struct object_credentials *ret_credentials)
{
        json_t *root = json_loadb((const char *)body.data, body.len, 0, NULL);
        struct object_credentials c = { 0 };
        int r = take(c.access_key, sizeof c.access_key, json_string_value(json_object_get(root, "AccessKeyId")));

        if (!r)
                r = take(c.secret_key, sizeof c.secret_key,
                         json_string_value(json_object_get(root, "SecretAccessKey")));
        if (!r)
                r = take(c.token, sizeof c.token, json_string_value(json_object_get(root, "Token")));
        c.expires_ms = read_date(json_string_value(json_object_get(root, "Expiration")));
        json_decref(root);
        if (!r)
                *ret_credentials = c;
        return r;
}

int object_remote_read_sts(struct span body, struct object_credentials *ret_credentials)
{
        struct object_credentials c = { 0 };
        char date[40] = "";

        if (object_answer_element(body, "AccessKeyId", c.access_key, sizeof c.access_key) ||
            object_answer_element(body, "SecretAccessKey", c.secret_key, sizeof c.secret_key) ||
            object_answer_element(body, "SessionToken", c.token, sizeof c.token) || !*c.access_key || !*c.secret_key ||
            !*c.token)
                return OBJECT_BAD_CREDENTIALS;
        (void)object_answer_element(body, "Expiration", date,
                                    sizeof date); /* without, they are used until they are refused */
        c.expires_ms = read_date(date);
        *ret_credentials = c;
        return 0;
}

int object_remote_read_oauth(struct span body, int64_t now_ms, struct object_credentials *ret_credentials)
{
        json_t *root = json_loadb((const char *)body.data, body.len, 0, NULL);
        struct object_credentials c = { 0 };
        json_int_t seconds = json_integer_value(json_object_get(root, "expires_in"));
        int r = take(c.token, sizeof c.token, json_string_value(json_object_get(root, "access_token")));

        if (seconds > 0 && seconds < 86400 * 365)
                c.expires_ms = now_ms + seconds * 1000;
        json_decref(root);
        if (!r)
                *ret_credentials = c;
        return r;
}

/* ---- questions ---- */

int object_remote_check(const struct object_config *c, char *ret_why)
{
        const char *wrong = NULL;

        if (c->source == OBJECT_FROM_WEB_IDENTITY && (!c->role_arn || !c->token_file))
                wrong = "a web identity needs role_arn and token_file";
        if (c->source == OBJECT_FROM_ACCOUNT && !c->credentials_file)
                wrong = "a service account needs credentials_file, the key that Google gave as JSON";
        if (c->sts_endpoint && strncmp(c->sts_endpoint, "https://", 8) != 0 &&
            strncmp(c->sts_endpoint, "http://127.0.0.1", 16) != 0)
                wrong = "sts_endpoint must be https: a token is sent there";
        if (wrong)
                snprintf(ret_why, OBJECT_TEXT_SIZE, "%s", wrong);
        return wrong ? OBJECT_BAD_CONFIG : 0;
}

int object_remote_prepare(struct object_keys *k)
{
        const char *path = k->c.source == OBJECT_FROM_WEB_IDENTITY ? k->c.token_file : k->c.credentials_file;
        char *text = NULL;
        size_t len = 0;
        int r;

        k->step = 0;
        free(k->secret);
        k->secret = NULL;
        if (k->c.source == OBJECT_FROM_INSTANCE)
                return 0;
        r = file_read_whole(path, SECRET_LEN_MAX, &text, &len);
        if (r) {
                snprintf(k->why, sizeof k->why, "the credentials in '%.300s': %s", path, strerror(-r));
                return OBJECT_BAD_CREDENTIALS;
        }
        if (k->c.source == OBJECT_FROM_WEB_IDENTITY) {
                while (len && (unsigned char)text[len - 1] <= ' ')
                        text[--len] = '\0';
                k->secret = text;
                return 0;
        }
        r = object_remote_assertion((struct str){ text, len }, clock_wall_ms(), k->c.token_endpoint, &k->secret, k->url,
                                    sizeof k->url);
        explicit_bzero(text, len);
        free(text);
        if (r)
                snprintf(k->why, sizeof k->why,
                         "'%.300s' is not the key of a service account as Google gives it (JSON, RSA)", path);
        return r;
}

static void add_form(struct strbuf *b, const char *name, const char *value)
{
        strbuf_printf(b, "%s%s=", b->len ? "&" : "", name);
        object_percent_encode(b, str_of(value), false);
}

/* Split k->url into the origin and the path of a request. */
static int begin(struct object_keys *k, struct object_request *rq, const char *method)
{
        char *scheme_end = strstr(k->url, "://"), *slash;
        CLEANUP(strbuf_finip) struct strbuf form = { 0 };
        void *copy;

        if (!scheme_end || strcspn(k->url, "?# @") != strlen(k->url))
                return OBJECT_BAD_CONFIG;
        slash = strchr(scheme_end + 3, '/');
        object_request_init(rq, method, (struct str){ k->url, slash ? (size_t)(slash - k->url) : strlen(k->url) });
        rq->path = slash ? str_of(slash) : STR_LIT("/");
        if (!k->secret || k->c.source == OBJECT_FROM_INSTANCE)
                return 0;
        if (k->c.source == OBJECT_FROM_WEB_IDENTITY) {
                add_form(&form, "Action", "AssumeRoleWithWebIdentity");
                add_form(&form, "Version", "2011-06-15");
                add_form(&form, "RoleArn", k->c.role_arn);
                add_form(&form, "RoleSessionName", k->c.role_session ? k->c.role_session : "chronik");
                add_form(&form, "WebIdentityToken", k->secret);
        } else {
                add_form(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                add_form(&form, "assertion", k->secret);
        }
        copy = form.failed ? NULL : arena_memdup(&rq->arena, form.data, form.len);
        rq->failed |= !copy;
        rq->body = span_of(copy, copy ? form.len : 0);
        object_request_header(rq, "content-type", STR_LIT("application/x-www-form-urlencoded"));
        return 0;
}

static void on_answer(struct object_transfer *t, CURLcode result);

static void end(struct object_keys *k, int r)
{
        void (*done)(struct object_keys *, int) = k->done;

        k->transfer = object_transfer_free(k->transfer);
        done(k, r);
}

/* The address of this step, and how it is asked. */
static const char *address(struct object_keys *k)
{
        const char *base = k->c.instance_endpoint ? k->c.instance_endpoint : instance_default;

        switch (k->c.source) {
        case OBJECT_FROM_INSTANCE:
                if (k->step == 0)
                        snprintf(k->url, sizeof k->url, "%s/latest/api/token", base);
                else
                        snprintf(k->url, sizeof k->url, "%s/latest/meta-data/iam/security-credentials/%s", base,
                                 k->step == 2 ? k->role : "");
                return k->step == 0 ? "PUT" : "GET";
        case OBJECT_FROM_WEB_IDENTITY:
                if (k->c.sts_endpoint)
                        snprintf(k->url, sizeof k->url, "%s/", k->c.sts_endpoint);
                else
                        snprintf(k->url, sizeof k->url, "https://sts.%s.amazonaws.com/", k->s->place.region);
                return "POST";
        default:
                return "POST"; /* k->url came with the key */
        }
}

static void ask(struct object_keys *k)
{
        struct object_request rq = { 0 };
        const char *method = address(k);
        int r = begin(k, &rq, method);

        if (!r && k->c.source == OBJECT_FROM_INSTANCE) {
                if (k->step == 0)
                        object_request_header(&rq, "x-aws-ec2-metadata-token-ttl-seconds", STR_LIT("300"));
                else
                        object_request_header(&rq, "x-aws-ec2-metadata-token", str_of(k->secret));
        }
        if (r || rq.failed) {
                object_request_fini(&rq);
                snprintf(k->why, sizeof k->why, "credentials cannot be asked for at '%.300s'", k->url);
                end(k, r ? r : -ENOMEM);
                return;
        }
        r = object_transfer_start(&k->s->http, &rq, TIMEOUT_MS, NULL, 0, ANSWER_LEN_MAX, on_answer, k, &k->transfer);
        if (r) {
                snprintf(k->why, sizeof k->why, "memory is out");
                end(k, r);
        }
}

void object_remote_start(struct object_keys *k, void (*done)(struct object_keys *k, int result))
{
        k->done = done;
        ask(k);
}

/* One line of text, of the metadata service. */
static int take_line(struct span body, char *to, size_t size)
{
        size_t len = 0;

        while (len < body.len && body.data[len] > ' ' && body.data[len] < 0x7f)
                len++;
        if (!len || len >= size)
                return OBJECT_BAD_CREDENTIALS;
        memcpy(to, body.data, len);
        to[len] = '\0';
        return 0;
}

/* Return: 0: k->read; 1: another step follows; OBJECT_BAD_CREDENTIALS; -ENOMEM. */
static int read_answer(struct object_keys *k, struct span body)
{
        char token[1024];

        if (k->c.source == OBJECT_FROM_WEB_IDENTITY)
                return object_remote_read_sts(body, &k->read);
        if (k->c.source == OBJECT_FROM_ACCOUNT)
                return object_remote_read_oauth(body, clock_wall_ms(), &k->read);
        if (k->step == 2)
                return object_remote_read_instance(body, &k->read);
        if (k->step == 1 ? take_line(body, k->role, sizeof k->role) : take_line(body, token, sizeof token))
                return OBJECT_BAD_CREDENTIALS;
        if (k->step == 0 && !(k->secret = strdup(token)))
                return -ENOMEM;
        k->step++;
        return 1;
}

static void on_answer(struct object_transfer *t, CURLcode result)
{
        struct object_keys *k = t->owner;
        struct object_verdict v;
        int r = OBJECT_BAD_CREDENTIALS;

        if (result) {
                object_transfer_judge(t, result, &v);
                snprintf(k->why, sizeof k->why, "no credentials from %.450s", v.text);
        } else if (t->answer.status != 200) {
                snprintf(k->why, sizeof k->why, "no credentials from %.300s: it answered %ld%s", k->url,
                         t->answer.status,
                         k->c.source == OBJECT_FROM_INSTANCE && t->answer.status == 404 ? "; has this machine a role?"
                                                                                        : "");
        } else {
                r = read_answer(k, span_of(t->body.data, t->body.len));
                if (r < 0)
                        snprintf(k->why, sizeof k->why, "no credentials from %.300s: its answer is not understood",
                                 k->url);
        }
        if (r == 1) {
                k->transfer = object_transfer_free(k->transfer);
                ask(k);
        } else {
                end(k, r);
        }
}
