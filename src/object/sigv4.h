/* Signature version 4 of Amazon Web Services, and Google's of the same making (GOOG4-HMAC-SHA256). Pure; any thread.
 * "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API Reference. */
#pragma once

#include "object/request.h"

enum { OBJECT_TIME_SIZE = 17 }; /* 20130524T000000Z */

/* The words in which the two differ. */
struct object_sigv4_words {
        const char *algorithm, *key_prefix, *terminator, *date_header, *payload_header, *token_header;
};
extern const struct object_sigv4_words object_sigv4_aws, object_sigv4_goog;

struct object_sigv4_key {
        struct str access_key, secret_key, session_token; /* the token may be STR_NULL */
        struct str region, service;
};

/* Milliseconds since 1970 as the signature has them. */
void object_sigv4_time(int64_t wall_ms, char ret_text[OBJECT_TIME_SIZE]);

/* Sign: adds date, payload's digest, token and "authorization" to the headers, and sorts. Signed are all headers that are there by then.
 * @payload_hex  SHA-256 of the body in hexadecimal digits.
 * @ret_canonical, if not NULL: the canonical request, for a test to look at; strbuf_fini() it.
 * Return: 0; -ENOMEM; -E2BIG: more than a request can have. */
int object_sigv4_sign(struct object_request *rq, const struct object_sigv4_words *words,
                      const struct object_sigv4_key *key, int64_t wall_ms, const char *payload_hex,
                      struct strbuf *ret_canonical);
