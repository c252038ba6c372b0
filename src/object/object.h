/* A store of objects: a bucket at Amazon S3 or whatever speaks its protocol, at Google Cloud Storage, a container of Azure Blob, or a
 * folder. It knows nothing of what objects hold: module tier stands on it.
 *
 * Everything is asynchronous. An operation is a struct of the caller's, which the store has from object_submit() until the operation's
 * done(), which runs exactly once, whether it succeeded, failed, was cancelled or the store was closed. A store has a thread of its own
 * (a loop with libcurl); what blocks (files, digests) runs on the I/O pool.
 *
 * What a store promises, whatever is behind it:
 * 1. An object is there in full or not at all, and durable when put has succeeded.
 * 2. With if_absent a key is written once: of several that try, one succeeds and the others are told OBJECT_E_EXISTS. Who asked
 *    twice because an answer was lost is told that it succeeded.
 * 3. A get gives bytes of one version of the object, as many as were asked for unless the object ends, or an error.
 * 4. What the store's own digests show to be damaged on the way is an error, and tried again first. */
#pragma once

#include <errno.h>

#include "base/span.h"
#include "sys/iopool.h"

struct object_store;

/* Amazon's limits, which no other goes below. */
enum { OBJECT_KEY_LEN_MAX = 1024, OBJECT_LIST_MAX = 1000, OBJECT_TEXT_SIZE = 512, OBJECT_ETAG_SIZE = 128 };

/* Outcomes that the caller handles. */
enum {
        OBJECT_OK,
        OBJECT_E_MISSING, /* get, head: there is no such object */
        OBJECT_E_EXISTS,  /* put with if_absent: there is one, and it was not this operation that wrote it */
};

/* Failures are negative: one of these, or the errno of a file. object_op.text says what is wrong in words. */
enum {
        OBJECT_BAD_CONFIG = -EINVAL,            /* the request cannot be right: key, size, a setting */
        OBJECT_NO_BUCKET = -ENXIO,              /* the bucket, container or folder is not there */
        OBJECT_NO_PERMISSION = -EACCES,         /* known, and not allowed to */
        OBJECT_BAD_CREDENTIALS = -EKEYREJECTED, /* not known, wrong, expired, or none could be had */
        OBJECT_CLOCK_SKEW = -ETIME,             /* this machine's clock is too far from the store's */
        OBJECT_WRONG_PLACE = -EREMCHG,          /* the bucket is in another region or at another endpoint */
        OBJECT_BAD_TLS = -EPROTO,               /* the certificate is not trusted, or TLS failed */
        OBJECT_UNREACHABLE = -EHOSTUNREACH,     /* no connection, also after retries */
        OBJECT_TIMED_OUT = -ETIMEDOUT,          /* the deadline passed */
        OBJECT_BUSY = -EBUSY,                   /* the store asks to slow down, or fails (5xx), also after retries */
        OBJECT_DAMAGED = -EBADMSG,              /* bytes do not match their digest or length, also after retries */
        OBJECT_UNSUPPORTED = -EOPNOTSUPP,       /* the store does not do what it needs to do here */
        OBJECT_LOST = -ESTALE,                  /* the parts of a put that were sent are not there any more */
        OBJECT_TOO_LARGE = -EFBIG,
        OBJECT_CANCELLED = -ECANCELED,
};

enum object_verb { OBJECT_PUT, OBJECT_GET, OBJECT_HEAD, OBJECT_LIST, OBJECT_DELETE };

/* What is known of an object. */
struct object_info {
        int64_t size;                /* -1: the store did not say */
        int64_t modified_ms;         /* since 1970; 0: not said. With a second's precision */
        char etag[OBJECT_ETAG_SIZE]; /* changes when the object does; "" if there is none */
};

struct object_row {
        char *key;
        int64_t size, modified_ms;
};

struct object_op {
        /* ---- set by the caller; borrowed until done() ---- */
        enum object_verb verb;
        /* 1..OBJECT_KEY_LEN_MAX bytes of UTF-8 without control characters; its parts between '/' are not empty, "." or "..". For a
         * list: a prefix of keys, which may be empty, and is not checked for parts. */
        struct str key;
        /* Most milliseconds that all of it may take, retries and the time in the queue included; 0: as configured. What a pool thread
         * is at is waited for: a folder's file operation that has begun, the reading of a part. */
        int deadline_ms;
        struct loop *reply_loop;            /* where done() runs */
        void (*done)(struct object_op *op); /* may free the op, or submit it again */

        /* OBJECT_PUT: the content is @body, or @file_len bytes of @file_fd at @file_pos if @file_len is not 0; a file must not
         * change meanwhile. */
        bool if_absent;
        struct span body;
        int file_fd;
        int64_t file_pos, file_len;

        /* OBJECT_GET: @get_len bytes at @offset, to @get_buf; fewer when the object ends before. */
        int64_t offset;
        size_t get_len;
        void *get_buf;
        bool expect_crc; /* the bytes have the CRC-32C @crc; others are OBJECT_DAMAGED */
        uint32_t crc;

        /* OBJECT_LIST: at most @list_max keys (1..OBJECT_LIST_MAX) in the order of their bytes. @list_next is NULL for the first
         * page, else what the page before left there: the store takes it from the op and leaves the next, NULL after the last. */
        unsigned list_max;
        char *list_next;

        /* ---- the answer; valid in done() ---- */
        int result;                  /* OBJECT_OK, another outcome, or negative */
        char text[OBJECT_TEXT_SIZE]; /* of a negative result: what was wrong, where, what would be right */
        size_t got_len;              /* get: bytes in @get_buf */
        uint32_t got_crc;            /* get: their CRC-32C */
        struct object_info info;     /* get, head: the object; put: its size and etag */
        struct object_row *rows;     /* list: object_op_fini() gives them back */
        unsigned rows_count;
        unsigned requests; /* how many HTTP requests it took, hedges and retries included */

        /* ---- the store's ---- */
        struct mail mail;
        struct object_store *store;
        uint64_t serial;
};

/* Free what a list left in the op. Harmless for others. */
void object_op_fini(struct object_op *op);

/* ---- life of a store ---- */

enum object_kind { OBJECT_FOLDER, OBJECT_S3, OBJECT_GOOGLE, OBJECT_AZURE };

/* Where the credentials come from. A file is read again when it has changed, so that credentials can be renewed under a running node. */
enum object_source {
        OBJECT_FROM_TEXT, /* the fields access_key and so on below */
        OBJECT_FROM_ENV, /* AWS_ACCESS_KEY_ID..., GS_ACCESS_KEY_ID..., AZURE_STORAGE_ACCOUNT...; see docs/OBJECT-STORE.md */
        OBJECT_FROM_FILE, /* credentials_file: as of the AWS command line, with a profile; see docs/OBJECT-STORE.md */
        OBJECT_FROM_SYSTEMD,      /* the same, as the systemd credential of the name credentials_file */
        OBJECT_FROM_INSTANCE,     /* S3: the metadata service of the machine (IMDSv2) */
        OBJECT_FROM_WEB_IDENTITY, /* S3: a token in a file is exchanged for credentials (STS AssumeRoleWithWebIdentity) */
        OBJECT_FROM_ACCOUNT,      /* Google: OAuth, with the key of a service account in credentials_file (JSON) */
};

/* Text is borrowed for object_store_open() and copied; NULL is "not set". */
struct object_config {
        enum object_kind kind;
        const char *folder; /* OBJECT_FOLDER: its path; made if it is not there */
        const char *
                endpoint; /* URL without a path; NULL: the provider's own. With Azure: may end in "/account" (an emulator's) */
        const char *bucket;  /* Azure: the container */
        const char *region;  /* S3; NULL: us-east-1. Google: not needed */
        bool path_style;     /* S3: the bucket is in the path and not in the name of the host */
        const char *ca_file; /* certificates (PEM) to trust instead of the system's */

        enum object_source source;
        const char *access_key, *secret_key, *session_token; /* Azure: account and its key in base64 */
        const char *sas;                                     /* Azure: a shared access signature instead of the key */
        const char *credentials_file, *profile;
        const char *role_arn, *token_file, *role_session; /* OBJECT_FROM_WEB_IDENTITY */
        const char *sts_endpoint;                         /* NULL: of the region */
        const char *instance_endpoint;                    /* NULL: http://169.254.169.254 */
        const char *token_endpoint;                       /* OBJECT_FROM_ACCOUNT; NULL: what the key's file says */

        unsigned requests_max; /* operations in work; others wait in order */
        size_t memory_max;     /* bytes for parts of files that are on their way, and for hedges */
        size_t part_len;       /* larger puts are sent in parts of this many bytes: 5 MiB..1 GiB with S3 */
        unsigned parts_max;    /* of one object that are sent at the same time */
        unsigned attempts_max; /* of one request */
        int connect_timeout_ms;
        int stall_timeout_ms; /* a request is given up when nothing came or went for so long; also without an answer */
        int deadline_ms;      /* of an operation, where it has none of its own */
        int backoff_ms, backoff_max_ms; /* before the second attempt up to the one, doubled for each, up to the other */
        int hedge_after_ms;             /* a get without an end after so long is asked for once more; 0: never */
        int64_t upload_bytes_per_s, download_bytes_per_s; /* of the whole store; 0: no limit */
};

/* The defaults; kind and place are to be filled in. */
void object_config_init(struct object_config *c);

/* Check the configuration and start the thread. Asks nothing of the store yet: that is object_probe().
 * @pool     borrowed; must live longer than the store.
 * @ret_why  OBJECT_TEXT_SIZE bytes: in words, when it failed.
 * Blocks for reading files of credentials and certificates. Return: 0; OBJECT_BAD_CONFIG; other negative errno. */
int object_store_open(const struct object_config *c, struct iopool *pool, struct object_store **ret_store,
                      char *ret_why);
/* Cancel what is in work, wait until nothing of it runs, end the thread, free. Uploads in parts are given up at the store, for which there
 * are three seconds. Each op has been posted to its loop by then. Blocks; not on
 * a loop that an op's files wait for. NULL is fine. Returns NULL. */
struct object_store *object_store_close(struct object_store *s);
DEFINE_FREEP(struct object_store, object_store_close)

/* Start an operation. Any thread. Cannot fail: done() says what happened, never before this returns on the op's own loop. */
void object_submit(struct object_store *s, struct object_op *op);
/* Ask for an end of @op, which was submitted and whose done() has not run: only on its reply_loop. done() still runs, mostly with
 * OBJECT_CANCELLED; with another result when the end was near. Whether a put was carried out is not known then. */
void object_cancel(struct object_store *s, struct object_op *op);

/* What a store has done since its start. Any thread. */
struct object_stats {
        uint64_t requests, retries, hedges, hedges_won, sent_bytes, received_bytes;
        uint64_t working, waiting; /* ops now */
};
void object_store_stats(struct object_store *s, struct object_stats *ret_stats);
