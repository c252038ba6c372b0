/* Durations kept one by one, and the small things that every command needs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "load.h"

void die(const char *fmt, ...)
{
        va_list ap;

        fprintf(stderr, "bench-load: ");
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fprintf(stderr, "\n");
        exit(1);
}

void *must_alloc(size_t count, size_t size)
{
        void *p = calloc(count, size);

        if (!p)
                die("out of memory");
        return p;
}

int64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void samples_add(struct samples *s, int64_t duration_ns)
{
        if (s->count == s->size) {
                s->size = s->size ? s->size * 2 : 4096;
                s->us = realloc(s->us, s->size * sizeof(*s->us));
                if (!s->us)
                        die("out of memory");
        }
        s->us[s->count++] = (uint32_t)MIN2(duration_ns / 1000, (int64_t)UINT32_MAX);
        s->sorted = false;
}

static int compare_us(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

double samples_quantile_ms(struct samples *s, double quantile)
{
        if (!s->count)
                return 0;
        if (!s->sorted)
                qsort(s->us, s->count, sizeof(*s->us), compare_us);
        s->sorted = true;
        return s->us[(size_t)((double)(s->count - 1) * quantile)] / 1e3;
}

void samples_fini(struct samples *s)
{
        free(s->us);
        *s = (struct samples){ 0 };
}
