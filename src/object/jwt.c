#include "object/jwt.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/base64.h"
#include "object/object.h"
#include "object/remote.h"

enum { CLAIM_SECONDS = 3600 };

static void add_base64url(struct strbuf *out, struct span data)
{
        size_t at = out->len;

        base64_add(out, data);
        for (size_t i = at; i < out->len; i++)
                out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
        while (out->len > at && out->data[out->len - 1] == '=')
                out->data[--out->len] = '\0';
}

static int sign(EVP_PKEY *key, struct span data, struct strbuf *out)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        unsigned char signature[1024];
        size_t len = sizeof signature;
        int r = -ENOMEM;

        if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
            EVP_DigestSign(ctx, signature, &len, data.data, data.len) == 1) {
                add_base64url(out, span_of(signature, len));
                r = 0;
        }
        EVP_MD_CTX_free(ctx);
        return r;
}

int object_jwt_sign(const char *pem, const char *claims, char **ret_token)
{
        static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
        char no_password[] = "";
        BIO *bio = BIO_new_mem_buf(pem, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password) : NULL;
        CLEANUP(strbuf_finip) struct strbuf out = { 0 }, signature = { 0 };
        int r = key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_size(key) <= 1024 ? 0 : -EINVAL;

        add_base64url(&out, span_of(header, sizeof header - 1));
        strbuf_add_c(&out, ".");
        add_base64url(&out, span_of(claims, strlen(claims)));
        if (!r)
                r = out.failed ? -ENOMEM : sign(key, span_of(out.data, out.len), &signature);
        EVP_PKEY_free(key);
        BIO_free(bio);
        if (r)
                return r;
        strbuf_printf(&out, ".%s", signature.data ? signature.data : "");
        *ret_token = strbuf_take(&out);
        return *ret_token && !signature.failed ? 0 : -ENOMEM;
}

int object_remote_assertion(struct str json, int64_t now_ms, const char *audience, char **ret_assertion,
                            char *ret_endpoint, size_t size)
{
        json_t *root = json_loadb(json.p, json.len, 0, NULL), *claims = NULL;
        const char *email = json_string_value(json_object_get(root, "client_email"));
        const char *pem = json_string_value(json_object_get(root, "private_key"));
        const char *uri = audience ? audience : json_string_value(json_object_get(root, "token_uri"));
        json_int_t now_s = now_ms / 1000;
        char *text = NULL;
        int r = OBJECT_BAD_CREDENTIALS;

        if (email && pem && uri && strlen(uri) < size &&
            (!strncmp(uri, "https://", 8) || !strncmp(uri, "http://127.0.0.1", 16))) {
                claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", email, "scope",
                                   "https://www.googleapis.com/auth/devstorage.read_write", "aud", uri, "iat", now_s,
                                   "exp", now_s + CLAIM_SECONDS);
                text = claims ? json_dumps(claims, JSON_COMPACT) : NULL;
                r = text ? object_jwt_sign(pem, text, ret_assertion) : -ENOMEM;
                if (!r)
                        snprintf(ret_endpoint, size, "%s", uri);
                else if (r == -EINVAL)
                        r = OBJECT_BAD_CREDENTIALS;
        }
        free(text);
        json_decref(claims);
        json_decref(root);
        return r;
}
