/* Incremental fetch sessions. Sources: KIP-227; behaviour of the epoch: 0 starts, -1 ends, else the next number, which
 * goes from its maximum back to 1.
 *
 * A partition keeps its place in the session's serving order until it was served; then it goes to the end, so that one
 * busy partition cannot starve the others when a response is small. */
#include "handler/fetch_session.h"

#include <errno.h>
#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "sys/clock.h"

enum {
        EPOCH_NEW = 0,
        EPOCH_END = -1,
        EVICTION_AGE_MS = 120000, /* unused for longer: may go; in the cache for less: stays (Kafka's default) */
};

struct session_topic {
        struct uuid id;
        char *name; /* NULL when by id */
        size_t name_len;
        unsigned uses;
        UT_hash_handle hh; /* by id or by name */
};

struct partition_key {
        struct session_topic *topic;
        int64_t index; /* wide, so that the key has no padding */
};

struct session_partition {
        struct partition_key key;
        struct ilist order;
        int32_t current_leader_epoch, last_fetched_epoch, max_bytes;
        int64_t fetch_offset;
        int64_t known_high_watermark, known_start_offset; /* what the client was told last */
        UT_hash_handle hh;
};

struct fetch_session {
        struct ilist lru; /* oldest use first; cache's lock */
        unsigned refs;    /* cache's lock */
        bool cached;      /* cache's lock */
        int32_t id;
        bool by_id;
        int64_t used_ms, created_ms; /* cache's lock */
        UT_hash_handle hh;

        pthread_mutex_t lock; /* guards all below */
        int32_t epoch;        /* expected next */
        struct session_topic *topics;
        struct session_partition *partitions;
        struct ilist order;
        size_t partitions_count;
        size_t counted; /* partitions as counted in the cache's total; cache's lock */
};

struct fetch_sessions {
        pthread_mutex_t lock; /* guards all below; taken before a session's lock, never while one is held */
        struct fetch_session *by_id;
        struct ilist lru;
        unsigned slots, count;
        size_t partitions_max, partitions_count;
};

/* ---- one session ---- */

static int32_t epoch_next(int32_t epoch)
{
        return epoch == INT32_MAX ? 1 : epoch + 1;
}

/* NOLINTBEGIN(clang-analyzer-core.*): the analyzer does not follow uthash's links and the bytes of its keys. */
static struct session_topic *topic_find(struct fetch_session *s, const struct fetch_topic_ref *ref)
{
        struct session_topic *t;

        if (s->by_id)
                HASH_FIND(hh, s->topics, &ref->id, sizeof ref->id, t);
        else
                HASH_FIND(hh, s->topics, ref->name.p, ref->name.len, t);
        return t;
}

static struct session_topic *topic_add(struct fetch_session *s, const struct fetch_topic_ref *ref)
{
        struct session_topic *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->id = ref->id;
        if (s->by_id) {
                HASH_ADD(hh, s->topics, id, sizeof t->id, t);
                return t;
        }
        t->name = malloc(ref->name.len + 1);
        if (!t->name) {
                free(t);
                return NULL;
        }
        memcpy(t->name, ref->name.p, ref->name.len);
        t->name_len = ref->name.len;
        HASH_ADD_KEYPTR(hh, s->topics, t->name, t->name_len, t);
        return t;
}

static void topic_unuse(struct fetch_session *s, struct session_topic *t)
{
        if (t->uses)
                t->uses--;
        if (t->uses)
                return;
        HASH_DEL(s->topics, t);
        free(t->name);
        free(t);
}

static struct session_partition *partition_find(struct fetch_session *s, const struct fetch_topic_ref *ref,
                                                int32_t index)
{
        struct partition_key key = { topic_find(s, ref), index };
        struct session_partition *p = NULL;

        if (key.topic)
                HASH_FIND(hh, s->partitions, &key, sizeof key, p);
        return p;
}

static void partition_drop(struct fetch_session *s, struct session_partition *p)
{
        HASH_DEL(s->partitions, p);
        ilist_unlink(&p->order);
        topic_unuse(s, p->key.topic);
        s->partitions_count--;
        free(p);
}

/* NOLINTEND(clang-analyzer-core.*) */

/* Add or change a partition as the client says. */
static int partition_set(struct fetch_session *s, const struct fetch_item *item)
{
        struct session_partition *p = partition_find(s, &item->topic, item->index);
        struct session_topic *t;

        if (!p) {
                t = topic_find(s, &item->topic);
                if (!t)
                        t = topic_add(s, &item->topic);
                if (!t)
                        return -ENOMEM;
                p = calloc(1, sizeof *p);
                if (!p) {
                        if (!t->uses)
                                topic_unuse(s, t);
                        return -ENOMEM;
                }
                t->uses++;
                p->key = (struct partition_key){ t, item->index };
                p->known_high_watermark = p->known_start_offset = -1;
                HASH_ADD(hh, s->partitions, key, sizeof p->key, p);
                ilist_push_back(&s->order, &p->order);
                s->partitions_count++;
        }
        p->current_leader_epoch = item->current_leader_epoch;
        p->last_fetched_epoch = item->last_fetched_epoch;
        p->fetch_offset = item->fetch_offset;
        p->max_bytes = item->max_bytes;
        return 0;
}

static struct fetch_session *session_free(struct fetch_session *s)
{
        while (!ilist_is_empty(&s->order))
                partition_drop(s, ilist_first(&s->order, struct session_partition, order));
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
}

static struct fetch_session *session_new(bool by_id)
{
        struct fetch_session *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        ilist_init(&s->lru);
        ilist_init(&s->order);
        pthread_mutex_init(&s->lock, NULL);
        s->refs = 1;
        s->epoch = 1;
        s->by_id = by_id;
        return s;
}

/* ---- the cache ---- */

int fetch_sessions_new(unsigned slots, size_t partitions_max, struct fetch_sessions **ret_sessions)
{
        struct fetch_sessions *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        pthread_mutex_init(&c->lock, NULL);
        ilist_init(&c->lru);
        c->slots = slots;
        c->partitions_max = partitions_max;
        *ret_sessions = c;
        return 0;
}

static void session_unref(struct fetch_sessions *c, struct fetch_session *s)
{
        bool last;

        pthread_mutex_lock(&c->lock);
        last = --s->refs == 0;
        pthread_mutex_unlock(&c->lock);
        if (last)
                session_free(s);
}

/* With the cache's lock: out of the cache; the cache's reference goes to the caller when true. */
static bool cache_drop(struct fetch_sessions *c, struct fetch_session *s)
{
        if (!s->cached)
                return false;
        s->cached = false;
        HASH_DEL(c->by_id, s);
        ilist_unlink(&s->lru);
        c->partitions_count -= s->counted;
        c->count--;
        return true;
}

/* A request of the session was accepted, which holds @partitions_count now. False: that is more than there is room for,
 * and the session is dropped. */
static bool cache_use(struct fetch_sessions *c, struct fetch_session *s, size_t partitions_count, int64_t now_ms)
{
        bool dropped = false;

        pthread_mutex_lock(&c->lock);
        if (s->cached) {
                s->used_ms = now_ms;
                ilist_unlink(&s->lru);
                ilist_push_back(&c->lru, &s->lru);
                c->partitions_count += partitions_count - s->counted;
                s->counted = partitions_count;
                if (c->partitions_count > c->partitions_max)
                        dropped = cache_drop(c, s);
        }
        pthread_mutex_unlock(&c->lock);
        if (dropped)
                session_unref(c, s);
        return !dropped;
}

struct fetch_sessions *fetch_sessions_free(struct fetch_sessions *c)
{
        struct fetch_session *s;

        if (!c)
                return NULL;
        while ((s = ilist_first(&c->lru, struct fetch_session, lru))) {
                cache_drop(c, s);
                assert(s->refs == 1);
                session_free(s);
        }
        pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
}

static struct fetch_session *cache_get(struct fetch_sessions *c, int32_t id)
{
        struct fetch_session *s;

        pthread_mutex_lock(&c->lock);
        HASH_FIND(hh, c->by_id, &id, sizeof id, s);
        if (s)
                s->refs++;
        pthread_mutex_unlock(&c->lock);
        return s;
}

static void cache_remove_id(struct fetch_sessions *c, int32_t id)
{
        struct fetch_session *s;
        bool dropped = false;

        if (!id)
                return;
        pthread_mutex_lock(&c->lock);
        HASH_FIND(hh, c->by_id, &id, sizeof id, s);
        if (s)
                dropped = cache_drop(c, s);
        pthread_mutex_unlock(&c->lock);
        if (dropped)
                session_unref(c, s);
}

static bool cache_fits(const struct fetch_sessions *c, size_t sessions, size_t partitions)
{
        return sessions < c->slots && partitions <= c->partitions_max;
}

/* With the cache's lock: of the sessions from @from on, which are in use, the smallest that is not new and smaller than
 * @size. NULL when there is none. Walks the whole cache, which is bounded. */
static struct fetch_session *cache_smallest(struct fetch_sessions *c, struct ilist *from, size_t size, int64_t now_ms)
{
        struct fetch_session *smallest = NULL;

        for (struct ilist *at = from; at != &c->lru; at = at->next) {
                struct fetch_session *s = ilist_entry(at, struct fetch_session, lru);

                if (now_ms - s->created_ms > EVICTION_AGE_MS && s->counted < (smallest ? smallest->counted : size))
                        smallest = s;
        }
        return smallest;
}

/* With the cache's lock: make room for a session of @size partitions as KIP-227 says. Those that nobody used for a while
 * go, the longest unused first; when that is not enough, also one that is in use, but not new, and smaller. A new one
 * never goes for another new one: two clients would chase each other. Nobody goes in vain. The cache's references go
 * to the caller on @ret_victims. */
static bool cache_make_room(struct fetch_sessions *c, size_t size, int64_t now_ms, struct ilist *ret_victims)
{
        size_t sessions = c->count, partitions = c->partitions_count + size;
        struct fetch_session *smaller = NULL;
        struct ilist *end = c->lru.next; /* those before it go */

        for (; end != &c->lru && !cache_fits(c, sessions, partitions); end = end->next) {
                const struct fetch_session *s = ilist_entry(end, struct fetch_session, lru);

                if (now_ms - s->used_ms <= EVICTION_AGE_MS)
                        break;
                sessions--;
                partitions -= s->counted;
        }
        if (!cache_fits(c, sessions, partitions)) {
                smaller = cache_smallest(c, end, size, now_ms);
                if (!smaller || !cache_fits(c, sessions - 1, partitions - smaller->counted))
                        return false;
        }
        while (c->lru.next != end) {
                struct fetch_session *s = ilist_first(&c->lru, struct fetch_session, lru);

                cache_drop(c, s);
                ilist_push_back(ret_victims, &s->lru);
        }
        if (smaller) {
                cache_drop(c, smaller);
                ilist_push_back(ret_victims, &smaller->lru);
        }
        return true;
}

/* With the cache's lock: a random id that is neither 0 nor taken. */
static int32_t cache_new_id(struct fetch_sessions *c)
{
        struct fetch_session *taken;
        int32_t id;

        do {
                id = (int32_t)(random_u64() & INT32_MAX);
                HASH_FIND(hh, c->by_id, &id, sizeof id, taken);
        } while (id == 0 || taken);
        return id;
}

unsigned fetch_sessions_count(struct fetch_sessions *c)
{
        unsigned n;

        pthread_mutex_lock(&c->lock);
        n = c->count;
        pthread_mutex_unlock(&c->lock);
        return n;
}

/* ---- begin ---- */

/* With the session's lock: copy what it wants into the plan, names included: the session may change meanwhile. */
static int plan_from_session(struct fetch_session *s, struct arena *a, struct fetch_plan *plan)
{
        struct session_topic *copied = NULL;
        struct str copied_name = STR_NULL;
        size_t n = 0;

        plan->items = ARENA_NEW_ARRAY(a, struct fetch_item, s->partitions_count);
        if (!plan->items)
                return -ENOMEM;
        ilist_for_each (p, &s->order, struct session_partition, order) {
                struct fetch_item *item = &plan->items[n++];
                struct session_topic *t = p->key.topic;

                if (t->name && t != copied) {
                        copied = t;
                        copied_name = (struct str){ arena_memdup(a, t->name, t->name_len), t->name_len };
                        if (!copied_name.p)
                                return -ENOMEM;
                }
                item->topic = (struct fetch_topic_ref){ t->id, t->name ? copied_name : STR_NULL };
                item->index = (int32_t)p->key.index;
                item->current_leader_epoch = p->current_leader_epoch;
                item->last_fetched_epoch = p->last_fetched_epoch;
                item->fetch_offset = p->fetch_offset;
                item->max_bytes = p->max_bytes;
        }
        plan->items_count = n;
        return 0;
}

/* With the session's lock: take over what the request changes. */
static int session_update(struct fetch_session *s, const struct fetch_session_request *rq)
{
        int r;

        for (size_t i = 0; i < rq->items_count; i++) {
                r = partition_set(s, &rq->items[i]);
                if (r)
                        return r;
        }
        for (size_t i = 0; i < rq->forgets_count; i++) {
                struct session_partition *p = partition_find(s, &rq->forgets[i].topic, rq->forgets[i].index);

                if (p)
                        partition_drop(s, p);
        }
        s->epoch = epoch_next(s->epoch);
        return 0;
}

static int begin_incremental(struct fetch_sessions *c, const struct fetch_session_request *rq, struct arena *a,
                             int64_t now_ms, struct fetch_plan *plan)
{
        struct fetch_session *s = cache_get(c, rq->session_id);
        size_t count;
        int r = 0;

        if (!s)
                return FETCH_SESSION_E_NOT_FOUND;
        pthread_mutex_lock(&s->lock);
        if (s->epoch != rq->epoch)
                r = FETCH_SESSION_E_EPOCH;
        else if (s->by_id != rq->by_id)
                r = FETCH_SESSION_E_TOPIC_ID;
        if (r == 0)
                r = session_update(s, rq);
        if (r == 0)
                r = plan_from_session(s, a, plan);
        count = s->partitions_count;
        pthread_mutex_unlock(&s->lock);

        /* Without room for what it has become the client is told to start anew: it gets full responses then. */
        if (r == 0 && !cache_use(c, s, count, now_ms))
                r = FETCH_SESSION_E_NOT_FOUND;
        if (r == 0 && count == 0)
                cache_remove_id(c, rq->session_id); /* nothing left to remember: answered without a session */
        if (r || count == 0) {
                session_unref(c, s);
                return r;
        }
        plan->incremental = true;
        plan->session = s;
        return 0;
}

int fetch_session_begin(struct fetch_sessions *c, const struct fetch_session_request *rq, struct arena *a,
                        int64_t now_ms, struct fetch_plan *ret_plan)
{
        struct fetch_plan plan = { .by_id = rq->by_id };
        int r;

        if (rq->epoch != EPOCH_NEW && rq->epoch != EPOCH_END) {
                r = begin_incremental(c, rq, a, now_ms, &plan);
                if (r)
                        return r;
        } else {
                cache_remove_id(c, rq->session_id);
                plan.may_create = rq->epoch == EPOCH_NEW;
                plan.items_count = rq->items_count;
                plan.items = arena_memdup(a, rq->items, rq->items_count * sizeof *rq->items);
                if (!plan.items)
                        return -ENOMEM;
        }
        *ret_plan = plan;
        return 0;
}

/* ---- finish ---- */

static void session_remember(struct fetch_session *s, const struct fetch_item *item)
{
        struct session_partition *p = partition_find(s, &item->topic, item->index);

        if (!p)
                return; /* forgotten by a later request */
        p->known_high_watermark = item->high_watermark;
        p->known_start_offset = item->start_offset;
        if (item->records_len) {
                ilist_unlink(&p->order);
                ilist_push_back(&s->order, &p->order);
        }
}

static bool item_has_news(struct fetch_session *s, const struct fetch_item *item)
{
        const struct session_partition *p = partition_find(s, &item->topic, item->index);

        return !p || item->error || item->records_len || item->elsewhere || item->diverging_epoch >= 0 ||
               p->known_high_watermark != item->high_watermark || p->known_start_offset != item->start_offset;
}

static int32_t finish_incremental(struct fetch_sessions *c, struct fetch_plan *plan)
{
        struct fetch_session *s = TAKE_PTR(plan->session);
        int32_t id = s->id;

        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < plan->items_count; i++) {
                struct fetch_item *item = &plan->items[i];

                item->include = item_has_news(s, item);
                if (item->include)
                        session_remember(s, item);
        }
        pthread_mutex_unlock(&s->lock);
        session_unref(c, s);
        return id;
}

/* Make a session filled with the plan's items. Return: its id, or 0 when there is no room (or memory). The id is read
 * under the lock: from then on another thread may evict the session. */
static int32_t session_create(struct fetch_sessions *c, const struct fetch_plan *plan, int64_t now_ms)
{
        struct fetch_session *s = session_new(plan->by_id);
        struct ilist victims = ILIST_INIT(victims), *node;
        int32_t id = 0;

        if (!s)
                return 0;
        for (size_t i = 0; i < plan->items_count; i++)
                if (partition_set(s, &plan->items[i]) < 0) {
                        session_free(s);
                        return 0;
                }
        for (size_t i = 0; i < plan->items_count; i++)
                session_remember(s, &plan->items[i]);
        pthread_mutex_lock(&c->lock);
        if (cache_make_room(c, s->partitions_count, now_ms, &victims)) {
                id = s->id = cache_new_id(c);
                s->used_ms = s->created_ms = now_ms;
                s->cached = true;
                s->counted = s->partitions_count;
                c->partitions_count += s->counted;
                c->count++;
                HASH_ADD(hh, c->by_id, id, sizeof s->id, s);
                ilist_push_back(&c->lru, &s->lru);
        }
        pthread_mutex_unlock(&c->lock);
        while ((node = ilist_pop_front(&victims)))
                session_unref(c, ilist_entry(node, struct fetch_session, lru));
        if (!id)
                session_free(s);
        return id;
}

int32_t fetch_session_finish(struct fetch_sessions *c, struct fetch_plan *plan, int64_t now_ms)
{
        if (plan->incremental)
                return finish_incremental(c, plan);
        for (size_t i = 0; i < plan->items_count; i++)
                plan->items[i].include = true;
        if (!plan->may_create || plan->items_count == 0)
                return 0;
        return session_create(c, plan, now_ms);
}

void fetch_session_abandon(struct fetch_sessions *c, struct fetch_plan *plan)
{
        if (plan->session)
                session_unref(c, TAKE_PTR(plan->session));
}
