/* See alloc.h. Linked with --wrap for malloc(), calloc() and realloc(); in this file these names are the real functions. */
#include "alloc.h"

#include <stdlib.h>

#include "disk.h"

static uint64_t left;
static bool failed;

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

void alloc_fail(uint64_t n)
{
        left = n;
        failed = false;
}

bool alloc_has_failed(void)
{
        return failed;
}

static bool is_out(void)
{
        if (!left || disk_is_held() || --left)
                return false;
        failed = true;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return is_out() ? NULL : malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return is_out() ? NULL : calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return is_out() ? NULL : realloc(p, size);
}
