#include "handler/quota.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/map.h"
#include "handler/internal.h"
#include "security/principal.h"
#include "sys/clock.h"

enum {
        BURST_S = 10,        /* worth of so many seconds may come at once */
        WAIT_MS_MAX = 30000, /* nobody waits longer at a time; what is left is waited for next time */
        CONNECTION_WAIT_MS_MAX =
                10000,       /* a connection that would wait for longer is closed: its client may come again */
        BUCKETS_MAX = 10000, /* with more, those that are full are forgotten */
};

/* What one client, or all that share a quota, has left. */
struct bucket {
        struct map_node node;
        struct bucket *next;
        enum quota_key key;
        double left; /* below 0: used too much */
        double rate;
        int64_t at_ns;
        size_t name_len;
        char name[];
};

struct quotas {
        pthread_mutex_t lock; /* guards what follows; a leaf */
        struct map map;
        struct bucket *all;
};

int quotas_new(struct quotas **ret_quotas)
{
        struct quotas *q = calloc(1, sizeof *q);

        if (!q)
                return -ENOMEM;
        pthread_mutex_init(&q->lock, NULL);
        map_init(&q->map, random_u64());
        *ret_quotas = q;
        return 0;
}

struct quotas *quotas_free(struct quotas *q)
{
        if (!q)
                return NULL;
        for (struct bucket *b = q->all, *next; b; b = next) {
                next = b->next;
                free(b);
        }
        map_fini(&q->map);
        pthread_mutex_destroy(&q->lock);
        free(q);
        return NULL;
}

/* Is anybody between the names @from and @to? */
static bool any_between(const struct meta_image *image, struct str from, struct str to)
{
        const struct meta_resource_key key = { META_RESOURCE_QUOTA, from };
        const struct meta_configs *c;
        struct pmap_iter it;

        pmap_iter_init(&it, &image->configs, &key);
        c = pmap_next(&it);
        return c && c->key.type == META_RESOURCE_QUOTA && str_compare(c->key.name, to) < 0;
}

/* Those of addresses, "ip" and "ip=...", lie between client ids and users, and are no matter for requests. */
bool quota_any(const struct meta_image *image)
{
        return any_between(image, STR_LIT(""), STR_LIT("ip")) || any_between(image, STR_LIT("ip>"), STR_LIT("v"));
}

/* ---- which quota ---- */

/* Without authentication everybody is the same one. */
static struct str user_of(const struct rq *rq)
{
        return rq->principal ? rq->principal->name : STR_LIT("ANONYMOUS");
}

enum how { NO, NAMED, OTHERS };

/* From the nearest on (KIP-13). */
static const struct {
        enum how user, client;
} levels[] = { { NAMED, NAMED },   { NAMED, OTHERS }, { NAMED, NO }, { OTHERS, NAMED },
               { OTHERS, OTHERS }, { OTHERS, NO },    { NO, NAMED }, { NO, OTHERS } };

static struct quota_entity_part part_of(enum how how, struct str name)
{
        return (struct quota_entity_part){ how != NO, how == NAMED ? name : STR_NULL };
}

/* The limit, and whose it is: who has none of his own shares the name of the level, but counts for himself. False: there is none. */
static bool find(struct rq *rq, enum quota_key key, double *ret_rate, struct str *ret_scope)
{
        struct str client = str_is_null(rq->client_id) ? STR_LIT("") : rq->client_id, user = user_of(rq);

        for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
                struct quota_entity e = { .parts = { [QUOTA_CLIENT_ID] = part_of(levels[i].client, client),
                                                     [QUOTA_USER] = part_of(levels[i].user, user) } };
                struct str name = quota_entity_format(&e, &rq->arena);
                const struct meta_configs *c = name.p ? meta_image_configs(rq->image, META_RESOURCE_QUOTA, name) : NULL;
                struct str value = meta_configs_get(c, str_of(quota_key_name(key)));

                if (str_is_null(value))
                        continue;
                e.parts[QUOTA_CLIENT_ID] = part_of(levels[i].client == NO ? NO : NAMED, client);
                e.parts[QUOTA_USER] = part_of(levels[i].user == NO ? NO : NAMED, user);
                *ret_scope = quota_entity_format(&e, &rq->arena);
                *ret_rate = quota_value(value);
                if (key == QUOTA_REQUEST)
                        *ret_rate /= 100;    /* seconds of a reactor in a second */
                if (str_is_null(*ret_scope)) /* its name is too long to count for itself */
                        *ret_scope = name;
                return true;
        }
        return false;
}

/* ---- what is left of it; with the lock ---- */

/* Who has not used anything for a while has all there is, and need not be remembered. */
static void forget_full(struct quotas *q, int64_t now_ns)
{
        for (struct bucket **at = &q->all, *b; (b = *at);) {
                if (b->left + (double)(now_ns - b->at_ns) / 1e9 * b->rate < b->rate * BURST_S) {
                        at = &b->next;
                        continue;
                }
                *at = b->next;
                map_remove(&q->map, &b->node);
                free(b);
        }
}

static struct bucket *bucket_of(struct quotas *q, enum quota_key key, struct str scope, double rate, int64_t now_ns)
{
        struct bucket *b;

        for (struct map_node *n = map_first(&q->map, scope); n; n = map_next_same(n)) {
                b = container_of(n, struct bucket, node);
                if (b->key == key && b->name_len == scope.len && !memcmp(b->name, scope.p, scope.len))
                        return b;
        }
        if (q->map.count >= BUCKETS_MAX)
                forget_full(q, now_ns);
        b = malloc(sizeof *b + scope.len);
        if (!b)
                return NULL;
        *b = (struct bucket){
                .key = key, .left = rate * BURST_S, .rate = rate, .at_ns = now_ns, .name_len = scope.len
        };
        memcpy(b->name, scope.p, scope.len);
        if (map_insert(&q->map, &b->node, (struct str){ b->name, b->name_len })) {
                free(b);
                return NULL;
        }
        b->next = q->all;
        q->all = b;
        return b;
}

static void refill(struct bucket *b, double rate, int64_t now_ns)
{
        b->left = MIN2(b->left + (double)(now_ns - b->at_ns) / 1e9 * rate, rate * BURST_S);
        b->rate = rate;
        b->at_ns = now_ns;
}

static void wait_for(struct rq *rq, const struct bucket *b)
{
        double wait_ms = b->left < 0 ? -b->left / b->rate * 1000 : 0;

        if (wait_ms > 0)
                rq->throttle_ms = MAX2(rq->throttle_ms, (int32_t)MIN2(wait_ms + 1, (double)WAIT_MS_MAX));
}

bool quota_try(struct rq *rq, enum quota_key key, double amount, bool strict)
{
        struct quotas *q = rq->h->quotas;
        int64_t now_ns = clock_mono_ns();
        struct bucket *b;
        struct str scope;
        bool ok = true;
        double rate;

        if (!rq->has_quotas || !find(rq, key, &rate, &scope))
                return true;
        pthread_mutex_lock(&q->lock);
        b = bucket_of(q, key, scope, rate, now_ns);
        if (b) { /* without memory nobody is held up */
                refill(b, rate, now_ns);
                ok = !strict || b->left > 0;
                if (ok)
                        b->left -= amount;
                wait_for(rq, b);
        }
        pthread_mutex_unlock(&q->lock);
        return ok;
}

void quota_use(struct rq *rq, enum quota_key key, double amount)
{
        (void)quota_try(rq, key, amount, false);
}

/* What it took is known when the request may be gone, so that its client waits with the next one's answer. */
void quota_request(struct rq *rq, void (*fn)(struct rq *rq))
{
        struct quotas *q = rq->h->quotas;
        int64_t begun_ns = clock_mono_ns(), ended_ns;
        char name[QUOTA_NAME_LEN_MAX];
        struct bucket *b;
        struct str scope;
        double rate;

        if (!find(rq, QUOTA_REQUEST, &rate, &scope)) {
                fn(rq);
                return;
        }
        (void)quota_try(rq, QUOTA_REQUEST, 0, false);
        memcpy(name, scope.p, scope.len);
        scope.p = name;
        fn(rq);
        ended_ns = clock_mono_ns();
        pthread_mutex_lock(&q->lock);
        b = bucket_of(q, QUOTA_REQUEST, scope, rate, ended_ns);
        if (b)
                b->left -= (double)(ended_ns - begun_ns) / 1e9;
        pthread_mutex_unlock(&q->lock);
}

/* ---- connections ---- */

/* The rate for an address: its own, or that of all that have none. */
static bool find_for_address(const struct meta_image *image, struct str own, double *ret_rate)
{
        const struct str names[] = { own, STR_LIT("ip") };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                const struct meta_configs *c = meta_image_configs(image, META_RESOURCE_QUOTA, names[i]);
                struct str value = meta_configs_get(c, str_of(quota_key_name(QUOTA_CONNECTION)));

                if (str_is_null(value))
                        continue;
                *ret_rate = quota_value(value);
                return true;
        }
        return false;
}

int64_t quota_connection(struct handler *h, unsigned reactor, const char *host)
{
        const struct meta_image *image = handler_image_peek(h, reactor);
        int64_t now_ns = clock_mono_ns(), wait_ms = 0;
        struct quotas *q = h->quotas;
        struct bucket *b;
        char scope[80];
        struct str own;
        double rate;

        snprintf(scope, sizeof scope, "ip=%s", host);
        own = str_of(scope);
        if (!image || !any_between(image, STR_LIT("ip"), STR_LIT("ip>")) || !find_for_address(image, own, &rate))
                return 0;
        pthread_mutex_lock(&q->lock);
        b = bucket_of(q, QUOTA_CONNECTION, own, rate, now_ns);
        if (b) { /* without memory nobody is held up */
                refill(b, rate, now_ns);
                wait_ms = b->left < 1 ? (int64_t)ceil((1 - b->left) / rate * 1000) : 0;
                if (wait_ms > CONNECTION_WAIT_MS_MAX)
                        wait_ms = -1;
                else
                        b->left -= 1;
        }
        pthread_mutex_unlock(&q->lock);
        return wait_ms;
}
