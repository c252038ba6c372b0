/* Goal: what stores answer is understood, whatever they send. Method: headers and documents as the providers publish them, and broken
 * ones. */
#include "object/call.h"
#include "object/xml.h"
#include "unit.h"

static const struct object_place place = { .provider = &object_provider_s3,
                                           .origin = "https://s3.example",
                                           .base = "/bucket/",
                                           .bucket = "bucket",
                                           .region = "eu-central-1" };

static struct object_answer answer_of(const char *const *lines, unsigned count)
{
        struct object_answer a;

        object_answer_init(&a);
        for (unsigned i = 0; i < count; i++)
                object_answer_header(&a, str_of(lines[i]));
        return a;
}

static void test_headers(void)
{
        static const char *const lines[] = {
                "HTTP/1.1 100 Continue\r\n",
                "ETag: \"old\"\r\n",
                "\r\n",
                "HTTP/1.1 206 Partial Content\r\n",
                "Content-Length: 10\r\n",
                "content-range:bytes 0-9/100\r\n",
                "Date: Fri, 24 May 2013 00:00:00 GMT\r\n",
                "ETAG:   \"abc\"  \r\n",
                "x-amz-meta-chronikput: id\r\n",
                "Retry-After: 3\r\n",
                "x-amz-request-id: R1\r\n",
        };
        struct object_answer a = answer_of(lines, ARRAY_LEN(lines));

        CU_ASSERT_EQUAL(a.status, 206);
        CU_ASSERT_EQUAL(a.content_len, 10);
        CU_ASSERT_EQUAL(a.range_first, 0);
        CU_ASSERT_EQUAL(a.range_last, 9);
        CU_ASSERT_EQUAL(a.range_total, 100);
        CU_ASSERT_EQUAL(a.date_ms, 1369353600000);
        CU_ASSERT_STRING_EQUAL(a.etag, "\"abc\"");
        CU_ASSERT_STRING_EQUAL(a.put_id, "id");
        CU_ASSERT_EQUAL(a.retry_after_ms, 3000);
        CU_ASSERT_STRING_EQUAL(a.request_id, "R1");
}

static void test_bad_headers(void)
{
        static const char *const lines[] = {
                "HTTP/1.1 200 OK",
                "Content-Length: 12x",
                "Content-Range: bytes 9-0/100",
                "Content-Range: bytes 0-100/100",
                "Content-Range: bytes -/",
                "Content-Range: bytes 0-99999999999999999999/*",
                "Date: yesterday",
                "no colon",
                "Retry-After: Fri, 24 May 2013 00:00:00 GMT",
                "ETag: \"a\tb\"",
                ": empty",
                "Content-Length: 99999999999999999999",
        };
        struct object_answer a = answer_of(lines, ARRAY_LEN(lines));
        char long_etag[400] = "ETag: ";

        memset(long_etag + 6, 'x', sizeof long_etag - 7);
        object_answer_header(&a, str_of(long_etag));
        CU_ASSERT_EQUAL(a.content_len, -1);
        CU_ASSERT_EQUAL(a.range_first, -1);
        CU_ASSERT_EQUAL(a.range_total, -1);
        CU_ASSERT_EQUAL(a.date_ms, -1);
        CU_ASSERT_EQUAL(a.retry_after_ms, -1);
        CU_ASSERT_STRING_EQUAL(a.etag, "");
        object_answer_header(&a, STR_LIT("Content-Range: bytes */500"));
        CU_ASSERT_EQUAL(a.range_total, 500);
}

static int count_elements(void *arg, const char *path, struct str text)
{
        ++*(unsigned *)arg;
        return 0;
}

static int walk(const char *text)
{
        unsigned count = 0;

        return object_xml_walk(span_of(text, strlen(text)), count_elements, &count);
}

static void test_xml(void)
{
        char deep[200] = "", wide[10000];

        CU_ASSERT_EQUAL(walk("<a><b>x</b><c/></a>"), 0);
        CU_ASSERT_EQUAL(walk("<?xml version=\"1.0\"?>\n<x:a xmlns:x='y'><x:b>&amp;</x:b></x:a>"), 0);
        CU_ASSERT_EQUAL(walk(""), -EBADMSG);
        CU_ASSERT_EQUAL(walk("<a><b></a>"), -EBADMSG);
        CU_ASSERT_EQUAL(walk("<a>"), -EBADMSG);
        CU_ASSERT_EQUAL(walk("{\"json\": 1}"), -EBADMSG);
        /* A document that grows when it is read. */
        CU_ASSERT_EQUAL(walk("<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>"), -EBADMSG);
        CU_ASSERT_EQUAL(walk("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"), -EBADMSG);
        for (int i = 0; i < 9; i++)
                strcat(deep, "<a>");
        for (int i = 0; i < 9; i++)
                strcat(deep, "</a>");
        CU_ASSERT_EQUAL(walk(deep), -EBADMSG);
        snprintf(wide, sizeof wide, "<a>%09000d</a>", 0);
        CU_ASSERT_EQUAL(walk(wide), -EBADMSG);
}

static struct object_verdict judged(enum object_step step, bool if_absent, long status, const char *body)
{
        const struct object_call call = { .step = step, .key = STR_LIT("key"), .if_absent = if_absent };
        struct object_answer a;
        struct object_verdict v;

        object_answer_init(&a);
        a.status = status;
        a.date_ms = 1369353600000;
        object_judge(&place, &call, &a, span_of(body, strlen(body)), 1369353600000 + 1200000, &v);
        return v;
}

#define ERROR(code, more) "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message>" more "</Error>"

static void test_meanings(void)
{
        static const struct {
                enum object_step step;
                bool if_absent;
                long status;
                const char *body;
                int result;
                bool retry;
                const char *word; /* that its text has */
        } rows[] = {
                { STEP_GET, false, 206, "", 0, false, "" },
                { STEP_GET, false, 404, ERROR("NoSuchKey", ""), OBJECT_E_MISSING, false, "" },
                { STEP_GET, false, 404, ERROR("NoSuchBucket", ""), OBJECT_NO_BUCKET, false,
                  "'bucket' at https://s3.example" },
                { STEP_HEAD, false, 404, "", OBJECT_E_MISSING, false, "" },
                { STEP_DELETE, false, 404, ERROR("NoSuchKey", ""), 0, false, "" },
                { STEP_PUT, true, 412, ERROR("PreconditionFailed", ""), OBJECT_E_EXISTS, false, "" },
                { STEP_PUT, false, 409, ERROR("ConditionalRequestConflict", ""), OBJECT_BUSY, true, "" },
                { STEP_GET, false, 412, ERROR("PreconditionFailed", ""), OBJECT_DAMAGED, false, "replaced" },
                { STEP_PUT, false, 403, ERROR("AccessDenied", ""), OBJECT_NO_PERMISSION, false, "s3:PutObject" },
                { STEP_LIST, false, 403, ERROR("AccessDenied", ""), OBJECT_NO_PERMISSION, false, "s3:ListBucket" },
                { STEP_HEAD, false, 403, "", OBJECT_NO_PERMISSION, false, "s3:GetObject" },
                { STEP_PUT, false, 403, ERROR("InvalidAccessKeyId", ""), OBJECT_BAD_CREDENTIALS, false,
                  "does not know" },
                { STEP_PUT, false, 403, ERROR("SignatureDoesNotMatch", ""), OBJECT_BAD_CREDENTIALS, false,
                  "secret key" },
                { STEP_PUT, false, 400, ERROR("ExpiredToken", ""), OBJECT_BAD_CREDENTIALS, false, "expired" },
                { STEP_PUT, false, 403, ERROR("RequestTimeTooSkewed", ""), OBJECT_CLOCK_SKEW, false,
                  "1200 s ahead of the store's" },
                { STEP_PUT, false, 400, ERROR("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
                  OBJECT_WRONG_PLACE, false, "eu-west-1 and not eu-central-1" },
                { STEP_PUT, false, 301, ERROR("PermanentRedirect", ""), OBJECT_WRONG_PLACE, false, "endpoint" },
                { STEP_PUT, false, 503, ERROR("SlowDown", ""), OBJECT_BUSY, true, "SlowDown" },
                { STEP_PUT, false, 500, ERROR("InternalError", ""), OBJECT_BUSY, true, "the store says: m" },
                { STEP_PUT, false, 502, "<html>bad gateway", OBJECT_BUSY, true, "502" },
                { STEP_PUT, false, 429, "", OBJECT_BUSY, true, "429" },
                { STEP_PUT, false, 501, ERROR("NotImplemented", ""), OBJECT_UNSUPPORTED, false, "" },
                { STEP_PUT, false, 400, ERROR("XAmzContentSHA256Mismatch", ""), OBJECT_DAMAGED, true,
                  "damaged on its way" },
                { STEP_PUT, false, 400, ERROR("Another", ""), OBJECT_BAD_CONFIG, false, "Another: the store says: m" },
                /* "It is possible for the Complete request to have a 200 OK response that contains an error." */
                { STEP_FINISH, false, 200, ERROR("InternalError", ""), OBJECT_BUSY, true, "" },
                { STEP_FINISH, true, 200, ERROR("PreconditionFailed", ""), OBJECT_BAD_CONFIG, false, "" },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct object_verdict v = judged(rows[i].step, rows[i].if_absent, rows[i].status, rows[i].body);
                bool right = v.result == rows[i].result && v.retry == rows[i].retry && strstr(v.text, rows[i].word);

                if (!right)
                        printf("row %zu: %d %d '%s'\n", i, v.result, v.retry, v.text);
                CU_ASSERT(right);
        }
}

/* S3 sends white space while it puts a large object together, so that the connection stays; then the document begins. */
static void test_spaced(void)
{
        struct object_verdict v = judged(STEP_FINISH, false, 200, " \n  " ERROR("InternalError", ""));
        char etag[OBJECT_ETAG_SIZE];
        static const char done[] =
                "\n\n <?xml version=\"1.0\"?><CompleteMultipartUploadResult xmlns='x'><ETag>\"e-2\"</ETag>"
                "</CompleteMultipartUploadResult>";

        CU_ASSERT_EQUAL(v.result, OBJECT_BUSY);
        CU_ASSERT(v.retry);
        CU_ASSERT_EQUAL(object_answer_element(span_of(done, sizeof done - 1), "ETag", etag, sizeof etag), 0);
        CU_ASSERT_STRING_EQUAL(etag, "\"e-2\"");
        CU_ASSERT_EQUAL(object_answer_element(span_of(done, sizeof done - 1), "ETag", etag, 3), -E2BIG);
        CU_ASSERT_EQUAL(object_answer_element(span_of(done, sizeof done - 1), "UploadId", etag, sizeof etag), -ENOENT);
        CU_ASSERT(judged(STEP_FINISH, false, 404, ERROR("NoSuchUpload", "")).gone);
}

/* Control characters of a store do not reach a terminal. */
static void test_clean(void)
{
        struct object_verdict v =
                judged(STEP_PUT, false, 400, "<Error><Code>A\tB</Code><Message>x\n&#x9b;2J</Message></Error>");

        for (const char *p = v.text; *p; p++)
                CU_ASSERT((unsigned char)*p >= 0x20);
}

static int read_list(const char *text, struct object_op *op, bool azure)
{
        struct span body = span_of(text, strlen(text));

        return azure ? object_read_list_azure(body, op) : object_read_list_s3(body, op);
}

static void test_list(void)
{
        static const char s3[] =
                "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix/>"
                "<IsTruncated>true</IsTruncated><Contents><Key>a%2Fb+c%25</Key><LastModified>2009-10-12T17:50:30.000Z"
                "</LastModified><ETag>&quot;e&quot;</ETag><Size>434234</Size><StorageClass>STANDARD</StorageClass>"
                "</Contents><EncodingType>url</EncodingType><NextContinuationToken>1ue/GcC=</NextContinuationToken>"
                "</ListBucketResult>";
        static const char azure[] =
                "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults "
                "ServiceEndpoint=\"https://x/\">"
                "<Blobs><Blob><Name>a/b+c</Name><Properties><Last-Modified>Fri, 24 May 2013 00:00:00 GMT"
                "</Last-Modified><Content-Length>12</Content-Length></Properties></Blob></Blobs><NextMarker/>"
                "</EnumerationResults>";
        struct object_op op = { .list_max = 2 };

        CU_ASSERT_EQUAL_FATAL(read_list(s3, &op, false), 0);
        CU_ASSERT_EQUAL_FATAL(op.rows_count, 1);
        CU_ASSERT_STRING_EQUAL(op.rows[0].key, "a/b c%");
        CU_ASSERT_EQUAL(op.rows[0].size, 434234);
        CU_ASSERT_EQUAL(op.rows[0].modified_ms, 1255369830000);
        CU_ASSERT_STRING_EQUAL(op.list_next, "1ue/GcC=");
        CU_ASSERT_EQUAL_FATAL(read_list(azure, &op, true), 0);
        CU_ASSERT_EQUAL_FATAL(op.rows_count, 1);
        CU_ASSERT_STRING_EQUAL(op.rows[0].key, "a/b+c");
        CU_ASSERT_EQUAL(op.rows[0].size, 12);
        CU_ASSERT_EQUAL(op.rows[0].modified_ms, 1369353600000);
        CU_ASSERT_PTR_NULL(op.list_next);
        object_op_fini(&op);
}

#define ROW(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"

static void test_bad_lists(void)
{
        static const char *const bad[] = {
                "",
                "<html></html>",
                "<ListBucketResult>",
                "<ListBucketResult>" ROW("a", "-1") "</ListBucketResult>",
                "<ListBucketResult>" ROW("a", "99999999999999999999") "</ListBucketResult>",
                "<ListBucketResult>" ROW("", "1") "</ListBucketResult>",
                "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
                "<ListBucketResult>" ROW("a", "1") ROW("b", "1")
                        ROW("c", "1") "</ListBucketResult>", /* more than asked for */
                "<ListBucketResult><IsTruncated>true</IsTruncated>" ROW(
                        "a", "1") "</ListBucketResult>", /* and how to go on? */
                "<ListBucketResult><EncodingType>url</EncodingType>" ROW("a%2", "1") "</ListBucketResult>",
                "<ListBucketResult><EncodingType>url</EncodingType>" ROW("a%00b", "1") "</ListBucketResult>",
        };
        struct object_op op = { .list_max = 2 };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                CU_ASSERT_EQUAL(read_list(bad[i], &op, false), -EBADMSG);
                CU_ASSERT_PTR_NULL(op.rows);
        }
        CU_ASSERT_EQUAL(read_list("<ListBucketResult/>", &op, false), 0);
        CU_ASSERT_EQUAL(op.rows_count, 0);
        object_op_fini(&op);
}

static const struct unit_case cases[] = {
        { "headers", test_headers },
        { "headers that are wrong", test_bad_headers },
        { "documents within limits", test_xml },
        { "what refusals mean", test_meanings },
        { "white space before a document", test_spaced },
        { "no control characters in messages", test_clean },
        { "pages of lists", test_list },
        { "pages that are none", test_bad_lists },
};

UNIT_MAIN("object-answer", cases)
