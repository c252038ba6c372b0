#include "handler/telemetry_series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/limits.h"
#include "obs/expo.h"

/* Before all names, so that no client makes a metric that looks like ours. */
#define NAME_PREFIX "client_"

enum { NAME_LEN_MAX = 200, LABELS_LEN_MAX = 2000, LABELS_MAX = 16 };

void series_set_init(struct series_set *s, uint64_t seed, struct series_budget *budget)
{
        *s = (struct series_set){ .budget = budget };
        map_init(&s->map, seed);
        ilist_init(&s->all);
}

static size_t size_of(const struct series *x)
{
        return sizeof *x + x->text_len;
}

static void drop(struct series_set *s, struct series *x)
{
        map_remove(&s->map, &x->node);
        ilist_unlink(&x->link);
        s->count--;
        s->budget->count--;
        s->budget->bytes -= size_of(x);
        free(x);
}

void series_set_fini(struct series_set *s)
{
        ilist_for_each (x, &s->all, struct series, link)
                drop(s, x);
        map_fini(&s->map);
}

void series_set_expire(struct series_set *s, int64_t since_ms)
{
        ilist_for_each (x, &s->all, struct series, link)
                if (x->pushed_ms < since_ms)
                        drop(s, x);
}

/* ---- names and labels ---- */

static bool has_label(const struct strbuf *out, size_t from, const char *name)
{
        char text[NAME_LEN_MAX + 8];

        snprintf(text, sizeof text, ",%s=\"", name);
        return out->data && out->len > from && strstr(out->data + from, text);
}

/* Those that telemetry.c gives, and names that Prometheus keeps for itself. */
static bool is_taken(const char *name)
{
        static const char *const ours[] = { "client_instance_id", "client_id", "client_address", "client_software_name",
                                            "client_software_version" };

        for (size_t i = 0; i < ARRAY_LEN(ours); i++)
                if (!strcmp(name, ours[i]))
                        return true;
        return !strncmp(name, "__", 2);
}

void series_labels(struct strbuf *out, struct otlp_attributes a)
{
        size_t from = out->len;
        struct str key;

        for (int i = 0; i < LABELS_MAX; i++) {
                CLEANUP(strbuf_finip) struct strbuf value = { 0 }, name = { 0 };

                if (!otlp_attribute_next(&a, &key, &value))
                        return;
                expo_name(&name, key);
                out->failed |= value.failed | name.failed;
                if (!name.len || name.len > NAME_LEN_MAX || out->failed || is_taken(name.data) ||
                    has_label(out, from, name.data))
                        continue;
                strbuf_printf(out, ",%s=\"", name.data);
                expo_escape(out, (struct str){ value.data ? value.data : "", value.len });
                strbuf_add_c(out, "\"");
        }
}

/* "org.apache.kafka.x.total" -> client_org_apache_kafka_x_total; counters end with _total. */
static void add_name(struct strbuf *out, const struct otlp_point *p)
{
        static const char suffix[] = "_total";
        size_t len = strlen(suffix);

        strbuf_add_c(out, NAME_PREFIX);
        expo_name(out, p->name);
        if ((p->kind == OTLP_COUNTER || p->kind == OTLP_DELTA) && out->data &&
            (out->len < len || strcmp(out->data + out->len - len, suffix) != 0))
                strbuf_add_c(out, suffix);
}

/* ---- points ---- */

static struct series *find(struct series_set *s, struct str text)
{
        for (struct map_node *n = map_first(&s->map, text); n; n = map_next_same(n)) {
                struct series *x = container_of(n, struct series, node);

                if (str_equal((struct str){ x->text, x->text_len }, text))
                        return x;
        }
        return NULL;
}

static int add(struct series_set *s, struct str text, size_t name_len, struct series **ret)
{
        size_t size = sizeof(struct series) + text.len;
        struct series *x;

        if (s->count >= LIMIT_CLIENT_SERIES || s->budget->bytes + size > LIMIT_CLIENT_SERIES_BYTES)
                return SERIES_E_REFUSED;
        x = malloc(size);
        if (!x)
                return -ENOMEM;
        *x = (struct series){ .name_len = (uint16_t)name_len, .text_len = (uint16_t)text.len };
        memcpy(x->text, text.p, text.len);
        if (map_insert(&s->map, &x->node, (struct str){ x->text, x->text_len })) {
                free(x);
                return -ENOMEM;
        }
        ilist_init(&x->link);
        ilist_push_back(&s->all, &x->link);
        s->count++;
        s->budget->count++;
        s->budget->bytes += size;
        *ret = x;
        return 0;
}

int series_set_put(struct series_set *s, const struct otlp_point *p, int64_t now_ms)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        struct series *x;
        size_t name_len;
        int r;

        add_name(&text, p);
        name_len = text.len;
        series_labels(&text, p->own);
        if (text.failed)
                return -ENOMEM;
        if (!p->name.len || name_len > NAME_LEN_MAX || text.len > LABELS_LEN_MAX)
                return SERIES_E_REFUSED;
        x = find(s, (struct str){ text.data, text.len });
        if (!x) {
                r = add(s, (struct str){ text.data, text.len }, name_len, &x);
                if (r)
                        return r;
        }
        x->is_counter = p->kind == OTLP_COUNTER || p->kind == OTLP_DELTA;
        x->value = p->kind == OTLP_DELTA ? x->value + p->value : p->value;
        x->pushed_ms = now_ms;
        return 0;
}
