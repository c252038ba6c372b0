/* What clients did and saw, and what must not be among it. Pure but for the way a violation is told.
 *
 * A stream is what one producer writes to one partition: records numbered from 0. Each record says which it is, so that a reader
 * knows what it has before it. Promises depend on the topic (enum promise) and on how the stream is written. */
#pragma once

#include "base/span.h"

enum {
        HISTORY_TOPICS_MAX = 16,
        HISTORY_PARTITIONS_MAX = 8,
        HISTORY_STREAMS_MAX = 4096,
        HISTORY_KEYS = 24,
        HISTORY_NODES_MAX = 8
};

enum promise {
        PROMISE_SAFE,    /* what is acknowledged stays, byte for byte, at its offset */
        PROMISE_RELAXED, /* the same until a machine loses its power or its disk fails: history_loss() */
        PROMISE_NEWEST,  /* compacted: of each key the newest; what else is there is where it was */
        PROMISE_RECENT,  /* with retention: the same as SAFE from the log's start on, which moves on */
        PROMISE_STRICT,  /* as SAFE, where an acknowledgement needs two replicas */
        PROMISE_TRIMMED, /* as SAFE, from where clients have asked to delete records below */
        PROMISE_LEDGER,  /* as SAFE, written in transactions: ledger.h */
};

struct history_ends {
        int64_t high, start; /* -1: not told */
        int64_t trimmed;     /* start that DeleteRecords was answered with; a node's own */
};

struct history_part {
        struct history_topic *topic;
        int32_t index;
        unsigned number; /* over all topics */
        /* By offset: stream + 1 and number of the record; 0: not known. */
        struct history_record {
                uint32_t stream, number;
        } * records;
        int64_t records_count, records_room;
        uint8_t *present;                            /* by offset, while everything is read at the end */
        struct history_ends ends[HISTORY_NODES_MAX]; /* highest that each node's process told */
        uint64_t acked, seen;
        int64_t trim_asked,
                trim_acked; /* TRIMMED: above the first nothing may be gone, below the second it was told to be */
};

struct history_topic {
        char name[32];
        enum promise promise;
        int32_t parts_count;
        struct history_part parts[HISTORY_PARTITIONS_MAX];
};

struct history_stream {
        uint32_t number;
        struct history_part *part;
        bool once; /* idempotent: each record is there once, and in order */
        uint32_t sent;
        int64_t *offsets; /* by number; -1: not known */
        bool *acked;
        uint32_t room;
};

extern struct history_topic history_topics[HISTORY_TOPICS_MAX];
extern unsigned history_topics_count;

/* How a violation is told; the default is world_fail(). May return in a test of this. */
extern void (*history_violated)(const char *text);

void history_reset(void);
struct history_topic *history_topic_new(const char *name, enum promise promise, int32_t parts_count);
struct history_stream *history_stream_new(struct history_part *p, bool once);

/* Bytes of record @number of @s, 12 to 300. @buf: 300 bytes. The key of it is one of HISTORY_KEYS words. */
size_t history_value(const struct history_stream *s, uint32_t number, uint8_t *buf);
uint32_t history_key(const struct history_stream *s, uint32_t number);

/* The next @count records of @s are on their way. Return: the first one's number. */
uint32_t history_send(struct history_stream *s, uint32_t count);
/* They were acknowledged, the first at @offset (-1: not told). */
void history_ack(struct history_stream *s, uint32_t first, uint32_t count, int64_t offset);
/* A reader got this record. */
void history_see(struct history_part *p, int64_t offset, struct span key, struct span value);
/* A node told a client the partition's high watermark and log start. @before: what it had told when the client asked, since
 * answers may overtake each other. A leader that is new may have to find out what its predecessor told, so each node is
 * compared with itself only. @node -1: a process that may have ended since; nobody is held to it. */
void history_watermark(struct history_part *p, int node, struct history_ends before, struct history_ends ends);
/* Does nothing of the topic ever go away? */
static inline bool history_keeps_all(const struct history_topic *t)
{
        return t->promise == PROMISE_SAFE || t->promise == PROMISE_STRICT || t->promise == PROMISE_NEWEST;
}
/* TRIMMED: a client asks that all below @offset be deleted; @node says that the log begins at @start now. While its process lives
 * (of a node alone: ever) it never says less again. A new leader may not have heard of it yet. */
void history_trim(struct history_part *p, int64_t offset);
void history_trimmed(struct history_part *p, int node, int64_t start);
/* The process of this node has ended. */
void history_node_ended(int node);
/* What is not promised to survive may be lost: RELAXED partitions know nothing any more. */
void history_loss(void);
/* While it is unsure what may be lost nothing is noted of RELAXED partitions. Nests; history_loss() when it ends. */
void history_unsure(bool begins);
/* What was asked for when there had been @losses is answered. True: it may tell of records of @p that are lost by now. */
bool history_is_stale(const struct history_part *p, uint64_t losses);

/* At the end: everything there is of @p is given to history_see() between these two. @start, @end: of the log. */
void history_read_begin(struct history_part *p);
void history_read_end(struct history_part *p, int64_t start, int64_t end);

/* ---- committed offsets of one group and partition ---- */

struct history_commit {
        int64_t acked; /* highest that was acknowledged; -1: none */
        int64_t tried; /* highest that was sent */
};

static inline struct history_commit history_commit_none(void)
{
        return (struct history_commit){ -1, -1 };
}
/* A fetch of committed offsets that began when @acked was acknowledged says @offset (-1: none). */
void history_committed(const struct history_commit *c, int64_t acked, int64_t offset, const char *what);

/* ---- for the report ---- */

struct history_counts {
        uint64_t sent, acked, seen, streams, losses;
};
extern struct history_counts history_counts;
