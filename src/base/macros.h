/* Small things that C lacks. Always-on assertions come from <assert.h>: NDEBUG is never defined in this project. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define MIN2(a, b) \
        ({ \
                __typeof__(a) a_ = (a); \
                __typeof__(b) b_ = (b); \
                a_ < b_ ? a_ : b_; \
        })
#define MAX2(a, b) \
        ({ \
                __typeof__(a) a_ = (a); \
                __typeof__(b) b_ = (b); \
                a_ > b_ ? a_ : b_; \
        })

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))

/* CLEANUP(x_freep) struct x *p = NULL;  calls x_freep(&p) when p leaves scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hand a pointer over: the variable becomes NULL, the value is returned. */
#define TAKE_PTR(p) \
        ({ \
                __typeof__(p) take_ = (p); \
                (p) = NULL; \
                take_; \
        })

/* Defines x_freep() for CLEANUP from `struct x *x_free(struct x *)`. */
#define DEFINE_FREEP(type, free_fn) \
        static inline void free_fn##p(type **p) \
        { \
                if (*p) \
                        free_fn(*p); \
        }

static inline void freep(void *p)
{
        free(*(void **)p);
}
