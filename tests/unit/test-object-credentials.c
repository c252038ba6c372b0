/* Goal: credentials are found where they are said to be, and refused with words when they are not. Method: files and answers as the
 * providers document them; tokens are checked with the public key. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "object/jwt.h"
#include "object/remote.h"
#include "sys/file.h"
#include "unit.h"

static void test_file(void)
{
        static const char text[] =
                "# comment\n[default]\naws_access_key_id = AKIA\r\n aws_secret_access_key=se/cr=et \n"
                "region = x\n\n[backup]\naws_access_key_id=B\naws_secret_access_key=S\naws_session_token = T\n[half]\n"
                "aws_access_key_id=H\n";
        struct object_credentials c;

        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), NULL, &c), 0);
        CU_ASSERT_STRING_EQUAL(c.access_key, "AKIA");
        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), "default", &c), 0);
        CU_ASSERT_STRING_EQUAL(c.access_key, "AKIA");
        CU_ASSERT_STRING_EQUAL(c.secret_key, "se/cr=et");
        CU_ASSERT_STRING_EQUAL(c.token, "");
        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), "backup", &c), 0);
        CU_ASSERT_STRING_EQUAL(c.token, "T");
        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), "half", &c), -ENOENT);
        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), "none", &c), -ENOENT);
        CU_ASSERT_EQUAL(object_credentials_parse(STR_LIT("account=a\nkey=a2V5\n"), NULL, &c), 0);
        CU_ASSERT_STRING_EQUAL(c.secret_key, "a2V5");
}

static void test_file_too_long(void)
{
        char text[600] = "aws_access_key_id=", value[500];
        struct object_credentials c;

        memset(value, 'x', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        strcat(text, value);
        CU_ASSERT_EQUAL(object_credentials_parse(str_of(text), NULL, &c), -EINVAL);
}

static void test_sources(void)
{
        struct object_config c = { .kind = OBJECT_S3, .source = OBJECT_FROM_ENV };
        struct object_credentials cred;
        char why[OBJECT_TEXT_SIZE], dir[] = "/tmp/chronik-credentials-XXXXXX", path[64];

        unsetenv("AWS_ACCESS_KEY_ID");
        CU_ASSERT_EQUAL(object_credentials_read(&c, &cred, why), OBJECT_BAD_CREDENTIALS);
        CU_ASSERT(strstr(why, "AWS_ACCESS_KEY_ID") != NULL);
        setenv("AWS_ACCESS_KEY_ID", "id", 1);
        setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
        CU_ASSERT_EQUAL(object_credentials_read(&c, &cred, why), 0);
        CU_ASSERT_STRING_EQUAL(cred.secret_key, "secret");

        c.source = OBJECT_FROM_SYSTEMD;
        c.credentials_file = "chronik.s3";
        unsetenv("CREDENTIALS_DIRECTORY");
        CU_ASSERT_EQUAL(object_credentials_read(&c, &cred, why), OBJECT_BAD_CONFIG);
        CU_ASSERT(strstr(why, "LoadCredential") != NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        setenv("CREDENTIALS_DIRECTORY", dir, 1);
        CU_ASSERT_EQUAL(object_credentials_read(&c, &cred, why), OBJECT_BAD_CREDENTIALS);
        CU_ASSERT(strstr(why, "chronik.s3") && strstr(why, "No such file"));
        snprintf(path, sizeof path, "%s/chronik.s3", dir);
        CU_ASSERT_EQUAL(file_create_new(path, 0600, span_of("access_key_id=x\nsecret_access_key=y\n", 36)), 0);
        CU_ASSERT_EQUAL(object_credentials_read(&c, &cred, why), 0);
        CU_ASSERT_STRING_EQUAL(cred.access_key, "x");
        CU_ASSERT_EQUAL(file_remove_tree(dir), 0);
}

static void test_answers(void)
{
        static const char instance[] =
                "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                "\"Expiration\":\"2013-05-24T00:00:00Z\"}";
        static const char sts[] =
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t</SessionToken>"
                "<SecretAccessKey>s</SecretAccessKey><Expiration>2013-05-24T00:00:00Z</Expiration>"
                "<AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
                "</AssumeRoleWithWebIdentityResponse>";
        static const char oauth[] = "{\"access_token\":\"ya29\",\"expires_in\":3599,\"token_type\":\"Bearer\"}";
        struct object_credentials c;

        CU_ASSERT_EQUAL(object_remote_read_instance(span_of(instance, sizeof instance - 1), &c), 0);
        CU_ASSERT_STRING_EQUAL(c.token, "t");
        CU_ASSERT_EQUAL(c.expires_ms, 1369353600000);
        CU_ASSERT_EQUAL(object_remote_read_sts(span_of(sts, sizeof sts - 1), &c), 0);
        CU_ASSERT_STRING_EQUAL(c.access_key, "ASIA");
        CU_ASSERT_EQUAL(c.expires_ms, 1369353600000);
        CU_ASSERT_EQUAL(object_remote_read_oauth(span_of(oauth, sizeof oauth - 1), 1000, &c), 0);
        CU_ASSERT_STRING_EQUAL(c.token, "ya29");
        CU_ASSERT_EQUAL(c.expires_ms, 3600000);
        for (size_t len = 0; len < sizeof instance - 1; len++)
                CU_ASSERT_EQUAL(object_remote_read_instance(span_of(instance, len), &c), OBJECT_BAD_CREDENTIALS);
        CU_ASSERT_EQUAL(object_remote_read_sts(span_of(sts, 100), &c), OBJECT_BAD_CREDENTIALS);
        CU_ASSERT_EQUAL(object_remote_read_oauth(span_of("[]", 2), 0, &c), OBJECT_BAD_CREDENTIALS);
}

static char *new_key(EVP_PKEY **ret_key)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data, *pem;
        long len;

        *ret_key = EVP_RSA_gen(2048);
        PEM_write_bio_PrivateKey(bio, *ret_key, NULL, NULL, 0, NULL, NULL);
        len = BIO_get_mem_data(bio, &data);
        pem = strndup(data, (size_t)len);
        BIO_free(bio);
        return pem;
}

static void test_token(void)
{
        EVP_PKEY *key;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        CLEANUP(freep) char *pem = new_key(&key), *token = NULL;
        uint8_t signature[400];
        size_t signature_len;
        char *dot;

        CU_ASSERT_EQUAL_FATAL(object_jwt_sign(pem, "{\"iss\":\"me\"}", &token), 0);
        CU_ASSERT(!strncmp(token, "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSJ9.", 54));
        dot = strrchr(token, '.');
        CU_ASSERT_EQUAL_FATAL(base64url_read(str_of(dot + 1), signature, &signature_len), 0);
        CU_ASSERT_EQUAL(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
        CU_ASSERT_EQUAL(EVP_DigestVerify(ctx, signature, signature_len, (uint8_t *)token, (size_t)(dot - token)), 1);
        CU_ASSERT_EQUAL(object_jwt_sign("no key", "{}", &pem), -EINVAL);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
}

static void test_assertion(void)
{
        char endpoint[100];
        char *assertion = NULL;

        CU_ASSERT_EQUAL(object_remote_assertion(STR_LIT("{}"), 0, NULL, &assertion, endpoint, sizeof endpoint),
                        OBJECT_BAD_CREDENTIALS);
        /* The signed claim is as good as the key for an hour. */
        CU_ASSERT_EQUAL(object_remote_assertion(
                                STR_LIT("{\"client_email\":\"a\",\"private_key\":\"b\",\"token_uri\":\"http://x/\"}"),
                                0, NULL, &assertion, endpoint, sizeof endpoint),
                        OBJECT_BAD_CREDENTIALS);
        CU_ASSERT_PTR_NULL(assertion);
}

static const struct unit_case cases[] = {
        { "files with profiles", test_file },
        { "a value that is too long", test_file_too_long },
        { "environment and systemd", test_sources },
        { "what instance, STS and OAuth answer", test_answers },
        { "a signed token", test_token },
        { "a service account's key that is none", test_assertion },
};

UNIT_MAIN("object-credentials", cases)
