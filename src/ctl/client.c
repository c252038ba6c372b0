/* One request to a node's admin listener, by libcurl. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/ctl.h"
#include "sys/file.h"

enum { TIMEOUT_S = 60, CONNECT_TIMEOUT_S = 5, TOKEN_LEN_MAX = 4096 };

/* What may stand behind "Bearer " (RFC 6750). */
#define TOKEN_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
        struct strbuf *b = arg;

        strbuf_add(b, data, size * count);
        return b->failed ? 0 : size * count;
}

char *ctl_escape(const char *name)
{
        char *escaped = curl_easy_escape(NULL, name, 0), *copy = escaped ? strdup(escaped) : NULL;

        curl_free(escaped);
        return copy;
}

/* Which of the servers is asked: one that has answered is asked again, since what it was asked may need that. */
static unsigned server_at;

static int fail_transport(const struct ctl *c, const char *server, CURLcode r)
{
        if (c->tls && (r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE)) {
                fprintf(stderr,
                        "chronik-ctl: %s shows a certificate that is not accepted: %s. Its authority has to be in "
                        "--ca, "
                        "and the name in --server in the certificate\n",
                        server, curl_easy_strerror(r));
                return CTL_UNREACHABLE;
        }
        if (r == CURLE_GOT_NOTHING || r == CURLE_RECV_ERROR || r == CURLE_SSL_CONNECT_ERROR) {
                fprintf(stderr, "chronik-ctl: %s ended the connection: %s. %s\n", server, curl_easy_strerror(r),
                        c->tls ? "Does it speak TLS (admin.tls_certificate), and does it want a certificate of yours "
                                 "(--cert, --key)?"
                               : "Does it want TLS (--ca FILE, or --server https://HOST:PORT), and is this its admin "
                                 "address?");
                return CTL_UNREACHABLE;
        }
        fprintf(stderr,
                "chronik-ctl: no answer from %s: %s. Is chronikd running there, and is this its admin address "
                "(--server HOST:PORT, server.admin)?\n",
                server, curl_easy_strerror(r));
        return CTL_UNREACHABLE;
}

/* @ret_gone: NULL, or set instead of telling that there is no such thing. */
static int read_answer(const char *server, long status, const struct strbuf *text, json_t **ret, bool *ret_gone)
{
        json_error_t fault;
        json_t *value = json_loadb(text->data ? text->data : "", text->len, 0, &fault);
        const char *said = json_string_value(json_object_get(value, "error"));
        CLEANUP(freep) char *error = said ? text_clean(strdup(said)) : NULL;

        if (status >= 200 && status < 300 && value) {
                *ret = value;
                return CTL_OK;
        }
        if (error && ret_gone && status == 404) {
                *ret_gone = true;
                json_decref(value);
                return CTL_OK;
        }
        if (error)
                fprintf(stderr, "chronik-ctl: %s\n", error);
        else
                fprintf(stderr,
                        "chronik-ctl: %s answered with HTTP status %ld, which chronikd would not. Is this its admin "
                        "address (--server HOST:PORT)?\n",
                        server, status);
        json_decref(value);
        return status == 401 || status == 403 ? CTL_DENIED : CTL_FAILED;
}

/* The first line of the token's file behind "Authorization: Bearer "; free it. NULL has been told. */
static char *token_header(const char *path)
{
        CLEANUP(freep) char *text = NULL;
        char *header;
        size_t len;
        int r = file_read_whole(path, TOKEN_LEN_MAX, &text, &len);

        if (r) {
                fprintf(stderr, "chronik-ctl: --token-file %s: %s\n", path, strerror(-r));
                return NULL;
        }
        text[strcspn(text, "\r\n")] = '\0';
        if (!*text || strspn(text, TOKEN_LETTERS) != strlen(text)) {
                fprintf(stderr,
                        "chronik-ctl: --token-file %s: there is no token in its first line; `chronik-ctl admin-token "
                        "new` makes one\n",
                        path);
                return NULL;
        }
        if (asprintf(&header, "Authorization: Bearer %s", text) < 0)
                abort();
        explicit_bzero(text, len);
        return header;
}

/* Who asks, and whom to believe. Return: CTL_OK, or CTL_USAGE, told. */
static int identify(const struct ctl *c, CURL *curl, struct curl_slist **headers)
{
        char *header;

        if (c->tls)
                curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (c->ca)
                curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca);
        if (c->cert) {
                curl_easy_setopt(curl, CURLOPT_SSLCERT, c->cert);
                curl_easy_setopt(curl, CURLOPT_SSLKEY, c->key);
        }
        if (!c->token_file)
                return CTL_OK;
        header = token_header(c->token_file);
        if (!header)
                return CTL_USAGE;
        *headers = curl_slist_append(*headers, header);
        explicit_bzero(header, strlen(header));
        free(header);
        if (!*headers)
                abort();
        return CTL_OK;
}

/* Nothing was asked yet, so that the next server may be. */
static bool is_untold(CURLcode r)
{
        return r == CURLE_COULDNT_CONNECT || r == CURLE_COULDNT_RESOLVE_HOST;
}

static CURLcode perform(CURL *curl, bool tls, const char *server, const char *path, struct strbuf *answer,
                        long *ret_status)
{
        char *url;
        CURLcode r;

        if (asprintf(&url, "%s://%s%s", tls ? "https" : "http", server, path) < 0)
                abort();
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
        r = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
        free(url);
        return r;
}

static int ask_node(const struct ctl *c, const char *method, const char *path, json_t *body, json_t **ret,
                    bool *ret_gone)
{
        CURL *curl = curl_easy_init();
        struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
        char *text = body ? json_dumps(body, 0) : NULL;
        struct strbuf answer = { 0 };
        const char *server = NULL;
        long status = 0;
        CURLcode r = CURLE_OK;
        int e;

        json_decref(body);
        if (!curl || !headers)
                abort();
        curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a topic may be asked for as '..' */
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
        curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* a node is never behind one */
        if (text)
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
        e = identify(c, curl, &headers);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        while (!e) {
                server = c->servers[server_at];
                r = perform(curl, c->tls, server, path, &answer, &status);
                if (!is_untold(r) || server_at + 1 >= c->servers_count)
                        break;
                server_at++;
        }
        if (!e)
                e = r == CURLE_OK ? read_answer(server, status, &answer, ret, ret_gone) : fail_transport(c, server, r);
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        strbuf_fini(&answer);
        free(text);
        return e;
}

int ctl_ask(const struct ctl *c, const char *method, const char *path, json_t *body, json_t **ret)
{
        return ask_node(c, method, path, body, ret, NULL);
}

int ctl_ask_gone(const struct ctl *c, const char *path, json_t **ret, bool *ret_gone)
{
        *ret = NULL;
        *ret_gone = false;
        return ask_node(c, "GET", path, NULL, ret, ret_gone);
}
