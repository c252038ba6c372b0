/* What a store answered: headers and documents read, and judged. Pure; any thread. */
#pragma once

#include "object/object.h"

struct object_call;
struct object_place;

/* What of an answer's headers counts; "" and -1 for what it does not say. */
struct object_answer {
        long status;
        int64_t content_len;
        int64_t range_first, range_last, range_total; /* Content-Range */
        int64_t date_ms, modified_ms, retry_after_ms;
        char etag[OBJECT_ETAG_SIZE];
        char put_id[40]; /* metadata that this module left there */
        char sha256[65];
        char code[64];       /* Azure: x-ms-error-code */
        char region[40];     /* S3: x-amz-bucket-region */
        char request_id[80]; /* for the provider's support */
};

void object_answer_init(struct object_answer *a);
/* Take one header line, with or without its line break. A status line begins anew: what a "100 Continue" said is forgotten. Others
 * than those above are skipped; what is too long for its field is as if it were not there. */
void object_answer_header(struct object_answer *a, struct str line);

/* What an answer means. */
struct object_verdict {
        int result;  /* as object_op.result */
        bool retry;  /* another attempt may succeed */
        bool unsure; /* the store may have done it all the same */
        bool gone;   /* STEP_PART, STEP_FINISH: the upload is not known */
        int64_t retry_after_ms;
        char text[OBJECT_TEXT_SIZE];
};

/* Judge by status and error document. @body: of an answer that is not 2xx, or that may hide an error (STEP_FINISH).
 * @now_ms: this machine's time, to say by how much it is off. */
void object_judge(const struct object_place *place, const struct object_call *call, const struct object_answer *a,
                  struct span body, int64_t now_ms, struct object_verdict *ret_verdict);

/* The element @name of the document's root, or below it ("UploadId", "ETag"); of the answers to STEP_BEGIN and the like.
 * Return: 0; -ENOENT; -E2BIG; -EBADMSG; -ENOMEM. */
int object_answer_element(struct span body, const char *name, char *ret_text, size_t size);

/* Rows of a list: S3's and Google's ListBucketResult, Azure's EnumerationResults. Sets op->rows and op->list_next.
 * Return: 0; -EBADMSG: not such a document, or it says what cannot be (more rows than were asked for); -ENOMEM. */
int object_read_list_s3(struct span body, struct object_op *op);
int object_read_list_azure(struct span body, struct object_op *op);
