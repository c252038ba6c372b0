/* Time and chance. The simulator replaces them. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

/* Time since an arbitrary start, never going back. */
int64_t clock_mono_ns(void);

static inline int64_t clock_mono_ms(void)
{
        return clock_mono_ns() / 1000000;
}

/* Milliseconds since 1970-01-01 UTC; may jump. */
int64_t clock_wall_ms(void);

/* Does something keep the wall clock in step with others (NTP), as the kernel was told? */
bool clock_is_synchronised(void);

/* Wait. For commands that have nothing else to do; a thread of a server never does (sys/loop.h). */
void clock_sleep_ms(int64_t ms);

/* Fill with unpredictable bytes (getrandom). */
void random_bytes(void *buf, size_t len);
uint64_t random_u64(void);

/* A random version-4 identifier, never one of Kafka's reserved ones (all zero, or last bit only) and never with a
 * leading '-' in its text form, so that it can be typed after a command-line option. */
struct uuid random_uuid(void);
