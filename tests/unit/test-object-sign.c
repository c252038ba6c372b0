/* Goal: requests are signed as the providers say. Method: the examples that they publish, and requests that the real builders make. */
#include "object/azure.h"
#include "object/sigv4.h"
#include "unit.h"

/* "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", Amazon S3 API Reference. */
#define AWS_EXAMPLE_MS 1369353600000 /* 2013-05-24T00:00:00Z */
static const struct object_sigv4_key aws_example = {
        .access_key = STR_LIT("AKIAIOSFODNN7EXAMPLE"),
        .secret_key = STR_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        .region = STR_LIT("us-east-1"),
        .service = STR_LIT("s3"),
};
static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void example(const char *method, const char *path, struct object_request *ret_rq)
{
        object_request_init(ret_rq, method, STR_LIT("https://examplebucket.s3.amazonaws.com"));
        ret_rq->path = str_of(path);
}

static void check_signature(struct object_request *rq, const char *payload, const char *signed_headers,
                            const char *signature)
{
        CLEANUP(strbuf_finip) struct strbuf want = { 0 };
        struct str got;

        CU_ASSERT_EQUAL(object_sigv4_sign(rq, &object_sigv4_aws, &aws_example, AWS_EXAMPLE_MS, payload, NULL), 0);
        got = object_request_header_of(rq, "authorization");
        strbuf_printf(&want,
                      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                      "SignedHeaders=%s,Signature=%s",
                      signed_headers, signature);
        CU_ASSERT(str_equal(got, (struct str){ want.data, want.len }));
        object_request_fini(rq);
}

static void test_aws_get(void)
{
        struct object_request rq;

        example("GET", "/test.txt", &rq);
        object_request_header(&rq, "range", STR_LIT("bytes=0-9"));
        check_signature(&rq, nothing, "host;range;x-amz-content-sha256;x-amz-date",
                        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_aws_put(void)
{
        static const char content[] = "Welcome to Amazon S3.";
        CLEANUP(strbuf_finip) struct strbuf path = { 0 };
        uint8_t digest[OBJECT_SHA256_SIZE];
        char payload[OBJECT_SHA256_HEX_SIZE];
        struct object_request rq;

        CU_ASSERT_EQUAL(object_sha256(span_of(content, sizeof content - 1), digest), 0);
        object_hex(digest, sizeof digest, payload);
        CU_ASSERT_STRING_EQUAL(payload, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
        strbuf_add_c(&path, "/");
        object_percent_encode(&path, STR_LIT("test$file.text"), true);
        CU_ASSERT_STRING_EQUAL(path.data, "/test%24file.text");
        example("PUT", path.data, &rq);
        object_request_header(&rq, "x-amz-storage-class", STR_LIT("REDUCED_REDUNDANCY"));
        object_request_header(&rq, "date", STR_LIT("Fri, 24 May 2013 00:00:00 GMT"));
        check_signature(&rq, payload, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_aws_lifecycle(void)
{
        struct object_request rq;

        example("GET", "/", &rq);
        object_request_query(&rq, "lifecycle", STR_LIT(""));
        check_signature(&rq, nothing, "host;x-amz-content-sha256;x-amz-date",
                        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void test_aws_list(void)
{
        struct object_request rq;

        example("GET", "/", &rq);
        object_request_query(&rq, "prefix", STR_LIT("J")); /* sorted by the signer */
        object_request_query(&rq, "max-keys", STR_LIT("2"));
        check_signature(&rq, nothing, "host;x-amz-content-sha256;x-amz-date",
                        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* Everything that is sent is signed, and the token of a session too. */
static void test_canonical(void)
{
        struct object_sigv4_key key = aws_example;
        CLEANUP(object_request_finip) struct object_request rq;
        CLEANUP(strbuf_finip) struct strbuf canonical = { 0 };

        key.session_token = STR_LIT("to/ken");
        object_request_init(&rq, "GET", STR_LIT("http://127.0.0.1:9000"));
        rq.path = STR_LIT("/bucket/a%20b");
        object_request_query(&rq, "b", STR_LIT("x y/z"));
        object_request_query(&rq, "a", STR_LIT("\xc3\xa9+"));
        object_request_header(&rq, "if-match", STR_LIT("  \"tag\" "));
        CU_ASSERT_EQUAL(object_sigv4_sign(&rq, &object_sigv4_aws, &key, AWS_EXAMPLE_MS, nothing, &canonical), 0);
        CU_ASSERT_STRING_EQUAL(canonical.data,
                               "GET\n/bucket/a%20b\na=%C3%A9%2B&b=x%20y%2Fz\n"
                               "host:127.0.0.1:9000\nif-match:\"tag\"\n"
                               "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
                               "x-amz-date:20130524T000000Z\nx-amz-security-token:to/ken\n\n"
                               "host;if-match;x-amz-content-sha256;x-amz-date;x-amz-security-token\n"
                               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static struct object_request build(const struct object_provider *provider, const struct object_call *call,
                                   const char *base)
{
        const struct object_place place = { .provider = provider,
                                            .origin = "https://store.example:443",
                                            .base = base,
                                            .bucket = "bucket",
                                            .region = "auto" };
        const struct object_credentials cred = { .access_key = "myaccount", .secret_key = "c2VjcmV0" };
        struct object_request rq;

        CU_ASSERT_EQUAL(provider->build(&place, call, &cred, AWS_EXAMPLE_MS, &rq), 0);
        return rq;
}

static bool has(const struct object_request *rq, const char *name, const char *value)
{
        return str_equal_c(object_request_header_of(rq, name), value);
}

/* Google signs with other words, and has another condition. */
static void test_google(void)
{
        const struct object_call call = { .step = STEP_PUT,
                                          .key = STR_LIT("a/b c"),
                                          .if_absent = true,
                                          .put_id = "id",
                                          .body = span_of("x", 1),
                                          .sha256 = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                          .md5 = (const uint8_t *)"0123456789abcdef" };
        CLEANUP(object_request_finip) struct object_request rq = build(&object_provider_google, &call, "/bucket/");
        struct str authorization = object_request_header_of(&rq, "authorization");

        CU_ASSERT(str_equal_c(rq.path, "/bucket/a/b%20c"));
        CU_ASSERT(has(&rq, "host", "store.example")); /* what a client sends for the usual port */
        CU_ASSERT(has(&rq, "x-goog-if-generation-match", "0"));
        CU_ASSERT(has(&rq, "x-goog-meta-chronikput", "id"));
        CU_ASSERT(has(&rq, "content-md5", "MDEyMzQ1Njc4OWFiY2RlZg=="));
        CU_ASSERT(has(&rq, "x-goog-date", "20130524T000000Z"));
        CU_ASSERT(str_is_null(object_request_header_of(&rq, "x-amz-date")));
        CU_ASSERT(authorization.len > 70 &&
                  !memcmp(authorization.p,
                          "GOOG4-HMAC-SHA256 Credential=myaccount/20130524/auto/storage/goog4_request,", 73));
}

/* The key is one path of bytes: nothing in it becomes a query, a folder above, or another header. */
static void test_path(void)
{
        const struct object_call call = {
                .step = STEP_GET, .key = STR_LIT("a?b#c%2f\xc3\xa9&d=e+f"), .offset = 5, .len = 10, .etag = "\"t\""
        };
        CLEANUP(object_request_finip) struct object_request rq = build(&object_provider_s3, &call, "/");
        CLEANUP(freep) char *url = object_request_url(&rq);

        CU_ASSERT_STRING_EQUAL(url, "https://store.example:443/a%3Fb%23c%252f%C3%A9%26d%3De%2Bf");
        CU_ASSERT(has(&rq, "range", "bytes=5-14"));
        CU_ASSERT(has(&rq, "if-match", "\"t\""));
        object_request_header(&rq, "evil", STR_LIT("a\r\nb: c"));
        CU_ASSERT(rq.failed);
}

static void test_finish(void)
{
        const struct object_part parts[] = { { "\"e1\"" }, { "\"<&2\"" } };
        const struct object_call call = { .step = STEP_FINISH,
                                          .key = STR_LIT("k"),
                                          .if_absent = true,
                                          .put_id = "id",
                                          .upload = "up/1",
                                          .parts = parts,
                                          .parts_count = 2 };
        static const char want[] =
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;e1&quot;</ETag></Part>"
                "<Part><PartNumber>2</PartNumber><ETag>&quot;&lt;&amp;2&quot;</ETag></Part></CompleteMultipartUpload>";
        CLEANUP(object_request_finip) struct object_request rq = build(&object_provider_s3, &call, "/bucket/");

        CU_ASSERT(span_equal(rq.body, span_of(want, sizeof want - 1)));
        CU_ASSERT(has(&rq, "if-none-match", "*"));
}

/* "Authorize with Shared Key", the examples of canonicalized headers and resources, and of a string to sign. */
static void test_azure(void)
{
        CLEANUP(object_request_finip) struct object_request rq;
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

        object_request_init(&rq, "GET", STR_LIT("https://myaccount.blob.core.windows.net"));
        rq.path = STR_LIT("/mycontainer");
        object_request_query(&rq, "restype", STR_LIT("container"));
        object_request_query(&rq, "comp", STR_LIT("metadata"));
        object_request_query(&rq, "timeout", STR_LIT("20"));
        object_request_header(&rq, "x-ms-version", STR_LIT("2015-02-21"));
        object_request_header(&rq, "x-ms-date", STR_LIT("Fri, 26 Jun 2015 23:39:12 GMT"));
        object_request_sort(&rq);
        CU_ASSERT_EQUAL(object_azure_string_to_sign(&rq, STR_LIT("myaccount"), &text), 0);
        CU_ASSERT_STRING_EQUAL(
                text.data,
                "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
                "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
}

static void test_azure_block(void)
{
        const struct object_call call = { .step = STEP_PART,
                                          .key = STR_LIT("a b"),
                                          .put_id = "0123456789012345678901",
                                          .part = 7,
                                          .body = span_of("content", 7),
                                          .md5 = (const uint8_t *)"0123456789abcdef" };
        CLEANUP(object_request_finip) struct object_request rq = build(&object_provider_azure, &call, "/mycontainer/");
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

        CU_ASSERT_EQUAL(object_azure_string_to_sign(&rq, STR_LIT("myaccount"), &text), 0);
        CU_ASSERT_STRING_EQUAL(
                text.data,
                "PUT\n\n\n7\nMDEyMzQ1Njc4OWFiY2RlZg==\n\n\n\n\n\n\n\nx-ms-date:Fri, 24 May 2013 00:00:00 GMT\n"
                "x-ms-version:2021-12-02\n/myaccount/mycontainer/a%20b\n"
                "blockid:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMS0wMDAwNw==\ncomp:block");
}

static const struct unit_case cases[] = {
        { "Amazon's GET Object", test_aws_get },
        { "Amazon's PUT Object", test_aws_put },
        { "Amazon's GET Bucket Lifecycle", test_aws_lifecycle },
        { "Amazon's Get Bucket (List Objects)", test_aws_list },
        { "all that is sent is signed", test_canonical },
        { "Google's words", test_google },
        { "a key stays within the path", test_path },
        { "the document that finishes a put in parts", test_finish },
        { "Azure's string to sign", test_azure },
        { "Azure's for a block", test_azure_block },
};

UNIT_MAIN("object-sign", cases)
