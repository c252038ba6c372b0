/* See store.h; layout in FORMAT.md. Not here: when to commit (quorum/). The store remembers the image that it holds, so
 * that a commit is the difference of two images and nothing has to be noted down in between. */
#include "meta/store.h"

#include <errno.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/strbuf.h"
#include "meta/builder.h"
#include "meta/rows.h"
#include "sys/file.h"

#define STORE_MAGIC "chronik-image"
#define STORE_FORMAT 1
/* Address space, not memory; small enough that an idle node shows little, large enough for some 10,000 partitions. */
#define MAP_LEN_INITIAL (16u << 20)
#define MAP_LEN_MAX ((size_t)64 << 30)

struct meta_store {
        MDB_env *env;
        MDB_dbi dbi;
        size_t map_len;
        struct meta_image *image; /* what the store holds */
};

/* What a commit works with. */
struct put {
        MDB_txn *txn;
        MDB_dbi dbi;
        struct strbuf value;
};

static int errno_of(int mdb_rc)
{
        if (!mdb_rc)
                return 0;
        if (mdb_rc > 0)
                return -mdb_rc;
        return mdb_rc == MDB_MAP_FULL ? -EOVERFLOW : -EIO;
}

PRINTF_LIKE(3, 4)
static void say(char *why, size_t why_size, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(why, why_size, fmt, ap);
        va_end(ap);
}

/* ---- writing ---- */

static int row_remove(void *arg, struct span k)
{
        const struct put *p = arg;
        MDB_val key = { k.len, (void *)k.data };
        int rc = mdb_del(p->txn, p->dbi, &key, NULL);

        return rc == MDB_NOTFOUND ? 0 : errno_of(rc);
}

/* A row is the CRC-32C of its framed record, and that. */
static int row_put(void *arg, struct span k, const struct meta_record *rec)
{
        struct put *p = arg;
        size_t len = meta_record_size(rec);
        MDB_val key = { k.len, (void *)k.data }, value;
        struct writer w;
        char *at;

        p->value.len = 0;
        at = strbuf_reserve(&p->value, len + 4);
        if (!at)
                return -ENOMEM;
        w = writer_of(at + 4, len);
        meta_record_write(rec, &w);
        store_be32(at, crc32c(0, at + 4, len));
        value = (MDB_val){ len + 4, at };
        return errno_of(mdb_put(p->txn, p->dbi, &key, &value, 0));
}

/* The head row: magic, format, index, term, next producer id, cluster id, CRC over all before it. */
static int put_head(struct put *p, const struct meta_image *i)
{
        size_t len = sizeof STORE_MAGIC - 1 + 2 + 8 + 4 + 8 + 2 + i->cluster_id.len + 4;
        uint8_t head = META_ROW_HEAD;
        MDB_val key = { 1, &head }, value;
        struct writer w;
        char *at;

        p->value.len = 0;
        at = strbuf_reserve(&p->value, len);
        if (!at)
                return -ENOMEM;
        w = writer_of(at, len);
        writer_bytes(&w, STORE_MAGIC, sizeof STORE_MAGIC - 1);
        writer_be16(&w, STORE_FORMAT);
        writer_be64(&w, (uint64_t)i->index);
        writer_be32(&w, (uint32_t)i->term);
        writer_be64(&w, (uint64_t)i->next_producer_id);
        writer_be16(&w, (uint16_t)i->cluster_id.len);
        writer_bytes(&w, i->cluster_id.p, i->cluster_id.len);
        writer_be32(&w, crc32c(0, at, writer_pos(&w)));
        value = (MDB_val){ len, at };
        return errno_of(mdb_put(p->txn, p->dbi, &key, &value, 0));
}

/* One attempt. -EOVERFLOW: the map is too small. */
static int commit_once(struct meta_store *s, const struct meta_delta *d)
{
        struct put p = { .dbi = s->dbi };
        int r = errno_of(mdb_txn_begin(s->env, NULL, 0, &p.txn));

        if (r)
                return r;
        r = meta_rows_walk(d, &(struct meta_rows_sink){ .put = row_put, .remove = row_remove, .arg = &p });
        if (!r)
                r = put_head(&p, d->after);
        strbuf_fini(&p.value);
        if (r) {
                mdb_txn_abort(p.txn);
                return r;
        }
        return errno_of(mdb_txn_commit(p.txn)); /* syncs */
}

int meta_store_commit(struct meta_store *s, struct meta_image *image)
{
        CLEANUP(meta_delta_unrefp) struct meta_delta *d = NULL;
        int r = meta_delta_new(s->image, image, &d);

        if (r)
                return r;
        for (;;) {
                r = commit_once(s, d);
                if (r != -EOVERFLOW)
                        break;
                if (s->map_len >= MAP_LEN_MAX)
                        return -EFBIG;
                /* No transaction is open here: this is the only thread that has any. */
                r = errno_of(mdb_env_set_mapsize(s->env, s->map_len * 2));
                if (r)
                        return r;
                s->map_len *= 2;
        }
        if (r)
                return r;
        meta_image_ref(image);
        meta_image_unref(s->image);
        s->image = image;
        return 0;
}

/* ---- loading ---- */

/* What loading works with. */
struct load {
        struct meta_builder builder;
        int64_t index;
        int32_t term;
        bool has_head;
        char *why;
        size_t why_size;
};

static int load_head(struct load *l, struct span value)
{
        struct cursor c = cursor_of(value);
        const uint8_t *magic = cursor_take(&c, sizeof STORE_MAGIC - 1), *text;
        struct meta_record rec;
        uint16_t format, len;
        int64_t next;

        if (!magic || memcmp(magic, STORE_MAGIC, sizeof STORE_MAGIC - 1)) {
                say(l->why, l->why_size, "is an LMDB file of something else");
                return META_STORE_E_FOREIGN;
        }
        format = cursor_be16(&c);
        if (format != STORE_FORMAT) {
                say(l->why, l->why_size, "has format %u; this program knows %u", format, STORE_FORMAT);
                return META_STORE_E_FOREIGN;
        }
        l->index = cursor_be64s(&c);
        l->term = cursor_be32s(&c);
        next = cursor_be64s(&c);
        len = cursor_be16(&c);
        text = cursor_take(&c, len);
        if (cursor_left(&c) != 4 || load_be32(c.at) != crc32c(0, value.data, value.len - 4) || l->index < 0) {
                say(l->why, l->why_size, "has a damaged head row");
                return META_STORE_E_CORRUPT;
        }
        l->has_head = true;
        l->builder.next->next_producer_id = next;
        if (!len)
                return 0;
        meta_record_init(&rec, META_CLUSTER);
        rec.cluster.cluster_id = (struct str){ (const char *)text, len };
        return meta_builder_apply(&l->builder, &rec, l->index);
}

static int load_row(struct load *l, struct span key, struct span value, struct arena *mem)
{
        struct cursor c = cursor_of(value);
        struct meta_record rec;
        uint32_t crc;
        int r;

        if (key.len == 1 && key.data[0] == META_ROW_HEAD)
                return load_head(l, value);
        if (!l->has_head) { /* the head has the smallest key of all */
                say(l->why, l->why_size, "is an LMDB file of something else");
                return META_STORE_E_FOREIGN;
        }
        crc = cursor_be32(&c);
        if (!cursor_ok(&c) || crc != crc32c(0, c.at, cursor_left(&c))) {
                say(l->why, l->why_size, "has a damaged row");
                return META_STORE_E_CORRUPT;
        }
        r = meta_record_read(&c, mem, &rec);
        if (!r)
                r = meta_builder_apply(&l->builder, &rec, l->index);
        if (r > 0) {
                say(l->why, l->why_size, "has a row that cannot be applied: %s",
                    r == META_E_UNKNOWN ? "only a newer program knows its kind" : l->builder.why);
                return r == META_E_UNKNOWN ? META_STORE_E_FOREIGN : META_STORE_E_CORRUPT;
        }
        return r;
}

static int load_rows(struct load *l, MDB_cursor *rows)
{
        CLEANUP(arena_finip) struct arena mem;
        MDB_val key, value;
        int rc, r;

        arena_init(&mem, 0);
        while (!(rc = mdb_cursor_get(rows, &key, &value, MDB_NEXT))) {
                r = load_row(l, span_of(key.mv_data, key.mv_size), span_of(value.mv_data, value.mv_size), &mem);
                if (r)
                        return r;
                if (mem.used > 1 << 16)
                        arena_fini(&mem);
        }
        if (rc != MDB_NOTFOUND)
                say(l->why, l->why_size, "cannot be read: %s", mdb_strerror(rc));
        return rc == MDB_NOTFOUND ? 0 : META_STORE_E_CORRUPT;
}

/* Read everything in one transaction, which ends before this returns. */
static int load(struct meta_store *s, char *why, size_t why_size)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        struct load l = { .why = why, .why_size = why_size };
        MDB_cursor *rows;
        MDB_txn *txn;
        int r;

        if (!empty)
                return -ENOMEM;
        r = meta_builder_init(&l.builder, empty);
        if (r)
                return r;
        r = errno_of(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn));
        if (!r) {
                r = errno_of(mdb_cursor_open(txn, s->dbi, &rows));
                if (!r) {
                        r = load_rows(&l, rows);
                        mdb_cursor_close(rows);
                }
                mdb_txn_abort(txn);
        }
        if (!r)
                s->image = meta_builder_finish(&l.builder, l.index, l.term);
        meta_builder_fini(&l.builder);
        return r;
}

static int open_dbi(struct meta_store *s)
{
        MDB_txn *txn;
        int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

        if (rc)
                return rc;
        rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
        if (rc) {
                mdb_txn_abort(txn);
                return rc;
        }
        return mdb_txn_commit(txn);
}

static int open_env(struct meta_store *s, const struct meta_store_config *cfg, char *why, size_t why_size)
{
        MDB_envinfo info;
        int rc = mdb_env_create(&s->env);

        if (!rc)
                rc = mdb_env_set_mapsize(s->env, cfg->map_len_initial ? cfg->map_len_initial : MAP_LEN_INITIAL);
        /* No reader stays open, and writers are one thread at a time but not always the same one. */
        if (!rc)
                rc = mdb_env_open(s->env, cfg->dir, MDB_NOTLS | MDB_NORDAHEAD, 0640);
        if (!rc)
                rc = open_dbi(s);
        if (!rc)
                rc = mdb_env_info(s->env, &info);
        if (!rc) {
                s->map_len = info.me_mapsize;
                return 0;
        }
        say(why, why_size, "cannot be opened: %s", mdb_strerror(rc));
        if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
                return META_STORE_E_FOREIGN;
        return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_PANIC ? META_STORE_E_CORRUPT : errno_of(rc);
}

int meta_store_open(const struct meta_store_config *cfg, struct meta_store **ret_store, struct meta_image **ret_image,
                    char *why, size_t why_size)
{
        CLEANUP(meta_store_closep) struct meta_store *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        why[0] = 0;
        r = file_mkdirs(cfg->dir);
        if (r) {
                say(why, why_size, "cannot be made: %s", strerror(-r));
                return r;
        }
        r = open_env(s, cfg, why, why_size);
        if (!r)
                r = load(s, why, why_size);
        if (r) {
                if (!why[0])
                        say(why, why_size, "cannot be loaded: %s", strerror(r < 0 ? -r : EINVAL));
                return r;
        }
        *ret_image = meta_image_ref(s->image);
        *ret_store = TAKE_PTR(s);
        return 0;
}

struct meta_store *meta_store_close(struct meta_store *s)
{
        if (!s)
                return NULL;
        if (s->env)
                mdb_env_close(s->env);
        meta_image_unref(s->image);
        free(s);
        return NULL;
}

int64_t meta_store_bytes(const struct meta_store *s)
{
        MDB_envinfo info;
        MDB_stat stat;

        if (mdb_env_info(s->env, &info) || mdb_env_stat(s->env, &stat))
                return 0;
        return (int64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

int64_t meta_store_index(const struct meta_store *s)
{
        return s->image->index;
}
