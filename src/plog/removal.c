/* Removing files whose time is over, a bounded amount at each tick: a file system frees the blocks of a large file while
 * others wait for its journal, so a thousand segments that expire together must not go together, and a large one goes piece
 * by piece from its end, unless somebody still reads it. What is not removed when the node stops is removed by the next
 * start, by its name. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum {
        /* At one tick. With ten ticks a second that is 2.5 GiB/s, more than any disk takes in, so removal keeps up. */
        SLICE_LEN = 256 << 20,
        SLICE_FILES = 500,
        PIECE_LEN = 64 << 20, /* freed in one step */
        DRAIN_MS = 1000,      /* that a stop spends on it */
};

struct removal {
        struct ilist link;
        int64_t due_mono_ms;
        char path[];
};

/* What one slice has done so far. */
struct slice {
        const char *dir;
        int64_t len;
        int files;
};

static bool slice_is_full(const struct slice *sl)
{
        return sl->len >= SLICE_LEN || sl->files >= SLICE_FILES;
}

/* Cut a piece off the end. Return: 0, or negative when it must go as a whole: a reader who has it open still needs it. */
static int shorten(const char *path, int64_t size)
{
        int fd = file_open(path, O_RDWR), r;

        if (fd < 0)
                return fd;
        r = file_is_unshared(fd) ? file_truncate(fd, size) : -EBUSY;
        file_close(fd);
        return r;
}

/* Return: 1 when the slice is full and something is left; 0 gone; -EISDIR; other negative errno. */
static int remove_file(struct slice *sl, const char *path)
{
        struct file_info info = { 0 };

        if (!file_info(path, &info) && info.is_dir)
                return -EISDIR;
        while (info.size > PIECE_LEN && !shorten(path, info.size - PIECE_LEN)) {
                info.size -= PIECE_LEN;
                sl->len += PIECE_LEN;
                if (slice_is_full(sl))
                        return 1;
        }
        sl->files++;
        sl->len += info.size;
        return file_unlink(path);
}

/* Return: 1 when the slice is full; 0 go on; what cannot be removed here is met again by the removal of the tree. */
static int remove_in_folder(void *arg, const char *name)
{
        struct slice *sl = arg;
        char path[PLOG_PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", sl->dir, name);

        if (n > 0 && n < (int)sizeof path)
                (void)remove_file(sl, path);
        return slice_is_full(sl);
}

/* Return: 1 when more of it is left for the next slice; 0 gone; negative errno. */
static int remove_some(struct slice *sl, const char *path)
{
        int r = remove_file(sl, path);

        if (r != -EISDIR)
                return r;
        sl->files++;
        sl->dir = path;
        r = file_list(path, remove_in_folder, sl);
        if (r > 0)
                return 1;
        return file_remove_tree(path); /* what is left of it is empty */
}

static struct removal *take_due(struct plog_store *s, int64_t now_mono_ms)
{
        struct removal *due = NULL;

        pthread_mutex_lock(&s->lock);
        ilist_for_each (m, &s->removals, struct removal, link)
                if (m->due_mono_ms <= now_mono_ms) {
                        due = m;
                        ilist_unlink(&m->link);
                        break;
                }
        pthread_mutex_unlock(&s->lock);
        return due;
}

static void put_back(struct plog_store *s, struct removal *m)
{
        pthread_mutex_lock(&s->lock);
        ilist_push_front(&s->removals, &m->link);
        pthread_mutex_unlock(&s->lock);
}

static void complain(const char *path, int error)
{
        diag_limited(DIAG_WARN, "cannot remove %s: %s; it is tried again at the next start", path, strerror(-error));
}

/* Return: false when nothing is due any more. */
static bool remove_slice(struct plog_store *s, int64_t now_mono_ms)
{
        struct slice sl = { 0 };

        while (!slice_is_full(&sl)) {
                struct removal *m = take_due(s, now_mono_ms);
                int r;

                if (!m)
                        return false;
                r = remove_some(&sl, m->path);
                if (r > 0) {
                        put_back(s, m);
                        continue;
                }
                if (r)
                        complain(m->path, r);
                free(m);
        }
        return true;
}

static void remover_run(struct io_job *job)
{
        (void)remove_slice(container_of(job, struct plog_store, remover), clock_mono_ms());
}

static void remover_done(struct io_job *job)
{
        struct plog_store *s = container_of(job, struct plog_store, remover);

        pthread_mutex_lock(&s->lock);
        s->removing = false;
        pthread_cond_broadcast(&s->removing_done);
        pthread_mutex_unlock(&s->lock);
}

void store_remove_later(struct plog_store *s, const char *path, int64_t delay_ms)
{
        size_t len = strlen(path) + 1;
        struct removal *m = malloc(sizeof *m + len);

        if (!m) {
                int r = file_remove_tree(path);

                if (r == -ENOTDIR)
                        r = file_unlink(path);
                if (r)
                        complain(path, r);
                return;
        }
        memcpy(m->path, path, len);
        m->due_mono_ms = clock_mono_ms() + MAX2(delay_ms, (int64_t)0);
        pthread_mutex_lock(&s->lock);
        ilist_push_back(&s->removals, &m->link);
        pthread_mutex_unlock(&s->lock);
}

void removals_tick(struct plog_store *s, int64_t now_mono_ms)
{
        bool submit = false;

        pthread_mutex_lock(&s->lock);
        if (!s->removing)
                ilist_for_each (m, &s->removals, struct removal, link)
                        if (m->due_mono_ms <= now_mono_ms) {
                                submit = s->removing = true;
                                break;
                        }
        pthread_mutex_unlock(&s->lock);
        if (submit)
                iopool_submit(s->pool, &s->remover);
}

void removals_drain(struct plog_store *s)
{
        int64_t end_ms = clock_mono_ms() + DRAIN_MS;
        struct removal *m;

        pthread_mutex_lock(&s->lock);
        while (s->removing)
                pthread_cond_wait(&s->removing_done, &s->lock);
        pthread_mutex_unlock(&s->lock);
        while (clock_mono_ms() < end_ms && remove_slice(s, INT64_MAX))
                ;
        while ((m = take_due(s, INT64_MAX)))
                free(m);
}

void removals_init(struct plog_store *s)
{
        pthread_cond_init(&s->removing_done, NULL);
        ilist_init(&s->removals);
        s->remover.run = remover_run;
        s->remover.done = remover_done;
}

void removals_fini(struct plog_store *s)
{
        pthread_cond_destroy(&s->removing_done);
}
