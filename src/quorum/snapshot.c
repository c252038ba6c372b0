/* See snapshot.h; layout in FORMAT.md. This file writes and keeps the files; snapshot_decode.c reads them back. */
#include "quorum/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "meta/rows.h"
#include "quorum/snapshot_internal.h"
#include "sys/file.h"

void snapshot_path(const char *dir, struct snapshot_id id, bool is_part, char ret_path[SNAPSHOT_PATH_SIZE])
{
        snprintf(ret_path, SNAPSHOT_PATH_SIZE, "%s/%020lld-%010d.%s", dir, (long long)id.index, id.term,
                 is_part ? "part" : "snap");
}

/* ---- writing ---- */

/* A chunk that fills. */
struct output {
        int fd;
        uint8_t *chunk;
        size_t len; /* of the payload in it */
        uint32_t number;
        uint8_t *record; /* one record, framed */
        size_t record_size;
};

#define CHUNK_PAYLOAD_LEN (SNAPSHOT_CHUNK_LEN - SNAPSHOT_CHUNK_HEAD_LEN)

static int put_chunk(struct output *o, bool is_last)
{
        store_be32(o->chunk + 4, o->number);
        store_be32(o->chunk + 8, (uint32_t)o->len);
        store_be32(o->chunk + 12, is_last);
        store_be32(o->chunk, crc32c(0, o->chunk + 4, o->len + SNAPSHOT_CHUNK_HEAD_LEN - 4));
        if (o->number >= SNAPSHOT_CHUNKS_MAX)
                return -EFBIG;
        return file_pwrite_all(o->fd, o->chunk, o->len + SNAPSHOT_CHUNK_HEAD_LEN,
                               (int64_t)o->number * SNAPSHOT_CHUNK_LEN);
}

static int put_bytes(struct output *o, const uint8_t *data, size_t len)
{
        while (len) {
                size_t n = MIN2(len, (size_t)CHUNK_PAYLOAD_LEN - o->len);
                int r;

                if (!n) {
                        r = put_chunk(o, false);
                        if (r)
                                return r;
                        o->number++;
                        o->len = 0;
                        continue;
                }
                memcpy(o->chunk + SNAPSHOT_CHUNK_HEAD_LEN + o->len, data, n);
                o->len += n;
                data += n;
                len -= n;
        }
        return 0;
}

static int put_record(void *arg, const struct meta_record *rec)
{
        struct output *o = arg;
        size_t len = meta_record_size(rec);
        struct writer w;

        if (len > o->record_size) {
                uint8_t *grown = realloc(o->record, len);

                if (!grown)
                        return -ENOMEM;
                o->record = grown;
                o->record_size = len;
        }
        w = writer_of(o->record, len);
        meta_record_write(rec, &w);
        return put_bytes(o, o->record, len);
}

static int put_all(struct output *o, struct meta_image *image, const struct snapshot_voters *voters)
{
        uint8_t head[SNAPSHOT_HEAD_LEN];
        struct writer w = writer_of(head, sizeof head);
        int r;

        writer_bytes(&w, SNAPSHOT_MAGIC, 8);
        writer_be16(&w, SNAPSHOT_FORMAT);
        writer_be16(&w, 0);
        writer_be32(&w, (uint32_t)image->term);
        writer_be64(&w, (uint64_t)image->index);
        writer_be64(&w, (uint64_t)voters->index);
        writer_be32(&w, (uint32_t)voters->payload.len);
        assert(writer_pos(&w) == sizeof head);
        r = put_bytes(o, head, sizeof head);
        if (!r)
                r = put_bytes(o, voters->payload.data, voters->payload.len);
        if (!r)
                r = meta_image_records(image, put_record, o);
        return r ? r : put_chunk(o, true);
}

int snapshot_write(const char *dir, struct meta_image *image, const struct snapshot_voters *voters, int64_t *ret_bytes)
{
        struct snapshot_id id = { image->index, image->term };
        struct output o = { .chunk = malloc(SNAPSHOT_CHUNK_LEN) };
        char path[SNAPSHOT_PATH_SIZE];
        int r;

        assert(voters->payload.len <= SNAPSHOT_VOTERS_LEN_MAX);
        snapshot_path(dir, id, true, path);
        r = o.chunk ? file_mkdirs(dir) : -ENOMEM;
        o.fd = r ? r : file_open(path, O_RDWR | O_CREAT | O_TRUNC);
        if (o.fd < 0) {
                free(o.chunk);
                return o.fd;
        }
        r = put_all(&o, image, voters);
        *ret_bytes = (int64_t)o.number * SNAPSHOT_CHUNK_LEN + (int64_t)o.len + SNAPSHOT_CHUNK_HEAD_LEN;
        free(o.chunk);
        free(o.record);
        file_close(o.fd);
        if (!r)
                r = snapshot_part_end(dir, id);
        if (r)
                (void)file_unlink(path); /* the failure that matters is known */
        return r;
}

/* ---- receiving ---- */

int snapshot_part_write(const char *dir, struct snapshot_id id, uint32_t number, struct span chunk)
{
        char path[SNAPSHOT_PATH_SIZE];
        int fd, r;

        if (number >= SNAPSHOT_CHUNKS_MAX)
                return -EFBIG;
        snapshot_path(dir, id, true, path);
        r = number ? 0 : file_mkdirs(dir);
        if (r)
                return r;
        fd = file_open(path, number ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC);
        if (fd < 0)
                return fd;
        r = file_pwrite_all(fd, chunk.data, chunk.len, (int64_t)number * SNAPSHOT_CHUNK_LEN);
        file_close(fd);
        return r;
}

int snapshot_part_end(const char *dir, struct snapshot_id id)
{
        char part[SNAPSHOT_PATH_SIZE], path[SNAPSHOT_PATH_SIZE];
        int fd, r;

        snapshot_path(dir, id, true, part);
        snapshot_path(dir, id, false, path);
        fd = file_open(part, O_RDWR);
        if (fd < 0)
                return fd;
        r = file_sync(fd);
        file_close(fd);
        if (!r)
                r = file_rename(part, path);
        return r ? r : file_sync_parents(dir) ?: file_sync_dir(dir);
}

/* ---- the folder ---- */

ssize_t snapshot_chunk_read(const char *dir, struct snapshot_id id, uint32_t number, uint8_t *buf)
{
        char path[SNAPSHOT_PATH_SIZE];
        bool is_last;
        ssize_t n;
        int fd;

        snapshot_path(dir, id, false, path);
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return fd;
        n = file_pread(fd, buf, SNAPSHOT_CHUNK_LEN, (int64_t)number * SNAPSHOT_CHUNK_LEN);
        file_close(fd);
        if (n > 0 && snapshot_chunk_check(span_of(buf, (size_t)n), number, &is_last))
                return -EBADMSG;
        return n;
}

struct listing {
        const char *dir;
        int (*fn)(void *arg, struct snapshot_id id, int64_t bytes);
        void *arg;
};

static int list_one(void *arg, const char *name)
{
        struct listing *l = arg;
        char path[SNAPSHOT_PATH_SIZE], again[SNAPSHOT_PATH_SIZE];
        struct snapshot_id id = { 0 };
        struct file_info info;
        long long index;
        int r;

        snprintf(path, sizeof path, "%s/%s", l->dir, name);
        if (sscanf(name, "%20lld-%10d", &index, &id.term) != 2)
                return 0; /* nothing of ours: left alone */
        id.index = index;
        snapshot_path(l->dir, id, true, again);
        if (!strcmp(path, again))
                return file_unlink(path);
        snapshot_path(l->dir, id, false, again);
        if (strcmp(path, again))
                return 0;
        r = file_info(path, &info);
        return r ? r : l->fn(l->arg, id, info.size);
}

int snapshot_list(const char *dir, int (*fn)(void *arg, struct snapshot_id id, int64_t bytes), void *arg)
{
        struct listing l = { dir, fn, arg };
        int r = file_mkdirs(dir);

        return r ? r : file_list(dir, list_one, &l);
}

int snapshot_remove(const char *dir, struct snapshot_id id)
{
        char path[SNAPSHOT_PATH_SIZE];

        snapshot_path(dir, id, false, path);
        return file_unlink(path);
}
