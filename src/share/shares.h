/* Share groups where the partitions are led (KIP-932): what the requests ShareFetch and ShareAcknowledge do.
 *
 * Everything of one group on this node lives on one loop and is reached by mail. A cell is one partition as one group consumes it: its state is read
 * from the group's coordinator when the first member asks, and written there before anybody is told of a change. A session is a member on
 * a connection: which partitions it fetches, and what is under way to it, which is available again when either ends.
 *
 * Sources: KIP-932, KIP-1206 (acquire mode), KIP-1222 (renewal). */
#pragma once

#include "coord/request.h"
#include "replica/table.h"
#include "share/share_part.h"
#include "share/share_session.h"
#include "sys/iopool.h"

struct shares;
struct share_call;

/* Outcomes of a request and of its rows. Those of partitions and logs (PARTITION_E_, PLOG_E_) and negative errno are passed on. */
enum {
        SHARES_OK = 0,
        SHARES_E_STATE = 300,   /* records are not under way to who acknowledges them */
        SHARES_E_INVALID,       /* what is acknowledged makes no sense */
        SHARES_E_UNKNOWN_TOPIC, /* nobody has this id */
        SHARES_E_UNKNOWN_PARTITION,
        SHARES_E_NO_GROUP,
        SHARES_E_NOT_AVAILABLE, /* the coordinator does not answer, or not yet */
        SHARES_E_DENIED,        /* the asker's word: the client may not read the topic */
        SHARES_E_NO_SESSION,
        SHARES_E_SESSION_EPOCH,
        SHARES_E_SESSIONS_FULL,
};

enum share_reset { SHARE_RESET_LATEST, SHARE_RESET_EARLIEST, SHARE_RESET_BY_TIME };

/* What a group's configuration says. */
struct share_settings {
        struct share_part_conf part;
        enum share_reset reset; /* where a group begins in a partition that it has not seen */
        int64_t reset_back_ms;  /* SHARE_RESET_BY_TIME: so long ago */
        bool may_renew;         /* members may ask for more time */
        bool read_committed;    /* records of transactions that are open or aborted are not delivered */
};

struct shares_config {
        struct loop **loops; /* borrowed for the life; the groups are spread over them */
        unsigned loops_count;
        struct iopool *pool;           /* for reads from the disk */
        struct partition_table *table; /* what is led here */
        unsigned sessions_max;         /* on this node */
        unsigned cells_max;            /* likewise */
        uint64_t hash_seed;
        /* Ask the group's coordinator, as share_link_ask(). */
        void (*ask)(void *arg, struct share_call *c);
        /* The settings of a group, as of now. Any thread. */
        struct share_settings (*settings)(void *arg, struct str group);
        /* Is there such a partition? SHARES_OK, SHARES_E_UNKNOWN_TOPIC or SHARES_E_UNKNOWN_PARTITION. Any thread. */
        int (*known)(void *arg, const struct share_place *place);
        void *arg;
};

/* Return: 0 or -ENOMEM. */
int shares_new(const struct shares_config *cfg, struct shares **ret_shares);
/* Nothing waits any more: requests are answered with what there is, now and from now on. Any thread. */
void shares_drain(struct shares *s);
/* After shares_drain(), when no request comes any more and while the loops still run: @stopped on @loop when nothing runs any more. */
void shares_stop(struct shares *s, struct loop *loop, void (*stopped)(void *arg), void *arg);
/* After that, or when nothing was ever asked. NULL is fine. Returns NULL. */
struct shares *shares_free(struct shares *s);
DEFINE_FREEP(struct shares, shares_free)

/* A connection is gone: the sessions on it end. Any thread. */
void shares_connection_closed(struct shares *s, uint64_t connection);

struct share_acquired {
        int64_t first, last;
        int16_t deliveries; /* this one included */
};

/* One partition in a request and its answer. */
struct share_row {
        struct share_place place;
        const struct share_ack_range *acks; /* ascending; the asker has seen that they make sense */
        size_t acks_count;
        int refused;   /* not 0: an outcome; nothing is done with it, and it is only told */
        bool fetches;  /* ShareFetch: it is among those that are fetched from now on */
        int ack_fault; /* SHARES_E_INVALID: what was acknowledged does not make sense; nothing else is done with @acks */
        /* Answer. */
        int outcome, ack_outcome;
        struct partition *partition; /* held until share_ask_fini(); NULL where it is not here */
        struct plog_slice slice;     /* the asker's when len is not 0 */
        struct share_acquired *acquired;
        size_t acquired_count;
        /* The shares': */
        struct share_cell *cell;
        struct share_ask *ask;
        struct ilist ack_link;
        struct ilist wait_link; /* cell.waiting */
        struct partition_wait wait;
        uint64_t ack_need;
        int64_t seen_end; /* what could be read when it was looked at last */
};

enum share_ask_kind { SHARE_FETCH, SHARE_ACKNOWLEDGE };

/* Embedded in its owner, who sets all up to @arg and keeps it, and what it points to, until done(). */
struct share_ask {
        enum share_ask_kind kind;
        struct str group, member;
        int32_t epoch;       /* of the session: 0 opens one, -1 ends it */
        uint64_t connection; /* number of the connection that it came on */
        struct share_row *rows;
        size_t rows_count;
        const struct share_place *forgets; /* not fetched any more */
        size_t forgets_count;
        bool only_renews;    /* nothing is fetched */
        bool strict;         /* no more records than records_max; else to the end of the batch */
        int64_t wait_ms;     /* for records */
        int64_t records_max; /* 1.. */
        size_t bytes_max;    /* but for the first batch */
        struct loop *reply_loop;
        void (*done)(struct share_ask *a); /* on @reply_loop, once */
        void *arg;
        /* Answer: */
        int outcome;                /* of the session; then the rows tell nothing */
        struct share_row *ret_rows; /* those of the request, then the others of the session; in @arena */
        size_t ret_rows_count;
        struct share_settings ret_settings; /* the group's, as they were then */
        struct arena arena;
        /* The shares': */
        struct shares *shares;
        struct share_shard *shard;
        struct mail mail;
        struct loop_timer timer;
        struct io_job job;
        int64_t deadline_ms, parked_at_ms;
        uint64_t number;
        size_t first_row;  /* fetched first, for fairness */
        size_t acks_left;  /* rows whose acknowledgement is not written yet */
        size_t waits_left; /* mails that will still come */
        bool has_acks, parked, in_job, late, abandoned, answered;
        struct ilist link; /* share_shard.asks */
        struct share_reading *readings;
};

/* Ask; answered once. Any thread. */
void share_ask_submit(struct shares *s, struct share_ask *a);
/* After the answer: gives back the partitions and what is left of slices. */
void share_ask_fini(struct share_ask *a);

struct shares_stats {
        uint64_t sessions, cells; /* as of now */
        uint64_t acquired, acknowledged, released, rejected, timed_out;
        uint64_t writes, writes_failed;
};
/* Any thread; not a consistent cut. */
void shares_stats(const struct shares *s, struct shares_stats *ret);
