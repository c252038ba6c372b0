/* Requests to Azure Blob Storage: block blobs; Shared Key or a shared access signature.
 * "Authorize with Shared Key", Blob service REST API. */
#include <stdio.h>
#include <time.h>

#include "base/base64.h"
#include "object/azure.h"
#include "object/call.h"

/* What the requests here are as of; older ones sign otherwise. */
static const char version[] = "2021-12-02";

static const char *const permissions[] = {
        [STEP_PUT] = "Storage Blob Data Contributor, or a SAS with create and write (sp=cw)",
        [STEP_GET] = "Storage Blob Data Reader, or a SAS with read (sp=r)",
        [STEP_HEAD] = "Storage Blob Data Reader, or a SAS with read (sp=r)",
        [STEP_LIST] = "Storage Blob Data Reader, or a SAS of the container with list (sp=l)",
        [STEP_DELETE] = "Storage Blob Data Contributor, or a SAS with delete (sp=d)",
        [STEP_BEGIN] = "", /* there is no such request */
        [STEP_PART] = "Storage Blob Data Contributor, or a SAS with create and write (sp=cw)",
        [STEP_FINISH] = "Storage Blob Data Contributor, or a SAS with create and write (sp=cw)",
        [STEP_ABORT] = "",
};

static const char *const methods[] = {
        [STEP_PUT] = "PUT", [STEP_GET] = "GET",  [STEP_HEAD] = "HEAD",  [STEP_LIST] = "GET", [STEP_DELETE] = "DELETE",
        [STEP_BEGIN] = "",  [STEP_PART] = "PUT", [STEP_FINISH] = "PUT", [STEP_ABORT] = "",
};

/* Names of blocks have one length. They begin with the id of the put, so that two that write one blob do not mix their blocks. */
static void block_name(const struct object_call *call, unsigned part, struct strbuf *out)
{
        char name[64];
        int n = snprintf(name, sizeof name, "%s-%05u", call->put_id, part);

        base64_add(out, span_of(name, (size_t)n));
}

static void add_finish(const struct object_call *call, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        void *copy;

        strbuf_add_c(&b, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for (unsigned i = 0; i < call->parts_count; i++) {
                strbuf_add_c(&b, "<Uncommitted>");
                block_name(call, i + 1, &b);
                strbuf_add_c(&b, "</Uncommitted>");
        }
        strbuf_add_c(&b, "</BlockList>");
        copy = b.failed ? NULL : arena_memdup(&rq->arena, b.data, b.len);
        rq->failed |= !copy;
        rq->body = span_of(copy, copy ? b.len : 0);
}

static void add_query(const struct object_call *call, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf name = { 0 };

        if (call->step == STEP_LIST) {
                object_request_query(rq, "restype", STR_LIT("container"));
                object_request_query(rq, "comp", STR_LIT("list"));
                if (call->key.len)
                        object_request_query(rq, "prefix", call->key);
                object_request_query_f(rq, "maxresults", "%u", call->list_max);
                if (call->list_next)
                        object_request_query(rq, "marker", str_of(call->list_next));
        } else if (call->step == STEP_PART) {
                block_name(call, call->part, &name);
                rq->failed |= name.failed;
                object_request_query(rq, "comp", STR_LIT("block"));
                object_request_query(rq, "blockid", (struct str){ name.data, name.len });
        } else if (call->step == STEP_FINISH) {
                object_request_query(rq, "comp", STR_LIT("blocklist"));
                add_finish(call, rq);
        }
}

static void add_headers(const struct object_call *call, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf md5 = { 0 };
        char hex[OBJECT_SHA256_HEX_SIZE];

        object_request_header(rq, "x-ms-version", str_of(version));
        if (call->step == STEP_PUT)
                object_request_header(rq, "x-ms-blob-type", STR_LIT("BlockBlob"));
        if (call->step == STEP_GET) {
                object_request_header_f(rq, "x-ms-range", "bytes=%lld-%lld", (long long)call->offset,
                                        (long long)(call->offset + (int64_t)call->len - 1));
                if (call->etag && *call->etag)
                        object_request_header(rq, "if-match", str_of(call->etag));
        }
        if (call->step == STEP_PUT || call->step == STEP_FINISH) {
                object_request_header(rq, "x-ms-meta-chronikput", str_of(call->put_id));
                if (call->if_absent)
                        object_request_header(rq, "if-none-match", STR_LIT("*"));
        }
        if (call->step == STEP_PUT && call->sha256) {
                object_hex(call->sha256, OBJECT_SHA256_SIZE, hex);
                object_request_header(rq, "x-ms-meta-chroniksha256", str_of(hex));
        }
        if (call->md5) {
                base64_add(&md5, span_of(call->md5, OBJECT_MD5_SIZE));
                rq->failed |= md5.failed;
                object_request_header(rq, "content-md5", (struct str){ md5.data, md5.len });
        }
}

/* ---- Shared Key ---- */

static void add_str(struct strbuf *b, struct str s)
{
        strbuf_add(b, s.p, s.len);
}

int object_azure_string_to_sign(const struct object_request *rq, struct str account, struct strbuf *out)
{
        static const char *const named[] = { "content-type", "date",          "if-modified-since",
                                             "if-match",     "if-none-match", "if-unmodified-since",
                                             "range" };

        strbuf_printf(out, "%s\n\n\n", rq->method); /* neither content-encoding nor content-language */
        if (rq->body.len)
                strbuf_printf(out, "%zu", rq->body.len);
        strbuf_add_c(out, "\n");
        add_str(out, object_request_header_of(rq, "content-md5"));
        strbuf_add_c(out, "\n");
        for (size_t i = 0; i < ARRAY_LEN(named); i++) {
                add_str(out, object_request_header_of(rq, named[i]));
                strbuf_add_c(out, "\n");
        }
        for (unsigned i = 0; i < rq->headers_count; i++) {
                if (rq->headers[i].name.len < 5 || memcmp(rq->headers[i].name.p, "x-ms-", 5) != 0)
                        continue;
                add_str(out, rq->headers[i].name);
                strbuf_add_c(out, ":");
                add_str(out, rq->headers[i].value);
                strbuf_add_c(out, "\n");
        }
        strbuf_printf(out, "/%.*s", STR_FMT(account));
        add_str(out, rq->path);
        for (unsigned i = 0; i < rq->query_count; i++) {
                strbuf_printf(out, "\n%.*s:", STR_FMT(rq->query[i].name));
                add_str(out, rq->query[i].value);
        }
        return out->failed ? -ENOMEM : 0;
}

int object_azure_sign(struct object_request *rq, const struct object_credentials *cred, int64_t wall_ms)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 }, signature = { 0 };
        uint8_t key[sizeof cred->secret_key], digest[OBJECT_SHA256_SIZE];
        time_t seconds = (time_t)(wall_ms / 1000);
        size_t key_len;
        char date[40];
        struct tm tm;
        int r;

        gmtime_r(&seconds, &tm);
        if (!strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm))
                return OBJECT_CLOCK_SKEW;
        object_request_header(rq, "x-ms-date", str_of(date));
        object_request_sort(rq);
        r = object_azure_string_to_sign(rq, str_of(cred->access_key), &text);
        if (r)
                return r;
        if (base64_read(str_of(cred->secret_key), key, &key_len))
                return OBJECT_BAD_CREDENTIALS;
        r = object_hmac_sha256(span_of(key, key_len), span_of(text.data, text.len), digest);
        explicit_bzero(key, sizeof key);
        if (r)
                return r;
        base64_add(&signature, span_of(digest, sizeof digest));
        if (signature.failed)
                return -ENOMEM;
        object_request_header_f(rq, "authorization", "SharedKey %s:%s", cred->access_key, signature.data);
        return rq->failed ? -E2BIG : 0;
}

/* A shared access signature is a query that was signed by somebody else; it is added as it is. */
static int add_sas(struct object_request *rq, const char *sas)
{
        rq->raw_query = str_of(*sas == '?' ? sas + 1 : sas);
        return rq->failed ? -E2BIG : 0;
}

static int build(const struct object_place *place, const struct object_call *call,
                 const struct object_credentials *cred, int64_t wall_ms, struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf path = { 0 };
        char *copy;

        object_request_init(rq, methods[call->step], str_of(place->origin));
        strbuf_add_c(&path, place->base);
        if (call->step == STEP_LIST)
                path.len--; /* the container itself has no slash behind it */
        else
                object_percent_encode(&path, call->key, true);
        copy = path.failed ? NULL : arena_strdup0(&rq->arena, (struct str){ path.data, path.len });
        if (!copy)
                return -ENOMEM;
        rq->path = str_of(copy);
        rq->body = call->body;
        add_query(call, rq);
        add_headers(call, rq);
        if (rq->failed)
                return -E2BIG;
        return *cred->token ? add_sas(rq, cred->token) : object_azure_sign(rq, cred, wall_ms);
}

const struct object_provider object_provider_azure = {
        .name = "azure",
        .bucket_word = "container",
        .begins = false,
        .conditional_parts = true,
        .needs_md5 = true,
        .parts_max = 50000,
        .permissions = permissions,
        .build = build,
        .read_list = object_read_list_azure,
};
