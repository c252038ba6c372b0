/* A limit on bytes per second: what is over it is a debt, and while there is one nothing more is let through. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct object_rate {
        int64_t per_s; /* 0: no limit */
        int64_t left;  /* bytes that may go at once; negative: the debt */
        int64_t at_ns; /* when that was so */
};

static inline void object_rate_init(struct object_rate *r, int64_t per_s, int64_t now_ns)
{
        *r = (struct object_rate){ .per_s = per_s, .at_ns = now_ns };
}

/* Milliseconds until something may go; 0: now. What was not used adds up to a tenth of a second's worth. */
static inline int64_t object_rate_wait_ms(struct object_rate *r, int64_t now_ns)
{
        double left;

        if (!r->per_s)
                return 0;
        left = (double)r->left + (double)(now_ns - r->at_ns) * (double)r->per_s / 1e9;
        if (left > (double)r->per_s / 10)
                left = (double)r->per_s / 10;
        r->left = (int64_t)left;
        r->at_ns = now_ns;
        return r->left >= 0 ? 0 : 1 + -r->left * 1000 / r->per_s;
}

static inline void object_rate_spend(struct object_rate *r, int64_t bytes)
{
        if (r->per_s)
                r->left -= bytes;
}
