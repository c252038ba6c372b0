/* What a partition's leader knows of its replicas, and what follows from it: the high watermark, who is in sync, and
 * which change of the ISR to ask the controller for. It knows no log, no lock and no clock; offsets and times are given.
 *
 *   committed ISR   what the metadata says
 *   maximal ISR     the committed one and what is asked for: all that may be in force, whatever became of the question.
 *                   The high watermark waits for every one of them (KIP-497)
 *   replicated end  of a replica: what it holds as the topic promises it, its durable end, or its log's end where the
 *                   topic does not flush before it acknowledges
 *
 *            insync_ask()                   insync_answered(OK | REFUSED | STALE), insync_change()
 *   NOTHING --------------> ASKED ---------------------------------------------------------------> NOTHING
 *                             ^ \--insync_answered(UNKNOWN)--> UNKNOWN
 *                             \------------insync_ask()------------/      the same question once more
 *
 * Invariants: 1. the high watermark never moves back while one leads; 2. every member of the maximal ISR holds
 * everything below it; 3. it moves only while the committed ISR has min(min.insync.replicas, replicas) members (KIP-966);
 * 4. what is asked for stays in the maximal ISR until the metadata says that it can no longer come into force.
 *
 * Thread: the caller's lock. Sources: KIP-497 (AlterPartition), KIP-841 (fenced replicas), KIP-903 (broker epochs),
 * KIP-966 (ELR, minimum in sync). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { INSYNC_REPLICAS_MAX = 32 }; /* replication.factor is no more; reassignments add to it for a while */

/* A partition's record in the metadata, as far as replication is concerned. Borrowed for the call. */
struct replica_state {
        int32_t leader; /* -1: none */
        int32_t leader_epoch;
        int32_t partition_epoch;
        const int32_t *replicas;
        int32_t replicas_count; /* 1..INSYNC_REPLICAS_MAX */
        const int32_t *isr;
        int32_t isr_count;
};

struct insync_member {
        int32_t id;
        bool in_isr;          /* committed */
        bool asked;           /* in the ISR that is asked for */
        bool failed;          /* said that its log cannot take more */
        bool damaged;         /* said that there are records it cannot serve */
        bool alive;           /* has fetched since it left the ISR, or since this epoch began */
        int64_t broker_epoch; /* of its last fetch; -1: did not fetch in this leader epoch */
        int64_t end_offset;   /* of its log; -1 likewise */
        int64_t durable_end;
        int64_t start_offset;      /* where its log begins, durably; -1: not known */
        int64_t caught_up_ms;      /* when it last had all that the leader had then */
        int64_t mark_end, mark_ms; /* the leader's end at some time since: passing it means caught up as of then */
};

enum insync_asking { INSYNC_NOTHING, INSYNC_ASKED, INSYNC_UNKNOWN };

struct insync {
        int32_t self;
        int32_t leader_epoch, partition_epoch;
        int64_t epoch_start; /* the log's end when this leader epoch began */
        int64_t high_watermark;
        bool durable;       /* the topic flushes before it acknowledges */
        int32_t min_insync; /* as configured */
        int32_t isr_count;  /* committed */
        enum insync_asking asking;
        int64_t ask_at_ms; /* not before; after a refusal */
        int32_t refusals;  /* in a row */
        uint32_t turn;     /* whose it is to be asked for alone, after a refusal */
        int32_t count;
        struct insync_member *members; /* @self is one of them */
};

/* A question to the controller: let the ISR be this. Compare-and-set on both epochs. */
struct insync_ask {
        int32_t leader_epoch, partition_epoch;
        int32_t isr_count;
        int32_t isr[INSYNC_REPLICAS_MAX];
        int64_t broker_epochs[INSYNC_REPLICAS_MAX]; /* -1: the leader itself, or not known (KIP-903) */
};

enum insync_outcome {
        INSYNC_OK,           /* in force; insync_change() tells the rest */
        INSYNC_E_STALE,      /* one of the epochs is old: the metadata will tell */
        INSYNC_E_INELIGIBLE, /* a member is fenced, stops, or was registered again: asked again later */
        INSYNC_E_UNKNOWN,    /* no answer came: it may be in force or not */
};

/* @self: this node. Nothing is led yet. */
void insync_init(struct insync *p, int32_t self);
void insync_fini(struct insync *p);
void insync_set_conf(struct insync *p, bool durable, int32_t min_insync);

/* This node leads from @s->leader_epoch on, a newer one than before, with a log that ends at @end_offset. The high
 * watermark stays: whoever was told of it relies on it. Return: 0 or -ENOMEM (nothing has changed then). */
int insync_lead(struct insync *p, const struct replica_state *s, int64_t end_offset, int64_t now_ms);
/* The metadata has another partition epoch under the same leader epoch; older ones are ignored. Return: as before. */
int insync_change(struct insync *p, const struct replica_state *s, int64_t now_ms);

/* The leader's own log. @now_ms is looked at only when others follow. */
void insync_self(struct insync *p, int64_t end_offset, int64_t durable_end, int64_t now_ms);
/* What follower @id said of its log in a fetch under our leader epoch. Return: false when it is no replica, or when its
 * broker epoch is older than one that it had (a message from before its restart): nothing is taken from it then. */
bool insync_fetched(struct insync *p, int32_t id, int64_t broker_epoch, int64_t end_offset, int64_t durable_end,
                    int64_t now_ms);
/* Where the log of replica @id begins, by the same message, or as the leader sees its own. */
void insync_begins(struct insync *p, int32_t id, int64_t start_offset);
/* Nobody who can be elected has a log that begins below it: neither one of the maximal ISR, nor one that left it while it was as
 * large as it must be. -1: that is not known. */
int64_t insync_low_start(const struct insync *p);
/* Has replica @id records that it cannot serve? Such a one is in sync only while it is needed for the minimum: it would be elected,
 * and what others have could not be read. */
void insync_damaged(struct insync *p, int32_t id, bool damaged);
/* Is there another member of the ISR that can serve everything, as far as is known? */
bool insync_has_sound(const struct insync *p);
/* Follower @id cannot go on: it leaves the ISR without waiting. A later fetch takes it back. */
bool insync_failed(struct insync *p, int32_t id, int64_t broker_epoch);

/* Move the high watermark to what every member of the maximal ISR holds. Return: true when it moved. */
bool insync_advance(struct insync *p);
/* May acks=all be taken? */
bool insync_has_min_isr(const struct insync *p);
/* How many replicas are wanted for that. */
int32_t insync_min_isr(const struct insync *p);

/* Is there a change to ask for at @now_ms? Then it is asked for (state ASKED) and *@ret_ask says what.
 * @lag_max_ms: a member that was not caught up for longer leaves. */
bool insync_ask(struct insync *p, int64_t now_ms, int64_t lag_max_ms, struct insync_ask *ret_ask);
/* The answer to @ask. */
void insync_answered(struct insync *p, const struct insync_ask *ask, enum insync_outcome outcome, int64_t now_ms);

/* The member @id, or NULL. Borrowed until the members change. */
const struct insync_member *insync_find(const struct insync *p, int32_t id);
/* What counts of a member for the high watermark; -1: nothing is known. */
static inline int64_t insync_replicated_end(const struct insync *p, const struct insync_member *m)
{
        return p->durable ? m->durable_end : m->end_offset;
}
