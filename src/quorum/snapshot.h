/* Snapshots: a metadata image in a file, with the voters of its moment, from which a log that was cut can be continued.
 * Immutable, named by index and term, made of chunks of 1 MiB that are checksummed each, so that another node can fetch them
 * one by one and go on where it was interrupted. Files: FORMAT.md.
 * Functions block (not for loops) but for the pure ones. */
#pragma once

#include "meta/image.h"

#define SNAPSHOT_CHUNK_LEN (1u << 20)
#define SNAPSHOT_CHUNK_HEAD_LEN 16
#define SNAPSHOT_CHUNKS_MAX 4096 /* 4 GiB: an image of some 30 million partitions; more is nothing of ours */
#define SNAPSHOT_PATH_SIZE 4096

enum {
        SNAPSHOT_OK,
        SNAPSHOT_E_DAMAGED, /* not what was written */
        SNAPSHOT_E_FOREIGN, /* of another format version, or with records that only a newer program knows */
};

/* Which one. */
struct snapshot_id {
        int64_t index; /* of the last entry whose effect it holds */
        int32_t term;  /* of that entry */
};

static inline bool snapshot_id_equal(struct snapshot_id a, struct snapshot_id b)
{
        return a.index == b.index && a.term == b.term;
}

/* What it holds beside the image. */
struct snapshot_voters {
        int64_t index;       /* of the entry that said it; 0: none did */
        struct span payload; /* of that entry */
};

/* <dir>/<index>-<term>.snap, or .part while it is received. */
void snapshot_path(const char *dir, struct snapshot_id id, bool is_part, char ret_path[SNAPSHOT_PATH_SIZE]);

/* Write @image (its index and term name it). A crash leaves the whole file under its name or none.
 * @ret_bytes: length of the file. Return: 0 or negative errno; what was written is removed then. */
int snapshot_write(const char *dir, struct meta_image *image, const struct snapshot_voters *voters, int64_t *ret_bytes);

/* Read and verify all of it, and make the image.
 * @ret_voters: its payload is in *ret_mem, which the caller frees.
 * Return: 0; an outcome above; negative errno. @why gets one line after a failure. */
int snapshot_load(const char *dir, struct snapshot_id id, struct meta_image **ret_image,
                  struct snapshot_voters *ret_voters, uint8_t **ret_mem, char *why, size_t why_size);
/* The same from the bytes of a file. Pure. */
int snapshot_decode(struct span file, struct snapshot_id id, struct meta_image **ret_image,
                    struct snapshot_voters *ret_voters, uint8_t **ret_mem, char *why, size_t why_size);

/* Is that chunk @number of a snapshot, whole? Pure. Return: 0 or SNAPSHOT_E_DAMAGED. */
int snapshot_chunk_check(struct span chunk, uint32_t number, bool *ret_is_last);
/* Read chunk @number into @buf of SNAPSHOT_CHUNK_LEN bytes, verified. Return: its length; 0 when there is none;
 * negative errno (-ENOENT: no such snapshot; -EBADMSG: damaged). */
ssize_t snapshot_chunk_read(const char *dir, struct snapshot_id id, uint32_t number, uint8_t *buf);

/* Keep chunk @number of a snapshot that is received; it was checked. */
int snapshot_part_write(const char *dir, struct snapshot_id id, uint32_t number, struct span chunk);
/* All chunks are there: make it durable and give it its name. */
int snapshot_part_end(const char *dir, struct snapshot_id id);

/* Make the folder if need be, remove what was left half received or half written, and call @fn for each snapshot, in no
 * order. A non-zero return of @fn ends it and is returned. */
int snapshot_list(const char *dir, int (*fn)(void *arg, struct snapshot_id id, int64_t bytes), void *arg);
/* Remove one; none is fine. */
int snapshot_remove(const char *dir, struct snapshot_id id);
