/* Requests in the protocol of Amazon S3, and of Google Cloud Storage, whose XML API is nearly the same. */
#include <stdio.h>

#include "base/base64.h"
#include "object/call.h"
#include "object/sigv4.h"

static const char empty_sha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static const char *const methods[] = {
        [STEP_PUT] = "PUT",  [STEP_GET] = "GET",       [STEP_HEAD] = "HEAD",
        [STEP_LIST] = "GET", [STEP_DELETE] = "DELETE", [STEP_BEGIN] = "POST",
        [STEP_PART] = "PUT", [STEP_FINISH] = "POST",   [STEP_ABORT] = "DELETE",
};

static const char *const permissions_s3[] = {
        [STEP_PUT] = "s3:PutObject",
        [STEP_GET] = "s3:GetObject (and s3:ListBucket, to be told that an object is missing)",
        [STEP_HEAD] = "s3:GetObject (and s3:ListBucket, to be told that an object is missing)",
        [STEP_LIST] = "s3:ListBucket",
        [STEP_DELETE] = "s3:DeleteObject",
        [STEP_BEGIN] = "s3:PutObject",
        [STEP_PART] = "s3:PutObject",
        [STEP_FINISH] = "s3:PutObject",
        [STEP_ABORT] = "s3:AbortMultipartUpload",
};
static const char *const permissions_google[] = {
        [STEP_PUT] = "storage.objects.create",
        [STEP_GET] = "storage.objects.get",
        [STEP_HEAD] = "storage.objects.get",
        [STEP_LIST] = "storage.objects.list",
        [STEP_DELETE] = "storage.objects.delete",
        [STEP_BEGIN] = "storage.multipartUploads.create",
        [STEP_PART] = "storage.multipartUploads.create",
        [STEP_FINISH] = "storage.multipartUploads.create and storage.objects.create",
        [STEP_ABORT] = "storage.multipartUploads.abort",
};

static void add_query(const struct object_call *call, struct object_request *rq)
{
        switch (call->step) {
        case STEP_LIST:
                object_request_query(rq, "list-type", STR_LIT("2"));
                object_request_query(rq, "encoding-type", STR_LIT("url")); /* XML cannot hold every key */
                object_request_query(rq, "prefix", call->key);
                object_request_query_f(rq, "max-keys", "%u", call->list_max);
                if (call->list_next)
                        object_request_query(rq, "continuation-token", str_of(call->list_next));
                break;
        case STEP_BEGIN:
                object_request_query(rq, "uploads", STR_LIT(""));
                break;
        case STEP_PART:
                object_request_query_f(rq, "partNumber", "%u", call->part);
                /* fallthrough */
        case STEP_FINISH:
        case STEP_ABORT:
                object_request_query(rq, "uploadId", str_of(call->upload));
                break;
        default:
                break;
        }
}

static void add_headers(const struct object_call *call, bool google, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf md5 = { 0 };
        char hex[OBJECT_SHA256_HEX_SIZE];

        if (call->step == STEP_GET) {
                object_request_header_f(rq, "range", "bytes=%lld-%lld", (long long)call->offset,
                                        (long long)(call->offset + (int64_t)call->len - 1));
                if (call->etag && *call->etag)
                        object_request_header(rq, "if-match", str_of(call->etag));
        }
        if (call->if_absent && (call->step == STEP_PUT || call->step == STEP_FINISH)) {
                if (google)
                        object_request_header(rq, "x-goog-if-generation-match", STR_LIT("0"));
                else
                        object_request_header(rq, "if-none-match", STR_LIT("*"));
        }
        if (call->step == STEP_PUT || call->step == STEP_BEGIN)
                object_request_header(rq, google ? "x-goog-meta-chronikput" : "x-amz-meta-chronikput",
                                      str_of(call->put_id));
        if (call->step == STEP_PUT && call->sha256) {
                object_hex(call->sha256, OBJECT_SHA256_SIZE, hex);
                object_request_header(rq, google ? "x-goog-meta-chroniksha256" : "x-amz-meta-chroniksha256",
                                      str_of(hex));
        }
        if (call->md5) {
                base64_add(&md5, span_of(call->md5, OBJECT_MD5_SIZE));
                rq->failed |= md5.failed;
                object_request_header(rq, "content-md5", (struct str){ md5.data, md5.len });
        }
}

/* The document that makes one object of its parts. */
static void add_finish(const struct object_call *call, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        void *copy;

        strbuf_add_c(&b, "<CompleteMultipartUpload>");
        for (unsigned i = 0; i < call->parts_count; i++) {
                strbuf_printf(&b, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
                for (const char *p = call->parts[i].etag; *p; p++)
                        strbuf_add_c(&b, *p == '"'   ? "&quot;"
                                         : *p == '&' ? "&amp;"
                                         : *p == '<' ? "&lt;"
                                                     : (char[]){ *p, '\0' });
                strbuf_add_c(&b, "</ETag></Part>");
        }
        strbuf_add_c(&b, "</CompleteMultipartUpload>");
        copy = b.failed ? NULL : arena_memdup(&rq->arena, b.data, b.len);
        rq->failed |= !copy;
        rq->body = span_of(copy, copy ? b.len : 0);
}

static int set_path(const struct object_place *place, const struct object_call *call, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf path = { 0 };
        char *copy;

        strbuf_add_c(&path, place->base);
        if (call->step != STEP_LIST)
                object_percent_encode(&path, call->key, true);
        copy = path.failed ? NULL : arena_strdup0(&rq->arena, (struct str){ path.data, path.len });
        if (!copy)
                return -ENOMEM;
        rq->path = str_of(copy);
        return 0;
}

static int build(const struct object_place *place, const struct object_call *call,
                 const struct object_credentials *cred, int64_t wall_ms, bool google, struct object_request *rq)
{
        const struct object_sigv4_key key = {
                .access_key = str_of(cred->access_key),
                .secret_key = str_of(cred->secret_key),
                .session_token = *cred->token ? str_of(cred->token) : STR_NULL,
                .region = str_of(place->region),
                .service = str_of(google ? "storage" : "s3"),
        };
        char payload[OBJECT_SHA256_HEX_SIZE];
        uint8_t digest[OBJECT_SHA256_SIZE];
        int r;

        object_request_init(rq, methods[call->step], str_of(place->origin));
        r = set_path(place, call, rq);
        if (r)
                return r;
        rq->body = call->body;
        add_query(call, rq);
        add_headers(call, google, rq);
        if (call->step == STEP_FINISH)
                add_finish(call, rq);
        if (rq->failed)
                return -E2BIG;
        if (place->bearer) {
                object_request_header_f(rq, "authorization", "Bearer %s", cred->token);
                return rq->failed ? -E2BIG : 0;
        }
        snprintf(payload, sizeof payload, "%s", empty_sha256);
        if (rq->body.len) {
                r = call->step != STEP_FINISH && call->sha256 ? 0 : object_sha256(rq->body, digest);
                if (r)
                        return r;
                object_hex(call->step != STEP_FINISH && call->sha256 ? call->sha256 : digest, sizeof digest, payload);
        }
        return object_sigv4_sign(rq, google ? &object_sigv4_goog : &object_sigv4_aws, &key, wall_ms, payload, NULL);
}

static int build_s3(const struct object_place *place, const struct object_call *call,
                    const struct object_credentials *cred, int64_t wall_ms, struct object_request *rq)
{
        return build(place, call, cred, wall_ms, false, rq);
}

static int build_google(const struct object_place *place, const struct object_call *call,
                        const struct object_credentials *cred, int64_t wall_ms, struct object_request *rq)
{
        return build(place, call, cred, wall_ms, true, rq);
}

const struct object_provider object_provider_s3 = {
        .name = "s3",
        .bucket_word = "bucket",
        .begins = true,
        .conditional_parts = true,
        .parts_max = 10000,
        .permissions = permissions_s3,
        .build = build_s3,
        .read_list = object_read_list_s3,
};
/* Google finishes a put in parts whatever is there already. */
const struct object_provider object_provider_google = {
        .name = "google",
        .bucket_word = "bucket",
        .begins = true,
        .conditional_parts = false,
        .needs_md5 = true,
        .parts_max = 10000,
        .permissions = permissions_google,
        .build = build_google,
        .read_list = object_read_list_s3,
};
