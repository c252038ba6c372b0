/* What the targets of plog's files share: a folder of the process's own in memory (or in /tmp), files in it, and putting
 * checksums right, which random bytes never get right by themselves. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "plog/internal.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "wire/batch.h"

static char fuzz_dir[64];

static void fuzz_dir_remove(void)
{
        (void)file_remove_tree(fuzz_dir);
}

/* FUZZ_DIAG=1 in the environment: say what is done, for looking into one input. */
static inline bool fuzz_tells(void)
{
        return getenv("FUZZ_DIAG");
}

/* The folder, made at the first call and removed at the end of the process. */
static inline const char *fuzz_dir_get(void)
{
        if (*fuzz_dir)
                return fuzz_dir;
        diag_set_level(fuzz_tells() ? DIAG_INFO : 0);
        snprintf(fuzz_dir, sizeof fuzz_dir, "%s/chronik-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(fuzz_dir))
                abort();
        atexit(fuzz_dir_remove);
        return fuzz_dir;
}

static inline void fuzz_write(const char *path, const void *data, size_t len)
{
        int fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);

        assert(fd >= 0);
        if (len)
                assert(!file_pwrite_all(fd, data, len, 0));
        file_close(fd);
}

/* Call @load with a copy of the input as it is, and with its checksums put right by @mend. */
static inline void fuzz_twice(const uint8_t *data, size_t size, void (*load)(const uint8_t *bytes, size_t len),
                              void (*mend)(uint8_t *bytes, size_t len))
{
        uint8_t *copy = calloc(1, size + 1);

        assert(copy);
        if (size)
                memcpy(copy, data, size);
        load(copy, size);
        mend(copy, size);
        load(copy, size);
        free(copy);
}

/* ---- checksums ---- */

static inline void mend_at(uint8_t *bytes, size_t len, size_t covered)
{
        if (len >= covered + 4)
                store_be32(bytes + covered, crc32c(0, bytes, covered));
}

static inline void mend_batches(uint8_t *bytes, size_t len)
{
        for (size_t pos = 0; pos + BATCH_HEADER_LEN <= len;) {
                size_t batch = (size_t)load_be32(bytes + pos + BATCH_LENGTH_AT) + BATCH_PREFIX_LEN;

                if (batch < BATCH_HEADER_LEN || batch > len - pos)
                        return;
                store_be32(bytes + pos + BATCH_CRC_AT,
                           crc32c(0, bytes + pos + BATCH_ATTRIBUTES_AT, batch - BATCH_ATTRIBUTES_AT));
                pos += batch;
        }
}

static inline void mend_index(uint8_t *bytes, size_t len)
{
        const size_t head = sizeof(struct disk_index_header), foot = sizeof(struct disk_index_footer);
        uint8_t *f = bytes + len - foot;

        if (len < head + foot)
                return;
        store_be32(f + offsetof(struct disk_index_footer, entries_crc), crc32c(0, bytes + head, len - head - foot));
        mend_at(f, foot, offsetof(struct disk_index_footer, crc));
}

static inline void mend_epochs(uint8_t *bytes, size_t len)
{
        if (len >= sizeof(struct disk_epochs_header))
                store_be32(
                        bytes + offsetof(struct disk_epochs_header, crc),
                        crc32c(0, bytes + sizeof(struct disk_epochs_header), len - sizeof(struct disk_epochs_header)));
}

static inline void mend_snapshot(uint8_t *bytes, size_t len)
{
        const bool old = len > 5 && bytes[5] == 1;
        const size_t head = old ? sizeof(struct disk_snapshot_header_1) : sizeof(struct disk_snapshot_header);
        const size_t crc =
                old ? offsetof(struct disk_snapshot_header_1, crc) : offsetof(struct disk_snapshot_header, crc);

        if (len < head)
                return;
        store_be32(bytes + crc - 4, crc32c(0, bytes + head, len - head));
        mend_at(bytes, len, crc);
}

static inline void mend_aborted(uint8_t *bytes, size_t len)
{
        const size_t head = sizeof(struct disk_aborted_header);

        if (len < head)
                return;
        store_be32(bytes + offsetof(struct disk_aborted_header, entries_crc), crc32c(0, bytes + head, len - head));
        mend_at(bytes, len, offsetof(struct disk_aborted_header, crc));
}

static inline void mend_checkpoint(uint8_t *bytes, size_t len)
{
        for (size_t at = 0; at < len; at += CHECKPOINT_SLOT_STEP)
                mend_at(bytes + at, len - at, offsetof(struct disk_checkpoint, crc));
}

static inline void mend_meta(uint8_t *bytes, size_t len)
{
        mend_at(bytes, len, offsetof(struct disk_partition_meta, crc));
}
