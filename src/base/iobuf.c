/* Refcounted byte buffers. */
#include "base/iobuf.h"

struct iobuf *iobuf_new(size_t size)
{
        struct iobuf *b;

        if (size > SIZE_MAX - sizeof *b)
                return NULL;
        b = malloc(sizeof *b + size);
        if (!b)
                return NULL;
        atomic_init(&b->refs, 1);
        b->size = size;
        b->release_fn = NULL;
        b->release_arg = NULL;
        return b;
}

struct iobuf *iobuf_ref(struct iobuf *b)
{
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        return b;
}

struct iobuf *iobuf_unref(struct iobuf *b)
{
        if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        if (b->release_fn)
                b->release_fn(b->release_arg, b->size);
        free(b);
        return NULL;
}
