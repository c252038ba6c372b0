/* Logarithmic buckets over a ring of time slices. */
#include "obs/latency.h"

#include <math.h>

static unsigned bucket_of(uint64_t us)
{
        unsigned octave;

        if (us < 1u << LATENCY_SUB_BITS)
                return (unsigned)us;
        octave = 63 - (unsigned)__builtin_clzll(us);
        octave -= LATENCY_SUB_BITS - 1;
        if (octave >= LATENCY_OCTAVES)
                return LATENCY_BUCKETS - 1;
        return octave << LATENCY_SUB_BITS | (unsigned)(us >> (octave - 1) & ((1u << LATENCY_SUB_BITS) - 1));
}

/* The middle of a bucket in microseconds. */
static double bucket_middle(unsigned bucket)
{
        unsigned octave = bucket >> LATENCY_SUB_BITS, sub = bucket & ((1u << LATENCY_SUB_BITS) - 1);
        double low, width;

        if (octave == 0)
                return sub + 0.5;
        width = (double)(1ull << (octave - 1));
        low = (double)((1u << LATENCY_SUB_BITS) + sub) * width;
        return low + width / 2;
}

static void plus(_Atomic uint64_t *n, uint64_t v)
{
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + v, memory_order_relaxed);
}

/* Time has gone on: clear the slices that begin now. */
static void slices_turn(struct latency *l, int64_t number)
{
        int64_t last = atomic_load_explicit(&l->slice_number, memory_order_relaxed);
        int64_t from = MAX2(last + 1, number - LATENCY_SLICES + 1);

        for (int64_t n = from; n <= number; n++)
                for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
                        atomic_store_explicit(&l->slices[n % LATENCY_SLICES][b], 0, memory_order_relaxed);
        atomic_store_explicit(&l->slice_number, number, memory_order_relaxed);
}

void latency_record(struct latency *l, int64_t duration_ns, int64_t now_ms)
{
        uint64_t ns = duration_ns < 0 ? 0 : (uint64_t)duration_ns;
        int64_t number = now_ms / LATENCY_SLICE_MS;
        _Atomic uint32_t *n;

        if (number > atomic_load_explicit(&l->slice_number, memory_order_relaxed))
                slices_turn(l, number);
        n = &l->slices[number % LATENCY_SLICES][bucket_of(ns / 1000)];
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
        plus(&l->count, 1);
        plus(&l->sum_ns, ns);
}

void latency_add(const struct latency *l, int64_t now_ms, struct latency_view *v)
{
        int64_t number = now_ms / LATENCY_SLICE_MS;
        int64_t last = atomic_load_explicit(&l->slice_number, memory_order_relaxed);

        v->count += atomic_load_explicit(&l->count, memory_order_relaxed);
        v->sum_ns += atomic_load_explicit(&l->sum_ns, memory_order_relaxed);
        /* Slices that are too old were not cleared when nobody wrote since. */
        for (int64_t n = MAX2(number - LATENCY_SLICES + 2, (int64_t)0); n <= MIN2(number, last); n++) {
                if (n <= last - LATENCY_SLICES)
                        continue;
                for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
                        uint32_t c = atomic_load_explicit(&l->slices[n % LATENCY_SLICES][b], memory_order_relaxed);

                        v->window[b] += c;
                        v->window_count += c;
                }
        }
}

double latency_quantile(const struct latency_view *v, double quantile)
{
        uint64_t seen = 0, want = (uint64_t)ceil(quantile * (double)v->window_count);

        if (!v->window_count)
                return NAN;
        want = MAX2(want, (uint64_t)1);
        for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
                seen += v->window[b];
                if (seen >= want)
                        return bucket_middle(b) / 1e6;
        }
        return bucket_middle(LATENCY_BUCKETS - 1) / 1e6;
}
