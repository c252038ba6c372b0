#include "object/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "object/digest.h"

const struct object_sigv4_words object_sigv4_aws = {
        "AWS4-HMAC-SHA256", "AWS4", "aws4_request", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token",
};
const struct object_sigv4_words object_sigv4_goog = {
        "GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "x-goog-date", "x-goog-content-sha256", "x-goog-security-token",
};

void object_sigv4_time(int64_t wall_ms, char ret_text[OBJECT_TIME_SIZE])
{
        time_t seconds = (time_t)(wall_ms / 1000);
        struct tm tm;

        gmtime_r(&seconds, &tm);
        if (!strftime(ret_text, OBJECT_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm))
                ret_text[0] = '\0'; /* a year with five digits; no server takes it */
}

static void add_str(struct strbuf *b, struct str s)
{
        strbuf_add(b, s.p, s.len);
}

/* Task 1: a form of the request that both sides arrive at. */
static void canonical_request(const struct object_request *rq, const char *payload_hex, struct str signed_headers,
                              struct strbuf *out)
{
        strbuf_printf(out, "%s\n", rq->method);
        add_str(out, rq->path);
        strbuf_add_c(out, "\n");
        object_request_encode_query(rq, out);
        strbuf_add_c(out, "\n");
        for (unsigned i = 0; i < rq->headers_count; i++) {
                add_str(out, rq->headers[i].name);
                strbuf_add_c(out, ":");
                add_str(out, rq->headers[i].value);
                strbuf_add_c(out, "\n");
        }
        strbuf_add_c(out, "\n");
        add_str(out, signed_headers);
        strbuf_printf(out, "\n%s", payload_hex);
}

/* Task 3: the key for one day, region and service. */
static int signing_key(const struct object_sigv4_words *words, const struct object_sigv4_key *key, struct str day,
                       uint8_t ret_key[OBJECT_SHA256_SIZE])
{
        CLEANUP(strbuf_finip) struct strbuf secret = { 0 };
        const struct str steps[] = { key->region, key->service, str_of(words->terminator) };
        uint8_t k[OBJECT_SHA256_SIZE];
        int r;

        strbuf_add_c(&secret, words->key_prefix);
        add_str(&secret, key->secret_key);
        if (secret.failed)
                return -ENOMEM;
        r = object_hmac_sha256(span_of(secret.data, secret.len), span_of(day.p, day.len), k);
        explicit_bzero(secret.data, secret.len);
        for (size_t i = 0; i < ARRAY_LEN(steps) && !r; i++) {
                uint8_t next[OBJECT_SHA256_SIZE];

                r = object_hmac_sha256(span_of(k, sizeof k), span_of(steps[i].p, steps[i].len), next);
                memcpy(k, next, sizeof k);
        }
        if (!r)
                memcpy(ret_key, k, sizeof k);
        explicit_bzero(k, sizeof k);
        return r;
}

/* Task 2 and 3: what is signed, and its signature. */
static int signature(const struct object_sigv4_words *words, const struct object_sigv4_key *key, const char *time_text,
                     struct span canonical, struct str scope, char ret_hex[OBJECT_SHA256_HEX_SIZE])
{
        CLEANUP(strbuf_finip) struct strbuf to_sign = { 0 };
        uint8_t digest[OBJECT_SHA256_SIZE], k[OBJECT_SHA256_SIZE];
        char hex[OBJECT_SHA256_HEX_SIZE];
        int r = object_sha256(canonical, digest);

        if (r)
                return r;
        object_hex(digest, sizeof digest, hex);
        strbuf_printf(&to_sign, "%s\n%s\n%.*s\n%s", words->algorithm, time_text, STR_FMT(scope), hex);
        if (to_sign.failed)
                return -ENOMEM;
        r = signing_key(words, key, (struct str){ time_text, 8 }, k);
        if (!r)
                r = object_hmac_sha256(span_of(k, sizeof k), span_of(to_sign.data, to_sign.len), digest);
        explicit_bzero(k, sizeof k);
        if (r)
                return r;
        object_hex(digest, sizeof digest, ret_hex);
        return 0;
}

int object_sigv4_sign(struct object_request *rq, const struct object_sigv4_words *words,
                      const struct object_sigv4_key *key, int64_t wall_ms, const char *payload_hex,
                      struct strbuf *ret_canonical)
{
        CLEANUP(strbuf_finip) struct strbuf names = { 0 }, canonical = { 0 }, scope = { 0 };
        char time_text[OBJECT_TIME_SIZE], hex[OBJECT_SHA256_HEX_SIZE];
        int r;

        object_sigv4_time(wall_ms, time_text);
        object_request_header(rq, words->date_header, str_of(time_text));
        object_request_header(rq, words->payload_header, str_of(payload_hex));
        if (!str_is_null(key->session_token))
                object_request_header(rq, words->token_header, key->session_token);
        object_request_sort(rq);
        for (unsigned i = 0; i < rq->headers_count; i++)
                strbuf_printf(&names, "%s%.*s", i ? ";" : "", STR_FMT(rq->headers[i].name));
        strbuf_printf(&scope, "%.8s/%.*s/%.*s/%s", time_text, STR_FMT(key->region), STR_FMT(key->service),
                      words->terminator);
        canonical_request(rq, payload_hex, (struct str){ names.data, names.len }, &canonical);
        if (names.failed || canonical.failed || scope.failed)
                return -ENOMEM;
        r = signature(words, key, time_text, span_of(canonical.data, canonical.len),
                      (struct str){ scope.data, scope.len }, hex);
        if (r)
                return r;
        object_request_header_f(rq, "authorization", "%s Credential=%.*s/%s,SignedHeaders=%s,Signature=%s",
                                words->algorithm, STR_FMT(key->access_key), scope.data, names.data, hex);
        if (rq->failed)
                return -E2BIG;
        if (ret_canonical) {
                *ret_canonical = canonical;
                canonical = (struct strbuf){ 0 };
        }
        return 0;
}
