/* Durations in logarithmic buckets (16 to an octave: an error of at most 4.5 %), over all time and over a sliding window
 * of about a minute for quantiles. Recording is one writer's and costs a few plain additions; reading is any thread's and
 * sees counts of a moment ago. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/macros.h"

enum {
        LATENCY_SUB_BITS = 4, /* 16 buckets to an octave */
        LATENCY_OCTAVES = 28, /* from 1 us to 134 s and a last one for all beyond */
        LATENCY_BUCKETS = LATENCY_OCTAVES << LATENCY_SUB_BITS,
        LATENCY_SLICES = 7, /* of LATENCY_SLICE_MS each; the oldest is being cleared */
        LATENCY_SLICE_MS = 10000,
};

struct latency {
        _Atomic uint64_t count, sum_ns; /* since the start */
        _Atomic int64_t slice_number;   /* time / LATENCY_SLICE_MS of the slice written last */
        _Atomic uint32_t slices[LATENCY_SLICES][LATENCY_BUCKETS];
};

/* Count one duration. One writer at a time. @now_ms: monotonic. */
void latency_record(struct latency *l, int64_t duration_ns, int64_t now_ms);

/* Several writers' counts laid over each other. */
struct latency_view {
        uint64_t count, sum_ns; /* since the start */
        uint64_t window_count;
        uint64_t window[LATENCY_BUCKETS];
};
/* Add @l's counts of about the last minute to @v (zeroed by the caller at first). */
void latency_add(const struct latency *l, int64_t now_ms, struct latency_view *v);
/* The duration in seconds below which @quantile (0..1) of the window lies; NaN when the window is empty. */
double latency_quantile(const struct latency_view *v, double quantile);
