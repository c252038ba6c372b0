/* One HTTP exchange, by libcurl on a loop. Everything here belongs to that loop's thread. */
#pragma once

#include <curl/curl.h>

#include "object/answer.h"
#include "object/rate.h"
#include "object/request.h"
#include "sys/loop.h"

struct object_http {
        struct loop *loop;
        CURLM *multi;
        struct loop_timer timer;  /* libcurl's */
        struct loop_timer resume; /* of transfers that wait for their share of the bandwidth */
        struct object_rate up, down;
        struct ilist transfers;
        const char *ca_file; /* NULL: the system's */
        int connect_timeout_ms, stall_timeout_ms;
        uint64_t sent_bytes, received_bytes;
};

/* @connections_max: kept open when idle. Return: 0; -ENOMEM. */
int object_http_init(struct object_http *h, struct loop *loop, const struct object_config *c);
/* No transfer is left. */
void object_http_fini(struct object_http *h);

struct object_transfer {
        struct ilist link;
        struct object_http *h;
        CURL *easy;
        struct curl_slist *headers;
        char *url;
        struct object_request rq; /* taken */
        size_t sent;
        /* A good answer's bytes go to @sink if there is one, else, and those of a bad answer, to @body. */
        uint8_t *sink;
        size_t sink_size, sink_len;
        struct strbuf body;
        size_t body_max;
        bool overflow; /* more came than there is room for */
        bool waits;    /* for bandwidth */
        struct object_answer answer;
        char error[CURL_ERROR_SIZE];
        /* Runs once, unless the transfer is freed before. */
        void (*done)(struct object_transfer *t, CURLcode result);
        void *owner;
};

/* Start. @rq is taken, whether this succeeds or not; what it borrows must stay until the end. @timeout_ms: of all of it; 0: none.
 * @sink may be NULL. done() is never called from inside. Return: 0; -ENOMEM. */
int object_transfer_start(struct object_http *h, struct object_request *rq, int64_t timeout_ms, void *sink,
                          size_t sink_size, size_t body_max, void (*done)(struct object_transfer *t, CURLcode result),
                          void *owner, struct object_transfer **ret_transfer);
/* Stop it if it still runs, and free. Not from inside libcurl's callbacks; done() may. NULL is fine. Returns NULL. */
struct object_transfer *object_transfer_free(struct object_transfer *t);

/* What it means that no whole answer came. @where: the origin. */
void object_transfer_judge(const struct object_transfer *t, CURLcode result, struct object_verdict *ret_verdict);
