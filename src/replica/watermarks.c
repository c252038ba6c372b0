/* High watermarks in a file; see watermarks.h and FORMAT.md. */
#include "replica/watermarks.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#define HASH_NONFATAL_OOM 1 /* what could not be added has no hh.tbl; else uthash ends the process */
#include "base/hash.h"
#include "sys/diag.h"
#include "sys/file.h"

enum {
        MAGIC = 0x43484857, /* "CHHW" */
        VERSION = 1,
        FILE_LEN_MAX = 256 << 20, /* nine million partitions */
};

struct disk_header {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        uint32_t count;
        uint32_t crc; /* of the entries */
};

enum { HEADER_LEN = sizeof(struct disk_header) };

struct disk_entry {
        uint8_t topic_id[16];
        uint32_t index;
        uint32_t zero;
        uint64_t high_watermark;
};
static_assert(sizeof(struct disk_header) == 16 && sizeof(struct disk_entry) == 32, "as FORMAT.md says");

struct key {
        struct uuid topic_id;
        int32_t index;
};

struct entry {
        struct key key;
        int64_t high_watermark;
        UT_hash_handle hh;
};

struct watermarks {
        struct entry *by_key;
        size_t count;
        struct entry entries[];
};

/* ---- reading ---- */

static struct key key_of(struct uuid topic_id, int32_t index)
{
        struct key key;

        memset(&key, 0, sizeof key);
        key.topic_id = topic_id;
        key.index = index;
        return key;
}

static bool header_fits(const struct disk_header *h, struct span data)
{
        size_t len = data.len - sizeof *h;

        return be32toh(h->magic) == MAGIC && be16toh(h->version) == VERSION &&
               be16toh(h->entry_len) == sizeof(struct disk_entry) &&
               len == (uint64_t)be32toh(h->count) * sizeof(struct disk_entry) &&
               be32toh(h->crc) == crc32c(0, data.data + sizeof *h, len);
}

static struct watermarks *with_room(size_t count)
{
        return calloc(1, sizeof(struct watermarks) + count * sizeof(struct entry));
}

int watermarks_decode(struct span data, struct watermarks **ret_watermarks)
{
        struct disk_header h;
        struct watermarks *w;
        size_t count;

        if (data.len < sizeof h)
                return -EUCLEAN;
        memcpy(&h, data.data, sizeof h);
        if (!header_fits(&h, data))
                return -EUCLEAN;
        count = be32toh(h.count);
        w = with_room(count);
        if (!w)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                struct entry *e = &w->entries[w->count], *found;
                struct disk_entry d;
                struct uuid topic_id;

                memcpy(&d, data.data + sizeof h + i * sizeof d, sizeof d);
                memcpy(topic_id.b, d.topic_id, sizeof topic_id.b);
                e->key = key_of(topic_id, (int32_t)be32toh(d.index));
                e->high_watermark = (int64_t)be64toh(d.high_watermark);
                HASH_FIND(hh, w->by_key, &e->key, sizeof e->key, found);
                if (found || e->high_watermark < 0)
                        continue;
                HASH_ADD(hh, w->by_key, key, sizeof e->key, e);
                if (!e->hh.tbl) {
                        watermarks_free(w);
                        return -ENOMEM;
                }
                w->count++;
        }
        *ret_watermarks = w;
        return 0;
}

int watermarks_load(const char *path, struct watermarks **ret_watermarks)
{
        CLEANUP(freep) char *data = NULL;
        size_t len = 0;
        int r = file_read_whole(path, FILE_LEN_MAX, &data, &len);

        if (!r)
                r = watermarks_decode(span_of(data, len), ret_watermarks);
        if (!r || r == -ENOMEM)
                return r;
        if (r != -ENOENT)
                diag(DIAG_NOTICE, "%s: %s: high watermarks are found again from the replicas", path, strerror(-r));
        *ret_watermarks = with_room(0);
        return *ret_watermarks ? 0 : -ENOMEM;
}

struct watermarks *watermarks_free(struct watermarks *w)
{
        if (w)
                HASH_CLEAR(hh, w->by_key);
        free(w);
        return NULL;
}

int64_t watermarks_find(const struct watermarks *w, struct uuid topic_id, int32_t index)
{
        struct key key = key_of(topic_id, index);
        struct entry *e = NULL;

        if (w)
                HASH_FIND(hh, w->by_key, &key, sizeof key, e);
        return e ? e->high_watermark : 0;
}

size_t watermarks_count(const struct watermarks *w)
{
        return w->count;
}

/* ---- writing ---- */

struct content {
        uint8_t *data; /* header, entries */
        size_t count, size;
};

static int add(void *arg, struct partition *p)
{
        struct content *c = arg;
        struct uuid topic_id = partition_topic_id(p);
        struct partition_view view;
        struct disk_entry d;

        partition_view(p, &view);
        if (view.closed)
                return 0;
        if (c->count == c->size) {
                size_t size = c->size ? c->size * 2 : 128;
                uint8_t *data = realloc(c->data, sizeof(struct disk_header) + size * sizeof d);

                if (!data)
                        return -ENOMEM;
                c->data = data;
                c->size = size;
        }
        d = (struct disk_entry){ .index = htobe32((uint32_t)partition_index(p)),
                                 .high_watermark = htobe64((uint64_t)view.high_watermark) };
        memcpy(d.topic_id, topic_id.b, sizeof d.topic_id);
        memcpy(c->data + sizeof(struct disk_header) + c->count++ * sizeof d, &d, sizeof d);
        return 0;
}

int watermarks_save(const char *path, struct partition_table *t)
{
        struct content c = { .data = malloc(HEADER_LEN) };
        struct disk_header h;
        size_t len;
        int r = c.data ? partition_table_visit(t, add, &c) : -ENOMEM;

        len = c.count * sizeof(struct disk_entry);
        if (!r) {
                h = (struct disk_header){ .magic = htobe32(MAGIC),
                                          .version = htobe16(VERSION),
                                          .entry_len = htobe16(sizeof(struct disk_entry)),
                                          .count = htobe32((uint32_t)c.count),
                                          .crc = htobe32(crc32c(0, c.data + sizeof h, len)) };
                memcpy(c.data, &h, sizeof h);
                r = file_replace(path, span_of(c.data, sizeof h + len));
        }
        free(c.data);
        return r;
}
