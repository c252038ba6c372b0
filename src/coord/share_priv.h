/* A share group (KIP-932), as the files of this state machine see it. Nobody else includes this.
 *
 * It is a consumer group (consumer_priv.h) whose partitions may have several members each: nobody waits for anybody to give something up, and
 * a member's epoch becomes the target's with its next heartbeat. All its members say names; there are no expressions, no static members and
 * no classic ones. It is Empty or Stable, and stays when it is empty, until an operator deletes it.
 *
 * And it has, for each partition, its progress: the first record that is not done, and what became of those behind it. That is told by the
 * partition's leader, who reads it when it begins to serve the group, and writes it anew whenever something is done. Two numbers fence:
 *
 *      leader epoch  the highest of those that read or wrote: an older leader does neither any more
 *      state epoch   a number by chance, another one whenever something else than a leader made the progress, or it was forgotten: a
 *                    leader that has read it before must read again */
#pragma once

#include "coord/consumer_priv.h"

struct share_progress {
        struct map_node node;
        struct ilist link; /* share_topic.parts */
        struct share_topic *topic;
        int32_t partition;
        int32_t state_epoch, leader_epoch;
        int64_t number;               /* of the last write in the state epoch */
        int64_t start;                /* COORD_SHARE_START_UNKNOWN, with no runs */
        struct coord_share_run *runs; /* ascending */
        int32_t runs_count;
        uint64_t seq; /* of its last write */
};

/* A topic in some partition of which there is progress. */
struct share_topic {
        struct map_node node;
        struct ilist link; /* share_group.topics */
        struct group *group;
        struct uuid id;
        struct ilist parts; /* never empty */
        size_t parts_count;
};

struct share_group {
        struct map by_partition; /* struct share_progress */
        struct map by_id;        /* struct share_topic */
        struct ilist topics;
};

/* ---- share_progress.c: what there is, and its records ---- */

/* NULL: no memory. */
struct share_group *share_group_new(struct group *g);
/* Without records. NULL is fine. */
void share_group_free(struct group *g, struct share_group *s);
/* Is no progress kept? */
bool share_is_blank(const struct share_group *s);
/* NULL: there is none. */
struct share_topic *share_find_topic(const struct group *g, struct uuid id);
struct share_progress *share_find(const struct group *g, struct uuid id, int32_t partition);
/* Find or add, with nothing known yet. NULL: no memory. */
struct share_progress *share_get(struct group *g, struct uuid id, int32_t partition);
/* A copy of @runs in place of its own. Return: 0 or -ENOMEM. */
int share_set_runs(struct share_progress *p, const struct coord_share_run *runs, int32_t count);
/* Let those who have read it read again. */
void share_renew(struct share_progress *p);
/* Do they ascend from @start on, each with a state that is written? */
bool share_runs_are_sound(int64_t start, const struct coord_share_run *runs, int32_t count);
/* Write it. */
void share_record(struct share_progress *p);
/* Out of memory's state; the topic goes with its last one. */
void share_drop(struct share_progress *p);
/* Likewise, with tombstones: all of a topic, all of the group, all of topics that are gone. */
void share_bury_topic(struct share_topic *t);
void share_bury_all(struct group *g);
void share_bury_gone(struct group *g, const struct meta_image *image);

/* ---- share_state.c: what leaders ask ---- */

/* The share group of that name. Return: 0; COORD_E_GROUP_NOT_FOUND; COORD_E_NOT_AVAILABLE: it is being removed. *@ret_group may be NULL then. */
int share_find_group(struct groups *gs, struct str id, struct group **ret_group);
void groups_share_read(struct groups *gs, struct coord_share_read *rq);
void groups_share_write(struct groups *gs, struct coord_share_write *rq);

/* ---- share_offsets.c: what operators ask ---- */
void groups_share_offsets(struct groups *gs, struct coord_share_offsets *rq);
void groups_share_alter(struct groups *gs, struct coord_share_offsets *rq);
void groups_share_remove(struct groups *gs, struct coord_share_remove *rq);

/* ---- share_heartbeat.c, share_describe.c ---- */
void groups_share_heartbeat(struct groups *gs, struct coord_share_heartbeat *rq);
void groups_share_describe(struct groups *gs, struct coord_share_describe *rq);

/* ---- share_replay.c ---- */

/* The progress of a group. Return: as consumer_replay(). @value null: a tombstone. */
int share_replay(struct group *g, struct arena *a, const struct records_key *key, struct span value);
