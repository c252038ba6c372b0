/* What a voter must not forget: who it is, the newest term it has seen and whom it voted for in it. A small file of its own,
 * replaced whole and synced before anything that depends on it leaves (Raft figure 2: "persistent state on all servers").
 * Blocks: not for loops. File: FORMAT.md. */
#pragma once

#include "base/uuid.h"

struct vote {
        int32_t node_id;       /* whose file this is */
        struct uuid directory; /* identity of the metadata folder: a replica is its id and its folder */
        int32_t term;
        int32_t voted_for; /* node id, -1: nobody in this term */
        struct uuid voted_for_directory;
};

enum {
        VOTE_OK,
        VOTE_E_MISSING,
        VOTE_E_DAMAGED, /* also: of another format */
};

#define VOTE_LEN 60

/* Pure. */
void vote_encode(const struct vote *v, uint8_t ret_bytes[VOTE_LEN]);
int vote_decode(struct span bytes, struct vote *ret_vote);

/* Blocks. Return: VOTE_OK, VOTE_E_MISSING, VOTE_E_DAMAGED or negative errno. */
int vote_read(const char *path, struct vote *ret_vote);
/* Durable when it returns 0. */
int vote_write(const char *path, const struct vote *v);
