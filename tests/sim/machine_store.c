/* The metadata of a machine: the store without LMDB, and a log in small segments on a volume that is nearly full, so that who is
 * behind for a minute needs a snapshot. The store stands in for meta/store.c. It holds an image; a commit that has returned is there after a
 * crash, one that was going on is there or not. */
#include <errno.h>
#include <stdio.h>

#include "machine.h"
#include "meta/store.h"
#include "quorum/qlog.h"

/* LOG_LEN: what is left for the log of the smallest cluster.metadata_bytes_max. */
enum { VOLUME_LEN = 16 << 20, LOG_LEN = 4 << 10, SEGMENT_LEN = 2 << 10 };

struct meta_store {
        struct machine *machine;
};

static void wait_a_while(struct machine *m)
{
        if (m->sync_ns && fiber_here())
                fiber_sleep(m->sync_ns / 2 + chance_below(&m->chance, (uint64_t)m->sync_ns));
}

int meta_store_open(const struct meta_store_config *cfg, struct meta_store **ret_store, struct meta_image **ret_image,
                    char *why, size_t why_size)
{
        struct machine *m = machine_here();
        struct meta_store *s = calloc(1, sizeof *s);

        (void)cfg;
        if (why_size)
                why[0] = '\0';
        if (!s)
                return -ENOMEM;
        if (!m->image)
                m->image = meta_image_new_empty();
        s->machine = m;
        *ret_store = s;
        *ret_image = meta_image_ref(m->image);
        return 0;
}

struct meta_store *meta_store_close(struct meta_store *s)
{
        free(s);
        return NULL;
}

int meta_store_commit(struct meta_store *s, struct meta_image *image)
{
        struct machine *m = s->machine;

        wait_a_while(m);
        if (m->store_full)
                return -ENOSPC;
        meta_image_unref(m->image);
        m->image = meta_image_ref(image);
        wait_a_while(m);
        return 0;
}

int64_t meta_store_index(const struct meta_store *s)
{
        return s->machine->image->index;
}

int64_t meta_store_bytes(const struct meta_store *s)
{
        return (int64_t)meta_image_bytes(s->machine->image) + VOLUME_LEN - LOG_LEN;
}

/* ---- the log ---- */

int __real_qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
                     struct qlog **ret_log, char *why, size_t why_size);
int __wrap_qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
                     struct qlog **ret_log, char *why, size_t why_size);
int __wrap_qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
                     struct qlog **ret_log, char *why, size_t why_size)
{
        struct qlog_config small = *cfg;

        small.segment_len = SEGMENT_LEN;
        return __real_qlog_open(&small, fn, arg, ret_log, why, why_size);
}
