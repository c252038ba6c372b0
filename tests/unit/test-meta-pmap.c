/* Goal: a map is what a plain array would be, whatever is done to it, and no version changes under another one's feet.
 * Method: random operations on eight versions beside eight arrays; differences against a full comparison; every
 * allocation made to fail in turn. The seed is printed on a failure. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "meta/pmap.h"
#include "unit.h"

#define KEYS 300
#define VERSIONS 8

struct item {
        int key;
        int refs;
};

static long allocations_left = -1; /* -1: never fail */
static long items_alive;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
        if (allocations_left >= 0 && allocations_left-- == 0)
                return NULL;
        return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return __real_realloc(p, size);
}

static const void *item_key(const void *value)
{
        return &((const struct item *)value)->key;
}

static int item_compare(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

static void item_ref(void *value)
{
        ((struct item *)value)->refs++;
}

static void item_unref(void *value)
{
        struct item *i = value;

        if (!--i->refs) {
                items_alive--;
                free(i);
        }
}

static const struct pmap_ops ops = { item_key, item_compare, item_ref, item_unref };

static struct item *item_new(int key)
{
        struct item *i = __real_malloc(sizeof *i);

        *i = (struct item){ key, 1 };
        items_alive++;
        return i;
}

static uint64_t rng_state;

static unsigned rng(unsigned below)
{
        rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng_state >> 33) % below;
}

/* The model: the item of each key, not counted. */
typedef struct item *model[KEYS];

static bool same(const struct pmap *m, model want)
{
        unsigned count = 0;
        struct item *v;
        int k = 0;

        pmap_for_each (it, v, m) {
                while (k < KEYS && !want[k])
                        k++;
                if (k == KEYS || want[k] != v)
                        return false;
                k++;
        }
        for (int i = 0; i < KEYS; i++) {
                count += !!want[i];
                if (pmap_get(m, &i) != want[i])
                        return false;
        }
        return count == m->count && pmap_is_sound(m);
}

struct diff_check {
        struct item **a, **b;
        int next;
        bool ok;
};

static int diff_found(void *arg, void *a, void *b)
{
        struct diff_check *c = arg;
        int key = ((struct item *)(a ? a : b))->key;

        for (; c->next < key; c->next++)
                c->ok &= c->a[c->next] == c->b[c->next];
        c->ok &= key == c->next && c->a[key] == a && c->b[key] == b && a != b;
        c->next = key + 1;
        return 0;
}

static bool diff_is_right(const struct pmap *ma, const struct pmap *mb, model a, model b)
{
        struct diff_check c = { a, b, 0, true };

        if (pmap_diff(ma, mb, diff_found, &c))
                return false;
        for (; c.next < KEYS; c.next++)
                c.ok &= a[c.next] == b[c.next];
        return c.ok;
}

static void test_random(void)
{
        for (uint64_t seed = 1; seed <= 20; seed++) {
                struct pmap maps[VERSIONS];
                model models[VERSIONS];
                bool ok = true;

                rng_state = seed;
                memset(models, 0, sizeof models);
                for (int v = 0; v < VERSIONS; v++)
                        pmap_init(&maps[v], &ops);
                for (int step = 0; step < 3000 && ok; step++) {
                        unsigned v = rng(VERSIONS), w = rng(VERSIONS);
                        int key = (int)rng(KEYS);
                        unsigned what = rng(100);

                        if (what < 2) { /* version w becomes a copy of v */
                                if (v == w)
                                        continue;
                                pmap_fini(&maps[w]);
                                maps[w] = pmap_copy(&maps[v]);
                                memcpy(models[w], models[v], sizeof models[v]);
                        } else if (what < 55) {
                                struct item *i = item_new(key);

                                ok &= !pmap_put(&maps[v], i);
                                models[v][key] = i;
                                item_unref(i);
                        } else {
                                ok &= pmap_remove(&maps[v], &key) == (models[v][key] ? 0 : -ENOENT);
                                models[v][key] = NULL;
                        }
                        if (step % 50 == 0) {
                                for (int x = 0; x < VERSIONS; x++)
                                        ok &= same(&maps[x], models[x]);
                                ok &= diff_is_right(&maps[v], &maps[w], models[v], models[w]);
                        }
                }
                if (!ok)
                        printf("seed %llu ", (unsigned long long)seed);
                CU_ASSERT(ok);
                for (int v = 0; v < VERSIONS; v++)
                        pmap_fini(&maps[v]);
                CU_ASSERT_EQUAL(items_alive, 0);
        }
}

static void test_lower_bound(void)
{
        struct pmap m;
        struct pmap_iter it;

        pmap_init(&m, &ops);
        for (int k = 0; k < KEYS; k += 3) {
                struct item *i = item_new(k);

                pmap_put(&m, i);
                item_unref(i);
        }
        for (int from = -1; from <= KEYS; from++) {
                int want = (MAX2(from, 0) + 2) / 3 * 3;
                struct item *i;

                pmap_iter_init(&it, &m, &from);
                i = pmap_next(&it);
                CU_ASSERT_EQUAL(i ? i->key : -1, want < KEYS ? want : -1);
        }
        pmap_fini(&m);
}

/* A change of one key must not visit the whole map. */
static int diff_count(void *arg, void *a, void *b)
{
        (*(int *)arg)++;
        return 0;
}

static int compares;

static int counting_compare(const void *a, const void *b)
{
        compares++;
        return item_compare(a, b);
}

static void test_cost(void)
{
        static const struct pmap_ops counting = { item_key, counting_compare, item_ref, item_unref };
        struct pmap m, n;
        int found = 0;

        pmap_init(&m, &counting);
        for (int k = 0; k < 100000; k++) {
                struct item *i = item_new(k);

                pmap_put(&m, i);
                item_unref(i);
        }
        n = pmap_copy(&m);
        for (int k = 500; k < 50000; k += 20000) {
                struct item *i = item_new(k);

                pmap_put(&n, i);
                item_unref(i);
        }
        compares = 0;
        pmap_diff(&m, &n, diff_count, &found);
        CU_ASSERT_EQUAL(found, 3);
        CU_ASSERT(compares < 500);
        pmap_fini(&m);
        pmap_fini(&n);
        CU_ASSERT_EQUAL(items_alive, 0);
}

/* After a failed put the map is as before; after a failed removal it can still be freed, and a sharer sees nothing. */
static void test_no_memory(void)
{
        int r;

        for (int remove = 0; remove < 2; remove++)
                for (long n = 0;; n++) {
                        struct pmap m, shared;
                        model want = { 0 };
                        struct item *i = item_new(77);
                        int key = 128;

                        pmap_init(&m, &ops);
                        for (int k = 0; k < 256; k += 2) {
                                struct item *j = item_new(k);

                                pmap_put(&m, j);
                                want[k] = j;
                                item_unref(j);
                        }
                        shared = pmap_copy(&m);
                        allocations_left = n;
                        r = remove ? pmap_remove(&m, &key) : pmap_put(&m, i);
                        allocations_left = -1;
                        CU_ASSERT(same(&shared, want));
                        if (r) {
                                CU_ASSERT_EQUAL(r, -ENOMEM);
                                CU_ASSERT(remove || same(&m, want));
                        }
                        item_unref(i);
                        pmap_fini(&m);
                        pmap_fini(&shared);
                        CU_ASSERT_EQUAL(items_alive, 0);
                        if (!r) {
                                CU_ASSERT(n > 0);
                                break;
                        }
                }
}

static const struct unit_case cases[] = {
        { "random operations on many versions", test_random },
        { "iteration starts anywhere", test_lower_bound },
        { "a difference costs what differs", test_cost },
        { "every allocation may fail", test_no_memory },
};
UNIT_MAIN("pmap", cases)
