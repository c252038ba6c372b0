/* Certificates and keys: loading, checking, swapping. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net/tls_internal.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
        CHAIN_LEN_MAX = 64 * 1024, /* sent in every handshake */
        KEY_LEN_MAX = 64 * 1024,
        CA_LEN_MAX = 4 << 20, /* a whole system's list of authorities is below one */
        VERIFY_DEPTH_MAX = 8,
        READ_AHEAD_LEN = 64 * 1024, /* taken from the socket at a time */
};

struct tls_context {
        atomic_uint refs;
        bool peers;
        SSL_CTX *ssl;
        int64_t end_ms;
};

struct tls_slot {
        pthread_mutex_t lock;
        struct tls_context *context;
};

/* ---- words ---- */

struct load {
        const struct tls_files *files;
        char *why; /* TLS_WHY_SIZE */
        X509 *own;
        STACK_OF(X509) * chain, *authorities;
        EVP_PKEY *key;
        X509_STORE *store;
};

static int PRINTF_LIKE(3, 4) load_failed(struct load *l, int r, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(l->why, TLS_WHY_SIZE, fmt, ap);
        va_end(ap);
        ERR_clear_error();
        return r;
}

static void name_text(const X509_NAME *name, char ret[256])
{
        BIO *b = BIO_new(BIO_s_mem());
        int n = 0;

        if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
                n = BIO_read(b, ret, 255);
        ret[MAX2(n, 0)] = '\0';
        BIO_free(b);
}

static void time_text(const ASN1_TIME *t, char ret[64])
{
        struct tm tm;

        if (ASN1_TIME_to_tm(t, &tm))
                strftime(ret, 64, "%Y-%m-%d %H:%M:%S UTC", &tm);
        else
                snprintf(ret, 64, "a time that cannot be read");
}

static int64_t time_ms(const ASN1_TIME *t)
{
        ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
        int days = 0, seconds = 0;

        if (epoch)
                ASN1_TIME_diff(&days, &seconds, epoch, t);
        ASN1_TIME_free(epoch);
        return ((int64_t)days * 86400 + seconds) * 1000;
}

/* ---- files ---- */

static int file_bio(struct load *l, const char *path, size_t len_max, char **ret_data, BIO **ret_bio)
{
        size_t len;
        int r = file_read_whole(path, len_max, ret_data, &len);

        if (r == -EFBIG)
                return load_failed(l, -EINVAL, "%s: longer than %zu bytes; that is no file of certificates", path,
                                   len_max);
        if (r)
                return load_failed(l, r, "%s: cannot be read: %s", path, strerrordesc_np(-r));
        *ret_bio = BIO_new_mem_buf(*ret_data, (int)len);
        return *ret_bio ? 0 : load_failed(l, -ENOMEM, "out of memory");
}

/* All certificates of a PEM file, in order; other things in it are skipped. */
static int read_certificates(struct load *l, const char *path, size_t len_max, STACK_OF(X509) * *ret)
{
        STACK_OF(X509) *all = sk_X509_new_null();
        CLEANUP(freep) char *data = NULL;
        unsigned long e;
        BIO *b = NULL;
        X509 *x;
        int r = all ? file_bio(l, path, len_max, &data, &b) : load_failed(l, -ENOMEM, "out of memory");

        while (!r && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
                if (!sk_X509_push(all, x)) {
                        X509_free(x);
                        r = load_failed(l, -ENOMEM, "out of memory");
                }
        e = ERR_peek_last_error();
        if (!r && ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
                r = load_failed(l, -EINVAL, "%s: certificate number %d in it cannot be read (%s); is the file whole?",
                                path, sk_X509_num(all) + 1, ERR_reason_error_string(e));
        if (!r && !sk_X509_num(all))
                r = load_failed(l, -EINVAL,
                                "%s: there is no certificate in it; PEM is expected (-----BEGIN CERTIFICATE-----)",
                                path);
        ERR_clear_error();
        BIO_free(b);
        if (r)
                sk_X509_pop_free(all, X509_free);
        else
                *ret = all;
        return r;
}

static int no_password(char *buf, int size, int writing, void *arg)
{
        *(bool *)arg = true;
        return -1;
}

static int read_key(struct load *l)
{
        const char *path = l->files->key;
        CLEANUP(freep) char *data = NULL;
        bool encrypted = false;
        BIO *b = NULL;
        int r = file_bio(l, path, KEY_LEN_MAX, &data, &b);

        if (r)
                return r;
        l->key = PEM_read_bio_PrivateKey(b, NULL, no_password, &encrypted);
        BIO_free(b);
        if (data)
                OPENSSL_cleanse(data, strlen(data));
        if (l->key)
                return 0;
        if (encrypted)
                return load_failed(l, -EINVAL,
                                   "%s: the key is encrypted, and nobody is there to type its password; store it "
                                   "unencrypted, readable by the service alone",
                                   path);
        return load_failed(l, -EINVAL,
                           "%s: there is no private key in it; PEM is expected (-----BEGIN PRIVATE KEY-----)", path);
}

/* ---- checks ---- */

static int check_times(struct load *l)
{
        char begin[64], end[64];

        time_text(X509_get0_notBefore(l->own), begin);
        time_text(X509_get0_notAfter(l->own), end);
        if (X509_cmp_current_time(X509_get0_notBefore(l->own)) > 0)
                return load_failed(l, -EINVAL,
                                   "%s: the certificate is valid from %s on only; wait, or correct the clock",
                                   l->files->certificate, begin);
        if (X509_cmp_current_time(X509_get0_notAfter(l->own)) < 0)
                return load_failed(l, -EINVAL, "%s: the certificate was valid until %s; put a new one there",
                                   l->files->certificate, end);
        return 0;
}

/* Would the others accept it? @purpose: as which side of a connection. */
static int check_chain(struct load *l, int purpose, const char *side)
{
        X509_STORE_CTX *c = X509_STORE_CTX_new();
        int r = 0, depth, e;
        char who[256];

        if (!c || !X509_STORE_CTX_init(c, l->store, l->own, l->chain) || !X509_STORE_CTX_set_purpose(c, purpose)) {
                X509_STORE_CTX_free(c);
                return load_failed(l, -ENOMEM, "out of memory");
        }
        X509_STORE_CTX_set_flags(c, X509_V_FLAG_PARTIAL_CHAIN);
        X509_STORE_CTX_set_depth(c, VERIFY_DEPTH_MAX);
        if (X509_verify_cert(c) != 1) {
                e = X509_STORE_CTX_get_error(c);
                depth = X509_STORE_CTX_get_error_depth(c);
                name_text(X509_get_subject_name(X509_STORE_CTX_get_current_cert(c) ? X509_STORE_CTX_get_current_cert(c)
                                                                                   : l->own),
                          who);
                r = load_failed(
                        l, -EINVAL,
                        "%s: as a %s it would not be accepted by those who trust %s: %s (certificate %d of the chain, "
                        "%s); the certificate has to be issued by that authority%s",
                        l->files->certificate, side, l->files->ca, X509_verify_cert_error_string(e), depth, who,
                        e == X509_V_ERR_INVALID_PURPOSE ? ", for both serverAuth and clientAuth"
                        : e == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
                                ? ", and what lies between them has to be in the file, too"
                                : "");
        }
        X509_STORE_CTX_free(c);
        return r;
}

static int load_store(struct load *l, const char *path)
{
        int r = read_certificates(l, path, CA_LEN_MAX, &l->authorities);

        if (r)
                return r;
        l->store = X509_STORE_new();
        if (!l->store)
                return load_failed(l, -ENOMEM, "out of memory");
        for (int i = 0; i < sk_X509_num(l->authorities); i++)
                if (!X509_STORE_add_cert(l->store, sk_X509_value(l->authorities, i)))
                        return load_failed(l, -EINVAL, "%s: certificate number %d in it cannot be used", path, i + 1);
        if (path != l->files->ca) /* whoever issued ours is known to the clients, and not our concern */
                return 0;
        r = check_chain(l, X509_PURPOSE_SSL_SERVER, "server");
        if (!r && l->files->peers)
                r = check_chain(l, X509_PURPOSE_SSL_CLIENT, "client");
        return r;
}

static int load_all(struct load *l)
{
        int r = read_certificates(l, l->files->certificate, CHAIN_LEN_MAX, &l->chain);

        if (!r)
                r = read_key(l);
        if (r)
                return r;
        l->own = sk_X509_shift(l->chain);
        if (!X509_check_private_key(l->own, l->key))
                return load_failed(
                        l, -EINVAL,
                        "%s: the key is not that of the first certificate in %s; put the two of one pair there (the "
                        "own certificate comes first in its file)",
                        l->files->key, l->files->certificate);
        r = check_times(l);
        if (!r && l->files->ca)
                r = load_store(l, l->files->ca);
        if (!r && l->files->client_ca)
                r = load_store(l, l->files->client_ca);
        return r;
}

/* ---- the context ---- */

static void setup(SSL_CTX *ssl, const struct load *l)
{
        SSL_CTX_set_min_proto_version(ssl, l->files->peers ? TLS1_3_VERSION : TLS1_2_VERSION);
        /* A connection that just ends has ended: frames say themselves whether they are whole. */
        SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_num_tickets(ssl, 0);
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS); /* an idle connection stays small */
        SSL_CTX_set_read_ahead(ssl, 1);
        SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD_LEN);
        SSL_CTX_set_verify_depth(ssl, VERIFY_DEPTH_MAX);
        if (l->store)
                SSL_CTX_set_verify(
                        ssl,
                        SSL_VERIFY_PEER |
                                (l->files->peers || l->files->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                        NULL);
}

static int context_new(struct load *l, struct tls_context **ret)
{
        struct tls_context *x = calloc(1, sizeof *x);

        if (!x)
                return load_failed(l, -ENOMEM, "out of memory");
        atomic_init(&x->refs, 1);
        x->peers = l->files->peers;
        x->end_ms = time_ms(X509_get0_notAfter(l->own));
        x->ssl = SSL_CTX_new(TLS_method());
        if (!x->ssl) {
                free(x);
                return load_failed(l, -ENOMEM, "out of memory");
        }
        setup(x->ssl, l);
        if (l->store) {
                X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(x->ssl), X509_V_FLAG_PARTIAL_CHAIN);
                SSL_CTX_set1_cert_store(x->ssl, l->store);
        }
        for (int i = 0; i < sk_X509_num(l->chain); i++)
                x->end_ms = MIN2(x->end_ms, time_ms(X509_get0_notAfter(sk_X509_value(l->chain, i))));
        if (SSL_CTX_use_cert_and_key(x->ssl, l->own, l->key, l->chain, 1) == 1) {
                *ret = x;
                return 0;
        }
        tls_context_unref(x);
        return load_failed(l, -EINVAL, "%s: OpenSSL does not use it: %s", l->files->certificate,
                           ERR_reason_error_string(ERR_peek_last_error()));
}

int tls_context_load(const struct tls_files *files, struct tls_context **ret_context, char ret_why[TLS_WHY_SIZE])
{
        struct load l = { .files = files, .why = ret_why };
        int r;

        assert(files->ca || !files->peers);
        assert(!files->ca || !files->client_ca);
        ERR_clear_error();
        r = load_all(&l);
        if (!r)
                r = context_new(&l, ret_context);
        X509_free(l.own);
        sk_X509_pop_free(l.chain, X509_free);
        sk_X509_pop_free(l.authorities, X509_free);
        EVP_PKEY_free(l.key);
        X509_STORE_free(l.store);
        return r;
}

struct tls_context *tls_context_ref(struct tls_context *x)
{
        atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
        return x;
}

struct tls_context *tls_context_unref(struct tls_context *x)
{
        if (!x || atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        SSL_CTX_free(x->ssl);
        free(x);
        return NULL;
}

SSL *tls_context_ssl(const struct tls_context *x)
{
        return SSL_new(x->ssl);
}

int64_t tls_context_end_ms(const struct tls_context *x)
{
        return x->end_ms;
}

int tls_file_end_ms(const char *path, int64_t *ret_end_ms, char why[TLS_WHY_SIZE])
{
        struct load l = { .why = why };
        int r = read_certificates(&l, path, CA_LEN_MAX, &l.chain);
        int64_t end_ms = INT64_MAX;

        if (r)
                return r;
        for (int i = 0; i < sk_X509_num(l.chain); i++)
                end_ms = MIN2(end_ms, time_ms(X509_get0_notAfter(sk_X509_value(l.chain, i))));
        sk_X509_pop_free(l.chain, X509_free);
        *ret_end_ms = end_ms;
        return 0;
}

/* ---- who a certificate names ---- */

int tls_certificate_uri(const X509 *cert, const char *prefix, char ret_uri[TLS_URI_SIZE])
{
        GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
        size_t prefix_len = strlen(prefix);
        int found = 0, r = -ENOENT;

        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
                const char *text;
                size_t len;

                if (n->type != GEN_URI)
                        continue;
                text = (const char *)ASN1_STRING_get0_data(n->d.uniformResourceIdentifier);
                len = (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier);
                if (len < prefix_len || memcmp(text, prefix, prefix_len))
                        continue;
                if (found++) {
                        r = -EEXIST;
                } else if (len >= TLS_URI_SIZE || memchr(text, '\0', len)) {
                        r = -EINVAL;
                } else {
                        memcpy(ret_uri, text, len);
                        ret_uri[len] = '\0';
                        r = 0;
                }
        }
        GENERAL_NAMES_free(names);
        return r;
}

int tls_context_uri(const struct tls_context *x, const char *prefix, char ret_uri[TLS_URI_SIZE])
{
        return tls_certificate_uri(SSL_CTX_get0_certificate(x->ssl), prefix, ret_uri);
}

/* ---- the slot ---- */

struct tls_slot *tls_slot_new(struct tls_context *x)
{
        struct tls_slot *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        pthread_mutex_init(&s->lock, NULL);
        s->context = x;
        return s;
}

void tls_slot_set(struct tls_slot *s, struct tls_context *x)
{
        struct tls_context *old;

        pthread_mutex_lock(&s->lock);
        old = s->context;
        s->context = x;
        pthread_mutex_unlock(&s->lock);
        tls_context_unref(old);
}

struct tls_context *tls_slot_get(struct tls_slot *s)
{
        struct tls_context *x;

        pthread_mutex_lock(&s->lock);
        x = tls_context_ref(s->context);
        pthread_mutex_unlock(&s->lock);
        return x;
}

struct tls_slot *tls_slot_free(struct tls_slot *s)
{
        if (!s)
                return NULL;
        tls_context_unref(s->context);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
}
