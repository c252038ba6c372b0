/* Incremental fetch sessions (KIP-227): what a consumer wants is remembered, so that a request carries only changes and
 * a response only partitions with news. Pure but for its lock: no I/O, time is given.
 *
 * A session belongs to the whole node, not to a connection. The cache holds a bounded number of sessions and of
 * partitions over all of them; who finds no room simply gets full responses. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/uuid.h"

struct fetch_sessions;
struct fetch_session;

enum {
        FETCH_SESSION_OK,
        FETCH_SESSION_E_NOT_FOUND, /* no such session: evicted, or another node's */
        FETCH_SESSION_E_EPOCH,     /* not the epoch that comes next; the session stays */
        FETCH_SESSION_E_TOPIC_ID,  /* a session by topic ids was asked by names, or the other way round */
};

/* A topic as the client names it: by id from version 13 on, by name before. */
struct fetch_topic_ref {
        struct uuid id;
        struct str name; /* null when by id */
};

/* One partition that a client wants, and what the answer to it was. */
struct fetch_item {
        struct fetch_topic_ref topic;
        int32_t index;
        int32_t current_leader_epoch; /* -1: no check */
        int64_t fetch_offset;
        int32_t last_fetched_epoch; /* -1: none */
        int32_t max_bytes;
        /* Filled by the fetch: */
        int16_t error; /* Kafka's code */
        int64_t high_watermark, stable_offset, start_offset;
        int32_t diverging_epoch; /* -1: none */
        int64_t diverging_end_offset;
        size_t records_len;
        bool elsewhere; /* the client is told of another node to read from */
        void *work;     /* the fetch's own */
        bool include;   /* set by fetch_session_finish(): the response holds this partition */
};

struct fetch_forget {
        struct fetch_topic_ref topic;
        int32_t index;
};

struct fetch_session_request {
        int32_t session_id, epoch; /* as in the request: epoch 0 starts anew, -1 ends */
        bool by_id;
        const struct fetch_item *items; /* what the request names */
        size_t items_count;
        const struct fetch_forget *forgets;
        size_t forgets_count;
};

struct fetch_plan {
        struct fetch_item *items; /* all that is to be read, in serving order; in the arena */
        size_t items_count;
        bool incremental;
        bool may_create; /* the client asked for a new session */
        bool by_id;
        struct fetch_session *session; /* held until fetch_session_finish() */
};

/* @slots: most sessions; @partitions_max: most partitions over all sessions. */
int fetch_sessions_new(unsigned slots, size_t partitions_max, struct fetch_sessions **ret_sessions);
struct fetch_sessions *fetch_sessions_free(struct fetch_sessions *s);

/* Decide what a request asks for. Outcomes above; -ENOMEM. On an outcome nothing is held. */
int fetch_session_begin(struct fetch_sessions *s, const struct fetch_session_request *rq, struct arena *a,
                        int64_t now_ms, struct fetch_plan *ret_plan);

/* The items are filled: choose which ones the response holds, remember, make the session when one is wanted and there
 * is room. Return: the session id for the response (0: none). Ends the plan. */
int32_t fetch_session_finish(struct fetch_sessions *s, struct fetch_plan *plan, int64_t now_ms);
/* The request will not be answered: end the plan without remembering anything. */
void fetch_session_abandon(struct fetch_sessions *s, struct fetch_plan *plan);

/* Sessions that are held now. Any thread. */
unsigned fetch_sessions_count(struct fetch_sessions *s);
