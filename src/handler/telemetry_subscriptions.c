#include "handler/telemetry_subscriptions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/pattern.h"
#include "conf/client_metrics.h"
#include "conf/limits.h"
#include "meta/image.h"

struct subscription {
        struct meta_configs *configs; /* a reference */
        struct client_metrics m;      /* text is theirs */
        struct pattern *match[CLIENT_METRICS_SELECTORS];
};

void subscriptions_init(struct subscriptions *s)
{
        *s = (struct subscriptions){ .index = -1 };
}

static void subs_free(struct subscription *subs, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                for (int k = 0; k < CLIENT_METRICS_SELECTORS; k++)
                        pattern_free(subs[i].match[k]);
                meta_configs_unref(subs[i].configs);
        }
        free(subs);
}

static int sub_init(struct subscription *s, struct meta_configs *c)
{
        struct conf_pair *pairs = calloc(c->count + 1, sizeof *pairs);
        char why[PATTERN_WHY_SIZE];
        int r = pairs ? 0 : -ENOMEM;

        s->configs = meta_configs_ref(c);
        for (uint32_t i = 0; !r && i < c->count; i++)
                pairs[i] = (struct conf_pair){ c->items[i].name, c->items[i].value };
        if (!r)
                s->m = client_metrics_read((struct conf_pairs){ pairs, c->count });
        for (int k = 0; !r && k < CLIENT_METRICS_SELECTORS; k++)
                if (!str_is_null(s->m.match[k]) && pattern_new(s->m.match[k], &s->match[k], why) == -ENOMEM)
                        r = -ENOMEM;
        free(pairs);
        return r;
}

/* The first resource from client metrics on, which is one if there are any; pmap_next(@it) gives those behind it. */
static struct meta_configs *first_of(const struct meta_image *image, struct pmap_iter *it)
{
        const struct meta_resource_key from = { META_RESOURCE_CLIENT_METRICS, STR_LIT("") };

        pmap_iter_init(it, &image->configs, &from);
        return pmap_next(it);
}

static bool is_one(const struct meta_configs *c)
{
        return c && c->key.type == META_RESOURCE_CLIENT_METRICS;
}

/* What did not change is the same object in every image. */
static bool is_current(const struct subscriptions *s, const struct meta_image *image)
{
        struct pmap_iter it;
        size_t n = 0;

        for (struct meta_configs *c = first_of(image, &it); is_one(c) && n < LIMIT_CLIENT_METRICS_SUBSCRIPTIONS;
             c = pmap_next(&it), n++)
                if (n == s->count || s->at[n].configs != c)
                        return false;
        return n == s->count;
}

int subscriptions_refresh(struct subscriptions *s, const struct meta_image *image)
{
        struct subscription *subs;
        struct pmap_iter it;
        size_t n = 0;
        int r = 0;

        if (image->index <= s->index)
                return 0;
        if (!is_current(s, image)) {
                subs = calloc(LIMIT_CLIENT_METRICS_SUBSCRIPTIONS, sizeof *subs);
                if (!subs)
                        return -ENOMEM;
                for (struct meta_configs *c = first_of(image, &it);
                     is_one(c) && !r && n < LIMIT_CLIENT_METRICS_SUBSCRIPTIONS; c = pmap_next(&it))
                        r = sub_init(&subs[n++], c);
                if (r) {
                        subs_free(subs, n);
                        return r;
                }
                subs_free(s->at, s->count);
                s->at = subs;
                s->count = n;
                s->version++;
        }
        s->index = image->index;
        return 0;
}

void subscriptions_fini(struct subscriptions *s)
{
        subs_free(s->at, s->count);
        subscriptions_init(s);
}

static bool is_for(const struct subscription *s, const struct telemetry_client *c)
{
        char id[UUID_TEXT_SIZE];
        struct str texts[CLIENT_METRICS_SELECTORS];

        uuid_format(c->id, id);
        texts[CLIENT_METRICS_INSTANCE_ID] = str_of(id);
        texts[CLIENT_METRICS_CLIENT_ID] = c->client_id;
        texts[CLIENT_METRICS_SOFTWARE_NAME] = c->software_name;
        texts[CLIENT_METRICS_SOFTWARE_VERSION] = c->software_version;
        texts[CLIENT_METRICS_SOURCE_ADDRESS] = c->host;
        texts[CLIENT_METRICS_SOURCE_PORT] = c->port;
        for (int k = 0; k < CLIENT_METRICS_SELECTORS; k++) {
                if (str_is_null(s->m.match[k]))
                        continue;
                if (!s->match[k] || str_is_null(texts[k]) || !pattern_matches(s->match[k], texts[k]))
                        return false;
        }
        return true;
}

/* ---- what a client is to push ---- */

static int compare(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* In order, each once; "*" alone where it is among them. */
static void tidy(struct telemetry_offer *o)
{
        int32_t n = 0;

        if (o->metrics_count)
                qsort(o->metrics, (size_t)o->metrics_count, sizeof *o->metrics, compare);
        for (int32_t i = 0; i < o->metrics_count; i++) {
                if (str_equal_c(o->metrics[i], "*")) {
                        o->metrics[0] = o->metrics[i];
                        o->metrics_count = 1;
                        return;
                }
                if (!n || !str_equal(o->metrics[n - 1], o->metrics[i]))
                        o->metrics[n++] = o->metrics[i];
        }
        o->metrics_count = n;
}

/* Another one for each client, so that nobody pushes for somebody else by mistake. */
static int32_t id_of(const struct telemetry_offer *o, const struct telemetry_client *c)
{
        uint32_t crc = 0;
        char text[16];

        for (int32_t i = 0; i < o->metrics_count; i++) {
                crc = crc32c(crc, o->metrics[i].p, o->metrics[i].len);
                crc = crc32c(crc, "", 1);
        }
        crc = crc32c(crc, text, (size_t)snprintf(text, sizeof text, "%d", o->interval_ms));
        for (size_t i = 0; i < sizeof c->id.b; i++)
                crc ^= (uint32_t)c->id.b[i] << 8 * (i % 4);
        return (int32_t)crc;
}

static size_t count_words(struct str list)
{
        size_t n = list.len > 0;

        for (size_t i = 0; i < list.len; i++)
                n += list.p[i] == ',';
        return n;
}

bool subscriptions_offer(const struct subscriptions *s, const struct telemetry_client *c, struct arena *mem,
                         struct telemetry_offer *ret)
{
        bool mine[LIMIT_CLIENT_METRICS_SUBSCRIPTIONS];
        struct str rest, word;
        size_t count = 0;

        *ret = (struct telemetry_offer){ .interval_ms = INT32_MAX };
        for (size_t i = 0; i < s->count; i++) {
                mine[i] = is_for(&s->at[i], c);
                count += mine[i] ? count_words(s->at[i].m.metrics) : 0;
        }
        ret->metrics = ARENA_NEW_ARRAY(mem, struct str, count);
        for (size_t i = 0; ret->metrics && i < s->count; i++) {
                const struct client_metrics *m = &s->at[i].m;

                if (!mine[i])
                        continue;
                ret->interval_ms = MIN2(ret->interval_ms, m->interval_ms);
                rest = (struct str){ arena_memdup(mem, m->metrics.p, m->metrics.len), m->metrics.len };
                if (m->metrics.len && !rest.p)
                        return false;
                while (m->metrics.len && conf_list_next(&rest, &word))
                        if (word.len)
                                ret->metrics[ret->metrics_count++] = word;
        }
        if (ret->interval_ms == INT32_MAX)
                ret->interval_ms = CLIENT_METRICS_INTERVAL_MS_DEFAULT;
        if (ret->metrics)
                tidy(ret);
        ret->subscription_id = id_of(ret, c);
        return ret->metrics;
}
