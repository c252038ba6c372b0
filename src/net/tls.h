/* TLS by OpenSSL: certificates and keys as configured, checked before they are used, and replaced while connections
 * live. How a connection uses them is net's inside. Between nodes the versions are 1.3 only and both sides show a
 * certificate; a listener for clients also takes 1.2. Sessions are never resumed: every connection is verified anew,
 * and a replaced context is not outlived by old tickets. Certificates that were withdrawn are not asked for (no CRL, no
 * OCSP): give short validity, or a new authority. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct tls_context;
struct tls_slot;

enum {
        TLS_WHY_SIZE = 1024, /* of a text for people, with its NUL */
        TLS_URI_SIZE = 256,  /* of a URI in a certificate, likewise */
};

struct tls_files {
        const char *certificate; /* PEM: the own one first, then what leads up to the authority */
        const char *key;         /* PEM, not encrypted */
        const char *
                ca; /* PEM: the authorities whose certificates are accepted, also the own one's. NULL with @peers false:
                           none are asked for, but see client_ca */
        bool peers; /* between nodes: TLS 1.3, and nobody without a certificate of @ca */
        const char *
                client_ca; /* of a listener for clients, in place of @ca: PEM, the authorities of the clients alone. NULL: clients
                                  are not asked for certificates */
        bool client_required; /* no client without one */
};

/* Load and check: the key belongs to the certificate, the certificate is valid today and leads to @ca (with @peers, for
 * both sides of a connection). Blocks on files. @ret_why, on failure: which file, what is wrong, what would be right.
 * Return: 0; -EINVAL: what is in them; another negative errno: they cannot be read, or memory is out. */
int tls_context_load(const struct tls_files *files, struct tls_context **ret_context, char ret_why[TLS_WHY_SIZE]);
struct tls_context *tls_context_ref(struct tls_context *x);
/* NULL is fine. Returns NULL. */
struct tls_context *tls_context_unref(struct tls_context *x);
DEFINE_FREEP(struct tls_context, tls_context_unref)

/* The one URI of the own certificate's subjectAltName that begins with @prefix.
 * Return: 0; -ENOENT: there is none; -EEXIST: more than one; -EINVAL: it is longer than fits, or has a NUL in it. */
int tls_context_uri(const struct tls_context *x, const char *prefix, char ret_uri[TLS_URI_SIZE]);
/* When the first certificate of the own chain ends, in milliseconds since 1970. */
int64_t tls_context_end_ms(const struct tls_context *x);
/* When the first certificate in the PEM file @path ends, likewise. Return: 0; or negative errno with @why: it has none. */
int tls_file_end_ms(const char *path, int64_t *ret_end_ms, char why[TLS_WHY_SIZE]);

/* Where connections look for the context that is in use. */

/* @x is the slot's from now on. NULL: out of memory, and @x is still the caller's. */
struct tls_slot *tls_slot_new(struct tls_context *x);
/* New connections use @x, which is the slot's from now on; those that are open go on with what they have. Any thread.
 */
void tls_slot_set(struct tls_slot *s, struct tls_context *x);
/* A reference to what is in use. Any thread. */
struct tls_context *tls_slot_get(struct tls_slot *s);
/* When no connection looks any more. NULL is fine. Returns NULL. */
struct tls_slot *tls_slot_free(struct tls_slot *s);
DEFINE_FREEP(struct tls_slot, tls_slot_free)
