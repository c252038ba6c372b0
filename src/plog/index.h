/* Sparse index of one segment: offset -> position and time -> position in one list, one entry per so many bytes.
 * The first entries are in a file, the last few in memory until there are enough of them to write; any subset of
 * entries is a correct index, so that losing some costs speed only.
 *
 * Not thread safe by itself: the log's lock guards it. The file's part never changes below filed_count, so a search in
 * it (index_search_file()) needs no lock. */
#pragma once

#include "plog/files.h"
#include "plog/format.h"

enum { INDEX_TAIL_MAX = 128, INDEX_ENTRIES_MAX = 1 << 20 };

struct index_entry {
        uint32_t rel_offset, pos;
        int64_t max_before; /* largest timestamp of the batches before pos */
};

struct index {
        struct plog_pin *file; /* made when the first entries are written */
        uint32_t filed_count, filed_crc;
        uint32_t tail_count, tail_size;
        struct index_entry *tail;
};

enum index_by { INDEX_BY_OFFSET, INDEX_BY_POS, INDEX_BY_TIME };

/* What was asked for: by offset and position the last entry not above @value, by time the last one with everything
 * before it older than @value: a walk from there misses nothing. */
struct index_key {
        enum index_by by;
        int64_t value; /* offset relative to the segment's base; position; timestamp */
};

struct index_footer {
        uint32_t count;
        int64_t size, next_offset, max_timestamp, max_timestamp_offset, first_timestamp;
        uint32_t entries_crc;
        bool aborted; /* aborted transactions end in the segment: there is a .txn file */
};

void index_fini(struct index *ix);
/* No more entries fit into memory: index_spill() is due. */
bool index_is_full(const struct index *ix);
/* Note an entry. Cannot fail: what cannot be kept is thinned out. */
void index_add(struct index *ix, const struct index_entry *e);
/* Write what is in memory behind what is in the file, @path. Return: 0 or negative errno (nothing lost). */
int index_spill(struct index *ix, struct files *files, const char *path);
/* Spill and close the file with a footer. */
int index_seal(struct index *ix, struct files *files, const char *path, const struct index_footer *footer);
uint32_t index_count(const struct index *ix);

/* Search in memory. Return: 1 with @ret; 0 when the answer is in the file (or there is none). */
int index_search_tail(const struct index *ix, struct index_key key, struct index_entry *ret);
/* Search the first @count entries of @fd. Return: 1 with @ret; 0 none; -EAGAIN with @nowait; negative errno. */
int index_search_file(int fd, uint32_t count, struct index_key key, bool nowait, struct index_entry *ret);

/* Read and check the footer of a sealed segment's index. Return: 0, -ENOENT, -EUCLEAN, negative errno. */
int index_read_footer(int fd, struct index_footer *ret);
/* Compare the first @count entries with their CRC. Return: 0, -EUCLEAN, negative errno. */
int index_check_entries(int fd, uint32_t count, uint32_t crc);
/* The first @count entries, compared with their CRC; free(*ret). Return: 0, -EUCLEAN, negative errno. */
int index_read_entries(int fd, uint32_t count, uint32_t crc, struct index_entry **ret);
/* Keep the first @count entries only (recovery, truncation); the CRC is computed again from the file. */
int index_cut(struct index *ix, uint32_t count);
