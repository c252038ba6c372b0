/* Clients by their instance ids. Invariants, with the lock:
 * 1. by_id and by_use hold the same clients; by_use has the one that was not heard of for longest first.
 * 2. A client whose version is not that of the subscriptions is made anew before it is looked at, as in Kafka: what it may do starts
 *    over, so that it can fetch what has changed at once. */
#include "handler/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "conf/limits.h"
#include "handler/telemetry_series.h"
#include "handler/telemetry_subscriptions.h"
#include "obs/expo.h"
#include "sys/clock.h"
#include "wire/codec.h"
#include "wire/errors.h"

enum { KEEP_MS_MIN = 60000, KEEP_INTERVALS = 3, SWEEP_MS = 1000, LABEL_LEN_MAX = 200 };

#define NEVER_MS (INT64_MIN / 2)

struct instance {
        struct map_node node;
        struct ilist link; /* telemetry.by_use */
        struct uuid id;
        uint32_t version;
        int32_t subscription_id, interval_ms;
        int64_t asked_ms, pushed_ms, heard_ms; /* NEVER_MS */
        int16_t last_error;                    /* of a push; a Kafka error code */
        bool terminating;
        struct strbuf labels;   /* that all its series have: client_instance_id="...",client_id="..." */
        struct strbuf software; /* more of them, of the client: ,client_software_name="..." */
        struct strbuf resource; /* likewise, as it says itself */
        struct series_set series;
};

struct telemetry {
        pthread_mutex_t lock; /* guards all that follows */
        struct subscriptions subs;
        struct map by_id;
        struct ilist by_use;
        struct series_budget budget;
        int64_t swept_ms;
        uint64_t pushes, refused_points;
};

int telemetry_new(struct telemetry **ret_telemetry)
{
        struct telemetry *t = calloc(1, sizeof *t);

        if (!t)
                return -ENOMEM;
        pthread_mutex_init(&t->lock, NULL);
        map_init(&t->by_id, random_u64());
        ilist_init(&t->by_use);
        subscriptions_init(&t->subs);
        *ret_telemetry = t;
        return 0;
}

static struct str key_of(const struct uuid *id)
{
        return (struct str){ (const char *)id->b, sizeof id->b };
}

/* ---- clients ---- */

static struct instance *instance_drop(struct telemetry *t, struct instance *i)
{
        map_remove(&t->by_id, &i->node);
        ilist_unlink(&i->link);
        series_set_fini(&i->series);
        strbuf_fini(&i->labels);
        strbuf_fini(&i->software);
        strbuf_fini(&i->resource);
        free(i);
        return NULL;
}

struct telemetry *telemetry_free(struct telemetry *t)
{
        if (!t)
                return NULL;
        ilist_for_each (i, &t->by_use, struct instance, link)
                instance_drop(t, i);
        map_fini(&t->by_id);
        subscriptions_fini(&t->subs);
        pthread_mutex_destroy(&t->lock);
        free(t);
        return NULL;
}

static int64_t keep_ms(const struct instance *i)
{
        return MAX2((int64_t)i->interval_ms * KEEP_INTERVALS, (int64_t)KEEP_MS_MIN);
}

/* Who was not heard of for long, and what was not pushed for long. */
static void sweep(struct telemetry *t, int64_t now_ms)
{
        if (now_ms - t->swept_ms < SWEEP_MS)
                return;
        t->swept_ms = now_ms;
        ilist_for_each (i, &t->by_use, struct instance, link) {
                if (now_ms - i->heard_ms > keep_ms(i))
                        instance_drop(t, i);
                else
                        series_set_expire(&i->series, now_ms - keep_ms(i));
        }
}

static struct instance *find(struct telemetry *t, const struct uuid *id)
{
        for (struct map_node *n = map_first(&t->by_id, key_of(id)); n; n = map_next_same(n)) {
                struct instance *i = container_of(n, struct instance, node);

                if (uuid_equal(i->id, *id))
                        return i;
        }
        return NULL;
}

static void add_label(struct strbuf *out, const char *name, struct str value)
{
        strbuf_printf(out, "%s%s=\"", out->len ? "," : "", name);
        expo_escape(out, utf8_clip(value, LABEL_LEN_MAX));
        strbuf_add_c(out, "\"");
}

static void fill_labels(struct instance *i, const struct telemetry_client *c)
{
        char id[UUID_TEXT_SIZE];

        uuid_format(c->id, id);
        add_label(&i->labels, "client_instance_id", str_of(id));
        add_label(&i->labels, "client_id", c->client_id);
        add_label(&i->software, "client_address", c->host);
        add_label(&i->software, "client_software_name", c->software_name);
        add_label(&i->software, "client_software_version", c->software_version);
}

static struct instance *instance_add(struct telemetry *t, const struct telemetry_client *c)
{
        struct instance *i = calloc(1, sizeof *i), *oldest;

        if (!i)
                return NULL;
        i->id = c->id;
        ilist_init(&i->link);
        series_set_init(&i->series, t->by_id.seed, &t->budget);
        fill_labels(i, c);
        if (i->labels.failed || i->software.failed || map_insert(&t->by_id, &i->node, key_of(&i->id))) {
                strbuf_fini(&i->labels);
                strbuf_fini(&i->software);
                free(i);
                return NULL;
        }
        ilist_push_back(&t->by_use, &i->link);
        oldest = ilist_first(&t->by_use, struct instance, link);
        if (t->by_id.count > LIMIT_CLIENT_INSTANCES && oldest)
                instance_drop(t, oldest);
        return i;
}

/* The client, as of the present subscriptions; heard of now. NULL: no memory. */
static struct instance *instance_of(struct telemetry *t, const struct meta_image *image,
                                    const struct telemetry_client *c, struct arena *mem, int64_t now_ms)
{
        struct telemetry_offer offer;
        struct instance *i;

        sweep(t, now_ms);
        if (subscriptions_refresh(&t->subs, image))
                return NULL;
        i = find(t, &c->id);
        if (!i || i->version != t->subs.version) {
                if (!subscriptions_offer(&t->subs, c, mem, &offer))
                        return NULL;
                i = i ? i : instance_add(t, c);
                if (!i)
                        return NULL;
                i->version = t->subs.version;
                i->subscription_id = offer.subscription_id;
                i->interval_ms = offer.interval_ms;
                i->asked_ms = i->pushed_ms = NEVER_MS;
                i->terminating = false;
                i->last_error = 0;
        }
        i->heard_ms = now_ms;
        ilist_unlink(&i->link);
        ilist_push_back(&t->by_use, &i->link);
        return i;
}

/* ---- asking ---- */

/* Who was refused its last push for what it can learn here may ask at any time. */
static bool may_ask(struct instance *i, int64_t now_ms)
{
        if (now_ms - MAX2(i->asked_ms, i->pushed_ms) >= i->interval_ms) {
                i->asked_ms = now_ms;
                return true;
        }
        return i->last_error == KERR_UNKNOWN_SUBSCRIPTION_ID || i->last_error == KERR_UNSUPPORTED_COMPRESSION_TYPE;
}

static int ask_locked(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                      struct arena *mem, int64_t now_ms, struct telemetry_offer *ret)
{
        struct instance *i = instance_of(t, image, c, mem, now_ms);

        if (!i)
                return -ENOMEM;
        if (!may_ask(i, now_ms))
                return KERR_THROTTLING_QUOTA_EXCEEDED;
        i->last_error = 0;
        return subscriptions_offer(&t->subs, c, mem, ret) ? 0 : -ENOMEM;
}

int telemetry_ask(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                  struct arena *mem, int64_t now_ms, struct telemetry_offer *ret)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = ask_locked(t, image, c, mem, now_ms, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

/* ---- pushing ---- */

/* Clients wait for up to half their interval more or less, so that the first push after asking may come at any time. */
static bool may_push(struct instance *i, int64_t now_ms)
{
        if (i->asked_ms <= i->pushed_ms && now_ms - i->pushed_ms < i->interval_ms)
                return false;
        i->pushed_ms = now_ms;
        return true;
}

static int16_t judge(struct instance *i, const struct telemetry_push *push, int64_t now_ms)
{
        if (i->terminating)
                return KERR_INVALID_REQUEST;
        if (!may_push(i, now_ms) && !push->terminating)
                return KERR_THROTTLING_QUOTA_EXCEEDED;
        if (push->subscription_id != i->subscription_id)
                return KERR_UNKNOWN_SUBSCRIPTION_ID;
        if (push->codec < CODEC_NONE || push->codec >= CODEC_COUNT)
                return KERR_UNSUPPORTED_COMPRESSION_TYPE;
        return push->metrics.len > push->len_max ? KERR_TELEMETRY_TOO_LARGE : 0;
}

static int admit(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                 struct arena *mem, int64_t now_ms, const struct telemetry_push *push)
{
        struct instance *i;
        int r = -ENOMEM;

        pthread_mutex_lock(&t->lock);
        i = instance_of(t, image, c, mem, now_ms);
        if (i) {
                r = i->last_error = judge(i, push, now_ms);
                i->terminating = push->terminating;
        }
        pthread_mutex_unlock(&t->lock);
        return r;
}

struct applying {
        struct telemetry *t;
        struct instance *i;
        int64_t now_ms;
};

static int apply_point(void *arg, const struct otlp_point *p)
{
        struct applying *a = arg;
        int r = series_set_put(&a->i->series, p, a->now_ms);

        if (r == SERIES_E_REFUSED)
                a->t->refused_points++;
        if (!a->i->resource.len)
                series_labels(&a->i->resource, p->resource);
        return r < 0 ? r : 0;
}

/* @metrics was read to its end before, so that a part of it never counts. */
static int apply(struct telemetry *t, const struct telemetry_client *c, struct span metrics, int64_t now_ms)
{
        struct applying a = { .t = t, .now_ms = now_ms };
        int r = 0;

        pthread_mutex_lock(&t->lock);
        a.i = find(t, &c->id);
        if (a.i) { /* else it had to go meanwhile */
                strbuf_fini(&a.i->resource);
                r = otlp_read(metrics, apply_point, &a);
                series_set_expire(&a.i->series, a.now_ms - keep_ms(a.i));
        }
        t->pushes++;
        pthread_mutex_unlock(&t->lock);
        return r;
}

static int look_only(void *arg, const struct otlp_point *p)
{
        (void)arg;
        (void)p;
        return 0;
}

static int take(struct telemetry *t, const struct telemetry_client *c, const struct telemetry_push *push,
                int64_t now_ms)
{
        CLEANUP(strbuf_finip) struct strbuf plain = { 0 };
        int r = codec_decode(push->codec, push->metrics, push->len_max, &plain);
        struct span metrics = span_of(plain.data, plain.len);

        if (r < 0)
                return r == -ENOMEM ? r : KERR_INVALID_RECORD;
        if (r)
                return r == CODEC_E_TOO_LARGE ? KERR_TELEMETRY_TOO_LARGE : KERR_INVALID_RECORD;
        if (otlp_read(metrics, look_only, NULL))
                return KERR_INVALID_RECORD;
        return apply(t, c, metrics, now_ms);
}

int telemetry_push(struct telemetry *t, const struct meta_image *image, const struct telemetry_client *c,
                   struct arena *mem, int64_t now_ms, const struct telemetry_push *push)
{
        int r = admit(t, image, c, mem, now_ms, push);

        return r || !push->metrics.len ? r : take(t, c, push, now_ms);
}

/* ---- telling ---- */

struct told {
        const struct instance *i;
        const struct series *x;
};

static struct str name_of(const struct series *x)
{
        return (struct str){ x->text, x->name_len };
}

static int compare_told(const void *a, const void *b)
{
        return str_compare(name_of(((const struct told *)a)->x), name_of(((const struct told *)b)->x));
}

static void tell_series(struct strbuf *out, const struct told *told, size_t count)
{
        for (size_t k = 0; k < count; k++) {
                const struct series *x = told[k].x;

                if (!k || compare_told(&told[k - 1], &told[k]))
                        strbuf_printf(out, "# HELP %.*s Pushed by clients (KIP-714).\n# TYPE %.*s %s\n",
                                      STR_FMT(name_of(x)), STR_FMT(name_of(x)), x->is_counter ? "counter" : "gauge");
                strbuf_printf(out, "%.*s{%s%.*s}", STR_FMT(name_of(x)), told[k].i->labels.data,
                              (int)(x->text_len - x->name_len), x->text + x->name_len);
                expo_number(out, x->value);
        }
}

/* All of one name have to stand together. */
static void tell_all_series(const struct telemetry *t, struct strbuf *out)
{
        struct told *told = calloc(t->budget.count + 1, sizeof *told);
        size_t n = 0;

        if (!told) {
                out->failed = true;
                return;
        }
        ilist_for_each (i, &t->by_use, struct instance, link)
                ilist_for_each (x, &i->series.all, struct series, link)
                        told[n++] = (struct told){ i, x };
        assert(n == t->budget.count);
        if (n)
                qsort(told, n, sizeof *told, compare_told);
        tell_series(out, told, n);
        free(told);
}

static void tell_clients(const struct telemetry *t, struct strbuf *out)
{
        expo_family(out, "chronik_client_info", "gauge",
                    "Clients that have pushed metrics, with what they say of themselves.");
        ilist_for_each (i, &t->by_use, struct instance, link)
                if (i->series.count)
                        strbuf_printf(out, "chronik_client_info{%s,%s%s} 1\n", i->labels.data, i->software.data,
                                      i->resource.data ? i->resource.data : "");
}

void telemetry_expose(struct telemetry *t, int64_t now_ms, struct strbuf *out)
{
        pthread_mutex_lock(&t->lock);
        sweep(t, now_ms);
        expo_family(out, "chronik_client_instances", "gauge", "Clients that were asked for, or have pushed, metrics.");
        expo_value(out, "chronik_client_instances", "", NULL, (double)t->by_id.count);
        expo_family(out, "chronik_client_pushes_total", "counter", "Pushes of metrics that were taken.");
        expo_value(out, "chronik_client_pushes_total", "", NULL, (double)t->pushes);
        expo_family(out, "chronik_client_points_refused_total", "counter",
                    "Values pushed by clients that were left out: too many, or their names are too long.");
        expo_value(out, "chronik_client_points_refused_total", "", NULL, (double)t->refused_points);
        tell_clients(t, out);
        tell_all_series(t, out);
        pthread_mutex_unlock(&t->lock);
}
