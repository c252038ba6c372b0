/* Chance that is a function of a seed (splitmix64), so that a run can be had again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct chance {
        uint64_t state;
};

/* The next 64 bits. */
static inline uint64_t chance_u64(struct chance *c)
{
        uint64_t z = c->state += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

/* 0 to @below - 1; 0 when @below is 0. */
static inline uint32_t chance_below(struct chance *c, uint64_t below)
{
        return below ? (uint32_t)(chance_u64(c) % below) : 0;
}

/* True once in @n times. */
static inline bool chance_one_in(struct chance *c, uint32_t n)
{
        return chance_below(c, n) == 0;
}

/* A seed of its own for part @n of what @seed makes. */
static inline uint64_t chance_seed(uint64_t seed, uint64_t n)
{
        struct chance c = { seed ^ (n * 0xd1342543de82ef95u) };

        return chance_u64(&c);
}
