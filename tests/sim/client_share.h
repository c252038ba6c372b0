/* What the files client_share*.c have in common: members of share groups (KIP-932). Nobody else includes this. */
#pragma once

#include "base/uuid.h"
#include "client.h"
#include "share_book.h"

enum { SHARE_RECORDS_MAX = 40, SHARE_NO_ANSWER = -1 };
/* Types of acknowledgements, as they are sent. */
enum { SHARE_GAP = 0, SHARE_ACCEPT, SHARE_RELEASE, SHARE_REJECT, SHARE_RENEW };
/* Epochs of members and of sessions. */
enum { SHARE_LEAVE = -1, SHARE_JOIN = 0, SHARE_CLOSE = -1, SHARE_NEW_SESSION = 0 };

struct share_group {
        const char *name;
        struct history_topic *topic;
        struct share_book *books[HISTORY_PARTITIONS_MAX];
        bool takes_more; /* members may be given whole batches, so that nobody knows how many records an answer had that was lost */
        bool is_through[HISTORY_PARTITIONS_MAX];
};

/* Records that a member was given, of one delivery. */
struct share_batch {
        int32_t part;
        int64_t first, last;
        int deliveries;
};

/* What it says of them: one type, or one for each. */
struct share_words {
        struct share_batch of;
        int8_t types[SHARE_RECORDS_MAX];
        int32_t types_count; /* 0: nothing is said */
};

struct share_member {
        struct client *client;
        struct share_group *group;
        unsigned number; /* of all members, from 1 on */
        char id[UUID_TEXT_SIZE];
        int32_t epoch;
        int coordinator; /* -1: not known */
        struct uuid topic_id;
        bool owned[HISTORY_PARTITIONS_MAX];
        int32_t sessions[NODES_MAX]; /* the next epoch of it */
        bool in_session[NODES_MAX][HISTORY_PARTITIONS_MAX];
        int64_t beat_ns;          /* when the next heartbeat is due */
        struct share_words later; /* to be said with the next fetch from there */
        int later_node;
};

/* ---- client_share.c ---- */

/* By now. */
struct share_now share_now(void);
/* There is no session at @node any more: what was given in it may be with others. */
void share_forget_session(struct share_member *m, int node);
/* An error of a whole answer of @node; SHARE_NO_ANSWER: none came. The session is given up. */
void share_session_failed(struct share_member *m, const char *what, int node, int code);

/* ---- client_share_fetch.c ---- */

/* Fetch from @node what the member has of what is led there, and say something of what comes. */
void share_fetch(struct share_member *m, int node);
/* The session ends as it should: what is left of it is for others. */
void share_close_session(struct share_member *m, int node);

/* ---- client_share_misuse.c ---- */

/* Ask @node for something that must be refused, and must change nothing: @held is with the member, and stays there. @disturbed: what had
 * befallen the cluster when the session was last known to be good. Return: false, the session was given up. */
bool share_misuse(struct share_member *m, int node, const struct share_batch *held, uint64_t disturbed);
