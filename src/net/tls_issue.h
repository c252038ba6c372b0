/* Making certificates for a cluster of one's own: an authority, and certificates that it issues. Keys are ECDSA on
 * P-256. In memory only; who writes files is the caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* PEM texts; malloc. */
struct tls_pair {
        char *certificate, *key;
};

struct tls_subject {
        const char *name; /* common name, for people; up to 64 characters */
        const char *uri;  /* subjectAltName; NULL: none */
        const char *
                hosts; /* subjectAltName: names and addresses with commas between them, and for the server's side of a connection only;
                              NULL: none */
        bool authority; /* may issue others, and can do nothing else; otherwise for both sides of a TLS connection */
        int64_t from_s; /* valid from, in seconds from now (may be negative) */
        int64_t to_s;   /* valid until, likewise */
};

/* A new key and a certificate for it, issued by @issuer (NULL: by itself), of whose certificates the one counts that belongs to its key.
 * Return: 0, and @ret_pair is to be given to tls_pair_fini(); -EINVAL: @issuer is no pair, or @s cannot be written;
 * -ENOMEM. */
int tls_issue(const struct tls_subject *s, const struct tls_pair *issuer, struct tls_pair *ret_pair);
/* That one of @p's certificates, alone; malloc. Return: 0; -EINVAL: there is none; -ENOMEM. */
int tls_pair_certificate(const struct tls_pair *p, char **ret_certificate);
/* How many certificates a PEM text has. */
size_t tls_certificates_count(const char *pem);
/* Has the key of @authority's (first) certificate signed the first of @certificate? PEM texts. */
bool tls_is_issued_by(const char *certificate, const char *authority);
/* Wipes the key. */
void tls_pair_fini(struct tls_pair *p);
