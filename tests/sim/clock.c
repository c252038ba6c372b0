/* Time that only the test moves, and chance from a seed: stands in for sys/clock.c. */
#include "sys/clock.h"

#include <string.h>

#include "host.h"

enum { NS_IN_MS = 1000000 };

static int64_t now_ns;
static struct chance chance;

void sim_clock_reset(uint64_t seed)
{
        now_ns = INT64_C(1000) * NS_IN_MS;
        chance.state = seed;
}

void sim_clock_advance(int64_t ms)
{
        now_ns += ms * NS_IN_MS;
}

int64_t clock_mono_ns(void)
{
        return now_ns += 1000; /* no two moments are the same */
}

int64_t clock_wall_ms(void)
{
        return INT64_C(1700000000000) + now_ns / NS_IN_MS;
}

void random_bytes(void *buf, size_t len)
{
        for (uint8_t *at = buf; len; len--)
                *at++ = (uint8_t)chance_u64(&chance);
}

uint64_t random_u64(void)
{
        return chance_u64(&chance);
}

struct uuid random_uuid(void)
{
        struct uuid u;

        random_bytes(u.b, sizeof u.b);
        u.b[0] = 1; /* never one of Kafka's reserved ones */
        return u;
}
