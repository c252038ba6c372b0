/* Who the members of the group are: what an entry of type QLOG_VOTERS says, and the file that says it for the part of the
 * log that was removed. Beside what the consensus core needs it holds addresses, and the ids of the bootstrap list that are
 * still to be added: so a group is formed once only. Bytes: FORMAT.md. */
#pragma once

#include "peer/peer.h"
#include "raft/raft.h"

struct voters_member {
        struct raft_member raft;
        char address[PEER_ADDRESS_SIZE]; /* HOST:PORT; empty: not known */
};

struct voters {
        uint32_t count;
        uint32_t expected_count;
        int32_t expected[RAFT_MEMBERS_MAX];
        struct voters_member at[RAFT_MEMBERS_MAX];
};

enum {
        VOTERS_OK,
        VOTERS_E_DAMAGED, /* also: of another format, or impossible */
        VOTERS_E_MISSING,
};

#define VOTERS_LEN_MAX (64u << 10) /* of a payload: far more than RAFT_MEMBERS_MAX addresses take */

/* ---- pure ---- */

/* Return: 0, VOTERS_E_DAMAGED or -ENOMEM. */
int voters_decode(struct span payload, struct voters *ret_voters);
/* The payload of an entry; free(*ret_payload). Return: 0 or -ENOMEM. */
int voters_encode(const struct voters *v, uint8_t **ret_payload, size_t *ret_len);
/* What the core is told. */
void voters_members(const struct voters *v, struct raft_members *ret_members);
/* NULL: not a member. */
struct voters_member *voters_find(const struct voters *v, int32_t node);
bool voters_expect(const struct voters *v, int32_t node);
/* What @next says the members are, with the addresses of @v, and of @address for @node (RAFT_NOBODY, NULL: none); nobody who
 * is a member now is expected any more. */
void voters_next(const struct voters *v, const struct raft_members *next, int32_t node, const char *address,
                 struct voters *ret_voters);

/* ---- the file; these block ---- */

/* @ret_index: of the entry that said it (0: a group that was formed). Return: 0, VOTERS_E_MISSING, VOTERS_E_DAMAGED, or
 * negative errno. */
int voters_read(const char *path, int64_t *ret_index, struct voters *ret_voters);
/* Durable when it returns 0. */
int voters_write(const char *path, int64_t index, struct span payload);
/* The bytes of the file. Pure. */
int voters_file_decode(struct span bytes, int64_t *ret_index, struct voters *ret_voters);
