/* Certificates of an authority of one's own (RFC 5280). */
#include "net/tls_issue.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "sys/clock.h"

enum { SERIAL_LEN = 16, SECONDS_OF_DAY = 86400 };

struct issue {
        const struct tls_subject *subject;
        X509 *cert, *issuer_cert;
        EVP_PKEY *key, *issuer_key;
};

static bool add_extension(struct issue *i, int nid, const char *value)
{
        X509_EXTENSION *e;
        X509V3_CTX c;
        bool ok;

        X509V3_set_ctx_nodb(&c);
        X509V3_set_ctx(&c, i->issuer_cert, i->cert, NULL, NULL, 0);
        e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
        ok = e && X509_add_ext(i->cert, e, -1);
        X509_EXTENSION_free(e);
        return ok;
}

/* By hand: in the text form of an extension, a comma within a URI would begin another name. */
static bool add_uri(struct issue *i)
{
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        GENERAL_NAME *n = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        bool ok = false;

        if (names && n && text && ASN1_STRING_set(text, i->subject->uri, -1)) {
                GENERAL_NAME_set0_value(n, GEN_URI, text);
                text = NULL;
                if (sk_GENERAL_NAME_push(names, n)) {
                        n = NULL;
                        ok = X509_add1_ext_i2d(i->cert, NID_subject_alt_name, names, 0, 0) == 1;
                }
        }
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(n);
        GENERAL_NAMES_free(names);
        return ok;
}

/* A name, or an address in its usual form. */
static GENERAL_NAME *host_name(const char *host)
{
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
        ASN1_IA5STRING *text = address ? NULL : ASN1_IA5STRING_new();
        GENERAL_NAME *n = GENERAL_NAME_new();
        bool ok = n && (address || (text && *host && ASN1_STRING_set(text, host, -1)));

        if (ok)
                GENERAL_NAME_set0_value(n, address ? GEN_IPADD : GEN_DNS, address ? (void *)address : text);
        if (ok)
                return n;
        ASN1_OCTET_STRING_free(address);
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(n);
        return NULL;
}

static bool add_hosts(struct issue *i)
{
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        char *copy = strdup(i->subject->hosts), *rest = copy, *one;
        bool ok = names && copy;

        while (ok && (one = strsep(&rest, ","))) {
                GENERAL_NAME *n = host_name(one);

                ok = n && sk_GENERAL_NAME_push(names, n);
                if (!ok)
                        GENERAL_NAME_free(n);
        }
        ok = ok && X509_add1_ext_i2d(i->cert, NID_subject_alt_name, names, 0, 0) == 1;
        GENERAL_NAMES_free(names);
        free(copy);
        return ok;
}

static bool add_extensions(struct issue *i)
{
        bool ok = add_extension(i, NID_subject_key_identifier, "hash");

        if (i->subject->authority)
                return ok && add_extension(i, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                       add_extension(i, NID_key_usage, "critical,keyCertSign,cRLSign");
        ok = ok && add_extension(i, NID_basic_constraints, "critical,CA:FALSE") &&
             add_extension(i, NID_key_usage, "critical,digitalSignature") &&
             add_extension(i, NID_ext_key_usage, i->subject->hosts ? "serverAuth" : "serverAuth,clientAuth") &&
             add_extension(i, NID_authority_key_identifier, "keyid");
        return ok && (!i->subject->uri || add_uri(i)) && (!i->subject->hosts || add_hosts(i));
}

static bool set_serial(X509 *x)
{
        uint8_t bytes[SERIAL_LEN];
        BIGNUM *n;
        bool ok;

        random_bytes(bytes, sizeof bytes);
        bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always as long */
        n = BN_bin2bn(bytes, sizeof bytes, NULL);
        ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
        BN_free(n);
        return ok;
}

static bool set_time(ASN1_TIME *t, int64_t in_s)
{
        int64_t now_s = clock_wall_ms() / 1000;

        return X509_time_adj_ex(t, (int)(in_s / SECONDS_OF_DAY), in_s % SECONDS_OF_DAY, &(time_t){ now_s });
}

static bool fill(struct issue *i)
{
        X509_NAME *name = X509_get_subject_name(i->cert);

        return X509_set_version(i->cert, X509_VERSION_3) && set_serial(i->cert) &&
               set_time(X509_getm_notBefore(i->cert), i->subject->from_s) &&
               set_time(X509_getm_notAfter(i->cert), i->subject->to_s) &&
               X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)i->subject->name, -1, -1, 0) &&
               X509_set_issuer_name(i->cert, X509_get_subject_name(i->issuer_cert)) &&
               X509_set_pubkey(i->cert, i->key) && add_extensions(i) &&
               X509_sign(i->cert, i->issuer_key, EVP_sha256()) > 0;
}

/* NULL: out of memory. */
static char *text_of(BIO *b)
{
        const char *data;
        long len = BIO_get_mem_data(b, &data);

        return len > 0 ? strndup(data, (size_t)len) : NULL;
}

static int write_pair(const struct issue *i, struct tls_pair *ret)
{
        BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
        struct tls_pair p = { 0 };

        if (cert && key && PEM_write_bio_X509(cert, i->cert) &&
            PEM_write_bio_PrivateKey(key, i->key, NULL, NULL, 0, NULL, NULL))
                p = (struct tls_pair){ text_of(cert), text_of(key) };
        BIO_free(cert);
        BIO_free(key);
        if (!p.certificate || !p.key) {
                tls_pair_fini(&p);
                return -ENOMEM;
        }
        *ret = p;
        return 0;
}

/* Of the certificates in @pem the one that belongs to @key; NULL: none. */
static X509 *certificate_of(BIO *pem, EVP_PKEY *key)
{
        X509 *x;

        while ((x = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
                if (X509_check_private_key(x, key))
                        return x;
                X509_free(x);
        }
        return NULL;
}

static bool read_issuer(struct issue *i, const struct tls_pair *p)
{
        BIO *cert = BIO_new_mem_buf(p->certificate, -1), *key = BIO_new_mem_buf(p->key, -1);

        if (cert && key)
                i->issuer_key = PEM_read_bio_PrivateKey(key, NULL, NULL, (void *)"");
        if (i->issuer_key)
                i->issuer_cert = certificate_of(cert, i->issuer_key);
        BIO_free(cert);
        BIO_free(key);
        return i->issuer_cert;
}

int tls_pair_certificate(const struct tls_pair *p, char **ret_certificate)
{
        struct issue i = { 0 };
        BIO *out = BIO_new(BIO_s_mem());
        int r = read_issuer(&i, p) ? 0 : -EINVAL;
        char *text = NULL;

        if (!r && out && PEM_write_bio_X509(out, i.issuer_cert))
                text = text_of(out);
        if (!r && !text)
                r = -ENOMEM;
        if (!r)
                *ret_certificate = text;
        BIO_free(out);
        X509_free(i.issuer_cert);
        EVP_PKEY_free(i.issuer_key);
        ERR_clear_error();
        return r;
}

static X509 *first_certificate(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

        BIO_free(bio);
        return x;
}

size_t tls_certificates_count(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        size_t count = 0;
        X509 *x;

        while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
                X509_free(x);
                count++;
        }
        BIO_free(bio);
        ERR_clear_error();
        return count;
}

bool tls_is_issued_by(const char *certificate, const char *authority)
{
        X509 *x = first_certificate(certificate), *ca = first_certificate(authority);
        bool is = x && ca && X509_verify(x, X509_get0_pubkey(ca)) == 1;

        X509_free(x);
        X509_free(ca);
        ERR_clear_error();
        return is;
}

int tls_issue(const struct tls_subject *s, const struct tls_pair *issuer, struct tls_pair *ret_pair)
{
        struct issue i = { .subject = s, .cert = X509_new(), .key = EVP_EC_gen("P-256") };
        int r = i.cert && i.key ? 0 : -ENOMEM;

        if (!r && issuer && !read_issuer(&i, issuer))
                r = -EINVAL;
        if (!r && !issuer) {
                X509_up_ref(i.cert);
                EVP_PKEY_up_ref(i.key);
                i.issuer_cert = i.cert;
                i.issuer_key = i.key;
        }
        if (!r && !fill(&i))
                r = -EINVAL;
        if (!r)
                r = write_pair(&i, ret_pair);
        X509_free(i.cert);
        X509_free(i.issuer_cert);
        EVP_PKEY_free(i.key);
        EVP_PKEY_free(i.issuer_key);
        ERR_clear_error();
        return r;
}

void tls_pair_fini(struct tls_pair *p)
{
        if (p->key)
                OPENSSL_cleanse(p->key, strlen(p->key));
        free(TAKE_PTR(p->key));
        free(TAKE_PTR(p->certificate));
}
