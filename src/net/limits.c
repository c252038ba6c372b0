/* Connections in all and of one address, counted over all reactors. Asked only when a connection comes or goes. */
#include <errno.h>
#include <string.h>

#include "net/net_internal.h"
#include "sys/clock.h"

enum { BUCKETS = 1024 };

struct address_count {
        struct address_count *next;
        uint8_t key[16];
        unsigned count;
};

struct net_limits {
        pthread_mutex_t lock; /* guards everything below; a leaf */
        unsigned total, total_max, per_ip_max;
        uint64_t seed; /* so that peers cannot choose addresses of one bucket */
        struct address_count *buckets[BUCKETS];
};

struct net_limits *net_limits_new(unsigned total_max, unsigned per_ip_max)
{
        struct net_limits *l = calloc(1, sizeof *l);

        if (!l)
                return NULL;
        pthread_mutex_init(&l->lock, NULL);
        l->total_max = total_max;
        l->per_ip_max = per_ip_max;
        l->seed = random_u64();
        return l;
}

struct net_limits *net_limits_free(struct net_limits *l)
{
        if (!l)
                return NULL;
        for (size_t i = 0; i < BUCKETS; i++)
                while (l->buckets[i]) {
                        struct address_count *a = l->buckets[i];

                        l->buckets[i] = a->next;
                        free(a);
                }
        pthread_mutex_destroy(&l->lock);
        free(l);
        return NULL;
}

/* The place that points to the entry of @key, or where it would be appended. */
static struct address_count **find(struct net_limits *l, const uint8_t key[16])
{
        struct address_count **at;
        uint64_t high, low, hash;

        memcpy(&high, key, 8);
        memcpy(&low, key + 8, 8);
        hash = (high ^ l->seed) * 0x9e3779b97f4a7c15u;
        hash = (hash ^ hash >> 29 ^ low) * 0xbf58476d1ce4e5b9u;
        for (at = &l->buckets[(hash >> 32) % BUCKETS]; *at && memcmp((*at)->key, key, 16); at = &(*at)->next)
                ;
        return at;
}

static int take_locked(struct net_limits *l, const uint8_t key[16])
{
        struct address_count **at;

        if (l->total >= l->total_max)
                return LIMITS_E_TOTAL;
        at = find(l, key);
        if (*at && (*at)->count >= l->per_ip_max)
                return LIMITS_E_PER_IP;
        if (!*at) {
                *at = calloc(1, sizeof **at);
                if (!*at)
                        return -ENOMEM;
                memcpy((*at)->key, key, 16);
        }
        (*at)->count++;
        l->total++;
        return LIMITS_OK;
}

int net_limits_take(struct net_limits *l, const uint8_t key[16])
{
        int r;

        pthread_mutex_lock(&l->lock);
        r = take_locked(l, key);
        pthread_mutex_unlock(&l->lock);
        return r;
}

void net_limits_give(struct net_limits *l, const uint8_t key[16])
{
        struct address_count **at, *a;

        pthread_mutex_lock(&l->lock);
        at = find(l, key);
        a = *at;
        assert(a && a->count && l->total);
        l->total--;
        if (!--a->count) {
                *at = a->next;
                free(a);
        }
        pthread_mutex_unlock(&l->lock);
}
