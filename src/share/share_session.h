/* Sessions of share groups' members (KIP-932): which partitions a member fetches, so that it need not say so each time, and a number by which what
 * is under way to it is known. Pure; one thread at a time. */
#pragma once

#include "base/list.h"
#include "base/uuid.h"
#include "coord/map.h"

struct share_place {
        struct uuid topic_id;
        int32_t index;
};

enum { SHARE_EPOCH_OPEN = 0, SHARE_EPOCH_CLOSE = -1 };

struct share_session {
        struct map_node node;
        struct ilist link;          /* share_sessions.all */
        uint64_t number;            /* not 0; stays when the member opens another one */
        uint64_t connection;        /* on which it last asked */
        int32_t epoch;              /* that the next request must have */
        struct share_place *places; /* ascending */
        size_t places_count, places_size;
        size_t turn; /* the place that is fetched first next time */
        size_t group_len;
        struct str name; /* group, then member */
        char text[];
};

struct share_sessions {
        struct map by_name;
        struct ilist all;
        size_t count;
        uint64_t next_number;
};

void share_sessions_init(struct share_sessions *s, uint64_t hash_seed);
/* All sessions go. */
void share_sessions_fini(struct share_sessions *s);
/* NULL: none. */
struct share_session *share_session_find(struct share_sessions *s, struct str group, struct str member);
/* A new one, or the one that is there without its places; its next epoch is 1. NULL: no memory. */
struct share_session *share_session_open(struct share_sessions *s, struct str group, struct str member);
/* It has asked with its epoch. */
void share_session_step(struct share_session *ss);
/* Fetched from now on. Return: 0 or -ENOMEM. */
int share_session_add(struct share_session *ss, const struct share_place *place);
void share_session_remove(struct share_session *ss, const struct share_place *place);
void share_session_close(struct share_sessions *s, struct share_session *ss);
/* Has the same group another one? */
bool share_sessions_has_other(const struct share_sessions *s, const struct share_session *ss);
struct str share_session_group(const struct share_session *ss);

/* An order: as memcmp(). */
int share_place_compare(const struct share_place *a, const struct share_place *b);
