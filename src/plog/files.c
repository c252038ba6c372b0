/* Bounded cache of descriptors; see files.h. Not a cache of contents: that is the kernel's. */
#include "plog/files.h"

#include <fcntl.h>
#include <string.h>

#include "base/err.h"
#include "sys/file.h"

int files_new(unsigned open_max, struct files **ret_files)
{
        struct files *f = calloc(1, sizeof *f);

        if (!f)
                return -ENOMEM;
        atomic_init(&f->refs, 1);
        pthread_mutex_init(&f->lock, NULL);
        ilist_init(&f->open);
        f->open_max = open_max ? open_max : 1;
        *ret_files = f;
        return 0;
}

struct files *files_unref(struct files *f)
{
        if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
                return NULL;
        assert(ilist_is_empty(&f->open));
        pthread_mutex_destroy(&f->lock);
        free(f);
        return NULL;
}

bool files_over_limit(struct files *f)
{
        bool over;

        pthread_mutex_lock(&f->lock);
        over = f->open_count > f->open_max;
        pthread_mutex_unlock(&f->lock);
        return over;
}

unsigned files_open_count(struct files *f)
{
        unsigned n;

        pthread_mutex_lock(&f->lock);
        n = f->open_count;
        pthread_mutex_unlock(&f->lock);
        return n;
}

int pin_file_new(struct files *f, const char *path, struct plog_pin **ret_file)
{
        struct plog_pin *p = calloc(1, sizeof *p);

        if (!p)
                return -ENOMEM;
        p->path = strdup(path);
        if (!p->path) {
                free(p);
                return -ENOMEM;
        }
        atomic_init(&p->refs, 1);
        atomic_init(&p->pins, -1);
        p->fd = -1;
        ilist_init(&p->link);
        atomic_fetch_add(&f->refs, 1);
        p->files = f;
        *ret_file = p;
        return 0;
}

struct plog_pin *pin_file_ref(struct plog_pin *p)
{
        atomic_fetch_add(&p->refs, 1);
        return p;
}

struct plog_pin *pin_file_unref(struct plog_pin *p)
{
        if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
                return NULL;
        assert(atomic_load(&p->pins) <= 0);
        pthread_mutex_lock(&p->files->lock);
        if (p->fd >= 0) {
                ilist_unlink(&p->link);
                p->files->open_count--;
        }
        pthread_mutex_unlock(&p->files->lock);
        file_close(p->fd);
        files_unref(p->files);
        free(p->path);
        free(p);
        return NULL;
}

/* Close files that nobody has pinned until the bound is kept. Each is looked at twice at most: once its mark of use is
 * taken away, once it is closed. */
static void close_some(struct files *f)
{
        for (unsigned looks = 2 * f->open_count; f->open_count > f->open_max && looks; looks--) {
                struct plog_pin *p = ilist_first(&f->open, struct plog_pin, link);
                int none = 0;

                ilist_unlink(&p->link);
                if (atomic_exchange(&p->used, false) || !atomic_compare_exchange_strong(&p->pins, &none, -1)) {
                        ilist_push_back(&f->open, &p->link);
                        continue;
                }
                p->fd = file_close(p->fd);
                f->open_count--;
        }
}

static int pin_closed(struct plog_pin *p, int flags)
{
        struct files *f = p->files;
        int fd, pins;

        pthread_mutex_lock(&f->lock);
        pins = atomic_load(&p->pins);
        if (pins >= 0) { /* another thread opened it meanwhile; no close can happen under this lock */
                atomic_fetch_add(&p->pins, 1);
                fd = p->fd;
        } else {
                fd = file_open(p->path, O_RDWR | flags);
                if (fd >= 0) {
                        file_read_no_ahead(fd);
                        p->fd = fd;
                        ilist_push_back(&f->open, &p->link);
                        f->open_count++;
                        atomic_fetch_add(&f->opened_total, 1);
                        atomic_store(&p->pins, 1);
                        close_some(f);
                }
        }
        pthread_mutex_unlock(&f->lock);
        return fd;
}

int pin_file_pin(struct plog_pin *p, int flags)
{
        int pins = atomic_load(&p->pins);

        while (pins >= 0)
                if (atomic_compare_exchange_weak(&p->pins, &pins, pins + 1)) {
                        if (!atomic_load_explicit(&p->used, memory_order_relaxed))
                                atomic_store_explicit(&p->used, true, memory_order_relaxed);
                        return p->fd;
                }
        return pin_closed(p, flags);
}

void pin_file_unpin(struct plog_pin *p)
{
        int before = atomic_fetch_sub(&p->pins, 1);

        assert(before > 0);
}
