/* What the files of the fetching side share: replicator.c the thread and its mail, replicator_ask.c questions to the
 * controller, fetcher.c the conversation with one leader, fetch_take.c what becomes of an answer. All on the replicator's
 * loop unless said otherwise. */
#pragma once

#include <pthread.h>

#define HASH_NONFATAL_OOM 1 /* what could not be added has no hh.tbl; else uthash ends the process */
#include "base/hash.h"
#include "replica/partition_replica.h"
#include "replica/peer_replica.h"
#include "replica/replica_fetch.h"
#include "replica/replicator.h"
#include "replica/serve.h"

/* A followed partition.
 *
 *   NEW, CHANGED --named in a fetch--> WAITING --records--> CHANGED
 *      ^                                  |--divergence, another start--> BUSY (a job cuts the log) --> CHANGED
 *      \------ time is over ------ LATER <+--error, no room on the disk
 *                                         \--the log failed--> FAILED */
enum follow_state { FOLLOW_CHANGED, FOLLOW_WAITING, FOLLOW_BUSY, FOLLOW_LATER, FOLLOW_FAILED };

struct follow_key {
        struct uuid topic_id;
        int32_t index;
};

enum follow_cut { CUT_TRUNCATE, CUT_RESTART, CUT_START, CUT_HEAD };

struct follow {
        UT_hash_handle hh;
        struct follow_key key;
        struct partition_watch watch;
        struct fetcher *fetcher;
        struct partition *partition; /* held */
        int32_t leader_epoch;
        int32_t slot;
        bool added;    /* the leader's session knows the slot */
        int64_t named; /* the last position in a fetch */
        bool said_damaged;
        int64_t said_start; /* where our log begins, as the leader was told; -1: it was not */
        bool gone;          /* freed when its job is done */
        enum follow_state state;
        int32_t tries;            /* in a row, that came to nothing */
        int64_t later_ms;         /* LATER: until then */
        struct ilist link;        /* fetcher.changed, fetcher.later */
        struct ilist report_link; /* fetcher.reports */
        struct ilist news_link;   /* fetcher.news, under its lock */
        struct io_job job;
        enum follow_cut cut;
        int32_t cut_epoch;
        int64_t cut_offset;
        uint8_t *head; /* CUT_HEAD: the batch to begin with; owned. Its base offset is cut_offset, */
        size_t head_len;
        int64_t head_start, head_watermark; /* and this is what the leader said beside it */
        int cut_outcome;
};

enum { FETCHES_MAX = 2, REPORTS_MAX = 2 };

struct fetch_call {
        struct peer_call call;
        struct fetcher *fetcher;
        bool busy, is_report;
};

/* The conversation with one leader. */
struct fetcher {
        struct replicator *r;
        struct ilist link; /* replicator.fetchers */
        int32_t node;
        struct follow **slots;
        int32_t slots_size, slots_next;
        int32_t *removes; /* slots to be taken back */
        int32_t removes_count, removes_size;
        unsigned follows_count;
        struct ilist changed, later, reports;
        struct fetch_call fetches[FETCHES_MAX], report_calls[REPORTS_MAX];
        int32_t session, sequence;
        bool reset; /* the session is over: a new one begins when no call is in flight */
        int64_t not_before_ms, back_off_ms;
        struct loop_timer timer;
        bool told_down; /* the operator knows that the leader does not answer */

        pthread_mutex_t lock; /* guards the news, and that its mail is posted once */
        struct ilist news;
        struct mail mail;
        bool mail_posted;
};

/* The damaged range that is mended (mend.c). */
struct mend {
        struct partition *partition; /* held; NULL: none */
        int32_t leader, leader_epoch;
        struct plog_damaged_range range;
        uint8_t *bytes; /* as the leader has them, so far */
        size_t len, size;
        int64_t next_offset;
        struct peer_call call;
        struct io_job job;
        int outcome;
        int64_t not_before_ms;
        unsigned fails;         /* in a row */
        struct follow_key last; /* that was tried last */
        int64_t last_offset;
};

struct replicator {
        struct replicator_config cfg;
        struct loop *loop;
        struct serve serve;
        struct throttle leader_throttle, follower_throttle;
        atomic_llong broker_epoch;
        struct follow *follows; /* by key */
        struct ilist fetchers;
        unsigned busy; /* calls in flight and jobs on the pool */
        struct loop_timer tick;
        bool rescan; /* news of a partition was lost for want of memory */

        struct mend mend;

        struct io_job saving; /* watermarks */
        bool saves, save_failed;
        atomic_bool opened;
        int64_t saved_ms;

        struct partition **asks; /* with a question; held */
        size_t asks_count, asks_size;
        bool ask_runs;
        struct loop_timer ask_timer;

        bool stopping;
        atomic_bool hub_stopped;
        struct mail begin_mail, stop_mail, stopped_mail; /* the stop may come before the beginning was delivered */
        struct loop *stop_loop;
        void (*stopped)(void *arg);
        void *stopped_arg;

        atomic_ullong bytes_fetched, batches_refused, fetches, truncations, restarts, following;
};

/* ---- fetcher.c ---- */

struct fetcher *fetcher_find(struct replicator *r, int32_t node); /* made when there is none; NULL: no memory */
void fetcher_free(struct fetcher *f);
/* Begin to follow. Return: 0 or -ENOMEM. */
int follow_new(struct fetcher *f, struct partition *p, int32_t leader_epoch);
/* No more of it. */
void follow_remove(struct follow *w);
/* Its position is to be named. */
void follow_changed(struct follow *w);
/* Its position is to be named in a while, the later the more often it came to nothing. */
void follow_later(struct follow *w);
/* Its position is to be named in a report, beside the fetch that waits. */
void follow_report(struct follow *w);
/* Send what there is to send. */
void fetcher_run(struct fetcher *f);
/* The session is over. */
void fetcher_reset(struct fetcher *f);

/* ---- fetch_take.c ---- */

/* What the leader said of one partition. @w waits. */
void follow_take(struct follow *w, const struct replica_fetch_response_partition *said);

/* ---- replicator_ask.c ---- */

void asks_init(struct replicator *r);
void asks_fini(struct replicator *r);
/* Its question goes with the next that are asked. */
void asks_add(struct replicator *r, struct partition *p);

/* ---- mend.c ---- */

/* Now and then: go on mending. */
void mend_look(struct replicator *r);
