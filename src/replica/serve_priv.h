/* serve.c and serve_answer.c share this. */
#pragma once

#include <pthread.h>

#include "replica/partition_replica.h"
#include "replica/peer_replica.h"
#include "replica/replica_fetch.h"
#include "replica/serve.h"

struct session;

/* A partition that a follower asked for. */
struct wanted {
        struct partition_watch watch;
        struct session *session;
        struct partition *partition; /* held; NULL: not known here */
        int32_t slot;
        struct partition_fetch at; /* the follower's position */
        /* The session's lock: */
        struct ilist news_link;
        unsigned news;
        /* The reactor's: */
        struct ilist ready_link; /* to be looked at for the next answer */
        bool hungry;             /* a position was named since it was answered */
        bool tell;               /* the watermark, or what is below, is to be told */
        bool isr_moved;          /* since the follower was last heard of */
        enum replica_fetch_error error;
        struct partition_fetch_answer answer;
        int64_t told_watermark, told_start;
        struct plog_slice slice; /* what the pool found at the position; len 0: nothing */
};

enum {
        COLD_MAX = 16, /* partitions that one job reads */
        /* Bytes of one partition in one answer, so that others have their turn; and one append at the follower. */
        SERVE_PARTITION_LEN_MAX = 1 << 20,
};

/* A read that needs the disk, with all that it needs: the session goes on meanwhile. */
struct cold_read {
        struct partition *partition;
        int32_t slot;
        int64_t offset;
        struct plog_slice slice;
};

struct session {
        struct serve *serve;
        struct session *next; /* of the connection */
        int32_t node;
        int16_t fetcher;
        int32_t id, sequence; /* sequence: the next message's */
        struct loop *loop;
        struct wanted **wanted; /* by slot; NULL: none */
        int32_t wanted_size;
        struct ilist ready;
        struct peer_request *parked; /* NULL: none */
        int64_t parked_until_ms;
        int64_t watermark_at_ms; /* a watermark alone is told then; INT64_MAX: none waits */
        size_t parked_max;
        struct loop_timer timer;
        struct io_job job; /* cold reads */
        struct cold_read reads[COLD_MAX];
        unsigned reads_count;
        bool job_runs, gone;
        bool isr_moved; /* of some that are wanted */

        pthread_mutex_t lock; /* guards the news, and that its mail is posted once */
        struct ilist news;
        struct mail mail;
        bool mail_posted;
};

/* ---- serve.c ---- */

/* Of an outcome of partition_replica_fetch(), partition_check_replica() or plog_read(). */
enum replica_fetch_error serve_error_of(int outcome);
/* Ask the partition about the follower's position, noting it there, and note the outcome in @w. */
void wanted_ask(struct wanted *w);
/* Have it looked at for the next answer. */
void wanted_ready(struct wanted *w);
/* It is still this leader epoch's. */
bool wanted_is_current(struct wanted *w);
/* Read it on the pool; when there is no room for it now, it stays as it is. */
void wanted_read_cold(struct wanted *w);

/* ---- serve_answer.c ---- */

/* Answer the parked request if there is something to say, or @must. */
void session_answer(struct session *s, bool must);
/* Answer a report: what is to be said of the partitions that it names. */
void session_answer_report(struct session *s, struct peer_request *rq, const struct replica_fetch_request *req);
/* Answer with an error of the whole. */
void serve_answer_error(struct peer_request *rq, enum replica_fetch_error error);

/* ---- serve_read.c ---- */

/* Return: as peer_hub_register(). */
int serve_read_register(struct serve *s, struct peer_hub *hub);
