/* Reading a snapshot back: every chunk is checked before anything of it is believed, then the records are applied to the
 * empty image as those of a log would be. Pure but for snapshot_load(). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "meta/builder.h"
#include "quorum/snapshot_internal.h"
#include "sys/file.h"

struct decoding {
        struct snapshot_id id;
        char *why;
        size_t why_size;
};

PRINTF_LIKE(3, 4)
static int refuse(struct decoding *d, int outcome, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(d->why, d->why_size, fmt, ap);
        va_end(ap);
        return outcome;
}

int snapshot_chunk_check(struct span chunk, uint32_t number, bool *ret_is_last)
{
        struct cursor c = cursor_of(chunk);
        uint32_t crc = cursor_be32(&c), at = cursor_be32(&c), len = cursor_be32(&c), last = cursor_be32(&c);

        if (!cursor_ok(&c) || chunk.len > SNAPSHOT_CHUNK_LEN || len != cursor_left(&c) || at != number || last > 1 ||
            (!last && chunk.len != SNAPSHOT_CHUNK_LEN) || crc32c(0, chunk.data + 4, chunk.len - 4) != crc)
                return SNAPSHOT_E_DAMAGED;
        *ret_is_last = last;
        return 0;
}

/* The payloads of all chunks, one after the other. */
static int join(struct decoding *d, struct span file, uint8_t *ret_stream, size_t *ret_len)
{
        uint32_t number = 0;
        bool is_last = false;
        size_t pos = 0, len = 0;

        while (pos < file.len && !is_last) {
                size_t n = MIN2(file.len - pos, (size_t)SNAPSHOT_CHUNK_LEN);

                if (snapshot_chunk_check(span_of(file.data + pos, n), number, &is_last))
                        return refuse(d, SNAPSHOT_E_DAMAGED, "chunk %u is damaged", number);
                memcpy(ret_stream + len, file.data + pos + SNAPSHOT_CHUNK_HEAD_LEN, n - SNAPSHOT_CHUNK_HEAD_LEN);
                len += n - SNAPSHOT_CHUNK_HEAD_LEN;
                pos += n;
                number++;
        }
        if (!is_last || pos != file.len)
                return refuse(d, SNAPSHOT_E_DAMAGED, "it has no end");
        *ret_len = len;
        return 0;
}

static int read_head(struct decoding *d, struct cursor *c, struct snapshot_voters *ret_voters)
{
        const uint8_t *magic = cursor_take(c, 8);
        uint16_t format = cursor_be16(c);
        struct snapshot_id id;
        uint32_t len;

        cursor_be16(c);
        id.term = cursor_be32s(c);
        id.index = cursor_be64s(c);
        ret_voters->index = cursor_be64s(c);
        len = cursor_be32(c);
        if (!cursor_ok(c) || memcmp(magic, SNAPSHOT_MAGIC, 8))
                return refuse(d, SNAPSHOT_E_DAMAGED, "it is no snapshot");
        if (format != SNAPSHOT_FORMAT)
                return refuse(d, SNAPSHOT_E_FOREIGN, "it has format %u; this program knows %u", format,
                              SNAPSHOT_FORMAT);
        ret_voters->payload = span_of(cursor_take(c, len), len);
        if (!cursor_ok(c) || len > SNAPSHOT_VOTERS_LEN_MAX || ret_voters->index < 0 || ret_voters->index > id.index)
                return refuse(d, SNAPSHOT_E_DAMAGED, "its head is damaged");
        if (!snapshot_id_equal(id, d->id))
                return refuse(d, SNAPSHOT_E_DAMAGED, "it is of index %lld term %d", (long long)id.index, id.term);
        return 0;
}

static int apply_records(struct decoding *d, struct meta_builder *b, struct cursor *c)
{
        CLEANUP(arena_finip) struct arena mem;
        struct meta_record rec;
        int r;

        arena_init(&mem, 0);
        for (;;) {
                r = meta_record_read(c, &mem, &rec);
                if (r == META_END)
                        return 0;
                if (r == META_E_UNKNOWN)
                        return refuse(d, SNAPSHOT_E_FOREIGN, "it has a record that only a newer program knows");
                if (r > 0)
                        return refuse(d, SNAPSHOT_E_DAMAGED, "a record is malformed");
                if (!r)
                        r = meta_builder_apply(b, &rec, d->id.index);
                if (r > 0)
                        return refuse(d, SNAPSHOT_E_DAMAGED, "a record cannot be applied: %s", b->why);
                if (r)
                        return r;
                if (mem.used > 1 << 16) /* what was applied has been copied */
                        arena_fini(&mem);
        }
}

int snapshot_decode(struct span file, struct snapshot_id id, struct meta_image **ret_image,
                    struct snapshot_voters *ret_voters, uint8_t **ret_mem, char *why, size_t why_size)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        CLEANUP(freep) uint8_t *stream = malloc(file.len + 1);
        struct decoding d = { id, why, why_size };
        struct snapshot_voters voters;
        struct meta_builder b;
        struct cursor c;
        size_t len = 0;
        int r;

        if (!empty || !stream)
                return -ENOMEM;
        r = join(&d, file, stream, &len);
        if (r)
                return r;
        c = cursor_of(span_of(stream, len));
        r = read_head(&d, &c, &voters);
        if (r)
                return r;
        r = meta_builder_init(&b, empty);
        if (r)
                return r;
        r = apply_records(&d, &b, &c);
        if (!r) {
                *ret_image = meta_builder_finish(&b, id.index, id.term);
                *ret_voters = voters;
                *ret_mem = TAKE_PTR(stream);
        }
        meta_builder_fini(&b);
        return r;
}

int snapshot_load(const char *dir, struct snapshot_id id, struct meta_image **ret_image,
                  struct snapshot_voters *ret_voters, uint8_t **ret_mem, char *why, size_t why_size)
{
        char path[SNAPSHOT_PATH_SIZE];
        CLEANUP(freep) char *data = NULL;
        size_t len;
        int r;

        snapshot_path(dir, id, false, path);
        r = file_read_whole(path, (size_t)SNAPSHOT_CHUNKS_MAX * SNAPSHOT_CHUNK_LEN, &data, &len);
        if (r) {
                snprintf(why, why_size, "it cannot be read: %s", strerror(-r));
                return r;
        }
        r = snapshot_decode(span_of(data, len), id, ret_image, ret_voters, ret_mem, why, why_size);
        if (r < 0)
                snprintf(why, why_size, "it cannot be loaded: %s", strerror(-r));
        return r;
}
