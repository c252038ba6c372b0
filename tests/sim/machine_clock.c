/* Time and chance of the machine that runs: stands in for sys/clock.c. */
#include <string.h>

#include "machine.h"
#include "sys/clock.h"

#define EPOCH_MS INT64_C(1700000000000)

enum { LOOK_NS = 60 };

static struct chance *chance_here(void)
{
        return machine_here() ? &machine_here()->chance : &sim_chance;
}

int64_t clock_mono_ns(void)
{
        sim_spend(LOOK_NS); /* no two moments are the same */
        return machine_here() ? machine_mono_ns(machine_here()) : sim_now();
}

int64_t clock_wall_ms(void)
{
        return EPOCH_MS + (machine_here() ? machine_here()->wall_ahead_ms : 0) + sim_now() / MS;
}

void clock_sleep_ms(int64_t ms)
{
        fiber_sleep(ms * MS);
}

void random_bytes(void *buf, size_t len)
{
        for (uint8_t *at = buf; len; len--)
                *at++ = (uint8_t)chance_u64(chance_here());
}

uint64_t random_u64(void)
{
        return chance_u64(chance_here());
}

struct uuid random_uuid(void)
{
        struct uuid u;

        random_bytes(u.b, sizeof u.b);
        u.b[0] = 1; /* never one of Kafka's reserved ones */
        return u;
}
