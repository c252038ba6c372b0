/* A folder as a store: what a bucket promises, by a file system that keeps its own promises.
 *
 *     FOLDER/objects/a/b/c.object   the object with the key "a/b/c"
 *     FOLDER/new/UUID               an object that is being written; what a crash leaves there is removed after a day
 *
 * An object is written to new/, synced, renamed (where it must be the first, by a rename that refuses to replace), and the folders that
 * lead to it are synced. Several processes may use one folder. Folders that became empty stay. The suffix keeps the object "a" apart from
 * the folder of "a/b". */
#include <stdio.h>

#include "base/crc32c.h"
#include "object/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { COPY_LEN = 1 << 20, OLD_MS = 86400000, PATH_SIZE_MAX = 4096 };

static const char suffix[] = ".object";
#define SUFFIX_LEN (sizeof suffix - 1)

static bool ends_in_suffix(struct str name)
{
        return name.len >= SUFFIX_LEN && !memcmp(name.p + name.len - SUFFIX_LEN, suffix, SUFFIX_LEN);
}

/* ---- paths ---- */

/* Return: 0; OBJECT_BAD_CONFIG: a part of the key looks like an object; -ENAMETOOLONG. */
static int object_path(const struct object_store *s, struct str key, char *ret_path)
{
        size_t part = 0;
        int n;

        for (size_t i = 0; i < key.len; i++) {
                if (key.p[i] != '/')
                        continue;
                if (ends_in_suffix((struct str){ key.p + part, i - part }))
                        return OBJECT_BAD_CONFIG;
                part = i + 1;
        }
        n = snprintf(ret_path, PATH_SIZE_MAX, "%s/objects/%.*s%s", s->c.folder, STR_FMT(key), suffix);
        return n < 0 || n >= PATH_SIZE_MAX ? -ENAMETOOLONG : 0;
}

/* Sync the folders from the one that holds @path up to that of the store. */
static int sync_up(const struct object_store *s, const char *path)
{
        char folder[PATH_SIZE_MAX];
        size_t root = strlen(s->c.folder);
        int r = 0;

        snprintf(folder, sizeof folder, "%s", path);
        for (char *slash; !r && (slash = strrchr(folder, '/')) && (size_t)(slash - folder) >= root;) {
                *slash = '\0';
                r = file_sync_dir(folder);
        }
        return r;
}

/* ---- verbs ---- */

static int write_content(const struct object_op *op, int fd)
{
        CLEANUP(freep) char *buf = NULL;

        if (!op->file_len)
                return file_pwrite_all(fd, op->body.data, op->body.len, 0);
        buf = malloc(COPY_LEN);
        if (!buf)
                return -ENOMEM;
        for (int64_t at = 0; at < op->file_len;) {
                ssize_t n = file_pread(op->file_fd, buf, (size_t)MIN2((int64_t)COPY_LEN, op->file_len - at),
                                       op->file_pos + at);
                int r;

                if (n <= 0)
                        return n < 0 ? (int)n : -ENODATA;
                r = file_pwrite_all(fd, buf, (size_t)n, at);
                if (r)
                        return r;
                at += n;
        }
        return 0;
}

static int write_new(const struct object_op *op, const char *path)
{
        int fd = file_open(path, O_WRONLY | O_CREAT | O_EXCL), r;

        if (fd < 0)
                return fd;
        r = write_content(op, fd);
        if (!r)
                r = file_sync(fd);
        file_close(fd);
        return r;
}

static void take_info(const struct file_info *f, struct object_info *info)
{
        info->size = f->size;
        info->modified_ms = f->mtime_ms;
        snprintf(info->etag, sizeof info->etag, "%lld-%lld", (long long)f->size, (long long)f->mtime_ms);
}

static int put(struct object_store *s, struct object_op *op, const char *path)
{
        char fresh[PATH_SIZE_MAX], folder[PATH_SIZE_MAX], id[UUID_TEXT_SIZE];
        struct file_info f;
        int r;

        uuid_format(random_uuid(), id);
        snprintf(fresh, sizeof fresh, "%.3000s/new/%s", s->c.folder, id);
        snprintf(folder, sizeof folder, "%s", path);
        *strrchr(folder, '/') = '\0';
        if (op->if_absent && !file_info(path, &f))
                return OBJECT_E_EXISTS; /* spares writing it; the rename decides */
        r = write_new(op, fresh);
        if (!r)
                r = file_mkdirs(folder);
        if (!r)
                r = file_info(fresh, &f);
        if (!r)
                r = op->if_absent ? file_rename_new(fresh, path) : file_rename(fresh, path);
        if (r) {
                (void)file_unlink(fresh); /* what is left is removed after a day */
                return r == -EEXIST ? OBJECT_E_EXISTS : r;
        }
        take_info(&f, &op->info);
        return sync_up(s, path);
}

static int get(struct object_op *op, const char *path)
{
        int fd = file_open(path, O_RDONLY);
        struct file_info f;
        ssize_t n;
        int r;

        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR ? OBJECT_E_MISSING : fd;
        r = file_info(path, &f);
        n = r ? r : file_pread(fd, op->get_buf, op->get_len, op->offset);
        file_close(fd);
        if (n < 0)
                return (int)n;
        op->got_len = (size_t)n;
        op->got_crc = crc32c(0, op->get_buf, op->got_len);
        take_info(&f, &op->info);
        return op->expect_crc && op->got_crc != op->crc ? OBJECT_DAMAGED : 0;
}

static int head(struct object_op *op, const char *path)
{
        struct file_info f;
        int r = file_info(path, &f);

        if (r)
                return r == -ENOENT || r == -ENOTDIR ? OBJECT_E_MISSING : r;
        take_info(&f, &op->info);
        return 0;
}

static int delete (struct object_store *s, const char *path)
{
        struct file_info f;
        int r = file_info(path, &f);

        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (!r)
                r = file_unlink(path);
        return r ? r : sync_up(s, path);
}

/* ---- list ---- */

struct listing {
        struct object_store *s;
        struct str prefix, after; /* the last key of the page before */
        struct object_row *rows;
        unsigned count, room;
        bool more;
        /* Of the walk, which may be some hundred folders deep: not on the stack of each. */
        char key[OBJECT_KEY_LEN_MAX + 2];
        char path[PATH_SIZE_MAX];
};

struct names {
        char **name; /* of folders with a '/' behind it, so that they sort as the keys in them do */
        size_t count, room;
        const char *dir;
};

static void names_fini(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free(n->name[i]);
        free(n->name);
}

static int on_name(void *arg, const char *name)
{
        struct names *n = arg;
        char path[PATH_SIZE_MAX];
        struct file_info f;
        char *kept;
        int len = snprintf(path, sizeof path, "%s/%s", n->dir, name);

        if (len < 0 || len >= PATH_SIZE_MAX)
                return -ENAMETOOLONG;
        if (file_info(path, &f))
                return 0; /* gone meanwhile */
        if (!f.is_dir && !ends_in_suffix(str_of(name)))
                return 0; /* not ours */
        if (n->count == n->room) {
                size_t room = n->room ? 2 * n->room : 64;
                char **grown = realloc(n->name, room * sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                n->name = grown;
                n->room = room;
        }
        kept = malloc(strlen(name) + 2);
        if (!kept)
                return -ENOMEM;
        snprintf(kept, strlen(name) + 2, "%s%s", name, f.is_dir ? "/" : "");
        if (!f.is_dir)
                kept[strlen(name) - SUFFIX_LEN] = '\0';
        n->name[n->count++] = kept;
        return 0;
}

static int name_compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool starts_with(struct str s, struct str prefix)
{
        return s.len >= prefix.len && !memcmp(s.p, prefix.p, prefix.len);
}

static int add_row(struct listing *l, const char *key, const char *path)
{
        struct file_info f;

        if (!starts_with(str_of(key), l->prefix) || (l->after.len && str_compare(str_of(key), l->after) <= 0))
                return 0;
        if (file_info(path, &f))
                return 0; /* deleted meanwhile */
        if (l->count == l->room) {
                l->more = true;
                return 0;
        }
        l->rows[l->count] = (struct object_row){ strdup(key), f.size, f.mtime_ms };
        return l->rows[l->count].key ? (l->count++, 0) : -ENOMEM;
}

static int walk(struct listing *l, size_t len);

/* One name in the folder of the first @len bytes of l->key. */
static int visit(struct listing *l, size_t len, const char *name)
{
        int n = snprintf(l->key + len, sizeof l->key - len, "%s", name);
        struct str key = { l->key, len + (size_t)MAX2(n, 0) };

        if (n <= 0 || key.len >= sizeof l->key)
                return 0; /* no key is so long */
        if (name[n - 1] != '/') {
                snprintf(l->path, sizeof l->path, "%.2500s/objects/%.1300s%s", l->s->c.folder, l->key, suffix);
                return add_row(l, l->key, l->path);
        }
        if ((starts_with(key, l->prefix) || starts_with(l->prefix, key)) &&
            (str_compare(key, l->after) >= 0 || starts_with(l->after, key)))
                return walk(l, key.len);
        return 0;
}

/* The keys in the folder of the first @len bytes of l->key, which are none or end in '/'. */
static int walk(struct listing *l, size_t len)
{
        CLEANUP(names_fini) struct names n = { .dir = l->path };
        int r;

        l->key[len] = '\0';
        snprintf(l->path, sizeof l->path, "%.2500s/objects/%.1300s", l->s->c.folder, l->key);
        r = file_list(l->path, on_name, &n);
        if (r)
                return r == -ENOENT || r == -ENOTDIR ? 0 : r;
        if (n.count)
                qsort(n.name, n.count, sizeof *n.name, name_compare);
        for (size_t i = 0; i < n.count && !r && !l->more; i++)
                r = visit(l, len, n.name[i]);
        return r;
}

static int list(struct object_store *s, struct object_op *op)
{
        struct listing l = { .s = s, .prefix = op->key, .room = op->list_max };
        char *next = NULL;
        int r;

        l.after = op->list_next ? str_of(op->list_next) : (struct str){ "", 0 };
        l.rows = calloc(l.room, sizeof *l.rows);
        r = l.rows ? walk(&l, 0) : -ENOMEM;
        if (!r && l.more && !(next = strdup(l.rows[l.count - 1].key)))
                r = -ENOMEM;
        if (r) {
                for (unsigned i = 0; i < l.count; i++)
                        free(l.rows[i].key);
                free(l.rows);
                return r;
        }
        object_op_fini(op);
        op->rows = l.rows;
        op->rows_count = l.count;
        op->list_next = next;
        return 0;
}

/* ---- jobs ---- */

static int on_old(void *arg, const char *name)
{
        const struct object_store *s = arg;
        char path[PATH_SIZE_MAX];
        struct file_info f;

        snprintf(path, sizeof path, "%.3000s/new/%.300s", s->c.folder, name);
        if (!file_info(path, &f) && !f.is_dir && f.mtime_ms < clock_wall_ms() - OLD_MS)
                (void)file_unlink(path); /* the next start tries again */
        return 0;
}

int object_folder_init(struct object_store *s)
{
        static const char *const parts[] = { "objects", "new" };
        char path[PATH_SIZE_MAX];
        int r = strlen(s->c.folder) > 2000 ? -ENAMETOOLONG : 0;

        for (size_t i = 0; i < ARRAY_LEN(parts) && !r; i++) {
                snprintf(path, sizeof path, "%.3000s/%s", s->c.folder, parts[i]);
                r = file_mkdirs(path);
                if (!r)
                        r = file_sync_parents(path);
        }
        return r ? r : file_list(path, on_old, s);
}

static void folder_run(struct io_job *job)
{
        struct object_work *w = container_of(job, struct object_work, job);
        struct object_op *op = w->op;
        char path[PATH_SIZE_MAX] = "";
        struct file_info f;
        int r = op->verb == OBJECT_LIST ? 0 : object_path(w->s, op->key, path);

        if (!r && file_info(w->s->c.folder, &f))
                r = OBJECT_NO_BUCKET; /* a disk that is not mounted is no empty store */
        if (!r) {
                switch (op->verb) {
                case OBJECT_PUT:
                        r = put(w->s, op, path);
                        break;
                case OBJECT_GET:
                        r = get(op, path);
                        break;
                case OBJECT_HEAD:
                        r = head(op, path);
                        break;
                case OBJECT_LIST:
                        r = list(w->s, op);
                        break;
                case OBJECT_DELETE:
                        r = delete (w->s, path);
                        break;
                }
        }
        w->job_result = r;
}

static void folder_done(struct io_job *job)
{
        struct object_work *w = container_of(job, struct object_work, job);
        int r = w->job_result;
        char text[OBJECT_TEXT_SIZE];

        w->running--;
        snprintf(text, sizeof text, "'%.*s' in the folder '%.200s': %s", (int)MIN2(w->op->key.len, (size_t)100),
                 w->op->key.p ? w->op->key.p : "", w->s->c.folder,
                 r == OBJECT_DAMAGED      ? "the bytes do not have the CRC-32C that was expected"
                 : r == OBJECT_NO_BUCKET  ? "the folder is not there; is its disk mounted?"
                 : r == OBJECT_BAD_CONFIG ? "no part of a key but the last ends in '.object'"
                 : r == -ENODATA          ? "the file to be written is shorter than was said"
                                          : strerror(-r));
        object_work_end(w, r, text);
}

static void folder_start(struct object_work *w)
{
        w->running++;
        w->job = (struct io_job){ .run = folder_run, .done = folder_done, .reply_loop = w->s->loop };
        iopool_submit(w->s->pool, &w->job);
}

/* A system call is not stopped; the op ends with what it says. */
static void folder_stop(struct object_work *w)
{
}

const struct object_backend object_backend_folder = { folder_start, folder_stop };
