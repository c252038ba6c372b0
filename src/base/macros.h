/* Small things that C lacks. Always-on assertions come from <assert.h>: NDEBUG is never defined in this project. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Each use gets names of its own, so that they nest. */
#define CMP_PICK_(a, op, b, x, y) \
        ({ \
                __typeof__(a) x = (a); \
                __typeof__(b) y = (b); \
                x op y ? x : y; \
        })
#define CMP_PASTE_(name, n) name##n
#define CMP_NAMED_(a, op, b, n) CMP_PICK_(a, op, b, CMP_PASTE_(a_, n), CMP_PASTE_(b_, n))
#define MIN2(a, b) CMP_NAMED_(a, <, b, __COUNTER__)
#define MAX2(a, b) CMP_NAMED_(a, >, b, __COUNTER__)

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
