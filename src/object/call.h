/* One request to a store as this module thinks of it, and what providers make of it. Pure; any thread. */
#pragma once

#include "object/answer.h"
#include "object/credentials.h"
#include "object/digest.h"
#include "object/request.h"

enum object_step {
        STEP_PUT,
        STEP_GET,
        STEP_HEAD,
        STEP_LIST,
        STEP_DELETE,
        STEP_BEGIN, /* of a put in parts */
        STEP_PART,
        STEP_FINISH,
        STEP_ABORT,
};

struct object_part {
        char etag[OBJECT_ETAG_SIZE];
};

/* Borrowed, all of it. */
struct object_call {
        enum object_step step;
        struct str key;              /* of a list: the prefix */
        bool if_absent;              /* PUT, FINISH */
        const char *put_id;          /* PUT, BEGIN, PART, FINISH: names this operation, in the object's metadata */
        struct span body;            /* PUT, PART */
        const uint8_t *sha256, *md5; /* of the body */
        int64_t offset;              /* GET */
        size_t len;
        const char *etag; /* GET: only of this version; NULL or "" for any */
        unsigned list_max;
        const char *list_next;
        const char *upload;              /* PART, FINISH, ABORT */
        unsigned part;                   /* from 1 */
        const struct object_part *parts; /* FINISH */
        unsigned parts_count;
};

/* Where a bucket is. Text is owned by the store. */
struct object_place {
        const struct object_provider *provider;
        const char *origin; /* scheme, host and port: "https://bucket.s3.eu-central-1.amazonaws.com" */
        const char
                *base; /* what comes before the key in the path: "/" or "/bucket/" or "/account/container/"; encoded */
        const char *bucket, *region;
        bool bearer; /* Google: OAuth instead of HMAC */
};

/* What a provider is: names and functions. */
struct object_provider {
        const char *name;
        const char *bucket_word; /* "bucket" or "container" */
        bool begins;             /* a put in parts is begun and aborted by requests of its own */
        bool conditional_parts;  /* a put in parts can have if_absent */
        bool needs_md5; /* what is put carries its MD5, for the store to compare; S3 compares the signed SHA-256 */
        unsigned parts_max;
        /* What is needed to be allowed to, for messages: by step. */
        const char *const *permissions;
        /* Make the request and sign it. Return: 0; -ENOMEM; -E2BIG; OBJECT_BAD_CREDENTIALS. */
        int (*build)(const struct object_place *place, const struct object_call *call,
                     const struct object_credentials *cred, int64_t wall_ms, struct object_request *rq);
        /* Read the answer to STEP_LIST. */
        int (*read_list)(struct span body, struct object_op *op);
};

extern const struct object_provider object_provider_s3, object_provider_google, object_provider_azure;
