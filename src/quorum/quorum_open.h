/* What quorum_open.c and quorum_open_log.c share. */
#pragma once

#include "quorum/quorum_internal.h"

struct quorum_opening {
        struct quorum *q;
        struct snapshot_id snapshot; /* the newest; index 0: none */
        int32_t snapshot_log_term;   /* of the log's entry at its index; -1: not there */
        int32_t stored_log_term;     /* the same of the store's index */
        char *why;
        size_t why_size;
        char path[4096];
};

/* Say why, for the operator. Return: @result. */
PRINTF_LIKE(3, 4) int quorum_open_refuse(struct quorum_opening *o, int result, const char *fmt, ...);
/* Where @name lies in the folder; valid until the next call. */
const char *quorum_open_path(struct quorum_opening *o, const char *name);

/* In this order; each returns as quorum_open(). @is_new: the folder has never been used. */
int quorum_open_snapshots(struct quorum_opening *o);
int quorum_open_log(struct quorum_opening *o, bool is_new);
int quorum_open_voters(struct quorum_opening *o);
