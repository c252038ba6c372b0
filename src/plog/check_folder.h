/* Checking logs of a node that does not run: by path, without opening or changing anything. For chronik-ctl. Blocks. */
#pragma once

#include "plog/plog.h"

struct plog_folder_result {
        int64_t start_offset, end_offset; /* what is known to have been on stable storage */
        int64_t bytes, batches;
        unsigned indexes_wrong; /* built again when the node needs them */
        int64_t tail_bytes;     /* behind that which are no whole batch: the next start cuts them off */
        struct plog_damaged_range *damaged;
        size_t damaged_count;
};

/* @progress is called with the bytes that were read since the last call; it may wait, so that a rate is kept. */
struct plog_folder_args {
        const char *dir; /* of one log */
        void (*progress)(void *arg, int64_t bytes);
        void *arg;
};

enum {
        PLOG_FOLDER_OK,
        PLOG_FOLDER_E_FOREIGN, /* no log of this format version */
        PLOG_FOLDER_E_SWAP,    /* compaction was putting segments in place: the node must start and stop once */
};

/* Check one log as plog/scrub.h does. What is missing is among the damaged ranges.
 * Return: PLOG_FOLDER_OK with @ret (free its damaged); PLOG_FOLDER_E_*; negative errno. */
int plog_check_folder(const struct plog_folder_args *args, struct plog_folder_result *ret);

/* Keep a node from starting in the store at @dir (DATA/log) until file_close() of the result.
 * Return: descriptor; -EWOULDBLOCK: a node runs there; -ENOENT: there is none; negative errno. */
int plog_folder_lock(const char *dir);
/* Call @fn for the name of every folder of a log in the store at @dir, sorted; a non-zero return of @fn ends it and is returned. */
int plog_folder_list(const char *dir, int (*fn)(void *arg, const char *name), void *arg);
