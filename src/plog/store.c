/* The data folder: lock, identity, clean-stop mark, files whose removal is due. See store.h and FORMAT.md. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { FILES_OPEN_DEFAULT = 1000 };

static _Thread_local char why_buf[PLOG_PATH_MAX + 256];

static const char *why(const char *fmt, const char *dir, int error)
{
        snprintf(why_buf, sizeof why_buf, fmt, dir, strerror(-error));
        return why_buf;
}

/* ---- identity ---- */

struct look {
        bool foreign;
};

static bool is_ours_without_meta(const char *name)
{
        return name[0] == '.' || !strcmp(name, "lost+found") ||
               !strncmp(name, STORE_META_NAME, strlen(STORE_META_NAME));
}

static int look_at(void *arg, const char *name)
{
        struct look *l = arg;

        if (is_ours_without_meta(name))
                return 0;
        l->foreign = true;
        return 1;
}

static int meta_create(struct plog_store *s, const char *path)
{
        struct disk_store_meta m = { .magic = htobe32(STORE_META_MAGIC), .version = htobe32(FORMAT_VERSION) };
        int r;

        r = file_sync_parents(s->dir); /* where the meta file is, the folder's own name is durable */
        if (r)
                return r;
        s->dir_id = random_uuid();
        memcpy(m.dir_id, s->dir_id.b, sizeof m.dir_id);
        m.created_ms = (int64_t)htobe64((uint64_t)clock_wall_ms());
        m.crc = htobe32(crc32c(0, &m, offsetof(struct disk_store_meta, crc)));
        return file_replace(path, span_of(&m, sizeof m));
}

static int meta_load(struct plog_store *s, const char **ret_why)
{
        CLEANUP(freep) char *data = NULL;
        struct look look = { 0 };
        struct disk_store_meta m;
        char path[PLOG_PATH_MAX];
        size_t len;
        int r;

        plog_path_of(s->dir, STORE_META_NAME, path);
        r = file_read_whole(path, 4096, &data, &len);
        if (r == -ENOENT) {
                r = file_list(s->dir, look_at, &look);
                if (r >= 0 && look.foreign) {
                        *ret_why =
                                why("data folder %s holds other things and no chronik.meta: choose an empty folder, or "
                                    "restore chronik.meta if the data is ours",
                                    s->dir, 0);
                        return PLOG_STORE_E_FOREIGN;
                }
                return r < 0 ? r : meta_create(s, path);
        }
        if (r)
                return r;
        if (len == sizeof m)
                memcpy(&m, data, sizeof m);
        if (len != sizeof m || be32toh(m.magic) != STORE_META_MAGIC ||
            be32toh(m.crc) != crc32c(0, &m, offsetof(struct disk_store_meta, crc))) {
                *ret_why = why(
                        "data folder %s has a chronik.meta that is damaged or not ours: restore it or choose another "
                        "folder",
                        s->dir, 0);
                return PLOG_STORE_E_FOREIGN;
        }
        if (be32toh(m.version) != FORMAT_VERSION) {
                *ret_why =
                        why("data folder %s was written in another format version: start the program that wrote it, or "
                            "choose another folder",
                            s->dir, 0);
                return PLOG_STORE_E_FOREIGN;
        }
        memcpy(s->dir_id.b, m.dir_id, sizeof m.dir_id);
        return 0;
}

static int read_clean_mark(struct plog_store *s)
{
        CLEANUP(freep) char *data = NULL;
        struct disk_store_clean mark;
        char path[PLOG_PATH_MAX];
        size_t len;
        int r;

        s->was_note = s->note = -1;
        plog_path_of(s->dir, STORE_CLEAN_NAME, path);
        r = file_read_whole(path, sizeof mark, &data, &len);
        s->was_clean = !r;
        if (r)
                return r == -ENOENT ? 0 : r;
        if (len == sizeof mark) {
                memcpy(&mark, data, sizeof mark);
                if (be32toh(mark.magic) == STORE_CLEAN_MAGIC &&
                    be32toh(mark.crc) == crc32c(0, &mark, offsetof(struct disk_store_clean, crc)))
                        s->was_note = (int64_t)be64toh((uint64_t)mark.note);
        }
        return 0;
}

/* The mark of a clean stop is taken away before the first log is touched, and no earlier: a start that is refused for
 * other reasons (a port in use, metadata of another cluster) leaves the folder as clean as it was. */
int store_begin(struct plog_store *s)
{
        char path[PLOG_PATH_MAX];
        int r = 0;

        pthread_mutex_lock(&s->lock);
        if (!s->begun) {
                plog_path_of(s->dir, STORE_CLEAN_NAME, path);
                r = file_unlink(path);
                if (!r)
                        r = file_sync_dir(s->dir);
                s->begun = !r;
        }
        pthread_mutex_unlock(&s->lock);
        return r;
}

static int leave_clean_mark(struct plog_store *s)
{
        struct disk_store_clean mark = { .magic = htobe32(STORE_CLEAN_MAGIC),
                                         .note = (int64_t)htobe64((uint64_t)s->note) };
        char path[PLOG_PATH_MAX];

        mark.crc = htobe32(crc32c(0, &mark, offsetof(struct disk_store_clean, crc)));
        plog_path_of(s->dir, STORE_CLEAN_NAME, path);
        return file_replace(path, span_of(&mark, sizeof mark));
}

int plog_store_bind(struct plog_store *s, struct str cluster_id, const char **ret_why)
{
        CLEANUP(freep) char *data = NULL;
        char path[PLOG_PATH_MAX];
        size_t len;
        int r;

        plog_path_of(s->dir, STORE_CLUSTER_NAME, path);
        r = file_read_whole(path, 4096, &data, &len);
        if (r == -ENOENT)
                r = file_replace(path, span_of(cluster_id.p, cluster_id.len));
        else if (!r && !str_equal(cluster_id, (struct str){ data, len })) {
                snprintf(why_buf, sizeof why_buf,
                         "data folder %s holds the logs of cluster %.*s, and the metadata is of cluster "
                         "%.*s: restore that cluster's metadata, or move the folder away",
                         s->dir, (int)len, data, STR_FMT(cluster_id));
                *ret_why = why_buf;
                return PLOG_STORE_E_FOREIGN;
        }
        if (!r)
                r = store_begin(s);
        if (r)
                *ret_why = why("data folder %s cannot be used: %s; check the volume", s->dir, r);
        return r;
}

static int remove_orphan(void *arg, const char *name)
{
        struct plog_store *s = arg;
        size_t n = strlen(name), k = strlen(DELETED_DIR_SUFFIX);
        char path[PLOG_PATH_MAX];

        if (n > k && !strcmp(name + n - k, DELETED_DIR_SUFFIX)) {
                plog_path_of(s->dir, name, path);
                store_remove_later(s, path, 0);
        }
        return 0;
}

/* ---- open and close ---- */

static void store_free(struct plog_store *s)
{
        file_close(s->lock_fd);
        files_unref(s->files);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->rebuild_lock);
        removals_fini(s);
        free(s->dir);
        free(s);
}

static int store_open_folder(struct plog_store *s, const char **ret_why)
{
        char path[PLOG_PATH_MAX];
        int r;

        r = file_mkdirs(s->dir);
        if (r && r != -EEXIST) {
                *ret_why = why("cannot make the data folder %s: %s; check the path and its owner", s->dir, r);
                return r == -EROFS || r == -EACCES ? PLOG_STORE_E_READONLY : r;
        }
        plog_path_of(s->dir, STORE_LOCK_NAME, path);
        s->lock_fd = file_lock(path);
        if (s->lock_fd == -EWOULDBLOCK) {
                *ret_why =
                        why("data folder %s is used by another process: stop it, or give this one a folder of its own",
                            s->dir, 0);
                return PLOG_STORE_E_LOCKED;
        }
        r = s->lock_fd < 0 ? s->lock_fd : meta_load(s, ret_why);
        if (!r)
                r = read_clean_mark(s);
        if (r == -EROFS || r == -EACCES || r == -EPERM) {
                *ret_why = why("data folder %s cannot be written: %s; make it writable for this user", s->dir, r);
                return PLOG_STORE_E_READONLY;
        }
        if (r < 0)
                *ret_why = why("data folder %s cannot be used: %s; check the volume", s->dir, r);
        return r;
}

int plog_store_open(const struct plog_store_config *cfg, struct plog_store **ret_store, const char **ret_why)
{
        struct plog_store *s;
        int r;

        *ret_why = "out of memory";
        if (strlen(cfg->dir) > PLOG_PATH_MAX - 512) {
                *ret_why = "the path of the data folder is too long";
                return -ENAMETOOLONG;
        }
        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->lock_fd = -1;
        s->pool = cfg->pool;
        s->preallocate_step_len = cfg->preallocate_step_len;
        s->recovery_bytes_max = cfg->recovery_bytes_max > 0 ? cfg->recovery_bytes_max : INT64_MAX;
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->rebuild_lock, NULL);
        ilist_init(&s->logs);
        removals_init(s);
        s->dir = strdup(cfg->dir);
        r = s->dir ? files_new(cfg->files_open_max ? cfg->files_open_max : FILES_OPEN_DEFAULT, &s->files) : -ENOMEM;
        if (!r)
                r = store_open_folder(s, ret_why);
        if (!r)
                r = flusher_init(s);
        if (r) {
                store_free(s);
                return r;
        }
        (void)file_list(s->dir, remove_orphan, s); /* looked for again at the next start */
        *ret_store = s;
        return 0;
}

struct plog_store *plog_store_close(struct plog_store *s)
{
        if (!s)
                return NULL;
        flusher_drain(s);
        removals_drain(s);
        assert(ilist_is_empty(&s->logs));
        if (s->begun && !atomic_load(&s->unclean))
                (void)leave_clean_mark(
                        s); /* without it the next start looks at every log's tail, and finds it in order */
        flusher_fini(&s->flusher);
        store_free(s);
        return NULL;
}

struct uuid plog_store_dir_id(const struct plog_store *s)
{
        return s->dir_id;
}

bool plog_store_was_clean(const struct plog_store *s)
{
        return s->was_clean;
}

int64_t plog_store_clean_note(const struct plog_store *s)
{
        return s->was_note;
}

void plog_store_set_clean_note(struct plog_store *s, int64_t note)
{
        s->note = note;
}

/* ---- folders of logs ---- */

struct listing {
        struct plog_store *store;
        int (*fn)(void *arg, const char *name, struct uuid topic_id);
        void *arg;
};

static int list_one(void *arg, const char *name)
{
        struct listing *l = arg;
        struct uuid topic_id;
        char path[PLOG_PATH_MAX];
        size_t n = strlen(name), k = strlen(DELETED_DIR_SUFFIX);
        int32_t partition;

        if (n > NAME_MAX || (n > k && !strcmp(name + n - k, DELETED_DIR_SUFFIX)))
                return 0;
        plog_path_of(l->store->dir, name, path);
        /* Whatever has no meta file of ours is nobody's business here. */
        return plog_read_meta(path, &topic_id, &partition) ? 0 : l->fn(l->arg, name, topic_id);
}

int plog_store_list(struct plog_store *s, int (*fn)(void *arg, const char *name, struct uuid topic_id), void *arg)
{
        struct listing l = { s, fn, arg };

        return file_list(s->dir, list_one, &l);
}

int plog_store_discard(struct plog_store *s, const char *name, int64_t delay_ms)
{
        char from[PLOG_PATH_MAX], gone[PLOG_PATH_MAX];
        int n, r;

        n = snprintf(from, sizeof from, "%s/%s", s->dir, name);
        assert(n > 0 && n < PLOG_PATH_MAX);
        n = snprintf(gone, sizeof gone, "%s.%016llx%s", from, (unsigned long long)random_u64(), DELETED_DIR_SUFFIX);
        assert(n > 0 && n < PLOG_PATH_MAX);
        r = file_rename(from, gone);
        if (r)
                return r;
        store_remove_later(s, gone, delay_ms);
        return file_sync_dir(s->dir);
}

struct iopool *plog_store_pool(struct plog_store *s)
{
        return s->pool;
}

void store_add_log(struct plog_store *s, struct plog *pl)
{
        pthread_mutex_lock(&s->lock);
        ilist_push_back(&s->logs, &pl->store_link);
        pthread_mutex_unlock(&s->lock);
}

void store_remove_log(struct plog_store *s, struct plog *pl)
{
        pthread_mutex_lock(&s->lock);
        ilist_unlink(&pl->store_link);
        pthread_mutex_unlock(&s->lock);
}

void plog_store_tick(struct plog_store *s, int64_t now_mono_ms)
{
        flush_tick(s, now_mono_ms);
        removals_tick(s, now_mono_ms);
}

void plog_store_stats(const struct plog_store *s, struct plog_store_stats *ret)
{
        *ret = (struct plog_store_stats){
                .flushes = atomic_load(&s->flushes),
                .flush_errors = atomic_load(&s->flush_errors),
                .files_open = files_open_count(s->files),
                .file_opens = atomic_load(&s->files->opened_total),
                .flush_ns_total = atomic_load(&s->flush_ns_total),
                .flush_ns_max = atomic_load(&s->flush_ns_max),
                .bytes_appended = atomic_load(&s->bytes_appended),
                .batches_appended = atomic_load(&s->batches_appended),
                .logs_failed = atomic_load(&s->logs_failed),
        };
}

void plog_store_recovery(const struct plog_store *s, struct plog_store_recovery *ret)
{
        *ret = (struct plog_store_recovery){
                .logs = atomic_load(&s->recovery.logs),
                .bytes_found = atomic_load(&s->recovery.bytes_found),
                .bytes_read = atomic_load(&s->recovery.bytes_read),
                .bytes_cut = atomic_load(&s->recovery.bytes_cut),
        };
}
