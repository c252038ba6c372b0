/* Checking a log's folder at rest; see check_folder.h. What recovery would find is taken from the same files: checkpoint, names
 * of segments, footers of indexes. The folder is only read. */
#include "plog/check_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/check.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { STEP_LEN = 1 << 20 };

struct folder {
        const struct plog_folder_args *args;
        struct checkpoint c; /* end_offset 0: none */
        struct epochs epochs;
        int64_t *bases;
        size_t count, size;
        struct damage damage;
        bool swap;
        struct plog_folder_result result;
};

static void damaged(void *arg, const struct plog_damaged_range *r)
{
        struct folder *f = arg;

        (void)damage_add(&f->damage, r);
}

static void missing(struct folder *f, int64_t from, int64_t to)
{
        if (from < to)
                damaged(f, &(struct plog_damaged_range){ .from_offset = from,
                                                         .to_offset = to,
                                                         .segment_base = -1,
                                                         .pos = -1,
                                                         .end_pos = -1,
                                                         .found_ms = clock_wall_ms(),
                                                         .why = PLOG_DAMAGE_MISSING });
}

/* ---- one segment ---- */

struct file {
        int fd;
        int64_t base, len,
                next; /* name, size, where the next one begins (or the durable end, when that is known; else -1) */
        bool footed;
        struct index_footer footer;
        struct index_entry *entries;
};

static void file_fini(struct file *x)
{
        x->fd = file_close(x->fd);
        free(x->entries);
}

static int take_footer(struct folder *f, struct file *x)
{
        char path[PLOG_PATH_MAX];
        int fd, r;

        plog_path(f->args->dir, x->base, INDEX_SUFFIX, path);
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        file_give_up(fd, 0, file_size(fd));
        r = index_read_footer(fd, &x->footer);
        if (!r && (x->footer.size != x->len || x->footer.next_offset < x->base))
                r = -EUCLEAN;
        if (!r)
                r = index_read_entries(fd, x->footer.count, x->footer.entries_crc, &x->entries);
        file_close(fd);
        x->footed = !r;
        return r == -EUCLEAN || r == -EIO ? 0 : r;
}

/* Run the check. @size bytes that end at @end_offset. */
static int run_check(struct folder *f, struct file *x, int64_t size, int64_t end_offset, bool whole)
{
        struct check_args a = { .fd = x->fd,
                                .direct = true,
                                .base_offset = x->base,
                                .size = size,
                                .end_offset = end_offset,
                                .whole = whole,
                                .epochs = &f->epochs,
                                .entries = x->entries,
                                .entries_count = x->footed ? x->footer.count : 0,
                                .found = damaged,
                                .arg = f,
                                .now_ms = clock_wall_ms() };
        struct check c;
        int r = check_init(&c, &a);

        if (r)
                return r;
        do {
                int64_t left = STEP_LEN, before = c.bytes;

                r = check_step(&c, &left);
                f->args->progress(f->args->arg, c.bytes - before);
        } while (r == 1);
        f->result.bytes += c.bytes;
        f->result.batches += c.batches;
        f->result.indexes_wrong += c.index_bad;
        check_fini(&c);
        return r;
}

static int count_batch(void *arg, const struct batch_header *h, int64_t pos)
{
        struct plog_folder_result *res = arg;

        (void)pos;
        res->batches++;
        res->end_offset = batch_last_offset(h) + 1;
        return 0;
}

/* What came after the checkpoint, or without one: recovery reads it and cuts at the first batch that is not whole. */
static int check_tail(struct folder *f, struct file *x, int64_t pos, int64_t from_offset)
{
        int64_t good = pos;
        int r = scan_batches(x->fd, pos, x->len, from_offset, count_batch, &f->result, &good);

        f->result.bytes += x->len - pos;
        f->result.tail_bytes += x->len - good;
        f->args->progress(f->args->arg, x->len - pos);
        return r;
}

static int check_file(struct folder *f, struct file *x)
{
        const struct checkpoint *c = &f->c;
        int r = 0;

        if (x->footed) {
                f->result.end_offset = MAX2(f->result.end_offset, x->footer.next_offset);
                if (x->next > x->footer.next_offset)
                        missing(f, x->footer.next_offset, x->next);
                return run_check(f, x, x->len, x->footer.next_offset, true);
        }
        if (x->base == c->segment_base && c->end_offset > x->base) { /* it was active */
                r = run_check(f, x, c->segment_pos, c->end_offset, true);
                return r || x->len <= c->segment_pos ? r : check_tail(f, x, c->segment_pos, c->end_offset);
        }
        if (x->base >= c->end_offset)
                return check_tail(f, x, 0, x->base);
        f->result.indexes_wrong++;
        return run_check(f, x, x->len, x->next >= 0 ? x->next : c->end_offset, true);
}

static int check_at(struct folder *f, size_t i)
{
        struct file x = { .base = f->bases[i], .next = i + 1 < f->count ? f->bases[i + 1] : -1 };
        char path[PLOG_PATH_MAX];
        int r;

        if (x.next < 0 && x.base < f->c.end_offset && x.base != f->c.segment_base)
                x.next = f->c.end_offset;
        plog_path(f->args->dir, x.base, SEGMENT_SUFFIX, path);
        x.fd = file_open(path, O_RDONLY);
        if (x.fd < 0)
                return x.fd;
        x.len = file_size(x.fd);
        r = x.len < 0 ? (int)x.len : take_footer(f, &x);
        if (!r)
                r = check_file(f, &x);
        file_fini(&x);
        return r;
}

/* ---- one log ---- */

static int note_name(void *arg, const char *name)
{
        struct folder *f = arg;
        int64_t v = plog_offset_of_name(name, SEGMENT_SUFFIX);

        f->swap |= !strcmp(name, SWAP_NAME);
        if (v < 0)
                return 0;
        if (f->count == f->size) {
                size_t size = f->size ? f->size * 2 : 16;
                int64_t *n = realloc(f->bases, size * sizeof *n);

                if (!n)
                        return -ENOMEM;
                f->bases = n;
                f->size = size;
        }
        f->bases[f->count++] = v;
        return 0;
}

static int compare_offsets(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return (x > y) - (x < y);
}

static int load(struct folder *f)
{
        struct uuid topic_id;
        int32_t partition;
        bool found;
        int r = plog_read_meta(f->args->dir, &topic_id, &partition);

        if (r)
                return r == -ENOENT || r == -EUCLEAN ? PLOG_FOLDER_E_FOREIGN : r;
        r = checkpoint_read(f->args->dir, &f->c);
        if (r == -ENOENT) {
                f->c = (struct checkpoint){ .segment_base = -1 };
                r = 0;
        }
        if (!r)
                r = epochs_load(&f->epochs, f->args->dir, &found);
        if (!r)
                r = file_list(f->args->dir, note_name, f);
        if (!r && f->swap)
                r = PLOG_FOLDER_E_SWAP;
        if (f->count)
                qsort(f->bases, f->count, sizeof *f->bases, compare_offsets);
        return r;
}

static int check_all(struct folder *f)
{
        int64_t first = f->count ? f->bases[0] : f->c.end_offset;
        int r = 0;

        f->result.start_offset = f->c.end_offset ? f->c.start_offset : first;
        f->result.end_offset = MAX2(f->c.end_offset, f->result.start_offset);
        missing(f, f->result.start_offset, MIN2(first, f->c.end_offset));
        for (size_t i = 0; !r && i < f->count; i++) {
                bool deleted = i + 1 < f->count && f->bases[i + 1] <= f->result.start_offset;

                if (!deleted)
                        r = check_at(f, i);
        }
        (void)damage_trim(&f->damage, f->result.start_offset, INT64_MAX);
        return r;
}

static int take_damaged(struct folder *f)
{
        size_t count = f->damage.count;

        f->result.damaged = calloc(count + 1, sizeof *f->result.damaged);
        if (!f->result.damaged)
                return -ENOMEM;
        memcpy(f->result.damaged, damage_list(&f->damage), count * sizeof *f->result.damaged);
        f->result.damaged_count = count;
        return 0;
}

int plog_check_folder(const struct plog_folder_args *args, struct plog_folder_result *ret)
{
        struct folder f = { .args = args };
        int r;

        if (strlen(args->dir) > PLOG_PATH_MAX - 64)
                return -ENAMETOOLONG;
        r = load(&f);
        if (!r)
                r = check_all(&f);
        if (!r)
                r = take_damaged(&f);
        if (!r)
                *ret = f.result;
        free(f.bases);
        epochs_fini(&f.epochs);
        damage_fini(&f.damage);
        return r;
}

/* ---- the store ---- */

int plog_folder_lock(const char *dir)
{
        char path[PLOG_PATH_MAX];

        if (strlen(dir) > PLOG_PATH_MAX - 64)
                return -ENAMETOOLONG;
        plog_path_of(dir, STORE_LOCK_NAME, path);
        return file_lock_shared(path);
}

struct names {
        const char *dir;
        char **list;
        size_t count, size;
};

static int take_name(void *arg, const char *name)
{
        struct names *n = arg;
        size_t len = strlen(name), end = strlen(DELETED_DIR_SUFFIX);
        char path[PLOG_PATH_MAX];
        struct file_info info;

        if (len > end && !strcmp(name + len - end, DELETED_DIR_SUFFIX))
                return 0;
        if (strlen(n->dir) + len > PLOG_PATH_MAX - 64)
                return -ENAMETOOLONG;
        plog_path_of(n->dir, name, path);
        if (file_info(path, &info) || !info.is_dir)
                return 0;
        if (n->count == n->size) {
                size_t size = n->size ? n->size * 2 : 64;
                char **list = realloc(n->list, size * sizeof *list);

                if (!list)
                        return -ENOMEM;
                n->list = list;
                n->size = size;
        }
        n->list[n->count] = strdup(name);
        return n->list[n->count++] ? 0 : -ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
        return strverscmp(*(char *const *)a, *(char *const *)b);
}

int plog_folder_list(const char *dir, int (*fn)(void *arg, const char *name), void *arg)
{
        struct names n = { .dir = dir };
        int r = file_list(dir, take_name, &n);

        if (!r && n.count)
                qsort(n.list, n.count, sizeof *n.list, compare_names);
        for (size_t i = 0; i < n.count; i++) {
                if (!r)
                        r = fn(arg, n.list[i]);
                free(n.list[i]);
        }
        free(n.list);
        return r;
}
