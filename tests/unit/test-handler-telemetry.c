/* Goal: clients that push metrics are remembered for as long as they push, and no more of them than there is room for. Method: the real
 * module with a clock that is set by hand; images that are made of one record after the other. */
#include <stdio.h>

#include "conf/limits.h"
#include "handler/telemetry.h"
#include "meta/builder.h"
#include "unit.h"
#include "wire/errors.h"

enum { START_MS = 1000000, KEEP_MS = 60000 };

struct world {
        struct telemetry *t;
        struct meta_image *image;
        struct arena mem;
        int64_t now_ms;
};

static void world_init(struct world *w)
{
        *w = (struct world){ .now_ms = START_MS };
        CU_ASSERT_EQUAL_FATAL(telemetry_new(&w->t), 0);
        w->image = meta_image_new_empty();
        CU_ASSERT_PTR_NOT_NULL_FATAL(w->image);
}

static void world_fini(struct world *w)
{
        telemetry_free(w->t);
        meta_image_unref(w->image);
        arena_fini(&w->mem);
}

/* One configuration of a subscription changes. @value null: it goes. */
static void set(struct world *w, const char *subscription, const char *name, const char *value)
{
        struct meta_builder b;
        struct meta_record r;
        int64_t index = w->image->index + 1;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, w->image), 0);
        meta_record_init(&r, META_CONFIG);
        r.config.resource_type = META_RESOURCE_CLIENT_METRICS;
        r.config.resource_name = str_of(subscription);
        r.config.name = str_of(name);
        r.config.value = str_of(value);
        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, index), 0);
        meta_image_unref(w->image);
        w->image = meta_builder_finish(&b, index, 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w->image);
}

static struct telemetry_client client(unsigned number)
{
        struct telemetry_client c = { .client_id = STR_LIT("c"), .host = STR_LIT("h"), .port = STR_LIT("1") };

        memcpy(c.id.b, &number, sizeof number);
        c.id.b[15] = 9;
        return c;
}

static int ask(struct world *w, unsigned number, struct telemetry_offer *ret)
{
        struct telemetry_client c = client(number);

        return telemetry_ask(w->t, w->image, &c, &w->mem, w->now_ms, ret);
}

/* A gauge of this name (one letter) with the value 1. */
static int push(struct world *w, unsigned number, int32_t subscription, char name)
{
        const uint8_t metrics[] = { 0x0a, 0x14, 0x12, 0x12, 0x12, 0x10, 0x0a, 0x01, (uint8_t)name, 0x2a, 0x0b, 0x0a,
                                    0x09, 0x21, 0,    0,    0,    0,    0,    0,    0xf0,          0x3f };
        struct telemetry_client c = client(number);
        struct telemetry_push p = { .subscription_id = subscription,
                                    .metrics = span_of(metrics, sizeof metrics),
                                    .len_max = 100 };

        return telemetry_push(w->t, w->image, &c, &w->mem, w->now_ms, &p);
}

/* How often @text is at /metrics. */
static unsigned told(struct world *w, const char *text)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        unsigned n = 0;

        telemetry_expose(w->t, w->now_ms, &out);
        CU_ASSERT_FALSE_FATAL(out.failed);
        for (const char *at = out.data; (at = strstr(at, text)); at++)
                n++;
        return n;
}

static void test_expiry(void)
{
        struct telemetry_offer o;
        struct world w;

        world_init(&w);
        set(&w, "s", "interval.ms", "1000");
        CU_ASSERT_EQUAL(ask(&w, 1, &o), 0);
        CU_ASSERT_EQUAL(o.interval_ms, 1000);
        CU_ASSERT_EQUAL(push(&w, 1, o.subscription_id, 'a'), 0);
        CU_ASSERT_EQUAL(told(&w, "\nclient_a{"), 1);
        w.now_ms += KEEP_MS;
        CU_ASSERT_EQUAL(push(&w, 1, o.subscription_id, 'b'), 0);
        CU_ASSERT_EQUAL(told(&w, "\nclient_a{"), 1);
        w.now_ms += 1000;
        CU_ASSERT_EQUAL(told(&w, "\nclient_a{"), 0); /* it was not pushed any more */
        CU_ASSERT_EQUAL(told(&w, "\nclient_b{"), 1);
        CU_ASSERT_EQUAL(told(&w, "chronik_client_instances 1\n"), 1);
        w.now_ms += KEEP_MS;
        CU_ASSERT_EQUAL(told(&w, "\nclient_"), 0);
        CU_ASSERT_EQUAL(told(&w, "chronik_client_instances 0\n"), 1);
        CU_ASSERT_EQUAL(told(&w, "\nchronik_client_info{"), 0);
        world_fini(&w);
}

/* Three of its intervals, where that is longer. */
static void test_long_interval(void)
{
        struct telemetry_offer o;
        struct world w;

        world_init(&w);
        set(&w, "s", "interval.ms", "3600000");
        CU_ASSERT_EQUAL(ask(&w, 1, &o), 0);
        CU_ASSERT_EQUAL(push(&w, 1, o.subscription_id, 'a'), 0);
        w.now_ms += 3 * 3600000;
        CU_ASSERT_EQUAL(told(&w, "\nclient_a{"), 1);
        w.now_ms += 1001;
        CU_ASSERT_EQUAL(told(&w, "\nclient_a{"), 0);
        world_fini(&w);
}

static void test_too_many_clients(void)
{
        struct telemetry_offer o;
        struct world w;

        world_init(&w);
        for (unsigned i = 0; i < LIMIT_CLIENT_INSTANCES; i++)
                CU_ASSERT_EQUAL(ask(&w, i, &o), 0);
        CU_ASSERT_EQUAL(ask(&w, 0, &o), KERR_THROTTLING_QUOTA_EXCEEDED); /* heard of again: it is the newest */
        CU_ASSERT_EQUAL(ask(&w, LIMIT_CLIENT_INSTANCES, &o), 0);
        CU_ASSERT_EQUAL(told(&w, "chronik_client_instances 16384\n"), 1);
        CU_ASSERT_EQUAL(ask(&w, 0, &o), KERR_THROTTLING_QUOTA_EXCEEDED); /* remembered */
        CU_ASSERT_EQUAL(ask(&w, 1, &o), 0);                              /* forgotten, and so a new one */
        world_fini(&w);
}

/* Who asks in the light of an older image does not bring the old subscriptions back. */
static void test_older_image(void)
{
        struct telemetry_offer before, after;
        struct meta_image *old;
        struct world w;

        world_init(&w);
        set(&w, "s", "metrics", "a.");
        old = meta_image_ref(w.image);
        CU_ASSERT_EQUAL(ask(&w, 1, &before), 0);
        set(&w, "s", "metrics", "b.");
        CU_ASSERT_EQUAL(ask(&w, 1, &after), 0); /* though it is not its turn: there is news */
        CU_ASSERT_NOT_EQUAL(before.subscription_id, after.subscription_id);
        meta_image_unref(w.image);
        w.image = old;
        CU_ASSERT_EQUAL(ask(&w, 1, &before), KERR_THROTTLING_QUOTA_EXCEEDED);
        CU_ASSERT_EQUAL(ask(&w, 2, &before), 0);
        CU_ASSERT_EQUAL(before.metrics_count, 1);
        CU_ASSERT(str_equal_c(before.metrics[0], "b."));
        world_fini(&w);
}

/* Other changes of the metadata are no news; the last configuration that goes is. */
static void test_news(void)
{
        struct telemetry_offer o;
        struct world w;

        world_init(&w);
        set(&w, "s", "metrics", "a.");
        CU_ASSERT_EQUAL(ask(&w, 1, &o), 0);
        set(&w, "s", "metrics", "a.");
        set(&w, "s", "metrics", NULL);
        CU_ASSERT_EQUAL(ask(&w, 1, &o), 0);
        CU_ASSERT_EQUAL(o.metrics_count, 0);
        w.image->index++;
        CU_ASSERT_EQUAL(ask(&w, 1, &o), KERR_THROTTLING_QUOTA_EXCEEDED);
        world_fini(&w);
}

static const struct unit_case cases[] = {
        { "what is not pushed any more goes", test_expiry },
        { "clients with long intervals stay longer", test_long_interval },
        { "too many clients", test_too_many_clients },
        { "an older image", test_older_image },
        { "what is news", test_news },
};

UNIT_MAIN("handler-telemetry", cases)
