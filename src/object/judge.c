/* What an answer means: the table of what stores say when they refuse. */
#include <stdio.h>

#include "object/call.h"
#include "object/xml.h"

struct meaning {
        const char *code;
        int result;
        bool retry;
        const char *advice; /* what would be right; NULL: nothing to be said */
};

/* S3's and Google's codes, then Azure's. */
static const struct meaning meanings[] = {
        { "NoSuchBucket", OBJECT_NO_BUCKET, false, "make it, or correct its name" },
        { "ContainerNotFound", OBJECT_NO_BUCKET, false, "make it, or correct its name" },
        { "ContainerBeingDeleted", OBJECT_NO_BUCKET, true, "it is being deleted" },
        { "InvalidBucketName", OBJECT_NO_BUCKET, false, "the store has no buckets of such names" },
        { "NoSuchKey", OBJECT_E_MISSING, false, NULL },
        { "BlobNotFound", OBJECT_E_MISSING, false, NULL },
        { "InvalidAccessKeyId", OBJECT_BAD_CREDENTIALS, false, "the store does not know this access key" },
        { "SignatureDoesNotMatch", OBJECT_BAD_CREDENTIALS, false, "the secret key is not that of the access key" },
        { "ExpiredToken", OBJECT_BAD_CREDENTIALS, false, "the session has expired; new credentials are needed" },
        { "InvalidToken", OBJECT_BAD_CREDENTIALS, false, "the session token is not that of the access key" },
        { "InvalidTokenId", OBJECT_BAD_CREDENTIALS, false, "the session token is not that of the access key" },
        { "TokenRefreshRequired", OBJECT_BAD_CREDENTIALS, false,
          "the session has expired; new credentials are needed" },
        { "AuthenticationFailed", OBJECT_BAD_CREDENTIALS, false,
          "the account's key or the SAS is wrong, or has expired" },
        { "InvalidAuthenticationInfo", OBJECT_BAD_CREDENTIALS, false,
          "the account's key or the SAS is wrong, or has expired" },
        { "NoAuthenticationInformation", OBJECT_BAD_CREDENTIALS, false,
          "the store asks for credentials, and none are configured" },
        { "RequestTimeTooSkewed", OBJECT_CLOCK_SKEW, false, "set the clocks" },
        { "RequestExpired", OBJECT_CLOCK_SKEW, false, "set the clocks" },
        { "AccessDenied", OBJECT_NO_PERMISSION, false, NULL },
        { "AllAccessDisabled", OBJECT_NO_PERMISSION, false, NULL },
        /* Said for many reasons. */
        { "AuthorizationFailure", OBJECT_NO_PERMISSION, false,
          "or the key is wrong, the SAS has expired, or the account's firewall refuses this machine" },
        { "AuthorizationPermissionMismatch", OBJECT_NO_PERMISSION, false, NULL },
        { "AuthorizationServiceMismatch", OBJECT_NO_PERMISSION, false, NULL },
        { "AuthorizationResourceTypeMismatch", OBJECT_NO_PERMISSION, false, NULL },
        { "InsufficientAccountPermissions", OBJECT_NO_PERMISSION, false, NULL },
        { "AuthorizationHeaderMalformed", OBJECT_WRONG_PLACE, false, "the region is another" },
        { "PermanentRedirect", OBJECT_WRONG_PLACE, false, "use the endpoint of the bucket's region" },
        { "TemporaryRedirect", OBJECT_WRONG_PLACE, true, "the bucket is new; its name is not known everywhere yet" },
        { "IllegalLocationConstraintException", OBJECT_WRONG_PLACE, false, "the region is another" },
        { "BadDigest", OBJECT_DAMAGED, true, "the content was damaged on its way to the store" },
        { "XAmzContentSHA256Mismatch", OBJECT_DAMAGED, true, "the content was damaged on its way to the store" },
        { "Md5Mismatch", OBJECT_DAMAGED, true, "the content was damaged on its way to the store" },
        { "IncompleteBody", OBJECT_DAMAGED, true, "the content was cut on its way to the store" },
        { "InvalidPart", OBJECT_LOST, false, "the store has lost a part" },
        { "NoSuchUpload", OBJECT_LOST, false, "the parts that were sent are gone; does a rule remove them too early?" },
        { "InvalidBlockList", OBJECT_LOST, false, "the parts that were sent are gone" },
        { "SlowDown", OBJECT_BUSY, true, "it asks for fewer requests" },
        { "ServerBusy", OBJECT_BUSY, true, "it asks for fewer requests" },
        { "RequestTimeout", OBJECT_BUSY, true, NULL },
        { "OperationTimedOut", OBJECT_BUSY, true, NULL },
        { "OperationAborted", OBJECT_BUSY, true, NULL },
        { "ConditionalRequestConflict", OBJECT_BUSY, true, "somebody else writes the same object" },
        { "EntityTooLarge", OBJECT_TOO_LARGE, false, "send it in smaller parts" },
        { "RequestBodyTooLarge", OBJECT_TOO_LARGE, false, "send it in smaller parts" },
        { "EntityTooSmall", OBJECT_BAD_CONFIG, false, "the store wants larger parts" },
        { "NotImplemented", OBJECT_UNSUPPORTED, false, "the store does not know this request or a header of it" },
        { "QuotaExceeded", -EDQUOT, false, "there is no room" },
        { "XMinioStorageFull", -ENOSPC, false, "there is no room" },
        { "AccountIsDisabled", OBJECT_NO_PERMISSION, false, "and an account that is not disabled" },
};

static const char *const step_words[] = {
        [STEP_PUT] = "writing",
        [STEP_GET] = "reading",
        [STEP_HEAD] = "looking at",
        [STEP_LIST] = "listing",
        [STEP_DELETE] = "deleting",
        [STEP_BEGIN] = "beginning to write",
        [STEP_PART] = "writing a part of",
        [STEP_FINISH] = "finishing",
        [STEP_ABORT] = "giving up",
};

/* The few elements of an error document. */
struct error_document {
        bool is_error;
        char code[64], message[256], region[40];
};

static void take(char *to, size_t size, struct str text)
{
        size_t len = MIN2(text.len, size - 1);

        for (size_t i = 0; i < len; i++)
                to[i] = (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? ' ' : text.p[i];
        to[len] = '\0';
}

static int on_element(void *arg, const char *path, struct str text)
{
        struct error_document *d = arg;

        if (!strcmp(path, "Error/Code"))
                take(d->code, sizeof d->code, text);
        else if (!strcmp(path, "Error/Message"))
                take(d->message, sizeof d->message, text);
        else if (!strcmp(path, "Error/Region"))
                take(d->region, sizeof d->region, text);
        else if (!strcmp(path, "Error"))
                d->is_error = true;
        return 0;
}

static struct meaning by_status(const struct object_call *call, const struct object_answer *a)
{
        if (a->status == 404)
                return (struct meaning){ "",
                                         call->step == STEP_GET || call->step == STEP_HEAD ? OBJECT_E_MISSING
                                                                                           : OBJECT_NO_BUCKET,
                                         false, "make it, or correct its name" };
        if (a->status == 401)
                return (struct meaning){ "", OBJECT_BAD_CREDENTIALS, false,
                                         "the credentials are wrong or have expired" };
        if (a->status == 403)
                return (struct meaning){ "", OBJECT_NO_PERMISSION, false, NULL };
        if (a->status == 301 || a->status == 302 || a->status == 307 || a->status == 308)
                return (struct meaning){ "", OBJECT_WRONG_PLACE, false, "use the endpoint of the bucket's region" };
        if (a->status == 408 || a->status == 429 || a->status >= 500)
                return (struct meaning){ "", a->status == 501 ? OBJECT_UNSUPPORTED : OBJECT_BUSY, a->status != 501,
                                         NULL };
        if (a->status == 413)
                return (struct meaning){ "", OBJECT_TOO_LARGE, false, "send it in smaller parts" };
        if (a->status < 200 || a->status >= 600)
                return (struct meaning){ "", -EPROTO, false, "this is no object store" };
        return (struct meaning){ "", OBJECT_BAD_CONFIG, false, NULL };
}

static struct meaning find_meaning(const struct object_call *call, const struct object_answer *a, const char *code)
{
        for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
                if (!strcmp(code, meanings[i].code))
                        return meanings[i];
        return by_status(call, a);
}

/* Outcomes that are no errors, and need no words. */
static bool judge_outcome(const struct object_call *call, const struct object_answer *a, const char *code,
                          struct object_verdict *v)
{
        bool conditional = call->if_absent && (call->step == STEP_PUT || call->step == STEP_FINISH);

        if (call->step == STEP_GET && a->status == 416)
                return true; /* nothing is there; who asked looks at the size */
        if (call->step == STEP_DELETE && a->status == 404 && strcmp(code, "NoSuchBucket") != 0 &&
            strcmp(code, "ContainerNotFound") != 0)
                return true;
        if (call->step == STEP_ABORT && a->status == 404)
                return true;
        if (conditional &&
            (a->status == 412 || !strcmp(code, "BlobAlreadyExists") || !strcmp(code, "UnauthorizedBlobOverwrite"))) {
                v->result = OBJECT_E_EXISTS;
                return true;
        }
        if ((call->step == STEP_PART || call->step == STEP_FINISH) &&
            (!strcmp(code, "NoSuchUpload") || !strcmp(code, "InvalidBlockList")))
                v->gone = true;
        return false;
}

static void say(const struct object_place *place, const struct object_call *call, const struct object_answer *a,
                const struct error_document *d, const struct meaning *m, int64_t now_ms, char *text)
{
        const struct object_provider *p = place->provider;
        int n = snprintf(text, OBJECT_TEXT_SIZE, "%s '%.*s%s' in %s '%s' at %s: %ld%s%s", step_words[call->step],
                         (int)MIN2(call->key.len, (size_t)100), call->key.p ? call->key.p : "",
                         call->step == STEP_LIST ? "*" : "", p->bucket_word, place->bucket, place->origin, a->status,
                         *d->code ? " " : "", d->code);
        size_t len = MIN2((size_t)MAX2(n, 0), (size_t)OBJECT_TEXT_SIZE - 1);

        if (m->result == OBJECT_NO_PERMISSION)
                snprintf(text + len, OBJECT_TEXT_SIZE - len, ": these credentials are not allowed to; needed is %s%s%s",
                         p->permissions[call->step], m->advice ? "; " : "", m->advice ? m->advice : "");
        else if (m->result == OBJECT_NO_BUCKET)
                snprintf(text + len, OBJECT_TEXT_SIZE - len, ": the %s is not there; %s", p->bucket_word, m->advice);
        else if (m->result == OBJECT_CLOCK_SKEW && a->date_ms >= 0)
                snprintf(text + len, OBJECT_TEXT_SIZE - len,
                         ": this machine's clock is %lld s %s the store's; set the clocks",
                         (long long)(now_ms > a->date_ms ? now_ms - a->date_ms : a->date_ms - now_ms) / 1000,
                         now_ms > a->date_ms ? "ahead of" : "behind");
        else if (m->result == OBJECT_WRONG_PLACE && (*d->region || *a->region))
                snprintf(text + len, OBJECT_TEXT_SIZE - len,
                         ": the region is %s and not %s; correct the region, and the endpoint with it",
                         *d->region ? d->region : a->region, place->region);
        else if (m->advice)
                snprintf(text + len, OBJECT_TEXT_SIZE - len, ": %s", m->advice);
        else if (*d->message)
                snprintf(text + len, OBJECT_TEXT_SIZE - len, ": the store says: %s", d->message);
        len = strlen(text);
        if (*a->request_id)
                snprintf(text + len, OBJECT_TEXT_SIZE - len, " (request %s)", a->request_id);
}

void object_judge(const struct object_place *place, const struct object_call *call, const struct object_answer *a,
                  struct span body, int64_t now_ms, struct object_verdict *ret_verdict)
{
        struct error_document d = { 0 };
        struct meaning m;

        *ret_verdict = (struct object_verdict){ .retry_after_ms = a->retry_after_ms };
        /* Half a document may have told enough, and one that is none is no reason to know less than the status. */
        if (body.len)
                (void)object_xml_walk(body, on_element, &d);
        if (*a->code)
                take(d.code, sizeof d.code, str_of(a->code));
        if (a->status >= 200 && a->status < 300 && !(call->step == STEP_FINISH && d.is_error))
                return;
        if (judge_outcome(call, a, d.code, ret_verdict))
                return;
        m = find_meaning(call, a, d.code);
        /* InternalError within a 200: "Complete multipart upload". */
        if (a->status < 300 && !strcmp(d.code, "InternalError"))
                m = (struct meaning){ "", OBJECT_BUSY, true, NULL };
        if (call->step == STEP_GET && a->status == 412)
                m = (struct meaning){ "", OBJECT_DAMAGED, false, "the object was replaced while it was read" };
        /* The answer to HEAD has no document that says so. Who is told that something is missing was in the right region. */
        if (*a->region && strcmp(a->region, place->region) != 0 &&
            (a->status == 301 || a->status == 400 || a->status == 403))
                m.result = OBJECT_WRONG_PLACE;
        ret_verdict->result = m.result;
        ret_verdict->retry = m.retry;
        if (m.result < 0)
                say(place, call, a, &d, &m, now_ms, ret_verdict->text);
}
