/* Refcounted bytes: what came off a socket and is still needed by several owners (request, append, response).
 * The count is atomic; the bytes are written by the first owner only, before it shares them. */
#pragma once

#include <stdatomic.h>

#include "base/macros.h"
#include "base/span.h"

struct iobuf {
        atomic_uint refs;
        size_t size; /* bytes at data */
        /* Called with @release_arg after the last unref and before the memory goes (gives a budget back); may be NULL. */
        void (*release_fn)(void *release_arg, size_t size);
        void *release_arg;
        _Alignas(16) uint8_t data[];
};

/* New buffer with one reference and @size uninitialised bytes. NULL when memory is out. */
struct iobuf *iobuf_new(size_t size);
struct iobuf *iobuf_ref(struct iobuf *b);
/* Give one reference back; frees at the last. NULL is fine. Returns NULL. */
struct iobuf *iobuf_unref(struct iobuf *b);

DEFINE_FREEP(struct iobuf, iobuf_unref)
